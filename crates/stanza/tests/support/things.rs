//! Values for property tests: what things say and are told.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stanchion_stanza::payload::control::{
    Color, Parameter, ParameterError, ResponseCode, SetResponse, Value as Setting,
};
use stanchion_stanza::payload::sensordata::{
    Categories, Field, Node, NodeFields, Quality, Request, RequestId, Timestamp, Tokens, Value,
};
use stanchion_stanza::payload::xs::Double;

use super::values::{self, maybe_text, texts};

pub(crate) fn double(s: &str) -> Double {
    s.parse().unwrap()
}

pub(crate) fn doubles() -> impl Strategy<Value = Double> {
    prop_oneof![
        any::<f64>().prop_map(Double::from),
        "-?[0-9]{1,4}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{1,2})?".prop_map(|s| double(&s)),
    ]
}

pub(crate) fn categories() -> impl Strategy<Value = Categories> {
    vec(prop::sample::select(Categories::ALL), 0..4).prop_map(|flags| {
        flags
            .into_iter()
            .fold(Categories::NONE, |all, one| all | one)
    })
}

pub(crate) fn quality() -> impl Strategy<Value = Quality> {
    vec(prop::sample::select(Quality::ALL), 0..4)
        .prop_map(|flags| flags.into_iter().fold(Quality::NONE, |all, one| all | one))
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::Boolean),
        values::text().prop_map(Value::Date),
        values::text().prop_map(Value::DateTime),
        values::text().prop_map(Value::Duration),
        (values::text(), values::text())
            .prop_map(|(value, data_type)| Value::Enum { value, data_type }),
        any::<i32>().prop_map(Value::Int),
        any::<i64>().prop_map(Value::Long),
        (doubles(), values::text()).prop_map(|(value, unit)| Value::Numeric { value, unit }),
        values::text().prop_map(Value::String),
        values::text().prop_map(Value::Time),
    ]
}

pub(crate) fn fields() -> impl Strategy<Value = Field> {
    (
        (values::text(), value(), categories(), quality()),
        (any::<Option<bool>>(), maybe_text(), maybe_text()),
    )
        .prop_map(
            |((name, value, categories, quality), (writable, module, string_ids))| Field {
                name,
                value,
                categories,
                quality,
                writable,
                module,
                string_ids,
            },
        )
}

pub(crate) fn node() -> impl Strategy<Value = Node> {
    (values::text(), maybe_text(), maybe_text()).prop_map(|(id, source, partition)| Node {
        id,
        source,
        partition,
    })
}

pub(crate) fn node_fields() -> impl Strategy<Value = NodeFields> {
    let timestamp =
        (values::text(), vec(fields(), 0..4)).prop_map(|(at, fields)| Timestamp { at, fields });
    (node(), vec(timestamp, 0..3)).prop_map(|(node, timestamps)| NodeFields { node, timestamps })
}

pub(crate) fn tokens() -> impl Strategy<Value = Tokens> {
    (maybe_text(), maybe_text(), maybe_text()).prop_map(|(service, device, user)| Tokens {
        service,
        device,
        user,
    })
}

pub(crate) fn setting() -> impl Strategy<Value = Setting> {
    let color = any::<(u8, u8, u8, Option<u8>)>().prop_map(|(red, green, blue, alpha)| Color {
        red,
        green,
        blue,
        alpha,
    });
    prop_oneof![
        any::<bool>().prop_map(Setting::Boolean),
        any::<bool>().prop_map(Setting::Bool),
        color.prop_map(Setting::Color),
        values::text().prop_map(Setting::Date),
        values::text().prop_map(Setting::DateTime),
        doubles().prop_map(Setting::Double),
        values::text().prop_map(Setting::Duration),
        any::<i32>().prop_map(Setting::Int),
        any::<i64>().prop_map(Setting::Long),
        values::text().prop_map(Setting::String),
        values::text().prop_map(Setting::Time),
    ]
}

pub(crate) fn parameters(
    setting: impl Strategy<Value = Setting>,
) -> impl Strategy<Value = Vec<Parameter>> {
    let parameter = (values::text(), setting).prop_map(|(name, value)| Parameter { name, value });
    vec(parameter, 0..4)
}

/// The ids that every profile has.
pub(crate) fn numbers() -> impl Strategy<Value = RequestId> {
    any::<i32>().prop_map(RequestId::from)
}

pub(crate) fn requests(ids: impl Strategy<Value = RequestId>) -> impl Strategy<Value = Request> {
    (
        (ids, any::<bool>(), categories(), tokens()),
        (vec(node(), 0..3), texts()),
        (maybe_text(), maybe_text(), maybe_text()),
    )
        .prop_map(
            |((id, all, categories, tokens), (nodes, fields), (from, to, when))| Request {
                id,
                categories,
                all,
                nodes,
                fields,
                from,
                to,
                when,
                tokens,
            },
        )
}

pub(crate) fn parameter_errors() -> impl Strategy<Value = Vec<ParameterError>> {
    let error = (values::text(), values::text());
    vec(
        error.prop_map(|(name, text)| ParameterError { name, text }),
        0..3,
    )
}

pub(crate) fn responses() -> impl Strategy<Value = SetResponse> {
    (
        option::of(prop::sample::select(ResponseCode::ALL.to_vec())),
        vec(node(), 0..3),
        texts(),
        parameter_errors(),
    )
        .prop_map(|(code, nodes, parameters, errors)| SetResponse {
            code,
            nodes,
            parameters,
            errors,
        })
}

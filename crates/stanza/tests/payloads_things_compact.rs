//! Sensor data and control in the compact profiles: read, compared, written back, and
//! refused where broken.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod laws;
mod support;

use std::fmt::Debug;

use laws::journey::profiled_survives;
use proptest::collection::vec;
use proptest::prelude::*;
use stanchion_stanza::payload::control::{
    Color, GetForm, Parameter, ParameterError, ResponseCode, Set, SetResponse, Value as Setting,
};
use stanchion_stanza::payload::sensordata::{
    Accepted, Cancel, Cancelled, Categories, Done, Failure, Field, Fields, Node, NodeFields,
    Profile, Profiled, Quality, Rejected, Request, RequestId, Started, Timestamp, Tokens, Value,
};
use stanchion_stanza::payload::{Payload, PayloadError};
use stanchion_stanza::{Element, ns};
use support::things::{
    double, node, node_fields, numbers, parameters, requests, responses, setting, tokens,
};
use support::values::{self, maybe_text, some_text};
use support::{element, text};

const COMPACT: [Profile; 3] = [Profile::Ieee, Profile::Nf, Profile::Nfi];

/// Of the two namespaces, the one where `SD` or `CTR` stands in `xml`.
fn spelt(xml: &str, profile: Profile) -> Element {
    let sensor_data = format!("xmlns='{}'", profile.sensor_data());
    let control = format!("xmlns='{}'", profile.control());
    element(&xml.replace("SD", &sensor_data).replace("CTR", &control))
}

/// `xml` means `payload` in each compact profile, and `payload` is written so.
fn same<P: Profiled + PartialEq + Debug>(xml: &str, payload: &P) {
    for profile in COMPACT {
        let element = spelt(xml, profile);
        assert_eq!(payload.to_element_in(profile), element);
        assert!(!P::matches(&element), "{xml} is not legacy");
        let (found, read) = P::find_any([&element]).unwrap().unwrap();
        assert_eq!((found, &read), (profile, payload));
    }
}

fn read<P: Profiled>(xml: &str) -> Result<P, PayloadError> {
    let element = spelt(xml, Profile::Nf);
    assert_eq!(P::profile_of(&element), Some(Profile::Nf), "{xml}");
    P::from_element_in(&element, Profile::Nf)
}

fn lacks<P: Profiled + Debug + PartialEq>(
    xml: &str,
    element: &'static str,
    attribute: &'static str,
) {
    let missing = PayloadError::MissingAttribute { element, attribute };
    assert_eq!(read::<P>(xml), Err(missing), "{xml}");
}

fn invalid<P: Profiled + Debug + PartialEq>(xml: &str, element: &'static str, what: &'static str) {
    let invalid = PayloadError::Invalid { element, what };
    assert_eq!(read::<P>(xml), Err(invalid), "{xml}");
}

// Sensor data.

#[test]
fn a_compact_request_is_the_same_request() {
    same("<req SD id='1' m='true'/>", &Request::momentary(1));
    same(
        "<req SD id='boiler-7' p='true' i='true' h='true' all='true' from='2026-02-03T00:00:00' \
         to='2026-02-04T00:00:00Z' when='2026-02-04T01:00:00Z' st='s' dt='d' ut='u'>\
         <nd id='Boiler' src='Cellar' pt='Heat'/><nd id='Pump'/><f n='Flow'/><f n='Return'/></req>",
        &Request {
            id: text("boiler-7").into(),
            categories: Categories::PEAK | Categories::IDENTITY | Categories::HISTORICAL,
            all: true,
            nodes: vec![
                Node {
                    id: text("Boiler"),
                    source: Some(text("Cellar")),
                    partition: Some(text("Heat")),
                },
                Node::new(text("Pump")),
            ],
            fields: vec![text("Flow"), text("Return")],
            from: Some(text("2026-02-03T00:00:00")),
            to: Some(text("2026-02-04T00:00:00Z")),
            when: Some(text("2026-02-04T01:00:00Z")),
            tokens: Tokens {
                service: Some(text("s")),
                device: Some(text("d")),
                user: Some(text("u")),
            },
        },
    );
}

#[test]
fn what_is_said_of_a_compact_request_has_its_id() {
    let id = RequestId::from(text("a7"));
    let accepted = |queued| Accepted {
        id: id.clone(),
        queued,
    };
    same("<accepted SD id='a7'/>", &accepted(false));
    same("<accepted SD id='a7' queued='true'/>", &accepted(true));
    same("<started SD id='a7'/>", &Started { id: id.clone() });
    same("<cancel SD id='a7'/>", &Cancel { id: id.clone() });
    same("<done SD id='a7'/>", &Done { id: id.clone() });
    // As it stood: whoever asked compares it.
    for id in ["007", "+7", "", " 7"] {
        let done = read::<Done>(&format!("<done SD id='{id}'/>")).unwrap();
        assert_eq!(done.id.as_str(), id);
    }
}

#[test]
fn a_compact_read_out_without_id_belongs_to_nobody() {
    lacks::<Request>("<req SD/>", "req", "id");
    lacks::<Request>("<req SD seqnr='1'/>", "req", "id");
    lacks::<Accepted>("<accepted SD/>", "accepted", "id");
    lacks::<Started>("<started SD/>", "started", "id");
    lacks::<Cancel>("<cancel SD/>", "cancel", "id");
    lacks::<Fields>("<resp SD/>", "resp", "id");
    lacks::<Done>("<done SD/>", "done", "id");
}

fn status(name: &'static str, value: Value) -> Field {
    Field {
        categories: Categories::STATUS,
        quality: Quality::NONE,
        ..Field::momentary(text(name), value)
    }
}

#[test]
fn compact_fields_of_every_type_are_the_same_fields() {
    let measured = Field {
        writable: Some(true),
        module: Some(text("M")),
        string_ids: Some(text("1,2")),
        ..Field::momentary(
            text("Temperature"),
            Value::Numeric {
                value: double("21.50"),
                unit: text("°C"),
            },
        )
    };
    let fields = vec![
        measured,
        status(
            "Ratio",
            Value::Numeric {
                value: double("0.5"),
                unit: text(""),
            },
        ),
        status("Open", Value::Boolean(true)),
        status("Start", Value::Date(text("2026-02-01"))),
        status("Set at", Value::DateTime(text("2026-02-01T08:00:00Z"))),
        status("Runtime", Value::Duration(text("PT3M30S"))),
        status(
            "Mode",
            Value::Enum {
                value: text("Eco"),
                data_type: text("Modes"),
            },
        ),
        status("Count", Value::Int(-5)),
        status("Total", Value::Long(5_000_000_000)),
        status("Serial", Value::String(text("a & b"))),
        status("Alarm", Value::Time(text("08:00:00"))),
    ];
    let node = Node::new(text("Boiler"));
    same(
        "<resp SD id='4'><nd id='Boiler'><ts v='2026-02-03T19:00:00Z'>\
         <q n='Temperature' v='21.50' u='°C' m='true' ar='true' ctr='true' lns='M' loc='1,2'/>\
         <q n='Ratio' v='0.5' s='true'/>\
         <b n='Open' v='true' s='true'/>\
         <d n='Start' v='2026-02-01' s='true'/>\
         <dt n='Set at' v='2026-02-01T08:00:00Z' s='true'/>\
         <dr n='Runtime' v='PT3M30S' s='true'/>\
         <e n='Mode' v='Eco' t='Modes' s='true'/>\
         <i n='Count' v='-5' s='true'/>\
         <l n='Total' v='5000000000' s='true'/>\
         <s n='Serial' v='a &amp; b' s='true'/>\
         <t n='Alarm' v='08:00:00' s='true'/></ts></nd></resp>",
        &Fields::of(4, node, text("2026-02-03T19:00:00Z"), fields),
    );
}

#[test]
fn compact_data_says_that_more_comes_and_not_that_it_is_the_last() {
    same(
        "<resp SD id='4' more='true'><nd id='a'/><nd id='b'><ts v='t'/></nd></resp>",
        &Fields {
            id: 4.into(),
            done: false,
            nodes: vec![
                NodeFields {
                    node: Node::new(text("a")),
                    timestamps: Vec::new(),
                },
                NodeFields {
                    node: Node::new(text("b")),
                    timestamps: vec![Timestamp {
                        at: text("t"),
                        fields: Vec::new(),
                    }],
                },
            ],
        },
    );
    for last in ["<resp SD id='4'/>", "<resp SD id='4' more='false'/>"] {
        assert!(read::<Fields>(last).unwrap().done, "{last}");
    }
}

#[test]
fn each_compact_flag_has_a_name_of_its_own() {
    let quality = [
        "ms", "pr", "ae", "me", "mr", "ar", "of", "w", "er", "so", "iv", "eos", "pf", "ic",
    ];
    assert_eq!(Quality::ALL.len(), quality.len());
    for (name, flag) in quality.iter().zip(Quality::ALL) {
        let xml = format!(
            "<resp SD id='1'><nd id='a'><ts v='t'><i n='x' v='1' {name}='true'/></ts></nd></resp>"
        );
        let field = Field {
            categories: Categories::NONE,
            quality: *flag,
            ..Field::momentary(text("x"), Value::Int(1))
        };
        same(
            &xml,
            &Fields::of(1, Node::new(text("a")), text("t"), vec![field]),
        );
    }
    let categories = ["m", "p", "s", "c", "i", "h"];
    for (name, flag) in categories.iter().zip(Categories::ALL) {
        let request = Request {
            categories: *flag,
            ..Request::momentary(1)
        };
        same(&format!("<req SD id='1' {name}='true'/>"), &request);
    }
    // What was remembered is that, of whatever period.
    let hourly = Request {
        categories: Categories::HISTORICAL_HOUR | Categories::HISTORICAL_DAY,
        ..Request::momentary(1)
    };
    assert_eq!(
        hourly.to_element_in(Profile::Nf),
        spelt("<req SD id='1' h='true'/>", Profile::Nf)
    );
}

fn one_field(field: &str) -> String {
    format!("<resp SD id='1'><nd id='a'><ts v='t'>{field}</ts></nd></resp>")
}

#[test]
fn a_compact_field_whose_value_is_none_of_its_type_is_refused() {
    for (kind, value) in [
        ("b", "yes"),
        ("i", "2147483648"),
        ("l", "9223372036854775808"),
        ("q", "21,5"),
        ("q", ""),
    ] {
        invalid::<Fields>(
            &one_field(&format!("<{kind} n='a' v='{value}'/>")),
            kind,
            "v",
        );
    }
    for kind in ["b", "d", "dt", "dr", "e", "i", "l", "q", "s", "t"] {
        lacks::<Fields>(&one_field(&format!("<{kind} n='a'/>")), kind, "v");
        let value = if kind == "b" { "true" } else { "1" };
        lacks::<Fields>(
            &one_field(&format!("<{kind} v='{value}' t='x'/>")),
            kind,
            "n",
        );
    }
    lacks::<Fields>(&one_field("<e n='a' v='b'/>"), "e", "t");
    invalid::<Fields>(&one_field("<i n='a' v='1' ctr='maybe'/>"), "i", "ctr");
    lacks::<Fields>("<resp SD id='1'><nd/></resp>", "nd", "id");
    lacks::<Fields>("<resp SD id='1'><nd id='a'><ts/></nd></resp>", "ts", "v");
    lacks::<Request>("<req SD id='1'><nd/></req>", "nd", "id");
    lacks::<Request>("<req SD id='1'><f/></req>", "f", "n");
    // What has no type here is left out, and so are the words of other profiles.
    for other in [
        "<x n='a' v='1'/>",
        "<int name='a' value='1'/>",
        "<i xmlns='urn:ieee:iot:sd:1.0' n='a' v='x'/>",
    ] {
        let data = read::<Fields>(&one_field(other)).unwrap();
        assert_eq!(data.iter().count(), 0, "{other}");
    }
}

// Control.

fn parameter(name: &'static str, value: Setting) -> Parameter {
    Parameter {
        name: text(name),
        value,
    }
}

#[test]
fn compact_parameters_of_every_type_are_the_same_parameters() {
    same(
        "<set CTR><b n='Output' v='true'/></set>",
        &Set::one(text("Output"), Setting::Boolean(true)),
    );
    let color = |alpha| Color {
        red: 0x33,
        green: 0x99,
        blue: 0xFF,
        alpha,
    };
    same(
        "<set CTR st='s' dt='d' ut='u' xml:lang='en'><nd id='Spot1' src='S' pt='P'/>\
         <b n='a' v='false'/><cl n='c' v='3399FF'/><cl n='c' v='3399FF07'/>\
         <d n='d' v='2026-05-01'/><dt n='e' v='2026-04-02T08:00:00'/><db n='f' v='8.190'/>\
         <dr n='g' v='PT3M30S'/><e n='h' v='Eco' t='Modes'/><i n='i' v='50000'/>\
         <l n='j' v='500000000000000'/><s n='k' v='21.4 °C'/><t n='l' v='08:00:00'/></set>",
        &Set {
            nodes: vec![Node {
                id: text("Spot1"),
                source: Some(text("S")),
                partition: Some(text("P")),
            }],
            parameters: vec![
                parameter("a", Setting::Boolean(false)),
                parameter("c", Setting::Color(color(None))),
                parameter("c", Setting::Color(color(Some(7)))),
                parameter("d", Setting::Date(text("2026-05-01"))),
                parameter("e", Setting::DateTime(text("2026-04-02T08:00:00"))),
                parameter("f", Setting::Double(double("8.190"))),
                parameter("g", Setting::Duration(text("PT3M30S"))),
                parameter(
                    "h",
                    Setting::Enum {
                        value: text("Eco"),
                        data_type: text("Modes"),
                    },
                ),
                parameter("i", Setting::Int(50_000)),
                parameter("j", Setting::Long(500_000_000_000_000)),
                parameter("k", Setting::String(text("21.4 °C"))),
                parameter("l", Setting::Time(text("08:00:00"))),
            ],
            form: None,
            tokens: Tokens {
                service: Some(text("s")),
                device: Some(text("d")),
                user: Some(text("u")),
            },
            lang: Some(text("en")),
        },
    );
}

#[test]
fn a_compact_command_is_understood_as_a_whole_or_refused() {
    let set = |parameter: &str| format!("<set CTR><i n='a' v='1'/>{parameter}</set>");
    for (kind, value) in [
        ("b", "on"),
        ("cl", "39F"),
        ("db", "8,1"),
        ("i", "5.0"),
        ("l", ""),
    ] {
        invalid::<Set>(&set(&format!("<{kind} n='b' v='{value}'/>")), kind, "v");
    }
    for kind in ["b", "cl", "d", "dt", "db", "dr", "e", "i", "l", "s", "t"] {
        lacks::<Set>(&set(&format!("<{kind} n='b'/>")), kind, "v");
    }
    lacks::<Set>(&set("<s v='b'/>"), "s", "n");
    lacks::<Set>(&set("<e n='b' v='c'/>"), "e", "t");
    lacks::<Set>(&set("<nd/>"), "nd", "id");
    // A measure is none, nor are the legacy words, nor is what was not known.
    for other in [
        "<q n='b' v='1'/>",
        "<bool name='b' value='true'/>",
        "<boolean name='b' value='true'/>",
        "<pGroup n='b'/>",
    ] {
        invalid::<Set>(&set(other), "set", "parameter type");
    }
}

#[test]
fn what_one_profile_lacks_is_written_as_the_nearest_that_it_has() {
    let smack = Set::one(text("a"), Setting::Bool(true));
    assert_eq!(
        smack.to_element_in(Profile::Nf),
        spelt("<set CTR><b n='a' v='true'/></set>", Profile::Nf)
    );
    let mode = Setting::Enum {
        value: text("Eco"),
        data_type: text("Modes"),
    };
    assert_eq!(
        Set::one(text("a"), mode).to_element(),
        element("<set xmlns='urn:xmpp:iot:control'><string name='a' value='Eco'/></set>")
    );
}

#[test]
fn a_compact_response_names_what_was_set_or_what_could_not_be() {
    same("<resp CTR/>", &SetResponse::default());
    assert_eq!(
        SetResponse::ok().to_element_in(Profile::Nf),
        spelt("<resp CTR/>", Profile::Nf)
    );
    let partly = SetResponse {
        nodes: vec![Node::new(text("Output2"))],
        parameters: vec![text("Level")],
        ..SetResponse::default()
    };
    assert!(partly.succeeded());
    same("<resp CTR><nd id='Output2'/><p n='Level'/></resp>", &partly);
    let wrong = ParameterError {
        name: text("Level"),
        text: text("Out of range."),
    };
    same(
        "<paramError CTR var='Level'>Out of range.</paramError>",
        &wrong,
    );
    let failed = SetResponse {
        errors: vec![wrong],
        ..SetResponse::default()
    };
    assert!(!failed.succeeded());
    same(
        "<resp CTR><paramError var='Level'>Out of range.</paramError></resp>",
        &failed,
    );
    lacks::<SetResponse>("<resp CTR><p/></resp>", "p", "n");
    lacks::<SetResponse>("<resp CTR><paramError/></resp>", "paramError", "var");
    lacks::<SetResponse>("<resp CTR><nd/></resp>", "nd", "id");
    lacks::<ParameterError>("<paramError CTR/>", "paramError", "var");
}

#[test]
fn no_failure_turns_into_a_success_where_the_profile_lacks_the_word() {
    for code in ResponseCode::ALL {
        for profile in Profile::ALL {
            let response = SetResponse {
                code: Some(code),
                ..SetResponse::default()
            };
            let written = response.to_element_in(profile);
            let (_, read) = SetResponse::find_any([&written]).unwrap().unwrap();
            assert_eq!(read.succeeded(), code == ResponseCode::Ok, "{written:?}");
        }
    }
}

#[test]
fn a_form_is_asked_for_in_compact_words() {
    same("<getForm CTR/>", &GetForm::default());
    same(
        "<getForm CTR dt='d' xml:lang='en'><nd id='a'/></getForm>",
        &GetForm {
            nodes: vec![Node::new(text("a"))],
            tokens: Tokens {
                device: Some(text("d")),
                ..Tokens::default()
            },
            lang: Some(text("en")),
        },
    );
    lacks::<GetForm>("<getForm CTR><nd/></getForm>", "nd", "id");
}

// Profiles.

#[test]
fn data_and_responses_are_told_apart_by_their_namespaces() {
    for profile in COMPACT {
        let data = spelt("<resp SD id='1'/>", profile);
        let response = spelt("<resp CTR/>", profile);
        assert_eq!(Fields::profile_of(&data), Some(profile));
        assert_eq!(Fields::profile_of(&response), None);
        assert_eq!(SetResponse::profile_of(&response), Some(profile));
        assert_eq!(SetResponse::profile_of(&data), None);
    }
    // The words of one profile in the namespace of another.
    for mixed in [
        "<fields xmlns='urn:nf:iot:sd:1.0' id='1'/>",
        "<resp xmlns='urn:xmpp:iot:sensordata' seqnr='1'/>",
        "<resp xmlns='urn:x' id='1'/>",
    ] {
        assert_eq!(Fields::profile_of(&element(mixed)), None, "{mixed}");
    }
}

#[test]
fn the_first_of_a_kind_is_found_in_whatever_profile() {
    let payloads = [
        element("<body>x</body>"),
        spelt("<resp SD id='a' more='true'/>", Profile::Nfi),
        element("<fields xmlns='urn:xmpp:iot:sensordata' seqnr='1'/>"),
    ];
    let (profile, data) = Fields::find_any(&payloads).unwrap().unwrap();
    assert_eq!((profile, data.id.as_str()), (Profile::Nfi, "a"));
    let (profile, data) = Fields::find_any(&payloads[2..]).unwrap().unwrap();
    assert_eq!((profile, data.id.number()), (Profile::Legacy, Some(1)));
    assert_eq!(Fields::find_any(&payloads[..1]), Ok(None));
    assert!(Fields::find_any([&spelt("<resp SD/>", Profile::Ieee)]).is_err());
}

#[test]
fn what_has_no_compact_form_stays_legacy() {
    for profile in COMPACT {
        for name in ["failure", "cancelled", "rejected"] {
            let element = spelt(&format!("<{name} SD id='1'/>"), profile);
            assert!(!Failure::matches(&element));
            assert!(!Cancelled::matches(&element));
            assert!(!Rejected::matches(&element));
        }
    }
}

fn ids() -> impl Strategy<Value = RequestId> {
    prop_oneof![numbers(), values::text().prop_map(RequestId::from)]
}

fn profile() -> impl Strategy<Value = Profile> {
    prop::sample::select(COMPACT.to_vec())
}

/// As the compact profiles can say it.
fn compact(mut categories: Categories) -> Categories {
    if categories.are_historical() {
        let kept = Categories::ALL.iter().filter(|c| !c.are_historical());
        let kept = kept.filter(|c| categories.contains(**c));
        categories = kept.fold(Categories::HISTORICAL, |all, one| all | *one);
    }
    categories
}

fn compact_setting() -> impl Strategy<Value = Setting> {
    let word = (values::text(), values::text());
    let word = word.prop_map(|(value, data_type)| Setting::Enum { value, data_type });
    let setting = setting().prop_map(|value| match value {
        Setting::Bool(value) => Setting::Boolean(value),
        other => other,
    });
    prop_oneof![9 => setting, 1 => word]
}

proptest! {
    #[test]
    fn compact_sensor_data_comes_back_as_it_went(
        (id, done, profile) in (ids(), any::<bool>(), profile()),
        mut nodes in vec(node_fields(), 0..3),
    ) {
        let timestamps = nodes.iter_mut().flat_map(|n| &mut n.timestamps);
        for field in timestamps.flat_map(|t| &mut t.fields) {
            field.categories = compact(field.categories);
        }
        profiled_survives(&Fields { id, done, nodes }, profile);
    }

    #[test]
    fn compact_read_outs_come_back_as_they_went(
        (mut request, queued, profile) in (requests(ids()), any::<bool>(), profile()),
    ) {
        request.categories = compact(request.categories);
        let id = &request.id;
        profiled_survives(&Accepted { id: id.clone(), queued }, profile);
        profiled_survives(&Started { id: id.clone() }, profile);
        profiled_survives(&Cancel { id: id.clone() }, profile);
        profiled_survives(&Done { id: id.clone() }, profile);
        profiled_survives(&request, profile);
    }

    #[test]
    fn compact_control_comes_back_as_it_went(
        (nodes, parameters) in (vec(node(), 0..3), parameters(compact_setting())),
        (tokens, lang, form) in (tokens(), maybe_text(), any::<bool>()),
        (mut response, profile) in (responses(), profile()),
        (name, said) in (some_text(), values::text()),
    ) {
        let form = form.then(|| Element::new("x", ns::FORMS));
        response.code = response.code.filter(|c| *c != ResponseCode::Ok);
        profiled_survives(
            &GetForm { nodes: nodes.clone(), tokens: tokens.clone(), lang: lang.clone() },
            profile,
        );
        profiled_survives(&Set { nodes, parameters, form, tokens, lang }, profile);
        profiled_survives(&response, profile);
        profiled_survives(&ParameterError { name, text: said }, profile);
    }
}

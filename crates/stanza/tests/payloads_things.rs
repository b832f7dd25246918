//! What things say and are told, as the XEPs and real peers show it, values shortened:
//! read, compared, written back, and refused where broken.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod laws;
mod support;

use proptest::collection::vec;
use proptest::prelude::*;
use stanchion_stanza::payload::control::{
    Color, GetForm, Parameter, ParameterError, ResponseCode, Set, SetResponse, Value as Setting,
};
use stanchion_stanza::payload::sensordata::{
    Accepted, Cancel, Cancelled, Categories, Done, Failure, Field, Fields, Node, NodeError,
    Quality, Rejected, Request, Started, Tokens, Value,
};
use stanchion_stanza::payload::{Payload, PayloadError};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::{Element, Stanza, ns};
use support::things::{
    double, node, node_fields, numbers, parameters, requests, responses, setting, tokens,
};
use support::values::{self, maybe_text, texts, travels};
use support::{element, invalid, lacks, lacks_in, means, read, same, text};

const SD: &str = "xmlns='urn:xmpp:iot:sensordata'";
const CTR: &str = "xmlns='urn:xmpp:iot:control'";

// XEP-0323.

#[test]
fn a_request_is_read_as_in_xep_0323() {
    same(
        &format!("<req {SD} seqnr='1' momentary='true'/>"),
        Request::momentary(1),
    );
    same(
        &format!(
            "<req {SD} seqnr='-2' peak='true' historical='true' all='true' \
             from='2026-02-03T00:00:00' to='2026-02-04T00:00:00Z' when='2026-02-04T01:00:00Z' \
             serviceToken='s' deviceToken='d' userToken='u'>\
             <node nodeId='Device02' sourceId='MeteringTopology' cacheType='Node'/>\
             <node nodeId='Device03'/><field name='Energy'/><field name='Power'/></req>"
        ),
        Request {
            id: (-2).into(),
            categories: Categories::PEAK | Categories::HISTORICAL,
            all: true,
            nodes: vec![
                Node {
                    id: text("Device02"),
                    source: Some(text("MeteringTopology")),
                    partition: Some(text("Node")),
                },
                Node::new(text("Device03")),
            ],
            fields: vec![text("Energy"), text("Power")],
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
    means(
        &format!("<req {SD} seqnr='1' momentary='1' status='0' peak='no'/>"),
        Request::momentary(1),
    );
}

#[test]
fn what_is_said_of_a_request_is_read_as_in_xep_0323() {
    let accepted = |queued| Accepted {
        id: 8.into(),
        queued,
    };
    same(&format!("<accepted {SD} seqnr='8'/>"), accepted(false));
    same(
        &format!("<accepted {SD} seqnr='8' queued='true'/>"),
        accepted(true),
    );
    same(
        &format!("<started {SD} seqnr='8'/>"),
        Started { id: 8.into() },
    );
    same(
        &format!("<cancel {SD} seqnr='8'/>"),
        Cancel { id: 8.into() },
    );
    same(
        &format!("<cancelled {SD} seqnr='8'/>"),
        Cancelled { id: 8.into() },
    );
    same(&format!("<done {SD} seqnr='8'/>"), Done { id: 8.into() });
}

#[test]
fn a_read_out_without_number_belongs_to_nobody() {
    lacks::<Request>(&format!("<req {SD}/>"), "seqnr");
    lacks::<Accepted>(&format!("<accepted {SD}/>"), "seqnr");
    lacks::<Started>(&format!("<started {SD}/>"), "seqnr");
    lacks::<Cancel>(&format!("<cancel {SD}/>"), "seqnr");
    lacks::<Cancelled>(&format!("<cancelled {SD}/>"), "seqnr");
    lacks::<Fields>(&format!("<fields {SD}/>"), "seqnr");
    lacks::<Failure>(&format!("<failure {SD}/>"), "seqnr");
    lacks::<Done>(&format!("<done {SD}/>"), "seqnr");
    for seqnr in ["", "2147483648", "1.0", "x"] {
        invalid::<Request>(&format!("<req {SD} seqnr='{seqnr}'/>"), "req", "seqnr");
        invalid::<Fields>(
            &format!("<fields {SD} seqnr='{seqnr}'/>"),
            "fields",
            "seqnr",
        );
    }
}

/// One field of each type.
const FIELDS: &str = "<fields xmlns='urn:xmpp:iot:sensordata' seqnr='4' done='true'>\
    <node nodeId='Device01'><timestamp value='2026-02-03T19:00:00Z'>\
    <boolean name='Open' value='true' momentary='true' automaticReadout='true' writable='false'/>\
    <date name='Start' value='2026-02-01' status='true'/>\
    <dateTime name='Set at' value='2026-02-01T08:00:00Z' status='true'/>\
    <duration name='Runtime' value='PT3M30S' status='true' computed='true'/>\
    <enum name='Mode' value='Eco' dataType='Modes' status='true'/>\
    <int name='Count' value='-5' historicalHour='true' historicalDay='true'/>\
    <long name='Total' value='5000000000' peak='true'/>\
    <numeric name='Temperature' value='21.50' unit='°C' momentary='true' \
    automaticEstimate='true' warning='true' module='M' stringIds='1,2'/>\
    <string name='Serial' value='a &amp; b' identity='true'/>\
    <time name='Alarm' value='08:00:00' status='true'/>\
    </timestamp></node></fields>";

fn field(name: &'static str, value: Value, categories: Categories) -> Field {
    Field {
        quality: Quality::NONE,
        categories,
        ..Field::momentary(text(name), value)
    }
}

#[test]
fn fields_of_every_type_are_read_as_in_xep_0323() {
    let status = Categories::STATUS;
    let fields = vec![
        Field {
            writable: Some(false),
            ..Field::momentary(text("Open"), Value::Boolean(true))
        },
        field("Start", Value::Date(text("2026-02-01")), status),
        field(
            "Set at",
            Value::DateTime(text("2026-02-01T08:00:00Z")),
            status,
        ),
        field(
            "Runtime",
            Value::Duration(text("PT3M30S")),
            status | Categories::COMPUTED,
        ),
        field(
            "Mode",
            Value::Enum {
                value: text("Eco"),
                data_type: text("Modes"),
            },
            status,
        ),
        field(
            "Count",
            Value::Int(-5),
            Categories::HISTORICAL_HOUR | Categories::HISTORICAL_DAY,
        ),
        field("Total", Value::Long(5_000_000_000), Categories::PEAK),
        Field {
            quality: Quality::AUTOMATIC_ESTIMATE | Quality::WARNING,
            module: Some(text("M")),
            string_ids: Some(text("1,2")),
            ..Field::momentary(
                text("Temperature"),
                Value::Numeric {
                    value: double("21.50"),
                    unit: text("°C"),
                },
            )
        },
        field("Serial", Value::String(text("a & b")), Categories::IDENTITY),
        field("Alarm", Value::Time(text("08:00:00")), status),
    ];
    let node = Node::new(text("Device01"));
    same(
        FIELDS,
        Fields::of(4, node, text("2026-02-03T19:00:00Z"), fields),
    );
}

#[test]
fn data_comes_with_its_node_and_time() {
    let data = read::<Fields>(&format!(
        "<fields {SD} seqnr='1'><node nodeId='a'>\
         <timestamp value='t1'><int name='x' value='1'/><int name='y' value='2'/></timestamp>\
         <timestamp value='t2'><int name='x' value='3'/></timestamp></node>\
         <node nodeId='b'><timestamp value='t1'><int name='x' value='4'/></timestamp></node>\
         </fields>"
    ))
    .unwrap();
    assert!(!data.done);
    let all = data.iter().map(|(node, at, field)| {
        let Value::Int(value) = field.value else {
            panic!()
        };
        format!("{} {at} {}={value}", node.id, field.name)
    });
    assert_eq!(
        all.collect::<Vec<_>>(),
        ["a t1 x=1", "a t1 y=2", "a t2 x=3", "b t1 x=4"]
    );
}

fn one_field(field: &str) -> String {
    format!(
        "<fields {SD} seqnr='1'><node nodeId='a'><timestamp value='t'>{field}</timestamp></node>\
         </fields>"
    )
}

#[test]
fn older_and_unknown_words_for_fields_do_no_harm() {
    let only = |xml: &str| {
        let data = read::<Fields>(&one_field(xml)).unwrap();
        data.iter().next().map(|(_, _, f)| f.value.clone())
    };
    // Before version 0.3.
    assert_eq!(
        only("<timeSpan name='a' value='PT1S'/>"),
        Some(Value::Duration(text("PT1S")))
    );
    assert_eq!(only("<matrix name='a' value='1'/>"), None);
    assert_eq!(only("<int xmlns='urn:x' name='a' value='x'/>"), None);
    // §5.5: a number that has no unit.
    assert_eq!(
        only("<numeric name='a' value='1'/>"),
        Some(Value::Numeric {
            value: double("1"),
            unit: text("")
        })
    );
}

#[test]
fn a_field_whose_value_is_none_of_its_type_is_refused() {
    for (kind, value) in [
        ("boolean", "yes"),
        ("boolean", ""),
        ("int", "2147483648"),
        ("int", "1.0"),
        ("long", "9223372036854775808"),
        ("numeric", "21,5"),
        ("numeric", "inf"),
        ("numeric", ""),
    ] {
        invalid::<Fields>(
            &one_field(&format!("<{kind} name='a' value='{value}' unit=''/>")),
            kind,
            "value",
        );
    }
    for kind in [
        "boolean", "date", "dateTime", "duration", "int", "long", "numeric", "string", "time",
    ] {
        lacks_in::<Fields>(&one_field(&format!("<{kind} name='a'/>")), kind, "value");
        let value = match kind {
            "boolean" => "true",
            _ => "1",
        };
        lacks_in::<Fields>(
            &one_field(&format!("<{kind} value='{value}'/>")),
            kind,
            "name",
        );
    }
    lacks_in::<Fields>(&one_field("<enum name='a' value='b'/>"), "enum", "dataType");
    invalid::<Fields>(
        &one_field("<int name='a' value='1' writable='maybe'/>"),
        "int",
        "writable",
    );
    lacks_in::<Fields>(
        &format!("<fields {SD} seqnr='1'><node/></fields>"),
        "node",
        "nodeId",
    );
    lacks_in::<Fields>(
        &format!("<fields {SD} seqnr='1'><node nodeId='a'><timestamp/></node></fields>"),
        "timestamp",
        "value",
    );
    lacks_in::<Request>(
        &format!("<req {SD} seqnr='1'><node/></req>"),
        "node",
        "nodeId",
    );
    lacks_in::<Request>(
        &format!("<req {SD} seqnr='1'><field/></req>"),
        "field",
        "name",
    );
}

#[test]
fn a_failure_is_read_as_in_xep_0323() {
    same(
        &format!(
            "<failure {SD} seqnr='2' done='true'>\
             <error nodeId='Device01' timestamp='2026-02-03T17:13:30'>Timeout.</error></failure>"
        ),
        Failure {
            id: 2.into(),
            done: true,
            errors: vec![NodeError {
                node: Node::new(text("Device01")),
                timestamp: text("2026-02-03T17:13:30"),
                text: text("Timeout."),
            }],
        },
    );
    lacks_in::<Failure>(
        &format!("<failure {SD} seqnr='2'><error timestamp='t'/></failure>"),
        "error",
        "nodeId",
    );
    lacks_in::<Failure>(
        &format!("<failure {SD} seqnr='2'><error nodeId='a'/></failure>"),
        "error",
        "timestamp",
    );
}

#[test]
fn a_rejection_of_old_is_found_in_an_iq_without_stanza_error() {
    let rejected = Rejected {
        id: Some(1.into()),
        errors: vec![text("Access denied.")],
    };
    let xml = format!("<rejected {SD} seqnr='1'><error>Access denied.</error></rejected>");
    same(&xml, rejected.clone());
    same(&format!("<rejected {SD}/>"), Rejected::default());
    invalid::<Rejected>(&format!("<rejected {SD} seqnr='x'/>"), "rejected", "seqnr");

    let iq = element(&format!("<iq type='error' id='1'>{xml}</iq>"));
    let Ok(Stanza::Iq(iq)) = Stanza::from_element(iq) else {
        panic!()
    };
    let IqKind::Error(error, child) = iq.kind else {
        panic!()
    };
    assert_eq!(error, StanzaError::default());
    assert_eq!(Rejected::find(&child), Ok(Some(rejected)));
}

#[test]
fn the_spelling_of_a_number_does_not_count() {
    for (seqnr, number) in [
        ("7", 7),
        ("+7", 7),
        ("007", 7),
        ("0", 0),
        ("-0", 0),
        ("-1", -1),
        ("2147483647", i32::MAX),
        ("-2147483648", i32::MIN),
    ] {
        let read = read::<Done>(&format!("<done {SD} seqnr='{seqnr}'/>")).unwrap();
        assert_eq!(read, Done { id: number.into() });
        assert_eq!(read.id.number(), Some(number));
    }
}

/// slixmpp waits for `done` on the last data and not for an element of its own.
#[test]
fn an_answer_in_one_says_that_it_is_the_last() {
    let data = Fields::of(1, Node::new(text("a")), text("t"), Vec::new());
    assert!(data.done);
    assert_eq!(data.to_element().attr("done"), Some("true"));
    let part = Fields {
        done: false,
        ..data
    };
    assert_eq!(part.to_element().attr("done"), None);
}

#[test]
fn each_flag_has_a_name_of_its_own() {
    for categories in Categories::ALL {
        let request = Request {
            categories: *categories,
            ..Request::default()
        };
        assert_eq!(request.to_element().attrs().count(), 2, "{categories:?}");
        assert_eq!(Request::from_element(&request.to_element()), Ok(request));
    }
    assert!(Categories::every().contains(Categories::PEAK | Categories::HISTORICAL_OTHER));
    assert!(!Categories::PEAK.contains(Categories::PEAK | Categories::STATUS));
    assert!(Categories::PEAK.intersects(Categories::PEAK | Categories::STATUS));
    assert!((Categories::STATUS | Categories::HISTORICAL_DAY).are_historical());
    assert!(!(Categories::STATUS | Categories::IDENTITY).are_historical());
    assert!(!Categories::NONE.are_historical());
    assert_eq!(
        format!("{:?}", Quality::SIGNED | Quality::MISSING),
        "{\"missing\", \"signed\"}"
    );
}

#[test]
fn tokens_that_let_in_are_not_shown() {
    let mut request = Request::momentary(1);
    request.tokens.user = Some(text("secret"));
    let shown = format!("{request:?}");
    assert!(
        !shown.contains("secret") && shown.contains("user: true"),
        "{shown}"
    );
}

// XEP-0325.

fn parameter(name: &'static str, value: Setting) -> Parameter {
    Parameter {
        name: text(name),
        value,
    }
}

#[test]
fn parameters_of_every_type_are_set_as_in_xep_0325() {
    same(
        &format!("<set {CTR}><boolean name='Output' value='true'/></set>"),
        Set::one(text("Output"), Setting::Boolean(true)),
    );
    let color = |alpha| Color {
        red: 0x33,
        green: 0x99,
        blue: 0xFF,
        alpha,
    };
    same(
        &format!(
            "<set {CTR} userToken='u' xml:lang='en'><node nodeId='Spot1' sourceId='S'/>\
             <boolean name='a' value='false'/><bool name='b' value='true'/>\
             <color name='c' value='3399FF'/><color name='c' value='3399FF07'/>\
             <date name='d' value='2026-05-01'/><dateTime name='e' value='2026-04-02T08:00:00'/>\
             <double name='4-20mA' value='8.190'/><duration name='f' value='PT3M30S'/>\
             <int name='g' value='50000'/><long name='h' value='500000000000000'/>\
             <string name='i' value='21.4 °C'/><time name='j' value='08:00:00'/></set>"
        ),
        Set {
            nodes: vec![Node {
                source: Some(text("S")),
                ..Node::new(text("Spot1"))
            }],
            parameters: vec![
                parameter("a", Setting::Boolean(false)),
                parameter("b", Setting::Bool(true)),
                parameter("c", Setting::Color(color(None))),
                parameter("c", Setting::Color(color(Some(7)))),
                parameter("d", Setting::Date(text("2026-05-01"))),
                parameter("e", Setting::DateTime(text("2026-04-02T08:00:00"))),
                parameter("4-20mA", Setting::Double(double("8.190"))),
                parameter("f", Setting::Duration(text("PT3M30S"))),
                parameter("g", Setting::Int(50_000)),
                parameter("h", Setting::Long(500_000_000_000_000)),
                parameter("i", Setting::String(text("21.4 °C"))),
                parameter("j", Setting::Time(text("08:00:00"))),
            ],
            form: None,
            tokens: Tokens {
                user: Some(text("u")),
                ..Tokens::default()
            },
            lang: Some(text("en")),
        },
    );
    same(
        &format!("<set {CTR}><x xmlns='jabber:x:data' type='submit'/></set>"),
        Set {
            form: Some(Element::new("x", ns::FORMS).with_attr("type", text("submit"))),
            ..Set::default()
        },
    );
}

#[test]
fn a_command_is_understood_as_a_whole_or_refused() {
    let set = |parameter: &str| format!("<set {CTR}><int name='a' value='1'/>{parameter}</set>");
    for (kind, value) in [
        ("boolean", "on"),
        ("bool", "TRUE"),
        ("color", "39F"),
        ("color", "3399FG"),
        ("color", "+339FF"),
        ("color", "33é9F"),
        ("double", "8,1"),
        ("int", "5.0"),
        ("long", ""),
    ] {
        invalid::<Set>(
            &set(&format!("<{kind} name='b' value='{value}'/>")),
            kind,
            "value",
        );
    }
    for kind in [
        "boolean", "color", "double", "int", "long", "string", "time",
    ] {
        lacks_in::<Set>(&set(&format!("<{kind} name='b'/>")), kind, "value");
    }
    lacks_in::<Set>(&set("<string value='b'/>"), "string", "name");
    lacks_in::<Set>(&set("<node/>"), "node", "nodeId");
    // What is not known might have been what mattered.
    invalid::<Set>(
        &set("<matrix name='b' value='1'/>"),
        "set",
        "parameter type",
    );
    assert!(read::<Set>(&set("<note xmlns='urn:x'/>")).is_ok());
}

#[test]
fn a_response_is_read_in_its_old_and_new_form() {
    same(&format!("<setResponse {CTR}/>"), SetResponse::default());
    same(
        &format!("<setResponse {CTR} responseCode='OK'/>"),
        SetResponse::ok(),
    );
    assert!(SetResponse::default().succeeded() && SetResponse::ok().succeeded());
    let partly = SetResponse {
        nodes: vec![Node::new(text("Output2"))],
        parameters: vec![text("Level")],
        ..SetResponse::ok()
    };
    assert!(partly.succeeded());
    same(
        &format!(
            "<setResponse {CTR} responseCode='OK'><node nodeId='Output2'/>\
             <parameter name='Level'/></setResponse>"
        ),
        partly,
    );
    let failed = SetResponse {
        code: Some(ResponseCode::FormError),
        errors: vec![ParameterError {
            name: text("Level"),
            text: text("Out of range."),
        }],
        ..SetResponse::default()
    };
    assert!(!failed.succeeded());
    same(
        &format!(
            "<setResponse {CTR} responseCode='FormError'>\
             <error var='Level'>Out of range.</error></setResponse>"
        ),
        failed,
    );
    lacks_in::<SetResponse>(
        &format!("<setResponse {CTR}><error/></setResponse>"),
        "error",
        "var",
    );
    lacks_in::<SetResponse>(
        &format!("<setResponse {CTR}><parameter/></setResponse>"),
        "parameter",
        "name",
    );
}

#[test]
fn nothing_but_ok_means_that_a_command_was_carried_out() {
    for code in ResponseCode::ALL {
        let response = read::<SetResponse>(&format!(
            "<setResponse {CTR} responseCode='{}'/>",
            code.as_str()
        ));
        let response = response.unwrap();
        assert_eq!(response.code, Some(code));
        assert_eq!(response.succeeded(), code == ResponseCode::Ok);
    }
    for unknown in ["", "ok", "Fine"] {
        let response =
            read::<SetResponse>(&format!("<setResponse {CTR} responseCode='{unknown}'/>"));
        assert!(!response.unwrap().succeeded(), "{unknown}");
    }
    let contradiction =
        format!("<setResponse {CTR} responseCode='OK'><error var='a'/></setResponse>");
    assert!(!read::<SetResponse>(&contradiction).unwrap().succeeded());
}

/// slixmpp says so: no stanza error, but a response in a stanza of type `error`.
#[test]
fn a_failed_command_of_old_is_found_in_an_iq_without_stanza_error() {
    let iq = element(&format!(
        "<iq type='error' id='1'><setResponse {CTR} responseCode='NotFound'>\
         <node nodeId='a'/><parameter name='Level'/>\
         <error var='Output'>Invalid field Level</error></setResponse></iq>"
    ));
    let Ok(Stanza::Iq(iq)) = Stanza::from_element(iq) else {
        panic!()
    };
    let IqKind::Error(error, child) = iq.kind else {
        panic!()
    };
    assert_eq!(error, StanzaError::default());
    let response = SetResponse::find(&child).unwrap().unwrap();
    assert_eq!(response.code, Some(ResponseCode::NotFound));
    assert_eq!(response.parameters, [text("Level")]);
    assert_eq!(response.errors.len(), 1);
    assert!(!response.succeeded());
}

/// Smack's word for a boolean parameter is not that of the XEP.
#[test]
fn a_command_of_smack_is_understood_and_written_as_smack_wants_it() {
    same(
        &format!("<set {CTR}><bool name='Output' value='true'/></set>"),
        Set::one(text("Output"), Setting::Bool(true)),
    );
}

#[test]
fn a_refused_command_names_the_parameter_in_the_stanza_error() {
    let wrong = ParameterError {
        name: text("Output"),
        text: text("Invalid type."),
    };
    same(
        &format!("<paramError {CTR} var='Output'>Invalid type.</paramError>"),
        wrong.clone(),
    );
    lacks::<ParameterError>(&format!("<paramError {CTR}/>"), "var");
    let mut error = StanzaError::new(ErrorType::Modify, DefinedCondition::BadRequest);
    error.application = Some(Box::new(wrong.to_element()));
    let read = StanzaError::from_element(&error.to_element()).unwrap();
    assert_eq!(
        ParameterError::find(read.application.as_deref()),
        Ok(Some(wrong))
    );
}

#[test]
fn a_form_is_asked_for_as_in_xep_0325() {
    same(&format!("<getForm {CTR}/>"), GetForm::default());
    same(
        &format!("<getForm {CTR} deviceToken='d' xml:lang='en'><node nodeId='a'/></getForm>"),
        GetForm {
            nodes: vec![Node::new(text("a"))],
            tokens: Tokens {
                device: Some(text("d")),
                ..Tokens::default()
            },
            lang: Some(text("en")),
        },
    );
    let missing = PayloadError::MissingAttribute {
        element: "node",
        attribute: "nodeId",
    };
    assert_eq!(
        read::<GetForm>(&format!("<getForm {CTR}><node/></getForm>")),
        Err(missing)
    );
}

// Round trips.

proptest! {
    #[test]
    fn sensor_data_comes_back_as_it_went(
        (id, done) in (numbers(), any::<bool>()),
        nodes in vec(node_fields(), 0..3),
        failed in vec((node(), values::text(), values::text()), 0..3),
    ) {
        let errors = failed.into_iter();
        let errors = errors.map(|(node, timestamp, text)| NodeError { node, timestamp, text });
        travels(&Failure { id: id.clone(), done, errors: errors.collect() });
        travels(&Fields { id, done, nodes });
    }

    #[test]
    fn read_outs_come_back_as_they_went(
        (request, accepted) in (requests(numbers()), any::<bool>()),
        errors in texts(),
    ) {
        let id = &request.id;
        travels(&Accepted { id: id.clone(), queued: accepted });
        travels(&Rejected { id: accepted.then(|| id.clone()), errors });
        travels(&Started { id: id.clone() });
        travels(&Cancel { id: id.clone() });
        travels(&Cancelled { id: id.clone() });
        travels(&Done { id: id.clone() });
        travels(&request);
    }

    #[test]
    fn control_comes_back_as_it_went(
        (nodes, parameters) in (vec(node(), 0..3), parameters(setting())),
        (tokens, lang, form) in (tokens(), maybe_text(), any::<bool>()),
        response in responses(),
    ) {
        let form = form.then(|| Element::new("x", ns::FORMS));
        travels(&GetForm { nodes: nodes.clone(), tokens: tokens.clone(), lang: lang.clone() });
        travels(&Set { nodes, parameters, form, tokens, lang });
        travels(&response);
    }
}

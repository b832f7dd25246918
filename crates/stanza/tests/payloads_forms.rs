//! Data forms (XEP-0004) and result set management (XEP-0059): read, written, refused.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;
mod laws;

use given::examples::{child_lacks, invalid, lacks, read, same, text};
use given::values;
use laws::travels;
use proptest::prelude::*;
use stanchion_stanza::payload::forms::{Field, FieldOption, FieldType, Form, FormType};
use stanchion_stanza::payload::rsm::{Page, PageRequest, Position, Range};
use stanchion_stanza::payload::{Payload, PayloadError};
use stanchion_stanza::{Element, Text};

fn form(kind: &str, content: &str) -> String {
    format!("<x xmlns='jabber:x:data' type='{kind}'>{content}</x>")
}

fn field(var: &'static str, kind: FieldType, value: &'static str) -> Field {
    Field::new(text(var), text(value)).with_kind(kind)
}

#[test]
fn a_form_to_fill_in_is_read_with_all_its_fields() {
    let heading = Field {
        kind: Some(FieldType::Fixed),
        values: vec![text("Lamp")],
        ..Field::default()
    };
    let option = |label, value| FieldOption {
        label: Some(text(label)),
        value: text(value),
    };
    let colour = Field {
        label: Some(text("Colour")),
        desc: Some(text("Of the light")),
        required: true,
        options: vec![option("Warm", "2700"), option("Cold", "6500")],
        ..field("colour", FieldType::ListSingle, "2700")
    };
    let rule = Element::new("validate", "http://jabber.org/protocol/xdata-validate");
    let days = Field {
        values: vec![text("mon"), text("tue")],
        extensions: vec![rule],
        ..field("days", FieldType::ListMulti, "")
    };
    let mut lamp = Form::of(FormType::Form, text("urn:example:lamp"));
    lamp.title = Some(text("A lamp"));
    lamp.instructions = vec![text("Fill in."), text("Send.")];
    same(
        &form(
            "form",
            "<title>A lamp</title><instructions>Fill in.</instructions>\
             <instructions>Send.</instructions>\
             <field var='FORM_TYPE' type='hidden'><value>urn:example:lamp</value></field>\
             <field type='fixed'><value>Lamp</value></field>\
             <field var='on' type='boolean'><value>1</value></field>\
             <field var='colour' type='list-single' label='Colour'><desc>Of the light</desc>\
             <required/><value>2700</value><option label='Warm'><value>2700</value></option>\
             <option label='Cold'><value>6500</value></option></field>\
             <field var='days' type='list-multi'><value>mon</value><value>tue</value>\
             <validate xmlns='http://jabber.org/protocol/xdata-validate'/></field>\
             <field var='owner' type='jid-single'><value>a@example.org</value></field>\
             <field var='code' type='text-private'><value>0000</value></field>",
        ),
        lamp.with(heading)
            .with(field("on", FieldType::Boolean, "1"))
            .with(colour)
            .with(days)
            .with(field("owner", FieldType::JidSingle, "a@example.org"))
            .with(field("code", FieldType::TextPrivate, "0000")),
    );
}

#[test]
fn a_result_has_columns_and_rows() {
    let column = |var, kind| Field {
        var: Some(text(var)),
        kind: Some(kind),
        ..Field::default()
    };
    let row = |name, url| {
        vec![
            Field::new(text("name"), text(name)),
            Field::new(text("url"), text(url)),
        ]
    };
    let mut found = Form::of(FormType::Result, text("urn:example:search"));
    found.reported = vec![
        column("name", FieldType::TextSingle),
        column("url", FieldType::TextSingle),
    ];
    found.items = vec![row("a", "urn:a"), row("b", "")];
    let xml = form(
        "result",
        "<field var='FORM_TYPE' type='hidden'><value>urn:example:search</value></field>\
         <reported><field var='name' type='text-single'/><field var='url' type='text-single'/>\
         </reported><item><field var='name'><value>a</value></field>\
         <field var='url'><value>urn:a</value></field></item>\
         <item><field var='name'><value>b</value></field><field var='url'><value/></field></item>",
    );
    same(&xml, found);
}

#[test]
fn every_type_of_form_and_field_has_its_name() {
    for kind in FormType::ALL {
        same(&form(kind.as_str(), ""), Form::new(*kind));
    }
    for kind in FieldType::ALL {
        let xml = format!(
            "<field var='v' type='{}'><value>x</value></field>",
            kind.as_str()
        );
        let field = Field::new(text("v"), text("x")).with_kind(*kind);
        same(&form("form", &xml), Form::new(FormType::Form).with(field));
    }
    assert_eq!((FormType::ALL.len(), FieldType::ALL.len()), (4, 10));
}

#[test]
fn only_a_hidden_field_says_what_a_form_is_about() {
    let about = |kind: &str, attributes: &str| {
        let field = format!("<field var='FORM_TYPE'{attributes}><value>urn:f</value></field>");
        let form = read::<Form>(&form(kind, &field)).unwrap();
        form.form_type().map(str::to_owned)
    };
    let known = Some("urn:f".to_owned());
    for kind in ["form", "result", "submit"] {
        assert_eq!(about(kind, " type='hidden'"), known);
        assert_eq!(about(kind, " type='text-single'"), None);
    }
    // XEP-0068 §3: what answers a form need not repeat the types.
    assert_eq!(about("submit", ""), known);
    assert_eq!(about("form", ""), None);
    assert_eq!(about("result", ""), None);
}

#[test]
fn fields_are_found_by_name() {
    let form = Form::of(FormType::Submit, text("urn:f"))
        .with(Field::with_values(text("a"), vec![text("1"), text("2")]))
        .with(Field::new(text("a"), text("3")))
        .with(Field::with_values(text("b"), Vec::new()));
    assert_eq!(form.value("a"), Some(&text("1")));
    assert_eq!(form.value("b"), None);
    assert!(form.field("b").is_some() && form.field("c").is_none());
}

#[test]
fn a_broken_form_is_refused() {
    lacks::<Form>("<x xmlns='jabber:x:data'/>", "type");
    invalid::<Form>("<x xmlns='jabber:x:data' type='ask'/>", "x", "type");
    for place in ["{}", "<reported>{}</reported>", "<item>{}</item>"] {
        let nameless = form("form", &place.replace("{}", "<field type='hidden'/>"));
        child_lacks::<Form>(&nameless, "field", "var");
    }
    let option = form("form", "<field var='v'><option label='l'/></field>");
    let lacks_value = PayloadError::MissingChild {
        element: "option",
        child: "value",
    };
    assert_eq!(read::<Form>(&option), Err(lacks_value));
}

#[test]
fn what_a_form_does_not_know_is_passed_over() {
    let plain = form("form", "<field var='v'><value>x</value></field>");
    let strange = form(
        "form",
        "<page xmlns='urn:x'/>words<nonsense/>\
         <field var='v' type='colour-picker' what='1'><nonsense/><value>x</value></field>",
    );
    assert_eq!(read::<Form>(&strange), read::<Form>(&plain));
}

#[test]
fn what_is_secret_in_a_form_is_not_shown() {
    for field in [
        Field::new(text("code"), text("hunter2")).with_kind(FieldType::TextPrivate),
        Field::new(text("muc#roomconfig_roomsecret"), text("hunter2")),
        Field::new(text("password"), text("hunter2")),
    ] {
        let shown = format!("{:?}", Form::new(FormType::Submit).with(field));
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

// XEP-0059.

fn set(content: &str) -> String {
    format!("<set xmlns='http://jabber.org/protocol/rsm'>{content}</set>")
}

#[test]
fn a_page_is_asked_for_as_in_xep_0059() {
    same(&set(""), PageRequest::default());
    for (xml, position) in [
        ("", Position::First),
        ("<after>u7</after>", Position::After(text("u7"))),
        ("<before>u7</before>", Position::Before(text("u7"))),
        ("<before/>", Position::Last),
        ("<index>371</index>", Position::Index(371)),
    ] {
        let request = PageRequest::of(10, position);
        same(&set(&format!("<max>10</max>{xml}")), request);
    }
    same(&set("<max>0</max>"), PageRequest::of(0, Position::First));
}

#[test]
fn a_page_is_answered_as_in_xep_0059() {
    same(&set(""), Page::default());
    let empty = Page {
        range: None,
        count: Some(790),
    };
    same(&set("<count>790</count>"), empty);
    let range = |index| Range {
        first: text("u1"),
        index,
        last: text("u9"),
    };
    same(
        &set("<first index='10'>u1</first><last>u9</last><count>800</count>"),
        Page {
            range: Some(range(Some(10))),
            count: Some(800),
        },
    );
    same(
        &set("<first>u1</first><last>u9</last>"),
        Page {
            range: Some(range(None)),
            count: None,
        },
    );
}

#[test]
fn a_broken_page_is_refused() {
    for number in ["-1", "x", "", "4294967296", "1.5"] {
        invalid::<PageRequest>(&set(&format!("<max>{number}</max>")), "set", "max");
        invalid::<PageRequest>(&set(&format!("<index>{number}</index>")), "set", "index");
        invalid::<Page>(&set(&format!("<count>{number}</count>")), "set", "count");
        let first = format!("<first index='{number}'>u1</first><last>u9</last>");
        match number {
            // ejabberd says so where it knows no index.
            "-1" => {
                let page = read::<Page>(&set(&first)).unwrap();
                assert_eq!(page.range.unwrap().index, None);
            }
            _ => invalid::<Page>(&set(&first), "first", "index"),
        }
    }
    for two in [
        "<after>a</after><before/>",
        "<before>b</before><index>0</index>",
    ] {
        invalid::<PageRequest>(&set(two), "set", "position");
    }
    for (half, child) in [("<first>a</first>", "last"), ("<last>a</last>", "first")] {
        let missing = PayloadError::MissingChild {
            element: "set",
            child,
        };
        assert_eq!(read::<Page>(&set(half)), Err(missing));
    }
}

proptest! {
    #[test]
    fn forms_come_back_as_they_went(form in values::form()) {
        travels(&form);
    }

    #[test]
    fn pages_come_back_as_they_went(request in values::page_request(), page in values::page()) {
        travels(&request);
        travels(&page);
    }

    #[test]
    fn the_form_type_that_was_given_is_found(kind in prop::sample::select(FormType::ALL), about in values::text()) {
        let form = Form::of(kind, about.clone());
        let again = Form::from_element(&form.to_element()).unwrap();
        prop_assert_eq!(again.form_type(), Some(about.as_str()));
        prop_assert_eq!(again.value("FORM_TYPE").map(Text::as_str), Some(about.as_str()));
    }
}

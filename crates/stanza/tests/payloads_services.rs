//! What services are asked, as its XEP shows it, values shortened: read, compared,
//! written back, and refused where broken.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod laws;
mod support;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stanchion_stanza::payload::Payload;
use stanchion_stanza::payload::commands::{
    Action, Actions, Command, Condition, Note, Severity, Status,
};
use stanchion_stanza::payload::register::{Feature, Field, FieldName, Query, Registration};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};
use stanchion_stanza::{Element, ns};
use support::values::{extensions, maybe_text, some_text, travels};
use support::{element, invalid, lacks, means, read, same, text, values};

const REGISTER: &str = "xmlns='jabber:iq:register'";
const COMMANDS: &str = "xmlns='http://jabber.org/protocol/commands'";

fn field(name: FieldName, value: &'static str) -> Field {
    Field {
        name,
        value: text(value),
    }
}

#[test]
fn registration_is_read_as_in_xep_0077() {
    same(&format!("<query {REGISTER}/>"), Query::get());
    same(
        &format!(
            "<query {REGISTER}><instructions>Choose.</instructions><username/><password/>\
             <email/></query>"
        ),
        Query::Registration(Registration {
            instructions: Some(text("Choose.")),
            fields: vec![
                field(FieldName::Username, ""),
                field(FieldName::Password, ""),
                field(FieldName::Email, ""),
            ],
            ..Registration::default()
        }),
    );
    same(
        &format!(
            "<query {REGISTER}><username>bill</username><password>Calliope</password></query>"
        ),
        Query::Registration(Registration::account(text("bill"), text("Calliope"))),
    );
    same(
        "<register xmlns='http://jabber.org/features/iq-register'/>",
        Feature,
    );
}

#[test]
fn a_registration_may_be_a_form_or_a_page() {
    let registration = Registration {
        registered: true,
        instructions: Some(text("Visit us.")),
        form: Some(Element::new("x", ns::FORMS).with_attr("type", text("form"))),
        url: Some(text("https://example.org/register")),
        ..Registration::default()
    };
    same(
        &format!(
            "<query {REGISTER}><registered/><instructions>Visit us.</instructions>\
             <x xmlns='jabber:x:data' type='form'/>\
             <x xmlns='jabber:x:oob'><url>https://example.org/register</url></x></query>"
        ),
        Query::Registration(registration),
    );
}

#[test]
fn every_field_has_its_element() {
    for name in FieldName::ALL {
        let xml = format!("<query {REGISTER}><{0}>v</{0}></query>", name.as_str());
        let Ok(Query::Registration(registration)) = read::<Query>(&xml) else {
            panic!("{xml}")
        };
        assert_eq!(registration.fields, [field(*name, "v")]);
        assert_eq!(registration.field(*name), Some(&text("v")));
    }
    assert_eq!(FieldName::ALL.len(), 17);
    means(
        &format!("<query {REGISTER}><shoe-size>43</shoe-size></query>"),
        Query::get(),
    );
}

#[test]
fn an_account_goes_only_by_a_request_for_nothing_else() {
    same(
        &format!("<query {REGISTER}><remove/></query>"),
        Query::Remove,
    );
    for more in ["<username>bill</username>", "<x xmlns='jabber:x:data'/>"] {
        invalid::<Query>(
            &format!("<query {REGISTER}><remove/>{more}</query>"),
            "query",
            "remove",
        );
    }
}

#[test]
fn a_password_to_register_is_not_shown() {
    let account = Query::Registration(Registration::account(text("bill"), text("secret")));
    for shown in [
        format!("{account:?}"),
        format!("{:?}", account.to_element()),
    ] {
        assert!(
            shown.contains("bill") && !shown.contains("secret"),
            "{shown}"
        );
    }
}

#[test]
fn commands_are_read_as_in_xep_0050() {
    same(
        &format!("<command {COMMANDS} node='list'/>"),
        Command::new(text("list")),
    );
    means(
        &format!("<command {COMMANDS} node='list' action='execute'/>"),
        Command::new(text("list")),
    );
    let answer = Command {
        session: Some(text("config:1")),
        status: Some(Status::Executing),
        lang: Some(text("en")),
        actions: Some(Actions {
            prev: true,
            next: true,
            complete: true,
            execute: Some(Action::Complete),
        }),
        notes: vec![
            Note {
                severity: Severity::Warn,
                text: text("Nearly full."),
            },
            Note {
                severity: Severity::Info,
                text: text("Third stage."),
            },
        ],
        payload: vec![Element::new("x", ns::FORMS).with_attr("type", text("form"))],
        ..Command::new(text("config"))
    };
    same(
        &format!(
            "<command {COMMANDS} node='config' sessionid='config:1' status='executing' \
             xml:lang='en'><actions execute='complete'><prev/><next/><complete/></actions>\
             <note type='warn'>Nearly full.</note><note type='info'>Third stage.</note>\
             <x xmlns='jabber:x:data' type='form'/></command>"
        ),
        answer.clone(),
    );
    same(
        &format!(
            "<command {COMMANDS} node='config' sessionid='config:1' action='prev' \
             xml:lang='en'/>"
        ),
        answer.follow_up(Action::Prev),
    );
    means(
        &format!("<command {COMMANDS} node='a'><note>b</note><note type='?'>b</note></command>"),
        Command {
            notes: vec![
                Note {
                    severity: Severity::Info,
                    text: text("b"),
                };
                2
            ],
            ..Command::new(text("a"))
        },
    );
}

#[test]
fn a_command_that_breaks_xep_0050_is_refused() {
    lacks::<Command>(&format!("<command {COMMANDS}/>"), "node");
    for (attribute, value) in [
        ("action", "explode"),
        ("action", ""),
        ("status", "done"),
        ("sessionid", ""),
    ] {
        invalid::<Command>(
            &format!("<command {COMMANDS} node='a' {attribute}='{value}'/>"),
            "command",
            attribute,
        );
    }
    invalid::<Command>(
        &format!("<command {COMMANDS} node='a'><actions execute='stop'/></command>"),
        "actions",
        "execute",
    );
}

#[test]
fn the_default_action_is_the_one_named_or_else_the_next_stage() {
    let actions = |next, execute| Actions {
        next,
        execute,
        complete: true,
        prev: true,
    };
    let complete = Some(Action::Complete);
    assert_eq!(actions(true, complete).default_action(), complete);
    assert_eq!(actions(true, None).default_action(), Some(Action::Next));
    assert_eq!(actions(false, None).default_action(), None);
}

#[test]
fn a_completed_command_may_have_failed() {
    let answer = |status: &str, note: &str| {
        let xml = format!(
            "<command {COMMANDS} node='a' status='{status}'><note type='{note}'>b</note></command>"
        );
        read::<Command>(&xml).unwrap().succeeded()
    };
    assert!(answer("completed", "warn"));
    assert!(!answer("completed", "error"));
    assert!(!answer("canceled", "info"));
    assert!(!answer("executing", "info"));
}

#[test]
fn a_refused_command_says_why_in_the_stanza_error() {
    for condition in Condition::ALL {
        let mut error = StanzaError::new(ErrorType::Modify, DefinedCondition::BadRequest);
        error.application = Some(Box::new(condition.to_element()));
        let read = StanzaError::from_element(&error.to_element()).unwrap();
        let read = read
            .application
            .as_deref()
            .and_then(Condition::from_element);
        assert_eq!(read, Some(*condition));
    }
    assert_eq!(Condition::from_element(&element("<bad-action/>")), None);
}

fn commands() -> impl Strategy<Value = Command> {
    let action = prop::sample::select(Action::ALL);
    let actions = (any::<[bool; 3]>(), option::of(action.clone())).prop_map(
        |([prev, next, complete], execute)| Actions {
            prev,
            next,
            complete,
            execute,
        },
    );
    let note = (prop::sample::select(Severity::ALL), values::text())
        .prop_map(|(severity, text)| Note { severity, text });
    (
        (values::text(), option::of(some_text()), maybe_text()),
        (action, option::of(prop::sample::select(Status::ALL))),
        (option::of(actions), vec(note, 0..3), extensions()),
    )
        .prop_map(
            |((node, session, lang), (action, status), (actions, notes, payload))| Command {
                node,
                session,
                action,
                status,
                lang,
                actions,
                notes,
                payload,
            },
        )
}

fn registrations() -> impl Strategy<Value = Registration> {
    let field = (prop::sample::select(FieldName::ALL), values::text())
        .prop_map(|(name, value)| Field { name, value });
    let form = option::of(extensions())
        .prop_map(|children| children.map(|c| Element::new("x", ns::FORMS).with_children(c)));
    let rest = (any::<bool>(), maybe_text(), form, maybe_text());
    (rest, vec(field, 0..4)).prop_map(|((registered, instructions, form, url), fields)| {
        Registration {
            registered,
            instructions,
            fields,
            form,
            url,
        }
    })
}

proptest! {
    #[test]
    fn commands_come_back_as_they_went(command in commands()) {
        travels(&command);
    }

    #[test]
    fn registrations_come_back_as_they_went(registration in registrations()) {
        travels(&Query::Registration(registration));
    }
}

//! Accounts made in band (XEP-0077): what servers may answer, and what never goes out.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod scripted;

use scripted::{Script, World};
use stanchion_connect::registration::RegisterError;
use stanchion_connect::{ConnectError, Phase};
use stanchion_stanza::payload::register::{FieldName, Registration};
use stanchion_transport::TlsMode;

const ASKED: &str = "<iq type='result' id='ID'><query xmlns='jabber:iq:register'>\
    <username/><password/></query></iq>";
const MADE: &str = "<iq type='result' id='ID'/>";

/// What becomes of an account where the server answers so.
async fn register(answers: &'static [&'static str]) -> Result<(), RegisterError> {
    let mut world = World::new();
    let script = Script {
        in_band: Some(answers),
        ..Script::default()
    };
    world.add(5222, TlsMode::StartTls, script);
    let connector = world.connector();
    connector.register(&"r0m30".to_owned().into()).await
}

fn refused(condition: &str) -> String {
    format!(
        "<iq type='error' id='ID'><error type='cancel'>\
         <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>"
    )
}

#[tokio::test(start_paused = true)]
async fn an_account_is_made_and_what_is_not_asked_for_is_passed_over() {
    register(&[ASKED, MADE]).await.unwrap();
    const NOISE: &str = "<message/><iq type='result' id='other'/><iq type='get' id='ID'><x/></iq>\
        <iq type='result' id='ID'/>";
    register(&[ASKED, NOISE]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_named() {
    let leak = |text: String| -> &'static str { Box::leak(text.into_boxed_str()) };
    for (condition, expected) in [
        ("conflict", "taken"),
        ("not-acceptable", "does not accept"),
        ("resource-constraint", "try later"),
        ("not-allowed", "ask its operator"),
        ("service-unavailable", "ask its operator"),
    ] {
        let refusal = leak(refused(condition));
        let answers: &'static [&'static str] = Box::leak(Box::new([ASKED, refusal]));
        let error = register(answers).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{condition}: {error}");
        // Some refuse at once.
        let answers: &'static [&'static str] = Box::leak(Box::new([refusal]));
        let error = register(answers).await.unwrap_err();
        assert!(error.to_string().contains(expected), "{condition}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn more_than_a_name_and_a_password_is_for_the_caller_to_give() {
    const EMAIL: &str = "<iq type='result' id='ID'><query xmlns='jabber:iq:register'>\
        <username/><password/><email/></query></iq>";
    const FORM: &str = "<iq type='result' id='ID'><query xmlns='jabber:iq:register'>\
        <x xmlns='jabber:x:data' type='form'/></query></iq>";
    for more in [&[EMAIL][..], &[FORM]] {
        let error = register(more).await.unwrap_err();
        assert!(matches!(error, RegisterError::MoreAsked(_)), "{error}");
    }
    let mut world = World::new();
    let script = Script {
        in_band: Some(&[EMAIL, MADE]),
        ..Script::default()
    };
    world.add(5222, TlsMode::Direct, script);
    let mut registering = world.connector().begin_registration().await.unwrap();
    assert!(registering.asked().field(FieldName::Email).is_some());
    registering.submit(Registration::default()).await.unwrap();
    registering.close().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_goes_out_without_tls() {
    let mut world = World::new();
    let script = Script {
        no_tls: true,
        in_band: Some(&[ASKED, MADE]),
        ..Script::default()
    };
    world.add(5222, TlsMode::StartTls, script.clone());
    let mut config = world.config();
    // Not even where a login would.
    config.plaintext = stanchion_connect::config::Plaintext::Allow;
    let connector = world.connector_with("r0m30", config);
    let error = connector
        .register(&"r0m30".to_owned().into())
        .await
        .unwrap_err();
    let RegisterError::Connect(ConnectError::TlsNotOffered) = error else {
        panic!("{error}")
    };
}

#[tokio::test(start_paused = true)]
async fn a_server_that_says_nothing_or_nonsense_ends_the_attempt() {
    let error = register(&[ASKED]).await.unwrap_err();
    assert!(
        matches!(
            error,
            RegisterError::Connect(ConnectError::Deadline {
                phase: Phase::Stream,
                ..
            })
        ),
        "{error}"
    );
    let flood: &'static str = Box::leak("<presence/>".repeat(100).into_boxed_str());
    let answers: &'static [&'static str] = Box::leak(Box::new([flood]));
    for answers in [
        answers,
        &["<iq type='result' id='ID'/>"],
        &["<iq type='result' id='ID'><query xmlns='urn:x'/></iq>"],
        &["<a></b>"],
    ] {
        let error = register(answers).await.unwrap_err();
        assert!(
            matches!(
                error,
                RegisterError::Connect(ConnectError::PeerMisbehaved { .. })
            ),
            "{answers:?}: {error}"
        );
    }
}

//! What a hostile or broken server sends to a client.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use common::*;
use stanchion_sasl::scram::{MAX_MESSAGE_BYTES, MessageError, ServerError};
use stanchion_sasl::*;

/// The client's nonce in these tests.
const OURS: &str = "AgICAgICAgICAgICAgICAgICAgICAgIC";

fn begun() -> ClientAuth {
    let offer = Offer {
        mechanisms: vec!["SCRAM-SHA-256"],
        ..Offer::default()
    };
    let channel = tls(ChannelBindings::default());
    let credentials = Credentials::password("alice", "wonderland");
    let mut client =
        ClientAuth::select(&offer, &channel, &credentials, &client_policy(), nonce(2)).unwrap();
    let first = client.initial_response().unwrap().unwrap();
    assert_eq!(first, format!("n,,n=alice,r={OURS}").into_bytes());
    client
}

/// A client that has sent its proof, and waits for the server's.
fn proved() -> ClientAuth {
    let mut client = begun();
    let first = format!("r={OURS}xyz,s=c2FsdA==,i=64");
    client.challenge(first.as_bytes()).unwrap();
    client
}

#[test]
fn a_server_first_message_out_of_form_is_refused() {
    use AuthError as E;
    use MessageError as M;
    let missing = |expected| E::Malformed(M::Missing { expected });
    let long = "x".repeat(MAX_MESSAGE_BYTES);
    for (message, error) in [
        ("", missing('r')),
        (",", missing('r')),
        ("=", missing('r')),
        ("r", missing('r')),
        ("r=", E::Malformed(M::BadValue('r'))),
        // Two messages on which a parser that counts commas falls over.
        ("r=OURSxyz,,i=1", missing('s')),
        ("r=OURSxyz,s=,i=64", E::Malformed(M::BadValue('s'))),
        ("r=OURSxyz", missing('s')),
        ("r=OURSxyz,s=c2FsdA==", missing('i')),
        ("s=c2FsdA==,r=OURSxyz,i=64", missing('r')),
        ("r=OURSxyz,i=64,s=c2FsdA==", missing('s')),
        (
            "m=1,r=OURSxyz,s=c2FsdA==,i=64",
            E::Malformed(M::MandatoryExtension),
        ),
        (
            "r=OURSxyz,s=c2FsdA==,i=64,m=1",
            E::Malformed(M::MandatoryExtension),
        ),
        (
            "r=OURSxyz,r=OURSxyz,s=c2FsdA==,i=64",
            E::Malformed(M::Duplicate('r')),
        ),
        (
            "r=OURSxyz,s=c2FsdA==,i=64,i=1",
            E::Malformed(M::Duplicate('i')),
        ),
        (
            "r=OURSxyz,s=c2FsdA==,i=64,h=a,h=b",
            E::Malformed(M::Duplicate('h')),
        ),
        ("r=OURSxyz,s=c2FsdA==,i=64,", missing('x')),
        ("r=OURSxyz,s=c2FsdA==,i=64,5=x", missing('x')),
        (
            "r=OURSxyz,s=not base64,i=64",
            E::Malformed(M::BadValue('s')),
        ),
        ("r=OURSxyz,s=c2FsdA,i=64", E::Malformed(M::BadValue('s'))),
        ("r=OURSxyz,s=c2FsdA==,i=0", E::Malformed(M::BadValue('i'))),
        ("r=OURSxyz,s=c2FsdA==,i=-64", E::Malformed(M::BadValue('i'))),
        ("r=OURSxyz,s=c2FsdA==,i=64x", E::Malformed(M::BadValue('i'))),
        (
            "r=OURSx\u{7f}yz,s=c2FsdA==,i=64",
            E::Malformed(M::BadValue('r')),
        ),
        ("r=OURSxyz,s=c2FsdA==,i=64,x=\0", E::Malformed(M::NotText)),
        (long.as_str(), E::Malformed(M::Missing { expected: 'r' })),
        (&format!("{long}x"), E::Malformed(M::TooLong)),
        // The nonce must be ours, with something added.
        ("r=OURS,s=c2FsdA==,i=64", E::NonceMismatch),
        ("r=xOURSxyz,s=c2FsdA==,i=64", E::NonceMismatch),
        ("r=other,s=c2FsdA==,i=64", E::NonceMismatch),
        (
            "r=agicAGICAGICAGICAGICAGICAGICAGICxyz,s=c2FsdA==,i=64",
            E::NonceMismatch,
        ),
        // Bounds.
        (
            "r=OURSxyz,s=c2FsdA==,i=63",
            E::TooFewIterations {
                got: 63,
                minimum: 64,
            },
        ),
        (
            "r=OURSxyz,s=c2FsdA==,i=1000001",
            E::TooManyIterations {
                got: 1_000_001,
                maximum: 1_000_000,
            },
        ),
        (
            "r=OURSxyz,s=c2FsdA==,i=99999999999999999999999",
            E::TooManyIterations {
                got: u32::MAX,
                maximum: 1_000_000,
            },
        ),
    ] {
        let message = message.replace("OURS", OURS);
        let mut client = begun();
        assert_eq!(
            client.challenge(message.as_bytes()),
            Err(error),
            "{message}"
        );
        // The exchange is over, whatever comes next.
        let good = format!("r={OURS}xyz,s=c2FsdA==,i=64");
        assert_eq!(client.challenge(good.as_bytes()), Err(E::Misuse));
        assert_eq!(client.success(None).err(), Some(E::Misuse));
    }
}

#[test]
fn text_that_is_not_utf_8_is_refused() {
    let mut message = format!("r={OURS}xyz,s=c2FsdA==,i=64,x=").into_bytes();
    message.push(0xFF);
    let error = begun().challenge(&message).err();
    assert_eq!(error, Some(AuthError::Malformed(MessageError::NotText)));
}

#[test]
fn an_overlong_salt_is_refused() {
    let salt = "AAAA".repeat(342);
    let message = format!("r={OURS}xyz,s={salt},i=64");
    let error = begun().challenge(message.as_bytes()).err();
    let expected = AuthError::SaltLength {
        got: 1026,
        maximum: 1024,
    };
    assert_eq!(error, Some(expected));
}

#[test]
fn unknown_extensions_are_passed_over_and_signed() {
    let plain = format!("r={OURS}xyz,s=c2FsdA==,i=64");
    let extended = format!("{plain},d=abc=,x=é");
    let with = begun().challenge(extended.as_bytes()).unwrap();
    let without = begun().challenge(plain.as_bytes()).unwrap();
    assert_ne!(with, without, "the signature covers the extensions");
}

#[test]
fn success_without_the_servers_proof_is_no_login() {
    for data in [None, Some(&b""[..])] {
        assert_eq!(
            proved().success(data).err(),
            Some(AuthError::ServerSignatureMissing)
        );
        // Nor before the client has proved anything.
        assert_eq!(
            begun().success(data).err(),
            Some(AuthError::ServerSignatureMissing)
        );
    }
}

#[test]
fn a_wrong_proof_of_the_server_is_no_login() {
    let wrong = "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=";
    let empty = "v=";
    let short = "v=AAAA";
    for (data, error) in [
        (wrong, AuthError::ServerSignatureWrong),
        (short, AuthError::ServerSignatureWrong),
        (empty, AuthError::Malformed(MessageError::BadValue('v'))),
        (
            "v",
            AuthError::Malformed(MessageError::Missing { expected: 'v' }),
        ),
        (
            "x=1,v=AAAA",
            AuthError::Malformed(MessageError::Missing { expected: 'v' }),
        ),
        (
            "v=AAAA,v=AAAA",
            AuthError::Malformed(MessageError::Duplicate('v')),
        ),
        (
            "v=AAAA,m=1",
            AuthError::Malformed(MessageError::MandatoryExtension),
        ),
        ("e=other-error", AuthError::Refused(ServerError::OtherError)),
        ("e=", AuthError::Malformed(MessageError::BadValue('e'))),
        (
            "e=invalid-proof,x",
            AuthError::Malformed(MessageError::Missing { expected: 'x' }),
        ),
    ] {
        assert_eq!(
            proved().success(Some(data.as_bytes())).err(),
            Some(error),
            "{data}"
        );
        assert_eq!(
            proved().challenge(data.as_bytes()).err(),
            Some(error),
            "{data}"
        );
    }
}

#[test]
fn an_empty_last_challenge_is_refused() {
    let error = AuthError::Malformed(MessageError::Missing { expected: 'v' });
    assert_eq!(proved().challenge(b"").err(), Some(error));
}

#[test]
fn success_in_place_of_a_challenge_is_no_login() {
    let first = format!("r={OURS}xyz,s=c2FsdA==,i=64");
    assert_eq!(
        begun().success(Some(first.as_bytes())).err(),
        Some(AuthError::ServerSignatureMissing)
    );
}

#[test]
fn a_challenge_to_a_mechanism_without_one_is_refused() {
    for (mechanism, credentials, shown) in [
        ("PLAIN", Credentials::password("alice", "wonderland"), false),
        ("EXTERNAL", Credentials::Certificate { authzid: None }, true),
        ("ANONYMOUS", Credentials::Anonymous, false),
    ] {
        let make = || {
            let offer = Offer {
                mechanisms: vec![mechanism],
                ..Offer::default()
            };
            let channel = Channel {
                client_certificate_shown: shown,
                ..tls(ChannelBindings::default())
            };
            let mut client =
                ClientAuth::select(&offer, &channel, &credentials, &client_policy(), nonce(2))
                    .unwrap();
            client.initial_response().unwrap();
            client
        };
        assert_eq!(make().challenge(b""), Err(AuthError::UnexpectedData));
        assert_eq!(
            make().success(Some(b"surprise")).err(),
            Some(AuthError::UnexpectedData)
        );
        // Some servers send `=` with every success.
        assert!(make().success(Some(b"")).is_ok());
        let done = make().success(None).unwrap();
        assert!(!done.server_proved);
    }
}

#[test]
fn methods_out_of_order_are_misuse_and_never_a_login() {
    let offer = Offer {
        mechanisms: vec!["SCRAM-SHA-256"],
        ..Offer::default()
    };
    let channel = tls(ChannelBindings::default());
    let credentials = Credentials::password("alice", "wonderland");
    let fresh =
        || ClientAuth::select(&offer, &channel, &credentials, &client_policy(), nonce(2)).unwrap();
    assert_eq!(fresh().success(None).err(), Some(AuthError::Misuse));
    assert_eq!(fresh().challenge(b"").err(), Some(AuthError::Misuse));
    let mut client = begun();
    assert_eq!(client.initial_response().err(), Some(AuthError::Misuse));
    let mut client = begun();
    assert!(matches!(
        client.failure(SaslCondition::NotAuthorized, None),
        Retry::GiveUp
    ));
    assert_eq!(client.success(None).err(), Some(AuthError::Misuse));
}

#[test]
fn a_server_may_refuse_at_once_with_an_error_value() {
    let mut client = begun();
    assert_eq!(
        client.challenge(b"e=unknown-user"),
        Err(AuthError::Refused(ServerError::UnknownUser))
    );
}

#[test]
fn a_server_that_must_vouch_for_its_offer_and_does_not_is_refused() {
    // It lists types, and not the one that every server must have.
    let offer = Offer {
        mechanisms: vec!["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256"],
        bindings: Some(vec!["tls-made-up"]),
        ..Offer::default()
    };
    let credentials = Credentials::password("alice", "wonderland");
    let mut client = ClientAuth::select(
        &offer,
        &tls(exporter()),
        &credentials,
        &client_policy(),
        nonce(2),
    )
    .unwrap();
    client.initial_response().unwrap();
    let first = format!("r={OURS}xyz,s=c2FsdA==,i=64");
    assert_eq!(
        client.challenge(first.as_bytes()),
        Err(AuthError::OfferTampered)
    );
}

//! What a hostile or broken client sends to a server.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use common::*;
use stanchion_sasl::mechanism::ScramHash;
use stanchion_sasl::scram::MAX_MESSAGE_BYTES;
use stanchion_sasl::scram::keys::StoredKeys;
use stanchion_sasl::scram::server::{ScramServer, ScramServerError, ScramServerParameters};
use stanchion_sasl::*;

const FIRST: &[u8] = b"n,,n=alice,r=0123456789abcdef";

fn refused(step: &Step) -> SaslCondition {
    match step {
        Step::Failure(refusal) => refusal.condition,
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn a_first_message_out_of_form_is_refused() {
    let long = vec![b'x'; MAX_MESSAGE_BYTES + 1];
    for message in [
        &b""[..],
        b"n",
        b"n,,",
        b"n,,n=alice",
        b"n,,r=0123456789abcdef",
        b"n,,r=0123456789abcdef,n=alice",
        b"n,,n=alice,r=",
        b"n,,n=al=ice,r=0123456789abcdef",
        b"n,,n=alice,n=bob,r=0123456789abcdef",
        b"n,,m=x,n=alice,r=0123456789abcdef",
        b"n,,n=alice,r=0123456789abcdef,m=x",
        b"n,,n=\xFF\xFE,r=0123456789abcdef",
        b"n,,n=alice\0,r=0123456789abcdef",
        &long,
    ] {
        let mut server = server(encrypted(exporter()));
        let step = server.start("SCRAM-SHA-256", Some(message), nonce(3));
        assert_eq!(refused(&step), SaslCondition::MalformedRequest);
        // What comes next belongs to no exchange.
        let step = server.respond(b"c=biws,r=x,p=AAAA");
        assert_eq!(refused(&step), SaslCondition::MalformedRequest);
    }
}

#[test]
fn a_flag_that_does_not_go_with_the_mechanism_is_refused() {
    for (mechanism, first) in [
        ("SCRAM-SHA-256-PLUS", &b"n,,n=alice,r=0123456789abcdef"[..]),
        ("SCRAM-SHA-256-PLUS", b"y,,n=alice,r=0123456789abcdef"),
        (
            "SCRAM-SHA-256-PLUS",
            b"p=tls-made-up,,n=alice,r=0123456789abcdef",
        ),
        // Known, but this connection has no value for it.
        (
            "SCRAM-SHA-256-PLUS",
            b"p=tls-unique,,n=alice,r=0123456789abcdef",
        ),
        (
            "SCRAM-SHA-256",
            b"p=tls-exporter,,n=alice,r=0123456789abcdef",
        ),
        // -PLUS had been offered.
        ("SCRAM-SHA-256", b"y,,n=alice,r=0123456789abcdef"),
    ] {
        let mut server = server(encrypted(exporter()));
        let step = server.start(mechanism, Some(first), nonce(3));
        assert_eq!(refused(&step), SaslCondition::NotAuthorized);
    }
}

/// A server that has sent its challenge, and the whole nonce.
fn challenged(binding: &str) -> (ScramServer, String) {
    let mut server = ScramServer::new(ScramServerParameters {
        hash: ScramHash::Sha1,
        plus: binding.starts_with('p'),
        plus_offered: true,
        nonce: nonce(3),
        offer_hash: None,
    });
    let first = format!("{binding},,n=user,r=0123456789abcdef");
    server.client_first(first.as_bytes()).unwrap();
    let keys =
        StoredKeys::from_password(ScramHash::Sha1, &"pencil".into(), b"salt", ITERATIONS).unwrap();
    server.challenge(keys).unwrap();
    let whole = format!("0123456789abcdef{}", nonce(3).as_str());
    (server, whole)
}

#[test]
fn a_final_message_that_does_not_follow_from_the_first_is_refused() {
    let proof = "AAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    use ScramServerError as E;
    for (last, error) in [
        (format!("c=biws,r=NONCE,p={proof}"), E::WrongProof),
        ("c=biws,r=NONCE,p=AAAA".to_owned(), E::WrongProof),
        (format!("c=biws,r=NONCEx,p={proof}"), E::NonceMismatch),
        (
            format!("c=biws,r=0123456789abcdef,p={proof}"),
            E::NonceMismatch,
        ),
        // `y,,` and `p=tls-exporter,,` after an `n,,`.
        (format!("c=eSws,r=NONCE,p={proof}"), E::HeaderChanged),
        (
            format!("c=cD10bHMtZXhwb3J0ZXIsLA==,r=NONCE,p={proof}"),
            E::HeaderChanged,
        ),
        // `n,,` with a value, though none was promised.
        (
            format!("c=biwsAAAA,r=NONCE,p={proof}"),
            E::ChannelBindingMismatch,
        ),
    ] {
        let (mut server, whole) = challenged("n");
        let last = last.replace("NONCE", &whole);
        assert_eq!(
            server.client_final(last.as_bytes(), None),
            Err(error),
            "{last}"
        );
        assert_eq!(server.client_final(last.as_bytes(), None), Err(E::Misuse));
    }
}

#[test]
fn a_bound_login_without_a_value_on_either_side_is_refused() {
    for ours in [None, Some(&b"value"[..])] {
        let (mut server, whole) = challenged("p=tls-exporter");
        let last = format!("c=cD10bHMtZXhwb3J0ZXIsLA==,r={whole},p=AAAA");
        assert_eq!(
            server.client_final(last.as_bytes(), ours),
            Err(ScramServerError::ChannelBindingMismatch)
        );
    }
}

#[test]
fn a_final_message_out_of_form_is_refused() {
    for last in [
        &b""[..],
        b",",
        b"p=",
        b"c=biws",
        b"c=biws,r=x",
        b"c=biws,p=AAAA",
        b"c=biws,r=x,p=",
        b"c=biws,r=x,p=%",
        b"c=%,r=x,p=AAAA",
        b"r=x,c=biws,p=AAAA",
        b"c=biws,r=x,m=1,p=AAAA",
        b"c=biws,r=x,p=AAAA,x=1",
        b"c=biws,r=x,c=biws,p=AAAA",
        b"\xFF",
    ] {
        let mut server = server(encrypted(exporter()));
        let step = server.start("SCRAM-SHA-256", Some(FIRST), nonce(3));
        assert!(matches!(step, Step::Challenge(_)));
        assert_eq!(
            refused(&server.respond(last)),
            SaslCondition::MalformedRequest,
            "{last:?}"
        );
    }
}

#[test]
fn keys_of_another_hash_are_not_used() {
    let mut server = ScramServer::new(ScramServerParameters {
        hash: ScramHash::Sha256,
        plus: false,
        plus_offered: false,
        nonce: nonce(3),
        offer_hash: None,
    });
    server.client_first(FIRST).unwrap();
    let keys =
        StoredKeys::from_password(ScramHash::Sha1, &"pencil".into(), b"salt", ITERATIONS).unwrap();
    assert_eq!(server.challenge(keys).err(), Some(ScramServerError::Misuse));
}

#[test]
fn a_mechanism_that_is_not_offered_is_not_begun() {
    let mut server = server(encrypted(exporter()));
    for name in [
        "",
        "plain",
        "SCRAM-MD5",
        "ANONYMOUS",
        "SCRAM-SHA-256-PLUS ",
        "\0",
    ] {
        let mut server = common::server(encrypted(exporter()));
        let step = server.start(name, Some(b""), nonce(3));
        assert_eq!(refused(&step), SaslCondition::InvalidMechanism, "{name:?}");
    }
    assert_eq!(
        refused(&server.respond(b"")),
        SaslCondition::MalformedRequest
    );
}

#[test]
fn overlong_trace_information_is_refused() {
    let mut policy = server_policy();
    policy.mechanisms.push(mechanism::Mechanism::Anonymous);
    for (trace, taken) in [("é".repeat(255), true), ("x".repeat(256), false)] {
        let mut server = server_with(policy.clone(), encrypted(exporter()), accounts());
        let step = server.start("ANONYMOUS", Some(trace.as_bytes()), nonce(3));
        assert_eq!(matches!(step, Step::Success(_)), taken);
    }
}

#[test]
fn a_replayed_login_is_refused() {
    let log_in = |server: &mut ServerAuth, byte, last: Option<&[u8]>| {
        let mut client = ClientAuth::select(
            &offer(server),
            &tls(exporter()),
            &Credentials::password("alice", "wonderland"),
            &client_policy(),
            nonce(2),
        )
        .unwrap();
        let first = client.initial_response().unwrap();
        let step = server.start(client.mechanism(), first.as_deref(), nonce(byte));
        let Step::Challenge(challenge) = step else {
            panic!("no challenge");
        };
        let own = client.challenge(&challenge).unwrap();
        (server.respond(last.unwrap_or(&own)), own)
    };
    let (step, recorded) = log_in(&mut server(encrypted(exporter())), 3, None);
    assert!(matches!(step, Step::Success(_)));
    let (step, _) = log_in(&mut server(encrypted(exporter())), 4, Some(&recorded));
    assert_eq!(refused(&step), SaslCondition::NotAuthorized);
}

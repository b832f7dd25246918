//! Whatever a peer sends, in whatever state: no panic, and no login by chance.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use stanchion_sasl::policy::OfferStrength;
use stanchion_sasl::scram::keys::StoredKeys;
use stanchion_sasl::*;

const OURS: &str = "AgICAgICAgICAgICAgICAgICAgICAgIC";

/// Bytes, text in the shape of attributes, and pieces of real messages.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(format!("r={OURS}xyz")),
        Just("r=0123456789abcdef".to_owned()),
        Just("s=c2FsdA==".to_owned()),
        Just("i=64".to_owned()),
        Just("i=4294967296".to_owned()),
        Just("v=AAAA".to_owned()),
        Just("e=channel-bindings-dont-match".to_owned()),
        Just("n,,n=alice".to_owned()),
        Just("p=tls-exporter,,n=alice".to_owned()),
        Just("c=biws".to_owned()),
        Just("p=AAAA".to_owned()),
        Just("m=".to_owned()),
        Just(String::new()),
        "[a-z]=[ -~]{0,8}",
        "\\PC{0,4}",
    ];
    prop_oneof![
        vec(any::<u8>(), 0..64),
        vec(piece, 0..6).prop_map(|pieces| pieces.join(",").into_bytes()),
    ]
}

fn client(mechanisms: &[&'static str]) -> ClientAuth {
    let offer = Offer {
        mechanisms: mechanisms.to_vec(),
        ..Offer::default()
    };
    ClientAuth::select(
        &offer,
        &tls(exporter()),
        &Credentials::password("alice", "wonderland"),
        &client_policy(),
        nonce(2),
    )
    .unwrap()
}

proptest! {
    #[test]
    fn no_server_makes_a_client_panic_or_believe(
        plus in any::<bool>(),
        messages in vec((any::<bool>(), message()), 1..4),
    ) {
        let offered = if plus { "SCRAM-SHA-256-PLUS" } else { "SCRAM-SHA-256" };
        let mut client = client(&[offered]);
        client.initial_response().unwrap();
        for (as_success, message) in messages {
            let _ = client.iterations(&message);
            if as_success {
                prop_assert!(client.success(Some(&message)).is_err());
            } else {
                let _ = client.challenge(&message);
            }
        }
        prop_assert!(client.success(None).is_err());
    }

    #[test]
    fn no_client_makes_a_server_panic_or_believe(
        mechanism in 0..8usize,
        initial in proptest::option::of(message()),
        messages in vec(message(), 0..4),
    ) {
        let mut server = server(encrypted(exporter()));
        let name = server.advertised()[mechanism % server.advertised().len()];
        let mut step = server.start(name, initial.as_deref(), nonce(3));
        for message in messages {
            prop_assert!(!matches!(step, Step::Success(_)));
            step = server.respond(&message);
        }
        prop_assert!(!matches!(step, Step::Success(_)));
    }

    #[test]
    fn any_name_and_password_that_can_be_prepared_log_in(
        name in "[ -~à-öø-ÿα-ω\u{AD}\u{2168}ﬁ]{1,12}",
        password in "[ -~à-öø-ÿα-ω\u{AD}\u{2168}ﬁ]{1,12}",
    ) {
        let credentials = Credentials::password(name.clone(), password.clone());
        prop_assume!(stanchion_sasl::client::check_credentials(&credentials).is_ok());
        let mut accounts = accounts();
        accounts.set(&name, &password.into(), ITERATIONS, [4; 16]).unwrap();
        let mut server = server_with(server_policy(), encrypted(exporter()), accounts);
        let mut client = ClientAuth::select(
            &offer(&server), &tls(exporter()), &credentials, &client_policy(), nonce(2),
        ).unwrap();
        let (_, authenticated) = run(&mut client, &mut server).login();
        prop_assert!(authenticated.server_proved);
    }

    #[test]
    fn no_text_makes_the_readers_of_kept_values_panic(text in "\\PC{0,80}") {
        let _ = StoredKeys::from_rfc5803(&text);
        let _ = text.parse::<OfferStrength>();
        let _ = Nonce::new(&text);
    }

    #[test]
    fn any_offer_is_chosen_from_or_refused(
        names in vec("(SCRAM-SHA-(1|256|512|999)(-PLUS)?|PLAIN|EXTERNAL|\\PC{0,10})", 0..6),
        bindings in proptest::option::of(vec("(tls-(exporter|unique|server-end-point|x))", 0..4)),
    ) {
        let offer = Offer {
            mechanisms: names.iter().map(String::as_str).collect(),
            bindings: bindings.as_ref().map(|b| b.iter().map(String::as_str).collect()),
            ..Offer::default()
        };
        let credentials = Credentials::password("alice", "wonderland");
        if let Ok(client) = ClientAuth::select(
            &offer, &tls(exporter()), &credentials, &client_policy(), nonce(2),
        ) {
            prop_assert!(names.iter().any(|n| n == client.mechanism()));
        }
    }
}

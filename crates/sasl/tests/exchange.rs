//! A client and a server of this crate against each other, in memory.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use common::*;
use stanchion_sasl::accounts::{AccountStore, StoreUnavailable};
use stanchion_sasl::binding::{Binding, BindingType};
use stanchion_sasl::mechanism::{Mechanism, ScramHash};
use stanchion_sasl::policy::{ChannelBindingPolicy, ChannelSecurity};
use stanchion_sasl::scram::keys::StoredKeys;
use stanchion_sasl::server::{Identity, ServerChannel};
use stanchion_sasl::*;

fn select(offer: &Offer<'_>, channel: &Channel, credentials: &Credentials) -> ClientAuth {
    ClientAuth::select(offer, channel, credentials, &client_policy(), nonce(2)).unwrap()
}

fn alice() -> Credentials {
    Credentials::password("alice", "wonderland")
}

#[test]
fn every_mechanism_logs_in() {
    for mechanism in Mechanism::STRONGEST_FIRST {
        let mut policy = server_policy();
        policy.mechanisms = vec![mechanism];
        let channel = ServerChannel {
            certificate_identities: vec!["alice@example.org".into()],
            ..encrypted(exporter())
        };
        let mut server = server_with(policy, channel, accounts());
        let credentials = match mechanism {
            Mechanism::Anonymous => Credentials::Anonymous,
            Mechanism::External => Credentials::Certificate { authzid: None },
            _ => alice(),
        };
        let channel = Channel {
            client_certificate_shown: true,
            ..tls(exporter())
        };
        let mut client = select(&offer(&server), &channel, &credentials);
        let (accepted, authenticated) = run(&mut client, &mut server).login();
        assert_eq!(accepted.mechanism, mechanism);
        assert_eq!(authenticated.mechanism, mechanism.as_str());
        assert_eq!(
            accepted.identity,
            match mechanism {
                Mechanism::Anonymous => Identity::Anonymous,
                Mechanism::External => Identity::Certificate("alice@example.org".into()),
                _ => Identity::Account("alice".into()),
            }
        );
        assert_eq!(
            authenticated.server_proved,
            mechanism.scram_hash().is_some()
        );
        let bound = matches!(mechanism, Mechanism::ScramPlus(_));
        assert_eq!(
            accepted.binding,
            bound.then_some(BindingType::TlsExporter),
            "{mechanism}"
        );
    }
}

#[test]
fn a_client_that_sends_no_initial_response_is_asked_for_it() {
    let mut server = server(encrypted(exporter()));
    let mut client = select(&offer(&server), &tls(exporter()), &alice());
    let Step::Challenge(empty) = server.start(client.mechanism(), None, nonce(3)) else {
        panic!("no challenge");
    };
    assert!(empty.is_empty());
    let first = client.initial_response().unwrap().unwrap();
    let Step::Challenge(challenge) = server.respond(&first) else {
        panic!("no challenge");
    };
    let Step::Success(accepted) = server.respond(&client.challenge(&challenge).unwrap()) else {
        panic!("no success");
    };
    assert!(client.success(accepted.additional_data.as_deref()).is_ok());
}

#[test]
fn a_signature_sent_as_a_last_challenge_counts_too() {
    let mut server = server(encrypted(exporter()));
    let mut client = select(&offer(&server), &tls(exporter()), &alice());
    let first = client.initial_response().unwrap().unwrap();
    let Step::Challenge(challenge) = server.start(client.mechanism(), Some(&first), nonce(3))
    else {
        panic!("no challenge");
    };
    let Step::Success(accepted) = server.respond(&client.challenge(&challenge).unwrap()) else {
        panic!("no success");
    };
    let signature = accepted.additional_data.unwrap();
    assert_eq!(client.challenge(&signature), Ok(Vec::new()));
    assert!(client.success(None).unwrap().server_proved);
}

#[test]
fn both_sides_may_move_to_another_thread() {
    let mut server = server(encrypted(exporter()));
    let mut client = select(&offer(&server), &tls(exporter()), &alice());
    let end = std::thread::spawn(move || run(&mut client, &mut server));
    assert!(end.join().unwrap().login().1.server_proved);
}

#[test]
fn a_wrong_password_is_refused() {
    for mechanism in ["PLAIN", "SCRAM-SHA-1", "SCRAM-SHA-256-PLUS"] {
        let mut policy = server_policy();
        policy.mechanisms = vec![Mechanism::parse(mechanism).unwrap()];
        let mut server = server_with(policy, encrypted(exporter()), accounts());
        let wrong = Credentials::password("alice", "Wonderland");
        let mut client = select(&offer(&server), &tls(exporter()), &wrong);
        let refusal = run(&mut client, &mut server).refusal();
        assert_eq!(refusal.condition, SaslCondition::NotAuthorized);
        let retry = client.failure(refusal.condition, refusal.text);
        assert!(matches!(retry, Retry::GiveUp), "never tried twice");
    }
}

#[test]
fn an_unknown_user_is_told_the_same_as_one_with_a_wrong_password() {
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512-PLUS"] {
        let answers = ["alice", "mallory"].map(|user| {
            let mut policy = server_policy();
            policy.mechanisms = vec![Mechanism::parse(mechanism).unwrap()];
            let mut server = server_with(policy, encrypted(exporter()), accounts());
            let wrong = Credentials::password(user, "wrong");
            let mut client = select(&offer(&server), &tls(exporter()), &wrong);
            let initial = client.initial_response().unwrap();
            let mut step = server.start(mechanism, initial.as_deref(), nonce(3));
            let mut shape = Vec::new();
            while let Step::Challenge(data) = &step {
                let text = std::str::from_utf8(data).unwrap();
                // Names of the attributes and lengths of their values.
                let attributes: Vec<_> = text
                    .split(',')
                    .map(|a| (a.chars().next(), a.len()))
                    .collect();
                shape.push(attributes);
                step = server.respond(&client.challenge(data).unwrap());
            }
            (shape, step)
        });
        assert_eq!(answers[0], answers[1], "{mechanism}");
    }
}

#[test]
fn an_unknown_user_has_the_same_salt_at_every_try_and_in_every_spelling() {
    let salt_of = |username: &str| {
        let mut server = server(encrypted(exporter()));
        let first = format!("n,,n={username},r=0123456789abcdef");
        match server.start("SCRAM-SHA-256", Some(first.as_bytes()), nonce(3)) {
            Step::Challenge(data) => String::from_utf8(data)
                .unwrap()
                .split(",s=")
                .nth(1)
                .unwrap()
                .to_owned(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(salt_of("mallory"), salt_of("mallory"));
    assert_ne!(salt_of("mallory"), salt_of("eve"));
    // SASLprep makes both spellings one name, for known and unknown users alike.
    assert_eq!(salt_of("alice"), salt_of("al\u{AD}ice"));
    assert_eq!(salt_of("mallory"), salt_of("mal\u{AD}lory"));
}

#[test]
fn kept_keys_spare_the_work_and_log_in() {
    let mut first = server(encrypted(exporter()));
    let mut client = select(&offer(&first), &tls(exporter()), &alice());
    let keys = run(&mut client, &mut first).login().1.keys.unwrap();

    let mut again = server(encrypted(exporter()));
    let offer = offer(&again);
    // The password is not looked at while the keys fit.
    let mut client = select(
        &offer,
        &tls(exporter()),
        &Credentials::password("alice", "forgotten"),
    );
    client.use_keys(keys);
    let initial = client.initial_response().unwrap();
    let Step::Challenge(challenge) = again.start(client.mechanism(), initial.as_deref(), nonce(3))
    else {
        panic!("no challenge");
    };
    assert_eq!(client.iterations(&challenge), 0);
    let Step::Success(accepted) = again.respond(&client.challenge(&challenge).unwrap()) else {
        panic!("no success");
    };
    let done = client.success(accepted.additional_data.as_deref()).unwrap();
    assert!(done.server_proved);
}

#[test]
fn keys_of_another_salt_are_passed_over() {
    let mut old = accounts();
    old.set("alice", &"wonderland".into(), ITERATIONS, [2; 16])
        .unwrap();
    let mut before = server_with(server_policy(), encrypted(exporter()), old);
    let mut client = select(&offer(&before), &tls(exporter()), &alice());
    let keys = run(&mut client, &mut before).login().1.keys.unwrap();

    let mut now = server(encrypted(exporter()));
    let mut client = select(&offer(&now), &tls(exporter()), &alice());
    client.use_keys(keys.clone());
    let fresh = run(&mut client, &mut now).login().1.keys.unwrap();
    assert_ne!(fresh.salt(), keys.salt());
}

#[test]
fn the_work_of_a_challenge_is_known_beforehand() {
    let mut server = server(encrypted(exporter()));
    let mut client = select(&offer(&server), &tls(exporter()), &alice());
    assert_eq!(client.iterations(b"r=x,s=AAAA,i=5000"), 0, "not begun");
    let initial = client.initial_response().unwrap();
    let Step::Challenge(challenge) = server.start(client.mechanism(), initial.as_deref(), nonce(3))
    else {
        panic!("no challenge");
    };
    assert_eq!(client.iterations(&challenge), ITERATIONS);
    assert_eq!(client.iterations(b"v=AAAA"), 0);
}

#[test]
fn both_ends_on_other_connections_do_not_log_in() {
    let other = ChannelBindings {
        tls_exporter: Some([1; 32]),
        ..exporter()
    };
    let mut server = server(encrypted(other));
    let mut client = select(&offer(&server), &tls(exporter()), &alice());
    let refusal = run(&mut client, &mut server).refusal();
    assert_eq!(refusal.condition, SaslCondition::NotAuthorized);
    assert_eq!(refusal.text, Some("channel binding does not match"));
}

#[test]
fn a_refused_binding_is_given_up_once_and_reported() {
    let other = ChannelBindings {
        tls_exporter: Some([1; 32]),
        ..exporter()
    };
    let mut server = server(encrypted(other));
    let offer = offer(&server);
    let channel = tls(exporter());
    let mut first = select(&offer, &channel, &alice());
    let refusal = run(&mut first, &mut server).refusal();
    let Retry::WithoutBinding(refused) = first.failure(refusal.condition, refusal.text) else {
        panic!("no second try");
    };
    let mut second = ClientAuth::select_without_binding(
        &offer,
        &channel,
        &alice(),
        &client_policy(),
        nonce(4),
        refused,
    )
    .unwrap();
    assert_eq!(second.mechanism(), "SCRAM-SHA-512");
    let (_, authenticated) = run(&mut second, &mut server).login();
    assert_eq!(authenticated.binding, Binding::RefusedByServer);
}

#[test]
fn a_stripped_offer_is_noticed_by_the_server_through_the_flag() {
    let mut policy = server_policy();
    // Without XEP-0474, only the flag `y` tells.
    policy.send_offer_hash = false;
    let mut server = server_with(policy, encrypted(exporter()), accounts());
    let stripped = Offer {
        mechanisms: vec!["SCRAM-SHA-256", "PLAIN"],
        bindings: None,
        ..Offer::default()
    };
    let mut client = select(&stripped, &tls(exporter()), &alice());
    let refusal = run(&mut client, &mut server).refusal();
    assert_eq!(refusal.condition, SaslCondition::NotAuthorized);
    let retry = client.failure(refusal.condition, refusal.text);
    assert!(matches!(retry, Retry::GiveUp), "no way round the detection");
}

#[test]
fn a_changed_offer_is_noticed_by_the_client_through_the_hash() {
    for changed in [
        Offer {
            mechanisms: vec!["SCRAM-SHA-1"],
            ..Offer::default()
        },
        Offer {
            mechanisms: vec!["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"],
            bindings: Some(vec!["tls-server-end-point"]),
            ..Offer::default()
        },
    ] {
        let mut server = server(encrypted(exporter()));
        let channel = Channel {
            // Without binding values the flag is `n`, and the hash stands alone.
            bindings: ChannelBindings {
                tls_exporter: None,
                ..match changed.bindings {
                    Some(_) => exporter(),
                    None => ChannelBindings::default(),
                }
            },
            ..tls(ChannelBindings::default())
        };
        let mut client = select(&changed, &channel, &alice());
        assert!(matches!(
            run(&mut client, &mut server),
            End::ClientGaveUp(AuthError::OfferTampered)
        ));
    }
}

#[test]
fn an_offer_that_is_read_after_the_first_message_is_the_one_that_is_checked() {
    let remembered = Offer {
        mechanisms: vec!["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"],
        bindings: Some(vec!["tls-exporter"]),
        ..Offer::default()
    };
    let begin = |server: &mut ServerAuth, read: &Offer<'_>| {
        let mut client = select(&remembered, &tls(exporter()), &alice());
        let initial = client.initial_response().unwrap();
        client.expect_offer(read);
        let Step::Challenge(data) = server.start(client.mechanism(), initial.as_deref(), nonce(3))
        else {
            panic!();
        };
        client.challenge(&data)
    };
    let mut one = server(encrypted(exporter()));
    let right = offer(&one);
    assert!(begin(&mut one, &right).is_ok());
    let mut other = server(encrypted(exporter()));
    let mut stripped = offer(&other);
    stripped.mechanisms.retain(|m| *m != "SCRAM-SHA-512-PLUS");
    assert_eq!(
        begin(&mut other, &stripped).err(),
        Some(AuthError::OfferTampered)
    );
}

#[test]
fn one_cannot_act_as_somebody_else() {
    for (authzid, allowed) in [
        ("alice@example.org", true),
        ("alice", true),
        ("bob@example.org", false),
        ("alice@example.com", false),
    ] {
        for mechanism in [Mechanism::Plain, Mechanism::Scram(ScramHash::Sha256)] {
            let mut policy = server_policy();
            policy.mechanisms = vec![mechanism];
            let mut server = server_with(policy, encrypted(exporter()), accounts());
            let credentials = Credentials::Password {
                authcid: "alice".into(),
                password: "wonderland".into(),
                authzid: Some(authzid.into()),
            };
            let mut client = select(&offer(&server), &tls(exporter()), &credentials);
            match run(&mut client, &mut server) {
                End::Login(accepted, _) => {
                    assert!(allowed);
                    assert_eq!(accepted.authzid.as_deref(), Some(authzid));
                }
                other => {
                    assert!(!allowed);
                    assert_eq!(other.refusal().condition, SaslCondition::InvalidAuthzid);
                }
            }
        }
    }
}

#[test]
fn a_certificate_lets_in_only_whom_it_names() {
    let two = || ServerChannel {
        certificate_identities: vec!["a@example.org".into(), "b@example.org".into()],
        ..encrypted(exporter())
    };
    for (initial, expected) in [
        (&b"b@example.org"[..], Ok("b@example.org")),
        (b"c@example.org", Err(SaslCondition::InvalidAuthzid)),
        (b"", Err(SaslCondition::InvalidAuthzid)),
        (b"\xFF", Err(SaslCondition::MalformedRequest)),
        (b"a\0b", Err(SaslCondition::MalformedRequest)),
    ] {
        let mut server = server(two());
        match (server.start("EXTERNAL", Some(initial), nonce(3)), expected) {
            (Step::Success(accepted), Ok(name)) => {
                assert_eq!(accepted.identity, Identity::Certificate(name.into()));
            }
            (Step::Failure(refusal), Err(condition)) => assert_eq!(refusal.condition, condition),
            (step, _) => panic!("{initial:?}: {step:?}"),
        }
    }
}

#[test]
fn external_is_not_offered_without_a_certificate() {
    let mut server = server(encrypted(exporter()));
    assert!(!server.advertised().contains(&"EXTERNAL"));
    let step = server.start("EXTERNAL", Some(b"alice@example.org"), nonce(3));
    assert_eq!(step, Step::Failure(SaslCondition::InvalidMechanism.into()));
}

#[test]
fn a_server_takes_no_bare_password_without_tls() {
    let mut plain = server(ServerChannel::default());
    assert_eq!(
        plain.advertised(),
        ["SCRAM-SHA-512", "SCRAM-SHA-256", "SCRAM-SHA-1"]
    );
    assert_eq!(plain.advertised_bindings(), None);
    let step = plain.start("PLAIN", Some(b"\0alice\0wonderland"), nonce(3));
    assert_eq!(
        step,
        Step::Failure(SaslCondition::EncryptionRequired.into())
    );

    let mut policy = server_policy();
    policy.allow_plain_without_tls = true;
    let mut open = server_with(policy, ServerChannel::default(), accounts());
    let step = open.start("PLAIN", Some(b"\0alice\0wonderland"), nonce(3));
    assert!(matches!(step, Step::Success(_)));
}

#[test]
fn scram_without_tls_logs_in_and_does_not_pretend_to_bind() {
    let mut server = server(ServerChannel::default());
    let channel = Channel {
        security: ChannelSecurity::Plaintext,
        ..Channel::default()
    };
    let mut client = select(&offer(&server), &channel, &alice());
    let (_, authenticated) = run(&mut client, &mut server).login();
    assert_eq!(authenticated.binding, Binding::Unavailable);
}

#[test]
fn a_binding_policy_of_never_is_told_as_not_supported() {
    let mut server = server(encrypted(exporter()));
    let policy = Policy {
        channel_binding: ChannelBindingPolicy::Never,
        ..client_policy()
    };
    let mut client = ClientAuth::select(
        &offer(&server),
        &tls(exporter()),
        &alice(),
        &policy,
        nonce(2),
    )
    .unwrap();
    assert!(
        client
            .initial_response()
            .unwrap()
            .unwrap()
            .starts_with(b"n,,")
    );
    let mut client = ClientAuth::select(
        &offer(&server),
        &tls(exporter()),
        &alice(),
        &policy,
        nonce(2),
    )
    .unwrap();
    let (_, authenticated) = run(&mut client, &mut server).login();
    assert_eq!(authenticated.binding, Binding::Disabled);
}

#[test]
fn after_too_many_failures_not_even_the_right_password_counts() {
    let mut server = server(encrypted(exporter()));
    for _ in 0..5 {
        assert!(!server.exhausted());
        let step = server.start("PLAIN", Some(b"\0alice\0wrong"), nonce(3));
        assert!(matches!(step, Step::Failure(_)));
    }
    assert!(server.exhausted());
    let step = server.start("PLAIN", Some(b"\0alice\0wonderland"), nonce(3));
    assert!(matches!(step, Step::Failure(r) if r.condition == SaslCondition::NotAuthorized));
}

#[test]
fn a_client_may_start_again_after_a_failure_or_an_abort() {
    let mut server = server(encrypted(exporter()));
    let step = server.start("PLAIN", Some(b"\0alice\0wrong"), nonce(3));
    assert!(matches!(step, Step::Failure(_)));
    let step = server.start("SCRAM-SHA-1", None, nonce(3));
    assert!(matches!(step, Step::Challenge(_)));
    assert_eq!(server.abort(), Step::Failure(SaslCondition::Aborted.into()));
    let step = server.start("PLAIN", Some(b"\0alice\0wonderland"), nonce(3));
    assert!(matches!(step, Step::Success(_)));
}

#[test]
fn after_a_login_there_is_no_other() {
    let mut server = server(encrypted(exporter()));
    let login = server.start("PLAIN", Some(b"\0alice\0wonderland"), nonce(3));
    assert!(matches!(login, Step::Success(_)));
    for step in [
        server.start("PLAIN", Some(b"\0alice\0wonderland"), nonce(3)),
        server.respond(b""),
    ] {
        assert_eq!(step, Step::Failure(SaslCondition::MalformedRequest.into()));
    }
}

struct Down;

impl AccountStore for Down {
    fn scram_keys(&self, _: &str, _: ScramHash) -> Result<Option<StoredKeys>, StoreUnavailable> {
        Err(StoreUnavailable)
    }
}

#[test]
fn a_store_that_is_down_is_a_temporary_failure() {
    for (mechanism, first) in [
        ("PLAIN", &b"\0alice\0wonderland"[..]),
        ("SCRAM-SHA-256", b"n,,n=alice,r=0123456789abcdef"),
    ] {
        let mut server = server_with(server_policy(), encrypted(exporter()), Down);
        let step = server.start(mechanism, Some(first), nonce(3));
        assert_eq!(
            step,
            Step::Failure(SaslCondition::TemporaryAuthFailure.into())
        );
    }
    let mut client = select(
        &offer(&server(encrypted(exporter()))),
        &tls(exporter()),
        &alice(),
    );
    let retry = client.failure(SaslCondition::TemporaryAuthFailure, None);
    assert!(matches!(retry, Retry::Later));
}

struct Directory;

impl AccountStore for Directory {
    fn scram_keys(&self, _: &str, _: ScramHash) -> Result<Option<StoredKeys>, StoreUnavailable> {
        Ok(None)
    }
    fn check_plain(&self, user: &str, password: &str) -> Result<Option<bool>, StoreUnavailable> {
        Ok(Some(user == "alice" && password == "wonderland"))
    }
    fn authorize(&self, _: &str, _: Option<&str>) -> Result<(), SaslCondition> {
        Err(SaslCondition::AccountDisabled)
    }
}

#[test]
fn only_who_has_proved_itself_learns_that_an_account_is_disabled() {
    for (first, condition) in [
        (&b"\0alice\0wonderland"[..], SaslCondition::AccountDisabled),
        (b"\0alice\0wrong", SaslCondition::NotAuthorized),
    ] {
        let mut server = server_with(server_policy(), encrypted(exporter()), Directory);
        let step = server.start("PLAIN", Some(first), nonce(3));
        assert_eq!(step, Step::Failure(condition.into()));
    }
}

#[test]
fn names_with_commas_equals_signs_and_letters_to_prepare_log_in() {
    let name = "a,b=c\u{2168}é";
    let mut accounts = accounts();
    accounts
        .set(name, &"p\u{AA}ss wörd,=".into(), ITERATIONS, [5; 16])
        .unwrap();
    let mut server = server_with(server_policy(), encrypted(exporter()), accounts);
    let credentials = Credentials::password(name, "pass wörd,=");
    let mut client = select(&offer(&server), &tls(exporter()), &credentials);
    let (accepted, _) = run(&mut client, &mut server).login();
    assert_eq!(accepted.identity, Identity::Account("a,b=cIXé".into()));
}

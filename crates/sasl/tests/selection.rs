//! Which mechanism and which binding a client takes, and which it refuses.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod common;

use common::{exporter, nonce, tls};
use stanchion_sasl::binding::RefusalEvidence;
use stanchion_sasl::binding::{Binding, BindingType};
use stanchion_sasl::mechanism::{Mechanism, ScramHash};
use stanchion_sasl::policy::{
    ChannelBindingPolicy, ChannelSecurity, OfferStrength, SaslProfile, Selection, TlsVersion,
};
use stanchion_sasl::scram::ServerError;
use stanchion_sasl::*;

/// What ejabberd offers over TLS, with and without a client certificate.
const EJABBERD: [&str; 8] = [
    "EXTERNAL",
    "PLAIN",
    "SCRAM-SHA-512-PLUS",
    "SCRAM-SHA-512",
    "SCRAM-SHA-256-PLUS",
    "SCRAM-SHA-256",
    "SCRAM-SHA-1-PLUS",
    "SCRAM-SHA-1",
];

fn offered<'a>(mechanisms: &[&'a str], bindings: Option<&[&'a str]>) -> Offer<'a> {
    Offer {
        profile: SaslProfile::Rfc6120,
        mechanisms: mechanisms.to_vec(),
        bindings: bindings.map(<[&str]>::to_vec),
    }
}

fn alice() -> Credentials {
    Credentials::password("alice", "wonderland")
}

fn choose(offer: &Offer<'_>, channel: &Channel) -> Result<(&'static str, Binding), SelectError> {
    choose_with(offer, channel, &Policy::default())
}

fn choose_with(
    offer: &Offer<'_>,
    channel: &Channel,
    policy: &Policy,
) -> Result<(&'static str, Binding), SelectError> {
    Selection::choose(offer, channel, &alice(), policy, None)
        .map(|s| (s.mechanism.as_str(), s.binding))
}

fn policy(channel_binding: ChannelBindingPolicy) -> Policy {
    Policy {
        channel_binding,
        ..Policy::default()
    }
}

fn tls12(bindings: ChannelBindings) -> Channel {
    Channel {
        security: ChannelSecurity::Tls {
            version: TlsVersion::Tls12,
            server_verified: true,
        },
        ..tls(bindings)
    }
}

fn unverified() -> Channel {
    Channel {
        security: ChannelSecurity::Tls {
            version: TlsVersion::Tls13,
            server_verified: false,
        },
        ..tls(exporter())
    }
}

#[test]
fn the_servers_order_means_nothing() {
    let mut mechanisms = EJABBERD.to_vec();
    for _ in 0..mechanisms.len() {
        mechanisms.rotate_left(1);
        let chosen = choose(&offered(&mechanisms, None), &tls(exporter()));
        let bound = Binding::Bound(BindingType::TlsExporter);
        assert_eq!(chosen, Ok(("SCRAM-SHA-512-PLUS", bound)));
    }
}

#[test]
fn the_strongest_of_what_is_left_is_taken_down_to_plain() {
    let mut left: Vec<&str> = Mechanism::STRONGEST_FIRST
        .into_iter()
        .filter(|m| !matches!(m, Mechanism::External | Mechanism::Anonymous))
        .map(Mechanism::as_str)
        .collect();
    while let Some(strongest) = left.first() {
        let chosen = choose(&offered(&left, None), &tls(exporter())).unwrap();
        assert_eq!(chosen.0, *strongest);
        left.remove(0);
    }
    assert_eq!(
        choose(&offered(&[], None), &tls(exporter())),
        Err(SelectError::NoMechanism)
    );
}

#[test]
fn the_listed_binding_is_taken_the_strongest_first() {
    let mechanisms = ["SCRAM-SHA-1-PLUS", "SCRAM-SHA-1"];
    for (list, expected) in [
        (
            &["tls-server-end-point", "tls-exporter"][..],
            BindingType::TlsExporter,
        ),
        (
            &["tls-server-end-point", "tls-unique"],
            BindingType::TlsServerEndPoint,
        ),
        (
            &["tls-made-up", "tls-server-end-point"],
            BindingType::TlsServerEndPoint,
        ),
    ] {
        let chosen = choose(&offered(&mechanisms, Some(list)), &tls(exporter()));
        assert_eq!(chosen, Ok(("SCRAM-SHA-1-PLUS", Binding::Bound(expected))));
    }
}

#[test]
fn without_a_list_the_tls_version_tells_the_binding() {
    let offer = offered(&["SCRAM-SHA-1-PLUS"], None);
    let all = ChannelBindings {
        tls_unique: Some(vec![1; 12]),
        ..exporter()
    };
    let no_unique = exporter();
    let only_end_point = ChannelBindings {
        tls_exporter: None,
        ..exporter()
    };
    for (channel, expected) in [
        (tls(all.clone()), BindingType::TlsExporter),
        (tls(only_end_point.clone()), BindingType::TlsServerEndPoint),
        (tls12(all), BindingType::TlsUnique),
        (tls12(no_unique), BindingType::TlsServerEndPoint),
        (tls12(only_end_point), BindingType::TlsServerEndPoint),
    ] {
        let chosen = choose(&offer, &channel).unwrap();
        assert_eq!(chosen.1, Binding::Bound(expected));
    }
}

#[test]
fn no_plus_offered_is_answered_with_y_and_no_values_with_n() {
    let offer = offered(&["SCRAM-SHA-256"], None);
    for (channel, binding, flag) in [
        (tls(exporter()), Binding::NotOffered, &b"y,,"[..]),
        (
            tls(ChannelBindings::default()),
            Binding::Unavailable,
            b"n,,",
        ),
        (Channel::default(), Binding::Unavailable, b"n,,"),
    ] {
        let mut client =
            ClientAuth::select(&offer, &channel, &alice(), &Policy::default(), nonce(2)).unwrap();
        assert_eq!(client.selection().binding, binding);
        let first = client.initial_response().unwrap().unwrap();
        assert!(first.starts_with(flag));
    }
}

#[test]
fn a_made_up_plus_name_does_not_silence_the_flag() {
    let offer = offered(&["SCRAM-SHA-999-PLUS", "SCRAM-SHA-256"], None);
    let chosen = choose(&offer, &tls(exporter()));
    assert_eq!(chosen, Ok(("SCRAM-SHA-256", Binding::NotOffered)));
}

#[test]
fn a_list_with_nothing_in_common_needs_the_type_that_all_servers_have() {
    let mechanisms = ["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"];
    let only_exporter = ChannelBindings {
        tls_server_end_point: None,
        ..exporter()
    };
    for (list, hash_required) in [("tls-server-end-point", false), ("tls-unique", true)] {
        let offer = offered(&mechanisms, Some(&[list]));
        let selection = Selection::choose(
            &offer,
            &tls(only_exporter.clone()),
            &alice(),
            &Policy::default(),
            None,
        )
        .unwrap();
        assert_eq!(selection.mechanism, Mechanism::Scram(ScramHash::Sha256));
        assert_eq!(selection.binding, Binding::NoneInCommon);
        assert_eq!(selection.offer_hash_required, hash_required);
    }
    // Nothing vouches for a doubtful list when only the bare password is left.
    let offer = offered(&["SCRAM-SHA-256-PLUS", "PLAIN"], Some(&["tls-unique"]));
    assert_eq!(
        choose(&offer, &tls(only_exporter)),
        Err(SelectError::NoMechanism)
    );
}

#[test]
fn an_offer_that_contradicts_itself_is_refused() {
    let list = Some(&["tls-exporter"][..]);
    assert_eq!(
        choose(&offered(&["SCRAM-SHA-256"], list), &tls(exporter())),
        Err(SelectError::PlusMissing)
    );
    let mut sasl2 = offered(&["SCRAM-SHA-256-PLUS"], None);
    sasl2.profile = SaslProfile::Sasl2;
    assert_eq!(
        choose(&sasl2, &tls(exporter())),
        Err(SelectError::BindingListMissing)
    );
    // It does not matter to who cannot bind.
    assert!(
        choose(
            &offered(&["SCRAM-SHA-256"], list),
            &tls(ChannelBindings::default())
        )
        .is_ok()
    );
}

#[test]
fn required_binding_is_bound_or_refused() {
    let require = policy(ChannelBindingPolicy::Require);
    let bound = choose_with(&offered(&EJABBERD, None), &tls(exporter()), &require).unwrap();
    assert_eq!(bound.1, Binding::Bound(BindingType::TlsExporter));
    for (mechanisms, channel) in [
        (&["SCRAM-SHA-512", "PLAIN"][..], tls(exporter())),
        (&["PLAIN"], tls(exporter())),
        (&EJABBERD, tls(ChannelBindings::default())),
        (&EJABBERD, Channel::default()),
    ] {
        assert_eq!(
            choose_with(&offered(mechanisms, None), &channel, &require),
            Err(SelectError::BindingRequired)
        );
    }
    let anonymous = Selection::choose(
        &offered(&["ANONYMOUS"], None),
        &tls(exporter()),
        &Credentials::Anonymous,
        &require,
        None,
    );
    assert_eq!(anonymous, Err(SelectError::BindingRequired));
}

#[test]
fn the_bare_password_needs_tls_and_a_verified_server() {
    let offer = offered(&["PLAIN"], None);
    for channel in [Channel::default(), unverified()] {
        assert_eq!(choose(&offer, &channel), Err(SelectError::PlainWithoutTls));
        let open = Policy {
            allow_plain_without_tls: true,
            ..Policy::default()
        };
        assert!(choose_with(&offer, &channel, &open).is_ok());
    }
    assert_eq!(
        choose(&offer, &tls(exporter())),
        Ok(("PLAIN", Binding::NotApplicable))
    );
}

#[test]
fn what_is_below_the_minimum_is_refused() {
    let scram = Policy {
        minimum: Mechanism::Scram(ScramHash::Sha256),
        ..Policy::default()
    };
    let channel = tls(ChannelBindings::default());
    for (mechanism, taken) in [
        ("PLAIN", false),
        ("SCRAM-SHA-1", false),
        ("SCRAM-SHA-256", true),
    ] {
        let chosen = choose_with(&offered(&[mechanism], None), &channel, &scram);
        assert_eq!(chosen.is_ok(), taken, "{mechanism}");
        if let Err(error) = chosen {
            let strongest = Mechanism::parse(mechanism).unwrap();
            assert_eq!(error, SelectError::TooWeak { strongest });
        }
    }
}

#[test]
fn external_is_taken_only_with_a_certificate_that_was_shown() {
    let offer = offered(&EJABBERD, None);
    let certificate = Credentials::Certificate { authzid: None };
    let shown = Channel {
        client_certificate_shown: true,
        ..tls(exporter())
    };
    let choose = |channel: &Channel, credentials: &Credentials, prefer_external| {
        let policy = Policy {
            prefer_external,
            ..Policy::default()
        };
        Selection::choose(&offer, channel, credentials, &policy, None).map(|s| s.mechanism)
    };
    assert_eq!(
        choose(&tls(exporter()), &certificate, false),
        Err(SelectError::CertificateNotShown)
    );
    assert_eq!(choose(&shown, &certificate, false), Ok(Mechanism::External));
    assert_eq!(choose(&shown, &alice(), true), Ok(Mechanism::External));
    let scram = Ok(Mechanism::ScramPlus(ScramHash::Sha512));
    assert_eq!(choose(&shown, &alice(), false), scram);
    assert_eq!(choose(&tls(exporter()), &alice(), true), scram);
}

#[test]
fn anonymous_is_taken_only_by_who_wants_to_be_anonymous() {
    let offer = offered(&["ANONYMOUS"], None);
    assert_eq!(
        choose(&offer, &tls(exporter())),
        Err(SelectError::NoMechanism)
    );
    let selection = Selection::choose(
        &offer,
        &tls(exporter()),
        &Credentials::Anonymous,
        &Policy::default(),
        None,
    );
    assert_eq!(selection.unwrap().mechanism, Mechanism::Anonymous);
}

#[test]
fn an_offer_weaker_than_the_remembered_one_is_refused() {
    let strong = offered(
        &["SCRAM-SHA-256-PLUS", "SCRAM-SHA-256", "PLAIN"],
        Some(&["tls-exporter", "tls-server-end-point"]),
    );
    let pinned = OfferStrength::of(&strong);
    assert_eq!(pinned.to_string(), "SCRAM-SHA-256-PLUS tls-exporter");
    assert_eq!(pinned.to_string().parse(), Ok(pinned));
    let remembering = Policy {
        pinned: Some(pinned),
        ..Policy::default()
    };
    assert!(choose_with(&strong, &tls(exporter()), &remembering).is_ok());
    for weaker in [
        offered(&["PLAIN"], None),
        offered(&["SCRAM-SHA-512"], None),
        offered(&["SCRAM-SHA-1-PLUS"], Some(&["tls-exporter"])),
        offered(&["SCRAM-SHA-256-PLUS"], Some(&["tls-server-end-point"])),
        offered(&[], None),
    ] {
        assert!(matches!(
            choose_with(&weaker, &tls(exporter()), &remembering),
            Err(SelectError::Downgrade(_))
        ));
    }
    let stronger = offered(&["SCRAM-SHA-512-PLUS"], Some(&["tls-exporter"]));
    assert!(choose_with(&stronger, &tls(exporter()), &remembering).is_ok());
    let both = pinned.or_stronger(OfferStrength::of(&stronger));
    assert_eq!(both.to_string(), "SCRAM-SHA-512-PLUS tls-exporter");
}

/// The decision after a failure of a login with this policy and channel.
fn retry(
    offer: &Offer<'_>,
    channel: &Channel,
    policy: &Policy,
    condition: SaslCondition,
    text: Option<&str>,
) -> Retry {
    let mut client = ClientAuth::select(offer, channel, &alice(), policy, nonce(2)).unwrap();
    client.initial_response().unwrap();
    client.failure(condition, text)
}

#[test]
fn only_a_refusal_that_names_channel_binding_is_retried() {
    let offer = offered(&EJABBERD, None);
    for (condition, text, again) in [
        (
            SaslCondition::NotAuthorized,
            Some("Invalid channel binding"),
            true,
        ),
        (
            SaslCondition::NotAuthorized,
            Some("CHANNEL-BINDING failed"),
            true,
        ),
        (
            SaslCondition::MalformedRequest,
            Some("bad channel binding data"),
            true,
        ),
        (
            SaslCondition::NotAuthorized,
            Some("Invalid username or password"),
            false,
        ),
        (SaslCondition::NotAuthorized, Some(""), false),
        (SaslCondition::NotAuthorized, None, false),
        (
            SaslCondition::AccountDisabled,
            Some("channel binding"),
            false,
        ),
        (
            SaslCondition::CredentialsExpired,
            Some("channel binding"),
            false,
        ),
    ] {
        let decision = retry(
            &offer,
            &tls(exporter()),
            &Policy::default(),
            condition,
            text,
        );
        match decision {
            Retry::WithoutBinding(refused) => {
                assert!(again, "{text:?}");
                assert_eq!(refused.evidence(), RefusalEvidence::FailureText);
            }
            other => assert!(!again, "{text:?}: {other:?}"),
        }
    }
}

#[test]
fn binding_is_not_given_up_where_the_policy_or_the_connection_forbids_it() {
    let text = Some("Invalid channel binding");
    let offer = offered(&EJABBERD, None);
    for (channel, policy) in [
        (unverified(), Policy::default()),
        (tls(exporter()), policy(ChannelBindingPolicy::Require)),
        // Not tried, so nothing to give up.
        (tls(exporter()), policy(ChannelBindingPolicy::Never)),
        (tls(ChannelBindings::default()), Policy::default()),
    ] {
        let decision = retry(
            &offer,
            &channel,
            &policy,
            SaslCondition::NotAuthorized,
            text,
        );
        assert!(matches!(decision, Retry::GiveUp), "{decision:?}");
    }
    let plain = offered(&["PLAIN"], None);
    let decision = retry(
        &plain,
        &tls(exporter()),
        &Policy::default(),
        SaslCondition::NotAuthorized,
        text,
    );
    assert!(matches!(decision, Retry::GiveUp), "{decision:?}");
}

#[test]
fn the_second_try_is_unbound_scram_with_the_flag_n_and_the_last_one() {
    let offer = offered(&EJABBERD, None);
    let text = Some("Invalid channel binding");
    let decision = retry(
        &offer,
        &tls(exporter()),
        &Policy::default(),
        SaslCondition::NotAuthorized,
        text,
    );
    let Retry::WithoutBinding(refused) = decision else {
        panic!("no second try");
    };
    let mut second = ClientAuth::select_without_binding(
        &offer,
        &tls(exporter()),
        &alice(),
        &Policy::default(),
        nonce(2),
        refused,
    )
    .unwrap();
    assert_eq!(second.mechanism(), "SCRAM-SHA-512");
    assert_eq!(second.selection().binding, Binding::RefusedByServer);
    let first = second.initial_response().unwrap().unwrap();
    assert!(first.starts_with(b"n,,"));
    let decision = second.failure(SaslCondition::NotAuthorized, text);
    assert!(matches!(decision, Retry::GiveUp));
}

#[test]
fn the_second_try_never_falls_to_the_bare_password() {
    let offer = offered(&EJABBERD, None);
    let decision = retry(
        &offer,
        &tls(exporter()),
        &Policy::default(),
        SaslCondition::NotAuthorized,
        Some("channel binding"),
    );
    let Retry::WithoutBinding(refused) = decision else {
        panic!("no second try");
    };
    let second = ClientAuth::select_without_binding(
        &offered(&["PLAIN"], None),
        &tls(exporter()),
        &alice(),
        &Policy::default(),
        nonce(2),
        refused,
    );
    assert_eq!(second.err(), Some(SelectError::NoMechanism));
}

#[test]
fn an_error_value_inside_scram_is_evidence_and_outranks_the_text() {
    for (value, evidence) in [
        (
            "channel-bindings-dont-match",
            Some(ServerError::ChannelBindingsDontMatch),
        ),
        (
            "channel-binding-not-supported",
            Some(ServerError::ChannelBindingNotSupported),
        ),
        (
            "unsupported-channel-binding-type",
            Some(ServerError::UnsupportedChannelBindingType),
        ),
        // The answer to a stripped offer: giving way would be the attacker's gain.
        ("server-does-support-channel-binding", None),
        ("invalid-proof", None),
    ] {
        let offer = offered(&EJABBERD, None);
        let mut client = ClientAuth::select(
            &offer,
            &tls(exporter()),
            &alice(),
            &Policy::default(),
            nonce(2),
        )
        .unwrap();
        client.initial_response().unwrap();
        let message = format!("e={value}");
        assert!(client.challenge(message.as_bytes()).is_err());
        // What follows is the answer to our <abort/>.
        let decision = client.failure(SaslCondition::Aborted, Some("channel binding"));
        match (decision, evidence) {
            (Retry::WithoutBinding(refused), Some(error)) => {
                assert_eq!(refused.evidence(), RefusalEvidence::ServerError(error));
            }
            (Retry::GiveUp, None) => {}
            (decision, _) => panic!("{value}: {decision:?}"),
        }
    }
}

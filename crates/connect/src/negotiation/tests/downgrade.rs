//! A server that offers less than it ever did is refused, whether something was sent
//! ahead or not.

use super::*;

fn known() -> [Setup; 2] {
    let ahead = Setup {
        memory: BY_RFC_6120.clone(),
        ..direct()
    };
    let mut step_by_step = ahead.clone();
    step_by_step.memory.distrust();
    [ahead, step_by_step]
}

fn refusal(setup: Setup, features: &str) -> ConnectError {
    let mut play = Play::begin(setup);
    let said = play.said.len();
    play.header();
    play.hear(features);
    assert_eq!(play.said.len(), said, "nothing more is said to it");
    play.error()
}

fn is_downgrade(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::NoMechanism(SelectError::Downgrade(_), _)
    )
}

#[test]
fn a_stripped_list_of_mechanisms_is_refused_and_the_error_says_what_was_there() {
    let plain = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
        <mechanism>PLAIN</mechanism></mechanisms></stream:features>";
    for setup in known() {
        let error = refusal(setup, plain);
        assert!(is_downgrade(&error), "{error}");
        assert_eq!(
            (error.kind(), error.retry()),
            (Kind::Security, Retry::AfterUser)
        );
        let cause = std::error::Error::source(&error).unwrap().to_string();
        for word in [
            "PLAIN -",
            "SCRAM-SHA-256-PLUS tls-exporter",
            "forget the old value",
        ] {
            assert!(cause.contains(word), "{cause}");
        }
    }
}

#[test]
fn a_removed_plus_is_refused() {
    let unbound = PROSODY.replace("<mechanism>SCRAM-SHA-256-PLUS</mechanism>", "");
    // With its list of bindings, and without.
    let list = unbound.find("<sasl-channel-binding").unwrap();
    let without = format!("{}</stream:features>", &unbound[..list]);
    for setup in known() {
        assert!(is_downgrade(&refusal(setup.clone(), &unbound)));
        assert!(is_downgrade(&refusal(setup, &without)));
    }
}

#[test]
fn a_weaker_binding_is_refused() {
    for setup in known() {
        let weaker = PROSODY.replace("tls-exporter", "tls-server-end-point");
        assert!(is_downgrade(&refusal(setup, &weaker)));
    }
}

#[test]
fn stripped_tls_is_refused_even_where_plaintext_is_allowed() {
    for or_plaintext in [false, true] {
        for mut setup in known() {
            setup.start = Start::StartTls { or_plaintext };
            let mut play = Play::begin(setup);
            play.header();
            play.hear(PROSODY);
            assert!(play.said.iter().all(starttls::StartTls::matches));
            let error = play.error();
            assert!(matches!(error, ConnectError::TlsVanished), "{error}");
            assert_eq!(error.kind(), Kind::Security);
            assert!(error.to_string().contains("forget what is remembered"));
        }
    }
}

#[test]
fn sasl2_that_is_gone_is_no_downgrade_if_the_mechanisms_stay() {
    let mut setup = direct();
    setup.memory = BY_SASL2.clone();
    setup.memory.distrust();
    let mut play = Play::begin(setup.clone());
    play.header();
    play.hear(PROSODY);
    assert_eq!(play.last().attr("mechanism"), Some("SCRAM-SHA-256-PLUS"));
    let weaker = PROSODY.replace("SCRAM-SHA-256-PLUS", "SCRAM-SHA-1-PLUS");
    assert!(is_downgrade(&refusal(setup, &weaker)));
}

#[test]
fn a_token_does_not_get_past_a_weaker_offer() {
    let weaker = SASL2.replace("<mechanism>SCRAM-SHA-256-PLUS</mechanism>", "");
    for ahead in [true, false] {
        let mut setup = with_agent();
        setup.memory = BY_SASL2.clone();
        if !ahead {
            setup.memory.distrust();
        }
        assert!(is_downgrade(&refusal(setup, &weaker)));
    }
}

#[test]
fn what_the_caller_pins_and_what_is_remembered_both_hold() {
    let [_, mut setup] = known();
    setup.memory.strongest = "SCRAM-SHA-256 -".parse().unwrap();
    setup.sasl.pinned = Some("SCRAM-SHA-1 tls-exporter".parse().unwrap());
    let unbound = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
        <mechanism>SCRAM-SHA-256</mechanism></mechanisms></stream:features>";
    assert!(is_downgrade(&refusal(setup.clone(), unbound)));
    setup.sasl.pinned = Some("SCRAM-SHA-512 -".parse().unwrap());
    assert!(is_downgrade(&refusal(
        setup,
        PROSODY.replace("-PLUS", "").as_str()
    )));
}

#[test]
fn the_strongest_offer_is_remembered_and_only_grows() {
    let strongest = BY_RFC_6120.strongest;
    assert_eq!(
        strongest,
        "SCRAM-SHA-256-PLUS tls-exporter".parse().unwrap()
    );
    // A token's login is measured by the mechanisms beside it.
    assert_eq!(BY_SASL2.strongest, strongest);
    let mut setup = with_agent();
    setup.memory = BY_SASL2.clone();
    let mut play = Play::begin(setup);
    play.header();
    play.hear(SASL2);
    play.log_in_by("secret-token:1", FULL, &[BOUND_2]);
    play.hear(AFTER);
    let done = play.established();
    assert_eq!(
        (done.login.strength, done.memory.strongest),
        (strongest, strongest)
    );

    // One that needs no password is not measured, and teaches nothing.
    let mut anonymous = direct();
    anonymous.credentials = Credentials::Anonymous;
    anonymous.account = "example.org".parse().unwrap();
    anonymous.memory = done.memory;
    anonymous.memory.distrust();
    let mut play = Play::begin(anonymous);
    play.header();
    play.hear(
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
         <mechanism>ANONYMOUS</mechanism></mechanisms></stream:features>",
    );
    play.hear("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    play.header();
    play.hear(AFTER);
    play.hear(BOUND);
    play.hear(ENABLED);
    assert_eq!(play.established().memory.strongest, strongest);
}

#[test]
fn what_was_offered_in_the_clear_is_never_held_against_a_server_later() {
    // Whoever is on the way may add to it what the server never had.
    let inflated = PROSODY.replace(
        "<mechanism>PLAIN</mechanism>",
        "<mechanism>PLAIN</mechanism><mechanism>SCRAM-SHA-512-PLUS</mechanism>",
    );
    let mut clear = setup(Start::StartTls { or_plaintext: true });
    clear.keys = vec![KEYS.clone()];
    let mut play = Play::begin(clear);
    play.header();
    play.hear(&inflated);
    assert_eq!(play.last().attr("mechanism"), Some("SCRAM-SHA-256"));
    play.log_in_to(Arc::clone(&JULIET), false);
    play.header();
    play.hear(AFTER);
    play.hear(BOUND);
    play.hear(ENABLED);
    let memory = play.established().memory;
    assert_eq!(memory.strongest, OfferStrength::default());
    assert!(!memory.tls && memory.offer.is_none());

    let mut play = Play::begin(Setup { memory, ..direct() });
    play.header();
    play.hear(PROSODY);
    assert_eq!(play.last().attr("mechanism"), Some("SCRAM-SHA-256-PLUS"));
}

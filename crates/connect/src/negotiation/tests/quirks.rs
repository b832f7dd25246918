//! What real servers do otherwise than they should: seen on Prosody 0.12 and ejabberd
//! 23.01. Resumptions that are answered by a closed stream are in `session`, those inline
//! in `inline`.

use super::*;

#[test]
fn a_refused_channel_binding_is_given_up_once_and_reported() {
    const REFUSED: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/>\
        <text xml:lang='en'>Invalid channel binding</text></failure>";
    let mut play = Play::begin(direct());
    play.header();
    play.hear(EJABBERD);
    let first = sasl::Auth::from_element(play.last()).unwrap();
    assert_eq!(first.mechanism, "SCRAM-SHA-256-PLUS");
    assert_eq!(play.hear(REFUSED), ["send"]);
    let second = sasl::Auth::from_element(play.last()).unwrap();
    assert_eq!(second.mechanism, "SCRAM-SHA-256");
    // Another nonce: the first was seen by whoever refused.
    let nonce = |auth: &sasl::Auth| {
        let message = String::from_utf8(auth.initial.clone().unwrap()).unwrap();
        message.rsplit("r=").next().unwrap().to_owned()
    };
    assert_ne!(nonce(&first), nonce(&second));
    assert!(
        play.reports
            .iter()
            .any(|r| matches!(r, Report::BindingRefused(_)))
    );
    play.hear(REFUSED);
    assert!(matches!(play.error(), ConnectError::AuthRefused { .. }));
}

#[test]
fn external_is_passed_over_where_no_certificate_was_shown() {
    let mut setup = direct();
    setup.sasl.prefer_external = true;
    let mut play = Play::begin(setup);
    play.header();
    play.hear(EJABBERD);
    assert_eq!(play.last().attr("mechanism"), Some("SCRAM-SHA-256-PLUS"));

    let mut certified = direct();
    certified.credentials = Credentials::Certificate { authzid: None };
    let mut play = Play::begin(certified);
    play.header();
    play.hear(EJABBERD);
    assert!(matches!(
        play.error(),
        ConnectError::NoMechanism(SelectError::CertificateNotShown, _)
    ));
}

#[test]
fn a_binding_that_is_refused_each_time_is_remembered_as_offered_and_tried_each_time() {
    const REFUSED: &str = "<failure xmlns='urn:ietf:params:xml:ns:xmpp-sasl'><not-authorized/>\
        <text xml:lang='en'>Invalid channel binding</text></failure>";
    let mut setup = direct();
    setup.keys = vec![KEYS.clone()];
    for _ in 0..2 {
        let mut play = Play::begin(setup.clone());
        play.header();
        play.hear(EJABBERD);
        assert_eq!(play.last().attr("mechanism"), Some("SCRAM-SHA-256-PLUS"));
        play.hear(REFUSED);
        play.log_in_to(Arc::clone(&JULIET), false);
        play.header();
        play.hear(AFTER);
        play.hear(BOUND);
        play.hear(ENABLED);
        let done = play.established();
        assert_eq!(
            done.login.binding,
            stanchion_sasl::binding::Binding::RefusedByServer
        );
        assert_eq!(done.login.exchanges, 2);
        assert_eq!(
            done.memory.strongest,
            "SCRAM-SHA-256-PLUS -".parse().unwrap()
        );
        setup.memory = done.memory;
    }
}

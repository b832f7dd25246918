//! The login by RFC 6120, step by step: streams, STARTTLS, SASL, and what is out of order.

use super::*;

#[test]
fn a_whole_login_over_starttls_takes_the_steps_of_rfc_6120() {
    let mut play = Play::begin(setup(STARTTLS));
    assert_eq!(play.header(), [] as [&str; 0]);
    assert_eq!(play.hear(TLS), ["send"]);
    assert!(starttls::StartTls::matches(play.last()));
    assert_eq!(play.negotiation.phase(), Phase::StartTls);
    assert_eq!(play.hear(PROCEED), ["starttls"]);
    assert_eq!(play.feed(Input::TlsReady(protected())), ["open"]);
    play.header();
    assert_eq!(play.hear(PROSODY), ["send"]);
    assert_eq!(play.last().attr("mechanism"), Some("SCRAM-SHA-256-PLUS"));
    play.log_in("r0m30", 4096);
    assert_eq!(play.negotiation.phase(), Phase::Stream);
    play.header();
    assert_eq!(play.hear(AFTER), ["send", "send"]);
    assert_eq!(play.last().attr("resume"), Some("true"));
    assert_eq!(play.hear(BOUND), [] as [&str; 0]);
    assert_eq!(play.hear(ENABLED), ["done"]);

    let done = play.established();
    assert_eq!(done.jid.as_str(), "juliet@example.org/Xy9");
    let sm = done.stream_management.unwrap();
    assert_eq!((sm.resumable, sm.max_seconds), (true, Some(300)));
    assert_eq!(sm.id.unwrap(), "o8_5lK");
    assert_eq!(done.resumption, Resumption::NotTried);
    assert_eq!(done.login.exchanges, 1);
    assert_eq!(done.login.round_trips, 2);
    // Header, starttls, header, auth, response, header, bind with enable.
    assert_eq!(done.round_trips, 7);
    assert!(done.features.offers("ver", "urn:xmpp:features:rosterver"));
}

#[test]
fn who_one_is_goes_out_only_where_nobody_can_read_it() {
    let from = |setup: Setup| {
        let mut negotiation = Negotiation::new(setup);
        match negotiation.poll_output() {
            Some(Output::OpenStream(header)) => header.from,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(from(setup(STARTTLS)), None);
    assert_eq!(from(direct()), Some("juliet@example.org".parse().unwrap()));
}

#[test]
fn a_server_without_tls_is_refused_unless_allowed_in_so_many_words() {
    let mut play = Play::begin(setup(STARTTLS));
    play.header();
    play.hear(PROSODY);
    let error = play.error();
    assert!(matches!(error, ConnectError::TlsNotOffered));
    assert_eq!(error.kind(), Kind::Security);

    let mut play = Play::begin(setup(Start::StartTls { or_plaintext: true }));
    play.header();
    play.hear(PROSODY);
    // Unbound, and never the bare password.
    assert_eq!(play.last().attr("mechanism"), Some("SCRAM-SHA-256"));

    // What is allowed is no reason to do without what is offered.
    let mut play = Play::begin(setup(Start::StartTls { or_plaintext: true }));
    play.header();
    play.hear(TLS);
    assert!(starttls::StartTls::matches(play.last()));
}

#[test]
fn plaintext_against_a_server_that_demands_tls_says_what_to_change() {
    let mut play = Play::begin(setup(Start::Plaintext));
    play.header();
    play.hear(TLS);
    assert!(matches!(play.error(), ConnectError::TlsDemanded));
}

#[test]
fn a_server_that_cannot_start_tls_is_told_from_one_without() {
    let mut play = Play::begin(setup(STARTTLS));
    play.header();
    play.hear(TLS);
    play.hear("<failure xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>");
    assert!(matches!(play.error(), ConnectError::TlsRefused));
}

#[test]
fn a_wrong_password_is_refused() {
    let mut play = Play::begin(direct());
    play.header();
    play.hear(PROSODY);
    play.log_in("another", 4096);
    let error = play.error();
    assert!(matches!(
        error,
        ConnectError::AuthRefused {
            condition: SaslCondition::NotAuthorized,
            ..
        }
    ));
    assert!(
        error
            .to_string()
            .contains("check the user name and the password")
    );
}

#[test]
fn an_offer_that_was_changed_on_the_way_is_noticed() {
    let mut play = Play::begin(direct());
    play.header();
    // The server offers more than this; it says so inside the exchange (XEP-0474).
    play.hear(PROSODY);
    play.log_in_to(Arc::clone(&JULIET), true);
    assert!(sasl::Abort::matches(play.last()));
    let error = play.error();
    assert!(matches!(
        error,
        ConnectError::Login(AuthError::OfferTampered)
    ));
    assert_eq!(error.kind(), Kind::Security);
}

#[test]
fn success_without_proof_is_no_login() {
    let mut play = Play::begin(direct());
    play.header();
    play.hear(PROSODY);
    play.hear("<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>");
    let error = play.error();
    assert!(matches!(error, ConnectError::Login(_)), "{error}");
    assert!(error.ends_the_walk());
}

#[test]
fn a_long_derivation_is_given_to_the_driver_and_kept_keys_spare_it() {
    let mut play = Play::begin(direct());
    play.header();
    play.hear(PROSODY);
    play.log_in("r0m30", 20_000);
    assert_eq!(play.derivations, 1);
    play.header();
    play.hear(AFTER);
    play.hear(BOUND);
    play.hear(ENABLED);
    let keys = play.established().keys.unwrap();
    assert_eq!(keys.iterations(), 20_000);

    let mut again = direct();
    again.keys = vec![keys];
    let mut play = Play::begin(again);
    play.header();
    play.hear(PROSODY);
    play.log_in("r0m30", 20_000);
    assert_eq!(play.derivations, 0);
    assert!(
        play.reports
            .iter()
            .any(|r| matches!(r, Report::LoggedIn(_)))
    );
}

#[test]
fn nothing_acceptable_lists_what_was_offered() {
    let mut play = Play::begin(direct());
    play.header();
    play.hear(
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
         <mechanism>GSSAPI</mechanism></mechanisms></stream:features>",
    );
    let error = play.error();
    assert!(matches!(
        error,
        ConnectError::NoMechanism(SelectError::NoMechanism, _)
    ));
    assert!(error.to_string().contains("GSSAPI"));
}

#[test]
fn what_comes_out_of_its_turn_is_refused_with_the_section() {
    let success = "<success xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>";
    let tries: [(&str, &[&str], &str); 5] = [
        ("success before the login", &[success], "§4.3.2"),
        ("proceed when not asked", &[PROCEED], "§4.3.2"),
        ("features twice", &[PROSODY, PROSODY], "§6.4"),
        (
            "a stanza before the login",
            &[PROSODY, "<message/>"],
            "§6.4",
        ),
        ("a bind answer before the login", &[BOUND], "§4.3.2"),
    ];
    for (what, says, section) in tries {
        let mut play = Play::begin(direct());
        play.header();
        for xml in says {
            play.hear(xml);
        }
        let error = play.error();
        assert_eq!(error.kind(), Kind::Peer, "{what}");
        let rule = std::error::Error::source(&error).unwrap().to_string();
        assert!(rule.contains(section), "{what}: {rule}");
    }
}

#[test]
fn a_server_that_answers_for_another_domain_is_refused() {
    let mut play = Play::begin(direct());
    play.header_from("example.com");
    play.hear(PROSODY);
    assert!(matches!(
        play.error(),
        ConnectError::PeerMisbehaved {
            source: Misbehaviour::WrongDomain { .. },
            ..
        }
    ));
    // Unless it says itself that it does not serve ours: that is more exact.
    let mut play = Play::begin(direct());
    play.header_from("example.com");
    play.hear(
        "<stream:error><host-unknown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
    );
    let error = play.error();
    assert!(matches!(error, ConnectError::Stream { .. }));
    assert_eq!(error.retry(), Retry::AfterUser);
}

#[test]
fn a_server_older_than_xmpp_1_is_told_at_once() {
    let mut play = Play::begin(direct());
    let mut header = StreamHeader::response("example.org".parse().unwrap(), Text::from_static("1"));
    header.version = None;
    play.feed(Input::Event(StreamEvent::Open(header)));
    assert!(matches!(
        play.error(),
        ConnectError::PeerMisbehaved {
            source: Misbehaviour::Version,
            ..
        }
    ));
}

#[test]
fn see_other_host_is_told_with_its_place() {
    let mut play = Play::begin(direct());
    play.header();
    play.hear(
        "<stream:error><see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>\
         [2001:db8::1]:99</see-other-host></stream:error>",
    );
    let ConnectError::Stream { error, .. } = play.error() else {
        panic!();
    };
    assert_eq!(error.value.unwrap(), "[2001:db8::1]:99");
}

#[test]
fn an_endless_stream_of_challenges_ends() {
    let mut play = Play::begin(direct());
    play.header();
    play.hear(PROSODY);
    for _ in 0..10 {
        play.hear("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>AAAA</challenge>");
    }
    assert!(sasl::Abort::matches(play.last()));
    assert!(matches!(play.error(), ConnectError::Login(_)));
}

#[test]
fn a_password_does_not_show_in_debug_output() {
    let mut negotiation = Negotiation::new(direct());
    let id = Text::from_static("s1");
    let header = StreamHeader::response("example.org".parse().unwrap(), id);
    negotiation.handle(Input::Event(StreamEvent::Open(header)));
    let plain = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
        <mechanism>PLAIN</mechanism></mechanisms></stream:features>";
    negotiation.handle(Input::Event(StreamEvent::Element(element(plain))));
    let shown = format!("{negotiation:?}");
    // The message is waiting to be taken out, and holds the password.
    assert!(shown.contains("Send(<auth/>)"), "{shown}");
    let message = Text::base64(b"\0juliet\0r0m30");
    assert!(!shown.contains("r0m30") && !shown.contains(message.as_str()));
    let taken = std::iter::from_fn(|| negotiation.poll_output());
    let sent: Vec<_> = taken
        .filter_map(|output| match output {
            Output::Send(e) => Some(e.text_value()),
            _ => None,
        })
        .collect();
    assert_eq!(sent, [message]);
}

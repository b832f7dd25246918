//! What is sent before the server's features are read, and what comes of it when they are
//! other ones.

use super::*;

fn known(start: Start, memory: &ServerMemory) -> Setup {
    Setup {
        memory: memory.clone(),
        keys: vec![KEYS.clone()],
        ..setup(start)
    }
}

fn direct_known(memory: &ServerMemory) -> Setup {
    known(Start::Protected(protected()), memory)
}

/// As `features`, with the mechanisms of RFC 6120 replaced.
fn offering(mechanisms: &[&str]) -> String {
    let list: String = mechanisms
        .iter()
        .map(|m| format!("<mechanism>{m}</mechanism>"))
        .collect();
    format!(
        "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{list}</mechanisms>\
         <sasl-channel-binding xmlns='urn:xmpp:sasl-cb:0'><channel-binding type='tls-exporter'/>\
         </sasl-channel-binding></stream:features>"
    )
}

fn ahead_refused(error: &ConnectError) -> bool {
    matches!(
        error,
        ConnectError::ShortCutRefused {
            short_cut: ShortCut::Ahead,
            ..
        }
    )
}

#[test]
fn a_known_server_is_logged_in_to_in_four_writes_by_rfc_6120() {
    let mut play = Play::begin(known(STARTTLS, &BY_RFC_6120));
    // In the clear: the request for TLS, and nothing that tells who asks.
    assert_eq!(play.said.len(), 1);
    assert!(starttls::StartTls::matches(play.last()));
    play.header();
    assert_eq!(play.hear(TLS), [] as [&str; 0]);
    assert_eq!(play.negotiation.phase(), Phase::StartTls);
    assert_eq!(play.hear(PROCEED), ["starttls"]);
    assert_eq!(play.feed(Input::TlsReady(protected())), ["open", "send"]);
    assert_eq!(play.last().attr("mechanism"), Some("SCRAM-SHA-256-PLUS"));
    let auth = play.last().clone();
    play.header();
    assert_eq!(play.hear(PROSODY), [] as [&str; 0]);
    assert_eq!(*play.last(), auth);
    play.log_in_to(Arc::clone(&JULIET), false);
    let [.., bind, enable] = &play.said[..] else {
        panic!();
    };
    assert!(bind.child("bind", ns::BIND).is_some() && enable.is("enable", ns::SM));
    play.header();
    assert_eq!(play.hear(AFTER), [] as [&str; 0]);
    play.hear(BOUND);
    assert_eq!(play.hear(ENABLED), ["done"]);
    let done = play.established();
    // Header and starttls, header and auth, response, header with bind and enable.
    assert_eq!(done.round_trips, 4);
    assert_eq!(done.login.exchanges, 1);
    assert!(done.memory.starttls && done.memory.may_send_ahead());
}

#[test]
fn a_known_server_is_logged_in_to_in_two_writes_by_sasl2() {
    let mut play = Play::begin(direct_known(&BY_SASL2));
    assert!(sasl2::Authenticate::matches(play.last()));
    play.header();
    assert_eq!(play.hear(SASL2), [] as [&str; 0]);
    finish_2(&mut play, &[BOUND_2]);
    assert_eq!(play.established().round_trips, 2);
}

#[test]
fn a_resumption_rides_with_the_header_and_binding_waits_for_its_answer() {
    let resuming = || {
        let mut setup = direct_known(&BY_RFC_6120);
        setup.resume = Resume::Try(token());
        let mut play = Play::begin(setup);
        play.header();
        play.hear(PROSODY);
        play.log_in_to(Arc::clone(&JULIET), false);
        assert!(play.last().is("resume", ns::SM));
        play.header();
        play
    };
    let mut play = resuming();
    assert_eq!(play.hear(AFTER), [] as [&str; 0]);
    assert_eq!(play.negotiation.phase(), Phase::Resumption);
    play.hear("<resumed xmlns='urn:xmpp:sm:3' previd='prev' h='3'/>");
    let done = play.established();
    assert_eq!(
        (done.resumption, done.round_trips),
        (Resumption::Resumed { h: 3 }, 3)
    );

    let mut play = resuming();
    play.hear(AFTER);
    assert_eq!(
        play.hear("<failed xmlns='urn:xmpp:sm:3'/>"),
        ["send", "send"]
    );
    play.hear(BOUND);
    play.hear(ENABLED);
    assert!(matches!(
        play.established().resumption,
        Resumption::Failed { .. }
    ));

    // The header itself may be all that is taken back.
    let mut play = resuming();
    play.feed(Input::Disconnected);
    assert!(matches!(play.error(), ConnectError::ResumeUnanswered));
}

#[test]
fn the_bare_password_never_goes_ahead() {
    let plain = "<stream:features><mechanisms xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>\
        <mechanism>PLAIN</mechanism></mechanisms></stream:features>";
    let mut memory = BY_RFC_6120.clone();
    memory.strongest = OfferStrength::default();
    memory.offer.as_mut().unwrap().mechanisms = vec![Text::from_static("PLAIN")];
    memory.offer.as_mut().unwrap().bindings = None;
    let mut play = Play::begin(direct_known(&memory));
    assert!(play.said.is_empty());
    assert!(
        play.reports
            .iter()
            .all(|r| !matches!(r, Report::LoggedIn(_)))
    );
    play.header();
    assert_eq!(play.hear(plain), ["send"]);
    assert_eq!(play.last().attr("mechanism"), Some("PLAIN"));
}

#[test]
fn nothing_goes_ahead_in_the_clear_but_the_request_for_tls() {
    let play = Play::begin(known(Start::Plaintext, &BY_RFC_6120));
    assert!(play.said.is_empty());
    for or_plaintext in [false, true] {
        let play = Play::begin(known(Start::StartTls { or_plaintext }, &BY_RFC_6120));
        assert_eq!(play.said.len(), 1);
        assert!(starttls::StartTls::matches(play.last()));
    }
}

#[test]
fn nothing_goes_ahead_to_an_unknown_server_or_one_that_did_not_take_it() {
    let mut failed = BY_RFC_6120.clone();
    failed.ahead_failed = 2;
    for memory in [ServerMemory::default(), failed] {
        assert!(Play::begin(known(STARTTLS, &memory)).said.is_empty());
        assert!(Play::begin(direct_known(&memory)).said.is_empty());
    }
}

#[test]
fn a_mechanism_that_is_gone_is_refused_and_the_login_starts_anew_on_the_same_stream() {
    let mut memory = BY_RFC_6120.clone();
    memory.strongest = OfferStrength::default();
    let begun = |mechanisms: &[&str]| {
        let mut play = Play::begin(direct_known(&memory));
        play.header();
        assert_eq!(play.hear(&offering(mechanisms)), [] as [&str; 0]);
        play
    };
    // Another hash, as strong or stronger.
    let mut play = begun(&["SCRAM-SHA-512-PLUS", "SCRAM-SHA-512"]);
    let first = sasl::Auth::from_element(play.last()).unwrap();
    play.feed(Input::Event(StreamEvent::Element(failure(
        "invalid-mechanism",
    ))));
    let second = sasl::Auth::from_element(play.last()).unwrap();
    assert_eq!(second.mechanism, "SCRAM-SHA-512-PLUS");
    let nonce = |auth: sasl::Auth| {
        let message = String::from_utf8(auth.initial.unwrap()).unwrap();
        message.rsplit("r=").next().unwrap().to_owned()
    };
    assert_ne!(nonce(first), nonce(second));
    play.log_in_to(Arc::clone(&JULIET), false);
    play.header();
    play.hear(AFTER);
    play.hear(BOUND);
    play.hear(ENABLED);
    let done = play.established();
    assert_eq!(done.login.mechanism, "SCRAM-SHA-512-PLUS");
    assert_eq!((done.login.exchanges, done.login.round_trips), (2, 3));
    // What is remembered is what was read, not what was tried.
    let offer = done.memory.offer.unwrap();
    assert!(offer.mechanisms.iter().any(|m| *m == "SCRAM-SHA-512-PLUS"));

    // A server that goes on with what it does not offer is not trusted with more.
    let mut play = begun(&["SCRAM-SHA-512-PLUS", "SCRAM-SHA-512"]);
    play.hear("<challenge xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>cj1hLHM9YixpPTE=</challenge>");
    assert!(ahead_refused(&play.error()));
}

#[test]
fn a_server_that_learns_to_bind_is_bound_to() {
    let mut memory = BY_RFC_6120.clone();
    let offer = memory.offer.as_mut().unwrap();
    offer.mechanisms.retain(|m| !m.ends_with("-PLUS"));
    offer.bindings = None;
    memory.strongest = "SCRAM-SHA-256 -".parse().unwrap();
    let mut play = Play::begin(direct_known(&memory));
    assert_eq!(play.last().attr("mechanism"), Some("SCRAM-SHA-256"));
    play.header();
    play.hear(PROSODY);
    // It reads in the message that this side thinks it cannot (RFC 5802 §6).
    let refused = Input::Event(StreamEvent::Element(failure("not-authorized")));
    assert_eq!(play.feed(refused), ["send"]);
    assert_eq!(play.last().attr("mechanism"), Some("SCRAM-SHA-256-PLUS"));
}

#[test]
fn the_hash_over_the_offer_is_that_of_the_offer_that_was_read() {
    let all = server(Arc::clone(&JULIET), true);
    let all = all.advertised();
    let mut memory = BY_RFC_6120.clone();
    let offer = memory.offer.as_mut().unwrap();
    offer.mechanisms = all.iter().map(|m| Text::from_static(m)).collect();
    let stripped: Vec<_> = all.iter().copied().filter(|m| *m != "PLAIN").collect();
    // Remembered right and read changed; remembered changed and read right.
    for (read, tampered) in [(&stripped, true), (&all, false)] {
        let mut memory = memory.clone();
        if !tampered {
            let offer = memory.offer.as_mut().unwrap();
            offer.mechanisms.retain(|m| *m != "PLAIN");
        }
        let mut play = Play::begin(direct_known(&memory));
        play.header();
        play.hear(&offering(read));
        play.log_in_to(Arc::clone(&JULIET), true);
        if tampered {
            let error = play.error();
            assert!(matches!(
                error,
                ConnectError::Login(AuthError::OfferTampered)
            ));
        } else {
            assert!(
                play.reports
                    .iter()
                    .any(|r| matches!(r, Report::LoggedIn(_)))
            );
        }
    }
}

#[test]
fn a_wrong_password_is_refused_at_once_although_it_went_ahead() {
    let mut play = Play::begin(direct_known(&BY_RFC_6120));
    play.header();
    play.hear(PROSODY);
    play.feed(Input::Event(StreamEvent::Element(failure(
        "not-authorized",
    ))));
    assert!(matches!(play.error(), ConnectError::AuthRefused { .. }));
}

#[test]
fn a_stream_that_ends_over_what_was_sent_ahead_is_worth_another_one() {
    let stages: [fn() -> Play; 5] = [
        || Play::begin(known(STARTTLS, &BY_RFC_6120)),
        || {
            let mut play = Play::begin(known(STARTTLS, &BY_RFC_6120));
            play.header();
            play.hear(TLS);
            play
        },
        || Play::begin(direct_known(&BY_SASL2)),
        || {
            let mut play = Play::begin(direct_known(&BY_SASL2));
            play.header();
            play.hear(SASL2);
            play
        },
        || {
            let mut play = Play::begin(direct_known(&BY_RFC_6120));
            play.header();
            play.hear(PROSODY);
            play.log_in_to(Arc::clone(&JULIET), false);
            play.header();
            play.hear(AFTER);
            play
        },
    ];
    for begin in stages {
        for condition in [
            "unsupported-stanza-type",
            "not-well-formed",
            "undefined-condition",
        ] {
            let mut play = begin();
            play.hear(&stream_error(condition));
            assert!(ahead_refused(&play.error()), "{condition}");
        }
        let mut play = begin();
        play.feed(Input::Disconnected);
        assert!(ahead_refused(&play.error()));
        // These are about the server, whatever was sent.
        for condition in [
            "system-shutdown",
            "host-unknown",
            "see-other-host",
            "conflict",
        ] {
            let mut play = begin();
            play.hear(&stream_error(condition));
            assert!(
                matches!(play.error(), ConnectError::Stream { .. }),
                "{condition}"
            );
        }
    }
}

#[test]
fn a_server_that_answered_all_is_not_blamed_on_what_was_sent_ahead() {
    let mut play = Play::begin(direct_known(&BY_SASL2));
    play.header();
    play.hear(SASL2);
    play.log_in_2("juliet@example.org", &[]);
    play.feed(Input::Disconnected);
    assert!(matches!(play.error(), ConnectError::Lost { .. }));
}

#[test]
fn sasl2_that_is_gone_leads_to_a_login_by_rfc_6120_on_another_stream() {
    let mut play = Play::begin(direct_known(&BY_SASL2));
    play.header();
    play.hear(PROSODY);
    assert!(ahead_refused(&play.error()));
    let mut memory = BY_SASL2.clone();
    memory.distrust();
    let mut play = Play::begin(direct_known(&memory));
    play.header();
    play.hear(PROSODY);
    assert!(sasl::Auth::matches(play.last()));
}

#[test]
fn sasl2_that_is_new_is_used_the_next_time() {
    let mut play = Play::begin(direct_known(&BY_RFC_6120));
    play.header();
    play.hear(SASL2);
    play.log_in_to(Arc::clone(&JULIET), false);
    play.header();
    play.hear(AFTER);
    play.hear(BOUND);
    play.hear(ENABLED);
    let memory = play.established().memory;
    let play = Play::begin(direct_known(&memory));
    assert!(sasl2::Authenticate::matches(play.last()));
}

#[test]
fn stream_management_that_is_gone_is_noticed_before_the_server_is_asked_for_more() {
    let mut play = Play::begin(direct_known(&BY_RFC_6120));
    play.header();
    play.hear(PROSODY);
    play.log_in_to(Arc::clone(&JULIET), false);
    play.header();
    play.hear(
        "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>",
    );
    assert!(ahead_refused(&play.error()));
}

#[test]
fn a_server_that_binds_aside_is_asked_for_stream_management_again() {
    let mut play = Play::logged_in(direct());
    play.hear(AFTER);
    play.hear(
        "<failed xmlns='urn:xmpp:sm:3'><unexpected-request \
         xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
    );
    assert_eq!(play.hear(BOUND), ["send"]);
    assert!(play.last().is("enable", ns::SM));
    play.hear(ENABLED);
    assert!(play.established().stream_management.unwrap().resumable);
}

#[test]
fn a_long_offer_is_not_remembered() {
    let many: Vec<String> = (0..40).map(|n| format!("X-{n}")).collect();
    let mut names = vec!["SCRAM-SHA-256-PLUS"];
    names.extend(many.iter().map(String::as_str));
    let mut play = Play::begin(Setup {
        keys: vec![KEYS.clone()],
        ..direct()
    });
    play.header();
    play.hear(&offering(&names));
    play.log_in_to(Arc::clone(&JULIET), false);
    play.header();
    play.hear(AFTER);
    play.hear(BOUND);
    play.hear(ENABLED);
    let memory = play.established().memory;
    assert_eq!(memory.offer, None);
    assert_eq!(
        memory.strongest,
        "SCRAM-SHA-256-PLUS tls-exporter".parse().unwrap()
    );
}

//! What follows the login by RFC 6120: resuming, binding, enabling stream management.

use super::*;

#[test]
fn the_server_gives_the_address_whatever_was_wished() {
    let mut wishing = direct();
    wishing.resource = Some(Text::from_static("bench"));
    let mut play = Play::logged_in(wishing);
    play.hear(AFTER);
    assert_eq!(
        play.last()
            .child("bind", ns::BIND)
            .unwrap()
            .child("resource", ns::BIND)
            .unwrap()
            .text(),
        "bench"
    );
    // Refused: once more, without the wish.
    play.hear(
        "<iq type='error' id='bind'><error type='cancel'>\
         <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
    );
    let [.., again, enable] = &play.said[..] else {
        panic!();
    };
    let bind = again.child("bind", ns::BIND).unwrap();
    assert_eq!(bind.children().count(), 0);
    // Only now: it may be sent but once.
    assert!(enable.is("enable", ns::SM));
    assert_eq!(
        play.said.iter().filter(|e| e.is("enable", ns::SM)).count(),
        1
    );
    play.hear(BOUND);
    play.hear(ENABLED);
    assert_eq!(play.established().jid.resource(), "Xy9");
}

#[test]
fn a_refused_binding_is_told_with_its_reason() {
    let mut play = Play::logged_in(direct());
    play.hear(AFTER);
    play.hear(
        "<iq type='error' id='bind'><error type='wait'>\
         <resource-constraint xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>",
    );
    let error = play.error();
    assert!(matches!(error, ConnectError::BindRefused(_)));
    assert_eq!(error.retry(), Retry::Later);
}

#[test]
fn a_session_is_resumed_and_not_bound_again() {
    let mut resuming = direct();
    resuming.resume = Resume::Try(token());
    let mut play = Play::logged_in(resuming);
    assert_eq!(play.hear(AFTER), ["send"]);
    assert!(play.last().is("resume", ns::SM));
    assert_eq!(play.last().attr("h"), Some("9"));
    let resumed = "<resumed xmlns='urn:xmpp:sm:3' previd='prev' h='4294967295'/>";
    assert_eq!(play.hear(resumed), ["done"]);
    let done = play.established();
    assert_eq!(done.jid.resource(), "old");
    assert_eq!(done.resumption, Resumption::Resumed { h: u32::MAX });
    let session = done.stream_management.unwrap();
    assert_eq!(session.token(done.jid, 9), Some(token()));
}

#[test]
fn a_failed_resumption_is_followed_by_binding_with_or_without_a_count() {
    for (answer, expected) in [
        (
            "<failed xmlns='urn:xmpp:sm:3' h='7'><item-not-found \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
            Some(7),
        ),
        ("<failed xmlns='urn:xmpp:sm:3'/>", None),
        ("<failed xmlns='urn:xmpp:sm:3' h='-1'/>", None),
    ] {
        let mut resuming = direct();
        resuming.resume = Resume::Try(token());
        let mut play = Play::logged_in(resuming);
        play.hear(AFTER);
        assert_eq!(play.hear(answer), ["send", "send"]);
        assert_eq!(play.negotiation.phase(), Phase::Binding);
        play.hear(BOUND);
        play.hear(ENABLED);
        let Resumption::Failed { h, reason } = play.established().resumption else {
            panic!();
        };
        assert_eq!(h, expected);
        assert!(matches!(reason, ResumeFailure::Refused(_)));
    }
}

#[test]
fn no_answer_to_resume_is_a_failed_resumption() {
    let answers: [fn(&mut Play); 4] = [
        |p| drop(p.feed(Input::Disconnected)),
        |p| drop(p.feed(Input::Event(StreamEvent::Close))),
        |p| {
            drop(p.hear(
                "<stream:error><undefined-condition \
                 xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
            ));
        },
        |p| {
            drop(p.hear(
                "<stream:error><invalid-xml \
                 xmlns='urn:ietf:params:xml:ns:xmpp-streams'/></stream:error>",
            ));
        },
    ];
    for answer in answers {
        let mut resuming = direct();
        resuming.resume = Resume::Try(token());
        let mut play = Play::logged_in(resuming);
        play.hear(AFTER);
        answer(&mut play);
        assert!(matches!(play.error(), ConnectError::ResumeUnanswered));
    }
    // The next stream says so.
    let mut lost = direct();
    lost.resume = Resume::Lost;
    let mut play = Play::logged_in(lost);
    play.hear(AFTER);
    play.hear(BOUND);
    play.hear(ENABLED);
    assert_eq!(
        play.established().resumption,
        Resumption::Failed {
            h: None,
            reason: ResumeFailure::StreamClosed
        }
    );
}

#[test]
fn a_server_that_goes_down_while_resuming_keeps_the_session() {
    let mut resuming = direct();
    resuming.resume = Resume::Try(token());
    let mut play = Play::logged_in(resuming);
    play.hear(AFTER);
    play.hear(
        "<stream:error><system-shutdown xmlns='urn:ietf:params:xml:ns:xmpp-streams'/>\
         </stream:error>",
    );
    let error = play.error();
    assert!(matches!(error, ConnectError::Stream { .. }));
    assert_eq!(error.retry(), Retry::Later);
}

#[test]
fn another_sessions_resumption_and_a_foreign_token_are_refused() {
    let mut resuming = direct();
    resuming.resume = Resume::Try(token());
    let mut play = Play::logged_in(resuming);
    play.hear(AFTER);
    play.hear("<resumed xmlns='urn:xmpp:sm:3' previd='other' h='0'/>");
    assert!(matches!(
        play.error(),
        ConnectError::PeerMisbehaved {
            source: Misbehaviour::AnotherSession,
            ..
        }
    ));

    let mut foreign = direct();
    foreign.resume = Resume::Try(ResumeToken {
        jid: "romeo@example.org/old".parse().unwrap(),
        ..token()
    });
    let error = Play::begin(foreign).error();
    assert!(matches!(error, ConnectError::Misuse(_)));
}

#[test]
fn without_resume_or_id_a_session_only_acknowledges() {
    for enabled in [
        "<enabled xmlns='urn:xmpp:sm:3' id='a'/>",
        "<enabled xmlns='urn:xmpp:sm:3' resume='true'/>",
        "<enabled xmlns='urn:xmpp:sm:3' id='a' resume='false'/>",
    ] {
        let mut play = Play::logged_in(direct());
        play.hear(AFTER);
        play.hear(BOUND);
        play.hear(enabled);
        let done = play.established();
        let session = done.stream_management.unwrap();
        assert!(!session.resumable);
        assert_eq!(session.token(done.jid, 0), None);
    }
}

#[test]
fn a_session_does_without_stream_management_where_there_is_none() {
    let mut play = Play::logged_in(direct());
    play.hear(
        "<stream:features><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></stream:features>",
    );
    assert_eq!(play.hear(BOUND), ["done"]);
    assert_eq!(play.established().stream_management, None);

    let mut play = Play::logged_in(direct());
    play.hear(AFTER);
    play.hear(BOUND);
    play.hear("<failed xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(play.established().stream_management, None);
}

#[test]
fn stanzas_between_binding_and_enabled_are_kept_in_order_and_bounded() {
    let mut play = Play::logged_in(direct());
    play.hear(AFTER);
    play.hear("<message id='1'/>");
    play.hear(BOUND);
    play.hear("<message id='2'/>");
    play.hear(ENABLED);
    let early = play.established().early;
    let ids: Vec<_> = early.iter().map(|e| e.attr("id").unwrap()).collect();
    assert_eq!(ids, ["1", "2"]);

    let mut play = Play::logged_in(direct());
    play.hear(AFTER);
    for _ in 0..=MAX_EARLY {
        play.hear("<message id='1'/>");
    }
    assert!(matches!(
        play.error(),
        ConnectError::PeerMisbehaved {
            source: Misbehaviour::Flood(_),
            ..
        }
    ));
}

#[test]
fn few_large_stanzas_before_the_answer_are_a_flood_too() {
    let large = format!("<message><body>{}</body></message>", "x".repeat(200_000));
    let mut play = Play::logged_in(direct());
    play.hear(AFTER);
    let mut heard = 0;
    while play.end.is_none() && heard < MAX_EARLY {
        // Before the answer to the bind request, and after it.
        if heard == 5 {
            play.hear(BOUND);
        }
        play.hear(&large);
        heard += 1;
    }
    // 4 MiB.
    assert_eq!(heard, 21);
    assert!(matches!(
        play.error(),
        ConnectError::PeerMisbehaved {
            source: Misbehaviour::FloodOfBytes(_),
            ..
        }
    ));
}

#[test]
fn no_binding_after_the_login_breaks_the_protocol() {
    let mut play = Play::logged_in(direct());
    play.hear("<stream:features/>");
    assert!(matches!(
        play.error(),
        ConnectError::PeerMisbehaved {
            source: Misbehaviour::NoBinding,
            ..
        }
    ));
}

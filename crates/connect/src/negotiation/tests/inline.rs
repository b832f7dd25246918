//! SASL2 with what goes along: a resource, stream management, a session to resume.

use super::*;

fn begun(setup: Setup) -> Play {
    let mut play = Play::begin(setup);
    play.header();
    play.hear(SASL2);
    play
}

fn authenticate(play: &Play) -> sasl2::Authenticate {
    let said = play.said.iter().rev();
    let mut found = said.filter(|e| sasl2::Authenticate::matches(e));
    sasl2::Authenticate::from_element(found.next().unwrap()).unwrap()
}

fn resuming() -> Setup {
    Setup {
        resume: Resume::Try(token()),
        keys: vec![KEYS.clone()],
        ..direct()
    }
}

#[test]
fn a_login_by_sasl2_binds_and_manages_on_the_way() {
    let mut play = begun(direct());
    let asked = authenticate(&play);
    let bind = bind2::Request::find(&asked.inline).unwrap().unwrap();
    assert!(sm::Enable::find(&bind.inline).unwrap().unwrap().resume);
    assert!(sm::Resume::find(&asked.inline).unwrap().is_none());
    play.log_in_2(FULL, &[BOUND_2]);
    assert!(play.end.is_none(), "the features belong to the login");
    // They list the older binding as required: it is not done again.
    assert_eq!(play.hear(AFTER), ["done"]);
    let done = play.established();
    assert_eq!(done.jid.as_str(), FULL);
    assert_eq!(done.login.profile, SaslProfile::Sasl2);
    assert_eq!(done.login.mechanism, "SCRAM-SHA-256-PLUS");
    assert!(done.login.server_proved);
    let sm = done.stream_management.unwrap();
    assert_eq!((sm.resumable, sm.max_seconds), (true, Some(300)));
    assert!(done.features.stream_management);
    // Header, authenticate, response.
    assert_eq!(done.round_trips, 3);
}

#[test]
fn success_of_sasl2_without_proof_is_no_login() {
    for data in [None, Some(b"v=AAAA".to_vec())] {
        let mut play = begun(direct());
        let success = success_2(data, FULL, &[BOUND_2]);
        play.feed(Input::Event(StreamEvent::Element(success)));
        let error = play.error();
        assert!(matches!(error, ConnectError::Login(_)), "{error}");
    }
}

#[test]
fn kept_keys_spare_the_derivation_by_sasl2_as_well() {
    let mut play = begun(direct());
    let who = accounts("r0m30", 20_000);
    play.exchange(Arc::clone(&who), false, |data| {
        success_2(data, FULL, &[BOUND_2])
    });
    play.hear(AFTER);
    assert_eq!(play.derivations, 1);
    let mut again = direct();
    again.keys = vec![play.established().keys.unwrap()];
    let mut play = begun(again);
    play.exchange(who, false, |data| success_2(data, FULL, &[BOUND_2]));
    assert_eq!(play.derivations, 0);
    play.hear(AFTER);
    assert!(play.established().login.server_proved);
}

#[test]
fn sasl2_is_not_used_without_tls() {
    let mut play = Play::begin(setup(Start::Plaintext));
    play.header();
    play.hear(&SASL2.replace("-PLUS", "-OTHER"));
    assert!(sasl::Auth::matches(play.last()));
}

#[test]
fn a_wrong_password_is_refused_by_sasl2_and_not_tried_twice() {
    let mut play = begun(direct());
    let who = accounts("another", 4096);
    play.exchange(who, false, |data| success_2(data, FULL, &[BOUND_2]));
    assert!(matches!(
        play.error(),
        ConnectError::AuthRefused {
            condition: SaslCondition::NotAuthorized,
            ..
        }
    ));
}

#[test]
fn a_refused_channel_binding_is_given_up_once_by_sasl2_as_well() {
    const REFUSED: &str = "<failure xmlns='urn:xmpp:sasl:2'>\
        <not-authorized xmlns='urn:ietf:params:xml:ns:xmpp-sasl'/>\
        <text>Invalid channel binding</text></failure>";
    let mut play = begun(direct());
    assert_eq!(play.hear(REFUSED), ["send"]);
    let again = authenticate(&play);
    assert_eq!(again.mechanism, "SCRAM-SHA-256");
    assert!(bind2::Request::find(&again.inline).unwrap().is_some());
    play.hear(REFUSED);
    assert!(matches!(play.error(), ConnectError::AuthRefused { .. }));
}

#[test]
fn bound_mechanisms_without_a_list_of_bindings_are_refused_by_sasl2() {
    let mut play = Play::begin(direct());
    play.header();
    let list = SASL2.find("<sasl-channel-binding").unwrap();
    play.hear(&format!("{}</stream:features>", &SASL2[..list]));
    assert!(matches!(
        play.error(),
        ConnectError::NoMechanism(SelectError::BindingListMissing, _)
    ));
}

#[test]
fn a_session_is_resumed_inline_and_nothing_is_bound() {
    let mut setup = resuming();
    setup.memory.max_bytes = Some(262_144);
    let mut play = begun(setup);
    let asked = authenticate(&play);
    let resume = sm::Resume::find(&asked.inline).unwrap().unwrap();
    assert_eq!((resume.previd.as_str(), resume.h), ("prev", 9));
    play.log_in_2(
        "juliet@example.org",
        &["<resumed xmlns='urn:xmpp:sm:3' previd='prev' h='7'/>"],
    );
    // Features may come or not: the session does not wait for them.
    let done = play.established();
    assert_eq!(done.jid.resource(), "old");
    assert_eq!(done.resumption, Resumption::Resumed { h: 7 });
    assert_eq!(done.features.max_bytes, Some(262_144));
    assert_eq!(done.memory.max_bytes, Some(262_144));
    let session = done.stream_management.unwrap();
    assert_eq!(session.token(done.jid, 9), Some(token()));
}

#[test]
fn a_resumption_that_fails_inline_is_followed_by_the_binding_beside_it() {
    for (failed, expected) in [
        (
            "<failed xmlns='urn:xmpp:sm:3' h='7'><item-not-found \
             xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></failed>",
            Some(7),
        ),
        ("<failed xmlns='urn:xmpp:sm:3'/>", None),
        ("<failed xmlns='urn:xmpp:sm:3' h='-1'/>", None),
        // Not a word about it is a refusal, too.
        ("<other xmlns='urn:x'/>", None),
    ] {
        let mut play = begun(resuming());
        play.log_in_2(FULL, &[failed, BOUND_2]);
        assert_eq!(play.hear(AFTER), ["done"]);
        let done = play.established();
        let Resumption::Failed { h, reason } = done.resumption else {
            panic!();
        };
        assert_eq!(h, expected);
        assert!(matches!(reason, ResumeFailure::Refused(_)));
        assert_eq!(done.jid.as_str(), FULL);
        assert_eq!(done.stream_management.unwrap().id.unwrap(), "o8_5lK");
    }
}

#[test]
fn what_bind_2_leaves_undone_is_done_by_rfc_6120() {
    // A failed resumption, and no resource.
    let mut play = begun(resuming());
    play.log_in_2("juliet@example.org", &["<failed xmlns='urn:xmpp:sm:3'/>"]);
    assert_eq!(play.hear(AFTER), ["send", "send"]);
    play.hear(BOUND);
    play.hear(ENABLED);
    let done = play.established();
    assert!(matches!(done.resumption, Resumption::Failed { .. }));
    assert!(done.stream_management.is_some());

    // A resource, and no word about stream management.
    let mut play = begun(direct());
    play.log_in_2(FULL, &["<bound xmlns='urn:xmpp:bind:0'/>"]);
    assert_eq!(play.hear(AFTER), ["send"]);
    assert!(play.last().is("enable", ns::SM));
    assert_eq!(play.hear(ENABLED), ["done"]);
    assert!(play.established().stream_management.is_some());

    // Stream management refused: not asked for again.
    let mut play = begun(direct());
    let bound = "<bound xmlns='urn:xmpp:bind:0'><failed xmlns='urn:xmpp:sm:3'/></bound>";
    play.log_in_2(FULL, &[bound]);
    assert_eq!(play.hear(AFTER), ["done"]);
    let refused = |r: &Report| matches!(r, Report::StreamManagementRefused(None));
    assert!(play.reports.iter().any(refused));
    assert_eq!(play.established().stream_management, None);
}

#[test]
fn a_wish_for_a_resource_is_put_by_rfc_6120() {
    let mut wishing = direct();
    wishing.resource = Some(Text::from_static("bench"));
    let mut play = begun(wishing);
    assert!(authenticate(&play).inline.is_empty());
    play.log_in_2("juliet@example.org", &[]);
    assert_eq!(play.hear(AFTER), ["send"]);
    let bind = play.last().child("bind", ns::BIND).unwrap();
    assert_eq!(bind.child("resource", ns::BIND).unwrap().text(), "bench");
}

#[test]
fn where_nothing_resumes_inline_it_is_done_on_the_stream_before_binding() {
    let mut play = Play::begin(resuming());
    play.header();
    play.hear(&SASL2.replace("<sm xmlns='urn:xmpp:sm:3'/>", ""));
    assert!(authenticate(&play).inline.is_empty());
    play.log_in_2("juliet@example.org", &[]);
    assert_eq!(play.hear(AFTER), ["send"]);
    assert!(play.last().is("resume", ns::SM));
    play.hear("<resumed xmlns='urn:xmpp:sm:3' previd='prev' h='3'/>");
    assert_eq!(play.established().resumption, Resumption::Resumed { h: 3 });
}

#[test]
fn a_session_that_was_lost_on_another_stream_is_reported_and_replaced_inline() {
    let mut lost = direct();
    lost.resume = Resume::Lost;
    let mut play = begun(lost);
    finish_2(&mut play, &[BOUND_2]);
    let done = play.established();
    assert_eq!(
        done.resumption,
        Resumption::Failed {
            h: None,
            reason: ResumeFailure::StreamClosed
        }
    );
    assert_eq!(done.round_trips, 3);
}

#[test]
fn another_session_than_the_one_asked_for_is_refused() {
    let resumed = "<resumed xmlns='urn:xmpp:sm:3' previd='other' h='0'/>";
    for setup in [resuming(), direct()] {
        let mut play = begun(setup);
        play.log_in_2("juliet@example.org", &[resumed]);
        assert!(matches!(
            play.error(),
            ConnectError::PeerMisbehaved {
                source: Misbehaviour::AnotherSession,
                ..
            }
        ));
    }
}

#[test]
fn a_resource_that_is_bound_and_not_named_breaks_the_protocol() {
    let mut play = begun(direct());
    play.log_in_2("juliet@example.org", &[BOUND_2]);
    assert!(matches!(
        play.error(),
        ConnectError::PeerMisbehaved {
            source: Misbehaviour::BoundToNothing,
            ..
        }
    ));
}

#[test]
fn tasks_that_only_a_person_can_do_are_a_clear_error() {
    let mut play = begun(direct());
    play.hear(
        "<continue xmlns='urn:xmpp:sasl:2'><tasks><task>TOTP-EXAMPLE</task></tasks>\
         <text>This account needs a second factor</text></continue>",
    );
    assert!(sasl2::Abort::matches(play.last()));
    let error = play.error();
    assert!(matches!(error, ConnectError::TasksDemanded { .. }));
    assert_eq!(
        (error.kind(), error.retry()),
        (Kind::Authentication, Retry::AfterUser)
    );
    let text = error.to_string();
    assert!(
        text.contains("TOTP-EXAMPLE") && text.contains("second factor"),
        "{text}"
    );
    assert!(error.ends_the_walk());
}

#[test]
fn what_comes_between_the_success_and_the_features_is_counted_if_it_is_managed() {
    let mut play = begun(direct());
    play.log_in_2(FULL, &[BOUND_2]);
    play.hear("<message id='1'/>");
    play.hear("<r xmlns='urn:xmpp:sm:3'/>");
    play.hear(AFTER);
    let done = play.established();
    assert!(done.early.is_empty());
    let names: Vec<_> = done.counted.iter().map(Element::name).collect();
    assert_eq!(names, ["message", "r"]);

    let mut play = begun(direct());
    play.log_in_2(FULL, &["<bound xmlns='urn:xmpp:bind:0'/>"]);
    play.hear("<message id='1'/>");
    play.hear(AFTER);
    play.hear(ENABLED);
    let done = play.established();
    assert_eq!((done.early.len(), done.counted.len()), (1, 0));

    let mut play = begun(direct());
    play.log_in_2(FULL, &[BOUND_2]);
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
fn a_stanza_before_anything_is_bound_is_out_of_order() {
    let mut play = begun(direct());
    play.log_in_2("juliet@example.org", &[]);
    play.hear("<message id='1'/>");
    assert!(matches!(
        play.error(),
        ConnectError::PeerMisbehaved {
            source: Misbehaviour::OutOfOrder { .. },
            ..
        }
    ));
}

#[test]
fn no_answer_to_a_resumption_inline_is_a_failed_one() {
    for end in [
        Input::Disconnected,
        Input::Event(StreamEvent::Close),
        Input::Event(StreamEvent::Element(element(&stream_error(
            "undefined-condition",
        )))),
    ] {
        let mut play = begun(resuming());
        // Before the client has said all that it has to say, the end is the network's.
        assert!(!play.negotiation.may_be_resuming());
        let auth = authenticate(&play);
        let nonce = stanchion_sasl::Nonce::from_entropy([3; 24]);
        let mut server = server(Arc::clone(&JULIET), false);
        let step = server.start(&auth.mechanism, auth.initial.as_deref(), nonce);
        let ServerStep::Challenge(data) = step else {
            panic!("{step:?}");
        };
        let challenge = sasl2::Challenge(data).to_element();
        play.feed(Input::Event(StreamEvent::Element(challenge)));
        assert!(sasl2::Response::matches(play.last()));
        assert!(play.negotiation.may_be_resuming());
        play.feed(end);
        assert!(matches!(play.error(), ConnectError::ResumeUnanswered));
    }
}

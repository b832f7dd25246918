//! Stream management (XEP-0198), binding, bounds and deadlines.

use super::*;

#[test]
fn only_stanzas_are_counted_and_only_from_enabling_on() {
    let mut bench = Bench::new();
    let a = bench.bind("a", "one");
    bench.say(a, "<presence/>");
    bench.hear(a);
    bench.enable(a);
    bench.chat(a, "nobody@hub.example", "m");
    bench.say(
        a,
        "<iq type='get' id='i'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    bench.say(a, "<message to='@' id='malformed'/>");
    bench.say(a, "<a xmlns='urn:xmpp:sm:3' h='3'/>");
    bench.hear(a);
    bench.say(a, "<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(bench.one(a).attr("h"), Some("3"));
}

#[test]
fn the_request_comes_in_the_same_write_as_the_stanzas_and_one_at_a_time() {
    let mut bench = Bench::new();
    let (a, _) = bench.managed("a", "one");
    bench.say(a, "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    bench.prompt = false;
    let s = bench.bind("s", "x");
    bench.confirm(s);
    bench.chat(s, "a@hub.example", "m1");
    bench.chat(s, "a@hub.example", "m2");
    bench.confirm(a);
    bench.confirm(a);
    let writes = bench.writes(a);
    let names: Vec<Vec<&str>> = writes
        .iter()
        .map(|w| w.iter().map(Element::name).collect())
        .collect();
    assert_eq!(names, [vec!["message", "r"], vec!["message"]]);
    // Answered for the first alone: there is more to ask about.
    bench.say(a, "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    bench.confirm(a);
    assert_eq!(bench.one(a).name(), "r");
    // The same answer again asks for nothing.
    bench.say(a, "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    assert!(!bench.confirm(a));
}

#[test]
fn acknowledging_what_was_never_sent_ends_the_stream() {
    let mut bench = Bench::new();
    let (a, _) = bench.managed("a", "one");
    bench.say(a, "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    let error = bench.closed.remove(&a).flatten().unwrap();
    assert_eq!(error.condition, StreamCondition::UndefinedCondition);
    let detail = error.application.unwrap();
    assert_eq!(detail.name(), "handled-count-too-high");
    assert_eq!(
        (detail.attr("h"), detail.attr("send-count")),
        (Some("2"), Some("1"))
    );
}

#[test]
fn resuming_with_an_impossible_count_ends_the_new_stream_and_not_the_session() {
    let mut bench = Bench::new();
    let (a, id) = bench.managed("a", "one");
    bench.lose(a);
    let again = bench.log_in("a");
    bench.say(
        again,
        &format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='7'/>"),
    );
    assert_eq!(
        bench.condition(again),
        Some(StreamCondition::UndefinedCondition)
    );
    let third = bench.log_in("a");
    bench.say(
        third,
        &format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='1'/>"),
    );
    assert_eq!(bench.one(third).name(), "resumed");
}

#[test]
fn a_resumed_session_gets_what_it_lacks_once_and_in_order() {
    let mut bench = Bench::new();
    let (a, id) = bench.managed("a", "one");
    let s = bench.bind("s", "x");
    for m in ["m1", "m2", "m3"] {
        bench.chat(s, "a@hub.example/one", m);
    }
    bench.hear(a);
    bench.say(a, "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    bench.lose(a);
    bench.chat(s, "a@hub.example/one", "m4");
    let again = bench.log_in("a");
    // Presence, m1 and m2 came.
    bench.say(
        again,
        &format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='3'/>"),
    );
    let heard = bench.hear(again);
    let names: Vec<_> = heard.iter().map(Element::name).collect();
    assert_eq!(names, ["resumed", "message", "message", "r"]);
    assert_eq!(heard[0].attr("h"), Some("1"), "one presence");
    assert_eq!(
        (heard[1].attr("id"), heard[2].attr("id")),
        (Some("m3"), Some("m4"))
    );
}

#[test]
fn nobody_resumes_the_session_of_another_account() {
    let mut bench = Bench::new();
    let (a, id) = bench.managed("a", "one");
    bench.lose(a);
    let thief = bench.log_in("b");
    bench.say(
        thief,
        &format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>"),
    );
    let failed = bench.one(thief);
    assert_eq!(failed.name(), "failed");
    assert!(failed.attr("h").is_none());
    assert!(
        failed
            .child("item-not-found", stanchion_stanza::ns::STANZAS)
            .is_some()
    );
}

#[test]
fn a_session_that_is_not_resumed_in_time_leaves_its_messages_in_order_with_their_time() {
    let mut bench = Bench::new();
    let (a, id) = bench.managed("a", "one");
    let s = bench.online("s", "x");
    bench.chat(s, "a@hub.example", "m1");
    bench.lose(a);
    bench.advance(10);
    bench.chat(s, "a@hub.example/one", "m2");
    bench.say(
        s,
        "<iq type='get' id='i1' to='a@hub.example/one'><x xmlns='urn:x'/></iq>",
    );
    bench.say(
        s,
        "<message type='headline' to='a@hub.example/one' id='h'/>",
    );
    bench.hear(s);
    bench.advance(280);
    bench.say(s, "<presence/>");
    bench.hear(s);
    assert_eq!(bench.stored("a"), [""; 0], "not yet");
    bench.advance(30);
    assert_eq!(bench.stored("a"), ["m1", "m2"]);
    let bounced: Vec<_> = bench
        .hear(s)
        .into_iter()
        .filter(|e| e.name() == "iq")
        .collect();
    assert_eq!(bounced[0].attr("id"), Some("i1"));
    assert_eq!(error_of(&bounced[0]), "service-unavailable");
    let again = bench.log_in("a");
    bench.say(
        again,
        &format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='1'/>"),
    );
    let failed = bench.one(again);
    assert_eq!((failed.name(), failed.attr("h")), ("failed", Some("1")));
    // The stream lives on.
    bench.say(
        again,
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    );
    bench.say(again, "<presence/>");
    let messages: Vec<_> = bench
        .hear(again)
        .into_iter()
        .filter(|e| e.name() == "message")
        .collect();
    let stamp = |e: &Element| {
        let delay = e.child("delay", stanchion_stanza::ns::DELAY).unwrap();
        delay.attr("stamp").unwrap().to_owned()
    };
    assert_eq!(stamp(&messages[0]), "2023-11-14T22:13:20.000Z");
    assert_eq!(stamp(&messages[1]), "2023-11-14T22:13:30.000Z");
}

#[test]
fn a_copy_that_arrived_elsewhere_is_not_sent_again() {
    let mut bench = Bench::new();
    let (one, _) = bench.managed("a", "one");
    let two = bench.online("a", "two");
    let s = bench.bind("s", "x");
    bench.chat(s, "a@hub.example", "m");
    assert_eq!(bench.ids(two).last().unwrap(), "m");
    bench.lose(one);
    bench.advance(59);
    bench.say(two, "<presence/>");
    for _ in 0..6 {
        bench.advance(55);
        bench.say(two, "<presence/>");
    }
    assert!(!bench.ids(two).contains(&"m".to_owned()));
    assert_eq!(bench.stored("a"), [""; 0]);
}

#[test]
fn a_client_that_never_acknowledges_loses_its_session_and_not_its_messages() {
    let limits = HubLimits {
        unacked_stanzas: 5,
        ..HubLimits::default()
    };
    let mut bench = Bench::with(limits, Vec::new());
    let (a, _) = bench.managed("a", "one");
    let s = bench.bind("s", "x");
    for n in 1..=5 {
        bench.chat(s, "a@hub.example/one", &format!("m{n}"));
    }
    assert_eq!(bench.condition(a), Some(StreamCondition::PolicyViolation));
    assert_eq!(bench.stored("a"), ["m1", "m2", "m3", "m4", "m5"]);
}

#[test]
fn a_client_that_does_not_read_loses_its_connection_and_keeps_its_session() {
    let limits = HubLimits {
        outbound_stanzas: 3,
        ..HubLimits::default()
    };
    let mut bench = Bench::with(limits, Vec::new());
    let (a, id) = bench.managed("a", "one");
    let s = bench.bind("s", "x");
    bench.prompt = false;
    for n in 1..=5 {
        bench.chat(s, "a@hub.example/one", &format!("m{n}"));
    }
    assert_eq!(
        bench.condition(a),
        Some(StreamCondition::ResourceConstraint)
    );
    bench.prompt = true;
    let again = bench.log_in("a");
    bench.say(
        again,
        &format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='1'/>"),
    );
    assert_eq!(bench.ids(again), ["m1", "m2", "m3", "m4", "m5"]);
}

#[test]
fn without_stream_management_only_what_was_not_written_is_kept() {
    let mut bench = Bench::new();
    let a = bench.online("a", "one");
    let s = bench.bind("s", "x");
    bench.chat(s, "a@hub.example", "written");
    bench.prompt = false;
    bench.chat(s, "a@hub.example", "in flight");
    bench.chat(s, "a@hub.example", "waiting");
    bench.lose(a);
    assert_eq!(bench.stored("a"), ["in flight", "waiting"]);
}

#[test]
fn a_stored_message_stays_on_disk_until_it_is_acknowledged() {
    let mut bench = Bench::new();
    let s = bench.bind("s", "x");
    bench.chat(s, "a@hub.example", "m1");
    let (a, _) = bench.managed("a", "one");
    assert_eq!(bench.stored("a"), ["m1"], "sent, not acknowledged");
    bench.say(a, "<a xmlns='urn:xmpp:sm:3' h='2'/>");
    assert_eq!(bench.stored("a"), [""; 0]);
}

#[test]
fn stored_messages_come_before_those_that_come_meanwhile() {
    let limits = HubLimits {
        outbound_stanzas: 4,
        ..HubLimits::default()
    };
    let mut bench = Bench::with(limits, Vec::new());
    let s = bench.bind("s", "x");
    for n in 1..=9 {
        bench.chat(s, "a@hub.example", &format!("m{n}"));
    }
    let a = bench.bind("a", "one");
    bench.prompt = false;
    bench.say(a, "<presence/>");
    bench.chat(s, "a@hub.example", "m10");
    while bench.confirm(a) {}
    let ids = bench.ids(a);
    let expected: Vec<_> = (1..=10).map(|n| format!("m{n}")).collect();
    assert_eq!(ids[1..], expected[..]);
    assert_eq!(bench.stored("a"), [""; 0]);
}

#[test]
fn what_was_stored_before_a_restart_is_delivered_and_removed() {
    let message = |id, account: &str| StoredMessage {
        keeping: super::super::Keeping::Offline,
        id: StoredId(id),
        account: account.into(),
        since: UNIX_EPOCH,
        stanza: format!("<message id='m{id}' type='chat'><body>x</body></message>").into(),
    };
    let stored = vec![
        message(4, "a"),
        message(5, "removed-account"),
        message(6, "a"),
    ];
    let mut bench = Bench::with(HubLimits::default(), stored);
    let a = bench.bind("a", "one");
    bench.say(a, "<presence/>");
    assert_eq!(bench.ids(a)[1..], ["m4", "m6"]);
    assert!(bench.disk.is_empty());
    let s = bench.bind("s", "x");
    bench.close(a);
    bench.chat(s, "a@hub.example", "new");
    assert!(
        bench.disk.keys().all(|id| id.0 > 6),
        "an id is never used twice"
    );
}

#[test]
fn a_resource_that_is_bound_again_goes_to_the_new_client() {
    let mut bench = Bench::new();
    let (old, _) = bench.managed("a", "one");
    let s = bench.bind("s", "x");
    bench.chat(s, "a@hub.example/one", "m1");
    let new = bench.bind("a", "one");
    assert_eq!(bench.condition(old), Some(StreamCondition::Conflict));
    bench.say(new, "<presence/>");
    assert_eq!(
        bench.ids(new).last().unwrap(),
        "m1",
        "what the old one left"
    );
    assert_eq!(bench.router.sessions(), 2);
}

#[test]
fn one_session_more_than_allowed_ends_the_oldest_that_hibernates() {
    let limits = HubLimits {
        sessions: 2,
        ..HubLimits::default()
    };
    let mut bench = Bench::with(limits, Vec::new());
    let (one, id) = bench.managed("a", "one");
    bench.bind("a", "two");
    let three = bench.log_in("a");
    let bind = "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>";
    bench.say(three, bind);
    assert_eq!(error_of(&bench.one(three)), "resource-constraint");
    bench.lose(one);
    bench.say(three, bind);
    assert_eq!(bench.one(three).attr("type"), Some("result"));
    let late = bench.log_in("a");
    bench.say(
        late,
        &format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='0'/>"),
    );
    assert_eq!(bench.one(late).name(), "failed");
}

#[test]
fn a_silent_client_is_asked_and_then_given_up() {
    let mut bench = Bench::new();
    let (managed, id) = bench.managed("a", "one");
    bench.say(managed, "<a xmlns='urn:xmpp:sm:3' h='1'/>");
    let plain = bench.online("b", "two");
    bench.advance(60);
    assert_eq!(bench.one(managed).name(), "r");
    let ping = bench.one(plain);
    assert!(ping.child("ping", stanchion_stanza::ns::PING).is_some());
    bench.say(plain, "<iq type='error' id='hub-ping' to='hub.example'/>");
    bench.advance(30);
    assert_eq!(
        bench.condition(managed),
        Some(StreamCondition::ConnectionTimeout)
    );
    assert!(
        !bench.closed.contains_key(&plain),
        "any element is an answer"
    );
    let again = bench.log_in("a");
    bench.say(
        again,
        &format!("<resume xmlns='urn:xmpp:sm:3' previd='{id}' h='1'/>"),
    );
    assert_eq!(bench.one(again).name(), "resumed");
}

#[test]
fn who_binds_nothing_is_closed_in_time_and_says_nothing_else() {
    let mut bench = Bench::new();
    let idle = bench.log_in("a");
    let hasty = bench.log_in("a");
    bench.chat(hasty, "b@hub.example", "m");
    assert_eq!(bench.condition(hasty), Some(StreamCondition::NotAuthorized));
    bench.advance(30);
    assert_eq!(
        bench.condition(idle),
        Some(StreamCondition::ConnectionTimeout)
    );
}

#[test]
fn enabling_comes_once_and_after_binding() {
    let mut bench = Bench::new();
    let a = bench.log_in("a");
    let enable = "<enable xmlns='urn:xmpp:sm:3'/>";
    bench.say(a, enable);
    assert_eq!(bench.one(a).name(), "failed");
    bench.say(
        a,
        "<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'/></iq>",
    );
    bench.hear(a);
    bench.say(a, enable);
    let enabled = bench.one(a);
    assert_eq!((enabled.name(), enabled.attr("id")), ("enabled", None));
    bench.say(a, enable);
    assert_eq!(bench.one(a).name(), "failed");
    // Not resumable, so its end is the end.
    bench.lose(a);
    assert_eq!(bench.router.sessions(), 0);
}

#[test]
fn questions_without_end_are_not_answered_without_end() {
    let mut bench = Bench::new();
    bench.prompt = false;
    let a = bench.log_in("a");
    for _ in 0..1000 {
        bench.say(a, "<enable xmlns='urn:xmpp:sm:3'/>");
    }
    assert_eq!(bench.condition(a), Some(StreamCondition::PolicyViolation));
}

#[test]
fn a_shutdown_tells_all_and_stores_what_is_unacknowledged() {
    let mut bench = Bench::new();
    let (a, _) = bench.managed("a", "one");
    let (b, _) = bench.managed("b", "two");
    let s = bench.online("s", "x");
    bench.chat(s, "a@hub.example", "m1");
    bench.lose(b);
    bench.chat(s, "b@hub.example", "m2");
    bench.handle(Input::Shutdown);
    for connection in [a, s] {
        assert_eq!(
            bench.condition(connection),
            Some(StreamCondition::SystemShutdown)
        );
    }
    assert_eq!(
        (bench.stored("a"), bench.stored("b")),
        (vec!["m1".into()], vec!["m2".into()])
    );
}

//! Streams: resumption, counts, and servers that fall silent or lie (XEP-0198).

use stanchion_reliability::engine::{Input, Output, ReconnectReason};

use crate::script::{SECOND, Script};

#[test]
fn a_resumed_stream_gets_again_exactly_what_was_not_handled() {
    let mut s = Script::new();
    s.connect();
    for id in ["m0", "m1", "m2"] {
        s.send(id);
    }
    s.acked(1);
    s.disconnect();
    s.sent();
    s.resume(2);
    assert_eq!(s.messages(), ["m2"]);
    // The count goes on.
    s.send("m3");
    s.acked(4);
    assert_eq!(s.gave_up, None);
}

#[test]
fn what_the_server_has_is_not_sent_again_at_once_on_a_resumed_stream() {
    let mut s = Script::new();
    s.connect();
    for id in ["m0", "m1", "m2"] {
        s.send(id);
    }
    s.acked(3);
    s.sent();
    s.disconnect();
    s.pass(100 * SECOND);
    s.resume(3);
    assert_eq!(s.messages(), Vec::<String>::new());
    s.pass(2 * SECOND);
    assert_eq!(s.messages(), Vec::<String>::new());
    // The usual time to answer, from when there is a stream.
    s.pass(2 * SECOND);
    assert_eq!(s.messages(), ["m0", "m1", "m2"]);
}

#[test]
fn a_failed_resumption_sends_again_what_has_no_receipt() {
    let mut s = Script::new();
    s.connect();
    for id in ["m0", "m1", "m2"] {
        s.send(id);
    }
    s.acked(2);
    s.receipt("peer@x/1", "m0");
    s.disconnect();
    s.sent();
    s.bind(true, None);
    assert_eq!(s.messages(), ["m1", "m2"]);
}

#[test]
fn a_failed_resumption_with_a_count_sends_again_only_what_it_does_not_cover() {
    let mut s = Script::new();
    s.connect();
    for id in ["m0", "m1", "m2"] {
        s.send(id);
    }
    s.disconnect();
    s.sent();
    s.bind(true, Some(2));
    assert_eq!(s.messages(), ["m2"]);
}

#[test]
fn an_impossible_count_in_a_failed_resumption_tells_nothing() {
    let mut s = Script::new();
    s.connect();
    s.send("m0");
    s.acked(1);
    s.send("m1");
    s.disconnect();
    s.sent();
    s.bind(true, Some(77));
    assert_eq!(s.messages(), ["m0", "m1"]);
    assert_eq!(s.gave_up, None);
}

#[test]
fn an_impossible_count_ends_the_stream_and_its_session() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    s.acked(2);
    let reason = s.gave_up.take().unwrap();
    assert!(matches!(reason, ReconnectReason::HandledTooHigh(_)));
    assert!(!reason.is_resumable());
    // Once is enough.
    s.acked(3);
    assert_eq!(s.gave_up, None);
    s.sent();
    s.connect();
    assert_eq!(s.messages(), ["m"]);
}

#[test]
fn a_resumption_with_an_impossible_count_ends_the_stream_and_its_session() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    s.disconnect();
    s.resume(5);
    assert!(!s.gave_up.unwrap().is_resumable());
}

#[test]
fn the_server_is_told_unasked_before_it_runs_into_its_bounds() {
    let mut s = Script::new();
    s.connect();
    for n in 0..25 {
        s.message(&format!("m{n}"));
    }
    assert_eq!(s.counts(), ["10", "20"]);
    s.give(Input::Closing);
    assert_eq!(s.counts(), ["25"]);
}

#[test]
fn every_stanza_counts_and_nothing_else_does() {
    let mut s = Script::new();
    s.connect();
    s.receive("<presence from='peer@x/1'/>");
    s.receive("<iq from='peer@x/1' id='1' type='get'><ping xmlns='urn:xmpp:ping'/></iq>");
    s.receive("<message from='@@' id='1'/>");
    s.message("m");
    s.receive("<message from='peer@x/1' type='error' id='z'/>");
    s.receive("<a xmlns='urn:xmpp:sm:3' h='0'/>");
    s.receive("<unknown xmlns='urn:example'/>");
    s.receive("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(s.counts(), ["5"]);
}

#[test]
fn a_silent_server_is_probed_and_given_up() {
    let mut s = Script::new();
    s.connect();
    s.pass(7 * SECOND);
    assert_eq!(s.sent(), Vec::<String>::new());
    s.pass(SECOND);
    assert!(s.sent()[0].starts_with("<r "));
    s.pass(6 * SECOND);
    assert_eq!(s.gave_up, None);
    s.pass(SECOND);
    assert!(s.gave_up.unwrap().is_resumable());
}

#[test]
fn a_server_that_answers_a_probe_is_kept() {
    let mut s = Script::new();
    s.connect();
    for _ in 0..10 {
        s.pass(14 * SECOND);
        s.acked(0);
    }
    assert_eq!(s.gave_up, None);
}

#[test]
fn a_server_that_talks_but_never_answers_is_given_up() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    for _ in 0..100 {
        s.pass(SECOND);
        s.receive("<presence from='peer@x/1'/>");
    }
    assert!(s.gave_up.is_some());
}

#[test]
fn an_unmanaged_stream_is_probed_by_a_ping() {
    let mut s = Script::new();
    s.bind(false, None);
    s.pass(8 * SECOND);
    assert!(s.sent()[0].contains("urn:xmpp:ping"));
    s.receive("<iq type='result' id='probe'/>");
    s.pass(7 * SECOND);
    assert_eq!(s.gave_up, None);
    s.pass(9 * SECOND);
    assert!(s.gave_up.is_some());
}

#[test]
fn a_server_that_acknowledges_nothing_is_given_up_for_good() {
    let mut s = Script::new();
    s.connect();
    for n in 0..1100 {
        s.receive(&format!(
            "<iq from='peer@x/1' id='{n}' type='get'><ping xmlns='urn:xmpp:ping'/></iq>"
        ));
    }
    let reason = s.gave_up.unwrap();
    assert!(matches!(reason, ReconnectReason::Unacknowledged(_)));
    assert!(!reason.is_resumable());
    assert!(s.engine.footprint().unacknowledged == 0);
}

#[test]
fn nothing_is_transmitted_without_a_stream() {
    let mut s = Script::new();
    s.connect();
    s.message("m");
    s.send("n");
    s.disconnect();
    s.sent();
    s.commit(1);
    s.send("o");
    s.receive("<r xmlns='urn:xmpp:sm:3'/>");
    s.pass(500 * SECOND);
    assert_eq!(s.sent(), Vec::<String>::new());
}

#[test]
fn what_is_heard_on_an_unmanaged_stream_does_not_prove_that_anything_leaves() {
    let mut s = Script::new();
    s.bind(false, None);
    s.send("m");
    for n in 0..8 {
        s.pass(2 * SECOND);
        s.receive(&format!("<presence from='peer@x/{n}'/>"));
    }
    assert_eq!(s.gave_up, None);
    let pings = s.sent();
    assert!(pings.iter().any(|xml| xml.contains("urn:xmpp:ping")));
    for n in 0..8 {
        s.pass(2 * SECOND);
        s.receive(&format!("<presence from='peer@x/{n}'/>"));
    }
    assert!(s.gave_up.is_some());
}

#[test]
fn what_was_not_written_when_the_stream_was_lost_is_not_given_to_the_next() {
    let mut s = Script::new();
    s.connect();
    // As by a driver whose store has no room: nothing is polled between the two.
    let now = s.now();
    let ping = stanchion_stanza::Element::new("presence", "jabber:client");
    s.engine.handle(now, Input::Transmit(ping));
    s.engine.handle(now, Input::Disconnected);
    loop {
        match s.engine.poll_output() {
            Output::Wait(_) => break,
            Output::Transmit(bytes) => panic!("{bytes:?} without a stream"),
            _ => {}
        }
    }
}

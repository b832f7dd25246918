//! Outcomes and deadlines: what may be said of a message, and when.

use std::time::Duration;

use stanchion_reliability::store::{OutboundState, Store as _};

use crate::script::{SECOND, Script};

fn told(id: &str, word: &'static str) -> Vec<(String, &'static str)> {
    vec![(id.to_owned(), word)]
}

#[test]
fn only_a_receipt_acknowledges() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    s.acked(1);
    assert_eq!(s.outcomes(), []);
    s.receipt("peer@x/1", "m");
    assert_eq!(s.outcomes(), told("m", "acknowledged"));
    s.receipt("peer@x/1", "m");
    assert_eq!(s.outcomes(), []);
}

#[test]
fn a_receipt_is_believed_only_from_the_account_that_the_message_went_to() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    for from in ["other@x/1", "x", "peer@y/1", "peer.x"] {
        s.receipt(from, "m");
    }
    assert_eq!(s.outcomes(), []);
    s.receipt("peer@x/elsewhere", "m");
    assert_eq!(s.outcomes(), told("m", "acknowledged"));
}

#[test]
fn a_receipt_for_what_was_never_sent_is_not_believed() {
    let mut s = Script::with(|c| c.window = 1);
    s.connect();
    s.send("m0");
    s.send("m1");
    s.receipt("peer@x/1", "m1");
    assert_eq!(s.outcomes(), []);
}

#[test]
fn what_was_never_given_to_a_transport_is_not_delivered_at_its_deadline() {
    let mut s = Script::new();
    s.send_within("m", 5 * SECOND);
    s.pass(4 * SECOND);
    assert_eq!(s.outcomes(), []);
    s.pass(SECOND);
    assert_eq!(s.outcomes(), told("m", "not delivered"));
    s.connect();
    assert_eq!(s.messages(), Vec::<String>::new());
    let mut s = s.crash();
    s.connect();
    s.pass(10 * SECOND);
    assert_eq!(s.messages(), Vec::<String>::new());
}

#[test]
fn not_delivered_is_durable_before_it_is_told() {
    let mut s = Script::new();
    s.send_within("m", 5 * SECOND);
    s.store_waits();
    s.pass(6 * SECOND);
    s.connect();
    assert_eq!(s.messages(), Vec::<String>::new());
    assert_eq!(s.outcomes(), []);
    s.store_answers();
    assert_eq!(s.outcomes(), told("m", "not delivered"));
}

#[test]
fn what_was_given_to_a_transport_is_in_doubt_at_its_deadline() {
    let mut s = Script::new();
    s.connect();
    s.send_within("m", 5 * SECOND);
    s.disconnect();
    s.pass(5 * SECOND);
    assert_eq!(s.outcomes(), told("m", "in doubt"));
    s.sent();
    s.resume(0);
    assert_eq!(s.messages(), Vec::<String>::new());
}

#[test]
fn a_late_receipt_settles_a_doubt_once() {
    let mut s = Script::new();
    s.connect();
    s.send_within("m", 5 * SECOND);
    s.pass(6 * SECOND);
    assert_eq!(s.outcomes(), told("m", "in doubt"));
    s.receipt("other@x/1", "m");
    assert_eq!(s.outcomes(), []);
    s.receipt("peer@x/1", "m");
    assert_eq!(s.outcomes(), told("m", "acknowledged"));
    s.receipt("peer@x/1", "m");
    assert_eq!(s.outcomes(), []);
    let record = s.store.outbound("m").try_take().unwrap().unwrap().unwrap();
    assert_eq!(record.state, OutboundState::Acknowledged);
}

#[test]
fn a_doubt_of_an_earlier_process_is_settled_by_a_late_receipt() {
    let mut s = Script::new();
    s.connect();
    s.send_within("m", 5 * SECOND);
    s.pass(6 * SECOND);
    let mut s = s.crash();
    s.connect();
    s.receipt("peer@x/1", "m");
    assert_eq!(s.outcomes(), told("m", "acknowledged"));
}

#[test]
fn a_message_of_an_earlier_process_is_never_called_not_delivered() {
    for in_memory in [1, 256] {
        let mut s = Script::with(|c| c.in_memory = in_memory);
        s.send_within("m0", 5 * SECOND);
        s.send_within("m1", 5 * SECOND);
        let mut s = s.crash();
        s.pass(6 * SECOND);
        let words: Vec<_> = s.outcomes().into_iter().map(|(_, word)| word).collect();
        assert_eq!(words, ["in doubt", "in doubt"]);
    }
}

#[test]
fn an_engine_over_a_reopened_store_knows_that_messages_may_have_been_sent() {
    let mut s = Script::new();
    s.connect();
    s.send_within("m", 5 * SECOND);
    assert_eq!(s.messages(), ["m"]);
    // The same process and boot token, but another engine.
    let mut s = s.new_engine();
    s.pass(6 * SECOND);
    assert_eq!(s.outcomes(), told("m", "in doubt"));
}

#[test]
fn a_doubt_that_arose_in_the_store_is_settled_once() {
    let mut s = Script::with(|c| (c.window, c.in_memory) = (1, 1));
    s.send("first");
    s.send_within("m", 5 * SECOND);
    let mut s = s.crash();
    s.pass(6 * SECOND);
    s.connect();
    assert_eq!(s.outcomes(), told("m", "in doubt"));
    s.receipt("peer@x/1", "first");
    s.events();
    s.receipt("peer@x/1", "m");
    s.receipt("peer@x/1", "m");
    assert_eq!(s.outcomes(), told("m", "acknowledged"));
}

#[test]
fn messages_in_the_store_have_their_outcome_at_their_deadline() {
    let mut s = Script::with(|c| c.in_memory = 2);
    for n in 0..6 {
        s.send_within(&format!("m{n}"), (10 - n) * SECOND);
    }
    for n in (0..6).rev() {
        s.pass(if n == 5 { 5 * SECOND } else { SECOND });
        assert_eq!(s.outcomes(), told(&format!("m{n}"), "not delivered"));
    }
}

#[test]
fn a_deadline_given_while_the_store_is_read_is_kept() {
    let mut s = Script::with(|c| c.in_memory = 1);
    s.connect();
    s.send("first");
    s.send_within("sent", 3 * SECOND);
    s.send("later");
    s.receipt("peer@x/1", "first");
    assert_eq!(s.messages(), ["first", "sent"]);
    s.pass(2 * SECOND);
    s.outcomes();
    s.store_waits();
    // A look for what is due is on its way, and will find nothing.
    s.pass(SECOND);
    assert_eq!(s.outcomes(), told("sent", "in doubt"));
    assert!(s.asked() > 1);
    s.send_within("short", SECOND);
    s.store_answers();
    s.pass(SECOND);
    assert_eq!(s.outcomes(), told("short", "not delivered"));
}

#[test]
fn thousands_of_messages_that_are_due_at_once_have_their_outcome_at_once() {
    let mut s = Script::with(|c| c.in_memory = 4);
    for n in 0..2000 {
        s.send_within(&format!("m{n}"), 5 * SECOND);
    }
    s.pass(5 * SECOND);
    assert_eq!(s.outcomes().len(), 2000);
}

#[test]
fn a_deadline_that_is_over_at_once_is_not_missed() {
    let mut s = Script::new();
    s.connect();
    s.send_within("m", Duration::ZERO);
    assert_eq!(s.outcomes(), told("m", "not delivered"));
    assert_eq!(s.messages(), Vec::<String>::new());
}

#[test]
fn what_an_earlier_process_accepted_is_due_by_the_wall_clock_however_that_is_set() {
    const HOURS: Duration = Duration::from_secs(2 * 3600);
    for in_memory in [1, 256] {
        let mut s = Script::with(|c| c.in_memory = in_memory);
        s.ahead = HOURS;
        s.send_within("m0", 60 * SECOND);
        s.send_within("m1", 60 * SECOND);
        // A device without power starts in the past, and asks for the time later.
        s.ahead = Duration::ZERO;
        let mut s = s.crash();
        s.pass(30 * SECOND);
        s.ahead = HOURS;
        s.pass(20 * SECOND);
        assert_eq!(s.outcomes(), []);
        s.pass(10 * SECOND);
        let words: Vec<_> = s.outcomes().into_iter().map(|(_, word)| word).collect();
        assert_eq!(words, ["in doubt", "in doubt"], "{in_memory} in memory");
    }
}

#[test]
fn a_clock_that_is_set_back_gives_an_earlier_processs_message_its_time_again() {
    let mut s = Script::new();
    s.send_within("m", 60 * SECOND);
    s.ahead = 50 * SECOND;
    let mut s = s.crash();
    s.pass(5 * SECOND);
    s.ahead = Duration::ZERO;
    s.pass(50 * SECOND);
    assert_eq!(s.outcomes(), []);
    s.pass(5 * SECOND);
    assert_eq!(s.outcomes(), told("m", "in doubt"));
}

#[test]
fn a_process_that_does_nothing_else_finds_out_that_its_clock_was_set() {
    let mut s = Script::new();
    s.ahead = 3600 * SECOND;
    s.send_within("m", 60 * SECOND);
    s.ahead = Duration::ZERO;
    let s = s.crash();
    assert!(s.wait.is_some_and(|at| at <= 10 * SECOND), "{:?}", s.wait);
}

#[test]
fn what_this_process_accepted_is_due_after_its_time_however_the_clock_is_set() {
    for (before, after, in_memory) in [(0, 7200, 256), (0, 7200, 1), (7200, 0, 256)] {
        let mut s = Script::with(|c| c.in_memory = in_memory);
        s.ahead = before * SECOND;
        s.send_within("m0", 60 * SECOND);
        s.send_within("m1", 60 * SECOND);
        s.ahead = after * SECOND;
        s.pass(59 * SECOND);
        assert_eq!(s.outcomes(), []);
        s.pass(SECOND);
        let words: Vec<_> = s.outcomes().into_iter().map(|(_, word)| word).collect();
        assert_eq!(words, ["not delivered", "not delivered"]);
    }
}

//! When verdicts leave: together where they come in close succession, at once where
//! nobody else is coming.

use std::time::Duration;

use stanchion_reliability::engine::Input;
use stanchion_stanza::payload::delivery::VerdictState::{self, Delivered};
use stanchion_stanza::payload::delivery::{Answer, IdPrefix};

use crate::script::{SECOND, Script};

/// As long as a verdict waits for others.
const PAUSE: Duration = Duration::from_millis(5);
const NONE: [(u64, VerdictState); 0] = [];

/// An application that has messages 1 to `count` of a channel in its hands.
fn holding(count: u64) -> Script {
    let mut s = Script::new();
    s.connect();
    for n in 1..=count {
        s.channel_message_that(&format!("m{n}"), n, |said| {
            said.prev = (n > 1).then(|| IdPrefix::from_bits(n + 99));
        });
    }
    let all: Vec<u64> = (1..=count).collect();
    let handed: Vec<u64> = s.handed().iter().map(|(arrival, ..)| *arrival).collect();
    assert_eq!(handed, all);
    // That it has the first one was said, as this device had not spoken before.
    s.sent();
    s.pass(SECOND);
    s
}

/// Answers that were sent since the last look: how many verdicts each had.
fn answers(s: &mut Script) -> Vec<usize> {
    let sent = s.sent();
    let answers = sent
        .iter()
        .filter_map(|xml| crate::script::payload::<Answer>(xml));
    answers.map(|answer| answer.verdicts.len()).collect()
}

#[test]
fn a_lone_verdict_leaves_at_once() {
    let mut s = holding(1);
    s.commit(1);
    assert_eq!(s.verdicts(), [(1, Delivered)]);
}

#[test]
fn verdicts_in_close_succession_leave_together() {
    let mut s = holding(5);
    // Nobody knows yet that others follow.
    s.commit(1);
    assert_eq!(answers(&mut s), [1]);
    for arrival in 2..=4 {
        s.commit(arrival);
    }
    assert_eq!(s.verdicts(), NONE);
    s.pass(PAUSE);
    assert_eq!(answers(&mut s), [3]);
}

#[test]
fn the_last_verdict_takes_all_that_wait_along() {
    let mut s = holding(4);
    for arrival in 1..=3 {
        s.commit(arrival);
    }
    assert_eq!(answers(&mut s), [1]);
    // No message is left that another verdict could come from.
    s.commit(4);
    assert_eq!(answers(&mut s), [3]);
}

#[test]
fn a_full_answer_waits_for_no_more() {
    let most = Answer::MAX_VERDICTS;
    let mut s = holding(most as u64 + 4);
    s.commit(1);
    assert_eq!(answers(&mut s), [1]);
    for arrival in 2..=most as u64 + 2 {
        s.commit(arrival);
    }
    assert_eq!(answers(&mut s), [most]);
    s.pass(PAUSE);
    assert_eq!(answers(&mut s), [1]);
}

#[test]
fn no_verdict_of_an_application_that_takes_its_time_waits() {
    let mut s = holding(3);
    for arrival in 1..=2 {
        s.commit(arrival);
        assert_eq!(s.verdicts(), [(arrival, Delivered)]);
        s.pass(PAUSE * 2);
    }
}

#[test]
fn a_duplicate_is_answered_at_once_with_all_that_wait() {
    let mut s = holding(4);
    for arrival in 1..=3 {
        s.commit(arrival);
    }
    assert_eq!(answers(&mut s), [1]);
    s.channel_message("m2", 2);
    let mut seqs: Vec<u64> = s.verdicts().iter().map(|(seq, _)| *seq).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, [2, 3]);
}

#[test]
fn verdicts_that_wait_leave_before_the_stream_ends() {
    let mut s = holding(4);
    for arrival in 1..=3 {
        s.commit(arrival);
    }
    assert_eq!(answers(&mut s), [1]);
    s.give(Input::Closing);
    assert_eq!(answers(&mut s), [2]);
}

#[test]
fn verdicts_that_wait_survive_a_lost_stream() {
    let mut s = holding(4);
    for arrival in 1..=3 {
        s.commit(arrival);
    }
    assert_eq!(answers(&mut s), [1]);
    s.disconnect();
    s.pass(PAUSE);
    s.connect();
    assert_eq!(answers(&mut s), [2]);
}

//! How long an answer is waited for: the back-off of RFC 6298 §5 with Karn's rule, for each
//! recipient, and what ends it.

use std::time::Duration;

use crate::pair::Pair;
use crate::script::{SECOND, between};

/// What is on its way from one end to the other, and when it arrives.
#[derive(Default)]
struct Way(Vec<(Duration, String)>);

impl Way {
    fn sends(&mut self, at: Duration, stanzas: Vec<String>) {
        self.0.extend(stanzas.into_iter().map(|xml| (at, xml)));
    }

    fn arrive(&mut self, now: Duration) -> Vec<String> {
        let (there, left) = std::mem::take(&mut self.0)
            .into_iter()
            .partition(|(at, _)| *at <= now);
        self.0 = left;
        let there: Vec<(Duration, String)> = there;
        there.into_iter().map(|(_, xml)| xml).collect()
    }
}

/// Sends so many messages, one each `every`, to a recipient that is `far` away. Gives how
/// often they were transmitted.
fn sent_to_one_far_away(far: Duration, every: Duration, messages: usize) -> usize {
    let mut pair = Pair::acquainted();
    let (mut there, mut back) = (Way::default(), Way::default());
    let (step, mut now, mut sent) = (SECOND / 4, Duration::ZERO, 0);
    let (mut next, mut given) = (Duration::ZERO, 0);
    while given < messages || now < next + 60 * SECOND {
        if given < messages && now >= next {
            pair.send(&format!("m{given}"));
            (next, given) = (next + every, given + 1);
        }
        let out = pair.a.out();
        sent += out.len();
        there.sends(now + far / 2, out);
        for xml in there.arrive(now) {
            pair.reaches_b(&xml);
        }
        back.sends(now + far / 2, pair.b.out());
        for xml in back.arrive(now) {
            pair.reaches_a(&xml);
        }
        pair.a.s.pass(step);
        pair.b.s.pass(step);
        now += step;
    }
    assert_eq!(pair.effects.len(), messages);
    for n in 0..messages {
        assert_eq!(pair.a.outcomes_of(&format!("m{n}")), ["delivered"]);
    }
    sent
}

/// Sends a message of its own channel that is lost, and gives after how many quarters of a
/// second it goes out again.
fn again_after(pair: &mut Pair, id: &str) -> u32 {
    pair.a.s.send_on(id, "bob@y", id, None);
    pair.a.out();
    for quarters in 1..1000 {
        pair.a.s.pass(SECOND / 4);
        let out = pair.a.out();
        if out.iter().any(|xml| between(xml, "<body>", "<") == id) {
            return quarters;
        }
    }
    panic!("{id} is never sent again");
}

/// A message that is lost for so long.
fn lost_for(pair: &mut Pair, id: &str, time: Duration) {
    pair.send(id);
    for _ in 0..time.as_secs() {
        pair.pass_deaf(SECOND);
    }
}

/// What was lost goes out again when its time comes, and is answered.
fn arrives_at_last(pair: &mut Pair, id: &str) {
    for _ in 0..400 {
        pair.pass(SECOND / 4);
        if pair.a.outcomes_of(id) == ["delivered"] {
            return;
        }
    }
    panic!("{id} never arrives");
}

#[test]
pub(crate) fn a_slow_recipient_is_not_sent_each_message_again_and_again() {
    let sent = sent_to_one_far_away(5 * SECOND, 15 * SECOND, 40);
    assert!(sent <= 50, "{sent} transmissions of 40 messages");
    let sent = sent_to_one_far_away(5 * SECOND, SECOND / 2, 200);
    assert!(sent <= 250, "{sent} transmissions of 200 messages");
}

#[test]
pub(crate) fn an_answer_to_a_copy_ends_no_back_off() {
    let mut pair = Pair::acquainted();
    lost_for(&mut pair, "m", 20 * SECOND);
    arrives_at_last(&mut pair, "m");
    assert!(again_after(&mut pair, "n") > 4 * 10);
}

#[test]
pub(crate) fn an_answer_to_a_message_that_was_sent_once_ends_the_back_off() {
    let mut pair = Pair::acquainted();
    lost_for(&mut pair, "m", 20 * SECOND);
    pair.a.s.send_on("waits", "bob@y", "waits", None);
    pair.a.out();
    pair.a.s.send_on("once", "bob@y", "once", None);
    pair.carry();
    assert_eq!(pair.a.outcomes_of("once"), ["delivered"]);
    assert!(again_after(&mut pair, "n") <= 4 * 2);
    // And the timers that were started with it.
    pair.pass(3 * SECOND);
    for id in ["m", "waits"] {
        assert_eq!(pair.a.outcomes_of(id), ["delivered"], "{id}");
    }
}

#[test]
fn messages_that_are_not_answered_in_the_same_time_are_one_step() {
    let mut pair = Pair::acquainted();
    (0..50).for_each(|n| pair.send(&format!("m{n}")));
    for _ in 0..6 {
        pair.pass_deaf(SECOND / 4);
    }
    let quarters = again_after(&mut pair, "n");
    assert!((4 * 2..=4 * 3).contains(&quarters), "{quarters}");
}

#[test]
fn what_waits_for_long_is_sent_again_soon_after_an_answer() {
    let mut pair = Pair::acquainted();
    lost_for(&mut pair, "m", 20 * SECOND);
    pair.a.s.send_on("other", "bob@y", "n", None);
    pair.a.out();
    arrives_at_last(&mut pair, "m");
    pair.pass(2 * SECOND);
    assert_eq!(pair.a.outcomes_of("n"), ["delivered"]);
}

#[test]
fn one_that_was_silent_for_longer_than_any_path_is_waited_for_as_usual() {
    let mut pair = Pair::acquainted();
    lost_for(&mut pair, "m", 200 * SECOND);
    arrives_at_last(&mut pair, "m");
    assert!(again_after(&mut pair, "n") <= 4 * 2);
}

#[test]
fn one_that_was_away_is_waited_for_as_usual() {
    let mut pair = Pair::acquainted();
    pair.a.take("bob@y/1", "<presence/>");
    lost_for(&mut pair, "m", 100 * SECOND);
    pair.a.take("bob@y/1", "<presence type='unavailable'/>");
    pair.a.take("bob@y/1", "<presence/>");
    assert!(again_after(&mut pair, "n") <= 4 * 2);
}

#[test]
fn how_long_somebody_was_away_is_no_round_trip() {
    let mut pair = Pair::acquainted();
    pair.a.take("bob@y/1", "<presence/>");
    pair.a.take("bob@y/1", "<presence type='unavailable'/>");
    pair.send("m");
    let kept = pair.a.out();
    pair.a.s.pass(500 * SECOND);
    pair.a.take("bob@y/1", "<presence/>");
    pair.reaches_b(&kept[0]);
    pair.carry();
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
    assert!(again_after(&mut pair, "n") <= 4 * 2);
}

#[test]
fn a_new_session_begins_without_a_back_off() {
    let mut pair = Pair::acquainted();
    lost_for(&mut pair, "m", 100 * SECOND);
    pair.a.s.bind(false, None);
    pair.a.out();
    assert!(again_after(&mut pair, "n") <= 4 * 2);
}

#[test]
fn how_long_there_was_no_stream_is_no_round_trip() {
    let mut pair = Pair::acquainted();
    pair.a.s.bind(true, None);
    pair.send("m");
    let sent = pair.a.out();
    pair.a.s.acked(1);
    pair.a.s.disconnect();
    pair.a.s.pass(100 * SECOND);
    pair.a.s.resume(1);
    pair.a.out();
    pair.reaches_b(&sent[0]);
    pair.b.out().iter().for_each(|xml| pair.reaches_a(xml));
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
    pair.a.s.bind(false, None);
    assert!(again_after(&mut pair, "n") <= 4 * 2);
}

#[test]
fn another_address_is_another_path() {
    let mut pair = Pair::new();
    let set = ["bob@y", "bob@w"].map(|jid| jid.parse().unwrap());
    pair.b
        .s
        .give(stanchion_reliability::engine::Input::Addresses(
            set.to_vec(),
        ));
    pair.get_acquainted();
    lost_for(&mut pair, "m", 50 * SECOND);
    // It is found at its other address.
    pair.b.jid = "bob@w/1".to_owned();
    arrives_at_last(&mut pair, "m");
    assert!(again_after(&mut pair, "n") <= 4 * 4);
}

#[test]
fn what_came_back_is_no_silence() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    for _ in 0..300 {
        if !pair.a.out().is_empty() {
            pair.a.s.bounce("bob@y", "m", "recipient-unavailable");
        }
        pair.a.s.pass(SECOND);
    }
    assert!(again_after(&mut pair, "n") <= 4 * 2);
}

/// What waits at the recipient for the copy of an earlier one waits as long as the sender's
/// own timer takes: as a round trip it would make that timer longer, and so itself.
#[test]
pub(crate) fn how_long_a_message_waited_for_a_copy_of_an_earlier_one_is_no_round_trip() {
    let mut pair = Pair::with(|config| {
        config.rto.min = 20 * SECOND;
        config.rto.initial = 20 * SECOND;
    });
    pair.get_acquainted();
    for n in 0..4 {
        let [lost, waits, soon] = ["m", "n", "o"].map(|id| format!("{id}{n}"));
        pair.effects.clear();
        pair.send(&lost);
        pair.a.out();
        pair.pass_deaf(SECOND);
        pair.send(&waits);
        pair.pass(18 * SECOND);
        // It was sent once, and waits there.
        assert!(pair.effects.is_empty());
        pair.pass(7 * SECOND);
        assert_eq!(pair.effects, [lost, waits]);
        pair.send(&soon);
        pair.carry();
    }
    let quarters = again_after(&mut pair, "p");
    assert!(quarters <= 4 * 25, "{quarters}");
}

#[test]
fn how_long_a_message_waited_for_one_that_goes_out_for_the_first_time_is_a_round_trip() {
    let mut pair = Pair::acquainted();
    for n in 0..20 {
        let id = format!("m{n}");
        pair.send(&id);
        let sent = pair.a.out();
        pair.a.s.pass(SECOND * 9 / 10);
        pair.b.s.pass(SECOND * 9 / 10);
        sent.iter().for_each(|xml| pair.reaches_b(xml));
        pair.carry();
        assert_eq!(pair.a.outcomes_of(&id), ["delivered"]);
    }
    // Longer than the shortest timer, as messages take almost a second.
    assert!(again_after(&mut pair, "n") >= 4);
}

//! The rules of delivery between two engines: what takes effect, and what is said of it.

use std::time::Duration;

use stanchion_reliability::delivery::sender::WINDOW;
use stanchion_reliability::engine::{Event, Input, Mode};
use stanchion_reliability::protection::Protection;
use stanchion_reliability::store::Op;

use crate::pair::{ON_THEIR_WAY, Pair, said, says};
use crate::script::{SECOND, Script};

/// A small generator, for which stanza is lost.
fn dice(state: &mut u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1);
    *state >> 33
}

#[test]
fn messages_take_effect_once_and_in_order_whatever_is_lost_copied_or_late() {
    for seed in 0..20 {
        let mut random = seed;
        let mut pair = Pair::new();
        let ids: Vec<String> = (0..40).map(|n| format!("m{n:02}")).collect();
        for id in &ids {
            pair.send(id);
        }
        let mut late: Vec<(bool, String)> = Vec::new();
        for _ in 0..1000 {
            pair.a.s.pass(SECOND);
            pair.b.s.pass(SECOND);
            let mut moving: Vec<_> = pair.a.out().into_iter().map(|x| (true, x)).collect();
            moving.extend(pair.b.out().into_iter().map(|x| (false, x)));
            moving.append(&mut late);
            for (to_b, xml) in moving {
                let copies = match dice(&mut random) % 8 {
                    0 => 0,
                    1 => 2,
                    2 | 3 => {
                        late.push((to_b, xml));
                        continue;
                    }
                    _ => 1,
                };
                for _ in 0..copies {
                    if to_b {
                        pair.reaches_b(&xml);
                    } else {
                        pair.reaches_a(&xml);
                    }
                }
            }
            if pair.a.outcomes.len() == ids.len() {
                break;
            }
        }
        assert_eq!(pair.effects, ids, "seed {seed}");
        for id in &ids {
            assert_eq!(pair.a.outcomes_of(id), ["delivered"], "seed {seed}");
        }
    }
}

#[test]
fn messages_take_effect_once_and_in_order_whoever_crashes() {
    for seed in 0..20 {
        let mut random = seed + 1000;
        let mut pair = Pair::new();
        let mut ids = Vec::new();
        for n in 0..60 {
            if n < 40 {
                let id = format!("m{n:02}");
                pair.send(&id);
                ids.push(id);
            }
            match dice(&mut random) % 6 {
                0 => pair.a.becomes(crate::script::Script::crash),
                1 => pair.b.becomes(crate::script::Script::crash),
                2 => pair.pass_deaf(2 * SECOND),
                _ => pair.pass(SECOND),
            }
            pair.apply();
        }
        pair.pass(200 * SECOND);
        assert_eq!(pair.effects, ids, "seed {seed}");
        assert_eq!(pair.a.s.engine.pending(), 0, "seed {seed}");
        let wrong = pair.a.outcomes.iter().find(|(_, what)| what != "delivered");
        assert_eq!(wrong, None, "seed {seed}");
    }
}

#[test]
fn delivered_is_said_only_after_the_peers_commit_is_durable() {
    let mut pair = Pair::acquainted();
    pair.commits = false;
    pair.send("m");
    pair.carry();
    assert_eq!(pair.b.handed.len(), 1);
    let (arrival, ..) = pair.b.handed[0];
    pair.b.s.store_waits();
    pair.b.s.commit(arrival);
    pair.carry();
    assert_eq!(pair.a.outcomes, []);
    pair.b.s.store_answers();
    pair.carry();
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn a_plain_receipt_settles_nothing_once_the_device_has_spoken() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    pair.a.s.receipt("bob@y/1", "m");
    pair.a.listen();
    assert_eq!(pair.a.outcomes, []);
    pair.carry();
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn what_cannot_arrive_in_time_is_cancelled_and_a_copy_that_comes_later_takes_no_effect() {
    let mut pair = Pair::acquainted();
    pair.send_within("m", 20 * SECOND);
    let copy = pair.a.out().swap_remove(0);
    while pair.a.outcomes.is_empty() {
        pair.a.s.pass(SECOND / 4);
        // Only cancels get through.
        for xml in pair.a.out().into_iter().filter(|xml| says(xml, "cancel")) {
            pair.reaches_b(&xml);
        }
        for xml in pair.b.out() {
            pair.reaches_a(&xml);
        }
    }
    assert_eq!(pair.a.outcomes_of("m"), ["not delivered expired"]);
    pair.reaches_b(&copy);
    pair.carry();
    assert_eq!(pair.effects, Vec::<String>::new());
    // And the next one is not held up.
    pair.send("n");
    pair.pass(5 * SECOND);
    assert_eq!(pair.effects, ["n"]);
}

#[test]
fn without_a_verdict_it_is_in_doubt_at_its_deadline_and_not_before() {
    let mut pair = Pair::acquainted();
    pair.send_within("m", 20 * SECOND);
    pair.pass_deaf(19 * SECOND);
    assert_eq!(pair.a.outcomes, []);
    pair.pass_deaf(SECOND);
    assert_eq!(pair.a.outcomes_of("m"), ["in doubt noverdict"]);
    // When the recipient can be asked again, it says what is so.
    pair.pass(100 * SECOND);
    assert_eq!(
        pair.a.outcomes_of("m"),
        ["in doubt noverdict", "not delivered expired"]
    );
    assert_eq!(pair.effects, Vec::<String>::new());
}

#[test]
fn a_doubt_is_settled_by_a_late_verdict() {
    let mut pair = Pair::acquainted();
    pair.send_within("m", 20 * SECOND);
    let copy = pair.a.out().swap_remove(0);
    pair.reaches_b(&copy);
    pair.pass_deaf(20 * SECOND);
    assert_eq!(pair.a.outcomes_of("m"), ["in doubt noverdict"]);
    pair.pass(100 * SECOND);
    assert_eq!(pair.a.outcomes_of("m"), ["in doubt noverdict", "delivered"]);
    assert_eq!(pair.effects, ["m"]);
}

#[test]
fn what_is_taken_back_in_time_takes_no_effect() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    let copy = pair.a.out().swap_remove(0);
    pair.a.s.give(Input::Cancel { id: "m".to_owned() });
    pair.carry();
    assert_eq!(pair.a.outcomes_of("m"), ["not delivered cancelled"]);
    pair.reaches_b(&copy);
    pair.carry();
    assert_eq!(pair.effects, Vec::<String>::new());
}

#[test]
fn what_was_handed_over_is_never_voided() {
    let mut pair = Pair::acquainted();
    pair.commits = false;
    pair.send_within("m", 20 * SECOND);
    pair.carry();
    assert_eq!(pair.b.handed.len(), 1);
    pair.a.s.give(Input::Cancel { id: "m".to_owned() });
    pair.pass(20 * SECOND);
    assert_eq!(pair.a.outcomes_of("m"), ["in doubt noverdict"]);
    pair.commits = true;
    pair.pass(100 * SECOND);
    assert_eq!(pair.a.outcomes_of("m"), ["in doubt noverdict", "delivered"]);
}

#[test]
fn deadlines_are_told_in_the_time_of_a_recipient_whose_clock_is_ahead() {
    let mut pair = Pair::acquainted();
    pair.b.s.ahead = 60 * SECOND;
    pair.send_within("m", 30 * SECOND);
    pair.pass(10 * SECOND);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
    let skew =
        |event: &Event| matches!(event, Event::ClockSkew { ahead, .. } if ahead.as_secs() == 60);
    assert!(pair.a.told.iter().any(skew));
}

#[test]
fn a_clock_that_is_a_little_ahead_is_overlooked() {
    let mut pair = Pair::acquainted();
    pair.b.s.ahead = 9 * SECOND;
    pair.send_within("m", 30 * SECOND);
    pair.pass(10 * SECOND);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
    assert!(
        !pair
            .a
            .told
            .iter()
            .any(|e| matches!(e, Event::ClockSkew { .. }))
    );
}

#[test]
fn what_comes_late_is_not_handed_over() {
    let mut pair = Pair::acquainted();
    pair.send_within("m", 20 * SECOND);
    let copy = pair.a.out().swap_remove(0);
    pair.pass_deaf(21 * SECOND);
    pair.reaches_b(&copy);
    let answer = pair.b.out().swap_remove(0);
    assert!(answer.contains("s='late'"), "{answer}");
    assert_eq!(pair.effects, Vec::<String>::new());
}

#[test]
fn a_predecessor_that_was_kept_with_eight_bytes_is_the_same_one() {
    let mut pair = Pair::acquainted();
    pair.send("m1");
    pair.send("m2");
    let sent = pair.a.out();
    pair.reaches_b(&sent[0]);
    pair.b.out();
    pair.a.becomes(|s| {
        s.crash_having_written(|op| {
            if let Op::PutOutbound(record) = op {
                record.prev = record.prev.map(|prev| prev | 0xabcd);
            }
        })
    });
    let again = pair.a.out();
    assert_eq!(said(&again[1], "p"), said(&again[0], "i"));
    for xml in again {
        pair.reaches_b(&xml);
    }
    pair.carry();
    assert_eq!(pair.effects, ["m1", "m2"]);
    assert_eq!(pair.a.outcomes_of("m2"), ["delivered"]);
}

/// The stanza as an earlier version wrote it: ids had eight bytes.
fn with_long_ids(xml: &str) -> String {
    let mut long = xml.to_owned();
    for name in ["i", "p"] {
        let id = said(xml, name);
        long = long.replace(&format!("{name}='{id}'"), &format!("{name}='{id}Bz8'"));
        assert_eq!(said(&long, name).len(), 11);
    }
    long
}

#[test]
fn what_an_earlier_version_sent_and_kept_is_the_same_message() {
    let mut pair = Pair::acquainted();
    pair.commits = false;
    pair.send("m1");
    pair.send("m2");
    let out = pair.a.out();
    // Both are in the application's hands when the device is updated.
    for xml in out.iter().rev() {
        pair.reaches_b(&with_long_ids(xml));
    }
    assert_eq!(pair.b.handed.len(), 2);
    pair.b.becomes(Script::crash);
    pair.commits = true;
    pair.carry();
    assert_eq!(pair.effects, ["m1", "m2"]);
    for id in ["m1", "m2"] {
        assert_eq!(pair.a.outcomes_of(id), ["delivered"]);
    }
    for xml in out.into_iter().flat_map(|xml| [with_long_ids(&xml), xml]) {
        pair.reaches_b(&xml);
        let answer = pair.b.out().concat();
        assert_eq!(said(&answer, "s"), "d", "{answer}");
    }
    assert_eq!(pair.effects.len(), 2);
}

#[test]
fn a_quarter_of_the_window_is_kept_for_alarms() {
    let mut pair = Pair::new();
    pair.a.s.send_on("a", "bob@y", "first", None);
    pair.carry();
    for n in 0..2 * ON_THEIR_WAY {
        pair.a.s.send_on("t", "bob@y", &format!("t{n}"), None);
    }
    assert_eq!(pair.a.out().len() as u64, ON_THEIR_WAY * 3 / 4);
    for n in 0..2 * ON_THEIR_WAY {
        pair.a.s.send_on("a", "bob@y", &format!("a{n}"), None);
    }
    assert_eq!(pair.a.out().len() as u64, ON_THEIR_WAY / 4);
}

#[test]
fn no_more_than_a_window_of_a_channel_is_without_verdict() {
    let mut pair = Pair::with(|config| config.window = 1000);
    for n in 0..2 * WINDOW {
        pair.send(&format!("m{n}"));
    }
    assert_eq!(pair.a.out().len() as u64, WINDOW);
}

#[test]
fn a_message_that_ends_its_consumer_three_times_is_handed_over_no_more() {
    let mut pair = Pair::acquainted();
    pair.commits = false;
    pair.send("bad");
    pair.send("good");
    pair.carry();
    for n in 0..2 {
        assert_eq!(pair.b.handed[0].1, "bad", "hand-over {n}");
        pair.b.becomes(Script::crash);
        assert!(pair.b.handed[0].2, "it may have taken effect");
        pair.b.begins_all();
    }
    pair.b.becomes(Script::crash);
    assert!(
        pair.b
            .told
            .iter()
            .any(|e| matches!(e, Event::Poisoned { .. }))
    );
    pair.commits = true;
    pair.pass(70 * SECOND);
    assert_eq!(pair.effects, ["good"]);
    assert_eq!(pair.a.outcomes_of("bad"), ["in doubt maybeapplied"]);
    assert_eq!(pair.a.outcomes_of("good"), ["delivered"]);
}

#[test]
fn a_message_that_ends_its_consumer_takes_no_other_with_it() {
    let mut pair = Pair::acquainted();
    pair.commits = false;
    let ids: Vec<String> = (0..20).map(|n| format!("m{n:02}")).collect();
    for id in &ids {
        pair.send(id);
    }
    pair.carry();
    // The application does well until it meets `m07`, and commits nothing before it ends.
    for _ in 0..2 {
        assert_eq!(pair.b.handed.len(), 20);
        pair.b.begins_all();
        pair.b.becomes(Script::crash);
    }
    for _ in 0..12 {
        pair.pass(SECOND);
        while let Some((arrival, body, _)) = pair.b.handed.first().cloned() {
            if body == "m07" {
                break;
            }
            assert_eq!(pair.b.handed.len(), 1, "it is there alone");
            pair.b.begins_all();
            pair.b.handed.clear();
            pair.effects.push(body);
            pair.b.s.commit(arrival);
            pair.b.listen();
        }
        if !pair.b.handed.is_empty() {
            pair.b.begins_all();
            pair.b.becomes(Script::crash);
        }
    }
    pair.pass(100 * SECOND);
    let others: Vec<_> = ids.iter().filter(|id| *id != "m07").cloned().collect();
    assert_eq!(pair.effects, others);
    assert_eq!(pair.a.outcomes_of("m07"), ["in doubt maybeapplied"]);
    assert_eq!(pair.a.outcomes_of("m08"), ["delivered"]);
}

#[test]
pub(crate) fn what_waits_in_a_queue_is_not_blamed_for_the_end_of_its_process() {
    let mut pair = Pair::acquainted();
    pair.commits = false;
    let ids = ["m0", "m1", "m2"];
    ids.iter().for_each(|id| pair.send(id));
    pair.carry();
    for _ in 0..5 {
        pair.b.becomes(Script::crash);
        let queued: Vec<&str> = pair.b.handed.iter().map(|h| h.1.as_str()).collect();
        assert_eq!(queued, ids);
    }
    pair.commits = true;
    pair.pass(SECOND);
    assert_eq!(pair.effects, ids);
    for id in ids {
        assert_eq!(pair.a.outcomes_of(id), ["delivered"]);
    }
}

#[test]
pub(crate) fn an_application_begins_again_once_that_is_durable() {
    let mut pair = Pair::acquainted();
    pair.commits = false;
    pair.send("m");
    pair.carry();
    let arrival = pair.b.handed[0].0;
    let begun = |pair: &mut Pair| {
        pair.b.s.give(Input::Begin { arrival });
        let events = pair.b.s.events();
        events
            .iter()
            .filter(|e| matches!(e, Event::Begun { arrival: a } if *a == arrival))
            .count()
    };
    // It is the first process: nothing is to be counted.
    assert_eq!(begun(&mut pair), 1);
    pair.b.becomes(Script::crash);
    pair.b.s.store_waits();
    assert_eq!(begun(&mut pair), 0, "it is not durable");
    pair.b.s.store_answers();
    let events = pair.b.s.events();
    assert!(matches!(events[..], [Event::Begun { .. }]), "{events:?}");
    assert_eq!(begun(&mut pair), 1, "the second time says nothing new");
}

#[test]
fn a_recipient_that_is_forgotten_holds_up_nothing() {
    let mut pair = Pair::acquainted();
    for n in 0..=ON_THEIR_WAY {
        pair.send_within(&format!("m{n:02}"), 20 * SECOND);
    }
    pair.pass_deaf(20 * SECOND);
    pair.send("later");
    assert!(!pair.a.out().iter().any(|xml| xml.contains("later")));
    pair.a.s.give(Input::Forget("bob@y".parse().unwrap()));
    assert!(pair.a.out().iter().any(|xml| xml.contains("later")));
    assert_eq!(
        pair.a.outcomes_of("m00"),
        ["in doubt noverdict", "in doubt forgotten"]
    );
    // Never transmitted, and so not in doubt.
    pair.a.listen();
    assert_eq!(
        pair.a.outcomes_of(&format!("m{ON_THEIR_WAY}")),
        ["not delivered expired"]
    );
}

#[test]
fn what_is_in_doubt_in_the_store_alone_is_forgotten_too() {
    let mut pair = Pair::with(|config| config.in_memory = 2);
    pair.get_acquainted();
    for n in 0..6 {
        pair.send_within(&format!("m{n}"), 20 * SECOND);
    }
    pair.a.becomes(crate::script::Script::crash);
    pair.pass_deaf(20 * SECOND);
    for n in 0..6 {
        assert_eq!(pair.a.outcomes_of(&format!("m{n}")).len(), 1);
    }
    pair.a.s.give(Input::Forget("bob@y".parse().unwrap()));
    pair.pass_deaf(100 * SECOND);
    for n in 0..6 {
        let of = pair.a.outcomes_of(&format!("m{n}"));
        assert_eq!(of.last(), Some(&"in doubt forgotten"), "m{n}: {of:?}");
    }
}

#[test]
fn at_least_once_is_acknowledged_by_a_receipt() {
    let mut pair = Pair::acquainted();
    let strict = Protection::default();
    pair.a
        .s
        .submit("bob@y", "m", None, strict, Mode::AtLeastOnce);
    let sent = pair.a.out();
    assert!(!says(&sent[0], "d"));
    pair.reaches_b(&sent[0]);
    pair.carry();
    assert_eq!(pair.effects, ["m"]);
    assert_eq!(pair.a.outcomes_of("m"), ["acknowledged"]);
}

#[test]
fn a_risen_low_is_told_when_later_messages_wait() {
    let mut pair = Pair::acquainted();
    pair.send("lost");
    pair.a.out();
    pair.send("waits");
    let second = pair.a.out().swap_remove(0);
    pair.reaches_b(&second);
    assert_eq!(pair.effects, Vec::<String>::new());
    pair.a.s.give(Input::Cancel {
        id: "lost".to_owned(),
    });
    // No answer to the cancel comes: the sender gives it up.
    pair.a.out();
    pair.pass_deaf(Duration::from_millis(1));
    pair.carry();
    pair.pass(70 * SECOND);
    assert_eq!(pair.effects, ["waits"]);
    assert_eq!(pair.a.outcomes_of("lost"), ["not delivered cancelled"]);
}

#[test]
fn a_duplicate_is_answered_with_its_recorded_verdict() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    let copy = pair.a.out().swap_remove(0);
    for _ in 0..3 {
        pair.reaches_b(&copy);
        let answers = pair.b.out();
        assert!(
            answers.iter().any(|xml| xml.contains("s='d'")),
            "{answers:?}"
        );
    }
    pair.b.becomes(crate::script::Script::crash);
    pair.reaches_b(&copy);
    let answers = pair.b.out();
    assert!(
        answers.iter().any(|xml| xml.contains("s='d'")),
        "{answers:?}"
    );
    assert_eq!(pair.effects, ["m"]);
    assert_eq!(said(&copy, "n"), "2");
}

#[test]
fn the_application_has_no_message_whose_predecessor_is_missing() {
    let mut pair = Pair::acquainted();
    pair.send("first");
    pair.send("second");
    let sent = pair.a.out();
    pair.reaches_b(&sent[1]);
    assert_eq!(pair.effects, Vec::<String>::new());
    pair.reaches_b(&sent[0]);
    assert_eq!(pair.effects, ["first", "second"]);
}

#[test]
fn verdicts_do_not_hold_the_next_messages_up() {
    let mut pair = Pair::acquainted();
    pair.commits = false;
    for n in 0..5 {
        pair.send(&format!("m{n}"));
    }
    pair.carry();
    assert_eq!(pair.b.handed.len(), 5);
}

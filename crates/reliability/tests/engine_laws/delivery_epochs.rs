//! Stores that are lost, restored and copied: epochs end, and nothing is said of a message
//! that is not so.

use stanchion_reliability::engine::{Event, Input};

use crate::pair::{ON_THEIR_WAY, Pair, said, says};
use crate::script::{SECOND, Script};

/// The epoch's index in a stanza.
fn index(xml: &str) -> String {
    said(xml, "e").split('.').next().unwrap().to_owned()
}

#[test]
fn another_store_at_the_recipient_leaves_what_was_transmitted_in_doubt() {
    let mut pair = Pair::acquainted();
    for n in 0..ON_THEIR_WAY + 2 {
        pair.send(&format!("m{n:02}"));
    }
    // A window is on its way.
    assert_eq!(pair.a.out().len() as u64, ON_THEIR_WAY);
    pair.b.becomes(Script::reinstalled);
    pair.pass(70 * SECOND);
    assert_eq!(pair.a.outcomes_of("m00"), ["in doubt peerreset"]);
    let [last, next, after] =
        [ON_THEIR_WAY - 1, ON_THEIR_WAY, ON_THEIR_WAY + 1].map(|n| format!("m{n:02}"));
    assert_eq!(pair.a.outcomes_of(&last), ["in doubt peerreset"]);
    assert_eq!(pair.a.outcomes_of(&next), ["delivered"]);
    assert_eq!(pair.effects, [next, after]);
}

#[test]
fn what_an_engine_before_this_one_may_have_sent_does_not_move_to_another_store() {
    let mut pair = Pair::with(|config| config.in_memory = 8);
    pair.get_acquainted();
    for n in 0..4 {
        pair.send(&format!("m{n}"));
    }
    assert_eq!(pair.a.out().len(), 4);
    // So many others that the next engine has room for one message of each at first.
    for n in 0..8 {
        pair.a
            .s
            .send_to(&format!("peer{n}@x"), &format!("o{n}"), None);
    }
    // The store is opened again within the process, so its boot token is the same.
    pair.a.becomes(Script::new_engine);
    pair.b.becomes(Script::reinstalled);
    pair.pass(70 * SECOND);
    for n in 0..4 {
        let told = pair.a.outcomes_of(&format!("m{n}"));
        assert_eq!(told, ["in doubt peerreset"], "m{n}");
    }
    assert!(!pair.effects.iter().any(|id| id.starts_with('m')));
}

#[test]
fn what_one_store_may_have_goes_to_no_other_one_although_a_crash_comes_halfway() {
    let mut pair = Pair::acquainted();
    pair.a.s.disconnect();
    // More than one batch takes, and an engine that does not know what was sent of it.
    for n in 0..300 {
        let (channel, id) = (format!("c{}", n % 6), format!("m{n}"));
        pair.a.s.send_on(&channel, "bob@y", &id, None);
    }
    pair.a.becomes(Script::crash);
    let sent = pair.a.out();
    pair.b.becomes(Script::reinstalled);
    pair.reaches_b(&sent[0]);
    let wrong = pair.b.out().swap_remove(0);
    assert!(says(&wrong, "wrong-store"));
    pair.a.s.store_waits();
    pair.reaches_a(&wrong);
    assert!(pair.a.s.asked() > 1);
    pair.a.s.store_answers_once();
    assert_eq!(pair.a.out(), Vec::<String>::new());
    pair.a.becomes(Script::crash);
    pair.pass(70 * SECOND);
    assert_eq!(pair.effects, Vec::<String>::new());
    for n in 0..300 {
        let told = pair.a.outcomes_of(&format!("m{n}"));
        assert_eq!(told, ["in doubt peerreset"], "m{n}");
    }
    pair.send("new");
    pair.carry();
    assert_eq!(pair.effects, ["new"]);
}

#[test]
fn nothing_is_done_for_another_store() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    let copy = pair.a.out().swap_remove(0);
    pair.b.becomes(Script::reinstalled);
    pair.reaches_b(&copy);
    let answers = pair.b.out();
    assert_eq!(answers.len(), 1);
    assert!(says(&answers[0], "wrong-store"));
    assert_eq!(pair.effects, Vec::<String>::new());
}

#[test]
fn the_doubt_of_a_lost_store_is_final() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    let copy = pair.a.out().swap_remove(0);
    let mut old = Pair::new();
    std::mem::swap(&mut old.b, &mut pair.b);
    pair.b.becomes(|_| Script::of(2, |_| {}).reinstalled());
    pair.reaches_b(&copy);
    for xml in pair.b.out() {
        pair.reaches_a(&xml);
    }
    assert_eq!(pair.a.outcomes_of("m"), ["in doubt peerreset"]);
    // The old store comes back and says otherwise.
    old.b.take("anna@x/1", &copy);
    old.apply();
    for xml in old.b.out() {
        pair.reaches_a(&xml);
    }
    assert_eq!(pair.a.outcomes_of("m"), ["in doubt peerreset"]);
}

#[test]
fn a_sender_restored_from_a_backup_goes_on_in_another_epoch() {
    let mut pair = Pair::acquainted();
    let backup = pair.a.s.image();
    pair.send("gone");
    pair.carry();
    pair.a.becomes(|s| s.restored(backup));
    // Its number is that of the message that the backup does not know.
    pair.send("new");
    let first = pair.a.out().swap_remove(0);
    assert_eq!(
        (said(&first, "n").as_str(), index(&first).as_str()),
        ("2", "1")
    );
    pair.reaches_b(&first);
    pair.pass(10 * SECOND);
    assert_eq!(pair.effects, ["gone", "new"]);
    assert_eq!(pair.a.outcomes_of("new"), ["delivered"]);
    pair.send("newer");
    assert_eq!(index(&pair.a.out()[0]), "2");
}

#[test]
fn a_delivery_that_was_told_and_not_written_is_rolled_back_in_a_restored_store() {
    let mut pair = Pair::acquainted();
    pair.a.s.disconnect();
    pair.send("m");
    let backup = pair.a.s.image();
    pair.a.s.bind(false, None);
    for xml in pair.a.out() {
        pair.reaches_b(&xml);
    }
    let late = pair.b.out().swap_remove(0);
    pair.reaches_a(&late);
    // Its recipient learns that it is settled.
    pair.send("next");
    pair.carry();
    pair.a.becomes(|s| s.restored(backup));
    pair.a.s.store_waits();
    pair.reaches_a(&late);
    pair.a.becomes(Script::crash);
    pair.pass(10 * SECOND);
    let told = pair.a.outcomes_of("m");
    assert_eq!(told, ["delivered", "delivered", "in doubt rolledback"]);
    assert_eq!(pair.effects, ["m", "next"]);
}

#[test]
fn what_one_copy_of_a_store_gave_up_unsent_another_one_delivers() {
    let mut pair = Pair::acquainted();
    pair.a.s.disconnect();
    pair.send("m");
    let copy = pair.a.s.image();
    let id = "m".to_owned();
    pair.a.s.give(Input::Cancel { id });
    pair.a.listen();
    pair.a.becomes(|s| s.restored(copy));
    pair.carry();
    let told = pair.a.outcomes_of("m");
    assert_eq!(told, ["not delivered cancelled", "delivered"]);
    assert_eq!(pair.effects, ["m"]);
}

#[test]
fn what_a_backup_has_open_and_its_recipient_has_done_is_delivered_once() {
    let mut pair = Pair::acquainted();
    pair.a.s.disconnect();
    pair.send("m");
    let backup = pair.a.s.image();
    pair.a.s.bind(false, None);
    pair.carry();
    assert_eq!(pair.effects, ["m"]);
    pair.a.becomes(|s| s.restored(backup));
    pair.pass(10 * SECOND);
    assert_eq!(pair.effects, ["m"]);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered", "delivered"]);
}

#[test]
fn a_store_from_before_its_recipient_spoke_believes_a_plain_receipt_again() {
    let mut pair = Pair::new();
    pair.a.s.disconnect();
    pair.send("m");
    let backup = pair.a.s.image();
    pair.a.s.bind(false, None);
    // It is lost on its way, and the recipient speaks on another channel.
    assert_eq!(pair.a.out().len(), 1);
    pair.a.s.send_on("other", "bob@y", "n", None);
    pair.carry();
    assert_eq!(pair.a.outcomes_of("n"), ["delivered"]);
    // Another client of the account answers, and is not believed.
    pair.a.s.receipt("bob@y/other", "m");
    pair.a.listen();
    assert_eq!(pair.a.outcomes_of("m"), Vec::<&str>::new());
    pair.a.becomes(|s| s.restored(backup));
    pair.a.s.receipt("bob@y/other", "m");
    pair.a.listen();
    assert_eq!(pair.a.outcomes_of("m"), ["acknowledged"]);
}

#[test]
fn what_a_backup_has_open_and_nobody_remembers_is_rolled_back() {
    let mut pair = Pair::acquainted();
    pair.a.s.disconnect();
    pair.send("m");
    let backup = pair.a.s.image();
    pair.a.s.bind(false, None);
    pair.carry();
    pair.send("n");
    pair.carry();
    // `n` told the recipient that `m` is settled, so its verdict is gone.
    pair.a.becomes(|s| s.restored(backup));
    pair.pass(10 * SECOND);
    assert_eq!(pair.effects, ["m", "n"]);
    assert_eq!(
        pair.a.outcomes_of("m"),
        ["delivered", "in doubt rolledback"]
    );
}

#[test]
fn what_was_never_sent_goes_on_whatever_a_lost_history_has_told() {
    let mut pair = Pair::acquainted();
    let (a, b) = (pair.a.s.image(), pair.b.s.image());
    for n in 0..3 {
        pair.send(&format!("gone{n}"));
        pair.carry();
    }
    pair.send("late");
    let late = pair.a.out().swap_remove(0);
    pair.a.becomes(|s| s.restored(a));
    pair.b.becomes(|s| s.restored(b));
    // It is taken, its verdict is lost, and a late copy tells the `low` of the lost history.
    pair.send("new");
    let copy = pair.a.out().swap_remove(0);
    pair.reaches_b(&copy);
    pair.b.out();
    pair.reaches_b(&late);
    pair.b.out();
    pair.reaches_b(&copy);
    let settled = pair.b.out().swap_remove(0);
    pair.reaches_a(&settled);
    assert!(says(&pair.a.out()[0], "close"));
    pair.send("held");
    assert_eq!(pair.a.out(), Vec::<String>::new());
    pair.pass(10 * SECOND);
    assert_eq!(pair.a.outcomes_of("new"), ["in doubt rolledback"]);
    assert_eq!(pair.a.outcomes_of("held"), ["delivered"]);
    assert_eq!(pair.effects.last().map(String::as_str), Some("held"));
}

#[test]
fn what_two_live_copies_of_a_store_both_send_for_the_first_time_takes_effect_twice() {
    let mut pair = Pair::acquainted();
    pair.a.s.disconnect();
    // More than a window, so that the last one waits until the first one is settled.
    for n in 0..=ON_THEIR_WAY {
        pair.send(&format!("m{n:02}"));
    }
    let last = format!("m{ON_THEIR_WAY:02}");
    let copy = pair.a.s.image();
    let mut clone = Pair::new();
    clone.a.s = pair.a.s.copied(copy, 77);
    clone.a.s.bind(false, None);
    std::mem::swap(&mut clone.b, &mut pair.b);
    clone.carry();
    clone.send("next");
    clone.carry();
    std::mem::swap(&mut clone.b, &mut pair.b);
    pair.a.s.bind(false, None);
    pair.pass(10 * SECOND);
    assert_eq!(clone.effects.len() as u64, ON_THEIR_WAY + 2);
    assert_eq!(pair.a.outcomes_of("m00"), ["in doubt rolledback"]);
    assert_eq!(pair.effects, [last]);
}

#[test]
fn two_processes_with_one_store_are_found_out() {
    let mut pair = Pair::acquainted();
    let copy = pair.a.s.image();
    let mut clone = Pair::new();
    clone.a.s = pair.a.s.copied(copy, 77);
    clone.a.s.bind(false, None);
    std::mem::swap(&mut clone.b, &mut pair.b);
    // They take turns at the same recipient.
    for n in 0..8 {
        clone.send(&format!("c{n}"));
        clone.pass(5 * SECOND);
        std::mem::swap(&mut clone.b, &mut pair.b);
        pair.send(&format!("p{n}"));
        pair.pass(5 * SECOND);
        std::mem::swap(&mut clone.b, &mut pair.b);
    }
    let mut told = clone.a.told.iter().chain(&pair.a.told);
    assert!(told.any(|event| matches!(event, Event::Cloned { .. })));
    // Nothing took effect twice, nor out of its order.
    let mut effects: Vec<_> = clone.effects.iter().chain(&pair.effects).collect();
    let all = effects.len();
    effects.sort();
    effects.dedup();
    assert_eq!(effects.len(), all);
}

#[test]
fn a_sender_with_a_new_store_is_heard_at_once() {
    let mut pair = Pair::acquainted();
    pair.a.becomes(Script::reinstalled);
    pair.send("first");
    pair.send("second");
    pair.pass(10 * SECOND);
    assert_eq!(pair.effects, ["first", "second"]);
    assert_eq!(pair.a.outcomes_of("first"), ["delivered"]);
}

#[test]
fn a_new_epoch_is_durable_before_it_is_used() {
    let mut pair = Pair::acquainted();
    pair.a.becomes(Script::reinstalled);
    pair.send("m");
    // To the answer that asks for another epoch, and to the one that says that it is closed.
    for answer in ["rotate", "closed"] {
        for xml in pair.a.out() {
            pair.reaches_b(&xml);
        }
        let back = pair.b.out().swap_remove(0);
        assert!(says(&back, answer), "{back}");
        if answer == "closed" {
            pair.a.s.store_waits();
        }
        pair.reaches_a(&back);
    }
    assert_eq!(pair.a.out(), Vec::<String>::new());
    pair.a.s.store_answers();
    let sent = pair.a.out();
    assert!(says(&sent[0], "d"), "{sent:?}");
    assert_eq!(index(&sent[0]), "2");
}

#[test]
fn a_closed_epoch_takes_nothing_any_more() {
    let mut pair = Pair::acquainted();
    let backup = pair.a.s.image();
    pair.send("gone");
    pair.carry();
    pair.send("late");
    let late = pair.a.out().swap_remove(0);
    pair.a.becomes(|s| s.restored(backup));
    pair.send("new");
    pair.pass(10 * SECOND);
    pair.reaches_b(&late);
    pair.carry();
    assert_eq!(pair.effects, ["gone", "new"]);
}

#[test]
fn a_lane_that_had_to_go_comes_back_above_its_epochs() {
    let mut pair = Pair::with(|config| config.lanes = 1);
    pair.get_acquainted();
    for round in 0..3 {
        // Another recipient takes the only place there is.
        pair.a.s.send_to("other@z", &format!("other{round}"), None);
        let sent = pair.a.out();
        assert!(sent.iter().any(|xml| xml.contains("other@z")));
        pair.a.s.receipt("other@z/1", &format!("other{round}"));
        pair.send(&format!("m{round}"));
        pair.pass(5 * SECOND);
        let of = pair.a.outcomes_of(&format!("m{round}"));
        assert_eq!(of, ["delivered"]);
        if round == 1 {
            pair.a.becomes(Script::crash);
        }
    }
    assert_eq!(pair.effects, ["m0", "m1", "m2"]);
}

#[test]
fn a_recipient_restored_from_a_backup_is_told_so() {
    let mut pair = Pair::acquainted();
    let backup = pair.b.s.image();
    pair.send("m");
    pair.carry();
    pair.a.s.send_on("other", "bob@y", "o1", None);
    pair.carry();
    pair.a.s.send_on("other", "bob@y", "o2", None);
    pair.carry();
    pair.b.becomes(|s| s.restored(backup));
    pair.a.s.send_on("other", "bob@y", "o3", None);
    pair.pass(5 * SECOND);
    let told = |event: &Event| matches!(event, Event::RolledBack { .. });
    assert!(pair.b.told.iter().any(told));
    assert_eq!(pair.a.outcomes_of("o3"), ["delivered"]);
}

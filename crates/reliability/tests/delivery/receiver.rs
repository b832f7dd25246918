//! What a receiver does, rule by rule.

use stanchion_reliability::delivery::receiver::{BOOTS, EPOCHS, SPAN};
use stanchion_reliability::delivery::{
    Closing, Coordinates, Judgement, ReceivingChannel, Standing,
};
use stanchion_stanza::payload::delivery::{Boot, Epoch, IdPrefix, MAX_SEQ, VerdictState};

const FIRST: Epoch = epoch(1);

const fn epoch(index: u32) -> Epoch {
    Epoch {
        index,
        random: index * 10,
    }
}

/// Message `seq`, whose id is its seq.
const fn at(epoch: Epoch, seq: u64, low: u64) -> Coordinates {
    Coordinates {
        epoch,
        seq,
        low,
        id: IdPrefix::from_bits(seq),
        prev: if seq > 1 {
            Some(IdPrefix::from_bits(seq - 1))
        } else {
            None
        },
        boot: Boot(1),
    }
}

fn delivered(channel: &mut ReceivingChannel, at: &Coordinates) {
    assert_eq!(channel.arrives(at).judgement, Judgement::Keep);
    channel.hand_over(at.epoch, at.seq);
    channel.conclude(at.epoch, at.seq, Standing::Delivered);
}

fn close(channel: &mut ReceivingChannel, epoch: Epoch, boot: u32) -> Closing {
    channel.close(epoch, Boot(boot), &mut Vec::new())
}

#[test]
fn a_duplicate_is_answered_with_its_recorded_verdict() {
    let mut channel = ReceivingChannel::default();
    delivered(&mut channel, &at(FIRST, 1, 1));
    let again = channel.arrives(&at(FIRST, 1, 1)).judgement;
    assert_eq!(again, Judgement::Known(Standing::Delivered));
    let cancelled = channel.cancelled(&at(FIRST, 1, 1)).judgement;
    assert_eq!(cancelled, Judgement::Known(Standing::Delivered));
}

#[test]
fn a_seq_below_low_is_never_first_delivered() {
    let mut channel = ReceivingChannel::default();
    channel.arrives(&at(FIRST, 3, 3));
    let late = channel.arrives(&at(FIRST, 2, 1)).judgement;
    assert_eq!(late, Judgement::Settled);
    assert_eq!(channel.standing(FIRST, 2), None);
}

#[test]
fn a_low_that_rises_drops_what_is_held_below_it() {
    let mut channel = ReceivingChannel::default();
    channel.arrives(&at(FIRST, 2, 1));
    let ruling = channel.arrives(&at(FIRST, 3, 3));
    assert_eq!(ruling.dropped, [(FIRST, 2)]);
    assert!(channel.is_next(FIRST, 3, false));
}

#[test]
fn a_slot_of_another_message_is_no_outcome() {
    let mut channel = ReceivingChannel::default();
    delivered(&mut channel, &at(FIRST, 1, 1));
    let mut other = at(FIRST, 1, 1);
    other.id = IdPrefix::from_bits(99);
    assert_eq!(channel.arrives(&other).judgement, Judgement::Other);
    assert_eq!(channel.cancelled(&other).judgement, Judgement::Other);
}

#[test]
fn a_predecessor_that_is_not_the_recorded_one_asks_for_a_rotation() {
    let mut channel = ReceivingChannel::default();
    channel.arrives(&at(FIRST, 1, 1));
    let mut forked = at(FIRST, 2, 1);
    forked.prev = Some(IdPrefix::from_bits(99));
    let ruling = channel.arrives(&forked);
    assert_eq!(ruling.judgement, Judgement::Rotate { above: 1 });
}

#[test]
fn a_fork_shows_in_the_message_right_below_low() {
    let mut channel = ReceivingChannel::default();
    delivered(&mut channel, &at(FIRST, 1, 1));
    channel.arrives(&at(FIRST, 3, 2));
    let mut forked = at(FIRST, 2, 1);
    forked.prev = Some(IdPrefix::from_bits(99));
    let mut later = ReceivingChannel::from_bytes(&channel.to_bytes()).unwrap();
    let ruling = later.arrives(&forked);
    assert_eq!(ruling.judgement, Judgement::Rotate { above: 1 });
    assert_eq!(later.arrives(&at(FIRST, 2, 2)).judgement, Judgement::Keep);
}

#[test]
fn a_message_that_its_recorded_successor_contradicts_asks_for_a_rotation() {
    let mut channel = ReceivingChannel::default();
    channel.arrives(&at(FIRST, 2, 1));
    let mut forked = at(FIRST, 1, 1);
    forked.id = IdPrefix::from_bits(99);
    let ruling = channel.arrives(&forked);
    assert_eq!(ruling.judgement, Judgement::Rotate { above: 1 });
}

#[test]
fn a_message_waits_for_its_predecessors_unless_there_is_no_order() {
    let mut channel = ReceivingChannel::default();
    channel.arrives(&at(FIRST, 2, 1));
    assert_eq!(channel.next(false), None);
    assert_eq!(channel.next(true), Some((FIRST, 2)));
    channel.arrives(&at(FIRST, 1, 1));
    assert_eq!(channel.next(false), Some((FIRST, 1)));
    channel.hand_over(FIRST, 1);
    assert_eq!(channel.next(false), Some((FIRST, 2)));
}

#[test]
fn a_cancel_voids_what_was_not_handed_over_even_before_it_arrives() {
    let mut channel = ReceivingChannel::default();
    let void = Judgement::Known(Standing::Void);
    assert_eq!(channel.cancelled(&at(FIRST, 1, 1)).judgement, void);
    assert_eq!(channel.arrives(&at(FIRST, 1, 1)).judgement, void);
    channel.arrives(&at(FIRST, 3, 1));
    let ruling = channel.cancelled(&at(FIRST, 3, 1));
    assert_eq!((ruling.judgement, ruling.dropped), (void, vec![(FIRST, 3)]));
}

#[test]
fn what_is_handed_over_is_never_voided() {
    let mut channel = ReceivingChannel::default();
    channel.arrives(&at(FIRST, 1, 1));
    channel.hand_over(FIRST, 1);
    let cancelled = channel.cancelled(&at(FIRST, 1, 1)).judgement;
    assert_eq!(cancelled, Judgement::Known(Standing::Handed));
}

#[test]
fn an_unknown_epoch_at_or_below_the_highest_is_refused() {
    let mut channel = ReceivingChannel::default();
    channel.arrives(&at(epoch(3), 1, 1));
    for index in 1..=3 {
        let mut stale = at(epoch(index), 1, 1);
        stale.epoch.random = 77;
        let ruling = channel.arrives(&stale);
        assert_eq!(ruling.judgement, Judgement::Rotate { above: 3 });
    }
}

#[test]
fn an_unknown_epoch_at_a_high_seq_is_taken_from_low_on_and_reported() {
    let mut channel = ReceivingChannel::default();
    let ruling = channel.arrives(&at(epoch(2), 7, 5));
    assert_eq!(ruling.judgement, Judgement::Keep);
    assert!(ruling.rolled_back);
    assert_eq!(channel.next(false), None);
    assert!(!channel.arrives(&at(epoch(2), 5, 5)).rolled_back);
    assert!(channel.is_next(epoch(2), 5, false));
}

#[test]
fn a_higher_epoch_closes_the_lower_ones() {
    let mut channel = ReceivingChannel::default();
    channel.arrives(&at(FIRST, 1, 1));
    let ruling = channel.arrives(&at(epoch(2), 9, 9));
    assert_eq!(ruling.dropped, [(FIRST, 1)]);
    let late = channel.arrives(&at(FIRST, 1, 1)).judgement;
    assert_eq!(late, Judgement::Rotate { above: 2 });
}

#[test]
fn closing_drops_what_is_held_and_waits_for_what_is_handed_over() {
    let mut channel = ReceivingChannel::default();
    delivered(&mut channel, &at(FIRST, 1, 1));
    channel.arrives(&at(FIRST, 2, 1));
    channel.hand_over(FIRST, 2);
    channel.arrives(&at(FIRST, 3, 1));
    let mut dropped = Vec::new();
    assert_eq!(channel.close(FIRST, Boot(1), &mut dropped), Closing::Waits);
    assert_eq!(dropped, [(FIRST, 3)]);
    channel.conclude(FIRST, 2, Standing::Void);
    let Closing::Closed {
        by,
        known,
        low,
        highest,
        verdicts,
    } = close(&mut channel, FIRST, 1)
    else {
        panic!("nothing is handed over any more");
    };
    assert_eq!((by, known, low, highest), (Some(Boot(1)), true, 1, 1));
    let told: Vec<_> = verdicts.iter().map(|v| (v.seq, v.state)).collect();
    let expected = [(1, VerdictState::Delivered), (2, VerdictState::Void)];
    assert_eq!(told, expected);
}

#[test]
fn closed_names_who_closed_first_and_whether_the_asking_boot_is_known() {
    let mut channel = ReceivingChannel::default();
    channel.arrives(&at(FIRST, 1, 1));
    close(&mut channel, FIRST, 7);
    let Closing::Closed { by, known, .. } = close(&mut channel, FIRST, 8) else {
        panic!("nothing is handed over");
    };
    assert_eq!((by, known), (Some(Boot(7)), false));
}

#[test]
fn an_epoch_that_was_never_begun_here_has_nothing_accepted() {
    let mut channel = ReceivingChannel::default();
    channel.arrives(&at(epoch(2), 1, 1));
    let fork = Epoch {
        index: 2,
        random: 99,
    };
    let Closing::Closed { by, known, low, .. } = close(&mut channel, fork, 5) else {
        panic!("nothing is handed over");
    };
    assert_eq!((by, known, low), (None, false, 1));
}

#[test]
fn nothing_is_said_of_an_epoch_that_is_forgotten() {
    let mut channel = ReceivingChannel::default();
    for index in 1..=EPOCHS as u32 + 1 {
        channel.arrives(&at(epoch(index), 1, 1));
    }
    let Closing::Closed { by, known, low, .. } = close(&mut channel, FIRST, 5) else {
        panic!("nothing is handed over");
    };
    assert_eq!((by, known, low), (None, true, MAX_SEQ));
}

#[test]
fn more_boots_than_are_remembered_are_all_known() {
    let mut channel = ReceivingChannel::default();
    for boot in 0..=BOOTS as u64 {
        let mut message = at(FIRST, boot + 1, 1);
        message.boot = Boot(boot as u32);
        channel.arrives(&message);
    }
    let Closing::Closed { known, .. } = close(&mut channel, FIRST, 77) else {
        panic!("nothing is handed over");
    };
    assert!(known);
}

#[test]
fn a_message_that_moved_keeps_the_verdict_of_the_older_epoch() {
    let mut channel = ReceivingChannel::default();
    channel.arrives(&at(FIRST, 1, 1));
    channel.hand_over(FIRST, 1);
    let moved = at(epoch(2), 1, 1);
    let handed = channel.arrives(&moved).judgement;
    assert_eq!(handed, Judgement::Known(Standing::Handed));
    assert_eq!(channel.cancelled(&moved).judgement, handed);
    channel.conclude(FIRST, 1, Standing::Delivered);
    let delivered = channel.arrives(&moved).judgement;
    assert_eq!(delivered, Judgement::Known(Standing::Delivered));
    // Its place is passed, and its successor can follow.
    channel.arrives(&at(epoch(2), 2, 1));
    assert!(channel.is_next(epoch(2), 2, false));
}

#[test]
fn a_message_that_moved_is_known_wherever_it_stands_in_the_new_epoch() {
    let mut channel = ReceivingChannel::default();
    for seq in 1..=3 {
        channel.arrives(&at(FIRST, seq, 1));
        channel.conclude(FIRST, seq, Standing::Delivered);
    }
    // A restored sender lost track of many before it.
    let mut moved = at(epoch(2), 5 * SPAN, 5 * SPAN);
    (moved.id, moved.prev) = (IdPrefix::from_bits(3), Some(IdPrefix::from_bits(2)));
    let delivered = Judgement::Known(Standing::Delivered);
    assert_eq!(channel.arrives(&moved).judgement, delivered);
}

#[test]
fn what_a_sender_may_not_transmit_is_ignored() {
    let mut channel = ReceivingChannel::default();
    let beyond = channel.arrives(&at(FIRST, 1 + SPAN, 1)).judgement;
    assert_eq!(beyond, Judgement::Beyond);
    let highest = channel.arrives(&at(FIRST, MAX_SEQ, MAX_SEQ)).judgement;
    assert_eq!(highest, Judgement::Keep);
}

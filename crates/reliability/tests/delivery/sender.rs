//! What a sender does, rule by rule.

use stanchion_reliability::delivery::sender::{ROTATIONS, WINDOW};
use stanchion_reliability::delivery::{ClosedSaid, Fate, Heard, Phase, SendingChannel};
use stanchion_stanza::payload::delivery::{Boot, Epoch, IdPrefix, Verdict, VerdictState};

const FIRST: Epoch = Epoch {
    index: 1,
    random: 1,
};
const THIS: Boot = Boot(1);

/// `sent` messages that are transmitted, then `waiting` ones that are not.
fn channel(sent: u64, waiting: u64) -> SendingChannel {
    let mut channel = SendingChannel::new(FIRST);
    for place in 1..=sent + waiting {
        channel.accept(IdPrefix::from_bits(place), true);
        if place <= sent {
            channel.transmit(place, THIS).unwrap();
        }
    }
    channel
}

fn verdict(seq: u64, state: VerdictState) -> Verdict {
    Verdict {
        seq,
        id: IdPrefix::from_bits(seq),
        state,
    }
}

fn said(by: u32, known: bool, low: u64, verdicts: &[Verdict]) -> ClosedSaid<'_> {
    ClosedSaid {
        epoch: FIRST,
        boot: THIS,
        by: Some(Boot(by)),
        known,
        low,
        highest: 7,
        verdicts,
    }
}

/// The same channel in the next process life.
fn inherited(messages: u64) -> SendingChannel {
    let mut channel = SendingChannel::from_bytes(&channel(messages, 0).to_bytes()).unwrap();
    for place in 1..=messages {
        let prev = (place > 1).then(|| IdPrefix::from_bits(place - 1));
        let fate = channel.load(place, IdPrefix::from_bits(place), prev, Boot(0), THIS);
        assert_eq!(fate, Fate::Move);
    }
    channel.loaded_all();
    channel
}

#[test]
fn only_a_verdict_with_the_id_of_the_message_counts() {
    let mut channel = channel(1, 0);
    let mut other = verdict(1, VerdictState::Delivered);
    other.id = IdPrefix::from_bits(9);
    assert_eq!(channel.hear(FIRST, THIS, THIS, &other), Heard::Nothing);
    let own = verdict(1, VerdictState::Delivered);
    let fate = Fate::Delivered;
    let heard = channel.hear(FIRST, Boot(9), THIS, &own);
    assert_eq!(heard, Heard::Final { place: 1, fate });
    // A late answer after a definite one.
    let void = verdict(1, VerdictState::Void);
    assert_eq!(channel.hear(FIRST, THIS, THIS, &void), Heard::Nothing);
}

#[test]
fn settled_and_other_are_no_outcome_and_count_under_the_present_boot_only() {
    for state in [VerdictState::Settled, VerdictState::Other] {
        let mut channel = channel(1, 0);
        let verdict = verdict(1, state);
        assert_eq!(channel.hear(FIRST, Boot(9), THIS, &verdict), Heard::Nothing);
        assert_eq!(channel.hear(FIRST, THIS, THIS, &verdict), Heard::Rotate);
    }
    let channel = channel(1, 0);
    assert_eq!(channel.hear_rotate(FIRST, Boot(9), THIS), Heard::Nothing);
    assert_eq!(channel.hear_rotate(FIRST, THIS, THIS), Heard::Rotate);
}

#[test]
fn low_counts_durable_finals_only() {
    let mut channel = channel(2, 0);
    channel.hear(FIRST, THIS, THIS, &verdict(1, VerdictState::Delivered));
    assert_eq!(channel.low(), 1);
    channel.durable(1);
    assert_eq!(channel.low(), 2);
}

#[test]
fn only_a_window_from_low_on_is_transmitted() {
    let mut channel = channel(1, WINDOW);
    assert!(channel.may_transmit(WINDOW) && !channel.may_transmit(WINDOW + 1));
    channel.decide(1);
    channel.durable(1);
    assert!(channel.may_transmit(WINDOW + 1));
}

#[test]
fn a_low_that_rises_over_what_was_given_up_is_told() {
    let mut channel = channel(1, 1);
    channel.accept(IdPrefix::from_bits(3), true);
    channel.transmit(3, THIS);
    channel.decide(2);
    channel.durable(2);
    assert_eq!(channel.tell_low(), None);
    channel.hear(FIRST, THIS, THIS, &verdict(1, VerdictState::Delivered));
    channel.durable(1);
    assert_eq!(channel.tell_low(), Some(3));
    assert_eq!(channel.transmit(3, THIS).map(|at| at.low), Some(3));
    assert_eq!(channel.tell_low(), None);
}

#[test]
fn nothing_is_sent_while_an_epoch_is_closed_and_until_the_next_is_durable() {
    let mut channel = channel(1, 0);
    assert!(channel.rotate());
    assert!(!channel.may_transmit(1));
    channel.closed(&said(1, false, 1, &[]), THIS, 5).unwrap();
    assert_eq!(channel.phase(), Phase::Opening);
    assert!(!channel.may_transmit(1));
    channel.opened();
    assert!(channel.may_transmit(1));
    // Above both sides' highest.
    let next = Epoch {
        index: 8,
        random: 5,
    };
    assert_eq!(channel.epoch(), next);
}

#[test]
fn an_answer_to_another_process_or_epoch_closes_nothing() {
    let mut channel = channel(1, 0);
    let closed = said(1, false, 1, &[]);
    assert!(channel.closed(&closed, THIS, 5).is_none());
    channel.rotate();
    assert!(channel.closed(&closed, Boot(2), 5).is_none());
    let mut other = closed;
    other.epoch.index = 2;
    assert!(channel.closed(&other, THIS, 5).is_none());
}

#[test]
fn what_closed_lists_is_final_and_the_rest_moves() {
    let mut channel = channel(3, 1);
    channel.rotate();
    let verdicts = [
        verdict(1, VerdictState::Delivered),
        verdict(2, VerdictState::Void),
    ];
    let fates = channel.closed(&said(1, true, 1, &verdicts), THIS, 5);
    let expected = vec![
        (1, Fate::Delivered),
        (2, Fate::Void),
        (3, Fate::Move),
        (4, Fate::Move),
    ];
    assert_eq!(fates, Some(expected));
}

#[test]
fn below_the_peers_low_a_message_moves_only_if_its_boot_was_never_accepted() {
    for (known, fate) in [(false, Fate::Move), (true, Fate::RolledBack)] {
        let mut channel = channel(1, 0);
        channel.rotate();
        let fates = channel.closed(&said(1, known, 2, &[]), THIS, 5);
        assert_eq!(fates, Some(vec![(1, fate)]));
    }
}

#[test]
fn what_was_never_transmitted_moves_whatever_low_the_peer_knows() {
    // A store that was set back: the history that it lost told a `low` of 3.
    let mut channel = channel(1, 1);
    channel.accept(IdPrefix::from_bits(3), false);
    channel.rotate();
    let fates = channel.closed(&said(1, true, 4, &[]), THIS, 5);
    assert_eq!(fates, Some(vec![(1, Fate::RolledBack), (2, Fate::Move)]));
    // The same of one that was in the store alone.
    let prev = Some(IdPrefix::from_bits(2));
    assert_eq!(
        channel.load(3, IdPrefix::from_bits(3), prev, THIS, THIS),
        Fate::Move
    );
}

#[test]
fn an_inherited_message_moves_only_if_this_boot_closed_and_low_is_not_above() {
    for (by, low, fate) in [
        (1, 1, Fate::Move),
        (9, 1, Fate::RolledBack),
        (1, 2, Fate::RolledBack),
    ] {
        let mut channel = inherited(1);
        channel.rotate();
        let fates = channel.closed(&said(by, false, low, &[]), THIS, 5);
        assert_eq!(fates, Some(vec![(1, fate)]), "by {by}, low {low}");
    }
}

#[test]
fn a_new_store_of_the_peer_gets_what_was_never_transmitted() {
    let mut channel = channel(1, 1);
    let fates = channel.reset(THIS, 5);
    assert_eq!(fates, [(1, Fate::PeerReset), (2, Fate::Move)]);
    assert_eq!(inherited(1).reset(THIS, 5), [(1, Fate::PeerReset)]);
}

#[test]
fn one_that_moved_at_a_reset_moves_again_after_a_crash() {
    let mut channel = channel(0, 1);
    channel.accept(IdPrefix::from_bits(2), false);
    assert_eq!(channel.reset(THIS, 5), [(1, Fate::Move)]);
    // Delivered in the new epoch, told, and not durable when the process ends.
    channel.opened();
    channel.transmit(1, THIS);
    let mut later = SendingChannel::from_bytes(&channel.to_bytes()).unwrap();
    let next = Boot(2);
    assert_eq!(
        later.load(1, IdPrefix::from_bits(1), None, THIS, next),
        Fate::Move
    );
    let prev = Some(IdPrefix::from_bits(1));
    assert_eq!(
        later.load(2, IdPrefix::from_bits(2), prev, THIS, next),
        Fate::Move
    );
    assert!(later.open().all(|open| open.maybe_sent));
}

#[test]
fn several_ends_of_epochs_are_applied_to_what_is_in_the_store_alone() {
    let mut channel = SendingChannel::new(FIRST);
    channel.accept(IdPrefix::from_bits(1), false);
    channel.reset(THIS, 5);
    channel.opened();
    channel.rotate();
    let void = [verdict(1, VerdictState::Void)];
    let mut closed = said(1, true, 2, &void);
    closed.epoch = channel.epoch();
    channel.closed(&closed, THIS, 6).unwrap();
    let mut later = SendingChannel::from_bytes(&channel.to_bytes()).unwrap();
    let fate = later.load(1, IdPrefix::from_bits(1), None, THIS, Boot(2));
    assert_eq!(fate, Fate::Void);
}

#[test]
fn a_process_that_rotates_without_end_takes_itself_for_a_clone() {
    let mut channel = channel(0, 1);
    for random in 0..ROTATIONS {
        assert!(channel.rotate());
        let mut closed = said(1, false, 1, &[]);
        closed.epoch = channel.epoch();
        channel.closed(&closed, THIS, random).unwrap();
        channel.opened();
    }
    assert!(!channel.rotate());
    assert_eq!(channel.phase(), Phase::Cloned);
    assert!(!channel.may_transmit(1));
}

#[test]
fn what_the_store_refused_holds_nothing_back() {
    let mut channel = channel(0, 2);
    channel.refused(1);
    assert_eq!(channel.low(), 2);
    assert!(channel.get(1).is_none());
}

#[test]
fn what_an_ended_epoch_says_is_kept_until_it_is_durable() {
    let mut channel = channel(1, 0);
    channel.accept(IdPrefix::from_bits(2), false);
    let bytes = channel.to_bytes();
    let next = Boot(2);
    let mut channel = SendingChannel::from_bytes(&bytes).unwrap();
    channel.load(1, IdPrefix::from_bits(1), None, THIS, next);
    channel.rotate();
    let delivered = [verdict(2, VerdictState::Delivered)];
    let mut closed = said(2, false, 1, &delivered);
    closed.boot = next;
    channel.closed(&closed, next, 5).unwrap();
    let prev = Some(IdPrefix::from_bits(1));
    let fate = channel.load(2, IdPrefix::from_bits(2), prev, THIS, next);
    assert_eq!(fate, Fate::Delivered);
    // The channel is written, the final state is not, and the process ends.
    let mut later = SendingChannel::from_bytes(&channel.to_bytes()).unwrap();
    let fate = later.load(2, IdPrefix::from_bits(2), prev, THIS, Boot(3));
    assert_eq!(fate, Fate::Delivered);
}

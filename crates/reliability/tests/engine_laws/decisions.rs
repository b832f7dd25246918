//! What an application decides about a received message: commits with an effect, and
//! refusals.

use stanchion_reliability::engine::Input;
use stanchion_reliability::store::Op;
use stanchion_stanza::payload::delivery::VerdictState::{Delivered, Handed, Void};

use crate::script::{SECOND, Script};

const NOBODY: [(u64, bool); 0] = [];

/// A script that holds message 1 of a channel, as arrival 1.
fn holding() -> Script {
    let mut s = Script::new();
    s.connect();
    s.channel_message("m1", 1);
    assert_eq!(s.handed(), [(1, "m1".to_owned(), false)]);
    s.sent();
    s
}

#[test]
fn a_commit_is_told_once_it_is_durable() {
    let mut s = holding();
    s.store_waits();
    s.commit(1);
    assert_eq!(s.decided(), NOBODY);
    s.store_answers();
    assert_eq!(s.decided(), [(1, true)]);
    assert_eq!(s.verdicts(), [(1, Delivered)]);
    // There is nothing to commit any more.
    s.commit(1);
    assert_eq!(s.decided(), [(1, false)]);
}

#[test]
fn no_verdict_leaves_before_the_effect_is_durable() {
    let mut s = holding();
    s.store_waits();
    s.give(Input::CommitWith { arrival: 1 });
    s.pass(SECOND);
    assert_eq!(s.verdicts(), []);
    s.store_answers();
    assert_eq!(s.decided(), [(1, true)]);
    assert_eq!(s.verdicts(), [(1, Delivered)]);
}

#[test]
fn a_failed_effect_leaves_the_message_in_the_applications_hands() {
    let mut s = holding();
    s.effects_succeed = false;
    s.give(Input::CommitWith { arrival: 1 });
    assert_eq!(s.decided(), [(1, false)]);
    assert_eq!(s.verdicts(), []);
    assert_eq!(s.engine.footprint().handed_over, 1);
    s.effects_succeed = true;
    s.give(Input::CommitWith { arrival: 1 });
    assert_eq!(s.decided(), [(1, true)]);
    assert_eq!(s.verdicts(), [(1, Delivered)]);
    assert_eq!(s.engine.footprint().handed_over, 0);
}

#[test]
fn a_failed_effect_comes_again_after_a_crash_with_a_warning() {
    let mut s = holding();
    s.effects_succeed = false;
    s.give(Input::CommitWith { arrival: 1 });
    // What the channel says in the meantime must not speak of the failed one as done.
    s.channel_message("m2", 2);
    let mut s = s.crash();
    s.connect();
    let handed = s.handed();
    assert_eq!(handed[0], (1, "m1".to_owned(), true));
    assert_eq!(handed.len(), 2);
}

#[test]
fn after_a_crash_a_channel_learns_what_was_committed_with_an_effect() {
    let mut s = holding();
    s.persisted.clear();
    s.give(Input::CommitWith { arrival: 1 });
    // The record alone says it so far: that is what this is about.
    assert!(
        !s.persisted
            .iter()
            .any(|op| matches!(op, Op::PutMeta { .. }))
    );
    let mut s = s.crash();
    s.connect();
    assert_eq!(s.handed(), []);
    // The verdict may have been lost with the process: it is said again, unasked.
    assert_eq!(s.verdicts(), [(1, Delivered)]);
    s.channel_message("m1", 1);
    assert_eq!(s.verdicts(), [(1, Delivered)]);
    assert_eq!(s.handed(), []);
    // From now on the channel knows it by itself.
    s.channel_message("m2", 2);
    assert_eq!(s.handed(), [(2, "m2".to_owned(), false)]);
}

#[test]
fn what_was_handed_over_and_not_committed_stays_so_after_a_crash() {
    let mut s = holding().crash();
    s.connect();
    assert_eq!(s.handed(), [(1, "m1".to_owned(), true)]);
    assert_eq!(s.verdicts(), []);
    s.channel_message("m1", 1);
    assert_eq!(s.verdicts(), [(1, Handed)]);
    s.commit(1);
    assert_eq!(s.verdicts(), [(1, Delivered)]);
}

#[test]
fn a_refused_message_is_void_and_never_comes_again() {
    let mut s = holding();
    s.store_waits();
    s.give(Input::Reject { arrival: 1 });
    assert_eq!((s.verdicts(), s.decided()), (vec![], vec![]));
    s.store_answers();
    assert_eq!(s.decided(), [(1, true)]);
    assert_eq!(s.verdicts(), [(1, Void)]);
    let mut s = s.crash();
    s.connect();
    s.channel_message("m1", 1);
    assert_eq!(s.verdicts(), [(1, Void)]);
    assert_eq!(s.handed(), []);
    // The next one does not wait for it.
    s.channel_message("m2", 2);
    assert_eq!(s.handed(), [(2, "m2".to_owned(), false)]);
}

#[test]
fn the_sender_of_a_refused_message_hears_that_it_was_refused() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    let said = s.said().remove(0);
    s.verdict(&said, Void);
    assert_eq!(s.reasons(), ["the recipient's application refused it"]);

    // Of one that was taken back the same verdict means that it is.
    s.send("n");
    let said = s.said().remove(0);
    s.give(Input::Cancel { id: "n".into() });
    s.verdict(&said, Void);
    assert_eq!(s.reasons(), ["it was taken back"]);

    // And of one whose time is running out, that it was too late.
    s.send_within("o", 20 * SECOND);
    let said = s.said().remove(0);
    s.pass(19 * SECOND);
    s.verdict(&said, Void);
    assert_eq!(s.reasons(), ["its time was over before it took effect"]);
}

#[test]
fn a_refused_plain_message_gets_an_error_for_a_receipt_and_may_come_again() {
    let mut s = Script::new();
    s.connect();
    s.message("m");
    s.sent();
    s.give(Input::Reject { arrival: 1 });
    assert_eq!(s.decided(), [(1, true)]);
    let sent = s.sent();
    assert!(sent.iter().any(|xml| xml.contains("type='error'")
        && xml.contains("not-acceptable")
        && xml.contains("id='m'")
        && xml.contains("to='peer@x/1'")));
    s.message("m");
    assert_eq!(s.handed(), [(2, "m".to_owned(), false)]);
    assert_eq!(s.receipts(), Vec::<String>::new());
}

#[test]
fn a_message_keeps_its_key_over_every_hand_over() {
    let s = holding();
    let key = s.engine.key_of(1).unwrap();
    let mut s = s.crash();
    s.connect();
    assert_eq!(s.handed(), [(1, "m1".to_owned(), true)]);
    assert_eq!(s.engine.key_of(1), Some(key.clone()));
    s.channel_message("m2", 2);
    assert_ne!(s.engine.key_of(2), Some(key));
    s.commit(1);
    assert_eq!(s.engine.key_of(1), None);
}

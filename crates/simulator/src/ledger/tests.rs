//! What the ledger excuses, and that it excuses no more than that.

use super::*;

/// One message from `d0` to `d1`, durable in the outbox.
fn kept() -> Ledger {
    let draft = Draft {
        to: 1,
        ..Draft::default()
    };
    let accounts = vec![vec!["a@x".to_owned()], vec!["b@x".to_owned()]];
    let mut ledger = Ledger::new(&[draft], accounts, false);
    ledger.note(Durable::Outbox(0), None, false, 1).unwrap();
    ledger
}

fn given_up(ledger: &mut Ledger) {
    let given_up = Durable::Concluded(0, Told::NotDelivered);
    ledger.note(given_up, None, false, 1).unwrap();
}

#[test]
fn what_a_copy_of_a_store_sent_takes_effect_whatever_the_original_gave_up() {
    let mut ledger = kept();
    let copy = ledger.marks(0);
    given_up(&mut ledger);
    let original = ledger.marks(0);
    ledger.set_back(0, Some(&copy), false);
    ledger.transmits(0, "m0", true, None).unwrap();
    ledger.set_back(0, Some(&original), false);
    assert_eq!(ledger.acts(0, false, 1), Ok(()));
}

#[test]
fn what_no_copy_of_a_store_sent_takes_no_effect_once_it_was_given_up() {
    let mut ledger = kept();
    given_up(&mut ledger);
    let original = ledger.marks(0);
    ledger.set_back(0, Some(&original), false);
    assert!(ledger.acts(0, false, 1).is_err());
}

#[test]
fn what_was_given_up_after_it_was_sent_takes_no_effect_whatever_a_copy_sent() {
    let mut ledger = kept();
    let copy = ledger.marks(0);
    ledger.transmits(0, "m0", true, None).unwrap();
    given_up(&mut ledger);
    let original = ledger.marks(0);
    ledger.set_back(0, Some(&copy), false);
    ledger.transmits(0, "m0", true, None).unwrap();
    ledger.set_back(0, Some(&original), false);
    assert!(ledger.acts(0, false, 1).is_err());
}

/// It was delivered, and its sender told so.
fn delivered(ledger: &mut Ledger) {
    ledger.transmits(0, "m0", true, None).unwrap();
    ledger
        .note(Durable::Inbox(0, true), None, false, 1)
        .unwrap();
    ledger.acts(0, false, 1).unwrap();
    ledger.note(Durable::Committed(0), None, false, 1).unwrap();
    let by = "b@x/1".parse().unwrap();
    let told = Outcome::Delivered { by };
    ledger.outcome(1, 0, &told).unwrap();
}

/// The next process says that nobody knows.
fn rolls_back(ledger: &mut Ledger) -> Checked {
    let doubt = Durable::Concluded(0, Told::Unknowable);
    ledger.note(doubt, None, false, 2).unwrap();
    ledger.outcome(2, 0, &Outcome::InDoubt(InDoubt::RolledBack))
}

#[test]
fn what_was_told_and_not_written_is_in_doubt_where_a_store_was_set_back() {
    for set_back in [0, 1] {
        let mut ledger = kept();
        let backup = ledger.marks(set_back);
        ledger.set_back(set_back, Some(&backup), false);
        delivered(&mut ledger);
        assert_eq!(rolls_back(&mut ledger), Ok(()));
    }
}

#[test]
fn what_was_told_stays_where_no_store_was_set_back_or_it_was_written() {
    let mut ledger = kept();
    delivered(&mut ledger);
    assert!(rolls_back(&mut ledger).is_err());
    for set_back in [0, 1] {
        let mut ledger = kept();
        let backup = ledger.marks(set_back);
        ledger.set_back(set_back, Some(&backup), false);
        delivered(&mut ledger);
        let written = Durable::Concluded(0, Told::Positive);
        ledger.note(written, None, false, 1).unwrap();
        assert!(rolls_back(&mut ledger).is_err());
    }
}

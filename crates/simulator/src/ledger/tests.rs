//! What the ledger excuses, and that it excuses no more than that.

use std::time::Duration;

use stanchion_reliability::store::{NewInbound, WallTime};
use stanchion_stanza::payload::delivery::Boot;

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

/// A copy comes in that epoch and place, is kept and committed.
fn comes(ledger: &mut Ledger, epoch: u32, seq: u32, transactional: bool) -> Checked {
    let key = InboundKey::new("d0", format!("d c {epoch} 00000001 {seq}"));
    let put = Op::PutInbound(NewInbound {
        key: key.clone(),
        from_full: "a@x/1".to_owned(),
        stanza: "<message><body>m0</body></message>".into(),
        received_at: WallTime::from_unix_ms(0),
        handed: true,
    });
    let kept = OpResult::Kept { arrival: 1 };
    let put = ledger.durable(1, &put).unwrap();
    ledger.note(put, Some(&kept), transactional, 1)?;
    if !transactional {
        ledger.acts(0, false, 1)?;
    }
    let at = WallTime::from_unix_ms(0);
    let commit = ledger.durable(1, &Op::MarkHandled { key, at }).unwrap();
    ledger.note(commit, Some(&OpResult::Done), transactional, 1)
}

/// It took effect in the second epoch, those stores went back to before that, and it took
/// effect in the first one.
fn took_effect_twice(set_back: &[usize], transactional: bool) -> Ledger {
    let mut ledger = kept();
    let backups = [ledger.marks(0), ledger.marks(1)];
    ledger.transmits(0, "m0", true, None).unwrap();
    comes(&mut ledger, 2, 13, transactional).unwrap();
    for of in set_back {
        ledger.set_back(*of, Some(&backups[*of]), transactional);
    }
    if set_back.contains(&1) {
        comes(&mut ledger, 1, 13, transactional).unwrap();
    }
    ledger
}

#[test]
fn a_copy_in_an_epoch_that_both_ends_have_lost_takes_effect_again_once() {
    for transactional in [true, false] {
        let mut ledger = took_effect_twice(&[0, 1], transactional);
        assert_eq!(comes(&mut ledger, 2, 13, transactional), Ok(()));
        assert!(comes(&mut ledger, 2, 13, transactional).is_err());
    }
}

#[test]
fn a_copy_takes_no_effect_again_where_one_end_lost_nothing() {
    for transactional in [true, false] {
        let mut ledger = took_effect_twice(&[1], transactional);
        assert!(comes(&mut ledger, 2, 13, transactional).is_err());
        let mut ledger = took_effect_twice(&[0], transactional);
        assert!(comes(&mut ledger, 1, 13, transactional).is_err());
    }
}

#[test]
fn a_copy_takes_no_effect_again_in_an_epoch_in_which_it_never_came() {
    for transactional in [true, false] {
        let mut ledger = took_effect_twice(&[0, 1], transactional);
        assert!(comes(&mut ledger, 3, 13, transactional).is_err());
    }
}

#[test]
fn a_copy_takes_no_effect_again_in_the_epoch_in_which_it_took_effect() {
    for transactional in [true, false] {
        let mut ledger = kept();
        let backups = [ledger.marks(0), ledger.marks(1)];
        ledger.transmits(0, "m0", true, None).unwrap();
        comes(&mut ledger, 2, 13, transactional).unwrap();
        ledger.set_back(0, Some(&backups[0]), transactional);
        ledger.set_back(1, Some(&backups[1]), transactional);
        comes(&mut ledger, 2, 12, transactional).unwrap();
        assert!(comes(&mut ledger, 2, 13, transactional).is_err());
    }
}

/// Which epoch the recipient has closed, and whether before its backup; and in which the
/// message takes effect, after those stores went back.
#[derive(Clone, Copy)]
struct Overtaken {
    closed: Option<u32>,
    before_backup: bool,
    effect_in: u32,
    set_back: &'static [usize],
}

const OVERTAKEN: Overtaken = Overtaken {
    closed: Some(1),
    before_backup: false,
    effect_in: 1,
    set_back: &[0, 1],
};

/// Transmitted in the second epoch, whose copy is long on its way.
fn overtaken(how: Overtaken, transactional: bool) -> Ledger {
    let mut ledger = kept();
    let mut backups = [ledger.marks(0), ledger.marks(1)];
    let said = Deliver {
        from: "d0".parse().unwrap(),
        to: None,
        epoch: Epoch {
            index: 2,
            random: 1,
        },
        channel: "c".parse().unwrap(),
        seq: 13,
        low: 1,
        id: IdPrefix::of("m0"),
        prev: None,
        boot: Boot(1),
        deadline: None,
        unordered: false,
        knows: 0,
        jids: None,
    };
    ledger.transmits(0, "m0", true, None).unwrap();
    ledger.transmits_in(0, &said);
    ledger.messages[0].closed_up_to = how.closed;
    if how.before_backup {
        backups[1] = ledger.marks(1);
    }
    for of in how.set_back {
        ledger.set_back(*of, Some(&backups[*of]), transactional);
    }
    comes(&mut ledger, how.effect_in, 13, transactional).unwrap();
    ledger
}

#[test]
fn a_copy_in_an_epoch_that_began_where_nobody_remembers_takes_effect_again_once() {
    for transactional in [true, false] {
        let mut ledger = overtaken(OVERTAKEN, transactional);
        assert_eq!(comes(&mut ledger, 2, 13, transactional), Ok(()));
        assert!(comes(&mut ledger, 2, 13, transactional).is_err());
    }
}

#[test]
fn a_copy_takes_no_effect_again_where_somebody_remembers_how_its_epoch_began() {
    let remembered = [
        Overtaken {
            closed: None,
            ..OVERTAKEN
        },
        Overtaken {
            before_backup: true,
            ..OVERTAKEN
        },
        Overtaken {
            set_back: &[0],
            ..OVERTAKEN
        },
        Overtaken {
            set_back: &[1],
            ..OVERTAKEN
        },
        // Its own epoch was closed, or the recipient knows a later one.
        Overtaken {
            closed: Some(2),
            ..OVERTAKEN
        },
        Overtaken {
            effect_in: 3,
            ..OVERTAKEN
        },
    ];
    for transactional in [true, false] {
        for how in remembered {
            let mut ledger = overtaken(how, transactional);
            assert!(comes(&mut ledger, 2, 13, transactional).is_err());
        }
        // Nor in another epoch than the one that it was sent in.
        let mut ledger = overtaken(OVERTAKEN, transactional);
        assert!(comes(&mut ledger, 3, 13, transactional).is_err());
    }
}

/// Another client answers for the recipient, which has spoken: to an earlier message before
/// the backup, if so; then the sender's store goes back to it, and believes that client.
fn believes_another(knew: bool, vouched: bool, told: &Outcome) -> Checked {
    let drafts = [Draft {
        to: 1,
        ..Draft::default()
    }; 2];
    let accounts = vec![vec!["a@x".to_owned()], vec!["b@x".to_owned()]];
    let mut ledger = Ledger::new(&drafts, accounts, false);
    for id in [0, 1] {
        ledger.note(Durable::Outbox(id), None, false, 1)?;
        ledger.transmits(id, &name(id), true, None)?;
    }
    let before = ledger.marks(0);
    ledger.note(Durable::Concluded(1, Told::Positive), None, false, 1)?;
    let after = ledger.marks(0);
    assert!(ledger.knows(0, 1));
    ledger.messages[0].vouched = vouched;
    let backup = if knew { after } else { before };
    ledger.set_back(0, Some(&backup), false);
    ledger.outcome(2, 0, told)
}

#[test]
fn a_sender_that_forgot_that_its_recipient_speaks_believes_another_client() {
    let by: Jid = "b@x/other".parse().unwrap();
    let acknowledged = Outcome::Acknowledged { by: by.clone() };
    assert_eq!(believes_another(false, true, &acknowledged), Ok(()));
    // It still knew; nobody said so; or it is called more than a receipt can say.
    assert!(believes_another(true, true, &acknowledged).is_err());
    assert!(believes_another(false, false, &acknowledged).is_err());
    assert!(believes_another(false, true, &Outcome::Delivered { by }).is_err());
}

#[test]
fn a_doubt_that_another_client_settled_may_be_settled_so_again() {
    let drafts = [Draft {
        to: 1,
        lifetime: Some(Duration::from_secs(1)),
        ..Draft::default()
    }];
    let accounts = vec![vec!["a@x".to_owned()], vec!["b@x".to_owned()]];
    let mut ledger = Ledger::new(&drafts, accounts, false);
    ledger.note(Durable::Outbox(0), None, false, 1).unwrap();
    ledger.transmits(0, &name(0), false, None).unwrap();
    let acknowledged = Outcome::Acknowledged {
        by: "b@x/other".parse().unwrap(),
    };
    ledger.messages[0].vouched = true;
    assert!(ledger.outcome(1, 0, &acknowledged).is_err());
    let doubt = Outcome::InDoubt(InDoubt::NoReceipt { last_error: None });
    ledger.outcome(1, 0, &doubt).unwrap();
    // The second life did not find what the first one was told.
    for life in [1, 2] {
        assert_eq!(ledger.outcome(life, 0, &acknowledged), Ok(()));
    }
}

//! Streams that outlive a process (XEP-0198 §5), and engines that follow one another in a
//! process.

use stanchion_reliability::engine::{Event, Input, ReconnectReason};
use stanchion_reliability::store::{Fault, InboundQuery, Store as _, StoreError};

use crate::script::{SECOND, Script, token};

const PRESENCE: &str = "<presence from='peer@x/1'/>";
const ASK: &str = "<r xmlns='urn:xmpp:sm:3'/>";

#[test]
fn the_next_process_resumes_with_what_is_durable_and_not_more() {
    let mut s = Script::new();
    s.connect_resumably();
    s.message("m0");
    s.message("m1");
    s.store_waits();
    s.message("m2");
    let s = s.crash();
    let resumption = s.engine.resumption().unwrap();
    assert_eq!(resumption.h, 2);
    let given = token("lamp@x/1");
    assert_eq!((&resumption.jid, &resumption.id), (&given.jid, &given.id));
    assert_eq!(resumption.max_seconds, given.max_seconds);
}

#[test]
fn the_count_on_record_covers_only_what_the_store_has_wherever_it_ends() {
    // What comes, in order: whether it must be durable.
    let comes = [
        true, false, true, true, false, false, true, false, true, true,
    ];
    for answers in 0.. {
        let mut s = Script::new();
        s.connect_resumably();
        s.store_waits();
        let mut left = answers;
        for (n, durable) in comes.iter().enumerate() {
            if *durable {
                s.message(&format!("m{n}"));
            } else {
                s.receive(PRESENCE);
            }
            if n % 3 == 0 {
                s.receive(ASK);
            }
            // At different times, so that batches differ.
            while left > 0 && s.asked() > n % 2 {
                s.store_answers_once();
                left -= 1;
            }
        }
        while left > 0 && s.asked() > 0 {
            s.store_answers_once();
            left -= 1;
        }
        let told = s.counts().last().map_or(0, |h| h.parse().unwrap());
        let all = s.asked() == 0;
        let on_record = s.on_record().unwrap_or(0);
        let mut kept = s.store.inbound_page(InboundQuery::default());
        let kept = kept.try_take().unwrap().unwrap().len();
        let covered = comes[..on_record as usize].iter().filter(|d| **d).count();
        assert!(covered <= kept, "{answers} answers: {on_record} on record");
        assert!(told <= on_record, "{answers} answers: told {told}");
        if all {
            assert_eq!(kept, 6);
            break;
        }
    }
}

#[test]
fn what_needs_no_store_is_told_when_it_is_on_record() {
    let mut s = Script::new();
    s.connect_resumably();
    s.message("m0");
    s.store_waits();
    s.receive(PRESENCE);
    s.receive(ASK);
    // At once (XEP-0198 §4), and the rest when it can be.
    assert_eq!(s.counts(), ["1"]);
    s.store_answers();
    assert_eq!(s.counts(), ["2"]);
    assert_eq!(s.on_record(), Some(2));
}

#[test]
fn a_lost_stream_is_resumed_when_its_count_is_on_record() {
    let mut s = Script::new();
    s.connect_resumably();
    s.receive(PRESENCE);
    s.store_waits();
    s.disconnect();
    assert!(!s.engine.is_settled());
    s.store_answers();
    assert!(s.engine.is_settled());
    assert_eq!((s.engine.handled(), s.on_record()), (1, Some(1)));
}

#[test]
fn the_servers_count_acknowledges_nothing_of_an_earlier_process() {
    let mut s = Script::new();
    s.connect_resumably();
    s.send("m0");
    s.send("m1");
    let mut s = s.crash();
    s.events();
    s.resume(2);
    // Which two it has is not known any more: they are sent again, under their ids.
    assert_eq!(s.messages(), ["m0", "m1"]);
    let accepted = |e: &Event| matches!(e, Event::ServerAccepted { .. });
    assert!(!s.events().iter().any(accepted));
    // The count goes on from there, in both directions.
    s.acked(4);
    assert_eq!(s.events().iter().filter(|e| accepted(e)).count(), 2);
    s.message("m");
    s.receive(ASK);
    assert_eq!(s.counts(), ["1"]);
    s.acked(5);
    assert!(s.gave_up.is_some());
}

#[test]
fn a_resumption_that_fails_after_a_restart_acknowledges_nothing_and_leaves_no_record() {
    for told in [None, Some(0), Some(2), Some(77)] {
        let mut s = Script::new();
        s.connect_resumably();
        s.send("m0");
        s.message("in");
        let mut s = s.crash();
        assert!(s.engine.resumption().is_some());
        s.bind(true, told);
        assert_eq!(s.messages(), ["m0"]);
        assert_eq!(s.gave_up, None);
        // Another session's count begins at 0.
        s.receive(ASK);
        assert_eq!(s.counts(), ["0"]);
        assert_eq!(s.on_record(), None);
    }
}

#[test]
fn a_store_of_the_past_resumes_with_a_count_of_the_past() {
    let mut s = Script::new();
    s.connect_resumably();
    s.message("m0");
    let backup = s.store.control().snapshot();
    s.message("m1");
    s.message("m2");
    let mut s = s.restored(backup);
    // A server that has forgotten m1 goes on with m2; m0 and m2 are known, m1 is what a
    // restored store is missing by nature. Nothing is acknowledged that did not come.
    assert_eq!(s.engine.resumption().unwrap().h, 1);
    s.resume(0);
    s.events();
    s.message("m0");
    s.message("m2");
    assert_eq!(s.handed().len(), 1);
    s.receive(ASK);
    assert_eq!(s.counts(), ["3"]);
}

/// A server can lose what a resumed session says, though it resumes it, and again.
#[test]
fn a_session_that_answered_nothing_since_it_was_resumed_is_not_resumed_again() {
    for answers in [false, true] {
        let mut s = Script::new();
        s.connect_resumably();
        s.send("m1");
        s.disconnect();
        s.resume(0);
        if answers {
            s.acked(1);
        }
        s.pass(60 * SECOND);
        let silent = s.gave_up.take().unwrap();
        assert_eq!(
            matches!(silent, ReconnectReason::Silent(_)),
            answers,
            "{silent}"
        );
        assert_eq!(s.engine.resumption().is_some(), answers);
        // Nothing is lost with it.
        s.sent();
        s.bind(true, None);
        assert!(answers || s.sent().iter().any(|xml| xml.contains("m1")));
    }
}

#[test]
fn what_cannot_be_resumed_is_not_on_record() {
    let mut s = Script::new();
    s.connect_resumably();
    s.message("m0");
    assert_eq!(s.on_record(), Some(1));
    s.give(Input::Resumable(None));
    assert_eq!(s.on_record(), None);
    // It is acknowledged all the same.
    s.message("m1");
    s.receive(PRESENCE);
    s.receive(ASK);
    assert_eq!(s.counts(), ["3"]);

    let mut s = Script::new();
    s.connect_resumably();
    s.message("m0");
    // An impossible count ends the session.
    s.acked(7);
    assert!(s.gave_up.is_some());
    assert_eq!(s.on_record(), None);
    assert!(s.engine.resumption().is_none());
}

#[test]
fn an_idle_stream_costs_the_store_nothing() {
    let mut s = Script::new();
    s.connect_resumably();
    s.message("m0");
    let before = s.persisted.len();
    for _ in 0..20 {
        s.pass(SECOND);
        s.receive(ASK);
    }
    assert_eq!(s.persisted.len(), before);
}

#[test]
fn what_the_application_holds_outlives_the_store_and_is_not_handed_over_again() {
    let mut s = Script::new();
    s.connect_resumably();
    for id in ["m1", "m2", "m3"] {
        s.message(id);
    }
    assert_eq!(s.handed().len(), 3);
    let full = StoreError::Full(std::sync::Arc::new(std::io::Error::other("no room")));
    let fault = Fault {
        error: full,
        applied: false,
    };
    s.store.control().fail_commits(1, &fault);
    // This commit is lost, and so is what comes with the next batch.
    s.commit(1);
    assert!(matches!(s.events()[..], [Event::StoreFailed(_)]));
    assert_eq!(s.receipts(), Vec::<String>::new());

    // The application commits another one before there is a new engine.
    let mut s = s.succeed(&[2]);
    assert_eq!(s.handed(), []);
    assert_eq!(s.engine.resumption().unwrap().h, 3);
    s.resume(0);
    // There was no stream to tell it on: their sender asks again.
    s.message("m1");
    s.message("m2");
    assert_eq!(s.receipts(), ["m1", "m2"]);
    s.commit(3);
    assert_eq!(s.receipts(), ["m3"]);
    s.message("m4");
    assert_eq!(s.handed(), [(4, "m4".to_owned(), false)]);
    assert_eq!(s.engine.counters().received, 4);
}

#[test]
fn a_commit_that_was_durable_after_all_is_not_done_twice() {
    let mut s = Script::new();
    s.connect_resumably();
    s.message("m1");
    s.events();
    let error = StoreError::Io(std::sync::Arc::new(std::io::Error::other("unplugged")));
    let fault = Fault {
        error,
        applied: true,
    };
    s.store.control().fail_commits(1, &fault);
    s.commit(1);
    s.sent();
    let mut s = s.succeed(&[]);
    s.resume(0);
    assert_eq!(s.handed(), []);
    assert_eq!(s.receipts(), Vec::<String>::new());
    // Its sender asks again, and is told.
    s.message("m1");
    assert_eq!(s.receipts(), ["m1"]);
}

//! Laws that every store keeps, each run against the SQLite store and the
//! in-memory store: what ops do, and what lasts. Reads are in
//! `store_reads.rs`; what only one store can show is in `store_files.rs` and
//! `store_faults.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first error"
)]

#[macro_use]
mod store;

use std::time::Duration;

use stanchion_reliability::store::{
    InboundFilter, InboundKey, InboundQuery, InboundState, MAX_BATCH, MAX_TEXT, Misuse, Op,
    OpResult, OutboundFilter, OutboundQuery, OutboundState, PRUNE_STEP, Retention, Store,
    StoreError, WallTime,
};
use store::{Bed, MemoryBed, SqliteBed, at, commit, handled, inbound, outbound, set_state};

laws! {
    a_new_store_is_empty
    an_identity_stays_and_its_boots_are_counted
    another_device_name_is_refused
    what_was_committed_survives_a_restart
    a_seq_is_never_used_twice_even_after_pruning
    a_known_outbound_id_is_not_put_again
    a_message_of_many_that_is_refused_harms_no_other
    a_final_state_never_changes
    an_open_doubt_can_still_be_settled
    attempts_are_noted_until_the_outcome
    a_duplicate_is_told_the_state_of_the_first
    the_same_id_from_another_sender_is_no_duplicate
    hand_overs_are_counted_across_restarts
    a_handled_message_is_never_handed_again
    a_key_outlives_its_payload
    pruning_touches_nothing_unhandled
    keys_are_bounded_by_count_oldest_first
    what_has_an_outcome_is_bounded_by_bytes_and_by_count_oldest_first
    payloads_of_what_is_handled_are_bounded_by_bytes
    a_trim_is_done_in_bounded_steps
    a_clock_that_jumps_ahead_forgets_no_more_than_allowed
    a_prune_is_bounded_and_says_that_there_is_more
    batches_apply_in_the_order_of_submission
    a_batch_out_of_bounds_changes_nothing_and_harms_nothing
    closing_answers_all_that_was_submitted
    dropping_a_store_keeps_all_that_was_submitted
    a_reopened_store_is_the_same_store
}

async fn a_new_store_is_empty(mut bed: impl Bed) {
    let store = bed.open();
    let recovered = store.recover(10).await.unwrap();
    assert_eq!(recovered.identity, *store.identity());
    assert_eq!(recovered.next_seq, 1);
    assert!(recovered.outbound.is_empty() && recovered.inbound.is_empty());
    assert_eq!(recovered.counts, Default::default());
}

async fn an_identity_stays_and_its_boots_are_counted(mut bed: impl Bed) {
    let first = bed.open().identity().clone();
    assert_eq!(first.boot_count, 1);
    assert_eq!(first.device, "d07070707");
    // The bed gives the same seed each time: the token differs all the same.
    let second = bed.open().identity().clone();
    assert_eq!(second.boot_count, 2);
    assert_ne!(second.boot_token, first.boot_token);
    assert_eq!(
        (second.store_id, &second.device, second.created_at),
        (first.store_id, &first.device, first.created_at)
    );
}

async fn another_device_name_is_refused(mut bed: impl Bed) {
    drop(bed.try_open(Some("pump")).unwrap());
    drop(bed.try_open(None).unwrap());
    let refused = bed.try_open(Some("valve")).unwrap_err();
    assert!(
        matches!(&refused, StoreError::OtherDevice { stored, asked }
            if stored == "pump" && asked == "valve"),
        "{refused:?}"
    );
    assert_eq!(bed.try_open(Some("pump")).unwrap().identity().boot_count, 3);
}

async fn what_was_committed_survives_a_restart(mut bed: impl Bed) {
    let store = bed.open();
    let mut first = outbound(1, "m1");
    first.deadline = Some(at(9));
    first.channel = "alarm".into();
    first.protection = 255;
    first.boot = u32::MAX;
    first.state = OutboundState::InDoubt {
        reason: "expired".into(),
        open: true,
    };
    let arrived = inbound("a@b", "x");
    commit(
        &*store,
        vec![
            Op::PutOutbound(first.clone()),
            Op::PutInbound(arrived.clone()),
            Op::PutMeta {
                key: "epoch".into(),
                value: "3".into(),
            },
        ],
    )
    .await;
    drop(store);

    let store = bed.open();
    let recovered = store.recover(10).await.unwrap();
    assert_eq!(recovered.outbound, [first.clone()]);
    assert_eq!(recovered.next_seq, 2);
    assert_eq!(recovered.inbound.len(), 1);
    let kept = &recovered.inbound[0];
    assert_eq!(kept.arrival, 1);
    assert_eq!(kept.key, arrived.key);
    assert_eq!(kept.from_full, arrived.from_full);
    assert_eq!(kept.stanza, Some(arrived.stanza));
    assert_eq!(kept.received_at, arrived.received_at);
    assert_eq!(kept.state, InboundState::Kept);
    assert_eq!(store.outbound("m1").await.unwrap(), Some(first));
    assert_eq!(&store.meta("epoch").await.unwrap().unwrap()[..], b"3");
}

async fn a_seq_is_never_used_twice_even_after_pruning(mut bed: impl Bed) {
    let store = bed.open();
    let results = commit(
        &*store,
        vec![
            Op::PutOutbound(outbound(5, "m5")),
            Op::PutOutbound(outbound(5, "other")),
            Op::PutOutbound(outbound(4, "lower")),
            set_state("m5", OutboundState::Delivered, 6),
            Op::PruneOutbound { before: at(7) },
            Op::PutOutbound(outbound(5, "again")),
        ],
    )
    .await;
    let taken = OpResult::SeqTaken { next_seq: 6 };
    assert_eq!(results[1..3], [taken.clone(), taken.clone()]);
    assert_eq!(
        results[4],
        OpResult::Pruned {
            payloads: 0,
            rows: 1,
            more: false
        }
    );
    assert_eq!(results[5], taken);
    drop(store);
    let store = bed.open();
    assert_eq!(store.recover(1).await.unwrap().next_seq, 6);
    assert_eq!(store.outbound("m5").await.unwrap(), None);
}

async fn a_known_outbound_id_is_not_put_again(mut bed: impl Bed) {
    let store = bed.open();
    let results = commit(
        &*store,
        vec![
            Op::PutOutbound(outbound(1, "m")),
            set_state("m", OutboundState::InFlight, 2),
            Op::PutOutbound(outbound(2, "m")),
            Op::PutOutbound(outbound(2, "n")),
        ],
    )
    .await;
    assert_eq!(
        results[2],
        OpResult::OutboundExists {
            state: OutboundState::InFlight
        }
    );
    assert_eq!(results[3], OpResult::Done, "a refused op harms no other");
}

async fn a_message_of_many_that_is_refused_harms_no_other(mut bed: impl Bed) {
    let store = bed.open();
    // Two of them are known, and one has a seq that was used.
    let puts = (1..=60).map(|n| match n {
        20 => outbound(20, "m3"),
        38 => outbound(37, "low"),
        57 => outbound(57, "m56"),
        n => outbound(n, &format!("m{n}")),
    });
    let records: Vec<_> = puts.collect();
    let batch = records.iter().cloned().map(Op::PutOutbound).collect();
    let results = commit(&*store, batch).await;
    let known = OpResult::OutboundExists {
        state: OutboundState::Accepted,
    };
    for (n, (record, result)) in (1..).zip(records.into_iter().zip(results)) {
        let expected = match n {
            20 | 57 => known.clone(),
            38 => OpResult::SeqTaken { next_seq: 38 },
            _ => OpResult::Done,
        };
        assert_eq!(result, expected, "{n}");
        let kept = store.outbound(&record.id).await.unwrap();
        assert_eq!(kept == Some(record), expected == OpResult::Done, "{n}");
    }
}

async fn a_final_state_never_changes(mut bed: impl Bed) {
    let reason = || "expired".into();
    let finals = [
        OutboundState::Acknowledged,
        OutboundState::Delivered,
        OutboundState::NotDelivered { reason: reason() },
        OutboundState::InDoubt {
            reason: reason(),
            open: false,
        },
    ];
    let store = bed.open();
    for (seq, state) in (1..).zip(finals) {
        let id = format!("m{seq}");
        let results = commit(
            &*store,
            vec![
                Op::PutOutbound(outbound(seq, &id)),
                set_state(&id, state.clone(), 2),
                set_state(&id, OutboundState::Accepted, 3),
                Op::SetOutboundAttempts {
                    id: id.clone(),
                    attempts: 9,
                    at: at(3),
                },
            ],
        )
        .await;
        let kept = OpResult::AlreadyFinal {
            state: state.clone(),
        };
        assert_eq!(results[2..], [kept.clone(), kept]);
        let record = store.outbound(&id).await.unwrap().unwrap();
        assert_eq!(
            (record.state, record.attempts, record.updated_at),
            (state, 0, at(2))
        );
    }
    assert!(store.recover(10).await.unwrap().outbound.is_empty());
}

async fn an_open_doubt_can_still_be_settled(mut bed: impl Bed) {
    let store = bed.open();
    let doubt = OutboundState::InDoubt {
        reason: "no answer".into(),
        open: true,
    };
    commit(
        &*store,
        vec![
            Op::PutOutbound(outbound(1, "m")),
            set_state("m", doubt.clone(), 2),
        ],
    )
    .await;
    assert_eq!(store.recover(1).await.unwrap().outbound[0].state, doubt);
    let results = commit(&*store, vec![set_state("m", OutboundState::Delivered, 3)]).await;
    assert_eq!(results, [OpResult::Done]);
    // The reason of the doubt does not linger.
    assert_eq!(
        store.outbound("m").await.unwrap().unwrap().state,
        OutboundState::Delivered
    );
}

async fn attempts_are_noted_until_the_outcome(mut bed: impl Bed) {
    let store = bed.open();
    let note = |id: &str, attempts| Op::SetOutboundAttempts {
        id: id.into(),
        attempts,
        at: at(4),
    };
    let results = commit(
        &*store,
        vec![
            Op::PutOutbound(outbound(1, "m")),
            note("m", 3),
            note("unknown", 1),
            set_state("unknown", OutboundState::InFlight, 1),
        ],
    )
    .await;
    assert_eq!(results[1], OpResult::Done);
    assert_eq!(results[2..], [OpResult::NotFound, OpResult::NotFound]);
    let record = store.outbound("m").await.unwrap().unwrap();
    assert_eq!((record.attempts, record.updated_at), (3, at(4)));
}

async fn a_duplicate_is_told_the_state_of_the_first(mut bed: impl Bed) {
    let store = bed.open();
    let message = || Op::PutInbound(inbound("a@b", "x"));
    let key = InboundKey::new("a@b", "x");
    let results = commit(&*store, vec![message(), message()]).await;
    let duplicate = |state| OpResult::Duplicate { arrival: 1, state };
    assert_eq!(results[0], OpResult::Kept { arrival: 1 });
    assert_eq!(results[1], duplicate(InboundState::Kept));
    commit(
        &*store,
        vec![Op::MarkHanded {
            key: key.clone(),
            at: at(5),
        }],
    )
    .await;
    drop(store);

    let store = bed.open();
    let results = commit(&*store, vec![message()]).await;
    assert_eq!(results, [duplicate(InboundState::Handed { times: 1 })]);
    let results = commit(&*store, vec![handled("a@b", "x", 6), message()]).await;
    assert_eq!(results[1], duplicate(InboundState::Handled));
    let record = store.inbound(&key).await.unwrap().unwrap();
    assert_eq!(record.received_at, inbound("a@b", "x").received_at);
}

async fn the_same_id_from_another_sender_is_no_duplicate(mut bed: impl Bed) {
    let store = bed.open();
    let results = commit(
        &*store,
        vec![
            Op::PutInbound(inbound("a@b", "x")),
            Op::PutInbound(inbound("c@d", "x")),
            handled("a@b", "x", 2),
        ],
    )
    .await;
    assert_eq!(results[1], OpResult::Kept { arrival: 2 });
    let open = store.recover(10).await.unwrap().inbound;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].key.from_bare, "c@d");
}

async fn hand_overs_are_counted_across_restarts(mut bed: impl Bed) {
    let key = InboundKey::new("a@b", "x");
    let store = bed.open();
    commit(&*store, vec![Op::PutInbound(inbound("a@b", "x"))]).await;
    drop(store);
    for times in 1..=3 {
        let store = bed.open();
        let mark = Op::MarkHanded {
            key: key.clone(),
            at: at(10 + i64::from(times)),
        };
        assert_eq!(commit(&*store, vec![mark]).await, [OpResult::Done]);
        let record = store.inbound(&key).await.unwrap().unwrap();
        assert_eq!(record.state, InboundState::Handed { times });
        assert_eq!(record.changed_at, at(10 + i64::from(times)));
    }
}

async fn a_handled_message_is_never_handed_again(mut bed: impl Bed) {
    let store = bed.open();
    let mark = |key: InboundKey| Op::MarkHanded { key, at: at(9) };
    let results = commit(
        &*store,
        vec![
            Op::PutInbound(inbound("a@b", "x")),
            handled("a@b", "x", 2),
            handled("a@b", "x", 3),
            mark(InboundKey::new("a@b", "x")),
            mark(InboundKey::new("a@b", "unknown")),
            handled("a@b", "unknown", 3),
        ],
    )
    .await;
    assert_eq!(
        results[1..],
        [
            OpResult::Done,
            OpResult::AlreadyHandled,
            OpResult::AlreadyHandled,
            OpResult::NotFound,
            OpResult::NotFound
        ]
    );
    let record = store.inbound(&InboundKey::new("a@b", "x")).await.unwrap();
    assert_eq!(record.unwrap().changed_at, at(2));
}

fn prune(payloads: i64, keys: i64, keep_at_least: u64, keep_at_most: u64) -> Op {
    Op::PruneInbound {
        payloads_before: at(payloads),
        keys_before: at(keys),
        keep_at_least,
        keep_at_most,
    }
}

/// Ids of the inbound messages that are known, in order of arrival.
async fn known(store: &dyn Store) -> Vec<String> {
    let query = InboundQuery {
        filter: InboundFilter::All,
        limit: 1000,
        ..InboundQuery::default()
    };
    let page = store.inbound_page(query).await.unwrap();
    page.into_iter().map(|record| record.key.id).collect()
}

async fn a_key_outlives_its_payload(mut bed: impl Bed) {
    let store = bed.open();
    let results = commit(
        &*store,
        vec![
            Op::PutInbound(inbound("a@b", "x")),
            handled("a@b", "x", 5),
            prune(5, 0, 0, 9),
            prune(6, 5, 0, 9),
        ],
    )
    .await;
    let pruned = |payloads| OpResult::Pruned {
        payloads,
        rows: 0,
        more: false,
    };
    // "Before" excludes the time itself.
    assert_eq!(results[2..], [pruned(0), pruned(1)]);
    drop(store);
    let store = bed.open();
    let record = store.inbound(&InboundKey::new("a@b", "x")).await.unwrap();
    assert_eq!(record.unwrap().stanza, None);
    let results = commit(&*store, vec![Op::PutInbound(inbound("a@b", "x"))]).await;
    assert!(matches!(results[0], OpResult::Duplicate { .. }));
}

async fn pruning_touches_nothing_unhandled(mut bed: impl Bed) {
    let store = bed.open();
    commit(
        &*store,
        vec![
            Op::PutInbound(inbound("a@b", "kept")),
            Op::PutInbound(inbound("a@b", "handed")),
            Op::PutInbound(inbound("a@b", "handled")),
            Op::MarkHanded {
                key: InboundKey::new("a@b", "handed"),
                at: at(1),
            },
            handled("a@b", "handled", 1),
            Op::PutOutbound(outbound(1, "open")),
            Op::PruneOutbound {
                before: WallTime::MAX,
            },
            Op::PruneInbound {
                payloads_before: WallTime::MAX,
                keys_before: WallTime::MAX,
                keep_at_least: 0,
                keep_at_most: 0,
            },
        ],
    )
    .await;
    assert_eq!(known(&*store).await, ["kept", "handed"]);
    let recovered = store.recover(10).await.unwrap();
    assert!(
        recovered
            .inbound
            .iter()
            .all(|record| record.stanza.is_some())
    );
    assert_eq!(recovered.outbound.len(), 1);
}

async fn keys_are_bounded_by_count_oldest_first(mut bed: impl Bed) {
    let store = bed.open();
    let mut batch = vec![Op::PutInbound(inbound("a@b", "open"))];
    for n in 1..=5 {
        let id = n.to_string();
        batch.push(Op::PutInbound(inbound("a@b", &id)));
        batch.push(handled("a@b", &id, 100 - n));
    }
    // Even the bound that protects young keys yields to the upper one.
    batch.push(prune(0, 0, 9, 2));
    let results = commit(&*store, batch).await;
    assert!(matches!(
        results.last(),
        Some(OpResult::Pruned { rows: 3, .. })
    ));
    assert_eq!(known(&*store).await, ["open", "4", "5"]);
    // A place in the order of arrival is not given again.
    commit(&*store, vec![handled("a@b", "open", 1), prune(0, 0, 0, 0)]).await;
    let results = commit(&*store, vec![Op::PutInbound(inbound("a@b", "5"))]).await;
    assert_eq!(results, [OpResult::Kept { arrival: 7 }]);
}

/// Ids of the outbound messages that are known, in order.
async fn sent(store: &dyn Store) -> Vec<String> {
    let query = OutboundQuery {
        filter: OutboundFilter::All,
        limit: 1000,
        ..OutboundQuery::default()
    };
    let page = store.outbound_page(query).await.unwrap();
    page.into_iter().map(|record| record.id).collect()
}

async fn what_has_an_outcome_is_bounded_by_bytes_and_by_count_oldest_first(mut bed: impl Bed) {
    let store = bed.open();
    let mut batch = vec![Op::PutOutbound(outbound(1, "open"))];
    for seq in 2..=6 {
        let mut record = outbound(seq, &seq.to_string());
        record.stanza = vec![b'x'; 100].into();
        batch.push(Op::PutOutbound(record));
        // The age has no part in it.
        batch.push(set_state(
            &seq.to_string(),
            OutboundState::Delivered,
            10 - seq as i64,
        ));
    }
    commit(&*store, batch).await;
    let trim = |keep_bytes, keep_rows| {
        vec![Op::TrimOutbound {
            keep_bytes,
            keep_rows,
        }]
    };
    let pruned = |rows| {
        [OpResult::Pruned {
            payloads: 0,
            rows,
            more: false,
        }]
    };
    assert_eq!(commit(&*store, trim(500, 5)).await, pruned(0));
    assert_eq!(commit(&*store, trim(499, 5)).await, pruned(1));
    assert_eq!(sent(&*store).await, ["open", "3", "4", "5", "6"]);
    assert_eq!(commit(&*store, trim(u64::MAX, 2)).await, pruned(2));
    assert_eq!(commit(&*store, trim(0, 9)).await, pruned(2));
    assert_eq!(sent(&*store).await, ["open"]);
}

async fn payloads_of_what_is_handled_are_bounded_by_bytes(mut bed: impl Bed) {
    let store = bed.open();
    let mut batch = Vec::new();
    for id in ["1", "2", "3", "open"] {
        let mut new = inbound("a@b", id);
        new.stanza = vec![b'x'; 100].into();
        batch.push(Op::PutInbound(new));
        if id != "open" {
            batch.push(handled("a@b", id, 1));
        }
    }
    batch.push(Op::TrimInbound { keep_bytes: 299 });
    let results = commit(&*store, batch).await;
    let one = OpResult::Pruned {
        payloads: 1,
        rows: 0,
        more: false,
    };
    assert_eq!(results.last(), Some(&one));
    commit(&*store, vec![Op::TrimInbound { keep_bytes: 100 }]).await;
    // Keys stay, and what is not handled stays whole.
    assert_eq!(known(&*store).await, ["1", "2", "3", "open"]);
    for (id, whole) in [("1", false), ("2", false), ("3", true), ("open", true)] {
        let record = store.inbound(&InboundKey::new("a@b", id)).await.unwrap();
        assert_eq!(record.unwrap().stanza.is_some(), whole, "{id}");
    }
}

async fn a_trim_is_done_in_bounded_steps(mut bed: impl Bed) {
    let store = bed.open();
    let many = PRUNE_STEP + 10;
    for chunk in (1..=many).collect::<Vec<_>>().chunks(256) {
        let mut batch = Vec::new();
        for seq in chunk {
            let id = seq.to_string();
            batch.push(Op::PutOutbound(outbound(*seq, &id)));
            batch.push(set_state(&id, OutboundState::Delivered, 1));
        }
        commit(&*store, batch).await;
    }
    let trim = || {
        vec![Op::TrimOutbound {
            keep_bytes: u64::MAX,
            keep_rows: 4,
        }]
    };
    let results = commit(&*store, trim()).await;
    assert!(
        matches!(
            results[0],
            OpResult::Pruned {
                rows: PRUNE_STEP,
                more: true,
                ..
            }
        ),
        "{results:?}"
    );
    let results = commit(&*store, trim()).await;
    assert!(
        matches!(
            results[0],
            OpResult::Pruned {
                rows: 6,
                more: false,
                ..
            }
        ),
        "{results:?}"
    );
    assert_eq!(store.counts().await.unwrap().finished, 4);
}

async fn a_clock_that_jumps_ahead_forgets_no_more_than_allowed(mut bed: impl Bed) {
    let store = bed.open();
    let mut batch = Vec::new();
    for n in 1..=5 {
        let id = n.to_string();
        batch.push(Op::PutInbound(inbound("a@b", &id)));
        batch.push(handled("a@b", &id, n));
    }
    let retention = Retention {
        keep_at_least: 3,
        keep_at_most: 4,
        key_age: Duration::from_secs(60),
        ..Retention::default()
    };
    batch.push(retention.prune(WallTime::MAX));
    commit(&*store, batch).await;
    assert_eq!(known(&*store).await, ["3", "4", "5"]);
}

async fn a_prune_is_bounded_and_says_that_there_is_more(mut bed: impl Bed) {
    let store = bed.open();
    let ids: Vec<String> = (0..=PRUNE_STEP).map(|n| n.to_string()).collect();
    for chunk in ids.chunks(MAX_BATCH / 2) {
        let batch = chunk
            .iter()
            .flat_map(|id| [Op::PutInbound(inbound("a@b", id)), handled("a@b", id, 1)])
            .collect();
        commit(&*store, batch).await;
    }
    let all = || vec![prune(9, 0, 0, u64::MAX), prune(9, 9, 0, u64::MAX)];
    let bounded = |payloads, rows| OpResult::Pruned {
        payloads,
        rows,
        more: true,
    };
    let last = |payloads, rows| OpResult::Pruned {
        payloads,
        rows,
        more: false,
    };
    // The oldest go first, so the one payload left is that of the newest.
    assert_eq!(
        commit(&*store, all()).await,
        [bounded(PRUNE_STEP, 0), bounded(1, PRUNE_STEP)]
    );
    assert_eq!(known(&*store).await, [PRUNE_STEP.to_string()]);
    assert_eq!(commit(&*store, all()).await, [last(0, 0), last(0, 1)]);
}

async fn batches_apply_in_the_order_of_submission(mut bed: impl Bed) {
    let store = bed.open();
    let tickets: Vec<_> = (1..=100)
        .map(|seq| {
            store
                .submit(vec![Op::PutOutbound(outbound(seq, &seq.to_string()))])
                .unwrap()
        })
        .collect();
    // Polled backwards; each `seq` must still have found its predecessor.
    for ticket in tickets.into_iter().rev() {
        assert_eq!(ticket.await.unwrap().results, [OpResult::Done]);
    }
}

async fn a_batch_out_of_bounds_changes_nothing_and_harms_nothing(mut bed: impl Bed) {
    let store = bed.open();
    let good = || Op::PutOutbound(outbound(1, "good"));
    let misuse = async |op: Op| match store.submit(vec![good(), op]).unwrap().await {
        Err(StoreError::Misuse(misuse)) => misuse,
        other => panic!("{other:?}"),
    };
    let long = "x".repeat(MAX_TEXT + 1);
    let too_long = |field| Misuse::TooLong {
        field,
        bytes: MAX_TEXT + 1,
        max: MAX_TEXT,
    };
    let unlucky = Op::PutInbound(inbound("a@b", &long));
    assert_eq!(misuse(unlucky).await, too_long("id"));
    let doubt = OutboundState::NotDelivered {
        reason: long.as_str().into(),
    };
    assert_eq!(misuse(set_state("m", doubt, 1)).await, too_long("reason"));
    for seq in [0, 1 << 63] {
        let record = Op::PutOutbound(outbound(seq, "m"));
        assert_eq!(misuse(record).await, Misuse::SeqOutOfRange(seq));
    }
    let many = vec![good(); MAX_BATCH + 1];
    assert!(matches!(
        store.submit(many).unwrap().await,
        Err(StoreError::Misuse(Misuse::BatchTooLarge(_)))
    ));
    assert_eq!(store.outbound("good").await.unwrap(), None);
    assert_eq!(commit(&*store, vec![good()]).await, [OpResult::Done]);
    assert_eq!(commit(&*store, vec![]).await, []);
}

async fn closing_answers_all_that_was_submitted(mut bed: impl Bed) {
    let store = bed.open();
    let tickets: Vec<_> = (1..=50)
        .map(|seq| {
            let record = outbound(seq, &seq.to_string());
            store.submit(vec![Op::PutOutbound(record)]).unwrap()
        })
        .collect();
    store.close().await.unwrap();
    for mut ticket in tickets {
        assert!(matches!(ticket.try_take(), Some(Ok(_))));
        assert!(matches!(ticket.try_take(), Some(Err(StoreError::Closed))));
    }
    assert_eq!(bed.open().counts().await.unwrap().accepted, 50);
}

async fn dropping_a_store_keeps_all_that_was_submitted(mut bed: impl Bed) {
    let store = bed.open();
    for seq in 1..=50 {
        let record = outbound(seq, &seq.to_string());
        drop(store.submit(vec![Op::PutOutbound(record)]).unwrap());
    }
    drop(store);
    assert_eq!(bed.open().counts().await.unwrap().accepted, 50);
}

async fn a_reopened_store_is_the_same_store(mut bed: impl Bed) {
    let store = bed.open();
    let before = store.identity().clone();
    let unawaited = store
        .submit(vec![Op::PutOutbound(outbound(1, "m"))])
        .unwrap();
    store.reopen().await.unwrap();
    unawaited.await.unwrap();
    let recovered = store.recover(10).await.unwrap();
    assert_eq!(recovered.identity, before);
    assert_eq!(recovered.outbound.len(), 1);
    let results = commit(&*store, vec![Op::PutOutbound(outbound(2, "n"))]).await;
    assert_eq!(results, [OpResult::Done]);
}

//! The two stores are one: whatever is done to both, restarts included, every
//! result and every read is the same.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first error"
)]

mod store;

use proptest::prelude::*;
use stanchion_reliability::store::{
    InboundFilter, InboundKey, InboundQuery, Op, OpResult, OutboundFilter, OutboundQuery,
    OutboundState, Store,
};
use store::{Bed, MemoryBed, SqliteBed, at, inbound, outbound};

/// Few ids and times, so that they meet.
fn id() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "c", "\u{1d11e}", ""]).prop_map(str::to_owned)
}

/// An id of the outbox; of some letters it is a UUID.
fn named(letter: &str, n: u64) -> String {
    match letter {
        "b" => format!("01890a5d-ac96-774b-bcce-b302099a805{n}"),
        letter => format!("{letter}{n}"),
    }
}

fn key() -> impl Strategy<Value = InboundKey> {
    (prop::sample::select(vec!["p@x", "q@x"]), id())
        .prop_map(|(from, id)| InboundKey::new(from, id))
}

fn time() -> impl Strategy<Value = i64> {
    -3..6_i64
}

fn state() -> impl Strategy<Value = OutboundState> {
    prop_oneof![
        Just(OutboundState::Accepted),
        Just(OutboundState::InFlight),
        Just(OutboundState::ServerAccepted),
        Just(OutboundState::Acknowledged),
        Just(OutboundState::Delivered),
        id().prop_map(|word| OutboundState::NotDelivered {
            reason: word.as_str().into()
        }),
        (id(), any::<bool>()).prop_map(|(word, open)| OutboundState::InDoubt {
            reason: word.as_str().into(),
            open
        }),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    let put = (
        1..40_u64,
        id(),
        prop::sample::select(vec!["a", "a", "a", "b", ""]),
        prop::option::of(time()),
        state(),
        0..50_usize,
    )
        .prop_map(|(seq, id, channel, deadline, state, bytes)| {
            let mut record = outbound(seq, &named(&id, seq % 7));
            record.channel = channel.to_owned();
            record.deadline = deadline.map(at);
            record.state = state;
            record.stanza = vec![0; bytes].into();
            Op::PutOutbound(record)
        });
    let outbound_id = || (id(), 0..7_u64).prop_map(|(id, n)| named(&id, n));
    prop_oneof![
        4 => put,
        3 => (outbound_id(), state(), time())
            .prop_map(|(id, state, ms)| Op::SetOutboundState { id, state, at: at(ms) }),
        1 => (outbound_id(), any::<u32>(), time())
            .prop_map(|(id, attempts, ms)| Op::SetOutboundAttempts { id, attempts, at: at(ms) }),
        1 => (outbound_id(), time(), time())
            .prop_map(|(id, by, ms)| Op::ExtendDeadline { id, deadline: at(by), at: at(ms) }),
        1 => time().prop_map(|ms| Op::PruneOutbound { before: at(ms) }),
        1 => (0..200_u64, 0..6_u64).prop_map(|(keep_bytes, keep_rows)| {
            Op::TrimOutbound { keep_bytes, keep_rows }
        }),
        1 => (0..60_u64).prop_map(|keep_bytes| Op::TrimInbound { keep_bytes }),
        4 => (key(), time()).prop_map(|(key, ms)| {
            let mut new = inbound(&key.from_bare, &key.id);
            new.received_at = at(ms);
            Op::PutInbound(new)
        }),
        2 => (key(), time()).prop_map(|(key, ms)| Op::MarkHanded { key, at: at(ms) }),
        1 => (key(), time()).prop_map(|(key, ms)| Op::RestartHandOvers { key, at: at(ms) }),
        2 => (key(), time()).prop_map(|(key, ms)| Op::MarkHandled { key, at: at(ms) }),
        2 => (time(), time(), 0..5_u64, 0..5_u64).prop_map(|(payloads, keys, least, most)| {
            Op::PruneInbound {
                payloads_before: at(payloads),
                keys_before: at(keys),
                keep_at_least: least,
                keep_at_most: most,
            }
        }),
        1 => (id(), id()).prop_map(|(key, value)| {
            Op::PutMeta { key, value: value.into_bytes().into() }
        }),
        1 => id().prop_map(|key| Op::DeleteMeta { key }),
    ]
}

/// Most of the messages get the next number, as the engine gives it.
fn number(batch: &mut [Op], mut next: u64) {
    for op in batch {
        if let Op::PutOutbound(record) = op
            && record.seq >= 5
        {
            record.seq = next;
            next += 1;
        }
    }
}

/// A batch, or a restart.
fn step() -> impl Strategy<Value = Option<Vec<Op>>> {
    prop_oneof![
        6 => prop::collection::vec(op(), 0..8).prop_map(Some),
        1 => Just(None),
    ]
}

/// Everything that reads can tell.
async fn everything(store: &dyn Store) -> impl PartialEq + std::fmt::Debug + use<> {
    let mut outbound = Vec::new();
    for filter in [
        OutboundFilter::Pending,
        OutboundFilter::Final,
        OutboundFilter::All,
    ] {
        for channel in [None, Some("a".to_owned()), Some("b".to_owned())] {
            for (after, limit) in [(0, 100), (5, 2), (12, 3)] {
                let query = OutboundQuery {
                    filter,
                    to: channel.as_ref().map(|_| "pump@plant.example".into()),
                    channel: channel.clone(),
                    after,
                    limit,
                };
                outbound.push(store.outbound_page(query).await.unwrap());
            }
        }
    }
    let mut inbound = Vec::new();
    for filter in [
        InboundFilter::Unhandled,
        InboundFilter::Handled,
        InboundFilter::All,
    ] {
        for from_bare in [None, Some("p@x".to_owned())] {
            for (after, limit) in [(0, 100), (3, 2)] {
                let query = InboundQuery {
                    filter,
                    from_bare: from_bare.clone(),
                    after,
                    limit,
                };
                inbound.push(store.inbound_page(query).await.unwrap());
            }
        }
    }
    (
        store.recover(3).await.unwrap(),
        outbound,
        inbound,
        store.due(at(3), 5).await.unwrap(),
        store.outbound("a1").await.unwrap(),
        store.outbound(&named("b", 3)).await.unwrap(),
        store.inbound(&InboundKey::new("p@x", "a")).await.unwrap(),
        store.meta_page("", None, 100).await.unwrap(),
        store.meta("b").await.unwrap(),
    )
}

async fn submit(store: &dyn Store, batch: Vec<Op>) -> Vec<OpResult> {
    store::commit(store, batch).await
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn both_stores_answer_the_same(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (mut disk, mut memory) = (SqliteBed::new(), MemoryBed::new());
            let mut stores = (disk.open(), memory.open());
            for step in steps {
                match step {
                    Some(mut batch) => {
                        number(&mut batch, stores.0.recover(1).await.unwrap().next_seq);
                        let on_disk = submit(&*stores.0, batch.clone()).await;
                        prop_assert_eq!(on_disk, submit(&*stores.1, batch).await);
                    }
                    None => {
                        drop(stores);
                        stores = (disk.open(), memory.open());
                    }
                }
                let on_disk = everything(&*stores.0).await;
                prop_assert_eq!(on_disk, everything(&*stores.1).await);
            }
            Ok(())
        })?;
    }
}

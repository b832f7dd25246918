//! Laws of the reads, each run against the SQLite store and the in-memory
//! store: pages, deadlines, values, counts, and their place among the writes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first error"
)]

#[macro_use]
mod store;

use stanchion_reliability::store::{
    InboundFilter, InboundQuery, Op, OpResult, OutboundFilter, OutboundQuery, OutboundState,
    WallTime,
};
use store::{Bed, MemoryBed, SqliteBed, at, commit, handled, inbound, outbound, set_state};

laws! {
    outbound_pages_walk_every_message_once_in_order
    inbound_pages_walk_every_message_once_in_order
    due_lists_the_undecided_by_deadline
    a_read_sees_what_was_submitted_before_it
    values_are_listed_by_prefix_in_order
    counts_tell_each_state
}

async fn outbound_pages_walk_every_message_once_in_order(mut bed: impl Bed) {
    let store = bed.open();
    let mut batch = Vec::new();
    for seq in 1..=20 {
        let mut record = outbound(seq, &format!("m{seq}"));
        record.to = if seq % 2 == 0 { "even@x" } else { "odd@x" }.into();
        record.channel = if seq % 5 == 0 { "alarm" } else { "" }.into();
        batch.push(Op::PutOutbound(record));
        if seq % 4 == 0 {
            batch.push(set_state(
                &format!("m{seq}"),
                OutboundState::Acknowledged,
                1,
            ));
        }
    }
    commit(&*store, batch).await;
    let walk = async |query: OutboundQuery| {
        let mut seqs = Vec::new();
        loop {
            let page = store
                .outbound_page(OutboundQuery {
                    after: seqs.last().copied().unwrap_or(0),
                    limit: 3,
                    ..query.clone()
                })
                .await
                .unwrap();
            if page.is_empty() {
                return seqs;
            }
            assert!(page.len() <= 3);
            seqs.extend(page.iter().map(|record| record.seq));
        }
    };
    let all = OutboundQuery {
        filter: OutboundFilter::All,
        ..OutboundQuery::default()
    };
    assert_eq!(walk(all.clone()).await, Vec::from_iter(1..=20));
    let pending = walk(OutboundQuery::default()).await;
    assert_eq!(pending, Vec::from_iter((1..=20).filter(|n| n % 4 != 0)));
    let finished = OutboundQuery {
        filter: OutboundFilter::Final,
        ..all.clone()
    };
    assert_eq!(walk(finished).await, [4, 8, 12, 16, 20]);
    let lane = OutboundQuery {
        to: Some("odd@x".into()),
        channel: Some("alarm".into()),
        ..OutboundQuery::default()
    };
    assert_eq!(walk(lane).await, [5, 15]);
    let to_even = OutboundQuery {
        to: Some("even@x".into()),
        ..OutboundQuery::default()
    };
    assert_eq!(walk(to_even).await, [2, 6, 10, 14, 18]);
}

async fn inbound_pages_walk_every_message_once_in_order(mut bed: impl Bed) {
    let store = bed.open();
    let mut batch = Vec::new();
    for n in 1..=9 {
        let from = if n % 2 == 0 { "even@x" } else { "odd@x" };
        batch.push(Op::PutInbound(inbound(from, &n.to_string())));
        if n % 3 == 0 {
            batch.push(handled(from, &n.to_string(), 1));
        }
    }
    commit(&*store, batch).await;
    let page = async |filter, from: Option<&str>, after| {
        let query = InboundQuery {
            filter,
            from_bare: from.map(str::to_owned),
            after,
            limit: 3,
        };
        let page = store.inbound_page(query).await.unwrap();
        Vec::from_iter(page.iter().map(|record| record.arrival))
    };
    assert_eq!(page(InboundFilter::All, None, 7).await, [8, 9]);
    assert_eq!(page(InboundFilter::Unhandled, None, 0).await, [1, 2, 4]);
    assert_eq!(page(InboundFilter::Unhandled, None, 4).await, [5, 7, 8]);
    assert_eq!(page(InboundFilter::Handled, None, 3).await, [6, 9]);
    assert_eq!(page(InboundFilter::All, Some("even@x"), 2).await, [4, 6, 8]);
    assert_eq!(page(InboundFilter::Handled, Some("even@x"), 0).await, [6]);
}

async fn due_lists_the_undecided_by_deadline(mut bed: impl Bed) {
    let store = bed.open();
    let deadlines = [Some(30), None, Some(10), Some(20), Some(10), Some(5)];
    let mut batch = Vec::new();
    for (seq, deadline) in (1..).zip(deadlines) {
        let mut record = outbound(seq, &format!("m{seq}"));
        record.deadline = deadline.map(at);
        batch.push(Op::PutOutbound(record));
    }
    let doubt = OutboundState::InDoubt {
        reason: "expired".into(),
        open: true,
    };
    batch.push(set_state("m6", doubt, 6));
    batch.push(set_state("m5", OutboundState::ServerAccepted, 6));
    commit(&*store, batch).await;
    let due = async |by, limit| {
        let due = store.due(by, limit).await.unwrap();
        Vec::from_iter(due.iter().map(|record| record.seq))
    };
    assert_eq!(due(at(20), 10).await, [3, 5, 4]);
    assert_eq!(due(at(9), 10).await, [0; 0]);
    assert_eq!(due(WallTime::MAX, 1).await, [3]);
}

async fn a_read_sees_what_was_submitted_before_it(mut bed: impl Bed) {
    let store = bed.open();
    let ticket = store
        .submit(vec![Op::PutOutbound(outbound(1, "m"))])
        .unwrap();
    let read = store.outbound("m");
    let later = store
        .submit(vec![set_state("m", OutboundState::Delivered, 2)])
        .unwrap();
    assert_eq!(
        read.await.unwrap().unwrap().state,
        OutboundState::Accepted,
        "and nothing submitted after it"
    );
    ticket.await.unwrap();
    later.await.unwrap();
}

async fn values_are_listed_by_prefix_in_order(mut bed: impl Bed) {
    let store = bed.open();
    let put = |key: &str, value: &'static str| Op::PutMeta {
        key: key.into(),
        value: value.into(),
    };
    let delete = |key: &str| Op::DeleteMeta { key: key.into() };
    let results = commit(
        &*store,
        vec![
            put("epoch/b", "old"),
            put("epoch/b", "2"),
            put("epoch/a", "1"),
            put("epoch/\u{10ffff}", "4"),
            put("epoch/gone", ""),
            put("epoc", "x"),
            put("epoch0", "x"),
            delete("epoch/gone"),
            delete("epoch/gone"),
        ],
    )
    .await;
    assert_eq!(results[7..], [OpResult::Done, OpResult::NotFound]);
    let page = async |prefix, after, limit| {
        let page = store.meta_page(prefix, after, limit).await.unwrap();
        Vec::from_iter(page.into_iter().map(|(key, _)| key))
    };
    let all = ["epoch/a", "epoch/b", "epoch/\u{10ffff}"];
    assert_eq!(page("epoch/", None, 10).await, all);
    assert_eq!(page("epoch/", None, 2).await, all[..2]);
    assert_eq!(page("epoch/", Some("epoch/a"), 10).await, all[1..]);
    assert_eq!(page("epoch/", Some("a"), 1).await, all[..1]);
    assert_eq!(page("epoch/", Some("f"), 10).await, [""; 0]);
    assert_eq!(&store.meta("epoch/b").await.unwrap().unwrap()[..], b"2");
    assert_eq!(store.meta("epoch/gone").await.unwrap(), None);
}

async fn counts_tell_each_state(mut bed: impl Bed) {
    let store = bed.open();
    let doubt = |open| OutboundState::InDoubt {
        reason: "r".into(),
        open,
    };
    let states = [
        OutboundState::Accepted,
        OutboundState::InFlight,
        OutboundState::ServerAccepted,
        doubt(true),
        doubt(false),
        OutboundState::Delivered,
    ];
    let mut batch = Vec::new();
    for (seq, state) in (1..).zip(states) {
        let mut record = outbound(seq, &seq.to_string());
        record.stanza = vec![b'x'; 1 << seq].into();
        record.state = state;
        batch.push(Op::PutOutbound(record));
    }
    batch.extend(["1", "2", "3"].map(|id| Op::PutInbound(inbound("a@b", id))));
    batch.push(handled("a@b", "1", 1));
    commit(&*store, batch).await;
    let counts = store.counts().await.unwrap();
    assert_eq!(
        (
            counts.accepted,
            counts.in_flight,
            counts.server_accepted,
            counts.in_doubt,
            counts.finished
        ),
        (1, 1, 1, 1, 2)
    );
    // What is in doubt waits for nothing.
    assert_eq!(counts.pending_bytes, 2 + 4 + 8);
    assert_eq!((counts.kept, counts.handed, counts.handled), (2, 0, 1));
}

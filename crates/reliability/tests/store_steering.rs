//! Laws of the ops with which a person steers what waits, each run against the SQLite
//! store and the in-memory store; and of the look at a file that has an owner.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first error"
)]

#[macro_use]
mod store;

use stanchion_reliability::store::{
    InboundFilter, InboundKey, InboundQuery, InboundState, Op, OpResult, OutboundFilter,
    OutboundQuery, OutboundState, SqliteReader, SqliteStore, Store, StoreError,
};
use store::{
    Bed, MemoryBed, SqliteBed, at, commit, handled, inbound, opening, outbound, set_state,
};

laws! {
    a_deadline_is_extended_and_never_shortened
    an_extended_deadline_counts_for_what_is_due
    what_is_final_gets_no_more_time
    a_person_gives_up_only_what_is_open
    hand_overs_are_counted_anew_and_never_forgotten
}

fn extend(id: &str, by: i64, ms: i64) -> Op {
    Op::ExtendDeadline {
        id: id.into(),
        deadline: at(by),
        at: at(ms),
    }
}

async fn a_deadline_is_extended_and_never_shortened(mut bed: impl Bed) {
    let store = bed.open();
    let mut limited = outbound(1, "m");
    limited.deadline = Some(at(10));
    let batch = vec![
        Op::PutOutbound(limited),
        Op::PutOutbound(outbound(2, "endless")),
        extend("m", 20, 2),
        extend("m", 15, 3),
        extend("endless", 15, 3),
        extend("unknown", 15, 3),
    ];
    let results = commit(&*store, batch).await;
    let done = OpResult::Done;
    assert_eq!(
        results[2..],
        [done.clone(), done.clone(), done, OpResult::NotFound]
    );
    drop(store);

    let store = bed.open();
    let record = store.outbound("m").await.unwrap().unwrap();
    assert_eq!((record.deadline, record.updated_at), (Some(at(20)), at(3)));
    assert_eq!(
        store.outbound("endless").await.unwrap().unwrap().deadline,
        None
    );
}

async fn an_extended_deadline_counts_for_what_is_due(mut bed: impl Bed) {
    let store = bed.open();
    let mut batch = Vec::new();
    for seq in 1..=2 {
        let mut record = outbound(seq, &format!("m{seq}"));
        record.deadline = Some(at(10));
        batch.push(Op::PutOutbound(record));
    }
    batch.push(extend("m1", 30, 5));
    commit(&*store, batch).await;
    let due = async |by| {
        let due = store.due(at(by), 10).await.unwrap();
        Vec::from_iter(due.into_iter().map(|record| record.id))
    };
    assert_eq!(due(29).await, ["m2"]);
    assert_eq!(due(30).await, ["m2", "m1"]);
}

async fn what_is_final_gets_no_more_time(mut bed: impl Bed) {
    let store = bed.open();
    let mut record = outbound(1, "m");
    record.deadline = Some(at(10));
    let state = OutboundState::NotDelivered {
        reason: "expired".into(),
    };
    let batch = vec![
        Op::PutOutbound(record),
        set_state("m", state.clone(), 10),
        extend("m", 20, 11),
    ];
    let results = commit(&*store, batch).await;
    assert_eq!(results[2], OpResult::AlreadyFinal { state });
    let record = store.outbound("m").await.unwrap().unwrap();
    assert_eq!((record.deadline, record.updated_at), (Some(at(10)), at(10)));
}

async fn a_person_gives_up_only_what_is_open(mut bed: impl Bed) {
    let store = bed.open();
    let batch = vec![
        Op::PutOutbound(outbound(1, "m")),
        set_state("m", OutboundState::cancelled(), 2),
        set_state("m", OutboundState::Acknowledged, 3),
    ];
    let results = commit(&*store, batch).await;
    let state = OutboundState::cancelled();
    assert_eq!(results[2], OpResult::AlreadyFinal { state });
    // In doubt, as it may have been sent: never `NotDelivered`.
    let record = store.outbound("m").await.unwrap().unwrap();
    assert!(matches!(
        record.state,
        OutboundState::InDoubt { open: false, .. }
    ));
    assert!(store.recover(10).await.unwrap().outbound.is_empty());
}

async fn hand_overs_are_counted_anew_and_never_forgotten(mut bed: impl Bed) {
    let store = bed.open();
    let key = |id| InboundKey::new("a@b", id);
    let mark = |id, ms| Op::MarkHanded {
        key: key(id),
        at: at(ms),
    };
    let restart = |id| Op::RestartHandOvers {
        key: key(id),
        at: at(9),
    };
    let batch = vec![
        Op::PutInbound(inbound("a@b", "kept")),
        Op::PutInbound(inbound("a@b", "handed")),
        Op::PutInbound(inbound("a@b", "handled")),
        mark("handed", 2),
        mark("handed", 3),
        mark("handed", 4),
        handled("a@b", "handled", 5),
        restart("kept"),
        restart("handed"),
        restart("handled"),
        restart("unknown"),
    ];
    let results = commit(&*store, batch).await;
    assert_eq!(
        results[7..],
        [
            OpResult::Done,
            OpResult::Done,
            OpResult::AlreadyHandled,
            OpResult::NotFound
        ]
    );
    drop(store);

    let store = bed.open();
    let find = async |id| {
        let record = store.inbound(&key(id)).await.unwrap().unwrap();
        (record.state, record.changed_at)
    };
    assert_eq!(find("kept").await, (InboundState::Kept, at(1)));
    assert_eq!(
        find("handed").await,
        (InboundState::Handed { times: 1 }, at(9))
    );
    assert_eq!(find("handled").await, (InboundState::Handled, at(5)));
}

#[tokio::test]
async fn a_look_sees_what_is_durable_and_leaves_the_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let store = SqliteStore::open(&path, &opening()).unwrap();
    let boots = store.identity().boot_count;
    let reader = SqliteReader::open(&path).unwrap();
    assert_eq!(reader.identity().unwrap().as_ref(), Some(store.identity()));
    for seq in 1..=3 {
        let put = Op::PutOutbound(outbound(seq, &format!("m{seq}")));
        commit(
            &store,
            vec![put, Op::PutInbound(inbound("a@b", &seq.to_string()))],
        )
        .await;
        let all = OutboundQuery {
            filter: OutboundFilter::All,
            ..OutboundQuery::default()
        };
        let page = reader.outbound_page(&all).unwrap();
        assert_eq!(page, store.outbound_page(all).await.unwrap());
        assert_eq!(page.len() as u64, seq);
        assert_eq!(reader.counts().unwrap(), store.counts().await.unwrap());
    }
    let query = InboundQuery {
        filter: InboundFilter::All,
        ..InboundQuery::default()
    };
    let page = reader.inbound_page(&query).unwrap();
    assert_eq!(page, store.inbound_page(query).await.unwrap());
    assert_eq!(
        reader.outbound("m2").unwrap(),
        store.outbound("m2").await.unwrap()
    );
    drop(reader);
    Box::new(store).close().await.unwrap();
    let again = SqliteStore::open(&path, &opening()).unwrap();
    assert_eq!(again.identity().boot_count, boots + 1, "a look is no boot");
}

#[test]
fn a_look_waits_for_no_writer() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    drop(SqliteStore::open(&path, &opening()).unwrap());
    // Holds the write lock, as a commit that hangs on its disk.
    let writer = rusqlite::Connection::open(&path).unwrap();
    writer
        .execute_batch("BEGIN IMMEDIATE; DELETE FROM meta;")
        .unwrap();
    let reader = SqliteReader::open(&path).unwrap();
    assert!(
        reader
            .outbound_page(&OutboundQuery::default())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_look_makes_no_file_and_takes_no_other_for_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let none = folder.path().join("none.db");
    assert!(matches!(SqliteReader::open(&none), Err(StoreError::Io(_))));
    assert!(!none.exists());
    let text = folder.path().join("notes.txt");
    std::fs::write(&text, "Buy milk.\n".repeat(1000)).unwrap();
    let refused = SqliteReader::open(&text);
    assert!(
        matches!(refused, Err(StoreError::NotAStore { .. })),
        "{refused:?}"
    );
}

//! Laws about failing and crashing, shown on the in-memory store, whose
//! faults come on order.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first error"
)]

mod store;

use std::io;
use std::sync::Arc;

use stanchion_reliability::store::{
    Busy, Fault, Image, InboundKey, MemoryStore, Op, OpResult, QUEUE, Store, StoreError,
};
use store::{commit, handled, inbound, opening, outbound};

fn broken() -> StoreError {
    StoreError::Io(Arc::new(io::Error::other("the disk went away")))
}

fn open(image: Image) -> MemoryStore {
    MemoryStore::open(image, &opening()).unwrap()
}

fn put(seq: u64) -> Vec<Op> {
    vec![Op::PutOutbound(outbound(seq, &seq.to_string()))]
}

#[tokio::test]
async fn nothing_is_answered_before_it_is_durable() {
    let store = open(Image::default());
    let control = store.control();
    control.hold();
    let mut first = store.submit(put(1)).unwrap();
    let mut second = store.submit(put(2)).unwrap();
    assert!(first.try_take().is_none());

    assert_eq!(control.release(1), 1);
    assert!(matches!(first.try_take(), Some(Ok(_))));
    assert!(second.try_take().is_none());
    let backup = open(control.snapshot());
    assert_eq!(backup.counts().await.unwrap().accepted, 1);

    control.resume();
    second.await.unwrap();
}

#[tokio::test]
async fn a_crash_keeps_what_was_answered_and_loses_the_rest() {
    let store = open(Image::default());
    let control = store.control();
    store.submit(put(1)).unwrap().await.unwrap();
    control.hold();
    let waiting = store.submit(put(2)).unwrap();
    let image = control.crash();
    assert!(matches!(waiting.await, Err(StoreError::Closed)));
    let later = store.submit(put(3)).unwrap().await;
    assert!(matches!(later, Err(StoreError::Closed)));
    assert!(matches!(store.counts().await, Err(StoreError::Closed)));

    let store = open(image);
    let recovered = store.recover(10).await.unwrap();
    assert_eq!(recovered.identity.boot_count, 2);
    assert_eq!(recovered.outbound.len(), 1);
    assert_eq!(recovered.next_seq, 2);
}

#[tokio::test]
async fn a_failed_commit_closes_the_store_until_a_reopen() {
    let store = open(Image::default());
    let control = store.control();
    let fault = Fault {
        error: broken(),
        applied: false,
    };
    control.fail_commits(2, &fault);
    for _ in 0..2 {
        let failed = store.submit(put(1)).unwrap().await.unwrap_err();
        assert!(failed.needs_reopen());
        // The fault is used up, and still nothing is taken or told.
        let later = store.submit(put(2)).unwrap().await;
        assert!(matches!(later, Err(StoreError::Io(_))));
        assert!(matches!(store.counts().await, Err(StoreError::Io(_))));
        store.reopen().await.unwrap();
    }
    assert_eq!(store.counts().await.unwrap().accepted, 0);
    assert_eq!(commit(&store, put(1)).await, [OpResult::Done]);
    assert_eq!(control.commits(), 1);
}

#[tokio::test]
async fn an_error_does_not_prove_that_nothing_was_kept() {
    let store = open(Image::default());
    let fault = Fault {
        error: broken(),
        applied: true,
    };
    store.control().fail_commits(1, &fault);
    assert!(store.submit(put(1)).unwrap().await.is_err());
    store.reopen().await.unwrap();
    assert!(store.outbound("1").await.unwrap().is_some());
    // The id tells the engine that tries again.
    let again = commit(&store, put(1)).await;
    assert!(matches!(again[0], OpResult::OutboundExists { .. }));
}

#[tokio::test]
async fn a_reopen_that_fails_leaves_the_store_closed() {
    let store = open(Image::default());
    store.control().fail_reopens(1, &broken());
    assert!(store.reopen().await.is_err());
    assert!(store.submit(put(1)).unwrap().await.is_err());
    store.reopen().await.unwrap();
    assert_eq!(commit(&store, put(1)).await, [OpResult::Done]);
}

#[tokio::test]
async fn a_full_queue_gives_the_batch_back() {
    let store = open(Image::default());
    let control = store.control();
    control.hold();
    let first = store.counts();
    for seq in 1..QUEUE as u64 {
        drop(store.submit(put(seq)).unwrap());
    }
    let Busy(batch) = store.submit(put(QUEUE as u64)).unwrap_err();
    assert_eq!(batch, put(QUEUE as u64));
    assert!(matches!(store.counts().await, Err(StoreError::Busy)));
    assert!(matches!(store.reopen().await, Err(StoreError::Busy)));
    assert_eq!(control.queued(), QUEUE);
    control.resume();
    assert_eq!(first.await.unwrap().accepted, 0);
    assert_eq!(commit(&store, batch).await, [OpResult::Done]);
}

#[tokio::test]
async fn a_restored_backup_forgets_what_came_after_it() {
    let store = open(Image::default());
    let control = store.control();
    commit(&store, vec![Op::PutInbound(inbound("a@b", "x"))]).await;
    let backup = control.snapshot();
    commit(&store, vec![handled("a@b", "x", 2)]).await;

    let restored = open(backup);
    let waiting = restored.recover(10).await.unwrap().inbound;
    assert_eq!(waiting[0].key, InboundKey::new("a@b", "x"));
    assert_eq!(store.recover(10).await.unwrap().inbound, []);
}

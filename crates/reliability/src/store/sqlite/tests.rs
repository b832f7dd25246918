//! Laws of the SQLite store that need a hand on its writer: group commit, the
//! full queue, the full disk. What both stores share is in `tests/`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first error")]

use std::sync::mpsc as std_mpsc;

use tempfile::TempDir;

use super::super::op::OpResult;
use super::super::record::{Check, Seed, StoreId};
use super::*;

fn opening() -> Opening {
    let mut opening = Opening::new(
        Seed {
            store_id: StoreId([7; 16]),
            boot_token: 1,
        },
        WallTime::from_unix_ms(1_000),
    );
    opening.check = Check::Always;
    opening
}

fn open() -> (TempDir, SqliteStore) {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path().join("s.db"), &opening()).unwrap();
    (folder, store)
}

fn put(key: &str, bytes: usize) -> Vec<Op> {
    vec![Op::PutMeta {
        key: key.into(),
        value: vec![b'x'; bytes].into(),
    }]
}

/// Holds the writer until the sender is dropped.
fn stall(store: &SqliteStore) -> (std_mpsc::Sender<()>, Pending<()>) {
    let (release, held) = std_mpsc::channel::<()>();
    let (entered, inside) = std_mpsc::channel();
    let stalled = store.read(move |_| {
        let _ = entered.send(());
        let _ = held.recv();
        Ok(())
    });
    inside.recv().unwrap();
    (release, stalled)
}

#[tokio::test]
async fn every_commit_is_flushed_to_a_write_ahead_log() {
    let (_folder, store) = open();
    let settings = store
        .read(|connection| {
            Ok((
                connection
                    .pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0))?,
                connection.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0))?,
            ))
        })
        .await
        .unwrap();
    const FULL: i64 = 2;
    assert_eq!(settings, ("wal".to_owned(), FULL));
}

#[tokio::test]
async fn batches_that_wait_together_share_one_transaction() {
    let (_folder, store) = open();
    // The log's length tells: a transaction writes each changed page once.
    let frames = |store: &SqliteStore| {
        let wal = store.path().with_extension("db-wal");
        std::fs::metadata(wal).unwrap().len()
    };
    store.submit(put("k", 1)).unwrap().await.unwrap();
    let start = frames(&store);
    store.submit(put("k", 1)).unwrap().await.unwrap();
    let alone = frames(&store) - start;

    let start = frames(&store);
    let (release, _stalled) = stall(&store);
    let tickets: Vec<_> = (0..100)
        .map(|_| store.submit(put("k", 1)).unwrap())
        .collect();
    drop(release);
    for ticket in tickets {
        ticket.await.unwrap();
    }
    assert_eq!(frames(&store) - start, alone);
}

#[tokio::test]
async fn a_full_queue_gives_the_batch_back() {
    let (_folder, store) = open();
    let (release, _stalled) = stall(&store);
    let tickets: Vec<_> = (0..QUEUE)
        .map(|_| store.submit(put("k", 1)).unwrap())
        .collect();

    let Busy(batch) = store.submit(put("late", 1)).unwrap_err();
    assert_eq!(batch, put("late", 1));
    assert!(matches!(store.counts().await, Err(StoreError::Busy)));

    drop(release);
    for ticket in tickets {
        ticket.await.unwrap();
    }
    store.submit(batch).unwrap().await.unwrap();
    assert!(store.meta("late").await.unwrap().is_some());
}

#[tokio::test]
async fn a_full_disk_fails_closed_until_a_reopen_and_loses_nothing_acknowledged() {
    let (_folder, store) = open();
    store.submit(put("kept", 100)).unwrap().await.unwrap();
    store
        .read(|connection| {
            let pages: i64 = connection.pragma_query_value(None, "page_count", |r| r.get(0))?;
            connection.pragma_update_and_check(None, "max_page_count", pages + 1, |_| Ok(()))
        })
        .await
        .unwrap();

    let (release, _stalled) = stall(&store);
    let large = store.submit(put("large", 100_000)).unwrap();
    let same_group = store.submit(put("same group", 1)).unwrap();
    drop(release);
    assert!(matches!(large.await, Err(StoreError::Full(_))));
    assert!(matches!(same_group.await, Err(StoreError::Full(_))));
    // There would be room for this one, but what it builds on is lost.
    let later = store.submit(put("later", 1)).unwrap().await;
    assert!(matches!(later, Err(StoreError::Full(_))));
    assert!(matches!(store.meta("kept").await, Err(StoreError::Full(_))));

    // A new connection has no such limit.
    store.reopen().await.unwrap();
    assert_eq!(store.meta("kept").await.unwrap().unwrap().len(), 100);
    for lost in ["large", "same group", "later"] {
        assert_eq!(store.meta(lost).await.unwrap(), None, "{lost}");
    }
    let after = store.submit(put("large", 100_000)).unwrap().await.unwrap();
    assert_eq!(after.results, [OpResult::Done]);
}

#[tokio::test]
async fn damage_met_by_a_read_fails_the_store_closed() {
    let (_folder, store) = open();
    store
        .read(|connection| {
            connection.execute(
                "INSERT INTO inbound (from_bare, id, from_full, received_at, changed_at, state,
                 handed_count) VALUES ('a', 'b', 'a', 0, 0, 1, -5)",
                [],
            )
        })
        .await
        .unwrap();
    let read = store.inbound(&InboundKey::new("a", "b")).await;
    assert!(matches!(read, Err(StoreError::Corrupt(_))));
    let write = store.submit(put("k", 1)).unwrap().await;
    assert!(matches!(write, Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn a_reopen_that_finds_another_store_stays_failed() {
    let (folder, store) = open();
    let other = folder.path().join("other.db");
    drop(
        SqliteStore::open(
            &other,
            &Opening {
                seed: Seed {
                    store_id: StoreId([8; 16]),
                    boot_token: 2,
                },
                ..opening()
            },
        )
        .unwrap(),
    );
    // A log left beside the new file would be read as part of it.
    store
        .read(|connection| connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())))
        .await
        .unwrap();
    std::fs::rename(&other, store.path()).unwrap();
    assert!(matches!(store.reopen().await, Err(StoreError::Corrupt(_))));
    let write = store.submit(put("k", 1)).unwrap().await;
    assert!(matches!(write, Err(StoreError::Corrupt(_))));
}

#[tokio::test]
async fn a_file_of_version_1_is_migrated_with_its_messages_intact() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    // As the release of that version wrote it.
    let old = Connection::open(&path).unwrap();
    old.execute_batch(schema::MIGRATIONS[0]).unwrap();
    old.pragma_update(None, "application_id", schema::APPLICATION_ID)
        .unwrap();
    old.pragma_update(None, "user_version", 1).unwrap();
    old.execute_batch(
        "INSERT INTO identity VALUES (1, x'07070707070707070707070707070707', 'lamp', 3, 9, 5);
         INSERT INTO outbound VALUES
             (4, 'm4', 'a@b.example', '', x'3c6d2f3e', 10, NULL, 0, 0, NULL, 0, 10, 3),
             (5, 'm5', 'a@b.example', '', x'3c6d2f3e', 11, 99, 0, 12, 'expired', 1, 12, 3);
         INSERT INTO inbound VALUES
             (2, 'c@b.example', 'i2', 'c@b.example/x', x'3c6d2f3e', 7, 8, 1, 1);
         INSERT INTO meta VALUES ('k', x'01');",
    )
    .unwrap();
    old.close().unwrap();

    let mut opening = opening();
    opening.device = Some("lamp".into());
    let store = SqliteStore::open(&path, &opening).unwrap();
    let version = store
        .read(|c| c.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)))
        .await
        .unwrap();
    assert_eq!((version, store.identity().boot_count), (schema::VERSION, 4));
    let recovered = store.recover(10).await.unwrap();
    assert_eq!(recovered.next_seq, 6);
    assert_eq!(recovered.outbound.len(), 1);
    assert_eq!(recovered.outbound[0].id, "m4");
    assert_eq!(&recovered.outbound[0].stanza[..], b"<m/>");
    assert_eq!(recovered.inbound.len(), 1);
    assert_eq!(recovered.counts.finished, 1);
    assert_eq!(&store.meta("k").await.unwrap().unwrap()[..], [1]);
    drop(store);

    drop(SqliteStore::open(&path, &opening).unwrap());
    let migrated = Connection::open(&path).unwrap();
    let servers: i64 = migrated
        .query_row("SELECT count(*) FROM servers", [], |row| row.get(0))
        .unwrap();
    assert_eq!(servers, 0);
}

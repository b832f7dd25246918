//! Laws of the SQLite store that need a hand on its writer: group commit, the
//! full queue, the full disk. What both stores share is in `tests/`.

#![allow(clippy::unwrap_used, reason = "a test stops at the first error")]

use std::sync::mpsc as std_mpsc;

use tempfile::TempDir;

use super::super::op::OpResult;
use super::super::record::{Check, InboundState, NewInbound, OutboundState, Seed, StoreId};
use super::file::CHECKPOINT;
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

/// A file of that version, with a view of an application's that leads nowhere.
fn file_of_version(path: &Path, version: usize, rows: &str) {
    let old = Connection::open(path).unwrap();
    for step in &schema::MIGRATIONS[..version] {
        old.execute_batch(step).unwrap();
    }
    old.pragma_update(None, "application_id", schema::APPLICATION_ID)
        .unwrap();
    old.pragma_update(None, "user_version", version as u32)
        .unwrap();
    old.execute_batch(
        "INSERT INTO identity VALUES (1, x'07070707070707070707070707070707', 'lamp', 3, 9, 5);
         CREATE VIEW app_lost AS SELECT * FROM app_gone;",
    )
    .unwrap();
    old.execute_batch(rows).unwrap();
    old.close().unwrap();
}

#[tokio::test]
async fn a_file_of_version_4_is_migrated_with_its_messages_and_its_highest_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    file_of_version(
        &path,
        4,
        "INSERT INTO outbound VALUES
             (4, '01890a5d-ac96-774b-bcce-b302099a8057', 'a@b.example', 'c', x'3c6d2f3e', 10, 77, 1, 0, NULL, 2, 11, 3, 6, -5),
             (5, 'm5', 'a@b.example', 'c', x'3c6d2f3e', 11, 99, 0, 12, 'expired', 1, 12, 3, 7, 9),
             (8, 'm8', 'a@b.example', '', x'3c6d2f3e', 12, NULL, 0, 12, 'expired', 1, 13, 3, 0, NULL);
         DELETE FROM outbound WHERE seq = 8;
         INSERT INTO inbound VALUES
             (2, 'c@b.example', 'i2', 'c@b.example/x', x'3c6d2f3e', 7, 8, 1, 4),
             (3, 'c@b.example', 'i3', 'c@b.example/x', NULL, 7, 9, 2, 1),
             (9, 'c@b.example', 'i9', 'c@b.example/x', NULL, 7, 9, 2, 1);
         DELETE FROM inbound WHERE arrival = 9;",
    );

    let mut opening = opening();
    opening.device = Some("lamp".into());
    let store = SqliteStore::open(&path, &opening).unwrap();
    let version = store
        .read(|c| c.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0)))
        .await
        .unwrap();
    assert_eq!((version, store.identity().boot_count), (schema::VERSION, 4));
    let recovered = store.recover(10).await.unwrap();
    assert_eq!(recovered.next_seq, 9);
    let m4 = OutboundRecord {
        seq: 4,
        id: "01890a5d-ac96-774b-bcce-b302099a8057".into(),
        to: "a@b.example".into(),
        channel: "c".into(),
        stanza: b"<m/>".to_vec().into(),
        accepted_at: WallTime::from_unix_ms(10),
        deadline: Some(WallTime::from_unix_ms(77)),
        protection: 1,
        state: OutboundState::Accepted,
        attempts: 2,
        updated_at: WallTime::from_unix_ms(11),
        boot: 3,
        place: 6,
        prev: Some((-5_i64).cast_unsigned()),
    };
    assert_eq!(store.outbound(&m4.id).await.unwrap().as_ref(), Some(&m4));
    assert_eq!(recovered.outbound, std::slice::from_ref(&m4));
    let lane = OutboundQuery {
        to: Some("a@b.example".into()),
        channel: Some("c".into()),
        ..OutboundQuery::default()
    };
    assert_eq!(store.outbound_page(lane).await.unwrap(), [m4]);
    let m5 = store.outbound("m5").await.unwrap().unwrap();
    assert_eq!((m5.seq, m5.place, m5.prev), (5, 7, Some(9)));
    assert_eq!(store.outbound("m8").await.unwrap(), None);
    assert_eq!(recovered.inbound.len(), 1);
    let i2 = &recovered.inbound[0];
    assert_eq!(
        (i2.arrival, i2.state),
        (2, InboundState::Handed { times: 4 })
    );
    assert_eq!(recovered.counts.handled, 1);

    // Neither what is gone nor what is there lends its number.
    let new = NewInbound {
        key: InboundKey::new("c@b.example", "i10"),
        from_full: "c@b.example/x".into(),
        stanza: b"<m/>".to_vec().into(),
        received_at: WallTime::from_unix_ms(20),
        handed: false,
    };
    let batch = vec![Op::PutInbound(new)];
    let committed = store.submit(batch).unwrap().await.unwrap();
    assert_eq!(committed.results, [OpResult::Kept { arrival: 10 }]);
    drop(store);
    SqliteReader::open(&path).unwrap().counts().unwrap();
    file::quick_check(&Connection::open(&path).unwrap()).unwrap();
}

#[test]
fn a_look_does_not_take_the_file_from_a_live_owner_of_an_older_release() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    file_of_version(&path, 5, "");
    let version = || {
        let file = Connection::open(&path).unwrap();
        file.pragma_query_value(None, "user_version", |row| row.get::<_, u32>(0))
            .unwrap()
    };
    let owner = OwnerLock::take(&path).unwrap();
    let look = SqliteReader::open(&path);
    assert!(matches!(look, Err(StoreError::InUse { .. })));
    assert_eq!(version(), 5);
    drop(owner);
    let look = SqliteReader::open(&path).unwrap();
    assert_eq!(version(), schema::VERSION);
    // It keeps nobody out.
    drop(OwnerLock::take(&path).unwrap());
    drop(look);
}

#[tokio::test]
async fn a_new_and_a_migrated_file_have_the_same_tables() {
    let folder = tempfile::tempdir().unwrap();
    let schema_of = |path: &Path| {
        let file = Connection::open(path).unwrap();
        let mut objects = file
            .prepare(
                "SELECT type, name, sql FROM sqlite_schema WHERE name <> 'app_lost' ORDER BY name",
            )
            .unwrap();
        let rows = objects.query_map([], |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                row.get::<_, Option<String>>(2)?,
            ))
        });
        rows.unwrap().map(Result::unwrap).collect::<Vec<_>>()
    };
    let (new, old) = (folder.path().join("new.db"), folder.path().join("old.db"));
    drop(SqliteStore::open(&new, &opening()).unwrap());
    file_of_version(&old, 4, "");
    let mut opening = opening();
    opening.device = Some("lamp".into());
    drop(SqliteStore::open(&old, &opening).unwrap());
    assert_eq!(schema_of(&old), schema_of(&new));
}

/// Puts so many kilobytes, each in a commit of its own that nobody waits for.
async fn fill(store: &SqliteStore, kilobytes: usize) {
    let mut tickets = std::collections::VecDeque::new();
    for n in 0..kilobytes / 64 {
        tickets.push_back(store.submit(put(&format!("k{n}"), 64 * 1024)).unwrap());
        if tickets.len() > 16 {
            tickets.pop_front().unwrap().await.unwrap();
        }
    }
    for ticket in tickets {
        ticket.await.unwrap();
    }
}

#[tokio::test]
async fn the_log_of_a_busy_store_begins_anew() {
    let (_folder, store) = open();
    let log = store.path().with_extension("db-wal");
    let page = 4096 + 24;
    for _ in 0..8 {
        fill(&store, 16 * 1024).await;
    }
    let size = std::fs::metadata(log).unwrap().len();
    // 128 MiB went through it.
    assert!(size < 5 * CHECKPOINT as u64 * page, "{size}");
}

#[tokio::test]
async fn the_log_of_small_commits_stays_short() {
    let (_folder, store) = open();
    let log = store.path().with_extension("db-wal");
    let page = 4096 + 24;
    for n in 0..1100 {
        let batch = put(&format!("k{n}"), 4 * 1024);
        store.submit(batch).unwrap().await.unwrap();
    }
    let size = std::fs::metadata(log).unwrap().len();
    // More went through it than it has after a few large ones.
    assert!(size < CHECKPOINT as u64 * page, "{size}");
}

#[tokio::test]
async fn the_log_begins_anew_once_nobody_reads_it_any_more() {
    let (_folder, store) = open();
    fill(&store, 1024).await;
    let reader = Connection::open(store.path()).unwrap();
    let look = reader.unchecked_transaction().unwrap();
    let count = |look: &Connection| {
        look.query_row("SELECT count(*) FROM meta", [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(count(&look), 16);
    fill(&store, 40 * 1024).await;
    assert_eq!(count(&look), 16);
    drop(look);
    fill(&store, 96 * 1024).await;
    let log = store.path().with_extension("db-wal");
    let size = std::fs::metadata(log).unwrap().len();
    assert!(size < 80 << 20, "{size}");
}

#[tokio::test]
async fn a_store_closes_and_opens_anew_while_its_log_goes_into_the_file() {
    let (folder, mut store) = open();
    for round in 0..6_u32 {
        fill(&store, 17 * 1024).await;
        store.reopen().await.unwrap();
        fill(&store, 17 * 1024).await;
        Box::new(store).close().await.unwrap();
        assert!(!folder.path().join("s.db-wal").exists(), "{round}");
        store = SqliteStore::open(folder.path().join("s.db"), &opening()).unwrap();
    }
    let kept = store.meta("k100").await.unwrap().unwrap();
    assert_eq!(kept.len(), 64 * 1024);
}

#[tokio::test]
async fn a_commit_of_one_message_writes_few_pages() {
    let (_folder, store) = open();
    let frames = |store: &SqliteStore| {
        let wal = store.path().with_extension("db-wal");
        std::fs::metadata(wal).unwrap().len() / (4096 + 24)
    };
    let put = |seq: u64| {
        vec![Op::PutOutbound(OutboundRecord {
            seq,
            id: format!("m{seq:05}"),
            to: "a@b.example".into(),
            channel: "c".into(),
            stanza: vec![b'x'; 300].into(),
            accepted_at: WallTime::from_unix_ms(10),
            deadline: None,
            protection: 1,
            state: OutboundState::Accepted,
            attempts: 0,
            updated_at: WallTime::from_unix_ms(10),
            boot: 3,
            place: seq,
            prev: None,
        })]
    };
    for seq in 1..=100 {
        store.submit(put(seq)).unwrap().await.unwrap();
    }
    let start = frames(&store);
    for seq in 101..=200 {
        store.submit(put(seq)).unwrap().await.unwrap();
    }
    // The row and two indexes; now and then a page that is new, and those above it.
    let pages = frames(&store) - start;
    assert!(pages < 400, "{pages} pages");
}

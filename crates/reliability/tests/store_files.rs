//! Laws about the SQLite store's files: who may open them, what is refused,
//! and what a refusal leaves untouched.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first error"
)]

mod store;

use std::fs;
use std::path::Path;

use rusqlite::Connection;
use stanchion_reliability::store::{Check, Op, OpResult, SqliteStore, Store, StoreError};
use store::{at, commit, opening, outbound};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn open(path: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(path, &opening())
}

#[tokio::test]
async fn a_store_has_one_live_owner() {
    let folder = folder();
    let path = folder.path().join("s.db");
    let store = open(&path).unwrap();
    assert!(matches!(open(&path), Err(StoreError::InUse { .. })));
    // The refused opening counted no boot, and the owner is unharmed.
    let put = Op::PutOutbound(outbound(1, "m"));
    assert_eq!(commit(&store, vec![put]).await, [OpResult::Done]);
    Box::new(store).close().await.unwrap();
    assert_eq!(open(&path).unwrap().identity().boot_count, 2);
}

#[cfg(unix)]
#[test]
fn a_link_is_the_store_it_leads_to() {
    let folder = folder();
    let path = folder.path().join("s.db");
    let link = folder.path().join("link.db");
    let _store = open(&path).unwrap();
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(open(&link), Err(StoreError::InUse { .. })));
}

#[cfg(unix)]
#[tokio::test]
async fn every_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = folder();
    let store = open(&folder.path().join("s.db")).unwrap();
    commit(&store, vec![Op::PutOutbound(outbound(1, "m"))]).await;
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{:?}", entry.file_name());
        names.push(entry.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(names, ["s.db", "s.db-shm", "s.db-wal", "s.db.lock"]);
}

#[test]
fn a_store_of_a_newer_release_is_refused_and_left_alone() {
    let folder = folder();
    let path = folder.path().join("s.db");
    drop(open(&path).unwrap());
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    newer.close().unwrap();
    let before = fs::read(&path).unwrap();
    let refused = open(&path).unwrap_err();
    assert!(
        matches!(
            refused,
            StoreError::FutureVersion {
                found: 99,
                supported: 1..99
            }
        ),
        "{refused:?}"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let folder = folder();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "Buy milk.\n".repeat(1000)).unwrap();
    let alien = folder.path().join("alien.db");
    Connection::open(&alien)
        .unwrap()
        .execute_batch("CREATE TABLE outbound (seq INTEGER)")
        .unwrap();
    for path in [text, alien] {
        let before = fs::read(&path).unwrap();
        let refused = open(&path).unwrap_err();
        assert!(
            matches!(refused, StoreError::NotAStore { .. }),
            "{refused:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), before);
    }
}

#[tokio::test]
async fn damage_is_found_before_anything_is_recovered() {
    let folder = folder();
    let path = folder.path().join("s.db");
    let store = open(&path).unwrap();
    let batch = (1..=100)
        .map(|seq| Op::PutOutbound(outbound(seq, &format!("message-{seq}"))))
        .collect();
    commit(&store, batch).await;
    drop(store);

    let mut bytes = fs::read(&path).unwrap();
    let page = bytes.len() / 2 / 4096 * 4096;
    bytes[page..page + 4096].fill(0xa5);
    fs::write(&path, &bytes).unwrap();
    let refused = open(&path).unwrap_err();
    assert!(matches!(refused, StoreError::Corrupt(_)), "{refused:?}");
}

#[test]
fn an_opening_that_was_cut_short_is_finished_by_the_next() {
    let folder = folder();
    let path = folder.path().join("s.db");
    // Killed after the file was made, before a table was in it.
    fs::write(&path, "").unwrap();
    assert_eq!(open(&path).unwrap().identity().boot_count, 1);
}

#[test]
fn a_missing_folder_is_an_error_of_the_file_system() {
    let folder = folder();
    let refused = open(&folder.path().join("no/s.db")).unwrap_err();
    let StoreError::Io(cause) = refused else {
        panic!("{refused:?}");
    };
    assert_eq!(cause.kind(), std::io::ErrorKind::NotFound);
}

#[tokio::test]
async fn another_program_may_read_a_live_store() {
    let folder = folder();
    let path = folder.path().join("s.db");
    let store = open(&path).unwrap();
    commit(&store, vec![Op::PutOutbound(outbound(1, "m"))]).await;
    let reader = Connection::open(&path).unwrap();
    let count = || -> i64 {
        reader
            .query_row("SELECT count(*) FROM outbound", [], |row| row.get(0))
            .unwrap()
    };
    assert_eq!(count(), 1);
    commit(&store, vec![Op::PutOutbound(outbound(2, "n"))]).await;
    assert_eq!(count(), 2);
}

#[test]
fn a_store_opens_without_a_check_when_told_so() {
    let folder = folder();
    let path = folder.path().join("s.db");
    let mut unchecked = opening();
    unchecked.check = Check::Never;
    unchecked.at = at(-5);
    let store = SqliteStore::open(&path, &unchecked).unwrap();
    assert_eq!(store.identity().created_at, at(-5));
}

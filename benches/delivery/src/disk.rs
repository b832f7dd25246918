//! What a durable message costs without this project: the bytes appended to a file and
//! flushed, and a row of a bare SQLite table.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::{Connection, TransactionBehavior, params};

use crate::figure::told;

/// Messages a second: `batch` of them of `bytes` each are appended, then flushed, over and
/// over.
pub fn append(path: &Path, bytes: usize, batch: usize, time: Duration) -> Result<f64, String> {
    let mut options = OpenOptions::new();
    let mut file = options
        .create_new(true)
        .append(true)
        .open(path)
        .map_err(|e| told(&e))?;
    let all = vec![b'x'; bytes * batch];
    let (start, mut written) = (Instant::now(), 0);
    while start.elapsed() < time {
        file.write_all(&all)
            .and_then(|()| file.sync_data())
            .map_err(|e| told(&e))?;
        written += batch;
    }
    Ok(written as f64 / start.elapsed().as_secs_f64())
}

/// Messages a second: `batch` rows of `bytes` each in one transaction, over and over. One
/// table, the write-ahead log, a flush for each commit, statements that are kept.
pub fn sqlite(path: &Path, bytes: usize, batch: usize, time: Duration) -> Result<f64, String> {
    let told = |e: rusqlite::Error| told(&e);
    let mut connection = Connection::open(path).map_err(told)?;
    connection
        .pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))
        .map_err(told)?;
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(told)?;
    connection
        .execute_batch("CREATE TABLE kept (seq INTEGER PRIMARY KEY, message BLOB NOT NULL) STRICT")
        .map_err(told)?;
    let message = vec![b'x'; bytes];
    let (start, mut written) = (Instant::now(), 0);
    while start.elapsed() < time {
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(told)?;
        for _ in 0..batch {
            written += 1;
            transaction
                .prepare_cached("INSERT INTO kept (seq, message) VALUES (?1, ?2)")
                .and_then(|mut insert| insert.execute(params![written, message]))
                .map_err(told)?;
        }
        transaction.commit().map_err(told)?;
    }
    Ok(written as f64 / start.elapsed().as_secs_f64())
}

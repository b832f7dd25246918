//! When pages go from the log to the file itself. Done by the writer, as SQLite does unless
//! it is told otherwise, this is a sixth of a busy writer's time, and all who wait for a
//! commit wait for it. So another thread copies them, and the writer what was appended
//! meanwhile; whoever is the last flushes the file. Unless somebody reads the log just then,
//! it begins anew with the next commit.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::JoinHandle;

use rusqlite::{Connection, ErrorCode, MAIN_DB, OpenFlags, wal::CheckpointMode};

use super::file::{CHECKPOINT, flush_fully};

/// Pages of the log, 4 MiB, that go to the file once they are of [`COMMITS`] or more. A flush
/// takes longer while the log grows on the disk than when it is written over, so it is best kept
/// short; but to begin it anew costs flushes, too, which few commits would not pay for.
const SHORT: i32 = CHECKPOINT / 4;
const COMMITS: u32 = 256;
/// While the log grows by so many times what it was, the other thread may work on it, or by so
/// many times [`CHECKPOINT`]: then the writer waits, as a disk can be slower than those who write
/// to it.
const MOST: i32 = 2;
/// Where somebody read the log, the next try comes after so many more pages, or [`COMMITS`].
const SOON: i32 = CHECKPOINT / 8;
/// A log of so many pages is told to people, once.
const HUGE: i32 = 32 * CHECKPOINT;
/// Times that the other thread goes over the log: each time less was appended meanwhile.
const PASSES: usize = 3;

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// What becomes of the log of one store.
pub(super) struct Checkpoints {
    path: PathBuf,
    /// How many pages the log has since a commit that was not seen yet; 0 if there is none.
    pages: Arc<AtomicI32>,
    /// The next checkpoint begins when the log has [`CHECKPOINT`] pages more than this, or
    /// [`SHORT`]. If it has fewer than this, it has begun anew.
    before: i32,
    /// Commits since the last one ended.
    commits: u32,
    /// Pages more than `before` that there were when the other thread began.
    began_at: i32,
    /// All of it is in the file, so it begins anew with the next commit.
    is_copied: bool,
    /// People were told how large it is.
    is_told: bool,
    other: Other,
}

/// The other connection to the file.
enum Other {
    Absent,
    Idle(Connection),
    Works(JoinHandle<Connection>),
}

impl Checkpoints {
    pub(super) fn of(path: PathBuf) -> Self {
        Self {
            path,
            pages: Arc::default(),
            before: 0,
            commits: 0,
            began_at: 0,
            is_copied: false,
            is_told: false,
            other: Other::Absent,
        }
    }

    /// Watches what that connection commits. SQLite's own checkpoints end. The other
    /// connection is opened now, while it is sure whose file it is.
    pub(super) fn watch(&mut self, connection: &mut Connection) -> Result<()> {
        let pages = Arc::clone(&self.pages);
        connection.wal_hook(Some(move |_: &mut _, there| {
            pages.store(there, Ordering::Relaxed);
            Ok(())
        }))?;
        self.other = Other::Idle(beside(&self.path)?);
        Ok(())
    }

    /// To be called after a commit. What goes wrong with a checkpoint loses nothing: the log
    /// stays as it is, and the next one begins where this one began.
    pub(super) fn after_commit(&mut self, connection: &Connection) {
        let pages = self.pages.swap(0, Ordering::Relaxed);
        if pages == 0 {
            // It wrote nothing.
            return;
        }
        if pages < self.before {
            (self.before, self.is_told) = (0, false);
        } else if self.is_copied {
            // Somebody reads it.
            self.before = pages - (CHECKPOINT - SOON);
        }
        self.is_copied = false;
        if pages >= HUGE && !self.is_told {
            self.is_told = true;
            tracing::warn!(
                pages,
                "the log of the store grows, as somebody reads the store all the time"
            );
        }
        let appended = pages.saturating_sub(self.before);
        self.commits = self.commits.saturating_add(1);
        let is_due = appended >= CHECKPOINT || appended >= SHORT && self.commits >= COMMITS;
        match std::mem::replace(&mut self.other, Other::Absent) {
            Other::Works(thread) if thread.is_finished() || self.has_grown(appended) => {
                self.other = joined(thread);
                if appended < self.began_at {
                    // All of it was copied, and it has begun anew.
                    (self.before, self.commits, self.is_told) = (0, 0, false);
                } else {
                    self.finish(connection, pages);
                }
            }
            Other::Idle(other) if is_due => {
                self.began_at = appended;
                self.begin(other);
            }
            Other::Absent if is_due => self.finish(connection, pages),
            as_it_is => self.other = as_it_is,
        }
    }

    /// Whether the writer waits for the other thread.
    fn has_grown(&self, appended: i32) -> bool {
        let was = self.began_at.min(CHECKPOINT);
        appended.saturating_sub(self.began_at) >= MOST * was
    }

    fn begin(&mut self, other: Connection) {
        let thread = std::thread::Builder::new().name("stanchion-log".into());
        let works = thread.spawn(move || {
            let _ = (0..PASSES).find(|_| checkpoint(&other));
            other
        });
        // Without a thread the connection is gone, too, and the writer does it alone.
        self.other = works.map_or(Other::Absent, Other::Works);
    }

    /// The writer's part.
    fn finish(&mut self, connection: &Connection, pages: i32) {
        self.is_copied = checkpoint(connection);
        self.commits = 0;
        self.before = match self.is_copied {
            true => pages,
            false => pages - (CHECKPOINT - SOON),
        };
    }

    /// Returns once nothing of this uses the file.
    pub(super) fn stop(&mut self) {
        if let Other::Works(thread) = std::mem::replace(&mut self.other, Other::Absent) {
            drop(joined(thread));
        }
        self.pages.store(0, Ordering::Relaxed);
        (self.before, self.commits, self.is_copied) = (0, 0, false);
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop();
    }
}

fn joined(thread: JoinHandle<Connection>) -> Other {
    thread.join().map_or_else(
        |_| {
            tracing::error!("the thread of the log panicked");
            Other::Absent
        },
        Other::Idle,
    )
}

fn beside(path: &Path) -> Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    flush_fully(&connection)?;
    Ok(connection)
}

/// As much as can be done while others read and write. Gives whether that is all.
fn checkpoint(connection: &Connection) -> bool {
    match connection.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::PASSIVE) {
        Ok((log, done)) => done == log,
        // Another program does it just now.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => false,
        Err(error) => {
            tracing::warn!(%error, "the log could not be brought into the file; it is kept");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_log_that_began_anew_while_it_was_copied_is_no_reason_to_hurry() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.db");
        let mut connection = Connection::open(&path).unwrap();
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
                 CREATE TABLE kept (value BLOB NOT NULL) STRICT",
            )
            .unwrap();
        let mut checkpoints = Checkpoints::of(path);
        checkpoints.watch(&mut connection).unwrap();
        let mut begun = 0;
        for _ in 0..3 * COMMITS {
            // Pages enough for a short log of so many commits, and too few for a long one.
            connection
                .execute("INSERT INTO kept VALUES (zeroblob(16000))", [])
                .unwrap();
            let was_idle = matches!(checkpoints.other, Other::Idle(_));
            checkpoints.after_commit(&connection);
            if let (true, Other::Works(thread)) = (was_idle, &checkpoints.other) {
                begun += 1;
                while !thread.is_finished() {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
        }
        assert_eq!(begun, 2);
    }
}

//! When pages go from the log to the file itself. Done by the writer, as SQLite does unless
//! it is told otherwise, this is a sixth of a busy writer's time, and all who wait for a
//! commit wait for it. So another thread does it, and the writer the little that was appended
//! meanwhile: with that the log begins anew.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread::JoinHandle;

use rusqlite::{Connection, MAIN_DB, OpenFlags, wal::CheckpointMode};

use super::file::{CHECKPOINT, flush_fully};

/// While the log grows by so many pages the other thread may work on it: then the writer waits,
/// as a disk can be slower than those who write.
const MOST: i32 = 4 * CHECKPOINT;

type Result<T> = std::result::Result<T, rusqlite::Error>;

/// What becomes of the log of one store.
pub(super) struct Checkpoints {
    path: PathBuf,
    /// How many pages the log had after the last commit.
    pages: Arc<AtomicI32>,
    /// How many it had when the last checkpoint was over; fewer since, it began anew.
    before: i32,
    running: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn of(path: PathBuf) -> Self {
        Self {
            path,
            pages: Arc::default(),
            before: 0,
            running: None,
        }
    }

    /// Watches what that connection commits. SQLite's own checkpoints end.
    pub(super) fn watch(&mut self, connection: &mut Connection) -> Result<()> {
        let pages = Arc::clone(&self.pages);
        connection.wal_hook(Some(move |_: &mut _, there| {
            pages.store(there, Ordering::Relaxed);
            Ok(())
        }))
    }

    /// To be called after a commit. What goes wrong with a checkpoint loses nothing: the log
    /// stays as it is, and the next one begins where this one began.
    pub(super) fn after_commit(&mut self, connection: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        let waits = pages.saturating_sub(self.before) >= MOST;
        let is_over = |thread: &mut JoinHandle<()>| waits || thread.is_finished();
        if let Some(thread) = self.running.take_if(is_over) {
            joined(thread);
            told(checkpoint(connection));
            self.before = pages;
        }
        self.before = if pages < self.before { 0 } else { self.before };
        if self.running.is_none() && pages - self.before >= CHECKPOINT {
            let path = self.path.clone();
            let thread = std::thread::Builder::new().name("stanchion-log".into());
            match thread.spawn(move || told(beside(&path))) {
                Ok(thread) => self.running = Some(thread),
                Err(_) => {
                    told(checkpoint(connection));
                    self.before = pages;
                }
            }
        }
    }

    /// Returns once nothing of this uses the file.
    pub(super) fn stop(&mut self) {
        if let Some(thread) = self.running.take() {
            joined(thread);
        }
        self.before = 0;
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.stop();
    }
}

fn joined(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        tracing::error!("the thread of the log panicked");
    }
}

fn told(done: Result<()>) {
    if let Err(error) = done {
        tracing::warn!(%error, "the log could not be brought into the file; it is kept");
    }
}

/// By a connection of its own, beside the writer's.
fn beside(path: &Path) -> Result<()> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    flush_fully(&connection)?;
    checkpoint(&connection)
}

/// As much as can be done while others read and write.
fn checkpoint(connection: &Connection) -> Result<()> {
    let (log, done) = connection.wal_checkpoint_v2(Some(MAIN_DB), CheckpointMode::PASSIVE)?;
    tracing::trace!(log, done, "checkpoint");
    Ok(())
}

//! Opening the file: its permissions, its settings, and what is verified
//! before anything in it is changed. The tables are in `sqlite::schema`.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use super::super::error::StoreError;
use super::super::lock::private;
use super::super::record::Check;
use super::fault::{damage, sqlite_fault};
use super::schema::{APPLICATION_ID, VERSION, migrate};

/// How long another program may hold the file's own lock, as a backup does.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait before asking again where SQLite does not wait itself.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// A write-ahead log that a burst made larger is cut back to this.
const JOURNAL_LIMIT: i64 = 32 * 1024 * 1024;
/// Pages of the log, 16 MiB, after which they go to the file itself, if not earlier. A page
/// that changes again and again meanwhile goes there once.
pub(super) const CHECKPOINT: i32 = 4096;

/// Makes the file, if it is not there, for its owner only, and gives the name
/// under which all of its users agree.
pub(crate) fn make(path: &Path) -> Result<PathBuf, StoreError> {
    let mut options = OpenOptions::new();
    options.create_new(true).write(true);
    private(&mut options);
    match options.open(path) {
        Ok(file) => {
            file.sync_all().map_err(StoreError::io)?;
            sync_folder(path)?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(StoreError::io(error)),
    }
    path.canonicalize().map_err(StoreError::io)
}

/// Makes the file's name durable, where the system needs that said.
fn sync_folder(path: &Path) -> Result<(), StoreError> {
    if cfg!(unix) {
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(StoreError::io)?;
    }
    Ok(())
}

/// Connects to an existing file. A file that is no store, or a newer one, is
/// left as it is.
pub(crate) fn connect(path: &Path, check: Check) -> Result<Connection, StoreError> {
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(sqlite_fault)?;
    recognise(&connection, path)?;
    configure(&connection).map_err(sqlite_fault)??;
    let verify = match check {
        Check::Always => true,
        Check::Never => false,
        Check::IfSmall => std::fs::metadata(path)
            .map_err(StoreError::io)
            .map(|file| file.len() <= Check::SMALL)?,
    };
    if verify {
        quick_check(&connection)?;
    }
    migrate(&mut connection).map_err(sqlite_fault)?;
    Ok(connection)
}

/// Whether an older release wrote it. What else may be wrong with it, [`connect`] tells.
pub(super) fn is_older(path: &Path) -> bool {
    let version = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .and_then(|file| file.pragma_query_value(None, "user_version", |row| row.get(0)));
    version.is_ok_and(|version: u32| (1..VERSION).contains(&version))
}

fn recognise(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let not_a_store = || StoreError::NotAStore {
        path: path.to_owned(),
    };
    let read = || -> Result<(i32, u32, i64), rusqlite::Error> {
        connection.busy_timeout(BUSY_TIMEOUT)?;
        // One look: another connection may be making the file.
        let look = connection.unchecked_transaction()?;
        Ok((
            look.pragma_query_value(None, "application_id", |row| row.get(0))?,
            look.pragma_query_value(None, "user_version", |row| row.get(0))?,
            look.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?,
        ))
    };
    let (application, version, objects) = read().map_err(|error| {
        if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) {
            not_a_store()
        } else {
            sqlite_fault(error)
        }
    })?;
    match (application, version, objects) {
        // Just made, or its making was cut short.
        (0, 0, 0) => Ok(()),
        (APPLICATION_ID, 1..=VERSION, _) => Ok(()),
        (APPLICATION_ID, found, _) if found > VERSION => Err(StoreError::FutureVersion {
            found,
            supported: VERSION,
        }),
        _ => Err(not_a_store()),
    }
}

fn configure(connection: &Connection) -> Result<Result<(), StoreError>, rusqlite::Error> {
    connection.set_prepared_statement_cache_capacity(64);
    let mode = write_ahead(connection)?;
    if mode != "wal" {
        return Ok(Err(StoreError::io(io::Error::other(
            "the file system of the store does not support a write-ahead log",
        ))));
    }
    flush_fully(connection)?;
    connection.pragma_update_and_check(None, "journal_size_limit", JOURNAL_LIMIT, |_| Ok(()))?;
    // For all but the store's writer, whose log `checkpoint` sees to.
    connection.pragma_update_and_check(None, "wal_autocheckpoint", CHECKPOINT, |_| Ok(()))?;
    // Views and triggers put into the file by others may call nothing.
    connection.pragma_update(None, "trusted_schema", false)?;
    // Mapped files turn read errors into signals.
    connection
        .pragma_update_and_check(None, "mmap_size", 0, |_| Ok(()))
        .or_else(no_row)?;
    Ok(Ok(()))
}

/// Each commit and each checkpoint is flushed, by FULL; the other two ask macOS to mean it.
pub(super) fn flush_fully(connection: &Connection) -> Result<(), rusqlite::Error> {
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "fullfsync", true)?;
    connection.pragma_update(None, "checkpoint_fullfsync", true)
}

/// Asks for the write-ahead log, and gives the mode that the file then has. While another
/// connection makes that change, SQLite refuses at once instead of waiting.
fn write_ahead(connection: &Connection) -> Result<String, rusqlite::Error> {
    let give_up = Instant::now() + BUSY_TIMEOUT;
    loop {
        let mode =
            connection.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0));
        match mode {
            Err(e)
                if e.sqlite_error_code() == Some(ErrorCode::DatabaseBusy)
                    && Instant::now() < give_up =>
            {
                std::thread::sleep(BUSY_PAUSE);
            }
            mode => return mode,
        }
    }
}

/// A pragma that this build of SQLite lacks answers no row.
fn no_row(error: rusqlite::Error) -> Result<(), rusqlite::Error> {
    match error {
        rusqlite::Error::QueryReturnedNoRows => Ok(()),
        error => Err(error),
    }
}

/// Reads the whole file for damage.
pub(super) fn quick_check(connection: &Connection) -> Result<(), StoreError> {
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(sqlite_fault)?;
    if verdict == "ok" {
        Ok(())
    } else {
        Err(damage(verdict))
    }
}

//! Why a store cannot do what was asked, by blame. Which SQLite code becomes
//! which error is decided in `sqlite::fault`.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

/// Why a store did not open, commit or answer.
///
/// After [`Io`](Self::Io), [`Full`](Self::Full) or [`Corrupt`](Self::Corrupt)
/// a store is **failed closed**: every later call answers with the same error
/// until [`Store::reopen`](super::Store::reopen) succeeds. A failed commit may
/// have become durable all the same: after `reopen`, `recover` tells.
#[derive(Clone, Debug, Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The machine: free space, then `reopen`.
    #[error("the disk is full; free space, then reopen the store")]
    Full(#[source] Arc<io::Error>),
    /// The machine: `reopen`, which verifies the file. Calling `fsync` again
    /// would prove nothing.
    #[error("reading or writing the store failed; reopen it to verify what was kept")]
    Io(#[source] Arc<io::Error>),
    /// The file is damaged: restore a backup or start a new store. Both lose
    /// or repeat messages, so ask the user.
    #[error("the store is damaged; restore a backup or move the file away to start a new one")]
    Corrupt(#[source] Arc<io::Error>),
    /// Another live process, or this one, has the store open.
    #[error("the store {path} is in use by another process; stop it or use another store")]
    InUse {
        /// The store's file.
        path: PathBuf,
    },
    /// A newer release wrote the store.
    #[error("the store has version {found}, this release reads up to {supported}; upgrade")]
    FutureVersion {
        /// The store's version.
        found: u32,
        /// The newest version this release reads.
        supported: u32,
    },
    /// The file is no store: another path was meant, or its header is gone.
    #[error("{path} is not a Stanchion store; give another path")]
    NotAStore {
        /// The file.
        path: PathBuf,
    },
    /// The caller named another device than the store's.
    #[error("the store belongs to device {stored:?}, not {asked:?}; use another file")]
    OtherDevice {
        /// The name in the store.
        stored: String,
        /// The name asked for.
        asked: String,
    },
    /// The caller: too many requests wait. Only reads answer so, and
    /// `submit` has [`Busy`](super::Busy); await an earlier answer, then ask again.
    #[error("too many requests are waiting; await one, then ask again")]
    Busy,
    /// The caller: the batch breaks a bound and changed nothing. The store
    /// lives on.
    #[error("the batch was refused")]
    Misuse(#[source] Misuse),
    /// The store was closed, or crashed, before it could answer.
    #[error("the store is closed; open it again")]
    Closed,
}

impl StoreError {
    pub(super) fn io(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::StorageFull {
            Self::Full(Arc::new(error))
        } else {
            Self::Io(Arc::new(error))
        }
    }

    /// Whether a store that gave this error is failed closed and may be
    /// reopened.
    pub fn needs_reopen(&self) -> bool {
        matches!(self, Self::Full(_) | Self::Io(_) | Self::Corrupt(_))
    }
}

/// Which bound a batch breaks.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// Split it.
    #[error("{0} ops in a batch, at most {limit} fit", limit = super::MAX_BATCH)]
    BatchTooLarge(usize),
    /// A field is too long.
    #[error("{field} has {bytes} bytes, at most {max} fit")]
    TooLong {
        /// The field's name.
        field: &'static str,
        /// Its length.
        bytes: usize,
        /// The most it may have.
        max: usize,
    },
    /// Give one effect for each `Op::Apply`, in the same order.
    #[error("{effects} effects for {wanted} ops that want one")]
    Effects {
        /// Ops that want one.
        wanted: usize,
        /// How many there are.
        effects: usize,
    },
    /// Use a store with transactions, such as the SQLite store, or commit without effect.
    #[error("this store has no transaction for an application's effect; use an SQLite store")]
    NoTransactions,
    /// A `seq` is outside 1 to 2⁶³ − 1.
    #[error("seq {0} is outside 1 to 2^63 - 1")]
    SeqOutOfRange(u64),
}

//! The SQLite store: one file, one writer thread. This file owns the handle;
//! `writer` the thread, `alertness` how that waits, `checkpoint` the log, `file` the opening,
//! `schema` the format, `key` how ids and lanes stand in it, `apply` and `query` the
//! statements, `reader` a look from outside.

mod alertness;
mod apply;
mod checkpoint;
mod fault;
mod file;
mod guard;
mod insertion;
mod key;
mod query;
mod reader;
mod schema;
mod transactor;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::effect::{Effect, EffectFailure};
use super::error::StoreError;
use super::lock::OwnerLock;
use super::op::{Op, check_batch, check_effects};
use super::pending::{Busy, Closing, Pending};
use super::record::{
    Identity, InboundKey, InboundRecord, Opaque, Opening, OutboundRecord, WallTime,
};
use super::{Counts, InboundQuery, OutboundQuery, QUEUE, Recovered, Store, Ticket};
pub(crate) use fault::sqlite_fault;
pub(crate) use file::{connect, make};
pub use reader::SqliteReader;
pub use transactor::{TransactError, Transactor};
use writer::{Batch, Request, Writer};

/// A store in an SQLite file, with a write-ahead log and a flush for each
/// commit.
///
/// Beside `<path>` lie `<path>-wal`, `<path>-shm` and `<path>.lock`. All are
/// readable by their owner only (where the system knows owners). A live store
/// may be read by other programs, and backed up with SQLite's own means.
pub struct SqliteStore {
    path: PathBuf,
    identity: Identity,
    // `None` only while closing.
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    done: Option<Pending<()>>,
}

impl SqliteStore {
    /// Opens the store at `path`, makes it if there is none, and begins a new
    /// life: the boot count is durable when this returns. The folder must
    /// exist.
    ///
    /// Blocks on files: from async code, call it inside `spawn_blocking`.
    ///
    /// # Errors
    /// Every kind but `Busy`, `Misuse` and `Closed`. Nothing in the file is
    /// changed on [`StoreError::InUse`], [`StoreError::NotAStore`] and
    /// [`StoreError::FutureVersion`].
    pub fn open(path: impl AsRef<Path>, opening: &Opening) -> Result<Self, StoreError> {
        let path = file::make(path.as_ref())?;
        let lock = OwnerLock::take(&path)?;
        let mut connection = file::connect(&path, opening.check)?;
        let identity = schema::begin_life(&mut connection, opening)?;

        let (requests, receiver) = mpsc::channel(QUEUE);
        let (answer, done) = Pending::channel();
        let writer = Writer::new(path.clone(), identity.clone(), connection, lock)?;
        let writer = std::thread::Builder::new()
            .name("stanchion-store".into())
            .spawn(move || {
                writer.run(receiver);
                drop(answer.send(Ok(())));
            })
            .map_err(StoreError::io)?;
        Ok(Self {
            path,
            identity,
            requests: Some(requests),
            writer: Some(writer),
            done: Some(done),
        })
    }

    /// The store's file, with links resolved.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn send(&self, request: Request) -> Result<(), TrySendError<Request>> {
        match &self.requests {
            Some(requests) => requests.try_send(request),
            None => Err(TrySendError::Closed(request)),
        }
    }

    /// Gives the batch back if the queue is full.
    fn enqueue(&self, batch: Batch) -> Result<Ticket, Batch> {
        let (answer, ticket) = Pending::channel();
        match self.send(Request::Commit(batch, answer)) {
            Ok(()) => Ok(ticket),
            Err(TrySendError::Full(Request::Commit(batch, _))) => Err(batch),
            Err(error) => Ok(refused(error)),
        }
    }

    /// Runs an effect in a transaction of its own, which is durable when this resolves:
    /// for what an application does to its tables beside messages, such as making them.
    /// What it may do, see [`Effect`].
    ///
    /// ```
    /// use stanchion_reliability::store::{Opening, Seed, SqliteStore, WallTime, rusqlite};
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("messages.sqlite");
    /// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
    /// let store = SqliteStore::open(&path, &Opening::new(Seed::from_os()?, WallTime::from_unix_ms(0)))?;
    /// store
    ///     .transact(|tx| tx.execute_batch("CREATE TABLE IF NOT EXISTS app_readings (celsius REAL)"))
    ///     .await?;
    /// let forbidden = store.transact(|tx| tx.execute("DELETE FROM outbound", [])).await;
    /// assert!(forbidden.is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn transact<T, E, F>(&self, effect: F) -> Result<T, TransactError>
    where
        T: Send + 'static,
        E: Into<EffectFailure>,
        F: FnOnce(&rusqlite::Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        match self.transactor() {
            Some(transactor) => transactor.transact(effect).await,
            None => Err(StoreError::Closed.into()),
        }
    }

    /// A handle for such transactions, which outlives this value; none once it is closed.
    pub fn transactor(&self) -> Option<Transactor> {
        self.requests.as_ref().map(Transactor::new)
    }

    fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Connection) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Pending<T> {
        let (answer, pending) = Pending::channel();
        let request = Request::Read(Box::new(move |connection| {
            let outcome = connection.and_then(|connection| query(connection).map_err(sqlite_fault));
            let met = outcome.as_ref().err().cloned();
            drop(answer.send(outcome));
            met
        }));
        self.send(request).map_or_else(refused, |()| pending)
    }
}

fn refused<T>(error: TrySendError<Request>) -> Pending<T> {
    Pending::ready(Err(match error {
        TrySendError::Full(_) => StoreError::Busy,
        TrySendError::Closed(_) => StoreError::Closed,
    }))
}

impl Store for SqliteStore {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn submit(&self, batch: Vec<Op>) -> Result<Ticket, Busy> {
        if let Err(misuse) = check_batch(&batch) {
            return Ok(Pending::ready(Err(StoreError::Misuse(misuse))));
        }
        self.enqueue(Batch::new(batch))
            .map_err(|batch| Busy(batch.ops))
    }

    fn runs_effects(&self) -> bool {
        true
    }

    fn submit_with(
        &self,
        batch: Vec<Op>,
        effects: Vec<Effect>,
    ) -> Result<Ticket, (Busy, Vec<Effect>)> {
        let checked = check_batch(&batch).and_then(|()| check_effects(&batch, effects.len()));
        if let Err(misuse) = checked {
            return Ok(Pending::ready(Err(StoreError::Misuse(misuse))));
        }
        let batch = Batch {
            ops: batch,
            effects: effects.into(),
        };
        self.enqueue(batch)
            .map_err(|batch| (Busy(batch.ops), batch.effects.into()))
    }

    fn recover(&self, limit: usize) -> Pending<Recovered> {
        let identity = self.identity.clone();
        self.read(move |connection| query::recover(connection, identity, limit))
    }

    fn outbound(&self, id: &str) -> Pending<Option<OutboundRecord>> {
        let id = id.to_owned();
        self.read(move |connection| query::outbound(connection, &id))
    }

    fn outbound_page(&self, query: OutboundQuery) -> Pending<Vec<OutboundRecord>> {
        self.read(move |connection| query::outbound_page(connection, &query))
    }

    fn due(&self, by: WallTime, limit: usize) -> Pending<Vec<OutboundRecord>> {
        self.read(move |connection| query::due(connection, by, limit))
    }

    fn inbound(&self, key: &InboundKey) -> Pending<Option<InboundRecord>> {
        let key = key.clone();
        self.read(move |connection| query::inbound(connection, &key))
    }

    fn inbound_page(&self, query: InboundQuery) -> Pending<Vec<InboundRecord>> {
        self.read(move |connection| query::inbound_page(connection, &query))
    }

    fn meta(&self, key: &str) -> Pending<Option<Opaque>> {
        let key = key.to_owned();
        self.read(move |connection| query::meta(connection, &key))
    }

    fn meta_page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Pending<Vec<(String, Opaque)>> {
        let prefix = prefix.to_owned();
        let after = after.map(str::to_owned);
        self.read(move |connection| query::meta_page(connection, &prefix, after.as_deref(), limit))
    }

    fn counts(&self) -> Pending<Counts> {
        self.read(query::counts)
    }

    fn reopen(&self) -> Pending<()> {
        let (answer, pending) = Pending::channel();
        self.send(Request::Reopen(answer))
            .map_or_else(refused, |()| pending)
    }

    fn close(mut self: Box<Self>) -> Closing {
        self.requests = None;
        Closing {
            done: self.done.take().unwrap_or_else(|| Pending::ready(Ok(()))),
            writer: self.writer.take(),
        }
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.requests = None;
        // A store that was closed has given its writer away.
        drop(Closing {
            done: Pending::ready(Ok(())),
            writer: self.writer.take(),
        });
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.path)
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

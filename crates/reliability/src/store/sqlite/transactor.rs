//! Transactions of an application beside messages: a handle to a store's writer that does
//! not keep the store open, or a database in memory where there is no file.

use rusqlite::Connection;
use tokio::sync::mpsc::{self, error::TrySendError};

use super::super::QUEUE;
use super::super::effect::{Effect, EffectAnswer, EffectError, EffectFailure};
use super::super::error::StoreError;
use super::super::pending::Pending;
use super::fault::sqlite_fault;
use super::guard::Guard;
use super::writer::{Request, transact};

/// Why a [transaction](super::SqliteStore::transact) of an application was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransactError {
    /// The closure's own affair: the store goes on.
    #[error(transparent)]
    Effect(#[from] EffectError),
    /// The store's.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes transactions in a store's file, in its writer's thread. Cheap to clone, and no
/// reason for a store to stay open: once that is closed, each is refused as
/// [`StoreError::Closed`].
#[derive(Debug, Clone)]
pub struct Transactor(Writer);

#[derive(Debug, Clone)]
enum Writer {
    Store(mpsc::WeakSender<Request>),
    /// It ends with its last handle.
    Memory(mpsc::Sender<Request>),
}

impl Transactor {
    pub(super) fn new(requests: &mpsc::Sender<Request>) -> Self {
        Self(Writer::Store(requests.downgrade()))
    }

    /// A database of its own, in memory: for applications whose messages are in a
    /// [`MemoryStore`](super::super::MemoryStore). It ends with the last handle to it.
    ///
    /// # Errors
    /// [`StoreError::Io`] if there is no thread to be had, and what SQLite says.
    pub fn in_memory() -> Result<Self, StoreError> {
        let mut connection = Connection::open_in_memory().map_err(sqlite_fault)?;
        let guard = Guard::on(&mut connection).map_err(sqlite_fault)?;
        let (requests, mut receiver) = mpsc::channel(QUEUE);
        let serve = move || {
            while let Some(request) = receiver.blocking_recv() {
                if let Request::Transact(effect, answer) = request {
                    let done = transact(&mut connection, &guard, [effect]).map_err(sqlite_fault);
                    // A receiver that is gone wanted no answer.
                    drop(answer.send(done));
                }
            }
        };
        std::thread::Builder::new()
            .name("stanchion-memory".into())
            .spawn(serve)
            .map_err(StoreError::io)?;
        Ok(Self(Writer::Memory(requests)))
    }

    /// As [`SqliteStore::transact`](super::SqliteStore::transact).
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn transact<T, E, F>(&self, effect: F) -> Result<T, TransactError>
    where
        T: Send + 'static,
        E: Into<EffectFailure>,
        F: FnOnce(&rusqlite::Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let (effect, gave): (_, EffectAnswer<T>) = Effect::new(effect);
        let (answer, pending) = Pending::channel();
        let sent = match &self.0 {
            Writer::Store(requests) => match requests.upgrade() {
                Some(requests) => requests.try_send(Request::Transact(effect, answer)),
                None => return Err(StoreError::Closed.into()),
            },
            Writer::Memory(requests) => requests.try_send(Request::Transact(effect, answer)),
        };
        match sent {
            Ok(()) => pending.await?,
            Err(TrySendError::Full(_)) => return Err(StoreError::Busy.into()),
            Err(TrySendError::Closed(_)) => return Err(StoreError::Closed.into()),
        }
        match gave.take().await {
            Some(gave) => Ok(gave?),
            None => Err(StoreError::Closed.into()),
        }
    }
}

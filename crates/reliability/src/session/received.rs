//! Received messages in the application's hands, and what it decides about them. The ends
//! that the driver answers are in `decisions`; what a decision means is `engine`'s.

use stanchion_stanza::Message;
use tokio::sync::{mpsc, oneshot};

use super::SendError;
use super::control::{Control, Decision};
use super::token::Token;
use crate::store::rusqlite::Transaction;
use crate::store::{Effect, EffectError, EffectFailure};

/// Takes a session's messages, in the order in which they arrived.
#[derive(Debug)]
pub struct Receiver {
    pub(super) deliveries: mpsc::Receiver<Delivery>,
    pub(super) controls: mpsc::Sender<Control>,
    /// It was taken, and begins.
    pub(super) next: Option<Received>,
}

#[derive(Debug)]
pub(super) struct Delivery {
    pub(super) arrival: u64,
    pub(super) message: Box<Message>,
    pub(super) token: Token,
    pub(super) maybe_redelivered: bool,
}

/// A received message. The sender gets its receipt once it is committed; one that is
/// dropped instead comes again after the next start.
///
/// How often it takes effect is decided by how it is committed:
///
/// | the effect | once, if |
/// |---|---|
/// | is a change in the store's file: [`commit_with`](Self::commit_with) | always |
/// | is a change in another database | the [`token`](Self::token) is written with it, and looked for before |
/// | may be repeated | repeating does nothing: tell it by [`id`](Self::id) |
/// | is anything else, and then [`commit`](Self::commit) | the process does not end in between; if it does, the message comes again, [flagged](Self::maybe_redelivered) |
#[derive(Debug)]
#[must_use = "a message that is not committed comes again"]
pub struct Received {
    delivery: Delivery,
    controls: mpsc::Sender<Control>,
    begun: Begun,
}

/// Whether it is on record that the application may act on a message.
#[derive(Debug)]
enum Begun {
    Yes,
    Asked(oneshot::Receiver<()>),
    No,
}

/// Why a message is not committed, or not known to be.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommitError {
    /// Nothing of the effect is kept, and the message is not committed: decide again, or
    /// drop it, and it comes again after the next start.
    #[error(transparent)]
    Effect(#[from] EffectError),
    /// The session's store runs no effects; use an SQLite store. Nothing was done.
    #[error("the session's store has no transactions for effects; use an SQLite store")]
    NoTransactions,
    /// It was committed or refused before, or that is under way. Nothing was done.
    #[error("the message was committed or refused before")]
    Decided,
    /// The session has ended. If this was not durable by then, the message comes again.
    #[error("the session has ended; the message comes again if its commit was not durable")]
    Closed,
}

impl Receiver {
    /// The next message; `None` once the session has ended. A future that is dropped before
    /// it resolves takes none.
    ///
    /// One that an earlier process had in its hands waits here until it is durable that it
    /// [begins](Received::begin); it has begun even if the future is dropped meanwhile, and
    /// is the first of the next call.
    pub async fn recv(&mut self) -> Option<Received> {
        if self.next.is_none() {
            self.next = self.recv_for_later().await;
        }
        let begun = self.next.as_mut()?.begin().await;
        self.next.take().filter(|_| begun.is_ok())
    }

    /// The same, for somebody who acts on it later, as one who puts it into a queue: who
    /// takes it from there says [`Received::begin`] before anything else.
    pub async fn recv_for_later(&mut self) -> Option<Received> {
        // A `recv` may have been given up.
        if let Some(next) = self.next.take() {
            return Some(next);
        }
        let delivery = self.deliveries.recv().await?;
        Some(Received {
            begun: if delivery.maybe_redelivered {
                Begun::No
            } else {
                Begun::Yes
            },
            delivery,
            controls: self.controls.clone(),
        })
    }
}

impl Received {
    /// The message.
    #[must_use]
    pub fn message(&self) -> &Message {
        &self.delivery.message
    }

    /// Its id, if it has one. A Stanchion sender's is unique for ever and the same in all
    /// copies (UUIDv7): an effect that is told by it can be repeated without harm. Clients
    /// of another make may use one twice.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.message().header.id.as_deref()
    }

    /// What names it in this store for good: the same if it is handed over again.
    #[must_use]
    pub const fn token(&self) -> &Token {
        &self.delivery.token
    }

    /// Whether an earlier process may have acted on it already.
    #[must_use]
    pub const fn maybe_redelivered(&self) -> bool {
        self.delivery.maybe_redelivered
    }

    /// Says that the application is about to act on the message. [`Receiver::recv`] has said
    /// it of what it gives; it is needed after [`Receiver::recv_for_later`] alone.
    ///
    /// Of a message that an earlier process had in its hands, it is durable when this
    /// resolves, unless the store has failed: then it is not counted. One that was begun
    /// again twice, and each time the process ended before it was decided about, is given
    /// up: its sender is told that it may have taken effect. So a message that ends its
    /// consumer does not do so for ever, and one that merely waited in a queue while
    /// processes ended is not blamed. Resolves without the disk for any other message, and
    /// the second time; may be dropped and called again.
    ///
    /// # Errors
    /// [`SendError::Closed`] if the session has ended: do not act on it, it comes again.
    pub async fn begin(&mut self) -> Result<(), SendError> {
        if matches!(self.begun, Begun::No) {
            let permit = self.controls.reserve().await;
            let (answer, asked) = oneshot::channel();
            let arrival = self.delivery.arrival;
            permit
                .map_err(|_| SendError::Closed)?
                .send(Control::Begin { arrival, answer });
            self.begun = Begun::Asked(asked);
        }
        if let Begun::Asked(asked) = &mut self.begun {
            let answer = asked.await;
            self.begun = match answer {
                Ok(()) => Begun::Yes,
                Err(_) => Begun::No,
            };
            answer.map_err(|_| SendError::Closed)?;
        }
        Ok(())
    }

    /// Says that the message has taken effect: it is not handed over again, and its
    /// sender gets the receipt.
    ///
    /// Resolves once the session has heard it, which is before it is durable: commits that
    /// follow each other share one sync, and nothing waits for the disk. If the process
    /// ends before it is durable, the message comes again, flagged; no receipt has left
    /// then. To wait for the disk, see [`Received::commit_durably`].
    ///
    /// # Errors
    /// [`SendError::Closed`] if the session has ended; the message comes again.
    pub async fn commit(self) -> Result<Message, SendError> {
        let control = Control::Commit {
            arrival: self.delivery.arrival,
            answer: None,
        };
        self.controls
            .send(control)
            .await
            .map_err(|_| SendError::Closed)?;
        Ok(*self.delivery.message)
    }

    /// As [`Received::commit`], but resolves once it is durable: from then on the message
    /// never comes again.
    ///
    /// # Errors
    /// [`CommitError::Closed`], and [`CommitError::Decided`] if a
    /// [`commit_with`](Self::commit_with) was given up halfway.
    pub async fn commit_durably(self) -> Result<Message, CommitError> {
        let (answer, done) = oneshot::channel();
        let control = Control::Commit {
            arrival: self.delivery.arrival,
            answer: Some(answer),
        };
        self.decide(control, done).await?;
        Ok(*self.delivery.message)
    }

    /// Commits the message together with an effect, which runs in the very transaction
    /// that marks it as handled: both are durable when this resolves, or neither ever is.
    /// Gives what the effect gave. This is exactly once, whatever ends the process when.
    ///
    /// The effect changes tables in the store's file whose names begin with `app_`; what
    /// it may do, and how long, see [`Effect`]. It runs in the store's thread and holds it
    /// up. If it fails or panics, nothing of it is kept, what other messages did goes on,
    /// and the message is where it was: in the application's hands. If the future is
    /// dropped, the effect runs all the same.
    ///
    /// ```
    /// # use std::{sync::Arc, time::Duration};
    /// # use stanchion_connect::memory::MemoryConnect;
    /// # use stanchion_reliability::session::{CommitError, Received, Session, SessionConfig};
    /// use stanchion_reliability::store::{Opening, Seed, SqliteStore, WallTime, rusqlite};
    ///
    /// async fn keep(received: &Received) -> Result<i64, CommitError> {
    ///     let celsius = received.message().body().unwrap_or_default().into_owned();
    ///     received
    ///         .commit_with(move |tx| {
    ///             tx.execute("INSERT INTO app_readings VALUES (?1)", [celsius])?;
    ///             Ok::<_, rusqlite::Error>(tx.last_insert_rowid())
    ///         })
    ///         .await
    /// }
    ///
    /// # let folder = tempfile::tempdir()?;
    /// # let path = folder.path().join("messages.sqlite");
    /// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
    /// # let opening = Opening::new(Seed::from_os()?, WallTime::from_unix_ms(0));
    /// let store = SqliteStore::open(&path, &opening)?;
    /// store
    ///     .transact(|tx| tx.execute_batch("CREATE TABLE IF NOT EXISTS app_readings (celsius TEXT)"))
    ///     .await?;
    /// # let connect = Arc::new(MemoryConnect::new().0);
    /// let (session, mut receiver) =
    ///     Session::start(connect, Box::new(store), SessionConfig::default()).await?;
    /// # session.shutdown().await?;
    /// while let Some(received) = receiver.recv().await {
    ///     keep(&received).await?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit_with<T, E, F>(&self, effect: F) -> Result<T, CommitError>
    where
        T: Send + 'static,
        E: Into<EffectFailure>,
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let (effect, gave) = Effect::new(effect);
        let (answer, done) = oneshot::channel();
        let control = Control::CommitWith {
            arrival: self.delivery.arrival,
            effect,
            answer,
        };
        match self.decide(control, done).await {
            Ok(()) => match gave.take().await {
                Some(gave) => Ok(gave?),
                None => Err(CommitError::Closed),
            },
            Err(CommitError::Decided) => match gave.take().await {
                Some(Err(error)) => Err(error.into()),
                _ => Err(CommitError::Decided),
            },
            Err(error) => Err(error),
        }
    }

    /// Refuses the message for good: it is not handed over again, and its sender is told
    /// that it is [not delivered](crate::outcome::NotDelivered::Rejected). `why` is for
    /// the log. Resolves once that is durable.
    ///
    /// Only for a message that had no effect and will have none, nor had at an earlier
    /// [hand-over](Self::maybe_redelivered): with [`commit_with`](Self::commit_with), or a
    /// token, that is certain. A sender that does not speak the delivery protocol gets an
    /// error in place of its receipt, and may try again.
    ///
    /// # Errors
    /// [`CommitError::Closed`] and [`CommitError::Decided`].
    pub async fn reject(self, why: &str) -> Result<(), CommitError> {
        tracing::info!(token = %self.delivery.token, why, "the application refuses a message");
        let (answer, done) = oneshot::channel();
        let control = Control::Reject {
            arrival: self.delivery.arrival,
            answer,
        };
        self.decide(control, done).await
    }

    async fn decide(
        &self,
        control: Control,
        done: oneshot::Receiver<Decision>,
    ) -> Result<(), CommitError> {
        let sent = self.controls.send(control).await;
        sent.map_err(|_| CommitError::Closed)?;
        match done.await {
            Ok(Decision::Done) => Ok(()),
            Ok(Decision::NotDone) => Err(CommitError::Decided),
            Ok(Decision::NoTransactions) => Err(CommitError::NoTransactions),
            Err(_) => Err(CommitError::Closed),
        }
    }
}

//! Messages that were sent and received, kept in the store's file: conversations, pages,
//! searches. What the application commits through [`History::commit`] is in the history in
//! the very transaction that marks it as handled: once, whatever ends the process when.
//!
//! The tables are made with the first message. Retention is by number, bytes and age; each
//! query has a bound. `note` says what of a message is kept, `write` and `query` hold the
//! statements, `look` reads beside a living session.

mod entry;
mod look;
mod note;
mod query;
mod schema;
mod write;

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stanchion_reliability::session::{CommitError, Received};
use stanchion_reliability::store::rusqlite::{self, Transaction};
use stanchion_reliability::store::{EffectFailure, TransactError, Transactor, WallTime};
use stanchion_stanza::{BareJid, Message};
use tokio::sync::OnceCell;

pub use entry::{Conversation, Direction, Entry, Found, Place, Progress, Version};
pub use look::HistoryReader;
pub(crate) use note::archive_id;
pub use note::{MessageNote, Note};
pub use query::Page;
pub use write::Recorded;
pub(crate) use write::{apply, message_in};

/// How much is kept. What goes first is what came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryConfig {
    /// Messages at most, 1 or more. Default 100,000.
    pub entries: u64,
    /// Bytes of their texts at most, earlier versions included; the newest message stays,
    /// however large it is. Default 256 MiB.
    pub bytes: u64,
    /// Messages that were sent longer than this before the latest one go. Default none.
    pub age: Option<Duration>,
}

impl HistoryConfig {
    const ENTRIES: u64 = 100_000;
    const BYTES: u64 = 256 * 1024 * 1024;
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            entries: Self::ENTRIES,
            bytes: Self::BYTES,
            age: None,
        }
    }
}

/// The history of a store. Cheap to clone.
#[derive(Debug, Clone)]
pub struct History {
    store: Transactor,
    /// Whether the tables are there, as far as is known.
    made: Arc<OnceCell<()>>,
}

impl History {
    /// Entries that one call gives at most.
    pub const MOST: usize = 500;

    /// The history in that store.
    ///
    /// # Errors
    /// [`TransactError`] if the configuration is not the default and cannot be noted.
    pub async fn open(store: Transactor, config: HistoryConfig) -> Result<Self, TransactError> {
        let this = Self {
            store,
            made: Arc::default(),
        };
        if config != HistoryConfig::default() {
            this.make().await?;
            this.read(move |tx| write::configure(tx, &config)).await?;
        }
        Ok(this)
    }

    /// Makes the tables with the first thing that is to be kept.
    pub(crate) async fn make(&self) -> Result<(), TransactError> {
        let make = || self.store.transact(schema::ensure);
        self.made.get_or_try_init(make).await.copied()
    }

    /// Commits a received message and puts it into the history, in one transaction: both
    /// are durable when this resolves, or neither ever is. A message without text, or one
    /// that is there, is only committed. A correction of its author's takes the place of
    /// what it corrects (XEP-0308).
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit(&self, received: Received) -> Result<Message, CommitError> {
        match self
            .commit_with(&received, |_, _| Ok::<_, EffectFailure>(()))
            .await
        {
            Ok(()) => Ok(received.message().clone()),
            Err(CommitError::NoTransactions) => {
                // Messages in memory: history and inbox are gone together.
                if let Some(note) = note_of(&received) {
                    let put = self.store.transact(move |tx| message_in(tx, &note)).await;
                    put.map_err(refused)?;
                }
                received.commit_durably().await
            }
            Err(error) => Err(error),
        }
    }

    /// The same, with an effect of the application in that transaction, which is told what
    /// became of the message; none if it has no text. What it may do, see
    /// [`Received::commit_with`].
    ///
    /// # Errors
    /// [`CommitError`]; [`CommitError::NoTransactions`] if the messages are in memory.
    pub async fn commit_with<T, E, F>(
        &self,
        received: &Received,
        effect: F,
    ) -> Result<T, CommitError>
    where
        T: Send + 'static,
        E: Into<EffectFailure>,
        F: FnOnce(&Transaction<'_>, Option<Recorded>) -> Result<T, E> + Send + 'static,
    {
        let note = note_of(received);
        if note.is_some() {
            self.make().await.map_err(refused)?;
        }
        received
            .commit_with(move |tx| {
                let note = note.as_ref();
                let recorded = note.map(|note| message_in(tx, note)).transpose();
                effect(tx, recorded.map_err(EffectFailure::from)?).map_err(Into::into)
            })
            .await
    }

    /// A page of a conversation, oldest first: at most `most` messages, and at most
    /// [`History::MOST`].
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn page(
        &self,
        with: &BareJid,
        page: Page,
        most: usize,
    ) -> Result<Vec<Entry>, TransactError> {
        let (with, most) = (with.clone(), bounded(most));
        self.read(move |tx| query::page(tx, &with, page, most))
            .await
    }

    /// The message at that place, as it is now.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn entry(&self, place: Place) -> Result<Option<Entry>, TransactError> {
        self.read(move |tx| query::one(tx, place.row)).await
    }

    /// What the message at that place was before its corrections, oldest first, as far as
    /// is kept: the last 32.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn versions(&self, place: Place) -> Result<Vec<Version>, TransactError> {
        self.read(move |tx| query::versions(tx, place.row)).await
    }

    /// The conversations, that with the latest message first, without the first `skip`.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn conversations(
        &self,
        skip: usize,
        most: usize,
    ) -> Result<Vec<Conversation>, TransactError> {
        let (skip, most) = (i64::try_from(skip).unwrap_or(i64::MAX), bounded(most));
        self.read(move |tx| query::conversations(tx, skip, most))
            .await
    }

    /// Messages that have all words of `text`, the latest first, of all conversations or one.
    /// Case and accents do not count; the last word may be the beginning of one.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn search(
        &self,
        text: &str,
        with: Option<&BareJid>,
        most: usize,
    ) -> Result<Vec<Found>, TransactError> {
        let (text, with, most) = (text.to_owned(), with.cloned(), bounded(most));
        let always = WallTime::from_unix_ms(i64::MIN)..WallTime::MAX;
        self.read(move |tx| query::search(tx, &text, with.as_ref(), &always, most))
            .await
    }

    /// Says that all messages up to there were read here. How many were not before.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn read_up_to(&self, with: &BareJid, up_to: Place) -> Result<usize, TransactError> {
        let with = with.clone();
        self.read(move |tx| write::read_up_to(tx, &with, up_to))
            .await
    }

    /// Removes what was sent before that time, at most [`History::MOST`] messages at a time.
    /// How many were: call it again while it is as many.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn forget_before(&self, time: WallTime) -> Result<usize, TransactError> {
        let most = bounded(Self::MOST);
        self.read(move |tx| write::forget_before(tx, None, time, most))
            .await
    }

    /// The same of one conversation; with [`WallTime::MAX`], all of it.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn forget_conversation(
        &self,
        with: &BareJid,
        before: WallTime,
    ) -> Result<usize, TransactError> {
        let (with, most) = (with.clone(), bounded(Self::MOST));
        self.read(move |tx| write::forget_before(tx, Some(&with), before, most))
            .await
    }

    /// Our own message of a conversation with that id, of whichever of our devices.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn own(&self, with: &BareJid, id: &str) -> Result<Option<Entry>, TransactError> {
        let (with, id) = (with.clone(), id.to_owned());
        self.read(move |tx| query::own(tx, &with, &id)).await
    }

    /// Our last message of a conversation.
    pub(crate) async fn last_own(&self, with: &BareJid) -> Result<Option<Entry>, TransactError> {
        let with = with.clone();
        self.read(move |tx| query::last_own(tx, &with)).await
    }

    /// Carries notes out, all or none.
    pub(crate) async fn note(&self, notes: Vec<Note>) -> Result<(), TransactError> {
        self.make().await?;
        self.read(move |tx| notes.iter().try_for_each(|note| apply(tx, note)))
            .await
    }

    /// Puts a message of our own in, before it is sent.
    pub(crate) async fn begin(&self, note: MessageNote) -> Result<Recorded, TransactError> {
        self.make().await?;
        self.read(move |tx| message_in(tx, &note)).await
    }

    /// A message that was [begun](Self::begin) is not sent after all.
    pub(crate) async fn unwrite(&self, id: String) -> Result<(), TransactError> {
        self.read(move |tx| write::unwrite(tx, &id)).await
    }

    /// Messages of our own that have no definite outcome, after that row.
    pub(crate) async fn open_after(&self, row: i64) -> Result<Vec<(i64, String)>, TransactError> {
        let most = bounded(Self::MOST);
        self.read(move |tx| query::open(tx, row, most)).await
    }

    async fn read<T: Send + 'static>(
        &self,
        what: impl FnOnce(&Transaction<'_>) -> Result<T, rusqlite::Error> + Send + 'static,
    ) -> Result<T, TransactError> {
        self.store.transact(what).await
    }
}

fn refused(error: TransactError) -> CommitError {
    match error {
        TransactError::Effect(error) => CommitError::Effect(error),
        // The session goes on once its store is back; until then nothing is committed.
        _ => CommitError::Closed,
    }
}

fn bounded(most: usize) -> i64 {
    i64::try_from(most.min(History::MOST)).unwrap_or(0)
}

fn note_of(received: &Received) -> Option<MessageNote> {
    MessageNote::received(received.message(), now())
}

/// The time on the wall. The history is not part of any state machine.
#[allow(
    clippy::disallowed_methods,
    reason = "the faces are where the clock is read"
)]
pub(crate) fn now() -> WallTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = i64::try_from(since.unwrap_or_default().as_millis());
    WallTime::from_unix_ms(ms.unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;

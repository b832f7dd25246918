//! The subscribing end, as the application holds it: items in order, each once, committed
//! in the transaction of their effect.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use stanchion_reliability::store::rusqlite::{self, OptionalExtension as _, Transaction, params};
use stanchion_reliability::store::{EffectError, EffectFailure, TransactError, Transactor};
use stanchion_stanza::payload::pubsub::NodeConfig;
use stanchion_stanza::{Element, Jid, Text};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::error::{PubsubError, Reason};
use super::state::{
    Foreign, HOLES, Handed, Kept, Place, State, StreamCursor, StreamId, begun_key, foreign_key,
    name_of, stream_key,
};
use crate::service::{Change, Service as _};
use crate::shelf;
use crate::slot::Handle;

/// Items in the application's hands, neither committed nor dropped.
const IN_HAND: usize = 1024;

/// Fetched from the state machine at once.
const BATCH: usize = 32;

/// What happens at a node, in the order in which it was published. Dropping it ends the
/// taking; the subscription at the service stays, and opening it again goes on from what
/// was committed.
#[derive(Debug)]
pub struct Subscription {
    pub(super) handle: Handle<State>,
    pub(super) id: u64,
    pub(super) wake: Arc<Notify>,
    pub(super) store: Transactor,
    pub(super) name: Arc<str>,
    pub(super) fetched: VecDeque<Handed>,
    pub(super) in_hand: Arc<Semaphore>,
    pub(super) _open: Open,
}

/// Says that an application is there, until it is dropped.
#[derive(Debug)]
pub(super) struct Open(pub(super) Arc<AtomicBool>);

impl Open {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// What happened at a node.
#[derive(Debug)]
#[non_exhaustive]
pub enum NodeEvent {
    /// An item was published.
    Item(Item),
    /// Something was published that the node no longer holds.
    Gap(Gap),
    /// Items were deleted.
    Retracted(Vec<Text>),
    /// All items were deleted.
    Purged,
    /// The node was deleted; a URI of what takes its place. If it comes back, so does this
    /// subscription.
    Deleted(Option<Text>),
    /// The configuration changed; if the node shows it, to what.
    Configured(Option<Box<NodeConfig>>),
    /// An owner has to approve the subscription first.
    Pending,
    /// The service ended the subscription. It is asked for again from time to time.
    Unsubscribed,
    /// The service refuses to subscribe us, or to give items. It is asked again from time
    /// to time.
    Refused(Reason),
}

/// An item. One that is dropped instead of committed comes again once the subscription is
/// opened anew.
#[derive(Debug)]
#[must_use = "an item that is not committed comes again"]
pub struct Item {
    id: Text,
    publisher: Option<Jid>,
    payload: Option<Element>,
    late: bool,
    done: Done,
    store: Transactor,
    _in_hand: OwnedSemaphorePermit,
}

/// Items that were published, and that the node held no longer when they were asked for.
#[derive(Debug)]
#[must_use = "a gap that is not committed comes again"]
pub struct Gap {
    stream: Option<StreamId>,
    first: u64,
    last: u64,
    done: Option<Done>,
    store: Transactor,
    _in_hand: OwnedSemaphorePermit,
}

/// What is done once something is committed.
#[derive(Debug, Clone)]
struct Done {
    key: String,
    what: What,
}

#[derive(Debug, Clone)]
enum What {
    Number { from: u64, number: u64 },
    Foreign(super::state::Print),
    Gap { first: u64, last: u64 },
}

/// Why an item is not committed: nothing of its effect is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ItemError {
    /// Too many earlier items of the stream were dropped instead of committed.
    #[error("{HOLES} earlier items are not committed; open the subscription anew to get them")]
    TooManyHoles,
    /// The store's, or the effect's own affair.
    #[error(transparent)]
    Transact(#[from] TransactError),
}

impl Subscription {
    /// What happens next. Waits for it; and while 1024 items are neither committed nor
    /// dropped.
    ///
    /// # Errors
    /// [`PubsubError::Ended`].
    ///
    /// # Cancellation
    /// Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Result<NodeEvent, PubsubError> {
        let in_hand = Arc::clone(&self.in_hand).acquire_owned().await;
        let in_hand = in_hand.map_err(|_| PubsubError::Ended)?;
        while self.fetched.is_empty() {
            let mut wake = std::pin::pin!(self.wake.notified());
            // From here on no wake-up is missed.
            wake.as_mut().enable();
            let id = self.id;
            let take = move |state: &mut State, _| state.take(id, BATCH);
            let taken = self.handle.call(take).await?.ok_or(PubsubError::Ended)?;
            if taken.is_empty() {
                wake.await;
            }
            self.fetched.extend(taken);
        }
        let handed = self.fetched.pop_front().ok_or(PubsubError::Ended)?;
        Ok(self.event(handed, in_hand))
    }

    /// What is at hand already, without waiting: to commit several at once, see
    /// [`Item::commit_all`].
    pub fn next_now(&mut self) -> Option<NodeEvent> {
        if self.fetched.is_empty() {
            return None;
        }
        let in_hand = Arc::clone(&self.in_hand).try_acquire_owned().ok()?;
        let handed = self.fetched.pop_front()?;
        Some(self.event(handed, in_hand))
    }

    fn event(&self, handed: Handed, in_hand: OwnedSemaphorePermit) -> NodeEvent {
        match handed {
            Handed::Numbered {
                stream,
                from,
                number,
                item,
                late,
            } => {
                let key = stream_key(&self.name, &stream);
                let what = What::Number { from, number };
                self.item(item, late, Done { key, what }, in_hand)
            }
            Handed::Foreign { item, print } => {
                let key = foreign_key(&self.name);
                let what = What::Foreign(print);
                self.item(item, false, Done { key, what }, in_hand)
            }
            Handed::Gap {
                stream,
                first,
                last,
            } => NodeEvent::Gap(Gap {
                done: Some(Done {
                    key: stream_key(&self.name, &stream),
                    what: What::Gap { first, last },
                }),
                stream: Some(stream),
                first,
                last,
                store: self.store.clone(),
                _in_hand: in_hand,
            }),
            Handed::ForeignGap => NodeEvent::Gap(Gap {
                done: None,
                stream: None,
                first: 0,
                last: 0,
                store: self.store.clone(),
                _in_hand: in_hand,
            }),
            Handed::Retracted(ids) => NodeEvent::Retracted(ids),
            Handed::Purged => NodeEvent::Purged,
            Handed::Deleted(redirect) => NodeEvent::Deleted(redirect),
            Handed::Configured(config) => NodeEvent::Configured(config),
            Handed::Pending => NodeEvent::Pending,
            Handed::Unsubscribed => NodeEvent::Unsubscribed,
            Handed::Refused(reason) => NodeEvent::Refused(reason),
        }
    }

    fn item(
        &self,
        item: stanchion_stanza::payload::pubsub::Item,
        late: bool,
        done: Done,
        in_hand: OwnedSemaphorePermit,
    ) -> NodeEvent {
        NodeEvent::Item(Item {
            id: item.id.unwrap_or_default(),
            publisher: item.publisher,
            payload: item.payload,
            late,
            done,
            store: self.store.clone(),
            _in_hand: in_hand,
        })
    }

    /// The next item, where the application has no use for anything else: gaps are
    /// committed and logged.
    ///
    /// # Errors
    /// [`PubsubError::Ended`], and [`PubsubError::Store`] if a gap cannot be committed.
    pub async fn next_item(&mut self) -> Result<Item, PubsubError> {
        loop {
            match self.next().await? {
                NodeEvent::Item(item) => return Ok(item),
                NodeEvent::Gap(gap) => {
                    tracing::warn!(node = ?self.name, ?gap, "items are missing for good");
                    let committed = gap.commit().await;
                    committed.map_err(|e| PubsubError::Store(e.to_string()))?;
                }
                other => tracing::info!(node = ?self.name, ?other, "a node changed"),
            }
        }
    }

    /// What was kept of a subscription of that name.
    pub(super) async fn kept(store: &Transactor, name: &str) -> Result<Kept, TransactError> {
        let (begun, foreign) = (begun_key(name), foreign_key(name));
        let (name, streams) = (name.to_owned(), format!("c{name}\u{1f}"));
        store
            .transact(move |tx| {
                let mut kept = Kept {
                    begun: read(tx, &begun)?.is_some(),
                    ..Kept::default()
                };
                if let Some(row) = read(tx, &foreign)? {
                    kept.foreign = Foreign::parse(&row).unwrap_or_default();
                }
                let mut statement = tx.prepare(
                    "SELECT key, value FROM app_stanchion_services
                     WHERE service = ?1 AND key >= ?2 AND key < ?3",
                )?;
                // U+0020 follows U+001F.
                let end = format!("c{name}\u{20}");
                let rows = statement.query_map(params![State::NAME, streams, end], |row| {
                    Ok((row.get::<_, String>(0)?, row.get::<_, Vec<u8>>(1)?))
                })?;
                for row in rows {
                    let (key, value) = row?;
                    let stream = key.get(streams.len()..).and_then(StreamId::parse);
                    if let (Some(stream), Some(cursor)) = (stream, StreamCursor::parse(&value)) {
                        kept.streams.push((stream, cursor));
                    }
                }
                Ok::<_, rusqlite::Error>(kept)
            })
            .await
    }
}

impl Item {
    /// Its id.
    #[must_use]
    pub const fn id(&self) -> &Text {
        &self.id
    }

    /// Where it is in its publisher's stream; none for publishers of another make.
    #[must_use]
    pub fn place(&self) -> Option<Place> {
        match self.done.what {
            What::Number { .. } => Place::of(&self.id),
            _ => None,
        }
    }

    /// Who published it, if the service says so.
    #[must_use]
    pub const fn publisher(&self) -> Option<&Jid> {
        self.publisher.as_ref()
    }

    /// What was published; none if the node has no payloads.
    #[must_use]
    pub const fn payload(&self) -> Option<&Element> {
        self.payload.as_ref()
    }

    /// Whether it comes after later ones, and after it was told to be missing.
    #[must_use]
    pub const fn is_late(&self) -> bool {
        self.late
    }

    /// Says that the item has taken effect: durable when this resolves, and then it never
    /// comes again. If the process ends in between, it does.
    ///
    /// # Errors
    /// [`ItemError`].
    pub async fn commit(self) -> Result<(), ItemError> {
        commit(&self.store, vec![self.done], |_| {
            Ok::<_, rusqlite::Error>(())
        })
        .await
    }

    /// Commits the item together with an effect in tables of the store's file whose names
    /// begin with `app_`: both are durable when this resolves, or neither ever is. Gives
    /// what the effect gave. This is exactly once, whatever ends the process when. It runs
    /// in the store's thread and holds it up; see
    /// [`Received::commit_with`](stanchion_reliability::session::Received::commit_with).
    ///
    /// # Errors
    /// [`ItemError`]; nothing is kept then.
    pub async fn commit_with<T, E, F>(&self, effect: F) -> Result<T, ItemError>
    where
        T: Send + 'static,
        E: Into<EffectFailure>,
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        commit(&self.store, vec![self.done.clone()], effect).await
    }

    /// Commits several items and their effect at once: all are durable when this resolves,
    /// or none ever is. One transaction costs about as much as one item's.
    ///
    /// # Errors
    /// [`ItemError`]; nothing is kept then.
    pub async fn commit_all<T, E, F>(items: &[Self], effect: F) -> Result<T, ItemError>
    where
        T: Send + Default + 'static,
        E: Into<EffectFailure>,
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let Some(first) = items.first() else {
            return Ok(T::default());
        };
        let done = items.iter().map(|item| item.done.clone()).collect();
        commit(&first.store, done, effect).await
    }
}

impl Gap {
    /// Whose items are missing; none if they are of publishers of another make, and then
    /// it is not known how many.
    #[must_use]
    pub const fn stream(&self) -> Option<&StreamId> {
        self.stream.as_ref()
    }

    /// The first number that is missing.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// The last number that is missing.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// Says that the gap was seen to: it is not told again.
    ///
    /// # Errors
    /// [`ItemError`].
    pub async fn commit(self) -> Result<(), ItemError> {
        self.commit_with(|_| Ok::<_, rusqlite::Error>(())).await
    }

    /// The same, together with an effect: as [`Item::commit_with`].
    ///
    /// # Errors
    /// [`ItemError`].
    pub async fn commit_with<T, E, F>(&self, effect: F) -> Result<T, ItemError>
    where
        T: Send + 'static,
        E: Into<EffectFailure>,
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        match &self.done {
            Some(done) => commit(&self.store, vec![done.clone()], effect).await,
            None => Ok(self.store.transact(effect).await?),
        }
    }
}

/// The effect and the row, or neither.
async fn commit<T, E, F>(store: &Transactor, done: Vec<Done>, effect: F) -> Result<T, ItemError>
where
    T: Send + 'static,
    E: Into<EffectFailure>,
    F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
{
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let touched = i64::try_from(since.unwrap_or_default().as_secs()).unwrap_or(i64::MAX);
    let gave = store.transact(move |tx| {
        for done in &done {
            if !done.write(tx, touched)? {
                return Err(Box::new(Holes) as EffectFailure);
            }
        }
        let gave = effect(tx).map_err(Into::into)?;
        Ok::<_, EffectFailure>(gave)
    });
    match gave.await {
        Err(TransactError::Effect(EffectError::Failed(failure))) if failure.is::<Holes>() => {
            Err(ItemError::TooManyHoles)
        }
        gave => Ok(gave?),
    }
}

/// Nothing of a transaction is to be kept: a row would hold too many holes.
#[derive(Debug, thiserror::Error)]
#[error("too many holes")]
struct Holes;

impl Done {
    /// Changes the row. False if it holds no more, and then nothing is changed.
    fn write(&self, tx: &Transaction<'_>, touched: i64) -> Result<bool, rusqlite::Error> {
        let row = read(tx, &self.key)?.unwrap_or_default();
        let value = match self.what {
            What::Number { from, number } => {
                let mut cursor = StreamCursor::parse(&row).unwrap_or_default();
                if from < number {
                    cursor.done.insert(from, number);
                }
                if !cursor.item(number) {
                    return Ok(false);
                }
                cursor.touched = touched;
                cursor.to_bytes()
            }
            What::Gap { first, last } => {
                let mut cursor = StreamCursor::parse(&row).unwrap_or_default();
                if !cursor.gap(first, last) {
                    return Ok(false);
                }
                cursor.touched = touched;
                cursor.to_bytes()
            }
            What::Foreign(print) => {
                let mut foreign = Foreign::parse(&row).unwrap_or_default();
                foreign.remember(print);
                foreign.to_bytes()
            }
        };
        let key = self.key.clone();
        shelf::apply(tx, State::NAME, &Change::Put { key, value })?;
        Ok(true)
    }
}

fn read(tx: &Transaction<'_>, key: &str) -> Result<Option<Vec<u8>>, rusqlite::Error> {
    tx.prepare_cached("SELECT value FROM app_stanchion_services WHERE service = ?1 AND key = ?2")?
        .query_row(params![State::NAME, key], |row| row.get(0))
        .optional()
}

/// Items of one subscription that may be in the application's hands.
pub(super) fn in_hand() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(IN_HAND))
}

/// The name of a node's rows.
pub(super) fn rows_of(service: Option<&Jid>, node: &Text) -> Arc<str> {
    name_of(service, node).into()
}

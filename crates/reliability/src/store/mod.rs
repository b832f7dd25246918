//! The durable store under the engine: the outbox, the inbox with its
//! deduplication keys, and small values. This file owns the seam; what the
//! records mean, and when to submit them, is the engine's.
//!
//! Two stores stand behind [`Store`]: [`SqliteStore`] and, for tests and the
//! simulator, [`MemoryStore`].
//!
//! # Order and durability
//! - [`Store::submit`] only enqueues; it never blocks. The order of the calls
//!   is the order of application, however the tickets are polled.
//! - A batch is one transaction. Its [`Ticket`] resolves once the batch is on
//!   stable storage, or with an error. **An error means "perhaps kept".**
//! - Batches that wait together share one transaction and one fsync (group
//!   commit); no batch waits for company.
//! - Reads queue behind the batches: a read sees every batch submitted before
//!   it, and only durable ones.
//! - After a storage error the store fails closed until [`Store::reopen`].
//! - At most [`QUEUE`] requests wait. The caller bounds the bytes in them.
//!
//! ```
//! use stanchion_reliability::store::{
//!     Image, InboundKey, MemoryStore, NewInbound, Op, OpResult, Opening, Seed, Store, WallTime,
//! };
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = WallTime::from_unix_ms(1_700_000_000_000);
//! let store = MemoryStore::open(Image::default(), &Opening::new(Seed::from_os()?, now))?;
//! let arrived = Op::PutInbound(NewInbound {
//!     key: InboundKey::new("pump@plant.example", "01890a5d"),
//!     from_full: "pump@plant.example/a".into(),
//!     stanza: "<message/>".into(),
//!     received_at: now,
//!     handed: false,
//! });
//! // The second of two equal stanzas is known as a duplicate.
//! let committed = store.submit(vec![arrived.clone(), arrived])?.await?;
//! assert_eq!(committed.results[0], OpResult::Kept { arrival: 1 });
//! assert!(matches!(committed.results[1], OpResult::Duplicate { .. }));
//! # Ok(())
//! # }
//! ```

mod effect;
mod error;
mod lock;
mod memory;
mod op;
mod pending;
mod record;
pub(crate) mod sqlite;

use std::fmt;

pub use effect::{APP_PREFIX, Effect, EffectAnswer, EffectError, EffectFailure};
pub use error::{Misuse, StoreError};
pub use memory::{Fault, Image, MemoryControl, MemoryStore};
pub use op::{Committed, MAX_BATCH, MAX_OPAQUE, MAX_TEXT, Op, OpResult, PRUNE_STEP, Retention};
pub use pending::{Busy, Closing, Pending};
pub use record::{
    Check, Identity, InboundKey, InboundRecord, InboundState, NewInbound, Opaque, Opening,
    OutboundRecord, OutboundState, Reason, Seed, StoreId, WallTime,
};
/// The SQLite of [`SqliteStore`], for what an [`Effect`] does.
pub use rusqlite;
pub use sqlite::{SqliteReader, SqliteStore, TransactError, Transactor};

/// Requests that may wait in a store, at most.
pub const QUEUE: usize = 1024;
/// Records in one page of a read, at most; a larger limit is cut to it.
pub const MAX_PAGE: usize = 1024;

/// What the keys of the engine's values start with. There are as many as it has
/// channels and peers, which it bounds.
pub const STATE: &str = "delivery/";

/// The answer to [`Store::submit`]: resolves once the batch is durable.
pub type Ticket = Pending<Committed>;

/// Durable storage for one device. See the [module](self) for its laws.
///
/// Reads answer [`StoreError::Busy`] when the queue is full, and all calls
/// [`StoreError::Closed`] after a close or a crash of the store.
pub trait Store: fmt::Debug + Send + Sync {
    /// Who this store is, as of its opening. `reopen` does not change it.
    fn identity(&self) -> &Identity;

    /// Enqueues one batch of at most [`MAX_BATCH`] ops as one transaction.
    ///
    /// A batch that breaks a bound resolves to [`StoreError::Misuse`] and
    /// changes nothing. An empty batch resolves once all before it are durable.
    ///
    /// # Errors
    /// [`Busy`] gives the batch back when [`QUEUE`] requests wait.
    fn submit(&self, batch: Vec<Op>) -> Result<Ticket, Busy>;

    /// Whether [`Store::submit_with`] runs effects. The default does not.
    fn runs_effects(&self) -> bool {
        false
    }

    /// As [`Store::submit`], with one effect for each [`Op::Apply`] of the batch, in the
    /// same order. An effect that fails undoes nothing but itself and its op: the rest of
    /// the batch commits. The batch resolves to [`Misuse::Effects`] if they do not match,
    /// and to [`Misuse::NoTransactions`] in a store that runs none.
    ///
    /// # Errors
    /// [`Busy`], with the effects, as they were given.
    fn submit_with(
        &self,
        _batch: Vec<Op>,
        _effects: Vec<Effect>,
    ) -> Result<Ticket, (Busy, Vec<Effect>)> {
        Ok(Pending::ready(Err(StoreError::Misuse(
            Misuse::NoTransactions,
        ))))
    }

    /// What an engine needs at its start: the first `limit` open messages of
    /// each side, in order. Read on with the pages.
    fn recover(&self, limit: usize) -> Pending<Recovered>;

    /// One outbound message.
    fn outbound(&self, id: &str) -> Pending<Option<OutboundRecord>>;

    /// Outbound messages in the order of `seq`.
    fn outbound_page(&self, query: OutboundQuery) -> Pending<Vec<OutboundRecord>>;

    /// Undecided outbound messages whose deadline is at or before `by`,
    /// earliest first. With [`WallTime::MAX`] and 1 it tells the next deadline.
    fn due(&self, by: WallTime, limit: usize) -> Pending<Vec<OutboundRecord>>;

    /// One inbound message, or what deduplication keeps of it.
    fn inbound(&self, key: &InboundKey) -> Pending<Option<InboundRecord>>;

    /// Inbound messages in the order of arrival.
    fn inbound_page(&self, query: InboundQuery) -> Pending<Vec<InboundRecord>>;

    /// One value.
    fn meta(&self, key: &str) -> Pending<Option<Opaque>>;

    /// Values whose key starts with `prefix` and sorts after `after` (by
    /// bytes), in that order.
    fn meta_page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Pending<Vec<(String, Opaque)>>;

    /// How much is kept. Reads whole tables: for people and for the start.
    fn counts(&self) -> Pending<Counts>;

    /// Closes the file, opens it again and verifies all of it. On success the
    /// store lives on under the same identity; what was submitted before the
    /// call has been answered. Await it before submitting more.
    fn reopen(&self) -> Pending<()>;

    /// Stops taking requests, answers those that wait, closes. Dropping a
    /// store does the same and blocks until it is done.
    fn close(self: Box<Self>) -> Closing;
}

/// What an engine starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Who the store is.
    pub identity: Identity,
    /// The lowest `seq` never used, 1 in a new store.
    pub next_seq: u64,
    /// The first pending outbound messages.
    pub outbound: Vec<OutboundRecord>,
    /// The first unhandled inbound messages.
    pub inbound: Vec<InboundRecord>,
    /// How much is kept in all.
    pub counts: Counts,
    /// The engine's values: all whose key starts with [`STATE`].
    pub state: Vec<(String, Opaque)>,
    /// Recipient and channel of every pending outbound message, each pair once, in
    /// order.
    pub lanes: Vec<(String, String)>,
}

/// Which outbound messages to list. The default is the first 100 pending ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboundQuery {
    /// By state.
    pub filter: OutboundFilter,
    /// Only those to this JID, exactly as stored.
    pub to: Option<String>,
    /// Only those of this channel.
    pub channel: Option<String>,
    /// Only those with a higher `seq`.
    pub after: u64,
    /// At most so many, up to [`MAX_PAGE`].
    pub limit: usize,
}

impl Default for OutboundQuery {
    fn default() -> Self {
        Self {
            filter: OutboundFilter::Pending,
            to: None,
            channel: None,
            after: 0,
            limit: 100,
        }
    }
}

/// Outbound messages by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutboundFilter {
    /// Without a final state.
    Pending,
    /// With a final state.
    Final,
    /// Both.
    All,
}

/// Which inbound messages to list. The default is the first 100 unhandled ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboundQuery {
    /// By state.
    pub filter: InboundFilter,
    /// Only those from this bare JID, exactly as stored.
    pub from_bare: Option<String>,
    /// Only those that arrived after this one.
    pub after: u64,
    /// At most so many, up to [`MAX_PAGE`].
    pub limit: usize,
}

impl Default for InboundQuery {
    fn default() -> Self {
        Self {
            filter: InboundFilter::Unhandled,
            from_bare: None,
            after: 0,
            limit: 100,
        }
    }
}

/// Inbound messages by state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InboundFilter {
    /// `Kept` or `Handed`.
    Unhandled,
    /// `Handled`.
    Handled,
    /// Both.
    All,
}

/// How much a store keeps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Outbound messages `Accepted`.
    pub accepted: u64,
    /// Outbound messages `InFlight`.
    pub in_flight: u64,
    /// Outbound messages `ServerAccepted`.
    pub server_accepted: u64,
    /// Outbound messages `InDoubt` that still wait for an answer.
    pub in_doubt: u64,
    /// Outbound messages with a final state.
    pub finished: u64,
    /// Bytes of the stanzas of outbound messages without outcome, not even in doubt.
    pub pending_bytes: u64,
    /// Inbound messages `Kept`.
    pub kept: u64,
    /// Inbound messages `Handed`.
    pub handed: u64,
    /// Inbound messages `Handled`, which is also the number of keys that only
    /// deduplicate.
    pub handled: u64,
}

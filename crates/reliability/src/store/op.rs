//! Durable changes as plain data, their results, and the bounds a batch keeps.
//! What they do is in `sqlite::apply` and, the same, in `memory::tables`.

use std::time::Duration;

use super::error::Misuse;
use super::record::{
    InboundKey, InboundState, NewInbound, Opaque, OutboundRecord, OutboundState, WallTime,
};

/// Ops in one batch, at most.
pub const MAX_BATCH: usize = 512;
/// Bytes of an id, JID, channel, reason or meta key, at most.
pub const MAX_TEXT: usize = 4096;
/// Bytes of a stanza or meta value, at most: 16 MiB.
pub const MAX_OPAQUE: usize = 16 * 1024 * 1024;
/// Rows one prune op changes at most, so that it holds up no batch behind it.
pub const PRUNE_STEP: u64 = 4096;

/// One durable change. A batch of them is one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Op {
    /// Adds a message to the outbox. Gives `Done`, `OutboundExists` if the id
    /// is there, or `SeqTaken` if its `seq` is not above every earlier one.
    PutOutbound(OutboundRecord),
    /// Moves a message. Gives `Done`, `AlreadyFinal` or `NotFound`.
    SetOutboundState {
        /// The message.
        id: String,
        /// Its new state.
        state: OutboundState,
        /// Now.
        at: WallTime,
    },
    /// Notes how often a message was transmitted. Gives `Done`,
    /// `AlreadyFinal` or `NotFound`.
    SetOutboundAttempts {
        /// The message.
        id: String,
        /// Transmissions so far.
        attempts: u32,
        /// Now.
        at: WallTime,
    },
    /// Gives a message more time: its deadline becomes `deadline`, unless it is
    /// later already or there is none. Gives `Done`, `AlreadyFinal` or
    /// `NotFound`.
    ///
    /// For whoever opens the store between two sessions: an engine that lives on
    /// it goes by the deadline that it has read.
    ExtendDeadline {
        /// The message.
        id: String,
        /// By when an outcome is due.
        deadline: WallTime,
        /// Now.
        at: WallTime,
    },
    /// Removes final messages last changed before a time, oldest first, at
    /// most [`PRUNE_STEP`]. Gives `Pruned`.
    PruneOutbound {
        /// Messages changed at this time or later stay.
        before: WallTime,
    },
    /// Removes the oldest final messages while there are more of them than
    /// `keep_rows`, or their stanzas have more than `keep_bytes`; at most
    /// [`PRUNE_STEP`]. Gives `Pruned`.
    TrimOutbound {
        /// Bytes of stanzas that may stay.
        keep_bytes: u64,
        /// Messages that may stay.
        keep_rows: u64,
    },
    /// Keeps a received message. Whether it is a duplicate is decided here, in
    /// the transaction. Gives `Kept`, or `Duplicate` and changes nothing.
    PutInbound(NewInbound),
    /// Notes, before the application acts, that it is given the message, or begins with it
    /// again.
    /// Gives `Done`, `AlreadyHandled` or `NotFound`.
    MarkHanded {
        /// The message.
        key: InboundKey,
        /// Now.
        at: WallTime,
    },
    /// Notes that the application committed the message. Gives `Done`,
    /// `AlreadyHandled` or `NotFound`.
    MarkHandled {
        /// The message.
        key: InboundKey,
        /// Now.
        at: WallTime,
    },
    /// Runs the application's [`Effect`](super::Effect) that goes with it in
    /// [`Store::submit_with`](super::Store::submit_with), and notes that the
    /// application committed the message. Gives `Done`; `EffectFailed` if the effect
    /// failed, and then neither is done; or, with the effect left undone,
    /// `AlreadyHandled` or `NotFound`. Without an effect in the batch: `EffectFailed`.
    Apply {
        /// What names the effect to whoever submits the batch; the store ignores it.
        arrival: u64,
        /// The message.
        key: InboundKey,
        /// Now.
        at: WallTime,
    },
    /// Removes a message that will never be handed over. Gives `Done`,
    /// `AlreadyHandled` or `NotFound`.
    DropInbound {
        /// The message.
        key: InboundKey,
    },
    /// Counts the hand-overs of a message anew, from 1: that there was one stays
    /// known, as the application may have acted on it. A message that is `Kept`
    /// stays so. Gives `Done`, `AlreadyHandled` or `NotFound`.
    RestartHandOvers {
        /// The message.
        key: InboundKey,
        /// Now.
        at: WallTime,
    },
    /// Applies a retention to handled messages, oldest arrival first, at most
    /// [`PRUNE_STEP`] payloads and as many keys. Nothing else is touched:
    /// what is not `Handled` stays whole. Gives `Pruned`.
    PruneInbound {
        /// Payloads of messages handled before this time go; keys stay.
        payloads_before: WallTime,
        /// Keys of messages handled before this time go, down to
        /// `keep_at_least`.
        keys_before: WallTime,
        /// So many of the newest keys stay, whatever the clock says.
        keep_at_least: u64,
        /// No more keys than these stay. Wins over `keep_at_least`.
        keep_at_most: u64,
    },
    /// Removes the oldest payloads of handled messages while they have more than
    /// `keep_bytes`, at most [`PRUNE_STEP`]; keys stay. Gives `Pruned`.
    TrimInbound {
        /// Bytes of stanzas that may stay.
        keep_bytes: u64,
    },
    /// Sets a value of the engine or the application. Gives `Done`.
    PutMeta {
        /// Its key.
        key: String,
        /// Its value.
        value: Opaque,
    },
    /// Removes a value. Gives `Done` or `NotFound`.
    DeleteMeta {
        /// Its key.
        key: String,
    },
}

impl Op {
    /// Whether the op keeps the bounds. Call it on what a peer can influence
    /// before it enters a batch: one op out of bounds refuses the whole batch.
    ///
    /// # Errors
    /// The bound that is broken.
    pub fn check(&self) -> Result<(), Misuse> {
        match self {
            Self::PutOutbound(record) => {
                if record.seq == 0 || i64::try_from(record.seq.max(record.place)).is_err() {
                    return Err(Misuse::SeqOutOfRange(record.seq));
                }
                text("id", &record.id)?;
                text("to", &record.to)?;
                text("channel", &record.channel)?;
                opaque("stanza", &record.stanza)?;
                reason(&record.state)
            }
            Self::SetOutboundState { id, state, .. } => {
                text("id", id)?;
                reason(state)
            }
            Self::SetOutboundAttempts { id, .. } | Self::ExtendDeadline { id, .. } => {
                text("id", id)
            }
            Self::PutInbound(new) => {
                inbound_key(&new.key)?;
                text("from_full", &new.from_full)?;
                opaque("stanza", &new.stanza)
            }
            Self::MarkHanded { key, .. }
            | Self::MarkHandled { key, .. }
            | Self::Apply { key, .. }
            | Self::RestartHandOvers { key, .. }
            | Self::DropInbound { key } => inbound_key(key),
            Self::PutMeta { key, value } => {
                text("key", key)?;
                opaque("value", value)
            }
            Self::DeleteMeta { key } => text("key", key),
            Self::PruneOutbound { .. }
            | Self::PruneInbound { .. }
            | Self::TrimOutbound { .. }
            | Self::TrimInbound { .. } => Ok(()),
        }
    }
}

pub(super) fn check_batch(batch: &[Op]) -> Result<(), Misuse> {
    if batch.len() > MAX_BATCH {
        return Err(Misuse::BatchTooLarge(batch.len()));
    }
    batch.iter().try_for_each(Op::check)
}

/// The effects of a batch: one for each [`Op::Apply`], or none at all.
pub(super) fn check_effects(batch: &[Op], effects: usize) -> Result<(), Misuse> {
    let wanted = batch
        .iter()
        .filter(|op| matches!(op, Op::Apply { .. }))
        .count();
    if wanted != effects {
        return Err(Misuse::Effects { wanted, effects });
    }
    Ok(())
}

fn text(field: &'static str, value: &str) -> Result<(), Misuse> {
    bound(field, value.len(), MAX_TEXT)
}

fn opaque(field: &'static str, value: &[u8]) -> Result<(), Misuse> {
    bound(field, value.len(), MAX_OPAQUE)
}

fn reason(state: &OutboundState) -> Result<(), Misuse> {
    state
        .reason()
        .map_or(Ok(()), |reason| text("reason", &reason.0))
}

fn inbound_key(key: &InboundKey) -> Result<(), Misuse> {
    text("from_bare", &key.from_bare)?;
    text("id", &key.id)
}

fn bound(field: &'static str, bytes: usize, max: usize) -> Result<(), Misuse> {
    if bytes > max {
        return Err(Misuse::TooLong { field, bytes, max });
    }
    Ok(())
}

/// What one op did. A result is not an error: the rest of the batch commits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpResult {
    /// Done.
    Done,
    /// A new inbound message is kept.
    Kept {
        /// Its place in the order of arrival.
        arrival: u64,
    },
    /// The inbound message's key is known.
    Duplicate {
        /// The first one's place.
        arrival: u64,
        /// Where the first one stands.
        state: InboundState,
    },
    /// The outbound message's id is known.
    OutboundExists {
        /// Where it stands.
        state: OutboundState,
    },
    /// The outbound message's `seq` is not above every earlier one.
    SeqTaken {
        /// The lowest free one.
        next_seq: u64,
    },
    /// The outbound message has a final state, which stays.
    AlreadyFinal {
        /// That state.
        state: OutboundState,
    },
    /// The inbound message was handled before.
    AlreadyHandled,
    /// The application's effect failed, or there was none: the message is not handled.
    EffectFailed,
    /// Nothing has that id or key.
    NotFound,
    /// A prune went so far.
    Pruned {
        /// Payloads removed from rows that stay.
        payloads: u64,
        /// Rows removed.
        rows: u64,
        /// A bound stopped it: prune again.
        more: bool,
    },
}

/// A durable batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// One for each op, in order.
    pub results: Vec<OpResult>,
}

/// How long, and how much, is kept of messages that are done with: inbound ones that
/// are handled, and outbound ones with a final state. What has neither is never touched.
///
/// While a key is kept, a duplicate of its message is known as one; after it, it is
/// not. Keys are counted over all senders, so a flood of ids from one sender can
/// push out another's oldest: refuse strangers before they reach the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Payloads go this long after handling. Default 7 days.
    pub payload_age: Duration,
    /// Keys go this long after handling. Default 30 days.
    pub key_age: Duration,
    /// So many newest keys outlive `key_age`, as a clock that jumps ahead
    /// must not forget all. Default 10 000.
    pub keep_at_least: u64,
    /// The bound on keys, at about 200 bytes each. Default 100 000.
    pub keep_at_most: u64,
    /// The bound on the payloads of handled messages, in bytes. Default 64 MiB.
    pub payload_bytes: u64,
    /// Outbound messages go this long after their outcome. Default 7 days.
    pub outbound_age: Duration,
    /// The bound on the stanzas of outbound messages with an outcome, in bytes.
    /// Default 64 MiB.
    pub outbound_bytes: u64,
    /// The bound on the number of these, at about 300 bytes each without the stanza.
    /// Default 100 000.
    pub outbound_rows: u64,
}

impl Default for Retention {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        const MIB: u64 = 1024 * 1024;
        Self {
            payload_age: Duration::from_secs(7 * DAY),
            key_age: Duration::from_secs(30 * DAY),
            keep_at_least: 10_000,
            keep_at_most: 100_000,
            payload_bytes: 64 * MIB,
            outbound_age: Duration::from_secs(7 * DAY),
            outbound_bytes: 64 * MIB,
            outbound_rows: 100_000,
        }
    }
}

impl Retention {
    /// All of it, at time `now`: each op is one bounded step. Submit them again while
    /// a result says `more`.
    pub fn prune_all(&self, now: WallTime) -> [Op; 4] {
        [
            self.prune(now),
            Op::TrimInbound {
                keep_bytes: self.payload_bytes,
            },
            Op::PruneOutbound {
                before: now.before(self.outbound_age),
            },
            Op::TrimOutbound {
                keep_bytes: self.outbound_bytes,
                keep_rows: self.outbound_rows,
            },
        ]
    }

    /// The op that applies the ages and the bound on keys of inbound messages, at time
    /// `now`. Submit it again while its result says `more`.
    pub fn prune(&self, now: WallTime) -> Op {
        Op::PruneInbound {
            payloads_before: now.before(self.payload_age),
            keys_before: now.before(self.key_age),
            keep_at_least: self.keep_at_least,
            keep_at_most: self.keep_at_most,
        }
    }
}

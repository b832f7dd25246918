//! The engine's vocabulary: what goes in, what comes out. Plain data, no logic.

use std::time::Duration;

use bytes::Bytes;
use stanchion_connect::ResumeToken;
use stanchion_stanza::payload::delivery::Channel;
use stanchion_stanza::{BareJid, Element, Jid, Message, Stanza};

use super::management::HandledTooHigh;
use super::sending::MAX_STANZA;
use crate::lane::Lane;
use crate::outcome::Outcome;
use crate::protection::Protection;
use crate::store::{
    Committed, InboundKey, InboundRecord, Misuse, Op, OutboundRecord, StoreError, WallTime,
};

/// A point in time, as the driver's clocks tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Since a fixed moment of this process; never goes back.
    pub monotonic: Duration,
    /// The wall clock, for what is kept.
    pub wall: WallTime,
}

/// A message that the application gives.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Its id, chosen by the driver: unique for ever, a UUIDv7.
    pub id: String,
    /// Recipient.
    pub to: Jid,
    /// The whole stanza, with that id.
    pub stanza: Bytes,
    /// When an outcome is due.
    pub deadline: Option<WallTime>,
    /// What a stream must meet to carry it. One that is held back holds back its
    /// successors of the same channel, so that their order stays.
    pub protection: Protection,
    /// How it is delivered.
    pub mode: Mode,
}

/// How a message is delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mode {
    /// Once, and in the order of the channel, to a recipient that speaks the delivery
    /// protocol (`urn:stanchion:delivery:0`); to any other one as `AtLeastOnce`.
    ExactlyOnce(Channel),
    /// The same, but in any order: none waits for another, and of those that wait for
    /// their turn the newest goes first. Whether a channel keeps the order is fixed by its
    /// first message.
    Unordered(Channel),
    /// Until a receipt comes (XEP-0184): perhaps more than once, in any order.
    AtLeastOnce,
    /// Once or not at all, and kept nowhere: given to a stream that meets its protection,
    /// now or by its deadline. Without a deadline it waits for no stream. The recipient is
    /// asked for nothing, and servers are asked not to keep it, so the end of what is told
    /// is `Transmitted`.
    AtMostOnce,
    /// To a room, which sends no receipts (XEP-0184 §5.3) and tells no copies apart: given
    /// to a stream once, and again only where the server says that it has not handled it.
    /// What the room reflects to its sender, at once or as history after the next join,
    /// is `Acknowledged`; without that it is in doubt at its deadline, or at once if the
    /// process ended meanwhile.
    Room,
}

impl Default for Mode {
    /// Exactly once, on the channel `c`.
    fn default() -> Self {
        Lane::default()
            .channel()
            .map_or(Self::AtLeastOnce, Self::ExactlyOnce)
    }
}

/// What the engine is told.
#[derive(Debug)]
pub enum Input {
    /// The application sends. Refused with [`Event::Refused`] if the outbox is full.
    Send(Submission),
    /// The same, and the message takes the place of those with the same key on its channel
    /// to that recipient that were never transmitted and are in memory: they are
    /// `NotDelivered`.
    Replace {
        /// The message.
        submission: Submission,
        /// What it is a newer value of.
        key: String,
    },
    /// The application is about to act on a message that it was warned of: say it first,
    /// once, and act after [`Event::Begun`]. If the process ends before the message is decided
    /// about, that counts against it; see [`Event::Poisoned`].
    Begin {
        /// From [`Event::Message`].
        arrival: u64,
    },
    /// The application committed the message that arrived so.
    Commit {
        /// From [`Event::Message`].
        arrival: u64,
    },
    /// The same, with an effect that runs in the store's transaction: the next batch has
    /// an [`Op::Apply`] of that arrival, and whoever persists it gives the effect along.
    CommitWith {
        /// From [`Event::Message`].
        arrival: u64,
    },
    /// The application will never act on the message that arrived so, and has not: its
    /// sender is told that it is not delivered.
    Reject {
        /// From [`Event::Message`].
        arrival: u64,
    },
    /// The application takes a message back. Its outcome follows: `NotDelivered` if it
    /// has not taken effect and never will. An id that is not in memory is ignored.
    Cancel {
        /// From [`Event::Accepted`].
        id: String,
    },
    /// Nobody will ever answer for that recipient: what is in doubt there stays so for
    /// good, and holds up nothing any more.
    Forget(Jid),
    /// The addresses of this device, the primary one first, at most eight. Recipients are
    /// told, so that messages and answers from each of them count.
    Addresses(Vec<BareJid>),
    /// The store answered a [`Output::Persist`]. Answers of the store, these and
    /// [`Input::Loaded`], come in the order of the outputs that asked for them.
    Persisted(Result<Committed, StoreError>),
    /// The store answered a [`Output::Load`].
    Loaded(Loaded),
    /// A stream is ready.
    Connected {
        /// Bound or resumed.
        stream: Stream,
        /// What it offers.
        protection: Protection,
    },
    /// The stream that there is can be resumed by that, whatever its `h`; or not, or not
    /// any more. Say it after [`Input::Connected`] and before anything is received: what
    /// is needed to resume it is then kept for the next process, too.
    Resumable(Option<ResumeToken>),
    /// The stream is gone.
    Disconnected,
    /// The server ends the stream with an error that blames what it was sent; before
    /// [`Input::Disconnected`]. A message that three streams end over is sent no more.
    Blamed,
    /// The server takes stanzas of so many bytes (XEP-0478); before [`Input::Connected`].
    /// Until it is told there is no such bound.
    MostBytes(usize),
    /// A top-level element was received.
    Received(Element),
    /// One was received between binding and the beginning of stream management: it is
    /// not counted.
    ReceivedEarly(Element),
    /// What an archive has, in its order: each is taken as if it had been received, and
    /// kept once. [`Event::Archived`] says how many were taken. Of those that are not worth
    /// keeping nothing is told, as whoever reads the archive has them, and there is no
    /// [`Event::Transient`].
    Archived {
        /// For [`Event::Archived`].
        ticket: u64,
        /// As they were sent; [`SLICE`](super::SLICE) at most are taken at once.
        messages: Vec<Message>,
    },
    /// That room is to be entered, and is not yet: what is said in it waits for
    /// [`Input::EnterRoom`], now and at the beginning of each new session.
    HoldRoom {
        /// The room.
        room: BareJid,
        /// Its archive is going to be read: what it says waits, too, and need not be
        /// durable, as the archive has it.
        gather: bool,
    },
    /// The room was entered, and its archive, if there is one, read to its end:
    /// [`Event::Entered`] says whether nothing is missing.
    EnterRoom {
        /// For [`Event::Entered`].
        ticket: u64,
        /// The room.
        room: BareJid,
        /// The archive was read to its end after the room was entered. What was said on an
        /// earlier stream and was not seen since is then not in the room: it is said again.
        settled: bool,
    },
    /// The room is left for good: it is as any other recipient.
    LeaveRoom(BareJid),
    /// The stream is about to be closed by us.
    Closing,
    /// Sends a stanza that needs no receipt: presence, an iq. On the stream there is,
    /// however protected, and again if that one is resumed: what may go is the caller's
    /// affair. Receipts go out likewise.
    Transmit(Element),
    /// Time has passed.
    Tick,
}

/// What the engine must know of a new stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// A new session.
    Bound {
        /// Whether stream management is enabled.
        managed: bool,
        /// What the server said that it handled on the lost stream
        /// (`<failed h='…'/>`), if it did.
        handled: Option<u32>,
    },
    /// The old session goes on; the server handled `h` stanzas (XEP-0198 §5).
    Resumed {
        /// The server's count.
        h: u32,
    },
}

/// What is read from the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Load {
    /// Pending outbound messages of a lane after `seq`, in order.
    Lane {
        /// The recipient, as the store has it.
        to: String,
        /// The channel, as the store has it.
        channel: String,
        /// The last one known.
        after: u64,
        /// At most so many.
        limit: usize,
    },
    /// Undecided outbound messages that are due, and when the next one is.
    Due {
        /// Deadline or earlier.
        by: WallTime,
        /// At most so many.
        limit: usize,
    },
    /// Unhandled inbound messages after `arrival`, in order.
    Inbound {
        /// The last one known.
        after: u64,
        /// At most so many.
        limit: usize,
    },
    /// One inbound message.
    One(InboundKey),
}

/// What was read.
#[derive(Debug)]
pub enum Loaded {
    /// For [`Load::Lane`].
    Lane(Vec<OutboundRecord>),
    /// For [`Load::Due`].
    Due {
        /// Those that are due.
        records: Vec<OutboundRecord>,
        /// The earliest deadline of all that are undecided, these included.
        next: Option<WallTime>,
    },
    /// For [`Load::Inbound`].
    Inbound(Vec<InboundRecord>),
    /// For [`Load::One`].
    One(Option<InboundRecord>),
}

/// What is to be done, in this order.
#[derive(Debug)]
pub enum Output {
    /// Make these durable as one transaction, and answer with [`Input::Persisted`].
    Persist(Vec<Op>),
    /// Read, and answer with [`Input::Loaded`].
    Load(Load),
    /// Put whole stanzas on the stream's queue. Flush at [`Output::Wait`], in one write.
    Transmit(Bytes),
    /// Drop the connection and make a new one, which resumes the session only if
    /// [`ReconnectReason::is_resumable`].
    Reconnect(ReconnectReason),
    /// Tell the application.
    Event(Event),
    /// Nothing more. Come back at that time (monotonic) if nothing happens before.
    Wait(Option<Duration>),
}

/// Why a stream is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReconnectReason {
    /// A probe was not answered: a half-open link or a hung server. Also a server that
    /// goes on talking, but answers no request for much longer.
    #[error("the server did not answer within {0:?}")]
    Silent(Duration),
    /// The same of a session that was resumed, on which the server has answered no request
    /// since: servers lose what a resumed session says.
    #[error("the server did not answer within {0:?} since the session was resumed")]
    SilentSinceResumed(Duration),
    /// The server broke XEP-0198.
    #[error("{0}")]
    HandledTooHigh(#[from] HandledTooHigh),
    /// The server takes stanzas but acknowledges none.
    #[error("the server left {0} stanzas unacknowledged")]
    Unacknowledged(usize),
    /// A recipient has an address at another server of this device, and cannot be reached
    /// from this one: the servers do not talk to each other.
    #[error("a recipient cannot be reached from this server, and may be from another one")]
    Unreachable,
}

impl ReconnectReason {
    /// Whether the lost session may be resumed. If not, what the two sides counted
    /// does not fit together: resuming would end in the same way, for ever.
    #[must_use]
    pub const fn is_resumable(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::SilentSinceResumed(_)
            | Self::HandledTooHigh(_)
            | Self::Unacknowledged(_)
            | Self::Unreachable => false,
        }
    }
}

/// What the application is told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The message is durable: it survives this process. Of one that is
    /// [at most once](Mode::AtMostOnce): it was taken.
    Accepted {
        /// Its id.
        id: String,
    },
    /// It was not taken: the outbox is full, or the store refused it.
    Refused {
        /// Its id.
        id: String,
        /// Why.
        why: Refusal,
    },
    /// The server has taken responsibility for it (XEP-0198 §4); that proves nothing.
    ServerAccepted {
        /// Its id.
        id: String,
    },
    /// What became of it. A definite outcome may follow an `InDoubt`.
    Outcome {
        /// Its id.
        id: String,
        /// What.
        outcome: Outcome,
    },
    /// A message arrived and is durable. Commit it to have it acknowledged.
    Message {
        /// For [`Input::Commit`].
        arrival: u64,
        /// The message.
        message: Box<Message>,
        /// It was received by an earlier process, which may have acted on it. Say
        /// [`Input::Begin`] before this one does.
        maybe_redelivered: bool,
    },
    /// Messages of an archive are durable.
    Archived {
        /// From [`Input::Archived`].
        ticket: u64,
        /// So many, from the first on, that need not be given again. If it is not all, there
        /// is no room now: give the rest again later.
        taken: usize,
    },
    /// A room is entered, and what it said meanwhile is durable.
    Entered {
        /// From [`Input::EnterRoom`].
        ticket: u64,
        /// If not, it said more than could wait, which is to be read from its archive,
        /// after what was read last. Then say [`Input::EnterRoom`] again.
        entered: bool,
    },
    /// That the application acts on a message again is durable: it may.
    Begun {
        /// From [`Input::Begin`].
        arrival: u64,
    },
    /// What the application decided about a received message.
    Decided {
        /// From [`Event::Message`].
        arrival: u64,
        /// It is durable. If not, nothing has changed: the effect failed, so that the
        /// application still holds the message, or it holds none of that arrival.
        done: bool,
    },
    /// A sender goes on where this store knows of no beginning: the store may have been
    /// restored from a backup, and what it had received since can come again.
    RolledBack {
        /// Who sent it.
        from: Jid,
    },
    /// The recipient's clock is ahead so far that messages came too late by it; deadlines
    /// are told in its time from now on.
    ClockSkew {
        /// The recipient.
        to: Jid,
        /// How far.
        ahead: Duration,
    },
    /// Another process lives from a copy of this store: nothing more is sent on that
    /// channel. Find it, and give one of them a new store.
    Cloned {
        /// The recipient.
        to: Jid,
        /// The channel.
        channel: String,
    },
    /// A received message was handed over, and [begun](Input::Begin) twice after that, and
    /// its consumer ended each time before it committed it: it is handed over no more, and
    /// its sender is told that it may have taken effect.
    Poisoned {
        /// Its place in the inbox.
        arrival: u64,
        /// Who sent it.
        from: String,
    },
    /// A stanza that is not kept: presence, an answer, a message without body.
    Transient(Box<Stanza>),
    /// The store failed: nothing is acknowledged any more. Reopen it and make a new
    /// engine from what it recovers, which [succeeds](super::Engine::succeed) this one.
    StoreFailed(StoreError),
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Too many recipients and channels at a time.
    #[error("the outbox has {0} lanes with messages; wait for some, or raise the bound")]
    TooManyLanes(usize),
    /// The channel keeps the order of its messages, or does not, since its first one.
    #[error("channel {channel} is {} since its first message; use another one",
        if *unordered { "unordered" } else { "in order" })]
    OtherOrder {
        /// The channel.
        channel: String,
        /// What it is.
        unordered: bool,
    },
    /// Too many messages without outcome, or too many bytes.
    #[error(
        "the outbox holds {messages} messages without outcome, {bytes} bytes; wait for some, or \
         raise the bounds"
    )]
    OutboxFull {
        /// How many.
        messages: usize,
        /// Of their stanzas.
        bytes: u64,
    },
    /// Too many messages that are sent at most once wait for a stream.
    #[error("{0} messages that are sent at most once wait for a connection; send fewer at a time")]
    TooManyFleeting(usize),
    /// It does not leave room for what is added on the way.
    #[error(
        "the message has {0} bytes; shorten it to {max}, so that what is added on the way fits",
        max = MAX_STANZA
    )]
    TooBig(usize),
    /// Names of channels that begin with `_` are the engine's own.
    #[error("the channel {0} cannot be used: choose a name that does not begin with _")]
    Reserved(Channel),
    /// The store did not take it: it has a message of that id, in whatever state.
    #[error("the store did not take the message; it has one of that id")]
    Store,
    /// Its id, its address or the stanza is too long for the store.
    #[error("the message does not fit into the store: {0}")]
    Misuse(#[source] Misuse),
}

/// Counts since the engine was made, for people and measurements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Messages accepted from the application.
    pub accepted: u64,
    /// Transmissions of messages, first ones and others.
    pub transmitted: u64,
    /// Transmissions that were not the first.
    pub retransmitted: u64,
    /// Transmissions of messages that shared a stanza with others.
    pub bundled: u64,
    /// Messages acknowledged by their recipients.
    pub acknowledged: u64,
    /// Messages delivered: committed by their recipients' applications.
    pub delivered: u64,
    /// Cancels transmitted.
    pub cancels: u64,
    /// Epochs of channels that were closed for another one.
    pub rotations: u64,
    /// Verdicts transmitted.
    pub verdicts: u64,
    /// Messages that expired unsent.
    pub not_delivered: u64,
    /// Messages that went into doubt.
    pub in_doubt: u64,
    /// New messages received.
    pub received: u64,
    /// Copies received of messages that were there already.
    pub duplicates: u64,
    /// Receipts, errors and acknowledgements that fitted nothing.
    pub ignored: u64,
}

/// How much an engine holds in memory. Each of these has a bound, whatever peers and
/// server do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Footprint {
    /// Outbound messages; at most [`in_memory`](super::EngineConfig::in_memory), and one for
    /// each lane beside, apart from those in doubt.
    pub window: usize,
    /// Stanzas that the server has not acknowledged.
    pub unacknowledged: usize,
    /// Received messages that are not durable yet.
    pub arriving: usize,
    /// Received messages that the application has not committed; at most
    /// [`hand_over`](super::EngineConfig::hand_over).
    pub handed_over: usize,
    /// Messages in doubt that a receipt can still settle.
    pub doubts: usize,
    /// Changes that the store has not answered.
    pub committing: usize,
}

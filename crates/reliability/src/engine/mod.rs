//! The reliability engine, without I/O: no sockets, no clock, no store, no runtime.
//!
//! Two verbs and one law: give it inputs with [`Engine::handle`], then take outputs
//! with [`Engine::poll_output`] until it says [`Output::Wait`]. Outputs are plain data
//! in the order in which they must happen: a batch that is persisted, a stanza that is
//! transmitted, an event for the application.
//!
//! ```text
//!            Send ──► persist ──► transmit ──► <a/> ──► receipt ──► Acknowledged
//! application                        ▲  timer, new stream │
//!            ◄── hand over ◄── persist ◄── stanza         ▼
//!  Commit ──► persist ──► receipt            deadline: NotDelivered | InDoubt
//! ```
//!
//! Laws, each with a test of that name in `tests/`:
//! nothing is transmitted before it is durable; nothing is acknowledged to the server
//! before it is durable; no receipt leaves before the application committed; a
//! message's id never changes; what was never given to a transport, and only that, may
//! become `NotDelivered` at its deadline.
//!
//! Connections are made by `connect`, and what to do with outputs is the driver's.

mod config;
mod inbound;
mod management;
mod outbound;
mod respond;
mod rto;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use stanchion_stanza::payload::ping::Ping;
use stanchion_stanza::payload::receipts::Received;
use stanchion_stanza::payload::sm::{Ack, AckRequest};
use stanchion_stanza::stanza::{DefinedCondition, MessageType, PresenceType};
use stanchion_stanza::{
    BareJid, Element, Encoder, Iq, Jid, Limits, Message, Payload as _, Presence, Scope, Stanza, Text, parse_element,
};

use crate::outcome::{InDoubt, NotDelivered, Outcome};
use crate::store::{
    Committed, Identity, InboundRecord, InboundState, NewInbound, Op, OpResult, OutboundRecord, OutboundState, Reason,
    Recovered, Retention, StoreError, WallTime,
};

pub use config::EngineConfig;
pub use management::HandledTooHigh;
pub use rto::RtoConfig;

use inbound::{Inbox, Origin, Receipt};
use management::{Management, Slot, Unacked};
use outbound::{Flight, Stage, Window};

/// Ops put into one batch at most; the store takes 512.
const BATCH: usize = 256;
/// Messages whose fate is unknown that a late receipt can still settle.
const DOUBTS: usize = 1024;
/// Received stanzas that may wait for the store before reading stops.
const ARRIVING: usize = 256;
/// Stanzas that the server may leave unacknowledged before no more messages go out;
/// servers themselves allow 100 and more.
const UNACKED: usize = 64;
/// Stanzas of any kind that it may leave unacknowledged before it is given up.
const UNACKED_MAX: usize = 1024;
/// Unacknowledged stanzas, such as receipts, after which an acknowledgement is asked
/// for although no message went out.
const ASK_AFTER: usize = 8;
/// How often what is past its retention is removed from the store.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// How long messages with an outcome are kept.
const KEEP_OUTCOMES: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The store is not asked more often than this for messages that are due; messages in
/// the window need no asking.
const DUE_PAUSE: Duration = Duration::from_millis(100);

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
}

/// What the engine is told.
#[derive(Debug)]
pub enum Input {
    /// The application sends. Refused with [`Event::Refused`] if the outbox is full.
    Send(Submission),
    /// The application committed the message that arrived so.
    Commit {
        /// From [`Event::Message`].
        arrival: u64,
    },
    /// The store answered a [`Output::Persist`]. Answers of the store, these and
    /// [`Input::Loaded`], come in the order of the outputs that asked for them.
    Persisted(Result<Committed, StoreError>),
    /// The store answered a [`Output::Load`].
    Loaded(Loaded),
    /// A stream is ready, bound or resumed.
    Connected(Stream),
    /// The stream is gone.
    Disconnected,
    /// A top-level element was received.
    Received(Element),
    /// Sends a stanza that needs no receipt: presence, an iq.
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Load {
    /// Pending outbound messages after `seq`, in order.
    Outbound {
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
}

/// What was read.
#[derive(Debug)]
pub enum Loaded {
    /// For [`Load::Outbound`].
    Outbound(Vec<OutboundRecord>),
    /// For [`Load::Due`].
    Due {
        /// Those that are due.
        records: Vec<OutboundRecord>,
        /// The earliest deadline of all that are undecided, these included.
        next: Option<WallTime>,
    },
    /// For [`Load::Inbound`].
    Inbound(Vec<InboundRecord>),
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
    /// Drop the connection and make a new one.
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
    /// A probe was not answered: a half-open link or a hung server.
    #[error("the server did not answer within {0:?}")]
    Silent(Duration),
    /// The server broke XEP-0198.
    #[error("{0}")]
    HandledTooHigh(#[from] HandledTooHigh),
    /// The server takes stanzas but acknowledges none.
    #[error("the server left {0} stanzas unacknowledged")]
    Unacknowledged(usize),
}

/// What the application is told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event {
    /// The message is durable: it survives this process.
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
        /// It was received by an earlier process, which may have acted on it.
        maybe_redelivered: bool,
    },
    /// A stanza that is not kept: presence, an answer, a message without body.
    Transient(Box<Stanza>),
    /// The store failed: nothing is acknowledged any more. Reopen it and make a new
    /// engine from what it recovers.
    StoreFailed(StoreError),
}

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Too many messages without outcome.
    #[error("the outbox holds {0} messages without outcome; wait for some, or raise the bound")]
    OutboxFull(usize),
    /// The store did not take it.
    #[error("the store did not take the message")]
    Store,
}

/// What is done once an op is durable.
#[derive(Debug)]
enum Effect {
    None,
    Accepted { seq: u64, id: String },
    Arrived { slot: Slot, message: Box<Message>, origin: Origin },
    Committed { origin: Origin },
    Report { id: String, outcome: Outcome },
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
    /// Messages acknowledged by their recipients.
    pub acknowledged: u64,
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

/// The engine. See the [module](self).
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    identity: Identity,
    now: Now,
    window: Window,
    inbox: Inbox,
    management: Management,
    connected: bool,
    next_seq: u64,
    /// Messages without outcome, in memory and in the store.
    pending: usize,
    /// The last seq that was in the window, and whether the store has later ones.
    loaded_seq: u64,
    more_in_store: bool,
    /// A read of the outbox on its way: up to which seq it sees everything, and how
    /// much it asked for.
    loading: Option<(u64, usize)>,
    /// The first message that this process received: earlier ones are an earlier
    /// process's.
    first_arrival: Option<u64>,
    /// When to ask the store for messages that are due but not in the window.
    look_for_due: Option<Duration>,
    /// Messages in doubt, oldest first: a receipt settles them still.
    doubts: VecDeque<(String, BareJid)>,
    /// Ops for the next batch, with what follows each.
    ops: Vec<(Op, Effect)>,
    /// What follows the batches that the store has.
    committing: VecDeque<Vec<Effect>>,
    outputs: VecDeque<Output>,
    encoder: Encoder,
    /// When the stream last showed life, and when the open request was made.
    heard_at: Duration,
    requested_at: Duration,
    /// An unmanaged stream is probed by a ping, sent and not answered.
    pinged: bool,
    prune_at: Duration,
    failed: bool,
    counters: Counters,
}

impl Engine {
    /// An engine over what a store recovered. `entropy` is any number, for jitter.
    #[must_use]
    pub fn new(config: EngineConfig, recovered: Recovered, now: Now, entropy: u64) -> Self {
        let counts = &recovered.counts;
        let pending = counts.accepted + counts.in_flight + counts.server_accepted;
        let mut engine = Self {
            config,
            identity: recovered.identity,
            now,
            window: Window::new(config, entropy),
            inbox: Inbox::default(),
            management: Management::default(),
            connected: false,
            next_seq: recovered.next_seq,
            pending: usize::try_from(pending).unwrap_or(usize::MAX),
            loaded_seq: 0,
            more_in_store: pending > 0,
            loading: None,
            first_arrival: None,
            look_for_due: (pending > 0).then_some(now.monotonic),
            doubts: VecDeque::new(),
            ops: Vec::new(),
            committing: VecDeque::new(),
            outputs: VecDeque::new(),
            encoder: Encoder::new(Scope::client(), Limits::default()),
            heard_at: now.monotonic,
            requested_at: now.monotonic,
            pinged: false,
            prune_at: now.monotonic,
            failed: false,
            counters: Counters::default(),
        };
        if counts.kept + counts.handed > 0 {
            engine.inbox.look_in_store();
        }
        engine
    }

    /// Counts so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Messages without outcome.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.pending
    }

    /// Whether another message would be taken.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.pending < self.config.outbox
    }

    /// Whether received stanzas are welcome. If not, leave them in the socket until
    /// the store has caught up.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.management.arriving() + self.committing.iter().map(Vec::len).sum::<usize>() < ARRIVING
    }

    /// Stanzas handled on the current or lost stream, for `<resume h='…'/>`.
    #[must_use]
    pub const fn handled(&self) -> u32 {
        self.management.h()
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input) {
        self.now = now;
        if self.failed {
            return;
        }
        match input {
            Input::Send(submission) => self.submit(submission),
            Input::Commit { arrival } => self.commit(arrival),
            Input::Persisted(Ok(committed)) => self.persisted(committed),
            Input::Persisted(Err(error)) => {
                self.failed = true;
                self.outputs.clear();
                self.event(Event::StoreFailed(error));
            }
            Input::Loaded(loaded) => self.loaded(loaded),
            Input::Connected(stream) => self.stream_ready(stream),
            Input::Disconnected => self.connected = false,
            Input::Received(element) => {
                self.heard_at = now.monotonic;
                self.pinged = false;
                self.received(element);
            }
            Input::Transmit(element) => self.transmit(&element),
            Input::Tick => {}
        }
    }

    /// The next output. After [`Output::Wait`], nothing changes until the next input.
    pub fn poll_output(&mut self) -> Output {
        if !self.failed && self.outputs.is_empty() {
            self.work();
        }
        self.outputs.pop_front().unwrap_or_else(|| Output::Wait(self.next_timeout()))
    }

    /// Everything that follows from the state rather than from one input.
    fn work(&mut self) {
        let now = self.now.monotonic;
        self.expire();
        if self.connected {
            let due = self.window.retransmissions_due(now);
            if due > 0 {
                tracing::debug!(messages = due, "no receipt in time: sending again");
            }
            self.send_waiting();
            self.watch_stream();
        }
        if self.prune_at <= now {
            self.prune_at = now + PRUNE_EVERY;
            self.persist(Retention::default().prune(self.now.wall), Effect::None);
            self.persist(Op::PruneOutbound { before: self.now.wall.before(KEEP_OUTCOMES) }, Effect::None);
        }
        while !self.ops.is_empty() {
            let (ops, effects) = self.ops.drain(..self.ops.len().min(BATCH)).unzip();
            self.committing.push_back(effects);
            self.outputs.push_back(Output::Persist(ops));
        }
        // After the batches, so that a read sees all that was decided before it.
        self.read_store();
    }

    fn next_timeout(&self) -> Option<Duration> {
        let stream = self.connected.then(|| {
            if self.awaits_life() {
                self.requested_at.max(self.heard_at) + self.config.dead_after
            } else {
                self.heard_at + self.config.probe_after
            }
        });
        let due = self.look_for_due.filter(|_| self.loading.is_none());
        [self.window.next_timeout(self.connected), due, stream, Some(self.prune_at)].into_iter().flatten().min()
    }

    const fn awaits_life(&self) -> bool {
        self.management.awaits_answer() || self.pinged
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    fn persist(&mut self, op: Op, effect: Effect) {
        self.ops.push((op, effect));
    }

    // ---- outbound -------------------------------------------------------------------

    fn submit(&mut self, submission: Submission) {
        let Submission { id, to, stanza, deadline } = submission;
        if !self.has_room() {
            return self.event(Event::Refused { id, why: Refusal::OutboxFull(self.pending) });
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        self.pending += 1;
        let record = OutboundRecord {
            seq,
            id: id.clone(),
            to: to.to_string(),
            channel: String::new(),
            stanza: stanza.clone().into(),
            accepted_at: self.now.wall,
            deadline,
            protection: 0,
            state: OutboundState::Accepted,
            attempts: 0,
            updated_at: self.now.wall,
            boot: self.identity.boot_token,
        };
        // Beyond the window, or behind what waits in the store, the message is read
        // back from there when its turn comes.
        if self.more_in_store || !self.window.has_room() {
            self.more_in_store = true;
            if let Some(at) = deadline.map(|d| self.monotonic(d)) {
                self.look_for_due = Some(self.look_for_due.map_or(at, |earlier| earlier.min(at)));
            }
        } else {
            let flight = self.flight(&record, to, stanza, Stage::Persisting, false);
            self.window.insert(seq, flight);
            self.loaded_seq = seq;
        }
        self.persist(Op::PutOutbound(record), Effect::Accepted { seq, id });
    }

    fn flight(&self, record: &OutboundRecord, to: Jid, stanza: Bytes, stage: Stage, maybe_sent: bool) -> Flight {
        Flight {
            id: record.id.clone(),
            peer: to.to_bare(),
            to,
            stanza,
            accepted_at: record.accepted_at,
            deadline: record.deadline.map(|d| self.monotonic(d)),
            stage,
            transmissions: 0,
            maybe_sent,
            sent_at: Duration::ZERO,
            retry_at: None,
            last_error: None,
        }
    }

    /// A wall-clock deadline on the monotonic clock, as of now.
    fn monotonic(&self, deadline: WallTime) -> Duration {
        let left = deadline.as_unix_ms().saturating_sub(self.now.wall.as_unix_ms());
        self.now.monotonic + Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }

    fn send_waiting(&mut self) {
        let managed = self.management.is_enabled();
        let mut sent = false;
        while self.management.unacked() < UNACKED {
            let Some((seq, bytes)) = self.window.next_to_send(self.now.monotonic, managed) else {
                break;
            };
            let again = self.window.get(seq).is_some_and(|f| f.transmissions > 1);
            self.counters.transmitted += 1;
            self.counters.retransmitted += u64::from(again);
            self.management.sent(Unacked { bytes: bytes.clone(), seq: Some(seq) });
            self.outputs.push_back(Output::Transmit(bytes));
            sent = true;
        }
        // In the same write as the stanzas: a write of its own costs a round trip of
        // delayed acknowledgement on some servers.
        if sent || self.management.unacked() >= ASK_AFTER {
            self.ask();
        }
    }

    /// Asks for an acknowledgement, unless one is on its way or nothing lacks it.
    fn ask(&mut self) {
        if self.management.request() {
            self.requested_at = self.now.monotonic;
            self.nonza(&AckRequest.to_element());
        }
    }

    /// Sends a stanza that the outbox does not keep.
    fn transmit(&mut self, element: &Element) {
        if !self.connected {
            return;
        }
        match self.encoder.to_bytes(element) {
            Ok(bytes) => {
                let bytes = Bytes::from(bytes);
                if Stanza::is_stanza(element) {
                    self.management.sent(Unacked { bytes: bytes.clone(), seq: None });
                }
                self.outputs.push_back(Output::Transmit(bytes));
            }
            Err(error) => tracing::warn!(%error, "a stanza was not sent"),
        }
    }

    fn nonza(&mut self, element: &Element) {
        // Fixed shapes, far below every limit.
        if let Ok(bytes) = self.encoder.to_bytes(element) {
            self.outputs.push_back(Output::Transmit(bytes.into()));
        }
    }

    fn stream_ready(&mut self, stream: Stream) {
        self.connected = true;
        self.pinged = false;
        self.heard_at = self.now.monotonic;
        match stream {
            Stream::Resumed { h } => match self.management.resume(h) {
                Ok((acknowledged, again)) => {
                    self.server_accepted(acknowledged);
                    for stanza in again {
                        // One that has an outcome by now need not be sent.
                        if stanza.seq.is_none_or(|seq| self.window.get(seq).is_some()) {
                            self.outputs.push_back(Output::Transmit(stanza.bytes.clone()));
                            self.management.sent(stanza);
                        }
                    }
                    self.ask();
                }
                Err(error) => self.give_up(error.into()),
            },
            Stream::Bound { managed, handled } => {
                let told = handled.map(|h| self.management.acknowledge(h).unwrap_or_default());
                let knows = told.is_some();
                self.server_accepted(told.unwrap_or_default());
                self.management.start(managed);
                self.window.stream_lost(!knows);
            }
        }
    }

    fn server_accepted(&mut self, stanzas: Vec<Unacked>) {
        for seq in stanzas.into_iter().filter_map(|u| u.seq) {
            if self.window.server_accepted(seq, self.now.monotonic)
                && let Some(flight) = self.window.get(seq)
            {
                let id = flight.id.clone();
                self.event(Event::ServerAccepted { id });
            }
        }
    }

    fn give_up(&mut self, reason: ReconnectReason) {
        self.connected = false;
        // Unresumable: what the counters said cannot be trusted any more.
        if matches!(reason, ReconnectReason::HandledTooHigh(_)) {
            self.management.start(false);
        }
        self.outputs.push_back(Output::Reconnect(reason));
    }

    /// Asks a quiet server whether it is there, and gives up one that does not answer.
    fn watch_stream(&mut self) {
        let now = self.now.monotonic;
        if self.management.unacked() > UNACKED_MAX {
            return self.give_up(ReconnectReason::Unacknowledged(self.management.unacked()));
        }
        if self.awaits_life() {
            if now >= self.requested_at.max(self.heard_at) + self.config.dead_after {
                self.give_up(ReconnectReason::Silent(self.config.dead_after));
            }
        } else if now >= self.heard_at + self.config.probe_after {
            self.requested_at = now;
            if self.management.probe() {
                self.nonza(&AckRequest.to_element());
            } else {
                // To our own account: the server answers itself (XEP-0199 §4.2).
                self.pinged = true;
                let ping = Iq::get(None, Text::from_static("probe"), &Ping);
                self.transmit(&ping.to_element());
            }
        }
    }

    fn expire(&mut self) {
        for seq in self.window.expired(self.now.monotonic) {
            let Some(flight) = self.window.get(seq) else {
                continue;
            };
            // Its acceptance comes first, and the deadline right after it.
            if flight.stage == Stage::Persisting {
                continue;
            }
            let outcome = match (flight.maybe_sent, flight.transmissions) {
                (false, _) => Outcome::NotDelivered(NotDelivered::Expired),
                (true, 0) => Outcome::InDoubt(InDoubt::Restarted),
                (true, _) => Outcome::InDoubt(InDoubt::NoReceipt { last_error: flight.last_error }),
            };
            self.settle(seq, outcome);
        }
    }

    /// The message of the window has an outcome.
    fn settle(&mut self, seq: u64, outcome: Outcome) {
        if let Some(flight) = self.window.remove(seq) {
            self.conclude(flight.id, flight.peer, outcome);
        }
    }

    fn conclude(&mut self, id: String, peer: BareJid, outcome: Outcome) {
        self.pending = self.pending.saturating_sub(1);
        let op = Op::SetOutboundState { id: id.clone(), state: outcome.to_state(), at: self.now.wall };
        match &outcome {
            // The one outcome that must not be forgotten: a copy could be sent after it.
            Outcome::NotDelivered(_) => {
                self.counters.not_delivered += 1;
                return self.persist(op, Effect::Report { id, outcome });
            }
            Outcome::Acknowledged { .. } => self.counters.acknowledged += 1,
            Outcome::InDoubt(_) => {
                self.counters.in_doubt += 1;
                self.doubt(id.clone(), peer);
            }
        }
        self.persist(op, Effect::None);
        self.event(Event::Outcome { id, outcome });
    }

    /// Remembers a message in doubt. The oldest ones are given up for good.
    fn doubt(&mut self, id: String, peer: BareJid) {
        if self.doubts.len() >= DOUBTS
            && let Some((id, _)) = self.doubts.pop_front()
        {
            let state = OutboundState::InDoubt { reason: Reason::from("no-receipt"), open: false };
            self.persist(Op::SetOutboundState { id, state, at: self.now.wall }, Effect::None);
        }
        self.doubts.push_back((id, peer));
    }

    /// A receipt (XEP-0184), believed only from the account that the message went to.
    fn receipt(&mut self, from: &Jid, id: &str) {
        let bare = from.to_bare();
        if let Some(seq) = self.window.seq_of(id) {
            if self.window.get(seq).is_some_and(|f| f.peer == bare && f.maybe_sent) {
                self.window.sample(seq, self.now.monotonic);
                return self.settle(seq, Outcome::Acknowledged { by: from.clone() });
            }
        } else if let Some(at) = self.doubts.iter().position(|(doubt, peer)| doubt == id && *peer == bare) {
            self.doubts.remove(at);
            self.pending += 1;
            return self.conclude(id.to_owned(), bare, Outcome::Acknowledged { by: from.clone() });
        }
        self.counters.ignored += 1;
    }

    /// A message of ours came back (RFC 6120 §8.3).
    fn bounce(&mut self, message: &Message) {
        let from = message.header.from.as_ref();
        let seq = message.header.id.as_deref().and_then(|id| self.window.seq_of(id));
        let Some((seq, flight)) = seq.and_then(|seq| Some((seq, self.window.get(seq)?))) else {
            self.counters.ignored += 1;
            return;
        };
        // From the recipient, its server, or our own server on its behalf.
        let credible = from.is_none_or(|from| {
            from.to_bare() == flight.peer || (from.local().is_none() && from.resource().is_none())
        });
        let condition = message.error().unwrap_or_default().condition;
        if !credible {
            self.counters.ignored += 1;
        } else if may_pass(condition) {
            self.window.bounced(seq, condition, self.now.monotonic);
        } else {
            self.settle(seq, Outcome::InDoubt(InDoubt::Refused(condition)));
        }
    }

    // ---- inbound --------------------------------------------------------------------

    fn received(&mut self, element: Element) {
        if Ack::matches(&element) {
            return match Ack::from_element(&element) {
                Ok(ack) => match self.management.acknowledge(ack.h) {
                    Ok(stanzas) => {
                        self.server_accepted(stanzas);
                        // More may have gone out since the request that this answers.
                        if self.window.awaits_server() {
                            self.ask();
                        }
                    }
                    Err(error) => self.give_up(error.into()),
                },
                Err(_) => self.counters.ignored += 1,
            };
        }
        if AckRequest::matches(&element) {
            return self.answer();
        }
        if !Stanza::is_stanza(&element) {
            self.counters.ignored += 1;
            return;
        }
        let slot = self.management.received();
        match Stanza::from_element(element) {
            Ok(Stanza::Message(message)) => self.message(slot, message),
            Ok(Stanza::Presence(presence)) => {
                self.presence(&presence);
                self.management.handled(slot);
                self.event(Event::Transient(Box::new(presence.into())));
            }
            Ok(Stanza::Iq(iq)) => {
                self.management.handled(slot);
                self.iq(iq);
            }
            Err(error) => {
                tracing::debug!(%error, "a stanza was not understood");
                self.management.handled(slot);
                self.counters.ignored += 1;
            }
        }
        if self.management.untold() >= self.config.ack_every {
            self.answer();
        }
    }

    /// Tells the server what is handled, now and without delay (XEP-0198 §4): the
    /// count is of what is durable, which need not be all that was received.
    fn answer(&mut self) {
        if self.connected && self.management.is_enabled() {
            let h = self.management.answer();
            self.nonza(&Ack { h }.to_element());
        }
    }

    fn iq(&mut self, iq: Iq) {
        match respond::respond(&iq) {
            Some(answer) => self.transmit(&answer),
            None => self.event(Event::Transient(Box::new(iq.into()))),
        }
    }

    fn presence(&mut self, presence: &Presence) {
        if presence.kind == PresenceType::Available
            && let Some(from) = &presence.header.from
        {
            self.window.peer_is_back(&from.to_bare());
        }
    }

    fn message(&mut self, slot: Slot, message: Message) {
        if message.kind == MessageType::Error {
            self.bounce(&message);
            return self.management.handled(slot);
        }
        let receipts: Vec<_> = message.payloads.iter().filter(|p| Received::matches(p)).collect();
        if let (Some(from), false) = (&message.header.from, receipts.is_empty()) {
            let from = from.clone();
            let ids: Vec<_> = receipts.iter().filter_map(|r| Received::from_element(r).ok()).collect();
            for receipt in ids {
                self.receipt(&from, &receipt.id);
            }
            return self.management.handled(slot);
        }
        let receipt = Receipt::wanted_by(&message);
        // Worth keeping: something to read, or somebody who waits for a receipt.
        let (Some(key), true) = (inbound::key(&message), message.body().is_some() || receipt.is_some()) else {
            self.management.handled(slot);
            return self.event(Event::Transient(Box::new(message.into())));
        };
        let Ok(stanza) = self.encoder.to_bytes(&message.to_element()) else {
            // It was decoded within the same limits, but the encoder's form is longer.
            self.management.handled(slot);
            self.counters.ignored += 1;
            return;
        };
        let op = Op::PutInbound(NewInbound {
            key: key.clone(),
            from_full: message.header.from.as_ref().map(Jid::to_string).unwrap_or_default(),
            stanza: stanza.into(),
            received_at: self.now.wall,
        });
        if op.check().is_err() {
            self.management.handled(slot);
            self.counters.ignored += 1;
            return;
        }
        self.persist(op, Effect::Arrived { slot, message: Box::new(message), origin: Origin { key, receipt } });
    }

    fn commit(&mut self, arrival: u64) {
        if let Some(origin) = self.inbox.take(arrival) {
            let op = Op::MarkHandled { key: origin.key.clone(), at: self.now.wall };
            self.persist(op, Effect::Committed { origin });
        }
    }

    // ---- the store ------------------------------------------------------------------

    fn persisted(&mut self, committed: Committed) {
        let effects = self.committing.pop_front().unwrap_or_default();
        for (effect, result) in effects.into_iter().zip(committed.results) {
            match effect {
                Effect::None => {}
                Effect::Accepted { seq, id } => self.accepted(seq, id, &result),
                Effect::Report { id, outcome } => self.event(Event::Outcome { id, outcome }),
                Effect::Committed { origin } => {
                    if let Some(receipt) = origin.receipt {
                        self.transmit(&receipt.to_element());
                    }
                }
                Effect::Arrived { slot, message, origin } => {
                    self.management.handled(slot);
                    self.arrived(message, origin, &result);
                }
            }
        }
        if self.management.untold() >= self.config.ack_every {
            self.answer();
        }
    }

    fn accepted(&mut self, seq: u64, id: String, result: &OpResult) {
        if *result == OpResult::Done {
            self.counters.accepted += 1;
            self.window.kept(seq);
            self.event(Event::Accepted { id });
        } else {
            self.window.remove(seq);
            self.pending = self.pending.saturating_sub(1);
            self.event(Event::Refused { id, why: Refusal::Store });
        }
    }

    fn arrived(&mut self, message: Box<Message>, origin: Origin, result: &OpResult) {
        match result {
            OpResult::Kept { arrival } => {
                self.counters.received += 1;
                self.first_arrival.get_or_insert(*arrival);
                if self.inbox.hand_over(*arrival, origin, self.config.hand_over) {
                    self.event(Event::Message { arrival: *arrival, message, maybe_redelivered: false });
                }
            }
            OpResult::Duplicate { state: InboundState::Handled, .. } => {
                self.counters.duplicates += 1;
                // The receipt was lost, or was too late for the sender.
                if let Some(receipt) = origin.receipt {
                    self.transmit(&receipt.to_element());
                }
            }
            // Its receipt follows when the application commits the first copy.
            _ => self.counters.duplicates += 1,
        }
    }

    fn read_store(&mut self) {
        if let Some((after, limit)) = self.inbox.wants(self.config.hand_over) {
            self.outputs.push_back(Output::Load(Load::Inbound { after, limit }));
        }
        if self.loading.is_some() {
            return;
        }
        let room = self.config.in_memory.saturating_sub(self.window.len());
        if self.look_for_due.is_some_and(|at| at <= self.now.monotonic) {
            self.look_for_due = None;
            self.loading = Some((self.next_seq, BATCH));
            self.outputs.push_back(Output::Load(Load::Due { by: self.now.wall, limit: BATCH }));
        } else if self.more_in_store && room * 2 >= self.config.in_memory {
            // Half a window at a time.
            self.loading = Some((self.next_seq, room));
            self.outputs.push_back(Output::Load(Load::Outbound { after: self.loaded_seq, limit: room }));
        }
    }

    fn loaded(&mut self, loaded: Loaded) {
        match loaded {
            Loaded::Outbound(records) => {
                let (horizon, limit) = self.loading.take().unwrap_or_default();
                for record in &records {
                    self.load_flight(record);
                }
                // A page that is not full was all there was below the horizon.
                self.loaded_seq = match records.last() {
                    Some(last) if records.len() >= limit => last.seq,
                    _ => horizon.saturating_sub(1).max(self.loaded_seq),
                };
                self.more_in_store = self.loaded_seq + 1 < self.next_seq;
            }
            Loaded::Due { records, next } => {
                self.loading = None;
                self.due(&records);
                self.look_for_due = next.map(|at| self.monotonic(at).max(self.now.monotonic + DUE_PAUSE));
            }
            Loaded::Inbound(records) => {
                self.inbox.loaded(records.is_empty());
                for record in records {
                    self.load_inbound(record);
                }
            }
        }
    }

    fn load_flight(&mut self, record: &OutboundRecord) {
        if self.window.get(record.seq).is_some() {
            return;
        }
        let Ok(to) = Jid::new(&record.to) else {
            tracing::error!(id = record.id, "the outbox holds a message to an address that is no JID");
            return;
        };
        match &record.state {
            OutboundState::InDoubt { open: true, .. } => self.doubt(record.id.clone(), to.to_bare()),
            state if state.is_final() => {}
            _ => {
                // One of an earlier process may have been sent, whatever its record says.
                let foreign = record.boot != self.identity.boot_token;
                let stanza = record.stanza.clone().into_bytes();
                let flight = self.flight(record, to, stanza, Stage::Kept, foreign);
                self.window.insert(record.seq, flight);
            }
        }
    }

    /// Messages that became due while they waited in the store. What is, or was, in the
    /// window is the window's.
    fn due(&mut self, records: &[OutboundRecord]) {
        for record in records.iter().filter(|r| r.seq > self.loaded_seq) {
            let Ok(to) = Jid::new(&record.to) else {
                continue;
            };
            let outcome = if record.boot == self.identity.boot_token {
                Outcome::NotDelivered(NotDelivered::Expired)
            } else {
                Outcome::InDoubt(InDoubt::Restarted)
            };
            self.conclude(record.id.clone(), to.to_bare(), outcome);
        }
    }

    fn load_inbound(&mut self, record: InboundRecord) {
        if self.inbox.holds(record.arrival) {
            return;
        }
        let Some(stanza) = record.stanza else {
            return;
        };
        let message = parse_element(&stanza, &Scope::client(), &Limits::default())
            .ok()
            .and_then(|e| Message::from_element(e).ok());
        let Some(message) = message else {
            tracing::error!(id = record.key.id, "the inbox holds a message that cannot be read");
            return;
        };
        let origin = Origin { key: record.key, receipt: Receipt::wanted_by(&message) };
        self.inbox.put(record.arrival, origin);
        let maybe_redelivered = self.first_arrival.is_none_or(|first| record.arrival < first);
        self.event(Event::Message { arrival: record.arrival, message: Box::new(message), maybe_redelivered });
    }
}

/// Errors that sending again later can mend. Anything else stops retransmission.
const fn may_pass(condition: DefinedCondition) -> bool {
    matches!(
        condition,
        DefinedCondition::RecipientUnavailable
            | DefinedCondition::ServiceUnavailable
            | DefinedCondition::RemoteServerTimeout
            | DefinedCondition::RemoteServerNotFound
            | DefinedCondition::ResourceConstraint
            | DefinedCondition::InternalServerError
            | DefinedCondition::UnexpectedRequest
            | DefinedCondition::UndefinedCondition
    )
}

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
//! become `NotDelivered` at its deadline; a stream carries no message that asks for more
//! protection than it offers.
//!
//! Connections are made by `connect`, and what to do with outputs is the driver's.

mod config;
mod inbound;
mod io;
mod management;
mod outbound;
mod receiving;
mod respond;
mod rto;
mod sending;

use std::collections::VecDeque;
use std::time::Duration;

use stanchion_stanza::{BareJid, Encoder, Limits, Message, Scope};

use crate::outcome::Outcome;
use crate::store::{Committed, Identity, MAX_PAGE, Op, OpResult, Recovered, Retention};

pub use config::EngineConfig;
pub use io::{
    Counters, Event, Footprint, Input, Load, Loaded, Now, Output, ReconnectReason, Refusal, Stream,
    Submission,
};
pub use management::HandledTooHigh;
pub use rto::RtoConfig;

use inbound::{Inbox, Origin};
use management::{Management, Slot};
use outbound::Window;

/// Ops put into one batch at most; the store takes 512.
const BATCH: usize = 256;
/// Received stanzas that may wait for the store before reading stops.
const ARRIVING: usize = 256;
/// How often what is past its retention is removed from the store.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// How long messages with an outcome are kept.
const KEEP_OUTCOMES: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// The store is not asked more often than this for messages that are due; messages in
/// the window need no asking.
const DUE_PAUSE: Duration = Duration::from_millis(100);

/// What is done once an op is durable.
#[derive(Debug)]
enum Effect {
    None,
    Accepted {
        seq: u64,
        id: String,
    },
    Arrived {
        slot: Slot,
        message: Box<Message>,
        origin: Origin,
    },
    Committed {
        origin: Origin,
    },
    Report {
        id: String,
        outcome: Outcome,
    },
    Pruned,
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
    /// The first seq of this engine. Earlier messages are an earlier engine's, which
    /// may have sent them: the boot token would not tell, as it outlives a reopened
    /// store.
    first_seq: u64,
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
    /// Received messages that the application has not committed, in the store.
    unhandled: usize,
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
        let open = pending + counts.in_doubt;
        let mut engine = Self {
            config,
            identity: recovered.identity,
            now,
            window: Window::new(config, entropy),
            inbox: Inbox::default(),
            management: Management::default(),
            connected: false,
            first_seq: recovered.next_seq,
            next_seq: recovered.next_seq,
            pending: usize::try_from(pending).unwrap_or(usize::MAX),
            loaded_seq: 0,
            more_in_store: open > 0,
            loading: None,
            first_arrival: None,
            look_for_due: (pending > 0).then_some(now.monotonic),
            doubts: VecDeque::new(),
            unhandled: usize::try_from(counts.kept + counts.handed).unwrap_or(usize::MAX),
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
        if engine.unhandled > 0 {
            engine.inbox.look_in_store();
        }
        engine
    }

    /// Counts so far.
    #[must_use]
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// How much is in memory now.
    #[must_use]
    pub fn footprint(&self) -> Footprint {
        Footprint {
            window: self.window.len(),
            unacknowledged: self.management.unacked(),
            arriving: self.management.arriving(),
            handed_over: self.inbox.len(),
            doubts: self.doubts.len(),
            committing: self.committing.iter().map(Vec::len).sum(),
        }
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

    /// Whether all that was received is handled. Resume a lost stream only then: its
    /// count must not rise after it was told.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.management.arriving() == 0
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
            Input::Connected { stream, protection } => self.stream_ready(stream, protection),
            Input::Disconnected => self.connected = false,
            Input::Received(element) => {
                self.heard_at = now.monotonic;
                self.pinged = false;
                self.received(element);
            }
            Input::ReceivedEarly(element) => self.received_early(element),
            // The last count: what it covers is not sent again to the next session.
            Input::Closing => self.answer(),
            Input::Transmit(element) => self.transmit(&element),
            Input::Tick => {}
        }
    }

    /// The next output. After [`Output::Wait`], nothing changes until the next input.
    pub fn poll_output(&mut self) -> Output {
        if !self.failed && self.outputs.is_empty() {
            self.work();
        }
        match self.outputs.pop_front() {
            Some(output) => output,
            None if self.failed => Output::Wait(None),
            None => Output::Wait(self.next_timeout()),
        }
    }

    /// Everything that follows from the state rather than from one input.
    fn work(&mut self) {
        let now = self.now.monotonic;
        if self.connected {
            self.window.note_held_back();
        }
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
            self.persist(Retention::default().prune(self.now.wall), Effect::Pruned);
            self.persist(
                Op::PruneOutbound {
                    before: self.now.wall.before(KEEP_OUTCOMES),
                },
                Effect::Pruned,
            );
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
                self.life_due()
            } else {
                self.heard_at + self.config.probe_after
            }
        });
        let due = self.look_for_due.filter(|_| self.loading.is_none());
        [
            self.window.next_timeout(self.connected),
            due,
            stream,
            Some(self.prune_at),
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// When the stream is given up: it was silent for too long, or the server says
    /// much but does not answer.
    fn life_due(&self) -> Duration {
        let silent = self.requested_at.max(self.heard_at) + self.config.dead_after;
        let unanswered = self.requested_at + self.config.probe_after + self.config.dead_after;
        silent.min(unanswered)
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

    fn persisted(&mut self, committed: Committed) {
        let effects = self.committing.pop_front().unwrap_or_default();
        for (effect, result) in effects.into_iter().zip(committed.results) {
            match effect {
                Effect::None => {}
                Effect::Accepted { seq, id } => self.accepted(seq, id, &result),
                // One step of a prune is bounded, so that it holds up nothing for long.
                Effect::Pruned => {
                    if matches!(result, OpResult::Pruned { more: true, .. }) {
                        self.prune_at = self.now.monotonic;
                    }
                }
                Effect::Report { id, outcome } => self.event(Event::Outcome { id, outcome }),
                Effect::Committed { origin } => {
                    if result == OpResult::Done {
                        self.unhandled = self.unhandled.saturating_sub(1);
                    }
                    if let Some(receipt) = origin.receipt {
                        self.transmit(&receipt.to_element());
                    }
                }
                Effect::Arrived {
                    slot,
                    message,
                    origin,
                } => {
                    self.management.handled(slot);
                    self.arrived(message, origin, &result);
                }
            }
        }
        self.answer_in_time();
    }

    fn read_store(&mut self) {
        if let Some((after, limit)) = self.inbox.wants(self.config.hand_over) {
            self.outputs
                .push_back(Output::Load(Load::Inbound { after, limit }));
        }
        if self.loading.is_some() {
            return;
        }
        let room = self.config.in_memory.saturating_sub(self.window.len());
        let room = room.min(MAX_PAGE);
        if self.look_for_due.is_some_and(|at| at <= self.now.monotonic) {
            self.look_for_due = None;
            self.loading = Some((self.next_seq, BATCH));
            self.outputs.push_back(Output::Load(Load::Due {
                by: self.now.wall,
                limit: BATCH,
            }));
        } else if self.more_in_store && (room * 2 >= self.config.in_memory || self.is_idle(room)) {
            // Half a window at a time, or less if nothing else can be sent.
            self.loading = Some((self.next_seq, room));
            self.outputs.push_back(Output::Load(Load::Outbound {
                after: self.loaded_seq,
                limit: room,
            }));
        }
    }

    /// Whether there is room, and all of the window waits for receipts.
    fn is_idle(&self, room: usize) -> bool {
        room > 0 && self.connected && !self.window.has_sendable()
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
                // A full page may not be all, and each look decides what it saw.
                let pause = if self.due(&records) {
                    Duration::ZERO
                } else {
                    DUE_PAUSE
                };
                let next = next.map(|at| self.monotonic(at).max(self.now.monotonic + pause));
                // What was submitted since the read may be due earlier.
                self.look_for_due = [next, self.look_for_due].into_iter().flatten().min();
            }
            Loaded::Inbound(records) => {
                self.inbox.loaded(records.is_empty());
                for record in records {
                    self.load_inbound(record);
                }
            }
        }
    }
}

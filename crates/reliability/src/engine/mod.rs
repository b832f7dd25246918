//! The reliability engine, without I/O: no sockets, no clock, no store, no runtime.
//!
//! Two verbs and one law: give it inputs with [`Engine::handle`], then take outputs
//! with [`Engine::poll_output`] until it says [`Output::Wait`]. Outputs are plain data
//! in the order in which they must happen: a batch that is persisted, a stanza that is
//! transmitted, an event for the application.
//!
//! ```text
//!            Send ──► persist ──► transmit ──► <a/> ──► verdict ──► Delivered
//! application                        ▲  timer, new stream │  (or receipt: Acknowledged)
//!            ◄── hand over ◄── persist ◄── stanza         ▼
//!  Commit ──► persist ──► verdict     deadline: cancel, NotDelivered | InDoubt
//! ```
//!
//! Laws, each with a test of that name in `tests/`:
//! nothing is transmitted before it is durable, but what is sent at most once; nothing is
//! acknowledged to the server before it is durable; no receipt leaves before the application committed; a
//! message's id never changes; only what was never given to a transport becomes
//! `NotDelivered` without its recipient's word; a new epoch is durable before it is used; a
//! stream carries no message that asks for more protection than it offers.
//!
//! Connections are made by `connect`, and what to do with outputs is the driver's.

mod answers;
mod archived;
mod bundling;
mod concluding;
mod config;
mod correspondents;
mod effect;
mod fleeting;
mod handing;
mod inbound;
mod io;
mod management;
mod outbox;
mod poison;
mod present;
mod reach;
mod receiving;
mod recipients;
mod respond;
mod resumption;
mod rooms;
mod rto;
mod seats;
mod sending;
mod stream;
mod succession;
mod timekeeping;
mod verdicts;

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use stanchion_stanza::payload::delivery::{
    Boot, Channel, Device, Epoch, Jids, Place, VerdictState,
};
use stanchion_stanza::{BareJid, Encoder, Limits, Scope};

use crate::store::{Committed, MAX_BATCH, MAX_PAGE, Op, OpResult, Recovered};

pub use archived::SLICE;
pub use config::EngineConfig;
pub use io::{
    Counters, Event, Footprint, Input, Load, Loaded, Mode, Now, Output, ReconnectReason, Refusal,
    Stream, Submission,
};
pub use management::HandledTooHigh;
pub use rto::RtoConfig;
pub use succession::Legacy;

use answers::Answers;
use bundling::Apart;
use correspondents::Correspondents;
use effect::Effect;
use fleeting::Fleeting;
use handing::is_suspect;
use inbound::Inbox;
use management::Management;
use outbox::{Backlog, LaneId, Outbox};
use poison::Poison;
use present::Present;
use resumption::Resumable;
use rooms::Rooms;
pub(crate) use sending::MAX_STANZA;

/// Changes after which a batch is closed; the store takes 512, and what follows from one
/// message, received or decided, fits between.
const BATCH: usize = 200;
/// Received stanzas that may wait for the store before reading stops.
const ARRIVING: usize = 256;
/// Changes that may wait for the store before reading stops.
const COMMITTING: usize = 2048;
/// Messages of one lane in memory: two windows, so that one is loaded while the other is
/// on its way.
const OF_A_LANE: usize = 272;
// A lane's messages that end together are of one batch.
const _: () = assert!(BATCH + OF_A_LANE + 32 <= MAX_BATCH);
/// How often what is past its retention is removed from the store.
const PRUNE_EVERY: Duration = Duration::from_secs(600);
/// The store is not asked more often than this for messages that are due; messages in
/// memory need no asking.
const DUE_PAUSE: Duration = Duration::from_millis(100);

/// A record that is to be read.
#[derive(Debug)]
struct Fetched {
    device: Device,
    channel: Channel,
    at: (Epoch, u64),
    why: Why,
}

/// What for.
#[derive(Debug, Clone, Copy)]
enum Why {
    /// It is next to be handed over.
    ToHandOver { arrival: u64 },
    /// It was handed over by an earlier engine.
    ToSettle,
}

/// What names this engine's life on the wire. A store that is opened again within a process
/// keeps its token, and what an engine before this one accepted must not be taken for this
/// one's: it may have been transmitted.
fn boot_of(recovered: &Recovered) -> Boot {
    let accepted = recovered.next_seq.saturating_sub(1) as u32;
    Boot(recovered.identity.boot_token ^ accepted.wrapping_mul(0x9E37_79B9))
}

/// The engine. See the [module](self).
#[derive(Debug)]
pub struct Engine {
    config: EngineConfig,
    /// Who this device is on the wire; none if its name does not fit there, and then only
    /// receipts are spoken.
    place: Option<Place>,
    boot: Boot,
    /// Which devices show themselves in presence.
    present: Present,
    /// This device's addresses, with their version.
    addresses: Option<Jids>,
    now: Now,
    /// How far the wall clock is ahead of the monotonic one, in milliseconds, as deadlines
    /// have it.
    wall_ahead: i64,
    outbox: Outbox,
    /// Lanes with messages in the store that are not in memory.
    hungry: BTreeSet<LaneId>,
    /// Lanes that are being read, in the order of the answers.
    reading: VecDeque<LaneId>,
    correspondents: Correspondents,
    inbox: Inbox,
    management: Management,
    resumable: Resumable,
    poison: Poison,
    connected: bool,
    /// The first seq of this engine. Earlier messages are an earlier engine's, which
    /// may have sent them: the boot token would not tell, as it outlives a reopened
    /// store.
    first_seq: u64,
    next_seq: u64,
    /// Messages without outcome, in memory and in the store.
    backlog: Backlog,
    /// The first message that this process received: earlier ones are an earlier
    /// process's.
    first_arrival: Option<u64>,
    /// When to ask the store for messages that are due but not in memory, and whether it
    /// is being asked.
    look_for_due: Option<Duration>,
    looking_for_due: bool,
    /// Messages in doubt of recipients that speak only receipts, oldest first: one settles
    /// them still.
    doubts: VecDeque<(String, BareJid)>,
    /// Those of them that were settled while the outbox was read: what was read says
    /// otherwise.
    undoubted: BTreeSet<String>,
    /// Received messages that the application has not committed, in the store.
    unhandled: usize,
    /// Messages of an archive that are not known to be durable yet.
    archiving: usize,
    /// The bundle that is being taken apart.
    apart: Option<Apart>,
    /// Bundles that were sent.
    bundles: u32,
    rooms: Rooms,
    /// Channels with a message that is next, and for which the application has no room.
    wanting: BTreeSet<(Device, Channel)>,
    /// The one that had its turn last.
    served: Option<(Device, Channel)>,
    /// Messages of channels that are to be read, in the order of the answers.
    fetched: VecDeque<Fetched>,
    /// How many of them the store was asked for.
    asked: usize,
    /// Messages that are delivered at most once, and wait for a stream.
    fleeting: VecDeque<Fleeting>,
    /// Verdicts that may leave.
    answers: Answers,
    /// Ops for the next batch, with what follows each.
    ops: Vec<(Option<Op>, Effect)>,
    /// Lanes whose state goes into the next batch.
    dirty: BTreeSet<LaneId>,
    /// What follows the batches that the store has; true for what has a result.
    committing: VecDeque<Vec<(bool, Effect)>>,
    outputs: VecDeque<Output>,
    encoder: Encoder,
    /// When the stream last showed life, and when the open request was made.
    heard_at: Duration,
    requested_at: Duration,
    /// An unmanaged stream is probed by a ping, sent and not answered.
    pinged: bool,
    /// Since when something was sent on an unmanaged stream of which no ping proved that it
    /// leaves; and when a ping was sent to that end. That something is heard proves nothing.
    unproved: Option<Duration>,
    proving: Option<Duration>,
    prune_at: Duration,
    failed: bool,
    counters: Counters,
}

impl Engine {
    /// An engine over what a store recovered. `entropy` is any number, for jitter and for
    /// the names of epochs; another one for each engine.
    #[must_use]
    pub fn new(config: EngineConfig, recovered: Recovered, now: Now, entropy: u64) -> Self {
        let counts = &recovered.counts;
        let pending = counts.accepted + counts.in_flight + counts.server_accepted;
        let place = recipients::place_of(&recovered.identity);
        if place.is_none() {
            tracing::warn!(
                device = recovered.identity.device,
                "the device's name does not fit on the wire (1 to 64 letters, digits, - and _): \
                 messages are sent and received with receipts only"
            );
        }
        let mut engine = Self {
            config,
            place,
            boot: boot_of(&recovered),
            addresses: None,
            now,
            wall_ahead: timekeeping::ahead(now),
            outbox: Outbox::new(config, entropy),
            hungry: BTreeSet::new(),
            reading: VecDeque::new(),
            correspondents: Correspondents::new(config.devices),
            inbox: Inbox::default(),
            management: Management::default(),
            resumable: Resumable::default(),
            poison: Poison::default(),
            connected: false,
            first_seq: recovered.next_seq,
            next_seq: recovered.next_seq,
            backlog: Backlog::new(pending, counts.pending_bytes),
            first_arrival: None,
            look_for_due: (pending > 0).then_some(now.monotonic),
            looking_for_due: false,
            doubts: VecDeque::new(),
            undoubted: BTreeSet::new(),
            unhandled: usize::try_from(counts.kept + counts.handed).unwrap_or(usize::MAX),
            archiving: 0,
            apart: None,
            bundles: 0,
            rooms: Rooms::default(),
            wanting: BTreeSet::new(),
            served: None,
            fetched: VecDeque::new(),
            asked: 0,
            fleeting: VecDeque::new(),
            present: Present::default(),
            answers: Answers::default(),
            ops: Vec::new(),
            dirty: BTreeSet::new(),
            committing: VecDeque::new(),
            outputs: VecDeque::new(),
            encoder: Encoder::new(Scope::client(), Limits::default()),
            heard_at: now.monotonic,
            requested_at: now.monotonic,
            pinged: false,
            unproved: None,
            proving: None,
            prune_at: now.monotonic,
            failed: false,
            counters: Counters::default(),
        };
        for (key, value) in &recovered.state {
            if !engine.correspondents.read(key, value) && !engine.recall_stream(key, value) {
                engine.recall(key, value);
            }
        }
        for (to, channel) in &recovered.lanes {
            engine.lane_with_messages(to, channel);
        }
        engine.outbox.all_loaded_but(&engine.hungry);
        engine.look_for_handled();
        // Its end tells, too, that nothing more comes again of what was handed over.
        if engine.unhandled > 0 || !engine.fetched.is_empty() {
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
            window: self.outbox.len(),
            unacknowledged: self.management.unacked(),
            arriving: self.management.arriving(),
            handed_over: self.inbox.len(),
            doubts: self.doubts.len(),
            committing: self.committing.iter().map(Vec::len).sum(),
        }
    }

    /// Who this device is on the wire, to be announced in presence
    /// ([`At`](stanchion_stanza::payload::delivery::At)); none if its name does not fit
    /// there.
    #[must_use]
    pub const fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// Messages without outcome.
    #[must_use]
    pub const fn pending(&self) -> usize {
        self.backlog.messages()
    }

    /// Whether another message would be taken.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        let EngineConfig {
            outbox,
            outbox_bytes,
            ..
        } = self.config;
        self.backlog.has_room(outbox, outbox_bytes)
    }

    /// Whether received stanzas are welcome. If not, leave them in the socket until
    /// the store has caught up.
    #[must_use]
    pub fn wants_input(&self) -> bool {
        self.management.arriving() < ARRIVING
            && self.committing.iter().map(Vec::len).sum::<usize>() < COMMITTING
    }

    /// Whether all that was received is handled, and on record where that is kept. Resume
    /// a lost stream only then: its count must not rise after it was told.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        !self.management.is_behind()
    }

    /// Stanzas handled on the current or lost stream, for `<resume h='…'/>`.
    #[must_use]
    pub const fn handled(&self) -> u32 {
        self.management.h()
    }

    /// Whether its store has failed: then it takes nothing any more. See
    /// [`Event::StoreFailed`].
    #[must_use]
    pub const fn has_failed(&self) -> bool {
        self.failed
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input) {
        if self.failed {
            return;
        }
        self.time_is(now);
        self.flush_if_full();
        match input {
            Input::Send(submission) => drop(self.submit(submission)),
            Input::Replace { submission, key } => self.replace(submission, key),
            Input::Begin { arrival } => self.begin(arrival),
            Input::Commit { arrival } => self.commit(arrival),
            Input::CommitWith { arrival } => self.commit_with(arrival),
            Input::Reject { arrival } => self.reject(arrival),
            Input::Cancel { id } => self.take_back(&id),
            Input::Forget(to) => self.forget(&to),
            Input::Addresses(jids) => self.addresses(jids),
            Input::Persisted(Ok(committed)) => self.persisted(committed),
            Input::Persisted(Err(error)) => {
                self.failed = true;
                // What was decided to be told is true whatever the store does now.
                self.outputs.retain(|o| matches!(o, Output::Event(_)));
                self.event(Event::StoreFailed(error));
            }
            Input::Loaded(loaded) => self.loaded(loaded),
            Input::Connected { stream, protection } => self.stream_ready(stream, protection),
            Input::Disconnected => {
                self.connected = false;
                // What the next stream is to carry of it is told then.
                self.outputs.retain(|o| !matches!(o, Output::Transmit(_)));
            }
            Input::Resumable(token) => self.resumable(token),
            Input::Blamed => self.blame(),
            Input::MostBytes(bytes) => self.poison.most_bytes = bytes,
            Input::Received(element) => {
                self.heard_at = now.monotonic;
                self.pinged = false;
                self.received(element);
            }
            Input::ReceivedEarly(element) => self.received_early(element),
            Input::Archived { ticket, messages } => self.archived(ticket, messages),
            Input::HoldRoom { room, gather } => self.hold_room(room, gather),
            Input::EnterRoom {
                ticket,
                room,
                settled,
            } => self.enter_room(ticket, room, settled),
            Input::LeaveRoom(room) => self.leave_room(room),
            // The last count: what it covers is not sent again to the next session.
            Input::Closing => {
                self.send_verdicts();
                self.management.asked();
                self.answer();
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
        match self.outputs.pop_front() {
            Some(output) => output,
            None if self.failed => Output::Wait(None),
            None => Output::Wait(self.next_timeout()),
        }
    }

    /// Everything that follows from the state rather than from one input.
    fn work(&mut self) {
        let now = self.now.monotonic;
        self.expire();
        self.send_fleeting();
        if self.connected {
            let due = self.outbox.retransmissions_due(now);
            if due > 0 {
                tracing::debug!(messages = due, "no answer in time: sending again");
            }
            self.send_closes();
            self.send_due_verdicts();
            self.send_waiting();
            self.watch_stream();
        }
        if self.prune_at <= now {
            self.prune_at = now + PRUNE_EVERY;
            for op in self.config.retention.prune_all(self.now.wall) {
                self.persist(op, Effect::Pruned);
            }
        }
        let count = self
            .management
            .wants_record(self.config.ack_every, !self.connected);
        if !(self.ops.is_empty() || self.marks_wait()) || count || self.resumable.is_stale() {
            self.close_batch();
        }
        // After the batches, so that a read sees all that was decided before it.
        self.read_store();
    }

    /// Closes a batch that is full. Only between two messages, where what is known and what
    /// is written agree: one input can decide thousands.
    fn flush_if_full(&mut self) {
        if self.ops.len() + self.correspondents.news() + self.dirty.len() >= BATCH {
            self.close_batch();
        }
    }

    /// Gives the store what has to become durable together, with the state that goes
    /// with it.
    fn close_batch(&mut self) {
        for op in self.correspondents.write() {
            self.ops.push((Some(op), Effect::None));
        }
        for id in std::mem::take(&mut self.dirty) {
            self.write_lane(id);
        }
        self.record_stream();
        let mut ops = Vec::with_capacity(self.ops.len());
        let mut effects = Vec::with_capacity(self.ops.len());
        for (op, effect) in self.ops.drain(..) {
            effects.push((op.is_some(), effect));
            ops.extend(op);
        }
        self.committing.push_back(effects);
        self.outputs.push_back(Output::Persist(ops));
    }

    fn next_timeout(&self) -> Option<Duration> {
        let stream = self.connected.then(|| {
            if self.awaits_life() {
                self.life_due()
            } else {
                self.heard_at + self.config.probe_after
            }
        });
        let proof = self.proof_due().filter(|_| self.connected);
        let verdicts = self.verdicts_due().filter(|_| self.connected);
        let due = self
            .look_for_due
            .filter(|_| !self.looking_for_due && self.reading.is_empty());
        [
            self.outbox.next_timeout(self.connected),
            due,
            self.fleeting_due(),
            stream,
            proof,
            verdicts,
            self.next_look_at_clock(),
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
        self.ops.push((Some(op), effect));
    }

    /// Does that once all that was decided so far is durable.
    fn after_all(&mut self, effect: Effect) {
        let nothing_to_write = self.ops.is_empty()
            && self.committing.is_empty()
            && self.dirty.is_empty()
            && self.correspondents.news() == 0;
        if nothing_to_write {
            self.perform(effect, OpResult::Done);
        } else {
            self.ops.push((None, effect));
        }
    }

    fn persisted(&mut self, committed: Committed) {
        let effects = self.committing.pop_front().unwrap_or_default();
        let mut results = committed.results.into_iter();
        for (has_result, effect) in effects {
            let result = if has_result { results.next() } else { None };
            self.perform(effect, result.unwrap_or(OpResult::Done));
        }
        self.answer_in_time();
    }

    fn perform(&mut self, effect: Effect, result: OpResult) {
        match effect {
            Effect::None => {}
            Effect::Accepted { seq, id, bytes } => self.accepted(seq, id, bytes, &result),
            Effect::Concluded { seq, tell } => self.concluded(seq, tell),
            Effect::Left(lane, place) => {
                if let Some(there) = self.outbox.lane_mut(lane) {
                    there.channel.durable(place);
                }
                self.outbox.wake(lane);
            }
            Effect::Opened(lane, epoch) => self.opened(lane, epoch),
            Effect::Bound(to) => self.bound(&to),
            Effect::Archived {
                ticket,
                taken,
                counted,
            } => self.archived_is_durable(ticket, taken, counted),
            Effect::Entered {
                ticket,
                taken,
                entered,
            } => self.room_is_entered(ticket, taken, entered),
            Effect::Recorded { stream, h } => self.management.recorded(stream, h),
            // One step of a prune is bounded, so that it holds up nothing for long.
            Effect::Pruned => {
                if matches!(result, OpResult::Pruned { more: true, .. }) {
                    self.prune_at = self.now.monotonic;
                }
            }
            Effect::Committed { arrival, origin } => {
                self.commit_is_durable(arrival, origin, &result);
            }
            Effect::Applied { arrival, origin } => self.applied(arrival, origin, &result),
            Effect::Rejected { arrival, origin } => self.rejected(arrival, origin, &result),
            Effect::Dropped => {
                if result == OpResult::Done {
                    self.unhandled = self.unhandled.saturating_sub(1);
                }
            }
            Effect::Verdict(seat, verdict) => self.verdict(seat, verdict),
            Effect::Say(device, element) => self.say_now(&device, &element),
            Effect::Arrived {
                slot,
                message,
                origin,
            } => {
                self.management.handled(slot);
                self.arrived(message, origin, &result);
            }
            Effect::Seated {
                slot,
                seat,
                greet,
                message,
            } => {
                self.management.handled(slot);
                if greet && message.is_some() {
                    let verdict = seat.verdict(VerdictState::Handed);
                    self.verdict(seat.clone(), verdict);
                }
                self.seated(seat, message, &result);
            }
            Effect::Known(slot) => self.management.handled(slot),
            Effect::HandedOver {
                seat,
                arrival,
                message,
            } => self.handed_over(seat, arrival, message, false),
            Effect::Begun { arrival } => self.event(Event::Begun { arrival }),
        }
    }

    fn read_store(&mut self) {
        self.hand_over_waiting();
        self.read_records();
        // The end of the pages tells that nothing more comes again of what was handed over, so
        // the records of that are read first; they are the first in the queue.
        let settles = |next: &Fetched| matches!(next.why, Why::ToSettle);
        if !self.fetched.get(self.asked).is_some_and(settles)
            && let Some((after, limit)) = self.inbox.wants(self.config.hand_over)
        {
            self.outputs
                .push_back(Output::Load(Load::Inbound { after, limit }));
        }
        // One after the other: a page that was read before a look for what is due decided
        // something would bring it back undecided.
        if self.look_for_due.is_some_and(|at| at <= self.now.monotonic) {
            if !self.looking_for_due && self.reading.is_empty() {
                self.look_for_due = None;
                self.looking_for_due = true;
                self.outputs.push_back(Output::Load(Load::Due {
                    by: self.now.wall,
                    limit: BATCH,
                }));
            }
            return;
        }
        if self.looking_for_due {
            return;
        }
        let most = self.lane_share();
        for id in self.hungry.clone() {
            let next_seq = self.next_seq;
            // One at least, beside those that are in doubt, or none would ever go on.
            let free = match self.memory_room() {
                0 => usize::from(self.outbox.is_all_in_doubt(id)),
                free => free,
            };
            let Some(lane) = self.outbox.lane_mut(id) else {
                self.hungry.remove(&id);
                continue;
            };
            // Half a share at a time, or less if nothing else can be sent.
            let room = most.saturating_sub(lane.in_memory()).max(free.min(1));
            let room = room.min(free).min(MAX_PAGE);
            let hurry = room * 2 >= most || !lane.has_waiting();
            if lane.loading.is_some() || room == 0 || !hurry {
                continue;
            }
            lane.loading = Some((next_seq, room));
            self.reading.push_back(id);
            self.outputs.push_back(Output::Load(Load::Lane {
                to: lane.to.to_string(),
                channel: lane.kept_as.clone(),
                after: lane.loaded,
                limit: room,
            }));
        }
    }

    /// How many messages of one lane may be in memory.
    fn lane_share(&self) -> usize {
        (self.config.in_memory / self.hungry.len().max(1)).clamp(1, OF_A_LANE)
    }

    /// How many more may be there in all, beside those that are being read.
    fn memory_room(&self) -> usize {
        let reading = self.reading.iter().filter_map(|id| self.outbox.lane(*id));
        let reading: usize = reading.filter_map(|lane| Some(lane.loading?.1)).sum();
        let taken = self.outbox.len() + reading;
        self.config.in_memory.saturating_sub(taken)
    }

    fn loaded(&mut self, loaded: Loaded) {
        match loaded {
            Loaded::Lane(records) => self.lane_loaded(&records),
            Loaded::Due { records, next } => {
                self.looking_for_due = false;
                // A full page may not be all, and each look decides what it saw.
                let pause = if self.overdue(&records) {
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
                if records.is_empty() {
                    self.wanting.extend(self.correspondents.all_came());
                }
                for record in records {
                    self.flush_if_full();
                    if !is_suspect(&record) {
                        self.load_inbound(record);
                        continue;
                    }
                    let busy = self.inbox.is_busy();
                    // Before it is loaded: what waits in its channel stays there.
                    self.inbox.wait_alone();
                    if !busy {
                        self.load_inbound(record);
                    }
                    break;
                }
            }
            Loaded::One(record) => self.load_one(record),
        }
    }
}

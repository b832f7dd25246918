//! The way out: from a submission to a transmission, and on to a deadline. The outbox and
//! its timers are in `outbox`, what recipients answer in `verdicts`.

use std::time::Duration;

use bytes::Bytes;
use stanchion_stanza::payload::delivery::{Boot, Cancel, Channel, Close, Deliver, IdPrefix};
use stanchion_stanza::{Element, Jid, Limits, Payload as _, Scope, Text, codec::parse_element};

use stanchion_stanza::stanza::DefinedCondition;

use super::bundling::Bundles;
use super::outbox::{Flight, LOOSE, Lane, LaneId, ROOM, Stage, Wish, dress};
use super::{Effect, Engine, Event, Mode, Refusal, Submission};
use crate::delivery::{Fate, Phase};
use crate::mutant;
use crate::outcome::{InDoubt, NotDelivered, Outcome};
use crate::protection::Protection;
use crate::store::{Op, OpResult, OutboundRecord, OutboundState, WallTime};

/// Stanzas that the server may leave unacknowledged before no more messages go out;
/// servers themselves allow 100 and more.
const UNACKED: usize = 64;
/// Unacknowledged stanzas, such as receipts, after which an acknowledgement is asked
/// for although no message went out.
const ASK_AFTER: usize = 8;
/// A cancel goes out so long before a deadline, or earlier where answers take long.
const CANCEL_BEFORE: Duration = Duration::from_secs(1);
/// Bytes of a message as the application gives it, at most. What the engine adds (`<d/>`,
/// `<delay/>`) and what servers add (`from`, their own ids and times) must fit beside it,
/// since the recipient's limit is the same and a stanza beyond it costs the session.
pub(crate) const MAX_STANZA: usize = 256 * 1024 - 8 * 1024;
/// Bytes of a stanza up to which the device's addresses are told along with it: they wait
/// for a smaller one.
const ADDRESSES_FIT: usize = MAX_STANZA - 32 * 1024;

impl Engine {
    /// Takes a message. Gives its seq, if it is in memory from now on.
    pub(super) fn submit(&mut self, submission: Submission) -> Option<u64> {
        if submission.mode == Mode::AtMostOnce {
            self.submit_fleeting(submission);
            return None;
        }
        let Submission {
            id,
            to,
            stanza,
            deadline,
            protection,
            mode,
        } = submission;
        if !self.has_room() {
            let why = Refusal::OutboxFull {
                messages: self.backlog.messages(),
                bytes: self.backlog.bytes(),
            };
            return self.refuse_submission(id, why);
        }
        if stanza.len() > MAX_STANZA {
            let why = Refusal::TooBig(stanza.len());
            return self.refuse_submission(id, why);
        }
        if let Mode::ExactlyOnce(name) | Mode::Unordered(name) = &mode
            && name.as_str().starts_with('_')
        {
            let why = Refusal::Reserved(name.clone());
            return self.refuse_submission(id, why);
        }
        // What has channels is the account, under one of its addresses.
        let (to, stanza) = match self.recipient_of(&to, &mode) {
            known if known.bare_str() == to.bare_str() => (known, stanza),
            known => match self.readdressed(&stanza, &known) {
                Some(stanza) => (known, stanza),
                None => (to, stanza),
            },
        };
        let Some(lane) = self.lane_for(&to, &mode) else {
            let why = Refusal::TooManyLanes(self.outbox.lane_count());
            return self.refuse_submission(id, why);
        };
        let seq = self.next_seq;
        let share = self.lane_share();
        let room = self.memory_room();
        let name = IdPrefix::of(&id);
        let there = self.outbox.lane_mut(lane)?;
        if !there.is_loose() && there.unordered != matches!(mode, Mode::Unordered(_)) {
            let why = Refusal::OtherOrder {
                channel: there.name.to_string(),
                unordered: there.unordered,
            };
            return self.refuse_submission(id, why);
        }
        let record = OutboundRecord {
            seq,
            id: id.clone(),
            to: to.to_string(),
            channel: there.kept_as.clone(),
            stanza: stanza.into(),
            accepted_at: self.now.wall,
            deadline,
            protection: protection.to_number(),
            state: OutboundState::Accepted,
            attempts: 0,
            updated_at: self.now.wall,
            boot: self.boot.0,
            place: 0,
            prev: None,
        };
        let op = Op::PutOutbound(record);
        if let Err(misuse) = op.check() {
            let why = Refusal::Misuse(misuse);
            return self.refuse_submission(id, why);
        }
        let Op::PutOutbound(mut record) = op else {
            return None;
        };
        self.next_seq += 1;
        let bytes = record.stanza.len();
        self.backlog.add(bytes);
        there.last = seq;
        // Beyond its share, or behind what waits in the store, the message is read back
        // from there when its turn comes.
        let fits = there.in_memory() == 0 || (there.in_memory() < share && room > 0);
        let stays = !there.more_in_store && fits;
        if !there.is_loose() {
            let (place, prev) = there.channel.accept(name, stays);
            record.place = place;
            record.prev = prev
                .filter(|_| !there.unordered)
                .map(|prev| prev.bits() << 16);
        }
        if stays {
            there.loaded = seq;
        } else {
            there.more_in_store = true;
            self.hungry.insert(lane);
            if let Some(at) = deadline.map(|d| self.monotonic(d)) {
                self.look_for_due = Some(self.look_for_due.map_or(at, |earlier| earlier.min(at)));
            }
        }
        self.touch_lane(lane);
        if stays {
            let flight = self.flight(&record, lane, Stage::Persisting, false);
            self.outbox.insert(seq, flight);
        }
        let accepted = Effect::Accepted { seq, id, bytes };
        self.persist(Op::PutOutbound(record), accepted);
        stays.then_some(seq)
    }

    fn refuse_submission(&mut self, id: String, why: Refusal) -> Option<u64> {
        self.event(Event::Refused { id, why });
        None
    }

    /// Takes a message that makes older ones worthless.
    pub(super) fn replace(&mut self, submission: Submission, key: String) {
        let Some(seq) = self.submit(submission) else {
            return;
        };
        // In one batch with the new one: never is there neither.
        for older in self.outbox.replaceable(seq, &key) {
            self.conclude(older, Outcome::NotDelivered(NotDelivered::Replaced));
        }
        self.outbox.change(seq, |flight| flight.key = Some(key));
    }

    /// The lane of a new message.
    fn lane_for(&mut self, to: &Jid, mode: &Mode) -> Option<LaneId> {
        let loose;
        let (name, kept_as) = match mode {
            Mode::ExactlyOnce(name) | Mode::Unordered(name) if self.place.is_some() => {
                (name, name.as_str())
            }
            Mode::Room => {
                loose = Channel::new(ROOM).ok()?;
                (&loose, ROOM)
            }
            _ => {
                loose = Channel::new(LOOSE).ok()?;
                (&loose, "")
            }
        };
        if let Some(id) = self.outbox.find_lane(to, name) {
            return Some(id);
        }
        let room = self.outbox.lane_room()?;
        if let Some(gone) = room.gone {
            self.forget_lane(&gone);
        }
        let id = self.outbox.add_lane(to, name, kept_as, None);
        self.outbox.lane_mut(id)?.unordered = matches!(mode, Mode::Unordered(_));
        self.bind_by_presence(to);
        self.look_for(to);
        Some(id)
    }

    fn flight(
        &self,
        record: &OutboundRecord,
        lane: LaneId,
        stage: Stage,
        inherited: bool,
    ) -> Flight {
        let deadline = record.deadline.map(|d| self.monotonic(d));
        Flight {
            id: record.id.clone(),
            name: IdPrefix::of(&record.id),
            lane,
            place: (record.place > 0).then_some(record.place),
            stanza: record.stanza.clone().into_bytes(),
            accepted_at: record.accepted_at,
            due: record.deadline,
            deadline,
            cancel_at: deadline.map(|at| self.cancel_before(at, lane)),
            protection: Protection::from_number(record.protection),
            held_back: false,
            stage,
            wish: Wish::Effect,
            in_doubt: false,
            handed: false,
            taken_back: false,
            refused: None,
            earlier: record.attempts,
            transmissions: 0,
            tries: 0,
            inherited,
            sent_at: Duration::ZERO,
            first_sent_at: Duration::ZERO,
            retry_at: None,
            armed: None,
            last_error: None,
            bounced: false,
            bundle: None,
            key: None,
            span: tracing::debug_span!(
                "message",
                id = record.id,
                to = record.to,
                channel = record.channel
            ),
        }
    }

    /// When the cancel for a deadline goes out.
    pub(super) fn cancel_before(&self, deadline: Duration, lane: LaneId) -> Duration {
        let timeout = self
            .outbox
            .lane(lane)
            .map_or(Duration::ZERO, |lane| self.outbox.usual(&lane.to, 1));
        let left = deadline.saturating_sub(self.now.monotonic);
        let lead = (timeout * 2).max(CANCEL_BEFORE).min(left / 4);
        deadline.saturating_sub(lead)
    }

    /// A wall-clock deadline on the monotonic clock, as of now.
    pub(super) fn monotonic(&self, deadline: WallTime) -> Duration {
        let left = deadline
            .as_unix_ms()
            .saturating_sub(self.now.wall.as_unix_ms());
        self.now.monotonic + Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }

    pub(super) fn send_waiting(&mut self) {
        let managed = self.management.is_enabled();
        let mut sent = false;
        let mut bundles = Bundles::default();
        while self.management.unacked() + bundles.len() < UNACKED && self.may_send_more(&bundles) {
            let next = match self.poison.alone() {
                Some(alone) => self.outbox.alone(alone),
                None => self.outbox.next_to_send(),
            };
            let Some(seq) = next else {
                break;
            };
            let Some(bytes) = self.bytes_of(seq) else {
                // It cannot be written: nobody can say what became of earlier copies.
                self.doubt_or_drop(seq);
                continue;
            };
            if bytes.len() > self.poison.most_bytes {
                let most = self.poison.most_bytes;
                tracing::warn!(seq, bytes = bytes.len(), most, "too big for the server");
                self.refuse_for_good(seq, DefinedCondition::PolicyViolation);
                continue;
            }
            let shares = self.shares_stanza(seq);
            self.outbox.transmitted(seq, self.now.monotonic, managed);
            let flight = self.outbox.get(seq);
            if let Some(flight) = flight {
                let (wish, times) = (flight.wish, flight.transmissions);
                let sent = || tracing::debug!(?wish, times, "given to the stream");
                flight.span.in_scope(sent);
            }
            if flight.is_some_and(|f| f.wish == Wish::Cancel) {
                self.counters.cancels += 1;
            } else {
                let again = flight
                    .filter(|f| f.transmissions > 1)
                    .map(|f| (f.id.clone(), f.earlier.saturating_add(f.transmissions)));
                self.counters.transmitted += 1;
                self.counters.retransmitted += u64::from(again.is_some());
                // For people who look at what is stuck; a first transmission is the rule.
                if let Some((id, attempts)) = again {
                    let at = self.now.wall;
                    let op = Op::SetOutboundAttempts { id, attempts, at };
                    self.persist(op, Effect::None);
                }
            }
            self.goes_with(&mut bundles, shares, seq, bytes);
            sent = true;
        }
        self.send_bundles(&mut bundles);
        // In the same write as the stanzas: a write of its own costs a round trip of
        // delayed acknowledgement on some servers.
        // And when it is the server's turn, whatever it was that went out.
        let waits = self.management.unacked() >= ASK_AFTER || !self.may_send_more(&bundles);
        if sent || waits {
            self.ask();
        }
    }

    /// What goes out for a message now: the message, or a cancel.
    fn bytes_of(&mut self, seq: u64) -> Option<Bytes> {
        let boot = self.boot;
        let flight = self.outbox.get(seq)?;
        let (id, wish, place) = (flight.lane, flight.wish, flight.place);
        let lane = self.outbox.lane_mut(id)?;
        let to = lane.to.clone();
        let says = match (place, &self.place) {
            (Some(place), Some(own)) => {
                let own = own.device.clone();
                let at = lane.channel.transmit(place, boot)?;
                let (name, unordered) = (lane.name.clone(), lane.unordered);
                Some((at, own, name, unordered))
            }
            _ => None,
        };
        let recipient = self.outbox.recipient(&to)?;
        let flight = self.outbox.get(seq)?;
        let tries = if place.is_some() { flight.tries } else { 0 };
        let searches = tries > 0 && self.outbox.searches(seq);
        let address = self.outbox.address(&to, tries, searches);
        let given = flight.maybe_sent().then_some(flight.accepted_at);
        let Some((at, from, channel, unordered)) = says else {
            return Some(dress(&flight.stanza, None, given));
        };
        let (recipient_place, knows) = (recipient.place.clone(), recipient.version);
        let prev = at.prev.filter(|_| !unordered);
        if wish == Wish::Cancel {
            let cancel = Cancel {
                from,
                to: recipient_place,
                epoch: at.epoch,
                channel,
                seq: at.seq,
                low: at.low,
                id: at.id,
                prev,
                boot: at.boot,
                knows,
                jids: self.news_for(recipient.knows),
            };
            return self.control_bytes(address, cancel.to_element());
        }
        // The recipient judges by its own clock.
        let ahead = i64::try_from(recipient.ahead.as_millis()).unwrap_or(i64::MAX);
        let deadline = flight.due.map(|due| due.as_unix_ms().saturating_add(ahead));
        let deliver = Deliver {
            from,
            to: recipient_place,
            epoch: at.epoch,
            channel,
            seq: at.seq,
            low: at.low,
            id: at.id,
            prev,
            boot: at.boot,
            deadline,
            unordered,
            knows,
            jids: self
                .news_for(recipient.knows)
                .filter(|_| flight.stanza.len() <= ADDRESSES_FIT),
        };
        let stanza = if address == to {
            flight.stanza.clone()
        } else {
            self.readdressed(&flight.stanza, &address)?
        };
        Some(dress(&stanza, Some(&deliver), given))
    }

    /// The same stanza to another address.
    fn readdressed(&self, stanza: &Bytes, to: &Jid) -> Option<Bytes> {
        let mut element = parse_element(stanza, &Scope::client(), &Limits::default()).ok()?;
        element.set_attr("to", Text::new(to.to_string()).ok()?);
        self.encoder.to_bytes(&element).ok().map(Bytes::from)
    }

    fn control_bytes(&self, to: Jid, payload: Element) -> Option<Bytes> {
        let message = super::recipients::control(to, payload);
        self.encoder.to_bytes(&message).ok().map(Bytes::from)
    }

    fn doubt_or_drop(&mut self, seq: u64) {
        tracing::error!(seq, "a message of the outbox cannot be written");
        let sent = self.outbox.get(seq).is_some_and(Flight::maybe_sent);
        let outcome = if sent {
            Outcome::InDoubt(InDoubt::RolledBack)
        } else {
            Outcome::NotDelivered(NotDelivered::Expired)
        };
        self.conclude(seq, outcome);
    }

    // ---- epochs ---------------------------------------------------------------------

    /// Asks for epochs to be closed.
    pub(super) fn send_closes(&mut self) {
        let now = self.now.monotonic;
        for (id, asked) in self.outbox.closes_due(now) {
            let Some(lane) = self.outbox.lane(id) else {
                continue;
            };
            if lane.channel.phase() != Phase::Closing {
                self.outbox.close_at(id, None);
                continue;
            }
            let to = lane.to.clone();
            let recipient = self.outbox.recipient(&to);
            let close = self.place.as_ref().map(|own| Close {
                from: own.device.clone(),
                to: recipient.and_then(|r| r.place.clone()),
                epoch: lane.channel.epoch(),
                channel: lane.name.clone(),
                boot: self.boot,
            });
            let again = now
                + self
                    .outbox
                    .longer_if_away(&to, self.outbox.usual(&to, asked + 1));
            self.outbox.close_at(id, Some((again, asked + 1)));
            if let Some(close) = close {
                let address = self.outbox.address(&to, asked, true);
                self.control(address, close.to_element());
            }
        }
    }

    // ---- deadlines ------------------------------------------------------------------

    pub(super) fn expire(&mut self) {
        let now = self.now.monotonic;
        for seq in self.outbox.due(now) {
            self.flush_if_full();
            let Some(flight) = self.outbox.get(seq) else {
                continue;
            };
            let speaks = flight.place.is_some() && self.speaks(flight.lane);
            let over = flight.deadline.is_some_and(|at| at <= now);
            if !over {
                // The cancel needs a round trip, and the deadline does not wait for it.
                if flight.maybe_sent() && speaks && !mutant::is("no-cancel") {
                    self.outbox.cancel(seq);
                } else {
                    self.outbox.change(seq, |flight| flight.cancel_at = None);
                }
                continue;
            }
            let fresh = !flight.maybe_sent()
                || mutant::is("expire-transmitted")
                || (mutant::is("expire-inherited") && flight.transmissions == 0);
            if fresh {
                let why = if flight.held_back {
                    NotDelivered::Unprotected
                } else {
                    NotDelivered::Expired
                };
                self.conclude(seq, Outcome::NotDelivered(why));
            } else if speaks {
                if flight.wish == Wish::Effect && !mutant::is("no-cancel") {
                    self.outbox.cancel(seq);
                }
                self.doubt(seq);
            } else {
                let why = match (flight.transmissions, flight.last_error) {
                    (0, _) => InDoubt::Restarted,
                    (_, last_error) => InDoubt::NoReceipt { last_error },
                };
                self.conclude(seq, Outcome::InDoubt(why));
            }
        }
    }

    pub(super) fn speaks(&self, lane: LaneId) -> bool {
        let to = self.outbox.lane(lane).map(|lane| &lane.to);
        to.and_then(|to| self.outbox.recipient(to))
            .is_some_and(super::outbox::Recipient::speaks)
    }

    /// The deadline of a message is over, and its recipient has not said what became of
    /// it. It stays in the outbox until it does.
    fn doubt(&mut self, seq: u64) {
        let Some(flight) = self.outbox.get(seq) else {
            return;
        };
        let why = match (flight.refused, flight.transmissions) {
            (Some(condition), _) => InDoubt::Refused(condition),
            (None, 0) => InDoubt::Restarted,
            (None, _) => InDoubt::NoVerdict {
                last_error: flight.last_error,
            },
        };
        self.report_doubt(seq, why);
    }

    pub(super) fn report_doubt(&mut self, seq: u64, why: InDoubt) {
        let Some(flight) = self.outbox.get(seq).filter(|f| !f.in_doubt) else {
            return;
        };
        let (id, outcome) = (flight.id.clone(), Outcome::InDoubt(why));
        let doubt = || tracing::debug!(%outcome, "its time is over, and nobody can say");
        flight.span.in_scope(doubt);
        let op = Op::SetOutboundState {
            id: id.clone(),
            state: outcome.to_state(),
            at: self.now.wall,
        };
        let bytes = flight.stanza.len();
        self.outbox.change(seq, |flight| flight.in_doubt = true);
        self.backlog.remove(bytes);
        self.counters.in_doubt += 1;
        self.persist(op, Effect::None);
        self.event(Event::Outcome { id, outcome });
    }

    /// The application takes a message back.
    pub(super) fn take_back(&mut self, id: &str) {
        if self.take_back_fleeting(id) {
            return;
        }
        let Some(seq) = self.outbox.seq_of(id) else {
            return;
        };
        let Some(flight) = self.outbox.get(seq) else {
            return;
        };
        match flight.stage {
            // Once it is durable: then its outcome can be, too.
            Stage::Persisting => {
                return self.outbox.change(seq, |flight| flight.taken_back = true);
            }
            Stage::Decided => return,
            _ => {}
        }
        if !flight.maybe_sent() {
            return self.conclude(seq, Outcome::NotDelivered(NotDelivered::Cancelled));
        }
        if flight.place.is_some() && flight.wish == Wish::Effect {
            self.outbox.change(seq, |flight| flight.taken_back = true);
            self.outbox.cancel(seq);
        }
    }

    // ---- the store ------------------------------------------------------------------

    pub(super) fn accepted(&mut self, seq: u64, id: String, bytes: usize, result: &OpResult) {
        if *result == OpResult::Done {
            self.counters.accepted += 1;
            self.outbox.kept(seq);
            if let Some(flight) = self.outbox.get(seq) {
                flight.span.in_scope(|| tracing::debug!("durable"));
            }
            let taken_back = self.outbox.get(seq).is_some_and(|f| f.taken_back);
            let again = taken_back.then(|| id.clone());
            self.event(Event::Accepted { id });
            if let Some(id) = again {
                self.take_back(&id);
            }
            return;
        }
        self.backlog.remove(bytes);
        if let Some(flight) = self.outbox.remove(seq)
            && let Some(place) = flight.place
            && let Some(lane) = self.outbox.lane_mut(flight.lane)
        {
            lane.channel.refused(place);
        }
        self.event(Event::Refused {
            id,
            why: Refusal::Store,
        });
    }

    pub(super) fn lane_loaded(&mut self, records: &[OutboundRecord]) {
        let Some(id) = self.reading.pop_front() else {
            return;
        };
        let asked = self.outbox.lane_mut(id).and_then(|l| l.loading.take());
        let (horizon, limit) = asked.unwrap_or_default();
        for record in records {
            self.flush_if_full();
            self.load_flight(id, record);
        }
        if self.reading.is_empty() {
            self.undoubted.clear();
        }
        let Some(lane) = self.outbox.lane_mut(id) else {
            return;
        };
        // A page that is not full was all there was below the horizon.
        lane.loaded = match records.last() {
            Some(last) if records.len() >= limit => last.seq,
            _ => horizon.saturating_sub(1).max(lane.loaded),
        };
        lane.more_in_store = lane.loaded < lane.last;
        if !lane.more_in_store {
            lane.forgotten = false;
            lane.channel.loaded_all();
            self.hungry.remove(&id);
        }
        self.outbox.wake(id);
    }

    fn load_flight(&mut self, id: LaneId, record: &OutboundRecord) {
        if self.outbox.get(record.seq).is_some() || record.state.is_final() {
            return;
        }
        let doubtful = matches!(record.state, OutboundState::InDoubt { open: true, .. });
        let own = record.seq >= self.first_seq;
        let (this, speaks) = (self.boot, self.speaks(id));
        let mut flight = self.flight(record, id, Stage::Kept, !own);
        let mut fate = Fate::Move;
        let mut passed = false;
        if let Some(place) = flight.place
            && let Some(lane) = self.outbox.lane_mut(id)
        {
            // Of ids of eight bytes, as they were, the first six are those of today.
            let prev = record.prev.map(|prev| IdPrefix::from_bits(prev >> 16));
            fate = lane
                .channel
                .load(place, flight.name, prev, Boot(record.boot), this);
            if own {
                lane.channel.unsent(place);
            }
            // What an epoch left behind was not sent in the new one.
            let open = lane.channel.get(place);
            flight.inherited = open.is_none_or(|open| open.maybe_sent);
            // It went into doubt when nobody spoke, and `low` has passed it since.
            passed = open.is_none();
        }
        if self.undoubted.contains(&record.id) {
            return self.leave(&flight);
        }
        if doubtful {
            flight.in_doubt = true;
            flight.wish = Wish::Cancel;
            if self.outbox.lane(id).is_some_and(|lane| lane.forgotten) {
                self.outbox.insert(record.seq, flight);
                return self.conclude(record.seq, Outcome::InDoubt(InDoubt::Forgotten));
            }
            if flight.place.is_none() || !speaks || passed {
                return self.load_doubt(flight);
            }
            // Its recipient has spoken since: it is asked.
            self.doubts.retain(|(id, _)| *id != record.id);
        }
        // A room may have it, and would show it twice.
        let unknown = flight.inherited && self.outbox.lane(id).is_some_and(Lane::is_room);
        self.outbox.insert(record.seq, flight);
        if unknown {
            return self.conclude(record.seq, Outcome::InDoubt(InDoubt::Restarted));
        }
        // It moved into an epoch in which it was never sent: nothing is to be cancelled.
        if doubtful
            && fate == Fate::Move
            && self.outbox.get(record.seq).is_some_and(|f| !f.maybe_sent())
        {
            let why = Outcome::NotDelivered(NotDelivered::Expired);
            return self.conclude(record.seq, why);
        }
        self.apply_fate(record.seq, fate, None);
    }

    /// A message is not open in its channel any more.
    fn leave(&mut self, flight: &Flight) {
        let id = flight.lane;
        if let (Some(place), Some(lane)) = (flight.place, self.outbox.lane_mut(id))
            && lane.channel.get(place).is_some()
        {
            // `low` passes it once that is written.
            lane.channel.decide(place);
            lane.channel.leaves(place);
            self.touch_lane(id);
            self.after_all(Effect::Left(id, place));
        }
    }

    /// A message in doubt of a recipient that speaks only receipts.
    fn load_doubt(&mut self, flight: Flight) {
        self.leave(&flight);
        let peer = self.outbox.lane(flight.lane).map(|lane| lane.to.to_bare());
        if let Some(peer) = peer
            && !self.doubts.iter().any(|(id, _)| *id == flight.id)
        {
            self.remember_doubt(flight.id, peer);
        }
    }

    /// Messages that became due while they waited in the store. What is, or was, in
    /// memory is the outbox's. Gives whether there was any.
    pub(super) fn overdue(&mut self, records: &[OutboundRecord]) -> bool {
        let before = self.backlog.messages();
        for record in records {
            self.flush_if_full();
            let name = if record.channel.is_empty() {
                LOOSE
            } else {
                &record.channel
            };
            let (Ok(to), Ok(name)) = (Jid::new(&record.to), Channel::new(name)) else {
                continue;
            };
            let lane = self.outbox.find_lane(&to, &name);
            let Some(lane) = lane.and_then(|id| self.outbox.lane(id)) else {
                continue;
            };
            if record.seq <= lane.loaded {
                continue;
            }
            let outcome = if record.seq < self.first_seq {
                Outcome::InDoubt(InDoubt::Restarted)
            } else if self.connected
                && !self
                    .outbox
                    .stream_meets(Protection::from_number(record.protection))
            {
                Outcome::NotDelivered(NotDelivered::Unprotected)
            } else {
                Outcome::NotDelivered(NotDelivered::Expired)
            };
            self.settle_stored(record, &to, outcome);
        }
        self.backlog.messages() < before
    }
}

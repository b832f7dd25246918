//! What becomes of sent messages: verdicts, receipts and errors that come back, and the
//! end of epochs. What they mean is judged in `delivery`; here it takes effect.

use std::time::Duration;

use stanchion_stanza::payload::delivery::{
    Answer, Closed, Device, Epoch, IdPrefix, Place, Rotate, Verdict, VerdictState, WrongStore,
};
use stanchion_stanza::payload::sid::OriginId;
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::{BareJid, Jid, Message};

use super::outbox::{Flight, Lane, LaneId, Stage, Wish};
use super::{Effect, Engine, Event};
use crate::delivery::{ClosedSaid, Fate, Heard, Phase};
use crate::mutant;
use crate::outcome::{InDoubt, NotDelivered, Outcome};
use crate::store::{Op, OutboundRecord, OutboundState, Reason};

/// Messages whose fate is unknown that a late receipt can still settle.
const DOUBTS: usize = 1024;
/// A recipient's clock that is ahead further than this is allowed for.
const SKEW: Duration = Duration::from_secs(10);

impl Engine {
    // ---- outcomes -------------------------------------------------------------------

    /// A message in memory has its outcome.
    pub(super) fn conclude(&mut self, seq: u64, outcome: Outcome) {
        let Some(flight) = self.outbox.get(seq) else {
            return;
        };
        if flight.stage == Stage::Decided {
            return;
        }
        let ends = || tracing::debug!(%outcome, "it is decided");
        flight.span.in_scope(ends);
        self.poison.acquits(seq);
        let id = flight.id.clone();
        let open = (!flight.in_doubt).then(|| flight.stanza.len());
        let (lane, place) = (flight.lane, flight.place);
        let peer = self.outbox.lane(lane).map(|lane| lane.to.to_bare());
        let mut left = false;
        if let (Some(place), Some(lane)) = (place, self.outbox.lane_mut(lane)) {
            lane.channel.decide(place);
            if matches!(&outcome, Outcome::InDoubt(why) if !why.is_final()) {
                lane.channel.leaves(place);
            }
            left = lane.channel.has_left();
        }
        if left {
            self.touch_lane(lane);
        }
        self.outbox.decided(seq);
        let tell = self.settle(&id, open, peer, &outcome);
        let op = Op::SetOutboundState {
            id,
            state: outcome.to_state(),
            at: self.now.wall,
        };
        self.persist(op, Effect::Concluded { seq, tell });
    }

    /// Counts an outcome and tells it; or gives it back if it must be durable first.
    /// `open` is how many bytes the message has, unless it was in doubt already.
    fn settle(
        &mut self,
        id: &str,
        open: Option<usize>,
        peer: Option<BareJid>,
        outcome: &Outcome,
    ) -> Option<(String, Outcome)> {
        if let Some(bytes) = open {
            self.backlog.remove(bytes);
        }
        let told = (id.to_owned(), outcome.clone());
        match outcome {
            // What must not be forgotten: after it a copy could be sent, or another one told.
            Outcome::NotDelivered(_) => {
                self.counters.not_delivered += 1;
                if !mutant::is("not-delivered-undurable") {
                    return Some(told);
                }
            }
            Outcome::Acknowledged { .. } => self.counters.acknowledged += 1,
            Outcome::Delivered { .. } => self.counters.delivered += 1,
            Outcome::Transmitted => {}
            Outcome::InDoubt(why) if why.is_final() => {
                self.counters.in_doubt += 1;
                return Some(told);
            }
            Outcome::InDoubt(_) => {
                self.counters.in_doubt += 1;
                if let Some(peer) = peer {
                    self.remember_doubt(id.to_owned(), peer);
                }
            }
        }
        let (id, outcome) = told;
        self.event(Event::Outcome { id, outcome });
        None
    }

    /// A message that only the store has, has an outcome.
    pub(super) fn settle_stored(&mut self, record: &OutboundRecord, to: &Jid, outcome: Outcome) {
        let op = Op::SetOutboundState {
            id: record.id.clone(),
            state: outcome.to_state(),
            at: self.now.wall,
        };
        // Of one on a channel the recipient is asked when it is loaded.
        let asks = record.place > 0
            && self
                .outbox
                .recipient(to)
                .is_some_and(super::outbox::Recipient::speaks);
        let peer = (!asks).then(|| to.to_bare());
        let tell = self.settle(&record.id, Some(record.stanza.len()), peer, &outcome);
        let seq = record.seq;
        self.persist(op, Effect::Concluded { seq, tell });
    }

    /// The final state of a message is durable.
    pub(super) fn concluded(&mut self, seq: u64, tell: Option<(String, Outcome)>) {
        if let Some((id, outcome)) = tell {
            self.event(Event::Outcome { id, outcome });
        }
        if self
            .outbox
            .get(seq)
            .is_none_or(|f| f.stage != Stage::Decided)
        {
            return;
        }
        let Some(flight) = self.outbox.remove(seq) else {
            return;
        };
        let speaks = self.speaks(flight.lane);
        let Some(lane) = self.outbox.lane_mut(flight.lane) else {
            return;
        };
        if let Some(place) = flight.place {
            lane.channel.durable(place);
            if speaks
                && let Some(again) = lane.channel.tell_low()
                && let Some(seq) = self.outbox.seq_at(flight.lane, again)
            {
                self.outbox.wait_again(seq);
            }
        }
        self.outbox.wake(flight.lane);
    }

    /// Remembers a message in doubt. The oldest ones are given up for good.
    pub(super) fn remember_doubt(&mut self, id: String, peer: BareJid) {
        if self.doubts.len() >= DOUBTS
            && let Some((id, _)) = self.doubts.pop_front()
        {
            let state = OutboundState::InDoubt {
                reason: Reason::from("no-receipt"),
                open: false,
            };
            let at = self.now.wall;
            self.persist(Op::SetOutboundState { id, state, at }, Effect::None);
        }
        self.doubts.push_back((id, peer));
    }

    // ---- receipts and errors --------------------------------------------------------

    /// A receipt (XEP-0184), believed only from the account that the message went to, and
    /// only where nothing better is to be had.
    pub(super) fn receipt(&mut self, from: &Jid, id: &str) {
        if let Some(seq) = self.outbox.seq_of(id) {
            let credible = self.outbox.get(seq).is_some_and(|flight| {
                let lane = self.outbox.lane(flight.lane);
                let speaks = flight.place.is_some()
                    && self.speaks(flight.lane)
                    && !mutant::is("receipt-settles");
                flight.maybe_sent()
                    && flight.stage != Stage::Decided
                    && !speaks
                    && lane.is_some_and(|l| !l.is_room() && l.to.bare_str() == from.bare_str())
            });
            if credible {
                self.outbox.acknowledged(seq, self.now.monotonic);
                return self.conclude(seq, Outcome::Acknowledged { by: from.clone() });
            }
        } else if let Some((id, _)) = self.take_doubt(from, |doubt| doubt == id) {
            return self.undoubt(id, Outcome::Acknowledged { by: from.clone() });
        }
        self.counters.ignored += 1;
    }

    /// A room shows a message, one of ours perhaps: then the room has it. The ids of ours
    /// are known to nobody before the room shows them.
    pub(super) fn reflected(&mut self, message: &Message) {
        let Some(from) = &message.header.from else {
            return;
        };
        let origin = message.payload::<OriginId>().ok().flatten();
        let id = origin.map(|o| o.id).or_else(|| message.header.id.clone());
        let Some(id) = id else {
            return;
        };
        let by = from.clone();
        if let Some(seq) = self.outbox.seq_of(&id) {
            let ours = self.outbox.get(seq).is_some_and(|flight| {
                let lane = self.outbox.lane(flight.lane);
                let there = lane.is_some_and(|l| l.is_room() && l.to.bare_str() == from.bare_str());
                there && flight.maybe_sent() && flight.stage != Stage::Decided
            });
            if ours {
                self.conclude(seq, Outcome::Acknowledged { by });
            }
        } else if let Some((id, _)) = self.take_doubt(from, |doubt| *doubt == *id) {
            self.undoubt(id, Outcome::Acknowledged { by });
        }
    }

    fn take_doubt(&mut self, from: &Jid, is: impl Fn(&str) -> bool) -> Option<(String, BareJid)> {
        let mut doubts = self.doubts.iter();
        let at = doubts.position(|(id, peer)| is(id) && peer.as_str() == from.bare_str())?;
        self.doubts.remove(at)
    }

    /// A verdict on a message that is not open: perhaps one in doubt, from before its
    /// recipient spoke.
    fn settle_doubt(&mut self, from: &Jid, verdict: &Verdict) {
        let outcome = match verdict.state {
            VerdictState::Delivered => Outcome::Delivered { by: from.clone() },
            VerdictState::Void => Outcome::NotDelivered(NotDelivered::Expired),
            _ => {
                self.counters.ignored += 1;
                return;
            }
        };
        match self.take_doubt(from, |id| IdPrefix::of(id) == verdict.id) {
            Some((id, _)) => self.undoubt(id, outcome),
            None => self.counters.ignored += 1,
        }
    }

    /// A message in doubt that is not in memory has a definite outcome.
    fn undoubt(&mut self, id: String, outcome: Outcome) {
        let op = Op::SetOutboundState {
            id: id.clone(),
            state: outcome.to_state(),
            at: self.now.wall,
        };
        let tell = self.settle(&id, None, None, &outcome);
        if !self.reading.is_empty() {
            self.undoubted.insert(id);
        }
        self.persist(op, Effect::Concluded { seq: 0, tell });
    }

    /// A message of ours came back (RFC 6120 §8.3), or several in one stanza.
    pub(super) fn bounce(&mut self, message: &Message) {
        let id = message.header.id.as_deref().unwrap_or_default();
        let bundle = self.bundled(id);
        if !bundle.is_empty() {
            for seq in bundle {
                self.flush_if_full();
                self.came_back(seq, message, true);
            }
            return;
        }
        match self.outbox.seq_of(id) {
            Some(seq) => self.came_back(seq, message, false),
            None => {
                self.counters.ignored += 1;
                // Perhaps of something that others sent, and the outbox never had.
                self.event(Event::Transient(Box::new(message.clone().into())));
            }
        }
    }

    /// The last copy came back, `together` with others in a stanza or by itself.
    fn came_back(&mut self, seq: u64, message: &Message, together: bool) {
        let from = message.header.from.as_ref();
        let Some(flight) = self.outbox.get(seq) else {
            return;
        };
        let Some(to) = self.outbox.lane(flight.lane).map(|lane| lane.to.clone()) else {
            return;
        };
        // From the recipient, its server, or our own server on its behalf; and of a
        // message that there can be copies of.
        let address = self.outbox.address(&to, 0, false);
        let credible = flight.maybe_sent()
            && flight.stage != Stage::Decided
            && from.is_none_or(|from| {
                self.may_answer(&to, from)
                    || from.as_str() == to.domain()
                    || from.as_str() == address.domain()
            });
        if !credible {
            self.counters.ignored += 1;
            return;
        }
        let condition = message.error().unwrap_or_default().condition;
        let back = || tracing::debug!(%condition, "a copy came back");
        flight.span.in_scope(back);
        if self.outbox.lane(flight.lane).is_some_and(Lane::is_room) {
            let only = !flight.inherited && flight.transmissions == 1;
            if self.is_outside(seq, message) {
                // Whoever enters rooms hears of it.
                return self.event(Event::Transient(Box::new(message.clone().into())));
            }
            // The room refused the only copy there is.
            return self.conclude(
                seq,
                if only {
                    Outcome::NotDelivered(NotDelivered::Refused(condition))
                } else {
                    Outcome::InDoubt(InDoubt::Refused(condition))
                },
            );
        }
        let now = self.now.monotonic;
        match Remedy::of(condition) {
            Remedy::Retry => self.outbox.bounced(seq, condition, false, now),
            Remedy::Wait if !together => self.outbox.bounced(seq, condition, true, now),
            Remedy::Reroute => drop(self.goes_elsewhere(seq, &to, from, condition)),
            Remedy::RerouteOrGiveUp if self.goes_elsewhere(seq, &to, from, condition) => {}
            Remedy::RerouteIfElsewhere | Remedy::RerouteOrWait if self.has_elsewhere(&to) => {
                self.goes_elsewhere(seq, &to, from, condition);
            }
            // Perhaps it is about the company that the message was in.
            _ if together => {
                self.outbox.recipient_mut(&to).alone = true;
                self.outbox.wait_again(seq);
            }
            Remedy::Wait | Remedy::RerouteOrWait => self.outbox.bounced(seq, condition, true, now),
            Remedy::RerouteOrGiveUp | Remedy::RerouteIfElsewhere | Remedy::GiveUp => {
                if mutant::is("bounce-is-final") {
                    return self
                        .conclude(seq, Outcome::NotDelivered(NotDelivered::Refused(condition)));
                }
                self.refuse_for_good(seq, condition);
            }
        }
    }

    // ---- verdicts -------------------------------------------------------------------

    /// The lane that an answer is about, if whoever answers may.
    fn answering(
        &mut self,
        from: &Jid,
        device: &Device,
        channel: &str,
        epoch: Epoch,
        at: &Place,
    ) -> Option<LaneId> {
        let own = self.place.as_ref()?;
        let id = self.outbox.lane_in(epoch)?;
        let lane = self.outbox.lane(id)?;
        let for_us = own.device == *device && lane.name.as_str() == channel;
        if !for_us || !self.may_answer(&lane.to, from) {
            return None;
        }
        let to = lane.to.clone();
        match &self.outbox.recipient(&to)?.place {
            Some(known) if known.device == at.device => Some(id),
            Some(_) => None,
            None => {
                // It has spoken: from now on only its verdicts count.
                self.rebind(&to, at.clone());
                Some(id)
            }
        }
    }

    pub(super) fn hear_answer(&mut self, from: &Jid, answer: &Answer) {
        let Answer { epoch, boot, .. } = *answer;
        let channel = answer.channel.as_str();
        let Some(id) = self.answering(from, &answer.to, channel, epoch, &answer.at) else {
            self.counters.ignored += 1;
            return;
        };
        let Some(to) = self.outbox.lane(id).map(|lane| lane.to.clone()) else {
            return;
        };
        let same_store = self
            .outbox
            .recipient(&to)
            .and_then(|r| r.place.as_ref())
            .is_some_and(|place| place.store == answer.at.store);
        if !same_store {
            self.counters.ignored += 1;
            return;
        }
        self.learn(&to, answer);
        self.outbox.comes_back(&to, self.now.monotonic);
        let now = self.now.monotonic;
        let late = boot == self.boot && self.outbox.answers(&to, from, now);
        for verdict in &answer.verdicts {
            let Some(lane) = self.outbox.lane_mut(id) else {
                return;
            };
            match lane.channel.hear(epoch, boot, self.boot, verdict) {
                Heard::Nothing => self.settle_doubt(from, verdict),
                Heard::Final { place, fate } => {
                    if let Some(seq) = self.outbox.seq_at(id, place) {
                        self.outbox.sample(seq, now);
                        self.outbox.hurry_earlier(seq, now);
                        self.apply_fate(seq, fate, Some(from));
                    }
                }
                Heard::Handed { place } => {
                    if let Some(seq) = self.outbox.seq_at(id, place) {
                        self.outbox.handed(seq, now);
                    }
                }
                Heard::Late { place } => self.late(id, place),
                Heard::Rotate => self.rotate(id),
            }
        }
        if late {
            self.outbox.hurry_all(&to, now);
        }
    }

    /// The recipient says that a message came too late by its clock.
    fn late(&mut self, id: LaneId, place: u64) {
        let now = self.now;
        let Some(seq) = self.outbox.seq_at(id, place) else {
            return;
        };
        let recipient = self.outbox.lane(id).map(|lane| lane.to.clone());
        let recipient = recipient.and_then(|to| self.outbox.recipient(&to));
        let is_ahead = recipient.is_some_and(|r| !r.ahead.is_zero());
        let Some(flight) = self.outbox.get(seq) else {
            return;
        };
        if is_ahead && flight.tries <= 2 {
            // With a deadline by its own clock it may still be in time.
            self.outbox.wait_again(seq);
        } else if flight.due.is_some_and(|due| due <= now.wall) {
            // This device's clock has jumped since, and says so, too.
            self.outbox.change(seq, |flight| {
                flight.deadline = flight.deadline.map(|at| at.min(now.monotonic));
            });
        }
    }

    /// What an answer tells beside its verdicts.
    fn learn(&mut self, to: &Jid, answer: &Answer) {
        let ours = self.addresses.as_ref().map_or(0, |own| own.version);
        let ahead = answer.clock.saturating_sub(self.now.wall.as_unix_ms());
        let ahead = Duration::from_millis(u64::try_from(ahead).unwrap_or(0));
        let recipient = self.outbox.recipient_mut(to);
        recipient.bundles = answer.bundles as usize;
        let mut news = false;
        if let Some(jids) = &answer.jids
            && jids.version > recipient.version
        {
            recipient.version = jids.version;
            let named = |jid: &&BareJid| jid.as_str() != to.bare_str();
            recipient.others = jids.jids.iter().filter(named).cloned().collect();
            recipient.goes_by(0, self.now.monotonic);
            news = true;
        }
        let knows = answer.knows.min(ours);
        // Its store may have been set back since it knew more; an old answer that says so
        // costs no more than being told again.
        if knows > recipient.knows || (knows < recipient.knows && answer.boot == self.boot) {
            recipient.knows = knows;
            news = true;
        }
        // An answer can have been long on its way, so a clock that looks slow need not be.
        let told = recipient.ahead;
        if answer.boot == self.boot {
            recipient.ahead = if ahead > SKEW { ahead } else { Duration::ZERO };
        }
        let ahead = recipient.ahead;
        if told.is_zero() && !ahead.is_zero() {
            let to = to.clone();
            self.event(Event::ClockSkew { to, ahead });
        }
        if news {
            self.write_recipient(to);
        }
    }

    /// What became of a message, by its recipient's word or by the end of an epoch.
    pub(super) fn apply_fate(&mut self, seq: u64, fate: Fate, by: Option<&Jid>) {
        let Some(flight) = self.outbox.get(seq) else {
            return;
        };
        let outcome = match fate {
            Fate::Move => return,
            Fate::Delivered => {
                let to = self.outbox.lane(flight.lane).map(|lane| lane.to.clone());
                let Some(by) = by.cloned().or(to) else {
                    return;
                };
                Outcome::Delivered { by }
            }
            Fate::Void => Outcome::NotDelivered(why_void(flight, true)),
            Fate::Maybe => Outcome::InDoubt(InDoubt::MaybeApplied),
            Fate::RolledBack => Outcome::InDoubt(InDoubt::RolledBack),
            Fate::PeerReset => Outcome::InDoubt(InDoubt::PeerReset),
        };
        self.conclude(seq, outcome);
    }

    // ---- the end of an epoch --------------------------------------------------------

    fn rotate(&mut self, id: LaneId) {
        let Some(lane) = self.outbox.lane_mut(id) else {
            return;
        };
        if lane.channel.phase() != Phase::Open {
            return;
        }
        let (to, channel) = (lane.to.clone(), lane.name.to_string());
        if lane.channel.rotate() {
            tracing::warn!(%to, %channel, "the histories of the two sides differ: a new epoch");
            self.counters.rotations += 1;
            self.outbox.close_at(id, Some((self.now.monotonic, 0)));
        } else {
            self.event(Event::Cloned { to, channel });
        }
    }

    pub(super) fn hear_rotate(&mut self, from: &Jid, rotate: &Rotate) {
        let channel = rotate.channel.as_str();
        let at = &rotate.at;
        if let Some(id) = self.answering(from, &rotate.to, channel, rotate.epoch, at)
            && let Some(lane) = self.outbox.lane(id)
            && lane
                .channel
                .hear_rotate(rotate.epoch, rotate.boot, self.boot)
                == Heard::Rotate
        {
            return self.rotate(id);
        }
        self.counters.ignored += 1;
    }

    pub(super) fn hear_closed(&mut self, from: &Jid, closed: &Closed) {
        let channel = closed.channel.as_str();
        let Some(id) = self.answering(from, &closed.to, channel, closed.epoch, &closed.at) else {
            self.counters.ignored += 1;
            return;
        };
        let said = ClosedSaid {
            epoch: closed.epoch,
            boot: closed.boot,
            by: closed.by,
            known: closed.known,
            low: closed.low,
            highest: closed.highest,
            verdicts: &closed.verdicts,
        };
        let (this, random) = (self.boot, self.outbox.fresh_random());
        let Some(lane) = self.outbox.lane_mut(id) else {
            return;
        };
        match lane.channel.closed(&said, this, random) {
            Some(fates) => self.epoch_ended(id, closed.epoch, fates, from),
            None => self.counters.ignored += 1,
        }
    }

    /// The recipient has another store than the messages were sent to: what was
    /// transmitted is lost from sight, on all channels.
    pub(super) fn hear_wrong_store(&mut self, from: &Jid, wrong: &WrongStore) {
        let channel = wrong.channel.as_str();
        let id = self.answering(from, &wrong.to, channel, wrong.epoch, &wrong.at);
        let to = id
            .and_then(|id| self.outbox.lane(id))
            .map(|lane| lane.to.clone());
        let news = to.as_ref().is_some_and(|to| {
            let known = self.outbox.recipient(to).and_then(|r| r.place.as_ref());
            wrong.boot == self.boot && known.is_some_and(|k| k.store != wrong.at.store)
        });
        let Some(to) = to.filter(|_| news) else {
            self.counters.ignored += 1;
            return;
        };
        tracing::warn!(%to, "the recipient has another store than before");
        self.outbox.recipient_mut(&to).is_bound_to(wrong.at.clone());
        for id in self.outbox.lanes_to(&to) {
            self.flush_if_full();
            let (this, random) = (self.boot, self.outbox.fresh_random());
            if let Some(lane) = self.outbox.lane_mut(id) {
                let before = lane.channel.epoch();
                let fates = lane.channel.reset(this, random);
                self.epoch_ended(id, before, fates, from);
            }
        }
        // Last, as there may be several batches: a process that begins between two of them
        // must not send to this store what the other one may have.
        self.write_binding(&to);
    }

    fn epoch_ended(&mut self, id: LaneId, before: Epoch, fates: Vec<(u64, Fate)>, by: &Jid) {
        self.outbox.close_at(id, None);
        self.outbox.epoch_changed(id, before);
        for (place, fate) in fates {
            let Some(seq) = self.outbox.seq_at(id, place) else {
                continue;
            };
            if fate == Fate::Move {
                self.moved(seq);
            } else {
                self.apply_fate(seq, fate, Some(by));
            }
        }
        self.touch_lane(id);
        if let Some(epoch) = self.outbox.lane(id).map(|lane| lane.channel.epoch()) {
            self.after_all(Effect::Opened(id, epoch));
        }
    }

    /// The message goes on in another epoch, in which it was never transmitted.
    fn moved(&mut self, seq: u64) {
        let now = self.now.monotonic;
        let Some(flight) = self.outbox.get(seq) else {
            return;
        };
        if flight.stage == Stage::Persisting {
            // The store may yet refuse it, as it has one of that id.
            return;
        }
        let over = flight.deadline.is_some_and(|at| at <= now) || flight.in_doubt;
        if over || flight.wish == Wish::Cancel {
            let why = why_void(flight, false);
            return self.conclude(seq, Outcome::NotDelivered(why));
        }
        self.outbox.wait_again(seq);
        self.outbox.change(seq, |flight| {
            flight.inherited = false;
            flight.transmissions = 0;
            flight.tries = 0;
            flight.handed = false;
        });
    }

    /// An epoch is durable; the channel may be in a later one by now.
    pub(super) fn opened(&mut self, id: LaneId, epoch: Epoch) {
        if let Some(lane) = self.outbox.lane_mut(id)
            && lane.channel.epoch() == epoch
        {
            lane.channel.opened();
        }
        self.outbox.wake(id);
    }

    /// Nobody will answer for the recipient: what is in doubt stays so.
    pub(super) fn forget(&mut self, to: &Jid) {
        let account = Jid::from(to.to_bare());
        let mut lanes = self.outbox.lanes_to(to);
        if account != *to {
            lanes.extend(self.outbox.lanes_to(&account));
        }
        for id in lanes {
            self.flush_if_full();
            for seq in self.outbox.in_doubt(id) {
                self.conclude(seq, Outcome::InDoubt(InDoubt::Forgotten));
            }
            if let Some(lane) = self.outbox.lane_mut(id) {
                lane.forgotten = lane.more_in_store;
            }
        }
        while let Some((id, _)) = self.take_doubt(to, |_| true) {
            self.flush_if_full();
            self.undoubt(id, Outcome::InDoubt(InDoubt::Forgotten));
        }
    }
}

/// Why a message that never takes effect does not; `by_peer` if its recipient said so. A
/// recipient that was not asked to drop it will not have it.
fn why_void(flight: &Flight, by_peer: bool) -> NotDelivered {
    match flight.refused {
        _ if flight.taken_back => NotDelivered::Cancelled,
        Some(condition) => NotDelivered::Refused(condition),
        None if by_peer && flight.wish == Wish::Effect => NotDelivered::Rejected,
        None => NotDelivered::Expired,
    }
}

/// What can be done about a message that came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Send it again later.
    Retry,
    /// The same, much later: a person has to do something first.
    Wait,
    /// Send it to another address of the recipient.
    Reroute,
    /// The same, if there is one that was not tried.
    RerouteOrGiveUp,
    /// The same, as long as there is another one at all.
    RerouteIfElsewhere,
    /// The same; otherwise later, as it is for a person to mend.
    RerouteOrWait,
    /// Nothing.
    GiveUp,
}

impl Remedy {
    const fn of(condition: DefinedCondition) -> Self {
        match condition {
            DefinedCondition::RecipientUnavailable
            | DefinedCondition::ResourceConstraint
            | DefinedCondition::InternalServerError
            | DefinedCondition::UnexpectedRequest
            | DefinedCondition::UndefinedCondition => Self::Retry,
            // It, or its server, may be reached elsewhere.
            DefinedCondition::ServiceUnavailable
            | DefinedCondition::RemoteServerTimeout
            | DefinedCondition::RemoteServerNotFound
            | DefinedCondition::Gone
            | DefinedCondition::Redirect => Self::Reroute,
            DefinedCondition::NotAuthorized
            | DefinedCondition::PolicyViolation
            | DefinedCondition::RegistrationRequired
            | DefinedCondition::SubscriptionRequired => Self::Wait,
            DefinedCondition::ItemNotFound => Self::RerouteOrGiveUp,
            // Our own server does not talk to that domain (see `reach`); another one of ours
            // may.
            DefinedCondition::NotAllowed => Self::RerouteIfElsewhere,
            DefinedCondition::Forbidden => Self::RerouteOrWait,
            _ => Self::GiveUp,
        }
    }
}

//! The outbox in memory: which messages are there, which are on a stream, which goes
//! next, when one is sent again, and when its time is over. What the peers say of them is
//! judged in `delivery`; counting on the stream is `management`'s.

mod absence;
mod backlog;
mod flight;
mod lane;
mod pace;
mod reach;
mod streams;
mod turns;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use stanchion_stanza::payload::delivery::{Channel, Epoch};
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::{BareJid, Jid};

pub(super) use backlog::Backlog;
pub(super) use flight::{Flight, Stage, Wish, dress};
pub(super) use lane::{LOOSE, Lane, ROOM, Recipient};

use super::config::EngineConfig;
use crate::delivery::SendingChannel;
use crate::mutant;
use crate::protection::Protection;

/// Recipients whose round-trip estimate is remembered while nothing is on its way to them.
const KNOWN_RECIPIENTS: usize = 1024;

/// A lane, by the order in which it was made.
pub(super) type LaneId = u32;

/// Room for a lane, and the one that had to go for it.
pub(super) struct Room {
    pub(super) gone: Option<Lane>,
}

/// The outbox.
#[derive(Debug)]
pub(super) struct Outbox {
    config: EngineConfig,
    flights: BTreeMap<u64, Flight>,
    by_id: HashMap<String, u64>,
    lanes: BTreeMap<LaneId, Lane>,
    lane_ids: HashMap<(Jid, Channel), LaneId>,
    /// By the random part of the epoch, which no two lanes share.
    by_epoch: HashMap<u32, LaneId>,
    next_lane: LaneId,
    /// The highest index of an epoch of a lane that was forgotten: whoever comes after it
    /// under the same name begins above, or its recipient would take it for a copy.
    pub(super) floor: u32,
    recipients: HashMap<Jid, Recipient>,
    /// Lanes that may have something to send, by rank and turn.
    ready: BTreeSet<(u8, u64, LaneId)>,
    turns: u64,
    /// When messages need attention for their deadline's sake, and to be sent again.
    dues: BTreeSet<(Duration, u64)>,
    retries: BTreeSet<(Duration, u64)>,
    /// Epochs that are being closed: when to ask again, and how often it was asked.
    closing: BTreeMap<LaneId, (Duration, u32)>,
    /// Messages that the server has not acknowledged.
    unacknowledged: usize,
    /// What the stream offers, or the last one did.
    stream: Protection,
    /// Rooms that are not entered.
    shut: BTreeSet<Jid>,
    /// Who cannot be reached from this server, and may be from another one.
    moving: reach::Moving,
    /// Since when there is this stream.
    stream_since: Duration,
    /// State of a small generator, for jitter and for the names of epochs.
    random: u64,
}

impl Outbox {
    pub(super) fn new(config: EngineConfig, entropy: u64) -> Self {
        Self {
            config,
            flights: BTreeMap::new(),
            by_id: HashMap::new(),
            lanes: BTreeMap::new(),
            lane_ids: HashMap::new(),
            by_epoch: HashMap::new(),
            next_lane: 0,
            floor: 0,
            recipients: HashMap::new(),
            ready: BTreeSet::new(),
            turns: 0,
            dues: BTreeSet::new(),
            retries: BTreeSet::new(),
            closing: BTreeMap::new(),
            unacknowledged: 0,
            stream: Protection::Any,
            shut: BTreeSet::new(),
            moving: reach::Moving::default(),
            stream_since: Duration::ZERO,
            random: entropy | 1,
        }
    }

    // ---- lanes and recipients -------------------------------------------------------

    pub(super) fn len(&self) -> usize {
        self.flights.len()
    }

    pub(super) fn lane(&self, id: LaneId) -> Option<&Lane> {
        self.lanes.get(&id)
    }

    pub(super) fn lane_mut(&mut self, id: LaneId) -> Option<&mut Lane> {
        self.lanes.get_mut(&id)
    }

    /// Of the other lanes the store has no open messages.
    pub(super) fn all_loaded_but(&mut self, hungry: &BTreeSet<LaneId>) {
        for (id, lane) in &mut self.lanes {
            if !hungry.contains(id) {
                lane.channel.loaded_all();
            }
        }
    }

    pub(super) fn lane_count(&self) -> usize {
        self.lanes.len()
    }

    pub(super) fn find_lane(&self, to: &Jid, name: &Channel) -> Option<LaneId> {
        self.lane_ids.get(&(to.clone(), name.clone())).copied()
    }

    /// The lane whose channel is in that epoch.
    pub(super) fn lane_in(&self, epoch: Epoch) -> Option<LaneId> {
        let id = self.by_epoch.get(&epoch.random).copied()?;
        (self.lanes.get(&id)?.channel.epoch() == epoch).then_some(id)
    }

    /// A lane that there is not yet. With a channel from the store, or a new one.
    pub(super) fn add_lane(
        &mut self,
        to: &Jid,
        name: &Channel,
        kept_as: &str,
        channel: Option<SendingChannel>,
    ) -> LaneId {
        let id = self.next_lane;
        self.next_lane = self.next_lane.wrapping_add(1);
        let channel = channel.unwrap_or_else(|| {
            let index = self.floor.saturating_add(1);
            let random = self.fresh_random();
            SendingChannel::new(Epoch { index, random })
        });
        self.by_epoch.insert(channel.epoch().random, id);
        let lane = Lane::new(to.clone(), name.clone(), kept_as.to_owned(), channel);
        let recipient = self.recipient_mut(to);
        recipient.alarmed |= lane.rank == 0;
        recipient.lanes.push(id);
        self.lanes.insert(id, lane);
        self.lane_ids.insert((to.clone(), name.clone()), id);
        id
    }

    /// The channel went into another epoch.
    pub(super) fn epoch_changed(&mut self, id: LaneId, before: Epoch) {
        self.by_epoch.remove(&before.random);
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.dirty = true;
            self.by_epoch.insert(lane.channel.epoch().random, id);
        }
    }

    /// Whether there is room for another lane, beyond a bound for a lane of which nothing
    /// is open. Gives the one that had to go.
    pub(super) fn lane_room(&mut self) -> Option<Room> {
        if self.lanes.len() < self.config.lanes {
            return Some(Room { gone: None });
        }
        let id = self.lanes.iter().find(|(_, l)| l.is_idle()).map(|l| *l.0)?;
        let gone = self.lanes.remove(&id)?;
        self.by_epoch.remove(&gone.channel.epoch().random);
        self.unready(gone.rank, gone.turn, id);
        if let Some(recipient) = self.recipients.get_mut(&gone.to) {
            recipient.lanes.retain(|other| *other != id);
        }
        self.lane_ids.remove(&(gone.to.clone(), gone.name.clone()));
        self.floor = self.floor.max(gone.channel.epoch().index);
        Some(Room { gone: Some(gone) })
    }

    /// The recipient whose device has registered that account among its addresses.
    pub(super) fn registered_at(&self, account: &BareJid) -> Option<&Jid> {
        let mut all = self.recipients.iter();
        let found = all.find(|(_, r)| r.others.contains(account));
        found.map(|(to, _)| to)
    }

    pub(super) fn recipient(&self, to: &Jid) -> Option<&Recipient> {
        self.recipients.get(to)
    }

    pub(super) fn recipient_mut(&mut self, to: &Jid) -> &mut Recipient {
        let config = self.config.rto;
        self.recipients
            .entry(to.clone())
            .or_insert_with(|| Recipient::new(config))
    }

    pub(super) fn lanes_to(&self, to: &Jid) -> Vec<LaneId> {
        let recipient = self.recipients.get(to);
        recipient.map(|r| r.lanes.clone()).unwrap_or_default()
    }

    /// The epoch of a lane is asked to be closed again then, or needs not be.
    pub(super) fn close_at(&mut self, id: LaneId, at: Option<(Duration, u32)>) {
        match at {
            Some(at) => drop(self.closing.insert(id, at)),
            None => drop(self.closing.remove(&id)),
        }
    }

    /// Epochs to ask to be closed now.
    pub(super) fn closes_due(&self, now: Duration) -> Vec<(LaneId, u32)> {
        let due = self.closing.iter().filter(|(_, (at, _))| *at <= now);
        due.map(|(id, (_, asked))| (*id, *asked)).collect()
    }

    // ---- messages -------------------------------------------------------------------

    pub(super) fn insert(&mut self, seq: u64, flight: Flight) {
        // An id that is given again is refused by the store; until then, and after,
        // it is the first one's.
        self.by_id.entry(flight.id.clone()).or_insert(seq);
        if let Some(due) = flight.due_at() {
            self.dues.insert((due, seq));
        }
        let id = flight.lane;
        let cancel = flight.wish == Wish::Cancel;
        self.flights.insert(seq, flight);
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.all.insert(seq);
            lane.waiting.insert(seq);
            if cancel {
                lane.cancels.insert(seq);
            }
        }
        self.wake(id);
    }

    pub(super) fn get(&self, seq: u64) -> Option<&Flight> {
        self.flights.get(&seq)
    }

    pub(super) fn seq_of(&self, id: &str) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    /// The messages whose last copy went in that bundle.
    pub(super) fn bundled(&self, bundle: u32) -> Vec<u64> {
        let all = self.flights.iter();
        let there = all.filter(|(_, flight)| flight.bundle == Some(bundle));
        there.map(|(seq, _)| *seq).collect()
    }

    /// The message at that place of a lane's channel.
    pub(super) fn seq_at(&self, lane: LaneId, place: u64) -> Option<u64> {
        let lane = self.lanes.get(&lane)?;
        let place_of = |seq: &u64| self.flights.get(seq).and_then(|f| f.place);
        // Where nothing goes to other lanes, seqs count as places do.
        let first = lane.all.first()?;
        let behind = place_of(first).and_then(|first| place.checked_sub(first));
        let near = behind.and_then(|behind| first.checked_add(behind));
        let at = |seq: &&u64| place_of(seq) == Some(place);
        let near = near.as_ref().filter(|seq| lane.all.contains(seq));
        near.filter(at)
            .or_else(|| lane.all.iter().find(at))
            .copied()
    }

    /// Messages of the lane whose deadline is over, and that have no verdict.
    pub(super) fn in_doubt(&self, lane: LaneId) -> Vec<u64> {
        let all = self.lanes.get(&lane).map(|lane| &lane.all);
        let seqs = all.into_iter().flatten().copied();
        seqs.filter(|seq| self.flights.get(seq).is_some_and(|f| f.in_doubt))
            .collect()
    }

    /// Messages that are replaced by one of that key: those of its lane that have the same
    /// and that no transport can have had.
    pub(super) fn replaceable(&self, by: u64, key: &str) -> Vec<u64> {
        let lane = self.flights.get(&by).and_then(|f| self.lanes.get(&f.lane));
        let waiting = lane.into_iter().flat_map(|lane| lane.waiting.range(..by));
        let older = waiting.filter(|seq| {
            self.flights.get(seq).is_some_and(|flight| {
                flight.stage == Stage::Kept
                    && !flight.maybe_sent()
                    && flight.key.as_deref() == Some(key)
            })
        });
        older.copied().collect()
    }

    /// Whether every message of the lane that is in memory is in doubt.
    pub(super) fn is_all_in_doubt(&self, lane: LaneId) -> bool {
        let mut all = self.lanes.get(&lane).into_iter().flat_map(|l| &l.all);
        all.all(|seq| self.flights.get(seq).is_some_and(|f| f.in_doubt))
    }

    /// Changes what its timers depend on.
    pub(super) fn change(&mut self, seq: u64, change: impl FnOnce(&mut Flight)) {
        let Some(flight) = self.flights.get_mut(&seq) else {
            return;
        };
        let (due, retry) = (flight.due_at(), flight.retry_at);
        change(flight);
        let (due_now, retry_now) = (flight.due_at(), flight.retry_at);
        move_timer(&mut self.dues, seq, due, due_now);
        move_timer(&mut self.retries, seq, retry, retry_now);
    }

    /// Takes a message out: it has an outcome, or is not taken.
    pub(super) fn remove(&mut self, seq: u64) -> Option<Flight> {
        self.leave_the_way(seq);
        let flight = self.flights.remove(&seq)?;
        if self.by_id.get(&flight.id) == Some(&seq) {
            self.by_id.remove(&flight.id);
        }
        move_timer(&mut self.dues, seq, flight.due_at(), None);
        move_timer(&mut self.retries, seq, flight.retry_at, None);
        let to = self.lanes.get_mut(&flight.lane).map(|lane| {
            lane.all.remove(&seq);
            lane.waiting.remove(&seq);
            lane.cancels.remove(&seq);
            lane.to.clone()
        });
        if let Some(to) = to {
            self.wake_all(&to);
        }
        // Estimates outlive their messages, up to a bound.
        if self.recipients.len() > KNOWN_RECIPIENTS.max(self.config.lanes) {
            self.recipients
                .retain(|_, r| !r.lanes.is_empty() || r.binding > 0);
        }
        Some(flight)
    }

    /// It is no longer on its way.
    fn leave_the_way(&mut self, seq: u64) {
        let Some(flight) = self.flights.get(&seq) else {
            return;
        };
        if !flight.is_on_its_way() {
            return;
        }
        self.unacknowledged -= usize::from(flight.stage == Stage::InFlight);
        if let Some(lane) = self.lanes.get_mut(&flight.lane) {
            lane.on_their_way.remove(&seq);
            if let Some(recipient) = self.recipients.get_mut(&lane.to) {
                recipient.on_their_way = recipient.on_their_way.saturating_sub(1);
            }
        }
    }

    /// It is on its way.
    fn goes_its_way(&mut self, seq: u64) {
        self.unacknowledged += 1;
        let lane = self.flights.get(&seq).map(|f| f.lane);
        if let Some(lane) = lane.and_then(|id| self.lanes.get_mut(&id)) {
            lane.waiting.remove(&seq);
            lane.cancels.remove(&seq);
            lane.on_their_way.insert(seq);
            if let Some(recipient) = self.recipients.get_mut(&lane.to) {
                recipient.on_their_way += 1;
            }
        }
    }

    /// The message is durable.
    pub(super) fn kept(&mut self, seq: u64) {
        let Some(flight) = self.flights.get_mut(&seq) else {
            return;
        };
        if flight.stage == Stage::Persisting {
            flight.stage = Stage::Kept;
            let lane = flight.lane;
            self.wake(lane);
        }
    }

    /// It has a final state that is being made durable: it is not transmitted any more.
    pub(super) fn decided(&mut self, seq: u64) {
        self.leave_the_way(seq);
        self.change(seq, |flight| {
            flight.stage = Stage::Decided;
            flight.retry_at = None;
            flight.deadline = None;
            flight.cancel_at = None;
        });
        let id = self.flights.get(&seq).map(|f| f.lane);
        let to = id.and_then(|id| self.lanes.get_mut(&id)).map(|lane| {
            lane.waiting.remove(&seq);
            lane.cancels.remove(&seq);
            lane.to.clone()
        });
        if let Some(to) = to {
            self.wake_all(&to);
        }
    }

    /// It is transmitted now.
    pub(super) fn transmitted(&mut self, seq: u64, now: Duration, managed: bool) {
        let wait = self.random_share();
        let Some(flight) = self.flights.get(&seq) else {
            return;
        };
        let id = flight.lane;
        let room = self.is_for_room(seq);
        self.goes_out(seq, now);
        // On a managed stream the timer starts when the server has the message.
        if !managed && !room {
            self.starts_timer(seq, now, wait);
        }
        self.goes_its_way(seq);
        // The next lane has its turn.
        self.put_to_rest(id);
        self.wake(id);
    }

    /// A copy of it goes out.
    fn goes_out(&mut self, seq: u64, now: Duration) {
        let flight = self.flights.get(&seq).filter(|f| f.maybe_sent());
        if let Some(lane) = flight.and_then(|f| self.lanes.get_mut(&f.lane)) {
            lane.again_at = now;
        }
        self.change(seq, |flight| flight.transmitted(now));
    }

    /// The message goes out again on a resumed stream. Gives whether it is still open;
    /// one that has an outcome need not be sent.
    pub(super) fn resent(&mut self, seq: u64, now: Duration) -> bool {
        let Some(flight) = self.flights.get(&seq) else {
            return false;
        };
        match flight.stage {
            Stage::InFlight | Stage::ServerAccepted if flight.wish == Wish::Cancel => {
                // What went out may be the message itself.
                self.wait_again(seq);
                return false;
            }
            Stage::InFlight | Stage::ServerAccepted => self.leave_the_way(seq),
            // It has its turn to go out as it is now: as a cancel, or in another epoch.
            Stage::Persisting | Stage::Kept | Stage::Decided => return false,
        }
        self.goes_out(seq, now);
        self.goes_its_way(seq);
        true
    }

    // ---- answers and errors ---------------------------------------------------------

    /// The recipient's application has it, and will say what becomes of it: it is asked
    /// ever more rarely: what it says can be lost with a stream.
    pub(super) fn handed(&mut self, seq: u64, now: Duration) {
        let wait = self.random_share();
        let flight = self.flights.get(&seq);
        let pause = flight.and_then(|f| {
            let lane = self.lanes.get(&f.lane)?;
            let usual = self.usual(&lane.to, f.tries.saturating_add(1));
            Some(self.longer_if_away(&lane.to, usual))
        });
        let pause = pause.unwrap_or(self.config.rto.max);
        self.change(seq, |flight| {
            flight
                .span
                .in_scope(|| tracing::debug!("the recipient's application has it"));
            flight.handed = true;
            if flight.stage == Stage::ServerAccepted {
                flight.retry_at = Some(now + stretch(pause, wait));
                flight.armed = None;
            }
        });
    }

    /// A copy came back with an error that may pass: the timer decides when to try
    /// again, from now on; after the longest pause, if it is for a person to mend.
    pub(super) fn bounced(
        &mut self,
        seq: u64,
        condition: DefinedCondition,
        long: bool,
        now: Duration,
    ) {
        let wait = self.random_share();
        let Some(flight) = self.flights.get(&seq) else {
            return;
        };
        let most = self.config.rto.max;
        let pause = self.lanes.get(&flight.lane).map_or(most, |lane| {
            // It was no silence: the back-off of the path has nothing to do with it.
            let usual = self.usual(&lane.to, flight.tries.saturating_add(1));
            self.longer_if_away(&lane.to, if long { most } else { usual })
        });
        let waits = flight.is_on_its_way();
        self.change(seq, |flight| {
            flight.last_error = Some(condition);
            flight.bounced = true;
            if waits {
                flight.retry_at = Some(now + stretch(pause, wait));
                flight.armed = None;
            }
        });
    }

    /// The peer is there: what came back is sent again at once, and what it holds in
    /// doubt is asked about.
    pub(super) fn peer_is_back(&mut self, peer: &BareJid) {
        let lanes = self.lanes.values().filter(|lane| {
            let to = self.recipients.get(&lane.to);
            lane.to.bare_str() == peer.as_str()
                || to.is_some_and(|r| r.others.iter().any(|jid| jid == peer))
        });
        let flights = lanes.flat_map(|lane| &lane.all).filter(|seq| {
            // Once for each time that it came back, however often the peer says so.
            self.flights.get(seq).is_some_and(|f| {
                f.stage == Stage::ServerAccepted && (f.bounced || f.handed || f.tries > 2)
            })
        });
        for seq in flights.copied().collect::<Vec<_>>() {
            self.change(seq, |flight| {
                flight.tries = flight.tries.min(1);
                flight.handed = false;
            });
            self.wait_again(seq);
        }
    }

    /// The sender wants the message to take no effect: its transmission, now or when it
    /// is due, becomes a cancel.
    pub(super) fn cancel(&mut self, seq: u64) {
        self.change(seq, |flight| {
            flight.wish = Wish::Cancel;
            flight.tries = 0;
        });
        match self.flights.get(&seq).map(|f| (f.stage, f.lane)) {
            Some((Stage::Kept, id)) => {
                if let Some(lane) = self.lanes.get_mut(&id) {
                    lane.cancels.insert(seq);
                }
                self.wake(id);
            }
            _ => self.wait_again(seq),
        }
    }

    // ---- time -----------------------------------------------------------------------

    /// Messages whose retransmission is due wait for their turn again.
    pub(super) fn retransmissions_due(&mut self, now: Duration) -> u64 {
        let mut due = 0;
        while let Some((at, seq)) = self.retries.first().copied() {
            if at > now {
                break;
            }
            if mutant::is("no-retransmission") {
                self.change(seq, |flight| flight.retry_at = None);
                continue;
            }
            self.ran_out(seq);
            self.wait_again(seq);
            due += 1;
        }
        due
    }

    pub(super) fn wait_again(&mut self, seq: u64) {
        let Some(flight) = self.flights.get(&seq) else {
            return;
        };
        if !flight.is_on_its_way() {
            return self.change(seq, |flight| flight.retry_at = None);
        }
        let (id, cancel) = (flight.lane, flight.wish == Wish::Cancel);
        self.leave_the_way(seq);
        self.change(seq, |flight| {
            flight.retry_at = None;
            flight.stage = Stage::Kept;
        });
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.waiting.insert(seq);
            if cancel {
                lane.cancels.insert(seq);
            }
        }
        self.wake(id);
    }

    /// The first message that needs attention for its deadline's sake, and is durable.
    pub(super) fn due(&self, now: Duration) -> Vec<u64> {
        let due = self.dues.range(..=(now, u64::MAX));
        let seqs = due.map(|(_, seq)| *seq);
        seqs.filter(|seq| {
            // Its acceptance comes first, and the deadline right after it.
            let stage = self.flights.get(seq).map(|f| f.stage);
            stage.is_some_and(|stage| stage != Stage::Persisting)
        })
        .collect()
    }

    /// Messages below `first` that have a deadline to come.
    pub(super) fn due_of_earlier(&self, first: u64) -> Vec<u64> {
        let earlier = self.flights.range(..first);
        let due = earlier.filter(|(_, flight)| flight.due_at().is_some());
        due.map(|(seq, _)| *seq).collect()
    }

    /// Whether there may be one of those.
    pub(super) fn may_have_earlier(&self, first: u64) -> bool {
        let oldest = self.flights.first_key_value();
        !self.dues.is_empty() && oldest.is_some_and(|(seq, _)| *seq < first)
    }

    /// When something is to be done, if nothing happens before.
    pub(super) fn next_timeout(&self, connected: bool) -> Option<Duration> {
        let retry = self.retries.first().filter(|_| connected);
        // What is not durable yet is decided when it is.
        let due = self.dues.iter().find(|(_, seq)| {
            let stage = self.flights.get(seq).map(|f| f.stage);
            stage.is_some_and(|stage| stage != Stage::Persisting)
        });
        let close = self.closing.values().map(|(at, _)| *at);
        let close = close.min().filter(|_| connected);
        let moves = self.moves_at().filter(|_| connected);
        [
            retry.map(|(at, _)| *at),
            due.map(|(at, _)| *at),
            close,
            moves,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// For jitter and for the names of epochs (xorshift; not for secrets).
    pub(super) const fn random_number(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 32) as u32
    }

    /// The name of an epoch that no lane has: answers are told apart by it.
    pub(super) fn fresh_random(&mut self) -> u32 {
        loop {
            let random = self.random_number();
            if !self.by_epoch.contains_key(&random) {
                return random;
            }
        }
    }

    /// 0 to 255 of 1024ths.
    const fn random_share(&mut self) -> u32 {
        self.random_number() & 0xFF
    }
}

fn move_timer(
    timers: &mut BTreeSet<(Duration, u64)>,
    seq: u64,
    before: Option<Duration>,
    now: Option<Duration>,
) {
    if before == now {
        return;
    }
    if let Some(at) = before {
        timers.remove(&(at, seq));
    }
    if let Some(at) = now {
        timers.insert((at, seq));
    }
}

/// Up to a quarter longer.
fn stretch(d: Duration, share: u32) -> Duration {
    d + d * share / 1024
}

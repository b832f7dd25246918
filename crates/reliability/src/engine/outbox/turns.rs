//! Which message is transmitted next: whose turn it is among the lanes, and which message
//! of a lane may go. When one goes again is decided beside this.

use stanchion_stanza::Jid;

use super::flight::Stage;
use super::{LaneId, Outbox};
use crate::mutant;

impl Outbox {
    /// The lane may have something to send.
    pub(in crate::engine) fn wake(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id)
            && lane.turn.is_none()
            && !lane.waiting.is_empty()
        {
            self.turns += 1;
            lane.turn = Some(self.turns);
            self.ready.insert((lane.rank, self.turns, id));
        }
    }

    pub(in crate::engine) fn wake_all(&mut self, to: &Jid) {
        for id in self.lanes_to(to) {
            self.wake(id);
        }
    }

    pub(super) fn unready(&mut self, rank: u8, turn: Option<u64>, id: LaneId) {
        if let Some(turn) = turn {
            self.ready.remove(&(rank, turn, id));
        }
    }

    pub(super) fn put_to_rest(&mut self, id: LaneId) {
        if let Some(lane) = self.lanes.get_mut(&id) {
            let (rank, turn) = (lane.rank, lane.turn.take());
            self.unready(rank, turn, id);
        }
    }

    /// That message, if it may be transmitted now, whoever else waits.
    pub(in crate::engine) fn alone(&mut self, seq: u64) -> Option<u64> {
        let lane = self.flights.get(&seq)?.lane;
        self.sendable(lane).filter(|next| *next == seq)
    }

    /// The next message to transmit; the caller does, and says so with
    /// [`Outbox::transmitted`]. Messages of one lane leave in order.
    pub(in crate::engine) fn next_to_send(&mut self) -> Option<u64> {
        while let Some((_, _, id)) = self.ready.first().copied() {
            if let Some(seq) = self.sendable(id) {
                return Some(seq);
            }
            self.put_to_rest(id);
        }
        None
    }

    /// The first message of the lane that waits, if it may go. One that is not durable
    /// yet, or that the stream may not carry, holds back the later ones. Where order does
    /// not count, it is the newest that may go.
    fn sendable(&mut self, id: LaneId) -> Option<u64> {
        let lane = self.lanes.get(&id)?;
        if lane.is_room() && self.shut.contains(&lane.to) {
            return None;
        }
        // What names a store goes to no other one, after a crash neither.
        let bound = self.recipients.get(&lane.to).is_none_or(|r| r.binding == 0);
        if !bound && !lane.is_loose() && !mutant::is("bind-undurable") {
            return None;
        }
        // Before all else, and on any stream; but a recipient ignores what is beyond the
        // window: such a cancel would only take the room of the message that `low` waits
        // for, for ever.
        let within = |seq: &&u64| {
            let place = self.flights.get(seq).and_then(|flight| flight.place);
            mutant::is("cancel-beyond-window")
                || place.is_none_or(|place| lane.channel.may_transmit(place))
        };
        // If the first one is beyond it, so are the others.
        if let Some(seq) = lane.cancels.first().filter(within) {
            return Some(*seq);
        }
        if lane.unordered {
            let newest: Vec<u64> = lane.waiting.iter().rev().copied().collect();
            return newest.into_iter().find(|seq| self.may_go(id, *seq));
        }
        let seq = *lane.waiting.first()?;
        if self
            .flights
            .get(&seq)
            .is_some_and(|f| f.stage != Stage::Persisting && !self.stream.meets(f.protection))
        {
            for seq in lane.waiting.iter().skip(1) {
                if let Some(flight) = self.flights.get_mut(seq) {
                    flight.held_back |= flight.stage == Stage::Kept;
                }
            }
        }
        self.may_go(id, seq).then_some(seq)
    }

    /// Whether a message that waits may be transmitted now.
    fn may_go(&mut self, id: LaneId, seq: u64) -> bool {
        self.may_go_if_known(id, seq).unwrap_or(false)
    }

    fn may_go_if_known(&mut self, id: LaneId, seq: u64) -> Option<bool> {
        let lane = self.lanes.get(&id)?;
        let flight = self.flights.get_mut(&seq)?;
        if flight.stage == Stage::Persisting && !mutant::is("transmit-before-durable") {
            return Some(false);
        }
        if !self.stream.meets(flight.protection) {
            flight.held_back |= flight.stage == Stage::Kept;
            return Some(false);
        }
        let recipient = self.recipients.get(&lane.to)?;
        let room = recipient.on_their_way < recipient.window(self.config.window, lane.rank);
        let may = flight.place.is_none_or(|p| lane.channel.may_transmit(p));
        Some(room && may)
    }
}

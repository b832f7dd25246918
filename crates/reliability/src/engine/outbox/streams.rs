//! What a stream means to the outbox: what it may carry, what the server has of it, and
//! what is left when it is gone.

use std::collections::BTreeSet;
use std::time::Duration;

use stanchion_stanza::Jid;

use super::{Lane, LaneId, Outbox, Stage, Wish};
use crate::mutant;
use crate::protection::Protection;

impl Outbox {
    /// A stream is up that offers that.
    pub(in crate::engine) fn stream_is(&mut self, protection: Protection) {
        self.stream = protection;
        let ids: Vec<LaneId> = self.lanes.keys().copied().collect();
        for id in ids {
            self.wake(id);
        }
    }

    pub(in crate::engine) fn stream_meets(&self, wanted: Protection) -> bool {
        self.stream.meets(wanted)
    }

    /// Of these, which were on a stream that is resumed, those wait again that the
    /// stream may not carry, and those behind one that waits for such a stream; and those
    /// whose order does not count, since a newer one goes first. Gives which.
    pub(in crate::engine) fn hold_back(
        &mut self,
        seqs: impl Iterator<Item = u64>,
    ) -> BTreeSet<u64> {
        let mut back = BTreeSet::new();
        // In the order of the outbox: an older one may stand behind a newer one on the
        // stream, as it was sent again.
        for seq in seqs.collect::<BTreeSet<u64>>() {
            let Some(flight) = self.flights.get(&seq) else {
                continue;
            };
            let waits = |lane: &Lane| {
                lane.waiting.range(..seq).any(|earlier| {
                    self.flights.get(earlier).is_some_and(|earlier| {
                        earlier.stage == Stage::Kept && !self.stream.meets(earlier.protection)
                    })
                })
            };
            let held = flight.wish == Wish::Effect
                && (!self.stream.meets(flight.protection)
                    || self
                        .lanes
                        .get(&flight.lane)
                        .is_some_and(|lane| lane.unordered || waits(lane)));
            if held {
                self.wait_again(seq);
                back.insert(seq);
            }
        }
        back
    }

    /// The server has the message: the verdict is awaited from now on.
    pub(in crate::engine) fn server_accepted(&mut self, seq: u64, now: Duration) -> bool {
        let wait = self.random_share();
        let Some(flight) = self.flights.get(&seq) else {
            return false;
        };
        if flight.stage != Stage::InFlight {
            return false;
        }
        self.unacknowledged -= 1;
        let room = self.is_for_room(seq);
        self.change(seq, |flight| {
            flight.stage = Stage::ServerAccepted;
            flight.retry_at = None;
        });
        if !room {
            self.starts_timer(seq, now, wait);
        }
        true
    }

    /// The stream is gone. What was on it waits for the next one; with `all`, also what
    /// the server had acknowledged, since it may have lost that.
    pub(in crate::engine) fn stream_lost(&mut self, all: bool) {
        if mutant::is("unacked-forgotten") {
            return;
        }
        let lost = self.flights.iter().filter(|(_, f)| match f.stage {
            Stage::InFlight => true,
            Stage::ServerAccepted => all,
            _ => false,
        });
        for seq in lost.map(|(seq, _)| *seq).collect::<Vec<_>>() {
            // A room that has it would show it twice.
            if all && self.is_for_room(seq) {
                self.await_reflection(seq);
            } else {
                self.wait_again(seq);
            }
        }
    }

    pub(super) fn is_for_room(&self, seq: u64) -> bool {
        let lane = self.flights.get(&seq).and_then(|f| self.lanes.get(&f.lane));
        lane.is_some_and(Lane::is_room)
    }

    /// Nobody knows whether the room has it: only what it reflects tells.
    fn await_reflection(&mut self, seq: u64) {
        if let Some(flight) = self.flights.get(&seq) {
            self.unacknowledged -= usize::from(flight.stage == Stage::InFlight);
        }
        self.change(seq, |flight| {
            flight.stage = Stage::ServerAccepted;
            flight.retry_at = None;
        });
    }

    /// Whether messages to a room wait until it is entered.
    pub(in crate::engine) fn shut(&mut self, room: Jid, shut: bool) {
        if shut {
            self.shut.insert(room);
        } else {
            self.shut.remove(&room);
            self.wake_all(&room);
        }
    }

    /// The room has nothing of what was given to earlier streams and is not known to be
    /// there: it goes out again.
    pub(in crate::engine) fn say_again(&mut self, room: &Jid) {
        let missing = self.flights.iter().filter(|(_, flight)| {
            let to = self.lanes.get(&flight.lane).filter(|lane| lane.is_room());
            to.is_some_and(|lane| lane.to == *room)
                && flight.stage == Stage::ServerAccepted
                && flight.wish == Wish::Effect
                && !flight.inherited
                && !flight.in_doubt
        });
        for seq in missing.map(|(seq, _)| *seq).collect::<Vec<_>>() {
            self.wait_again(seq);
        }
    }

    /// Whether a message is on the stream that the server has not acknowledged.
    pub(in crate::engine) const fn awaits_server(&self) -> bool {
        self.unacknowledged > 0
    }
}

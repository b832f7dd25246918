//! An engine that follows a failed one in the same process: what the store does not know,
//! because it is about this process, goes over. Everything else comes from the store.

use std::collections::{BTreeMap, BTreeSet};

use super::inbound::{Origin, Receipt};
use super::rooms::Rooms;
use super::seats::seat_of;
use super::{Counters, Effect, Engine};
use stanchion_stanza::BareJid;

use crate::store::{InboundRecord, InboundState};

/// What a failed engine leaves to the next one. Its size has the bounds of the engine's
/// [`hand_over`](super::EngineConfig::hand_over) and of what was being committed.
#[derive(Debug, Default)]
pub struct Legacy {
    /// Messages that the application was given, by arrival; `true` for one that it has
    /// committed since.
    in_hands: BTreeMap<u64, bool>,
    /// Those that an earlier process was given too, and that are not begun.
    again: BTreeSet<u64>,
    first_arrival: Option<u64>,
    counters: Counters,
    rooms: Rooms,
}

impl Legacy {
    /// The messages that the next engine must be given the records of.
    pub fn in_hands(&self) -> impl Iterator<Item = u64> + '_ {
        self.in_hands.keys().copied()
    }

    /// The application commits one while there is no engine. Gives false if it does not
    /// hold it.
    pub fn committed(&mut self, arrival: u64) -> bool {
        let held = self.in_hands.get_mut(&arrival);
        held.is_some_and(|committed| {
            *committed = true;
            true
        })
    }

    /// A room is to be entered: see [`Input::HoldRoom`](super::Input::HoldRoom).
    pub fn hold_room(&mut self, room: BareJid, gather: bool) {
        self.rooms.hold(room.into(), gather);
    }

    /// A room is left for good.
    pub fn leave_room(&mut self, room: BareJid) {
        self.rooms.remove(&room.into());
    }

    /// Whether the next engine is going to commit it.
    #[must_use]
    pub fn is_committed(&self, arrival: u64) -> bool {
        self.in_hands.get(&arrival) == Some(&true)
    }
}

impl Engine {
    /// What this engine knows and its store may not, once [`Event::StoreFailed`] was told.
    ///
    /// [`Event::StoreFailed`]: super::Event::StoreFailed
    #[must_use]
    pub fn legacy(&self) -> Legacy {
        let held = self.inbox.arrivals().map(|arrival| (arrival, false));
        let open = self.committing.iter().flatten().map(|(_, effect)| effect);
        let new = self.ops.iter().map(|(_, effect)| effect);
        // Whether these commits are durable is not known.
        let commits = open.chain(new).filter_map(|effect| match effect {
            Effect::Committed { arrival, .. } => Some((*arrival, true)),
            // Nor whether these decisions are; the record tells, and whoever made them
            // can make them again.
            Effect::Applied { arrival, .. } | Effect::Rejected { arrival, .. } => {
                Some((*arrival, false))
            }
            _ => None,
        });
        Legacy {
            in_hands: held.chain(commits).collect(),
            again: self.inbox.again().collect(),
            first_arrival: self.first_arrival,
            counters: self.counters,
            rooms: self.rooms.bequeathed(),
        }
    }

    /// Follows the engine that left `legacy`, in the same process; `records` are those of
    /// the messages in the application's hands, as the store has them now. They are not
    /// handed over again, and can be committed. To be called before the first input.
    pub fn succeed(&mut self, legacy: &Legacy, records: Vec<InboundRecord>) {
        self.first_arrival = legacy.first_arrival;
        self.counters = legacy.counters;
        self.inherit_rooms(legacy.rooms.clone());
        for record in records {
            let arrival = record.arrival;
            let Some(committed) = legacy.in_hands.get(&arrival) else {
                continue;
            };
            // A commit that was thought to have failed is durable all the same: a copy of
            // the message will be answered.
            if record.state == InboundState::Handled {
                continue;
            }
            let Some(message) = self.read_message(&record) else {
                continue;
            };
            let origin = match seat_of(&record.key, &message) {
                Some(seat) => Origin::Channel(seat),
                None => Origin::Plain {
                    key: record.key,
                    receipt: Receipt::wanted_by(&message),
                },
            };
            if let Origin::Channel(seat) = &origin
                && let Some(there) = self.correspondents.channel(&seat.device, &seat.channel)
            {
                there.awaited.remove(&(seat.epoch, seat.seq));
            }
            if legacy.again.contains(&arrival) {
                self.inbox.carry_again(arrival, origin);
            } else {
                self.inbox.carry(arrival, origin);
            }
            if *committed {
                self.commit(arrival);
            }
        }
    }
}

//! Rooms that the floor above enters and leaves (XEP-0045): while one is not entered,
//! nothing goes out to it; and while its archive is read, what it says waits until all
//! that it said before was taken in. How one enters a room is the floor above's.
//!
//! ```text
//! Hold ──► held ──► Enter ──► entered
//!            ▲                   │ new session, "you are not in the room"
//!            └───────────────────┘
//! ```

use std::collections::BTreeMap;

use stanchion_stanza::stanza::{DefinedCondition, MessageType};
use stanchion_stanza::{BareJid, Jid, Message};

use super::inbound;
use super::management::Slot;
use super::{Effect, Engine, Event};

/// Rooms that are looked after; one more is as any other recipient.
const ROOMS: usize = 1024;
/// Messages of one room that wait while its archive is read. Beyond, they are read from
/// there.
const GATHERED: usize = 256;
/// Bytes of those of all rooms.
const GATHERED_BYTES: usize = 4 * 1024 * 1024;

/// The rooms, by bare address.
#[derive(Debug, Clone, Default)]
pub(super) struct Rooms {
    by_jid: BTreeMap<Jid, Held>,
    bytes: usize,
}

/// One of them.
#[derive(Debug, Clone, Default)]
struct Held {
    entered: bool,
    /// What it says waits here: its archive has it, too, so it need not be durable.
    gathers: bool,
    gathered: Vec<(Message, usize)>,
    /// Something was left to the archive.
    missed: bool,
}

impl Rooms {
    pub(super) fn hold(&mut self, room: Jid, gathers: bool) -> bool {
        if !self.by_jid.contains_key(&room) && self.by_jid.len() >= ROOMS {
            return false;
        }
        let held = self.by_jid.entry(room).or_default();
        self.bytes -= held.gathered.drain(..).map(|(_, size)| size).sum::<usize>();
        *held = Held {
            gathers,
            ..Held::default()
        };
        true
    }

    pub(super) fn remove(&mut self, room: &Jid) {
        if let Some(held) = self.by_jid.remove(room) {
            self.bytes -= held.gathered.iter().map(|(_, size)| size).sum::<usize>();
        }
    }

    /// What was gathered; none if something is missing in it.
    fn take_gathered(&mut self, room: &Jid) -> Option<Vec<Message>> {
        let held = self.by_jid.get_mut(room)?;
        let (messages, sizes): (Vec<_>, Vec<_>) = held.gathered.drain(..).unzip();
        self.bytes -= sizes.iter().sum::<usize>();
        (!std::mem::take(&mut held.missed)).then_some(messages)
    }

    /// The session before is over: none is entered.
    fn left(&mut self) -> Vec<Jid> {
        self.bytes = 0;
        for held in self.by_jid.values_mut() {
            *held = Held::default();
        }
        self.by_jid.keys().cloned().collect()
    }

    /// For the engine that follows: what waited was not durable, and the archive has it.
    pub(super) fn bequeathed(&self) -> Self {
        let mut rooms = self.clone();
        rooms.bytes = 0;
        for held in rooms.by_jid.values_mut() {
            held.missed |= !held.gathered.is_empty();
            held.gathered.clear();
        }
        rooms
    }
}

impl Engine {
    pub(super) fn hold_room(&mut self, room: BareJid, gathers: bool) {
        let room = Jid::from(room);
        if self.rooms.hold(room.clone(), gathers) {
            self.outbox.shut(room, true);
        } else {
            tracing::warn!(%room, "too many rooms: what is said there does not wait for it");
        }
    }

    pub(super) fn leave_room(&mut self, room: BareJid) {
        let room = Jid::from(room);
        self.rooms.remove(&room);
        self.outbox.shut(room, false);
    }

    /// A new session: nothing is known to be entered.
    pub(super) fn rooms_left(&mut self) {
        for room in self.rooms.left() {
            self.outbox.shut(room, true);
        }
    }

    /// The rooms of the engine before.
    pub(super) fn inherit_rooms(&mut self, rooms: Rooms) {
        for (room, held) in &rooms.by_jid {
            self.outbox.shut(room.clone(), !held.entered);
        }
        self.rooms = rooms;
    }

    /// What the room said meanwhile follows what its archive had; then it is entered. With
    /// `settled` the archive was read to its end, so it has all that came to it from an
    /// earlier stream: what it does not have is said again.
    pub(super) fn enter_room(&mut self, ticket: u64, room: BareJid, settled: bool) {
        let room = Jid::from(room);
        let gathered = self.rooms.take_gathered(&room);
        let mut entered = gathered.is_some();
        let mut taken = 0;
        for message in gathered.into_iter().flatten() {
            self.flush_if_full();
            self.archiving += 1;
            if self.is_full() {
                // The archive has it and those that follow.
                self.archiving -= 1;
                entered = false;
                break;
            }
            taken += 1;
            self.message(Slot::ARCHIVED, message);
        }
        if entered && let Some(held) = self.rooms.by_jid.get_mut(&room) {
            held.entered = true;
            held.gathers = false;
            if settled {
                self.outbox.say_again(&room);
            }
            self.outbox.shut(room, false);
        }
        self.after_all(Effect::Entered {
            ticket,
            taken,
            entered,
        });
    }

    pub(super) fn room_is_entered(&mut self, ticket: u64, taken: usize, entered: bool) {
        self.archiving = self.archiving.saturating_sub(taken);
        self.event(Event::Entered { ticket, entered });
    }

    /// Keeps a message of a room whose archive is being read. Gives it back if it need not
    /// wait.
    pub(super) fn gather(&mut self, slot: Slot, message: Message) -> Option<Message> {
        let room = message.header.from.as_ref().map(|f| Jid::from(f.to_bare()));
        let held = room.and_then(|room| self.rooms.by_jid.get_mut(&room));
        let Some(held) = held.filter(|held| held.gathers && slot != Slot::ARCHIVED) else {
            return Some(message);
        };
        if message.body().is_none() || inbound::key(&message).is_none() {
            return Some(message);
        }
        let size = self.encoder.to_bytes(&message.to_element());
        let size = size.map_or(usize::MAX, |bytes| bytes.len());
        let full = held.gathered.len() >= GATHERED
            || self.rooms.bytes.saturating_add(size) > GATHERED_BYTES;
        if held.missed || full {
            held.missed = true;
        } else {
            self.rooms.bytes += size;
            held.gathered.push((message, size));
        }
        self.management.handled(slot);
        None
    }

    /// A room refused what was said in it. If that is because we are not in it (§7.4), it
    /// is said again once we are. Gives whether that is so.
    pub(super) fn is_outside(&mut self, seq: u64, message: &Message) -> bool {
        let condition = message.error().unwrap_or_default().condition;
        let from = message.header.from.as_ref();
        let Some(room) = from.filter(|from| from.resource().is_none()).cloned() else {
            return false;
        };
        debug_assert_eq!(message.kind, MessageType::Error);
        let looked_after = self.rooms.by_jid.get_mut(&room);
        let Some(held) = looked_after.filter(|_| condition == DefinedCondition::NotAcceptable)
        else {
            return false;
        };
        held.entered = false;
        self.outbox.shut(room, true);
        self.outbox.wait_again(seq);
        true
    }
}

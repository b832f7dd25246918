//! Rooms at `rooms.` and the hub's domain (XEP-0045): who is in them, what was said, who
//! may do what. Pure state, like all of the router: what is to be sent, and what is to be
//! kept, is given to it.
//!
//! `room` is one room and who is in it, `talk` what is said there, `history` what is kept
//! of that (XEP-0313), `orders` what its owners and admins do, `about` what it says of
//! itself.
//!
//! Left out: one nickname for several connections of an account (the newer one takes it
//! over), requests from occupant to occupant, asking to be heard, and registration.

mod about;
mod history;
mod orders;
mod room;
mod talk;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::SystemTime;

use stanchion_stanza::payload::muc::Join;
use stanchion_stanza::stanza::{
    DefinedCondition, ErrorType, IqKind, MessageType, PresenceType, StanzaError,
};
use stanchion_stanza::{
    Element, Encoder, Iq, Jid, Message, Payload as _, Presence, Scope, Stanza, Text,
    codec::parse_element,
};

use super::{Keeping, Persist, StoredId, StoredMessage};
use crate::limits::HubLimits;
use room::Room;

/// The first label of the rooms' domain.
const LABEL: &str = "rooms";

/// All rooms.
#[derive(Debug)]
pub(super) struct Rooms {
    domain: Option<Jid>,
    limits: HubLimits,
    encoder: Encoder,
    rooms: BTreeMap<String, Room>,
}

/// What follows from a stanza.
#[derive(Debug, Default)]
pub(super) struct Effects {
    /// To be routed, each to its `to`.
    pub(super) stanzas: Vec<Stanza>,
    /// To be kept, or no longer.
    pub(super) persist: Vec<Persist>,
}

/// Who sent a stanza, when, and what it leads to.
struct Turn<'a> {
    sender: Jid,
    now: SystemTime,
    next_stored: &'a mut u64,
    effects: Effects,
}

impl Turn<'_> {
    fn send(&mut self, stanza: impl Into<Stanza>) {
        self.effects.stanzas.push(stanza.into());
    }

    fn id(&mut self) -> StoredId {
        let id = StoredId(*self.next_stored);
        *self.next_stored += 1;
        id
    }
}

const fn refusal(kind: ErrorType, condition: DefinedCondition) -> StanzaError {
    StanzaError::new(kind, condition)
}

impl Rooms {
    pub(super) fn new(hub: &Jid, limits: HubLimits) -> Self {
        Self {
            domain: Jid::new(&format!("{LABEL}.{}", hub.domain())).ok(),
            limits,
            encoder: Encoder::new(Scope::client(), limits.outbound()),
            rooms: BTreeMap::new(),
        }
    }

    /// The address of the service; none if the hub's domain leaves no room for it.
    pub(super) const fn domain(&self) -> Option<&Jid> {
        self.domain.as_ref()
    }

    /// Whether an address is one of these.
    pub(super) fn has(&self, to: &Jid) -> bool {
        self.domain
            .as_ref()
            .is_some_and(|d| d.domain() == to.domain())
    }

    /// What an earlier hub kept, the rooms themselves first; gives the record that makes no
    /// sense any more.
    pub(super) fn restore(&mut self, stored: StoredMessage) -> Result<(), StoredId> {
        let id = stored.id;
        let limits = self.limits.outbound();
        let element = parse_element(&stored.stanza, &Scope::client(), &limits).map_err(|_| id)?;
        let address = self.address(&stored.account).ok_or(id)?;
        match stored.keeping {
            Keeping::Room => {
                let room = Room::restored(address, id, &element).ok_or(id)?;
                // The older one was about to be removed.
                let older = self.rooms.insert(stored.account, room);
                if let Some(older) = older.and_then(|older| older.record()) {
                    return Err(older);
                }
            }
            Keeping::Said => {
                let room = self.rooms.get_mut(&stored.account).ok_or(id)?;
                let message = Message::from_element(element).map_err(|_| id)?;
                room.history.restore(id, stored.since, message);
            }
            _ => return Err(id),
        }
        Ok(())
    }

    fn address(&self, local: &str) -> Option<Jid> {
        Jid::from_parts(Some(local), self.domain.as_ref()?.domain(), None).ok()
    }

    /// A stanza for a room, or for the service; its sender is stamped on it.
    pub(super) fn take(
        &mut self,
        now: SystemTime,
        next_stored: &mut u64,
        stanza: Stanza,
    ) -> Effects {
        let header = match &stanza {
            Stanza::Message(message) => &message.header,
            Stanza::Presence(presence) => &presence.header,
            Stanza::Iq(iq) => &iq.header,
        };
        let (Some(sender), Some(to)) = (header.from.clone(), header.to.clone()) else {
            return Effects::default();
        };
        let mut turn = Turn {
            sender,
            now,
            next_stored,
            effects: Effects::default(),
        };
        match stanza {
            Stanza::Presence(presence) => self.presence(&mut turn, &to, presence),
            Stanza::Message(message) => self.message(&mut turn, &to, message),
            Stanza::Iq(iq) => self.iq(&mut turn, &to, &iq),
        }
        if let Some(local) = to.local() {
            self.tidy(&mut turn, local);
        }
        turn.effects
    }

    /// A session is gone, and with it whoever was in rooms by it.
    pub(super) fn gone(
        &mut self,
        now: SystemTime,
        next_stored: &mut u64,
        session: &Jid,
    ) -> Effects {
        let mut turn = Turn {
            sender: session.clone(),
            now,
            next_stored,
            effects: Effects::default(),
        };
        let there = |room: &Room| room.by_address(session).is_some();
        let rooms = self.rooms.iter().filter(|(_, room)| there(room));
        let locals: Vec<String> = rooms.map(|(local, _)| local.clone()).collect();
        for local in locals {
            if let Some(room) = self.rooms.get_mut(&local) {
                room.leaves(&mut turn, session, None);
            }
            self.tidy(&mut turn, &local);
        }
        turn.effects
    }

    /// A room that nobody is in, and of which nothing is worth keeping, is gone.
    fn tidy(&mut self, turn: &mut Turn<'_>, local: &str) {
        let Some(room) = self.rooms.get_mut(local) else {
            return;
        };
        if room.is_over() {
            room.forget(turn);
            self.rooms.remove(local);
        } else {
            room.keep(turn, local, &self.encoder);
        }
    }

    // ---- presence -------------------------------------------------------------------

    fn presence(&mut self, turn: &mut Turn<'_>, to: &Jid, presence: Presence) {
        let refuse = |turn: &mut Turn<'_>, error: StanzaError| {
            let mut answer = Presence::of(PresenceType::Error);
            answer.header = presence.header.reply();
            answer.payloads.push(error.to_element());
            turn.send(answer);
        };
        let Some(local) = to.local() else {
            return;
        };
        match presence.kind {
            PresenceType::Unavailable => {
                let sender = turn.sender.clone();
                let status = presence.status().map(std::borrow::Cow::into_owned);
                if let Some(room) = self.rooms.get_mut(local) {
                    room.leaves(turn, &sender, status);
                }
            }
            PresenceType::Available => {
                let Some(nick) = to.resource() else {
                    return refuse(
                        turn,
                        refusal(ErrorType::Modify, DefinedCondition::JidMalformed),
                    );
                };
                let join = presence.payload::<Join>().ok().flatten();
                let known = self.rooms.get(local);
                let inside = known.is_some_and(|room| room.by_address(&turn.sender).is_some());
                if join.is_none() && !inside {
                    return refuse(
                        turn,
                        refusal(ErrorType::Modify, DefinedCondition::NotAcceptable),
                    );
                }
                if known.is_none() {
                    let Some(address) = self.address(local) else {
                        return;
                    };
                    if self.rooms.len() >= self.limits.rooms {
                        let condition = DefinedCondition::ResourceConstraint;
                        return refuse(turn, refusal(ErrorType::Wait, condition));
                    }
                    let room = Room::made_by(address, &turn.sender);
                    self.rooms.insert(local.to_owned(), room);
                }
                let limits = self.limits;
                let Some(room) = self.rooms.get_mut(local) else {
                    return;
                };
                let entered = room.enters(turn, nick, &presence, join, &limits);
                if let Err(error) = entered {
                    refuse(turn, error);
                }
            }
            _ => {}
        }
    }

    // ---- messages -------------------------------------------------------------------

    fn message(&mut self, turn: &mut Turn<'_>, to: &Jid, message: Message) {
        if message.kind == MessageType::Error {
            return;
        }
        let header = message.header.clone();
        let said = match to.local().and_then(|local| self.rooms.get_mut(local)) {
            Some(room) => match to.resource() {
                Some(nick) => room.whispers(turn, nick, message),
                None if message.kind == MessageType::Groupchat => {
                    room.says(turn, message, &self.limits, &self.encoder)
                }
                None => room.passes_on(turn, &message),
            },
            None => Err(refusal(ErrorType::Cancel, DefinedCondition::ItemNotFound)),
        };
        if let Err(error) = said {
            turn.send(Message {
                header: header.reply(),
                kind: MessageType::Error,
                payloads: vec![error.to_element()],
            });
        }
    }

    // ---- requests -------------------------------------------------------------------

    fn iq(&mut self, turn: &mut Turn<'_>, to: &Jid, iq: &Iq) {
        let (set, child) = match &iq.kind {
            IqKind::Get(child) => (false, child),
            IqKind::Set(child) => (true, child),
            IqKind::Result(_) | IqKind::Error(..) => return,
        };
        let answer = match (to.local(), to.resource()) {
            (None, _) => self.service_answers(set, child),
            (Some(local), nick) => match (self.rooms.get_mut(local), nick) {
                (None, _) => Err(refusal(ErrorType::Cancel, DefinedCondition::ItemNotFound)),
                (Some(room), Some(nick)) => room.occupant_answers(turn, nick, set, child),
                (Some(room), None) => room.answers(turn, set, child, &self.limits),
            },
        };
        turn.send(match answer {
            Ok(payload) => iq.result(payload),
            Err(error) => iq.refuse(error),
        });
    }
}

/// What a request is answered with.
type Answer = Result<Option<Element>, StanzaError>;

fn text(s: &str) -> Text {
    // From an address or a stanza, which hold nothing else.
    Text::new(s).unwrap_or_default()
}

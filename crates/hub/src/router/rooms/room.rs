//! One room: who is in it, what they are to it, and how they come and go (XEP-0045 §7).

use std::collections::BTreeMap;

use stanchion_stanza::payload::delay::Delay;
use stanchion_stanza::payload::muc::{
    Actor, Affiliation, Destroy, Item, Join, Password, Role, Status, User,
};
use stanchion_stanza::stanza::{
    DefinedCondition, ErrorType, MessageType, PresenceType, StanzaError,
};
use stanchion_stanza::{BareJid, Element, Encoder, Jid, Message, Payload as _, Presence, Text, ns};

use super::history::History;
use super::{Turn, refusal, text};
use crate::limits::HubLimits;
use crate::router::{Keeping, Persist, StoredId, StoredMessage};
use crate::stamp::stamp;

const NS: &str = "urn:stanchion:hub:room:0";

/// A room.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) address: Jid,
    pub(super) settings: Settings,
    pub(super) affiliations: BTreeMap<BareJid, Affiliation>,
    /// By nickname.
    pub(super) occupants: BTreeMap<String, Occupant>,
    /// Who set it, and what it is.
    pub(super) subject: Option<(String, Text)>,
    pub(super) history: History,
    /// Its owner has not configured it yet: nobody else may enter.
    pub(super) locked: bool,
    /// Ordered by its owner.
    pub(super) destroyed: bool,
    /// Its record, and whether that is as the room is now.
    record: Option<StoredId>,
    pub(super) changed: bool,
}

/// What its owners choose (§10.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings {
    pub(super) name: Option<Text>,
    pub(super) members_only: bool,
    pub(super) moderated: bool,
    pub(super) password: Option<Text>,
    /// All see real addresses.
    pub(super) open: bool,
    /// All may set the subject.
    pub(super) subject_by_all: bool,
    /// It is not listed.
    pub(super) hidden: bool,
}

/// Somebody in it.
#[derive(Debug, Clone)]
pub(super) struct Occupant {
    pub(super) address: Jid,
    pub(super) role: Role,
    /// What its last presence said.
    shown: Vec<Element>,
}

/// Why somebody goes.
pub(super) struct Removal {
    pub(super) status: Status,
    pub(super) by: Option<String>,
    pub(super) reason: Option<Text>,
}

impl Room {
    /// A room that is new, and locked until its maker has configured it (§10.1).
    pub(super) fn made_by(address: Jid, owner: &Jid) -> Self {
        let mut room = Self::empty(address);
        room.locked = true;
        room.affiliations
            .insert(owner.to_bare(), Affiliation::Owner);
        room
    }

    fn empty(address: Jid) -> Self {
        Self {
            address,
            settings: Settings::default(),
            affiliations: BTreeMap::new(),
            occupants: BTreeMap::new(),
            subject: None,
            history: History::default(),
            locked: false,
            destroyed: false,
            record: None,
            changed: false,
        }
    }

    // ---- what is kept ---------------------------------------------------------------

    pub(super) fn is_over(&self) -> bool {
        self.destroyed || (self.occupants.is_empty() && (self.locked || self.is_bare()))
    }

    /// Nothing of it is worth keeping.
    fn is_bare(&self) -> bool {
        self.history.is_empty() && self.settings == Settings::default() && self.subject.is_none()
    }

    pub(super) const fn record(&self) -> Option<StoredId> {
        self.record
    }

    pub(super) fn forget(&mut self, turn: &mut Turn<'_>) {
        let ids = self.history.ids().chain(self.record.take());
        turn.effects.persist.extend(ids.map(Persist::Remove));
    }

    /// Writes its record anew if it is not as it was.
    pub(super) fn keep(&mut self, turn: &mut Turn<'_>, local: &str, encoder: &Encoder) {
        if !std::mem::take(&mut self.changed) || self.locked {
            return;
        }
        let Ok(stanza) = encoder.to_bytes(&self.to_element()) else {
            return;
        };
        let id = turn.id();
        turn.effects.persist.push(Persist::Store(StoredMessage {
            id,
            keeping: Keeping::Room,
            account: local.to_owned(),
            since: turn.now,
            stanza,
        }));
        // In this order: an interrupted hub has one of them at least, and the later one counts.
        turn.effects
            .persist
            .extend(self.record.replace(id).map(Persist::Remove));
    }

    fn to_element(&self) -> Element {
        let settings = &self.settings;
        let flag = |set: bool| set.then_some(true);
        let affiliation = |(jid, what): (&BareJid, &Affiliation)| {
            Element::new("who", NS)
                .with_attr("jid", jid)
                .with_attr("affiliation", *what)
        };
        let subject = self.subject.as_ref().map(|(by, subject)| {
            Element::new("subject", NS)
                .with_attr("by", text(by))
                .with_text(subject.clone())
        });
        Element::new("room", NS)
            .with_attr_opt("name", settings.name.clone())
            .with_attr_opt("members", flag(settings.members_only))
            .with_attr_opt("moderated", flag(settings.moderated))
            .with_attr_opt("password", settings.password.clone())
            .with_attr_opt("open", flag(settings.open))
            .with_attr_opt("subjects", flag(settings.subject_by_all))
            .with_attr_opt("hidden", flag(settings.hidden))
            .with_children(self.affiliations.iter().map(affiliation))
            .with_children(subject)
    }

    pub(super) fn restored(address: Jid, record: StoredId, element: &Element) -> Option<Self> {
        element.is("room", NS).then_some(())?;
        let flag = |name| element.attr(name).is_some();
        let mut room = Self::empty(address);
        room.record = Some(record);
        room.settings = Settings {
            name: element.attr_value("name").cloned(),
            members_only: flag("members"),
            moderated: flag("moderated"),
            password: element.attr_value("password").cloned(),
            open: flag("open"),
            subject_by_all: flag("subjects"),
            hidden: flag("hidden"),
        };
        for who in element.children().filter(|c| c.is("who", NS)) {
            let what = Affiliation::from_name(who.attr("affiliation")?)?;
            room.affiliations
                .insert(BareJid::new(who.attr("jid")?).ok()?, what);
        }
        let subject = element.child("subject", NS);
        room.subject =
            subject.map(|s| (s.attr("by").unwrap_or_default().to_owned(), s.text_value()));
        Some(room)
    }

    // ---- who is who -----------------------------------------------------------------

    pub(super) fn affiliation(&self, account: &BareJid) -> Affiliation {
        let known = self.affiliations.get(account);
        known.copied().unwrap_or(Affiliation::None)
    }

    /// The nickname of a session that is in the room.
    pub(super) fn by_address(&self, address: &Jid) -> Option<&str> {
        let mut there = self.occupants.iter().filter(|(_, o)| o.address == *address);
        there.next().map(|(nick, _)| nick.as_str())
    }

    fn in_room(&self, nick: &str) -> Option<Jid> {
        Jid::from_parts(self.address.local(), self.address.domain(), Some(nick)).ok()
    }

    pub(super) fn occupant_jid(&self, nick: &str) -> Jid {
        // The nickname was part of an address when it came in.
        self.in_room(nick).unwrap_or_else(|| self.address.clone())
    }

    pub(super) fn role_for(&self, affiliation: Affiliation) -> Role {
        match affiliation {
            Affiliation::Owner | Affiliation::Admin => Role::Moderator,
            Affiliation::None if self.settings.moderated => Role::Visitor,
            _ => Role::Participant,
        }
    }

    /// A presence of an occupant, as one of the others may see it.
    fn presence_of(&self, nick: &str, occupant: &Occupant, to: &Occupant) -> Presence {
        let mut presence = Presence::available();
        presence.header.from = self.in_room(nick);
        presence.header.to = Some(to.address.clone());
        presence.payloads.clone_from(&occupant.shown);
        presence.payloads.push(
            User {
                items: vec![self.item(occupant, to)],
                statuses: self.own_statuses(occupant, to),
                ..User::default()
            }
            .to_element(),
        );
        presence
    }

    fn item(&self, occupant: &Occupant, to: &Occupant) -> Item {
        let sees =
            self.settings.open || to.role == Role::Moderator || to.address == occupant.address;
        Item {
            affiliation: Some(self.affiliation(&occupant.address.to_bare())),
            role: Some(occupant.role),
            jid: sees.then(|| occupant.address.clone()),
            ..Item::default()
        }
    }

    fn own_statuses(&self, occupant: &Occupant, to: &Occupant) -> Vec<Status> {
        let own = to.address == occupant.address;
        let open = self.settings.open && own;
        let statuses = [
            open.then_some(Status::NonAnonymous),
            own.then_some(Status::SelfPresence),
        ];
        statuses.into_iter().flatten().collect()
    }

    /// Shows an occupant, as it is now, to all; itself last.
    pub(super) fn show(&self, turn: &mut Turn<'_>, nick: &str) {
        let Some(occupant) = self.occupants.get(nick) else {
            return;
        };
        let others = self.occupants.iter().filter(|(other, _)| *other != nick);
        for (_, to) in others.chain([(&nick.to_owned(), occupant)]) {
            turn.send(self.presence_of(nick, occupant, to));
        }
    }

    // ---- coming ---------------------------------------------------------------------

    /// Somebody enters, or shows another presence or nickname.
    pub(super) fn enters(
        &mut self,
        turn: &mut Turn<'_>,
        nick: &str,
        presence: &Presence,
        join: Option<Join>,
        limits: &HubLimits,
    ) -> Result<(), StanzaError> {
        let sender = turn.sender.clone();
        let is_room = |p: &&Element| p.ns() != ns::MUC && p.ns() != ns::MUC_USER;
        let shown: Vec<_> = presence.payloads.iter().filter(is_room).cloned().collect();
        let holder = self.occupants.get(nick).map(|o| o.address.clone());
        if holder
            .as_ref()
            .is_some_and(|holder| holder.to_bare() != sender.to_bare())
        {
            return Err(refusal(ErrorType::Cancel, DefinedCondition::Conflict));
        }
        if let (Some(old), None) = (self.by_address(&sender).map(str::to_owned), &join) {
            return if old == nick {
                if let Some(occupant) = self.occupants.get_mut(nick) {
                    occupant.shown = shown;
                }
                self.show(turn, nick);
                Ok(())
            } else if holder.is_some() {
                Err(refusal(ErrorType::Cancel, DefinedCondition::Conflict))
            } else {
                self.renames(turn, &old, nick, shown);
                Ok(())
            };
        }
        let join = join.unwrap_or_default();
        let affiliation = self.may_enter(&sender, &join, limits)?;
        // Another connection of the account takes the nickname over; and who enters again
        // is shown everything again.
        if let Some(holder) = holder.filter(|holder| *holder != sender) {
            let removal = Removal {
                status: Status::Kicked,
                by: None,
                reason: Some(Text::from_static("entered on another connection")),
            };
            self.tell_removed(turn, nick, &holder, &removal);
            self.occupants.remove(nick);
        }
        if let Some(old) = self.by_address(&sender).map(str::to_owned)
            && old != nick
        {
            self.leaves(turn, &sender, None);
        }
        let created = self.locked && self.occupants.is_empty();
        let occupant = Occupant {
            address: sender.clone(),
            role: self.role_for(affiliation),
            shown,
        };
        for (other, there) in self.occupants.iter().filter(|(other, _)| *other != nick) {
            turn.send(self.presence_of(other, there, &occupant));
        }
        self.occupants.insert(nick.to_owned(), occupant);
        let before = turn.effects.stanzas.len();
        self.show(turn, nick);
        if created {
            add_status(&mut turn.effects.stanzas[before..], Status::RoomCreated);
        }
        for said in self.history.replay(turn.now, join.history.as_ref()) {
            let mut message = said.message();
            message.header.to = Some(sender.clone());
            message.payloads.push(
                Delay {
                    from: Some(self.address.clone()),
                    stamp: stamp(said.since()),
                    reason: None,
                }
                .to_element(),
            );
            turn.send(message);
        }
        self.tell_subject(turn, &sender);
        Ok(())
    }

    fn may_enter(
        &self,
        sender: &Jid,
        join: &Join,
        limits: &HubLimits,
    ) -> Result<Affiliation, StanzaError> {
        let affiliation = self.affiliation(&sender.to_bare());
        let owner = affiliation == Affiliation::Owner;
        if affiliation == Affiliation::Outcast {
            return Err(refusal(ErrorType::Auth, DefinedCondition::Forbidden));
        }
        if self.locked && !owner {
            return Err(refusal(ErrorType::Cancel, DefinedCondition::ItemNotFound));
        }
        if self.settings.members_only && affiliation == Affiliation::None {
            return Err(refusal(
                ErrorType::Auth,
                DefinedCondition::RegistrationRequired,
            ));
        }
        let given = join.password.as_ref().map(|Password(given)| given);
        if self.settings.password.is_some() && self.settings.password.as_ref() != given && !owner {
            return Err(refusal(ErrorType::Auth, DefinedCondition::NotAuthorized));
        }
        let privileged = matches!(affiliation, Affiliation::Owner | Affiliation::Admin);
        if self.occupants.len() >= limits.room_occupants && !privileged {
            return Err(refusal(
                ErrorType::Wait,
                DefinedCondition::ServiceUnavailable,
            ));
        }
        Ok(affiliation)
    }

    /// The subject ends what is sent on entry, even if there is none (§7.2.15).
    fn tell_subject(&self, turn: &mut Turn<'_>, to: &Jid) {
        let (by, subject) = self.subject.clone().unwrap_or_default();
        let mut message = Message::chat(to.clone())
            .with_payload(Element::new("subject", ns::CLIENT).with_text(subject));
        message.kind = MessageType::Groupchat;
        message.header.from = Some(match by.is_empty() {
            true => self.address.clone(),
            false => self.occupant_jid(&by),
        });
        turn.send(message);
    }

    /// §7.6.
    fn renames(&mut self, turn: &mut Turn<'_>, old: &str, new: &str, shown: Vec<Element>) {
        let Some(mut occupant) = self.occupants.remove(old) else {
            return;
        };
        let from = self.in_room(old);
        let everybody: Vec<Occupant> = self.occupants.values().cloned().collect();
        for to in everybody.iter().chain([&occupant]) {
            let mut presence = Presence::of(PresenceType::Unavailable);
            presence.header.from.clone_from(&from);
            presence.header.to = Some(to.address.clone());
            let mut statuses = vec![Status::NickChanged];
            statuses.extend(self.own_statuses(&occupant, to));
            let item = Item {
                nick: Some(text(new)),
                ..self.item(&occupant, to)
            };
            let user = User {
                items: vec![item],
                statuses,
                ..User::default()
            };
            presence.payloads.push(user.to_element());
            turn.send(presence);
        }
        occupant.shown = shown;
        self.occupants.insert(new.to_owned(), occupant);
        self.show(turn, new);
    }

    // ---- going ----------------------------------------------------------------------

    /// A session leaves (§7.14).
    pub(super) fn leaves(&mut self, turn: &mut Turn<'_>, session: &Jid, status: Option<String>) {
        let Some(nick) = self.by_address(session).map(str::to_owned) else {
            return;
        };
        let status = status.and_then(|status| Text::new(status).ok());
        self.goes(turn, &nick, None, status);
    }

    /// An occupant is removed: all see why.
    pub(super) fn removes(&mut self, turn: &mut Turn<'_>, nick: &str, removal: Removal) {
        self.goes(turn, nick, Some(removal), None);
    }

    fn goes(
        &mut self,
        turn: &mut Turn<'_>,
        nick: &str,
        removal: Option<Removal>,
        says: Option<Text>,
    ) {
        let Some(mut occupant) = self.occupants.remove(nick) else {
            return;
        };
        let everybody: Vec<Occupant> = self.occupants.values().cloned().collect();
        let sees = occupant.clone();
        occupant.role = Role::None;
        for to in everybody.iter().chain([&sees]) {
            let mut presence = Presence::of(PresenceType::Unavailable);
            presence.header.from = self.in_room(nick);
            presence.header.to = Some(to.address.clone());
            if let Some(says) = says.clone() {
                presence = presence.with_status(says);
            }
            let mut item = self.item(&occupant, to);
            let mut statuses = self.own_statuses(&occupant, to);
            if let Some(removal) = &removal {
                statuses.push(removal.status);
                item.reason.clone_from(&removal.reason);
                item.actor = removal.by.as_deref().map(|nick| Actor {
                    jid: None,
                    nick: Some(text(nick)),
                });
            }
            let user = User {
                items: vec![item],
                statuses,
                ..User::default()
            };
            presence.payloads.push(user.to_element());
            turn.send(presence);
        }
    }

    /// Tells one session that it is out; the others see its successor.
    fn tell_removed(&self, turn: &mut Turn<'_>, nick: &str, session: &Jid, removal: &Removal) {
        let mut presence = Presence::of(PresenceType::Unavailable);
        presence.header.from = self.in_room(nick);
        presence.header.to = Some(session.clone());
        let item = Item {
            affiliation: Some(self.affiliation(&session.to_bare())),
            role: Some(Role::None),
            reason: removal.reason.clone(),
            ..Item::default()
        };
        let user = User {
            items: vec![item],
            statuses: vec![Status::SelfPresence, removal.status],
            ..User::default()
        };
        presence.payloads.push(user.to_element());
        turn.send(presence);
    }

    /// §10.9.
    pub(super) fn ends(&mut self, turn: &mut Turn<'_>, destroy: &Destroy) {
        for (nick, occupant) in std::mem::take(&mut self.occupants) {
            let mut presence = Presence::of(PresenceType::Unavailable);
            presence.header.from = self.in_room(&nick);
            presence.header.to = Some(occupant.address.clone());
            let item = Item {
                affiliation: Some(Affiliation::None),
                role: Some(Role::None),
                ..Item::default()
            };
            let user = User {
                items: vec![item],
                statuses: vec![Status::SelfPresence],
                destroy: Some(destroy.clone()),
                ..User::default()
            };
            presence.payloads.push(user.to_element());
            turn.send(presence);
        }
        self.destroyed = true;
    }
}

/// Adds a status to the last of these presences, which is the newcomer's own.
fn add_status(stanzas: &mut [stanchion_stanza::Stanza], status: Status) {
    let Some(stanchion_stanza::Stanza::Presence(presence)) = stanzas.last_mut() else {
        return;
    };
    for payload in &mut presence.payloads {
        if let Ok(mut user) = User::from_element(payload)
            && User::matches(payload)
        {
            user.statuses.push(status);
            *payload = user.to_element();
        }
    }
}

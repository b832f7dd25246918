//! Everything that can be seen. It changes by [`Event`]s alone.

use std::collections::{BTreeMap, HashMap, VecDeque};

use stanchion::BareJid;
use stanchion::services::history::{Entry, Found, Progress};
use stanchion::services::presence::Availability;

use super::event::{Event, Notice};
use super::flow::Flow;
use super::link::Link;
use super::person::Person;
use super::room::{Room, RoomChange};
use super::talk::{Talk, TalkKind};
use super::thing::{Thing, ThingKey};

/// Persons that are held: contacts, and others who show us how they are.
const PERSONS: usize = 10_000;
/// Things that are held.
pub(crate) const THINGS: usize = 10_000;
/// Fields that are held, of all things together.
pub(super) const ALL_FIELDS: usize = 50_000;
/// Conversations that are held.
const TALKS: usize = 1000;
/// Rooms that are held.
const ROOMS: usize = 200;
/// Requests and invitations that wait for an answer.
pub(super) const ASKED: usize = 100;
/// Notices that are remembered.
const NOTICES: usize = 100;
/// Progress that came before its message.
const EARLY: usize = 256;

/// What can be seen.
#[derive(Debug, Clone)]
pub(crate) struct Model {
    /// Whose client it is.
    pub(crate) account: BareJid,
    /// The connection.
    pub(crate) link: Link,
    /// How we are: in one word, and for people.
    pub(crate) own: (Availability, String),
    /// Contacts, and others who show us how they are.
    pub(crate) persons: BTreeMap<BareJid, Person>,
    /// Who asks to see our presence, and what they say.
    pub(crate) asked: BTreeMap<BareJid, String>,
    /// Rooms that want us: who invites, and why.
    pub(crate) invited: BTreeMap<BareJid, (Option<String>, Option<String>)>,
    /// Rooms.
    pub(crate) rooms: BTreeMap<BareJid, Room>,
    /// Conversations.
    pub(crate) talks: BTreeMap<BareJid, Talk>,
    /// Things.
    pub(crate) things: BTreeMap<ThingKey, Thing>,
    /// Figures.
    pub(crate) flow: Flow,
    /// What was looked for last, and what was found.
    pub(crate) found: Option<(String, Vec<Found>)>,
    /// The newest last.
    pub(crate) notices: VecDeque<Notice>,
    /// Progress of messages whose entries are not here yet.
    early: HashMap<String, (Progress, Option<String>)>,
    /// Fields of things that may be added.
    room: usize,
}

impl Model {
    /// Of that account; nothing is known yet.
    pub(crate) fn new(account: BareJid) -> Self {
        Self {
            account,
            link: Link::default(),
            own: (Availability::Available, String::new()),
            persons: BTreeMap::new(),
            asked: BTreeMap::new(),
            invited: BTreeMap::new(),
            rooms: BTreeMap::new(),
            talks: BTreeMap::new(),
            things: BTreeMap::new(),
            flow: Flow::default(),
            found: None,
            notices: VecDeque::new(),
            early: HashMap::new(),
            room: ALL_FIELDS,
        }
    }

    /// Something happened, at that time in Unix milliseconds.
    pub(crate) fn apply(&mut self, now: i64, event: Event) {
        match event {
            Event::Link(state) => self.link.turn(now, state),
            Event::Own { availability, text } => self.own = (availability, text),
            Event::Contacts(contacts) => {
                for person in self.persons.values_mut() {
                    person.contact = None;
                }
                for contact in contacts {
                    self.contact(contact);
                }
                self.forget_strangers();
            }
            Event::Contact(contact) => self.contact(contact),
            Event::ContactGone(who) => {
                if let Some(person) = self.persons.get_mut(&who) {
                    person.contact = None;
                }
                self.forget_strangers();
            }
            Event::Presence { who, at } => {
                if at.is_empty() && !self.persons.contains_key(&who) {
                    return;
                }
                if let Some(person) = self.person(&who) {
                    person.at = at;
                    person.known = true;
                }
                self.forget_strangers();
            }
            Event::PresenceUnknown => {
                for person in self.persons.values_mut() {
                    person.known = false;
                }
            }
            Event::Asked { by, text } => {
                if self.asked.len() < ASKED {
                    self.asked.insert(by, text);
                }
            }
            Event::NotAsked(by) => {
                self.asked.remove(&by);
            }
            Event::Talks(conversations) => {
                for conversation in conversations {
                    if let Some(talk) = self.talk(&conversation.with) {
                        talk.glance(&conversation.latest);
                        talk.unread = conversation.unread;
                    }
                }
            }
            Event::Page {
                with,
                entries,
                first,
            } => {
                let entries = entries.into_iter().map(|e| self.caught_up(e)).collect();
                if let Some(talk) = self.talk(&with) {
                    talk.page(entries, first);
                }
            }
            Event::Said(entry) => {
                let entry = self.caught_up(*entry);
                if let Some(talk) = self.talk(&entry.conversation.clone()) {
                    talk.said(entry);
                }
            }
            Event::Progress { id, progress, why } => self.progress(id, progress, why),
            Event::Displayed { by, id } => {
                if let Some(talk) = self.talks.get_mut(&by) {
                    talk.displayed(&id);
                }
            }
            Event::Read { with, up_to } => {
                if let Some(talk) = self.talks.get_mut(&with) {
                    talk.read(up_to);
                }
            }
            Event::Writing { who, writes } => {
                if let Some(talk) = self.talks.get_mut(&who) {
                    talk.writes = writes;
                }
            }
            Event::Room { room, change } => self.room(room, change),
            Event::Invited { room, by, reason } => {
                if self.invited.len() < ASKED || self.invited.contains_key(&room) {
                    self.invited.insert(room, (by, reason));
                }
            }
            Event::NotInvited(room) => {
                self.invited.remove(&room);
            }
            Event::Values { of, points } => {
                if let Some(person) = self.person(&of.account) {
                    person.thing = true;
                    person.silent = None;
                }
                let mut room = self.room;
                if let Some(thing) = self.thing(&of) {
                    for point in points {
                        thing.told(point, &mut room);
                    }
                }
                self.room = room;
            }
            Event::Silent { of, why } => {
                if let Some(person) = self.person(&of) {
                    person.thing = true;
                    person.silent = why;
                }
            }
            Event::Controls { of, controls } => {
                if let Some(thing) = self.thing(&of) {
                    thing.controls = Some(controls);
                }
            }
            Event::Commanded { of, what, outcome } => {
                if let Some(thing) = self.thing(&of) {
                    thing.command = Some((what, outcome));
                }
            }
            Event::Found { words, found } => self.found = Some((words, found)),
            Event::Gauge(gauge) => self.flow.gauge(gauge),
            Event::Notice(notice) => {
                if self.notices.len() == NOTICES {
                    self.notices.pop_front();
                }
                self.notices.push_back(notice);
            }
        }
    }

    /// Messages that were not read, of all conversations.
    pub(crate) fn unread(&self) -> u64 {
        self.talks.values().map(|talk| talk.unread).sum()
    }

    /// What people call who is behind that address.
    pub(crate) fn name_of(&self, jid: &BareJid) -> String {
        if let Some(room) = self.rooms.get(jid) {
            return room.name().to_owned();
        }
        let named = self.persons.get(jid).map(|p| p.name().to_owned());
        named.unwrap_or_else(|| jid.to_string())
    }

    fn contact(&mut self, contact: stanchion::services::roster::Contact) {
        let who = contact.jid.to_bare();
        if let Some(person) = self.person(&who) {
            person.contact = Some(contact);
        }
    }

    fn person(&mut self, who: &BareJid) -> Option<&mut Person> {
        if self.persons.len() >= PERSONS && !self.persons.contains_key(who) {
            return None;
        }
        let person = self.persons.entry(who.clone());
        Some(person.or_insert_with(|| Person::new(who.clone())))
    }

    /// Who is in no roster, not there, and no thing, is nobody.
    fn forget_strangers(&mut self) {
        self.persons
            .retain(|_, p| p.contact.is_some() || !p.at.is_empty() || p.thing);
    }

    fn thing(&mut self, of: &ThingKey) -> Option<&mut Thing> {
        if self.things.len() >= THINGS && !self.things.contains_key(of) {
            return None;
        }
        let thing = self.things.entry(of.clone());
        Some(thing.or_insert_with(|| Thing::new(of.clone())))
    }

    fn talk(&mut self, with: &BareJid) -> Option<&mut Talk> {
        if self.talks.len() >= TALKS && !self.talks.contains_key(with) {
            // That which has been silent for longest makes room; it is in the history.
            let oldest = self.talks.values().min_by_key(|talk| talk.latest);
            let oldest = oldest.map(|talk| talk.with.clone())?;
            self.talks.remove(&oldest);
        }
        let kind = match self.rooms.contains_key(with) {
            true => TalkKind::Room,
            false => TalkKind::Person,
        };
        let talk = self.talks.entry(with.clone());
        Some(talk.or_insert_with(|| Talk::new(with.clone(), kind)))
    }

    fn room(&mut self, jid: BareJid, change: RoomChange) {
        if !self.rooms.contains_key(&jid) {
            if matches!(change, RoomChange::Out { why: None }) || self.rooms.len() >= ROOMS {
                return;
            }
            self.rooms.insert(jid.clone(), Room::new(jid.clone()));
        }
        // Who is not let in may still be invited.
        if !matches!(change, RoomChange::Out { .. }) {
            self.invited.remove(&jid);
        }
        if let Some(talk) = self.talk(&jid) {
            talk.kind = TalkKind::Room;
        }
        let ours = self.rooms.get_mut(&jid).map(|room| room.change(change));
        if ours == Some(false) {
            self.rooms.remove(&jid);
        }
    }

    /// What the session tells of a message may come before the message itself.
    fn progress(&mut self, id: String, progress: Progress, why: Option<String>) {
        for talk in self.talks.values_mut() {
            if talk.progress(&id, progress, why.as_ref()) {
                return;
            }
        }
        if self.early.len() >= EARLY {
            self.early.clear();
        }
        self.early.insert(id, (progress, why));
    }

    fn caught_up(&mut self, mut entry: Entry) -> Entry {
        let early = entry.id.as_ref().and_then(|id| self.early.remove(id));
        if let (Some((progress, why)), Some(now)) = (early, entry.progress)
            && !now.is_final()
        {
            entry.progress = Some(progress);
            entry.why = why;
        }
        entry
    }
}

//! What is otherwise than the pages know: gathered while events come, written as events of
//! the stream at once. However often something changes in between, it is told once, as it is
//! then. Pure.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stanchion::BareJid;
use stanchion::services::history::{Direction, Entry, Place};
use stanchion::stanza::Text;

use super::wire;
use crate::app::{Event, Model, Notice, RoomChange, Stage, ThingKey};

/// Conversations whose messages are told: those that a page opened last.
const OPEN: usize = 64;
/// Notices that wait to be told.
const NOTICES: usize = 100;
/// Who has more members is told less often.
const MANY: usize = 500;
/// One time in so many.
const SELDOM: u32 = 8;

/// What is to be told, and how soon.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    /// Somebody waits for it.
    pub(super) soon: bool,
    /// It comes often.
    pub(super) later: bool,
}

/// What is otherwise than the pages know.
#[derive(Debug, Default)]
pub(super) struct Changes {
    link: bool,
    own: bool,
    gauge: bool,
    found: bool,
    tour: bool,
    persons: BTreeSet<BareJid>,
    asked: BTreeSet<BareJid>,
    invited: BTreeSet<BareJid>,
    rooms: BTreeSet<BareJid>,
    /// Rooms are told so often so far.
    round: u32,
    talks: BTreeSet<BareJid>,
    entries: BTreeSet<(BareJid, Place)>,
    values: BTreeMap<ThingKey, BTreeSet<Text>>,
    controls: BTreeSet<ThingKey>,
    commands: BTreeSet<ThingKey>,
    notices: VecDeque<Notice>,
    /// Conversations that pages opened, the latest last.
    open: VecDeque<BareJid>,
    /// Conversations that pages know of.
    known: BTreeSet<BareJid>,
}

impl Changes {
    /// A page looks at a conversation.
    pub(super) fn opened(&mut self, with: &BareJid) {
        self.open.retain(|open| open != with);
        if self.open.len() == OPEN {
            self.open.pop_front();
        }
        self.open.push_back(with.clone());
    }

    /// Messages that may have changed while a page read them.
    pub(super) fn again(&mut self, with: &BareJid, places: &[Place]) {
        if self.is_open(with) {
            let places = places.iter().map(|place| (with.clone(), *place));
            self.entries.extend(places);
        }
    }

    /// The tour goes on.
    pub(super) const fn tour(&mut self) {
        self.tour = true;
    }

    /// Nobody needs to know: there is no page, or each gets everything.
    pub(super) fn forget(&mut self, model: &Model) {
        *self = Self {
            open: std::mem::take(&mut self.open),
            known: model.talks.keys().cloned().collect(),
            ..Self::default()
        };
    }

    /// What is to be told.
    pub(super) fn due(&self) -> Due {
        let later = [
            self.persons.is_empty(),
            self.rooms.is_empty(),
            self.values.is_empty(),
        ];
        let soon = [
            self.asked.is_empty(),
            self.invited.is_empty(),
            self.talks.is_empty(),
            self.entries.is_empty(),
            self.controls.is_empty(),
            self.commands.is_empty(),
            self.notices.is_empty(),
        ];
        let flags = self.link || self.own || self.gauge || self.found || self.tour;
        Due {
            soon: flags || soon.contains(&false),
            later: later.contains(&false),
        }
    }

    /// What an event is about to change. Before the model takes it.
    pub(super) fn note(&mut self, model: &Model, event: &Event) {
        match event {
            Event::Link(_) => self.link = true,
            Event::Own { .. } => self.own = true,
            Event::Contacts(contacts) => {
                self.persons.extend(model.persons.keys().cloned());
                let contacts = contacts.iter().map(|c| c.jid.to_bare());
                self.persons.extend(contacts);
                self.talks.extend(model.talks.keys().cloned());
            }
            Event::Contact(contact) => self.person(&contact.jid.to_bare()),
            Event::ContactGone(who) => self.person(who),
            Event::Presence { who, .. } => {
                self.persons.insert(who.clone());
            }
            Event::PresenceUnknown => self.persons.extend(model.persons.keys().cloned()),
            Event::Asked { by, .. } | Event::NotAsked(by) => {
                self.asked.insert(by.clone());
            }
            Event::Talks(talks) => {
                self.talks
                    .extend(talks.iter().map(|talk| talk.with.clone()));
            }
            Event::Page { with, entries, .. } => self.page(model, with, entries),
            Event::Said(entry) => self.said(entry),
            Event::Progress { id, .. } => self.progress(model, id),
            Event::Displayed { by, id } => self.displayed(model, by, id),
            Event::Read { with, up_to } => {
                let unread = |e: &&Entry| e.unread && e.place <= *up_to;
                self.all_of(model, with, unread);
                self.talks.insert(with.clone());
            }
            Event::Writing { who, .. } => {
                if model.talks.contains_key(who) {
                    self.talks.insert(who.clone());
                }
            }
            Event::Room { room, change } => self.room(model, room, change),
            Event::Invited { room, .. } | Event::NotInvited(room) => {
                self.invited.insert(room.clone());
            }
            Event::Values { of, points } => self.values(model, of, points),
            Event::Silent { of, .. } => {
                self.persons.insert(of.clone());
            }
            Event::Controls { of, .. } => {
                self.controls.insert(of.clone());
            }
            Event::Commanded { of, .. } => {
                self.commands.insert(of.clone());
            }
            Event::Found { .. } => self.found = true,
            Event::Gauge(_) => self.gauge = true,
            Event::Notice(notice) => {
                if self.notices.len() == NOTICES {
                    self.notices.pop_front();
                }
                self.notices.push_back(notice.clone());
            }
        }
    }

    /// A conversation is called as the person is.
    fn person(&mut self, who: &BareJid) {
        self.persons.insert(who.clone());
        self.talks.insert(who.clone());
    }

    fn is_open(&self, with: &BareJid) -> bool {
        self.open.contains(with)
    }

    fn said(&mut self, entry: &Entry) {
        let with = &entry.conversation;
        if self.is_open(with) {
            self.entries.insert((with.clone(), entry.place));
        }
        self.talks.insert(with.clone());
    }

    /// What was read again may be otherwise; what is older than all was asked for by a page,
    /// which has it from there.
    fn page(&mut self, model: &Model, with: &BareJid, entries: &[Entry]) {
        self.talks.insert(with.clone());
        let talk = model.talks.get(with);
        let Some(talk) = talk.filter(|talk| talk.loaded && self.is_open(with)) else {
            return;
        };
        let first = talk.entries.first().map(|e| e.place);
        let news = entries.iter().filter(|e| match talk.entry(e.place) {
            Some(old) => old != *e,
            None => first.is_some_and(|first| e.place > first),
        });
        let news = news.map(|e| (with.clone(), e.place));
        self.entries.extend(news);
    }

    fn progress(&mut self, model: &Model, id: &str) {
        for with in &self.open {
            let entries = model.talks.get(with).map(|talk| &talk.entries);
            let entries = entries.into_iter().flatten().rev();
            let mut ours = entries.filter(|e| e.direction == Direction::Out);
            if let Some(entry) = ours.find(|e| e.id.as_deref() == Some(id)) {
                self.entries.insert((with.clone(), entry.place));
                return;
            }
        }
    }

    fn displayed(&mut self, model: &Model, by: &BareJid, id: &str) {
        let talk = model.talks.get(by);
        let entries = talk.map(|talk| talk.entries.as_slice()).unwrap_or_default();
        let up_to = entries.iter().rev().find(|e| e.id.as_deref() == Some(id));
        let Some(up_to) = up_to.map(|e| e.place) else {
            return;
        };
        let news = |e: &&Entry| e.place <= up_to && e.direction == Direction::Out && !e.displayed;
        self.all_of(model, by, news);
    }

    fn all_of(&mut self, model: &Model, with: &BareJid, of: impl Fn(&&Entry) -> bool) {
        if !self.is_open(with) {
            return;
        }
        if let Some(talk) = model.talks.get(with) {
            let news = talk.entries.iter().filter(of);
            let news = news.map(|e| (with.clone(), e.place));
            self.entries.extend(news);
        }
    }

    fn room(&mut self, model: &Model, room: &BareJid, change: &RoomChange) {
        self.rooms.insert(room.clone());
        if !model.rooms.contains_key(room) || matches!(change, RoomChange::Out { .. }) {
            self.talks.insert(room.clone());
        }
        if model.invited.contains_key(room) {
            self.invited.insert(room.clone());
        }
    }

    fn values(&mut self, model: &Model, of: &ThingKey, points: &[crate::app::Point]) {
        let person = model.persons.get(&of.account);
        if person.is_none_or(|person| !person.thing || person.silent.is_some()) {
            self.persons.insert(of.account.clone());
        }
        let fields = match self.values.get_mut(of) {
            Some(fields) => fields,
            None => self.values.entry(of.clone()).or_default(),
        };
        for reading in points.iter().flat_map(|point| &point.readings) {
            if !fields.contains(&reading.field) {
                fields.insert(reading.field.clone());
            }
        }
    }

    /// Writes what is to be told; of what comes often nothing, unless it is its time.
    pub(super) fn write(&mut self, to: &mut Vec<u8>, view: &View<'_>, often: bool) {
        self.write_soon(to, view);
        if often {
            self.write_often(to, view.model);
        }
    }

    fn write_soon(&mut self, to: &mut Vec<u8>, view: &View<'_>) {
        let model = view.model;
        if std::mem::take(&mut self.link) {
            let link = wire::Link::of(&model.link, view.now, view.link_at);
            wire::event(to, "link", &link);
        }
        if std::mem::take(&mut self.own) {
            wire::event(to, "own", &wire::Own::of(model));
        }
        for by in std::mem::take(&mut self.asked) {
            match model.asked.get_key_value(&by) {
                Some(asked) => wire::event(to, "asked", &wire::Asked::of(asked)),
                None => wire::event(to, "not-asked", &wire::NotAsked { by: by.as_str() }),
            }
        }
        for room in std::mem::take(&mut self.invited) {
            match model.invited.get_key_value(&room) {
                Some(invited) => wire::event(to, "invited", &wire::Invited::of(invited)),
                None => {
                    let room = room.as_str();
                    wire::event(to, "not-invited", &wire::NotInvited { room });
                }
            }
        }
        self.write_talks(to, model);
        for (with, place) in std::mem::take(&mut self.entries) {
            let entry = model.talks.get(&with).and_then(|talk| talk.entry(place));
            if let Some(entry) = entry {
                wire::event(to, "entry", &wire::Entry::of(model, entry));
            }
        }
        for thing in std::mem::take(&mut self.controls) {
            if let Some(thing) = model.things.get(&thing) {
                wire::event(to, "controls", &wire::Controls::of(thing));
            }
        }
        for thing in std::mem::take(&mut self.commands) {
            if let Some(thing) = model.things.get(&thing) {
                wire::event(to, "command", &wire::Commanded::of(thing));
            }
        }
        if std::mem::take(&mut self.gauge) {
            wire::event(to, "gauge", &model.flow.now);
        }
        if std::mem::take(&mut self.found)
            && let Some((words, found)) = &model.found
        {
            let found = found.iter().map(|one| wire::Entry::found(model, one));
            let found = found.collect();
            wire::event(to, "found", &wire::Found { words, found });
        }
        for notice in std::mem::take(&mut self.notices) {
            wire::event(to, "notice", &wire::Notice::of(&notice));
        }
        if std::mem::take(&mut self.tour)
            && let Some(tour) = view.tour
        {
            wire::event(to, "tour", tour);
        }
    }

    fn write_talks(&mut self, to: &mut Vec<u8>, model: &Model) {
        if self.talks.is_empty() {
            return;
        }
        for with in std::mem::take(&mut self.talks) {
            if let Some(talk) = model.talks.get(&with) {
                wire::event(to, "talk", &wire::Talk::of(model, talk));
                self.known.insert(with);
            }
        }
        // A new one may have taken the place of an old one.
        if self.known.len() > model.talks.len() {
            let gone = |with: &BareJid| !model.talks.contains_key(with);
            for with in self.known.extract_if(.., gone) {
                let with = with.as_str();
                wire::event(to, "talk-gone", &wire::TalkGone { with });
            }
        }
    }

    fn write_often(&mut self, to: &mut Vec<u8>, model: &Model) {
        for jid in std::mem::take(&mut self.persons) {
            match model.persons.get(&jid) {
                Some(person) => wire::event(to, "person", &wire::Person::of(person)),
                None => wire::event(to, "person-gone", &wire::Gone { jid: jid.as_str() }),
            }
        }
        self.round = self.round.wrapping_add(1);
        let seldom = self.round.is_multiple_of(SELDOM);
        let wait = |room: &BareJid| {
            let room = model.rooms.get(room);
            !seldom && room.is_some_and(|room| room.members.len() > MANY)
        };
        let (wait, now): (BTreeSet<_>, BTreeSet<_>) =
            std::mem::take(&mut self.rooms).into_iter().partition(wait);
        self.rooms = wait;
        for jid in now {
            match model.rooms.get(&jid) {
                Some(room) => wire::event(to, "room", &wire::Room::of(room)),
                None => wire::event(to, "room-gone", &wire::Gone { jid: jid.as_str() }),
            }
        }
        let values = std::mem::take(&mut self.values);
        if !values.is_empty() {
            let things = values.iter().filter_map(|(key, fields)| {
                let thing = model.things.get(key)?;
                Some(wire::Thing::new(thing, fields.iter()))
            });
            let things: Vec<_> = things.collect();
            wire::event(to, "things", &things);
        }
    }
}

/// What is looked at when changes are written.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) model: &'a Model,
    /// In Unix milliseconds.
    pub(super) now: i64,
    /// When the connection changed last.
    pub(super) link_at: i64,
    pub(super) tour: Option<&'a serde_json::Value>,
}

/// Messages of a part that may come on while it is on its way to a page.
pub(super) fn unsettled(entry: &Entry) -> bool {
    let stage = Stage::of(entry);
    stage.is_some_and(|stage| stage.can_be_cancelled() || stage == Stage::Writing)
}

//! The rooms of this account, without I/O: which are to be entered, what each room said,
//! what is asked of it. One room's life is `room`'s; who waits for an answer is the desk's.

mod archive;
mod occupants;
mod room;
mod row;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::mam::ArchiveResult;
use stanchion_stanza::payload::muc::User;
use stanchion_stanza::payload::sid::StanzaId;
use stanchion_stanza::stanza::MessageType;
use stanchion_stanza::{BareJid, Element, Message, Payload as _, Presence, Stanza, Text, ns};

use super::error::JoinError;
use super::event::{Occupant, RoomEvent};
use super::options::{JoinOptions, RoomsConfig};
use crate::request::{Request, RequestError};
use crate::service::{Change, Input, Output, Taken};
use room::{Ask, Room};
use row::Row;

/// Rooms at once; the engine looks after as many.
pub(crate) const ROOMS: usize = 1024;
/// The shortest silence after which a room is asked.
const QUIET: Duration = Duration::from_secs(10);

/// The rooms.
#[derive(Debug, Default)]
pub(crate) struct State {
    config: RoomsConfig,
    rooms: BTreeMap<BareJid, Room>,
    /// When each is to be looked at.
    dues: BTreeSet<(Duration, BareJid)>,
    out: Out,
    up: bool,
    /// A session of this process was up.
    begun: bool,
}

/// What is to be done, and what was asked.
#[derive(Debug, Default)]
pub(super) struct Out {
    queue: VecDeque<Output<RoomEvent>>,
    asks: HashMap<u64, (BareJid, Ask)>,
    next: u64,
}

impl Out {
    pub(super) fn event(&mut self, event: RoomEvent) {
        self.queue.push_back(Output::Event(event));
    }

    pub(super) fn put(&mut self, output: Output<RoomEvent>) {
        self.queue.push_back(output);
    }

    pub(super) fn transmit(&mut self, stanza: impl Into<Stanza>) {
        self.queue.push_back(Output::Transmit(stanza.into()));
    }

    /// A tag for what the room asks.
    fn tag(&mut self, room: &BareJid, ask: Ask) -> u64 {
        self.next += 1;
        self.asks.insert(self.next, (room.clone(), ask));
        self.next
    }

    fn ask(&mut self, room: &BareJid, ask: Ask, request: Request) {
        let tag = self.tag(room, ask);
        self.queue.push_back(Output::Request { tag, request });
    }
}

impl State {
    pub(crate) fn new(config: RoomsConfig) -> Self {
        let quiet = config.quiet.max(QUIET);
        Self {
            config: RoomsConfig { quiet, ..config },
            ..Self::default()
        }
    }

    pub(crate) fn restore(&mut self, key: &str, value: &[u8]) {
        let (Ok(jid), Some(row)) = (BareJid::new(key), Row::read(value)) else {
            return;
        };
        if self.rooms.len() < ROOMS {
            let room = Room::kept(jid.clone(), &row);
            self.out.put(Output::HoldRoom {
                room: jid.clone(),
                gather: false,
            });
            self.rooms.insert(jid, room);
        }
    }

    // ---- what the application wants -------------------------------------------------

    /// Enters a room. Gives the nickname, if we are in it already.
    pub(crate) fn join(
        &mut self,
        now: Now,
        jid: BareJid,
        nick: String,
        options: JoinOptions,
    ) -> Result<Option<String>, JoinError> {
        if let Some(room) = self.rooms.get_mut(&jid) {
            room.wanted_by(now, nick, options);
            return Ok(room.nick_inside().map(str::to_owned));
        }
        if self.rooms.len() >= ROOMS {
            return Err(JoinError::TooMany(ROOMS));
        }
        let mut room = Room::new(now, jid.clone(), nick, options);
        self.out.put(Output::HoldRoom {
            room: jid.clone(),
            gather: false,
        });
        if self.up {
            room.begin(&mut self.out);
        }
        self.rooms.insert(jid.clone(), room);
        self.look_again(&jid);
        Ok(None)
    }

    /// Leaves a room for good.
    pub(crate) fn leave(&mut self, jid: &BareJid, status: Option<Text>) {
        if let Some(room) = self.remove(jid) {
            room.leave(status, &mut self.out);
        }
    }

    fn remove(&mut self, jid: &BareJid) -> Option<Room> {
        let room = self.rooms.remove(jid)?;
        if let Some(due) = room.due() {
            self.dues.remove(&(due, jid.clone()));
        }
        let key = jid.to_string();
        let changes = vec![Change::Delete { key }];
        self.out.put(Output::Keep { tag: None, changes });
        self.out.put(Output::LeaveRoom(jid.clone()));
        Some(room)
    }

    /// Asks the room for another nickname; false if we are not in it.
    pub(crate) fn rename(&mut self, jid: &BareJid, nick: &str) -> bool {
        let out = &mut self.out;
        (self.rooms.get_mut(jid)).is_some_and(|room| room.rename(nick, out))
    }

    /// Sends something to the room; false if we are not in it.
    pub(crate) fn transmit(&mut self, jid: &BareJid, message: Message) -> bool {
        let inside = self.is_inside(jid);
        if inside {
            self.out.transmit(message);
        }
        inside
    }

    /// Sends something to anybody; false if there is no stream.
    pub(crate) fn transmit_anywhere(&mut self, message: Message) -> bool {
        if self.up {
            self.out.transmit(message);
        }
        self.up
    }

    pub(crate) fn is_inside(&self, jid: &BareJid) -> bool {
        self.nick(jid).is_some()
    }

    /// Our nickname in a room that we are in.
    pub(crate) fn nick(&self, jid: &BareJid) -> Option<&str> {
        self.rooms.get(jid)?.nick_inside()
    }

    pub(crate) fn rooms(&self) -> Vec<BareJid> {
        self.rooms.keys().cloned().collect()
    }

    pub(crate) fn occupants(&self, jid: &BareJid) -> Vec<Occupant> {
        self.rooms.get(jid).map(Room::occupants).unwrap_or_default()
    }

    pub(crate) fn subject(&self, jid: &BareJid) -> Option<Text> {
        self.rooms.get(jid)?.subject()
    }

    /// Whether a kept message is of a room of ours: said in it, or by somebody in it to us.
    pub(crate) fn claims(&self, message: &Message) -> Option<BareJid> {
        let from = message.header.from.as_ref()?;
        from.resource()?;
        let room = from.to_bare();
        self.rooms.contains_key(&room).then_some(room)
    }

    /// A message of the room is handed over: it is kept.
    pub(crate) fn handed(&mut self, now: Now, jid: &BareJid, message: &Message) {
        if let Some(room) = self.rooms.get_mut(jid)
            && message.kind == MessageType::Groupchat
        {
            room.handed(now, id_by(jid, message), &mut self.out);
            self.look_again(jid);
        }
    }

    // ---- inputs ---------------------------------------------------------------------

    pub(crate) fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        match input {
            Input::Up(up) => self.session_is_up(now, up.resumed),
            Input::Down => self.session_is_down(),
            Input::Stanza(Stanza::Presence(presence)) => return self.presence(now, presence),
            Input::Stanza(Stanza::Message(message)) => return self.message(now, message),
            Input::Answer { tag, answer } => self.answer(now, tag, answer),
            Input::Archived { tag, taken } => {
                self.asked(now, tag, |room, now, _, out| room.archived(now, taken, out));
            }
            Input::Entered { tag, entered } => {
                self.asked(now, tag, |room, now, _, out| {
                    room.released(now, entered, out)
                });
            }
            Input::Tick => self.tick(now),
            _ => {}
        }
        Taken::No
    }

    pub(crate) fn poll_output(&mut self) -> Output<RoomEvent> {
        let due = self.dues.first().map(|(due, _)| *due);
        self.out.queue.pop_front().unwrap_or(Output::Wait(due))
    }

    fn session_is_up(&mut self, now: Now, resumed: bool) {
        self.up = true;
        // What an earlier process knew of the rooms is gone, even if its session goes on.
        let stands = resumed && self.begun;
        self.begun = true;
        for (nth, room) in (0..).zip(self.rooms.values_mut()) {
            if stands {
                room.resumed(now, nth);
            } else {
                room.begin(&mut self.out);
            }
        }
        self.look_at_all_again();
    }

    fn session_is_down(&mut self) {
        self.up = false;
        for room in self.rooms.values_mut() {
            room.keep(&mut self.out);
        }
    }

    fn presence(&mut self, now: Now, presence: &Presence) -> Taken {
        let Some(from) = &presence.header.from else {
            return Taken::No;
        };
        let jid = from.to_bare();
        let Some(room) = self.rooms.get_mut(&jid) else {
            return Taken::No;
        };
        let over = room.presence(now, from.resource(), presence, &self.config, &mut self.out);
        self.done(&jid, over);
        Taken::Yes
    }

    fn message(&mut self, now: Now, message: &Message) -> Taken {
        let Some(from) = &message.header.from else {
            return Taken::No;
        };
        let jid = from.to_bare();
        let Some(room) = self.rooms.get_mut(&jid) else {
            return Taken::No;
        };
        match (from.resource(), message.kind) {
            (None, MessageType::Error) => room.refuses(message, &mut self.out),
            (nick, MessageType::Groupchat) => {
                room.heard(now);
                // §10.2.1: what changed about the room comes so, too.
                if nick.is_none()
                    && message.body().is_none()
                    && let Ok(Some(user)) = message.payload::<User>()
                {
                    room.says(user, &mut self.out);
                    self.look_again(&jid);
                    return Taken::Yes;
                }
                let Some(subject) = subject_of(message) else {
                    // A chat state, a marker: for whoever knows.
                    return Taken::No;
                };
                room.says_subject(nick, subject, &mut self.out);
            }
            (None, _) => {
                if let Ok(Some(result)) = message.payload::<ArchiveResult>() {
                    room.page_has(&result);
                } else if let Ok(Some(user)) = message.payload::<User>() {
                    room.says(user, &mut self.out);
                } else {
                    return Taken::No;
                }
            }
            (Some(_), _) => return Taken::No,
        }
        self.look_again(&jid);
        Taken::Yes
    }

    fn answer(&mut self, now: Now, tag: u64, answer: Result<Option<Element>, RequestError>) {
        let config = self.config;
        self.asked(now, tag, |room, now, ask, out| {
            room.answer(now, ask, answer, &config, out)
        });
    }

    /// Gives an answer to the room that asked.
    fn asked(
        &mut self,
        now: Now,
        tag: u64,
        tell: impl FnOnce(&mut Room, Now, Ask, &mut Out) -> bool,
    ) {
        let Some((jid, ask)) = self.out.asks.remove(&tag) else {
            return;
        };
        let over = match self.rooms.get_mut(&jid) {
            Some(room) if room.still_asks(&ask) => tell(room, now, ask, &mut self.out),
            _ => return,
        };
        self.done(&jid, over);
    }

    fn tick(&mut self, now: Now) {
        while let Some((due, jid)) = self.dues.first().cloned() {
            if due > now.monotonic {
                break;
            }
            self.dues.remove(&(due, jid.clone()));
            let Some(room) = self.rooms.get_mut(&jid) else {
                continue;
            };
            room.looked_at();
            let over = room.tick(now, self.up, &self.config, &mut self.out);
            self.done(&jid, over);
        }
    }

    /// After something was told to a room; `over` if it is out for good.
    fn done(&mut self, jid: &BareJid, over: bool) {
        if over {
            self.remove(jid);
        } else {
            self.look_again(jid);
        }
    }

    fn look_again(&mut self, jid: &BareJid) {
        if let Some(room) = self.rooms.get_mut(jid) {
            let quiet = self.config.quiet;
            let (before, due) = room.next_look(quiet);
            if before == due {
                return;
            }
            if let Some(before) = before {
                self.dues.remove(&(before, jid.clone()));
            }
            if let Some(due) = due {
                self.dues.insert((due, jid.clone()));
            }
        }
    }

    fn look_at_all_again(&mut self) {
        for jid in self.rooms() {
            self.look_again(&jid);
        }
    }
}

/// The id that the room gave to a message of its own.
fn id_by(room: &BareJid, message: &Message) -> Option<Text> {
    let ids = message.payloads.iter().filter(|p| StanzaId::matches(p));
    let mut own = ids
        .filter_map(|p| StanzaId::from_element(p).ok())
        .filter(|id| id.by.as_str() == room.as_str());
    let id = own.next()?;
    own.next().is_none().then_some(id.id)
}

/// The subject that a message sets (§8.1): it has one, and no body.
fn subject_of(message: &Message) -> Option<Text> {
    let subject = message
        .payloads
        .iter()
        .find(|p| p.is("subject", ns::CLIENT))?;
    let says_more = |p: &Element| p.is("body", ns::CLIENT) || p.is("thread", ns::CLIENT);
    (!message.payloads.iter().any(says_more)).then(|| subject.text_value())
}

//! One room's life, as seen from within: how it is entered, in each session anew, what was
//! missed is read, and that we are still there.
//!
//! ```text
//!  ┌──► Asking ──► Entering ──► Unlocking ──► Reading ⇄ Giving ──► Opening ──► Inside
//!  │ (disco#info)  (presence)   (if created)  (its archive, if it has one)       │
//!  └── Waiting ◄──── refused for now, silent, thrown out by accident ◄───────────┘
//! ```
//!
//! A room without archive gives what was missed as history (§7.2.14), of as many seconds as
//! nothing was heard: clocks need not agree.

mod presence;
mod reading;
mod renewal;

use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_stanza::payload::disco::DiscoInfo;
use stanchion_stanza::payload::mam::Fin;
use stanchion_stanza::payload::muc::{History, Join};
use stanchion_stanza::payload::ping::Ping;
use stanchion_stanza::stanza::{DefinedCondition, PresenceType};
use stanchion_stanza::{BareJid, Element, Jid, Payload, Presence, Text, ns};

use super::super::error::JoinError;
use super::super::event::{Departure, Occupant, RoomEvent};
use super::super::options::{JoinOptions, RoomsConfig};
use super::Out;
use super::archive::{From, Page};
use super::occupants::Occupants;
use super::row::{Nature, Row};
use crate::request::{Request, RequestError};
use crate::service::{Change, Output};
use renewal::Asked;

/// The first and the longest time between two tries to enter.
const RETRY: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));
/// How much more history is asked for than time has passed, for what was on its way.
const MARGIN: Duration = Duration::from_secs(30);
/// What is kept of a room may be so many messages, or so long, behind: what comes again is
/// known.
const BEHIND: (u32, Duration) = (32, Duration::from_secs(2));
/// When a resumed session is checked, and how much later for each room.
const CHECK: (Duration, Duration) = (Duration::from_secs(5), Duration::from_millis(100));

/// What was asked, in which try to enter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    what: What,
    attempt: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    /// What it is, before it is entered; and after, if it did not exist or was configured;
    /// and before it is unlocked, if it was lost.
    Info,
    InfoAfter,
    Renewed,
    Unlock,
    /// Where its archive ends.
    End,
    Page,
    /// To keep a part of a page; to open the room.
    Give,
    Open,
    Ping,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// There is no session.
    Out,
    Asking,
    Entering,
    Unlocking,
    Reading,
    Giving,
    Opening,
    Inside,
    /// Until then; then again what follows.
    Waiting(Next),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Enter,
    Read,
    Give,
    Open,
}

/// One room.
#[derive(Debug)]
pub(super) struct Room {
    jid: BareJid,
    options: JoinOptions,
    /// The nickname that is wanted, and the one that we have or ask for.
    wanted: String,
    nick: String,
    phase: Phase,
    /// Counts the tries to enter, so that late answers are told.
    attempt: u32,
    /// When the phase has taken too long.
    until: Option<Duration>,
    /// When the first entry has.
    give_up: Option<Duration>,
    /// It was entered before: what was missed is wanted.
    again: bool,
    /// What it is, as far as we know; and whether it is one that we made and that is not
    /// configured yet.
    nature: Nature,
    locked: bool,
    asked: Asked,
    conflicts: u32,
    failures: u32,
    has_archive: bool,
    /// The archive's id of the last message that is kept; empty if it had none.
    position: Option<Text>,
    page: Page,
    /// Where the page begins.
    from: From,
    /// It was read to its end.
    settled: bool,
    silent: u32,
    /// When something was heard last.
    heard: Duration,
    heard_wall: i64,
    ping_at: Option<Duration>,
    pinging: bool,
    /// Messages since the row was written, and when it is to be.
    behind: u32,
    keep_at: Option<Duration>,
    occupants: Occupants,
    subject: Option<Text>,
    /// When it is looked at, as its owner has noted.
    look: Option<Duration>,
}

impl Room {
    pub(super) fn new(now: Now, jid: BareJid, nick: String, options: JoinOptions) -> Self {
        let give_up = now.monotonic.saturating_add(options.within);
        Self {
            jid,
            options,
            wanted: nick.clone(),
            nick,
            phase: Phase::Out,
            attempt: 0,
            until: None,
            give_up: Some(give_up),
            again: false,
            nature: Nature::default(),
            locked: false,
            asked: Asked::No,
            conflicts: 0,
            failures: 0,
            has_archive: false,
            position: None,
            page: Page::default(),
            from: From::Beginning,
            settled: false,
            silent: 0,
            heard: now.monotonic,
            heard_wall: now.wall.as_unix_ms(),
            ping_at: None,
            pinging: false,
            behind: 0,
            keep_at: None,
            occupants: Occupants::default(),
            subject: None,
            look: None,
        }
    }

    /// As an earlier process left it.
    pub(super) fn kept(jid: BareJid, row: &Row) -> Self {
        let now = Now {
            monotonic: Duration::ZERO,
            wall: stanchion_reliability::store::WallTime::from_unix_ms(row.heard),
        };
        Self {
            give_up: None,
            again: true,
            position: row.position.clone(),
            nature: row.nature.clone(),
            ..Self::new(now, jid, row.nick.clone(), row.options())
        }
    }

    /// The application asks for it again.
    pub(super) fn wanted_by(&mut self, now: Now, nick: String, options: JoinOptions) {
        if self.phase == Phase::Out {
            self.nick.clone_from(&nick);
            self.wanted = nick;
        }
        if self.nick_inside().is_none() && !self.again {
            self.give_up = Some(now.monotonic.saturating_add(options.within));
        }
        self.options = options;
    }

    pub(super) fn nick_inside(&self) -> Option<&str> {
        let inside = match self.phase {
            Phase::Out | Phase::Asking | Phase::Entering | Phase::Unlocking => false,
            Phase::Waiting(next) => next != Next::Enter,
            Phase::Reading | Phase::Giving | Phase::Opening | Phase::Inside => true,
        };
        inside.then_some(self.nick.as_str())
    }

    pub(super) fn occupants(&self) -> Vec<Occupant> {
        self.occupants.all()
    }

    pub(super) fn subject(&self) -> Option<Text> {
        self.subject.clone()
    }

    pub(super) const fn still_asks(&self, ask: &Ask) -> bool {
        ask.attempt == self.attempt
    }

    fn address(&self, nick: &str) -> Option<Jid> {
        self.jid.with_resource(nick).ok().map(Jid::from)
    }

    fn jid(&self) -> Jid {
        Jid::from(self.jid.clone())
    }

    const fn asks(&self, what: What) -> Ask {
        Ask {
            what,
            attempt: self.attempt,
        }
    }

    fn request(&self, what: What, request: Request, out: &mut Out) {
        out.ask(&self.jid, self.asks(what), request);
    }

    fn ask_info(&self, what: What, out: &mut Out) {
        let query = DiscoInfo::default().to_element();
        self.request(what, Request::get(Some(self.jid()), query), out);
    }

    // ---- sessions -------------------------------------------------------------------

    /// A session in which we are not in the room.
    pub(super) fn begin(&mut self, out: &mut Out) {
        if self.nick_inside().is_some() {
            let room = self.jid.clone();
            out.event(RoomEvent::Lost { room });
            self.hold(false, out);
        }
        self.attempt += 1;
        self.phase = Phase::Asking;
        self.until = None;
        // A locked room without anybody in it is none.
        self.locked = false;
        self.asked = Asked::No;
        self.pinging = false;
        self.ping_at = None;
        self.settled = false;
        self.silent = 0;
        self.page = Page::default();
        self.occupants.clear();
        if self.attempt == 1 || self.give_up.is_some() {
            self.nick.clone_from(&self.wanted);
            self.conflicts = 0;
        }
        self.ask_info(What::Info, out);
    }

    /// The session goes on; whether the room knows is asked soon, one room after the other.
    pub(super) fn resumed(&mut self, now: Now, nth: u32) {
        if self.phase == Phase::Inside {
            self.ping_at = Some(now.monotonic + CHECK.0 + CHECK.1 * nth);
        }
    }

    // ---- entering -------------------------------------------------------------------

    fn enter(&mut self, now: Now, config: &RoomsConfig, out: &mut Out) {
        let Some(to) = self.address(&self.nick) else {
            return;
        };
        // From here on nothing that the room says is missed.
        self.hold(self.reads(), out);
        let join = Join {
            history: self.history(now),
            password: self.options.password.clone(),
        };
        let mut presence = Presence::available();
        presence.header.to = Some(to);
        presence.payloads.push(join.to_element());
        out.transmit(presence);
        self.phase = Phase::Entering;
        self.until = Some(now.monotonic + config.entry);
    }

    /// What is said in it waits.
    fn hold(&self, gather: bool, out: &mut Out) {
        let room = self.jid.clone();
        out.put(Output::HoldRoom { room, gather });
    }

    /// Whether what was missed is to be read from the archive.
    const fn reads(&self) -> bool {
        self.has_archive && self.again
    }

    fn history(&self, now: Now) -> Option<History> {
        if !self.again {
            return self.options.history.clone();
        }
        let mut history = History::default();
        if self.reads() {
            history.maxstanzas = Some(0);
        } else {
            let wall = now.wall.as_unix_ms().saturating_sub(self.heard_wall);
            let wall = Duration::from_millis(u64::try_from(wall).unwrap_or(0));
            let silent = wall.max(now.monotonic.saturating_sub(self.heard)) + MARGIN;
            history.seconds = Some(u32::try_from(silent.as_secs()).unwrap_or(u32::MAX));
        }
        Some(history)
    }

    /// We are in.
    fn entered(&mut self, created: bool, out: &mut Out) {
        self.give_up = None;
        self.failures = 0;
        out.event(RoomEvent::Entered {
            room: self.jid.clone(),
            nick: self.nick.clone(),
            created,
        });
        if self.reads() {
            self.from = match &self.position {
                Some(id) if id.is_empty() => From::Beginning,
                Some(id) => From::After(id.clone()),
                None => self.since_heard(),
            };
            self.read(out);
        } else {
            if self.has_archive {
                self.ask_for_end(out);
            } else if created || !self.again {
                self.ask_info_after(out);
            }
            self.open(out);
        }
        self.again = true;
        self.keep(out);
    }

    fn open(&mut self, out: &mut Out) {
        self.phase = Phase::Opening;
        let tag = out.tag(&self.jid, self.asks(What::Open));
        out.put(Output::EnterRoom {
            tag,
            room: self.jid.clone(),
            settled: self.settled,
        });
    }

    /// The engine has opened the room, or is to be given more.
    pub(super) fn released(&mut self, now: Now, entered: bool, out: &mut Out) -> bool {
        if self.phase != Phase::Opening {
            return false;
        }
        if !entered {
            let next = if self.settled { Next::Read } else { Next::Open };
            self.pause(now, next);
        } else {
            self.phase = Phase::Inside;
            self.until = None;
            if self.settled {
                let room = self.jid.clone();
                out.event(RoomEvent::CaughtUp { room });
            }
        }
        false
    }

    // ---- answers --------------------------------------------------------------------

    /// Gives whether we are out for good.
    pub(super) fn answer(
        &mut self,
        now: Now,
        ask: Ask,
        answer: Result<Option<Element>, RequestError>,
        config: &RoomsConfig,
        out: &mut Out,
    ) -> bool {
        // The next session asks again.
        if matches!(answer, Err(RequestError::Lost)) && ask.what != What::Ping {
            return false;
        }
        match ask.what {
            What::Info => {
                // Who is not there answers nothing to a presence.
                if let Err(RequestError::Refused { error, .. }) = &answer
                    && is_nowhere(error.condition)
                {
                    let error = JoinError::of(self.jid.clone(), error.as_ref().clone());
                    return self.not_entered(now, error, out);
                }
                match (read::<DiscoInfo>(&answer), &answer) {
                    (Some(info), _) => {
                        self.has_archive = info.has(ns::MAM);
                        self.learn(&info, out);
                    }
                    // It does not exist yet, or does not say.
                    (None, Ok(_) | Err(RequestError::Refused { .. })) => self.has_archive = false,
                    // Nothing is known, and an archive must not be overlooked.
                    (None, Err(_)) => {
                        let room = self.jid.clone();
                        return self.not_entered(now, JoinError::TimedOut { room }, out);
                    }
                }
                self.enter(now, config, out);
            }
            What::InfoAfter => {
                let info = self.told_after(&answer);
                let once_more = std::mem::take(&mut self.asked) == Asked::Again;
                if let Some(info) = info {
                    self.learn(&info, out);
                    if info.has(ns::MAM) && !self.has_archive {
                        self.has_archive = true;
                        self.ask_for_end(out);
                    }
                }
                if once_more {
                    self.ask_info_after(out);
                }
            }
            What::Renewed => self.renewed(&answer, out),
            What::Unlock => match answer {
                Ok(_) => self.unlocked(out),
                Err(_) if self.again => self.stays_locked(out),
                Err(RequestError::Refused { error, .. }) => {
                    let error = JoinError::of(self.jid.clone(), *error);
                    return self.not_entered(now, error, out);
                }
                _ => self.entered(true, out),
            },
            What::End => {
                if let Some(fin) = read::<Fin>(&answer)
                    && self.position.is_none()
                {
                    let last = fin.page.range.map(|range| range.last);
                    self.position = Some(last.unwrap_or_default());
                    self.keep(out);
                }
            }
            What::Page => match (read::<Fin>(&answer), answer) {
                (Some(fin), _) => self.page_ends(&fin, out),
                (None, Err(error)) => self.page_fails(now, &error, out),
                (None, Ok(_)) => {
                    let error = RequestError::Unreadable("an archive without end".to_owned());
                    self.page_fails(now, &error, out);
                }
            },
            What::Ping => self.pinged(now, &answer, out),
            // Answered by the engine.
            What::Give | What::Open => {}
        }
        false
    }

    /// What the room answers to a ping to ourselves (XEP-0410 §3.1).
    fn pinged(&mut self, now: Now, answer: &Result<Option<Element>, RequestError>, out: &mut Out) {
        use DefinedCondition as C;
        self.pinging = false;
        let Err(error) = answer else {
            return self.heard(now);
        };
        match error.refusal().map(|error| error.condition) {
            // We are there; our client does not know pings, or has another nickname.
            Some(C::ServiceUnavailable | C::FeatureNotImplemented | C::ItemNotFound) => {
                self.heard(now);
            }
            // Nobody knows: the room, or the way there, does not answer.
            Some(C::RemoteServerNotFound | C::RemoteServerTimeout) | None => self.heard(now),
            Some(_) => self.thrown_out(out),
        }
    }

    /// We are not in the room any more, and nobody told us.
    fn thrown_out(&mut self, out: &mut Out) {
        if self.nick_inside().is_some() {
            self.begin(out);
        }
    }

    // ---- what it says ---------------------------------------------------------------

    /// Something came from the room.
    pub(super) fn heard(&mut self, now: Now) {
        self.heard = now.monotonic;
        self.heard_wall = now.wall.as_unix_ms();
        self.ping_at = None;
    }

    /// A message is kept and handed over.
    pub(super) fn handed(&mut self, now: Now, id: Option<Text>, out: &mut Out) {
        self.heard(now);
        // While the archive is read, it says how far.
        if self.phase == Phase::Inside
            && self.has_archive
            && let Some(id) = id
        {
            self.position = Some(id);
        }
        self.behind += 1;
        if self.behind >= BEHIND.0 {
            self.keep(out);
        } else {
            self.keep_at.get_or_insert(now.monotonic + BEHIND.1);
        }
    }

    /// Keeps what the next session needs.
    pub(super) fn keep(&mut self, out: &mut Out) {
        (self.behind, self.keep_at) = (0, None);
        if !self.again {
            return;
        }
        let position = self.position.clone();
        let nature = self.nature.clone();
        let row = Row::of(
            &self.wanted,
            &self.options,
            position,
            self.heard_wall,
            nature,
        );
        if let Some(value) = row.write() {
            let key = self.jid.to_string();
            let changes = vec![Change::Put { key, value }];
            out.put(Output::Keep { tag: None, changes });
        }
    }

    // ---- what the application wants -------------------------------------------------

    pub(super) fn rename(&self, nick: &str, out: &mut Out) -> bool {
        let (Some(_), Some(to)) = (self.nick_inside(), self.address(nick)) else {
            return false;
        };
        let mut presence = Presence::available();
        presence.header.to = Some(to);
        out.transmit(presence);
        true
    }

    pub(super) fn leave(self, status: Option<Text>, out: &mut Out) {
        if self.phase != Phase::Out
            && let Some(to) = self.address(&self.nick)
        {
            let mut presence = Presence::of(PresenceType::Unavailable);
            presence.header.to = Some(to);
            if let Some(status) = status {
                presence = presence.with_status(status);
            }
            out.transmit(presence);
        }
        let why = Departure::Left;
        out.event(RoomEvent::Left {
            room: self.jid,
            why,
        });
    }

    // ---- time -----------------------------------------------------------------------

    pub(super) const fn due(&self) -> Option<Duration> {
        self.look
    }

    pub(super) const fn looked_at(&mut self) {
        self.look = None;
    }

    /// When it was to be looked at, and when it is from now on.
    pub(super) fn next_look(&mut self, quiet: Duration) -> (Option<Duration>, Option<Duration>) {
        let ping = match self.phase {
            Phase::Inside if !self.pinging => Some(self.ping_at.unwrap_or(self.heard + quiet)),
            _ => None,
        };
        let dues = [self.until, self.give_up, self.keep_at, ping];
        let due = dues.into_iter().flatten().min();
        (std::mem::replace(&mut self.look, due), due)
    }

    /// Gives whether we are out for good.
    pub(super) fn tick(&mut self, now: Now, up: bool, config: &RoomsConfig, out: &mut Out) -> bool {
        let over = |at: Option<Duration>| at.is_some_and(|at| at <= now.monotonic);
        if over(self.keep_at) {
            self.keep(out);
        }
        if over(self.give_up) {
            let room = self.jid.clone();
            let error = JoinError::TimedOut { room: room.clone() };
            out.event(RoomEvent::Refused { room, error });
            return true;
        }
        if over(self.until) {
            self.until = None;
            match self.phase {
                Phase::Entering => {
                    let room = self.jid.clone();
                    return self.not_entered(now, JoinError::TimedOut { room }, out);
                }
                Phase::Waiting(_) if !up => self.until = Some(now.monotonic + RETRY.1),
                Phase::Waiting(Next::Enter) => self.begin(out),
                Phase::Waiting(Next::Read) => self.read(out),
                Phase::Waiting(Next::Give) => self.give(out),
                Phase::Waiting(Next::Open) => self.open(out),
                _ => {}
            }
        }
        let ping_at = self
            .ping_at
            .unwrap_or(self.heard + config.quiet.max(super::QUIET));
        if self.phase == Phase::Inside && !self.pinging && ping_at <= now.monotonic {
            self.ping_at = None;
            // Without a stream it is asked later.
            self.heard = now.monotonic;
            if up && let Some(to) = self.address(&self.nick) {
                self.pinging = true;
                let ping = Request::get(Some(to), Ping.to_element());
                self.request(What::Ping, ping, out);
            }
        }
        false
    }
}

fn read<P: Payload>(answer: &Result<Option<Element>, RequestError>) -> Option<P> {
    let element = answer.as_ref().ok()?.as_ref()?;
    P::matches(element).then(|| P::from_element(element).ok())?
}

/// Whether there is nobody to be asked.
const fn is_nowhere(condition: DefinedCondition) -> bool {
    use DefinedCondition as C;
    matches!(condition, C::RemoteServerNotFound | C::RemoteServerTimeout)
}

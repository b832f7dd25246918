//! The modelled server: accounts, sessions, stream management with hibernation, offline
//! storage, and the ways of failing that real servers have. Sockets and time are the
//! test's; what one session counts is in `session`.
//!
//! Two sides: [`Server::receive`] takes what a client sent, [`Server::poll`] gives what
//! is sent to clients. [`Server::tick`] when [`Server::next_timeout`] says so.
//!
//! What clients do against XEP-0198 is noted in [`Server::violations`].

mod behaviour;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use stanchion_stanza::payload::ping::Ping;
use stanchion_stanza::payload::sm::{Ack, AckRequest, Failed, Resume};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, MessageType, StanzaError};
use stanchion_stanza::{Element, FullJid, Iq, Jid, Message, Payload as _, Presence, Stanza, Text};

use crate::Random;
pub use behaviour::{AnswerToResume, Behaviour, Offline, WhenExpired};
use session::Session;

/// A connection, numbered by the test; never reused.
pub type Connection = u64;

/// What a client sends.
#[derive(Debug, Clone)]
pub enum ToServer {
    /// All of authentication, resumption, binding and enabling, in one step.
    Login(Login),
    /// A top-level element of the stream.
    Element(Element),
    /// The end of the stream, properly.
    Close,
}

/// What a client wants.
#[derive(Debug, Clone)]
pub struct Login {
    /// The address to bind.
    pub jid: FullJid,
    /// Whether it wants stream management.
    pub manage: bool,
    /// The session to resume instead, if it can be.
    pub resume: Option<Resume>,
}

/// What a client receives.
#[derive(Debug, Clone)]
pub enum ToClient {
    /// The answer to a login.
    Welcome(Welcome),
    /// A top-level element of the stream.
    Element(Element),
    /// The end of the stream.
    Close,
}

/// How a session begins.
#[derive(Debug, Clone)]
pub enum Welcome {
    /// With a new one.
    Bound {
        /// The id to resume it by, if it is managed.
        managed: Option<Text>,
        /// The answer to `<resume/>`, if there was one.
        failed: Option<Failed>,
    },
    /// The old one goes on.
    Resumed {
        /// Stanzas of the client that were handled.
        h: u32,
    },
}

/// The server.
#[derive(Debug)]
pub struct Server {
    behaviour: Behaviour,
    random: Random,
    sessions: BTreeMap<u64, Session>,
    next_session: u64,
    /// By bare address: messages kept for later, with the time of writing.
    offline: BTreeMap<String, VecDeque<(Duration, Element)>>,
    /// Stanzas that are routed later than they came: stragglers and copies.
    later: BTreeMap<(Duration, u64), Element>,
    next_later: u64,
    out: VecDeque<(Connection, ToClient)>,
    violations: Vec<String>,
}

impl Server {
    /// A server without sessions.
    #[must_use]
    pub const fn new(behaviour: Behaviour, random: Random) -> Self {
        Self {
            behaviour,
            random,
            sessions: BTreeMap::new(),
            next_session: 1,
            offline: BTreeMap::new(),
            later: BTreeMap::new(),
            next_later: 0,
            out: VecDeque::new(),
            violations: Vec::new(),
        }
    }

    /// Behaves otherwise from now on.
    pub const fn set_behaviour(&mut self, behaviour: Behaviour) {
        self.behaviour = behaviour;
    }

    /// What clients did that XEP-0198 forbids.
    #[must_use]
    pub fn violations(&self) -> &[String] {
        &self.violations
    }

    /// Stanzas on the way or kept: 0 once all is delivered.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.later.len() + self.offline.values().map(VecDeque::len).sum::<usize>()
    }

    /// What is to be sent next.
    pub fn poll(&mut self) -> Option<(Connection, ToClient)> {
        self.out.pop_front()
    }

    /// When [`Server::tick`] has something to do.
    #[must_use]
    pub fn next_timeout(&self) -> Option<Duration> {
        let later = self.later.keys().next().map(|(at, _)| *at);
        let expiry = self
            .sessions
            .values()
            .filter_map(|s| Some(s.hibernates_since? + self.behaviour.hibernation));
        expiry.chain(later).min()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Duration) {
        while let Some(entry) = self.later.first_entry()
            && entry.key().0 <= now
        {
            let element = entry.remove();
            self.route(now, element);
        }
        let expired: Vec<u64> = self
            .sessions
            .iter()
            .filter(|(_, s)| {
                s.hibernates_since
                    .is_some_and(|since| since + self.behaviour.hibernation <= now)
            })
            .map(|(number, _)| *number)
            .collect();
        for number in expired {
            if let Some(session) = self.sessions.remove(&number) {
                self.expire(now, session);
            }
        }
    }

    /// The process is killed: sessions, their queues, and what was on its way are gone,
    /// and so is the last of offline storage ([`Behaviour::offline_unsynced`]).
    pub fn kill(&mut self, now: Duration) {
        self.sessions.clear();
        self.later.clear();
        self.out.clear();
        let unsynced = self.behaviour.offline_unsynced;
        for kept in self.offline.values_mut() {
            kept.retain(|(written, _)| *written + unsynced <= now);
        }
    }

    /// A connection broke, and the server noticed.
    pub fn disconnected(&mut self, now: Duration, connection: Connection) {
        let Some(number) = self.session_on(connection) else {
            return;
        };
        let managed = self.sessions[&number].is_managed();
        if managed && self.behaviour.resumption {
            if let Some(session) = self.sessions.get_mut(&number) {
                session.hibernate(now);
            }
        } else if let Some(session) = self.sessions.remove(&number) {
            self.expire(now, session);
        }
    }

    /// Something came from a client.
    pub fn receive(&mut self, now: Duration, connection: Connection, packet: ToServer) {
        match packet {
            ToServer::Login(login) => self.login(now, connection, login),
            ToServer::Element(element) => {
                if let Some(number) = self.session_on(connection) {
                    self.element(now, number, element);
                }
            }
            ToServer::Close => {
                if let Some(number) = self.session_on(connection)
                    && let Some(session) = self.sessions.remove(&number)
                {
                    self.expire(now, session);
                }
                self.out.push_back((connection, ToClient::Close));
            }
        }
    }

    fn session_on(&self, connection: Connection) -> Option<u64> {
        self.sessions
            .iter()
            .find(|(_, s)| s.connection == Some(connection))
            .map(|(number, _)| *number)
    }

    fn login(&mut self, now: Duration, connection: Connection, login: Login) {
        let mut failed = None;
        if let Some(resume) = &login.resume {
            match self.resume(now, connection, resume) {
                Some(answer) => failed = Some(answer),
                None => return,
            }
        }
        // A new session of the same address takes the place of the old one.
        let same = |s: &Session| s.jid == login.jid;
        let old = self.sessions.iter().find(|(_, s)| same(s));
        let old = old.map(|(number, _)| *number);
        let replaced = old.and_then(|number| self.sessions.remove(&number));
        let number = self.next_session;
        self.next_session += 1;
        let managed = login.manage && self.behaviour.management;
        let session = Session::new(login.jid, connection, managed);
        self.sessions.insert(number, session);
        let welcome = Welcome::Bound {
            managed: managed.then(|| id_of(number)),
            failed,
        };
        self.out.push_back((connection, ToClient::Welcome(welcome)));
        if let Some(old) = replaced {
            if let Some(old) = old.connection {
                self.out.push_back((old, ToClient::Close));
            }
            self.expire(now, old);
        }
    }

    /// Resumes, or says why not, or closes without a word. `None` if it is done.
    fn resume(&mut self, now: Duration, connection: Connection, resume: &Resume) -> Option<Failed> {
        let unknown = Failed {
            h: None,
            condition: Some(DefinedCondition::ItemNotFound),
        };
        let known = resume.previd.as_str().strip_prefix("session-");
        let number: u64 = known.and_then(|n| n.parse().ok()).unwrap_or_default();
        let Some(session) = self.sessions.get_mut(&number) else {
            return Some(unknown);
        };
        let h = session.handled;
        let denied = match *self.random.pick(&self.behaviour.answers_to_resume) {
            AnswerToResume::Resumed => None,
            AnswerToResume::Failed => Some(Some(unknown)),
            AnswerToResume::FailedWithCount => Some(Some(Failed {
                h: Some(h),
                condition: None,
            })),
            AnswerToResume::Silence => Some(None),
        };
        if let Some(answer) = denied {
            if let Some(session) = self.sessions.remove(&number) {
                self.expire(now, session);
            }
            if answer.is_none() {
                self.out.push_back((connection, ToClient::Close));
            }
            return answer;
        }
        if let Err(excess) = session.acknowledge(resume.h) {
            self.violations
                .push(format!("resumed with a count {excess} too high"));
            self.sessions.remove(&number);
            self.out.push_back((connection, ToClient::Close));
            return None;
        }
        if let Some(old) = session.connection.replace(connection) {
            self.out.push_back((old, ToClient::Close));
        }
        session.hibernates_since = None;
        let mut packets = vec![ToClient::Welcome(Welcome::Resumed { h })];
        packets.extend(session.again().map(ToClient::Element));
        self.out
            .extend(packets.into_iter().map(|packet| (connection, packet)));
        self.request(number);
        None
    }

    /// Asks for an acknowledgement, once, if something lacks it.
    fn request(&mut self, number: u64) {
        if let Some(session) = self.sessions.get_mut(&number)
            && let Some(connection) = session.request()
        {
            let request = ToClient::Element(AckRequest.to_element());
            self.out.push_back((connection, request));
        }
    }

    fn element(&mut self, now: Duration, number: u64, element: Element) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        let Some(connection) = session.connection else {
            return;
        };
        if AckRequest::matches(&element) {
            let h = session.handled;
            let answer = ToClient::Element(Ack { h }.to_element());
            self.out.push_back((connection, answer));
            return;
        }
        if Ack::matches(&element) {
            let acknowledged = match Ack::from_element(&element) {
                Ok(ack) => session.acknowledge(ack.h),
                Err(_) => Err(0),
            };
            match acknowledged {
                Ok(()) => self.request(number),
                Err(excess) => {
                    self.violations
                        .push(format!("acknowledged {excess} too many"));
                    self.sessions.remove(&number);
                    self.out.push_back((connection, ToClient::Close));
                }
            }
            return;
        }
        session.handled = session.handled.wrapping_add(1);
        let from = Jid::from(session.jid.clone());
        match Stanza::from_element(element) {
            Ok(Stanza::Message(mut message)) => {
                message.header.from = Some(from);
                self.message(now, message);
            }
            Ok(Stanza::Presence(presence)) => self.presence(now, number, presence, from),
            Ok(Stanza::Iq(iq)) => self.iq(now, number, &iq),
            Err(error) => self.violations.push(format!("no stanza: {error}")),
        }
    }

    /// A message begins its way, with what happens to messages.
    fn message(&mut self, now: Duration, message: Message) {
        let behaviour = self.behaviour;
        if self.random.chance(behaviour.loses) {
            return;
        }
        if self.random.chance(behaviour.bounces) {
            return self.bounce(now, &message, DefinedCondition::ServiceUnavailable);
        }
        let element = message.to_element();
        if self.random.chance(behaviour.copies) {
            self.put_off(now, behaviour.straggle, element.clone());
        }
        if self.random.chance(behaviour.delays) {
            self.put_off(now, behaviour.straggle, element);
        } else {
            self.route(now, element);
        }
    }

    fn put_off(&mut self, now: Duration, most: Duration, element: Element) {
        let at = now + self.random.time(Duration::ZERO, most);
        self.later.insert((at, self.next_later), element);
        self.next_later += 1;
    }

    /// To its session, to another one of the account, or into storage (RFC 6121 §8.5).
    fn route(&mut self, now: Duration, element: Element) {
        let Ok(Stanza::Message(message)) = Stanza::from_element(element.clone()) else {
            return;
        };
        let Some(to) = message.header.to.clone() else {
            return;
        };
        let exact = |s: &Session| s.jid.as_str() == to.as_str();
        let account = |s: &Session| s.is_available && s.jid.bare_str() == to.bare_str();
        let sessions = &self.sessions;
        let found = sessions.iter().find(|(_, s)| exact(s));
        // The newest one.
        let found = found.or_else(|| sessions.iter().rev().find(|(_, s)| account(s)));
        if let Some(number) = found.map(|(number, _)| *number) {
            return self.deliver(now, number, element);
        }
        match self.behaviour.offline {
            Offline::Kept { most } => {
                let kept = self.offline.entry(to.bare_str().to_owned()).or_default();
                if kept.len() < most {
                    kept.push_back((now, element));
                } else {
                    self.bounce(now, &message, DefinedCondition::ServiceUnavailable);
                }
            }
            Offline::Refused => {
                self.bounce(now, &message, DefinedCondition::RecipientUnavailable);
            }
            Offline::Dropped => {}
        }
    }

    fn deliver(&mut self, now: Duration, number: u64, element: Element) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        let connection = session.deliver(&element);
        if session.unacknowledged() > self.behaviour.queue {
            if let Some(session) = self.sessions.remove(&number) {
                self.expire(now, session);
            }
            let close = connection.map(|connection| (connection, ToClient::Close));
            self.out.extend(close);
            return;
        }
        if let Some(connection) = connection {
            self.out.push_back((connection, ToClient::Element(element)));
        }
        self.request(number);
    }

    /// Sends a message back (RFC 6120 §8.3); errors never are.
    fn bounce(&mut self, now: Duration, message: &Message, condition: DefinedCondition) {
        if message.kind == MessageType::Error {
            return;
        }
        let error = StanzaError::new(ErrorType::Cancel, condition);
        let mut answer = Message {
            header: message.header.reply(),
            kind: MessageType::Error,
            payloads: message.payloads.clone(),
        };
        answer.payloads.push(error.to_element());
        self.route(now, answer.to_element());
    }

    /// The session is over: what its client did not acknowledge goes elsewhere.
    fn expire(&mut self, now: Duration, mut session: Session) {
        for element in session.take_unacknowledged() {
            match self.behaviour.expired {
                WhenExpired::Routed => self.route(now, element),
                WhenExpired::Bounced => {
                    if let Ok(Stanza::Message(message)) = Stanza::from_element(element) {
                        self.bounce(now, &message, DefinedCondition::RecipientUnavailable);
                    }
                }
                WhenExpired::Dropped => {}
            }
        }
    }

    /// Available for the first time: offline storage is emptied (XEP-0160 §3), and the
    /// others are told.
    fn presence(&mut self, now: Duration, number: u64, mut presence: Presence, from: Jid) {
        let kept = match self.sessions.get_mut(&number) {
            Some(session) if !session.is_available => {
                session.is_available = true;
                self.offline.remove(from.bare_str()).unwrap_or_default()
            }
            _ => VecDeque::new(),
        };
        for (_, element) in kept {
            // Written to the socket is gone, unless the session is managed.
            self.deliver(now, number, element);
        }
        presence.header.from = Some(from.clone());
        let others: Vec<(u64, FullJid)> = self
            .sessions
            .iter()
            .filter(|(_, s)| s.is_available && s.jid.bare_str() != from.bare_str())
            .map(|(number, s)| (*number, s.jid.clone()))
            .collect();
        for (other, jid) in others {
            presence.header.to = Some(Jid::from(jid));
            self.deliver(now, other, presence.to_element());
        }
        self.tick(now);
    }

    fn iq(&mut self, now: Duration, number: u64, iq: &Iq) {
        if iq.is_request() && iq.header.to.is_none() {
            let known = iq.payload_in(Ping::NS).is_some();
            let refusal = StanzaError::new(ErrorType::Cancel, DefinedCondition::ServiceUnavailable);
            let answer = if known {
                iq.result(None)
            } else {
                iq.refuse(refusal)
            };
            self.deliver(now, number, answer.to_element());
        }
    }
}

fn id_of(session: u64) -> Text {
    Text::new(format!("session-{session}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;

//! The modelled server: accounts, sessions, stream management with hibernation, offline
//! storage, other domains and other nodes, and the ways of failing that real servers
//! have. Sockets and time are the test's; what one session counts is in `session`, where
//! a stanza goes in `routing`.
//!
//! Two sides: [`Server::receive`] takes what a client sent, [`Server::poll`] gives what
//! is sent to clients, [`Server::poll_remote`] what is sent to other domains.
//! [`Server::tick`] when [`Server::next_timeout`] says so.
//!
//! What clients do against XEP-0198 is noted in [`Server::violations`].

mod behaviour;
mod routing;
mod session;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use stanchion_stanza::payload::sm::{Ack, AckRequest, Failed, Resume};
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::{BareJid, Element, FullJid, Payload as _, Text};

use crate::Random;
pub use behaviour::{AnswerToResume, Behaviour, Mishaps, Offline, Overflow, POISON, WhenExpired};
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
    /// The node of the cluster that it reached; 0 if there is one.
    pub node: u8,
}

/// What a client receives.
#[derive(Debug, Clone)]
pub enum ToClient {
    /// The answer to a login.
    Welcome(Welcome),
    /// A top-level element of the stream.
    Element(Element),
    /// The end of the stream.
    Close(Closing),
}

/// Why a server ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// Without a word, or because the client wanted it.
    Ended,
    /// `<conflict/>`: the same address was bound again.
    Conflict,
    /// `<system-shutdown/>`.
    Shutdown,
    /// `<policy-violation/>` or `<resource-constraint/>`.
    Policy,
}

/// How a session begins.
#[derive(Debug, Clone)]
pub enum Welcome {
    /// With a new one.
    Bound {
        /// Whether it is managed.
        managed: bool,
        /// The id to resume it by, if it can be.
        resumable: Option<Text>,
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
    /// Its domain; without one, every address is its own.
    domain: Option<String>,
    /// All accounts, here and elsewhere; empty if any may come.
    roster: Vec<BareJid>,
    sessions: BTreeMap<u64, Session>,
    next_session: u64,
    /// By bare address: messages kept for later, with the time of writing.
    offline: BTreeMap<String, VecDeque<(Duration, Element)>>,
    /// Stanzas that are routed later than they came: stragglers and copies.
    later: BTreeMap<(Duration, u64), Element>,
    next_later: u64,
    /// Copies that come when they are let.
    aside: Vec<Element>,
    out: VecDeque<(Connection, ToClient)>,
    remote: VecDeque<Element>,
    violations: Vec<String>,
    mishaps: Mishaps,
}

/// Copies put aside at most.
const ASIDE: usize = 64;

impl Server {
    /// A server without sessions.
    #[must_use]
    pub fn new(behaviour: Behaviour, random: Random) -> Self {
        Self {
            behaviour,
            random,
            domain: None,
            roster: Vec::new(),
            sessions: BTreeMap::new(),
            next_session: 1,
            offline: BTreeMap::new(),
            later: BTreeMap::new(),
            next_later: 0,
            aside: Vec::new(),
            out: VecDeque::new(),
            remote: VecDeque::new(),
            violations: Vec::new(),
            mishaps: Mishaps::default(),
        }
    }

    /// The same, for one domain: stanzas to others leave by [`Server::poll_remote`].
    #[must_use]
    pub fn serving(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
        self
    }

    /// The same, with the accounts of this and other domains. They hear of each other's
    /// presence, and no other account has offline storage.
    #[must_use]
    pub fn with_roster(mut self, roster: Vec<BareJid>) -> Self {
        self.roster = roster;
        self
    }

    /// What went wrong so far.
    #[must_use]
    pub const fn mishaps(&self) -> Mishaps {
        self.mishaps
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

    /// Stanzas on the way or kept: 0 once all is delivered. Those put aside do not count.
    #[must_use]
    pub fn undelivered(&self) -> usize {
        self.later.len() + self.offline.values().map(VecDeque::len).sum::<usize>()
    }

    /// What is to be sent next.
    pub fn poll(&mut self) -> Option<(Connection, ToClient)> {
        self.out.pop_front()
    }

    /// What is to be sent to another domain next. Its address says where to; it belongs
    /// into that server's [`Server::receive_remote`], or comes back with
    /// [`Server::undeliverable`].
    pub fn poll_remote(&mut self) -> Option<Element> {
        self.remote.pop_front()
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
            self.mishaps.expired += 1;
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
        self.remote.clear();
        for kept in self.offline.values_mut() {
            let before = kept.len();
            kept.retain(|(written, _)| *written + unsynced <= now);
            self.mishaps.unsynced += (before - kept.len()) as u64;
        }
    }

    /// One node of the cluster is killed: the sessions that it holds are gone, with their
    /// queues. Offline storage and what is on its way are the cluster's.
    pub fn kill_node(&mut self, node: u8) {
        self.sessions.retain(|_, session| session.node != node);
    }

    /// The server stops in order: each stream is told, and what sessions did not
    /// acknowledge goes where that of ended sessions goes.
    pub fn shutdown(&mut self, now: Duration) {
        for (_, session) in std::mem::take(&mut self.sessions) {
            if let Some(connection) = session.connection {
                let close = ToClient::Close(Closing::Shutdown);
                self.out.push_back((connection, close));
            }
            self.expire(now, session);
        }
    }

    /// Copies that were put aside come now.
    pub fn release_aside(&mut self, now: Duration) {
        for element in std::mem::take(&mut self.aside) {
            self.route(now, element);
        }
    }

    /// Sessions whose connection is gone.
    #[must_use]
    pub fn hibernating(&self) -> usize {
        self.sessions
            .values()
            .filter(|s| s.hibernates_since.is_some())
            .count()
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
                self.close(connection, Closing::Ended);
            }
        }
    }

    fn close(&mut self, connection: Connection, why: Closing) {
        self.out.push_back((connection, ToClient::Close(why)));
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
            match self.resume(now, connection, login.node, resume) {
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
        let resumable = managed && self.behaviour.resumption;
        self.mishaps.unmanaged += u64::from(login.manage && !managed);
        self.mishaps.unresumable += u64::from(managed && !resumable);
        let session = Session::new(login.jid, connection, login.node, managed);
        self.sessions.insert(number, session);
        let welcome = Welcome::Bound {
            managed,
            resumable: resumable.then(|| id_of(number)),
            failed,
        };
        self.out.push_back((connection, ToClient::Welcome(welcome)));
        if let Some(old) = replaced {
            if let Some(old) = old.connection {
                self.close(old, Closing::Conflict);
            }
            self.expire(now, old);
        }
    }

    /// Resumes, or says why not, or closes without a word. `None` if it is done.
    fn resume(
        &mut self,
        now: Duration,
        connection: Connection,
        node: u8,
        resume: &Resume,
    ) -> Option<Failed> {
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
            match &answer {
                None => self.mishaps.silent += 1,
                Some(Failed { h: None, .. }) => self.mishaps.failed += 1,
                Some(_) => self.mishaps.failed_with_count += 1,
            }
            if let Some(session) = self.sessions.remove(&number) {
                self.expire(now, session);
            }
            if answer.is_none() {
                self.close(connection, Closing::Ended);
            }
            return answer;
        }
        if let Err(excess) = session.acknowledge(resume.h) {
            self.violations
                .push(format!("resumed with a count {excess} too high"));
            self.sessions.remove(&number);
            self.close(connection, Closing::Policy);
            return None;
        }
        let old = session.connection.replace(connection);
        session.node = node;
        session.hibernates_since = None;
        let mut packets = vec![ToClient::Welcome(Welcome::Resumed { h })];
        packets.extend(session.again().map(ToClient::Element));
        if let Some(old) = old {
            self.close(old, Closing::Ended);
        }
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
                Ok(true) => self.request(number),
                // It will say more when there is more.
                Ok(false) => {}
                Err(excess) => {
                    self.violations
                        .push(format!("acknowledged {excess} too many"));
                    self.sessions.remove(&number);
                    self.close(connection, Closing::Policy);
                }
            }
            return;
        }
        self.stanza(now, number, element);
    }
}

fn id_of(session: u64) -> Text {
    Text::new(format!("session-{session}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;

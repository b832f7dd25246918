//! Sessions: resource binding (RFC 6120 §7), connections lost and regained, bounds and
//! deadlines, the end. What clients say of stream management is heard in `nonza`; what becomes
//! of the stanzas of an ended session is said in `redirect`.

use std::collections::VecDeque;
use std::time::Instant;

use stanchion_stanza::payload::bind::Bind;
use stanchion_stanza::payload::ping::Ping;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{
    BareJid, Element, Encoder, FullJid, Iq, Jid, Payload as _, Presence, Stanza, Text, ns,
};

use super::management::Management;
use super::outbound::Outbound;
use super::{ConnectionId, Ending, Now, Router, SessionId, Stage};

/// Whether somebody is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    /// A client is connected.
    Connected(ConnectionId),
    /// It may come back until then.
    Hibernating {
        /// When the session ends.
        until: Instant,
    },
}

/// One bound resource, or the component.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) address: FullJid,
    /// It is the component: no account's, and its address's resource is made up.
    pub(super) component: bool,
    pub(super) link: Link,
    pub(super) outbound: Outbound,
    pub(super) management: Management,
    /// The last presence sent to all, while available.
    pub(super) presence: Option<Presence>,
    /// Asked for the roster, so it gets pushes (RFC 6121 §2.1.6).
    pub(super) interested: bool,
    /// Asked whom the account blocks, so it gets pushes (XEP-0191 §3.3).
    pub(super) knows_blocked: bool,
    /// To whom it sent presence on its own account, oldest first (RFC 6121 §4.6).
    pub(super) directed: VecDeque<Jid>,
    /// When its client last sent an element.
    pub(super) heard: Instant,
    /// It was asked since whether it is there.
    pub(super) probed: bool,
    /// Wants copies of the account's other messages (XEP-0280).
    pub(super) copies: bool,
    pub(super) entropy: [u8; 24],
}

/// What is remembered of a session that cannot be resumed any more, for `<failed/>`.
#[derive(Debug)]
pub(super) struct Tombstone {
    pub(super) resumption: Text,
    pub(super) account: String,
    pub(super) handled: u32,
}

impl Session {
    pub(super) const fn connection(&self) -> Option<ConnectionId> {
        match self.link {
            Link::Connected(connection) => Some(connection),
            Link::Hibernating { .. } => None,
        }
    }

    /// One that has just begun.
    pub(super) fn new(address: FullJid, connection: ConnectionId, now: Now) -> Self {
        Self {
            address,
            component: false,
            link: Link::Connected(connection),
            outbound: Outbound::default(),
            management: Management::Off,
            presence: None,
            interested: false,
            knows_blocked: false,
            directed: VecDeque::new(),
            heard: now.monotonic,
            probed: false,
            copies: false,
            entropy: [0; 24],
        }
    }

    /// Where its client is spoken to.
    pub(super) fn recipient(&self) -> Jid {
        match self.component {
            true => self.bare().into(),
            false => (*self.address).clone(),
        }
    }

    /// Localpart of its account; empty for the component.
    pub(super) fn local(&self) -> &str {
        self.address.local().unwrap_or_default()
    }

    pub(super) fn bare(&self) -> BareJid {
        self.address.to_bare()
    }

    /// Its priority, if it takes messages for the bare address (RFC 6121 §8.5.2).
    pub(super) fn takes_messages(&self) -> Option<i8> {
        let priority = self.presence.as_ref()?.priority();
        (priority >= 0).then_some(priority)
    }

    pub(super) const fn count_inbound(&mut self) {
        if let Management::On(state) = &mut self.management {
            state.handled = state.handled.wrapping_add(1);
        }
    }

    /// Appends what is to be sent now. How many stanzas of it count as arrived once
    /// they are written.
    pub(super) fn send(&mut self, out: &mut Vec<u8>, enough: usize, encoder: &Encoder) -> usize {
        let sent = self.outbound.send(out, enough);
        match &mut self.management {
            Management::Off => sent,
            Management::On(state) => {
                state.append_requests(sent, self.outbound.sent(), out, encoder);
                0
            }
        }
    }

    fn deadline(&self, idle: std::time::Duration, probe: std::time::Duration) -> Instant {
        match self.link {
            Link::Hibernating { until } => until,
            Link::Connected(_) if self.probed => self.heard + idle + probe,
            Link::Connected(_) => self.heard + idle,
        }
    }
}

impl Router {
    /// Tombstones kept, of all accounts together.
    const TOMBSTONES: usize = 256;

    /// What a client sends that has not bound a resource.
    pub(super) fn unbound_element(&mut self, now: Now, id: ConnectionId, element: Element) {
        if element.ns() == ns::SM {
            return self.unbound_nonza(now, id, &element);
        }
        let iq = match Stanza::from_element(element) {
            Ok(Stanza::Iq(iq)) => Some(iq),
            _ => None,
        };
        // RFC 6120 §7.1: no stanza but this one is processed before.
        let Some(iq) = iq.filter(Iq::is_request) else {
            let text = Text::from_static("bind a resource first (RFC 6120 §7)");
            let error = StreamError::new(StreamCondition::NotAuthorized).with_text(text);
            return self.drop_connection(id, Some(error));
        };
        let wish = match &iq.kind {
            IqKind::Set(child) if Bind::matches(child) => Bind::from_element(child),
            _ => {
                let error = StanzaError::new(ErrorType::Auth, DefinedCondition::NotAuthorized);
                return self.control(id, &iq.refuse(error).to_element());
            }
        };
        match wish {
            Ok(Bind::Request(resource)) => self.bind(now, id, &iq, resource.as_deref()),
            _ => {
                let error = StanzaError::new(ErrorType::Modify, DefinedCondition::BadRequest);
                self.control(id, &iq.refuse(error).to_element());
            }
        }
    }

    fn bind(&mut self, now: Now, id: ConnectionId, request: &Iq, wish: Option<&str>) {
        let Some(connection) = self.connections.get(&id) else {
            return;
        };
        let Stage::Unbound { entropy, .. } = connection.stage else {
            return;
        };
        let local = connection.account.clone();
        let made_up = hex(&entropy[..8]);
        let resource = wish.filter(|w| !w.is_empty()).unwrap_or(&made_up);
        let address = self
            .bare(&local)
            .and_then(|bare| bare.with_resource(resource).ok());
        let Some(address) = address else {
            let error = StanzaError::new(ErrorType::Modify, DefinedCondition::BadRequest);
            return self.control(id, &request.refuse(error).to_element());
        };
        // RFC 6120 §7.7.2.2: the old one goes.
        if let super::Place::Session(old) = self.locate(&address) {
            let text = Text::from_static("another client bound this resource");
            let error = StreamError::new(StreamCondition::Conflict).with_text(text);
            self.close_session(now, old, error);
        }
        if !self.make_room(now, &local) {
            let error = StanzaError::new(ErrorType::Wait, DefinedCondition::ResourceConstraint);
            return self.control(id, &request.refuse(error).to_element());
        }
        let session = SessionId(self.next_session);
        self.next_session += 1;
        let Some(account) = self.accounts.get_mut(&local) else {
            // The account store and the router were given the same accounts.
            let error = StreamError::new(StreamCondition::NotAuthorized);
            return self.drop_connection(id, Some(error));
        };
        account.sessions.push(session);
        let answer = request.result(Some(Bind::Bound(address.clone()).to_element()));
        self.sessions.insert(
            session,
            Session {
                entropy,
                ..Session::new(address, id, now)
            },
        );
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.stage = Stage::Bound(session);
        }
        self.control(id, &answer.to_element());
    }

    /// Whether the account may have one more session, for which the oldest that
    /// hibernates gives way.
    fn make_room(&mut self, now: Now, local: &str) -> bool {
        let Some(account) = self.accounts.get(local) else {
            return false;
        };
        if account.sessions.len() < self.limits.sessions {
            return true;
        }
        let hibernating = account.sessions.iter().copied().find(|id| {
            self.sessions
                .get(id)
                .is_some_and(|s| s.connection().is_none())
        });
        hibernating.is_some_and(|id| {
            self.end(now, id);
            true
        })
    }

    /// A connection broke, or its client closed it.
    pub(super) fn ended(&mut self, now: Now, id: ConnectionId, ending: Ending) {
        let Some(connection) = self.connections.remove(&id) else {
            return;
        };
        if let Stage::Bound(session) = connection.stage {
            match ending {
                Ending::Closed => self.end(now, session),
                Ending::Lost => self.hibernate(now, session),
            }
        }
    }

    /// The session lost its connection: it waits for another, or ends.
    pub(super) fn hibernate(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        match session.management.resumption() {
            Some(window) => {
                session.link = Link::Hibernating {
                    until: now.monotonic + window,
                };
            }
            None => self.end(now, id),
        }
    }

    /// Ends a session with a stream error to its client, if it is there.
    pub(super) fn close_session(&mut self, now: Now, id: SessionId, error: StreamError) {
        if let Some(connection) = self.sessions.get(&id).and_then(Session::connection) {
            self.drop_connection(connection, Some(error));
        }
        self.end(now, id);
    }

    /// The session is over: says so to whom it concerns, and finds another place for
    /// what it still had.
    pub(super) fn end(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.remove(&id) else {
            return;
        };
        if let Some(account) = self.accounts.get_mut(session.local()) {
            account.sessions.retain(|other| *other != id);
        }
        if let Management::On(state) = &session.management
            && let Some(resumption) = &state.resumption
        {
            self.by_resumption.remove(&resumption.id);
            if self.tombstones.len() == Self::TOMBSTONES {
                self.tombstones.pop_front();
            }
            self.tombstones.push_back(Tombstone {
                resumption: resumption.id.clone(),
                account: session.local().to_owned(),
                handled: state.handled,
            });
        }
        self.leave(now, &session);
        if session.component {
            self.detached(now, session);
        } else {
            self.redirect(now, session);
        }
    }

    /// Deals with a queue that has become too long.
    pub(super) fn check_bounds(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let (queue, limits) = (&session.outbound, &self.limits);
        let managed = matches!(session.management, Management::On(_));
        if managed && (queue.len() > limits.unacked_stanzas || queue.bytes() > limits.unacked_bytes)
        {
            let text = Text::from_static("too many stanzas are not acknowledged (XEP-0198)");
            let error = StreamError::new(StreamCondition::PolicyViolation).with_text(text);
            return self.close_session(now, id, error);
        }
        let slow = queue.exceeds(limits.outbound_stanzas, limits.outbound_bytes);
        if slow && let Some(connection) = session.connection() {
            let text = Text::from_static("the client does not read what is sent to it");
            let error = StreamError::new(StreamCondition::ResourceConstraint).with_text(text);
            self.drop_connection(connection, Some(error));
            self.hibernate(now, id);
        }
    }

    /// Stanzas that were sent have arrived; their stored copies are needed no more.
    pub(super) fn arrived(&mut self, id: SessionId, count: usize) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let arrived = session.outbound.arrived(count);
        let local = session.local().to_owned();
        for stored in arrived.into_iter().filter_map(|held| held.stored) {
            self.forget_stored(&local, stored);
        }
        self.touched.insert(id);
    }

    /// The next time that something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let limits = &self.limits;
        let sessions = self
            .sessions
            .values()
            .map(|s| s.deadline(limits.idle, limits.probe));
        let unbound = self.connections.values().filter_map(|c| match c.stage {
            Stage::Unbound { deadline, .. } => Some(deadline),
            Stage::Bound(_) => None,
        });
        sessions.chain(unbound).min()
    }

    /// Does what is due.
    pub(super) fn tick(&mut self, now: Now) {
        let timeout = || StreamError::new(StreamCondition::ConnectionTimeout);
        let late: Vec<_> = self
            .connections
            .iter()
            .filter(|(_, c)| {
                matches!(c.stage, Stage::Unbound { deadline, .. } if deadline <= now.monotonic)
            })
            .map(|(id, _)| *id)
            .collect();
        for connection in late {
            self.drop_connection(connection, Some(timeout()));
        }
        let (idle, probe) = (self.limits.idle, self.limits.probe);
        let due: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, s)| s.deadline(idle, probe) <= now.monotonic)
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let Some(session) = self.sessions.get_mut(&id) else {
                continue;
            };
            match session.link {
                Link::Hibernating { .. } => self.end(now, id),
                Link::Connected(connection) if session.probed => {
                    self.drop_connection(connection, Some(timeout()));
                    self.hibernate(now, id);
                }
                Link::Connected(_) => self.probe(now, id),
            }
        }
    }

    /// Asks whether somebody is there.
    fn probe(&mut self, now: Now, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        session.probed = true;
        if let Management::On(state) = &mut session.management {
            state.probe();
            self.touched.insert(id);
            return;
        }
        let mut ping = Iq::get(
            Some(session.recipient()),
            Text::from_static("hub-ping"),
            &Ping,
        );
        ping.header.from = Some(self.domain.clone());
        // Fixed and small.
        let _ = self.enqueue(now, id, &ping.to_element());
    }

    /// The hub goes down.
    pub(super) fn shutdown(&mut self, now: Now) {
        let connections: Vec<_> = self.connections.keys().copied().collect();
        for connection in connections {
            let error = StreamError::new(StreamCondition::SystemShutdown);
            self.drop_connection(connection, Some(error));
        }
        // Nobody is left to hear of the others' going, and no session takes what
        // another leaves.
        for session in self.sessions.values_mut() {
            session.presence = None;
        }
        while let Some((id, _)) = self.sessions.first_key_value() {
            let id = *id;
            self.end(now, id);
        }
    }
}

/// Lowercase hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

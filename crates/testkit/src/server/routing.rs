//! Where a stanza goes: to a session, into offline storage, to another domain, back, or
//! nowhere (RFC 6121 §8.5). What a session counts is `session`'s.

use std::collections::VecDeque;
use std::time::Duration;

use stanchion_stanza::payload::ping::Ping;
use stanchion_stanza::payload::receipts::Received;
use stanchion_stanza::stanza::{
    DefinedCondition, ErrorType, MessageType, PresenceType, StanzaError,
};
use stanchion_stanza::{BareJid, Element, Iq, Jid, Message, Payload as _, Presence, Stanza};

use super::session::Session;
use super::{ASIDE, Closing, Offline, Overflow, POISON, Server, ToClient, WhenExpired};

impl Server {
    /// A stanza of another domain arrives.
    pub fn receive_remote(&mut self, now: Duration, element: Element) {
        self.route(now, element);
    }

    /// A stanza to another domain did not get there: it comes back.
    pub fn undeliverable(&mut self, now: Duration, element: Element, condition: DefinedCondition) {
        if let Ok(Stanza::Message(message)) = Stanza::from_element(element) {
            self.bounce(now, &message, condition);
        }
    }

    /// A session says something.
    pub(super) fn stanza(&mut self, now: Duration, number: u64, element: Element) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        if self.behaviour.chokes && element.children().any(|child| child.ns() == POISON) {
            self.mishaps.choked += 1;
            return self.end(now, number);
        }
        session.handled = session.handled.wrapping_add(1);
        let from = Jid::from(session.jid.clone());
        match Stanza::from_element(element) {
            Ok(Stanza::Message(mut message)) => {
                message.header.from = Some(from);
                self.message(now, message);
            }
            Ok(Stanza::Presence(presence)) => self.presence(now, number, presence, from),
            Ok(Stanza::Iq(mut iq)) => {
                iq.header.from = Some(from);
                self.iq(now, number, &iq);
            }
            Err(error) => self.violations.push(format!("no stanza: {error}")),
        }
    }

    /// A message begins its way, with what happens to messages.
    fn message(&mut self, now: Duration, message: Message) {
        let behaviour = self.behaviour;
        if behaviour.loses > 0 && self.random.chance(behaviour.loses) {
            self.mishaps.lost += 1;
            return;
        }
        if behaviour.loses_receipts > 0
            && message.body().is_none()
            && message.payloads.iter().any(Received::matches)
            && self.random.chance(behaviour.loses_receipts)
        {
            self.mishaps.receipts_lost += 1;
            return;
        }
        if behaviour.bounces > 0 && self.random.chance(behaviour.bounces) {
            self.mishaps.bounced += 1;
            return self.bounce(now, &message, DefinedCondition::ServiceUnavailable);
        }
        if behaviour.refuses > 0 && self.random.chance(behaviour.refuses) {
            self.mishaps.refused += 1;
            return self.bounce(now, &message, DefinedCondition::NotAcceptable);
        }
        let element = message.to_element();
        if behaviour.copies > 0 && self.random.chance(behaviour.copies) {
            self.mishaps.copied += 1;
            self.put_off(now, behaviour.straggle, element.clone());
        }
        if behaviour.asides > 0 && self.aside.len() < ASIDE && self.random.chance(behaviour.asides)
        {
            self.mishaps.aside += 1;
            self.aside.push(element.clone());
        }
        if behaviour.delays > 0 && self.random.chance(behaviour.delays) {
            self.mishaps.delayed += 1;
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

    fn is_elsewhere(&self, to: &Jid) -> bool {
        self.domain.as_deref().is_some_and(|own| own != to.domain())
    }

    /// To its session, to another one of the account, or into storage (RFC 6121 §8.5);
    /// or on to another domain.
    pub(super) fn route(&mut self, now: Duration, element: Element) {
        let Some(to) = element.attr("to").and_then(|to| to.parse::<Jid>().ok()) else {
            return;
        };
        if self.is_elsewhere(&to) {
            return self.remote.push_back(element);
        }
        let exact = |s: &Session| s.jid.as_str() == to.as_str();
        let account = |s: &Session| s.is_available() && s.jid.bare_str() == to.bare_str();
        let sessions = &self.sessions;
        let found = sessions.iter().find(|(_, s)| exact(s));
        // The newest one.
        let found = found.or_else(|| sessions.iter().rev().find(|(_, s)| account(s)));
        let found = found.map(|(number, _)| *number);
        if element.name() != "message" {
            // Presence and answers are for those who are there.
            if let Some(number) = found {
                self.deliver(now, number, element, false);
            }
            return;
        }
        if let Some(number) = found {
            return self.deliver(now, number, element, false);
        }
        self.keep(now, &to, element);
    }

    /// A message to an account without session.
    fn keep(&mut self, now: Duration, to: &Jid, element: Element) {
        let known = |contact: &BareJid| contact.as_str() == to.bare_str();
        if !self.roster.is_empty() && !self.roster.iter().any(known) {
            return self.undeliverable(now, element, DefinedCondition::ServiceUnavailable);
        }
        // XEP-0160 §3.
        let kind = element.attr("type");
        let bodiless = || element.children().all(|child| child.name() != "body");
        let never = matches!(kind, Some("headline" | "groupchat" | "error"))
            || (!self.behaviour.keeps_bodiless && bodiless());
        if never {
            self.mishaps.not_storable += 1;
            return;
        }
        match self.behaviour.offline {
            Offline::Kept { most } => {
                let kept = self.offline.entry(to.bare_str().to_owned()).or_default();
                if kept.len() < most {
                    kept.push_back((now, element));
                } else {
                    self.mishaps.not_kept += 1;
                    self.undeliverable(now, element, DefinedCondition::ServiceUnavailable);
                }
            }
            Offline::Refused => {
                self.mishaps.not_kept += 1;
                self.undeliverable(now, element, self.behaviour.bounced_as);
            }
            Offline::Dropped => self.mishaps.not_kept += 1,
        }
    }

    pub(super) fn deliver(&mut self, now: Duration, number: u64, element: Element, only: bool) {
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        let connection = session.deliver(&element, only);
        if session.unacknowledged() > self.behaviour.queue {
            match self.behaviour.overflow {
                Overflow::Ends => {
                    self.mishaps.overflown += 1;
                    return self.end(now, number);
                }
                Overflow::DropsOldest => {
                    self.mishaps.forgotten += 1;
                    session.forget_oldest();
                }
            }
        }
        if let Some(connection) = connection {
            self.out.push_back((connection, ToClient::Element(element)));
        }
        self.request(number);
    }

    /// Ends a session for what it did, and its stream.
    fn end(&mut self, now: Duration, number: u64) {
        if let Some(session) = self.sessions.remove(&number) {
            if let Some(connection) = session.connection {
                self.close(connection, Closing::Policy);
            }
            self.expire(now, session);
        }
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

    /// The session is over: those who saw it are told (RFC 6121 §4.5.2), and what its client
    /// did not acknowledge goes elsewhere.
    pub(super) fn expire(&mut self, now: Duration, mut session: Session) {
        if session.presence.is_some() {
            self.tell_of_the_end(now, session.jid.clone().into());
        }
        for (element, only_here) in session.take_unacknowledged() {
            if only_here {
                self.mishaps.wiped += 1;
                continue;
            }
            match self.behaviour.expired {
                WhenExpired::Routed => {
                    // What is no message was for that session alone.
                    if element.name() == "message" {
                        self.route(now, element);
                    }
                }
                WhenExpired::Bounced => {
                    self.mishaps.expired_bounced += 1;
                    self.undeliverable(now, element, self.behaviour.bounced_as);
                }
                WhenExpired::Dropped => self.mishaps.expired_dropped += 1,
            }
        }
    }

    /// Available for the first time: offline storage is emptied (XEP-0160 §3), the
    /// others are told, and it is told of them.
    fn presence(&mut self, now: Duration, number: u64, mut presence: Presence, from: Jid) {
        presence.header.from = Some(from.clone());
        let told = presence.to_element();
        let Some(session) = self.sessions.get_mut(&number) else {
            return;
        };
        let kept = match session.presence.replace(told) {
            None => self.offline.remove(from.bare_str()).unwrap_or_default(),
            Some(_) => VecDeque::new(),
        };
        for (_, element) in kept {
            // Written to the socket is gone, unless the session is managed.
            self.deliver(now, number, element, self.behaviour.offline_wiped);
        }
        for (other, jid, their) in self.others(&from) {
            presence.header.to = Some(jid);
            self.deliver(now, other, presence.to_element(), false);
            if let Ok(mut their) = Presence::from_element(their) {
                their.header.to = Some(from.clone());
                self.deliver(now, number, their.to_element(), false);
            }
        }
        self.tell_elsewhere(presence);
        self.tick(now);
    }

    /// Sessions of other accounts here that are available, with their presence.
    fn others(&self, than: &Jid) -> Vec<(u64, Jid, Element)> {
        let all = self.sessions.iter();
        let others = all.filter(|(_, s)| s.jid.bare_str() != than.bare_str());
        others
            .filter_map(|(n, s)| Some((*n, Jid::from(s.jid.clone()), s.presence.clone()?)))
            .collect()
    }

    fn tell_elsewhere(&mut self, mut presence: Presence) {
        for contact in self.roster.clone() {
            let contact = Jid::from(contact);
            if self.is_elsewhere(&contact) {
                presence.header.to = Some(contact);
                self.remote.push_back(presence.to_element());
            }
        }
    }

    fn tell_of_the_end(&mut self, now: Duration, from: Jid) {
        let mut gone = Presence::of(PresenceType::Unavailable);
        gone.header.from = Some(from.clone());
        for (other, jid, _) in self.others(&from) {
            gone.header.to = Some(jid);
            self.deliver(now, other, gone.to_element(), false);
        }
        self.tell_elsewhere(gone);
    }

    fn iq(&mut self, now: Duration, number: u64, iq: &Iq) {
        // To somebody's session; and an answer is nobody else's.
        let to_session = iq
            .header
            .to
            .as_ref()
            .is_some_and(|to| to.resource().is_some());
        if to_session || !iq.is_request() {
            return self.route(now, iq.to_element());
        }
        let known = iq.header.to.is_none() && iq.payload_in(Ping::NS).is_some();
        let refusal = StanzaError::new(ErrorType::Cancel, DefinedCondition::ServiceUnavailable);
        let answer = if known {
            iq.result(None)
        } else {
            iq.refuse(refusal)
        };
        self.deliver(now, number, answer.to_element(), false);
    }
}

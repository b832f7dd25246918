//! The component (XEP-0114): a session without account, to which its whole domain leads.
//! What it says has a sender of that domain and a recipient, or goes nowhere; queues,
//! bounds, silence and the end are as with any session. That it is who it says was seen to
//! before, in [`stream`](crate::stream).

use stanchion_stanza::payload::component::Handshake;
use stanchion_stanza::stanza::{
    DefinedCondition, ErrorType, MessageType, PresenceType, StanzaError,
};
use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{Element, Jid, Payload as _, Presence, Stanza, Text};

use super::session::Session;
use super::{Connection, ConnectionId, Now, Place, RawHeader, Router, SessionId, Stage};

/// The resource under which its session is held: a component has none.
const RESOURCE: &str = "component";

/// The domain that is a program of its own.
#[derive(Debug)]
pub(super) struct Component {
    pub(super) domain: Jid,
    /// While it is attached.
    pub(super) session: Option<SessionId>,
}

impl Component {
    /// Whether an address is of its domain.
    pub(super) fn has(&self, jid: &Jid) -> bool {
        jid.domain() == self.domain.domain()
    }
}

/// The component is not attached: to be tried again (RFC 6120 §8.3.3.15).
pub(super) const fn away() -> StanzaError {
    StanzaError::new(ErrorType::Wait, DefinedCondition::RecipientUnavailable)
}

impl Router {
    /// Gives a domain to a component. False, if it is the hub's own.
    #[must_use]
    pub fn add_component(&mut self, domain: Jid) -> bool {
        let free = self.locate(&domain) == Place::Elsewhere;
        if free {
            self.component = Some(Component {
                domain,
                session: None,
            });
        }
        free
    }

    /// The component is there.
    pub(super) fn attach(&mut self, now: Now, id: ConnectionId) {
        let session = SessionId(self.next_session);
        let connection = Connection {
            account: String::new(),
            stage: Stage::Bound(session),
            control: Vec::new(),
            in_flight: false,
            unmanaged: 0,
        };
        self.connections.insert(id, connection);
        let Some(component) = &mut self.component else {
            // Who lets components attach themselves has given the domain to one.
            let error = StreamError::new(StreamCondition::HostUnknown);
            return self.drop_connection(id, Some(error));
        };
        if component.session.is_some() {
            let text = Text::from_static("the component is attached already");
            let error = StreamError::new(StreamCondition::Conflict).with_text(text);
            return self.drop_connection(id, Some(error));
        }
        let Ok(address) = component.domain.to_bare().with_resource(RESOURCE) else {
            // A domain has at most 1023 bytes.
            let error = StreamError::new(StreamCondition::InternalServerError);
            return self.drop_connection(id, Some(error));
        };
        component.session = Some(session);
        self.next_session += 1;
        self.sessions.insert(
            session,
            Session {
                component: true,
                ..Session::new(address, id, now)
            },
        );
        self.control(id, &Handshake::default().to_element());
    }

    /// §3: both addresses are on it, and the sender is of the component's domain.
    pub(super) fn component_stanza(&mut self, now: Now, id: SessionId, element: Element) {
        let from = element.attr("from").and_then(|from| Jid::new(from).ok());
        let own = self.component.as_ref();
        if !own.is_some_and(|own| from.is_some_and(|from| own.has(&from))) {
            let error = StreamError::new(StreamCondition::InvalidFrom);
            return self.close_session(now, id, error);
        }
        let raw = RawHeader::of(&element);
        let stanza = match Stanza::from_element(element) {
            Ok(stanza) if raw.to.is_some() => stanza,
            _ => return self.refuse_malformed(now, id, raw),
        };
        if self.is_blocked(now, id, &stanza) {
            return;
        }
        let to_rooms = |to: &Option<Jid>| to.as_ref().is_some_and(|to| self.rooms.has(to));
        match stanza {
            Stanza::Message(message) if to_rooms(&message.header.to) => {
                self.bounce(now, &message, not_allowed());
            }
            Stanza::Message(message) => self.sent(now, id, message),
            Stanza::Presence(presence) => self.component_presence(now, id, &presence),
            Stanza::Iq(iq) if to_rooms(&iq.header.to) => {
                self.answer(now, id, &iq, Err(not_allowed()));
            }
            Stanza::Iq(iq) => self.iq(now, id, iq),
        }
    }

    /// It goes where it is told, and is not remembered: the component itself tells whom it
    /// concerns that it goes.
    fn component_presence(&mut self, now: Now, id: SessionId, presence: &Presence) {
        let Some(to) = &presence.header.to else {
            return;
        };
        match presence.kind {
            PresenceType::Available | PresenceType::Unavailable if self.rooms.has(to) => {
                self.refuse_presence(now, id, presence, &not_allowed());
            }
            PresenceType::Available | PresenceType::Unavailable | PresenceType::Error => {
                self.route_presence(now, to, presence);
            }
            PresenceType::Subscribe => {
                let condition = DefinedCondition::FeatureNotImplemented;
                let error = StanzaError::new(ErrorType::Cancel, condition);
                self.refuse_presence(now, id, presence, &error);
            }
            PresenceType::Subscribed
            | PresenceType::Unsubscribe
            | PresenceType::Unsubscribed
            | PresenceType::Probe => {}
        }
    }

    /// The component has gone, and what it did not take is sent back.
    pub(super) fn detached(&mut self, now: Now, session: Session) {
        if let Some(component) = &mut self.component {
            component.session = None;
        }
        for held in session.outbound.into_held() {
            if held.own || !held.letter.is_last_hope() {
                continue;
            }
            match self.read(&held) {
                Some(Stanza::Message(message)) if message.kind != MessageType::Headline => {
                    self.bounce(now, &message, away());
                }
                Some(Stanza::Iq(iq)) => self.bounce_iq(now, &iq, away()),
                _ => {}
            }
        }
        tracing::debug!(address = %session.address.to_bare(), "the component has gone");
    }
}

/// Rooms are for accounts.
const fn not_allowed() -> StanzaError {
    StanzaError::new(ErrorType::Cancel, DefinedCondition::NotAllowed)
}

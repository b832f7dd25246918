//! Presence (RFC 6121 §3, §4).

use super::{Header, StanzaError, StanzaParseError, find_error};
use crate::ns;
use crate::payload::{Payload, PayloadError};
use crate::xml::{Element, Text};

/// What a presence says (RFC 6121 §4.7.1).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum PresenceType {
    /// No type: here, and able to communicate.
    #[default]
    Available,
    /// An earlier presence was not delivered.
    Error,
    /// A server asks for the current presence.
    Probe,
    /// Asks to see the presence of the recipient.
    Subscribe,
    /// Allows the recipient to see ours.
    Subscribed,
    /// Gone.
    Unavailable,
    /// No longer wants to see it.
    Unsubscribe,
    /// Denies it, or no longer allows it.
    Unsubscribed,
}

impl PresenceType {
    const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Available => None,
            Self::Error => Some("error"),
            Self::Probe => Some("probe"),
            Self::Subscribe => Some("subscribe"),
            Self::Subscribed => Some("subscribed"),
            Self::Unavailable => Some("unavailable"),
            Self::Unsubscribe => Some("unsubscribe"),
            Self::Unsubscribed => Some("unsubscribed"),
        }
    }
}

/// How available somebody is (RFC 6121 §4.7.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Show {
    /// For a short time not there.
    Away,
    /// Wants to talk.
    Chat,
    /// Busy: do not disturb.
    Dnd,
    /// For a long time not there.
    Xa,
}

impl Show {
    /// The value on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Away => "away",
            Self::Chat => "chat",
            Self::Dnd => "dnd",
            Self::Xa => "xa",
        }
    }
}

/// A presence.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Presence {
    /// Addresses, id, language.
    pub header: Header,
    /// The type.
    pub kind: PresenceType,
    /// Child elements, in order.
    pub payloads: Vec<Element>,
}

impl Presence {
    /// "Here": a presence without type or content.
    #[must_use]
    pub fn available() -> Self {
        Self::default()
    }

    /// A presence of that type.
    #[must_use]
    pub fn of(kind: PresenceType) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// The same, with `<show/>`.
    #[must_use]
    pub fn with_show(mut self, show: Show) -> Self {
        self.payloads
            .push(Element::new("show", ns::CLIENT).with_text(Text::from_static(show.as_str())));
        self
    }

    /// The same, with a text for people.
    #[must_use]
    pub fn with_status(mut self, status: Text) -> Self {
        self.payloads
            .push(Element::new("status", ns::CLIENT).with_text(status));
        self
    }

    /// The same, with a priority from -128 to 127; below 0 the server routes no messages
    /// for the bare JID here (RFC 6121 §4.7.2.3). Default 0.
    #[must_use]
    pub fn with_priority(mut self, priority: i8) -> Self {
        self.payloads
            .push(Element::new("priority", ns::CLIENT).with_text(priority));
        self
    }

    fn child(&self, name: &str) -> Option<&Element> {
        self.payloads.iter().find(|p| p.is(name, ns::CLIENT))
    }

    /// `<show/>`; unknown values are as none.
    #[must_use]
    pub fn show(&self) -> Option<Show> {
        let text = self.child("show")?.text();
        [Show::Away, Show::Chat, Show::Dnd, Show::Xa]
            .into_iter()
            .find(|s| s.as_str() == text.trim())
    }

    /// The text for people.
    #[must_use]
    pub fn status(&self) -> Option<std::borrow::Cow<'_, str>> {
        self.child("status").map(Element::text)
    }

    /// The priority; 0 if absent or no number.
    #[must_use]
    pub fn priority(&self) -> i8 {
        self.child("priority")
            .and_then(|p| p.text().trim().parse().ok())
            .unwrap_or(0)
    }

    /// The first payload of that type.
    ///
    /// # Errors
    /// [`PayloadError`] if it is there and broken.
    pub fn payload<P: Payload>(&self) -> Result<Option<P>, PayloadError> {
        P::find(&self.payloads)
    }

    /// What went wrong, in a presence of type `error`.
    #[must_use]
    pub fn error(&self) -> Option<StanzaError> {
        (self.kind == PresenceType::Error).then(|| find_error(&self.payloads).unwrap_or_default())
    }

    /// Reads a presence.
    ///
    /// # Errors
    /// [`StanzaParseError`] if an address is no JID or the type is unknown: no presence
    /// may be mistaken for "available".
    pub fn from_element(element: Element) -> Result<Self, StanzaParseError> {
        let (header, kind) = Header::read(&element, "presence")?;
        let kind = match kind {
            None => PresenceType::Available,
            Some("error") => PresenceType::Error,
            Some("probe") => PresenceType::Probe,
            Some("subscribe") => PresenceType::Subscribe,
            Some("subscribed") => PresenceType::Subscribed,
            Some("unavailable") => PresenceType::Unavailable,
            Some("unsubscribe") => PresenceType::Unsubscribe,
            Some("unsubscribed") => PresenceType::Unsubscribed,
            Some(_) => {
                return Err(PayloadError::Invalid {
                    element: "presence",
                    what: "type",
                }
                .into());
            }
        };
        Ok(Self {
            header,
            kind,
            payloads: element.into_children(),
        })
    }

    /// Writes the presence.
    #[must_use]
    pub fn to_element(&self) -> Element {
        self.header
            .to_element("presence", self.kind.as_str(), &self.payloads)
    }
}

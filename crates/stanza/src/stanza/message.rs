//! Messages (RFC 6120 §8.2.1, RFC 6121 §5).

use super::{Header, StanzaError, StanzaParseError, find_error};
use crate::codec::{EncodeError, Encoder};
use crate::jid::Jid;
use crate::ns;
use crate::payload::{Payload, PayloadError};
use crate::xml::{Element, Text};

/// What kind of talk a message belongs to (RFC 6121 §5.2.2). An unknown type is
/// `Normal`, as the RFC says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum MessageType {
    /// One-to-one conversation.
    Chat,
    /// The answer to a message that was not delivered.
    Error,
    /// To or from a room.
    Groupchat,
    /// An alert: servers do not store it for a user who is offline.
    Headline,
    /// A single message; also what no type at all means.
    #[default]
    Normal,
}

impl MessageType {
    const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Chat => Some("chat"),
            Self::Error => Some("error"),
            Self::Groupchat => Some("groupchat"),
            Self::Headline => Some("headline"),
            Self::Normal => None,
        }
    }
}

/// A message. Bodies, subjects and threads stand among the payloads.
///
/// ```
/// use stanchion_stanza::{Message, Text};
/// let message = Message::chat("lamp@example.org".parse()?)
///     .with_id(Text::from_static("m1"))
///     .with_body(Text::new("on")?);
/// assert_eq!(message.body().as_deref(), Some("on"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// Addresses, id, language.
    pub header: Header,
    /// The type.
    pub kind: MessageType,
    /// Child elements, in order.
    pub payloads: Vec<Element>,
}

impl Message {
    /// A message of type `chat`, which servers store for a user who is offline.
    #[must_use]
    pub fn chat(to: Jid) -> Self {
        Self {
            header: Header {
                to: Some(to),
                ..Header::default()
            },
            kind: MessageType::Chat,
            payloads: Vec::new(),
        }
    }

    /// The same, with an id.
    #[must_use]
    pub fn with_id(mut self, id: Text) -> Self {
        self.header.id = Some(id);
        self
    }

    /// The same, with a body.
    #[must_use]
    pub fn with_body(mut self, body: Text) -> Self {
        self.payloads
            .push(Element::new("body", ns::CLIENT).with_text(body));
        self
    }

    /// The same, with one more payload.
    #[must_use]
    pub fn with_payload(mut self, payload: impl Into<Element>) -> Self {
        self.payloads.push(payload.into());
        self
    }

    /// The body without a language of its own, else the first (RFC 6121 §5.2.3).
    #[must_use]
    pub fn body(&self) -> Option<std::borrow::Cow<'_, str>> {
        let bodies = || self.payloads.iter().filter(|p| p.is("body", ns::CLIENT));
        bodies()
            .find(|b| b.lang().is_none())
            .or_else(|| bodies().next())
            .map(Element::text)
    }

    /// The first payload of that type.
    ///
    /// # Errors
    /// [`PayloadError`] if it is there and broken.
    pub fn payload<P: Payload>(&self) -> Result<Option<P>, PayloadError> {
        P::find(&self.payloads)
    }

    /// Why it was not delivered, in a message of type `error`.
    #[must_use]
    pub fn error(&self) -> Option<StanzaError> {
        (self.kind == MessageType::Error).then(|| find_error(&self.payloads).unwrap_or_default())
    }

    /// Reads a message.
    ///
    /// # Errors
    /// [`StanzaParseError`] if an address is no JID.
    pub fn from_element(element: Element) -> Result<Self, StanzaParseError> {
        let (header, kind) = Header::read(&element, "message")?;
        let kind = match kind {
            Some("chat") => MessageType::Chat,
            Some("error") => MessageType::Error,
            Some("groupchat") => MessageType::Groupchat,
            Some("headline") => MessageType::Headline,
            _ => MessageType::Normal,
        };
        Ok(Self {
            header,
            kind,
            payloads: element.into_children(),
        })
    }

    /// Appends the message as bytes: as [`to_element`](Self::to_element) and
    /// [`Encoder::element`], but without the element between.
    ///
    /// # Errors
    /// As [`Encoder::element`].
    pub fn encode(&self, encoder: &Encoder, out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self.header.own_attributes(self.kind.as_str()) {
            Some(attributes) => encoder.parts("message", &attributes, &self.payloads, out),
            // These may stand in for its own.
            None => encoder.element(&self.to_element(), out),
        }
    }

    /// Writes the message.
    #[must_use]
    pub fn to_element(&self) -> Element {
        self.header
            .to_element("message", self.kind.as_str(), &self.payloads)
    }
}

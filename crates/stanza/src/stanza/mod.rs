//! Stanzas (RFC 6120 §8): message, presence, iq, and their errors.

mod error;
mod iq;
mod message;
mod presence;

use crate::codec::Parts;
use crate::jid::Jid;
use crate::ns;
use crate::payload::PayloadError;
use crate::xml::{Attribute, Element, Name, Ns, Text};

pub use error::{DefinedCondition, ErrorType, StanzaError};
pub use iq::{Iq, IqKind};
pub use message::{Message, MessageType};
pub use presence::{Presence, PresenceType, Show};

/// Any of the three.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stanza {
    /// Push, stored for later where the server does (RFC 6120 §8.2.1).
    Message(Message),
    /// Broadcast (RFC 6120 §8.2.2).
    Presence(Presence),
    /// Request and response (RFC 6120 §8.2.3).
    Iq(Iq),
}

/// An element that is no stanza, or one that breaks RFC 6120 §8. The stream lives on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StanzaParseError {
    /// Another element, such as stream management's.
    #[error("<{0}/> is no stanza (RFC 6120 §8)")]
    NotAStanza(String),
    /// An attribute or child is missing or wrong.
    #[error("{0} (RFC 6120 §8)")]
    Invalid(#[from] PayloadError),
    /// An iq without exactly the children that its type wants (RFC 6120 §8.2.3).
    #[error("an iq of type `{0}` has the wrong number of children (RFC 6120 §8.2.3)")]
    IqChildren(&'static str),
}

impl Stanza {
    /// Whether `element` counts as a stanza (XEP-0198 §4 counts these and no other).
    #[must_use]
    pub fn is_stanza(element: &Element) -> bool {
        element.ns() == ns::CLIENT && matches!(element.name(), "message" | "presence" | "iq")
    }

    /// Reads a stanza.
    ///
    /// # Errors
    /// [`StanzaParseError`]; the stream lives on.
    pub fn from_element(element: Element) -> Result<Self, StanzaParseError> {
        match (element.name(), element.ns()) {
            ("message", ns::CLIENT) => Message::from_element(element).map(Self::Message),
            ("presence", ns::CLIENT) => Presence::from_element(element).map(Self::Presence),
            ("iq", ns::CLIENT) => Iq::from_element(element).map(Self::Iq),
            _ => Err(StanzaParseError::NotAStanza(element.name().to_owned())),
        }
    }

    /// Writes the stanza.
    #[must_use]
    pub fn to_element(&self) -> Element {
        match self {
            Self::Message(m) => m.to_element(),
            Self::Presence(p) => p.to_element(),
            Self::Iq(i) => i.to_element(),
        }
    }

    /// The common attributes.
    #[must_use]
    pub const fn header(&self) -> &Header {
        match self {
            Self::Message(m) => &m.header,
            Self::Presence(p) => &p.header,
            Self::Iq(i) => &i.header,
        }
    }

    /// The common attributes, to change.
    pub const fn header_mut(&mut self) -> &mut Header {
        match self {
            Self::Message(m) => &mut m.header,
            Self::Presence(p) => &mut p.header,
            Self::Iq(i) => &mut i.header,
        }
    }
}

impl From<Message> for Stanza {
    fn from(m: Message) -> Self {
        Self::Message(m)
    }
}
impl From<Presence> for Stanza {
    fn from(p: Presence) -> Self {
        Self::Presence(p)
    }
}
impl From<Iq> for Stanza {
    fn from(i: Iq) -> Self {
        Self::Iq(i)
    }
}

/// The attributes that all stanzas have (RFC 6120 §8.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Header {
    /// The recipient; none means the sender's own account, or its server.
    pub to: Option<Jid>,
    /// The sender; a server fills it in.
    pub from: Option<Jid>,
    /// For matching answers and receipts.
    pub id: Option<Text>,
    /// Default language of the content.
    pub lang: Option<Text>,
    /// Attributes that RFC 6120 does not name, as they stood.
    pub other: Vec<Attribute>,
}

impl Header {
    /// Reads the header of a stanza called `kind`, and its type.
    fn read<'a>(
        element: &'a Element,
        kind: &'static str,
    ) -> Result<(Self, Option<&'a str>), PayloadError> {
        let address = |value| {
            Jid::try_from(value).map_err(|source| PayloadError::Jid {
                element: kind,
                source,
            })
        };
        let mut header = Self::default();
        let mut stanza_type = None;
        for attribute in element.view().attributes() {
            match (attribute.ns(), attribute.name()) {
                ("", "to") => header.to = Some(address(attribute.shared_value())?),
                ("", "from") => header.from = Some(address(attribute.shared_value())?),
                ("", "id") => header.id = Some(attribute.shared_value()),
                ("", "type") => stanza_type = Some(attribute.value()),
                (ns::XML, "lang") => header.lang = Some(attribute.shared_value()),
                _ => header.other.push(attribute.to_attribute()),
            }
        }
        Ok((header, stanza_type))
    }

    fn own_attributes<'a>(&'a self, kind: Option<&'a str>) -> Option<[Option<Parts<'a>>; 5]> {
        self.other.is_empty().then(|| {
            [
                self.from.as_ref().map(|from| ("", "from", from.as_str())),
                self.to.as_ref().map(|to| ("", "to", to.as_str())),
                self.id.as_ref().map(|id| ("", "id", id.as_str())),
                kind.map(|kind| ("", "type", kind)),
                self.lang
                    .as_ref()
                    .map(|lang| (ns::XML, "lang", lang.as_str())),
            ]
        })
    }

    fn to_element(
        &self,
        name: &'static str,
        kind: Option<&'static str>,
        children: &[Element],
    ) -> Element {
        let plain = |name, value| Attribute {
            ns: Ns::NONE,
            name: Name::literal(name),
            value,
        };
        let own = [
            self.from.as_ref().map(|from| plain("from", from.into())),
            self.to.as_ref().map(|to| plain("to", to.into())),
            self.id.clone().map(|id| plain("id", id)),
            kind.map(|kind| plain("type", Text::literal(kind))),
            self.lang.clone().map(|value| Attribute {
                ns: Ns::XML,
                name: Name::literal("lang"),
                value,
            }),
        ];
        let mut attributes = Vec::with_capacity(own.len() + self.other.len());
        attributes.extend(own.into_iter().flatten());
        let mut element = Element::of(name, Ns::CLIENT, attributes, children);
        // These may be any: a program can put in what it likes.
        for Attribute { ns, name, value } in &self.other {
            element.put_attr(ns.clone(), name.clone(), value.clone());
        }
        element
    }

    /// The header of an answer: addresses swapped, id kept.
    #[must_use]
    pub fn reply(&self) -> Self {
        Self {
            to: self.from.clone(),
            from: self.to.clone(),
            id: self.id.clone(),
            ..Self::default()
        }
    }
}

/// A child `<error/>` of a stanza of type `error`.
fn find_error(payloads: &[Element]) -> Option<StanzaError> {
    use crate::payload::Payload as _;
    StanzaError::find(payloads).ok().flatten()
}

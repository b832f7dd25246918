//! What stands for a stream's opening and closing tag where each message is a document
//! of its own (RFC 7395 §3.3): `<open/>` and `<close/>`. When they are sent is for the
//! transport to say.

use super::{Payload, PayloadError};
use crate::codec::Rule;
use crate::ns;
use crate::stream::StreamHeader;
use crate::xml::{Attribute, Element, Text};

/// A stream's header as an element (RFC 7395 §3.4). Stanzas declare their namespace
/// themselves, so the header has none to announce: its content is `jabber:client`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open(pub StreamHeader);

impl Open {
    /// Reads the attributes by the rules of a stream's opening tag.
    ///
    /// # Errors
    /// [`Rule::Address`] and [`Rule::Version`].
    pub fn read(element: &Element) -> Result<Self, Rule> {
        StreamHeader::from_opening_tag(element, ns::CLIENT).map(Self)
    }
}

impl Payload for Open {
    const NAME: &'static str = "open";
    const NS: &'static str = ns::FRAMING;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Self::read(element).map_err(|rule| PayloadError::Invalid {
            element: Self::NAME,
            what: match rule {
                Rule::Version => "version",
                _ => "address",
            },
        })
    }

    fn to_element(&self) -> Element {
        let mut open = Element::new(Self::NAME, Self::NS);
        for Attribute { ns, name, value } in self.0.to_attributes() {
            open.put_attr(ns, name, value);
        }
        open
    }
}

/// The end of a stream (RFC 7395 §3.6).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Close {
    /// Where to connect instead, as a `wss` or `ws` URI (RFC 7395 §3.6.1). Nobody has
    /// checked it: never follow it from encryption to plaintext.
    pub see_other_uri: Option<Text>,
}

impl Payload for Close {
    const NAME: &'static str = "close";
    const NS: &'static str = ns::FRAMING;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            see_other_uri: element.attr_text("see-other-uri").filter(|u| !u.is_empty()),
        })
    }

    fn to_element(&self) -> Element {
        let mut close = Element::new(Self::NAME, Self::NS);
        if let Some(uri) = &self.see_other_uri {
            close.set_attr("see-other-uri", uri.clone());
        }
        close
    }
}

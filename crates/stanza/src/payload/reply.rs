//! Message replies (XEP-0461): this message answers an earlier one.

use super::{Payload, PayloadError, address, required};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Text};

/// Names the message that is answered (XEP-0461 §3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its author; of a conversation between two, a bare JID will do.
    pub to: Option<Jid>,
    /// Its origin id if it has one, else its id; in a room, the id that the room gave
    /// ([`StanzaId`](super::sid::StanzaId), §4.1).
    pub id: Text,
}

impl Payload for Reply {
    const NAME: &'static str = "reply";
    const NS: &'static str = ns::REPLY;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            to: address(element, Self::NAME, "to")?,
            id: required(element, Self::NAME, "id")?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("to", self.to.as_ref())
            .with_attr("id", self.id.clone())
    }
}

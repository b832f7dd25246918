//! Displayed markers (XEP-0333): how far somebody has read.

use super::starttls::empty_payload;
use super::{Payload, PayloadError, required};
use crate::ns;
use crate::xml::{Element, Text};

empty_payload! {
    /// The sender would like a marker; the message must have an id (§4.1).
    Markable, "markable", ns::MARKERS
}

/// Everything up to this message was displayed (§4.2). It only moves forward: ignore one
/// for an older message, or for one that is not there (§5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Displayed {
    /// The id of the message; in a room that has them, the id that the room gave
    /// ([`StanzaId`](super::sid::StanzaId), §4.3).
    pub id: Text,
}

impl Payload for Displayed {
    const NAME: &'static str = "displayed";
    const NS: &'static str = ns::MARKERS;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let id = required(element, Self::NAME, "id")?;
        Ok(Self { id })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS).with_attr("id", self.id.clone())
    }
}

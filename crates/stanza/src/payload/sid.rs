//! Unique and stable stanza ids (XEP-0359).

use super::{Payload, PayloadError, required, required_address};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Text};

/// The id that the sender gave, kept through gateways and archives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginId {
    /// The id.
    pub id: Text,
}

impl Payload for OriginId {
    const NAME: &'static str = "origin-id";
    const NS: &'static str = ns::SID;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let id = required(element, Self::NAME, "id")?;
        Ok(Self { id })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS).with_attr("id", self.id.clone())
    }
}

/// The id that an archive gave. Believe it only from the entity that it names, and
/// only if that entity announces the feature (XEP-0359 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StanzaId {
    /// The id.
    pub id: Text,
    /// Who gave it.
    pub by: Jid,
}

impl Payload for StanzaId {
    const NAME: &'static str = "stanza-id";
    const NS: &'static str = ns::SID;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            id: required(element, Self::NAME, "id")?,
            by: required_address(element, Self::NAME, "by")?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr("id", self.id.clone())
            .with_attr("by", &self.by)
    }
}

//! Delayed delivery (XEP-0203): when a stanza was first sent, and who held it.

use super::{Payload, PayloadError, address, required};
use crate::jid::Jid;
use crate::ns;
use crate::xml::{Element, Text};

/// The stamp. It stays text (XEP-0082 DateTime); [`datetime::utc`](super::datetime::utc)
/// writes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delay {
    /// Who delayed the stanza.
    pub from: Option<Jid>,
    /// When it was first sent, as `CCYY-MM-DDThh:mm:ss[.sss]TZD`.
    pub stamp: Text,
    /// Why, for people.
    pub reason: Option<Text>,
}

impl Payload for Delay {
    const NAME: &'static str = "delay";
    const NS: &'static str = ns::DELAY;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            from: address(element, Self::NAME, "from")?,
            stamp: required(element, Self::NAME, "stamp")?,
            reason: Some(element.text_value()).filter(|t| !t.is_empty()),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("from", self.from.as_ref())
            .with_attr("stamp", self.stamp.clone())
            .with_text(self.reason.clone().unwrap_or_default())
    }
}

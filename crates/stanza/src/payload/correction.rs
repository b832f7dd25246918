//! Last message correction (XEP-0308): this message takes the place of an earlier one.

use super::{Payload, PayloadError, required};
use crate::ns;
use crate::xml::{Element, Text};

/// Names the message to be replaced, payloads and all. Believe it only if both come
/// from the same bare JID, in a room from the same full JID (XEP-0308 §4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace {
    /// The id of the first version, also where that was corrected before.
    pub id: Text,
}

impl Payload for Replace {
    const NAME: &'static str = "replace";
    const NS: &'static str = ns::CORRECTION;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let id = required(element, Self::NAME, "id")?;
        Ok(Self { id })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS).with_attr("id", self.id.clone())
    }
}

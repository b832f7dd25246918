//! Message delivery receipts (XEP-0184).

use super::starttls::empty_payload;
use super::{Payload, PayloadError, required};
use crate::ns;
use crate::xml::{Element, Text};

empty_payload! {
    /// The sender wants a receipt; the message must have an id (XEP-0184 §5).
    Request, "request", ns::RECEIPTS
}

/// The receipt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// The id of the message that is acknowledged.
    pub id: Text,
}

impl Payload for Received {
    const NAME: &'static str = "received";
    const NS: &'static str = ns::RECEIPTS;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let id = required(element, Self::NAME, "id")?;
        Ok(Self { id })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS).with_attr("id", self.id.clone())
    }
}

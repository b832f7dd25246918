//! The handshake of a component (XEP-0114 §3): proves that it knows the secret that the
//! server shares with it. How the proof is made is told by `stanchion_connect`.

use super::{Payload, PayloadError};
use crate::ns;
use crate::xml::{Element, Text};

/// `<handshake/>`: with a proof from the component, empty from the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Handshake {
    /// SHA-1 of the stream's id and the secret, in lower-case hexadecimal digits.
    pub proof: Text,
}

impl Payload for Handshake {
    const NAME: &'static str = "handshake";
    const NS: &'static str = ns::COMPONENT;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            proof: element.text_value(),
        })
    }

    fn to_element(&self) -> Element {
        let handshake = Element::new(Self::NAME, Self::NS);
        match self.proof.is_empty() {
            true => handshake,
            false => handshake.with_text(self.proof.clone()),
        }
    }
}

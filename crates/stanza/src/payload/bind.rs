//! Resource binding (RFC 6120 §7).

use super::{Payload, PayloadError};
use crate::jid::FullJid;
use crate::ns;
use crate::xml::{Element, Text};

/// The request, empty or with a wish, or the server's answer with the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bind {
    /// The resource that the client would like; `None` leaves it to the server.
    Request(Option<Text>),
    /// The address that the client has from now on, whatever it asked for.
    Bound(FullJid),
}

impl Payload for Bind {
    const NAME: &'static str = "bind";
    const NS: &'static str = ns::BIND;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        match element.child("jid", ns::BIND) {
            Some(jid) => FullJid::new(jid.text().trim())
                .map(Self::Bound)
                .map_err(|source| PayloadError::Jid {
                    element: Self::NAME,
                    source,
                }),
            None => Ok(Self::Request(
                element.child("resource", ns::BIND).map(Element::text_value),
            )),
        }
    }

    fn to_element(&self) -> Element {
        let bind = Element::new(Self::NAME, Self::NS);
        match self {
            Self::Request(None) => bind,
            Self::Request(Some(resource)) => {
                bind.with_child(Element::new("resource", ns::BIND).with_text(resource.clone()))
            }
            Self::Bound(jid) => bind.with_child(Element::new("jid", ns::BIND).with_text(&**jid)),
        }
    }
}

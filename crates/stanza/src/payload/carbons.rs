//! Message carbons (XEP-0280): copies of the messages of an account's other clients.

use super::forward::{Forwarded, forwarded};
use super::starttls::empty_payload;
use super::{Payload, PayloadError};
use crate::jid::BareJid;
use crate::ns;
use crate::stanza::Message;
use crate::xml::Element;

empty_payload! {
    /// The client wants copies from now on, until its stream ends (§4).
    Enable, "enable", ns::CARBONS
}
empty_payload! {
    /// The client wants no more copies (§5).
    Disable, "disable", ns::CARBONS
}
empty_payload! {
    /// The sender wants no copies of this message (§9).
    Private, "private", ns::CARBONS
}

/// A copy of a message, to be believed only from the account itself: take it by
/// [`Carbon::of`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Carbon {
    /// Another client of the account received it (§7).
    Received(Forwarded),
    /// Another client of the account sent it (§8).
    Sent(Forwarded),
}

impl Carbon {
    /// The copy in `message`, if it holds one and comes from `account`, whose own
    /// messages may go without `from` (RFC 6120 §8.1.2.1). A copy from anybody else is
    /// a forgery, and as none (§11).
    ///
    /// # Errors
    /// [`PayloadError`] if the copy holds no forwarded stanza.
    pub fn of(message: &Message, account: &BareJid) -> Result<Option<Self>, PayloadError> {
        let from = message.header.from.as_ref();
        if from.is_some_and(|from| from.as_str() != account.as_str()) {
            return Ok(None);
        }
        let carbon = message.payloads.iter().find_map(Self::from_element);
        carbon.transpose()
    }

    /// The copy that `element` is, if it is one, from whomever.
    ///
    /// # Errors
    /// [`PayloadError`], within, if it holds no forwarded stanza.
    #[must_use]
    pub fn from_element(element: &Element) -> Option<Result<Self, PayloadError>> {
        match (element.name(), element.ns()) {
            ("received", ns::CARBONS) => Some(forwarded(element, "received").map(Self::Received)),
            ("sent", ns::CARBONS) => Some(forwarded(element, "sent").map(Self::Sent)),
            _ => None,
        }
    }

    /// The copy as an element.
    #[must_use]
    pub fn to_element(&self) -> Element {
        let (name, forwarded) = match self {
            Self::Received(forwarded) => ("received", forwarded),
            Self::Sent(forwarded) => ("sent", forwarded),
        };
        Element::new(name, ns::CARBONS).with_child(forwarded.to_element())
    }

    /// The message that was copied.
    #[must_use]
    pub const fn forwarded(&self) -> &Forwarded {
        let (Self::Received(forwarded) | Self::Sent(forwarded)) = self;
        forwarded
    }
}

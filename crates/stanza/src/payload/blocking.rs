//! Blocking (XEP-0191): whom an account hears nothing from, kept by its server.

use super::starttls::empty_payload;
use super::{Payload, PayloadError, required_address};
use crate::jid::Jid;
use crate::ns;
use crate::stanza::StanzaError;
use crate::xml::Element;

/// A list of addresses under one name: all three have the same shape.
macro_rules! addresses {
    ($(#[$doc:meta])* $name:ident, $wire:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        pub struct $name {
            /// The addresses. A bare one stands for all its resources, a domain for all
            /// that is at it (§5).
            pub jids: Vec<Jid>,
        }

        impl $name {
            /// These addresses.
            #[must_use]
            pub const fn of(jids: Vec<Jid>) -> Self {
                Self { jids }
            }
        }

        impl Payload for $name {
            const NAME: &'static str = $wire;
            const NS: &'static str = ns::BLOCKING;

            fn from_element(element: &Element) -> Result<Self, PayloadError> {
                let items = element.children().filter(|c| c.is("item", ns::BLOCKING));
                let jids = items.map(|item| required_address(item, "item", "jid"));
                Ok(Self {
                    jids: jids.collect::<Result<_, _>>()?,
                })
            }

            fn to_element(&self) -> Element {
                let item = |jid: &Jid| Element::new("item", ns::BLOCKING).with_attr("jid", jid);
                Element::new(Self::NAME, Self::NS).with_children(self.jids.iter().map(item))
            }
        }
    };
}

addresses! {
    /// The whole list: asked for without addresses, answered with them (§3.2).
    BlockList, "blocklist"
}
addresses! {
    /// The order to block, and the push that it was done (§3.3). At least one address.
    Block, "block"
}
addresses! {
    /// The order to block no more, and the push that it was done (§3.4). Without
    /// addresses: all (§3.5).
    Unblock, "unblock"
}
empty_payload! {
    /// In an error: what was sent was for somebody whom its sender blocks (§3.3).
    Blocked, "blocked", ns::BLOCKING_ERRORS
}

impl Blocked {
    /// Whether that is why a stanza came back.
    #[must_use]
    pub fn is_why(error: &StanzaError) -> bool {
        error.application.as_deref().is_some_and(Self::matches)
    }
}

//! Forwarding (XEP-0297): a stanza within another. Whether to believe it is for the
//! extension that wraps it: see [`carbons`](super::carbons) and [`mam`](super::mam).

use super::delay::Delay;
use super::{Payload, PayloadError};
use crate::ns;
use crate::stanza::{Stanza, StanzaParseError};
use crate::xml::Element;

/// A forwarded stanza. Its addresses are what the forwarder says they were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// When the forwarder received it (§3.1).
    pub delay: Option<Delay>,
    /// The stanza as it stood, in the namespace of clients or of servers. An archive
    /// leaves out what was deleted (XEP-0313 §3.2).
    pub element: Option<Element>,
}

impl Forwarded {
    /// A forwarded stanza without a time.
    #[must_use]
    pub fn of(stanza: &Stanza) -> Self {
        Self {
            delay: None,
            element: Some(stanza.to_element()),
        }
    }

    /// The stanza read, if it is there and in the namespace of clients.
    ///
    /// # Errors
    /// As [`Stanza::from_element`].
    pub fn stanza(&self) -> Result<Option<Stanza>, StanzaParseError> {
        let stanza = self.element.as_ref().filter(|e| Stanza::is_stanza(e));
        stanza.cloned().map(Stanza::from_element).transpose()
    }
}

impl Payload for Forwarded {
    const NAME: &'static str = "forwarded";
    const NS: &'static str = ns::FORWARD;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let is_stanza = |e: &&Element| {
            matches!(e.ns(), ns::CLIENT | ns::SERVER)
                && matches!(e.name(), "message" | "presence" | "iq")
        };
        Ok(Self {
            delay: Delay::find(element.children())?,
            element: element.children().find(is_stanza).cloned(),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_children(self.delay.as_ref().map(Delay::to_element))
            .with_children(self.element.clone())
    }
}

/// What a wrapper holds, or an error that names it.
pub(super) fn forwarded(element: &Element, kind: &'static str) -> Result<Forwarded, PayloadError> {
    Forwarded::find(element.children())?.ok_or(PayloadError::MissingChild {
        element: kind,
        child: Forwarded::NAME,
    })
}

//! Stream limits (XEP-0478): what the other side refuses, told beforehand. What this
//! side refuses is in [`Limits`](crate::Limits).

use super::{Payload, PayloadError};
use crate::ns;
use crate::xml::Element;

/// The limits of whoever announces them: in stream features, or in the `<bidi/>` of
/// XEP-0288. They may change with every set of features (§4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamLimits {
    /// Largest element directly in the stream, in bytes as encoded; more costs the
    /// stream. At least 10000 by RFC 6120 §13.12.
    pub max_bytes: Option<u64>,
    /// Seconds without any traffic from the initiating entity after which the stream may
    /// be checked or closed.
    pub idle_seconds: Option<u64>,
}

impl Payload for StreamLimits {
    const NAME: &'static str = "limits";
    const NS: &'static str = ns::LIMITS;

    /// Reads the limits. One that is no number is as none: a server that counts wrong
    /// can still be talked to.
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let number = |name| {
            let limit = element.child(name, ns::LIMITS)?;
            limit.text().trim().parse().ok()
        };
        Ok(Self {
            max_bytes: number("max-bytes"),
            idle_seconds: number("idle-seconds"),
        })
    }

    fn to_element(&self) -> Element {
        let limit =
            |name, value: Option<u64>| value.map(|v| Element::new(name, ns::LIMITS).with_text(v));
        Element::new(Self::NAME, Self::NS)
            .with_children(limit("max-bytes", self.max_bytes))
            .with_children(limit("idle-seconds", self.idle_seconds))
    }
}

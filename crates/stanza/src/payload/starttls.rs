//! STARTTLS (RFC 6120 §5.4). The handshake itself belongs to the transport.

use super::{Payload, PayloadError};
use crate::ns;
use crate::xml::Element;

macro_rules! empty_payload {
    ($(#[$doc:meta])* $name:ident, $wire:literal, $ns:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub struct $name;

        impl Payload for $name {
            const NAME: &'static str = $wire;
            const NS: &'static str = $ns;

            fn from_element(_: &Element) -> Result<Self, PayloadError> {
                Ok(Self)
            }

            fn to_element(&self) -> Element {
                Element::new(Self::NAME, Self::NS)
            }
        }
    };
}
pub(crate) use empty_payload;

empty_payload! {
    /// The client asks for TLS.
    StartTls, "starttls", ns::TLS
}
empty_payload! {
    /// The handshake begins with the next byte.
    Proceed, "proceed", ns::TLS
}
empty_payload! {
    /// The server cannot; it closes the stream.
    Failure, "failure", ns::TLS
}

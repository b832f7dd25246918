//! Payloads as their texts show them: read, compared, and written back to the same
//! element.
#![allow(dead_code, reason = "no test uses all of them")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::fmt::Debug;

use stanchion_stanza::codec::parse_element;
use stanchion_stanza::payload::PayloadError;
use stanchion_stanza::{Element, Limits, Payload, Scope, Text};

pub(crate) fn element(xml: &str) -> Element {
    parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap()
}

pub(crate) fn read<P: Payload>(xml: &str) -> Result<P, PayloadError> {
    let element = element(xml);
    assert!(P::matches(&element), "{xml}");
    P::from_element(&element)
}

/// `xml` means `payload`, and `payload` is written so.
pub(crate) fn same<P: Payload + PartialEq + Debug>(xml: &str, payload: P) {
    assert_eq!(payload.to_element(), element(xml));
    assert_eq!(read::<P>(xml), Ok(payload));
}

/// The payload itself for what it says, and nothing else.
pub(crate) fn lacks<P: Payload + Debug + PartialEq>(xml: &str, attribute: &'static str) {
    let missing = PayloadError::MissingAttribute {
        element: P::NAME,
        attribute,
    };
    assert_eq!(read::<P>(xml), Err(missing), "{xml}");
}

pub(crate) fn text(s: &'static str) -> Text {
    Text::from_static(s)
}

/// The payload, or a child of it, for that value.
pub(crate) fn invalid<P: Payload + Debug + PartialEq>(
    xml: &str,
    element: &'static str,
    what: &'static str,
) {
    let invalid = PayloadError::Invalid { element, what };
    assert_eq!(read::<P>(xml), Err(invalid), "{xml}");
}

/// A child of the payload, or the payload itself, for that attribute.
pub(crate) fn child_lacks<P: Payload + Debug + PartialEq>(
    xml: &str,
    element: &'static str,
    attribute: &'static str,
) {
    let missing = PayloadError::MissingAttribute { element, attribute };
    assert_eq!(read::<P>(xml), Err(missing), "{xml}");
}

/// The payload for an address that is no JID.
pub(crate) fn no_address<P: Payload + Debug + PartialEq>(xml: &str, named: &'static str) {
    let read = read::<P>(xml);
    assert!(
        matches!(read, Err(PayloadError::Jid { element, .. }) if element == named),
        "{xml}: {read:?}"
    );
}

//! Reading and comparing payloads, for the tests named `payloads_*`.
#![allow(dead_code, reason = "no test uses all of them")]

pub(crate) mod things;
pub(crate) mod values;

use std::fmt::Debug;

use stanchion_stanza::payload::{Payload, PayloadError};
use stanchion_stanza::{Element, Limits, Scope, Text, codec::parse_element};

/// An element as a client's stream has it.
pub(crate) fn element(xml: &str) -> Element {
    parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap()
}

/// The payload that `xml` claims to be.
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

/// `xml` means `payload`, though it would be written in another way.
pub(crate) fn means<P: Payload + PartialEq + Debug>(xml: &str, payload: P) {
    assert_ne!(payload.to_element(), element(xml));
    assert_eq!(read::<P>(xml), Ok(payload));
}

/// `xml` is refused for want of an attribute of the payload itself.
pub(crate) fn lacks<P: Payload + Debug + PartialEq>(xml: &str, attribute: &'static str) {
    lacks_in::<P>(xml, P::NAME, attribute);
}

/// `xml` is refused for want of an attribute of `element`.
pub(crate) fn lacks_in<P: Payload + Debug + PartialEq>(
    xml: &str,
    element: &'static str,
    attribute: &'static str,
) {
    let missing = PayloadError::MissingAttribute { element, attribute };
    assert_eq!(read::<P>(xml), Err(missing), "{xml}");
}

/// `xml` is refused for want of `child` in `element`.
pub(crate) fn lacks_child<P: Payload + Debug + PartialEq>(
    xml: &str,
    element: &'static str,
    child: &'static str,
) {
    let missing = PayloadError::MissingChild { element, child };
    assert_eq!(read::<P>(xml), Err(missing), "{xml}");
}

/// `xml` is refused for the value of `what` in `element`.
pub(crate) fn invalid<P: Payload + Debug + PartialEq>(
    xml: &str,
    element: &'static str,
    what: &'static str,
) {
    let invalid = PayloadError::Invalid { element, what };
    assert_eq!(read::<P>(xml), Err(invalid), "{xml}");
}

pub(crate) fn text(s: &'static str) -> Text {
    Text::from_static(s)
}

//! What the server offers: mechanisms, and what can be done inline (XEP-0388 §2.1).

use super::super::{Payload, PayloadError, bind2, fast};
use crate::ns;
use crate::xml::{Element, Text};

/// The stream feature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Authentication {
    /// Mechanisms, in the server's order, which carries no meaning for us; one at least.
    pub mechanisms: Vec<Text>,
    /// What can be done on the way.
    pub inline: Inline,
    /// Other children, as they stood, such as the host name of XEP-0233.
    pub other: Vec<Element>,
}

/// What can be negotiated inside of authentication (§2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Inline {
    /// Bind 2 (XEP-0386 §3.1).
    pub bind2: Option<bind2::Feature>,
    /// Fast authentication by token (XEP-0484 §3.1).
    pub fast: Option<fast::Feature>,
    /// Resumption of stream management, version 3 (XEP-0198 §9).
    pub stream_management: bool,
    /// Everything else, as it stood; so are features above that could not be read.
    pub other: Vec<Element>,
}

impl Inline {
    fn read(element: &Element) -> Self {
        let mut inline = Self::default();
        for child in element.children() {
            if bind2::Feature::matches(child) {
                match bind2::Feature::from_element(child) {
                    Ok(feature) => inline.bind2 = Some(feature),
                    Err(_) => inline.other.push(child.clone()),
                }
            } else if fast::Feature::matches(child) {
                match fast::Feature::from_element(child) {
                    Ok(feature) => inline.fast = Some(feature),
                    Err(_) => inline.other.push(child.clone()),
                }
            } else if child.is("sm", ns::SM) {
                inline.stream_management = true;
            } else {
                inline.other.push(child.clone());
            }
        }
        inline
    }

    /// `None` if there is nothing in it: the schema wants one child at least (§8).
    fn write(&self) -> Option<Element> {
        let inline = Element::new("inline", ns::SASL2)
            .with_children(self.bind2.as_ref().map(Payload::to_element))
            .with_children(self.fast.as_ref().map(Payload::to_element))
            .with_children(self.stream_management.then(|| Element::new("sm", ns::SM)))
            .with_children(self.other.iter().cloned());
        let empty = inline.children().next().is_none();
        (!empty).then_some(inline)
    }
}

impl Payload for Authentication {
    const NAME: &'static str = "authentication";
    const NS: &'static str = ns::SASL2;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let mut feature = Self::default();
        for child in element.children() {
            match (child.name(), child.ns()) {
                ("mechanism", ns::SASL2) => feature.mechanisms.push(child.text_value()),
                ("inline", ns::SASL2) => feature.inline = Inline::read(child),
                _ => feature.other.push(child.clone()),
            }
        }
        if feature.mechanisms.is_empty() {
            return Err(PayloadError::MissingChild {
                element: Self::NAME,
                child: "mechanism",
            });
        }
        Ok(feature)
    }

    fn to_element(&self) -> Element {
        let mechanism = |m: &Text| Element::new("mechanism", ns::SASL2).with_text(m.clone());
        Element::new(Self::NAME, Self::NS)
            .with_children(self.mechanisms.iter().map(mechanism))
            .with_children(self.inline.write())
            .with_children(self.other.iter().cloned())
    }
}

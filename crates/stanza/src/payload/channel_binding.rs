//! SASL channel-binding type capability (XEP-0440), a stream feature. Which type to
//! take, and when to give up, is for who authenticates.

use super::{Payload, PayloadError};
use crate::ns;
use crate::xml::{Element, Text};

/// The channel-binding types that a server says it supports (§2). A list without types
/// is no list (§2 wants one or more), but it is kept: a server that strips them must be
/// told from one that does not know this extension (§3).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelBindings {
    /// Registered names, such as `tls-exporter`, in the server's order, which carries no
    /// meaning.
    pub types: Vec<Text>,
}

impl ChannelBindings {
    /// Whether `binding` is among them.
    #[must_use]
    pub fn has(&self, binding: &str) -> bool {
        self.types.iter().any(|t| *t == binding)
    }
}

impl Payload for ChannelBindings {
    const NAME: &'static str = "sasl-channel-binding";
    const NS: &'static str = ns::SASL_CB;

    /// Reads the feature. What has no `type` names none and is left out.
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let bindings = element
            .children()
            .filter(|c| c.is("channel-binding", ns::SASL_CB));
        let types = bindings
            .filter_map(|b| b.attr_value("type").cloned())
            .collect();
        Ok(Self { types })
    }

    fn to_element(&self) -> Element {
        let binding =
            |t: &Text| Element::new("channel-binding", ns::SASL_CB).with_attr("type", t.clone());
        Element::new(Self::NAME, Self::NS).with_children(self.types.iter().map(binding))
    }
}

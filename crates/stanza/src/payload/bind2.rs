//! Bind 2 (XEP-0386): a resource and a session's features, bound while authenticating.
//! The address comes in [`sasl2::Success`](super::sasl2::Success).

use super::{Payload, PayloadError};
use crate::ns;
use crate::xml::{Element, Text};

/// The server can bind inside of SASL2 (§3.1). It stands in
/// [`sasl2::Inline`](super::sasl2::Inline), and has the same name as the [`Request`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Feature {
    /// What can be asked for along with it: feature names or namespaces, such as
    /// `urn:xmpp:sm:3`. Servers are known to list one twice.
    pub inline: Vec<Text>,
}

impl Feature {
    /// Whether `feature` can be asked for along with it.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.inline.iter().any(|f| *f == feature)
    }
}

impl Payload for Feature {
    const NAME: &'static str = "bind";
    const NS: &'static str = ns::BIND2;

    /// Reads the feature. What has no `var` names none and is left out.
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let inline = element.child("inline", ns::BIND2);
        let features = inline.into_iter().flat_map(Element::children);
        let features = features.filter(|f| f.is("feature", ns::BIND2));
        Ok(Self {
            inline: features
                .filter_map(|f| f.attr_value("var").cloned())
                .collect(),
        })
    }

    fn to_element(&self) -> Element {
        let feature = |f: &Text| Element::new("feature", ns::BIND2).with_attr("var", f.clone());
        let inline = (!self.inline.is_empty()).then(|| {
            Element::new("inline", ns::BIND2).with_children(self.inline.iter().map(feature))
        });
        Element::new(Self::NAME, Self::NS).with_children(inline)
    }
}

/// The client would like a resource (§3.2). If it also resumes a stream and that
/// succeeds, the server ignores this.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The resource's beginning, for people; others may see it, so nothing private.
    pub tag: Option<Text>,
    /// What to enable at once, in order: [`sm::Enable`](super::sm::Enable), the
    /// `<enable/>` of carbons, a [`ClientState`](super::csi::ClientState) and others.
    pub inline: Vec<Element>,
}

impl Payload for Request {
    const NAME: &'static str = "bind";
    const NS: &'static str = ns::BIND2;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            tag: element.child("tag", ns::BIND2).map(Element::text_value),
            inline: foreign(element),
        })
    }

    fn to_element(&self) -> Element {
        let tag = |t: &Text| Element::new("tag", ns::BIND2).with_text(t.clone());
        Element::new(Self::NAME, Self::NS)
            .with_children(self.tag.as_ref().map(tag))
            .with_children(self.inline.iter().cloned())
    }
}

/// A resource was bound (§3.2). Do not bind another, even if the features that follow
/// still offer it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bound {
    /// Answers to what was asked for along with it: [`sm::Enabled`](super::sm::Enabled)
    /// or [`sm::Failed`](super::sm::Failed), the archive's metadata and others.
    pub inline: Vec<Element>,
}

impl Payload for Bound {
    const NAME: &'static str = "bound";
    const NS: &'static str = ns::BIND2;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            inline: foreign(element),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS).with_children(self.inline.iter().cloned())
    }
}

/// The children that are not of Bind 2 itself.
fn foreign(element: &Element) -> Vec<Element> {
    let foreign = element.children().filter(|c| c.ns() != ns::BIND2);
    foreign.cloned().collect()
}

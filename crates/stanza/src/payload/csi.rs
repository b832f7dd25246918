//! Client state indication (XEP-0352): whether somebody looks at the client.

use super::starttls::empty_payload;
use super::{Payload, PayloadError};
use crate::ns;
use crate::xml::Element;

empty_payload! {
    /// The stream feature, after authentication (§4.1).
    Feature, "csi", ns::CSI
}

/// What the client tells the server (§4.2). Each is an element of its own, directly in
/// the stream, so this is no `Payload`. There is no answer.
///
/// A server may hold back what it thinks unimportant while the client is inactive: a
/// device that must not miss presence stays active.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ClientState {
    /// Somebody looks. Every stream begins so, a resumed one too (§5.2).
    #[default]
    Active,
    /// Nobody looks.
    Inactive,
}

impl ClientState {
    /// Both of them.
    pub const ALL: [Self; 2] = [Self::Active, Self::Inactive];

    /// The element's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }

    /// The state that `element` is, if it is one.
    #[must_use]
    pub fn from_element(element: &Element) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|s| element.is(s.as_str(), ns::CSI))
    }

    /// The state as an element.
    #[must_use]
    pub fn to_element(self) -> Element {
        Element::new(self.as_str(), ns::CSI)
    }
}

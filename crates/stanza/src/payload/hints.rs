//! Message processing hints (XEP-0334).

use crate::ns;
use crate::xml::Element;

/// What the sender asks servers and clients to do with a message. Each is an element
/// of its own, so this is no `Payload`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Hint {
    /// Do not archive for good.
    NoPermanentStore,
    /// Do not keep at all, offline storage included.
    NoStore,
    /// Do not copy to other resources.
    NoCopy,
    /// Keep even without a body.
    Store,
}

impl Hint {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::NoPermanentStore,
        Self::NoStore,
        Self::NoCopy,
        Self::Store,
    ];

    /// The element's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoPermanentStore => "no-permanent-store",
            Self::NoStore => "no-store",
            Self::NoCopy => "no-copy",
            Self::Store => "store",
        }
    }

    /// The hint that `element` is, if it is one.
    #[must_use]
    pub fn from_element(element: &Element) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|h| element.is(h.as_str(), ns::HINTS))
    }

    /// The hint as an element.
    #[must_use]
    pub fn to_element(self) -> Element {
        Element::new(self.as_str(), ns::HINTS)
    }
}

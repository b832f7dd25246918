//! Chat states (XEP-0085): what the other side does while no message comes.

use crate::ns;
use crate::xml::Element;

/// How far somebody takes part in a conversation (XEP-0085 §2). Each is an element of
/// its own, so this is no `Payload`.
///
/// Send none to who sent none (§5.1), and never the same one twice in a row without a
/// body (§5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChatState {
    /// Pays attention; goes along with every message that has a body.
    Active,
    /// Writes.
    Composing,
    /// Has left the conversation; not for rooms (§5.5).
    Gone,
    /// Has not looked for a while, say two minutes.
    Inactive,
    /// Wrote, and stopped, say for half a minute.
    Paused,
}

impl ChatState {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Active,
        Self::Composing,
        Self::Gone,
        Self::Inactive,
        Self::Paused,
    ];

    /// The element's name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Composing => "composing",
            Self::Gone => "gone",
            Self::Inactive => "inactive",
            Self::Paused => "paused",
        }
    }

    /// The state that `element` is, if it is one.
    #[must_use]
    pub fn from_element(element: &Element) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|s| element.is(s.as_str(), ns::CHAT_STATES))
    }

    /// The first state among `elements`: a message has at most one (§5.6).
    #[must_use]
    pub fn find<'a>(elements: impl IntoIterator<Item = &'a Element>) -> Option<Self> {
        elements.into_iter().find_map(Self::from_element)
    }

    /// The state as an element.
    #[must_use]
    pub fn to_element(self) -> Element {
        Element::new(self.as_str(), ns::CHAT_STATES)
    }
}

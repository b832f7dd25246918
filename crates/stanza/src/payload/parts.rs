//! Pieces that several payloads share: names from a list, booleans, and children that
//! hold one text or number.

use super::PayloadError;
use crate::xml::{Element, Text, View};

/// An attribute's list of values, as an enum. An unlisted value is an error where the
/// text needs one of them; with `Other`, it is kept.
macro_rules! names {
    ($(#[$meta:meta])* $name:ident { $($(#[$doc:meta])* $variant:ident = $wire:literal,)* }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name {
            $($(#[$doc])* $variant,)*
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The value on the wire.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire,)*
                }
            }

            /// What that value means, if it means anything.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|n| n.as_str() == name)
            }
        }

        impl From<$name> for $crate::xml::Text {
            fn from(name: $name) -> Self {
                Self::from_static(name.as_str())
            }
        }
    };
    ($(#[$meta:meta])* $name:ident { $($(#[doc = $doc:literal])* $variant:ident = $wire:literal,)* .. }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[doc = $doc])* $variant,)*
            /// A value that the text does not list, as it stood.
            Other($crate::xml::Text),
        }

        impl $name {
            /// The value on the wire.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $wire,)*
                    Self::Other(value) => value,
                }
            }
        }

        impl From<$crate::xml::Text> for $name {
            fn from(value: $crate::xml::Text) -> Self {
                match value.as_str() {
                    $($wire => Self::$variant,)*
                    _ => Self::Other(value),
                }
            }
        }

        impl From<$name> for $crate::xml::Text {
            fn from(name: $name) -> Self {
                match name {
                    $($name::$variant => Self::from_static($wire),)*
                    $name::Other(value) => value,
                }
            }
        }
    };
}
pub(crate) use names;

/// The attribute `name` as one of a list, if it is there.
pub(crate) fn named<'a, T>(
    element: impl Into<View<'a>>,
    kind: &'static str,
    name: &'static str,
    from_name: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, PayloadError> {
    let invalid = PayloadError::Invalid {
        element: kind,
        what: name,
    };
    let value = element.into().attr(name);
    value.map(|v| from_name(v).ok_or(invalid)).transpose()
}

/// XML Schema's boolean (Part 2 §3.2.2).
pub(crate) fn boolean(value: &str) -> Option<bool> {
    match value {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// The text of the child `name`, in the namespace of `element`, if it is there.
pub(crate) fn child_text(element: &Element, name: &str) -> Option<Text> {
    element.child(name, element.ns()).map(Element::text_value)
}

/// A child for that text, if there is one.
pub(crate) fn text_child(
    name: &'static str,
    ns: &'static str,
    text: Option<impl Into<Text>>,
) -> Option<Element> {
    text.map(|text| Element::new(name, ns).with_text(text))
}

/// The number in the child `name`, in the namespace of `element`, if it is there.
pub(crate) fn child_number(
    element: &Element,
    kind: &'static str,
    name: &'static str,
) -> Result<Option<u32>, PayloadError> {
    let invalid = |_| PayloadError::Invalid {
        element: kind,
        what: name,
    };
    let child = element.child(name, element.ns());
    child
        .map(|c| c.text().trim().parse().map_err(invalid))
        .transpose()
}

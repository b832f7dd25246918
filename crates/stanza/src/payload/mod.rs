//! Typed payloads, one file for each extension. A payload that has no type here stays
//! an [`Element`] and round-trips unharmed.

pub mod bind;
pub mod bind2;
pub mod blocking;
pub mod caps;
pub mod carbons;
pub mod channel_binding;
pub mod chat_states;
pub mod commands;
pub mod component;
pub mod conference;
pub mod control;
pub mod correction;
pub mod csi;
pub mod datetime;
pub mod delay;
pub mod delivery;
pub mod disco;
pub mod fast;
pub mod forms;
pub mod forward;
pub mod framing;
pub mod hints;
pub mod iot_events;
pub mod known;
pub mod last_activity;
pub mod limits;
pub mod mam;
pub mod markers;
pub mod muc;
mod parts;
pub mod ping;
pub mod pubsub;
pub mod receipts;
pub mod register;
pub mod reply;
pub mod roster;
pub mod rsm;
pub mod sasl;
pub mod sasl2;
pub mod sensordata;
pub mod sid;
pub mod sm;
pub mod starttls;
pub mod thing_command;
pub mod time;
pub mod upload;
pub mod version;
pub mod xs;

use crate::jid::{Jid, JidError};
use crate::xml::{Element, Text, View};

/// A typed view of one element.
///
/// Reading ignores what it does not know, as extensibility wants it (RFC 6120 §8.4);
/// writing what was read gives the known part back.
pub trait Payload: Sized {
    /// Local name of the element.
    const NAME: &'static str;
    /// Its namespace.
    const NS: &'static str;

    /// Reads the payload from an element that [`Payload::matches`].
    ///
    /// # Errors
    /// [`PayloadError`] names the attribute or child that is wrong. The stream lives
    /// on: answer with `bad-request` (RFC 6120 §8.3.3.1) or leave it out.
    fn from_element(element: &Element) -> Result<Self, PayloadError>;

    /// Writes the payload.
    fn to_element(&self) -> Element;

    /// Whether `element` is this payload.
    #[must_use]
    fn matches(element: &Element) -> bool {
        element.is(Self::NAME, Self::NS)
    }

    /// Reads the first of `elements` that matches.
    ///
    /// # Errors
    /// As [`Payload::from_element`].
    fn find<'a>(
        elements: impl IntoIterator<Item = &'a Element>,
    ) -> Result<Option<Self>, PayloadError> {
        elements
            .into_iter()
            .find(|e| Self::matches(e))
            .map(Self::from_element)
            .transpose()
    }
}

/// What a payload lacks or has wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadError {
    /// An attribute that must be there is not.
    #[error("<{element}/> lacks the attribute `{attribute}`")]
    MissingAttribute {
        /// The element.
        element: &'static str,
        /// The attribute.
        attribute: &'static str,
    },
    /// An attribute or the content has no valid value.
    #[error("<{element}/> has no valid `{what}`")]
    Invalid {
        /// The element.
        element: &'static str,
        /// The attribute or content.
        what: &'static str,
    },
    /// A child that must be there is not.
    #[error("<{element}/> lacks <{child}/>")]
    MissingChild {
        /// The element.
        element: &'static str,
        /// The child.
        child: &'static str,
    },
    /// An address is no JID.
    #[error("<{element}/> has an address that is no JID")]
    Jid {
        /// The element.
        element: &'static str,
        /// What is wrong with it.
        #[source]
        source: JidError,
    },
}

/// The attribute `name`, or an error that names it.
pub(crate) fn required<'a>(
    element: impl Into<View<'a>>,
    kind: &'static str,
    name: &'static str,
) -> Result<Text, PayloadError> {
    let value = element.into().attr_text(name);
    value.ok_or(PayloadError::MissingAttribute {
        element: kind,
        attribute: name,
    })
}

/// The attribute `name` read as a number or the like, if it is there.
pub(crate) fn parsed<'a, T: std::str::FromStr>(
    element: impl Into<View<'a>>,
    kind: &'static str,
    name: &'static str,
) -> Result<Option<T>, PayloadError> {
    element
        .into()
        .attr(name)
        .map(|v| {
            v.parse().map_err(|_| PayloadError::Invalid {
                element: kind,
                what: name,
            })
        })
        .transpose()
}

/// The attribute `name` read as an address, if it is there.
pub(crate) fn address<'a>(
    element: impl Into<View<'a>>,
    kind: &'static str,
    name: &'static str,
) -> Result<Option<Jid>, PayloadError> {
    element
        .into()
        .attr_text(name)
        .map(|v| {
            Jid::try_from(v).map_err(|source| PayloadError::Jid {
                element: kind,
                source,
            })
        })
        .transpose()
}

/// The attribute `name` read as an address, or an error that names it.
pub(crate) fn required_address(
    element: &Element,
    kind: &'static str,
    name: &'static str,
) -> Result<Jid, PayloadError> {
    address(element, kind, name)?.ok_or(PayloadError::MissingAttribute {
        element: kind,
        attribute: name,
    })
}

/// Standard base64 content; `=` stands for the empty string, and no content for no
/// data (RFC 6120 §6.4.2).
pub(crate) fn base64_content(
    element: &Element,
    kind: &'static str,
) -> Result<Option<Vec<u8>>, PayloadError> {
    use base64::Engine as _;
    let text = element.text();
    match text.trim() {
        "" => Ok(None),
        "=" => Ok(Some(Vec::new())),
        data => base64::engine::general_purpose::STANDARD
            .decode(data)
            .map(Some)
            .map_err(|_| PayloadError::Invalid {
                element: kind,
                what: "base64",
            }),
    }
}

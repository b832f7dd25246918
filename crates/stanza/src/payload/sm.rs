//! Stream management (XEP-0198): the elements. Counting belongs to the engine.

use super::starttls::empty_payload;
use super::{Payload, PayloadError, parsed, required};
use crate::ns;
use crate::stanza::DefinedCondition;
use crate::xml::{Element, Text};

/// XML Schema booleans: `true`, `1`, `false`, `0`. Anything else is false: a session
/// that may not be resumable must not be taken for one that is.
fn boolean(element: &Element, name: &str) -> bool {
    matches!(element.attr(name), Some("true" | "1"))
}

/// The attribute `max`, a positive number of seconds without upper bound; more than
/// 2³² - 1 is as good as that.
fn max(element: &Element, kind: &'static str) -> Result<Option<u32>, PayloadError> {
    let digits = |v: &str| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit());
    match element.attr("max") {
        None => Ok(None),
        Some(v) if digits(v) => Ok(Some(v.parse().unwrap_or(u32::MAX))),
        Some(_) => Err(PayloadError::Invalid {
            element: kind,
            what: "max",
        }),
    }
}

/// The client asks for acknowledgements (§3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Enable {
    /// Whether it wants to be able to resume.
    pub resume: bool,
    /// The longest time to resume that it would like, in seconds.
    pub max: Option<u32>,
}

impl Payload for Enable {
    const NAME: &'static str = "enable";
    const NS: &'static str = ns::SM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            resume: boolean(element, "resume"),
            max: max(element, Self::NAME)?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("resume", self.resume.then_some(true))
            .with_attr_opt("max", self.max)
    }
}

/// The server agrees (§3). Both counters begin at 0 on either side.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Enabled {
    /// The id to resume by; without it, or without `resume`, there is no resumption.
    pub id: Option<Text>,
    /// Whether the server keeps the session for resumption.
    pub resume: bool,
    /// For how long it does, in seconds.
    pub max: Option<u32>,
    /// Where it prefers to be resumed, `host[:port]`.
    pub location: Option<Text>,
}

impl Payload for Enabled {
    const NAME: &'static str = "enabled";
    const NS: &'static str = ns::SM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            id: element.attr_text("id"),
            resume: boolean(element, "resume"),
            max: max(element, Self::NAME)?,
            location: element.attr_text("location"),
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("id", self.id.clone())
            .with_attr_opt("resume", self.resume.then_some(true))
            .with_attr_opt("max", self.max)
            .with_attr_opt("location", self.location.clone())
    }
}

/// Resumption asked for, or granted: `h` is the sender's count of handled stanzas (§5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The id from [`Enabled`].
    pub previd: Text,
    /// Stanzas handled on the stream that was lost; wraps at 2³².
    pub h: u32,
}

/// The server's answer to [`Resume`], of the same shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resumed(pub Resume);

impl Resume {
    fn read(element: &Element, kind: &'static str) -> Result<Self, PayloadError> {
        Ok(Self {
            previd: required(element, kind, "previd")?,
            h: count(element, kind)?,
        })
    }

    fn write(&self, kind: &'static str) -> Element {
        Element::new(kind, ns::SM)
            .with_attr("previd", self.previd.clone())
            .with_attr("h", self.h)
    }
}

impl Payload for Resume {
    const NAME: &'static str = "resume";
    const NS: &'static str = ns::SM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Self::read(element, Self::NAME)
    }

    fn to_element(&self) -> Element {
        self.write(Self::NAME)
    }
}

impl Payload for Resumed {
    const NAME: &'static str = "resumed";
    const NS: &'static str = ns::SM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Resume::read(element, Self::NAME).map(Self)
    }

    fn to_element(&self) -> Element {
        self.0.write(Self::NAME)
    }
}

/// Enabling or resuming failed (§3, §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Stanzas that the server handled, if it still knows.
    pub h: Option<u32>,
    /// Why.
    pub condition: Option<DefinedCondition>,
}

impl Payload for Failed {
    const NAME: &'static str = "failed";
    const NS: &'static str = ns::SM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let condition = element
            .children()
            .filter(|c| c.ns() == ns::STANZAS)
            .find_map(|c| DefinedCondition::from_name(c.name()));
        Ok(Self {
            h: parsed(element, Self::NAME, "h")?,
            condition,
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS)
            .with_attr_opt("h", self.h)
            .with_children(
                self.condition
                    .map(|c| Element::new(c.as_str(), ns::STANZAS)),
            )
    }
}

empty_payload! {
    /// A request for an [`Ack`], to be answered at once (§4).
    AckRequest, "r", ns::SM
}

/// An acknowledgement (§4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ack {
    /// Stanzas handled so far on this stream: messages, presences and iqs, never these
    /// elements themselves; wraps at 2³².
    pub h: u32,
}

impl Payload for Ack {
    const NAME: &'static str = "a";
    const NS: &'static str = ns::SM;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        Ok(Self {
            h: count(element, Self::NAME)?,
        })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS).with_attr("h", self.h)
    }
}

fn count(element: &Element, kind: &'static str) -> Result<u32, PayloadError> {
    parsed(element, kind, "h")?.ok_or(PayloadError::MissingAttribute {
        element: kind,
        attribute: "h",
    })
}

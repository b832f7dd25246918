//! Commands to things that act exactly once, this project's own: what goes beside a
//! `<set/>` ([`control`](super::control)) in a message that is kept, and what comes back in
//! another. The command is known by the id of its message. How both are kept and told once
//! is not for this crate.

use super::datetime::{unix_ms, utc};
use super::{Payload, PayloadError, required};
use crate::ns;
use crate::xml::{Element, Text};

/// The `<set/>` in the same message is a command that is carried out once, and whose
/// outcome is told in a message ([`CommandOutcome`]).
///
/// ```
/// use stanchion_stanza::{Payload, payload::thing_command::Command};
/// let command = Command { by: Some(1_795_644_000_000) };
/// assert_eq!(command.to_element().attr("by"), Some("2026-11-25T22:00:00.000Z"));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Command {
    /// When it is to be carried out at the latest, in Unix milliseconds of the years 0 to
    /// 9999, by the clock of the device; never after that. `None` for no limit.
    pub by: Option<i64>,
}

impl Payload for Command {
    const NAME: &'static str = "command";
    const NS: &'static str = ns::THING_COMMAND;

    /// A limit that cannot be read is an error, and not no limit.
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let invalid = PayloadError::Invalid {
            element: Self::NAME,
            what: "by",
        };
        let by = element.attr("by");
        let by = by.map(|text| unix_ms(text).ok_or(invalid)).transpose()?;
        Ok(Self { by })
    }

    fn to_element(&self) -> Element {
        Element::new(Self::NAME, Self::NS).with_attr_opt("by", self.by.map(utc))
    }
}

/// What became of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CommandResult {
    /// The thing did it, wholly.
    Done,
    /// It was not carried out: there is no such thing or parameter, the value will not do,
    /// or the thing cannot.
    Refused,
    /// It was not carried out: the sender may not.
    Forbidden,
    /// It was not carried out: its time was over.
    Expired,
    /// It was not carried out: the thing is not there.
    Unavailable,
    /// It may have been carried out, in part or whole, or not at all.
    InDoubt,
}

impl CommandResult {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Done,
        Self::Refused,
        Self::Forbidden,
        Self::Expired,
        Self::Unavailable,
        Self::InDoubt,
    ];

    /// The word on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Forbidden => "forbidden",
            Self::Expired => "expired",
            Self::Unavailable => "unavailable",
            Self::InDoubt => "in-doubt",
        }
    }

    /// What that word on the wire means, if it means anything.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|r| r.as_str() == name)
    }

    /// Whether it is known that the command had no effect, and will have none.
    #[must_use]
    pub const fn had_no_effect(self) -> bool {
        !matches!(self, Self::Done | Self::InDoubt)
    }
}

/// What became of a command: told once, in a message that is kept; with a
/// [`SetResponse`](super::control::SetResponse) beside it if it was carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandOutcome {
    /// Which: the id of the message that it came in.
    pub of: Text,
    /// What became of it.
    pub result: CommandResult,
    /// The same in words for people; empty for none.
    pub text: Text,
}

impl Payload for CommandOutcome {
    const NAME: &'static str = "outcome";
    const NS: &'static str = ns::THING_COMMAND;

    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let result = required(element, Self::NAME, "result")?;
        Ok(Self {
            of: required(element, Self::NAME, "of")?,
            result: CommandResult::from_name(&result).ok_or(PayloadError::Invalid {
                element: Self::NAME,
                what: "result",
            })?,
            text: element.text_value(),
        })
    }

    fn to_element(&self) -> Element {
        let outcome = Element::new(Self::NAME, Self::NS)
            .with_attr("of", self.of.clone())
            .with_attr("result", Text::from_static(self.result.as_str()));
        match self.text.is_empty() {
            true => outcome,
            false => outcome.with_text(self.text.clone()),
        }
    }
}

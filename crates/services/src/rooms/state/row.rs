//! What is kept of a room: a small element, so that text of any kind fits.

use stanchion_stanza::codec::parse_element;
use stanchion_stanza::payload::muc::Password;
use stanchion_stanza::{Element, Encoder, Limits, Scope, Text};

use super::super::options::{JoinOptions, OnConflict};

const NS: &str = "urn:stanchion:rooms";

/// A room as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) nick: String,
    pub(super) password: Option<Password>,
    pub(super) on_conflict: OnConflict,
    /// The archive's id of the last message that is kept; empty if the archive was.
    pub(super) position: Option<Text>,
    /// When the room was last known to be entered, Unix milliseconds.
    pub(super) heard: i64,
}

impl Row {
    pub(super) fn of(
        nick: &str,
        options: &JoinOptions,
        position: Option<Text>,
        heard: i64,
    ) -> Self {
        Self {
            nick: nick.to_owned(),
            password: options.password.clone(),
            on_conflict: options.on_conflict,
            position,
            heard,
        }
    }

    pub(super) fn options(&self) -> JoinOptions {
        JoinOptions {
            password: self.password.clone(),
            on_conflict: self.on_conflict,
            ..JoinOptions::default()
        }
    }

    /// None if it cannot be written, which no room's answer makes happen.
    pub(super) fn write(&self) -> Option<Vec<u8>> {
        let tries = match self.on_conflict {
            OnConflict::GiveUp => None,
            OnConflict::Append(tries) => Some(tries),
        };
        let element = Element::new("room", NS)
            .with_attr("nick", Text::new(self.nick.clone()).ok()?)
            .with_attr_opt("password", self.password.as_ref().map(|p| p.0.clone()))
            .with_attr_opt("tries", tries)
            .with_attr_opt("position", self.position.clone())
            .with_attr("heard", Text::new(self.heard.to_string()).ok()?);
        let encoder = Encoder::new(Scope::empty(), Limits::default());
        encoder.to_bytes(&element).ok()
    }

    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let element = parse_element(value, &Scope::empty(), &Limits::default()).ok()?;
        element.is("room", NS).then_some(())?;
        let tries = element.attr("tries").and_then(|t| t.parse().ok());
        Some(Self {
            nick: element.attr("nick")?.to_owned(),
            password: element.attr_value("password").cloned().map(Password),
            on_conflict: tries.map_or(OnConflict::GiveUp, OnConflict::Append),
            position: element.attr_value("position").cloned(),
            heard: element.attr("heard")?.parse().ok()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_comes_back_as_it_was_kept() {
        let options = JoinOptions::default()
            .password(Text::new("a <'\"& b").unwrap())
            .or_another_nick(3);
        for position in [
            None,
            Some(Text::from_static("")),
            Some(Text::from_static("x1")),
        ] {
            let row = Row::of("n\u{e9}'<", &options, position, 1_700_000_000_123);
            assert_eq!(Row::read(&row.write().unwrap()), Some(row));
        }
        assert_eq!(Row::read(b"<room xmlns='urn:x'/>"), None);
        assert_eq!(Row::read(b"nonsense"), None);
    }
}

//! What is kept of a room: a small element, so that text of any kind fits.

use stanchion_stanza::codec::parse_element;
use stanchion_stanza::payload::muc::Password;
use stanchion_stanza::{Element, Encoder, Limits, Scope, Text};

use super::super::options::{JoinOptions, OnConflict, OnCreation};

const NS: &str = "urn:stanchion:rooms";

/// What a room is, as far as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Nature {
    /// We made it with the service's defaults, and it was not configured since.
    pub(super) made: bool,
    /// What it says that it is: its features that begin with `muc_`, in their order.
    pub(super) kind: Option<Text>,
}

/// A room as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) nick: String,
    pub(super) password: Option<Password>,
    pub(super) on_conflict: OnConflict,
    pub(super) on_creation: OnCreation,
    pub(super) nature: Nature,
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
        nature: Nature,
    ) -> Self {
        Self {
            nick: nick.to_owned(),
            password: options.password.clone(),
            on_conflict: options.on_conflict,
            on_creation: options.on_creation,
            nature,
            position,
            heard,
        }
    }

    pub(super) fn options(&self) -> JoinOptions {
        JoinOptions {
            password: self.password.clone(),
            on_conflict: self.on_conflict,
            on_creation: self.on_creation,
            ..JoinOptions::default()
        }
    }

    /// None if it cannot be written, which no room's answer makes happen.
    pub(super) fn write(&self) -> Option<Vec<u8>> {
        let tries = match self.on_conflict {
            OnConflict::GiveUp => None,
            OnConflict::Append(tries) => Some(tries),
        };
        let flag = |on: bool| on.then(|| Text::from_static("true"));
        let reserve = self.on_creation == OnCreation::Reserve;
        let element = Element::new("room", NS)
            .with_attr("nick", Text::new(self.nick.clone()).ok()?)
            .with_attr_opt("password", self.password.as_ref().map(|p| p.0.clone()))
            .with_attr_opt("tries", tries)
            .with_attr_opt("reserve", flag(reserve))
            .with_attr_opt("made", flag(self.nature.made))
            .with_attr_opt("kind", self.nature.kind.clone())
            .with_attr_opt("position", self.position.clone())
            .with_attr("heard", Text::new(self.heard.to_string()).ok()?);
        let encoder = Encoder::new(Scope::empty(), Limits::default());
        encoder.to_bytes(&element).ok()
    }

    pub(super) fn read(value: &[u8]) -> Option<Self> {
        let element = parse_element(value, &Scope::empty(), &Limits::default()).ok()?;
        element.is("room", NS).then_some(())?;
        let tries = element.attr("tries").and_then(|t| t.parse().ok());
        let flag = |name| element.attr(name) == Some("true");
        Some(Self {
            nick: element.attr("nick")?.to_owned(),
            password: element.attr_value("password").cloned().map(Password),
            on_conflict: tries.map_or(OnConflict::GiveUp, OnConflict::Append),
            on_creation: match flag("reserve") {
                true => OnCreation::Reserve,
                false => OnCreation::Instant,
            },
            nature: Nature {
                made: flag("made"),
                kind: element.attr_value("kind").cloned(),
            },
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
        let natures = [
            (options.clone(), Nature::default()),
            (
                options.reserved(),
                Nature {
                    made: true,
                    kind: Some(Text::from_static("muc_open muc_public")),
                },
            ),
        ];
        for position in [
            None,
            Some(Text::from_static("")),
            Some(Text::from_static("x1")),
        ] {
            for (options, nature) in &natures {
                let heard = 1_700_000_000_123;
                let row = Row::of(
                    "n\u{e9}'<",
                    options,
                    position.clone(),
                    heard,
                    nature.clone(),
                );
                assert_eq!(Row::read(&row.write().unwrap()), Some(row));
            }
        }
        assert_eq!(Row::read(b"<room xmlns='urn:x'/>"), None);
        assert_eq!(Row::read(b"nonsense"), None);
    }
}

//! Colours, and the signs that say the same without them.

use ratatui::style::{Color, Modifier, Style};
use stanchion::services::presence::Availability;

use crate::app::{Severity, Stage};

/// How things look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Theme {
    colours: bool,
}

impl Theme {
    /// With colours, or without: then everything is told by signs, words and weight.
    pub(crate) const fn new(colours: bool) -> Self {
        Self { colours }
    }

    const fn colour(self, colour: Color) -> Style {
        match self.colours {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    /// What is beside the point.
    pub(super) const fn faint(self) -> Style {
        match self.colours {
            true => Style::new().fg(Color::DarkGray),
            false => Style::new().add_modifier(Modifier::DIM),
        }
    }

    /// What stands out.
    pub(super) const fn bold(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// Where the cursor is, in a list.
    pub(super) const fn chosen(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// Something new.
    pub(super) const fn news(self) -> Style {
        self.colour(Color::Yellow).add_modifier(Modifier::BOLD)
    }

    /// Something went well.
    pub(super) const fn good(self) -> Style {
        self.colour(Color::Green)
    }

    /// Something to look at.
    pub(super) const fn doubtful(self) -> Style {
        self.colour(Color::Yellow)
    }

    /// Something is wrong.
    pub(super) const fn bad(self) -> Style {
        self.colour(Color::Red).add_modifier(Modifier::BOLD)
    }

    /// What can be acted upon, and our own.
    pub(super) const fn own(self) -> Style {
        self.colour(Color::Cyan)
    }

    /// Lines between panes: those of the pane that has the keys are stronger.
    pub(super) const fn line(self, focused: bool) -> Style {
        match focused {
            true => self.colour(Color::Cyan).add_modifier(Modifier::BOLD),
            false => self.faint(),
        }
    }

    /// Who it is, in a room: each in a colour of their own.
    pub(super) fn author(self, name: &str) -> Style {
        const COLOURS: [Color; 6] = [
            Color::Green,
            Color::Yellow,
            Color::Blue,
            Color::Magenta,
            Color::LightRed,
            Color::LightGreen,
        ];
        let sum = name.bytes().fold(7_usize, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        let colour = COLOURS.get(sum % COLOURS.len());
        self.colour(colour.copied().unwrap_or(Color::Green))
            .add_modifier(Modifier::BOLD)
    }

    /// How somebody is: a sign and its look. None: it is not known.
    pub(super) const fn presence(self, how: Option<Availability>) -> (&'static str, Style) {
        match how {
            Some(Availability::Available | Availability::Chatty) => ("●", self.good()),
            Some(Availability::Away | Availability::ExtendedAway) => ("◐", self.doubtful()),
            Some(Availability::Busy) => ("■", self.colour(Color::Red)),
            Some(Availability::Unavailable) => ("○", self.faint()),
            None => ("?", self.faint()),
        }
    }

    /// How far a message has come: a sign and its look. The word is the stage's own.
    pub(super) const fn stage(self, stage: Stage) -> (&'static str, Style) {
        match stage {
            Stage::Writing => ("…", self.faint()),
            Stage::Kept => ("·", self.faint()),
            Stage::AtServer => ("↑", self.faint()),
            Stage::Received => ("✓", self.own()),
            Stage::Delivered => ("✓✓", self.good()),
            Stage::Read => ("◉", self.good()),
            Stage::InDoubt => ("?", self.doubtful().add_modifier(Modifier::BOLD)),
            Stage::Failed => ("✗", self.bad()),
            Stage::Elsewhere => ("⇄", self.faint()),
            Stage::Unknown => ("-", self.faint()),
        }
    }

    /// How much a notice matters: a sign and its look.
    pub(super) const fn severity(self, severity: Severity) -> (&'static str, Style) {
        match severity {
            Severity::Info => ("i", self.own()),
            Severity::Failure => ("✗", self.bad()),
            Severity::Warning => ("!", self.doubtful()),
        }
    }
}

/// How somebody is, in a word.
pub(super) const fn presence_word(how: Option<Availability>) -> &'static str {
    match how {
        Some(Availability::Available) => "available",
        Some(Availability::Chatty) => "wants to talk",
        Some(Availability::Away) => "away",
        Some(Availability::ExtendedAway) => "away for long",
        Some(Availability::Busy) => "busy",
        Some(Availability::Unavailable) => "unavailable",
        None => "not known",
    }
}

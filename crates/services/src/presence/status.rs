//! How somebody is: what a presence says (RFC 6121 §4.7), in one value.

use stanchion_stanza::payload::caps::Caps;
use stanchion_stanza::payload::delivery::At;
use stanchion_stanza::stanza::{PresenceType, Show};
use stanchion_stanza::{Element, Payload as _, Presence, Text, ns};

/// Whether somebody is there, and how much.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Availability {
    /// There.
    #[default]
    Available,
    /// There, and wants to talk (`chat`).
    Chatty,
    /// For a short time not there.
    Away,
    /// Does not want to be disturbed (`dnd`).
    Busy,
    /// For a long time not there (`xa`).
    ExtendedAway,
    /// Not there.
    Unavailable,
}

impl Availability {
    const fn show(self) -> Option<Show> {
        match self {
            Self::Available | Self::Unavailable => None,
            Self::Chatty => Some(Show::Chat),
            Self::Away => Some(Show::Away),
            Self::Busy => Some(Show::Dnd),
            Self::ExtendedAway => Some(Show::Xa),
        }
    }
}

impl From<Option<Show>> for Availability {
    fn from(show: Option<Show>) -> Self {
        match show {
            None => Self::Available,
            Some(Show::Chat) => Self::Chatty,
            Some(Show::Away) => Self::Away,
            Some(Show::Dnd) => Self::Busy,
            Some(Show::Xa) => Self::ExtendedAway,
        }
    }
}

/// How somebody is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Status {
    /// In one word.
    pub availability: Availability,
    /// For people.
    pub text: Option<Text>,
    /// Which of an account's resources gets its messages: the highest, and none below 0
    /// (RFC 6121 §4.7.2.3). Default 0.
    pub priority: i8,
    /// What else our own presence carries; of others it is not remembered. Who we are in
    /// the delivery protocol, and our capabilities, are added when it is announced.
    pub payloads: Vec<Element>,
}

impl Status {
    /// In that word.
    #[must_use]
    pub fn of(availability: Availability) -> Self {
        Self {
            availability,
            ..Self::default()
        }
    }

    /// There.
    #[must_use]
    pub fn available() -> Self {
        Self::default()
    }

    /// For a short time not there.
    #[must_use]
    pub fn away() -> Self {
        Self::of(Availability::Away)
    }

    /// Not to be disturbed.
    #[must_use]
    pub fn busy() -> Self {
        Self::of(Availability::Busy)
    }

    /// Not there, though perhaps connected.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::of(Availability::Unavailable)
    }

    /// The same, with a text for people.
    #[must_use]
    pub fn with_text(mut self, text: Text) -> Self {
        self.text = Some(text).filter(|text| !text.is_empty());
        self
    }

    /// The same, with that priority.
    #[must_use]
    pub const fn with_priority(mut self, priority: i8) -> Self {
        self.priority = priority;
        self
    }

    /// Whether it says that somebody is there, be it away or busy.
    #[must_use]
    pub const fn is_available(&self) -> bool {
        !matches!(self.availability, Availability::Unavailable)
    }

    /// A presence that says so.
    pub(super) fn to_presence(&self) -> Presence {
        let mut presence = match self.availability {
            Availability::Unavailable => Presence::of(PresenceType::Unavailable),
            _ => Presence::available(),
        };
        if let Some(show) = self.availability.show() {
            presence = presence.with_show(show);
        }
        if let Some(text) = &self.text {
            presence = presence.with_status(text.clone());
        }
        if self.priority != 0 && self.is_available() {
            presence = presence.with_priority(self.priority);
        }
        presence.payloads.extend(self.payloads.iter().cloned());
        presence
    }
}

impl From<Presence> for Status {
    /// What a presence says of whoever sent it, payloads included. One that is not about
    /// presence (§4.7.1) says that somebody is not there.
    fn from(presence: Presence) -> Self {
        let availability = match presence.kind {
            PresenceType::Available => Availability::from(presence.show()),
            _ => Availability::Unavailable,
        };
        let text = presence.status().and_then(|text| Text::new(text).ok());
        let priority = presence.priority();
        let said = |e: &Element| {
            ["show", "status", "priority"].contains(&e.name()) && e.ns() == ns::CLIENT
        };
        let ours = |e: &Element| At::matches(e) || Caps::matches(e);
        let payloads = presence.payloads.into_iter();
        Self {
            availability,
            text: text.filter(|text| !text.is_empty()),
            priority,
            payloads: payloads.filter(|e| !said(e) && !ours(e)).collect(),
        }
    }
}

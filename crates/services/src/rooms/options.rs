//! How a room is entered, and how the service behaves. Plain data.

use std::time::Duration;

use stanchion_stanza::Text;
use stanchion_stanza::payload::muc::{History, Password};

/// How the service behaves.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct RoomsConfig {
    /// After so much silence in a room it is asked whether we are still there (XEP-0410
    /// §3). Default 15 minutes, as that text proposes; not below 10 s.
    pub quiet: Duration,
    /// How long a room may take to let us in, before it is asked again. Default 30 s.
    pub entry: Duration,
}

impl Default for RoomsConfig {
    fn default() -> Self {
        Self {
            quiet: Duration::from_secs(15 * 60),
            entry: Duration::from_secs(30),
        }
    }
}

/// How a room is entered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct JoinOptions {
    /// How much of what was said before is wanted at the first entry (XEP-0045 §7.2.14).
    /// Default: what the room gives. Later entries ask for what was missed, whatever this
    /// says.
    pub history: Option<History>,
    /// The room's password; kept in the store for later entries.
    pub password: Option<Password>,
    /// What to do if somebody has the nickname. Default: give up.
    pub on_conflict: OnConflict,
    /// What to do with a room that did not exist. Default: make it with the service's
    /// defaults.
    pub on_creation: OnCreation,
    /// How long the first entry may take in all, the time until there is a stream
    /// included. Default 60 s.
    pub within: Duration,
}

impl Default for JoinOptions {
    fn default() -> Self {
        Self {
            history: None,
            password: None,
            on_conflict: OnConflict::default(),
            on_creation: OnCreation::default(),
            within: Duration::from_secs(60),
        }
    }
}

impl JoinOptions {
    /// The same, with that much history at the first entry.
    #[must_use]
    pub fn history(mut self, history: History) -> Self {
        self.history = Some(history);
        self
    }

    /// The same, with no history at the first entry.
    #[must_use]
    pub fn without_history(self) -> Self {
        self.history(History {
            maxstanzas: Some(0),
            ..History::default()
        })
    }

    /// The same, with that password.
    #[must_use]
    pub fn password(mut self, password: Text) -> Self {
        self.password = Some(Password(password));
        self
    }

    /// The same, but if somebody has the nickname, so many others are tried, each with one
    /// more `_` at its end; at most 8.
    #[must_use]
    pub const fn or_another_nick(mut self, tries: u32) -> Self {
        self.on_conflict = OnConflict::Append(tries);
        self
    }

    /// The same, but a room that did not exist stays locked until it is configured
    /// (XEP-0045 §10.1.3).
    #[must_use]
    pub const fn reserved(mut self) -> Self {
        self.on_creation = OnCreation::Reserve;
        self
    }

    /// The same, within that time.
    #[must_use]
    pub const fn within(mut self, time: Duration) -> Self {
        self.within = time;
        self
    }
}

/// What to do if somebody has the nickname.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnConflict {
    /// The first entry fails; a later one is tried again until the nickname is free: who
    /// has it may be ourselves, on a connection whose end was not noticed.
    #[default]
    GiveUp,
    /// So many others are tried, each with one more `_` at its end.
    Append(u32),
}

/// What to do with a room that did not exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnCreation {
    /// It is made with the service's defaults (XEP-0045 §10.1.2).
    #[default]
    Instant,
    /// It stays locked until it is configured.
    Reserve,
}

//! The laws of delivery by name, and what is said when one is broken.

use std::fmt;
use std::time::Duration;

/// What must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Law {
    /// A message that was accepted has an outcome, and without a deadline takes effect.
    Lost,
    /// No effect twice.
    Twice,
    /// First in, first out in a channel.
    Misordered,
    /// What the sender is told is true, and stays.
    WrongOutcome,
    /// There is an outcome at the deadline.
    Late,
    /// Nothing is sent, acknowledged or told before what it rests on is durable.
    Durable,
    /// Memory is bounded.
    Bounds,
    /// XEP-0198 is kept, and no honest server is blamed.
    Protocol,
    /// A message leaves only on a stream that is protected as it asks.
    Protection,
    /// A process comes to rest.
    Rest,
    /// Nothing panics.
    Panic,
}

impl Law {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Lost,
        Self::Twice,
        Self::Misordered,
        Self::WrongOutcome,
        Self::Late,
        Self::Durable,
        Self::Bounds,
        Self::Protocol,
        Self::Protection,
        Self::Rest,
        Self::Panic,
    ];

    /// What a broken one is counted as.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Twice => "duplicated",
            Self::Misordered => "misordered",
            Self::WrongOutcome => "wrong-outcome",
            Self::Late => "late-outcome",
            Self::Durable => "not-durable",
            Self::Bounds => "out-of-bounds",
            Self::Protocol => "protocol",
            Self::Protection => "protection",
            Self::Rest => "no-rest",
            Self::Panic => "panic",
        }
    }

    /// A breach of it, at a time that is filled in later.
    pub(crate) fn broken(self, how: impl Into<String>) -> Violation {
        Violation {
            law: self,
            at: Duration::ZERO,
            how: how.into(),
        }
    }
}

/// A law was broken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub law: Law,
    /// When, in virtual time.
    pub at: Duration,
    /// How.
    pub how: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}: {}", self.law.name(), self.at, self.how)
    }
}

impl std::error::Error for Violation {}

/// A check's verdict.
pub(crate) type Checked = Result<(), Violation>;

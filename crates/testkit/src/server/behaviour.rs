//! The switches of the modelled server: how real servers differ from what one hopes.

use std::time::Duration;

/// How the server behaves. The default is the best that can be hoped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Whether it offers stream management (XEP-0198).
    pub management: bool,
    /// Whether it keeps the sessions of broken connections.
    pub resumption: bool,
    /// For how long it keeps them. Default 300 s.
    pub hibernation: Duration,
    /// What it answers to a `<resume/>` that could succeed: one of these, at random.
    pub answers_to_resume: [AnswerToResume; 8],
    /// What becomes of stanzas that a session ended without acknowledging.
    pub expired: WhenExpired,
    /// What becomes of messages to an account without session.
    pub offline: Offline,
    /// Messages written to offline storage within this time of a kill are lost,
    /// although they were acknowledged. Default 0.
    pub offline_unsynced: Duration,
    /// Unacknowledged stanzas of one session, at most; with one more, the session ends.
    /// Default 100.
    pub queue: usize,
    /// Per mille of messages that vanish after they were acknowledged.
    pub loses: u32,
    /// Per mille of messages that come back as `service-unavailable`.
    pub bounces: u32,
    /// Per mille of messages of which a copy comes later.
    pub copies: u32,
    /// Per mille of messages that are overtaken by others.
    pub delays: u32,
    /// How late copies and delayed messages may be. Default 10 s.
    pub straggle: Duration,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            management: true,
            resumption: true,
            hibernation: Duration::from_secs(300),
            answers_to_resume: [AnswerToResume::Resumed; 8],
            expired: WhenExpired::Routed,
            offline: Offline::Kept { most: usize::MAX },
            offline_unsynced: Duration::ZERO,
            queue: 100,
            loses: 0,
            bounces: 0,
            copies: 0,
            delays: 0,
            straggle: Duration::from_secs(10),
        }
    }
}

/// The answer to a `<resume/>` of a session that is there. Whatever it is but
/// `Resumed`, the session ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnswerToResume {
    /// As asked.
    Resumed,
    /// `<failed/>`, without a count.
    Failed,
    /// `<failed h='…'/>`.
    FailedWithCount,
    /// None: the connection is closed.
    Silence,
}

/// What becomes of what a session's client did not acknowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenExpired {
    /// To another session, or to offline storage.
    Routed,
    /// Back to their senders, as `recipient-unavailable`.
    Bounced,
    /// Nothing: they are gone.
    Dropped,
}

/// What becomes of messages to an account without session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offline {
    /// They are kept (XEP-0160), so many at most; more come back.
    Kept {
        /// How many for each account.
        most: usize,
    },
    /// They come back as `recipient-unavailable`.
    Refused,
    /// They vanish.
    Dropped,
}

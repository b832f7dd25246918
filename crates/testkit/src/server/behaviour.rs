//! The switches of the modelled server: how real servers differ from what one hopes.

use std::time::Duration;

use stanchion_stanza::stanza::DefinedCondition;

/// How the server behaves. The default is the best that can be hoped for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Behaviour {
    /// Whether it offers stream management (XEP-0198).
    pub management: bool,
    /// Whether it keeps the sessions of broken connections. If not, `<enabled/>` comes
    /// without `resume`.
    pub resumption: bool,
    /// For how long it keeps them. Default 300 s.
    pub hibernation: Duration,
    /// What it answers to a `<resume/>` that could succeed: one of these, at random.
    pub answers_to_resume: [AnswerToResume; 8],
    /// What becomes of stanzas that a session ended without acknowledging.
    pub expired: WhenExpired,
    /// What becomes of messages to an account without session.
    pub offline: Offline,
    /// The condition of what comes back from a session or an account that is not there.
    /// Default `recipient-unavailable`.
    pub bounced_as: DefinedCondition,
    /// Messages written to offline storage within this time of a kill are lost,
    /// although they were acknowledged. Default 0.
    pub offline_unsynced: Duration,
    /// Offline storage forgets a message as it is written to a socket: if the session
    /// ends without acknowledging it, it is gone.
    pub offline_wiped: bool,
    /// Whether offline storage takes messages without body (XEP-0334 `<store/>`).
    pub keeps_bodiless: bool,
    /// Unacknowledged stanzas of one session, at most. Default 100.
    pub queue: usize,
    /// What happens to a session with one more.
    pub overflow: Overflow,
    /// Per mille of messages that vanish after they were acknowledged.
    pub loses: u32,
    /// Per mille of receipts that do.
    pub loses_receipts: u32,
    /// Per mille of messages that come back as `service-unavailable`.
    pub bounces: u32,
    /// Per mille of messages that come back as not-acceptable, for good.
    pub refuses: u32,
    /// Per mille of messages of which a copy comes later.
    pub copies: u32,
    /// Per mille of messages of which a copy is put aside, until
    /// [`Server::release_aside`](super::Server::release_aside).
    pub asides: u32,
    /// Per mille of messages that are overtaken by others.
    pub delays: u32,
    /// How late copies and delayed messages may be. Default 10 s.
    pub straggle: Duration,
    /// Whether a message with a [`POISON`] payload ends its stream.
    pub chokes: bool,
}

/// The namespace of a payload that stands for whatever a server cannot bear: too large,
/// or against its policy.
pub const POISON: &str = "urn:example:poison";

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            management: true,
            resumption: true,
            hibernation: Duration::from_secs(300),
            answers_to_resume: [AnswerToResume::Resumed; 8],
            expired: WhenExpired::Routed,
            offline: Offline::Kept { most: usize::MAX },
            bounced_as: DefinedCondition::RecipientUnavailable,
            offline_unsynced: Duration::ZERO,
            offline_wiped: false,
            keeps_bodiless: true,
            queue: 100,
            overflow: Overflow::Ends,
            loses: 0,
            loses_receipts: 0,
            bounces: 0,
            refuses: 0,
            copies: 0,
            asides: 0,
            delays: 0,
            straggle: Duration::from_secs(10),
            chokes: false,
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
    /// Back to their senders.
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
    /// They come back.
    Refused,
    /// They vanish.
    Dropped,
}

/// What happens to a session whose client acknowledges too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// It ends, with its stream.
    Ends,
    /// Its oldest stanza is forgotten, and counts as acknowledged.
    DropsOldest,
}

/// How often the server did what one hopes that it does not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mishaps {
    /// Messages that vanished after they were acknowledged.
    pub lost: u64,
    /// Receipts that did.
    pub receipts_lost: u64,
    /// Messages that came back at random.
    pub bounced: u64,
    /// Messages that came back for good.
    pub refused: u64,
    /// Copies that came later, or were put aside.
    pub copied: u64,
    /// Copies that were put aside.
    pub aside: u64,
    /// Messages that were overtaken.
    pub delayed: u64,
    /// `<resume/>` answered with `<failed/>`.
    pub failed: u64,
    /// `<resume/>` answered with `<failed h='…'/>`.
    pub failed_with_count: u64,
    /// `<resume/>` not answered.
    pub silent: u64,
    /// Hibernating sessions whose time was over.
    pub expired: u64,
    /// Stanzas of ended sessions that came back.
    pub expired_bounced: u64,
    /// Stanzas of ended sessions that vanished.
    pub expired_dropped: u64,
    /// Sessions that ended because their client acknowledged too little.
    pub overflown: u64,
    /// Stanzas that were forgotten for the same reason.
    pub forgotten: u64,
    /// Messages that offline storage had forgotten.
    pub wiped: u64,
    /// Messages to accounts without session that were not kept.
    pub not_kept: u64,
    /// Messages without body among these, and those of types that are never kept.
    pub not_storable: u64,
    /// Messages of offline storage that were lost in a kill.
    pub unsynced: u64,
    /// Streams that a message ended.
    pub choked: u64,
    /// Logins without stream management.
    pub unmanaged: u64,
    /// Logins without resumption.
    pub unresumable: u64,
}

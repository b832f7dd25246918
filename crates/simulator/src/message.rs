//! One message, as the ledger knows it: what it is, and what became of it so far.

use std::collections::HashSet;
use std::time::Duration;

use stanchion_stanza::payload::delivery::StoreTag;

/// What the sender was told last, in this timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Told {
    #[default]
    Nothing,
    InDoubt,
    /// In doubt, and nothing follows.
    Unknowable,
    /// Delivered or acknowledged.
    Positive,
    NotDelivered,
}

impl Told {
    pub(crate) const fn is_definite(self) -> bool {
        matches!(self, Self::Unknowable | Self::Positive | Self::NotDelivered)
    }
}

/// A message that takes effect again by a copy in an epoch that both ends have forgotten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Revival {
    #[default]
    No,
    /// The copy is in the inbox.
    Due,
    /// A plain application has acted on it.
    Begun,
}

/// One message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    pub(crate) draft: Draft,
    /// On the world's clock, and how much its device's clocks had slipped by then.
    pub(crate) deadline: Option<Duration>,
    pub(crate) slip: Duration,
    pub(crate) given: bool,
    /// Given to an engine that did not refuse it.
    pub(crate) submitted: bool,
    /// In which life of an engine it was accepted, and when.
    pub(crate) accepted: Option<u64>,
    pub(crate) accepted_at: Duration,
    /// Durable in the outbox, and its place in the order in which that happened.
    pub(crate) kept: bool,
    pub(crate) place: u32,
    /// Transmitted at any time; with the delivery extension.
    pub(crate) transmitted: bool,
    pub(crate) spoken: bool,
    /// `NotDelivered` is durable; if the process ended before it was told, it is to be
    /// found in the store.
    pub(crate) decided: bool,
    /// Which definite outcome is durable; whether doubt is.
    pub(crate) concluded: Option<Told>,
    pub(crate) doubted: bool,
    pub(crate) told: Told,
    /// The life in which the last definite outcome was told, and doubt.
    pub(crate) settled_in: Option<u64>,
    pub(crate) doubted_in: Option<u64>,
    /// Another client of the account said that it received it.
    pub(crate) vouched: bool,
    /// And since then its sender has lost the history in which its recipient had spoken.
    pub(crate) estranged: bool,
    /// Or it was believed once, and that need not have been durable.
    pub(crate) believed: bool,
    /// Its sender was told that it came back for good.
    pub(crate) refused: bool,
    /// Its recipient sent a copy back for want of room.
    pub(crate) sent_back: bool,
    /// Its application took it back.
    pub(crate) taken_back: bool,
    /// A cancel for it was transmitted.
    pub(crate) cancelled: bool,
    /// To which stores it was addressed, and whether to whatever store is there.
    pub(crate) stores: Vec<StoreTag>,
    pub(crate) to_any_store: bool,
    /// Its sender lost it, with its store.
    pub(crate) forgotten: bool,
    /// Its sender's store gave it up before it was ever sent, and a copy of that store sent
    /// it.
    pub(crate) strayed: bool,
    /// Its sender was set back after it had transmitted it.
    pub(crate) recalled: bool,
    /// The epochs that it was transmitted in, as its sender knows; and those that its sender
    /// knew before it was set back.
    pub(crate) epochs: HashSet<String>,
    pub(crate) lost_epochs: HashSet<String>,

    /// Durable in the inbox, and as committed.
    pub(crate) inbox: bool,
    pub(crate) committed: bool,
    /// Hand-overs that are durable; the first one that happened.
    pub(crate) marks: u32,
    /// How often it was begun by a process that was warned.
    pub(crate) begun: u32,
    pub(crate) handed: bool,
    /// Its receiver said that it never takes effect, or that it closed an epoch of its
    /// channels; and the receiver may have forgotten that with its store.
    pub(crate) void: bool,
    pub(crate) closed: bool,
    pub(crate) void_forgotten: bool,
    /// The highest epoch of its channel that its receiver said it closed; and of those that
    /// the receiver's store did not have any more when it was set back.
    pub(crate) closed_up_to: Option<u32>,
    pub(crate) closing_lost: Option<u32>,
    /// Took effect, and in which life of the receiver.
    pub(crate) effect: bool,
    pub(crate) effect_life: u64,
    /// A receiver that was set back may repeat it; one did act before it was.
    pub(crate) repeatable: bool,
    pub(crate) revival: Revival,
    pub(crate) outlived: bool,
    /// A transactional effect was undone with its store.
    pub(crate) undone: bool,
}

/// What a message is from the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Draft {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) channel: u8,
    /// From the moment it is given.
    pub(crate) lifetime: Option<Duration>,
    /// Whether only a protected stream may carry it.
    pub(crate) strict: bool,
    /// Whether it ends every stream that carries it.
    pub(crate) poison: bool,
    /// Its application takes it back so long after it was given.
    pub(crate) regret: Option<Duration>,
    /// Its receiver crashes whenever it acts on it.
    pub(crate) doomed: bool,
}

impl From<Draft> for Message {
    fn from(draft: Draft) -> Self {
        Self {
            draft,
            ..Self::default()
        }
    }
}

impl std::ops::Deref for Message {
    type Target = Draft;

    fn deref(&self) -> &Draft {
        &self.draft
    }
}

impl Message {
    pub(crate) const fn has_outcome(&self) -> bool {
        self.decided || self.concluded.is_some() || !matches!(self.told, Told::Nothing)
    }
}

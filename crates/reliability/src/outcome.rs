//! What became of a message: the words that applications, the store and people see.

use std::fmt;

use stanchion_stanza::Jid;
use stanchion_stanza::stanza::DefinedCondition;

use crate::store::{OutboundState, Reason};

/// How a message ended, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The recipient's client said that it received the message (XEP-0184). It may have
    /// been received more than once; a Stanchion recipient acts on it once.
    Acknowledged {
        /// Who said so.
        by: Jid,
    },
    /// The recipient's application committed it, once.
    Delivered {
        /// Where the verdict came from.
        by: Jid,
    },
    /// It did not take effect and never will.
    NotDelivered(NotDelivered),
    /// It was transmitted, and nobody can say whether it took effect. A definite
    /// outcome may follow.
    InDoubt(InDoubt),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Acknowledged { by } => write!(f, "acknowledged by {by}"),
            Self::Delivered { by } => write!(f, "delivered to {by}"),
            Self::NotDelivered(reason) => write!(f, "not delivered: {reason}"),
            Self::InDoubt(reason) => write!(f, "in doubt: {reason}"),
        }
    }
}

/// Why a message will never take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotDelivered {
    /// Its time was over before it was handed to any connection, or the recipient said
    /// that it will not act on it any more.
    Expired,
    /// The application took it back in time.
    Cancelled,
    /// It came back with an error that sending again cannot mend, and the recipient said
    /// that it will not act on another copy.
    Refused(DefinedCondition),
    /// Its time was over before there was a stream that met its
    /// [`Protection`](crate::Protection), or that of an earlier message to the same
    /// recipient. There was at least one that did not.
    Unprotected,
}

impl fmt::Display for NotDelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("its time was over before it took effect"),
            Self::Cancelled => f.write_str("it was taken back"),
            Self::Refused(e) => write!(f, "it came back with {e}"),
            Self::Unprotected => f.write_str("no stream met its protection in time"),
        }
    }
}

/// Why nobody can say whether a message took effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InDoubt {
    /// It was sent, and no receipt came in time.
    NoReceipt {
        /// The last error that came back for a copy of it.
        last_error: Option<DefinedCondition>,
    },
    /// An error came back that sending again cannot mend; another copy may still be on
    /// its way.
    Refused(DefinedCondition),
    /// An earlier process may have sent it, and its time is over.
    Restarted,
    /// It was sent, and the recipient has not said in time what became of it.
    NoVerdict {
        /// The last error that came back for a copy of it.
        last_error: Option<DefinedCondition>,
    },
    /// This store, or a copy of it, has another history: it was restored from a backup.
    /// Final.
    RolledBack,
    /// The recipient's store is another one than it was sent to. Final.
    PeerReset,
    /// It was handed to the recipient's application several times, which failed each
    /// time: it may have taken effect. Final.
    MaybeApplied,
    /// The application gave the recipient up. Final.
    Forgotten,
}

impl InDoubt {
    /// Whether no definite outcome can follow.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::RolledBack | Self::PeerReset | Self::MaybeApplied | Self::Forgotten
        )
    }
}

impl fmt::Display for InDoubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoReceipt { last_error: None } => {
                f.write_str("it was sent, and no receipt came in time")
            }
            Self::NoReceipt {
                last_error: Some(e),
            } => {
                write!(
                    f,
                    "it was sent, no receipt came in time, and a copy came back with {e}"
                )
            }
            Self::NoVerdict { last_error: None } => {
                f.write_str("it was sent, and the recipient has not said what became of it")
            }
            Self::NoVerdict {
                last_error: Some(e),
            } => {
                write!(
                    f,
                    "it was sent, no verdict came in time, and a copy came back with {e}"
                )
            }
            Self::RolledBack => {
                f.write_str("this store was restored from a backup, or copied, after it was sent")
            }
            Self::PeerReset => f.write_str("the recipient has another store than it was sent to"),
            Self::MaybeApplied => {
                f.write_str("the recipient's application failed on it, and may have acted on it")
            }
            Self::Forgotten => f.write_str("the recipient was given up"),
            Self::Refused(e) => write!(f, "it came back with {e}"),
            Self::Restarted => {
                f.write_str("an earlier process may have sent it, and its time is over")
            }
        }
    }
}

impl Outcome {
    /// As the store keeps it.
    pub(crate) fn to_state(&self) -> OutboundState {
        match self {
            Self::Acknowledged { .. } => OutboundState::Acknowledged,
            Self::Delivered { .. } => OutboundState::Delivered,
            Self::NotDelivered(reason) => OutboundState::NotDelivered {
                reason: Reason(match reason {
                    NotDelivered::Expired => "expired".to_owned(),
                    NotDelivered::Cancelled => "cancelled".to_owned(),
                    NotDelivered::Refused(e) => format!("refused {e}"),
                    NotDelivered::Unprotected => "unprotected".to_owned(),
                }),
            },
            Self::InDoubt(reason) => {
                let word = match reason {
                    InDoubt::NoReceipt { last_error: None } => "no-receipt".to_owned(),
                    InDoubt::NoReceipt {
                        last_error: Some(e),
                    } => format!("no-receipt {e}"),
                    InDoubt::Refused(e) => format!("refused {e}"),
                    InDoubt::Restarted => "restarted".to_owned(),
                    InDoubt::NoVerdict { last_error: None } => "no-verdict".to_owned(),
                    InDoubt::NoVerdict {
                        last_error: Some(e),
                    } => format!("no-verdict {e}"),
                    InDoubt::RolledBack => "rolled-back".to_owned(),
                    InDoubt::PeerReset => "peer-reset".to_owned(),
                    InDoubt::MaybeApplied => "maybe-applied".to_owned(),
                    InDoubt::Forgotten => "forgotten".to_owned(),
                };
                OutboundState::InDoubt {
                    reason: Reason(word),
                    open: !reason.is_final(),
                }
            }
        }
    }
}

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
            Self::NotDelivered(reason) => write!(f, "not delivered: {reason}"),
            Self::InDoubt(reason) => write!(f, "in doubt: {reason}"),
        }
    }
}

/// Why a message will never take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotDelivered {
    /// Its time was over before it was handed to any connection.
    Expired,
    /// Its time was over before there was a stream that met its
    /// [`Protection`](crate::Protection), or that of an earlier message to the same
    /// recipient. There was at least one that did not.
    Unprotected,
}

impl fmt::Display for NotDelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("there was no connection to send it on in time"),
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
            Self::NotDelivered(reason) => OutboundState::NotDelivered {
                reason: Reason::from(match reason {
                    NotDelivered::Expired => "expired",
                    NotDelivered::Unprotected => "unprotected",
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
                };
                OutboundState::InDoubt {
                    reason: Reason(word),
                    open: true,
                }
            }
        }
    }
}

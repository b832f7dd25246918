//! What became of a message: the words that applications, the store and people see.

use std::fmt;

use stanchion_stanza::Jid;
use stanchion_stanza::stanza::DefinedCondition;

use crate::store::{OutboundRecord, OutboundState, Reason};

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
    /// It was given to a stream. Of a message that is delivered at most once nothing more
    /// is ever known.
    Transmitted,
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
            Self::Transmitted => f.write_str("given to a connection, and to be forgotten"),
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
    /// The recipient's application will not act on it, though nobody took it back. Of one
    /// that an earlier process sent, and perhaps took back, that may be the reason too.
    Rejected,
    /// A newer message of the same key took its place before it was handed to any
    /// connection.
    Replaced,
    /// It was to be delivered at most once and at once, and there was no stream.
    NoStream,
}

impl fmt::Display for NotDelivered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Expired => f.write_str("its time was over before it took effect"),
            Self::Cancelled => f.write_str("it was taken back"),
            Self::Refused(e) => write!(f, "it came back with {e}"),
            Self::Unprotected => f.write_str("no stream met its protection in time"),
            Self::Rejected => f.write_str("the recipient's application refused it"),
            Self::Replaced => f.write_str("a newer message took its place"),
            Self::NoStream => f.write_str("there was no connection, and it was not to wait"),
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
    /// A person gave it up; an earlier process may have sent it. Nothing follows.
    Cancelled,
}

impl InDoubt {
    /// Whether no definite outcome can follow.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::RolledBack
                | Self::PeerReset
                | Self::MaybeApplied
                | Self::Forgotten
                | Self::Cancelled
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
            Self::Cancelled => {
                f.write_str("it was given up by hand, and an earlier process may have sent it")
            }
        }
    }
}

impl Outcome {
    /// As the store keeps it. The words are read back by [`InDoubt::of`] and
    /// [`NotDelivered::of`].
    pub(crate) fn to_state(&self) -> OutboundState {
        match self {
            Self::Acknowledged { .. } => OutboundState::Acknowledged,
            Self::Delivered { .. } => OutboundState::Delivered,
            // Such a message is in no store.
            Self::Transmitted => OutboundState::InFlight,
            Self::NotDelivered(reason) => OutboundState::NotDelivered {
                reason: Reason(match reason {
                    NotDelivered::Expired => "expired".to_owned(),
                    NotDelivered::Cancelled => "cancelled".to_owned(),
                    NotDelivered::Refused(e) => format!("refused {e}"),
                    NotDelivered::Unprotected => "unprotected".to_owned(),
                    NotDelivered::Rejected => "rejected".to_owned(),
                    NotDelivered::Replaced => "replaced".to_owned(),
                    NotDelivered::NoStream => "no-stream".to_owned(),
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
                    InDoubt::Cancelled => return OutboundState::cancelled(),
                };
                OutboundState::InDoubt {
                    reason: Reason(word),
                    open: !reason.is_final(),
                }
            }
        }
    }
}

impl Outcome {
    /// As the store has it: `None` while there is none, or for a word of another release.
    /// Who answered is not kept; the recipient stands for it.
    #[must_use]
    pub fn of(record: &OutboundRecord) -> Option<Self> {
        let by = || Jid::new(&record.to).ok();
        match &record.state {
            OutboundState::Accepted | OutboundState::InFlight | OutboundState::ServerAccepted => {
                None
            }
            OutboundState::Acknowledged => Some(Self::Acknowledged { by: by()? }),
            OutboundState::Delivered => Some(Self::Delivered { by: by()? }),
            OutboundState::NotDelivered { reason } => {
                NotDelivered::of(reason).map(Self::NotDelivered)
            }
            OutboundState::InDoubt { reason, .. } => InDoubt::of(reason).map(Self::InDoubt),
        }
    }
}

impl NotDelivered {
    /// From the store's word; `None` for a word of another release.
    fn of(reason: &Reason) -> Option<Self> {
        match reason.0.split_once(' ') {
            None => match reason.0.as_str() {
                "expired" => Some(Self::Expired),
                "cancelled" => Some(Self::Cancelled),
                "unprotected" => Some(Self::Unprotected),
                "rejected" => Some(Self::Rejected),
                "replaced" => Some(Self::Replaced),
                "no-stream" => Some(Self::NoStream),
                _ => None,
            },
            Some(("refused", name)) => DefinedCondition::from_name(name).map(Self::Refused),
            Some(_) => None,
        }
    }
}

impl InDoubt {
    /// From the store's word; `None` for a word of another release.
    pub(crate) fn of(reason: &Reason) -> Option<Self> {
        let (word, condition) = match reason.0.split_once(' ') {
            Some((word, name)) => (word, Some(DefinedCondition::from_name(name)?)),
            None => (reason.0.as_str(), None),
        };
        match (word, condition) {
            ("no-receipt", last_error) => Some(Self::NoReceipt { last_error }),
            ("refused", Some(condition)) => Some(Self::Refused(condition)),
            ("restarted", None) => Some(Self::Restarted),
            ("no-verdict", last_error) => Some(Self::NoVerdict { last_error }),
            ("rolled-back", None) => Some(Self::RolledBack),
            ("peer-reset", None) => Some(Self::PeerReset),
            ("maybe-applied", None) => Some(Self::MaybeApplied),
            ("forgotten", None) => Some(Self::Forgotten),
            ("cancelled", None) => Some(Self::Cancelled),
            _ => None,
        }
    }
}

/// In words, for people: where the message stands, and why.
impl fmt::Display for OutboundState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Accepted => f.write_str("kept, without outcome so far"),
            Self::InFlight => f.write_str("sent, and not yet taken by the server"),
            Self::ServerAccepted => f.write_str("with the server, and no answer so far"),
            Self::InDoubt { reason, open } => {
                f.write_str(if *open {
                    "in doubt: "
                } else {
                    "in doubt for good: "
                })?;
                match InDoubt::of(reason) {
                    Some(why) => fmt::Display::fmt(&why, f),
                    None => fmt::Display::fmt(reason, f),
                }
            }
            Self::Acknowledged => f.write_str("acknowledged by the recipient"),
            Self::Delivered => f.write_str("delivered: the recipient committed it"),
            Self::NotDelivered { reason } => {
                f.write_str("not delivered: ")?;
                match NotDelivered::of(reason) {
                    Some(why) => fmt::Display::fmt(&why, f),
                    None => fmt::Display::fmt(reason, f),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_that_was_kept_is_told_in_the_words_of_its_outcome() {
        let full = DefinedCondition::ResourceConstraint;
        for outcome in [
            Outcome::NotDelivered(NotDelivered::Expired),
            Outcome::NotDelivered(NotDelivered::Unprotected),
            Outcome::NotDelivered(NotDelivered::Rejected),
            Outcome::NotDelivered(NotDelivered::Replaced),
            Outcome::NotDelivered(NotDelivered::NoStream),
            Outcome::InDoubt(InDoubt::NoReceipt { last_error: None }),
            Outcome::InDoubt(InDoubt::NoReceipt {
                last_error: Some(full),
            }),
            Outcome::InDoubt(InDoubt::Refused(full)),
            Outcome::InDoubt(InDoubt::Restarted),
        ] {
            assert_eq!(outcome.to_state().to_string(), outcome.to_string());
        }
        let cancelled = Outcome::InDoubt(InDoubt::Cancelled).to_state();
        assert!(cancelled.is_final());
        assert!(cancelled.to_string().contains("given up by hand"));
    }

    #[test]
    fn a_reason_of_another_release_is_told_as_it_is() {
        for word in ["", "no-receipt never-heard-of", "refused", "eaten by a cat"] {
            let reason = Reason::from(word);
            let state = OutboundState::InDoubt { reason, open: true };
            assert_eq!(state.to_string(), format!("in doubt: {word}"));
        }
    }
}

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
    /// A person gave it up; an earlier process may have sent it. Nothing follows.
    Cancelled,
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
                    InDoubt::Cancelled => return OutboundState::cancelled(),
                };
                OutboundState::InDoubt {
                    reason: Reason(word),
                    open: true,
                }
            }
        }
    }
}

impl NotDelivered {
    /// From the store's word; `None` for a word of another release.
    fn of(reason: &Reason) -> Option<Self> {
        match reason.0.as_str() {
            "expired" => Some(Self::Expired),
            "unprotected" => Some(Self::Unprotected),
            _ => None,
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
            Self::ServerAccepted => f.write_str("with the server, and no receipt so far"),
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

//! Why a command is not known to be carried out, and whether it may have been.

use stanchion_reliability::outcome::NotDelivered;
use stanchion_reliability::session::SendError;
use stanchion_services::RequestError;
use stanchion_stanza::Jid;
use stanchion_stanza::payload::control::{ResponseCode, SetResponse};
use stanchion_stanza::payload::thing_command::CommandResult;

use super::readout::ReadError;
use super::state::{No, Settled, refusal};

/// Why not. All but [`SetError::InDoubt`] and [`SetError::Closed`] had no effect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetError {
    /// The device refused.
    #[error("{of} refused the command: {why}")]
    Refused {
        /// Who.
        of: Jid,
        /// Why, in its words.
        why: String,
    },
    /// We may not set it.
    #[error("{of} does not allow us the command: {why}; ask its owner")]
    Forbidden {
        /// Who.
        of: Jid,
        /// Why, in its words.
        why: String,
    },
    /// There is no such thing or parameter.
    #[error("{of} has no such thing or parameter: {why}")]
    NoSuchThing {
        /// Who.
        of: Jid,
        /// What is not there, in its words.
        why: String,
    },
    /// Its time was over before it was carried out.
    #[error("the command to {of} expired before it was carried out; it never will be")]
    Expired {
        /// To whom.
        of: Jid,
    },
    /// The thing is not there.
    #[error("{of} cannot carry out the command, as the thing is not there: {why}")]
    Unavailable {
        /// Who.
        of: Jid,
        /// What was said.
        why: String,
    },
    /// It did not reach the device, and never will.
    #[error("the command did not reach {of}, and never will: {why}")]
    NotDelivered {
        /// To whom.
        of: Jid,
        /// Why.
        why: String,
    },
    /// It may have been carried out, or not.
    #[error(
        "nobody knows whether {of} carried out the command: {why}; read it before you give another"
    )]
    InDoubt {
        /// Who.
        of: Jid,
        /// Why nobody knows.
        why: String,
        /// The key under which a later word is found, if one may follow
        /// ([`Things::find_command`](super::Things::find_command)).
        key: Option<String>,
    },
    /// It could not be kept, so it was not given.
    #[error("the command was not given")]
    NotGiven(#[source] SendError),
    /// Too many commands are without outcome.
    #[error("too many commands are without outcome; wait for some")]
    TooMany,
    /// There is none of that key.
    #[error("no command has the key {0}")]
    NoSuchCommand(String),
    /// The client has ended. A command that was given stands, and is found by its key.
    #[error("the client has ended")]
    Closed,
}

impl SetError {
    /// Whether it is certain that the command had no effect and will have none.
    #[must_use]
    pub const fn had_no_effect(&self) -> bool {
        !matches!(
            self,
            Self::InDoubt { .. } | Self::Closed | Self::NoSuchCommand(_)
        )
    }

    /// Nobody was found who could be given it.
    pub(super) fn not_given(of: &Jid, error: ReadError) -> Self {
        let of = of.clone();
        match error {
            ReadError::Closed => Self::Closed,
            ReadError::TooMany => Self::TooMany,
            ReadError::Unavailable { why, .. } => Self::Unavailable { of, why },
            error => Self::NotDelivered {
                of,
                why: error.to_string(),
            },
        }
    }

    /// What the answer to a request means.
    pub(crate) fn of_request(of: &Jid, error: RequestError) -> Self {
        let (of, words) = (of.clone(), error.to_string());
        match error {
            RequestError::Refused { error, beside, .. } => {
                let said = refusal(&error, beside.as_deref());
                let why = said.why;
                match said.no {
                    No::Unknown => Self::NoSuchThing { of, why },
                    No::Forbidden => Self::Forbidden { of, why },
                    No::Nobody => Self::Unavailable { of, why },
                    No::Refused => Self::Refused { of, why },
                }
            }
            RequestError::NotAsked { .. } | RequestError::NotOffered { .. } => {
                Self::NotDelivered { of, why: words }
            }
            RequestError::TooMany => Self::TooMany,
            _ => Self::InDoubt {
                of,
                why: words,
                key: None,
            },
        }
    }

    /// What a response means that is none of success.
    pub(crate) fn of_response(of: &Jid, response: &SetResponse) -> Self {
        let of = of.clone();
        let errors = response.errors.iter();
        let mut why: Vec<String> = errors.map(|e| format!("{}: {}", e.name, e.text)).collect();
        if let (true, Some(code)) = (why.is_empty(), response.code) {
            why.push(code.as_str().to_owned());
        }
        let why = why.join("; ");
        match response.code {
            Some(ResponseCode::NotFound) => Self::NoSuchThing { of, why },
            Some(ResponseCode::InsufficientPrivileges) => Self::Forbidden { of, why },
            _ => Self::Refused { of, why },
        }
    }

    /// What the device's word means.
    pub(super) fn of_word(of: &Jid, key: &str, said: Settled) -> Result<Settled, Self> {
        let (of, why) = (of.clone(), said.text.clone());
        Err(match said.result() {
            CommandResult::Done => return Ok(said),
            CommandResult::Refused => Self::Refused { of, why },
            CommandResult::Forbidden => Self::Forbidden { of, why },
            CommandResult::Expired => Self::Expired { of },
            CommandResult::Unavailable => Self::Unavailable { of, why },
            CommandResult::InDoubt => Self::InDoubt {
                of,
                why,
                key: Some(key.to_owned()),
            },
        })
    }

    /// What became of the message, if it never takes effect.
    pub(super) fn of_message(of: &Jid, why: NotDelivered) -> Self {
        let of = of.clone();
        match why {
            NotDelivered::Expired => Self::Expired { of },
            why => Self::NotDelivered {
                of,
                why: why.to_string(),
            },
        }
    }
}

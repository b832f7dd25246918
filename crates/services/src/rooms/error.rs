//! What can go wrong with a room, and what a refusal means (XEP-0045 §7.2).

use stanchion_reliability::session::SendError;
use stanchion_stanza::BareJid;
use stanchion_stanza::jid::JidError;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};

use crate::request::RequestError;
use crate::slot::Ended;

/// Why a room was not entered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Somebody has the nickname: choose another one, or see
    /// [`JoinOptions::or_another_nick`](super::JoinOptions::or_another_nick).
    #[error("the nickname is taken in {room}; choose another one")]
    NickConflict {
        /// The room.
        room: BareJid,
    },
    /// The room gives another nickname to this account.
    #[error("{room} wants this account to use its reserved nickname")]
    NickReserved {
        /// The room.
        room: BareJid,
    },
    /// This account is banned there.
    #[error("this account is banned from {room}")]
    Banned {
        /// The room.
        room: BareJid,
    },
    /// Only members may enter.
    #[error("only members may enter {room}; ask an admin of it")]
    MembersOnly {
        /// The room.
        room: BareJid,
    },
    /// The password is missing or wrong.
    #[error("{room} wants a password, or another one")]
    Password {
        /// The room.
        room: BareJid,
    },
    /// There are too many in it.
    #[error("{room} is full; try again later")]
    Full {
        /// The room.
        room: BareJid,
    },
    /// It is being made by somebody, or there is none.
    #[error("{room} does not exist, or is locked until its owner has configured it")]
    Locked {
        /// The room.
        room: BareJid,
    },
    /// There is no such room, and this account may not make it.
    #[error("this account may not make the room {room}")]
    MayNotCreate {
        /// The room.
        room: BareJid,
    },
    /// The room refused for another reason, or who is asked is no room.
    #[error("{room} refused: {error}")]
    Refused {
        /// The room.
        room: BareJid,
        /// What it said.
        error: Box<StanzaError>,
    },
    /// It did not answer in time, or there was no connection all the while.
    #[error("{room} did not let us in in time")]
    TimedOut {
        /// The room.
        room: BareJid,
    },
    /// It was left meanwhile.
    #[error("{room} was left before it was entered")]
    Left {
        /// The room.
        room: BareJid,
    },
    /// The nickname cannot be one.
    #[error("{nick:?} cannot be a nickname: {source}")]
    Nick {
        /// What was asked for.
        nick: String,
        /// Why.
        source: JidError,
    },
    /// Too many rooms.
    #[error("{0} rooms are entered; leave some")]
    TooMany(usize),
    /// The services have ended.
    #[error(transparent)]
    Ended(#[from] Ended),
}

impl JoinError {
    /// What a refusal says (§7.2).
    pub(super) fn of(room: BareJid, error: StanzaError) -> Self {
        use DefinedCondition as C;
        match error.condition {
            C::Conflict => Self::NickConflict { room },
            C::NotAcceptable => Self::NickReserved { room },
            C::Forbidden => Self::Banned { room },
            C::RegistrationRequired => Self::MembersOnly { room },
            C::NotAuthorized => Self::Password { room },
            C::ItemNotFound => Self::Locked { room },
            C::NotAllowed => Self::MayNotCreate { room },
            // A service that is not there at all says the same, as a server does for it.
            C::ServiceUnavailable if error.kind == ErrorType::Wait => Self::Full { room },
            _ => Self::Refused {
                room,
                error: Box::new(error),
            },
        }
    }

    /// Whether asking again at another time may help, without anybody doing anything.
    pub(super) fn may_pass(&self) -> bool {
        use DefinedCondition as C;
        match self {
            Self::NickConflict { .. }
            | Self::Full { .. }
            | Self::Locked { .. }
            | Self::TimedOut { .. } => true,
            Self::Refused { error, .. } => {
                error.kind == ErrorType::Wait
                    || matches!(
                        error.condition,
                        C::InternalServerError
                            | C::RemoteServerNotFound
                            | C::RemoteServerTimeout
                            | C::ResourceConstraint
                            | C::ServiceUnavailable
                            | C::UndefinedCondition
                    )
            }
            _ => false,
        }
    }
}

/// Why something was not done in a room.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RoomError {
    /// We are not in it at the moment. If it was not left, it is entered again by itself.
    #[error("we are not in {room} now")]
    Outside {
        /// The room.
        room: BareJid,
    },
    /// Asked, and refused or not answered.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The room refused.
    #[error("{room} refused: {error}")]
    Refused {
        /// The room.
        room: BareJid,
        /// What it said.
        error: Box<StanzaError>,
    },
    /// The room did not show the change in time. It may have been made.
    #[error("{room} did not show the change in time")]
    TimedOut {
        /// The room.
        room: BareJid,
    },
    /// That cannot be an address.
    #[error("{text:?} cannot be a nickname: {source}")]
    Nick {
        /// What was asked for.
        text: String,
        /// Why.
        source: JidError,
    },
    /// That cannot be written in XML.
    #[error("the text cannot be sent: {0}")]
    Text(#[from] stanchion_stanza::xml::InvalidChar),
    /// The message was not taken.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The services have ended.
    #[error(transparent)]
    Ended(#[from] Ended),
}

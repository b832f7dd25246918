//! What is told of rooms, and who is in them. Plain data.

use stanchion_stanza::payload::muc::{Affiliation, Role, Status};
use stanchion_stanza::{BareJid, Jid, Text};

use super::error::JoinError;

/// Somebody in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Occupant {
    /// The nickname.
    pub nick: String,
    /// What they may do while they are here.
    pub role: Role,
    /// What they are to the room.
    pub affiliation: Affiliation,
    /// The real address, where the room shows it.
    pub jid: Option<Jid>,
}

/// Why somebody is no longer in a room.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Departure {
    /// They left, or their connection did.
    Left,
    /// They were kicked (§8.2).
    Kicked {
        /// By whom.
        by: Option<String>,
        /// Why, for people.
        reason: Option<String>,
    },
    /// They were banned (§9.1).
    Banned {
        /// By whom.
        by: Option<String>,
        /// Why, for people.
        reason: Option<String>,
    },
    /// They are no longer members of a room for members (§9.4, §10.8).
    NotMember,
    /// An error made the room remove them.
    Error,
    /// The service goes down.
    Shutdown,
    /// The room is gone (§10.9).
    Destroyed {
        /// Where to go instead.
        instead: Option<Jid>,
        /// Why, for people.
        reason: Option<String>,
    },
}

impl Departure {
    /// Whether nobody meant it: we enter again.
    pub(super) const fn is_accident(&self) -> bool {
        matches!(self, Self::Left | Self::Error | Self::Shutdown)
    }
}

/// What happens in rooms, for observers. Lossy: an observer that is more than 256 events
/// behind misses the oldest. Messages come elsewhere, and none is missed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoomEvent {
    /// We are in, for the first time or again.
    Entered {
        /// The room.
        room: BareJid,
        /// Our nickname.
        nick: String,
        /// It did not exist before.
        created: bool,
    },
    /// Its service had lost it and made it anew as we entered again, just before: what was
    /// configured, who was what in it and its archive are gone, and it is ours. It is not
    /// what it was, or nobody can tell, so it is not opened by itself: nobody else gets in
    /// until it is [configured](super::Room::configure) or [left](super::Room::leave)
    /// (§10.1). What is said in it meanwhile reaches nobody.
    Locked {
        /// The room.
        room: BareJid,
    },
    /// We are not in it at the moment, and try to enter again.
    Lost {
        /// The room.
        room: BareJid,
    },
    /// What was missed in between was read from the room's archive: all of it was kept, and
    /// is handed over, before anything newer.
    CaughtUp {
        /// The room.
        room: BareJid,
    },
    /// What was said in between cannot be read in full: its archive refuses, or does not go
    /// back so far.
    Gap {
        /// The room.
        room: BareJid,
    },
    /// It does not let us in, and we do not try again.
    Refused {
        /// The room.
        room: BareJid,
        /// Why.
        error: JoinError,
    },
    /// We are out, and do not try to enter again.
    Left {
        /// The room.
        room: BareJid,
        /// Why.
        why: Departure,
    },
    /// Somebody is in who was not.
    Arrived {
        /// The room.
        room: BareJid,
        /// Who.
        occupant: Occupant,
    },
    /// Somebody's role, affiliation or address is another one now. Ourselves included.
    Changed {
        /// The room.
        room: BareJid,
        /// Who, as they are now.
        occupant: Occupant,
    },
    /// Somebody is out.
    Gone {
        /// The room.
        room: BareJid,
        /// Who.
        nick: String,
        /// Why.
        why: Departure,
    },
    /// Somebody has another nickname. Ourselves included.
    Renamed {
        /// The room.
        room: BareJid,
        /// The old one.
        from: String,
        /// The new one.
        to: String,
    },
    /// The room's subject, as it was on entry or is from now on (§7.2.15, §8.1). Empty:
    /// there is none.
    Subject {
        /// The room.
        room: BareJid,
        /// Who set it, if the room says so.
        by: Option<String>,
        /// It.
        subject: Text,
    },
    /// The room says that something about it changed (§10.2.1).
    Configured {
        /// The room.
        room: BareJid,
        /// What.
        statuses: Vec<Status>,
    },
    /// Somebody refuses an invitation of ours (§7.8.2).
    Declined {
        /// The room.
        room: BareJid,
        /// Who.
        by: Option<Jid>,
        /// Why, for people.
        reason: Option<Text>,
    },
    /// A room refused something that was sent to it, such as another nickname or subject.
    Denied {
        /// The room.
        room: BareJid,
        /// What it said.
        error: Box<stanchion_stanza::stanza::StanzaError>,
    },
}

impl RoomEvent {
    /// Which room it is about.
    #[must_use]
    pub const fn room(&self) -> &BareJid {
        match self {
            Self::Entered { room, .. }
            | Self::Locked { room }
            | Self::Lost { room }
            | Self::CaughtUp { room }
            | Self::Gap { room }
            | Self::Refused { room, .. }
            | Self::Left { room, .. }
            | Self::Arrived { room, .. }
            | Self::Changed { room, .. }
            | Self::Gone { room, .. }
            | Self::Renamed { room, .. }
            | Self::Subject { room, .. }
            | Self::Configured { room, .. }
            | Self::Declined { room, .. }
            | Self::Denied { room, .. } => room,
        }
    }
}

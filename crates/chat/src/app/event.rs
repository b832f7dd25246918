//! What happens, in the words of who looks at it. Plain data.

use stanchion::BareJid;
use stanchion::services::history::{Conversation, Entry, Found, Place, Progress};
use stanchion::services::presence::Availability;
use stanchion::services::roster::Contact;

use super::flow::Gauge;
use super::link::LinkState;
use super::person::Whereabouts;
use super::room::RoomChange;
use super::thing::{Control, Point, ThingKey};

/// What happened. Times are Unix milliseconds.
#[derive(Debug, Clone)]
pub(crate) enum Event {
    /// The connection is otherwise than before.
    Link(LinkState),
    /// How we are, as all are told who may see it.
    Own {
        /// In one word.
        availability: Availability,
        /// For people.
        text: String,
    },
    /// All contacts: others are gone.
    Contacts(Vec<Contact>),
    /// A contact is new or another.
    Contact(Contact),
    /// A contact is gone.
    ContactGone(BareJid),
    /// Where and how an account is; nowhere if that is empty.
    Presence {
        /// Who.
        who: BareJid,
        /// Its devices, the best first.
        at: Vec<Whereabouts>,
    },
    /// How others are is not known until the connection is back.
    PresenceUnknown,
    /// Somebody asks to see our presence.
    Asked {
        /// Who.
        by: BareJid,
        /// What they say.
        text: String,
    },
    /// That was answered, or is not asked any more.
    NotAsked(BareJid),
    /// The conversations of the history, the latest first.
    Talks(Vec<Conversation>),
    /// A part of a conversation, oldest first.
    Page {
        /// With whom.
        with: BareJid,
        /// The messages.
        entries: Vec<Entry>,
        /// Whether nothing is older.
        first: bool,
    },
    /// A message is new or another.
    Said(Box<Entry>),
    /// A message of ours came so far.
    Progress {
        /// Its id.
        id: String,
        /// How far.
        progress: Progress,
        /// Why, where there is something to say.
        why: Option<String>,
    },
    /// The other side displayed our messages up to that one.
    Displayed {
        /// Who.
        by: BareJid,
        /// The message's id.
        id: String,
    },
    /// We have read a conversation up to there.
    Read {
        /// With whom.
        with: BareJid,
        /// The last message that was read.
        up_to: Place,
    },
    /// The other side writes, or does not any more.
    Writing {
        /// Who.
        who: BareJid,
        /// Whether.
        writes: bool,
    },
    /// Something about a room.
    Room {
        /// Which.
        room: BareJid,
        /// What.
        change: RoomChange,
    },
    /// Somebody wants us in a room.
    Invited {
        /// The room.
        room: BareJid,
        /// Who invites.
        by: Option<String>,
        /// Why.
        reason: Option<String>,
    },
    /// Nobody does any more, or that was answered.
    NotInvited(BareJid),
    /// Values of a thing.
    Values {
        /// Which.
        of: ThingKey,
        /// They, oldest first.
        points: Vec<Point>,
    },
    /// Nothing comes from a device at the moment, and why; or it comes again.
    Silent {
        /// The account.
        of: BareJid,
        /// Why; none: it tells again.
        why: Option<String>,
    },
    /// What can be set at a thing.
    Controls {
        /// Which.
        of: ThingKey,
        /// What.
        controls: Vec<Control>,
    },
    /// A command to a thing was given, or has an answer.
    Commanded {
        /// Which.
        of: ThingKey,
        /// What was to be set to what.
        what: String,
        /// None: it is on its way. Otherwise what became of it.
        outcome: Option<Result<String, String>>,
    },
    /// What a search found.
    Found {
        /// What was looked for.
        words: String,
        /// The messages, the latest first.
        found: Vec<Found>,
    },
    /// Figures, once a second.
    Gauge(Gauge),
    /// Something that a person should know.
    Notice(Notice),
}

/// How much a notice matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Severity {
    /// Good to know.
    Info,
    /// Something that was asked for was not done.
    Failure,
    /// Something is wrong, whoever asked for what.
    Warning,
}

/// Something that a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// When.
    pub(crate) at: i64,
    /// How much it matters.
    pub(crate) severity: Severity,
    /// One line.
    pub(crate) text: String,
}

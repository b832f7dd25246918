//! What the history holds, in the words of who reads it.

use stanchion_reliability::outcome::Outcome;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::{BareJid, Jid};

/// Whose message it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Somebody else's.
    In,
    /// Our account's, whichever of its devices sent it.
    Out,
}

/// How far a message of our own has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Progress {
    /// It is in the history, and about to be handed to the session. If it stays so, the
    /// process ended in between, and it was not sent.
    Writing,
    /// It is durable in the outbox.
    Accepted,
    /// The server has it.
    ServerAccepted,
    /// The recipient's client has it (XEP-0184), or its application acted on it: see
    /// [`Outcome::Acknowledged`].
    Acknowledged,
    /// See [`Outcome::Delivered`].
    Delivered,
    /// See [`Outcome::Transmitted`].
    Transmitted,
    /// See [`Outcome::NotDelivered`].
    NotDelivered,
    /// See [`Outcome::InDoubt`]; another may follow.
    InDoubt,
    /// Another device of our account sent it; what became of it is known there.
    Elsewhere,
    /// It was sent, and its record is gone: nothing more will be known.
    Unknown,
}

impl Progress {
    const NAMES: [(Self, &'static str); 10] = [
        (Self::Writing, "writing"),
        (Self::Accepted, "accepted"),
        (Self::ServerAccepted, "server"),
        (Self::Acknowledged, "acknowledged"),
        (Self::Delivered, "delivered"),
        (Self::Transmitted, "transmitted"),
        (Self::NotDelivered, "not delivered"),
        (Self::InDoubt, "in doubt"),
        (Self::Elsewhere, "elsewhere"),
        (Self::Unknown, "unknown"),
    ];

    /// Whether nothing else follows.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(
            self,
            Self::Writing | Self::Accepted | Self::ServerAccepted | Self::InDoubt
        )
    }

    /// As it stands in the file.
    pub(super) fn name(self) -> &'static str {
        let mut names = Self::NAMES.into_iter();
        names
            .find(|(progress, _)| *progress == self)
            .map_or("", |(_, name)| name)
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        let mut names = Self::NAMES.into_iter();
        names
            .find(|(_, n)| *n == name)
            .map(|(progress, _)| progress)
    }

    /// What an outcome makes of it, and why.
    #[must_use]
    pub fn of(outcome: &Outcome) -> (Self, Option<String>) {
        match outcome {
            Outcome::Acknowledged { .. } => (Self::Acknowledged, None),
            Outcome::Delivered { .. } => (Self::Delivered, None),
            Outcome::Transmitted => (Self::Transmitted, None),
            Outcome::NotDelivered(why) => (Self::NotDelivered, Some(why.to_string())),
            Outcome::InDoubt(why) => (Self::InDoubt, Some(why.to_string())),
            // One that this version does not know is not made up.
            _ => (Self::InDoubt, Some(outcome.to_string())),
        }
    }
}

/// A place in a conversation: later messages have a greater one. What arrives late, as
/// from an archive, stands where it belongs by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When the message was sent, as far as is known.
    pub at: WallTime,
    /// The order in which it came into the history.
    pub row: i64,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// Where it stands.
    pub place: Place,
    /// With whom: an account, or a room.
    pub conversation: BareJid,
    /// Whose it is.
    pub direction: Direction,
    /// Who wrote it; in a room its occupant's address. None if it was this device.
    pub author: Option<Jid>,
    /// The message's id, which corrections and markers name.
    pub id: Option<String>,
    /// Its origin id (XEP-0359), which replies name.
    pub origin_id: Option<String>,
    /// Its id in our account's archive (XEP-0313), as far as is known.
    pub archive_id: Option<String>,
    /// The thread that it belongs to (RFC 6121 §5.2.5).
    pub thread: Option<String>,
    /// The id of the message that it answers (XEP-0461).
    pub reply_to: Option<String>,
    /// The id of the message that it was meant to correct, where that one is not here.
    pub replaces: Option<String>,
    /// The text, its last version.
    pub body: String,
    /// How often it was corrected (XEP-0308).
    pub edits: u32,
    /// When it was corrected last.
    pub edited_at: Option<WallTime>,
    /// How far it has come; of our own messages only.
    pub progress: Option<Progress>,
    /// Why, where there is something to say.
    pub why: Option<String>,
    /// Whether its sender would like to know when it was displayed (XEP-0333).
    pub markable: bool,
    /// Whether the other side displayed it (XEP-0333); of our own messages only.
    pub displayed: bool,
    /// Whether it was not [read](super::History::read_up_to) here so far.
    pub unread: bool,
}

impl Entry {
    /// A message of which nothing else is known.
    #[must_use]
    pub fn new(place: Place, conversation: BareJid, direction: Direction, body: &str) -> Self {
        Self {
            place,
            conversation,
            direction,
            author: None,
            id: None,
            origin_id: None,
            archive_id: None,
            thread: None,
            reply_to: None,
            replaces: None,
            body: body.to_owned(),
            edits: 0,
            edited_at: None,
            progress: None,
            why: None,
            markable: false,
            displayed: false,
            unread: false,
        }
    }
}

/// An earlier version of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The text, before the correction.
    pub body: String,
    /// When that correction was sent.
    pub until: WallTime,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conversation {
    /// With whom.
    pub with: BareJid,
    /// Its latest message.
    pub latest: Entry,
    /// Messages that were not read.
    pub unread: u64,
}

/// A message that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Found {
    /// The message.
    pub entry: Entry,
    /// The part of it that was looked for, the words between
    /// [`OPEN`](Self::OPEN) and [`CLOSE`](Self::CLOSE).
    pub snippet: String,
}

impl Found {
    /// That message, of which that part was looked for.
    #[must_use]
    pub fn new(entry: Entry, snippet: &str) -> Self {
        Self {
            entry,
            snippet: snippet.to_owned(),
        }
    }

    /// Stands before a word that was found: a private character, which no text has by
    /// accident.
    pub const OPEN: char = '\u{e000}';
    /// Stands behind it.
    pub const CLOSE: char = '\u{e001}';
}

//! What a person wants. Plain data; the desk carries it out, and what came of it is told as
//! events.

use stanchion::services::history::Place;
use stanchion::services::presence::Availability;
use stanchion::stanza::Text;
use stanchion::{BareJid, Jid};

use super::thing::ThingKey;

/// What to do.
#[derive(Debug, Clone)]
pub(crate) enum Order {
    /// Says something to a person, or in a room that we are in.
    Say {
        /// To whom.
        to: BareJid,
        /// What.
        text: String,
    },
    /// Replaces our last message of a conversation.
    Correct {
        /// With whom.
        with: BareJid,
        /// The new text.
        text: String,
    },
    /// Takes a message back that is not settled.
    Cancel {
        /// Its id.
        id: String,
    },
    /// Says a message again, as a new one. Of one that is in doubt a person must have said
    /// yes: it may be there twice then.
    Again {
        /// With whom.
        with: BareJid,
        /// Where the old one stands.
        place: Place,
    },
    /// Shows the latest messages of a conversation.
    Open(BareJid),
    /// Shows what is older.
    Older {
        /// With whom.
        with: BareJid,
        /// Than that.
        than: Place,
    },
    /// All up to that message was seen by a person.
    Seen {
        /// With whom.
        with: BareJid,
        /// The message.
        place: Place,
    },
    /// A person writes; to be said with each key.
    Writing(BareJid),
    /// Looks for messages.
    Search {
        /// With these words.
        words: String,
        /// In that conversation, or in all.
        with: Option<BareJid>,
    },
    /// We are so from now on.
    Status {
        /// In one word.
        availability: Availability,
        /// For people.
        text: String,
    },
    /// Whether somebody looks at the client, for a server that wants to know.
    Attention(bool),
    /// Adds a contact, and asks to see its presence.
    Add {
        /// Who.
        who: BareJid,
        /// What we call it.
        name: Option<Text>,
    },
    /// Removes a contact.
    Remove(BareJid),
    /// Answers who asks to see our presence.
    Answer {
        /// Who.
        to: BareJid,
        /// What.
        answer: Answer,
    },
    /// Enters a room.
    Join {
        /// Which.
        room: BareJid,
        /// As whom; default: the account's name.
        nick: Option<String>,
        /// With that password.
        password: Option<Text>,
    },
    /// Refuses an invitation to it.
    Decline(BareJid),
    /// Leaves it for good.
    Leave(BareJid),
    /// Sets its subject.
    Topic {
        /// Of which.
        room: BareJid,
        /// To what.
        topic: Text,
    },
    /// Invites somebody to it.
    Invite {
        /// To which.
        room: BareJid,
        /// Whom.
        whom: BareJid,
    },
    /// Watches the things behind an address.
    Watch(Jid),
    /// Does not any more.
    Unwatch(BareJid),
    /// Asks what can be set at a thing.
    Controls(ThingKey),
    /// Sets a parameter of a thing.
    Set {
        /// Which.
        of: ThingKey,
        /// Which parameter.
        parameter: Text,
        /// To what, as a person writes it.
        value: String,
    },
}

/// What is said to somebody who asks to see our presence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// They may, and we ask for theirs.
    Accept,
    /// They may not.
    Deny,
}

//! A message of a conversation before it is sent.

use std::time::Duration;

use stanchion_reliability::session::{InvalidMessage, Outgoing};
use stanchion_stanza::payload::markers::Markable;
use stanchion_stanza::payload::reply::Reply;
use stanchion_stanza::{BareJid, Jid, Payload as _, Text};

use super::state::thread;
use crate::history::{Direction, Entry};

/// A message to be said in a conversation.
#[derive(Debug, Clone)]
pub struct Draft {
    pub(super) to: Jid,
    pub(super) outgoing: Outgoing,
}

impl Draft {
    /// A text to somebody.
    ///
    /// # Errors
    /// [`InvalidMessage::Text`] on a character that XML forbids.
    pub fn new(to: Jid, text: impl Into<String>) -> Result<Self, InvalidMessage> {
        let outgoing = Outgoing::text(to.clone(), text)?;
        Ok(Self { to, outgoing })
    }

    /// A text to all in a room that we are in.
    ///
    /// # Errors
    /// [`InvalidMessage::Text`], as above.
    pub fn room(room: BareJid, text: impl Into<String>) -> Result<Self, InvalidMessage> {
        let outgoing = Outgoing::room(room.clone(), text)?;
        let to = room.into();
        Ok(Self { to, outgoing })
    }

    /// The same, in that thread (RFC 6121 §5.2.5).
    ///
    /// # Errors
    /// [`InvalidMessage::Text`], as above.
    pub fn in_thread(self, id: impl Into<String>) -> Result<Self, InvalidMessage> {
        let id = Text::new(id)?;
        Ok(self.with(|outgoing| outgoing.with_payload(thread(id))))
    }

    /// The same, as an answer to that message (XEP-0461), and in its thread. One that has no
    /// id cannot be named, and the draft stays as it is.
    #[must_use]
    pub fn answering(self, entry: &Entry) -> Self {
        let id = entry.origin_id.as_ref().or(entry.id.as_ref());
        let Some(id) = id.and_then(|id| Text::new(id.as_str()).ok()) else {
            return self;
        };
        let to = match entry.direction {
            Direction::In => entry.author.clone(),
            Direction::Out => entry.author.as_ref().map(|author| author.to_bare().into()),
        };
        let same = entry
            .thread
            .as_ref()
            .and_then(|t| Text::new(t.as_str()).ok());
        let reply = Reply { to, id }.to_element();
        self.with(|outgoing| {
            let outgoing = outgoing.with_payload(reply);
            match same {
                Some(same) => outgoing.with_payload(thread(same)),
                None => outgoing,
            }
        })
    }

    /// The same, and the other side is asked to tell when it has displayed it (XEP-0333).
    #[must_use]
    pub fn markable(self) -> Self {
        self.with(|outgoing| outgoing.with_payload(Markable.to_element()))
    }

    /// The same, with a time by which there must be an outcome; see [`Outgoing::within`].
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        self.with(|outgoing| outgoing.within(time))
    }

    /// The same, with all else that can be said of a message: its lane, its protection.
    #[must_use]
    pub fn with(self, change: impl FnOnce(Outgoing) -> Outgoing) -> Self {
        Self {
            outgoing: change(self.outgoing),
            ..self
        }
    }
}

//! What is said in a room, and to us in private, in the application's hands.

use stanchion_reliability::session::{CommitError, Received, SendError};
use stanchion_stanza::payload::delay::Delay;
use stanchion_stanza::payload::sid::StanzaId;
use stanchion_stanza::stanza::MessageType;
use stanchion_stanza::{Message, Payload as _, Text};
use tokio::sync::mpsc;

use crate::Incoming;

/// A message of a room. It comes again after the next start unless it is committed; see
/// [`Received`].
#[derive(Debug)]
#[must_use = "a message that is not committed comes again"]
pub struct RoomMessage(Received);

impl RoomMessage {
    pub(super) const fn new(received: Received) -> Self {
        Self(received)
    }

    /// The stanza.
    #[must_use]
    pub fn message(&self) -> &Message {
        self.0.message()
    }

    /// Who said it; empty if the room itself did.
    #[must_use]
    pub fn nick(&self) -> &str {
        let from = self.message().header.from.as_ref();
        from.and_then(|from| from.resource()).unwrap_or_default()
    }

    /// What was said.
    #[must_use]
    pub fn body(&self) -> std::borrow::Cow<'_, str> {
        self.message().body().unwrap_or_default()
    }

    /// Whether it was said to us alone (XEP-0045 §7.5).
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.message().kind != MessageType::Groupchat
    }

    /// When it was said, if that was before we got it: as `CCYY-MM-DDThh:mm:ss[.sss]TZD`,
    /// by the room's clock.
    #[must_use]
    pub fn said_at(&self) -> Option<Text> {
        let room = self.message().header.from.as_ref()?.bare_str();
        let delays = self.message().payloads.iter().filter(|p| Delay::matches(p));
        let delays = delays.filter_map(|p| Delay::from_element(p).ok());
        let mut rooms =
            delays.filter(|delay| delay.from.as_ref().is_some_and(|f| f.bare_str() == room));
        rooms.next().map(|delay| delay.stamp)
    }

    /// The id that the room gave to it (XEP-0359 §5).
    #[must_use]
    pub fn stanza_id(&self) -> Option<Text> {
        let room = self.message().header.from.as_ref()?.bare_str();
        let ids = self
            .message()
            .payloads
            .iter()
            .filter(|p| StanzaId::matches(p));
        let mut ids = ids.filter_map(|p| StanzaId::from_element(p).ok());
        ids.find(|id| id.by.as_str() == room).map(|id| id.id)
    }

    /// As it was received, to be committed with an effect or by token.
    pub const fn received(&self) -> &Received {
        &self.0
    }

    /// The same, for good.
    pub fn into_received(self) -> Received {
        self.0
    }

    /// As [`Received::commit`].
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn commit(self) -> Result<Message, SendError> {
        self.0.commit().await
    }

    /// As [`Received::commit_durably`].
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit_durably(self) -> Result<Message, CommitError> {
        self.0.commit_durably().await
    }
}

/// Takes the messages of one room, in the room's order, each once.
///
/// All rooms and the application together hold
/// [`hand_over`](stanchion_reliability::engine::EngineConfig::hand_over) messages at most
/// that are not committed: a room that nobody reads holds up the others.
#[derive(Debug)]
pub struct RoomMessages(Incoming);

impl RoomMessages {
    pub(super) const fn new(queue: mpsc::Receiver<Received>) -> Self {
        Self(Incoming::new(queue))
    }

    /// The next message; `None` once the room is left, or entered anew by somebody else
    /// who takes them.
    pub async fn recv(&mut self) -> Option<RoomMessage> {
        self.0.recv().await.map(RoomMessage::new)
    }
}

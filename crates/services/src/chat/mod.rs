//! Conversations: messages that are sent reliably and kept in the [`history`](crate::history)
//! with what becomes of them, corrections (XEP-0308), replies (XEP-0461), chat states
//! (XEP-0085) and markers (XEP-0333). [`Chat`] is what the application holds.
//!
//! A message is in the history before it is sent, so that none is sent that is not there; if
//! the process ends in between, the next start finds that it was not sent and takes it out.
//! Received messages come as they always do, and [`Chat::commit`] puts them there. Copies of
//! what other devices do, and what an archive has, are [`archive`](crate::archive)'s.

mod draft;
mod follow;
mod state;

use stanchion_reliability::session::{
    CommitError, InvalidMessage, Outgoing, Received, SendError, Sender, Sent,
};
use stanchion_reliability::store::rusqlite::Transaction;
use stanchion_reliability::store::{EffectFailure, TransactError};
use stanchion_stanza::payload::chat_states::ChatState;
use stanchion_stanza::payload::correction::Replace;
use stanchion_stanza::payload::sid::OriginId;
use stanchion_stanza::stanza::MessageType;
use stanchion_stanza::{BareJid, Jid, Message, Payload as _, Text};
use tokio::sync::{broadcast, mpsc};

pub use draft::Draft;
pub use follow::Follower;
use follow::Writing;
pub use state::{Chats, INACTIVE, PAUSED, TALKS};

use crate::history::{Direction, Entry, History, MessageNote, Place, Progress, Recorded, now};
use crate::rooms::RoomMessage;
use crate::slot::{Ended, Handle};

/// Sent messages that may wait for the one who follows them.
const FRESH: usize = 256;

/// What happens in conversations.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChatEvent {
    /// The other side does something else now.
    State {
        /// Who.
        from: BareJid,
        /// What.
        state: ChatState,
    },
    /// The other side displayed all of our messages up to this one, if it is in the history.
    Displayed {
        /// Who.
        by: BareJid,
        /// The message's id.
        id: String,
    },
}

/// Why something was not said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChatError {
    /// It cannot be sent by anybody.
    #[error(transparent)]
    Invalid(#[from] InvalidMessage),
    /// The session did not take it; it is not in the history either.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The history cannot be written, so nothing was sent.
    #[error("the history cannot be written: {0}")]
    History(#[from] TransactError),
    /// Only the last own message of a conversation may be corrected.
    #[error("only the last message that was sent to {0} may be corrected")]
    NotTheLast(BareJid),
    /// The client has ended.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// A message that was said.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Said {
    /// Where it stands in the history.
    pub place: Place,
    /// What becomes of it; the history notes it, too.
    pub sent: Sent,
}

/// Conversations, for an application. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Chat {
    handle: Handle<Chats>,
    sender: Sender,
    history: History,
    writing: Writing,
    fresh: mpsc::Sender<Sent>,
}

impl Chat {
    /// The face of that service, and the task that follows messages into the history: keep
    /// it, as dropping it ends it. Must be called inside a tokio runtime.
    #[must_use]
    pub fn start(handle: Handle<Chats>, sender: Sender, history: History) -> (Self, Follower) {
        let (fresh, fresh_rx) = mpsc::channel(FRESH);
        let writing = Writing::default();
        let follower = Follower::start(sender.clone(), history.clone(), writing.clone(), fresh_rx);
        let chat = Self {
            handle,
            sender,
            history,
            writing,
            fresh,
        };
        (chat, follower)
    }

    /// Says something; resolves once it is durable, in the history and in the outbox. What
    /// becomes of it is noted in the history.
    ///
    /// # Errors
    /// [`ChatError`].
    pub async fn send(&self, to: Jid, text: impl Into<String>) -> Result<Said, ChatError> {
        self.say(Draft::new(to, text)?).await
    }

    /// The same, with more to it.
    ///
    /// # Errors
    /// [`ChatError`].
    pub async fn say(&self, draft: Draft) -> Result<Said, ChatError> {
        let (outgoing, note) = self.prepare(draft).await?;
        let Some(note) = note else {
            // Not possible: a draft has a text and a recipient.
            return Err(SendError::Closed.into());
        };
        let id = note.id.clone().unwrap_or_default();
        let _on_its_way = self.writing.begin(id.clone());
        let place = self.history.begin(note).await?.place();
        match self.sender.send(outgoing).await {
            Ok(sent) => {
                self.follow(&sent).await;
                Ok(Said { place, sent })
            }
            Err(error) => {
                // If that fails, too, the next start finds it.
                let _ = self.history.unwrite(id).await;
                Err(error.into())
            }
        }
    }

    /// Replaces our last message of a conversation (XEP-0308), of whichever of our devices.
    /// The history has the new text once it is sent.
    ///
    /// # Errors
    /// [`ChatError::NotTheLast`] if there is a later one, or `entry` is none of ours.
    pub async fn correct(&self, entry: &Entry, text: impl Into<String>) -> Result<Said, ChatError> {
        let with = &entry.conversation;
        let last = self.history.last_own(with).await?;
        let last = last.filter(|last| last.place == entry.place);
        let last = last.filter(|last| last.direction == Direction::Out);
        let id = last.and_then(|last| Text::new(last.id?).ok());
        let id = id.ok_or_else(|| ChatError::NotTheLast(with.clone()))?;
        let draft = Draft::new(with.clone().into(), text)?;
        let draft = draft.with(|out| out.with_payload(Replace { id }.to_element()));
        let (outgoing, note) = self.prepare(draft).await?;
        let sent = self.sender.send(outgoing).await?;
        if let Some(note) = note {
            self.history.begin(note).await?;
        }
        Ok(Said {
            place: entry.place,
            sent,
        })
    }

    /// What is sent, with its id, and what is noted of it.
    async fn prepare(&self, draft: Draft) -> Result<(Outgoing, Option<MessageNote>), ChatError> {
        let with = draft.to.to_bare();
        let to = with.clone();
        // In a room it is told to nobody what we do in it.
        let state = match draft.outgoing.message().kind == MessageType::Groupchat {
            true => None,
            false => {
                let sends = self.handle.call(move |chats, now| chats.sends(now, &to));
                sends.await?
            }
        };
        let outgoing = match state {
            Some(state) => draft.outgoing.with_payload(state.to_element()),
            None => draft.outgoing,
        };
        let (outgoing, id) = outgoing.with_id();
        let id = Text::new(id).map_err(InvalidMessage::from)?;
        let origin = OriginId { id: id.clone() }.to_element();
        let message = outgoing.message().clone().with_id(id).with_payload(origin);
        let note = MessageNote::sent(&message, None, now(), Progress::Writing);
        Ok((outgoing, note))
    }

    async fn follow(&self, sent: &Sent) {
        // If nobody follows any more, the next start looks.
        let _ = self.fresh.send(sent.clone()).await;
    }

    /// Commits a received message, and puts it into the history: see [`History::commit`].
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit(&self, received: Received) -> Result<Message, CommitError> {
        self.history.commit(received).await
    }

    /// Commits what was said in a room, and puts it into the history; gives it as it is
    /// there. `nick` is ours: what we said ourselves through [`Chat::say`] and the room shows
    /// is there already.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit_in_room(
        &self,
        message: RoomMessage,
        nick: Option<&str>,
    ) -> Result<Option<Entry>, CommitError> {
        if nick == Some(message.nick()) && !message.is_private() {
            let shown = message.message();
            let origin = shown.payload::<OriginId>().ok().flatten();
            let id = origin.map(|o| o.id).or_else(|| shown.header.id.clone());
            let room = shown.header.from.as_ref().map(Jid::to_bare);
            if let (Some(id), Some(room)) = (id, room)
                && let Ok(Some(own)) = self.history.own(&room, &id).await
            {
                message.commit_durably().await?;
                return Ok(Some(own));
            }
        }
        self.commit_entry(message.into_received()).await
    }

    /// As [`Chat::commit`], and gives the message as it is in the history then; none if it
    /// has no text.
    ///
    /// # Errors
    /// [`CommitError`].
    pub async fn commit_entry(&self, received: Received) -> Result<Option<Entry>, CommitError> {
        let effect = |_: &Transaction<'_>, recorded: Option<Recorded>| {
            Ok::<_, EffectFailure>(recorded.map(Recorded::place))
        };
        let place = self.history.commit_with(&received, effect).await?;
        match place {
            // It is committed, whatever this says.
            Some(place) => Ok(self.history.entry(place).await.unwrap_or_default()),
            None => Ok(None),
        }
    }

    /// The user has seen all up to that message: nothing of it is unread any more, and its
    /// sender is told, if it asked to be (XEP-0333).
    ///
    /// # Errors
    /// [`ChatError`].
    pub async fn displayed(&self, entry: &Entry) -> Result<(), ChatError> {
        let with = entry.conversation.clone();
        self.history.read_up_to(&with, entry.place).await?;
        let asked = entry.markable && entry.direction == Direction::In;
        let id = entry.id.as_ref().filter(|_| asked);
        if let Some(id) = id.and_then(|id| Text::new(id.as_str()).ok()) {
            self.handle
                .call(move |chats, _| chats.displayed(&with, id))
                .await?;
        }
        Ok(())
    }

    /// The user writes to `to`: say it with each key. After [`PAUSED`] without it, the other
    /// side is told of the pause. Told only to who wants to know.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn writing(&self, to: &BareJid) -> Result<(), Ended> {
        self.does(to, ChatState::Composing).await
    }

    /// The user does something else in the conversation (XEP-0085).
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn does(&self, to: &BareJid, state: ChatState) -> Result<(), Ended> {
        let to = to.clone();
        self.handle
            .call(move |chats, now| chats.does(now, &to, state))
            .await
    }

    /// What the other side does, as far as it says.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn state_of(&self, with: &BareJid) -> Result<Option<ChatState>, Ended> {
        let with = with.clone();
        self.handle
            .call(move |chats, _| chats.state_of(&with))
            .await
    }

    /// What was said.
    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<ChatEvent> {
        self.handle.events()
    }
}

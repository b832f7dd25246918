//! Invitations to rooms, through the room (XEP-0045 §7.8.2) and straight from whoever
//! invites (XEP-0249), coming in.

use stanchion_reliability::session::{Received, SendError};
use stanchion_stanza::payload::conference::DirectInvite;
use stanchion_stanza::payload::muc::{Password, User};
use stanchion_stanza::stanza::MessageType;
use stanchion_stanza::{BareJid, Jid, Message, Text};
use tokio::sync::mpsc;

/// Somebody wants us in a room.
#[derive(Debug)]
#[non_exhaustive]
pub struct Invitation {
    /// The room.
    pub room: BareJid,
    /// Who invites, as the room says or as whoever sent it is.
    pub from: Option<Jid>,
    /// Why, for people.
    pub reason: Option<Text>,
    /// The room's password.
    pub password: Option<Password>,
    /// Whether the room passed it on: then it can be
    /// [declined](super::Rooms::decline).
    pub by_room: bool,
    /// If it came in a message that is kept.
    pub(super) received: Option<Received>,
}

impl Invitation {
    /// What a message invites to. Through a room only the room itself does: anybody can
    /// write its element (§7.8.2).
    pub(super) fn read(message: &Message) -> Option<Self> {
        let from = message.header.from.as_ref()?;
        if matches!(message.kind, MessageType::Groupchat | MessageType::Error) {
            return None;
        }
        if from.resource().is_none()
            && let Ok(Some(user)) = message.payload::<User>()
            && let Some(invite) = user.invites.into_iter().next()
        {
            return Some(Self {
                room: from.to_bare(),
                from: invite.from,
                reason: invite.reason,
                password: user.password,
                by_room: true,
                received: None,
            });
        }
        let invite = message.payload::<DirectInvite>().ok()??;
        Some(Self {
            room: invite.room.to_bare(),
            from: Some(from.clone()),
            reason: invite.reason,
            password: invite.password,
            by_room: false,
            received: None,
        })
    }

    /// The message in which it came, if that is one that is kept: to commit it
    /// [together with an effect](Received::commit_with).
    #[must_use]
    pub const fn received(&self) -> Option<&Received> {
        self.received.as_ref()
    }

    /// Says that the invitation was dealt with: it does not come again. Does nothing for
    /// one that does not come again anyway.
    ///
    /// # Errors
    /// [`SendError::Closed`]; then it comes again.
    pub async fn commit(&mut self) -> Result<(), SendError> {
        match self.received.take() {
            Some(received) => received.commit().await.map(drop),
            None => Ok(()),
        }
    }
}

/// Takes invitations.
#[derive(Debug)]
pub struct Invitations {
    queue: mpsc::Receiver<Invitation>,
    /// It was taken from the queue, and begins.
    next: Option<Invitation>,
}

impl Invitations {
    pub(super) const fn new(queue: mpsc::Receiver<Invitation>) -> Self {
        Self { queue, next: None }
    }

    /// The next one; `None` once the client has ended, or somebody else takes them. A
    /// future that is dropped before it resolves takes none.
    pub async fn recv(&mut self) -> Option<Invitation> {
        if self.next.is_none() {
            self.next = self.queue.recv().await;
        }
        let begun = match &mut self.next.as_mut()?.received {
            Some(received) => received.begin().await,
            None => Ok(()),
        };
        self.next.take().filter(|_| begun.is_ok())
    }
}

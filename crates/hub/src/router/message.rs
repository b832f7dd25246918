//! Where messages go (RFC 6121 §8.5), and which may be stored (XEP-0160, XEP-0334).
//! What becomes of messages whose session ended is in `redirect`; `archive` and `copies`
//! say what else happens to one.

use std::sync::Arc;
use std::time::SystemTime;

use stanchion_stanza::payload::delay::Delay;
use stanchion_stanza::payload::hints::Hint;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, MessageType, StanzaError};
use stanchion_stanza::{Element, Message, Payload as _, ns};

use super::component::away;
use super::{
    Fate, Now, Output, Persist, Place, Router, SessionId, StoredId, StoredMessage, copies,
};
use crate::stamp::stamp;

/// Chat states (XEP-0085), worth nothing later.
const CHAT_STATES: &str = "http://jabber.org/protocol/chatstates";

impl Router {
    /// A message of a session, its sender stamped on it: routed, archived for both sides,
    /// and copied to their other sessions.
    pub(super) fn sent(&mut self, now: Now, sender: SessionId, mut message: Message) {
        if message.header.to.is_none() {
            // RFC 6120 §10.3.1: to the sender's own account.
            message.header.to = message.header.from.as_ref().map(|f| f.to_bare().into());
        }
        let (Some(to), Some(session)) = (&message.header.to, self.sessions.get(&sender)) else {
            return;
        };
        let own = session.local().to_owned();
        let place = self.locate(to);
        let receiver = match &place {
            Place::Account(local) | Place::Absent(local) => Some(local.clone()),
            // A component has no account, hence neither archive nor other sessions.
            Place::Session(id) => self
                .sessions
                .get(id)
                .and_then(|s| (!s.component).then(|| s.local().to_owned())),
            Place::Rooms
            | Place::Pubsub
            | Place::Server
            | Place::Nobody
            | Place::Detached
            | Place::Elsewhere => None,
        };
        self.strip_ids(&mut message);
        let copied = copies::is_copied(&message);
        // What one says to oneself is received, and there once.
        if receiver.as_ref() != Some(&own) {
            let archived = self.archive_sent(now, &own, &message);
            if copied {
                self.copy_sent(now, &own, &message, sender, archived);
            }
        }
        let Some(receiver) = receiver else {
            self.message(now, message);
            return;
        };
        let pending = self.stamp_id(now, &receiver, &mut message);
        let mut have = match place {
            Place::Session(id) => vec![id],
            _ => self.recipients(&receiver, true),
        };
        let copy = copied.then(|| message.clone());
        let fate = self.message(now, message);
        if !matches!(fate, Fate::Delivered | Fate::Stored) {
            return;
        }
        if let Some(pending) = pending {
            self.archive(now, pending);
        }
        if let Some(copy) = copy {
            if fate == Fate::Stored {
                have.clear();
            }
            if receiver == own {
                have.push(sender);
            }
            self.copy_received(now, &receiver, &copy, &have);
        }
    }

    /// Routes a message whose addresses are on it.
    pub(super) fn message(&mut self, now: Now, message: Message) -> Fate {
        let Some(to) = &message.header.to else {
            return Fate::Dropped;
        };
        match self.locate(to) {
            Place::Account(local) => self.message_to_account(now, &local, message, now.wall),
            Place::Session(id) => match self.letter(&message.to_element()) {
                Ok(letter) => {
                    self.enqueue_letter(id, letter, now.wall, None);
                    Fate::Delivered
                }
                Err(_) => self.bounce(now, &message, too_large()),
            },
            // RFC 6121 §8.5.3.2.1
            Place::Absent(local) => match message.kind {
                MessageType::Chat => self.message_to_account(now, &local, message, now.wall),
                _ => self.bounce(now, &message, unavailable()),
            },
            Place::Rooms => {
                self.tell_rooms(now, message);
                Fate::Delivered
            }
            Place::Server | Place::Pubsub | Place::Nobody => {
                self.bounce(now, &message, unavailable())
            }
            Place::Detached => self.bounce(now, &message, away()),
            Place::Elsewhere => {
                let condition = DefinedCondition::RemoteServerNotFound;
                self.bounce(
                    now,
                    &message,
                    StanzaError::new(ErrorType::Cancel, condition),
                )
            }
        }
    }

    /// RFC 6121 §8.5.2: to a bare address. `since` is when it was sent.
    pub(super) fn message_to_account(
        &mut self,
        now: Now,
        local: &str,
        mut message: Message,
        since: SystemTime,
    ) -> Fate {
        let best = match message.kind {
            MessageType::Error => return Fate::Dropped,
            MessageType::Groupchat => return self.bounce(now, &message, unavailable()),
            MessageType::Headline => false,
            MessageType::Chat | MessageType::Normal => true,
        };
        let recipients = self.recipients(local, best);
        if !best && recipients.is_empty() {
            return Fate::Dropped;
        }
        // What came earlier and still waits goes first.
        let waits = self.accounts.get(local).is_some_and(|a| a.offline.waits());
        let keep = Storing::of(&message);
        if best && (recipients.is_empty() || (waits && keep == Storing::Allowed)) {
            return match keep {
                Storing::Allowed => self.store(now, local, message, since),
                Storing::Forbidden => self.bounce(now, &message, unavailable()),
                Storing::Pointless => Fate::Dropped,
            };
        }
        if since != now.wall {
            self.stamp_delay(&mut message, since);
        }
        let Ok(letter) = self.letter(&message.to_element()) else {
            return self.bounce(now, &message, too_large());
        };
        for id in recipients {
            self.enqueue_letter(id, Arc::clone(&letter), since, None);
        }
        Fate::Delivered
    }

    /// The sessions of an account that take messages for its bare address: all of
    /// them, or those of the highest priority.
    fn recipients(&self, local: &str, best: bool) -> Vec<SessionId> {
        let Some(account) = self.accounts.get(local) else {
            return Vec::new();
        };
        let willing: Vec<_> = account
            .sessions
            .iter()
            .filter_map(|id| Some((*id, self.sessions.get(id)?.takes_messages()?)))
            .collect();
        let highest = willing.iter().map(|(_, priority)| *priority).max();
        willing
            .into_iter()
            .filter(|(_, priority)| !best || Some(*priority) == highest)
            .map(|(id, _)| id)
            .collect()
    }

    /// Keeps a message until the account's next available session.
    fn store(&mut self, now: Now, local: &str, mut message: Message, since: SystemTime) -> Fate {
        self.stamp_delay(&mut message, since);
        let Ok(letter) = self.letter(&message.to_element()) else {
            return self.bounce(now, &message, too_large());
        };
        let (messages, bytes) = (self.limits.offline_messages, self.limits.offline_bytes);
        let Some(account) = self.accounts.get_mut(local) else {
            return self.bounce(now, &message, unavailable());
        };
        if !account
            .offline
            .has_room(letter.bytes().len(), messages, bytes)
        {
            let condition = DefinedCondition::ResourceConstraint;
            return self.bounce(now, &message, StanzaError::new(ErrorType::Wait, condition));
        }
        let id = StoredId(self.next_stored);
        self.next_stored += 1;
        self.outputs
            .push_back(Output::Persist(Persist::Store(StoredMessage {
                id,
                keeping: super::Keeping::Offline,
                account: local.to_owned(),
                since,
                stanza: letter.bytes().to_vec(),
            })));
        account.offline.push(id, letter, since);
        // A session may have had to wait for room.
        self.touched.extend(account.sessions.iter().copied());
        Fate::Stored
    }

    /// Gives stored messages to an available session, as far as its queue has room.
    pub(super) fn hand_out_stored(&mut self, id: SessionId) {
        let Some(session) = self.sessions.get_mut(&id) else {
            return;
        };
        let ready = session.connection().is_some() && session.takes_messages().is_some();
        let local = session.address.local().unwrap_or_default();
        let Some(account) = self.accounts.get_mut(local).filter(|_| ready) else {
            return;
        };
        // Half, so that live traffic finds the other half.
        let stanzas = (self
            .limits
            .outbound_stanzas
            .min(self.limits.unacked_stanzas)
            / 2)
        .max(1);
        let bytes = self.limits.outbound_bytes.min(self.limits.unacked_bytes) / 2;
        while session.outbound.len() < stanzas
            && (session.outbound.bytes() < bytes || session.outbound.len() == 0)
            && let Some(stored) = account.offline.hand_out(id)
        {
            session.outbound.push(super::Held {
                letter: stored.letter,
                since: stored.since,
                stored: Some(stored.id),
                own: false,
            });
        }
    }

    /// A stored message has arrived, or is gone for another reason.
    pub(super) fn forget_stored(&mut self, local: &str, id: StoredId) {
        if let Some(account) = self.accounts.get_mut(local)
            && account.offline.remove(id)
        {
            self.outputs.push_back(Output::Persist(Persist::Remove(id)));
        }
    }

    /// Adds when it was sent (XEP-0203), unless the hub has done so before.
    fn stamp_delay(&self, message: &mut Message, since: SystemTime) {
        let stamped = message
            .payloads
            .iter()
            .any(|p| Delay::matches(p) && p.attr("from") == Some(self.domain.as_str()));
        if !stamped {
            let delay = Delay {
                from: Some(self.domain.clone()),
                stamp: stamp(since),
                reason: None,
            };
            message.payloads.push(delay.to_element());
        }
    }

    /// Tells the sender, unless the message is itself such news (RFC 6120 §8.3.1).
    pub(super) fn bounce(&mut self, now: Now, message: &Message, error: StanzaError) -> Fate {
        if message.kind == MessageType::Error {
            return Fate::Dropped;
        }
        let Some(Place::Session(sender)) = message.header.from.as_ref().map(|f| self.locate(f))
        else {
            return Fate::Dropped;
        };
        let news = Message {
            header: message.header.reply(),
            kind: MessageType::Error,
            payloads: vec![error.to_element()],
        };
        match self.enqueue(now, sender, &news.to_element()) {
            Ok(()) => Fate::Bounced,
            // Smaller than what the sender sent.
            Err(_) => Fate::Dropped,
        }
    }
}

/// Whether a message may be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Storing {
    Allowed,
    /// The sender said so (XEP-0334 §5.2).
    Forbidden,
    /// Only a chat state (XEP-0160 §3).
    Pointless,
}

impl Storing {
    fn of(message: &Message) -> Self {
        let hints = || message.payloads.iter().filter_map(Hint::from_element);
        if hints().any(|h| h == Hint::NoStore) {
            return Self::Forbidden;
        }
        let means_nothing_later = |p: &Element| {
            p.ns() == CHAT_STATES || p.is("thread", ns::CLIENT) || p.ns() == ns::HINTS
        };
        let states_only = message.payloads.iter().any(|p| p.ns() == CHAT_STATES)
            && message.payloads.iter().all(means_nothing_later);
        if states_only && !hints().any(|h| h == Hint::Store) {
            return Self::Pointless;
        }
        Self::Allowed
    }
}

pub(super) const fn unavailable() -> StanzaError {
    StanzaError::new(ErrorType::Cancel, DefinedCondition::ServiceUnavailable)
}

/// With what the hub had to add, or written with its own prefixes, the stanza is more
/// than a client must take.
pub(super) const fn too_large() -> StanzaError {
    StanzaError::new(ErrorType::Modify, DefinedCondition::PolicyViolation)
}

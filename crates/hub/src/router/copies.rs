//! Carbons (XEP-0280): copies of an account's messages for those of its sessions that want
//! them and have the message neither sent nor received themselves.

use stanchion_stanza::payload::carbons::{Carbon, Private};
use stanchion_stanza::payload::forward::Forwarded;
use stanchion_stanza::payload::hints::Hint;
use stanchion_stanza::payload::sid::StanzaId;
use stanchion_stanza::stanza::MessageType;
use stanchion_stanza::{Message, Payload as _, Stanza, Text, ns};

use super::{Now, Router, SessionId};

/// §6.1: whether a message is copied.
pub(super) fn is_copied(message: &Message) -> bool {
    let private = message
        .payloads
        .iter()
        .any(|p| Private::matches(p) || Hint::from_element(p) == Some(Hint::NoCopy));
    let says = || {
        let marks = [ns::RECEIPTS, ns::CHAT_STATES, ns::MARKERS];
        message.body().is_some() || message.payloads.iter().any(|p| marks.contains(&p.ns()))
    };
    !private
        && match message.kind {
            MessageType::Chat => true,
            MessageType::Normal => says(),
            _ => false,
        }
}

impl Router {
    /// §7: copies of what `local` received, but for those sessions that have it.
    pub(super) fn copy_received(
        &mut self,
        now: Now,
        local: &str,
        message: &Message,
        have: &[SessionId],
    ) {
        self.copy(now, local, message, have, Carbon::Received);
    }

    /// §8: copies of what a session of `local` sent, with its id in the archive.
    pub(super) fn copy_sent(
        &mut self,
        now: Now,
        local: &str,
        message: &Message,
        sender: SessionId,
        archived: Option<Text>,
    ) {
        let mut message = message.clone();
        if let (Some(id), Some(by)) = (archived, self.bare(local)) {
            let by = by.into();
            message.payloads.push(StanzaId { id, by }.to_element());
        }
        self.copy(now, local, &message, &[sender], Carbon::Sent);
    }

    fn copy(
        &mut self,
        now: Now,
        local: &str,
        message: &Message,
        but: &[SessionId],
        kind: fn(Forwarded) -> Carbon,
    ) {
        let (Some(account), Some(from)) = (self.accounts.get(local), self.bare(local)) else {
            return;
        };
        let wants = |id: &SessionId| self.sessions.get(id).is_some_and(|s| s.copies);
        let sessions = account.sessions.iter().copied();
        let wanting: Vec<_> = sessions
            .filter(|id| !but.contains(id) && wants(id))
            .collect();
        if wanting.is_empty() {
            return;
        }
        let carbon = kind(Forwarded::of(&Stanza::Message(message.clone()))).to_element();
        for id in wanting {
            let Some(session) = self.sessions.get(&id) else {
                continue;
            };
            let mut copy = Message::chat((*session.address).clone()).with_payload(carbon.clone());
            copy.kind = message.kind;
            copy.header.from = Some(from.clone().into());
            // One that is too large for a client is not copied; it is in the archive.
            if let Ok(letter) = self.letter(&copy.to_element()) {
                self.enqueue_own(id, letter, now.wall);
            }
        }
    }
}

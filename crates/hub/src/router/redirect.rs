//! New places for the stanzas that an ended session still held (XEP-0198 §5, "as if
//! the user were offline"): other sessions, offline storage, or back to the sender.

use stanchion_stanza::payload::mam::ArchiveResult;
use stanchion_stanza::stanza::{MessageType, StanzaError};
use stanchion_stanza::{Iq, Limits, Message, Payload as _, Scope, Stanza, codec::parse_element};

use super::message::unavailable;
use super::outbound::Held;
use super::session::Session;
use super::{Fate, Now, Router};

impl Router {
    /// In order, each with the time it was first sent.
    pub(super) fn redirect(&mut self, now: Now, session: Session) {
        let local = session.local().to_owned();
        let address = session.address;
        for held in session.outbound.into_held() {
            if let Some(stored) = held.stored {
                if let Some(account) = self.accounts.get_mut(&local) {
                    account.offline.take_back(stored);
                }
                continue;
            }
            if held.own || !held.letter.is_last_hope() {
                continue;
            }
            let Some(stanza) = self.read(&held) else {
                continue;
            };
            match stanza {
                Stanza::Message(message) => {
                    self.redirect_message(now, &local, message, &held);
                }
                Stanza::Iq(iq) => self.bounce_iq(now, &iq, unavailable()),
                Stanza::Presence(_) => {}
            }
        }
        tracing::debug!(%address, "session ended");
        if let Some(account) = self.accounts.get(&local) {
            self.touched.extend(account.sessions.iter().copied());
        }
    }

    fn redirect_message(&mut self, now: Now, local: &str, message: Message, held: &Held) -> Fate {
        // A page of an archive is asked for again.
        if message.payloads.iter().any(ArchiveResult::matches) {
            return Fate::Dropped;
        }
        match message.kind {
            MessageType::Chat | MessageType::Normal if !self.accounts.contains_key(local) => {
                self.bounce(now, &message, unavailable())
            }
            MessageType::Chat | MessageType::Normal => {
                self.message_to_account(now, local, message, held.since)
            }
            MessageType::Groupchat => self.bounce(now, &message, unavailable()),
            MessageType::Headline | MessageType::Error => Fate::Dropped,
        }
    }

    /// RFC 6121 §8.5.3.2.3: requests are refused, answers dropped.
    pub(super) fn bounce_iq(&mut self, now: Now, iq: &Iq, error: StanzaError) {
        if !iq.is_request() {
            return;
        }
        if let Some(from) = &iq.header.from
            && let super::Place::Session(sender) = self.locate(from)
        {
            // Smaller than the request.
            let _ = self.enqueue(now, sender, &iq.refuse(error).to_element());
        }
    }

    /// A letter's stanza. The hub wrote it, so it can be read.
    pub(super) fn read(&self, held: &Held) -> Option<Stanza> {
        let limits: Limits = self.limits.outbound();
        let element = parse_element(held.letter.bytes(), &Scope::client(), &limits).ok()?;
        Stanza::from_element(element).ok()
    }
}

//! A message as the application gives it, and the stanza made of it.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use stanchion_stanza::payload::delivery::Channel;
use stanchion_stanza::payload::hints::Hint;
use stanchion_stanza::payload::receipts::Request;
use stanchion_stanza::payload::sid::OriginId;
use stanchion_stanza::{
    BareJid, Element, Encoder, Jid, Limits, Message, Payload as _, Scope, Text, codec::EncodeError,
    stanza::MessageType, xml::InvalidChar,
};
use uuid::Uuid;

use crate::engine::{MAX_STANZA, Mode};
use crate::lane::Lane;
use crate::protection::Protection;

/// Bytes that most stanzas find room in without a second allocation.
const ROOM: usize = 512;
static ENCODER: LazyLock<Encoder> = LazyLock::new(|| {
    Encoder::new(
        Scope::client(),
        Limits::default().with_stanza_bytes(MAX_STANZA),
    )
});
static REQUEST: LazyLock<Element> = LazyLock::new(|| Request.to_element());

/// A message to be delivered reliably.
///
/// ```
/// use std::time::Duration;
/// use stanchion_reliability::session::Outgoing;
/// let reading = Outgoing::text("cloud@example.org".parse()?, "21.5")?.within(Duration::from_secs(30));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Outgoing {
    message: Message,
    within: Option<Duration>,
    protection: Protection,
    mode: Mode,
    replaces: Option<String>,
    id: Option<String>,
}

/// A message that nobody could send.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidMessage {
    /// Its text cannot be written in XML.
    #[error("the text cannot be sent: {0}")]
    Text(#[from] InvalidChar),
    /// It is too big or too deep.
    #[error("the message cannot be sent: {0}")]
    Limits(#[from] EncodeError),
}

impl Outgoing {
    /// A chat message with that body.
    ///
    /// # Errors
    /// [`InvalidMessage::Text`] on a character that XML forbids.
    pub fn text(to: Jid, body: impl Into<String>) -> Result<Self, InvalidMessage> {
        Ok(Self::of(Message::chat(to).with_body(Text::new(body)?)))
    }

    /// A chat message with payloads and no body.
    #[must_use]
    pub fn payload(to: Jid, payload: Element) -> Self {
        Self::of(Message::chat(to).with_payload(payload))
    }

    /// A message with that body to a room (XEP-0045), which its account has joined. See
    /// [`Mode::Room`](crate::engine::Mode::Room) for what its outcomes mean.
    ///
    /// # Errors
    /// [`InvalidMessage::Text`] on a character that XML forbids.
    pub fn room(room: BareJid, body: impl Into<String>) -> Result<Self, InvalidMessage> {
        let mut message = Message::chat(room.into()).with_body(Text::new(body)?);
        message.kind = MessageType::Groupchat;
        let mode = Mode::Room;
        Ok(Self {
            mode,
            ..Self::of(message)
        })
    }

    fn of(message: Message) -> Self {
        Self {
            message,
            within: None,
            protection: Protection::default(),
            mode: Mode::default(),
            replaces: None,
            id: None,
        }
    }

    /// The same, in that lane. Default [`Lane::Control`].
    #[must_use]
    pub fn lane(self, lane: Lane) -> Self {
        match lane.channel() {
            Ok(channel) => self.on(channel),
            Err(_) => self,
        }
    }

    /// The same, on that channel: messages of one channel to one recipient take effect in
    /// order, and those of different channels do not wait for each other. The channels of
    /// the [lanes](Self::lane) have a rank; any other one ranks with [`Lane::Control`].
    #[must_use]
    pub fn on(mut self, channel: Channel) -> Self {
        self.mode = Mode::ExactlyOnce(channel);
        self
    }

    /// The same, on that channel, which keeps no order: no message waits for another one,
    /// and the newest of those that may be on their way at a time goes first; what a lost
    /// connection had, and the server had not, follows it. Each still takes effect once.
    /// What a channel keeps is fixed by its first message to a
    /// recipient; one that asks for the other is
    /// [refused](crate::engine::Refusal::OtherOrder).
    #[must_use]
    pub fn unordered(mut self, channel: Channel) -> Self {
        self.mode = Mode::Unordered(channel);
        self
    }

    /// The same, once or not at all: kept nowhere, sent once, and never asked after. For
    /// what the next message makes worthless. It goes out on the stream there is; with a
    /// [time](Self::within) it may wait so long for one, in memory. Its outcome is
    /// [`Transmitted`](crate::Outcome::Transmitted) or
    /// [`NotDelivered`](crate::Outcome::NotDelivered). Servers are asked not to keep it for
    /// a recipient that is away (XEP-0334). At the recipient a message with a body is
    /// handed over as any other; one with payloads alone is a
    /// [transient](super::SessionEvent::Transient) stanza.
    #[must_use]
    pub fn at_most_once(mut self) -> Self {
        self.mode = Mode::AtMostOnce;
        self
    }

    /// The same, in place of older messages to the same recipient, on the same channel and
    /// with the same key, that were never given to a connection: they are
    /// [`NotDelivered::Replaced`](crate::outcome::NotDelivered::Replaced). Of readings that
    /// pile up while there is no connection, the last one is sent. The key is the
    /// sender's own affair and not sent; messages of an earlier process, and those that
    /// wait in the store alone, are not replaced.
    #[must_use]
    pub fn replaces_older(mut self, key: impl Into<String>) -> Self {
        self.replaces = Some(key.into());
        self
    }

    /// The same, at least once and in any order: it is sent until a receipt comes, and
    /// may be received more than once.
    #[must_use]
    pub fn at_least_once(mut self) -> Self {
        self.mode = Mode::AtLeastOnce;
        self
    }

    /// The same, with one more payload.
    #[must_use]
    pub fn with_payload(mut self, payload: Element) -> Self {
        self.message.payloads.push(payload);
        self
    }

    /// The same, with a time by which there must be an outcome. Default: none; the
    /// message is tried until it is delivered.
    #[must_use]
    pub fn within(mut self, time: Duration) -> Self {
        self.within = Some(time);
        self
    }

    /// The same, with what a stream must meet to carry it. Default: the strictest, that
    /// it is encrypted and leads to the server of the account's domain.
    ///
    /// Until there is such a stream it waits, and with it all that is sent on the same
    /// channel after it; what goes elsewhere does not. If there is none in time, it is
    /// [`NotDelivered::Unprotected`](crate::outcome::NotDelivered::Unprotected).
    #[must_use]
    pub const fn protection(mut self, protection: Protection) -> Self {
        self.protection = protection;
        self
    }

    /// The same, with its id given now and not when it is sent, and that id: for who notes
    /// the message before it is sent. It is one message from here on: send it once, and no
    /// clone of it.
    #[must_use]
    pub fn with_id(mut self) -> (Self, String) {
        let id = Uuid::now_v7().to_string();
        self.id = Some(id.clone());
        (self, id)
    }

    /// The message as it is so far.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.message
    }

    /// Gives it an id and what asks for its receipt.
    pub(super) fn prepare(self) -> Result<Prepared, InvalidMessage> {
        let id = self.id.unwrap_or_else(|| Uuid::now_v7().to_string());
        let text = Text::new(id.as_str())?;
        let mut message = self.message.with_id(text.clone());
        message.payloads.push(OriginId { id: text }.to_element());
        if self.mode == Mode::AtMostOnce {
            message.payloads.push(Hint::NoStore.to_element());
        } else if message.body().is_none() {
            message.payloads.push(Hint::Store.to_element());
        }
        // The last one: it is left out where the recipient answers by verdicts.
        if !matches!(self.mode, Mode::Room | Mode::AtMostOnce) {
            message.payloads.push(REQUEST.clone());
        }
        let mut stanza = Vec::with_capacity(ROOM);
        message.encode(&ENCODER, &mut stanza)?;
        Ok(Prepared {
            id,
            to: message.header.to,
            stanza: stanza.into(),
            within: self.within,
            protection: self.protection,
            mode: self.mode,
            replaces: self.replaces,
        })
    }
}

/// A message ready for the outbox.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) id: String,
    pub(super) to: Option<Jid>,
    pub(super) stanza: Bytes,
    pub(super) within: Option<Duration>,
    pub(super) protection: Protection,
    pub(super) mode: Mode,
    pub(super) replaces: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_carries_what_makes_it_reliable() {
        let prepared = Outgoing::text("a@b".parse().unwrap(), "x")
            .unwrap()
            .prepare()
            .unwrap();
        let stanza = std::str::from_utf8(&prepared.stanza).unwrap();
        for part in [
            "urn:xmpp:receipts",
            "urn:xmpp:sid:0",
            "type='chat'",
            &prepared.id,
        ] {
            assert!(stanza.contains(part), "{stanza}");
        }
    }

    #[test]
    fn an_id_that_is_given_early_is_the_one_that_is_sent() {
        let (message, id) = Outgoing::text("a@b".parse().unwrap(), "x")
            .unwrap()
            .with_id();
        assert_eq!(message.prepare().unwrap().id, id);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_before_it_is_kept() {
        assert!(matches!(
            Outgoing::text("a@b".parse().unwrap(), "\u{0}"),
            Err(InvalidMessage::Text(_))
        ));
        let big = Outgoing::text("a@b".parse().unwrap(), "x".repeat(300_000)).unwrap();
        assert!(matches!(big.prepare(), Err(InvalidMessage::Limits(_))));
    }
}

//! What of a message goes into the history, as plain data: made by whoever sees it, carried
//! out in the store's transaction by `write`.

use sha2::{Digest as _, Sha256};
use stanchion_reliability::store::WallTime;
use stanchion_stanza::payload::correction::Replace;
use stanchion_stanza::payload::datetime;
use stanchion_stanza::payload::delay::Delay;
use stanchion_stanza::payload::markers::Markable;
use stanchion_stanza::payload::reply::Reply;
use stanchion_stanza::payload::sid::{OriginId, StanzaId};
use stanchion_stanza::stanza::MessageType;
use stanchion_stanza::{BareJid, Jid, Message, Payload as _, Text, ns};

use super::entry::{Direction, Progress};

/// A change of the history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// A message came, or was sent.
    Message(Box<MessageNote>),
    /// What became of a message of our own.
    Progress {
        /// Its id.
        id: String,
        /// How far it is.
        progress: Progress,
        /// Why.
        why: Option<String>,
    },
    /// A message that was to be sent is not in the outbox: it was not sent, or its record is
    /// too old.
    Unsent {
        /// Its id.
        id: String,
    },
    /// The other side displayed all of our messages up to this one (XEP-0333).
    Displayed {
        /// The conversation.
        conversation: BareJid,
        /// The message's id.
        id: String,
    },
    /// Another device of our account displayed all messages up to this one.
    ReadElsewhere {
        /// The conversation.
        conversation: BareJid,
        /// The message's id.
        id: String,
    },
}

/// A message for the history.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MessageNote {
    /// With whom.
    pub conversation: BareJid,
    /// Whose.
    pub direction: Direction,
    /// Who wrote it; none if it was this device.
    pub author: Option<Jid>,
    /// Whether only the very same address may correct it, as in rooms.
    pub by_full_address: bool,
    /// What tells it from its copies.
    pub key: String,
    /// Its id.
    pub id: Option<String>,
    /// Its origin id.
    pub origin_id: Option<String>,
    /// Its id in our archive.
    pub archive_id: Option<String>,
    /// Its thread.
    pub thread: Option<String>,
    /// What it answers.
    pub reply_to: Option<String>,
    /// What it corrects.
    pub replaces: Option<String>,
    /// The text.
    pub body: String,
    /// Whether its sender would like to know when it was displayed.
    pub markable: bool,
    /// When it was sent.
    pub at: WallTime,
    /// How far it is; of our own.
    pub progress: Option<Progress>,
}

impl MessageNote {
    /// A message that was received at `now`; `None` if it has no text or no sender, or is an
    /// error.
    #[must_use]
    pub fn received(message: &Message, now: WallTime) -> Option<Self> {
        let author = message.header.from.clone()?;
        let account = message.header.to.as_ref().map(Jid::to_bare);
        let with = author.to_bare();
        Self::of(message, with, Direction::In, Some(author), account, now)
    }

    /// A message that our account sent, from whichever of its devices; the account is needed
    /// to believe what its archive says.
    #[must_use]
    pub fn sent(
        message: &Message,
        account: Option<&BareJid>,
        now: WallTime,
        how: Progress,
    ) -> Option<Self> {
        let to = message.header.to.as_ref()?.to_bare();
        let author = message.header.from.clone();
        let account = account.cloned();
        let note = Self::of(message, to, Direction::Out, author, account, now)?;
        Some(Self {
            progress: Some(how),
            ..note
        })
    }

    fn of(
        message: &Message,
        conversation: BareJid,
        direction: Direction,
        author: Option<Jid>,
        account: Option<BareJid>,
        now: WallTime,
    ) -> Option<Self> {
        if message.kind == MessageType::Error {
            return None;
        }
        let body = message.body()?.into_owned();
        let text = |id: Option<Text>| id.map(|id| id.as_str().to_owned());
        let id = text(message.header.id.clone());
        let origin_id = text(message.payload::<OriginId>().ok().flatten().map(|o| o.id));
        let thread = message.payloads.iter().find(|p| p.is("thread", ns::CLIENT));
        let reply = message.payload::<Reply>().ok().flatten();
        let replace = message.payload::<Replace>().ok().flatten();
        let note = Self {
            key: String::new(),
            conversation,
            direction,
            author,
            by_full_address: message.kind == MessageType::Groupchat,
            id,
            origin_id,
            archive_id: account.as_ref().and_then(|by| archive_id(message, by)),
            thread: thread.map(|t| t.text().into_owned()),
            reply_to: text(reply.map(|reply| reply.id)),
            replaces: text(replace.map(|replace| replace.id)),
            body,
            markable: message.payloads.iter().any(Markable::matches),
            at: sent_at(message, account.as_ref(), now),
            progress: None,
        };
        Some(note.told_by())
    }
}

impl MessageNote {
    /// An origin id is unique; a plain id with the text is as good as one. A message without
    /// either is told by its text and its time.
    fn told_by(mut self) -> Self {
        // The people in a room share the conversation.
        let by = self.author.as_ref().filter(|_| self.by_full_address);
        let by = by.map_or("", |author| author.as_str());
        let digest = || Text::base64(&Sha256::digest(self.body.as_bytes()));
        self.key = match (&self.origin_id, &self.id) {
            (Some(origin), _) => format!("o {by} {origin}"),
            (None, Some(id)) => format!("m {by} {id} {}", digest()),
            (None, None) => format!("t {by} {} {}", self.at.as_unix_ms(), digest()),
        };
        self
    }
}

/// The id that the archive of `by` gave (XEP-0313 §3.5). Servers remove those that others
/// made up.
pub(crate) fn archive_id(message: &Message, by: &BareJid) -> Option<String> {
    let ids = message.payloads.iter().filter(|p| StanzaId::matches(p));
    let mut ids = ids.filter_map(|p| StanzaId::from_element(p).ok());
    let own = ids.find(|id| id.by.as_str() == by.as_str())?;
    Some(own.id.as_str().to_owned())
}

/// When it was sent: what our own server says of a message that it held back or has from
/// the archive, else now. Others could date their messages as they like.
fn sent_at(message: &Message, account: Option<&BareJid>, now: WallTime) -> WallTime {
    let ours = |from: &Jid| {
        account.is_some_and(|a| from.as_str() == a.as_str() || from.as_str() == a.domain())
    };
    let delays = message.payloads.iter().filter(|p| Delay::matches(p));
    let delays = delays.filter_map(|p| Delay::from_element(p).ok());
    let delays = delays.filter(|delay| delay.from.as_ref().is_some_and(ours));
    let times = delays.filter_map(|delay| datetime::unix_ms(&delay.stamp));
    let first = times.min().map_or(now, WallTime::from_unix_ms);
    first.min(now)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: WallTime = WallTime::from_unix_ms(1_700_000_000_000);

    fn message(payloads: &str) -> Message {
        let xml = format!(
            "<message from='a@far.example/x' to='me@near.example/y' type='chat' id='1'>\
             <body>b</body>{payloads}</message>"
        );
        let scope = stanchion_stanza::Scope::client();
        let limits = stanchion_stanza::Limits::default();
        let element = stanchion_stanza::codec::parse_element(xml.as_bytes(), &scope, &limits);
        Message::from_element(element.unwrap()).unwrap()
    }

    #[test]
    fn only_our_own_server_says_when_a_message_was_sent() {
        let stamped = |from: &str| {
            message(&format!(
                "<delay xmlns='urn:xmpp:delay' from='{from}' stamp='2023-11-14T00:00:00Z'/>"
            ))
        };
        let at = |message: &Message| MessageNote::received(message, NOW).unwrap().at;
        let then = WallTime::from_unix_ms(1_699_920_000_000);
        for from in ["near.example", "me@near.example"] {
            assert_eq!(at(&stamped(from)), then, "{from}");
        }
        for from in ["far.example", "a@far.example/x", "me@near.example/y"] {
            assert_eq!(at(&stamped(from)), NOW, "{from}");
        }
        let future =
            "<delay xmlns='urn:xmpp:delay' from='near.example' stamp='2999-01-01T00:00:00Z'/>";
        assert_eq!(at(&message(future)), NOW);
    }

    #[test]
    fn an_archive_id_is_ours_or_none() {
        let id = |by: &str| {
            let id = format!("<stanza-id xmlns='urn:xmpp:sid:0' by='{by}' id='z'/>");
            MessageNote::received(&message(&id), NOW)
                .unwrap()
                .archive_id
        };
        assert_eq!(id("me@near.example").as_deref(), Some("z"));
        for by in ["far.example", "a@far.example", "near.example"] {
            assert_eq!(id(by), None, "{by}");
        }
    }

    #[test]
    fn what_has_no_text_or_is_an_error_is_not_history() {
        let mut plain = message("");
        plain.payloads.clear();
        assert_eq!(MessageNote::received(&plain, NOW), None);
        let mut error = message("");
        error.kind = MessageType::Error;
        assert_eq!(MessageNote::received(&error, NOW), None);
    }

    #[test]
    fn copies_have_one_key_and_others_have_another() {
        let key = |message: &Message| MessageNote::received(message, NOW).unwrap().key;
        let origin = "<origin-id xmlns='urn:xmpp:sid:0' id='o'/>";
        let mut copy = message(origin);
        copy.header.id = Text::new("2").ok();
        assert_eq!(key(&copy), key(&message(origin)));
        assert_ne!(key(&message("")), key(&message(origin)));
        let mut other = message("");
        other.header.id = Text::new("2").ok();
        assert_ne!(key(&other), key(&message("")));
    }
}

//! What a message is to us that an archive has, or that another device of our account sent
//! or received: one to be taken in as if it had come here, or something for the history.

use stanchion_reliability::store::WallTime;
use stanchion_stanza::payload::datetime;
use stanchion_stanza::payload::delay::Delay;
use stanchion_stanza::payload::delivery::{Deliver, Place};
use stanchion_stanza::payload::markers::Displayed;
use stanchion_stanza::payload::sid::StanzaId;
use stanchion_stanza::stanza::MessageType;
use stanchion_stanza::{BareJid, Jid, Message, Payload as _, Text, ns};

use crate::history::{MessageNote, Note, Progress};

/// What to do with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reading {
    /// Give it to the engine.
    Deliver(Box<Message>),
    /// Note it.
    Note(Note),
    /// It says nothing.
    Nothing,
}

/// Whose eyes it is read with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) account: &'a BareJid,
    /// Which device we are in the delivery protocol.
    pub(super) place: Option<&'a Place>,
    pub(super) now: WallTime,
    /// Whether it is a copy of what another device has for sure.
    pub(super) copy: bool,
}

impl Reader<'_> {
    /// A message of our account, as its server or archive shows it.
    pub(super) fn read(self, message: Message) -> Reading {
        if matches!(message.kind, MessageType::Error | MessageType::Groupchat) {
            return Reading::Nothing;
        }
        let Some(from) = message.header.from.as_ref().map(Jid::to_bare) else {
            return Reading::Nothing;
        };
        let to = message.header.to.as_ref().map(Jid::to_bare);
        let inward = to.as_ref().is_none_or(|to| to == self.account);
        match (from == *self.account, inward, to) {
            (_, true, _) => self.inward(message, from),
            (true, false, Some(to)) => self.outward(&message, to),
            // Neither from us nor to us.
            _ => Reading::Nothing,
        }
    }

    fn inward(self, message: Message, from: BareJid) -> Reading {
        if self.is_anothers(&message) {
            // That device acts on it, and answers; here it is to be read.
            return match MessageNote::received(&message, self.now) {
                Some(note) => Reading::Note(Note::Message(Box::new(note))),
                None => Reading::Nothing,
            };
        }
        if message.body().is_none()
            && let Ok(Some(Displayed { id })) = message.payload::<Displayed>()
        {
            return Reading::Note(Note::Displayed {
                conversation: from,
                id: id.as_str().to_owned(),
            });
        }
        let worth = [ns::DELIVERY, ns::RECEIPTS];
        let says = message.payloads.iter().any(|p| worth.contains(&p.ns()));
        match message.body().is_some() || says {
            true => Reading::Deliver(Box::new(message)),
            false => Reading::Nothing,
        }
    }

    /// Whether a message of the delivery protocol is for another device of the account. One
    /// that names none is for whoever gets it, and a copy is of what somebody got.
    fn is_anothers(self, message: &Message) -> bool {
        match message.payload::<Deliver>() {
            Ok(Some(Deliver { to: Some(to), .. })) => {
                self.place.is_none_or(|place| place.device != to.device)
            }
            Ok(Some(_)) => self.copy,
            _ => false,
        }
    }

    fn outward(self, message: &Message, to: BareJid) -> Reading {
        // What this device sent is in its outbox, and in the history if it belongs there.
        let device = message.payloads.iter().find(|p| p.ns() == ns::DELIVERY);
        let device = device.and_then(|p| p.attr("d"));
        if device.is_some() && device == self.place.map(|place| place.device.as_str()) {
            return Reading::Nothing;
        }
        if message.body().is_none()
            && let Ok(Some(Displayed { id })) = message.payload::<Displayed>()
        {
            return Reading::Note(Note::ReadElsewhere {
                conversation: to,
                id: id.as_str().to_owned(),
            });
        }
        match MessageNote::sent(message, Some(self.account), self.now, Progress::Elsewhere) {
            Some(note) => Reading::Note(Note::Message(Box::new(note))),
            None => Reading::Nothing,
        }
    }

    /// Writes on a message what its archive says of it: its id there, and when it came.
    pub(super) fn stamp(self, message: &mut Message, id: &Text, at: Option<WallTime>) {
        let by: Jid = self.account.clone().into();
        message.payloads.retain(|p| {
            let ours = |attr| p.attr(attr) == Some(by.as_str());
            !(StanzaId::matches(p) && ours("by") || Delay::matches(p) && ours("from"))
        });
        let id = id.clone();
        message
            .payloads
            .push(StanzaId { id, by: by.clone() }.to_element());
        let delay = Delay {
            from: Some(by),
            stamp: datetime::utc(at.unwrap_or(self.now).as_unix_ms()),
            reason: None,
        };
        message.payloads.push(delay.to_element());
    }
}

/// Whether a message was [stamped](Reader::stamp): it came from the archive.
pub(super) fn is_archived(message: &Message, account: &BareJid) -> bool {
    let mut delays = message.payloads.iter().filter(|p| Delay::matches(p));
    delays.any(|p| p.attr("from") == Some(account.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::Direction;
    use stanchion_stanza::{Limits, Scope, codec::parse_element};

    fn message(from: &str, to: &str, kind: &str, inside: &str) -> Message {
        let xml =
            format!("<message from='{from}' to='{to}' type='{kind}' id='1'>{inside}</message>");
        let element = parse_element(xml.as_bytes(), &Scope::client(), &Limits::default());
        Message::from_element(element.unwrap()).unwrap()
    }

    fn read_as(copy: bool, from: &str, to: &str, kind: &str, inside: &str) -> Reading {
        let account = "me@near.example".parse().unwrap();
        let now = WallTime::from_unix_ms(1_700_000_000_000);
        let place = Place {
            device: "D1".parse().unwrap(),
            store: "AAAAAAAAAAE".parse().unwrap(),
        };
        let reader = Reader {
            account: &account,
            place: Some(&place),
            now,
            copy,
        };
        reader.read(message(from, to, kind, inside))
    }

    fn read(from: &str, to: &str, kind: &str, inside: &str) -> Reading {
        read_as(false, from, to, kind, inside)
    }

    const ME: &str = "me@near.example/a";
    const PEER: &str = "peer@far.example/x";
    const BODY: &str = "<body>b</body>";

    #[test]
    fn what_came_is_taken_in_and_what_went_out_is_noted() {
        assert!(matches!(read(PEER, ME, "chat", BODY), Reading::Deliver(_)));
        let sent = read(ME, PEER, "chat", BODY);
        let Reading::Note(Note::Message(note)) = sent else {
            panic!("{sent:?}");
        };
        assert_eq!(note.conversation.as_str(), "peer@far.example");
        assert_eq!(note.progress, Some(Progress::Elsewhere));
        let own = read(ME, "me@near.example", "chat", BODY);
        assert!(
            matches!(own, Reading::Deliver(_)),
            "a note to oneself comes in"
        );
    }

    #[test]
    fn what_this_device_sent_is_not_noted_a_second_time() {
        let of = |device: &str| {
            read(
                ME,
                PEER,
                "chat",
                &format!("{BODY}<d xmlns='urn:stanchion:delivery:0' d='{device}'/>"),
            )
        };
        assert_eq!(of("D1"), Reading::Nothing);
        assert!(matches!(of("D2"), Reading::Note(_)));
    }

    #[test]
    fn what_is_for_another_device_is_read_here_and_acted_on_there() {
        let of = |copy: bool, to: &str| {
            let d = format!(
                "{BODY}<d xmlns='urn:stanchion:delivery:0' d='P' {to} e='0.AAAAAA' c='a' n='1' \
                 l='1' i='AAAAAAAB' b='AAAAAA'/>"
            );
            let read = read_as(copy, PEER, ME, "chat", &d);
            match read {
                Reading::Deliver(_) => "engine",
                Reading::Note(Note::Message(note)) if note.direction == Direction::In => "history",
                other => panic!("{other:?}"),
            }
        };
        for copy in [false, true] {
            assert_eq!(of(copy, "t='D2.AAAAAAAAAAE'"), "history");
            assert_eq!(
                of(copy, "t='D1.AAAAAAAAAAI'"),
                "engine",
                "of an earlier store"
            );
        }
        assert_eq!(of(false, ""), "engine", "nobody may have got it");
        assert_eq!(of(true, ""), "history");
    }

    #[test]
    fn markers_go_to_the_history_by_their_direction() {
        let marker = "<displayed xmlns='urn:xmpp:chat-markers:0' id='m'/>";
        let theirs = read(PEER, ME, "chat", marker);
        assert!(
            matches!(theirs, Reading::Note(Note::Displayed { .. })),
            "{theirs:?}"
        );
        let ours = read(ME, PEER, "chat", marker);
        assert!(
            matches!(ours, Reading::Note(Note::ReadElsewhere { .. })),
            "{ours:?}"
        );
    }

    #[test]
    fn errors_rooms_chat_states_and_what_is_not_ours_are_nothing() {
        let state = "<composing xmlns='http://jabber.org/protocol/chatstates'/>";
        for (from, to, kind, inside) in [
            (PEER, ME, "error", BODY),
            (PEER, ME, "groupchat", BODY),
            (PEER, ME, "chat", state),
            (ME, PEER, "chat", state),
            (PEER, "other@far.example", "chat", BODY),
        ] {
            assert_eq!(
                read(from, to, kind, inside),
                Reading::Nothing,
                "{from} {to} {kind}"
            );
        }
    }
}

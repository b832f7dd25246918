//! A room's archive on its way in (XEP-0313): one page at a time, and from it as much at a
//! time as the inbox takes. Owns the page; asking and giving is `room`'s.

use stanchion_stanza::payload::delay::Delay;
use stanchion_stanza::payload::mam::{ArchiveResult, Filter, Fin, Query};
use stanchion_stanza::payload::rsm::{PageRequest, Position};
use stanchion_stanza::payload::sid::StanzaId;
use stanchion_stanza::stanza::MessageType;
use stanchion_stanza::{BareJid, Jid, Message, Payload as _, Stanza, Text};

/// Messages of a page; the engine takes as many at once.
const PAGE: u32 = 50;

/// Where the last page that was asked for begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum From {
    /// After that message.
    After(Text),
    /// With the oldest one.
    Beginning,
    /// With those of that time.
    Time(Text),
}

/// A page that is being read.
#[derive(Debug, Default)]
pub(super) struct Page {
    /// What tells its results from others'.
    queryid: Option<Text>,
    messages: Vec<Message>,
    /// Results so far, unreadable ones included.
    results: u32,
    last: Option<Text>,
    /// There is nothing after it.
    complete: bool,
}

impl Page {
    /// Asks for one.
    pub(super) fn ask(&mut self, queryid: Text, from: &From) -> Query {
        *self = Self {
            queryid: Some(queryid.clone()),
            ..Self::default()
        };
        let (position, start) = match from {
            From::After(id) => (Position::After(id.clone()), None),
            From::Beginning => (Position::First, None),
            From::Time(start) => (Position::First, Some(start.clone())),
        };
        let filter = Filter {
            start,
            ..Filter::default()
        };
        Query {
            queryid: Some(queryid),
            ..Query::of(&filter, PageRequest::of(PAGE, position))
        }
    }

    /// Takes a result, which the room itself sent. Gives whether it is one of this page.
    pub(super) fn take(&mut self, room: &BareJid, result: &ArchiveResult) -> bool {
        if self.queryid.is_none() || result.queryid != self.queryid {
            return false;
        }
        self.results += 1;
        // A room that sends more than was asked for is asked again for the rest.
        if self.results <= PAGE {
            self.last = Some(result.id.clone());
            self.messages.extend(as_received(room, result));
        }
        true
    }

    /// The page ends.
    pub(super) fn ends(&mut self, fin: &Fin) {
        self.queryid = None;
        // Nothing came, so nothing more will.
        self.complete = (fin.complete && self.results <= PAGE) || self.results == 0;
    }

    pub(super) fn is_complete(&self) -> bool {
        self.complete
    }

    /// What is still to be given to the engine.
    pub(super) fn rest(&self) -> &[Message] {
        &self.messages
    }

    /// So many of these are kept.
    pub(super) fn kept(&mut self, count: usize) {
        self.messages.drain(..count.min(self.messages.len()));
    }

    /// The last message of the page.
    pub(super) fn last(&self) -> Option<&Text> {
        self.last.as_ref()
    }
}

/// The message as its room would have sent it: with the time and the id that the archive
/// gave it.
fn as_received(room: &BareJid, result: &ArchiveResult) -> Option<Message> {
    let Ok(Some(Stanza::Message(mut message))) = result.forwarded.stanza() else {
        return None;
    };
    let from = message.header.from.as_ref()?;
    if message.kind != MessageType::Groupchat || from.bare_str() != room.as_str() {
        return None;
    }
    let by_room = |p: &stanchion_stanza::Element, who| p.attr(who) == Some(room.as_str());
    let own = |p: &stanchion_stanza::Element| {
        (StanzaId::matches(p) && by_room(p, "by")) || (Delay::matches(p) && by_room(p, "from"))
    };
    message.payloads.retain(|p| !own(p));
    let room = Jid::from(room.clone());
    if let Some(delay) = &result.forwarded.delay {
        let delay = Delay {
            from: Some(room.clone()),
            stamp: delay.stamp.clone(),
            reason: None,
        };
        message.payloads.push(delay.to_element());
    }
    let id = StanzaId {
        id: result.id.clone(),
        by: room,
    };
    message.payloads.push(id.to_element());
    Some(message)
}

/// Asks for the last message alone: where the archive ends now.
pub(super) fn ask_for_end() -> Query {
    Query::of(&Filter::default(), PageRequest::of(1, Position::Last))
}

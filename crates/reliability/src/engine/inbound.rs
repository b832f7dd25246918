//! What was received and handed to the application, until it commits. Deduplication
//! is the store's, in the transaction that keeps the message; the stream's counter is
//! `management`'s.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};
use stanchion_stanza::payload::delivery::{
    Boot, Channel, Device, Epoch, IdPrefix, Verdict, VerdictState,
};
use stanchion_stanza::payload::hints::Hint;
use stanchion_stanza::payload::receipts::{Received, Request};
use stanchion_stanza::payload::sid::{OriginId, StanzaId};
use stanchion_stanza::stanza::{MessageType, StanzaError};
use stanchion_stanza::{Element, Jid, Message, Payload as _, Text, ns};

use crate::mutant;
use crate::store::InboundKey;

/// What tells a message from its copies; none if it cannot be told.
///
/// An origin id is unique (XEP-0359 §3), and all copies have it: the reflection, the
/// history, the archive, and what is said again since nobody could tell whether it was
/// heard. Next best is the id that a room gave (§5), which nobody else in the room can
/// give. A plain id need not be unique: some clients count from 1 at each start, so there
/// the body must be the same too.
pub(super) fn key(message: &Message) -> Option<InboundKey> {
    let from = message.header.from.as_ref()?;
    let id = match message.payload::<OriginId>() {
        Ok(Some(origin)) => format!("o {}", origin.id),
        _ => {
            if let Some(id) = id_of_room(message, from) {
                // Whoever said it, under whatever name.
                return Some(InboundKey::new(from.bare_str(), format!("r {id}")));
            }
            let digest = Sha256::digest(message.body().unwrap_or_default().as_bytes());
            format!(
                "m {} {}",
                message.header.id.as_ref()?,
                Text::base64(&digest)
            )
        }
    };
    // The people in a room share its bare address, in what they say to one, too: there the
    // room adds its mark (XEP-0045 §7.5).
    let in_room = message.kind == MessageType::Groupchat
        || message.payloads.iter().any(|p| p.is("x", ns::MUC_USER));
    let sender = if in_room {
        from.as_str()
    } else {
        from.bare_str()
    };
    Some(InboundKey::new(sender, id))
}

/// The id that the room of the message gave to it. One that is there twice is somebody
/// else's doing.
fn id_of_room(message: &Message, from: &Jid) -> Option<Text> {
    if message.kind != MessageType::Groupchat {
        return None;
    }
    let ids = message.payloads.iter().filter(|p| StanzaId::matches(p));
    let ids = ids.filter_map(|p| StanzaId::from_element(p).ok());
    let mut own = ids.filter(|id| id.by.as_str() == from.bare_str());
    let id = own.next()?;
    own.next().is_none().then_some(id.id)
}

/// Whether the sender of a message that is sent back sends it again. One that does so
/// whatever it hears needs no answer while the server is behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeated {
    UntilAnswered,
    Never,
}

/// What is needed to answer a message once it is handled.
#[derive(Debug, Clone)]
pub(super) enum Origin {
    /// A plain message.
    Plain {
        key: InboundKey,
        /// Whom to send the receipt to, if one is wanted.
        receipt: Option<Receipt>,
    },
    /// A message of a channel.
    Channel(Seat),
}

impl Origin {
    pub(super) fn key(&self) -> InboundKey {
        match self {
            Self::Plain { key, .. } => key.clone(),
            Self::Channel(seat) => seat.key(),
        }
    }
}

/// The place of a received message in its channel, and whom to answer.
#[derive(Debug, Clone)]
pub(super) struct Seat {
    pub(super) device: Device,
    pub(super) channel: Channel,
    pub(super) epoch: Epoch,
    pub(super) seq: u64,
    pub(super) id: IdPrefix,
    pub(super) boot: Boot,
}

impl Seat {
    /// Where the inbox has it. A device's name is no address, as it has neither `@` nor
    /// dot and stands before a word that no plain message's key begins with.
    pub(super) fn key(&self) -> InboundKey {
        key_of(&self.device, &self.channel, (self.epoch, self.seq))
    }

    pub(super) const fn verdict(&self, state: VerdictState) -> Verdict {
        Verdict {
            seq: self.seq,
            id: self.id,
            state,
        }
    }
}

/// The key of a channel's message.
pub(super) fn key_of(device: &Device, channel: &Channel, at: (Epoch, u64)) -> InboundKey {
    let (Epoch { index, random }, seq) = at;
    let id = format!("d {channel} {index} {random:08x} {seq}");
    InboundKey::new(device.as_str(), id)
}

/// A receipt that is owed (XEP-0184 §5).
#[derive(Debug, Clone)]
pub(super) struct Receipt {
    to: Jid,
    id: Text,
    kind: MessageType,
}

impl Receipt {
    /// What `message` asks for. Never for rooms (XEP-0184 §5.3) nor for errors.
    pub(super) fn wanted_by(message: &Message) -> Option<Self> {
        let asked = message.payloads.iter().any(Request::matches);
        let kind = message.kind;
        if !asked || matches!(kind, MessageType::Groupchat | MessageType::Error) {
            return None;
        }
        Some(Self {
            to: message.header.from.clone()?,
            id: message.header.id.clone()?,
            kind,
        })
    }

    /// The answer to a message that is refused instead, as an error (RFC 6120 §8.3.1).
    pub(super) fn refused(&self, why: StanzaError) -> Element {
        let mut message = Message::chat(self.to.clone())
            .with_id(self.id.clone())
            .with_payload(why.to_element());
        message.kind = MessageType::Error;
        message.to_element()
    }

    /// The receipt as a stanza. It has no id of its own and asks for nothing.
    pub(super) fn to_element(&self) -> Element {
        let kind = match self.kind {
            // A headline is not stored for a sender who is offline at the moment.
            MessageType::Headline => MessageType::Normal,
            kind => kind,
        };
        let receipt = Received {
            id: self.id.clone(),
        };
        // Servers keep a message without body for later only if told so.
        let mut message = Message::chat(self.to.clone())
            .with_payload(receipt.to_element())
            .with_payload(Hint::Store.to_element());
        message.kind = kind;
        message.to_element()
    }
}

/// Messages that the application holds, by order of arrival.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    held: BTreeMap<u64, Origin>,
    /// Places taken by messages that are not there yet.
    promised: usize,
    /// The same, for a page that is being read.
    reserved: usize,
    /// The last message handed over.
    last: u64,
    /// Whether the store has unhandled messages after `last`.
    more_in_store: bool,
    /// Whether they were asked for.
    loading: bool,
    /// Messages that the application decided since: what is read may not show it.
    decided: BTreeSet<u64>,
    /// What the application holds, or what comes next, is to be there alone.
    alone: bool,
    /// Messages that an earlier process had in its hands, and this one has not begun.
    again: BTreeSet<u64>,
}

impl Inbox {
    /// Whether the message that arrived as `arrival` may be handed over now; otherwise
    /// it waits in the store for its turn.
    pub(super) fn hand_over(&mut self, arrival: u64, origin: Origin, room: usize) -> bool {
        if !self.has_room(room) {
            self.more_in_store = true;
            return false;
        }
        self.put(arrival, origin);
        true
    }

    /// Whether another message may be handed over before those in the store.
    pub(super) fn has_room(&self, room: usize) -> bool {
        !self.more_in_store && self.taken() < room
    }

    /// Whether the application may hold another one.
    pub(super) fn has_hands(&self, room: usize) -> bool {
        self.taken() < room && !(self.alone && self.taken() > 0)
    }

    /// Whether more may be read than what is next.
    pub(super) fn has_room_ahead(&self, room: usize) -> bool {
        self.taken() * 4 < room
    }

    /// Whether the application holds anything.
    pub(super) fn is_busy(&self) -> bool {
        self.taken() > 0
    }

    /// From here on the store is read again when the application holds nothing.
    pub(super) const fn wait_alone(&mut self) {
        self.alone = true;
        self.more_in_store = true;
    }

    fn taken(&self) -> usize {
        self.held.len() + self.promised + self.reserved
    }

    /// A place is taken by a message that is being made durable or read.
    pub(super) const fn promise(&mut self) {
        self.promised += 1;
    }

    /// It is there, or does not come.
    pub(super) const fn redeem(&mut self) {
        self.promised = self.promised.saturating_sub(1);
    }

    /// Notes a message that is handed over.
    pub(super) fn put(&mut self, arrival: u64, origin: Origin) {
        self.held.insert(arrival, origin);
        // Earlier ones may wait in the store for their turn.
        if !self.more_in_store || mutant::is("pass-what-waits") {
            self.passed(arrival);
        }
    }

    /// Notes a message that is not read again, even if it cannot be handed over.
    pub(super) fn passed(&mut self, arrival: u64) {
        self.last = self.last.max(arrival);
    }

    /// Notes a message that was handed over already; earlier ones may still come from the
    /// store.
    pub(super) fn carry(&mut self, arrival: u64, origin: Origin) {
        self.held.insert(arrival, origin);
    }

    /// The same, of one that was handed over by an earlier process.
    pub(super) fn carry_again(&mut self, arrival: u64, origin: Origin) {
        self.carry(arrival, origin);
        self.again.insert(arrival);
    }

    /// The messages that an earlier process had too, and that are not begun.
    pub(super) fn again(&self) -> impl Iterator<Item = u64> + '_ {
        self.again.iter().copied()
    }

    /// The application begins with a message. Whether it is the first time in this process
    /// and not the first time of all.
    pub(super) fn begins(&mut self, arrival: u64) -> bool {
        self.again.remove(&arrival)
    }

    /// The messages that the application holds.
    pub(super) fn arrivals(&self) -> impl Iterator<Item = u64> + '_ {
        self.held.keys().copied()
    }

    pub(super) fn take(&mut self, arrival: u64) -> Option<Origin> {
        let origin = self.held.remove(&arrival)?;
        self.again.remove(&arrival);
        if self.loading {
            self.decided.insert(arrival);
        }
        Some(origin)
    }

    pub(super) fn origin(&self, arrival: u64) -> Option<&Origin> {
        self.held.get(&arrival)
    }

    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether the application has the message, or had it when the store was read.
    pub(super) fn holds(&self, arrival: u64) -> bool {
        self.held.contains_key(&arrival) || self.decided.contains(&arrival)
    }

    /// After which message to read from the store, and how many, if there is room for
    /// at least half of what may be held.
    pub(super) fn wants(&mut self, room: usize) -> Option<(u64, usize)> {
        let free = room.saturating_sub(self.taken());
        if !self.more_in_store || self.loading || free * 2 < room || !self.has_hands(room) {
            return None;
        }
        self.loading = true;
        self.decided.clear();
        self.reserved = free;
        Some((self.last, free))
    }

    /// The store was read; `complete` if it has no more.
    pub(super) fn loaded(&mut self, complete: bool) {
        self.loading = false;
        self.alone = false;
        self.reserved = 0;
        self.more_in_store = !complete;
    }

    /// Something waits in the store, as after a start.
    pub(super) const fn look_in_store(&mut self) {
        self.more_in_store = true;
    }
}

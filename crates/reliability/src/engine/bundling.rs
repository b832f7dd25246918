//! Messages to one recipient that share a stanza: which go together, and how they are taken
//! apart where they arrive. A server's work is by the stanza, so this is what makes it carry
//! more; what each message means, and how it is answered, is as if it had come alone.

use bytes::Bytes;
use stanchion_stanza::payload::delay::Delay;
use stanchion_stanza::payload::delivery::{Bundle, Deliver};
use stanchion_stanza::payload::hints::Hint;
use stanchion_stanza::stanza::MessageType;
use stanchion_stanza::{
    Element, Jid, Limits, Message, Payload as _, Scope, Text, codec::parse_element, ns,
};

use super::management::{Carried, Slot, Unacked};
use super::outbox::Wish;
use super::{Engine, Output};
use crate::protection::Protection;

/// Characters of a bundle, at most. Every server takes a stanza of 10,000 bytes (RFC 6120
/// §13.12), so what is wrong with one cannot be its size.
const FULL: usize = 9_500;
/// Before the id of its first message it is the id of a bundle, by which it comes back.
const MARK: char = '+';

/// Messages that are on their way to the stream, by recipient.
#[derive(Debug, Default)]
pub(super) struct Bundles(Vec<Open>);

/// Those to one recipient, in the order in which they go.
#[derive(Debug)]
pub(super) struct Open {
    to: Jid,
    /// Characters.
    size: usize,
    messages: Vec<(u64, Bytes)>,
}

impl Bundles {
    /// Stanzas that these will be.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// One more message; gives the bundle that had no room for it.
    fn put(&mut self, to: Jid, seq: u64, bytes: Bytes, most: usize) -> Option<Open> {
        let size = Bundle::room_for(bytes.len());
        let open = self.0.iter_mut().find(|open| open.to == to);
        let Some(open) = open else {
            let messages = vec![(seq, bytes)];
            self.0.push(Open { to, size, messages });
            return None;
        };
        let full = (open.messages.len() >= most || open.size + size > FULL)
            .then(|| std::mem::take(&mut open.messages));
        let full = full.map(|messages| Open {
            to,
            size: std::mem::take(&mut open.size),
            messages,
        });
        open.size += size;
        open.messages.push((seq, bytes));
        full
    }
}

impl Engine {
    /// How many messages a stanza to its recipient may have, if that message may share one:
    /// only a first copy does. What comes back, or ends a stream, goes alone from then on.
    pub(super) fn shares_stanza(&self, seq: u64) -> Option<(Jid, usize)> {
        let flight = self.outbox.get(seq)?;
        let first = !flight.maybe_sent() && flight.tries == 0 && flight.wish == Wish::Effect;
        if self.config.bundle < 2 || !first || flight.place.is_none() {
            return None;
        }
        let to = &self.outbox.lane(flight.lane)?.to;
        let most = self.outbox.recipient(to)?.bundles.min(self.config.bundle);
        let alone = most < 2 || self.poison.alone().is_some();
        (!alone).then(|| (to.clone(), most.min(Bundle::MAX)))
    }

    /// A message goes out, with others if it may.
    pub(super) fn goes_with(
        &mut self,
        bundles: &mut Bundles,
        shares: Option<(Jid, usize)>,
        seq: u64,
        bytes: Bytes,
    ) {
        let fits = Bundle::room_for(bytes.len()) <= FULL;
        if let Some((to, most)) = shares.filter(|_| fits) {
            if let Some(full) = bundles.put(to, seq, bytes, most) {
                self.send_bundle(full);
            }
            return;
        }
        self.send_bundles(bundles);
        self.send_alone(seq, bytes);
    }

    /// What waited for others does so no longer.
    pub(super) fn send_bundles(&mut self, bundles: &mut Bundles) {
        for open in bundles.0.drain(..) {
            self.send_bundle(open);
        }
    }

    fn send_bundle(&mut self, open: Open) {
        let bytes = (open.messages.len() > 1).then(|| self.bundle(&open));
        let Some(bytes) = bytes.flatten() else {
            for (seq, bytes) in open.messages {
                self.send_alone(seq, bytes);
            }
            return;
        };
        let seqs: Box<[u64]> = open.messages.iter().map(|(seq, _)| *seq).collect();
        let first = seqs.first().copied();
        self.counters.bundled += seqs.len() as u64;
        for seq in &seqs {
            self.outbox.change(*seq, |flight| flight.bundle = first);
        }
        self.to_stream(bytes, Carried::Many(seqs));
    }

    fn send_alone(&mut self, seq: u64, bytes: Bytes) {
        self.to_stream(bytes, Carried::One(seq));
    }

    fn to_stream(&mut self, bytes: Bytes, carries: Carried) {
        self.goes_out(Unacked {
            bytes: bytes.clone(),
            carries,
            asks: Protection::Any,
        });
        self.outputs.push_back(Output::Transmit(bytes));
    }

    fn bundle(&self, open: &Open) -> Option<Bytes> {
        let (first, _) = open.messages.first()?;
        let id = Text::new(format!("{MARK}{}", self.outbox.get(*first)?.id)).ok()?;
        let messages = open.messages.iter().map(|(_, bytes)| bytes.to_vec());
        let bundle = Bundle {
            messages: messages.collect(),
        };
        let message = Message::chat(self.outbox.address(&open.to, 0, false))
            .with_id(id)
            .with_payload(bundle.to_element())
            // Servers keep a message without a body only if told so.
            .with_payload(Hint::Store.to_element());
        let bytes = self.encoder.to_bytes(&message.to_element());
        bytes.ok().map(Bytes::from)
    }

    /// The messages of a bundle that came back: those whose last copy was in it.
    pub(super) fn bundled(&self, id: &str) -> Vec<u64> {
        let first = id.strip_prefix(MARK).and_then(|id| self.outbox.seq_of(id));
        first.map_or_else(Vec::new, |first| self.outbox.bundled(first))
    }

    /// Takes a bundle apart, if it is one: each message is taken as if it had come alone
    /// from where the bundle came from. Nothing but messages of channels is taken.
    pub(super) fn unbundle(&mut self, slot: Slot, outer: &Message) -> bool {
        let Ok(Some(bundle)) = outer.payload::<Bundle>() else {
            return false;
        };
        if outer.header.from.is_none() {
            return false;
        }
        self.management.is_of_parts(slot, bundle.messages.len());
        for (part, bytes) in bundle.messages.iter().enumerate() {
            self.flush_if_full();
            let slot = slot.part(part as u8);
            let message = read_part(outer, bytes);
            if message.is_none_or(|message| self.protocol(slot, message).is_some()) {
                self.counters.ignored += 1;
                self.management.handled(slot);
            }
        }
        true
    }
}

/// A message of a bundle. Who sent it, and when, servers have told of the bundle alone; what
/// they would have said of the message is not believed.
fn read_part(outer: &Message, bytes: &[u8]) -> Option<Message> {
    let element = parse_element(bytes, &Scope::client(), &Limits::default()).ok()?;
    let mut message = Message::from_element(element).ok()?;
    let is_channels = message.payloads.iter().any(Deliver::matches);
    let kind = matches!(
        message.kind,
        MessageType::Chat | MessageType::Normal | MessageType::Headline
    );
    if !kind || !is_channels {
        return None;
    }
    message.header.from.clone_from(&outer.header.from);
    message.header.to.clone_from(&outer.header.to);
    let servers = |payload: &Element| payload.is("stanza-id", ns::SID);
    message.payloads.retain(|payload| !servers(payload));
    let told = outer.payloads.iter();
    let told = told.filter(|payload| servers(payload) || Delay::matches(payload));
    message.payloads.extend(told.cloned());
    Some(message)
}

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

use super::inbound::Repeated;
use super::management::{Carried, Slot, Unacked};
use super::outbox::{Flight, Wish};
use super::{Engine, Output};
use crate::protection::Protection;

/// Bytes of a stanza of several messages, at most, with its addresses. Every server takes
/// 10,000 (RFC 6120 §13.12), and some add words of their own.
const FULL: usize = 9_500;
/// What such a stanza has beside its messages and addresses.
const FRAME: usize = 200;
/// While such stanzas have more bytes than this that the server has not acknowledged, the
/// next ones wait: whatever is urgent and comes now would wait for all of them.
const UNACKED_BYTES: usize = 64 * 1024;
/// With this the id of a bundle begins, by which it comes back.
const MARK: char = '+';
/// A bundle that had so many messages that are not for here, or cannot be read, is taken no
/// further: one stanza must not make us say much.
const IN_VAIN: u64 = 3;
/// Words of servers that are kept with each message of a bundle.
const TOLD: usize = 4;

/// Messages that are on their way to the stream, by recipient.
#[derive(Debug, Default)]
pub(super) struct Bundles {
    open: Vec<Open>,
    /// Of the last message that went out.
    rank: u8,
}

/// Those to one recipient, in the order in which they go.
#[derive(Debug)]
struct Open {
    to: Jid,
    /// Bytes.
    size: usize,
    messages: Vec<(u64, Bytes)>,
}

/// A bundle that is being taken apart.
#[derive(Debug, Default)]
pub(super) struct Apart {
    /// Messages of it that are counted, and were not looked at yet.
    pub(super) unlooked: usize,
    /// There was no room for one of them.
    pub(super) refused: bool,
}

impl Bundles {
    /// Stanzas that these will be.
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    fn bytes(&self) -> usize {
        self.open.iter().map(|open| open.size).sum()
    }

    /// Whether one more message to there fits into what is open, of so many messages and
    /// bytes at most.
    fn has_room(&self, to: &Jid, size: usize, most: (usize, usize)) -> bool {
        let open = self.open.iter().find(|open| open.to == *to);
        open.is_none_or(|open| open.messages.len() < most.0 && open.size + size <= most.1)
    }

    /// The one to there.
    fn take(&mut self, to: &Jid) -> Option<Open> {
        let at = self.open.iter().position(|open| open.to == *to)?;
        Some(self.open.remove(at))
    }

    fn put(&mut self, to: Jid, seq: u64, bytes: Bytes, size: usize) {
        if let Some(open) = self.open.iter_mut().find(|open| open.to == to) {
            open.size += size;
            return open.messages.push((seq, bytes));
        }
        self.open.push(Open {
            size: size + FRAME + 2 * to.as_str().len(),
            to,
            messages: vec![(seq, bytes)],
        });
    }
}

impl Engine {
    /// Whether the server has acknowledged enough for more to go out.
    pub(super) fn may_send_more(&self, bundles: &Bundles) -> bool {
        let unacked = self.management.unacked_bytes() + bundles.bytes();
        self.config.bundle < 2 || unacked < UNACKED_BYTES
    }

    /// To whom, and with how many others in a stanza, that message may go: only a first copy
    /// of what is not urgent. What comes back, or ends a stream, goes alone from then on.
    pub(super) fn shares_stanza(&self, seq: u64) -> Option<(Jid, usize)> {
        let flight = self.outbox.get(seq)?;
        let first = !flight.maybe_sent() && flight.tries == 0 && flight.wish == Wish::Effect;
        if self.config.bundle < 2 || !first || flight.place.is_none() {
            return None;
        }
        let lane = self.outbox.lane(flight.lane)?;
        let recipient = self.outbox.recipient(&lane.to)?;
        let most = recipient.bundles.min(self.config.bundle).min(Bundle::MAX);
        let alone = lane.rank == 0
            || recipient.alone
            || self.poison.no_bundles
            || self.poison.alone().is_some()
            || tells_what_servers_tell(&flight.stanza);
        (most > 1 && !alone).then(|| (lane.to.clone(), most))
    }

    /// A message goes out, with others if it may.
    pub(super) fn goes_with(
        &mut self,
        bundles: &mut Bundles,
        shares: Option<(Jid, usize)>,
        seq: u64,
        bytes: Bytes,
    ) {
        let size = Bundle::room_for(bytes.len());
        let full = FULL.min(self.poison.most_bytes);
        let shares = shares.filter(|(to, _)| size + FRAME + 2 * to.as_str().len() <= full);
        let flight = self.outbox.get(seq);
        if let Some(lane) = flight.and_then(|flight| self.outbox.lane(flight.lane)) {
            // What is more urgent never waits for what is less, and to one recipient none
            // overtakes another.
            if std::mem::replace(&mut bundles.rank, lane.rank) != lane.rank {
                self.send_bundles(bundles);
            } else if shares.is_none()
                && let Some(open) = bundles.take(&lane.to)
            {
                self.send_bundle(open);
            }
        }
        match shares {
            Some((to, most)) => {
                if !bundles.has_room(&to, size, (most, full)) {
                    self.send_bundles(bundles);
                }
                bundles.put(to, seq, bytes, size);
            }
            None => self.put_on_stream(bytes, Carried::One(seq)),
        }
    }

    /// What waited for others does so no longer.
    pub(super) fn send_bundles(&mut self, bundles: &mut Bundles) {
        for open in bundles.open.drain(..) {
            self.send_bundle(open);
        }
    }

    fn send_bundle(&mut self, open: Open) {
        let bytes = (open.messages.len() > 1).then(|| self.bundle(&open));
        let Some(bytes) = bytes.flatten() else {
            for (seq, bytes) in open.messages {
                self.put_on_stream(bytes, Carried::One(seq));
            }
            return;
        };
        let seqs: Box<[u64]> = open.messages.iter().map(|(seq, _)| *seq).collect();
        let number = self.bundles;
        self.bundles = self.bundles.wrapping_add(1);
        self.counters.bundled += seqs.len() as u64;
        for seq in &seqs {
            let goes = |flight: &mut Flight| flight.bundle = Some(number);
            self.outbox.change(*seq, goes);
        }
        self.put_on_stream(bytes, Carried::Many(seqs));
    }

    fn put_on_stream(&mut self, bytes: Bytes, carries: Carried) {
        self.goes_out(Unacked {
            bytes: bytes.clone(),
            carries,
            asks: Protection::Any,
        });
        self.outputs.push_back(Output::Transmit(bytes));
    }

    fn bundle(&self, open: &Open) -> Option<Bytes> {
        let id = Text::new(format!("{MARK}{}.{}", self.boot, self.bundles)).ok()?;
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

    /// The messages of the bundle of that id: those whose last copy was in it.
    pub(super) fn bundled(&self, id: &str) -> Vec<u64> {
        let named = id.strip_prefix(MARK).and_then(|id| id.split_once('.'));
        let ours = named.filter(|(boot, _)| *boot == self.boot.to_string());
        let number = ours.and_then(|(_, number)| number.parse().ok());
        number.map_or_else(Vec::new, |number| self.outbox.bundled(number))
    }

    /// Takes a bundle apart, if it is one: each message is taken as if it had come alone
    /// from where the bundle came from. Nothing but messages of channels is taken.
    pub(super) fn unbundle(&mut self, slot: Slot, outer: &Message) -> bool {
        let Ok(Some(bundle)) = outer.payload::<Bundle>() else {
            return false;
        };
        if outer.header.from.is_none() || outer.payloads.iter().any(Deliver::matches) {
            return false;
        }
        let more = bundle.messages.len() - 1;
        let mut counted = self.management.is_of_parts(slot, bundle.messages.len());
        if slot == Slot::ARCHIVED {
            self.archiving += more;
            counted = true;
        }
        let before = self.counters.ignored;
        let mut refused = false;
        for (part, bytes) in bundle.messages.iter().enumerate() {
            self.flush_if_full();
            let slot = slot.part(part as u8);
            let goes_on = !refused && self.counters.ignored - before < IN_VAIN;
            let message = goes_on.then(|| read_part(outer, bytes)).flatten();
            self.apart = Some(Apart {
                // These are no reason to refuse it.
                unlooked: if counted { more - part } else { 0 },
                refused: false,
            });
            if message.is_none_or(|message| self.protocol(slot, message).is_some()) {
                self.counters.ignored += 1;
                self.management.handled(slot);
            }
            refused |= self.apart.take().is_some_and(|apart| apart.refused);
        }
        if refused {
            self.say_full(slot, outer, Repeated::UntilAnswered);
        }
        true
    }
}

/// Whether it says itself what servers say of messages: that is not believed of what is in
/// a bundle, and would be lost.
fn tells_what_servers_tell(stanza: &[u8]) -> bool {
    let has = |words: &[u8]| stanza.windows(words.len()).any(|there| there == words);
    has(b"urn:xmpp:delay") || has(b"<stanza-id")
}

/// A message of a bundle. Who sent it, and when, servers have told of the bundle alone; what
/// they would have said of the message is not believed.
fn read_part(outer: &Message, bytes: &[u8]) -> Option<Message> {
    let element = parse_element(bytes, &Scope::client(), &Limits::default()).ok()?;
    let mut message = Message::from_element(element).ok()?;
    let said = message.payload::<Deliver>().ok().flatten()?;
    let kind = matches!(
        message.kind,
        MessageType::Chat | MessageType::Normal | MessageType::Headline
    );
    // Who sends bundles knows the device that takes them.
    if !kind || said.to.is_none() {
        return None;
    }
    message.header.from.clone_from(&outer.header.from);
    message.header.to.clone_from(&outer.header.to);
    let servers = |payload: &&Element| payload.is("stanza-id", ns::SID) || Delay::matches(payload);
    message.payloads.retain(|payload| !servers(&payload));
    let told = outer
        .payloads
        .iter()
        .filter(servers)
        .filter(|p| is_short(p));
    message.payloads.extend(told.take(TOLD).cloned());
    Some(message)
}

/// What servers tell is, and it is kept with each message.
fn is_short(payload: &Element) -> bool {
    let attrs: usize = payload.attrs().map(|attr| attr.value().len()).sum();
    attrs + payload.text().len() <= 4096 && payload.children().next().is_none()
}

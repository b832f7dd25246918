//! Recipients and lanes as the store keeps them, this device's own name and addresses,
//! and how a word reaches another device.

use stanchion_stanza::payload::delivery::{Channel, Device, Jids, MAX_NAME_BYTES, Place, StoreTag};
use stanchion_stanza::payload::hints::Hint;
use stanchion_stanza::{BareJid, Element, Jid, Message};

use super::outbox::{LOOSE, Lane, LaneId, Recipient};
use super::{Effect, Engine, Mode};
use crate::delivery::SendingChannel;
use crate::mutant;
use crate::store::{Identity, Op, Opaque};

const SEND: &str = "delivery/send/";
const TO: &str = "delivery/to/";
const SELF: &str = "delivery/self";
/// [`Outbox::floor`](super::outbox::Outbox).
const FLOOR: &str = "delivery/floor";
/// Stanzas that the server may leave unacknowledged before it is told no more words.
pub(super) const WORDS: usize = 768;

/// Who a store is on the wire; none if the device's name does not fit there.
pub(super) fn place_of(identity: &Identity) -> Option<Place> {
    let device = Device::new(&identity.device).ok()?;
    let tag = identity.store_id.0.first_chunk().copied()?;
    Some(Place {
        device,
        store: StoreTag(u64::from_be_bytes(tag)),
    })
}

impl Engine {
    /// Takes a value that an engine wrote before.
    pub(super) fn recall(&mut self, key: &str, value: &Opaque) {
        let text = || std::str::from_utf8(value).ok();
        let understood = if key == SELF {
            self.addresses = text().and_then(addresses_of_text);
            self.addresses.is_some()
        } else if key == FLOOR {
            let floor = text().and_then(|text| text.parse().ok());
            self.outbox.floor = floor.unwrap_or(self.outbox.floor);
            floor.is_some()
        } else if let Some(to) = key.strip_prefix(TO) {
            match (Jid::new(to), text()) {
                (Ok(to), Some(text)) => read_recipient(self.outbox.recipient_mut(&to), text),
                _ => None,
            }
            .is_some()
        } else if let Some((name, to)) = key.strip_prefix(SEND).and_then(|k| k.split_once('/')) {
            self.recall_lane(name, to, value).is_some()
        } else {
            false
        };
        if !understood {
            tracing::error!(key, "what the store has under this key cannot be read");
        }
    }

    fn recall_lane(&mut self, name: &str, to: &str, value: &Opaque) -> Option<()> {
        let (to, channel) = (Jid::new(to).ok()?, Channel::new(name).ok()?);
        let (flags, bytes) = value.split_first()?;
        let state = SendingChannel::from_bytes(bytes).ok()?;
        let id = self.outbox.add_lane(&to, &channel, name, Some(state));
        self.outbox.lane_mut(id)?.unordered = flags & 1 != 0;
        Some(())
    }

    /// A lane that has messages in the store.
    pub(super) fn lane_with_messages(&mut self, to: &str, kept_as: &str) {
        let name = if kept_as.is_empty() { LOOSE } else { kept_as };
        let (Ok(jid), Ok(channel)) = (Jid::new(to), Channel::new(name)) else {
            return tracing::error!(
                to,
                channel = kept_as,
                "the outbox holds messages to an address or on a channel that is none"
            );
        };
        let id = self
            .outbox
            .find_lane(&jid, &channel)
            .unwrap_or_else(|| self.outbox.add_lane(&jid, &channel, kept_as, None));
        let last = self.next_seq.saturating_sub(1);
        if let Some(lane) = self.outbox.lane_mut(id) {
            lane.more_in_store = true;
            lane.last = last;
            self.hungry.insert(id);
        }
    }

    /// A lane had to go for another one. Nothing of it is open, so all that is to be known of
    /// it is which epochs are used up.
    pub(super) fn forget_lane(&mut self, lane: &Lane) {
        if lane.is_loose() {
            return;
        }
        let key = format!("{SEND}{}/{}", lane.name, lane.to);
        self.persist(Op::DeleteMeta { key }, Effect::None);
        let value = self.outbox.floor.to_string().into_bytes().into();
        let key = FLOOR.to_owned();
        self.persist(Op::PutMeta { key, value }, Effect::None);
    }

    /// Under which address the channels to a recipient are.
    ///
    /// They are its account's. Resources come and go, and a device that is addressed now by
    /// its account, now by the resource that a message of its came from, must not see two
    /// senders on one channel. Only a resource that is known to be another device than the
    /// account's has channels of its own; and an address that a known device has registered
    /// leads to that device's.
    pub(super) fn recipient_of(&self, to: &Jid, mode: &Mode) -> Jid {
        let on_a_channel = matches!(mode, Mode::ExactlyOnce(_) | Mode::Unordered(_));
        if !on_a_channel || self.place.is_none() {
            return to.clone();
        }
        let account = to.to_bare();
        let whole = Jid::from(account.clone());
        match self.outbox.recipient(&whole) {
            Some(known) => {
                let here = self.device_at(to);
                let another = matches!((here, &known.place), (Some(here), Some(bound)) if *here != bound.device);
                if another { to.clone() } else { whole }
            }
            None => self
                .outbox
                .registered_at(&account)
                .cloned()
                .unwrap_or(whole),
        }
    }

    /// Which device is at that resource, as far as is known.
    fn device_at(&self, at: &Jid) -> Option<&Device> {
        if at.is_bare() {
            return None;
        }
        let present = self.present.at(at).map(|place| &place.device);
        present.or_else(|| self.correspondents.at(at))
    }

    /// A recipient that has not spoken may have shown itself in presence.
    pub(super) fn bind_by_presence(&mut self, to: &Jid) {
        let place = self.present.at(to).or_else(|| self.present.of(to)).cloned();
        if let Some(place) = place {
            self.bind(to, place);
        }
    }

    /// From now on that device is the recipient, unless another one is.
    pub(super) fn bind(&mut self, to: &Jid, place: Place) {
        if self.outbox.recipient_mut(to).place.is_none() {
            self.rebind(to, place);
        }
    }

    /// From now on the recipient is that device, with that store. Nothing more goes to it
    /// before that is durable: a message that names a store must not go to the next one after
    /// a crash.
    pub(super) fn rebind(&mut self, to: &Jid, place: Place) {
        self.outbox.recipient_mut(to).is_bound_to(place);
        self.write_binding(to);
    }

    /// The write that [`Recipient::is_bound_to`] waits for.
    pub(super) fn write_binding(&mut self, to: &Jid) {
        self.write_recipient(to);
        self.after_all(Effect::Bound(to.clone()));
    }

    /// Who the recipient is, is durable.
    pub(super) fn bound(&mut self, to: &Jid) {
        let recipient = self.outbox.recipient_mut(to);
        recipient.binding = recipient.binding.saturating_sub(1);
        self.outbox.wake_all(to);
    }

    /// The state of a lane goes into the next batch.
    pub(super) fn touch_lane(&mut self, id: LaneId) {
        if let Some(lane) = self.outbox.lane_mut(id)
            && !lane.is_loose()
        {
            lane.dirty = true;
            self.dirty.insert(id);
        }
    }

    pub(super) fn write_lane(&mut self, id: LaneId) {
        let Some(lane) = self.outbox.lane_mut(id) else {
            return;
        };
        lane.dirty = false;
        let mut value = vec![u8::from(lane.unordered)];
        value.extend(lane.channel.to_bytes_with_finals());
        let op = Op::PutMeta {
            key: format!("{SEND}{}/{}", lane.name, lane.to),
            value: value.into(),
        };
        self.persist(op, Effect::None);
    }

    pub(super) fn write_recipient(&mut self, to: &Jid) {
        let Some(recipient) = self.outbox.recipient(to) else {
            return;
        };
        let op = Op::PutMeta {
            key: format!("{TO}{to}"),
            value: recipient_text(recipient).into_bytes().into(),
        };
        self.persist(op, Effect::None);
    }

    /// This device has these addresses from now on.
    pub(super) fn addresses(&mut self, mut jids: Vec<BareJid>) {
        jids.truncate(Jids::MAX);
        let version = self.addresses.as_ref().map_or(0, |known| known.version);
        let same = self.addresses.as_ref().is_some_and(|k| k.jids == jids);
        // A device that has always had one address need not say so.
        let only = self.addresses.is_none() && jids.len() == 1;
        if same || only || jids.is_empty() {
            return;
        }
        let addresses = Jids {
            version: version.saturating_add(1),
            jids,
        };
        let op = Op::PutMeta {
            key: SELF.to_owned(),
            value: addresses_text(&addresses).into_bytes().into(),
        };
        self.addresses = Some(addresses);
        self.persist(op, Effect::None);
    }

    /// This device's addresses, for a peer that knows them up to that version.
    pub(super) fn news_for(&self, knows: u32) -> Option<Jids> {
        self.addresses
            .as_ref()
            .filter(|own| own.version > knows)
            .cloned()
    }

    /// Says something to a device once all that was decided so far is durable.
    pub(super) fn say(&mut self, device: &Device, payload: Element) {
        self.after_all(Effect::Say(device.clone(), Box::new(payload)));
    }

    /// Says it now: where its newest message came from, and at its primary address if
    /// that is another one.
    pub(super) fn say_now(&mut self, device: &Device, payload: &Element) {
        let Some(known) = self.correspondents.get(device) else {
            return;
        };
        let latest = known.latest.clone();
        let primary = known.jids.first().cloned();
        self.control(latest.clone(), payload.clone());
        if let Some(primary) = primary.filter(|primary| primary.as_str() != latest.bare_str()) {
            self.control(primary.into(), payload.clone());
        }
    }

    /// A word of the protocol. Each is said again when somebody asks for it, so that none
    /// needs to be said to a server that takes nothing.
    pub(super) fn control(&mut self, to: Jid, payload: Element) {
        if self.management.unacked() < WORDS {
            self.transmit(&control(to, payload));
        }
    }

    /// Whether the answer may come from there: the recipient's account, or one that its
    /// device has registered.
    pub(super) fn may_answer(&self, to: &Jid, from: &Jid) -> bool {
        to.bare_str() == from.bare_str()
            || mutant::is("answer-any-sender")
            || self
                .outbox
                .recipient(to)
                .is_some_and(|r| r.others.iter().any(|jid| jid.as_str() == from.bare_str()))
    }
}

/// A stanza of the protocol. Servers keep a message without body only if told so.
pub(super) fn control(to: Jid, payload: Element) -> Element {
    Message::chat(to)
        .with_payload(payload)
        .with_payload(Hint::Store.to_element())
        .to_element()
}

/// Lines: device and store, the two versions, and the other addresses.
fn recipient_text(recipient: &Recipient) -> String {
    let mut text = match &recipient.place {
        Some(place) => format!("{} {:016x}", place.device, place.store.0),
        None => "-".to_owned(),
    };
    text.push_str(&format!("\n{} {}", recipient.version, recipient.knows));
    for jid in &recipient.others {
        text.push('\n');
        text.push_str(jid.as_str());
    }
    debug_assert!(text.len() < MAX_NAME_BYTES + 4096 * Jids::MAX);
    text
}

fn read_recipient(recipient: &mut Recipient, text: &str) -> Option<()> {
    let mut lines = text.lines();
    recipient.place = match lines.next()? {
        "-" => None,
        place => {
            let (device, store) = place.split_once(' ')?;
            Some(Place {
                device: Device::new(device).ok()?,
                store: StoreTag(u64::from_str_radix(store, 16).ok()?),
            })
        }
    };
    let (version, knows) = lines.next()?.split_once(' ')?;
    recipient.version = version.parse().ok()?;
    recipient.knows = knows.parse().ok()?;
    recipient.others = lines.map(|l| BareJid::new(l).ok()).collect::<Option<_>>()?;
    Some(())
}

fn addresses_text(addresses: &Jids) -> String {
    let mut text = addresses.version.to_string();
    for jid in &addresses.jids {
        text.push('\n');
        text.push_str(jid.as_str());
    }
    text
}

fn addresses_of_text(text: &str) -> Option<Jids> {
    let mut lines = text.lines();
    let version = lines.next()?.parse().ok()?;
    let jids = lines.map(|l| BareJid::new(l).ok()).collect::<Option<_>>()?;
    Some(Jids { version, jids })
}

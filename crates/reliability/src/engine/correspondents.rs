//! The devices that send to this one: where they may speak from, and what is known of
//! their channels. Bounded, whatever they do; what is kept of them is read and written
//! here.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use stanchion_stanza::payload::delivery::{Channel, Device, Epoch, Jids};
use stanchion_stanza::{BareJid, Jid};

use crate::delivery::{ReceivingChannel, Standing};
use crate::mutant;
use crate::store::{Op, Opaque};

/// Channels of one device.
const CHANNELS: usize = 64;
/// Devices that speak for one account.
const OF_ONE_ACCOUNT: usize = 16;

const DEVICE: &str = "delivery/device/";
const RECEIVE: &str = "delivery/receive/";

/// A channel on which this device receives.
#[derive(Debug, Default)]
pub(super) struct Receiving {
    pub(super) channel: ReceivingChannel,
    pub(super) unordered: bool,
    /// Held messages whose record is durable.
    pub(super) held: BTreeMap<(Epoch, u64), Held>,
    /// Messages that are read from the store to be handed over, or were read and are being
    /// marked.
    pub(super) fetching: BTreeSet<(Epoch, u64)>,
    /// Messages that an earlier process was given and did not commit: they come again
    /// before any later one.
    pub(super) awaited: BTreeSet<(Epoch, u64)>,
    /// Those of them that were found in the inbox before an earlier one, and where.
    pub(super) found: BTreeMap<(Epoch, u64), Found>,
    /// One was late, and none was handed over since: the next may well be late, too.
    pub(super) was_late: bool,
    dirty: bool,
}

/// A held message that can be handed over when it is its turn.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    /// Its place in the inbox.
    pub(super) arrival: u64,
    /// The deadline that a later copy of it said.
    renewed: Option<i64>,
    /// It was late, and its sender was told and has the word.
    late: bool,
}

impl Held {
    pub(super) const fn new(arrival: u64) -> Self {
        Self {
            arrival,
            renewed: None,
            late: false,
        }
    }

    /// A copy of it came that is not late.
    pub(super) fn renew(&mut self, deadline: Option<i64>) {
        self.late = false;
        self.renewed = deadline.or(self.renewed);
    }
}

/// Where a message is that comes again after an earlier one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    /// Its place in the inbox.
    pub(super) arrival: u64,
    /// It is given to the application alone.
    pub(super) suspect: bool,
}

/// A device that sent something.
#[derive(Debug)]
pub(super) struct Correspondent {
    /// Where it may speak from; the first is its primary address.
    pub(super) jids: Vec<BareJid>,
    version: u32,
    /// Where its newest message came from.
    pub(super) latest: Jid,
    /// The newest version of this device's addresses that it knows.
    pub(super) knows: u32,
    pub(super) channels: BTreeMap<Channel, Receiving>,
    dirty: bool,
}

impl Correspondent {
    /// Whether it may speak from there.
    pub(super) fn may_speak_from(&self, from: &Jid) -> bool {
        self.jids.iter().any(|jid| jid.as_str() == from.bare_str())
    }

    /// The version of its addresses that is known.
    pub(super) const fn version(&self) -> u32 {
        self.version
    }

    /// Its addresses, as it announces them from one that is registered.
    pub(super) fn announces(&mut self, jids: &Jids) {
        if jids.version > self.version && !jids.jids.is_empty() {
            self.version = jids.version;
            self.jids.clone_from(&jids.jids);
            self.dirty = true;
        }
    }

    /// Its newest message came from there.
    pub(super) fn speaks_from(&mut self, from: &Jid) {
        if self.latest != *from {
            self.latest = from.clone();
            self.dirty = true;
        }
    }

    /// It knows this device's addresses up to that version.
    pub(super) fn learns(&mut self, version: u32) {
        if self.knows < version {
            self.knows = version;
            self.dirty = true;
        }
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Correspondents {
    most: usize,
    devices: HashMap<Device, Correspondent>,
    /// By their primary addresses.
    of_account: HashMap<BareJid, Vec<Device>>,
    /// Channels and devices that changed since they were written.
    changed: Vec<(Device, Option<Channel>)>,
    /// Some channel waits for what an earlier process was given.
    awaiting: bool,
}

impl Correspondents {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            devices: HashMap::new(),
            of_account: HashMap::new(),
            changed: Vec::new(),
            awaiting: true,
        }
    }

    pub(super) fn get(&self, device: &Device) -> Option<&Correspondent> {
        self.devices.get(device)
    }

    pub(super) fn get_mut(&mut self, device: &Device) -> Option<&mut Correspondent> {
        self.devices.get_mut(device)
    }

    /// The device whose newest message came from there.
    pub(super) fn at(&self, from: &Jid) -> Option<&Device> {
        let mut here = self.of_account.get(&from.to_bare())?.iter();
        here.find(|device| self.devices.get(device).is_some_and(|k| k.latest == *from))
    }

    /// The device, if it may speak from there: one that is known from one of its
    /// addresses, an unknown one from anywhere, as long as there is room for it.
    pub(super) fn speaking(&mut self, device: &Device, from: &Jid) -> Speaking<'_> {
        if !self.devices.contains_key(device) {
            let account = from.to_bare();
            let here = self.of_account.get(&account).map_or(0, Vec::len);
            if self.devices.len() >= self.most || here >= OF_ONE_ACCOUNT {
                return Speaking::NoRoom;
            }
            let there = self.of_account.entry(account.clone()).or_default();
            there.push(device.clone());
            self.devices.insert(
                device.clone(),
                Correspondent {
                    jids: vec![account],
                    version: 0,
                    latest: from.clone(),
                    knows: 0,
                    channels: BTreeMap::new(),
                    dirty: true,
                },
            );
            self.changed.push((device.clone(), None));
        }
        match self.devices.get_mut(device) {
            Some(known) if known.may_speak_from(from) || mutant::is("answer-any-sender") => {
                Speaking::Yes(known)
            }
            _ => Speaking::No,
        }
    }

    /// A channel of the device; a new one if there is room.
    pub(super) fn channel(&mut self, device: &Device, name: &Channel) -> Option<&mut Receiving> {
        let known = self.devices.get_mut(device)?;
        if !known.channels.contains_key(name) {
            if known.channels.len() >= CHANNELS {
                return None;
            }
            known.channels.insert(name.clone(), Receiving::default());
        }
        known.channels.get_mut(name)
    }

    /// Messages that were handed over and of which nothing more is known here.
    pub(super) fn handed(&self) -> Vec<(Device, Channel, (Epoch, u64))> {
        let channels = self.devices.iter().flat_map(|(device, known)| {
            let channels = known.channels.iter();
            channels.map(move |(name, receiving)| (device, name, receiving))
        });
        let handed = channels.flat_map(|(device, name, receiving)| {
            let handed = receiving.channel.handed();
            handed.map(move |at| (device.clone(), name.clone(), at))
        });
        handed.collect()
    }

    /// A message that is kept and waits for an earlier one that is not there, or for the word
    /// of its sender as it is late: the last of its channel. `wanting` are the channels that
    /// wait for the application.
    pub(super) fn blocked(
        &self,
        wanting: &BTreeSet<(Device, Channel)>,
    ) -> Option<(Device, Channel, (Epoch, u64))> {
        self.devices.iter().find_map(|(device, known)| {
            let mut channels = known.channels.iter();
            channels.find_map(|(name, there)| {
                let last = there.held.keys().next_back()?;
                let key = (device.clone(), name.clone());
                // What is next and not on its way to the application is late.
                let waits = there.fetching.is_empty()
                    && there.awaited.is_empty()
                    && (there.channel.next(there.unordered).is_none()
                        || !(wanting.contains(&key) || mutant::is("late-fills-an-inbox-for-ever")));
                waits.then_some((key.0, key.1, *last))
            })
        })
    }

    /// The channel changed: it is written with the next batch.
    pub(super) fn touch(&mut self, device: &Device, name: &Channel) {
        let known = self.devices.get_mut(device);
        if let Some(channel) = known.and_then(|k| k.channels.get_mut(name))
            && !std::mem::replace(&mut channel.dirty, true)
        {
            self.changed.push((device.clone(), Some(name.clone())));
        }
    }

    /// The device itself may have changed.
    pub(super) fn touch_device(&mut self, device: &Device) {
        if self.devices.get(device).is_some_and(|k| k.dirty) {
            self.changed.push((device.clone(), None));
        }
    }

    /// All that an earlier process was given has come again by now. Gives the channels that
    /// waited for more.
    pub(super) fn all_came(&mut self) -> Vec<(Device, Channel)> {
        if !std::mem::take(&mut self.awaiting) {
            return Vec::new();
        }
        let mut waited = Vec::new();
        for (device, known) in &mut self.devices {
            for (name, channel) in &mut known.channels {
                if !channel.awaited.is_empty() {
                    let found = &channel.found;
                    channel.awaited.retain(|at| found.contains_key(at));
                    waited.push((device.clone(), name.clone()));
                }
            }
        }
        waited
    }

    /// How much has changed that is not written.
    pub(super) fn news(&self) -> usize {
        self.changed.len()
    }

    /// What has changed, as ops.
    pub(super) fn write(&mut self) -> Vec<Op> {
        let changed = std::mem::take(&mut self.changed);
        changed
            .into_iter()
            .filter_map(|(device, channel)| {
                let known = self.devices.get_mut(&device)?;
                match channel {
                    Some(name) => {
                        let channel = known.channels.get_mut(&name)?;
                        channel.dirty = false;
                        let mut value = vec![u8::from(channel.unordered)];
                        value.extend(channel.channel.to_bytes());
                        Some(Op::PutMeta {
                            key: format!("{RECEIVE}{device}/{name}"),
                            value: value.into(),
                        })
                    }
                    None if std::mem::take(&mut known.dirty) => Some(Op::PutMeta {
                        key: format!("{DEVICE}{device}"),
                        value: known.to_text().into_bytes().into(),
                    }),
                    None => None,
                }
            })
            .collect()
    }

    /// Takes a value that [`Correspondents::write`] wrote. Gives whether it was one.
    pub(super) fn read(&mut self, key: &str, value: &Opaque) -> bool {
        if let Some(device) = key.strip_prefix(DEVICE) {
            let known = std::str::from_utf8(value)
                .ok()
                .and_then(Correspondent::of_text);
            match (Device::new(device), known) {
                (Ok(device), Some(known)) => {
                    if let Some(account) = known.jids.first() {
                        let there = self.of_account.entry(account.clone()).or_default();
                        there.push(device.clone());
                    }
                    self.devices.insert(device, known);
                }
                _ => tracing::error!(key, "what the store has of a device cannot be read"),
            }
            return true;
        }
        let Some((device, name)) = key.strip_prefix(RECEIVE).and_then(|k| k.split_once('/')) else {
            return false;
        };
        let channel = value
            .split_first()
            .and_then(|(flags, bytes)| Some((flags, ReceivingChannel::from_bytes(bytes).ok()?)));
        match (Device::new(device), Channel::new(name), channel) {
            (Ok(device), Ok(name), Some((flags, channel))) => {
                if let Some(receiving) = self.channel(&device, &name) {
                    receiving.awaited = channel.handed().collect();
                    receiving.channel = channel;
                    receiving.unordered = *flags & 1 != 0;
                }
            }
            _ => tracing::error!(key, "what the store has of a channel cannot be read"),
        }
        true
    }
}

/// Whether a device may speak.
pub(super) enum Speaking<'a> {
    /// It may.
    Yes(&'a mut Correspondent),
    /// Another device is known by that name.
    No,
    /// There are too many already.
    NoRoom,
}

impl Receiving {
    /// The message that is to be read, with its place in the inbox: what is next, or what
    /// follows those that are on their way already.
    pub(super) fn to_fetch(&self) -> Option<((Epoch, u64), u64)> {
        if self.unordered {
            let mut held = self.held.iter();
            let next = held.find(|(at, held)| {
                let held_still = self.standing(**at) == Some(Standing::Held);
                held_still && !held.late && !self.fetching.contains(at)
            });
            return next.map(|(at, held)| (*at, held.arrival));
        }
        let next = self.next()?;
        if !self.fetching.contains(&next.0) {
            return Some(next);
        }
        let (epoch, seq) = *self.fetching.last()?;
        let at = (epoch, seq + 1);
        Some((at, self.held.get(&at)?.arrival))
    }

    /// Whether a held message may be handed over now. What was read ahead may not: the one
    /// before it can turn out to be late.
    pub(super) fn is_turn_of(&self, at: (Epoch, u64)) -> bool {
        self.channel.is_next(at.0, at.1, self.unordered) && !self.is_held_up(at)
    }

    /// Whether a held message that says that deadline is late, which then is remembered.
    pub(super) fn is_late(&mut self, at: (Epoch, u64), said: Option<i64>, now: i64) -> bool {
        let mut held = self.held.get_mut(&at);
        let renewed = held.as_ref().and_then(|held| held.renewed);
        let late = renewed.or(said).is_some_and(|by| by < now);
        if let Some(held) = held.as_mut() {
            held.late = late;
        }
        self.was_late |= late && !self.unordered;
        late
    }

    /// What is next in an ordered channel, if its record is durable and it is not known to be
    /// late.
    fn next(&self) -> Option<((Epoch, u64), u64)> {
        if let Some(at) = self.awaited.iter().find(|at| self.comes_again(**at)) {
            return Some((*at, self.found.get(at)?.arrival));
        }
        let at = self.channel.next(false)?;
        let held = self.held.get(&at).filter(|held| !held.late)?;
        Some((at, held.arrival))
    }

    /// Whether an earlier message has to come again first.
    pub(super) fn is_held_up(&self, at: (Epoch, u64)) -> bool {
        let mut earlier = self.awaited.range(..at);
        !self.unordered && earlier.any(|at| self.comes_again(*at))
    }

    /// One whose slot is gone does, too: its sender gave it up after it was handed over, or
    /// has heard of it in a life of this store that is undone.
    fn comes_again(&self, at: (Epoch, u64)) -> bool {
        let there = self.standing(at).unwrap_or(Standing::Handed);
        there == Standing::Handed && !mutant::is("again-in-any-order")
    }

    pub(super) fn standing(&self, at: (Epoch, u64)) -> Option<Standing> {
        self.channel.standing(at.0, at.1)
    }
}

impl Correspondent {
    /// A line each: the version, what it knows, where its newest message came from, and
    /// its addresses.
    fn to_text(&self) -> String {
        let mut text = format!("{}\n{}\n{}", self.version, self.knows, self.latest);
        for jid in &self.jids {
            text.push('\n');
            text.push_str(jid.as_str());
        }
        text
    }

    fn of_text(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let version = lines.next()?.parse().ok()?;
        let knows = lines.next()?.parse().ok()?;
        let latest = Jid::new(lines.next()?).ok()?;
        let jids: Vec<BareJid> = lines.map(|l| BareJid::new(l).ok()).collect::<Option<_>>()?;
        (!jids.is_empty()).then_some(Self {
            jids,
            version,
            latest,
            knows,
            channels: BTreeMap::new(),
            dirty: false,
        })
    }
}

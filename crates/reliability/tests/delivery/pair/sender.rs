//! The sender's side: its store, its process, and what the engine does with a channel.

use std::collections::{BTreeMap, VecDeque};

use stanchion_reliability::delivery::sender::ROTATIONS;
use stanchion_reliability::delivery::{ClosedSaid, Fate, Heard, Phase, SendingChannel};
use stanchion_stanza::payload::delivery::{Boot, Epoch, IdPrefix, StoreTag};

use super::ledger::{Checked, Outcome};
use super::{Pair, Stanza};

/// So many ends of epochs are kept for what is in the store alone; of more, nobody can say.
const ENDS: usize = 8;

/// A record of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Record {
    id: IdPrefix,
    prev: Option<IdPrefix>,
    boot: Boot,
    outcome: Option<Outcome>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    channel: Vec<u8>,
    records: BTreeMap<u64, Record>,
    peer: StoreTag,
}

/// A transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Write {
    channel: Option<Vec<u8>>,
    accepted: Option<(u64, Record)>,
    finals: Vec<(u64, Outcome)>,
    peer: Option<StoreTag>,
    opens: bool,
}

impl Record {
    fn is_open(&self) -> bool {
        self.outcome.is_none()
    }
}

/// What is lost in a crash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Life {
    pub(crate) channel: SendingChannel,
    boot: Boot,
    peer: StoreTag,
    /// Final states that no transaction has yet.
    undurable: BTreeMap<u64, Outcome>,
    /// Messages from there on are to be loaded.
    cursor: u64,
    /// Epochs that ended in this life.
    ended: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Sender {
    pub(crate) store: Store,
    pub(crate) pending: VecDeque<Write>,
    pub(crate) life: Option<Life>,
    pub(crate) backups: Vec<Store>,
}

impl Sender {
    pub(super) fn new(epoch: Epoch, peer: StoreTag) -> Self {
        let channel = SendingChannel::new(epoch);
        Self {
            store: Store {
                channel: channel.to_bytes(),
                records: BTreeMap::new(),
                peer,
            },
            pending: VecDeque::new(),
            life: Some(Life {
                channel,
                boot: Boot(1),
                peer,
                undurable: BTreeMap::new(),
                cursor: 1,
                ended: 0,
            }),
            backups: Vec::new(),
        }
    }

    /// Open messages in memory.
    pub(crate) fn places(&self) -> Vec<u64> {
        let open = self.life.iter().flat_map(|life| life.channel.open());
        let open = open.filter(|open| !open.is_decided());
        open.map(|open| open.place).collect()
    }

    pub(crate) fn id(&self, place: u64) -> Option<IdPrefix> {
        Some(self.life.as_ref()?.channel.get(place)?.id)
    }

    pub(crate) fn has_undurable(&self) -> bool {
        let life = self.life.as_ref();
        life.is_some_and(|life| !life.undurable.is_empty())
    }

    pub(crate) fn undurable(&self) -> Vec<u64> {
        let life = self.life.iter();
        life.flat_map(|life| life.undurable.keys().copied())
            .collect()
    }

    pub(crate) fn is_closing(&self) -> bool {
        let life = self.life.as_ref();
        life.is_some_and(|life| life.channel.phase() == Phase::Closing)
    }

    pub(crate) fn may_load(&self, in_memory: usize) -> bool {
        self.life.as_ref().is_some_and(|life| {
            life.channel.has_more()
                && life.channel.len() < in_memory
                // Either there is one to load, or all that was accepted is durable.
                && (self.next_stored(life.cursor).is_some() || self.pending.is_empty())
        })
    }

    fn next_stored(&self, cursor: u64) -> Option<u64> {
        let mut stored = self.store.records.range(cursor..);
        stored
            .find(|(_, record)| record.is_open())
            .map(|(place, _)| *place)
    }
}

impl Pair {
    pub(super) fn accept(&mut self, load: bool) {
        let Some(life) = &mut self.sender.life else {
            return;
        };
        let id = self.ledger.create();
        let load = load && life.channel.len() < self.options.in_memory;
        let (place, prev) = life.channel.accept(id, load);
        if life.channel.get(place).is_some() {
            life.cursor = place + 1;
        }
        let record = Record {
            id,
            prev,
            boot: life.boot,
            outcome: None,
        };
        let write = Write {
            channel: Some(life.channel.to_bytes()),
            accepted: Some((place, record)),
            ..Write::default()
        };
        self.ledger.get_mut(id).place = place;
        // Counts for the order from now on, unless a crash comes first.
        self.ledger.get_mut(id).alive = true;
        self.sender.pending.push_back(write);
    }

    pub(crate) fn may_refuse(&self) -> bool {
        let newest = self.sender.pending.back();
        newest.is_some_and(|write| write.accepted.is_some())
    }

    pub(super) fn refuse(&mut self) {
        let Some(Write {
            accepted: Some((place, record)),
            ..
        }) = self.sender.pending.pop_back()
        else {
            return;
        };
        self.ledger.passes(record.id);
        let message = self.ledger.get_mut(record.id);
        message.told = Some(Outcome::NotDelivered);
        message.alive = false;
        if let Some(life) = &mut self.sender.life {
            life.channel.refused(place);
        }
    }

    pub(super) fn sync_sender(&mut self) -> Checked {
        let Some(write) = self.sender.pending.pop_front() else {
            return Ok(());
        };
        let store = &mut self.sender.store;
        if let Some(channel) = write.channel {
            store.channel = channel;
        }
        if let Some(peer) = write.peer {
            store.peer = peer;
        }
        if let Some((place, record)) = write.accepted {
            store.records.insert(place, record);
        }
        let mut told = Vec::new();
        for (place, outcome) in write.finals {
            if let Some(record) = store.records.get_mut(&place) {
                record.outcome = Some(outcome);
                told.push((record.id, outcome));
            }
            if let Some(life) = &mut self.sender.life {
                life.channel.durable(place);
            }
        }
        for (id, outcome) in told {
            self.ledger.tell(id, outcome)?;
        }
        let Some(life) = &mut self.sender.life else {
            return Ok(());
        };
        if write.opens {
            life.channel.opened();
        }
        if let Some(place) = life.channel.tell_low()
            && self.may_transmit(place)
        {
            let due = self
                .sender
                .id(place)
                .is_some_and(|id| self.ledger.get(id).due);
            self.transmit(place, due)?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self, only: Option<u64>) {
        let Some(life) = &mut self.sender.life else {
            return;
        };
        let finals = if let Some(place) = only {
            let outcome = life.undurable.remove(&place);
            outcome
                .map(|outcome| (place, outcome))
                .into_iter()
                .collect()
        } else {
            std::mem::take(&mut life.undurable).into_iter().collect()
        };
        self.sender.pending.push_back(Write {
            // The engine writes the channel now and then; here, with all finals.
            channel: only.is_none().then(|| life.channel.to_bytes()),
            finals,
            ..Write::default()
        });
    }

    pub(crate) fn may_transmit(&self, place: u64) -> bool {
        let Some(life) = &self.sender.life else {
            return false;
        };
        let durable = self.sender.store.records.contains_key(&place)
            || self.options.faulty("transmit-before-durable");
        let open = life.channel.get(place).is_some_and(|o| !o.is_decided());
        open && durable && life.channel.may_transmit(place)
    }

    pub(crate) fn was_sent(&self, place: u64) -> bool {
        let life = self.sender.life.as_ref();
        let open = life.and_then(|life| life.channel.get(place));
        open.is_some_and(|open| open.maybe_sent)
    }

    pub(super) fn transmit(&mut self, place: u64, cancel: bool) -> Checked {
        let Some(life) = &mut self.sender.life else {
            return Ok(());
        };
        let Some(mut at) = life.channel.transmit(place, life.boot) else {
            return Err(format!("what may be transmitted has coordinates: {place}"));
        };
        if self.options.unordered {
            at.prev = None;
        }
        let to = life.peer;
        self.ledger.sent(&at);
        self.put(if cancel {
            Stanza::Cancel { to, at }
        } else {
            Stanza::Deliver { to, at }
        });
        Ok(())
    }

    pub(super) fn send_close(&mut self) {
        let Some(life) = &self.sender.life else {
            return;
        };
        if life.channel.phase() == Phase::Closing {
            let (to, epoch, boot) = (life.peer, life.channel.epoch(), life.boot);
            self.put(Stanza::Close { to, epoch, boot });
        }
    }

    /// Whether a message that is due may be given up without asking.
    pub(crate) fn may_expire(&self, place: u64) -> bool {
        let life = self.sender.life.as_ref();
        let Some(open) = life.and_then(|life| life.channel.get(place)) else {
            return false;
        };
        let unsent = !open.maybe_sent
            || (open.born && self.options.faulty("expire-transmitted"))
            || (!open.born && self.options.faulty("expire-inherited"));
        !open.is_decided() && unsent && self.sender.store.records.contains_key(&place)
    }

    pub(super) fn expire(&mut self, place: u64) -> Checked {
        let Some(life) = &mut self.sender.life else {
            return Ok(());
        };
        life.channel.decide(place);
        life.undurable.insert(place, Outcome::NotDelivered);
        if self.options.faulty("not-delivered-undurable")
            && let Some(id) = self.sender.id(place)
        {
            return self.ledger.tell(id, Outcome::NotDelivered);
        }
        Ok(())
    }

    /// The next open message comes from the store.
    pub(super) fn load(&mut self) -> Checked {
        let cursor = self.sender.life.as_ref().map_or(1, |life| life.cursor);
        let next = self.sender.next_stored(cursor);
        let Some(life) = &mut self.sender.life else {
            return Ok(());
        };
        let Some(place) = next else {
            life.channel.loaded_all();
            life.cursor = life.channel.next_place();
            return Ok(());
        };
        let record = &self.sender.store.records[&place];
        let fate = life
            .channel
            .load(place, record.id, record.prev, record.boot, life.boot);
        life.cursor = place + 1;
        if record.boot == life.boot {
            // It was never in memory.
            life.channel.unsent(place);
        }
        self.decide(&[(place, fate)])
    }

    fn decide(&mut self, fates: &[(u64, Fate)]) -> Checked {
        let Some(life) = &mut self.sender.life else {
            return Ok(());
        };
        for (place, fate) in fates {
            if let Some(outcome) = Outcome::of(*fate) {
                let own = life.channel.get(*place).filter(|open| open.born);
                let own = own.filter(|_| life.ended <= ENDS);
                if let (Outcome::RolledBack | Outcome::PeerReset, Some(open)) = (outcome, own) {
                    self.ledger.doubts(open.id)?;
                }
                life.channel.decide(*place);
                life.undurable.insert(*place, outcome);
            }
        }
        Ok(())
    }

    pub(super) fn sender_gets(&mut self, stanza: Stanza) -> Checked {
        let Some(life) = &mut self.sender.life else {
            return Ok(());
        };
        let this = life.boot;
        match stanza {
            Stanza::Answer {
                from,
                epoch,
                boot,
                verdict,
            } if from == life.peer => match life.channel.hear(epoch, boot, this, &verdict) {
                Heard::Final { place, fate } => {
                    let id = self.sender.id(place);
                    self.decide(&[(place, fate)])?;
                    match (id, Outcome::of(fate)) {
                        // Made durable before it is told.
                        (_, Some(Outcome::NotDelivered))
                            if !self.options.faulty("not-delivered-undurable") => {}
                        (Some(id), Some(outcome)) => return self.ledger.tell(id, outcome),
                        _ => {}
                    }
                }
                Heard::Late { place } => {
                    if let Some(id) = self.sender.id(place) {
                        self.ledger.get_mut(id).due = true;
                    }
                }
                Heard::Rotate => return self.rotate(),
                Heard::Nothing | Heard::Handed { .. } => {}
            },
            Stanza::Rotate { from, epoch, boot }
                if from == life.peer
                    && life.channel.hear_rotate(epoch, boot, this) == Heard::Rotate =>
            {
                return self.rotate();
            }
            Stanza::Closed {
                from,
                epoch,
                boot,
                by,
                known,
                low,
                highest,
                verdicts,
            } if from == life.peer => {
                let said = ClosedSaid {
                    epoch,
                    boot,
                    by,
                    known,
                    low,
                    highest,
                    verdicts: &verdicts,
                };
                if let Some(fates) = life.channel.closed(&said, this, self.drawn + 1) {
                    self.drawn += 1;
                    return self.begin_epoch(&fates, None);
                }
            }
            Stanza::WrongStore { from, epoch, boot }
                if from != life.peer && boot == this && epoch == life.channel.epoch() =>
            {
                life.peer = from;
                self.drawn += 1;
                let fates = life.channel.reset(this, self.drawn);
                return self.begin_epoch(&fates, Some(from));
            }
            _ => {}
        }
        Ok(())
    }

    fn rotate(&mut self) -> Checked {
        let Some(life) = &mut self.sender.life else {
            return Ok(());
        };
        if life.channel.rotate() {
            return Ok(());
        }
        if self.ledger.restores < ROTATIONS {
            return Err("one process is no clone: it took itself for one".to_owned());
        }
        // What an operator does then.
        self.crash_sender();
        self.start_sender()
    }

    fn begin_epoch(&mut self, fates: &[(u64, Fate)], peer: Option<StoreTag>) -> Checked {
        self.decide(fates)?;
        if let Some(life) = &mut self.sender.life {
            life.ended += 1;
            self.sender.pending.push_back(Write {
                channel: Some(life.channel.to_bytes()),
                finals: std::mem::take(&mut life.undurable).into_iter().collect(),
                peer,
                opens: true,
                accepted: None,
            });
        }
        Ok(())
    }

    pub(super) fn crash_sender(&mut self) {
        self.sender.life = None;
        for write in std::mem::take(&mut self.sender.pending) {
            if let Some((_, record)) = write.accepted {
                // Its `send` never returned.
                self.ledger.get_mut(record.id).alive = false;
            }
        }
    }

    pub(super) fn start_sender(&mut self) -> Checked {
        let channel = SendingChannel::from_bytes(&self.sender.store.channel)
            .map_err(|damaged| format!("what was written can be read: {damaged}"))?;
        let boot = Boot(self.draw());
        self.sender.life = Some(Life {
            channel,
            boot,
            peer: self.sender.store.peer,
            undurable: BTreeMap::new(),
            cursor: 1,
            ended: 0,
        });
        while self.sender.may_load(self.options.in_memory) {
            self.load()?;
        }
        Ok(())
    }

    pub(super) fn back_up_sender(&mut self) {
        self.sender.backups.push(self.sender.store.clone());
    }

    /// The backups that are later are of a timeline that is dead now.
    pub(super) fn restore_sender(&mut self, backup: usize) {
        self.crash_sender();
        self.sender.backups.truncate(backup + 1);
        self.sender.store = self.sender.backups[backup].clone();
        self.ledger.sender_restored = true;
        self.ledger.restores += 1;
        for message in &mut self.ledger.messages {
            message.alive = false;
            message.told = None;
        }
        for record in self.sender.store.records.values() {
            let message = self.ledger.get_mut(record.id);
            message.alive = true;
            message.told = record.outcome;
        }
    }
}

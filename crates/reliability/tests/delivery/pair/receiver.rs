//! The receiver's side: its store, its process, its application, and what the engine
//! does with a channel.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use stanchion_reliability::delivery::{Closing, Judgement, ReceivingChannel, Standing};
use stanchion_stanza::payload::delivery::{Boot, Epoch, IdPrefix, StoreTag, Verdict, VerdictState};

use super::ledger::{Checked, Effects};
use super::{Pair, Stanza};

/// Epoch and seq.
pub(crate) type Key = (Epoch, u64);

/// What an application can make of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verdictable {
    Delivered,
    /// Its transaction never commits.
    Rejected,
    /// It was called several times, in vain.
    GivenUp,
}

/// A record of the inbox.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Record {
    id: IdPrefix,
    boot: Boot,
    handed_over: u8,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Store {
    tag: StoreTag,
    channel: Vec<u8>,
    inbox: BTreeMap<Key, Record>,
}

/// A transaction, and what may only follow it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Write {
    channel: Vec<u8>,
    inbox: Vec<(Key, Option<Record>)>,
    answers: Vec<Stanza>,
    commits: Option<IdPrefix>,
    gives: Vec<(Key, IdPrefix, bool)>,
}

/// What is lost in a crash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Life {
    pub(crate) channel: ReceivingChannel,
    inbox: BTreeMap<Key, Record>,
    /// In the application's hands.
    given: BTreeMap<Key, IdPrefix>,
    /// Read from the store, and not marked once more yet.
    left: BTreeSet<Key>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Receiver {
    pub(crate) store: Store,
    pub(crate) pending: VecDeque<Write>,
    pub(crate) life: Option<Life>,
    pub(crate) backups: Vec<(Store, Effects)>,
}

impl Receiver {
    pub(super) fn new(tag: StoreTag) -> Self {
        Self {
            store: Store {
                tag,
                channel: ReceivingChannel::default().to_bytes(),
                inbox: BTreeMap::new(),
            },
            pending: VecDeque::new(),
            life: Some(Life {
                channel: ReceivingChannel::default(),
                inbox: BTreeMap::new(),
                given: BTreeMap::new(),
                left: BTreeSet::new(),
            }),
            backups: Vec::new(),
        }
    }

    pub(crate) fn given(&self) -> Option<Key> {
        self.life.as_ref()?.given.keys().next().copied()
    }

    pub(crate) fn all_given(&self) -> Vec<Key> {
        let life = self.life.iter();
        life.flat_map(|life| life.given.keys().copied()).collect()
    }

    pub(crate) fn may_hand_over(&self, unordered: bool) -> bool {
        self.life
            .as_ref()
            .is_some_and(|life| !life.left.is_empty() || life.channel.next(unordered).is_some())
    }
}

impl Life {
    /// Marks what is next, and what was handed over in an earlier life. `all`: as many as
    /// there are.
    fn hand_over(&mut self, write: &mut Write, unordered: bool, all: bool) -> Checked {
        while let Some((key, again)) = (self.left.pop_first().map(|key| (key, true)))
            .or_else(|| Some((self.channel.next(unordered)?, false)))
        {
            let Some(record) = self.inbox.get_mut(&key) else {
                return Err(format!("what is held has a record: {key:?}"));
            };
            self.channel.hand_over(key.0, key.1);
            record.handed_over = record.handed_over.saturating_add(1).min(3);
            write.inbox.push((key, Some(record.clone())));
            write.gives.push((key, record.id, again));
            if !all {
                break;
            }
        }
        Ok(())
    }

    fn drop_held(&mut self, write: &mut Write, dropped: &[Key]) {
        for key in dropped {
            self.inbox.remove(key);
            write.inbox.push((*key, None));
        }
    }
}

impl Pair {
    /// The transaction is on its way; the channel goes with it.
    fn enqueue(&mut self, mut write: Write) {
        let Some(life) = &self.receiver.life else {
            return;
        };
        write.channel = life.channel.to_bytes();
        if self.options.faulty("receipt-before-commit") {
            for answer in std::mem::take(&mut write.answers) {
                self.put(answer);
            }
        }
        self.receiver.pending.push_back(write);
    }

    pub(super) fn receiver_gets(&mut self, stanza: Stanza, eager: bool) -> Checked {
        let tag = self.receiver.store.tag;
        let (to, epoch, boot) = match &stanza {
            Stanza::Deliver { to, at } | Stanza::Cancel { to, at } => (*to, at.epoch, at.boot),
            Stanza::Close { to, epoch, boot } => (*to, *epoch, *boot),
            _ => return Ok(()),
        };
        let Some(life) = &mut self.receiver.life else {
            return Ok(());
        };
        if to != tag && !self.options.faulty("ignore-store") {
            self.put(Stanza::WrongStore {
                from: tag,
                epoch,
                boot,
            });
            return Ok(());
        }
        let mut write = Write::default();
        match stanza {
            Stanza::Deliver { at, .. } => {
                let ruling = life.channel.arrives(&at);
                life.drop_held(&mut write, &ruling.dropped);
                if ruling.judgement == Judgement::Keep {
                    let record = Record {
                        id: at.id,
                        boot,
                        handed_over: 0,
                    };
                    life.inbox.insert((epoch, at.seq), record.clone());
                    write.inbox.push(((epoch, at.seq), Some(record)));
                }
                answer(&mut write, tag, &at, ruling.judgement)?;
            }
            Stanza::Cancel { at, .. } => {
                let ruling = life.channel.cancelled(&at);
                life.drop_held(&mut write, &ruling.dropped);
                answer(&mut write, tag, &at, ruling.judgement)?;
                if ruling.judgement == Judgement::Known(Standing::Void) {
                    self.ledger.give_up(at.id);
                }
            }
            _ => {
                let mut dropped = Vec::new();
                let closing = life.channel.close(epoch, boot, &mut dropped);
                life.drop_held(&mut write, &dropped);
                if let Closing::Closed {
                    by,
                    known,
                    low,
                    highest,
                    verdicts,
                } = closing
                {
                    write.answers.push(Stanza::Closed {
                        from: tag,
                        epoch,
                        boot,
                        by,
                        known,
                        low,
                        highest,
                        verdicts,
                    });
                }
            }
        }
        if eager {
            life.hand_over(&mut write, self.options.unordered, true)?;
        }
        self.enqueue(write);
        Ok(())
    }

    pub(super) fn hand_over_next(&mut self) -> Checked {
        let mut write = Write::default();
        let Some(life) = &mut self.receiver.life else {
            return Ok(());
        };
        life.hand_over(&mut write, self.options.unordered, false)?;
        self.enqueue(write);
        Ok(())
    }

    /// The next message is too late by the receiver's clock: it stays held.
    pub(super) fn find_late(&mut self) {
        let Some(life) = &self.receiver.life else {
            return;
        };
        let Some((epoch, seq)) = life.channel.next(self.options.unordered) else {
            return;
        };
        let (Some(id), Some(record)) = (life.channel.id(epoch, seq), life.inbox.get(&(epoch, seq)))
        else {
            return;
        };
        let answer = Stanza::Answer {
            from: self.receiver.store.tag,
            epoch,
            boot: record.boot,
            verdict: Verdict {
                seq,
                id,
                state: VerdictState::Late,
            },
        };
        self.enqueue(Write {
            answers: vec![answer],
            ..Write::default()
        });
    }

    pub(super) fn sync_receiver(&mut self) -> Checked {
        let Some(write) = self.receiver.pending.pop_front() else {
            return Ok(());
        };
        let store = &mut self.receiver.store;
        store.channel = write.channel;
        for (key, record) in write.inbox {
            match record {
                Some(record) => store.inbox.insert(key, record),
                None => store.inbox.remove(&key),
            };
        }
        if let Some(id) = write.commits {
            self.ledger.commit(id);
            if !self.options.plain {
                self.ledger.effect(id, false)?;
            }
        }
        for (key, id, again) in write.gives {
            if self.options.plain {
                // The mark of an earlier life is what flags it.
                let flagged = again && !self.options.faulty("hand-over-unmarked");
                self.ledger.effect(id, flagged)?;
            }
            if let Some(life) = &mut self.receiver.life {
                life.given.insert(key, id);
            }
        }
        for answer in write.answers {
            self.put(answer);
        }
        Ok(())
    }

    pub(super) fn conclude(&mut self, key: Key, verdict: Verdictable) -> Checked {
        let tag = self.receiver.store.tag;
        let Some(life) = &mut self.receiver.life else {
            return Ok(());
        };
        let Some(id) = life.given.remove(&key) else {
            return Err(format!("only what was given is concluded: {key:?}"));
        };
        let standing = match verdict {
            Verdictable::Delivered => Standing::Delivered,
            Verdictable::Rejected => Standing::Void,
            Verdictable::GivenUp => Standing::Maybe,
        };
        if verdict != Verdictable::Delivered {
            self.ledger.give_up(id);
        }
        let (epoch, seq) = key;
        life.channel.conclude(epoch, seq, standing);
        let record = life.inbox.remove(&key);
        let state = life
            .channel
            .standing(epoch, seq)
            .and_then(Standing::verdict);
        let answer = state.zip(record).map(|(state, record)| Stanza::Answer {
            from: tag,
            epoch,
            boot: record.boot,
            verdict: Verdict { seq, id, state },
        });
        self.enqueue(Write {
            inbox: vec![(key, None)],
            answers: answer.into_iter().collect(),
            commits: (verdict == Verdictable::Delivered).then_some(id),
            ..Write::default()
        });
        Ok(())
    }

    pub(super) fn crash_receiver(&mut self) {
        self.receiver.life = None;
        self.receiver.pending.clear();
    }

    pub(super) fn start_receiver(&mut self) -> Checked {
        let channel = read(&self.receiver.store.channel)?;
        let inbox = self.receiver.store.inbox.clone();
        let handed_over = inbox.iter().filter(|(_, record)| record.handed_over > 0);
        let left = handed_over.map(|(key, _)| *key).collect();
        self.receiver.life = Some(Life {
            channel,
            inbox,
            given: BTreeMap::new(),
            left,
        });
        Ok(())
    }

    pub(super) fn back_up_receiver(&mut self) {
        let backup = (self.receiver.store.clone(), self.ledger.effects());
        self.receiver.backups.push(backup);
    }

    pub(super) fn restore_receiver(&mut self, backup: usize) -> Checked {
        self.crash_receiver();
        self.receiver.backups.truncate(backup + 1);
        let (store, effects) = self.receiver.backups[backup].clone();
        let (now, then) = (read(&self.receiver.store.channel)?, read(&store.channel)?);
        self.ledger.receiver_restored(&now, &then, &effects);
        self.receiver.store = store;
        Ok(())
    }

    /// A new store, and no way back to the old one.
    pub(super) fn reinstall(&mut self) {
        self.crash_receiver();
        let tag = StoreTag(u64::from(self.draw()));
        self.receiver = Receiver::new(tag);
        self.ledger.receiver_reinstalled();
    }
}

fn read(channel: &[u8]) -> Result<ReceivingChannel, String> {
    ReceivingChannel::from_bytes(channel)
        .map_err(|damaged| format!("what was written can be read: {damaged}"))
}

fn answer(
    write: &mut Write,
    from: StoreTag,
    at: &stanchion_reliability::delivery::Coordinates,
    judgement: Judgement,
) -> Checked {
    let (epoch, boot) = (at.epoch, at.boot);
    let state = match judgement {
        Judgement::Known(standing) => standing.verdict(),
        Judgement::Settled => Some(VerdictState::Settled),
        Judgement::Other => Some(VerdictState::Other),
        Judgement::Keep => None,
        Judgement::Rotate { .. } => {
            write.answers.push(Stanza::Rotate { from, epoch, boot });
            None
        }
        Judgement::Beyond => return Err(format!("what is sent has a slot: {at:?}")),
    };
    if let Some(state) = state {
        let verdict = Verdict {
            seq: at.seq,
            id: at.id,
            state,
        };
        write.answers.push(Stanza::Answer {
            from,
            epoch,
            boot,
            verdict,
        });
    }
    Ok(())
}

//! A sender, a receiver, their stores, and the network between them, as one value that
//! takes one step at a time. The protocol is the real one: this is what drives it, as the
//! engine does, and what goes wrong around it. Nothing here draws lots; `explorer` does,
//! and `exhaustive` takes every step there is.

pub(crate) mod ledger;
mod receiver;
mod sender;

use stanchion_reliability::delivery::Coordinates;
use stanchion_stanza::payload::delivery::{Boot, Epoch, IdPrefix, StoreTag, Verdict, VerdictState};

use ledger::{Checked, Ledger};
use receiver::Receiver;
pub(crate) use receiver::{Key, Verdictable};
use sender::Sender;

/// What is on its way.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Stanza {
    Deliver {
        to: StoreTag,
        at: Coordinates,
    },
    Cancel {
        to: StoreTag,
        at: Coordinates,
    },
    Close {
        to: StoreTag,
        epoch: Epoch,
        boot: Boot,
    },
    Answer {
        from: StoreTag,
        epoch: Epoch,
        boot: Boot,
        verdict: Verdict,
    },
    Rotate {
        from: StoreTag,
        epoch: Epoch,
        boot: Boot,
    },
    Closed {
        from: StoreTag,
        epoch: Epoch,
        boot: Boot,
        by: Option<Boot>,
        known: bool,
        low: u64,
        highest: u32,
        verdicts: Vec<Verdict>,
    },
    WrongStore {
        from: StoreTag,
        epoch: Epoch,
        boot: Boot,
    },
}

impl Stanza {
    pub(crate) const fn is_for_receiver(&self) -> bool {
        matches!(
            self,
            Self::Deliver { .. } | Self::Cancel { .. } | Self::Close { .. }
        )
    }
}

/// How the two applications and the engine behave, for a whole run.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Options {
    /// A channel without order.
    pub(crate) unordered: bool,
    /// The application is called back; else its effect commits with the verdict.
    pub(crate) plain: bool,
    /// Open messages that the sender keeps in memory.
    pub(crate) in_memory: usize,
    /// What arrives leaves the network: else it may arrive over and over, for ever.
    pub(crate) arrives_once: bool,
    /// A rule of the engine that is not kept.
    pub(crate) fault: Option<&'static str>,
}

impl Options {
    fn faulty(&self, name: &str) -> bool {
        self.fault == Some(name)
    }
}

/// One step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// The application sends; `load`: the message is to stay in memory.
    Accept {
        load: bool,
    },
    /// The sender's oldest transaction becomes durable.
    SyncSender,
    /// The sender's store refuses its newest transaction.
    Refuse,
    /// Final states are written: that one, or all.
    Flush(Option<u64>),
    Transmit(u64),
    Cancel(u64),
    SendClose,
    /// The deadline of a message passes, by the clock that is looked at.
    Due(IdPrefix),
    /// The sender decides by itself.
    Expire(u64),
    Load,
    CrashSender,
    StartSender,
    BackUpSender,
    RestoreSender(usize),
    /// `copy`: one more of it stays on its way. `eager`: what can be handed over is.
    Arrive {
        index: usize,
        copy: bool,
        eager: bool,
    },
    Lose(usize),
    SyncReceiver,
    HandOver,
    /// By the receiver's clock the next message is too late.
    Late,
    Conclude(Key, Verdictable),
    CrashReceiver,
    StartReceiver,
    BackUpReceiver,
    RestoreReceiver(usize),
    Reinstall,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    pub(crate) options: Options,
    pub(crate) ledger: Ledger,
    pub(crate) network: Vec<Stanza>,
    pub(crate) sender: Sender,
    pub(crate) receiver: Receiver,
    /// For epochs, boots and stores, which never repeat.
    drawn: u32,
}

impl Pair {
    pub(crate) fn new(options: Options, keeps_sent: bool) -> Self {
        let store = StoreTag(1);
        let epoch = Epoch {
            index: 1,
            random: 1,
        };
        let ledger = Ledger {
            unordered: options.unordered,
            keeps_sent,
            ..Ledger::default()
        };
        Self {
            options,
            ledger,
            network: Vec::new(),
            sender: Sender::new(epoch, store),
            receiver: Receiver::new(store),
            drawn: 1,
        }
    }

    fn draw(&mut self) -> u32 {
        self.drawn += 1;
        self.drawn
    }

    fn put(&mut self, stanza: Stanza) {
        if self.options.arrives_once {
            self.network.push(stanza);
            return;
        }
        // One that changes nothing at the sender only multiplies the states.
        let tells = !matches!(&stanza, Stanza::Answer { verdict, .. } if verdict.state == VerdictState::Handed);
        if tells && let Err(at) = self.network.binary_search(&stanza) {
            self.network.insert(at, stanza);
        }
    }

    pub(crate) fn step(&mut self, action: Action) -> Checked {
        match action {
            Action::Accept { load } => self.accept(load),
            Action::SyncSender => return self.sync_sender(),
            Action::Refuse => self.refuse(),
            Action::Flush(place) => self.flush(place),
            Action::Transmit(place) => return self.transmit(place, false),
            Action::Cancel(place) => return self.transmit(place, true),
            Action::SendClose => self.send_close(),
            Action::Due(id) => self.ledger.get_mut(id).due = true,
            Action::Expire(place) => return self.expire(place),
            Action::Load => return self.load(),
            Action::CrashSender => self.crash_sender(),
            Action::StartSender => return self.start_sender(),
            Action::BackUpSender => self.back_up_sender(),
            Action::RestoreSender(backup) => self.restore_sender(backup),
            Action::Arrive { index, copy, eager } => {
                let stanza = if copy || !self.options.arrives_once {
                    self.network[index].clone()
                } else {
                    self.network.remove(index)
                };
                return if stanza.is_for_receiver() {
                    self.receiver_gets(stanza, eager)
                } else {
                    self.sender_gets(stanza)
                };
            }
            Action::Lose(index) => {
                self.network.remove(index);
            }
            Action::SyncReceiver => return self.sync_receiver(),
            Action::HandOver => return self.hand_over_next(),
            Action::Late => self.find_late(),
            Action::Conclude(key, verdict) => return self.conclude(key, verdict),
            Action::CrashReceiver => self.crash_receiver(),
            Action::StartReceiver => return self.start_receiver(),
            Action::BackUpReceiver => self.back_up_receiver(),
            Action::RestoreReceiver(backup) => return self.restore_receiver(backup),
            Action::Reinstall => self.reinstall(),
        }
        Ok(())
    }

    /// Faults stop. Gives how many rounds it takes until every message has its outcome;
    /// in each, all that is on its way arrives, and what has no answer is sent again.
    pub(crate) fn settle(mut self, most: usize) -> Result<usize, String> {
        self.options.arrives_once = true;
        if self.sender.life.is_none() {
            self.start_sender()?;
        }
        if self.receiver.life.is_none() {
            self.start_receiver()?;
        }
        for round in 0..most {
            self.rest()?;
            if self.ledger.all_told() {
                return Ok(round);
            }
            self.send_all()?;
        }
        Err(format!(
            "every message has an outcome: none for some after {most} rounds in which nothing \
             failed; {:?} {:?} {:?}",
            self.sender.life, self.receiver.life, self.ledger
        ))
    }

    pub(crate) const fn both_live(&self) -> bool {
        self.sender.life.is_some() && self.receiver.life.is_some()
    }

    /// Timers run out, and all that follows arrives.
    pub(crate) fn progress(&mut self) -> Checked {
        self.send_all()?;
        self.rest()
    }

    /// Until nothing is on its way and nothing waits for a store or the application.
    pub(crate) fn rest(&mut self) -> Checked {
        for _ in 0..10_000 {
            while !self.sender.pending.is_empty() {
                self.sync_sender()?;
            }
            while !self.receiver.pending.is_empty() {
                self.sync_receiver()?;
            }
            if let Some(key) = self.receiver.given() {
                self.conclude(key, Verdictable::Delivered)?;
            } else if !self.network.is_empty() {
                self.step(Action::Arrive {
                    index: 0,
                    copy: false,
                    eager: true,
                })?;
            } else if self.receiver.may_hand_over(self.options.unordered) {
                self.hand_over_next()?;
            } else if self.sender.has_undurable() {
                self.flush(None);
            } else {
                return Ok(());
            }
        }
        Err("the pair comes to rest: it answers itself for ever".to_owned())
    }

    /// What a sender does when its timers run out.
    fn send_all(&mut self) -> Checked {
        while self.sender.may_load(self.options.in_memory) {
            self.load()?;
        }
        for place in self.sender.places() {
            let Some(id) = self.sender.id(place) else {
                continue;
            };
            let due = self.ledger.get(id).due;
            if due && self.may_expire(place) {
                self.expire(place)?;
            } else if self.may_transmit(place) {
                self.transmit(place, due)?;
            }
        }
        self.send_close();
        Ok(())
    }
}

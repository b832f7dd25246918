//! What must hold: every message, what is known of it, and the checks. A check that
//! fails says which law is broken.
//!
//! A store that is restored, or new, begins another timeline: what its device told or did
//! after the backup is forgotten by the device, not by the ledger. Precisely these follow,
//! and are no breach (they are counted):
//! - what a sender accepted after the backup is forgotten; no outcome is due. It may
//!   still take effect, once;
//! - an outcome that was told after the backup belongs to the dead timeline; another one
//!   is due;
//! - a receiver may act again on what it committed after the backup; a transactional
//!   effect of that time is undone, though the sender was told of it.

use std::collections::HashMap;
use std::time::Duration;

use stanchion_reliability::outcome::Outcome;
use stanchion_reliability::store::{InboundKey, Op, OpResult, OutboundState};

use crate::law::{Checked, Law};

/// A message's number in the ledger.
pub(crate) type Id = u32;

/// A message's id on the wire, which is its body, too.
pub(crate) fn name(id: Id) -> String {
    format!("m{id}")
}

/// The number behind an id on the wire.
pub(crate) fn number(name: &str) -> Option<Id> {
    name.strip_prefix('m')?.parse().ok()
}

/// What the sender was told last, in this timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Told {
    #[default]
    Nothing,
    InDoubt,
    /// Delivered or acknowledged.
    Positive,
    NotDelivered,
}

impl Told {
    const fn is_definite(self) -> bool {
        matches!(self, Self::Positive | Self::NotDelivered)
    }
}

/// One message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    draft: Draft,
    /// On the world's clock, and how much its device's clocks had slipped by then.
    pub(crate) deadline: Option<Duration>,
    pub(crate) slip: Duration,
    pub(crate) given: bool,
    /// Given to an engine that did not refuse it.
    pub(crate) submitted: bool,
    /// In which life of an engine it was accepted, and when.
    pub(crate) accepted: Option<u64>,
    pub(crate) accepted_at: Duration,
    /// Durable in the outbox, and its place in the order in which that happened.
    pub(crate) kept: bool,
    place: u32,
    /// Transmitted at any time; with the delivery extension.
    pub(crate) transmitted: bool,
    spoken: bool,
    /// `NotDelivered` is durable; if the process ended before it was told, it is to be
    /// found in the store.
    decided: bool,
    /// A definite outcome is durable; doubt is.
    concluded: bool,
    doubted: bool,
    pub(crate) told: Told,
    /// The life in which the last definite outcome was told.
    settled_in: Option<u64>,
    /// Its sender lost it, with its store.
    pub(crate) forgotten: bool,

    /// Durable in the inbox, and as committed.
    pub(crate) inbox: bool,
    committed: bool,
    /// Took effect, and in which life of the receiver.
    pub(crate) effect: bool,
    effect_life: u64,
    /// A receiver that was set back may repeat it; one did act before it was.
    repeatable: bool,
    outlived: bool,
    /// A transactional effect was undone with its store.
    undone: bool,
}

/// What a message is from the beginning.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Draft {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) channel: u8,
    /// From the moment it is given.
    pub(crate) lifetime: Option<Duration>,
    /// Whether only a protected stream may carry it.
    pub(crate) strict: bool,
    /// Whether it ends every stream that carries it.
    pub(crate) poison: bool,
}

impl From<Draft> for Message {
    fn from(draft: Draft) -> Self {
        Self {
            draft,
            ..Self::default()
        }
    }
}

impl std::ops::Deref for Message {
    type Target = Draft;

    fn deref(&self) -> &Draft {
        &self.draft
    }
}

impl Message {
    pub(crate) const fn has_outcome(&self) -> bool {
        self.decided || self.concluded || !matches!(self.told, Told::Nothing)
    }
}

/// What of one message is durable on one device.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    kept: bool,
    decided: bool,
    concluded: bool,
    doubted: bool,
    inbox: bool,
    committed: bool,
}

/// What is durable on one device: goes with an image of its store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks(Vec<Mark>);

/// What an op makes durable.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Durable {
    Outbox(Id),
    Inbox(Id),
    Committed(Id),
    Concluded { id: Id, negative: bool },
    Doubted(Id),
}

/// Counts of what is no breach.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) settled_late: u64,
    pub(crate) overtaken: u64,
    pub(crate) redelivered: u64,
    pub(crate) forgotten: u64,
    pub(crate) undone: u64,
    pub(crate) repeated: u64,
}

/// All messages of a run. Survives every crash.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) messages: Vec<Message>,
    /// The bare addresses of each device.
    accounts: Vec<Vec<String>>,
    /// Which message an inbox key stands for, for each device.
    keys: Vec<HashMap<InboundKey, Id>>,
    places: u32,
    /// The highest place that took effect, for each (sender, recipient, channel).
    highest: HashMap<(usize, usize, u8), u32>,
    pub(crate) tally: Tally,
    /// Whether order is a law: some engine spoke of `Delivered`.
    pub(crate) ordered: bool,
}

impl Ledger {
    pub(crate) fn new(drafts: &[Draft], accounts: Vec<Vec<String>>) -> Self {
        Self {
            messages: drafts.iter().copied().map(Message::from).collect(),
            keys: vec![HashMap::new(); accounts.len()],
            accounts,
            places: 0,
            highest: HashMap::new(),
            tally: Tally::default(),
            ordered: false,
        }
    }

    pub(crate) fn get(&self, id: Id) -> Option<&Message> {
        self.messages.get(id as usize)
    }

    pub(crate) fn get_mut(&mut self, id: Id) -> Option<&mut Message> {
        self.messages.get_mut(id as usize)
    }

    /// The message of that body, if it is from its sender: a stranger may say anything.
    pub(crate) fn genuine(&self, body: &str, from_bare: &str) -> Option<Id> {
        let id = number(body)?;
        let message = self.get(id)?;
        let accounts = &self.accounts[message.from];
        accounts.iter().any(|own| own == from_bare).then_some(id)
    }

    /// What an op will make durable on a device.
    pub(crate) fn durable(&mut self, of: usize, op: &Op) -> Option<Durable> {
        match op {
            Op::PutOutbound(record) => Some(Durable::Outbox(number(&record.id)?)),
            Op::PutInbound(new) => {
                let id = self.genuine(body(&new.stanza)?, &new.key.from_bare)?;
                self.keys[of].insert(new.key.clone(), id);
                Some(Durable::Inbox(id))
            }
            Op::MarkHandled { key, .. } => self.keys[of].get(key).copied().map(Durable::Committed),
            Op::SetOutboundState { id, state, .. } => {
                let id = number(id)?;
                match state {
                    OutboundState::NotDelivered { .. } => {
                        Some(Durable::Concluded { id, negative: true })
                    }
                    OutboundState::Acknowledged | OutboundState::Delivered => {
                        Some(Durable::Concluded {
                            id,
                            negative: false,
                        })
                    }
                    OutboundState::InDoubt { .. } => Some(Durable::Doubted(id)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// It is durable, with that result if it is known.
    pub(crate) fn note(
        &mut self,
        durable: Durable,
        result: Option<&OpResult>,
        transactional: bool,
        life: u64,
    ) -> Checked {
        let done = result.is_none_or(|r| matches!(r, OpResult::Done | OpResult::Kept { .. }));
        match durable {
            Durable::Outbox(id) if done => {
                self.places += 1;
                let place = self.places;
                if let Some(message) = self.get_mut(id).filter(|m| !m.kept) {
                    message.kept = true;
                    message.place = place;
                }
            }
            Durable::Inbox(id) => {
                if let Some(message) = self.get_mut(id) {
                    message.inbox = true;
                }
            }
            Durable::Concluded { id, negative } if done => {
                if let Some(message) = self.get_mut(id) {
                    message.decided |= negative;
                    message.concluded = true;
                }
            }
            Durable::Doubted(id) if done => {
                if let Some(message) = self.get_mut(id) {
                    message.doubted = true;
                }
            }
            Durable::Committed(id) if done => {
                let known = self.get(id).is_some_and(|m| m.committed);
                if known && result.is_some() {
                    return Err(Law::Twice.broken(format!("{} was committed twice", name(id))));
                }
                if transactional && !known {
                    self.takes_effect(id, life)?;
                }
                if let Some(message) = self.get_mut(id) {
                    message.committed = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A message is transmitted, with the delivery extension or without.
    pub(crate) fn transmits(&mut self, id: Id, wire_id: &str, spoken: bool) -> Checked {
        let Some(message) = self.get_mut(id) else {
            return Ok(());
        };
        if !message.kept {
            return Err(
                Law::Durable.broken(format!("{wire_id} was transmitted before it was durable"))
            );
        }
        if wire_id != name(id) {
            let was = name(id);
            return Err(
                Law::WrongOutcome.broken(format!("{was} was transmitted with the id {wire_id}"))
            );
        }
        if message.decided {
            return Err(
                Law::WrongOutcome.broken(format!("{wire_id} was transmitted after NotDelivered"))
            );
        }
        message.transmitted = true;
        message.spoken |= spoken;
        Ok(())
    }

    /// A receipt is transmitted, to that address.
    pub(crate) fn confirms(&self, id: &str, to_bare: &str) -> Checked {
        let genuine = self.genuine(id, to_bare);
        match genuine.and_then(|id| self.get(id)) {
            Some(message) if !message.committed && !message.undone => {
                Err(Law::Durable
                    .broken(format!("a receipt for {id} before its commit was durable")))
            }
            _ => Ok(()),
        }
    }

    /// A plain application acts on a message.
    pub(crate) fn acts(&mut self, id: Id, warned: bool, life: u64) -> Checked {
        let Some(message) = self.get(id) else {
            return Ok(());
        };
        if !message.effect {
            return self.takes_effect(id, life);
        }
        let twice = |why: &str| Err(Law::Twice.broken(format!("{} took effect {why}", name(id))));
        if message.repeatable {
            self.tally.repeated += 1;
        } else if message.committed {
            return twice("again, although its commit was durable");
        } else if !warned {
            return twice("twice, and nobody warned");
        } else if message.effect_life == life {
            return twice("twice in one life");
        } else {
            self.tally.redelivered += 1;
        }
        if let Some(message) = self.get_mut(id) {
            message.repeatable = false;
            message.effect_life = life;
        }
        Ok(())
    }

    /// The first effect of a message, in this timeline.
    fn takes_effect(&mut self, id: Id, life: u64) -> Checked {
        let Some(message) = self.messages.get_mut(id as usize) else {
            return Ok(());
        };
        if message.decided || message.told == Told::NotDelivered {
            return Err(
                Law::WrongOutcome.broken(format!("{} took effect after NotDelivered", name(id)))
            );
        }
        message.effect = true;
        message.effect_life = life;
        if message.forgotten || message.undone {
            return Ok(());
        }
        let channel = (message.from, message.to, message.channel);
        let highest = self.highest.entry(channel).or_default();
        if message.place < *highest {
            self.tally.overtaken += 1;
            if self.ordered && message.spoken {
                let id = name(id);
                return Err(
                    Law::Misordered.broken(format!("{id} took effect after a later message"))
                );
            }
        }
        *highest = (*highest).max(message.place);
        Ok(())
    }

    /// The sender is told an outcome, in that life.
    pub(crate) fn outcome(&mut self, life: u64, id: Id, outcome: &Outcome) -> Checked {
        let Some(message) = self.messages.get_mut(id as usize) else {
            return Ok(());
        };
        let wrong =
            |how: &str| Err(Law::WrongOutcome.broken(format!("{}: {outcome} {how}", name(id))));
        if message.settled_in == Some(life) || (message.concluded && message.told.is_definite()) {
            return wrong("after it was settled");
        }
        match outcome {
            Outcome::NotDelivered(_) => {
                if !message.decided {
                    return Err(Law::Durable
                        .broken(format!("{}: {outcome} before it was durable", name(id))));
                }
                if message.told == Told::Positive {
                    return wrong("after it was delivered");
                }
                if message.effect && !message.repeatable {
                    return wrong("but it took effect");
                }
                if message.transmitted && !message.spoken {
                    return wrong("but it was transmitted, and nobody was asked");
                }
                message.told = Told::NotDelivered;
                message.settled_in = Some(life);
            }
            Outcome::InDoubt(_) => {
                if !message.transmitted && message.accepted == Some(life) {
                    return wrong("but it was never transmitted");
                }
                if message.told == Told::NotDelivered {
                    return wrong("after it was not delivered");
                }
                if message.told == Told::Nothing {
                    message.told = Told::InDoubt;
                }
            }
            // Acknowledged, or delivered.
            _ => {
                if !message.effect && !message.undone {
                    return wrong("but it never took effect");
                }
                // A receipt of the dead timeline may still be on its way.
                if !message.committed && !message.undone && !message.outlived {
                    return wrong("but its commit was not durable");
                }
                if message.told == Told::NotDelivered {
                    return wrong("after it was not delivered");
                }
                self.tally.settled_late += u64::from(message.told == Told::InDoubt);
                message.told = Told::Positive;
                message.settled_in = Some(life);
            }
        }
        Ok(())
    }

    /// What is durable on a device now.
    pub(crate) fn marks(&self, of: usize) -> Marks {
        let mark = |m: &Message| Mark {
            kept: m.from == of && m.kept,
            decided: m.from == of && m.decided,
            concluded: m.from == of && m.concluded,
            doubted: m.from == of && m.doubted,
            inbox: m.to == of && m.inbox,
            committed: m.to == of && m.committed,
        };
        Marks(self.messages.iter().map(mark).collect())
    }

    /// A device's store is that of the marks again; none is an empty one.
    pub(crate) fn set_back(&mut self, of: usize, marks: &Marks, transactional: bool) {
        let empty = Mark::default();
        for (at, message) in self.messages.iter_mut().enumerate() {
            let mark = marks.0.get(at).unwrap_or(&empty);
            if message.from == of {
                message.decided = mark.decided;
                message.concluded = mark.concluded;
                message.doubted = mark.doubted;
                if !mark.concluded {
                    // Doubt that is durable is not told again.
                    message.told = if mark.doubted {
                        Told::InDoubt
                    } else {
                        Told::Nothing
                    };
                    message.settled_in = None;
                }
                if !mark.kept && message.submitted && !message.forgotten {
                    message.forgotten = true;
                    self.tally.forgotten += 1;
                }
                message.kept = mark.kept;
            }
            if message.to == of {
                message.inbox = mark.inbox;
                message.committed = mark.committed;
                if message.effect && !mark.committed {
                    if transactional {
                        message.effect = false;
                        message.undone = true;
                        self.tally.undone += 1;
                    } else {
                        message.repeatable = true;
                        message.outlived = true;
                    }
                }
            }
        }
        self.highest.clear();
        for message in &self.messages {
            if message.effect && !message.forgotten {
                let channel = (message.from, message.to, message.channel);
                let highest = self.highest.entry(channel).or_default();
                *highest = (*highest).max(message.place);
            }
        }
    }

    /// Messages whose end is still due. `excused` are devices whose store was set back:
    /// doubt about their messages may stay.
    pub(crate) fn unfinished<'a>(
        &'a self,
        excused: &'a [bool],
    ) -> impl Iterator<Item = (Id, &'a Message)> {
        let open = move |m: &Message| {
            if m.forgotten {
                return false;
            }
            let may_doubt = m.lifetime.is_some() || m.poison || excused[m.from] || excused[m.to];
            m.accepted.is_none()
                || !m.has_outcome()
                || (!may_doubt && m.told != Told::Positive && !m.concluded)
        };
        let numbered = self.messages.iter().enumerate();
        numbered
            .filter(move |(_, m)| open(m))
            .map(|(at, m)| (at as Id, m))
    }
}

/// The body of an encoded stanza, as it stands there.
fn body(stanza: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(stanza).ok()?;
    let (_, rest) = text.split_once("<body>")?;
    Some(rest.split_once("</body>")?.0)
}

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
//!   effect of that time is undone, though the sender was told of it. It may act on what
//!   it gave up after the backup;
//! - what was sent may be in doubt for good; also what its sender was told to be delivered
//!   and had not written yet when it ended;
//! - where a store goes back to a history in which a message was given up and never sent,
//!   another history of it may have sent it in between: it still takes effect;
//! - a sender that forgets that its recipient speaks the protocol believes the receipt of
//!   another client, which answered what the lost history had sent;
//! - where a sender forgets what it sent, and its recipient an epoch in which it took it,
//!   or has closed the one before, both find another epoch for the message; a copy in the
//!   forgotten one takes effect, too.

use std::collections::{HashMap, HashSet};

use stanchion_reliability::outcome::{InDoubt, NotDelivered, Outcome};
use stanchion_reliability::store::{InboundKey, Op, OpResult, OutboundState};
use stanchion_stanza::payload::delivery::{
    Answer, Channel, Closed, Deliver, Epoch, IdPrefix, StoreTag, Verdict, VerdictState,
};
use stanchion_stanza::{Element, Jid, Payload as _};

use crate::law::{Checked, Law};
pub(crate) use crate::message::Draft;
use crate::message::{Message, Revival, Told};

/// A message's number in the ledger.
pub(crate) type Id = u32;

/// A message's id on the wire, which is its body, too.
pub(crate) fn name(id: Id) -> String {
    format!("m{id}")
}

/// The name of a device.
pub(crate) fn device(of: usize) -> String {
    format!("d{of}")
}

/// The channels, by number; the last number is that of messages outside of any.
pub(crate) const CHANNELS: [&str; 3] = ["a", "c", "t"];
/// The number of messages that have no channel.
pub(crate) const LOOSE: u8 = CHANNELS.len() as u8;

/// Hand-overs in vain after which a receiver gives a message up.
const HAND_OVERS: u32 = 3;

/// The number behind an id on the wire.
pub(crate) fn number(name: &str) -> Option<Id> {
    name.strip_prefix('m')?.parse().ok()
}

/// What of one message is durable on one device.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    kept: bool,
    transmitted: bool,
    decided: bool,
    concluded: Option<Told>,
    doubted: bool,
    inbox: bool,
    committed: bool,
    handed: bool,
    closed_up_to: Option<u32>,
}

/// What is durable on one device: goes with an image of its store.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks {
    messages: Vec<Mark>,
    /// What its inbox has under which key; after a fork it may have something else there.
    keys: HashMap<InboundKey, Id>,
}

/// What an op makes durable.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Durable {
    Outbox(Id),
    /// And whether it is handed over at once.
    Inbox(Id, bool),
    /// The same, where the inbox had it in that epoch in a history that is lost, and in the
    /// present one has it in no place of that epoch.
    Revived(Id, bool),
    Committed(Id),
    Marked(Id),
    Concluded(Id, Told),
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
    /// The keys that a device had in histories that it lost.
    lost_keys: Vec<HashSet<InboundKey>>,
    /// Which message is named so in verdicts.
    prefixes: HashMap<IdPrefix, Id>,
    /// What left together, by its sender and its id on the wire.
    bundles: HashMap<(usize, String), Vec<Id>>,
    /// Which devices' stores were set back once, and which of them to an empty one.
    set_back: Vec<bool>,
    emptied: Vec<bool>,
    /// Devices move from account to account.
    moves: bool,
    places: u32,
    /// The highest place that was handed over, for each (sender, recipient, channel).
    highest: HashMap<(usize, usize, u8), u32>,
    pub(crate) tally: Tally,
}

impl Ledger {
    pub(crate) fn new(drafts: &[Draft], accounts: Vec<Vec<String>>, moves: bool) -> Self {
        Self {
            messages: drafts.iter().copied().map(Message::from).collect(),
            keys: vec![HashMap::new(); accounts.len()],
            lost_keys: vec![HashSet::new(); accounts.len()],
            prefixes: (0..drafts.len() as Id)
                .map(|id| (IdPrefix::of(&name(id)), id))
                .collect(),
            bundles: HashMap::new(),
            set_back: vec![false; accounts.len()],
            emptied: vec![false; accounts.len()],
            accounts,
            moves,
            places: 0,
            highest: HashMap::new(),
            tally: Tally::default(),
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

    /// The same, if it comes from its sender's usual account. The others may be unknown to
    /// its recipient as yet, and then it is ignored.
    pub(crate) fn shown_at_home(&self, body: &str, from_bare: &str) -> Option<Id> {
        let id = self.genuine(body, from_bare)?;
        let home = self.accounts[self.get(id)?.from].first()?;
        (home == from_bare).then_some(id)
    }

    /// What an op will make durable on a device.
    pub(crate) fn durable(&mut self, of: usize, op: &Op) -> Option<Durable> {
        match op {
            Op::PutOutbound(record) => Some(Durable::Outbox(number(&record.id)?)),
            Op::PutInbound(new) => {
                let from = new.from_full.parse::<Jid>().ok()?;
                let id = self.genuine(body(&new.stanza)?, from.bare_str())?;
                let mut known = self.keys[of].iter().filter(|(_, other)| **other == id);
                let elsewhere = known.all(|(key, _)| epoch(key) != epoch(&new.key));
                let lost = self.lost_keys[of].contains(&new.key)
                    || self.comes_from_nowhere(of, id, &new.key);
                self.keys[of].insert(new.key.clone(), id);
                Some(match lost && elsewhere {
                    true => Durable::Revived(id, new.handed),
                    false => Durable::Inbox(id, new.handed),
                })
            }
            Op::MarkHanded { key, .. } => self.keys[of].get(key).copied().map(Durable::Marked),
            Op::MarkHandled { key, .. } => self.keys[of].get(key).copied().map(Durable::Committed),
            Op::SetOutboundState { id, state, .. } => {
                let id = number(id)?;
                let told = match state {
                    OutboundState::NotDelivered { .. } => Told::NotDelivered,
                    OutboundState::Acknowledged | OutboundState::Delivered => Told::Positive,
                    OutboundState::InDoubt { open: true, .. } => return Some(Durable::Doubted(id)),
                    OutboundState::InDoubt { open: false, .. } => Told::Unknowable,
                    _ => return None,
                };
                Some(Durable::Concluded(id, told))
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
            Durable::Inbox(id, handed) | Durable::Revived(id, handed) => {
                let new = matches!(result, None | Some(OpResult::Kept { .. }));
                if let Some(message) = self.get_mut(id) {
                    message.inbox = true;
                    message.marks += u32::from(handed && new);
                    let revived = new && matches!(durable, Durable::Revived(..));
                    if revived && message.committed && message.recalled {
                        message.revival = Revival::Due;
                    }
                }
            }
            Durable::Marked(id) if done => {
                if let Some(message) = self.get_mut(id) {
                    message.marks += 1;
                }
            }
            Durable::Concluded(id, told) if done => {
                if let Some(message) = self.get_mut(id) {
                    message.decided |= told == Told::NotDelivered;
                    // A final state stays.
                    message.concluded.get_or_insert(told);
                }
            }
            Durable::Doubted(id) if done => {
                if let Some(message) = self.get_mut(id) {
                    message.doubted = true;
                }
            }
            Durable::Committed(id) if done => {
                let known = self.get(id).is_some_and(|m| m.committed);
                let revival = self.get_mut(id).map(|m| std::mem::take(&mut m.revival));
                let revived = revival.is_some_and(|it| it != Revival::No);
                if known && result.is_some() && !revived {
                    return Err(Law::Twice.broken(format!("{} was committed twice", name(id))));
                }
                if transactional && !known {
                    self.takes_effect(id, life)?;
                }
                self.tally.repeated += u64::from(transactional && revived);
                if let Some(message) = self.get_mut(id) {
                    message.committed = true;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// A message is transmitted, with the delivery extension or without; to which store.
    pub(crate) fn transmits(
        &mut self,
        id: Id,
        wire_id: &str,
        spoken: bool,
        store: Option<StoreTag>,
    ) -> Checked {
        let Some(message) = self.messages.get_mut(id as usize) else {
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
        let another = store
            .is_some_and(|store| !message.stores.is_empty() && !message.stores.contains(&store));
        if another && !self.set_back[message.draft.from] {
            return Err(Law::WrongOutcome.broken(format!(
                "{wire_id} was transmitted to another store than before"
            )));
        }
        message.transmitted = true;
        message.spoken |= spoken;
        match store {
            None => message.to_any_store = true,
            Some(store) if !message.stores.contains(&store) => message.stores.push(store),
            Some(_) => {}
        }
        Ok(())
    }

    /// A message is transmitted in that epoch of its channel.
    pub(crate) fn transmits_in(&mut self, id: Id, said: &Deliver) {
        let epoch = epoch_name(&said.channel, said.epoch);
        if let Some(message) = self.get_mut(id) {
            message.lost_epochs.remove(&epoch);
            message.epochs.insert(epoch);
        }
    }

    /// Messages leave together, in a stanza of that id.
    pub(crate) fn bundles(&mut self, of: usize, wire_id: &str, ids: Vec<Id>) {
        self.bundles.insert((of, wire_id.to_owned()), ids);
    }

    /// A device sends something back to an address, for want of room: it keeps none of what
    /// was in it.
    pub(crate) fn sends_back(&mut self, of: usize, to_bare: &str, wire_id: &str) {
        let owner = |accounts: &Vec<String>| accounts.iter().any(|own| own == to_bare);
        let Some(sender) = self.accounts.iter().position(owner) else {
            return;
        };
        let bundle = self.bundles.get(&(sender, wire_id.to_owned())).cloned();
        let ids = bundle.unwrap_or_else(|| number(wire_id).into_iter().collect());
        for id in ids {
            if let Some(message) = self.get_mut(id).filter(|m| m.from == sender && m.to == of) {
                message.sent_back = true;
            }
        }
    }

    /// A cancel is transmitted.
    pub(crate) fn cancels(&mut self, id: IdPrefix) {
        if let Some(id) = self.prefixes.get(&id).copied()
            && let Some(message) = self.get_mut(id)
        {
            message.cancelled = true;
        }
    }

    /// A device says something of the delivery protocol to an address.
    pub(crate) fn says(&mut self, of: usize, to_bare: &str, said: &Element) -> Checked {
        let (device, epoch, verdicts) = if Answer::matches(said) {
            match Answer::from_element(said) {
                Ok(answer) => {
                    let epoch = epoch_name(&answer.channel, answer.epoch);
                    (answer.to, epoch, answer.verdicts)
                }
                Err(_) => return Ok(()),
            }
        } else if Closed::matches(said) {
            match Closed::from_element(said) {
                Ok(closed) => {
                    let sent = self
                        .messages
                        .iter_mut()
                        .filter(|m| m.to == of && m.transmitted);
                    let channel = format!("d {} ", closed.channel.as_str());
                    for message in sent.filter(|m| closed.to.as_str() == self::device(m.from)) {
                        message.closed = true;
                        let mut epochs = message.epochs.iter().chain(&message.lost_epochs);
                        if epochs.any(|epoch| epoch.starts_with(&channel)) {
                            let index = Some(closed.epoch.index);
                            message.closed_up_to = message.closed_up_to.max(index);
                        }
                    }
                    let epoch = epoch_name(&closed.channel, closed.epoch);
                    (closed.to, epoch, closed.verdicts)
                }
                Err(_) => return Ok(()),
            }
        } else {
            return Ok(());
        };
        for verdict in &verdicts {
            let Some(id) = self.prefixes.get(&verdict.id).copied() else {
                continue;
            };
            let genuine = self.get(id).is_some_and(|m| {
                m.to == of
                    && device.as_str() == self::device(m.from)
                    && self.accounts[m.from].iter().any(|own| own == to_bare)
            });
            if genuine {
                self.decides(id, &epoch, verdict)?;
            }
        }
        Ok(())
    }

    /// Its recipient says what became of a message, as it came in that epoch.
    fn decides(&mut self, id: Id, epoch: &str, verdict: &Verdict) -> Checked {
        let Some(message) = self.messages.get_mut(id as usize) else {
            return Ok(());
        };
        // A late cancel in an epoch that both have lost: the message came in another one since,
        // and nobody hears what is said of this one.
        let is_of_the_past = self.set_back[message.to] && message.lost_epochs.contains(epoch);
        let wrong =
            |what: &str| Err(Law::Durable.broken(format!("{} was called {what}", name(id))));
        match verdict.state {
            VerdictState::Delivered if !message.committed => {
                wrong("delivered before its commit was durable")
            }
            VerdictState::Handed if !message.inbox => wrong("handed over before it was durable"),
            VerdictState::Void if message.effect && is_of_the_past => Ok(()),
            VerdictState::Void if message.effect && !message.outlived => {
                wrong("void, but it took effect")
            }
            VerdictState::Void => {
                message.void = true;
                message.void_forgotten = false;
                Ok(())
            }
            VerdictState::Maybe if message.marks < HAND_OVERS => {
                wrong("given up before it was begun three times")
            }
            VerdictState::Maybe if message.begun + 1 < HAND_OVERS => {
                wrong("given up, though it only waited while processes ended")
            }
            _ => Ok(()),
        }
    }

    /// Whether a message that was received must be in the inbox by now, or have been
    /// there, when the server is told that it is handled.
    pub(crate) fn must_be_kept(&self, id: Id) -> bool {
        self.get(id).is_some_and(|m| {
            let settled = m.has_outcome() || m.cancelled || m.sent_back;
            !m.inbox && !settled && !self.set_back[m.from] && !self.set_back[m.to]
        })
    }

    /// A message is handed to the application, by that store. Copies after a crash are
    /// handed over again; the first ones are in order.
    pub(crate) fn hands_over(&mut self, id: Id, store: StoreTag) -> Checked {
        let Some(message) = self.messages.get_mut(id as usize) else {
            return Ok(());
        };
        if !message.inbox {
            return Err(Law::Durable.broken(format!(
                "{} was handed over before it was durable",
                name(id)
            )));
        }
        if message.marks > HAND_OVERS && !self.set_back[message.draft.to] {
            return Err(Law::Bounds.broken(format!(
                "{} was handed over again after it was begun three times",
                name(id)
            )));
        }
        if message.void && !message.void_forgotten {
            return Err(Law::WrongOutcome.broken(format!(
                "{} was handed over after it was called void",
                name(id)
            )));
        }
        if message.spoken && !message.to_any_store && !message.stores.contains(&store) {
            return Err(Law::WrongOutcome.broken(format!(
                "{} was handed over by a store that it was not for",
                name(id)
            )));
        }
        let again = std::mem::replace(&mut message.handed, true);
        if again || message.forgotten || message.channel == LOOSE {
            return Ok(());
        }
        let channel = (message.from, message.to, message.channel);
        let highest = self.highest.entry(channel).or_default();
        if message.place < *highest {
            self.tally.overtaken += 1;
            return Err(Law::Misordered.broken(format!(
                "{} was handed over after a later message",
                name(id)
            )));
        }
        *highest = message.place;
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

    /// An application that was warned of a message is about to act on it.
    pub(crate) fn begins(&mut self, id: Id) {
        if let Some(message) = self.get_mut(id) {
            message.begun += 1;
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
        if message.repeatable || message.revival == Revival::Due {
            self.tally.repeated += 1;
        } else if message.committed && message.revival == Revival::No {
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
            if message.revival == Revival::Due {
                message.revival = Revival::Begun;
            }
            message.effect_life = life;
        }
        Ok(())
    }

    /// The first effect of a message, in this timeline.
    fn takes_effect(&mut self, id: Id, life: u64) -> Checked {
        let Some(message) = self.messages.get_mut(id as usize) else {
            return Ok(());
        };
        let decided = message.decided || message.told == Told::NotDelivered;
        let given_up = (decided && !message.strayed) || message.void;
        if given_up && !message.void_forgotten {
            return Err(
                Law::WrongOutcome.broken(format!("{} took effect after NotDelivered", name(id)))
            );
        }
        message.effect = true;
        message.effect_life = life;
        Ok(())
    }

    /// The sender is told an outcome, in that life.
    pub(crate) fn outcome(&mut self, life: u64, id: Id, outcome: &Outcome) -> Checked {
        let Some(message) = self.messages.get_mut(id as usize) else {
            return Ok(());
        };
        let wrong =
            |how: &str| Err(Law::WrongOutcome.broken(format!("{}: {outcome} {how}", name(id))));
        // Both may have forgotten it: the sender had not written it when it ended, and its
        // recipient was set back, or it was itself, and the history that it lost had told its
        // recipient that this is settled.
        let set_back = self.set_back[message.draft.from] || self.set_back[message.draft.to];
        let written = message.concluded == Some(Told::Positive);
        let lapsed = message.told == Told::Positive && !written && set_back;
        let settled = message.concluded.is_some() && message.told.is_definite() && !lapsed;
        if message.settled_in == Some(life) || settled {
            return wrong("after it was settled");
        }
        match outcome {
            Outcome::NotDelivered(why) => {
                let reason = match why {
                    NotDelivered::Cancelled => message.taken_back,
                    NotDelivered::Refused(_) => true,
                    // Why it was given up is not kept.
                    _ => message.lifetime.is_some() || message.taken_back || message.refused,
                };
                if !reason {
                    return wrong("but nobody gave it up");
                }
                if !message.decided {
                    return Err(Law::Durable
                        .broken(format!("{}: {outcome} before it was durable", name(id))));
                }
                if message.told == Told::Positive && !lapsed {
                    return wrong("after it was delivered");
                }
                if message.effect && !message.repeatable && !message.void_forgotten {
                    return wrong("but it took effect");
                }
                if message.transmitted && !message.spoken {
                    return wrong("but it was transmitted, and nobody was asked");
                }
                message.told = Told::NotDelivered;
                message.settled_in = Some(life);
            }
            Outcome::InDoubt(why) => {
                let reason = match why {
                    InDoubt::RolledBack => set_back,
                    InDoubt::PeerReset => self.emptied[message.draft.to],
                    InDoubt::MaybeApplied => message.marks >= HAND_OVERS,
                    InDoubt::Forgotten | InDoubt::Cancelled => false,
                    InDoubt::Refused(_) => true,
                    _ => message.lifetime.is_some() || message.taken_back || message.refused,
                };
                if !reason {
                    return wrong("for no reason");
                }
                if !message.transmitted && message.accepted == Some(life) {
                    return wrong("but it was never transmitted");
                }
                if message.told == Told::NotDelivered {
                    return wrong("after it was not delivered");
                }
                message.refused |= matches!(why, InDoubt::Refused(_));
                if why.is_final() {
                    message.told = Told::Unknowable;
                    message.settled_in = Some(life);
                } else if message.doubted_in.replace(life) == Some(life) {
                    return wrong("twice in one life");
                } else if message.told == Told::Nothing {
                    message.told = Told::InDoubt;
                }
            }
            // Acknowledged, or delivered.
            _ => {
                // In doubt since before its recipient was known to speak the protocol, or if
                // that is forgotten, the word of any client of the account settles it: again
                // after a crash, if it was not written yet.
                let vouched = message.vouched
                    && (message.told == Told::InDoubt || message.estranged || message.believed)
                    && matches!(outcome, Outcome::Acknowledged { .. });
                message.believed |= vouched;
                if !message.effect && !message.undone && !vouched {
                    return wrong("but it never took effect");
                }
                // A receipt of the dead timeline may still be on its way.
                if !message.committed && !message.undone && !message.outlived && !vouched {
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

    /// The devices of which a device knows, by messages on their channels that it keeps.
    pub(crate) fn heard_by(&self, of: usize) -> Vec<usize> {
        let here = self
            .messages
            .iter()
            .filter(|m| m.to == of && m.inbox && m.spoken);
        here.map(|m| m.from).collect()
    }

    /// Whether a device knows for good that another one speaks the delivery protocol.
    pub(crate) fn knows(&self, of: usize, other: usize) -> bool {
        let sent = self
            .messages
            .iter()
            .filter(|m| m.from == of && m.to == other);
        let mut settled = sent.filter(|m| m.spoken && m.concluded == Some(Told::Positive));
        !self.set_back[of] && settled.next().is_some()
    }

    /// How many messages of a device are in doubt, as it was told.
    pub(crate) fn in_doubt(&self, of: usize) -> usize {
        let own = self.messages.iter().filter(|m| m.from == of);
        own.filter(|m| m.told == Told::InDoubt || m.doubted).count()
    }

    /// Whether a device's store was set back.
    pub(crate) fn was_set_back(&self, of: usize) -> bool {
        self.set_back.get(of).is_some_and(|was| *was)
    }

    /// Messages whose end is still due. Doubt about messages of devices whose store was set
    /// back may stay.
    pub(crate) fn unfinished(&self) -> impl Iterator<Item = (Id, &Message)> {
        let open = |m: &Message| {
            if m.forgotten {
                return false;
            }
            // Who was set back may have forgotten its sender's other accounts; and what waits
            // for it fills the outbox.
            let forgot = match m.accepted {
                Some(_) => self.set_back[m.to],
                None => self.set_back.contains(&true),
            };
            if self.moves && forgot {
                return false;
            }
            let set_back = self.set_back[m.from] || self.set_back[m.to];
            let given_up = m.taken_back || m.refused || m.told.is_definite();
            let may_doubt = m.lifetime.is_some() || m.poison || set_back || given_up;
            m.accepted.is_none()
                || !m.has_outcome()
                || (!may_doubt && m.told != Told::Positive && m.concluded.is_none())
        };
        let numbered = self.messages.iter().enumerate();
        numbered
            .filter(move |(_, m)| open(m))
            .map(|(at, m)| (at as Id, m))
    }
}

/// How the engine's keys of an epoch begin.
fn epoch_name(channel: &Channel, Epoch { index, random }: Epoch) -> String {
    format!("d {} {index} {random:08x}", channel.as_str())
}

/// The part of an inbox key that says in which epoch a message came: all but the last word. The
/// same as [`epoch_name`].
fn epoch(key: &InboundKey) -> Option<&str> {
    Some(key.id.rsplit_once(' ')?.0)
}

/// How many epochs of its channel there were before that of a key.
fn index(key: &InboundKey) -> Option<u32> {
    let (before_random, _) = epoch(key)?.rsplit_once(' ')?;
    before_random.rsplit_once(' ')?.1.parse().ok()
}

/// The body of an encoded stanza, as it stands there.
fn body(stanza: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(stanza).ok()?;
    let (_, rest) = text.split_once("<body>")?;
    Some(rest.split_once("</body>")?.0)
}

#[cfg(test)]
mod tests;
mod timelines;

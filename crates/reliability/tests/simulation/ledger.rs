//! What must hold: each device's messages, what is known of them, and the checks. A
//! check that fails is an `Err` that says which law is broken.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stanchion_reliability::outcome::{InDoubt, Outcome};
use stanchion_stanza::payload::delivery::{IdPrefix, Verdict, VerdictState};

pub(crate) type Checked = Result<(), String>;

/// One message, as its sender sees it.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    /// On the world's clock; chosen when the message is given for the first time.
    pub(crate) deadline: Option<Duration>,
    pub(crate) given: bool,
    /// Given to an engine that did not refuse it.
    pub(crate) submitted: bool,
    /// Known to be durable, and in which life of an engine it became so.
    pub(crate) accepted: Option<u64>,
    /// Its sender asked that it take no effect, or has an outcome: copies need not be
    /// kept.
    pub(crate) taken_back: bool,
    /// Transmitted at any time.
    pub(crate) transmitted: bool,
    /// `NotDelivered` is durable; if the process ended before it was told, it is to be
    /// found in the store.
    pub(crate) decided: bool,
    pub(crate) not_delivered: bool,
    pub(crate) in_doubt: bool,
    pub(crate) acknowledged: bool,
    /// Its recipient failed on it too often: the end of it.
    pub(crate) given_up: bool,
    /// The life in which the last definite outcome was told.
    settled_in: Option<u64>,
}

impl Sent {
    pub(crate) const fn has_outcome(&self) -> bool {
        self.decided || self.in_doubt || self.acknowledged
    }
}

/// What a device did and was told; survives its crashes.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) sent: BTreeMap<String, Sent>,
    /// In the order in which they became durable.
    pub(crate) order: Vec<String>,
    /// Durable in the outbox, in the inbox, and as handled.
    pub(crate) outbox: BTreeSet<String>,
    pub(crate) inbox: BTreeSet<String>,
    pub(crate) handled: BTreeSet<String>,
    /// Which message a key of the inbox stands for.
    pub(crate) keys: BTreeMap<String, String>,
    /// Messages in the order in which they were first handed over.
    pub(crate) handed_over: Vec<String>,
    /// What messages did here, in order.
    pub(crate) effects: Vec<String>,
    pub(crate) late: u64,
}

impl Ledger {
    /// A message was transmitted.
    pub(crate) fn transmits(&mut self, id: &str, body: &str) -> Checked {
        if !self.outbox.contains(id) {
            return Err(format!("{id} was transmitted before it was durable"));
        }
        if id != body {
            return Err(format!("{body} was transmitted with the id {id}"));
        }
        let sent = self.sent.entry(id.to_owned()).or_default();
        sent.transmitted = true;
        Ok(())
    }

    /// A cancel was transmitted.
    pub(crate) fn cancels(&mut self, name: IdPrefix) {
        let named = |id: &&String| IdPrefix::of(id) == name;
        if let Some(id) = self.outbox.iter().find(named) {
            self.sent.entry(id.clone()).or_default().taken_back = true;
        }
    }

    /// A verdict was transmitted.
    pub(crate) fn judges(&self, verdict: &Verdict) -> Checked {
        let named = |id: &&String| IdPrefix::of(id) == verdict.id;
        match verdict.state {
            VerdictState::Delivered => match self.effects.iter().find(named) {
                Some(id) => self.confirms(id),
                None => Err("a verdict before the application acted".to_owned()),
            },
            VerdictState::Void if self.effects.iter().any(|id| named(&id)) => {
                Err("void, but it took effect".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// A receipt was transmitted.
    pub(crate) fn confirms(&self, id: &str) -> Checked {
        if !self.effects.iter().any(|done| done == id) {
            return Err(format!("a receipt for {id} before the application acted"));
        }
        if !self.handled.contains(id) {
            return Err(format!("a receipt for {id} before its commit was durable"));
        }
        Ok(())
    }

    /// The application acts on a message. Gives whether it had before.
    pub(crate) fn acts(&mut self, id: &str, maybe_redelivered: bool) -> Result<bool, String> {
        let again = self.effects.iter().any(|done| done == id);
        if again && !maybe_redelivered {
            return Err(format!("{id} took effect twice, and nobody warned"));
        }
        if !again {
            self.effects.push(id.to_owned());
        }
        Ok(again)
    }

    /// The sender is told an outcome; `effected` if the receiver has acted on it.
    pub(crate) fn outcome(
        &mut self,
        life: u64,
        id: &str,
        outcome: &Outcome,
        effected: bool,
    ) -> Checked {
        let sent = self.sent.entry(id.to_owned()).or_default();
        if sent.not_delivered {
            return Err(format!("{id}: {outcome} after NotDelivered"));
        }
        if sent.settled_in == Some(life) {
            return Err(format!("{id}: {outcome} after it was settled"));
        }
        match outcome {
            Outcome::Acknowledged { .. } | Outcome::Delivered { .. } => {
                if !effected {
                    return Err(format!("{id} is Acknowledged, and never took effect"));
                }
                self.late += u64::from(sent.in_doubt && !sent.acknowledged);
                sent.acknowledged = true;
                sent.settled_in = Some(life);
            }
            Outcome::NotDelivered(_) => {
                if !sent.decided {
                    return Err(format!("{id} was called NotDelivered too early"));
                }
                if effected {
                    return Err(format!("{id} is NotDelivered, but took effect"));
                }
                sent.not_delivered = true;
            }
            Outcome::InDoubt(_) => {
                if !sent.transmitted && sent.accepted == Some(life) {
                    return Err(format!("{id} is InDoubt, but was never transmitted"));
                }
                sent.in_doubt = true;
                sent.given_up |= *outcome == Outcome::InDoubt(InDoubt::MaybeApplied);
            }
            other => return Err(format!("{id}: {other} is no outcome of this protocol")),
        }
        Ok(())
    }

    /// Messages of this sender that were handed over at `receiver` after one that became
    /// durable later.
    pub(crate) fn overtaken(&self, receiver: &Self) -> u64 {
        let place: BTreeMap<&String, usize> = self
            .order
            .iter()
            .enumerate()
            .map(|(n, id)| (id, n))
            .collect();
        let mut highest = None;
        let mut overtaken = 0;
        for at in receiver.handed_over.iter().map(|id| place.get(id)) {
            overtaken += u64::from(at < highest);
            highest = highest.max(at);
        }
        overtaken
    }
}

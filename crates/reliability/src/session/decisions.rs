//! Decisions about received messages that are not durable yet: who waits for each, and the
//! effects on their way to the store. Which are good is `engine`'s.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::control::{Answer, Decision};
use crate::store::{Effect, Op};

/// Those that are under way; no more than messages are handed over.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    waiting: HashMap<u64, Answer>,
    effects: HashMap<u64, Effect>,
}

impl Decisions {
    /// One begins. Gives false if there is one about that message already, which then
    /// stands alone.
    pub(super) fn begin(&mut self, arrival: u64, answer: Answer) -> bool {
        if self.waiting.contains_key(&arrival) {
            reply(answer, Decision::NotDone);
            return false;
        }
        self.waiting.insert(arrival, answer);
        true
    }

    /// The same, with an effect.
    pub(super) fn begin_with(&mut self, arrival: u64, effect: Effect, answer: Answer) -> bool {
        let begun = self.begin(arrival, answer);
        if begun {
            self.effects.insert(arrival, effect);
        }
        begun
    }

    /// The messages that those are about.
    pub(super) fn arrivals(&self) -> Vec<u64> {
        self.waiting.keys().copied().collect()
    }

    /// One has ended.
    pub(super) fn ended(&mut self, arrival: u64, done: bool) {
        self.effects.remove(&arrival);
        if let Some(answer) = self.waiting.remove(&arrival) {
            let decision = if done {
                Decision::Done
            } else {
                Decision::NotDone
            };
            reply(answer, decision);
        }
    }

    /// The effects that go with a batch, in its order.
    pub(super) fn effects_of(&mut self, batch: &[Op]) -> Vec<Effect> {
        if self.effects.is_empty() {
            return Vec::new();
        }
        let arrivals = batch.iter().filter_map(|op| match op {
            Op::Apply { arrival, .. } => Some(arrival),
            _ => None,
        });
        arrivals
            .filter_map(|arrival| self.effects.remove(arrival))
            .collect()
    }
}

/// Slices of archives that are not durable yet, and who waits for each; no more than
/// readers of archives, which wait for one before they give the next.
#[derive(Debug, Default)]
pub(super) struct Archives {
    waiting: HashMap<u64, oneshot::Sender<usize>>,
    next: u64,
}

impl Archives {
    /// One begins; gives its ticket.
    pub(super) fn begin(&mut self, answer: oneshot::Sender<usize>) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next, answer);
        self.next
    }

    /// So many of it are durable.
    pub(super) fn ended(&mut self, ticket: u64, taken: usize) {
        if let Some(answer) = self.waiting.remove(&ticket) {
            // A reader that gave up reads them again.
            let _ = answer.send(taken);
        }
    }

    /// The store failed: all are to be given again.
    pub(super) fn failed(&mut self) {
        for (_, answer) in self.waiting.drain() {
            let _ = answer.send(0);
        }
    }
}

pub(super) fn reply(answer: Answer, decision: Decision) {
    if let Some(answer) = answer {
        // Whoever gave up waiting wanted no answer.
        let _ = answer.send(decision);
    }
}

//! Decisions about received messages that are not durable yet, and what is about to be
//! acted on: who waits for each, and the effects on their way to the store. Which are good
//! is `engine`'s.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::control::{Answer, Decision};
use crate::store::{Effect, Op};

/// Those that are under way; no more than messages are handed over.
#[derive(Debug, Default)]
pub(super) struct Decisions {
    waiting: HashMap<u64, Answer>,
    effects: HashMap<u64, Effect>,
    /// Who is about to act on a message, and does so once that is durable.
    beginning: HashMap<u64, oneshot::Sender<()>>,
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

    /// Somebody is about to act on a message.
    pub(super) fn waits_to_begin(&mut self, arrival: u64, answer: oneshot::Sender<()>) {
        self.beginning.insert(arrival, answer);
    }

    /// That is durable.
    pub(super) fn begun(&mut self, arrival: u64) {
        if let Some(waiting) = self.beginning.remove(&arrival) {
            // Whoever gave up acts on nothing.
            let _ = waiting.send(());
        }
    }

    /// The store failed: the application acts without its record, as that only counts how
    /// often a message ends a process.
    pub(super) fn begun_unrecorded(&mut self) {
        for (_, waiting) in self.beginning.drain() {
            let _ = waiting.send(());
        }
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

/// Questions to the engine that are answered when something is durable, and who waits for
/// each: readers of archives and those who enter rooms, which wait for one answer before
/// they ask the next.
#[derive(Debug)]
pub(super) struct Tickets<T> {
    waiting: HashMap<u64, oneshot::Sender<T>>,
    next: u64,
}

impl<T> Default for Tickets<T> {
    fn default() -> Self {
        let waiting = HashMap::new();
        Self { waiting, next: 0 }
    }
}

impl<T: Default> Tickets<T> {
    /// One begins; gives its ticket.
    pub(super) fn begin(&mut self, answer: oneshot::Sender<T>) -> u64 {
        self.next += 1;
        self.waiting.insert(self.next, answer);
        self.next
    }

    /// It is answered.
    pub(super) fn ended(&mut self, ticket: u64, answer: T) {
        if let Some(waiting) = self.waiting.remove(&ticket) {
            // Whoever gave up asks again.
            let _ = waiting.send(answer);
        }
    }

    /// The store failed: nothing was done.
    pub(super) fn failed(&mut self) {
        for (_, waiting) in self.waiting.drain() {
            let _ = waiting.send(T::default());
        }
    }
}

pub(super) fn reply(answer: Answer, decision: Decision) {
    if let Some(answer) = answer {
        // Whoever gave up waiting wanted no answer.
        let _ = answer.send(decision);
    }
}

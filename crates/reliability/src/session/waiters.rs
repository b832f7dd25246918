//! Who waits for news of which message. What the news is, the engine says; the messages
//! themselves are in its window and in the store.

use std::collections::HashMap;

use tokio::sync::oneshot;

use super::SendError;
use crate::outcome::Outcome;

/// Below so many, nobody is looked for who has gone.
const FEW: usize = 1024;

/// Who waits for one message.
#[derive(Debug)]
pub(super) struct Waiter {
    /// To hear that it is kept, or not; taken once that is said.
    pub(super) kept: Option<oneshot::Sender<Result<(), SendError>>>,
    /// To hear what became of it.
    pub(super) outcome: oneshot::Sender<Outcome>,
}

impl Waiter {
    /// Whether there is nobody any more.
    fn has_gone(&self) -> bool {
        self.kept.is_none() && self.outcome.is_closed()
    }
}

/// All who wait, by the id of their message. Whoever dropped the handle to a message is
/// forgotten, so that an outbox that is large takes memory for those who wait only.
#[derive(Debug)]
pub(super) struct Waiters {
    by_id: HashMap<String, Waiter>,
    /// How many there may be before those are looked for who have gone.
    bound: usize,
}

impl Waiters {
    pub(super) fn new() -> Self {
        Self {
            by_id: HashMap::new(),
            bound: FEW,
        }
    }

    pub(super) fn insert(&mut self, id: String, waiter: Waiter) {
        if self.by_id.len() >= self.bound {
            self.by_id.retain(|_, waiter| !waiter.has_gone());
            // Twice what is left: each of them is looked at once in a while.
            self.bound = FEW.max(2 * self.by_id.len());
        }
        self.by_id.insert(id, waiter);
    }

    /// The message is kept: only its outcome is of interest any more.
    pub(super) fn kept(&mut self, id: &str) {
        if let Some(kept) = self.by_id.get_mut(id).and_then(|w| w.kept.take()) {
            let _ = kept.send(Ok(()));
        }
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Waiter> {
        self.by_id.remove(id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Ends = (
        oneshot::Receiver<Result<(), SendError>>,
        oneshot::Receiver<Outcome>,
    );

    fn wait(waiters: &mut Waiters, n: usize) -> Ends {
        let (kept_tx, kept) = oneshot::channel();
        let (outcome, ends) = oneshot::channel();
        let kept_tx = Some(kept_tx);
        waiters.insert(
            n.to_string(),
            Waiter {
                kept: kept_tx,
                outcome,
            },
        );
        (kept, ends)
    }

    #[test]
    fn whoever_dropped_the_handle_takes_no_memory() {
        let mut waiters = Waiters::new();
        for n in 0..10 * FEW {
            let ends = wait(&mut waiters, n);
            waiters.kept(&n.to_string());
            drop(ends);
            assert!(waiters.by_id.len() <= FEW);
        }
    }

    #[test]
    fn whoever_waits_is_kept() {
        let mut waiters = Waiters::new();
        let mut handles: Vec<Ends> = (0..3 * FEW).map(|n| wait(&mut waiters, n)).collect();
        // Not kept yet, so somebody may still ask.
        let unkept = wait(&mut waiters, 3 * FEW);
        drop(unkept);
        for n in 0..3 * FEW {
            waiters.kept(&n.to_string());
        }
        assert_eq!(waiters.by_id.len(), 3 * FEW + 1);
        handles.truncate(FEW);
        for n in 0..8 * FEW {
            drop(wait(&mut waiters, 10 * FEW + n));
            waiters.kept(&(10 * FEW + n).to_string());
        }
        assert!((0..FEW).all(|n| waiters.remove(&n.to_string()).is_some()));
        assert!(waiters.remove(&(3 * FEW).to_string()).is_some());
        assert!(waiters.remove(&(2 * FEW).to_string()).is_none());
    }
}

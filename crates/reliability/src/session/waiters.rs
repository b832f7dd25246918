//! Who waits for what becomes of a message, by its id. Owns the ends that the driver
//! speaks into; the ends that listen are in `sent`, what lies between in `progress`. What is
//! told, the engine decides.

use std::collections::HashMap;

use super::SendError;
use super::progress::{Listener, Teller};
use crate::outcome::{InDoubt, Outcome};
use crate::store::{Op, OutboundState, StoreError};

/// Entries that are not worth a look for those that nobody listens to any more.
const FEW: usize = 64;

/// All waiters: no more than twice those that somebody listens to, or 64.
#[derive(Debug)]
pub(super) struct Waiters {
    by_id: HashMap<String, Teller>,
    /// How many there must be before the deserted ones are looked for.
    look_at: usize,
}

impl Default for Waiters {
    fn default() -> Self {
        Self {
            by_id: HashMap::new(),
            look_at: FEW,
        }
    }
}

impl Waiters {
    /// For a message that is on its way into the outbox.
    pub(super) fn insert(&mut self, id: String, teller: Teller) {
        self.make_room();
        self.by_id.insert(id, teller);
    }

    /// Listens to a message that may be there from earlier.
    pub(super) fn watch(&mut self, id: String) -> Listener {
        self.make_room();
        let teller = self.by_id.entry(id).or_insert_with(Teller::of_kept);
        teller.listen()
    }

    /// It is durable.
    pub(super) fn kept(&self, id: &str) {
        if let Some(teller) = self.by_id.get(id) {
            teller.kept();
        }
    }

    /// It was not taken.
    pub(super) fn refused(&mut self, id: &str, why: SendError) {
        if let Some(teller) = self.by_id.remove(id) {
            teller.refuse(why);
        }
    }

    /// The store failed: nobody can say whether what was under way is kept.
    pub(super) fn perhaps_kept(&mut self, error: &StoreError) {
        let under_way = self
            .by_id
            .iter()
            .filter(|(_, teller)| teller.is_under_way());
        let ids: Vec<String> = under_way.map(|(id, _)| id.clone()).collect();
        for id in ids {
            let why = SendError::PerhapsKept {
                id: id.clone(),
                source: error.clone(),
            };
            self.refused(&id, why);
        }
    }

    /// The messages that somebody listens to.
    pub(super) fn ids(&mut self) -> Vec<String> {
        self.by_id.retain(|_, teller| !teller.is_deserted());
        self.by_id.keys().cloned().collect()
    }

    /// Nothing will be heard of it.
    pub(super) fn gone(&mut self, id: &str) {
        self.by_id.remove(id);
    }

    /// The server has taken it.
    pub(super) fn server_accepted(&self, id: &str) {
        if let Some(teller) = self.by_id.get(id) {
            teller.server_accepted();
        }
    }

    /// There is an outcome. Who asks from now on waits for the next one.
    pub(super) fn settled(&mut self, id: &str, outcome: &Outcome) {
        if let Some(teller) = self.by_id.remove(id) {
            teller.settle(outcome.clone());
        }
    }

    /// Tells those who wait for more than a doubt that it stays one: of too many, the
    /// engine gives up the oldest, which it reports to nobody. A reason that is unknown
    /// here is left to the engine's own report.
    pub(super) fn decided(&mut self, batch: &[Op]) {
        if self.by_id.is_empty() {
            return;
        }
        for op in batch {
            if let Op::SetOutboundState { id, state, .. } = op
                && let OutboundState::InDoubt {
                    reason,
                    open: false,
                } = state
                && let Some(why) = InDoubt::of(reason)
            {
                self.settled(id, &Outcome::InDoubt(why));
            }
        }
    }

    fn make_room(&mut self) {
        if self.by_id.len() >= self.look_at {
            self.by_id.retain(|_, teller| !teller.is_deserted());
            self.look_at = FEW.max(self.by_id.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::progress::{Stage, given};
    use super::*;

    #[test]
    fn those_that_nobody_listens_to_take_no_memory() {
        let mut waiters = Waiters::default();
        let listening: Vec<_> = (0..10).map(|n| waiters.watch(format!("l{n}"))).collect();
        for n in 0..100_000 {
            drop(waiters.watch(format!("d{n}")));
            assert!(waiters.by_id.len() <= FEW);
        }
        for n in 0..10 {
            waiters.settled(&format!("l{n}"), &Outcome::InDoubt(InDoubt::Restarted));
        }
        for stage in listening {
            assert!(matches!(stage.stage(), Stage::Settled(_)));
        }
    }

    #[tokio::test]
    async fn a_sender_that_still_waits_for_the_disk_is_not_forgotten() {
        let mut waiters = Waiters::default();
        let (teller, keeping) = given();
        waiters.insert("m".to_owned(), teller);
        for n in 0..1000 {
            drop(waiters.watch(n.to_string()));
        }
        waiters.kept("m");
        assert!(keeping.kept().await.is_ok());
    }

    #[test]
    fn a_doubt_that_is_given_up_ends_the_waiting() {
        let mut waiters = Waiters::default();
        let (closed, open) = (waiters.watch("a".to_owned()), waiters.watch("b".to_owned()));
        let set = |id: &str, open| Op::SetOutboundState {
            id: id.to_owned(),
            state: OutboundState::InDoubt {
                reason: "restarted".into(),
                open,
            },
            at: crate::store::WallTime::default(),
        };
        waiters.decided(&[set("a", false), set("b", true)]);
        let restarted = Stage::Settled(Outcome::InDoubt(InDoubt::Restarted));
        assert_eq!(closed.stage(), restarted);
        assert_eq!(open.stage(), Stage::Accepted);
    }
}

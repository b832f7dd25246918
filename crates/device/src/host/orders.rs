//! Orders on their way: given to adapters, taken back when their time is over, and what
//! became of each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use stanchion_stanza::Text;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout_at};

use super::lock;
use super::state::{Plan, together};
use crate::adapter::{Control, Order, OrderError, State, Withdrawal};

/// Where orders go, by the names of the adapters.
#[derive(Debug, Clone, Default)]
pub(crate) struct Controls(Arc<Mutex<BTreeMap<String, Control>>>);

/// Orders that were given, and where each one's answer comes out.
#[derive(Debug)]
pub(crate) struct Given(Vec<One>);

#[derive(Debug)]
struct One {
    thing: Text,
    by: Instant,
    answer: oneshot::Receiver<Result<(), OrderError>>,
    withdrawal: Withdrawal,
    control: Option<Control>,
}

impl Controls {
    pub(crate) fn attach(&self, control: Control) {
        lock(&self.0).insert(control.name().to_owned(), control);
    }

    pub(crate) fn detach(&self, name: &str) {
        lock(&self.0).remove(name);
    }

    /// Gives the orders of a plan, all at once and without waiting.
    pub(crate) fn give(&self, plan: &Plan, by: Instant) -> Given {
        let give = |planned: &super::PlannedOrder| {
            let thing = planned.thing.clone();
            let (order, answer) = Order::new(thing.clone(), planned.settings.clone(), by);
            let withdrawal = order.withdrawal();
            let control = lock(&self.0).get(&*planned.adapter).cloned();
            match &control {
                Some(control) => control.order(order),
                None => {
                    let why = format!("its adapter `{}` is not running", planned.adapter);
                    order.failed(OrderError::Unavailable(why));
                }
            }
            One {
                thing,
                by,
                answer,
                withdrawal,
                control,
            }
        };
        Given(plan.orders.iter().map(give).collect())
    }
}

impl Given {
    /// What became of them, as of one: by their time at the latest.
    pub(crate) async fn outcome(self) -> Result<(), OrderError> {
        let mut outcomes = Vec::with_capacity(self.0.len());
        for one in self.0 {
            let thing = one.thing.clone();
            outcomes.push((thing, one.outcome().await));
        }
        together(&outcomes)
    }
}

impl One {
    async fn outcome(mut self) -> Result<(), OrderError> {
        if let Ok(answer) = timeout_at(self.by, &mut self.answer).await {
            let lost = "its adapter went without an answer".to_owned();
            return match answer.unwrap_or(Err(OrderError::InDoubt(lost))) {
                // Whoever gave it the time may have seen that it is over before we did.
                Err(OrderError::Expired) => Err(self.never_begun()),
                outcome => outcome,
            };
        }
        if !self.withdrawal.withdraw() {
            // What came in the meantime counts.
            let late = "the device has not answered in time".to_owned();
            return self
                .answer
                .try_recv()
                .unwrap_or(Err(OrderError::InDoubt(late)));
        }
        Err(self.never_begun())
    }

    /// Why it was not begun in its time.
    fn never_begun(&self) -> OrderError {
        let state = self.control.as_ref().map(|c| c.state().borrow().clone());
        match state {
            Some(State::Connected) => OrderError::Expired,
            Some(State::Waiting { cause, .. }) => OrderError::Unavailable(cause),
            _ => OrderError::Unavailable("it is not connected".to_owned()),
        }
    }
}

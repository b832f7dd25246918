//! What a thing is to do, and what became of it. An order is answered once, whatever
//! happens: one that is dropped was perhaps carried out.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use stanchion_stanza::Text;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::model::Setting;

/// Parameters of one thing that are to be set, in this order, by a given time.
///
/// An adapter answers with [`Order::done`] once the thing has done it, and not before.
/// Dropped without an answer, the order is [in doubt](OrderError::InDoubt).
#[must_use = "an order that is dropped is in doubt"]
pub struct Order {
    thing: Text,
    settings: Vec<Setting>,
    by: Instant,
    answer: Option<oneshot::Sender<Result<(), OrderError>>>,
    hands: Arc<AtomicU8>,
}

/// In whose hands an order is: it waits, an adapter has it, or it was withdrawn.
const WAITS: u8 = 0;
const TAKEN: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Takes back an order that no adapter has taken.
#[derive(Debug, Clone)]
pub struct Withdrawal(Arc<AtomicU8>);

impl Withdrawal {
    /// Takes it back. If that is so, it had no effect and will have none; if not, an
    /// adapter has it.
    #[must_use]
    pub fn withdraw(&self) -> bool {
        let was = Ordering::AcqRel;
        let now = self
            .0
            .compare_exchange(WAITS, WITHDRAWN, was, Ordering::Acquire);
        matches!(now, Ok(_) | Err(WITHDRAWN))
    }
}

/// Why an order is not known to be carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OrderError {
    /// Its time is over. It had no effect, and will have none.
    #[error("the command expired before it could be carried out")]
    Expired,
    /// The thing cannot do that. It had no effect.
    #[error("{0}")]
    Refused(String),
    /// There is nobody to carry it out. It had no effect.
    #[error("the device is not there: {0}")]
    Unavailable(String),
    /// It may have been carried out, in part or whole, or not at all.
    #[error("nobody knows whether the command was carried out: {0}")]
    InDoubt(String),
}

impl Order {
    /// For that thing, by that time; and where its answer comes out.
    pub fn new(
        thing: Text,
        settings: Vec<Setting>,
        by: Instant,
    ) -> (Self, oneshot::Receiver<Result<(), OrderError>>) {
        let (answer, answered) = oneshot::channel();
        let order = Self {
            thing,
            settings,
            by,
            answer: Some(answer),
            hands: Arc::default(),
        };
        (order, answered)
    }

    /// How to take it back, for as long as it waits.
    #[must_use]
    pub fn withdrawal(&self) -> Withdrawal {
        Withdrawal(Arc::clone(&self.hands))
    }

    /// An adapter takes it. Gives whether it may: not if it was withdrawn.
    pub(super) fn take(&self) -> bool {
        let was = Ordering::AcqRel;
        let now = self
            .hands
            .compare_exchange(WAITS, TAKEN, was, Ordering::Acquire);
        now.is_ok()
    }

    /// The id of its node.
    #[must_use]
    pub const fn thing(&self) -> &Text {
        &self.thing
    }

    /// What to set.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// When it is to be carried out at the latest.
    #[must_use]
    pub const fn by(&self) -> Instant {
        self.by
    }

    /// Whether it is too late. Ask right before the bytes leave that have an effect.
    #[must_use]
    pub fn is_expired(&self) -> bool {
        Instant::now() >= self.by
    }

    /// It was carried out, wholly.
    pub fn done(mut self) {
        self.tell(Ok(()));
    }

    /// It was not, or nobody knows.
    pub fn failed(mut self, why: OrderError) {
        self.tell(Err(why));
    }

    /// It is what `outcome` says.
    pub fn answer(mut self, outcome: Result<(), OrderError>) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Result<(), OrderError>) {
        if let Some(answer) = self.answer.take() {
            // Whoever asked may have given up.
            let _ = answer.send(outcome);
        }
    }
}

impl Drop for Order {
    fn drop(&mut self) {
        let why = "the connection to the device ended in between";
        self.tell(Err(OrderError::InDoubt(why.to_owned())));
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order")
            .field("thing", &self.thing)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

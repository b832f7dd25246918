//! An application's own change in the transaction that says that its message is handled.
//! This file owns the closure and its answer; what it may touch is held by
//! `sqlite::guard`, and when it runs is `sqlite::writer`'s.

use std::any::Any;
use std::error::Error;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Transaction;
use tokio::sync::oneshot;

/// What the names of an application's tables, indexes, views and triggers in a store's
/// file begin with. No release of this crate has a table of such a name.
pub const APP_PREFIX: &str = "app_";

/// What an effect's closure may fail with.
pub type EffectFailure = Box<dyn Error + Send + Sync>;

/// Why an effect did not take effect: nothing of it is kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EffectError {
    /// The closure gave this error.
    #[error("the effect failed, and nothing of it is kept")]
    Failed(#[source] EffectFailure),
    /// The closure panicked; the store goes on.
    #[error("the effect panicked, and nothing of it is kept: {0}")]
    Panicked(String),
}

type Run = Box<dyn FnOnce(&Transaction<'_>) -> bool + Send>;

/// An application's own change, for [`Op::Apply`](super::Op::Apply).
///
/// It runs once, in the store's own thread, inside its transaction: it sees what was
/// committed before, and is durable together with the mark on its message, or not at all.
/// It may read and change what begins with [`APP_PREFIX`], tables that it makes itself
/// included, but not rename tables; anything else, the store's own tables and statements such as `COMMIT`,
/// `PRAGMA` and `ATTACH` among it, is refused by SQLite as `not authorized`.
///
/// All that the store has to do waits for it, so it should take milliseconds: what is
/// slow belongs before it or after it, and what waits for the session never ends. One that takes longer than
/// [`Effect::SLOW`] is logged; none is interrupted, as SQLite would roll the whole
/// transaction back, with the changes of others in it. For the same reason a foreign key of
/// its tables must not be deferred: violated, it would fail the transaction of all. And a
/// virtual table, as of a full-text search, is made in a [transaction of its
/// own](super::SqliteStore::transact): one that is made, filled and undone together fails the
/// transaction of all, too.
pub struct Effect(Run);

/// What an [`Effect`] gave. It is there before the change is durable: wait for the answer
/// to the batch first.
#[derive(Debug)]
pub struct EffectAnswer<T>(oneshot::Receiver<Result<T, EffectError>>);

impl Effect {
    /// Beyond this an effect is logged as slow.
    pub const SLOW: std::time::Duration = std::time::Duration::from_millis(100);

    /// An effect, and where to find what it gave.
    pub fn new<T, E, F>(effect: F) -> (Self, EffectAnswer<T>)
    where
        T: Send + 'static,
        E: Into<EffectFailure>,
        F: FnOnce(&Transaction<'_>) -> Result<T, E> + Send + 'static,
    {
        let (answer, receiver) = oneshot::channel();
        let run = move |transaction: &Transaction<'_>| {
            // What the closure leaves half done is rolled back, and nobody else sees it.
            let outcome = match catch_unwind(AssertUnwindSafe(|| effect(transaction))) {
                Ok(outcome) => outcome.map_err(|error| EffectError::Failed(error.into())),
                Err(panic) => Err(EffectError::Panicked(words_of(&*panic))),
            };
            let done = outcome.is_ok();
            // A receiver that is gone wanted no answer.
            drop(answer.send(outcome));
            done
        };
        (Self(Box::new(run)), EffectAnswer(receiver))
    }

    /// Runs it. Gives whether it is to be kept. Never panics.
    pub(super) fn run(self, transaction: &Transaction<'_>) -> bool {
        (self.0)(transaction)
    }
}

impl<T> EffectAnswer<T> {
    /// What it gave; `None` if it never ran.
    pub async fn take(self) -> Option<Result<T, EffectError>> {
        self.0.await.ok()
    }
}

fn words_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

impl fmt::Debug for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Effect")
    }
}

//! How long a session waits for a store that has failed.

use std::time::Duration;

use tokio::time::Instant;

/// Waiting times between attempts to reopen the store: the first one, and the longest.
const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);
/// A store that has worked for so long has recovered; the next failure is a new one.
const STEADY: Duration = Duration::from_secs(60);
/// How long to wait for the store.
#[derive(Debug, Default)]
pub(super) struct Patience {
    waited: Duration,
    back_since: Option<Instant>,
}

impl Patience {
    /// The store failed, or still does.
    pub(super) fn failed(&mut self) -> Duration {
        let steady = |since: Instant| since.elapsed() >= STEADY;
        if self.back_since.take().is_some_and(steady) {
            self.waited = Duration::ZERO;
        }
        self.waited = (self.waited * 2).clamp(FIRST, LONGEST);
        self.waited
    }

    /// The store is back.
    pub(super) fn is_back(&mut self) {
        self.back_since = Some(Instant::now());
    }
}

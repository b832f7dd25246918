//! The time limit of a case: every wait of an evaluation ends by it, or by Ctrl-C.

use crate::failure::{Failure, Outcome};
use crate::program::Interrupt;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two looks at what is awaited.
const LOOK: Duration = Duration::from_millis(3);

/// How long a case may still take.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    over: Instant,
    limit: Duration,
    interrupt: Interrupt,
}

impl Patience {
    pub(super) fn new(limit: Duration, interrupt: &Interrupt) -> Self {
        Self {
            over: Instant::now() + limit,
            limit,
            interrupt: interrupt.clone(),
        }
    }

    /// What is left of the limit.
    pub(super) fn left(&self) -> Duration {
        self.over.saturating_duration_since(Instant::now())
    }

    /// Looks again and again, until there is something.
    ///
    /// # Errors
    /// Those of `look`; `Failure::Red` when the limit is over or the command is
    /// interrupted, which then names `what` did not come.
    pub(super) fn wait_for<T>(
        &self,
        what: &str,
        mut look: impl FnMut() -> Outcome<Option<T>>,
    ) -> Outcome<T> {
        loop {
            if let Some(seen) = look()? {
                return Ok(seen);
            }
            self.check(what)?;
            sleep(LOOK);
        }
    }

    /// Lets time pass that belongs to the case: that somebody is away, for one.
    ///
    /// # Errors
    /// As `wait_for`.
    pub(super) fn pass(&self, time: Duration) -> Outcome {
        let until = Instant::now() + time;
        self.wait_for("the end of a pause", || {
            Ok((Instant::now() >= until).then_some(()))
        })
    }

    fn check(&self, what: &str) -> Outcome {
        if self.interrupt.seen() {
            return Err(Failure::Red("interrupted".to_owned()));
        }
        if self.left().is_zero() {
            return Err(Failure::Red(format!(
                "not done within {} s: {what} did not come",
                self.limit.as_secs()
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_ends_with_the_limit_and_names_what_did_not_come() {
        let interrupt = Interrupt::watch().unwrap();
        let patience = Patience::new(Duration::ZERO, &interrupt);
        let waited = patience.wait_for::<()>("the receipt", || Ok(None));
        assert!(waited.unwrap_err().to_string().contains("the receipt"));
        assert_eq!(patience.wait_for("x", || Ok(Some(1))).unwrap(), 1);
    }
}

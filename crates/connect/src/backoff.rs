//! How long to wait before the next attempt: exponential, with full jitter.
//!
//! Sans-IO: the random number is an argument, the waiting is the caller's. Which
//! errors are worth another attempt is told by [`ConnectError::retry`].
//!
//! [`ConnectError::retry`]: crate::ConnectError::retry

use std::time::Duration;

/// The bounds of the waiting time.
///
/// A thousand devices that lose one server at the same moment come back spread
/// over the whole interval, not in step: that is what full jitter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// The longest wait after the first failure; doubles with each further one.
    /// Default 1 s.
    pub base: Duration,
    /// No wait is longer. Default 60 s. Raise it with the size of the fleet: N
    /// devices make about `2 N / cap` attempts a second while a server is away.
    pub cap: Duration,
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(60),
        }
    }
}

/// Counts failures in a row, and says how long to wait.
///
/// ```
/// use stanchion_connect::backoff::{Backoff, BackoffPolicy};
/// let mut backoff = Backoff::new(BackoffPolicy::default());
/// assert!(backoff.failed(u64::MAX) < std::time::Duration::from_secs(1));
/// assert!(backoff.failed(u64::MAX) < std::time::Duration::from_secs(2));
/// backoff.established();
/// assert_eq!(backoff.failures(), 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    policy: BackoffPolicy,
    failures: u32,
}

impl Backoff {
    /// No failure yet.
    #[must_use]
    pub const fn new(policy: BackoffPolicy) -> Self {
        Self {
            policy,
            failures: 0,
        }
    }

    /// An attempt failed: how long to wait before the next, uniform in
    /// [0, min(cap, base · 2ⁿ)) where n counts the failures before this one.
    ///
    /// `random` must be uniform over all of `u64`; it need not be secret.
    pub fn failed(&mut self, random: u64) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        let nanos = (ceiling.as_nanos() * u128::from(random)) >> 64;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }

    /// A session was established: resource bound, or resumed. Nothing less resets
    /// the count; a server that accepts connections and then fails must not be
    /// asked again at once.
    pub const fn established(&mut self) {
        self.failures = 0;
    }

    /// Failures since the last established session.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// The bound of the next wait.
    #[must_use]
    pub fn ceiling(&self) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.policy
            .base
            .saturating_mul(factor)
            .min(self.policy.cap)
            // Beyond this a wait is no wait; it also keeps the product in `failed` exact.
            .min(Duration::from_secs(7 * 24 * 3600))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let mut backoff = Backoff::new(BackoffPolicy::default());
        let mut bounds = Vec::new();
        for _ in 0..8 {
            bounds.push(backoff.ceiling().as_secs());
            backoff.failed(0);
        }
        assert_eq!(bounds, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn the_wait_is_spread_over_the_whole_interval() {
        let after = |random| {
            let mut backoff = Backoff::new(BackoffPolicy::default());
            backoff.failed(0);
            backoff.failed(random)
        };
        assert_eq!(after(0), Duration::ZERO);
        assert_eq!(after(1 << 63), Duration::from_secs(1));
        let most = after(u64::MAX);
        assert!(most < Duration::from_secs(2) && most > Duration::from_millis(1999));
    }

    #[test]
    fn a_year_of_failures_never_exceeds_the_cap() {
        let mut backoff = Backoff::new(BackoffPolicy::default());
        for _ in 0..100_000 {
            assert!(backoff.failed(u64::MAX) < Duration::from_secs(60));
        }
    }

    #[test]
    fn only_an_established_session_resets_the_count() {
        let mut backoff = Backoff::new(BackoffPolicy::default());
        backoff.failed(7);
        backoff.failed(7);
        assert_eq!(backoff.failures(), 2);
        backoff.established();
        assert_eq!(backoff.ceiling(), Duration::from_secs(1));
    }

    #[test]
    fn extreme_policies_do_not_overflow() {
        let mut backoff = Backoff::new(BackoffPolicy {
            base: Duration::MAX,
            cap: Duration::MAX,
        });
        for _ in 0..70 {
            assert!(backoff.failed(u64::MAX) <= Duration::from_secs(7 * 24 * 3600));
        }
    }
}

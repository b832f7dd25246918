//! What of an observed resource is newer, and how long it is believed (RFC 7641 §3.4,
//! §3.3.1).

use std::time::Duration;

/// Sequence numbers are taken as in order for this long.
const IN_ORDER_FOR: Duration = Duration::from_secs(128);
/// Without the option, a representation is fresh for this long (RFC 7252 §5.10.5).
const MAX_AGE: u32 = 60;
/// However long a server says it is, it is asked again after a day.
const MOST_AGE: u32 = 86_400;

/// A registration that a server has accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Observation {
    sequence: u32,
    /// When the newest notification came.
    at: Duration,
    /// When it is to be registered anew, if nothing is heard until then.
    pub(super) again_at: Duration,
}

impl Observation {
    /// It was told something, with that number, and how long it is fresh.
    pub(super) fn new(now: Duration, sequence: u32, max_age: Option<u32>, random: u64) -> Self {
        // Not all clients at once, and not at the very moment: 5 to 15 s later (§3.3.1).
        let spread = Duration::from_millis(5_000 + random % 10_000);
        let age = max_age.unwrap_or(MAX_AGE).min(MOST_AGE);
        Self {
            sequence,
            at: now,
            again_at: now + Duration::from_secs(age.into()) + spread,
        }
    }

    /// When the newest notification came.
    pub(super) const fn at(&self) -> Duration {
        self.at
    }

    /// The number of the newest notification.
    pub(super) const fn number(&self) -> u32 {
        self.sequence
    }

    /// Whether a notification of that number is newer than what is known.
    pub(super) fn is_older_than(&self, now: Duration, sequence: u32) -> bool {
        let (old, new) = (self.sequence, sequence);
        let half = 1 << 23;
        (old < new && new - old < half)
            || (old > new && old - new > half)
            || now > self.at + IN_ORDER_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn numbers_wrap_and_time_heals_them() {
        let last = |n| Observation::new(AT(0), n, None, 0);
        assert!(last(5).is_older_than(AT(1), 6));
        assert!(!last(6).is_older_than(AT(1), 5));
        assert!(!last(6).is_older_than(AT(1), 6));
        assert!(last((1 << 24) - 1).is_older_than(AT(1), 0));
        assert!(!last(0).is_older_than(AT(1), (1 << 24) - 1));
        assert!(last(6).is_older_than(AT(129), 5));
    }

    #[test]
    fn it_is_registered_anew_after_its_age_and_a_while() {
        assert_eq!(Observation::new(AT(1), 0, Some(30), 0).again_at, AT(36));
        assert_eq!(Observation::new(AT(1), 0, None, 0).again_at, AT(66));
        let for_ever = Observation::new(AT(0), 0, Some(u32::MAX), 0);
        assert_eq!(for_ever.again_at, AT(86_405));
    }
}

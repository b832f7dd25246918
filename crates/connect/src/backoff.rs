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
    /// No wait is longer. Default 60 s. N devices make about `2 N / cap` attempts a
    /// second while a server is away.
    pub cap: Duration,
    /// How long a session must last until the count of failures begins anew. Default
    /// 10 s. A server that ends each session right after the login is otherwise asked
    /// for the next one at once, for ever.
    pub lasting: Duration,
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self {
            base: Duration::from_secs(1),
            cap: Duration::from_secs(60),
            lasting: Duration::from_secs(10),
        }
    }
}

/// Logins that a server is expected to bear in a second: a TLS handshake and SCRAM cost
/// it some milliseconds of one core.
const LOGINS_A_SECOND: u32 = 100;

/// Connections within [`BURST_TIME`], at most, as long as each attempt needs as many as
/// the one before.
pub const BURST: usize = 3;

/// Failures during which a server that refuses connections is taken to be starting again:
/// about a minute with the default policy.
pub const RESTARTING: u32 = 20;

/// See [`BURST`].
pub const BURST_TIME: Duration = Duration::from_secs(6);

impl BackoffPolicy {
    /// A policy for one of `devices` that use the same server.
    ///
    /// When it goes away and comes back, all of them call at once. Two bounds keep them
    /// below 100 logins a second, which one core of a server bears. The first attempts
    /// are spread over `base` = `devices` / 100 s. While the server is away, the mean
    /// wait is half of `cap`, so N devices make 2 N / cap attempts a second: `cap` =
    /// `devices` / 50 s. Neither is less than its default.
    ///
    /// The price is paid by a single device that loses its connection: with 10 000
    /// devices it waits up to 100 s, because it cannot know that the others are well.
    ///
    /// ```
    /// use stanchion_connect::backoff::BackoffPolicy;
    /// use std::time::Duration;
    /// assert_eq!(BackoffPolicy::for_fleet(50), BackoffPolicy::default());
    /// let fleet = BackoffPolicy::for_fleet(10_000);
    /// assert_eq!((fleet.base, fleet.cap), (Duration::from_secs(100), Duration::from_secs(200)));
    /// ```
    #[must_use]
    pub fn for_fleet(devices: u32) -> Self {
        let default = Self::default();
        let spread = Duration::from_secs(u64::from(devices)) / LOGINS_A_SECOND;
        Self {
            base: default.base.max(spread),
            cap: default.cap.max(spread * 2),
            ..default
        }
    }
}

/// Counts failures in a row, and says how long to wait.
///
/// Times are monotonic, from any one moment on.
///
/// ```
/// use stanchion_connect::backoff::{Backoff, BackoffPolicy};
/// use std::time::Duration;
/// let mut backoff = Backoff::new(BackoffPolicy::default());
/// let at = Duration::from_secs;
/// backoff.began(at(0));
/// assert!(backoff.failed(at(0), u64::MAX) < at(1));
/// backoff.began(at(1));
/// backoff.established(at(1));
/// assert!(backoff.failed(at(2), u64::MAX) < at(2)); // it did not last: still counted
/// backoff.began(at(4));
/// backoff.established(at(4));
/// assert!(backoff.failed(at(60), u64::MAX) < at(1)); // it lasted
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    policy: BackoffPolicy,
    failures: u32,
    established: Option<Duration>,
    /// When the last connections were begun, the newest first.
    begun: [Option<Duration>; BURST],
    /// Connections of this attempt; the next one may need as many.
    needed: usize,
}

impl Backoff {
    /// No failure yet.
    #[must_use]
    pub const fn new(policy: BackoffPolicy) -> Self {
        Self {
            policy,
            failures: 0,
            established: None,
            begun: [None; BURST],
            needed: 0,
        }
    }

    /// A connection is begun. Tell of each, and of the second one too if an attempt
    /// needed two.
    pub fn began(&mut self, now: Duration) {
        self.begun.rotate_right(1);
        self.begun[0] = Some(now);
        self.needed = self.needed.saturating_add(1);
    }

    /// A session was established: resource bound, or resumed. Nothing less counts, and
    /// this only once it has lasted ([`BackoffPolicy::lasting`]); a server that accepts
    /// connections and then fails must not be asked again at once.
    pub const fn established(&mut self, now: Duration) {
        self.established = Some(now);
    }

    /// An attempt failed, or the session ended: how long to wait before the next.
    /// Uniform in [0, min(cap, base · 2ⁿ)) where n counts the failures before this one;
    /// but so long that at most [`BURST`] connections are begun in [`BURST_TIME`].
    ///
    /// `random` must be uniform over all of `u64`; it need not be secret.
    pub fn failed(&mut self, now: Duration, random: u64) -> Duration {
        if self.has_lasted(now) {
            self.failures = 0;
        }
        self.established = None;
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        let nanos = (ceiling.as_nanos() * u128::from(random)) >> 64;
        let wait = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let needed = std::mem::take(&mut self.needed).clamp(1, BURST);
        let oldest = self.begun[BURST - needed];
        let allowed = oldest.map_or(now, |oldest| oldest.saturating_add(BURST_TIME));
        wait.max(allowed.saturating_sub(now))
    }

    /// An attempt ended where [nobody listens]: no connection was made, so none counts for
    /// [`BURST`]. How long to wait before the next: uniform between half and all of
    /// min(cap, base · 2ⁿ), and of 4 · base for the first [`RESTARTING`] failures: a server
    /// that is being started again is found within that time.
    ///
    /// `random` is as in [`Backoff::failed`].
    ///
    /// [nobody listens]: crate::ConnectError::nobody_listens
    pub fn refused(&mut self, now: Duration, random: u64) -> Duration {
        self.established = None;
        let mut ceiling = self.ceiling();
        if self.failures < RESTARTING {
            ceiling = ceiling.min(self.policy.base.saturating_mul(4));
        }
        self.failures = self.failures.saturating_add(1);
        for _ in 0..std::mem::take(&mut self.needed).min(BURST) {
            self.begun[0] = None;
            self.begun.rotate_left(1);
        }
        let half = ceiling / 2;
        let nanos = (half.as_nanos() * u128::from(random)) >> 64;
        let wait = half + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let allowed = self.begun[BURST - 1].map_or(now, |oldest| oldest.saturating_add(BURST_TIME));
        wait.max(allowed.saturating_sub(now))
    }

    /// Whether a session is established and has lasted.
    #[must_use]
    pub fn has_lasted(&self, now: Duration) -> bool {
        self.established
            .is_some_and(|since| now.saturating_sub(since) >= self.policy.lasting)
    }

    /// Failures since the last session that lasted.
    #[must_use]
    pub const fn failures(&self) -> u32 {
        self.failures
    }

    /// The bound of the next wait, if no session lasts before.
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

    const ZERO: Duration = Duration::ZERO;

    fn default() -> Backoff {
        Backoff::new(BackoffPolicy::default())
    }

    #[test]
    fn the_bound_doubles_up_to_the_cap() {
        let mut backoff = default();
        let mut bounds = Vec::new();
        for _ in 0..8 {
            bounds.push(backoff.ceiling().as_secs());
            backoff.failed(ZERO, 0);
        }
        assert_eq!(bounds, [1, 2, 4, 8, 16, 32, 60, 60]);
    }

    #[test]
    fn the_wait_is_spread_over_the_whole_interval() {
        let after = |random| {
            let mut backoff = default();
            backoff.failed(ZERO, 0);
            backoff.failed(ZERO, random)
        };
        assert_eq!(after(0), ZERO);
        assert_eq!(after(1 << 63), Duration::from_secs(1));
        let most = after(u64::MAX);
        assert!(most < Duration::from_secs(2) && most > Duration::from_millis(1999));
    }

    #[test]
    fn a_year_of_failures_never_exceeds_the_cap() {
        let mut backoff = default();
        for _ in 0..100_000 {
            assert!(backoff.failed(ZERO, u64::MAX) < Duration::from_secs(60));
        }
    }

    #[test]
    fn only_a_session_that_lasted_resets_the_count() {
        let at = Duration::from_secs;
        let mut backoff = default();
        backoff.failed(at(0), 7);
        backoff.failed(at(0), 7);
        assert_eq!(backoff.failures(), 2);
        backoff.established(at(1));
        assert!(!backoff.has_lasted(at(10)));
        backoff.failed(at(10), 7);
        assert_eq!(backoff.failures(), 3);
        backoff.established(at(20));
        assert!(backoff.has_lasted(at(30)));
        backoff.failed(at(30), 7);
        assert_eq!(backoff.failures(), 1);
        // What lasted once does not count twice.
        backoff.failed(at(90), 7);
        assert_eq!(backoff.failures(), 2);
    }

    #[test]
    fn whatever_the_dice_say_at_most_three_connections_begin_in_six_seconds() {
        for (random, needed) in [(0, 1), (1 << 60, 1), (1 << 63, 1), (0, 2), (1 << 60, 3)] {
            let mut backoff = default();
            let mut now = ZERO;
            let mut begun = Vec::new();
            for _ in 0..50 {
                for _ in 0..needed {
                    backoff.began(now);
                    begun.push(now);
                }
                backoff.established(now);
                now += backoff.failed(now, random);
            }
            assert!(begun.windows(4).all(|w| w[3] - w[0] >= BURST_TIME));
        }
    }

    #[test]
    fn a_server_that_starts_again_within_a_minute_is_found_within_four_seconds() {
        let mut now = Duration::from_secs(100);
        for random in [0, 1 << 63, u64::MAX] {
            let mut backoff = default();
            for n in 0..RESTARTING {
                backoff.began(now);
                let wait = backoff.refused(now, random);
                let second = n > 0 && wait < Duration::from_secs(1);
                assert!(!second && wait >= Duration::from_millis(500));
                assert!(wait <= Duration::from_secs(4), "{wait:?}");
                now += wait;
            }
            for _ in 0..5 {
                backoff.began(now);
                now += backoff.refused(now, random);
            }
            assert!(backoff.refused(now, u64::MAX) > Duration::from_secs(59));
        }
    }

    #[test]
    fn refusals_do_not_excuse_connections() {
        // A server that takes each connection and ends it, and is away in between.
        let mut backoff = default();
        let (mut now, mut begun) = (ZERO, Vec::new());
        for n in 0..60 {
            backoff.began(now);
            now += match n % 3 {
                0 => backoff.refused(now, 0),
                _ => {
                    begun.push(now);
                    backoff.failed(now, 0)
                }
            };
        }
        assert!(begun.windows(4).all(|w| w[3] - w[0] >= BURST_TIME));
    }

    #[test]
    fn a_fleet_stays_below_what_its_server_bears() {
        let devices = 20_000u32;
        let mut random = 1u64;
        let mut next = || {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            random
        };
        // All lose the server at once, and it stays away for twenty minutes.
        let mut seconds = vec![0u32; 1200];
        for _ in 0..devices {
            let mut backoff = Backoff::new(BackoffPolicy::for_fleet(devices));
            let mut now = ZERO;
            loop {
                now += backoff.failed(now, next());
                let Some(second) = seconds.get_mut(now.as_secs() as usize) else {
                    break;
                };
                *second += 1;
                backoff.began(now);
            }
        }
        let most = seconds.iter().max().unwrap();
        // Twice the rate: after the first attempt some come a second time.
        assert!(*most < 2 * LOGINS_A_SECOND + 50, "{most}");
        // The default policy would have all of them within the first second.
        assert!(devices > 50 * most);
    }

    #[test]
    fn extreme_policies_do_not_overflow() {
        let mut backoff = Backoff::new(BackoffPolicy {
            base: Duration::MAX,
            cap: Duration::MAX,
            lasting: Duration::MAX,
        });
        for _ in 0..70 {
            backoff.began(Duration::MAX);
            backoff.established(ZERO);
            assert!(backoff.failed(Duration::MAX, u64::MAX) <= Duration::from_secs(7 * 24 * 3600));
            assert!(backoff.refused(Duration::MAX, u64::MAX) <= Duration::from_secs(7 * 24 * 3600));
        }
        assert_eq!(
            BackoffPolicy::for_fleet(u32::MAX).base.as_secs(),
            42_949_672
        );
    }
}

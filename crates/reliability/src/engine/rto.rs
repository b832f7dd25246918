//! Retransmission timeouts for one recipient at one address (RFC 6298), with Karn's rule:
//! only an answer to a message that was sent once is a sample, and until there is one, what
//! a timer that ran out added to the timeout stays, for new messages too. When to send is
//! `outbox`'s, and so is what ends a path.

use std::time::Duration;

use crate::mutant;

/// Bounds and start of the estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RtoConfig {
    /// Before the first sample. Default 3 s: a peer is seldom one network hop away.
    pub initial: Duration,
    /// Never less. Default 1 s (RFC 6298 §2.4).
    pub min: Duration,
    /// Never more, back-off included. Default 60 s (RFC 6298 §2.5).
    pub max: Duration,
}

impl Default for RtoConfig {
    fn default() -> Self {
        Self {
            initial: Duration::from_secs(3),
            min: Duration::from_secs(1),
            max: Duration::from_secs(60),
        }
    }
}

/// So often is a timeout doubled at most: far more than any bounds leave room for.
const DOUBLINGS: u32 = 16;

/// The estimator of RFC 6298 §2, and the back-off of §5.
#[derive(Debug, Clone)]
pub(super) struct Rto {
    config: RtoConfig,
    /// Smoothed round-trip time and its variation, once there is a sample.
    estimate: Option<(Duration, Duration)>,
    /// How often the timeout was doubled since the last sample.
    doublings: u32,
}

impl Rto {
    pub(super) const fn new(config: RtoConfig) -> Self {
        Self {
            config,
            estimate: None,
            doublings: 0,
        }
    }

    /// A round trip of a message that was sent exactly once. It ends the back-off (§5.7).
    pub(super) fn sample(&mut self, r: Duration) {
        self.estimate = Some(match self.estimate {
            None => (r, r / 2),
            Some((srtt, rttvar)) => ((srtt * 7 + r) / 8, (rttvar * 3 + srtt.abs_diff(r)) / 4),
        });
        if !mutant::is("back-off-for-ever") {
            self.doublings = 0;
        }
    }

    /// A timer ran out that was started at that back-off (§5.5). Those of many messages that
    /// were started at the same are one step, not many.
    pub(super) fn ran_out(&mut self, started_at: u32) {
        if mutant::is("back-off-forgotten") {
            return;
        }
        let next = started_at.saturating_add(1).min(DOUBLINGS);
        self.doublings = self.doublings.max(next);
    }

    /// Something shows that it was not the path that was slow.
    pub(super) const fn begin_anew(&mut self) {
        self.doublings = 0;
    }

    /// Another path: what was measured on the last one tells nothing.
    pub(super) const fn new_path(&mut self) {
        *self = Self::new(self.config);
    }

    /// The back-off that is kept.
    pub(super) const fn back_off(&self) -> u32 {
        self.doublings
    }

    /// So long is no path: who is silent for longer was away.
    pub(super) fn absence(&self) -> Duration {
        self.config.max * 2
    }

    /// How long to wait for an answer after so many transmissions of a message, at least
    /// one. Doubles with each (RFC 6298 §5.5), is at least what the back-off of the path asks
    /// for, and stays within the bounds.
    pub(super) fn timeout(&self, transmissions: u32) -> Duration {
        self.doubled(transmissions.saturating_sub(1).max(self.doublings))
    }

    /// The same, without the back-off of the path: a round trip as far as it is known.
    pub(super) fn usual(&self, transmissions: u32) -> Duration {
        self.doubled(transmissions.saturating_sub(1))
    }

    fn doubled(&self, doublings: u32) -> Duration {
        let base = match self.estimate {
            None => self.config.initial,
            Some((srtt, rttvar)) => srtt + rttvar * 4,
        };
        base.max(self.config.min)
            .saturating_mul(1 << doublings.min(DOUBLINGS))
            .min(self.config.max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_first_sample_sets_srtt_and_half_of_it_as_variation() {
        let mut rto = Rto::new(RtoConfig::default());
        assert_eq!(rto.timeout(1), 3000 * MS);
        rto.sample(1000 * MS);
        assert_eq!(rto.timeout(1), 3000 * MS); // 1000 + 4 * 500
        rto.sample(1000 * MS);
        assert_eq!(rto.timeout(1), 2500 * MS); // 1000 + 4 * 375
    }

    #[test]
    fn the_timeout_doubles_within_its_bounds() {
        let mut rto = Rto::new(RtoConfig::default());
        rto.sample(10 * MS);
        assert_eq!(rto.timeout(1), 1000 * MS);
        assert_eq!(rto.timeout(3), 4000 * MS);
        assert_eq!(rto.timeout(u32::MAX), 60_000 * MS);
    }

    #[test]
    fn the_back_off_stays_until_a_message_that_was_sent_once_is_answered() {
        let mut rto = Rto::new(RtoConfig::default());
        rto.sample(10 * MS);
        rto.ran_out(0);
        rto.ran_out(1);
        assert_eq!(rto.timeout(1), 4000 * MS);
        assert_eq!(rto.usual(1), 1000 * MS);
        // A message's own transmissions count where they are more.
        assert_eq!(rto.timeout(4), 8000 * MS);
        rto.sample(10 * MS);
        assert_eq!(rto.timeout(1), 1000 * MS);
    }

    #[test]
    fn timers_that_were_started_together_are_one_step() {
        let mut rto = Rto::new(RtoConfig::default());
        for _ in 0..96 {
            rto.ran_out(0);
        }
        assert_eq!(rto.back_off(), 1);
        rto.ran_out(u32::MAX);
        assert_eq!(rto.timeout(1), 60_000 * MS);
    }

    #[test]
    fn another_path_is_unknown() {
        let mut rto = Rto::new(RtoConfig::default());
        rto.sample(20_000 * MS);
        rto.ran_out(0);
        rto.new_path();
        assert_eq!(rto.timeout(1), 3000 * MS);
    }
}

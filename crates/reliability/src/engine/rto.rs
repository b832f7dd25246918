//! Retransmission timeouts for one peer (RFC 6298), with Karn's rule: only an answer
//! to a message that was sent once is a sample. When to send is `outbound`'s.

use std::time::Duration;

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

/// The estimator of RFC 6298 §2.
#[derive(Debug, Clone)]
pub(super) struct Rto {
    config: RtoConfig,
    /// Smoothed round-trip time and its variation, once there is a sample.
    estimate: Option<(Duration, Duration)>,
}

impl Rto {
    pub(super) const fn new(config: RtoConfig) -> Self {
        Self {
            config,
            estimate: None,
        }
    }

    /// A round trip of a message that was sent exactly once.
    pub(super) fn sample(&mut self, r: Duration) {
        self.estimate = Some(match self.estimate {
            None => (r, r / 2),
            Some((srtt, rttvar)) => ((srtt * 7 + r) / 8, (rttvar * 3 + srtt.abs_diff(r)) / 4),
        });
    }

    /// How long to wait for an answer after `transmissions`, which is at least 1.
    /// Doubles with each (RFC 6298 §5.5) and stays within the bounds.
    pub(super) fn timeout(&self, transmissions: u32) -> Duration {
        let base = match self.estimate {
            None => self.config.initial,
            Some((srtt, rttvar)) => srtt + rttvar * 4,
        };
        let doublings = transmissions.saturating_sub(1).min(16);
        base.max(self.config.min)
            .saturating_mul(1 << doublings)
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
}

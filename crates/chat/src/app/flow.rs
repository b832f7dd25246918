//! What becomes of messages, in figures, over time.

use std::collections::VecDeque;

/// Gauges that are held: one a second, so ten minutes.
pub(crate) const SAMPLES: usize = 600;

/// Figures at one moment, counted since the client started; `queued` is what waits now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Gauge {
    /// When, in Unix milliseconds.
    pub(crate) at: i64,
    /// Messages accepted.
    pub(crate) accepted: u64,
    /// Transmissions.
    pub(crate) transmitted: u64,
    /// Those that were not the first.
    pub(crate) retransmitted: u64,
    /// Messages that their recipients' clients have.
    pub(crate) acknowledged: u64,
    /// Messages on which their recipients' applications acted.
    pub(crate) delivered: u64,
    /// Messages that never took effect.
    pub(crate) not_delivered: u64,
    /// Messages that went into doubt.
    pub(crate) in_doubt: u64,
    /// New messages received.
    pub(crate) received: u64,
    /// Copies that were stopped.
    pub(crate) duplicates: u64,
    /// Messages without outcome at the moment.
    pub(crate) queued: u64,
}

/// Figures, now and before.
#[derive(Debug, Clone, Default)]
pub(crate) struct Flow {
    /// The latest.
    pub(crate) now: Gauge,
    /// The newest last.
    pub(crate) past: VecDeque<Gauge>,
}

impl Flow {
    pub(super) fn gauge(&mut self, gauge: Gauge) {
        self.now = gauge;
        if self.past.len() == SAMPLES {
            self.past.pop_front();
        }
        self.past.push_back(gauge);
    }

    /// How many there were of something in each of the last `most` seconds, the newest last.
    pub(crate) fn per_second(&self, most: usize, of: impl Fn(&Gauge) -> u64) -> Vec<u64> {
        let skip = self.past.len().saturating_sub(most + 1);
        let past = self.past.iter().skip(skip);
        let next = self.past.iter().skip(skip + 1);
        past.zip(next)
            .map(|(one, other)| of(other).saturating_sub(of(one)))
            .collect()
    }
}

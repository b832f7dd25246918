//! How long things took: quantiles of many times.

use std::time::Duration;

/// Times of one kind.
#[derive(Debug, Default)]
pub(crate) struct Times(Vec<Duration>);

impl Times {
    pub(crate) fn note(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    /// The time that so many of a thousand do not exceed; none without times.
    pub(crate) fn permille(&self, permille: usize) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let at = (sorted.len() * permille).div_ceil(1000).max(1) - 1;
        sorted.get(at).copied()
    }

    /// Median, 99th percentile and maximum, in milliseconds.
    pub(crate) fn summary(&self) -> String {
        let ms = |permille| {
            let time = self.permille(permille).unwrap_or_default();
            format!("{:.1}", time.as_secs_f64() * 1000.0)
        };
        let (p50, p99, most) = (ms(500), ms(990), ms(1000));
        format!(
            "p50 {p50} ms, p99 {p99} ms, at most {most} ms ({} times)",
            self.count()
        )
    }
}

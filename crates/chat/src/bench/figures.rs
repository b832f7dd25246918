//! Times that were measured, and the figures that are told of them.

use std::time::Duration;

use serde_json::{Value, json};

/// Times of one kind.
#[derive(Debug, Default, Clone)]
pub(super) struct Times(Vec<Duration>);

impl Times {
    pub(super) fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    /// The smallest time that so many of a hundred do not exceed; none of none.
    fn percentile(&self, of_hundred: usize) -> Option<Duration> {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * of_hundred).div_ceil(100);
        sorted.get(rank.checked_sub(1)?).copied()
    }

    /// Median, 99 of a hundred, and the longest, for people.
    pub(super) fn cells(&self) -> [String; 3] {
        [50, 99, 100].map(|of_hundred| match self.percentile(of_hundred) {
            Some(time) => in_words(time),
            None => "-".to_owned(),
        })
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        let ms = |of_hundred| {
            self.percentile(of_hundred)
                .map(|t| t.as_secs_f64() * 1000.0)
        };
        json!({ "count": self.count(), "p50_ms": ms(50), "p99_ms": ms(99), "max_ms": ms(100) })
    }
}

/// In milliseconds, with three figures or so.
fn in_words(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    match ms {
        ..10.0 => format!("{ms:.2} ms"),
        ..100.0 => format!("{ms:.1} ms"),
        _ => format!("{ms:.0} ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_a_time_that_was_measured() {
        let mut times = Times::default();
        assert_eq!(times.percentile(50), None);
        assert_eq!(times.cells(), ["-", "-", "-"]);
        for ms in (1..=200).rev() {
            times.add(Duration::from_millis(ms));
        }
        let ms = |of_hundred| times.percentile(of_hundred).unwrap().as_millis();
        assert_eq!((ms(1), ms(50), ms(99), ms(100)), (2, 100, 198, 200));
        let mut one = Times::default();
        one.add(Duration::from_micros(1234));
        assert_eq!(one.cells(), ["1.23 ms", "1.23 ms", "1.23 ms"]);
    }
}

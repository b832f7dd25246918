//! When a value is worth telling: a deadband, and how seldom and how often at least.

use std::time::Duration;

use serde::Deserialize;

use super::{Value, as_f64, same};

/// When a new value of a field is told on.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Sampling {
    /// How far a number must be from the one that was told last, in its unit. Default 0:
    /// any change counts.
    pub deadband: f64,
    /// Two are never told within this time; the last one of it is told at its end. Default
    /// none.
    #[serde(with = "crate::model::sampling::time")]
    pub at_most_every: Duration,
    /// A value that was measured anew is told after this time, changed or not. Default one
    /// minute.
    #[serde(with = "crate::model::sampling::time")]
    pub at_least_every: Duration,
}

impl Default for Sampling {
    fn default() -> Self {
        Self {
            deadband: 0.0,
            at_most_every: Duration::ZERO,
            at_least_every: Duration::from_secs(60),
        }
    }
}

impl Sampling {
    /// Everything that is measured is told.
    pub const ALL: Self = Self {
        deadband: 0.0,
        at_most_every: Duration::ZERO,
        at_least_every: Duration::ZERO,
    };

    /// The same with that deadband.
    #[must_use]
    pub const fn deadband(mut self, by: f64) -> Self {
        self.deadband = by;
        self
    }

    /// The same, no more often than that.
    #[must_use]
    pub const fn at_most_every(mut self, time: Duration) -> Self {
        self.at_most_every = time;
        self
    }

    /// The same, no more seldom than that.
    #[must_use]
    pub const fn at_least_every(mut self, time: Duration) -> Self {
        self.at_least_every = time;
        self
    }
}

/// Times in configuration, such as `1m 30s`.
pub(crate) mod time {
    use std::time::Duration;

    use serde::{Deserialize as _, Deserializer, de::Error as _};

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(|e| {
            D::Error::custom(format!(
                "`{text}` is no length of time such as `1m 30s`: {e}"
            ))
        })
    }
}

/// Decides of one field's values which are told. Times are monotonic, from any one moment
/// on.
///
/// ```
/// use std::time::Duration;
/// use stanchion_device::model::{Sampler, Sampling, number};
/// let celsius = |v| number(v, 1, "Cel".parse().unwrap()).unwrap();
/// let at = Duration::from_secs;
/// let mut sampler = Sampler::new(Sampling::default().deadband(0.5).at_least_every(at(60)));
/// assert!(sampler.take(at(0), &celsius(21.0)));
/// assert!(!sampler.take(at(1), &celsius(21.4)));
/// assert!(sampler.take(at(2), &celsius(21.6)));
/// assert!(sampler.take(at(62), &celsius(21.6)));
/// ```
#[derive(Debug, Clone)]
pub struct Sampler {
    sampling: Sampling,
    told: Option<(Duration, Value)>,
    /// A change that came too early.
    held: bool,
}

impl Sampler {
    /// Nothing told yet.
    #[must_use]
    pub const fn new(sampling: Sampling) -> Self {
        Self {
            sampling,
            told: None,
            held: false,
        }
    }

    /// Whether this value, measured now, is told. One that is not may be due
    /// [later](Self::due).
    pub fn take(&mut self, now: Duration, value: &Value) -> bool {
        let Some((at, last)) = &self.told else {
            self.tell(now, value);
            return true;
        };
        let since = now.saturating_sub(*at);
        let changed = match (as_f64(last), as_f64(value)) {
            (Some(a), Some(b)) if self.sampling.deadband > 0.0 => {
                (a - b).abs() >= self.sampling.deadband
            }
            _ => !same(last, value),
        };
        let wanted = changed || since >= self.sampling.at_least_every;
        self.held = wanted && since < self.sampling.at_most_every;
        if wanted && !self.held {
            self.tell(now, value);
            return true;
        }
        false
    }

    /// Whether this value is another one than was told last, or the first.
    #[must_use]
    pub fn is_news(&self, value: &Value) -> bool {
        let told = self.told.as_ref();
        told.is_none_or(|(_, told)| !same(told, value))
    }

    /// When the last value that was held back is to be told, with
    /// [`Sampler::tell`]; none if none is.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let (at, _) = self.told.as_ref()?;
        self.held.then(|| *at + self.sampling.at_most_every)
    }

    /// That value is told now, whatever the rules say.
    pub fn tell(&mut self, now: Duration, value: &Value) {
        self.told = Some((now, value.clone()));
        self.held = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn what_comes_too_early_is_due_at_the_end_of_its_time() {
        let mut sampler = Sampler::new(Sampling::default().at_most_every(AT(10)));
        assert!(sampler.take(AT(0), &Value::Int(1)));
        assert_eq!(sampler.due(), None);
        assert!(!sampler.take(AT(3), &Value::Int(2)));
        assert_eq!(sampler.due(), Some(AT(10)));
        sampler.tell(AT(10), &Value::Int(2));
        assert_eq!(sampler.due(), None);
    }

    #[test]
    fn a_change_that_is_taken_back_in_time_is_not_told() {
        let mut sampler = Sampler::new(Sampling::default().at_most_every(AT(10)));
        assert!(sampler.take(AT(0), &Value::Boolean(false)));
        assert!(!sampler.take(AT(1), &Value::Boolean(true)));
        assert!(!sampler.take(AT(2), &Value::Boolean(false)));
        assert_eq!(sampler.due(), None);
    }

    #[test]
    fn without_rules_everything_is_told() {
        let mut sampler = Sampler::new(Sampling::ALL);
        for second in 0..3 {
            assert!(sampler.take(AT(second), &Value::Int(7)));
        }
    }

    #[test]
    fn times_are_written_as_people_do() {
        let read: Sampling = toml::from_str("deadband = 0.5\nat_most_every = '2s'").unwrap();
        let expected = Sampling::default().deadband(0.5).at_most_every(AT(2));
        assert_eq!(read, expected);
        assert!(toml::from_str::<Sampling>("at_most_every = 'soon'").is_err());
        assert!(toml::from_str::<Sampling>("dead_band = 1.0").is_err());
    }
}

//! The last value of each field, for whoever looks: a dashboard, a monitoring system.
//! Bounded, and without I/O.

use std::collections::BTreeMap;

use stanchion_reliability::store::WallTime;
use stanchion_stanza::{BareJid, Text};

use crate::model::{Quality, Sample, Value};

/// How much is kept.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LatestConfig {
    /// Fields at most; further ones are left out, and counted. Default 100,000.
    pub most: usize,
}

impl Default for LatestConfig {
    fn default() -> Self {
        Self { most: 100_000 }
    }
}

/// The last value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatestReading {
    /// When it was measured.
    pub at: WallTime,
    /// What.
    pub value: Value,
    /// How far it can be relied upon.
    pub quality: Quality,
}

type Key = (Option<BareJid>, Text, Text);

/// The last values.
#[derive(Debug, Default)]
pub struct Latest {
    config: LatestConfig,
    readings: BTreeMap<Key, LatestReading>,
    left_out: u64,
}

impl Latest {
    /// Nothing yet.
    #[must_use]
    pub const fn new(config: LatestConfig) -> Self {
        Self {
            config,
            readings: BTreeMap::new(),
            left_out: 0,
        }
    }

    /// Notes a sample of that device; none for our own. An older value never replaces a
    /// newer one.
    pub fn note(&mut self, device: Option<&BareJid>, sample: &Sample) {
        for reading in &sample.readings {
            let key = (device.cloned(), sample.thing.clone(), reading.field.clone());
            let room = self.readings.len() < self.config.most;
            match self.readings.get_mut(&key) {
                Some(known) if known.at > sample.at => {}
                Some(known) => {
                    known.at = sample.at;
                    known.value = reading.value.clone();
                    known.quality = reading.quality;
                }
                None if room => {
                    let new = LatestReading {
                        at: sample.at,
                        value: reading.value.clone(),
                        quality: reading.quality,
                    };
                    self.readings.insert(key, new);
                }
                None => self.left_out += 1,
            }
        }
    }

    /// Device, thing, field and last value, in that order.
    pub fn iter(&self) -> impl Iterator<Item = (Option<&BareJid>, &Text, &Text, &LatestReading)> {
        let all = self.readings.iter();
        all.map(|((device, thing, field), reading)| (device.as_ref(), thing, field, reading))
    }

    /// Readings for which there was no room.
    #[must_use]
    pub const fn left_out(&self) -> u64 {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(field: &'static str, at: i64) -> Sample {
        let (thing, field) = (Text::from_static("hall"), Text::from_static(field));
        let value = Value::Long(at);
        Sample::one(thing, WallTime::from_unix_ms(at), field, value)
    }

    #[test]
    fn a_late_reading_does_not_replace_a_newer_one() {
        let mut latest = Latest::default();
        latest.note(None, &sample("t", 2));
        latest.note(None, &sample("t", 1));
        let (_, _, _, reading) = latest.iter().next().unwrap();
        assert_eq!(reading.value, Value::Long(2));
    }

    #[test]
    fn fields_beyond_the_bound_are_counted_and_those_within_go_on() {
        let mut latest = Latest::new(LatestConfig { most: 1 });
        for (field, at) in [("a", 1), ("b", 2), ("a", 3)] {
            latest.note(None, &sample(field, at));
        }
        assert_eq!((latest.iter().count(), latest.left_out()), (1, 1));
        assert_eq!(latest.iter().next().unwrap().3.at.as_unix_ms(), 3);
    }
}

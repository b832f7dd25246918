//! Readings that wait for their way out, in one lane to one recipient: when they go, and
//! what is left out if there are too many. Without I/O.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use serde::Deserialize;

use crate::model::{Sample, sampling_time};

/// What happens to readings for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pressure {
    /// They wait, and with them whoever measures: nothing is left out here. The default.
    #[default]
    Block,
    /// Of each field, older values are left out; the newest one stays.
    Coalesce,
    /// The oldest are left out.
    DropOldest,
}

/// How readings wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct QueueConfig {
    /// What happens when there is no room.
    pub pressure: Pressure,
    /// Readings that wait at most, 1 or more. Default 10,000.
    pub room: usize,
    /// Readings in one message at most, 1 or more. Default 200, which are some 40 KiB.
    pub batch: usize,
    /// How long the first reading of a batch waits for more. Default 1 s.
    #[serde(with = "sampling_time")]
    pub within: Duration,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            pressure: Pressure::default(),
            room: 10_000,
            batch: 200,
            within: Duration::from_secs(1),
        }
    }
}

impl QueueConfig {
    /// The same, with a message for each sample, at once: for what must not wait for others.
    #[must_use]
    pub const fn one_by_one(mut self) -> Self {
        self.batch = 1;
        self.within = Duration::ZERO;
        self
    }
}

/// What was left out so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LeftOut {
    /// Readings in whose place newer ones of the same field went.
    pub coalesced: u64,
    /// Readings that were dropped.
    pub dropped: u64,
}

/// The queue of one lane.
#[derive(Debug)]
pub struct Queue {
    config: QueueConfig,
    samples: VecDeque<(Duration, Sample)>,
    readings: usize,
    left_out: LeftOut,
}

impl Queue {
    /// Nothing waits.
    #[must_use]
    pub const fn new(config: QueueConfig) -> Self {
        Self {
            config,
            samples: VecDeque::new(),
            readings: 0,
            left_out: LeftOut {
                coalesced: 0,
                dropped: 0,
            },
        }
    }

    /// Whether one sample more can be taken without leaving anything out.
    #[must_use]
    pub const fn has_room(&self) -> bool {
        self.readings < self.config.room
    }

    /// Whether the next sample must wait.
    #[must_use]
    pub fn blocks(&self) -> bool {
        self.config.pressure == Pressure::Block && !self.has_room()
    }

    /// Takes a sample at that time (monotonic). Ask whether it [blocks](Self::blocks)
    /// before; one that is given all the same is taken.
    pub fn push(&mut self, now: Duration, sample: Sample) {
        self.readings += sample.readings.len();
        self.samples.push_back((now, sample));
        match self.config.pressure {
            Pressure::Block => {}
            Pressure::Coalesce => {
                if self.readings > self.config.room {
                    self.coalesce();
                }
                self.drop_oldest();
            }
            Pressure::DropOldest => self.drop_oldest(),
        }
    }

    /// Leaves all values out that are not the newest of their field.
    fn coalesce(&mut self) {
        let mut seen = HashSet::new();
        let mut left = 0;
        for (_, sample) in self.samples.iter_mut().rev() {
            let thing = sample.thing.clone();
            sample
                .readings
                .retain(|reading| seen.insert((thing.clone(), reading.field.clone())));
            left += sample.readings.len();
        }
        self.samples
            .retain(|(_, sample)| !sample.readings.is_empty());
        let gone = self.readings - left;
        self.left_out.coalesced += u64::try_from(gone).unwrap_or(u64::MAX);
        self.readings = left;
    }

    fn drop_oldest(&mut self) {
        // The newest sample stays, however big.
        while self.readings > self.config.room && self.samples.len() > 1 {
            if let Some((_, sample)) = self.samples.pop_front() {
                let gone = sample.readings.len();
                self.readings -= gone;
                self.left_out.dropped += u64::try_from(gone).unwrap_or(u64::MAX);
            }
        }
    }

    /// When the next batch is to go; none if nothing waits.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        let (first, _) = self.samples.front()?;
        match self.readings >= self.config.batch {
            true => Some(*first),
            false => Some(*first + self.config.within),
        }
    }

    /// The next batch, whether it is due or not; empty if nothing waits. At least one
    /// sample, and then as long as there are no more readings than a batch has.
    pub fn take(&mut self) -> Vec<Sample> {
        let mut batch = Vec::new();
        let mut readings = 0;
        while let Some((_, next)) = self.samples.front() {
            if !batch.is_empty() && readings + next.readings.len() > self.config.batch {
                break;
            }
            if let Some((_, sample)) = self.samples.pop_front() {
                readings += sample.readings.len();
                batch.push(sample);
            }
        }
        self.readings -= readings;
        batch
    }

    /// Readings that wait.
    #[must_use]
    pub const fn waiting(&self) -> usize {
        self.readings
    }

    /// What was left out so far.
    #[must_use]
    pub const fn left_out(&self) -> LeftOut {
        self.left_out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;
    use proptest::prelude::*;
    use stanchion_reliability::store::WallTime;
    use stanchion_stanza::Text;

    const AT: fn(u64) -> Duration = Duration::from_secs;

    fn sample(field: &'static str, value: i32) -> Sample {
        let at = WallTime::from_unix_ms(i64::from(value));
        let (thing, field) = (Text::from_static("hall"), Text::from_static(field));
        Sample::one(thing, at, field, Value::Int(value))
    }

    fn queue(pressure: Pressure, room: usize) -> Queue {
        Queue::new(QueueConfig {
            pressure,
            room,
            batch: 2,
            within: AT(1),
        })
    }

    fn values(queue: &mut Queue) -> Vec<Value> {
        let mut all = Vec::new();
        loop {
            let batch = queue.take();
            if batch.is_empty() {
                return all;
            }
            let readings = batch.into_iter().flat_map(|sample| sample.readings);
            all.extend(readings.map(|reading| reading.value));
        }
    }

    #[test]
    fn a_batch_goes_when_it_is_full_or_its_first_reading_has_waited() {
        let mut queue = queue(Pressure::Block, 10);
        assert_eq!(queue.due(), None);
        queue.push(AT(5), sample("t", 1));
        assert_eq!(queue.due(), Some(AT(6)));
        queue.push(AT(5), sample("t", 2));
        queue.push(AT(5), sample("t", 3));
        assert_eq!(queue.due(), Some(AT(5)));
        assert_eq!(queue.take().len(), 2);
        assert_eq!(queue.due(), Some(AT(6)));
    }

    #[test]
    fn who_must_not_lose_anything_waits() {
        let mut queue = queue(Pressure::Block, 2);
        queue.push(AT(0), sample("t", 1));
        assert!(!queue.blocks());
        queue.push(AT(0), sample("t", 2));
        assert!(queue.blocks());
        assert_eq!(queue.left_out(), LeftOut::default());
        queue.take();
        assert!(!queue.blocks());
    }

    #[test]
    fn of_too_many_the_newest_value_of_each_field_stays() {
        let mut queue = queue(Pressure::Coalesce, 2);
        for (field, value) in [("t", 1), ("h", 2), ("t", 3)] {
            queue.push(AT(0), sample(field, value));
        }
        assert_eq!(queue.left_out().coalesced, 1);
        assert_eq!(values(&mut queue), [Value::Int(2), Value::Int(3)]);
    }

    #[test]
    fn of_too_many_the_oldest_are_dropped_and_counted() {
        let mut queue = queue(Pressure::DropOldest, 2);
        for value in 1..=5 {
            queue.push(AT(0), sample("t", value));
        }
        assert_eq!(queue.left_out().dropped, 3);
        assert_eq!(values(&mut queue), [Value::Int(4), Value::Int(5)]);
    }

    proptest! {
        #[test]
        fn every_reading_goes_out_or_is_counted(
            pressure in prop_oneof![Just(Pressure::Coalesce), Just(Pressure::DropOldest)],
            room in 1_usize..20,
            pushed in prop::collection::vec(("[a-c]", any::<i32>(), any::<bool>()), 0..60),
        ) {
            let mut queue = queue(pressure, room);
            let mut out = 0;
            for (field, value, take) in &pushed {
                let field: Text = field.parse().unwrap();
                let at = WallTime::from_unix_ms(0);
                let thing = Text::from_static("hall");
                queue.push(AT(0), Sample::one(thing, at, field, Value::Int(*value)));
                prop_assert!(queue.waiting() <= room);
                if *take {
                    out += queue.take().len();
                }
            }
            out += values(&mut queue).len();
            let LeftOut { coalesced, dropped } = queue.left_out();
            prop_assert_eq!(out as u64 + coalesced + dropped, pushed.len() as u64);
        }
    }
}

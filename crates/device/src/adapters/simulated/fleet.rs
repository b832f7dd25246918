//! A fleet on virtual time: who measures what when follows from the seed alone. No clock,
//! no I/O: a program that has its own time asks for one sample after the other.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use stanchion_stanza::Text;

use super::kinds::{Kind, Thing};
use super::random::Random;
use crate::model::{Reading, Setting, SettingError, ThingSpec};

/// What a thing measured, by the fleet's own time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Since the fleet began.
    pub at: Duration,
    /// The id of the thing.
    pub thing: Text,
    /// What.
    pub readings: Vec<Reading>,
}

/// Many things of one kind. As an iterator, it never ends: each item is the next sample, and
/// their times never fall.
///
/// ```
/// use std::time::Duration;
/// use stanchion_device::adapters::simulated::{Fleet, Kind};
/// let fleet = Fleet::new(Kind::Thermometer, 3, Duration::from_secs(10), 7);
/// let minute: Vec<_> = fleet.take_while(|m| m.at < Duration::from_secs(60)).collect();
/// assert_eq!(minute.len(), 18);
/// ```
#[derive(Debug, Clone)]
pub struct Fleet {
    kind: Kind,
    interval: Duration,
    ids: Vec<Text>,
    things: Vec<Thing>,
    /// Who measures next, and when.
    due: BinaryHeap<Reverse<(Duration, usize)>>,
}

impl Fleet {
    /// So many things that each measure once an interval, at times of their own within it.
    /// An interval of nothing is a millisecond.
    #[must_use]
    pub fn new(kind: Kind, count: usize, interval: Duration, seed: u64) -> Self {
        Self::named(kind, kind.name(), count, interval, seed)
    }

    /// The same, with ids that begin so.
    #[must_use]
    pub fn named(kind: Kind, prefix: &str, count: usize, interval: Duration, seed: u64) -> Self {
        let interval = interval.max(Duration::from_millis(1));
        let prefix = if Text::new(prefix).is_ok() {
            prefix
        } else {
            kind.name()
        };
        let id = |number| Text::new(format!("{prefix}-{number}")).unwrap_or_default();
        let mut things = Vec::with_capacity(count);
        let mut due = BinaryHeap::with_capacity(count);
        for (index, stream) in (0..count).zip(0..) {
            let mut random = Random::new(seed, stream);
            due.push(Reverse((interval.mul_f64(random.share()), index)));
            things.push(Thing::new(kind, random));
        }
        Self {
            kind,
            interval,
            ids: (1..=count).map(id).collect(),
            things,
            due,
        }
    }

    /// What they are described by.
    #[must_use]
    pub fn specs(&self) -> Vec<ThingSpec> {
        self.ids
            .iter()
            .map(|id| self.kind.spec(id.clone()))
            .collect()
    }

    /// When the next sample is due; `None` if there are no things.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Sets that at that time. What the thing is then, as a sample of its own.
    ///
    /// # Errors
    /// [`SettingError`]: it is not there, or cannot be set so. Nothing is changed then.
    pub fn set(
        &mut self,
        thing: &Text,
        settings: &[Setting],
        at: Duration,
    ) -> Result<Measured, SettingError> {
        let spec = self.kind.spec(thing.clone());
        let Some(index) = self.index(thing) else {
            let name = settings.first().map(|s| s.name.clone());
            return Err(SettingError::NoSuchParameter {
                thing: thing.clone(),
                name: name.unwrap_or_default(),
            });
        };
        for setting in settings {
            spec.check(setting)?;
        }
        let readings = self.things[index].set(settings, at);
        Ok(Measured {
            at,
            thing: thing.clone(),
            readings,
        })
    }

    /// Ids end with the thing's number, counted from 1.
    fn index(&self, thing: &str) -> Option<usize> {
        let (_, number) = thing.rsplit_once('-')?;
        let index = number.parse::<usize>().ok()?.checked_sub(1)?;
        (self.ids.get(index)? == thing).then_some(index)
    }
}

impl Iterator for Fleet {
    type Item = Measured;

    fn next(&mut self) -> Option<Measured> {
        let Reverse((at, index)) = self.due.pop()?;
        let next = at.checked_add(self.interval)?;
        self.due.push(Reverse((next, index)));
        let thing = self.ids.get(index)?.clone();
        let readings = self.things.get_mut(index)?.measure(at, self.interval);
        Some(Measured {
            at,
            thing,
            readings,
        })
    }
}

//! What there is: our things, whose they are, what each field was last and how good that
//! is, and which values are worth telling on. Plain data; time comes in.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use stanchion_reliability::store::WallTime;
use stanchion_stanza::Text;

use crate::model::{Quality, Reading, Sample, Sampler, ThingSpec, Value};

/// Things that there may be.
pub const MOST_THINGS: usize = 10_000;
/// Fields that one may have, and parameters.
pub const MOST_FIELDS: usize = 256;

/// Why a thing is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Another adapter has one of that id.
    #[error("the adapter `{by}` has a thing `{thing}` already; give one of them another id")]
    Taken {
        /// The thing.
        thing: Text,
        /// Who has it.
        by: Arc<str>,
    },
    /// There are too many.
    #[error("`{thing}` is left out: there are {MOST_THINGS} things, and can be no more")]
    TooMany {
        /// The thing.
        thing: Text,
    },
    /// It has too much.
    #[error("`{thing}` is left out: it has more than {MOST_FIELDS} fields or parameters")]
    TooLarge {
        /// The thing.
        thing: Text,
    },
}

/// The last value of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Latest {
    /// Its name, value and quality.
    pub reading: Reading,
    /// When it was so.
    pub at: WallTime,
    /// Whether the thing does not answer any more.
    pub stale: bool,
}

/// What is to be told on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// All of it.
    pub sample: Sample,
    /// Fields of it that are otherwise than they were told before, by their places in the
    /// thing's description.
    pub news: Vec<usize>,
}

#[derive(Debug)]
struct Entry {
    spec: Arc<ThingSpec>,
    adapter: Arc<str>,
    stale: bool,
    values: BTreeMap<Text, Held>,
}

#[derive(Debug)]
struct Held {
    at: WallTime,
    value: Value,
    quality: Quality,
    sampler: Sampler,
}

/// Our things.
#[derive(Debug, Default)]
pub struct Table {
    things: BTreeMap<Text, Entry>,
    /// Values that were held back, and when they are to be told.
    due: BTreeSet<(Duration, Text, Text)>,
}

impl Table {
    /// A thing of that adapter: a new one, or in place of its own of the same id. Values of
    /// fields that stay what they were are kept.
    ///
    /// # Errors
    /// [`TableError`]; nothing has changed then.
    pub fn put(&mut self, adapter: &Arc<str>, spec: ThingSpec) -> Result<(), TableError> {
        let thing = spec.node.id.clone();
        if spec.fields.len() > MOST_FIELDS || spec.parameters.len() > MOST_FIELDS {
            return Err(TableError::TooLarge { thing });
        }
        let full = self.things.len() >= MOST_THINGS;
        let before = match self.things.get(&thing) {
            Some(entry) if entry.adapter != *adapter => {
                let by = Arc::clone(&entry.adapter);
                return Err(TableError::Taken { thing, by });
            }
            None if full => return Err(TableError::TooMany { thing }),
            _ => self.forget(&thing),
        };
        let (stale, mut values) = before.map_or((false, BTreeMap::new()), |e| {
            let same = |name: &Text| match (e.spec.field(name), spec.field(name)) {
                (Some(a), Some(b)) => a.kind == b.kind && a.sampling == b.sampling,
                _ => false,
            };
            let mut values = e.values;
            values.retain(|name, _| same(name));
            (e.stale, values)
        });
        for (field, held) in &mut values {
            if let Some(at) = held.sampler.due() {
                self.due.insert((at, thing.clone(), field.clone()));
            }
        }
        let entry = Entry {
            spec: Arc::new(spec),
            adapter: Arc::clone(adapter),
            stale,
            values,
        };
        self.things.insert(thing, entry);
        Ok(())
    }

    /// It is gone for good. Gives whether it was there, and that adapter's.
    pub fn remove(&mut self, adapter: &str, thing: &Text) -> bool {
        let is_its = self
            .things
            .get(thing)
            .is_some_and(|e| *e.adapter == *adapter);
        is_its && self.forget(thing).is_some()
    }

    /// All things of an adapter are gone. Gives which.
    pub fn remove_all(&mut self, adapter: &str) -> Vec<Text> {
        let its = self.things.iter().filter(|(_, e)| *e.adapter == *adapter);
        let its: Vec<Text> = its.map(|(thing, _)| thing.clone()).collect();
        for thing in &its {
            self.forget(thing);
        }
        its
    }

    fn forget(&mut self, thing: &Text) -> Option<Entry> {
        let entry = self.things.remove(thing)?;
        let id = &entry.spec.node.id;
        for (field, held) in &entry.values {
            if let Some(at) = held.sampler.due() {
                self.due.remove(&(at, id.clone(), field.clone()));
            }
        }
        Some(entry)
    }

    /// It does not answer: what is known of it is all there is. Gives whether that is news.
    pub fn stale(&mut self, adapter: &str, thing: &Text) -> bool {
        let entry = self.things.get_mut(thing);
        let Some(entry) = entry.filter(|e| *e.adapter == *adapter && !e.stale) else {
            return false;
        };
        entry.stale = true;
        true
    }

    /// What a thing measured. Gives what of it is to be told on. Fields that the thing does
    /// not have are left out; what comes later is newer, whatever its time says.
    pub fn sample(&mut self, now: Duration, adapter: &str, sample: Sample) -> Option<Told> {
        let entry = self.things.get_mut(&sample.thing)?;
        if *entry.adapter != *adapter {
            return None;
        }
        // One that is back is news, whatever it says.
        let was_stale = std::mem::take(&mut entry.stale);
        let (thing, at) = (sample.thing, sample.at);
        let (mut told, mut news) = (Vec::new(), Vec::new());
        for reading in sample.readings {
            let mut fields = entry.spec.fields.iter();
            let Some(place) = fields.position(|field| field.name == reading.field) else {
                continue;
            };
            let spec = &entry.spec.fields[place];
            let held = entry
                .values
                .entry(spec.name.clone())
                .or_insert_with(|| Held {
                    at,
                    value: reading.value.clone(),
                    quality: reading.quality,
                    sampler: Sampler::new(spec.sampling),
                });
            let due = |held: &Held| Some((held.sampler.due()?, thing.clone(), spec.name.clone()));
            if let Some(due) = due(held) {
                self.due.remove(&due);
            }
            // Another quality is news, whatever the value.
            let changed = held.quality != reading.quality;
            let is_news = was_stale || changed || held.sampler.is_news(&reading.value);
            let tells = held.sampler.take(now, &reading.value);
            (held.at, held.quality) = (at, reading.quality);
            held.value.clone_from(&reading.value);
            if changed && !tells {
                held.sampler.tell(now, &reading.value);
            }
            if tells || changed {
                told.push(reading);
                news.extend(is_news.then_some(place));
            } else if let Some(due) = due(held) {
                self.due.insert(due);
            }
        }
        let readings = told;
        (!readings.is_empty()).then_some(Told {
            sample: Sample {
                thing,
                at,
                readings,
            },
            news,
        })
    }

    /// When the first value that was held back is to be told.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        self.due.first().map(|(at, _, _)| *at)
    }

    /// What was held back until now.
    pub fn take_due(&mut self, now: Duration) -> Vec<Told> {
        let mut samples: Vec<Told> = Vec::new();
        while let Some((at, _, _)) = self.due.first()
            && *at <= now
            && let Some((_, thing, field)) = self.due.pop_first()
        {
            let entry = self.things.get_mut(&thing);
            let Some(entry) = entry else { continue };
            let place = entry.spec.fields.iter().position(|f| f.name == field);
            let Some(held) = entry.values.get_mut(&field) else {
                continue;
            };
            let news = place.filter(|_| held.sampler.is_news(&held.value));
            held.sampler.tell(now, &held.value);
            let reading = Reading {
                field,
                value: held.value.clone(),
                quality: held.quality,
            };
            // What was so at one moment stays together.
            let same = |t: &&mut Told| t.sample.thing == thing && t.sample.at == held.at;
            match samples.last_mut().filter(same) {
                Some(told) => {
                    told.sample.readings.push(reading);
                    told.news.extend(news);
                }
                None => samples.push(Told {
                    sample: Sample {
                        thing,
                        at: held.at,
                        readings: vec![reading],
                    },
                    news: news.into_iter().collect(),
                }),
            }
        }
        samples
    }

    /// A thing.
    #[must_use]
    pub fn thing(&self, id: &Text) -> Option<&Arc<ThingSpec>> {
        self.things.get(id).map(|e| &e.spec)
    }

    /// All things, by their ids.
    pub fn things(&self) -> impl Iterator<Item = &Arc<ThingSpec>> {
        self.things.values().map(|e| &e.spec)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.things.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    /// Whose a thing is.
    #[must_use]
    pub fn adapter(&self, thing: &Text) -> Option<&Arc<str>> {
        self.things.get(thing).map(|e| &e.adapter)
    }

    /// The last value of a field; none if it was never read.
    #[must_use]
    pub fn value(&self, thing: &Text, field: &Text) -> Option<Latest> {
        let entry = self.things.get(thing)?;
        let (name, held) = entry.values.get_key_value(field)?;
        Some(latest(entry, name, held))
    }

    /// The last values of a thing, by the names of its fields; none if there is no such
    /// thing.
    #[must_use]
    pub fn latest(&self, thing: &Text) -> Option<Vec<Latest>> {
        let entry = self.things.get(thing)?;
        let values = entry.values.iter();
        Some(values.map(|(n, held)| latest(entry, n, held)).collect())
    }
}

fn latest(entry: &Entry, name: &Text, held: &Held) -> Latest {
    Latest {
        reading: Reading {
            field: name.clone(),
            value: held.value.clone(),
            quality: held.quality,
        },
        at: held.at,
        stale: entry.stale,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FieldSpec, Kind, Sampling};

    const SECOND: fn(u64) -> Duration = Duration::from_secs;

    fn text(s: &'static str) -> Text {
        Text::from_static(s)
    }

    fn at(seconds: i64) -> WallTime {
        WallTime::from_unix_ms(seconds * 1000)
    }

    fn lamp(sampling: Sampling) -> ThingSpec {
        let level = FieldSpec::new(text("level"), Kind::Int).sampled(sampling);
        ThingSpec::new(text("lamp")).with_field(level)
    }

    fn level(seconds: i64, value: i32) -> Sample {
        Sample::one(text("lamp"), at(seconds), text("level"), Value::Int(value))
    }

    fn table(sampling: Sampling) -> (Table, Arc<str>) {
        let (mut table, adapter) = (Table::default(), Arc::from("a"));
        table.put(&adapter, lamp(sampling)).unwrap();
        (table, adapter)
    }

    #[test]
    fn a_thing_is_its_adapters_alone() {
        let (mut table, a) = table(Sampling::ALL);
        let other: Arc<str> = Arc::from("b");
        let taken = table.put(&other, lamp(Sampling::ALL)).unwrap_err();
        assert!(matches!(taken, TableError::Taken { by, .. } if by == a));
        assert_eq!(table.sample(SECOND(1), "b", level(1, 5)), None);
        assert!(!table.stale("b", &text("lamp")) && !table.remove("b", &text("lamp")));
        assert_eq!(table.latest(&text("lamp")), Some(Vec::new()));
        assert!(table.remove("a", &text("lamp")));
        assert_eq!(table.latest(&text("lamp")), None);
    }

    #[test]
    fn what_came_last_is_known_with_its_time_and_marked_once_the_thing_is_silent() {
        let (mut table, _) = table(Sampling::ALL);
        assert!(table.sample(SECOND(1), "a", level(10, 5)).is_some());
        let of = |table: &Table| table.value(&text("lamp"), &text("level")).unwrap();
        let latest = of(&table);
        assert_eq!(latest.reading.value, Value::Int(5));
        assert_eq!((latest.at, latest.stale), (at(10), false));
        assert!(table.stale("a", &text("lamp")) && !table.stale("a", &text("lamp")));
        assert!(of(&table).stale);
        table.sample(SECOND(2), "a", level(11, 5));
        assert!(!of(&table).stale);
    }

    #[test]
    fn only_what_is_worth_it_is_told_and_what_is_held_back_is_told_in_time() {
        let (mut table, _) = table(Sampling::default().at_most_every(SECOND(10)));
        assert!(table.sample(SECOND(0), "a", level(0, 1)).is_some());
        assert_eq!(table.sample(SECOND(1), "a", level(1, 2)), None);
        assert_eq!(table.sample(SECOND(2), "a", level(2, 3)), None);
        assert_eq!(table.due(), Some(SECOND(10)));
        assert_eq!(table.take_due(SECOND(9)), []);
        let due = table.take_due(SECOND(10));
        let [Told { sample, news }] = &due[..] else {
            panic!("not told: {due:?}")
        };
        assert_eq!((sample, &news[..]), (&level(2, 3), &[0][..]));
        assert_eq!(table.due(), None);
    }

    #[test]
    fn another_quality_is_told_though_the_value_is_the_same() {
        let (mut table, _) = table(Sampling::default());
        assert!(table.sample(SECOND(0), "a", level(0, 1)).is_some());
        let mut missing = level(1, 1);
        missing.readings[0].quality = Quality::MISSING;
        assert!(table.sample(SECOND(1), "a", missing).is_some());
    }

    #[test]
    fn what_is_told_again_is_no_news_until_its_thing_was_silent() {
        let (mut table, _) = table(Sampling::ALL);
        let news = |table: &mut Table, value| {
            let told = table.sample(SECOND(0), "a", level(0, value));
            told.unwrap().news
        };
        assert_eq!(news(&mut table, 1), [0], "the first");
        assert_eq!(news(&mut table, 1), [0_usize; 0]);
        assert_eq!(news(&mut table, 2), [0]);
        table.stale("a", &text("lamp"));
        assert_eq!(news(&mut table, 2), [0], "it is back");
    }

    #[test]
    fn a_thing_that_is_described_anew_keeps_the_values_of_what_stayed() {
        let (mut table, a) = table(Sampling::ALL);
        table.sample(SECOND(0), "a", level(0, 1));
        let on = FieldSpec::new(text("on"), Kind::Boolean);
        table.put(&a, lamp(Sampling::ALL).with_field(on)).unwrap();
        assert!(table.value(&text("lamp"), &text("level")).is_some());
        let other = FieldSpec::new(text("level"), Kind::Long);
        table
            .put(&a, ThingSpec::new(text("lamp")).with_field(other))
            .unwrap();
        assert!(table.value(&text("lamp"), &text("level")).is_none());
    }

    #[test]
    fn a_thing_that_goes_takes_what_was_held_back_with_it() {
        let (mut table, _) = table(Sampling::default().at_most_every(SECOND(10)));
        table.sample(SECOND(0), "a", level(0, 1));
        table.sample(SECOND(1), "a", level(1, 2));
        assert_eq!(table.remove_all("a"), [text("lamp")]);
        assert_eq!((table.due(), table.take_due(SECOND(20))), (None, vec![]));
    }

    #[test]
    fn there_are_never_more_things_nor_fields_than_the_bounds() {
        let (mut table, adapter) = (Table::default(), Arc::from("a"));
        for n in 0..MOST_THINGS {
            let id = Text::new(format!("t{n}")).unwrap();
            table.put(&adapter, ThingSpec::new(id)).unwrap();
        }
        let more = table.put(&adapter, ThingSpec::new(text("more")));
        assert!(matches!(more, Err(TableError::TooMany { .. })));
        let mut wide = ThingSpec::new(text("t0"));
        for n in 0..=MOST_FIELDS {
            let name = Text::new(format!("f{n}")).unwrap();
            wide = wide.with_field(FieldSpec::new(name, Kind::Int));
        }
        let wide = table.put(&adapter, wide);
        assert!(matches!(wide, Err(TableError::TooLarge { .. })));
    }
}

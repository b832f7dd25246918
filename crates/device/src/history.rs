//! What things told, remembered for a while: a ring in the store, bounded by age and count
//! for each thing, written many at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stanchion_reliability::store::rusqlite::{self, params};
use stanchion_reliability::store::{TransactError, Transactor, WallTime};
use stanchion_stanza::Text;

use crate::json;
use crate::model::{Reading, Sample, Value, as_f64};

/// How much is remembered of each thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryConfig {
    /// For how long. Default 7 days.
    pub age: Duration,
    /// Readings at most, the newest, and a sixteenth more for a while; at least 1. Default
    /// 10,000.
    pub readings: u32,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(7 * 24 * 3600),
            readings: 10_000,
        }
    }
}

/// A piece of a [series](History::series): what a field was over some time.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Bucket {
    /// When, in Unix milliseconds: the mean of the readings' times.
    pub at: i64,
    /// The least of the numbers.
    pub min: f64,
    /// Their mean.
    pub mean: f64,
    /// The greatest of them.
    pub max: f64,
}

/// What a field was over a period.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Series {
    /// The beginning, in Unix milliseconds.
    pub from: i64,
    /// The end.
    pub until: i64,
    /// The oldest first. There is none where nothing was told.
    pub buckets: Vec<Bucket>,
}

/// The most buckets that a series has.
pub const BUCKETS: u32 = 2000;

/// The ring. Cheap to clone.
#[derive(Debug, Clone)]
pub struct History {
    store: Transactor,
    config: HistoryConfig,
    /// Readings of each thing since it was last looked at what is too much of it.
    since: Arc<Mutex<BTreeMap<Text, u32>>>,
}

/// Things that are counted at once; of others nothing is forgotten later than of these.
const COUNTED: usize = 20_000;

impl History {
    /// The ring in that store: made if it is not there. What is too old by the time `now` is
    /// forgotten.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn open(
        store: Transactor,
        config: HistoryConfig,
        now: WallTime,
    ) -> Result<Self, TransactError> {
        let oldest = now.before(config.age).as_unix_ms();
        let make = store.transact(move |tx| {
            tx.execute_batch(
                "CREATE TABLE IF NOT EXISTS app_stanchion_readings (
                     number INTEGER PRIMARY KEY,
                     thing TEXT NOT NULL,
                     at INTEGER NOT NULL,
                     field TEXT NOT NULL,
                     value TEXT NOT NULL
                 ) STRICT;
                 CREATE INDEX IF NOT EXISTS app_stanchion_readings_of
                     ON app_stanchion_readings (thing, at, number)",
            )?;
            // Of things that are gone, too.
            tx.execute("DELETE FROM app_stanchion_readings WHERE at < ?1", [oldest])
        });
        make.await?;
        Ok(Self {
            store,
            config,
            since: Arc::default(),
        })
    }

    /// Remembers samples, all in one transaction, and forgets what is too much of their
    /// things or too old, by the time `now`.
    ///
    /// # Errors
    /// [`TransactError`]; nothing is remembered then.
    pub async fn remember(&self, now: WallTime, samples: Vec<Sample>) -> Result<(), TransactError> {
        let oldest = now.before(self.config.age).as_unix_ms();
        let most = i64::from(self.config.readings.max(1));
        let full = self.full(&samples);
        let write = move |tx: &rusqlite::Transaction<'_>| {
            let mut insert = tx.prepare_cached(
                "INSERT INTO app_stanchion_readings (thing, at, field, value)
                 VALUES (?1, ?2, ?3, ?4)",
            )?;
            for sample in &samples {
                for reading in &sample.readings {
                    insert.execute(params![
                        &*sample.thing,
                        sample.at.as_unix_ms(),
                        &*reading.field,
                        json::of_reading(reading).to_string(),
                    ])?;
                }
            }
            let mut old = tx.prepare_cached(
                "DELETE FROM app_stanchion_readings WHERE thing = ?1 AND at < ?2",
            )?;
            let mut more = tx.prepare_cached(
                "DELETE FROM app_stanchion_readings WHERE thing = ?1 AND (at, number) <= (
                     SELECT at, number FROM app_stanchion_readings WHERE thing = ?1
                     ORDER BY at DESC, number DESC LIMIT 1 OFFSET ?2)",
            )?;
            for thing in &full {
                old.execute(params![&**thing, oldest])?;
                more.execute(params![&**thing, most])?;
            }
            Ok::<_, rusqlite::Error>(())
        };
        self.store.transact(write).await
    }

    /// Things of which enough came to look at what is too much.
    fn full(&self, samples: &[Sample]) -> Vec<Text> {
        let enough = (self.config.readings / 16).max(1);
        let mut since = self.since.lock().unwrap_or_else(PoisonError::into_inner);
        if since.len() > COUNTED {
            since.clear();
        }
        let mut full = Vec::new();
        for sample in samples {
            let came = u32::try_from(sample.readings.len()).unwrap_or(u32::MAX);
            let count = since.entry(sample.thing.clone()).or_default();
            *count = count.saturating_add(came);
            if *count >= enough {
                *count = 0;
                full.push(sample.thing.clone());
            }
        }
        full.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        full.dedup();
        full
    }

    /// What a thing told in that period, in Unix milliseconds with both ends in it: the
    /// newest `most` readings, the oldest of them first.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn look(
        &self,
        thing: Text,
        from: i64,
        until: i64,
        most: u32,
    ) -> Result<Vec<(WallTime, Reading)>, TransactError> {
        let read = move |tx: &rusqlite::Transaction<'_>| {
            let mut statement = tx.prepare_cached(
                "SELECT at, field, value FROM app_stanchion_readings
                 WHERE thing = ?1 AND at BETWEEN ?2 AND ?3
                 ORDER BY at DESC, number DESC LIMIT ?4",
            )?;
            let rows = statement.query_map(params![&*thing, from, until, most], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            rows.collect::<Result<Vec<(i64, String, String)>, rusqlite::Error>>()
        };
        let rows = self.store.transact(read).await?;
        let reading = |(at, field, value): (i64, String, String)| {
            let value = serde_json::from_str(&value).ok()?;
            let reading = json::to_reading(Text::new(field).ok()?, &value).ok()?;
            Some((WallTime::from_unix_ms(at), reading))
        };
        Ok(rows.into_iter().rev().filter_map(reading).collect())
    }

    /// How the numbers of a field were in that period, in Unix milliseconds with both ends in
    /// it, for a plot: in `buckets` of equal length, from 1 to [`BUCKETS`]. `i64::MIN` is the
    /// thing's first reading and `i64::MAX` its last. Of a yes or no, 1 and 0 are counted;
    /// what is no finite number is left out. It is read row by row, and nothing is held but
    /// the buckets.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn series(
        &self,
        thing: Text,
        field: Text,
        from: i64,
        until: i64,
        buckets: u32,
    ) -> Result<Series, TransactError> {
        let read = move |tx: &rusqlite::Transaction<'_>| {
            let (from, until) = period(tx, &thing, from, until)?;
            let mut filling = Filling::new(from, until, buckets);
            let mut statement = tx.prepare_cached(
                "SELECT at, value FROM app_stanchion_readings
                 WHERE thing = ?1 AND at BETWEEN ?2 AND ?3 AND field = ?4
                 ORDER BY at, number",
            )?;
            let mut rows = statement.query(params![&*thing, from, until, &*field])?;
            while let Some(row) = rows.next()? {
                let value = row.get_ref(1)?.as_str().ok();
                if let Some(number) = value.and_then(|value| number(&field, value)) {
                    filling.put(row.get(0)?, number);
                }
            }
            Ok::<_, rusqlite::Error>(filling.end())
        };
        self.store.transact(read).await
    }
}

/// A period whose open ends are the thing's first and last reading.
fn period(
    tx: &rusqlite::Transaction<'_>,
    thing: &str,
    from: i64,
    until: i64,
) -> Result<(i64, i64), rusqlite::Error> {
    let end = |sql: &str| {
        let mut statement = tx.prepare_cached(sql)?;
        statement.query_row([thing], |row| row.get::<_, Option<i64>>(0))
    };
    let from = match from {
        i64::MIN => end("SELECT min(at) FROM app_stanchion_readings WHERE thing = ?1")?,
        from => Some(from),
    };
    let until = match until {
        i64::MAX => end("SELECT max(at) FROM app_stanchion_readings WHERE thing = ?1")?,
        until => Some(until),
    };
    let from = from.or(until).unwrap_or_default();
    Ok((from, until.unwrap_or(from)))
}

/// The number in a value as it is kept.
fn number(field: &Text, value: &str) -> Option<f64> {
    let value = serde_json::from_str(value).ok()?;
    match json::to_reading(field.clone(), &value).ok()?.value {
        Value::Boolean(on) => Some(f64::from(u8::from(on))),
        value => as_f64(&value).filter(|number| number.is_finite()),
    }
}

/// Buckets while they are filled, in the order of time.
struct Filling {
    series: Series,
    /// Milliseconds of a bucket.
    width: i128,
    /// The bucket that is filled: which, how many are in it, and their times added up from
    /// its first.
    open: Option<(i128, u32, i64, i128)>,
}

impl Filling {
    fn new(from: i64, until: i64, buckets: u32) -> Self {
        let long = i128::from(until) - i128::from(from) + 1;
        let buckets = i128::from(buckets.clamp(1, BUCKETS));
        Self {
            series: Series {
                from,
                until,
                buckets: Vec::new(),
            },
            width: ((long + buckets - 1) / buckets).max(1),
            open: None,
        }
    }

    fn put(&mut self, at: i64, number: f64) {
        let which = (i128::from(at) - i128::from(self.series.from)) / self.width;
        match (&mut self.open, self.series.buckets.last_mut()) {
            (Some((same, count, first, times)), Some(bucket)) if *same == which => {
                *count = count.saturating_add(1);
                *times += i128::from(at) - i128::from(*first);
                let mean = i128::from(*first) + *times / i128::from(*count);
                bucket.at = i64::try_from(mean).unwrap_or(at);
                bucket.min = bucket.min.min(number);
                bucket.max = bucket.max.max(number);
                let count = f64::from(*count);
                let step = (number - bucket.mean) / count;
                bucket.mean = match step.is_finite() {
                    true => bucket.mean + step,
                    // The difference of great numbers is none.
                    false => bucket.mean * (1.0 - 1.0 / count) + number / count,
                };
            }
            _ => {
                self.open = Some((which, 1, at, 0));
                self.series.buckets.push(Bucket {
                    at,
                    min: number,
                    mean: number,
                    max: number,
                });
            }
        }
    }

    fn end(self) -> Series {
        self.series
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Value;

    fn level(thing: &'static str, second: i64) -> Sample {
        let at = WallTime::from_unix_ms(second * 1000);
        let value = Value::Long(second);
        let thing = Text::from_static(thing);
        Sample::one(thing, at, Text::from_static("level"), value)
    }

    async fn seconds(history: &History, thing: &'static str, from: i64, until: i64) -> Vec<i64> {
        let thing = Text::from_static(thing);
        let found = history.look(thing, from, until, 100).await.unwrap();
        let second = |(at, reading): (WallTime, Reading)| {
            let second = at.as_unix_ms() / 1000;
            assert_eq!(reading.value, Value::Long(second));
            second
        };
        found.into_iter().map(second).collect()
    }

    #[tokio::test]
    async fn of_each_thing_the_newest_are_kept_and_none_for_too_long() {
        let store = Transactor::in_memory().unwrap();
        let config = HistoryConfig {
            age: Duration::from_secs(10),
            readings: 3,
        };
        let history = History::open(store, config, WallTime::from_unix_ms(0))
            .await
            .unwrap();
        let now = WallTime::from_unix_ms(5_000);
        let of_a = (1..=5).map(|second| level("a", second));
        let all = of_a.chain([level("b", 1)]).collect();
        history.remember(now, all).await.unwrap();
        assert_eq!(seconds(&history, "a", i64::MIN, i64::MAX).await, [3, 4, 5]);
        assert_eq!(seconds(&history, "b", i64::MIN, i64::MAX).await, [1]);
        assert_eq!(seconds(&history, "a", 4_000, 4_999).await, [4]);
        let later = WallTime::from_unix_ms(14_500);
        history.remember(later, vec![level("a", 14)]).await.unwrap();
        assert_eq!(seconds(&history, "a", i64::MIN, i64::MAX).await, [5, 14]);
    }

    fn told(at: i64, value: Value) -> Sample {
        let at = WallTime::from_unix_ms(at);
        Sample::one(
            Text::from_static("a"),
            at,
            Text::from_static("level"),
            value,
        )
    }

    async fn with(samples: Vec<Sample>) -> History {
        let store = Transactor::in_memory().unwrap();
        let history = History::open(store, HistoryConfig::default(), WallTime::from_unix_ms(0));
        let history = history.await.unwrap();
        let now = WallTime::from_unix_ms(100_000);
        history.remember(now, samples).await.unwrap();
        history
    }

    async fn series(history: &History, from: i64, until: i64, buckets: u32) -> Series {
        let (thing, field) = (Text::from_static("a"), Text::from_static("level"));
        let series = history.series(thing, field, from, until, buckets).await;
        series.unwrap()
    }

    #[tokio::test]
    async fn a_series_has_the_least_the_mean_and_the_greatest_of_each_bucket() {
        let numbers = [1, 2, 9, 4, 5].into_iter().zip(0..);
        let mut samples: Vec<_> = numbers
            .map(|(number, second)| told(second * 1000, Value::Int(number)))
            .collect();
        let other = Text::from_static("other");
        let at = WallTime::from_unix_ms(500);
        samples.push(Sample::one(
            Text::from_static("a"),
            at,
            other,
            Value::Int(77),
        ));
        let history = with(samples).await;
        let told = series(&history, 0, 5_999, 2).await;
        let rows = |series: &Series| {
            let rows = series.buckets.iter().map(|b| (b.at, b.min, b.mean, b.max));
            rows.collect::<Vec<_>>()
        };
        assert_eq!(rows(&told), [(1000, 1.0, 4.0, 9.0), (3500, 4.0, 4.5, 5.0)]);
        // Zoomed: each reading is there by itself.
        let near = series(&history, 1000, 3000, 2000).await;
        assert_eq!(
            rows(&near),
            [
                (1000, 2.0, 2.0, 2.0),
                (2000, 9.0, 9.0, 9.0),
                (3000, 4.0, 4.0, 4.0)
            ]
        );
        let all = series(&history, i64::MIN, i64::MAX, 1).await;
        assert_eq!((all.from, all.until, all.buckets.len()), (0, 4000, 1));
        assert!(series(&history, 9_000, 8_000, 5).await.buckets.is_empty());
    }

    #[tokio::test]
    async fn a_series_counts_yes_as_one_and_leaves_out_what_is_no_number() {
        let numeric = |text: &str| Value::Numeric {
            value: text.parse().unwrap(),
            unit: Text::default(),
        };
        let samples = vec![
            told(0, Value::Boolean(true)),
            told(1, Value::Boolean(false)),
            told(2, numeric("INF")),
            told(3, Value::String(Text::from_static("7"))),
            told(4, numeric("1e308")),
            told(5, numeric("1e308")),
        ];
        let history = with(samples).await;
        let told = series(&history, 0, 3, 1).await.buckets;
        assert_eq!((told[0].min, told[0].mean, told[0].max), (0.0, 0.5, 1.0));
        let great = series(&history, 4, 5, 1).await.buckets;
        assert_eq!(great[0].mean, 1e308);
    }

    #[tokio::test]
    async fn a_series_is_bounded_whatever_is_asked_for() {
        let samples = (0..5000).map(|at| told(at, Value::Int(1))).collect();
        let history = with(samples).await;
        for (from, until) in [
            (i64::MIN, i64::MAX),
            (i64::MIN + 1, i64::MAX - 1),
            (0, 4999),
        ] {
            for (buckets, most) in [(0, 1), (u32::MAX, 2000)] {
                let found = series(&history, from, until, buckets).await.buckets;
                assert!(!found.is_empty() && found.len() <= most, "{from} {buckets}");
            }
        }
        let nothing = Text::from_static("nobody");
        let found = history
            .series(nothing, Text::default(), i64::MIN, i64::MAX, 9)
            .await;
        assert!(found.unwrap().buckets.is_empty());
    }

    #[tokio::test]
    async fn the_newest_of_a_period_come_first_if_there_are_too_many_and_in_their_order() {
        let store = Transactor::in_memory().unwrap();
        let history = History::open(store, HistoryConfig::default(), WallTime::from_unix_ms(0))
            .await
            .unwrap();
        let now = WallTime::from_unix_ms(9_000);
        let all = (1..=9).rev().map(|second| level("a", second)).collect();
        history.remember(now, all).await.unwrap();
        let found = history
            .look(Text::from_static("a"), 0, 8_000, 2)
            .await
            .unwrap();
        let at: Vec<_> = found.iter().map(|(at, _)| at.as_unix_ms()).collect();
        assert_eq!(at, [7_000, 8_000]);
    }
}

//! What things told, remembered for a while: a ring in the store, bounded by age and count
//! for each thing, written many at a time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stanchion_reliability::store::rusqlite::{self, params};
use stanchion_reliability::store::{TransactError, Transactor, WallTime};
use stanchion_stanza::Text;

use crate::json;
use crate::model::{Reading, Sample};

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

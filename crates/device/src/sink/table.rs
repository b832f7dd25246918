//! Readings in a table of the store's file: kept in the very transaction that marks their
//! message as handled.

use stanchion_reliability::session::Received;
use stanchion_reliability::store::rusqlite::{self, Transaction, params};
use stanchion_reliability::store::{TransactError, Transactor};
use stanchion_stanza::Text;

use super::SinkError;
use crate::model::{Sample, Value, as_f64};

/// The table `app_readings`: `device` (the account that sent it), `thing`, `field`, `at`
/// (milliseconds since 1970), `number` and `text` of the value, `unit`, and `message`, the
/// id that it came with.
#[derive(Debug, Clone, Copy)]
pub struct Table(());

const MAKE: &str = "
CREATE TABLE IF NOT EXISTS app_readings (
    device TEXT NOT NULL,
    thing TEXT NOT NULL,
    field TEXT NOT NULL,
    at INTEGER NOT NULL,
    number REAL,
    text TEXT,
    unit TEXT,
    message TEXT
);
CREATE INDEX IF NOT EXISTS app_readings_by_field ON app_readings (device, thing, field, at);
";

impl Table {
    /// Makes it if it is not there.
    ///
    /// # Errors
    /// [`TransactError`].
    pub async fn open(store: &Transactor) -> Result<Self, TransactError> {
        store.transact(|tx| tx.execute_batch(MAKE)).await?;
        Ok(Self(()))
    }

    /// Keeps the samples of a message and commits it: both, or neither. Gives how many
    /// readings there were.
    ///
    /// # Errors
    /// [`SinkError::Commit`].
    pub async fn keep(
        &self,
        received: &Received,
        samples: Vec<Sample>,
    ) -> Result<usize, SinkError> {
        let device = received.message().header.from.as_ref();
        let device = device
            .map(|jid| jid.to_bare().to_string())
            .unwrap_or_default();
        let id = received.id().map(str::to_owned);
        let keep = move |tx: &Transaction<'_>| insert(tx, &device, id.as_deref(), &samples);
        Ok(received.commit_with(keep).await?)
    }
}

fn insert(
    tx: &Transaction<'_>,
    device: &str,
    message: Option<&str>,
    samples: &[Sample],
) -> rusqlite::Result<usize> {
    let mut insert = tx.prepare_cached(
        "INSERT INTO app_readings (device, thing, field, at, number, text, unit, message)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?;
    let mut count = 0;
    for sample in samples {
        for reading in &sample.readings {
            let (text, unit) = parts(&reading.value);
            insert.execute(params![
                device,
                &*sample.thing,
                &*reading.field,
                sample.at.as_unix_ms(),
                as_f64(&reading.value),
                text.as_deref(),
                unit.as_deref(),
                message,
            ])?;
            count += 1;
        }
    }
    Ok(count)
}

/// The text and the unit of a value; a number that fits its column has no text.
fn parts(value: &Value) -> (Option<Text>, Option<Text>) {
    match value {
        Value::Boolean(on) => (Some(Text::from(*on)), None),
        Value::Int(_) => (None, None),
        // A double may not hold it.
        Value::Long(number) => (Some(Text::from(*number)), None),
        Value::Numeric { value, unit } => (Some(value.clone().into()), Some(unit.clone())),
        Value::Date(text)
        | Value::DateTime(text)
        | Value::Duration(text)
        | Value::Enum { value: text, .. }
        | Value::String(text)
        | Value::Time(text) => (Some(text.clone()), None),
    }
}

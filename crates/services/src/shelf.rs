//! The rows that services keep: one small table in the store's file, or in memory. Owns
//! the table; when it is changed is `host`'s affair.

use stanchion_reliability::store::rusqlite::{self, Transaction, params};
use stanchion_reliability::store::{TransactError, Transactor};

use crate::history::{self, History};
use crate::service::Change;

/// A row: service, key, value.
pub(crate) type Row = (String, String, Vec<u8>);

/// Rows that one start reads at most; services bound their own far below.
const MOST: usize = 100_000;

/// Makes the table if it is not there, and reads it.
pub(crate) async fn open(transactor: &Transactor) -> Result<Vec<Row>, TransactError> {
    transactor
        .transact(|tx| {
            tx.execute_batch(
                "CREATE TABLE IF NOT EXISTS app_stanchion_services (
                     service TEXT NOT NULL,
                     key TEXT NOT NULL,
                     value BLOB NOT NULL,
                     PRIMARY KEY (service, key)
                 ) STRICT, WITHOUT ROWID",
            )?;
            let mut statement = tx.prepare(
                "SELECT service, key, value FROM app_stanchion_services
                 ORDER BY service, key LIMIT ?1",
            )?;
            let rows = statement.query_map([MOST as i64], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?))
            })?;
            rows.collect::<Result<Vec<Row>, rusqlite::Error>>()
        })
        .await
}

/// Makes all these changes, each of the service beside it, or none.
pub(crate) async fn change(
    transactor: &Transactor,
    history: &History,
    changes: Vec<(&'static str, Change)>,
) -> Result<(), TransactError> {
    if changes
        .iter()
        .any(|(_, change)| matches!(change, Change::History(_)))
    {
        history.make().await?;
    }
    transactor
        .transact(move |tx| {
            changes
                .iter()
                .try_for_each(|(of, change)| apply(tx, of, change))
        })
        .await
}

/// Makes one change inside a transaction: for an effect that is to be durable together
/// with a service's own row. For the history, its tables must be there.
///
/// # Errors
/// What SQLite says.
pub fn apply(tx: &Transaction<'_>, service: &str, change: &Change) -> Result<(), rusqlite::Error> {
    match change {
        Change::Put { key, value } => tx
            .prepare_cached(
                "INSERT OR REPLACE INTO app_stanchion_services (service, key, value)
                 VALUES (?1, ?2, ?3)",
            )?
            .execute(params![service, key, value])?,
        Change::Delete { key } => tx
            .prepare_cached("DELETE FROM app_stanchion_services WHERE service = ?1 AND key = ?2")?
            .execute(params![service, key])?,
        Change::History(note) => return history::apply(tx, note),
    };
    Ok(())
}

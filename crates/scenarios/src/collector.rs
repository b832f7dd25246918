//! The cloud's end of a scenario: keeps every reading in a table, once, and notes when each
//! came.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stanchion::Client;
use stanchion::reliability::store::rusqlite::Transaction;
use stanchion::services::Incoming;
use stanchion_device::format::from_message;
use stanchion_device::model::Sample;
use stanchion_device::sink::Table;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::failure::{Doing as _, Failure};
use crate::server::Server;

/// A collector, running.
#[derive(Debug)]
pub(crate) struct Collector {
    client: std::sync::Arc<Client>,
    kept: watch::Receiver<Kept>,
    task: JoinHandle<Result<(), Failure>>,
}

/// What it has so far.
#[derive(Debug, Clone, Default)]
pub(crate) struct Kept {
    /// Readings.
    pub(crate) readings: usize,
    /// Alarms (fields of that name): when each was raised, and how long it took.
    pub(crate) alarms: Vec<(Duration, Duration)>,
    /// When each sample was measured, and when it came; the first 100,000.
    pub(crate) arrivals: Vec<(Duration, Duration)>,
}

/// Arrivals that are remembered.
const ARRIVALS: usize = 100_000;

/// When nothing has come for so long, nothing more comes: longer than the longest pause between
/// two transmissions of a message, which is 75 s.
pub(crate) const SILENCE: Duration = Duration::from_secs(90);

/// The field of alarms.
pub(crate) const ALARM: &str = "alarm";

/// The time by the clock of this machine, since 1970.
pub(crate) fn now() -> Duration {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

impl Collector {
    /// Runs it as that account.
    pub(crate) async fn start(server: &Server, user: &str, folder: &Path) -> Result<Self, Failure> {
        let (client, incoming) = server
            .client(user, folder)?
            .start()
            .await
            .doing("start the collector")?;
        let table = Table::open(&client.store()).await.doing("make the table")?;
        let (told, kept) = watch::channel(Kept::default());
        Ok(Self {
            client: std::sync::Arc::new(client),
            kept,
            task: tokio::spawn(keep(table, incoming, told)),
        })
    }

    /// Waits until it has that many readings, or has kept none for so long: on a busy machine
    /// what comes late is not lost. Gives how many.
    pub(crate) async fn until(&mut self, readings: usize, silence: Duration) -> usize {
        loop {
            let have = self.kept.borrow().readings;
            if have >= readings {
                return have;
            }
            let more = self.kept.wait_for(|kept| kept.readings > have);
            if !matches!(tokio::time::timeout(silence, more).await, Ok(Ok(_))) {
                return have;
            }
        }
    }

    /// What it has.
    pub(crate) fn kept(&self) -> Kept {
        self.kept.borrow().clone()
    }

    /// The values of every field in the order in which they were kept.
    pub(crate) async fn values(&self) -> Result<Values, Failure> {
        let read = |tx: &Transaction<'_>| {
            let mut rows = tx.prepare(
                "SELECT device, thing, field, at, number FROM app_readings ORDER BY rowid",
            )?;
            let mut values = Values::new();
            let mut rows = rows.query([])?;
            while let Some(row) = rows.next()? {
                let key = (row.get(0)?, row.get(1)?, row.get(2)?);
                let value = (row.get(3)?, row.get(4)?);
                values.entry(key).or_default().push(value);
            }
            Ok::<_, stanchion::reliability::store::rusqlite::Error>(values)
        };
        self.client
            .store()
            .transact(read)
            .await
            .doing("read the table")
    }

    /// The texts of a thing's field, and when each was so, in the order in which they were
    /// kept.
    pub(crate) async fn texts(
        &self,
        thing: &'static str,
        field: &'static str,
    ) -> Result<Vec<(String, i64)>, Failure> {
        let read = move |tx: &Transaction<'_>| {
            let mut rows = tx.prepare(
                "SELECT text, at FROM app_readings WHERE thing = ?1 AND field = ?2 ORDER BY rowid",
            )?;
            let rows = rows.query_map([thing, field], |row| Ok((row.get(0)?, row.get(1)?)))?;
            rows.collect::<Result<Vec<_>, _>>()
        };
        self.client
            .store()
            .transact(read)
            .await
            .doing("read the table")
    }

    /// Ends it, and says what went wrong.
    pub(crate) async fn stop(self) -> Result<(), Failure> {
        if self.task.is_finished() {
            return self.task.await.doing("the collector")?;
        }
        self.task.abort();
        Ok(())
    }
}

/// By device, thing and field: when each value was measured, in milliseconds, and what it was.
pub(crate) type Values = BTreeMap<(String, String, String), Vec<(i64, Option<f64>)>>;

async fn keep(
    table: Table,
    mut incoming: Incoming,
    told: watch::Sender<Kept>,
) -> Result<(), Failure> {
    while let Some(received) = incoming.recv().await {
        let samples = from_message(received.message()).doing("read a message")?;
        let arrived = now();
        let raised = samples
            .iter()
            .filter(|s| s.readings.iter().any(|r| &*r.field == ALARM));
        let at = |s: &Sample| Duration::from_millis(u64::try_from(s.at.as_unix_ms()).unwrap_or(0));
        let raised: Vec<_> = raised
            .map(at)
            .map(|at| (at, arrived.saturating_sub(at)))
            .collect();
        let arrivals: Vec<_> = samples.iter().map(|s| (at(s), arrived)).collect();
        let kept = table
            .keep(&received, samples)
            .await
            .doing("keep readings")?;
        told.send_modify(|all| {
            all.readings += kept;
            all.alarms.extend(raised);
            if all.arrivals.len() < ARRIVALS {
                all.arrivals.extend(arrivals);
            }
        });
    }
    Ok(())
}

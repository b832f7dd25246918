//! How many messages a second `send` accepts, each durable, when nothing can be delivered:
//! by how many senders at once, beside what the disk and bare SQLite do with as many bytes
//! in batches of as many.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use clap::Args;
use stanchion::reliability::store::{Opening, OutboundQuery, Seed, SqliteStore, Store, WallTime};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use crate::disk;
use crate::ends;
use crate::figure::{self, told};

/// Senders at once, and rows of a batch.
const SENDERS: [usize; 3] = [1, 16, 256];

/// What to measure.
#[derive(Debug, Args)]
pub struct Plan {
    /// Milliseconds for each value of each round
    #[arg(long, default_value_t = 1500)]
    time: u64,
    /// Rounds; the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Only this project's part, with so many senders: for a profiler
    #[arg(long)]
    only: Option<usize>,
}

/// Prints the rates, and how many bytes a message has.
pub async fn run(plan: &Plan) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|e| told(&e))?;
    let time = Duration::from_millis(plan.time);
    let fresh = fresh_paths(folder.path());
    if let Some(senders) = plan.only {
        let rate = keep(&fresh("ours"), senders, time).await?;
        figure::print(&name("stanchion", senders), rate, "1/s");
        return Ok(());
    }
    let first = fresh("first");
    keep(&first, 16, Duration::from_millis(200)).await?;
    let bytes = spawn_blocking(move || row(&first))
        .await
        .map_err(|e| told(&e))??;
    figure::print("durable/bytes a message", bytes as f64, "bytes");
    for senders in SENDERS {
        let (mut append, mut sqlite, mut ours) = (Vec::new(), Vec::new(), Vec::new());
        // One after the other in each round, so that a disk that changes its pace changes
        // it for all.
        for _ in 0..plan.rounds {
            let path = fresh("append");
            let rate = spawn_blocking(move || disk::append(&path, bytes, senders, time));
            append.push(rate.await.map_err(|e| told(&e))??);
            let path = fresh("sqlite");
            let rate = spawn_blocking(move || disk::sqlite(&path, bytes, senders, time));
            sqlite.push(rate.await.map_err(|e| told(&e))??);
            ours.push(keep(&fresh("ours"), senders, time).await?);
        }
        for (what, rates) in [("append", append), ("sqlite", sqlite), ("stanchion", ours)] {
            figure::print(&name(what, senders), figure::median(rates), "1/s");
        }
    }
    Ok(())
}

fn name(what: &str, senders: usize) -> String {
    format!("durable/{what}, {senders}")
}

/// Paths in `folder` that were not used before.
fn fresh_paths(folder: &Path) -> impl Fn(&str) -> PathBuf + use<> {
    let (folder, next) = (folder.to_owned(), AtomicUsize::new(0));
    move |what| folder.join(format!("{what}-{}", next.fetch_add(1, Ordering::Relaxed)))
}

/// Messages a second that `senders` tasks get kept, each waiting for the one before.
async fn keep(path: &Path, senders: usize, time: Duration) -> Result<f64, String> {
    let (client, _incoming) = ends::cut_off(path).await?;
    // Made once, as the rows of the others are: what is measured is `send`.
    let message = ends::message(0)?;
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..senders {
        let (sender, message) = (client.sender(), message.clone());
        tasks.spawn(async move {
            let mut kept = 0;
            while start.elapsed() < time {
                sender.send(message.clone()).await.map_err(|e| told(&e))?;
                kept += 1;
            }
            Ok::<usize, String>(kept)
        });
    }
    let mut kept = 0;
    while let Some(done) = tasks.join_next().await {
        kept += done.map_err(|e| told(&e))??;
    }
    let rate = kept as f64 / start.elapsed().as_secs_f64();
    client.shutdown().await.map_err(|e| told(&e))?;
    Ok(rate)
}

/// Bytes of a kept message: its stanza, its id, its recipient. The mean of some.
fn row(path: &Path) -> Result<usize, String> {
    let opening = Opening::new(Seed::from_os().map_err(|e| told(&e))?, WallTime::default());
    let store = SqliteStore::open(path, &opening).map_err(|e| told(&e))?;
    let mut page = store.outbound_page(OutboundQuery::default());
    let records = loop {
        match page.try_take() {
            Some(records) => break records.map_err(|e| told(&e))?,
            None => std::thread::yield_now(),
        }
    };
    let bytes = records
        .iter()
        .map(|r| r.stanza.len() + r.id.len() + r.to.len());
    bytes
        .sum::<usize>()
        .checked_div(records.len())
        .ok_or_else(|| "nothing was kept".to_owned())
}

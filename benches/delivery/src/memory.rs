//! The memory of a process whose outbox fills: messages to a peer that cannot be reached.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use clap::{Args, ValueEnum};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::ends;
use crate::figure::{self, told};

/// Calls of `send` that are under way at once.
const SENDERS: usize = 256;

/// What to measure.
#[derive(Debug, Args)]
pub struct Plan {
    /// What fills the memory
    #[arg(long, value_enum)]
    part: Part,
    /// How many
    #[arg(long, default_value_t = 1_000_000)]
    count: usize,
}

/// What fills the memory. Each part is run in a process of its own.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Part {
    /// Messages that wait for their peer
    Outbox,
}

/// Fills it, and prints what the process takes then.
pub async fn run(plan: &Plan) -> Result<(), String> {
    match plan.part {
        Part::Outbox => outbox(plan.count).await,
    }
}

async fn outbox(count: usize) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|e| told(&e))?;
    let (client, _incoming) = ends::cut_off(&folder.path().join("store")).await?;
    let before = resident()?;
    let next = Arc::new(AtomicUsize::new(0));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..SENDERS {
        let (sender, next) = (client.sender(), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= count {
                    return Ok::<(), String>(());
                }
                // Who queues that many keeps no handle to each.
                drop(sender.send(ends::message(n)?).await.map_err(|e| told(&e))?);
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|e| told(&e))??;
    }
    let seconds = start.elapsed().as_secs_f64();
    let after = resident()?;
    let queued = client.counters().accepted;
    if queued != count as u64 {
        return Err(format!("{queued} messages are queued, not {count}"));
    }
    figure::print("memory/outbox, empty", before.now, "KiB");
    figure::print("memory/outbox", after.now, "KiB");
    figure::print("memory/outbox, peak", after.peak, "KiB");
    figure::print("memory/outbox, filled in", seconds, "s");
    client.shutdown().await.map_err(|e| told(&e))
}

/// The resident set of this process, in KiB.
struct Resident {
    now: f64,
    peak: f64,
}

fn resident() -> Result<Resident, String> {
    const STATUS: &str = "/proc/self/status";
    let text = std::fs::read_to_string(STATUS).map_err(|e| format!("{STATUS}: {e}"))?;
    let field = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|rest| rest.trim().strip_suffix(" kB"));
        number
            .and_then(|number| number.trim().parse().ok())
            .ok_or_else(|| format!("{STATUS} has no {name}"))
    };
    Ok(Resident {
        now: field("VmRSS:")?,
        peak: field("VmHWM:")?,
    })
}

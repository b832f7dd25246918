//! `stanchion outbox purge`: removes what has its outcome for long.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use stanchion::reliability::store::Op;

use crate::exit::{Exit, Outcome};
use crate::kept::{StoreArgs, counted, now};
use crate::settings::duration;
use crate::terminal::{json_line, print};

/// Remove messages that have had their outcome for some time
#[derive(Debug, Args)]
#[command(after_help = "\
What still waits stays, and what is in doubt while a receipt can settle it. A session removes \
by itself what is older than seven days.

Example:
  stanchion outbox purge --older-than 1d --store messages.sqlite

Exit codes: 0 removed, 1 the store cannot be used, as while a session lives on it, 2 usage.")]
pub(super) struct Command {
    /// How long they have had it, at least: 12h, 7d
    #[arg(long, value_name = "TIME", value_parser = duration)]
    older_than: Duration,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Carries out the command.
pub(super) async fn run(command: Command) -> Outcome {
    let owned = command.store.open().await?;
    let before = now().before(command.older_than);
    let (_, removed) = owned.prune(Op::PruneOutbound { before }).await?;
    owned.close().await?;
    let _ = print(&if command.json {
        json_line(&json!({ "outcome": "purged", "messages": removed }))
    } else {
        format!("removed {}", counted(removed, "message", "messages"))
    })?;
    Ok(Exit::Done)
}

//! `stanchion inbox purge`: removes the texts of messages that were handled long ago. What
//! tells their copies stays.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use stanchion::reliability::store::{Op, WallTime};

use crate::exit::{Exit, Outcome};
use crate::kept::{StoreArgs, counted, now};
use crate::settings::duration;
use crate::terminal::{json_line, print};

/// Remove the texts of messages that were committed some time ago
#[derive(Debug, Args)]
#[command(after_help = "\
What was not committed stays whole. Of the others, what tells their copies stays, too: a copy \
that comes late is still known as one. A session removes by itself what is older than seven \
days.

Example:
  stanchion inbox purge --older-than 1d --store messages.sqlite

Exit codes: 0 removed, 1 the store cannot be used, as while a session lives on it, 2 usage.")]
pub(super) struct Command {
    /// How long ago they were committed, at least: 12h, 7d
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
    let texts = Op::PruneInbound {
        payloads_before: now().before(command.older_than),
        // No key goes, however old and however many.
        keys_before: WallTime::from_unix_ms(i64::MIN),
        keep_at_least: u64::MAX,
        keep_at_most: u64::MAX,
    };
    let (removed, _) = owned.prune(texts).await?;
    owned.close().await?;
    let _ = print(&if command.json {
        json_line(&json!({ "outcome": "purged", "texts": removed }))
    } else {
        let texts = counted(removed, "text", "texts");
        format!("removed {texts}; copies of these messages are still known")
    })?;
    Ok(Exit::Done)
}

//! `stanchion inbox retry`: has a message handed over again that the application was given
//! and did not commit.

use clap::Args;
use serde_json::json;
use stanchion::reliability::store::{InboundState, Op, OpResult};

use super::find;
use crate::exit::{Exit, Failure, Outcome};
use crate::kept::{StoreArgs, now};
use crate::terminal::{json_line, print};

/// Have a message handed over again that was not committed
#[derive(Debug, Args)]
#[command(after_help = "\
The next start on this store hands it over, marked as one that the application may have acted \
on; its hand-overs are counted anew. A message that was committed is never handed over again.

Example:
  stanchion inbox retry 4 --jid cloud@example.org

Exit codes: 0 it will be handed over, 1 the store cannot be used, as while a session lives on \
it, 2 usage, no such message, or one that was committed.")]
pub(super) struct Command {
    /// Its number in the list
    #[arg(value_name = "N")]
    number: u64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Carries out the command.
pub(super) async fn run(command: Command) -> Outcome {
    let number = command.number;
    let owned = command.store.open().await?;
    let record = find(&owned.look, number)?;
    let restart = Op::RestartHandOvers {
        key: record.key,
        at: now(),
    };
    if owned.change(vec![restart]).await?.first() == Some(&OpResult::AlreadyHandled) {
        return Err(Failure::usage(format!(
            "message {number} was committed: handed over again, it could take effect twice; \
             `stanchion inbox show {number}` shows it"
        )));
    }
    owned.close().await?;
    let again = matches!(record.state, InboundState::Handed { .. });
    let _ = print(&if command.json {
        json_line(&json!({ "number": number, "outcome": "retried", "again": again }))
    } else if again {
        format!(
            "the next start on this store hands message {number} over again, marked as one that \
             the application may have acted on"
        )
    } else {
        format!("message {number} waits for its turn: the next start on this store hands it over")
    })?;
    Ok(Exit::Done)
}

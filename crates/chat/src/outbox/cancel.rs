//! `stanchion outbox cancel`: gives a message up. That is all a sender alone can do: what
//! may have been sent may have taken effect.

use clap::Args;
use serde_json::json;
use stanchion::reliability::store::{Op, OpResult, OutboundState};

use super::{find, is_final};
use crate::exit::{Exit, Outcome};
use crate::kept::{StoreArgs, now};
use crate::terminal::{harmless, json_line, print};

/// Give a message up: nothing sends it any more
#[derive(Debug, Args)]
#[command(after_help = "\
Its outcome is then in doubt, for good, even if it was never sent as far as the store knows: \
a store can be older than the truth, as a restored backup is. To learn whether it took \
effect, ask the recipient.

Example:
  stanchion outbox cancel 17 --jid sensor@example.org

Exit codes: 0 given up, 1 the store cannot be used, as while a session lives on it, 2 usage, \
no such message, or one with an outcome.")]
pub(super) struct Command {
    /// Its id, or its number in the list
    #[arg(value_name = "ID")]
    id: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    store: StoreArgs,
}

/// Carries out the command.
pub(super) async fn run(command: Command) -> Outcome {
    let owned = command.store.open().await?;
    let record = find(&owned.look, &command.id)?;
    let cancel = Op::SetOutboundState {
        id: record.id.clone(),
        state: OutboundState::cancelled(),
        at: now(),
    };
    for result in owned.change(vec![cancel]).await? {
        if let OpResult::AlreadyFinal { state } = result {
            return Err(is_final(&record.id, &state));
        }
    }
    owned.close().await?;
    let _ = print(&if command.json {
        json_line(&json!({ "id": record.id, "outcome": "cancelled", "state": "in-doubt" }))
    } else {
        harmless(&format!(
            "{} is given up: nothing sends it any more. An earlier process may have sent it, so \
             it is in doubt for good; ask the recipient whether it took effect",
            record.id
        ))
    })?;
    Ok(Exit::Done)
}

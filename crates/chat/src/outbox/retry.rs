//! `stanchion outbox retry`: gives a message that waits more time, under its own id. A
//! copy under a new id would be another message, and could take effect twice.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use stanchion::reliability::store::{Op, OpResult, OutboundRecord, OutboundState, WallTime};

use super::{find, is_final};
use crate::age::{rfc3339, rough};
use crate::exit::{Exit, Outcome};
use crate::kept::{StoreArgs, between, clock, later, now};
use crate::settings::duration;
use crate::terminal::{harmless, json_line, print};

/// Give a message that waits, or is in doubt, more time
#[derive(Debug, Args)]
#[command(after_help = "\
The message keeps its id, its place and its text, its tries are counted anew, and the next \
send or listen on this store sends it. One in doubt is sent again: a Stanchion recipient that \
has it already acts on it once; another kind of client may show it twice, and perhaps after \
later ones. A message with an outcome is never sent again.

Example:
  stanchion outbox retry 17 --within 1h

Exit codes: 0 it has its time, 1 the store cannot be used, as while a session lives on it, \
2 usage, no such message, or one with an outcome.")]
pub(super) struct Command {
    /// Its id, or its number in the list
    #[arg(value_name = "ID")]
    id: String,
    /// Its time from now on; a later deadline stays
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = duration)]
    within: Duration,
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
    if record.state.is_final() {
        return Err(is_final(&record.id, &record.state));
    }
    let now = now();
    let deadline = later(now, command.within);
    for result in owned.change(ops(&record, deadline, now)).await? {
        if let OpResult::AlreadyFinal { state } = result {
            return Err(is_final(&record.id, &state));
        }
    }
    let deadline = record.deadline.map(|first| first.max(deadline));
    let again = matches!(record.state, OutboundState::InDoubt { .. });
    owned.close().await?;
    if command.json {
        let _ = print(&json_line(&json!({
            "id": record.id, "outcome": "retried", "again": again,
            "deadline": deadline.map(|deadline| rfc3339(clock(deadline))),
        })))?;
        return Ok(Exit::Done);
    }
    let time = match deadline.and_then(|deadline| between(now, deadline)) {
        Some(left) => format!("has {} left", rough(left)),
        None => "has no deadline".to_owned(),
    };
    let mut text = format!(
        "{} {time}; the next send or listen on this store sends it",
        record.id
    );
    if again {
        text.push_str(
            " again, under the same id: a Stanchion recipient acts on it once, another client \
             may show it twice",
        );
    }
    let _ = print(&harmless(&text))?;
    Ok(Exit::Done)
}

/// One transaction.
fn ops(record: &OutboundRecord, deadline: WallTime, at: WallTime) -> Vec<Op> {
    let mut ops = vec![
        Op::SetOutboundAttempts {
            id: record.id.clone(),
            attempts: 0,
            at,
        },
        Op::ExtendDeadline {
            id: record.id.clone(),
            deadline,
            at,
        },
    ];
    if matches!(record.state, OutboundState::InDoubt { .. }) {
        ops.push(Op::SetOutboundState {
            id: record.id.clone(),
            state: OutboundState::Accepted,
            at,
        });
    }
    ops
}

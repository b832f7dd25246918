//! `stanchion outbox show`: all that is known of one message.

use clap::Args;
use serde_json::json;
use stanchion::session::Protection;

use super::list::left;
use super::{find, to_json};
use crate::age::{ago, rfc3339};
use crate::exit::{Exit, Outcome};
use crate::kept::{StoreArgs, clock, content, message, now};
use crate::terminal::{harmless, json_line, print};

/// Show one message with its text
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  stanchion outbox show 17 --jid sensor@example.org

Exit codes: 0 shown, 1 the store cannot be read, 2 usage, or no such message.")]
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
pub(super) fn run(command: &Command) -> Outcome {
    let look = command.store.look()?;
    let record = find(&look, &command.id)?;
    let now = now();
    let protection = match Protection::from_number(record.protection) {
        Protection::Any => "any",
        Protection::Encrypted => "encrypted",
        _ => "authenticated",
    };
    if command.json {
        let mut all = to_json(&record, now);
        all["protection"] = json!(protection);
        all["body"] = json!(message(&record.stanza).and_then(|m| m.body().map(|b| b.to_string())));
        all["stanza"] = json!(String::from_utf8_lossy(&record.stanza));
        let _ = print(&json_line(&all))?;
        return Ok(Exit::Done);
    }
    let time = |at| {
        let at = clock(at);
        format!("{} ({})", rfc3339(at), ago(at, clock(now)))
    };
    let deadline = match (record.deadline, left(&record, now)) {
        (Some(at), Some(left)) => format!("{} ({left})", rfc3339(clock(at))),
        (Some(at), None) => rfc3339(clock(at)),
        (None, _) => "none: tried until there is a receipt".to_owned(),
    };
    let channel = match record.channel.as_str() {
        "" => "the default one",
        channel => channel,
    };
    let mut lines: Vec<String> = [
        ("id:", record.id.clone()),
        ("number:", record.seq.to_string()),
        ("to:", record.to.clone()),
        ("channel:", channel.to_owned()),
        ("state:", record.state.to_string()),
        ("attempts:", format!("{} noted", record.attempts)),
        ("accepted:", time(record.accepted_at)),
        ("changed:", time(record.updated_at)),
        ("deadline:", deadline),
        ("protection:", protection.to_owned()),
        ("size:", format!("{} bytes", record.stanza.len())),
    ]
    .iter()
    .map(|(name, value)| harmless(&format!("{name:<12}{value}")))
    .collect();
    lines.extend(content(&record.stanza));
    let _ = print(&lines.join("\n"))?;
    Ok(Exit::Done)
}

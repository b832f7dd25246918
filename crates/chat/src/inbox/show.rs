//! `stanchion inbox show`: all that is known of one message.

use clap::Args;
use serde_json::json;

use super::{find, id, to_json};
use crate::age::{ago, rfc3339};
use crate::exit::{Exit, Outcome};
use crate::kept::{StoreArgs, clock, content, message, now};
use crate::terminal::{harmless, json_line, print};

/// Show one message with its text
#[derive(Debug, Args)]
#[command(after_help = "\
To show a message is not to handle it: it is still handed over.

Example:
  stanchion inbox show 4 --json | jq -r .body

Exit codes: 0 shown, 1 the store cannot be read, 2 usage, or no such message.")]
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
pub(super) fn run(command: &Command) -> Outcome {
    let look = command.store.look()?;
    let record = find(&look, command.number)?;
    let now = now();
    if command.json {
        let mut all = to_json(&record, now);
        let stanza = record.stanza.as_ref();
        let body = stanza.and_then(|stanza| message(stanza)?.body().map(|body| body.to_string()));
        all["body"] = json!(body);
        all["stanza"] = json!(stanza.map(|stanza| String::from_utf8_lossy(stanza)));
        let _ = print(&json_line(&all))?;
        return Ok(Exit::Done);
    }
    let time = |at| {
        let at = clock(at);
        format!("{} ({})", rfc3339(at), ago(at, clock(now)))
    };
    let mut lines: Vec<String> = [
        ("number:", record.arrival.to_string()),
        ("id:", id(&record)),
        ("from:", record.from_full.clone()),
        ("state:", record.state.to_string()),
        ("received:", time(record.received_at)),
        ("changed:", time(record.changed_at)),
    ]
    .iter()
    .map(|(name, value)| harmless(&format!("{name:<12}{value}")))
    .collect();
    match &record.stanza {
        Some(stanza) => {
            lines.push(format!("{:<12}{} bytes", "size:", stanza.len()));
            lines.extend(content(stanza));
        }
        None => lines.push(
            "the text was removed after it was handled; what is left tells copies of it".to_owned(),
        ),
    }
    let _ = print(&lines.join("\n"))?;
    Ok(Exit::Done)
}

//! `stanchion things`: which things are at an address, and what can be done with them.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use stanchion::Jid;
use stanchion::device::remote::{Discovered, Readout};

use super::{Common, read_failure, seconds, session};
use crate::exit::{Exit, Failure, Outcome};
use crate::terminal::{Reader, harmless, json_line, print};

/// List the things behind an address, and what can be read and set
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stanchion things gateway@example.org
  stanchion things gateway@example.org --json | jq -r .thing

Exit codes: 0 done, 1 nothing could be read, 2 usage, 12 no connection in time, 13 refused.

The password is taken from STANCHION_PASSWORD, or from --password-file.")]
pub(crate) struct Command {
    /// The address: an account, which is asked whether we may see its presence, or a full one
    #[arg(value_name = "JID")]
    of: Jid,
    /// How long the things may take to answer, in seconds
    #[arg(long, short = 'W', value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    wait: Duration,
    /// Print one JSON object a thing
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    common: Common,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let jid = command.of.clone();
    let command = &command;
    Box::pin(session(&command.common, &jid, |things| async move {
        let readout = Readout::momentary().within(command.wait);
        let found = things.discover(&command.of, readout).await;
        let found = found.map_err(|e| read_failure(&e))?;
        for line in lines(command, &found) {
            if print(&line)? == Reader::Gone {
                return Ok(Exit::Done);
            }
        }
        match &found.unread {
            Some(error) => Err(read_failure(error)),
            None if found.things.is_empty() => Err(Failure::failed(format!(
                "{} has no things that we may read; ask its owner",
                found.jid
            ))),
            None => Ok(Exit::Done),
        }
    }))
    .await
}

fn lines(command: &Command, found: &Discovered) -> Vec<String> {
    let things = found.things.iter();
    if command.json {
        let things = things.map(|thing| {
            let fields = thing.fields.iter().map(|(name, kind, writable)| {
                json!({ "name": &**name, "type": format!("{kind:?}").to_lowercase(), "writable": writable })
            });
            json_line(&json!({
                "jid": found.jid.as_str(),
                "thing": &*thing.node.id,
                "label": thing.label.as_deref(),
                "fields": fields.collect::<Vec<_>>(),
                "acts_once": found.acts_once,
                "events": !found.tells.is_empty(),
            }))
        });
        return things.collect();
    }
    let once = match found.acts_once {
        true => "commands act once",
        false => "commands are sent once, and may end in doubt",
    };
    let tells = match found.tells.is_empty() {
        true => "is asked again and again when it is watched",
        false => "tells by itself when it is watched",
    };
    let mut lines = vec![harmless(&format!("{}: {once}; {tells}", found.jid))];
    lines.extend(things.map(|thing| {
        let fields = thing
            .fields
            .iter()
            .map(|(name, _, writable)| match writable {
                true => format!("{name} (can be set)"),
                false => name.to_string(),
            });
        let fields = fields.collect::<Vec<_>>().join(", ");
        let label = thing
            .label
            .as_ref()
            .filter(|label| **label != thing.node.id);
        let label = label.map(|l| format!(" \"{l}\"")).unwrap_or_default();
        harmless(&format!("{}{label}: {fields}", thing.node.id))
    }));
    lines
}

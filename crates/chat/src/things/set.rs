//! `stanchion set`: sets parameters of a thing, and says what became of it.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use stanchion::Jid;
use stanchion::device::model::{Node, Setting, SettingValue, kind_of};
use stanchion::device::remote::Things;
use stanchion::device::remote::{self, Done, Readout, SetError};
use stanchion::stanza::Text;

use super::value::{Assignment, Type};
use super::{Common, seconds, session, text};
use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::terminal::{harmless, json_line, print};

/// How long a thing may take to say which types its parameters have.
const TYPES: Duration = Duration::from_secs(5);

/// Set parameters of a thing, and wait until it did it
#[derive(Debug, Args)]
#[command(after_help = "\
A thing whose commands act once carries it out once or not at all; to another one it is sent \
once, and never again.

Examples:
  stanchion set gateway@example.org lamp on=true
  stanchion set lamp@example.org hall level:int=40 --within 10s

Exit codes: 0 done, 2 usage, 10 not carried out (and never will be), 11 in doubt, 12 no \
connection in time, 13 refused or not allowed.

The password is taken from STANCHION_PASSWORD, or from --password-file.")]
pub(crate) struct Command {
    /// The address: an account, which is asked whether we may see its presence, or a full one
    #[arg(value_name = "JID")]
    of: Jid,
    /// The thing behind the address; an empty one ('') is the device itself
    #[arg(value_name = "THING", value_parser = text)]
    thing: Text,
    /// What to set, as NAME=VALUE, or NAME:TYPE=VALUE with one of the types boolean, color,
    /// date, dateTime, double, duration, int, long, string, time (default: the thing's)
    #[arg(value_name = "NAME=VALUE", required = true)]
    assignments: Vec<Assignment>,
    /// Carried out within that time, or never
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = seconds)]
    within: Duration,
    /// Print one JSON object
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
        let settings = settings(&things, command).await?;
        let done = things.set(&command.of, order(command, settings)).await;
        match &done {
            Ok(done) if command.json => report(&done_json(done))?,
            Ok(done) => {
                let words = match done.text.is_empty() {
                    true => String::new(),
                    false => format!(": {}", done.text),
                };
                report(&harmless(&format!("done{words}")))?;
            }
            Err(error) if command.json => report(&error_json(error))?,
            Err(_) => {}
        }
        done.map(|_| Exit::Done).map_err(|e| failure(&e))
    }))
    .await
}

fn report(line: &str) -> Result<(), Failure> {
    // The exit code tells, too.
    print(line).map(|_| ())
}

fn done_json(done: &Done) -> String {
    json_line(&json!({ "result": "done", "text": done.text, "key": done.key }))
}

fn error_json(error: &SetError) -> String {
    let result = match error {
        SetError::Refused { .. } | SetError::NoSuchThing { .. } => "refused",
        SetError::Forbidden { .. } => "forbidden",
        SetError::Expired { .. } => "expired",
        SetError::Unavailable { .. } => "unavailable",
        SetError::InDoubt { .. } => "in-doubt",
        _ => "not-delivered",
    };
    let key = match error {
        SetError::InDoubt { key, .. } => key.as_deref(),
        _ => None,
    };
    json_line(&json!({ "result": result, "text": one_line(error), "key": key }))
}

fn failure(error: &SetError) -> Failure {
    let exit = match error {
        SetError::Forbidden { .. } => Exit::Refused,
        SetError::InDoubt { .. } | SetError::Closed => Exit::InDoubt,
        SetError::NotGiven(_) | SetError::TooMany => Exit::Failed,
        _ => Exit::NotDelivered,
    };
    Failure::new(exit, one_line(error))
}

fn order(command: &Command, settings: Vec<Setting>) -> remote::Command {
    let first = (Text::default(), SettingValue::Boolean(false));
    let mut order = remote::Command::set(first.0, first.1).within(command.within);
    order.settings = settings;
    if !command.thing.is_empty() {
        order.things.push(Node::new(command.thing.clone()));
    }
    order
}

/// What is to be set, in the types that are said, or those of the thing: by its form, by its
/// fields of the same names, or by what the values look like.
async fn settings(things: &Things, command: &Command) -> Result<Vec<Setting>, Failure> {
    let unsaid = command.assignments.iter().any(|a| a.said.is_none());
    let node = (!command.thing.is_empty()).then(|| Node::new(command.thing.clone()));
    let mut form = None;
    let mut readings = None;
    if unsaid {
        let asked = things.form(&command.of, node.clone());
        form = tokio::time::timeout(TYPES, asked)
            .await
            .ok()
            .and_then(Result::ok);
        if form.is_none() {
            let mut readout = Readout::momentary().within(TYPES);
            readout.things.extend(node);
            readings = things.read(&command.of, readout).await.ok();
        }
    }
    let settings = command.assignments.iter().map(|assignment| {
        let Assignment { name, said, value } = assignment;
        let field = readings.as_ref().and_then(|r| r.field(name));
        let known = said
            .or_else(|| form.as_ref().and_then(|form| Type::in_form(form, name)))
            .or_else(|| field.map(|field| Type::of(kind_of(&field.value))));
        let value = known.unwrap_or_else(|| Type::like(value)).read(value);
        let value = value.map_err(|why| Failure::usage(format!("{name}: {why}")))?;
        Ok(Setting {
            name: name.clone(),
            value,
        })
    });
    settings.collect()
}

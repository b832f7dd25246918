//! `stanchion inbox`: what arrived, a verb a file: what waits for the application, and what
//! a person can do about it. What is handed over when is decided elsewhere.

mod list;
mod purge;
mod retry;
mod show;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use stanchion::reliability::store::{
    InboundFilter, InboundQuery, InboundRecord, InboundState, WallTime,
};

use crate::age::rfc3339;
use crate::exit::{Failure, Outcome};
use crate::kept::{Look, between, clock, message};

/// See the messages that arrived and wait for the application, and steer them
#[derive(Debug, Args)]
#[command(after_help = "\
list and show look at the store while a session lives on it; retry and purge need it for \
themselves.")]
pub(crate) struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::Command),
    Show(show::Command),
    Retry(retry::Command),
    Purge(purge::Command),
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    match command.verb {
        Verb::List(command) => list::run(&command),
        Verb::Show(command) => show::run(&command),
        Verb::Retry(command) => retry::run(command).await,
        Verb::Purge(command) => purge::run(command).await,
    }
}

/// A message by its number in the list: ids are the senders', and two may choose the same.
///
/// # Errors
/// There is none.
fn find(look: &Look, number: u64) -> Result<InboundRecord, Failure> {
    let query = InboundQuery {
        filter: InboundFilter::All,
        after: number.saturating_sub(1),
        limit: 1,
        ..InboundQuery::default()
    };
    let page = look.told(look.reader.inbound_page(&query))?;
    let found = page.into_iter().find(|record| record.arrival == number);
    found.ok_or_else(|| {
        Failure::usage(format!(
            "there is no message {number} in {}; `stanchion inbox list --state all` shows what is",
            look.path().display()
        ))
    })
}

/// A word for programs, and how often it was handed over.
const fn word(state: InboundState) -> (&'static str, u32) {
    match state {
        InboundState::Kept => ("kept", 0),
        InboundState::Handed { times } => ("handed", times),
        InboundState::Handled => ("handled", 0),
        _ => ("other", 0),
    }
}

/// The id that the sender gave it, or what the store tells it by.
fn id(record: &InboundRecord) -> String {
    let read = record.stanza.as_ref().and_then(|stanza| message(stanza));
    let id = read.and_then(|message| message.header.id);
    id.map_or_else(|| record.key.id.clone(), |id| id.to_string())
}

/// All of a message but its content.
fn to_json(record: &InboundRecord, now: WallTime) -> Value {
    let (state, handed) = word(record.state);
    json!({
        "number": record.arrival,
        "id": id(record),
        "from": record.from_full,
        "state": state,
        "final": record.state == InboundState::Handled,
        "detail": record.state.to_string(),
        "handed_over": handed,
        "received_at": rfc3339(clock(record.received_at)),
        "changed_at": rfc3339(clock(record.changed_at)),
        "age_s": between(record.received_at, now).unwrap_or_default().as_secs_f64(),
        "bytes": record.stanza.as_ref().map(|stanza| stanza.len()),
    })
}

//! `stanchion outbox`: what was given to be sent, a verb a file: what waits, why, and what
//! a person can do about it. What is delivered when is decided elsewhere.

mod cancel;
mod list;
mod purge;
mod retry;
mod show;

use clap::{Args, Subcommand};
use serde_json::{Value, json};
use stanchion::reliability::store::{
    OutboundFilter, OutboundQuery, OutboundRecord, OutboundState, WallTime,
};

use crate::age::rfc3339;
use crate::exit::{Failure, Outcome};
use crate::kept::{Look, between, clock};

/// See the messages that wait to be sent, and steer them
#[derive(Debug, Args)]
#[command(after_help = "\
list and show look at the store while a session lives on it; retry, cancel and purge need \
it for themselves.")]
pub(crate) struct Command {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::Command),
    Show(show::Command),
    Retry(retry::Command),
    Cancel(cancel::Command),
    Purge(purge::Command),
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    match command.verb {
        Verb::List(command) => list::run(&command),
        Verb::Show(command) => show::run(&command),
        Verb::Retry(command) => retry::run(command).await,
        Verb::Cancel(command) => cancel::run(command).await,
        Verb::Purge(command) => purge::run(command).await,
    }
}

/// A message by its id, or by its number in the list.
///
/// # Errors
/// There is none.
fn find(look: &Look, name: &str) -> Result<OutboundRecord, Failure> {
    if let Some(record) = look.told(look.reader.outbound(name))? {
        return Ok(record);
    }
    let number = name.parse().ok().filter(|number: &u64| *number > 0);
    if let Some(number) = number {
        let query = OutboundQuery {
            filter: OutboundFilter::All,
            after: number - 1,
            limit: 1,
            ..OutboundQuery::default()
        };
        let page = look.told(look.reader.outbound_page(&query))?;
        if let Some(record) = page.into_iter().find(|record| record.seq == number) {
            return Ok(record);
        }
    }
    Err(Failure::usage(format!(
        "there is no message {name} in {}; `stanchion outbox list --state all` shows what is",
        look.path().display()
    )))
}

/// What to do about a message with a final state.
fn is_final(id: &str, state: &OutboundState) -> Failure {
    let advice = match state {
        OutboundState::InDoubt { .. } => {
            "ask the recipient; its text can be sent anew, but that is another message, and if \
             both arrive, both take effect"
        }
        _ => "to try again, send its text anew: that is another message, with another id",
    };
    Failure::usage(format!(
        "{id} has its outcome, which stays: {state}; {advice}"
    ))
}

/// A word for programs.
const fn word(state: &OutboundState) -> &'static str {
    match state {
        OutboundState::Accepted => "accepted",
        OutboundState::InFlight => "in-flight",
        OutboundState::ServerAccepted => "server-accepted",
        OutboundState::InDoubt { .. } => "in-doubt",
        OutboundState::Acknowledged => "acknowledged",
        OutboundState::Delivered => "delivered",
        OutboundState::NotDelivered { .. } => "not-delivered",
        _ => "other",
    }
}

/// All of a message but its content. Times are in seconds; `left_s` is negative for what
/// is overdue.
fn to_json(record: &OutboundRecord, now: WallTime) -> Value {
    let left = record
        .deadline
        .map(|deadline| match between(now, deadline) {
            Some(left) => left.as_secs_f64(),
            None => -between(deadline, now).unwrap_or_default().as_secs_f64(),
        });
    json!({
        "number": record.seq,
        "id": record.id,
        "to": record.to,
        "channel": record.channel,
        "state": word(&record.state),
        "final": record.state.is_final(),
        "reason": record.state.reason().map(|reason| &reason.0),
        "detail": record.state.to_string(),
        "attempts": record.attempts,
        "accepted_at": rfc3339(clock(record.accepted_at)),
        "changed_at": rfc3339(clock(record.updated_at)),
        "deadline": record.deadline.map(|deadline| rfc3339(clock(deadline))),
        "age_s": between(record.accepted_at, now).unwrap_or_default().as_secs_f64(),
        "left_s": left.filter(|_| !record.state.is_final()),
        "bytes": record.stanza.len(),
    })
}

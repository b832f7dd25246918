//! `stanchion listen`: prints what arrives, and acknowledges what was printed.

use std::time::Duration;

use clap::Args;
use serde_json::json;
use stanchion::Client;
use stanchion::services::Incoming;
use stanchion::stanza::Message;
use tokio::time::Instant;

use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::interrupt::Interrupt;
use crate::settings::{ConnectionArgs, Settings, duration};
use crate::terminal::{Reader, harmless, json_line, print};
use crate::watch;

/// Print messages as they arrive; each is acknowledged once it is printed
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stanchion listen
  stanchion listen --jid cloud@example.org --count 10 --history
  stanchion listen --json | jq -r .body

Exit codes: 0 interrupted, or --count reached, or nobody reads the output any more; \
2 usage, 12 no connection in time, 13 refused for security or authentication.

The password is taken from STANCHION_PASSWORD, or from --password-file.")]
pub(crate) struct Command {
    /// End after so many messages
    #[arg(long, short = 'C', value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    count: Option<u64>,
    /// How long to try to get the first connection before giving up
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// Put the messages into the history, in the transaction that says that they were
    /// printed: see `stanchion history`
    #[arg(long)]
    history: bool,
    /// Print one JSON object a message
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let over = Instant::now() + command.timeout;
    let settings = Settings::load(&command.connection).await?;
    let mut interrupt = Interrupt::watch()?;
    let history = settings.keeps_history(command.history);
    let (client, mut incoming) = settings.start(Some(over), |_| {}).await?;
    let done = tokio::select! {
        done = print_all(&command, &client, &mut incoming, over, history) => done,
        () = interrupt.seen() => Ok(Exit::Done),
    };
    if !client.is_connected() {
        // There is no stream to close, and what was committed goes out with the next start.
        return done;
    }
    match client.shutdown().await {
        // Why the session ended is worth more than that it did.
        Err(error) => Err(settings.session_failure(&error)),
        Ok(()) => done,
    }
}

async fn print_all(
    command: &Command,
    client: &Client,
    incoming: &mut Incoming,
    over: Instant,
    history: bool,
) -> Outcome {
    watch::connected(client, over, command.timeout).await?;
    for _ in 0..command.count.unwrap_or(u64::MAX) {
        let received = tokio::select! {
            received = incoming.recv() => received,
            failure = watch::refused(client) => return Err(failure),
        };
        let Some(received) = received else {
            return Err(Failure::failed("the session ended; start again"));
        };
        // Printed and flushed before it is acknowledged.
        let line = line(command, received.message(), received.maybe_redelivered());
        if print(&line)? == Reader::Gone {
            // It comes again, to somebody who reads it.
            return Ok(Exit::Done);
        }
        let committed = match history {
            true => client
                .chat()
                .commit(received)
                .await
                .map_err(|e| one_line(&e)),
            false => received.commit().await.map_err(|e| one_line(&e)),
        };
        committed.map_err(Failure::failed)?;
    }
    Ok(Exit::Done)
}

fn line(command: &Command, message: &Message, again: bool) -> String {
    let from = message
        .header
        .from
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let body = message.body();
    if command.json {
        let id = message.header.id.as_deref();
        return json_line(
            &json!({ "from": from, "id": id, "body": body, "maybe_redelivered": again }),
        );
    }
    let mark = if again { " (maybe again)" } else { "" };
    let body = body.as_deref().unwrap_or("(no text)");
    harmless(&format!("{from}{mark}: {body}"))
}

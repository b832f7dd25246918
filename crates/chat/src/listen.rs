//! `stanchion listen`: prints what arrives, and acknowledges what was printed.

use std::io::{self, Write as _};
use std::time::Duration;

use clap::Args;
use serde_json::json;
use stanchion::Message;

use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::settings::{ConnectionArgs, Settings, duration};
use crate::watch;

/// Prints messages as they arrive; each is acknowledged once it is printed
#[derive(Debug, Args)]
pub(crate) struct Command {
    /// End after so many messages
    #[arg(long, short = 'C', value_name = "N")]
    count: Option<u64>,
    /// How long to try to connect before giving up
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    /// One JSON object a message
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let settings = Settings::load(&command.connection)?;
    let (client, mut incoming) = settings
        .client()?
        .start()
        .await
        .map_err(|e| Failure::failed(one_line(&e)))?;
    let print = async {
        watch::connected(&client, command.timeout).await?;
        let mut left = command.count.unwrap_or(u64::MAX);
        while left > 0 {
            let Some(received) = incoming.recv().await else {
                return Err(Failure::failed(
                    "the session ended; see the messages above, and start again",
                ));
            };
            print(&command, received.message(), received.maybe_redelivered())
                .map_err(|e| Failure::failed(format!("standard output: {e}")))?;
            received
                .commit()
                .await
                .map_err(|e| Failure::failed(one_line(&e)))?;
            left -= 1;
        }
        Ok(Exit::Done)
    };
    let done = tokio::select! {
        done = print => done,
        failure = watch::refused(&client) => Err(failure),
        _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
    };
    client
        .shutdown()
        .await
        .map_err(|e| Failure::failed(one_line(&e)))?;
    done
}

/// Printed and flushed before the message is acknowledged.
fn print(command: &Command, message: &Message, again: bool) -> io::Result<()> {
    let from = message
        .header
        .from
        .as_ref()
        .map(ToString::to_string)
        .unwrap_or_default();
    let body = message.body().unwrap_or_default();
    let mut out = io::stdout().lock();
    if command.json {
        let id = message.header.id.as_deref();
        let line = json!({ "from": from, "id": id, "body": body, "maybe_redelivered": again });
        writeln!(out, "{line}")?;
    } else {
        let mark = if again { " (maybe again)" } else { "" };
        // Control characters of a stranger's text must not reach the terminal.
        let body: String = body
            .chars()
            .map(|c| {
                if c.is_control() && c != '\t' {
                    '\u{FFFD}'
                } else {
                    c
                }
            })
            .collect();
        writeln!(out, "{from}{mark}: {body}")?;
    }
    out.flush()
}

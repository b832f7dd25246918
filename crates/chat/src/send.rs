//! `stanchion send`: hands messages over, and says what became of each.

use std::io::{self, Write as _};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::json;
use stanchion::session::{Outgoing, SendError, Sent};
use stanchion::{Client, Jid, Outcome as Delivery};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines, Stdin};
use tokio::task::JoinSet;

use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::settings::{ConnectionArgs, Settings, duration};
use crate::watch;

/// Lines whose outcomes are awaited at the same time.
const AT_ONCE: usize = 256;

/// Sends a message and waits for its receipt
#[derive(Debug, Args)]
#[command(after_help = "\
Exit codes: 0 acknowledged by the recipient, 2 usage, 10 not delivered (and never will \
be), 11 in doubt, 12 no connection in time, 13 refused for security or authentication.")]
pub(crate) struct Command {
    /// The text; `-` sends each line of the standard input as a message of its own
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    text: String,
    /// The recipient
    #[arg(long, value_name = "JID")]
    to: Jid,
    /// How long to try before giving up
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
    let (client, _incoming) = settings
        .client()?
        .start()
        .await
        .map_err(|e| Failure::failed(one_line(&e)))?;
    let done = tokio::select! {
        done = deliver(&command, &client) => done,
        failure = watch::refused(&client) => Err(failure),
        _ = tokio::signal::ctrl_c() => {
            Err(Failure::new(Exit::InDoubt, "interrupted; what was kept is sent by the next command on this store"))
        }
    };
    // What has no outcome stays in the store, for the next command.
    let ended = client.shutdown().await;
    let exit = done?;
    ended.map_err(|e| Failure::failed(one_line(&e)))?;
    exit
}

/// The outer error is the command's end, the inner one the worst outcome.
async fn deliver(command: &Command, client: &Client) -> Result<Outcome, Failure> {
    let mut worst: Outcome = Ok(Exit::Done);
    let mut waiting = JoinSet::new();
    let mut texts = Texts::of(&command.text);
    loop {
        let next = if waiting.len() < AT_ONCE {
            texts.next().await
        } else {
            Ok(None)
        };
        let next = next.map_err(|e| Failure::failed(format!("standard input: {e}")))?;
        let Some(text) = next else {
            match waiting.join_next().await {
                Some(Ok(end)) => {
                    worsen(&mut worst, conclude(command, client, end)?);
                    continue;
                }
                Some(Err(_)) => return Err(Failure::failed("a task was lost")),
                None => return Ok(worst),
            }
        };
        let message = Outgoing::text(command.to.clone(), text)
            .map_err(Failure::usage)?
            .within(command.timeout);
        let began = Instant::now();
        let sent = client.send(message).await.map_err(|e| match e {
            SendError::Invalid(_) => Failure::usage(e),
            _ => Failure::failed(one_line(&e)),
        })?;
        waiting.spawn(end_of(sent, began));
    }
}

struct End {
    id: String,
    outcome: Result<Delivery, SendError>,
    took: Duration,
}

async fn end_of(sent: Sent, began: Instant) -> End {
    let id = sent.id().to_owned();
    let outcome = sent.outcome().await;
    End {
        id,
        outcome,
        took: began.elapsed(),
    }
}

/// Says what became of a message, and how bad that is.
fn conclude(command: &Command, client: &Client, end: End) -> Result<Outcome, Failure> {
    let outcome = end.outcome.map_err(|e| Failure::failed(one_line(&e)))?;
    let (word, exit) = match &outcome {
        Delivery::Acknowledged { .. } => ("acknowledged", Exit::Done),
        Delivery::NotDelivered(_) => ("not-delivered", Exit::NotDelivered),
        _ => ("in-doubt", Exit::InDoubt),
    };
    let ms = end.took.as_millis();
    let line = if command.json {
        json!({
            "id": end.id, "to": command.to.to_string(), "outcome": word,
            "detail": outcome.to_string(), "ms": u64::try_from(ms).unwrap_or(u64::MAX),
        })
        .to_string()
    } else {
        format!("{outcome} ({ms} ms)")
    };
    writeln!(io::stdout().lock(), "{line}")
        .map_err(|e| Failure::failed(format!("standard output: {e}")))?;
    Ok(match exit {
        Exit::Done => Ok(exit),
        // Not sent at all: the reason is the connection's.
        Exit::NotDelivered if !client.is_connected() => Err(Failure::new(
            Exit::NoConnection,
            format!(
                "{} was not sent: no connection within {}",
                end.id,
                humantime::format_duration(command.timeout)
            ),
        )),
        Exit::InDoubt => Err(Failure::new(
            exit,
            format!(
                "{}: {outcome}; ask the recipient, or send again if twice does no harm",
                end.id
            ),
        )),
        _ => Err(Failure::new(
            exit,
            format!("{}: {outcome}; send it again", end.id),
        )),
    })
}

/// Doubt is worse than a definite failure, and that is worse than success.
fn worsen(worst: &mut Outcome, new: Outcome) {
    let rank = |o: &Outcome| match o {
        Ok(_) => 0,
        Err(f) if f.exit == Exit::InDoubt => 2,
        Err(_) => 1,
    };
    if rank(&new) > rank(worst) {
        *worst = new;
    }
}

/// The text, or the lines of the standard input.
enum Texts {
    One(Option<String>),
    Lines(Lines<BufReader<Stdin>>),
}

impl Texts {
    fn of(text: &str) -> Self {
        if text == "-" {
            Self::Lines(BufReader::new(tokio::io::stdin()).lines())
        } else {
            Self::One(Some(text.to_owned()))
        }
    }

    async fn next(&mut self) -> io::Result<Option<String>> {
        match self {
            Self::One(text) => Ok(text.take()),
            Self::Lines(lines) => lines.next_line().await,
        }
    }
}

//! `stanchion things`, `read`, `watch` and `set`: things of others from the shell. What the
//! four share: the connection, what of a thing's address is said, and how an error of the
//! thing ends the command.

pub(crate) mod format;
mod list;
mod read;
mod set;
pub(crate) mod value;
mod watch;

use std::future::Future;
use std::time::Duration;

use clap::Args;
use stanchion::device::remote::Things;
use stanchion::device::remote::{Measured, ReadError};
use stanchion::services::RequestError;
use stanchion::session::Status;
use stanchion::stanza::Text;
use stanchion::{BareJid, Client, Jid};
use tokio::time::Instant;

use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::interrupt::Interrupt;
use crate::settings::{ConnectionArgs, Settings, duration};
use crate::terminal::{Reader, print};
use crate::watch as connection;
use format::Format;

pub(crate) use list::run as list;
pub(crate) use read::run as read;
pub(crate) use set::run as set;
pub(crate) use watch::run as watch;

pub(crate) use list::Command as ListCommand;
pub(crate) use read::Command as ReadCommand;
pub(crate) use set::Command as SetCommand;
pub(crate) use watch::Command as WatchCommand;

/// How long is waited until a device of an account is seen.
const SEEN: Duration = Duration::from_secs(5);
/// For a clean end.
const FAREWELL: Duration = Duration::from_secs(2);

/// What the verbs have in common.
#[derive(Debug, Args)]
struct Common {
    /// How long to try to get the connection before giving up
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    timeout: Duration,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// How values are printed.
#[derive(Debug, Args)]
struct Printing {
    /// Print each value so: %t thing, %f field, %v value, %u unit, %q quality, %I time (ISO
    /// 8601), %U time (Unix seconds), %j JSON, %% a percent sign; or {thing}, {field},
    /// {value}, {unit}, {quality}, {time}, {epoch}, {json}; \n and \t
    #[arg(long, short = 'F', value_name = "FORMAT", value_parser = Format::new, conflicts_with = "json")]
    format: Option<Format>,
    /// Print one JSON object a value
    #[arg(long)]
    json: bool,
}

impl Printing {
    fn line(&self, value: &Measured) -> String {
        match &self.format {
            Some(format) => format.line(value),
            None if self.json => format::json(value),
            None => format::plain(value),
        }
    }

    /// Prints them all; `None` if nobody reads on.
    fn print(&self, values: &[Measured]) -> Result<Option<()>, Failure> {
        for value in values {
            if print(&self.line(value))? == Reader::Gone {
                return Ok(None);
            }
        }
        Ok(Some(()))
    }
}

/// A time in seconds, or with a unit.
fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(number) => Duration::try_from_secs_f64(number)
            .map_err(|_| "that is no time; write 10 or 500ms".to_owned()),
        Err(_) => duration(text),
    }
}

fn text(word: &str) -> Result<Text, String> {
    Text::new(word).map_err(|e| e.to_string())
}

/// Connects, does it, and ends cleanly.
async fn session<F: Future<Output = Outcome>>(
    common: &Common,
    jid: &Jid,
    work: impl FnOnce(Things) -> F,
) -> Outcome {
    let over = Instant::now() + common.timeout;
    let settings = Settings::load(&common.connection).await?;
    let mut interrupt = Interrupt::watch()?;
    let (client, _incoming) = settings.start(Some(over), |_| {}).await?;
    let things = client.things().clone();
    let working = async {
        connection::connected(&client, over, common.timeout).await?;
        seen(&client, jid).await;
        work(things).await
    };
    let done = tokio::select! {
        done = working => done,
        () = interrupt.seen() => Ok(Exit::Done),
    };
    if client.is_connected() {
        // What this command wanted is done; what the server says to its end is not awaited
        // for long.
        let _ = tokio::time::timeout(FAREWELL, client.shutdown()).await;
    }
    done
}

/// Waits until a device of that account is seen, if it is one that can be, and not for long.
/// Whom we do not see is asked whether we may.
async fn seen(client: &Client, jid: &Jid) {
    if !jid.is_bare() || jid.local().is_none() {
        return;
    }
    let presences = client.presences();
    let mut events = presences.events();
    let account = jid.to_bare();
    let there = async {
        if let Err(error) = ask_to_see(client, &account).await {
            tracing::info!(%account, %error, "its presence cannot be asked for");
        }
        while let Ok(None) = presences.best(&account).await {
            // One that was missed shows in the next look.
            if let Err(tokio::sync::broadcast::error::RecvError::Closed) = events.recv().await {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(SEEN, there).await;
}

/// Asks to see the presence of an account, once: a gateway lets those see it that may read
/// its things. An account sees itself.
async fn ask_to_see(client: &Client, account: &BareJid) -> Result<(), RequestError> {
    let own = match &*client.status().borrow() {
        Status::Connected { jid, .. } => jid.to_bare() == *account,
        _ => false,
    };
    if own {
        return Ok(());
    }
    let roster = client.roster();
    roster.loaded().await?;
    let contact = roster.contact(&account.clone().into()).await;
    match contact {
        Ok(Some(contact)) if contact.is_seen() || contact.asked => Ok(()),
        _ => roster.subscribe(account.clone()).await,
    }
}

/// How an error of a read-out ends the command.
fn read_failure(error: &ReadError) -> Failure {
    let exit = match error {
        ReadError::Refused { .. } => Exit::Refused,
        ReadError::NotAsked { .. } | ReadError::Lost { .. } => Exit::NoConnection,
        _ => Exit::Failed,
    };
    Failure::new(exit, one_line(error))
}

//! `stanchion doctor`: connects to the account's server and says, phase by phase, what it
//! offers and what would go wrong. Owns the looking; `report` prints it for people,
//! `json` for scripts, `advice` draws the conclusions, `names` has the words.

mod advice;
mod json;
mod names;
mod report;

use clap::Args;
use stanchion::connect::ConnectError;
use stanchion::connect::probe::{Inspection, Scope, inspect};

use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::interrupt::Interrupt;
use crate::settings::{ConnectionArgs, Settings};
use crate::terminal::{columns, json_line, print};
use crate::watch::exit_of;

pub(crate) use json::inspection_json;

/// Look a server over: the race of its addresses, TLS, certificate, login, features,
/// round trips, and what a second login saves
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stanchion doctor --jid sensor@example.org
  stanchion doctor --all --json | jq .advice

Exit codes: 0 a session can be established, 2 usage, 12 no connection, 13 refused for \
security or authentication.

The password is taken from STANCHION_PASSWORD, or from --password-file.")]
pub(crate) struct Command {
    /// Look at all servers of the domain, not only up to the first that works
    #[arg(long)]
    all: bool,
    /// Log in once only: say nothing of what a second login saves
    #[arg(long)]
    once: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    connection: ConnectionArgs,
}

/// What was found.
#[derive(Debug)]
struct Looked {
    first: Inspection,
    /// A second login of the same process: with the TLS sessions and the keys of the
    /// first.
    again: Option<Inspection>,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let settings = Settings::load(&command.connection).await?;
    let mut interrupt = Interrupt::watch()?;
    let connector = settings.connector()?;
    let look = async {
        let scope = if command.all {
            Scope::All
        } else {
            Scope::UntilEstablished
        };
        let first = Box::pin(inspect(&connector, scope)).await;
        let again = if first.is_established() && !command.once {
            Some(Box::pin(inspect(&connector, Scope::UntilEstablished)).await)
        } else {
            None
        };
        Looked { first, again }
    };
    let looked = tokio::select! {
        looked = look => looked,
        () = interrupt.seen() => return Err(Failure::new(Exit::NoConnection, "interrupted")),
    };
    // The exit code tells the result to those who do not read.
    let _ = print(&if command.json {
        json_line(&json::whole(&looked))
    } else {
        report::text(&looked, columns())
    })?;
    if looked.first.is_established() {
        return Ok(Exit::Done);
    }
    Err(worst_error(&looked.first).map_or_else(
        || {
            Failure::new(
                Exit::NoConnection,
                "there was nothing to connect to; give --connect",
            )
        },
        |error| Failure::new(exit_of(error), one_line(error)),
    ))
}

/// Of several errors, the one to tell: what waiting does not mend, else the last.
pub(crate) fn worst_error(inspection: &Inspection) -> Option<&ConnectError> {
    let errors = inspection.servers.iter().filter_map(|s| s.error.as_ref());
    let errors: Vec<_> = inspection.unresolved.iter().chain(errors).collect();
    let worst = errors.iter().find(|e| exit_of(e) != Exit::NoConnection);
    worst.or(errors.last()).copied()
}

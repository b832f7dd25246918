//! The ends of a chaos run, each in a process of its own that may be killed at any moment:
//! a sender of numbered messages, a receiver whose application acts on each of them, and a
//! look into the sender's outbox. Who kills them, and what is concluded from what they
//! write down, is `cargo xtask chaos`'s affair.

mod journal;
mod outbox;
mod receiver;
mod sender;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use stanchion::Jid;

use crate::exit::{Failure, Outcome};
use crate::settings::{ConnectionArgs, Settings};

/// The longest wait between two attempts to connect: shorter than by default, as a run has
/// many kills and no fleet.
const RETRY: Duration = Duration::from_secs(1);

/// One end of a chaos run; started by `cargo xtask chaos`
#[derive(Debug, Args)]
pub(crate) struct Command {
    #[command(subcommand)]
    end: End,
}

#[derive(Debug, Subcommand)]
enum End {
    /// Give the messages 1 to N to the outbox, each once however often this is killed, and
    /// end when all have an outcome
    Send(Send),
    /// Act on each message and commit it, until the standard input ends
    Receive(Receive),
    /// List the outbox
    Outbox(Outbox),
}

#[derive(Debug, Args)]
struct Send {
    /// Whom to
    #[arg(long, value_name = "JID")]
    to: Jid,
    /// How many
    #[arg(long, value_name = "N")]
    messages: u64,
    /// So many without outcome, at most
    #[arg(long, value_name = "N", default_value_t = 256)]
    ahead: usize,
    /// Give those up to this number at first; lines of the standard input, a number each,
    /// raise it (default: all)
    #[arg(long, value_name = "N")]
    allowed: Option<u64>,
    /// Every second message has so many milliseconds (default: as long as it takes)
    #[arg(long, value_name = "MS")]
    within: Option<u64>,
    /// So many may share a stanza
    #[arg(long, value_name = "N", default_value_t = 1)]
    bundle: usize,
    /// Where to write down what the session said
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Args)]
struct Receive {
    /// Where the effects are kept
    #[arg(long, value_name = "FILE")]
    journal: PathBuf,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Args)]
struct Outbox {
    /// The sender's store
    #[arg(long, value_name = "FILE")]
    store: PathBuf,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    match command.end {
        End::Send(send) => {
            let settings = Settings::load(&send.connection).await?;
            let Some(store) = send.connection.store else {
                return Err(Failure::usage("the sender needs --store"));
            };
            let plan = sender::Plan {
                store,
                to: send.to,
                messages: send.messages,
                allowed: send.allowed.unwrap_or(send.messages),
                ahead: send.ahead,
                within: send.within.map(Duration::from_millis),
                bundle: send.bundle,
                journal: send.journal,
            };
            sender::run(&settings, plan).await
        }
        End::Receive(receive) => {
            let settings = Settings::load(&receive.connection).await?;
            receiver::run(&settings, &receive.journal).await
        }
        End::Outbox(outbox) => outbox::list(&outbox.store).await,
    }
}

/// What the sender writes as a body.
fn body_of(number: u64) -> String {
    format!("chaos {number}")
}

/// The number in a body.
fn number_in(body: &str) -> Option<u64> {
    body.strip_prefix("chaos ")?.parse().ok()
}

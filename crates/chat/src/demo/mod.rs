//! `stanchion demo`: a sensor and a phone, each a process of its own, with a server
//! between them that is killed in mid-stream; and the count of what arrived. On a terminal,
//! the `tour`: the same with a house, a ward and two persons, as long as one likes.

mod counted;
mod ends;
mod process;
mod result;
#[cfg(all(feature = "dashboard", feature = "gateway", feature = "tui", unix))]
mod screen;
mod server;
mod tally;
#[cfg(all(feature = "dashboard", feature = "gateway", feature = "tui", unix))]
mod tour;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use stanchion::Jid;

use crate::exit::{Failure, Outcome};
use crate::settings::{ConnectionArgs, Settings, duration};

pub(crate) use ends::end_of_input;
pub(crate) use server::HubReady;

/// The demo's own accounts need no better one: the hub listens on loopback only.
const PASSWORD: &str = "demo";

/// See that nothing is lost: on a terminal, a tour with a house, a ward of patients and two
/// people, whose server you kill; elsewhere, so many messages and kills, counted
#[derive(Debug, Args)]
#[command(after_help = "\
On a terminal, two links are shown: open them side by side, write from one to the other, and \
press k (kill the server), c (cut the link) or f (fail over) there or in the browser. All of it \
listens on loopback only, and is gone with the tour.

With --headless or --json, or without a terminal: a sensor sends numbered messages to a phone, \
and the server is killed meanwhile.

Examples:
  stanchion demo
  stanchion demo --headless --messages 10000 --kills 10

Exit codes: 0 nothing was lost and nothing came twice, 1 something was, or a fault of this \
machine, 2 usage.")]
pub(crate) struct Command {
    /// Give the tour without a terminal, too: print where the dashboards are
    #[arg(long, conflicts_with_all = ["headless", "server"])]
    tour: bool,
    /// How many messages the sensor sends
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    messages: u64,
    /// How often the server is killed meanwhile
    #[arg(long, value_name = "K", default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=1000))]
    kills: u64,
    /// No screen: print a line for each kill, and the result
    #[arg(long)]
    headless: bool,
    /// Print nothing but the result, as JSON lines
    #[arg(long)]
    json: bool,
    /// Give up after so many seconds (default 600); a tour ends then (default: never)
    #[arg(long, value_name = "SECONDS")]
    limit: Option<u64>,
    /// A server that runs already, instead of the embedded hub
    #[arg(long, value_name = "HOST:PORT", requires_all = ["domain", "sensor_jid", "phone_jid", "kill_with", "start_with"])]
    server: Option<String>,
    /// Its domain
    #[arg(long, value_name = "DOMAIN")]
    domain: Option<String>,
    /// Its certificate authority (PEM)
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// The sensor's account there; the password is in `STANCHION_DEMO_PASSWORD`
    #[arg(long, value_name = "JID")]
    sensor_jid: Option<Jid>,
    /// The phone's account there
    #[arg(long, value_name = "JID")]
    phone_jid: Option<Jid>,
    /// Kills it: words, or a JSON array of strings
    #[arg(long, value_name = "COMMAND")]
    kill_with: Option<String>,
    /// Starts it again
    #[arg(long, value_name = "COMMAND")]
    start_with: Option<String>,
}

/// One end of the demo; started by the demo itself
#[derive(Debug, Args)]
pub(crate) struct EndCommand {
    /// Which
    end: EndArg,
    /// For the sensor: whom to send to
    #[arg(long, value_name = "JID")]
    to: Option<Jid>,
    /// For the sensor: how many messages
    #[arg(long, value_name = "N", default_value_t = 1)]
    messages: u64,
    /// For the sensor: how long to wait before each
    #[arg(long, value_name = "TIME", value_parser = duration)]
    every: Option<Duration>,
    #[command(flatten)]
    connection: ConnectionArgs,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum EndArg {
    Sensor,
    Phone,
}

/// Carries out `demo-end`.
pub(crate) async fn run_end(command: EndCommand) -> Outcome {
    let settings = Settings::load(&command.connection).await?;
    match (command.end, command.to) {
        (EndArg::Sensor, Some(to)) => {
            ends::sensor(&settings, to, command.messages, command.every).await
        }
        (EndArg::Sensor, None) => Err(Failure::usage("the sensor needs --to")),
        (EndArg::Phone, _) => ends::phone(&settings).await,
    }
}

/// How the ends reach the server, as arguments of theirs.
struct Access {
    sensor: String,
    phone: String,
    password: String,
    arguments: Vec<String>,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    #[cfg(all(feature = "dashboard", feature = "gateway", feature = "tui", unix))]
    {
        use std::io::IsTerminal as _;
        let plain = command.headless || command.json || command.server.is_some();
        let screen = !plain && std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
        if screen || command.tour {
            return tour::run(tour::Options {
                screen,
                json: command.json,
                limit: command.limit.map(Duration::from_secs),
            })
            .await;
        }
    }
    if command.tour {
        return Err(Failure::usage(
            "this stanchion was built without the tour; build it with its default features",
        ));
    }
    counted::run(command).await
}

//! `cargo xtask demo`: builds the `stanchion` command and runs its demo.
//!
//! What the demo does and shows is the command's own; this file only sees to
//! the server below it when that is a real one.

use crate::failure::{Failure, Outcome};
use crate::program::{self, Interrupt};
use crate::servers::state::{Kind, State};
use crate::servers::{self, Temporary};
use clap::{Args, ValueEnum};
use std::path::Path;

/// Both users' password; the server lives on loopback in a folder of its own.
const PASSWORD: &str = "demo";

#[derive(Debug, Args)]
pub(crate) struct Command {
    /// No screen: run, print the result, end
    #[arg(long)]
    headless: bool,
    /// How many messages
    #[arg(long, value_name = "N")]
    messages: Option<u64>,
    /// How often the server is killed meanwhile
    #[arg(long, value_name = "K")]
    kills: Option<u64>,
    /// Print the result as JSON lines (with --headless)
    #[arg(long)]
    json: bool,
    /// Which server stands between the two ends
    #[arg(long, value_enum, default_value_t)]
    server: Server,
    /// Build with optimisation
    #[arg(long)]
    release: bool,
}

/// The server of a demo.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Server {
    /// The embedded one: nothing to install
    #[default]
    Hub,
    /// Prosody, which must be installed
    Prosody,
    /// ejabberd, which must be installed
    Ejabberd,
}

/// Carries out the command.
pub(crate) fn run(command: &Command) -> Outcome {
    let stanchion = program::build("stanchion-chat", "stanchion", command.release)?;
    let mut demo = std::process::Command::new(stanchion);
    demo.args(arguments(command));
    let kind = match command.server {
        Server::Hub => return program::run(&mut demo),
        Server::Prosody => Kind::Prosody,
        Server::Ejabberd => Kind::Ejabberd,
    };
    // The demo ends on Ctrl-C; this program then still has the server to end.
    let interrupt = Interrupt::watch()?;
    let users = [("sensor", PASSWORD), ("phone", PASSWORD)];
    let server = Temporary::start(kind, "demo.test", &users)?;
    let xtask = servers::own_program()?;
    demo.args(server_arguments(&server.state, &xtask));
    demo.env("STANCHION_DEMO_PASSWORD", PASSWORD);
    let outcome = program::run(&mut demo);
    if interrupt.seen() {
        return Err(Failure::Red("interrupted".to_owned()));
    }
    outcome
}

fn arguments(command: &Command) -> Vec<String> {
    let mut words = vec!["demo".to_owned()];
    if command.headless {
        words.push("--headless".to_owned());
    }
    if let Some(messages) = command.messages {
        words.extend(["--messages".to_owned(), messages.to_string()]);
    }
    if let Some(kills) = command.kills {
        words.extend(["--kills".to_owned(), kills.to_string()]);
    }
    if command.json {
        words.push("--json".to_owned());
    }
    words
}

fn server_arguments(state: &State, xtask: &Path) -> Vec<String> {
    let verb = |verb: &str| {
        let (xtask, dir) = (xtask.as_os_str(), state.dir.as_os_str());
        program::argv(&[
            xtask,
            "servers".as_ref(),
            verb.as_ref(),
            "--dir".as_ref(),
            dir,
        ])
    };
    [
        (
            "--server",
            format!("{}:{}", state.host, state.ports.starttls),
        ),
        ("--domain", state.domain.clone()),
        ("--ca", state.ca.display().to_string()),
        ("--sensor-jid", format!("sensor@{}", state.domain)),
        ("--phone-jid", format!("phone@{}", state.domain)),
        ("--kill-with", verb("kill")),
        ("--start-with", verb("start")),
    ]
    .into_iter()
    .flat_map(|(option, value)| [option.to_owned(), value])
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        command: Command,
    }

    #[test]
    fn options_reach_the_demo_unchanged() {
        let line = Line::parse_from([
            "demo",
            "--headless",
            "--messages",
            "500",
            "--kills",
            "2",
            "--json",
        ]);
        assert_eq!(
            arguments(&line.command).join(" "),
            "demo --headless --messages 500 --kills 2 --json"
        );
        assert_eq!(line.command.server, Server::Hub);
    }
}

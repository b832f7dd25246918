//! The `stanchion` command: reliable messages from the shell, and a demonstration of
//! what that means.
//!
//! ```text
//! stanchion login sensor@example.org
//! stanchion send --jid sensor@example.org --to cloud@example.org "21.5"
//! stanchion listen --jid cloud@example.org
//! stanchion chat
//! stanchion read --jid cloud@example.org sensor@example.org hall temperature
//! stanchion set --jid cloud@example.org lamp@example.org hall on=true --within 10s
//! stanchion dashboard --jid anna@example.org
//! stanchion doctor --jid sensor@example.org
//! stanchion server add sensor@example.org
//! stanchion demo
//! stanchion outbox list
//! stanchion hub --user alice:secret
//! stanchion gateway --config gateway.toml
//! stanchion collect --jid cloud@example.org
//! stanchion lint capture.xml
//! stanchion pub pubsub.example.org readings '{"celsius": 21.5}'
//! stanchion sub pubsub.example.org readings
//! stanchion history cloud@example.org
//! stanchion bench
//! stanchion completions bash
//! stanchion man send
//! ```
//!
//! This library is the command without its `main`, so that a test can run it. It
//! decides nothing about delivery: see `stanchion`.
//!
//! ```
//! // A command line that is wrong ends with 2, as everywhere.
//! assert_eq!(stanchion_chat::run(["stanchion", "send"]), 2);
//! assert_eq!(stanchion_chat::run(["stanchion", "--version"]), 0);
//! ```

mod age;
#[cfg(any(feature = "dashboard", feature = "tui"))]
mod app;
mod bench;
mod chaos;
mod cli;
#[cfg(all(feature = "gateway", unix))]
mod collect;
mod completions;
#[cfg(feature = "dashboard")]
mod dashboard;
mod demo;
mod doctor;
mod exit;
#[cfg(all(feature = "gateway", unix))]
mod gateway;
mod history;
mod hub;
mod inbox;
mod interrupt;
mod kept;
mod lines;
mod lint;
mod listen;
mod listing;
mod login;
mod manual;
mod nodes;
mod outbox;
mod outcomes;
mod registered;
mod send;
mod server;
mod settings;
mod table;
mod terminal;
mod things;
#[cfg(feature = "tui")]
mod tui;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the command of this process's arguments.
#[must_use]
pub fn main() -> ExitCode {
    ExitCode::from(run(std::env::args_os()))
}

/// Runs a command line and gives its exit code; the first word is the program's name.
#[must_use]
pub fn run<W: Into<OsString> + Clone>(words: impl IntoIterator<Item = W>) -> u8 {
    cli::run(words)
}

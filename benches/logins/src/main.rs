//! Logins beside those of other clients, on one server in one run: round trips, time to a
//! session, CPU time.
//!
//! `measure` runs each client in a process of its own behind a relay that counts what the
//! network sees; `client` is such a process. `herd` is another matter: many clients that
//! lose their server. The reports, and the goals, are those of `cargo xtask bench connect`
//! and `cargo xtask bench herd`.

mod clients;
mod herd;
mod measure;
mod ours;
mod proxy;
mod task;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Measure all clients; one JSON object a line
    Measure(measure::Plan),
    /// Log in again and again
    Client(task::Task),
    /// Kill a server under many clients
    Herd(herd::Plan),
}

fn main() -> ExitCode {
    let run = match Cli::parse().verb {
        Verb::Measure(plan) => runtime().and_then(|r| r.block_on(measure::run(&plan))),
        Verb::Client(task) => runtime().and_then(|r| r.block_on(clients::run(&task))),
        Verb::Herd(plan) => runtime().and_then(|r| r.block_on(herd::run(&plan))),
    };
    match run {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("error: {why}");
            ExitCode::FAILURE
        }
    }
}

/// One thread: what a client costs is not spread over several.
fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| format!("no runtime: {e}"))
}

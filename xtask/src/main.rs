//! `cargo xtask`: the project's own commands.
//!
//! One file per command; this one only tells them apart and turns the outcome
//! into an exit status. Depends on no product crate, so that a broken crate
//! does not take its own tests and checks with it.
#![allow(clippy::print_stdout, reason = "these commands talk to a terminal")]

mod failure;
mod servers;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start and stop real XMPP servers on loopback
    Servers(servers::Command),
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Servers(command) => servers::run(command),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

//! `cargo xtask`: the project's own commands.
//!
//! One file per command; this one only tells them apart and turns the outcome
//! into an exit status. Depends on no product crate, so that a broken crate
//! does not take its own tests and checks with it.
#![allow(clippy::print_stdout, reason = "these commands talk to a terminal")]

mod bench;
mod chaos;
mod ci;
mod demo;
mod evaluate;
mod failure;
mod fuzz;
mod measure;
mod program;
mod requirements;
mod scenario;
mod screenshots;
mod servers;
mod simulate;
mod talk;
mod test;
mod tidy;

use clap::{Parser, Subcommand};
use failure::Failure;
use std::process::ExitCode;

#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the whole suite; installs what is missing where it may
    Test(test::Command),
    /// Build and run the demo of the `stanchion` command
    Demo(demo::Command),
    /// Kill senders, receivers and servers, and account for every message
    Chaos(chaos::Command),
    /// The founding paper's evaluation and ours, against real servers
    Evaluate(evaluate::Command),
    /// Start and stop real XMPP servers on loopback
    Servers(servers::Command),
    /// Run the fuzz targets for a while; no nightly compiler needed
    Fuzz(fuzz::Command),
    /// Run devices and servers that fail, by seed, against the laws of delivery
    Simulate(simulate::Command),
    /// A fleet at work on a server that fails: wards, meters, lamps, cars
    Scenario(scenario::Command),
    /// Two people and a room in terminals, while the server is killed
    Talk(talk::Command),
    /// Run the benchmarks and report their medians
    Bench(bench::Command),
    /// Take pictures of the dashboard's pages, for the eyes of a person
    Screenshots(screenshots::Command),
    /// Check the rules of the house
    Tidy(tidy::Command),
    /// What the build machine runs: the same as `test`
    Ci,
}

fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Test(command) => test::run(&command),
        Command::Demo(command) => demo::run(&command),
        Command::Chaos(command) => chaos::run(&command),
        Command::Evaluate(command) => evaluate::run(&command),
        Command::Servers(command) => servers::run(command),
        Command::Fuzz(command) => fuzz::run(&command),
        Command::Simulate(command) => simulate::run(&command),
        Command::Scenario(command) => scenario::run(&command),
        Command::Talk(command) => talk::run(&command),
        Command::Bench(command) => bench::run(&command),
        Command::Screenshots(command) => screenshots::run(&command),
        Command::Tidy(command) => tidy::run(&command),
        Command::Ci => ci::run(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Told) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn no_two_options_contradict_each_other() {
        Cli::command().debug_assert();
    }
}

//! `cargo xtask simulate`: the simulator, built for speed, with all that follows on the
//! command line.
//!
//! The options are the simulator's own (`--help` shows them). What is decided here is
//! how it is built: with deliberate faults of the product compiled in when one of them is
//! asked for, in a target folder of its own, so that neither build undoes the other.

use crate::failure::{Failure, Outcome};
use crate::program;
use clap::Args;
use std::path::PathBuf;
use std::process::Stdio;

const PROGRAM: &str = "stanchion-simulator";
/// What compiles deliberate faults into the product.
const MUTANTS: &str = "--cfg stanchion_mutants";

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Command {
    /// Options of the simulator: `--help` lists them
    #[arg(
        value_name = "OPTION",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    options: Vec<String>,
}

/// Carries out the command.
///
/// # Errors
/// `Failure::Red` when a law was broken, or a deliberate fault was not caught.
pub(crate) fn run(command: &Command) -> Outcome {
    let simulator = if wants_mutants(&command.options) {
        build_with_mutants()?
    } else {
        program::build(PROGRAM, PROGRAM, true)?
    };
    let mut simulator = std::process::Command::new(simulator);
    simulator.args(&command.options);
    let status = simulator.status().map_err(|source| Failure::Spawn {
        program: PROGRAM.to_owned(),
        source,
    })?;
    match status.code() {
        Some(0) if command.options.iter().any(|option| option == "--mutants") => walks(),
        Some(0) => Ok(()),
        // It said what it found.
        Some(1) => Err(Failure::Red(
            "the simulator found what must not be".to_owned(),
        )),
        _ => Err(Failure::Red(format!("the simulator failed ({status})"))),
    }
}

fn wants_mutants(options: &[String]) -> bool {
    options.iter().any(|option| {
        option == "--mutants" || option == "--mutant" || option.starts_with("--mutant=")
    })
}

/// The walks through the protocol alone, and the laws of the engine, with the deliberate
/// faults that they find.
fn walks() -> Outcome {
    let mut command = with_mutants(&["test", "--quiet", "--release", "--package"]);
    command.args(["stanchion-reliability", "--test", "delivery"]);
    command.args(["--test", "engine_laws", "needed"]);
    // What a script reads is the simulator's alone.
    command.stdout(std::io::stderr());
    program::run(&mut command)
}

/// Cargo, with deliberate faults compiled in, in a target folder of its own.
fn with_mutants(words: &[&str]) -> std::process::Command {
    let mut command = program::cargo();
    command.args(words);
    command
        .env(
            "CARGO_TARGET_DIR",
            program::root().join("target").join("mutants"),
        )
        .env("RUSTFLAGS", MUTANTS)
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stdin(Stdio::null());
    command
}

fn build_with_mutants() -> Outcome<PathBuf> {
    let target = program::root().join("target").join("mutants");
    let mut command = with_mutants(&["build", "--quiet", "--release", "--package", PROGRAM]);
    program::run(&mut command)?;
    Ok(target.join("release").join(PROGRAM))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deliberate_faults_are_compiled_in_only_when_asked_for() {
        let wants = |words: &[&str]| {
            let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
            wants_mutants(&words)
        };
        assert!(wants(&["--seeds", "5", "--mutants"]));
        assert!(wants(&["--mutant", "x"]) && wants(&["--mutant=x"]));
        assert!(!wants(&["--seeds", "5"]));
    }
}

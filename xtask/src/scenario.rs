//! `cargo xtask scenario`: the acceptance scenarios, built for speed, with all that follows
//! on the command line. What they do, and count, is in `crates/scenarios`.

use crate::failure::{Failure, Outcome};
use crate::{program, requirements, servers};
use clap::Args;

const PROGRAM: &str = "stanchion-scenarios";

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Command {
    /// The scenario, and its options: `--help` lists them
    #[arg(
        value_name = "SCENARIO",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<String>,
}

/// Carries out the command.
///
/// # Errors
/// `Failure::Red` when a promise was broken.
pub(crate) fn run(command: &Command) -> Outcome {
    let mut words = command.words.clone();
    let debug = words.first().is_some_and(|word| word == DEBUG);
    words.drain(..usize::from(debug));
    let stanchion = program::build("stanchion-chat", "stanchion", !debug)?;
    let scenarios = program::build(PROGRAM, PROGRAM, !debug)?;
    let mut scenario = std::process::Command::new(scenarios);
    scenario
        .args(&words)
        .env("STANCHION_BIN", stanchion)
        .env("STANCHION_XTASK", servers::own_program()?);
    if command
        .words
        .iter()
        .any(|word| PEERS.contains(&word.as_str()))
    {
        scenario.env("STANCHION_PEERS", requirements::peers()?);
    }
    let status = scenario.status().map_err(|source| Failure::Spawn {
        program: PROGRAM.to_owned(),
        source,
    })?;
    match status.code() {
        Some(0) => Ok(()),
        // It said which.
        Some(1) => Err(Failure::Red("a promise was broken".to_owned())),
        _ => Err(Failure::Red(format!("the scenario failed ({status})"))),
    }
}

/// As the first word: build without optimisation, which is quicker.
const DEBUG: &str = "--debug";
/// Those that need other people's devices.
const PEERS: [&str; 1] = ["rfid"];

//! `stanchion completions`: what a shell needs to complete the command line.

use clap::Args;
use clap_complete::{Shell, generate};

use crate::exit::{Exit, Outcome};
use crate::terminal::print;

/// Print a shell's completions of this command
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  eval \"$(stanchion completions bash)\"
  stanchion completions zsh > ~/.zfunc/_stanchion
  stanchion completions fish > ~/.config/fish/completions/stanchion.fish

Exit codes: 0 printed, 1 the output cannot be written, 2 usage.")]
pub(crate) struct Command {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Carries out the command, for the whole command line as people see it.
pub(crate) fn run(command: &Command, mut whole: clap::Command) -> Outcome {
    let name = whole.get_name().to_owned();
    let mut script = Vec::new();
    // Into memory: the generator panics if it cannot write.
    generate(command.shell, &mut whole, name, &mut script);
    let script = String::from_utf8_lossy(&script);
    let _ = print(script.trim_end())?;
    Ok(Exit::Done)
}

//! The command line: which verb, and what is printed when it fails.

use std::ffi::OsString;
use std::io::Write as _;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::exit::{Failure, Outcome};
use crate::{demo, doctor, hub, listen, send};

/// Reliable messages over XMPP, for things and people
#[derive(Debug, Parser)]
#[command(name = "stanchion", version, propagate_version = true)]
struct Cli {
    /// Say more on standard error; twice for details (or set STANCHION_LOG)
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Send(send::Command),
    Listen(listen::Command),
    Doctor(doctor::Command),
    Demo(Box<demo::Command>),
    #[command(hide = true)]
    DemoEnd(Box<demo::EndCommand>),
    Hub(hub::Command),
}

pub(crate) fn run<W: Into<OsString> + Clone>(words: impl IntoIterator<Item = W>) -> u8 {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors, and go to standard output.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2);
        }
    };
    log(cli.verbose);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(verb(cli.verb)),
        Err(error) => Err(Failure::failed(format!("no runtime: {error}"))),
    };
    match outcome {
        Ok(exit) => exit.code(),
        Err(failure) => {
            let _ = writeln!(std::io::stderr(), "stanchion: {}", failure.message);
            failure.exit.code()
        }
    }
}

async fn verb(verb: Verb) -> Outcome {
    match verb {
        Verb::Send(command) => send::run(command).await,
        Verb::Listen(command) => listen::run(command).await,
        Verb::Doctor(command) => doctor::run(command).await,
        Verb::Demo(command) => Box::pin(demo::run(*command)).await,
        Verb::DemoEnd(command) => Box::pin(demo::run_end(*command)).await,
        Verb::Hub(command) => hub::run(command).await,
    }
}

/// Logs go to standard error. A second run in one process keeps the first's setting.
fn log(verbose: u8) {
    let level = match verbose {
        0 => "off",
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("STANCHION_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .try_init();
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_password_is_never_an_argument() {
        for verb in Cli::command().get_subcommands() {
            for argument in verb.get_arguments() {
                assert_ne!(argument.get_long(), Some("password"), "{}", verb.get_name());
            }
        }
    }
}

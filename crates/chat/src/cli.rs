//! The command line: which verb, and what is printed when it fails.

use std::ffi::OsString;
use std::io::{IsTerminal as _, Write as _};

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

#[cfg(feature = "dashboard")]
use crate::dashboard;
use crate::exit::{Failure, Outcome};
use crate::terminal::harmless;
#[cfg(feature = "tui")]
use crate::tui;
use crate::{
    bench, chaos, completions, demo, doctor, history, hub, inbox, lint, listen, login, manual,
    nodes, outbox, send, server, things,
};
#[cfg(all(feature = "gateway", unix))]
use crate::{collect, gateway};

/// Reliable messages over XMPP, for things and people
#[derive(Debug, Parser)]
#[command(name = NAME, version, propagate_version = true)]
struct Cli {
    /// Say more on standard error; twice for details (or set STANCHION_LOG)
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    verb: Verb,
}

/// What the command is called, by people and by their shells.
const NAME: &str = "stanchion";

#[derive(Debug, Subcommand)]
enum Verb {
    Login(Box<login::Command>),
    #[cfg(feature = "tui")]
    Chat(Box<tui::Command>),
    Send(send::Command),
    Listen(listen::Command),
    History(history::Command),
    Pub(Box<nodes::PublishCommand>),
    Sub(Box<nodes::SubscribeCommand>),
    Things(things::ListCommand),
    Read(things::ReadCommand),
    Watch(things::WatchCommand),
    Set(things::SetCommand),
    #[cfg(feature = "dashboard")]
    Dashboard(Box<dashboard::Command>),
    Doctor(doctor::Command),
    Server(server::Command),
    Outbox(outbox::Command),
    Inbox(inbox::Command),
    Demo(Box<demo::Command>),
    #[command(hide = true)]
    DemoEnd(Box<demo::EndCommand>),
    #[command(hide = true)]
    ChaosEnd(Box<chaos::Command>),
    Hub(hub::Command),
    #[cfg(all(feature = "gateway", unix))]
    Gateway(gateway::Command),
    #[cfg(all(feature = "gateway", unix))]
    Collect(Box<collect::Command>),
    Lint(lint::Command),
    Bench(Box<bench::Command>),
    Completions(completions::Command),
    Man(manual::Command),
}

impl Verb {
    /// Whether it draws on the whole terminal, where lines of a log would stand across it.
    const fn takes_the_screen(&self) -> bool {
        match self {
            #[cfg(feature = "tui")]
            Self::Chat(_) => true,
            _ => false,
        }
    }
}

/// The command as people see it: without the verbs that only processes of ours start.
fn visible() -> clap::Command {
    let whole = Cli::command();
    let verbs = whole.get_subcommands().filter(|verb| !verb.is_hide_set());
    let command = clap::Command::new(NAME)
        .version(env!("CARGO_PKG_VERSION"))
        .propagate_version(true)
        .subcommand_required(true)
        .args(whole.get_arguments().cloned())
        .subcommands(verbs.cloned());
    match whole.get_about() {
        Some(about) => command.about(about.clone()),
        None => command,
    }
}

pub(crate) fn run<W: Into<OsString> + Clone>(words: impl IntoIterator<Item = W>) -> u8 {
    let cli = match Cli::try_parse_from(words) {
        Ok(cli) => cli,
        Err(error) => return explain(&error),
    };
    log(cli.verbose, cli.verb.takes_the_screen());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let outcome = match runtime {
        Ok(runtime) => {
            let outcome = runtime.block_on(verb(cli.verb));
            // A read from the standard input may never return; it must not keep us.
            runtime.shutdown_background();
            outcome
        }
        Err(error) => Err(Failure::failed(format!("no runtime: {error}"))),
    };
    match outcome {
        Ok(exit) => exit.code(),
        Err(failure) => {
            complain(&failure.message);
            failure.exit.code()
        }
    }
}

/// The one line of a failure. It may quote what a server said.
fn complain(message: &str) {
    let _ = writeln!(std::io::stderr(), "stanchion: {}", harmless(message));
}

/// Help and version are no errors, and go to standard output as they are. Everything else
/// becomes one line.
fn explain(error: &clap::Error) -> u8 {
    if !matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    ) {
        let text = error.render().to_string();
        let told: Vec<&str> = text
            .lines()
            .map(str::trim)
            .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"))
            .filter(|line| !line.is_empty())
            .collect();
        let told = told.join(" ");
        let told = told.strip_prefix("error: ").unwrap_or(&told);
        complain(&format!("{told}; see --help"));
    } else {
        let _ = error.print();
    }
    u8::try_from(error.exit_code()).unwrap_or(2)
}

async fn verb(verb: Verb) -> Outcome {
    match verb {
        Verb::Login(command) => Box::pin(login::run(*command)).await,
        #[cfg(feature = "tui")]
        Verb::Chat(command) => Box::pin(tui::run(*command)).await,
        Verb::Send(command) => send::run(command).await,
        Verb::Listen(command) => listen::run(command).await,
        Verb::History(command) => history::run(command).await,
        Verb::Pub(command) => Box::pin(nodes::publish(*command)).await,
        Verb::Sub(command) => Box::pin(nodes::subscribe(*command)).await,
        Verb::Things(command) => things::list(command).await,
        Verb::Read(command) => things::read(command).await,
        Verb::Watch(command) => things::watch(command).await,
        Verb::Set(command) => things::set(command).await,
        #[cfg(feature = "dashboard")]
        Verb::Dashboard(command) => Box::pin(dashboard::run(*command)).await,
        Verb::Doctor(command) => doctor::run(command).await,
        Verb::Server(command) => Box::pin(server::run(command)).await,
        Verb::Outbox(command) => outbox::run(command).await,
        Verb::Inbox(command) => inbox::run(command).await,
        Verb::Demo(command) => Box::pin(demo::run(*command)).await,
        Verb::DemoEnd(command) => Box::pin(demo::run_end(*command)).await,
        Verb::ChaosEnd(command) => Box::pin(chaos::run(*command)).await,
        Verb::Hub(command) => hub::run(command).await,
        #[cfg(all(feature = "gateway", unix))]
        Verb::Gateway(command) => Box::pin(gateway::run(command)).await,
        #[cfg(all(feature = "gateway", unix))]
        Verb::Collect(command) => Box::pin(collect::run(*command)).await,
        Verb::Lint(command) => lint::run(&command),
        Verb::Bench(command) => Box::pin(bench::run(*command)).await,
        Verb::Completions(command) => completions::run(&command, visible()),
        Verb::Man(command) => manual::run(&command, visible()),
    }
}

/// Logs go to standard error, unless that is the screen that a command draws on. A second
/// run in one process keeps the first's setting.
fn log(verbose: u8, screen: bool) {
    if screen && std::io::stderr().is_terminal() {
        return;
    }
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
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_has_examples_and_exit_codes_in_its_help() {
        fn look(verb: &clap::Command, path: &str) {
            let mut leaf = true;
            for inner in verb.get_subcommands() {
                leaf = false;
                look(inner, &format!("{path} {}", inner.get_name()));
            }
            if !leaf {
                return;
            }
            assert!(verb.get_about().is_some(), "{path} says not what it does");
            let help = verb.get_after_help().map(ToString::to_string);
            let help = help.unwrap_or_default();
            let examples = help.contains("\nExamples:\n") || help.contains("\nExample:\n");
            assert!(
                examples || help.starts_with("Example"),
                "{path}: no examples"
            );
            assert!(
                help.contains(&format!("\n  {path}")),
                "{path}: no example of it"
            );
            assert!(help.contains("\nExit codes: 0 "), "{path}: no exit codes");
            // One that is wrapped cannot be copied.
            for line in help.lines().filter(|line| line.starts_with("  ")) {
                assert!(line.chars().count() < 80, "{path}: too long: {line}");
            }
        }
        look(&visible(), NAME);
    }

    #[test]
    fn a_password_is_never_an_argument() {
        fn look(verb: &clap::Command) {
            for argument in verb.get_arguments() {
                assert_ne!(argument.get_long(), Some("password"), "{}", verb.get_name());
            }
            verb.get_subcommands().for_each(look);
        }
        look(&Cli::command());
    }
}

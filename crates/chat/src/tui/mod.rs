//! `stanchion chat`: a client for people, in a terminal.
//!
//! From the bottom up: `text`, `theme`, `when`, `pen` and `window` draw; a file a pane
//! (`list`, `talk`, `things`, `aside`, `strip`, and the windows `help`, `delivery`, `search`,
//! `dialog`) shows what it is handed; [`screen::Screen`] is what the terminal knows itself,
//! and changes by keys (`pressed`, `mouse`, `said`); [`view::view`] draws it with the
//! [`Model`](crate::app::Model) of `app`. All of that is without I/O, clock or task. `run`
//! brings it together with the terminal and the desk.

mod areas;
mod aside;
mod command;
mod complete;
mod delivery;
mod dialog;
mod first;
mod help;
mod input;
mod keys;
mod list;
mod mouse;
mod pen;
mod pressed;
mod run;
mod said;
mod screen;
mod search;
mod strip;
mod subject;
mod talk;
mod terminal;
#[cfg(test)]
mod tests;
mod text;
mod theme;
mod things;
mod view;
mod when;
mod window;

use clap::Args;

use crate::exit::Outcome;
use crate::settings::ConnectionArgs;

/// Chat in the terminal: people, rooms and things, and what became of every message
#[derive(Debug, Args)]
#[command(after_help = "\
Without an account, it asks for one, tries it and registers it. F1 shows all keys. The \
colours are left out if NO_COLOR is set.

Examples:
  stanchion chat
  stanchion chat --jid anna@home.example

Exit codes: 0 left, 1 the store or the terminal cannot be used, 2 usage.")]
pub(crate) struct Command {
    #[command(flatten)]
    connection: ConnectionArgs,
    /// Leave after the first frame with the list from the store, and print after how many
    /// milliseconds that was
    #[arg(long, hide = true)]
    first_frame: bool,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    run::run(command).await
}

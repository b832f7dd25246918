//! `stanchion man`: the pages of the manual, made of what `--help` says.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_mangen::Man;

use crate::cli;
use crate::exit::{Exit, Failure, Outcome};
use crate::terminal::{harmless, print};

/// Print or write the pages of the manual, in roff
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  stanchion man send | man -l -
  stanchion man --dir ~/.local/share/man/man1

Exit codes: 0 printed or written, 1 the output cannot be written, 2 usage, or no such verb.")]
pub(crate) struct Command {
    /// The verb whose page to print, such as `send` or `server add` (default: the page of
    /// the whole command)
    #[arg(value_name = "VERB", conflicts_with = "dir")]
    verb: Vec<String>,
    /// Write a page for each verb into this folder, which is made if need be; pages that
    /// are there are replaced
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Carries out the command.
pub(crate) fn run(command: &Command) -> Outcome {
    let mut whole = cli::visible();
    // Gives each verb its full name.
    whole.build();
    if let Some(folder) = &command.dir {
        let wrong = |e: io::Error| Failure::failed(format!("{}: {e}", folder.display()));
        std::fs::create_dir_all(folder).map_err(wrong)?;
        let mut names = Vec::new();
        write_all(&whole, folder, &mut names)?;
        let _ = print(&harmless(&format!(
            "wrote {} pages to {}; the first is stanchion.1",
            names.len(),
            folder.display()
        )))?;
        return Ok(Exit::Done);
    }
    let mut found = &whole;
    for verb in &command.verb {
        found = found.find_subcommand(verb).ok_or_else(|| {
            Failure::usage(format!(
                "there is no verb {}; see stanchion --help",
                command.verb.join(" ")
            ))
        })?;
    }
    let page = page(found).map_err(Failure::failed)?;
    let _ = print(page.trim_end())?;
    Ok(Exit::Done)
}

/// A page for the command and for each verb below it.
fn write_all(
    command: &clap::Command,
    folder: &Path,
    names: &mut Vec<String>,
) -> Result<(), Failure> {
    let name = name_of(command);
    let path = folder.join(format!("{name}.1"));
    let written = page(command).and_then(|page| std::fs::write(&path, page));
    written.map_err(|e| Failure::failed(format!("{}: {e}", path.display())))?;
    names.push(name);
    for verb in command.get_subcommands().filter(|v| is_own(v)) {
        write_all(verb, folder, names)?;
    }
    Ok(())
}

/// clap adds a verb `help` of its own everywhere.
fn is_own(verb: &clap::Command) -> bool {
    verb.get_name() != "help"
}

/// `stanchion-server-add` of `stanchion server add`.
fn name_of(command: &clap::Command) -> String {
    let name = command.get_bin_name().unwrap_or(command.get_name());
    name.replace(' ', "-")
}

fn page(command: &clap::Command) -> io::Result<String> {
    let name = name_of(command);
    let mut page = Vec::new();
    Man::new(command.clone()).title(name).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

//! `stanchion man`: the pages of the manual, made of what `--help` says.

use std::io;
use std::path::{Path, PathBuf};

use clap::Args;
use clap_mangen::Man;

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

/// Carries out the command, for the whole command line as people see it.
pub(crate) fn run(command: &Command, mut whole: clap::Command) -> Outcome {
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
    // The whole command's, as each of its pages belongs to it.
    let whole = name.split('-').next().unwrap_or_default();
    let source = format!("{whole} {}", env!("CARGO_PKG_VERSION"));
    let man = Man::new(command.clone()).title(&*name).source(source);
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    if command.get_subcommands().any(is_own) {
        man.render_subcommands_section(&mut page)?;
    }
    let mut page = String::from_utf8_lossy(&page).into_owned();
    if let Some(rest) = command.get_after_help() {
        page.push_str(&rest_of(&rest.to_string()));
    }
    Ok(page)
}

/// What stands behind the options in the help, in the sections that a manual has for it.
fn rest_of(help: &str) -> String {
    let (mut notes, mut examples, mut status) = (String::new(), String::new(), String::new());
    for part in help.split("\n\n") {
        match part.split_once('\n') {
            // They stay as they are, line by line.
            Some(("Examples:" | "Example:", lines)) => {
                examples = format!(".SH EXAMPLES\n.nf\n{}.fi\n", escaped(lines));
            }
            _ if part.starts_with("Exit codes: ") => {
                status = format!(".SH EXIT STATUS\n{}", escaped(part));
            }
            _ => {
                notes.push_str(if notes.is_empty() {
                    ".SH NOTES\n"
                } else {
                    ".PP\n"
                });
                notes.push_str(&escaped(part));
            }
        }
    }
    [notes, examples, status].concat()
}

/// Lines of text, none of which is an order to the formatter.
fn escaped(text: &str) -> String {
    let mut roff = String::new();
    for line in text.lines() {
        let line = line.replace('\\', "\\e").replace('-', "\\-");
        if line.starts_with(['.', '\'']) {
            roff.push_str("\\&");
        }
        roff.push_str(&line);
        roff.push('\n');
    }
    roff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_of_a_help_has_its_section_and_no_line_is_an_order() {
        let help = "A note.\n\nExamples:\n  a --b \\\n    c\n\nExit codes: 0 done.\n\n.x";
        assert_eq!(
            rest_of(help),
            ".SH NOTES\nA note.\n.PP\n\\&.x\n.SH EXAMPLES\n.nf\n  a \\-\\-b \\e\n    c\n.fi\n\
             .SH EXIT STATUS\nExit codes: 0 done.\n"
        );
    }
}

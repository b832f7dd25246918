//! `stanchion lint`: reads files of stanzas and captured streams, and says of each stanza
//! what it is, what it carries, and which rule it breaks. Files are found in `files`, cut
//! into stanzas in `streams`, looked at in `check`, and reported in `report`.

mod check;
mod files;
mod report;
mod streams;
mod written;

use std::io::Read;

use clap::Args;
use stanchion::stanza::{Limits, Scope};

use crate::exit::{Exit, Failure, Outcome};
use crate::terminal::Reader;
use check::Checked;
use files::{Source, sources};
use report::{Line, Report};
use streams::{Piece, Streams};

/// The largest stanza that may be asked for, in bytes.
const LARGEST: i64 = 64 * 1024 * 1024;

/// A rule that is broken.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Fault {
    /// Its name, for programs.
    rule: &'static str,
    /// Where it stands.
    section: String,
    /// What is wrong.
    message: String,
}

/// Check stanzas and captured streams against the specifications
#[derive(Debug, Args)]
#[command(after_help = "\
Each stanza is decoded, encoded and decoded again; each payload that has a type here is read \
as that type and written back. Anything that is refused, or comes back changed, is a \
failure. A file holds stanzas, or streams one after the other as they were captured in one \
direction; what follows a fault in it is not looked at.

Examples:
  stanchion lint stanza.xml
  stanchion lint --quiet captures/
  echo '<message to=\"a@example.org\"/>' | stanchion lint --json -

Exit codes: 0 nothing failed, 1 something failed, 2 usage.")]
pub(crate) struct Command {
    /// Files, folders with files, or `-` for the standard input
    #[arg(value_name = "FILE", required = true)]
    inputs: Vec<std::path::PathBuf>,
    /// Print one JSON object a stanza or failure, and one with the totals
    #[arg(long)]
    json: bool,
    /// Print failures and totals only
    #[arg(long, short)]
    quiet: bool,
    /// Refuse stanzas of more bytes
    #[arg(long, value_name = "BYTES", default_value_t = Limits::default().stanza_bytes as i64,
        value_parser = clap::value_parser!(i64).range(1..=LARGEST))]
    max_stanza: i64,
}

/// Carries out the command.
pub(crate) fn run(command: &Command) -> Outcome {
    let sources = sources(&command.inputs)?;
    // In range: see the argument.
    let bytes = usize::try_from(command.max_stanza).unwrap_or(usize::MAX);
    let limits = Limits::default().with_stanza_bytes(bytes);
    let mut report = Report::new(command.json, command.quiet);
    for source in sources {
        report.file();
        if one(&source, limits, &mut report)? == Reader::Gone {
            break;
        }
    }
    // The exit code tells the result to those who do not read.
    let _ = report.totals()?;
    match report.failed() {
        0 => Ok(Exit::Done),
        failed => Err(Failure::failed(format!(
            "{failed} failed; the lines on the standard output say what is wrong and where"
        ))),
    }
}

/// All of one source, or what comes before its first fault.
fn one(source: &Source, limits: Limits, report: &mut Report) -> Result<Reader, Failure> {
    let name = source.name();
    let opened = match source {
        Source::File(path) => std::fs::File::open(path).map(|f| Box::new(f) as Box<dyn Read>),
        Source::StandardInput => Ok(Box::new(std::io::stdin().lock()) as Box<dyn Read>),
        Source::Unread(_, fault) => {
            let line = Line::fault(&name, 0, std::slice::from_ref(fault));
            return report.line(&line);
        }
    };
    let mut streams = match opened {
        Ok(input) => Streams::new(input, limits),
        Err(error) => {
            let fault = input_fault(&error);
            return report.line(&Line::fault(&name, 0, &[fault]));
        }
    };
    loop {
        let reader = match streams.next() {
            Ok(None) => return Ok(Reader::There),
            Ok(Some(Piece::Open { offset, header })) => {
                let checked = check::header(&header);
                report.line(&Line::of(&name, offset, &checked))?
            }
            Ok(Some(Piece::Element { offset, element })) => {
                let checked = Checked::of(&element, &Scope::client(), &limits);
                report.line(&Line::of(&name, offset, &checked))?
            }
            Ok(Some(Piece::Fault { offset, fault })) => {
                report.line(&Line::fault(&name, offset, &[fault]))?
            }
            Err(error) => {
                let fault = input_fault(&error);
                return report.line(&Line::fault(&name, streams.read(), &[fault]));
            }
        };
        if reader == Reader::Gone {
            return Ok(reader);
        }
    }
}

fn input_fault(error: &std::io::Error) -> Fault {
    Fault {
        rule: "input",
        section: String::new(),
        message: format!("cannot be read: {error}"),
    }
}

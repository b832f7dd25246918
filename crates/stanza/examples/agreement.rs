//! How this decoder and rxml, a parser of another make, judge every file of the folders
//! given: as a document, and as a stream. One line a count; where this decoder alone
//! refuses, the rule that it goes by. Nothing but the folders decides what is printed.
//!
//! `cargo xtask fuzz decoder` runs it on what the fuzzer kept:
//!
//! ```sh
//! cargo run -p stanchion-stanza --example agreement -- fuzz/seeds/decoder fuzz/corpus/decoder
//! ```
#![allow(clippy::print_stdout, reason = "the counts are what it is for")]

#[allow(dead_code, reason = "the property tests use more of it")]
#[path = "../tests/laws/oracle.rs"]
mod oracle;
#[path = "../tests/laws/recipe.rs"]
mod recipe;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::{env, fs, io};

use oracle::{Verdict, judge_document, judge_stream};

fn main() -> io::Result<ExitCode> {
    let folders: Vec<PathBuf> = env::args_os().skip(1).map(PathBuf::from).collect();
    if folders.is_empty() {
        eprintln!("name the folders whose files shall be judged");
        return Ok(ExitCode::from(2));
    }
    let mut counts = Counts::default();
    for folder in &folders {
        for entry in fs::read_dir(folder)? {
            counts.add(&entry?.path())?;
        }
    }
    counts.print();
    Ok(ExitCode::from(u8::from(counts.wrong > 0)))
}

/// What became of one input, in a word.
const fn word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::BothAccept => "both accept",
        Verdict::BothRefuse => "both refuse",
        Verdict::Stricter(_) => "ours alone refuses",
        Verdict::Undecided => "ours waits for the rest",
        Verdict::NamesOfRxml => "rxml alone refuses a name of XML 1.0",
        Verdict::Unfounded(_) => "ours alone refuses without reason",
        Verdict::Looser(_) => "ours is looser",
    }
}

/// What can be said of every reading, so that a 0 is printed as well.
const ALWAYS: [&str; 5] = [
    "both accept",
    "both refuse",
    "ours alone refuses",
    "ours alone refuses without reason",
    "ours is looser",
];

#[derive(Default)]
struct Counts {
    /// By reading and word, perhaps with a reason.
    by_line: BTreeMap<(&'static str, String), u64>,
    inputs: u64,
    wrong: u64,
}

impl Counts {
    fn add(&mut self, path: &Path) -> io::Result<()> {
        let input = fs::read(path)?;
        self.inputs += 1;
        for (reading, verdict) in [
            ("document", judge_document(&input)),
            ("stream", judge_stream(&input)),
        ] {
            let mut count = |line: String| *self.by_line.entry((reading, line)).or_default() += 1;
            count(word(&verdict).to_owned());
            match &verdict {
                Verdict::Stricter(rule) => count(format!("{}: {rule}", word(&verdict))),
                Verdict::Looser(_) | Verdict::Unfounded(_) => {
                    self.wrong += 1;
                    eprintln!("{}, as a {reading}: {verdict:?}", path.display());
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A count and what it counts, one a line, with a tab between.
    fn print(&mut self) {
        for reading in ["document", "stream"] {
            for always in ALWAYS {
                self.by_line
                    .entry((reading, always.to_owned()))
                    .or_default();
            }
        }
        println!("{}\tinputs", self.inputs);
        for ((reading, line), count) in &self.by_line {
            println!("{count}\t{reading}: {line}");
        }
    }
}

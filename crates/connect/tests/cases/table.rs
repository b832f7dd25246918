//! The table of the cases: written after a run, and kept in the documentation, where it
//! is also what the exact texts are compared with.

use std::fmt::Write as _;
use std::path::PathBuf;

use crate::outcome::{Expected, Outcome, Seen, Time};

/// A case that was run.
pub(crate) struct Row {
    pub(crate) family: &'static str,
    pub(crate) name: String,
    pub(crate) expected: Expected,
    pub(crate) seen: Seen,
}

/// The variable that makes the run write the documentation's table anew.
const WRITE: &str = "STANCHION_WRITE_CASES";

/// The table in the documentation.
fn documentation() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/connect-cases.md")
}

fn kept() -> String {
    std::fs::read_to_string(documentation()).unwrap()
}

impl Row {
    /// Without times: what is the same on every run.
    fn lasting(&self) -> String {
        let blame = match self.seen.outcome {
            Outcome::Session => "– | –".to_owned(),
            Outcome::Refused(kind, retry) => format!("{kind:?} | {retry:?}"),
        };
        format!(
            "| {} | {} | {blame} | {} | {} |",
            self.name.replace('_', " "),
            cell(&self.seen.text),
            self.phases(),
            match self.expected.time {
                Time::AtOnce => "at once".to_owned(),
                Time::After(time) => format!("after {:.1} s", time.as_secs_f32()),
            }
        )
    }

    fn phases(&self) -> String {
        let phases: Vec<String> = self.seen.phases.iter().map(ToString::to_string).collect();
        match phases.is_empty() {
            true => "–".to_owned(),
            false => phases.join("; "),
        }
    }
}

/// A text that may stand in a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// Panics unless the documentation has this row.
pub(crate) fn compare(row: &Row) {
    if std::env::var_os(WRITE).is_some() {
        return;
    }
    let line = row.lasting();
    assert!(
        kept().lines().any(|l| l == line),
        "docs/connect-cases.md tells it otherwise; where the new text is right, run with \
         {WRITE}=1 (docs/testing.md). Seen:\n{line}"
    );
}

/// Writes the whole table with its times below the target folder, prints it, and compares
/// it with the part of the documentation below `heading`, or writes that anew.
#[allow(clippy::print_stdout, reason = "the table is shown with --nocapture")]
pub(crate) fn close(heading: &str, file: &str, rows: &[Row]) {
    let mut timed = String::from(
        "| case | what the user is told | kind | retry | phase | milliseconds |\n\
         |---|---|---|---|---|---:|\n",
    );
    let mut lasting = String::new();
    let mut family = "";
    for row in rows {
        if row.family != family {
            family = row.family;
            let _ = write!(
                lasting,
                "\n### {family}\n\n| case | what the user is told | kind | retry | phase | when |\n\
                 |---|---|---|---|---|---|\n"
            );
        }
        let line = row.lasting();
        let (without_time, _) = line.trim_end_matches(" |").rsplit_once(" |").unwrap();
        let milliseconds = row.seen.elapsed.as_millis();
        let _ = writeln!(timed, "{without_time} | {milliseconds} |");
        let _ = writeln!(lasting, "{line}");
    }
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
        .join("..")
        .join(file);
    std::fs::write(path, &timed).unwrap();
    println!("{timed}");

    let kept = kept();
    let heading = format!("\n## {heading}\n");
    let from = kept
        .find(&heading)
        .expect("the heading is in the documentation")
        + heading.len();
    let to = kept[from..].find("\n## ").map_or(kept.len(), |n| from + n);
    if std::env::var_os(WRITE).is_some() {
        let text = format!("{}{lasting}{}", &kept[..from], &kept[to..]);
        std::fs::write(documentation(), text).unwrap();
    } else {
        assert!(
            kept[from..to] == lasting,
            "docs/connect-cases.md is not what the run says: run with {WRITE}=1 and read \
             what changed (docs/testing.md)"
        );
    }
}

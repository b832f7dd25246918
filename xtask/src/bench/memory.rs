//! What a process takes of memory when much waits: each part in a process of its own.

use super::workspace::{self, DELIVERY};
use super::{Report, listing};
use crate::failure::Outcome;
use crate::measure::Measure;
use std::process::Command;

/// A part, and the most that its process may take.
struct Part {
    /// For the program.
    name: &'static str,
    /// What is judged.
    what: &'static str,
    /// In KiB.
    below: f64,
}

/// A part that is added needs a line here, and its own in the program's `memory`.
const PARTS: [Part; 1] = [Part {
    name: "outbox",
    what: "memory/outbox",
    below: 48.0 * 1024.0,
}];

/// Measures and judges.
pub(super) fn run() -> Outcome<Report> {
    let program = DELIVERY.build()?;
    let mut values = Vec::new();
    for part in &PARTS {
        let mut fill = Command::new(&program);
        fill.args(["memory", "--part", part.name]);
        values.extend(workspace::values(&mut fill)?);
    }
    Ok(Report {
        table: listing("a million messages of 100 bytes, their peer away", &values),
        goals: judge(&values)?,
        values,
    })
}

fn judge(values: &[Measure]) -> Outcome<Vec<Measure>> {
    let judge = |part: &Part| {
        let found = workspace::find(values, part.what)?;
        Ok(Measure {
            goal: Some(format!("value < {}", part.below)),
            pass: found.value < part.below,
            ..found.clone()
        })
    };
    PARTS.iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_takes_as_much_as_the_bound_misses_the_goal() {
        for (value, pass) in [(49_151.0, true), (49_152.0, false)] {
            let found = Measure::alone("memory/outbox".to_owned(), value, "KiB");
            assert_eq!(judge(&[found]).unwrap()[0].pass, pass, "{value}");
        }
        assert!(judge(&[]).is_err());
    }
}

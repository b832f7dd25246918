//! Messages that are kept, beside bare SQLite and the disk itself: all on one disk, in one
//! run. What SQLite does in batches is judged, since that is what a store could do at best.

use super::workspace::{self, DELIVERY};
use super::{Report, listing};
use crate::failure::Outcome;
use crate::measure::Measure;
use std::process::Command;

/// The least share of what bare SQLite does in batches of as many as send at once.
const SHARE: f64 = 0.5;
/// How many send at once where that is judged.
const JUDGED: [usize; 2] = [16, 256];

/// Measures and judges.
pub(super) fn run() -> Outcome<Report> {
    let program = DELIVERY.build()?;
    let values = workspace::values(Command::new(program).arg("durable"))?;
    Ok(Report {
        table: listing("messages kept, by how many senders at once", &values),
        goals: judge(&values)?,
        values,
    })
}

fn judge(values: &[Measure]) -> Outcome<Vec<Measure>> {
    let judge = |senders| {
        let name = |what| format!("durable/{what}, {senders}");
        workspace::at_least(values, &name("stanchion"), &name("sqlite"), SHARE)
    };
    JUDGED.into_iter().map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_of_senders_is_judged_by_its_own_batch() {
        let value = |what: &str, value| Measure::alone(format!("durable/{what}"), value, "1/s");
        let values = [
            value("sqlite, 16", 1000.0),
            value("sqlite, 256", 10_000.0),
            value("stanchion, 16", 600.0),
            value("stanchion, 256", 4000.0),
        ];
        let passes: Vec<bool> = judge(&values).unwrap().iter().map(|m| m.pass).collect();
        assert_eq!(passes, [true, false]);
        assert!(judge(&values[..3]).is_err());
    }
}

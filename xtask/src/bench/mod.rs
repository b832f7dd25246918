//! `cargo xtask bench`: runs the benchmarks, reports what they measured, and judges it.
//!
//! What is timed by the piece is measured by criterion: `criterion` reads what it leaves
//! behind. What needs whole programs is measured by those of `workspace`. Each benchmark has
//! a file that knows its goals; the shape of a record is `measure`'s.

mod codec;
mod connect;
mod criterion;
mod dashboard;
mod delivery;
mod durable;
mod herd;
mod memory;
mod size;
mod workspace;

use crate::failure::{Failure, Outcome};
use crate::measure::Measure;
use clap::{Args, ValueEnum};
use std::fmt::Write as _;

#[derive(Debug, Args)]
pub(crate) struct Command {
    /// Which benchmark [default: all]
    name: Option<Name>,
    /// Print one JSON object a line: what, value, unit, against, ratio, goal, pass
    #[arg(long)]
    json: bool,
}

/// A benchmark of the project.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Name {
    /// The codec beside its peers: speed and allocations
    Codec,
    /// Logins beside those of other clients: round trips, time, CPU
    Connect,
    /// A thousand clients whose server is killed and started again
    Herd,
    /// Messages kept a second, beside bare SQLite and the disk
    Durable,
    /// Messages delivered a second, through the hub and through Prosody
    Delivery,
    /// A thousand things in the browser, each with a value a second
    Dashboard,
    /// What a million messages that wait take of memory
    Memory,
    /// The smallest useful client beside those of other makes: program and memory
    Size,
}

/// What a benchmark found out.
#[derive(Debug)]
struct Report {
    /// All values, for people.
    table: String,
    /// All values, for programs.
    values: Vec<Measure>,
    /// The values that have a goal, judged.
    goals: Vec<Measure>,
}

/// Carries out the command.
///
/// # Errors
/// `Failure::Red` when a goal is missed.
pub(crate) fn run(command: &Command) -> Outcome {
    let names = command
        .name
        .map_or_else(|| Name::value_variants().to_vec(), |name| vec![name]);
    let mut missed = 0;
    for name in names {
        let report = match name {
            Name::Codec => codec::run(command.json)?,
            Name::Connect => connect::run()?,
            Name::Herd => herd::run()?,
            Name::Durable => durable::run()?,
            Name::Delivery => delivery::run()?,
            Name::Dashboard => dashboard::run()?,
            Name::Memory => memory::run()?,
            Name::Size => size::run()?,
        };
        if command.json {
            report.values.iter().for_each(|value| value.print(true));
        } else {
            println!("{}", report.table);
        }
        for goal in report.goals {
            goal.print(command.json);
            missed += usize::from(!goal.pass);
        }
    }
    match missed {
        0 => Ok(()),
        1 => Err(Failure::Red("1 goal missed".to_owned())),
        _ => Err(Failure::Red(format!("{missed} goals missed"))),
    }
}

/// Values one below the other, under a title.
fn listing(title: &str, values: &[Measure]) -> String {
    let mut listing = format!("\n{title}\n");
    for value in values {
        let _ = writeln!(
            listing,
            "{:<48} {:>12.1} {}",
            value.what, value.value, value.unit
        );
    }
    listing
}

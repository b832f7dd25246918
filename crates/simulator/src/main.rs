//! The program behind `cargo xtask simulate`: options in, a table or JSON out. What is run
//! is the library's.
#![allow(clippy::print_stdout, reason = "it talks to a terminal")]

use std::process::ExitCode;

use clap::Parser;
use stanchion_simulator::{Plan, Selection, Switch, Switches, mutant, run};

/// Random runs of devices and servers that fail, against the laws of delivery
#[derive(Debug, Parser)]
#[command(
    name = "cargo xtask simulate",
    bin_name = "cargo xtask simulate",
    version
)]
struct Options {
    /// How many seeds
    #[arg(long, value_name = "N", default_value_t = 1000)]
    seeds: u64,
    /// The first seed
    #[arg(long, value_name = "S", default_value_t = 1)]
    from: u64,
    /// Messages of each run
    #[arg(long, value_name = "M", default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    messages: u32,
    /// This switch is on for every seed, and of the rest only those named likewise
    #[arg(long, value_name = "SWITCH", value_parser = switch)]
    only: Vec<Switch>,
    /// This switch is off
    #[arg(long, value_name = "SWITCH", value_parser = switch)]
    without: Vec<Switch>,
    /// Tell the story of one seed
    #[arg(long, value_name = "SEED", conflicts_with_all = ["shrink", "mutants", "list"])]
    trace: Option<u64>,
    /// Make a failing seed smaller: fewer switches, fewer messages
    #[arg(long, value_name = "SEED", conflicts_with_all = ["mutants", "list"])]
    shrink: Option<u64>,
    /// With one deliberate fault of the product
    #[arg(long, value_name = "NAME", conflicts_with = "mutants")]
    mutant: Option<String>,
    /// With each deliberate fault in turn, until a seed catches it
    #[arg(long)]
    mutants: bool,
    /// List the switches; with --mutants, the deliberate faults too
    #[arg(long)]
    list: bool,
    /// Print JSON: one object, or one a line for each deliberate fault
    #[arg(long)]
    json: bool,
}

fn switch(name: &str) -> Result<Switch, String> {
    Switch::named(name).ok_or_else(|| "no such switch; --list shows them".to_owned())
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        list();
        return ExitCode::SUCCESS;
    }
    match carry_out(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(2)
        }
    }
}

fn list() {
    for switch in Switch::ALL {
        println!("{:<26} {}", switch.name(), switch.what());
    }
    for (name, rule) in mutant::ALL {
        println!("mutant {name:<36} {rule}");
    }
}

/// Gives whether every law held, or every deliberate fault was caught.
fn carry_out(options: &Options) -> Result<bool, String> {
    let chosen = match &options.mutant {
        None => None,
        Some(name) if !mutant::BUILT_IN => {
            return Err(format!(
                "this build has no deliberate faults, so no `{name}`; run it by cargo xtask simulate"
            ));
        }
        Some(name) => {
            Some(mutant::known(name).ok_or_else(|| {
                format!("no deliberate fault `{name}`; --list --mutants shows them")
            })?)
        }
    };
    let set = |switches: &[Switch]| switches.iter().copied().collect::<Switches>();
    let plan = Plan {
        from: options.from,
        seeds: options.seeds,
        messages: options.messages,
        selection: Selection {
            only: (!options.only.is_empty()).then(|| set(&options.only)),
            without: set(&options.without),
        },
        mutant: chosen,
    };
    if let Some(seed) = options.trace {
        print!("{}", run::trace(seed, &plan));
        return Ok(true);
    }
    if let Some(seed) = options.shrink {
        match run::shrink(seed, &plan) {
            Some(shrunk) => println!("{}", shrunk.text(seed, &plan)),
            None => println!("seed {seed} breaks no law"),
        }
        return Ok(true);
    }
    if options.mutants {
        return hunt(&plan, options.json);
    }
    let report = run::run_all(&plan, usize::MAX);
    if options.json {
        println!("{}", report.json(&plan));
    } else {
        print!("{}", report.table(&plan));
    }
    Ok(report.failures.is_empty())
}

fn hunt(plan: &Plan, json: bool) -> Result<bool, String> {
    if mutant::ALL.is_empty() {
        return Err(
            "this build has no deliberate faults; run it by cargo xtask simulate --mutants"
                .to_owned(),
        );
    }
    // Without any, no law may be broken: else what is caught proves nothing.
    let sound = run::run_all(plan, 1);
    if let Some(failure) = sound.failures.first() {
        return Err(format!(
            "seed {} breaks a law without a deliberate fault: {}",
            failure.seed, failure.violation
        ));
    }
    let hunts = run::hunt(plan, |hunt| {
        if json {
            println!("{}", hunt.json());
        } else {
            println!("{}", hunt.line());
        }
    });
    let survived = hunts.iter().filter(|hunt| hunt.caught.is_none()).count();
    if !json {
        for (name, test) in mutant::ELSEWHERE {
            println!("{name:<36} left to {test}");
        }
        println!(
            "{} deliberate faults, {survived} survived {} seeds",
            hunts.len(),
            plan.seeds
        );
    }
    Ok(survived == 0)
}

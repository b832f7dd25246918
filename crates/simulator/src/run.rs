//! Many runs: on all processors, to the first failure of each seed; smaller runs that
//! fail in the same way; and deliberate faults, each until it is caught.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use crate::law::{Law, Violation};
use crate::mutant;
use crate::setup::Setup;
use crate::summary::Summary;
use crate::switch::{Selection, Switch, Switches};
use crate::world::World;

/// What to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// Messages of each run.
    pub messages: u32,
    /// What may go wrong.
    pub selection: Selection,
    /// A deliberate fault of the product, by name; only in a build that has them.
    pub mutant: Option<&'static str>,
}

/// A seed that broke a law.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which seed.
    pub seed: u64,
    /// What it broke.
    pub violation: Violation,
}

/// What came of a plan.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// Sums of all runs that broke no law.
    pub summary: Summary,
    /// Those that did, in order.
    pub failures: Vec<Failure>,
    /// Seeds that were run.
    pub seeds: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// One run.
///
/// # Errors
/// The first law that is broken.
pub fn run(seed: u64, plan: &Plan) -> Result<Summary, Violation> {
    guarded(|| {
        World::new(Setup::draw(seed, plan.messages, plan.selection), false)
            .run()
            .0
    })
}

fn guarded(run: impl FnOnce() -> Result<Summary, Violation>) -> Result<Summary, Violation> {
    catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or_else(|| panic.downcast_ref::<&str>().copied());
        Err(Law::Panic.broken(text.unwrap_or("of an unknown kind")))
    })
}

/// One run, told: the same for the same seed, byte for byte.
#[must_use]
pub fn trace(seed: u64, plan: &Plan) -> String {
    let _chosen = mutant::Chosen::new(plan.mutant);
    let setup = Setup::draw(seed, plan.messages, plan.selection);
    let mut story = format!("seed {seed}: {setup:#?}\n");
    let mut told = String::new();
    let ended = guarded(|| {
        let (ended, text) = World::new(setup, true).run();
        told = text;
        ended
    });
    story += &told;
    match ended {
        Ok(summary) => story += &format!("{summary:#?}\n"),
        Err(violation) if told.is_empty() => story += &format!("{violation}\n"),
        Err(_) => {}
    }
    story
}

/// All seeds of a plan, on all processors. Stops early after `enough` failures.
#[must_use]
pub fn run_all(plan: &Plan, enough: usize) -> Report {
    let begin = Instant::now();
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    let work = || {
        let _chosen = mutant::Chosen::new(plan.mutant);
        let mut own = Report::default();
        while !stop.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= plan.seeds {
                break;
            }
            let seed = plan.from.wrapping_add(at);
            own.seeds += 1;
            match run(seed, plan) {
                Ok(summary) => own.summary.add(&summary),
                Err(violation) => own.failures.push(Failure { seed, violation }),
            }
            if own.failures.len() >= enough {
                stop.store(true, Ordering::Relaxed);
            }
        }
        own
    };
    let parts: Vec<Report> = std::thread::scope(|scope| {
        let started: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        started
            .into_iter()
            .map(|worker| worker.join().unwrap_or_default())
            .collect()
    });
    let mut report = Report::default();
    for part in parts {
        report.summary.add(&part.summary);
        report.failures.extend(part.failures);
        report.seeds += part.seeds;
    }
    report.failures.sort_by_key(|failure| failure.seed);
    report.seconds = begin.elapsed().as_secs_f64();
    report
}

/// A seed that fails, made smaller: with fewer messages and fewer switches, as long as the
/// same law is broken.
#[derive(Debug, Clone)]
pub struct Shrunk {
    /// What is left on.
    pub switches: Switches,
    /// Messages that are left.
    pub messages: u32,
    /// What is broken still.
    pub violation: Violation,
}

/// Turns off one switch after the other, and halves the messages, while the seed fails.
/// None if it does not fail at all.
#[must_use]
pub fn shrink(seed: u64, plan: &Plan) -> Option<Shrunk> {
    let _chosen = mutant::Chosen::new(plan.mutant);
    let violation = run(seed, plan).err()?;
    let law = violation.law;
    let mut plan = *plan;
    let mut last = violation;
    let fails = |plan: &Plan| run(seed, plan).err().filter(|v| v.law == law);
    let mut left = Setup::draw(seed, plan.messages, plan.selection).on;
    for switch in Switch::ALL.iter().copied() {
        if !left.has(switch) {
            continue;
        }
        let fewer = left.without(Switches::default().with(switch));
        let mut tried = plan;
        // What the seed drew stays as it is, switches aside.
        tried.selection.without = tried.selection.without.with(switch);
        if let Some(violation) = fails(&tried) {
            (plan, left, last) = (tried, fewer, violation);
        }
    }
    while plan.messages > 1 {
        let mut tried = plan;
        tried.messages /= 2;
        let Some(violation) = fails(&tried) else {
            break;
        };
        (plan, last) = (tried, violation);
    }
    Some(Shrunk {
        switches: left,
        messages: plan.messages,
        violation: last,
    })
}

/// What became of a deliberate fault.
#[derive(Debug, Clone)]
pub struct Hunt {
    /// Its name.
    pub name: &'static str,
    /// The rule that it breaks.
    pub rule: &'static str,
    /// What caught it; none if it survived.
    pub caught: Option<Failure>,
    /// Seeds that were run.
    pub seeds: u64,
}

/// Runs the plan with each deliberate fault until it is caught, apart from those that other
/// tests find.
pub fn hunt(plan: &Plan, mut each: impl FnMut(&Hunt)) -> Vec<Hunt> {
    let here = mutant::ALL
        .iter()
        .filter(|(name, _)| mutant::elsewhere(name).is_none());
    let hunted = here.map(|(name, rule)| {
        let plan = Plan {
            mutant: Some(name),
            ..*plan
        };
        let report = run_all(&plan, 1);
        let hunt = Hunt {
            name,
            rule,
            caught: report.failures.into_iter().next(),
            seeds: report.seeds,
        };
        each(&hunt);
        hunt
    });
    hunted.collect()
}

//! The delivery protocol, broken on purpose: its rules one by one, random walks through
//! all that can go wrong between a sender and a receiver, every walk there is in a small
//! world, and the proof that each rule is needed.
//!
//! `STANCHION_SEED=n` runs one seed and tells its story; `STANCHION_SEEDS=n` runs so many
//! instead of the usual number.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod exhaustive;
mod explorer;
mod mutants;
mod pair;
mod receiver;
mod records;
mod sender;

use explorer::Seen;

/// Seeds of the usual run.
const SEEDS: u64 = 3000;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn the_laws_of_delivery_hold_wherever_a_random_walk_leads() {
    if let Some(seed) = number("STANCHION_SEED") {
        println!("{:?}", explorer::run(seed, None, true).unwrap());
        return;
    }
    let seeds = number("STANCHION_SEEDS").unwrap_or(SEEDS);
    let mut total = Seen::default();
    let mut broken = Vec::new();
    for seed in 0..seeds {
        match explorer::run(seed, None, false) {
            Ok(seen) => total.add(&seen),
            Err(found) => broken.push(format!("seed {seed} step {}: {}", found.steps, found.law)),
        }
    }
    println!("{seeds} seeds: {total:?}");
    let count = broken.len();
    broken.truncate(12);
    assert!(count == 0, "{count} of {seeds}\n{}", broken.join("\n"));
    // A run that tests nothing must not look like one that finds nothing.
    assert!(total.delivered > seeds && total.not_delivered > seeds / 20);
    assert!(total.rolled_back > 0 && total.peer_reset > 0);
}

#[test]
fn nothing_is_sent_twice_where_nothing_fails() {
    for seed in 0..number("STANCHION_SEEDS").unwrap_or(SEEDS) {
        if let Err(broken) = explorer::run_calm(seed, None) {
            panic!("seed {seed}: {}", broken.law);
        }
    }
}

#[test]
fn the_same_seed_gives_the_same_walk() {
    let walk = |seed| explorer::run(seed, None, false).map_err(|broken| broken.law);
    for seed in 0..20 {
        assert_eq!(walk(seed), walk(seed));
    }
}

//! Two devices that send to each other through a server that fails in every way it
//! knows, over links that break, from processes that crash: random runs, each from a
//! seed, checked at every step against the laws of delivery.
//!
//! The world (time, server, links) is in `world`, one device's process and its stand-in
//! for a driver in `device`, what must hold in `ledger`.
//!
//! `STANCHION_SEED=n` runs one seed and tells its story; `STANCHION_SEEDS=n` runs so
//! many instead of the usual number.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod device;
mod ledger;
mod world;

use std::time::Duration;

use stanchion_testkit::{
    Behaviour, Faults, Random,
    server::{AnswerToResume, Offline, WhenExpired},
};
use world::{Setup, Summary, World};

/// Seeds of the usual run.
const SEEDS: u64 = 600;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Draws a world in which everything may fail.
fn any_world(random: &mut Random) -> Setup {
    let mut engine = stanchion_reliability::engine::EngineConfig::default();
    if random.chance(600) {
        // Small bounds, so that a few messages overflow them.
        engine.window = *random.pick(&[1, 2, 4]);
        engine.in_memory = *random.pick(&[2, 4, 9]);
        engine.outbox = *random.pick(&[5, 12, 10_000]);
        engine.hand_over = *random.pick(&[1, 2, 5]);
        engine.ack_every = *random.pick(&[1, 3, 10]);
    }
    let answers: &[AnswerToResume] = &[
        AnswerToResume::Resumed,
        AnswerToResume::Resumed,
        AnswerToResume::Resumed,
        AnswerToResume::Failed,
        AnswerToResume::FailedWithCount,
        AnswerToResume::Silence,
    ];
    let rate = |random: &mut Random, most| {
        let on = random.chance(500);
        if on {
            u32::try_from(random.below(most)).unwrap_or(0)
        } else {
            0
        }
    };
    Setup {
        messages: 1 + random.below(25),
        engine,
        latency: random.time(Duration::from_millis(1), Duration::from_millis(300)),
        // Deadlines for some of them.
        deadlines: *random.pick(&[0, 300, 1000]),
        faults: Faults {
            cuts: *random.pick(&[0, 2, 6]),
            stalls: *random.pick(&[0, 0, 2]),
            crashes: *random.pick(&[0, 1, 4]),
            store_failures: *random.pick(&[0, 0, 1]),
            slow_stores: *random.pick(&[0, 1]),
            server_kills: *random.pick(&[0, 1, 3]),
        },
        behaviour: Behaviour {
            management: random.chance(850),
            resumption: random.chance(850),
            hibernation: *random.pick(&[
                Duration::from_secs(2),
                Duration::from_secs(20),
                Duration::from_secs(300),
            ]),
            answers_to_resume: std::array::from_fn(|_| *random.pick(answers)),
            expired: *random.pick(&[
                WhenExpired::Routed,
                WhenExpired::Bounced,
                WhenExpired::Dropped,
            ]),
            offline: *random.pick(&[
                Offline::Kept { most: 1000 },
                Offline::Kept { most: 3 },
                Offline::Refused,
                Offline::Dropped,
            ]),
            offline_unsynced: *random.pick(&[Duration::ZERO, Duration::from_secs(2)]),
            loses: rate(random, 200),
            bounces: rate(random, 200),
            copies: rate(random, 300),
            delays: rate(random, 300),
            ..Behaviour::default()
        },
    }
}

fn run(seed: u64, tell: bool) -> Result<Summary, String> {
    let mut random = Random::new(seed);
    let setup = any_world(&mut random);
    if tell {
        println!("seed {seed}: {setup:#?}");
    }
    let told = |law| format!("seed {seed} {law} (STANCHION_SEED={seed} tells the story)");
    World::new(setup, random, tell).run().map_err(told)
}

/// Every seed below `seeds`, in their order, on all processors.
fn run_all(seeds: u64) -> Vec<Result<Summary, String>> {
    let workers = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let work = |first: u64| {
        let own = (0..seeds).skip(first as usize).step_by(workers as usize);
        own.map(|seed| (seed, run(seed, false))).collect::<Vec<_>>()
    };
    let mut outcomes = std::thread::scope(|scope| {
        let started: Vec<_> = (0..workers)
            .map(|first| scope.spawn(move || work(first)))
            .collect();
        let ended = started
            .into_iter()
            .flat_map(|worker| worker.join().unwrap());
        ended.collect::<Vec<_>>()
    });
    outcomes.sort_by_key(|(seed, _)| *seed);
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

#[test]
fn no_message_is_lost_or_takes_effect_twice_whatever_fails() {
    if let Some(seed) = number("STANCHION_SEED") {
        println!("{:?}", run(seed, true).unwrap());
        return;
    }
    let seeds = number("STANCHION_SEEDS").unwrap_or(SEEDS);
    let mut total = Summary::default();
    let mut broken = Vec::new();
    for outcome in run_all(seeds) {
        match outcome {
            Ok(summary) => total.add(&summary),
            Err(law) => broken.push(law),
        }
    }
    println!("{seeds} seeds: {total:?}");
    broken.truncate(20);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    // A run that tests nothing must not look like one that finds nothing.
    assert!(total.acknowledged > seeds);
    assert!(total.not_delivered > 0 && total.in_doubt > 0 && total.settled_late > 0);
    assert!(total.resumed > 0 && total.crashes > 0 && total.store_failures > 0);
}

#[test]
fn the_same_seed_gives_the_same_run() {
    assert_eq!(run(42, false), run(42, false));
}

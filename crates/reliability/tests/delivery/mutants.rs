//! Each rule taken away in turn: the walks must find what it was there for.

use crate::explorer::{self, Broken};

/// Rules of the engine, which the model drives the protocol by.
const ENGINE: &[&str] = &[
    "ignore-store",
    "expire-transmitted",
    "expire-inherited",
    "transmit-before-durable",
    "receipt-before-commit",
    "hand-over-unmarked",
    "not-delivered-undurable",
];

/// The first seed that breaks a law, and how many steps were walked until then.
fn find(fault: Option<&'static str>, seeds: u64) -> Option<(u64, u64, String)> {
    let mut steps = 0;
    for seed in 0..seeds {
        let walked = explorer::run(seed, fault, false);
        let walked = walked.and_then(|seen| {
            steps += seen.steps;
            explorer::run_calm(seed, fault)
        });
        match walked {
            Ok(seen) => steps += seen.steps,
            Err(Broken { law, steps: last }) => return Some((seed, steps + last, law)),
        }
    }
    None
}

fn short(law: &str) -> &str {
    law.split([':', ';']).next().unwrap_or(law)
}

#[test]
fn each_rule_of_the_engine_is_needed() {
    let mut needless = Vec::new();
    for name in ENGINE {
        match find(Some(name), 20_000) {
            Some((seed, steps, law)) => {
                println!("{name}: seed {seed}, {steps} steps: {}", short(&law))
            }
            None => needless.push(*name),
        }
    }
    assert!(needless.is_empty(), "nothing breaks without {needless:?}");
}

/// Rules of `mutant.rs` that live in `delivery`. Four more have a test of their own in
/// `sender` or `receiver` and are not found by walks. `close-says-unknown` and
/// `forget-older-epochs` need restores that the laws excuse. Without `send-while-closing`
/// nothing breaks: what is sent then is in the answer to `close`, or refused. Without
/// `answer-any-boot` neither: an answer to an earlier process about the present epoch says
/// what that process's messages would be told again; it is there for two processes that
/// live from one store.
#[cfg(stanchion_mutants)]
const PROTOCOL: &[&str] = &[
    "accept-below-low",
    "forget-verdicts",
    "ignore-other-id",
    "ignore-prev",
    "ignore-next-prev",
    "hand-over-gaps",
    "void-handed",
    "cancel-leaves-no-tombstone",
    "cancel-without-effect",
    "accept-in-closed-epoch",
    "accept-old-epoch",
    "higher-epoch-leaves-lower-open",
    "close-keeps-held",
    "close-ignores-handed",
    "close-forgets-verdicts",
    "close-forgets-by",
    "answer-any-id",
    "settled-is-delivered",
    "low-counts-open",
    "low-counts-undurable",
    "low-is-not-told",
    "window-unbounded",
    "move-delivered",
    "move-inherited-by-others",
    "move-below-low",
    "doubt-unsent",
    "epoch-index-not-raised",
    "reset-moves-transmitted",
];

#[cfg(stanchion_mutants)]
#[test]
fn each_rule_of_the_protocol_is_needed() {
    let seeds = crate::number("STANCHION_SEEDS").unwrap_or(60_000);
    let mut needless = Vec::new();
    for name in PROTOCOL {
        stanchion_reliability::mutant::choose(Some(name));
        let found = find(None, seeds);
        stanchion_reliability::mutant::choose(None);
        match found {
            Some((seed, steps, law)) => {
                println!("{name}: seed {seed}, {steps} steps: {}", short(&law))
            }
            None => {
                println!("{name}: NOT CAUGHT");
                needless.push(*name);
            }
        }
    }
    assert!(needless.is_empty(), "nothing breaks without {needless:?}");
}

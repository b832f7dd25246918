//! A short run of the simulator, so that `cargo test` breaks when a law does; and what
//! one must be able to rely on to believe it. The long runs are `cargo xtask simulate`'s.

use std::process::Command;

use stanchion_simulator::{Law, Plan, Selection, Switch, Switches, run};

/// Seeds of the usual run.
const SEEDS: u64 = 150;

fn plan(seeds: u64, messages: u32) -> Plan {
    Plan {
        from: 1,
        seeds,
        messages,
        selection: Selection::default(),
        mutant: None,
    }
}

#[test]
fn no_message_is_lost_or_takes_effect_twice_whatever_fails() {
    let plan = plan(SEEDS, 40);
    let report = run::run_all(&plan, usize::MAX);
    assert!(report.failures.is_empty(), "{}", report.table(&plan));
    // A run that tests nothing must not look like one that finds nothing.
    let total = report.summary;
    assert_eq!((total.runs, total.messages), (SEEDS, SEEDS * 40));
    assert!(total.acknowledged + total.delivered > SEEDS * 20);
    assert!(total.not_delivered > 0 && total.in_doubt > 0 && total.settled_late > 0);
    for (switch, times) in Switch::ALL.iter().zip(&total.injected) {
        assert!(*times > 0, "{switch} did nothing");
    }
}

#[test]
fn the_same_seed_tells_the_same_story_byte_for_byte() {
    let plan = plan(1, 60);
    for seed in [3, 4, 5] {
        let story = run::trace(seed, &plan);
        assert!(story.lines().count() > 500, "{story}");
        assert_eq!(story, run::trace(seed, &plan), "seed {seed}");
    }
}

#[test]
fn every_switch_alone_is_survived() {
    for switch in Switch::ALL.iter().copied() {
        let mut plan = plan(12, 40);
        let mut only = Switches::default().with(switch);
        // These show only beside others.
        match switch {
            Switch::PowerLoss => only = only.with(Switch::ServerKilled),
            Switch::ResumeRefused | Switch::ResumeRefusedWithCount | Switch::ResumeUnanswered => {
                only = only.with(Switch::Cut);
            }
            _ => {}
        }
        plan.selection.only = Some(only);
        let report = run::run_all(&plan, usize::MAX);
        assert!(report.failures.is_empty(), "{}", report.table(&plan));
    }
}

#[test]
fn json_says_what_was_run_and_what_was_broken() {
    let plan = plan(3, 10);
    let report = run::run_all(&plan, usize::MAX);
    let json = report.json(&plan);
    assert_eq!(json["seeds"], 3);
    assert_eq!(json["messages"], 30);
    for law in Law::ALL {
        assert_eq!(json["violations"][law.name()], 0);
    }
    assert!(json["first_failure"].is_null());
}

#[test]
fn the_program_refuses_what_it_does_not_know() {
    let run = |words: &[&str]| {
        let program = env!("CARGO_BIN_EXE_stanchion-simulator");
        let output = Command::new(program).args(words).output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, error) = run(&["--only", "earthquake"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("no such switch"), "{error}");
    let (code, error) = run(&["--mutant", "gremlin"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("gremlin"), "{error}");
    assert_eq!(run(&["--seeds", "2", "--messages", "5"]).0, Some(0));
}

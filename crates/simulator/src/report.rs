//! What a person, or a program, is told of runs: a table, a JSON object, and the command
//! that repeats a failure.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

use crate::law::Law;
use crate::run::{Failure, Hunt, Plan, Report, Shrunk};
use crate::summary::Traffic;
use crate::switch::Switch;

/// Failures that are shown one by one, to people and to programs.
const SHOWN: usize = 10;
const LISTED: usize = 1000;

/// The command that tells the story of a seed.
#[must_use]
pub fn command(seed: u64, plan: &Plan) -> String {
    let mut line = format!(
        "cargo xtask simulate --trace {seed} --messages {}",
        plan.messages
    );
    if let Some(name) = plan.mutant {
        let _ = write!(line, " --mutant {name}");
    }
    for switch in plan.selection.only.iter().flat_map(|only| only.iter()) {
        let _ = write!(line, " --only {switch}");
    }
    for switch in plan.selection.without.iter() {
        let _ = write!(line, " --without {switch}");
    }
    line
}

impl Report {
    /// How often a law was broken.
    #[must_use]
    pub fn broken(&self, law: Law) -> usize {
        self.failures
            .iter()
            .filter(|f| f.violation.law == law)
            .count()
    }

    fn rate(&self) -> f64 {
        self.seeds as f64 / self.seconds.max(0.001)
    }

    fn outcomes(&self) -> [(&'static str, u64); 10] {
        let s = &self.summary;
        [
            ("delivered", s.delivered),
            ("acknowledged", s.acknowledged),
            ("not-delivered", s.not_delivered),
            ("in-doubt", s.in_doubt),
            ("settled-after-doubt", s.settled_late),
            ("redelivered-with-warning", s.redelivered),
            ("overtaken", s.overtaken),
            ("forgotten-with-store", s.forgotten),
            ("undone-with-store", s.undone),
            ("repeated-after-set-back", s.repeated),
        ]
    }

    fn amplification(&self) -> [(&'static str, Traffic, Option<&'static str>); 3] {
        let s = &self.summary;
        [
            ("clean", s.clean, Some("<= 1.05")),
            ("light", s.light, Some("<= 1.5")),
            ("rough", s.rough, None),
        ]
    }

    /// One JSON object.
    #[must_use]
    pub fn json(&self, plan: &Plan) -> Value {
        let counts = Law::ALL
            .iter()
            .map(|law| (law.name().to_owned(), json!(self.broken(*law))));
        let faults = Switch::ALL
            .iter()
            .zip(&self.summary.injected)
            .map(|(switch, times)| (switch.name().to_owned(), json!(times)));
        let outcomes = self
            .outcomes()
            .map(|(name, times)| (name.to_owned(), json!(times)));
        let amplification = self
            .amplification()
            .map(|(name, traffic, _)| (name.to_owned(), json!(traffic.ratio())));
        let most = self.summary.most;
        let first = self.failures.first().map(|f| failure_json(f, plan));
        let listed = self.failures.iter().take(LISTED);
        let listed: Vec<_> = listed.map(|f| failure_json(f, plan)).collect();
        json!({
            "seeds": self.seeds,
            "from": plan.from,
            "messages_per_seed": plan.messages,
            "messages": self.summary.messages,
            "mutant": plan.mutant,
            "violations": Map::from_iter(counts),
            "failed_seeds": self.failures.len(),
            "first_failure": first,
            "failures": listed,
            "outcomes": Map::from_iter(outcomes),
            "faults": Map::from_iter(faults),
            "amplification": Map::from_iter(amplification),
            "most": {
                "window": most.window,
                "unacknowledged": most.unacknowledged,
                "arriving": most.arriving,
                "handed_over": most.handed_over,
                "doubts": most.doubts,
                "committing": most.committing,
            },
            "bundled": self.summary.bundled,
            "resumed": self.summary.resumed,
            "duplicates": self.summary.duplicates,
            "events": self.summary.events,
            "virtual_seconds": self.summary.seconds,
            "seconds": self.seconds,
            "seeds_per_second": self.rate(),
        })
    }

    /// A table for people.
    #[must_use]
    pub fn table(&self, plan: &Plan) -> String {
        let mut text = String::new();
        let line = |text: &mut String, name: &str, value: &dyn std::fmt::Display| {
            let _ = writeln!(text, "  {name:<26} {value:>12}");
        };
        let _ = writeln!(
            text,
            "{} seeds from {}, {} messages each: {:.1} s, {:.1} seeds/s, {:.1} virtual hours",
            self.seeds,
            plan.from,
            plan.messages,
            self.seconds,
            self.rate(),
            self.summary.seconds as f64 / 3600.0
        );
        text += "laws broken\n";
        for law in Law::ALL {
            line(&mut text, law.name(), &self.broken(law));
        }
        text += "outcomes\n";
        for (name, times) in self.outcomes() {
            line(&mut text, name, &times);
        }
        text += "transmissions for each message\n";
        for (name, traffic, goal) in self.amplification() {
            let ratio = traffic
                .ratio()
                .map_or_else(|| "-".to_owned(), |r| format!("{r:.3}"));
            let goal = goal
                .map(|goal| format!("  goal {goal}"))
                .unwrap_or_default();
            line(&mut text, name, &(ratio + &goal));
        }
        line(&mut text, "sent with others", &self.summary.bundled);
        let most = self.summary.most;
        let _ = writeln!(
            text,
            "most in memory: window {}, unacknowledged {}, arriving {}, handed over {}, doubts {}, committing {}",
            most.window,
            most.unacknowledged,
            most.arriving,
            most.handed_over,
            most.doubts,
            most.committing
        );
        text += "faults\n";
        for (switch, times) in Switch::ALL.iter().zip(&self.summary.injected) {
            line(&mut text, switch.name(), times);
        }
        for failure in self.failures.iter().take(SHOWN) {
            let _ = writeln!(
                text,
                "seed {} broke a law: {}",
                failure.seed, failure.violation
            );
        }
        if let Some(first) = self.failures.first() {
            let _ = writeln!(text, "to see it again: {}", command(first.seed, plan));
        }
        text
    }
}

fn failure_json(failure: &Failure, plan: &Plan) -> Value {
    json!({
        "seed": failure.seed,
        "law": failure.violation.law.name(),
        "how": failure.violation.how,
        "command": command(failure.seed, plan),
    })
}

impl Shrunk {
    /// What is left, and the command that repeats it.
    #[must_use]
    pub fn text(&self, seed: u64, plan: &Plan) -> String {
        let mut plan = *plan;
        plan.messages = self.messages;
        plan.selection.only = Some(self.switches);
        plan.selection.without = crate::Switches::default();
        let names: Vec<_> = self.switches.iter().map(Switch::name).collect();
        format!(
            "{}\nneeds {} messages and: {}\nto see it again: {}",
            self.violation,
            self.messages,
            names.join(", "),
            command(seed, &plan)
        )
    }
}

impl Hunt {
    /// One JSON object.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "mutant": self.name,
            "rule": self.rule,
            "caught": self.caught.is_some(),
            "seed": self.caught.as_ref().map(|f| f.seed),
            "law": self.caught.as_ref().map(|f| f.violation.law.name()),
            "how": self.caught.as_ref().map(|f| f.violation.how.clone()),
            "seeds": self.seeds,
        })
    }

    /// A line of a table.
    #[must_use]
    pub fn line(&self) -> String {
        let (verdict, how) = match &self.caught {
            Some(f) => (
                format!("caught by seed {}, {}", f.seed, f.violation.law.name()),
                f.violation.how.as_str(),
            ),
            None => ("SURVIVED".to_owned(), ""),
        };
        format!(
            "{:<36} {verdict} ({} seeds)\n    rule: {}\n    {how}",
            self.name, self.seeds, self.rule
        )
    }
}

//! What was measured, and how it is shown: a table for people, JSON lines for scripts.

use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// What one case measured, in the order in which it did.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Figures(Vec<Figure>);

#[derive(Debug, Clone, PartialEq)]
struct Figure {
    what: String,
    value: Value,
    unit: &'static str,
}

impl Figures {
    pub(super) fn count(&mut self, what: &str, n: usize) {
        self.add(what, n.into(), "");
    }

    pub(super) fn ms(&mut self, what: &str, time: Duration) {
        self.add(what, round(time.as_secs_f64() * 1000.0).into(), " ms");
    }

    pub(super) fn seconds(&mut self, what: &str, time: Duration) {
        self.add(what, round(time.as_secs_f64()).into(), " s");
    }

    pub(super) fn word(&mut self, what: &str, word: &str) {
        self.add(what, word.into(), "");
    }

    /// The middle and the longest of some times.
    pub(super) fn spread(&mut self, what: &str, mut times: Vec<Duration>) {
        times.sort();
        if let (Some(middle), Some(last)) = (times.get(times.len() / 2), times.last()) {
            self.ms(&format!("{what}, median"), *middle);
            self.ms(&format!("{what}, longest"), *last);
        }
    }

    fn add(&mut self, what: &str, value: Value, unit: &'static str) {
        let what = what.to_owned();
        self.0.push(Figure { what, value, unit });
    }

    fn text(&self) -> String {
        let texts: Vec<String> = self
            .0
            .iter()
            .map(|Figure { what, value, unit }| match value {
                Value::String(word) => format!("{what}: {word}"),
                value => format!("{what} {value}{unit}"),
            })
            .collect();
        texts.join("; ")
    }

    fn json(&self) -> Value {
        let key = |figure: &Figure| match figure.unit {
            "" => figure.what.clone(),
            unit => format!("{} ({})", figure.what, unit.trim()),
        };
        let all: Map<String, Value> = self
            .0
            .iter()
            .map(|figure| (key(figure), figure.value.clone()))
            .collect();
        all.into()
    }
}

/// To a tenth.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// How a case ended on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// Why.
    Fail(String),
    /// Why not.
    NotRun(String),
}

impl Verdict {
    const fn word(&self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail(_) => "FAIL",
            Self::NotRun(_) => "not run",
        }
    }
}

/// A row of the table.
#[derive(Debug, Clone)]
pub(super) struct Row {
    /// `1` to `5` in the paper; ours have none.
    pub(super) paper: Option<u8>,
    pub(super) case: &'static str,
    /// What has to hold.
    pub(super) law: &'static str,
    /// The server, or the platform.
    pub(super) on: String,
    pub(super) figures: Figures,
    pub(super) verdict: Verdict,
    pub(super) took: Duration,
}

impl Row {
    pub(super) const fn failed(&self) -> bool {
        matches!(self.verdict, Verdict::Fail(_))
    }

    /// One line as soon as it is known, for whoever waits.
    pub(super) fn line(&self) -> String {
        let case = format!("{}, {}", self.case, self.on);
        let took = self.took.as_secs_f64();
        format!("{case:<64} {:<7} {took:>5.1} s", self.verdict.word())
    }

    /// The row for a script. Keys are only added.
    pub(super) fn json(&self) -> Value {
        json!({
            "paper": self.paper, "case": self.case, "server": self.on,
            "measured": self.figures.json(), "verdict": self.verdict.word(),
            "why": match &self.verdict {
                Verdict::Pass => self.law,
                Verdict::Fail(why) | Verdict::NotRun(why) => why,
            },
            "seconds": round(self.took.as_secs_f64()),
        })
    }
}

/// The table: the rows of a case below each other, with what has to hold above them.
pub(super) fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    let mut cases: Vec<&'static str> = Vec::new();
    for row in rows {
        if !cases.contains(&row.case) {
            cases.push(row.case);
        }
    }
    for case in cases {
        let own: Vec<&Row> = rows.iter().filter(|row| row.case == case).collect();
        let Some(first) = own.first() else { continue };
        let number = first.paper.map_or_else(String::new, |n| n.to_string());
        let _ = writeln!(text, "\n{number:<2} {case}: {}", first.law);
        for row in own {
            let (word, measured) = (row.verdict.word(), row.figures.text());
            let line = format!("   {:<26} {word:<7} {measured}", row.on);
            let _ = writeln!(text, "{}", line.trim_end());
            if let Verdict::Fail(why) | Verdict::NotRun(why) = &row.verdict {
                let _ = writeln!(text, "   {:<26} {why}", "");
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(verdict: Verdict) -> Row {
        let mut figures = Figures::default();
        figures.count("sent", 3);
        figures.ms("found", Duration::from_micros(12_340));
        Row {
            paper: Some(1),
            case: "a case",
            law: "it holds",
            on: "hub".to_owned(),
            figures,
            verdict,
            took: Duration::from_secs(2),
        }
    }

    #[test]
    fn a_row_says_what_was_measured_and_why_it_failed() {
        let rows = [
            row(Verdict::Pass),
            row(Verdict::Fail("it broke".to_owned())),
        ];
        let text = table(&rows);
        for part in [
            "1  a case: it holds",
            "sent 3; found 12.3 ms",
            "FAIL",
            "it broke",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let json = rows[1].json();
        assert_eq!(json["measured"]["found (ms)"], 12.3);
        assert_eq!(
            (&json["verdict"], &json["why"]),
            (&"FAIL".into(), &"it broke".into())
        );
        assert!(rows[1].failed() && !rows[0].failed());
    }

    #[test]
    fn of_times_the_middle_and_the_longest_are_shown() {
        let mut figures = Figures::default();
        figures.spread("outcome", [5, 1, 9].map(Duration::from_millis).into());
        assert_eq!(
            figures.text(),
            "outcome, median 5.0 ms; outcome, longest 9.0 ms"
        );
    }
}

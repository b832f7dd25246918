//! What a scenario found: figures, and promises that were kept or not.

use std::fmt::Write as _;

use serde_json::{Value, json};

/// What was found.
#[derive(Debug)]
pub(crate) struct Report {
    name: &'static str,
    server: String,
    figures: Vec<(&'static str, Value)>,
    promises: Vec<Promise>,
}

#[derive(Debug)]
struct Promise {
    what: String,
    kept: bool,
    seen: String,
}

impl Report {
    pub(crate) fn new(name: &'static str, server: impl ToString) -> Self {
        Self {
            name,
            server: server.to_string(),
            figures: Vec::new(),
            promises: Vec::new(),
        }
    }

    /// A figure, for information.
    pub(crate) fn figure(&mut self, name: &'static str, value: impl Into<Value>) {
        self.figures.push((name, value.into()));
    }

    /// A promise, whether it was kept, and what was seen.
    pub(crate) fn promise(&mut self, what: impl Into<String>, kept: bool, seen: impl ToString) {
        self.promises.push(Promise {
            what: what.into(),
            kept,
            seen: seen.to_string(),
        });
    }

    /// Something that must not be, and how often it was.
    pub(crate) fn none(&mut self, what: impl Into<String>, seen: usize) {
        self.promise(what, seen == 0, seen);
    }

    pub(crate) fn passed(&self) -> bool {
        self.promises.iter().all(|promise| promise.kept)
    }

    pub(crate) fn text(&self) -> String {
        let mut text = format!("{} on {}\n", self.name, self.server);
        for (name, value) in &self.figures {
            let _ = writeln!(text, "  {name}: {}", plain(value));
        }
        for promise in &self.promises {
            let word = if promise.kept { "kept  " } else { "BROKEN" };
            let _ = writeln!(text, "  {word}  {}: {}", promise.what, promise.seen);
        }
        let verdict = if self.passed() { "passed" } else { "FAILED" };
        text + verdict
    }

    pub(crate) fn json(&self) -> String {
        let figures: serde_json::Map<_, _> = (self.figures.iter())
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let promise = |p: &Promise| json!({ "what": p.what, "kept": p.kept, "seen": p.seen });
        json!({
            "scenario": self.name,
            "server": self.server,
            "passed": self.passed(),
            "figures": figures,
            "promises": self.promises.iter().map(promise).collect::<Vec<_>>(),
        })
        .to_string()
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

//! What a caller of the connector sees: whether there is a session, what the user is
//! told with all its causes, whom it blames, and how long it took. Shared by the cases
//! with scripted servers and those with real ones.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use stanchion_connect::error::ConnectError;
use stanchion_connect::resolve::ResolveError;
use stanchion_connect::{
    Connect, ConnectEvent, Connection, Connector, Kind, Phase, ResumeToken, Resumption, Retry,
};

/// How it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Session,
    Refused(Kind, Retry),
}

/// How long it may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Time {
    /// No deadline has to pass.
    AtOnce,
    /// Deadlines of so much in all have to pass.
    After(Duration),
}

/// What a busy machine may add.
const SLACK: Duration = Duration::from_secs(8);

/// What is expected of a case. The exact text stands in the documentation's table.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) outcome: Outcome,
    /// Where each attempt failed.
    pub(crate) phases: &'static [Phase],
    pub(crate) time: Time,
    /// What the user has to be told, whatever else.
    pub(crate) says: &'static [&'static str],
}

/// What was seen.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) outcome: Outcome,
    pub(crate) phases: Vec<Phase>,
    pub(crate) text: String,
    pub(crate) elapsed: Duration,
}

impl Expected {
    /// Panics where `seen` is otherwise.
    pub(crate) fn check(&self, name: &str, seen: &Seen) {
        let text = &seen.text;
        assert_eq!(seen.outcome, self.outcome, "{name}: {text}");
        assert_eq!(seen.phases, self.phases, "{name}: {text}");
        for needed in self.says {
            assert!(text.contains(needed), "{name}: no {needed:?} in {text:?}");
        }
        let least = match self.time {
            Time::AtOnce => Duration::ZERO,
            Time::After(time) => time,
        };
        let most = least + SLACK;
        let took = seen.elapsed;
        assert!(
            took >= least && took < most,
            "{name}: {took:?}, not {least:?} to {most:?}"
        );
    }
}

/// Connects once, and notes what a caller learns. Gives the connector back.
pub(crate) async fn watch(connector: Connector, resume: Option<ResumeToken>) -> (Seen, Connector) {
    let phases = Arc::new(Mutex::new(Vec::new()));
    let ear = Arc::clone(&phases);
    let connector = connector.with_observer(Arc::new(move |event: &ConnectEvent<'_>| {
        if let ConnectEvent::Failed(attempt) = event {
            ear.lock().unwrap().push(attempt.phase);
        }
    }));
    let begin = Instant::now();
    let result = connector.connect(resume).await;
    let elapsed = begin.elapsed();
    let mut phases = std::mem::take(&mut *phases.lock().unwrap());
    let (outcome, text) = match &result {
        Ok(connection) => (Outcome::Session, session(connection)),
        Err(error) => {
            // What fails before there is a candidate is nobody's attempt.
            match error {
                _ if !phases.is_empty() => {}
                ConnectError::Resolve(
                    ResolveError::NotOffered { .. } | ResolveError::InvalidName { .. },
                ) => phases.push(Phase::Resolve),
                ConnectError::Deadline { phase, .. } => phases.push(*phase),
                _ => {}
            }
            (Outcome::Refused(error.kind(), error.retry()), told(error))
        }
    };
    let seen = Seen {
        outcome,
        phases,
        text,
        elapsed,
    };
    (seen, connector)
}

/// An error with all its causes, as the user is told.
pub(crate) fn told(error: &ConnectError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

fn session(connection: &Connection) -> String {
    let mut text = format!("a session at {}", connection.endpoint);
    match connection.established.resumption {
        Resumption::Resumed { .. } => text.push_str(", the one before"),
        Resumption::Failed { reason, .. } => {
            let _ = write!(text, ", a new one: the one before is lost ({reason:?})");
        }
        _ => {}
    }
    if connection.established.stream_management.is_none() {
        text.push_str(", without stream management");
    }
    for attempt in &connection.failed {
        let _ = write!(
            text,
            "; before, {}: {}",
            attempt.endpoint,
            told(&attempt.error)
        );
    }
    text
}

/// What is another on each run, or each system, taken out of a text.
pub(crate) fn without_chance(text: &str) -> String {
    let text = fingerprints_out(text);
    between_out(
        &between_out(&text, " (os error ", ")", ""),
        ", ",
        " s): ",
        "): ",
    )
}

/// Fingerprints are 32 bytes in hexadecimal digits, with colons between.
fn fingerprints_out(text: &str) -> String {
    const LENGTH: usize = 32 * 3 - 1;
    let is_one = |part: &str| {
        part.bytes().enumerate().all(|(n, b)| match n % 3 {
            2 => b == b':',
            _ => b.is_ascii_hexdigit(),
        })
    };
    let mut out = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match rest.get(..LENGTH) {
            Some(part) if is_one(part) => {
                out.push_str("FINGERPRINT");
                rest = &rest[LENGTH..];
            }
            _ => {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    out
}

/// Replaces each number between `before` and `after`, and both, by `instead`.
fn between_out(text: &str, before: &str, after: &str, instead: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(before) {
        let (head, tail) = rest.split_at(at);
        out.push_str(head);
        let inner = &tail[before.len()..];
        let digits = inner
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(inner.len());
        match inner[digits..].strip_prefix(after) {
            Some(behind) if digits > 0 => {
                out.push_str(instead);
                rest = behind;
            }
            _ => {
                out.push_str(before);
                rest = inner;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_chance_decides_is_taken_out() {
        let pin = "0A:".repeat(31) + "FF";
        let text = format!("a, b, pin {pin} (os error 111); at x (TCP, 0.3 s): é");
        assert_eq!(
            without_chance(&text),
            "a, b, pin FINGERPRINT; at x (TCP): é"
        );
    }
}

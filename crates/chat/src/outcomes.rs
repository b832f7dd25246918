//! What became of what a verb sent, as it is told: a line each, or one for the only one; as
//! text or as JSON. What an outcome means, and the exit code, are the verb's.

use std::time::Duration;

use serde_json::json;

use crate::exit::Failure;
use crate::terminal::{Reader, harmless, json_line, print};

/// What became of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Told<'a> {
    /// Which, from 1.
    pub(crate) number: u64,
    /// Its id, if it came so far as to have one.
    pub(crate) id: Option<&'a str>,
    /// To whom it went, where that is the verb's to say.
    pub(crate) to: Option<&'a str>,
    /// The outcome, in one word.
    pub(crate) outcome: &'static str,
    /// Whether that is what was wanted.
    pub(crate) good: bool,
    /// The outcome, for people.
    pub(crate) detail: &'a str,
    /// How long it took.
    pub(crate) took: Duration,
}

/// How outcomes are told.
#[derive(Debug)]
pub(crate) struct Outcomes {
    /// One JSON object each.
    json: bool,
    /// There is one only: it has no number, and if it is bad, the exit tells of it.
    one: bool,
    /// The last one that was not good, for people.
    worst: Option<String>,
    /// Nobody reads them any more; the exit code still tells.
    unread: bool,
}

impl Outcomes {
    /// Of one, or of many.
    pub(crate) const fn new(json: bool, one: bool) -> Self {
        Self {
            json,
            one,
            worst: None,
            unread: false,
        }
    }

    /// The last one that was not good.
    pub(crate) fn worst(&self) -> Option<&str> {
        self.worst.as_deref()
    }

    /// Tells of one.
    ///
    /// # Errors
    /// The output cannot be written. That nobody reads it is none.
    pub(crate) fn tell(&mut self, told: Told<'_>) -> Result<(), Failure> {
        if !told.good {
            self.worst = Some(told.detail.to_owned());
        }
        if let Some(line) = self.line(told)
            && !self.unread
        {
            self.unread = print(&line)? == Reader::Gone;
        }
        Ok(())
    }

    /// The line of it; none where the line on standard error says it.
    fn line(&self, told: Told<'_>) -> Option<String> {
        let Told {
            number,
            id,
            to,
            outcome,
            good,
            detail,
            took,
        } = told;
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if self.json {
            let mut line = json!({
                "line": (!self.one).then_some(number), "id": id,
                "outcome": outcome, "detail": detail, "ms": ms,
            });
            if let (Some(to), Some(line)) = (to, line.as_object_mut()) {
                line.insert("to".to_owned(), to.into());
            }
            return Some(json_line(&line));
        }
        match (self.one, good) {
            (false, _) => Some(harmless(&format!("line {number}: {detail} ({ms} ms)"))),
            (true, true) => Some(harmless(&format!("{detail} ({ms} ms)"))),
            (true, false) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(good: bool) -> Told<'static> {
        Told {
            number: 2,
            id: Some("a"),
            to: None,
            outcome: "refused",
            good,
            detail: "no\u{1b}[2J",
            took: Duration::from_millis(7),
        }
    }

    #[test]
    fn one_that_failed_has_no_line_of_its_own_but_as_json() {
        assert_eq!(Outcomes::new(false, true).line(told(false)), None);
        assert!(Outcomes::new(true, true).line(told(false)).is_some());
        assert!(Outcomes::new(false, true).line(told(true)).is_some());
    }

    #[test]
    fn what_a_peer_said_cannot_draw_on_the_terminal() {
        for json in [false, true] {
            let line = Outcomes::new(json, false).line(told(false)).unwrap();
            assert!(!line.contains('\u{1b}'), "{line:?}");
        }
    }

    #[test]
    fn the_last_bad_one_is_remembered() {
        let mut outcomes = Outcomes::new(false, true);
        outcomes.tell(told(false)).unwrap();
        assert_eq!(outcomes.worst(), Some("no\u{1b}[2J"));
    }

    #[test]
    fn a_recipient_is_told_where_there_is_one() {
        let of = |to| {
            let line = Outcomes::new(true, false).line(Told { to, ..told(true) });
            serde_json::from_str::<serde_json::Value>(&line.unwrap()).unwrap()
        };
        assert_eq!(of(Some("b@x.test"))["to"], "b@x.test");
        assert_eq!(of(None).get("to"), None);
    }
}

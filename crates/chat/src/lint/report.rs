//! What is printed: a line for each stanza or fault, and the totals.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Fault;
use super::check::{Checked, Found};
use crate::exit::Failure;
use crate::terminal::{Reader, harmless, json_line, print};

/// One stanza, or what is there in place of one.
pub(super) struct Line<'a> {
    file: &'a str,
    offset: u64,
    /// `None` if there was no stanza to look at.
    checked: Option<&'a Checked>,
    faults: &'a [Fault],
}

impl<'a> Line<'a> {
    pub(super) fn of(file: &'a str, offset: u64, checked: &'a Checked) -> Self {
        Self {
            file,
            offset,
            checked: Some(checked),
            faults: &checked.faults,
        }
    }

    pub(super) const fn fault(file: &'a str, offset: u64, faults: &'a [Fault]) -> Self {
        Self {
            file,
            offset,
            checked: None,
            faults,
        }
    }

    /// A line if all is well, else one for each fault.
    fn lines(&self, write: impl Fn(&Self, Option<&Fault>) -> String) -> String {
        if self.faults.is_empty() {
            return write(self, None);
        }
        let lines: Vec<_> = self.faults.iter().map(|f| write(self, Some(f))).collect();
        lines.join("\n")
    }

    fn text(&self, fault: Option<&Fault>) -> String {
        let word = if fault.is_some() { "FAILED" } else { "ok" };
        let mut line = format!("{}:{}: {word}", self.file, self.offset);
        if let Some(checked) = self.checked {
            let _ = write!(line, ": {}", checked.kind);
        }
        match (fault, self.checked) {
            (Some(fault), _) => {
                let _ = write!(line, ": {} [{}", fault.message, fault.rule);
                if !fault.section.is_empty() {
                    let _ = write!(line, ", {}", fault.section);
                }
                line.push(']');
            }
            (None, Some(checked)) => {
                let payloads = checked.payloads.iter().map(in_words);
                let more = (checked.more > 0).then(|| format!("{} more", checked.more));
                let all: Vec<_> = payloads.chain(more).collect();
                if !all.is_empty() {
                    let _ = write!(line, ": {}", all.join(", "));
                }
            }
            (None, None) => {}
        }
        harmless(&line)
    }

    fn json(&self, fault: Option<&Fault>) -> String {
        let payloads = self.checked.map(|c| c.payloads.iter().map(in_json));
        let section = fault.map(|f| f.section.as_str());
        json_line(&json!({
            "file": self.file,
            "offset": self.offset,
            "kind": self.checked.map(|c| c.kind.as_str()),
            "payloads": payloads.into_iter().flatten().collect::<Value>(),
            "ok": fault.is_none(),
            "rule": fault.map(|f| f.rule),
            "section": section.filter(|s| !s.is_empty()),
            "message": fault.map(|f| f.message.as_str()),
        }))
    }
}

fn in_words(found: &Found) -> String {
    let mut words = match found.known {
        Some(meaning) => format!("{} ({})", meaning.what, meaning.specification),
        None => format!("{{{}}}{}, not typed", found.ns, found.name),
    };
    if found.count > 1 {
        let _ = write!(words, " ×{}", found.count);
    }
    words
}

fn in_json(found: &Found) -> Value {
    json!({
        "name": found.name,
        "namespace": found.ns,
        "count": found.count,
        "what": found.known.map(|m| m.what),
        "specification": found.known.map(|m| m.specification),
    })
}

/// What was told so far.
pub(super) struct Report {
    json: bool,
    quiet: bool,
    files: u64,
    ok: u64,
    failed: u64,
}

impl Report {
    pub(super) const fn new(json: bool, quiet: bool) -> Self {
        Self {
            json,
            quiet,
            files: 0,
            ok: 0,
            failed: 0,
        }
    }

    /// Another file is begun.
    pub(super) const fn file(&mut self) {
        self.files += 1;
    }

    pub(super) const fn failed(&self) -> u64 {
        self.failed
    }

    /// Counts a stanza or fault, and tells of it.
    ///
    /// # Errors
    /// The standard output's.
    pub(super) fn line(&mut self, line: &Line<'_>) -> Result<Reader, Failure> {
        if line.faults.is_empty() {
            self.ok += 1;
            if self.quiet {
                return Ok(Reader::There);
            }
        } else {
            self.failed += 1;
        }
        print(&match self.json {
            true => line.lines(Line::json),
            false => line.lines(Line::text),
        })
    }

    /// Tells the totals.
    ///
    /// # Errors
    /// The standard output's.
    pub(super) fn totals(&self) -> Result<Reader, Failure> {
        let Self {
            files, ok, failed, ..
        } = self;
        print(&match self.json {
            true => json!({ "totals": { "files": files, "ok": ok, "failed": failed } }).to_string(),
            false => format!("{ok} ok, {failed} failed"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::check::Meaning;
    use super::*;

    fn checked() -> Checked {
        let found = |name: &str, ns: &str, count| Found {
            name: name.to_owned(),
            ns: ns.to_owned(),
            known: None,
            count,
        };
        let receipt = Found {
            known: Some(Meaning {
                what: "receipt request",
                specification: "XEP-0184",
            }),
            ..found("request", "urn:xmpp:receipts", 1)
        };
        Checked {
            kind: "message chat".to_owned(),
            payloads: vec![receipt, found("e", "urn:e\u{1b}", 2)],
            more: 3,
            faults: Vec::new(),
        }
    }

    fn fault(section: &str) -> Fault {
        Fault {
            rule: "missing-attribute",
            section: section.to_owned(),
            message: "no id".to_owned(),
        }
    }

    #[test]
    fn a_line_names_kind_and_payloads() {
        let checked = checked();
        let line = Line::of("a.xml", 7, &checked);
        assert_eq!(
            line.lines(Line::text),
            "a.xml:7: ok: message chat: receipt request (XEP-0184), \
             {urn:e\\u{1b}}e, not typed ×2, 3 more"
        );
    }

    #[test]
    fn each_fault_has_a_line() {
        let mut checked = checked();
        checked.faults = vec![fault("XEP-0184 §5"), fault("")];
        let line = Line::of("a.xml", 7, &checked);
        assert_eq!(
            line.lines(Line::text),
            "a.xml:7: FAILED: message chat: no id [missing-attribute, XEP-0184 §5]\n\
             a.xml:7: FAILED: message chat: no id [missing-attribute]"
        );
        let faults = [fault("XEP-0184 §5")];
        let line = Line::fault("-", 0, &faults);
        let json: Value = serde_json::from_str(&line.lines(Line::json)).unwrap();
        let expected = json!({
            "file": "-", "offset": 0, "kind": null, "payloads": [], "ok": false,
            "rule": "missing-attribute", "section": "XEP-0184 §5", "message": "no id",
        });
        assert_eq!(json, expected);
    }
}

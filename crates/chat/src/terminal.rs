//! What reaches the terminal and the pipes: text of strangers made harmless, and readers
//! that go away.

use std::io::{self, Write as _};

use serde_json::Value;

use crate::exit::Failure;

/// Whether somebody still reads the standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Reader {
    /// The line was written and flushed.
    There,
    /// The pipe was closed at its other end, as `head` does.
    Gone,
}

/// How wide a text for people may be: as the terminal, within reason; 80 where there is
/// none.
pub(crate) fn columns() -> usize {
    let wide = terminal_size::terminal_size().map(|(columns, _)| usize::from(columns.0));
    wide.unwrap_or(80).clamp(60, 160)
}

/// Text as one line that cannot control a terminal: control characters, and those that
/// turn the direction of writing, are spelled out, as in `\u{1b}`. Tabs stay.
pub(crate) fn harmless(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\t' && is_harmful(c) {
            line.extend(c.escape_default());
        } else {
            line.push(c);
        }
    }
    line
}

/// A JSON value as one line. JSON itself leaves some control characters as they are;
/// here they are escaped, too, and a parser reads the same.
pub(crate) fn json_line(value: &Value) -> String {
    let mut line = String::new();
    for c in value.to_string().chars() {
        if is_harmful(c) {
            line.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            line.push(c);
        }
    }
    line
}

/// Control characters (C0, DEL, C1), line and paragraph separators, and what Unicode
/// calls bidirectional formatting. None is beyond U+FFFF.
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Writes lines to the standard output, and flushes.
///
/// # Errors
/// What is wrong with the standard output, other than that its reader has gone.
pub(crate) fn print(lines: &str) -> Result<Reader, Failure> {
    let mut out = io::stdout().lock();
    let written = writeln!(out, "{lines}").and_then(|()| out.flush());
    match written {
        Ok(()) => Ok(Reader::There),
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(e) => Err(Failure::failed(format!(
            "standard output: {e}; give it another place to go"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_strangers_cannot_control_a_terminal() {
        assert_eq!(harmless("a\x1b[2Jb\u{9b}c\nd"), r"a\u{1b}[2Jb\u{9b}c\nd");
        assert_eq!(harmless("\u{202e}x"), r"\u{202e}x");
        assert_eq!(harmless("Grüße\t日本"), "Grüße\t日本");
    }

    #[test]
    fn json_is_harmless_and_means_the_same() {
        let value = serde_json::json!({ "body": "a\u{1b}\u{9b}\u{7f}\u{202e}\n\"" });
        let line = json_line(&value);
        assert!(!line.chars().any(is_harmful), "{line}");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }
}

//! The standard input, line by line, with a bound on the length of a line.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _};

/// The longest line that is kept, in bytes: more than any message may have.
pub(crate) const LONGEST: usize = 512 * 1024;

/// A line of the input, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// Text.
    Text(String),
    /// It is longer than [`LONGEST`]; its bytes are gone.
    TooLong,
    /// It is not UTF-8.
    NotText,
}

/// Cuts an input into lines. At most [`LONGEST`] bytes are held.
#[derive(Debug)]
pub(crate) struct Lines<R> {
    input: R,
    line: Vec<u8>,
    too_long: bool,
}

impl<R: AsyncBufRead + Unpin> Lines<R> {
    pub(crate) const fn new(input: R) -> Self {
        Self {
            input,
            line: Vec::new(),
            too_long: false,
        }
    }

    /// The next line; `None` at the end. A last line needs no end. Cancel-safe: what was
    /// read so far is kept for the next call.
    ///
    /// # Errors
    /// The input's.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Line>> {
        loop {
            let some = self.input.fill_buf().await?;
            if some.is_empty() {
                let nothing = self.line.is_empty() && !self.too_long;
                return Ok((!nothing).then(|| self.take()));
            }
            let end = some.iter().position(|b| *b == b'\n');
            let part = &some[..end.unwrap_or(some.len())];
            if self.line.len() + part.len() > LONGEST {
                self.too_long = true;
                self.line.clear();
            }
            if !self.too_long {
                self.line.extend_from_slice(part);
            }
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                return Ok(Some(self.take()));
            }
        }
    }

    fn take(&mut self) -> Line {
        let mut line = std::mem::take(&mut self.line);
        if std::mem::take(&mut self.too_long) {
            return Line::TooLong;
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        String::from_utf8(line).map_or(Line::NotText, Line::Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(input: &[u8]) -> Vec<Line> {
        // A small buffer, so that lines come in several parts.
        let mut lines = Lines::new(tokio::io::BufReader::with_capacity(4, input));
        let mut all = Vec::new();
        while let Some(line) = lines.next().await.unwrap() {
            all.push(line);
        }
        all
    }

    fn text(line: &str) -> Line {
        Line::Text(line.to_owned())
    }

    #[tokio::test]
    async fn lines_end_in_either_way_and_the_last_needs_no_end() {
        assert_eq!(
            all(b"one two\r\n\nthree").await,
            [text("one two"), text(""), text("three")]
        );
        assert_eq!(all(b"").await, []);
    }

    #[tokio::test]
    async fn a_line_that_cannot_be_kept_does_not_spoil_the_next() {
        let mut input = vec![b'x'; LONGEST + 1];
        input.extend(b"\n\xff\nfine\n");
        assert_eq!(
            all(&input).await,
            [Line::TooLong, Line::NotText, text("fine")]
        );
        let longest = "x".repeat(LONGEST);
        assert_eq!(all(longest.as_bytes()).await, [text(&longest)]);
    }
}

//! One input cut into pieces: stanzas without a root, or streams one after the other, as a
//! capture of one direction has them after STARTTLS and SASL. Only a little of the input
//! is in memory at any time.

use std::io::Read;

use stanchion::stanza::codec::{DecodeError, Rule, parse_element};
use stanchion::stanza::stream::StreamHeader;
use stanchion::stanza::{Decoder, Element, Limits, Scope, StreamEvent};

use super::Fault;

/// Bytes read at a time.
const PORTION: usize = 64 * 1024;
/// The longest XML declaration with the space behind it, and the longest name of a root,
/// that are waited for; in bytes. The decoder judges what is longer.
const LONGEST_DECLARATION: usize = 4096;
const LONGEST_NAME: usize = 256;

/// What an input holds. Offsets are those of the first byte, in the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// A stream begins.
    Open { offset: u64, header: StreamHeader },
    /// A stanza or another top-level element.
    Element { offset: u64, element: Element },
    /// The offset is that of the fault. Nothing comes after it.
    Fault { offset: u64, fault: Fault },
}

/// An input as pieces.
pub(super) struct Streams<R> {
    input: R,
    limits: Limits,
    decoder: Decoder,
    /// Where the decoder's first byte stands in the input.
    base: u64,
    /// Bytes read.
    read: u64,
    /// Where the piece begins that is being decoded.
    inside: Option<u64>,
    /// Whether there was anything yet.
    begun: bool,
    end_of_input: bool,
    over: bool,
    portion: Box<[u8]>,
}

/// What comes next, where a piece may begin.
#[derive(Debug, PartialEq, Eq)]
enum Next {
    /// That cannot be told yet.
    Unknown,
    /// A stream, with or without an XML declaration.
    Stream,
    /// An XML declaration of so many bytes, and no stream behind it.
    Declaration(usize),
    /// Anything else.
    Element,
}

impl<R: Read> Streams<R> {
    pub(super) fn new(input: R, limits: Limits) -> Self {
        Self {
            input,
            limits,
            decoder: Decoder::without_root(Scope::client(), limits),
            base: 0,
            read: 0,
            inside: None,
            begun: false,
            end_of_input: false,
            over: false,
            portion: vec![0; PORTION].into(),
        }
    }

    /// Bytes read so far.
    pub(super) const fn read(&self) -> u64 {
        self.read
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// The input's.
    pub(super) fn next(&mut self) -> std::io::Result<Option<Piece>> {
        while !self.over {
            if self.inside.is_none() {
                match self.begin() {
                    Ok(true) => {}
                    Ok(false) if self.end_of_input => return Ok(self.end()),
                    Ok(false) => {
                        self.fill()?;
                        continue;
                    }
                    Err(error) => return Ok(Some(self.fault(error))),
                }
            }
            let offset = self.inside.unwrap_or(self.base);
            match self.decoder.next_event() {
                Ok(Some(event)) => {
                    self.inside = None;
                    match event {
                        StreamEvent::Open(header) => {
                            return Ok(Some(Piece::Open { offset, header }));
                        }
                        StreamEvent::Element(element) => {
                            return Ok(Some(Piece::Element { offset, element }));
                        }
                        StreamEvent::Close => {}
                    }
                }
                Ok(None) if self.end_of_input => {
                    if let Some(error) = self.cause() {
                        return Ok(Some(self.fault(error)));
                    }
                    self.over = true;
                    let message = format!("the input ends inside what begins at byte {offset}");
                    return Ok(Some(self.broken(self.read, message)));
                }
                Ok(None) => self.fill()?,
                Err(error) => {
                    let cause = match error.rule {
                        Rule::Limit { .. } => self.cause(),
                        _ => None,
                    };
                    return Ok(Some(self.fault(cause.unwrap_or(error))));
                }
            }
        }
        Ok(None)
    }

    fn fill(&mut self) -> std::io::Result<()> {
        let length = loop {
            match self.input.read(&mut self.portion) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        self.end_of_input = length == 0;
        self.read += length as u64;
        self.decoder.push(&self.portion[..length]);
        Ok(())
    }

    /// Why an element that has begun does not end, if that can be seen in it: a tag that
    /// matches no other, as a rule. What the decoder waits for may be far behind.
    fn cause(&mut self) -> Option<DecodeError> {
        /// A character that is cut in two, or a tag, is no cause.
        const CUT: usize = 4;
        let before = self.read - self.base - self.decoder.pending() as u64;
        let buffer = self.decoder.buffer_mut();
        let pending = &buffer[..buffer.len().min(self.limits.stanza_bytes)];
        let error = parse_element(pending, &Scope::client(), &self.limits).err()?;
        // Which prefixes the stream has bound is not known here.
        let told = matches!(error.rule, Rule::NotWellFormed(_))
            && error.offset + (CUT as u64) < pending.len() as u64;
        told.then(|| DecodeError {
            offset: before + error.offset,
            rule: error.rule,
        })
    }

    /// The last word, when there is nothing more.
    fn end(&mut self) -> Option<Piece> {
        self.over = true;
        if self.begun {
            return None;
        }
        Some(self.broken(self.read, "there is no stanza".to_owned()))
    }

    fn broken(&self, offset: u64, message: String) -> Piece {
        Piece::Fault {
            offset,
            fault: Fault {
                rule: "not-well-formed",
                section: "XML 1.0 §2.1".to_owned(),
                message,
            },
        }
    }

    fn fault(&mut self, error: DecodeError) -> Piece {
        self.over = true;
        Piece::Fault {
            offset: self.base + error.offset,
            fault: Fault {
                rule: error.condition().as_str(),
                section: error.rule.section().to_owned(),
                message: error.rule.to_string(),
            },
        }
    }

    /// Between two pieces: steps to the next one, into a stream of its own if it is one.
    /// False if more input is needed.
    fn begin(&mut self) -> Result<bool, DecodeError> {
        let end = self.end_of_input;
        let buffer = self.decoder.buffer_mut();
        let space = buffer.iter().take_while(|b| is_space(**b)).count();
        if space == buffer.len() {
            // The decoder drops space, so that any amount of it takes no memory.
            return self.decoder.next_event().map(|_| false);
        }
        let next = next(&buffer[space..], end);
        let length = buffer.len() as u64;
        let offset = self.read - length + space as u64;
        let declared = buffer[space..].starts_with(b"<?");
        match next {
            Next::Unknown => return Ok(false),
            Next::Element => {}
            Next::Stream | Next::Declaration(_) => {
                if declared && !self.begun && offset > 0 {
                    self.base = 0;
                    return Err(DecodeError {
                        offset,
                        rule: Rule::NotWellFormed("white space before the XML declaration"),
                    });
                }
                let rest = std::mem::take(self.decoder.buffer_mut());
                self.base = offset;
                let skip = if let Next::Declaration(length) = next {
                    let text = &rest[space..space + length];
                    declaration(text, self.limits)?;
                    self.decoder = Decoder::without_root(Scope::client(), self.limits);
                    self.base += length as u64;
                    space + length
                } else {
                    self.decoder = Decoder::new(self.limits);
                    space
                };
                self.decoder.push(&rest[skip..]);
                if skip > space {
                    // What follows the declaration is a piece of its own.
                    return self.begin_after_declaration();
                }
            }
        }
        self.begun = true;
        self.inside = Some(offset);
        Ok(true)
    }

    fn begin_after_declaration(&mut self) -> Result<bool, DecodeError> {
        let buffer = self.decoder.buffer_mut();
        let space = buffer.iter().take_while(|b| is_space(**b)).count();
        if space == buffer.len() {
            return Ok(false);
        }
        self.begun = true;
        self.inside = Some(self.read - (buffer.len() - space) as u64);
        Ok(true)
    }
}

/// Judges an XML declaration that no stream follows, by putting one behind it.
fn declaration(text: &[u8], limits: Limits) -> Result<(), DecodeError> {
    const ROOT: &[u8] = b"<stream:stream xmlns='jabber:client' \
        xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
    let room = limits.stanza_bytes.max(LONGEST_DECLARATION + ROOT.len());
    let mut decoder = Decoder::new(limits.with_stanza_bytes(room));
    decoder.push(text);
    decoder.push(ROOT);
    decoder.next_event().map(drop)
}

/// What `rest` begins with, whose first byte is no space. `end` says that no more comes.
fn next(rest: &[u8], end: bool) -> Next {
    const DECLARATION: &[u8] = b"<?xml";
    let unknown = |otherwise| if end { otherwise } else { Next::Unknown };
    let Some(after) = rest.strip_prefix(DECLARATION) else {
        if DECLARATION.starts_with(rest) {
            return unknown(Next::Element);
        }
        return match is_stream(rest, false, end) {
            None => Next::Unknown,
            Some(true) => Next::Stream,
            Some(false) => Next::Element,
        };
    };
    match after.first() {
        None => return unknown(Next::Stream),
        Some(b) if !is_space(*b) => return Next::Element,
        Some(_) => {}
    }
    let long = rest.len() > LONGEST_DECLARATION;
    let within = &rest[..rest.len().min(LONGEST_DECLARATION)];
    let Some(at) = within.windows(2).position(|pair| pair == b"?>") else {
        return if long {
            Next::Stream
        } else {
            unknown(Next::Stream)
        };
    };
    let length = at + 2;
    let behind = rest[length..].trim_ascii_start();
    match is_stream(behind, true, end || long) {
        None => Next::Unknown,
        Some(true) => Next::Stream,
        Some(false) => Next::Declaration(length),
    }
}

/// Whether a tag is that of a stream: with a prefix, or `bare` if that may be; `None` if
/// that cannot be told yet. Which namespace it is in is for the decoder.
fn is_stream(tag: &[u8], bare: bool, end: bool) -> Option<bool> {
    let Some((first, name)) = tag.split_first() else {
        return end.then_some(false);
    };
    if *first != b'<' {
        return Some(false);
    }
    let length = name
        .iter()
        .position(|b| is_space(*b) || matches!(b, b'>' | b'/'));
    if length.is_none() && !end && tag.len() < LONGEST_NAME {
        return None;
    }
    let name = &name[..length.unwrap_or(name.len())];
    Some(match name.iter().position(|b| *b == b':') {
        Some(colon) => &name[colon + 1..] == b"stream",
        None => bare && name == b"stream",
    })
}

const fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: &str = "<stream:stream xmlns='jabber:client' \
        xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";
    const DECLARED: &str = "<?xml version='1.0'?>";

    /// Gives so many bytes at a time.
    struct Portions<'a>(&'a [u8], usize);

    impl Read for Portions<'_> {
        fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
            let n = self.0.len().min(self.1).min(out.len());
            let (now, later) = self.0.split_at(n);
            out[..n].copy_from_slice(now);
            self.0 = later;
            Ok(n)
        }
    }

    fn in_portions(input: &str, size: usize, limits: Limits) -> Vec<Piece> {
        let mut streams = Streams::new(Portions(input.as_bytes(), size), limits);
        let mut pieces = Vec::new();
        while let Some(piece) = streams.next().unwrap() {
            pieces.push(piece);
        }
        pieces
    }

    /// The pieces, which do not depend on the portions, in words.
    fn pieces(input: &str) -> Vec<String> {
        let whole = in_portions(input, usize::MAX, Limits::default());
        for size in [1, 2, 3, 7, 20] {
            assert_eq!(in_portions(input, size, Limits::default()), whole, "{size}");
        }
        let word = |piece| match piece {
            Piece::Open { offset, .. } => format!("{offset} open"),
            Piece::Element { offset, element } => format!("{offset} {}", element.name()),
            Piece::Fault { offset, fault } => format!("{offset} {}", fault.rule),
        };
        whole.into_iter().map(word).collect()
    }

    #[test]
    fn stanzas_need_no_root() {
        assert_eq!(pieces("<a/>"), ["0 a"]);
        assert_eq!(
            pieces(" <a><b/></a>\n<c/>\n\n<d></d>\n"),
            ["1 a", "13 c", "19 d"]
        );
    }

    #[test]
    fn a_stanza_may_have_a_declaration() {
        let input = format!("{DECLARED}\n<a/>\n<b/>");
        assert_eq!(pieces(&input), ["22 a", "27 b"]);
        let input = "<?xml version='1.0' encoding='latin1'?><a/>";
        assert_eq!(pieces(input), ["0 unsupported-encoding"]);
        assert_eq!(pieces(&format!("<a/>{DECLARED}<b/>")), ["0 a", "25 b"]);
    }

    #[test]
    fn a_capture_holds_streams_one_after_the_other() {
        let second = OPEN.len() + 4;
        let input = format!("{OPEN}<a/>{OPEN}<b/></stream:stream>");
        let expected = [
            "0 open".to_owned(),
            format!("{} a", OPEN.len()),
            format!("{second} open"),
            format!("{} b", second + OPEN.len()),
        ];
        assert_eq!(pieces(&input), expected);
        let input = format!("{DECLARED}{OPEN}</stream:stream>\n{DECLARED} {OPEN}<b/>");
        let second = DECLARED.len() + OPEN.len() + 17;
        let expected = [
            "0 open".to_owned(),
            format!("{second} open"),
            format!("{} b", second + DECLARED.len() + 1 + OPEN.len()),
        ];
        assert_eq!(pieces(&input), expected);
    }

    #[test]
    fn a_root_that_is_no_stream_of_xmpp_is_refused() {
        let input = format!("{DECLARED}<stream xmlns='urn:x'>");
        assert_eq!(pieces(&input), ["0 invalid-namespace"]);
    }

    #[test]
    fn the_offset_of_a_fault_is_that_in_the_input() {
        assert_eq!(pieces("<a/>\n<b></c>"), ["0 a", "8 not-well-formed"]);
        let input = format!("{OPEN}{OPEN}<x:a/>");
        let faults = pieces(&input);
        let at = 2 * OPEN.len() + "<x:a/>".len();
        assert_eq!(faults[2], format!("{at} not-well-formed"));
        assert_eq!(pieces("<a/><!-- b -->"), ["0 a", "4 restricted-xml"]);
        assert_eq!(pieces("<a/>b"), ["0 a", "4 bad-format"]);
        assert_eq!(pieces(&format!("\n{DECLARED}<a/>")), ["1 not-well-formed"]);
        assert_eq!(pieces("<?php ?>"), ["0 restricted-xml"]);
    }

    #[test]
    fn an_input_that_ends_too_early_or_holds_nothing_is_refused() {
        assert_eq!(pieces("<a/><b>"), ["0 a", "7 not-well-formed"]);
        for nothing in ["", " \n", DECLARED] {
            let expected = [format!("{} not-well-formed", nothing.len())];
            assert_eq!(pieces(nothing), expected, "{nothing:?}");
        }
        assert_eq!(pieces("<?xml"), ["5 not-well-formed"]);
        assert_eq!(pieces("<stream:stre"), ["12 not-well-formed"]);
        assert_eq!(pieces(&format!("{DECLARED}{OPEN}")), ["0 open"]);
    }

    #[test]
    fn a_tag_that_hides_the_end_is_told_where_it_stands() {
        assert_eq!(pieces("<e/><a><b>t</a><c/>"), ["0 e", "11 not-well-formed"]);
        let input = format!("{OPEN}<a><b>t</a><c></c>");
        let expected = format!("{} not-well-formed", OPEN.len() + 7);
        assert_eq!(pieces(&input)[1..], [expected]);
        let limits = Limits::default().with_stanza_bytes(100);
        let input = format!("<e/><a><b>t</a>{}", "<c/>".repeat(100));
        let pieces = in_portions(&input, 30, limits);
        assert!(
            matches!(&pieces[1], Piece::Fault { offset: 11, .. }),
            "{pieces:?}"
        );
    }

    #[test]
    fn memory_is_bounded_by_the_limit() {
        let limits = Limits::default().with_stanza_bytes(100);
        let long = format!("<a>{}", " ".repeat(10_000));
        let mut streams = Streams::new(Portions(long.as_bytes(), 10), limits);
        while let Ok(Some(_)) = streams.next() {}
        assert!(streams.read() <= 110, "{}", streams.read());
        let declaration = format!("<?xml {}", " ".repeat(10_000));
        let mut streams = Streams::new(Portions(declaration.as_bytes(), 10), limits);
        while let Ok(Some(_)) = streams.next() {}
        assert!(streams.read() < 4200, "{}", streams.read());
        // Space between stanzas is no stanza.
        let space = " ".repeat(100_000);
        let space = format!("{DECLARED}{space}<a/>{space}<b/>");
        let mut streams = Streams::new(Portions(space.as_bytes(), 10), limits);
        let mut most = 0;
        let mut found = 0;
        while streams.next().unwrap().is_some() {
            found += 1;
            most = most.max(streams.decoder.pending());
        }
        assert!(found == 2 && most <= 10, "{found} {most}");
    }
}

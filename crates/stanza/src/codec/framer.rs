//! Cuts a byte stream into the stream's opening tag, whole top-level elements and
//! the closing tag. Looks only at markup boundaries, depth and size; whether a frame
//! is well-formed is for `decoder` to say, which refuses a frame that it reads
//! differently.

use bytes::{Buf as _, Bytes, BytesMut};
use memchr::{memchr, memchr3};

use super::error::{DecodeError, Rule};
use super::limits::Limits;

/// One piece of the stream, as it stood on the wire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// The XML declaration, if any, and the opening tag of the root.
    Open(Bytes),
    /// A whole element below the root.
    Element(Bytes),
    /// The closing tag of the root.
    Close(Bytes),
}

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Open,
    Element,
    Close,
}

/// Where in the grammar the next unread byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lex {
    /// Between markup.
    Content,
    /// After `<`.
    Markup,
    /// In a start tag, inside the given quote if any.
    StartTag(Option<u8>),
    /// In an end tag.
    EndTag,
    /// In the XML declaration.
    Declaration,
    /// In a CDATA section, whose content begins at this index.
    Cdata(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Before the root's opening tag.
    Prolog,
    /// Inside the root.
    Stream,
    /// After its closing tag.
    Closed,
}

/// The framer. Feed it bytes in any portions: it resumes at any byte, and the frames
/// do not depend on the cuts.
///
/// Memory is bounded by [`Limits::stanza_bytes`] plus what is fed before
/// [`Framer::next_frame`] is called again.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    /// Index of the next byte to look at; what is before belongs to an open frame.
    scanned: usize,
    lex: Lex,
    phase: Phase,
    /// Open elements below the root.
    depth: usize,
    /// Bytes of the stream before `buffer[0]`.
    consumed: u64,
    limits: Limits,
    /// What ended the stream.
    ended: Option<DecodeError>,
}

impl Framer {
    /// A framer that waits for a stream's opening tag.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            buffer: BytesMut::new(),
            scanned: 0,
            lex: Lex::Content,
            phase: Phase::Prolog,
            depth: 0,
            consumed: 0,
            limits,
            ended: None,
        }
    }

    /// A framer for elements without a root around them, as in a file.
    #[must_use]
    pub fn without_root(limits: Limits) -> Self {
        Self {
            phase: Phase::Stream,
            ..Self::new(limits)
        }
    }

    /// Appends bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The buffer to append to, so that a socket can be read into it directly. Only
    /// append: what stands there is partly scanned.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Bytes that belong to no frame yet.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// Bytes of the stream that were cut off as frames or skipped.
    #[must_use]
    pub const fn consumed(&self) -> u64 {
        self.consumed
    }

    /// Waits for a new opening tag, as after TLS or SASL (RFC 6120 §4.3.3). What is
    /// buffered stays: a caller that must not trust it checks [`Framer::pending`].
    pub fn reset(&mut self) {
        self.scanned = 0;
        self.lex = Lex::Content;
        self.phase = Phase::Prolog;
        self.depth = 0;
        self.consumed = 0;
        self.ended = None;
    }

    /// Replaces the limits, from the next byte on.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// The next whole frame, or `None` until more bytes are there.
    ///
    /// # Errors
    /// [`DecodeError`]; the stream cannot go on after it, and every later call gives
    /// the same.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, DecodeError> {
        let kind = self.find()?;
        Ok(kind.map(|kind| {
            let bytes = self.buffer.split_to(self.scanned).freeze();
            self.leave(bytes.len());
            match kind {
                Kind::Open => Frame::Open(bytes),
                Kind::Element => Frame::Element(bytes),
                Kind::Close => Frame::Close(bytes),
            }
        }))
    }

    /// Finds the next whole frame, which is then [`Framer::found`].
    pub(super) fn find(&mut self) -> Result<Option<Kind>, DecodeError> {
        if let Some(fault) = &self.ended {
            return Err(fault.clone());
        }
        let found = self.scan();
        self.ended = found.as_ref().err().cloned();
        found
    }

    /// The frame that was found, in the buffer.
    pub(super) fn found(&self) -> &[u8] {
        self.buffer.get(..self.scanned).unwrap_or_default()
    }

    /// What may begin with a whole element, none of it looked at yet; else nothing.
    pub(super) fn unscanned(&mut self) -> &[u8] {
        if self.scanned > 0 || self.phase != Phase::Stream || self.ended.is_some() {
            return &[];
        }
        self.skip_space();
        match *self.buffer {
            [b'<', next, ..] if !matches!(next, b'/' | b'!' | b'?') => &self.buffer,
            _ => &[],
        }
    }

    /// Drops white space from the front.
    fn skip_space(&mut self) {
        let space = self.buffer.iter().take_while(|b| is_space(**b)).count();
        if space > 0 {
            self.consumed += space as u64;
            self.buffer.advance(space);
        }
    }

    /// Drops the frame that was found.
    pub(super) fn drop_found(&mut self) {
        self.drop_front(self.scanned);
    }

    /// Drops a frame of that length.
    pub(super) fn drop_front(&mut self, length: usize) {
        self.buffer.advance(length);
        self.leave(length);
    }

    fn leave(&mut self, length: usize) {
        self.consumed += length as u64;
        self.scanned = 0;
    }

    /// Goes on until a frame is whole. No byte beyond the size limit is looked at, so
    /// that what is found does not depend on how much is there already.
    fn scan(&mut self) -> Result<Option<Kind>, DecodeError> {
        loop {
            if self.lex == Lex::Content && self.depth == 0 && !self.skip_to_markup()? {
                return Ok(None);
            }
            let end = self.buffer.len().min(self.limits.stanza_bytes);
            let Some(rest) = self
                .buffer
                .get(self.scanned..end)
                .filter(|rest| !rest.is_empty())
            else {
                return self.wait();
            };
            let boundary = match self.lex {
                Lex::Markup => {
                    if !self.enter_markup(end)? {
                        return self.wait();
                    }
                    continue;
                }
                Lex::Content => memchr(b'<', rest),
                Lex::StartTag(Some(quote)) => memchr(quote, rest),
                Lex::StartTag(None) => memchr3(b'>', b'"', b'\'', rest),
                Lex::EndTag | Lex::Declaration | Lex::Cdata(_) => memchr(b'>', rest),
            };
            let Some(at) = boundary else {
                self.scanned = end;
                return self.wait();
            };
            let found = rest[at];
            self.scanned += at + 1;
            let frame = match self.lex {
                Lex::Content | Lex::Markup => {
                    self.lex = Lex::Markup;
                    None
                }
                Lex::StartTag(Some(_)) => {
                    self.lex = Lex::StartTag(None);
                    None
                }
                Lex::StartTag(None) if found == b'>' => self.end_start_tag()?,
                Lex::StartTag(None) => {
                    self.enter_value(found)?;
                    None
                }
                Lex::EndTag => self.end_end_tag()?,
                Lex::Declaration => {
                    self.lex = Lex::Content;
                    None
                }
                Lex::Cdata(content) => {
                    if self.buffer[content..self.scanned].ends_with(b"]]>") {
                        self.lex = Lex::Content;
                    }
                    None
                }
            };
            if frame.is_some() {
                return Ok(frame);
            }
        }
    }

    /// Between frames: drops white space (RFC 6120 §4.6.1 keepalives) and steps behind
    /// the `<`. False if there is no more input.
    fn skip_to_markup(&mut self) -> Result<bool, DecodeError> {
        // After the XML declaration the frame is already open: white space stays in it.
        if self.scanned > 0 {
            let end = self.buffer.len().min(self.limits.stanza_bytes);
            while self.scanned < end && is_space(self.buffer[self.scanned]) {
                self.scanned += 1;
            }
            if self.scanned >= end {
                return self.wait().map(|_| false);
            }
            if self.buffer[self.scanned] != b'<' {
                return Err(self.fault(self.scanned, Rule::NotAStream));
            }
            self.scanned += 1;
            self.lex = Lex::Markup;
            return Ok(true);
        }
        self.skip_space();
        match self.buffer.first() {
            None => Ok(false),
            _ if self.phase == Phase::Closed => Err(self.fault(
                0,
                Rule::Stream("nothing may follow the stream's closing tag"),
            )),
            Some(b'<') => {
                self.scanned = 1;
                self.lex = Lex::Markup;
                Ok(true)
            }
            Some(_) => Err(self.fault(0, Rule::Stream("text may not stand between stanzas"))),
        }
    }

    /// Decides what `<` begins, from what stands before `end`. False if more bytes are
    /// needed to tell.
    fn enter_markup(&mut self, end: usize) -> Result<bool, DecodeError> {
        let rest = &self.buffer[self.scanned..end];
        let at = self.scanned - 1;
        match rest[0] {
            b'/' => {
                self.scanned += 1;
                self.lex = Lex::EndTag;
            }
            b'?' => {
                const DECLARATION: &[u8] = b"?xml";
                if self.phase != Phase::Prolog || at != 0 || self.consumed != 0 {
                    return Err(self.fault(at, Rule::Restricted("processing instructions")));
                }
                let n = rest.len().min(DECLARATION.len());
                if rest[..n] != DECLARATION[..n] {
                    return Err(self.fault(at, Rule::Restricted("processing instructions")));
                }
                if n < DECLARATION.len() {
                    return Ok(false);
                }
                self.scanned += n;
                self.lex = Lex::Declaration;
            }
            b'!' => {
                const CDATA: &[u8] = b"![CDATA[";
                let n = rest.len().min(CDATA.len());
                if rest[..n] != CDATA[..n] {
                    return Err(self.fault(at, Rule::Restricted("comments and document types")));
                }
                if n < CDATA.len() {
                    return Ok(false);
                }
                if self.depth == 0 {
                    return Err(self.fault(at, Rule::Stream("text may not stand between stanzas")));
                }
                self.scanned += n;
                self.lex = Lex::Cdata(self.scanned);
            }
            _ => self.lex = Lex::StartTag(None),
        }
        Ok(true)
    }

    /// Behind a quote in a start tag. One that begins no value is refused at once: it
    /// would hide what follows until the next one.
    fn enter_value(&mut self, quote: u8) -> Result<(), DecodeError> {
        let at = self.scanned - 1;
        let mut before = self.buffer[..at].iter().rev();
        if before.find(|b| !is_space(**b)) != Some(&b'=') {
            return Err(self.fault(at, Rule::NotWellFormed("a quote begins no value")));
        }
        self.lex = Lex::StartTag(Some(quote));
        Ok(())
    }

    /// Behind the `>` of a start tag.
    fn end_start_tag(&mut self) -> Result<Option<Kind>, DecodeError> {
        let empty = self.buffer[..self.scanned].ends_with(b"/>");
        self.lex = Lex::Content;
        if self.phase == Phase::Prolog {
            if empty {
                return Err(self.fault(
                    self.scanned - 2,
                    Rule::Stream("the stream is closed by its opening tag"),
                ));
            }
            self.phase = Phase::Stream;
            return Ok(Some(Kind::Open));
        }
        let limit = self.limits.levels();
        if self.depth >= limit {
            let what = "levels of nesting";
            return Err(self.fault(self.scanned - 1, Rule::Limit { what, limit }));
        }
        if !empty {
            self.depth += 1;
        }
        Ok((self.depth == 0).then_some(Kind::Element))
    }

    /// Behind the `>` of an end tag.
    fn end_end_tag(&mut self) -> Result<Option<Kind>, DecodeError> {
        self.lex = Lex::Content;
        match (self.phase, self.depth) {
            (Phase::Prolog, _) => Err(self.fault(0, Rule::NotAStream)),
            (_, 0) => {
                self.phase = Phase::Closed;
                Ok(Some(Kind::Close))
            }
            _ => {
                self.depth -= 1;
                Ok((self.depth == 0).then_some(Kind::Element))
            }
        }
    }

    /// No frame is whole: refuses one that cannot become so within the limit.
    fn wait(&self) -> Result<Option<Kind>, DecodeError> {
        let limit = self.limits.stanza_bytes;
        if self.buffer.len() > limit {
            let what = "bytes in a stanza";
            return Err(self.fault(limit, Rule::Limit { what, limit }));
        }
        Ok(None)
    }

    fn fault(&self, at: usize, rule: Rule) -> DecodeError {
        DecodeError {
            offset: self.consumed + at as u64,
            rule,
        }
    }
}

pub(super) const fn is_space(b: u8) -> bool {
    matches!(b, b' ' | b'\t' | b'\r' | b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(input: &[u8], cut: usize) -> Result<Vec<Frame>, DecodeError> {
        let mut framer = Framer::new(Limits::default());
        let mut out = Vec::new();
        for part in input.chunks(cut.max(1)) {
            framer.push(part);
            while let Some(frame) = framer.next_frame()? {
                out.push(frame);
            }
        }
        Ok(out)
    }

    const SESSION: &[u8] = b"<?xml version='1.0'?> <stream:stream a='>'>\n <a b=\"</a>\"/> \
        <m><x>&gt;</x><![CDATA[</m>]] ]]>]]></m><n ></n ></stream:stream> ";

    #[test]
    fn frames_do_not_depend_on_the_cuts() {
        let whole = frames(SESSION, usize::MAX).unwrap();
        let text: Vec<_> = whole
            .iter()
            .map(|f| match f {
                Frame::Open(b) | Frame::Element(b) | Frame::Close(b) => {
                    std::str::from_utf8(b).unwrap()
                }
            })
            .collect();
        assert_eq!(
            text,
            [
                "<?xml version='1.0'?> <stream:stream a='>'>",
                "<a b=\"</a>\"/>",
                "<m><x>&gt;</x><![CDATA[</m>]] ]]>]]></m>",
                "<n ></n >",
                "</stream:stream>"
            ]
        );
        for cut in 1..SESSION.len() {
            assert_eq!(
                frames(SESSION, cut).unwrap(),
                whole,
                "cut every {cut} bytes"
            );
        }
    }

    #[test]
    fn restricted_markup_is_refused_wherever_it_is_cut() {
        for bad in [
            &b"<s><!-- c --></s>"[..],
            b"<s><a><!-- c --></a>",
            b"<!DOCTYPE s>",
            b"<s><?p?>",
            b" <?xml version='1.0'?>",
            b"<?php?><s>",
            b"<s>text",
            b"<s><![CDATA[x]]>",
            b"<s/>",
            b"</s>",
            b"<s></s>x",
        ] {
            for cut in 1..=bad.len() {
                assert!(
                    frames(bad, cut).is_err(),
                    "{} cut every {cut}",
                    String::from_utf8_lossy(bad)
                );
            }
        }
    }

    #[test]
    fn size_is_refused_before_the_stanza_is_whole() {
        let mut framer = Framer::new(Limits::default().with_stanza_bytes(100));
        framer.push(b"<s><a>");
        assert!(matches!(framer.next_frame(), Ok(Some(Frame::Open(_)))));
        framer.push(&[b'x'; 90]);
        assert_eq!(framer.next_frame(), Ok(None));
        framer.push(&[b'x'; 20]);
        assert!(matches!(
            framer.next_frame().unwrap_err().rule,
            Rule::Limit { limit: 100, .. }
        ));
    }

    #[test]
    fn depth_is_refused_at_the_tag_that_exceeds_it() {
        let mut framer = Framer::new(Limits::default().with_depth(2));
        framer.push(b"<s><a><b/></a><a><b><c/></b></a>");
        assert!(matches!(framer.next_frame(), Ok(Some(Frame::Open(_)))));
        assert!(matches!(framer.next_frame(), Ok(Some(Frame::Element(_)))));
        assert!(matches!(
            framer.next_frame().unwrap_err().rule,
            Rule::Limit { limit: 2, .. }
        ));
    }

    #[test]
    fn keepalive_space_takes_no_memory() {
        let mut framer = Framer::new(Limits::default());
        framer.push(b"<s>");
        framer.next_frame().unwrap();
        for _ in 0..1000 {
            framer.push(&[b' '; 1000]);
            assert_eq!(framer.next_frame(), Ok(None));
            assert_eq!(framer.pending(), 0);
        }
    }
}

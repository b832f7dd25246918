//! One frame to one element, strictly: characters, names, attributes, references,
//! namespaces, a single root. Each byte is looked at once to check it, and once to read
//! it; nothing is copied but the frame itself, and what references stand for.

use super::error::{DecodeError, Rule};
use super::framer::is_space;
use super::limits::Limits;
use super::scan::plain_value;
use super::scope::{Around, Bindings, Scope};
use super::xml_declaration::after_declaration;
use crate::xml::{Draft, Element, NsId, Record, Span, first_invalid, is_ncname_bytes, is_xml_char};

/// Decodes one whole element that stands alone in `input`; `scope` says which
/// prefixes are bound around it. White space around the element is ignored.
///
/// # Errors
/// [`DecodeError`] with the offset in `input`.
pub fn parse_element(input: &[u8], scope: &Scope, limits: &Limits) -> Result<Element, DecodeError> {
    ElementParser::default().element(input, scope, limits)
}

/// [`parse_element`] for one after the other; keeps what memory it needs for each.
#[derive(Debug, Default)]
pub(super) struct ElementParser {
    open: Vec<Open>,
    bindings: Bindings,
    draft: Draft,
}

impl ElementParser {
    /// The element that is all of `input`.
    pub(super) fn element(
        &mut self,
        input: &[u8],
        scope: &Scope,
        limits: &Limits,
    ) -> Result<Element, DecodeError> {
        let text = checked_text(input, limits)?;
        let mut parser = Parser::new(self, input, scope, limits);
        match parser.document() {
            Ok(()) => Ok(Element::decoded(self.draft.finish(text))),
            Err(rule) => Err(parser.fault(rule)),
        }
    }

    /// The element that `input` begins with, and its length, if it is whole and nothing is
    /// wrong with it. What follows is not looked at.
    pub(super) fn first(
        &mut self,
        input: &[u8],
        scope: &Scope,
        limits: &Limits,
    ) -> Option<(Element, usize)> {
        let input = &input[..input.len().min(limits.stanza_bytes).min(LONGEST)];
        let mut parser = Parser::new(self, input, scope, limits);
        parser.first().ok()?;
        let length = parser.at;
        let text = checked_text(&input[..length], limits).ok()?;
        Some((Element::decoded(self.draft.finish(text)), length))
    }
}

/// The opening tag of a stream: its element without children, its declarations, and
/// its name as written (the closing tag must repeat it).
pub(super) struct OpeningTag {
    pub(super) element: Element,
    pub(super) scope: Scope,
    pub(super) qname: Box<str>,
}

/// Reads an optional XML declaration and one start tag.
pub(super) fn parse_opening_tag(input: &[u8], limits: &Limits) -> Result<OpeningTag, DecodeError> {
    let text = checked_text(input, limits)?;
    let tag = after_declaration(text).map_err(|rule| DecodeError { offset: 0, rule })?;
    let scope = Scope::empty();
    let mut memory = ElementParser::default();
    let mut parser = Parser::new(&mut memory, tag.as_bytes(), &scope, limits);
    let qname = parser.opening_tag().map_err(|rule| {
        let mut fault = parser.fault(rule);
        fault.offset += (text.len() - tag.len()) as u64;
        fault
    })?;
    let tree = memory.draft.finish(tag);
    Ok(OpeningTag {
        scope: memory.bindings.to_scope(&tree),
        qname: tree.str(qname).into(),
        element: Element::decoded(tree),
    })
}

/// Places in a tree are of 32 bits, and what is decoded doubles it at most.
const LONGEST: usize = i32::MAX as usize;

/// Size, UTF-8 and forbidden characters, in one place for the whole frame.
fn checked_text<'a>(input: &'a [u8], limits: &Limits) -> Result<&'a str, DecodeError> {
    let fault = |offset: usize, rule| DecodeError {
        offset: offset as u64,
        rule,
    };
    let limit = limits.stanza_bytes.min(LONGEST);
    if input.len() > limit {
        let what = "bytes in a stanza";
        return Err(fault(limit, Rule::Limit { what, limit }));
    }
    let text = std::str::from_utf8(input).map_err(|e| fault(e.valid_up_to(), Rule::Utf8))?;
    if let Some(bad) = first_invalid(text) {
        return Err(fault(bad.offset, Rule::Character(bad)));
    }
    Ok(text)
}

const OUTSIDE: Rule = Rule::NotWellFormed("text outside the root");
const BROKEN_TAG: Rule = Rule::NotWellFormed("a tag is broken, or does not match its end");
const BROKEN_ATTRIBUTE: Rule = Rule::NotWellFormed("an attribute is broken");
const BROKEN_NAME: Rule = Rule::NotWellFormed("a name has characters that names may not have");

/// An element whose end is still to come.
#[derive(Debug, Clone, Copy)]
struct Open {
    /// Its record.
    record: u32,
    /// Its name as written.
    qname: Span,
    /// The bindings around it.
    bindings: usize,
}

struct Parser<'a> {
    around: Around<'a>,
    limits: &'a Limits,
    /// The next byte to read.
    at: usize,
    draft: &'a mut Draft,
    open: &'a mut Vec<Open>,
    bindings: &'a mut Bindings,
}

/// A name as written.
struct QName {
    /// Empty, and nowhere, if there is none.
    prefix: Span,
    local: Span,
}

impl QName {
    fn whole(&self) -> Span {
        let start = match self.prefix.end {
            0 => self.local.start,
            _ => self.prefix.start,
        };
        Span {
            start,
            ..self.local
        }
    }
}

impl<'a> Parser<'a> {
    fn new(
        memory: &'a mut ElementParser,
        frame: &'a [u8],
        scope: &'a Scope,
        limits: &'a Limits,
    ) -> Self {
        memory.open.clear();
        memory.draft.clear();
        memory.bindings.begin(scope, &mut memory.draft);
        Self {
            around: Around { frame, scope },
            limits,
            at: 0,
            draft: &mut memory.draft,
            open: &mut memory.open,
            bindings: &mut memory.bindings,
        }
    }

    fn fault(&self, rule: Rule) -> DecodeError {
        DecodeError {
            offset: self.at as u64,
            rule,
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.around.frame.get(self.at..).unwrap_or_default()
    }

    fn byte(&self) -> Option<u8> {
        self.around.frame.get(self.at).copied()
    }

    /// A part of the frame.
    fn written(&self, span: Span) -> &'a [u8] {
        let range = span.start as usize..span.end as usize;
        self.around.frame.get(range).unwrap_or_default()
    }

    fn ns(&self, id: NsId) -> &[u8] {
        self.draft.ns(self.around.frame, id)
    }

    /// From there to the next byte to read.
    const fn since(&self, start: usize) -> Span {
        Span {
            start: start as u32,
            end: self.at as u32,
        }
    }

    fn skip_space(&mut self) -> bool {
        let start = self.at;
        while self.byte().is_some_and(is_space) {
            self.at += 1;
        }
        self.at > start
    }

    /// Steps over `markup` if it is next.
    fn skip(&mut self, markup: &[u8]) -> bool {
        let there = self.rest().starts_with(markup);
        if there {
            self.at += markup.len();
        }
        there
    }

    /// One element, with white space around it and nothing else.
    fn document(&mut self) -> Result<(), Rule> {
        self.skip_space();
        if self.byte().is_none() {
            return Err(Rule::NotWellFormed("there is no element"));
        }
        self.first()?;
        self.skip_space();
        match self.byte() {
            None => Ok(()),
            Some(b'<') => match self.around.frame.get(self.at + 1) {
                Some(b'/') => Err(Rule::NotWellFormed("an end without a start")),
                Some(b'!') if self.rest().starts_with(b"<![CDATA[") => Err(OUTSIDE),
                Some(b'!' | b'?') => Err(self.restricted()),
                _ => Err(Rule::NotWellFormed("a second root element")),
            },
            Some(_) => Err(OUTSIDE),
        }
    }

    /// One element, from here on.
    fn first(&mut self) -> Result<(), Rule> {
        loop {
            match self.byte() {
                Some(b'<') => match self.around.frame.get(self.at + 1) {
                    Some(b'/') => self.end_tag()?,
                    Some(b'!') if self.rest().starts_with(b"<![CDATA[") => self.text()?,
                    Some(b'!' | b'?') => return Err(self.restricted()),
                    _ => {
                        self.at += 1;
                        self.element()?;
                    }
                },
                Some(_) => self.text()?,
                None => return Err(Rule::NotWellFormed("the end of an element is missing")),
            }
            if self.open.is_empty() {
                return Ok(());
            }
        }
    }

    /// What RFC 6120 §11.1 forbids, by its first bytes.
    fn restricted(&self) -> Rule {
        let rest = self.rest();
        if rest.starts_with(b"<!--") {
            Rule::Restricted("comments")
        } else if rest.starts_with(b"<?xml") {
            Rule::Restricted("XML declarations inside a stream")
        } else if rest.starts_with(b"<?") {
            Rule::Restricted("processing instructions")
        } else {
            Rule::Restricted("document types")
        }
    }

    /// An element up to its content, or to its end if it is empty.
    fn element(&mut self) -> Result<(), Rule> {
        let bindings = self.bindings.mark();
        let record = self.draft.records.len();
        let (qname, empty) = self.start_tag()?;
        let limit = self.limits.levels();
        if self.open.len() >= limit {
            let what = "levels of nesting";
            return Err(Rule::Limit { what, limit });
        }
        self.open.push(Open {
            record: record as u32,
            qname: qname.whole(),
            bindings,
        });
        if empty {
            self.close();
        }
        Ok(())
    }

    /// The innermost element is whole.
    fn close(&mut self) {
        let Some(open) = self.open.pop() else { return };
        let end = self.draft.records.len() as u32;
        if let Some(Record::Element { next, .. }) = self.draft.records.get_mut(open.record as usize)
        {
            *next = end;
        }
        self.bindings.close(open.bindings);
    }

    /// `'</' Name S? '>'` (XML 1.0 §3.1, production 42).
    fn end_tag(&mut self) -> Result<(), Rule> {
        let open = self
            .open
            .last()
            .ok_or(Rule::NotWellFormed("an end without a start"))?;
        let qname = self.written(open.qname);
        let rest = &self.around.frame[self.at + 2..];
        let after = rest.strip_prefix(qname).ok_or(BROKEN_TAG)?;
        self.at += 2 + qname.len();
        if after.first() != Some(&b'>') {
            self.skip_space();
            if self.byte() != Some(b'>') {
                return Err(BROKEN_TAG);
            }
        }
        self.at += 1;
        self.close();
        Ok(())
    }

    /// One start tag and nothing else; gives its name as written.
    fn opening_tag(&mut self) -> Result<Span, Rule> {
        if !self.skip(b"<") {
            return Err(Rule::NotAStream);
        }
        if matches!(self.byte(), Some(b'!' | b'?')) {
            self.at -= 1;
            return Err(self.restricted());
        }
        let (qname, empty) = self.start_tag()?;
        let behind = self.draft.records.len() as u32;
        if let Some(Record::Element { next, .. }) = self.draft.records.first_mut() {
            *next = behind;
        }
        if empty || self.at != self.around.frame.len() {
            return Err(Rule::NotWellFormed("the stream's opening tag is broken"));
        }
        Ok(qname.whole())
    }

    /// Behind `<`: a start tag (XML 1.0 §3.1, productions 40, 41, 44) and whether it is
    /// that of an empty element. Its declarations are added to the bindings; they may
    /// stand behind the attributes that use them, which are thus resolved at the end.
    fn start_tag(&mut self) -> Result<(QName, bool), Rule> {
        let around = self.bindings.mark();
        let record = self.draft.records.len();
        let qname = self.qname()?;
        self.draft.records.push(Record::Element {
            name: qname.local,
            ns: NsId::NONE,
            next: 0,
        });
        let mut count = 0;
        let mut prefixes = false;
        let empty = loop {
            let space = self.skip_space();
            match self.byte() {
                Some(b'>') => {
                    self.at += 1;
                    break false;
                }
                Some(b'/') => {
                    self.at += 1;
                    if self.byte() != Some(b'>') {
                        return Err(BROKEN_TAG);
                    }
                    self.at += 1;
                    break true;
                }
                None => return Err(BROKEN_TAG),
                Some(_) if !space => {
                    return Err(Rule::NotWellFormed(
                        "white space is missing before an attribute",
                    ));
                }
                Some(_) => {
                    if count >= self.limits.attributes {
                        return Err(self.too_many());
                    }
                    count += 1;
                    prefixes |= self.attribute(around)?;
                }
            }
        };
        if self.bindings.len(self.around) > self.limits.attributes {
            return Err(self.too_many());
        }
        let resolved = self.resolve(qname.prefix)?;
        if let Some(Record::Element { ns, .. }) = self.draft.records.get_mut(record) {
            *ns = resolved;
        }
        self.finish_attributes(record + 1, prefixes)?;
        Ok((qname, empty))
    }

    fn too_many(&self) -> Rule {
        Rule::Limit {
            what: "attributes or prefixes",
            limit: self.limits.attributes,
        }
    }

    fn resolve(&mut self, prefix: Span) -> Result<NsId, Rule> {
        let prefix = self.written(prefix);
        self.bindings.resolve(prefix, self.around, self.draft)
    }

    /// One attribute or declaration (XML 1.0 §3.1, productions 25, 41). True if the
    /// attribute has a prefix: its length stands for its namespace until then.
    fn attribute(&mut self, around: usize) -> Result<bool, Rule> {
        let QName { prefix, local } = self.qname()?;
        self.skip_space();
        if self.byte() != Some(b'=') {
            return Err(BROKEN_ATTRIBUTE);
        }
        self.at += 1;
        self.skip_space();
        let value = self.value()?;
        let declared = match (self.written(prefix), self.written(local)) {
            (b"xmlns", _) => local,
            (b"", b"xmlns") => Span::default(),
            (b"", _) => {
                self.draft.records.push(Record::Attribute {
                    name: local,
                    ns: NsId::NONE,
                    value,
                });
                return Ok(false);
            }
            _ => {
                self.draft.records.push(Record::Attribute {
                    name: local,
                    ns: NsId(prefix.end - prefix.start),
                    value,
                });
                return Ok(true);
            }
        };
        let name = self.written(declared);
        if self.bindings.made_since(around, name, self.around) {
            return Err(Rule::NotWellFormed("an attribute stands twice"));
        }
        self.bindings
            .declare(declared, value, self.around, self.draft)?;
        Ok(false)
    }

    /// The attributes from that record on: their namespaces, and that no two are equal
    /// (Namespaces in XML §6.3).
    fn finish_attributes(&mut self, first: usize, prefixes: bool) -> Result<(), Rule> {
        if prefixes {
            for at in first..self.draft.records.len() {
                if let Record::Attribute { name, ns, value } = self.draft.records[at]
                    && ns != NsId::NONE
                {
                    let end = name.start - 1;
                    let start = end - ns.0;
                    let ns = self.resolve(Span { start, end })?;
                    self.draft.records[at] = Record::Attribute { name, ns, value };
                }
            }
        }
        let attributes = self.draft.records.get(first..).unwrap_or_default();
        for (at, one) in attributes.iter().enumerate() {
            let Record::Attribute { name: a, ns: x, .. } = one else {
                continue;
            };
            for other in &attributes[..at] {
                // Lengths first: they tell nearly all names apart.
                if let Record::Attribute { name: b, ns: y, .. } = other
                    && a.end - a.start == b.end - b.start
                    && self.written(*a) == self.written(*b)
                    && (x == y || self.ns(*x) == self.ns(*y))
                {
                    return Err(Rule::Namespace("two attributes have one expanded name"));
                }
            }
        }
        Ok(())
    }

    /// A name with at most one colon (Namespaces in XML §4). A prefix is not checked: one
    /// that is no name is not declared.
    fn qname(&mut self) -> Result<QName, Rule> {
        let start = self.at;
        let rest = self.rest();
        let plain = |b: &u8| CLASS[usize::from(*b)] & IN_NAME != 0;
        let length = rest.iter().take_while(|b| plain(b)).count();
        let begins = rest
            .first()
            .is_some_and(|b| CLASS[usize::from(*b)] & NAME_START != 0);
        let ends = |b: &u8| CLASS[usize::from(*b)] & END_OF_NAME != 0;
        if begins && rest.get(length).is_none_or(ends) {
            self.at += length;
            return Ok(QName {
                prefix: Span::default(),
                local: self.since(start),
            });
        }
        self.odd_qname()
    }

    /// The same where it is not of ASCII letters, digits and marks alone.
    #[inline(never)]
    fn odd_qname(&mut self) -> Result<QName, Rule> {
        let start = self.at;
        let rest = self.rest();
        let ends = |b: &u8| CLASS[usize::from(*b)] & END_OF_NAME != 0;
        let length = rest.iter().position(ends).unwrap_or(rest.len());
        self.at += length;
        let qname = match memchr::memchr(b':', &rest[..length]) {
            None => QName {
                prefix: Span::default(),
                local: self.since(start),
            },
            Some(colon) if colon == 0 || colon + 1 == length => {
                return Err(Rule::NotWellFormed("a name begins or ends with a colon"));
            }
            Some(colon) => QName {
                prefix: Span {
                    start: start as u32,
                    end: (start + colon) as u32,
                },
                local: self.since(start + colon + 1),
            },
        };
        if is_ncname_bytes(self.written(qname.local)) {
            Ok(qname)
        } else {
            Err(BROKEN_NAME)
        }
    }

    /// A part of the frame as text: of what was not checked yet, it may be no UTF-8.
    fn text_of(&self, span: Span) -> Result<&'a str, Rule> {
        std::str::from_utf8(self.written(span)).map_err(|_| Rule::Utf8)
    }

    /// A quoted value, references expanded and white space normalised (XML 1.0 §3.3.3).
    fn value(&mut self) -> Result<Span, Rule> {
        let quote = self
            .byte()
            .filter(|b| matches!(b, b'"' | b'\''))
            .ok_or(BROKEN_ATTRIBUTE)?;
        self.at += 1;
        let start = self.at;
        let rest = self.rest();
        let plain = plain_value(rest, quote);
        self.at += plain;
        if self.byte() == Some(quote) {
            let written = self.since(start);
            self.at += 1;
            return Ok(written);
        }
        let odd = memchr::memchr(quote, &rest[plain..]).ok_or(BROKEN_ATTRIBUTE)?;
        self.at += odd;
        let written = self.since(start);
        self.at += 1;
        if memchr::memchr(b'<', &rest[plain..plain + odd]).is_some() {
            return Err(Rule::NotWellFormed("`<` in an attribute"));
        }
        self.decode_value(self.text_of(written)?)
    }

    fn decoded_since(&self, start: u32) -> Span {
        Span {
            start,
            end: self.draft.decoded_end(),
        }
    }

    fn decode_value(&mut self, raw: &str) -> Result<Span, Rule> {
        let start = self.draft.decoded_end();
        let decoded = self.draft.decoded_mut();
        let mut rest = raw;
        while let Some(at) = rest.find(['&', '\t', '\r', '\n']) {
            decoded.push_str(&rest[..at]);
            let tail = &rest[at + 1..];
            rest = match rest.as_bytes()[at] {
                b'&' => {
                    let (reference, after) = tail.split_once(';').ok_or(UNFINISHED)?;
                    decoded.push(expand(reference)?);
                    after
                }
                b'\r' => {
                    decoded.push(' ');
                    tail.strip_prefix('\n').unwrap_or(tail)
                }
                _ => {
                    decoded.push(' ');
                    tail
                }
            };
        }
        decoded.push_str(rest);
        Ok(self.decoded_since(start))
    }

    /// Character data up to the next tag: characters, references, CDATA sections.
    fn text(&mut self) -> Result<(), Rule> {
        if self.open.is_empty() {
            return Err(OUTSIDE);
        }
        let start = self.at;
        self.characters()?;
        let written = self.since(start);
        let whole = match self.byte() {
            Some(b'<') => !self.rest().starts_with(b"<![CDATA["),
            Some(b'&') => false,
            _ => true,
        };
        if whole && memchr::memchr(b'\r', self.written(written)).is_none() {
            self.draft.records.push(Record::Text(written));
            return Ok(());
        }
        let decoded = self.draft.decoded_end();
        // Nothing stands for more than its own length: one reservation up to the next tag.
        let ahead = memchr::memchr(b'<', self.rest()).unwrap_or_default();
        self.draft.decoded_mut().reserve(self.at - start + ahead);
        self.append(self.text_of(written)?);
        loop {
            if self.skip(b"&") {
                let end = memchr::memchr(b';', self.rest()).ok_or(UNFINISHED)?;
                let reference = self.text_of(self.ahead(end))?;
                self.draft.decoded_mut().push(expand(reference)?);
                self.at += end + 1;
            } else if self.skip(b"<![CDATA[") {
                const UNENDED: Rule = Rule::NotWellFormed("a CDATA section does not end");
                let end = memchr::memmem::find(self.rest(), b"]]>").ok_or(UNENDED)?;
                self.append(self.text_of(self.ahead(end))?);
                self.at += end + 3;
            } else if matches!(self.byte(), None | Some(b'<')) {
                break;
            } else {
                let start = self.at;
                self.characters()?;
                self.append(self.text_of(self.since(start))?);
            }
        }
        let decoded = self.decoded_since(decoded);
        if decoded.start < decoded.end {
            self.draft.records.push(Record::Text(decoded));
        }
        Ok(())
    }

    /// The next bytes.
    const fn ahead(&self, length: usize) -> Span {
        Span {
            start: self.at as u32,
            end: (self.at + length) as u32,
        }
    }

    /// Steps over `CharData` (XML 1.0 §2.4, production 14).
    fn characters(&mut self) -> Result<(), Rule> {
        let bytes = self.around.frame;
        while let Some(rest) = bytes.get(self.at..) {
            let Some(found) = memchr::memchr3(b'<', b'&', b']', rest) else {
                self.at = bytes.len();
                break;
            };
            self.at += found;
            if rest[found] != b']' {
                break;
            }
            if rest[found..].starts_with(b"]]>") {
                return Err(Rule::NotWellFormed("`]]>` in text"));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// CR LF and lone CR become LF (XML 1.0 §2.11).
    fn append(&mut self, run: &str) {
        let decoded = self.draft.decoded_mut();
        let mut rest = run;
        while let Some(at) = memchr::memchr(b'\r', rest.as_bytes()) {
            decoded.push_str(&rest[..at]);
            decoded.push('\n');
            rest = &rest[at + 1..];
            rest = rest.strip_prefix('\n').unwrap_or(rest);
        }
        decoded.push_str(rest);
    }
}

const UNFINISHED: Rule = Rule::NotWellFormed("`&` without `;`");

/// What ends a name.
const END_OF_NAME: u8 = 1;
/// An ASCII letter or `_`.
const NAME_START: u8 = 2;
/// An ASCII character of names, but no colon.
const IN_NAME: u8 = 4;

/// What a byte may be.
const CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        table[b] = match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => NAME_START | IN_NAME,
            b'0'..=b'9' | b'-' | b'.' => IN_NAME,
            b'/' | b'>' | b'=' | b'<' | b'"' | b'\'' => END_OF_NAME,
            _ if is_space(byte) => END_OF_NAME,
            _ => 0,
        };
        b += 1;
    }
    table
};

/// A predefined entity or a character reference (XML 1.0 §4.1, §4.6).
fn expand(reference: &str) -> Result<char, Rule> {
    let code = match reference {
        "lt" => return Ok('<'),
        "gt" => return Ok('>'),
        "amp" => return Ok('&'),
        "apos" => return Ok('\''),
        "quot" => return Ok('"'),
        _ => reference.strip_prefix('#').ok_or(Rule::Entity)?,
    };
    const BROKEN: Rule = Rule::NotWellFormed("a character reference is broken");
    let (digits, radix) = match code.strip_prefix('x') {
        Some(hex) => (hex, 16),
        None => (code, 10),
    };
    // `from_str_radix` would take a sign.
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return Err(BROKEN);
    }
    let c = u32::from_str_radix(digits, radix)
        .ok()
        .and_then(char::from_u32)
        .ok_or(BROKEN)?;
    if is_xml_char(c) {
        Ok(c)
    } else {
        Err(Rule::Character(crate::xml::InvalidChar {
            character: c,
            offset: 0,
        }))
    }
}

//! One frame to one element, strictly. Tokens come from quick-xml; every rule that it
//! leaves to its caller is kept here: characters, names, attributes, references,
//! namespaces, a single root.

use std::borrow::Cow;

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::error::{DecodeError, Rule};
use super::framer::is_space;
use super::limits::Limits;
use super::scope::{Bindings, Scope};
use crate::xml::{Attribute, Element, Name, Node, Ns, Text, first_invalid, is_xml_char};

/// Decodes one whole element that stands alone in `input`; `scope` says which
/// prefixes are bound around it. White space around the element is ignored.
///
/// # Errors
/// [`DecodeError`] with the offset in `input`.
pub fn parse_element(input: &[u8], scope: &Scope, limits: &Limits) -> Result<Element, DecodeError> {
    let text = checked_text(input, limits)?;
    let mut parser = Parser::new(text, scope, limits);
    parser.document().map_err(|rule| parser.fault(rule))
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
    let mut parser = Parser::new(tag, &scope, limits);
    let read = parser.opening_tag().map_err(|rule| {
        let mut fault = parser.fault(rule);
        fault.offset += (text.len() - tag.len()) as u64;
        fault
    });
    let (element, qname) = read?;
    Ok(OpeningTag {
        element,
        scope: parser.bindings.into_scope(),
        qname,
    })
}

/// Size, UTF-8 and forbidden characters, in one place for the whole frame.
fn checked_text<'a>(input: &'a [u8], limits: &Limits) -> Result<&'a str, DecodeError> {
    let fault = |offset: usize, rule| DecodeError {
        offset: offset as u64,
        rule,
    };
    let limit = limits.stanza_bytes;
    if input.len() > limit {
        let what = "bytes in a stanza";
        return Err(fault(limit, Rule::Limit { what, limit }));
    }
    let text = std::str::from_utf8(input).map_err(|e| fault(e.valid_up_to(), Rule::Utf8))?;
    if let Some(bad) = first_invalid(text) {
        return Err(fault(bad.offset, Rule::Character(bad)));
    }
    // No byte order mark but a character of text (RFC 6120 §11.6); the tokenizer would
    // skip it.
    if text.starts_with('\u{FEFF}') {
        return Err(fault(0, OUTSIDE));
    }
    Ok(text)
}

const OUTSIDE: Rule = Rule::NotWellFormed("text outside the root");

/// What follows the XML declaration, or `text` itself if it has none (XML 1.0 §2.8,
/// productions 23 to 26, 32 and 80).
fn after_declaration(text: &str) -> Result<&str, Rule> {
    const BROKEN: Rule = Rule::NotWellFormed("the XML declaration is broken");
    let Some(rest) = text.strip_prefix("<?") else {
        return Ok(text);
    };
    let (declaration, rest) = rest
        .strip_prefix("xml")
        .and_then(|rest| rest.split_once("?>"))
        .ok_or(BROKEN)?;
    let mut attributes = Attributes(declaration).peekable();
    let mut value_of = |name: &str| match attributes.peek() {
        Some(Ok(a)) if a.prefix.is_empty() && a.local == name => attributes.next().transpose(),
        Some(Err(_)) => Err(BROKEN),
        _ => Ok(None),
    };
    let version = value_of("version")?.ok_or(BROKEN)?;
    let encoding = value_of("encoding")?;
    let standalone = value_of("standalone")?;
    if attributes.next().is_some() || standalone.is_some_and(|s| !matches!(s.value, "yes" | "no")) {
        return Err(BROKEN);
    }
    if version.value != "1.0" {
        return Err(Rule::NotWellFormed("the XML version is not 1.0"));
    }
    match encoding {
        Some(e) if !e.value.eq_ignore_ascii_case("utf-8") => Err(Rule::Utf8),
        _ => Ok(rest.trim_start_matches(is_xml_space)),
    }
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    bindings: Bindings<'a>,
    limits: &'a Limits,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, scope: &'a Scope, limits: &'a Limits) -> Self {
        Self {
            reader: Reader::from_str(text),
            bindings: Bindings::new(scope),
            limits,
        }
    }

    fn fault(&self, rule: Rule) -> DecodeError {
        DecodeError {
            offset: self.reader.buffer_position(),
            rule,
        }
    }

    fn event(&mut self) -> Result<Event<'a>, Rule> {
        self.reader
            .read_event()
            .map_err(|_| Rule::NotWellFormed("a tag is broken, or does not match its end"))
    }

    fn document(&mut self) -> Result<Element, Rule> {
        // Open elements, each with the mark of the bindings around it.
        let mut open: Vec<(Element, usize)> = Vec::new();
        let mut root: Option<Element> = None;
        loop {
            let event = self.event()?;
            let closed = match event {
                Event::Start(tag) => {
                    let around = self.bindings.mark();
                    let element = self.start_tag(&tag)?;
                    self.room(open.len() + 1, root.is_some())?;
                    open.push((element, around));
                    continue;
                }
                Event::Empty(tag) => {
                    let around = self.bindings.mark();
                    let element = self.start_tag(&tag)?;
                    self.room(open.len() + 1, root.is_some())?;
                    self.bindings.close(around);
                    element
                }
                Event::End(_) => {
                    let (element, around) = open
                        .pop()
                        .ok_or(Rule::NotWellFormed("an end without a start"))?;
                    self.bindings.close(around);
                    element
                }
                Event::Text(run) if open.is_empty() && run.bytes().all(is_space) => continue,
                Event::Text(run) => {
                    let (element, _) = open.last_mut().ok_or(OUTSIDE)?;
                    if run.contains("]]>") {
                        return Err(Rule::NotWellFormed("`]]>` in text"));
                    }
                    element.append(&normalise_line_ends(&run));
                    continue;
                }
                Event::CData(run) => {
                    let (element, _) = open.last_mut().ok_or(OUTSIDE)?;
                    element.append(&normalise_line_ends(&run));
                    continue;
                }
                Event::GeneralRef(reference) => {
                    let (element, _) = open.last_mut().ok_or(OUTSIDE)?;
                    element.append(expand(&reference)?.encode_utf8(&mut [0; 4]));
                    continue;
                }
                Event::Comment(_) => return Err(Rule::Restricted("comments")),
                Event::PI(_) => return Err(Rule::Restricted("processing instructions")),
                Event::Decl(_) => return Err(Rule::Restricted("XML declarations inside a stream")),
                Event::DocType(_) => return Err(Rule::Restricted("document types")),
                Event::Eof if !open.is_empty() => {
                    return Err(Rule::NotWellFormed("the end of an element is missing"));
                }
                Event::Eof => return root.ok_or(Rule::NotWellFormed("there is no element")),
            };
            match open.last_mut() {
                Some((parent, _)) => parent.nodes.push(Node::Element(closed)),
                None => root = Some(closed),
            }
        }
    }

    /// Whether one more element may stand at `depth`.
    fn room(&self, depth: usize, root_is_read: bool) -> Result<(), Rule> {
        if root_is_read {
            return Err(Rule::NotWellFormed("a second root element"));
        }
        let limit = self.limits.levels();
        if depth > limit {
            let what = "levels of nesting";
            return Err(Rule::Limit { what, limit });
        }
        Ok(())
    }

    /// One start tag and nothing else, with its name as written.
    fn opening_tag(&mut self) -> Result<(Element, Box<str>), Rule> {
        let Event::Start(tag) = self.event()? else {
            return Err(Rule::NotAStream);
        };
        let element = self.start_tag(&tag)?;
        match self.event()? {
            Event::Eof => Ok((element, tag.name().0.into())),
            _ => Err(Rule::NotWellFormed("the stream's opening tag is broken")),
        }
    }

    /// A start tag, its declarations added to the bindings. These may stand behind the
    /// attributes that use them, so that the tag is gone through twice.
    fn start_tag(&mut self, tag: &BytesStart<'_>) -> Result<Element, Rule> {
        let limit = self.limits.attributes;
        let too_many = || Rule::Limit {
            what: "attributes or prefixes",
            limit,
        };
        let around = self.bindings.mark();
        let (mut plain, mut declared) = (0, 0);
        for attribute in Attributes(tag.attributes_raw()) {
            let attribute = attribute?;
            if plain + declared >= limit {
                return Err(too_many());
            }
            let Some(prefix) = attribute.declares() else {
                plain += 1;
                continue;
            };
            declared += 1;
            if self.bindings.made_since(around, prefix) {
                return Err(Rule::NotWellFormed("an attribute stands twice"));
            }
            self.bindings
                .declare(prefix, &attribute_value(attribute.value)?)?;
        }
        if self.bindings.len() > limit {
            return Err(too_many());
        }
        let (prefix, local) = split_qname(tag.name().0)?;
        let mut element = Element::from_parts(checked_name(local)?, self.bindings.resolve(prefix)?);
        element.attrs.reserve_exact(plain);
        for attribute in Attributes(tag.attributes_raw()) {
            let attribute = attribute?;
            if attribute.declares().is_some() {
                continue;
            }
            let ns = match attribute.prefix {
                "" => Ns::NONE,
                prefix => self.bindings.resolve(prefix)?,
            };
            let name = checked_name(attribute.local)?;
            if element.attrs.iter().any(|a| a.name == name && a.ns == ns) {
                return Err(Rule::Namespace("two attributes have one expanded name"));
            }
            let value = Text::checked(attribute_value(attribute.value)?);
            element.attrs.push(Attribute { ns, name, value });
        }
        Ok(element)
    }
}

/// An attribute as written.
struct RawAttribute<'a> {
    prefix: &'a str,
    local: &'a str,
    value: &'a str,
}

impl<'a> RawAttribute<'a> {
    /// The prefix that this binds, empty for the default, if it is a declaration.
    fn declares(&self) -> Option<&'a str> {
        match (self.prefix, self.local) {
            ("xmlns", prefix) => Some(prefix),
            ("", "xmlns") => Some(""),
            _ => None,
        }
    }
}

/// What stands behind the name in a tag: `(S Name S? '=' S? AttValue)* S?` (XML 1.0
/// §3.1, productions 25, 40, 41).
struct Attributes<'a>(&'a str);

impl<'a> Iterator for Attributes<'a> {
    type Item = Result<RawAttribute<'a>, Rule>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.0.trim_start_matches(is_xml_space);
        if rest.is_empty() {
            return None;
        }
        if rest.len() == self.0.len() {
            return Some(Err(Rule::NotWellFormed(
                "white space is missing before an attribute",
            )));
        }
        let read = attribute(rest).map(|(attribute, rest)| {
            self.0 = rest;
            attribute
        });
        Some(read)
    }
}

/// One attribute, and what follows it.
fn attribute(raw: &str) -> Result<(RawAttribute<'_>, &str), Rule> {
    const BROKEN: Rule = Rule::NotWellFormed("an attribute is broken");
    let (name, rest) = raw.split_once('=').ok_or(BROKEN)?;
    let (prefix, local) = split_qname(name.trim_end_matches(is_xml_space))?;
    let rest = rest.trim_start_matches(is_xml_space);
    let quote = rest
        .chars()
        .next()
        .filter(|q| matches!(q, '"' | '\''))
        .ok_or(BROKEN)?;
    let (value, rest) = rest[1..].split_once(quote).ok_or(BROKEN)?;
    if value.contains('<') {
        return Err(Rule::NotWellFormed("`<` in an attribute"));
    }
    let attribute = RawAttribute {
        prefix,
        local,
        value,
    };
    Ok((attribute, rest))
}

const fn is_xml_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn split_qname(qname: &str) -> Result<(&str, &str), Rule> {
    match qname.split_once(':') {
        None => Ok(("", qname)),
        Some((prefix, local)) if !prefix.is_empty() && !local.is_empty() => Ok((prefix, local)),
        Some(_) => Err(Rule::NotWellFormed("a name begins or ends with a colon")),
    }
}

fn checked_name(local: &str) -> Result<Name, Rule> {
    Name::new(local)
        .map_err(|_| Rule::NotWellFormed("a name has characters that names may not have"))
}

/// References expanded and white space normalised (XML 1.0 §3.3.3).
fn attribute_value(raw: &str) -> Result<String, Rule> {
    let mut value = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some(at) = rest.find(['&', '\t', '\r', '\n']) {
        value.push_str(&rest[..at]);
        let tail = &rest[at + 1..];
        rest = match rest.as_bytes()[at] {
            b'&' => {
                let (reference, after) = tail
                    .split_once(';')
                    .ok_or(Rule::NotWellFormed("`&` without `;`"))?;
                value.push(expand(reference)?);
                after
            }
            b'\r' => {
                value.push(' ');
                tail.strip_prefix('\n').unwrap_or(tail)
            }
            _ => {
                value.push(' ');
                tail
            }
        };
    }
    value.push_str(rest);
    Ok(value)
}

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

/// CR LF and lone CR become LF (XML 1.0 §2.11).
fn normalise_line_ends(run: &str) -> Cow<'_, str> {
    if run.contains('\r') {
        Cow::Owned(run.replace("\r\n", "\n").replace('\r', "\n"))
    } else {
        Cow::Borrowed(run)
    }
}

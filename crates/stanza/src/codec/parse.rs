//! One frame to one element, strictly. Tokens come from quick-xml; every rule that it
//! leaves to its caller is kept here: characters, names, attributes, references,
//! namespaces, a single root.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::error::{DecodeError, Rule};
use super::framer::is_space;
use super::limits::Limits;
use super::scope::Scope;
use crate::xml::{Attribute, Element, Name, Node, Ns, Text, first_invalid, is_xml_char};

/// Decodes one whole element that stands alone in `input`; `scope` says which
/// prefixes are bound around it. White space around the element is ignored.
///
/// # Errors
/// [`DecodeError`] with the offset in `input`.
pub fn parse_element(input: &[u8], scope: &Scope, limits: &Limits) -> Result<Element, DecodeError> {
    let text = checked_text(input, limits)?;
    let mut parser = Parser::new(text, scope.clone(), limits);
    parser.document().map_err(|rule| DecodeError {
        offset: parser.reader.buffer_position(),
        rule,
    })
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
    let mut parser = Parser::new(text, Scope::empty(), limits);
    parser.opening_tag().map_err(|rule| DecodeError {
        offset: parser.reader.buffer_position(),
        rule,
    })
}

/// Size, UTF-8 and forbidden characters, in one place for the whole frame.
fn checked_text<'a>(input: &'a [u8], limits: &Limits) -> Result<&'a str, DecodeError> {
    if input.len() > limits.stanza_bytes {
        let rule = Rule::Limit {
            what: "bytes in a stanza",
            limit: limits.stanza_bytes,
        };
        return Err(DecodeError {
            offset: limits.stanza_bytes as u64,
            rule,
        });
    }
    let text = std::str::from_utf8(input).map_err(|e| DecodeError {
        offset: e.valid_up_to() as u64,
        rule: Rule::Utf8,
    })?;
    match first_invalid(text) {
        Some(bad) => Err(DecodeError {
            offset: bad.offset as u64,
            rule: Rule::Character(bad),
        }),
        None => Ok(text),
    }
}

struct Parser<'a> {
    reader: Reader<&'a [u8]>,
    scope: Scope,
    limits: &'a Limits,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str, scope: Scope, limits: &'a Limits) -> Self {
        Self {
            reader: Reader::from_str(text),
            scope,
            limits,
        }
    }

    fn event(&mut self) -> Result<Event<'a>, Rule> {
        self.reader
            .read_event()
            .map_err(|_| Rule::NotWellFormed("a tag is broken, or does not match its end"))
    }

    fn document(&mut self) -> Result<Element, Rule> {
        // Open elements with the length of the scope before each.
        let mut open: Vec<(Element, usize)> = Vec::new();
        let mut root: Option<Element> = None;
        loop {
            let closed = match self.event()? {
                Event::Start(tag) => {
                    let before = self.scope.len();
                    let element = self.start_tag(&tag)?;
                    self.room(open.len() + 1, root.is_some())?;
                    open.push((element, before));
                    continue;
                }
                Event::Empty(tag) => {
                    let before = self.scope.len();
                    let element = self.start_tag(&tag)?;
                    self.room(open.len() + 1, root.is_some())?;
                    self.scope.truncate(before);
                    element
                }
                Event::End(_) => {
                    let (element, before) = open
                        .pop()
                        .ok_or(Rule::NotWellFormed("an end without a start"))?;
                    self.scope.truncate(before);
                    element
                }
                Event::Text(run) => {
                    let run = run.into_inner();
                    match open.last_mut() {
                        Some((element, _)) => {
                            if run.contains("]]>") {
                                return Err(Rule::NotWellFormed("`]]>` in text"));
                            }
                            element.push_text(Text::checked(normalise_line_ends(&run)));
                        }
                        None if run.bytes().all(is_space) => {}
                        None => return Err(Rule::NotWellFormed("text outside the root")),
                    }
                    continue;
                }
                Event::CData(run) => {
                    let (element, _) = open
                        .last_mut()
                        .ok_or(Rule::NotWellFormed("text outside the root"))?;
                    element.push_text(Text::checked(normalise_line_ends(&run.into_inner())));
                    continue;
                }
                Event::GeneralRef(reference) => {
                    let (element, _) = open
                        .last_mut()
                        .ok_or(Rule::NotWellFormed("text outside the root"))?;
                    let c = expand(&reference.into_inner())?;
                    element.push_text(Text::checked(c.to_string()));
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
        if depth > self.limits.depth {
            return Err(Rule::Limit {
                what: "levels of nesting",
                limit: self.limits.depth,
            });
        }
        Ok(())
    }

    fn opening_tag(&mut self) -> Result<OpeningTag, Rule> {
        let mut event = self.event()?;
        if let Event::Decl(decl) = &event {
            let version = decl
                .version()
                .map_err(|_| Rule::NotWellFormed("the XML declaration"))?;
            if version != "1.0" {
                return Err(Rule::NotWellFormed("the XML version is not 1.0"));
            }
            if let Some(encoding) = decl.encoding() {
                let encoding = encoding.map_err(|_| Rule::NotWellFormed("the XML declaration"))?;
                if !encoding.eq_ignore_ascii_case("utf-8") {
                    return Err(Rule::Utf8);
                }
            }
            event = self.event()?;
        }
        if matches!(&event, Event::Text(t) if t.bytes().all(is_space)) {
            event = self.event()?;
        }
        let Event::Start(tag) = event else {
            return Err(Rule::NotAStream);
        };
        let qname = tag.name().0.into();
        let element = self.start_tag(&tag)?;
        Ok(OpeningTag {
            element,
            scope: std::mem::replace(&mut self.scope, Scope::empty()),
            qname,
        })
    }

    /// A start tag, its declarations added to the scope.
    fn start_tag(&mut self, tag: &BytesStart<'_>) -> Result<Element, Rule> {
        let before = self.scope.len();
        let mut raw: Vec<RawAttribute<'_>> = Vec::new();
        let mut rest = tag.attributes_raw();
        while let Some((attribute, after)) = next_attribute(rest)? {
            if raw.len() >= self.limits.attributes {
                return Err(self.too_many_attributes());
            }
            raw.push(attribute);
            rest = after;
        }
        for attribute in raw.iter().filter(|a| a.declares()) {
            let prefix = if attribute.prefix.is_empty() {
                ""
            } else {
                attribute.local
            };
            if self.scope_declares(before, prefix) {
                return Err(Rule::NotWellFormed("an attribute stands twice"));
            }
            self.scope
                .declare(prefix, &attribute_value(attribute.value)?)?;
        }
        if self.scope.len() > self.limits.attributes {
            return Err(self.too_many_attributes());
        }
        let (prefix, local) = split_qname(tag.name().0)?;
        let mut element = Element::from_parts(checked_name(local)?, self.scope.resolve(prefix)?);
        for attribute in raw.iter().filter(|a| !a.declares()) {
            let ns = if attribute.prefix.is_empty() {
                Ns::NONE
            } else {
                self.scope.resolve(attribute.prefix)?
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

    fn scope_declares(&self, since: usize, prefix: &str) -> bool {
        self.scope.declared_since(since).any(|p| p == prefix)
    }

    const fn too_many_attributes(&self) -> Rule {
        Rule::Limit {
            what: "attributes or prefixes",
            limit: self.limits.attributes,
        }
    }
}

/// An attribute as written.
struct RawAttribute<'a> {
    prefix: &'a str,
    local: &'a str,
    value: &'a str,
}

impl RawAttribute<'_> {
    fn declares(&self) -> bool {
        self.prefix == "xmlns" || (self.prefix.is_empty() && self.local == "xmlns")
    }
}

/// `(S Name S? '=' S? AttValue)`, or nothing but space (XML 1.0 §3.1, productions 25, 40, 41).
fn next_attribute(raw: &str) -> Result<Option<(RawAttribute<'_>, &str)>, Rule> {
    const BROKEN: Rule = Rule::NotWellFormed("an attribute is broken");
    let rest = raw.trim_start_matches(is_xml_space);
    if rest.is_empty() {
        return Ok(None);
    }
    if rest.len() == raw.len() {
        return Err(Rule::NotWellFormed(
            "white space is missing before an attribute",
        ));
    }
    let (name, rest) = rest.split_once('=').ok_or(BROKEN)?;
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
    Ok(Some((
        RawAttribute {
            prefix,
            local,
            value,
        },
        rest,
    )))
}

const fn is_xml_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

fn split_qname(qname: &str) -> Result<(&str, &str), Rule> {
    match qname.split_once(':') {
        None => Ok(("", qname)),
        Some((prefix, local)) if !prefix.is_empty() => Ok((prefix, local)),
        Some(_) => Err(Rule::NotWellFormed("a name begins with a colon")),
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
        Err(Rule::Character(crate::InvalidChar {
            character: c,
            offset: 0,
        }))
    }
}

/// CR LF and lone CR become LF (XML 1.0 §2.11).
fn normalise_line_ends(run: &str) -> String {
    if run.contains('\r') {
        run.replace("\r\n", "\n").replace('\r', "\n")
    } else {
        run.to_owned()
    }
}

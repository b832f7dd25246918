//! The XML declaration at the beginning of a stream (XML 1.0 §2.8). What follows it is
//! for `parse`.

use super::error::Rule;

/// What follows the XML declaration, or `text` itself if it has none (XML 1.0 §2.8,
/// productions 23 to 26, 32 and 80).
pub(super) fn after_declaration(text: &str) -> Result<&str, Rule> {
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

/// An attribute as written.
struct RawAttribute<'a> {
    prefix: &'a str,
    local: &'a str,
    value: &'a str,
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

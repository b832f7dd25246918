//! An element written and read again: whether XML comes back as it was. The same for
//! what was written from a type is for `check`.

use stanchion::stanza::codec::parse_element;
use stanchion::stanza::xml::Node;
use stanchion::stanza::{Element, Encoder, Limits, Scope};

/// What is written may take so many times the bytes that may be read: a quote is then an
/// entity of six bytes, and prefixes are declarations.
const GROWTH: usize = 16;

/// Writes an element and reads it again.
///
/// # Errors
/// Why that does not work, in words.
pub(super) fn written(
    element: &Element,
    scope: &Scope,
    limits: &Limits,
) -> Result<Element, String> {
    let bytes = limits.stanza_bytes.saturating_mul(GROWTH);
    let room = limits
        .with_stanza_bytes(bytes)
        .with_attributes(limits.attributes.saturating_mul(GROWTH));
    let bytes = Encoder::new(scope.clone(), room)
        .to_bytes(element)
        .map_err(|e| format!("cannot be written again: {e}"))?;
    parse_element(&bytes, scope, &room).map_err(|e| format!("written again it is refused {e}"))
}

/// Whether two elements are the same XML: names and attributes by namespace, attributes in
/// any order, children and text in theirs. As deep as the elements are.
pub(super) fn same(one: &Element, other: &Element) -> bool {
    let attributes = |e: &Element| e.attrs().count();
    one.name() == other.name()
        && one.ns() == other.ns()
        && attributes(one) == attributes(other)
        && one
            .attrs()
            .all(|a| other.attr_ns(a.ns(), a.name()) == Some(a.value().as_str()))
        && one.nodes().len() == other.nodes().len()
        && one
            .nodes()
            .iter()
            .zip(other.nodes())
            .all(|pair| match pair {
                (Node::Element(one), Node::Element(other)) => same(one, other),
                (Node::Text(one), Node::Text(other)) => one == other,
                _ => false,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Element {
        let limits = Limits::default().with_attributes(1000);
        parse_element(xml.as_bytes(), &Scope::client(), &limits).unwrap()
    }

    #[test]
    fn the_order_of_attributes_is_free_and_nothing_else_is() {
        let one = read("<a xmlns='urn:x' b='1' c='2'>t<d/></a>");
        let same_as = |xml: &str| same(&one, &read(xml));
        assert!(same_as("<p:a xmlns:p='urn:x' c='2' b='1'>t<p:d/></p:a>"));
        for other in [
            "<a xmlns='urn:y' b='1' c='2'>t<d/></a>",
            "<e xmlns='urn:x' b='1' c='2'>t<d/></e>",
            "<a xmlns='urn:x' b='1'>t<d/></a>",
            "<a xmlns='urn:x' b='1' c='3'>t<d/></a>",
            "<a xmlns='urn:x' xmlns:p='urn:x' b='1' p:c='2'>t<d/></a>",
            "<a xmlns='urn:x' b='1' c='2'>u<d/></a>",
            "<a xmlns='urn:x' b='1' c='2'><d/>t</a>",
            "<a xmlns='urn:x' b='1' c='2'>t<d/> </a>",
            "<a xmlns='urn:x' b='1' c='2'>t<e/></a>",
        ] {
            assert!(!same_as(other), "{other}");
        }
    }

    #[test]
    fn what_is_read_can_be_written_though_it_grows() {
        let quotes = "&apos;&#9;\"".repeat(1000);
        let mut many = String::new();
        for n in 0..120 {
            many.push_str(&format!(" p:a{n}='{n}'"));
        }
        for xml in [
            format!("<a b=\"{}\">{}</a>", "'".repeat(9000), ">".repeat(9000)),
            format!("<a b='{quotes}'/>"),
            format!("<a xmlns:p='urn:p'{many}/>"),
        ] {
            let limits = Limits::default().with_stanza_bytes(xml.len());
            let element = read(&xml);
            let again = written(&element, &Scope::client(), &limits).unwrap();
            assert!(same(&element, &again));
        }
    }

    #[test]
    fn what_would_grow_beyond_bound_is_not_written() {
        let long = "n".repeat(10_000);
        let children = "<p:a/><b/>".repeat(1000);
        let xml = format!("<a xmlns:p='{long}' xmlns='urn:{long}'>{children}</a>");
        let limits = Limits::default().with_stanza_bytes(xml.len());
        let failed = written(&read(&xml), &Scope::client(), &limits).unwrap_err();
        assert!(failed.contains("more than"), "{failed}");
    }
}

//! Changes to a tree, one element at a time: what makes a mutant of a payload that is
//! still XML. The property tests draw them; the fuzz target `payload` mutates with them.

use stanchion_stanza::xml::Node;
use stanchion_stanza::{Element, Text};

/// Values that mean something somewhere.
pub(crate) const VALUES: &[&str] = &[
    "",
    " ",
    "=",
    "0",
    "1",
    "-1",
    "110",
    "1000",
    "4294967296",
    "1e9",
    "true",
    "false",
    "a@example.org/ ",
    "@",
    "none",
    "owner",
    "member",
    "both",
    "form",
    "submit",
    "hidden",
    "fixed",
    "FORM_TYPE",
    "cancel",
    "executing",
    "AA==",
    "OK",
    "2026-02-03T19:00:00Z",
    "\u{FFFD}\r\n&<]]>",
];

/// What becomes of one element of the tree. Numbers choose among what is there, counted
/// round and round.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    /// It goes, with all that is in it.
    Lose,
    /// It stands twice.
    Double,
    LoseAttribute(usize),
    SetAttribute(usize, &'static str),
    /// Character data takes the place of all that is in it.
    SetText(&'static str),
    /// It gets one child more, the last.
    Adopt(Element),
    /// It gets the attributes of this element.
    TakeAttributes(Element),
    /// It goes, and this one stands in its place.
    Replace(Element),
}

/// How many elements there are, the root included.
pub(crate) fn size(element: &Element) -> usize {
    1 + element.children().map(size).sum::<usize>()
}

/// The element at `at`, counted in document order; the root for what is not there.
pub(crate) fn at(element: &Element, at: usize) -> &Element {
    let mut next = 1;
    for child in element.children() {
        let size = size(child);
        if (next..next + size).contains(&at) {
            return self::at(child, at - next);
        }
        next += size;
    }
    element
}

/// The tree with `edit` done to the element at `at`, counted from the root in document
/// order; the root itself stays where it is.
///
/// # Panics
/// If a name that was read cannot be written.
pub(crate) fn edited(element: &Element, at: usize, edit: &Edit) -> Element {
    let here = at == 0;
    let mut copy = with_attributes_of(element, here.then_some(edit));
    if let (true, Edit::SetText(text)) = (here, edit) {
        return copy.with_text(Text::from_static(text));
    }
    let mut next = 1;
    for node in element.nodes() {
        let child = match node {
            Node::Text(text) => {
                copy.push_text(text.clone());
                continue;
            }
            Node::Element(child) => child,
        };
        match (at == next, edit) {
            (true, Edit::Lose) => {}
            (true, Edit::Double) => copy = copy.with_children([child.clone(), child.clone()]),
            (true, Edit::Replace(other)) => copy.push(other.clone()),
            _ if (next..next + size(child)).contains(&at) => {
                copy.push(edited(child, at - next, edit));
            }
            _ => copy.push(child.clone()),
        }
        next += size(child);
    }
    if let (true, Edit::Adopt(adopted)) = (here, edit) {
        copy.push(adopted.clone());
    }
    copy
}

/// An empty element of the same name, and its attributes after the edit.
fn with_attributes_of(element: &Element, edit: Option<&Edit>) -> Element {
    let mut copy = named_as(element);
    let count = element.attrs().count();
    for (nth, attribute) in element.attrs().enumerate() {
        let value = match edit {
            Some(Edit::LoseAttribute(which)) if which % count == nth => continue,
            Some(Edit::SetAttribute(which, value)) if which % count == nth => {
                Text::from_static(value)
            }
            _ => attribute.value().clone(),
        };
        set(&mut copy, attribute.ns(), attribute.name(), value);
    }
    if let Some(Edit::TakeAttributes(other)) = edit {
        for attribute in other.attrs() {
            let value = attribute.value().clone();
            set(&mut copy, attribute.ns(), attribute.name(), value);
        }
    }
    copy
}

fn named_as(element: &Element) -> Element {
    let copy = Element::try_new(element.name(), element.ns());
    copy.unwrap_or_else(|e| panic!("{}: {e}", element.name()))
}

fn set(element: &mut Element, ns: &str, name: &str, value: Text) {
    let set = element.try_set_attr(ns, name, value);
    assert!(set.is_ok(), "{name}: {set:?}");
}

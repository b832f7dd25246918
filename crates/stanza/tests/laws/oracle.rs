//! The law of the oracle: what this decoder accepts, rxml accepts too, and reads the
//! same from it. The property tests and the fuzz target `decoder` look for a
//! counterexample.

use rxml::{Event, Parse as _, Parser, WithOptions as _};
use stanchion_stanza::codec::Rule;
use stanchion_stanza::xml::Node;
use stanchion_stanza::{Decoder, Element, Limits, Scope, StreamEvent, codec::parse_element};

/// An element as both parsers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree {
    name: (String, String),
    /// Namespace, name and value, sorted.
    attributes: Vec<(String, String, String)>,
    branches: Vec<Branch>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Branch {
    Tree(Tree),
    Text(String),
}

/// Takes `input` for one document without declaration: both parsers must accept it, or
/// both refuse it.
///
/// # Panics
/// If they disagree.
pub(crate) fn agree_on_a_document(input: &[u8]) {
    let limits = Limits::default();
    // White space before the root is skipped between stanzas; in a document of its own
    // rxml refuses it.
    let input = input.trim_ascii_start();
    // The limits are ours alone, and of declarations a stanza has none.
    if input.len() > limits.stanza_bytes || input.starts_with(b"<?") || differs_on_names(input) {
        return;
    }
    match parse_element(input, &Scope::empty(), &limits) {
        Ok(element) => same(
            input,
            &document_of_rxml(input).map(|theirs| vec![Some(theirs)]),
            &[Some(tree(&element))],
        ),
        Err(ours) if is_ours_alone(&ours.rule) => {}
        Err(ours) => {
            let theirs = document_of_rxml(input);
            assert!(
                theirs.is_err(),
                "refused: {ours}, but rxml reads {theirs:?}"
            );
        }
    }
}

/// Takes `input` for a stream: every element that we hand out, rxml reads too.
///
/// # Panics
/// If rxml stops earlier or reads something else.
pub(crate) fn accept_no_more_of_a_stream(input: &[u8]) {
    if differs_on_names(input) {
        return;
    }
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(input);
    let mut ours = Vec::new();
    while let Ok(Some(event)) = decoder.next_event() {
        match event {
            StreamEvent::Element(element) => ours.push(Some(tree(&element))),
            StreamEvent::Open(_) | StreamEvent::Close => ours.push(None),
        }
    }
    let (theirs, fault) = stream_of_rxml(input.trim_ascii_start());
    let enough = theirs.get(..ours.len()).map(<[_]>::to_vec);
    same(input, &enough.ok_or(fault), &ours);
}

/// Rules that rxml does not keep: our limits, equal declarations, the namespace of
/// `xmlns`, and CDATA sections around the root.
fn is_ours_alone(rule: &Rule) -> bool {
    match rule {
        Rule::Limit { .. } => true,
        Rule::NotWellFormed(what) => {
            matches!(*what, "an attribute stands twice" | "text outside the root")
        }
        Rule::Namespace(what) => *what == "`xmlns` may not be declared",
        _ => false,
    }
}

/// Whether there may be a character from U+FDC0 on: rxml takes none of U+FDF0 to
/// U+FFFD in names, where XML 1.0 §2.3 does.
fn differs_on_names(input: &[u8]) -> bool {
    let mut pairs = input.windows(2);
    pairs.any(|pair| pair[0] == 0xEF && pair[1] >= 0xB7)
}

/// Both read, and read the same.
fn same(input: &[u8], theirs: &Result<Vec<Option<Tree>>, String>, ours: &[Option<Tree>]) {
    match theirs {
        Ok(theirs) => assert_eq!(theirs, ours, "rxml (left) reads something else"),
        Err(fault) => panic!(
            "rxml refuses what we read as {ours:?}: {fault}\n{}",
            String::from_utf8_lossy(input)
        ),
    }
}

/// Line ends as every parser must see them (XML 1.0 §2.11): rxml trips over a carriage
/// return in an attribute value.
fn normal_line_ends(input: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(input.len());
    for (at, byte) in input.iter().enumerate() {
        match byte {
            b'\r' if input.get(at + 1) == Some(&b'\n') => {}
            b'\r' => out.push(b'\n'),
            byte => out.push(*byte),
        }
    }
    out
}

/// Our element as both would see it.
pub(crate) fn tree(element: &Element) -> Tree {
    let attributes = element.attrs().map(|a| {
        let value = a.value().as_str();
        (a.ns().to_owned(), a.name().to_owned(), value.to_owned())
    });
    let branches = element.nodes().iter().map(|node| match node {
        Node::Element(child) => Branch::Tree(tree(child)),
        Node::Text(text) => Branch::Text(text.as_str().to_owned()),
    });
    Tree {
        name: (element.ns().to_owned(), element.name().to_owned()),
        attributes: sorted(attributes),
        branches: branches.collect(),
    }
}

fn sorted<T: Ord>(items: impl Iterator<Item = T>) -> Vec<T> {
    let mut items: Vec<T> = items.collect();
    items.sort();
    items
}

fn parser() -> Parser {
    Parser::with_options(rxml::Options {
        max_token_length: Limits::default().stanza_bytes,
        ..rxml::Options::default()
    })
}

/// The one document in `input`.
///
/// # Errors
/// What rxml says.
pub(crate) fn document_of_rxml(input: &[u8]) -> Result<Tree, String> {
    let mut grower = Grower::default();
    let mut root = None;
    let read = parser().parse_all(&mut &*normal_line_ends(input), true, |event| {
        root = grower.grow(event).or(root.take());
    });
    match read {
        Ok(()) => root.ok_or_else(|| "no element".to_owned()),
        Err(fault) => Err(format!("{fault:?}")),
    }
}

/// Opening tag (`None`), elements, and closing tag (`None`), and what ended it.
fn stream_of_rxml(input: &[u8]) -> (Vec<Option<Tree>>, String) {
    let mut events = Vec::new();
    let mut depth = 0;
    let mut grower = Grower::default();
    let end = parser().parse_all(&mut &*normal_line_ends(input), false, |event| {
        let root = match event {
            Event::StartElement(..) => {
                depth += 1;
                depth == 1
            }
            Event::EndElement(..) => {
                depth -= 1;
                depth == 0
            }
            _ => depth <= 1,
        };
        match event {
            Event::StartElement(..) | Event::EndElement(..) if root => events.push(None),
            _ if root => {}
            event => events.extend(grower.grow(event).map(Some)),
        }
    });
    (events, format!("{end:?}"))
}

/// Events to trees.
#[derive(Default)]
struct Grower(Vec<Tree>);

impl Grower {
    fn grow(&mut self, event: Event) -> Option<Tree> {
        match event {
            Event::XmlDeclaration(..) => None,
            Event::StartElement(_, (ns, name), attributes) => {
                let attributes = attributes
                    .iter()
                    .map(|((ns, name), value)| (ns.to_string(), name.to_string(), value.clone()));
                self.0.push(Tree {
                    name: (ns.to_string(), name.to_string()),
                    attributes: sorted(attributes),
                    branches: Vec::new(),
                });
                None
            }
            Event::Text(_, text) => {
                let branches = &mut self.0.last_mut()?.branches;
                match branches.last_mut() {
                    Some(Branch::Text(run)) => run.push_str(&text),
                    _ if text.is_empty() => {}
                    _ => branches.push(Branch::Text(text)),
                }
                None
            }
            Event::EndElement(_) => {
                let tree = self.0.pop()?;
                match self.0.last_mut() {
                    Some(parent) => {
                        parent.branches.push(Branch::Tree(tree));
                        None
                    }
                    None => Some(tree),
                }
            }
        }
    }
}

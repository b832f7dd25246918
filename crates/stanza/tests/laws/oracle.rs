//! The law of the oracle: what this decoder accepts, rxml accepts too, and reads the
//! same from it. The property tests and the fuzz target `decoder` look for a
//! counterexample; the example `agreement` counts how the two judge a whole corpus.

use super::recipe::recipe;
use rxml::error::EndOrError;
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

/// How the two judge one input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Both read it, and the same.
    BothAccept,
    /// Both refuse it.
    BothRefuse,
    /// We alone refuse it: what XMPP forbids, what our limits do, or what rxml lets pass.
    Stricter(Rule),
    /// We alone refuse it, by a rule that rxml keeps too: one of the two is wrong.
    Unfounded(Rule),
    /// rxml refuses what is there of a stream; we read no element of what it refuses, and
    /// wait for the rest.
    Undecided,
    /// rxml refuses it for a character of names that it does not know.
    NamesOfRxml,
    /// We read what rxml refuses, or we read something else. Never.
    Looser(String),
}

impl Verdict {
    /// # Panics
    /// If the two may not disagree so.
    fn hold(&self, input: &[u8]) {
        assert!(
            !matches!(self, Self::Looser(_) | Self::Unfounded(_)),
            "{self:?}\n{}",
            String::from_utf8_lossy(input)
        );
    }
}

/// Takes `input` for one document: both parsers must accept it, or both refuse it.
///
/// # Panics
/// If they disagree.
pub(crate) fn agree_on_a_document(input: &[u8]) {
    judge_document(input).hold(input);
}

/// Takes `input` for a stream: every element that we hand out, rxml reads too.
///
/// # Panics
/// If rxml stops earlier or reads something else.
pub(crate) fn accept_no_more_of_a_stream(input: &[u8]) {
    judge_stream(input).hold(input);
}

/// What the two make of `input` as a document.
pub(crate) fn judge_document(input: &[u8]) -> Verdict {
    // White space before the root is skipped between stanzas; in a document of its own
    // rxml refuses it.
    let input = input.trim_ascii_start();
    let theirs = document_of_rxml(input);
    match (
        parse_element(input, &Scope::empty(), &Limits::default()),
        theirs,
    ) {
        (Ok(ours), Ok(theirs)) => same(&[Some(tree(&ours))], &[Some(theirs)]),
        (Ok(_), Err(_)) if differs_on_names(input) => Verdict::NamesOfRxml,
        (Ok(ours), Err(fault)) => Verdict::Looser(format!("{ours:?}, but rxml: {fault}")),
        (Err(_), Err(_)) => Verdict::BothRefuse,
        (Err(ours), Ok(_)) if is_ours_alone(&ours.rule) => Verdict::Stricter(ours.rule),
        (Err(ours), Ok(_)) => Verdict::Unfounded(ours.rule),
    }
}

/// What the two make of `input` as a stream, or the beginning of one.
pub(crate) fn judge_stream(input: &[u8]) -> Verdict {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(input);
    let mut ours = Vec::new();
    let refused = loop {
        match decoder.next_event() {
            Ok(Some(StreamEvent::Element(element))) => ours.push(Some(tree(&element))),
            Ok(Some(StreamEvent::Open(_) | StreamEvent::Close)) => ours.push(None),
            Ok(None) => break None,
            Err(fault) => break Some(fault.rule),
        }
    };
    // White space before the root is skipped here, and refused there; before a
    // declaration XML allows none.
    let trimmed = input.trim_ascii_start();
    let declared = trimmed.starts_with(b"<?");
    let (theirs, fault) = stream_of_rxml(if declared { input } else { trimmed });
    let (read, fault) = match (theirs.get(..ours.len()), fault) {
        (Some(theirs), fault) => (same(&ours, theirs), fault),
        (None, Some(_)) if differs_on_names(input) => return Verdict::NamesOfRxml,
        (None, fault) => return Verdict::Looser(format!("{ours:?}, but rxml: {fault:?}")),
    };
    match (refused, fault) {
        _ if read != Verdict::BothAccept => read,
        (None, None) => Verdict::BothAccept,
        (None, Some(fault)) if decoder.pending() == 0 => {
            Verdict::Looser(format!("all is read, but rxml: {fault}"))
        }
        (None, Some(_)) => Verdict::Undecided,
        (Some(_), Some(_)) => Verdict::BothRefuse,
        (Some(rule), None) if is_ours_alone(&rule) || is_of_streams(&rule) => {
            Verdict::Stricter(rule)
        }
        // rxml judges no quote before the next one.
        (Some(_), None) if refused_when_quoted(input) => Verdict::BothRefuse,
        (Some(rule), None) => Verdict::Unfounded(rule),
    }
}

/// Whether rxml refuses the input once an open quote is closed.
fn refused_when_quoted(input: &[u8]) -> bool {
    let refused = |quote: &u8| {
        let closed = [input, &[*quote]].concat();
        stream_of_rxml(closed.trim_ascii_start()).1.is_some()
    };
    b"'\"".iter().any(refused)
}

/// Narrower limits only end a stream earlier: what is read before is the same, and a
/// limit is what ends it. The limits stand behind the last NUL (see `recipe`): two bytes
/// of size, one of depth, one of attributes.
///
/// # Panics
/// If they do anything else.
pub(crate) fn limits_only_cut_short(input: &[u8]) {
    let (input, numbers) = recipe(input);
    let [low, high, depth, attributes, ..] = *numbers else {
        return;
    };
    let default = Limits::default();
    let narrow = default
        .with_stanza_bytes(u16::from_le_bytes([low, high]).into())
        .with_depth(default.depth.min(depth.into()))
        .with_attributes(default.attributes.min(attributes.into()));
    let (wide, end) = read(input, default);
    let (cut, cut_end) = read(input, narrow);
    assert!(wide.starts_with(&cut), "{narrow:?}: {cut:?} {wide:?}");
    match cut_end {
        Some(Rule::Limit { .. }) => {}
        other => assert_eq!((cut.len(), other), (wide.len(), end), "{narrow:?}"),
    }
}

/// All events, and what ended them.
fn read(input: &[u8], limits: Limits) -> (Vec<StreamEvent>, Option<Rule>) {
    let mut decoder = Decoder::new(limits);
    decoder.push(input);
    let mut events = Vec::new();
    loop {
        match decoder.next_event() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => return (events, None),
            Err(fault) => return (events, Some(fault.rule)),
        }
    }
}

/// Rules that rxml does not keep: our limits, equal declarations, the namespace of
/// `xmlns`, CDATA sections around the root, and the declaration that no stanza has.
fn is_ours_alone(rule: &Rule) -> bool {
    match rule {
        Rule::Limit { .. } => true,
        Rule::NotWellFormed(what) => {
            matches!(*what, "an attribute stands twice" | "text outside the root")
        }
        Rule::Namespace(what) => *what == "`xmlns` may not be declared",
        Rule::Restricted(what) => *what == "XML declarations inside a stream",
        _ => false,
    }
}

/// Rules of RFC 6120 §4 on what a stream is, of which XML knows nothing.
const fn is_of_streams(rule: &Rule) -> bool {
    matches!(
        rule,
        Rule::NotAStream | Rule::Stream(_) | Rule::Address | Rule::Version
    )
}

/// Whether there may be a character from U+FDC0 on: rxml takes none of U+FDF0 to
/// U+FFFD in names, where XML 1.0 §2.3 does.
fn differs_on_names(input: &[u8]) -> bool {
    let mut pairs = input.windows(2);
    pairs.any(|pair| pair[0] == 0xEF && pair[1] >= 0xB7)
}

/// Both read; whether they read the same.
fn same(ours: &[Option<Tree>], theirs: &[Option<Tree>]) -> Verdict {
    if ours == theirs {
        Verdict::BothAccept
    } else {
        Verdict::Looser(format!("{ours:?}, but rxml reads {theirs:?}"))
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

/// Opening tag (`None`), elements, and closing tag (`None`), and what is wrong then.
fn stream_of_rxml(input: &[u8]) -> (Vec<Option<Tree>>, Option<String>) {
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
    let fault = match end {
        Ok(()) | Err(EndOrError::NeedMoreData) => None,
        Err(fault) => Some(format!("{fault:?}")),
    };
    (events, fault)
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

//! What a hostile peer, or a careless program, can make this crate do is bounded: no
//! time beyond what the bytes deserve, no stack, no memory that nobody asked for.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use stanchion_stanza::codec::Rule;
use stanchion_stanza::xml::Node;
use stanchion_stanza::{
    Decoder, Element, Encoder, Limits, Scope, StreamEvent,
    codec::{EncodeError, parse_element},
};

const HEADER: &str = "<stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>";

/// As large as a stanza may be: `unit` over and over between `start` and `end`.
fn filled(start: &str, unit: &str, end: &str) -> String {
    let room = Limits::default().stanza_bytes - start.len() - end.len();
    format!("{start}{}{end}", unit.repeat(room / unit.len()))
}

fn parse(xml: &str) -> Element {
    parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap()
}

/// Quadratic work on any of these would take minutes.
#[test]
fn the_largest_stanzas_are_read_in_one_go() {
    let references = parse(&filled("<a>", "&#65;", "</a>"));
    assert_eq!(references.nodes().len(), 1);
    assert!(references.text().len() > 50_000);

    let sections = parse(&filled("<a>", "<![CDATA[x]]>", "</a>"));
    assert_eq!(sections.nodes().len(), 1);

    let value = parse(&filled("<a b='", "&amp;", "'/>"));
    assert!(value.attr("b").is_some_and(|b| b.len() > 50_000));

    let children = parse(&filled("<a>", "<b/>", "</a>"));
    assert!(children.children().count() > 65_000);

    let blank = parse(&filled("<a b='", "\r", "'/>"));
    assert!(blank.attr("b").is_some_and(|b| b.starts_with("  ")));

    let attributes: String = (0..128).map(|i| format!(" a{i:03}=''")).collect();
    let wide = parse(&filled("<a>", &format!("<b{attributes}/>"), "</a>"));
    assert!(wide.children().all(|b| b.attrs().count() == 128));

    let prefixes: String = (0..120).map(|i| format!(" xmlns:p{i}='urn:{i}'")).collect();
    let prefixed = parse(&filled(
        &format!("<a{prefixes}>"),
        "<p0:b p1:c=''/>",
        "</a>",
    ));
    assert!(prefixed.children().all(|b| b.is("b", "urn:0")));
}

#[test]
fn a_stanza_byte_by_byte_is_scanned_once() {
    for body in ["x", "<b/>", "<![CDATA[]]>", "<b c='>'/>", "&lt;", " "] {
        let mut decoder = Decoder::new(Limits::default());
        decoder.push(HEADER.as_bytes());
        assert!(decoder.next_event().unwrap().is_some());
        let stanza = filled("<a>", body, "</a>");
        for byte in stanza.as_bytes() {
            assert_eq!(decoder.next_event(), Ok(None));
            decoder.push(std::slice::from_ref(byte));
        }
        assert!(matches!(
            decoder.next_event(),
            Ok(Some(StreamEvent::Element(_)))
        ));
    }
}

/// The declarations of a stream are not copied for each stanza.
#[test]
fn a_stream_with_many_prefixes_is_as_fast_as_any() {
    let prefixes: String = (0..126)
        .map(|i| format!(" xmlns:p{i}='urn:{i:01900}'"))
        .collect();
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(
        HEADER
            .replace(" version", &format!("{prefixes} version"))
            .as_bytes(),
    );
    assert!(matches!(
        decoder.next_event().unwrap_err().rule,
        Rule::Limit { limit: 128, .. }
    ));

    let prefixes: String = (0..125)
        .map(|i| format!(" xmlns:p{i}='urn:{i:01900}'"))
        .collect();
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(
        HEADER
            .replace(" version", &format!("{prefixes} version"))
            .as_bytes(),
    );
    assert!(matches!(
        decoder.next_event(),
        Ok(Some(StreamEvent::Open(_)))
    ));
    decoder.push("<p0:a/>".repeat(60_000).as_bytes());
    let mut read = 0;
    while let Some(StreamEvent::Element(element)) = decoder.next_event().unwrap() {
        assert_eq!(element.name(), "a");
        read += 1;
    }
    assert_eq!(read, 60_000);
}

/// One name in force for many elements: their namespace is one string in memory.
#[test]
fn a_long_namespace_is_not_copied_into_each_element() {
    let long = "urn:x".repeat(20_000);
    let root = parse(&filled(&format!("<a xmlns='{long}'>"), "<b/>", "</a>"));
    assert!(root.children().count() > 30_000);
    let again = parse(&format!("<a xmlns='{long}'><b xmlns='{long}'/></a>"));
    for root in [root, again] {
        assert!(root.children().all(|b| std::ptr::eq(b.ns(), root.ns())));
    }
}

/// See [`Limits::stanza_bytes`].
#[test]
fn a_stanza_takes_at_most_100_times_its_bytes() {
    /// Nodes, attributes and their strings, as an allocator would round them; a vector
    /// may have grown to twice what it needs.
    fn heap(element: &Element) -> usize {
        let string = |s: &str| s.len().next_multiple_of(16);
        let own: usize = element
            .attrs()
            .map(|a| size_of_val(a) + string(a.name()) + string(a.value()))
            .sum();
        let inner: usize = element
            .nodes()
            .iter()
            .map(|node| match node {
                Node::Element(child) => heap(child),
                Node::Text(text) => 2 * string(text),
            })
            .sum();
        let nodes = element.nodes().len().next_power_of_two() * size_of::<Node>();
        string(element.name()) + own + nodes + inner
    }
    for unit in [
        "<b/>",
        "<b></b>",
        "x<b/>",
        "<b c=''/>",
        "<b c='' d=''/>",
        "<b><c/></b>",
        "&lt;",
        "x",
    ] {
        let xml = filled("<a>", unit, "</a>");
        let heap = heap(&parse(&xml));
        assert!(heap <= 100 * xml.len(), "{unit}: {}", heap / xml.len());
    }
}

fn nested(depth: usize) -> Element {
    (1..depth).fold(Element::new("a", "urn:x"), |inner, _| {
        Element::new("a", "urn:x").with_child(inner)
    })
}

#[test]
fn a_tree_of_any_depth_can_be_dropped() {
    drop(nested(1_000_000));
    assert_eq!(nested(1_000_000).into_children().len(), 1);
}

/// Tests run on 2 MiB of stack, as threads do by default.
#[test]
fn a_tree_as_deep_as_any_decoder_goes_is_safe_to_use() {
    let unlimited = Limits::default().with_depth(usize::MAX);
    let deepest = nested(Limits::MAX_DEPTH);
    assert_eq!(deepest.clone(), deepest);
    assert!(format!("{deepest:?} {deepest:#?}").contains("<a"));
    let encoder = Encoder::new(Scope::client(), unlimited);
    let bytes = encoder.to_bytes(&deepest).unwrap();
    assert_eq!(
        parse_element(&bytes, &Scope::client(), &unlimited),
        Ok(deepest)
    );
    let mut decoder = Decoder::without_root(Scope::client(), unlimited);
    decoder.push(&bytes);
    assert!(matches!(
        decoder.next_event(),
        Ok(Some(StreamEvent::Element(_)))
    ));

    let deeper = nested(Limits::MAX_DEPTH + 1);
    assert_eq!(
        encoder.to_bytes(&deeper),
        Err(EncodeError::TooDeep(Limits::MAX_DEPTH))
    );
    let bytes = [&b"<a>"[..], &bytes, b"</a>"].concat();
    assert!(parse_element(&bytes, &Scope::client(), &unlimited).is_err());
    let mut decoder = Decoder::without_root(Scope::client(), unlimited);
    decoder.push(&bytes);
    assert!(decoder.next_event().is_err());
}

#[test]
fn what_the_encoder_refuses_leaves_no_trace() {
    let limits = Limits::default();
    let encoder = Encoder::new(Scope::client(), limits);
    let mut out = b"before".to_vec();
    for refused in [
        nested(limits.depth + 1),
        Element::new("a", "urn:x").with_text(
            "x".repeat(limits.stanza_bytes)
                .parse::<stanchion_stanza::Text>()
                .unwrap(),
        ),
    ] {
        assert!(encoder.element(&refused, &mut out).is_err());
        assert_eq!(out, b"before");
    }
}

#[test]
fn limits_hold_to_the_byte_and_from_the_next_one_on() {
    let stanza = b"<a>0123456789</a>";
    for (limit, fits) in [
        (stanza.len(), true),
        (stanza.len() - 1, false),
        (0, false),
        (1, false),
    ] {
        let limits = Limits::default().with_stanza_bytes(limit);
        let mut decoder = Decoder::without_root(Scope::client(), limits);
        decoder.push(stanza);
        decoder.push(stanza);
        assert_eq!(decoder.next_event().is_ok(), fits, "{limit}");
    }
    // Narrower limits, as when a server announces its own, count for what is half read.
    let mut decoder = Decoder::without_root(Scope::client(), Limits::default());
    decoder.push(&stanza[..12]);
    assert_eq!(decoder.next_event(), Ok(None));
    decoder.set_limits(Limits::default().with_stanza_bytes(11));
    assert!(decoder.next_event().is_err());
}

#[test]
fn white_space_keeps_a_stream_alive_and_takes_no_memory() {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(HEADER.as_bytes());
    assert!(decoder.next_event().unwrap().is_some());
    for _ in 0..100 {
        decoder.push(&[b' '; 10_000]);
        assert_eq!(decoder.next_event(), Ok(None));
        assert_eq!(decoder.pending(), 0);
    }
    // After the XML declaration it is part of the opening tag, and counted.
    let mut decoder = Decoder::new(Limits::default().with_stanza_bytes(1000));
    decoder.push(b"<?xml version='1.0'?>");
    decoder.push(&[b' '; 1000]);
    assert!(matches!(
        decoder.next_event().unwrap_err().rule,
        Rule::Limit { limit: 1000, .. }
    ));
}

#[test]
fn an_element_that_grows_when_it_is_written_takes_no_more_than_its_limit_allows() {
    // Half of the elements stand in one long namespace and half in another, by prefixes:
    // written without prefixes, each declares its own.
    let [one, other] = ["a", "b"].map(|c| format!("urn:{}", c.repeat(10_000)));
    let pairs = "<p:x><q:x/></p:x>".repeat(2_000);
    let xml = format!("<r xmlns:p='{one}' xmlns:q='{other}'>{pairs}</r>");
    let element = parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap();
    let mut out = Vec::new();
    let refused = Encoder::new(Scope::client(), Limits::default()).element(&element, &mut out);
    assert!(matches!(refused, Err(EncodeError::TooLarge { .. })));
    // 40 MB, were it written to its end.
    assert!(
        out.is_empty() && out.capacity() < 1 << 20,
        "{}",
        out.capacity()
    );
}

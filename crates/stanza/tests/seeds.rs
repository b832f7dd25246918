//! The seeds of the fuzz targets, without a fuzzer: each keeps the law of its target, and
//! together they show every payload that has a type and every rule that input can break.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;
mod laws;

use std::collections::BTreeSet;

use given::seeds;
use laws::oracle::{Verdict, judge_document, judge_stream};
use laws::{addresses, cuts, journey, oracle};
use stanchion_stanza::codec::parse_element;
use stanchion_stanza::{Decoder, Element, Limits, Scope};

#[test]
fn every_seed_keeps_the_law_of_its_target() {
    for (_, input) in seeds::of("decoder") {
        oracle::agree_on_a_document(&input);
        oracle::accept_no_more_of_a_stream(&input);
        oracle::limits_only_cut_short(&input);
    }
    for (_, input) in seeds::of("framer") {
        cuts::same_for_any_cut(&input);
        cuts::same_for_its_own_cuts(&input);
    }
    for (_, input) in seeds::of("roundtrip") {
        journey::read_write_read(&input);
    }
    for (_, input) in seeds::of("jid") {
        let input = String::from_utf8(input).unwrap();
        addresses::canonical_or_refused(&input);
        if let Some((one, other)) = input.split_once('\n') {
            addresses::compared_by_canonical_form(one, other);
        }
    }
    for element in seeds::payloads() {
        journey::element_survives(&element, Limits::default());
    }
}

#[test]
fn every_payload_has_a_seed_that_is_one() {
    let mut shown = BTreeSet::new();
    let mut show = |element: &Element| {
        journey::views_survive(element, &mut |name| {
            shown.insert(name);
        });
    };
    for element in seeds::payloads() {
        show(&element);
        element.children().for_each(&mut show);
    }
    let all: BTreeSet<_> = journey::all_payloads().into_iter().collect();
    let missing: Vec<_> = all.difference(&shown).collect();
    assert!(missing.is_empty(), "no seed for {missing:#?}");
}

/// What is refused, and how it is named, as a document and as a stream.
#[test]
fn every_rule_has_a_seed_that_breaks_it() {
    let mut broken = BTreeSet::new();
    for (_, input) in seeds::of("decoder") {
        if let Err(fault) = parse_element(&input, &Scope::empty(), &Limits::default()) {
            broken.insert(fault.rule.to_string());
        }
        let mut decoder = Decoder::new(Limits::default());
        decoder.push(&input);
        while decoder.next_event().is_ok_and(|event| event.is_some()) {}
        if let Err(fault) = decoder.next_event() {
            broken.insert(fault.rule.to_string());
        }
    }
    for rule in [
        "comments are not allowed",
        "processing instructions are not allowed",
        "document types are not allowed",
        "XML declarations inside a stream are not allowed",
        "entity references",
        "U+0001",
        "U+FFFE",
        "not UTF-8",
        "`<` in an attribute",
        "`]]>` in text",
        "`&` without `;`",
        "a character reference is broken",
        "white space is missing before an attribute",
        "a tag is broken",
        "an attribute is broken",
        "a name has characters",
        "a name begins or ends with a colon",
        "an attribute stands twice",
        "two attributes have one expanded name",
        "a prefix may not be undeclared",
        "a prefix is not declared",
        "`xmlns` may not be declared",
        "`xml` is bound to its own namespace",
        "the end of an element is missing",
        "an end without a start",
        "a CDATA section does not end",
        "a second root element",
        "text outside the root",
        "a quote begins no value",
        "text may not stand between stanzas",
        "the stream is closed by its opening tag",
        "the closing tag is not the stream's",
        "is no JID",
        "is not major.minor",
        "is not <stream:stream/>",
        "levels of nesting",
        "attributes or prefixes",
    ] {
        assert!(
            broken.iter().any(|found| found.contains(rule)),
            "no seed for `{rule}` among {broken:#?}"
        );
    }
}

#[test]
fn the_seeds_hold_inputs_of_both_kinds() {
    let verdicts: Vec<_> = seeds::of("decoder")
        .iter()
        .flat_map(|(_, input)| [judge_document(input), judge_stream(input)])
        .collect();
    for kind in [Verdict::BothAccept, Verdict::BothRefuse] {
        assert!(
            verdicts.iter().filter(|v| **v == kind).count() > 10,
            "{kind:?}"
        );
    }
    assert!(verdicts.iter().any(|v| matches!(v, Verdict::Stricter(_))));
}

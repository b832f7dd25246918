//! What XML and XMPP allow is read as they say.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;

use std::collections::HashMap;

use given::examples::element;
use stanchion_stanza::stanza::MessageType;
use stanchion_stanza::{Jid, Stanza};

#[test]
fn line_ends_are_one_line_feed_each() {
    // XML 1.0 §2.11; a reference is no line end.
    let read = element("<a>1\r\n2\r3\n4\r\r\n5<![CDATA[\r\n\r]]>&#13;</a>");
    assert_eq!(read.text(), "1\n2\n3\n4\n\n5\n\n\r");
}

#[test]
fn white_space_in_a_value_is_spaces_unless_referred_to() {
    // XML 1.0 §3.3.3, of a value without declared type.
    let read = element("<a b='1\r\n2\r3\n4\t5  6&#13;&#10;&#9;&#32;'/>");
    assert_eq!(read.attr("b"), Some("1 2 3 4 5  6\r\n\t "));
}

#[test]
fn references_and_sections_are_what_they_stand_for() {
    let read =
        element("<a b='&lt;&#x26;&apos;'>&gt;&#65;<![CDATA[&amp;]]]><![CDATA[]>]]>&quot;</a>");
    assert_eq!(read.attr("b"), Some("<&'"));
    assert_eq!(read.text(), ">A&amp;]]>\"");
    assert_eq!(read.nodes().len(), 1);
}

#[test]
fn a_default_namespace_can_be_undeclared_and_reaches_no_attribute() {
    // Namespaces in XML §6.2.
    let read = element("<a xmlns='urn:x' b='1'><c xmlns=''><d/></c><e/></a>");
    assert!(read.is("a", "urn:x"));
    assert_eq!(read.attrs().next().unwrap().ns(), "");
    let inner: Vec<_> = read.children().map(|c| (c.name(), c.ns())).collect();
    assert_eq!(inner, [("c", ""), ("e", "urn:x")]);
    assert!(read.children().next().unwrap().child("d", "").is_some());
}

#[test]
fn an_unknown_type_of_message_is_normal() {
    // RFC 6121 §5.2.2.
    for (written, kind) in [
        ("", MessageType::Normal),
        ("type='normal'", MessageType::Normal),
        ("type='Chat'", MessageType::Normal),
        ("type='shout'", MessageType::Normal),
        ("type='chat'", MessageType::Chat),
        ("type='groupchat'", MessageType::Groupchat),
        ("type='headline'", MessageType::Headline),
        ("type='error'", MessageType::Error),
    ] {
        let read = Stanza::from_element(element(&format!("<message {written}/>")));
        let Ok(Stanza::Message(message)) = read else {
            panic!("{written}: {read:?}")
        };
        assert_eq!(message.kind, kind, "{written}");
    }
}

#[test]
fn addresses_are_keys_of_maps() {
    // Also those that are parts of a stanza: nothing in them changes, so lints have no
    // reason to complain.
    let element = element("<message from='a@example.org/x'><e xmlns='urn:e'/></message>");
    let from = Jid::try_from(element.attr_text("from").unwrap()).unwrap();
    let mut seen: HashMap<Jid, u32> = HashMap::new();
    *seen.entry(from).or_default() += 1;
    assert_eq!(
        seen.get(&"A@example.org/x".parse::<Jid>().unwrap()),
        Some(&1)
    );
}

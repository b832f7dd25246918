//! The table of typed payloads: nothing is forgotten, and each line reads what it says.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use given::examples::element;
use stanchion_stanza::ns;
use stanchion_stanza::payload::PayloadError;
use stanchion_stanza::payload::known::{ALL, Known, Side, VIEWS, types, view};

/// Macros of the crate that make a payload: after an opening line come the type's name
/// and its element.
const MAKERS: [&str; 6] = [
    "addresses! {",
    "empty_payload! {",
    "numbered! {",
    "data! {",
    "exchanged! {",
    "element! {",
];

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found
}

/// The path of a type below `payload`, as the table writes it: files of one folder share
/// their module.
fn path(src: &Path, file: &Path, name: &str) -> String {
    let below = file.strip_prefix(src).unwrap();
    let mut parts = below.iter().map(|p| p.to_str().unwrap());
    match (parts.next(), parts.next()) {
        (Some("payload"), Some(module)) => {
            format!("{}::{name}", module.trim_end_matches(".rs"))
        }
        _ => name.to_owned(),
    }
}

#[test]
fn every_payload_is_in_the_table() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut made, mut views) = (BTreeSet::new(), BTreeSet::new());
    for file in sources(&src) {
        let text = std::fs::read_to_string(&file).unwrap();
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let maker = MAKERS.contains(&line);
            if maker || line == "form_view! {" {
                let line = lines.find(|l| !l.trim_start().starts_with("//")).unwrap();
                let name = line.trim().split(',').next().unwrap();
                // A part of another payload, and read and written with that.
                if text.contains(&format!("pub(super) struct {name} ")) {
                    continue;
                }
                let to = if maker { &mut made } else { &mut views };
                to.insert(path(&src, &file, name));
            } else if let Some((before, name)) = line.split_once(" Payload for ")
                && before.starts_with("impl")
                && !name.starts_with('$')
            {
                let name = name.trim_end_matches(" {");
                made.insert(path(&src, &file, name));
            }
        }
    }
    assert!(made.len() > 80 && views.len() > 5, "{made:?} {views:?}");
    for (made, table, name) in [(made, ALL, "ALL"), (views, VIEWS, "VIEWS")] {
        let table: BTreeSet<_> = table.iter().map(|k| k.path.to_owned()).collect();
        let forgotten: Vec<_> = made.difference(&table).collect();
        assert!(
            forgotten.is_empty(),
            "give {forgotten:?} a line each in {name} of src/payload/known.rs"
        );
    }
}

#[test]
fn no_line_stands_twice() {
    let all = ALL.iter().chain(VIEWS);
    let paths: BTreeSet<_> = all.clone().map(|k| k.path).collect();
    assert_eq!(paths.len(), all.count());
}

#[test]
fn every_line_names_its_specification() {
    for known in ALL.iter().chain(VIEWS) {
        assert!(!known.what.is_empty());
        // One is not public, the other is told by the documentation of its module.
        if matches!(
            known.specification,
            "IEEE P1451-99" | ns::DELIVERY | ns::IOT_EVENTS | ns::THING_COMMAND
        ) {
            continue;
        }
        let number = |s: &str| s.bytes().all(|b| b.is_ascii_digit()) && s.len() == 4;
        let (series, n) = known.specification.split_at(4);
        assert!(matches!(series, "XEP-" | "RFC ") && number(n), "{known:?}");
        assert!(known.section.starts_with('§'), "{known:?}");
    }
}

fn paths(xml: &str, side: Option<Side>) -> Vec<&'static str> {
    types(&element(xml), side).map(|k| k.path).collect()
}

#[test]
fn the_side_tells_request_from_answer() {
    let xml = "<set xmlns='http://jabber.org/protocol/rsm'><max>1</max></set>";
    assert_eq!(paths(xml, Some(Side::Request)), ["rsm::PageRequest"]);
    assert_eq!(paths(xml, Some(Side::Answer)), ["rsm::Page"]);
    assert_eq!(paths(xml, None), ["rsm::PageRequest", "rsm::Page"]);
    assert_eq!(paths("<request xmlns='urn:x'/>", None), [""; 0]);
}

/// The one type for an element.
fn only(xml: &str) -> &'static Known {
    let element = element(xml);
    let mut all = types(&element, None);
    let first = all.next().unwrap();
    assert!(all.next().is_none(), "{xml}");
    first
}

#[test]
fn what_has_an_element_for_each_value_is_found_by_each_of_them() {
    for (xml, path) in [
        (
            "<gone xmlns='http://jabber.org/protocol/chatstates'/>",
            "chat_states::ChatState",
        ),
        ("<no-copy xmlns='urn:xmpp:hints'/>", "hints::Hint"),
        ("<inactive xmlns='urn:xmpp:csi:0'/>", "csi::ClientState"),
        (
            "<bad-payload xmlns='http://jabber.org/protocol/commands'/>",
            "commands::Condition",
        ),
        (
            "<closed-node xmlns='http://jabber.org/protocol/pubsub#errors'/>",
            "pubsub::Fault",
        ),
        (
            "<sent xmlns='urn:xmpp:carbons:2'><forwarded xmlns='urn:xmpp:forward:0'/></sent>",
            "carbons::Carbon",
        ),
        (
            "<gone xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/>",
            "stanza error condition",
        ),
    ] {
        let known = only(xml);
        assert_eq!(known.path, path);
        let read = element(xml);
        assert_eq!(known.rewrite(&read), Ok(read.clone()));
        assert_eq!(known.same(&read, &read), Ok(true));
    }
    let (one, other) = (
        element("<gone xmlns='http://jabber.org/protocol/chatstates'/>"),
        element("<active xmlns='http://jabber.org/protocol/chatstates'/>"),
    );
    let known = types(&one, None).next().unwrap();
    assert_eq!(known.same(&one, &other), Ok(false));
}

#[test]
fn what_breaks_the_rules_of_its_type_is_refused() {
    let xml = "<received xmlns='urn:xmpp:receipts'/>";
    let missing = PayloadError::MissingAttribute {
        element: "received",
        attribute: "id",
    };
    assert_eq!(only(xml).rewrite(&element(xml)), Err(missing.clone()));
    let whole = element("<received xmlns='urn:xmpp:receipts' id='1'/>");
    assert_eq!(only(xml).same(&whole, &element(xml)), Err(missing));
    let empty = element("<sent xmlns='urn:xmpp:carbons:2'/>");
    let known = types(&empty, None).next().unwrap();
    assert!(known.rewrite(&empty).is_err() && known.same(&empty, &empty).is_err());
}

#[test]
fn a_form_about_something_known_has_a_view() {
    let form = |value: &str| {
        element(&format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
             <value>http://jabber.org/protocol/pubsub#node_config</value></field>\
             <field var='pubsub#persist_items'><value>{value}</value></field></x>"
        ))
    };
    let known = view(&form("1")).unwrap();
    assert_eq!(known.path, "pubsub::NodeConfig");
    let written = known.rewrite(&form("1")).unwrap();
    assert_eq!(known.same(&form("1"), &written), Ok(true));
    assert_eq!(known.same(&form("1"), &form("0")), Ok(false));
    assert!(known.rewrite(&form("perhaps")).is_err());
    assert!(view(&element("<x xmlns='jabber:x:data' type='form'/>")).is_none());
    assert!(view(&element("<query xmlns='urn:x'/>")).is_none());
}

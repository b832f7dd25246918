//! Values for property tests: what payloads are made of.

use proptest::collection::vec;
use proptest::prelude::*;
use stanchion_stanza::payload::Payload;
use stanchion_stanza::{Element, Jid, Limits, Text};

use crate::laws::journey;

/// Characters that XML treats in its own way, and others.
pub(crate) fn text() -> impl Strategy<Value = Text> {
    let special = prop::sample::select(vec!['<', '>', '&', '\'', '"', '\t', '\n', '\r', ' ', '=']);
    let character = prop_oneof![special, any::<char>(), prop::char::range('a', 'z')];
    vec(character, 0..10).prop_map(|characters| {
        let allowed = characters.into_iter();
        let s: String = allowed
            .filter(|c| Text::new(c.to_string()).is_ok())
            .collect();
        Text::new(s).unwrap()
    })
}

pub(crate) fn some_text() -> impl Strategy<Value = Text> {
    text().prop_filter("not empty", |t| !t.is_empty())
}

pub(crate) fn texts() -> impl Strategy<Value = Vec<Text>> {
    vec(text(), 0..3)
}

pub(crate) fn some_texts() -> impl Strategy<Value = Vec<Text>> {
    vec(text(), 1..4)
}

pub(crate) fn maybe_text() -> impl Strategy<Value = Option<Text>> {
    prop::option::of(text())
}

pub(crate) fn jid() -> impl Strategy<Value = Jid> {
    let parts = (
        prop::option::of("[a-z]{1,6}"),
        "[a-z]{1,5}",
        prop::option::of("[!-~]{1,6}"),
    );
    parts.prop_map(|(local, domain, resource)| {
        Jid::from_parts(local.as_deref(), &domain, resource.as_deref()).unwrap()
    })
}

/// Elements that no typed payload claims.
pub(crate) fn extensions() -> impl Strategy<Value = Vec<Element>> {
    let extension = ("[a-z]{1,4}", maybe_text()).prop_map(|(name, content)| {
        Element::try_new(&name, "urn:example:extension")
            .unwrap()
            .with_text(content.unwrap_or_default())
    });
    vec(extension, 0..3)
}

/// A payload on its way through bytes.
pub(crate) fn travels<P: Payload + PartialEq + std::fmt::Debug>(payload: &P) {
    journey::payload_survives(payload);
    journey::element_survives(&payload.to_element(), Limits::default());
}

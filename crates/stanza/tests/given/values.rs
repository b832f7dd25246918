//! Values for the property tests: what something in XML, addresses or base64 treats in
//! its own way, and others.
#![allow(dead_code, reason = "no test uses all of them")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stanchion_stanza::payload::forms::{Field, FieldOption, FieldType, Form, FormType};
use stanchion_stanza::payload::rsm::{Page, PageRequest, Position, Range};
use stanchion_stanza::{Element, FullJid, Jid, Text, ns};

/// Characters that something in XML, JIDs or base64 treats in its own way, and others.
pub(crate) fn text() -> impl Strategy<Value = Text> {
    let special = prop::sample::select(vec![
        '<',
        '>',
        '&',
        '\'',
        '"',
        ']',
        '\t',
        '\n',
        '\r',
        ' ',
        '\u{85}',
        '\u{2028}',
        '\u{FEFF}',
        '\u{FFFD}',
        '\u{1FFFE}',
        '=',
        ';',
        ':',
        '#',
    ]);
    let character = prop_oneof![special, any::<char>(), prop::char::range('a', 'z')];
    vec(character, 0..12).prop_map(|characters| {
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

pub(crate) fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z]{1,3}",
        1 => "[A-Z_é\u{10000}][a-z0-9.\u{B7}-]{0,3}",
        1 => Just("xmlns".to_owned()),
        1 => Just("xml".to_owned()),
        1 => Just("stream".to_owned()),
    ]
}

pub(crate) fn namespace() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just(ns::CLIENT.to_owned()),
        1 => Just(String::new()),
        1 => Just(ns::STREAM.to_owned()),
        1 => Just(ns::XML.to_owned()),
        2 => prop::sample::select(vec!["urn:a", "urn:b", "urn:c"]).prop_map(str::to_owned),
        1 => text().prop_map(Text::into_string),
    ]
}

pub(crate) fn leaf() -> impl Strategy<Value = Element> {
    let attributes = vec((namespace(), name(), text()), 0..5);
    (name(), namespace(), attributes).prop_map(|(name, ns, attributes)| {
        let mut element = Element::try_new(&name, &ns).unwrap();
        for (ns, name, value) in attributes {
            // A declaration is no attribute.
            let _ = element.try_set_attr(&ns, &name, value);
        }
        element
    })
}

pub(crate) fn element() -> impl Strategy<Value = Element> {
    leaf().prop_recursive(5, 24, 4, |inner| {
        let node = prop_oneof![inner.prop_map(Ok), text().prop_map(Err)];
        (leaf(), vec(node, 0..5)).prop_map(|(mut parent, nodes)| {
            for node in nodes {
                match node {
                    Ok(child) => parent.push(child),
                    Err(text) => parent.push_text(text),
                }
            }
            parent
        })
    })
}

pub(crate) fn jid() -> impl Strategy<Value = Jid> {
    let domain = prop_oneof![
        "[a-z]{1,5}",
        Just("münchen.de".to_owned()),
        Just("[::1]".to_owned())
    ];
    let resource = prop_oneof!["[!-~]([ -~]{0,6}[!-~])?", Just("\u{265A}".to_owned())];
    (
        option::of("[a-zß\u{3C3}]{1,6}"),
        domain,
        option::of(resource),
    )
        .prop_map(|(local, domain, resource)| {
            Jid::from_parts(local.as_deref(), &domain, resource.as_deref()).unwrap()
        })
}

pub(crate) fn full_jid() -> impl Strategy<Value = FullJid> {
    jid().prop_filter_map("a resource", |jid| jid.to_full())
}

/// An element that no typed payload of this crate claims.
pub(crate) fn extension() -> impl Strategy<Value = Element> {
    (name(), vec(leaf(), 0..3)).prop_map(|(name, children)| {
        Element::try_new(&name, "urn:example:extension")
            .unwrap()
            .with_children(children)
    })
}

pub(crate) fn form_fields() -> impl Strategy<Value = Vec<Field>> {
    let option =
        (option::of(text()), text()).prop_map(|(label, value)| FieldOption { label, value });
    let field = (
        option::of(prop::sample::select(FieldType::ALL)),
        text(),
        (option::of(text()), option::of(text()), any::<bool>()),
        vec(text(), 0..3),
        vec(option, 0..3),
        option::of(extension()),
    );
    let field = field.prop_map(
        |(kind, var, (label, desc, required), values, options, extension)| Field {
            var: Some(var).filter(|v| kind != Some(FieldType::Fixed) || !v.is_empty()),
            kind,
            label,
            desc,
            required,
            values,
            options,
            extensions: extension.into_iter().collect(),
        },
    );
    vec(field, 0..4)
}

pub(crate) fn form() -> impl Strategy<Value = Form> {
    (
        prop::sample::select(FormType::ALL),
        option::of(text()),
        vec(text(), 0..3),
        form_fields(),
        form_fields(),
        vec(form_fields(), 0..3),
    )
        .prop_map(
            |(kind, title, instructions, fields, reported, items)| Form {
                kind,
                title,
                instructions,
                fields,
                reported,
                items,
            },
        )
}

pub(crate) fn page_request() -> impl Strategy<Value = PageRequest> {
    let position = prop_oneof![
        Just(Position::First),
        Just(Position::Last),
        text().prop_map(Position::After),
        some_text().prop_map(Position::Before),
        any::<u32>().prop_map(Position::Index),
    ];
    (any::<Option<u32>>(), position).prop_map(|(max, position)| PageRequest { max, position })
}

pub(crate) fn page() -> impl Strategy<Value = Page> {
    let range = (text(), any::<Option<u32>>(), text()).prop_map(|(first, index, last)| Range {
        first,
        index,
        last,
    });
    (option::of(range), any::<Option<u32>>()).prop_map(|(range, count)| Page { range, count })
}

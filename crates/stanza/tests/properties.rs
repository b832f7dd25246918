//! The laws, on generated input: well-formed, mutated, and arbitrary.
#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

mod given;
mod laws;

use given::values::{element, extension, full_jid, jid, name, some_text, text};
use laws::{addresses, cuts, journey, oracle, travels};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use stanchion_stanza::payload::{
    bind, caps, delay, disco, ping, receipts, sasl, sid, sm, starttls,
};
use stanchion_stanza::stanza::{
    DefinedCondition, ErrorType, IqKind, MessageType, PresenceType, Show, StanzaError,
};
use stanchion_stanza::stream::{Requirement, StreamCondition, StreamError};
use stanchion_stanza::{
    Element, Encoder, Iq, Jid, Limits, Message, Presence, Scope, Stanza, Text,
    codec::{EncodeError, parse_element},
    stream::{StreamFeatures, StreamHeader},
};

// Payloads.

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..20)
}

fn identity() -> impl Strategy<Value = disco::Identity> {
    (text(), text(), option::of(text()), option::of(text())).prop_map(
        |(category, kind, name, lang)| disco::Identity {
            category,
            kind,
            name,
            lang,
        },
    )
}

fn disco_info() -> impl Strategy<Value = disco::DiscoInfo> {
    (
        option::of(text()),
        vec(identity(), 0..3),
        vec(text(), 0..4),
        vec(extension(), 0..2),
    )
        .prop_map(
            |(node, identities, features, extensions)| disco::DiscoInfo {
                node,
                identities,
                features,
                extensions,
            },
        )
}

fn disco_items() -> impl Strategy<Value = disco::DiscoItems> {
    let item = (jid(), option::of(text()), option::of(text()))
        .prop_map(|(jid, node, name)| disco::Item { jid, node, name });
    (option::of(text()), vec(item, 0..4))
        .prop_map(|(node, items)| disco::DiscoItems { node, items })
}

fn stanza_error() -> impl Strategy<Value = StanzaError> {
    let kind = prop::sample::select(vec![
        ErrorType::Auth,
        ErrorType::Cancel,
        ErrorType::Continue,
        ErrorType::Modify,
        ErrorType::Wait,
    ]);
    (
        kind,
        prop::sample::select(DefinedCondition::ALL),
        option::of(some_text()),
        option::of(jid()),
        option::of(text()),
        option::of(extension().prop_map(Box::new)),
    )
        .prop_map(|(kind, condition, value, by, text, application)| {
            let mut error = StanzaError::new(kind, condition);
            error.value = value;
            error.by = by;
            error.text = text;
            error.application = application;
            error
        })
}

fn stream_error() -> impl Strategy<Value = StreamError> {
    (
        prop::sample::select(StreamCondition::ALL),
        option::of(some_text()),
        option::of(text()),
        option::of(extension().prop_map(Box::new)),
    )
        .prop_map(|(condition, value, text, application)| {
            let mut error = StreamError::new(condition);
            error.value = value;
            error.text = text;
            error.application = application;
            error
        })
}

fn features() -> impl Strategy<Value = StreamFeatures> {
    let requirement = prop::sample::select(vec![Requirement::Optional, Requirement::Required]);
    (
        option::of(requirement),
        vec(text(), 0..4),
        option::of(vec(text(), 0..3)),
        any::<(bool, bool)>(),
        any::<(Option<u64>, Option<u64>)>(),
        vec(extension(), 0..3),
    )
        .prop_map(
            |(
                starttls,
                mechanisms,
                channel_bindings,
                (bind, stream_management),
                (max_bytes, idle_seconds),
                other,
            )| StreamFeatures {
                starttls,
                mechanisms,
                channel_bindings,
                bind,
                stream_management,
                max_bytes,
                idle_seconds,
                other,
                ..StreamFeatures::default()
            },
        )
}

proptest! {
    #[test]
    fn disco_comes_back_as_it_went(info in disco_info(), items in disco_items()) {
        travels(&info);
        travels(&items);
    }

    #[test]
    fn errors_come_back_as_they_went(stanza in stanza_error(), stream in stream_error()) {
        travels(&stanza);
        travels(&stream);
    }

    #[test]
    fn features_come_back_as_they_went(features in features()) {
        travels(&features);
    }

    #[test]
    fn sasl_comes_back_as_it_went(
        mechanism in text(),
        initial in option::of(bytes()),
        data in bytes(),
        condition in name().prop_filter("a condition", |c| c != "text"),
        said in option::of(text()),
    ) {
        travels(&sasl::Auth { mechanism, initial: initial.clone() });
        travels(&sasl::Challenge(data.clone()));
        travels(&sasl::Response(data));
        travels(&sasl::Success(initial));
        travels(&sasl::Failure { condition: Text::new(condition).unwrap(), text: said });
        travels(&sasl::Abort);
    }

    #[test]
    fn stream_management_comes_back_as_it_went(
        (resume, max, h) in any::<(bool, Option<u32>, u32)>(),
        failed in option::of(any::<u32>()),
        condition in option::of(prop::sample::select(DefinedCondition::ALL)),
        previd in text(),
        (id, location) in (option::of(text()), option::of(text())),
    ) {
        travels(&sm::Enable { resume, max });
        travels(&sm::Enabled { id, resume, max, location });
        let resume = sm::Resume { previd, h };
        travels(&resume);
        travels(&sm::Resumed(resume));
        travels(&sm::Failed { h: failed, condition });
        travels(&sm::Ack { h });
        travels(&sm::AckRequest);
    }

    #[test]
    fn small_payloads_come_back_as_they_went(
        (id, node, ver, stamp) in (text(), text(), text(), text()),
        (jid, bound) in (jid(), full_jid()),
        from in option::of(jid()),
        reason in option::of(some_text()),
        resource in option::of(text()),
    ) {
        travels(&bind::Bind::Request(resource));
        travels(&bind::Bind::Bound(bound));
        travels(&caps::Caps { hash: Text::from_static("sha-1"), node, ver });
        travels(&delay::Delay { from, stamp, reason });
        travels(&ping::Ping);
        travels(&receipts::Request);
        travels(&receipts::Received { id: id.clone() });
        travels(&sid::OriginId { id: id.clone() });
        travels(&sid::StanzaId { id, by: jid });
        travels(&starttls::StartTls);
        travels(&starttls::Proceed);
        travels(&starttls::Failure);
    }
}

// Stanzas, headers and elements.

fn header() -> impl Strategy<Value = stanchion_stanza::stanza::Header> {
    (
        option::of(jid()),
        option::of(jid()),
        option::of(text()),
        option::of(text()),
    )
        .prop_map(|(to, from, id, lang)| stanchion_stanza::stanza::Header {
            to,
            from,
            id,
            lang,
            other: Vec::new(),
        })
}

fn message() -> impl Strategy<Value = Message> {
    let kind = prop::sample::select(vec![
        MessageType::Chat,
        MessageType::Error,
        MessageType::Groupchat,
        MessageType::Headline,
        MessageType::Normal,
    ]);
    (header(), kind, option::of(text()), vec(element(), 0..3)).prop_map(
        |(header, kind, body, payloads)| {
            let message = Message {
                header,
                kind,
                payloads,
            };
            match body {
                Some(body) => message.with_body(body),
                None => message,
            }
        },
    )
}

fn presence() -> impl Strategy<Value = Presence> {
    let kind = prop::sample::select(vec![
        PresenceType::Available,
        PresenceType::Error,
        PresenceType::Probe,
        PresenceType::Subscribe,
        PresenceType::Subscribed,
        PresenceType::Unavailable,
        PresenceType::Unsubscribe,
        PresenceType::Unsubscribed,
    ]);
    let show = prop::sample::select(vec![Show::Away, Show::Chat, Show::Dnd, Show::Xa]);
    (header(), kind, show, text(), any::<i8>()).prop_map(
        |(header, kind, show, status, priority)| {
            let mut presence = Presence::of(kind)
                .with_show(show)
                .with_status(status.clone())
                .with_priority(priority);
            presence.header = header;
            assert_eq!(presence.show(), Some(show));
            assert_eq!(presence.status().as_deref(), Some(status.as_str()));
            assert_eq!(presence.priority(), priority);
            presence
        },
    )
}

fn iq() -> impl Strategy<Value = Iq> {
    let kind = prop_oneof![
        extension().prop_map(IqKind::Get),
        extension().prop_map(IqKind::Set),
        option::of(extension()).prop_map(IqKind::Result),
        (stanza_error(), option::of(extension())).prop_map(|(e, r)| IqKind::Error(e, r)),
    ];
    (header(), text(), kind).prop_map(|(mut header, id, kind)| {
        header.id = Some(id);
        Iq { header, kind }
    })
}

fn stanza() -> impl Strategy<Value = Stanza> {
    prop_oneof![
        message().prop_map(Stanza::from),
        presence().prop_map(Stanza::from),
        iq().prop_map(Stanza::from),
    ]
}

fn stream_header() -> impl Strategy<Value = StreamHeader> {
    (header(), option::of(any::<(u16, u16)>())).prop_map(|(addresses, version)| {
        let mut header = StreamHeader::initial("example.org".parse().unwrap());
        header.to = addresses.to;
        header.from = addresses.from;
        header.id = addresses.id;
        header.lang = addresses.lang;
        header.version = version;
        header
    })
}

proptest! {
    #[test]
    fn elements_come_back_as_they_went(element in element()) {
        journey::element_survives(&element, Limits::default());
    }

    #[test]
    fn stanzas_come_back_as_they_went(stanza in stanza()) {
        let element = stanza.to_element();
        journey::element_survives(&element, Limits::default());
        prop_assert_eq!(Stanza::from_element(element), Ok(stanza));
    }

    #[test]
    fn a_message_is_written_as_its_element_is(
        message in message(),
        other in option::of((prop::sample::select(vec!["other", "to", "id", "type"]), text())),
        bytes in 100..400usize,
    ) {
        let mut message = message;
        if let Some((name, value)) = other {
            let mut element = Element::new("x", "urn:x");
            element.set_attr(name, value);
            message.header.other.extend(element.attrs().cloned());
        }
        let limits = Limits::default().with_stanza_bytes(bytes);
        for encoder in [
            Encoder::new(Scope::client(), Limits::default()),
            Encoder::new(Scope::empty(), limits),
        ] {
            let mut written = b"before".to_vec();
            let outcome = message.encode(&encoder, &mut written);
            match encoder.to_bytes(&message.to_element()) {
                Ok(bytes) => {
                    prop_assert_eq!(outcome, Ok(()));
                    prop_assert_eq!(&written[b"before".len()..], bytes);
                }
                Err(error) => {
                    prop_assert_eq!(outcome, Err(error));
                    prop_assert_eq!(written, b"before");
                }
            }
        }
    }

    #[test]
    fn headers_come_back_as_they_went(header in stream_header()) {
        journey::header_survives(&header);
    }

    #[test]
    fn rxml_reads_what_we_write_and_the_same(element in element()) {
        let encoder = Encoder::new(Scope::empty(), Limits::default());
        let bytes = encoder.to_bytes(&element).unwrap();
        // An element in the namespace of `xml` has a prefix that rxml reserves.
        prop_assert_eq!(oracle::document_of_rxml(&bytes), Ok(oracle::tree(&element)));
    }

    /// The limits are one law with two keepers: what the encoder writes under them the
    /// decoder takes, and what it refuses the decoder would have refused.
    #[test]
    fn encoder_and_decoder_agree_at_the_limits(
        element in element(),
        depth in 0..8usize,
        attributes in 0..12usize,
        shift in -2..=2i64,
    ) {
        let wide = Limits::default();
        let bytes = Encoder::new(Scope::client(), wide).to_bytes(&element).unwrap();
        let size = bytes.len().saturating_add_signed(shift as isize);
        for limits in [
            wide.with_depth(depth),
            wide.with_attributes(attributes),
            wide.with_stanza_bytes(size),
            wide.with_depth(depth).with_attributes(attributes).with_stanza_bytes(size),
        ] {
            let written = Encoder::new(Scope::client(), limits).to_bytes(&element);
            let read = parse_element(&bytes, &Scope::client(), &limits);
            match &written {
                Ok(again) => {
                    prop_assert_eq!(again, &bytes);
                    prop_assert_eq!(read, Ok(element.clone()));
                    journey::element_survives(&element, limits);
                }
                Err(_) => prop_assert!(read.is_err(), "{:?} but {:?}", written, read),
            }
        }
        let exact = Encoder::new(Scope::client(), wide.with_stanza_bytes(bytes.len() - 1));
        let too_large = EncodeError::TooLarge { bytes: bytes.len(), limit: bytes.len() - 1 };
        prop_assert_eq!(exact.to_bytes(&element), Err(too_large));
    }
}

// Bytes.

/// A stream, as a peer might write it.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    (stream_header(), vec(element(), 0..4), any::<bool>()).prop_map(|(header, elements, close)| {
        let mut out = Vec::new();
        let mut encoder = Encoder::new(Scope::empty(), Limits::default());
        encoder.open(&header, &mut out);
        for element in &elements {
            encoder.element(element, &mut out).unwrap();
            out.extend_from_slice(b" \n");
        }
        if close {
            encoder.close(&mut out);
        }
        out
    })
}

/// Pieces of markup, to be put where they do not belong.
const SHARDS: &[&str] = &[
    "<",
    ">",
    "/>",
    "</",
    "</a>",
    "<a>",
    "<a/>",
    "&",
    ";",
    "&lt;",
    "&#x",
    "&#65;",
    "&#0;",
    "'",
    "\"",
    "=",
    "]]>",
    "<![CDATA[",
    "<!--",
    "-->",
    "<?",
    "?>",
    "<?xml version='1.0'?>",
    "xmlns=''",
    " xmlns:p='urn:p'",
    " p:a='1'",
    "p:",
    ":",
    " a='1'",
    " a='2'",
    " ",
    "\r",
    "\n",
    "\t",
    "\u{0}",
    "\u{FEFF}",
    "\u{FFFE}",
    "é",
    "x",
    "<!DOCTYPE a>",
];

/// Deletes, doubles or inserts at some places.
fn mutate(mut bytes: Vec<u8>, edits: &[(prop::sample::Index, u8, prop::sample::Index)]) -> Vec<u8> {
    for (place, edit, shard) in edits {
        let at = place.index(bytes.len() + 1);
        match edit % 4 {
            0 if at < bytes.len() => {
                bytes.remove(at);
            }
            1 if at < bytes.len() => bytes.insert(at, bytes[at]),
            2 => {
                let end = (at + 7).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let shard = SHARDS[shard.index(SHARDS.len())];
                bytes.splice(at..at, shard.bytes());
            }
        }
    }
    bytes
}

type Edits = Vec<(prop::sample::Index, u8, prop::sample::Index)>;

fn edits() -> impl Strategy<Value = Edits> {
    vec(
        any::<(prop::sample::Index, u8, prop::sample::Index)>(),
        0..5,
    )
}

/// Shards alone: mostly broken, now and then an element.
fn rubble() -> impl Strategy<Value = Vec<u8>> {
    vec(prop::sample::select(SHARDS), 0..16).prop_map(|shards| shards.concat().into_bytes())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn what_a_stream_says_does_not_depend_on_its_cuts(stream in stream(), edits in edits()) {
        cuts::same_for_any_cut(&mutate(stream, &edits));
    }

    #[test]
    fn rxml_reads_every_element_that_we_accept(stream in stream(), edits in edits()) {
        oracle::accept_no_more_of_a_stream(&mutate(stream, &edits));
    }

    #[test]
    fn rxml_and_we_agree_on_documents(element in element(), edits in edits()) {
        let encoder = Encoder::new(Scope::empty(), Limits::default());
        let bytes = encoder.to_bytes(&element).unwrap();
        oracle::agree_on_a_document(&mutate(bytes, &edits));
    }

    #[test]
    fn rxml_and_we_agree_on_rubble(rubble in rubble()) {
        oracle::agree_on_a_document(&rubble);
        oracle::agree_on_a_document(&[b"<a>", &rubble[..], b"</a>"].concat());
        oracle::agree_on_a_document(&[b"<a ", &rubble[..], b"/>"].concat());
        oracle::agree_on_a_document(&[b"<a b='", &rubble[..], b"'/>"].concat());
    }

    #[test]
    fn what_was_read_from_mutants_comes_back(stream in stream(), edits in edits()) {
        journey::read_write_read(&mutate(stream, &edits));
    }
}

// Addresses.

/// Characters that preparation maps, forbids or counts, and others.
fn address() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "@",
        "/",
        ".",
        "[",
        "]",
        ":",
        "-",
        "--",
        "xn--",
        "%",
        " ",
        "\u{A0}",
        "\u{3000}",
        "\u{3002}",
        "\u{FF20}",
        "\u{FF0F}",
        "\u{AD}",
        "\u{200D}",
        "\u{200C}",
        "\u{DF}",
        "\u{3A3}",
        "\u{3C2}",
        "\u{130}",
        "\u{1E9E}",
        "\u{5D0}",
        "\u{660}",
        "\u{6F0}",
        "\u{B7}",
        "\u{375}",
        "\u{30FB}",
        "\u{2163}",
        "\u{FF21}",
        "e\u{301}",
        "\u{212B}",
        "\u{1F600}",
        "\u{378}",
        "\u{10FFFF}",
        "\u{0}",
        "\u{7F}",
        "\u{FFFE}",
        "A",
        "example",
        "192.0.2.1",
        "[::1]",
        "1",
        "\u{FEFF}",
    ]);
    let piece = prop_oneof![
        4 => special.prop_map(str::to_owned),
        2 => "[a-zA-Z0-9]{1,4}",
        1 => any::<char>().prop_map(String::from),
    ];
    vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]

    #[test]
    fn an_address_is_canonical_or_refused(s in address(), other in address()) {
        addresses::canonical_or_refused(&s);
        addresses::canonical_or_refused(&format!("{s}@example.org/{other}"));
        addresses::canonical_or_refused(&format!("a@{s}"));
    }

    #[test]
    fn any_string_is_an_address_or_refused(s in any::<String>()) {
        addresses::canonical_or_refused(&s);
    }

    #[test]
    fn a_part_of_1023_bytes_is_the_longest(part in "[a-z]{1,8}", n in 1015..=1032usize) {
        let long: String = part.chars().cycle().take(n).collect();
        let fits = n <= 1023;
        prop_assert_eq!(Jid::from_parts(Some(&long), "b", None).is_ok(), fits);
        prop_assert_eq!(Jid::from_parts(None, "b", Some(&long)).is_ok(), fits);
    }
}

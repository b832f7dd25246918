//! Makes documents of stanzas that were encoded for the inside of a stream: each gets the
//! namespaces that the stream's root would have declared (RFC 7395 §3.3.3).

use bytes::Bytes;
use memchr::memmem;
use stanchion_stanza::codec::{Frame, Framer};
use stanchion_stanza::{Limits, ns};

/// Cuts `whole_stanzas` into one document for each. White space between them is left
/// out; what cannot be cut is given whole, so that the peer judges it.
pub(super) fn documents(whole_stanzas: &[u8]) -> Vec<Bytes> {
    // Nothing is checked here, and so nothing is limited.
    let limits = Limits::default()
        .with_stanza_bytes(usize::MAX)
        .with_depth(usize::MAX);
    let mut framer = Framer::without_root(limits);
    framer.push(whole_stanzas);
    let mut documents = Vec::new();
    while let Ok(Some(frame)) = framer.next_frame() {
        documents.push(match frame {
            Frame::Element(stanza) => declared(&stanza),
            Frame::Open(tag) | Frame::Close(tag) => tag,
        });
    }
    if framer.pending() > 0 {
        documents.push(framer.buffer_mut().split().freeze());
    }
    documents
}

/// The stanza with its namespaces declared.
fn declared(stanza: &Bytes) -> Bytes {
    let tag = start_tag(stanza);
    // The encoder writes the stream's prefix where it knows that it is bound.
    let prefixed = !tag.stream && memmem::find(stanza, b"stream:").is_some();
    if tag.default && !prefixed {
        return stanza.clone();
    }
    let mut out = Vec::with_capacity(stanza.len() + 80);
    out.extend_from_slice(&stanza[..tag.name_end]);
    let mut declare = |attribute: &[u8], ns: &str| {
        out.push(b' ');
        out.extend_from_slice(attribute);
        out.extend_from_slice(b"='");
        out.extend_from_slice(ns.as_bytes());
        out.push(b'\'');
    };
    if !tag.default {
        declare(b"xmlns", ns::CLIENT);
    }
    if prefixed {
        declare(b"xmlns:stream", ns::STREAM);
    }
    out.extend_from_slice(&stanza[tag.name_end..]);
    out.into()
}

/// What the start tag of an element declares.
struct StartTag {
    /// Where its name ends.
    name_end: usize,
    /// Whether it declares a default namespace.
    default: bool,
    /// Whether it declares the prefix `stream`.
    stream: bool,
}

fn start_tag(element: &[u8]) -> StartTag {
    let until = |from: usize, ends: &dyn Fn(u8) -> bool| {
        let rest = element.get(from..).unwrap_or_default();
        from + rest.iter().position(|b| ends(*b)).unwrap_or(rest.len())
    };
    let ends_name = |b: u8| b.is_ascii_whitespace() || matches!(b, b'/' | b'>' | b'=');
    let name_end = until(1, &ends_name);
    let mut tag = StartTag {
        name_end,
        default: false,
        stream: false,
    };
    let mut at = name_end;
    loop {
        let name = until(at, &|b| !b.is_ascii_whitespace());
        if element.get(name).is_none_or(|b| matches!(b, b'/' | b'>')) {
            return tag;
        }
        let end = until(name, &ends_name);
        match &element[name..end] {
            b"xmlns" => tag.default = true,
            b"xmlns:stream" => tag.stream = true,
            _ => {}
        }
        let quote = until(end, &|b| matches!(b, b'\'' | b'"'));
        let Some(&mark) = element.get(quote) else {
            return tag;
        };
        at = until(quote + 1, &|b| b == mark) + 1;
    }
}

#[cfg(test)]
mod tests {
    use stanchion_stanza::codec::parse_element;
    use stanchion_stanza::{Element, Encoder, Scope};

    use super::*;

    fn texts(input: &str) -> Vec<String> {
        let documents = documents(input.as_bytes());
        let text = |d: &Bytes| String::from_utf8(d.to_vec()).unwrap();
        documents.iter().map(text).collect()
    }

    #[test]
    fn each_stanza_becomes_a_document_that_says_its_namespaces() {
        assert_eq!(
            texts(
                "<a/> <b c='>' ><d xmlns='e'/></b>\n<r xmlns='urn:xmpp:sm:3'/><f g=\"xmlns='\"/>"
            ),
            [
                "<a xmlns='jabber:client'/>",
                "<b xmlns='jabber:client' c='>' ><d xmlns='e'/></b>",
                "<r xmlns='urn:xmpp:sm:3'/>",
                "<f xmlns='jabber:client' g=\"xmlns='\"/>",
            ]
        );
        assert_eq!(
            texts("<a xmlns = \"b\"/><stream:c/><d xmlns:stream='e'><stream:f/></d>"),
            [
                "<a xmlns = \"b\"/>",
                "<stream:c xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'/>",
                "<d xmlns='jabber:client' xmlns:stream='e'><stream:f/></d>",
            ]
        );
    }

    #[test]
    fn a_document_alone_means_what_the_stanza_meant_inside_the_stream() {
        let features = Element::new("features", ns::STREAM);
        let stanza = Element::new("iq", ns::CLIENT)
            .with_attr("id", stanchion_stanza::Text::from_static("1"))
            .with_child(Element::new("query", "urn:x").with_child(features.clone()));
        let sm = Element::new("r", ns::SM);
        let mut bytes = Vec::new();
        let encoder = Encoder::new(Scope::client(), Limits::default());
        for element in [&stanza, &sm, &features] {
            encoder.element(element, &mut bytes).unwrap();
        }
        let read: Vec<Element> = documents(&bytes)
            .iter()
            .map(|d| parse_element(d, &Scope::empty(), &Limits::default()).unwrap())
            .collect();
        assert_eq!(read, [stanza, sm, features]);
    }

    #[test]
    fn what_is_no_stanza_is_left_for_the_peer_to_refuse() {
        assert_eq!(texts(" \n "), Vec::<String>::new());
        assert_eq!(texts("<a/>text"), ["<a xmlns='jabber:client'/>", "text"]);
        for odd in [
            "<a",
            "<a b",
            "<a b=",
            "<a b='c",
            "<",
            "</a>",
            "<a b='c' xmlns",
        ] {
            assert_eq!(texts(odd).len(), 1, "{odd}");
        }
    }
}

//! This project's codec, as a client would use it.

use stanchion_stanza::payload::{caps, delay, disco, ping, pubsub, receipts, sid, sm};
use stanchion_stanza::stanza::IqKind;
use stanchion_stanza::xml::Node;
use stanchion_stanza::{
    Decoder, Element, Encoder, Iq, Limits, Message, Payload, Presence, Scope, Stanza, StreamEvent,
    Text,
};

/// A decoder behind the stream's opening tag.
///
/// # Panics
/// If the header is refused.
#[must_use]
pub fn decoder() -> Decoder {
    let mut decoder = Decoder::new(Limits::default());
    decoder.push(crate::HEADER.as_bytes());
    assert!(matches!(
        decoder.next_event(),
        Ok(Some(StreamEvent::Open(_)))
    ));
    decoder
}

/// What the envelope says of a stanza; the payloads are elements.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it is made to be dropped")]
pub enum Envelope {
    /// One of the three.
    Stanza(Stanza),
    /// An acknowledgement.
    Ack(sm::Ack),
    /// A request for one.
    AckRequest(sm::AckRequest),
}

/// Every element of `portion`, and what was left of the one before.
///
/// # Panics
/// If anything is refused.
pub fn elements(decoder: &mut Decoder, portion: &[u8], mut each: impl FnMut(Element)) {
    decoder.push(portion);
    loop {
        match decoder.next_event() {
            Ok(Some(StreamEvent::Element(element))) => each(element),
            Ok(None) => return,
            other => panic!("{other:?}"),
        }
    }
}

/// The envelope, typed as deep as the peer's: addresses, id, type; bodies, and what a
/// presence says.
///
/// # Panics
/// If it is broken.
#[must_use]
pub fn envelope(element: Element) -> Envelope {
    if sm::Ack::matches(&element) {
        return Envelope::Ack(sm::Ack::from_element(&element).unwrap());
    }
    if sm::AckRequest::matches(&element) {
        return Envelope::AckRequest(sm::AckRequest::from_element(&element).unwrap());
    }
    let stanza = Stanza::from_element(element).unwrap();
    match &stanza {
        Stanza::Message(message) => {
            std::hint::black_box(message.body());
        }
        Stanza::Presence(presence) => {
            std::hint::black_box((presence.show(), presence.status(), presence.priority()));
        }
        Stanza::Iq(_) => {}
    }
    Envelope::Stanza(stanza)
}

/// A payload, typed.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it is made to be dropped")]
pub enum Typed {
    Request(receipts::Request),
    OriginId(sid::OriginId),
    StanzaId(sid::StanzaId),
    Delay(delay::Delay),
    Caps(caps::Caps),
    Ping(ping::Ping),
    Info(disco::DiscoInfo),
    Event(pubsub::Event),
}

/// Every payload that has a type.
///
/// # Panics
/// If one is broken.
pub fn typed(envelope: &Envelope, mut each: impl FnMut(Typed)) {
    let payloads = match envelope {
        Envelope::Stanza(Stanza::Message(Message { payloads, .. }))
        | Envelope::Stanza(Stanza::Presence(Presence { payloads, .. })) => payloads.as_slice(),
        Envelope::Stanza(Stanza::Iq(Iq {
            kind: IqKind::Get(child) | IqKind::Set(child) | IqKind::Result(Some(child)),
            ..
        })) => std::slice::from_ref(child),
        _ => &[],
    };
    for payload in payloads {
        if receipts::Request::matches(payload) {
            each(Typed::Request(Payload::from_element(payload).unwrap()));
        } else if sid::OriginId::matches(payload) {
            each(Typed::OriginId(Payload::from_element(payload).unwrap()));
        } else if sid::StanzaId::matches(payload) {
            each(Typed::StanzaId(Payload::from_element(payload).unwrap()));
        } else if delay::Delay::matches(payload) {
            each(Typed::Delay(Payload::from_element(payload).unwrap()));
        } else if caps::Caps::matches(payload) {
            each(Typed::Caps(Payload::from_element(payload).unwrap()));
        } else if ping::Ping::matches(payload) {
            each(Typed::Ping(Payload::from_element(payload).unwrap()));
        } else if disco::DiscoInfo::matches(payload) {
            each(Typed::Info(Payload::from_element(payload).unwrap()));
        } else if pubsub::Event::matches(payload) {
            each(Typed::Event(Payload::from_element(payload).unwrap()));
        }
    }
}

/// An encoder inside a client's stream.
#[must_use]
pub fn encoder() -> Encoder {
    Encoder::new(Scope::client(), Limits::default())
}

/// Writes what `envelope` holds.
///
/// # Panics
/// If the limits refuse it.
pub fn write(encoder: &Encoder, envelope: &Envelope, out: &mut Vec<u8>) {
    let element = match envelope {
        Envelope::Stanza(stanza) => stanza.to_element(),
        Envelope::Ack(ack) => ack.to_element(),
        Envelope::AckRequest(request) => request.to_element(),
    };
    encoder.element(&element, out).unwrap();
}

/// The same, as a program would have built it: nothing in it was decoded.
///
/// # Panics
/// Never: what was decoded can be built.
#[must_use]
pub fn built(envelope: Envelope) -> Envelope {
    let Envelope::Stanza(stanza) = envelope else {
        return envelope;
    };
    let element = copy(&stanza.to_element());
    Envelope::Stanza(Stanza::from_element(element).unwrap())
}

fn copy(element: &Element) -> Element {
    let mut made = Element::try_new(element.name(), element.ns()).unwrap();
    for attribute in element.attrs() {
        let value = Text::new(attribute.value().as_str()).unwrap();
        made.try_set_attr(attribute.ns(), attribute.name(), value)
            .unwrap();
    }
    for node in element.nodes() {
        match node {
            Node::Element(child) => made.push(copy(child)),
            Node::Text(text) => made.push_text(Text::new(text.as_str()).unwrap()),
        }
    }
    made
}

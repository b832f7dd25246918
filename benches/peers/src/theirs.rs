//! xmpp-parsers on xso and rxml, as tokio-xmpp puts them together for its streams, without
//! its sockets and timers; and minidom in the same way.

use bytes::BytesMut;
use rxml::writer::{SimpleNamespaces, TrackNamespace as _};
use rxml::{AttrMap, Event, Parse as _, Parser, QName};
use xmpp_parsers::message::Message;
use xmpp_parsers::presence::Presence;
use xmpp_parsers::stanza::Stanza;
use xmpp_parsers::{caps, delay, disco, iq, ns, ping, pubsub, receipts, sm, stanza_id};
use xso::{AsXml, Context, FromEventsBuilder, FromXml};

/// What the envelope says of a stanza; the payloads are elements.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it is made to be dropped")]
pub enum Envelope {
    /// One of the three.
    Stanza(Stanza),
    /// Stream management.
    Sm(sm::Nonza),
}

/// What is made of the elements of a stream.
pub trait Made: Sized {
    type Builder;
    fn begin(name: QName, attributes: AttrMap, context: &Context<'_>) -> Self::Builder;
    fn go_on(builder: &mut Self::Builder, event: Event, context: &Context<'_>) -> Option<Self>;
}

/// Builders of [`Envelope`], chosen as tokio-xmpp's stream element does.
#[allow(clippy::large_enum_variant, reason = "one at a time")]
pub enum Builder {
    Stanza(<Stanza as FromXml>::Builder),
    Sm(<sm::Nonza as FromXml>::Builder),
}

impl Made for Envelope {
    type Builder = Builder;

    fn begin(name: QName, attributes: AttrMap, context: &Context<'_>) -> Builder {
        if name.0.as_str() == ns::SM {
            Builder::Sm(sm::Nonza::from_events(name, attributes, context).unwrap())
        } else {
            Builder::Stanza(Stanza::from_events(name, attributes, context).unwrap())
        }
    }

    fn go_on(builder: &mut Builder, event: Event, context: &Context<'_>) -> Option<Self> {
        match builder {
            Builder::Stanza(b) => b.feed(event, context).unwrap().map(Self::Stanza),
            Builder::Sm(b) => b.feed(event, context).unwrap().map(Self::Sm),
        }
    }
}

impl Made for minidom::Element {
    type Builder = <Self as FromXml>::Builder;

    fn begin(name: QName, attributes: AttrMap, context: &Context<'_>) -> Self::Builder {
        Self::from_events(name, attributes, context).unwrap()
    }

    fn go_on(builder: &mut Self::Builder, event: Event, context: &Context<'_>) -> Option<Self> {
        builder.feed(event, context).unwrap()
    }
}

/// A stream that is read.
pub struct Decoder<T: Made> {
    parser: Parser,
    lang: rxml::xml_lang::XmlLangStack,
    builder: Option<T::Builder>,
}

impl<T: Made> Default for Decoder<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Made> Decoder<T> {
    /// A decoder behind the stream's opening tag.
    ///
    /// # Panics
    /// If the header is refused.
    #[must_use]
    pub fn new() -> Self {
        let mut parser = Parser::default();
        let mut lang = rxml::xml_lang::XmlLangStack::new();
        let mut header = crate::HEADER.as_bytes();
        while let Some(event) = next(&mut parser, &mut header) {
            lang.handle_event(&event);
        }
        Self {
            parser,
            lang,
            builder: None,
        }
    }

    /// Every element of `portion`, and what was left of the one before.
    ///
    /// # Panics
    /// If anything is refused.
    pub fn elements(&mut self, mut portion: &[u8], mut each: impl FnMut(T)) {
        while let Some(event) = next(&mut self.parser, &mut portion) {
            self.lang.handle_event(&event);
            let context = Context::empty().with_language(self.lang.current());
            match (&mut self.builder, event) {
                (Some(builder), event) => {
                    if let Some(made) = T::go_on(builder, event, &context) {
                        self.builder = None;
                        each(made);
                    }
                }
                (None, Event::StartElement(_, name, attributes)) => {
                    self.builder = Some(T::begin(name, attributes, &context));
                }
                (None, Event::Text(..)) => {}
                (None, event) => panic!("{event:?}"),
            }
        }
    }
}

/// The next event of `input`, if it is whole.
fn next(parser: &mut Parser, input: &mut &[u8]) -> Option<Event> {
    match parser.parse(input, false) {
        Ok(event) => event,
        Err(rxml::error::EndOrError::NeedMoreData) => None,
        Err(other) => panic!("{other:?}"),
    }
}

/// Every event of `portion`, and nothing made of it.
pub fn events(parser: &mut Parser, mut portion: &[u8], mut each: impl FnMut(Event)) {
    while let Some(event) = next(parser, &mut portion) {
        each(event);
    }
}

/// A payload, typed.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "it is made to be dropped")]
pub enum Typed {
    Request(receipts::Request),
    OriginId(stanza_id::OriginId),
    StanzaId(stanza_id::StanzaId),
    Delay(delay::Delay),
    Caps(caps::Caps),
    Ping(ping::Ping),
    Query(disco::DiscoInfoQuery),
    Info(disco::DiscoInfoResult),
    Event(pubsub::event::Event),
}

/// Every payload that has a type.
///
/// # Panics
/// If one is broken.
pub fn typed(envelope: Envelope, mut each: impl FnMut(Typed)) {
    let (payloads, answer) = match envelope {
        Envelope::Stanza(Stanza::Message(Message { payloads, .. }))
        | Envelope::Stanza(Stanza::Presence(Presence { payloads, .. })) => (payloads, false),
        Envelope::Stanza(Stanza::Iq(iq::Iq::Get { payload, .. } | iq::Iq::Set { payload, .. })) => {
            (vec![payload], false)
        }
        Envelope::Stanza(Stanza::Iq(iq::Iq::Result {
            payload: Some(payload),
            ..
        })) => (vec![payload], true),
        _ => return,
    };
    for payload in payloads {
        if payload.is("request", ns::RECEIPTS) {
            each(Typed::Request(payload.try_into().unwrap()));
        } else if payload.is("origin-id", ns::SID) {
            each(Typed::OriginId(payload.try_into().unwrap()));
        } else if payload.is("stanza-id", ns::SID) {
            each(Typed::StanzaId(payload.try_into().unwrap()));
        } else if payload.is("delay", ns::DELAY) {
            each(Typed::Delay(payload.try_into().unwrap()));
        } else if payload.is("c", ns::CAPS) {
            each(Typed::Caps(payload.try_into().unwrap()));
        } else if payload.is("ping", ns::PING) {
            each(Typed::Ping(payload.try_into().unwrap()));
        } else if payload.is("query", ns::DISCO_INFO) && answer {
            each(Typed::Info(payload.try_into().unwrap()));
        } else if payload.is("query", ns::DISCO_INFO) {
            each(Typed::Query(payload.try_into().unwrap()));
        } else if payload.is("event", ns::PUBSUB_EVENT) {
            each(Typed::Event(payload.try_into().unwrap()));
        }
    }
}

/// A writer inside a client's stream.
pub type Encoder = rxml::writer::Encoder<SimpleNamespaces>;

/// As tokio-xmpp sets it up: both prefixes fixed, the stream's root open.
///
/// # Panics
/// Never.
#[must_use]
pub fn encoder() -> Encoder {
    let mut writer = Encoder::new();
    let stream = rxml::xml_ncname!("stream");
    let tracker = writer.ns_tracker_mut();
    tracker.declare_fixed(Some(stream), ns::STREAM.into());
    tracker.declare_fixed(None, ns::JABBER_CLIENT.into());
    let mut out = BytesMut::new();
    let root = rxml::Item::ElementHeadStart(ns::STREAM.into(), stream);
    writer.encode_into_bytes(root, &mut out).unwrap();
    writer
        .encode_into_bytes(rxml::Item::ElementHeadEnd, &mut out)
        .unwrap();
    writer
}

/// Writes what `envelope` holds.
///
/// # Panics
/// If it cannot be written.
pub fn write(encoder: &mut Encoder, envelope: &Envelope, out: &mut BytesMut) {
    match envelope {
        Envelope::Stanza(stanza) => write_item(encoder, stanza, out),
        Envelope::Sm(nonza) => write_item(encoder, nonza, out),
    }
}

fn write_item<T: AsXml>(encoder: &mut Encoder, value: &T, out: &mut BytesMut) {
    for item in value.as_xml_iter().unwrap() {
        encoder
            .encode_into_bytes(item.unwrap().as_rxml_item(), out)
            .unwrap();
    }
}

//! XMPP stanzas and streams, without I/O: addresses, elements, typed payloads, and a
//! strict streaming codec that refuses what XML or XMPP forbids.
//!
//! For whoever speaks XMPP over a transport of their own, or wants to look at what
//! others say. No sockets, no clock, no async: feed bytes to a [`Decoder`], take
//! [`StreamEvent`]s out, and give [`Element`]s to an [`Encoder`].
//!
//! ```
//! use stanchion_stanza::{Encoder, Limits, Message, Payload, Scope, Stanza, Text, codec::parse_element};
//! use stanchion_stanza::payload::receipts;
//!
//! let message = Message::chat("lamp@example.org".parse()?)
//!     .with_id(Text::from_static("m1"))
//!     .with_body(Text::new("on & bright")?)
//!     .with_payload(receipts::Request.to_element());
//! let bytes = Encoder::new(Scope::client(), Limits::default()).to_bytes(&message.to_element())?;
//! assert_eq!(
//!     std::str::from_utf8(&bytes)?,
//!     "<message to='lamp@example.org' id='m1' type='chat'><body>on &amp; bright</body>\
//!      <request xmlns='urn:xmpp:receipts'/></message>"
//! );
//!
//! let element = parse_element(&bytes, &Scope::client(), &Limits::default())?;
//! let Stanza::Message(read) = Stanza::from_element(element)? else { panic!() };
//! assert_eq!(read, message);
//! assert!(read.payload::<receipts::Request>()?.is_some());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Guarantees
//! - Values are valid by construction: a [`Text`] holds only characters that XML
//!   allows, an [`Element`] only names that it allows. So the encoder cannot write what
//!   the decoder would refuse, but for the [`Limits`], which both check.
//! - Nothing that a peer sends panics, recurses without bound, or takes more memory
//!   than the [`Limits`] say.
//! - What has no type here stays an [`Element`] and is written as it was read.
//!
//! # Reading a stream
//! Bytes may come in any portions: the events do not depend on the cuts. From a
//! [`Read`](std::io::Read), such as a file or a blocking socket:
//!
//! ```
//! use std::io::{self, Read};
//! use stanchion_stanza::{Decoder, Limits, StreamEvent};
//!
//! /// The next event, or `None` where the source ends.
//! fn next(source: &mut impl Read, decoder: &mut Decoder) -> io::Result<Option<StreamEvent>> {
//!     let mut portion = [0; 4096];
//!     loop {
//!         // Take all events before reading on: what waits is then one stanza at most.
//!         if let Some(event) = decoder.next_event().map_err(io::Error::other)? {
//!             return Ok(Some(event));
//!         }
//!         match source.read(&mut portion)? {
//!             0 => return Ok(None),
//!             length => decoder.push(&portion[..length]),
//!         }
//!     }
//! }
//!
//! let mut source = &b"<stream:stream xmlns='jabber:client' \
//!     xmlns:stream='http://etherx.jabber.org/streams' version='1.0'><presence/>"[..];
//! let mut decoder = Decoder::new(Limits::default());
//! assert!(matches!(next(&mut source, &mut decoder)?, Some(StreamEvent::Open(_))));
//! assert!(matches!(next(&mut source, &mut decoder)?, Some(StreamEvent::Element(_))));
//! assert_eq!(next(&mut source, &mut decoder)?, None);
//! # Ok::<(), std::io::Error>(())
//! ```
//!
//! From an async source it is the same loop, and whoever drops it in the middle of an
//! await loses nothing, since all that was read is in the decoder. With tokio, `read` is
//! `async |buffer| socket.read_buf(buffer).await`:
//!
//! ```
//! # use std::{io, pin::pin, task::{Context, Poll, Waker}};
//! # use stanchion_stanza::{Decoder, Limits, Scope, StreamEvent};
//! async fn next(
//!     mut read: impl AsyncFnMut(&mut bytes::BytesMut) -> io::Result<usize>,
//!     decoder: &mut Decoder,
//! ) -> io::Result<Option<StreamEvent>> {
//!     loop {
//!         if let Some(event) = decoder.next_event().map_err(io::Error::other)? {
//!             return Ok(Some(event));
//!         }
//!         if read(decoder.buffer_mut()).await? == 0 {
//!             return Ok(None);
//!         }
//!     }
//! }
//! # let mut portions = ["<ia", "/>"].into_iter();
//! # let read = async |buffer: &mut bytes::BytesMut| {
//! #     let portion = portions.next().unwrap_or_default();
//! #     buffer.extend_from_slice(portion.as_bytes());
//! #     Ok(portion.len())
//! # };
//! # let mut decoder = Decoder::without_root(Scope::client(), Limits::default());
//! # let event = pin!(next(read, &mut decoder)).poll(&mut Context::from_waker(Waker::noop()));
//! # assert!(matches!(event, Poll::Ready(Ok(Some(StreamEvent::Element(e)))) if e.name() == "ia"));
//! ```
//!
//! # A payload of one's own
//! Implement [`Payload`] for it: any stanza can then be asked for it, and carry it.
//!
//! ```
//! use stanchion_stanza::payload::PayloadError;
//! use stanchion_stanza::{Element, Message, Payload, Stanza, Text};
//!
//! #[derive(Debug, PartialEq)]
//! struct Reading {
//!     unit: Text,
//!     value: i32,
//! }
//!
//! impl Payload for Reading {
//!     const NAME: &'static str = "reading";
//!     const NS: &'static str = "urn:example:thing";
//!
//!     fn from_element(element: &Element) -> Result<Self, PayloadError> {
//!         let unit = element.attr_text("unit").ok_or(PayloadError::MissingAttribute {
//!             element: Self::NAME,
//!             attribute: "unit",
//!         })?;
//!         let value = element.text().trim().parse().map_err(|_| PayloadError::Invalid {
//!             element: Self::NAME,
//!             what: "number",
//!         })?;
//!         Ok(Self { unit, value })
//!     }
//!
//!     fn to_element(&self) -> Element {
//!         Element::new(Self::NAME, Self::NS)
//!             .with_attr("unit", self.unit.clone())
//!             .with_text(self.value)
//!     }
//! }
//!
//! let reading = Reading { unit: Text::from_static("Cel"), value: 21 };
//! let message = Message::chat("a@example.org".parse()?).with_payload(reading.to_element());
//! let Stanza::Message(read) = Stanza::from_element(message.to_element())? else { panic!() };
//! assert_eq!(read.payload::<Reading>()?, Some(reading));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Limits and errors
//! There are two kinds of fault. A [`DecodeError`](codec::DecodeError) ends the stream:
//! it names the rule, its source, and the byte of the stream, and knows the condition to
//! send. A [`PayloadError`](payload::PayloadError) or a broken stanza leaves the stream
//! alive, to be answered with a stanza error.
//!
//! ```
//! use stanchion_stanza::stream::{StreamCondition, StreamError};
//! use stanchion_stanza::{Decoder, Limits, Payload, Scope};
//!
//! let limits = Limits::default().with_stanza_bytes(10_000).with_depth(3);
//! let refused = |input: &[u8]| {
//!     let mut decoder = Decoder::without_root(Scope::client(), limits);
//!     decoder.push(input);
//!     decoder.next_event().unwrap_err()
//! };
//! let fault = refused(b"<a><b><!-- c --></b></a>");
//! assert_eq!(fault.to_string(), "at byte 6: comments and document types are not allowed in \
//!     XMPP (RFC 6120 \u{A7}11.1)");
//! assert_eq!(fault.condition(), StreamCondition::RestrictedXml);
//! let fault = refused(b"<a><b><c><d/></c></b></a>");
//! assert_eq!(fault.condition(), StreamCondition::PolicyViolation);
//! let reply = StreamError::new(fault.condition()).to_element(); // then close the stream
//! # assert_eq!(reply.name(), "error");
//! ```
//!
//! # What is made when, and what stays in memory
//! The decoder checks the whole stanza and keeps its bytes, once, with a flat list of the
//! places of its parts; only what references and line ends stand for is written anew.
//! [`Element::name`], [`Element::attr`] and [`Element::text`] look there.
//! [`Element::attrs`], [`Element::nodes`] and [`Element::children`] make a list when first
//! asked, and keep it as long as that element. A payload is read when it is asked for.
//!
//! A clone and a child share the stanza, and keep all of it in memory while they live. So
//! does a [`Text`], unless the stanza takes more than 4 KiB there: then it is a copy.
//!
//! # Fuzzing it
//! `cargo xtask fuzz` runs every target of `fuzz/` on the stable compiler, each for
//! 20 seconds: the decoder against rxml, the framer at any cut, the way from bytes to
//! elements and back, every payload, and addresses. `cargo xtask fuzz decoder --seconds
//! 600` runs one for longer. It tells how often it ran, how much it reached, and how far
//! the two parsers agree.

pub mod codec;
pub mod jid;
pub mod ns;
pub mod payload;
pub mod stanza;
pub mod stream;
pub mod xml;

pub use codec::{Decoder, Encoder, Limits, Scope, StreamEvent};
pub use jid::{BareJid, FullJid, Jid};
pub use payload::Payload;
pub use stanza::{Iq, Message, Presence, Stanza};
pub use xml::{Element, Text};

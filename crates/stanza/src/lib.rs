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

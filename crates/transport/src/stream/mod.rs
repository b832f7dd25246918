//! A framed XML stream over any transport, for both roles: queues what is sent, writes
//! it whole, and reads events. What the events mean (negotiation, stanzas,
//! acknowledgements) and every deadline are the caller's.
//!
//! There are two framings, one file for each: `document` (RFC 6120) and `messages`
//! (RFC 7395). What is above sees no difference.

mod declare;
mod document;
mod fault;
mod messages;
mod stamp;

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll};

use stanchion_stanza::codec::EncodeError;
use stanchion_stanza::stream::StreamHeader;
use stanchion_stanza::{Element, Jid, Limits, StreamEvent};

use crate::dial::DialError;
use crate::pipe::BoxTransport;
use crate::security::Security;
use crate::traffic::Traffic;
use crate::websocket::{self, WebSocketUri};
use document::Document;
pub use fault::{DetachError, StreamFault, WebSocketFault};
use messages::Messages;
use stamp::Stamp;

/// An XML stream (RFC 6120 §4) over a transport, or over a WebSocket (RFC 7395).
///
/// # Output
/// [`open`](Self::open), [`send`](Self::send), [`send_bytes`](Self::send_bytes) and
/// [`end`](Self::end) only queue. [`flush`](Self::flush), and [`next`](Self::next)
/// before it waits, hand all that is queued to the transport in one write, so that a
/// stanza and the `<r/>` behind it share a segment; a partial write goes on from where
/// it stopped. (TLS takes 64 KiB at a time, and hands them down in one write; a
/// WebSocket gathers 16 KiB.) The queue has no bound of its own: look at
/// [`queued`](Self::queued) before adding to it.
///
/// # Input
/// One read takes at most 16 KiB, and its events are given out before the next read, so
/// memory is bounded by [`Limits::stanza_bytes`] plus 16 KiB; over a WebSocket, which
/// may cut a message into frames, by twice the former plus 20 KiB.
///
/// # What is different over a WebSocket
/// - Each element is a message of its own, and [`open`](Self::open) and
///   [`end`](Self::end) send `<open/>` and `<close/>` (RFC 7395 §3.3).
/// - The peer's pings are answered while [`next`](Self::next) waits.
/// - [`close`](Self::close) closes the WebSocket as well (RFC 6455 §7.1.1).
/// - There is no STARTTLS, so [`into_transport`](Self::into_transport) fails.
/// - White space between stanzas is not sent (RFC 7395 §3.8).
/// - There is [`StreamFault::SeeOther`].
///
/// # Cancellation
/// Every future may be dropped at any await: no byte is lost or doubled in either
/// direction, and a new call goes on from there.
pub struct XmppStream {
    framing: Framing,
    /// Whether stanzas were still to be flushed when the closing tag was queued.
    owed: bool,
}

#[allow(
    clippy::large_enum_variant,
    reason = "nearly all streams are the large one, and none is moved often"
)]
enum Framing {
    Document(Document),
    Messages(Box<Messages>),
}

/// The same, on whichever framing there is.
macro_rules! on {
    ($stream:expr, $framing:ident => $what:expr) => {
        match $stream {
            Framing::Document($framing) => $what,
            Framing::Messages($framing) => $what,
        }
    };
}

impl fmt::Debug for XmppStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XmppStream")
            .field("security", self.security())
            .field("queued", &self.queued())
            .field("unread", &on!(&self.framing, f => f.unread()))
            .finish_non_exhaustive()
    }
}

impl XmppStream {
    /// A stream that has neither sent nor read a header. `limits` are for what is read;
    /// what is sent starts from [`Limits::default`].
    #[must_use]
    pub fn new(pipe: BoxTransport, limits: Limits) -> Self {
        Self {
            framing: Framing::Document(Document::new(pipe, limits)),
            owed: false,
        }
    }

    /// A stream over a WebSocket (RFC 7395), at the client: asks for it over a pipe that
    /// is connected to where `uri` says, with TLS already if the URI is a `wss`. The
    /// rest is as for [`XmppStream::new`]; an element larger than
    /// [`Limits::stanza_bytes`] is refused when its first frame says so.
    ///
    /// # Errors
    /// [`DialError::WebSocket`]; the pipe is dropped.
    pub async fn websocket(
        pipe: BoxTransport,
        uri: &WebSocketUri,
        limits: Limits,
    ) -> Result<Self, DialError> {
        let socket = websocket::upgrade(pipe, uri, limits.stanza_bytes).await;
        let socket = socket.map_err(|source| DialError::WebSocket {
            uri: uri.to_string(),
            source,
        })?;
        Ok(Self {
            framing: Framing::Messages(Box::new(Messages::new(socket, limits))),
            owed: false,
        })
    }

    /// What protects the transport.
    #[must_use]
    pub fn security(&self) -> &Security {
        self.pipe().security()
    }

    /// What went over the wire since the connection was made, TLS and the framing
    /// included.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.pipe().traffic()
    }

    /// Replaces the limits on what is read, from the next stanza on: a server allows
    /// little before authentication.
    pub fn set_limits(&mut self, limits: Limits) {
        on!(&mut self.framing, f => f.set_limits(limits));
    }

    /// Replaces the limits on what is sent, as announced by the peer (XEP-0478).
    pub fn set_send_limits(&mut self, limits: Limits) {
        on!(&mut self.framing, f => f.set_send_limits(limits));
    }

    /// Queues a stream header; what follows is encoded inside it.
    pub fn open(&mut self, header: &StreamHeader) {
        on!(&mut self.framing, f => f.open(header));
    }

    /// Queues an element. After [`end`](Self::end) nothing is queued any more.
    ///
    /// # Errors
    /// [`EncodeError`] if the send limits forbid it; nothing is queued then.
    pub fn send(&mut self, element: &Element) -> Result<(), EncodeError> {
        on!(&mut self.framing, f => f.send(element))
    }

    /// Queues whole stanzas that are encoded already, as they stand inside a stream
    /// of `jabber:client`. They are not checked. After [`end`](Self::end) nothing is
    /// queued any more.
    pub fn send_bytes(&mut self, whole_stanzas: &[u8]) {
        on!(&mut self.framing, f => f.send_bytes(whole_stanzas));
    }

    /// This is a component's stream from now on (XEP-0114 §3), after its handshake: what
    /// comes in `jabber:component:accept` is read as `jabber:client`, stanzas of
    /// `jabber:client` go out in the stream's own namespace, and those that have no
    /// sender or no recipient get `ours`; but presence without recipient does not go out,
    /// for there is nobody to spread it. Without effect over a WebSocket, where there are no
    /// components.
    pub fn of_component(&mut self, ours: &Jid) {
        if let Framing::Document(document) = &mut self.framing {
            document.of_component(Stamp::new(ours));
        }
    }

    /// Queues the stream's closing tag, once. Go on reading until
    /// [`StreamEvent::Close`]: the peer may still have stanzas to send (RFC 6120 §4.4).
    pub fn end(&mut self) {
        let owed = !self.is_flushed();
        if on!(&mut self.framing, f => f.end()) {
            self.owed = owed;
        }
    }

    /// Bytes that are queued and that the transport has not taken: the caller's measure
    /// for back pressure.
    #[must_use]
    pub fn queued(&self) -> usize {
        on!(&self.framing, f => f.queued())
    }

    /// Writes all that is queued.
    ///
    /// This does not read: with a peer that does the same, and full buffers between, it
    /// never returns. Where that can be, call [`next`](Self::next), which does both.
    ///
    /// # Errors
    /// [`StreamFault::Io`]. There may still be input to read: the peer's last words.
    pub async fn flush(&mut self) -> Result<(), StreamFault> {
        poll_fn(|cx| self.poll_flush(cx))
            .await
            .map_err(StreamFault::Io)
    }

    /// The next event. Events that are buffered come at once; before it waits for
    /// input, it writes what is queued, and goes on writing while it waits.
    ///
    /// # Errors
    /// [`StreamFault`]. If writing fails, input that has already arrived is given out
    /// first, for it may say why.
    pub async fn next(&mut self) -> Result<StreamEvent, StreamFault> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The next event that is buffered, or `None` if there is no whole one. No I/O.
    ///
    /// # Errors
    /// [`StreamFault::Decode`], [`StreamFault::WebServer`] and [`StreamFault::SeeOther`].
    pub fn try_next(&mut self) -> Result<Option<StreamEvent>, StreamFault> {
        on!(&mut self.framing, f => f.try_next())
    }

    /// What was read over the bare connection and belongs to no event yet. After a
    /// [`StreamFault::Decode`] it begins where the fault is, or before. Empty for a
    /// WebSocket.
    pub fn unread(&mut self) -> &[u8] {
        match &mut self.framing {
            Framing::Document(document) => document.rest(),
            Framing::Messages(_) => &[],
        }
    }

    /// Waits for a new stream header, as after SASL (RFC 6120 §6.4.6). The transport,
    /// what is queued and what was read stay.
    pub fn reset(&mut self) {
        on!(&mut self.framing, f => f.reset());
    }

    /// Gives the transport away, for a TLS handshake over it.
    ///
    /// # Errors
    /// [`DetachError`] if bytes were read that belong to no event, or are still to be
    /// written, or if this is a WebSocket. The connection is then dropped.
    pub fn into_transport(self) -> Result<BoxTransport, DetachError> {
        match self.framing {
            Framing::Document(document) => document.into_transport(),
            Framing::Messages(_) => Err(DetachError::WebSocket),
        }
    }

    /// Queues the closing tag if need be, writes all that is queued, and shuts the
    /// sending half down. To hear the peer's last stanzas, [`end`](Self::end) first and
    /// read until [`StreamEvent::Close`].
    ///
    /// A peer that ends the connection before our closing tag is out, or before the
    /// transport is shut down, was only faster: that is no error. So `Ok` does not say
    /// that the peer has read the tag; [`StreamEvent::Close`] does.
    ///
    /// # Errors
    /// [`StreamFault::Io`], if stanzas that were queued before the tag may not have been
    /// written, or if the transport failed otherwise than by being closed.
    pub async fn close(&mut self) -> Result<(), StreamFault> {
        self.end();
        let closed = poll_fn(|cx| on!(&mut self.framing, f => f.poll_close(cx))).await;
        match closed {
            // The WebSocket was closed, which `next` has told.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(()),
            Err(e) if fault::is_gone(&e) && (!self.owed || self.is_flushed()) => Ok(()),
            other => other.map_err(StreamFault::Io),
        }
    }

    /// Whether the transport has taken all that was queued, and holds nothing back.
    fn is_flushed(&self) -> bool {
        on!(&self.framing, f => f.is_flushed())
    }

    fn pipe(&self) -> &BoxTransport {
        on!(&self.framing, f => f.pipe())
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(&mut self.framing, f => f.poll_flush(cx))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<StreamEvent, StreamFault>> {
        on!(&mut self.framing, f => f.poll_next(cx))
    }
}

//! A framed XML stream over any transport, for both roles: queues what is sent, writes
//! it whole, and reads events. What the events mean (negotiation, stanzas,
//! acknowledgements) and every deadline are the caller's.

use std::fmt;
use std::future::{Future as _, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BufMut as _;
use stanchion_stanza::{
    Decoder, Element, Encoder, Limits, Scope, StreamEvent,
    codec::{DecodeError, EncodeError},
    stream::StreamHeader,
};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use crate::pipe::BoxTransport;
use crate::security::Security;

/// The most that one read takes from the transport, in bytes.
const READ_MAX: usize = 16 * 1024;
/// What a quiet connection reserves for its next read, in bytes.
const READ_MIN: usize = 2 * 1024;
/// An output queue that grew beyond this gives its memory back once it is empty.
const QUEUE_KEPT: usize = 64 * 1024;

/// Why a stream ended without the peer closing it properly. All but
/// [`StreamFault::Decode`] are the network's doing: reconnect.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamFault {
    /// The transport ended between two stanzas, with or without the peer having closed
    /// its stream before. Over TLS, a missing `close_notify` looks the same.
    #[error("the peer closed the connection; reconnect")]
    Closed,
    /// The transport ended inside a stanza, which is lost.
    #[error("the connection ended inside a stanza, after {bytes} bytes of it; reconnect")]
    Truncated {
        /// How much of it had come, in bytes.
        bytes: usize,
    },
    /// The transport failed.
    #[error("the connection failed; reconnect")]
    Io(#[source] io::Error),
    /// The peer sent what XML or XMPP forbids, or more than the limits allow. Send its
    /// [`DecodeError::condition`] as a stream error and close (RFC 6120 §4.9); the
    /// stream gives no further events.
    #[error("the peer broke the stream's rules")]
    Decode(#[source] DecodeError),
}

/// Why a stream cannot give its transport away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DetachError {
    /// Bytes came that belong to no event yet. Nothing that was read before a TLS
    /// handshake may be believed after it (RFC 6120 §5.4.3.3): close the connection.
    #[error("{0} bytes came before the TLS handshake, maybe injected; close the connection")]
    Unread(usize),
    /// Output is still queued: flush first.
    #[error("{0} bytes are still to be written; flush first")]
    Unsent(usize),
}

/// An XML stream (RFC 6120 §4) over a transport.
///
/// # Output
/// [`open`](Self::open), [`send`](Self::send), [`send_bytes`](Self::send_bytes) and
/// [`end`](Self::end) only queue. [`flush`](Self::flush), and [`next`](Self::next)
/// before it waits, hand all that is queued to the transport in one write, so that a
/// stanza and the `<r/>` behind it share a segment; a partial write goes on from where
/// it stopped. (TLS takes 64 KiB at a time, and hands them down in one write.) The queue has no bound of its own: look at [`queued`](Self::queued)
/// before adding to it.
///
/// # Input
/// One read takes at most 16 KiB, and its events are given out before the next read, so
/// memory is bounded by [`Limits::stanza_bytes`] plus 16 KiB.
///
/// # Cancellation
/// Every future may be dropped at any await: no byte is lost or doubled in either
/// direction, and a new call goes on from there.
pub struct XmppStream {
    pipe: BoxTransport,
    decoder: Decoder,
    encoder: Encoder,
    output: Vec<u8>,
    /// Bytes of `output` that the transport has taken.
    written: usize,
    /// Whether the transport may hold bytes of ours that it was not told to flush.
    unflushed: bool,
    /// The stream's closing tag is queued or sent.
    ended: bool,
    /// Bytes to reserve for the next read.
    read_size: usize,
    eof: bool,
    broken: Option<DecodeError>,
}

impl fmt::Debug for XmppStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("XmppStream")
            .field("security", self.security())
            .field("queued", &self.queued())
            .field("unread", &self.decoder.pending())
            .finish_non_exhaustive()
    }
}

impl XmppStream {
    /// A stream that has neither sent nor read a header. `limits` are for what is read;
    /// what is sent starts from [`Limits::default`].
    #[must_use]
    pub fn new(pipe: BoxTransport, limits: Limits) -> Self {
        Self {
            pipe,
            decoder: Decoder::new(limits),
            encoder: Encoder::new(Scope::client(), Limits::default()),
            output: Vec::new(),
            written: 0,
            unflushed: false,
            ended: false,
            read_size: READ_MIN,
            eof: false,
            broken: None,
        }
    }

    /// What protects the transport.
    #[must_use]
    pub fn security(&self) -> &Security {
        self.pipe.security()
    }

    /// Replaces the limits on what is read, from the next stanza on: a server allows
    /// little before authentication.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.decoder.set_limits(limits);
    }

    /// Replaces the limits on what is sent, as announced by the peer (XEP-0478).
    pub const fn set_send_limits(&mut self, limits: Limits) {
        self.encoder.set_limits(limits);
    }

    /// Queues a stream header; what follows is encoded inside it.
    pub fn open(&mut self, header: &StreamHeader) {
        self.compact();
        self.encoder.open(header, &mut self.output);
    }

    /// Queues an element. After [`end`](Self::end) nothing is queued any more.
    ///
    /// # Errors
    /// [`EncodeError`] if the send limits forbid it; nothing is queued then.
    pub fn send(&mut self, element: &Element) -> Result<(), EncodeError> {
        if self.ended {
            return Ok(());
        }
        self.compact();
        self.encoder.element(element, &mut self.output)
    }

    /// Queues whole stanzas that are encoded already, as they stand inside a stream
    /// of `jabber:client`. They are not checked. After [`end`](Self::end) nothing is
    /// queued any more.
    pub fn send_bytes(&mut self, whole_stanzas: &[u8]) {
        if self.ended {
            return;
        }
        self.compact();
        self.output.extend_from_slice(whole_stanzas);
    }

    /// Queues the stream's closing tag, once. Go on reading until
    /// [`StreamEvent::Close`]: the peer may still have stanzas to send (RFC 6120 §4.4).
    pub fn end(&mut self) {
        if !self.ended {
            self.compact();
            self.encoder.close(&mut self.output);
            self.ended = true;
        }
    }

    /// Bytes that are queued and that the transport has not taken: the caller's measure
    /// for back pressure.
    #[must_use]
    pub const fn queued(&self) -> usize {
        self.output.len() - self.written
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
    /// [`StreamFault::Decode`].
    pub fn try_next(&mut self) -> Result<Option<StreamEvent>, StreamFault> {
        if let Some(error) = &self.broken {
            return Err(StreamFault::Decode(error.clone()));
        }
        self.decoder.next_event().map_err(|error| {
            self.broken = Some(error.clone());
            StreamFault::Decode(error)
        })
    }

    /// What was read and belongs to no event yet. After a [`StreamFault::Decode`] it
    /// begins where the fault is, or before.
    pub fn unread(&mut self) -> &[u8] {
        self.decoder.buffer_mut()
    }

    /// Waits for a new stream header, as after SASL (RFC 6120 §6.4.6). The transport,
    /// what is queued and what was read stay.
    pub fn reset(&mut self) {
        self.decoder.reset();
    }

    /// Gives the transport away, for a TLS handshake over it.
    ///
    /// # Errors
    /// [`DetachError`] if bytes were read that belong to no event, or are still to be
    /// written. The connection is then dropped.
    pub fn into_transport(self) -> Result<BoxTransport, DetachError> {
        let unread = self.decoder.pending();
        if unread > 0 {
            return Err(DetachError::Unread(unread));
        }
        if self.queued() > 0 || self.unflushed {
            return Err(DetachError::Unsent(self.queued()));
        }
        Ok(self.pipe)
    }

    /// Queues the closing tag if need be, writes all that is queued, and shuts the
    /// sending half down. To hear the peer's last stanzas, [`end`](Self::end) first and
    /// read until [`StreamEvent::Close`].
    ///
    /// # Errors
    /// [`StreamFault::Io`].
    pub async fn close(&mut self) -> Result<(), StreamFault> {
        self.end();
        self.flush().await?;
        let shut = poll_fn(|cx| Pin::new(&mut self.pipe).poll_shutdown(cx)).await;
        match shut {
            // The peer was faster.
            Err(e) if e.kind() == io::ErrorKind::NotConnected => Ok(()),
            other => other.map_err(StreamFault::Io),
        }
    }

    /// Drops the written front of the queue before more is added behind it.
    fn compact(&mut self) {
        if self.written > 0 {
            self.output.drain(..self.written);
            self.written = 0;
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.queued() > 0 {
            let rest = &self.output[self.written..];
            let n = ready!(Pin::new(&mut self.pipe).poll_write(cx, rest))?;
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.written += n;
            self.unflushed = true;
        }
        self.written = 0;
        self.output.clear();
        if self.output.capacity() > QUEUE_KEPT {
            self.output = Vec::new();
        }
        if self.unflushed {
            ready!(Pin::new(&mut self.pipe).poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<StreamEvent, StreamFault>> {
        if let Some(event) = self.try_next()? {
            return Poll::Ready(Ok(event));
        }
        let write_error = match self.poll_flush(cx) {
            Poll::Ready(Err(error)) => Some(error),
            _ => None,
        };
        loop {
            match self.poll_read(cx) {
                Poll::Ready(Ok(0)) => {
                    let bytes = self.decoder.pending();
                    return Poll::Ready(Err(match (bytes, write_error) {
                        (0, None) => StreamFault::Closed,
                        (0, Some(error)) => StreamFault::Io(error),
                        _ => StreamFault::Truncated { bytes },
                    }));
                }
                Poll::Ready(Ok(_)) => {
                    if let Some(event) = self.try_next()? {
                        return Poll::Ready(Ok(event));
                    }
                }
                Poll::Ready(Err(error)) => {
                    return Poll::Ready(Err(StreamFault::Io(write_error.unwrap_or(error))));
                }
                Poll::Pending => {
                    return write_error.map_or(Poll::Pending, |error| {
                        Poll::Ready(Err(StreamFault::Io(error)))
                    });
                }
            }
        }
    }

    /// One read into the decoder's buffer; 0 at the end of input.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.eof {
            return Poll::Ready(Ok(0));
        }
        let buffer = self.decoder.buffer_mut();
        buffer.reserve(self.read_size);
        let mut portion = buffer.limit(self.read_size);
        let n = ready!(pin!(self.pipe.read_buf(&mut portion)).poll(cx))?;
        self.eof = n == 0;
        self.read_size = if n == self.read_size {
            (n * 2).min(READ_MAX)
        } else {
            self.read_size.min((n * 2).max(READ_MIN))
        };
        Poll::Ready(Ok(n))
    }
}

//! The framing of RFC 6120 §4: one XML document in each direction, over any bytes.

use std::future::Future as _;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::BufMut as _;
use stanchion_stanza::codec::{DecodeError, EncodeError};
use stanchion_stanza::stream::StreamHeader;
use stanchion_stanza::{Decoder, Element, Encoder, Limits, Scope, StreamEvent};
use tokio::io::{AsyncReadExt as _, AsyncWrite as _};

use super::fault::{DetachError, StreamFault};
use super::stamp::Stamp;
use crate::pipe::BoxTransport;

/// The most that one read takes from the transport, in bytes.
const READ_MAX: usize = 16 * 1024;
/// What a quiet connection reserves for its next read, in bytes.
const READ_MIN: usize = 2 * 1024;
/// An output queue that grew beyond this gives its memory back once it is empty.
const QUEUE_KEPT: usize = 64 * 1024;
/// How much is shown of what is no XMPP, in characters.
const SHOWN: usize = 100;

/// A document in each direction.
pub(super) struct Document {
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
    /// Whether the peer has shown that it speaks XMPP.
    greeted: bool,
    broken: Option<Broken>,
    /// For what goes out without a sender or a recipient.
    stamp: Option<Stamp>,
}

/// Input that is no XMPP.
struct Broken {
    error: DecodeError,
    /// The first line, if it is a web server's.
    web_server: Option<String>,
}

impl Broken {
    fn fault(&self) -> StreamFault {
        match self.web_server.clone() {
            Some(line) => StreamFault::WebServer { line },
            None => StreamFault::Decode(self.error.clone()),
        }
    }
}

impl Document {
    pub(super) fn new(pipe: BoxTransport, limits: Limits) -> Self {
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
            greeted: false,
            broken: None,
            stamp: None,
        }
    }

    pub(super) const fn pipe(&self) -> &BoxTransport {
        &self.pipe
    }

    pub(super) fn rest(&mut self) -> &[u8] {
        self.decoder.buffer_mut()
    }

    pub(super) fn unread(&self) -> usize {
        self.decoder.pending()
    }

    pub(super) const fn set_limits(&mut self, limits: Limits) {
        self.decoder.set_limits(limits);
    }

    pub(super) const fn set_send_limits(&mut self, limits: Limits) {
        self.encoder.set_limits(limits);
    }

    pub(super) fn open(&mut self, header: &StreamHeader) {
        self.compact();
        self.encoder.open(header, &mut self.output);
    }

    pub(super) fn send(&mut self, element: &Element) -> Result<(), EncodeError> {
        if self.ended {
            return Ok(());
        }
        self.compact();
        let Some(stamp) = &self.stamp else {
            return self.encoder.element(element, &mut self.output);
        };
        stamp.put(&self.encoder.to_bytes(element)?, &mut self.output);
        Ok(())
    }

    pub(super) fn of_component(&mut self, stamp: Stamp) {
        self.decoder.of_component();
        self.encoder.set_scope(Scope::client());
        self.stamp = Some(stamp);
    }

    pub(super) fn send_bytes(&mut self, whole_stanzas: &[u8]) {
        if self.ended {
            return;
        }
        self.compact();
        match &self.stamp {
            Some(stamp) => stamp.put(whole_stanzas, &mut self.output),
            None => self.output.extend_from_slice(whole_stanzas),
        }
    }

    /// Whether this was the first call.
    pub(super) fn end(&mut self) -> bool {
        let first = !self.ended;
        if first {
            self.compact();
            self.encoder.close(&mut self.output);
            self.ended = true;
        }
        first
    }

    pub(super) const fn is_flushed(&self) -> bool {
        self.queued() == 0 && !self.unflushed
    }

    pub(super) const fn queued(&self) -> usize {
        self.output.len() - self.written
    }

    pub(super) fn try_next(&mut self) -> Result<Option<StreamEvent>, StreamFault> {
        if let Some(broken) = &self.broken {
            return Err(broken.fault());
        }
        // Looked at first, for a page's opening tag is gone once it is refused.
        let web_server = match self.greeted {
            true => None,
            false => web_server(self.decoder.buffer_mut()),
        };
        match self.decoder.next_event() {
            Ok(event) => {
                self.greeted |= event.is_some();
                Ok(event)
            }
            Err(error) => {
                let broken = Broken { error, web_server };
                let fault = broken.fault();
                self.broken = Some(broken);
                Err(fault)
            }
        }
    }

    pub(super) fn reset(&mut self) {
        self.decoder.reset();
    }

    pub(super) fn into_transport(self) -> Result<BoxTransport, DetachError> {
        let unread = self.decoder.pending();
        if unread > 0 {
            return Err(DetachError::Unread(unread));
        }
        if !self.is_flushed() {
            return Err(DetachError::Unsent(self.queued()));
        }
        Ok(self.pipe)
    }

    /// Writes all that is queued, then shuts the sending half down.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_flush(cx))?;
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }

    /// Drops the written front of the queue before more is added behind it.
    fn compact(&mut self) {
        if self.written > 0 {
            self.output.drain(..self.written);
            self.written = 0;
        }
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
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

    pub(super) fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<StreamEvent, StreamFault>> {
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

/// The first line of what a web server says, if `input` begins so. Some answer a request
/// that they do not understand by a bare page.
fn web_server(input: &[u8]) -> Option<String> {
    let begins = |with: &[u8]| {
        let start = input.get(..with.len());
        start.is_some_and(|start| start.eq_ignore_ascii_case(with))
    };
    if ![&b"HTTP/"[..], b"<!doctype html", b"<html"]
        .into_iter()
        .any(begins)
    {
        return None;
    }
    let line = input.split(|b| matches!(b, b'\r' | b'\n')).next();
    let line = String::from_utf8_lossy(line.unwrap_or_default());
    Some(line.chars().take(SHOWN).collect())
}

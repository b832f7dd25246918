//! The pipe: bytes in both directions plus what protects them, and its plaintext kind
//! over any byte stream. The TLS kind is in `tls`, framing in `stream`.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::security::Security;
use crate::traffic::{Meter, Traffic};

/// A connected byte pipe, and what is known of its security.
pub trait Transport: AsyncRead + AsyncWrite + Unpin + Send {
    /// What protects the bytes. Constant for the life of the pipe: TLS makes a new one.
    fn security(&self) -> &Security;

    /// What went over the wire so far, for this pipe and the ones below it.
    fn traffic(&self) -> Traffic;
}

/// Any transport.
pub type BoxTransport = Box<dyn Transport>;

impl<T: Transport + ?Sized> Transport for Box<T> {
    fn security(&self) -> &Security {
        (**self).security()
    }

    fn traffic(&self) -> Traffic {
        (**self).traffic()
    }
}

impl fmt::Debug for dyn Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport")
            .field("security", self.security())
            .finish_non_exhaustive()
    }
}

/// A pipe without protection over any byte stream: a TCP connection, a simulated link.
/// It counts the [`Traffic`].
#[derive(Debug)]
pub struct Plain<S> {
    stream: S,
    security: Security,
    meter: Meter,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Plain<S> {
    /// Wraps a connected byte stream. One that sends small segments late (Nagle's
    /// algorithm) should be told not to: see [`tcp::accepted`](crate::tcp::accepted).
    #[must_use]
    pub fn new(stream: S) -> Self {
        Self {
            stream,
            security: Security::plaintext(),
            meter: Meter::default(),
        }
    }

    /// The same, as a [`BoxTransport`].
    #[must_use]
    pub fn boxed(stream: S) -> BoxTransport {
        Box::new(Self::new(stream))
    }

    /// The same, where this end asked for the connection and the peer has agreed: its
    /// [`Traffic`] begins with one turn.
    #[must_use]
    pub fn dialled(stream: S) -> BoxTransport {
        Box::new(Self {
            meter: Meter::dialled(),
            ..Self::new(stream)
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for Plain<S> {
    fn security(&self) -> &Security {
        &self.security
    }

    fn traffic(&self) -> Traffic {
        self.meter.traffic()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Plain<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.meter.read(buf.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Plain<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, buf))?;
        self.meter.wrote(written);
        Poll::Ready(Ok(written))
    }

    // Forwarded, so that several TLS records leave in one system call.
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, bufs))?;
        self.meter.wrote(written);
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

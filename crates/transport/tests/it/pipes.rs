//! Transports that behave as awkwardly as the contract of their traits allows, and
//! tell what was done to them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use stanchion_transport::traffic::Traffic;
use stanchion_transport::{BoxTransport, Security, Transport};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What was done to a [`Script`].
#[derive(Debug, Default)]
pub(crate) struct Log {
    /// The bytes of each call of `poll_write` or `poll_write_vectored` that was taken.
    pub(crate) writes: Vec<Vec<u8>>,
    /// The space offered in each call of `poll_read`.
    pub(crate) reads: Vec<usize>,
    /// Calls of `poll_flush` that succeeded.
    pub(crate) flushes: usize,
    /// Calls of `poll_shutdown`.
    pub(crate) shutdowns: usize,
}

impl Log {
    pub(crate) fn written(&self) -> Vec<u8> {
        self.writes.concat()
    }
}

pub(crate) type SharedLog = Arc<Mutex<Log>>;

/// A pipe that reads a script and records what is written.
#[derive(Debug, Default)]
pub(crate) struct Script {
    /// What is read, front first.
    pub(crate) input: VecDeque<u8>,
    /// Whether input ends after that; else more never comes.
    pub(crate) ends: bool,
    /// The most bytes of one read; 0 for no bound.
    pub(crate) read_step: usize,
    /// The most bytes of one write; 0 for no bound.
    pub(crate) write_step: usize,
    /// Whether every other call says that it is not ready, and wakes.
    pub(crate) hesitates: bool,
    /// How many bytes are taken before the peer is gone: then writes and shutdowns fail.
    pub(crate) takes: Option<usize>,
    /// Which of read, write and flush has just said that it is not ready.
    pub(crate) hesitated: [bool; 3],
    pub(crate) log: SharedLog,
    pub(crate) security: Security,
}

impl Script {
    pub(crate) fn reading(input: impl AsRef<[u8]>) -> Self {
        Self {
            input: input.as_ref().iter().copied().collect(),
            ..Self::default()
        }
    }

    pub(crate) fn ending(input: impl AsRef<[u8]>) -> Self {
        Self {
            ends: true,
            ..Self::reading(input)
        }
    }

    pub(crate) fn boxed(self) -> (BoxTransport, SharedLog) {
        let log = Arc::clone(&self.log);
        (Box::new(self), log)
    }

    fn hesitate(&mut self, what: usize, cx: &Context<'_>) -> bool {
        if self.hesitates {
            self.hesitated[what] = !self.hesitated[what];
            if self.hesitated[what] {
                cx.waker().wake_by_ref();
                return true;
            }
        }
        false
    }
}

fn step(wanted: usize, most: usize) -> usize {
    if most == 0 { wanted } else { wanted.min(most) }
}

impl Transport for Script {
    fn security(&self) -> &Security {
        &self.security
    }

    fn traffic(&self) -> Traffic {
        Traffic::default()
    }
}

impl AsyncRead for Script {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.hesitate(0, cx) {
            return Poll::Pending;
        }
        self.log.lock().unwrap().reads.push(buf.remaining());
        let n = step(buf.remaining().min(self.input.len()), self.read_step);
        if n == 0 && !self.ends {
            return Poll::Pending;
        }
        let bytes: Vec<u8> = self.input.drain(..n).collect();
        buf.put_slice(&bytes);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Script {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        if self.hesitate(1, cx) {
            return Poll::Pending;
        }
        let mut n = step(buf.len(), self.write_step);
        if let Some(left) = &mut self.takes {
            if *left == 0 {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            n = n.min(*left);
            *left -= n;
        }
        self.log.lock().unwrap().writes.push(buf[..n].to_vec());
        Poll::Ready(Ok(n))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.hesitate(2, cx) {
            return Poll::Pending;
        }
        self.log.lock().unwrap().flushes += 1;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.log.lock().unwrap().shutdowns += 1;
        match self.takes {
            Some(0) => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

/// Counts the writes that reach the pipe below, vectored or not.
#[derive(Debug)]
pub(crate) struct Counting {
    inner: BoxTransport,
    writes: Arc<Mutex<usize>>,
}

impl Counting {
    pub(crate) fn over(inner: BoxTransport) -> (BoxTransport, Arc<Mutex<usize>>) {
        let writes = Arc::new(Mutex::new(0));
        let counting = Self {
            inner,
            writes: Arc::clone(&writes),
        };
        (Box::new(counting), writes)
    }
}

impl Transport for Counting {
    fn security(&self) -> &Security {
        self.inner.security()
    }

    fn traffic(&self) -> Traffic {
        self.inner.traffic()
    }
}

impl AsyncRead for Counting {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncWrite for Counting {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        *self.writes.lock().unwrap() += 1;
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        *self.writes.lock().unwrap() += 1;
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}

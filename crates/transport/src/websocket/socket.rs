//! A pipe as `tungstenite` takes it: reads and writes that say `WouldBlock` where they
//! would have to wait, and have then asked for the task to be woken.

use std::io::{self, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use crate::pipe::BoxTransport;

pub(crate) struct Socket {
    pipe: BoxTransport,
    waker: Waker,
}

impl Socket {
    /// Nobody is woken before [`Socket::wake`] says whom.
    pub(crate) fn new(pipe: BoxTransport) -> Self {
        Self {
            pipe,
            waker: Waker::noop().clone(),
        }
    }

    /// Whom to wake from now on.
    pub(crate) fn wake(&mut self, cx: &Context<'_>) {
        self.waker.clone_from(cx.waker());
    }

    pub(crate) const fn pipe(&self) -> &BoxTransport {
        &self.pipe
    }

    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.pipe).poll_shutdown(cx)
    }

    fn poll<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut BoxTransport>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> io::Result<T> {
        let mut cx = Context::from_waker(&self.waker);
        match poll(Pin::new(&mut self.pipe), &mut cx) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Read for Socket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut buf = ReadBuf::new(buf);
        self.poll(|pipe, cx| pipe.poll_read(cx, &mut buf))?;
        Ok(buf.filled().len())
    }
}

impl Write for Socket {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.poll(|pipe, cx| pipe.poll_write(cx, buf))? {
            // The library takes for granted that a write makes progress.
            0 if !buf.is_empty() => Err(io::ErrorKind::WriteZero.into()),
            n => Ok(n),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.poll(|pipe, cx| pipe.poll_flush(cx))
    }
}

//! A page that is open: the board writes at one end, the browser reads at the other. What lies
//! between is bounded, in pieces and in bytes; a page that reads too slowly gets the whole
//! state once it has read what lies there, and nothing before.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Pieces that may lie between.
const PIECES: usize = 64;
/// Bytes that may lie between when one more piece is put there.
const BYTES: usize = 1024 * 1024;

/// What a page needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Everything: it is new, or was too slow.
    State,
    /// What changes.
    Changes,
}

/// The board's end.
#[derive(Debug)]
pub(super) struct Page {
    pieces: mpsc::Sender<Bytes>,
    /// Bytes that lie between.
    between: Arc<AtomicUsize>,
    need: Need,
}

/// The browser's end. It ends with the board's.
#[derive(Debug)]
pub(super) struct Feed {
    pieces: mpsc::Receiver<Bytes>,
    between: Arc<AtomicUsize>,
}

/// A page that knows nothing yet.
pub(super) fn open() -> (Page, Feed) {
    let (sender, receiver) = mpsc::channel(PIECES);
    let between = Arc::new(AtomicUsize::new(0));
    let page = Page {
        pieces: sender,
        between: Arc::clone(&between),
        need: Need::State,
    };
    let feed = Feed {
        pieces: receiver,
        between,
    };
    (page, feed)
}

impl Page {
    /// Whether somebody has it open.
    pub(super) fn is_open(&self) -> bool {
        !self.pieces.is_closed()
    }

    /// What it needs.
    pub(super) const fn need(&self) -> Need {
        self.need
    }

    /// Whether it has read all that was written.
    fn is_idle(&self) -> bool {
        self.between.load(Ordering::Relaxed) == 0
    }

    /// Whether the whole state is to be written now.
    pub(super) fn wants_state(&self) -> bool {
        self.need == Need::State && self.is_idle()
    }

    /// The whole state, of any size: nothing else lies between.
    pub(super) fn state(&mut self, state: Bytes) {
        self.need = match self.put(state) {
            true => Need::Changes,
            false => Need::State,
        };
    }

    /// Something new; left out if it needs the state, or does once there is no room.
    pub(super) fn change(&mut self, change: Bytes) {
        let room = self.between.load(Ordering::Relaxed) <= BYTES;
        if self.need == Need::Changes && !(room && self.put(change)) {
            self.need = Need::State;
        }
    }

    /// A sign of life, if there is room.
    pub(super) fn beat(&self, beat: Bytes) {
        if self.is_idle() {
            self.put(beat);
        }
    }

    fn put(&self, piece: Bytes) -> bool {
        let long = piece.len();
        self.between.fetch_add(long, Ordering::Relaxed);
        match self.pieces.try_send(piece) {
            Ok(()) => true,
            Err(TrySendError::Full(_) | TrySendError::Closed(_)) => {
                self.between.fetch_sub(long, Ordering::Relaxed);
                false
            }
        }
    }
}

impl Body for Feed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let piece = std::task::ready!(self.pieces.poll_recv(context));
        Poll::Ready(piece.map(|piece| {
            self.between.fetch_sub(piece.len(), Ordering::Relaxed);
            Ok(Frame::data(piece))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(feed: &mut Feed) -> Bytes {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *feed).poll_frame(cx)).await;
        frame.unwrap().unwrap().into_data().unwrap()
    }

    #[tokio::test]
    async fn a_page_that_does_not_read_holds_little_and_then_gets_the_state() {
        let (mut page, mut feed) = open();
        assert!(page.wants_state());
        page.state(Bytes::from_static(b"state"));
        let piece = Bytes::from(vec![0; 100_000]);
        for _ in 0..10_000 {
            page.change(piece.clone());
        }
        assert_eq!(page.need(), Need::State);
        assert!(page.between.load(Ordering::Relaxed) <= BYTES + piece.len());
        assert!(!page.wants_state(), "what lies there is read first");
        assert_eq!(read(&mut feed).await, "state");
        while !page.wants_state() {
            read(&mut feed).await;
        }
        page.change(Bytes::from_static(b"change"));
        page.state(Bytes::from_static(b"new state"));
        assert_eq!(read(&mut feed).await, "new state");
        drop(feed);
        assert!(!page.is_open());
    }

    #[tokio::test]
    async fn many_small_pieces_are_too_many_as_well() {
        let (mut page, _feed) = open();
        page.state(Bytes::from_static(b"state"));
        for _ in 0..PIECES {
            page.change(Bytes::from_static(b"x"));
        }
        assert_eq!(page.need(), Need::State);
    }
}

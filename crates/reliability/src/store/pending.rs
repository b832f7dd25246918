//! Answers on their way: futures that need no particular runtime. Who answers
//! is each store's business.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread::JoinHandle;

use thiserror::Error;
use tokio::sync::oneshot;

use super::error::StoreError;
use super::op::Op;

/// The queue is full: [`QUEUE`](super::QUEUE) requests wait. Nothing was
/// taken; await an earlier ticket, then submit the batch again.
#[derive(Debug, Error)]
#[error("too many batches are waiting; await a ticket, then submit again")]
pub struct Busy(pub Vec<Op>);

/// An answer of a store. Dropping it cancels nothing: a submitted batch is
/// committed all the same.
///
/// Once it has answered, it answers [`StoreError::Closed`].
#[derive(Debug)]
#[must_use = "durability is known only from the answer"]
pub struct Pending<T>(State<T>);

#[derive(Debug)]
enum State<T> {
    Ready(Option<Result<T, StoreError>>),
    Waiting(oneshot::Receiver<Result<T, StoreError>>),
}

/// Answers a [`Pending`].
pub(super) type Answer<T> = oneshot::Sender<Result<T, StoreError>>;

impl<T> Pending<T> {
    pub(super) fn ready(answer: Result<T, StoreError>) -> Self {
        Self(State::Ready(Some(answer)))
    }

    pub(super) fn channel() -> (Answer<T>, Self) {
        let (answer, receiver) = oneshot::channel();
        (answer, Self(State::Waiting(receiver)))
    }

    /// The answer, if it is there: for callers without a runtime.
    pub fn try_take(&mut self) -> Option<Result<T, StoreError>> {
        let answer = match &mut self.0 {
            State::Ready(answer) => answer.take().unwrap_or(Err(StoreError::Closed)),
            State::Waiting(receiver) => match receiver.try_recv() {
                Ok(answer) => answer,
                Err(oneshot::error::TryRecvError::Empty) => return None,
                Err(oneshot::error::TryRecvError::Closed) => Err(StoreError::Closed),
            },
        };
        self.0 = State::Ready(None);
        Some(answer)
    }
}

// No field is ever pinned.
impl<T> Unpin for Pending<T> {}

impl<T> Future for Pending<T> {
    type Output = Result<T, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match &mut self.0 {
            State::Ready(answer) => answer.take().unwrap_or(Err(StoreError::Closed)),
            State::Waiting(receiver) => match Pin::new(receiver).poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(answer)) => answer,
                Poll::Ready(Err(_)) => Err(StoreError::Closed),
            },
        };
        self.0 = State::Ready(None);
        Poll::Ready(answer)
    }
}

/// A store that is closing: resolves when all that was submitted is answered,
/// the file is closed and its lock released.
///
/// Dropped early, it blocks the thread until then: no writer outlives it.
#[derive(Debug)]
#[must_use = "dropping it blocks until the store is closed"]
pub struct Closing {
    pub(super) done: Pending<()>,
    pub(super) writer: Option<JoinHandle<()>>,
}

impl Closing {
    fn join(&mut self) -> Result<(), StoreError> {
        match self.writer.take().map(JoinHandle::join) {
            Some(Err(_panic)) => Err(StoreError::Closed),
            Some(Ok(())) | None => Ok(()),
        }
    }
}

impl Future for Closing {
    type Output = Result<(), StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match Pin::new(&mut self.done).poll(cx) {
            Poll::Pending => Poll::Pending,
            // The answer is the writer's last act, so this join waits for no I/O.
            Poll::Ready(answer) => Poll::Ready(self.join().and(answer)),
        }
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if self.join().is_err() {
            tracing::error!("the store's writer thread panicked");
        }
    }
}

//! The task of one open stream: reads what the neighbour says, writes what is said to it,
//! both at once, and closes as RFC 6120 §4.4 says. What anything means is not its business.

use std::future::{Future as _, pending, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{Element, Payload as _, Stanza, StreamEvent};
use stanchion_transport::{StreamFault, XmppStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use super::error::ContactError;

/// For the last words of both sides.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Something to be said.
#[derive(Debug)]
pub(super) struct Saying {
    pub(super) element: Element,
    /// Hears that it was handed to the network; dropped, that it was not, or perhaps.
    pub(super) written: Option<Written>,
}

/// Who hears what became of something that was said.
pub(super) type Written = oneshot::Sender<Result<(), ContactError>>;

/// What a stream tells.
#[derive(Debug)]
pub(super) enum Told {
    Stanza(u64, Box<Stanza>),
    /// There is room again for more to be said.
    Room,
}

/// How long what may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    pub(super) idle: Duration,
    pub(super) write: Duration,
}

enum Woken {
    Event(Result<StreamEvent, StreamFault>),
    Written,
    Saying(Option<Saying>),
    Idle,
    TooSlow,
}

/// Serves a stream until one of the two closes it.
pub(super) async fn converse(
    number: u64,
    mut stream: XmppStream,
    mut sayings: mpsc::Receiver<Saying>,
    told: mpsc::Sender<Told>,
    times: Times,
) {
    let mut waiting: Vec<Written> = Vec::new();
    let mut writing: Option<Instant> = None;
    let mut idle = Instant::now() + times.idle;
    let condition = loop {
        let woken = tokio::select! {
            woken = next(&mut stream, writing.is_some()) => woken,
            // One after the other: what is queued is bounded by the channel.
            saying = sayings.recv(), if writing.is_none() => Woken::Saying(saying),
            () = until(writing) => Woken::TooSlow,
            () = sleep_until(idle) => Woken::Idle,
        };
        if !matches!(woken, Woken::Written) {
            idle = Instant::now() + times.idle;
        }
        match woken {
            Woken::Event(Ok(StreamEvent::Element(element))) => {
                if StreamError::matches(&element) {
                    break None;
                }
                match Stanza::from_element(element) {
                    Ok(stanza) => {
                        let heard = Told::Stanza(number, Box::new(stanza));
                        if told.send(heard).await.is_err() {
                            break Some(StreamCondition::SystemShutdown);
                        }
                    }
                    // One that cannot be read is left out: to answer it in the right words
                    // would take reading it.
                    Err(error) => tracing::debug!(%error, "a neighbour's stanza is left out"),
                }
            }
            Woken::Event(Ok(StreamEvent::Close)) => break None,
            Woken::Event(Ok(StreamEvent::Open(_))) => break Some(StreamCondition::InvalidXml),
            Woken::Event(Err(StreamFault::Decode(error))) => break Some(error.condition()),
            // There is nobody to say anything to.
            Woken::Event(Err(_)) | Woken::TooSlow => return,
            Woken::Saying(Some(saying)) => match stream.send(&saying.element) {
                Ok(()) => {
                    waiting.extend(saying.written);
                    writing = Some(Instant::now() + times.write);
                }
                Err(error) => tracing::warn!(%error, "a stanza is not sent"),
            },
            Woken::Written => {
                writing = None;
                for waiter in waiting.drain(..) {
                    // It may have given up.
                    let _ = waiter.send(Ok(()));
                }
                if sayings.is_empty() && told.send(Told::Room).await.is_err() {
                    break Some(StreamCondition::SystemShutdown);
                }
            }
            Woken::Saying(None) | Woken::Idle => break None,
        }
    };
    if let Some(condition) = condition {
        // Fixed and small.
        let _ = stream.send(&StreamError::new(condition).to_element());
    }
    let farewell = async {
        stream.close().await?;
        while !matches!(stream.next().await?, StreamEvent::Close) {}
        Ok::<(), StreamFault>(())
    };
    // Whatever comes of it, the stream is over.
    let _ = timeout(LAST_WORDS, farewell).await;
}

async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}

/// The next event, or, if asked for, that all is written. Nothing is kept in the future.
async fn next(stream: &mut XmppStream, until_written: bool) -> Woken {
    poll_fn(|cx| {
        if let Poll::Ready(event) = pin!(stream.next()).poll(cx) {
            return Poll::Ready(Woken::Event(event));
        }
        if until_written && stream.queued() == 0 {
            return Poll::Ready(Woken::Written);
        }
        Poll::Pending
    })
    .await
}

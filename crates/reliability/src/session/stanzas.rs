//! What a session hands to the floor above besides messages that are kept: streams that
//! come and go, and stanzas that are not kept, in their order and without a gap. Owns the
//! queue between; who reads it answers all requests.

use stanchion_stanza::payload::delivery::Place;
use stanchion_stanza::stream::StreamFeatures;
use stanchion_stanza::{FullJid, Stanza};
use tokio::sync::mpsc;

/// What waits for the reader.
const QUEUE: usize = 512;
/// The stream is not read while there is less room than this: as much as one turn of the
/// driver brings, and the beginning and end of a stream.
const ROOM: usize = 256;

/// What happens on a session's streams.
#[derive(Debug)]
#[non_exhaustive]
pub enum Inflow {
    /// A stream is up.
    Up(Box<Up>),
    /// It is lost. What was asked on it is still under way if the next one is
    /// [resumed](Up::resumed).
    Down,
    /// Presence, a request, an answer, or a message that is not kept.
    Stanza(Box<Stanza>),
}

/// A stream that is up.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Up {
    /// Our address on it.
    pub jid: FullJid,
    /// Whether the session before goes on: nothing was lost, and presence stands.
    pub resumed: bool,
    /// What the server offers after authentication; little of it after a resumption.
    pub features: StreamFeatures,
    /// Who we are in the delivery protocol: to be announced, in presence as `<at/>` and in
    /// answers to disco#info as a form. None if it is not spoken.
    pub place: Option<Place>,
}

impl Up {
    /// A stream as it is told, for who tries a service without a session.
    #[must_use]
    pub const fn new(
        jid: FullJid,
        resumed: bool,
        features: StreamFeatures,
        place: Option<Place>,
    ) -> Self {
        Self {
            jid,
            resumed,
            features,
            place,
        }
    }
}

/// Reads what happens on a session's streams; see [`Session::start_with_stanzas`].
/// The session does not read its stream while too much waits here.
///
/// [`Session::start_with_stanzas`]: super::Session::start_with_stanzas
#[derive(Debug)]
pub struct Stanzas(mpsc::Receiver<Inflow>);

/// The driver's end.
#[derive(Debug)]
pub(super) struct Tap(Option<mpsc::Sender<Inflow>>);

impl Stanzas {
    /// The next thing; `None` once the session has ended.
    pub async fn recv(&mut self) -> Option<Inflow> {
        self.0.recv().await
    }
}

impl Tap {
    pub(super) fn new() -> (Self, Stanzas) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(Some(sender)), Stanzas(receiver))
    }

    /// Nobody reads.
    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// Whether the stream may be read.
    pub(super) fn has_room(&self) -> bool {
        self.0
            .as_ref()
            .is_none_or(|sender| sender.capacity() >= ROOM)
    }

    /// Resolves when there is room again.
    pub(super) async fn room(&self) {
        if let Some(sender) = &self.0 {
            // A reader that is gone leaves all the room there is.
            drop(sender.reserve_many(ROOM).await);
        }
    }

    /// Puts one thing on the queue. A reader that is gone, or takes nothing while stream
    /// after stream comes and goes, is given up: it then sees the end.
    pub(super) fn put(&mut self, inflow: Inflow) {
        let Some(sender) = &self.0 else {
            return;
        };
        if let Err(error) = sender.try_send(inflow) {
            if matches!(error, mpsc::error::TrySendError::Full(_)) {
                tracing::error!("who reads the session's stanzas takes none, and is given up");
            }
            self.0 = None;
        }
    }
}

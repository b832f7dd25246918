//! What one session remembers of stream management (XEP-0198): its counters, its questions,
//! and how it may be resumed. What clients say of it is heard in `nonza`; the queue that is
//! acknowledged is `outbound`'s.

use std::time::Duration;

use stanchion_stanza::payload::sm::{Ack, AckRequest};
use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{Element, Encoder, Payload as _, Text, ns};

/// Whether stanzas are acknowledged.
#[derive(Debug)]
pub(super) enum Management {
    Off,
    On(Managed),
}

/// The counters of one session; they outlive its connections.
#[derive(Debug)]
pub(super) struct Managed {
    /// Stanzas of the client that were handled; wraps at 2³².
    pub(super) handled: u32,
    /// Stanzas to the client that it acknowledged; wraps at 2³².
    acknowledged: u32,
    pub(super) resumption: Option<Resumption>,
    /// An `<r/>` is out, or ought to go out, or nothing is to be asked.
    asking: Asking,
    /// The client asked, and is to be answered with the next bytes.
    answer_due: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asking {
    No,
    /// Asked; so many stanzas were sent since.
    Asked {
        since: usize,
    },
    /// Whatever was sent, ask: is anybody there?
    Probe,
}

/// How the session may be resumed.
#[derive(Debug)]
pub(super) struct Resumption {
    pub(super) id: Text,
    /// For how long it waits for its client.
    pub(super) window: Duration,
}

impl Management {
    /// For how long the session waits for its client, if it does.
    pub(super) fn resumption(&self) -> Option<Duration> {
        match self {
            Self::Off => None,
            Self::On(state) => state.resumption.as_ref().map(|r| r.window),
        }
    }

    /// The connection is gone, and so are the questions on it.
    pub(super) const fn rewind(&mut self) {
        if let Self::On(state) = self {
            state.asking = Asking::No;
            state.answer_due = false;
        }
    }
}

impl Managed {
    /// Both counters begin at 0 (§3).
    pub(super) const fn new(resumption: Option<Resumption>) -> Self {
        Self {
            handled: 0,
            acknowledged: 0,
            resumption,
            asking: Asking::No,
            answer_due: false,
        }
    }

    /// The client asks what was handled.
    pub(super) const fn asked(&mut self) {
        self.answer_due = true;
    }

    /// The client has handled `h` stanzas of all, and was sent `most` at most since it last
    /// said so (§4, §5). How many of them that are.
    ///
    /// # Errors
    /// It acknowledges what was never sent.
    pub(super) fn acknowledge(&mut self, h: u32, most: usize) -> Result<usize, StreamError> {
        let most = u32::try_from(most).unwrap_or(u32::MAX);
        let newly = h.wrapping_sub(self.acknowledged);
        if newly > most {
            return Err(too_high(h, self.acknowledged.wrapping_add(most)));
        }
        self.acknowledged = h;
        Ok(newly as usize)
    }

    pub(super) const fn probe(&mut self) {
        self.asking = Asking::Probe;
    }

    /// Appends `<a/>` and `<r/>` as they are due, after `just_sent` stanzas of which
    /// with earlier ones `waiting` are not acknowledged. One question is out at a time.
    pub(super) fn append_requests(
        &mut self,
        just_sent: usize,
        waiting: usize,
        out: &mut Vec<u8>,
        encoder: &Encoder,
    ) {
        let mut append = |element: Element| {
            // Fixed and small.
            let _ = encoder.element(&element, out);
        };
        if std::mem::take(&mut self.answer_due) {
            append(Ack { h: self.handled }.to_element());
        }
        match &mut self.asking {
            Asking::Asked { since } => *since += just_sent,
            Asking::No if waiting == 0 || just_sent == 0 => {}
            Asking::No | Asking::Probe => {
                append(AckRequest.to_element());
                self.asking = Asking::Asked { since: 0 };
            }
        }
    }

    /// The client answered. Whether to ask again: only if more was sent since the
    /// question, lest a slow client and the hub ask each other without end.
    pub(super) fn answered(&mut self) {
        self.asking = match self.asking {
            Asking::Asked { since: 1.. } => Asking::Probe,
            _ => Asking::No,
        };
    }
}

/// §4: the client acknowledges what was never sent.
fn too_high(h: u32, sent: u32) -> StreamError {
    let detail = Element::new("handled-count-too-high", ns::SM)
        .with_attr("h", h)
        .with_attr("send-count", sent);
    let mut error = StreamError::new(StreamCondition::UndefinedCondition);
    error.application = Some(Box::new(detail));
    error
}

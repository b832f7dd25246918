//! Messages that are delivered at most once: given to a stream once or not at all, and
//! kept nowhere. Those that a stream carries are never seen here again; what the outbox
//! keeps is `sending`'s.

use std::time::Duration;

use bytes::Bytes;
use tracing::Span;

use super::management::{Carried, Unacked};
use super::{Engine, Event, Output, Refusal, Submission};
use crate::outcome::{NotDelivered, Outcome};
use crate::protection::Protection;

/// Messages that may wait for a stream.
const MOST: usize = 256;
/// Stanzas that the server may leave unacknowledged before these wait: half of what the
/// outbox allows itself, so that neither keeps the other from the stream.
const UNACKED: usize = 32;

/// A message that waits for a stream.
#[derive(Debug)]
pub(super) struct Fleeting {
    id: String,
    stanza: Bytes,
    deadline: Option<Duration>,
    protection: Protection,
    /// A stream was up that could not carry it.
    held_back: bool,
    /// Its short life is logged in there.
    span: Span,
}

impl Engine {
    /// Takes one. What becomes of it follows at once, or by its deadline.
    pub(super) fn submit_fleeting(&mut self, submission: Submission) {
        let Submission {
            id,
            to,
            stanza,
            deadline,
            protection,
            ..
        } = submission;
        if self.fleeting.len() >= MOST {
            let why = Refusal::TooManyFleeting(self.fleeting.len());
            return self.event(Event::Refused { id, why });
        }
        self.counters.accepted += 1;
        self.event(Event::Accepted { id: id.clone() });
        let span = tracing::debug_span!("message", id, %to, once = true);
        self.fleeting.push_back(Fleeting {
            span,
            id,
            stanza,
            deadline: deadline.map(|at| self.monotonic(at)),
            protection,
            held_back: false,
        });
    }

    /// Sends what can go, and ends what can wait no longer.
    pub(super) fn send_fleeting(&mut self) {
        let mut sent = false;
        for mut message in std::mem::take(&mut self.fleeting) {
            let over = message.deadline.is_some_and(|at| at <= self.now.monotonic);
            let carries = self.connected && self.outbox.stream_meets(message.protection);
            let room = self.management.unacked() < UNACKED;
            message.held_back |= self.connected && !carries;
            if carries && room && !over {
                self.management.sent(Unacked {
                    bytes: message.stanza.clone(),
                    carries: Carried::Nothing,
                    asks: message.protection,
                });
                self.outputs.push_back(Output::Transmit(message.stanza));
                self.counters.transmitted += 1;
                sent = true;
                let id = message.id;
                let outcome = Outcome::Transmitted;
                let ends = || tracing::debug!(%outcome, "it is decided");
                message.span.in_scope(ends);
                self.event(Event::Outcome { id, outcome });
            } else if over || (message.deadline.is_none() && !carries) {
                let why = match (message.held_back, over) {
                    (true, _) => NotDelivered::Unprotected,
                    (false, true) => NotDelivered::Expired,
                    (false, false) => NotDelivered::NoStream,
                };
                self.fleeting_ends(message, why);
            } else {
                self.fleeting.push_back(message);
            }
        }
        if sent {
            self.ask();
        }
    }

    /// The application takes one back. Gives whether it was here.
    pub(super) fn take_back_fleeting(&mut self, id: &str) -> bool {
        let Some(at) = self.fleeting.iter().position(|message| message.id == id) else {
            return false;
        };
        if let Some(message) = self.fleeting.remove(at) {
            self.fleeting_ends(message, NotDelivered::Cancelled);
        }
        true
    }

    fn fleeting_ends(&mut self, message: Fleeting, why: NotDelivered) {
        self.counters.not_delivered += 1;
        let outcome = Outcome::NotDelivered(why);
        let ends = || tracing::debug!(%outcome, "it is decided");
        message.span.in_scope(ends);
        let id = message.id;
        self.event(Event::Outcome { id, outcome });
    }

    /// When the first of them can wait no longer.
    pub(super) fn fleeting_due(&self) -> Option<Duration> {
        let deadlines = self.fleeting.iter().filter_map(|message| message.deadline);
        deadlines.min()
    }
}

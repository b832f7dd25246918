//! The stream under the engine: what goes on it beside the outbox's messages, what a new
//! one brings, and whether it lives. The counters are `management`'s.

use std::time::Duration;

use bytes::Bytes;
use stanchion_stanza::payload::ping::Ping;
use stanchion_stanza::payload::sm::AckRequest;
use stanchion_stanza::{Element, Iq, Payload as _, Stanza, Text};

use super::management::{Carried, Unacked};
use super::{Engine, Event, Output, ReconnectReason, Stream};
use crate::protection::Protection;

/// The id of pings.
pub(super) const PROBE: &str = "probe";
/// Stanzas of any kind that the server may leave unacknowledged before it is given up.
const UNACKED_MAX: usize = 1024;

impl Engine {
    /// Asks for an acknowledgement, unless one is on its way or nothing lacks it.
    pub(super) fn ask(&mut self) {
        if self.management.request() {
            self.requested_at = self.now.monotonic;
            self.nonza(&AckRequest.to_element());
        }
    }

    /// Sends a stanza that the outbox does not keep.
    pub(super) fn transmit(&mut self, element: &Element) {
        if !self.connected {
            return;
        }
        match self.encoder.to_bytes(element) {
            Ok(bytes) => {
                let bytes = Bytes::from(bytes);
                if Stanza::is_stanza(element) {
                    self.goes_out(Unacked {
                        bytes: bytes.clone(),
                        carries: Carried::Nothing,
                        asks: Protection::Any,
                    });
                }
                self.outputs.push_back(Output::Transmit(bytes));
            }
            Err(error) => tracing::warn!(%error, "a stanza was not sent"),
        }
    }

    /// A stanza is given to the stream.
    pub(super) fn goes_out(&mut self, stanza: Unacked) {
        if !self.management.is_enabled() {
            self.unproved.get_or_insert(self.now.monotonic);
        }
        self.management.sent(stanza);
    }

    /// An answer to a ping: what was sent before it has left.
    pub(super) const fn proved(&mut self) {
        self.proving = None;
    }

    /// When something is to be done about what may not leave.
    pub(super) fn proof_due(&self) -> Option<Duration> {
        match (self.proving, self.unproved) {
            (Some(sent), _) => Some(sent + self.config.probe_after + self.config.dead_after),
            (None, Some(since)) => Some(since + self.config.probe_after),
            (None, None) => None,
        }
    }

    pub(super) fn nonza(&mut self, element: &Element) {
        // Fixed shapes, far below every limit.
        if let Ok(bytes) = self.encoder.to_bytes(element) {
            self.outputs.push_back(Output::Transmit(bytes.into()));
        }
    }

    pub(super) fn stream_ready(&mut self, stream: Stream, protection: Protection) {
        self.connected = true;
        self.outbox.stream_is(protection);
        self.outbox.begins_anew(self.now.monotonic);
        self.pinged = false;
        (self.unproved, self.proving) = (None, None);
        self.heard_at = self.now.monotonic;
        match stream {
            Stream::Resumed { h } => match self.management.resume(h) {
                Ok((acknowledged, again)) => {
                    self.server_accepted(acknowledged);
                    // What this stream may not carry waits for another one; the server
                    // counts from `h` on only what comes.
                    let on_it = again.iter().flat_map(|u| u.carries.seqs());
                    let mut held = self.outbox.hold_back(on_it);
                    let alone = self.poison.alone();
                    for stanza in &again {
                        let bundle = matches!(stanza.carries, Carried::Many(_));
                        for seq in stanza.carries.seqs() {
                            // Of a bundle each goes again by itself, when it is its turn.
                            let waits = bundle || alone.is_some_and(|alone| alone != seq);
                            if waits && held.insert(seq) {
                                self.outbox.wait_again(seq);
                            }
                        }
                    }
                    for stanza in again {
                        let seq = stanza.carries.seqs().next();
                        let waits = seq.is_some_and(|seq| held.contains(&seq));
                        if waits || !protection.meets(stanza.asks) {
                            continue;
                        }
                        // One that has an outcome by now need not be sent.
                        let now = self.now.monotonic;
                        let again = u64::from(seq.is_some());
                        if seq.is_none_or(|seq| self.outbox.resent(seq, now)) {
                            self.counters.transmitted += again;
                            self.counters.retransmitted += again;
                            self.outputs
                                .push_back(Output::Transmit(stanza.bytes.clone()));
                            self.goes_out(stanza);
                        }
                    }
                    self.ask();
                }
                Err(error) => self.give_up(error.into()),
            },
            Stream::Bound { managed, handled } => {
                // An impossible count tells nothing.
                let told = handled.and_then(|h| self.management.acknowledge(h).ok());
                let knows = told.is_some();
                self.server_accepted(told.unwrap_or_default());
                self.management.start(managed);
                self.resumable.forget();
                self.present.clear();
                self.outbox.stream_lost(!knows);
                self.rooms_left();
            }
        }
    }

    pub(super) fn server_accepted(&mut self, stanzas: Vec<Unacked>) {
        for seq in stanzas.iter().flat_map(|u| u.carries.seqs()) {
            self.poison.acquits(seq);
            if self.outbox.server_accepted(seq, self.now.monotonic)
                && let Some(flight) = self.outbox.get(seq)
            {
                let taken = || tracing::debug!("the server has it");
                flight.span.in_scope(taken);
                let id = flight.id.clone();
                self.event(Event::ServerAccepted { id });
            }
        }
    }

    pub(super) fn give_up(&mut self, reason: ReconnectReason) {
        if !self.connected {
            return;
        }
        self.connected = false;
        if !reason.is_resumable() {
            self.management.start(false);
            self.resumable.forget();
        }
        self.outputs.push_back(Output::Reconnect(reason));
    }

    /// Asks a quiet server whether it is there, and gives up one that does not answer.
    pub(super) fn watch_stream(&mut self) {
        let now = self.now.monotonic;
        if let Some(to) = self.outbox.moves(now) {
            tracing::info!(%to, "it cannot be reached from this server: another one is tried");
            return self.give_up(ReconnectReason::Unreachable);
        }
        if self.management.unacked() > UNACKED_MAX {
            return self.give_up(ReconnectReason::Unacknowledged(self.management.unacked()));
        }
        if self.proof_due().is_some_and(|at| at <= now) {
            if self.proving.is_some() {
                return self.fell_silent();
            }
            self.ping();
        }
        if self.awaits_life() {
            if now >= self.life_due() {
                self.fell_silent();
            }
        } else if now >= self.heard_at + self.config.probe_after {
            self.requested_at = now;
            if self.management.probe() {
                self.nonza(&AckRequest.to_element());
            } else {
                self.pinged = true;
                self.ping();
            }
        }
    }

    fn fell_silent(&mut self) {
        let time = self.config.dead_after;
        self.give_up(match self.management.is_unanswered() {
            true => ReconnectReason::SilentSinceResumed(time),
            false => ReconnectReason::Silent(time),
        });
    }

    /// To our own account: the server answers itself (XEP-0199 §4.2).
    fn ping(&mut self) {
        let ping = Iq::get(None, Text::from_static(PROBE), &Ping);
        self.transmit(&ping.to_element());
        self.unproved = None;
        self.proving = Some(self.now.monotonic);
    }
}

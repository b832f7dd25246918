//! The way out: from a submission to its outcome. The window and its timers are in
//! `outbound`, the stream's counters in `management`.

use std::time::Duration;

use bytes::Bytes;
use stanchion_stanza::payload::ping::Ping;
use stanchion_stanza::payload::sm::AckRequest;
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::{BareJid, Element, Iq, Jid, Message, Payload as _, Stanza, Text};

use super::management::Unacked;
use super::outbound::{Flight, Stage};
use super::{Effect, Engine, Event, Output, ReconnectReason, Refusal, Stream, Submission};
use crate::outcome::{InDoubt, NotDelivered, Outcome};
use crate::protection::Protection;
use crate::store::{Op, OpResult, OutboundRecord, OutboundState, Reason, WallTime};

/// Messages whose fate is unknown that a late receipt can still settle.
const DOUBTS: usize = 1024;
/// Stanzas that the server may leave unacknowledged before no more messages go out;
/// servers themselves allow 100 and more.
const UNACKED: usize = 64;
/// Stanzas of any kind that it may leave unacknowledged before it is given up.
const UNACKED_MAX: usize = 1024;
/// Unacknowledged stanzas, such as receipts, after which an acknowledgement is asked
/// for although no message went out.
const ASK_AFTER: usize = 8;

impl Engine {
    pub(super) fn submit(&mut self, submission: Submission) {
        let Submission {
            id,
            to,
            stanza,
            deadline,
            protection,
        } = submission;
        if !self.has_room() {
            return self.event(Event::Refused {
                id,
                why: Refusal::OutboxFull(self.pending),
            });
        }
        let seq = self.next_seq;
        let record = OutboundRecord {
            seq,
            id: id.clone(),
            to: to.to_string(),
            channel: String::new(),
            stanza: stanza.clone().into(),
            accepted_at: self.now.wall,
            deadline,
            protection: protection.to_number(),
            state: OutboundState::Accepted,
            attempts: 0,
            updated_at: self.now.wall,
            boot: self.identity.boot_token,
        };
        let flight = self.flight(&record, &to, stanza, Stage::Persisting, false);
        let op = Op::PutOutbound(record);
        if let Err(misuse) = op.check() {
            return self.event(Event::Refused {
                id,
                why: Refusal::Misuse(misuse),
            });
        }
        self.next_seq += 1;
        self.pending += 1;
        // Beyond the window, or behind what waits in the store, the message is read
        // back from there when its turn comes.
        if self.more_in_store || !self.window.has_room() {
            self.more_in_store = true;
            if let Some(at) = deadline.map(|d| self.monotonic(d)) {
                self.look_for_due = Some(self.look_for_due.map_or(at, |earlier| earlier.min(at)));
            }
        } else {
            self.window.insert(seq, flight);
            self.loaded_seq = seq;
        }
        self.persist(op, Effect::Accepted { seq, id });
    }

    fn flight(
        &self,
        record: &OutboundRecord,
        to: &Jid,
        stanza: Bytes,
        stage: Stage,
        inherited: bool,
    ) -> Flight {
        Flight {
            id: record.id.clone(),
            peer: to.to_bare(),
            stanza,
            accepted_at: record.accepted_at,
            deadline: record.deadline.map(|d| self.monotonic(d)),
            protection: Protection::from_number(record.protection),
            held_back: false,
            stage,
            transmissions: 0,
            inherited,
            sent_at: Duration::ZERO,
            retry_at: None,
            last_error: None,
            bounced: false,
        }
    }

    /// A wall-clock deadline on the monotonic clock, as of now.
    pub(super) fn monotonic(&self, deadline: WallTime) -> Duration {
        let left = deadline
            .as_unix_ms()
            .saturating_sub(self.now.wall.as_unix_ms());
        self.now.monotonic + Duration::from_millis(u64::try_from(left).unwrap_or(0))
    }

    pub(super) fn send_waiting(&mut self) {
        let managed = self.management.is_enabled();
        let mut sent = false;
        while self.management.unacked() < UNACKED {
            let Some((seq, bytes)) = self.window.next_to_send(self.now.monotonic, managed) else {
                break;
            };
            let again = self.window.get(seq).is_some_and(|f| f.transmissions > 1);
            self.counters.transmitted += 1;
            self.counters.retransmitted += u64::from(again);
            self.management.sent(Unacked {
                bytes: bytes.clone(),
                seq: Some(seq),
            });
            self.outputs.push_back(Output::Transmit(bytes));
            sent = true;
        }
        // In the same write as the stanzas: a write of its own costs a round trip of
        // delayed acknowledgement on some servers.
        if sent || self.management.unacked() >= ASK_AFTER {
            self.ask();
        }
    }

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
                    self.management.sent(Unacked {
                        bytes: bytes.clone(),
                        seq: None,
                    });
                }
                self.outputs.push_back(Output::Transmit(bytes));
            }
            Err(error) => tracing::warn!(%error, "a stanza was not sent"),
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
        self.window.stream_is(protection);
        self.pinged = false;
        self.heard_at = self.now.monotonic;
        match stream {
            Stream::Resumed { h } => match self.management.resume(h) {
                Ok((acknowledged, again)) => {
                    self.server_accepted(acknowledged);
                    // What this stream may not carry waits for another one; the server
                    // counts from `h` on only what comes.
                    let held = self.window.hold_back(again.iter().filter_map(|u| u.seq));
                    for stanza in again {
                        if stanza.seq.is_some_and(|seq| held.contains(&seq)) {
                            continue;
                        }
                        // One that has an outcome by now need not be sent.
                        let now = self.now.monotonic;
                        let again = u64::from(stanza.seq.is_some());
                        if stanza.seq.is_none_or(|seq| self.window.resent(seq, now)) {
                            self.counters.transmitted += again;
                            self.counters.retransmitted += again;
                            self.outputs
                                .push_back(Output::Transmit(stanza.bytes.clone()));
                            self.management.sent(stanza);
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
                self.window.stream_lost(!knows);
            }
        }
    }

    pub(super) fn server_accepted(&mut self, stanzas: Vec<Unacked>) {
        for seq in stanzas.into_iter().filter_map(|u| u.seq) {
            if self.window.server_accepted(seq, self.now.monotonic)
                && let Some(flight) = self.window.get(seq)
            {
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
        }
        self.outputs.push_back(Output::Reconnect(reason));
    }

    /// Asks a quiet server whether it is there, and gives up one that does not answer.
    pub(super) fn watch_stream(&mut self) {
        let now = self.now.monotonic;
        if self.management.unacked() > UNACKED_MAX {
            return self.give_up(ReconnectReason::Unacknowledged(self.management.unacked()));
        }
        if self.awaits_life() {
            if now >= self.life_due() {
                self.give_up(ReconnectReason::Silent(self.config.dead_after));
            }
        } else if now >= self.heard_at + self.config.probe_after {
            self.requested_at = now;
            if self.management.probe() {
                self.nonza(&AckRequest.to_element());
            } else {
                // To our own account: the server answers itself (XEP-0199 §4.2).
                self.pinged = true;
                let ping = Iq::get(None, Text::from_static("probe"), &Ping);
                self.transmit(&ping.to_element());
            }
        }
    }

    pub(super) fn expire(&mut self) {
        for seq in self.window.expired(self.now.monotonic) {
            let Some(flight) = self.window.get(seq) else {
                continue;
            };
            // Its acceptance comes first, and the deadline right after it.
            if flight.stage == Stage::Persisting {
                continue;
            }
            let outcome = match (flight.inherited, flight.transmissions) {
                (false, 0) if flight.held_back => Outcome::NotDelivered(NotDelivered::Unprotected),
                (false, 0) => Outcome::NotDelivered(NotDelivered::Expired),
                (true, 0) => Outcome::InDoubt(InDoubt::Restarted),
                _ => Outcome::InDoubt(InDoubt::NoReceipt {
                    last_error: flight.last_error,
                }),
            };
            self.settle(seq, outcome);
        }
    }

    /// The message of the window has an outcome.
    fn settle(&mut self, seq: u64, outcome: Outcome) {
        if let Some(flight) = self.window.remove(seq) {
            self.conclude(flight.id, flight.peer, outcome);
        }
    }

    pub(super) fn conclude(&mut self, id: String, peer: BareJid, outcome: Outcome) {
        self.pending = self.pending.saturating_sub(1);
        let op = Op::SetOutboundState {
            id: id.clone(),
            state: outcome.to_state(),
            at: self.now.wall,
        };
        match &outcome {
            // The one outcome that must not be forgotten: a copy could be sent after it.
            Outcome::NotDelivered(_) => {
                self.counters.not_delivered += 1;
                return self.persist(op, Effect::Report { id, outcome });
            }
            Outcome::Acknowledged { .. } => self.counters.acknowledged += 1,
            Outcome::InDoubt(_) => {
                self.counters.in_doubt += 1;
                self.doubt(id.clone(), peer);
            }
        }
        self.persist(op, Effect::None);
        self.event(Event::Outcome { id, outcome });
    }

    /// Remembers a message in doubt. The oldest ones are given up for good.
    fn doubt(&mut self, id: String, peer: BareJid) {
        if self.doubts.len() >= DOUBTS
            && let Some((id, _)) = self.doubts.pop_front()
        {
            let state = OutboundState::InDoubt {
                reason: Reason::from("no-receipt"),
                open: false,
            };
            self.persist(
                Op::SetOutboundState {
                    id,
                    state,
                    at: self.now.wall,
                },
                Effect::None,
            );
        }
        self.doubts.push_back((id, peer));
    }

    /// A receipt (XEP-0184), believed only from the account that the message went to.
    pub(super) fn receipt(&mut self, from: &Jid, id: &str) {
        let bare = from.to_bare();
        if let Some(seq) = self.window.seq_of(id) {
            if self
                .window
                .get(seq)
                .is_some_and(|f| f.peer == bare && f.maybe_sent())
            {
                self.window.sample(seq, self.now.monotonic);
                return self.settle(seq, Outcome::Acknowledged { by: from.clone() });
            }
        } else if let Some(at) = self
            .doubts
            .iter()
            .position(|(doubt, peer)| doubt == id && *peer == bare)
        {
            self.doubts.remove(at);
            self.pending += 1;
            return self.conclude(
                id.to_owned(),
                bare,
                Outcome::Acknowledged { by: from.clone() },
            );
        }
        self.counters.ignored += 1;
    }

    /// A message of ours came back (RFC 6120 §8.3).
    pub(super) fn bounce(&mut self, message: &Message) {
        let from = message.header.from.as_ref();
        let seq = message
            .header
            .id
            .as_deref()
            .and_then(|id| self.window.seq_of(id));
        let Some((seq, flight)) = seq.and_then(|seq| Some((seq, self.window.get(seq)?))) else {
            self.counters.ignored += 1;
            return;
        };
        // From the recipient, its server, or our own server on its behalf; and of a
        // message that there can be copies of.
        let credible = flight.maybe_sent()
            && from.is_none_or(|from| {
                from.to_bare() == flight.peer || from.as_str() == flight.peer.domain()
            });
        let condition = message.error().unwrap_or_default().condition;
        if !credible {
            self.counters.ignored += 1;
        } else if may_pass(condition) {
            self.window.bounced(seq, condition, self.now.monotonic);
        } else {
            self.settle(seq, Outcome::InDoubt(InDoubt::Refused(condition)));
        }
    }

    pub(super) fn accepted(&mut self, seq: u64, id: String, result: &OpResult) {
        if *result == OpResult::Done {
            self.counters.accepted += 1;
            self.window.kept(seq);
            self.event(Event::Accepted { id });
        } else {
            self.window.remove(seq);
            self.pending = self.pending.saturating_sub(1);
            self.event(Event::Refused {
                id,
                why: Refusal::Store,
            });
        }
    }

    pub(super) fn load_flight(&mut self, record: &OutboundRecord) {
        if self.window.get(record.seq).is_some() {
            return;
        }
        let Ok(to) = Jid::new(&record.to) else {
            tracing::error!(
                id = record.id,
                "the outbox holds a message to an address that is no JID"
            );
            return;
        };
        match &record.state {
            OutboundState::InDoubt { open: true, .. } => {
                // It may have become due before its turn to be loaded.
                if !self.doubts.iter().any(|(id, _)| *id == record.id) {
                    self.doubt(record.id.clone(), to.to_bare());
                }
            }
            state if state.is_final() => {}
            _ => {
                let inherited = record.seq < self.first_seq;
                let stanza = record.stanza.clone().into_bytes();
                let flight = self.flight(record, &to, stanza, Stage::Kept, inherited);
                self.window.insert(record.seq, flight);
            }
        }
    }

    /// Messages that became due while they waited in the store. What is, or was, in the
    /// window is the window's. Gives whether there was any.
    pub(super) fn due(&mut self, records: &[OutboundRecord]) -> bool {
        let before = self.pending;
        let known = self.loaded_seq;
        for record in records.iter().filter(|r| r.seq > known) {
            let Ok(to) = Jid::new(&record.to) else {
                continue;
            };
            let outcome = if record.seq < self.first_seq {
                Outcome::InDoubt(InDoubt::Restarted)
            } else if self.connected
                && !self
                    .window
                    .stream_meets(Protection::from_number(record.protection))
            {
                Outcome::NotDelivered(NotDelivered::Unprotected)
            } else {
                Outcome::NotDelivered(NotDelivered::Expired)
            };
            self.conclude(record.id.clone(), to.to_bare(), outcome);
        }
        self.pending < before
    }
}

/// Errors that sending again later can mend. Anything else stops retransmission.
const fn may_pass(condition: DefinedCondition) -> bool {
    matches!(
        condition,
        DefinedCondition::RecipientUnavailable
            | DefinedCondition::ServiceUnavailable
            | DefinedCondition::RemoteServerTimeout
            | DefinedCondition::RemoteServerNotFound
            | DefinedCondition::ResourceConstraint
            | DefinedCondition::InternalServerError
            | DefinedCondition::UnexpectedRequest
            | DefinedCondition::UndefinedCondition
    )
}

//! What the application decides about a received message: that it is committed, with or
//! without an effect in the store's transaction, or refused for good. The message's way
//! into its hands is in `receiving` and `seats`.
//!
//! The record of a handed-over message is the truth about it. The state of its channel
//! says so too, in the same transaction where no effect can fail, and else with the next
//! one: after a crash in between, the channel learns it from the record.

use stanchion_stanza::payload::delivery::{Deliver, VerdictState};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};

use super::inbound::{Origin, Seat};
use super::{Effect, Engine, Event, Fetched, Why};
use crate::delivery::Standing;
use crate::mutant;
use crate::store::{InboundKey, InboundRecord, InboundState, Op, OpResult};

impl Engine {
    /// What names a message that the application holds, in this store and for ever.
    #[must_use]
    pub fn key_of(&self, arrival: u64) -> Option<InboundKey> {
        self.inbox.origin(arrival).map(Origin::key)
    }

    /// The application is about to act on a message that an earlier process had in its
    /// hands. A place in its queue does not count: only what it begins can have ended it.
    pub(super) fn begin(&mut self, arrival: u64) {
        let unmarked = mutant::is("begin-unmarked") || mutant::is("queued-is-begun");
        let counts = self.inbox.begins(arrival) && !unmarked;
        match self.inbox.origin(arrival).filter(|_| counts) {
            Some(origin) => {
                let op = Op::MarkHanded {
                    key: origin.key(),
                    at: self.now.wall,
                };
                self.persist(op, Effect::Begun { arrival });
            }
            None => self.event(Event::Begun { arrival }),
        }
    }

    pub(super) fn commit(&mut self, arrival: u64) {
        let Some(origin) = self.inbox.take(arrival) else {
            return self.not_there(arrival);
        };
        if let Origin::Channel(seat) = &origin {
            self.conclude_seat(seat, Standing::Delivered);
        }
        let op = Op::MarkHandled {
            key: origin.key(),
            at: self.now.wall,
        };
        if mutant::is("receipt-before-commit") {
            self.committed(origin.clone());
        }
        self.persist(op, Effect::Committed { arrival, origin });
        self.hand_over_waiting();
    }

    /// The same, with an effect that may fail: the channel hears of it afterwards.
    pub(super) fn commit_with(&mut self, arrival: u64) {
        let Some(origin) = self.inbox.take(arrival) else {
            return self.not_there(arrival);
        };
        let op = Op::Apply {
            arrival,
            key: origin.key(),
            at: self.now.wall,
        };
        self.persist(op, Effect::Applied { arrival, origin });
        self.hand_over_waiting();
    }

    /// The application will never act on the message, and has not.
    pub(super) fn reject(&mut self, arrival: u64) {
        let Some(origin) = self.inbox.take(arrival) else {
            return self.not_there(arrival);
        };
        if let Origin::Channel(seat) = &origin {
            self.conclude_seat(seat, Standing::Void);
        }
        let op = Op::DropInbound { key: origin.key() };
        self.persist(op, Effect::Rejected { arrival, origin });
        self.hand_over_waiting();
    }

    /// Committed or rejected before, or of another engine.
    fn not_there(&mut self, arrival: u64) {
        self.decided_on(arrival, false);
    }

    fn decided_on(&mut self, arrival: u64, done: bool) {
        tracing::debug!(arrival, done, "the application decided about a message");
        self.event(Event::Decided { arrival, done });
    }

    /// The application's commit is durable.
    pub(super) fn commit_is_durable(&mut self, arrival: u64, origin: Origin, result: &OpResult) {
        if *result == OpResult::Done {
            self.unhandled = self.unhandled.saturating_sub(1);
        }
        self.committed(origin);
        self.decided_on(arrival, true);
    }

    /// An effect was tried.
    pub(super) fn applied(&mut self, arrival: u64, origin: Origin, result: &OpResult) {
        match result {
            OpResult::Done => {
                if let Origin::Channel(seat) = &origin {
                    self.conclude_seat(seat, Standing::Delivered);
                }
                self.commit_is_durable(arrival, origin, result);
            }
            OpResult::EffectFailed => {
                // As if it had never been tried: the application still holds it.
                self.inbox.carry(arrival, origin);
                self.decided_on(arrival, false);
            }
            _ => self.decided_on(arrival, false),
        }
    }

    /// A refusal is durable: its sender may know.
    pub(super) fn rejected(&mut self, arrival: u64, origin: Origin, result: &OpResult) {
        if *result == OpResult::Done {
            self.unhandled = self.unhandled.saturating_sub(1);
        }
        match origin {
            Origin::Plain { receipt, .. } => {
                // Who asked for a receipt hears why there is none (RFC 6120 §8.3).
                if let Some(receipt) = receipt {
                    let why = StanzaError::new(ErrorType::Cancel, DefinedCondition::NotAcceptable);
                    self.transmit(&receipt.refused(why));
                }
            }
            Origin::Channel(seat) => {
                let verdict = seat.verdict(VerdictState::Void);
                self.verdict(seat, verdict);
            }
        }
        self.decided_on(arrival, true);
    }

    /// Its sender may know that a message is committed.
    pub(super) fn committed(&mut self, origin: Origin) {
        match origin {
            Origin::Plain { receipt, .. } => {
                if let Some(receipt) = receipt {
                    self.transmit(&receipt.to_element());
                }
            }
            Origin::Channel(seat) => self.delivered(seat),
        }
    }

    // ---- after a crash --------------------------------------------------------------

    /// Asks for the records of messages that were handed over when an earlier engine
    /// ended: one that is handled was committed with its effect.
    pub(super) fn look_for_handled(&mut self) {
        for (device, channel, at) in self.correspondents.handed() {
            self.fetched.push_back(Fetched {
                device,
                channel,
                at,
                why: Why::ToSettle,
            });
        }
    }

    /// The record of such a message was read.
    pub(super) fn settle_handed(&mut self, fetched: Fetched, record: Option<InboundRecord>) {
        let Fetched {
            device,
            channel,
            at,
            ..
        } = fetched;
        let Some(record) = record.filter(|r| r.state == InboundState::Handled) else {
            return;
        };
        let Some(receiving) = self.correspondents.channel(&device, &channel) else {
            return;
        };
        let id = receiving.channel.id(at.0, at.1);
        let (Some(id), Some(Standing::Handed)) = (id, receiving.standing(at)) else {
            return;
        };
        // Of one whose payload is pruned nobody waits for an answer any more.
        let message = self.read_message(&record);
        let said = message.and_then(|m| m.payload::<Deliver>().ok()?);
        let seat = Seat {
            device: device.clone(),
            channel: channel.clone(),
            epoch: at.0,
            seq: at.1,
            id,
            boot: said.as_ref().map_or(self.boot, |said| said.boot),
        };
        self.conclude_seat(&seat, Standing::Delivered);
        if said.is_some() {
            self.answer_with(seat, VerdictState::Delivered);
        }
        self.advance(&device, &channel);
    }
}

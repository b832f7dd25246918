//! What follows from a change once it is durable: the engine hands changes to the store with
//! it, and does it when they are answered. What each of them does is the engine's.

use stanchion_stanza::payload::delivery::{Device, Epoch, Verdict};
use stanchion_stanza::{Element, Jid, Message};

use super::inbound::{Origin, Seat};
use super::management::Slot;
use super::outbox::LaneId;
use crate::outcome::Outcome;

/// What is done once an op is durable.
#[derive(Debug)]
pub(super) enum Effect {
    None,
    Accepted {
        seq: u64,
        id: String,
        /// Of its stanza.
        bytes: usize,
    },
    /// A message of the outbox has its final state.
    Concluded {
        seq: u64,
        tell: Option<(String, Outcome)>,
    },
    /// A channel is in that epoch.
    Opened(LaneId, Epoch),
    /// A recipient is that device.
    Bound(Jid),
    /// A message in doubt is left behind in its channel, as its record says.
    Left(LaneId, u64),
    /// A plain message is kept.
    Arrived {
        slot: Slot,
        message: Box<Message>,
        origin: Origin,
    },
    /// A message of a channel is kept; with the message, if it is handed over at once.
    Seated {
        slot: Slot,
        seat: Seat,
        /// Its sender does not know yet that this device speaks the protocol.
        greet: bool,
        message: Option<Box<Message>>,
    },
    /// A stanza was a copy of what is kept.
    Known(Slot),
    /// A message that was held is marked as handed over.
    HandedOver {
        seat: Seat,
        arrival: u64,
        message: Box<Message>,
    },
    /// The application may act again on a message.
    Begun {
        arrival: u64,
    },
    /// A message is gone from the inbox.
    Dropped,
    Committed {
        arrival: u64,
        origin: Origin,
    },
    /// A commit was tried, with the application's effect.
    Applied {
        arrival: u64,
        origin: Origin,
    },
    Rejected {
        arrival: u64,
        origin: Origin,
    },
    /// A verdict may leave.
    Verdict(Seat, Verdict),
    /// So may another word to a device.
    Say(Device, Box<Element>),
    Pruned,
    /// What was taken from an archive is kept.
    Archived {
        ticket: u64,
        taken: usize,
        /// What counts for the bound: a bundle has several messages.
        counted: usize,
    },
    /// What a room said while its archive was read is kept.
    Entered {
        ticket: u64,
        taken: usize,
        entered: bool,
    },
    /// The count of a stream is on record.
    Recorded {
        stream: u64,
        h: u32,
    },
}

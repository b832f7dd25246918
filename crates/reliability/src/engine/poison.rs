//! Messages that a server will not have: too big for it, or such that it ends the stream
//! each time it gets them. Without this the device would connect, send and be thrown out
//! for ever.

use stanchion_stanza::stanza::DefinedCondition;

use super::Engine;
use super::outbox::Flight;
use crate::outcome::{InDoubt, NotDelivered, Outcome};

/// Streams that may end over one message.
const ENDS: u32 = 3;

/// What the server is known not to take.
#[derive(Debug)]
pub(super) struct Poison {
    /// Bytes of a stanza, at most.
    pub(super) most_bytes: usize,
    /// It ended a stream on which several messages shared the stanza that it had not
    /// acknowledged: each goes alone from then on.
    pub(super) no_bundles: bool,
    /// The first message that the server had not acknowledged when it ended the last
    /// stream, and how many ended so.
    blamed: Option<(u64, u32)>,
}

impl Default for Poison {
    fn default() -> Self {
        Self {
            most_bytes: usize::MAX,
            no_bundles: false,
            blamed: None,
        }
    }
}

impl Poison {
    /// A message that goes alone, since two streams ended when it was the first: the next
    /// end tells whether it was this one.
    pub(super) fn alone(&self) -> Option<u64> {
        self.blamed
            .filter(|(_, ends)| *ends + 1 >= ENDS)
            .map(|(seq, _)| seq)
    }

    /// The server has a message, or it has an outcome.
    pub(super) fn acquits(&mut self, seq: u64) {
        if self.blamed.is_some_and(|(blamed, _)| blamed == seq) {
            self.blamed = None;
        }
    }
}

impl Engine {
    /// The server ends the stream, and says that what it got is to blame.
    pub(super) fn blame(&mut self) {
        self.connected = false;
        if self.management.first_is_bundle() {
            // Nobody knows which of them it was, or whether it was their company.
            self.poison.no_bundles = true;
            return;
        }
        let Some(seq) = self.management.first_message() else {
            return;
        };
        let ends = match self.poison.blamed {
            Some((blamed, ends)) if blamed == seq => ends + 1,
            _ => 1,
        };
        self.poison.blamed = Some((seq, ends));
        if ends >= ENDS {
            self.poison.blamed = None;
            tracing::error!(seq, "the server ended {ENDS} streams over one message");
            self.refuse_for_good(seq, DefinedCondition::PolicyViolation);
        }
    }

    /// A message that sending again cannot mend. If there can be copies of it, only the
    /// recipient's void tells that it takes no effect.
    pub(super) fn refuse_for_good(&mut self, seq: u64, condition: DefinedCondition) {
        let Some(flight) = self.outbox.get(seq) else {
            return;
        };
        if !flight.maybe_sent() {
            let why = NotDelivered::Refused(condition);
            return self.conclude(seq, Outcome::NotDelivered(why));
        }
        let asks = flight.place.is_some() && self.speaks(flight.lane);
        if !asks {
            return self.conclude(seq, Outcome::InDoubt(InDoubt::Refused(condition)));
        }
        let refuse = |flight: &mut Flight| flight.refused = Some(condition);
        self.outbox.change(seq, refuse);
        self.outbox.cancel(seq);
        self.report_doubt(seq, InDoubt::Refused(condition));
    }
}

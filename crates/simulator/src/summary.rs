//! What happened in runs: plain sums, so that runs can be added in any order.

use stanchion_reliability::engine::Footprint;
use stanchion_testkit::server::Mishaps;

use crate::ledger::Tally;
use crate::switch::Switch;

/// Transmissions of messages in runs of one kind.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Traffic {
    /// Messages that were accepted.
    pub accepted: u64,
    /// Transmissions of them.
    pub transmitted: u64,
}

impl Traffic {
    /// Transmissions for each message; none without messages.
    #[must_use]
    pub fn ratio(self) -> Option<f64> {
        (self.accepted > 0).then(|| self.transmitted as f64 / self.accepted as f64)
    }

    const fn add(&mut self, other: Self) {
        self.accepted += other.accepted;
        self.transmitted += other.transmitted;
    }
}

/// What happened.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Summary {
    /// Runs that came to their end.
    pub runs: u64,
    /// Messages that were given.
    pub messages: u64,
    /// Outcomes as told: delivered with the extension, acknowledged by a receipt, not
    /// delivered, in doubt.
    pub delivered: u64,
    /// See there.
    pub acknowledged: u64,
    /// See there.
    pub not_delivered: u64,
    /// See there.
    pub in_doubt: u64,
    /// In doubt, and settled later.
    pub settled_late: u64,
    /// Took effect after one of the same channel that was accepted later.
    pub overtaken: u64,
    /// Acted on again after a crash, and the application was warned.
    pub redelivered: u64,
    /// Lost with their sender's store.
    pub forgotten: u64,
    /// Effects undone with their receiver's store.
    pub undone: u64,
    /// Acted on again by a receiver that was set back.
    pub repeated: u64,
    /// Copies that receivers knew as such.
    pub duplicates: u64,
    /// Messages that went with others in a stanza.
    pub bundled: u64,
    /// Sessions resumed.
    pub resumed: u64,
    /// Traffic in runs in which nothing failed, in which one stanza in ten did, and in
    /// all others.
    pub clean: Traffic,
    /// See there.
    pub light: Traffic,
    /// See there.
    pub rough: Traffic,
    /// How often each switch did something, in the order of [`Switch::ALL`].
    pub injected: Vec<u64>,
    /// The most that any engine held.
    pub most: Footprint,
    /// Virtual time, in seconds.
    pub seconds: u64,
    /// Events of the simulation.
    pub events: u64,
}

impl Summary {
    /// A switch did something.
    pub(crate) fn count(&mut self, switch: Switch, times: u64) {
        self.injected.resize(Switch::ALL.len(), 0);
        self.injected[switch as usize] += times;
    }

    /// The largest of each.
    pub(crate) fn holds(&mut self, held: Footprint) {
        let most = &mut self.most;
        most.window = most.window.max(held.window);
        most.unacknowledged = most.unacknowledged.max(held.unacknowledged);
        most.arriving = most.arriving.max(held.arriving);
        most.handed_over = most.handed_over.max(held.handed_over);
        most.doubts = most.doubts.max(held.doubts);
        most.committing = most.committing.max(held.committing);
    }

    pub(crate) const fn tallies(&mut self, tally: Tally) {
        self.settled_late += tally.settled_late;
        self.overtaken += tally.overtaken;
        self.redelivered += tally.redelivered;
        self.forgotten += tally.forgotten;
        self.undone += tally.undone;
        self.repeated += tally.repeated;
    }

    /// What a server did.
    pub(crate) fn mishaps(&mut self, m: Mishaps) {
        for (switch, times) in [
            (Switch::AckedThenLost, m.lost),
            (Switch::ReceiptLost, m.receipts_lost),
            (Switch::Bounced, m.bounced),
            (Switch::Refused, m.refused),
            (Switch::Copies, m.copied),
            (Switch::StaleCopies, m.aside),
            (Switch::Delays, m.delayed),
            (Switch::ResumeRefused, m.failed),
            (Switch::ResumeRefusedWithCount, m.failed_with_count),
            (Switch::ResumeUnanswered, m.silent),
            (Switch::ExpiryBounced, m.expired_bounced),
            (Switch::ExpiryDropped, m.expired_dropped),
            (Switch::ShortHibernation, m.expired),
            (Switch::QueueEnds, m.overflown),
            (Switch::QueueForgets, m.forgotten),
            (Switch::OfflineWiped, m.wiped),
            (Switch::OfflineMissing, m.not_kept),
            (Switch::BodilessNotStored, m.not_storable),
            (Switch::PowerLoss, m.unsynced),
            (Switch::Poison, m.choked),
            (Switch::NoManagement, m.unmanaged),
            (Switch::NoResumption, m.unresumable),
        ] {
            self.count(switch, times);
        }
    }

    /// Adds what happened in other runs.
    pub fn add(&mut self, other: &Self) {
        self.runs += other.runs;
        self.messages += other.messages;
        self.delivered += other.delivered;
        self.acknowledged += other.acknowledged;
        self.not_delivered += other.not_delivered;
        self.in_doubt += other.in_doubt;
        self.settled_late += other.settled_late;
        self.overtaken += other.overtaken;
        self.redelivered += other.redelivered;
        self.forgotten += other.forgotten;
        self.undone += other.undone;
        self.repeated += other.repeated;
        self.duplicates += other.duplicates;
        self.bundled += other.bundled;
        self.resumed += other.resumed;
        self.clean.add(other.clean);
        self.light.add(other.light);
        self.rough.add(other.rough);
        for (at, times) in other.injected.iter().enumerate() {
            if let Some(switch) = Switch::ALL.get(at) {
                self.count(*switch, *times);
            }
        }
        self.holds(other.most);
        self.seconds += other.seconds;
        self.events += other.events;
    }
}

//! What a receiver keeps of one channel of one sending device: which seqs it knows, and
//! the verdict on each. Constant size, no clock, no I/O. Who may speak for the device is
//! `engine`'s; what the store keeps of it is in `record`.

use stanchion_stanza::payload::delivery::{Boot, Epoch, IdPrefix, MAX_SEQ, Verdict, VerdictState};

use crate::mutant;

/// Seqs from `low` on that have a slot: as many as a sender transmits, who says its `low`
/// along with each.
pub const SPAN: u64 = 136;
/// Epochs of a channel that are remembered.
pub const EPOCHS: usize = 4;
/// Boot tokens of an epoch that are remembered; beyond them `known` is always true.
pub const BOOTS: usize = 8;

/// Where a seq stands at its receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Standing {
    /// Durable, and waits for its predecessors or for room.
    Held,
    /// Given to the application, which may or may not have acted: never voided.
    Handed,
    /// Committed. Final.
    Delivered,
    /// Never handed over, and never will be. Final.
    Void,
    /// Given to the application several times without a commit, and given up: it may
    /// have taken effect. Final.
    Maybe,
}

impl Standing {
    /// Whether it never changes again.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(self, Self::Delivered | Self::Void | Self::Maybe)
    }

    /// What an answer says of it; nothing while it is held.
    #[must_use]
    pub const fn verdict(self) -> Option<VerdictState> {
        match self {
            Self::Held => None,
            Self::Handed => Some(VerdictState::Handed),
            Self::Delivered => Some(VerdictState::Delivered),
            Self::Void => Some(VerdictState::Void),
            Self::Maybe => Some(VerdictState::Maybe),
        }
    }
}

/// A known seq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Slot {
    pub(super) seq: u64,
    pub(super) id: IdPrefix,
    pub(super) prev: Option<IdPrefix>,
    pub(super) standing: Standing,
}

/// Who closed an epoch first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum ClosedBy {
    /// A sender, in that process life.
    Boot(Boot),
    /// A higher epoch that was begun without closing this one here.
    Higher,
}

/// One epoch of a channel.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct KnownEpoch {
    pub(super) epoch: Epoch,
    /// Everything below has an outcome at the sender.
    pub(super) low: u64,
    /// The id of the message right below, if it had a slot.
    pub(super) before: Option<IdPrefix>,
    /// Seqs in `[low, low + SPAN)`, ascending.
    pub(super) slots: Vec<Slot>,
    pub(super) closed: Option<ClosedBy>,
    /// Boots from which something was accepted, the latest last.
    pub(super) boots: Vec<Boot>,
    /// There were more.
    pub(super) more_boots: bool,
}

/// What a message says of itself (`<d/>`), or a cancel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Coordinates {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its seq.
    pub seq: u64,
    /// The sender's `low`.
    pub low: u64,
    /// Its id.
    pub id: IdPrefix,
    /// The id of its predecessor.
    pub prev: Option<IdPrefix>,
    /// The sender's process life.
    pub boot: Boot,
}

/// What follows for the message or cancel itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Judgement {
    /// It is new: keep it. Its slot says `Held`.
    Keep,
    /// Its slot says so already, or does now; the answer is [`Standing::verdict`].
    Known(Standing),
    /// Below `low`: settled, one way or another.
    Settled,
    /// The slot is another message's.
    Other,
    /// The two sides' histories contradict each other, or the epoch is closed or unknown:
    /// the sender must open an epoch above that.
    Rotate {
        /// The highest index known here.
        above: u32,
    },
    /// Beyond what a sender may transmit: ignored.
    Beyond,
}

/// All that follows from a message or a cancel.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Ruling {
    /// For itself.
    pub judgement: Judgement,
    /// Messages that were held and never will be handed over: forget their payloads.
    pub dropped: Vec<(Epoch, u64)>,
    /// The sender has a history in this epoch that this store does not know: the store
    /// may have been restored from a backup.
    pub rolled_back: bool,
}

/// The answer to a `close`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Closing {
    /// A message was handed over and is not committed: no answer yet.
    Waits,
    /// Closed.
    Closed {
        /// Who closed it first, if a sender did.
        by: Option<Boot>,
        /// Whether anything of the asking boot was ever accepted.
        known: bool,
        /// The sender's `low`, as known here.
        low: u64,
        /// The highest index known here.
        highest: u32,
        /// Every verdict that is final.
        verdicts: Vec<Verdict>,
    },
}

/// A channel at its receiver.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReceivingChannel {
    /// Ascending, at most [`EPOCHS`].
    pub(super) epochs: Vec<KnownEpoch>,
}

impl ReceivingChannel {
    /// A message arrived.
    pub fn arrives(&mut self, at: &Coordinates) -> Ruling {
        let mut ruling = self.enter(at);
        if ruling.judgement != Judgement::Keep {
            return ruling;
        }
        if let Some(epoch) = self.epoch_mut(at.epoch) {
            epoch.record(at, Standing::Held);
        } else {
            ruling.judgement = Judgement::Beyond;
        }
        ruling
    }

    /// The sender takes a message back, whether it arrived or not.
    pub fn cancelled(&mut self, at: &Coordinates) -> Ruling {
        let mut ruling = self.enter(at);
        match ruling.judgement {
            Judgement::Keep if mutant::is("cancel-leaves-no-tombstone") => {
                ruling.judgement = Judgement::Known(Standing::Void);
            }
            Judgement::Keep => {
                if let Some(epoch) = self.epoch_mut(at.epoch) {
                    epoch.record(at, Standing::Void);
                }
                ruling.judgement = Judgement::Known(Standing::Void);
            }
            Judgement::Known(standing) => {
                let may_void = standing == Standing::Held
                    || (standing == Standing::Handed && mutant::is("void-handed"));
                if may_void {
                    if !mutant::is("cancel-without-effect") {
                        self.set(at.epoch, at.seq, Standing::Void);
                        ruling.dropped.push((at.epoch, at.seq));
                    }
                    ruling.judgement = Judgement::Known(Standing::Void);
                }
            }
            _ => {}
        }
        ruling
    }

    /// What both have in common: finds or makes the epoch, raises `low`, and compares
    /// with what is known. `Keep` says that the slot is free.
    fn enter(&mut self, at: &Coordinates) -> Ruling {
        let mut ruling = Ruling {
            judgement: Judgement::Keep,
            dropped: Vec::new(),
            rolled_back: false,
        };
        let above = self.highest();
        if self.epoch_mut(at.epoch).is_none() {
            let stale = above.is_some_and(|highest| at.epoch.index <= highest);
            if stale && !mutant::is("accept-old-epoch") {
                ruling.judgement = Judgement::Rotate {
                    above: above.unwrap_or(0),
                };
                return ruling;
            }
            ruling.rolled_back = at.low > 1;
            self.begin(at.epoch, at.low, None, &mut ruling.dropped);
        }
        let above = self.highest().unwrap_or(0);
        let Some(known) = self.epoch_mut(at.epoch) else {
            ruling.judgement = Judgement::Beyond;
            return ruling;
        };
        known.raise_low(at.low, &mut ruling.dropped);
        ruling.judgement = known.compare(at, above);
        if ruling.judgement == Judgement::Keep {
            self.moved(at, &mut ruling);
        }
        ruling
    }

    /// A message that moved to a new epoch, and that an older one has a verdict on. A
    /// closed epoch takes nothing, so only a restored store comes to this: it closed the
    /// epoch, was put back to before that, took the message there, and then heard of the
    /// new epoch, which the sender opened upon the answer that is forgotten here.
    fn moved(&mut self, at: &Coordinates, ruling: &mut Ruling) {
        let older = self.epochs.iter().filter(|known| known.epoch != at.epoch);
        let mut slots = older.flat_map(|known| &known.slots);
        let Some(standing) = slots.find(|s| s.id == at.id).map(|s| s.standing) else {
            return;
        };
        if mutant::is("forget-older-epochs") {
            return;
        }
        ruling.judgement = Judgement::Known(standing);
        // One that is handed over has its verdict in the older epoch first.
        if standing.is_final()
            && let Some(epoch) = self.epoch_mut(at.epoch)
        {
            epoch.record(at, standing);
        }
    }

    /// The sender closes an epoch.
    pub fn close(&mut self, epoch: Epoch, boot: Boot, dropped: &mut Vec<(Epoch, u64)>) -> Closing {
        let highest = self.highest().unwrap_or(0);
        if self.epoch_mut(epoch).is_none() {
            if epoch.index <= highest && !self.epochs.is_empty() {
                // Epochs begin in ascending order here and are forgotten in that order, so
                // one above the oldest was never begun: nothing of it was accepted, and
                // nothing ever is. The sender met a late message of a history that it
                // lost, or has a new store, and what it accepted since can go on. One below
                // the oldest may be forgotten, if any was: nothing can be said of what was
                // in it.
                let full = self.epochs.len() >= EPOCHS;
                let oldest = self.epochs.first().map_or(0, |known| known.epoch.index);
                let forgotten = full && epoch.index < oldest;
                return Closing::Closed {
                    by: None,
                    known: forgotten,
                    low: if forgotten { MAX_SEQ } else { 1 },
                    highest,
                    verdicts: Vec::new(),
                };
            }
            self.begin(epoch, 1, Some(ClosedBy::Boot(boot)), dropped);
        }
        let highest = self.highest().unwrap_or(0);
        let Some(known) = self.epoch_mut(epoch) else {
            return Closing::Waits;
        };
        known.close(ClosedBy::Boot(boot), dropped);
        let waits = known.slots.iter().any(|s| s.standing == Standing::Handed);
        if waits && !mutant::is("close-ignores-handed") {
            return Closing::Waits;
        }
        let by = match known.closed {
            _ if mutant::is("close-forgets-by") => Some(boot),
            Some(ClosedBy::Boot(by)) => Some(by),
            _ => None,
        };
        let finals = known.slots.iter().filter(|s| s.standing.is_final());
        let verdicts = finals.filter_map(|slot| {
            Some(Verdict {
                seq: slot.seq,
                id: slot.id,
                state: slot.standing.verdict()?,
            })
        });
        Closing::Closed {
            by,
            known: !mutant::is("close-says-unknown")
                && (known.more_boots || known.boots.contains(&boot)),
            low: known.low,
            highest,
            verdicts: if mutant::is("close-forgets-verdicts") {
                Vec::new()
            } else {
                verdicts.collect()
            },
        }
    }

    /// The next message to hand over: the first that is held and whose predecessors are
    /// handed over or final. In an `unordered` channel, any that is held.
    #[must_use]
    pub fn next(&self, unordered: bool) -> Option<(Epoch, u64)> {
        self.epochs.iter().find_map(|known| {
            let seq = known.next(unordered || mutant::is("hand-over-gaps"))?;
            Some((known.epoch, seq))
        })
    }

    /// Whether that message is the next one.
    #[must_use]
    pub fn is_next(&self, epoch: Epoch, seq: u64, unordered: bool) -> bool {
        if unordered || mutant::is("hand-over-gaps") {
            return self.standing(epoch, seq) == Some(Standing::Held);
        }
        self.next(false) == Some((epoch, seq))
    }

    /// Whether that message, which says that `low`, is missing, has nothing to wait for, and
    /// held ones wait for it.
    #[must_use]
    pub fn is_awaited(&self, epoch: Epoch, seq: u64, low: u64) -> bool {
        let known = self.epochs.iter().find(|known| known.epoch == epoch);
        known.is_some_and(|known| known.is_awaited(seq, low))
    }

    /// A message that is held is as if it had never come: its sender still has it.
    pub fn forget_held(&mut self, epoch: Epoch, seq: u64) {
        if let Some(known) = self.epoch_mut(epoch) {
            let held = |slot: &Slot| slot.seq == seq && slot.standing == Standing::Held;
            known.slots.retain(|slot| !held(slot));
        }
    }

    /// A message is given to the application.
    pub fn hand_over(&mut self, epoch: Epoch, seq: u64) {
        if self.standing(epoch, seq) == Some(Standing::Held) {
            self.set(epoch, seq, Standing::Handed);
        }
    }

    /// The application decided: it committed the message, or it never will.
    pub fn conclude(&mut self, epoch: Epoch, seq: u64, standing: Standing) {
        if matches!(
            self.standing(epoch, seq),
            Some(Standing::Handed | Standing::Held)
        ) {
            self.set(epoch, seq, standing);
        }
    }

    /// Where a seq stands, if it has a slot.
    #[must_use]
    pub fn standing(&self, epoch: Epoch, seq: u64) -> Option<Standing> {
        self.epochs
            .iter()
            .find(|known| known.epoch == epoch)?
            .slot(seq)
            .map(|slot| slot.standing)
    }

    /// Messages that were given to the application, which has not decided about them.
    pub fn handed(&self) -> impl Iterator<Item = (Epoch, u64)> {
        self.epochs.iter().flat_map(|known| {
            let handed = |slot: &&Slot| slot.standing == Standing::Handed;
            let handed = known.slots.iter().filter(handed);
            handed.map(|slot| (known.epoch, slot.seq))
        })
    }

    /// The id that is recorded for a seq.
    #[must_use]
    pub fn id(&self, epoch: Epoch, seq: u64) -> Option<IdPrefix> {
        let known = self.epochs.iter().find(|known| known.epoch == epoch)?;
        known.slot(seq).map(|slot| slot.id)
    }

    /// The highest seq that was ever recorded in the highest epoch: what comes from
    /// beyond it is the sender's newest word.
    #[must_use]
    pub fn newest(&self) -> Option<(Epoch, u64)> {
        let known = self.epochs.last()?;
        Some((known.epoch, known.slots.last().map_or(known.low, |s| s.seq)))
    }

    fn highest(&self) -> Option<u32> {
        self.epochs.last().map(|known| known.epoch.index)
    }

    fn epoch_mut(&mut self, epoch: Epoch) -> Option<&mut KnownEpoch> {
        self.epochs.iter_mut().find(|known| known.epoch == epoch)
    }

    fn set(&mut self, epoch: Epoch, seq: u64, standing: Standing) {
        if let Some(known) = self.epoch_mut(epoch)
            && let Some(slot) = known.slots.iter_mut().find(|s| s.seq == seq)
        {
            slot.standing = standing;
        }
    }

    /// A higher epoch begins. Its sender closed the lower ones; where they are open still,
    /// this store was restored, and their messages have moved or are decided.
    fn begin(
        &mut self,
        epoch: Epoch,
        low: u64,
        closed: Option<ClosedBy>,
        dropped: &mut Vec<(Epoch, u64)>,
    ) {
        if !mutant::is("higher-epoch-leaves-lower-open") {
            for lower in &mut self.epochs {
                lower.close(ClosedBy::Higher, dropped);
            }
        }
        self.epochs.push(KnownEpoch {
            epoch,
            low,
            before: None,
            slots: Vec::new(),
            closed,
            boots: Vec::new(),
            more_boots: false,
        });
        self.epochs.sort_by_key(|known| known.epoch);
        if self.epochs.len() > EPOCHS {
            self.epochs.remove(0);
        }
    }
}

impl KnownEpoch {
    fn slot(&self, seq: u64) -> Option<&Slot> {
        let at = self.slots.binary_search_by_key(&seq, |s| s.seq).ok()?;
        self.slots.get(at)
    }

    fn raise_low(&mut self, low: u64, dropped: &mut Vec<(Epoch, u64)>) {
        if low <= self.low {
            return;
        }
        self.low = low;
        self.before = low.checked_sub(1).and_then(|seq| Some(self.slot(seq)?.id));
        let below = self.slots.partition_point(|s| s.seq < low);
        for slot in self.slots.drain(..below) {
            if slot.standing == Standing::Held {
                dropped.push((self.epoch, slot.seq));
            }
        }
    }

    fn compare(&self, at: &Coordinates, above: u32) -> Judgement {
        if at.seq < self.low && !mutant::is("accept-below-low") {
            return Judgement::Settled;
        }
        if at.seq >= self.low.saturating_add(SPAN) {
            return Judgement::Beyond;
        }
        if let Some(slot) = self.slot(at.seq) {
            if slot.id != at.id && !mutant::is("ignore-other-id") {
                return Judgement::Other;
            }
            if mutant::is("forget-verdicts") && slot.standing == Standing::Delivered {
                return Judgement::Keep;
            }
            return Judgement::Known(slot.standing);
        }
        if self.closed.is_some() && !mutant::is("accept-in-closed-epoch") {
            return Judgement::Rotate { above };
        }
        // A history that forked shows in the neighbours, and the one below `low` is among
        // them: a lost history says low 3, and the present one has other messages at 1 and
        // 2; its third would take effect, and those before it never.
        let before = match at.seq.checked_sub(1) {
            _ if at.seq == self.low => self.before,
            Some(seq) => self.slot(seq).map(|slot| slot.id),
            None => None,
        };
        if let (Some(before), Some(prev)) = (before, at.prev)
            && before != prev
            && !mutant::is("ignore-prev")
        {
            return Judgement::Rotate { above };
        }
        if let Some(after) = self.slot(at.seq + 1)
            && after.prev.is_some_and(|prev| prev != at.id)
            && !mutant::is("ignore-next-prev")
        {
            return Judgement::Rotate { above };
        }
        Judgement::Keep
    }

    fn record(&mut self, at: &Coordinates, standing: Standing) {
        let place = self.slots.partition_point(|s| s.seq < at.seq);
        let slot = Slot {
            seq: at.seq,
            id: at.id,
            prev: at.prev,
            standing,
        };
        match self.slots.get_mut(place) {
            // Only a mutant gets here.
            Some(there) if there.seq == at.seq => *there = slot,
            _ => self.slots.insert(place, slot),
        }
        self.boots.retain(|boot| *boot != at.boot);
        self.boots.push(at.boot);
        if self.boots.len() > BOOTS {
            self.boots.remove(0);
            self.more_boots = true;
        }
    }

    fn close(&mut self, by: ClosedBy, dropped: &mut Vec<(Epoch, u64)>) {
        self.closed.get_or_insert(by);
        if mutant::is("close-keeps-held") {
            return;
        }
        let epoch = self.epoch;
        self.slots.retain(|slot| {
            let held = slot.standing == Standing::Held;
            if held {
                dropped.push((epoch, slot.seq));
            }
            !held
        });
    }

    fn is_awaited(&self, seq: u64, low: u64) -> bool {
        let low = self.low.max(low);
        let mut expected = low;
        let mut later = self.slots.iter().skip_while(|slot| slot.seq < low);
        let mut next = later.next();
        while let Some(slot) = next
            && slot.seq == expected
            && slot.standing != Standing::Held
        {
            expected += 1;
            next = later.next();
        }
        let held = |slot: &Slot| slot.standing == Standing::Held;
        let waits = next.is_some_and(held) || later.any(held);
        expected == seq && next.is_some_and(|slot| slot.seq > seq) && waits
    }

    fn next(&self, unordered: bool) -> Option<u64> {
        let mut expected = self.low;
        for slot in &self.slots {
            if slot.standing == Standing::Held {
                return (unordered || slot.seq == expected).then_some(slot.seq);
            }
            if slot.seq != expected && !unordered {
                return None;
            }
            expected = slot.seq + 1;
        }
        None
    }
}

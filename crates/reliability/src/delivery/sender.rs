//! What a sender keeps of one channel to one peer: the numbers of its messages, which of
//! them are open, and how an epoch ends. No clock, no I/O, no bytes: when something is
//! transmitted is `engine`'s, what the store keeps of a channel is in `record`.
//!
//! A message has a *place*, which never changes: its position in the channel, from 1.
//! The seq on the wire counts from the first place of the epoch, so opening a new epoch
//! renumbers any number of waiting messages at no cost.

use std::collections::VecDeque;

use stanchion_stanza::payload::delivery::{Boot, Epoch, IdPrefix, Verdict, VerdictState};

use super::receiver::Coordinates;
use crate::mutant;

/// Seqs from `low` on that may be transmitted; a receiver has a slot for each. A window
/// takes as long as two flushes at the receiver and one here, one after the other: with a
/// third as many the disks would set the pace, not the processors.
pub const WINDOW: u64 = 136;
/// Ends of epochs that are still to be applied to messages in the store.
pub(super) const TRIALS: usize = 8;
/// Rotations in one process life. A restore of this store takes one; a restore of the
/// peer's, or a late message of a history that this store lost, may take one more. Two
/// processes that live from one store drive each other from epoch to epoch, for ever.
pub const ROTATIONS: u32 = 4;

/// A message without a durable final state.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Open {
    /// Its place in the channel, from 1.
    pub place: u64,
    /// Its id.
    pub id: IdPrefix,
    /// The id of the message before it.
    pub prev: Option<IdPrefix>,
    /// Accepted in this process life: nobody else can know of it.
    pub born: bool,
    /// It may have been handed to a transport in this epoch.
    pub maybe_sent: bool,
    /// It has a final state, which is not durable yet.
    decided: Option<DecidedBy>,
}

/// Who decided what became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum DecidedBy {
    Peer,
    Sender,
}

impl Open {
    /// A message that is accepted or loaded.
    #[must_use]
    pub const fn new(place: u64, id: IdPrefix, prev: Option<IdPrefix>, born: bool) -> Self {
        Self {
            place,
            id,
            prev,
            born,
            maybe_sent: !born,
            decided: None,
        }
    }

    /// Whether it has a final state.
    #[must_use]
    pub const fn is_decided(&self) -> bool {
        self.decided.is_some()
    }
}

/// What the channel does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It sends.
    Open,
    /// It asks the peer to close the epoch.
    Closing,
    /// A new epoch is chosen, and not durable yet.
    Opening,
    /// Another process lives from the same store: it sends no more.
    Cloned,
}

/// What becomes of a message when an epoch ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fate {
    /// It goes on in the new epoch.
    Move,
    /// The peer committed it.
    Delivered,
    /// The peer never will.
    Void,
    /// The peer handed it over several times, in vain.
    Maybe,
    /// This store, or a copy of it, has another history: nobody can say. Final.
    RolledBack,
    /// The peer's store is another one: nobody can say. Final.
    PeerReset,
}

/// How an epoch ended, for messages that are still in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Trial {
    /// In which process life.
    pub(super) boot: Boot,
    /// It concerns places from there on: those before it were in memory, and were judged
    /// in the transaction that ended the epoch.
    pub(super) from: u64,
    /// It concerns places below.
    pub(super) below: u64,
    pub(super) end: End,
    /// It happened in this engine's life; not kept.
    pub(super) live: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum End {
    Closed {
        /// Places below had an outcome, as the peer was told.
        low: u64,
        by_this_boot: bool,
        known: bool,
        verdicts: Vec<(u64, IdPrefix, Fate)>,
    },
    Reset,
    /// There were more than are kept.
    Lost,
}

impl Trial {
    /// `born`: the message was accepted in the process life in which the epoch ended.
    /// `maybe_sent`: it may have been handed to a transport in that epoch.
    fn judge(&self, place: u64, id: IdPrefix, born: bool, maybe_sent: bool) -> Fate {
        match &self.end {
            End::Reset if born && (!maybe_sent || mutant::is("reset-moves-transmitted")) => {
                Fate::Move
            }
            End::Reset => Fate::PeerReset,
            End::Lost => Fate::RolledBack,
            End::Closed {
                low,
                by_this_boot,
                known,
                verdicts,
            } => {
                let told = verdicts.iter().find(|(p, i, _)| *p == place && *i == id);
                if let Some((_, _, fate)) = told
                    && !mutant::is("move-delivered")
                {
                    return *fate;
                }
                // Nobody can have what was never given to a transport, however high the `low`
                // that another history of this store has told.
                let unsent = !maybe_sent && !mutant::is("doubt-unsent");
                let above = place >= *low || mutant::is("move-below-low");
                let moves = if born {
                    unsent || !known || above
                } else {
                    unsent || (above && (*by_this_boot || mutant::is("move-inherited-by-others")))
                };
                if moves { Fate::Move } else { Fate::RolledBack }
            }
        }
    }
}

/// What an answer of the peer means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Heard {
    /// Nothing: it is about another epoch, another message, or another process life.
    Nothing,
    /// The message has its final state; make it durable.
    Final {
        /// Its place.
        place: u64,
        /// Delivered, void or maybe.
        fate: Fate,
    },
    /// The application has it.
    Handed {
        /// Its place.
        place: u64,
    },
    /// It came too late by the peer's clock.
    Late {
        /// Its place.
        place: u64,
    },
    /// The epoch must end: call [`SendingChannel::rotate`].
    Rotate,
}

/// What the peer said when it closed the epoch.
#[derive(Debug, Clone)]
pub struct ClosedSaid<'a> {
    /// Which epoch.
    pub epoch: Epoch,
    /// The asking boot, echoed.
    pub boot: Boot,
    /// Who closed it first.
    pub by: Option<Boot>,
    /// Whether anything of the asking boot was accepted.
    pub known: bool,
    /// `low` as the peer knows it.
    pub low: u64,
    /// The highest index that the peer knows.
    pub highest: u32,
    /// Final verdicts.
    pub verdicts: &'a [Verdict],
}

/// A channel at its sender.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SendingChannel {
    pub(super) epoch: Epoch,
    /// The place with seq 1.
    pub(super) base: u64,
    /// The place of the next message.
    pub(super) next: u64,
    /// The id of the message before it.
    pub(super) last: Option<IdPrefix>,
    /// Open messages from there on are in the store only.
    pub(super) loaded: u64,
    pub(super) trials: Vec<Trial>,
    phase: Phase,
    open: VecDeque<Open>,
    rotations: u32,
    /// One past the highest place that has an outcome without the peer.
    skipped: u64,
    /// One past the highest place of a message that left without a final state.
    left: u64,
    /// `low`, as the peer was last told.
    told: u64,
}

impl SendingChannel {
    /// A new channel, in that epoch.
    #[must_use]
    pub const fn new(epoch: Epoch) -> Self {
        Self::restored(epoch, 1, 1, 1, None, Vec::new())
    }

    pub(super) const fn restored(
        epoch: Epoch,
        base: u64,
        low: u64,
        next: u64,
        last: Option<IdPrefix>,
        trials: Vec<Trial>,
    ) -> Self {
        Self {
            epoch,
            base,
            next,
            last,
            loaded: low,
            trials,
            phase: Phase::Open,
            open: VecDeque::new(),
            rotations: 0,
            skipped: 0,
            left: 0,
            told: low,
        }
    }

    /// The epoch.
    #[must_use]
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What the channel does.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Open messages in memory, in order.
    pub fn open(&self) -> impl Iterator<Item = &Open> {
        self.open.iter()
    }

    /// How many are in memory.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether none is in memory.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Whether the store may have open messages that are not in memory.
    #[must_use]
    pub const fn has_more(&self) -> bool {
        self.loaded < self.next
    }

    /// The place of the next message.
    #[must_use]
    pub const fn next_place(&self) -> u64 {
        self.next
    }

    /// The place below which every message has a durable final state.
    #[must_use]
    pub fn low(&self) -> u64 {
        if mutant::is("low-counts-open") {
            return self.next;
        }
        let first = self
            .open
            .iter()
            .find(|open| !open.is_decided() || !mutant::is("low-counts-undurable"));
        first.map_or(self.loaded, |open| open.place)
    }

    /// The same, once every final state that there is, is durable.
    pub(super) fn low_to_be(&self) -> u64 {
        let first = self.open.iter().find(|open| !open.is_decided());
        first.map_or(self.loaded, |open| open.place)
    }

    /// A message leaves the channel without a final state: nobody who could give it one
    /// speaks the protocol.
    pub fn leaves(&mut self, place: u64) {
        self.left = self.left.max(place + 1);
    }

    /// Whether `low` has yet to pass a message that left without a final state. Until then
    /// the record is to be written with each final state, in its transaction: what is in
    /// doubt and not below `low` is open to the next process, and the peer must not have
    /// heard of a higher `low`.
    #[must_use]
    pub fn has_left(&self) -> bool {
        self.low() < self.left
    }

    /// Takes a message: gives its place and its predecessor's id. With `load` it stays in
    /// memory, which is only possible while nothing waits in the store alone.
    pub fn accept(&mut self, id: IdPrefix, load: bool) -> (u64, Option<IdPrefix>) {
        let (place, prev) = (self.next, self.last);
        self.next += 1;
        self.last = Some(id);
        if load && self.loaded == place {
            self.loaded = self.next;
            self.open.push_back(Open::new(place, id, prev, true));
        }
        (place, prev)
    }

    /// The store did not take the message after all.
    pub fn refused(&mut self, place: u64) {
        if let Some(open) = self.find(place) {
            open.decided = Some(DecidedBy::Sender);
        }
        self.durable(place);
    }

    /// An open message comes from the store; `boot` is the process life in which it was
    /// accepted. Gives what an earlier end of an epoch makes of it.
    pub fn load(
        &mut self,
        place: u64,
        id: IdPrefix,
        prev: Option<IdPrefix>,
        boot: Boot,
        this: Boot,
    ) -> Fate {
        if place < self.loaded {
            return Fate::Move;
        }
        self.loaded = place + 1;
        let mut open = Open::new(place, id, prev, boot == this);
        open.maybe_sent = true;
        let mut fate = Fate::Move;
        for trial in &self.trials {
            if (trial.from..trial.below).contains(&place) && fate == Fate::Move {
                // What was accepted in the life of the trial, and was not in memory then,
                // was never transmitted in that epoch. It is so after a crash as well:
                // judged otherwise then, a message that moved, and was delivered since,
                // would be in doubt.
                let born = boot == trial.boot;
                fate = trial.judge(place, id, born, !born);
                // Of the new epoch nothing was transmitted.
                open.maybe_sent &= !trial.live;
            }
        }
        self.open.push_back(open);
        self.settle_trials();
        fate
    }

    /// The message was never handed to a transport in this epoch, as the caller knows.
    pub fn unsent(&mut self, place: u64) {
        if let Some(open) = self.find(place) {
            open.maybe_sent = false;
        }
    }

    /// The store has no more open messages.
    pub fn loaded_all(&mut self) {
        self.loaded = self.next;
        self.settle_trials();
    }

    fn settle_trials(&mut self) {
        // Not when all are loaded: one that was delivered in the epoch that ended, and is
        // judged so here, would be sent in the new one if a crash came before its final
        // state is durable and after the channel is.
        let low = self.low();
        self.trials.retain(|trial| trial.below > low);
    }

    fn find(&mut self, place: u64) -> Option<&mut Open> {
        let at = self.open.binary_search_by_key(&place, |o| o.place).ok()?;
        self.open.get_mut(at)
    }

    /// The open message at that place, if it is in memory.
    #[must_use]
    pub fn get(&self, place: u64) -> Option<&Open> {
        let at = self.open.binary_search_by_key(&place, |o| o.place).ok()?;
        self.open.get(at)
    }

    /// Whether the message may be transmitted now.
    #[must_use]
    pub fn may_transmit(&self, place: u64) -> bool {
        let open = self.phase == Phase::Open
            || (self.phase == Phase::Closing && mutant::is("send-while-closing"));
        open && (place < self.low() + WINDOW || mutant::is("window-unbounded"))
    }

    /// The message is handed to a transport. Gives what it says of itself.
    pub fn transmit(&mut self, place: u64, boot: Boot) -> Option<Coordinates> {
        self.find(place)?.maybe_sent = true;
        self.told = self.low();
        self.coordinates(place, boot)
    }

    /// What the message says of itself, or a cancel for it.
    #[must_use]
    pub fn coordinates(&self, place: u64, boot: Boot) -> Option<Coordinates> {
        let open = self.get(place)?;
        Some(Coordinates {
            epoch: self.epoch,
            seq: self.seq(place)?,
            low: self.seq(self.low().max(self.base))?,
            id: open.id,
            prev: open.prev,
            boot,
        })
    }

    fn seq(&self, place: u64) -> Option<u64> {
        Some(place.checked_sub(self.base)? + 1)
    }

    /// A verdict came, from a JID and device that may give it.
    pub fn hear(&mut self, epoch: Epoch, boot: Boot, this: Boot, verdict: &Verdict) -> Heard {
        let Some(place) = (self.base + verdict.seq).checked_sub(1) else {
            return Heard::Nothing;
        };
        if epoch != self.epoch {
            return Heard::Nothing;
        }
        let Some(open) = self.find(place) else {
            return Heard::Nothing;
        };
        let same = open.id == verdict.id || mutant::is("answer-any-id");
        if !same || open.is_decided() {
            return Heard::Nothing;
        }
        let fate = match verdict.state {
            VerdictState::Delivered => Fate::Delivered,
            VerdictState::Void => Fate::Void,
            VerdictState::Maybe => Fate::Maybe,
            VerdictState::Handed => return Heard::Handed { place },
            VerdictState::Late => return Heard::Late { place },
            VerdictState::Settled if mutant::is("settled-is-delivered") => Fate::Delivered,
            VerdictState::Other | VerdictState::Settled => {
                return if boot == this || mutant::is("answer-any-boot") {
                    Heard::Rotate
                } else {
                    Heard::Nothing
                };
            }
        };
        open.decided = Some(DecidedBy::Peer);
        Heard::Final { place, fate }
    }

    /// The peer says that the histories contradict each other.
    #[must_use]
    pub fn hear_rotate(&self, epoch: Epoch, boot: Boot, this: Boot) -> Heard {
        if epoch == self.epoch && (boot == this || mutant::is("answer-any-boot")) {
            Heard::Rotate
        } else {
            Heard::Nothing
        }
    }

    /// Begins to close the epoch. Gives false if another process must be living from this
    /// store: then nothing more is sent.
    pub fn rotate(&mut self) -> bool {
        if self.phase != Phase::Open {
            return true;
        }
        if self.rotations == ROTATIONS {
            self.phase = Phase::Cloned;
            return false;
        }
        self.rotations += 1;
        self.phase = Phase::Closing;
        true
    }

    /// The peer closed the epoch. Gives what becomes of each message in memory; make it
    /// durable together with the channel, then call [`SendingChannel::opened`].
    pub fn closed(
        &mut self,
        said: &ClosedSaid<'_>,
        this: Boot,
        random: u32,
    ) -> Option<Vec<(u64, Fate)>> {
        if self.phase != Phase::Closing || said.epoch != self.epoch || said.boot != this {
            return None;
        }
        let place = |seq: u64| self.base.saturating_add(seq).saturating_sub(1);
        let verdicts = said.verdicts.iter().filter_map(|verdict| {
            let fate = match verdict.state {
                VerdictState::Delivered => Fate::Delivered,
                VerdictState::Void => Fate::Void,
                VerdictState::Maybe => Fate::Maybe,
                _ => return None,
            };
            Some((place(verdict.seq), verdict.id, fate))
        });
        let end = End::Closed {
            low: place(said.low),
            by_this_boot: said.by == Some(this),
            known: said.known,
            verdicts: verdicts.take(super::receiver::SPAN as usize).collect(),
        };
        Some(self.end_epoch(end, this, said.highest, random))
    }

    /// The peer's store is another one. As [`SendingChannel::closed`].
    pub fn reset(&mut self, this: Boot, random: u32) -> Vec<(u64, Fate)> {
        self.end_epoch(End::Reset, this, 0, random)
    }

    fn end_epoch(&mut self, end: End, this: Boot, highest: u32, random: u32) -> Vec<(u64, Fate)> {
        let trial = Trial {
            boot: this,
            from: self.loaded,
            below: self.next,
            end,
            live: true,
        };
        let mut fates = Vec::new();
        let base = self.open.front().map_or(self.loaded, |open| open.place);
        for open in self.open.iter_mut().filter(|open| !open.is_decided()) {
            let fate = trial.judge(open.place, open.id, open.born, open.maybe_sent);
            if fate == Fate::Move {
                // Of the new epoch nothing was transmitted.
                open.maybe_sent = false;
            } else {
                open.decided = Some(DecidedBy::Sender);
            }
            fates.push((open.place, fate));
        }
        if self.has_more() {
            self.trials.push(trial);
            if self.trials.len() > TRIALS {
                // The verdicts of the oldest are lost: nobody can say.
                let lost = self.trials.remove(0);
                if let Some(oldest) = self.trials.first_mut() {
                    oldest.from = oldest.from.min(lost.from);
                    oldest.end = End::Lost;
                }
            }
        }
        self.base = base;
        let own = self.epoch.index;
        let index = if mutant::is("epoch-index-not-raised") {
            own
        } else {
            own.max(highest).saturating_add(1)
        };
        self.epoch = Epoch { index, random };
        self.phase = Phase::Opening;
        fates
    }

    /// The new epoch is durable.
    pub fn opened(&mut self) {
        if self.phase == Phase::Opening {
            self.phase = Phase::Open;
        }
    }

    /// The sender decides about a message itself.
    pub fn decide(&mut self, place: u64) {
        if let Some(open) = self.find(place) {
            open.decided.get_or_insert(DecidedBy::Sender);
        }
    }

    /// The final state of a message is durable.
    pub fn durable(&mut self, place: u64) {
        let Ok(at) = self.open.binary_search_by_key(&place, |o| o.place) else {
            return;
        };
        if let Some(open) = self.open.remove(at)
            && open.decided != Some(DecidedBy::Peer)
        {
            self.skipped = self.skipped.max(place + 1);
        }
        self.settle_trials();
    }

    /// A message to transmit once more so that the peer learns a risen `low`: it may hold
    /// later ones back for what has an outcome here.
    pub fn tell_low(&mut self) -> Option<u64> {
        // 1 is sent, 2 is given up unsent, 3 is sent and waits at the peer for 2: `low`
        // passes 2 only when 1 is delivered, so what counts is all that it passed since
        // the peer heard of it, and not what it passed last.
        let low = self.low();
        let passed = low > self.told && self.told < self.skipped;
        if !passed || mutant::is("low-is-not-told") {
            return None;
        }
        let mut waiting = self.open.iter().filter(|o| !o.is_decided() && o.maybe_sent);
        waiting.find(|o| o.place >= low).map(|o| o.place)
    }
}

//! What really happened to each message, and the laws: every effect and every outcome
//! that is told passes through here, and what breaks a law is an `Err` that names it.

use stanchion_reliability::delivery::{Coordinates, Fate, Judgement, ReceivingChannel, Standing};
use stanchion_stanza::payload::delivery::{Boot, Epoch, IdPrefix};

pub(crate) type Checked = Result<(), String>;

/// An outcome that is final. An open `InDoubt` is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Outcome {
    Delivered,
    NotDelivered,
    MaybeApplied,
    RolledBack,
    PeerReset,
}

impl Outcome {
    pub(crate) const fn of(fate: Fate) -> Option<Self> {
        Some(match fate {
            Fate::Move => return None,
            Fate::Delivered => Self::Delivered,
            Fate::Void => Self::NotDelivered,
            Fate::Maybe => Self::MaybeApplied,
            Fate::RolledBack => Self::RolledBack,
            Fate::PeerReset => Self::PeerReset,
        })
    }
}

/// Where a message was sent: epoch, seq, predecessor.
type Sent = (Epoch, u64, Option<IdPrefix>);

/// Messages by their position, of which a run has at most [`Set::MOST`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Set([u128; 2]);

impl Set {
    const MOST: usize = 256;

    fn of(positions: impl Iterator<Item = usize>) -> Self {
        let mut set = Self::default();
        for at in positions {
            assert!(at < Self::MOST, "a message too many");
            set.0[at / 128] |= 1 << (at % 128);
        }
        set
    }

    const fn has(self, at: usize) -> bool {
        self.0[at / 128] >> (at % 128) & 1 == 1
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Message {
    /// The messages before it.
    before: Set,
    /// The one before it.
    prev: Option<IdPrefix>,
    /// Its place in the channel, in the timeline in which it was accepted.
    pub(crate) place: u64,
    /// It has had an outcome, at the sender or at the receiver, in some timeline.
    decided: bool,
    /// Durable at the sender, in the sender's present timeline.
    pub(crate) alive: bool,
    pub(crate) told: Option<Outcome>,
    /// Its deadline has passed, by whichever clock.
    pub(crate) due: bool,
    /// Effects, in the receiver's present timeline.
    effects: u8,
    ever: bool,
    committed: bool,
    /// A restore of the receiver lost what it had decided of this message: it may apply
    /// the message again, or still.
    excused: bool,
    /// A restore of the receiver opened an epoch again that it had closed, and the sender
    /// may have heard so: it may go on in the next epoch, and copies of it in this one.
    reopened: bool,
    /// The store that it was for is gone, or lost what it had decided.
    lost: bool,
    sent: Vec<Sent>,
    /// It was given to a transport, in any timeline.
    given: bool,
}

/// The effects that a backup of the receiver knows.
pub(crate) type Effects = Vec<u8>;

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    pub(crate) messages: Vec<Message>,
    pub(crate) unordered: bool,
    pub(crate) sender_restored: bool,
    /// Of either side.
    pub(crate) restores: u32,
    /// Whether `sent` is kept: only a restore of the receiver asks for it.
    pub(crate) keeps_sent: bool,
}

impl Ledger {
    /// A new message, behind those of the sender's present timeline.
    pub(crate) fn create(&mut self) -> IdPrefix {
        let last = self.messages.iter().rposition(|m| m.alive);
        let numbered = self.messages.iter().enumerate();
        let before = Set::of(numbered.filter(|(_, m)| m.alive).map(|(at, _)| at));
        self.messages.push(Message {
            before,
            prev: last.map(|at| IdPrefix::from_bits(at as u64 + 1)),
            ..Message::default()
        });
        IdPrefix::from_bits(self.messages.len() as u64)
    }

    pub(crate) fn get(&self, id: IdPrefix) -> &Message {
        &self.messages[id.bits() as usize - 1]
    }

    pub(crate) fn get_mut(&mut self, id: IdPrefix) -> &mut Message {
        &mut self.messages[id.bits() as usize - 1]
    }

    pub(crate) fn sent(&mut self, at: &Coordinates) {
        let sent = (at.epoch, at.seq, at.prev);
        self.get_mut(at.id).given = true;
        if self.keeps_sent && !self.get(at.id).sent.contains(&sent) {
            self.get_mut(at.id).sent.push(sent);
        }
    }

    /// A message takes effect. `flagged`: the application was told that it may be again.
    pub(crate) fn effect(&mut self, id: IdPrefix, flagged: bool) -> Checked {
        let message = self.get(id);
        if message.effects > 0 && !flagged && !message.reopened {
            return Err(format!("no effect twice: {id:?}"));
        }
        if message.told == Some(Outcome::NotDelivered) && !message.excused {
            return Err(format!("NotDelivered means never: {id:?} took effect"));
        }
        if message.effects == 0 && !message.excused && !self.unordered {
            let position = id.bits() as usize - 1;
            let after = |m: &Message| m.effects > 0 && m.before.has(position);
            if let Some(later) = self.messages.iter().position(after) {
                return Err(format!("first in, first out: {id:?} after {}", later + 1));
            }
            // A later one of another timeline is no successor.
            if let Some(prev) = message.prev.map(|prev| self.get(prev))
                && !(prev.ever || prev.decided || prev.excused)
            {
                return Err(format!("no gaps: {id:?} before its predecessor"));
            }
        }
        let message = self.get_mut(id);
        message.effects = message.effects.saturating_add(1);
        message.ever = true;
        Ok(())
    }

    /// The sender's `low` can pass the place of the message, and so those that stood there
    /// in timelines that are dead: what follows them goes on.
    pub(crate) fn passes(&mut self, id: IdPrefix) {
        let place = self.get(id).place;
        for other in self.messages.iter_mut().filter(|m| m.place == place) {
            other.decided |= !other.alive;
        }
        self.give_up(id);
    }

    /// The receiver will not commit it.
    pub(crate) fn give_up(&mut self, id: IdPrefix) {
        self.get_mut(id).decided = true;
    }

    pub(crate) fn commit(&mut self, id: IdPrefix) {
        self.get_mut(id).committed = true;
    }

    /// A process that accepted the message says that nobody can say what became of it.
    pub(crate) fn doubts(&self, id: IdPrefix) -> Checked {
        if self.get(id).given {
            return Ok(());
        }
        Err(format!("in doubt means sent: {id:?} never was"))
    }

    pub(crate) fn tell(&mut self, id: IdPrefix, outcome: Outcome) -> Checked {
        let message = &mut self.messages[id.bits() as usize - 1];
        match outcome {
            Outcome::Delivered if !message.committed => {
                return Err(format!("Delivered means committed: {id:?} is not"));
            }
            Outcome::NotDelivered if message.effects > 0 && !message.excused => {
                return Err(format!(
                    "NotDelivered means never: {id:?} took effect before"
                ));
            }
            _ => {}
        }
        match message.told {
            // Told, not yet durable, and lost with a crash; and the receiver cannot say it
            // again, because one of the stores was restored or replaced.
            Some(told)
                if told != outcome
                    && (told == Outcome::NotDelivered
                        || !(message.lost || self.sender_restored)) =>
            {
                return Err(format!(
                    "a final never changes: {id:?} {told:?}, {outcome:?}"
                ));
            }
            _ => message.told = Some(outcome),
        }
        self.passes(id);
        Ok(())
    }

    pub(crate) fn all_told(&self) -> bool {
        self.messages.iter().all(|m| !m.alive || m.told.is_some())
    }

    pub(crate) fn effects(&self) -> Effects {
        self.messages.iter().map(|m| m.effects).collect()
    }

    /// The receiver goes back from `now` to `then`.
    pub(crate) fn receiver_restored(
        &mut self,
        now: &ReceivingChannel,
        then: &ReceivingChannel,
        effects: &Effects,
    ) {
        self.restores += 1;
        for (at, message) in self.messages.iter_mut().enumerate() {
            let id = IdPrefix::from_bits(at as u64 + 1);
            let undone = |sent: &Sent| decided(now, sent, id) && !decided(then, sent, id);
            let reopened = |sent: &Sent| is_closed(now, sent.0) && !is_closed(then, sent.0);
            message.reopened |= message.sent.iter().any(reopened);
            if message.sent.iter().any(undone) {
                message.excused = true;
                message.lost = true;
            }
            message.effects = effects.get(at).copied().unwrap_or(0);
        }
    }

    pub(crate) fn receiver_reinstalled(&mut self) {
        for message in &mut self.messages {
            message.lost = true;
        }
    }
}

/// What the receiver would say of a copy.
fn judge(channel: &ReceivingChannel, (epoch, seq, prev): &Sent, id: IdPrefix) -> Judgement {
    let copy = Coordinates {
        epoch: *epoch,
        seq: *seq,
        low: 1,
        id,
        prev: *prev,
        boot: Boot(0),
    };
    channel.clone().arrives(&copy).judgement
}

/// Whether the receiver takes nothing more in that epoch, however high.
fn is_closed(channel: &ReceivingChannel, epoch: Epoch) -> bool {
    let ruling = channel.clone().arrives(&Coordinates {
        epoch,
        seq: 1000,
        low: 1000,
        id: IdPrefix::from_bits(0),
        prev: None,
        boot: Boot(0),
    });
    matches!(ruling.judgement, Judgement::Rotate { .. })
}

/// Whether the receiver would not hand this message over any more.
fn decided(channel: &ReceivingChannel, sent: &Sent, id: IdPrefix) -> bool {
    !matches!(
        judge(channel, sent, id),
        Judgement::Keep | Judgement::Known(Standing::Held | Standing::Handed)
    )
}

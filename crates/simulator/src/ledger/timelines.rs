//! What a device has of the messages, to go with an image of its store, and what becomes of
//! that when the store goes back to the image.

use std::collections::HashSet;

use stanchion_reliability::store::InboundKey;

use super::{Id, LOOSE, Ledger, Mark, Marks, epoch, index};
use crate::message::{Message, Revival, Told};

impl Ledger {
    /// What is durable on a device now.
    pub(crate) fn marks(&self, of: usize) -> Marks {
        let mark = |m: &Message| Mark {
            kept: m.from == of && m.kept,
            transmitted: m.from == of && m.transmitted,
            decided: m.from == of && m.decided,
            concluded: m.concluded.filter(|_| m.from == of),
            doubted: m.from == of && m.doubted,
            inbox: m.to == of && m.inbox,
            committed: m.to == of && m.committed,
            handed: m.to == of && m.handed,
            closed_up_to: m.closed_up_to.filter(|_| m.to == of),
        };
        Marks {
            messages: self.messages.iter().map(mark).collect(),
            keys: self.keys[of].clone(),
        }
    }

    /// A device's store is that of the marks again; none is an empty one.
    pub(crate) fn set_back(&mut self, of: usize, marks: Option<&Marks>, transactional: bool) {
        self.set_back[of] = true;
        self.emptied[of] |= marks.is_none();
        let none = Marks::default();
        let marks = marks.unwrap_or(&none);
        let known = std::mem::replace(&mut self.keys[of], marks.keys.clone());
        let lost = known
            .into_keys()
            .filter(|key| !marks.keys.contains_key(key));
        self.lost_keys[of].extend(lost);
        let empty = Mark::default();
        let spoke = |(at, message): (usize, &Message)| {
            let mark = marks.messages.get(at).unwrap_or(&empty);
            let told =
                message.from == of && message.spoken && mark.concluded == Some(Told::Positive);
            told.then_some(message.to)
        };
        let spoke: HashSet<usize> = self.messages.iter().enumerate().filter_map(spoke).collect();
        for (at, message) in self.messages.iter_mut().enumerate() {
            let mark = marks.messages.get(at).unwrap_or(&empty);
            if message.from == of {
                message.estranged |= message.vouched && !spoke.contains(&message.to);
                message.recalled |= message.transmitted;
                let lost = std::mem::take(&mut message.epochs);
                message.lost_epochs.extend(lost);
                // Given up unasked in the one history, and sent in the other, which did not
                // know: what is on its way from there is not called back.
                message.strayed |= mark.decided && message.transmitted && !mark.transmitted;
                message.decided = mark.decided;
                message.concluded = mark.concluded;
                message.doubted = mark.doubted;
                if mark.concluded.is_none() {
                    // Doubt that is durable is not told again.
                    message.told = if mark.doubted {
                        Told::InDoubt
                    } else {
                        Told::Nothing
                    };
                    message.settled_in = None;
                    message.doubted_in = None;
                }
                if !mark.kept && (message.submitted || message.kept) && !message.forgotten {
                    message.forgotten = true;
                    self.tally.forgotten += 1;
                }
                message.kept = mark.kept;
            }
            if message.to == of {
                message.revival = Revival::No;
                message.inbox = mark.inbox;
                message.committed = mark.committed;
                message.handed = mark.handed;
                message.void_forgotten |= message.void || message.closed;
                if message.closed_up_to > mark.closed_up_to {
                    message.closing_lost = message.closing_lost.max(message.closed_up_to);
                    message.closed_up_to = mark.closed_up_to;
                }
                if message.effect && !mark.committed {
                    if transactional {
                        message.effect = false;
                        message.undone = true;
                        self.tally.undone += 1;
                    } else {
                        message.repeatable = true;
                        message.outlived = true;
                    }
                }
            }
        }
        self.highest.clear();
        for message in &self.messages {
            if message.handed && !message.forgotten && message.channel != LOOSE {
                let channel = (message.from, message.to, message.channel);
                let highest = self.highest.entry(channel).or_default();
                *highest = (*highest).max(message.place);
            }
        }
    }

    /// Whether that copy is in an epoch that nobody knows of any more: its sender has begun
    /// it in a history that it lost, after its recipient had closed the one before in another
    /// that is lost, too. It is above all in which the recipient has had the message since.
    pub(super) fn comes_from_nowhere(&self, of: usize, id: Id, key: &InboundKey) -> bool {
        let Some((message, index_of_it)) = self.get(id).zip(index(key)) else {
            return false;
        };
        let is_lost = epoch(key).is_some_and(|epoch| message.lost_epochs.contains(epoch));
        let followed = message
            .closing_lost
            .is_some_and(|closed| closed < index_of_it);
        let mut known = self.keys[of].iter().filter(|(_, other)| **other == id);
        is_lost && followed && known.all(|(key, _)| index(key).is_some_and(|at| at < index_of_it))
    }
}

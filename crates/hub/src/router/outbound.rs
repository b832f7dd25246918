//! What a session still owes its client: the stanzas on the way to it, in order, each
//! kept until the client acknowledged it or, without stream management, until it was
//! written. When to send and what to do with what is left is `session`'s and `redirect`'s.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use super::letter::Letter;
use super::offline::StoredId;

/// A letter in one session's queue.
#[derive(Debug, Clone)]
pub(super) struct Held {
    pub(super) letter: Arc<Letter>,
    /// When the hub took it.
    pub(super) since: SystemTime,
    /// Its place in offline storage, which it keeps until it has arrived.
    pub(super) stored: Option<StoredId>,
    /// It was made for this session, and goes with it.
    pub(super) own: bool,
}

/// The queue: first what was sent, then what was not.
#[derive(Debug, Default)]
pub(super) struct Outbound {
    held: VecDeque<Held>,
    sent: usize,
    bytes: usize,
    unsent_bytes: usize,
    /// What was there when the connection was new, as far as it still is: stanzas,
    /// bytes. It is nobody's fault that it has not been read yet.
    backlog: (usize, usize),
}

impl Outbound {
    pub(super) fn push(&mut self, held: Held) {
        self.bytes += held.letter.bytes().len();
        self.unsent_bytes += held.letter.bytes().len();
        self.held.push_back(held);
    }

    /// Stanzas, sent or not.
    pub(super) fn len(&self) -> usize {
        self.held.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) const fn sent(&self) -> usize {
        self.sent
    }

    fn unsent(&self) -> usize {
        self.held.len() - self.sent
    }

    /// Whether more waits to be sent than that, not counting what waited from the
    /// connection's beginning.
    pub(super) fn exceeds(&self, stanzas: usize, bytes: usize) -> bool {
        self.unsent() - self.backlog.0 > stanzas || self.unsent_bytes - self.backlog.1 > bytes
    }

    /// Appends whole stanzas to `out` until it has `enough` bytes, and counts them as
    /// sent. How many they were.
    pub(super) fn send(&mut self, out: &mut Vec<u8>, enough: usize) -> usize {
        let before = self.sent;
        while out.len() < enough
            && let Some(held) = self.held.get(self.sent)
        {
            out.extend_from_slice(held.letter.bytes());
            self.unsent_bytes -= held.letter.bytes().len();
            self.sent += 1;
        }
        self.backlog.0 = self.backlog.0.min(self.unsent());
        self.backlog.1 = self.backlog.1.min(self.unsent_bytes);
        self.sent - before
    }

    /// The oldest `count` of those sent have arrived.
    pub(super) fn arrived(&mut self, count: usize) -> Vec<Held> {
        let count = count.min(self.sent);
        self.sent -= count;
        let arrived: Vec<_> = self.held.drain(..count).collect();
        for held in &arrived {
            held.letter.arrive();
            self.bytes -= held.letter.bytes().len();
        }
        arrived
    }

    /// Nothing counts as sent any more: another connection gets it all.
    pub(super) fn rewind(&mut self) {
        self.sent = 0;
        self.unsent_bytes = self.bytes;
        self.backlog = (self.held.len(), self.bytes);
    }

    /// The oldest `count` were sent, on a connection that is gone.
    pub(super) fn count_as_sent(&mut self, count: usize) {
        let count = count.min(self.held.len());
        self.sent = count;
        let sent: usize = self
            .held
            .iter()
            .take(count)
            .map(|h| h.letter.bytes().len())
            .sum();
        self.unsent_bytes = self.bytes - sent;
        self.backlog = (self.unsent(), self.unsent_bytes);
    }

    /// All that is left, in order.
    pub(super) fn into_held(self) -> VecDeque<Held> {
        self.held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(bytes: &[u8]) -> Held {
        Held {
            letter: Letter::new(bytes.to_vec()),
            since: SystemTime::UNIX_EPOCH,
            stored: None,
            own: false,
        }
    }

    #[test]
    fn what_was_sent_stays_until_it_arrived_and_is_sent_again_after_a_rewind() {
        let mut queue = Outbound::default();
        for stanza in [b"aa", b"bb", b"cc"] {
            queue.push(held(stanza));
        }
        let mut out = Vec::new();
        assert_eq!(
            queue.send(&mut out, 3),
            2,
            "whole stanzas until there is enough"
        );
        assert_eq!(out, b"aabb");
        assert_eq!(
            (queue.sent(), queue.unsent(), queue.unsent_bytes),
            (2, 1, 2)
        );
        assert_eq!(queue.arrived(1).len(), 1);
        queue.rewind();
        out.clear();
        assert_eq!(queue.send(&mut out, 100), 2);
        assert_eq!(out, b"bbcc");
        assert_eq!((queue.bytes(), queue.unsent_bytes), (4, 0));
    }

    #[test]
    fn no_more_can_arrive_than_was_sent() {
        let mut queue = Outbound::default();
        queue.push(held(b"aa"));
        assert_eq!(queue.arrived(1).len(), 0);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn a_backlog_does_not_count_against_a_new_connection() {
        let mut queue = Outbound::default();
        for _ in 0..10 {
            queue.push(held(b"aa"));
        }
        assert!(queue.exceeds(4, 100) && queue.exceeds(100, 19));
        queue.rewind();
        assert!(!queue.exceeds(0, 0));
        for _ in 0..3 {
            queue.push(held(b"aa"));
        }
        assert!(queue.exceeds(2, 100) && queue.exceeds(100, 5));
        assert!(!queue.exceeds(3, 6));
        queue.send(&mut Vec::new(), 100);
        queue.push(held(b"aa"));
        assert!(queue.exceeds(0, 100), "the backlog is used up");
    }

    #[test]
    fn a_shared_letter_is_lost_only_with_its_last_copy() {
        let (mut one, mut two) = (Outbound::default(), Outbound::default());
        let letter = held(b"aa");
        one.push(letter.clone());
        two.push(letter);
        let mut left = one.into_held();
        let Some(first) = left.pop_front() else {
            panic!()
        };
        assert!(
            !first.letter.is_last_hope(),
            "the other session still has it"
        );
        two.send(&mut Vec::new(), 10);
        let arrived = two.arrived(1);
        drop(arrived);
        assert!(!first.letter.is_last_hope(), "it has arrived there");
    }
}

//! One account's offline storage (XEP-0160): what waits, in order, until a session has
//! it for sure. Disk is the driver's: see `Output::Persist`. Which messages may be
//! stored is decided in `message`.

use std::collections::VecDeque;
use std::sync::Arc;

use super::SessionId;
use super::letter::Letter;

/// Names one stored message; never used twice by a hub, restarts included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredId(pub u64);

#[derive(Debug)]
struct Entry {
    id: StoredId,
    letter: Arc<Letter>,
    since: std::time::SystemTime,
    /// The session that it was handed to.
    holder: Option<SessionId>,
}

/// The queue of one account.
#[derive(Debug, Default)]
pub(super) struct Offline {
    entries: VecDeque<Entry>,
    bytes: usize,
}

/// What [`Offline::hand_out`] gives.
pub(super) struct HandedOut {
    pub(super) id: StoredId,
    pub(super) letter: Arc<Letter>,
    pub(super) since: std::time::SystemTime,
}

impl Offline {
    /// Whether `size` more bytes would be within the bounds.
    pub(super) fn has_room(&self, size: usize, messages: usize, bytes: usize) -> bool {
        self.entries.len() < messages && self.bytes.saturating_add(size) <= bytes
    }

    pub(super) fn push(&mut self, id: StoredId, letter: Arc<Letter>, since: std::time::SystemTime) {
        self.bytes += letter.bytes().len();
        self.entries.push_back(Entry {
            id,
            letter,
            since,
            holder: None,
        });
    }

    /// Whether some message waits for a session.
    pub(super) fn waits(&self) -> bool {
        self.entries.iter().any(|e| e.holder.is_none())
    }

    /// Messages stored, handed out or not.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Gives the oldest waiting message to `session`. It stays stored.
    pub(super) fn hand_out(&mut self, session: SessionId) -> Option<HandedOut> {
        let entry = self.entries.iter_mut().find(|e| e.holder.is_none())?;
        entry.holder = Some(session);
        Some(HandedOut {
            id: entry.id,
            letter: Arc::clone(&entry.letter),
            since: entry.since,
        })
    }

    /// The session that had it has gone: it waits again, in its old place.
    pub(super) fn take_back(&mut self, id: StoredId) {
        if let Some(entry) = self.entries.iter_mut().find(|e| e.id == id) {
            entry.holder = None;
        }
    }

    /// All that is stored, in order, handed out or not.
    pub(super) fn into_stored(self) -> impl Iterator<Item = HandedOut> {
        self.entries.into_iter().map(|entry| HandedOut {
            id: entry.id,
            letter: entry.letter,
            since: entry.since,
        })
    }

    /// It has arrived. False if it was not there.
    pub(super) fn remove(&mut self, id: StoredId) -> bool {
        // Arrivals are in order, so it is near the front.
        let Some(at) = self.entries.iter().position(|e| e.id == id) else {
            return false;
        };
        if let Some(entry) = self.entries.remove(at) {
            self.bytes -= entry.letter.bytes().len();
        }
        true
    }
}

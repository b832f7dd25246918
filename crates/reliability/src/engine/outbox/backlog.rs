//! What the outbox holds that has no outcome: how many messages, and their bytes. Owns the
//! bounds; what is refused because of them is `sending`'s.

/// Messages without outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::engine) struct Backlog {
    messages: usize,
    bytes: u64,
}

impl Backlog {
    pub(in crate::engine) fn new(messages: u64, bytes: u64) -> Self {
        Self {
            messages: usize::try_from(messages).unwrap_or(usize::MAX),
            bytes,
        }
    }

    pub(in crate::engine) const fn messages(&self) -> usize {
        self.messages
    }

    pub(in crate::engine) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether another message may be taken. The last one may go past the bound on bytes:
    /// otherwise one that is larger than the bound could never be sent.
    pub(in crate::engine) const fn has_room(&self, messages: usize, bytes: u64) -> bool {
        self.messages < messages && self.bytes < bytes
    }

    /// One more, of so many bytes.
    pub(in crate::engine) const fn add(&mut self, bytes: usize) {
        self.messages = self.messages.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// One of them has its outcome.
    pub(in crate::engine) const fn remove(&mut self, bytes: usize) {
        self.messages = self.messages.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(bytes as u64);
    }
}

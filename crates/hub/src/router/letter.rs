//! A stanza on its way to clients, and whether one of them has it. The queues that it waits
//! in are `outbound`'s and `offline`'s.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A stanza, encoded once, shared by all sessions that it goes to.
#[derive(Debug)]
pub(super) struct Letter {
    bytes: Box<[u8]>,
    /// Some session's client has it for sure, as far as the hub can know.
    arrived: AtomicBool,
}

impl Letter {
    pub(super) fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            bytes: bytes.into_boxed_slice(),
            arrived: AtomicBool::new(false),
        })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// A session's client has it.
    pub(super) fn arrive(&self) {
        self.arrived.store(true, Ordering::Relaxed);
    }

    /// Whether nobody has it and no other session will bring it.
    pub(super) fn is_last_hope(self: &Arc<Self>) -> bool {
        !self.arrived.load(Ordering::Relaxed) && Arc::strong_count(self) == 1
    }
}

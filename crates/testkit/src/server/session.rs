//! One session of the modelled server: its counters and its queue (XEP-0198 §4, §5).

use std::collections::VecDeque;
use std::time::Duration;

use stanchion_stanza::{Element, FullJid};

use super::Connection;

/// The session.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) jid: FullJid,
    pub(super) connection: Option<Connection>,
    pub(super) hibernates_since: Option<Duration>,
    pub(super) is_available: bool,
    /// Stanzas of the client that were handled.
    pub(super) handled: u32,
    managed: bool,
    /// Stanzas that the client acknowledged, and those that it did not.
    acknowledged: u32,
    queue: VecDeque<Element>,
    requested: bool,
}

impl Session {
    pub(super) const fn new(jid: FullJid, connection: Connection, managed: bool) -> Self {
        Self {
            jid,
            connection: Some(connection),
            hibernates_since: None,
            is_available: false,
            handled: 0,
            managed,
            acknowledged: 0,
            queue: VecDeque::new(),
            requested: false,
        }
    }

    pub(super) const fn is_managed(&self) -> bool {
        self.managed
    }

    pub(super) const fn hibernate(&mut self, now: Duration) {
        self.connection = None;
        self.hibernates_since = Some(now);
        self.requested = false;
    }

    /// The client acknowledges `h` stanzas; an error says by how many too much.
    pub(super) fn acknowledge(&mut self, h: u32) -> Result<(), u32> {
        let news = h.wrapping_sub(self.acknowledged);
        let waiting = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        if news > waiting {
            return Err(news.wrapping_sub(waiting));
        }
        self.queue.drain(..news as usize);
        self.acknowledged = h;
        self.requested = false;
        Ok(())
    }

    /// Notes a stanza for the client; gives the connection to send it on, if there is
    /// one.
    pub(super) fn deliver(&mut self, element: &Element) -> Option<Connection> {
        if self.managed {
            self.queue.push_back(element.clone());
        }
        self.connection
    }

    /// Stanzas that the client has not acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        self.queue.len()
    }

    /// Whether to ask for an acknowledgement now, and on which connection. Asks once
    /// and waits for the answer.
    pub(super) fn request(&mut self) -> Option<Connection> {
        if self.requested || self.queue.is_empty() {
            return None;
        }
        let connection = self.connection?;
        self.requested = true;
        Some(connection)
    }

    /// What is sent again on resumption.
    pub(super) fn again(&mut self) -> impl Iterator<Item = Element> {
        self.requested = false;
        self.queue.iter().cloned()
    }

    pub(super) fn take_unacknowledged(&mut self) -> VecDeque<Element> {
        std::mem::take(&mut self.queue)
    }
}

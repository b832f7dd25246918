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
    /// The node of the cluster that holds it.
    pub(super) node: u8,
    pub(super) hibernates_since: Option<Duration>,
    /// What it said when it became available.
    pub(super) presence: Option<Element>,
    /// Stanzas of the client that were handled.
    pub(super) handled: u32,
    managed: bool,
    /// Stanzas that the client acknowledged, and those that it did not; `true` for one
    /// that is nowhere else.
    acknowledged: u32,
    queue: VecDeque<(Element, bool)>,
    requested: bool,
}

impl Session {
    pub(super) const fn new(jid: FullJid, connection: Connection, node: u8, managed: bool) -> Self {
        Self {
            jid,
            connection: Some(connection),
            node,
            hibernates_since: None,
            presence: None,
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

    pub(super) const fn is_available(&self) -> bool {
        self.presence.is_some()
    }

    pub(super) const fn hibernate(&mut self, now: Duration) {
        self.connection = None;
        self.hibernates_since = Some(now);
        self.requested = false;
    }

    /// The client acknowledges `h` stanzas; gives whether that is news. An error says by
    /// how many too much.
    pub(super) fn acknowledge(&mut self, h: u32) -> Result<bool, u32> {
        let news = h.wrapping_sub(self.acknowledged);
        let waiting = u32::try_from(self.queue.len()).unwrap_or(u32::MAX);
        self.requested = false;
        // Of what was forgotten, the client may acknowledge as much as it has.
        if news > u32::MAX / 2 {
            return Ok(false);
        }
        if news > waiting {
            return Err(news.wrapping_sub(waiting));
        }
        self.queue.drain(..news as usize);
        self.acknowledged = h;
        Ok(news > 0)
    }

    /// Notes a stanza for the client; gives the connection to send it on, if there is
    /// one.
    pub(super) fn deliver(&mut self, element: &Element, only_here: bool) -> Option<Connection> {
        if self.managed {
            self.queue.push_back((element.clone(), only_here));
        }
        self.connection
    }

    /// Stanzas that the client has not acknowledged.
    pub(super) fn unacknowledged(&self) -> usize {
        self.queue.len()
    }

    /// Forgets the oldest of them, as if it were acknowledged.
    pub(super) fn forget_oldest(&mut self) {
        if self.queue.pop_front().is_some() {
            self.acknowledged = self.acknowledged.wrapping_add(1);
        }
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
        self.queue.iter().map(|(element, _)| element.clone())
    }

    pub(super) fn take_unacknowledged(&mut self) -> VecDeque<(Element, bool)> {
        std::mem::take(&mut self.queue)
    }
}

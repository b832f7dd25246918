//! The bounds that the engine keeps.

use std::time::Duration;

use super::rto::RtoConfig;

/// Bounds and times. All defaults are safe with the servers in use, whose own bounds
/// on unacknowledged stanzas begin at 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineConfig {
    /// Messages to one peer that may be without receipt. Default 32.
    pub window: usize,
    /// Messages without outcome that are held in memory; the rest waits in the store.
    /// Default 256.
    pub in_memory: usize,
    /// Messages without outcome that are accepted in all. Default 10,000.
    pub outbox: usize,
    /// Received messages that the application may hold without committing them; the
    /// rest waits in the store. Default 64.
    pub hand_over: usize,
    /// Received messages that may wait for the application in all, in the store. More
    /// are sent back as `resource-constraint`, and their senders try again. Default
    /// 10,000.
    pub inbox: usize,
    /// Retransmission timeouts.
    pub rto: RtoConfig,
    /// Stanzas received after which the server is told unasked. Default 10.
    pub ack_every: u32,
    /// A quiet stream is probed after this long. Default 60 s.
    pub probe_after: Duration,
    /// A stream that does not answer a probe for this long is dead. Default 20 s.
    pub dead_after: Duration,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            window: 32,
            in_memory: 256,
            outbox: 10_000,
            hand_over: 64,
            inbox: 10_000,
            rto: RtoConfig::default(),
            ack_every: 10,
            probe_after: Duration::from_secs(60),
            dead_after: Duration::from_secs(20),
        }
    }
}

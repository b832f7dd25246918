//! The bounds that the engine keeps.

use std::time::Duration;

use super::rto::RtoConfig;
use crate::store::Retention;

/// Bounds and times. All defaults are safe with the servers in use, whose own bounds
/// on unacknowledged stanzas begin at 100.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct EngineConfig {
    /// Messages to one recipient that may be without verdict. Default 96; with a
    /// recipient that speaks the delivery protocol 136 at most.
    pub window: usize,
    /// Messages to one recipient that may share a stanza, if its device takes them so. More
    /// carry a server further: its work is by the stanza. But neither its archive nor other
    /// clients of the recipient, a person's for instance, can read what is in it. Default 1:
    /// each goes alone. At most 32, and about 10,000 bytes.
    pub bundle: usize,
    /// Messages without outcome that are held in memory, shared by the lanes that have
    /// any; the rest waits in the store. A lane has at least one. Default 4096.
    pub in_memory: usize,
    /// Lanes (a recipient and a channel) that are known at a time. Default 10,000.
    pub lanes: usize,
    /// Devices of which received messages are remembered; messages of others are sent
    /// back as `resource-constraint`. Default 10,000.
    pub devices: usize,
    /// Messages without outcome that are accepted in all. Default 10,000.
    pub outbox: usize,
    /// Bytes of their stanzas, beyond which no more is accepted. Default 64 MiB.
    pub outbox_bytes: u64,
    /// Received messages that the application may hold without committing them; the
    /// rest waits in the store. Default 256: more than two senders have
    /// without verdict.
    pub hand_over: usize,
    /// Received messages that may wait for the application in all, in the store. More
    /// are sent back as `resource-constraint`, and their senders try again. Default
    /// 10,000.
    pub inbox: usize,
    /// Retransmission timeouts.
    pub rto: RtoConfig,
    /// How long a message waits until it is sent again while presence says that its
    /// recipient is away: then its server keeps what it was sent, or sends it back. When
    /// the recipient is there again, the usual timeouts count. Default 15 min.
    pub away_retry: Duration,
    /// How much is kept of messages that are done with. Default: see [`Retention`].
    pub retention: Retention,
    /// Stanzas received after which the server is told unasked. Default 10.
    pub ack_every: u32,
    /// A quiet stream is probed after this long. Default 8 s: with `dead_after`, a
    /// half-open link is found within 15 s. A device that must save its battery waits
    /// longer, and learns later that it cannot be reached.
    pub probe_after: Duration,
    /// A stream that does not answer a probe for this long is dead. Default 7 s.
    pub dead_after: Duration,
    /// Whether the engine answers requests of others itself, as far as every client must
    /// (RFC 6120 §8.2.3). Default true; if not, each comes as a
    /// [`Transient`](super::Event::Transient), and whoever takes it answers.
    pub answer_requests: bool,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            window: 96,
            bundle: 1,
            in_memory: 4096,
            lanes: 10_000,
            devices: 10_000,
            outbox: 10_000,
            outbox_bytes: 64 * 1024 * 1024,
            hand_over: 256,
            inbox: 10_000,
            rto: RtoConfig::default(),
            away_retry: Duration::from_secs(15 * 60),
            retention: Retention::default(),
            ack_every: 10,
            probe_after: Duration::from_secs(8),
            dead_after: Duration::from_secs(7),
            answer_requests: true,
        }
    }
}

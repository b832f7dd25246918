//! What one client, and all clients together, may take of the hub. Enforcing each
//! bound is the business of the module named with it.

use std::time::Duration;

use stanchion_stanza::Limits;

/// The hub's bounds. Every queue, buffer and wait has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubLimits {
    /// Connections open at a time, logged in or not. One more is closed at once.
    /// Default 256.
    pub connections: usize,
    /// Sessions of one account, hibernating ones included. One more ends the oldest
    /// hibernating one, or is refused with `resource-constraint`. Default 16.
    pub sessions: usize,
    /// Bytes of one stanza from a client; announced by XEP-0478. Default 245,760, so
    /// that with the addresses and the stamp that the hub adds it stays below
    /// 262,144. At least 10,000 (RFC 6120 §13.12), and no more than 16 MiB.
    pub stanza_bytes: usize,
    /// Failed logins of one connection before it is closed. Default 3.
    pub login_attempts: u32,
    /// Accounts made in band (XEP-0077) since the hub started, those included that have ended:
    /// nobody else gets their names. One more is refused with
    /// `resource-constraint`. A connection may try as often as it may fail to log in.
    /// Default 256.
    pub registered: usize,
    /// How long a connection may take to log in, TLS included, and then once more to
    /// bind a resource or resume a session. Default 30 s.
    pub login_time: Duration,
    /// Stanzas that wait to be written to one connection, without those that were
    /// waiting when it resumed the session. Beyond, the session loses its connection,
    /// as its client does not read. Default 500.
    pub outbound_stanzas: usize,
    /// Bytes that wait to be written to one connection; as before. Default 4 MiB.
    pub outbound_bytes: usize,
    /// How long one write may take. Beyond, the session loses its connection.
    /// Default 20 s.
    pub write_time: Duration,
    /// Stanzas that a session with stream management holds, sent or not, until the
    /// client acknowledges them. Beyond, the session ends with `policy-violation`, and
    /// its messages go elsewhere. Default 1000.
    pub unacked_stanzas: usize,
    /// Bytes of those; as before. Default 16 MiB.
    pub unacked_bytes: usize,
    /// Messages kept for one account while it is away. Beyond, the sender gets
    /// `resource-constraint`. Default 1000.
    pub offline_messages: usize,
    /// Bytes of those; as before. Default 16 MiB.
    pub offline_bytes: usize,
    /// Messages in one account's archive. Beyond, the oldest go; 0 is no archive. Default 2000.
    pub archive_messages: usize,
    /// Bytes of those; as before. Default 8 MiB.
    pub archive_bytes: usize,
    /// Entries of one roster, requests to subscribe included; and addresses that one account
    /// blocks. Default 1000.
    pub roster_items: usize,
    /// Addresses that one session may have sent presence to on its own account, to
    /// tell them when it goes. Beyond, the oldest is forgotten. Default 256.
    pub directed_presence: usize,
    /// Rooms at a time. Another one is refused with `resource-constraint`. Default 256.
    pub rooms: usize,
    /// Occupants of one room, without its owners and admins. Default 1000.
    pub room_occupants: usize,
    /// Accounts to which one room gives an affiliation. Default 1000.
    pub room_affiliations: usize,
    /// Messages that one room keeps; beyond, it forgets the oldest. Default 5000.
    pub room_messages: usize,
    /// Bytes of those, about. Default 8 MiB.
    pub room_bytes: usize,
    /// Silence after which a client is asked whether it is there: by `<r/>` with
    /// stream management, else by a ping (XEP-0199). Default 60 s.
    pub idle: Duration,
    /// Silence after that question until the connection counts as lost. Default 30 s.
    pub probe: Duration,
}

impl Default for HubLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            sessions: 16,
            stanza_bytes: 240 * 1024,
            login_attempts: 3,
            registered: 256,
            login_time: Duration::from_secs(30),
            outbound_stanzas: 500,
            outbound_bytes: 4 * 1024 * 1024,
            write_time: Duration::from_secs(20),
            unacked_stanzas: 1000,
            unacked_bytes: 16 * 1024 * 1024,
            offline_messages: 1000,
            offline_bytes: 16 * 1024 * 1024,
            archive_messages: 2000,
            archive_bytes: 8 * 1024 * 1024,
            roster_items: 1000,
            directed_presence: 256,
            rooms: 256,
            room_occupants: 1000,
            room_affiliations: 1000,
            room_messages: 5000,
            room_bytes: 8 * 1024 * 1024,
            idle: Duration::from_secs(60),
            probe: Duration::from_secs(30),
        }
    }
}

impl HubLimits {
    /// Bytes that the hub itself may add to a stanza: `from`, and a delay stamp.
    const ADDED: usize = 16 * 1024;

    /// For what logged-in clients send. Fewer attributes than the default, because a
    /// stanza may need more declarations when it is written anew.
    pub(crate) fn inbound(&self) -> Limits {
        Limits::default()
            .with_stanza_bytes(self.stanza_bytes.clamp(10_000, 16 * 1024 * 1024))
            .with_attributes(96)
    }

    /// For what anybody sends.
    pub(crate) fn before_login(&self) -> Limits {
        Limits::default().with_stanza_bytes(10_000).with_depth(8)
    }

    /// For what the hub sends.
    pub(crate) fn outbound(&self) -> Limits {
        let bytes = self.inbound().stanza_bytes + Self::ADDED;
        Limits::default().with_stanza_bytes(bytes)
    }
}

//! What stands between a session and its server at the moment.

use std::future::Future;
use std::pin::Pin;

use stanchion_connect::{ConnectError, Connection, Endpoint};
use stanchion_stanza::FullJid;
use stanchion_transport::XmppStream;
use tokio::time::Instant;

pub(super) type Attempt = Pin<Box<dyn Future<Output = Result<Connection, ConnectError>> + Send>>;

/// The connection's state.
pub(super) enum Link {
    /// The next attempt is due then.
    Waiting(Instant),
    /// An attempt is under way.
    Connecting(Attempt),
    /// A stream is up.
    Up(Box<XmppStream>),
    /// No attempts: a person must act.
    Refused,
}

/// Where the stream leads that is up.
pub(super) struct Place {
    pub(super) jid: FullJid,
    pub(super) endpoint: Endpoint,
    pub(super) since: Instant,
}

//! The seam between connecting and what it connects over. `tcp` and `memory` implement
//! it; which endpoint to dial, and for how long, is for `connect` to say.

use std::io;

use async_trait::async_trait;

use crate::endpoint::Endpoint;
use crate::pipe::BoxTransport;
use crate::tls::TlsError;
use crate::websocket::UpgradeError;

/// Makes transports. Dropping a future that has not finished drops its connection;
/// deadlines are the caller's, who drops it.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Connects, and does the TLS handshake if the mode is
    /// [`TlsMode::Direct`](crate::TlsMode::Direct). The certificate is checked against
    /// `domain` (the JID's domainpart), never against the endpoint's host
    /// (RFC 6120 §13.7.2). What a WebSocket needs besides is done over the pipe, by
    /// [`XmppStream::websocket`](crate::XmppStream::websocket).
    ///
    /// # Errors
    /// [`DialError`].
    async fn dial(&self, endpoint: &Endpoint, domain: &str) -> Result<BoxTransport, DialError>;

    /// The handshake of direct TLS over a pipe that is connected to `endpoint`, with
    /// ALPN `xmpp-client` (XEP-0368), or `http/1.1` for a WebSocket: what
    /// [`Dial::dial`] does for [`TlsMode::Direct`](crate::TlsMode::Direct), for callers
    /// that give the connection and the handshake deadlines of their own.
    ///
    /// # Errors
    /// [`DialError::Tls`]. The pipe is dropped.
    async fn direct(
        &self,
        pipe: BoxTransport,
        endpoint: &Endpoint,
        domain: &str,
    ) -> Result<BoxTransport, DialError>;

    /// The TLS handshake over a connected pipe, after STARTTLS was agreed
    /// (RFC 6120 §5.4.3). The pipe comes from
    /// [`XmppStream::into_transport`](crate::XmppStream::into_transport), which sees to
    /// it that nothing was read ahead.
    ///
    /// # Errors
    /// [`DialError::Tls`]. The pipe is dropped: its state is not known any more.
    async fn upgrade(&self, pipe: BoxTransport, domain: &str) -> Result<BoxTransport, DialError>;
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// Retry later, or another endpoint: the host's name does not resolve.
    #[error("the host name {host} does not resolve; check the name and the network")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// Retry later, or another endpoint: nothing answers there.
    #[error("cannot reach {endpoint}; check the address, or try later")]
    Unreachable {
        /// The endpoint, as `host:port`.
        endpoint: String,
        /// What the system said, of the last address tried.
        source: io::Error,
    },
    /// The connection stood, but TLS could not be negotiated.
    #[error("no secure connection to {domain}")]
    Tls {
        /// The domain that was to be authenticated.
        domain: String,
        /// Why not.
        source: TlsError,
    },
    /// The connection stood, but did not become a WebSocket.
    #[error("no WebSocket at {uri}")]
    WebSocket {
        /// What was asked for.
        uri: String,
        /// Why not.
        source: UpgradeError,
    },
}

impl DialError {
    /// Whether the same attempt may succeed later without anybody correcting anything:
    /// the network failed, or the peer just then. If not, the user or the server's
    /// operator has to act, though another endpoint may still do.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Resolve { .. } | Self::Unreachable { .. } => true,
            Self::Tls { source, .. } => matches!(source, TlsError::Io(_) | TlsError::Closed),
            Self::WebSocket { source, .. } => source.is_transient(),
        }
    }
}

//! The seam between connecting and what it connects over. `tcp` and `memory` implement
//! it; which endpoint to dial, and for how long, is for `connect` to say.

use std::io;

use async_trait::async_trait;

use crate::endpoint::Endpoint;
use crate::pipe::BoxTransport;
use crate::tls::TlsError;

/// Makes transports. Dropping a future that has not finished drops its connection;
/// deadlines are the caller's, who drops it.
#[async_trait]
pub trait Dial: Send + Sync {
    /// Connects, and does the TLS handshake if the mode is
    /// [`TlsMode::Direct`](crate::TlsMode::Direct). The certificate is checked against
    /// `domain` (the JID's domainpart), never against the endpoint's host
    /// (RFC 6120 §13.7.2).
    ///
    /// # Errors
    /// [`DialError`].
    async fn dial(&self, endpoint: &Endpoint, domain: &str) -> Result<BoxTransport, DialError>;

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
}

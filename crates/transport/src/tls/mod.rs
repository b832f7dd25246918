//! TLS over any transport, for both roles: whom to trust, the handshake, what it
//! proved, and the channel binding data. When TLS is agreed on is for `connect` and
//! `hub` to say.
//!
//! The cryptography is `ring`'s, chosen explicitly: no process-wide default is read or
//! set. Early data (0-RTT) is never sent nor accepted, for it can be replayed.

mod acceptor;
mod binding;
mod certificate;
mod connector;
mod error;
mod identity;
mod pipe;
mod policy;
mod verify;

pub use acceptor::TlsAcceptor;
pub use certificate::PeerCertificate;
pub use connector::TlsConnector;
pub use error::{CertificateFault, TlsConfigError, TlsError};
pub use identity::Identity;
pub use policy::{Roots, TlsPolicy};

/// The application protocol of a client's direct TLS (XEP-0368 §2).
pub const ALPN_CLIENT: &[u8] = b"xmpp-client";

/// The application protocol below a WebSocket (RFC 7301 §6).
pub const ALPN_HTTP: &[u8] = b"http/1.1";

fn provider() -> std::sync::Arc<rustls::crypto::CryptoProvider> {
    std::sync::Arc::new(rustls::crypto::ring::default_provider())
}

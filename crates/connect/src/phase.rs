//! The phases of an attempt. Each has a deadline of its own, and each error names
//! the one it happened in.

use std::fmt;

/// What an attempt is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Looking up the domain's hosts in DNS.
    Resolve,
    /// Opening the TCP connection.
    Tcp,
    /// The TLS handshake, directly after TCP or after STARTTLS.
    Tls,
    /// Waiting for the server's stream header and features (RFC 6120 §4).
    Stream,
    /// Waiting for the answer to `<starttls/>` (RFC 6120 §5.4.2).
    StartTls,
    /// The SASL exchange (RFC 6120 §6).
    Authentication,
    /// Waiting for the answer to `<resume/>` (XEP-0198 §5).
    Resumption,
    /// Waiting for the resource (RFC 6120 §7).
    Binding,
    /// Waiting for the answer to `<enable/>` (XEP-0198 §3).
    StreamManagement,
}

impl Phase {
    /// All phases, in the order in which an attempt goes through them.
    pub const ALL: [Self; 9] = [
        Self::Resolve,
        Self::Tcp,
        Self::Tls,
        Self::Stream,
        Self::StartTls,
        Self::Authentication,
        Self::Resumption,
        Self::Binding,
        Self::StreamManagement,
    ];
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Resolve => "DNS look-up",
            Self::Tcp => "TCP connection",
            Self::Tls => "TLS handshake",
            Self::Stream => "stream header and features",
            Self::StartTls => "STARTTLS",
            Self::Authentication => "authentication",
            Self::Resumption => "stream resumption",
            Self::Binding => "resource binding",
            Self::StreamManagement => "enabling stream management",
        })
    }
}

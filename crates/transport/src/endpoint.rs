//! Where to dial: a host, a port, and when TLS begins. Which endpoints a domain has,
//! and in what order to try them, is for `connect` to say.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// A place that may speak for a domain. Its host says where the packets go and
/// nothing more: the certificate is checked against the domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The machine.
    pub host: Host,
    /// The TCP port: by custom 5222 with STARTTLS, 5223 or 443 with direct TLS.
    pub port: u16,
    /// When TLS begins.
    pub mode: TlsMode,
}

impl Endpoint {
    /// An endpoint.
    #[must_use]
    pub const fn new(host: Host, port: u16, mode: TlsMode) -> Self {
        Self { host, port, mode }
    }

    /// An address that is already known.
    #[must_use]
    pub const fn at(address: SocketAddr, mode: TlsMode) -> Self {
        Self::new(Host::Ip(address.ip()), address.port(), mode)
    }
}

/// As `host:port`, an IPv6 address in brackets.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Name(name) => write!(f, "{name}:{}", self.port),
            Host::Ip(ip) => write!(f, "{}", SocketAddr::new(*ip, self.port)),
        }
    }
}

/// A machine on the network.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// A name for the system's resolver.
    Name(String),
    /// An address.
    Ip(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(ip) => ip.fmt(f),
        }
    }
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsMode {
    /// On the peer's word, inside the stream (RFC 6120 §5). Dialling gives plaintext,
    /// and [`Dial::upgrade`](crate::Dial::upgrade) comes later.
    StartTls,
    /// At once, with ALPN `xmpp-client` (XEP-0368).
    Direct,
    /// Never: for tests, and for links that something else protects.
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_written_as_host_and_port() {
        let named = Endpoint::new(Host::Name("a.example".into()), 5222, TlsMode::StartTls);
        assert_eq!(named.to_string(), "a.example:5222");
        let v6 = Endpoint::at(
            SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], 5223)),
            TlsMode::Direct,
        );
        assert_eq!(v6.to_string(), "[::1]:5223");
        assert_eq!(v6.host.to_string(), "::1");
    }
}

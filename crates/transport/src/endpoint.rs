//! Where to dial: a host, a port, when TLS begins, and whether a WebSocket is to be made
//! of it. Which endpoints a domain has, and in what order to try them, is for `connect`
//! to say.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

use crate::websocket::{UriError, WebSocketUri};

/// A place that may speak for a domain. Its host says where the packets go and
/// nothing more: the certificate is checked against the domain.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    /// The machine.
    pub host: Host,
    /// The TCP port: by custom 5222 with STARTTLS, 5223 or 443 with direct TLS.
    pub port: u16,
    /// When TLS begins. A WebSocket's is [`TlsMode::Direct`] or [`TlsMode::None`], for
    /// there is no STARTTLS over it (RFC 7395 §3.9).
    pub mode: TlsMode,
    websocket: Option<Arc<WebSocketUri>>,
}

impl Endpoint {
    /// An endpoint that speaks XMPP over the bare connection (RFC 6120 §3).
    #[must_use]
    pub const fn new(host: Host, port: u16, mode: TlsMode) -> Self {
        Self {
            host,
            port,
            mode,
            websocket: None,
        }
    }

    /// An address that is already known.
    #[must_use]
    pub const fn at(address: SocketAddr, mode: TlsMode) -> Self {
        Self::new(Host::Ip(address.ip()), address.port(), mode)
    }

    /// The WebSocket to ask for once connected (RFC 7395), or `None` for XMPP over the
    /// bare connection.
    #[must_use]
    pub fn websocket(&self) -> Option<&WebSocketUri> {
        self.websocket.as_deref()
    }

    /// The same endpoint at another machine, such as an address of its name. A
    /// WebSocket is still asked for by the name in its URI.
    #[must_use]
    pub fn with_host(mut self, host: Host) -> Self {
        self.host = host;
        self
    }

    /// The same place, but with TLS at another time or never: for those who do the
    /// handshake themselves ([`Dial::direct`](crate::Dial::direct)).
    #[must_use]
    pub const fn with_mode(mut self, mode: TlsMode) -> Self {
        self.mode = mode;
        self
    }
}

/// The machine and port that the URI names; `wss` is [`TlsMode::Direct`].
impl From<WebSocketUri> for Endpoint {
    fn from(uri: WebSocketUri) -> Self {
        let mode = match uri.is_secure() {
            true => TlsMode::Direct,
            false => TlsMode::None,
        };
        Self {
            websocket: Some(Arc::new(uri.clone())),
            ..Self::new(uri.host().clone(), uri.port(), mode)
        }
    }
}

/// Reads the URI of a WebSocket. (`host:port` says nothing of TLS: see
/// [`Endpoint::new`].)
///
/// ```
/// use stanchion_transport::{Endpoint, TlsMode};
/// let endpoint: Endpoint = "wss://xmpp.example.org/ws".parse()?;
/// assert_eq!((endpoint.port, endpoint.mode), (443, TlsMode::Direct));
/// assert_eq!(endpoint.to_string(), "wss://xmpp.example.org:443/ws");
/// # Ok::<(), stanchion_transport::websocket::UriError>(())
/// ```
impl FromStr for Endpoint {
    type Err = UriError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        s.parse::<WebSocketUri>().map(Self::from)
    }
}

/// As `host:port`, an IPv6 address in brackets; a WebSocket as its URI with the port,
/// followed by the machine if that is another one than the URI's.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(uri) = &self.websocket {
            uri.fmt(f)?;
            if self.host == *uri.host() {
                return Ok(());
            }
            f.write_str(" at ")?;
        }
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

    #[test]
    fn the_endpoint_of_a_websocket_is_written_as_its_uri() {
        for (text, mode, written) in [
            (
                "wss://a.example/ws?x=1",
                TlsMode::Direct,
                "wss://a.example:443/ws?x=1",
            ),
            ("ws://[::1]:5280", TlsMode::None, "ws://[::1]:5280/"),
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(
                (endpoint.mode, endpoint.to_string()),
                (mode, written.into())
            );
            assert_eq!(written.parse(), Ok(endpoint));
        }
    }

    #[test]
    fn an_address_takes_the_place_of_the_name_but_not_in_the_uri() {
        let named: Endpoint = "wss://a.example/ws".parse().unwrap();
        let found = named
            .clone()
            .with_host(Host::Ip([192, 0, 2, 7].into()))
            .with_mode(TlsMode::None);
        assert_eq!(found.to_string(), "wss://a.example:443/ws at 192.0.2.7:443");
        assert_eq!(found.websocket(), named.websocket());
        let plain = Endpoint::new(Host::Name("a.example".into()), 5222, TlsMode::StartTls);
        assert_eq!(plain.websocket(), None);
    }
}

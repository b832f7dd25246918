//! The URI of a WebSocket (RFC 6455 §3).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use tungstenite::http::Uri;

use crate::endpoint::Host;

/// `wss://host:port/path?query`, or `ws://…` in the clear. An internationalised host is
/// kept as DNS writes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebSocketUri {
    secure: bool,
    host: Host,
    port: u16,
    resource: String,
}

impl WebSocketUri {
    /// Whether TLS protects it: `wss`.
    #[must_use]
    pub const fn is_secure(&self) -> bool {
        self.secure
    }

    /// The machine that it names.
    #[must_use]
    pub const fn host(&self) -> &Host {
        &self.host
    }

    /// The TCP port: 443 for `wss` and 80 for `ws`, if the URI says none.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Path and query, as the request names them (RFC 6455 §3): at least `/`.
    #[must_use]
    pub fn resource(&self) -> &str {
        &self.resource
    }

    const fn scheme(&self) -> &'static str {
        if self.secure { "wss" } else { "ws" }
    }

    /// The value of the request's `Host` field: without a port that goes without saying.
    pub(super) fn authority(&self) -> String {
        let host = self.bracketed_host();
        if self.port == default_port(self.secure) {
            host
        } else {
            format!("{host}:{}", self.port)
        }
    }

    fn bracketed_host(&self) -> String {
        match &self.host {
            Host::Ip(IpAddr::V6(ip)) => format!("[{ip}]"),
            host => host.to_string(),
        }
    }
}

/// In full, with the port.
impl fmt::Display for WebSocketUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host) = (self.scheme(), self.bracketed_host());
        write!(f, "{scheme}://{host}:{}{}", self.port, self.resource)
    }
}

const fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// A text that is no URI of a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum UriError {
    /// It begins with another scheme, or with none.
    #[error("the URI of a WebSocket begins with wss:// (or ws://, which is not encrypted)")]
    Scheme,
    /// The host is missing, or is neither a domain name nor an address.
    #[error("a WebSocket's URI names a host, as in wss://xmpp.example.org/ws")]
    Host,
    /// The port is none.
    #[error("a port is a number from 1 to 65535")]
    Port,
    /// It holds a user or a password; logging in is SASL's affair.
    #[error("a WebSocket's URI names no user; leave out what stands before the @")]
    UserInfo,
    /// It has a fragment (RFC 6455 §3).
    #[error("a WebSocket's URI has no fragment; leave out the # and what follows it")]
    Fragment,
    /// The path or the query has characters that have to be percent-encoded.
    #[error("the path of a WebSocket's URI has characters that have to be percent-encoded")]
    Path,
}

impl FromStr for WebSocketUri {
    type Err = UriError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        let (scheme, rest) = s.split_once("://").ok_or(UriError::Scheme)?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "wss" => true,
            "ws" => false,
            _ => return Err(UriError::Scheme),
        };
        if rest.contains('#') {
            return Err(UriError::Fragment);
        }
        let (authority, resource) = match rest.find(['/', '?']) {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        if authority.contains('@') {
            return Err(UriError::UserInfo);
        }
        // A colon inside brackets is the address's.
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, Some(port)),
            _ => (authority, None),
        };
        let port = match port {
            None => default_port(secure),
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => port
                .parse()
                .ok()
                .filter(|p| *p != 0)
                .ok_or(UriError::Port)?,
            Some(_) => return Err(UriError::Port),
        };
        let uri = Self {
            secure,
            host: host_of(host)?,
            port,
            resource: match resource.strip_prefix('?') {
                Some(_) => format!("/{resource}"),
                None if resource.is_empty() => "/".to_owned(),
                None => resource.to_owned(),
            },
        };
        // The rest of the grammar is of the library that will write the request.
        match uri.to_string().parse::<Uri>() {
            Ok(parsed) if parsed.path_and_query().is_some_and(|p| p == uri.resource()) => Ok(uri),
            _ => Err(UriError::Path),
        }
    }
}

fn host_of(text: &str) -> Result<Host, UriError> {
    if let Some(v6) = text.strip_prefix('[') {
        let v6 = v6.strip_suffix(']').and_then(|v6| v6.parse().ok());
        return v6.map(|ip| Host::Ip(IpAddr::V6(ip))).ok_or(UriError::Host);
    }
    if let Ok(ip) = text.parse::<IpAddr>() {
        // An IPv6 address needs its brackets.
        return match ip {
            IpAddr::V4(_) => Ok(Host::Ip(ip)),
            IpAddr::V6(_) => Err(UriError::Host),
        };
    }
    let name = idna::domain_to_ascii(text).map_err(|_| UriError::Host)?;
    let in_dns = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    if name.is_empty() || name.len() > 253 || !name.bytes().all(in_dns) {
        return Err(UriError::Host);
    }
    Ok(Host::Name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uri(s: &str) -> WebSocketUri {
        s.parse().unwrap()
    }

    #[test]
    fn what_a_uri_leaves_out_is_filled_in() {
        let full = uri("WSS://A.example:5443/ws?a=b");
        assert!(full.is_secure());
        assert_eq!(full.to_string(), "wss://a.example:5443/ws?a=b");
        assert_eq!(full.authority(), "a.example:5443");
        let bare = uri("ws://a.example");
        assert_eq!(bare.to_string(), "ws://a.example:80/");
        assert_eq!(bare.authority(), "a.example");
        assert_eq!(uri("wss://a.example?x").resource(), "/?x");
        let v6 = uri("wss://[2001:db8::1]/ws");
        assert_eq!(v6.to_string(), "wss://[2001:db8::1]:443/ws");
        assert_eq!(v6.authority(), "[2001:db8::1]");
        assert_eq!(
            uri("wss://bücher.example/").to_string(),
            "wss://xn--bcher-kva.example:443/"
        );
        assert_eq!(
            uri("ws://192.0.2.1:1/").host(),
            &Host::Ip([192, 0, 2, 1].into())
        );
    }

    #[test]
    fn a_uri_that_names_no_websocket_is_refused() {
        for (text, error) in [
            ("", UriError::Scheme),
            ("a.example:5222", UriError::Scheme),
            ("https://a.example/", UriError::Scheme),
            ("wss:/a.example/", UriError::Scheme),
            ("wss:///ws", UriError::Host),
            ("wss://a b/", UriError::Host),
            ("wss://::1/", UriError::Host),
            ("wss://[a]/", UriError::Host),
            ("wss://a\r\nb/", UriError::Host),
            ("wss://a.example:/", UriError::Port),
            ("wss://a.example:0/", UriError::Port),
            ("wss://a.example:+443/", UriError::Port),
            ("wss://a.example:65536/", UriError::Port),
            ("wss://user:pw@a.example/", UriError::UserInfo),
            ("wss://a.example/#x", UriError::Fragment),
            ("wss://a.example/a b", UriError::Path),
            ("wss://a.example/a\r\nHost: b", UriError::Path),
        ] {
            assert_eq!(text.parse::<WebSocketUri>(), Err(error), "{text:?}");
        }
    }
}

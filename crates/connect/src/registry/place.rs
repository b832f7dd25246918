//! An endpoint as one word, as registries keep it and people write it. What
//! `Display` of an endpoint leaves out, when TLS begins, is said here.

use std::net::SocketAddr;

use stanchion_transport::{Endpoint, Host, TlsMode};
use thiserror::Error;

/// In front of an endpoint with TLS from the first byte (XEP-0368).
const DIRECT: &str = "xmpps://";
/// In front of an endpoint that has no TLS.
const PLAIN: &str = "plain://";
/// In front of a WebSocket (RFC 7395), with TLS and without.
const WEBSOCKET: [&str; 2] = ["wss://", "ws://"];

/// The longest host name that is kept, in bytes (RFC 1035 §2.3.4).
const LONGEST_NAME: usize = 255;

/// A word that is no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no endpoint; write HOST:PORT, xmpps://HOST:PORT for TLS from the first byte, or \
     wss://HOST:PORT/PATH for WebSocket"
)]
pub struct BadPlace(pub String);

/// Writes an endpoint: `host:port` for STARTTLS, `xmpps://host:port` for direct TLS,
/// `plain://host:port` for none, `wss://host:port/path` or `ws://…` for WebSocket. `None` if
/// it could not be read back.
#[must_use]
pub fn write_place(endpoint: &Endpoint) -> Option<String> {
    let scheme = match endpoint.mode {
        _ if endpoint.websocket().is_some() => "",
        TlsMode::StartTls => "",
        TlsMode::Direct => DIRECT,
        TlsMode::None => PLAIN,
    };
    let text = format!("{scheme}{endpoint}");
    let read = read_place(&text).ok()?;
    // By what is written: a name may have become the address that it spells.
    let same = read.mode == endpoint.mode && read.to_string() == endpoint.to_string();
    same.then_some(text)
}

/// Reads what [`write_place`] writes. A name that is an address becomes the address.
///
/// # Errors
/// [`BadPlace`] says how it is written.
///
/// ```
/// use stanchion_connect::registry::{read_place, write_place};
/// let place = read_place("xmpps://xmpp.example.org:5223")?;
/// assert_eq!((place.port, place.to_string()), (5223, "xmpp.example.org:5223".into()));
/// assert_eq!(write_place(&place).as_deref(), Some("xmpps://xmpp.example.org:5223"));
/// # Ok::<(), stanchion_connect::registry::BadPlace>(())
/// ```
pub fn read_place(text: &str) -> Result<Endpoint, BadPlace> {
    let bad = || BadPlace(text.to_owned());
    if WEBSOCKET.iter().any(|scheme| text.starts_with(scheme)) {
        return text.parse().map_err(|_| bad());
    }
    let (mode, place) = if let Some(rest) = text.strip_prefix(DIRECT) {
        (TlsMode::Direct, rest)
    } else if let Some(rest) = text.strip_prefix(PLAIN) {
        (TlsMode::None, rest)
    } else {
        (TlsMode::StartTls, text)
    };
    // Also IPv6 in brackets.
    if let Ok(address) = place.parse::<SocketAddr>() {
        let endpoint = Endpoint::at(address, mode);
        // A scope or the port 0 would not lead back here.
        return if address.port() > 0 && endpoint.to_string() == place {
            Ok(endpoint)
        } else {
            Err(bad())
        };
    }
    let (name, port) = place.rsplit_once(':').ok_or_else(bad)?;
    let port = port.parse().ok().filter(|port| *port > 0);
    match port {
        Some(port) if is_name(name) => Ok(Endpoint::new(Host::Name(name.to_owned()), port, mode)),
        _ => Err(bad()),
    }
}

/// Not whether it is a good name: only whether it can be told from the rest.
fn is_name(name: &str) -> bool {
    let strange = |c: char| c.is_whitespace() || c.is_control() || "/:[]@?#%\"'".contains(c);
    !name.is_empty() && name.len() <= LONGEST_NAME && !name.contains(strange)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_reads_back_as_it_was_written() {
        for text in [
            "a.example:5222",
            "xmpps://a.example:443",
            "plain://192.0.2.1:1",
            "[2001:db8::1]:5222",
            "xmpps://[::1]:65535",
            "bücher.example:5222",
            "wss://a.example:443/xmpp-websocket",
            "ws://127.0.0.1:5280/ws",
        ] {
            let endpoint = read_place(text).unwrap();
            assert_eq!(write_place(&endpoint).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_is_no_endpoint_is_told_so() {
        for wrong in [
            "",
            "a",
            ":5222",
            "a:",
            "a:0",
            "a:65536",
            "192.0.2.1:0",
            "::1:5222",
            "[::1]",
            "[fe80::1%3]:5222",
            "xmpps://",
            "xmpps://a",
            "https://a:5222",
            "wss://",
            "ws://a b/",
            "a b:5222",
            "a/b:5222",
        ] {
            assert_eq!(read_place(wrong), Err(BadPlace(wrong.into())), "{wrong}");
        }
    }

    #[test]
    fn a_host_that_could_not_be_read_back_is_not_written() {
        for host in ["", "a:1", "xmpps://a", "a b", "\u{7f}"] {
            let endpoint = Endpoint::new(Host::Name(host.into()), 5222, TlsMode::StartTls);
            assert_eq!(write_place(&endpoint), None, "{host}");
        }
    }
}

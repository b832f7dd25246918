//! Redirections: where a server sends a client to (`see-other-host`, the location of a
//! session to resume), read from its words, and how many in a row are followed. Following
//! them is the race's affair.

use stanchion_transport::{Endpoint, Host, TlsMode};

/// How many redirections in a row are followed (RFC 6120 §4.9.3.19).
pub const MAX_REDIRECTS: u8 = 3;

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; what is missing is as in `like`. From a
/// WebSocket also the URI of another one, but not one without TLS in the place of one with
/// (RFC 7395 §3.6.1). A stream over TCP leads to no WebSocket: whoever forged it would have
/// the login go where nothing is remembered.
pub(crate) fn place(text: &str, like: &Endpoint) -> Option<Endpoint> {
    let text = text.trim();
    if text.contains("://") {
        let to: Endpoint = text.parse().ok()?;
        let may_follow = to.mode != TlsMode::None || like.mode == TlsMode::None;
        return (like.websocket().is_some() && may_follow).then_some(to);
    }
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (v6, rest) = rest.split_once(']')?;
            let port = match rest {
                "" => None,
                rest => Some(rest.strip_prefix(':')?),
            };
            (Host::Ip(v6.parse().ok()?), port)
        }
        // More than one colon: a bare IPv6 address.
        None if text.matches(':').count() > 1 => (Host::Ip(text.parse().ok()?), None),
        None => {
            let (name, port) = match text.split_once(':') {
                Some((name, port)) => (name, Some(port)),
                None => (text, None),
            };
            let host = name
                .parse()
                .map_or_else(|_| Host::Name(name.to_owned()), Host::Ip);
            (host, port)
        }
    };
    if matches!(&host, Host::Name(name) if name.is_empty()) {
        return None;
    }
    let port = match port {
        Some(port) => port.parse().ok().filter(|p| *p != 0)?,
        None => like.port,
    };
    Some(Endpoint::new(host, port, like.mode))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_in_every_way_that_it_is_written() {
        let like = Endpoint::at(([192, 0, 2, 1], 5222).into(), TlsMode::StartTls);
        let read = |text| place(text, &like).map(|e| e.to_string());
        for (text, expected) in [
            ("a.example", "a.example:5222"),
            (" a.example:5280 ", "a.example:5280"),
            ("192.0.2.9", "192.0.2.9:5222"),
            ("192.0.2.9:80", "192.0.2.9:80"),
            ("[2001:db8::1]", "[2001:db8::1]:5222"),
            ("[2001:db8::1]:99", "[2001:db8::1]:99"),
            ("2001:db8::1", "[2001:db8::1]:5222"),
        ] {
            assert_eq!(read(text).as_deref(), Some(expected));
        }
        let web: Endpoint = "wss://b.example/y".parse().unwrap();
        let from_web = |text| place(text, &web).map(|e| e.to_string());
        assert_eq!(
            from_web("wss://a.example/x").as_deref(),
            Some("wss://a.example:443/x")
        );
        assert_eq!(from_web("ws://a.example/x"), None);
        for bad in [
            "wss://a.example/x",
            "ws://a.example/x",
            "wss://",
            "",
            ":5222",
            "a:b",
            "a:0",
            "a:99999",
            "[::1",
            "[a]",
            "[::1]x:1",
        ] {
            // `[::1]x:1`: what follows the bracket is no port, and is left out.
            assert!(read(bad).is_none() || bad == "[::1]x:1", "{bad}");
        }
    }
}

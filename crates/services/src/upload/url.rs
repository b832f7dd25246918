//! The URLs of slots: which are safe, and what of them HTTP wants to know. They come from
//! a service, so nothing in them is believed.

use std::net::IpAddr;

/// Where a file goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place<'a> {
    pub(super) secure: bool,
    /// A name or an address; an IPv6 one without its brackets.
    pub(super) host: &'a str,
    pub(super) port: u16,
    /// Host and port as the URL has them.
    pub(super) authority: &'a str,
    /// Path and query, at least `/`.
    pub(super) path: &'a str,
}

impl<'a> Place<'a> {
    /// Reads a URL; none if it is of another scheme, has a user, or characters that must
    /// be encoded (RFC 3986 §2).
    pub(super) fn read(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let rest = rest.split('#').next()?;
        let at = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(at);
        let path = match path {
            "" => "/",
            path if path.starts_with('/') => path,
            _ => return None,
        };
        if !url.bytes().all(|b| b.is_ascii_graphic()) || authority.contains('@') {
            return None;
        }
        let (host, port) = match authority.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']')?;
                host.parse::<std::net::Ipv6Addr>().ok()?;
                (host, port.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            None => {
                if secure {
                    443
                } else {
                    80
                }
            }
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
        };
        let is_name = |b: u8| b.is_ascii_alphanumeric() || b"-._:".contains(&b);
        (!host.is_empty() && host.bytes().all(is_name)).then_some(Self {
            secure,
            host,
            port,
            authority,
            path,
        })
    }

    /// Whether it leads to this machine.
    pub(super) fn is_local(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(ip) => ip.to_canonical().is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// Whether a file may go there or come from there.
pub(super) fn is_acceptable(url: &str, http_over_loopback: bool) -> bool {
    let place = Place::read(url);
    place.is_some_and(|place| place.secure || (http_over_loopback && place.is_local()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_taken_and_http_to_this_machine_if_it_is_allowed() {
        for (url, expected) in [
            ("https://up.example/a/b.jpg?x=1", [true, true]),
            ("HTTPS://up.example:8443", [true, true]),
            ("https://[2001:db8::1]:1/", [true, true]),
            ("http://localhost:5280/upload", [false, true]),
            ("http://127.0.0.1/", [false, true]),
            ("http://[::1]:80/", [false, true]),
            ("http://up.example/", [false, false]),
            ("http://localhost.example/", [false, false]),
            ("http://localhost@up.example/", [false, false]),
            ("https://user:secret@up.example/", [false, false]),
            ("ftp://up.example/", [false, false]),
            ("file:///etc/passwd", [false, false]),
            ("https:///a", [false, false]),
            ("https://up.example:0/", [false, false]),
            ("https://up.example:x/", [false, false]),
            ("https://up.example/a b", [false, false]),
            ("https://up.example/\r\nX-Evil: 1", [false, false]),
            ("https://up.example/\u{e9}", [false, false]),
            ("https://[up.example]/", [false, false]),
            ("https://up.example?x", [false, false]),
            ("", [false, false]),
        ] {
            let taken = [false, true].map(|loopback| is_acceptable(url, loopback));
            assert_eq!(taken, expected, "{url:?}");
        }
    }

    #[test]
    fn a_url_is_taken_apart_as_http_wants_it() {
        let place = Place::read("https://[::1]:8/a?b=c#d").unwrap();
        assert_eq!((place.host, place.port), ("::1", 8));
        assert_eq!((place.authority, place.path), ("[::1]:8", "/a?b=c"));
        let place = Place::read("http://up.example").unwrap();
        assert_eq!((place.port, place.path), (80, "/"));
    }
}

//! Who may do what. On loopback whoever runs a program on this machine may; a page of some
//! other site, open in the same browser, may not: neither by a name that it lets point to
//! this machine (`Host`), nor by a request of its own (`Origin`, and a token that only our
//! pages know). Beyond loopback there is a login. This file decides; it reads no body.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::Response;
use subtle::ConstantTimeEq as _;
use tokio::time::Instant;

use crate::exit::Failure;

/// Characters that a token has at least.
const TOKEN: usize = 16;
/// Wrong tokens in a row that cost nothing.
const FREE: u32 = 4;
/// The longest pause after one more.
const PAUSE: Duration = Duration::from_secs(60);
/// Addresses whose tries are counted.
const COUNTED: usize = 1024;

/// Sent with every answer.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
         img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    ),
];

/// Why somebody may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    /// What to do.
    pub(super) text: &'static str,
}

const fn refused(status: StatusCode, text: &'static str) -> Refusal {
    Refusal { status, text }
}

/// A login, where one is needed.
#[derive(Debug)]
struct Login {
    token: String,
    /// The cookie's name, which tells the dashboards of one machine apart.
    name: String,
    /// What a browser has that is logged in. Another one after each start.
    session: String,
    tries: Mutex<Tries>,
}

/// The guard.
#[derive(Debug)]
pub(super) struct Guard {
    csrf: String,
    login: Option<Login>,
}

/// What nobody can guess: 128 bits, in hexadecimal.
pub(super) fn secret() -> Result<String, Failure> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::failed(format!("the system has no randomness: {error}")))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn same(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

impl Guard {
    /// Of a server at that port; with a token, there is a login.
    ///
    /// # Errors
    /// A token that could be guessed; a system without randomness.
    pub(super) fn new(port: u16, token: Option<String>) -> Result<Self, Failure> {
        let login = match token {
            Some(token) if token.len() < TOKEN => {
                return Err(Failure::usage(format!(
                    "the token is too short: at least {TOKEN} characters, at random"
                )));
            }
            Some(token) => Some(Login {
                token,
                name: format!("stanchion_{port}"),
                session: secret()?,
                tries: Mutex::default(),
            }),
            None => None,
        };
        Ok(Self {
            csrf: secret()?,
            login,
        })
    }

    /// What our pages send along with an order.
    pub(super) fn csrf(&self) -> &str {
        &self.csrf
    }

    /// Whether a request may go on.
    pub(super) fn check(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        let host = self.host(uri, headers)?;
        origin(host, headers)?;
        let path = uri.path();
        let changes = !matches!(*method, Method::GET | Method::HEAD);
        let site = headers.get("sec-fetch-site").map(HeaderValue::as_bytes);
        if (changes || path.starts_with("/api/"))
            && !matches!(site, None | Some(b"same-origin" | b"none"))
        {
            return Err(refused(
                StatusCode::FORBIDDEN,
                "another site asked for this; only the dashboard's own pages may",
            ));
        }
        let everybodys = path == "/login" || path.starts_with("/assets/");
        if !everybodys && !self.is_logged_in(headers) {
            return Err(refused(StatusCode::UNAUTHORIZED, "log in at /login"));
        }
        if changes && path.starts_with("/api/") {
            let token = headers.get("x-stanchion-csrf");
            let token = token.and_then(|token| token.to_str().ok());
            if !token.is_some_and(|token| same(token, &self.csrf)) {
                return Err(refused(
                    StatusCode::FORBIDDEN,
                    "the header X-Stanchion-Csrf is missing or old: load the page again",
                ));
            }
        }
        Ok(())
    }

    /// The host that the browser means. On loopback it must be one of loopback: a name would
    /// be one that somebody else lets point here.
    fn host<'a>(&self, uri: &'a Uri, headers: &'a HeaderMap) -> Result<&'a str, Refusal> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let host = hosts.next().and_then(|host| host.to_str().ok());
        let (Some(host), None) = (host, hosts.next()) else {
            return Err(refused(StatusCode::BAD_REQUEST, "one Host is needed"));
        };
        let named = uri.authority().map(|authority| authority.as_str());
        if named.is_some_and(|named| !named.eq_ignore_ascii_case(host)) {
            return Err(refused(StatusCode::BAD_REQUEST, "two hosts are meant"));
        }
        match self.login.is_some() || is_loopback(host) {
            true => Ok(host),
            false => Err(refused(
                StatusCode::MISDIRECTED_REQUEST,
                "this dashboard is for this machine alone: open it as 127.0.0.1 or localhost",
            )),
        }
    }

    /// Whether there is a login at all.
    pub(super) const fn has_login(&self) -> bool {
        self.login.is_some()
    }

    fn is_logged_in(&self, headers: &HeaderMap) -> bool {
        let Some(login) = &self.login else {
            return true;
        };
        let cookies = headers.get_all(header::COOKIE).iter();
        let cookies = cookies.filter_map(|cookies| cookies.to_str().ok());
        let mut cookies = cookies.flat_map(|cookies| cookies.split(';'));
        cookies.any(|cookie| match cookie.trim().split_once('=') {
            Some((name, value)) => name == login.name && same(value, &login.session),
            None => false,
        })
    }

    /// Somebody gives a token. The cookie, if it is the right one.
    ///
    /// # Errors
    /// It is wrong; or too many were, and how long to wait.
    pub(super) fn log_in(
        &self,
        from: IpAddr,
        token: &str,
        headers: &HeaderMap,
    ) -> Result<String, Option<Duration>> {
        let Some(login) = &self.login else {
            return Err(None);
        };
        let mut tries = login.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if let Some(pause) = tries.pause(from, now) {
            return Err(Some(pause));
        }
        if !same(token, &login.token) {
            tries.wrong(from, now);
            return Err(None);
        }
        tries.right(from);
        // A proxy that has TLS says so.
        let proto = headers.get("x-forwarded-proto");
        let secure = match proto.map(HeaderValue::as_bytes) {
            Some(b"https") => "; Secure",
            _ => "",
        };
        let Login { name, session, .. } = login;
        Ok(format!(
            "{name}={session}; Path=/; HttpOnly; SameSite=Strict{secure}"
        ))
    }
}

/// Of a `Host`, with or without a port.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let inner = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    if let Some(inner) = inner {
        let address = inner.parse::<std::net::Ipv6Addr>();
        return address.is_ok_and(|address| address.is_loopback());
    }
    let address = name.parse::<std::net::Ipv4Addr>();
    name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// A browser says which page asks; it must be one of ours. What is no browser says nothing.
fn origin(host: &str, headers: &HeaderMap) -> Result<(), Refusal> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let ours = |origin: &HeaderValue| {
        let origin = origin.to_str().unwrap_or_default();
        let rest = origin.strip_prefix("http://");
        let rest = rest.or_else(|| origin.strip_prefix("https://"));
        rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
    };
    match origins.all(ours) {
        true => Ok(()),
        false => Err(refused(
            StatusCode::FORBIDDEN,
            "another site asked for this; only the dashboard's own pages may",
        )),
    }
}

/// Adds what every answer has.
pub(super) fn dress(answer: &mut Response) {
    let headers = answer.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
        .entry(header::CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
}

/// Wrong tokens in a row, by who gave them.
#[derive(Debug, Default)]
struct Tries(BTreeMap<IpAddr, (u32, Instant)>);

/// Who has one address of IPv6 has 2⁶⁴.
fn who(from: IpAddr) -> IpAddr {
    match from {
        IpAddr::V4(_) => from,
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(address) => address.into(),
            None => {
                let net = address.to_bits() >> 64 << 64;
                std::net::Ipv6Addr::from_bits(net).into()
            }
        },
    }
}

impl Tries {
    /// How long it must wait, if it must.
    fn pause(&self, from: IpAddr, now: Instant) -> Option<Duration> {
        let (count, last) = self.0.get(&who(from))?;
        let more = count.checked_sub(FREE + 1)?;
        let pause = Duration::from_secs(1 << more.min(16)).min(PAUSE);
        let left = pause.saturating_sub(now.saturating_duration_since(*last));
        (!left.is_zero()).then_some(left)
    }

    fn wrong(&mut self, from: IpAddr, now: Instant) {
        let from = who(from);
        if self.0.len() >= COUNTED && !self.0.contains_key(&from) {
            // Who was wrong longest ago is forgotten.
            let oldest = self.0.iter().min_by_key(|(_, (_, last))| *last);
            if let Some(oldest) = oldest.map(|(from, _)| *from) {
                self.0.remove(&oldest);
            }
        }
        let (count, last) = self.0.entry(from).or_insert((0, now));
        *count = count.saturating_add(1);
        *last = now;
    }

    fn right(&mut self, from: IpAddr) {
        self.0.remove(&who(from));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &str)]) -> HeaderMap {
        let all = all.iter();
        let all = all.map(|(n, v)| (HeaderName::from_static(n), v.parse().unwrap()));
        all.collect()
    }

    fn status(guard: &Guard, method: Method, path: &str, with: &HeaderMap) -> u16 {
        let checked = guard.check(&method, &path.parse().unwrap(), with);
        checked.map_or_else(|refusal| refusal.status.as_u16(), |()| 200)
    }

    #[test]
    fn on_loopback_only_names_of_loopback_are_answered() {
        let guard = Guard::new(5290, None).unwrap();
        for (host, expected) in [
            ("127.0.0.1:5290", 200),
            ("127.0.0.1", 200),
            ("127.9.9.9:1", 200),
            ("LocalHost:5290", 200),
            ("[::1]:5290", 200),
            ("[::1]", 200),
            ("evil.example:5290", 421),
            ("localhost.evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("192.168.1.7:5290", 421),
            ("[::ffff:10.0.0.1]", 421),
            ("0.0.0.0:5290", 421),
            ("127.0.0.1:", 200),
            ("", 421),
        ] {
            let with = headers(&[("host", host)]);
            assert_eq!(status(&guard, Method::GET, "/", &with), expected, "{host}");
        }
        assert_eq!(status(&guard, Method::GET, "/", &headers(&[])), 400);
        let mut two = headers(&[("host", "localhost")]);
        two.append("host", "evil.example".parse().unwrap());
        assert_eq!(status(&guard, Method::GET, "/", &two), 400);
        let with = headers(&[("host", "localhost")]);
        let absolute = "http://evil.example/";
        assert_eq!(status(&guard, Method::GET, absolute, &with), 400);
    }

    #[test]
    fn another_sites_page_may_neither_ask_nor_order() {
        let guard = Guard::new(5290, None).unwrap();
        let csrf = guard.csrf().to_owned();
        let post = |more: &[(&'static str, &str)]| {
            let mut with = headers(&[("host", "localhost:5290")]);
            with.extend(headers(more));
            status(&guard, Method::POST, "/api/orders", &with)
        };
        assert_eq!(post(&[]), 403);
        assert_eq!(post(&[("x-stanchion-csrf", "wrong")]), 403);
        let csrf = ("x-stanchion-csrf", csrf.as_str());
        assert_eq!(post(&[csrf]), 200);
        assert_eq!(post(&[csrf, ("origin", "http://localhost:5290")]), 200);
        for origin in [
            "http://evil.example",
            "http://localhost:5291",
            "http://localhost",
            "null",
            "localhost:5290",
        ] {
            assert_eq!(post(&[csrf, ("origin", origin)]), 403, "{origin}");
        }
        assert_eq!(post(&[csrf, ("sec-fetch-site", "cross-site")]), 403);
        assert_eq!(post(&[csrf, ("sec-fetch-site", "same-site")]), 403);
        assert_eq!(post(&[csrf, ("sec-fetch-site", "same-origin")]), 200);
        let with = headers(&[("host", "localhost"), ("sec-fetch-site", "cross-site")]);
        assert_eq!(status(&guard, Method::GET, "/api/events", &with), 403);
        // A link may lead here.
        assert_eq!(status(&guard, Method::GET, "/", &with), 200);
    }

    #[test]
    fn a_login_opens_what_is_closed_without_and_a_token_that_can_be_guessed_is_none() {
        assert!(Guard::new(1, Some("short".to_owned())).is_err());
        let token = secret().unwrap();
        let guard = Guard::new(1, Some(token.clone())).unwrap();
        let host = ("host", "house.example");
        let get = |path: &str, with: &HeaderMap| status(&guard, Method::GET, path, with);
        assert_eq!(get("/", &headers(&[host])), 401);
        assert_eq!(get("/api/events", &headers(&[host])), 401);
        assert_eq!(get("/login", &headers(&[host])), 200);
        assert_eq!(get("/assets/app.js", &headers(&[host])), 200);
        let from = "192.0.2.1".parse().unwrap();
        let cookie = guard.log_in(from, &token, &HeaderMap::new()).unwrap();
        assert!(
            cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
            "{cookie}"
        );
        let cookie = format!("a=b; {}", cookie.split(';').next().unwrap());
        assert_eq!(get("/", &headers(&[host, ("cookie", &cookie)])), 200);
        let cookie = format!("{}x", &cookie);
        assert_eq!(get("/", &headers(&[host, ("cookie", &cookie)])), 401);
        let tls = headers(&[("x-forwarded-proto", "https")]);
        let cookie = guard.log_in(from, &token, &tls).unwrap();
        assert!(cookie.ends_with("; Secure"), "{cookie}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_guesses_waits_longer_and_longer_and_nobody_else_does() {
        let token = secret().unwrap();
        let guard = Guard::new(1, Some(token.clone())).unwrap();
        let from = "2001:db8::1".parse().unwrap();
        let try_it = |from, token: &str| guard.log_in(from, token, &HeaderMap::new());
        for _ in 0..=FREE {
            assert_eq!(try_it(from, "a guess"), Err(None));
        }
        let neighbour = "2001:db8::7:7".parse().unwrap();
        assert_eq!(try_it(neighbour, &token), Err(Some(Duration::from_secs(1))));
        assert!(try_it("2001:db8:1::1".parse().unwrap(), &token).is_ok());
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            tokio::time::advance(Duration::from_secs(pause)).await;
            assert_eq!(try_it(from, "a guess"), Err(None), "{pause}");
        }
        tokio::time::advance(PAUSE).await;
        assert!(try_it(from, &token).is_ok());
        assert_eq!(try_it(from, "a guess"), Err(None), "all is forgiven");
    }

    #[test]
    fn of_who_guesses_only_so_many_are_remembered() {
        let mut tries = Tries::default();
        let now = Instant::now();
        for n in 0..5000_u32 {
            tries.wrong(std::net::Ipv4Addr::from_bits(n).into(), now);
        }
        assert_eq!(tries.0.len(), COUNTED);
    }
}

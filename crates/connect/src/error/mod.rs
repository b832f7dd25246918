//! Why there is no session: one enum, sorted by blame. What follows from each error is in
//! `retry` ([`ConnectError::retry`], [`ConnectError::kind`]), how it is put into words in
//! `text`. No policy: waiting is in `backoff`, and the choice of the next candidate in
//! `race`.

mod retry;
mod text;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stanchion_sasl::{AuthError, SaslCondition, SelectError};
use stanchion_stanza::stanza::StanzaError;
use stanchion_stanza::stream::StreamError;
use stanchion_stanza::{BareJid, Text, codec::EncodeError};
use stanchion_transport::tls::{CertificateFault, TlsError};
use stanchion_transport::websocket::UpgradeError;
use stanchion_transport::{DialError, Endpoint, StreamFault};
use thiserror::Error;

use crate::config::ConfigError;
use crate::misbehaviour::Misbehaviour;
use crate::phase::Phase;
use crate::registry::RegistryError;
use crate::resolve::ResolveError;
use text::{advice, attempts, behind, login_advice, names, place, servers, spoken, words};

pub(crate) use text::shortened;
pub use text::with_causes;

/// Why there is no session. The messages do not repeat their causes: show them with
/// their chain of [sources](std::error::Error::source).
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The network, or the name: DNS gives no host to connect to.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The network: the machine answers, and nothing listens at the port.
    #[error("nothing listens at {endpoint}: the server is down, or the port is wrong")]
    Refused {
        /// Where.
        endpoint: Endpoint,
    },
    /// The network: no TCP connection.
    #[error("cannot reach {endpoint}; check the network, or try later")]
    Unreachable {
        /// Where.
        endpoint: Endpoint,
        /// What the system says.
        source: std::io::Error,
    },
    /// The network, or a server that hangs: nothing usable came in time.
    #[error("{}no answer within {} s; the server hangs or the network loses packets, try later", place(.endpoint.as_deref(), *.phase), .limit.as_secs_f32())]
    Deadline {
        /// Where, if this is the error of the only attempt; one of several is told with
        /// its endpoint ([`Attempt::endpoint`]).
        endpoint: Option<Box<Endpoint>>,
        /// What was waited for.
        phase: Phase,
        /// For how long.
        limit: Duration,
    },
    /// The network: the connection ended in the middle.
    #[error("{}the connection ended before there was a session; try later", place(.endpoint.as_deref(), *.phase))]
    Lost {
        /// Where, if this is the error of the only attempt; one of several is told with
        /// its endpoint ([`Attempt::endpoint`]).
        endpoint: Option<Box<Endpoint>>,
        /// What was waited for.
        phase: Phase,
        /// How it ended; `None` if by the stream's closing tag.
        source: Option<StreamFault>,
    },
    /// The network: something answers, and it is no XMPP server; or the port is another
    /// one than was thought.
    #[error("{endpoint} answers with {what}{}", .what.advice())]
    NotXmpp {
        /// Where.
        endpoint: Endpoint,
        /// What it speaks.
        what: Foreign,
        /// How that showed.
        source: StreamFault,
    },
    /// The network: a web server that gives no WebSocket for XMPP at the endpoint's URI. A
    /// wrong path, another service, or a captive portal; the source says which, and what to
    /// do. [`ConnectError::retry`] depends on it.
    #[error("no WebSocket at {endpoint}")]
    WebSocket {
        /// Where.
        endpoint: Endpoint,
        /// Why not.
        source: UpgradeError,
    },
    /// The server ended the stream, and said why. [`ConnectError::retry`] depends on it.
    #[error("{}the server ended the stream with {}; {}", place(.endpoint.as_deref(), *.phase), words(.error), advice(.error.condition))]
    Stream {
        /// Where, if this is the error of the only attempt; one of several is told with
        /// its endpoint ([`Attempt::endpoint`]).
        endpoint: Option<Box<Endpoint>>,
        /// What was waited for.
        phase: Phase,
        /// What it said.
        error: StreamError,
    },
    /// The server closed the stream instead of answering `<resume/>`, or gave no answer in
    /// time: the session before is as good as gone. Connect again without it; the connector does so by itself.
    #[error("the server did not answer the request to resume; connect again without it")]
    ResumeUnanswered,
    /// The server did not go along with a short cut of the login. Connect again without
    /// it; the connector does so by itself.
    #[error("the server did not take {short_cut}; connect again without")]
    ShortCutRefused {
        /// Which.
        short_cut: ShortCut,
        /// How it said so.
        source: Option<Box<ConnectError>>,
    },
    /// The server, or an attacker, redirects (`see-other-host`) again and again.
    #[error("the server redirects more than {limit} times; name the server's host and port")]
    TooManyRedirects {
        /// How many redirections are followed.
        limit: u8,
    },

    /// Policy: the server offers no TLS, and plaintext is not allowed.
    #[error(
        "the server offers no TLS, so anybody on the way could read the password; ask its \
         operator for TLS, or allow plaintext for this server if the network is yours alone"
    )]
    TlsNotOffered,
    /// Policy: no TLS where there was TLS before, so plaintext is refused although it is
    /// allowed.
    #[error(
        "the server offered TLS before and offers none now: somebody on the way may have \
         removed it; if its operator did, forget what is remembered of this server"
    )]
    TlsVanished,
    /// Policy: the server demands TLS, and the endpoint was given as one without.
    #[error("the server demands TLS; give the endpoint's mode as STARTTLS")]
    TlsDemanded,
    /// The server offered TLS, and refused it when asked (RFC 6120 §5.4.2.2).
    #[error(
        "the server offers TLS and cannot start it: its certificate or key may be missing, \
         tell its operator"
    )]
    TlsRefused,
    /// Ask the user: the server is not proven to be who it should be. The message
    /// says what may be done.
    #[error("{}{fault}", .endpoint.as_deref().map(|at| format!("{at}: ")).unwrap_or_default())]
    Certificate {
        /// Where, if this is the error of the only attempt; one of several is told with
        /// its endpoint ([`Attempt::endpoint`]).
        endpoint: Option<Box<Endpoint>>,
        /// The domain that the certificate should be for.
        domain: String,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// The TLS handshake failed for another reason than the certificate.
    #[error("no TLS with {domain}{}", behind(.endpoint.as_deref()))]
    Tls {
        /// Where, if this is the error of the only attempt; one of several is told with
        /// its endpoint ([`Attempt::endpoint`]).
        endpoint: Option<Box<Endpoint>>,
        /// The domain.
        domain: String,
        /// What went wrong.
        source: TlsError,
    },
    /// Policy: no mechanism that both sides accept.
    #[error(
        "no login that both sides accept: the server offers {}; change the account's \
         credentials or policy, or ask its operator", names(.1)
    )]
    NoMechanism(#[source] SelectError, Vec<Text>),
    /// The login cannot be trusted, or cannot be made with these credentials.
    #[error("the login was broken off, it cannot be trusted or made; tell the server's operator")]
    Login(#[source] AuthError),

    /// Ask the user: the server refused the credentials (RFC 6120 §6.5). The password
    /// is not tried again.
    #[error("the server refused the login ({condition}{}); {}", spoken(.text.as_ref()), login_advice(.condition))]
    AuthRefused {
        /// The condition.
        condition: SaslCondition,
        /// What the server says for people.
        text: Option<Text>,
    },
    /// The server wants more than the password: a second factor, or a new password
    /// (XEP-0388 §2.6.3). No task is known here.
    #[error(
        "the server wants {} after the password, which only a person can give{}; ask its \
         operator for an account for devices", names(.tasks), spoken(.text.as_ref())
    )]
    TasksDemanded {
        /// The tasks to choose from.
        tasks: Vec<Text>,
        /// What the server says for people.
        text: Option<Text>,
    },
    /// Logged in, and then refused a resource (RFC 6120 §7.6.2, §7.7.2).
    #[error(
        "the server gives this login no resource; close another session of the account, or ask the server's operator"
    )]
    BindRefused(#[source] StanzaError),

    /// The server broke the protocol. Do not retry: it will do so again.
    #[error("the server{} broke the protocol; report it to its operator", behind(.endpoint.as_deref()))]
    PeerMisbehaved {
        /// Where, if this is the error of the only attempt; one of several is told with
        /// its endpoint ([`Attempt::endpoint`]).
        endpoint: Option<Box<Endpoint>>,
        /// How.
        source: Misbehaviour,
    },

    /// The caller's mistake.
    #[error(transparent)]
    Misuse(#[from] Misuse),

    /// No candidate gave a session: what happened at each, in the order in which they
    /// failed. At least two; a single attempt's error is reported as itself.
    #[error("no server gave a session: {}", attempts(.0))]
    AllFailed(Vec<Attempt>),

    /// Ask the user: this account was refused before, and nothing has changed since in
    /// the registry. It was not tried again.
    #[error("refused before, and not tried again before the registry's entry is changed")]
    StillRefused(#[source] Arc<ConnectError>),
    /// The registry cannot be read, and nothing was ever read from it.
    #[error("it is not known which servers to use")]
    Registry(#[from] RegistryError),
    /// No server of the registry gave a session: what happened at each, in the order in
    /// which they were tried. At least two; a single server's error is reported as
    /// itself.
    #[error("no server gave a session: {}", servers(.0))]
    AllServersFailed(Vec<ServerFailure>),
    /// The time is over that the application gave. The source tells of the last round.
    #[error("no session within {} s, in {rounds} rounds; try for longer, or look at the server", .within.as_secs_f32())]
    GaveUp {
        /// How long it was tried.
        within: Duration,
        /// How often.
        rounds: u32,
        /// What happened in the last round, if that is known.
        #[source]
        last: Option<Box<ConnectError>>,
    },
}

/// What answers where an XMPP server should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Foreign {
    /// HTTP: a captive portal, or a web server.
    Http,
    /// TLS, where the stream was to begin in the clear.
    Tls,
    /// Something else.
    Unknown,
}

impl Foreign {
    /// By the fault of the stream, and by what was read.
    pub(crate) const fn of(fault: &StreamFault, read: &[u8]) -> Self {
        match (fault, read) {
            (StreamFault::WebServer { .. }, _) => Self::Http,
            // A record of TLS: an alert or a handshake, version 3.x (RFC 8446 §5.1).
            (_, [21 | 22, 3, ..]) => Self::Tls,
            _ => Self::Unknown,
        }
    }

    const fn advice(self) -> &'static str {
        match self {
            // The source has it.
            Self::Http => "",
            Self::Tls => "; give the endpoint's mode as direct TLS",
            Self::Unknown => "; check the port, or log in to this network if it asks for that",
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP, not XMPP; it may be a captive portal",
            Self::Tls => "TLS where the stream begins in the clear",
            Self::Unknown => "something that is not XMPP",
        })
    }
}

/// One server of a registry that gave no session.
#[derive(Debug)]
#[non_exhaustive]
pub struct ServerFailure {
    /// Whose session it was to be.
    pub account: BareJid,
    /// How long it was tried.
    pub elapsed: Duration,
    /// Why it failed.
    pub error: ConnectError,
}

/// A way to log in with fewer round trips.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ShortCut {
    /// What was offered last time was used before it was offered this time.
    Ahead,
    /// The login by a token, or another login after its refusal (XEP-0484).
    Token,
}

impl fmt::Display for ShortCut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ahead => "what it offered last time",
            Self::Token => "the token, nor another login after it",
        })
    }
}

/// What the caller did wrong.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The token is of another account.
    #[error("the session to resume belongs to another account; connect without it")]
    ForeignToken,
    /// Something given by the caller is too large for a stanza.
    #[error("a login element cannot be sent: shorten what was given")]
    Encode(#[from] EncodeError),
    /// The operating system has no random bytes.
    #[error("the operating system gives no random bytes; without them no login is safe")]
    NoEntropy,
    /// A blocking computation was cancelled because the runtime shuts down.
    #[error("the runtime shuts down")]
    ShuttingDown,
    /// A [`Dial`](stanchion_transport::Dial) of the program's own gave a connection without
    /// TLS where the handshake was asked for.
    #[error("the dialler was asked for TLS and gave none; correct the program that brings it")]
    Unprotected,
    /// A server's entry in the registry cannot be used.
    #[error("the registry's entry cannot be used; correct it")]
    Config(#[from] ConfigError),
    /// The registry is empty.
    #[error("no server is registered; add one first")]
    NoServer,
    /// The in-memory connector has nothing prepared.
    #[error("no connection is prepared")]
    NothingPrepared,
}

/// One candidate that gave no session.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// Which.
    pub endpoint: Endpoint,
    /// What was being done when it failed.
    pub phase: Phase,
    /// How long it took, from the beginning of the attempt.
    pub elapsed: Duration,
    /// Why it failed.
    pub error: ConnectError,
}

/// Whether another attempt makes sense.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Retry {
    /// Yes, after a while ([`crate::backoff`]).
    Later,
    /// Once somebody has changed something: the password, the address, the trusted
    /// certificates. An unattended device may go on trying at the longest interval,
    /// but never with a password that was refused.
    AfterUser,
    /// No: this program or the server has to be changed.
    Never,
}

/// Whom to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// The way to the server, or the state that it is in.
    Network,
    /// The connection would not have been safe.
    Security,
    /// The server refuses this account.
    Authentication,
    /// The server broke the protocol.
    Peer,
    /// The caller.
    Misuse,
}

impl ConnectError {
    /// The same, as the error of the only attempt: it names its endpoint.
    pub(crate) fn only_at(mut self, place: Endpoint) -> Self {
        match &mut self {
            Self::Deadline { endpoint, .. }
            | Self::Lost { endpoint, .. }
            | Self::Stream { endpoint, .. }
            | Self::Certificate { endpoint, .. }
            | Self::Tls { endpoint, .. }
            | Self::PeerMisbehaved { endpoint, .. } => *endpoint = Some(Box::new(place)),
            _ => {}
        }
        self
    }

    /// What the transport says of `endpoint`.
    pub(crate) fn dial(endpoint: &Endpoint, error: DialError) -> Self {
        match error {
            DialError::Resolve { host, .. } => {
                Self::Resolve(ResolveError::NoSuchName { name: host })
            }
            DialError::Unreachable { source, .. }
                if source.kind() == std::io::ErrorKind::ConnectionRefused =>
            {
                Self::Refused {
                    endpoint: endpoint.clone(),
                }
            }
            DialError::Unreachable { source, .. } => Self::Unreachable {
                endpoint: endpoint.clone(),
                source,
            },
            DialError::Tls {
                domain,
                source: TlsError::Certificate(fault),
            } => Self::Certificate {
                endpoint: None,
                domain,
                fault,
            },
            DialError::Tls { domain, source } => Self::Tls {
                endpoint: None,
                domain,
                source,
            },
            DialError::WebSocket { source, .. } => Self::WebSocket {
                endpoint: endpoint.clone(),
                source,
            },
            // The transport may gain reasons; they are the network's until named here.
            other => Self::Unreachable {
                endpoint: endpoint.clone(),
                source: std::io::Error::other(other),
            },
        }
    }
}

impl From<Misbehaviour> for ConnectError {
    fn from(source: Misbehaviour) -> Self {
        Self::PeerMisbehaved {
            endpoint: None,
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_transport::TlsMode;

    fn endpoint() -> Endpoint {
        Endpoint::at(([192, 0, 2, 1], 5222).into(), TlsMode::StartTls)
    }

    #[test]
    fn a_closed_port_is_told_from_an_unreachable_host() {
        let dial = |kind: std::io::ErrorKind| DialError::Unreachable {
            endpoint: String::new(),
            source: kind.into(),
        };
        let refused = ConnectError::dial(&endpoint(), dial(std::io::ErrorKind::ConnectionRefused));
        assert!(matches!(refused, ConnectError::Refused { .. }));
        assert!(refused.to_string().contains("192.0.2.1:5222"));
        let unreachable =
            ConnectError::dial(&endpoint(), dial(std::io::ErrorKind::HostUnreachable));
        assert!(matches!(unreachable, ConnectError::Unreachable { .. }));
    }

    #[test]
    fn a_web_server_without_a_websocket_is_told_from_a_network_that_fails() {
        let dial = |source| {
            let uri = "wss://example.org/xmpp".to_owned();
            ConnectError::dial(&endpoint(), DialError::WebSocket { uri, source })
        };
        for (fault, retry, advice) in [
            (
                UpgradeError::Refused { status: 404 },
                Retry::AfterUser,
                "check the URI",
            ),
            (
                UpgradeError::Refused { status: 503 },
                Retry::Later,
                "try later",
            ),
            (
                UpgradeError::Page { status: 200 },
                Retry::AfterUser,
                "log in to this network",
            ),
            (
                UpgradeError::Subprotocol,
                Retry::AfterUser,
                "another service",
            ),
            (UpgradeError::Closed, Retry::Later, "try later"),
        ] {
            let error = dial(fault);
            assert!(matches!(error, ConnectError::WebSocket { .. }));
            assert_eq!((error.kind(), error.retry()), (Kind::Network, retry));
            assert!(with_causes(&error).contains(advice), "{error:?}");
        }
    }
}

//! Why there is no session: one enum, sorted by blame, and what a caller may do about
//! it ([`ConnectError::retry`], [`ConnectError::kind`]). No policy: waiting is in
//! `backoff`, and the choice of the next candidate in `connector`.

use std::error::Error as _;
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::Duration;

use stanchion_sasl::{AuthError, SaslCondition, SelectError};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};
use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{BareJid, Text, codec::EncodeError};
use stanchion_transport::tls::{CertificateFault, TlsError};
use stanchion_transport::{DialError, Endpoint, StreamFault};
use thiserror::Error;

use crate::config::ConfigError;
use crate::misbehaviour::Misbehaviour;
use crate::phase::Phase;
use crate::registry::RegistryError;
use crate::resolve::ResolveError;

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
    #[error("{phase}: no answer within {} s; the server hangs or the network loses packets, try later", .limit.as_secs_f32())]
    Deadline {
        /// What was waited for.
        phase: Phase,
        /// For how long.
        limit: Duration,
    },
    /// The network: the connection ended in the middle.
    #[error("{phase}: the connection ended before there was a session; try later")]
    Lost {
        /// What was waited for.
        phase: Phase,
        /// How it ended; `None` if by the stream's closing tag.
        source: Option<StreamFault>,
    },
    /// The network: something answers, and it is no XMPP server; or the port is another
    /// one than was thought.
    #[error("{endpoint} answers with {what}; {}", .what.advice())]
    NotXmpp {
        /// Where.
        endpoint: Endpoint,
        /// What it speaks.
        what: Foreign,
        /// How that showed.
        source: StreamFault,
    },
    /// The server ended the stream, and said why. [`ConnectError::retry`] depends on it.
    #[error("{phase}: the server ended the stream with {}; {}", words(.error), advice(.error.condition))]
    Stream {
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
    #[error("{fault}")]
    Certificate {
        /// The domain that the certificate should be for.
        domain: String,
        /// What is wrong with it.
        fault: CertificateFault,
    },
    /// The TLS handshake failed for another reason than the certificate.
    #[error("no TLS with {domain}")]
    Tls {
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
    #[error("the server broke the protocol; report it to its operator")]
    PeerMisbehaved(#[from] Misbehaviour),

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
            Self::Http => {
                "a captive portal may be on the way: open a web page and log in to this \
                 network; or the port is one for the Web"
            }
            Self::Tls => "give the endpoint's mode as direct TLS",
            Self::Unknown => "check the port, or log in to this network if it asks for that",
        }
    }
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP, not XMPP",
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
    /// Whether another attempt makes sense.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Self::Resolve(ResolveError::Failed { .. })
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::Deadline { .. }
            | Self::Lost { .. }
            | Self::ResumeUnanswered
            | Self::ShortCutRefused { .. } => Retry::Later,
            Self::Resolve(_) | Self::TooManyRedirects { .. } | Self::NotXmpp { .. } => {
                Retry::AfterUser
            }
            Self::Stream { error, .. } => stream_retry(error.condition),
            Self::TlsNotOffered
            | Self::TlsVanished
            | Self::TlsDemanded
            | Self::TlsRefused
            | Self::Certificate { .. }
            | Self::NoMechanism(..)
            | Self::TasksDemanded { .. } => Retry::AfterUser,
            Self::Tls { source, .. } => match source {
                TlsError::Io(_) | TlsError::Closed => Retry::Later,
                TlsError::PeerMisbehaved(_) | TlsError::Domain(_) => Retry::Never,
                _ => Retry::AfterUser,
            },
            Self::Login(error) => match error {
                AuthError::Refused(_)
                | AuthError::Credentials(_)
                | AuthError::TooFewIterations { .. }
                | AuthError::TooManyIterations { .. }
                | AuthError::SaltLength { .. }
                | AuthError::ServerSignatureWrong
                | AuthError::ServerSignatureMissing
                | AuthError::OfferTampered => Retry::AfterUser,
                _ => Retry::Never,
            },
            Self::AuthRefused { condition, .. } => match condition {
                SaslCondition::TemporaryAuthFailure => Retry::Later,
                _ => Retry::AfterUser,
            },
            Self::BindRefused(error) => match (error.kind, error.condition) {
                (ErrorType::Wait, _) | (_, DefinedCondition::ResourceConstraint) => Retry::Later,
                _ => Retry::AfterUser,
            },
            Self::PeerMisbehaved(_) => Retry::Never,
            Self::Misuse(Misuse::ForeignToken | Misuse::Config(_) | Misuse::NoServer)
            | Self::StillRefused(_) => Retry::AfterUser,
            Self::Misuse(_) => Retry::Never,
            Self::Registry(_) => Retry::Later,
            Self::AllFailed(_) | Self::AllServersFailed(_) => {
                let retries = self.parts().map(Self::retry);
                retries.min().unwrap_or(Retry::Later)
            }
            Self::GaveUp { last, .. } => last.as_ref().map_or(Retry::Later, |e| e.retry()),
        }
    }

    /// Whether a device that nobody watches should go on trying by itself, with growing
    /// intervals: all but a refusal of the account, and a mistake of the caller, may
    /// pass. A captive portal shows a wrong certificate and breaks the protocol, a new
    /// domain has no address yet, a server is repaired; and nobody on the way may stop a
    /// device for good. Of several servers one is enough.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::AllFailed(_) | Self::AllServersFailed(_) => self.parts().any(Self::may_pass),
            Self::GaveUp { last, .. } => last.as_ref().is_none_or(|e| e.may_pass()),
            _ => {
                let passing = matches!(self.kind(), Kind::Network | Kind::Security | Kind::Peer);
                self.retry() == Retry::Later || passing
            }
        }
    }

    /// The errors that this one is put together from.
    fn parts(&self) -> Box<dyn Iterator<Item = &Self> + '_> {
        match self {
            Self::AllFailed(attempts) => Box::new(attempts.iter().map(|a| &a.error)),
            Self::AllServersFailed(servers) => Box::new(servers.iter().map(|s| &s.error)),
            _ => Box::new(std::iter::empty()),
        }
    }

    /// Whether a server refused the account for good: to try the same credentials there
    /// again is of no use, and may lock the account.
    #[must_use]
    pub fn is_a_refusal(&self) -> bool {
        self.refusal().is_some()
    }

    /// The refusal in it, if there is one.
    pub(crate) fn refusal(&self) -> Option<Self> {
        match self {
            Self::AuthRefused { condition, text }
                if !matches!(condition, SaslCondition::TemporaryAuthFailure) =>
            {
                Some(Self::AuthRefused {
                    condition: *condition,
                    text: text.clone(),
                })
            }
            Self::AllFailed(_) => self.parts().find_map(Self::refusal),
            _ => None,
        }
    }

    /// Whether the endpoint is to blame, and not the account, the caller, the name server
    /// or this machine's own network.
    pub(crate) fn blames_the_endpoint(&self) -> bool {
        use std::io::ErrorKind;
        match self {
            Self::Unreachable { source, .. } => !matches!(
                source.kind(),
                ErrorKind::NetworkUnreachable
                    | ErrorKind::NetworkDown
                    | ErrorKind::AddrNotAvailable
                    | ErrorKind::PermissionDenied
            ),
            Self::Resolve(ResolveError::Failed { .. })
            | Self::Login(_)
            | Self::BindRefused(_)
            | Self::Misuse(_)
            | Self::TasksDemanded { .. }
            | Self::ShortCutRefused { .. }
            | Self::ResumeUnanswered => false,
            error => !error.is_a_refusal(),
        }
    }

    /// Whom to blame. Of several attempts, the refusal that is hardest to overcome by
    /// waiting counts.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Resolve(_)
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::Deadline { .. }
            | Self::Lost { .. }
            | Self::ResumeUnanswered
            | Self::NotXmpp { .. }
            | Self::Registry(_)
            | Self::ShortCutRefused { .. }
            | Self::TooManyRedirects { .. } => Kind::Network,
            Self::Stream { error, .. } => match error.condition {
                StreamCondition::NotAuthorized | StreamCondition::Conflict => Kind::Authentication,
                c if stream_retry(c) == Retry::Never => Kind::Peer,
                _ => Kind::Network,
            },
            Self::TlsNotOffered
            | Self::TlsVanished
            | Self::TlsDemanded
            | Self::TlsRefused
            | Self::Certificate { .. }
            | Self::NoMechanism(..) => Kind::Security,
            Self::Tls { source, .. } => match source {
                TlsError::Io(_) | TlsError::Closed => Kind::Network,
                TlsError::PeerMisbehaved(_) => Kind::Peer,
                TlsError::Domain(_) => Kind::Misuse,
                _ => Kind::Security,
            },
            Self::Login(error) => match error {
                AuthError::Refused(_) | AuthError::Credentials(_) => Kind::Authentication,
                AuthError::Malformed(_) | AuthError::UnexpectedData => Kind::Peer,
                AuthError::Misuse | AuthError::Framework => Kind::Misuse,
                _ => Kind::Security,
            },
            Self::AuthRefused { .. } | Self::TasksDemanded { .. } | Self::BindRefused(_) => {
                Kind::Authentication
            }
            Self::PeerMisbehaved(_) => Kind::Peer,
            Self::Misuse(_) => Kind::Misuse,
            Self::StillRefused(error) => error.kind(),
            Self::GaveUp { last, .. } => last.as_ref().map_or(Kind::Network, |e| e.kind()),
            Self::AllFailed(_) | Self::AllServersFailed(_) => {
                let kinds: Vec<Kind> = self.parts().map(Self::kind).collect();
                [
                    Kind::Misuse,
                    Kind::Authentication,
                    Kind::Security,
                    Kind::Peer,
                ]
                .into_iter()
                .find(|k| kinds.contains(k))
                .unwrap_or(Kind::Network)
            }
        }
    }

    /// Whether no other candidate may be tried: the account was refused, or what the
    /// caller gave is wrong, or somebody poses as the server.
    pub(crate) const fn ends_the_walk(&self) -> bool {
        match self {
            Self::AuthRefused { condition, .. } => {
                !matches!(condition, SaslCondition::TemporaryAuthFailure)
            }
            Self::Login(_)
            | Self::TasksDemanded { .. }
            | Self::BindRefused(_)
            | Self::Misuse(_)
            | Self::ResumeUnanswered
            | Self::ShortCutRefused { .. } => true,
            _ => false,
        }
    }

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
            } => Self::Certificate { domain, fault },
            DialError::Tls { domain, source } => Self::Tls { domain, source },
            // The transport may gain reasons; they are the network's until named here.
            other => Self::Unreachable {
                endpoint: endpoint.clone(),
                source: std::io::Error::other(other),
            },
        }
    }
}

const fn stream_retry(condition: StreamCondition) -> Retry {
    match condition {
        StreamCondition::Conflict
        | StreamCondition::HostGone
        | StreamCondition::HostUnknown
        | StreamCondition::NotAuthorized
        // Left over from the redirections: to a place that nobody can go to.
        | StreamCondition::SeeOtherHost => Retry::AfterUser,
        StreamCondition::BadFormat
        | StreamCondition::BadNamespacePrefix
        | StreamCondition::ImproperAddressing
        | StreamCondition::InvalidFrom
        | StreamCondition::InvalidNamespace
        | StreamCondition::InvalidXml
        | StreamCondition::NotWellFormed
        | StreamCondition::RestrictedXml
        | StreamCondition::UnsupportedEncoding
        | StreamCondition::UnsupportedFeature
        | StreamCondition::UnsupportedStanzaType
        | StreamCondition::UnsupportedVersion => Retry::Never,
        _ => Retry::Later,
    }
}

const fn advice(condition: StreamCondition) -> &'static str {
    match condition {
        StreamCondition::HostUnknown | StreamCondition::HostGone => {
            "it does not serve this domain: check the address"
        }
        StreamCondition::Conflict => "another session took over: give each its own resource",
        StreamCondition::NotAuthorized => "check the account",
        StreamCondition::SeeOtherHost => {
            "that is no host and port: name the server's host and port, or tell its operator"
        }
        c => match stream_retry(c) {
            Retry::Never => "the two do not understand each other: report this",
            _ => "try later",
        },
    }
}

const fn login_advice(condition: &SaslCondition) -> &'static str {
    match condition {
        SaslCondition::NotAuthorized => "check the user name and the password",
        SaslCondition::AccountDisabled => "ask the server's operator to enable the account",
        SaslCondition::CredentialsExpired => "set a new password",
        SaslCondition::EncryptionRequired => "use TLS",
        SaslCondition::MechanismTooWeak => "the server wants a stronger mechanism",
        SaslCondition::InvalidAuthzid => "check the identity to act as",
        SaslCondition::TemporaryAuthFailure => "try later",
        _ => "report this with the mechanism's name",
    }
}

/// A stream error as it may be shown: what the server says is short and harmless.
fn words(error: &StreamError) -> String {
    let mut words = error.condition.to_string();
    if let Some(value) = &error.value {
        let _ = write!(words, " {:?}", shortened(value));
    }
    words + &spoken(error.text.as_ref())
}

fn spoken(text: Option<&Text>) -> String {
    text.map(|t| format!(": {}", shortened(t)))
        .unwrap_or_default()
}

/// A peer's text for a message: short, and without control characters that a terminal
/// would obey.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 200;
    let mut short: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MOST)
        .collect();
    if text.chars().nth(MOST).is_some() {
        short.push('…');
    }
    short
}

fn names(offered: &[Text]) -> String {
    if offered.is_empty() {
        return "nothing".to_owned();
    }
    shortened(
        &offered
            .iter()
            .map(Text::as_str)
            .collect::<Vec<_>>()
            .join(", "),
    )
}

fn attempts(attempts: &[Attempt]) -> String {
    let mut text = String::new();
    for (n, attempt) in attempts.iter().enumerate() {
        let separator = if n == 0 { "" } else { "; " };
        let Attempt {
            endpoint,
            phase,
            elapsed,
            error,
        } = attempt;
        let seconds = elapsed.as_secs_f32();
        let _ = write!(text, "{separator}{endpoint} ({phase}, {seconds:.1} s): ");
        write_chain(&mut text, error);
    }
    text
}

fn servers(servers: &[ServerFailure]) -> String {
    let mut text = String::new();
    for (n, server) in servers.iter().enumerate() {
        let separator = if n == 0 { "" } else { "; " };
        let _ = write!(text, "{separator}{}: ", server.account);
        write_chain(&mut text, &server.error);
    }
    text
}

/// An error with its causes.
fn write_chain(text: &mut String, error: &ConnectError) {
    // Writing to a String cannot fail.
    let _ = write!(text, "{error}");
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
}

/// An error with its causes, in one line for people.
#[must_use]
pub fn with_causes(error: &ConnectError) -> String {
    let mut text = String::new();
    write_chain(&mut text, error);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_transport::TlsMode;

    fn endpoint() -> Endpoint {
        Endpoint::at(([192, 0, 2, 1], 5222).into(), TlsMode::StartTls)
    }

    fn attempt(error: ConnectError) -> Attempt {
        Attempt {
            endpoint: endpoint(),
            phase: Phase::Tcp,
            elapsed: Duration::ZERO,
            error,
        }
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
    fn of_several_attempts_the_gravest_names_the_kind_and_the_mildest_the_retry() {
        let all = ConnectError::AllFailed(vec![
            attempt(ConnectError::Refused {
                endpoint: endpoint(),
            }),
            attempt(ConnectError::TlsNotOffered),
        ]);
        assert_eq!(all.kind(), Kind::Security);
        assert_eq!(all.retry(), Retry::Later);
    }

    #[test]
    fn one_server_that_may_come_back_is_enough_to_go_on_and_a_refusal_of_all_is_not() {
        let refused = || ConnectError::AuthRefused {
            condition: SaslCondition::NotAuthorized,
            text: None,
        };
        let server = |error| ServerFailure {
            account: "a@b.example".parse().unwrap(),
            elapsed: Duration::ZERO,
            error,
        };
        let away = || ConnectError::Refused {
            endpoint: endpoint(),
        };
        let one = ConnectError::AllServersFailed(vec![server(refused()), server(away())]);
        assert!(one.may_pass());
        assert_eq!(one.retry(), Retry::Later);
        let still = ConnectError::StillRefused(Arc::new(refused()));
        let all = ConnectError::AllServersFailed(vec![server(refused()), server(still)]);
        assert!(!all.may_pass());
        assert_eq!(all.kind(), Kind::Authentication);
        assert!(all.to_string().contains("a@b.example: refused before"));
        assert!(all.to_string().contains("check the user name"));
    }

    #[test]
    fn every_stream_condition_is_classified_and_advised() {
        for condition in StreamCondition::ALL {
            let error = ConnectError::Stream {
                phase: Phase::Stream,
                error: StreamError::new(*condition),
            };
            assert!(error.to_string().contains(condition.as_str()));
            if *condition == StreamCondition::SystemShutdown {
                assert_eq!((error.retry(), error.kind()), (Retry::Later, Kind::Network));
            }
        }
    }

    #[test]
    fn a_refused_password_ends_the_walk_and_a_temporary_failure_does_not() {
        let refused = |condition| ConnectError::AuthRefused {
            condition,
            text: None,
        };
        assert!(refused(SaslCondition::NotAuthorized).ends_the_walk());
        assert!(!refused(SaslCondition::TemporaryAuthFailure).ends_the_walk());
    }

    #[test]
    fn a_peers_text_cannot_flood_or_steer_the_terminal() {
        let text = Text::new(format!("\t\u{9b}2J{}", "x".repeat(5000))).unwrap();
        let shown = ConnectError::AuthRefused {
            condition: SaslCondition::NotAuthorized,
            text: Some(text),
        }
        .to_string();
        assert!(shown.len() < 400);
        assert!(!shown.contains('\u{9b}'));
    }
}

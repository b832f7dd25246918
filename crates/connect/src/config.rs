//! What a connector is told: whose session, which servers, what is safe enough, and
//! how long to wait. Plain data; each consequence stands with its field.

use std::time::Duration;

use stanchion_sasl::prepare::PrepareError;
use stanchion_sasl::{Credentials, Policy};
use stanchion_stanza::{BareJid, Limits, Text};
use stanchion_transport::tls::TlsConfigError;
use stanchion_transport::{Endpoint, TlsMode, TlsPolicy};
use thiserror::Error;

use crate::phase::Phase;

/// Whose session it is.
#[derive(Debug, Clone)]
pub struct Account {
    /// The address. Its domainpart is what servers must prove to be; for an anonymous
    /// login it is all there is.
    pub jid: BareJid,
    /// The resource to wish for; the server may give another. Default `None`: its choice.
    pub resource: Option<Text>,
    /// How the account proves itself.
    pub credentials: Credentials,
}

impl Account {
    /// An account with a password, whose user name is the localpart of `jid`
    /// (RFC 6120 §6.3.8).
    #[must_use]
    pub fn with_password(jid: BareJid, password: &str) -> Self {
        let user = jid.local().unwrap_or_default().to_owned();
        Self {
            jid,
            resource: None,
            credentials: Credentials::password(user, password.to_owned()),
        }
    }
}

/// Where the servers of the domain are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Endpoints {
    /// Look them up in DNS: SRV records, else the domain itself (RFC 6120 §3.2).
    #[default]
    Discover,
    /// These and no others, in this order. A resumption stays on them, too, whatever
    /// place the server prefers for it; only `see-other-host` leads away.
    Explicit(Vec<Endpoint>),
}

/// Whether anything goes out in the clear.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Plaintext {
    /// Never: a server without TLS is refused.
    #[default]
    Refuse,
    /// **Dangerous.** Use a server without TLS as it is, and endpoints of
    /// [`TlsMode::None`]. An attacker on the way can make any server look like that
    /// and read and change everything. The bare password still needs
    /// [`Policy::allow_plain_without_tls`].
    Allow,
}

/// All that a connector is told besides the account.
#[derive(Debug, Clone)]
pub struct ConnectConfig {
    /// Where the servers are. Default: look them up.
    pub endpoints: Endpoints,
    /// Whom to trust. Default: the certificate authorities of the Web.
    pub tls: TlsPolicy,
    /// Which mechanisms are good enough.
    pub sasl: Policy,
    /// Whether to do without TLS. Default: never.
    pub plaintext: Plaintext,
    /// Whether to enable stream management (XEP-0198) where it is offered. Default
    /// `true`. Without it, a lost connection loses what was under way, unnoticed.
    pub stream_management: bool,
    /// Whether to ask for a token and to log in with it the next time, where the server
    /// hands them out (FAST, XEP-0484): one round trip less, and no work on the password.
    /// Default `true`. A token is as good as the password until it ends; it lies in
    /// [`ServerMemory`](crate::negotiation::ServerMemory).
    pub fast: bool,
    /// Bounds on what the server may send in one stanza.
    pub limits: Limits,
    /// How long to wait.
    pub timeouts: Timeouts,
    /// How candidates race for the connection.
    pub race: RaceConfig,
}

impl Default for ConnectConfig {
    fn default() -> Self {
        Self {
            endpoints: Endpoints::default(),
            tls: TlsPolicy::default(),
            sasl: Policy::default(),
            plaintext: Plaintext::default(),
            stream_management: true,
            fast: true,
            limits: Limits::default(),
            timeouts: Timeouts::default(),
            race: RaceConfig::default(),
        }
    }
}

/// How candidates race for the connection (RFC 8305, carried on up to TLS).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RaceConfig {
    /// The next candidate starts so long after the one before, and at once if that one
    /// fails. Default 250 ms (RFC 8305 §8). Where a candidate is known to need longer,
    /// the next one waits for twice that time, at most 2 s.
    pub stagger: Duration,
    /// Connections under way at the same moment. Default 8; 1 tries them one after the
    /// other. 0 is taken as 1.
    pub at_once: usize,
    /// Addresses and names that are tried at most. Default 32.
    pub in_all: usize,
}

impl Default for RaceConfig {
    fn default() -> Self {
        Self {
            stagger: Duration::from_millis(250),
            at_once: 8,
            in_all: 32,
        }
    }
}

/// How long each phase may take, from its beginning: a server that sends a byte now
/// and then gains nothing by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// One DNS look-up. Default 5 s.
    pub resolve: Duration,
    /// The TCP connection to one address. Default 10 s.
    pub tcp: Duration,
    /// The TLS handshake. Default 10 s.
    pub tls: Duration,
    /// Stream header and features, each of up to three times; and the answer to
    /// `<starttls/>`. Default 10 s.
    pub stream: Duration,
    /// The login, deriving keys from the password included: a small device may need
    /// seconds for that. Default 15 s.
    pub sasl: Duration,
    /// Resuming the session before. Default 10 s.
    pub resume: Duration,
    /// Binding a resource, and enabling stream management, each. Default 10 s.
    pub bind: Duration,
    /// All candidates together. Default 60 s.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            resolve: seconds(5),
            tcp: seconds(10),
            tls: seconds(10),
            stream: seconds(10),
            sasl: seconds(15),
            resume: seconds(10),
            bind: seconds(10),
            total: seconds(60),
        }
    }
}

impl Timeouts {
    /// The time for one phase.
    #[must_use]
    pub const fn of(&self, phase: Phase) -> Duration {
        match phase {
            Phase::Resolve => self.resolve,
            Phase::Tcp => self.tcp,
            Phase::Tls => self.tls,
            Phase::Stream | Phase::StartTls => self.stream,
            Phase::Authentication => self.sasl,
            Phase::Resumption => self.resume,
            Phase::Binding | Phase::StreamManagement => self.bind,
        }
    }
}

/// What is wrong with a configuration, before any connection.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The TLS policy cannot be followed.
    #[error("the TLS settings cannot be used")]
    Tls(#[from] TlsConfigError),
    /// User name, password or identity cannot be used in a login.
    #[error("the user name, password or identity cannot be used")]
    Credentials(#[from] PrepareError),
    /// The list of endpoints is empty.
    #[error("the list of endpoints is empty; name one, or let them be discovered")]
    NoEndpoint,
    /// An endpoint without TLS, and plaintext is refused.
    #[error("{0} is to be used without TLS; allow plaintext in so many words, or use STARTTLS")]
    PlaintextRefused(Endpoint),
    /// A component's address that leaves no room for a resource.
    #[error("{0} is too long for a component's address")]
    TooLong(BareJid),
    /// STARTTLS or a WebSocket for a component.
    #[error(
        "{0} is a place for clients; give the server's port for components, with direct TLS or without"
    )]
    ForClients(Endpoint),
    /// A component in the clear, and not on this machine.
    #[error(
        "{0} is another machine, and a component without TLS can be overheard and changed on the way; use direct TLS or a tunnel to loopback, or allow plaintext in so many words"
    )]
    ComponentInTheClear(Endpoint),
}

impl ConnectConfig {
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let Endpoints::Explicit(endpoints) = &self.endpoints else {
            return Ok(());
        };
        if endpoints.is_empty() {
            return Err(ConfigError::NoEndpoint);
        }
        let bare = endpoints.iter().find(|e| e.mode == TlsMode::None);
        match (bare, self.plaintext) {
            (Some(endpoint), Plaintext::Refuse) => {
                Err(ConfigError::PlaintextRefused(endpoint.clone()))
            }
            _ => Ok(()),
        }
    }
}

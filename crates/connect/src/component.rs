//! A component's connection (XEP-0114): a whole domain that is a program of its own,
//! attached to a server by a secret that both know. Owns the handshake and where it may be
//! made. There is neither login, resource nor stream management; what a component says and
//! hears afterwards is the session's affair, and that its stanzas have a sender is
//! [`XmppStream::of_component`]'s.

use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use sha1::{Digest as _, Sha1};
use stanchion_sasl::SaslCondition;
use stanchion_sasl::policy::{ChannelSecurity, TlsVersion};
use stanchion_stanza::payload::component::Handshake;
use stanchion_stanza::stream::{StreamCondition, StreamError, StreamHeader};
use stanchion_stanza::{BareJid, Element, FullJid, Jid, Limits, Payload as _, StreamEvent, ns};
use stanchion_transport::security::{self, Security, Trust};
use stanchion_transport::{
    Dial, Endpoint, Host, StreamFault, TcpDial, TlsConnector, TlsMode, TlsPolicy, XmppStream,
};
use tokio::time::{Instant, timeout_at};

use crate::config::{ConfigError, Plaintext, Timeouts};
use crate::connection::{Connect, Connection, Timings};
use crate::error::{ConnectError, Foreign};
use crate::misbehaviour::Misbehaviour;
use crate::negotiation::{Established, ResumeToken};
use crate::phase::Phase;

/// The resource of the address under which a component's session is told: a component has
/// none, and speaks as its domain or as an address there.
const RESOURCE: &str = "component";
/// What is shown of what came in place of an answer, in characters.
const SHOWN: usize = 40;

/// Where a component connects to, and how.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ComponentConfig {
    /// The server's port for components. [`TlsMode::None`] or [`TlsMode::Direct`]: there is
    /// no STARTTLS for components.
    pub endpoint: Endpoint,
    /// Whether it may be done without TLS over a network. Default never: in the clear only
    /// to this machine itself, to an address of loopback or to `localhost`. Such a stream
    /// counts as protected: what it carries does not leave the machine.
    pub plaintext: Plaintext,
    /// Whom to trust with TLS. The certificate must be the component's domain's. Default:
    /// the certificate authorities of the Web.
    pub tls: TlsPolicy,
    /// Bounds on what the server may send in one stanza.
    pub limits: Limits,
    /// How long to wait.
    pub timeouts: Timeouts,
}

impl ComponentConfig {
    /// That place, and the defaults.
    #[must_use]
    pub fn at(endpoint: Endpoint) -> Self {
        Self {
            endpoint,
            plaintext: Plaintext::default(),
            tls: TlsPolicy::default(),
            limits: Limits::default(),
            timeouts: Timeouts::default(),
        }
    }

    fn check(&self) -> Result<(), ConfigError> {
        let endpoint = || self.endpoint.clone();
        match self.endpoint.mode {
            _ if self.endpoint.websocket().is_some() => Err(ConfigError::ForClients(endpoint())),
            TlsMode::StartTls => Err(ConfigError::ForClients(endpoint())),
            TlsMode::None if !self.is_local() && self.plaintext == Plaintext::Refuse => {
                Err(ConfigError::ComponentInTheClear(endpoint()))
            }
            _ => Ok(()),
        }
    }

    /// Whether the stream stays on this machine.
    fn is_local(&self) -> bool {
        match &self.endpoint.host {
            Host::Ip(IpAddr::V4(ip)) => ip.is_loopback(),
            Host::Ip(IpAddr::V6(ip)) => ip.to_canonical().is_loopback(),
            // Resolvers must not ask anybody for it (RFC 6761 §6.3).
            Host::Name(name) => name.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// Connects as a component.
///
/// ```
/// use stanchion_connect::component::{ComponentConfig, ComponentConnector};
/// use stanchion_transport::{Endpoint, TlsMode};
/// let here = Endpoint::at(([127, 0, 0, 1], 5347).into(), TlsMode::None);
/// let config = ComponentConfig::at(here);
/// let cloud = ComponentConnector::new("cloud.example.org".parse()?, "secret".into(), config)?;
///
/// let elsewhere = Endpoint::at(([192, 0, 2, 1], 5347).into(), TlsMode::None);
/// let config = ComponentConfig::at(elsewhere);
/// let refused = ComponentConnector::new("cloud.example.org".parse()?, "secret".into(), config);
/// assert!(refused.is_err(), "nothing goes over a network in the clear");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ComponentConnector {
    domain: Jid,
    address: BareJid,
    jid: FullJid,
    secret: SecretString,
    config: ComponentConfig,
    dial: Arc<dyn Dial>,
}

impl fmt::Debug for ComponentConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ComponentConnector")
            .field("address", &self.address)
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

impl ComponentConnector {
    /// A connector on TCP, for a component that speaks as `address`: its domain, or one
    /// address there. It gets what is for any address of the domain, but confirms as that
    /// one: senders that go by the address count on it alone. Reads the trusted
    /// certificates, which may block on files.
    ///
    /// # Errors
    /// [`ConfigError`] names what to correct.
    pub fn new(
        address: BareJid,
        secret: SecretString,
        config: ComponentConfig,
    ) -> Result<Self, ConfigError> {
        let tls = TlsConnector::new(&config.tls)?;
        Self::with_dial(address, secret, config, Arc::new(TcpDial::new(tls)))
    }

    /// A connector on any transport. [`ComponentConfig::tls`] is not looked at: it is the
    /// dialler's.
    ///
    /// # Errors
    /// [`ConfigError`] names what to correct.
    pub fn with_dial(
        address: BareJid,
        secret: SecretString,
        config: ComponentConfig,
        dial: Arc<dyn Dial>,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        let too_long = |_| ConfigError::TooLong(address.clone());
        let domain = Jid::from_parts(None, address.domain(), None).map_err(too_long)?;
        let jid = address.with_resource(RESOURCE).map_err(too_long)?;
        Ok(Self {
            domain,
            address,
            jid,
            secret,
            config,
            dial,
        })
    }

    async fn attempt(&self) -> Result<Connection, ConnectError> {
        let mut clock = Clock::start(self.config.timeouts);
        let mut stream = self.open(&mut clock).await?;
        let done = self.shake_hands(&mut stream, &mut clock).await;
        if let Err(error) = done {
            // The server need not wait for us.
            let _ = clock.limit(stream.close()).await;
            return Err(error);
        }
        clock.enter(Phase::Authentication);
        stream.of_component(&self.address);
        let mut established = Established::new(self.jid.clone());
        established.security = channel_security(stream.security());
        established.round_trips = 2;
        let mut connection = Connection::new(stream, established, self.config.endpoint.clone());
        connection.local = self.config.is_local();
        connection.timings = clock.timings;
        Ok(connection)
    }

    async fn open(&self, clock: &mut Clock) -> Result<XmppStream, ConnectError> {
        let endpoint = &self.config.endpoint;
        let refused = |error| ConnectError::dial(endpoint, error);
        let place = endpoint.clone().with_mode(TlsMode::None);
        let dialled = self.dial.dial(&place, self.domain.domain());
        let mut pipe = clock.limit(dialled).await?.map_err(refused)?;
        if endpoint.mode == TlsMode::Direct {
            clock.enter(Phase::Tls);
            let direct = self.dial.direct(pipe, endpoint, self.domain.domain());
            pipe = clock.limit(direct).await?.map_err(refused)?;
        }
        clock.enter(Phase::Stream);
        Ok(XmppStream::new(pipe, self.config.limits))
    }

    /// The stream's header, its id, and the proof that we know the secret (§3).
    async fn shake_hands(
        &self,
        stream: &mut XmppStream,
        clock: &mut Clock,
    ) -> Result<(), ConnectError> {
        stream.open(&StreamHeader::component(self.domain.clone()));
        let header = match self.next(stream, clock).await? {
            StreamEvent::Open(header) => header,
            other => return Err(out_of_order(&other, "a stream header")),
        };
        if header.content_namespace() != ns::COMPONENT {
            return Err(Misbehaviour::NotForComponents.into());
        }
        if let Some(got) = header.from.filter(|from| *from != self.domain) {
            let wanted = self.domain.to_string();
            return Err(Misbehaviour::WrongDomain { wanted, got }.into());
        }
        let id = header.id.as_deref().unwrap_or_default();
        let proof = proof(id, self.secret.expose_secret());
        let handshake = Handshake {
            proof: stanchion_stanza::Text::new(proof).unwrap_or_default(),
        };
        stream
            .send(&handshake.to_element())
            .map_err(crate::error::Misuse::Encode)?;
        clock.enter(Phase::Authentication);
        match self.next(stream, clock).await? {
            StreamEvent::Element(element) if Handshake::matches(&element) => Ok(()),
            other => Err(out_of_order(&other, "<handshake/>")),
        }
    }

    /// The next event that is no stream error.
    async fn next(
        &self,
        stream: &mut XmppStream,
        clock: &mut Clock,
    ) -> Result<StreamEvent, ConnectError> {
        let phase = clock.phase;
        let lost = |source| ConnectError::Lost {
            endpoint: None,
            phase,
            source,
        };
        match clock.limit(stream.next()).await? {
            Ok(StreamEvent::Element(element)) if StreamError::matches(&element) => {
                Err(self.refusal(&element))
            }
            Ok(StreamEvent::Close) => Err(lost(None)),
            Ok(event) => Ok(event),
            Err(fault @ (StreamFault::Decode(_) | StreamFault::WebServer { .. }))
                if phase == Phase::Stream =>
            {
                Err(ConnectError::NotXmpp {
                    endpoint: self.config.endpoint.clone(),
                    what: Foreign::of(&fault, stream.unread()),
                    source: fault,
                })
            }
            Err(StreamFault::Decode(error)) => Err(Misbehaviour::Decode(error).into()),
            Err(fault) => Err(lost(Some(fault))),
        }
    }

    fn refusal(&self, element: &Element) -> ConnectError {
        let section = "RFC 6120 §4.9";
        match StreamError::from_element(element) {
            // The secret is wrong (§3): it is not tried again.
            Ok(error) if error.condition == StreamCondition::NotAuthorized => {
                ConnectError::AuthRefused {
                    condition: SaslCondition::NotAuthorized,
                    text: error.text,
                }
            }
            // All else may pass: a process before us that still seems to be connected
            // (`conflict`), a server that does not know of us yet (`host-unknown`).
            Ok(error) => ConnectError::Stream {
                endpoint: None,
                phase: Phase::Stream,
                error,
            },
            Err(source) => Misbehaviour::Payload { section, source }.into(),
        }
    }
}

/// What the component knows, proved (§3): nobody who hears it learns the secret, though
/// SHA-1 over a short secret can be guessed at.
fn proof(id: &str, secret: &str) -> String {
    let mut hash = Sha1::new();
    hash.update(id.as_bytes());
    hash.update(secret.as_bytes());
    let bytes = hash.finalize();
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn out_of_order(event: &StreamEvent, awaited: &'static str) -> ConnectError {
    let got = match event {
        StreamEvent::Open(_) => "a stream header".to_owned(),
        StreamEvent::Element(e) => {
            format!("<{}/>", e.name().chars().take(SHOWN).collect::<String>())
        }
        StreamEvent::Close => "the end of the stream".to_owned(),
    };
    Misbehaviour::OutOfOrder {
        got,
        awaited,
        section: "XEP-0114 §3",
    }
    .into()
}

fn channel_security(security: &Security) -> ChannelSecurity {
    match &security.tls {
        None => ChannelSecurity::Plaintext,
        Some(tls) => ChannelSecurity::Tls {
            version: match tls.version {
                security::TlsVersion::Tls13 => TlsVersion::Tls13,
                _ => TlsVersion::Tls12,
            },
            server_verified: matches!(tls.trust, Trust::Chain | Trust::Pin),
        },
    }
}

/// Which phase runs since when.
struct Clock {
    timeouts: Timeouts,
    give_up: Instant,
    phase: Phase,
    since: Instant,
    timings: Timings,
}

impl Clock {
    fn start(timeouts: Timeouts) -> Self {
        let since = Instant::now();
        Self {
            timeouts,
            give_up: since + timeouts.total,
            phase: Phase::Tcp,
            since,
            timings: Timings::new(),
        }
    }

    fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        self.timings.push(self.phase, now - self.since);
        (self.phase, self.since) = (phase, now);
    }

    async fn limit<T>(&self, work: impl Future<Output = T>) -> Result<T, ConnectError> {
        let limit = self.timeouts.of(self.phase);
        let deadline = self.give_up.min(self.since + limit);
        timeout_at(deadline, work)
            .await
            .map_err(|_| ConnectError::Deadline {
                endpoint: None,
                phase: self.phase,
                limit,
            })
    }
}

#[async_trait]
impl Connect for ComponentConnector {
    /// Connects. There is nothing to resume: a token is not looked at.
    async fn connect(&self, _resume: Option<ResumeToken>) -> Result<Connection, ConnectError> {
        let attempt = self.attempt().await;
        attempt.map_err(|error| error.only_at(self.config.endpoint.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_proof_is_as_in_xep_0114() {
        // `printf 3BF96D32secret | sha1sum`
        assert_eq!(
            proof("3BF96D32", "secret"),
            "b09ea9b3b7f586be8a08d0a3dd7466f110aeb136"
        );
    }

    #[test]
    fn in_the_clear_only_this_machine_is_spoken_to() {
        let config = |host: Host, mode| ComponentConfig::at(Endpoint::new(host, 5347, mode));
        let ip = |ip: &str| Host::Ip(ip.parse().unwrap());
        let name = |name: &str| Host::Name(name.to_owned());
        for host in [
            ip("127.0.0.1"),
            ip("127.9.9.9"),
            ip("::1"),
            name("LocalHost"),
        ] {
            assert!(config(host, TlsMode::None).check().is_ok());
        }
        for host in [
            ip("10.0.0.1"),
            ip("::"),
            name("localhost.example.org"),
            name("a"),
        ] {
            let mut config = config(host, TlsMode::None);
            let refused = config.check();
            assert!(matches!(refused, Err(ConfigError::ComponentInTheClear(_))));
            config.plaintext = Plaintext::Allow;
            assert!(config.check().is_ok());
            config.endpoint.mode = TlsMode::Direct;
            assert!(config.check().is_ok());
            config.endpoint.mode = TlsMode::StartTls;
            assert!(matches!(config.check(), Err(ConfigError::ForClients(_))));
        }
    }
}

//! What a component is made of, said in words: a client that is a whole domain, attached to
//! its server by a shared secret (XEP-0114).

use std::path::Path;
use std::sync::Arc;

use secrecy::SecretString;
use stanchion_connect::Endpoint;
use stanchion_connect::component::{ComponentConfig, ComponentConnector};
use stanchion_connect::config::Plaintext;
#[cfg(feature = "device")]
use stanchion_device::HostConfig;
use stanchion_reliability::session::{Session, SessionConfig};
use stanchion_services::presence::Status;
use stanchion_services::{Incoming, StandardConfig};
use stanchion_stanza::payload::disco::Identity;
use stanchion_stanza::{BareJid, Text};
use stanchion_transport::security::Fingerprint;
use stanchion_transport::tls::Roots;
use stanchion_transport::{Host, TlsMode};

use crate::Client;
use crate::builder::{StartError, StoreChoice, open};
use crate::wiring::Wiring;

/// Describes a component: a service in the cloud, say, that is a domain of its own beside
/// its server's. Only the secret and the store have no default.
///
/// It speaks as its domain, or as one address there, and gets what is for any address of
/// the domain; but what it confirms, it confirms as that one, so senders should send to it
/// and to no other. Messages are kept, told apart and confirmed as with any client; there is no stream management under them,
/// no presence and no roster. As no presence tells senders that a component is back, what
/// they sent meanwhile waits for their timers, for up to
/// [`RtoConfig::max`](stanchion_reliability::engine::RtoConfig::max). A stream to this machine itself may do without TLS, and
/// counts as protected.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let (cloud, mut incoming) = stanchion::Client::component("cloud.example.org".parse()?)
///     .secret(std::env::var("STANCHION_SECRET")?.into())
///     .store_file("cloud.sqlite")
///     .start()
///     .await?;
/// while let Some(message) = incoming.recv().await {
///     println!("{:?}", message.message().body());
///     message.commit().await?;
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `start`"]
pub struct ComponentBuilder {
    address: BareJid,
    secret: Option<SecretString>,
    connect: ComponentConfig,
    roots: Vec<Roots>,
    store: Option<StoreChoice>,
    session: SessionConfig,
    services: StandardConfig,
    #[cfg(feature = "device")]
    things: Option<Box<HostConfig>>,
}

impl ComponentBuilder {
    /// The port that servers listen on for components unless it is said otherwise.
    pub const PORT: u16 = 5347;

    pub(crate) fn new(address: BareJid) -> Self {
        let here = Host::Ip(std::net::Ipv4Addr::LOCALHOST.into());
        let mut services = StandardConfig::default();
        // A domain has no presence of its own, and no roster at its server.
        services.presence.status = Status::unavailable();
        services.roster_when_asked = true;
        services.identity = Some(Identity {
            category: Text::from_static("component"),
            kind: Text::from_static("generic"),
            name: Some(Text::from_static("Stanchion")),
            lang: None,
        });
        let mut session = SessionConfig::default();
        // A component has none.
        session.presence = None;
        Self {
            address,
            secret: None,
            connect: ComponentConfig::at(Endpoint::new(here, Self::PORT, TlsMode::None)),
            roots: Vec::new(),
            store: None,
            session,
            services,
            #[cfg(feature = "device")]
            things: None,
        }
    }

    /// What the server and the component both know.
    pub fn secret(mut self, secret: SecretString) -> Self {
        self.secret = Some(secret);
        self
    }

    /// Connect there. Default: port 5347 of this machine.
    pub fn server(mut self, host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        self.connect.endpoint.host = match host.parse() {
            Ok(ip) => Host::Ip(ip),
            Err(_) => Host::Name(host),
        };
        self.connect.endpoint.port = port;
        self
    }

    /// TLS from the first byte; the certificate must be the component's domain's.
    pub fn direct_tls(mut self) -> Self {
        self.connect.endpoint = self.connect.endpoint.with_mode(TlsMode::Direct);
        self
    }

    /// Trust these roots; the first call replaces the public web's, further ones add.
    pub fn trust(mut self, roots: Roots) -> Self {
        self.roots.push(roots);
        self
    }

    /// Trust exactly this certificate.
    pub const fn pin(mut self, certificate: Fingerprint) -> Self {
        self.connect.tls.pin = Some(certificate);
        self
    }

    /// **Dangerous.** Speak in the clear over a network, too, where anybody on the way can
    /// read and change everything. Messages then go out only if they
    /// [ask for no protection](stanchion_reliability::session::Outgoing::protection).
    pub const fn insecure_plaintext(mut self) -> Self {
        self.connect.plaintext = Plaintext::Allow;
        self
    }

    /// Keep messages in this file; it is made if it is not there.
    pub fn store_file(mut self, path: impl AsRef<Path>) -> Self {
        self.store = Some(StoreChoice::File(path.as_ref().to_owned()));
        self
    }

    /// Keep messages in memory: reliable as long as the process lives.
    pub fn store_in_memory(mut self) -> Self {
        self.store = Some(StoreChoice::Memory);
        self
    }

    /// Everything else about connecting.
    pub fn connect_config(mut self, change: impl FnOnce(&mut ComponentConfig)) -> Self {
        change(&mut self.connect);
        self
    }

    /// Everything else about the session: bounds and timers.
    pub fn session_config(mut self, change: impl FnOnce(&mut SessionConfig)) -> Self {
        change(&mut self.session);
        self
    }

    /// How the services behave: what is told of us, and to whom.
    pub fn services_config(mut self, change: impl FnOnce(&mut StandardConfig)) -> Self {
        change(&mut self.services);
        self
    }

    /// Have things of our own, which others read and set
    /// ([`Client::thing_host`]). Default: none.
    #[cfg(feature = "device")]
    pub fn things(mut self, config: HostConfig) -> Self {
        self.things = Some(Box::new(config));
        self
    }

    /// Opens the store and starts to connect. Resolves before there is a connection:
    /// messages can be sent at once, and are kept until there is one.
    ///
    /// # Errors
    /// [`StartError`]; nothing that a server does.
    pub fn start(self) -> impl Future<Output = Result<(Client, Incoming), StartError>> + Send {
        // All that a client is described by would lie in the caller's future.
        Box::pin(self.begin())
    }

    async fn begin(self) -> Result<(Client, Incoming), StartError> {
        let missing = || StartError::NoPassword(self.address.clone());
        let secret = self.secret.clone().ok_or_else(missing)?;
        let mut connect = self.connect;
        if !self.roots.is_empty() {
            connect.tls.roots = self.roots;
        }
        let connector = Arc::new(ComponentConnector::new(self.address, secret, connect)?);
        let (store, transactor) = open(self.store.ok_or(StartError::NoStore)?).await?;
        let mut services = self.services;
        services.hand_over = Some(self.session.engine.hand_over);
        let (session, receiver, stanzas) =
            Session::start_with_stanzas(connector, store, self.session).await?;
        let wiring = Wiring {
            session,
            receiver,
            stanzas,
            store: transactor,
            services,
            #[cfg(feature = "device")]
            things: self.things,
        };
        Ok(wiring.client().await?)
    }
}

//! What a client is made of, said in words.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use secrecy::{ExposeSecret as _, SecretString};
use stanchion_connect::config::{ConfigError, Plaintext};
use stanchion_connect::factory::ConnectionFactory;
use stanchion_connect::registry::ServerRegistry;
use stanchion_connect::{Account, Connect, ConnectConfig, Connector, Endpoint, Endpoints};
#[cfg(feature = "device")]
use stanchion_device::HostConfig;
use stanchion_reliability::session::{Session, SessionConfig, SessionError};
use stanchion_reliability::store::{
    Image, MemoryStore, Opening, Seed, SqliteStore, Store, StoreError, TransactError, Transactor,
    WallTime,
};
use stanchion_services::archive::Beginning;
use stanchion_services::history::HistoryConfig;
use stanchion_services::presence::{PresenceConfig, Status};
use stanchion_services::roster::Policy;
use stanchion_services::{Incoming, StandardConfig};
use stanchion_stanza::{BareJid, Presence, Text, xml::InvalidChar};
use stanchion_transport::security::Fingerprint;
use stanchion_transport::tls::Roots;
use stanchion_transport::{Host, TlsMode};

use crate::Client;
use crate::first::FirstWithin;
use crate::wiring::Wiring;

/// Why a client did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// There is no password.
    #[error("no password was given for {0}")]
    NoPassword(BareJid),
    /// Neither a file nor memory was chosen for the messages.
    #[error("no store was chosen; give store_file, or store_in_memory to forget all at the end")]
    NoStore,
    /// The resource has characters that XML forbids.
    #[error("the resource cannot be used: {0}")]
    Resource(#[source] InvalidChar),
    /// The connection's configuration cannot work.
    #[error(transparent)]
    Connect(#[from] ConfigError),
    /// The store cannot be opened or read.
    #[error("the messages' store cannot be used: {0}")]
    Store(#[from] StoreError),
    /// What the services kept cannot be read.
    #[error("what the services kept cannot be read: {0}")]
    Services(#[from] TransactError),
    /// The session did not start.
    #[error(transparent)]
    Session(#[from] SessionError),
}

#[derive(Debug, Clone)]
pub(crate) enum StoreChoice {
    File(PathBuf),
    Memory,
}

/// Describes a client. Only the password and the store have no default.
#[derive(Debug, Clone)]
#[must_use = "nothing happens before `start`"]
pub struct ClientBuilder {
    jid: BareJid,
    password: Option<SecretString>,
    resource: Option<String>,
    server: Option<(String, u16)>,
    servers: Option<Arc<dyn ServerRegistry>>,
    direct_tls: bool,
    roots: Vec<Roots>,
    connect: ConnectConfig,
    store: Option<StoreChoice>,
    session: SessionConfig,
    services: StandardConfig,
    #[cfg(feature = "device")]
    things: Option<Box<HostConfig>>,
    first_within: Option<Duration>,
    keep_presence: bool,
    subscriptions: Policy,
    roster_when_asked: bool,
}

impl ClientBuilder {
    pub(crate) fn new(jid: BareJid) -> Self {
        Self {
            jid,
            password: None,
            resource: None,
            server: None,
            servers: None,
            direct_tls: false,
            roots: Vec::new(),
            connect: ConnectConfig::default(),
            store: None,
            session: SessionConfig::default(),
            services: StandardConfig::default(),
            #[cfg(feature = "device")]
            things: None,
            first_within: None,
            keep_presence: false,
            subscriptions: Policy::default(),
            roster_when_asked: false,
        }
    }

    /// The account's password.
    pub fn password(mut self, password: SecretString) -> Self {
        self.password = Some(password);
        self
    }

    /// The resource to ask for; the server may give another. Default: its choice.
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resource = Some(resource.into());
        self
    }

    /// Connect there, past any look-up. The certificate must be the domain's all the
    /// same. Default: what DNS says.
    pub fn server(mut self, host: impl Into<String>, port: u16) -> Self {
        self.server = Some((host.into(), port));
        self
    }

    /// Use the servers of this registry, whichever of them is there, instead of the one
    /// of the account: their accounts, passwords, places and policies count, and what
    /// else is said here of a server does not. Recipients are told of these accounts, so
    /// that the device is the same at each of them, unless [`Self::addresses`] says
    /// otherwise. Default: none.
    pub fn servers(mut self, registry: Arc<dyn ServerRegistry>) -> Self {
        self.servers = Some(registry);
        self
    }

    /// The accounts under which this device may speak and be reached, the primary one first,
    /// at most eight. Default: those of the registry, if there is one, in its order.
    pub fn addresses(mut self, accounts: impl IntoIterator<Item = BareJid>) -> Self {
        self.session.addresses = accounts.into_iter().collect();
        self
    }

    /// A person waits for the first session, and for so long: tries at servers that do
    /// not answer then end within this time from the start, so that it can be told what
    /// happened at each. The client goes on afterwards. Default: each round has the time
    /// of [`Timeouts::total`](stanchion_connect::config::Timeouts::total).
    pub const fn first_within(mut self, time: Duration) -> Self {
        self.first_within = Some(time);
        self
    }

    /// TLS from the first byte at the server given, instead of STARTTLS.
    pub const fn direct_tls(mut self) -> Self {
        self.direct_tls = true;
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

    /// **Dangerous.** Use a server without TLS, password and all, in the clear.
    pub const fn insecure_plaintext(mut self) -> Self {
        self.connect.plaintext = Plaintext::Allow;
        self.connect.sasl.allow_plain_without_tls = true;
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

    /// How we are, to begin with, and what else our presence carries: announced on each
    /// new session, until [`Presences::set`] says something else. None, or one of another
    /// type, is unavailable: connected, and seen by nobody. Default: available.
    ///
    /// [`Presences::set`]: stanchion_services::presence::Presences::set
    pub fn presence(mut self, presence: Option<Presence>) -> Self {
        self.session.presence = presence;
        self
    }

    /// What [`Presences::set`] says counts for the next client on the same store, too.
    /// Default: each begins as [`Self::presence`] says.
    ///
    /// [`Presences::set`]: stanchion_services::presence::Presences::set
    pub const fn keep_presence(mut self) -> Self {
        self.keep_presence = true;
        self
    }

    /// Who may see our presence when they ask for it. Default: the application is asked,
    /// by an event of the roster.
    pub fn subscriptions(mut self, policy: Policy) -> Self {
        self.subscriptions = policy;
        self
    }

    /// Ask for the roster only once [`Roster::loaded`] waits for it: for a device on a
    /// narrow line that has no use for it. Default: at the beginning of each session.
    ///
    /// [`Roster::loaded`]: stanchion_services::roster::Roster::loaded
    pub const fn roster_when_asked(mut self) -> Self {
        self.roster_when_asked = true;
        self
    }

    /// Everything else about connecting.
    pub fn connect_config(mut self, change: impl FnOnce(&mut ConnectConfig)) -> Self {
        change(&mut self.connect);
        self
    }

    /// Everything else about the session: bounds and timers.
    pub fn session_config(mut self, change: impl FnOnce(&mut SessionConfig)) -> Self {
        change(&mut self.session);
        self
    }

    /// Announce that people talk here: chat states, corrections, markers and replies
    /// ([`Client::chat`]). Default: no, as a device without a person does none of it.
    pub const fn conversations(mut self) -> Self {
        self.services.chat = true;
        self
    }

    /// Receive copies of what the account's other devices send and receive (XEP-0280).
    /// Default: no.
    pub const fn carbons(mut self) -> Self {
        self.services.archive.carbons = true;
        self
    }

    /// Get what came while this device was away from the account's archive (XEP-0313), after
    /// each new session. Default: only what the server kept for a device that is away.
    pub const fn catch_up(mut self, from: Beginning) -> Self {
        self.services.archive.catch_up = Some(from);
        self
    }

    /// How much of the history is kept. Default: 100,000 messages.
    pub const fn history(mut self, config: HistoryConfig) -> Self {
        self.services.history = config;
        self
    }

    /// How the services behave: what is told of us, and to whom.
    pub fn services_config(mut self, change: impl FnOnce(&mut StandardConfig)) -> Self {
        change(&mut self.services);
        self
    }

    /// What is needed to connect, checked: for a look at the server without a session.
    ///
    /// # Errors
    /// [`StartError`].
    pub fn connector(&self) -> Result<Connector, StartError> {
        let password = self
            .password
            .as_ref()
            .ok_or_else(|| StartError::NoPassword(self.jid.clone()))?;
        let mut account = Account::with_password(self.jid.clone(), password.expose_secret());
        account.resource = self
            .resource
            .clone()
            .map(Text::new)
            .transpose()
            .map_err(StartError::Resource)?;
        let mut config = self.connect.clone();
        if !self.roots.is_empty() {
            config.tls.roots.clone_from(&self.roots);
        }
        if let Some((host, port)) = &self.server {
            let host = host
                .parse()
                .map_or_else(|_| Host::Name(host.clone()), Host::Ip);
            let mode = if self.direct_tls {
                TlsMode::Direct
            } else {
                TlsMode::StartTls
            };
            config.endpoints = Endpoints::Explicit(vec![Endpoint::new(host, *port, mode)]);
        }
        Ok(Connector::new(account, config)?)
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
        let mut session = self.session.clone();
        if let Some(registry) = self
            .servers
            .as_ref()
            .filter(|_| session.addresses.is_empty())
        {
            session.addresses = accounts(&**registry).await;
        }
        let mut connector: Arc<dyn Connect> = match &self.servers {
            Some(registry) => {
                let registry = Arc::clone(registry);
                Arc::new(ConnectionFactory::new(registry, self.connect.clone()))
            }
            None => Arc::new(self.connector()?),
        };
        if let Some(time) = self.first_within {
            connector = Arc::new(FirstWithin::new(connector, time));
        }
        let (store, transactor) = open(self.store.ok_or(StartError::NoStore)?).await?;
        let mut services = self.services;
        services.hand_over.get_or_insert(session.engine.hand_over);
        services.subscriptions = self.subscriptions;
        services.roster_when_asked = self.roster_when_asked;
        let mut presence = PresenceConfig::default();
        // The service for it announces it, and not the session.
        let status = session.presence.take().map(Status::from);
        presence.status = status.unwrap_or_else(Status::unavailable);
        presence.keep = self.keep_presence;
        services.presence = presence;
        let (session, receiver, stanzas) =
            Session::start_with_stanzas(connector, store, session).await?;
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

/// The accounts of a registry, the preferred one first. A registry that cannot be read is
/// the connection factory's to report; the session knows the addresses of the last time.
async fn accounts(registry: &dyn ServerRegistry) -> Vec<BareJid> {
    match registry.servers().await {
        Ok(servers) => servers.into_iter().map(|s| s.account.jid).collect(),
        Err(error) => {
            tracing::warn!(%error, "which accounts this device has cannot be read");
            Vec::new()
        }
    }
}

pub(crate) async fn open(choice: StoreChoice) -> Result<(Box<dyn Store>, Transactor), StoreError> {
    let opening = Opening::new(Seed::from_os()?, wall_clock());
    match choice {
        StoreChoice::Memory => {
            let store = MemoryStore::open(Image::default(), &opening)?;
            Ok((Box::new(store), Transactor::in_memory()?))
        }
        StoreChoice::File(path) => {
            let open = move || SqliteStore::open(path, &opening);
            let store = tokio::task::spawn_blocking(open)
                .await
                .map_err(|_| StoreError::Closed)??;
            let transactor = store.transactor().ok_or(StoreError::Closed)?;
            Ok((Box::new(store), transactor))
        }
    }
}

fn wall_clock() -> WallTime {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    WallTime::from_unix_ms(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

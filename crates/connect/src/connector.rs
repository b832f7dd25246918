//! From an account and a configuration to a session on one of the domain's servers. Owns
//! which candidates there are, and with which of them a race begins. What is remembered
//! between sessions is in `learnt` and `ways`, how candidates race in `race`, one attempt in
//! `driver`, several accounts in `factory`, waiting before another round in `persistent`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stanchion_sasl::client::check_credentials;
use stanchion_stanza::Text;
use stanchion_stanza::payload::sasl2::UserAgent;
use stanchion_transport::{Dial, Endpoint, TcpDial, TlsConnector};
use tokio::time::{Instant, timeout_at};

use crate::config::{Account, ConfigError, ConnectConfig, Endpoints};
use crate::connection::{Connect, Connection, SessionEnd};
use crate::entropy::{Entropy, SystemEntropy, number};
use crate::error::ConnectError;
use crate::event::{ConnectEvent, Observer};
use crate::health::HealthBook;
use crate::learnt::Basis;
use crate::negotiation::{ResumeToken, ServerMemory};
use crate::phase::Phase;
use crate::race::Race;
use crate::redirect::place;
use crate::registry::EndpointHealth;
use crate::resolve::discover::{self, Candidate};
use crate::resolve::{Resolve, default_resolver};

pub use crate::redirect::MAX_REDIRECTS;

/// Connects over the network. Make one for each account and keep it: it remembers TLS
/// sessions, DNS answers, which endpoints are well, the keys derived from the password, and
/// what the servers offered, which saves round trips and shows a downgrade.
///
/// The candidates race up to a protected connection, 250 ms apart
/// ([`RaceConfig`](crate::config::RaceConfig)). The first one there logs in, the others
/// are closed; so no two servers ever see the login. If the login fails in a way that
/// another server may cure, the race goes on with the rest.
///
/// ```no_run
/// use stanchion_connect::{Account, Connect, ConnectConfig, Connector};
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// let account = Account::with_password("lamp@example.org".parse()?, "secret");
/// let connector = Connector::new(account, ConnectConfig::default())?;
/// let connection = connector.connect(None).await?;
/// println!("{} at {}", connection.established.jid, connection.endpoint);
/// # Ok(())
/// # }
/// ```
pub struct Connector {
    basis: Basis,
    observer: Arc<Observer<'static>>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("account", &self.basis.account.jid)
            .field("config", &self.basis.config)
            .finish_non_exhaustive()
    }
}

impl Connector {
    /// A connector on TCP. Reads the trusted certificates, which may block on files.
    ///
    /// # Errors
    /// [`ConfigError`] names what to correct.
    pub fn new(account: Account, config: ConnectConfig) -> Result<Self, ConfigError> {
        let tls = TlsConnector::new(&config.tls)?;
        Self::with_dial(account, config, Arc::new(TcpDial::new(tls)))
    }

    /// A connector on any transport. [`ConnectConfig::tls`] is not looked at: it is the
    /// dialler's.
    ///
    /// # Errors
    /// [`ConfigError`] names what to correct.
    pub fn with_dial(
        account: Account,
        config: ConnectConfig,
        dial: Arc<dyn Dial>,
    ) -> Result<Self, ConfigError> {
        check_credentials(&account.credentials)?;
        config.check()?;
        let entropy = Arc::new(SystemEntropy);
        Ok(Self {
            basis: Basis::new(account, config, dial, default_resolver(), entropy),
            observer: Arc::new(|_| {}),
        })
    }

    /// The same, with another resolver. Default: DNS by the system's configuration
    /// (feature `dns`), else the operating system; either with a memory.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.basis.resolver = resolver;
        self
    }

    /// The same, with another source of random bytes. Default: the operating system's.
    #[must_use]
    pub fn with_entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.basis.entropy = entropy;
        self
    }

    /// The same, with somebody who watches.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<Observer<'static>>) -> Self {
        self.observer = observer;
        self
    }

    /// The same, with what an earlier connector learnt of the account's servers over TCP
    /// ([`Connector::memory`]). Default: nothing.
    #[must_use]
    pub fn with_memory(self, memory: ServerMemory) -> Self {
        self.basis.learnt().memory = memory;
        self
    }

    /// The same, and servers are told this (XEP-0388 §2.3). `id` must be a version 4 UUID,
    /// the same for ever: a token is good for one id. Default: an id for the life of this
    /// connector, and nothing else.
    #[must_use]
    pub fn with_agent(self, agent: UserAgent) -> Self {
        self.basis.learnt().agent = agent;
        self
    }

    /// What the logins over TCP so far have taught, to be kept for [`Connector::with_memory`]. **It
    /// may hold a token that is as good as the password.**
    #[must_use]
    pub fn memory(&self) -> ServerMemory {
        self.basis.learnt().memory.clone()
    }

    /// The same as [`Connector::with_memory`], of the logins over WebSocket
    /// ([`Connector::websocket_memory`]). Default: nothing.
    #[must_use]
    pub fn with_websocket_memory(self, memory: ServerMemory) -> Self {
        self.basis.learnt().over_websocket = memory;
        self
    }

    /// What the logins over WebSocket have taught, where a server may offer less than over
    /// TCP; to be kept for [`Connector::with_websocket_memory`]. **It may hold a token that
    /// is as good as the password.**
    #[must_use]
    pub fn websocket_memory(&self) -> ServerMemory {
        self.basis.learnt().over_websocket.clone()
    }

    /// The id that servers are told, once there was a login.
    pub(crate) fn agent_id(&self) -> Option<Text> {
        self.basis.learnt().agent.id.clone()
    }

    /// The same, with what is known of the endpoints from earlier, as
    /// [`Connector::health`] told it. Default: nothing.
    #[must_use]
    pub fn with_health(self, known: Vec<(Endpoint, EndpointHealth)>) -> Self {
        self.basis.ways().health = HealthBook::new(known);
        self
    }

    /// What is known of the endpoints: of the names that DNS or the configuration gives,
    /// and of the addresses behind them.
    #[must_use]
    pub fn health(&self) -> HealthBook {
        self.basis.ways().health.clone()
    }

    /// What changed of the endpoints' health since this was asked last.
    pub(crate) fn take_changes(&self) -> Vec<(Endpoint, EndpointHealth)> {
        self.basis.ways().health.take_changes()
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &ConnectConfig {
        &self.basis.config
    }

    pub(crate) const fn basis(&self) -> &Basis {
        &self.basis
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.basis.account
    }

    /// One race over the candidates, of `limit` at most.
    pub(crate) async fn connect_for(
        &self,
        resume: Option<ResumeToken>,
        observer: &Observer<'_>,
        limit: Duration,
    ) -> Result<Connection, ConnectError> {
        let mut race = self.begin(resume, observer, limit).await?;
        let mut failed = Vec::new();
        while let Some(result) = race.next().await {
            match result {
                Ok(mut connection) => {
                    connection.failed = failed;
                    return Ok(connection);
                }
                Err(attempt) if attempt.error.ends_the_walk() => return Err(attempt.error),
                Err(attempt) => failed.push(attempt),
            }
        }
        Err(match (failed.pop(), failed.is_empty()) {
            (Some(only), true) => only.error.only_at(only.endpoint),
            (Some(last), false) => {
                failed.push(last);
                ConnectError::AllFailed(failed)
            }
            // Every race has a candidate; only a time limit of nothing gets here.
            (None, _) => ConnectError::Deadline {
                endpoint: None,
                phase: Phase::Resolve,
                limit,
            },
        })
    }

    /// Begins a race over the candidates, of `limit` at most.
    pub(crate) async fn begin<'a>(
        &'a self,
        resume: Option<ResumeToken>,
        observer: &'a Observer<'a>,
        limit: Duration,
    ) -> Result<Race<'a>, ConnectError> {
        let give_up = Instant::now() + limit;
        let candidates = self.found(give_up, observer).await?;
        let mut order = self.basis.ways().ordered(candidates);
        let location = resume.as_ref().and_then(|t| t.location.as_deref());
        let location = match (&self.basis.config.endpoints, location, order.first()) {
            (Endpoints::Discover, Some(location), Some(like)) => place(location, like),
            _ => None,
        };
        // Once: if the session is not there, the usual places are.
        let moved = self.basis.ways().moved.take();
        for first in [location, moved].into_iter().flatten() {
            order.retain(|known| *known != first);
            order.insert(0, first);
        }
        observer(&ConnectEvent::Candidates(&order));
        let resume = self.basis.resume(resume);
        Ok(Race::new(&self.basis, observer, order, give_up, resume))
    }

    /// Where the account's domain is, in the order in which it is tried.
    pub(crate) async fn candidates(&self, give_up: Instant) -> Result<Vec<Endpoint>, ConnectError> {
        let candidates = self.found(give_up, &|_| {}).await?;
        Ok(self.basis.ways().ordered(candidates))
    }

    /// The places that are configured, or that DNS tells.
    async fn found(
        &self,
        give_up: Instant,
        observer: &Observer<'_>,
    ) -> Result<Vec<Candidate>, ConnectError> {
        Ok(match &self.basis.config.endpoints {
            // Their order is their priority.
            Endpoints::Explicit(endpoints) => (0..=u16::MAX)
                .zip(endpoints)
                .map(|(priority, endpoint)| Candidate {
                    priority,
                    weight: None,
                    endpoint: endpoint.clone(),
                })
                .collect(),
            Endpoints::Discover => {
                let found = self.discover(give_up).await?;
                observer(&ConnectEvent::Discovered(&found));
                found
            }
        })
    }

    async fn discover(&self, give_up: Instant) -> Result<Vec<Candidate>, ConnectError> {
        let limit = self.basis.config.timeouts.resolve;
        let mut fault = None;
        let random = || {
            number(&*self.basis.entropy).unwrap_or_else(|e| {
                fault = Some(e);
                0
            })
        };
        let hosts = discover::hosts(
            &*self.basis.resolver,
            self.basis.account.jid.domain(),
            random,
        );
        let hosts = timeout_at(give_up.min(Instant::now() + limit), hosts)
            .await
            .map_err(|_| ConnectError::Deadline {
                endpoint: None,
                phase: Phase::Resolve,
                limit,
            })??;
        match fault {
            Some(fault) => Err(fault.into()),
            None => Ok(hosts),
        }
    }
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self, resume: Option<ResumeToken>) -> Result<Connection, ConnectError> {
        self.connect_by(resume, self.basis.config.timeouts.total)
            .await
    }

    async fn connect_by(
        &self,
        resume: Option<ResumeToken>,
        limit: Duration,
    ) -> Result<Connection, ConnectError> {
        let limit = limit.min(self.basis.config.timeouts.total);
        self.connect_for(resume, &*self.observer, limit).await
    }

    fn ended(&self, end: &SessionEnd) {
        self.basis.ways().ended(end);
    }
}

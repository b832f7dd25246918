//! From an account and a configuration to a session on one of the domain's servers. Owns
//! which candidates there are, their order, and what is remembered between sessions. How
//! they race is in `race`, one attempt in `driver`, several accounts in `factory`, waiting
//! before another round in `persistent`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use stanchion_sasl::client::check_credentials;
use stanchion_sasl::scram::keys::ScramKeys;
use stanchion_stanza::stream::StreamCondition;
use stanchion_transport::{Dial, Endpoint, Host, TcpDial, TlsConnector};
use tokio::time::{Instant, timeout_at};

use crate::backoff::BackoffPolicy;
use crate::config::{Account, ConfigError, ConnectConfig, Endpoints};
use crate::connection::{Connect, Connection, SessionEnd};
use crate::entropy::{Entropy, SystemEntropy, number};
use crate::error::{Attempt, ConnectError};
use crate::event::{ConnectEvent, Observer};
use crate::health::{HealthBook, order};
use crate::negotiation::{Resume, ResumeToken, Setup, Start};
use crate::phase::Phase;
use crate::race::Race;
use crate::registry::EndpointHealth;
use crate::resolve::discover::{self, Candidate};
use crate::resolve::{CachingResolver, Resolve};

/// How many redirections in a row are followed (RFC 6120 §4.9.3.19).
pub const MAX_REDIRECTS: u8 = 3;

/// Connects over the network. Make one for each account and keep it: it remembers TLS
/// sessions, DNS answers, which endpoints are well, and the keys derived from the
/// password.
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
    account: Account,
    config: ConnectConfig,
    dial: Arc<dyn Dial>,
    resolver: Arc<dyn Resolve>,
    entropy: Arc<dyn Entropy>,
    observer: Arc<Observer<'static>>,
    /// One for each hash at most. Held only to copy in or out.
    keys: Mutex<Vec<ScramKeys>>,
    ways: Mutex<Ways>,
}

/// What is known of the ways to the servers. Held only to copy in or out.
#[derive(Debug, Default)]
pub(crate) struct Ways {
    pub(crate) health: HealthBook,
    pub(crate) last: Option<LastSession>,
    /// Where the last session was sent to (`see-other-host`).
    moved: Option<Endpoint>,
}

/// Where the last session was given.
#[derive(Debug)]
pub(crate) struct LastSession {
    pub(crate) address: Endpoint,
    /// The name that the address was found under.
    pub(crate) name: Option<Endpoint>,
    /// Failures in a row of the address before. A session that does not last has undone
    /// none of them.
    pub(crate) failures: u32,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector")
            .field("account", &self.account.jid)
            .field("config", &self.config)
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
        Ok(Self {
            account,
            config,
            dial,
            resolver: default_resolver(),
            entropy: Arc::new(SystemEntropy),
            observer: Arc::new(|_| {}),
            keys: Mutex::new(Vec::new()),
            ways: Mutex::new(Ways::default()),
        })
    }

    /// The same, with another resolver. Default: DNS by the system's configuration
    /// (feature `dns`), else the operating system; either with a memory.
    #[must_use]
    pub fn with_resolver(mut self, resolver: Arc<dyn Resolve>) -> Self {
        self.resolver = resolver;
        self
    }

    /// The same, with another source of random bytes. Default: the operating system's.
    #[must_use]
    pub fn with_entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// The same, with somebody who watches.
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<Observer<'static>>) -> Self {
        self.observer = observer;
        self
    }

    /// The same, with what is known of the endpoints from earlier, as
    /// [`Connector::health`] told it. Default: nothing.
    #[must_use]
    pub fn with_health(self, known: Vec<(Endpoint, EndpointHealth)>) -> Self {
        self.ways().health = HealthBook::new(known);
        self
    }

    /// What is known of the endpoints: of the names that DNS or the configuration gives,
    /// and of the addresses behind them.
    #[must_use]
    pub fn health(&self) -> HealthBook {
        self.ways().health.clone()
    }

    /// What is known, to be changed.
    pub(crate) fn ways(&self) -> std::sync::MutexGuard<'_, Ways> {
        // Nothing can panic between lock and unlock and leave it half changed.
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn dial(&self) -> &dyn Dial {
        &*self.dial
    }

    pub(crate) fn resolver(&self) -> &dyn Resolve {
        &*self.resolver
    }

    /// The configuration.
    #[must_use]
    pub const fn config(&self) -> &ConnectConfig {
        &self.config
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
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
            (Some(only), true) => only.error,
            (Some(last), false) => {
                failed.push(last);
                ConnectError::AllFailed(failed)
            }
            // Every race has a candidate; only a time limit of nothing gets here.
            (None, _) => ConnectError::Deadline {
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
        let candidates = match &self.config.endpoints {
            // Their order is their priority.
            Endpoints::Explicit(endpoints) => (0..=u16::MAX)
                .zip(endpoints)
                .map(|(priority, endpoint)| Candidate {
                    priority,
                    endpoint: endpoint.clone(),
                })
                .collect(),
            Endpoints::Discover => self.discover(give_up).await?,
        };
        let mut order = self.ordered(candidates);
        let location = resume.as_ref().and_then(|t| t.location.as_deref());
        let location = match (&self.config.endpoints, location, order.first()) {
            (Endpoints::Discover, Some(location), Some(like)) => place(location, like),
            _ => None,
        };
        // Once: if the session is not there, the usual places are.
        let moved = self.ways().moved.take();
        for first in [location, moved].into_iter().flatten() {
            order.retain(|known| *known != first);
            order.insert(0, first);
        }
        observer(&ConnectEvent::Candidates(&order));
        let resume = resume.map_or(Resume::No, Resume::Try);
        Ok(Race::new(self, observer, order, give_up, resume))
    }

    async fn discover(&self, give_up: Instant) -> Result<Vec<Candidate>, ConnectError> {
        let limit = self.config.timeouts.resolve;
        let mut fault = None;
        let random = || {
            number(&*self.entropy).unwrap_or_else(|e| {
                fault = Some(e);
                0
            })
        };
        let hosts = discover::hosts(&*self.resolver, self.account.jid.domain(), random);
        let hosts = timeout_at(give_up.min(Instant::now() + limit), hosts)
            .await
            .map_err(|_| ConnectError::Deadline {
                phase: Phase::Resolve,
                limit,
            })??;
        match fault {
            Some(fault) => Err(fault.into()),
            None => Ok(hosts),
        }
    }

    /// Puts candidates in the order that their history suggests.
    pub(crate) fn ordered(&self, candidates: Vec<Candidate>) -> Vec<Endpoint> {
        let ways = self.ways();
        let with_history = candidates
            .into_iter()
            .map(|c| (c.priority, ways.health.get(&c.endpoint), c.endpoint))
            .collect();
        let ordered = order(with_history, SystemTime::now());
        ordered
            .into_iter()
            .map(|(_, _, endpoint)| endpoint)
            .collect()
    }

    pub(crate) fn setup(&self, resume: Resume) -> Result<Setup, ConnectError> {
        let mut entropy = [0; 48];
        self.entropy.fill(&mut entropy)?;
        Ok(Setup {
            account: self.account.jid.clone(),
            resource: self.account.resource.clone(),
            credentials: self.account.credentials.clone(),
            sasl: self.config.sasl.clone(),
            keys: self.keys().clone(),
            start: Start::Plaintext,
            resume,
            stream_management: self.config.stream_management,
            entropy,
        })
    }

    fn keys(&self) -> std::sync::MutexGuard<'_, Vec<ScramKeys>> {
        // Nothing can panic between lock and unlock and leave a half-made list.
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a login derived, or forgets all after a refusal: the password may
    /// have been changed.
    pub(crate) fn remember(&self, result: &Result<Connection, Attempt>) {
        match result {
            Ok(connection) => {
                if let Some(new) = &connection.established.keys {
                    let mut keys = self.keys();
                    keys.retain(|k| k.hash() != new.hash());
                    keys.push(new.clone());
                }
            }
            Err(Attempt {
                error: ConnectError::AuthRefused { .. },
                ..
            }) => self.keys().clear(),
            Err(_) => {}
        }
    }
}

#[async_trait]
impl Connect for Connector {
    async fn connect(&self, resume: Option<ResumeToken>) -> Result<Connection, ConnectError> {
        self.connect_by(resume, self.config.timeouts.total).await
    }

    async fn connect_by(
        &self,
        resume: Option<ResumeToken>,
        limit: Duration,
    ) -> Result<Connection, ConnectError> {
        let limit = limit.min(self.config.timeouts.total);
        self.connect_for(resume, &*self.observer, limit).await
    }

    fn ended(&self, end: &SessionEnd) {
        let mut ways = self.ways();
        let now = SystemTime::now();
        let last = ways.last.take_if(|last| last.address == end.endpoint);
        let failures = last.as_ref().map_or(0, |last| last.failures);
        let name = last.and_then(|last| last.name);
        let mut note = |change: &dyn Fn(&mut EndpointHealth)| {
            for endpoint in std::iter::once(&end.endpoint).chain(&name) {
                ways.health.note(endpoint, change);
            }
        };
        let condition = end.error.as_ref().map(|error| error.condition);
        match condition {
            Some(StreamCondition::SystemShutdown | StreamCondition::ResourceConstraint) => {
                note(&|health| health.shun(now));
            }
            Some(StreamCondition::SeeOtherHost) => {
                let value = end.error.as_ref().and_then(|error| error.value.as_deref());
                ways.moved = value.and_then(|value| place(value, &end.endpoint));
            }
            _ if end.lasted < BackoffPolicy::default().lasting => note(&|health| {
                health.failures = health.failures.max(failures);
                health.failed(now);
            }),
            _ => {}
        }
    }
}

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; what is missing is as in `like`.
pub(crate) fn place(text: &str, like: &Endpoint) -> Option<Endpoint> {
    let text = text.trim();
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

#[cfg(feature = "dns")]
pub(crate) fn default_resolver() -> Arc<dyn Resolve> {
    use crate::resolve::{HickoryResolver, SystemResolver};
    let resolver: Arc<dyn Resolve> = match HickoryResolver::from_system() {
        Ok(resolver) => Arc::new(resolver),
        Err(error) => {
            tracing::warn!(%error, "no DNS configuration: SRV records are not looked up");
            Arc::new(SystemResolver)
        }
    };
    Arc::new(CachingResolver::new(resolver))
}

#[cfg(not(feature = "dns"))]
pub(crate) fn default_resolver() -> Arc<dyn Resolve> {
    Arc::new(CachingResolver::new(Arc::new(
        crate::resolve::SystemResolver,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use stanchion_transport::TlsMode;

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
        for bad in [
            "", ":5222", "a:b", "a:0", "a:99999", "[::1", "[a]", "[::1]x:1",
        ] {
            // `[::1]x:1`: what follows the bracket is no port, and is left out.
            assert!(read(bad).is_none() || bad == "[::1]x:1", "{bad}");
        }
    }
}

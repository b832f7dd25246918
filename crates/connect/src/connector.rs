//! From an account and a configuration to a session on one of the domain's servers. Owns
//! which candidates there are, their order, and what is remembered between sessions. How
//! they race is in `race`, one attempt in `driver`, several accounts in `factory`, waiting
//! before another round in `persistent`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use stanchion_sasl::SaslCondition;
use stanchion_sasl::client::check_credentials;
use stanchion_sasl::scram::keys::ScramKeys;
use stanchion_stanza::Text;
use stanchion_stanza::payload::datetime::utc;
use stanchion_stanza::payload::sasl2::UserAgent;
use stanchion_stanza::stream::StreamCondition;
use stanchion_transport::{Dial, Endpoint, Host, TcpDial, TlsConnector, TlsMode};
use tokio::time::{Instant, timeout_at};

use crate::backoff::BackoffPolicy;
use crate::config::{Account, ConfigError, ConnectConfig, Endpoints};
use crate::connection::{Connect, Connection, SessionEnd};
use crate::entropy::{Entropy, SystemEntropy, number};
use crate::error::{Attempt, ConnectError, ShortCut};
use crate::event::{ConnectEvent, Observer};
use crate::health::{HealthBook, order};
use crate::negotiation::{Resume, ResumeToken, ServerMemory, Setup, Start};
use crate::phase::Phase;
use crate::race::Race;
use crate::registry::EndpointHealth;
use crate::resolve::discover::{self, Candidate};
use crate::resolve::{CachingResolver, Resolve};

/// How many redirections in a row are followed (RFC 6120 §4.9.3.19).
pub const MAX_REDIRECTS: u8 = 3;

/// How many short cuts of the login a candidate is forgiven, each at the price of a
/// connection.
pub(crate) const MAX_FORGONE: u8 = 2;

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
    account: Account,
    config: ConnectConfig,
    dial: Arc<dyn Dial>,
    resolver: Arc<dyn Resolve>,
    entropy: Arc<dyn Entropy>,
    observer: Arc<Observer<'static>>,
    learnt: Mutex<Learnt>,
    ways: Mutex<Ways>,
}

/// What earlier logins taught. Held only to copy in or out.
#[derive(Debug, Default)]
struct Learnt {
    /// One for each hash at most.
    keys: Vec<ScramKeys>,
    memory: ServerMemory,
    /// With an id before the first login.
    agent: UserAgent,
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
            learnt: Mutex::new(Learnt::default()),
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

    /// The same, with what an earlier connector learnt of the account's servers
    /// ([`Connector::memory`]). Default: nothing.
    #[must_use]
    pub fn with_memory(self, memory: ServerMemory) -> Self {
        self.learnt().memory = memory;
        self
    }

    /// The same, and servers are told this (XEP-0388 §2.3). `id` must be a version 4 UUID,
    /// the same for ever: a token is good for one id. Default: an id for the life of this
    /// connector, and nothing else.
    #[must_use]
    pub fn with_agent(self, agent: UserAgent) -> Self {
        self.learnt().agent = agent;
        self
    }

    /// What the logins so far have taught, to be kept for [`Connector::with_memory`]. **It
    /// may hold a token that is as good as the password.**
    #[must_use]
    pub fn memory(&self) -> ServerMemory {
        self.learnt().memory.clone()
    }

    /// The id that servers are told, once there was a login.
    pub(crate) fn agent_id(&self) -> Option<Text> {
        self.learnt().agent.id.clone()
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
                    weight: None,
                    endpoint: endpoint.clone(),
                })
                .collect(),
            Endpoints::Discover => {
                let found = self.discover(give_up).await?;
                observer(&ConnectEvent::Discovered(&found));
                found
            }
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

    pub(crate) fn setup(&self, endpoint: &Endpoint, resume: Resume) -> Result<Setup, ConnectError> {
        let mut entropy = [0; 72];
        self.entropy.fill(&mut entropy)?;
        let mut random = [0; 16];
        self.entropy.fill(&mut random)?;
        let mut learnt = self.learnt();
        let agent = &mut learnt.agent;
        agent.id.get_or_insert_with(|| uuid(random));
        let agent = agent.clone();
        Ok(Setup {
            account: self.account.jid.clone(),
            resource: self.account.resource.clone(),
            credentials: self.account.credentials.clone(),
            sasl: self.config.sasl.clone(),
            keys: learnt.keys.clone(),
            start: Start::Plaintext,
            resume,
            stream_management: self.config.stream_management,
            agent: Some(agent),
            fast: self.config.fast,
            memory: if is_remembered(endpoint) {
                learnt.for_a_login()
            } else {
                ServerMemory::default()
            },
            entropy,
        })
    }

    fn learnt(&self) -> std::sync::MutexGuard<'_, Learnt> {
        // Nothing can panic between lock and unlock and leave it half changed.
        self.learnt.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers what a login taught, or forgets what a refusal puts in doubt.
    pub(crate) fn remember(&self, result: &Result<Connection, Attempt>) {
        let mut learnt = self.learnt();
        match result {
            Ok(connection) => {
                let established = &connection.established;
                if let Some(new) = &established.keys {
                    learnt.keys.retain(|k| k.hash() != new.hash());
                    learnt.keys.push(new.clone());
                }
                if is_remembered(&connection.endpoint) {
                    learnt.memory = established.memory.clone();
                }
            }
            Err(attempt) => match &attempt.error {
                // The password may have been changed.
                ConnectError::AuthRefused { condition, .. }
                    if *condition != SaslCondition::TemporaryAuthFailure =>
                {
                    learnt.keys.clear();
                    learnt.memory.token = None;
                }
                // Maybe over what was sent ahead: the next one goes step by step.
                ConnectError::Deadline { .. }
                    if attempt.phase >= Phase::Stream && learnt.memory.is_relied_on() =>
                {
                    learnt.memory.distrust();
                }
                _ => {}
            },
        }
    }

    /// Goes without a short cut that a server did not take.
    pub(crate) fn forgo(&self, short_cut: ShortCut) {
        let mut learnt = self.learnt();
        match short_cut {
            ShortCut::Token => learnt.memory.token = None,
            // Once, however many candidates ran with it.
            ShortCut::Ahead if learnt.memory.is_relied_on() => learnt.memory.distrust(),
            ShortCut::Ahead => {}
        }
    }
}

impl Learnt {
    /// The memory for one login; a token is counted before it is used.
    fn for_a_login(&mut self) -> ServerMemory {
        let since_1970 = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let ms = since_1970.map_or(0, |t| i64::try_from(t.as_millis()).unwrap_or(i64::MAX));
        let token = &mut self.memory.token;
        token.take_if(|t| t.has_ended(&utc(ms)));
        if let Some(token) = token {
            token.count = token.count.saturating_add(1);
        }
        self.memory.clone()
    }
}

/// Whether what is learnt there holds at the account's other servers: not in the clear,
/// where less is offered.
fn is_remembered(endpoint: &Endpoint) -> bool {
    endpoint.mode != TlsMode::None
}

/// A UUID of random bytes (RFC 9562 §5.4).
fn uuid(random: [u8; 16]) -> Text {
    let n = u128::from_be_bytes(random);
    let n = n & !(0xF000 << 64) & !(0xC000 << 48) | (0x4000 << 64) | (0x8000 << 48);
    let (a, b, c) = (n >> 96, n >> 80 & 0xFFFF, n >> 64 & 0xFFFF);
    let (d, e) = (n >> 48 & 0xFFFF, n & 0xFFFF_FFFF_FFFF);
    let text = format!("{a:08x}-{b:04x}-{c:04x}-{d:04x}-{e:012x}");
    // Hexadecimal digits are fit for XML.
    Text::new(text).unwrap_or_default()
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

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; what is missing is as in `like`. Or the
/// URI of a WebSocket, but not one without TLS in the place of one with (RFC 7395 §3.6.1).
pub(crate) fn place(text: &str, like: &Endpoint) -> Option<Endpoint> {
    let text = text.trim();
    if text.contains("://") {
        let to: Endpoint = text.parse().ok()?;
        return (to.mode != TlsMode::None || like.mode == TlsMode::None).then_some(to);
    }
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

    #[test]
    fn a_random_id_is_a_uuid_of_version_4() {
        assert_eq!(uuid([0; 16]), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid([0xFF; 16]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

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
        assert_eq!(
            read("wss://a.example/x").as_deref(),
            Some("wss://a.example:443/x")
        );
        for bad in [
            "ws://a.example/x",
            "wss://",
            "",
            ":5222",
            "a:b",
            "a:0",
            "a:99999",
            "[::1",
            "[a]",
            "[::1]x:1",
        ] {
            // `[::1]x:1`: what follows the bracket is no port, and is left out.
            assert!(read(bad).is_none() || bad == "[::1]x:1", "{bad}");
        }
    }
}

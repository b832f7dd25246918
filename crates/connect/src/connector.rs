//! The connection factory: from a configuration to a session on one of the domain's
//! servers. Owns the order of the candidates, when to go on to the next and when to
//! stop, and what is remembered between sessions. One attempt is in `driver`, waiting
//! before another walk in `backoff`.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use stanchion_sasl::SaslCondition;
use stanchion_sasl::client::check_credentials;
use stanchion_sasl::scram::keys::ScramKeys;
use stanchion_stanza::Text;
use stanchion_stanza::payload::datetime::utc;
use stanchion_stanza::payload::sasl2::UserAgent;
use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_transport::{Dial, Endpoint, Host, TcpDial, TlsConnector, TlsMode};
use tokio::time::{Instant, timeout_at};

use crate::config::{Account, ConfigError, ConnectConfig, Endpoints, Plaintext};
use crate::connection::{Connect, Connection};
use crate::driver::{Attempting, Clock};
use crate::entropy::{Entropy, SystemEntropy, number};
use crate::error::{Attempt, ConnectError, ShortCut};
use crate::event::{ConnectEvent, Observer};
use crate::negotiation::{Resume, ResumeToken, ServerMemory, Setup, Start};
use crate::phase::Phase;
use crate::resolve::{Resolve, discover};

/// How many redirections one walk follows (RFC 6120 §4.9.3.19).
pub const MAX_REDIRECTS: u8 = 3;

/// How many short cuts of the login one walk gives up, each at the price of a connection.
const MAX_FORGONE: u8 = 2;

/// How many addresses one walk tries at most.
pub const MAX_ATTEMPTS: usize = 32;

/// Connects over the network. Make one for each account and keep it: it remembers TLS
/// sessions, DNS answers, the keys derived from the password, and what the servers
/// offered, which saves round trips and shows a downgrade.
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
        })
    }

    /// The same, with another resolver. Default: DNS by the system's configuration
    /// (feature `dns`), else the operating system.
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

    /// Begins a walk over the candidates.
    pub(crate) async fn begin<'a>(
        &'a self,
        resume: Option<ResumeToken>,
        observer: &'a Observer<'a>,
    ) -> Result<Walk<'a>, ConnectError> {
        let give_up = Instant::now() + self.config.timeouts.total;
        let hosts = match &self.config.endpoints {
            Endpoints::Explicit(endpoints) => endpoints.clone(),
            Endpoints::Discover => {
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
                if let Some(fault) = fault {
                    return Err(fault.into());
                }
                hosts
            }
        };
        let mut queue: VecDeque<Endpoint> = hosts.into();
        if self.config.endpoints == Endpoints::Discover
            && let Some(location) = resume.as_ref().and_then(|t| t.location.as_deref())
            && let Some(first) = queue.front()
            && let Some(place) = place(location, first)
        {
            queue.retain(|e| *e != place);
            queue.push_front(place);
        }
        observer(&ConnectEvent::Candidates(queue.make_contiguous()));
        Ok(Walk {
            connector: self,
            observer,
            queue,
            give_up,
            resume: resume.map_or(Resume::No, Resume::Try),
            redirects: 0,
            forgone: 0,
            attempts: 0,
        })
    }

    fn setup(&self, endpoint: &Endpoint, resume: Resume) -> Result<Setup, ConnectError> {
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
    fn remember(&self, result: &Result<Connection, Attempt>) {
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
    fn forgo(&self, short_cut: ShortCut) {
        let mut learnt = self.learnt();
        match short_cut {
            ShortCut::Token => learnt.memory.token = None,
            ShortCut::Ahead => learnt.memory.distrust(),
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
        let observer = Arc::clone(&self.observer);
        let mut walk = self.begin(resume, &*observer).await?;
        let mut failed = Vec::new();
        while let Some(result) = walk.next().await {
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
            // Every walk has a candidate; only a time limit of nothing gets here.
            (None, _) => ConnectError::Deadline {
                phase: Phase::Resolve,
                limit: self.config.timeouts.total,
            },
        })
    }
}

/// The candidates that are left, and what the walk has learnt.
pub(crate) struct Walk<'a> {
    connector: &'a Connector,
    observer: &'a Observer<'a>,
    queue: VecDeque<Endpoint>,
    give_up: Instant,
    resume: Resume,
    redirects: u8,
    /// Short cuts that were given up.
    forgone: u8,
    attempts: usize,
}

impl Walk<'_> {
    /// Tries the next candidate. `None` when there is none, or no time, left.
    pub(crate) async fn next(&mut self) -> Option<Result<Connection, Attempt>> {
        loop {
            if Instant::now() >= self.give_up || self.attempts >= MAX_ATTEMPTS {
                return None;
            }
            let endpoint = self.queue.pop_front()?;
            let started = Instant::now();
            let (phase, error) = if let Host::Name(_) = endpoint.host {
                match self.addresses(&endpoint).await {
                    Ok(addresses) => {
                        for address in addresses.into_iter().rev() {
                            self.queue.push_front(address);
                        }
                        continue;
                    }
                    Err(error) => (Phase::Resolve, error),
                }
            } else {
                match self.attempt(&endpoint).await {
                    Ok(connection) => {
                        let result = Ok(connection);
                        self.connector.remember(&result);
                        return Some(result);
                    }
                    Err((_, ConnectError::ResumeUnanswered)) => {
                        // The old session is gone. The same server is asked for a new one.
                        self.resume = Resume::Lost;
                        self.queue.push_front(endpoint);
                        continue;
                    }
                    Err((_, ConnectError::ShortCutRefused { short_cut, .. }))
                        if self.forgone < MAX_FORGONE =>
                    {
                        self.forgone += 1;
                        self.connector.forgo(short_cut);
                        self.queue.push_front(endpoint);
                        continue;
                    }
                    Err((phase, error)) => match self.redirect(&endpoint, error) {
                        Ok(()) => continue,
                        Err(error) => (phase, error),
                    },
                }
            };
            self.attempts += 1;
            let attempt = Attempt {
                endpoint,
                phase,
                elapsed: started.elapsed(),
                error,
            };
            tracing::debug!(endpoint = %attempt.endpoint, %phase, error = %attempt.error, "attempt failed");
            (self.observer)(&ConnectEvent::Failed(&attempt));
            let result = Err(attempt);
            self.connector.remember(&result);
            return Some(result);
        }
    }

    async fn addresses(&self, endpoint: &Endpoint) -> Result<Vec<Endpoint>, ConnectError> {
        (self.observer)(&ConnectEvent::Phase(endpoint, Phase::Resolve));
        let limit = self.connector.config.timeouts.resolve;
        let found = discover::addresses(&*self.connector.resolver, endpoint);
        let found = timeout_at(self.give_up.min(Instant::now() + limit), found)
            .await
            .map_err(|_| ConnectError::Deadline {
                phase: Phase::Resolve,
                limit,
            })?;
        Ok(found?)
    }

    async fn attempt(&self, endpoint: &Endpoint) -> Result<Connection, (Phase, ConnectError)> {
        let connector = self.connector;
        let setup = connector
            .setup(endpoint, self.resume.clone())
            .map_err(|e| (Phase::Tcp, e))?;
        let mut attempting = Attempting {
            dial: &*connector.dial,
            config: &connector.config,
            domain: connector.account.jid.domain(),
            endpoint,
            observer: self.observer,
            clock: Clock::start(connector.config.timeouts, self.give_up),
        };
        let or_plaintext = connector.config.plaintext == Plaintext::Allow;
        // Boxed: a login's state is large, and this future sits in that of the session.
        let result = Box::pin(attempting.run(setup, or_plaintext)).await;
        let Clock { timings, .. } = &mut attempting.clock;
        let timings = std::mem::take(timings);
        match result {
            Ok((stream, established)) => {
                let event = ConnectEvent::Established(endpoint, &established, &timings);
                (self.observer)(&event);
                let mut connection = Connection::new(stream, established, endpoint.clone());
                connection.timings = timings;
                Ok(connection)
            }
            Err(error) => Err((attempting.clock.phase(), error)),
        }
    }

    /// Follows a redirection, if the error is one that can be followed.
    fn redirect(&mut self, from: &Endpoint, error: ConnectError) -> Result<(), ConnectError> {
        let ConnectError::Stream {
            error:
                StreamError {
                    condition: StreamCondition::SeeOtherHost,
                    value: Some(value),
                    ..
                },
            ..
        } = &error
        else {
            return Err(error);
        };
        let Some(to) = place(value, from) else {
            return Err(error);
        };
        if self.redirects >= MAX_REDIRECTS {
            return Err(ConnectError::TooManyRedirects {
                limit: MAX_REDIRECTS,
            });
        }
        self.redirects += 1;
        // Safe wherever it leads: the certificate must still be the domain's.
        (self.observer)(&ConnectEvent::Redirected { from, to: &to });
        self.queue.push_front(to);
        Ok(())
    }
}

/// Reads `host`, `host:port`, `[v6]` or `[v6]:port`; what is missing is as in `like`.
fn place(text: &str, like: &Endpoint) -> Option<Endpoint> {
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
fn default_resolver() -> Arc<dyn Resolve> {
    use crate::resolve::{HickoryResolver, SystemResolver};
    match HickoryResolver::from_system() {
        Ok(resolver) => Arc::new(resolver),
        Err(error) => {
            tracing::warn!(%error, "no DNS configuration: SRV records are not looked up");
            Arc::new(SystemResolver)
        }
    }
}

#[cfg(not(feature = "dns"))]
fn default_resolver() -> Arc<dyn Resolve> {
    Arc::new(crate::resolve::SystemResolver)
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
        for bad in [
            "", ":5222", "a:b", "a:0", "a:99999", "[::1", "[a]", "[::1]x:1",
        ] {
            // `[::1]x:1`: what follows the bracket is no port, and is left out.
            assert!(read(bad).is_none() || bad == "[::1]x:1", "{bad}");
        }
    }
}

//! The connection factory: a session at one of several servers, by their priority and
//! health. Owns which server is tried when, for how long, and what is written back to the
//! registry. The way to one server is the connector's, waiting between rounds that of
//! `persistent`.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use stanchion_stanza::payload::sasl2::UserAgent;
use stanchion_stanza::{BareJid, Text};
use stanchion_transport::{Dial, Endpoint, TcpDial, TlsConnector};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use crate::config::{ConfigError, ConnectConfig};
use crate::connection::{Connect, Connection, SessionEnd};
use crate::connector::Connector;
use crate::entropy::{Entropy, SystemEntropy};
use crate::error::{ConnectError, Misuse, ServerFailure};
use crate::event::{ConnectEvent, Observer};
use crate::health::{Circuit, HealthBook, RETURN_AFTER, order};
use crate::negotiation::{ResumeToken, ServerMemory};
use crate::registry::{EndpointHealth, Note, RegistryError, Server, ServerRegistry};
use crate::resolve::{Resolve, default_resolver};

/// The longest that one server is tried while another one is left.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The longest that a registry is waited for.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(2);

/// Under this key the registry keeps a [`ServerMemory`].
const MEMORY: &str = "login";

/// Under this key the registry keeps the id that servers are told.
const AGENT: &str = "agent";

/// Connects to one of the servers of a registry. Make one and keep it: it keeps a
/// [`Connector`] for each server.
///
/// The servers are tried one after the other: those of the lowest priority first, and
/// among these by their health. The server that gave the last session stays first until
/// a better one has not failed for ten minutes; then, at the next connection, the better
/// one is first again. A session that may be resumed is asked for at its own server and
/// nowhere else.
///
/// A server that refused the account ([`ConnectError::is_a_refusal`]) is not tried again
/// before its entry in the registry is changed; the others are. A registry that fails
/// costs what it would have remembered, not the connection.
///
/// ```
/// use std::sync::Arc;
/// use stanchion_connect::factory::ConnectionFactory;
/// use stanchion_connect::registry::{MemoryRegistry, Server, ServerRegistry};
/// use stanchion_connect::{Account, Connect, ConnectConfig};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let registry = Arc::new(MemoryRegistry::new());
/// let factory = ConnectionFactory::new(registry.clone(), ConnectConfig::default());
/// let error = factory.connect(None).await.unwrap_err();
/// assert_eq!(error.to_string(), "no server is registered; add one first");
///
/// let home = Account::with_password("lamp@home.invalid".parse()?, "secret");
/// registry.put(Server::new(home)).await?; // it is seen by the next call
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct ConnectionFactory {
    registry: Arc<dyn ServerRegistry>,
    common: ConnectConfig,
    /// `None`: TCP, with each server's own TLS policy.
    dial: Option<Arc<dyn Dial>>,
    resolver: Arc<dyn Resolve>,
    entropy: Arc<dyn Entropy>,
    observer: Arc<Observer<'static>>,
    /// In the registry's order. Held only to copy in or out.
    entries: Mutex<Vec<Entry>>,
}

/// One server, and what is kept of it.
#[derive(Debug)]
struct Entry {
    server: Server,
    /// From its first use on.
    connector: Option<Arc<Connector>>,
    /// What the registry knew, until then.
    known: Vec<(Endpoint, EndpointHealth)>,
    /// What a connector had learnt that was put aside because the entry was changed.
    learnt: Option<Lore>,
    /// What the registry keeps of it.
    kept: Kept,
    /// It refused the account, and its entry is the same since.
    refused: Option<Arc<ConnectError>>,
}

/// What logins taught.
#[derive(Debug, Clone, Default)]
struct Lore {
    memory: ServerMemory,
    /// The id that servers are told: a token is good for one.
    agent: Option<Text>,
}

/// What the registry is known to hold.
#[derive(Clone, Default)]
struct Kept {
    memory: Option<Zeroizing<String>>,
    agent: bool,
}

// The text may hold a token.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

impl Entry {
    fn new(server: Server, known: Vec<(Endpoint, EndpointHealth)>) -> Self {
        Self {
            server,
            connector: None,
            known,
            learnt: None,
            kept: Kept::default(),
            refused: None,
        }
    }

    /// The same after its entry in the registry was changed.
    fn changed(self, server: Server) -> Self {
        let Some(connector) = self.connector else {
            return Self {
                learnt: self.learnt,
                kept: self.kept,
                ..Self::new(server, self.known)
            };
        };
        let health = connector.health();
        let known = health.iter().map(|(e, h)| (e.clone(), h.clone()));
        Self {
            learnt: Some(Lore {
                memory: connector.memory(),
                agent: connector.agent_id(),
            }),
            kept: self.kept,
            ..Self::new(server, known.collect())
        }
    }

    fn health(&self) -> EndpointHealth {
        match &self.connector {
            Some(connector) => connector.health().of_the_server(),
            None => HealthBook::new(self.known.clone()).of_the_server(),
        }
    }
}

impl fmt::Debug for ConnectionFactory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionFactory")
            .field("registry", &self.registry)
            .field("common", &self.common)
            .finish_non_exhaustive()
    }
}

impl ConnectionFactory {
    /// A factory over `registry`. Of `common` all counts that is not a server's own
    /// ([`Server::config`]); [`Timeouts::total`](crate::config::Timeouts::total) is for
    /// all servers together.
    #[must_use]
    pub fn new(registry: Arc<dyn ServerRegistry>, common: ConnectConfig) -> Self {
        Self {
            registry,
            common,
            dial: None,
            resolver: default_resolver(),
            entropy: Arc::new(SystemEntropy),
            observer: Arc::new(|_| {}),
            entries: Mutex::new(Vec::new()),
        }
    }

    /// The same, over any transport. [`Server::tls`] is not looked at: it is the
    /// dialler's.
    #[must_use]
    pub fn with_dial(mut self, dial: Arc<dyn Dial>) -> Self {
        self.dial = Some(dial);
        self
    }

    /// The same, with another resolver, shared by all connectors. Default: as
    /// [`Connector::with_resolver`].
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

    /// Reads the registry, and keeps what is still true of what was there before.
    async fn refresh(&self) -> Result<(), ConnectError> {
        let servers = match in_time(self.registry.servers()).await {
            Ok(servers) => servers,
            Err(error) if self.entries().is_empty() => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "the servers known before are used");
                return Ok(());
            }
        };
        let new: Vec<BareJid> = {
            let entries = self.entries();
            let known = |jid: &BareJid| entries.iter().any(|e| e.server.account.jid == *jid);
            let all = servers.iter().map(|s| s.account.jid.clone());
            all.filter(|jid| !known(jid)).collect()
        };
        let mut known = Vec::new();
        for account in new {
            match in_time(self.registry.health(&account)).await {
                Ok(health) => known.push((account, health)),
                Err(error) => tracing::warn!(%error, %account, "its history is not known"),
            }
        }
        let mut entries = self.entries();
        let mut old = std::mem::take(&mut *entries);
        for server in servers {
            let account = &server.account.jid;
            let before = old.iter().position(|e| e.server.account.jid == *account);
            let entry = match before.map(|place| old.swap_remove(place)) {
                Some(entry) if entry.server.logs_in_like(&server) => Entry { server, ..entry },
                Some(entry) => entry.changed(server),
                None => {
                    let history = known.iter_mut().find(|(jid, _)| jid == account);
                    let history = history.map(|(_, h)| std::mem::take(h));
                    Entry::new(server, history.unwrap_or_default())
                }
            };
            entries.push(entry);
        }
        Ok(())
    }

    /// The servers to try, in order; and those that are not to be tried.
    #[allow(clippy::type_complexity)] // Two lists that part ways at once.
    fn plan(
        &self,
        resume: Option<&ResumeToken>,
    ) -> (Vec<BareJid>, Vec<(BareJid, Arc<ConnectError>)>) {
        let entries = self.entries();
        let now = SystemTime::now();
        let refused = entries.iter().filter_map(|e| {
            let error = e.refused.clone()?;
            Some((e.server.account.jid.clone(), error))
        });
        let refused = refused.collect();
        let open = entries.iter().filter(|e| e.refused.is_none());
        let candidates = open
            .map(|e| (e.server.priority, e.health(), &e.server.account.jid))
            .collect();
        let mut plan = order(candidates, now);
        let owner =
            resume.and_then(|token| plan.iter().position(|(_, _, account)| owns(account, token)));
        if let Some(owner) = owner
            && plan[owner].1.circuit(now) != Circuit::Open
        {
            // A session that goes on is worth more than the order; but the return to a
            // better server must come one day.
            let returns = |(priority, health, _): &(u16, EndpointHealth, _)| {
                *priority < plan[owner].0
                    && health.failures == 0
                    && !health.failed_within(now, RETURN_AFTER)
            };
            let place = plan[..owner].iter().take_while(|s| returns(s)).count();
            plan[place..=owner].rotate_right(1);
        }
        let plan = plan.into_iter().map(|(_, _, account)| account.clone());
        (plan.collect(), refused)
    }

    /// The connector of a server, made now if need be. `None`: it was removed meanwhile.
    async fn connector(&self, account: &BareJid) -> Result<Option<Arc<Connector>>, ConfigError> {
        let (server, known, learnt) = {
            let entries = self.entries();
            match entries.iter().find(|e| e.server.account.jid == *account) {
                None => return Ok(None),
                Some(Entry {
                    connector: Some(connector),
                    ..
                }) => return Ok(Some(Arc::clone(connector))),
                Some(entry) => (
                    entry.server.clone(),
                    entry.known.clone(),
                    entry.learnt.clone(),
                ),
            }
        };
        let lore = match learnt {
            Some(learnt) => learnt,
            None => self.recall(account).await,
        };
        let dial = match &self.dial {
            Some(dial) => Arc::clone(dial),
            None => {
                let policy = server.tls.clone();
                // Trusted certificates may have to be read from files. The thread ends
                // when they are read.
                let tls = tokio::task::spawn_blocking(move || TlsConnector::new(&policy)).await;
                match tls {
                    Ok(tls) => Arc::new(TcpDial::new(tls?)),
                    // The runtime shuts down, and this future with it.
                    Err(_) => return Ok(None),
                }
            }
        };
        let config = server.config(&self.common);
        let connector = Connector::with_dial(server.account, config, dial)?
            .with_resolver(Arc::clone(&self.resolver))
            .with_entropy(Arc::clone(&self.entropy))
            .with_health(known)
            .with_memory(lore.memory)
            .with_agent(UserAgent {
                id: lore.agent,
                ..UserAgent::default()
            });
        let connector = Arc::new(connector);
        self.change(account, |entry| {
            entry.connector = Some(Arc::clone(&connector));
        });
        Ok(Some(connector))
    }

    /// Tries one server.
    async fn at(
        &self,
        account: &BareJid,
        resume: Option<ResumeToken>,
        limit: Duration,
    ) -> Result<Connection, ConnectError> {
        let connector = match self.connector(account).await {
            Ok(Some(connector)) => connector,
            Ok(None) => return Err(Misuse::NoServer.into()),
            Err(error) => return Err(Misuse::Config(error).into()),
        };
        let result = connector.connect_for(resume, &*self.observer, limit).await;
        if let Some(refusal) = result.as_ref().err().and_then(ConnectError::refusal) {
            let refusal = Arc::new(refusal);
            self.change(account, |entry| entry.refused = Some(refusal));
        }
        self.write_back(account, &connector).await;
        result
    }

    /// What logins of earlier processes have taught. Without it the next login takes more
    /// round trips, and a server that offers less than before is not noticed.
    async fn recall(&self, account: &BareJid) -> Lore {
        let mut lore = Lore::default();
        let notes = async {
            let memory = self.registry.recall(account, MEMORY).await?;
            let agent = self.registry.recall(account, AGENT).await?;
            Ok((memory, agent))
        };
        let (memory, agent) = match in_time(notes).await {
            Ok(notes) => notes,
            Err(error) => {
                tracing::warn!(%error, %account, "what earlier logins taught is not known");
                return lore;
            }
        };
        let text = |note: &Note| std::str::from_utf8(note.expose_secret()).map(str::to_owned);
        if let Some(note) = &memory {
            let memory = text(note).ok().map(Zeroizing::new);
            match memory.as_ref().map(|text| ServerMemory::decode(text)) {
                Some(Ok(memory)) => lore.memory = memory,
                _ => tracing::warn!(%account, "what earlier logins taught cannot be read"),
            }
        }
        let agent = agent.as_ref().and_then(|note| text(note).ok());
        lore.agent = agent.and_then(|id| Text::new(id).ok());
        lore
    }

    /// Gives the registry what an attempt has taught: all that is to outlive this process.
    async fn write_back(&self, account: &BareJid, connector: &Connector) {
        let changes = connector.take_changes();
        let kept = {
            let entries = self.entries();
            let entry = entries.iter().find(|e| e.server.account.jid == *account);
            entry.map(|e| e.kept.clone()).unwrap_or_default()
        };
        let memory = connector.memory().encode();
        let note = |text: &str| Some(Note::from(text.as_bytes().to_vec()));
        let agent = connector.agent_id().filter(|_| !kept.agent);
        let written = async {
            if !changes.is_empty() {
                self.registry.note_health(account, changes).await?;
            }
            if let Some(agent) = &agent {
                self.registry.learn(account, AGENT, note(agent)).await?;
            }
            if kept.memory.as_ref() != Some(&memory) {
                self.registry.learn(account, MEMORY, note(&memory)).await?;
            }
            Ok(())
        };
        match in_time(written).await {
            Ok(()) => self.change(account, |entry| {
                entry.kept.memory = Some(memory);
                entry.kept.agent |= agent.is_some();
            }),
            Err(error) => tracing::warn!(%error, %account, "what was learnt is not kept"),
        }
    }

    fn change(&self, account: &BareJid, change: impl FnOnce(&mut Entry)) {
        let mut entries = self.entries();
        let entry = entries
            .iter_mut()
            .find(|e| e.server.account.jid == *account);
        if let Some(entry) = entry {
            change(entry);
        }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        // Nothing can panic between lock and unlock and leave it half changed.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Connect for ConnectionFactory {
    async fn connect(&self, resume: Option<ResumeToken>) -> Result<Connection, ConnectError> {
        self.connect_by(resume, self.common.timeouts.total).await
    }

    async fn connect_by(
        &self,
        resume: Option<ResumeToken>,
        limit: Duration,
    ) -> Result<Connection, ConnectError> {
        let give_up = Instant::now() + limit;
        self.refresh().await?;
        let (plan, refused) = self.plan(resume.as_ref());
        if plan.is_empty() && refused.is_empty() {
            return Err(Misuse::NoServer.into());
        }
        let mut failures = Vec::new();
        for (place, account) in plan.iter().enumerate() {
            let begin = Instant::now();
            let left = give_up.saturating_duration_since(begin);
            let limit = match u32::try_from(plan.len() - place).unwrap_or(u32::MAX) {
                1 => left,
                share => PATIENCE.min(left / share),
            };
            (self.observer)(&ConnectEvent::Server(account));
            let token = resume.clone().filter(|token| owns(account, token));
            match self.at(account, token, limit).await {
                Ok(connection) => return Ok(connection),
                Err(error) => {
                    let failure = ServerFailure {
                        account: account.clone(),
                        elapsed: begin.elapsed(),
                        error,
                    };
                    tracing::info!(%account, error = %failure.error, "no session");
                    (self.observer)(&ConnectEvent::ServerFailed(&failure));
                    failures.push(failure);
                }
            }
        }
        for (account, refusal) in refused {
            failures.push(ServerFailure {
                account,
                elapsed: Duration::ZERO,
                error: ConnectError::StillRefused(refusal),
            });
        }
        Err(match (failures.pop(), failures.is_empty()) {
            (Some(only), true) => only.error,
            (Some(last), false) => {
                failures.push(last);
                ConnectError::AllServersFailed(failures)
            }
            (None, _) => Misuse::NoServer.into(),
        })
    }

    fn ended(&self, end: &SessionEnd) {
        let account = end.jid.to_bare();
        let connector = {
            let entries = self.entries();
            // An anonymous account is its domain alone.
            let entry = entries.iter().find(|e| {
                let jid = &e.server.account.jid;
                *jid == account || jid.local().is_none() && jid.domain() == account.domain()
            });
            entry.and_then(|e| e.connector.clone())
        };
        if let Some(connector) = connector {
            // It is written back after the next attempt.
            connector.ended(end);
        }
    }
}

/// Whether the session is of this account.
fn owns(account: &BareJid, token: &ResumeToken) -> bool {
    let owner = token.jid.to_bare();
    *account == owner || account.local().is_none() && account.domain() == owner.domain()
}

async fn in_time<T>(
    work: impl Future<Output = Result<T, RegistryError>>,
) -> Result<T, RegistryError> {
    match timeout(REGISTRY_PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => Err(RegistryError::Storage("it does not answer".into())),
    }
}

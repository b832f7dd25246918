//! The connection factory: a session at one of several servers, by their priority and
//! health. Owns which server is tried when, for how long, and when something is written back
//! to the registry; what is kept of a server is in `entry` and `lore`. The way to one server is the connector's, waiting between rounds that of
//! `persistent`.

mod entry;
mod lore;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use stanchion_stanza::BareJid;
use stanchion_stanza::payload::sasl2::UserAgent;
use stanchion_transport::{Dial, TcpDial, TlsConnector};
use tokio::time::Instant;

use crate::config::{ConfigError, ConnectConfig};
use crate::connection::{Connect, Connection, SessionEnd};
use crate::connector::Connector;
use crate::entropy::{Entropy, SystemEntropy};
use crate::error::{ConnectError, Misuse, ServerFailure};
use crate::event::{ConnectEvent, Observer};
use crate::health::{Circuit, RETURN_AFTER, order};
use crate::negotiation::ResumeToken;
use crate::registry::{EndpointHealth, ServerRegistry};
use crate::resolve::{Resolve, default_resolver};
use entry::Entry;
use lore::{Lore, in_time};

/// The longest that one server is tried while another one is left.
pub const PATIENCE: Duration = Duration::from_secs(20);

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
    /// ([`Server::config`](crate::registry::Server::config)); [`Timeouts::total`](crate::config::Timeouts::total) is for
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

    /// The same, over any transport. [`Server::tls`](crate::registry::Server::tls) is not looked at: it is the
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
            None => Lore::from_registry(&*self.registry, account).await,
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
            .with_websocket_memory(lore.over_websocket)
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

    /// Gives the registry what an attempt has taught: all that is to outlive this process.
    async fn write_back(&self, account: &BareJid, connector: &Connector) {
        let changes = connector.take_changes();
        let mut kept = {
            let entries = self.entries();
            let entry = entries.iter().find(|e| e.server.account.jid == *account);
            entry.map(|e| e.kept.clone()).unwrap_or_default()
        };
        let lore = Lore::of(connector);
        let written = async {
            if !changes.is_empty() {
                self.registry.note_health(account, changes).await?;
            }
            kept.write(&*self.registry, account, &lore).await
        };
        match in_time(written).await {
            Ok(()) => self.change(account, |entry| entry.kept = kept),
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

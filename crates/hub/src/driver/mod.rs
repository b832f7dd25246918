//! The hub: sockets, clocks, disk and tasks around the two cores. One task routes
//! (`routing`), one serves each connection (`connection`); here they are started and
//! joined.

mod connection;
mod routing;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use stanchion_sasl::mechanism::Mechanism;
use stanchion_sasl::server::ServerPolicy;
use stanchion_stanza::Jid;
use stanchion_transport::TlsAcceptor;
use stanchion_transport::security::Fingerprint;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, spawn_blocking};
use zeroize::Zeroizing;

use crate::accounts::{Directory, localpart};
use crate::config::{ComponentConfig, HubConfig};
use crate::error::HubError;
use crate::limits::HubLimits;
use crate::router::{ConnectionId, Router, RouterConfig};
use crate::state::{HubIdentity, Kept, Spool, StateDir};
use crate::stream::{Attachable, Negotiable, Registrar};
use connection::{Connection, Port, Shared};
use routing::{Routing, ToRouter};

/// Inputs that may wait for the router. A connection that finds no place waits, and
/// reads nothing meanwhile.
const ROUTER_QUEUE: usize = 256;

/// How long connections may take to end once the hub goes down.
const FAREWELL: Duration = Duration::from_secs(5);

/// How long to wait after the system refused to accept a connection, as when there are
/// no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Where a hub listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// For STARTTLS.
    pub starttls: Option<SocketAddr>,
    /// For direct TLS.
    pub direct_tls: Option<SocketAddr>,
    /// For the component.
    pub component: Option<SocketAddr>,
}

/// A hub that is bound to its addresses. It takes connections once it runs; those made
/// before wait in the system's queue.
///
/// See the [crate's front page](crate) for an example.
pub struct Hub {
    starttls: Option<TcpListener>,
    direct_tls: Option<TcpListener>,
    component: Option<TcpListener>,
    addresses: Addresses,
    fingerprint: Fingerprint,
    certificate_pem: String,
    shared: Arc<Shared>,
    router: Router,
    spool: Option<Spool>,
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hub")
            .field("addresses", &self.addresses)
            .field("fingerprint", &self.fingerprint)
            .finish_non_exhaustive()
    }
}

/// What is read, made and derived before listening.
struct Prepared {
    identity: HubIdentity,
    directory: Directory,
    secret: Zeroizing<[u8; 32]>,
    spool: Option<Spool>,
    router: Router,
}

impl Hub {
    /// Reads or makes the certificate, derives the accounts' keys, and listens.
    ///
    /// # Errors
    /// [`HubError`].
    pub async fn bind(config: HubConfig) -> Result<Self, HubError> {
        let domain = domain(&config.domain)?;
        if config.starttls.is_none() && config.direct_tls.is_none() {
            return Err(HubError::NoListener);
        }
        let (starttls_at, direct_at) = (config.starttls, config.direct_tls);
        let component_at = config.component.as_ref().map(|c| c.listen);
        let attachable = config.component.as_ref().map(attachable).transpose()?;
        let limits = config.limits;
        let (plain, bound) = (config.plain, config.channel_binding);
        let registers = config.registration;
        // Before the state directory: who started the hub twice is told of the address.
        let starttls = listen(starttls_at).await?;
        let direct_tls = listen(direct_at).await?;
        let component = listen(component_at).await?;
        let addresses = Addresses {
            starttls: address(starttls.as_ref(), starttls_at)?,
            direct_tls: address(direct_tls.as_ref(), direct_at)?,
            component: address(component.as_ref(), component_at)?,
        };
        let prepared = {
            let domain = domain.clone();
            spawn_blocking(move || prepare(config, domain))
                .await
                .map_err(|_| HubError::Fault)??
        };
        let Prepared {
            identity,
            directory,
            secret,
            spool,
            mut router,
        } = prepared;
        if let Some(attachable) = &attachable
            && !router.add_component(attachable.domain.clone())
        {
            return Err(HubError::ComponentDomain {
                domain: attachable.domain.to_string(),
            });
        }
        let acceptor = TlsAcceptor::new(identity.to_tls()?)?;
        let fingerprint = acceptor.sha256();
        let directory = Arc::new(directory);
        let negotiable = Negotiable {
            domain,
            registrar: registers.then(|| Arc::clone(&directory) as Arc<dyn Registrar>),
            policy: Arc::new(policy(&directory, *secret, &limits, plain, bound)),
            accounts: directory,
            localpart,
            max_bytes: limits.inbound().stanza_bytes,
            login_time: limits.login_time,
        };
        Ok(Self {
            starttls,
            direct_tls,
            component,
            addresses,
            fingerprint,
            certificate_pem: identity.certificate_pem().to_owned(),
            shared: Arc::new(Shared {
                negotiable,
                component: attachable.map(Arc::new),
                acceptor,
                limits,
            }),
            router,
            spool,
        })
    }

    /// Where it listens, with the ports that the system chose.
    #[must_use]
    pub const fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// SHA-256 of the certificate, for clients to pin.
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// The certificate, for clients to trust. With a state directory it also stands
    /// there, in `cert.pem`.
    #[must_use]
    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    /// Serves until `shutdown` completes. Then all clients get `system-shutdown`, what
    /// they have not acknowledged goes to offline storage, and all tasks are joined,
    /// within 5 s or so.
    ///
    /// # Errors
    /// [`HubError::State`] if offline storage cannot be written, and
    /// [`HubError::Entropy`]: the hub stops rather than go on without.
    ///
    /// # Cancellation
    /// Dropping the future ends all connections at once, as a crash would.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), HubError> {
        let limits = self.shared.limits;
        let (to_router, inputs) = mpsc::channel(ROUTER_QUEUE);
        let (going, gone) = watch::channel(false);
        // In a set too, so that it ends with this future.
        let mut routing = JoinSet::new();
        routing.spawn(Routing::new(self.router, self.spool).run(inputs));
        let mut connections = JoinSet::new();
        let mut next = 0;
        let mut shutdown = std::pin::pin!(shutdown);
        let outcome = loop {
            let (accepted, port) = tokio::select! {
                () = &mut shutdown => break Ok(()),
                ended = routing.join_next() => break routed(ended),
                Some(_) = connections.join_next(), if !connections.is_empty() => continue,
                accepted = accept(self.starttls.as_ref()) => (accepted, Port::StartTls),
                accepted = accept(self.direct_tls.as_ref()) => (accepted, Port::DirectTls),
                accepted = accept(self.component.as_ref()) => (accepted, Port::Component),
            };
            let socket = match accepted {
                Ok(socket) => socket,
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            if connections.len() >= limits.connections {
                tracing::warn!("too many connections: one more was closed");
                continue;
            }
            let id = ConnectionId(next);
            next += 1;
            let connection = Connection::new(
                id,
                Arc::clone(&self.shared),
                to_router.clone(),
                gone.clone(),
            );
            connections.spawn(connection.serve(socket, port));
        };
        // First the router, so that what is unacknowledged is stored before clients
        // hear that the hub goes.
        let _ = to_router.send(ToRouter::Shutdown).await;
        drop(to_router);
        let outcome = match (outcome, routing.is_empty()) {
            (Ok(()), false) => routed(routing.join_next().await),
            (outcome, _) => outcome,
        };
        // Fails only if there is no connection to tell.
        let _ = going.send(true);
        let farewell = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, farewell).await.is_err() {
            connections.shutdown().await;
        }
        outcome
    }
}

/// What the router's task said at its end.
fn routed(
    ended: Option<Result<Result<(), HubError>, tokio::task::JoinError>>,
) -> Result<(), HubError> {
    match ended {
        Some(Ok(outcome)) => outcome,
        Some(Err(_)) | None => Err(HubError::Fault),
    }
}

fn domain(text: &str) -> Result<Jid, HubError> {
    let jid = Jid::new(text).map_err(|source| HubError::Domain {
        domain: text.to_owned(),
        source,
    })?;
    if jid.local().is_some() || jid.resource().is_some() {
        return Err(HubError::NotADomain {
            domain: text.to_owned(),
        });
    }
    Ok(jid)
}

/// Who may attach itself. Its stream must not leave the machine.
fn attachable(config: &ComponentConfig) -> Result<Attachable, HubError> {
    if !config.listen.ip().to_canonical().is_loopback() {
        let address = config.listen;
        return Err(HubError::ComponentAddress { address });
    }
    let domain = domain(&config.domain)?;
    if config.secret.expose_secret().is_empty() {
        return Err(HubError::ComponentSecret {
            domain: config.domain.clone(),
        });
    }
    Ok(Attachable {
        domain,
        secret: config.secret.clone(),
    })
}

/// Blocks: on the disk, and for the keys.
fn prepare(config: HubConfig, domain: Jid) -> Result<Prepared, HubError> {
    let mut fresh = zeroize::Zeroizing::new([0; 32]);
    getrandom::fill(&mut *fresh).map_err(HubError::Entropy)?;
    let state = config.state.as_deref().map(StateDir::open).transpose()?;
    let (identity, secret) = match &state {
        Some(state) => (state.identity(domain.domain())?, state.secret(*fresh)?),
        None => (HubIdentity::make(domain.domain())?, fresh),
    };
    let directory =
        config
            .accounts
            .into_directory(domain.domain(), &*secret, config.limits.registered)?;
    let (spool, kept) = match state {
        Some(state) => {
            let (spool, kept) = state.into_spool(config.limits)?;
            (Some(spool), kept)
        }
        None => (None, Kept::default()),
    };
    let mut router = Router::new(
        RouterConfig {
            domain,
            accounts: directory.names(),
            registers: config.registration,
            limits: config.limits,
            resume_timeout: config.resume_timeout,
        },
        kept.stored,
    );
    router.restore_archives(kept.archived);
    Ok(Prepared {
        identity,
        directory,
        secret,
        spool,
        router,
    })
}

fn policy(
    directory: &Directory,
    secret: [u8; 32],
    limits: &HubLimits,
    plain: bool,
    bound: bool,
) -> ServerPolicy {
    let hashes = directory.hashes();
    let mut policy = ServerPolicy::new(secret);
    policy.mechanisms.retain(|mechanism| match mechanism {
        Mechanism::Plain => plain,
        Mechanism::ScramPlus(_) if !bound => false,
        other => other
            .scram_hash()
            .is_some_and(|hash| hashes.contains(&hash)),
    });
    policy.iterations = directory.iterations();
    policy.max_failures = limits.login_attempts.max(1);
    policy
}

async fn listen(address: Option<SocketAddr>) -> Result<Option<TcpListener>, HubError> {
    let Some(address) = address else {
        return Ok(None);
    };
    match TcpListener::bind(address).await {
        Ok(listener) => Ok(Some(listener)),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            Err(HubError::AddressInUse { address })
        }
        Err(source) => Err(HubError::Listen { address, source }),
    }
}

fn address(
    listener: Option<&TcpListener>,
    asked: Option<SocketAddr>,
) -> Result<Option<SocketAddr>, HubError> {
    let (Some(listener), Some(address)) = (listener, asked) else {
        return Ok(None);
    };
    listener
        .local_addr()
        .map(Some)
        .map_err(|source| HubError::Listen { address, source })
}

/// The next connection; never, if nobody listens.
async fn accept(listener: Option<&TcpListener>) -> io::Result<TcpStream> {
    match listener {
        Some(listener) => listener.accept().await.map(|(socket, _)| socket),
        None => std::future::pending().await,
    }
}

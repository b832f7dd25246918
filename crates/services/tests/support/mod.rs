//! A hub in this process, and devices at it whose services a test puts together.

#![allow(dead_code, reason = "each test file uses a part")]

use std::future::Future;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use stanchion_connect::component::{ComponentConfig, ComponentConnector};
use stanchion_connect::{Account, Connect, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion_hub::ComponentConfig as HubComponent;
use stanchion_hub::{Accounts, Fingerprint, Hub, HubConfig, HubError};
use stanchion_reliability::Session;
use stanchion_reliability::session::{SessionConfig, Status};
use stanchion_reliability::store::{Opening, Seed, SqliteStore, StoreError, Transactor, WallTime};
use stanchion_services::{Host, HostBuilder, Incoming};
use stanchion_transport::TlsMode;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const DOMAIN: &str = "home.example";
/// The component's, where there is one.
pub(crate) const CLOUD: &str = "cloud.home.example";

/// A hub for `home.example`; each account's password is its name.
pub(crate) struct Server {
    address: SocketAddr,
    component: Option<SocketAddr>,
    fingerprint: Fingerprint,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), stanchion_hub::HubError>>,
}

impl Server {
    pub(crate) async fn start(accounts: &[&str]) -> Self {
        Self::start_at(accounts, None, ([127, 0, 0, 1], 0).into()).await
    }

    /// The same with what an earlier one left in that folder.
    pub(crate) async fn start_in(accounts: &[&str], state: Option<&Path>) -> Self {
        let anywhere = ([127, 0, 0, 1], 0).into();
        Self::start_at(accounts, state.map(Path::to_owned), anywhere).await
    }

    /// The same, at that address, with what is kept in that folder.
    pub(crate) async fn start_at(
        accounts: &[&str],
        state: Option<PathBuf>,
        address: SocketAddr,
    ) -> Self {
        let config = HubConfig {
            domain: DOMAIN.to_owned(),
            starttls: None,
            direct_tls: Some(address),
            state,
            accounts: Accounts::open_demo(accounts.iter().map(|name| (*name, *name))).unwrap(),
            ..HubConfig::default()
        };
        Self::start_with(config).await
    }

    /// The same, and anybody may make an account.
    pub(crate) async fn start_open(accounts: &[&str]) -> Self {
        let config = HubConfig {
            domain: DOMAIN.to_owned(),
            starttls: None,
            direct_tls: Some(([127, 0, 0, 1], 0).into()),
            accounts: Accounts::open_demo(accounts.iter().map(|name| (*name, *name))).unwrap(),
            registration: true,
            ..HubConfig::default()
        };
        Self::start_with(config).await
    }

    /// The same, with a component for `cloud.home.example` whose secret is `secret`: at those
    /// addresses, with what is kept in that folder.
    pub(crate) async fn start_for_component(
        accounts: &[&str],
        state: Option<&Path>,
        address: SocketAddr,
        listen: SocketAddr,
    ) -> Self {
        let config = HubConfig {
            domain: DOMAIN.to_owned(),
            starttls: None,
            direct_tls: Some(address),
            state: state.map(Path::to_owned),
            accounts: Accounts::open_demo(accounts.iter().map(|name| (*name, *name))).unwrap(),
            component: Some(HubComponent {
                listen,
                domain: CLOUD.to_owned(),
                secret: "secret".into(),
            }),
            ..HubConfig::default()
        };
        Self::start_with(config).await
    }

    async fn start_with(config: HubConfig) -> Self {
        let hub = soon(async {
            loop {
                match Hub::bind(config.clone()).await {
                    Ok(hub) => return hub,
                    // One that was ended halfway through a write still has its folder.
                    Err(HubError::StateInUse { .. } | HubError::AddressInUse { .. }) => {
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        })
        .await;
        let (stop, stopped) = oneshot::channel();
        Self {
            address: hub.addresses().direct_tls.unwrap(),
            component: hub.addresses().component,
            fingerprint: hub.fingerprint(),
            stop,
            running: tokio::spawn(hub.run(async { drop(stopped.await) })),
        }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens for the component.
    pub(crate) fn component_address(&self) -> SocketAddr {
        self.component.unwrap()
    }

    /// How to attach oneself as the component, and to speak as that address of it.
    pub(crate) fn component(&self, address: &str, secret: &str) -> ComponentConnector {
        let endpoint = Endpoint::at(self.component_address(), TlsMode::None);
        let config = ComponentConfig::at(endpoint);
        ComponentConnector::new(address.parse().unwrap(), secret.into(), config).unwrap()
    }

    /// How to log in as that account.
    pub(crate) fn connector(&self, name: &str) -> Connector {
        self.connector_at(name, self.address)
    }

    /// The same with that password.
    pub(crate) fn connector_with(&self, name: &str, password: &str) -> Connector {
        self.connector_by(name, password, self.address)
    }

    /// The same through that place.
    pub(crate) fn connector_at(&self, name: &str, place: SocketAddr) -> Connector {
        self.connector_by(name, name, place)
    }

    fn connector_by(&self, name: &str, password: &str, place: SocketAddr) -> Connector {
        let mut config = ConnectConfig::default();
        config.tls.pin = Some(self.fingerprint);
        let endpoint = Endpoint::at(place, TlsMode::Direct);
        config.endpoints = Endpoints::Explicit(vec![endpoint]);
        let jid = format!("{name}@{DOMAIN}").parse().unwrap();
        Connector::new(Account::with_password(jid, password), config).unwrap()
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap().unwrap();
    }

    /// Ends it without a word to anybody.
    pub(crate) async fn crash(self) {
        self.running.abort();
        assert!(self.running.await.unwrap_err().is_cancelled());
    }
}

/// A session with services.
pub(crate) struct Device {
    pub(crate) session: Session,
    pub(crate) host: Host,
    pub(crate) incoming: Incoming,
    pub(crate) store: Transactor,
}

impl Device {
    /// Connects as that account, with a store in that file.
    pub(crate) async fn start(
        server: &Server,
        name: &str,
        file: &Path,
        services: HostBuilder,
    ) -> Self {
        let device = Self::begin(server, name, file, services).await;
        device.connected().await;
        device
    }

    /// The same, without waiting for the connection.
    pub(crate) async fn begin(
        server: &Server,
        name: &str,
        file: &Path,
        services: HostBuilder,
    ) -> Self {
        let config = SessionConfig::default();
        Self::begin_as(server, name, file, services, config).await
    }

    /// The same with that configuration.
    pub(crate) async fn begin_as(
        server: &Server,
        name: &str,
        file: &Path,
        services: HostBuilder,
        config: SessionConfig,
    ) -> Self {
        Self::begin_by(server.connector(name), file, services, config).await
    }

    /// One that connects so.
    pub(crate) async fn begin_by(
        connector: impl Connect + 'static,
        file: &Path,
        services: HostBuilder,
        config: SessionConfig,
    ) -> Self {
        let opening = Opening::new(Seed::from_os().unwrap(), WallTime::from_unix_ms(0));
        // One that was dropped, as if killed, has it for a moment more.
        let store = loop {
            match SqliteStore::open(file, &opening) {
                Err(StoreError::InUse { .. }) => tokio::task::yield_now().await,
                store => break store.unwrap(),
            }
        };
        let transactor = store.transactor().unwrap();
        let connect = Arc::new(connector);
        let (session, receiver, stanzas) =
            Session::start_with_stanzas(connect, Box::new(store), config)
                .await
                .unwrap();
        let sender = session.sender();
        let (host, incoming) = services
            .start(sender, receiver, stanzas, transactor.clone())
            .await
            .unwrap();
        Self {
            session,
            host,
            incoming,
            store: transactor,
        }
    }

    pub(crate) async fn connected(&self) {
        let mut status = self.session.status();
        let up = status.wait_for(|s| matches!(s, Status::Connected { .. }));
        soon(up).await.unwrap();
    }

    /// The address in use.
    pub(crate) fn jid(&self) -> stanchion_stanza::Jid {
        match &*self.session.status().borrow() {
            Status::Connected { jid, .. } => jid.clone().into(),
            other => panic!("not connected: {other:?}"),
        }
    }

    pub(crate) async fn stop(self) {
        self.host.shutdown().await;
        self.session.shutdown().await.unwrap();
    }

    /// Ends it as a crash would: nothing more is kept, said or acknowledged. Gives its file
    /// back once nobody has it.
    pub(crate) async fn crash(self, file: &Path) {
        drop(self);
        let free = async {
            let opening = Opening::new(Seed::from_os().unwrap(), WallTime::from_unix_ms(0));
            while SqliteStore::open(file, &opening).is_err() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        soon(free).await;
    }
}

/// What takes longer hangs.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, what).await.expect("in time")
}

//! A hub in this process, and devices at it whose services a test puts together.

#![allow(dead_code, reason = "each test file uses a part")]

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stanchion_connect::{Account, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion_hub::{Accounts, Fingerprint, Hub, HubConfig};
use stanchion_reliability::Session;
use stanchion_reliability::session::{SessionConfig, Status};
use stanchion_reliability::store::{Opening, Seed, SqliteStore, Transactor, WallTime};
use stanchion_services::{Host, HostBuilder, Incoming};
use stanchion_transport::TlsMode;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub(crate) const DOMAIN: &str = "home.example";

/// A hub for `home.example`; each account's password is its name.
pub(crate) struct Server {
    address: SocketAddr,
    fingerprint: Fingerprint,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), stanchion_hub::HubError>>,
}

impl Server {
    pub(crate) async fn start(accounts: &[&str]) -> Self {
        let hub = Hub::bind(HubConfig {
            domain: DOMAIN.to_owned(),
            starttls: None,
            direct_tls: Some(([127, 0, 0, 1], 0).into()),
            accounts: Accounts::open_demo(accounts.iter().map(|name| (*name, *name))).unwrap(),
            ..HubConfig::default()
        })
        .await
        .unwrap();
        let (stop, stopped) = oneshot::channel();
        Self {
            address: hub.addresses().direct_tls.unwrap(),
            fingerprint: hub.fingerprint(),
            stop,
            running: tokio::spawn(hub.run(async { drop(stopped.await) })),
        }
    }

    /// How to log in as that account.
    pub(crate) fn connector(&self, name: &str) -> Connector {
        let mut config = ConnectConfig::default();
        config.tls.pin = Some(self.fingerprint);
        let endpoint = Endpoint::at(self.address, TlsMode::Direct);
        config.endpoints = Endpoints::Explicit(vec![endpoint]);
        let jid = format!("{name}@{DOMAIN}").parse().unwrap();
        Connector::new(Account::with_password(jid, name), config).unwrap()
    }

    pub(crate) async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap().unwrap();
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
        let opening = Opening::new(Seed::from_os().unwrap(), WallTime::from_unix_ms(0));
        let store = SqliteStore::open(file, &opening).unwrap();
        let transactor = store.transactor().unwrap();
        let connect = Arc::new(server.connector(name));
        let (session, receiver, stanzas) =
            Session::start_with_stanzas(connect, Box::new(store), SessionConfig::default())
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
}

/// What takes longer hangs.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, what).await.expect("in time")
}

//! Where the ends meet: the embedded hub, or a real server.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use serde_json::Value;
use stanchion_connect::{Account, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion_hub::{Accounts, Hub, HubConfig};
use stanchion_reliability::Session;
use stanchion_reliability::session::SessionConfig;
use stanchion_reliability::store::{Opening, Seed, SqliteStore, WallTime};
use stanchion_services::pubsub::{Pubsub, State};
use stanchion_services::{Host, HostBuilder, Incoming};
use stanchion_transport::TlsMode;
use stanchion_transport::tls::Roots;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::Options;

/// What an end must know.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) domain: String,
    pub(crate) port: u16,
    pub(crate) ca: PathBuf,
}

/// A hub in this process, if it is not a real server.
pub(crate) struct Running(Option<(oneshot::Sender<()>, JoinHandle<()>)>);

impl Running {
    pub(crate) async fn stop(self) {
        if let Some((stop, running)) = self.0 {
            drop(stop);
            running.await.unwrap();
        }
    }
}

impl Place {
    /// Starts a hub, or takes a server that is there, with these accounts.
    pub(crate) async fn open(kind: &str, users: [&str; 2], folder: &Path) -> (Self, Running) {
        if kind == "hub" {
            let accounts = users.map(|user| (user, user));
            let hub = Hub::bind(HubConfig {
                domain: "home.example".to_owned(),
                starttls: Some(([127, 0, 0, 1], 0).into()),
                direct_tls: None,
                accounts: Accounts::open_demo(accounts).unwrap(),
                ..HubConfig::default()
            })
            .await
            .unwrap();
            let ca = folder.join("ca.pem");
            std::fs::write(&ca, hub.certificate_pem()).unwrap();
            let place = Self {
                domain: "home.example".to_owned(),
                port: hub.addresses().starttls.unwrap().port(),
                ca,
            };
            let (stop, stopped) = oneshot::channel();
            let running = tokio::spawn(async move {
                hub.run(async { drop(stopped.await) }).await.unwrap();
            });
            return (place, Running(Some((stop, running))));
        }
        let given = |name: &str| PathBuf::from(std::env::var_os(name).expect(name));
        let text = std::fs::read_to_string(given("STANCHION_TEST_SERVERS")).unwrap();
        let mut all: Value = serde_json::from_str(&text).unwrap();
        let about = all[kind].take();
        for user in users {
            let status = Command::new(given("STANCHION_XTASK"))
                .args(["servers", "adduser", user, user, "--dir"])
                .arg(about["dir"].as_str().unwrap())
                .stdout(std::process::Stdio::null())
                .status()
                .unwrap();
            assert!(status.success(), "{user} at {kind}");
        }
        let place = Self {
            domain: about["domain"].as_str().unwrap().to_owned(),
            port: u16::try_from(about["ports"]["starttls"].as_u64().unwrap()).unwrap(),
            ca: about["ca"].as_str().unwrap().into(),
        };
        (place, Running(None))
    }

    pub(crate) fn to_args(&self) -> Vec<String> {
        let ca = self.ca.to_str().unwrap();
        let port = self.port.to_string();
        let args = ["--domain", &self.domain, "--port", &port, "--ca", ca];
        args.map(str::to_owned).to_vec()
    }

    fn of(options: &Options) -> Self {
        Self {
            domain: options.text("domain").unwrap().to_owned(),
            port: u16::try_from(options.number("port", 0)).unwrap(),
            ca: options.text("ca").unwrap().into(),
        }
    }
}

/// An end's client.
pub(crate) struct Client {
    pub(crate) session: Session,
    pub(crate) host: Host,
    pub(crate) pubsub: Pubsub,
    pub(crate) store: stanchion_reliability::store::Transactor,
    _incoming: Incoming,
}

impl Client {
    pub(crate) async fn start(options: &Options) -> Self {
        let place = Place::of(options);
        let user = options.text("user").unwrap();
        let mut config = ConnectConfig::default();
        config.tls.roots = vec![Roots::Pem(std::fs::read(&place.ca).unwrap())];
        let address = ([127, 0, 0, 1], place.port).into();
        let endpoint = Endpoint::at(address, TlsMode::StartTls);
        config.endpoints = Endpoints::Explicit(vec![endpoint]);
        let jid = format!("{user}@{}", place.domain).parse().unwrap();
        let connector = Connector::new(Account::with_password(jid, user), config).unwrap();
        let opening = Opening::new(Seed::from_os().unwrap(), WallTime::from_unix_ms(0));
        let store = SqliteStore::open(options.text("store").unwrap(), &opening).unwrap();
        let transactor = store.transactor().unwrap();
        let mut session = SessionConfig::default();
        // A run has many kills and no fleet.
        session.backoff.cap = std::time::Duration::from_secs(1);
        let (session, receiver, stanzas) =
            Session::start_with_stanzas(Arc::new(connector), Box::new(store), session)
                .await
                .unwrap();
        let mut services = HostBuilder::new();
        let handle = services.add(State::default());
        let sender = session.sender();
        let started = services.start(sender, receiver, stanzas, transactor.clone());
        let (host, incoming) = started.await.unwrap();
        Self {
            pubsub: Pubsub::new(handle, host.requests(), transactor.clone()),
            store: transactor,
            session,
            host,
            _incoming: incoming,
        }
    }

    pub(crate) async fn stop(self) {
        self.host.shutdown().await;
        self.session.shutdown().await.unwrap();
    }
}

//! A hub in this process, and devices with things at it.

#![allow(dead_code, reason = "each test file uses a part")]

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stanchion_connect::{Account, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion_device::adapter::{AdapterEvent, Supervisor, SupervisorConfig, from_adapters};
use stanchion_device::host::{self, ThingHost};
use stanchion_device::model::{Kind, ParameterKind, Setting, SettingValue, Value};
use stanchion_device::{
    Adapter, AdapterError, FieldSpec, HostConfig, Link, OrderError, ParameterSpec, Sample, Stop,
    ThingSpec,
};
use stanchion_hub::{Accounts, Fingerprint, Hub, HubConfig, HubError};
use stanchion_reliability::Session;
use stanchion_reliability::session::{SessionConfig, Status};
use stanchion_reliability::store::{Opening, Seed, SqliteStore, StoreError, Transactor, WallTime};
use stanchion_services::disco::Disco;
use stanchion_services::{Host, HostBuilder, Incoming};
use stanchion_stanza::Text;
use stanchion_transport::TlsMode;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

pub(crate) const DOMAIN: &str = "home.example";

/// A hub for `home.example`; each account's password is its name.
pub(crate) struct Server {
    address: SocketAddr,
    fingerprint: Fingerprint,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), HubError>>,
}

impl Server {
    pub(crate) async fn start(accounts: &[&str]) -> Self {
        let config = HubConfig {
            domain: DOMAIN.to_owned(),
            starttls: None,
            direct_tls: Some(([127, 0, 0, 1], 0).into()),
            accounts: Accounts::open_demo(accounts.iter().map(|name| (*name, *name))).unwrap(),
            ..HubConfig::default()
        };
        let hub = Hub::bind(config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        Self {
            address: hub.addresses().direct_tls.unwrap(),
            fingerprint: hub.fingerprint(),
            stop,
            running: tokio::spawn(hub.run(async { drop(stopped.await) })),
        }
    }

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
pub(crate) struct Peer {
    pub(crate) session: Session,
    pub(crate) host: Host,
    pub(crate) incoming: Incoming,
    pub(crate) store: Transactor,
}

impl Peer {
    pub(crate) async fn start(
        server: &Server,
        name: &str,
        file: &Path,
        services: HostBuilder,
    ) -> Self {
        Self::start_by(server.connector(name), file, services).await
    }

    /// One that connects so.
    pub(crate) async fn start_by(
        connector: Connector,
        file: &Path,
        mut services: HostBuilder,
    ) -> Self {
        services.add(Disco::default());
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
        let config = SessionConfig::default();
        let (session, receiver, stanzas) =
            Session::start_with_stanzas(connect, Box::new(store), config)
                .await
                .unwrap();
        let (host, incoming) = services
            .start(session.sender(), receiver, stanzas, transactor.clone())
            .await
            .unwrap();
        let mut status = session.status();
        let up = status.wait_for(|s| matches!(s, Status::Connected { .. }));
        soon(up).await.unwrap();
        Self {
            session,
            host,
            incoming,
            store: transactor,
        }
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

/// A peer whose lamp has not been told of yet.
pub(crate) struct Dark {
    pub(crate) peer: Peer,
    things: ThingHost,
}

impl Dark {
    pub(crate) async fn start_by(connector: Connector, file: &Path, config: HostConfig) -> Self {
        let mut services = HostBuilder::new();
        let added = host::add(&mut services, config);
        let peer = Peer::start_by(connector, file, services).await;
        let things = added.start(peer.session.sender(), peer.store.clone());
        Self { peer, things }
    }

    pub(crate) async fn light(self, lamp: Lamp) -> LampHost {
        let Self { peer, things } = self;
        let (events, mut told) = from_adapters(16);
        let adapter = Box::new(lamp);
        let supervisor = Supervisor::start("lamps", adapter, events, SupervisorConfig::default());
        things.attach(supervisor.control());
        let feeds = things.clone();
        let (ready, lit) = oneshot::channel();
        let feeding = tokio::spawn(feed(feeds, told_once(&mut told).await, told, ready));
        soon(lit).await.unwrap();
        LampHost {
            peer,
            things,
            supervisor,
            feeding,
        }
    }
}

/// A peer that has a lamp.
pub(crate) struct LampHost {
    pub(crate) peer: Peer,
    pub(crate) things: ThingHost,
    supervisor: Supervisor,
    feeding: JoinHandle<()>,
}

impl LampHost {
    pub(crate) async fn start(
        server: &Server,
        name: &str,
        file: &Path,
        config: HostConfig,
        lamp: Lamp,
    ) -> Self {
        Self::start_by(server.connector(name), file, config, lamp).await
    }

    /// One that connects so.
    pub(crate) async fn start_by(
        connector: Connector,
        file: &Path,
        config: HostConfig,
        lamp: Lamp,
    ) -> Self {
        let dark = Dark::start_by(connector, file, config).await;
        dark.light(lamp).await
    }

    /// As a crash would: nothing more is kept, said or acknowledged.
    pub(crate) fn crash(self) {
        self.feeding.abort();
        // Before its adapter can say anything more.
        drop(self.peer);
        drop(self.things);
        drop(self.supervisor);
    }

    pub(crate) async fn stop(self) {
        self.supervisor.shutdown().await;
        self.feeding.abort();
        drop(self.things);
        self.peer.stop().await;
    }
}

async fn told_once(told: &mut mpsc::Receiver<AdapterEvent>) -> AdapterEvent {
    soon(told.recv()).await.unwrap()
}

/// Hands on what the adapter tells; says so once its first values are there.
async fn feed(
    things: ThingHost,
    first: AdapterEvent,
    mut told: mpsc::Receiver<AdapterEvent>,
    ready: oneshot::Sender<()>,
) {
    let mut ready = Some(ready);
    let mut event = Some(first);
    while let Some(one) = event {
        let is_sample = matches!(one.report, stanchion_device::Report::Sample(_));
        if things.take(one).await.is_err() {
            return;
        }
        if is_sample && let Some(ready) = ready.take() {
            let _ = ready.send(());
        }
        event = told.recv().await;
    }
}

/// What a lamp does with an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Obeys,
    /// It cannot.
    Refuses,
    /// It does it, and does not say so.
    Hangs,
    /// It is not there.
    Away,
}

/// A lamp whose acts are counted: they outlive its process.
#[derive(Debug, Clone)]
pub(crate) struct Lamp {
    pub(crate) acts: Arc<Mutex<Vec<Setting>>>,
    pub(crate) mood: Mood,
    acted: mpsc::UnboundedSender<()>,
}

impl Lamp {
    /// A lamp, and what tells of each act.
    pub(crate) fn new(mood: Mood) -> (Self, mpsc::UnboundedReceiver<()>) {
        let (acted, acts) = mpsc::unbounded_channel();
        let lamp = Self {
            acts: Arc::default(),
            mood,
            acted,
        };
        (lamp, acts)
    }

    pub(crate) fn in_mood(&self, mood: Mood) -> Self {
        Self {
            mood,
            ..self.clone()
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.acts.lock().unwrap().len()
    }
}

pub(crate) fn text(s: &'static str) -> Text {
    Text::from_static(s)
}

fn lamp_spec() -> ThingSpec {
    let mut toggle = ParameterSpec::new(text("toggle"), ParameterKind::Boolean);
    toggle.idempotent = false;
    ThingSpec::new(text("lamp"))
        .with_field(FieldSpec::new(text("level"), Kind::Int))
        .with_parameter(ParameterSpec::new(
            text("level"),
            ParameterKind::Int(0..=100),
        ))
        .with_parameter(toggle)
}

fn level(value: i32) -> Sample {
    let now = stanchion_device::adapter::wall_clock();
    Sample::one(text("lamp"), now, text("level"), Value::Int(value))
}

#[async_trait::async_trait]
impl Adapter for Lamp {
    fn things(&self) -> Vec<ThingSpec> {
        vec![lamp_spec()]
    }

    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        link.sample(level(40)).await?;
        if self.mood == Mood::Away {
            stop.wanted().await;
            return Ok(());
        }
        link.connected().await?;
        let mut hanging = Vec::new();
        loop {
            let order = tokio::select! {
                () = stop.wanted() => return Ok(()),
                order = link.order() => order,
            };
            if self.mood == Mood::Refuses {
                order.failed(OrderError::Refused("it is too old for that".to_owned()));
                continue;
            }
            let settings = order.settings().to_vec();
            self.acts.lock().unwrap().extend(settings.clone());
            let _ = self.acted.send(());
            match self.mood {
                Mood::Hangs => hanging.push(order),
                _ => {
                    order.done();
                    for setting in settings {
                        if let SettingValue::Int(value) = setting.value {
                            link.sample(level(value)).await?;
                        }
                    }
                }
            }
        }
    }
}

/// What takes longer hangs.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, what).await.expect("in time")
}

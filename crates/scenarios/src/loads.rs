//! Things that obey and remember what they did, and when: loads and lamps whose every
//! actuation counts.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use stanchion::device::adapter::{AdapterEvent, Supervisor, SupervisorConfig, from_adapters};
use stanchion::device::host::{Access, Grant, HostConfig};
use stanchion::device::model::{ParameterKind, SettingValue};
use stanchion::device::{
    Adapter, AdapterError, Link, Order, OrderError, ParameterSpec, Report, Stop, ThingSpec,
};
use stanchion::services::allowed::Allowed;
use stanchion::{Client, ClientBuilder};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::failure::{Doing as _, Failure};
use crate::fleet::text;
use crate::server::DOMAIN;

/// The parameter that they have.
pub(crate) const LEVEL: &str = "level";

/// One actuation.
#[derive(Debug, Clone)]
pub(crate) struct Actuation {
    pub(crate) level: i32,
    /// Whether its time was over.
    pub(crate) late: bool,
}

/// What was done, in order.
pub(crate) type Book = Arc<Mutex<Vec<Actuation>>>;

/// How a load behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Does it.
    Obeys,
    /// Says that it cannot.
    Refuses,
    /// Says nothing, ever.
    Silent,
}

/// Loads on XMPP, as one client.
#[derive(Debug)]
pub(crate) struct Loads {
    pub(crate) client: Client,
    pub(crate) book: Book,
    supervisor: Supervisor,
    passing_on: JoinHandle<()>,
}

impl Loads {
    /// Runs them; that account may set them.
    pub(crate) async fn start(
        client: ClientBuilder,
        loads: Vec<(String, Manner)>,
        controller: &str,
    ) -> Result<Self, Failure> {
        let who = format!("{controller}@{DOMAIN}")
            .parse()
            .doing("an account")?;
        let mut config = HostConfig::default();
        config.access = Access::default().with(Grant::to_all(Allowed::accounts([who])));
        let (client, _) = client
            .things(config)
            .start()
            .await
            .doing("start the loads")?;
        let host = client.thing_host().cloned();
        let host = host.ok_or_else(|| Failure::of("the loads have no host"))?;
        let book = Book::default();
        let adapter = Recorder {
            loads,
            book: Arc::clone(&book),
            silent: Vec::new(),
        };
        let (events, mut heard) = from_adapters(16);
        let config = SupervisorConfig::default();
        let supervisor = Supervisor::start("loads", Box::new(adapter), events, config);
        host.attach(supervisor.control());
        // All things are there before anybody asks.
        if let Some(AdapterEvent { adapter, report }) = heard.recv().await {
            host.take(AdapterEvent { adapter, report })
                .await
                .doing("take things in")?;
        }
        let passing_on = tokio::spawn(async move {
            while let Some(event) = heard.recv().await {
                if host.take(event).await.is_err() {
                    return;
                }
            }
        });
        Ok(Self {
            client,
            book,
            supervisor,
            passing_on,
        })
    }

    /// What was done so far.
    pub(crate) fn done(&self) -> Vec<Actuation> {
        self.book
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) async fn stop(self) -> Result<(), Failure> {
        self.supervisor.shutdown().await;
        self.passing_on.abort();
        self.client.shutdown().await.doing("end the loads")
    }
}

/// Notes every order that it carries out, right when it does.
struct Recorder {
    loads: Vec<(String, Manner)>,
    book: Book,
    /// Orders that are never answered.
    silent: Vec<Order>,
}

#[async_trait]
impl Adapter for Recorder {
    fn things(&self) -> Vec<ThingSpec> {
        let level = || {
            let mut level = ParameterSpec::new(text(LEVEL), ParameterKind::Int(0..=i32::MAX));
            // One actuation more is one too many.
            level.idempotent = false;
            level
        };
        let loads = self.loads.iter();
        loads
            .map(|(name, _)| ThingSpec::new(text(name)).with_parameter(level()))
            .collect()
    }

    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        link.report(Report::Connected).await?;
        loop {
            let order = tokio::select! {
                () = stop.wanted() => return Ok(()),
                order = link.order() => order,
            };
            let thing = order.thing().to_string();
            let manner = self.loads.iter().find(|(name, _)| *name == thing);
            match manner.map_or(Manner::Refuses, |(_, manner)| *manner) {
                Manner::Obeys => self.carry_out(order),
                Manner::Refuses => {
                    order.failed(OrderError::Refused("the contactor is locked".to_owned()));
                }
                Manner::Silent => self.silent.push(order),
            }
        }
    }
}

impl Recorder {
    fn carry_out(&self, order: Order) {
        let late = Instant::now() >= order.by();
        let mut book = self.book.lock().unwrap_or_else(PoisonError::into_inner);
        for setting in order.settings() {
            if let SettingValue::Int(level) = setting.value {
                book.push(Actuation { level, late });
            }
        }
        drop(book);
        order.done();
    }
}

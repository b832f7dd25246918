//! The gateway's things on an MQTT broker, too: what adapters report goes there, and what
//! is wanted there becomes an order, if the configuration lets it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stanchion::stanza::Text;
use stanchion_device::adapter::{
    AdapterEvent, Control, Supervisor, SupervisorConfig, from_adapters,
};
use stanchion_device::adapters::mqtt::{Feed, Publisher, Wanted};
use stanchion_device::{Order, Report};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::config;
use crate::exit::Failure;

/// What is wanted there is carried out within this time, or not at all.
const WITHIN: Duration = Duration::from_secs(10);
/// Orders of a broker under way; further ones wait there.
const ORDERS: usize = 256;

/// Which adapter has which thing.
pub(super) type Owners = Arc<Mutex<HashMap<Text, Control>>>;

/// A broker, kept connected.
#[derive(Debug)]
pub(super) struct Bridge {
    pub(super) config: config::Broker,
    supervisor: Supervisor,
    feed: Feed,
    tasks: JoinSet<()>,
}

/// What an adapter's reports go to beside its connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Feeds {
    feeds: Vec<Feed>,
    owners: Owners,
}

impl Bridge {
    /// Runs it.
    ///
    /// # Errors
    /// What is wrong with its configuration.
    pub(super) fn start(config: &config::Broker, owners: &Owners) -> Result<Self, Failure> {
        let (publisher, feed, wanted) = publisher(config)?;
        let (events, heard) = from_adapters(16);
        let name = config.name.as_str();
        let kept = SupervisorConfig::default();
        let supervisor = Supervisor::start(name, Box::new(publisher), events, kept);
        let mut tasks = JoinSet::new();
        tasks.spawn(listen(heard));
        tasks.spawn(obey(
            config.name.clone(),
            config.obey,
            wanted,
            Arc::clone(owners),
        ));
        Ok(Self {
            config: config.clone(),
            supervisor,
            feed,
            tasks,
        })
    }

    /// Where reports go.
    pub(super) fn feed(&self) -> Feed {
        self.feed.clone()
    }

    /// How it is.
    pub(super) fn control(&self) -> Control {
        self.supervisor.control()
    }

    /// Ends it: it says goodbye to the broker.
    pub(super) async fn shutdown(mut self) {
        self.supervisor.shutdown().await;
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Whether a configuration is right.
///
/// # Errors
/// What is not.
pub(super) fn check(config: &config::Broker) -> Result<(), Failure> {
    publisher(config).map(drop)
}

fn publisher(
    config: &config::Broker,
) -> Result<(Publisher, Feed, mpsc::Receiver<Wanted>), Failure> {
    let name = &config.name;
    let wrong = |why: String| Failure::usage(format!("broker `{name}`: {why}"));
    let described = config.rest.clone().try_into();
    let described =
        described.map_err(|e: toml::de::Error| wrong(e.message().replace('\n', " ")))?;
    Publisher::new(described).map_err(|e| wrong(e.to_string()))
}

impl Feeds {
    pub(super) fn new(feeds: Vec<Feed>, owners: Owners) -> Self {
        Self { feeds, owners }
    }

    /// Tells all brokers, and notes whose the things are.
    pub(super) fn tell(&self, control: &Control, report: &Report) {
        if self.feeds.is_empty() {
            return;
        }
        match report {
            Report::Things(things) => {
                let ids = things.iter().map(|thing| thing.node.id.clone());
                let owned = ids.map(|id| (id, control.clone()));
                lock(&self.owners).extend(owned);
            }
            Report::Gone(things) => {
                let mut owners = lock(&self.owners);
                things.iter().for_each(|thing| {
                    owners.remove(thing);
                });
            }
            _ => {}
        }
        self.feeds.iter().for_each(|feed| feed.tell(report));
    }
}

/// Its own reports say no more than whether it is connected, which its state says, too.
async fn listen(mut heard: mpsc::Receiver<AdapterEvent>) {
    while heard.recv().await.is_some() {}
}

async fn obey(broker: String, obey: bool, mut wanted: mpsc::Receiver<Wanted>, owners: Owners) {
    let mut under_way = JoinSet::new();
    loop {
        let wanted = tokio::select! {
            wanted = wanted.recv(), if under_way.len() < ORDERS => wanted,
            Some(_) = under_way.join_next() => continue,
        };
        let Some(Wanted { thing, setting }) = wanted else {
            return;
        };
        if !obey {
            tracing::warn!(%broker, %thing, "a command is refused: `obey` is not set");
            continue;
        }
        let owner = lock(&owners).get(&thing).cloned();
        let Some(owner) = owner else { continue };
        let (order, answer) = Order::new(thing.clone(), vec![setting], Instant::now() + WITHIN);
        owner.order(order);
        let broker = broker.clone();
        under_way.spawn(async move {
            if let Ok(Err(error)) = answer.await {
                tracing::warn!(%broker, %thing, %error, "a command of the broker");
            }
        });
    }
}

/// Held for a look, never over an await.
fn lock(owners: &Owners) -> std::sync::MutexGuard<'_, HashMap<Text, Control>> {
    owners.lock().unwrap_or_else(PoisonError::into_inner)
}

//! One adapter of the gateway, kept going, and the way of its reports to the things on
//! their connections.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use stanchion::stanza::Text;
use stanchion_device::adapter::{
    AdapterEvent, Control, State, Supervisor, SupervisorConfig, from_adapters,
};
use stanchion_device::host::ThingHost;
use stanchion_device::{Adapter, Report};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::bridge::Feeds;
use super::config;
use super::metrics::AdapterFigures;
use super::station::Station;
use crate::exit::Failure;

/// Reports on their way.
const ROOM: usize = 64;

/// An adapter, running.
#[derive(Debug)]
pub(super) struct Pump {
    pub(super) config: config::Adapter,
    supervisor: Supervisor,
    routes: Routes,
    reports: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

/// What can be seen of one.
#[derive(Debug, Clone)]
pub(super) struct View {
    control: Control,
    reports: Arc<AtomicU64>,
}

/// Which connection has which thing.
#[derive(Debug, Clone)]
struct Routes {
    default: ThingHost,
    /// Things that a connection claims by name.
    claimed: BTreeMap<Text, usize>,
    others: Vec<ThingHost>,
}

impl Pump {
    /// Runs it.
    ///
    /// # Errors
    /// A connection that has ended.
    pub(super) fn start(
        config: &config::Adapter,
        adapter: Box<dyn Adapter>,
        stations: &BTreeMap<String, Station>,
        feeds: Feeds,
    ) -> Result<Self, Failure> {
        let routes = Routes::new(config, stations)?;
        let (events, heard) = from_adapters(ROOM);
        let name = config.name.as_str();
        let supervisor = Supervisor::start(name, adapter, events, SupervisorConfig::default());
        for host in routes.all() {
            host.attach(supervisor.control());
        }
        let reports = Arc::new(AtomicU64::new(0));
        let passing = Passing {
            heard,
            routes: routes.clone(),
            feeds,
            control: supervisor.control(),
            count: Arc::clone(&reports),
        };
        Ok(Self {
            config: config.clone(),
            supervisor,
            routes,
            reports,
            task: tokio::spawn(passing.run()),
        })
    }

    /// Whether its things may be on several connections.
    pub(super) fn is_routed(&self) -> bool {
        !self.routes.claimed.is_empty()
    }

    /// What can be seen of it.
    pub(super) fn view(&self) -> View {
        View {
            control: self.supervisor.control(),
            reports: Arc::clone(&self.reports),
        }
    }

    /// Ends the adapter; what it reported is passed on.
    pub(super) async fn shutdown(self) {
        self.supervisor.shutdown().await;
        // Nothing more comes in, so this ends.
        if self.task.await.is_err() {
            tracing::error!(adapter = %self.config.name, "its reports were not passed on");
        }
        for host in self.routes.all() {
            // One that has ended has let go of it.
            let _ = host.detach(&self.config.name).await;
        }
    }
}

impl View {
    pub(super) fn figures(&self) -> AdapterFigures {
        AdapterFigures {
            name: self.control.name().to_owned(),
            connected: *self.control.state().borrow() == State::Connected,
            reports: self.reports.load(Ordering::Relaxed),
        }
    }
}

impl Routes {
    fn new(
        config: &config::Adapter,
        stations: &BTreeMap<String, Station>,
    ) -> Result<Self, Failure> {
        let host = |name: &str| {
            let host = stations.get(name).and_then(Station::host);
            host.ok_or_else(|| Failure::failed(format!("connection `{name}` has ended")))
        };
        let mut routes = Self {
            default: host(&config.connection)?,
            claimed: BTreeMap::new(),
            others: Vec::new(),
        };
        for (name, station) in stations {
            let Some(things) = &station.config.things else {
                continue;
            };
            let at = routes.others.len();
            routes.others.push(host(name)?);
            let claimed = things.iter().map(|thing| (thing.clone(), at));
            routes.claimed.extend(claimed);
        }
        Ok(routes)
    }

    fn all(&self) -> impl Iterator<Item = &ThingHost> {
        std::iter::once(&self.default).chain(&self.others)
    }

    fn of(&self, thing: &Text) -> &ThingHost {
        let claimed = self.claimed.get(thing).and_then(|at| self.others.get(*at));
        claimed.unwrap_or(&self.default)
    }

    /// What of a report is for whom.
    fn split(&self, report: Report) -> Vec<(&ThingHost, Report)> {
        if self.claimed.is_empty() {
            return vec![(&self.default, report)];
        }
        match report {
            Report::Sample(sample) => {
                let host = self.of(&sample.thing);
                vec![(host, Report::Sample(sample))]
            }
            Report::Things(things) => self.each(things, |thing| &thing.node.id, Report::Things),
            Report::Gone(things) => self.each(things, |thing| thing, Report::Gone),
            Report::Stale(things) => self.each(things, |thing| thing, Report::Stale),
            other => self.all().map(|host| (host, other.clone())).collect(),
        }
    }

    fn each<T: Clone>(
        &self,
        all: Vec<T>,
        id: impl Fn(&T) -> &Text,
        report: impl Fn(Vec<T>) -> Report,
    ) -> Vec<(&ThingHost, Report)> {
        let place = |one: &T| self.claimed.get(id(one)).copied();
        let mut parts: BTreeMap<Option<usize>, Vec<T>> = BTreeMap::new();
        for one in all {
            parts.entry(place(&one)).or_default().push(one);
        }
        let host = |at: Option<usize>| at.and_then(|at| self.others.get(at));
        let parts = parts.into_iter();
        parts
            .map(|(at, these)| (host(at).unwrap_or(&self.default), report(these)))
            .collect()
    }
}

/// What it takes to pass reports on.
struct Passing {
    heard: mpsc::Receiver<AdapterEvent>,
    routes: Routes,
    feeds: Feeds,
    control: Control,
    count: Arc<AtomicU64>,
}

impl Passing {
    /// Until there can be no more.
    async fn run(mut self) {
        while let Some(AdapterEvent { adapter, report }) = self.heard.recv().await {
            self.count.fetch_add(1, Ordering::Relaxed);
            self.feeds.tell(&self.control, &report);
            for (host, report) in self.routes.split(report) {
                let adapter = Arc::clone(&adapter);
                if host.take(AdapterEvent { adapter, report }).await.is_err() {
                    return;
                }
            }
        }
    }
}

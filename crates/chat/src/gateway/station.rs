//! One connection of the gateway: an account, the things that are on it, and who gets their
//! readings.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use stanchion::Client;
use stanchion::services::Incoming;
use stanchion::services::pubsub::PublisherConfig;
use stanchion::services::roster::Policy;
use stanchion::stanza::Text;
use stanchion_device::ThingSpec;
use stanchion_device::adapter::{Stop, Stopper};
use stanchion_device::host::{HostConfig, HostEvent, ThingHost};
use stanchion_device::model::Sample;
use stanchion_device::outflow::{FlowGauge, Outflow, ToNode, ToRecipient, Way, by_lane};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

use super::access;
use super::config;
use super::metrics::{ConnectionFigures, FlowFigures, Readings};
use crate::exit::{Failure, one_line};
use crate::settings::Settings;

/// For what is still to be handed over at the end.
const FAREWELL: Duration = Duration::from_secs(5);

/// A connection, running.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) config: config::Connection,
    settings: Settings,
    client: Arc<Client>,
    gauges: Vec<(String, FlowGauge)>,
    stopper: Stopper,
    tasks: JoinSet<()>,
}

/// What can be seen of one.
#[derive(Debug, Clone)]
pub(super) struct View {
    name: String,
    client: Weak<Client>,
    gauges: Vec<(String, FlowGauge)>,
}

impl Station {
    /// Opens its store and starts to connect.
    ///
    /// # Errors
    /// What is wrong with its configuration or its store.
    pub(super) async fn start(
        config: &config::Connection,
        readings: Option<Readings>,
    ) -> Result<Self, Failure> {
        let named = |mut failure: Failure| {
            failure.message = format!("connection `{}`: {}", config.name, failure.message);
            failure
        };
        let settings = Settings::load(&config.args()?).await.map_err(named)?;
        let mut things = HostConfig::default();
        things.access = access::of(config)?;
        let visible = Policy::AcceptFrom(access::listed(config)?);
        let describe = |client: stanchion::ClientBuilder| {
            // Whoever may read has to see which device to ask.
            client.things(things).subscriptions(visible)
        };
        let started = settings.start_as(None, describe).await.map_err(named)?;
        let (client, incoming) = started;
        let outflows = outflows(config, &client).await?;
        let gauges = outflows
            .iter()
            .map(|(name, flow)| (name.clone(), flow.gauge()));
        let gauges = gauges.collect();
        let missing = || Failure::failed("the client has no things: a defect");
        let host = client.thing_host().ok_or_else(missing)?;
        let (stopper, stop) = Stopper::new();
        let mut tasks = JoinSet::new();
        tasks.spawn(refuse(config.name.clone(), incoming));
        let teller = Teller {
            told: host.told(),
            specs: Specs::of(host.clone()),
            outflows,
            readings,
        };
        tasks.spawn(teller.run(stop));
        Ok(Self {
            config: config.clone(),
            settings,
            client: Arc::new(client),
            gauges,
            stopper,
            tasks,
        })
    }

    /// Its things.
    pub(super) fn host(&self) -> Option<ThingHost> {
        self.client.thing_host().cloned()
    }

    /// What can be seen of it.
    pub(super) fn view(&self) -> View {
        View {
            name: self.config.name.clone(),
            client: Arc::downgrade(&self.client),
            gauges: self.gauges.clone(),
        }
    }

    /// Ends it, after its adapters: what waits is kept for delivery. Gives what went wrong.
    ///
    /// # Errors
    /// The session had failed before.
    pub(super) async fn shutdown(mut self) -> Result<(), Failure> {
        self.stopper.stop();
        // The one that passes readings on ends; the one that refuses messages with us.
        let ended =
            async { while self.tasks.len() > 1 && self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(FAREWELL * 2, ended).await;
        self.tasks.abort_all();
        while self.tasks.join_next().await.is_some() {}
        match Arc::try_unwrap(self.client) {
            Ok(client) => {
                let ended = client.shutdown().await;
                ended.map_err(|e| self.settings.session_failure(&e))
            }
            // Somebody looks at the figures this very moment: then it ends as by a crash,
            // and nothing is lost either.
            Err(_) => Ok(()),
        }
    }
}

impl View {
    /// Its figures, if it still runs.
    pub(super) fn figures(&self) -> Option<ConnectionFigures> {
        let client = self.client.upgrade()?;
        Some(ConnectionFigures {
            name: self.name.clone(),
            connected: client.is_connected(),
            counters: client.counters(),
        })
    }

    /// Those of whoever gets readings.
    pub(super) fn flows(&self) -> impl Iterator<Item = FlowFigures> {
        self.gauges.iter().map(|(to, gauge)| FlowFigures {
            connection: self.name.clone(),
            to: to.clone(),
            flow: gauge.flow(),
        })
    }
}

async fn outflows(
    config: &config::Connection,
    client: &Client,
) -> Result<Vec<(String, Outflow)>, Failure> {
    let mut outflows = Vec::new();
    for recipient in &config.recipients {
        let (to, profile) = (recipient.to()?, recipient.profile());
        let mut way = ToRecipient::new(client.sender(), to, profile, recipient.within);
        if recipient.json {
            way = way.with_json();
        }
        if recipient.newest_first {
            way = way.newest_first();
        }
        let way: Arc<dyn Way> = Arc::new(way);
        outflows.push((
            recipient.name().to_owned(),
            Outflow::start(way, recipient.flow()),
        ));
    }
    for node in &config.nodes {
        let (pubsub, service) = (client.pubsub(), node.service()?);
        let publisher = PublisherConfig::default();
        let publisher = pubsub
            .publisher(service, node.node.clone(), publisher)
            .await;
        let failed = |e| Failure::failed(format!("{}: {}", node.name(), one_line(&e)));
        let way: Arc<dyn Way> = Arc::new(ToNode::new(publisher.map_err(failed)?, node.profile()));
        outflows.push((node.name(), Outflow::start(way, node.flow())));
    }
    Ok(outflows)
}

/// Passes readings on.
struct Teller {
    told: mpsc::Receiver<Sample>,
    specs: Specs,
    outflows: Vec<(String, Outflow)>,
    readings: Option<Readings>,
}

impl Teller {
    /// Until it is to stop, and then what is left.
    async fn run(mut self, stop: Stop) {
        loop {
            let next = tokio::select! {
                biased;
                next = self.told.recv() => next,
                // All that was reported is here: adapters end before us.
                () = stop.wanted() => None,
            };
            let Some(sample) = next else { break };
            if let Some(readings) = &self.readings {
                let mut latest = readings.lock().unwrap_or_else(PoisonError::into_inner);
                latest.note(None, &sample);
            }
            let spec = self.specs.find(&sample.thing).await;
            for (lane, part) in by_lane(spec.as_deref(), sample) {
                for (_, outflow) in &self.outflows {
                    outflow.give(lane, &part).await;
                }
            }
        }
        for (name, outflow) in self.outflows {
            let left = outflow.shutdown(FAREWELL).await;
            if left > 0 {
                tracing::warn!(to = %name, readings = left, "could not be handed over at the end");
            }
        }
    }
}

/// What the things are, as far as it is known here: looked up anew when they change.
struct Specs {
    host: ThingHost,
    changes: broadcast::Receiver<HostEvent>,
    known: HashMap<Text, Arc<ThingSpec>>,
}

impl Specs {
    fn of(host: ThingHost) -> Self {
        Self {
            changes: host.events(),
            host,
            known: HashMap::new(),
        }
    }

    async fn find(&mut self, thing: &Text) -> Option<Arc<ThingSpec>> {
        let mut changed = false;
        loop {
            match self.changes.try_recv() {
                Ok(HostEvent::Things(_) | HostEvent::Gone(_)) => changed = true,
                Ok(_) => {}
                Err(broadcast::error::TryRecvError::Lagged(_)) => changed = true,
                Err(_) => break,
            }
        }
        if changed || !self.known.contains_key(thing) {
            // One that has ended has no things any more.
            let things = self.host.things().await.unwrap_or_default();
            let things = things.into_iter();
            self.known = things.map(|spec| (spec.node.id.clone(), spec)).collect();
        }
        self.known.get(thing).map(Arc::clone)
    }
}

/// A gateway takes no messages: who sends one is told so.
async fn refuse(connection: String, mut incoming: Incoming) {
    while let Some(received) = incoming.recv().await {
        let from = received.message().header.from.clone();
        tracing::info!(%connection, ?from, "a message to the gateway itself is refused");
        let refused = received.reject("a gateway takes no messages, only commands to its things");
        if let Err(error) = refused.await {
            tracing::debug!(%error, "could not be refused");
        }
    }
}

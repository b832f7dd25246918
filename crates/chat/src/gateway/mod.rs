//! `stanchion gateway`: things of many adapters on XMPP. This file owns the life of the
//! gateway, from its configuration over reloads to its end.

mod access;
mod adapters;
mod bridge;
mod config;
pub(crate) mod metrics;
mod notify;
mod pump;
mod station;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use stanchion_device::adapter::{Control, State};
use stanchion_device::sink::{Latest, LatestConfig};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::demo::end_of_input;
use crate::exit::{Exit, Failure, Outcome};
use bridge::{Bridge, Feeds, Owners};
use config::Config;
use metrics::{Figures, Readings};
use notify::Manager;
use pump::Pump;
use station::{Station, View};

/// Put things on XMPP: sensors, meters, readers and lamps, by the adapters of a
/// configuration file
#[derive(Debug, Args)]
#[command(after_help = "\
SIGHUP reads the configuration again: what is the same goes on undisturbed, what was \
changed is started anew, and nothing that was reported is lost. A configuration that is \
wrong changes nothing. Interrupt and SIGTERM end the gateway; what it has not sent yet is \
sent after the next start.

Examples:
  stanchion gateway --config gateway.toml --check
  stanchion gateway --config gateway.toml --verbose

Exit codes: 0 interrupted, 1 a fault of this machine, 2 the configuration is wrong. What \
a server or a device does ends nothing: see the log (--verbose) and the figures ([metrics] \
in the file).")]
pub(crate) struct Command {
    /// The configuration file (TOML): see docs/devices.md
    #[arg(long, value_name = "FILE")]
    config: PathBuf,
    /// Read the configuration, say whether it is right, and end
    #[arg(long)]
    check: bool,
    /// End with the standard input, too: with the process that started this one
    #[arg(long, hide = true)]
    end_with_input: bool,
}

/// Carries out the command.
pub(crate) async fn run(command: Command) -> Outcome {
    let config = config::read(&command.config)?;
    check(&config)?;
    if command.check {
        return Ok(Exit::Done);
    }
    let handled = |e| Failure::failed(format!("signals cannot be handled: {e}"));
    let mut hangup = signal(SignalKind::hangup()).map_err(handled)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(handled)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(handled)?;

    let manager = Manager::find();
    let mut gateway = Gateway::default();
    let started = gateway.become_as(config).await;
    if let Err(failure) = started {
        gateway.shutdown().await;
        return Err(failure);
    }
    manager.ready();
    manager.status(&gateway.summary());
    let mut parent = Box::pin(async {
        match command.end_with_input {
            true => end_of_input().await,
            false => std::future::pending().await,
        }
    });
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            () = &mut parent => break,
            _ = hangup.recv() => {
                manager.reloading();
                gateway.reload(&command.config).await;
                manager.ready();
                manager.status(&gateway.summary());
            }
            () = alive(&manager) => manager.alive(),
        }
    }
    manager.stopping();
    gateway.shutdown().await;
    Ok(Exit::Done)
}

async fn alive(manager: &Manager) {
    match manager.watchdog() {
        Some(every) => tokio::time::sleep(every).await,
        None => std::future::pending().await,
    }
}

/// Whether all that is described can be made.
fn check(config: &Config) -> Result<(), Failure> {
    for adapter in &config.adapters {
        adapters::make(adapter)?;
    }
    config.brokers.iter().try_for_each(bridge::check)
}

/// All that runs.
#[derive(Debug, Default)]
struct Gateway {
    stations: BTreeMap<String, Station>,
    pumps: BTreeMap<String, Pump>,
    bridges: Vec<Bridge>,
    owners: Owners,
    page: Option<(config::Metrics, PageTask)>,
    board: Arc<Board>,
}

/// The page of figures, served.
#[derive(Debug)]
struct PageTask {
    readings: Option<Readings>,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<()>,
}

/// What there is to see.
#[derive(Debug, Default)]
struct Board(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    stations: Vec<View>,
    pumps: Vec<pump::View>,
    bridges: Vec<Control>,
    reloads: u64,
}

impl metrics::Source for Board {
    fn figures(&self) -> Figures {
        let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Figures {
            adapters: seen.pumps.iter().map(pump::View::figures).collect(),
            brokers: seen.bridges.iter().map(broker).collect(),
            connections: seen.stations.iter().filter_map(View::figures).collect(),
            flows: seen.stations.iter().flat_map(View::flows).collect(),
            reloads: seen.reloads,
        }
    }
}

impl Gateway {
    /// Reads the configuration again. One that is wrong changes nothing.
    async fn reload(&mut self, path: &Path) {
        let config = config::read(path).and_then(|config| check(&config).map(|()| config));
        match config {
            Ok(config) => {
                let done = self.become_as(config).await;
                let mut seen = self.board.0.lock().unwrap_or_else(PoisonError::into_inner);
                seen.reloads += 1;
                drop(seen);
                match done {
                    Ok(()) => tracing::info!("the configuration was read again"),
                    Err(failure) => tracing::error!(
                        message = %failure.message,
                        "the configuration is in force in part"
                    ),
                }
            }
            Err(failure) => {
                tracing::error!(message = %failure.message, "the configuration is as before");
            }
        }
    }

    /// Ends what is no longer wanted or has changed, and starts what is new.
    async fn become_as(&mut self, config: Config) -> Result<(), Failure> {
        self.show(config.metrics.as_ref()).await?;
        let wanted: BTreeMap<_, _> = config.connections.iter().map(|c| (&c.name, c)).collect();
        let changed: BTreeSet<String> = (self.stations.iter())
            .filter(|(name, station)| wanted.get(name).is_none_or(|c| **c != station.config))
            .map(|(name, _)| name.clone())
            .collect();
        let routed = config.connections.iter().any(|c| c.things.is_some());
        let same = |pump: &Pump| config.adapters.contains(&pump.config);
        let described = self.bridges.iter().map(|bridge| &bridge.config);
        let other_brokers = !described.eq(&config.brokers);
        let ending: Vec<String> = (self.pumps.iter())
            .filter(|(_, pump)| {
                // Where things are routed to several connections, a change concerns all.
                let moved = changed.contains(&pump.config.connection)
                    || ((routed || pump.is_routed()) && !changed.is_empty());
                // What a broker is told begins with all that there is.
                moved || other_brokers || !same(pump)
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in ending {
            if let Some(pump) = self.pumps.remove(&name) {
                pump.shutdown().await;
            }
        }
        if other_brokers {
            for bridge in std::mem::take(&mut self.bridges) {
                bridge.shutdown().await;
            }
        }
        for name in &changed {
            if let Some(station) = self.stations.remove(name) {
                report(station.shutdown().await);
            }
        }
        let outcome = self.start_missing(&config).await;
        self.look();
        outcome
    }

    async fn start_missing(&mut self, config: &Config) -> Result<(), Failure> {
        for connection in &config.connections {
            if !self.stations.contains_key(&connection.name) {
                let readings = self
                    .page
                    .as_ref()
                    .and_then(|(_, page)| page.readings.clone());
                let station = Station::start(connection, readings).await?;
                self.stations.insert(connection.name.clone(), station);
            }
        }
        if self.bridges.is_empty() {
            for broker in &config.brokers {
                self.bridges.push(Bridge::start(broker, &self.owners)?);
            }
        }
        for adapter in &config.adapters {
            if !self.pumps.contains_key(&adapter.name) {
                let made = adapters::make(adapter)?;
                let fed = self
                    .bridges
                    .iter()
                    .filter(|b| !b.config.without.contains(&adapter.name));
                let fed = fed.map(Bridge::feed).collect();
                let feeds = Feeds::new(fed, Arc::clone(&self.owners));
                let pump = Pump::start(adapter, made, &self.stations, feeds)?;
                self.pumps.insert(adapter.name.clone(), pump);
            }
        }
        Ok(())
    }

    /// Shows the figures there, and nowhere else.
    async fn show(&mut self, wanted: Option<&config::Metrics>) -> Result<(), Failure> {
        if self.page.as_ref().map(|(config, _)| config) == wanted {
            return Ok(());
        }
        if let Some((_, mut page)) = self.page.take() {
            drop(page.stop.take());
            let _ = page.serving.await;
        }
        let Some(config) = wanted else { return Ok(()) };
        let latest = || Arc::new(Mutex::new(Latest::new(LatestConfig::default())));
        let readings = config.readings.then(latest);
        let (stop, stopped) = oneshot::channel::<()>();
        let board = Arc::clone(&self.board);
        let end = async { drop(stopped.await) };
        let (at, serving) = metrics::serve(config.listen, board, readings.clone(), end).await?;
        tracing::info!("figures at http://{at}/metrics");
        let task = PageTask {
            readings,
            stop: Some(stop),
            serving: tokio::spawn(serving),
        };
        self.page = Some((config.clone(), task));
        Ok(())
    }

    /// Notes what there is to see now.
    fn look(&self) {
        let mut seen = self.board.0.lock().unwrap_or_else(PoisonError::into_inner);
        seen.stations = self.stations.values().map(Station::view).collect();
        seen.pumps = self.pumps.values().map(Pump::view).collect();
        seen.bridges = self.bridges.iter().map(Bridge::control).collect();
    }

    /// In one line.
    fn summary(&self) -> String {
        let (adapters, connections) = (self.pumps.len(), self.stations.len());
        format!("{adapters} adapters on {connections} connections")
    }

    /// Ends all: adapters first, so that what they reported is kept.
    async fn shutdown(mut self) {
        for (_, pump) in std::mem::take(&mut self.pumps) {
            pump.shutdown().await;
        }
        for bridge in std::mem::take(&mut self.bridges) {
            bridge.shutdown().await;
        }
        for (_, station) in std::mem::take(&mut self.stations) {
            report(station.shutdown().await);
        }
        if let Some((_, mut page)) = self.page.take() {
            drop(page.stop.take());
            let _ = tokio::time::timeout(Duration::from_secs(1), page.serving).await;
        }
    }
}

fn broker(control: &Control) -> (String, bool) {
    let connected = *control.state().borrow() == State::Connected;
    (control.name().to_owned(), connected)
}

fn report(ended: Result<(), Failure>) {
    if let Err(failure) = ended {
        tracing::error!(message = %failure.message, "a connection did not end well");
    }
}

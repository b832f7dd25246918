//! No server: a phone and a lamp on one network find each other, trust each other by pinned
//! certificates, and the phone sets the lamp. What the lamp measured meanwhile reaches the
//! collector once there is a server, in order and once; a stranger gets nowhere.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use stanchion::device::adapter::{
    AdapterEvent, Supervisor, SupervisorConfig, from_adapters, wall_clock,
};
use stanchion::device::host::{Access, Grant, HostConfig};
use stanchion::device::model::{Kind, ParameterKind, Reading, Sample, SettingValue, Value};
use stanchion::device::outflow::OutflowConfig;
use stanchion::device::remote::{Command, Readout};
use stanchion::device::{
    Adapter, AdapterError, FieldSpec, Link, ParameterSpec, Report as Told, Stop, ThingSpec,
};
use stanchion::reliability::store::WallTime;
use stanchion::services::allowed::Allowed;
use stanchion::session::Lane;
use stanchion_device::serverless::{Config, Event, Interfaces, Neighbourhood, Serving};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::Setting;
use crate::collector::Collector;
use crate::failure::{Doing as _, Failure};
use crate::fleet::{Device, account, count, text};
use crate::report::Report;
use crate::server::Server;
use crate::timing::Times;

const PHONE: &str = "phone@pocket";
const LAMP: &str = "lamp@hall";
const STRANGER: &str = "stranger@street";
const LEVEL: &str = "level";
/// Times that the phone sets the lamp.
const SETS: i32 = 50;
/// Until the two have found each other.
const FOUND: Duration = Duration::from_secs(3);
/// For what is awaited in all.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn run(setting: &Setting) -> Result<Report, Failure> {
    let folder = tempfile::tempdir().doing("make a folder")?;
    let users = ["lamp", "cloud"].map(str::to_owned);
    let mut server = Server::start(setting, folder.path(), users).await?;
    let mut cloud = Collector::start(&server, "cloud", folder.path()).await?;
    // It was there once, and is not there when the two begin.
    server.kill().await?;
    let client = server.client("lamp", folder.path())?;
    let device = Device::start("lamp".to_owned(), client, "cloud", OutflowConfig::default());
    let device = device.await?;

    let network = network().doing("take a port")?;
    let phone = config(PHONE, folder.path(), network)?;
    let (phone, _) = start(phone, Serving::default()).await?;
    let began = Instant::now();
    let lamp = Lamp::start(config(LAMP, folder.path(), network)?, device).await?;
    let found = find(&phone, LAMP).await?;
    let took = began.elapsed();
    // As from a code on each: what the network says of certificates is a hint.
    let pin = lamp.here.fingerprint();
    phone.trust(LAMP.parse().doing("a name")?, pin).await;
    let pin = phone.fingerprint();
    lamp.here.trust(PHONE.parse().doing("a name")?, pin).await;

    let neighbour = phone.neighbour(LAMP.parse().doing("a name")?);
    let mut times = Times::default();
    let (mut done, mut failed) = (0, Vec::new());
    for level in 1..=SETS {
        let began = Instant::now();
        match neighbour.set(set(level)).await {
            Ok(_) => done += 1,
            Err(error) => failed.push(error.to_string()),
        }
        times.note(began.elapsed());
    }
    let seen = neighbour.read(Readout::momentary()).await;
    let seen = seen.doing("read the lamp")?;
    let shows = seen.field(LEVEL).map(|field| field.value.clone());

    let (stranger, _) = start(
        config(STRANGER, folder.path(), network)?,
        Serving::default(),
    )
    .await?;
    find(&stranger, LAMP).await?;
    let name = LAMP.parse().doing("a name")?;
    stranger.trust(name, lamp.here.fingerprint()).await;
    let neighbour = stranger.neighbour(LAMP.parse().doing("a name")?);
    let refused = neighbour.set(set(0)).await;

    let actuations = lamp.levels();
    let early = cloud.kept().readings;
    phone.shutdown().await;
    stranger.shutdown().await;
    let back = Instant::now();
    server.restart().await?;
    let (client, reported, left) = lamp.stop().await?.finish().await;
    let wanted = count(&reported);
    let kept = cloud.until(wanted, PATIENCE).await;
    let arrived = back.elapsed();

    let mut report = Report::new("ad-hoc", setting.kind);
    report.figure("found after", format!("{took:.2?}"));
    report.figure("until each set was answered", times.summary());
    report.figure("readings while there was no server", wanted);
    report.figure("readings kept", kept);
    report.figure("server back until all were kept", format!("{arrived:.2?}"));
    let at = found.map_or_else(|| "never".to_owned(), |()| format!("{took:.2?}"));
    report.promise("they find each other within 3 s", took <= FOUND, at);
    let first = failed.first().cloned().unwrap_or_default();
    report.promise(
        format!("{SETS} sets without a server, each done"),
        done == SETS,
        format!("{done} {first}"),
    );
    let each_once = actuations.iter().copied().eq(1..=SETS);
    report.promise(
        "the lamp did each once, in order, and nothing else",
        each_once,
        actuations.len(),
    );
    let is_last = shows == Some(Value::Int(SETS));
    report.promise("it is read as it was set", is_last, format!("{shows:?}"));
    let told = match &refused {
        Ok(_) => "it was let in".to_owned(),
        Err(error) => error.to_string(),
    };
    let by_us = refused.is_err_and(|error| error.had_no_effect());
    report.promise("a stranger is refused", by_us, told);
    report.none("readings that arrived without a server", early);
    report.none("readings that could not be handed over", left);
    account(&mut report, &reported, &cloud.values().await?);
    drop(client);
    cloud.stop().await?;
    server.stop().await?;
    Ok(report)
}

/// A port of multicast DNS that is ours alone.
fn network() -> std::io::Result<u16> {
    let socket = UdpSocket::bind(("127.0.0.1", 0))?;
    Ok(socket.local_addr()?.port())
}

fn config(name: &str, folder: &Path, network: u16) -> Result<Config, Failure> {
    let who = name.parse().doing("a name")?;
    let mut config = Config::new(who, folder.join(format!("{name}.pem")));
    config.interfaces = Interfaces::Loopback;
    config.mdns_port = network;
    Ok(config)
}

async fn start(
    config: Config,
    serving: Serving,
) -> Result<(Neighbourhood, stanchion_device::serverless::Messages), Failure> {
    let started = Neighbourhood::start(config, serving).await;
    started.doing("come to the local network")
}

/// Waits until that one is seen; none if it is not, in ten times the time.
async fn find(here: &Neighbourhood, who: &str) -> Result<Option<()>, Failure> {
    let mut events = here.events();
    let is_it = |name: &stanchion::stanza::BareJid| name.as_str() == who;
    if here.neighbours().await.iter().any(|n| is_it(&n.name)) {
        return Ok(Some(()));
    }
    let seen = async {
        loop {
            match events.recv().await {
                Ok(Event::Found(seen)) if is_it(&seen.name) => return Ok(()),
                Ok(_) => {}
                Err(error) => return Err(error),
            }
        }
    };
    match timeout(FOUND * 10, seen).await {
        Ok(seen) => seen.doing("look for a neighbour").map(Some),
        Err(_) => Ok(None),
    }
}

fn set(level: i32) -> Command {
    let command = Command::set(text(LEVEL), SettingValue::Int(level));
    command.within(Duration::from_secs(10))
}

/// A lamp that is on the local network, and reports to the cloud.
struct Lamp {
    here: Arc<Neighbourhood>,
    levels: Arc<Mutex<Vec<i32>>>,
    supervisor: Supervisor,
    passing: tokio::task::JoinHandle<Device>,
}

impl Lamp {
    async fn start(config: Config, device: Device) -> Result<Self, Failure> {
        let mut things = HostConfig::default();
        let phone = PHONE.parse().doing("a name")?;
        things.access = Access::nobody().with(Grant::to_all(Allowed::accounts([phone])));
        let (here, _) = start(config, Serving::default().things(things)).await?;
        let here = Arc::new(here);
        let levels = Arc::<Mutex<Vec<i32>>>::default();
        let (events, heard) = from_adapters(64);
        let adapter = Dimmer {
            levels: Arc::clone(&levels),
            last: WallTime::from_unix_ms(0),
        };
        let config = SupervisorConfig::default();
        let supervisor = Supervisor::start("lamp", Box::new(adapter), events, config);
        here.attach(supervisor.control()).await;
        let passing = tokio::spawn(pass_on(Arc::clone(&here), heard, device));
        Ok(Self {
            here,
            levels,
            supervisor,
            passing,
        })
    }

    fn levels(&self) -> Vec<i32> {
        let levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        levels.clone()
    }

    /// Ends it, but for its reports.
    async fn stop(self) -> Result<Device, Failure> {
        self.supervisor.shutdown().await;
        let device = self.passing.await.doing("pass readings on")?;
        if let Some(here) = Arc::into_inner(self.here) {
            here.shutdown().await;
        }
        Ok(device)
    }
}

/// What the adapter tells goes to neighbours who ask, and on its way to the cloud.
async fn pass_on(
    here: Arc<Neighbourhood>,
    mut heard: mpsc::Receiver<AdapterEvent>,
    mut device: Device,
) -> Device {
    while let Some(event) = heard.recv().await {
        let sample = match &event.report {
            Told::Sample(sample) => Some(sample.clone()),
            _ => None,
        };
        here.take(event).await;
        if let Some(sample) = sample {
            device.report(Lane::Telemetry, &sample).await;
        }
    }
    device
}

/// Notes what it does, and reports it.
struct Dimmer {
    levels: Arc<Mutex<Vec<i32>>>,
    last: WallTime,
}

impl Dimmer {
    /// No two at one time: that is what they are told apart by.
    fn sample(&mut self, level: i32) -> Sample {
        let next = self.last.as_unix_ms() + 1;
        self.last = WallTime::from_unix_ms(wall_clock().as_unix_ms().max(next));
        Sample {
            thing: text("lamp"),
            at: self.last,
            readings: vec![Reading::automatic(text(LEVEL), Value::Int(level))],
        }
    }
}

#[async_trait]
impl Adapter for Dimmer {
    fn things(&self) -> Vec<ThingSpec> {
        let field = FieldSpec::new(text(LEVEL), Kind::Int);
        let mut parameter = ParameterSpec::new(text(LEVEL), ParameterKind::Int(0..=1000));
        // One actuation more is one too many.
        parameter.idempotent = false;
        let lamp = ThingSpec::new(text("lamp")).with_field(field);
        vec![lamp.with_parameter(parameter)]
    }

    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        link.connected().await?;
        let sample = self.sample(0);
        link.sample(sample).await?;
        loop {
            let order = tokio::select! {
                () = stop.wanted() => return Ok(()),
                order = link.order() => order,
            };
            let set = order.settings().first().map(|s| &s.value);
            let Some(SettingValue::Int(level)) = set else {
                continue;
            };
            let level = *level;
            let levels = Arc::clone(&self.levels);
            levels
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(level);
            let sample = self.sample(level);
            link.sample(sample).await?;
            order.done();
        }
    }
}

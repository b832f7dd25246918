//! A house for tests: neighbours in a temporary folder, and a lamp.

use std::net::UdpSocket;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use stanchion_device::adapter::{Supervisor, SupervisorConfig, from_adapters, wall_clock};
use stanchion_device::host::{Access, Grant, HostConfig};
use stanchion_device::model::{Kind, ParameterKind, Reading, Sample, SettingValue, Value};
use stanchion_device::serverless::{
    Config, Event, Interfaces, Messages, Neighbourhood, Plaintext, Serving,
};
use stanchion_device::{
    Adapter, AdapterError, FieldSpec, Link, ParameterSpec, Report, Stop, ThingSpec,
};
use stanchion_services::allowed::Allowed;
use stanchion_stanza::{BareJid, Text};
use stanchion_transport::security::Fingerprint;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// For anything here: more than it ever takes.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) fn name(name: &str) -> BareJid {
    name.parse().unwrap()
}

pub(crate) fn text(text: &'static str) -> Text {
    Text::from_static(text)
}

/// A network that nobody else is on.
pub(crate) fn network() -> u16 {
    let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
    socket.local_addr().unwrap().port()
}

pub(crate) fn config(folder: &Path, who: &str, network: u16) -> Config {
    let mut config = Config::new(name(who), folder.join(format!("{who}.pem")));
    config.interfaces = Interfaces::Loopback;
    config.mdns_port = network;
    config
}

pub(crate) fn in_the_clear(mut config: Config) -> Config {
    config.plaintext = Plaintext::MessagesAndWhatAnybodyMayRead;
    config
}

pub(crate) async fn start(config: Config) -> (Neighbourhood, Messages) {
    let started = Neighbourhood::start(config, Serving::default());
    started.await.unwrap()
}

/// Waits for an event.
pub(crate) async fn until<T>(
    events: &mut broadcast::Receiver<Event>,
    what: impl Fn(&Event) -> Option<T>,
) -> T {
    let wait = async {
        loop {
            if let Some(found) = what(&events.recv().await.unwrap()) {
                return found;
            }
        }
    };
    timeout(SOON, wait).await.expect("it never happens")
}

/// Waits until that neighbour is seen.
pub(crate) async fn seen(here: &Neighbourhood, who: &BareJid) {
    let mut events = here.events();
    if here.neighbours().await.iter().any(|n| n.name == *who) {
        return;
    }
    until(&mut events, |event| match event {
        Event::Found(seen) => (seen.name == *who).then_some(()),
        _ => None,
    })
    .await;
}

/// What the lamp did, in order.
pub(crate) type Book = Arc<Mutex<Vec<bool>>>;

/// A lamp that notes what it does, and reports it.
pub(crate) struct Lamp(pub(crate) Book);

impl Lamp {
    fn on(on: bool) -> Sample {
        let reading = Reading::automatic(text("on"), Value::Boolean(on));
        Sample {
            thing: text("lamp"),
            at: wall_clock(),
            readings: vec![reading],
        }
    }
}

#[async_trait]
impl Adapter for Lamp {
    fn things(&self) -> Vec<ThingSpec> {
        let field = FieldSpec::new(text("on"), Kind::Boolean);
        let parameter = ParameterSpec::new(text("on"), ParameterKind::Boolean);
        let lamp = ThingSpec::new(text("lamp")).with_field(field);
        vec![lamp.with_parameter(parameter)]
    }

    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        link.connected().await?;
        link.sample(Self::on(false)).await?;
        loop {
            let order = tokio::select! {
                () = stop.wanted() => return Ok(()),
                order = link.order() => order,
            };
            let Some(SettingValue::Boolean(on)) = order.settings().first().map(|s| &s.value) else {
                continue;
            };
            let on = *on;
            self.0.lock().unwrap().push(on);
            link.sample(Self::on(on)).await?;
            order.done();
        }
    }
}

/// A lamp on the network.
pub(crate) struct LampHouse {
    pub(crate) here: Arc<Neighbourhood>,
    pub(crate) messages: Messages,
    pub(crate) book: Book,
    supervisor: Supervisor,
    passing: JoinHandle<()>,
}

impl LampHouse {
    /// Who may do what is said by `access`.
    pub(crate) async fn start(config: Config, access: Access) -> Self {
        let mut things = HostConfig::default();
        things.access = access;
        let started = Neighbourhood::start(config, Serving::default().things(things));
        let (here, messages) = started.await.unwrap();
        let here = Arc::new(here);
        let book = Book::default();
        let (events, mut heard) = from_adapters(16);
        let lamp = Box::new(Lamp(Arc::clone(&book)));
        let supervisor = Supervisor::start("lamp", lamp, events, SupervisorConfig::default());
        here.attach(supervisor.control()).await;
        let (ready, is_ready) = tokio::sync::oneshot::channel();
        let taker = Arc::clone(&here);
        let passing = tokio::spawn(async move {
            let mut ready = Some(ready);
            while let Some(event) = heard.recv().await {
                let measured = matches!(event.report, Report::Sample(_));
                taker.take(event).await;
                if measured && let Some(ready) = ready.take() {
                    ready.send(()).unwrap();
                }
            }
        });
        is_ready.await.unwrap();
        Self {
            here,
            messages,
            book,
            supervisor,
            passing,
        }
    }

    pub(crate) fn done(&self) -> Vec<bool> {
        self.book.lock().unwrap().clone()
    }

    pub(crate) async fn stop(self) {
        self.supervisor.shutdown().await;
        self.passing.await.unwrap();
        Arc::into_inner(self.here).unwrap().shutdown().await;
    }
}

/// Access of that neighbour to everything.
pub(crate) fn all_to(who: &str) -> Access {
    Access::nobody().with(Grant::to_all(Allowed::accounts([name(who)])))
}

/// The certificate of an identity that is in the folder, or is made there.
pub(crate) async fn pin(folder: &Path, who: &str) -> Fingerprint {
    // Made by whoever starts first under that name.
    let config = config(folder, who, network());
    let (here, _messages) = start(config).await;
    let pin = here.fingerprint();
    here.shutdown().await;
    pin
}

//! While there is no server, a phone sets a lamp as its neighbour; what the lamp measured
//! meanwhile arrives once there is a server, in order and once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![cfg(feature = "device")]

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use stanchion::Client;
use stanchion::device::adapter::{Supervisor, SupervisorConfig, from_adapters};
use stanchion::device::format::from_message;
use stanchion::device::host::{Access, Grant, HostConfig};
use stanchion::device::model::{ParameterKind, Sample, SettingValue, Value};
use stanchion::device::outflow::{Outflow, OutflowConfig, ToRecipient};
use stanchion::device::remote::Command;
use stanchion::device::serverless::{Config, Event, Interfaces, Neighbourhood, Serving};
use stanchion::device::{Adapter, AdapterError, Link, ParameterSpec, Report, Stop, ThingSpec};
use stanchion::reliability::store::WallTime;
use stanchion::services::allowed::Allowed;
use stanchion::session::Lane;
use stanchion::stanza::payload::sensordata::Profile;
use stanchion::stanza::{BareJid, Text};
use stanchion_hub::{Accounts, Hub, HubConfig};

const SETS: i32 = 20;

fn text(text: &'static str) -> Text {
    Text::from_static(text)
}

/// A lamp whose clock is the number of times that it was set.
struct Lamp(i64);

#[async_trait]
impl Adapter for Lamp {
    fn things(&self) -> Vec<ThingSpec> {
        let level = ParameterSpec::new(text("level"), ParameterKind::Int(0..=1000));
        vec![ThingSpec::new(text("lamp")).with_parameter(level)]
    }

    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        link.connected().await?;
        loop {
            let order = tokio::select! {
                () = stop.wanted() => return Ok(()),
                order = link.order() => order,
            };
            let Some(SettingValue::Int(level)) = order.settings().first().map(|s| &s.value) else {
                continue;
            };
            self.0 += 1;
            let (at, value) = (WallTime::from_unix_ms(self.0), Value::Int(*level));
            link.sample(Sample::one(text("lamp"), at, text("level"), value))
                .await?;
            order.done();
        }
    }
}

async fn hub(folder: &Path, at: SocketAddr) -> Hub {
    Hub::bind(HubConfig {
        domain: "example.org".to_owned(),
        starttls: Some(at),
        state: Some(folder.join("hub")),
        accounts: Accounts::open_demo([("lamp", "secret"), ("cloud", "secret")]).unwrap(),
        ..HubConfig::default()
    })
    .await
    .unwrap()
}

async fn neighbour(
    who: &str,
    folder: &Path,
    network: u16,
    serving: Serving,
) -> (Neighbourhood, BareJid) {
    let name: BareJid = who.parse().unwrap();
    let mut config = Config::new(name.clone(), folder.join(format!("{who}.pem")));
    config.interfaces = Interfaces::Loopback;
    config.mdns_port = network;
    let (here, _messages) = Neighbourhood::start(config, serving).await.unwrap();
    (here, name)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lamp_measures_without_a_server_arrives_with_one_in_order_and_once() {
    let test = async {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        // There was a server once: its certificate and its place are known.
        let first = hub(folder, ([127, 0, 0, 1], 0).into()).await;
        let (at, pin) = (first.addresses().starttls.unwrap(), first.fingerprint());
        drop(first);
        let client = |name: &str| {
            Client::builder(format!("{name}@example.org").parse().unwrap())
                .password("secret".to_owned().into())
                .server("127.0.0.1", at.port())
                .pin(pin)
                .store_file(folder.join(format!("{name}.sqlite")))
        };
        let (client_of_lamp, _incoming) = client("lamp").start().await.unwrap();
        let cloud = "cloud@example.org".parse().unwrap();
        let way = ToRecipient::new(client_of_lamp.sender(), cloud, Profile::Nf, None);
        let outflow = Arc::new(Outflow::start(Arc::new(way), OutflowConfig::default()));

        let network = {
            let socket = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
            socket.local_addr().unwrap().port()
        };
        let mut things = HostConfig::default();
        let phone: BareJid = "phone@pocket".parse().unwrap();
        things.access = Access::nobody().with(Grant::to_all(Allowed::accounts([phone])));
        let serving = Serving::default().things(things);
        let (lamp, lamp_name) = neighbour("lamp@hall", folder, network, serving).await;
        let (phone, phone_name) =
            neighbour("phone@pocket", folder, network, Serving::default()).await;
        lamp.trust(phone_name, phone.fingerprint()).await;
        phone.trust(lamp_name.clone(), lamp.fingerprint()).await;

        let (events, mut heard) = from_adapters(16);
        let config = SupervisorConfig::default();
        let supervisor = Supervisor::start("lamp", Box::new(Lamp(0)), events, config);
        lamp.attach(supervisor.control()).await;
        let to_cloud = Arc::clone(&outflow);
        let passing = tokio::spawn(async move {
            while let Some(event) = heard.recv().await {
                let sample = match &event.report {
                    Report::Sample(sample) => Some(sample.clone()),
                    _ => None,
                };
                lamp.take(event).await;
                if let Some(sample) = sample {
                    to_cloud.give(Lane::Telemetry, &sample).await;
                }
            }
            lamp
        });

        let mut found = phone.events();
        if phone.neighbours().await.is_empty() {
            while !matches!(found.recv().await.unwrap(), Event::Found(_)) {}
        }
        let to_lamp = phone.neighbour(lamp_name);
        for level in 1..=SETS {
            let command = Command::set(text("level"), SettingValue::Int(level));
            // The first may come before the lamp's things are known.
            while let Err(error) = to_lamp.set(command.clone()).await {
                assert!(error.had_no_effect() && level == 1, "{level}: {error}");
            }
        }

        let again = hub(folder, at).await;
        let running = tokio::spawn(async move { drop(again.run(std::future::pending()).await) });
        let (cloud, mut incoming) = client("cloud").start().await.unwrap();
        let mut got = Vec::new();
        while got.len() < usize::try_from(SETS).unwrap() {
            let received = incoming.recv().await.unwrap();
            for sample in from_message(received.message()).unwrap() {
                let value = sample.readings[0].value.clone();
                got.push((sample.at.as_unix_ms(), value));
            }
            received.commit().await.unwrap();
        }
        let all = (1..=SETS).map(|n| (i64::from(n), Value::Int(n)));
        assert_eq!(got, all.collect::<Vec<_>>());

        supervisor.shutdown().await;
        passing.await.unwrap().shutdown().await;
        phone.shutdown().await;
        let outflow = Arc::into_inner(outflow).unwrap();
        assert_eq!(outflow.shutdown(Duration::from_secs(5)).await, 0);
        client_of_lamp.shutdown().await.unwrap();
        cloud.shutdown().await.unwrap();
        running.abort();
    };
    tokio::time::timeout(Duration::from_secs(60), test)
        .await
        .expect("in time");
}

//! A lamp on XMPP: its account's other devices read how bright it is, and set that. It says
//! what it is set to, and ends with its input.
//!
//!     STANCHION_PASSWORD=… cargo run -p stanchion --example thing -- \
//!         lamp@home.example 192.0.2.7:5222 ca.pem lamp.sqlite
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;

use stanchion::device::adapter::{Supervisor, SupervisorConfig, from_adapters, wall_clock};
use stanchion::device::model::{Kind, ParameterKind, Setting, SettingValue, of_setting};
use stanchion::device::{Adapter, AdapterError, HostConfig, Link, Stop};
use stanchion::device::{FieldSpec, ParameterSpec, Sample, ThingSpec};
use stanchion::stanza::Text;
use stanchion::{Client, Roots};
use tokio::io::AsyncReadExt as _;

/// The lamp: in earnest, it would talk to a device here.
struct Lamp(i32);

impl Lamp {
    fn now(&self) -> Sample {
        let level = SettingValue::Int(self.0);
        let (lamp, name) = (Text::from_static("lamp"), Text::from_static("level"));
        Sample::one(
            lamp,
            wall_clock(),
            name,
            of_setting(&level, Text::default()),
        )
    }
}

#[async_trait::async_trait]
impl Adapter for Lamp {
    fn things(&self) -> Vec<ThingSpec> {
        let level = Text::from_static("level");
        let lamp = ThingSpec::new(Text::from_static("lamp"))
            .with_field(FieldSpec::new(level.clone(), Kind::Int))
            .with_parameter(ParameterSpec::new(level, ParameterKind::Int(0..=100)));
        vec![lamp]
    }

    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        link.connected().await?;
        loop {
            link.sample(self.now()).await?;
            let order = tokio::select! {
                () = stop.wanted() => return Ok(()),
                order = link.order() => order,
            };
            // It was checked against what the lamp takes.
            if let [
                ..,
                Setting {
                    value: SettingValue::Int(level),
                    ..
                },
            ] = order.settings()
            {
                self.0 = *level;
                println!("level {level}");
            }
            order.done();
        }
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [jid, place, ca, store] = &words[..] else {
        return Err("usage: thing JID HOST:PORT CA-FILE STORE-FILE".into());
    };
    let (host, port) = place.rsplit_once(':').ok_or("the place is HOST:PORT")?;
    let (client, _incoming) = Client::builder(jid.parse()?)
        .password(std::env::var("STANCHION_PASSWORD")?.into())
        .server(host, port.parse()?)
        .trust(Roots::Pem(std::fs::read(ca)?))
        .store_file(store)
        .things(HostConfig::default())
        .start()
        .await?;
    let things = client.thing_host().ok_or("there is no host")?.clone();
    let (reports, mut told) = from_adapters(64);
    let lamp = Supervisor::start(
        "lamp",
        Box::new(Lamp(0)),
        reports,
        SupervisorConfig::default(),
    );
    things.attach(lamp.control());
    let mut rest = Vec::new();
    let mut input = tokio::io::stdin();
    let ends = input.read_to_end(&mut rest);
    tokio::pin!(ends);
    println!("ready");
    loop {
        tokio::select! {
            _ = &mut ends => break,
            Some(event) = told.recv() => things.take(event).await?,
        }
    }
    lamp.shutdown().await;
    client.shutdown().await?;
    Ok(())
}

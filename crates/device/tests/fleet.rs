//! A large account: a thousand things of several fields each, over the hub, and one who
//! watches all of them by one subscription.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    dead_code,
    reason = "what tests have in common is more than is used here"
)]

mod client;
mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use client::Client;
use stanchion_device::adapter::{AdapterEvent, wall_clock};
use stanchion_device::host::{self, Access, Grant, ThingHost};
use stanchion_device::model::{Kind, Reading, Value};
use stanchion_device::remote::{Watch, WatchEvent, Watching};
use stanchion_device::{FieldSpec, HostConfig, Report, Sample, ThingSpec};
use stanchion_services::HostBuilder;
use stanchion_services::allowed::Allowed;
use stanchion_stanza::Text;
use support::{Peer, Server, soon, text};

const THINGS: usize = 1000;
const FIELDS: [&str; 5] = ["voltage", "current", "power", "energy", "state"];
/// How often all of them change.
const ROUNDS: i32 = 4;

fn spec(number: usize) -> ThingSpec {
    let id = Text::new(format!("meter-{number}")).unwrap();
    let spec = ThingSpec::new(id);
    FIELDS.iter().fold(spec, |spec, field| {
        spec.with_field(FieldSpec::new(text(field), Kind::Int))
    })
}

fn event(report: Report) -> AdapterEvent {
    AdapterEvent {
        adapter: Arc::from("meters"),
        report,
    }
}

/// Each thing says that of all its fields.
async fn measure(things: &ThingHost, value: i32) {
    for number in 0..THINGS {
        let reading = |field: &&'static str| Reading::automatic(text(field), Value::Int(value));
        let sample = Sample {
            thing: spec(number).node.id,
            at: wall_clock(),
            readings: FIELDS.iter().map(reading).collect(),
        };
        things.take(event(Report::Sample(sample))).await.unwrap();
    }
}

/// What is told until all fields of all things have that value.
async fn until(watching: &mut Watching, value: i32) -> BTreeMap<(Text, Text), BTreeSet<i32>> {
    let mut seen: BTreeMap<(Text, Text), BTreeSet<i32>> = BTreeMap::new();
    let mut left = THINGS * FIELDS.len();
    while left > 0 {
        match watching.next().await.unwrap() {
            WatchEvent::Values(part) => {
                for one in part.values {
                    let Value::Int(number) = one.field.value else {
                        panic!("{one:?}")
                    };
                    let key = (one.thing.id.clone(), one.field.name.clone());
                    let is_new = seen.entry(key).or_default().insert(number);
                    left -= usize::from(is_new && number == value);
                }
            }
            WatchEvent::Subscribed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_things_of_five_fields_are_watched_whole_by_one_subscription() {
    let server = Server::start(&["gateway", "owner"]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = HostConfig::default();
    let owner = "owner@home.example".parse().unwrap();
    config.access = Access::default().with(Grant::to_read(Allowed::accounts([owner])));
    let mut services = HostBuilder::new();
    let added = host::add(&mut services, config);
    let file = folder.path().join("gateway.sqlite");
    let gateway = Peer::start(&server, "gateway", &file, services).await;
    let things = added.start(gateway.session.sender(), gateway.store.clone());
    let specs = Report::Things((0..THINGS).map(spec).collect());
    things.take(event(specs)).await.unwrap();
    measure(&things, 0).await;

    let file = folder.path().join("owner.sqlite");
    let owner = Client::start(server.connector("owner"), &file).await;
    let mut watching = owner.things.watch(&gateway.jid(), Watch::all());
    let all = soon(until(&mut watching, 0)).await;
    assert_eq!(all.len(), THINGS * FIELDS.len(), "told at once");
    for round in 1..=ROUNDS {
        let (told, ()) = tokio::join!(
            soon(until(&mut watching, round)),
            soon(measure(&things, round))
        );
        assert_eq!(told.len(), THINGS * FIELDS.len(), "round {round}");
    }
    let figures = things.subscriptions().await.unwrap();
    assert_eq!((figures.subscriptions, figures.coalesced), (1, 0));
    let values = (THINGS * FIELDS.len()) as u64;
    assert_eq!(
        figures.told,
        values * (1 + u64::from(ROUNDS.unsigned_abs()))
    );

    drop(watching);
    owner.stop().await;
    drop(things);
    gateway.stop().await;
    server.stop().await;
}

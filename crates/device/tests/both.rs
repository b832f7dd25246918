//! The two roles against each other, over the hub: our things, read, watched and set by a
//! client that uses [`stanchion_device::remote::Things`].

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

use std::time::Duration;

use client::Client;
use stanchion_device::HostConfig;
use stanchion_device::host::{Access, Grant};
use stanchion_device::model::{SettingValue, Value, as_f64};
use stanchion_device::remote::{Command, Part, ReadError, Readout, SetError, Watch, WatchEvent};
use stanchion_services::allowed::Allowed;
use stanchion_stanza::payload::sensordata::Profile;
use support::{Lamp, LampHost, Mood, Server, soon, text};

async fn host(server: &Server, folder: &tempfile::TempDir, mood: Mood) -> (LampHost, Lamp) {
    let (lamp, _acts) = Lamp::new(mood);
    let mut config = HostConfig::default();
    let owner = "owner@home.example".parse().unwrap();
    config.access = Access::default().with(Grant::to_all(Allowed::accounts([owner])));
    let file = folder.path().join("host.sqlite");
    let host = LampHost::start(server, "me", &file, config, lamp.clone()).await;
    (host, lamp)
}

fn level(part: &Part) -> Option<f64> {
    let mut values = part.values.iter().map(|m| &m.field);
    as_f64(&values.find(|f| f.name == "level")?.value)
}

fn set(value: i32) -> Command {
    Command::set(text("level"), SettingValue::Int(value))
}

#[tokio::test(flavor = "multi_thread")]
async fn our_things_are_found_read_set_once_and_tell_who_watches_them() {
    let server = Server::start(&["me", "owner", "mallory"]).await;
    let folder = tempfile::tempdir().unwrap();
    let (host, lamp) = host(&server, &folder, Mood::Obeys).await;
    let file = folder.path().join("owner.sqlite");
    let owner = Client::start(server.connector("owner"), &file).await;
    let (things, jid) = (&owner.things, host.peer.jid());

    let found = soon(things.discover(&jid, Readout::momentary()))
        .await
        .unwrap();
    assert!(found.acts_once && found.unread.is_none(), "{found:?}");
    assert_eq!((found.reads[0], found.tells[0]), (Profile::Nf, Profile::Nf));
    assert!(
        found.things[0]
            .fields
            .iter()
            .any(|(name, ..)| *name == "level")
    );
    let form = soon(things.form(&jid, None)).await.unwrap();
    assert!(
        form.fields
            .iter()
            .any(|f| f.var.as_deref() == Some("level"))
    );

    let mut watching = things.watch(&jid, Watch::all().field_by(text("level"), 10.0));
    let first = soon(watching.next()).await.unwrap();
    assert_eq!(first, WatchEvent::Subscribed { of: jid.clone() });
    let WatchEvent::Values(part) = soon(watching.next()).await.unwrap() else {
        panic!("not told at once")
    };
    let begins = level(&part).unwrap();
    let before = lamp.count();
    let done = soon(things.set(&jid, set(80))).await.unwrap();
    assert!(done.key.is_some(), "it acts once");
    assert_eq!(lamp.count(), before + 1);
    let WatchEvent::Values(part) = soon(watching.next()).await.unwrap() else {
        panic!("not told")
    };
    assert_eq!((begins, level(&part)), (40.0, Some(80.0)));
    let read = soon(things.read(&jid, Readout::momentary())).await.unwrap();
    assert_eq!(as_f64(&read.field("level").unwrap().value), Some(80.0));
    assert!(!matches!(read.values[0].field.value, Value::String(_)));

    // What will not do is refused, and nothing happens.
    let no = soon(things.set(&jid, set(4711))).await.unwrap_err();
    assert!(matches!(no, SetError::Refused { .. }), "{no:?}");
    assert_eq!(lamp.count(), before + 1);

    // A stranger gets nothing, in any of these ways.
    let file = folder.path().join("mallory.sqlite");
    let mallory = Client::start(server.connector("mallory"), &file).await;
    let things = &mallory.things;
    let no = soon(things.read(&jid, Readout::momentary())).await;
    assert!(matches!(no, Err(ReadError::Refused { .. })), "{no:?}");
    let no = soon(things.watch(&jid, Watch::all()).next()).await;
    assert!(matches!(no, Err(ReadError::Refused { .. })), "{no:?}");
    let no = soon(things.set(&jid, set(1).within(Duration::from_secs(10)))).await;
    assert!(matches!(no, Err(SetError::Forbidden { .. })), "{no:?}");
    assert_eq!(lamp.count(), before + 1);

    drop(watching);
    mallory.stop().await;
    owner.stop().await;
    host.stop().await;
    server.stop().await;
}

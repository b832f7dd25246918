//! The example `thing`, as a process of its own on the embedded hub, read and set by a
//! client of the facade on the same account.

#![cfg(feature = "device")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::future::Future;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use stanchion::device::model::SettingValue;
use stanchion::services::presence::PresenceEvent;
use stanchion::services::{Request, RequestError};
use stanchion::stanza::payload::Payload as _;
use stanchion::stanza::payload::control::{Set, SetResponse};
use stanchion::stanza::payload::sensordata;
use stanchion::stanza::{Text, ns};
use stanchion::{Client, Jid};
use stanchion_hub::{Accounts, Hub, HubConfig};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, what).await.expect("in time")
}

/// `cargo test -p stanchion` builds the examples beside the tests.
fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(name);
    path.set_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "build the examples: {}", path.display());
    path
}

#[tokio::test]
async fn the_example_is_found_read_and_set_and_says_what_it_is_set_to() {
    let hub = Hub::bind(HubConfig {
        domain: "example.org".to_owned(),
        starttls: Some(([127, 0, 0, 1], 0).into()),
        direct_tls: None,
        accounts: Accounts::open_demo([("me", "secret")]).unwrap(),
        ..HubConfig::default()
    })
    .await
    .unwrap();
    let place = hub.addresses().starttls.unwrap();
    let fingerprint = hub.fingerprint();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, hub.certificate_pem()).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(hub.run(async { drop(stopped.await) }));

    let (phone, _incoming) = Client::builder("me@example.org".parse().unwrap())
        .password("secret".to_owned().into())
        .server("127.0.0.1", place.port())
        .pin(fingerprint)
        .store_in_memory()
        .start()
        .await
        .unwrap();
    let mut people = phone.presences().events();
    soon(phone.roster().loaded()).await.unwrap();

    let mut lamp = Command::new(example("thing"))
        .args(["me@example.org", &place.to_string()])
        .args([&ca, &folder.path().join("lamp.sqlite")])
        .env("STANCHION_PASSWORD", "secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let input = lamp.stdin.take().unwrap();
    let mut lines = BufReader::new(lamp.stdout.take().unwrap()).lines();
    assert_eq!(soon(lines.next_line()).await.unwrap().unwrap(), "ready");

    // Which of our devices it is, its features say.
    let lamp_jid: Jid = soon(async {
        loop {
            if let Ok(PresenceEvent::Available { jid, .. }) = people.recv().await
                && let Ok(can) = phone.discovery().features_of(jid.clone()).await
                && can.has(ns::THING_COMMAND)
            {
                return jid;
            }
        }
    })
    .await;

    let asks = phone.requests();
    let to = Some(lamp_jid);
    let request = sensordata::Request::momentary(1).to_element();
    let accepted = asks.ask_for::<sensordata::Accepted>(Request::get(to.clone(), request));
    assert!(!soon(accepted).await.unwrap().queued);
    let set = |level| Set::one(Text::from_static("level"), SettingValue::Int(level)).to_element();
    let done = asks.ask_for::<SetResponse>(Request::set(to.clone(), set(70)));
    assert!(soon(done).await.unwrap().succeeded());
    assert_eq!(soon(lines.next_line()).await.unwrap().unwrap(), "level 70");
    let too_much = soon(asks.ask(Request::set(to, set(700)))).await;
    assert!(matches!(too_much, Err(RequestError::Refused { .. })));

    drop(input);
    assert!(soon(lamp.wait()).await.unwrap().success());
    soon(phone.shutdown()).await.unwrap();
    drop(stop);
    soon(running).await.unwrap().unwrap();
}

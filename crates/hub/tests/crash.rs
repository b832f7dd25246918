//! A hub in a process of its own, killed without warning: what it promised to keep must
//! be there when it is started again.

#![allow(clippy::unwrap_used, reason = "a test may fail so")]
#![cfg(unix)]

mod support;

use std::net::SocketAddr;
use std::process::Stdio;

use stanchion_hub::{Accounts, Addresses, Fingerprint, Hub, HubConfig};
use support::{Client, DOMAIN, patient};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const STATE: &str = "HUB_CRASH_TEST_STATE";

/// Not a test of its own: the process that is killed. Says where it listens and its
/// fingerprint, and runs until then.
#[tokio::test]
#[ignore = "run by the test below"]
async fn the_hub_that_is_killed() {
    let Some(state) = std::env::var_os(STATE) else {
        return;
    };
    let hub = Hub::bind(HubConfig {
        domain: DOMAIN.into(),
        starttls: Some(SocketAddr::from(([127, 0, 0, 1], 0))),
        direct_tls: None,
        state: Some(state.into()),
        accounts: Accounts::open_demo([("a", "secret"), ("b", "secret")]).unwrap(),
        ..HubConfig::default()
    })
    .await
    .unwrap();
    println!(
        "\nlistening {} {}",
        hub.addresses().starttls.unwrap(),
        hub.fingerprint()
    );
    hub.run(std::future::pending()).await.unwrap();
}

async fn start(state: &std::path::Path) -> (Child, Addresses, Fingerprint) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "the_hub_that_is_killed",
            "--ignored",
            "--nocapture",
        ])
        .env(STATE, state)
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    loop {
        let line = patient(lines.next_line()).await.unwrap().unwrap();
        if let Some(rest) = line.strip_prefix("listening ") {
            let (address, fingerprint) = rest.split_once(' ').unwrap();
            let addresses = Addresses {
                starttls: Some(address.parse().unwrap()),
                direct_tls: None,
                component: None,
            };
            return (child, addresses, fingerprint.parse().unwrap());
        }
    }
}

#[tokio::test]
async fn a_killed_hub_keeps_its_certificate_and_what_it_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let (mut hub, addresses, fingerprint) = start(folder.path()).await;
    let mut a = Client::authenticated(&(addresses, fingerprint), "a").await;
    a.bind("one").await;
    a.enable().await;
    for n in 0..100 {
        a.chat("b@hub.example", &format!("m{n}"), "kept");
    }
    assert_eq!(a.handled().await, 100);
    patient(hub.kill()).await.unwrap();

    let (mut hub, addresses, again) = start(folder.path()).await;
    assert_eq!(again, fingerprint, "clients pin it");
    let mut b = Client::authenticated(&(addresses, fingerprint), "b").await;
    b.bind("two").await;
    b.announce().await;
    for n in 0..100 {
        let message = b.message().await;
        assert_eq!(message.header.id.as_deref(), Some(format!("m{n}").as_str()));
    }
    patient(hub.kill()).await.unwrap();
}

//! The example `presence`, as a process of its own on the embedded hub, with a client of
//! the facade for it to see.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::future::Future;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use stanchion::services::presence::{Availability, PresenceEvent, Status};
use stanchion::services::roster::{RosterEvent, Subscription};
use stanchion::stanza::Text;
use stanchion::{BareJid, Client, ClientBuilder, Jid};
use stanchion_hub::{Accounts, Hub, HubConfig};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
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

async fn start(builder: ClientBuilder) -> Client {
    let (client, _incoming) = builder.start().await.unwrap();
    soon(client.roster().loaded()).await.unwrap();
    client
}

#[tokio::test]
async fn the_example_lets_its_domain_in_and_tells_who_is_there() {
    let hub = Hub::bind(HubConfig {
        domain: "example.org".to_owned(),
        starttls: Some(([127, 0, 0, 1], 0).into()),
        direct_tls: None,
        accounts: Accounts::open_demo([("lamp", "secret"), ("phone", "other")]).unwrap(),
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

    let mut lamp = Command::new(example("presence"))
        .args(["lamp@example.org", &place.to_string()])
        .arg(&ca)
        .env("STANCHION_PASSWORD", "secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = lamp.stdin.take().unwrap();
    let mut lines = BufReader::new(lamp.stdout.take().unwrap()).lines();
    assert_eq!(soon(lines.next_line()).await.unwrap().unwrap(), "ready");

    let account: BareJid = "phone@example.org".parse().unwrap();
    let builder = || {
        Client::builder(account.clone())
            .password("other".to_owned().into())
            .server("127.0.0.1", place.port())
            .pin(fingerprint)
            .keep_presence()
            .store_file(folder.path().join("phone"))
    };
    let phone = start(builder()).await;
    let mut asked = phone.roster().events();
    let mut seen = phone.presences().events();
    let who: BareJid = "lamp@example.org".parse().unwrap();
    soon(phone.roster().subscribe(who.clone())).await.unwrap();
    loop {
        if let RosterEvent::Requested { from, .. } = soon(asked.recv()).await.unwrap() {
            assert_eq!(from, who);
            soon(phone.roster().approve(from)).await.unwrap();
            break;
        }
    }
    let mut said = async |beginning: &str| loop {
        let line = soon(lines.next_line()).await.unwrap().unwrap();
        if line.starts_with(beginning) {
            return line;
        }
    };
    said("phone@example.org sees us").await;
    said("phone@example.org/").await;

    input.write_all(b"busy welding\n").await.unwrap();
    loop {
        if let PresenceEvent::Available { jid, status } = soon(seen.recv()).await.unwrap()
            && jid.to_bare() == who
            && status.availability == Availability::Busy
        {
            assert_eq!(status.text.as_deref(), Some("welding"));
            let can = soon(phone.discovery().features_of(jid.clone())).await;
            assert!(can.unwrap().has(stanchion::stanza::ns::PING));
            break;
        }
    }
    let lunch = Status::away().with_text(Text::from_static("lunch"));
    soon(phone.presences().set(lunch)).await.unwrap();
    assert!(
        said("phone@example.org/")
            .await
            .ends_with(" is Away: lunch")
    );
    soon(phone.shutdown()).await.unwrap();
    assert!(said("phone@example.org/").await.ends_with(" is gone"));

    // What was said is kept, because it is wanted, and so is who the contacts are.
    let phone = start(builder()).await;
    assert!(
        said("phone@example.org/")
            .await
            .ends_with(" is Away: lunch")
    );
    let lamp_is = soon(phone.roster().contact(&Jid::from(who))).await.unwrap();
    assert_eq!(lamp_is.unwrap().subscription, Subscription::Both);
    soon(phone.shutdown()).await.unwrap();
    drop(input);
    assert!(soon(lamp.wait()).await.unwrap().success());
    drop(stop);
    soon(running).await.unwrap().unwrap();
}

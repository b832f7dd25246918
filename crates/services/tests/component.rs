//! A component at the embedded hub: a whole domain beside the accounts, and through crashes
//! of the hub and of its own process.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]

mod support;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use stanchion_connect::Connect as _;
use stanchion_hub::{ComponentConfig, Hub, HubConfig, HubError};
use stanchion_reliability::outcome::Outcome;
use stanchion_reliability::session::{Outgoing, Received, SessionConfig};
use stanchion_reliability::store::{OutboundState, rusqlite};
use stanchion_services::HostBuilder;
use stanchion_services::disco::{self, Disco};
use stanchion_services::ping::{Pings, ping};
use stanchion_services::version::{Versions, version};
use stanchion_stanza::Jid;
use support::{CLOUD, DOMAIN, Device, Server, soon};
use tokio::time::timeout;

const ANYWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn services() -> HostBuilder {
    let mut services = HostBuilder::new();
    services.add(Disco::default());
    services.add(Pings::default());
    services.add(Versions::default());
    services
}

async fn hub(accounts: &[&str]) -> Server {
    Server::start_for_component(accounts, None, ANYWHERE, ANYWHERE).await
}

async fn cloud(server: &Server, address: &str, file: &Path) -> Device {
    let connector = server.component(address, "secret");
    let cloud = Device::begin_by(connector, file, services(), impatient()).await;
    cloud.connected().await;
    cloud
}

/// No presence tells that a component is back, so what came back or was lost waits for its
/// timer, by default for up to a minute.
fn impatient() -> SessionConfig {
    let mut config = SessionConfig::default();
    config.backoff.cap = Duration::from_secs(2);
    config.engine.rto.max = Duration::from_secs(3);
    config
}

#[tokio::test]
async fn a_device_and_a_component_exchange_messages_with_receipts_and_ask_each_other() {
    let server = hub(&["lamp"]).await;
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().join("l");
    let mut lamp = Device::start(&server, "lamp", &here, services()).await;
    for local in ["", "ingest@"] {
        let address = format!("{local}{CLOUD}");
        let there = folder.path().join(&address);
        let mut cloud = cloud(&server, &address, &there).await;
        let to: Jid = address.parse().unwrap();
        let up = Outgoing::text(to.clone(), "21.5").unwrap();
        let sent = lamp.session.sender().send(up).await.unwrap();
        let received = soon(cloud.incoming.recv()).await.unwrap();
        assert_eq!(received.message().body().as_deref(), Some("21.5"));
        assert_eq!(received.message().header.from, Some(lamp.jid()));
        received.commit_durably().await.unwrap();
        let outcome = soon(sent.outcome()).await.unwrap();
        assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");

        let down = Outgoing::text(lamp.jid().to_bare().into(), "on").unwrap();
        let sent = cloud.session.sender().send(down).await.unwrap();
        let received = soon(lamp.incoming.recv()).await.unwrap();
        assert_eq!(received.message().header.from.as_ref(), Some(&to));
        received.commit_durably().await.unwrap();
        let outcome = soon(sent.outcome()).await.unwrap();
        assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");

        let ask = cloud.host.requests();
        soon(ping(&ask, Some(lamp.jid()))).await.unwrap();
        soon(ping(&ask, None)).await.unwrap();
        let hub: Jid = DOMAIN.parse().unwrap();
        soon(version(&ask, hub.clone())).await.unwrap();
        let ask = lamp.host.requests();
        soon(ping(&ask, Some(to.clone()))).await.unwrap();
        let told = soon(version(&ask, to)).await.unwrap();
        assert_eq!(told.name.as_deref(), Some("Stanchion"));
        let items = soon(disco::items(&ask, hub, None)).await.unwrap().items;
        assert!(
            items.iter().any(|item| item.jid.as_str() == CLOUD),
            "{items:?}"
        );
        cloud.stop().await;
    }
    lamp.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_secret_and_another_domain_are_refused() {
    let server = hub(&[]).await;
    let wrong = server.component(CLOUD, "wrong");
    let error = soon(wrong.connect(None)).await.unwrap_err();
    assert!(error.is_a_refusal() && !error.may_pass(), "{error}");
    let other = server.component("other.home.example", "secret");
    let error = soon(other.connect(None)).await.unwrap_err();
    assert!(error.to_string().contains("host-unknown"), "{error:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_second_process_of_the_component_waits_until_the_first_one_has_gone() {
    let server = hub(&["lamp"]).await;
    let first = soon(server.component(CLOUD, "secret").connect(None))
        .await
        .unwrap();
    let second = soon(server.component(CLOUD, "secret").connect(None)).await;
    let error = second.unwrap_err();
    assert!(error.to_string().contains("conflict"), "{error}");
    assert!(error.may_pass(), "it is tried again: {error}");

    let folder = tempfile::tempdir().unwrap();
    let connector = server.component(CLOUD, "secret");
    let path = folder.path().join("c");
    let cloud = Device::begin_by(connector, &path, services(), impatient()).await;
    drop(first);
    cloud.connected().await;
    cloud.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_component_is_served_on_loopback_with_a_secret_and_a_domain_of_its_own() {
    let config = |listen: &str, domain: &str, secret: &str| HubConfig {
        domain: DOMAIN.to_owned(),
        starttls: Some(ANYWHERE),
        direct_tls: None,
        component: Some(ComponentConfig {
            listen: listen.parse().unwrap(),
            domain: domain.to_owned(),
            secret: secret.into(),
        }),
        ..HubConfig::default()
    };
    for address in ["0.0.0.0:0", "192.0.2.1:5347", "[::]:0"] {
        let refused = Hub::bind(config(address, CLOUD, "secret")).await;
        assert!(
            matches!(refused, Err(HubError::ComponentAddress { .. })),
            "{refused:?}"
        );
    }
    for domain in [DOMAIN, "rooms.home.example", "pubsub.home.example"] {
        let refused = Hub::bind(config("127.0.0.1:0", domain, "secret")).await;
        assert!(
            matches!(refused, Err(HubError::ComponentDomain { .. })),
            "{refused:?}"
        );
    }
    let refused = Hub::bind(config("127.0.0.1:0", CLOUD, "")).await;
    assert!(
        matches!(refused, Err(HubError::ComponentSecret { .. })),
        "{refused:?}"
    );
    let refused = Hub::bind(config("127.0.0.1:0", "a@cloud.example", "s")).await;
    assert!(
        matches!(refused, Err(HubError::NotADomain { .. })),
        "{refused:?}"
    );
    let shown = format!("{:?}", config("127.0.0.1:0", CLOUD, "hush"));
    assert!(!shown.contains("hush"), "{shown}");
}

/// In each direction, and between two crashes.
const MESSAGES: usize = 80;
const STEP: usize = 20;
/// Whether the hub crashes, and whether the process does: no message is handed over to more
/// than three processes, or it would count as poison.
const CRASHES: [(bool, bool); 3] = [(true, true), (true, false), (false, true)];
/// Reconnecting and sending again included.
const PATIENCE: Duration = Duration::from_secs(90);

/// Notes a message in the receiver's own table, in the transaction that marks it as done.
async fn note(received: &Received) {
    let body = received.message().body().unwrap().into_owned();
    let noted = received.commit_with(move |tx| {
        tx.execute("INSERT INTO app_heard VALUES (?1)", [body])?;
        Ok::<_, rusqlite::Error>(())
    });
    // The process may end at any moment; what is not durable comes again.
    let _ = noted.await;
}

async fn make_table(device: &Device) {
    let sql = "CREATE TABLE IF NOT EXISTS app_heard (body TEXT)";
    let made = device.store.transact(move |tx| tx.execute_batch(sql));
    made.await.unwrap();
}

/// How often each was heard.
async fn heard(device: &Device) -> BTreeMap<String, usize> {
    let read = device.store.transact(|tx| {
        let mut statement = tx.prepare("SELECT body FROM app_heard")?;
        let bodies = statement.query_map([], |row| row.get::<_, String>(0))?;
        bodies.collect::<Result<Vec<_>, rusqlite::Error>>()
    });
    let mut count = BTreeMap::new();
    for body in read.await.unwrap() {
        *count.entry(body).or_default() += 1;
    }
    count
}

/// Takes what comes until so many different ones were heard. Which of them are under way,
/// handed over or half done then is up to chance.
async fn listen(device: &mut Device, until: usize) {
    let all = async {
        while heard(device).await.len() < until {
            let received = device.incoming.recv().await.unwrap();
            note(&received).await;
        }
    };
    timeout(PATIENCE, all).await.expect("they come");
}

async fn send_all(device: &Device, to: &str, prefix: &str) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..MESSAGES {
        let body = format!("{prefix}{n}");
        let outgoing = Outgoing::text(to.parse().unwrap(), body).unwrap();
        let sent = device.session.sender().send(outgoing).await.unwrap();
        ids.push(sent.id().to_owned());
    }
    ids
}

/// Whether a message, of an earlier process perhaps, becomes known to be delivered.
async fn is_delivered(device: &Device, id: &str) -> bool {
    let tracked = device.session.find(id).await.unwrap().expect(id);
    let delivered = tracked.record().state == OutboundState::Delivered;
    match tracked.into_sent() {
        Some(sent) => matches!(sent.outcome().await.unwrap(), Outcome::Delivered { .. }),
        None => delivered,
    }
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_though_the_hub_and_the_component_crash() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("hub");
    let accounts = ["lamp"];
    let mut server = Server::start_for_component(&accounts, Some(&state), ANYWHERE, ANYWHERE).await;
    let places = (server.address(), server.component_address());
    let lamp_at = folder.path().join("lamp");
    let connector = server.connector("lamp");
    let mut lamp = Device::begin_by(connector, &lamp_at, services(), impatient()).await;
    make_table(&lamp).await;
    lamp.connected().await;
    let cloud_at = folder.path().join("cloud");
    let lamp_address = lamp.jid().to_bare().to_string();

    let mut cloud = cloud(&server, CLOUD, &cloud_at).await;
    make_table(&cloud).await;
    let up = send_all(&lamp, CLOUD, "up").await;
    let down = send_all(&cloud, &lamp_address, "down").await;
    for (n, (hub_too, process_too)) in CRASHES.into_iter().enumerate() {
        let until = (n + 1) * STEP;
        tokio::join!(listen(&mut cloud, until), listen(&mut lamp, until));
        let still = if hub_too {
            server.crash().await;
            None
        } else {
            Some(server)
        };
        let running = if process_too {
            cloud.crash(&cloud_at).await;
            None
        } else {
            Some(cloud)
        };
        server = match still {
            Some(server) => server,
            None => Server::start_for_component(&accounts, Some(&state), places.0, places.1).await,
        };
        cloud = match running {
            Some(cloud) => cloud,
            None => {
                let connector = server.component(CLOUD, "secret");
                Device::begin_by(connector, &cloud_at, services(), impatient()).await
            }
        };
    }
    tokio::join!(listen(&mut cloud, MESSAGES), listen(&mut lamp, MESSAGES));
    // Both know it of each message, so nothing is left that could come again.
    for (device, ids) in [(&cloud, down), (&lamp, up)] {
        for id in ids {
            let delivered = timeout(PATIENCE, is_delivered(device, &id)).await;
            assert_eq!(delivered, Ok(true), "{id}");
        }
    }
    let once = |prefix: &str| {
        let all = (0..MESSAGES).map(|n| (format!("{prefix}{n}"), 1));
        all.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(heard(&cloud).await, once("up"));
    assert_eq!(heard(&lamp).await, once("down"));
    cloud.stop().await;
    lamp.stop().await;
    server.stop().await;
}

//! A component on real servers: with slixmpp, and through crashes of its server and of its
//! own process.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stanchion_connect::Connect as _;
use stanchion_connect::component::{ComponentConfig, ComponentConnector};
use stanchion_reliability::outcome::Outcome;
use stanchion_reliability::session::{Outgoing, Received, SessionConfig};
use stanchion_reliability::store::{OutboundState, rusqlite};
use stanchion_services::HostBuilder;
use stanchion_services::disco::Disco;
use stanchion_services::ping::{Pings, ping};
use stanchion_services::version::{Versions, version};
use tokio::time::timeout;

use crate::foreign::Foreign;
use crate::server::{Device, Real};
use crate::soon;

fn services() -> HostBuilder {
    let mut services = HostBuilder::new();
    services.add(Disco::default());
    services.add(Pings::default());
    services.add(Versions::default());
    services
}

#[tokio::test]
async fn slixmpp_and_a_component_exchange_messages_with_receipts() {
    let servers = Real::both("component");
    let addresses = servers.iter().flat_map(|s| [(s, ""), (s, "ingest@")]);
    for (server, local) in addresses {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let mut cloud = Device::component(server, local, &path, services()).await;
        cloud.connected().await;
        let domain = format!("{local}cloud.{}", server.domain());
        assert_eq!(cloud.jid().to_bare().as_str(), domain);

        let mut other = Foreign::start("component.py", server, &server.add("other")).await;
        let them: stanchion_stanza::Jid = other.jid.parse().unwrap();
        other.tell(&format!("say {domain} hello")).await;
        let said = other.says("said").await;
        let received = soon(cloud.incoming.recv()).await.unwrap();
        assert_eq!(received.message().body().as_deref(), Some("hello"));
        assert_eq!(received.message().header.from.as_ref(), Some(&them));
        received.commit_durably().await.unwrap();
        let receipt = other.says("receipt").await;
        let id = &said["said ".len()..];
        assert_eq!(receipt, format!("receipt {domain} {id}"));

        let outgoing = Outgoing::text(them.clone(), "and back").unwrap();
        let sent = cloud.session.sender().send(outgoing).await.unwrap();
        assert_eq!(
            other.says("heard").await,
            format!("heard {domain} and back")
        );
        let outcome = soon(sent.outcome()).await.unwrap();
        assert!(
            matches!(outcome, Outcome::Acknowledged { .. }),
            "{outcome:?}"
        );

        // Requests, both ways.
        let ask = cloud.host.requests();
        soon(ping(&ask, Some(them.clone()))).await.unwrap();
        soon(ping(&ask, None)).await.unwrap();
        let told = soon(version(&ask, server.domain().parse().unwrap())).await;
        assert!(told.unwrap().name.is_some());
        other.tell(&format!("version {domain}")).await;
        assert_eq!(other.says("version").await, "version Stanchion");
        other.end().await;
        cloud.stop().await;
    }
}

#[tokio::test]
async fn a_wrong_secret_is_refused_by_real_servers() {
    for server in Real::both("secret") {
        let right = server.component("").connect(None).await.unwrap();
        assert!(right.local);
        drop(right);
        let place = stanchion_connect::Endpoint::at(
            ([127, 0, 0, 1], server.port("component")).into(),
            stanchion_transport::TlsMode::None,
        );
        let domain = format!("cloud.{}", server.domain()).parse().unwrap();
        let config = ComponentConfig::at(place);
        let wrong = ComponentConnector::new(domain, "wrong".into(), config).unwrap();
        let error = soon(wrong.connect(None)).await.unwrap_err();
        assert!(error.is_a_refusal() && !error.may_pass(), "{error}");
    }
}

/// In each direction, between two crashes, and crashes.
const MESSAGES: usize = 120;
const STEP: usize = 25;
const CRASHES: usize = 4;
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
    let made = device.transactor.transact(move |tx| tx.execute_batch(sql));
    made.await.unwrap();
}

/// How often each was heard.
async fn heard(device: &Device) -> BTreeMap<String, usize> {
    let read = device.transactor.transact(|tx| {
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
    if timeout(PATIENCE, all).await.is_err() {
        let have = heard(device).await;
        panic!("{} heard {} of {until}: {have:?}", device.jid(), have.len());
    }
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

async fn cloud_at(server: &Real, path: &Path) -> Device {
    let cloud = Device::component(server, "", path, services()).await;
    make_table(&cloud).await;
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

/// Whether a message, of an earlier process perhaps, becomes known to be delivered.
async fn is_delivered(device: &Device, id: &str) -> bool {
    let tracked = device.session.find(id).await.unwrap().expect(id);
    let delivered = tracked.record().state == OutboundState::Delivered;
    match tracked.into_sent() {
        Some(sent) => matches!(sent.outcome().await.unwrap(), Outcome::Delivered { .. }),
        None => delivered,
    }
}

/// Ends a server of the test's own, if the test ends before it does.
struct Ending<'a>(&'a Real);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.end();
        }
    }
}

/// Each message once in the receiver's own table, in both directions, though the server is
/// killed twice and the component's process four times meanwhile.
async fn through_crashes(kind: &str) {
    let folder = tempfile::tempdir().unwrap();
    let server = Real::start_own(kind, &folder.path().join("server"));
    let _ending = Ending(&server);
    let user = server.add("lamp");
    let lamp_at = folder.path().join("lamp");
    let connector = Arc::new(server.connector(&user));
    let mut lamp = Device::over(connector, impatient(), &lamp_at, services()).await;
    make_table(&lamp).await;
    lamp.connected().await;
    let cloud_path = folder.path().join("cloud");
    let domain = format!("cloud.{}", server.domain());
    let lamp_address = lamp.jid().to_bare().to_string();

    let mut cloud = cloud_at(&server, &cloud_path).await;
    let up = send_all(&lamp, &domain, "up").await;
    let down = send_all(&cloud, &lamp_address, "down").await;
    for crash in 1..=CRASHES {
        let until = crash * STEP;
        tokio::join!(listen(&mut cloud, until), listen(&mut lamp, until));
        // The server, the process, or both at once.
        let server_too = crash % 2 == 1;
        if server_too {
            server.kill();
        }
        // As a crash would: neither farewell nor commit.
        drop(cloud);
        if server_too {
            server.start_again();
        }
        cloud = cloud_at(&server, &cloud_path).await;
    }
    tokio::join!(listen(&mut cloud, MESSAGES), listen(&mut lamp, MESSAGES));
    // Both know it of each message, so nothing is left that could come again.
    for (device, ids) in [(&cloud, down), (&lamp, up)] {
        for id in ids {
            let delivered = timeout(PATIENCE, is_delivered(device, &id)).await;
            assert_eq!(delivered, Ok(true), "{kind}: {id}");
        }
    }
    let once = |prefix: &str| {
        let all = (0..MESSAGES).map(|n| (format!("{prefix}{n}"), 1));
        all.collect::<BTreeMap<_, _>>()
    };
    assert_eq!(heard(&cloud).await, once("up"), "{kind}");
    assert_eq!(heard(&lamp).await, once("down"), "{kind}");
    cloud.stop().await;
    lamp.stop().await;
    server.kill();
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_though_prosody_and_the_component_crash() {
    through_crashes("prosody").await;
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_though_ejabberd_and_the_component_crash() {
    through_crashes("ejabberd").await;
}

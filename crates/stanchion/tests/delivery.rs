//! The facade over the embedded hub, all in one process: the README's example, outcomes,
//! and what survives a restart. Killed processes are the `stanchion` command's tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use stanchion::builder::StartError;
use stanchion::connect::registry::{MemoryRegistry, ServerRegistry as _};
use stanchion::connect::{Account, Endpoint, Endpoints};
use stanchion::services::Incoming;
use stanchion::session::{Lane, Outgoing, SendError, SessionEvent, Status};
use stanchion::transport::TlsMode;
use stanchion::{Client, ClientBuilder, InDoubt, NotDelivered, Outcome};
use stanchion_hub::{Accounts, Fingerprint, Hub, HubConfig};
use tokio::sync::broadcast;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A hub for `example.org` in this process.
struct Server {
    starttls: SocketAddr,
    direct_tls: SocketAddr,
    fingerprint: Fingerprint,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), stanchion_hub::HubError>>,
}

impl Server {
    async fn start() -> Self {
        let any = Some("127.0.0.1:0".parse().unwrap());
        let accounts = [("sensor", "secret"), ("cloud", "other secret")];
        let hub = Hub::bind(HubConfig {
            domain: "example.org".to_owned(),
            starttls: any,
            direct_tls: any,
            accounts: Accounts::open_demo(accounts).unwrap(),
            ..HubConfig::default()
        })
        .await
        .unwrap();
        let (stop, stopped) = oneshot::channel();
        Self {
            starttls: hub.addresses().starttls.unwrap(),
            direct_tls: hub.addresses().direct_tls.unwrap(),
            fingerprint: hub.fingerprint(),
            stop,
            running: tokio::spawn(hub.run(async { drop(stopped.await) })),
        }
    }

    fn reach(&self, builder: ClientBuilder) -> ClientBuilder {
        builder
            .server("127.0.0.1", self.starttls.port())
            .pin(self.fingerprint)
    }

    async fn stop(self) {
        drop(self.stop);
        self.running.await.unwrap().unwrap();
    }
}

fn sensor() -> ClientBuilder {
    Client::builder("sensor@example.org".parse().unwrap()).password("secret".to_owned().into())
}

fn cloud() -> ClientBuilder {
    Client::builder("cloud@example.org".parse().unwrap()).password("other secret".to_owned().into())
}

fn reading(text: &str) -> Outgoing {
    Outgoing::text("cloud@example.org".parse().unwrap(), text).unwrap()
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, what).await.expect("in time")
}

async fn connected(client: &Client) {
    let mut status = client.status();
    let up = status.wait_for(|s| matches!(s, Status::Connected { .. }));
    soon(up).await.unwrap();
}

/// The outcome that observers hear of, for that message.
async fn observed(events: &mut broadcast::Receiver<SessionEvent>, wanted: &str) -> Outcome {
    loop {
        match soon(events.recv()).await.unwrap() {
            SessionEvent::Outcome { id, outcome } if id == wanted => return outcome,
            _ => {}
        }
    }
}

/// Takes one message, and commits it.
async fn take(incoming: &mut Incoming) -> (String, String) {
    let received = soon(incoming.recv()).await.unwrap();
    let message = received.commit().await.unwrap();
    let id = message.header.id.as_deref().unwrap().to_owned();
    (id, message.body().unwrap().into_owned())
}

#[tokio::test]
async fn an_effect_in_the_store_is_delivered_and_one_that_is_refused_is_not() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (sensor, _) = server
        .reach(sensor())
        .store_in_memory()
        .start()
        .await
        .unwrap();
    let file = folder.path().join("cloud.sqlite");
    let (cloud, mut incoming) = server
        .reach(cloud())
        .store_file(&file)
        .start()
        .await
        .unwrap();

    let sent = sensor
        .send(reading("21.5").lane(Lane::Telemetry))
        .await
        .unwrap();
    let message = soon(incoming.recv()).await.unwrap();
    let celsius = message.message().body().unwrap_or_default().into_owned();
    let rows = message
        .commit_with(move |tx| {
            tx.execute_batch("CREATE TABLE IF NOT EXISTS app_readings (celsius TEXT)")?;
            tx.execute("INSERT INTO app_readings VALUES (?1)", [celsius])
        })
        .await;
    assert_eq!(rows.unwrap(), 1);
    let outcome = soon(sent.outcome()).await.unwrap();
    assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome}");

    let sent = sensor
        .send(reading("warm").lane(Lane::Telemetry))
        .await
        .unwrap();
    let message = soon(incoming.recv()).await.unwrap();
    message.reject("not a number").await.unwrap();
    let outcome = soon(sent.outcome()).await.unwrap();
    assert_eq!(outcome, Outcome::NotDelivered(NotDelivered::Rejected));

    let once = reading("22.0").at_most_once();
    let outcome = soon(sensor.send(once).await.unwrap().outcome())
        .await
        .unwrap();
    assert_eq!(outcome, Outcome::Transmitted);
    let message = soon(incoming.recv()).await.unwrap();
    assert_eq!(message.message().body().as_deref(), Some("22.0"));
    message.commit_durably().await.unwrap();

    sensor.shutdown().await.unwrap();
    cloud.shutdown().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn the_readme_s_example_delivers() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let (sensor, _) = server
        .reach(sensor())
        .store_file(folder.path().join("sensor.sqlite"))
        .start()
        .await
        .unwrap();
    let (cloud, mut incoming) = server
        .reach(cloud())
        .store_in_memory()
        .start()
        .await
        .unwrap();
    let mut events = sensor.events();

    let sent = sensor
        .send(reading("21.5").within(Duration::from_secs(30)))
        .await
        .unwrap();
    let id = sent.id().to_owned();
    let received = soon(incoming.recv()).await.unwrap();
    assert_eq!(received.message().body().as_deref(), Some("21.5"));
    assert_eq!(received.message().header.id.as_deref(), Some(&*id));
    assert!(!received.maybe_redelivered());
    received.commit().await.unwrap();

    let outcome = soon(sent.outcome()).await.unwrap();
    let Outcome::Delivered { by } = &outcome else {
        panic!("{outcome:?}")
    };
    assert!(by.to_string().starts_with("cloud@example.org/"), "{by}");
    assert_eq!(observed(&mut events, &id).await, outcome);
    assert_eq!(sensor.counters().delivered, 1);

    soon(sensor.shutdown()).await.unwrap();
    soon(cloud.shutdown()).await.unwrap();
    assert!(incoming.recv().await.is_none());
    server.stop().await;
}

#[tokio::test]
async fn a_receipt_waits_for_the_commit() {
    let server = Server::start().await;
    let (sensor, _) = server
        .reach(sensor())
        .store_in_memory()
        .start()
        .await
        .unwrap();
    let (cloud, mut incoming) = server
        .reach(cloud())
        .store_in_memory()
        .start()
        .await
        .unwrap();
    let held = reading("held").within(Duration::from_secs(1));
    let sent = sensor.send(held).await.unwrap();
    let id = sent.id().to_owned();
    let mut events = sensor.events();
    let received = soon(incoming.recv()).await.unwrap();
    let outcome = soon(sent.outcome()).await.unwrap();
    assert_eq!(
        outcome,
        Outcome::InDoubt(InDoubt::NoVerdict { last_error: None })
    );
    assert_eq!(observed(&mut events, &id).await, outcome);
    // A definite outcome follows the doubt.
    received.commit().await.unwrap();
    assert!(matches!(
        observed(&mut events, &id).await,
        Outcome::Delivered { .. }
    ));
    soon(sensor.shutdown()).await.unwrap();
    soon(cloud.shutdown()).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_kept_message_survives_restarts_and_arrives_under_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("sensor.sqlite");
    // Nothing listens there.
    let nowhere = sensor().server("127.0.0.1", 1).store_file(&store);
    let (before, _incoming) = nowhere.start().await.unwrap();
    let shut = before.send(reading("one")).await.unwrap();
    let one = shut.id().to_owned();
    soon(before.shutdown()).await.unwrap();
    assert!(matches!(shut.outcome().await, Err(SendError::Closed)));

    // As in a crash: dropped without a farewell.
    let nowhere = sensor().server("127.0.0.1", 1).store_file(&store);
    let (before, _incoming) = nowhere.start().await.unwrap();
    let two = before.send(reading("two")).await.unwrap().id().to_owned();
    drop(before);

    let server = Server::start().await;
    let (cloud, mut incoming) = server
        .reach(cloud())
        .store_in_memory()
        .start()
        .await
        .unwrap();
    connected(&cloud).await;
    let (after, _incoming) = start_when_free(&server, &store).await;
    let mut events = after.events();
    assert_eq!(take(&mut incoming).await, (one.clone(), "one".to_owned()));
    assert_eq!(take(&mut incoming).await, (two.clone(), "two".to_owned()));
    for id in [one, two] {
        let outcome = observed(&mut events, &id).await;
        assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
    }
    soon(after.shutdown()).await.unwrap();

    // What was acknowledged is not sent again by a later start.
    let (later, _incoming) = start_when_free(&server, &store).await;
    let sent = later.send(reading("three")).await.unwrap();
    assert_eq!(
        take(&mut incoming).await,
        (sent.id().to_owned(), "three".to_owned())
    );
    soon(sent.outcome()).await.unwrap();
    assert_eq!(later.counters().transmitted, 1);
    soon(later.shutdown()).await.unwrap();
    soon(cloud.shutdown()).await.unwrap();
    server.stop().await;
}

/// A client that was dropped gives its store free as soon as its task has ended.
async fn start_when_free(server: &Server, store: &std::path::Path) -> (Client, Incoming) {
    use stanchion::reliability::store::StoreError;
    soon(async {
        loop {
            match server.reach(sensor()).store_file(store).start().await {
                Err(StartError::Store(StoreError::InUse { .. })) => tokio::task::yield_now().await,
                started => return started.unwrap(),
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_message_that_waits_for_a_connection_has_its_outcome_in_time() {
    let (client, _incoming) = sensor()
        .server("127.0.0.1", 1)
        .store_in_memory()
        .start()
        .await
        .unwrap();
    let mut events = client.events();
    let within = reading("x").within(Duration::from_millis(50));
    let sent = client.send(within).await.unwrap();
    let id = sent.id().to_owned();
    let expired = Outcome::NotDelivered(NotDelivered::Expired);
    assert_eq!(soon(sent.outcome()).await.unwrap(), expired);
    assert_eq!(observed(&mut events, &id).await, expired);
    assert!(!client.is_connected() && client.endpoint().is_none());
    soon(client.shutdown()).await.unwrap();
}

#[tokio::test]
async fn direct_tls_works_as_starttls_does() {
    let server = Server::start().await;
    let (client, _incoming) = cloud()
        .server("127.0.0.1", server.direct_tls.port())
        .direct_tls()
        .pin(server.fingerprint)
        .resource("desk")
        .store_in_memory()
        .start()
        .await
        .unwrap();
    connected(&client).await;
    let endpoint = client.endpoint().unwrap();
    assert_eq!(endpoint.port, server.direct_tls.port());
    let status = client.status().borrow().clone();
    let Status::Connected { jid, .. } = status else {
        panic!("{status:?}")
    };
    assert_eq!(jid.to_string(), "cloud@example.org/desk");
    soon(client.shutdown()).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_tried_again() {
    let server = Server::start().await;
    let wrong = sensor().password("wrong".to_owned().into());
    let (client, _incoming) = server.reach(wrong).store_in_memory().start().await.unwrap();
    let mut status = client.status();
    let refused = soon(status.wait_for(|s| matches!(s, Status::Refused(_)))).await;
    assert!(matches!(&*refused.unwrap(), Status::Refused(_)));
    soon(client.shutdown()).await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn what_is_missing_is_said_before_anything_starts() {
    let account = || Client::builder("sensor@example.org".parse().unwrap());
    let password = || "secret".to_owned().into();
    assert!(matches!(
        account().store_in_memory().start().await,
        Err(StartError::NoPassword(_))
    ));
    assert!(matches!(
        account().password(password()).start().await,
        Err(StartError::NoStore)
    ));
    let resource = account().password(password()).resource("a\u{0}");
    assert!(matches!(
        resource.store_in_memory().start().await,
        Err(StartError::Resource(_))
    ));
    let folder = tempfile::tempdir().unwrap();
    let store = account().password(password()).store_file(folder.path());
    assert!(matches!(store.start().await, Err(StartError::Store(_))));
}

#[tokio::test]
async fn of_a_registry_of_servers_the_one_that_is_there_is_used() {
    let hub = Server::start().await;
    let registry = Arc::new(MemoryRegistry::new());
    let nobody = "127.0.0.1:1".parse().unwrap();
    for (account, password, place, priority) in [
        ("sensor@away.example", "secret", nobody, 0),
        ("cloud@example.org", "other secret", hub.starttls, 1),
    ] {
        let account = Account::with_password(account.parse().unwrap(), password);
        let mut entry = stanchion::connect::registry::Server::new(account);
        entry.endpoints = Endpoints::Explicit(vec![Endpoint::at(place, TlsMode::StartTls)]);
        entry.tls.pin = Some(hub.fingerprint);
        entry.priority = priority;
        registry.put(entry).await.unwrap();
    }
    let (client, _incoming) = Client::builder("sensor@away.example".parse().unwrap())
        .servers(registry)
        .store_in_memory()
        .start()
        .await
        .unwrap();
    let mut status = client.status();
    let connected = soon(status.wait_for(|s| matches!(s, Status::Connected { .. }))).await;
    let Status::Connected { jid, .. } = connected.unwrap().clone() else {
        unreachable!("it waited for that");
    };
    assert_eq!(jid.to_bare().as_str(), "cloud@example.org");
    client.shutdown().await.unwrap();
    hub.stop().await;
}

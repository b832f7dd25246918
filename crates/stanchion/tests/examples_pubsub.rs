//! The example `pubsub`, over the embedded hub.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "an example's own main")]
#[path = "../examples/pubsub.rs"]
mod pubsub;

use std::path::Path;

use stanchion::{Client, ClientBuilder};
use stanchion_hub::{Accounts, Hub, HubConfig};
use tokio::sync::oneshot;

#[tokio::test]
async fn what_the_example_publishes_it_takes_once() {
    let accounts = [("sensor", "secret"), ("cloud", "other secret")];
    let hub = Hub::bind(HubConfig {
        domain: "example.org".to_owned(),
        starttls: Some("127.0.0.1:0".parse().unwrap()),
        direct_tls: None,
        accounts: Accounts::open_demo(accounts).unwrap(),
        ..HubConfig::default()
    })
    .await
    .unwrap();
    let port = hub.addresses().starttls.unwrap().port();
    let pin = hub.fingerprint();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(hub.run(async { drop(stopped.await) }));

    let folder = tempfile::tempdir().unwrap();
    let client = |name: &str, password: &str| -> ClientBuilder {
        let store: &Path = folder.path();
        Client::builder(format!("{name}@example.org").parse().unwrap())
            .password(password.to_owned().into())
            .server("127.0.0.1", port)
            .pin(pin)
            .store_file(store.join(name))
    };
    let service = || "pubsub.example.org".parse().unwrap();
    let node = || "readings".parse().unwrap();
    let first = pubsub::publish(client("sensor", "secret"), service(), node(), &["20", "21"]);
    let first = first.await.unwrap();
    let taken = pubsub::take(client("cloud", "other secret"), service(), node(), 2);
    assert_eq!(taken.await.unwrap(), ["20", "21"]);
    let second = pubsub::publish(client("sensor", "secret"), service(), node(), &["21"]);
    let second = second.await.unwrap();
    // The stream goes on where the store says.
    let place = |id: &str| stanchion::services::pubsub::Place::of(id).unwrap();
    assert_eq!(place(&first[0]).stream, place(&second[0]).stream);
    assert_eq!(place(&second[0]).number, 3);
    let taken = pubsub::take(client("cloud", "other secret"), service(), node(), 1);
    assert_eq!(taken.await.unwrap(), ["21"], "and nothing twice");

    drop(stop);
    running.await.unwrap().unwrap();
}

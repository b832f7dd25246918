//! When a new password leaves, and when it does not. Real servers are the services' interop
//! tests; the hub changes no passwords.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::time::Duration;

use stanchion::services::RequestError;
use stanchion::services::registration::RegistrationError;
use stanchion::session::Status;
use stanchion::{Client, ClientBuilder};
use stanchion_hub::{Accounts, Hub, HubConfig};
use tokio::sync::oneshot;

fn lamp() -> ClientBuilder {
    Client::builder("lamp@home.example".parse().unwrap())
        .password("secret".to_owned().into())
        .store_in_memory()
}

#[tokio::test]
async fn a_password_does_not_leave_without_a_protected_stream() {
    let (client, _incoming) = lamp().server("127.0.0.1", 1).start().await.unwrap();
    let refused = client.change_password(&"new".to_owned().into()).await;
    assert!(
        matches!(refused, Err(RegistrationError::Unprotected)),
        "{refused:?}"
    );
    client.shutdown().await.unwrap();
}

#[tokio::test]
async fn over_a_protected_stream_the_server_decides() {
    let hub = Hub::bind(HubConfig {
        domain: "home.example".to_owned(),
        starttls: Some("127.0.0.1:0".parse().unwrap()),
        direct_tls: None,
        accounts: Accounts::open_demo([("lamp", "secret")]).unwrap(),
        ..HubConfig::default()
    })
    .await
    .unwrap();
    let builder = lamp()
        .server("127.0.0.1", hub.addresses().starttls.unwrap().port())
        .pin(hub.fingerprint());
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(hub.run(async { drop(stopped.await) }));
    let (client, _incoming) = builder.start().await.unwrap();
    let mut status = client.status();
    let up = status.wait_for(|s| matches!(s, Status::Connected { .. }));
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, up)
        .await
        .expect("in time")
        .unwrap();
    let refused = client
        .change_password(&"new".to_owned().into())
        .await
        .unwrap_err();
    assert!(
        matches!(
            refused,
            RegistrationError::Request(RequestError::Refused { .. })
        ),
        "{refused:?}"
    );
    let empty = client.change_password(&String::new().into()).await;
    assert!(
        matches!(empty, Err(RegistrationError::Fill(_))),
        "{empty:?}"
    );
    client.shutdown().await.unwrap();
    drop(stop);
    running.await.unwrap().unwrap();
}

//! The example of a command, as a process, run by a client of its own account.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::future::Future;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use stanchion::services::commands::CommandError;
use stanchion::session::Status;
use stanchion::stanza::Text;
use stanchion::{Client, Jid};
use stanchion_hub::{Accounts, Hub, HubConfig};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::sync::oneshot;

async fn soon<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, what).await.expect("in time")
}

/// `cargo test -p stanchion` builds the examples beside the tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(|deps| deps.parent()).unwrap();
    let mut path = target.join("examples").join(name);
    path.set_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "build the examples: {}", path.display());
    path
}

#[tokio::test]
async fn the_example_is_run_by_another_device_of_its_account() {
    let hub = Hub::bind(HubConfig {
        domain: "home.example".to_owned(),
        starttls: Some("127.0.0.1:0".parse().unwrap()),
        direct_tls: None,
        accounts: Accounts::open_demo([("lamp", "secret")]).unwrap(),
        ..HubConfig::default()
    })
    .await
    .unwrap();
    let place = hub.addresses().starttls.unwrap();
    let pin = hub.fingerprint();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(hub.run(async { drop(stopped.await) }));

    let mut lamp = Command::new(example("command"))
        .args(["lamp@home.example", &place.to_string(), &pin.to_string()])
        .env("STANCHION_PASSWORD", "secret")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut said = BufReader::new(lamp.stdout.take().unwrap()).lines();
    let line = soon(said.next_line()).await.unwrap();
    assert_eq!(line.as_deref(), Some("offered"));

    let (phone, _incoming) = Client::builder("lamp@home.example".parse().unwrap())
        .password("secret".to_owned().into())
        .server("127.0.0.1", place.port())
        .pin(pin)
        .store_in_memory()
        .start()
        .await
        .unwrap();
    let mut status = phone.status();
    let up = status.wait_for(|s| matches!(s, Status::Connected { .. }));
    soon(up).await.unwrap();
    let there: Jid = "lamp@home.example/lamp".parse().unwrap();
    let switch = Text::from_static("switch");
    for (value, line) in [("true", "on"), ("false", "off")] {
        // The lamp may still be on its way to the server.
        let mut run = loop {
            match soon(phone.commands().execute(there.clone(), switch.clone())).await {
                Ok(run) => break run,
                Err(CommandError::Refused { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        let mut filling = run.fill().unwrap();
        filling.set("on", value).unwrap();
        soon(run.complete(Some(filling.submit().unwrap())))
            .await
            .unwrap();
        assert!(run.has_succeeded());
        let said = soon(said.next_line()).await.unwrap();
        assert_eq!(said.as_deref(), Some(line));
    }
    phone.shutdown().await.unwrap();
    drop(lamp.stdin.take());
    assert!(soon(lamp.wait()).await.unwrap().success());
    drop(stop);
    running.await.unwrap().unwrap();
}

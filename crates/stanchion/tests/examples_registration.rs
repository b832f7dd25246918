//! The example of registration, as a process, at a hub that lets anybody make an account.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::path::PathBuf;
use std::time::Duration;

use stanchion_hub::{Hub, HubConfig};
use tokio::process::Command;
use tokio::sync::oneshot;
use tokio::time::timeout;

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
async fn the_example_makes_its_account_once_and_then_logs_in() {
    let hub = Hub::bind(HubConfig {
        domain: "home.example".to_owned(),
        starttls: Some("127.0.0.1:0".parse().unwrap()),
        direct_tls: None,
        registration: true,
        ..HubConfig::default()
    })
    .await
    .unwrap();
    let place = hub.addresses().starttls.unwrap().to_string();
    let pin = hub.fingerprint().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(hub.run(async { drop(stopped.await) }));

    for (password, first, second) in [
        ("secret", "registered", "connected as lamp@home.example/"),
        ("secret", "there already", "connected as lamp@home.example/"),
        ("guessed", "there already", "not connected: "),
    ] {
        let lamp = Command::new(example("registration"))
            .args(["lamp@home.example", &place, &pin])
            .env("STANCHION_PASSWORD", password)
            .kill_on_drop(true)
            .output();
        let lamp = timeout(Duration::from_secs(60), lamp)
            .await
            .unwrap()
            .unwrap();
        let said = String::from_utf8(lamp.stdout).unwrap();
        let lines: Vec<&str> = said.lines().collect();
        assert!(lamp.status.success(), "{said}");
        assert_eq!(lines[0], first);
        assert!(lines[1].starts_with(second), "{said}");
    }
    drop(stop);
    running.await.unwrap().unwrap();
}

//! Version, time and last activity between two devices over the embedded hub.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use stanchion_services::HostBuilder;
use stanchion_services::allowed::Allowed;
use stanchion_services::disco::Disco;
use stanchion_services::last_activity::{LastActivities, last_activity};
use stanchion_services::time::{Times, time};
use stanchion_services::version::{Software, Versions, version};
use stanchion_stanza::Text;
use stanchion_stanza::stanza::DefinedCondition;
use support::{Device, Server, soon};

fn told(who: Allowed) -> HostBuilder {
    let mut services = HostBuilder::new();
    services.add(Disco::default());
    services.add(LastActivities::new(who));
    services.add(Times::in_zone(90));
    let named = Software::named(Text::from_static("Lamp"), Text::from_static("2.1"));
    services.add(Versions::new(named));
    services
}

#[tokio::test]
async fn a_device_says_what_it_is_what_time_it_has_and_when_it_was_used() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let open = told(Allowed::Anybody);
    let lamp = Device::start(&server, "lamp", &folder.path().join("l"), open).await;
    let phone = HostBuilder::new();
    let phone = Device::start(&server, "phone", &folder.path().join("p"), phone).await;
    let (ask, it) = (phone.host.requests(), lamp.jid());

    let software = soon(version(&ask, it.clone())).await.unwrap();
    assert_eq!(software.name.as_deref(), Some("Lamp"));
    assert_eq!(software.version.as_deref(), Some("2.1"));
    assert_eq!(software.os, None, "what it runs on is nobody's business");
    let clock = soon(time(&ask, it.clone())).await.unwrap();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_millis()).unwrap();
    assert!((clock.unix_ms - now).abs() < 30_000, "{clock:?}");
    assert_eq!(clock.offset_minutes, 90);
    let used = soon(last_activity(&ask, it)).await.unwrap();
    assert!(used.seconds.is_some_and(|s| s < 60), "{used:?}");

    lamp.stop().await;
    phone.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn when_a_device_was_used_is_told_to_its_own_account_alone_unless_it_is_said_otherwise() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let shy = told(Allowed::default());
    let lamp = Device::start(&server, "lamp", &folder.path().join("l"), shy).await;
    let phone = HostBuilder::new();
    let phone = Device::start(&server, "phone", &folder.path().join("p"), phone).await;
    let refused = soon(last_activity(&phone.host.requests(), lamp.jid())).await;
    let refused = refused.unwrap_err();
    assert_eq!(
        refused.refusal().map(|error| error.condition),
        Some(DefinedCondition::Forbidden)
    );
    lamp.stop().await;
    phone.stop().await;
    server.stop().await;
}

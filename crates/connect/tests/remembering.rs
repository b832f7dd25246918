//! What a connector remembers between logins, against scripted servers in virtual time:
//! fewer round trips the second time, and a clean login where the server will not have it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![allow(
    dead_code,
    reason = "each of the files with scripted servers uses its own part of them"
)]

mod scripted;

use std::time::Duration;

use scripted::{Script, World, timeouts};
use stanchion_connect::config::Plaintext;
use stanchion_connect::error::ConnectError;
use stanchion_connect::negotiation::ServerMemory;
use stanchion_connect::{Connect, ConnectConfig, Connector, Phase};
use stanchion_sasl::SelectError;
use stanchion_transport::TlsMode;
use tokio::time::Instant;

async fn round_trips(connector: &Connector) -> u32 {
    let connection = connector.connect(None).await.unwrap();
    assert!(connection.established.stream_management.is_some());
    connection.established.round_trips
}

#[tokio::test(start_paused = true)]
async fn a_second_login_waits_less_often_than_the_first() {
    for (mode, first, second) in [(TlsMode::StartTls, 7, 4), (TlsMode::Direct, 5, 3)] {
        let mut world = World::new();
        world.add(5222, mode, Script::default());
        let connector = world.connector();
        assert_eq!(round_trips(&connector).await, first);
        assert_eq!(round_trips(&connector).await, second);
        // What one connector has learnt serves another.
        let text = connector.memory().encode();
        let other = world
            .connector()
            .with_memory(ServerMemory::decode(&text).unwrap());
        assert_eq!(round_trips(&other).await, second);
        assert_eq!(world.visits(5222), 3);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_will_not_be_hurried_gets_a_clean_login_and_in_the_end_only_those() {
    for mode in [TlsMode::StartTls, TlsMode::Direct] {
        let mut world = World::new();
        let script = Script {
            no_haste: true,
            ..Script::default()
        };
        world.add(5222, mode, script);
        let connector = world.connector();
        let mut before = 0;
        // It is tried once more after a login that showed what the server offers.
        for (n, connections) in [1, 2, 2, 1, 1].into_iter().enumerate() {
            round_trips(&connector).await;
            let visits = world.visits(5222);
            assert_eq!(visits - before, connections, "login {n}");
            before = visits;
        }
        assert!(!connector.memory().may_send_ahead());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_over_what_was_sent_ahead_is_asked_step_by_step_the_next_time() {
    let mut world = World::new();
    let script = Script {
        hang_at_haste: true,
        ..Script::default()
    };
    world.add(5223, TlsMode::Direct, script);
    let connector = world.connector();
    round_trips(&connector).await;
    let begin = Instant::now();
    let error = connector.connect(None).await.unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::Deadline {
                phase: Phase::Stream,
                ..
            }
        ),
        "{error}"
    );
    assert!(begin.elapsed() < timeouts().stream + Duration::from_millis(1100));
    round_trips(&connector).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_loses_its_tls_is_refused_where_plaintext_is_allowed() {
    let before = World::with(Script::default());
    let connector = before.connector();
    round_trips(&connector).await;

    let after = World::with(Script {
        no_tls: true,
        ..Script::default()
    });
    let allowed = ConnectConfig {
        plaintext: Plaintext::Allow,
        ..after.config()
    };
    let other = after
        .connector_with("r0m30", allowed)
        .with_memory(connector.memory());
    // What was sent ahead is no use there; then it is seen that TLS is gone.
    let error = other.connect(None).await.unwrap_err();
    assert!(matches!(error, ConnectError::TlsVanished), "{error}");
    // As long as that is not forgotten on purpose.
    let forgetful = other.with_memory(ServerMemory::default());
    round_trips(&forgetful).await;
}

#[tokio::test(start_paused = true)]
async fn a_server_that_offers_less_than_before_is_refused() {
    let world = World::with(Script::default());
    let connector = world.connector();
    let mut memory = ServerMemory::default();
    memory.strongest = "SCRAM-SHA-512-PLUS tls-unique".parse().unwrap();
    round_trips(&connector.with_memory(memory)).await;

    let mut memory = ServerMemory::default();
    memory.strongest = "EXTERNAL tls-exporter".parse().unwrap();
    let connector = world.connector().with_memory(memory);
    let error = connector.connect(None).await.unwrap_err();
    assert!(
        matches!(
            error,
            ConnectError::NoMechanism(SelectError::Downgrade(_), _)
        ),
        "{error}"
    );
}

//! A device's readings on their way to the cloud over the embedded hub, through crashes of
//! both ends: each is kept there once, in a table and in a file of lines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]
#![cfg(feature = "device")]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use stanchion::builder::StartError;
use stanchion::device::format::from_message;
use stanchion::device::model::{Sample, Value};
use stanchion::device::outflow::{Outflow, OutflowConfig, ToRecipient};
use stanchion::device::sink::{Lines, Table};
use stanchion::reliability::store::{StoreError, WallTime};
use stanchion::services::Incoming;
use stanchion::session::Lane;
use stanchion::stanza::Text;
use stanchion::stanza::payload::sensordata::Profile;
use stanchion::{Client, ClientBuilder};
use stanchion_hub::{Accounts, Hub, HubConfig};

const READINGS: i64 = 600;

async fn hub() -> (
    impl Fn(&str, &Path) -> ClientBuilder,
    tokio::task::JoinHandle<()>,
) {
    let hub = Hub::bind(HubConfig {
        domain: "example.org".to_owned(),
        starttls: Some("127.0.0.1:0".parse().unwrap()),
        accounts: Accounts::open_demo([("meter", "secret"), ("cloud", "secret")]).unwrap(),
        ..HubConfig::default()
    });
    let hub = hub.await.unwrap();
    let (port, print) = (hub.addresses().starttls.unwrap().port(), hub.fingerprint());
    let running = tokio::spawn(async move { drop(hub.run(std::future::pending()).await) });
    let client = move |name: &str, folder: &Path| {
        Client::builder(format!("{name}@example.org").parse().unwrap())
            .password("secret".to_owned().into())
            .server("127.0.0.1", port)
            .pin(print)
            .store_file(folder.join(format!("{name}.sqlite")))
    };
    (client, running)
}

/// Starts a client, once its predecessor has let go of the store.
async fn start(describe: impl Fn() -> ClientBuilder) -> (Client, Incoming) {
    loop {
        match describe().start().await {
            Err(StartError::Store(StoreError::InUse { .. })) => tokio::task::yield_now().await,
            started => return started.unwrap(),
        }
    }
}

fn sample(n: i64) -> Sample {
    let (thing, field) = (Text::from_static("meter"), Text::from_static("energy"));
    Sample::one(thing, WallTime::from_unix_ms(n), field, Value::Long(n))
}

/// Takes messages until the table has that many readings, and crashes.
async fn take(client: Client, mut incoming: Incoming, file: &Path, until: i64) {
    let table = Table::open(&client.store()).await.unwrap();
    let mut lines = Lines::open(file, &client.store()).await.unwrap();
    // Each sink of its own takes whole messages: every other one goes to the lines.
    let mut to_lines = false;
    while let Some(received) = incoming.recv().await {
        let samples = from_message(received.message()).unwrap();
        match to_lines {
            true => lines.keep(&received, &samples).await.unwrap(),
            false => table.keep(&received, samples).await.unwrap(),
        };
        to_lines = !to_lines;
        if count(&client, file).await >= until {
            return;
        }
    }
}

async fn count(client: &Client, file: &Path) -> i64 {
    let count = |tx: &stanchion::reliability::store::rusqlite::Transaction<'_>| {
        tx.query_row("SELECT count(*) FROM app_readings", [], |row| row.get(0))
    };
    let rows: i64 = client.store().transact(count).await.unwrap();
    let lines = std::fs::read_to_string(file).unwrap().lines().count();
    rows + i64::try_from(lines).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_reading_is_kept_once_through_crashes_of_both_ends() {
    let (client, hub) = hub().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("readings.ndjson");
    let cloud: stanchion::Jid = "cloud@example.org".parse().unwrap();

    let send = async {
        for part in 0..3 {
            let (meter, _incoming) = start(|| client("meter", folder.path())).await;
            let way = ToRecipient::new(meter.sender(), cloud.clone(), Profile::Nf, None);
            let mut config = OutflowConfig::default();
            config.telemetry.batch = 7;
            let outflow = Outflow::start(Arc::new(way), config);
            for n in part * (READINGS / 3)..(part + 1) * (READINGS / 3) {
                outflow.give(Lane::Telemetry, &sample(n)).await;
            }
            assert_eq!(outflow.shutdown(Duration::from_secs(20)).await, 0);
            // The last one has to stay until all have arrived.
            if part == 2 {
                std::future::pending::<()>().await;
            }
        }
    };
    let receive = async {
        for until in [READINGS / 4, READINGS / 2, READINGS] {
            let (cloud, incoming) = start(|| client("cloud", folder.path())).await;
            take(cloud, incoming, &file, until).await;
            // As a crash in the middle of a line would leave it.
            use std::io::Write as _;
            let mut half = std::fs::OpenOptions::new()
                .append(true)
                .open(&file)
                .unwrap();
            half.write_all(b"{\"thing\":\"met").unwrap();
        }
    };
    let both = async {
        tokio::select! {
            () = send => {}
            () = receive => {}
        }
    };
    tokio::time::timeout(Duration::from_secs(60), both)
        .await
        .expect("in time");

    let (cloud, _incoming) = start(|| client("cloud", folder.path())).await;
    let lines = Lines::open(&file, &cloud.store()).await.unwrap();
    drop(lines);
    let rows = |tx: &stanchion::reliability::store::rusqlite::Transaction<'_>| {
        let mut all = tx.prepare("SELECT at FROM app_readings ORDER BY rowid")?;
        let all = all.query_map([], |row| row.get::<_, i64>(0))?;
        all.collect::<Result<Vec<_>, _>>()
    };
    let mut all = cloud.store().transact(rows).await.unwrap();
    assert!(all.is_sorted(), "in the order in which they were measured");
    let text = std::fs::read_to_string(&file).unwrap();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        all.push(line["readings"]["energy"]["value"].as_i64().unwrap());
        assert_eq!(line["device"], "meter@example.org");
    }
    all.sort_unstable();
    assert_eq!(all, (0..READINGS).collect::<Vec<_>>());
    hub.abort();
}

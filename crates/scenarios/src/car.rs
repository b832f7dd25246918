//! A car: position and engine five times a second, tunnels without any network, and another
//! address after each. The newest position goes first; what was missed follows.

use std::collections::BTreeSet;
use std::time::Duration;

use stanchion::device::model::{Reading, Sample, Value, number};
use stanchion::device::outflow::{OutflowConfig, QueueConfig};
use stanchion::reliability::store::WallTime;
use stanchion::session::Lane;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::Setting;
use crate::collector::{Collector, SILENCE, Values, now};
use crate::failure::{Doing as _, Failure};
use crate::fleet::{Device, account_unordered, count, text};
use crate::relay::Relay;
use crate::report::Report;
use crate::server::Server;
use crate::timing::Times;

/// Reports a second.
const RATE: u64 = 5;
/// Tunnels, and how long each is: 30 s of the road are 6 s here.
const TUNNELS: u32 = 3;
const TUNNEL: Duration = Duration::from_secs(6);
/// Open road before each, and after the last.
const ROAD: Duration = Duration::from_secs(6);

pub(crate) async fn run(setting: &Setting) -> Result<Report, Failure> {
    let folder = tempfile::tempdir().doing("make a folder")?;
    let users = ["car", "fleet"].map(str::to_owned);
    let server = Server::start(setting, folder.path(), users).await?;
    let mut fleet = Collector::start(&server, "fleet", folder.path()).await?;
    let relay = Relay::start(server.port()).await?;
    let client = server.client_at(relay.port(), "car", folder.path())?;
    let client = client.session_config(|config| {
        // One car alone may ask again at once: a tunnel ends without a word.
        config.backoff.base = Duration::from_millis(200);
        config.backoff.cap = Duration::from_secs(1);
    });
    let mut flow = OutflowConfig::default();
    // Each report by itself: the newest must not wait for others.
    flow.telemetry = QueueConfig::default().one_by_one();
    let car = Device::start_newest_first("car".to_owned(), client, "fleet", flow).await?;
    car.connected().await;
    let time = (ROAD + TUNNEL) * TUNNELS + ROAD;
    let driving = tokio::spawn(drive(car, time));
    let mut opened = Vec::new();
    for _ in 0..TUNNELS {
        sleep(ROAD).await;
        relay.close();
        sleep(TUNNEL).await;
        // Before it is: nothing that comes after it may count as earlier.
        opened.push(now());
        relay.open();
    }
    let (client, reported, left) = driving.await.doing("the car")?.finish().await;
    let wanted = count(&reported);
    let kept = fleet.until(wanted, SILENCE).await;

    let mut report = Report::new("car", setting.kind);
    report.figure("reports a second", RATE);
    report.figure("tunnels", TUNNELS);
    report.figure("seconds in each", TUNNEL.as_secs_f64());
    let connections = relay.connections();
    report.figure("connections", connections.len());
    report.figure("readings reported", wanted);
    report.figure("readings kept", kept);
    report.none("readings that could not be handed over", left);
    account_unordered(&mut report, &reported, &fleet.values().await?);
    resumed(&mut report, &fleet, &opened, &connections, &reported);
    drop(client);
    fleet.stop().await?;
    server.stop().await?;
    Ok(report)
}

/// How soon there was a position after each tunnel, and whether one came first that was older
/// than what waited. That waited which was measured when the connection began, by a report or
/// more: it was in the outbox, and there was time to log in.
fn resumed(
    report: &mut Report,
    fleet: &Collector,
    opened: &[Duration],
    connections: &[Duration],
    reported: &Values,
) {
    let arrivals = fleet.kept().arrivals;
    let measured: BTreeSet<Duration> = reported.values().flatten().map(|(at, _)| ms(*at)).collect();
    let (mut after, mut older) = (Times::default(), Times::default());
    let mut stale = 0;
    for open in opened {
        let first = arrivals.iter().find(|(_, arrived)| arrived > open);
        let begun = connections.iter().find(|begun| *begun > open);
        let (Some((first, arrived)), Some(begun)) = (first, begun) else {
            stale += 1;
            continue;
        };
        after.note(arrived.saturating_sub(*open));
        let waited = begun.saturating_sub(Duration::from_millis(1000 / RATE));
        if let Some(newest) = measured.range(..=waited).next_back() {
            older.note(newest.saturating_sub(*first));
            stale += usize::from(first < newest);
        }
    }
    let two = Duration::from_secs(2);
    let soon = after.count() == opened.len() && after.permille(1000).is_some_and(|t| t <= two);
    report.promise(
        "a position within 2 s of each tunnel's end",
        soon,
        after.summary(),
    );
    report.figure("older than the newest that waited", older.summary());
    report.none("tunnels after which an older position came first", stale);
}

fn ms(at: i64) -> Duration {
    Duration::from_millis(u64::try_from(at).unwrap_or(0))
}

async fn drive(mut car: Device, time: Duration) -> Device {
    let mut ticks = interval(Duration::from_millis(1000 / RATE));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let count = time.as_secs() * RATE;
    for n in 0..count {
        ticks.tick().await;
        let along = n as f64 / 10_000.0;
        let measures = [
            ("latitude", 59.3 + along, "deg"),
            ("longitude", 18.1 + along, "deg"),
            ("speed", 22.0 + (n as f64 / 20.0).sin(), "m/s"),
        ];
        let readings = measures.iter().filter_map(|(name, value, unit)| {
            let value = number(*value, 6, text(unit)).ok()?;
            Some(Reading::automatic(text(name), value))
        });
        let mut readings: Vec<Reading> = readings.collect();
        let rpm = i32::try_from(2000 + n % 300).unwrap_or(0);
        readings.push(Reading::automatic(text("engine speed"), Value::Int(rpm)));
        let at = WallTime::from_unix_ms(i64::try_from(now().as_millis()).unwrap_or(0));
        let sample = Sample {
            thing: text("car"),
            at,
            readings,
        };
        car.report(Lane::Telemetry, &sample).await;
    }
    car
}

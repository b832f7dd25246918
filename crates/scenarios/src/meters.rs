//! A thousand smart meters behind ten concentrators, and a long time without a server:
//! every reading arrives afterwards, in order. Ten seconds of a meter are one here, and ten
//! minutes of outage a quarter of the time.

use std::time::Duration;

use stanchion::device::model::{Sample, number};
use stanchion::device::outflow::OutflowConfig;
use stanchion::reliability::store::WallTime;
use stanchion::session::Lane;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::Setting;
use crate::collector::{Collector, SILENCE, Values, now};
use crate::failure::{Doing as _, Failure};
use crate::fleet::{Device, account, count, text};
use crate::report::Report;
use crate::server::Server;

const CONCENTRATORS: usize = 10;
const METERS: usize = 100;

pub(crate) async fn run(setting: &Setting) -> Result<Report, Failure> {
    let seconds = setting
        .time
        .unwrap_or(Duration::from_secs(60))
        .as_secs()
        .max(8);
    let folder = tempfile::tempdir().doing("make a folder")?;
    let name = |n: usize| format!("concentrator{n}");
    let users = (0..CONCENTRATORS).map(name).chain(["utility".to_owned()]);
    let mut server = Server::start(setting, folder.path(), users).await?;
    let mut utility = Collector::start(&server, "utility", folder.path()).await?;
    let mut working = JoinSet::new();
    for n in 0..CONCENTRATORS {
        let client = server.client(&name(n), folder.path())?;
        let device = Device::start(name(n), client, "utility", OutflowConfig::default()).await?;
        working.spawn(work(device, n, seconds));
    }
    let quarter = Duration::from_secs(seconds) / 4;
    sleep(quarter).await;
    server.kill().await?;
    sleep(quarter).await;
    server.restart().await?;
    let up = Instant::now();
    let before = utility.kept().readings;

    let mut reported = Values::new();
    let mut clients = Vec::new();
    let mut left = 0;
    while let Some(done) = working.join_next().await {
        let (client, values, over) = done.doing("a concentrator")?.finish().await;
        clients.push(client);
        reported.extend(values);
        left += over;
    }
    let wanted = count(&reported);
    let kept = utility.until(wanted, SILENCE).await;
    let took = up.elapsed();

    let mut report = Report::new("meters", setting.kind);
    report.figure("meters", CONCENTRATORS * METERS);
    report.figure("seconds", seconds);
    report.figure("seconds without server", quarter.as_secs_f64());
    report.figure("readings reported", wanted);
    report.figure("readings kept", kept);
    report.figure(
        "readings that waited for the server",
        kept.saturating_sub(before),
    );
    report.figure(
        "all kept after the server was back",
        format!("{:.1} s", took.as_secs_f64()),
    );
    report.none("readings that could not be handed over", left);
    account(&mut report, &reported, &utility.values().await?);
    drop(clients);
    utility.stop().await?;
    server.stop().await?;
    Ok(report)
}

/// A concentrator for so many seconds.
async fn work(mut device: Device, n: usize, seconds: u64) -> Device {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    for second in 0..seconds {
        ticks.tick().await;
        let at = WallTime::from_unix_ms(i64::try_from(now().as_millis()).unwrap_or(0));
        for meter in 0..METERS {
            let energy = (n * METERS + meter) as f64 + second as f64 / 100.0;
            let Ok(energy) = number(energy, 3, text("kWh")) else {
                continue;
            };
            let thing = text(&format!("meter{n}-{meter}"));
            let sample = Sample::one(thing, at, text("energy"), energy);
            device.report(Lane::Telemetry, &sample).await;
        }
    }
    device
}

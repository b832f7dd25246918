//! A ward: twenty patients, five vitals a second each and a waveform of 250 samples a
//! second in batches of a second, alarms in between. The server is killed half way.

use std::time::Duration;

use base64::Engine as _;
use stanchion::device::model::{Reading, Sample, Value, number};
use stanchion::device::outflow::OutflowConfig;
use stanchion::reliability::store::WallTime;
use stanchion::session::Lane;
use stanchion::stanza::Text;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::Setting;
use crate::collector::{ALARM, Collector, SILENCE, Values, now};
use crate::failure::{Doing as _, Failure};
use crate::fleet::{Device, account, count, text};
use crate::report::Report;
use crate::server::Server;
use crate::timing::Times;

const PATIENTS: usize = 20;
const VITALS: [(&str, &str, f64); 5] = [
    ("heart rate", "/min", 72.0),
    ("oxygen saturation", "%", 97.0),
    ("respiration", "/min", 15.0),
    ("temperature", "Cel", 36.8),
    ("mean pressure", "mm[Hg]", 92.0),
];
/// Samples of the waveform in a second.
const WAVEFORM: u32 = 250;
/// A patient raises an alarm each so many seconds.
const ALARM_EVERY: u32 = 2;
/// The server is away for so long before it is started again.
const AWAY: Duration = Duration::from_secs(1);

pub(crate) async fn run(setting: &Setting) -> Result<Report, Failure> {
    let seconds = setting
        .time
        .unwrap_or(Duration::from_secs(60))
        .as_secs()
        .max(10);
    let folder = tempfile::tempdir().doing("make a folder")?;
    let patient = |n: usize| format!("patient{n}");
    let users = (0..PATIENTS).map(patient).chain(["ward".to_owned()]);
    let mut server = Server::start(setting, folder.path(), users).await?;
    let mut ward = Collector::start(&server, "ward", folder.path()).await?;
    let mut devices = Vec::new();
    for n in 0..PATIENTS {
        let client = server.client(&patient(n), folder.path())?;
        let config = OutflowConfig::default();
        devices.push(Device::start(patient(n), client, "ward", config).await?);
    }
    for device in &devices {
        device.connected().await;
    }

    let mut working = JoinSet::new();
    for (n, device) in devices.into_iter().enumerate() {
        working.spawn(work(device, n, seconds));
    }
    sleep(Duration::from_secs(seconds / 2)).await;
    let killed = now();
    server.kill().await?;
    sleep(AWAY).await;
    server.restart().await?;
    let mut reported = Values::new();
    let mut clients = Vec::new();
    let mut left = 0;
    while let Some(done) = working.join_next().await {
        let (client, values, over) = done.doing("a patient")?.finish().await;
        clients.push(client);
        reported.extend(values);
        left += over;
    }
    let wanted = count(&reported);
    let kept = ward.until(wanted, SILENCE).await;
    let mut report = Report::new("medical", setting.kind);
    report.figure("patients", PATIENTS);
    report.figure("seconds", seconds);
    report.figure("readings reported", wanted);
    report.figure("readings kept", kept);
    report.figure("server away", format!("{} s", AWAY.as_secs_f64()));
    report.none("readings that could not be handed over", left);
    account(&mut report, &reported, &ward.values().await?);
    alarms(&mut report, &ward, killed);
    drop(clients);
    ward.stop().await?;
    server.stop().await?;
    Ok(report)
}

/// Alarms raised from the kill on until everybody must be back count apart.
fn alarms(report: &mut Report, ward: &Collector, killed: Duration) {
    /// Being away, and being found again by twenty devices.
    const OUTAGE: Duration = Duration::from_secs(6);
    let (mut there, mut away) = (Times::default(), Times::default());
    for (raised, took) in ward.kept().alarms {
        // What was on its way when the server died waits for it, too.
        let began = killed.saturating_sub(Duration::from_millis(100));
        match raised >= began && raised < killed + OUTAGE {
            true => away.note(took),
            false => there.note(took),
        }
    }
    let second = Duration::from_secs(1);
    let held = there.permille(990).is_some_and(|p99| p99 < second);
    report.figure("alarms raised within 6 s of the kill", away.summary());
    report.promise(
        "alarms within 1 s (p99) while there is a server",
        held,
        there.summary(),
    );
    let late = away.permille(1000).unwrap_or_default();
    let within = Duration::from_secs(10);
    report.promise(
        "alarms raised in the outage within 10 s",
        late < within,
        away.summary(),
    );
}

/// A patient for so many seconds.
async fn work(mut device: Device, n: usize, seconds: u64) -> Device {
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let thing = text(&device.user);
    for second in 0..u32::try_from(seconds).unwrap_or(u32::MAX) {
        ticks.tick().await;
        let wave = f64::from(second) + n as f64;
        let at = || WallTime::from_unix_ms(i64::try_from(now().as_millis()).unwrap_or(0));
        let vitals = VITALS.iter().filter_map(|(name, unit, mean)| {
            let value = number(mean + wave.sin(), 1, text(unit)).ok()?;
            Some(Reading::automatic(text(name), value))
        });
        let mut readings: Vec<Reading> = vitals.collect();
        readings.push(Reading::automatic(text("pleth"), waveform(second)));
        let sample = Sample {
            thing: thing.clone(),
            at: at(),
            readings,
        };
        device.report(Lane::Telemetry, &sample).await;
        // Not all in the same second, nor in the same moment of it.
        let turn = u32::try_from(n).unwrap_or(0) % ALARM_EVERY;
        if second % ALARM_EVERY == turn {
            sleep(Duration::from_millis(40 * (n as u64))).await;
            let alarm = Sample::one(
                thing.clone(),
                at(),
                text(ALARM),
                Value::Long(i64::from(second)),
            );
            device.report(Lane::Alarm, &alarm).await;
        }
    }
    device
}

/// A second of it: 16 bits a sample, in base64.
fn waveform(second: u32) -> Value {
    let bytes: Vec<u8> = (0..WAVEFORM)
        .flat_map(|n| {
            let phase = f64::from(second * WAVEFORM + n) / 40.0;
            let level = phase.sin() * 1000.0;
            #[allow(clippy::cast_possible_truncation, reason = "within a thousand")]
            (level as i16).to_be_bytes()
        })
        .collect();
    let text: Result<Text, _> = base64::engine::general_purpose::STANDARD
        .encode(bytes)
        .parse();
    Value::String(text.unwrap_or_default())
}

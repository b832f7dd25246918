//! A portal: a reader with two hundred reads a second of five hundred tags, which restarts
//! half way. Every tag is seen, and each arrives once in five seconds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use stanchion::device::Report as Told;
use stanchion::device::adapter::{Supervisor, SupervisorConfig, from_adapters};
use stanchion::device::adapters::llrp;
use stanchion::device::model::{Sample, Value};
use stanchion::device::outflow::OutflowConfig;
use stanchion::session::Lane;
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::Setting;
use crate::collector::Collector;
use crate::failure::{Doing as _, Failure};
use crate::fleet::Device;
use crate::report::Report;
use crate::server::Server;

const TAGS: usize = 500;
const READS: usize = 200;
/// A tag arrives once in this time.
const EVERY: Duration = Duration::from_secs(5);
/// An arrival is decided on, and then its time is taken: on a busy machine not at once.
const MOMENT: Duration = Duration::from_millis(100);

/// A reader of other people's: port, tags, reads a second, and what they follow from.
const READER: &str = "
import asyncio, sys
from llrpkit.emulator import EmulatedTag, LLRPEmulator

port, count, rate = int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])
tags = [EmulatedTag(epc=bytes([0x30]) * 10 + i.to_bytes(2, 'big')) for i in range(count)]

async def main():
    async with LLRPEmulator(port=port, tags=tags, reads_per_sec=rate, seed=int(sys.argv[4])):
        await asyncio.Event().wait()

asyncio.run(main())
";

pub(crate) async fn run(setting: &Setting) -> Result<Report, Failure> {
    let time = setting.time.unwrap_or(Duration::from_secs(40));
    let folder = tempfile::tempdir().doing("make a folder")?;
    let users = ["portal", "warehouse"].map(str::to_owned);
    let server = Server::start(setting, folder.path(), users).await?;
    let warehouse = Collector::start(&server, "warehouse", folder.path()).await?;
    let client = server.client("portal", folder.path())?;
    let config = OutflowConfig::default();
    let mut portal = Device::start("portal".to_owned(), client, "warehouse", config).await?;

    let peers = setting.peers.as_deref();
    let python = peers.ok_or_else(|| Failure::of("run it by `cargo xtask scenario rfid`"))?;
    let listener = TcpListener::bind(("127.0.0.1", 0))
        .await
        .doing("find a port")?;
    let port = listener.local_addr().doing("find a port")?.port();
    drop(listener);
    let mut reader = Some(start(python, port, 1).await?);
    let config: Result<llrp::Config, _> = serde_json::from_value(serde_json::json!({
        "address": format!("127.0.0.1:{port}"),
        "thing": "gate",
        // Arrivals are told apart by our clock, and so are they judged.
        "reader_clock": false,
    }));
    let config = config.doing("describe the reader")?;
    let adapter = llrp::Adapter::new(config).doing("describe the reader")?;
    let (events, mut heard) = from_adapters(64);
    let kept = SupervisorConfig::default();
    let supervisor = Supervisor::start("gate", Box::new(adapter), events, kept);

    let began = Instant::now();
    let (mut reads, mut seen, mut stale) = (0, BTreeSet::new(), 0);
    let mut arrivals: Vec<(String, i64)> = Vec::new();
    let mut restarted = false;
    while began.elapsed() < time {
        if !restarted && began.elapsed() > time / 2 {
            if let Some(mut old) = reader.take() {
                old.kill().await.doing("kill the reader")?;
            }
            // Another one: the same would read the same tags again.
            reader = Some(start(python, port, 2).await?);
            restarted = true;
        }
        let Ok(Some(event)) = timeout(Duration::from_secs(1), heard.recv()).await else {
            continue;
        };
        match event.report {
            Told::Stale(_) => stale += 1,
            Told::Sample(sample) => {
                let Some(epc) = epc(&sample) else { continue };
                match &*sample.thing {
                    "gate/reads" => {
                        reads += 1;
                        seen.insert(epc);
                    }
                    _ => {
                        arrivals.push((epc, sample.at.as_unix_ms()));
                        portal.report(Lane::Control, &sample).await;
                    }
                }
            }
            _ => {}
        }
    }
    supervisor.shutdown().await;
    let (client, _, left) = portal.finish().await;
    let until = Instant::now() + Duration::from_secs(30);
    let mut kept = warehouse.texts("gate/arrivals", "epc").await?;
    while kept.len() < arrivals.len() && Instant::now() < until {
        sleep(Duration::from_millis(100)).await;
        kept = warehouse.texts("gate/arrivals", "epc").await?;
    }

    let mut report = Report::new("rfid", setting.kind);
    report.figure("tags", TAGS);
    report.figure("seconds", time.as_secs_f64());
    report.figure("reads", reads);
    report.figure(
        "reads a second",
        format!("{:.0}", f64::from(reads) / time.as_secs_f64()),
    );
    report.figure("arrivals", arrivals.len());
    report.promise("the restart was noticed", restarted && stale > 0, stale);
    report.promise("tags seen", seen.len() == TAGS, seen.len());
    let arrived: BTreeSet<_> = arrivals.iter().map(|(epc, _)| epc).collect();
    report.promise("tags that arrived", arrived.len() == TAGS, arrived.len());
    report.none(
        "arrivals within 5 s of another of the same tag",
        too_soon(&arrivals),
    );
    report.none("arrivals that could not be handed over", left);
    let same = kept == arrivals;
    report.promise("arrivals kept, each once and in order", same, kept.len());
    drop((client, reader));
    warehouse.stop().await?;
    server.stop().await?;
    Ok(report)
}

fn too_soon(arrivals: &[(String, i64)]) -> usize {
    let mut last: BTreeMap<&str, i64> = BTreeMap::new();
    let every = i64::try_from((EVERY - MOMENT).as_millis()).unwrap_or(i64::MAX);
    let soon = arrivals.iter().filter(|(epc, at)| {
        let before = last.insert(epc, *at);
        before.is_some_and(|before| at - before < every)
    });
    soon.count()
}

fn epc(sample: &Sample) -> Option<String> {
    let reading = sample.readings.iter().find(|r| &*r.field == "epc")?;
    match &reading.value {
        Value::String(epc) => Some(epc.to_string()),
        _ => None,
    }
}

/// Resolves once it listens.
async fn start(python: &Path, port: u16, seed: u32) -> Result<Child, Failure> {
    let mut command = Command::new(python);
    command.args(["-c", READER]);
    command.args([port.to_string(), TAGS.to_string(), READS.to_string()]);
    command.arg(seed.to_string());
    command.stdin(Stdio::null()).kill_on_drop(true);
    let reader = command.spawn().doing("start the reader")?;
    let listens = async {
        while TcpStream::connect(("127.0.0.1", port)).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    let listens = timeout(Duration::from_secs(30), listens).await;
    listens.doing("wait for the reader")?;
    Ok(reader)
}

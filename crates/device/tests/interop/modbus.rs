//! Modbus with pymodbus' simulated device: over TCP, and on a serial line with noise and
//! another unit on it.

use std::path::Path;
use std::time::{Duration, Instant};

use stanchion_device::adapters::modbus::{Adapter, Config};
use stanchion_device::model::{SettingValue, Value};
use stanchion_device::{OrderError, Report};
use stanchion_stanza::Text;

use crate::kept::Kept;
use crate::peer::{Peer, free_port, listening, python};

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/interop/peers/modbus.py");

const POINTS: &str = r"
    [[points]]
    name = 'flow'
    kind = 'input'
    address = 0
    type = 'i16'
    scale = 0.1
    unit = 'Cel'
    [[points]]
    name = 'power'
    kind = 'input'
    address = 1
    type = 'f32'
    decimals = 2
    unit = 'kW'
    [[points]]
    name = 'balance'
    kind = 'input'
    address = 3
    type = 'i32'
    [[points]]
    name = 'energy'
    kind = 'input'
    address = 5
    type = 'u32'
    [[points]]
    name = 'serial'
    kind = 'input'
    address = 7
    type = 'u64'
    [[points]]
    name = 'model'
    kind = 'input'
    address = 11
    type = 'string'
    length = 3
    [[points]]
    name = 'absent'
    kind = 'input'
    address = 16
    [[points]]
    name = 'later'
    kind = 'input'
    address = 40
    [[points]]
    name = 'third'
    kind = 'discrete'
    address = 3
    [[points]]
    name = 'pump'
    kind = 'coil'
    address = 4
    writable = true
    [[points]]
    name = 'level'
    kind = 'holding'
    address = 10
    writable = true
    max = 100
    [[points]]
    name = 'target'
    kind = 'holding'
    address = 12
    type = 'f32'
    order = 'cdab'
    decimals = 1
    unit = 'Cel'
    writable = true
    [[points]]
    name = 'busy'
    kind = 'holding'
    address = 50
    writable = true
    [[points]]
    name = 'silent'
    kind = 'holding'
    address = 60
    writable = true
    [[points]]
    name = 'refused'
    kind = 'holding'
    address = 70
    writable = true
";

fn adapter(head: &str, points: &str) -> Adapter {
    let config: Config = toml::from_str(&format!("{head}\n{points}")).unwrap();
    Adapter::new(config).unwrap()
}

fn numeric(digits: &str, unit: &'static str) -> Value {
    Value::Numeric {
        value: digits.parse().unwrap(),
        unit: Text::from_static(unit),
    }
}

/// What the device was told to set: function, address, values.
fn written(log: &Path) -> Vec<(u8, u16, Vec<u16>)> {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// All that can be read and set, on either way.
async fn reads_and_sets(kept: &mut Kept, log: &Path) {
    kept.has("flow", &numeric("-21.5", "Cel")).await;
    kept.has("later", &Value::Int(1000)).await;
    kept.has("refused", &Value::Int(0)).await;
    let told = &kept.values;
    assert_eq!(told["power"], numeric("12.56", "kW"));
    assert_eq!(told["balance"], Value::Int(-100_000));
    assert_eq!(told["energy"], Value::Long(4_000_000_000));
    assert_eq!(told["serial"], numeric("9223372036854775809", ""));
    assert_eq!(told["model"], Value::String(Text::from_static("Pump 7")));
    assert_eq!(told["third"], Value::Boolean(true));
    assert_eq!(told["pump"], Value::Boolean(false));
    assert!(
        !told.contains_key("absent"),
        "the device has no such register"
    );

    let on = SettingValue::Boolean(true);
    let target = SettingValue::Double("21.5".parse().unwrap());
    let both = [("pump", on), ("target", target)];
    assert_eq!(kept.set("boiler", &both).await, Ok(()));
    assert_eq!(written(log), [(5, 4, vec![1]), (16, 12, vec![0, 0x41AC])]);
    kept.has("pump", &Value::Boolean(true)).await;
    kept.has("target", &numeric("21.5", "Cel")).await;

    let too_much = kept
        .set("boiler", &[("level", SettingValue::Int(101))])
        .await;
    assert!(matches!(too_much, Err(OrderError::Refused(_))));
    assert_eq!(written(log).len(), 2, "what is out of bounds is not sent");
    let refused = kept
        .set("boiler", &[("refused", SettingValue::Int(1))])
        .await;
    assert!(
        matches!(refused, Err(OrderError::Refused(_))),
        "{refused:?}"
    );

    assert_eq!(
        kept.set("boiler", &[("busy", SettingValue::Int(7))]).await,
        Ok(())
    );
    let tries = written(log).iter().filter(|w| w.1 == 50).count();
    assert_eq!(tries, 3, "twice it is busy");

    let silent = kept
        .set("boiler", &[("silent", SettingValue::Int(1))])
        .await;
    assert!(matches!(silent, Err(OrderError::InDoubt(_))), "{silent:?}");
    kept.has("silent", &Value::Int(1)).await;
}

/// It is killed, its things are stale, an order meanwhile says so; and it comes back.
async fn dies_and_returns(kept: &mut Kept, peer: &mut Peer, start: impl Fn() -> Peer) {
    kept.values.clear();
    peer.kill();
    kept.until(|_, report| matches!(report, Report::Stale(things) if !things.is_empty()))
        .await;
    let level = [("level", SettingValue::Int(5))];
    let soon = kept.order("boiler", &level, Duration::from_millis(1));
    let later = kept.order("boiler", &level, Duration::from_secs(60));
    *peer = start();
    kept.until(|_, report| *report == Report::Connected).await;
    assert_eq!(soon.await.unwrap(), Err(OrderError::Expired));
    assert_eq!(later.await.unwrap(), Ok(()));
    kept.has("level", &Value::Int(5)).await;
    kept.has("flow", &numeric("-21.5", "Cel")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_over_tcp_is_read_and_set_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (port, log) = (free_port(), folder.path().join("log"));
    let words = ["tcp".to_owned(), port.to_string()];
    let start = || {
        let (script, log) = (SCRIPT.to_owned(), log.display().to_string());
        let words = [&[script], &words[..], &[log]].concat();
        Peer::start(python(), &words)
    };
    let mut peer = start();
    listening(port).await;
    let head = format!(
        "tcp = '127.0.0.1:{port}'\nthing = 'boiler'\npoll = '100ms'\ntimeout = '500ms'\nslack = 40"
    );
    let mut kept = Kept::start("boiler", adapter(&head, POINTS));
    reads_and_sets(&mut kept, &log).await;
    dies_and_returns(&mut kept, &mut peer, start).await;
    kept.supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_device_on_a_noisy_serial_line_is_read_and_set_and_comes_back() {
    let folder = tempfile::tempdir().unwrap();
    let (link, log) = (folder.path().join("line"), folder.path().join("log"));
    let start = || {
        let words = [Path::new(SCRIPT), Path::new("rtu"), &link, &log];
        Peer::start(python(), &words)
    };
    let mut peer = start();
    let head = format!(
        "serial = {{ device = '{}', baud = 115200, parity = 'none' }}\nthing = 'boiler'\npoll = '100ms'\ntimeout = '500ms'\nverify = true",
        link.display()
    );
    let mut kept = Kept::start("boiler", adapter(&head, POINTS));
    kept.has("flow", &numeric("-21.5", "Cel")).await;
    kept.has("later", &Value::Int(1000)).await;
    let on = SettingValue::Boolean(true);
    assert_eq!(kept.set("boiler", &[("pump", on)]).await, Ok(()));
    assert_eq!(written(&log), [(5, 4, vec![1])]);
    dies_and_returns(&mut kept, &mut peer, start).await;
    kept.supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_registers_are_read_in_two_requests() {
    const ROUNDS: u64 = 100;
    let folder = tempfile::tempdir().unwrap();
    let (port, log) = (free_port(), folder.path().join("log"));
    let words = [
        "tcp".to_owned(),
        port.to_string(),
        log.display().to_string(),
    ];
    let _peer = Peer::start(python(), &[&[SCRIPT.to_owned()], &words[..]].concat());
    listening(port).await;
    let points: String = (0..200)
        .map(|n| {
            format!(
                "[[points]]\nname = 'r{n}'\nkind = 'input'\naddress = {}\nsampling = {{ at_least_every = '0s' }}\n",
                40 + n
            )
        })
        .collect();
    let head = format!("tcp = '127.0.0.1:{port}'\npoll = '10ms'");
    let mut kept = Kept::start("meter", adapter(&head, &points));
    kept.has("r199", &Value::Int(1199)).await;
    let (since, mut read) = (Instant::now(), 0_u64);
    while read < ROUNDS * 200 {
        if let Report::Sample(sample) = kept.next().await {
            read += sample.readings.len() as u64;
        }
    }
    let rate = read as f64 / since.elapsed().as_secs_f64();
    println!("modbus over TCP: {rate:.0} points/s, 200 points every 10 ms at the most");
    kept.supervisor.shutdown().await;
}

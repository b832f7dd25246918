//! RFID: our codec with pyllrp, a second decoder, and the adapter with llrpkit's reader.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use stanchion_device::adapter::{AdapterEvent, Supervisor, SupervisorConfig, from_adapters};
use stanchion_device::adapters::llrp::codec::{
    AiSpec, Cutter, Epc, Inventory, LARGEST, Message, ReportContent, ReportSpec, Request, RoSpec,
    Status, Stop, TagReport, Timestamp, WhatHappened,
};
use stanchion_device::adapters::llrp::{Adapter, Config};
use stanchion_device::model::{Setting, SettingValue, Value};
use stanchion_device::{Order, OrderError, Report, Sample};
use stanchion_stanza::Text;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::peer::{self, Peer};

fn script(name: &str) -> String {
    format!("{}/tests/interop/peers/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    let byte = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(byte).collect()
}

fn decode(bytes: &[u8]) -> (u32, Message) {
    let mut cutter = Cutter::new(LARGEST);
    cutter.push(bytes);
    let frame = cutter.next_frame().unwrap().unwrap();
    (frame.id, Message::decode(&frame).unwrap())
}

fn ours() -> Vec<Message> {
    let tag = TagReport {
        ro_spec: Some(1),
        antenna: Some(2),
        peak_rssi: Some(-60),
        channel: Some(3),
        first_seen_utc: Some(1),
        last_seen_utc: Some(2),
        seen_count: Some(4),
        ..TagReport::new(Epc::of_96_bits([7; 12]))
    };
    let short = TagReport::new(Epc::new(40, b"12345").unwrap());
    let spec = RoSpec {
        id: 1,
        priority: 0,
        state: 0,
        start: 0,
        stop: Stop::NEVER,
        inventories: vec![AiSpec {
            antennas: vec![1, 2],
            stop: Stop::NEVER,
            inventories: vec![Inventory { id: 1, protocol: 1 }],
        }],
        report: Some(ReportSpec {
            trigger: 2,
            tags: 1,
            content: ReportContent {
                antenna: true,
                peak_rssi: true,
                ..ReportContent::default()
            },
        }),
    };
    let failed = Status {
        code: 100,
        description: "no ROSpec 7".to_owned(),
        field: Some((0, 101)),
        parameter: Some((177, 100)),
    };
    let taken = WhatHappened {
        antenna: Some((2, true)),
        connection_attempt: Some(0),
        ..WhatHappened::nothing(Timestamp::Utc(1_700_000_000_000_000))
    };
    vec![
        Message::GetReaderCapabilities(0),
        Message::GetReaderConfig(0),
        Message::SetReaderConfig {
            reset: false,
            events: vec![(2, true), (8, true)],
            keepalive_ms: Some(5000),
            hold: Some(true),
        },
        Message::AddRoSpec(spec),
        Message::EnableRoSpec(1),
        Message::StartRoSpec(1),
        Message::StopRoSpec(1),
        Message::DisableRoSpec(1),
        Message::DeleteRoSpec(0),
        Message::EnableEventsAndReports,
        Message::KeepaliveAck,
        Message::CloseConnection,
        Message::Report(vec![tag, short]),
        Message::Event(taken),
        Message::Answer(Request::AddRoSpec, failed),
    ]
}

#[test]
fn what_we_write_pyllrp_reads_and_writes_again_and_we_read_what_it_writes() {
    let mut child = Command::new(peer::python())
        .arg(script("llrp_decode.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let all = ours();
    let mut stdin = child.stdin.take().unwrap();
    for (id, message) in (1..).zip(&all) {
        writeln!(stdin, "{}", hex(&message.encode(id).unwrap())).unwrap();
    }
    drop(stdin);
    let out = child.wait_with_output().unwrap();
    let out = String::from_utf8(out.stdout).unwrap();
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines.len(), all.len(), "{out}");
    for ((id, message), line) in (1..).zip(&all).zip(lines) {
        let (name, written) = line.split_once(' ').unwrap();
        assert_eq!(name, message.name());
        assert_eq!(decode(&bytes(written)), (id, message.clone()));
    }

    let given = Command::new(peer::python())
        .args([script("llrp_decode.py"), "give".to_owned()])
        .output()
        .unwrap();
    let given = String::from_utf8(given.stdout).unwrap();
    let given: Vec<_> = given.lines().map(|line| decode(&bytes(line))).collect();
    let mut epc = [0; 12];
    (epc[0], epc[11]) = (0x30, 7);
    let tag = TagReport {
        antenna: Some(3),
        peak_rssi: Some(-61),
        last_seen_utc: Some(1_700_000_000_000_000),
        seen_count: Some(2),
        ..TagReport::new(Epc::of_96_bits(epc))
    };
    let no = Status {
        code: 100,
        description: "no".to_owned(),
        ..Status::success()
    };
    let expected = [
        (5, Message::Report(vec![tag])),
        (6, Message::Keepalive),
        (7, Message::Answer(Request::StartRoSpec, no)),
    ];
    assert_eq!(given, expected);
}

fn reader(port: u16, tags: u32, rate: u32) -> Peer {
    let words = [
        script("llrp_reader.py"),
        port.to_string(),
        tags.to_string(),
        rate.to_string(),
    ];
    Peer::start(peer::python(), &words)
}

fn start(port: u16, more: &str) -> (Supervisor, mpsc::Receiver<AdapterEvent>) {
    let config = format!("address = '127.0.0.1:{port}'\nthing = 'gate'\nkeepalive = '1s'\n{more}");
    let config: Config = toml::from_str(&config).unwrap();
    let (events, heard) = from_adapters(256);
    let mut keeping = SupervisorConfig::default();
    keeping.backoff.base = Duration::from_millis(200);
    let adapter = Box::new(Adapter::new(config).unwrap());
    (Supervisor::start("gate", adapter, events, keeping), heard)
}

async fn next(heard: &mut mpsc::Receiver<AdapterEvent>) -> Report {
    let event = timeout(Duration::from_secs(60), heard.recv()).await;
    event.expect("nothing is told").unwrap().report
}

fn epc(sample: &Sample) -> Option<String> {
    let reading = sample.readings.iter().find(|r| r.field == *"epc")?;
    match &reading.value {
        Value::String(epc) => Some(epc.to_string()),
        _ => None,
    }
}

/// The acceptance scenario "RFID portal".
#[tokio::test(flavor = "multi_thread")]
async fn a_portal_sees_every_tag_and_no_arrival_twice_in_its_time_though_the_reader_restarts() {
    const TAGS: usize = 500;
    let port = peer::free_port();
    let mut first = reader(port, 500, 200);
    peer::listening(port).await;
    let (kept, mut heard) = start(port, "reads = true");
    let (mut seen, mut arrived) = (BTreeSet::new(), BTreeMap::<String, Instant>::new());
    let (mut reads, mut arrivals, mut stale) = (0, 0, 0);
    let began = Instant::now();
    let mut second = None;
    while seen.len() < TAGS || second.is_none() || began.elapsed() < Duration::from_secs(15) {
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "{} tags",
            seen.len()
        );
        if second.is_none() && began.elapsed() > Duration::from_secs(4) {
            first.kill();
            second = Some(reader(port, 500, 200));
        }
        match next(&mut heard).await {
            Report::Stale(_) => stale += 1,
            Report::Sample(sample) if sample.thing == *"gate/reads" => {
                seen.extend(epc(&sample));
                reads += 1;
            }
            Report::Sample(sample) if sample.thing == *"gate/arrivals" => {
                arrivals += 1;
                let tag = epc(&sample).unwrap();
                let now = Instant::now();
                if let Some(last) = arrived.insert(tag.clone(), now) {
                    // What lies between the adapter's clock and ours.
                    let since = now - last + Duration::from_millis(200);
                    assert!(since >= Duration::from_secs(5), "{tag} after {since:?}");
                }
            }
            _ => {}
        }
    }
    assert!(stale >= 1, "the restart was noticed");
    assert_eq!(arrived.len(), TAGS);
    println!(
        "portal: {reads} reads, {arrivals} arrivals of {TAGS} tags in {:?}",
        began.elapsed()
    );
    kept.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inventory_is_switched_off_and_on_and_without_a_reader_nothing_is_said_to_be_done() {
    let port = peer::free_port();
    let mut peer = reader(port, 5, 100);
    peer::listening(port).await;
    let (kept, mut heard) = start(port, "inventory = false");
    let order = |on: bool, within: Duration| {
        let setting = Setting {
            name: Text::from_static("inventory"),
            value: SettingValue::Boolean(on),
        };
        let by = Instant::now() + within;
        let (order, answer) = Order::new(Text::from_static("gate"), vec![setting], by);
        kept.control().order(order);
        async move { answer.await.unwrap() }
    };
    while next(&mut heard).await != Report::Connected {}
    assert_eq!(order(true, Duration::from_secs(10)).await, Ok(()));
    let is_read = |r: &Report| matches!(r, Report::Sample(s) if s.thing == *"gate/reads");
    while !is_read(&next(&mut heard).await) {}
    let off = tokio::spawn(order(false, Duration::from_secs(10)));
    let drained = async { while heard.recv().await.is_some() {} };
    tokio::select! {
        off = off => assert_eq!(off.unwrap(), Ok(())),
        () = drained => panic!("the adapter ended"),
    }
    peer.kill();
    let drained = async { while heard.recv().await.is_some() {} };
    let late = order(true, Duration::from_millis(700));
    tokio::select! {
        late = late => assert!(
            matches!(late, Err(OrderError::Expired | OrderError::InDoubt(_))),
            "{late:?}"
        ),
        () = drained => panic!("the adapter ended"),
    }
    kept.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_are_taken_as_fast_as_the_reader_sends_them() {
    let port = peer::free_port();
    let _peer = reader(port, 500, 20_000);
    peer::listening(port).await;
    let (kept, mut heard) = start(port, "");
    while next(&mut heard).await != Report::Connected {}
    let (began, mut reads) = (Instant::now(), 0u32);
    while began.elapsed() < Duration::from_secs(3) {
        if matches!(next(&mut heard).await, Report::Sample(s) if s.thing == *"gate/reads") {
            reads += 1;
        }
    }
    let rate = f64::from(reads) / began.elapsed().as_secs_f64();
    println!("{rate:.0} reports a second taken");
    assert!(rate > 200.0, "{rate}");
    kept.shutdown().await;
}

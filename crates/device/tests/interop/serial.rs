//! Serial lines: a smart meter and a receiver of positions on a pty, a car behind
//! ELM327-emulator on TCP.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use stanchion_device::adapter::{AdapterEvent, State, Supervisor, SupervisorConfig, from_adapters};
use stanchion_device::adapters::serial::{Adapter, Config, Kind};
use stanchion_device::model::{Setting, SettingValue, Value};
use stanchion_device::{Order, OrderError, Report, Sample, ThingSpec};
use stanchion_stanza::Text;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use crate::peer::{Peer, free_port, listening, python};

const PATIENCE: Duration = Duration::from_secs(60);

fn script(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/peers");
    folder.join(name).to_str().unwrap().to_owned()
}

/// An adapter that is kept, and what it tells.
struct Kept {
    supervisor: Supervisor,
    events: mpsc::Receiver<AdapterEvent>,
    things: BTreeMap<String, ThingSpec>,
}

impl Kept {
    fn start(config: Config) -> Self {
        let adapter = Adapter::new(config).unwrap();
        let (sender, events) = from_adapters(64);
        // A line that comes back is found soon.
        let mut config = SupervisorConfig::default();
        config.backoff.base = Duration::from_millis(200);
        config.backoff.cap = Duration::from_millis(500);
        let supervisor = Supervisor::start("line", Box::new(adapter), sender, config);
        let things = BTreeMap::new();
        Self {
            supervisor,
            events,
            things,
        }
    }

    async fn next(&mut self) -> Report {
        let event = timeout(PATIENCE, self.events.recv()).await;
        let report = event.expect("nothing comes").unwrap().report;
        if let Report::Things(things) = &report {
            let things = things.iter().map(|t| (t.node.id.to_string(), t.clone()));
            self.things.extend(things);
        }
        report
    }

    /// The next sample of that thing, whose fields must all have been described.
    async fn sample(&mut self, thing: &str) -> Sample {
        loop {
            if let Report::Sample(sample) = self.next().await {
                let spec = &self.things[&*sample.thing];
                for reading in &sample.readings {
                    assert!(spec.field(&reading.field).is_some(), "{reading:?}");
                }
                if sample.thing == thing {
                    return sample;
                }
            }
        }
    }

    async fn until(&mut self, wanted: impl Fn(&Report) -> bool) {
        while !wanted(&self.next().await) {}
    }

    fn order(&self, within: Duration) -> impl Future<Output = Result<(), OrderError>> + use<> {
        let setting = Setting {
            name: Text::from_static("clear-trouble-codes"),
            value: SettingValue::Boolean(true),
        };
        let car = Text::from_static("car");
        let (order, answer) = Order::new(car, vec![setting], Instant::now() + within);
        self.supervisor.control().order(order);
        async move { timeout(PATIENCE, answer).await.unwrap().unwrap() }
    }
}

fn value(sample: &Sample, field: &str) -> Option<Value> {
    let reading = sample.readings.iter().find(|r| &*r.field == field);
    reading.map(|r| r.value.clone())
}

fn measure(sample: &Sample, field: &str) -> (f64, String) {
    match value(sample, field) {
        Some(Value::Numeric { value, unit }) => (value.to_f64(), unit.to_string()),
        other => panic!("{field}: {other:?} in {sample:?}"),
    }
}

/// A pty that says what such a device would.
async fn line(kind: &str, link: &Path, between: &str) -> Peer {
    let _ = std::fs::remove_file(link);
    let script = script("serial_line.py");
    let link_name = link.to_str().unwrap();
    let peer = Peer::start(python(), &[&script, kind, link_name, between]);
    let there = async {
        while !link.exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, there).await.expect("no pty");
    peer
}

/// Samples of that thing in two seconds.
async fn rate(kept: &mut Kept, thing: &str) -> f64 {
    kept.sample(thing).await;
    let began = Instant::now();
    let mut count = 0;
    while began.elapsed() < Duration::from_secs(2) {
        kept.sample(thing).await;
        count += 1;
    }
    f64::from(count) / began.elapsed().as_secs_f64()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smart_meter_is_read_and_what_is_garbled_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("meter");
    let mut peer = line("p1", &link, "0.1").await;
    let mut config = Config::new(Kind::P1, link.to_str().unwrap());
    config.silence = Some(Duration::from_secs(2));
    let mut kept = Kept::start(config.clone());

    let sample = kept.sample("meter").await;
    let now = stanchion_device::adapter::wall_clock().as_unix_ms();
    assert!((now - sample.at.as_unix_ms()).abs() < 5000, "{sample:?}");
    assert_eq!(
        measure(&sample, "power-delivered"),
        (1.193, "kW".to_owned())
    );
    assert_eq!(measure(&sample, "voltage-l3"), (220.3, "V".to_owned()));
    let (before, _) = measure(&sample, "energy-delivered-1");
    let gas = kept.sample("meter-1").await;
    assert_eq!(measure(&gas, "volume"), (12_785.123, "m3".to_owned()));
    assert_eq!(kept.things["meter-1"].label, "meter: gas");
    let (after, _) = measure(&kept.sample("meter").await, "energy-delivered-1");
    assert!(after > before);

    // A bit that is wrong in each telegram: none is told, and the line is no meter then.
    let garble = folder.path().join("meter.garble");
    std::fs::write(&garble, "").unwrap();
    kept.until(|report| matches!(report, Report::Stale(things) if things.len() == 2))
        .await;
    std::fs::remove_file(&garble).unwrap();
    kept.until(|report| *report == Report::Connected).await;
    kept.sample("meter").await;

    // The plug is pulled, and put in again.
    peer.kill();
    kept.until(|report| matches!(report, Report::Stale(_)))
        .await;
    let _again = line("p1", &link, "0").await;
    kept.until(|report| *report == Report::Connected).await;
    kept.sample("meter").await;
    let rate = rate(&mut kept, "meter").await;
    println!("P1 over a pty: {rate:.0} telegrams/s");
    assert!(rate > 10.0);
    kept.supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_read_and_come_back_after_the_line_was_lost() {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("position");
    let mut peer = line("nmea", &link, "0.2").await;
    let mut config = Config::new(Kind::Nmea, link.to_str().unwrap());
    config.silence = Some(Duration::from_secs(2));
    let mut kept = Kept::start(config);

    // The first moment may lack what was said before we listened.
    kept.sample("position").await;
    let sample = kept.sample("position").await;
    let now = stanchion_device::adapter::wall_clock().as_unix_ms();
    assert!((now - sample.at.as_unix_ms()).abs() < 5000, "{sample:?}");
    let (latitude, unit) = measure(&sample, "latitude");
    assert_eq!(unit, "lat");
    assert!((48.1..48.3).contains(&latitude));
    assert_eq!(measure(&sample, "speed"), (18.5, "km/h".to_owned()));
    assert_eq!(measure(&sample, "altitude"), (545.4, "m".to_owned()));
    assert_eq!(value(&sample, "satellites"), Some(Value::Int(11)));
    assert_eq!(value(&sample, "satellites-in-view"), Some(Value::Int(5)));
    assert_eq!(value(&sample, "bad-sentences"), Some(Value::Long(0)));
    let five = rate(&mut kept, "position").await;
    println!("NMEA at 5 Hz over a pty: {five:.1} positions/s");
    assert!((3.0..6.0).contains(&five), "{five}");

    peer.kill();
    kept.until(|report| matches!(report, Report::Stale(_)))
        .await;
    let _again = line("nmea", &link, "0.01").await;
    kept.until(|report| *report == Report::Connected).await;
    let most = rate(&mut kept, "position").await;
    println!("NMEA as fast as it is said: {most:.0} positions/s");
    kept.supervisor.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_car_is_asked_its_codes_are_cleared_once_and_it_comes_back() {
    let port = free_port();
    let port_name = port.to_string();
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().to_str().unwrap();
    let car = || Peer::start(python(), &[&script("car.py"), port_name.as_str(), log]);
    let mut peer = car();
    listening(port).await;
    let mut config = Config::new(Kind::Obd, format!("tcp://127.0.0.1:{port}"));
    config.every = Some(Duration::ZERO);
    config.trouble_every = Some(Duration::from_secs(1));
    let mut kept = Kept::start(config);

    kept.until(|report| *report == Report::Connected).await;
    let mut seen = BTreeMap::new();
    while seen.len() < 12 || !seen.contains_key("trouble-codes") {
        for reading in kept.sample("car").await.readings {
            seen.insert(reading.field.to_string(), reading.value);
        }
    }
    let text = |text| Some(Value::String(Text::from_static(text)));
    assert_eq!(
        seen.get("trouble-codes").cloned(),
        text("P0143 P0196 U0100")
    );
    assert_eq!(seen.get("trouble-light"), Some(&Value::Boolean(true)));
    assert!(matches!(seen.get("vin"), Some(Value::String(vin)) if vin.len() == 17));
    for field in [
        "engine-speed",
        "speed",
        "coolant-temperature",
        "throttle",
        "battery-voltage",
    ] {
        assert!(
            matches!(seen.get(field), Some(Value::Numeric { .. })),
            "{field}: {seen:?}"
        );
    }

    // Requests a second, one for each reading but the number of the car.
    let began = Instant::now();
    let mut requests = 0;
    while began.elapsed() < Duration::from_secs(2) {
        let readings = kept.sample("car").await.readings;
        requests += readings.iter().filter(|r| r.field != "vin").count();
    }
    let rate = requests as f64 / began.elapsed().as_secs_f64();
    println!("OBD-II over ELM327-emulator: {rate:.0} parameters/s");
    assert!(rate > 20.0);

    let answer = kept.order(Duration::ZERO);
    assert_eq!(answer.await, Err(OrderError::Expired));
    let answer = kept.order(Duration::from_secs(10));
    let cleared = async { while value(&kept.sample("car").await, "trouble-codes") != text("") {} };
    timeout(PATIENCE, cleared)
        .await
        .expect("the codes are still there");
    assert_eq!(answer.await, Ok(()));

    // Gone, with an order in between that nobody carries out.
    peer.kill();
    kept.until(|report| matches!(report, Report::Stale(_)))
        .await;
    let state = kept.supervisor.control().state();
    assert!(!matches!(*state.borrow(), State::Connected));
    let waiting = kept.order(Duration::from_millis(300));
    let _again = car();
    kept.until(|report| *report == Report::Connected).await;
    assert_eq!(waiting.await, Err(OrderError::Expired));
    let codes = async {
        while value(&kept.sample("car").await, "trouble-codes") != text("P0143 P0196 U0100") {}
    };
    timeout(PATIENCE, codes)
        .await
        .expect("no codes of the new car");
    kept.supervisor.shutdown().await;
}

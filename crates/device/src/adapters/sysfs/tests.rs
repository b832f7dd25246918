//! A tree as Linux has it, in a temporary folder.

use std::fs;

use super::*;
use crate::adapter::Stopper;
use crate::model::{Setting, as_f64};
use tokio::sync::mpsc;

struct Tree(tempfile::TempDir);

impl Tree {
    fn new() -> Self {
        let tree = Self(tempfile::tempdir().unwrap());
        for (path, content) in [
            ("devices/board/name", "chip\n"),
            ("devices/board/temp1_input", "41500\n"),
            ("devices/board/in0_input", "3302\n"),
            ("devices/board/power1_input", "12500000\n"),
            ("devices/board/humidity1_input", "45100\n"),
            ("devices/board/temp1_crit", "90000\n"),
            ("bus/iio/devices/iio:device0/name", "bme280\n"),
            ("bus/iio/devices/iio:device0/in_temp_raw", "1000\n"),
            ("bus/iio/devices/iio:device0/in_temp_offset", "50\n"),
            ("bus/iio/devices/iio:device0/in_temp_scale", "20.0\n"),
            ("bus/iio/devices/iio:device0/in_pressure_input", "101.325\n"),
            (
                "bus/w1/devices/28-01/w1_slave",
                "50 05 : crc=1c YES\n50 05 t=-1125\n",
            ),
            ("bus/w1/devices/28-02/temperature", "21562\n"),
            (
                "bus/w1/devices/28-03/w1_slave",
                "50 05 : crc=1c NO\n50 05 t=85000\n",
            ),
            ("class/leds/status/brightness", "0\n"),
            ("class/leds/status/max_brightness", "7\n"),
            ("class/power_supply/BAT0/voltage_now", "12034000\n"),
            ("class/power_supply/BAT0/status", "Charging\n"),
            ("class/power_supply/BAT0/online", "1\n"),
            ("class/thermal/thermal_zone0/type", "cpu\n"),
            ("class/thermal/thermal_zone0/temp", "55000\n"),
        ] {
            tree.put(path, content);
        }
        fs::create_dir_all(tree.0.path().join("class/hwmon")).unwrap();
        let link = tree.0.path().join("class/hwmon/hwmon0");
        std::os::unix::fs::symlink("../../devices/board", link).unwrap();
        tree
    }

    fn put(&self, path: &str, content: &str) {
        let path = self.0.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn config(&self) -> Config {
        let root = self.0.path().display();
        toml::from_str(&format!("sysroot = '{root}'\nevery = '20ms'")).unwrap()
    }
}

struct Run {
    reports: mpsc::Receiver<Report>,
    orders: mpsc::Sender<Order>,
    _stopper: Stopper,
}

fn run(config: Config) -> Run {
    let mut adapter = Adapter::new(config).unwrap();
    let (mut link, reports, orders) = Link::new(256);
    let (stopper, stop) = Stopper::new();
    tokio::spawn(async move {
        use crate::Adapter as _;
        adapter.run(&mut link, &stop).await
    });
    Run {
        reports,
        orders,
        _stopper: stopper,
    }
}

impl Run {
    /// The next report that is as wanted.
    async fn until<T>(&mut self, wanted: impl Fn(&Report) -> Option<T>) -> T {
        let found = async {
            loop {
                let report = self.reports.recv().await.unwrap();
                if let Some(found) = wanted(&report) {
                    return found;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found)
            .await
            .unwrap()
    }

    async fn value(&mut self, thing: &str, field: &str) -> (Value, Quality) {
        self.until(|report| match report {
            Report::Sample(sample) if sample.thing == *thing => {
                let reading = sample.readings.iter().find(|r| r.field == *field)?;
                Some((reading.value.clone(), reading.quality))
            }
            _ => None,
        })
        .await
    }
}

#[tokio::test]
async fn what_linux_measures_is_told_in_base_units() {
    let tree = Tree::new();
    let found = attributes::read_all(tree.0.path(), &tree.config().classes);
    let value = |thing: &str, field: &str| {
        let (_, values) = found
            .iter()
            .find(|(d, _)| d.spec.node.id == *thing)
            .unwrap();
        values
            .iter()
            .find(|(name, _)| name == field)
            .unwrap()
            .1
            .clone()
    };
    for (thing, field, number, unit) in [
        ("hwmon/chip", "temp1", 41.5, "Cel"),
        ("hwmon/chip", "in0", 3.302, "V"),
        ("hwmon/chip", "power1", 12.5, "W"),
        ("hwmon/chip", "humidity1", 45.1, "%RH"),
        ("iio/bme280", "temp", 21.0, "Cel"),
        ("iio/bme280", "pressure", 101_325.0, "Pa"),
        ("w1/28-01", "temperature", -1.125, "Cel"),
        ("w1/28-02", "temperature", 21.562, "Cel"),
        ("power_supply/BAT0", "voltage_now", 12.034, "V"),
        ("thermal/cpu", "temperature", 55.0, "Cel"),
    ] {
        let read = value(thing, field).unwrap();
        assert_eq!(as_f64(&read), Some(number), "{thing} {field}");
        assert!(matches!(&read, Value::Numeric { unit: u, .. } if u == unit));
    }
    assert_eq!(
        value("power_supply/BAT0", "online"),
        Some(Value::Boolean(true))
    );
    assert_eq!(value("w1/28-03", "temperature"), None, "a wrong checksum");
}

#[tokio::test]
async fn an_attribute_that_cannot_be_read_keeps_its_value_as_missing_and_holds_up_no_other() {
    let tree = Tree::new();
    let mut run = run(tree.config());
    let (first, quality) = run.value("hwmon/chip", "temp1").await;
    assert_eq!(quality, Quality::AUTOMATIC_READOUT);
    tree.put("devices/board/temp1_input", "no number\n");
    tree.put("devices/board/in0_input", "5000\n");
    let last = loop {
        let (last, quality) = run.value("hwmon/chip", "temp1").await;
        if quality == Quality::MISSING {
            break last;
        }
    };
    assert_eq!(last, first);
    while as_f64(&run.value("hwmon/chip", "in0").await.0) != Some(5.0) {}
    let bad = Text::from_static("w1/28-03");
    run.until(|r| matches!(r, Report::Stale(things) if things.contains(&bad)).then_some(()))
        .await;
}

#[tokio::test]
async fn a_led_is_set_and_one_that_comes_or_goes_is_told() {
    let tree = Tree::new();
    let mut run = run(tree.config());
    run.value("leds/status", "brightness").await;
    let mut answers = Vec::new();
    for level in [5, 8] {
        let setting = Setting {
            name: Text::from_static("brightness"),
            value: SettingValue::Int(level),
        };
        let by = Instant::now() + Duration::from_secs(20);
        let (order, answer) = Order::new(Text::from_static("leds/status"), vec![setting], by);
        run.orders.send(order).await.unwrap();
        answers.push(answer.await.unwrap());
    }
    assert_eq!(answers[0], Ok(()));
    assert!(matches!(answers[1], Err(OrderError::Refused(_))), "above 7");
    let file = tree.0.path().join("class/leds/status/brightness");
    assert_eq!(fs::read_to_string(file).unwrap(), "5");
    fs::remove_dir_all(tree.0.path().join("class/leds/status")).unwrap();
    let led = Text::from_static("leds/status");
    run.until(|r| matches!(r, Report::Gone(things) if things.contains(&led)).then_some(()))
        .await;
}

#[test]
fn configuration_that_cannot_be_right_is_named() {
    assert!(toml::from_str::<Config>("classes = ['../etc']").is_err());
    let config: Config = toml::from_str("every = '1ms'").unwrap();
    let error = Adapter::new(config).unwrap_err().to_string();
    assert_eq!(error, "sysfs: `every` is to be from 10 ms to 1 day");
}

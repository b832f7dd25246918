//! The fleet on virtual time, and its adapter on paused time.

use super::*;
use std::collections::BTreeMap;

use crate::adapter::{Report, Supervisor, SupervisorConfig};
use crate::adapter::{Stopper, from_adapters};
use crate::model::{Setting, SettingValue, Value, as_f64, kind_of};
use stanchion_stanza::payload::datetime;

const SECOND: Duration = Duration::from_secs(1);
const KINDS: [Kind; 5] = [
    Kind::Thermometer,
    Kind::Meter,
    Kind::Patient,
    Kind::Lamp,
    Kind::TagReader,
];

fn value<'a>(measured: &'a [crate::model::Reading], field: &str) -> &'a Value {
    let reading = measured.iter().find(|r| &*r.field == field);
    &reading
        .unwrap_or_else(|| panic!("no {field}: {measured:?}"))
        .value
}

fn number_of(measured: &Measured, field: &str) -> f64 {
    as_f64(value(&measured.readings, field)).unwrap()
}

fn on(to: bool) -> Vec<Setting> {
    vec![Setting {
        name: Text::from_static("on"),
        value: SettingValue::Boolean(to),
    }]
}

#[test]
fn the_same_seed_measures_the_same_and_another_does_not() {
    for kind in KINDS {
        let of = |seed| {
            Fleet::new(kind, 5, SECOND, seed)
                .take(50)
                .collect::<Vec<_>>()
        };
        assert_eq!(of(7), of(7), "{kind:?}");
        assert_ne!(of(7), of(8), "{kind:?}");
    }
}

#[test]
fn what_one_measures_does_not_depend_on_how_many_there_are() {
    let of = |count| {
        let fleet = Fleet::new(Kind::Meter, count, SECOND, 7);
        let first = fleet.filter(|m| m.thing == "meter-1");
        first.take(10).collect::<Vec<_>>()
    };
    assert_eq!(of(1), of(100));
}

#[test]
fn each_measures_once_an_interval_and_time_never_falls() {
    for kind in KINDS {
        let mut last = Duration::ZERO;
        let mut counts = BTreeMap::new();
        for measured in Fleet::new(kind, 20, 10 * SECOND, 3) {
            assert!(measured.at >= last);
            last = measured.at;
            if last >= 60 * SECOND {
                break;
            }
            *counts.entry(measured.thing).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 20);
        assert!(counts.values().all(|count| *count == 6), "{counts:?}");
    }
}

#[test]
fn every_field_that_is_told_is_described_and_the_other_way_round() {
    for kind in KINDS {
        let mut fleet = Fleet::new(kind, 2, SECOND, 3);
        let spec = fleet.specs().remove(0);
        let measured = fleet.next().unwrap();
        assert_eq!(measured.readings.len(), spec.fields.len());
        for reading in &measured.readings {
            let field = spec.field(&reading.field).unwrap();
            assert_eq!(field.kind, kind_of(&reading.value), "{reading:?}");
            if let Value::Numeric { unit, .. } = &reading.value {
                assert_eq!(*unit, field.unit);
                assert_eq!(crate::model::units::canonical(unit), Some(unit.as_str()));
            }
        }
    }
}

#[test]
fn a_meter_never_runs_backwards() {
    let mut last = 0.0;
    let day = Fleet::new(Kind::Meter, 1, 60 * SECOND, 5).take(1440);
    for measured in day {
        let energy = number_of(&measured, "energy");
        assert!(energy >= last);
        last = energy;
    }
}

#[test]
fn a_patient_has_250_points_a_second_and_an_alarm_now_and_then() {
    let fleet = Fleet::new(Kind::Patient, 1, SECOND, 5);
    let mut alarms = 0;
    for measured in fleet.take(1200) {
        let Value::String(waveform) = value(&measured.readings, "waveform") else {
            panic!("{measured:?}")
        };
        // 500 octets in base64.
        assert_eq!(waveform.len(), 668);
        let alarm = value(&measured.readings, "alarm") == &Value::Boolean(true);
        let saturation = number_of(&measured, "oxygen-saturation");
        assert_eq!(alarm, saturation < 91.0, "{saturation}");
        assert!((60.0..130.0).contains(&number_of(&measured, "heart-rate")));
        alarms += u32::from(alarm);
    }
    assert_eq!(alarms, 30);
}

#[test]
fn a_lamp_counts_what_it_did_and_remembers_the_last_of_it() {
    let mut fleet = Fleet::new(Kind::Lamp, 2, SECOND, 5);
    let lamp = Text::from_static("lamp-2");
    let mut last = Vec::new();
    for n in 0..20 {
        let measured = fleet.set(&lamp, &on(n % 2 == 0), n * SECOND).unwrap();
        last = measured.readings;
    }
    assert_eq!(value(&last, "on"), &Value::Boolean(false));
    assert_eq!(value(&last, "actuations"), &Value::Long(20));
    let Value::String(commands) = value(&last, "last-commands") else {
        panic!("{last:?}")
    };
    let commands: Vec<_> = commands.split("; ").collect();
    assert_eq!(commands.len(), REMEMBERED);
    assert_eq!(
        (commands[0], commands[15]),
        ("4000 on=true", "19000 on=false")
    );
    // The other one did nothing, and what is refused is not done.
    let level = vec![
        on(true).remove(0),
        Setting {
            name: Text::from_static("level"),
            value: SettingValue::Int(101),
        },
    ];
    fleet
        .set(&Text::from_static("lamp-1"), &level, SECOND)
        .unwrap_err();
    fleet
        .set(&Text::from_static("lamp-3"), &on(true), SECOND)
        .unwrap_err();
    let other = fleet.find(|m| m.thing == "lamp-1").unwrap();
    assert_eq!(value(&other.readings, "actuations"), &Value::Long(0));
}

#[test]
fn readers_see_all_their_tags() {
    let fleet = Fleet::new(Kind::TagReader, 1, SECOND / 100, 5);
    let mut seen = std::collections::BTreeSet::new();
    for measured in fleet.take(10_000) {
        let Value::String(tag) = value(&measured.readings, "tag") else {
            panic!("{measured:?}")
        };
        assert_eq!(tag.len(), 24);
        seen.insert(tag.clone());
    }
    assert_eq!(seen.len() as u64, TAGS);
}

#[test]
fn what_cannot_be_is_named() {
    let made = |toml: &str| {
        let config: Config = toml::from_str(toml).map_err(|e| e.to_string())?;
        Adapter::new(config).map(drop).map_err(|e| e.to_string())
    };
    assert_eq!(made("kind = 'lamp'"), Ok(()));
    assert_eq!(
        made("kind = 'tag-reader'\ncount = 5\nlatency = '50ms'"),
        Ok(())
    );
    for (toml, word) in [
        ("kind = 'dog'", "dog"),
        ("kind = 'lamp'\ncount = 0", "count"),
        ("kind = 'lamp'\ninterval = '0s'", "interval"),
        ("kind = 'lamp'\nlatency = '1h'", "latency"),
        ("kind = 'lamp'\nfailure_rate = 1.5", "failure_rate"),
        ("kind = 'lamp'\nfailure_rate = nan", "failure_rate"),
        ("kind = 'lamp'\nprefix = ''", "prefix"),
        ("kind = 'lamp'\nfailures = 1", "failures"),
    ] {
        let error = made(toml).unwrap_err();
        assert!(error.contains(word), "{toml}: {error}");
    }
}

fn order(
    thing: &'static str,
    to: bool,
    within: Duration,
) -> (
    Order,
    tokio::sync::oneshot::Receiver<Result<(), OrderError>>,
) {
    Order::new(Text::from_static(thing), on(to), Instant::now() + within)
}

#[tokio::test(start_paused = true)]
async fn samples_come_when_they_are_due() {
    let (events, mut heard) = from_adapters(16);
    let mut config = Config::new(Kind::Thermometer);
    config.count = 10;
    let adapter = Box::new(Adapter::new(config).unwrap());
    let kept = Supervisor::start("fleet", adapter, events, SupervisorConfig::default());
    let began = Instant::now();
    let mut samples = Vec::new();
    while samples.len() < 100 {
        if let Report::Sample(sample) = heard.recv().await.unwrap().report {
            samples.push(sample);
        }
    }
    let took = began.elapsed();
    assert!((9 * SECOND..=10 * SECOND).contains(&took), "{took:?}");
    let span = samples[99].at.as_unix_ms() - samples[0].at.as_unix_ms();
    assert!((9000..10_000).contains(&span), "{}", datetime::utc(span));
    kept.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn orders_take_their_time_are_done_once_and_expired_ones_never() {
    let mut config = Config::new(Kind::Lamp);
    config.interval = 3600 * SECOND;
    config.latency = SECOND;
    let mut adapter = Adapter::new(config).unwrap();
    let (mut link, mut reports, orders) = Link::new(64);
    let (stopper, stop) = Stopper::new();
    let began = Instant::now();
    let task = tokio::spawn(async move {
        crate::Adapter::run(&mut adapter, &mut link, &stop)
            .await
            .unwrap();
    });
    let (late, late_answer) = order("lamp-1", true, SECOND / 2);
    let (first, first_answer) = order("lamp-1", true, 10 * SECOND);
    let (second, second_answer) = order("lamp-1", false, 10 * SECOND);
    let (other, other_answer) = order("lamp-2", true, 10 * SECOND);
    for order in [late, first, second, other] {
        orders.send(order).await.unwrap();
    }
    assert_eq!(late_answer.await.unwrap(), Err(OrderError::Expired));
    assert_eq!(first_answer.await.unwrap(), Ok(()));
    assert_eq!(began.elapsed().as_secs(), 1);
    assert_eq!(second_answer.await.unwrap(), Ok(()));
    let refused = other_answer.await.unwrap().unwrap_err();
    assert_eq!(refused.to_string(), "`lamp-2` has no parameter `on`");
    stopper.stop();
    task.await.unwrap();
    let mut last = Vec::new();
    while let Ok(report) = reports.try_recv() {
        if let Report::Sample(sample) = report {
            last = sample.readings;
        }
    }
    assert_eq!(value(&last, "actuations"), &Value::Long(2));
    assert_eq!(value(&last, "on"), &Value::Boolean(false));
}

#[tokio::test(start_paused = true)]
async fn so_many_orders_fail_as_were_asked_for_and_those_have_no_effect() {
    let mut config = Config::new(Kind::Lamp);
    config.failure_rate = 0.25;
    let mut adapter = Adapter::new(config).unwrap();
    let mut done = 0;
    for n in 0..1000 {
        let (order, answer) = order("lamp-1", n % 2 == 0, SECOND);
        adapter.carry_out(order, Duration::ZERO);
        done += i64::from(answer.await.unwrap().is_ok());
    }
    assert!((700..800).contains(&done), "{done}");
    let lamp = adapter.fleet.next().unwrap();
    assert_eq!(value(&lamp.readings, "actuations"), &Value::Long(done));
}

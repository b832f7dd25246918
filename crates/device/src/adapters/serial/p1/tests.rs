//! What becomes of telegrams in the published format.

use super::*;
use proptest::prelude::*;
use stanchion_stanza::payload::datetime;

/// The lines of a three-phase meter with a gas meter on channel 1, as DSMR 5.0 has them.
const LINES: &str = "1-3:0.2.8(50)\r\n\
    0-0:1.0.0(261125223005W)\r\n\
    0-0:96.1.1(4530303434303037303132333435363138)\r\n\
    1-0:1.8.1(001234.567*kWh)\r\n\
    1-0:1.8.2(000987.600*kWh)\r\n\
    1-0:2.8.1(000000.000*kWh)\r\n\
    0-0:96.14.0(0002)\r\n\
    1-0:1.7.0(01.193*kW)\r\n\
    0-0:96.7.21(00004)\r\n\
    1-0:99.97.0(1)(0-0:96.7.19)(000101000006W)(2147483647*s)\r\n\
    1-0:32.32.0(00002)\r\n\
    0-0:96.13.0()\r\n\
    1-0:32.7.0(220.1*V)\r\n\
    1-0:31.7.0(001*A)\r\n\
    1-0:21.7.0(01.111*kW)\r\n\
    0-1:24.1.0(003)\r\n\
    0-1:96.1.0(3232323241424344313233343536373839)\r\n\
    0-1:24.2.1(261125222500W)(12785.123*m3)\r\n";

fn telegram(lines: &str) -> Vec<u8> {
    let body = format!("/TST5\\2meter\r\n\r\n{lines}!");
    let crc = telegram::crc16(body.as_bytes());
    format!("{body}{crc:04X}\r\n").into_bytes()
}

fn meter() -> Meter {
    let id = Text::from_static("meter");
    Meter::new(id, Text::from_static("Cellar"), Duration::from_secs(3600))
}

fn hear(meter: &mut Meter, bytes: &[u8]) -> Vec<Report> {
    let mut heard = Vec::new();
    meter.take(bytes, WallTime::from_unix_ms(1), &mut heard);
    heard
}

fn samples(reports: &[Report]) -> Vec<&Sample> {
    let samples = reports.iter().filter_map(|report| match report {
        Report::Sample(sample) => Some(sample),
        _ => None,
    });
    samples.collect()
}

fn value<'a>(sample: &'a Sample, field: &str) -> Option<&'a Value> {
    let reading = sample.readings.iter().find(|r| &*r.field == field);
    reading.map(|r| &r.value)
}

fn measure(sample: &Sample, field: &str) -> String {
    match value(sample, field) {
        Some(Value::Numeric { value, unit }) => format!("{} {unit}", value.as_str()),
        other => panic!("{field}: {other:?}"),
    }
}

#[test]
fn a_telegram_is_a_sample_of_the_meter_and_one_of_its_gas_meter() {
    let reports = hear(&mut meter(), &telegram(LINES));
    let Report::Things(things) = &reports[0] else {
        panic!("{reports:?}")
    };
    assert_eq!(things.len(), 2);
    assert_eq!(things[1].label, "Cellar: gas");
    let told = samples(&reports);
    let [main, gas] = told[..] else {
        panic!("{told:?}")
    };
    let time = |sample: &Sample| datetime::utc(sample.at.as_unix_ms());
    assert_eq!(time(main), "2026-11-25T21:30:05.000Z");
    assert_eq!(measure(main, "energy-delivered-1"), "1234.567 kWh");
    assert_eq!(measure(main, "power-delivered"), "1.193 kW");
    assert_eq!(measure(main, "voltage-l1"), "220.1 V");
    assert_eq!(measure(main, "current-l1"), "1 A");
    assert_eq!(value(main, "tariff"), Some(&Value::Long(2)));
    let equipment = Value::String(Text::from_static("E0044007012345618"));
    assert_eq!(value(main, "equipment"), Some(&equipment));
    assert_eq!(value(main, "message"), None);
    assert_eq!(
        (&*gas.thing, &*time(gas)),
        ("meter-1", "2026-11-25T21:25:00.000Z")
    );
    assert_eq!(measure(gas, "volume"), "12785.123 m3");
}

#[test]
fn every_field_that_is_told_was_described_before() {
    let mut meter = meter();
    let more = format!("{LINES}0-2:24.1.0(007)\r\n0-2:24.2.1(261125222500W)(00.001*m3)\r\n");
    let mut known = std::collections::BTreeMap::new();
    for bytes in [telegram(LINES), telegram(&more), telegram(LINES)] {
        for report in hear(&mut meter, &bytes) {
            match report {
                Report::Things(things) => {
                    known.extend(things.into_iter().map(|t| (t.node.id.clone(), t)));
                }
                Report::Sample(sample) => {
                    let spec = &known[&sample.thing];
                    for reading in &sample.readings {
                        let field = spec.field(&reading.field).unwrap();
                        assert_eq!(field.kind, crate::model::kind_of(&reading.value));
                    }
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(known.len(), 3);
}

#[test]
fn a_gas_meter_is_told_again_only_once_it_measured_again() {
    let mut meter = meter();
    assert_eq!(samples(&hear(&mut meter, &telegram(LINES))).len(), 2);
    assert_eq!(samples(&hear(&mut meter, &telegram(LINES))).len(), 1);
    let later = LINES.replace("261125222500W)(12785.123", "261125223000W)(12785.123");
    assert_eq!(samples(&hear(&mut meter, &telegram(&later))).len(), 2);
}

#[test]
fn a_meter_that_does_not_tell_the_time_has_ours() {
    let reports = hear(&mut meter(), &telegram("1-0:1.7.0(01.193*kW)\r\n"));
    assert_eq!(samples(&reports)[0].at, WallTime::from_unix_ms(1));
}

#[test]
fn what_was_left_out_is_counted_in_the_next_sample() {
    let mut meter = meter();
    let mut wrong = telegram(LINES);
    wrong[40] ^= 4;
    assert_eq!(hear(&mut meter, &wrong), []);
    let reports = hear(&mut meter, &telegram(LINES));
    assert_eq!(value(samples(&reports)[0], BAD), Some(&Value::Long(1)));
}

proptest! {
    #[test]
    fn a_telegram_may_say_anything(lines in proptest::collection::vec(
        prop_oneof![
            "[0-9]-[0-4]:[0-9]{1,2}\\.[0-9]{1,2}\\.[0-9](\\([0-9WS.*kmVAWh3]{0,16}\\)){0,3}",
            "\\PC{0,30}",
            Just("0-1:24.2.1(261125222500W)(1*GJ)".to_owned()),
        ],
        0..40,
    )) {
        let lines = lines.iter().map(|line| format!("{line}\r\n")).collect::<String>();
        let mut meter = meter();
        let heard = hear(&mut meter, &telegram(&lines));
        prop_assert!(heard.len() <= 2 + usize::from(CHANNELS));
    }
}

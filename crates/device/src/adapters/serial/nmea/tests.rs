//! What becomes of sentences; the vectors are the examples that are published for them.

use super::*;
use proptest::prelude::*;

const GGA: &str = "GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47";
const RMC: &str = "GPRMC,123519,A,4807.038,N,01131.000,E,022.4,084.4,230394,003.1,W*6A";
const VTG: &str = "GPVTG,054.7,T,034.4,M,005.5,N,010.2,K*48";
const GSA: &str = "GPGSA,A,3,04,05,,09,12,,,24,,,,,2.5,1.3,2.1*39";
const GSV: &str = "GPGSV,2,1,08,01,40,083,46,02,17,308,41,12,07,344,39,14,22,228,45*75";

/// Noon of 2026-11-25.
const NOON: i64 = 1_795_608_000_000;

pub(super) fn receiver() -> Receiver {
    Receiver::new(Text::from_static("position"), Duration::ZERO)
}

/// What is heard of these, `$` and end of line added.
pub(super) fn hear(receiver: &mut Receiver, sentences: &[&str]) -> Vec<Sample> {
    let mut heard = Vec::new();
    let now = WallTime::from_unix_ms(NOON);
    for sentence in sentences {
        receiver.take(format!("${sentence}\r\n").as_bytes(), now, &mut heard);
    }
    receiver.pause(now, &mut heard);
    let sample = |report| match report {
        Report::Sample(sample) => sample,
        other => panic!("{other:?}"),
    };
    heard.into_iter().map(sample).collect()
}

/// With the checksum that it needs.
pub(super) fn summed(said: &str) -> String {
    format!("{said}*{:02X}", sentence::checksum(said.as_bytes()))
}

fn told(sample: &Sample, field: &str) -> Option<String> {
    let reading = sample.readings.iter().find(|r| &*r.field == field)?;
    Some(match &reading.value {
        Value::Numeric { value, unit } => format!("{} {unit}", value.as_str()),
        Value::Int(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Enum { value, .. } => value.to_string(),
        Value::DateTime(value) => value.to_string(),
        other => panic!("{other:?}"),
    })
}

fn is(sample: &Sample, fields: &[(&str, &str)]) {
    for (field, expected) in fields {
        assert_eq!(told(sample, field).as_deref(), Some(*expected), "{field}");
    }
}

#[test]
fn the_published_examples_are_one_moment() {
    let heard = hear(&mut receiver(), &[GGA, GSA, GSV, RMC]);
    let [sample] = &heard[..] else {
        panic!("{heard:?}")
    };
    is(
        sample,
        &[
            ("latitude", "48.11730 lat"),
            ("longitude", "11.51667 lon"),
            ("altitude", "545.4 m"),
            ("speed", "41.48 km/h"),
            ("course", "84.4 deg"),
            ("satellites", "8"),
            ("satellites-in-view", "8"),
            ("fix-quality", "gps"),
            ("fix-dimensions", "3"),
            ("hdop", "1.3 "),
            ("pdop", "2.5 "),
            ("vdop", "2.1 "),
            ("time", "1994-03-23T12:35:19.000Z"),
            ("bad-sentences", "0"),
        ],
    );
    assert_eq!(
        datetime::utc(sample.at.as_unix_ms()),
        "1994-03-23T12:35:19.000Z"
    );
}

#[test]
fn speed_over_ground_is_read_in_either_unit() {
    let heard = hear(&mut receiver(), &[VTG]);
    is(&heard[0], &[("speed", "10.2 km/h"), ("course", "54.7 deg")]);
    let knots = summed("GNVTG,,T,,M,5.5,N,,,A");
    let heard = hear(&mut receiver(), &[&knots]);
    is(&heard[0], &[("speed", "10.19 km/h")]);
    assert_eq!(told(&heard[0], "course"), None);
    let no_fix = summed("GNVTG,1.0,T,,M,5.5,N,10.2,K,N");
    assert!(hear(&mut receiver(), &[&no_fix]).is_empty());
}

#[test]
fn another_time_is_another_moment() {
    let later = summed("GPGGA,123520,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,");
    let heard = hear(&mut receiver(), &[GGA, RMC, &later]);
    assert_eq!(heard.len(), 2);
    // The date is the one that was said last.
    is(&heard[1], &[("time", "1994-03-23T12:35:20.000Z")]);
}

#[test]
fn the_date_goes_on_at_midnight_without_being_said() {
    let before = summed("GPRMC,235959,A,4807.038,N,01131.000,E,022.4,084.4,251126,,");
    let after = summed("GPGGA,000000,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,");
    let heard = hear(&mut receiver(), &[&before, &after]);
    is(&heard[1], &[("time", "2026-11-26T00:00:00.000Z")]);
}

#[test]
fn without_a_date_it_is_the_day_on_which_that_time_is_nearest() {
    let heard = hear(&mut receiver(), &[GGA]);
    is(&heard[0], &[("time", "2026-11-25T12:35:19.000Z")]);
    let late = summed("GPGGA,235959,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,");
    let heard = hear(&mut receiver(), &[&late]);
    // Noon is our time: a second less than twelve hours is nearer than one more.
    is(&heard[0], &[("time", "2026-11-25T23:59:59.000Z")]);
}

#[test]
fn without_a_fix_there_is_no_position() {
    let gga = summed("GNGGA,123519,4807.038,N,01131.000,E,0,03,,,M,,M,,");
    let rmc = summed("GNRMC,123519,V,4807.038,N,01131.000,E,1.0,2.0,230394,,,N");
    let heard = hear(&mut receiver(), &[&gga, &rmc]);
    is(&heard[0], &[("fix-quality", "none"), ("satellites", "3")]);
    for field in ["latitude", "longitude", "altitude", "speed", "course"] {
        assert_eq!(told(&heard[0], field), None, "{field}");
    }
}

#[test]
fn the_satellites_of_several_systems_are_added_up() {
    let glonass = summed("GLGSV,2,1,07,65,40,083,46");
    let glonass_again = summed("GLGSV,2,2,07,66,40,083,46");
    let other_signal = summed("GPGSV,1,1,05,01,40,083,46,8");
    let all = [GSV, &glonass, &glonass_again, &other_signal];
    let heard = hear(&mut receiver(), &all);
    is(&heard[0], &[("satellites-in-view", "15")]);
}

#[test]
fn any_talker_is_heard_and_those_of_one_maker_are_not() {
    for talker in ["GP", "GN", "GL", "GA", "GB", "GQ", "II"] {
        let said = summed(&format!(
            "{talker}GGA,123519,4807.038,S,01131.000,W,4,12,0.9,-5.4,M,,M,,"
        ));
        let heard = hear(&mut receiver(), &[&said]);
        is(
            &heard[0],
            &[
                ("latitude", "-48.11730 lat"),
                ("longitude", "-11.51667 lon"),
            ],
        );
        is(&heard[0], &[("altitude", "-5.4 m"), ("fix-quality", "rtk")]);
    }
    assert!(hear(&mut receiver(), &[&summed("PGGGA,123519")]).is_empty());
}

#[test]
fn positions_are_told_no_more_often_than_asked() {
    let mut receiver = Receiver::new(Text::from_static("position"), Duration::from_secs(1));
    let at = |ms: u32| {
        let time = format!("{:02}.{:03}", ms / 1000, ms % 1000);
        summed(&format!(
            "GPRMC,1235{time},A,4807.038,N,01131.000,E,022.4,084.4,230394,,"
        ))
    };
    let sentences: Vec<_> = (0..20).map(|n| at(n * 200)).collect();
    let sentences: Vec<_> = sentences.iter().map(String::as_str).collect();
    assert_eq!(hear(&mut receiver, &sentences).len(), 4);
}

#[test]
fn every_field_that_is_told_is_described() {
    let id = Text::from_static("position");
    let spec = spec(&id, &id);
    for sample in hear(&mut receiver(), &[GGA, RMC, VTG, GSA, GSV]) {
        for reading in sample.readings {
            let field = spec.field(&reading.field).unwrap();
            assert_eq!(field.kind, crate::model::kind_of(&reading.value));
        }
    }
}

proptest! {
    #[test]
    fn a_sentence_may_say_anything(sentences in proptest::collection::vec(
        ("(GP|GN|GL|XX)(GGA|RMC|VTG|GSA|GSV)", "(,[0-9NSEWATMK.-]{0,11}){0,40}"),
        1..20,
    )) {
        let sentences: Vec<_> = sentences.iter().map(|(name, rest)| summed(&format!("{name}{rest}"))).collect();
        let sentences: Vec<_> = sentences.iter().map(String::as_str).collect();
        let mut receiver = receiver();
        let heard = hear(&mut receiver, &sentences);
        prop_assert!(heard.len() <= sentences.len());
        prop_assert!(receiver.moment.in_view.len() <= TALKERS);
    }
}

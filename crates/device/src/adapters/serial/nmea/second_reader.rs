//! The same sentences read by another's parser (`nmea`): both see the same.

use super::tests::{hear, receiver, summed};
use super::*;
use ::nmea::{ParseResult, parse_str};
use proptest::prelude::*;

/// Digits as receivers write them, and the hemisphere.
fn position() -> impl Strategy<Value = String> {
    let minutes = |most: u32| (0..most, 0..60_u32, 0..100_000_u32);
    (minutes(90), any::<bool>(), minutes(180), any::<bool>()).prop_map(|(lat, north, lon, east)| {
        format!(
            "{:02}{:02}.{:05},{},{:03}{:02}.{:05},{}",
            lat.0,
            lat.1,
            lat.2,
            if north { 'N' } else { 'S' },
            lon.0,
            lon.1,
            lon.2,
            if east { 'E' } else { 'W' },
        )
    })
}

fn time() -> impl Strategy<Value = String> {
    (0..24, 0..60, 0..60, 0..100).prop_map(|(h, m, s, c)| format!("{h:02}{m:02}{s:02}.{c:02}"))
}

/// A number with so many decimals.
fn measure(most: u32, decimals: u32) -> impl Strategy<Value = String> {
    let scale = 10_u32.pow(decimals);
    let width = decimals as usize;
    (0..most * scale).prop_map(move |n| format!("{}.{:0width$}", n / scale, n % scale))
}

fn ours(sentence: &str) -> Sample {
    hear(&mut receiver(), &[sentence]).remove(0)
}

fn theirs(sentence: &str) -> ParseResult {
    parse_str(&format!("${sentence}\r\n")).unwrap()
}

/// Whether both read the field, and the same.
fn agree(sample: &Sample, field: &str, theirs: Option<f64>, within: f64) {
    let reading = sample.readings.iter().find(|r| &*r.field == field);
    let ours = reading.and_then(|r| crate::model::as_f64(&r.value));
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => {
            assert!(
                (ours - theirs).abs() <= within,
                "{field}: {ours} and {theirs}"
            );
        }
        (ours, theirs) => assert_eq!(ours, theirs, "{field}"),
    }
}

fn clock(sample: &Sample) -> String {
    let utc = datetime::utc(sample.at.as_unix_ms());
    utc.as_str().get(11..23).unwrap_or_default().to_owned()
}

proptest! {
    #[test]
    fn gga_is_read_alike(
        time in time(),
        position in position(),
        quality in 1..9_u8,
        used in 0..40_u8,
        hdop in measure(50, 2),
        altitude in measure(9000, 1),
    ) {
        let said = summed(&format!(
            "GNGGA,{time},{position},{quality},{used:02},{hdop},{altitude},M,46.9,M,,"
        ));
        let ours = ours(&said);
        let ParseResult::GGA(theirs) = theirs(&said) else { panic!("{said}") };
        agree(&ours, "latitude", theirs.latitude, 1e-7);
        agree(&ours, "longitude", theirs.longitude, 1e-7);
        agree(&ours, "altitude", theirs.altitude.map(f64::from), 1e-2);
        agree(&ours, "hdop", theirs.hdop.map(f64::from), 1e-4);
        agree(&ours, "satellites", theirs.fix_satellites.map(f64::from), 0.0);
        // Theirs leaves out a fraction of nothing.
        let time = theirs.fix_time.unwrap().to_string();
        prop_assert_eq!(clock(&ours), format!("{time:.12}{}", if time.len() < 9 { ".000" } else { "" }));
    }

    #[test]
    fn rmc_is_read_alike(
        time in time(),
        position in position(),
        knots in measure(400, 2),
        course in measure(360, 1),
        day in 1..29_u8,
        month in 1..13_u8,
        year in 0..70_u8,
    ) {
        let said = summed(&format!(
            "GPRMC,{time},A,{position},{knots},{course},{day:02}{month:02}{year:02},,,A"
        ));
        let ours = ours(&said);
        let ParseResult::RMC(theirs) = theirs(&said) else { panic!("{said}") };
        agree(&ours, "latitude", theirs.lat, 1e-7);
        agree(&ours, "longitude", theirs.lon, 1e-7);
        let kmh = theirs.speed_over_ground.map(|knots| f64::from(knots) * 1.852);
        agree(&ours, "speed", kmh, 1e-3);
        agree(&ours, "course", theirs.true_course.map(f64::from), 1e-3);
        let utc = datetime::utc(ours.at.as_unix_ms());
        prop_assert_eq!(utc.get(..10).unwrap(), theirs.fix_date.unwrap().to_string());
    }

    #[test]
    fn vtg_and_gsa_are_read_alike(
        course in measure(360, 1),
        knots in measure(400, 1),
        dops in (measure(50, 1), measure(50, 1), measure(50, 1)),
    ) {
        let said = summed(&format!("GPVTG,{course},T,,M,{knots},N,,,A"));
        let vtg = ours(&said);
        if let ParseResult::VTG(theirs) = theirs(&said) {
            agree(&vtg, "course", theirs.true_course.map(f64::from), 1e-3);
            let kmh = theirs.speed_over_ground.map(|knots| f64::from(knots) * 1.852);
            agree(&vtg, "speed", kmh, 1e-2);
        }
        let (pdop, hdop, vdop) = dops;
        let said = summed(&format!("GPGSA,A,3,04,05,,09,12,,,24,,,,,{pdop},{hdop},{vdop}"));
        let gsa = ours(&said);
        let ParseResult::GSA(theirs) = theirs(&said) else { panic!("{said}") };
        agree(&gsa, "pdop", theirs.pdop.map(f64::from), 1e-3);
        agree(&gsa, "hdop", theirs.hdop.map(f64::from), 1e-3);
        agree(&gsa, "vdop", theirs.vdop.map(f64::from), 1e-3);
    }
}

//! What a telegram's lines say: OBIS codes with their values (IEC 62056-61), and which field
//! each is (DSMR 5.0.2 P1 §6.12, e-MUCS P1 of Belgium). No I/O.

use stanchion_reliability::store::WallTime;
use stanchion_stanza::Text;
use stanchion_stanza::payload::datetime;

use crate::model::{Categories, FieldSpec, Kind, Value, number, units};

/// The most values of a line that are looked at.
const VALUES: usize = 8;
/// The longest text that is told.
const TEXT: usize = 2048;

/// A line: a code, and what stands in its parentheses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Object<'a> {
    /// Such as `1-0:1.8.1`.
    pub(crate) code: &'a str,
    /// Without parentheses.
    pub(crate) values: Vec<&'a str>,
}

impl<'a> Object<'a> {
    /// Reads a line; `None` if it is none with a code.
    pub(crate) fn read(line: &'a str) -> Option<Self> {
        let (code, mut rest) = line.trim().split_once('(')?;
        let mut values = Vec::new();
        while values.len() < VALUES {
            let (value, behind) = rest.split_once(')')?;
            values.push(value);
            match behind.strip_prefix('(') {
                Some(next) => rest = next,
                None => break,
            }
        }
        code.contains(':').then_some(Self { code, values })
    }

    /// The channel of the M-Bus that it is about, and the rest of its code: `0-1:24.2.1`
    /// is `24.2.1` on channel 1.
    pub(crate) fn channel(&self) -> Option<(u8, &'a str)> {
        let (channel, rest) = self.code.strip_prefix("0-")?.split_once(':')?;
        let channel = channel.parse().ok()?;
        (1..=4).contains(&channel).then_some((channel, rest))
    }
}

/// What a value is read as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A number with a unit, told in this one.
    Measure(&'static str),
    /// A whole number.
    Count,
    /// Octets, two digits each; told as text if they are.
    Octets,
    /// As it stands.
    Plain,
}

/// A code that is told as a field.
#[derive(Debug)]
pub(crate) struct Entry {
    /// The code, without its channel for what is on the M-Bus.
    pub(crate) code: &'static str,
    /// The field's name.
    pub(crate) field: &'static str,
    /// What its value is.
    pub(crate) form: Form,
    /// Its kind in XEP-0323.
    pub(crate) categories: Categories,
}

const fn entry(
    code: &'static str,
    field: &'static str,
    form: Form,
    categories: Categories,
) -> Entry {
    Entry {
        code,
        field,
        form,
        categories,
    }
}

const NOW: Categories = Categories::MOMENTARY;
const ID: Categories = Categories::IDENTITY;
const STATUS: Categories = Categories::STATUS;
const PEAK: Categories = Categories::PEAK;
use Form::{Count, Measure, Octets, Plain};

/// The codes of the meter itself. "Delivered" is what the house took, "returned" what it
/// gave.
pub(crate) const METER: &[Entry] = &[
    entry("1-3:0.2.8", "version", Plain, ID),
    entry("0-0:96.1.1", "equipment", Octets, ID),
    entry("1-0:1.8.0", "energy-delivered", Measure("kWh"), NOW),
    entry("1-0:1.8.1", "energy-delivered-1", Measure("kWh"), NOW),
    entry("1-0:1.8.2", "energy-delivered-2", Measure("kWh"), NOW),
    entry("1-0:2.8.0", "energy-returned", Measure("kWh"), NOW),
    entry("1-0:2.8.1", "energy-returned-1", Measure("kWh"), NOW),
    entry("1-0:2.8.2", "energy-returned-2", Measure("kWh"), NOW),
    entry("1-0:3.8.0", "reactive-delivered", Measure("kvarh"), NOW),
    entry("1-0:4.8.0", "reactive-returned", Measure("kvarh"), NOW),
    entry("0-0:96.14.0", "tariff", Count, STATUS),
    entry("1-0:1.7.0", "power-delivered", Measure("kW"), NOW),
    entry("1-0:2.7.0", "power-returned", Measure("kW"), NOW),
    entry("1-0:1.4.0", "demand", Measure("kW"), NOW),
    entry("1-0:1.6.0", "demand-peak", Measure("kW"), PEAK),
    entry("1-0:32.7.0", "voltage-l1", Measure("V"), NOW),
    entry("1-0:52.7.0", "voltage-l2", Measure("V"), NOW),
    entry("1-0:72.7.0", "voltage-l3", Measure("V"), NOW),
    entry("1-0:31.7.0", "current-l1", Measure("A"), NOW),
    entry("1-0:51.7.0", "current-l2", Measure("A"), NOW),
    entry("1-0:71.7.0", "current-l3", Measure("A"), NOW),
    entry("1-0:21.7.0", "power-delivered-l1", Measure("kW"), NOW),
    entry("1-0:41.7.0", "power-delivered-l2", Measure("kW"), NOW),
    entry("1-0:61.7.0", "power-delivered-l3", Measure("kW"), NOW),
    entry("1-0:22.7.0", "power-returned-l1", Measure("kW"), NOW),
    entry("1-0:42.7.0", "power-returned-l2", Measure("kW"), NOW),
    entry("1-0:62.7.0", "power-returned-l3", Measure("kW"), NOW),
    entry("0-0:17.0.0", "power-limit", Measure("kW"), STATUS),
    entry("0-0:96.3.10", "breaker", Count, STATUS),
    entry("0-0:96.7.21", "power-failures", Count, STATUS),
    entry("0-0:96.7.9", "long-power-failures", Count, STATUS),
    entry("1-0:32.32.0", "voltage-sags-l1", Count, STATUS),
    entry("1-0:52.32.0", "voltage-sags-l2", Count, STATUS),
    entry("1-0:72.32.0", "voltage-sags-l3", Count, STATUS),
    entry("1-0:32.36.0", "voltage-swells-l1", Count, STATUS),
    entry("1-0:52.36.0", "voltage-swells-l2", Count, STATUS),
    entry("1-0:72.36.0", "voltage-swells-l3", Count, STATUS),
    entry("0-0:96.13.0", "message", Octets, STATUS),
];

/// The codes of what is on the meter's M-Bus, the channel left out. Its count has a field by
/// its unit: see [`counted`].
pub(crate) const ON_BUS: &[Entry] = &[
    entry("96.1.0", "equipment", Octets, ID),
    entry("96.1.1", "equipment", Octets, ID),
    entry("24.4.0", "valve", Count, STATUS),
    entry("24.2.1", "volume", Measure("m3"), NOW),
    entry("24.2.3", "volume", Measure("m3"), NOW),
];

/// The field for what a meter on the bus counts in that unit: gas and water a volume, heat
/// and other electricity an energy.
pub(crate) fn counted(unit: &str) -> (&'static str, &'static str) {
    match units::canonical(unit) {
        Some("kWh") => ("energy", "kWh"),
        Some("GJ" | "MJ") => ("energy", "GJ"),
        _ => ("volume", "m3"),
    }
}

/// What a device on the bus is, by its number (DSMR 5.0.2 P1 §6.12, EN 13757-3 table 3).
pub(crate) fn device(number: &str) -> &'static str {
    match number.trim_start_matches('0') {
        "2" => "electricity",
        "3" => "gas",
        "4" | "10" | "11" | "12" | "13" => "heat",
        "6" | "7" | "8" => "water",
        _ => "meter",
    }
}

/// The field that an entry is.
pub(crate) fn field(name: &'static str, form: Form, categories: Categories) -> FieldSpec {
    let name = Text::from_static(name);
    let field = match form {
        Measure(unit) => FieldSpec::numeric(name, Text::from_static(unit)),
        Count => FieldSpec::new(name, Kind::Long),
        Octets | Plain => FieldSpec::new(name, Kind::String),
    };
    field.of(categories)
}

/// What a value says; `None` if it is none of that form.
pub(crate) fn value(text: &str, form: Form) -> Option<Value> {
    match form {
        Measure(unit) => measure(text, unit),
        Count => text.parse().ok().map(Value::Long),
        Octets => Text::new(octets(text)).ok().map(Value::String),
        Plain => {
            let text: String = text.chars().take(TEXT).collect();
            Text::new(text).ok().map(Value::String)
        }
    }
}

/// `000123.450*kWh`, with the decimals that the meter has.
fn measure(text: &str, wanted: &'static str) -> Option<Value> {
    let (digits, unit) = text.split_once('*')?;
    let (whole, decimals) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let whole_digits = whole.strip_prefix('-').unwrap_or(whole);
    if whole_digits.is_empty() || digits.len() > 20 {
        return None;
    }
    if !is_number(whole_digits) || !is_number(decimals) {
        return None;
    }
    let read: f64 = digits.parse().ok()?;
    let told = units::convert(read, unit, wanted)?;
    // Another unit than usual: 6 decimals more are enough for a factor of a million.
    let same = units::canonical(unit) == Some(wanted);
    let decimals = decimals.len() + if same { 0 } else { 6 };
    number(told, decimals, Text::from_static(wanted)).ok()
}

/// Octets as the text that they are; as their digits if they are none.
fn octets(digits: &str) -> String {
    let digits = digits.get(..2 * TEXT).unwrap_or(digits);
    let pairs = digits.as_bytes().chunks(2);
    let octets: Option<String> = pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?;
            let octet = u8::from_str_radix(pair, 16).ok()?;
            (octet.is_ascii_graphic() || octet == b' ').then_some(char::from(octet))
        })
        .collect();
    octets.unwrap_or_else(|| digits.chars().take(TEXT).collect())
}

/// `YYMMDDhhmmssX`, the meter's own time: `X` is `S` in summer, an hour more ahead of UTC
/// than `winter_ms`, and `W` in winter.
pub(crate) fn timestamp(text: &str, winter_ms: i64) -> Option<WallTime> {
    let (digits, season) = text.split_at_checked(12)?;
    let ahead = match season {
        "S" => winter_ms + 3_600_000,
        "W" => winter_ms,
        _ => return None,
    };
    if !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| digits.get(at..at + 2).unwrap_or_default();
    let iso = format!(
        "20{}-{}-{}T{}:{}:{}Z",
        part(0),
        part(2),
        part(4),
        part(6),
        part(8),
        part(10)
    );
    Some(WallTime::from_unix_ms(datetime::unix_ms(&iso)? - ahead))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CET: i64 = 3_600_000;

    fn told(text: &str, unit: &'static str) -> Option<String> {
        match value(text, Measure(unit))? {
            Value::Numeric { value, unit } => Some(format!("{} {unit}", value.as_str())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_hour_that_is_there_twice_is_told_apart() {
        let summer = timestamp("261025023000S", CET).unwrap();
        let winter = timestamp("261025023000W", CET).unwrap();
        assert_eq!(
            datetime::utc(summer.as_unix_ms()),
            "2026-10-25T00:30:00.000Z"
        );
        assert_eq!(winter.as_unix_ms() - summer.as_unix_ms(), 3_600_000);
    }

    #[test]
    fn a_time_that_is_none_is_no_time() {
        for text in [
            "",
            "261325023000W",
            "260230000000W",
            "26102502300",
            "2610250230é0W",
        ] {
            assert_eq!(timestamp(text, CET), None, "{text}");
        }
        assert_eq!(timestamp("261025023000", CET), None);
        assert_eq!(timestamp("261025023000X", CET), None);
    }

    #[test]
    fn the_decimals_of_the_meter_are_kept() {
        assert_eq!(told("000123.450*kWh", "kWh").unwrap(), "123.450 kWh");
        assert_eq!(told("0000.000*kW", "kW").unwrap(), "0.000 kW");
        assert_eq!(told("002*A", "A").unwrap(), "2 A");
        assert_eq!(told("01193*W", "kW").unwrap(), "1.193000 kW");
    }

    #[test]
    fn what_is_no_measure_is_left_out() {
        for text in [
            "",
            "1",
            "*kWh",
            "1e9*kWh",
            "inf*kWh",
            "1.2.3*kWh",
            "5*m3",
            "+1*kWh",
            "-*kWh",
        ] {
            assert_eq!(told(text, "kWh"), None, "{text}");
        }
    }

    #[test]
    fn a_line_has_a_code_and_values() {
        let gas = Object::read("0-1:24.2.1(101209112500W)(12785.123*m3)").unwrap();
        assert_eq!(gas.channel(), Some((1, "24.2.1")));
        assert_eq!(gas.values, ["101209112500W", "12785.123*m3"]);
        assert_eq!(Object::read("1-3:0.2.8(50").map(|o| o.code), None);
        assert_eq!(Object::read("0-0:96.13.0()").unwrap().values, [""]);
        assert_eq!(Object::read("0-0:1.0.0(1)").unwrap().channel(), None);
        assert_eq!(Object::read("0-5:24.2.1(1)").unwrap().channel(), None);
    }

    #[test]
    fn octets_are_text_where_they_are() {
        assert_eq!(
            octets("4B384547303034303436333935353037"),
            "K8EG004046395507"
        );
        assert_eq!(octets("FF00"), "FF00");
        assert_eq!(octets("4B3"), "4B3");
        assert_eq!(octets(""), "");
    }

    #[test]
    fn every_code_stands_once() {
        for table in [METER, ON_BUS] {
            let mut codes: Vec<_> = table.iter().map(|e| e.code).collect();
            codes.sort_unstable();
            codes.dedup();
            assert_eq!(codes.len(), table.len());
        }
    }

    proptest! {
        #[test]
        fn any_text_may_stand_there(text in ".{0,40}") {
            let _ = Object::read(&text).map(|o| o.channel());
            let _ = timestamp(&text, CET);
            for form in [Measure("kWh"), Count, Octets, Plain] {
                let _ = value(&text, form);
            }
        }
    }
}

//! Units of measures: the one spelling that goes on the wire, the others that devices and
//! people use for it, and what a number in one is in another. The names are those of SenML
//! (RFC 8428 §12.1, secondary ones RFC 8798 §3); where it has none, those of UCUM.

/// A unit, and what makes it one of its family.
struct Unit {
    /// As it is written on the wire.
    name: &'static str,
    /// How else it is written.
    others: &'static [&'static str],
    /// What it measures, by the unit that stands for the family.
    family: &'static str,
    /// What one of it is in that unit, once `offset` was added.
    factor: f64,
    /// What is added before: nothing but with temperatures.
    offset: f64,
}

const fn unit(
    name: &'static str,
    others: &'static [&'static str],
    family: &'static str,
    factor: f64,
) -> Unit {
    Unit {
        name,
        others,
        family,
        factor,
        offset: 0.0,
    }
}

const fn temperature(
    name: &'static str,
    others: &'static [&'static str],
    factor: f64,
    offset: f64,
) -> Unit {
    Unit {
        name,
        others,
        family: "K",
        factor,
        offset,
    }
}

const PI: f64 = std::f64::consts::PI;

/// The units that there are. A spelling stands here once: letters of another case are
/// another spelling, as `MW` is not `mW`.
const UNITS: &[Unit] = &[
    // Temperature.
    temperature("K", &["kelvin"], 1.0, 0.0),
    temperature(
        "Cel",
        &["°C", "℃", "C°", "degC", "celsius", "Celsius"],
        1.0,
        273.15,
    ),
    temperature(
        "[degF]",
        &["°F", "℉", "degF", "fahrenheit", "Fahrenheit"],
        5.0 / 9.0,
        459.67,
    ),
    // Length and area.
    unit("m", &["metre", "meter"], "m", 1.0),
    unit("mm", &[], "m", 0.001),
    unit("cm", &[], "m", 0.01),
    unit("km", &[], "m", 1000.0),
    unit("[in_i]", &["in", "inch"], "m", 0.0254),
    unit("[ft_i]", &["ft", "foot"], "m", 0.3048),
    unit("[mi_i]", &["mi", "mile"], "m", 1609.344),
    unit("[nmi_i]", &["nmi", "NM"], "m", 1852.0),
    unit("m2", &["m²", "sqm"], "m2", 1.0),
    // Volume and flow.
    unit("m3", &["m³", "cbm"], "m3", 1.0),
    unit("l", &["L", "litre", "liter"], "m3", 0.001),
    unit("m3/s", &["m³/s"], "m3/s", 1.0),
    unit("m3/h", &["m³/h"], "m3/s", 1.0 / 3600.0),
    unit("l/s", &["L/s"], "m3/s", 0.001),
    unit("l/h", &["L/h"], "m3/s", 0.001 / 3600.0),
    // Mass.
    unit("kg", &[], "kg", 1.0),
    unit("g", &[], "kg", 0.001),
    unit("t", &[], "kg", 1000.0),
    unit("g/s", &[], "g/s", 1.0),
    unit("kg/h", &[], "g/s", 1.0 / 3.6),
    // Time and frequency.
    unit("s", &["sec", "second", "seconds"], "s", 1.0),
    unit("ms", &[], "s", 0.001),
    unit("min", &["minute", "minutes"], "s", 60.0),
    unit("h", &["hour", "hours"], "s", 3600.0),
    unit("d", &["day", "days"], "s", 86_400.0),
    unit("Hz", &["hertz"], "Hz", 1.0),
    unit("kHz", &[], "Hz", 1e3),
    unit("MHz", &[], "Hz", 1e6),
    unit("1/s", &[], "1/s", 1.0),
    unit("1/min", &["rpm", "RPM", "/min"], "1/s", 1.0 / 60.0),
    unit("beat/min", &["bpm", "BPM", "{beats}/min"], "beat/min", 1.0),
    // Speed and acceleration.
    unit("m/s", &[], "m/s", 1.0),
    unit("km/h", &["kph", "kmh", "km/hr"], "m/s", 1.0 / 3.6),
    unit(
        "[kn_i]",
        &["kn", "kt", "knot", "knots"],
        "m/s",
        1852.0 / 3600.0,
    ),
    unit("[mi_i]/h", &["mph"], "m/s", 0.44704),
    unit("m/s2", &["m/s²"], "m/s2", 1.0),
    // Angles. Latitude and longitude are no angles that could be told as others.
    unit("rad", &[], "rad", 1.0),
    unit("deg", &["°", "degree", "degrees"], "rad", PI / 180.0),
    unit("lat", &[], "lat", 1.0),
    unit("lon", &[], "lon", 1.0),
    // Pressure.
    unit("Pa", &["pascal"], "Pa", 1.0),
    unit("hPa", &["mbar"], "Pa", 100.0),
    unit("kPa", &[], "Pa", 1000.0),
    unit("bar", &[], "Pa", 1e5),
    unit("[psi]", &["psi"], "Pa", 6_894.757_293_168),
    unit("mm[Hg]", &["mmHg"], "Pa", 133.322_387_415),
    // Electricity.
    unit("V", &["volt", "volts"], "V", 1.0),
    unit("mV", &[], "V", 0.001),
    unit("uV", &["µV", "μV"], "V", 1e-6),
    unit("kV", &[], "V", 1000.0),
    unit("A", &["ampere", "amp"], "A", 1.0),
    unit("mA", &[], "A", 0.001),
    unit("Ohm", &["Ω", "\u{2126}", "ohm"], "Ohm", 1.0),
    unit("kOhm", &["kΩ", "k\u{2126}", "kohm"], "Ohm", 1000.0),
    unit("W", &["watt", "watts"], "W", 1.0),
    unit("kW", &["KW"], "W", 1000.0),
    unit("MW", &[], "W", 1e6),
    unit("VA", &[], "VA", 1.0),
    unit("kVA", &[], "VA", 1000.0),
    unit("var", &["VAr", "VAR"], "var", 1.0),
    unit("kvar", &["kVAr", "kVAR"], "var", 1000.0),
    unit("J", &["Ws"], "J", 1.0),
    unit("kJ", &[], "J", 1e3),
    unit("MJ", &[], "J", 1e6),
    unit("GJ", &[], "J", 1e9),
    unit("Wh", &[], "J", 3600.0),
    unit("kWh", &["KWh", "kwh"], "J", 3.6e6),
    unit("MWh", &[], "J", 3.6e9),
    unit("varh", &["VArh", "VARh"], "varh", 1.0),
    unit("kvarh", &["kVArh", "kVARh"], "varh", 1000.0),
    unit("C", &["coulomb"], "C", 1.0),
    unit("Ah", &[], "C", 3600.0),
    unit("F", &["farad"], "F", 1.0),
    unit("H", &["henry"], "H", 1.0),
    // Light, sound, radio.
    unit("lm", &["lumen"], "lm", 1.0),
    unit("lx", &["lux"], "lx", 1.0),
    unit("cd", &["candela"], "cd", 1.0),
    unit("W/m2", &["W/m²"], "W/m2", 1.0),
    unit("dB", &[], "dB", 1.0),
    unit("dBm", &[], "dBm", 1.0),
    // Forces, radiation, chemistry.
    unit("N", &["newton"], "N", 1.0),
    unit("N.m", &["Nm", "N·m"], "N.m", 1.0),
    unit("Bq", &[], "Bq", 1.0),
    unit("Sv", &[], "Sv", 1.0),
    unit("uSv/h", &["µSv/h", "μSv/h"], "uSv/h", 1.0),
    unit("pH", &[], "pH", 1.0),
    unit("ug/m3", &["µg/m3", "µg/m³", "μg/m³"], "ug/m3", 1.0),
    // Shares and numbers. A share of what a battery holds, or of moisture, is told as such.
    unit("/", &["1"], "/", 1.0),
    unit("%", &["percent", "pct"], "/", 0.01),
    unit("ppm", &["[ppm]"], "/", 1e-6),
    unit("%RH", &["% RH", "%rH"], "%RH", 1.0),
    unit("%EL", &[], "%EL", 1.0),
    unit("count", &[], "count", 1.0),
    // Data.
    unit("bit", &[], "bit", 1.0),
    unit("B", &["byte", "bytes"], "bit", 8.0),
    unit("KiB", &[], "bit", 8192.0),
    unit("bit/s", &["bps"], "bit/s", 1.0),
    unit("B/s", &[], "bit/s", 8.0),
    unit("Mbit/s", &["Mbps"], "bit/s", 1e6),
];

fn find(spelling: &str) -> Option<&'static Unit> {
    let spelling = spelling.trim();
    UNITS
        .iter()
        .find(|unit| unit.name == spelling || unit.others.contains(&spelling))
}

/// The spelling of a unit that goes on the wire. `None` if it is not known: it is then
/// told as the device wrote it.
///
/// ```
/// use stanchion_device::model::units::canonical;
/// assert_eq!(canonical("°C"), Some("Cel"));
/// assert_eq!(canonical("m³"), Some("m3"));
/// assert_eq!(canonical("furlong"), None);
/// ```
#[must_use]
pub fn canonical(unit: &str) -> Option<&'static str> {
    find(unit).map(|unit| unit.name)
}

/// What people write for a unit of the wire: `°C` for `Cel`. A unit that has no other
/// sign, or is not known, stays as it is.
///
/// ```
/// use stanchion_device::model::units::display;
/// assert_eq!(display("Cel"), "°C");
/// assert_eq!(display("kWh"), "kWh");
/// ```
#[must_use]
pub fn display(unit: &str) -> &str {
    match canonical(unit) {
        Some("Cel") => "°C",
        Some("[degF]") => "°F",
        Some("m2") => "m²",
        Some("m3") => "m³",
        Some("m3/s") => "m³/s",
        Some("m3/h") => "m³/h",
        Some("m/s2") => "m/s²",
        Some("W/m2") => "W/m²",
        Some("ug/m3") => "µg/m³",
        Some("uSv/h") => "µSv/h",
        Some("uV") => "µV",
        Some("deg" | "lat" | "lon") => "°",
        Some("Ohm") => "Ω",
        Some("kOhm") => "kΩ",
        Some("[kn_i]") => "kn",
        Some("[mi_i]/h") => "mph",
        Some("mm[Hg]") => "mmHg",
        Some("[psi]") => "psi",
        Some("/") => "",
        Some(name) => name,
        None => unit,
    }
}

/// What a number in one unit is in another of the same family, by any spelling of both.
/// `None` if one is not known, or if they do not measure the same. One and the same unit,
/// known or not, changes nothing.
///
/// ```
/// use stanchion_device::model::units::convert;
/// assert_eq!(convert(2.5, "kWh", "Wh"), Some(2500.0));
/// assert_eq!(convert(1.0, "kWh", "m3"), None);
/// ```
#[must_use]
pub fn convert(value: f64, from: &str, to: &str) -> Option<f64> {
    if from == to {
        return Some(value);
    }
    let (from, to) = (find(from)?, find(to)?);
    if from.name == to.name {
        return Some(value);
    }
    let common = (value + from.offset) * from.factor;
    (from.family == to.family).then(|| common / to.factor - to.offset)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn is_about(value: Option<f64>, expected: f64) {
        let value = value.unwrap();
        assert!((value - expected).abs() < 1e-9, "{value} is not {expected}");
    }

    #[test]
    fn no_spelling_means_two_units() {
        let mut seen = BTreeSet::new();
        for unit in UNITS {
            assert!(seen.insert(unit.name), "{}", unit.name);
            for other in unit.others {
                assert!(seen.insert(other), "{other}");
            }
        }
    }

    #[test]
    fn every_family_has_the_unit_that_stands_for_it() {
        for unit in UNITS {
            let head = find(unit.family).unwrap_or_else(|| panic!("{}", unit.family));
            assert_eq!((head.factor, head.offset), (1.0, 0.0), "{}", unit.family);
        }
    }

    #[test]
    fn the_spellings_of_devices_become_those_of_the_wire() {
        for (spelling, wire) in [
            ("°C", "Cel"),
            ("degC", "Cel"),
            ("kWh", "kWh"),
            ("%", "%"),
            ("m³", "m3"),
            (" kW ", "kW"),
            ("rpm", "1/min"),
            ("kph", "km/h"),
        ] {
            assert_eq!(canonical(spelling), Some(wire), "{spelling}");
        }
        for unknown in ["", "kwH", "parsec", "°c"] {
            assert_eq!(canonical(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn what_people_read_is_the_same_unit() {
        for unit in UNITS {
            let shown = display(unit.name);
            if !shown.is_empty() && !matches!(unit.name, "lat" | "lon") {
                assert_eq!(canonical(shown), Some(unit.name));
            }
        }
        assert_eq!(display("furlong"), "furlong");
    }

    #[test]
    fn known_measures_convert() {
        is_about(convert(100.0, "°C", "°F"), 212.0);
        is_about(convert(-40.0, "[degF]", "Cel"), -40.0);
        is_about(convert(0.0, "K", "Cel"), -273.15);
        is_about(convert(1.0, "kWh", "MJ"), 3.6);
        is_about(convert(10.0, "knots", "km/h"), 18.52);
        is_about(convert(180.0, "deg", "rad"), std::f64::consts::PI);
        is_about(convert(1000.0, "l", "m3"), 1.0);
        is_about(convert(50.0, "%", "/"), 0.5);
        is_about(convert(1013.25, "mbar", "kPa"), 101.325);
    }

    #[test]
    fn what_does_not_measure_the_same_does_not_convert() {
        assert_eq!(convert(1.0, "kW", "kWh"), None);
        assert_eq!(convert(1.0, "lat", "lon"), None);
        assert_eq!(convert(1.0, "%RH", "%"), None);
        assert_eq!(convert(1.0, "furlong", "m"), None);
        assert_eq!(convert(1.5, "furlong", "furlong"), Some(1.5));
    }

    proptest! {
        #[test]
        fn there_and_back_is_the_same(
            value in -1e6..1e6f64,
            from in 0..UNITS.len(),
            to in 0..UNITS.len(),
        ) {
            let (from, to) = (UNITS[from].name, UNITS[to].name);
            if let Some(there) = convert(value, from, to) {
                let back = convert(there, to, from).unwrap();
                prop_assert!((back - value).abs() <= 1e-6, "{value} {from} {to} {back}");
            }
        }

        #[test]
        fn any_text_may_be_asked_for(unit in ".{0,12}") {
            let _ = (canonical(&unit), convert(1.0, &unit, "m"));
            let _ = display(&unit);
        }
    }
}

//! What a car can be asked, and what its answers mean: parameters of service 01 with their
//! formulas (SAE J1979, ISO 15031-5), its number, its trouble codes (SAE J2012). No I/O.

use stanchion_stanza::Text;

use crate::model::{FieldSpec, Value, number};

/// The most trouble codes that are told.
const CODES: usize = 64;

/// A parameter of service 01.
#[derive(Debug)]
pub(crate) struct Pid {
    /// Its number.
    pub(crate) id: u8,
    /// The field's name.
    pub(crate) field: &'static str,
    unit: &'static str,
    form: Form,
}

/// How its bytes become a number.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// `A · factor + offset`, with so many decimals.
    Byte(f64, f64, usize),
    /// `(256 A + B) · factor`, with so many decimals.
    Word(f64, usize),
}
use Form::{Byte, Word};

const fn pid(id: u8, field: &'static str, unit: &'static str, form: Form) -> Pid {
    Pid {
        id,
        field,
        unit,
        form,
    }
}

const PERCENT: Form = Byte(100.0 / 255.0, 0.0, 1);
const TRIM: Form = Byte(100.0 / 128.0, -100.0, 1);
const CELSIUS: Form = Byte(1.0, -40.0, 0);

/// The parameters that are asked for where a car has them.
pub(crate) const PIDS: &[Pid] = &[
    pid(0x04, "engine-load", "%", PERCENT),
    pid(0x05, "coolant-temperature", "Cel", CELSIUS),
    pid(0x06, "short-fuel-trim", "%", TRIM),
    pid(0x07, "long-fuel-trim", "%", TRIM),
    pid(0x0A, "fuel-pressure", "kPa", Byte(3.0, 0.0, 0)),
    pid(0x0B, "intake-pressure", "kPa", Byte(1.0, 0.0, 0)),
    pid(0x0C, "engine-speed", "1/min", Word(0.25, 2)),
    pid(0x0D, "speed", "km/h", Byte(1.0, 0.0, 0)),
    pid(0x0E, "timing-advance", "deg", Byte(0.5, -64.0, 1)),
    pid(0x0F, "intake-temperature", "Cel", CELSIUS),
    pid(0x10, "air-flow", "g/s", Word(0.01, 2)),
    pid(0x11, "throttle", "%", PERCENT),
    pid(0x1F, "run-time", "s", Word(1.0, 0)),
    pid(0x21, "distance-with-trouble", "km", Word(1.0, 0)),
    pid(0x2F, "fuel-level", "%", PERCENT),
    pid(0x31, "distance-since-clear", "km", Word(1.0, 0)),
    pid(0x33, "barometric-pressure", "kPa", Byte(1.0, 0.0, 0)),
    pid(0x42, "module-voltage", "V", Word(0.001, 3)),
    pid(0x45, "relative-throttle", "%", PERCENT),
    pid(0x46, "ambient-temperature", "Cel", CELSIUS),
    pid(0x4E, "time-since-clear", "min", Word(1.0, 0)),
    pid(0x5B, "hybrid-battery", "%", PERCENT),
    pid(0x5C, "oil-temperature", "Cel", CELSIUS),
    pid(0x5E, "fuel-rate", "l/h", Word(0.05, 2)),
];

impl Pid {
    /// The field that it is.
    pub(crate) fn spec(&self) -> FieldSpec {
        FieldSpec::numeric(Text::from_static(self.field), Text::from_static(self.unit))
    }

    /// How it is asked for.
    pub(crate) fn request(&self) -> String {
        format!("01{:02X}", self.id)
    }

    /// What the first control unit that answers says.
    pub(crate) fn value(&self, messages: &[Vec<u8>]) -> Option<Value> {
        let mut answers = messages.iter().filter_map(|message| match message[..] {
            [0x41, id, ref data @ ..] if id == self.id => Some(data),
            _ => None,
        });
        let (value, decimals) = match (self.form, answers.next()?) {
            (Byte(factor, offset, decimals), [a, ..]) => {
                (f64::from(*a) * factor + offset, decimals)
            }
            (Word(factor, decimals), [a, b, ..]) => {
                (f64::from(u16::from_be_bytes([*a, *b])) * factor, decimals)
            }
            _ => return None,
        };
        number(value, decimals, Text::from_static(self.unit)).ok()
    }
}

/// Which parameters a car has: of `base + 1` to `base + 32`, as all its control units say
/// together.
pub(crate) fn supported(base: u8, messages: &[Vec<u8>]) -> Option<u32> {
    let bitmaps = messages.iter().filter_map(|message| match message[..] {
        [0x41, id, a, b, c, d, ..] if id == base => Some(u32::from_be_bytes([a, b, c, d])),
        _ => None,
    });
    bitmaps.reduce(|one, other| one | other)
}

/// Whether the trouble light is on, and how many codes there are (parameter 01).
pub(crate) fn status(messages: &[Vec<u8>]) -> Option<(bool, u8)> {
    let mut status = None;
    for message in messages {
        if let [0x41, 0x01, a, ..] = message[..] {
            let (light, count) = status.unwrap_or_default();
            status = Some((light || a & 0x80 != 0, (a & 0x7F).saturating_add(count)));
        }
    }
    status
}

/// The vehicle identification number (service 09, 02): of one message over CAN, of five
/// with four characters each before it.
pub(crate) fn vin(messages: &[Vec<u8>]) -> Option<Text> {
    let mut parts: Vec<_> = messages
        .iter()
        .filter_map(|message| match message[..] {
            [0x49, 0x02, number, ref data @ ..] => Some((number, data)),
            _ => None,
        })
        .collect();
    // Several control units may each say all of it.
    if let Some(whole) = parts.iter().position(|(_, data)| data.len() >= 17) {
        parts = vec![parts[whole]];
    }
    parts.sort_by_key(|(number, _)| *number);
    let characters = parts.iter().flat_map(|(_, data)| data.iter());
    let vin: Vec<u8> = characters.copied().filter(|c| *c != 0).take(18).collect();
    let is_vin = vin.len() == 17 && vin.iter().all(u8::is_ascii_alphanumeric);
    let vin = is_vin.then(|| String::from_utf8(vin).ok())??;
    Text::new(vin).ok()
}

/// The stored trouble codes (service 03), each once: over CAN their number goes before
/// them, otherwise there are three in each message, zeros for none.
pub(crate) fn trouble_codes(messages: &[Vec<u8>]) -> Option<Vec<String>> {
    let mut codes = Vec::new();
    let mut answered = false;
    for message in messages {
        let [0x43, data @ ..] = &message[..] else {
            continue;
        };
        answered = true;
        let pairs = match data {
            [_, pairs @ ..] if data.len() % 2 == 1 => pairs,
            pairs => pairs,
        };
        for pair in pairs.chunks_exact(2) {
            let [a, b] = [pair[0], pair[1]];
            let letter = ["P", "C", "B", "U"][usize::from(a >> 6)];
            let code = format!("{letter}{:X}{:X}{b:02X}", a >> 4 & 3, a & 0x0F);
            if (a, b) != (0, 0) && !codes.contains(&code) && codes.len() < CODES {
                codes.push(code);
            }
        }
    }
    answered.then_some(codes)
}

/// What a car says to the order to clear its codes (service 04).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cleared {
    /// It did.
    Yes,
    /// It is about to: another answer will come.
    Pending,
    /// It did not, for this reason (ISO 14229-1 table A.1).
    Refused(u8),
    /// It says something else.
    Unclear,
}

/// Of several control units, the one that refuses counts.
pub(crate) fn cleared(messages: &[Vec<u8>]) -> Cleared {
    let mut outcome = Cleared::Unclear;
    for message in messages {
        match message[..] {
            [0x7F, 0x04, 0x78, ..] if outcome == Cleared::Unclear => outcome = Cleared::Pending,
            [0x7F, 0x04, 0x78, ..] => {}
            [0x7F, 0x04, why, ..] => return Cleared::Refused(why),
            [0x44, ..] => outcome = Cleared::Yes,
            _ => {}
        }
    }
    outcome
}

/// `12.6V`, of the ELM327 itself.
pub(crate) fn voltage(said: &[String]) -> Option<Value> {
    let digits = said.iter().find_map(|line| line.strip_suffix('V'))?.trim();
    let is_number = digits.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let volts: f64 = digits.parse().ok().filter(|_| is_number)?;
    number(volts, 1, Text::from_static("V")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn told(field: &str, message: &[u8]) -> Option<String> {
        let pid = PIDS.iter().find(|pid| pid.field == field).unwrap();
        match pid.value(&[message.to_vec()])? {
            Value::Numeric { value, unit } => Some(format!("{} {unit}", value.as_str())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_formulas_are_those_of_the_standard() {
        for (field, message, expected) in [
            ("engine-load", &[0x41, 0x04, 0xFF][..], "100.0 %"),
            ("coolant-temperature", &[0x41, 0x05, 0x5F], "55 Cel"),
            ("short-fuel-trim", &[0x41, 0x06, 0x78], "-6.2 %"),
            ("fuel-pressure", &[0x41, 0x0A, 0x64], "300 kPa"),
            ("intake-pressure", &[0x41, 0x0B, 0x26], "38 kPa"),
            ("engine-speed", &[0x41, 0x0C, 0x14, 0x5F], "1303.75 1/min"),
            ("speed", &[0x41, 0x0D, 0x72], "114 km/h"),
            ("timing-advance", &[0x41, 0x0E, 0x75], "-5.5 deg"),
            ("intake-temperature", &[0x41, 0x0F, 0x00], "-40 Cel"),
            ("air-flow", &[0x41, 0x10, 0x02, 0x8A], "6.50 g/s"),
            ("throttle", &[0x41, 0x11, 0x33], "20.0 %"),
            ("run-time", &[0x41, 0x1F, 0x01, 0x00], "256 s"),
            ("module-voltage", &[0x41, 0x42, 0x39, 0xD6], "14.806 V"),
            ("fuel-rate", &[0x41, 0x5E, 0x00, 0x64], "5.00 l/h"),
        ] {
            assert_eq!(told(field, message).as_deref(), Some(expected), "{field}");
        }
    }

    #[test]
    fn an_answer_to_something_else_or_too_short_is_none() {
        assert_eq!(told("engine-speed", &[0x41, 0x0C, 0x14]), None);
        assert_eq!(told("engine-speed", &[0x41, 0x0D, 0x14, 0x5F]), None);
        assert_eq!(told("engine-speed", &[0x7F, 0x01, 0x12]), None);
    }

    #[test]
    fn a_bitmap_tells_what_there_is() {
        let one = vec![0x41, 0x00, 0xBE, 0x3F, 0xA8, 0x13];
        let other = vec![0x41, 0x00, 0x40, 0, 0, 0];
        assert_eq!(supported(0, std::slice::from_ref(&one)), Some(0xBE3F_A813));
        assert_eq!(supported(0, &[one.clone(), other]), Some(0xFE3F_A813));
        assert_eq!(supported(0x20, &[one]), None);
    }

    #[test]
    fn codes_are_written_as_people_know_them() {
        let can = vec![0x43, 0x02, 0x01, 0x43, 0xC1, 0x00];
        assert_eq!(trouble_codes(&[can]).unwrap(), ["P0143", "U0100"]);
        let before = vec![0x43, 0x01, 0x43, 0x92, 0x34, 0x00, 0x00];
        assert_eq!(trouble_codes(&[before]).unwrap(), ["P0143", "B1234"]);
        assert_eq!(trouble_codes(&[vec![0x43, 0x00]]).unwrap(), [""; 0]);
        assert_eq!(trouble_codes(&[vec![0x7F, 0x03, 0x11]]), None);
    }

    #[test]
    fn a_number_is_put_together_of_five_messages_before_can() {
        let vin_of = |text: &[u8; 20]| {
            let message = |(n, part): (u8, &[u8])| [&[0x49, 0x02, n], part].concat();
            let mut parts: Vec<_> = (1..).zip(text.chunks(4)).map(message).collect();
            parts.reverse();
            vin(&parts)
        };
        let padded = b"\0\0\x001D4GP00R55B123456";
        assert_eq!(vin_of(padded).unwrap(), "1D4GP00R55B123456");
        assert_eq!(vin_of(b"\0\0\x001D4GP00R55B1234 6"), None);
    }

    #[test]
    fn a_unit_that_refuses_to_clear_counts() {
        assert_eq!(cleared(&[vec![0x44], vec![0x44]]), Cleared::Yes);
        assert_eq!(
            cleared(&[vec![0x44], vec![0x7F, 4, 0x22]]),
            Cleared::Refused(0x22)
        );
        assert_eq!(cleared(&[vec![0x7F, 4, 0x78]]), Cleared::Pending);
        assert_eq!(cleared(&[vec![0x7F, 4, 0x78], vec![0x44]]), Cleared::Yes);
        assert_eq!(cleared(&[vec![0x41, 0]]), Cleared::Unclear);
    }

    proptest! {
        #[test]
        fn any_messages_are_survived(messages in proptest::collection::vec(
            proptest::collection::vec(
                prop_oneof![any::<u8>(), Just(0x41), Just(0x43), Just(0x49), Just(0x02), Just(0x7F)],
                0..40,
            ),
            0..8,
        )) {
            for pid in PIDS {
                let _ = pid.value(&messages);
            }
            let _ = (supported(0, &messages), status(&messages), cleared(&messages));
            let _ = vin(&messages);
            prop_assert!(trouble_codes(&messages).is_none_or(|codes| codes.len() <= CODES));
        }
    }
}

//! What a user says of a Modbus device and of its points; and whether it can be so.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::plan::Limits;
use super::point::{Common, Order, Point, PointConfig};
use super::wire::{MOST_BITS, MOST_REGISTERS};
use crate::adapter::Misuse;

/// How many points one adapter may have.
pub const MOST_POINTS: usize = 4096;

/// A device, and what is read of it. Give either `tcp` or `serial`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where it listens: host and port, such as `192.0.2.7:502` or `meter.example:502`.
    #[serde(default)]
    pub tcp: Option<String>,
    /// The serial line that it hangs on.
    #[serde(default)]
    pub serial: Option<Serial>,
    /// Which unit it is: 1 to 247; over TCP also 0 and 255, which say "the device itself".
    /// Default 1.
    #[serde(default = "one")]
    pub unit: u8,
    /// The id of the thing that its points belong to. Default `modbus-` and the unit.
    #[serde(default)]
    pub thing: Option<String>,
    /// What people call that thing. Default its id.
    #[serde(default)]
    pub label: Option<String>,
    /// How often it is read, 10 ms to 1 day. Default 1 s.
    #[serde(default = "second", with = "crate::model::sampling::time")]
    pub poll: Duration,
    /// How long an answer may take, 10 ms to 1 min. Default 1 s.
    #[serde(default = "second", with = "crate::model::sampling::time")]
    pub timeout: Duration,
    /// How long it takes at most to connect over TCP, up to 1 min. Default 5 s.
    #[serde(default = "five_seconds", with = "crate::model::sampling::time")]
    pub connect_timeout: Duration,
    /// How long to leave it in peace between two requests, up to 10 s. Default none; on a
    /// serial line never less than the silence that ends a frame.
    #[serde(default, with = "crate::model::sampling::time")]
    pub pause: Duration,
    /// How many registers, or coils, between two points may be read along with them, 0 to
    /// 125. Default 8. With 0, what was not asked for is never read.
    #[serde(default = "eight")]
    pub slack: u16,
    /// How many registers it gives in one request, 4 to 125. Default 125.
    #[serde(default = "most_registers")]
    pub registers_per_request: u16,
    /// How many coils, or discrete inputs, 1 to 2000. Default 2000.
    #[serde(default = "most_bits")]
    pub bits_per_request: u16,
    /// Whether it takes functions 15 and 16 only: then single coils and registers are
    /// written so, too. Default `false`.
    #[serde(default)]
    pub write_multiple: bool,
    /// Whether what was written is read back before it counts as done. Default `false`.
    #[serde(default)]
    pub verify: bool,
    /// In which order a value of several registers comes, unless its point says so.
    /// Default `abcd`.
    #[serde(default)]
    pub order: Order,
    /// What is read.
    pub points: Vec<PointConfig>,
}

/// A serial line, eight data bits.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Serial {
    /// Its device file, such as `/dev/ttyUSB0`.
    pub device: PathBuf,
    /// Bits a second, 300 to 4,000,000. Default 19200, as the specification has it.
    #[serde(default = "baud")]
    pub baud: u32,
    /// Default `even`, as the specification has it.
    #[serde(default)]
    pub parity: Parity,
    /// 1 or 2. Default 1 with parity, and 2 without.
    #[serde(default)]
    pub stop_bits: Option<u8>,
}

/// The parity bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Parity {
    /// Even.
    #[default]
    Even,
    /// Odd.
    Odd,
    /// None.
    None,
}

const fn one() -> u8 {
    1
}

const fn second() -> Duration {
    Duration::from_secs(1)
}

const fn five_seconds() -> Duration {
    Duration::from_secs(5)
}

const fn eight() -> u16 {
    8
}

const fn most_registers() -> u16 {
    MOST_REGISTERS
}

const fn most_bits() -> u16 {
    MOST_BITS
}

const fn baud() -> u32 {
    19_200
}

impl Serial {
    /// How many bits a character takes: start, eight of data, parity, stop.
    fn bits_of_a_character(&self) -> u32 {
        let parity = u32::from(self.parity != Parity::None);
        9 + parity + u32::from(self.stop_bits())
    }

    pub(super) fn stop_bits(&self) -> u8 {
        let spare = if self.parity == Parity::None { 2 } else { 1 };
        self.stop_bits.unwrap_or(spare)
    }

    /// The silence that ends a frame: three and a half characters, and 1.75 ms above 19200
    /// bits a second (Modbus over Serial Line §2.5.1.1).
    pub(super) fn silence(&self) -> Duration {
        if self.baud > 19_200 {
            return Duration::from_micros(1750);
        }
        let bits = f64::from(self.bits_of_a_character()) * 3.5;
        Duration::from_secs_f64(bits / f64::from(self.baud.max(1)))
    }

    fn check(&self) -> Result<(), Misuse> {
        Misuse::unless_within("serial.baud", self.baud, 300, 4_000_000)?;
        match self.stop_bits {
            None | Some(1 | 2) => Ok(()),
            Some(_) => Err(Misuse::of("serial.stop_bits", "is to be 1 or 2")),
        }
    }
}

impl Config {
    /// Checks it all.
    pub(super) fn check(&self) -> Result<Vec<Point>, Misuse> {
        match (&self.tcp, &self.serial) {
            (Some(_), None) => {}
            (None, Some(serial)) => {
                serial.check()?;
                Misuse::unless_within("unit", self.unit, 1, 247)?;
            }
            _ => return Err(Misuse::of("tcp", "give either `tcp` or `serial`")),
        }
        if let Some(tcp) = &self.tcp
            && !tcp
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
        {
            let what = format!("`{tcp}` is to be host and port, such as `192.0.2.7:502`");
            return Err(Misuse::of("tcp", what));
        }
        let ms = Duration::from_millis;
        Misuse::unless_time("poll", self.poll, ms(10), ms(86_400_000))?;
        Misuse::unless_time("timeout", self.timeout, ms(10), ms(60_000))?;
        Misuse::unless_time("connect_timeout", self.connect_timeout, ms(10), ms(60_000))?;
        Misuse::unless_time("pause", self.pause, Duration::ZERO, ms(10_000))?;
        Misuse::unless_within("slack", self.slack, 0, MOST_REGISTERS)?;
        let registers = self.registers_per_request;
        Misuse::unless_within("registers_per_request", registers, 4, MOST_REGISTERS)?;
        Misuse::unless_within("bits_per_request", self.bits_per_request, 1, MOST_BITS)?;
        Misuse::unless_within("points", self.points.len(), 1, MOST_POINTS)?;
        let thing = match &self.thing {
            Some(thing) => Misuse::unless_text("thing", thing)?,
            None => Misuse::unless_text("thing", &format!("modbus-{}", self.unit))?,
        };
        let common = Common {
            order: self.order,
            registers_per_request: self.registers_per_request,
            write_multiple: self.write_multiple,
        };
        let points: Result<Vec<_>, _> = (self.points.iter())
            .map(|point| Point::new(point, &thing, common))
            .collect();
        let points = points?;
        let mut names = std::collections::BTreeSet::new();
        for point in &points {
            if !names.insert((&point.thing, &point.field.name)) {
                let key = format!("points.{}", point.field.name);
                return Err(Misuse::of(
                    key,
                    "another point of that thing has the same name",
                ));
            }
        }
        Ok(points)
    }

    pub(super) const fn limits(&self) -> Limits {
        Limits {
            registers: self.registers_per_request,
            bits: self.bits_per_request,
            slack: self.slack,
        }
    }

    /// Where it is, for people.
    pub(super) fn place(&self) -> String {
        match (&self.tcp, &self.serial) {
            (Some(tcp), _) => format!("unit {} at {tcp}", self.unit),
            (None, Some(serial)) => format!("unit {} on {}", self.unit, serial.device.display()),
            (None, None) => format!("unit {}", self.unit),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(text: &str) -> Result<Vec<Point>, String> {
        let config: Config = toml::from_str(text).map_err(|e| e.to_string())?;
        config.check().map_err(|e| e.to_string())
    }

    const POINT: &str = "[[points]]\nname = 'a'\nkind = 'holding'\naddress = 1\n";

    #[test]
    fn what_cannot_be_right_is_named() {
        let wrong = [
            ("", "`tcp`"),
            ("tcp = 'meter'", "`tcp`"),
            ("tcp = 'm:502'\nserial = { device = '/dev/ttyS0' }", "`tcp`"),
            ("serial = { device = 'x', baud = 1 }", "`serial.baud`"),
            ("serial = { device = 'x' }\nunit = 0", "`unit`"),
            ("tcp = 'm:502'\npoll = '1ms'", "`poll`"),
            ("tcp = 'm:502'\nslack = 126", "`slack`"),
            ("tcp = 'm:502'\nspeed = 1", "speed"),
        ];
        for (head, named) in wrong {
            let error = checked(&format!("{head}\n{POINT}")).unwrap_err();
            assert!(error.contains(named), "{head}: {error}");
        }
        let twice = checked(&format!("tcp = 'm:502'\n{POINT}{POINT}"));
        assert!(twice.unwrap_err().contains("same name"));
        assert_eq!(
            checked(&format!("tcp = 'm:502'\n{POINT}")).unwrap().len(),
            1
        );
    }

    #[test]
    fn the_silence_is_that_of_the_specification() {
        let line = |baud| Serial {
            device: "x".into(),
            baud,
            parity: Parity::Even,
            stop_bits: None,
        };
        // Eleven bits a character.
        assert_eq!(line(9600).silence().as_micros(), 4010);
        assert_eq!(line(115_200).silence().as_micros(), 1750);
    }
}

//! What talks on a serial line: smart meters (P1), positions (NMEA 0183), cars (OBD-II over
//! an ELM327). The line may also be behind a serial server, as `tcp://host:port`.
//!
//! ```toml
//! [[adapter]]
//! name = "electricity"
//! type = "serial"
//! kind = "p1"
//! line = "/dev/ttyUSB0"
//!
//! [[adapter]]
//! name = "position"
//! type = "serial"
//! kind = "nmea"
//! line = "tcp://192.0.2.7:10110"
//! every = "1s"
//!
//! [[adapter]]
//! name = "car"
//! type = "serial"
//! kind = "obd"
//! line = "/dev/rfcomm0"
//! every = "1s"
//! fields = ["speed", "engine-speed", "coolant-temperature"]
//! ```
//!
//! Each kind's parser is a state machine without I/O in a folder of its own; this file owns
//! the configuration, `line` the way to the device, `listen` and `obd::driver` the tasks.

mod line;
mod listen;
mod nmea;
mod obd;
mod p1;

use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::Text;

use crate::adapter::{AdapterError, Link, Order, OrderError, Report, Stop};
use crate::model::ThingSpec;
use line::Way;

/// What is on a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// A smart meter on its consumer port: DSMR 4 or 5, telegrams with a checksum.
    P1,
    /// A receiver of positions: NMEA 0183.
    Nmea,
    /// A car, over an ELM327 or what behaves as one.
    Obd,
}

/// A serial line, and what is on it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// What is on the line.
    pub kind: Kind,
    /// The device file, such as `/dev/ttyUSB0`, or `tcp://host:port` for a serial server.
    pub line: String,
    /// Bits a second, with 8 data bits, no parity, 1 stop bit; of no matter over TCP.
    /// Default: `p1` 115200, `nmea` 4800, `obd` 38400.
    pub baud: Option<u32>,
    /// The id of the thing. Default: `meter`, `position`, or `car`. A meter on the M-Bus of
    /// another has its id with `-1` to `-4`, by channel.
    pub thing: Option<String>,
    /// What people call it. Default: its id.
    pub label: Option<String>,
    /// How long the line may say nothing that can be understood before the device is taken
    /// for lost, 1 s to 1 h; of a car, how long it may take for an answer, 1 s to 1 min.
    /// Default: `p1` 30 s (a meter of DSMR 4 talks every 10 s), `nmea` 10 s, `obd` 5 s.
    #[serde(default, with = "time")]
    pub silence: Option<Duration>,
    /// How often the car is asked for everything, 0 s (without a pause) to 1 h; how seldom
    /// positions are told at most. Default 1 s for cars, 0 s for positions: each one. Not
    /// for meters: each telegram is told.
    #[serde(default, with = "time")]
    pub every: Option<Duration>,
    /// How far the meter's clock is ahead of UTC in winter, 0 h to 14 h. Default 1 h:
    /// central Europe. Meters only.
    #[serde(default, with = "time")]
    pub winter: Option<Duration>,
    /// The fields to ask a car for, by their names. Default: all that it has. Cars only.
    pub fields: Option<Vec<String>>,
    /// How often a car is asked for its trouble codes, 1 s to 1 h. Default 1 min. Cars only.
    #[serde(default, with = "time")]
    pub trouble_every: Option<Duration>,
}

/// Times that may be left out.
mod time {
    use std::time::Duration;

    use serde::Deserializer;

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Duration>, D::Error> {
        crate::model::sampling::time::deserialize(from).map(Some)
    }
}

impl Config {
    /// That kind on that line, all else by default.
    #[must_use]
    pub fn new(kind: Kind, line: impl Into<String>) -> Self {
        Self {
            kind,
            line: line.into(),
            baud: None,
            thing: None,
            label: None,
            silence: None,
            every: None,
            winter: None,
            fields: None,
            trouble_every: None,
        }
    }

    fn default_silence(&self) -> Duration {
        Duration::from_secs(match self.kind {
            Kind::P1 => 30,
            Kind::Nmea => 10,
            Kind::Obd => 5,
        })
    }

    fn default_every(&self) -> Duration {
        match self.kind {
            Kind::Obd => Duration::from_secs(1),
            Kind::P1 | Kind::Nmea => Duration::ZERO,
        }
    }

    /// What makes no sense, and what would.
    fn check(&self) -> Result<(), String> {
        let only =
            |given: bool, name: &str, kinds: &[Kind]| match given && !kinds.contains(&self.kind) {
                true => Err(format!(
                    "`{name}` is not for this kind of line: leave it out"
                )),
                false => Ok(()),
            };
        only(self.every.is_some(), "every", &[Kind::Nmea, Kind::Obd])?;
        only(self.winter.is_some(), "winter", &[Kind::P1])?;
        only(self.fields.is_some(), "fields", &[Kind::Obd])?;
        only(self.trouble_every.is_some(), "trouble_every", &[Kind::Obd])?;
        let second = Duration::from_secs(1);
        let hour = 3600 * second;
        let longest = match self.kind {
            Kind::Obd => 60 * second,
            _ => hour,
        };
        let within = |value: Option<Duration>, name: &str, from: Duration, to: Duration| match value
            .is_none_or(|v| (from..=to).contains(&v))
        {
            true => Ok(()),
            false => Err(format!(
                "`{name}` is to be from {} to {}",
                humantime::format_duration(from),
                humantime::format_duration(to)
            )),
        };
        within(self.silence, "silence", second, longest)?;
        within(self.every, "every", Duration::ZERO, hour)?;
        within(self.winter, "winter", Duration::ZERO, 14 * hour)?;
        within(self.trouble_every, "trouble_every", second, hour)?;
        match self.baud {
            Some(0) => Err("`baud` is to be more than 0".to_owned()),
            _ => Ok(()),
        }
    }
}

/// A serial line, kept by a [`Supervisor`](crate::adapter::Supervisor).
#[derive(Debug)]
pub struct Adapter {
    way: Way,
    silence: Duration,
    device: Device,
}

#[derive(Debug)]
enum Device {
    Meter {
        id: Text,
        label: Text,
        winter: Duration,
    },
    Position {
        id: Text,
        label: Text,
        every: Duration,
    },
    Car(obd::Wanted),
}

/// The parser of a line that is only listened to.
trait Listener: Send {
    /// Takes in what came, at this time; adds what it means to `heard`.
    fn take(&mut self, bytes: &[u8], now: WallTime, heard: &mut Vec<Report>);

    /// Nothing comes for the moment: what was gathered may be told.
    fn pause(&mut self, now: WallTime, heard: &mut Vec<Report>);

    /// What is missed if nothing was understood, for people.
    fn wanted(&self) -> &'static str;
}

impl Adapter {
    /// A line by its configuration. It is opened by [`run`](crate::Adapter::run).
    ///
    /// # Errors
    /// [`AdapterError::Misuse`] names what cannot be.
    pub fn new(config: Config) -> Result<Self, AdapterError> {
        let misuse = |what| AdapterError::Misuse(format!("serial line `{}`: {what}", config.line));
        config.check().map_err(misuse)?;
        let (id, baud) = match config.kind {
            Kind::P1 => ("meter", 115_200),
            Kind::Nmea => ("position", 4800),
            Kind::Obd => ("car", 38_400),
        };
        let way = Way::read(&config.line, config.baud.unwrap_or(baud)).map_err(misuse)?;
        let text = |text: &str| {
            let text = Text::new(text).ok().filter(|t| !t.is_empty());
            text.ok_or_else(|| misuse("an id or label is to be text that XML allows".to_owned()))
        };
        let id = text(config.thing.as_deref().unwrap_or(id))?;
        let label = config
            .label
            .as_deref()
            .map_or_else(|| Ok(id.clone()), text)?;
        let silence = config.silence.unwrap_or_else(|| config.default_silence());
        let every = config.every.unwrap_or_else(|| config.default_every());
        let device = match config.kind {
            Kind::P1 => Device::Meter {
                id,
                label,
                winter: config.winter.unwrap_or(Duration::from_secs(3600)),
            },
            Kind::Nmea => Device::Position { id, label, every },
            Kind::Obd => {
                let fields = config.fields.as_deref();
                let trouble = config.trouble_every.unwrap_or(Duration::from_secs(60));
                let wanted = obd::Wanted::new(id, label, fields, every, trouble, silence);
                Device::Car(wanted.map_err(misuse)?)
            }
        };
        Ok(Self {
            way,
            silence,
            device,
        })
    }
}

#[async_trait]
impl crate::Adapter for Adapter {
    fn things(&self) -> Vec<ThingSpec> {
        match &self.device {
            // What a meter has is known once it told.
            Device::Meter { .. } => Vec::new(),
            Device::Position { id, label, .. } => vec![nmea::spec(id, label)],
            Device::Car(wanted) => vec![wanted.spec(|_| true)],
        }
    }

    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        match &self.device {
            Device::Meter { id, label, winter } => {
                let mut meter = p1::Meter::new(id.clone(), label.clone(), *winter);
                listen::run(&self.way, self.silence, &mut meter, link, stop).await
            }
            Device::Position { id, every, .. } => {
                let mut receiver = nmea::Receiver::new(id.clone(), *every);
                listen::run(&self.way, self.silence, &mut receiver, link, stop).await
            }
            Device::Car(wanted) => obd::driver::run(&self.way, wanted, link, stop).await,
        }
    }
}

/// Answers an order to a thing that only tells.
fn refuse(order: Order) {
    let why = format!("`{}` has nothing that can be set", order.thing());
    order.failed(OrderError::Refused(why));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(toml: &str) -> Result<Adapter, String> {
        let config: Config = toml::from_str(toml).map_err(|e| e.to_string())?;
        Adapter::new(config).map_err(|e| e.to_string())
    }

    #[test]
    fn a_configuration_is_a_kind_and_a_line() {
        for kind in ["p1", "nmea", "obd"] {
            let text = format!("kind = '{kind}'\nline = '/dev/ttyUSB0'");
            assert!(made(&text).is_ok(), "{kind}");
        }
        assert!(made("kind = 'obd'\nline = 'tcp://127.0.0.1:35000'\nfields = ['speed']").is_ok());
    }

    #[test]
    fn what_cannot_be_is_named() {
        for (text, word) in [
            ("kind = 'p1'", "line"),
            ("kind = 'p1'\nline = 'tcp://meter'", "tcp://host:port"),
            ("kind = 'p1'\nline = ''", "device file"),
            ("kind = 'p1'\nline = '/dev/a'\nspeed = 1", "speed"),
            ("kind = 'p1'\nline = '/dev/a'\nbaud = 0", "baud"),
            ("kind = 'p1'\nline = '/dev/a'\nevery = '1s'", "every"),
            ("kind = 'nmea'\nline = '/dev/a'\nwinter = '1h'", "winter"),
            ("kind = 'nmea'\nline = '/dev/a'\nsilence = '1ms'", "silence"),
            ("kind = 'nmea'\nline = '/dev/a'\nthing = ''", "id"),
            ("kind = 'obd'\nline = '/dev/a'\nfields = ['wings']", "wings"),
            ("kind = 'obd'\nline = '/dev/a'\nsilence = '1h'", "silence"),
        ] {
            let error = made(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }
}

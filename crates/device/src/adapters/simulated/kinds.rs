//! What the simulated things are and measure. Each is a small machine on virtual time: no
//! clock and no entropy but what comes in.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::time::Duration;

use serde::Deserialize;
use stanchion_reliability::session::Lane;
use stanchion_stanza::Text;

use super::random::Random;
use crate::model::{
    Categories, FieldSpec, Kind as ValueKind, ParameterKind, ParameterSpec, Reading, Sampling,
    Setting, SettingValue, ThingSpec, Value, number, of_setting,
};

/// Commands that a lamp remembers.
pub const REMEMBERED: usize = 16;
/// Points of a patient's waveform in a second.
pub const WAVEFORM_HZ: u32 = 250;
/// Tags that go past a reader.
pub const TAGS: u64 = 500;
/// The most points of a waveform in one sample, however long the interval is.
const MOST_POINTS: u32 = 4 * WAVEFORM_HZ;

/// What a fleet is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Kind {
    /// `temperature`: a day's slow wave and noise.
    Thermometer,
    /// `energy`, which never falls, and `power`.
    Meter,
    /// Five vitals, a waveform of 250 points a second, and an `alarm`.
    Patient,
    /// `on` and `level` can be set; `actuations` counts how often, `last-commands` says how.
    Lamp,
    /// `tag`, `antenna`, `signal`, `reads`: one of 500 tags at a time.
    TagReader,
}

impl Kind {
    /// The beginning of its things' ids.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Thermometer => "thermometer",
            Self::Meter => "meter",
            Self::Patient => "patient",
            Self::Lamp => "lamp",
            Self::TagReader => "tag-reader",
        }
    }

    /// What such a thing is described by. Everything that it says is told.
    pub(super) fn spec(self, id: Text) -> ThingSpec {
        let text = Text::from_static;
        let measure =
            |name, unit| FieldSpec::numeric(text(name), text(unit)).sampled(Sampling::ALL);
        let field = |name, kind| FieldSpec::new(text(name), kind).sampled(Sampling::ALL);
        let spec = ThingSpec::new(id);
        match self {
            Self::Thermometer => spec.with_field(measure("temperature", "Cel")),
            Self::Meter => spec
                .with_field(measure("energy", "kWh"))
                .with_field(measure("power", "kW")),
            Self::Patient => {
                let spec = VITALS.iter().fold(spec, |spec, vital| {
                    spec.with_field(measure(vital.field, vital.unit))
                });
                let alarm = FieldSpec::new(text("alarm"), ValueKind::Boolean);
                spec.with_field(field("waveform", ValueKind::String))
                    .with_field(alarm.of(Categories::STATUS).in_lane(Lane::Alarm))
            }
            Self::Lamp => {
                let writable = |mut field: FieldSpec| {
                    field.writable = true;
                    field
                };
                let parameter = |name, kind| ParameterSpec::new(text(name), kind);
                spec.with_field(writable(field("on", ValueKind::Boolean)))
                    .with_field(writable(field("level", ValueKind::Int)))
                    .with_field(field("actuations", ValueKind::Long).of(Categories::STATUS))
                    .with_field(field("last-commands", ValueKind::String).of(Categories::STATUS))
                    .with_parameter(parameter("on", ParameterKind::Boolean))
                    .with_parameter(parameter("level", ParameterKind::Int(0..=100)))
            }
            Self::TagReader => spec
                .with_field(field("tag", ValueKind::String))
                .with_field(field("antenna", ValueKind::Int))
                .with_field(measure("signal", "dBm"))
                .with_field(field("reads", ValueKind::Long).of(Categories::STATUS)),
        }
    }
}

/// A vital sign: how it lies, and how far it strays.
struct Vital {
    field: &'static str,
    unit: &'static str,
    usual: f64,
    spread: f64,
    decimals: usize,
}

const fn vital(
    field: &'static str,
    unit: &'static str,
    usual: f64,
    spread: f64,
    decimals: usize,
) -> Vital {
    Vital {
        field,
        unit,
        usual,
        spread,
        decimals,
    }
}

const VITALS: [Vital; 5] = [
    vital("heart-rate", "beat/min", 72.0, 1.5, 0),
    vital("oxygen-saturation", "%", 97.0, 0.5, 0),
    vital("respiration-rate", "1/min", 15.0, 0.7, 0),
    vital("arterial-pressure", "mm[Hg]", 92.0, 2.0, 0),
    vital("body-temperature", "Cel", 37.0, 0.05, 1),
];

/// One thing, with what it keeps.
#[derive(Debug, Clone)]
pub(super) struct Thing {
    random: Random,
    /// How it differs from others of its kind, from 0 to 1.
    own: f64,
    keeps: Keeps,
}

#[derive(Debug, Clone)]
enum Keeps {
    Thermometer,
    /// In watt-seconds.
    Meter {
        energy: f64,
    },
    /// Where the heart is in its beat, from 0 to 1.
    Patient {
        beat: f64,
    },
    Lamp(Lamp),
    TagReader {
        reads: i64,
    },
}

#[derive(Debug, Clone, Default)]
struct Lamp {
    on: bool,
    level: i32,
    actuations: i64,
    commands: VecDeque<String>,
}

impl Thing {
    pub(super) fn new(kind: Kind, mut random: Random) -> Self {
        let own = random.share();
        let keeps = match kind {
            Kind::Thermometer => Keeps::Thermometer,
            Kind::Meter => {
                let energy = (own * 10_000.0).floor() * 3.6e6;
                Keeps::Meter { energy }
            }
            Kind::Patient => Keeps::Patient { beat: own },
            Kind::Lamp => Keeps::Lamp(Lamp {
                level: 100,
                ..Lamp::default()
            }),
            Kind::TagReader => Keeps::TagReader { reads: 0 },
        };
        Self { random, own, keeps }
    }

    /// What it measures at that time, `interval` after the last.
    pub(super) fn measure(&mut self, at: Duration, interval: Duration) -> Vec<Reading> {
        let (own, random) = (self.own, &mut self.random);
        let seconds = at.as_secs_f64();
        let day = (seconds / 86_400.0 + own) * TAU;
        let mut out = Readings(Vec::new());
        match &mut self.keeps {
            Keeps::Thermometer => {
                let temperature = 18.0 + 6.0 * own + 4.0 * day.sin() + random.noise(0.1);
                out.measure("temperature", "Cel", temperature, 2);
            }
            Keeps::Meter { energy } => {
                let wave = 0.4 + 0.3 * day.sin();
                let power = ((wave + random.noise(0.05)) * (0.5 + 3.0 * own)).max(0.0);
                *energy += power * 1000.0 * interval.as_secs_f64();
                out.measure("energy", "kWh", *energy / 3.6e6, 3);
                out.measure("power", "kW", power, 3);
            }
            Keeps::Patient { beat } => {
                // One patient in twenty minutes is short of breath for half a minute.
                let alarm = (seconds + own * 1200.0) % 1200.0 < 30.0;
                let mut rate = 72.0;
                for vital in &VITALS {
                    let mut value = vital.usual + random.noise(vital.spread);
                    if alarm {
                        value += match vital.field {
                            "heart-rate" => 45.0,
                            "oxygen-saturation" => -12.0,
                            "respiration-rate" => 12.0,
                            _ => 0.0,
                        };
                    }
                    if vital.field == "heart-rate" {
                        rate = value;
                    }
                    if vital.field == "oxygen-saturation" {
                        value = value.min(100.0);
                    }
                    out.measure(vital.field, vital.unit, value, vital.decimals);
                }
                let points = waveform(beat, rate, interval, random);
                out.push("waveform", Value::String(Text::base64(&points)));
                out.push("alarm", Value::Boolean(alarm));
            }
            Keeps::Lamp(lamp) => lamp.tell(&mut out),
            Keeps::TagReader { reads } => {
                let tag = random.below(TAGS);
                *reads = reads.saturating_add(1);
                let epc = Text::new(format!("3034257BF468D480{tag:08X}"));
                out.push("tag", Value::String(epc.unwrap_or_default()));
                let antenna = 1 + i32::from(random.below(4) > 1) + i32::from(random.below(2) > 0);
                out.push("antenna", Value::Int(antenna));
                out.measure("signal", "dBm", -52.0 + random.noise(4.0), 1);
                out.push("reads", Value::Long(*reads));
            }
        }
        out.0
    }

    /// Sets that, which was checked, at that time; and what it is then.
    pub(super) fn set(&mut self, settings: &[Setting], at: Duration) -> Vec<Reading> {
        let mut out = Readings(Vec::new());
        if let Keeps::Lamp(lamp) = &mut self.keeps {
            for setting in settings {
                lamp.set(setting, at);
            }
            lamp.tell(&mut out);
        }
        out.0
    }
}

impl Lamp {
    fn set(&mut self, setting: &Setting, at: Duration) {
        match (&*setting.name, &setting.value) {
            ("on", SettingValue::Boolean(on) | SettingValue::Bool(on)) => self.on = *on,
            ("level", SettingValue::Int(level)) => self.level = *level,
            _ => return,
        }
        self.actuations = self.actuations.saturating_add(1);
        if self.commands.len() >= REMEMBERED {
            self.commands.pop_front();
        }
        let value = match of_setting(&setting.value, Text::default()) {
            Value::Boolean(on) => on.to_string(),
            Value::Int(level) => level.to_string(),
            _ => String::new(),
        };
        let at = at.as_millis();
        self.commands
            .push_back(format!("{at} {}={value}", setting.name));
    }

    fn tell(&self, out: &mut Readings) {
        out.push("on", Value::Boolean(self.on));
        out.push("level", Value::Int(self.level));
        out.push("actuations", Value::Long(self.actuations));
        let commands: Vec<_> = self.commands.iter().map(String::as_str).collect();
        let commands = Text::new(commands.join("; ")).unwrap_or_default();
        out.push("last-commands", Value::String(commands));
    }
}

struct Readings(Vec<Reading>);

impl Readings {
    fn push(&mut self, field: &'static str, value: Value) {
        self.0
            .push(Reading::automatic(Text::from_static(field), value));
    }

    fn measure(&mut self, field: &'static str, unit: &'static str, value: f64, decimals: usize) {
        if let Ok(value) = number(value, decimals, Text::from_static(unit)) {
            self.push(field, value);
        }
    }
}

/// The points of so long, 16 bits each, little-endian, in microvolts: the spike of each
/// beat, and the wave behind it.
fn waveform(beat: &mut f64, rate: f64, interval: Duration, random: &mut Random) -> Vec<u8> {
    let points = interval.as_secs_f64() * f64::from(WAVEFORM_HZ);
    // Bounded by the constant before it is narrowed.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let points = points.round().min(f64::from(MOST_POINTS)) as u32;
    let step = rate / 60.0 / f64::from(WAVEFORM_HZ);
    let mut bytes = Vec::with_capacity(2 * points as usize);
    let bump = |at: f64, center: f64, width: f64| (-((at - center) / width).powi(2)).exp();
    for _ in 0..points {
        *beat = (*beat + step).fract();
        let at = *beat;
        let volts = 120.0 * bump(at, 0.18, 0.03) - 140.0 * bump(at, 0.27, 0.012)
            + 1100.0 * bump(at, 0.30, 0.012)
            - 220.0 * bump(at, 0.33, 0.012)
            + 280.0 * bump(at, 0.55, 0.06)
            + random.noise(8.0);
        // At most 2 mV of either sign.
        #[allow(clippy::cast_possible_truncation)]
        let point = volts.clamp(-2000.0, 2000.0) as i16;
        bytes.extend_from_slice(&point.to_le_bytes());
    }
    bytes
}

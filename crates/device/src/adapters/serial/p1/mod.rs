//! A smart meter on its consumer port (P1 of DSMR 4 and 5, IEC 62056-21), and the meters
//! for gas, water or heat on its M-Bus: what their telegrams become as things and samples.
//! No I/O: bytes and the time come in.

mod obis;
mod telegram;

use std::time::Duration;

use stanchion_reliability::store::WallTime;
use stanchion_stanza::Text;

use super::Listener;
use crate::adapter::Report;
use crate::model::{Categories, FieldSpec, Kind, Reading, Sample, ThingSpec, Value};
use obis::{Form, Object};
use telegram::Framer;

/// The field that counts the telegrams which were left out.
const BAD: &str = "bad-telegrams";
/// Channels of the M-Bus (DSMR 5.0.2 P1 §6.12).
const CHANNELS: u8 = 4;

/// A meter, as its telegrams tell of it. What it has is known once it said so.
#[derive(Debug)]
pub(super) struct Meter {
    framer: Framer,
    winter_ms: i64,
    main: Part,
    /// Those on its bus that were heard of, by channel.
    on_bus: Vec<(u8, Part)>,
}

/// One thing: what it is known to have.
#[derive(Debug)]
struct Part {
    spec: ThingSpec,
    /// Whether it has more than was told.
    grown: bool,
    /// What was told last of one that measures more seldom than telegrams come.
    told: Option<(WallTime, Vec<Reading>)>,
}

impl Part {
    fn new(id: Text, label: Text) -> Self {
        let mut spec = ThingSpec::new(id);
        spec.label = label;
        Self {
            spec,
            grown: true,
            told: None,
        }
    }

    /// Sees to it that the field is described. Fields come from tables of this program, so
    /// there is an end to them.
    fn describe(&mut self, field: FieldSpec) {
        if self.spec.field(&field.name).is_none() {
            self.spec.fields.push(field);
            self.grown = true;
        }
    }

    fn sample(&self, at: WallTime, readings: Vec<Reading>) -> Report {
        let thing = self.spec.node.id.clone();
        Report::Sample(Sample {
            thing,
            at,
            readings,
        })
    }
}

impl Meter {
    /// A meter of that id and label whose clock is so far ahead of UTC in winter.
    pub(super) fn new(id: Text, label: Text, winter: Duration) -> Self {
        Self {
            framer: Framer::new(),
            winter_ms: i64::try_from(winter.as_millis()).unwrap_or_default(),
            main: Part::new(id, label),
            on_bus: Vec::new(),
        }
    }

    /// One telegram's things, if there is something new about them, and samples.
    fn telegram(&mut self, text: &str, now: WallTime, heard: &mut Vec<Report>) {
        let mut at = now;
        let mut readings = Vec::new();
        let mut on_bus: [Bus; CHANNELS as usize] = Default::default();
        for object in text.lines().filter_map(Object::read) {
            let last = object.values.last().copied().unwrap_or_default();
            if object.code == "0-0:1.0.0" {
                at = obis::timestamp(last, self.winter_ms).unwrap_or(now);
            } else if let Some(entry) = obis::METER.iter().find(|e| e.code == object.code) {
                // An empty message is none; a count that is not there was not told.
                if let Some(value) = obis::value(last, entry.form)
                    && !last.is_empty()
                {
                    let field = obis::field(entry.field, entry.form, entry.categories);
                    push(&mut readings, &field.name, value);
                    self.main.describe(field);
                }
            } else if let Some((channel, code)) = object.channel()
                && let Some(bus) = on_bus.get_mut(usize::from(channel) - 1)
            {
                bus.take(code, &object, self.winter_ms);
            }
        }
        let bad = i64::try_from(self.framer.bad()).unwrap_or(i64::MAX);
        let field = FieldSpec::new(Text::from_static(BAD), Kind::Long).of(Categories::STATUS);
        push(&mut readings, &field.name, Value::Long(bad));
        self.main.describe(field);

        let first = heard.len();
        heard.push(self.main.sample(at, readings));
        for (channel, bus) in (1..).zip(on_bus) {
            self.hear_bus(channel, bus, at, heard);
        }
        let parts = std::iter::once(&mut self.main).chain(self.on_bus.iter_mut().map(|(_, p)| p));
        let grown: Vec<_> = parts
            .filter_map(|part| std::mem::take(&mut part.grown).then(|| part.spec.clone()))
            .collect();
        if !grown.is_empty() {
            heard.insert(first, Report::Things(grown));
        }
    }

    fn hear_bus(&mut self, channel: u8, bus: Bus, at: WallTime, heard: &mut Vec<Report>) {
        if bus.readings.is_empty() {
            return;
        }
        let at = bus.at.unwrap_or(at);
        let index = self.on_bus.iter().position(|(known, _)| *known == channel);
        let index = index.unwrap_or_else(|| {
            let main = &self.main.spec;
            let (id, label) = (&main.node.id, &main.label);
            let what = bus.device.unwrap_or("meter");
            let text = |text: String, or: &Text| Text::new(text).unwrap_or_else(|_| or.clone());
            let id = text(format!("{id}-{channel}"), id);
            let label = text(format!("{label}: {what}"), label);
            self.on_bus.push((channel, Part::new(id, label)));
            self.on_bus.len() - 1
        });
        let Some((_, part)) = self.on_bus.get_mut(index) else {
            return;
        };
        for field in bus.fields {
            part.describe(field);
        }
        // A gas meter measures every five minutes or every hour, and each telegram says so
        // again.
        let told = (at, bus.readings);
        if part.told.as_ref() != Some(&told) {
            heard.push(part.sample(told.0, told.1.clone()));
            part.told = Some(told);
        }
    }
}

/// What a telegram says of one channel.
#[derive(Debug, Default)]
struct Bus {
    device: Option<&'static str>,
    at: Option<WallTime>,
    fields: Vec<FieldSpec>,
    readings: Vec<Reading>,
}

impl Bus {
    fn take(&mut self, code: &str, object: &Object<'_>, winter_ms: i64) {
        let last = object.values.last().copied().unwrap_or_default();
        if code == "24.1.0" {
            self.device = Some(obis::device(last));
            return;
        }
        let Some(entry) = obis::ON_BUS.iter().find(|e| e.code == code) else {
            return;
        };
        let (mut name, mut form) = (entry.field, entry.form);
        if let Form::Measure(_) = form {
            let unit = last.split_once('*').map_or("", |(_, unit)| unit);
            let unit_of;
            (name, unit_of) = obis::counted(unit);
            form = Form::Measure(unit_of);
        }
        let Some(value) = obis::value(last, form).filter(|_| !last.is_empty()) else {
            return;
        };
        if let [time, _] = object.values[..] {
            self.at = obis::timestamp(time, winter_ms).or(self.at);
        }
        let field = obis::field(name, form, entry.categories);
        push(&mut self.readings, &field.name, value);
        self.fields.push(field);
    }
}

/// One more reading, unless the field has one.
fn push(readings: &mut Vec<Reading>, field: &Text, value: Value) {
    if !readings.iter().any(|reading| reading.field == *field) {
        readings.push(Reading::automatic(field.clone(), value));
    }
}

impl Listener for Meter {
    fn take(&mut self, bytes: &[u8], now: WallTime, heard: &mut Vec<Report>) {
        for byte in bytes {
            if let Some(text) = self.framer.take(*byte) {
                self.telegram(&text, now, heard);
            }
        }
    }

    fn pause(&mut self, _: WallTime, _: &mut Vec<Report>) {}

    fn wanted(&self) -> &'static str {
        "telegram with a checksum (DSMR 4 or later); DSMR 4 and 5 talk at 115200 baud"
    }
}

#[cfg(test)]
mod tests;

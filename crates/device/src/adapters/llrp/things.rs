//! A reader, its reads and its arrivals as things: their descriptions, and what is told of
//! them.

use stanchion_reliability::session::Lane;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::Text;

use super::codec::TagReport;
use super::session::Session;
use crate::adapter::wall_clock;
use crate::model::{
    Categories, FieldSpec, Kind, ParameterKind, ParameterSpec, Reading, Sample, Sampling,
    ThingSpec, Value, number,
};

/// 2010-01-01 in ms since 1970: a clock that tells an earlier time was never set.
const NOT_SET: i64 = 1_262_304_000_000;
/// How far a reader's clock may be ahead of ours, in ms.
const AHEAD: i64 = 5 * 60 * 1000;

/// The three things of a reader.
#[derive(Debug)]
pub(super) struct Things {
    reader: Text,
    reads: Option<Text>,
    arrivals: Text,
    reader_clock: bool,
}

impl Things {
    pub(super) fn new(id: &Text, reads: bool, reader_clock: bool) -> Self {
        Self {
            reader: id.clone(),
            reads: reads.then(|| text(&format!("{id}/reads"))),
            arrivals: text(&format!("{id}/arrivals")),
            reader_clock,
        }
    }

    pub(super) fn specs(&self) -> Vec<ThingSpec> {
        let mut specs = vec![self.reader_spec(), seen_spec(&self.arrivals, Lane::Control)];
        specs.extend(self.reads.iter().map(|id| seen_spec(id, Lane::Telemetry)));
        specs
    }

    fn reader_spec(&self) -> ThingSpec {
        let field = |name, kind| FieldSpec::new(Text::from_static(name), kind);
        let identity = |name| field(name, Kind::String).of(Categories::IDENTITY);
        let status = |name, kind| field(name, kind).of(Categories::STATUS);
        let percent = Text::from_static("%");
        let mut inventory = status("inventory", Kind::Boolean).in_lane(Lane::Control);
        inventory.writable = true;
        let mut switch = ParameterSpec::new(inventory.name.clone(), ParameterKind::Boolean);
        switch.label = Text::from_static("Look for tags");
        ThingSpec::new(self.reader.clone())
            .with_field(inventory)
            .with_field(identity("model"))
            .with_field(identity("manufacturer"))
            .with_field(identity("firmware"))
            .with_field(identity("reader_id"))
            .with_field(status("antennas", Kind::String).in_lane(Lane::Control))
            .with_field(status("exception", Kind::String).in_lane(Lane::Control))
            .with_field(FieldSpec::numeric(Text::from_static("buffer"), percent))
            .with_field(status("tags", Kind::Long))
            .with_field(status("forgotten_early", Kind::Long))
            .with_parameter(switch)
    }

    /// How the reader is.
    pub(super) fn state(&self, session: &Session) -> Sample {
        let mut readings = vec![reading("inventory", Value::Boolean(session.inventory))];
        let mut tell = |name, value: Option<String>| {
            if let Some(value) = value {
                readings.push(reading(name, Value::String(text(&value))));
            }
        };
        let device = session.device.as_ref();
        tell("model", device.map(|d| d.model.to_string()));
        tell("manufacturer", device.map(|d| d.manufacturer.to_string()));
        tell("firmware", device.map(|d| d.firmware.clone()));
        tell("reader_id", session.reader_id.clone());
        tell("exception", session.exception.clone());
        let antennas = session.antennas.iter().filter(|(_, on)| **on);
        let connected: Vec<_> = antennas.map(|(id, _)| id.to_string()).collect();
        tell(
            "antennas",
            (!session.antennas.is_empty()).then(|| connected.join(" ")),
        );
        let level = session.buffer.map(f64::from);
        let level = level.and_then(|n| number(n, 0, Text::from_static("%")).ok());
        readings.extend(level.map(|value| reading("buffer", value)));
        Sample {
            thing: self.reader.clone(),
            at: wall_clock(),
            readings,
        }
    }

    /// How many tags are remembered, and how many had to be forgotten early.
    pub(super) fn count(&self, tags: usize, early: u64) -> Sample {
        let long = |n: u64| Value::Long(i64::try_from(n).unwrap_or(i64::MAX));
        let readings = vec![
            reading("tags", long(tags as u64)),
            reading("forgotten_early", long(early)),
        ];
        Sample {
            thing: self.reader.clone(),
            at: wall_clock(),
            readings,
        }
    }

    pub(super) fn arrival(&self, tag: &TagReport) -> Sample {
        self.seen(self.arrivals.clone(), tag)
    }

    pub(super) fn read(&self, tag: &TagReport) -> Sample {
        self.seen(self.reads.clone().unwrap_or_default(), tag)
    }

    fn seen(&self, thing: Text, tag: &TagReport) -> Sample {
        let dbm = |rssi| number(rssi, 0, Text::from_static("dBm")).ok();
        let antenna = tag.antenna.map(|n| Value::Int(i32::from(n)));
        let channel = tag.channel.map(|n| Value::Int(i32::from(n)));
        let count = tag.seen_count.map(|n| Value::Int(i32::from(n)));
        let readings = [
            ("epc", Some(Value::String(text(&tag.epc.to_string())))),
            ("antenna", antenna),
            ("rssi", tag.peak_rssi.map(f64::from).and_then(dbm)),
            ("channel", channel),
            ("seen_count", count),
            ("reader", Some(Value::String(self.reader.clone()))),
        ];
        let readings = readings.into_iter();
        Sample {
            thing,
            at: self.when(tag),
            readings: readings
                .filter_map(|(name, value)| Some(reading(name, value?)))
                .collect(),
        }
    }

    /// When a tag was seen last, by the reader's clock if that can be believed.
    fn when(&self, tag: &TagReport) -> WallTime {
        let ours = wall_clock();
        let theirs = tag.last_seen_utc.or(tag.first_seen_utc);
        let theirs = theirs.and_then(|us| i64::try_from(us / 1000).ok());
        let believed = |ms: &i64| (NOT_SET..=ours.as_unix_ms().saturating_add(AHEAD)).contains(ms);
        match theirs.filter(|_| self.reader_clock).filter(believed) {
            Some(ms) => WallTime::from_unix_ms(ms),
            None => ours,
        }
    }
}

fn seen_spec(id: &Text, lane: Lane) -> ThingSpec {
    let field = |name, kind| {
        FieldSpec::new(Text::from_static(name), kind)
            .sampled(Sampling::ALL)
            .in_lane(lane)
    };
    let mut rssi = field("rssi", Kind::Numeric);
    rssi.unit = Text::from_static("dBm");
    ThingSpec::new(id.clone())
        .with_field(field("epc", Kind::String))
        .with_field(field("antenna", Kind::Int))
        .with_field(rssi)
        .with_field(field("channel", Kind::Int))
        .with_field(field("seen_count", Kind::Int))
        .with_field(field("reader", Kind::String))
}

fn reading(name: &'static str, value: Value) -> Reading {
    Reading::automatic(Text::from_static(name), value)
}

/// Text of a device, without what XML cannot hold.
fn text(raw: &str) -> Text {
    let kept = |c: &char| matches!(c, ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..);
    Text::new(raw.chars().filter(kept).collect::<String>()).unwrap_or_default()
}

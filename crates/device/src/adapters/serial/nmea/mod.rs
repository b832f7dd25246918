//! A receiver of positions (NMEA 0183): its sentences gathered into one sample for each
//! moment. GGA, RMC, VTG, GSA and GSV are read, of any talker. No I/O: bytes and the time
//! come in.

mod sentence;

use std::time::Duration;

use stanchion_reliability::store::WallTime;
use stanchion_stanza::Text;
use stanchion_stanza::payload::datetime;

use super::Listener;
use crate::adapter::Report;
use crate::model::{Categories, FieldSpec, Kind, Reading, Sample, ThingSpec, Value, number};
use sentence::{Framer, Sentence};

const DAY_MS: i64 = 86_400_000;
/// Talkers whose satellites are added up.
const TALKERS: usize = 8;
/// One knot is a nautical mile an hour.
const KMH_OF_KNOT: f64 = 1.852;

/// What a fix rests on, by the number in GGA.
const QUALITIES: [&str; 9] = [
    "none",
    "gps",
    "dgps",
    "pps",
    "rtk",
    "float-rtk",
    "estimated",
    "manual",
    "simulation",
];

/// The measures: field, unit.
const MEASURES: [(&str, &str); 8] = [
    ("latitude", "lat"),
    ("longitude", "lon"),
    ("altitude", "m"),
    ("speed", "km/h"),
    ("course", "deg"),
    ("hdop", ""),
    ("pdop", ""),
    ("vdop", ""),
];

/// What a receiver has.
pub(super) fn spec(id: &Text, label: &Text) -> ThingSpec {
    let mut spec = ThingSpec::new(id.clone());
    spec.label = label.clone();
    let text = Text::from_static;
    for (name, unit) in MEASURES {
        spec = spec.with_field(FieldSpec::numeric(text(name), text(unit)));
    }
    for (name, kind) in [
        ("time", Kind::DateTime),
        ("fix-quality", Kind::Enum),
        ("fix-dimensions", Kind::Int),
        ("satellites", Kind::Int),
        ("satellites-in-view", Kind::Int),
        ("bad-sentences", Kind::Long),
    ] {
        let field = FieldSpec::new(text(name), kind);
        spec = spec.with_field(match name {
            "time" => field,
            _ => field.of(Categories::STATUS),
        });
    }
    spec
}

/// A receiver, as its sentences tell of it.
#[derive(Debug)]
pub(super) struct Receiver {
    framer: Framer,
    thing: Text,
    every_ms: i64,
    moment: Moment,
    /// The last time with a date, by the receiver.
    known: Option<i64>,
    told: Option<i64>,
}

/// What was said of one moment so far.
#[derive(Debug, Default)]
struct Moment {
    /// Milliseconds since midnight.
    time: Option<i64>,
    /// Of RMC: milliseconds since 1970, with the time.
    dated: Option<i64>,
    readings: Vec<Reading>,
    /// Satellites in view, by talker.
    in_view: Vec<([u8; 2], i32)>,
}

impl Moment {
    /// What is said later counts.
    fn set(&mut self, field: &'static str, value: Value) {
        match self.readings.iter_mut().find(|r| r.field == field) {
            Some(reading) => reading.value = value,
            None => {
                let field = Text::from_static(field);
                self.readings.push(Reading::automatic(field, value));
            }
        }
    }

    fn measure(&mut self, field: &'static str, told: Option<(f64, usize)>) {
        let unit = MEASURES.iter().find(|(name, _)| *name == field);
        let unit = Text::from_static(unit.map_or("", |(_, unit)| unit));
        let value = told.and_then(|(value, decimals)| number(value, decimals, unit).ok());
        if let Some(value) = value {
            self.set(field, value);
        }
    }

    fn position(&mut self, sentence: &Sentence<'_>, at: usize) {
        let part = |place, most| {
            let hemisphere = sentence.field(place + 1);
            sentence::degrees(sentence.field(place), hemisphere, most)
        };
        // One without the other is no position.
        if let (Some(latitude), Some(longitude)) = (part(at, 90.0), part(at + 2, 180.0)) {
            self.measure("latitude", Some(latitude));
            self.measure("longitude", Some(longitude));
        }
    }
}

impl Receiver {
    /// A receiver of that id, told of no more often than that.
    pub(super) fn new(thing: Text, every: Duration) -> Self {
        Self {
            framer: Framer::default(),
            thing,
            every_ms: i64::try_from(every.as_millis()).unwrap_or(i64::MAX),
            moment: Moment::default(),
            known: None,
            told: None,
        }
    }

    fn sentence(&mut self, said: &str, now: WallTime, heard: &mut Vec<Report>) {
        let Some(sentence) = Sentence::read(said) else {
            return;
        };
        let timed = matches!(sentence.kind, "GGA" | "RMC");
        if timed && let Some(time) = sentence::time_of_day(sentence.field(1)) {
            // Sentences of one moment say the same time; others belong to whichever they
            // come with.
            if self.moment.time.is_some_and(|known| known != time) {
                self.tell(now, heard);
            }
            self.moment.time = Some(time);
        }
        match sentence.kind {
            "GGA" => self.gga(&sentence),
            "RMC" => self.rmc(&sentence),
            "VTG" => self.vtg(&sentence),
            "GSA" => self.gsa(&sentence),
            "GSV" => self.gsv(&sentence),
            _ => {}
        }
    }

    /// Time, position, quality, satellites, HDOP, altitude.
    fn gga(&mut self, sentence: &Sentence<'_>) {
        let quality = sentence.field(6).parse().ok();
        let Some(word) = quality.and_then(|q: usize| QUALITIES.get(q)) else {
            return;
        };
        let value = Text::from_static(word);
        let data_type = Text::from_static("FixQuality");
        self.moment
            .set("fix-quality", Value::Enum { value, data_type });
        if let Ok(used) = sentence.field(7).parse::<u16>() {
            self.moment.set("satellites", Value::Int(used.into()));
        }
        if quality == Some(0) {
            return;
        }
        self.moment.position(sentence, 2);
        self.moment
            .measure("hdop", sentence::decimal(sentence.field(8)));
        if sentence.field(10) == "M" {
            self.moment
                .measure("altitude", sentence::decimal(sentence.field(9)));
        }
    }

    /// Time and date, position, speed, course.
    fn rmc(&mut self, sentence: &Sentence<'_>) {
        if let (Some(time), Some(day)) = (self.moment.time, date(sentence.field(9))) {
            self.moment.dated = Some(day + time);
        }
        if sentence.field(2) != "A" {
            return;
        }
        self.moment.position(sentence, 3);
        let knots = sentence::decimal(sentence.field(7));
        self.moment.measure("speed", knots.map(kmh));
        self.moment
            .measure("course", sentence::decimal(sentence.field(8)));
    }

    /// Course and speed. Without a fix its mode is `N`; before NMEA 2.3 it has none.
    fn vtg(&mut self, sentence: &Sentence<'_>) {
        if sentence.field(9) == "N" {
            return;
        }
        if sentence.field(2) == "T" {
            self.moment
                .measure("course", sentence::decimal(sentence.field(1)));
        }
        if sentence.field(8) == "K" {
            self.moment
                .measure("speed", sentence::decimal(sentence.field(7)));
        } else if sentence.field(6) == "N" {
            let knots = sentence::decimal(sentence.field(5));
            self.moment.measure("speed", knots.map(kmh));
        }
    }

    /// Dimensions of the fix, and the dilutions of precision.
    fn gsa(&mut self, sentence: &Sentence<'_>) {
        let dimensions = match sentence.field(2) {
            "1" => 0,
            "2" => 2,
            "3" => 3,
            _ => return,
        };
        self.moment.set("fix-dimensions", Value::Int(dimensions));
        if dimensions == 0 {
            return;
        }
        for (field, place) in [("pdop", 15), ("hdop", 16), ("vdop", 17)] {
            self.moment
                .measure(field, sentence::decimal(sentence.field(place)));
        }
    }

    /// Satellites in view; each talker says its own, perhaps once for each signal.
    fn gsv(&mut self, sentence: &Sentence<'_>) {
        let Ok(count) = sentence.field(3).parse::<u8>() else {
            return;
        };
        let [first, second, ..] = *sentence.talker.as_bytes() else {
            return;
        };
        let (talker, count) = ([first, second], i32::from(count));
        let in_view = &mut self.moment.in_view;
        match in_view.iter().position(|(known, _)| *known == talker) {
            Some(at) => in_view[at].1 = count.max(in_view[at].1),
            None if in_view.len() < TALKERS => in_view.push((talker, count)),
            None => {}
        }
        let all = in_view.iter().map(|(_, count)| count).sum();
        self.moment.set("satellites-in-view", Value::Int(all));
    }

    /// The moment is over: a sample, if it had anything to say and is due.
    fn tell(&mut self, now: WallTime, heard: &mut Vec<Report>) {
        let mut moment = std::mem::take(&mut self.moment);
        if moment.readings.is_empty() {
            return;
        }
        let now = now.as_unix_ms();
        let at = match (moment.dated, moment.time) {
            (Some(dated), _) => Some(dated),
            // The day on which that time is nearest.
            (None, Some(time)) => {
                let near = self.known.unwrap_or(now).saturating_sub(time);
                let days = near.saturating_add(DAY_MS / 2).div_euclid(DAY_MS);
                days.checked_mul(DAY_MS)
                    .and_then(|day| day.checked_add(time))
            }
            (None, None) => None,
        };
        if let Some(at) = at {
            self.known = Some(at);
            moment.set("time", Value::DateTime(datetime::utc(at)));
        }
        let at = at.unwrap_or(now);
        let since = self.told.map(|told| at.abs_diff(told));
        if since.is_some_and(|since| since < self.every_ms.unsigned_abs()) {
            return;
        }
        self.told = Some(at);
        let bad = i64::try_from(self.framer.bad()).unwrap_or(i64::MAX);
        moment.set("bad-sentences", Value::Long(bad));
        heard.push(Report::Sample(Sample {
            thing: self.thing.clone(),
            at: WallTime::from_unix_ms(at),
            readings: moment.readings,
        }));
    }
}

/// Knots in km/h, to one digit more: a knot is nearly two of them.
fn kmh((knots, decimals): (f64, usize)) -> (f64, usize) {
    (knots * KMH_OF_KNOT, decimals + 1)
}

/// `ddmmyy` as its midnight in milliseconds since 1970. GPS began in 1980.
fn date(text: &str) -> Option<i64> {
    if text.len() != 6 || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| text.get(at..at + 2);
    let (day, month, year) = (part(0)?, part(2)?, part(4)?);
    let century = if year < "80" { "20" } else { "19" };
    datetime::unix_ms(&format!("{century}{year}-{month}-{day}T00:00:00Z"))
}

impl Listener for Receiver {
    fn take(&mut self, bytes: &[u8], now: WallTime, heard: &mut Vec<Report>) {
        for byte in bytes {
            if let Some(said) = self.framer.take(*byte) {
                self.sentence(&said, now, heard);
            }
        }
    }

    fn pause(&mut self, now: WallTime, heard: &mut Vec<Report>) {
        self.tell(now, heard);
    }

    fn wanted(&self) -> &'static str {
        "sentence that tells of a position (GGA, RMC, VTG, GSA, GSV)"
    }
}

#[cfg(test)]
mod second_reader;
#[cfg(test)]
mod tests;

//! A thing behind an account: its last values, what they were a while ago, and what can be
//! set.

use std::collections::{BTreeMap, VecDeque};

use stanchion::BareJid;
use stanchion::device::model::{Reading, Value, as_f64};
use stanchion::stanza::Text;

/// Values of a field that are held for its sparkline.
pub(super) const SERIES: usize = 120;
/// Fields of one thing that are held.
const FIELDS: usize = 256;

/// Which thing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ThingKey {
    /// The account that it is behind.
    pub(crate) account: BareJid,
    /// Its id there; empty for a device that is one thing.
    pub(crate) thing: Text,
}

impl std::fmt::Display for ThingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.thing.is_empty() {
            true => self.account.fmt(f),
            false => write!(f, "{}/{}", self.account, self.thing),
        }
    }
}

/// Values of a thing at one moment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Point {
    /// When, in Unix milliseconds.
    pub(crate) at: i64,
    /// What.
    pub(crate) readings: Vec<Reading>,
}

/// A field of a thing.
#[derive(Debug, Clone)]
pub(crate) struct Field {
    /// Its last value.
    pub(crate) value: Value,
    /// When that was, in Unix milliseconds.
    pub(crate) at: i64,
    /// The last numbers, with their times; of a yes or no, 1 or 0. The newest last.
    pub(crate) series: VecDeque<(i64, f64)>,
}

/// What kind of value a parameter takes.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ControlKind {
    /// Yes or no.
    Switch,
    /// A number, within bounds if there are any.
    Number {
        /// Not less.
        min: Option<f64>,
        /// Not more.
        max: Option<f64>,
        /// Whether it is whole.
        whole: bool,
    },
    /// One of these: value, and what people call it.
    Choice(Vec<(String, String)>),
    /// A text.
    Text,
}

/// A parameter that can be set.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Control {
    /// Its name.
    pub(crate) name: Text,
    /// What people call it.
    pub(crate) label: String,
    /// What it takes.
    pub(crate) kind: ControlKind,
    /// What it is at the moment, as far as the thing says.
    pub(crate) now: Option<String>,
}

/// A thing.
#[derive(Debug, Clone)]
pub(crate) struct Thing {
    /// Which.
    pub(crate) key: ThingKey,
    /// Its fields, by name.
    pub(crate) fields: BTreeMap<Text, Field>,
    /// What can be set; none while that is not known.
    pub(crate) controls: Option<Vec<Control>>,
    /// When it told last, in Unix milliseconds.
    pub(crate) at: i64,
    /// The last command: what, and what became of it, if that is known.
    pub(crate) command: Option<(String, Option<Result<String, String>>)>,
}

impl Thing {
    pub(super) const fn new(key: ThingKey) -> Self {
        Self {
            key,
            fields: BTreeMap::new(),
            controls: None,
            at: 0,
            command: None,
        }
    }

    /// It told that. What is older than what it told before goes into no series. There is
    /// `room` for so many fields that are new.
    pub(super) fn told(&mut self, point: Point, room: &mut usize) {
        self.at = self.at.max(point.at);
        for reading in point.readings {
            let number = as_number(&reading.value);
            let full = self.fields.len() >= FIELDS || *room == 0;
            let field = match self.fields.get_mut(&reading.field) {
                Some(field) => field,
                None if full => continue,
                None => {
                    *room -= 1;
                    self.fields.entry(reading.field).or_insert(Field {
                        value: reading.value.clone(),
                        at: point.at,
                        series: VecDeque::new(),
                    })
                }
            };
            if point.at < field.at {
                continue;
            }
            field.at = point.at;
            field.value = reading.value;
            if let Some(number) = number {
                if field.series.len() == SERIES {
                    field.series.pop_front();
                }
                field.series.push_back((point.at, number));
            }
        }
    }
}

/// A value as a number to be drawn.
pub(crate) fn as_number(value: &Value) -> Option<f64> {
    match value {
        Value::Boolean(on) => Some(f64::from(u8::from(*on))),
        value => as_f64(value).filter(|number| number.is_finite()),
    }
}

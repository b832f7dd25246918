//! One thing's part on a broker: the topics of its values, what their texts mean, how it is
//! set, and what says whether it is there. Made of a user's [`Point`] here, of an
//! announcement in `discovery`. Sans-IO.

use std::ops::RangeInclusive;
use std::time::Duration;

use stanchion_stanza::Text;

use super::config::Point;
use super::template::{CommandTemplate, Payload, Template};
use super::topic::is_name;
use crate::adapter::Misuse;
use crate::model::{FieldSpec, Kind, ParameterKind, ParameterSpec, SettingValue, Value, as_f64};

/// The longest text that becomes a value, in bytes.
const MAX_TEXT: usize = 4096;
/// The longest name of a thing or field, in bytes.
const MAX_NAME: usize = 128;

/// What belongs together, and is announced and taken back as one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entity {
    pub(super) thing: Text,
    /// What people call the thing, if that is said.
    pub(super) label: Option<Text>,
    pub(super) outlets: Vec<Outlet>,
    pub(super) availability: Vec<Availability>,
    pub(super) rule: Rule,
    /// How long a value is good for.
    pub(super) expires: Option<Duration>,
}

/// A field, a parameter, or both of one name.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Outlet {
    pub(super) name: Text,
    pub(super) source: Option<Source>,
    pub(super) setter: Option<Setter>,
}

/// Where the values of a field come from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Source {
    pub(super) topic: String,
    pub(super) template: Template,
    pub(super) meaning: Meaning,
    pub(super) field: FieldSpec,
}

/// What a text means.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meaning {
    /// Yes or no, by these.
    Switch {
        /// Yes.
        on: String,
        /// No.
        off: String,
    },
    /// What it says, in the field's type.
    AsItIs,
}

/// How a parameter is set.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Setter {
    pub(super) topic: String,
    pub(super) writing: Writing,
    pub(super) retain: bool,
    pub(super) parameter: ParameterSpec,
    /// How far a number may be from what was wanted and still be it.
    pub(super) tolerance: f64,
}

/// What is written for a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Writing {
    /// One of two texts.
    Switch {
        /// For yes.
        on: String,
        /// For no; none for what can only be begun.
        off: Option<String>,
    },
    /// The value, in its text.
    Value(CommandTemplate),
}

/// A topic that says whether something is there.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Availability {
    pub(super) topic: String,
    pub(super) template: Template,
    pub(super) online: String,
    pub(super) offline: String,
}

/// What several such topics come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// All are to say that it is there.
    All,
    /// One is enough.
    Any,
    /// The last one to say something counts.
    Latest,
}

/// A name that can stand for a thing or a field: without what XML forbids, and not too long.
pub(super) fn name(from: &str) -> Option<Text> {
    let mut clean: String = from.trim().chars().filter(|c| !c.is_control()).collect();
    let mut end = clean.len().min(MAX_NAME);
    while !clean.is_char_boundary(end) {
        end -= 1;
    }
    clean.truncate(end);
    match clean.is_empty() {
        true => None,
        false => Text::new(clean).ok(),
    }
}

impl Source {
    /// The value in what was published, if there is one.
    pub(super) fn value(&self, payload: &Payload<'_>) -> Option<Value> {
        let text = self.template.value(payload)?;
        if let Meaning::Switch { on, off } = &self.meaning {
            return match () {
                () if text == *on => Some(Value::Boolean(true)),
                () if text == *off => Some(Value::Boolean(false)),
                () => None,
            };
        }
        let number = || text.parse::<f64>().ok().filter(|number| number.is_finite());
        match self.field.kind {
            Kind::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "on" | "1" | "yes" => Some(Value::Boolean(true)),
                "false" | "off" | "0" | "no" => Some(Value::Boolean(false)),
                _ => None,
            },
            Kind::Numeric => {
                number()?;
                let value = text.parse().ok()?;
                let unit = self.field.unit.clone();
                Some(Value::Numeric { value, unit })
            }
            Kind::Int => match text.parse() {
                Ok(number) => Some(Value::Int(number)),
                Err(_) => whole(number()?)
                    .and_then(|n| i32::try_from(n).ok())
                    .map(Value::Int),
            },
            Kind::Long => match text.parse() {
                Ok(number) => Some(Value::Long(number)),
                Err(_) => whole(number()?).map(Value::Long),
            },
            kind => {
                if text.len() > MAX_TEXT {
                    return None;
                }
                let text = Text::new(text).ok()?;
                Some(match kind {
                    Kind::Date => Value::Date(text),
                    Kind::DateTime => Value::DateTime(text),
                    Kind::Duration => Value::Duration(text),
                    Kind::Time => Value::Time(text),
                    Kind::Enum => Value::Enum {
                        value: text,
                        data_type: self.field.name.clone(),
                    },
                    _ => Value::String(text),
                })
            }
        }
    }
}

/// A whole number that was written as another, such as `3.0`.
fn whole(number: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let exact = number.fract() == 0.0 && number.abs() <= EXACT;
    // Every whole number up to 2^53 fits.
    #[allow(clippy::cast_possible_truncation)]
    exact.then_some(number as i64)
}

impl Setter {
    /// The text that sets it so; or why not.
    pub(super) fn text(&self, value: &SettingValue) -> Result<String, String> {
        let name = &self.parameter.name;
        self.parameter.check(value).map_err(|e| e.to_string())?;
        match &self.writing {
            Writing::Switch { on, off } => match value {
                SettingValue::Boolean(true) | SettingValue::Bool(true) => Ok(on.clone()),
                _ => off
                    .clone()
                    .ok_or_else(|| format!("`{name}` can only be set to true")),
            },
            Writing::Value(template) => {
                let text = plain(value);
                let filled = template.fill(&text);
                filled.ok_or_else(|| {
                    format!("`{name}` is to be without quotes, backslashes and line breaks")
                })
            }
        }
    }

    /// Whether a value that was read is the one that was wanted.
    pub(super) fn is_confirmed_by(&self, wanted: &SettingValue, value: &Value) -> bool {
        match (wanted, value) {
            (SettingValue::Boolean(wanted) | SettingValue::Bool(wanted), Value::Boolean(is)) => {
                wanted == is
            }
            _ => match (plain(wanted).parse::<f64>(), as_f64(value)) {
                (Ok(wanted), Some(is)) => (wanted - is).abs() <= self.tolerance,
                _ => text_of(value).is_some_and(|is| is == plain(wanted)),
            },
        }
    }
}

/// A value without its type.
fn plain(value: &SettingValue) -> String {
    match value {
        SettingValue::Boolean(on) | SettingValue::Bool(on) => on.to_string(),
        SettingValue::Color(color) => color.to_string(),
        SettingValue::Double(number) => number.to_string(),
        SettingValue::Int(number) => number.to_string(),
        SettingValue::Long(number) => number.to_string(),
        SettingValue::Date(text)
        | SettingValue::DateTime(text)
        | SettingValue::Duration(text)
        | SettingValue::Time(text)
        | SettingValue::String(text)
        | SettingValue::Enum { value: text, .. } => text.to_string(),
    }
}

fn text_of(value: &Value) -> Option<&str> {
    match value {
        Value::Date(text)
        | Value::DateTime(text)
        | Value::Duration(text)
        | Value::Time(text)
        | Value::String(text)
        | Value::Enum { value: text, .. } => Some(text),
        _ => None,
    }
}

impl Entity {
    /// What the user says that there is.
    pub(super) fn of_point(point: &Point, at: usize) -> Result<Self, Misuse> {
        let wrong = |key: &str, what: String| Misuse::of(format!("points[{at}].{key}"), what);
        let unfit = || "it is empty, or has control characters".to_owned();
        let thing = name(&point.thing).ok_or_else(|| wrong("thing", unfit()))?;
        let field = name(&point.field).ok_or_else(|| wrong("field", unfit()))?;
        if point.topic.is_none() && point.command.is_none() {
            let what = "neither it nor a command is given; name a topic".to_owned();
            return Err(wrong("topic", what));
        }
        let on = point.on.clone().unwrap_or_else(|| "ON".to_owned());
        let off = point.off.clone().unwrap_or_else(|| "OFF".to_owned());
        let boolean = point.kind == Kind::Boolean;
        let no_topic = |topic: &str| format!("`{topic}` is no topic (MQTT 3.1.1 §4.7)");
        let source = match &point.topic {
            None => None,
            Some(topic) if !is_name(topic) => return Err(wrong("topic", no_topic(topic))),
            Some(topic) => {
                let template = match &point.pointer {
                    None => Template::WHOLE,
                    Some(pointer) => Template::pointer(pointer).map_err(|_| {
                        let what = "it is to be a JSON pointer such as `/a/b` (RFC 6901)";
                        wrong("pointer", what.to_owned())
                    })?,
                };
                let unit = Text::new(&*point.unit).map_err(|_| wrong("unit", unfit()))?;
                let mut spec = FieldSpec::new(field.clone(), point.kind).sampled(point.sampling);
                spec.unit = unit;
                let by_words = boolean && (point.on.is_some() || point.off.is_some());
                Some(Source {
                    topic: topic.clone(),
                    template,
                    meaning: match by_words || (boolean && point.pointer.is_none()) {
                        true => Meaning::Switch {
                            on: on.clone(),
                            off: off.clone(),
                        },
                        false => Meaning::AsItIs,
                    },
                    field: spec,
                })
            }
        };
        let setter = match &point.command {
            None => None,
            Some(command) if !is_name(&command.topic) => {
                return Err(wrong("command.topic", no_topic(&command.topic)));
            }
            Some(command) => {
                let bounds = command.min.unwrap_or(0.0)..=command.max.unwrap_or(100.0);
                if bounds.is_empty() {
                    let what = "it is below `min`".to_owned();
                    return Err(wrong("command.max", what));
                }
                let words = command.options.iter().map(|word| Text::new(&**word));
                let words = words.collect::<Result<Vec<_>, _>>();
                let words = words.map_err(|_| wrong("command.options", unfit()))?;
                let kind = parameter_kind(point.kind, bounds, words);
                let writing = match (boolean, &command.template) {
                    (true, _) => Writing::Switch {
                        on: command.on.clone().unwrap_or(on),
                        off: Some(command.off.clone().unwrap_or(off)),
                    },
                    (false, None) => Writing::Value(CommandTemplate::value_alone()),
                    (false, Some(template)) => {
                        let template = CommandTemplate::parse(template)
                            .map_err(|error| wrong("command.template", error.to_string()))?;
                        Writing::Value(template)
                    }
                };
                Some(Setter {
                    topic: command.topic.clone(),
                    writing,
                    retain: command.retain,
                    parameter: ParameterSpec::new(field.clone(), kind),
                    tolerance: 1e-6,
                })
            }
        };
        Ok(Self {
            thing,
            label: None,
            outlets: vec![Outlet {
                name: field,
                source,
                setter,
            }],
            availability: Vec::new(),
            rule: Rule::All,
            expires: None,
        })
    }

    /// All topics that it reads.
    pub(super) fn topics(&self) -> impl Iterator<Item = &str> {
        let sources = self
            .outlets
            .iter()
            .filter_map(|outlet| outlet.source.as_ref());
        let states = sources.map(|source| source.topic.as_str());
        states.chain(self.availability.iter().map(|one| one.topic.as_str()))
    }
}

/// What may be set, for a field of that kind.
fn parameter_kind(kind: Kind, bounds: RangeInclusive<f64>, words: Vec<Text>) -> ParameterKind {
    // Bounds outside of a type are those of the type.
    #[allow(clippy::cast_possible_truncation)]
    match kind {
        Kind::Boolean => ParameterKind::Boolean,
        Kind::Date => ParameterKind::Date,
        Kind::DateTime => ParameterKind::DateTime,
        Kind::Duration => ParameterKind::Duration,
        Kind::Time => ParameterKind::Time,
        Kind::Int => ParameterKind::Int(*bounds.start() as i32..=*bounds.end() as i32),
        Kind::Long => ParameterKind::Long(*bounds.start() as i64..=*bounds.end() as i64),
        Kind::Numeric => ParameterKind::Double(bounds),
        Kind::Enum | Kind::String if !words.is_empty() => ParameterKind::OneOf(words),
        Kind::Enum | Kind::String => ParameterKind::String,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entity(toml: &str) -> Result<Entity, Misuse> {
        Entity::of_point(&toml::from_str(toml).unwrap(), 0)
    }

    fn read(entity: &Entity, payload: &str) -> Option<Value> {
        let source = entity.outlets[0].source.as_ref().unwrap();
        source.value(&Payload::new(payload))
    }

    #[test]
    fn a_measure_keeps_its_digits() {
        let point = "thing = 'cellar'\nfield = 'temperature'\ntopic = 'c/t'\nunit = 'Cel'";
        let entity = entity(point).unwrap();
        let Some(Value::Numeric { value, unit }) = read(&entity, "21.50") else {
            panic!("no measure")
        };
        assert_eq!((value.as_str(), &*unit), ("21.50", "Cel"));
        for none in ["", "NaN", "inf", "warm", "unavailable", "0x10"] {
            assert_eq!(read(&entity, none), None, "{none}");
        }
    }

    #[test]
    fn a_switch_reads_and_writes_its_own_words() {
        let lamp = entity(
            "thing = 'lamp'\nfield = 'on'\nkind = 'boolean'\ntopic = 'l/s'\non = 'yes'\noff = 'no'\n\
             command = { topic = 'l/c', on = 'YES!' }",
        )
        .unwrap();
        assert_eq!(read(&lamp, "yes"), Some(Value::Boolean(true)));
        assert_eq!(read(&lamp, "ON"), None);
        let setter = lamp.outlets[0].setter.as_ref().unwrap();
        assert_eq!(setter.text(&SettingValue::Boolean(true)).unwrap(), "YES!");
        assert_eq!(setter.text(&SettingValue::Bool(false)).unwrap(), "no");
        assert!(setter.text(&SettingValue::Int(1)).is_err());
    }

    #[test]
    fn what_cannot_be_in_a_point_is_named() {
        let error = |toml| entity(toml).unwrap_err().to_string();
        let told = error("thing = 'a'\nfield = 'b'");
        assert!(told.starts_with("`points[0].topic`:"), "{told}");
        let told = error("thing = 'a'\nfield = 'b'\ntopic = 'x/#'");
        assert!(told.contains("`x/#` is no topic"), "{told}");
        let told =
            error("thing = 'a'\nfield = 'b'\ncommand = { topic = 'x', min = 1.0, max = 0.0 }");
        assert!(told.starts_with("`points[0].command.max`:"), "{told}");
    }

    #[test]
    fn a_number_is_confirmed_by_one_that_is_near_enough() {
        let mut level = entity(
            "thing = 'l'\nfield = 'level'\nkind = 'int'\ntopic = 's'\n\
             command = { topic = 'c', max = 255.0, template = '{\"b\": {{ value }}}' }",
        )
        .unwrap();
        let setter = level.outlets[0].setter.as_mut().unwrap();
        assert_eq!(setter.text(&SettingValue::Int(7)).unwrap(), "{\"b\": 7}");
        assert!(setter.text(&SettingValue::Int(256)).is_err());
        assert!(setter.is_confirmed_by(&SettingValue::Int(7), &Value::Int(7)));
        assert!(!setter.is_confirmed_by(&SettingValue::Int(7), &Value::Int(8)));
        setter.tolerance = 1.0;
        assert!(setter.is_confirmed_by(&SettingValue::Int(7), &Value::Int(8)));
    }
}

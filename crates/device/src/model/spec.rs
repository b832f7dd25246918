//! What a thing is described by: fields that can be read, parameters that can be set.

use std::ops::RangeInclusive;

use serde::Deserialize;
use stanchion_reliability::session::Lane;
use stanchion_stanza::Text;

use super::{Categories, Node, Sampling, Setting, SettingValue};

/// A thing, as its adapter describes it.
#[derive(Debug, Clone, PartialEq)]
pub struct ThingSpec {
    /// Which it is behind our address. Its id is unique there.
    pub node: Node,
    /// What people call it.
    pub label: Text,
    /// What can be read.
    pub fields: Vec<FieldSpec>,
    /// What can be set.
    pub parameters: Vec<ParameterSpec>,
}

impl ThingSpec {
    /// A thing that has nothing yet, called by its id.
    #[must_use]
    pub fn new(id: Text) -> Self {
        Self {
            label: id.clone(),
            node: Node::new(id),
            fields: Vec::new(),
            parameters: Vec::new(),
        }
    }

    /// The same with one field more.
    #[must_use]
    pub fn with_field(mut self, field: FieldSpec) -> Self {
        self.fields.push(field);
        self
    }

    /// The same with one parameter more.
    #[must_use]
    pub fn with_parameter(mut self, parameter: ParameterSpec) -> Self {
        self.parameters.push(parameter);
        self
    }

    /// Its field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&FieldSpec> {
        self.fields.iter().find(|field| &*field.name == name)
    }

    /// Its parameter of that name.
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<&ParameterSpec> {
        self.parameters.iter().find(|p| &*p.name == name)
    }

    /// Whether that can be set: the parameter is there, and takes the value.
    ///
    /// # Errors
    /// [`SettingError`].
    pub fn check(&self, setting: &Setting) -> Result<(), SettingError> {
        let parameter = self.parameter(&setting.name);
        let parameter = parameter.ok_or_else(|| SettingError::NoSuchParameter {
            thing: self.node.id.clone(),
            name: setting.name.clone(),
        })?;
        parameter.check(&setting.value)
    }
}

/// The types of values (XEP-0323 §5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Yes or no.
    Boolean,
    /// A day.
    Date,
    /// A moment.
    DateTime,
    /// A length of time.
    Duration,
    /// One of a set of words.
    Enum,
    /// 32 bits, signed.
    Int,
    /// 64 bits, signed.
    Long,
    /// A measure with a unit.
    Numeric,
    /// Any text.
    String,
    /// A time of day.
    Time,
}

/// A field that can be read.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldSpec {
    /// Its name, unique in its thing.
    pub name: Text,
    /// The type of its values.
    pub kind: Kind,
    /// The unit of a measure, as it is written on the wire; empty for none.
    pub unit: Text,
    /// What kind of value it is.
    pub categories: Categories,
    /// Whether a parameter of the same name sets it.
    pub writable: bool,
    /// When a value is worth telling.
    pub sampling: Sampling,
    /// How it shares the way to a recipient. Default [`Lane::Telemetry`].
    pub lane: Lane,
}

impl FieldSpec {
    /// A momentary value that is told whenever it changes.
    #[must_use]
    pub fn new(name: Text, kind: Kind) -> Self {
        Self {
            name,
            kind,
            unit: Text::default(),
            categories: Categories::MOMENTARY,
            writable: false,
            sampling: Sampling::default(),
            lane: Lane::Telemetry,
        }
    }

    /// A measure in that unit.
    #[must_use]
    pub fn numeric(name: Text, unit: Text) -> Self {
        Self {
            unit,
            ..Self::new(name, Kind::Numeric)
        }
    }

    /// The same, of those categories.
    #[must_use]
    pub const fn of(mut self, categories: Categories) -> Self {
        self.categories = categories;
        self
    }

    /// The same, told when that says so.
    #[must_use]
    pub const fn sampled(mut self, sampling: Sampling) -> Self {
        self.sampling = sampling;
        self
    }

    /// The same, in that lane.
    #[must_use]
    pub const fn in_lane(mut self, lane: Lane) -> Self {
        self.lane = lane;
        self
    }
}

/// The types of what can be set (XEP-0325 §3.2), and what they may be.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ParameterKind {
    /// Yes or no.
    Boolean,
    /// A color.
    Color,
    /// A day.
    Date,
    /// A moment.
    DateTime,
    /// A number, within these bounds.
    Double(RangeInclusive<f64>),
    /// A length of time.
    Duration,
    /// 32 bits, within these bounds.
    Int(RangeInclusive<i32>),
    /// 64 bits, within these bounds.
    Long(RangeInclusive<i64>),
    /// Any text.
    String,
    /// One of these words.
    OneOf(Vec<Text>),
    /// A time of day.
    Time,
}

/// Something that can be set.
#[derive(Debug, Clone, PartialEq)]
pub struct ParameterSpec {
    /// Its name, unique in its thing.
    pub name: Text,
    /// What people call it, on a form.
    pub label: Text,
    /// What it is for, on a form.
    pub description: Option<Text>,
    /// What it may be.
    pub kind: ParameterKind,
    /// Whether to set it twice is the same as to set it once: a level, and not a step. One
    /// that is may be set again if nobody knows whether it was. Default `true`.
    pub idempotent: bool,
}

/// Why a parameter cannot be set so. Nothing was done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SettingError {
    /// There is none of that name.
    #[error("`{thing}` has no parameter `{name}`")]
    NoSuchParameter {
        /// The thing.
        thing: Text,
        /// The name.
        name: Text,
    },
    /// The value has another type.
    #[error("`{name}` is to be {wanted}")]
    WrongType {
        /// The parameter.
        name: Text,
        /// What it is to be.
        wanted: &'static str,
    },
    /// The value is not within its bounds, or none of its words.
    #[error("`{name}` is to be {wanted}")]
    OutOfBounds {
        /// The parameter.
        name: Text,
        /// What it may be.
        wanted: String,
    },
}

impl ParameterSpec {
    /// A parameter of that type, called by its name.
    #[must_use]
    pub fn new(name: Text, kind: ParameterKind) -> Self {
        Self {
            label: name.clone(),
            name,
            description: None,
            kind,
            idempotent: true,
        }
    }

    /// Whether it can be set to that. Integers do for wider numbers: controllers are not
    /// strict about it.
    ///
    /// # Errors
    /// [`SettingError::WrongType`] and [`SettingError::OutOfBounds`].
    pub fn check(&self, value: &SettingValue) -> Result<(), SettingError> {
        use SettingValue as V;
        let within = |holds: bool, wanted: String| {
            let name = self.name.clone();
            match holds {
                true => Ok(()),
                false => Err(SettingError::OutOfBounds { name, wanted }),
            }
        };
        let wrong = |wanted| {
            let name = self.name.clone();
            Err(SettingError::WrongType { name, wanted })
        };
        match &self.kind {
            ParameterKind::Boolean => match value {
                V::Boolean(_) | V::Bool(_) => Ok(()),
                _ => wrong("true or false"),
            },
            ParameterKind::Color => match value {
                V::Color(_) => Ok(()),
                _ => wrong("a color"),
            },
            ParameterKind::Date => match value {
                V::Date(_) => Ok(()),
                _ => wrong("a date"),
            },
            ParameterKind::DateTime => match value {
                V::DateTime(_) => Ok(()),
                _ => wrong("a date and time"),
            },
            ParameterKind::Duration => match value {
                V::Duration(_) => Ok(()),
                _ => wrong("a duration"),
            },
            ParameterKind::Time => match value {
                V::Time(_) => Ok(()),
                _ => wrong("a time of day"),
            },
            ParameterKind::String => match value {
                V::String(_) | V::Enum { .. } => Ok(()),
                _ => wrong("a text"),
            },
            ParameterKind::Double(range) => {
                let number = match value {
                    V::Double(number) => number.to_f64(),
                    V::Int(number) => f64::from(*number),
                    // What is lost beyond 2^53 is no matter for a bound.
                    #[allow(clippy::cast_precision_loss)]
                    V::Long(number) => *number as f64,
                    _ => return wrong("a number"),
                };
                let wanted = format!("from {} to {}", range.start(), range.end());
                within(range.contains(&number), wanted)
            }
            ParameterKind::Int(range) => match value {
                V::Int(number) => {
                    let wanted = format!("from {} to {}", range.start(), range.end());
                    within(range.contains(number), wanted)
                }
                _ => wrong("a whole number of 32 bits"),
            },
            ParameterKind::Long(range) => {
                let number = match value {
                    V::Long(number) => *number,
                    V::Int(number) => i64::from(*number),
                    _ => return wrong("a whole number of 64 bits"),
                };
                let wanted = format!("from {} to {}", range.start(), range.end());
                within(range.contains(&number), wanted)
            }
            ParameterKind::OneOf(words) => match value {
                V::String(word) | V::Enum { value: word, .. } => {
                    let wanted = || words.iter().map(|w| &**w).collect::<Vec<_>>().join(", ");
                    within(words.contains(word), format!("one of {}", wanted()))
                }
                _ => wrong("a word"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(kind: ParameterKind) -> ParameterSpec {
        ParameterSpec::new(Text::from_static("level"), kind)
    }

    #[test]
    fn a_value_of_another_type_is_refused_and_so_is_one_out_of_bounds() {
        let level = spec(ParameterKind::Int(0..=100));
        assert!(level.check(&SettingValue::Int(100)).is_ok());
        let too_much = level.check(&SettingValue::Int(101)).unwrap_err();
        assert_eq!(too_much.to_string(), "`level` is to be from 0 to 100");
        let word = SettingValue::String(Text::from_static("50"));
        assert!(matches!(
            level.check(&word),
            Err(SettingError::WrongType { .. })
        ));
        let modes = ["off", "on"].map(Text::from_static).to_vec();
        let mode = spec(ParameterKind::OneOf(modes));
        assert!(
            mode.check(&SettingValue::String(Text::from_static("on")))
                .is_ok()
        );
        assert!(mode.check(&word).is_err());
    }

    #[test]
    fn a_number_that_is_none_is_out_of_bounds() {
        let level = spec(ParameterKind::Double(0.0..=1.0));
        let nan = SettingValue::Double("NaN".parse().unwrap());
        assert!(level.check(&nan).is_err());
    }

    #[test]
    fn what_is_unknown_is_named() {
        let lamp = ThingSpec::new(Text::from_static("lamp"));
        let setting = Setting {
            name: Text::from_static("on"),
            value: SettingValue::Boolean(true),
        };
        let error = lamp.check(&setting).unwrap_err();
        assert_eq!(error.to_string(), "`lamp` has no parameter `on`");
    }
}

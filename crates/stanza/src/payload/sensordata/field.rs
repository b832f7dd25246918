//! A field: one value with its name, kind and quality (XEP-0323 §5.4).

use super::super::xs::{Double, boolean, double, required_parsed};
use super::super::{PayloadError, required};
use super::dialect::Dialect;
use super::{Categories, Quality};
use crate::xml::{Element, Text, View};

/// A value of one of the ten types. Dates and times stay text, in the forms of XML
/// Schema; [`datetime::utc`](crate::payload::datetime::utc) writes a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Yes or no.
    Boolean(bool),
    /// A day, `CCYY-MM-DD`.
    Date(Text),
    /// A moment, `CCYY-MM-DDThh:mm:ss`, by rights with a time zone.
    DateTime(Text),
    /// A length of time, such as `PT3M30S`.
    Duration(Text),
    /// One of a set of words.
    Enum {
        /// The word.
        value: Text,
        /// The set's name.
        data_type: Text,
    },
    /// 32 bits, signed.
    Int(i32),
    /// 64 bits, signed.
    Long(i64),
    /// A measure.
    Numeric {
        /// The number; its decimals tell how exact it is.
        value: Double,
        /// The unit, such as `Cel` or `°C`; empty for none.
        unit: Text,
    },
    /// Any text.
    String(Text),
    /// A time of day, `hh:mm:ss`.
    Time(Text),
}

/// One field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name: unique for node and time.
    pub name: Text,
    /// Its value.
    pub value: Value,
    /// What kind of value it is.
    pub categories: Categories,
    /// How far it can be relied upon.
    pub quality: Quality,
    /// Whether there is a control parameter of the same name (§5.10); `None` if the
    /// device does not say.
    pub writable: Option<bool>,
    /// Where the name's translations are (§6.2).
    pub module: Option<Text>,
    /// Which they are (§6.2), as it stood.
    pub string_ids: Option<Text>,
}

impl Field {
    /// A momentary value, read by the device.
    #[must_use]
    pub const fn momentary(name: Text, value: Value) -> Self {
        Self {
            name,
            value,
            categories: Categories::MOMENTARY,
            quality: Quality::AUTOMATIC_READOUT,
            writable: None,
            module: None,
            string_ids: None,
        }
    }

    /// Reads a field; `None` if the element is none. Before version 0.3 of XEP-0323, a
    /// duration was a `timeSpan`.
    pub(crate) fn read(element: View<'_>, words: &Dialect) -> Result<Option<Self>, PayloadError> {
        if element.ns() != words.ns {
            return Ok(None);
        }
        let name = element.name();
        let (kind, value) = if name == words.boolean {
            let value = boolean(element, words.boolean, words.value)?;
            let value = value.ok_or(PayloadError::MissingAttribute {
                element: words.boolean,
                attribute: words.value,
            })?;
            (words.boolean, Value::Boolean(value))
        } else if name == words.date {
            let value = required(element, words.date, words.value)?;
            (words.date, Value::Date(value))
        } else if name == words.date_time {
            let value = required(element, words.date_time, words.value)?;
            (words.date_time, Value::DateTime(value))
        } else if name == words.duration || (!words.short && name == "timeSpan") {
            let value = required(element, words.duration, words.value)?;
            (words.duration, Value::Duration(value))
        } else if name == words.enumeration {
            let value = Value::Enum {
                value: required(element, words.enumeration, words.value)?,
                data_type: required(element, words.enumeration, words.data_type)?,
            };
            (words.enumeration, value)
        } else if name == words.int {
            let value = required_parsed(element, words.int, words.value)?;
            (words.int, Value::Int(value))
        } else if name == words.long {
            let value = required_parsed(element, words.long, words.value)?;
            (words.long, Value::Long(value))
        } else if name == words.numeric {
            let unit = element.attr_text(words.unit);
            let value = Value::Numeric {
                value: double(element, words.numeric, words.value)?,
                unit: unit.unwrap_or_default(),
            };
            (words.numeric, value)
        } else if name == words.string {
            let value = required(element, words.string, words.value)?;
            (words.string, Value::String(value))
        } else if name == words.time {
            let value = required(element, words.time, words.value)?;
            (words.time, Value::Time(value))
        } else {
            return Ok(None);
        };
        Ok(Some(Self {
            name: required(element, kind, words.name)?,
            value,
            categories: Categories::read(element, words),
            quality: Quality::read(element, words),
            writable: boolean(element, kind, words.writable)?,
            module: element.attr_text(words.module),
            string_ids: element.attr_text(words.string_ids),
        }))
    }

    pub(crate) fn write(&self, words: &Dialect) -> Element {
        let (kind, value, extra) = match &self.value {
            Value::Boolean(value) => (words.boolean, Text::from(*value), None),
            Value::Date(value) => (words.date, value.clone(), None),
            Value::DateTime(value) => (words.date_time, value.clone(), None),
            Value::Duration(value) => (words.duration, value.clone(), None),
            Value::Enum { value, data_type } => {
                let data_type = Some((words.data_type, data_type.clone()));
                (words.enumeration, value.clone(), data_type)
            }
            Value::Int(value) => (words.int, Text::from(*value), None),
            Value::Long(value) => (words.long, Text::from(*value), None),
            Value::Numeric { value, unit } => {
                // XEP-0323 wants a unit even where there is none.
                let unit = (!words.short || !unit.is_empty()).then(|| (words.unit, unit.clone()));
                (words.numeric, value.clone().into(), unit)
            }
            Value::String(value) => (words.string, value.clone(), None),
            Value::Time(value) => (words.time, value.clone(), None),
        };
        let mut field = Element::new(kind, words.ns)
            .with_attr(words.name, self.name.clone())
            .with_attr(words.value, value);
        if let Some((name, value)) = extra {
            field.set_attr(name, value);
        }
        self.categories.write(&mut field, words);
        self.quality.write(&mut field, words);
        field
            .with_attr_opt(words.writable, self.writable)
            .with_attr_opt(words.module, self.module.clone())
            .with_attr_opt(words.string_ids, self.string_ids.clone())
    }
}

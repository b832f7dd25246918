//! What a parameter is set to, as it is written on the command line: `on=true`,
//! `level:int=40`. A type that is not said is the one that the thing has.

use std::str::FromStr;

use stanchion::device::model::{Kind, SettingValue};
use stanchion::stanza::Text;
use stanchion::stanza::payload::forms::{FieldType, Form};

/// The types of XEP-0325 §3.2, in its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    Boolean,
    Color,
    Date,
    DateTime,
    Double,
    Duration,
    Int,
    Long,
    String,
    Time,
}

impl Type {
    const ALL: [(Self, &'static str); 10] = [
        (Self::Boolean, "boolean"),
        (Self::Color, "color"),
        (Self::Date, "date"),
        (Self::DateTime, "dateTime"),
        (Self::Double, "double"),
        (Self::Duration, "duration"),
        (Self::Int, "int"),
        (Self::Long, "long"),
        (Self::String, "string"),
        (Self::Time, "time"),
    ];

    fn name(self) -> &'static str {
        let found = Self::ALL.iter().find(|(one, _)| *one == self);
        found.map_or("", |(_, name)| name)
    }

    fn named(name: &str) -> Option<Self> {
        let mut all = Self::ALL.iter();
        all.find(|(_, n)| n.eq_ignore_ascii_case(name))
            .map(|(one, _)| *one)
    }

    /// What a form says of a parameter (XEP-0325 §3.3, XEP-0122).
    pub(crate) fn in_form(form: &Form, name: &str) -> Option<Self> {
        let mut fields = form.fields.iter();
        let field = fields.find(|f| f.var.as_deref() == Some(name))?;
        let data_type = field.extensions.iter().find_map(|e| e.attr("datatype"));
        let named = data_type.and_then(|t| Self::named(t.rsplit(':').next().unwrap_or(t)));
        named.or_else(|| (field.kind == Some(FieldType::Boolean)).then_some(Self::Boolean))
    }

    /// The one of a field of the same name.
    pub(super) const fn of(kind: Kind) -> Self {
        match kind {
            Kind::Boolean => Self::Boolean,
            Kind::Date => Self::Date,
            Kind::DateTime => Self::DateTime,
            Kind::Duration => Self::Duration,
            Kind::Int => Self::Int,
            Kind::Long => Self::Long,
            Kind::Numeric => Self::Double,
            Kind::Enum | Kind::String => Self::String,
            Kind::Time => Self::Time,
        }
    }

    /// The one that a value looks like.
    pub(crate) fn like(value: &str) -> Self {
        if matches!(value, "true" | "false") {
            Self::Boolean
        } else if value.parse::<i32>().is_ok() {
            Self::Int
        } else if value.parse::<i64>().is_ok() {
            Self::Long
        } else if value.parse::<f64>().is_ok_and(f64::is_finite) {
            Self::Double
        } else {
            Self::String
        }
    }

    /// Reads a value of it.
    pub(crate) fn read(self, value: &str) -> Result<SettingValue, String> {
        let wrong = || format!("`{value}` is no {}", self.name());
        let text = || Text::new(value).map_err(|_| wrong());
        Ok(match self {
            Self::Boolean => SettingValue::Boolean(match value {
                "true" | "1" | "on" | "yes" => true,
                "false" | "0" | "off" | "no" => false,
                _ => return Err(format!("{}; write true or false", wrong())),
            }),
            Self::Color => {
                let color = value.strip_prefix('#').unwrap_or(value).parse();
                SettingValue::Color(color.map_err(|_| format!("{}; write 3399FF", wrong()))?)
            }
            Self::Date => SettingValue::Date(text()?),
            Self::DateTime => SettingValue::DateTime(text()?),
            Self::Double => {
                // Digits as they were written tell how exact it is.
                SettingValue::Double(value.parse().map_err(|_| wrong())?)
            }
            Self::Duration => SettingValue::Duration(text()?),
            Self::Int => SettingValue::Int(value.parse().map_err(|_| wrong())?),
            Self::Long => SettingValue::Long(value.parse().map_err(|_| wrong())?),
            Self::String => SettingValue::String(text()?),
            Self::Time => SettingValue::Time(text()?),
        })
    }
}

/// `NAME=VALUE`, or `NAME:TYPE=VALUE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Assignment {
    pub(super) name: Text,
    pub(super) said: Option<Type>,
    pub(super) value: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, value) = text
            .split_once('=')
            .ok_or("write NAME=VALUE, as in on=true")?;
        let (name, said) = match name.rsplit_once(':') {
            Some((name, word)) => {
                let said = Type::named(word).ok_or_else(|| {
                    let names = Type::ALL.map(|(_, name)| name).join(", ");
                    format!("no type `{word}`; there are {names}")
                })?;
                (name, Some(said))
            }
            None => (name, None),
        };
        if name.is_empty() {
            return Err("write NAME=VALUE, as in on=true".to_owned());
        }
        if let Some(said) = said {
            said.read(value)?;
        }
        Ok(Self {
            name: Text::new(name).map_err(|e| e.to_string())?,
            said,
            value: value.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_said_or_seen() {
        let read = |text: &str| text.parse::<Assignment>();
        let level = read("level:int=40").unwrap();
        assert_eq!((&*level.name, level.said), ("level", Some(Type::Int)));
        assert_eq!(read("url=a=b").unwrap().value, "a=b");
        assert!(read("level:int=x").unwrap_err().contains("no int"));
        assert!(read("level:word=x").unwrap_err().contains("boolean, color"));
        assert!(read("level").is_err() && read("=1").is_err());
        for (value, like) in [
            ("true", Type::Boolean),
            ("40", Type::Int),
            ("4000000000", Type::Long),
            ("4.5", Type::Double),
            ("NaN", Type::String),
            ("auto", Type::String),
        ] {
            assert_eq!(Type::like(value), like, "{value}");
            assert!(like.read(value).is_ok());
        }
        assert!(Type::Boolean.read("perhaps").is_err());
    }
}

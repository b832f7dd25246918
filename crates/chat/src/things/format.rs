//! How a value is written: for people, as JSON, or as a format says.

use serde_json::{Value as Json, json};
use stanchion::device::model::{Quality, Value};
use stanchion::device::remote::Measured;
use stanchion::stanza::payload::datetime::utc;

use crate::terminal::{harmless, json_line};

/// What a format says, piece by piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Format(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Part(Part),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Thing,
    Field,
    Value,
    Unit,
    Quality,
    Time,
    Epoch,
    Json,
}

impl Part {
    const ALL: [(Self, char, &'static str); 8] = [
        (Self::Thing, 't', "thing"),
        (Self::Field, 'f', "field"),
        (Self::Value, 'v', "value"),
        (Self::Unit, 'u', "unit"),
        (Self::Quality, 'q', "quality"),
        (Self::Time, 'I', "time"),
        (Self::Epoch, 'U', "epoch"),
        (Self::Json, 'j', "json"),
    ];

    fn write(self, value: &Measured) -> String {
        let text = match self {
            Self::Thing => value.thing.id.to_string(),
            Self::Field => value.field.name.to_string(),
            Self::Value => written(&value.field.value),
            Self::Unit => unit(&value.field.value).to_owned(),
            Self::Quality => quality(value.field.quality).join(","),
            Self::Time => time(value),
            Self::Epoch => match value.at() {
                Some(at) => {
                    let ms = at.as_unix_ms();
                    format!("{}.{:03}", ms.div_euclid(1000), ms.rem_euclid(1000))
                }
                None => String::new(),
            },
            Self::Json => return json(value),
        };
        harmless(&text)
    }
}

impl Format {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut plain = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            let part = match c {
                '\\' => {
                    match rest.next() {
                        Some('n') => plain.push('\n'),
                        Some('t') => plain.push('\t'),
                        Some(other @ ('\\' | '{' | '%')) => plain.push(other),
                        _ => return Err("after a backslash: n, t, \\, { or %".to_owned()),
                    }
                    continue;
                }
                '%' => match rest.next() {
                    Some('%') => {
                        plain.push('%');
                        continue;
                    }
                    Some(code) => Part::ALL.iter().find(|(_, c, _)| *c == code),
                    None => None,
                }
                .ok_or("after a percent sign: t, f, v, u, q, I, U, j or %")?,
                '{' => {
                    let (name, after) = rest
                        .as_str()
                        .split_once('}')
                        .ok_or("a { without }; write \\{ for the sign itself")?;
                    rest = after.chars();
                    let found = Part::ALL.iter().find(|(_, _, n)| *n == name);
                    found.ok_or_else(|| {
                        let names = Part::ALL.map(|(_, _, name)| name).join("}, {");
                        format!("no {{{name}}}; there are {{{names}}}")
                    })?
                }
                other => {
                    plain.push(other);
                    continue;
                }
            };
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Part(part.0));
        }
        if !plain.is_empty() {
            pieces.push(Piece::Text(plain));
        }
        Ok(Self(pieces))
    }

    pub(super) fn line(&self, value: &Measured) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Part(part) => part.write(value),
        });
        pieces.collect()
    }
}

/// For people: `hall temperature 21.50 Cel`.
pub(super) fn plain(value: &Measured) -> String {
    let words = [
        value.thing.id.to_string(),
        value.field.name.to_string(),
        written(&value.field.value),
        unit(&value.field.value).to_owned(),
    ];
    let words: Vec<String> = words.into_iter().filter(|w| !w.is_empty()).collect();
    let mut line = words.join(" ");
    let quality = quality(value.field.quality);
    if quality.iter().any(|q| *q != "automaticReadout") {
        line = format!("{line} ({})", quality.join(", "));
    }
    harmless(&line)
}

pub(super) fn json(value: &Measured) -> String {
    let field = &value.field;
    json_line(&json!({
        "thing": &*value.thing.id,
        "field": &*field.name,
        "value": as_json(&field.value),
        "unit": Some(unit(&field.value)).filter(|unit| !unit.is_empty()),
        "time": time(value),
        "quality": quality(field.quality),
    }))
}

fn as_json(value: &Value) -> Json {
    match value {
        Value::Boolean(on) => json!(on),
        Value::Int(number) => json!(number),
        Value::Long(number) => json!(number),
        // One that JSON cannot write stays as it stood.
        Value::Numeric { value, .. } => match serde_json::Number::from_f64(value.to_f64()) {
            Some(number) => Json::Number(number),
            None => json!(value.as_str()),
        },
        other => json!(written(other)),
    }
}

/// A value as it stands on the wire.
pub(crate) fn written(value: &Value) -> String {
    match value {
        Value::Boolean(on) => on.to_string(),
        Value::Date(text)
        | Value::DateTime(text)
        | Value::Duration(text)
        | Value::Enum { value: text, .. }
        | Value::String(text)
        | Value::Time(text) => text.to_string(),
        Value::Int(number) => number.to_string(),
        Value::Long(number) => number.to_string(),
        Value::Numeric { value, .. } => value.as_str().to_owned(),
    }
}

/// The unit of a measure, as it stands on the wire.
pub(crate) fn unit(value: &Value) -> &str {
    match value {
        Value::Numeric { unit, .. } => unit,
        _ => "",
    }
}

/// In UTC, if it can be read; as it stood, if not.
fn time(value: &Measured) -> String {
    match value.at() {
        Some(at) => utc(at.as_unix_ms()).to_string(),
        None => value.time.to_string(),
    }
}

fn quality(quality: Quality) -> Vec<&'static str> {
    const NAMES: [(Quality, &str); 14] = [
        (Quality::MISSING, "missing"),
        (Quality::IN_PROGRESS, "inProgress"),
        (Quality::AUTOMATIC_ESTIMATE, "automaticEstimate"),
        (Quality::MANUAL_ESTIMATE, "manualEstimate"),
        (Quality::MANUAL_READOUT, "manualReadout"),
        (Quality::AUTOMATIC_READOUT, "automaticReadout"),
        (Quality::TIME_OFFSET, "timeOffset"),
        (Quality::WARNING, "warning"),
        (Quality::ERROR, "error"),
        (Quality::SIGNED, "signed"),
        (Quality::INVOICED, "invoiced"),
        (Quality::END_OF_SERIES, "endOfSeries"),
        (Quality::POWER_FAILURE, "powerFailure"),
        (Quality::INVOICE_CONFIRMED, "invoiceConfirmed"),
    ];
    let set = NAMES.iter().filter(|(one, _)| quality.contains(*one));
    set.map(|(_, name)| *name).collect()
}

#[cfg(test)]
mod tests {
    use stanchion::device::model::Node;
    use stanchion::stanza::Text;
    use stanchion::stanza::payload::sensordata::Field;

    use super::*;

    fn measured() -> Measured {
        let value = Value::Numeric {
            value: "21.50".parse().unwrap(),
            unit: Text::from_static("Cel"),
        };
        Measured {
            thing: Node::new(Text::from_static("hall")),
            time: Text::from_static("2002-09-10T05:18:15-06:00"),
            field: Field::momentary(Text::from_static("temp\u{202e}erature"), value),
        }
    }

    #[test]
    fn a_format_has_codes_and_names_and_strangers_cannot_control_the_terminal() {
        let line = |format| Format::new(format).unwrap().line(&measured());
        assert_eq!(line("%t %v%%|{unit}\\t{value}"), "hall 21.50%|Cel\t21.50");
        assert_eq!(line("%I %U"), "2002-09-10T11:18:15.000Z 1031656695.000");
        assert_eq!(line("{field} %q"), r"temp\u{202e}erature automaticReadout");
        let json: Json = serde_json::from_str(&line("%j")).unwrap();
        assert_eq!(
            (&json["value"], &json["unit"]),
            (&json!(21.5), &json!("Cel"))
        );
        assert_eq!(plain(&measured()), r"hall temp\u{202e}erature 21.50 Cel");
    }

    #[test]
    fn a_wrong_format_says_what_there_is() {
        let error = Format::new("{temperature}").unwrap_err();
        assert!(error.contains("{thing}, {field}"), "{error}");
        for wrong in ["%x", "%", "{thing", "\\x", "\\"] {
            assert!(Format::new(wrong).is_err(), "{wrong}");
        }
    }
}

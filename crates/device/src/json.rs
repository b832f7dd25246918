//! Samples as JSON, for whoever reads no XML: one object a sample, one line in a file.
//!
//! ```json
//! {"thing":"hall","at":"2026-02-03T04:05:06.000Z","fields":{
//!   "temperature":{"value":21.5,"unit":"Cel"},"on":{"value":true}}}
//! ```
//!
//! Numbers and truth values are JSON's own, everything else is text in the form of XML
//! Schema with its `type`. `quality` is there if it is not simply read by the device.

use serde_json::{Map, Value as Json, json};
use stanchion_stanza::payload::datetime;

use crate::model::{Quality, Reading, Sample, Value};

/// A sample.
#[must_use]
pub fn of_sample(sample: &Sample) -> Json {
    let fields: Map<String, Json> = (sample.readings.iter())
        .map(|reading| (reading.field.to_string(), of_reading(reading)))
        .collect();
    json!({
        "thing": &*sample.thing,
        "at": &*datetime::utc(sample.at.as_unix_ms()),
        "fields": fields,
    })
}

/// A reading, without its name.
#[must_use]
pub fn of_reading(reading: &Reading) -> Json {
    let mut object = Map::new();
    let (value, extra) = of_value(&reading.value);
    object.insert("value".to_owned(), value);
    if let Some((key, word)) = extra {
        object.insert(key.to_owned(), word.into());
    }
    if reading.quality != Quality::AUTOMATIC_READOUT && !reading.quality.is_empty() {
        object.insert("quality".to_owned(), quality(reading.quality).into());
    }
    Json::Object(object)
}

/// A value, and what must be said of it beside.
fn of_value(value: &Value) -> (Json, Option<(&'static str, String)>) {
    let text = |text: &str, kind| (Json::from(text), Some(("type", String::from(kind))));
    match value {
        Value::Boolean(on) => (Json::from(*on), None),
        Value::Int(number) => (Json::from(*number), None),
        Value::Long(number) => (Json::from(*number), None),
        Value::Numeric { value, unit } => {
            // JSON has no infinity: then the word says it.
            let number = serde_json::Number::from_f64(value.to_f64());
            let number = number.map_or_else(|| Json::from(value.as_str()), Json::Number);
            let unit = (!unit.is_empty()).then(|| ("unit", unit.to_string()));
            (number, unit)
        }
        Value::String(word) => (Json::from(&**word), None),
        Value::Enum { value, data_type } => {
            (Json::from(&**value), Some(("of", data_type.to_string())))
        }
        Value::Date(day) => text(day, "date"),
        Value::DateTime(moment) => text(moment, "dateTime"),
        Value::Duration(length) => text(length, "duration"),
        Value::Time(time) => text(time, "time"),
    }
}

/// The words of a quality, as in XEP-0323 §5.2.
fn quality(quality: Quality) -> Vec<String> {
    let all = format!("{quality:?}");
    let words = all.trim_matches(['{', '}']).split(", ");
    words
        .map(|word| word.trim_matches('"').to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::number;
    use stanchion_reliability::store::WallTime;
    use stanchion_stanza::Text;

    #[test]
    fn a_sample_is_one_object_with_its_units_and_what_is_wrong_with_it() {
        let celsius = number(21.5, 2, Text::from_static("Cel")).unwrap();
        let mut sample = Sample::one(
            Text::from_static("hall"),
            WallTime::from_unix_ms(1_770_091_506_000),
            Text::from_static("temperature"),
            celsius,
        );
        sample.readings.push(Reading {
            field: Text::from_static("on"),
            value: Value::Boolean(true),
            quality: Quality::MISSING,
        });
        let expected = json!({
            "thing": "hall",
            "at": "2026-02-03T04:05:06.000Z",
            "fields": {
                "temperature": { "value": 21.5, "unit": "Cel" },
                "on": { "value": true, "quality": ["missing"] },
            },
        });
        assert_eq!(of_sample(&sample), expected);
    }
}

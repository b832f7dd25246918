//! Samples as JSON: one profile more, for whoever reads nothing but the body of a message.
//!
//! ```json
//! {
//!   "thing": "hall",
//!   "at": "2026-11-25T22:00:00.000Z",
//!   "readings": {
//!     "temperature": { "type": "numeric", "value": 21.5, "decimals": 2, "unit": "Cel" },
//!     "door": { "type": "boolean", "value": true, "quality": ["automaticEstimate"] }
//!   }
//! }
//! ```
//!
//! `type` is one of `boolean`, `date`, `dateTime`, `duration`, `enum` (with `dataType`),
//! `int`, `long`, `numeric`, `string`, `time`. `decimals` and `unit` are of measures; a
//! measure that no JSON number says as it was written, and a `long` beyond 2⁵³, stand as
//! text. `quality` has the words of XEP-0323 §5.7; without it, the device itself has read
//! the value.

use serde_json::{Map, Value as Json, json};
use stanchion_reliability::store::WallTime;
use stanchion_stanza::Text;
use stanchion_stanza::payload::datetime::{unix_ms, utc};

use crate::model::{Quality, Reading, Sample, Value};

/// Words of [`Quality::ALL`], in its order.
const QUALITIES: [&str; 14] = [
    "missing",
    "inProgress",
    "automaticEstimate",
    "manualEstimate",
    "manualReadout",
    "automaticReadout",
    "timeOffset",
    "warning",
    "error",
    "signed",
    "invoiced",
    "endOfSeries",
    "powerFailure",
    "invoiceConfirmed",
];
/// Readings that one text may have.
const MOST: usize = 256;
/// The greatest number that every reader of JSON has exactly.
const EXACT: i64 = 1 << 53;

/// What is no sample.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the text is no sample: {0}")]
pub struct NotASample(String);

fn no<T>(what: impl Into<String>) -> Result<T, NotASample> {
    Err(NotASample(what.into()))
}

/// A sample as JSON, in one line.
#[must_use]
pub fn write(sample: &Sample) -> String {
    of_sample(sample).to_string()
}

/// A sample as JSON, for who has more to say of it.
#[must_use]
pub fn of_sample(sample: &Sample) -> Json {
    let readings = sample.readings.iter();
    let readings: Map<String, Json> = readings
        .map(|reading| (reading.field.to_string(), of_reading(reading)))
        .collect();
    json!({
        "thing": &*sample.thing,
        "at": &*utc(sample.at.as_unix_ms()),
        "readings": readings,
    })
}

/// A sample out of JSON. What else stands there is left out.
///
/// # Errors
/// [`NotASample`].
pub fn read(text: &str) -> Result<Sample, NotASample> {
    let json: Json = serde_json::from_str(text).map_err(|e| NotASample(e.to_string()))?;
    let at = json["at"].as_str().and_then(unix_ms);
    let Some(at) = at else {
        return no("`at` is to be a time such as 2026-11-25T22:00:00Z");
    };
    let Some(readings) = json["readings"].as_object() else {
        return no("`readings` is to be an object");
    };
    if readings.len() > MOST {
        return no(format!("it has more than {MOST} readings"));
    }
    let readings = readings.iter();
    let readings = readings.map(|(field, json)| to_reading(text_of(field)?, json));
    Ok(Sample {
        thing: string(&json, "thing")?,
        at: WallTime::from_unix_ms(at),
        readings: readings.collect::<Result<_, _>>()?,
    })
}

/// One reading without its field's name.
pub(crate) fn of_reading(reading: &Reading) -> Json {
    let mut json = match &reading.value {
        Value::Boolean(on) => json!({"type": "boolean", "value": on}),
        Value::Date(text) => json!({"type": "date", "value": &**text}),
        Value::DateTime(text) => json!({"type": "dateTime", "value": &**text}),
        Value::Duration(text) => json!({"type": "duration", "value": &**text}),
        Value::Enum { value, data_type } => {
            json!({"type": "enum", "value": &**value, "dataType": &**data_type})
        }
        Value::Int(number) => json!({"type": "int", "value": number}),
        Value::Long(number) if number.unsigned_abs() <= EXACT.unsigned_abs() => {
            json!({"type": "long", "value": number})
        }
        Value::Long(number) => json!({"type": "long", "value": number.to_string()}),
        Value::Numeric { value, unit } => {
            let mut json = match plain(value.as_str()) {
                Some((number, decimals)) => {
                    json!({"type": "numeric", "value": number, "decimals": decimals})
                }
                None => json!({"type": "numeric", "value": value.as_str()}),
            };
            if !unit.is_empty() {
                json["unit"] = Json::from(&**unit);
            }
            json
        }
        Value::String(text) => json!({"type": "string", "value": &**text}),
        Value::Time(text) => json!({"type": "time", "value": &**text}),
    };
    if reading.quality != Quality::AUTOMATIC_READOUT {
        let words = Quality::ALL.iter().zip(QUALITIES);
        let words = words.filter(|(q, _)| reading.quality.contains(**q));
        json["quality"] = words.map(|(_, word)| word).collect();
    }
    json
}

/// The number that these digits are, and how many stand behind the point, if they are what
/// comes of writing it so.
fn plain(digits: &str) -> Option<(f64, usize)> {
    let number: f64 = digits.parse().ok().filter(|n: &f64| n.is_finite())?;
    let decimals = digits.split_once('.').map_or(0, |(_, d)| d.len());
    (decimals <= 17 && format!("{number:.decimals$}") == digits).then_some((number, decimals))
}

/// A reading of that field.
pub(crate) fn to_reading(field: Text, json: &Json) -> Result<Reading, NotASample> {
    let text = || string(json, "value");
    let whole = || {
        let value = &json["value"];
        let number = value.as_i64();
        number.or_else(|| value.as_str().and_then(|s| s.parse().ok()))
    };
    let bad = |wanted: &str| no(format!("`{field}` is to be {wanted}"));
    let value = match json["type"].as_str().unwrap_or_default() {
        "boolean" => match json["value"].as_bool() {
            Some(on) => Value::Boolean(on),
            None => return bad("true or false"),
        },
        "date" => Value::Date(text()?),
        "dateTime" => Value::DateTime(text()?),
        "duration" => Value::Duration(text()?),
        "enum" => Value::Enum {
            value: text()?,
            data_type: string(json, "dataType")?,
        },
        "int" => match whole().map(i32::try_from) {
            Some(Ok(number)) => Value::Int(number),
            _ => return bad("a whole number of 32 bits"),
        },
        "long" => match whole() {
            Some(number) => Value::Long(number),
            None => return bad("a whole number of 64 bits"),
        },
        "numeric" => {
            let digits = match (json["value"].as_f64(), json["decimals"].as_u64()) {
                (Some(number), Some(decimals)) => {
                    let decimals = usize::try_from(decimals).unwrap_or(17).min(17);
                    format!("{number:.decimals$}")
                }
                (Some(number), None) => number.to_string(),
                (None, _) => json["value"].as_str().unwrap_or_default().to_owned(),
            };
            let unit = match json["unit"].is_null() {
                true => Text::default(),
                false => string(json, "unit")?,
            };
            match digits.parse() {
                Ok(value) => Value::Numeric { value, unit },
                Err(_) => return bad("a number"),
            }
        }
        "string" => Value::String(text()?),
        "time" => Value::Time(text()?),
        other => return no(format!("`{field}` has the unknown type `{other}`")),
    };
    let quality = match json["quality"].as_array() {
        Some(words) => {
            let named = |word: &Json| QUALITIES.iter().position(|q| Some(*q) == word.as_str());
            let flags = words.iter().filter_map(named);
            let flags = flags.filter_map(|at| Quality::ALL.get(at).copied());
            flags.fold(Quality::NONE, |all, one| all | one)
        }
        None => Quality::AUTOMATIC_READOUT,
    };
    Ok(Reading {
        field,
        value,
        quality,
    })
}

fn string(json: &Json, name: &str) -> Result<Text, NotASample> {
    match json[name].as_str() {
        Some(text) => text_of(text),
        None => no(format!("`{name}` is to be a text")),
    }
}

fn text_of(text: &str) -> Result<Text, NotASample> {
    Text::new(text).map_err(|e| NotASample(e.to_string()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(s: &'static str) -> Text {
        Text::from_static(s)
    }

    fn values() -> impl Strategy<Value = Value> {
        let word = "[a-z <\"]{0,8}".prop_map(|s| Text::new(s).unwrap());
        let double = prop_oneof![
            "-?[0-9]{1,9}(\\.[0-9]{1,6})?".boxed(),
            prop::sample::select(vec!["INF", "-INF", "NaN", "1E5", "007", "-0"])
                .prop_map(str::to_owned)
                .boxed(),
        ];
        prop_oneof![
            any::<bool>().prop_map(Value::Boolean),
            word.clone().prop_map(Value::Date),
            word.clone().prop_map(Value::DateTime),
            word.clone().prop_map(Value::Duration),
            (word.clone(), word.clone())
                .prop_map(|(value, data_type)| Value::Enum { value, data_type }),
            any::<i32>().prop_map(Value::Int),
            any::<i64>().prop_map(Value::Long),
            (double, word.clone()).prop_map(|(digits, unit)| Value::Numeric {
                value: digits.parse().unwrap(),
                unit
            }),
            word.clone().prop_map(Value::String),
            word.prop_map(Value::Time),
        ]
    }

    proptest! {
        #[test]
        fn a_sample_comes_back_as_it_went(
            values in prop::collection::vec((values(), 0_usize..14), 0..4),
            at in 0_i64..2_000_000_000_000,
        ) {
            let readings = values.into_iter().enumerate().map(|(n, (value, q))| Reading {
                field: Text::new(format!("f{n}")).unwrap(),
                value,
                quality: Quality::ALL[q] | Quality::ALL[(q * 5) % 14],
            });
            let sample = Sample {
                thing: text("hall"),
                at: WallTime::from_unix_ms(at),
                readings: readings.collect(),
            };
            prop_assert_eq!(read(&write(&sample)), Ok(sample));
        }

        #[test]
        fn no_text_is_too_strange(text in any::<String>()) {
            let _ = read(&text);
        }
    }

    #[test]
    fn it_is_written_as_it_is_documented() {
        let celsius = Value::Numeric {
            value: "21.50".parse().unwrap(),
            unit: text("Cel"),
        };
        let at = WallTime::from_unix_ms(1_795_644_000_000);
        let sample = Sample::one(text("hall"), at, text("temperature"), celsius);
        let written: Json = serde_json::from_str(&write(&sample)).unwrap();
        let expected = json!({
            "thing": "hall",
            "at": "2026-11-25T22:00:00.000Z",
            "readings": {"temperature":
                {"type": "numeric", "value": 21.5, "decimals": 2, "unit": "Cel"}},
        });
        assert_eq!(written, expected);
    }

    #[test]
    fn what_is_no_sample_is_refused_and_says_what_is_wrong() {
        let refused = |text: &str| read(text).unwrap_err().to_string();
        assert!(refused("{").contains("no sample"));
        assert!(refused(r#"{"thing":"a","readings":{}}"#).contains("`at`"));
        let of = |reading: &str| {
            refused(&format!(
                r#"{{"thing":"a","at":"2026-11-25T22:00:00Z","readings":{{"f":{reading}}}}}"#
            ))
        };
        assert!(of(r#"{"type":"int","value":3000000000}"#).contains("32 bits"));
        assert!(of(r#"{"type":"color","value":1}"#).contains("`color`"));
        assert!(of("7").contains("unknown type"));
    }
}

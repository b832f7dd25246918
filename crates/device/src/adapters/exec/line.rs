//! What one line says, and the line of an order. No clock and no pipe here.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value as Json, json};
use stanchion_reliability::store::WallTime;
use stanchion_stanza::Text;
use stanchion_stanza::payload::datetime;

use super::{MOST_FIELDS, distinct};
use crate::adapter::Order;
use crate::model::{
    FieldSpec, Kind, ParameterKind, ParameterSpec, Reading, Sample, SettingValue, ThingSpec, Value,
};

/// What a program says.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Things(Vec<ThingSpec>),
    Sample(Sample),
    Gone(Vec<Text>),
    Answer(u64, Result<(), String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    things: Option<Vec<RawThing>>,
    sample: Option<RawSample>,
    gone: Option<Vec<String>>,
    done: Option<u64>,
    failed: Option<u64>,
    why: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawThing {
    id: String,
    label: Option<String>,
    #[serde(default)]
    fields: Vec<RawField>,
    #[serde(default)]
    parameters: Vec<RawParameter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawField {
    name: String,
    kind: Kind,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    writable: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawParameter {
    name: String,
    kind: String,
    min: Option<f64>,
    max: Option<f64>,
    idempotent: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawSample {
    thing: String,
    at: Option<String>,
    fields: Map<String, Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMeasure {
    value: Json,
    #[serde(default)]
    unit: String,
}

/// What a line says, or what is wrong with it.
pub(super) fn read(
    line: &[u8],
    things: &BTreeMap<Text, ThingSpec>,
    now: WallTime,
) -> Result<Said, String> {
    let raw: Raw = serde_json::from_slice(line).map_err(|e| format!("it is no message: {e}"))?;
    match raw {
        Raw {
            things: Some(things),
            sample: None,
            gone: None,
            done: None,
            failed: None,
            why: None,
        } => {
            let things = things
                .into_iter()
                .map(thing)
                .collect::<Result<Vec<_>, _>>()?;
            match distinct(things.iter().map(|thing| &thing.node.id)) {
                true => Ok(Said::Things(things)),
                false => Err("a thing is there twice".to_owned()),
            }
        }
        Raw {
            things: None,
            sample: Some(raw),
            gone: None,
            done: None,
            failed: None,
            why: None,
        } => sample(raw, things, now).map(Said::Sample),
        Raw {
            things: None,
            sample: None,
            gone: Some(ids),
            done: None,
            failed: None,
            why: None,
        } => {
            let ids = ids
                .iter()
                .map(|id| text(id))
                .collect::<Result<Vec<_>, _>>()?;
            Ok(Said::Gone(ids))
        }
        Raw {
            things: None,
            sample: None,
            gone: None,
            done: Some(id),
            failed: None,
            why: None,
        } => Ok(Said::Answer(id, Ok(()))),
        Raw {
            things: None,
            sample: None,
            gone: None,
            done: None,
            failed: Some(id),
            why,
        } => {
            let why = why.unwrap_or_else(|| "the program refuses, and does not say why".to_owned());
            Ok(Said::Answer(id, Err(why)))
        }
        _ => Err("it is to have one of `things`, `sample`, `gone`, `done`, `failed`".to_owned()),
    }
}

fn text(raw: &str) -> Result<Text, String> {
    Text::new(raw).map_err(|e| format!("`{}`: {e}", raw.escape_debug()))
}

fn thing(raw: RawThing) -> Result<ThingSpec, String> {
    if raw.id.is_empty() {
        return Err("a thing has an empty `id`".to_owned());
    }
    if raw.fields.len() > MOST_FIELDS || raw.parameters.len() > MOST_FIELDS {
        return Err(format!(
            "`{}` has more than {MOST_FIELDS} fields or parameters",
            raw.id
        ));
    }
    let mut spec = ThingSpec::new(text(&raw.id)?);
    if let Some(label) = &raw.label {
        spec.label = text(label)?;
    }
    for raw in &raw.fields {
        let mut field = FieldSpec::new(text(&raw.name)?, raw.kind);
        field.unit = text(&raw.unit)?;
        field.writable = raw.writable;
        spec.fields.push(field);
    }
    for raw in &raw.parameters {
        let mut parameter = ParameterSpec::new(text(&raw.name)?, parameter_kind(raw)?);
        parameter.idempotent = raw.idempotent.unwrap_or(true);
        spec.parameters.push(parameter);
    }
    let names = spec.fields.iter().map(|field| &field.name);
    if !distinct(names) || !distinct(spec.parameters.iter().map(|p| &p.name)) {
        return Err(format!("`{}` has a field or a parameter twice", raw.id));
    }
    Ok(spec)
}

fn parameter_kind(raw: &RawParameter) -> Result<ParameterKind, String> {
    let (min, max) = (raw.min.unwrap_or(f64::MIN), raw.max.unwrap_or(f64::MAX));
    // Out of range, a bound is the nearest that there is.
    #[allow(clippy::cast_possible_truncation)]
    Ok(match raw.kind.as_str() {
        "boolean" => ParameterKind::Boolean,
        "string" => ParameterKind::String,
        "double" => ParameterKind::Double(min..=max),
        "int" => ParameterKind::Int(min as i32..=max as i32),
        "long" => ParameterKind::Long(min as i64..=max as i64),
        other => {
            let kinds = "boolean, double, int, long, string";
            return Err(format!("`{other}` is no kind of a parameter: {kinds} are"));
        }
    })
}

fn sample(
    raw: RawSample,
    things: &BTreeMap<Text, ThingSpec>,
    now: WallTime,
) -> Result<Sample, String> {
    let spec = things.get(&text(&raw.thing)?);
    let spec = spec.ok_or_else(|| format!("there is no thing `{}`: tell it first", raw.thing))?;
    let at = match &raw.at {
        None => now,
        Some(at) => {
            let ms = datetime::unix_ms(at).ok_or_else(|| format!("`{at}` is no date and time"))?;
            WallTime::from_unix_ms(ms)
        }
    };
    let readings = raw.fields.iter().map(|(name, json)| {
        let wrong = |what: &str| format!("`{name}` of `{}`: {what}", raw.thing);
        let field = spec
            .field(name)
            .ok_or_else(|| wrong("there is no such field"))?;
        let value = value(json, field).map_err(|what| wrong(&what))?;
        Ok(Reading::automatic(field.name.clone(), value))
    });
    Ok(Sample {
        thing: spec.node.id.clone(),
        at,
        readings: readings.collect::<Result<_, String>>()?,
    })
}

/// A value of a field's kind: bare, or with its unit.
fn value(json: &Json, field: &FieldSpec) -> Result<Value, String> {
    let measure;
    let (bare, unit) = match json {
        Json::Object(_) => {
            measure = RawMeasure::deserialize(json).map_err(|e| e.to_string())?;
            (&measure.value, text(&measure.unit)?)
        }
        bare => (bare, field.unit.clone()),
    };
    let wrong = || format!("`{bare}` is not {:?}", field.kind);
    let string = || bare.as_str().ok_or_else(wrong).and_then(text);
    Ok(match field.kind {
        Kind::Boolean => Value::Boolean(bare.as_bool().ok_or_else(wrong)?),
        Kind::Int => {
            let number = bare.as_i64().and_then(|n| i32::try_from(n).ok());
            Value::Int(number.ok_or_else(wrong)?)
        }
        Kind::Long => Value::Long(bare.as_i64().ok_or_else(wrong)?),
        Kind::Numeric => {
            let digits = bare.as_number().ok_or_else(wrong)?.to_string();
            let value = digits.parse().map_err(|_| wrong())?;
            Value::Numeric { value, unit }
        }
        Kind::String => Value::String(string()?),
        Kind::Enum => Value::Enum {
            value: string()?,
            data_type: field.name.clone(),
        },
        Kind::Date => Value::Date(string()?),
        Kind::DateTime => {
            let at = string()?;
            datetime::unix_ms(&at).ok_or_else(wrong)?;
            Value::DateTime(at)
        }
        Kind::Duration => Value::Duration(string()?),
        Kind::Time => Value::Time(string()?),
    })
}

/// The line of an order.
pub(super) fn set(id: u64, order: &Order, within: Duration) -> Vec<u8> {
    let parameters: Map<String, Json> = order
        .settings()
        .iter()
        .map(|setting| (setting.name.to_string(), json_of(&setting.value)))
        .collect();
    let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    let thing = order.thing().as_str();
    let set =
        json!({"set": {"id": id, "thing": thing, "parameters": parameters, "within_ms": within}});
    let mut line = set.to_string().into_bytes();
    line.push(b'\n');
    line
}

fn json_of(value: &SettingValue) -> Json {
    match value {
        SettingValue::Boolean(on) | SettingValue::Bool(on) => json!(on),
        SettingValue::Int(number) => json!(number),
        SettingValue::Long(number) => json!(number),
        SettingValue::Double(number) => json!(number.to_f64()),
        SettingValue::Color(color) => json!(Text::from(*color).as_str()),
        SettingValue::Date(text)
        | SettingValue::DateTime(text)
        | SettingValue::Duration(text)
        | SettingValue::Time(text)
        | SettingValue::String(text)
        | SettingValue::Enum { value: text, .. } => json!(text.as_str()),
    }
}

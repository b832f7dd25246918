//! Bodies as values, and values as bodies: plain text, JSON, and SenML (RFC 8428). Without
//! socket and clock.

use serde_json::Value as Json;
use stanchion_stanza::Text;

use super::config::{Format, Resource, Type};
use crate::model::{SettingValue, Value, number};

/// Records of a SenML pack that are looked at.
const MOST_RECORDS: usize = 1024;

/// What a body says of a resource.
///
/// # Errors
/// What is wrong with it.
pub(super) fn read(resource: &Resource, format: Option<u16>, body: &[u8]) -> Result<Value, String> {
    let wanted = resource.format.number();
    if let Some(format) = format
        && format != wanted
    {
        return Err(format!(
            "its content format is {format}, and not {wanted}; set `format`"
        ));
    }
    match resource.format {
        Format::Text => {
            let text = std::str::from_utf8(body).map_err(|_| "it is no UTF-8".to_owned())?;
            of_text(resource, text.trim())
        }
        Format::Json => {
            let json: Json = serde_json::from_slice(body).map_err(|e| e.to_string())?;
            let found = json.pointer(&resource.pointer);
            let found = found.ok_or_else(|| format!("it has no `{}`", resource.pointer))?;
            of_json(resource, found)
        }
        Format::Senml => of_senml(resource, body),
    }
}

fn of_text(resource: &Resource, text: &str) -> Result<Value, String> {
    let no = |what: &str| format!("it is {what}");
    match resource.of {
        Type::Number => match resource.decimals {
            Some(_) => measure(resource, text.parse().map_err(|_| no("no number"))?),
            None => digits(resource, text),
        },
        Type::Integer => {
            let whole = text.parse().map_err(|_| no("no whole number of 64 bits"))?;
            Ok(Value::Long(whole))
        }
        Type::Boolean => match text {
            "true" | "1" | "on" => Ok(Value::Boolean(true)),
            "false" | "0" | "off" => Ok(Value::Boolean(false)),
            _ => Err(no("neither `true` nor `false`")),
        },
        Type::String => {
            let text = Text::new(text).map_err(|e| e.to_string())?;
            Ok(Value::String(text))
        }
    }
}

fn of_json(resource: &Resource, json: &Json) -> Result<Value, String> {
    match (resource.of, json) {
        (Type::Number | Type::Integer, Json::Number(number)) => {
            of_text(resource, &number.to_string())
        }
        (Type::Boolean, Json::Bool(on)) => Ok(Value::Boolean(*on)),
        (Type::String, Json::String(text)) => {
            let text = Text::new(text.as_str()).map_err(|e| e.to_string())?;
            Ok(Value::String(text))
        }
        _ => Err(format!("its JSON is no {:?}", resource.of).to_lowercase()),
    }
}

/// The digits as the server wrote them.
fn digits(resource: &Resource, text: &str) -> Result<Value, String> {
    let parsed = text.parse::<f64>().ok().filter(|v| v.is_finite());
    parsed.ok_or_else(|| "it is no finite number".to_owned())?;
    Ok(Value::Numeric {
        value: text.parse().map_err(|_| "it is no number".to_owned())?,
        unit: resource.field.unit.clone(),
    })
}

fn measure(resource: &Resource, value: f64) -> Result<Value, String> {
    let decimals = resource.decimals.unwrap_or(0);
    number(value, decimals, resource.field.unit.clone()).map_err(|e| e.to_string())
}

/// One record of a pack, its base values added (RFC 8428 §4.6).
fn of_senml(resource: &Resource, body: &[u8]) -> Result<Value, String> {
    let pack: Vec<Json> = serde_json::from_slice(body).map_err(|e| e.to_string())?;
    let (mut base, mut base_unit, mut sum) = (String::new(), String::new(), 0.0);
    let mut found = None;
    for record in pack.iter().take(MOST_RECORDS) {
        let Json::Object(record) = record else {
            return Err("a record of it is no object".to_owned());
        };
        // Whose name ends so must be understood (§4.4).
        if let Some(unknown) = record.keys().find(|key| key.ends_with('_')) {
            return Err(format!("it has `{unknown}`, which must be understood"));
        }
        let text = |key: &str| record.get(key).and_then(Json::as_str);
        if let Some(name) = text("bn") {
            name.clone_into(&mut base);
        }
        if let Some(unit) = text("bu") {
            unit.clone_into(&mut base_unit);
        }
        if let Some(value) = record.get("bv").and_then(Json::as_f64) {
            sum = value;
        }
        let valued = ["v", "vb", "vs"].iter().find_map(|key| record.get(*key));
        let name = format!("{base}{}", text("n").unwrap_or(""));
        let ours = resource
            .record
            .as_ref()
            .is_none_or(|wanted| *wanted == name);
        if let Some(value) = valued.filter(|_| ours) {
            let unit = text("u").unwrap_or(&base_unit).to_owned();
            found = Some((value.clone(), sum, unit));
        }
    }
    let Some((value, sum, unit)) = found else {
        return Err(match &resource.record {
            Some(name) => format!("it has no record `{name}` with a value"),
            None => "it has no record with a value".to_owned(),
        });
    };
    let ours = resource.field.unit.as_str();
    if !unit.is_empty() && !ours.is_empty() && unit != ours {
        return Err(format!("it is in `{unit}`, and not in `{ours}`"));
    }
    match (resource.of, value.as_f64()) {
        (Type::Number, Some(number)) if sum != 0.0 => {
            let value = number + sum;
            match resource.decimals {
                Some(_) => measure(resource, value),
                None => digits(resource, &value.to_string()),
            }
        }
        _ => of_json(resource, &value),
    }
}

/// The body that sets a resource. The value was checked.
///
/// # Errors
/// Why there is none.
pub(super) fn write(resource: &Resource, value: &SettingValue) -> Result<Vec<u8>, String> {
    let name = &resource.field.name;
    let json = match (resource.of, value) {
        (Type::Boolean, SettingValue::Boolean(on) | SettingValue::Bool(on)) => Json::Bool(*on),
        (Type::String, SettingValue::String(text) | SettingValue::Enum { value: text, .. }) => {
            Json::String(text.to_string())
        }
        (Type::Integer | Type::Number, SettingValue::Int(number)) => (*number).into(),
        (Type::Integer | Type::Number, SettingValue::Long(number)) => (*number).into(),
        (Type::Number, SettingValue::Double(number)) => {
            let number = serde_json::Number::from_f64(number.to_f64());
            Json::Number(number.ok_or_else(|| format!("`{name}` is to be a finite number"))?)
        }
        _ => return Err(format!("`{name}` cannot be that")),
    };
    Ok(match resource.format {
        Format::Text => match json {
            Json::String(text) => text.into_bytes(),
            other => other.to_string().into_bytes(),
        },
        Format::Json => {
            let parts: Vec<_> = resource.pointer.split('/').skip(1).collect();
            let wrapped = parts.iter().rev().fold(json, |inner, part| {
                let key = part.replace("~1", "/").replace("~0", "~");
                Json::Object(std::iter::once((key, inner)).collect())
            });
            wrapped.to_string().into_bytes()
        }
        Format::Senml => {
            let key = match json {
                Json::Bool(_) => "vb",
                Json::String(_) => "vs",
                _ => "v",
            };
            let mut record = serde_json::Map::new();
            if let Some(name) = &resource.record {
                record.insert("n".to_owned(), name.as_str().into());
            }
            if !resource.field.unit.is_empty() {
                record.insert("u".to_owned(), resource.field.unit.as_str().into());
            }
            record.insert(key.to_owned(), json);
            Json::Array(vec![Json::Object(record)])
                .to_string()
                .into_bytes()
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::config::Config;
    use super::*;

    fn resource(rest: &str) -> Resource {
        let text = format!("server = 'l:5683'\n[[resources]]\nname = 'r'\npath = '/r'\n{rest}");
        let config: Config = toml::from_str(&text).unwrap();
        config.check().unwrap().remove(0)
    }

    fn told(rest: &str, body: &str) -> Result<String, String> {
        let value = read(&resource(rest), None, body.as_bytes())?;
        Ok(match value {
            Value::Numeric { value, unit } => format!("{value} {unit}"),
            other => format!("{other:?}"),
        })
    }

    #[test]
    fn digits_are_kept_as_the_server_writes_them() {
        assert_eq!(told("unit = 'Cel'", " 21.50\n"), Ok("21.50 Cel".to_owned()));
        assert_eq!(told("decimals = 1", "21.57"), Ok("21.6 ".to_owned()));
        assert!(told("", "warm").is_err());
        assert!(told("", "inf").is_err());
        let other = read(&resource(""), Some(50), b"1").unwrap_err();
        assert!(other.contains("content format is 50"), "{other}");
    }

    #[test]
    fn a_pointer_finds_its_value_in_json() {
        let json = "format = 'json'\npointer = '/s/1/v'";
        assert_eq!(
            told(json, r#"{"s":[{},{"v":1.25}]}"#),
            Ok("1.25 ".to_owned())
        );
        assert!(told(json, r#"{"s":[]}"#).unwrap_err().contains("/s/1/v"));
        assert!(told(json, r#"{"s":[{},{"v":"x"}]}"#).is_err());
    }

    #[test]
    fn base_values_count_in_senml() {
        let pack =
            r#"[{"bn":"urn:dev:1:","bu":"Cel","bv":20,"n":"in","v":1.5},{"n":"out","v":-3}]"#;
        let senml = "format = 'senml'\nunit = 'Cel'\nrecord = 'urn:dev:1:in'";
        assert_eq!(told(senml, pack), Ok("21.5 Cel".to_owned()));
        assert_eq!(told("format = 'senml'", pack), Ok("17 ".to_owned()));
        assert!(
            told("format = 'senml'\nunit = 'K'", pack)
                .unwrap_err()
                .contains("`Cel`")
        );
        assert!(told("format = 'senml'", r#"[{"v":1,"x_":2}]"#).is_err());
    }

    #[test]
    fn what_is_set_is_written_in_the_resource_s_format() {
        let body = |rest, value: SettingValue| {
            String::from_utf8(write(&resource(rest), &value).unwrap()).unwrap()
        };
        let half = || SettingValue::Double("21.5".parse().unwrap());
        assert_eq!(body("", half()), "21.5");
        let json = "format = 'json'\npointer = '/a/b~1c'";
        assert_eq!(body(json, half()), r#"{"a":{"b/c":21.5}}"#);
        let on = "format = 'senml'\ntype = 'boolean'\nrecord = 'lamp'";
        assert_eq!(
            body(on, SettingValue::Boolean(true)),
            r#"[{"n":"lamp","vb":true}]"#
        );
    }

    proptest! {
        #[test]
        fn no_body_panics(body in prop::collection::vec(any::<u8>(), 0..60), of in 0usize..3) {
            let format = ["text", "json", "senml"][of];
            for kind in ["number", "integer", "boolean", "string"] {
                let resource = resource(&format!("format = '{format}'\ntype = '{kind}'"));
                let _ = read(&resource, None, &body);
            }
        }
    }
}

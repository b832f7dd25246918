//! Values as numbers and back: what an adapter makes of a measure, and what is compared.

use stanchion_stanza::Text;

use super::{Kind, SettingValue, Value};

/// What is no number that can be told: not finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the measure is not a finite number")]
pub struct NotANumber;

/// A measure in that unit with so many decimals, at most 12: they tell how exact it is
/// (XEP-0323 §5.4).
///
/// # Errors
/// [`NotANumber`] for one that is infinite or none.
pub fn number(value: f64, decimals: usize, unit: Text) -> Result<Value, NotANumber> {
    if !value.is_finite() {
        return Err(NotANumber);
    }
    let digits = format!("{value:.*}", decimals.min(12));
    // Of rounding, minus nothing may be left.
    let nothing =
        digits.starts_with('-') && digits.bytes().all(|b| matches!(b, b'-' | b'.' | b'0'));
    let digits = if nothing { &digits[1..] } else { &digits };
    let value = digits.parse().map_err(|_| NotANumber)?;
    Ok(Value::Numeric { value, unit })
}

/// The number that a value is, if it is one.
#[must_use]
pub fn as_f64(value: &Value) -> Option<f64> {
    match value {
        Value::Numeric { value, .. } => Some(value.to_f64()),
        Value::Int(number) => Some(f64::from(*number)),
        // What is lost beyond 2^53 is no matter where numbers are compared as measures.
        #[allow(clippy::cast_precision_loss)]
        Value::Long(number) => Some(*number as f64),
        _ => None,
    }
}

/// The type of a value.
#[must_use]
pub const fn kind_of(value: &Value) -> Kind {
    match value {
        Value::Boolean(_) => Kind::Boolean,
        Value::Date(_) => Kind::Date,
        Value::DateTime(_) => Kind::DateTime,
        Value::Duration(_) => Kind::Duration,
        Value::Enum { .. } => Kind::Enum,
        Value::Int(_) => Kind::Int,
        Value::Long(_) => Kind::Long,
        Value::Numeric { .. } => Kind::Numeric,
        Value::String(_) => Kind::String,
        Value::Time(_) => Kind::Time,
    }
}

/// Whether two values say the same; of measures, the number and the unit, however many
/// decimals are written.
#[must_use]
pub fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Numeric { value: a, unit: x }, Value::Numeric { value: b, unit: y }) => {
            // Equal numbers, and not close ones.
            #[allow(clippy::float_cmp)]
            let equal = a.to_f64() == b.to_f64();
            equal && x == y
        }
        _ => one == other,
    }
}

/// What is read of a field after its parameter of the same name was set to that; a measure
/// in `unit`.
#[must_use]
pub fn of_setting(value: &SettingValue, unit: Text) -> Value {
    match value {
        SettingValue::Boolean(on) | SettingValue::Bool(on) => Value::Boolean(*on),
        SettingValue::Color(color) => Value::String((*color).into()),
        SettingValue::Date(text) => Value::Date(text.clone()),
        SettingValue::DateTime(text) => Value::DateTime(text.clone()),
        SettingValue::Double(value) => Value::Numeric {
            value: value.clone(),
            unit,
        },
        SettingValue::Duration(text) => Value::Duration(text.clone()),
        SettingValue::Enum { value, data_type } => Value::Enum {
            value: value.clone(),
            data_type: data_type.clone(),
        },
        SettingValue::Int(number) => Value::Int(*number),
        SettingValue::Long(number) => Value::Long(*number),
        SettingValue::String(text) => Value::String(text.clone()),
        SettingValue::Time(text) => Value::Time(text.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_kept_and_nothing_is_never_negative() {
        let cel = || Text::from_static("Cel");
        let told = |v, d| match number(v, d, cel()).unwrap() {
            Value::Numeric { value, .. } => value.as_str().to_owned(),
            _ => panic!("no measure"),
        };
        assert_eq!(told(21.5, 2), "21.50");
        assert_eq!(told(-0.04, 1), "0.0");
        assert_eq!(told(-0.06, 1), "-0.1");
        assert_eq!(number(f64::NAN, 1, cel()), Err(NotANumber));
        assert_eq!(number(f64::INFINITY, 1, cel()), Err(NotANumber));
    }

    #[test]
    fn the_same_measure_may_have_more_decimals() {
        let of = |digits: &str, unit| Value::Numeric {
            value: digits.parse().unwrap(),
            unit: Text::from_static(unit),
        };
        assert!(same(&of("21.5", "Cel"), &of("21.50", "Cel")));
        assert!(!same(&of("21.5", "Cel"), &of("21.5", "K")));
        assert!(!same(&of("21.5", "Cel"), &of("21.51", "Cel")));
    }
}

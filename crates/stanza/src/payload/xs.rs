//! XML Schema datatypes (Part 2) as attributes use them: what of their many spellings is
//! read, and the one that is written. Dates, times and durations stay text;
//! [`datetime`](super::datetime) writes one.

use std::fmt;
use std::str::FromStr;

use super::parts::{self, named};
use super::{PayloadError, parsed, required};
use crate::xml::{Text, View};

/// A boolean whose default is `false` (§3.2.2): `true` or `1`. Anything else is false:
/// what is not said in so many words is not the case.
pub(crate) fn flag<'a>(element: impl Into<View<'a>>, name: &str) -> bool {
    matches!(element.into().attr(name), Some("true" | "1"))
}

/// A boolean without default: one of its four spellings, or an error that names it.
pub(crate) fn boolean<'a>(
    element: impl Into<View<'a>>,
    kind: &'static str,
    name: &'static str,
) -> Result<Option<bool>, PayloadError> {
    named(element, kind, name, parts::boolean)
}

/// The attribute `name` read as a number or the like, or an error that names it.
pub(crate) fn required_parsed<'a, T: FromStr>(
    element: impl Into<View<'a>>,
    kind: &'static str,
    name: &'static str,
) -> Result<T, PayloadError> {
    parsed(element, kind, name)?.ok_or(PayloadError::MissingAttribute {
        element: kind,
        attribute: name,
    })
}

/// The attribute `name` read as a double, whose digits are kept where they stand, or an
/// error that names it.
pub(crate) fn double<'a>(
    element: impl Into<View<'a>>,
    kind: &'static str,
    name: &'static str,
) -> Result<Double, PayloadError> {
    let digits = required(element, kind, name)?;
    Double::try_from(digits).map_err(|_| PayloadError::Invalid {
        element: kind,
        what: name,
    })
}

/// A double with its digits as they were written: `10.0` says more than `10`
/// (XEP-0323 §5.4). Two are equal if their digits are.
///
/// ```
/// use stanchion_stanza::payload::xs::Double;
/// let reading: Double = "21.50".parse()?;
/// assert_eq!(reading.to_f64(), 21.5);
/// assert_eq!(reading.as_str(), "21.50");
/// assert_ne!(reading, Double::from(21.5));
/// # Ok::<(), stanchion_stanza::payload::xs::NotADouble>(())
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Double(Text);

/// What is no double (§3.2.5).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no double (XML Schema Part 2, §3.2.5); write digits, `INF`, `-INF` or `NaN`")]
pub struct NotADouble(String);

impl Double {
    /// The number; infinite if it is too large for 64 bits.
    #[must_use]
    pub fn to_f64(&self) -> f64 {
        // Rust reads all spellings that were let in.
        self.0.parse().unwrap_or(f64::NAN)
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<Text> for Double {
    type Error = NotADouble;

    /// Keeps the text as it is, without a copy.
    fn try_from(text: Text) -> Result<Self, NotADouble> {
        let digit = |b: u8| b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.' | b'e' | b'E');
        let number = text.bytes().all(digit) && text.parse::<f64>().is_ok();
        if number || matches!(text.as_str(), "INF" | "-INF" | "NaN") {
            Ok(Self(text))
        } else {
            Err(NotADouble(text.into_string()))
        }
    }
}

impl FromStr for Double {
    type Err = NotADouble;

    fn from_str(s: &str) -> Result<Self, NotADouble> {
        let text = Text::new(s).map_err(|_| NotADouble(s.to_owned()))?;
        Self::try_from(text)
    }
}

impl From<f64> for Double {
    /// The shortest digits that mean the number.
    fn from(value: f64) -> Self {
        Self(Text::checked(match value {
            f64::INFINITY => "INF".to_owned(),
            f64::NEG_INFINITY => "-INF".to_owned(),
            value => value.to_string(),
        }))
    }
}

impl From<Double> for Text {
    fn from(value: Double) -> Self {
        value.0
    }
}

impl fmt::Debug for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for Double {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_is_what_the_schema_says() {
        for good in [
            "0", "-0", "+1", "1.", ".5", "1e3", "1E-3", "12.500", "INF", "-INF", "NaN", "1e999",
        ] {
            assert!(good.parse::<Double>().is_ok(), "{good}");
        }
        for bad in [
            "", " 1", "1 ", "1,5", "inf", "+INF", "nan", "infinity", "0x1", "e3", "1e", ".", "-",
            "1..2", "٣",
        ] {
            assert!(bad.parse::<Double>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_double_comes_back_as_the_number_it_was() {
        for value in [
            0.1,
            -1.5e300,
            f64::MIN_POSITIVE,
            f64::INFINITY,
            f64::NEG_INFINITY,
        ] {
            let text = Double::from(value).to_string();
            assert_eq!(text.parse::<Double>().unwrap().to_f64(), value, "{text}");
        }
        assert!(Double::from(f64::NAN).to_f64().is_nan());
        assert_eq!("NaN".parse(), Ok(Double::from(f64::NAN)));
    }
}

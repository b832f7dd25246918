//! What a read-out is known by: a number in the legacy profile, any text in the compact
//! ones.

use std::fmt;

use super::super::xs::required_parsed;
use super::super::{PayloadError, required};
use super::dialect::Dialect;
use crate::xml::{Text, View};

/// What a read-out is known by: unique among the requests of one client, and in everything
/// that answers.
///
/// The legacy profile allows none but numbers (`seqnr`, XEP-0323 §3). Another one can only
/// have come in a compact request, whose answers are compact.
///
/// ```
/// use stanchion_stanza::{Text, payload::sensordata::RequestId};
/// assert_eq!(RequestId::from(7).as_str(), "7");
/// assert_eq!(RequestId::from(Text::from_static("a7")).number(), None);
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RequestId(Text);

impl RequestId {
    /// As it stands on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The number that it is, if it is one, as the legacy profile wants.
    #[must_use]
    pub fn number(&self) -> Option<i32> {
        self.0.parse().ok()
    }

    /// Reads the id of `element`. A legacy one is a number, whose spelling does not count;
    /// a compact one is kept as it stood.
    pub(crate) fn read(
        element: View<'_>,
        kind: &'static str,
        words: &Dialect,
    ) -> Result<Self, PayloadError> {
        let text = required(element, kind, words.id)?;
        if words.short || is_canonical(&text) {
            return Ok(Self(text));
        }
        required_parsed::<i32>(element, kind, words.id).map(Self::from)
    }
}

/// Whether it is a number of 32 bits as it would be written here; says no to the longest.
fn is_canonical(s: &str) -> bool {
    let digits = s.strip_prefix('-').unwrap_or(s);
    matches!(digits.as_bytes(), [b'1'..=b'9', rest @ ..]
        if rest.len() < 9 && rest.iter().all(u8::is_ascii_digit))
}

impl Default for RequestId {
    /// The number 0.
    fn default() -> Self {
        Self(Text::from_static("0"))
    }
}

impl From<i32> for RequestId {
    fn from(number: i32) -> Self {
        Self(number.into())
    }
}

impl From<Text> for RequestId {
    fn from(text: Text) -> Self {
        Self(text)
    }
}

impl From<RequestId> for Text {
    fn from(id: RequestId) -> Self {
        id.0
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_as_it_stood_is_a_number_written_the_same() {
        for s in ["1", "-1", "10", "999999999", "-999999999"] {
            assert!(is_canonical(s), "{s}");
            assert_eq!(RequestId::from(s.parse::<i32>().unwrap()).as_str(), s);
        }
        for s in [
            "",
            "-",
            "0",
            "-0",
            "01",
            "+1",
            " 1",
            "1 ",
            "1.0",
            "--1",
            "1234567890",
            "2147483648",
            "x",
            "٣",
        ] {
            assert!(!is_canonical(s), "{s}");
        }
    }
}

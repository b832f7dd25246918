//! Character data: strings that hold only characters XML 1.0 allows.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;

/// A character that XML 1.0 §2.2 forbids, even as a character reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("U+{:04X} at byte {offset} cannot appear in XML; remove or encode it", *.character as u32)]
pub struct InvalidChar {
    /// The character.
    pub character: char,
    /// Its byte offset in the string given.
    pub offset: usize,
}

/// Whether XML 1.0 §2.2 production `Char` admits `c`.
///
/// The noncharacters U+FFFE and U+FFFF are out, as are all C0 controls but tab,
/// line feed and carriage return. Surrogates cannot occur in a `char`.
pub(crate) const fn is_xml_char(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}')
}

/// The first character of `s` that XML forbids.
///
/// Bytes decide almost always: a forbidden character starts with a byte below 0x20
/// or is U+FFFE or U+FFFF, whose encodings are EF BF BE and EF BF BF.
pub(crate) fn first_invalid(s: &str) -> Option<InvalidChar> {
    let bytes = s.as_bytes();
    for (offset, &b) in bytes.iter().enumerate() {
        let bad = match b {
            0x20..=0xEE => false,
            b'\t' | b'\n' | b'\r' => false,
            0xEF => {
                bytes.get(offset + 1) == Some(&0xBF)
                    && matches!(bytes.get(offset + 2), Some(0xBE | 0xBF))
            }
            0xF0.. => false,
            _ => true,
        };
        if bad {
            return s[offset..]
                .chars()
                .next()
                .map(|character| InvalidChar { character, offset });
        }
    }
    None
}

/// Character data, for text nodes and attribute values.
///
/// Made by [`Text::new`] from any string, which fails on a character that XML
/// forbids, or infallibly from numbers, JIDs and base64.
///
/// ```
/// use stanchion_stanza::Text;
/// assert_eq!(Text::new("21.5 °C")?.as_str(), "21.5 °C");
/// assert_eq!(Text::new("a\u{1}b").unwrap_err().offset, 1);
/// # Ok::<(), stanchion_stanza::xml::InvalidChar>(())
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Text(Cow<'static, str>);

impl Text {
    /// Checks `s`. Errors: the first character that XML forbids.
    pub fn new(s: impl Into<String>) -> Result<Self, InvalidChar> {
        let s = s.into();
        match first_invalid(&s) {
            Some(bad) => Err(bad),
            None => Ok(Self(Cow::Owned(s))),
        }
    }

    /// A literal from the program's own text.
    ///
    /// # Panics
    /// If the literal holds a character that XML forbids: a mistake in the program.
    #[must_use]
    pub fn from_static(s: &'static str) -> Self {
        assert!(
            first_invalid(s).is_none(),
            "literal holds a character that XML forbids: {s:?}"
        );
        Self(Cow::Borrowed(s))
    }

    /// Standard base64 with padding (RFC 4648 §4), as RFC 6120 §6.4.2 wants it.
    #[must_use]
    pub fn base64(bytes: &[u8]) -> Self {
        use base64::Engine as _;
        Self(Cow::Owned(
            base64::engine::general_purpose::STANDARD.encode(bytes),
        ))
    }

    /// For strings whose characters were checked one by one.
    pub(crate) fn checked(s: String) -> Self {
        debug_assert!(first_invalid(&s).is_none());
        Self(Cow::Owned(s))
    }

    /// The string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The string, without a copy where it was owned.
    #[must_use]
    pub fn into_string(self) -> String {
        self.0.into_owned()
    }

    pub(crate) fn push_str(&mut self, other: &str) {
        self.0.to_mut().push_str(other);
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

impl TryFrom<String> for Text {
    type Error = InvalidChar;
    fn try_from(s: String) -> Result<Self, InvalidChar> {
        Self::new(s)
    }
}

impl TryFrom<&str> for Text {
    type Error = InvalidChar;
    fn try_from(s: &str) -> Result<Self, InvalidChar> {
        Self::new(s)
    }
}

impl std::str::FromStr for Text {
    type Err = InvalidChar;
    fn from_str(s: &str) -> Result<Self, InvalidChar> {
        Self::new(s)
    }
}

macro_rules! from_display {
    ($($t:ty),*) => {$(
        impl From<$t> for Text {
            fn from(value: $t) -> Self {
                Self::checked(value.to_string())
            }
        }
    )*};
}
from_display!(u8, u16, u32, u64, i8, i16, i32, i64, usize);

impl From<bool> for Text {
    /// `true` or `false`, the canonical form (XML Schema Part 2 §3.2.2).
    fn from(value: bool) -> Self {
        Self(Cow::Borrowed(if value { "true" } else { "false" }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scalar_value_is_judged_as_the_production_says() {
        for c in '\0'..=char::MAX {
            let s = format!("a{c}");
            assert_eq!(
                first_invalid(&s).is_none(),
                is_xml_char(c),
                "{:x}",
                c as u32
            );
        }
    }

    #[test]
    fn the_offset_names_the_character() {
        let bad = Text::new("é\u{FFFE}x").unwrap_err();
        assert_eq!((bad.character, bad.offset), ('\u{FFFE}', 2));
        assert!(bad.to_string().contains("U+FFFE at byte 2"));
    }
}

//! Character data: strings that hold only characters XML 1.0 allows.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

use super::tree::{Span, Tree};

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
    /// Bytes looked at in one go, without a branch, so that vector instructions do it.
    const STEP: usize = 32;
    let suspicious = |chunk: &[u8; STEP]| {
        chunk.iter().fold(false, |seen, &b| {
            seen | ((b < 0x20) & (b != b'\t') & (b != b'\n') & (b != b'\r')) | (b == 0xEF)
        })
    };
    let bytes = s.as_bytes();
    for start in (0..bytes.len()).step_by(STEP) {
        // The last chunk begins inside of the one before, so as to be whole.
        let start = start.min(bytes.len().saturating_sub(STEP));
        let chunk = match bytes[start..].first_chunk::<STEP>() {
            Some(chunk) if !suspicious(chunk) => continue,
            Some(chunk) => chunk.as_slice(),
            None => bytes,
        };
        let found = chunk
            .iter()
            .enumerate()
            .find(|(i, b)| is_forbidden(**b, &bytes[start + i..]));
        if let Some((i, _)) = found {
            let offset = start + i;
            return s[offset..]
                .chars()
                .next()
                .map(|character| InvalidChar { character, offset });
        }
    }
    None
}

/// Whether `first`, the first byte of `rest`, begins a character that XML forbids.
fn is_forbidden(first: u8, rest: &[u8]) -> bool {
    match first {
        b'\t' | b'\n' | b'\r' => false,
        0..=0x1F => true,
        0xEF => matches!(rest, [_, 0xBF, 0xBE | 0xBF, ..]),
        _ => false,
    }
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
///
/// A value of a decoded stanza is no copy but a part of it, and keeps the stanza in memory
/// as long as it lives; of a stanza that takes more than 4 KiB there, it is a copy.
#[derive(Clone)]
pub struct Text(Repr);

#[derive(Clone)]
enum Repr {
    /// From the program's own text.
    Static(&'static str),
    /// Made by the program.
    Owned(String),
    /// Made once, held by many.
    Counted(Arc<str>),
    /// A part of what was decoded.
    Part(Arc<Tree>, Span),
}

impl Text {
    /// Checks `s`. Errors: the first character that XML forbids.
    pub fn new(s: impl Into<String>) -> Result<Self, InvalidChar> {
        let s = s.into();
        match first_invalid(&s) {
            Some(bad) => Err(bad),
            None => Ok(Self::checked(s)),
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
        Self(Repr::Static(s))
    }

    /// A literal that was checked.
    pub(crate) const fn literal(s: &'static str) -> Self {
        Self(Repr::Static(s))
    }

    /// A string that was checked and will be held by many.
    pub(crate) fn counted(s: &str) -> Self {
        Self(Repr::Counted(s.into()))
    }

    /// A part of what was decoded.
    pub(crate) fn part(tree: &Arc<Tree>, span: Span) -> Self {
        if span.start >= span.end {
            Self::default()
        } else if tree.is_light() {
            Self(Repr::Part(tree.clone(), span))
        } else {
            Self::counted(tree.str(span))
        }
    }

    /// The same, cheap to clone.
    pub(crate) fn into_shared(self) -> Self {
        match self.0 {
            Repr::Owned(s) => Self(Repr::Counted(s.into())),
            shared => Self(shared),
        }
    }

    /// Its first `length` bytes, which end at a character; shared where it is.
    pub(crate) fn prefix(&self, length: usize) -> Self {
        match &self.0 {
            Repr::Part(tree, span) => {
                let end = span.end.min(span.start.saturating_add(length as u32));
                Self(Repr::Part(tree.clone(), Span { end, ..*span }))
            }
            _ => Self::counted(self.as_str().get(..length).unwrap_or_default()),
        }
    }

    /// Standard base64 with padding (RFC 4648 §4), as RFC 6120 §6.4.2 wants it.
    #[must_use]
    pub fn base64(bytes: &[u8]) -> Self {
        use base64::Engine as _;
        Self::checked(base64::engine::general_purpose::STANDARD.encode(bytes))
    }

    /// For strings whose characters were checked one by one.
    pub(crate) fn checked(s: String) -> Self {
        debug_assert!(first_invalid(&s).is_none());
        Self(Repr::Owned(s))
    }

    /// The string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(s) => s,
            Repr::Owned(s) => s,
            Repr::Counted(s) => s,
            Repr::Part(tree, span) => tree.str(*span),
        }
    }

    /// The string, without a copy where it was owned.
    #[must_use]
    pub fn into_string(self) -> String {
        match self.0 {
            Repr::Owned(s) => s,
            shared => Self(shared).as_str().to_owned(),
        }
    }

    pub(crate) fn push_str(&mut self, other: &str) {
        if let Repr::Owned(s) = &mut self.0 {
            s.push_str(other);
        } else {
            self.0 = Repr::Owned([self.as_str(), other].concat());
        }
    }
}

impl Default for Text {
    fn default() -> Self {
        Self::literal("")
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}
impl Eq for Text {}

impl Hash for Text {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Deref for Text {
    type Target = str;
    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl AsRef<str> for Text {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for Text {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
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
        Self::literal(if value { "true" } else { "false" })
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

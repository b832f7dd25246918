//! Where an item stands in its publisher's stream, as its id tells: sixteen digits that
//! name the stream, a dot, and the number in it, from 1 on and without a gap. Ids of any
//! other form are a foreign publisher's, and tell nothing.

use std::fmt;
use std::sync::Arc;

/// The largest number that is believed: far from where arithmetic ends.
const LARGEST: u64 = 1 << 53;

/// Names a publisher's stream for ever.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(Arc<str>);

impl StreamId {
    /// Of random bits.
    pub(crate) fn random(entropy: u64) -> Self {
        Self(format!("{entropy:016x}").into())
    }

    pub(crate) fn parse(text: &str) -> Option<Self> {
        let digit = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
        (text.len() == 16 && text.bytes().all(digit)).then(|| Self(text.into()))
    }

    /// As it stands in ids.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A place in a stream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Whose.
    pub stream: StreamId,
    /// Which, from 1 on.
    pub number: u64,
}

impl Place {
    /// The place that an id tells.
    #[must_use]
    pub fn of(id: &str) -> Option<Self> {
        let (stream, number) = id.split_once('.')?;
        let plain = number.bytes().all(|b| b.is_ascii_digit()) && !number.starts_with('0');
        let number = number.parse().ok().filter(|n| (1..=LARGEST).contains(n))?;
        let stream = StreamId::parse(stream)?;
        plain.then_some(Self { stream, number })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.stream, self.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_a_place_or_is_foreign() {
        let place = Place::of("00000000000000ff.17").unwrap();
        assert_eq!(place.stream, StreamId::random(255));
        assert_eq!(
            (place.number, place.to_string().as_str()),
            (17, "00000000000000ff.17")
        );
        for foreign in [
            "current",
            "00000000000000ff",
            "00000000000000ff.",
            "00000000000000ff.0",
            "00000000000000ff.01",
            "00000000000000ff.+1",
            "00000000000000ff.9007199254740993",
            "00000000000000FF.1",
            "0000000000000ff.1",
            "00000000000000ff.1.2",
        ] {
            assert_eq!(Place::of(foreign), None, "{foreign}");
        }
    }
}

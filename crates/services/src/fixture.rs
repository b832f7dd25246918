//! What the state machines' tests feed them: a time, a stream, stanzas from XML.

#![allow(clippy::unwrap_used, reason = "a test may fail so")]

use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_reliability::session::Up;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::codec::parse_element;
use stanchion_stanza::stream::StreamFeatures;
use stanchion_stanza::{Element, Limits, Scope, Stanza};

/// So many seconds after the start.
pub(crate) fn now(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        wall: WallTime::from_unix_ms(1_700_000_000_000),
    }
}

/// A stream of `me@home.example/here`, on which those features are offered.
pub(crate) fn up(resumed: bool, features: impl IntoIterator<Item = Element>) -> Up {
    Up::new(
        "me@home.example/here".parse().unwrap(),
        resumed,
        StreamFeatures {
            other: features.into_iter().collect(),
            ..StreamFeatures::default()
        },
        Some("D1.AAAAAAAAAAA".parse().unwrap()),
    )
}

pub(crate) fn element(xml: &str) -> Element {
    parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap()
}

pub(crate) fn stanza(xml: &str) -> Stanza {
    Stanza::from_element(element(xml)).unwrap()
}

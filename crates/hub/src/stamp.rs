//! The hub's clock on the wire and on disk: Unix milliseconds.

use std::time::{SystemTime, UNIX_EPOCH};

use stanchion_stanza::Text;
use stanchion_stanza::payload::datetime;

/// The time as XEP-0082 §3.2 writes it. One before 1970 is written as 1970.
pub(crate) fn stamp(time: SystemTime) -> Text {
    datetime::utc(i64::try_from(milliseconds(time)).unwrap_or(i64::MAX))
}

/// Milliseconds since 1970, 0 for earlier times.
pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_time_before_1970_is_written_as_1970() {
        let early = UNIX_EPOCH - Duration::from_secs(9);
        assert_eq!(stamp(early), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            stamp(UNIX_EPOCH + Duration::from_millis(7)),
            "1970-01-01T00:00:00.007Z"
        );
    }
}

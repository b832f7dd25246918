//! Date and time on the wire (XEP-0082), from the caller's clock. No clock and no
//! parsing here: what must be read back is kept as a number.

use std::time::{SystemTime, UNIX_EPOCH};

use stanchion_stanza::Text;

/// `CCYY-MM-DDThh:mm:ss.sssZ` (XEP-0082 §3.2). A time before 1970 is written as 1970,
/// one after the year 9999 as its last millisecond.
pub(crate) fn stamp(time: SystemTime) -> Text {
    /// 9999-12-31T23:59:59.999Z.
    const LAST: u64 = 253_402_300_799_999;
    let milliseconds = milliseconds(time).min(LAST);
    let (days, in_day) = (milliseconds / 86_400_000, milliseconds % 86_400_000);
    let (year, month, day) = civil(days);
    let (seconds, fraction) = (in_day / 1000, in_day % 1000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let text =
        format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z");
    // Digits and punctuation only.
    Text::new(text).unwrap_or_default()
}

/// Milliseconds since 1970, 0 for earlier times.
pub(crate) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The proleptic Gregorian date of a day counted from 1970-01-01. Years are taken to
/// begin in March, so that the leap day is the last of its year.
const fn civil(days: u64) -> (u64, u64, u64) {
    let since_0000_03_01 = days + 719_468;
    let era = since_0000_03_01 / 146_097;
    let day_of_era = since_0000_03_01 % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 {
        month_from_march + 3
    } else {
        month_from_march - 9
    };
    let year = year_of_era + era * 400 + if month <= 2 { 1 } else { 0 };
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64, milliseconds: u64) -> String {
        let time = UNIX_EPOCH + Duration::from_millis(seconds * 1000 + milliseconds);
        stamp(time).into_string()
    }

    #[test]
    fn known_moments_are_written_as_the_calendar_says() {
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(951_868_800, 7), "2000-03-01T00:00:00.007Z");
        assert_eq!(at(1_031_656_695, 0), "2002-09-10T11:18:15.000Z");
        assert_eq!(at(4_107_542_399, 999), "2100-02-28T23:59:59.999Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
    }

    #[test]
    fn times_out_of_range_are_written_as_the_nearest() {
        assert_eq!(
            stamp(UNIX_EPOCH - Duration::from_secs(9)),
            "1970-01-01T00:00:00.000Z"
        );
        let far = UNIX_EPOCH + Duration::from_secs(1 << 40);
        assert_eq!(stamp(far), "9999-12-31T23:59:59.999Z");
    }
}

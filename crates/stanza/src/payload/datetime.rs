//! Date and time on the wire (XEP-0082 §3.2), written from a number. No clock and no
//! parsing here: what must be read back by ourselves is kept as a number.

use crate::xml::Text;

/// 0000-01-01T00:00:00.000Z and 9999-12-31T23:59:59.999Z, in Unix milliseconds: the
/// years that have four digits.
const RANGE: (i64, i64) = (-62_167_219_200_000, 253_402_300_799_999);

/// `CCYY-MM-DDThh:mm:ss.sssZ` of a time in milliseconds since 1970. A time outside the
/// years 0 to 9999 is written as the nearest inside.
///
/// ```
/// use stanchion_stanza::payload::datetime::utc;
/// assert_eq!(utc(1_031_656_695_000), "2002-09-10T11:18:15.000Z");
/// ```
#[must_use]
pub fn utc(unix_ms: i64) -> Text {
    let ms = unix_ms.clamp(RANGE.0, RANGE.1);
    let (days, ms) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60);
    let fraction = ms % 1000;
    Text::checked(format!(
        "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z"
    ))
}

/// The proleptic Gregorian date of a day counted from 1970-01-01. Years are taken to
/// begin in March, so that the leap day is the last of its year.
const fn civil(days: i64) -> (i64, i64, i64) {
    let since_0000_03_01 = days + 719_468;
    let era = since_0000_03_01.div_euclid(146_097);
    let day_of_era = since_0000_03_01.rem_euclid(146_097);
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

    #[test]
    fn known_moments_are_written_as_the_calendar_says() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_007, "2000-03-01T00:00:00.007Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(utc(ms), text);
        }
    }

    #[test]
    fn times_out_of_range_are_written_as_the_nearest() {
        assert_eq!(utc(i64::MIN), "0000-01-01T00:00:00.000Z");
        assert_eq!(utc(i64::MAX), "9999-12-31T23:59:59.999Z");
    }
}

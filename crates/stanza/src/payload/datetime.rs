//! Date and time on the wire (XEP-0082 §3.2), written from a number and read as one. No
//! clock here: what must be read back by ourselves is kept as a number.

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

/// The time that `text` says, in milliseconds since 1970; digits of its seconds beyond the
/// third are dropped. `None` if it is no DateTime of XEP-0082 §3.2: a date that is in no
/// calendar, a time without its zone.
///
/// ```
/// use stanchion_stanza::payload::datetime::unix_ms;
/// assert_eq!(unix_ms("2002-09-10T16:18:15.5-07:00"), Some(1_031_699_895_500));
/// ```
#[must_use]
pub fn unix_ms(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| digits(bytes.get(from..to)?);
    let is = |at: usize, what: u8| bytes.get(at) == Some(&what);
    let apart = is(4, b'-') && is(7, b'-') && is(10, b'T') && is(13, b':') && is(16, b':');
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    let days = days_of(year, month, day);
    // A leap second is the end of its minute.
    if !apart || civil(days) != (year, month, day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = bytes.get(19..)?;
    let mut ms = 0;
    if let Some(fraction) = rest.strip_prefix(b".") {
        let count = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
        let (said, after) = fraction.split_at(count);
        let mut three = [b'0'; 3];
        for (to, from) in three.iter_mut().zip(said) {
            *to = *from;
        }
        ms = digits(&three).filter(|_| count > 0)?;
        rest = after;
    }
    let offset = match rest {
        b"Z" => 0,
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
            let offset = hours * 60 + minutes;
            if hours > 23 || minutes > 59 {
                return None;
            }
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    let minutes = (days * 24 + hour) * 60 + minute - offset;
    Some((minutes * 60 + second) * 1000 + ms)
}

/// A number of decimal digits and nothing else.
fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |number: i64, byte| {
        let digit = byte.is_ascii_digit().then(|| i64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// The day of a date, counted from 1970-01-01: what [`civil`] undoes, for dates that are in
/// the calendar.
const fn days_of(year: i64, month: i64, day: i64) -> i64 {
    // Years begin in March, as there.
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_that_is_written_is_read_as_the_same() {
        let step = 86_400_000 * 13 + 12_345_677;
        let mut ms = RANGE.0;
        while ms <= RANGE.1 {
            assert_eq!(unix_ms(&utc(ms)), Some(ms), "{}", utc(ms));
            ms += step;
        }
        assert_eq!(unix_ms(&utc(RANGE.1)), Some(RANGE.1));
    }

    #[test]
    fn zones_and_fractions_are_read_as_xep_0082_says() {
        for (text, ms) in [
            ("1969-07-21T02:56:15Z", -14_159_025_000),
            ("1969-07-20T21:56:15-05:00", -14_159_025_000),
            ("1969-07-21T08:26:15+05:30", -14_159_025_000),
            ("1970-01-01T00:00:00.1Z", 100),
            ("1970-01-01T00:00:00.123456789Z", 123),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ] {
            assert_eq!(unix_ms(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_moment_is_none() {
        for text in [
            "",
            "2002-09-10",
            "2002-09-10T11:18:15",
            "2002-09-10 11:18:15Z",
            "2002-9-10T11:18:15Z",
            "2001-02-29T11:18:15Z",
            "2002-13-10T11:18:15Z",
            "2002-00-10T11:18:15Z",
            "2002-09-00T11:18:15Z",
            "2002-09-10T24:18:15Z",
            "2002-09-10T11:18:15.Z",
            "2002-09-10T11:18:15.5",
            "2002-09-10T11:18:15+5:00",
            "2002-09-10T11:18:15+05:60",
            "2002-09-10T11:18:15Zulu",
            "+002-09-10T11:18:15Z",
            "20020910T11:18:15Z",
            "２００２-09-10T11:18:15Z",
        ] {
            assert_eq!(unix_ms(text), None, "{text}");
        }
    }

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

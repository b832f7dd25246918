//! Date and time on the wire (XEP-0082 §3.2), written from a number and read as one. No
//! clock here.

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

/// The time of `CCYY-MM-DDThh:mm:ss[.sss]TZD` in milliseconds since 1970; digits beyond
/// the third behind the point do not count. `None` if it is none, or no time of the years
/// 0 to 9999. A leap second is the first second of the next minute.
///
/// ```
/// use stanchion_stanza::payload::datetime::unix_ms;
/// assert_eq!(unix_ms("2002-09-10T05:18:15-06:00"), Some(1_031_656_695_000));
/// ```
#[must_use]
pub fn unix_ms(text: &str) -> Option<i64> {
    let (date, time) = text.split_at_checked(10)?;
    let [b'-', month @ .., b'-', _, _] = date.as_bytes().get(4..)? else {
        return None;
    };
    if month.len() != 2 {
        return None;
    }
    let (year, month, day) = (
        number(date.get(..4)?)?,
        number(date.get(5..7)?)?,
        number(date.get(8..)?)?,
    );
    let time = time.strip_prefix('T')?;
    let (clock, rest) = time.split_at_checked(8)?;
    if clock.as_bytes()[2] != b':' || clock.as_bytes()[5] != b':' {
        return None;
    }
    let (hour, minute, second) = (
        number(clock.get(..2)?)?,
        number(clock.get(3..5)?)?,
        number(clock.get(6..)?)?,
    );
    let (fraction, zone) = match rest.strip_prefix('.') {
        None => (0, rest),
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            let (digits, zone) = rest.split_at(digits);
            let thousandths = digits.get(..3).unwrap_or(digits);
            let scale = [0, 100, 10, 1].get(thousandths.len())?;
            (number(thousandths)? * scale, zone)
        }
    };
    let zone = i64::from(zone_minutes(zone)?);
    let in_range = (1..=12).contains(&month) && day >= 1 && hour < 24 && minute < 60;
    let days = day_number(year, month, day);
    // A day that the month does not have is another one's.
    if !in_range || second > 60 || civil(days) != (year, month, day) {
        return None;
    }
    let seconds = days * 86_400 + hour * 3600 + (minute - zone) * 60 + second;
    Some(seconds * 1000 + fraction)
}

/// The minutes that a zone is ahead of UTC: `Z`, or `+hh:mm`, or `-hh:mm`.
pub(crate) fn zone_minutes(zone: &str) -> Option<i16> {
    if zone == "Z" {
        return Some(0);
    }
    let (sign, rest) = zone.split_at_checked(1)?;
    let sign = match sign {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    let (hours, minutes) = rest.split_once(':')?;
    if hours.len() != 2 || minutes.len() != 2 {
        return None;
    }
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let valid = hours < 24 && minutes < 60;
    valid.then(|| i16::try_from(sign * (hours * 60 + minutes)).ok())?
}

/// Digits, and nothing else.
fn number(digits: &str) -> Option<i64> {
    let digits_only = digits.bytes().all(|b| b.is_ascii_digit());
    digits_only.then(|| digits.parse().ok())?
}

/// The day of a date, counted from 1970-01-01: [`civil`] the other way.
const fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let day = 86_400_000;
        for ms in (RANGE.0..RANGE.1).step_by(97 * day + 12_345_678) {
            assert_eq!(unix_ms(&utc(ms)), Some(ms), "{}", utc(ms));
        }
    }

    #[test]
    fn zones_and_fractions_count() {
        for (text, ms) in [
            ("1970-01-01T01:00:00+01:00", 0),
            ("1969-12-31T23:29:59.5-00:30", -500),
            ("1970-01-01T00:00:00.1234567Z", 123),
            ("2016-12-31T23:59:60Z", 1_483_228_800_000),
        ] {
            assert_eq!(unix_ms(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for text in [
            "",
            "2002-09-10",
            "2002-09-10T23:08:25",
            "2002-02-30T23:08:25Z",
            "2002-13-10T23:08:25Z",
            "2002-09-10T24:08:25Z",
            "2002-09-10T23:60:25Z",
            "2002-09-10T23:08:61Z",
            "2002-09-10T23:08:25.Z",
            "2002-09-10T23:08:25+1:00",
            "2002-09-10T23:08:25+24:00",
            "2002-09-10t23:08:25Z",
            "+002-09-10T23:08:25Z",
            "2002-+9-10T23:08:25Z",
            "2002-09-1\u{e9}T23:08:25Z",
            "20020910T23:08:25",
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

//! Times as people here write them. The zone comes in; nothing here asks a clock.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

/// Unix milliseconds as a time in that zone; the ends of what can be written for those beyond.
fn civil(zone: &TimeZone, at: i64) -> DateTime {
    let at = Timestamp::from_millisecond(at).unwrap_or(Timestamp::UNIX_EPOCH);
    zone.to_datetime(at)
}

/// The day.
pub(super) fn day(zone: &TimeZone, at: i64) -> Date {
    civil(zone, at).date()
}

/// As `14:02`.
pub(super) fn hour(zone: &TimeZone, at: i64) -> String {
    let at = civil(zone, at);
    format!("{:02}:{:02}", at.hour(), at.minute())
}

/// As `14:02:07`.
pub(super) fn second(zone: &TimeZone, at: i64) -> String {
    let at = civil(zone, at);
    format!("{:02}:{:02}:{:02}", at.hour(), at.minute(), at.second())
}

/// As `Thursday 26 November 2026`.
pub(super) fn date(day: Date) -> String {
    const DAYS: [&str; 7] = [
        "Monday",
        "Tuesday",
        "Wednesday",
        "Thursday",
        "Friday",
        "Saturday",
        "Sunday",
    ];
    let number = day.weekday().to_monday_zero_offset();
    let name = usize::try_from(number).ok().and_then(|n| DAYS.get(n));
    let month = month(day);
    let (name, number, year) = (name.unwrap_or(&""), day.day(), day.year());
    format!("{name} {number} {month} {year}")
}

fn month(day: Date) -> &'static str {
    const MONTHS: [&str; 12] = [
        "January",
        "February",
        "March",
        "April",
        "May",
        "June",
        "July",
        "August",
        "September",
        "October",
        "November",
        "December",
    ];
    let number = usize::try_from(day.month() - 1).ok();
    number.and_then(|n| MONTHS.get(n)).unwrap_or(&"")
}

/// As short as can be: the hour of today, the day of this year, or the year. Five columns.
pub(super) fn short(zone: &TimeZone, now: i64, at: i64) -> String {
    if at == 0 {
        return String::new();
    }
    let (today, then) = (day(zone, now), day(zone, at));
    if today == then {
        hour(zone, at)
    } else if today.year() == then.year() {
        let month: String = month(then).chars().take(3).collect();
        format!("{:>2}{month}", then.day())
    } else {
        format!("{:04}", then.year())
    }
}

/// How long ago, as `8 s`, `3 min`.
pub(super) fn ago(now: i64, at: i64) -> String {
    let seconds = now.saturating_sub(at).max(0) / 1000;
    match seconds {
        0..=59 => format!("{seconds} s"),
        60..=3599 => format!("{} min", seconds / 60),
        3600..=86_399 => format!("{} h", seconds / 3600),
        _ => format!("{} d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_short_as_they_can_be_and_never_fail() {
        let zone = TimeZone::UTC;
        let now = 1_795_658_520_000;
        assert_eq!(date(day(&zone, now)), "Thursday 26 November 2026");
        assert_eq!(short(&zone, now, now), "02:02");
        assert_eq!(short(&zone, now, now - 86_400_000), "25Nov");
        assert_eq!(short(&zone, now, 1), "1970");
        assert_eq!(ago(now, now - 61_000), "1 min");
        for at in [i64::MIN, -1, 0, i64::MAX] {
            let _ = (short(&zone, now, at), second(&zone, at), ago(at, now));
        }
    }
}

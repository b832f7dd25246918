//! Times for people and scripts: how long ago, how long still, and when.

use std::time::{Duration, SystemTime};

pub(crate) fn ago(at: SystemTime, now: SystemTime) -> String {
    match now.duration_since(at) {
        Ok(time) if time < Duration::from_secs(1) => "just now".to_owned(),
        Ok(time) => format!("{} ago", rough(time)),
        // A clock was set.
        Err(_) => "in the future".to_owned(),
    }
}

/// In the largest unit that gives at least one.
pub(crate) fn rough(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..120 => format!("{} s", seconds.max(1)),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

pub(crate) fn rfc3339(at: SystemTime) -> String {
    // The formatter knows no time before the epoch.
    humantime::format_rfc3339_millis(at.max(SystemTime::UNIX_EPOCH)).to_string()
}

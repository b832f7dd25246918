//! A time as a person gives it: so long ago, a day, or a moment.

use std::time::SystemTime;

use stanchion::reliability::store::WallTime;

use crate::kept::now;

/// For clap.
pub(super) fn read(text: &str) -> Result<WallTime, String> {
    if let Ok(ago) = humantime::parse_duration(text) {
        return Ok(now().before(ago));
    }
    let day = format!("{text}T00:00:00Z");
    let at = humantime::parse_rfc3339_weak(text).or_else(|_| humantime::parse_rfc3339(&day));
    let at = at.map_err(|_| "write 2h, 7d, 2026-01-31 or 2026-01-31T12:00:00Z".to_owned())?;
    let since = at.duration_since(SystemTime::UNIX_EPOCH);
    let ms = since.map(|since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
    Ok(WallTime::from_unix_ms(ms.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_given_in_every_form() {
        let at = |text: &str| read(text).unwrap().as_unix_ms();
        assert_eq!(at("2023-11-15"), 1_700_006_400_000);
        assert_eq!(at("2023-11-14T22:13:20Z"), 1_700_000_000_000);
        assert_eq!(at("2023-11-14 22:13:20"), 1_700_000_000_000);
        let then = at("2h");
        let ago = now().as_unix_ms() - then;
        assert!((7_200_000..7_260_000).contains(&ago), "{ago}");
        for wrong in ["yesterday", "2023", "", "7"] {
            assert!(read(wrong).unwrap_err().contains("7d"), "{wrong}");
        }
    }
}

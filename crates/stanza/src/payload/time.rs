//! Entity time (XEP-0202): what an entity's clock says, and how far its zone is from UTC.

use super::datetime;
use super::{Payload, PayloadError};
use crate::ns;
use crate::xml::{Element, Text};

/// The furthest that a zone is from UTC on the wire: 24 hours, in minutes
/// (XEP-0082 §3.2 has two digits for the hour).
const FURTHEST: i16 = 23 * 60 + 59;

/// `<time/>`: a request without, a result with a clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Time {
    /// What the clock says. `None` in a request.
    pub clock: Option<Clock>,
}

/// What a clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Milliseconds since 1970.
    pub unix_ms: i64,
    /// Minutes that the local time is ahead of UTC, between -1439 and 1439.
    pub offset_minutes: i16,
}

impl Payload for Time {
    const NAME: &'static str = "time";
    const NS: &'static str = ns::TIME;

    /// Reads the element.
    ///
    /// # Errors
    /// [`PayloadError::Invalid`] for a `tzo` or `utc` that is none (XEP-0082 §3.2), or if
    /// one is there without the other.
    fn from_element(element: &Element) -> Result<Self, PayloadError> {
        let invalid = |what| PayloadError::Invalid {
            element: Self::NAME,
            what,
        };
        let child = |name| element.child(name, ns::TIME).map(|c| c.text());
        let clock = match (child("utc"), child("tzo")) {
            (None, None) => None,
            (None, _) => return Err(invalid("utc")),
            (_, None) => return Err(invalid("tzo")),
            (Some(utc), Some(tzo)) => Some(Clock {
                unix_ms: datetime::unix_ms(utc.trim()).ok_or(invalid("utc"))?,
                offset_minutes: datetime::zone_minutes(tzo.trim()).ok_or(invalid("tzo"))?,
            }),
        };
        Ok(Self { clock })
    }

    fn to_element(&self) -> Element {
        let time = Element::new(Self::NAME, Self::NS);
        let Some(clock) = self.clock else {
            return time;
        };
        let minutes = clock.offset_minutes.clamp(-FURTHEST, FURTHEST);
        let sign = if minutes < 0 { '-' } else { '+' };
        let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
        let zone = Text::checked(format!("{sign}{hours:02}:{rest:02}"));
        let child = |name, text| Element::new(name, ns::TIME).with_text(text);
        time.with_child(child("tzo", zone))
            .with_child(child("utc", datetime::utc(clock.unix_ms)))
    }
}

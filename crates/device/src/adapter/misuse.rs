//! What cannot be right in an adapter's configuration, and the checks that all of them make.

use std::time::Duration;

use stanchion_stanza::Text;

/// What cannot be right in a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{key}`: {what}")]
pub struct Misuse {
    /// Which setting.
    pub key: String,
    /// What is wrong with it, and what it may be.
    pub what: String,
}

#[cfg_attr(
    not(all(feature = "coap", feature = "modbus")),
    allow(dead_code, reason = "for the adapters that there are")
)]
impl Misuse {
    pub(crate) fn of(key: impl Into<String>, what: impl Into<String>) -> Self {
        let (key, what) = (key.into(), what.into());
        Self { key, what }
    }

    /// A name of 1 to 256 bytes.
    pub(crate) fn unless_text(key: &str, of: &str) -> Result<Text, Self> {
        if of.is_empty() || of.len() > 256 {
            return Err(Self::of(key, "is to have 1 to 256 bytes"));
        }
        Text::new(of).map_err(|e| Self::of(key, e.to_string()))
    }

    pub(crate) fn unless_within<T: PartialOrd + std::fmt::Display>(
        key: &str,
        value: T,
        least: T,
        most: T,
    ) -> Result<(), Self> {
        if value < least || value > most {
            return Err(Self::of(key, format!("is to be from {least} to {most}")));
        }
        Ok(())
    }

    pub(crate) fn unless_time(
        key: &str,
        value: Duration,
        least: Duration,
        most: Duration,
    ) -> Result<(), Self> {
        if value < least || value > most {
            let said = humantime::format_duration;
            let what = format!("is to be from {} to {}", said(least), said(most));
            return Err(Self::of(key, what));
        }
        Ok(())
    }
}

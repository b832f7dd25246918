//! What a reader tells by itself: ReaderEventNotificationData.

use super::error::Error;
use super::names::part;
use super::wire::{Out, Part};

/// When, by the reader's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timestamp {
    /// µs since 1970.
    Utc(u64),
    /// µs since the reader was started.
    Uptime(u64),
}

/// What became of a ROSpec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoSpecEvent {
    /// 0 it was started, 1 it has ended, 2 another one has taken its place.
    pub kind: u8,
    /// Which.
    pub id: u32,
    /// Which one has taken its place.
    pub preempting: u32,
}

/// What happened at a reader; several things may at one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhatHappened {
    /// When.
    pub at: Timestamp,
    /// An input changed: which, and whether it is high.
    pub gpi: Option<(u16, bool)>,
    /// A ROSpec was started, or ended.
    pub ro_spec: Option<RoSpecEvent>,
    /// The buffer of reports is that full, in percent.
    pub buffer_level: Option<u8>,
    /// The buffer of reports was full: reports are lost.
    pub buffer_overflow: bool,
    /// Something is wrong with the reader.
    pub exception: Option<String>,
    /// An antenna is connected (true) or is not any more.
    pub antenna: Option<(u16, bool)>,
    /// Whether the connection is taken: 0 it is, 1 to 3 it is not, 4 another client tries.
    pub connection_attempt: Option<u16>,
    /// The reader ends the connection.
    pub connection_close: bool,
}

impl WhatHappened {
    /// Nothing, at that time.
    #[must_use]
    pub const fn nothing(at: Timestamp) -> Self {
        Self {
            at,
            gpi: None,
            ro_spec: None,
            buffer_level: None,
            buffer_overflow: false,
            exception: None,
            antenna: None,
            connection_attempt: None,
            connection_close: false,
        }
    }

    pub(super) fn read(mut from: Part<'_>) -> Result<Self, Error> {
        let mut at = None;
        let mut event = Self::nothing(Timestamp::Utc(0));
        while let Some((kind, mut body)) = from.parameter()? {
            match kind {
                part::UTC_TIMESTAMP => from.once(&mut at, Timestamp::Utc(body.u64()?), kind)?,
                part::UPTIME => from.once(&mut at, Timestamp::Uptime(body.u64()?), kind)?,
                part::GPI_EVENT => from.once(&mut event.gpi, (body.u16()?, body.bit()?), kind)?,
                part::RO_SPEC_EVENT => {
                    let read = RoSpecEvent {
                        kind: body.u8()?,
                        id: body.u32()?,
                        preempting: body.u32()?,
                    };
                    from.once(&mut event.ro_spec, read, kind)?;
                }
                part::REPORT_BUFFER_LEVEL_WARNING_EVENT => {
                    from.once(&mut event.buffer_level, body.u8()?, kind)?;
                }
                part::REPORT_BUFFER_OVERFLOW_ERROR_EVENT => event.buffer_overflow = true,
                part::READER_EXCEPTION_EVENT => {
                    from.once(&mut event.exception, body.text()?, kind)?;
                }
                part::ANTENNA_EVENT => {
                    let connected = body.u8()? == 1;
                    from.once(&mut event.antenna, (body.u16()?, connected), kind)?;
                }
                part::CONNECTION_ATTEMPT_EVENT => {
                    from.once(&mut event.connection_attempt, body.u16()?, kind)?;
                }
                part::CONNECTION_CLOSE_EVENT => event.connection_close = true,
                _ => continue,
            }
            body.skip_rest()?;
        }
        event.at = from.wanted(at, part::UTC_TIMESTAMP)?;
        Ok(event)
    }

    pub(super) fn write(&self, out: &mut Out) -> Result<(), Error> {
        out.tlv(part::READER_EVENT_NOTIFICATION_DATA, |out| {
            let (kind, time) = match self.at {
                Timestamp::Utc(time) => (part::UTC_TIMESTAMP, time),
                Timestamp::Uptime(time) => (part::UPTIME, time),
            };
            out.tlv(kind, |out| {
                out.u64(time);
                Ok(())
            })?;
            if let Some((port, high)) = self.gpi {
                out.tlv(part::GPI_EVENT, |out| {
                    out.u16(port);
                    out.bit(high);
                    Ok(())
                })?;
            }
            if let Some(event) = self.ro_spec {
                out.tlv(part::RO_SPEC_EVENT, |out| {
                    out.u8(event.kind);
                    out.u32(event.id);
                    out.u32(event.preempting);
                    Ok(())
                })?;
            }
            if let Some(percent) = self.buffer_level {
                out.tlv(part::REPORT_BUFFER_LEVEL_WARNING_EVENT, |out| {
                    out.u8(percent);
                    Ok(())
                })?;
            }
            if self.buffer_overflow {
                out.tlv(part::REPORT_BUFFER_OVERFLOW_ERROR_EVENT, |_| Ok(()))?;
            }
            if let Some(text) = &self.exception {
                out.tlv(part::READER_EXCEPTION_EVENT, |out| {
                    out.counted("Message", text.as_bytes())
                })?;
            }
            if let Some((antenna, connected)) = self.antenna {
                out.tlv(part::ANTENNA_EVENT, |out| {
                    out.u8(u8::from(connected));
                    out.u16(antenna);
                    Ok(())
                })?;
            }
            if let Some(status) = self.connection_attempt {
                out.tlv(part::CONNECTION_ATTEMPT_EVENT, |out| {
                    out.u16(status);
                    Ok(())
                })?;
            }
            if self.connection_close {
                out.tlv(part::CONNECTION_CLOSE_EVENT, |_| Ok(()))?;
            }
            Ok(())
        })
    }
}

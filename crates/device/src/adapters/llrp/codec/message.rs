//! Messages: what a frame says, and the frame of what is to be said.

use super::cutter::{Frame, HEAD};
use super::error::Error;
use super::event::WhatHappened;
use super::names::{self, kind, part};
use super::reader::{Capabilities, ReaderConfig, read_keepalive, write_hold, write_keepalive};
use super::rospec::RoSpec;
use super::status::Status;
use super::tag::TagReport;
use super::wire::{Out, Part};

/// The version of the protocol that is written: 1 is LLRP 1.0.1, which every reader speaks
/// until another is agreed upon.
const VERSION: u8 = 1;

/// A message, either way.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message {
    /// What are you? 0 for all of it.
    GetReaderCapabilities(u8),
    /// The answer.
    Capabilities(Capabilities),
    /// How are you configured? 0 for all of it.
    GetReaderConfig(u8),
    /// The answer.
    ReaderConfig(ReaderConfig),
    /// Be configured so.
    SetReaderConfig {
        /// Forget all configuration first.
        reset: bool,
        /// Which events are to be told, by their types.
        events: Vec<(u16, bool)>,
        /// Every how many ms to say that it is there; 0 for never.
        keepalive_ms: Option<u32>,
        /// Whether to hold reports back after a connection was lost.
        hold: Option<bool>,
    },
    /// Know this ROSpec.
    AddRoSpec(RoSpec),
    /// Forget that ROSpec; 0 for all.
    DeleteRoSpec(u32),
    /// Let it be started.
    EnableRoSpec(u32),
    /// Let it not be started any more.
    DisableRoSpec(u32),
    /// Begin.
    StartRoSpec(u32),
    /// End.
    StopRoSpec(u32),
    /// Let us end the connection.
    CloseConnection,
    /// How a request went that has no other answer.
    Answer(Request, Status),
    /// Tell what was held back.
    EnableEventsAndReports,
    /// I am here.
    Keepalive,
    /// So you are.
    KeepaliveAck,
    /// Tags were seen.
    Report(Vec<TagReport>),
    /// Something happened.
    Event(WhatHappened),
    /// A message was not understood.
    Error(Status),
    /// Anything else, as it stood.
    Other {
        /// Its type.
        kind: u16,
        /// What follows its head.
        body: Vec<u8>,
    },
}

/// A request whose answer only says how it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// SET_READER_CONFIG.
    SetReaderConfig,
    /// ADD_ROSPEC.
    AddRoSpec,
    /// DELETE_ROSPEC.
    DeleteRoSpec,
    /// ENABLE_ROSPEC.
    EnableRoSpec,
    /// DISABLE_ROSPEC.
    DisableRoSpec,
    /// START_ROSPEC.
    StartRoSpec,
    /// STOP_ROSPEC.
    StopRoSpec,
    /// CLOSE_CONNECTION.
    CloseConnection,
}

impl Request {
    const fn answer(self) -> u16 {
        match self {
            Self::SetReaderConfig => kind::SET_READER_CONFIG_RESPONSE,
            Self::AddRoSpec => kind::ADD_ROSPEC_RESPONSE,
            Self::DeleteRoSpec => kind::DELETE_ROSPEC_RESPONSE,
            Self::EnableRoSpec => kind::ENABLE_ROSPEC_RESPONSE,
            Self::DisableRoSpec => kind::DISABLE_ROSPEC_RESPONSE,
            Self::StartRoSpec => kind::START_ROSPEC_RESPONSE,
            Self::StopRoSpec => kind::STOP_ROSPEC_RESPONSE,
            Self::CloseConnection => kind::CLOSE_CONNECTION_RESPONSE,
        }
    }
}

impl Message {
    /// What the protocol calls it.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        names::message(self.kind())
    }

    const fn kind(&self) -> u16 {
        match self {
            Self::GetReaderCapabilities(_) => kind::GET_READER_CAPABILITIES,
            Self::Capabilities(_) => kind::GET_READER_CAPABILITIES_RESPONSE,
            Self::GetReaderConfig(_) => kind::GET_READER_CONFIG,
            Self::ReaderConfig(_) => kind::GET_READER_CONFIG_RESPONSE,
            Self::SetReaderConfig { .. } => kind::SET_READER_CONFIG,
            Self::AddRoSpec(_) => kind::ADD_ROSPEC,
            Self::DeleteRoSpec(_) => kind::DELETE_ROSPEC,
            Self::EnableRoSpec(_) => kind::ENABLE_ROSPEC,
            Self::DisableRoSpec(_) => kind::DISABLE_ROSPEC,
            Self::StartRoSpec(_) => kind::START_ROSPEC,
            Self::StopRoSpec(_) => kind::STOP_ROSPEC,
            Self::CloseConnection => kind::CLOSE_CONNECTION,
            Self::Answer(request, _) => request.answer(),
            Self::EnableEventsAndReports => kind::ENABLE_EVENTS_AND_REPORTS,
            Self::Keepalive => kind::KEEPALIVE,
            Self::KeepaliveAck => kind::KEEPALIVE_ACK,
            Self::Report(_) => kind::RO_ACCESS_REPORT,
            Self::Event(_) => kind::READER_EVENT_NOTIFICATION,
            Self::Error(_) => kind::ERROR_MESSAGE,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// What a frame says.
    ///
    /// # Errors
    /// [`Error`]: the message breaks a rule of the protocol; the stream can go on.
    pub fn decode(frame: &Frame) -> Result<Self, Error> {
        let message = names::message(frame.kind);
        if !(1..=2).contains(&frame.version) {
            let version = frame.version;
            return Err(Error::Version { message, version });
        }
        let mut body = Part::new(message, &frame.body);
        let answer = |request| Status::only(body).map(|status| Self::Answer(request, status));
        let read = match frame.kind {
            kind::GET_READER_CAPABILITIES_RESPONSE => {
                return Capabilities::read(body).map(Self::Capabilities);
            }
            kind::GET_READER_CONFIG_RESPONSE => {
                return ReaderConfig::read(body).map(Self::ReaderConfig);
            }
            kind::SET_READER_CONFIG_RESPONSE => return answer(Request::SetReaderConfig),
            kind::ADD_ROSPEC_RESPONSE => return answer(Request::AddRoSpec),
            kind::DELETE_ROSPEC_RESPONSE => return answer(Request::DeleteRoSpec),
            kind::ENABLE_ROSPEC_RESPONSE => return answer(Request::EnableRoSpec),
            kind::DISABLE_ROSPEC_RESPONSE => return answer(Request::DisableRoSpec),
            kind::START_ROSPEC_RESPONSE => return answer(Request::StartRoSpec),
            kind::STOP_ROSPEC_RESPONSE => return answer(Request::StopRoSpec),
            kind::CLOSE_CONNECTION_RESPONSE => return answer(Request::CloseConnection),
            kind::ERROR_MESSAGE => return Status::only(body).map(Self::Error),
            kind::RO_ACCESS_REPORT => return read_report(body).map(Self::Report),
            kind::READER_EVENT_NOTIFICATION => return read_event(body).map(Self::Event),
            kind::SET_READER_CONFIG => return read_set_config(body),
            kind::ADD_ROSPEC => return read_add(body).map(Self::AddRoSpec),
            kind::GET_READER_CAPABILITIES => Self::GetReaderCapabilities(body.u8()?),
            kind::GET_READER_CONFIG => {
                let (_antenna, what) = (body.u16()?, body.u8()?);
                let _ports = body.u32()?;
                Self::GetReaderConfig(what)
            }
            kind::DELETE_ROSPEC => Self::DeleteRoSpec(body.u32()?),
            kind::ENABLE_ROSPEC => Self::EnableRoSpec(body.u32()?),
            kind::DISABLE_ROSPEC => Self::DisableRoSpec(body.u32()?),
            kind::START_ROSPEC => Self::StartRoSpec(body.u32()?),
            kind::STOP_ROSPEC => Self::StopRoSpec(body.u32()?),
            kind::CLOSE_CONNECTION => Self::CloseConnection,
            kind::ENABLE_EVENTS_AND_REPORTS => Self::EnableEventsAndReports,
            kind::KEEPALIVE => Self::Keepalive,
            kind::KEEPALIVE_ACK => Self::KeepaliveAck,
            other => {
                let (kind, body) = (other, frame.body.clone());
                return Ok(Self::Other { kind, body });
            }
        };
        body.skip_rest()?;
        Ok(read)
    }

    /// The frame of a message, with that id.
    ///
    /// # Errors
    /// [`Error::TooLong`] and [`Error::LongMessage`]: it holds more than its lengths can
    /// say.
    pub fn encode(&self, id: u32) -> Result<Vec<u8>, Error> {
        let mut out = Out::default();
        // The type has ten bits.
        out.u16((u16::from(VERSION) << 10) | (self.kind() & 0x3ff));
        out.u32(0);
        out.u32(id);
        self.write_body(&mut out)?;
        let Out(mut bytes) = out;
        let length = u32::try_from(bytes.len()).map_err(|_| Error::LongMessage {
            message: self.name(),
            length: bytes.len() as u64,
            most: u64::from(u32::MAX),
        })?;
        if let Some(place) = bytes.get_mut(2..6) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        debug_assert!(bytes.len() >= HEAD, "the head was written");
        Ok(bytes)
    }

    fn write_body(&self, out: &mut Out) -> Result<(), Error> {
        match self {
            Self::GetReaderCapabilities(what) => out.u8(*what),
            Self::GetReaderConfig(what) => {
                // All antennas, and all ports.
                out.u16(0);
                out.u8(*what);
                out.u32(0);
            }
            Self::Capabilities(capabilities) => capabilities.write(out)?,
            Self::ReaderConfig(config) => config.write(out)?,
            Self::SetReaderConfig {
                reset,
                events,
                keepalive_ms,
                hold,
            } => {
                out.bit(*reset);
                write_events(events, out)?;
                if let Some(every) = keepalive_ms {
                    write_keepalive(*every, out)?;
                }
                if let Some(hold) = hold {
                    write_hold(*hold, out)?;
                }
            }
            Self::AddRoSpec(spec) => spec.write(out)?,
            Self::DeleteRoSpec(id)
            | Self::EnableRoSpec(id)
            | Self::DisableRoSpec(id)
            | Self::StartRoSpec(id)
            | Self::StopRoSpec(id) => out.u32(*id),
            Self::Answer(_, status) | Self::Error(status) => status.write(out)?,
            Self::Report(tags) => tags.iter().try_for_each(|tag| tag.write(out))?,
            Self::Event(event) => event.write(out)?,
            Self::CloseConnection
            | Self::EnableEventsAndReports
            | Self::Keepalive
            | Self::KeepaliveAck => {}
            Self::Other { body, .. } => out.bytes(body),
        }
        Ok(())
    }
}

fn read_report(mut from: Part<'_>) -> Result<Vec<TagReport>, Error> {
    let mut tags = Vec::new();
    while let Some((kind, body)) = from.parameter()? {
        if kind == part::TAG_REPORT_DATA {
            tags.push(TagReport::read(body)?);
        }
    }
    Ok(tags)
}

fn read_event(mut from: Part<'_>) -> Result<WhatHappened, Error> {
    let mut event = None;
    while let Some((kind, body)) = from.parameter()? {
        if kind == part::READER_EVENT_NOTIFICATION_DATA {
            from.once(&mut event, WhatHappened::read(body)?, kind)?;
        }
    }
    from.wanted(event, part::READER_EVENT_NOTIFICATION_DATA)
}

fn read_add(mut from: Part<'_>) -> Result<RoSpec, Error> {
    let mut spec = None;
    while let Some((kind, body)) = from.parameter()? {
        if kind == part::RO_SPEC {
            from.once(&mut spec, RoSpec::read(body)?, kind)?;
        }
    }
    from.wanted(spec, part::RO_SPEC)
}

fn read_set_config(mut from: Part<'_>) -> Result<Message, Error> {
    let reset = from.bit()?;
    let (mut events, mut keepalive_ms, mut hold) = (None, None, None);
    while let Some((kind, mut body)) = from.parameter()? {
        match kind {
            part::READER_EVENT_NOTIFICATION_SPEC => {
                from.once(&mut events, read_events(body)?, kind)?;
                continue;
            }
            part::KEEPALIVE_SPEC => {
                from.once(&mut keepalive_ms, read_keepalive(&mut body)?, kind)?;
            }
            part::EVENTS_AND_REPORTS => from.once(&mut hold, body.bit()?, kind)?,
            _ => continue,
        }
        body.skip_rest()?;
    }
    Ok(Message::SetReaderConfig {
        reset,
        events: events.unwrap_or_default(),
        keepalive_ms,
        hold,
    })
}

fn read_events(mut from: Part<'_>) -> Result<Vec<(u16, bool)>, Error> {
    let mut events = Vec::new();
    while let Some((kind, mut body)) = from.parameter()? {
        if kind == part::EVENT_NOTIFICATION_STATE {
            events.push((body.u16()?, body.bit()?));
            body.skip_rest()?;
        }
    }
    Ok(events)
}

fn write_events(events: &[(u16, bool)], out: &mut Out) -> Result<(), Error> {
    if events.is_empty() {
        return Ok(());
    }
    out.tlv(part::READER_EVENT_NOTIFICATION_SPEC, |out| {
        events.iter().try_for_each(|(event, on)| {
            out.tlv(part::EVENT_NOTIFICATION_STATE, |out| {
                out.u16(*event);
                out.bit(*on);
                Ok(())
            })
        })
    })
}

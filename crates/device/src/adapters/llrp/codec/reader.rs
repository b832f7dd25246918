//! What a reader is and can do, and how it is configured.

use super::error::Error;
use super::names::part;
use super::status::Status;
use super::wire::{Out, Part};

/// What a reader is and can do: GET_READER_CAPABILITIES_RESPONSE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// Whether it says so.
    pub status: Status,
    /// What it is.
    pub device: Option<Device>,
    /// What of the protocol it can do.
    pub functions: Option<Functions>,
}

/// What a reader is: GeneralDeviceCapabilities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// How many antennas it may have.
    pub antennas: u16,
    /// Whether the properties of its antennas can be set.
    pub antenna_properties: bool,
    /// Whether its clock knows the date.
    pub utc_clock: bool,
    /// Its maker's IANA private enterprise number.
    pub manufacturer: u32,
    /// Its model, by a number of its maker.
    pub model: u32,
    /// The version of its firmware.
    pub firmware: String,
    /// Its sensitivities, and by how many dB each is less than the best.
    pub sensitivities: Vec<(u16, i16)>,
    /// How many inputs and outputs it has.
    pub gpio: Option<(u16, u16)>,
    /// Which protocols of the air each antenna speaks.
    pub air_protocols: Vec<(u16, Vec<u8>)>,
}

/// What of the protocol a reader can do: LLRPCapabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Functions {
    /// From the highest bit on: surveys of the air, warnings of a full buffer, operations
    /// that the client is asked for, inventories by the states of tags, and holding reports
    /// until it is told to go on.
    pub bits: u8,
    /// How many priorities it knows.
    pub priorities: u8,
    /// How long it waits for an operation that it asked for, in ms.
    pub op_spec_timeout: u16,
    /// How many there may be: ROSpecs, specs in one, inventories in an AISpec, AccessSpecs,
    /// and operations in one; 0 for no limit.
    pub most: [u32; 5],
}

/// How a reader is configured: GET_READER_CONFIG_RESPONSE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReaderConfig {
    /// Whether it says so.
    pub status: Status,
    /// Which reader it is.
    pub identification: Option<Identification>,
    /// Its antennas: which, whether it is connected, and its gain in 0.01 dBi.
    pub antennas: Vec<(u16, bool, i16)>,
    /// Every how many ms it says that it is there; 0 for never.
    pub keepalive_ms: Option<u32>,
    /// Whether it holds reports back after a connection was lost.
    pub hold: Option<bool>,
}

/// Which reader it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identification {
    /// 0 for a hardware address, 1 for an EPC.
    pub kind: u8,
    /// Its bytes.
    pub id: Vec<u8>,
}

impl Functions {
    /// Whether it holds reports until it is told to go on.
    #[must_use]
    pub const fn holds_reports(&self) -> bool {
        self.bits & 0x08 != 0
    }
}

impl Capabilities {
    pub(super) fn read(mut from: Part<'_>) -> Result<Self, Error> {
        let (mut status, mut device, mut functions) = (None, None, None);
        while let Some((kind, body)) = from.parameter()? {
            match kind {
                part::LLRP_STATUS => from.once(&mut status, Status::read(body)?, kind)?,
                part::GENERAL_DEVICE_CAPABILITIES => {
                    from.once(&mut device, Device::read(body)?, kind)?;
                }
                part::LLRP_CAPABILITIES => {
                    from.once(&mut functions, Functions::read(body)?, kind)?;
                }
                _ => {}
            }
        }
        Ok(Self {
            status: from.wanted(status, part::LLRP_STATUS)?,
            device,
            functions,
        })
    }

    pub(super) fn write(&self, out: &mut Out) -> Result<(), Error> {
        self.status.write(out)?;
        if let Some(device) = &self.device {
            device.write(out)?;
        }
        self.functions.map_or(Ok(()), |f| f.write(out))
    }
}

impl Device {
    fn read(mut from: Part<'_>) -> Result<Self, Error> {
        let antennas = from.u16()?;
        let flags = from.u16()?;
        let mut device = Self {
            antennas,
            antenna_properties: flags & 0x8000 != 0,
            utc_clock: flags & 0x4000 != 0,
            manufacturer: from.u32()?,
            model: from.u32()?,
            firmware: from.text()?,
            sensitivities: Vec::new(),
            gpio: None,
            air_protocols: Vec::new(),
        };
        while let Some((kind, mut body)) = from.parameter()? {
            match kind {
                part::RECEIVE_SENSITIVITY_TABLE_ENTRY => {
                    let index = body.u16()?;
                    let value = i16::from_be_bytes(body.u16()?.to_be_bytes());
                    device.sensitivities.push((index, value));
                }
                part::GPIO_CAPABILITIES => {
                    from.once(&mut device.gpio, (body.u16()?, body.u16()?), kind)?;
                }
                part::PER_ANTENNA_AIR_PROTOCOL => {
                    let antenna = body.u16()?;
                    device.air_protocols.push((antenna, body.counted_bytes()?));
                }
                _ => continue,
            }
            body.skip_rest()?;
        }
        Ok(device)
    }

    fn write(&self, out: &mut Out) -> Result<(), Error> {
        out.tlv(part::GENERAL_DEVICE_CAPABILITIES, |out| {
            out.u16(self.antennas);
            out.u16(u16::from(self.antenna_properties) << 15 | u16::from(self.utc_clock) << 14);
            out.u32(self.manufacturer);
            out.u32(self.model);
            out.counted("ReaderFirmwareVersion", self.firmware.as_bytes())?;
            for (index, value) in &self.sensitivities {
                out.tlv(part::RECEIVE_SENSITIVITY_TABLE_ENTRY, |out| {
                    out.u16(*index);
                    out.bytes(&value.to_be_bytes());
                    Ok(())
                })?;
            }
            if let Some((inputs, outputs)) = self.gpio {
                out.tlv(part::GPIO_CAPABILITIES, |out| {
                    out.u16(inputs);
                    out.u16(outputs);
                    Ok(())
                })?;
            }
            for (antenna, protocols) in &self.air_protocols {
                out.tlv(part::PER_ANTENNA_AIR_PROTOCOL, |out| {
                    out.u16(*antenna);
                    out.counted("ProtocolID", protocols)
                })?;
            }
            Ok(())
        })
    }
}

impl Functions {
    fn read(mut from: Part<'_>) -> Result<Self, Error> {
        let read = Self {
            bits: from.u8()? & 0xf8,
            priorities: from.u8()?,
            op_spec_timeout: from.u16()?,
            most: [
                from.u32()?,
                from.u32()?,
                from.u32()?,
                from.u32()?,
                from.u32()?,
            ],
        };
        from.skip_rest()?;
        Ok(read)
    }

    fn write(self, out: &mut Out) -> Result<(), Error> {
        out.tlv(part::LLRP_CAPABILITIES, |out| {
            out.u8(self.bits & 0xf8);
            out.u8(self.priorities);
            out.u16(self.op_spec_timeout);
            self.most.iter().for_each(|most| out.u32(*most));
            Ok(())
        })
    }
}

impl ReaderConfig {
    pub(super) fn read(mut from: Part<'_>) -> Result<Self, Error> {
        let mut status = None;
        let mut config = Self {
            status: Status::success(),
            identification: None,
            antennas: Vec::new(),
            keepalive_ms: None,
            hold: None,
        };
        while let Some((kind, mut body)) = from.parameter()? {
            match kind {
                part::LLRP_STATUS => {
                    from.once(&mut status, Status::read(body)?, kind)?;
                    continue;
                }
                part::IDENTIFICATION => {
                    let read = Identification {
                        kind: body.u8()?,
                        id: body.counted_bytes()?,
                    };
                    from.once(&mut config.identification, read, kind)?;
                }
                part::ANTENNA_PROPERTIES => {
                    let (connected, antenna) = (body.bit()?, body.u16()?);
                    let gain = i16::from_be_bytes(body.u16()?.to_be_bytes());
                    config.antennas.push((antenna, connected, gain));
                }
                part::KEEPALIVE_SPEC => {
                    from.once(&mut config.keepalive_ms, read_keepalive(&mut body)?, kind)?;
                }
                part::EVENTS_AND_REPORTS => from.once(&mut config.hold, body.bit()?, kind)?,
                _ => continue,
            }
            body.skip_rest()?;
        }
        config.status = from.wanted(status, part::LLRP_STATUS)?;
        Ok(config)
    }

    pub(super) fn write(&self, out: &mut Out) -> Result<(), Error> {
        self.status.write(out)?;
        if let Some(which) = &self.identification {
            out.tlv(part::IDENTIFICATION, |out| {
                out.u8(which.kind);
                out.counted("ReaderID", &which.id)
            })?;
        }
        for (antenna, connected, gain) in &self.antennas {
            out.tlv(part::ANTENNA_PROPERTIES, |out| {
                out.bit(*connected);
                out.u16(*antenna);
                out.bytes(&gain.to_be_bytes());
                Ok(())
            })?;
        }
        if let Some(every) = self.keepalive_ms {
            write_keepalive(every, out)?;
        }
        self.hold.map_or(Ok(()), |hold| write_hold(hold, out))
    }
}

/// Every how many ms; 0 for never.
pub(super) fn read_keepalive(from: &mut Part<'_>) -> Result<u32, Error> {
    let (trigger, every) = (from.u8()?, from.u32()?);
    Ok(if trigger == 0 { 0 } else { every })
}

pub(super) fn write_keepalive(every_ms: u32, out: &mut Out) -> Result<(), Error> {
    out.tlv(part::KEEPALIVE_SPEC, |out| {
        out.u8(u8::from(every_ms > 0));
        out.u32(every_ms);
        Ok(())
    })
}

pub(super) fn write_hold(hold: bool, out: &mut Out) -> Result<(), Error> {
    out.tlv(part::EVENTS_AND_REPORTS, |out| {
        out.bit(hold);
        Ok(())
    })
}

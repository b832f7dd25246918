//! What a reader is to do, and what it is to tell of it: ROSpec.

use super::error::Error;
use super::names::part;
use super::wire::{Out, Part};

/// An order to a reader: from when to when it looks for tags, at which antennas, and what
/// it reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoSpec {
    /// Its number; 0 stands for all of them.
    pub id: u32,
    /// Its priority, 0 (the highest) to 7.
    pub priority: u8,
    /// 0 it is disabled, 1 it waits to be started, 2 it runs. A new one is disabled.
    pub state: u8,
    /// What starts it: 0 a START_ROSPEC, 1 that it is enabled.
    pub start: u8,
    /// What ends it.
    pub stop: Stop,
    /// How it looks for tags, one after the other.
    pub inventories: Vec<AiSpec>,
    /// What it reports; without one, what the reader's configuration says.
    pub report: Option<ReportSpec>,
}

/// What ends something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stop {
    /// 0 nothing but an order, 1 a time.
    pub kind: u8,
    /// The time, in ms.
    pub after_ms: u32,
}

/// Looking for tags at some antennas.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AiSpec {
    /// Which; 0 stands for all of them.
    pub antennas: Vec<u16>,
    /// What ends it.
    pub stop: Stop,
    /// By which protocols of the air.
    pub inventories: Vec<Inventory>,
}

/// Looking for tags by one protocol of the air.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inventory {
    /// Its number, from 1 on.
    pub id: u16,
    /// The protocol; 1 is EPC UHF Gen2.
    pub protocol: u8,
}

/// When what is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReportSpec {
    /// 0 when asked, 1 and 2 once so many tags were seen, or at the end of the AISpec (1)
    /// or the ROSpec (2).
    pub trigger: u8,
    /// So many tags.
    pub tags: u16,
    /// What of each.
    pub content: ReportContent,
}

/// What of each tag is reported: TagReportContentSelector. The EPC always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "the protocol's ten switches, each by itself"
)]
pub struct ReportContent {
    /// The ROSpec's number.
    pub ro_spec: bool,
    /// The part of it.
    pub spec_index: bool,
    /// The inventory's number.
    pub inventory: bool,
    /// The antenna.
    pub antenna: bool,
    /// The channel.
    pub channel: bool,
    /// The strongest answer.
    pub peak_rssi: bool,
    /// When it was seen first.
    pub first_seen: bool,
    /// When it was seen last.
    pub last_seen: bool,
    /// How often.
    pub seen_count: bool,
    /// The AccessSpec's number.
    pub access_spec: bool,
}

impl RoSpec {
    pub(super) fn read(mut from: Part<'_>) -> Result<Self, Error> {
        let (id, priority, state) = (from.u32()?, from.u8()?, from.u8()?);
        let (mut boundary, mut report) = (None, None);
        let mut inventories = Vec::new();
        while let Some((kind, body)) = from.parameter()? {
            match kind {
                part::RO_BOUNDARY_SPEC => from.once(&mut boundary, read_boundary(body)?, kind)?,
                part::AI_SPEC => inventories.push(AiSpec::read(body)?),
                part::RO_REPORT_SPEC => from.once(&mut report, ReportSpec::read(body)?, kind)?,
                _ => {}
            }
        }
        let (start, stop) = from.wanted(boundary, part::RO_BOUNDARY_SPEC)?;
        Ok(Self {
            id,
            priority,
            state,
            start,
            stop,
            inventories,
            report,
        })
    }

    pub(super) fn write(&self, out: &mut Out) -> Result<(), Error> {
        out.tlv(part::RO_SPEC, |out| {
            out.u32(self.id);
            out.u8(self.priority);
            out.u8(self.state);
            out.tlv(part::RO_BOUNDARY_SPEC, |out| {
                out.tlv(part::RO_SPEC_START_TRIGGER, |out| {
                    out.u8(self.start);
                    Ok(())
                })?;
                self.stop.write(part::RO_SPEC_STOP_TRIGGER, out)
            })?;
            self.inventories.iter().try_for_each(|ai| ai.write(out))?;
            self.report.map_or(Ok(()), |report| report.write(out))
        })
    }
}

fn read_boundary(mut from: Part<'_>) -> Result<(u8, Stop), Error> {
    let (mut start, mut stop) = (None, None);
    while let Some((kind, mut body)) = from.parameter()? {
        match kind {
            part::RO_SPEC_START_TRIGGER => {
                from.once(&mut start, body.u8()?, kind)?;
                body.skip_rest()?;
            }
            part::RO_SPEC_STOP_TRIGGER => from.once(&mut stop, Stop::read(body)?, kind)?,
            _ => {}
        }
    }
    let start = from.wanted(start, part::RO_SPEC_START_TRIGGER)?;
    Ok((start, from.wanted(stop, part::RO_SPEC_STOP_TRIGGER)?))
}

impl Stop {
    /// Nothing but an order.
    pub const NEVER: Self = Self {
        kind: 0,
        after_ms: 0,
    };

    fn read(mut from: Part<'_>) -> Result<Self, Error> {
        let stop = Self {
            kind: from.u8()?,
            after_ms: from.u32()?,
        };
        from.skip_rest()?;
        Ok(stop)
    }

    fn write(self, kind: u16, out: &mut Out) -> Result<(), Error> {
        out.tlv(kind, |out| {
            out.u8(self.kind);
            out.u32(self.after_ms);
            Ok(())
        })
    }
}

impl AiSpec {
    fn read(mut from: Part<'_>) -> Result<Self, Error> {
        let antennas = from.counted_u16s()?;
        let mut stop = None;
        let mut inventories = Vec::new();
        while let Some((kind, mut body)) = from.parameter()? {
            match kind {
                part::AI_SPEC_STOP_TRIGGER => from.once(&mut stop, Stop::read(body)?, kind)?,
                part::INVENTORY_PARAMETER_SPEC => {
                    inventories.push(Inventory {
                        id: body.u16()?,
                        protocol: body.u8()?,
                    });
                    body.skip_rest()?;
                }
                _ => {}
            }
        }
        Ok(Self {
            antennas,
            stop: from.wanted(stop, part::AI_SPEC_STOP_TRIGGER)?,
            inventories,
        })
    }

    fn write(&self, out: &mut Out) -> Result<(), Error> {
        out.tlv(part::AI_SPEC, |out| {
            out.counted_u16s("AntennaIDs", &self.antennas)?;
            self.stop.write(part::AI_SPEC_STOP_TRIGGER, out)?;
            self.inventories.iter().try_for_each(|inventory| {
                out.tlv(part::INVENTORY_PARAMETER_SPEC, |out| {
                    out.u16(inventory.id);
                    out.u8(inventory.protocol);
                    Ok(())
                })
            })
        })
    }
}

impl ReportSpec {
    fn read(mut from: Part<'_>) -> Result<Self, Error> {
        let (trigger, tags) = (from.u8()?, from.u16()?);
        let mut content = None;
        while let Some((kind, mut body)) = from.parameter()? {
            if kind == part::TAG_REPORT_CONTENT_SELECTOR {
                let read = ReportContent::from_bits(body.u16()?);
                body.skip_rest()?;
                from.once(&mut content, read, kind)?;
            }
        }
        Ok(Self {
            trigger,
            tags,
            content: from.wanted(content, part::TAG_REPORT_CONTENT_SELECTOR)?,
        })
    }

    fn write(self, out: &mut Out) -> Result<(), Error> {
        out.tlv(part::RO_REPORT_SPEC, |out| {
            out.u8(self.trigger);
            out.u16(self.tags);
            out.tlv(part::TAG_REPORT_CONTENT_SELECTOR, |out| {
                out.u16(self.content.bits());
                Ok(())
            })
        })
    }
}

impl ReportContent {
    fn from_bits(bits: u16) -> Self {
        let bit = |at: u16| bits & (0x8000 >> at) != 0;
        Self {
            ro_spec: bit(0),
            spec_index: bit(1),
            inventory: bit(2),
            antenna: bit(3),
            channel: bit(4),
            peak_rssi: bit(5),
            first_seen: bit(6),
            last_seen: bit(7),
            seen_count: bit(8),
            access_spec: bit(9),
        }
    }

    fn bits(self) -> u16 {
        let all = [
            self.ro_spec,
            self.spec_index,
            self.inventory,
            self.antenna,
            self.channel,
            self.peak_rssi,
            self.first_seen,
            self.last_seen,
            self.seen_count,
            self.access_spec,
        ];
        let bits = all.iter().fold(0, |bits, on| (bits << 1) | u16::from(*on));
        bits << 6
    }
}

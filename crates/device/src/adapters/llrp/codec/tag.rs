//! Reads of tags: TagReportData.

use std::fmt;

use super::error::Error;
use super::names::part;
use super::wire::{Out, Part};

/// The most bits of an EPC in a tag's memory (EPC UHF Gen2, the EPC bank).
pub const MOST_EPC_BITS: u16 = 496;

/// What a tag says it is. Shown as hexadecimal digits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epc {
    bits: u16,
    bytes: Box<[u8]>,
}

impl Epc {
    /// An EPC of 96 bits, as most are.
    #[must_use]
    pub fn of_96_bits(bytes: [u8; 12]) -> Self {
        Self {
            bits: 96,
            bytes: Box::new(bytes),
        }
    }

    /// The first so many bits of these bytes; `None` if there are fewer, or if they are
    /// more than [`MOST_EPC_BITS`].
    #[must_use]
    pub fn new(bits: u16, bytes: &[u8]) -> Option<Self> {
        let length = usize::from(bits).div_ceil(8);
        let mut bytes: Box<[u8]> = bytes.get(..length)?.into();
        if bits > MOST_EPC_BITS {
            return None;
        }
        if let Some(last) = bytes.last_mut() {
            // What fills the last byte up says nothing.
            *last &= 0xff_u8 << ((8 - bits % 8) % 8);
        }
        Some(Self { bits, bytes })
    }

    /// How many bits it has.
    #[must_use]
    pub const fn bits(&self) -> u16 {
        self.bits
    }

    /// The bytes, the last one filled up with zeros.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Display for Epc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

impl fmt::Debug for Epc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Epc({self}, {} bits)", self.bits)
    }
}

/// That a tag was seen: once, or several times at one antenna.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagReport {
    /// The tag.
    pub epc: Epc,
    /// Of which ROSpec.
    pub ro_spec: Option<u32>,
    /// Of which part of it.
    pub spec_index: Option<u16>,
    /// Of which inventory in it.
    pub inventory: Option<u16>,
    /// At which antenna, counted from 1.
    pub antenna: Option<u16>,
    /// The strongest answer, in dBm.
    pub peak_rssi: Option<i8>,
    /// On which channel, counted from 1.
    pub channel: Option<u16>,
    /// When first, in µs since 1970 by the reader's clock.
    pub first_seen_utc: Option<u64>,
    /// When first, in µs since the reader was started.
    pub first_seen_uptime: Option<u64>,
    /// When last, in µs since 1970 by the reader's clock.
    pub last_seen_utc: Option<u64>,
    /// When last, in µs since the reader was started.
    pub last_seen_uptime: Option<u64>,
    /// How often.
    pub seen_count: Option<u16>,
    /// Which AccessSpec worked on it.
    pub access_spec: Option<u32>,
}

impl TagReport {
    /// That a tag was seen, and nothing more.
    #[must_use]
    pub const fn new(epc: Epc) -> Self {
        Self {
            epc,
            ro_spec: None,
            spec_index: None,
            inventory: None,
            antenna: None,
            peak_rssi: None,
            channel: None,
            first_seen_utc: None,
            first_seen_uptime: None,
            last_seen_utc: None,
            last_seen_uptime: None,
            seen_count: None,
            access_spec: None,
        }
    }

    pub(super) fn read(mut from: Part<'_>) -> Result<Self, Error> {
        let mut epc = None;
        // The tag takes its place at the end.
        let mut tag = Self::new(Epc::of_96_bits([0; 12]));
        while let Some((kind, mut body)) = from.parameter()? {
            match kind {
                part::EPC_96 => {
                    let bytes = body.bytes(12)?;
                    if let Some(read) = Epc::new(96, bytes) {
                        from.once(&mut epc, read, kind)?;
                    }
                }
                part::EPC_DATA => {
                    let bits = body.u16()?;
                    let bytes = body.bytes(usize::from(bits).div_ceil(8))?;
                    body.skip_rest()?;
                    let read = Epc::new(bits, bytes).ok_or(Error::LongEpc { bits })?;
                    from.once(&mut epc, read, kind)?;
                }
                part::RO_SPEC_ID => from.once(&mut tag.ro_spec, body.u32()?, kind)?,
                part::SPEC_INDEX => from.once(&mut tag.spec_index, body.u16()?, kind)?,
                part::INVENTORY_PARAMETER_SPEC_ID => {
                    from.once(&mut tag.inventory, body.u16()?, kind)?;
                }
                part::ANTENNA_ID => from.once(&mut tag.antenna, body.u16()?, kind)?,
                part::PEAK_RSSI => from.once(&mut tag.peak_rssi, body.i8()?, kind)?,
                part::CHANNEL_INDEX => from.once(&mut tag.channel, body.u16()?, kind)?,
                part::FIRST_SEEN_UTC => from.once(&mut tag.first_seen_utc, body.u64()?, kind)?,
                part::FIRST_SEEN_UPTIME => {
                    from.once(&mut tag.first_seen_uptime, body.u64()?, kind)?;
                }
                part::LAST_SEEN_UTC => from.once(&mut tag.last_seen_utc, body.u64()?, kind)?,
                part::LAST_SEEN_UPTIME => {
                    from.once(&mut tag.last_seen_uptime, body.u64()?, kind)?;
                }
                part::TAG_SEEN_COUNT => from.once(&mut tag.seen_count, body.u16()?, kind)?,
                part::ACCESS_SPEC_ID => from.once(&mut tag.access_spec, body.u32()?, kind)?,
                _ => {}
            }
        }
        tag.epc = from.wanted(epc, part::EPC_DATA)?;
        Ok(tag)
    }

    pub(super) fn write(&self, out: &mut Out) -> Result<(), Error> {
        out.tlv(part::TAG_REPORT_DATA, |out| {
            if self.epc.bits == 96 {
                out.tv(part::EPC_96, &self.epc.bytes);
            } else {
                out.tlv(part::EPC_DATA, |out| {
                    out.u16(self.epc.bits);
                    out.bytes(&self.epc.bytes);
                    Ok(())
                })?;
            }
            out.tv_if(part::RO_SPEC_ID, self.ro_spec.map(u32::to_be_bytes));
            out.tv_if(part::SPEC_INDEX, self.spec_index.map(u16::to_be_bytes));
            let inventory = self.inventory.map(u16::to_be_bytes);
            out.tv_if(part::INVENTORY_PARAMETER_SPEC_ID, inventory);
            out.tv_if(part::ANTENNA_ID, self.antenna.map(u16::to_be_bytes));
            out.tv_if(part::PEAK_RSSI, self.peak_rssi.map(i8::to_be_bytes));
            out.tv_if(part::CHANNEL_INDEX, self.channel.map(u16::to_be_bytes));
            let us = |time: Option<u64>| time.map(u64::to_be_bytes);
            out.tv_if(part::FIRST_SEEN_UTC, us(self.first_seen_utc));
            out.tv_if(part::FIRST_SEEN_UPTIME, us(self.first_seen_uptime));
            out.tv_if(part::LAST_SEEN_UTC, us(self.last_seen_utc));
            out.tv_if(part::LAST_SEEN_UPTIME, us(self.last_seen_uptime));
            out.tv_if(part::TAG_SEEN_COUNT, self.seen_count.map(u16::to_be_bytes));
            out.tv_if(part::ACCESS_SPEC_ID, self.access_spec.map(u32::to_be_bytes));
            Ok(())
        })
    }
}

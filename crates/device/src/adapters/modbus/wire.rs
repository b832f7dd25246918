//! Requests and answers as bytes: PDUs (Modbus Application Protocol 1.1b3 §6), and the
//! frames around them over TCP (Modbus Messaging on TCP/IP 1.0b §3.1) and on serial lines
//! (Modbus over Serial Line 1.02 §2.5.1). Without socket and clock.
//!
//! The frames are ours, since an answer must be told from one that came too late, from
//! another unit's, and from noise; what is in a PDU is decoded by `tokio-modbus`.

use serde::Deserialize;
use tokio_modbus::bytes::Bytes;
use tokio_modbus::{ExceptionCode, ExceptionResponse, Response};

/// Registers that may be read in one request.
pub(super) const MOST_REGISTERS: u16 = 125;
/// Coils and discrete inputs that may be read in one request.
pub(super) const MOST_BITS: u16 = 2000;
/// Registers that may be written in one request.
pub(super) const MOST_WRITTEN: u16 = 123;
/// The longest PDU.
const MOST_PDU: usize = 253;
/// Bytes that are kept of what a device says until a frame is whole.
const MOST_KEPT: usize = 4096;

/// The four tables of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Table {
    /// Single bits that can be set.
    Coil,
    /// Single bits that can be read.
    Discrete,
    /// Registers of 16 bits that can be read.
    Input,
    /// Registers of 16 bits that can be set.
    Holding,
}

impl Table {
    /// Whether it has single bits.
    #[must_use]
    pub const fn is_bits(self) -> bool {
        matches!(self, Self::Coil | Self::Discrete)
    }
}

/// A request to a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    /// Functions 1 to 4.
    Read {
        table: Table,
        address: u16,
        count: u16,
    },
    /// Function 5.
    WriteCoil { address: u16, on: bool },
    /// Function 6.
    WriteRegister { address: u16, word: u16 },
    /// Function 15.
    WriteCoils { address: u16, bits: Vec<bool> },
    /// Function 16.
    WriteRegisters { address: u16, words: Vec<u16> },
}

/// What a unit answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Coils or discrete inputs, as many as were asked for.
    Bits(Vec<bool>),
    /// Registers, as many as were asked for.
    Words(Vec<u16>),
    /// It is written.
    Written,
    /// It refuses.
    Exception(ExceptionCode),
}

/// What is no answer to the request, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct Garbled(pub(super) String);

impl Request {
    const fn function(&self) -> u8 {
        match self {
            Self::Read { table, .. } => match table {
                Table::Coil => 1,
                Table::Discrete => 2,
                Table::Holding => 3,
                Table::Input => 4,
            },
            Self::WriteCoil { .. } => 5,
            Self::WriteRegister { .. } => 6,
            Self::WriteCoils { .. } => 15,
            Self::WriteRegisters { .. } => 16,
        }
    }

    /// Whether it changes something.
    pub(super) const fn is_write(&self) -> bool {
        !matches!(self, Self::Read { .. })
    }

    fn pdu(&self) -> Vec<u8> {
        let mut pdu = vec![self.function()];
        let mut word = |word: u16| pdu.extend(word.to_be_bytes());
        match self {
            Self::Read { address, count, .. } => {
                word(*address);
                word(*count);
            }
            Self::WriteCoil { address, on } => {
                word(*address);
                word(if *on { 0xFF00 } else { 0 });
            }
            Self::WriteRegister { address, word: w } => {
                word(*address);
                word(*w);
            }
            Self::WriteCoils { address, bits } => {
                word(*address);
                word(count(bits.len()));
                let packed = bits.chunks(8).map(|eight| {
                    let bit = |(place, on): (usize, &bool)| u8::from(*on) << place;
                    eight.iter().enumerate().map(bit).sum::<u8>()
                });
                let packed: Vec<u8> = packed.collect();
                pdu.push(u8::try_from(packed.len()).unwrap_or(u8::MAX));
                pdu.extend(packed);
            }
            Self::WriteRegisters { address, words } => {
                word(*address);
                word(count(words.len()));
                pdu.push(u8::try_from(words.len() * 2).unwrap_or(u8::MAX));
                pdu.extend(words.iter().flat_map(|word| word.to_be_bytes()));
            }
        }
        pdu
    }

    /// How long the PDU of the answer is, if it is no exception.
    fn answered_by(&self) -> usize {
        match self {
            Self::Read { table, count, .. } if table.is_bits() => {
                2 + usize::from(*count).div_ceil(8)
            }
            Self::Read { count, .. } => 2 + 2 * usize::from(*count),
            _ => 5,
        }
    }

    /// What a PDU says to it.
    fn answer(&self, pdu: &[u8]) -> Result<Answer, Garbled> {
        let garbled = |e: std::io::Error| Garbled(format!("its answer cannot be read: {e}"));
        let bytes = Bytes::copy_from_slice(pdu);
        if pdu.first().is_some_and(|function| *function >= 0x80) {
            let refused = ExceptionResponse::try_from(bytes).map_err(garbled)?;
            return Ok(Answer::Exception(refused.exception));
        }
        let response = Response::try_from(bytes).map_err(garbled)?;
        let other = || Garbled("its answer is to another request".to_owned());
        match (self, response) {
            (Self::Read { table, count, .. }, Response::ReadCoils(mut bits))
            | (Self::Read { table, count, .. }, Response::ReadDiscreteInputs(mut bits))
                if table.is_bits() && bits.len() >= usize::from(*count) =>
            {
                bits.truncate(usize::from(*count));
                Ok(Answer::Bits(bits))
            }
            (Self::Read { table, count, .. }, Response::ReadHoldingRegisters(words))
            | (Self::Read { table, count, .. }, Response::ReadInputRegisters(words))
                if !table.is_bits() && words.len() == usize::from(*count) =>
            {
                Ok(Answer::Words(words))
            }
            (Self::WriteCoil { address, on }, Response::WriteSingleCoil(at, is))
                if *address == at && *on == is =>
            {
                Ok(Answer::Written)
            }
            (Self::WriteRegister { address, word }, Response::WriteSingleRegister(at, is))
                if *address == at && *word == is =>
            {
                Ok(Answer::Written)
            }
            (Self::WriteCoils { address, bits }, Response::WriteMultipleCoils(at, many))
                if *address == at && count(bits.len()) == many =>
            {
                Ok(Answer::Written)
            }
            (
                Self::WriteRegisters { address, words },
                Response::WriteMultipleRegisters(at, many),
            ) if *address == at && count(words.len()) == many => Ok(Answer::Written),
            _ => Err(other()),
        }
    }
}

/// Lengths are checked before requests are made.
fn count(length: usize) -> u16 {
    u16::try_from(length).unwrap_or(u16::MAX)
}

/// How PDUs are framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Framing {
    /// With a header that names the transaction.
    Tcp,
    /// With a checksum; by length and silence.
    Rtu,
}

/// Frames requests, and finds their answers in what comes.
#[derive(Debug)]
pub(super) struct Wire {
    framing: Framing,
    unit: u8,
    transaction: u16,
    kept: Vec<u8>,
}

impl Wire {
    pub(super) const fn new(framing: Framing, unit: u8) -> Self {
        Self {
            framing,
            unit,
            transaction: 0,
            kept: Vec::new(),
        }
    }

    /// The bytes of a request. What came before is no answer to it.
    pub(super) fn ask(&mut self, request: &Request) -> Vec<u8> {
        let pdu = request.pdu();
        match self.framing {
            Framing::Tcp => {
                // The rest of a frame that has begun is still to come.
                self.transaction = self.transaction.wrapping_add(1);
                let mut frame = Vec::with_capacity(7 + pdu.len());
                frame.extend(self.transaction.to_be_bytes());
                frame.extend([0, 0]);
                frame.extend(count(pdu.len() + 1).to_be_bytes());
                frame.push(self.unit);
                frame.extend(pdu);
                frame
            }
            Framing::Rtu => {
                self.kept.clear();
                let mut frame = vec![self.unit];
                frame.extend(pdu);
                frame.extend(crc(&frame).to_le_bytes());
                frame
            }
        }
    }

    /// Takes what came, and says whether the answer is complete by now. Answers to earlier
    /// requests, of other units, and noise are left out.
    ///
    /// # Errors
    /// [`Garbled`] over TCP: where the next frame begins cannot be known any more; on a
    /// serial line: the unit answers something else.
    pub(super) fn take(
        &mut self,
        request: &Request,
        bytes: &[u8],
    ) -> Result<Option<Answer>, Garbled> {
        self.kept.extend(bytes);
        let answer = match self.framing {
            Framing::Tcp => self.take_tcp(request),
            Framing::Rtu => self.take_rtu(request),
        };
        // Only noise is as long as that.
        let beyond = self.kept.len().saturating_sub(MOST_KEPT);
        self.kept.drain(..beyond);
        answer
    }

    fn take_tcp(&mut self, request: &Request) -> Result<Option<Answer>, Garbled> {
        while let &[t1, t2, p1, p2, l1, l2, unit, ..] = &*self.kept {
            let length = usize::from(u16::from_be_bytes([l1, l2]));
            if (p1, p2) != (0, 0) || !(2..=MOST_PDU + 1).contains(&length) {
                let what = "it sends what is no Modbus frame; is the port right?";
                return Err(Garbled(what.to_owned()));
            }
            let end = 6 + length;
            if self.kept.len() < end {
                break;
            }
            let pdu: Vec<u8> = self.kept.drain(..end).skip(7).collect();
            let ours = u16::from_be_bytes([t1, t2]) == self.transaction && unit == self.unit;
            let function = pdu[0] & 0x7F;
            if !ours || function != request.function() {
                tracing::debug!(unit, function, "an answer that nobody waits for");
                continue;
            }
            return request.answer(&pdu).map(Some);
        }
        Ok(None)
    }

    fn take_rtu(&mut self, request: &Request) -> Result<Option<Answer>, Garbled> {
        let wanted = request.function();
        let mut at = 0;
        let mut found = None;
        while let Some(&unit) = self.kept.get(at) {
            let rest = &self.kept[at..];
            let pdu = match rest.get(1) {
                None if unit == self.unit => break,
                Some(function) if unit == self.unit && *function == wanted => request.answered_by(),
                Some(function) if unit == self.unit && *function == wanted | 0x80 => 2,
                // Noise, or the answer of another unit, or what we said ourselves.
                _ => {
                    at += 1;
                    continue;
                }
            };
            let Some(frame) = rest.get(..pdu + 3) else {
                break;
            };
            let (said, sum) = frame.split_at(pdu + 1);
            if sum != crc(said).to_le_bytes() {
                at += 1;
                continue;
            }
            found = Some((at + pdu + 3, said[1..].to_vec()));
            break;
        }
        match found {
            Some((end, pdu)) => {
                self.kept.drain(..end);
                request.answer(&pdu).map(Some)
            }
            None => {
                self.kept.drain(..at);
                Ok(None)
            }
        }
    }
}

/// CRC-16 with the polynomial 0xA001, from 0xFFFF on (Modbus over Serial Line §6.2.2).
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc, _| {
            let odd = crc & 1 == 1;
            if odd { (crc >> 1) ^ 0xA001 } else { crc >> 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn two_registers() -> Request {
        Request::Read {
            table: Table::Holding,
            address: 0x2B,
            count: 2,
        }
    }

    /// A frame of a unit, as it says that PDU.
    fn rtu(unit: u8, pdu: &[u8]) -> Vec<u8> {
        let mut frame = vec![unit];
        frame.extend(pdu);
        frame.extend(crc(&frame).to_le_bytes());
        frame
    }

    fn tcp(transaction: u16, unit: u8, pdu: &[u8]) -> Vec<u8> {
        let mut frame = transaction.to_be_bytes().to_vec();
        frame.extend([0, 0, 0, u8::try_from(pdu.len() + 1).unwrap(), unit]);
        frame.extend(pdu);
        frame
    }

    const ANSWER: [u8; 6] = [3, 4, 0x12, 0x34, 0x56, 0x78];

    #[test]
    fn the_checksum_is_that_of_the_specification() {
        assert_eq!(crc(b"123456789"), 0x4B37);
        let mut wire = Wire::new(Framing::Rtu, 1);
        let asked = wire.ask(&two_registers());
        assert_eq!(asked[..6], [1, 3, 0, 0x2B, 0, 2]);
        assert_eq!(crc(&asked), 0, "a frame with its checksum has none");
    }

    #[test]
    fn coils_are_packed_from_the_lowest_bit_on() {
        let bits = [
            true, false, true, true, false, false, true, true, true, false,
        ];
        let request = Request::WriteCoils {
            address: 0x13,
            bits: bits.to_vec(),
        };
        // The example of §6.11.
        assert_eq!(request.pdu(), [0x0F, 0, 0x13, 0, 0x0A, 2, 0xCD, 1]);
    }

    #[test]
    fn answers_that_come_late_or_from_others_are_left_out_over_tcp() {
        let mut wire = Wire::new(Framing::Tcp, 7);
        let request = two_registers();
        wire.ask(&request);
        wire.ask(&request);
        let late = tcp(1, 7, &[3, 4, 0, 0, 0, 0]);
        let foreign = tcp(2, 8, &[3, 4, 0, 0, 0, 0]);
        assert_eq!(wire.take(&request, &late), Ok(None));
        assert_eq!(wire.take(&request, &foreign), Ok(None));
        let words = Answer::Words(vec![0x1234, 0x5678]);
        assert_eq!(wire.take(&request, &tcp(2, 7, &ANSWER)), Ok(Some(words)));
    }

    #[test]
    fn what_is_no_frame_is_an_error_over_tcp() {
        let mut wire = Wire::new(Framing::Tcp, 7);
        let request = two_registers();
        wire.ask(&request);
        assert!(wire.take(&request, b"HTTP/1.1 400 Bad Request").is_err());
    }

    #[test]
    fn an_exception_is_an_answer() {
        let request = two_registers();
        let mut wire = Wire::new(Framing::Rtu, 1);
        wire.ask(&request);
        let refused = Answer::Exception(ExceptionCode::IllegalDataAddress);
        assert_eq!(
            wire.take(&request, &rtu(1, &[0x83, 2])),
            Ok(Some(refused.clone()))
        );
        let mut wire = Wire::new(Framing::Tcp, 1);
        wire.ask(&request);
        assert_eq!(
            wire.take(&request, &tcp(1, 1, &[0x83, 2])),
            Ok(Some(refused))
        );
    }

    #[test]
    fn an_echo_that_is_not_what_was_written_is_no_answer() {
        let request = Request::WriteRegister {
            address: 4,
            word: 500,
        };
        let mut wire = Wire::new(Framing::Rtu, 1);
        wire.ask(&request);
        assert!(wire.take(&request, &rtu(1, &[6, 0, 4, 1, 0])).is_err());
    }

    proptest! {
        #[test]
        fn an_answer_is_found_behind_noise_and_other_units_however_it_is_cut(
            noise in prop::collection::vec(any::<u8>(), 0..300),
            other in 2u8..=247,
            pieces in prop::collection::vec(1usize..9, 1..8),
        ) {
            let request = two_registers();
            let mut wire = Wire::new(Framing::Rtu, 1);
            wire.ask(&request);
            let mut said: Vec<u8> = noise.into_iter().map(|b| b | 2).collect();
            said.extend(rtu(other, &[3, 4, 0, 0, 0, 0]));
            said.extend(rtu(1, &ANSWER));
            let mut sizes = pieces.iter().copied().cycle();
            let mut answer = None;
            let mut rest = &*said;
            while !rest.is_empty() && answer.is_none() {
                let (piece, left) = rest.split_at(sizes.next().unwrap().min(rest.len()));
                answer = wire.take(&request, piece).unwrap();
                rest = left;
            }
            prop_assert_eq!(answer, Some(Answer::Words(vec![0x1234, 0x5678])));
        }

        #[test]
        fn nothing_that_comes_panics_or_is_kept_without_bound(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..600), 0..20),
            rtu in any::<bool>(),
        ) {
            let framing = if rtu { Framing::Rtu } else { Framing::Tcp };
            let mut wire = Wire::new(framing, 1);
            let request = Request::Read { table: Table::Coil, address: 0, count: 2000 };
            wire.ask(&request);
            for chunk in chunks {
                let _ = wire.take(&request, &chunk);
                prop_assert!(wire.kept.len() <= MOST_KEPT);
            }
        }
    }
}

//! Bytes into frames: each message says how long it is.

use super::error::Error;
use super::names;

/// The bytes of a message's head: version and type, length, id.
pub(super) const HEAD: usize = 10;

/// The most bytes of a message by default, 1 MiB: some ten thousand reads.
pub const LARGEST: usize = 1 << 20;

/// A message whose content nobody has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The version of the protocol: 1 is LLRP 1.0.1, 2 is 1.1.
    pub version: u8,
    /// The message's type.
    pub kind: u16,
    /// Which request it is, or which it answers.
    pub id: u32,
    /// What follows the head.
    pub body: Vec<u8>,
}

/// Cuts a stream into messages. It holds one that is not whole yet, and what was pushed
/// last, at most.
#[derive(Debug)]
pub struct Cutter {
    bytes: Vec<u8>,
    /// What of them was taken.
    taken: usize,
    largest: usize,
}

impl Cutter {
    /// Takes messages of at most so many bytes, their heads counted.
    #[must_use]
    pub const fn new(largest: usize) -> Self {
        Self {
            bytes: Vec::new(),
            taken: 0,
            largest,
        }
    }

    /// Bytes as they came. Take all frames before more of them.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.taken);
        self.taken = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// The next message, if all of it is there.
    ///
    /// # Errors
    /// [`Error::ShortMessage`] and [`Error::LongMessage`], as soon as the length is there:
    /// where the next message begins is then unknown, and so the stream is at its end.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Error> {
        let bytes = self.bytes.get(self.taken..).unwrap_or_default();
        let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
            return Ok(None);
        };
        let [first, second, l0, l1, l2, l3, i0, i1, i2, i3] = *head;
        let kind = u16::from_be_bytes([first & 0b11, second]);
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        let message = names::message(kind);
        let size = usize::try_from(length).unwrap_or(usize::MAX);
        if size > self.largest {
            return Err(Error::LongMessage {
                message,
                length: u64::from(length),
                most: self.largest as u64,
            });
        }
        let Some(size) = size.checked_sub(HEAD) else {
            return Err(Error::ShortMessage { message, length });
        };
        let Some(body) = rest.get(..size) else {
            return Ok(None);
        };
        let frame = Frame {
            version: (first >> 2) & 0b111,
            kind,
            id: u32::from_be_bytes([i0, i1, i2, i3]),
            body: body.to_vec(),
        };
        self.taken += HEAD + size;
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_cannot_be_is_refused_before_its_bytes_are_there() {
        let mut cutter = Cutter::new(64);
        cutter.push(&[4, 61, 0, 0, 0, 65, 0, 0, 0, 1]);
        assert_eq!(
            cutter.next_frame().unwrap_err().to_string(),
            "RO_ACCESS_REPORT says that it has 65 bytes: at most 64 are taken"
        );
        let mut cutter = Cutter::new(64);
        cutter.push(&[4, 62, 0, 0, 0, 9, 0, 0, 0, 1]);
        assert_eq!(
            cutter.next_frame().unwrap_err().to_string(),
            "KEEPALIVE says that it has 9 bytes: its head alone has 10"
        );
    }
}

//! Tokens of fixed size, and the pairs that they are in: stores and places, epochs, boots
//! and ids. Who draws them, and what follows when two differ, is the delivery engine's.

use std::fmt;

use sha2::{Digest as _, Sha256};

use super::value::{Value, read_base64url, spelled, write_base64url};
use super::{Device, InvalidDelivery};

const ELEVEN: &str = "base64url of 8 bytes, 11 letters without padding";
const EIGHT: &str = "base64url of 6 bytes, 8 letters";
const SIX: &str = "base64url of 4 bytes, 6 letters without padding";

/// Which store a device keeps its deliveries in: drawn at random when the store was made,
/// so that one made anew is not taken for the one before it.
///
/// Written as base64url of its eight bytes, the first one highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreTag(pub u64);

/// What names a message's id in six bytes, see [`IdPrefix::of`].
///
/// Written as base64url of its bytes. Two more, as there once were, are read and left out:
/// servers keep old messages, and so do stores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IdPrefix(pub [u8; 6]);

impl IdPrefix {
    /// The first six bytes of the SHA-256 of a stanza id.
    ///
    /// Not of the id itself: those of a UUIDv7 are its 48 bits of time (RFC 9562 §5.7), so
    /// that a device that was restored from a backup could give two messages the same ones.
    /// And ids need not be UUIDs.
    ///
    /// ```
    /// use stanchion_stanza::payload::delivery::IdPrefix;
    /// // The SHA-256 of `abc` begins ba7816bf8f01 (FIPS 180-2 appendix B.1).
    /// assert_eq!(IdPrefix::of("abc"), IdPrefix::from_bits(0xba78_16bf_8f01));
    /// ```
    #[must_use]
    pub fn of(stanza_id: &str) -> Self {
        let digest = Sha256::digest(stanza_id.as_bytes());
        let mut first = [0; 6];
        for (to, byte) in first.iter_mut().zip(digest) {
            *to = byte;
        }
        Self(first)
    }

    /// The lowest 48 of these bits, the highest of them first.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        let [_, _, a, b, c, d, e, f] = bits.to_be_bytes();
        Self([a, b, c, d, e, f])
    }

    /// Its 48 bits as a number, the first byte highest.
    #[must_use]
    pub const fn bits(self) -> u64 {
        let [a, b, c, d, e, f] = self.0;
        u64::from_be_bytes([0, 0, a, b, c, d, e, f])
    }
}

/// One start of a sender's process: drawn at random then, and echoed in answers, so that
/// an answer to what an earlier process sent can be told.
///
/// Written as base64url of its four bytes, the first one highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Boot(pub u32);

/// A device and its store; written `device.store`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The device.
    pub device: Device,
    /// Its store.
    pub store: StoreTag,
}

/// A stretch of a channel whose sequence numbers belong together; written
/// `index.random`. A later one has the greater index; the random part tells two that were
/// opened independently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Epoch {
    /// How many there were before it, on this channel; written in decimal.
    pub index: u32,
    /// Drawn at random when it was opened; written as base64url of its four bytes.
    pub random: u32,
}

spelled!(StoreTag, IdPrefix, Boot, Place, Epoch);

impl Value for StoreTag {
    fn read(written: &str) -> Result<Self, InvalidDelivery> {
        let misspelt = InvalidDelivery::Spelling {
            what: "store",
            form: ELEVEN,
        };
        read_base64url(written, 11).map(Self).ok_or(misspelt)
    }

    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write_base64url::<11>(self.0, out)
    }
}

impl Value for IdPrefix {
    fn read(written: &str) -> Result<Self, InvalidDelivery> {
        let misspelt = InvalidDelivery::Spelling {
            what: "id prefix",
            form: EIGHT,
        };
        let bits = match written.len() {
            11 => read_base64url(written, 11).map(|bits| bits >> 16),
            _ => read_base64url(written, 8),
        };
        bits.map(Self::from_bits).ok_or(misspelt)
    }

    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write_base64url::<8>(self.bits() << 16, out)
    }
}

/// The number in a token of four bytes.
fn read_short(written: &str) -> Option<u32> {
    read_base64url(written, 6).and_then(|bits| u32::try_from(bits).ok())
}

fn write_short(token: u32, out: &mut impl fmt::Write) -> fmt::Result {
    write_base64url::<6>(u64::from(token) << 32, out)
}

impl Value for Boot {
    fn read(written: &str) -> Result<Self, InvalidDelivery> {
        let misspelt = InvalidDelivery::Spelling {
            what: "boot",
            form: SIX,
        };
        read_short(written).map(Self).ok_or(misspelt)
    }

    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        write_short(self.0, out)
    }
}

impl Value for Place {
    fn read(written: &str) -> Result<Self, InvalidDelivery> {
        // Neither part has a full stop.
        let (device, store) = written.split_once('.').ok_or(InvalidDelivery::Spelling {
            what: "place",
            form: "device.store",
        })?;
        Ok(Self {
            store: Value::read(store)?,
            device: Value::read(device)?,
        })
    }

    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        self.device.write(out)?;
        out.write_str(".")?;
        self.store.write(out)
    }
}

impl Value for Epoch {
    fn read(written: &str) -> Result<Self, InvalidDelivery> {
        let parts = written.split_once('.');
        let epoch = parts.and_then(|(index, random)| {
            Some(Self {
                index: Value::read(index).ok()?,
                random: read_short(random)?,
            })
        });
        epoch.ok_or(InvalidDelivery::Spelling {
            what: "epoch",
            form: "index.random, a number and base64url of 4 bytes",
        })
    }

    fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
        self.index.write(out)?;
        out.write_str(".")?;
        write_short(self.random, out)
    }
}

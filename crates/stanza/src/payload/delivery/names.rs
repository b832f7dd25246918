//! Names of devices and channels, and what can be wrong with what names something.

use std::fmt;
use std::sync::Arc;

use super::value::{Value, spelled};

/// Bytes that the name of a device or channel may have, at most; at least it has one.
pub const MAX_NAME_BYTES: usize = 64;

/// Why a string does not name a device, channel, store, epoch or the like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidDelivery {
    /// A name without characters.
    #[error("the name of a {what} is empty; give it 1 to {MAX_NAME_BYTES} of A-Z a-z 0-9 - _")]
    Empty {
        /// What it was to name.
        what: &'static str,
    },
    /// A name that is too long.
    #[error("the name of a {what} has {bytes} bytes; shorten it to {MAX_NAME_BYTES}")]
    TooLong {
        /// What it was to name.
        what: &'static str,
        /// Its length.
        bytes: usize,
    },
    /// A character that names do not have.
    #[error("the name of a {what} has {character:?} at byte {offset}; use A-Z a-z 0-9 - _ alone")]
    Character {
        /// What it was to name.
        what: &'static str,
        /// The character.
        character: char,
        /// Where it stands, in bytes.
        offset: usize,
    },
    /// Not written as such a thing is written.
    #[error("this is no {what}: write it as {form}")]
    Spelling {
        /// What it was to be.
        what: &'static str,
        /// How that is written.
        form: &'static str,
    },
}

/// Checks a name. The length comes first, so that no more than it allows is looked at.
fn checked(name: &str, what: &'static str) -> Result<Arc<str>, InvalidDelivery> {
    if name.is_empty() {
        return Err(InvalidDelivery::Empty { what });
    }
    if name.len() > MAX_NAME_BYTES {
        let bytes = name.len();
        return Err(InvalidDelivery::TooLong { what, bytes });
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match name.char_indices().find(|(_, c)| !allowed(*c)) {
        None => Ok(name.into()),
        Some((offset, character)) => Err(InvalidDelivery::Character {
            what,
            character,
            offset,
        }),
    }
}

/// Makes a name: 1 to 64 bytes of ASCII letters, digits, `-` and `_`.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        ///
        /// 1 to [`MAX_NAME_BYTES`] ASCII letters, digits, `-` and `_`; case counts. A copy of
        /// its own, not a part of the stanza that it was read from; clones share it.
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks the name.
            ///
            /// # Errors
            /// [`InvalidDelivery`] if it is empty, too long, or has another character.
            pub fn new(name: &str) -> Result<Self, InvalidDelivery> {
                checked(name, $what).map(Self)
            }

            /// The name.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl Value for $name {
            fn read(written: &str) -> Result<Self, InvalidDelivery> {
                Self::new(written)
            }

            fn write(&self, out: &mut impl fmt::Write) -> fmt::Result {
                out.write_str(&self.0)
            }
        }

        spelled!($name);
    };
}

name! {
    /// The name of a device. It stays the same whatever address, server or resource the
    /// device speaks from.
    Device, "device"
}
name! {
    /// The name of a channel between two devices: messages are in order within it, and in
    /// none across channels.
    Channel, "channel"
}

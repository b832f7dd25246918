//! The addresses of a device, which it may announce in what it sends.

use super::shape::{Part, Reader, Sink, element};
use crate::jid::BareJid;
use crate::payload::PayloadError;

/// Bytes of a bare address, at most: two parts of 1023 and what is between them (RFC 7622
/// §3.1).
const MAX_JID_BYTES: usize = 2047;

/// The addresses that a device speaks from: `<jids v='2'><jid>a@b</jid>…</jids>`.
///
/// Believe it only from an address that is known to be one of the device's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Jids {
    /// Counts the changes, from 1; the higher version holds.
    pub version: u32,
    /// The addresses, 1 to [`Jids::MAX`]. The first is the primary one.
    pub jids: Vec<BareJid>,
}

impl Jids {
    /// How many addresses a device may have.
    pub const MAX: usize = 8;
}

element! {
    Jids, "jids"
}

impl Part for Jids {
    fn read(element: Reader<'_>) -> Result<Self, PayloadError> {
        let version = element.attr("v")?;
        // 0 is what knows of none.
        if version == 0 {
            return Err(element.invalid("v"));
        }
        let jid = |child: Reader<'_>| {
            let text = child.text(MAX_JID_BYTES).ok_or(element.invalid("jid"))?;
            // Not a part of the stanza: addresses are kept for long.
            BareJid::new(&text).map_err(|source| PayloadError::Jid {
                element: "jid",
                source,
            })
        };
        Ok(Self {
            version,
            jids: element.some("jid", Self::MAX, jid)?,
        })
    }

    fn write(&self, to: &mut impl Sink) {
        to.attr("v", &self.version);
        for jid in &self.jids {
            to.jid(jid);
        }
    }
}

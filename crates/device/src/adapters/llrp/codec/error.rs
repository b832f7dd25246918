//! Which rule bytes break, and in which part of a message.

/// Bytes that are no LLRP, or a message that cannot be written as such.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A message is shorter than its own head.
    #[error("{message} says that it has {length} bytes: its head alone has 10")]
    ShortMessage {
        /// Which.
        message: &'static str,
        /// Its bytes, as it says.
        length: u32,
    },
    /// A message is longer than is taken, or than one can be.
    #[error("{message} says that it has {length} bytes: at most {most} are taken")]
    LongMessage {
        /// Which.
        message: &'static str,
        /// Its bytes.
        length: u64,
        /// The most.
        most: u64,
    },
    /// A version of the protocol that is not spoken here.
    #[error("{message} is of protocol version {version}: 1 (LLRP 1.0.1) and 2 (1.1) are spoken")]
    Version {
        /// Which.
        message: &'static str,
        /// Its version.
        version: u8,
    },
    /// A part ends within one of its fields.
    #[error("{part} ends within its fields: {wanted} bytes are wanted, {left} are left")]
    Ends {
        /// Which.
        part: &'static str,
        /// What the field has.
        wanted: usize,
        /// What there is.
        left: usize,
    },
    /// A parameter is shorter than its own head, or longer than what holds it.
    #[error("{part} in {within} says that it has {length} bytes: from 4 to {left} can be")]
    ParameterLength {
        /// Which.
        part: &'static str,
        /// In what.
        within: &'static str,
        /// Its bytes, as it says.
        length: usize,
        /// What there is.
        left: usize,
    },
    /// A parameter of a kind that has no length of its own, and whose length nobody knows.
    #[error("{within} holds a TV parameter of the unknown type {kind}: its length is unknown")]
    UnknownTv {
        /// In what.
        within: &'static str,
        /// Its type.
        kind: u8,
    },
    /// A parameter is not there where there must be one.
    #[error("{within} has no {part}: there must be one")]
    Missing {
        /// Which.
        part: &'static str,
        /// In what.
        within: &'static str,
    },
    /// A parameter is there twice where there may be one.
    #[error("{within} has {part} twice: there may be one")]
    Twice {
        /// Which.
        part: &'static str,
        /// In what.
        within: &'static str,
    },
    /// An EPC is longer than a tag's memory for it.
    #[error("EPCData has {bits} bits: a tag holds at most 496")]
    LongEpc {
        /// Its bits.
        bits: u16,
    },
    /// A part is longer than its length can say.
    #[error("{part} is too long to be written: {length} bytes of at most 65535")]
    TooLong {
        /// Which.
        part: &'static str,
        /// Its bytes.
        length: usize,
    },
}

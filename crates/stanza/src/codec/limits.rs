//! What a peer may ask of the decoder before it is refused.

/// Bounds on one top-level element. Exceeding any of them is a stream error
/// (`policy-violation`, RFC 6120 §4.9.3.14).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Bytes of one stanza as it stands on the wire. Default 262,144; RFC 6120
    /// §13.12 asks that no limit be below 10,000. Decoded, a stanza takes a few times
    /// its bytes in memory as a rule, and up to 100 times (many empty elements).
    pub stanza_bytes: usize,
    /// Depth of nesting, the stanza itself being 1. Default 64; more than
    /// [`Limits::MAX_DEPTH`] counts as that.
    pub depth: usize,
    /// Attributes of one element, declarations of namespaces included; also the
    /// number of namespace prefixes in scope at any place. Default 128.
    pub attributes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stanza_bytes: 256 * 1024,
            depth: 64,
            attributes: 128,
        }
    }
}

impl Limits {
    /// The greatest depth that any decoder or encoder goes to: comparing and cloning an
    /// [`Element`](crate::Element) recurse, and must not exhaust a small stack.
    pub const MAX_DEPTH: usize = 256;

    /// The depth in force.
    pub(super) const fn levels(&self) -> usize {
        if self.depth < Self::MAX_DEPTH {
            self.depth
        } else {
            Self::MAX_DEPTH
        }
    }

    /// The same, with another stanza size in bytes.
    #[must_use]
    pub const fn with_stanza_bytes(mut self, bytes: usize) -> Self {
        self.stanza_bytes = bytes;
        self
    }

    /// The same, with another depth.
    #[must_use]
    pub const fn with_depth(mut self, depth: usize) -> Self {
        self.depth = depth;
        self
    }

    /// The same, with another count of attributes.
    #[must_use]
    pub const fn with_attributes(mut self, attributes: usize) -> Self {
        self.attributes = attributes;
        self
    }
}

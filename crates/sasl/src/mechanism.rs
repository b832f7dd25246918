//! The mechanisms by name, ordered by strength.
//!
//! Owns the names and the order. Choosing among offered ones is
//! [`crate::policy`]'s; what a mechanism says is in its own file.

use std::fmt;

/// The hash function under SCRAM. Ordered by strength, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ScramHash {
    /// SCRAM-SHA-1 (RFC 5802).
    Sha1,
    /// SCRAM-SHA-256 (RFC 7677).
    Sha256,
    /// SCRAM-SHA-512 (registered, in use with ejabberd and others).
    Sha512,
}

impl ScramHash {
    /// All hashes, strongest first.
    pub const STRONGEST_FIRST: [Self; 3] = [Self::Sha512, Self::Sha256, Self::Sha1];

    /// Bytes of one digest, and so of every key and proof.
    #[must_use]
    pub const fn output_len(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }
}

/// A mechanism that this crate implements. Ordered by strength, weakest first.
///
/// Binding counts for more than the hash: `SCRAM-SHA-1-PLUS` is above
/// `SCRAM-SHA-512`, because HMAC-SHA-1 in SCRAM is not broken, and a relay in
/// the middle of an unbound login needs to break nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Mechanism {
    /// No identity (RFC 4505).
    Anonymous,
    /// The password itself (RFC 4616).
    Plain,
    /// Challenge and response, not bound to the connection.
    Scram(ScramHash),
    /// Challenge and response, bound to the TLS connection.
    ScramPlus(ScramHash),
    /// The client certificate of the TLS connection (RFC 4422 appendix A).
    External,
}

impl Mechanism {
    /// All mechanisms, strongest first.
    pub const STRONGEST_FIRST: [Self; 9] = [
        Self::External,
        Self::ScramPlus(ScramHash::Sha512),
        Self::ScramPlus(ScramHash::Sha256),
        Self::ScramPlus(ScramHash::Sha1),
        Self::Scram(ScramHash::Sha512),
        Self::Scram(ScramHash::Sha256),
        Self::Scram(ScramHash::Sha1),
        Self::Plain,
        Self::Anonymous,
    ];

    /// The registered name, as in `<mechanism/>`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Anonymous => "ANONYMOUS",
            Self::Plain => "PLAIN",
            Self::Scram(ScramHash::Sha1) => "SCRAM-SHA-1",
            Self::Scram(ScramHash::Sha256) => "SCRAM-SHA-256",
            Self::Scram(ScramHash::Sha512) => "SCRAM-SHA-512",
            Self::ScramPlus(ScramHash::Sha1) => "SCRAM-SHA-1-PLUS",
            Self::ScramPlus(ScramHash::Sha256) => "SCRAM-SHA-256-PLUS",
            Self::ScramPlus(ScramHash::Sha512) => "SCRAM-SHA-512-PLUS",
            Self::External => "EXTERNAL",
        }
    }

    /// Reads a registered name, exactly as spelled; `None` for any other.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::STRONGEST_FIRST
            .into_iter()
            .find(|m| m.as_str() == name)
    }

    /// The hash, if this is a SCRAM mechanism.
    #[must_use]
    pub const fn scram_hash(self) -> Option<ScramHash> {
        match self {
            Self::Scram(hash) | Self::ScramPlus(hash) => Some(hash),
            Self::Anonymous | Self::Plain | Self::External => None,
        }
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_by_strength() {
        assert!(Mechanism::STRONGEST_FIRST.windows(2).all(|w| w[0] > w[1]));
        assert!(ScramHash::STRONGEST_FIRST.windows(2).all(|w| w[0] > w[1]));
    }

    #[test]
    fn a_bound_mechanism_is_stronger_than_any_unbound_hash() {
        assert!(
            Mechanism::ScramPlus(ScramHash::Sha1) > Mechanism::Scram(ScramHash::Sha512),
            "binding comes before the hash"
        );
    }

    #[test]
    fn every_name_reads_back() {
        for mechanism in Mechanism::STRONGEST_FIRST {
            assert_eq!(Mechanism::parse(mechanism.as_str()), Some(mechanism));
        }
        assert_eq!(Mechanism::parse("plain"), None);
        assert_eq!(Mechanism::parse("SCRAM-SHA-256-PLUS-PLUS"), None);
    }
}

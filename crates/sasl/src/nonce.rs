//! Nonces: randomness that the caller brings.
//!
//! Owns the form that RFC 5802 §7 allows. No random source here: the caller
//! fills the bytes, so that a simulated run can repeat itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use thiserror::Error;

/// One side's part of the SCRAM nonce (RFC 5802 §5.1). Use each value once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce(String);

impl Nonce {
    /// Fewest and most characters that [`Nonce::new`] takes.
    pub const LENGTH: std::ops::RangeInclusive<usize> = 16..=256;

    /// Makes a nonce of 24 random bytes, written in base64 (32 characters).
    ///
    /// The bytes must come from a cryptographic source: who can foretell the
    /// server's nonce can replay a login.
    #[must_use]
    pub fn from_entropy(entropy: [u8; 24]) -> Self {
        Self(STANDARD.encode(entropy))
    }

    /// Takes a nonce as it stands, for transcripts and test vectors.
    ///
    /// # Errors
    ///
    /// [`BadNonce`] if it has fewer than 16 or more than 256 characters, or any
    /// but printable ASCII without the comma.
    pub fn new(nonce: &str) -> Result<Self, BadNonce> {
        if Self::LENGTH.contains(&nonce.len()) && is_printable(nonce) {
            Ok(Self(nonce.to_owned()))
        } else {
            Err(BadNonce)
        }
    }

    /// The characters that go on the wire.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The text is no nonce: see [`Nonce::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a nonce has 16 to 256 printable ASCII characters and no comma")]
pub struct BadNonce;

/// `printable` of RFC 5802 §7: `%x21-2B / %x2D-7E`, at least one.
pub(crate) fn is_printable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_always_makes_a_legal_nonce() {
        for byte in [0x00, 0x55, 0xAA, 0xFF] {
            let nonce = Nonce::from_entropy([byte; 24]);
            assert_eq!(Nonce::new(nonce.as_str()), Ok(nonce));
        }
    }

    #[test]
    fn a_comma_a_space_and_a_control_character_are_no_nonce() {
        for bad in [",", " ", "\u{7f}", "\n", "é", "\0"] {
            let text = format!("0123456789abcdef{bad}");
            assert_eq!(Nonce::new(&text), Err(BadNonce), "{text:?}");
        }
    }

    #[test]
    fn a_short_nonce_is_refused() {
        assert_eq!(Nonce::new("0123456789abcde"), Err(BadNonce));
        assert!(Nonce::new("0123456789abcdef").is_ok());
    }
}

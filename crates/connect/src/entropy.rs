//! Where random bytes come from: the operating system, or a seed in tests.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::Misuse;

/// A source of random bytes, shared by whoever needs some.
pub trait Entropy: Send + Sync + Debug {
    /// Fills `bytes`.
    ///
    /// # Errors
    /// [`Misuse::NoEntropy`].
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Misuse>;
}

/// The operating system's cryptographic source.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Misuse> {
        getrandom::fill(bytes).map_err(|_| Misuse::NoEntropy)
    }
}

/// The same bytes for the same seed: **for tests and simulations only**. Logins made
/// with it can be foretold.
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// A sequence of its own for each seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) -> Result<(), Misuse> {
        for chunk in bytes.chunks_mut(8) {
            // splitmix64 (Steele, Lea, Flood 2014).
            let mut z = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// One number out of a source.
pub(crate) fn number(entropy: &dyn Entropy) -> Result<u64, Misuse> {
    let mut bytes = [0; 8];
    entropy.fill(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

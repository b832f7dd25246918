//! Numbers that look random and follow from a seed: SplitMix64, whose steps are cheap and
//! whose streams from different seeds do not meet. For simulation alone: nobody is to rely
//! on them being hard to guess.

/// A stream of numbers.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The stream of that seed, and of one thing among many.
    pub(super) const fn new(seed: u64, stream: u64) -> Self {
        let mut random = Self(seed ^ stream.wrapping_mul(0xD1B5_4A32_D192_ED03));
        random.next();
        random
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// From 0 up to 1, without it.
    pub(super) fn share(&mut self) -> f64 {
        // The 53 bits that a double holds.
        #[allow(clippy::cast_precision_loss)]
        let share = (self.next() >> 11) as f64 / (1_u64 << 53) as f64;
        share
    }

    /// Around nothing, with about this spread, and never further than three times it.
    pub(super) fn noise(&mut self, spread: f64) -> f64 {
        let sum: f64 = (0..12).map(|_| self.share()).sum();
        (sum - 6.0).clamp(-3.0, 3.0) * spread
    }

    /// Below that; 0 for 0.
    pub(super) const fn below(&mut self, end: u64) -> u64 {
        match end {
            0 => 0,
            end => self.next() % end,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_even_and_noise_has_its_spread() {
        let mut random = Random::new(1, 2);
        let count = 20_000;
        let mean = (0..count).map(|_| random.share()).sum::<f64>() / f64::from(count);
        assert!((mean - 0.5).abs() < 0.01, "{mean}");
        let square = (0..count).map(|_| random.noise(2.0).powi(2)).sum::<f64>() / f64::from(count);
        assert!((square.sqrt() - 2.0).abs() < 0.1, "{square}");
    }

    #[test]
    fn the_same_seed_is_the_same_stream_and_another_is_another() {
        let of = |seed, stream| {
            let mut random = Random::new(seed, stream);
            [random.next(), random.next()]
        };
        assert_eq!(of(7, 1), of(7, 1));
        assert_ne!(of(7, 1), of(7, 2));
        assert_ne!(of(7, 1), of(8, 1));
    }
}

//! What things told, remembered for a while: a ring in the store, bounded by age and count
//! for each thing.

use std::time::Duration;

/// How much is remembered of each thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HistoryConfig {
    /// For how long. Default 7 days.
    pub age: Duration,
    /// Readings at most, the newest; at least 1. Default 10,000.
    pub readings: u32,
}

impl Default for HistoryConfig {
    fn default() -> Self {
        Self {
            age: Duration::from_secs(7 * 24 * 3600),
            readings: 10_000,
        }
    }
}

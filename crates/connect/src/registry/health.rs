//! What is known of one endpoint, as it is kept over restarts. What follows from it is
//! for the circuit breaker to say.

use std::time::{Duration, SystemTime};

/// The history of one endpoint, in wall-clock time so that it outlives the process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EndpointHealth {
    /// Failures since the last success.
    pub failures: u32,
    /// When it last failed.
    pub failed_at: Option<SystemTime>,
    /// When it last gave a session.
    pub succeeded_at: Option<SystemTime>,
    /// Not to be tried before this, but for a single probe when nothing else is left.
    pub open_until: Option<SystemTime>,
    /// It was left on purpose, or asked for it: until this those come first that only failed.
    /// Known to this process alone.
    pub shunned_until: Option<SystemTime>,
    /// How long it takes until the connection is secured: a moving average (RFC 6298
    /// §2: 1/8 of the newest).
    pub latency: Option<Duration>,
}

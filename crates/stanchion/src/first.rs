//! The first session within a time: rounds that end while there is somebody to tell what
//! happened in them. Later sessions have the time that the configuration gives.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use stanchion_connect::connection::SessionEnd;
use stanchion_connect::{Connect, ConnectError, Connection, ResumeToken};
use tokio::time::Instant;

/// A round is cut short only if this part of the time is left for it, at least: what the
/// round before told is worth more than a round without a chance.
const LEAST_PART: u32 = 4;

/// Cuts rounds short that would not end in time.
pub(crate) struct FirstWithin {
    connect: Arc<dyn Connect>,
    by: Instant,
    least: Duration,
    /// There was a session.
    given: AtomicBool,
}

impl FirstWithin {
    /// `within` from now on.
    pub(crate) fn new(connect: Arc<dyn Connect>, within: Duration) -> Self {
        Self {
            connect,
            by: Instant::now() + within,
            least: within / LEAST_PART,
            given: AtomicBool::new(false),
        }
    }
}

#[async_trait]
impl Connect for FirstWithin {
    async fn connect(&self, resume: Option<ResumeToken>) -> Result<Connection, ConnectError> {
        let left = self.by.saturating_duration_since(Instant::now());
        let first = !self.given.load(Ordering::Relaxed);
        let result = if first && !left.is_zero() && left >= self.least {
            self.connect.connect_by(resume, left).await
        } else {
            self.connect.connect(resume).await
        };
        self.given.fetch_or(result.is_ok(), Ordering::Relaxed);
        result
    }

    async fn connect_by(
        &self,
        resume: Option<ResumeToken>,
        limit: Duration,
    ) -> Result<Connection, ConnectError> {
        self.connect.connect_by(resume, limit).await
    }

    fn ended(&self, end: &SessionEnd) {
        self.connect.ended(end);
    }
}

#[cfg(test)]
mod tests {
    use stanchion_connect::Connector;
    use stanchion_connect::{Account, ConnectConfig, Endpoints};
    use stanchion_transport::{Endpoint, TlsMode};

    use super::*;

    #[tokio::test]
    async fn the_first_round_ends_in_time_and_tells_what_happened() {
        // It accepts, and says nothing.
        let mute = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = Endpoint::at(mute.local_addr().unwrap(), TlsMode::StartTls);
        let account = Account::with_password("lamp@home.invalid".parse().unwrap(), "secret");
        let config = ConnectConfig {
            endpoints: Endpoints::Explicit(vec![place]),
            ..ConnectConfig::default()
        };
        let connector = Arc::new(Connector::new(account, config).unwrap());
        let within = Duration::from_millis(200);
        let began = Instant::now();
        let first = FirstWithin::new(connector, within);
        let error = first.connect(None).await.unwrap_err();
        assert!(matches!(error, ConnectError::Deadline { .. }), "{error}");
        // Without a limit it would be the phase's own, of several seconds.
        assert!(began.elapsed() < Duration::from_secs(3));
    }
}

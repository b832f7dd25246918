//! Trying for as long as the application says: round after round, with growing pauses,
//! until there is a session, the time is over, or all servers have refused. Owns the
//! rounds; a round is a connector's or a factory's.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use crate::backoff::{Backoff, BackoffPolicy};
use crate::connection::{Connect, Connection, SessionEnd};
use crate::entropy::{Entropy, SystemEntropy, number};
use crate::error::ConnectError;
use crate::event::{ConnectEvent, Observer};
use crate::negotiation::ResumeToken;

/// Goes on trying with another [`Connect`] for a given time.
///
/// A session of the reliability layer does not need it: that tries for as long as it
/// lives. It is for those who want a connection now or the reason why not.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use stanchion_connect::memory::MemoryConnect;
/// use stanchion_connect::persistent::Persistent;
/// use stanchion_connect::{Connect, ConnectError, Kind};
/// # tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build()?.block_on(async {
/// let (connect, _server) = MemoryConnect::new(); // nobody answers
/// let persistent = Persistent::new(Arc::new(connect), Duration::from_secs(30));
/// let error = persistent.connect(None).await.unwrap_err();
/// assert!(matches!(error, ConnectError::GaveUp { rounds: 1, .. }));
/// assert_eq!(error.kind(), Kind::Network);
/// # });
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Persistent {
    connect: Arc<dyn Connect>,
    within: Duration,
    policy: BackoffPolicy,
    entropy: Arc<dyn Entropy>,
    observer: Arc<Observer<'static>>,
}

impl fmt::Debug for Persistent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Persistent")
            .field("within", &self.within)
            .field("policy", &self.policy)
            .finish_non_exhaustive()
    }
}

impl Persistent {
    /// Tries with `connect` for `within`, from each call on.
    #[must_use]
    pub fn new(connect: Arc<dyn Connect>, within: Duration) -> Self {
        Self {
            connect,
            within,
            policy: BackoffPolicy::default(),
            entropy: Arc::new(SystemEntropy),
            observer: Arc::new(|_| {}),
        }
    }

    /// The same, with other pauses. Default: [`BackoffPolicy::default`].
    #[must_use]
    pub fn with_backoff(mut self, policy: BackoffPolicy) -> Self {
        self.policy = policy;
        self
    }

    /// The same, with another source of random bytes. Default: the operating system's.
    #[must_use]
    pub fn with_entropy(mut self, entropy: Arc<dyn Entropy>) -> Self {
        self.entropy = entropy;
        self
    }

    /// The same, with somebody who hears of each pause ([`ConnectEvent::Waiting`]).
    #[must_use]
    pub fn with_observer(mut self, observer: Arc<Observer<'static>>) -> Self {
        self.observer = observer;
        self
    }
}

#[async_trait]
impl Connect for Persistent {
    /// Tries until there is a session or the time is over.
    ///
    /// # Errors
    /// [`ConnectError::GaveUp`] when the time is over, with what happened at each server
    /// in the last round; at once, with the error itself, what does not pass
    /// ([`ConnectError::may_pass`]).
    async fn connect(&self, resume: Option<ResumeToken>) -> Result<Connection, ConnectError> {
        self.connect_by(resume, self.within).await
    }

    async fn connect_by(
        &self,
        resume: Option<ResumeToken>,
        limit: Duration,
    ) -> Result<Connection, ConnectError> {
        let begin = Instant::now();
        let mut backoff = Backoff::new(self.policy);
        let mut rounds = 0;
        loop {
            backoff.began(begin.elapsed());
            rounds += 1;
            let left = limit.saturating_sub(begin.elapsed());
            let error = match self.connect.connect_by(resume.clone(), left).await {
                Ok(connection) => return Ok(connection),
                Err(error) if !error.may_pass() => return Err(error),
                Err(error) => error,
            };
            let random = number(&*self.entropy)?;
            let wait = match error.nobody_listens() {
                true => backoff.refused(begin.elapsed(), random),
                false => backoff.failed(begin.elapsed(), random),
            };
            if begin.elapsed() + wait >= limit {
                return Err(ConnectError::GaveUp {
                    within: limit,
                    rounds,
                    last: match error {
                        ConnectError::GaveUp { last, .. } => last,
                        error => Some(Box::new(error)),
                    },
                });
            }
            (self.observer)(&ConnectEvent::Waiting {
                wait,
                after: &error,
                rounds,
            });
            sleep(wait).await;
        }
    }

    fn ended(&self, end: &SessionEnd) {
        self.connect.ended(end);
    }
}

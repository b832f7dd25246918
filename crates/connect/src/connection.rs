//! The seam to the floor above: something that connects, and what it gives.

use std::time::Duration;

use async_trait::async_trait;
use stanchion_stanza::FullJid;
use stanchion_stanza::stream::StreamError;
use stanchion_transport::{Endpoint, XmppStream};
use tokio::time::timeout;

use crate::error::{Attempt, ConnectError};
use crate::negotiation::{Established, ResumeToken};
use crate::phase::Phase;

/// Something that gives sessions. [`Connector`](crate::Connector) finds them on the
/// network, [`MemoryConnect`](crate::memory::MemoryConnect) takes them from a test.
#[async_trait]
pub trait Connect: Send + Sync {
    /// Connects once: all candidates, no second round.
    /// With a token, the session before is resumed if the server still has it;
    /// [`Established::resumption`] tells, and only then are its stanzas still under
    /// way.
    ///
    /// May be dropped at any time; a connection under way is closed.
    ///
    /// # Errors
    /// [`ConnectError`]; [`ConnectError::retry`] says whether to call again. The token
    /// stays good for the next call.
    async fn connect(&self, resume: Option<ResumeToken>) -> Result<Connection, ConnectError>;

    /// The same, but for `limit` at most.
    ///
    /// # Errors
    /// As [`Connect::connect`]; [`ConnectError::GaveUp`] if the time is over and nothing
    /// more is known.
    async fn connect_by(
        &self,
        resume: Option<ResumeToken>,
        limit: Duration,
    ) -> Result<Connection, ConnectError> {
        let gave_up = ConnectError::GaveUp {
            within: limit,
            rounds: 1,
            last: None,
        };
        timeout(limit, self.connect(resume))
            .await
            .unwrap_or(Err(gave_up))
    }

    /// Hears how a session ended that it gave: a server that shuts down, or ends each
    /// session at once, is then not the first to be tried. Default: nothing.
    fn ended(&self, end: &SessionEnd) {
        let _ = end;
    }
}

/// How a session ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionEnd {
    /// Whose it was.
    pub jid: FullJid,
    /// Where it was: [`Connection::endpoint`].
    pub endpoint: Endpoint,
    /// How long it lasted.
    pub lasted: Duration,
    /// What the server said, if it said anything.
    pub error: Option<StreamError>,
    /// It was ended because somebody cannot be reached from this server, and may be from
    /// another one: that is tried first for a while.
    pub elsewhere: bool,
}

/// A session's stream, ready for stanzas.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connection {
    /// The stream. Nothing is queued; stanzas that the server sent right after the
    /// login may be buffered. What protects it is in [`XmppStream::security`].
    pub stream: XmppStream,
    /// What was negotiated.
    pub established: Established,
    /// The server.
    pub endpoint: Endpoint,
    /// How long each phase took.
    pub timings: Timings,
    /// The candidates that failed before.
    pub failed: Vec<Attempt>,
    /// The candidates whose connections were closed because another one was secured
    /// first.
    pub overtaken: Vec<Endpoint>,
    /// Connections that came as far as the login for this session, this one included:
    /// more than one if a login failed, or `<resume/>` was not answered.
    pub logins: u32,
    /// Whether the stream stays on this machine, so that nobody on the way can read or
    /// change it, TLS or not: a component's over loopback. Default false.
    pub local: bool,
}

impl Connection {
    /// Puts a connection together, as the in-memory one does.
    #[must_use]
    pub fn new(stream: XmppStream, established: Established, endpoint: Endpoint) -> Self {
        Self {
            stream,
            established,
            endpoint,
            timings: Timings::default(),
            failed: Vec::new(),
            overtaken: Vec::new(),
            logins: 1,
            local: false,
        }
    }
}

/// How long the phases of one attempt took, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timings(Vec<(Phase, Duration)>);

impl Timings {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Each phase, as often as it came.
    pub fn iter(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        self.0.iter().copied()
    }

    /// All the time in one phase.
    #[must_use]
    pub fn of(&self, phase: Phase) -> Duration {
        self.iter()
            .filter(|(p, _)| *p == phase)
            .map(|(_, d)| d)
            .sum()
    }

    /// All together.
    #[must_use]
    pub fn total(&self) -> Duration {
        self.iter().map(|(_, d)| d).sum()
    }

    pub(crate) fn push(&mut self, phase: Phase, time: Duration) {
        self.0.push((phase, time));
    }
}

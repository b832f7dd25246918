//! What an observer hears, as plain data that may be kept, and a bounded stream of it.
//! The observers themselves are in `event`.

use std::sync::Arc;
use std::time::Duration;

use stanchion_stanza::{BareJid, FullJid};
use stanchion_transport::Endpoint;
use tokio::sync::broadcast;

use crate::error::{Kind, with_causes};
use crate::event::{ConnectEvent, Observer};
use crate::phase::Phase;

/// Notices that a reader may be behind before it misses the oldest.
pub const MAX_BEHIND: usize = 64;

/// A step, for whoever shows or logs what happens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// This account's server is tried.
    Server(BareJid),
    /// A phase begins there.
    Phase(Endpoint, Phase),
    /// The TLS handshake is done.
    Secured(Endpoint),
    /// The server sends us to another place.
    Redirected {
        /// Where we were.
        from: Endpoint,
        /// Where we go.
        to: Endpoint,
    },
    /// Another candidate was secured first.
    Overtaken(Endpoint),
    /// A candidate gave no session.
    Failed {
        /// Which.
        endpoint: Endpoint,
        /// What was being done.
        phase: Phase,
        /// How long it took.
        elapsed: Duration,
        /// Whom to blame.
        kind: Kind,
        /// What happened and what to do, for people.
        why: String,
    },
    /// A server of the registry gave no session.
    ServerFailed {
        /// Whose session it was to be.
        account: BareJid,
        /// Whom to blame.
        kind: Kind,
        /// What happened and what to do, for people.
        why: String,
    },
    /// The next round begins after a while.
    Waiting {
        /// After how long.
        wait: Duration,
        /// Rounds that failed so far.
        rounds: u32,
        /// What happened in the last one, for people.
        why: String,
    },
    /// There is a session.
    Established {
        /// Where.
        endpoint: Endpoint,
        /// Our address.
        jid: FullJid,
        /// How long the attempt took.
        elapsed: Duration,
    },
}

impl Notice {
    /// What there is to keep of an event. `None` for steps of the login and the list of
    /// candidates.
    #[must_use]
    pub fn of(event: &ConnectEvent<'_>) -> Option<Self> {
        Some(match event {
            ConnectEvent::Server(account) => Self::Server((*account).clone()),
            ConnectEvent::Phase(at, phase) => Self::Phase((*at).clone(), *phase),
            ConnectEvent::Secured(at, _) => Self::Secured((*at).clone()),
            ConnectEvent::Redirected { from, to } => Self::Redirected {
                from: (*from).clone(),
                to: (*to).clone(),
            },
            ConnectEvent::Overtaken(at) => Self::Overtaken((*at).clone()),
            ConnectEvent::Failed(attempt) => Self::Failed {
                endpoint: attempt.endpoint.clone(),
                phase: attempt.phase,
                elapsed: attempt.elapsed,
                kind: attempt.error.kind(),
                why: with_causes(&attempt.error),
            },
            ConnectEvent::ServerFailed(failure) => Self::ServerFailed {
                account: failure.account.clone(),
                kind: failure.error.kind(),
                why: with_causes(&failure.error),
            },
            ConnectEvent::Waiting {
                wait,
                after,
                rounds,
            } => Self::Waiting {
                wait: *wait,
                rounds: *rounds,
                why: with_causes(after),
            },
            ConnectEvent::Established(at, established, timings) => Self::Established {
                endpoint: (*at).clone(),
                jid: established.jid.clone(),
                elapsed: timings.total(),
            },
            ConnectEvent::Discovered(_) | ConnectEvent::Candidates(_) | ConnectEvent::Login(..) => {
                return None;
            }
        })
    }
}

/// An observer, and the stream of what it hears. Subscribe again for further readers; one
/// that is more than [`MAX_BEHIND`] notices behind misses the oldest.
///
/// ```
/// let (observer, mut notices) = stanchion_connect::notice::stream();
/// # drop(observer);
/// # assert!(notices.try_recv().is_err());
/// ```
#[must_use]
pub fn stream() -> (Arc<Observer<'static>>, broadcast::Receiver<Notice>) {
    let (sender, receiver) = broadcast::channel(MAX_BEHIND);
    let observer = move |event: &ConnectEvent<'_>| {
        if let Some(notice) = Notice::of(event) {
            // Nobody may be listening at the moment.
            let _ = sender.send(notice);
        }
    };
    (Arc::new(observer), receiver)
}

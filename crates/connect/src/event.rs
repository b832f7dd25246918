//! What an observer of a connector is told while it works. Nothing here has an effect:
//! see `connector` for what is done.

use std::time::Duration;

use stanchion_stanza::BareJid;
use stanchion_transport::{Endpoint, Security};

use crate::connection::Timings;
use crate::error::{Attempt, ConnectError, ServerFailure};
use crate::negotiation::{Established, Report};
use crate::phase::Phase;
use crate::resolve::discover::Candidate;

/// A step of a connector, in the order in which it happens.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectEvent<'a> {
    /// A server of the registry is tried: whose session it would be.
    Server(&'a BareJid),
    /// What the domain's SRV records say, or its name alone if there are none. Not told
    /// of endpoints that are configured.
    Discovered(&'a [Candidate]),
    /// The hosts to try, in this order.
    Candidates(&'a [Endpoint]),
    /// A phase begins; [`Phase::Stream`] up to three times.
    Phase(&'a Endpoint, Phase),
    /// The TLS handshake is done.
    Secured(&'a Endpoint, &'a Security),
    /// A step of the login.
    Login(&'a Endpoint, &'a Report),
    /// The server sends us to another place (`see-other-host`).
    Redirected {
        /// Where we were.
        from: &'a Endpoint,
        /// Where we go.
        to: &'a Endpoint,
    },
    /// Another candidate was secured first; the connection to this one is closed. It is
    /// tried again if the login at the other one fails.
    Overtaken(&'a Endpoint),
    /// A candidate gave no session; the next one is tried, if there is one and the
    /// error allows it.
    Failed(&'a Attempt),
    /// A server of the registry gave no session; the next one is tried, if there is one.
    ServerFailed(&'a ServerFailure),
    /// The next round begins after a while.
    Waiting {
        /// After how long.
        wait: Duration,
        /// What failed: at which server, in which phase.
        after: &'a ConnectError,
        /// Rounds that failed so far.
        rounds: u32,
    },
    /// There is a session.
    Established(&'a Endpoint, &'a Established, &'a Timings),
}

/// Called for each event, in the task that connects: return at once, and do not block.
/// Send into a bounded channel by `try_send`, or log.
pub type Observer<'a> = dyn Fn(&ConnectEvent<'_>) + Send + Sync + 'a;

//! The seam to a protocol: an [`Adapter`] says which things it has, reports what they
//! measure, and has them obey. Who keeps it going is [`Supervisor`]; what becomes of its
//! reports is not its business.

mod link;
mod misuse;
mod order;
mod stop;
mod supervisor;

use async_trait::async_trait;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::Text;

pub use link::{Ended, Link};
pub use misuse::Misuse;
pub use order::{Order, OrderError, Withdrawal};
pub use stop::{Stop, Stopper};
pub use supervisor::{AdapterEvent, Control, State, Supervisor, SupervisorConfig, from_adapters};

use crate::model::{Sample, ThingSpec};

/// One real protocol, turned into things.
///
/// An adapter owns one connection to whatever it talks to. It neither reconnects nor
/// remembers: whoever runs it waits a while and runs it again, tells others in the meantime
/// that its values are stale, and keeps the orders that come.
#[async_trait]
pub trait Adapter: Send + 'static {
    /// What it has before it is connected, from its configuration. What it finds later it
    /// [reports](Report::Things). Default: nothing.
    fn things(&self) -> Vec<ThingSpec> {
        Vec::new()
    }

    /// Connects, and works until it is to stop (then `Ok`) or until the connection is lost.
    /// To be run again after both.
    ///
    /// Between two awaits it may be dropped: an order that it holds then is in doubt.
    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError>;
}

/// What an adapter tells.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Report {
    /// It is connected to its device: what it could not read before it can read now.
    Connected,
    /// It has these things: new ones, or others in place of those of the same id.
    Things(Vec<ThingSpec>),
    /// These things are gone for good, by the ids of their nodes.
    Gone(Vec<Text>),
    /// What one measured.
    Sample(Sample),
    /// These things do not answer; the values of before are all there is.
    Stale(Vec<Text>),
}

/// Why an adapter is at its end. It is run again, later and later.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdapterError {
    /// There is no connection to be had, or it was lost.
    #[error("{what}")]
    Connection {
        /// To what, and what happened.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// What it is connected to does not keep to its protocol.
    #[error("{peer} misbehaves: {what}")]
    PeerMisbehaved {
        /// Who.
        peer: String,
        /// What it did, and which rule it broke.
        what: String,
    },
    /// What it is connected to refuses.
    #[error("{peer} refuses: {what}")]
    Refused {
        /// Who.
        peer: String,
        /// What, and what to do about it.
        what: String,
    },
    /// The configuration cannot be right: to try again helps only once somebody changed
    /// something.
    #[error("{0}")]
    Misuse(String),
    /// Nobody takes its reports any more.
    #[error("nobody takes the reports any more")]
    Ended(#[from] Ended),
}

impl AdapterError {
    /// A connection that failed, and which.
    pub fn connection(what: impl Into<String>, source: std::io::Error) -> Self {
        let what = what.into();
        Self::Connection { what, source }
    }
}

/// The time by the clock of this machine.
#[must_use]
pub fn wall_clock() -> WallTime {
    use std::time::{SystemTime, UNIX_EPOCH};
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let ms = since.unwrap_or_default().as_millis();
    WallTime::from_unix_ms(i64::try_from(ms).unwrap_or(i64::MAX))
}

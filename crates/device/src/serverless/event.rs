//! What the application hears of the neighbourhood.

use std::net::IpAddr;

use stanchion_stanza::{BareJid, Message};
use tokio::sync::mpsc;

use super::table::Seen;
use crate::host::HostEvent;

/// What happens on the local network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// Somebody is there. Nothing that it says of itself is proven.
    Found(Box<Seen>),
    /// Somebody says something else of itself.
    Changed(Box<Seen>),
    /// Somebody is gone.
    Gone(BareJid),
    /// Our name was taken; this is ours now.
    Renamed(BareJid),
    /// Somebody came and was not let in.
    Refused {
        /// Who it says that it is.
        name: Option<BareJid>,
        /// From where.
        address: IpAddr,
        /// Why.
        why: String,
    },
    /// Something happened with our things.
    Things(HostEvent),
}

/// How we stand on the local network.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Standing {
    /// Our name: the configured one, or one with a number.
    pub name: BareJid,
    /// Whether others were told of it.
    pub announced: bool,
}

impl Standing {
    pub(super) const fn new(name: BareJid) -> Self {
        let announced = false;
        Self { name, announced }
    }
}

/// A message of a neighbour.
#[derive(Debug)]
#[non_exhaustive]
pub struct Heard {
    /// What. Its sender is proven, unless it came [in the clear](Self::plain).
    pub message: Message,
    /// It came in the clear: nobody knows whom it is from, and anybody may have read it. Who
    /// shows it to a person says so (XEP-0174 §13.1).
    pub plain: bool,
}

/// Takes the messages of neighbours that no service took. There is room for 256; those that
/// come after are sent back.
#[derive(Debug)]
pub struct Messages(pub(super) mpsc::Receiver<Heard>);

impl Messages {
    /// The next one; none once we are not on the network any more. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Heard> {
        self.0.recv().await
    }
}

//! Our things on XMPP: read and set by others (XEP-0323, XEP-0325). This file is the
//! application's face; what is answered to whom is decided in `state`.

mod state;

use stanchion_reliability::session::{Received, Sender};
use stanchion_reliability::store::Transactor;
use stanchion_services::{Handle, HostBuilder};
use tokio::sync::mpsc;

pub use state::State;

/// How our things are shown.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct HostConfig {}

/// Our things, as others reach them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ThingHost {
    handle: Handle<State>,
}

/// A host that was added to the services of a session, before they run.
#[derive(Debug)]
pub struct Added {
    handle: Handle<State>,
    commands: mpsc::Receiver<Received>,
}

/// Adds it.
pub fn add(builder: &mut HostBuilder, config: HostConfig) -> Added {
    let (handle, commands) = builder.add_claiming(State::new(config));
    Added { handle, commands }
}

impl Added {
    /// Runs it, with what its services were started with.
    #[must_use]
    pub fn start(self, sender: Sender, store: Transactor) -> ThingHost {
        let _ = (self.commands, sender, store);
        ThingHost {
            handle: self.handle,
        }
    }
}

//! The things of others: read, watched and set (XEP-0323, XEP-0325). This file is the
//! application's face; what is asked and believed is decided in `state`.

mod state;

use stanchion_reliability::session::Sender;
use stanchion_reliability::store::Transactor;
use stanchion_services::disco::Discovery;
use stanchion_services::{Handle, HostBuilder, Requests};

pub use state::State;

/// The things of others. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Things {
    handle: Handle<State>,
    requests: Requests,
    discovery: Discovery,
    sender: Sender,
}

/// Adds what it needs to the services of a session, before they run.
pub fn add(builder: &mut HostBuilder) -> Handle<State> {
    builder.add(State::default())
}

impl Things {
    /// On top of a service that was added, with what the services have.
    #[must_use]
    pub fn new(
        handle: Handle<State>,
        requests: Requests,
        discovery: Discovery,
        sender: Sender,
        store: Transactor,
    ) -> Self {
        let _ = store;
        Self {
            handle,
            requests,
            discovery,
            sender,
        }
    }
}

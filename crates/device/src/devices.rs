//! What a client has of devices, put together: things of ours, and those of others.

use stanchion_reliability::session::Sender;
use stanchion_reliability::store::Transactor;
use stanchion_services::{HostBuilder, Standard};

use crate::host::{self, HostConfig, ThingHost};
use crate::remote::{self, Things};

/// A client's things, and its way to those of others.
#[derive(Debug)]
pub struct Devices {
    things: Things,
    host: Option<ThingHost>,
}

/// What was added to the services of a session, before they run.
#[derive(Debug)]
pub struct Added {
    remote: remote::Added,
    host: Option<host::Added>,
}

impl Devices {
    /// Adds what is needed; without `host`, we have no things.
    pub fn add(builder: &mut HostBuilder, host: Option<HostConfig>) -> Added {
        Added {
            host: host.map(|config| host::add(builder, config)),
            remote: remote::add(builder),
        }
    }

    /// The things of others.
    #[must_use]
    pub const fn things(&self) -> &Things {
        &self.things
    }

    /// Our things, if we were to have any.
    #[must_use]
    pub const fn host(&self) -> Option<&ThingHost> {
        self.host.as_ref()
    }
}

impl Added {
    /// Runs it over the services that it was added to.
    #[must_use]
    pub fn start(self, services: &Standard, sender: Sender, store: Transactor) -> Devices {
        let host = self.host;
        Devices {
            host: host.map(|host| host.start(sender.clone(), store)),
            things: self.remote.start(services, sender),
        }
    }
}

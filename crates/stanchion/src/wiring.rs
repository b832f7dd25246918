//! The services over a session, put together for both kinds of client.

#[cfg(feature = "device")]
use stanchion_device::{Devices, HostConfig};
use stanchion_reliability::session::{Receiver, Session, Stanzas};
use stanchion_reliability::store::{TransactError, Transactor};
use stanchion_services::{Incoming, Standard, StandardConfig};

use crate::Client;

/// A session that runs, and what is to stand over it.
pub(crate) struct Wiring {
    pub(crate) session: Session,
    pub(crate) receiver: Receiver,
    pub(crate) stanzas: Stanzas,
    pub(crate) store: Transactor,
    pub(crate) services: StandardConfig,
    #[cfg(feature = "device")]
    pub(crate) things: Option<Box<HostConfig>>,
}

impl Wiring {
    /// Starts the services.
    ///
    /// # Errors
    /// [`TransactError`] if what they kept cannot be read.
    #[cfg(feature = "device")]
    pub(crate) async fn client(self) -> Result<(Client, Incoming), TransactError> {
        let (sender, store) = (self.session.sender(), self.store);
        let (services, incoming, added) = Standard::start_with(
            self.services,
            sender.clone(),
            self.receiver,
            self.stanzas,
            store.clone(),
            |builder| Devices::add(builder, self.things.map(|config| *config)),
        )
        .await?;
        let devices = added.start(&services, sender, store.clone());
        let client = Client::new(self.session, services, store, devices);
        Ok((client, incoming))
    }

    /// Starts the services.
    ///
    /// # Errors
    /// [`TransactError`] if what they kept cannot be read.
    #[cfg(not(feature = "device"))]
    pub(crate) async fn client(self) -> Result<(Client, Incoming), TransactError> {
        let sender = self.session.sender();
        let (services, incoming) = Standard::start(
            self.services,
            sender,
            self.receiver,
            self.stanzas,
            self.store.clone(),
        )
        .await?;
        let client = Client::new(self.session, services, self.store);
        Ok((client, incoming))
    }
}

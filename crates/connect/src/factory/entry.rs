//! What the factory keeps of one server of the registry while it lives.

use std::sync::Arc;

use stanchion_transport::Endpoint;

use super::lore::{Kept, Lore};
use crate::connector::Connector;
use crate::error::ConnectError;
use crate::health::HealthBook;
use crate::registry::{EndpointHealth, Server};

/// One server, and what is kept of it.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) server: Server,
    /// From its first use on.
    pub(super) connector: Option<Arc<Connector>>,
    /// What the registry knew, until then.
    pub(super) known: Vec<(Endpoint, EndpointHealth)>,
    /// What a connector had learnt that was put aside because the entry was changed.
    pub(super) learnt: Option<Lore>,
    /// What the registry keeps of it.
    pub(super) kept: Kept,
    /// It refused the account, and its entry is the same since.
    pub(super) refused: Option<Arc<ConnectError>>,
}

impl Entry {
    pub(super) fn new(server: Server, known: Vec<(Endpoint, EndpointHealth)>) -> Self {
        Self {
            server,
            connector: None,
            known,
            learnt: None,
            kept: Kept::default(),
            refused: None,
        }
    }

    /// The same after its entry in the registry was changed.
    pub(super) fn changed(self, server: Server) -> Self {
        let Some(connector) = self.connector else {
            return Self {
                learnt: self.learnt,
                kept: self.kept,
                ..Self::new(server, self.known)
            };
        };
        let health = connector.health();
        let known = health.iter().map(|(e, h)| (e.clone(), h.clone()));
        Self {
            learnt: Some(Lore::of(&connector)),
            kept: self.kept,
            ..Self::new(server, known.collect())
        }
    }

    pub(super) fn health(&self) -> EndpointHealth {
        match &self.connector {
            Some(connector) => connector.health().of_the_server(),
            None => HealthBook::new(self.known.clone()).of_the_server(),
        }
    }
}

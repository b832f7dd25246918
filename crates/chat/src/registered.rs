//! One server of the registry, with what the command line says of it instead: what
//! logins teach is kept with the entry, and the entry itself stays as it is.

use async_trait::async_trait;
use stanchion::BareJid;
use stanchion::connect::Endpoint;
use stanchion::connect::registry::{EndpointHealth, Note, RegistryError, Server, ServerRegistry};
use stanchion::reliability::registry::SqliteRegistry;

/// A registry that holds one server.
#[derive(Debug)]
pub(crate) struct One {
    pub(crate) registry: SqliteRegistry,
    pub(crate) server: Server,
}

#[async_trait]
impl ServerRegistry for One {
    async fn servers(&self) -> Result<Vec<Server>, RegistryError> {
        Ok(vec![self.server.clone()])
    }

    async fn put(&self, server: Server) -> Result<(), RegistryError> {
        self.registry.put(server).await
    }

    async fn remove(&self, account: &BareJid) -> Result<bool, RegistryError> {
        self.registry.remove(account).await
    }

    async fn health(
        &self,
        account: &BareJid,
    ) -> Result<Vec<(Endpoint, EndpointHealth)>, RegistryError> {
        self.registry.health(account).await
    }

    async fn note_health(
        &self,
        account: &BareJid,
        health: Vec<(Endpoint, EndpointHealth)>,
    ) -> Result<(), RegistryError> {
        self.registry.note_health(account, health).await
    }

    async fn recall(&self, account: &BareJid, key: &str) -> Result<Option<Note>, RegistryError> {
        self.registry.recall(account, key).await
    }

    async fn learn(
        &self,
        account: &BareJid,
        key: &str,
        value: Option<Note>,
    ) -> Result<(), RegistryError> {
        self.registry.learn(account, key, value).await
    }
}

//! What is to outlive the process: what logins taught and the id that servers are told, in
//! the form in which a registry keeps them. Owns the keys and the limit on a registry's time.

use std::fmt;
use std::time::Duration;

use secrecy::ExposeSecret as _;
use stanchion_stanza::{BareJid, Text};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::connector::Connector;
use crate::negotiation::ServerMemory;
use crate::registry::{Note, RegistryError, ServerRegistry};

/// The longest that a registry is waited for.
const REGISTRY_PATIENCE: Duration = Duration::from_secs(2);

/// Under this key the registry keeps the [`ServerMemory`] of logins over TCP.
const MEMORY: &str = "login";

/// Under this key the registry keeps the [`ServerMemory`] of logins over WebSocket.
const OVER_WEBSOCKET: &str = "login-websocket";

/// Under this key the registry keeps the id that servers are told.
const AGENT: &str = "agent";

/// What logins taught.
#[derive(Debug, Clone, Default)]
pub(super) struct Lore {
    /// Over TCP.
    pub(super) memory: ServerMemory,
    /// Over WebSocket.
    pub(super) over_websocket: ServerMemory,
    /// The id that servers are told: a token is good for one.
    pub(super) agent: Option<Text>,
}

/// What the registry is known to hold.
#[derive(Clone, Default)]
pub(super) struct Kept {
    pub(super) memory: Option<Zeroizing<String>>,
    pub(super) over_websocket: Option<Zeroizing<String>>,
    pub(super) agent: bool,
}

// The text may hold a token.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

impl Lore {
    /// What a connector has learnt.
    pub(super) fn of(connector: &Connector) -> Self {
        Self {
            memory: connector.memory(),
            over_websocket: connector.websocket_memory(),
            agent: connector.agent_id(),
        }
    }

    /// What logins of earlier processes have taught. Without it the next login takes more
    /// round trips, and a server that offers less than before is not noticed.
    pub(super) async fn from_registry(registry: &dyn ServerRegistry, account: &BareJid) -> Self {
        let mut lore = Self::default();
        let notes = async {
            let memory = registry.recall(account, MEMORY).await?;
            let over_websocket = registry.recall(account, OVER_WEBSOCKET).await?;
            let agent = registry.recall(account, AGENT).await?;
            Ok((memory, over_websocket, agent))
        };
        let (memory, over_websocket, agent) = match in_time(notes).await {
            Ok(notes) => notes,
            Err(error) => {
                tracing::warn!(%error, %account, "what earlier logins taught is not known");
                return lore;
            }
        };
        let text = |note: &Note| std::str::from_utf8(note.expose_secret()).map(str::to_owned);
        for (note, memory) in [
            (&memory, &mut lore.memory),
            (&over_websocket, &mut lore.over_websocket),
        ] {
            let Some(note) = note else { continue };
            let text = text(note).ok().map(Zeroizing::new);
            match text.as_ref().map(|text| ServerMemory::decode(text)) {
                Some(Ok(known)) => *memory = known,
                _ => tracing::warn!(%account, "what earlier logins taught cannot be read"),
            }
        }
        let agent = agent.as_ref().and_then(|note| text(note).ok());
        lore.agent = agent.and_then(|id| Text::new(id).ok());
        lore
    }
}

impl Kept {
    /// Gives the registry what is new of `lore`: all that is to outlive this process.
    pub(super) async fn write(
        &mut self,
        registry: &dyn ServerRegistry,
        account: &BareJid,
        lore: &Lore,
    ) -> Result<(), RegistryError> {
        let note = |text: &str| Some(Note::from(text.as_bytes().to_vec()));
        if let Some(agent) = lore.agent.as_ref().filter(|_| !self.agent) {
            registry.learn(account, AGENT, note(agent)).await?;
            self.agent = true;
        }
        let nothing = ServerMemory::default().encode();
        for (key, memory, kept) in [
            (MEMORY, &lore.memory, &mut self.memory),
            (
                OVER_WEBSOCKET,
                &lore.over_websocket,
                &mut self.over_websocket,
            ),
        ] {
            let memory = memory.encode();
            // Most accounts never go by a WebSocket.
            let unused = key == OVER_WEBSOCKET && kept.is_none() && memory == nothing;
            if kept.as_ref() != Some(&memory) && !unused {
                registry.learn(account, key, note(&memory)).await?;
                *kept = Some(memory);
            }
        }
        Ok(())
    }
}

/// A registry's answer, if it comes in time.
pub(super) async fn in_time<T>(
    work: impl Future<Output = Result<T, RegistryError>>,
) -> Result<T, RegistryError> {
    match timeout(REGISTRY_PATIENCE, work).await {
        Ok(result) => result,
        Err(_) => Err(RegistryError::Storage("it does not answer".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Account;
    use crate::registry::{MemoryRegistry, Server};

    #[tokio::test]
    async fn what_logins_over_a_websocket_taught_is_kept_apart_and_nothing_is_not_kept() {
        let registry = MemoryRegistry::new();
        let account: BareJid = "lamp@example.org".parse().unwrap();
        let server = Server::new(Account::with_password(account.clone(), "secret"));
        registry.put(server).await.unwrap();
        let memory = |strongest: &str| {
            let text = format!("stanchion-server 1\nstrongest {strongest}\n");
            ServerMemory::decode(&text).unwrap()
        };
        let mut lore = Lore {
            memory: memory("SCRAM-SHA-256 tls-exporter"),
            ..Lore::default()
        };
        let mut kept = Kept::default();
        kept.write(&registry, &account, &lore).await.unwrap();
        let over_websocket = registry.recall(&account, OVER_WEBSOCKET).await.unwrap();
        assert!(over_websocket.is_none());

        lore.over_websocket = memory("SCRAM-SHA-1 -");
        kept.write(&registry, &account, &lore).await.unwrap();
        let read = Lore::from_registry(&registry, &account).await;
        assert_eq!(*read.memory.encode(), *lore.memory.encode());
        assert_eq!(*read.over_websocket.encode(), *lore.over_websocket.encode());
    }
}

//! A registry that lives as long as the process: for tests, and for programs that keep
//! their servers elsewhere.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use secrecy::ExposeSecret as _;
use stanchion_stanza::BareJid;
use stanchion_transport::Endpoint;

use super::{
    EndpointHealth, MAX_ENDPOINTS, MAX_NOTES, MAX_SERVERS, Note, RegistryError, Server,
    ServerRegistry, check_note,
};

/// Servers in memory.
///
/// ```
/// use stanchion_connect::Account;
/// use stanchion_connect::registry::{MemoryRegistry, Server, ServerRegistry};
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let registry = MemoryRegistry::new();
/// let home = Account::with_password("lamp@home.example".parse()?, "secret");
/// registry.put(Server::new(home)).await?;
/// assert_eq!(registry.servers().await?.len(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Default)]
pub struct MemoryRegistry {
    /// Held only to copy in or out.
    entries: Mutex<BTreeMap<BareJid, Entry>>,
}

#[derive(Debug)]
struct Entry {
    server: Server,
    health: Vec<(Endpoint, EndpointHealth)>,
    notes: BTreeMap<String, Note>,
}

impl MemoryRegistry {
    /// No server yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<BareJid, Entry>> {
        // Nothing can panic between lock and unlock and leave a half-made entry.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl ServerRegistry for MemoryRegistry {
    async fn servers(&self) -> Result<Vec<Server>, RegistryError> {
        let mut servers: Vec<Server> = self.entries().values().map(|e| e.server.clone()).collect();
        // Stable: within one priority they stay in the order of their accounts.
        servers.sort_by_key(|s| s.priority);
        Ok(servers)
    }

    async fn put(&self, server: Server) -> Result<(), RegistryError> {
        let mut entries = self.entries();
        let full = entries.len() >= MAX_SERVERS;
        match entries.get_mut(&server.account.jid) {
            Some(entry) => entry.server = server,
            None if full => return Err(RegistryError::Full),
            None => {
                let entry = Entry {
                    server,
                    health: Vec::new(),
                    notes: BTreeMap::new(),
                };
                entries.insert(entry.server.account.jid.clone(), entry);
            }
        }
        Ok(())
    }

    async fn remove(&self, account: &BareJid) -> Result<bool, RegistryError> {
        Ok(self.entries().remove(account).is_some())
    }

    async fn health(
        &self,
        account: &BareJid,
    ) -> Result<Vec<(Endpoint, EndpointHealth)>, RegistryError> {
        let entries = self.entries();
        Ok(entries
            .get(account)
            .map(|e| e.health.clone())
            .unwrap_or_default())
    }

    async fn note_health(
        &self,
        account: &BareJid,
        health: Vec<(Endpoint, EndpointHealth)>,
    ) -> Result<(), RegistryError> {
        if let Some(entry) = self.entries().get_mut(account) {
            for (endpoint, health) in health {
                entry.health.retain(|(known, _)| *known != endpoint);
                entry.health.push((endpoint, health));
            }
            let surplus = entry.health.len().saturating_sub(MAX_ENDPOINTS);
            entry.health.drain(..surplus);
        }
        Ok(())
    }

    async fn recall(&self, account: &BareJid, key: &str) -> Result<Option<Note>, RegistryError> {
        let entries = self.entries();
        let note = entries.get(account).and_then(|e| e.notes.get(key));
        Ok(note.map(|n| n.expose_secret().to_vec().into()))
    }

    async fn learn(
        &self,
        account: &BareJid,
        key: &str,
        value: Option<Note>,
    ) -> Result<(), RegistryError> {
        if let Some(value) = &value {
            check_note(account, key, value)?;
        }
        let mut entries = self.entries();
        let Some(entry) = entries.get_mut(account) else {
            return Ok(());
        };
        match value {
            None => drop(entry.notes.remove(key)),
            Some(_) if entry.notes.len() >= MAX_NOTES && !entry.notes.contains_key(key) => {
                return Err(RegistryError::not_kept(account, "too many notes"));
            }
            Some(value) => drop(entry.notes.insert(key.to_owned(), value)),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Account;

    fn server(account: &str, priority: u16) -> Server {
        let account = Account::with_password(account.parse().unwrap(), "secret");
        Server {
            priority,
            ..Server::new(account)
        }
    }

    #[tokio::test]
    async fn servers_come_by_priority_and_then_by_account() {
        let registry = MemoryRegistry::new();
        for (account, priority) in [("a@c.example", 1), ("a@b.example", 0), ("a@a.example", 1)] {
            registry.put(server(account, priority)).await.unwrap();
        }
        let servers = registry.servers().await.unwrap();
        let order: Vec<_> = servers.iter().map(|s| s.account.jid.domain()).collect();
        assert_eq!(order, ["b.example", "a.example", "c.example"]);
    }

    #[tokio::test]
    async fn a_replaced_server_keeps_its_health_and_a_removed_one_does_not() {
        let registry = MemoryRegistry::new();
        let jid = "a@b.example".parse().unwrap();
        let place = Endpoint::at(
            ([127, 0, 0, 1], 5222).into(),
            stanchion_transport::TlsMode::StartTls,
        );
        let sick = EndpointHealth {
            failures: 3,
            ..EndpointHealth::default()
        };
        registry.put(server("a@b.example", 0)).await.unwrap();
        let noted = vec![(place, sick)];
        registry.note_health(&jid, noted.clone()).await.unwrap();
        registry.put(server("a@b.example", 7)).await.unwrap();
        assert_eq!(registry.health(&jid).await.unwrap(), noted);
        assert!(registry.remove(&jid).await.unwrap());
        assert!(!registry.remove(&jid).await.unwrap());
        assert!(registry.health(&jid).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn a_note_is_of_its_account_goes_with_it_and_does_not_show() {
        let registry = MemoryRegistry::new();
        let jid = "a@b.example".parse().unwrap();
        let note = || Some(Note::from(b"hunter2".to_vec()));
        registry.learn(&jid, "token", note()).await.unwrap();
        assert!(registry.recall(&jid, "token").await.unwrap().is_none());
        registry.put(server("a@b.example", 0)).await.unwrap();
        registry.learn(&jid, "token", note()).await.unwrap();
        let recalled = registry.recall(&jid, "token").await.unwrap().unwrap();
        assert_eq!(recalled.expose_secret(), b"hunter2");
        assert!(!format!("{registry:?}").contains("104, 117"));
        registry.learn(&jid, "token", None).await.unwrap();
        assert!(registry.recall(&jid, "token").await.unwrap().is_none());
        registry.learn(&jid, "token", note()).await.unwrap();
        registry.remove(&jid).await.unwrap();
        registry.put(server("a@b.example", 0)).await.unwrap();
        assert!(registry.recall(&jid, "token").await.unwrap().is_none());
    }

    #[tokio::test]
    async fn notes_have_an_end_in_number_and_size() {
        let registry = MemoryRegistry::new();
        let jid = "a@b.example".parse().unwrap();
        registry.put(server("a@b.example", 0)).await.unwrap();
        let note = |bytes| Some(Note::from(vec![0; bytes]));
        for n in 0..MAX_NOTES {
            let key = format!("{n}");
            registry.learn(&jid, &key, note(1)).await.unwrap();
        }
        for (key, bytes) in [("one more", 1), ("", 1), ("0", super::super::MAX_NOTE + 1)] {
            let refused = registry.learn(&jid, key, note(bytes)).await;
            assert!(
                matches!(refused, Err(RegistryError::NotKept { .. })),
                "{key}"
            );
        }
        registry.learn(&jid, "0", note(2)).await.unwrap();
    }

    #[tokio::test]
    async fn a_registry_has_an_end() {
        let registry = MemoryRegistry::new();
        for n in 0..MAX_SERVERS {
            registry
                .put(server(&format!("a@{n}.example"), 0))
                .await
                .unwrap();
        }
        let one_more = registry.put(server("a@b.example", 0)).await;
        assert!(matches!(one_more, Err(RegistryError::Full)));
        registry.put(server("a@0.example", 1)).await.unwrap();
    }
}

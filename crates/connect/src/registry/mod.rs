//! The server registry: which servers a device may use, and what is remembered of each.
//!
//! Owns the seam and the records. [`MemoryRegistry`] keeps them as long as the process
//! lives; a floor above keeps them in the file of the messages. Which server is taken is
//! not decided here.

mod health;
mod memory;
mod note;
mod place;
mod server;

use std::fmt;

use async_trait::async_trait;
use stanchion_stanza::BareJid;
use stanchion_transport::Endpoint;
use thiserror::Error;

pub use health::EndpointHealth;
pub use memory::MemoryRegistry;
pub use note::{MAX_NOTE, MAX_NOTE_KEY, MAX_NOTES, Note, check_note};
pub use place::{BadPlace, read_place, write_place};
pub use server::Server;

/// Servers that a registry holds, at most. More is a mistake: each may be tried in turn.
pub const MAX_SERVERS: usize = 64;

/// Endpoints whose health is kept for one server, at most; the least recently used go
/// first.
pub const MAX_ENDPOINTS: usize = 64;

/// Where servers are registered. A server is named by its account: the same person or
/// thing at another domain is another server.
///
/// Calls may take as long as a disk does. None holds a lock over an await of the caller.
#[async_trait]
pub trait ServerRegistry: Send + Sync + fmt::Debug {
    /// All servers, those of the lowest [`Server::priority`] first, then by account.
    /// Those that cannot be read are left out, unless there is no other; which they are
    /// is told by [`Self::unreadable`].
    ///
    /// # Errors
    /// [`RegistryError`].
    async fn servers(&self) -> Result<Vec<Server>, RegistryError>;

    /// Adds a server, or replaces the one of the same account; what is remembered of it
    /// stays.
    ///
    /// # Errors
    /// [`RegistryError::Full`] beyond [`MAX_SERVERS`], and the others.
    async fn put(&self, server: Server) -> Result<(), RegistryError>;

    /// Removes a server with all that is remembered of it. Tells whether there was one.
    ///
    /// # Errors
    /// [`RegistryError`].
    async fn remove(&self, account: &BareJid) -> Result<bool, RegistryError>;

    /// What is known of a server's endpoints.
    ///
    /// # Errors
    /// [`RegistryError`].
    async fn health(
        &self,
        account: &BareJid,
    ) -> Result<Vec<(Endpoint, EndpointHealth)>, RegistryError>;

    /// Replaces what is known of some endpoints. Of an account that is not registered
    /// nothing is kept.
    ///
    /// # Errors
    /// [`RegistryError`].
    async fn note_health(
        &self,
        account: &BareJid,
        health: Vec<(Endpoint, EndpointHealth)>,
    ) -> Result<(), RegistryError>;

    /// Why some servers are left out of [`Self::servers`]: one
    /// [`RegistryError::Unreadable`] for each. Default: none is.
    ///
    /// # Errors
    /// [`RegistryError`], if nothing can be read at all.
    async fn unreadable(&self) -> Result<Vec<RegistryError>, RegistryError> {
        Ok(Vec::new())
    }

    /// What was learnt last under `key` at this account. Default: nothing.
    ///
    /// # Errors
    /// [`RegistryError`].
    async fn recall(&self, account: &BareJid, key: &str) -> Result<Option<Note>, RegistryError> {
        let _ = (account, key);
        Ok(None)
    }

    /// Keeps what a login taught, or forgets it (`None`). Of an account that is not
    /// registered nothing is kept. Default: nothing is kept, which costs round trips at
    /// the next login, and the notice of a server that offers less than before.
    ///
    /// # Errors
    /// [`RegistryError::NotKept`] beyond [`MAX_NOTES`], [`MAX_NOTE_KEY`] and
    /// [`MAX_NOTE`], and the others.
    async fn learn(
        &self,
        account: &BareJid,
        key: &str,
        value: Option<Note>,
    ) -> Result<(), RegistryError> {
        let _ = (account, key, value);
        Ok(())
    }
}

/// Why a registry gave no answer. Connecting goes on without: what is not remembered
/// costs time, not safety.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The disk, or the file: retry, or look at what the source says.
    #[error("the server registry cannot be used")]
    Storage(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It holds [`MAX_SERVERS`] already.
    #[error("the registry holds {MAX_SERVERS} servers; remove one first")]
    Full,
    /// It has no place for a part of what was to be kept; nothing was changed.
    #[error("the registry cannot keep what was given for {account}: {what}")]
    NotKept {
        /// For whom.
        account: String,
        /// Which part, and why.
        what: &'static str,
    },
    /// Something kept in it cannot be read: another version wrote it, or it is damaged.
    #[error(
        "the registry's entry for {account} cannot be read ({what}); remove it and add it again"
    )]
    Unreadable {
        /// Whose entry.
        account: String,
        /// Which part of it.
        what: &'static str,
    },
}

impl RegistryError {
    /// What a registry says that has no place for something.
    #[must_use]
    pub fn not_kept(account: &BareJid, what: &'static str) -> Self {
        Self::NotKept {
            account: account.to_string(),
            what,
        }
    }
}

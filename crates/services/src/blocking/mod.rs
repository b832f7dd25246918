//! Blocking (XEP-0191): from whom the account's server lets nothing through. The list is
//! the server's, and one for all clients of the account.

mod state;

use std::collections::BTreeSet;

use stanchion_stanza::payload::blocking::{Block, Unblock};
use stanchion_stanza::{Jid, Payload as _};
use tokio::sync::broadcast;

pub use state::{BlockingEvent, Blocks};

use crate::host::Requests;
use crate::request::{Request, RequestError};
use crate::slot::Handle;

/// The account's list of the blocked. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Blocking {
    handle: Handle<Blocks>,
    requests: Requests,
}

impl Blocking {
    /// The face of a service that was added to a host, and where it asks.
    #[must_use]
    pub const fn new(handle: Handle<Blocks>, requests: Requests) -> Self {
        Self { handle, requests }
    }

    /// Who is blocked. Asked for once in a session; from then on it is kept up to date,
    /// whichever client of the account changes it.
    ///
    /// # Errors
    /// [`RequestError`]; a server without the extension refuses.
    pub async fn list(&self) -> Result<BTreeSet<Jid>, RequestError> {
        let asked = self.handle.ask(|blocks, _, waiter| blocks.list(waiter));
        asked.await.unwrap_or(Err(RequestError::Closed))
    }

    /// Whether that address is blocked, by itself or along with its account or domain (§5).
    ///
    /// # Errors
    /// As [`Blocking::list`].
    pub async fn is_blocked(&self, jid: &Jid) -> Result<bool, RequestError> {
        Ok(state::covers(&self.list().await?, jid))
    }

    /// Hears nothing more from these: an address, an account with all its resources, or a
    /// domain with all that is at it. They see us go (§3.3).
    ///
    /// # Errors
    /// [`RequestError`]; nothing is asked if there are none.
    pub async fn block(&self, jids: impl IntoIterator<Item = Jid>) -> Result<(), RequestError> {
        let block = Block::of(jids.into_iter().collect());
        if block.jids.is_empty() {
            return Ok(());
        }
        // The list comes first, so that the server tells of changes from now on (§3.2).
        self.list().await?;
        let order = Request::set(None, block.to_element());
        self.requests.ask(order).await.map(drop)
    }

    /// Hears from these again.
    ///
    /// # Errors
    /// [`RequestError`]; nothing is asked if there are none.
    pub async fn unblock(&self, jids: impl IntoIterator<Item = Jid>) -> Result<(), RequestError> {
        let unblock = Unblock::of(jids.into_iter().collect());
        match unblock.jids.is_empty() {
            // Without addresses it would be everybody.
            true => Ok(()),
            false => self.order(unblock).await,
        }
    }

    /// Hears from everybody again (§3.5).
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn unblock_all(&self) -> Result<(), RequestError> {
        self.order(Unblock::default()).await
    }

    async fn order(&self, unblock: Unblock) -> Result<(), RequestError> {
        self.list().await?;
        let order = Request::set(None, unblock.to_element());
        self.requests.ask(order).await.map(drop)
    }

    /// Changes from now on, once the list was asked for. Lossy: who is more than 256
    /// events behind misses the oldest.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<BlockingEvent> {
        self.handle.events()
    }
}

//! The account's archive (XEP-0313) and what its other devices do (XEP-0280): queries with
//! filters and pages, preferences, and catching up. [`Archives`] is what the application
//! holds.
//!
//! With [`ArchiveConfig::catch_up`] a client that was away, for however long, gets what came
//! meanwhile, also what another device of the account took or the server's offline storage
//! had no room for: once, in the order of the archive, as if it had just been received. What
//! other devices of the account sent goes to the [`history`](crate::history).
//!
//! Which copy is kept is decided by the engine, by what tells a message from its copies: the
//! first that is durable, whether it came live, as a carbon, from offline storage or from the
//! archive. The others are counted as duplicates. A carbon asks for no receipt, as the device
//! that has the message answers; the other ways do. What comes live while a client catches up
//! is handed over as it comes, before what the archive still has.

mod query;
mod reading;
mod state;

use stanchion_stanza::payload::mam::{Filter, Prefs, Query};
use stanchion_stanza::payload::rsm::PageRequest;
use stanchion_stanza::{Jid, Payload as _};

pub use query::{ArchivePage, Archived, Outcome, PAGE as LONGEST_PAGE, Reply};
pub use state::Archive;

use crate::history::MessageNote;
use crate::host::Requests;
use crate::request::{Request, RequestError};
use crate::slot::Handle;

/// What an archive service does by itself. Default: nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ArchiveConfig {
    /// Whether to ask for copies of what the account's other devices send and receive
    /// (XEP-0280). Received ones are taken in as if they had come here, unless they are for
    /// another device by name. Default no.
    pub carbons: bool,
    /// Whether to catch up after each new session, and from where if this store never did
    /// before. Default no.
    pub catch_up: Option<Beginning>,
    /// Messages that are asked for at a time while catching up, 1 to [`LONGEST_PAGE`]. Default
    /// 100; servers may send fewer.
    pub page: u32,
}

impl Default for ArchiveConfig {
    fn default() -> Self {
        Self {
            carbons: false,
            catch_up: None,
            page: 100,
        }
    }
}

/// Where a store begins that never read the archive before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Beginning {
    /// At the end that the archive has by then: what came before is not asked for.
    Now,
    /// At its beginning: the device gets all that the account ever received.
    Everything,
}

/// What an archive service tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArchiveEvent {
    /// All that came while we were away is in the inbox, or was before.
    CaughtUp {
        /// Messages that were given to the engine; most may have been there.
        received: u64,
        /// Notes for the history: what other devices of the account sent and read, or alone
        /// are to act on.
        noted: u64,
    },
    /// The server refuses to show an archive; nothing is caught up with in this session.
    NoArchive {
        /// What it said.
        why: String,
    },
    /// The server sends no copies.
    NoCarbons {
        /// What it said.
        why: String,
    },
    /// Another device of our account has sent this; it is in the history.
    SentElsewhere(Box<MessageNote>),
    /// Somebody sent this to another device of our account, by its name in the delivery
    /// protocol: that device acts on it. It is in the history.
    ReceivedElsewhere(Box<MessageNote>),
}

/// The archive, for an application. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Archives {
    handle: Handle<Archive>,
    requests: Requests,
}

impl Archives {
    /// The face of that service.
    #[must_use]
    pub const fn new(handle: Handle<Archive>, requests: Requests) -> Self {
        Self { handle, requests }
    }

    /// A page of our own account's archive. `page` says how much and from where; at most
    /// [`LONGEST_PAGE`] messages are taken, and 4 MiB of them. Go on with
    /// [`Position::After`](stanchion_stanza::payload::rsm::Position::After) the
    /// [last one](ArchivePage::page) until it is [complete](ArchivePage::complete).
    ///
    /// # Errors
    /// [`RequestError`]; [`RequestError::TooMany`] beyond 16 queries at once.
    pub async fn page(&self, filter: &Filter, page: PageRequest) -> Outcome {
        self.ask(None, Query::of(filter, page)).await
    }

    /// The same, of another's archive: a room's.
    ///
    /// # Errors
    /// As [`Archives::page`].
    pub async fn page_of(&self, of: Jid, filter: &Filter, page: PageRequest) -> Outcome {
        self.ask(Some(of), Query::of(filter, page)).await
    }

    async fn ask(&self, of: Option<Jid>, query: Query) -> Outcome {
        let (answer, page) = tokio::sync::oneshot::channel();
        let reply: Reply = Box::new(move |outcome| drop(answer.send(outcome)));
        let asked = self
            .handle
            .call(|archive, _| archive.query(of, query, reply));
        asked.await.map_err(|_| RequestError::Closed)?;
        page.await.unwrap_or(Err(RequestError::Closed))
    }

    /// What the account wants archived (XEP-0441).
    ///
    /// # Errors
    /// [`RequestError`]; a refusal if the server has no such preferences.
    pub async fn prefs(&self) -> Result<Prefs, RequestError> {
        let request = Request::get(None, Prefs::default().to_element());
        self.requests.ask_for(request).await
    }

    /// Says what is to be archived, and gives what the server made of it: it may apply
    /// others than were set (XEP-0441 §2.1).
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn set_prefs(&self, prefs: &Prefs) -> Result<Prefs, RequestError> {
        let request = Request::set(None, prefs.to_element());
        self.requests.ask_for(request).await
    }

    /// What happens from now on.
    #[must_use]
    pub fn events(&self) -> tokio::sync::broadcast::Receiver<ArchiveEvent> {
        self.handle.events()
    }
}

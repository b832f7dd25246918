//! Presence (RFC 6121 §4): how we are, announced on every new session, and how others are.

mod own;
mod seen;
mod state;
mod status;

use stanchion_stanza::stanza::StanzaError;
use stanchion_stanza::{BareJid, Jid, Text};
use tokio::sync::broadcast;

pub use state::Present;
pub use status::{Availability, Status};

use crate::slot::{Ended, Handle};

/// How presence begins.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PresenceConfig {
    /// How we are. Default: available, priority 0.
    pub status: Status,
    /// Whether what [`Presences::set`] says is kept, and counts in place of
    /// [`PresenceConfig::status`] when the application is started again. Default: false.
    pub keep: bool,
}

impl Default for PresenceConfig {
    fn default() -> Self {
        Self {
            status: Status::available(),
            keep: false,
        }
    }
}

/// What observers hear.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PresenceEvent {
    /// Somebody is there, or is otherwise than before: a contact, another client of our
    /// account, or anybody who shows us so.
    Available {
        /// Who; as a rule with a resource.
        jid: Jid,
        /// How.
        status: Status,
    },
    /// Somebody who was there is gone.
    Unavailable {
        /// Who.
        jid: Jid,
        /// What was said along with it, cut to 1 KiB.
        text: Option<Text>,
    },
    /// A presence of ours came back: nobody is there to take it.
    Refused {
        /// Whom it was for.
        jid: Jid,
        /// Why.
        error: Box<StanzaError>,
    },
    /// The connection is lost: how others are is not known until it is back.
    Interrupted,
    /// It goes on as if nothing had happened: they are as they were.
    Resumed,
    /// A new session: all who were there are gone, as far as is known, and are told of
    /// anew.
    Reset,
}

/// Why presence cannot be shown to somebody.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ShowError {
    /// Too many are shown it on their own.
    #[error(
        "presence is shown to {} on their own; hide it from some",
        state::SHOWN
    )]
    TooMany,
    /// The services have ended.
    #[error(transparent)]
    Ended(#[from] Ended),
}

/// How we are, and how others are. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Presences(Handle<Present>);

impl Presences {
    /// The face of a service that was added to a host.
    #[must_use]
    pub const fn new(handle: Handle<Present>) -> Self {
        Self(handle)
    }

    /// From now on we are so: told to all who see our presence, now and on each new
    /// session. After a resumption nothing is told unless it changed. An
    /// [`Unavailable`](Availability::Unavailable) client stays connected, and its server
    /// routes no messages for the account to it.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn set(&self, status: Status) -> Result<(), Ended> {
        self.0.call(|present, now| present.set(now, status)).await
    }

    /// How we are.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn status(&self) -> Result<Status, Ended> {
        self.0.call(|present, _| present.status().clone()).await
    }

    /// The available resources of an account, the one of the highest priority first; of
    /// the same priority, the one that spoke last. Empty while there is no connection.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn of(&self, account: &BareJid) -> Result<Vec<(Jid, Status)>, Ended> {
        let account = account.clone();
        self.0.call(move |present, _| present.of(&account)).await
    }

    /// The first of these: how somebody is, in one word, and where. Below priority 0 it
    /// gets no messages for the account (§4.7.2.3).
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn best(&self, account: &BareJid) -> Result<Option<(Jid, Status)>, Ended> {
        Ok(self.of(account).await?.into_iter().next())
    }

    /// Shows `to` that status, whatever others see (§4.6): now, when it is another one, and
    /// on each new session until [`Presences::hide_from`].
    ///
    /// # Errors
    /// [`ShowError`].
    pub async fn show_to(&self, to: Jid, status: Status) -> Result<(), ShowError> {
        let shown = self
            .0
            .call(move |present, now| present.show_to(now, to, status));
        shown.await?
    }

    /// Says goodbye to who was shown presence on its own.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn hide_from(&self, to: Jid) -> Result<(), Ended> {
        self.0
            .call(move |present, now| present.hide_from(now, &to))
            .await
    }

    /// What happens from now on. Lossy: who is more than 256 events behind misses the
    /// oldest, and should look at [`Presences::of`].
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<PresenceEvent> {
        self.0.events()
    }
}

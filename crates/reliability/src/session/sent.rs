//! Handles to messages that were given: how far each has come, and what became of it.
//! The ends that speak are in `waiters`, what lies between the two in `progress`.

use tokio::sync::{mpsc, oneshot};

use super::SendError;
use super::progress::{Keeping, Listener, Stage};
use crate::outcome::Outcome;
use crate::store::{OutboundRecord, OutboundState, Pending, StoreError};

/// A message that is durable, or sent at most once. Dropping it changes nothing about the message, and costs
/// nothing; clones watch the same message.
///
/// ```
/// # use std::{sync::Arc, time::Duration};
/// # use stanchion_connect::memory::MemoryConnect;
/// # use stanchion_reliability::outcome::{NotDelivered, Outcome};
/// # use stanchion_reliability::session::{Outgoing, Session, SessionConfig, Stage};
/// # use stanchion_reliability::store::{Image, MemoryStore, Opening, Seed, WallTime};
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// # let opening = Opening::new(Seed::from_os()?, WallTime::from_unix_ms(0));
/// # let store = Box::new(MemoryStore::open(Image::default(), &opening)?);
/// # let (session, _received) =
/// #     Session::start(Arc::new(MemoryConnect::new().0), store, SessionConfig::default()).await?;
/// let message = Outgoing::text("lamp@example.org".parse()?, "on")?.within(Duration::from_millis(20));
/// let sent = session.sender().send(message).await?;
/// assert_eq!(sent.stage(), Stage::Accepted);
///
/// // No server takes it, so its outcome is what comes first.
/// let expired = Outcome::NotDelivered(NotDelivered::Expired);
/// assert_eq!(sent.server_accepted().await?, Stage::Settled(expired.clone()));
///
/// // Its record is there later, too, and after a restart.
/// let found = session.find(sent.id()).await?.ok_or("gone")?;
/// assert!(found.record().state.is_final() && found.sent().is_none());
/// assert_eq!(sent.outcome().await?, expired);
/// # Ok::<(), Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sent {
    id: String,
    progress: Listener,
    /// The record says that a server had it, in an earlier session.
    server_had_it: bool,
}

impl Sent {
    const fn new(id: String, progress: Listener) -> Self {
        Self {
            id,
            progress,
            server_had_it: false,
        }
    }

    /// The message's id, under which it can be found in the store.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// How far it has come by now.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match self.progress.stage() {
            Stage::Accepted if self.server_had_it => Stage::ServerAccepted,
            stage => stage,
        }
    }

    /// Waits until the server has taken responsibility for it, or there is an outcome
    /// before it is known to have: never gives [`Stage::Accepted`]. Without a deadline it
    /// may take for ever.
    ///
    /// # Errors
    /// [`SendError::Closed`] if the session ends before; the message stays in the store.
    pub async fn server_accepted(&self) -> Result<Stage, SendError> {
        if self.server_had_it {
            return Ok(self.stage());
        }
        let later = |stage: &Stage| *stage != Stage::Accepted;
        self.progress.reached(later).await
    }

    /// What becomes of the message: by its deadline at the latest, if it has one. Of one
    /// that was [found](super::Session::find) in doubt, what follows: a definite outcome, or the
    /// doubt again once it is given up for good.
    ///
    /// # Errors
    /// [`SendError::Closed`] if the session ends before; the message stays in the store.
    pub async fn outcome(self) -> Result<Outcome, SendError> {
        let settled = |stage: &Stage| matches!(stage, Stage::Settled(_));
        match self.progress.reached(settled).await? {
            Stage::Settled(outcome) => Ok(outcome),
            Stage::Accepted | Stage::ServerAccepted => Err(SendError::Closed),
        }
    }
}

/// A message that was given, and is not known to be kept.
#[derive(Debug)]
pub(super) struct Given {
    id: String,
    keeping: Keeping,
}

impl Given {
    pub(super) const fn new(id: String, keeping: Keeping) -> Self {
        Self { id, keeping }
    }

    /// Waits until it is.
    pub(super) async fn kept(self) -> Result<Sent, SendError> {
        let progress = self.keeping.kept().await?;
        Ok(Sent::new(self.id, progress))
    }
}

/// A message that was found in the store.
#[derive(Debug, Clone)]
pub struct Tracked {
    record: OutboundRecord,
    sent: Option<Sent>,
}

impl Tracked {
    /// Its record, as of the call that found it.
    #[must_use]
    pub const fn record(&self) -> &OutboundRecord {
        &self.record
    }

    /// The handle to wait with; `None` if its state is final, so that nothing follows.
    #[must_use]
    pub const fn sent(&self) -> Option<&Sent> {
        self.sent.as_ref()
    }

    /// The same, to keep.
    #[must_use]
    pub fn into_sent(self) -> Option<Sent> {
        self.sent
    }
}

/// Why a message was not looked up.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FindError {
    /// The store has failed; ask again when it is back.
    #[error("the message's record cannot be read")]
    Store(#[from] StoreError),
    /// The session has ended: start it again, or read the store.
    #[error("the session has ended; look in its store")]
    Closed,
}

/// A look-up that the driver is asked for.
#[derive(Debug)]
pub(super) struct Find {
    pub(super) id: String,
    pub(super) answer: oneshot::Sender<Lookup>,
}

/// What comes of it: the record on its way, and what happens to the message from before
/// it was read.
#[derive(Debug)]
pub(super) struct Lookup {
    pub(super) record: Pending<Option<OutboundRecord>>,
    pub(super) progress: Listener,
}

pub(super) async fn find(
    finds: &mpsc::Sender<Find>,
    id: &str,
) -> Result<Option<Tracked>, FindError> {
    let (answer, lookup) = oneshot::channel();
    let find = Find {
        id: id.to_owned(),
        answer,
    };
    finds.send(find).await.map_err(|_| FindError::Closed)?;
    let Lookup { record, progress } = lookup.await.map_err(|_| FindError::Closed)?;
    let record = match record.await {
        Ok(Some(record)) => record,
        Ok(None) => return Ok(None),
        Err(StoreError::Closed) => return Err(FindError::Closed),
        Err(error) => return Err(error.into()),
    };
    let sent = (!record.state.is_final()).then(|| Sent {
        server_had_it: record.state == OutboundState::ServerAccepted,
        ..Sent::new(record.id.clone(), progress)
    });
    Ok(Some(Tracked { record, sent }))
}

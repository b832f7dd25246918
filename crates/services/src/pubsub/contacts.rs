//! What contacts publish at their own accounts (XEP-0163): their servers send it to
//! whoever says in its capabilities that it looks out for it.

use std::sync::Arc;

use stanchion_stanza::Jid;
use stanchion_stanza::payload::pubsub::Event;
use tokio::sync::Notify;

use super::error::PubsubError;
use super::state::State;
use super::subscription::Open;
use crate::slot::Handle;

/// What contacts, and other devices of our own account, publish at nodes of one name. It
/// is news, and neither kept nor asked for again: the last item of each contact comes by
/// itself with a new session, as far as their servers do so (XEP-0163 §4.3.4). To get every
/// item of a contact, [subscribe](super::Pubsub::subscribe) to its account. Dropping it
/// ends the looking out.
#[derive(Debug)]
pub struct Contacts {
    pub(super) handle: Handle<State>,
    pub(super) id: u64,
    pub(super) wake: Arc<Notify>,
    pub(super) missed: u64,
    pub(super) _open: Open,
}

/// News of a contact.
#[derive(Debug, Clone, PartialEq)]
pub struct ContactEvent {
    /// The account whose node it is: it or its server said so, and nobody else can. Whether
    /// it is a contact is for the application to look at, as strangers can send such, too.
    pub from: Jid,
    /// What happened there.
    pub event: Event,
}

impl Contacts {
    /// The next news.
    ///
    /// # Errors
    /// [`PubsubError::Ended`].
    pub async fn next(&mut self) -> Result<ContactEvent, PubsubError> {
        loop {
            let mut wake = std::pin::pin!(self.wake.notified());
            wake.as_mut().enable();
            let id = self.id;
            let take = move |state: &mut State, _| state.take_followed(id);
            let taken = self.handle.call(take).await?.ok_or(PubsubError::Ended)?;
            let (next, missed) = taken;
            self.missed += missed;
            if let Some((from, event)) = next {
                return Ok(ContactEvent { from, event });
            }
            wake.await;
        }
    }

    /// How many gave way to newer ones, because they were not taken: more than 256 waited.
    #[must_use]
    pub const fn missed(&self) -> u64 {
        self.missed
    }
}

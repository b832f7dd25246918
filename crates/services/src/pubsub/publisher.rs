//! The publishing end, as the application holds it: publications that are durable before
//! they are sent, and what becomes of each.

use std::sync::Arc;
use std::time::Duration;

use stanchion_stanza::{Element, Text};
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

use super::error::{PubsubError, Reason};
use super::state::{PublisherCounters, Publishing, Stage, State, StreamId};
use crate::slot::Handle;

/// Between two looks for room.
const LOOK: Duration = Duration::from_secs(1);

/// Publishes at one node, in order, each once. Cheap to clone; dropping it stops nothing:
/// what was accepted is published, in this life or in a later one.
///
/// Items have ids of the form `STREAM.NUMBER`, with numbers from 1 on, so that what is
/// sent twice replaces itself, and a subscriber sees what is missing. The service keeps
/// the order; a batch is a payload with many values in it, as a request holds one item
/// (XEP-0060 §7.1).
#[derive(Debug, Clone)]
pub struct Publisher {
    pub(super) handle: Handle<State>,
    pub(super) id: u64,
    pub(super) room: Arc<Notify>,
}

/// A publication that was taken.
#[derive(Debug, Clone)]
pub struct Publication {
    id: Text,
    stage: watch::Receiver<Stage>,
}

/// Why a publication did not end well.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotPublished {
    /// The service will not have it.
    #[error("{0}")]
    Refused(Reason),
    /// It gave way to newer ones before it was sent, or was [given up](Publisher::give_up).
    #[error("it gave way to newer publications; let more of them wait, or publish less often")]
    Dropped,
    /// The client ended first. What was kept is published by its next life.
    #[error("the client has ended; what was kept is published once it runs again")]
    Ended,
}

impl Publisher {
    /// Publishes, and resolves once that is durable. Waits while there is no room, unless
    /// the oldest are to give way. Calls that overlap share a sync of the store; those of
    /// one task that wait for each other do not: see [`Publisher::publish_all`].
    ///
    /// # Errors
    /// [`PubsubError::TooBig`], and [`PubsubError::Ended`].
    pub async fn publish(&self, payload: impl Into<Element>) -> Result<Publication, PubsubError> {
        self.one(None, payload.into()).await
    }

    /// The same with an id of the application's own, such as `current`: for nodes whose
    /// items mean something by their ids. It has no number, and subscribers do not notice
    /// if it is missing.
    ///
    /// # Errors
    /// As [`Publisher::publish`].
    pub async fn publish_with_id(
        &self,
        id: Text,
        payload: impl Into<Element>,
    ) -> Result<Publication, PubsubError> {
        self.one(Some(id), payload.into()).await
    }

    async fn one(&self, id: Option<Text>, payload: Element) -> Result<Publication, PubsubError> {
        let mut publications = self.all(vec![(id, payload)]).await?;
        publications.pop().ok_or(PubsubError::Ended)
    }

    /// Publishes many in order, with one sync of the store for as many as there is room.
    ///
    /// # Errors
    /// As [`Publisher::publish`]; those before the one that is too big are published.
    pub async fn publish_all(
        &self,
        payloads: impl IntoIterator<Item = Element>,
    ) -> Result<Vec<Publication>, PubsubError> {
        let payloads = payloads.into_iter().map(|payload| (None, payload));
        self.all(payloads.collect()).await
    }

    async fn all(
        &self,
        mut payloads: Vec<(Option<Text>, Element)>,
    ) -> Result<Vec<Publication>, PubsubError> {
        let mut taken = Vec::with_capacity(payloads.len());
        while !payloads.is_empty() {
            let mut room = std::pin::pin!(self.room.notified());
            // From here on no wake-up is missed.
            room.as_mut().enable();
            let mut stages = Vec::with_capacity(payloads.len());
            let publishings = payloads.iter().map(|(id, payload)| {
                let (tell, stage) = watch::channel(Stage::Accepted);
                stages.push(stage);
                Publishing {
                    id: id.clone(),
                    payload: payload.clone(),
                    // Nobody needs to look.
                    tell: Box::new(move |stage| drop(tell.send_replace(stage.clone()))),
                }
            });
            let (publisher, publishings) = (self.id, publishings.collect());
            let publish = move |state: &mut State, now| state.publish(now, publisher, publishings);
            let ids = self.handle.call(publish).await??;
            let count = ids.len();
            payloads.drain(..count);
            let publications = ids.into_iter().zip(stages);
            taken.extend(publications.map(|(id, stage)| Publication { id, stage }));
            if payloads.is_empty() {
                break;
            }
            if count == 0 {
                // Looked at from time to time, whoever else may have been woken.
                let _ = timeout(LOOK, room).await;
            }
        }
        if let Some(last) = taken.last_mut() {
            last.kept().await?;
        }
        Ok(taken)
    }

    /// Gives up all publications that wait for the service, those of earlier lives included:
    /// they are [dropped](Stage::Dropped), though some may have been sent, and the service may
    /// have them. How many they were. Once the client has [ended
    /// properly](crate::Standard::shutdown), no later life knows of them.
    ///
    /// # Errors
    /// [`PubsubError::Ended`].
    pub async fn give_up(&self) -> Result<usize, PubsubError> {
        let id = self.id;
        let give_up = move |state: &mut State, _| state.give_up(id);
        self.handle.call(give_up).await?.ok_or(PubsubError::Ended)
    }

    /// Names this publisher's items.
    ///
    /// # Errors
    /// [`PubsubError::Ended`].
    pub async fn stream(&self) -> Result<StreamId, PubsubError> {
        Ok(self.look().await?.1)
    }

    /// How many payloads it took so far, in all its lives: the number of the last item. An
    /// application whose payloads have an order goes on from there after a crash.
    ///
    /// # Errors
    /// [`PubsubError::Ended`].
    pub async fn taken(&self) -> Result<u64, PubsubError> {
        let id = self.id;
        let taken = move |state: &mut State, _| state.taken(id);
        self.handle.call(taken).await?.ok_or(PubsubError::Ended)
    }

    /// What it has done in this life.
    ///
    /// # Errors
    /// [`PubsubError::Ended`].
    pub async fn counters(&self) -> Result<PublisherCounters, PubsubError> {
        Ok(self.look().await?.0)
    }

    /// How many publications wait for the service, those of earlier lives included.
    ///
    /// # Errors
    /// [`PubsubError::Ended`].
    pub async fn waiting(&self) -> Result<usize, PubsubError> {
        Ok(self.look().await?.2)
    }

    async fn look(&self) -> Result<(PublisherCounters, StreamId, usize), PubsubError> {
        let id = self.id;
        let look = move |state: &mut State, _| state.publisher(id);
        self.handle.call(look).await?.ok_or(PubsubError::Ended)
    }
}

impl Publication {
    /// The item's id.
    #[must_use]
    pub const fn id(&self) -> &Text {
        &self.id
    }

    /// How far it is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage.borrow().clone()
    }

    /// The stages from now on, as they come; none is passed over but by later ones.
    #[must_use]
    pub fn stages(&self) -> watch::Receiver<Stage> {
        self.stage.clone()
    }

    async fn kept(&mut self) -> Result<(), PubsubError> {
        let kept = self.stage.wait_for(|stage| *stage != Stage::Accepted);
        kept.await.map(drop).map_err(|_| PubsubError::Ended)
    }

    /// Waits until the service has it. There may be no connection for long:
    /// [in doubt](Stage::InDoubt) is no end.
    ///
    /// # Errors
    /// [`NotPublished`].
    pub async fn confirmed(mut self) -> Result<Text, NotPublished> {
        let stage = match self.stage.wait_for(Stage::is_final).await {
            Ok(stage) => stage.clone(),
            Err(_) => return Err(NotPublished::Ended),
        };
        match stage {
            Stage::Refused(reason) => Err(NotPublished::Refused(reason)),
            Stage::Dropped => Err(NotPublished::Dropped),
            _ => Ok(self.id),
        }
    }
}

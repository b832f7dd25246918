//! Where readings go: in messages to a recipient, each of which takes effect there once, or
//! as items of a node.

use std::time::Duration;

use async_trait::async_trait;
use stanchion_reliability::session::{InvalidMessage, Lane, Outgoing, SendError, Sender};
use stanchion_services::pubsub::Publisher;
use stanchion_stanza::payload::delivery::Channel;
use stanchion_stanza::payload::sensordata::Profile;
use stanchion_stanza::{Element, Jid};
use tokio::time::sleep;

use crate::format::to_element;
use crate::json;
use crate::model::{Categories, Sample};

/// Between two tries at a store that fails.
const PAUSE: Duration = Duration::from_secs(1);

/// Somebody who takes readings.
#[async_trait]
pub trait Way: Send + Sync + 'static {
    /// Hands a batch over. Resolves once it is kept there, and so is not lost if this
    /// process ends; waits while there is no room.
    ///
    /// # Errors
    /// [`WayError`].
    async fn hand_over(&self, batch: &[Sample], lane: Lane) -> Result<(), WayError>;
}

/// Why a batch is not kept.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WayError {
    /// Nobody could send it; the next one perhaps.
    #[error("the batch cannot be sent, and is left out: {0}")]
    Refused(String),
    /// Whatever takes them has ended.
    #[error("whoever takes the readings has ended")]
    Ended,
}

/// Messages to a recipient, in the lane of the readings: once, and in order for each lane.
#[derive(Debug, Clone)]
pub struct ToRecipient {
    sender: Sender,
    to: Jid,
    profile: Profile,
    within: Option<Duration>,
    newest_first: bool,
    json: bool,
}

/// The channel of readings whose order does not count.
const UNORDERED: &str = "newest-first";

impl ToRecipient {
    /// To that address, in the words of that profile. With a time, what has not arrived by
    /// then is given up; default: never.
    #[must_use]
    pub const fn new(sender: Sender, to: Jid, profile: Profile, within: Option<Duration>) -> Self {
        Self {
            sender,
            to,
            profile,
            within,
            newest_first: false,
            json: false,
        }
    }

    /// The same, with the readings as [JSON](crate::json) in the message's body, too: for
    /// whoever reads nothing else. One sample is an object, several are an array.
    #[must_use]
    pub const fn with_json(mut self) -> Self {
        self.json = true;
        self
    }

    /// The same, the newest batch first, whatever waits: for positions, say. Lanes then say
    /// nothing.
    #[must_use]
    pub const fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    fn message(&self, batch: &[Sample], lane: Lane) -> Result<(Outgoing, String), InvalidMessage> {
        let element = element_of(batch, self.profile);
        let message = match self.json {
            true => Outgoing::text(self.to.clone(), body(batch))?.with_payload(element),
            false => Outgoing::payload(self.to.clone(), element),
        };
        let message = match Channel::new(UNORDERED) {
            Ok(channel) if self.newest_first => message.unordered(channel),
            _ => message.lane(lane),
        };
        let message = match self.within {
            Some(time) => message.within(time),
            None => message,
        };
        Ok(message.with_id())
    }
}

fn body(batch: &[Sample]) -> String {
    match batch {
        [one] => json::write(one),
        several => serde_json::Value::from_iter(several.iter().map(json::of_sample)).to_string(),
    }
}

#[async_trait]
impl Way for ToRecipient {
    async fn hand_over(&self, batch: &[Sample], lane: Lane) -> Result<(), WayError> {
        let message = self.message(batch, lane);
        let (message, id) = message.map_err(|e| WayError::Refused(e.to_string()))?;
        loop {
            match self.sender.send(message.clone()).await {
                Ok(_) => return Ok(()),
                Err(SendError::Closed) => return Err(WayError::Ended),
                Err(SendError::StoreFailed(error)) => {
                    tracing::warn!(%error, "readings wait for the store");
                }
                Err(SendError::PerhapsKept { source, .. }) => {
                    tracing::warn!(error = %source, "readings wait for the store");
                    sleep(PAUSE).await;
                    while let Err(error) = self.sender.find(&id).await {
                        tracing::debug!(%error, "the store is not back");
                        sleep(PAUSE).await;
                    }
                    if matches!(self.sender.find(&id).await, Ok(Some(_))) {
                        return Ok(());
                    }
                }
                Err(SendError::QueueFull) => {}
                Err(error) => return Err(WayError::Refused(error.to_string())),
            }
            sleep(PAUSE).await;
        }
    }
}

/// Items of a node, published in order and again if it is not known whether they arrived.
#[derive(Debug, Clone)]
pub struct ToNode {
    publisher: Publisher,
    profile: Profile,
}

impl ToNode {
    /// To that node, in the words of that profile.
    #[must_use]
    pub const fn new(publisher: Publisher, profile: Profile) -> Self {
        Self { publisher, profile }
    }
}

#[async_trait]
impl Way for ToNode {
    async fn hand_over(&self, batch: &[Sample], _: Lane) -> Result<(), WayError> {
        let element = element_of(batch, self.profile);
        match self.publisher.publish(element).await {
            Ok(_) => Ok(()),
            Err(error @ stanchion_services::pubsub::PubsubError::Ended) => {
                tracing::debug!(%error, "no more is published");
                Err(WayError::Ended)
            }
            Err(error) => Err(WayError::Refused(error.to_string())),
        }
    }
}

fn element_of(batch: &[Sample], profile: Profile) -> Element {
    to_element(batch, profile, |_, _| Categories::MOMENTARY)
}

//! Publish/subscribe (XEP-0060), at services and at accounts (XEP-0163). The plain requests
//! are in `node`; on top of them stand two reliable ends:
//!
//! - a [`Publisher`] keeps what it is given, publishes in order, and again if it is not
//!   known whether it arrived; items are numbered, so that a repetition replaces itself;
//! - a [`Subscription`] makes one order of what comes live and of what is asked for, each
//!   item once, and says in its place what the node no longer holds. An item is committed
//!   in the transaction of its effect.
//!
//! ```no_run
//! use stanchion_services::pubsub::{PublisherConfig, Pubsub, SubscriptionConfig};
//! use stanchion_stanza::{Element, Jid};
//! # async fn example(pubsub: Pubsub) -> Result<(), Box<dyn std::error::Error>> {
//! let service: Jid = "pubsub.example.org".parse()?;
//! let node = "urn:example:readings".parse::<stanchion_stanza::Text>()?;
//! let config = PublisherConfig::default();
//! let publisher = pubsub.publisher(Some(service.clone()), node.clone(), config).await?;
//! let publication = publisher.publish(Element::new("celsius", "urn:example:readings")).await?;
//! // It is durable here; if it is of interest when the service has it:
//! publication.confirmed().await?;
//!
//! let config = SubscriptionConfig::default();
//! let mut subscription = pubsub.subscribe(Some(service), node, config).await?;
//! let item = subscription.next_item().await?;
//! println!("{}: {:?}", item.id(), item.payload());
//! item.commit().await?;
//! # Ok(()) }
//! ```
//!
//! A subscriber's bare address is subscribed: events go to each available session of the
//! account whose priority is not negative. A device that shares its account with others
//! gets them all the same, as long as the node's notifications are headlines (the default);
//! what is not told to it is found out at the next event, the next session or the next look
//! ([`SubscriptionConfig::check_every`]).

mod contacts;
mod error;
mod node;
mod publisher;
mod state;
mod subscription;

use std::collections::VecDeque;
use std::sync::Arc;

use stanchion_reliability::store::Transactor;
use stanchion_stanza::{Jid, Text};
use tokio::sync::Notify;

pub use contacts::{ContactEvent, Contacts};
pub use error::{PubsubError, Reason};
pub use node::{Configured, Difference, Items, PubsubService};
pub use publisher::{NotPublished, Publication, Publisher};
pub use state::{
    Beginning, Overflow, PUBLISHERS, Place, PublisherConfig, PublisherCounters, SUBSCRIPTIONS,
    Stage, State, StreamId, SubscriptionConfig,
};
pub use subscription::{Gap, Item, ItemError, NodeEvent, Subscription};

use crate::host::Requests;
use crate::slot::Handle;
use state::Wake;
use subscription::Open;

/// Publish/subscribe of a client. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Pubsub {
    handle: Handle<State>,
    requests: Requests,
    store: Transactor,
    /// Told whenever a publisher has room again.
    room: Arc<Notify>,
}

/// How the state machine wakes who waits.
fn waker(notify: &Arc<Notify>) -> Wake {
    let notify = Arc::clone(notify);
    Wake(Box::new(move || notify.notify_waiters()))
}

impl Pubsub {
    /// On top of a host to which a [`State`] was added, and of the store that the host was
    /// started with.
    #[must_use]
    pub fn new(handle: Handle<State>, requests: Requests, store: Transactor) -> Self {
        Self {
            handle,
            requests,
            store,
            room: Arc::new(Notify::new()),
        }
    }

    /// The service of that address: a component, or a contact's account.
    #[must_use]
    pub fn service(&self, at: Jid) -> PubsubService {
        PubsubService {
            requests: self.requests.clone(),
            at: Some(at),
        }
    }

    /// Our own account as a service (XEP-0163).
    #[must_use]
    pub fn own(&self) -> PubsubService {
        PubsubService {
            requests: self.requests.clone(),
            at: None,
        }
    }

    /// The publisher for a node of a service, or of our own account. There is one for each:
    /// what an earlier one still had goes first.
    ///
    /// # Errors
    /// [`PubsubError::TooMany`] and [`PubsubError::Ended`].
    pub async fn publisher(
        &self,
        service: Option<Jid>,
        node: Text,
        config: PublisherConfig,
    ) -> Result<Publisher, PubsubError> {
        let wake = waker(&self.room);
        let entropy = getrandom::u64().map_err(|e| PubsubError::Store(e.to_string()))?;
        let open = move |state: &mut State, _| {
            state.open_publisher(service.as_ref(), &node, config, entropy, wake)
        };
        let id = self.handle.call(open).await??;
        Ok(Publisher {
            handle: self.handle.clone(),
            id,
            room: Arc::clone(&self.room),
        })
    }

    /// Subscribes to a node of a service, of a contact's account, or of our own: from where
    /// the last one was committed. Resolves before the service has answered.
    ///
    /// # Errors
    /// [`PubsubError::AlreadyOpen`], [`PubsubError::TooMany`], [`PubsubError::Store`] and
    /// [`PubsubError::Ended`].
    pub async fn subscribe(
        &self,
        service: Option<Jid>,
        node: Text,
        config: SubscriptionConfig,
    ) -> Result<Subscription, PubsubError> {
        let name = subscription::rows_of(service.as_ref(), &node);
        let kept = Subscription::kept(&self.store, &name).await;
        let kept = kept.map_err(|e| PubsubError::Store(e.to_string()))?;
        let wake = Arc::new(Notify::new());
        let waker = waker(&wake);
        let open = Open::new();
        let is_open = Arc::clone(&open.0);
        let begin = move |state: &mut State, _| {
            state.open_subscription(service, node, config, kept, waker, is_open)
        };
        let id = self.handle.call(begin).await??;
        Ok(Subscription {
            handle: self.handle.clone(),
            id,
            wake,
            store: self.store.clone(),
            name,
            fetched: VecDeque::new(),
            in_hand: subscription::in_hand(),
            _open: open,
        })
    }

    /// Looks out for what contacts publish at their own nodes of that name (XEP-0163): our
    /// capabilities say so, and their servers send it.
    ///
    /// # Errors
    /// [`PubsubError::TooMany`] and [`PubsubError::Ended`].
    pub async fn contacts(&self, node: Text) -> Result<Contacts, PubsubError> {
        let wake = Arc::new(Notify::new());
        let waker = waker(&wake);
        let open = Open::new();
        let is_open = Arc::clone(&open.0);
        let follow = move |state: &mut State, _| state.follow(node, waker, is_open);
        let id = self.handle.call(follow).await??;
        Ok(Contacts {
            handle: self.handle.clone(),
            id,
            wake,
            missed: 0,
            _open: open,
        })
    }
}

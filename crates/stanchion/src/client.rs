//! A running client: a session, the services over it, and nothing more.

use stanchion_connect::Endpoint;
use stanchion_reliability::engine::Counters;
use stanchion_reliability::session::{
    FindError, Outgoing, SendError, Sender, Sent, Session, SessionError, SessionEvent, Status,
    Tracked,
};
use stanchion_services::pubsub::Pubsub;
use stanchion_services::{Requests, Standard};
use stanchion_stanza::BareJid;
use tokio::sync::{broadcast, watch};

use crate::ClientBuilder;

/// A client that keeps itself connected. Dropping it aborts it, as a crash would:
/// nothing that was accepted or acknowledged is lost.
#[derive(Debug)]
pub struct Client {
    // Ends before the session does: fields drop in order.
    services: Standard,
    session: Session,
}

impl Client {
    /// Describes a client of that account.
    pub fn builder(account: BareJid) -> ClientBuilder {
        ClientBuilder::new(account)
    }

    pub(crate) const fn new(session: Session, services: Standard) -> Self {
        Self { services, session }
    }

    /// Hands a message over; resolves once it is durable. Waits while the outbox is
    /// full.
    ///
    /// # Errors
    /// [`SendError`]; the message is then not accepted.
    pub async fn send(&self, message: Outgoing) -> Result<Sent, SendError> {
        self.session.sender().send(message).await
    }

    /// As [`Client::send`], but never waits for room.
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::QueueFull`] if there is no room.
    pub async fn try_send(&self, message: Outgoing) -> Result<Sent, SendError> {
        self.session.sender().try_send(message).await
    }

    /// A message that was given to this client, or to an earlier one on the same store:
    /// see [`Session::find`].
    ///
    /// # Errors
    /// [`FindError`].
    pub async fn find(&self, id: &str) -> Result<Option<Tracked>, FindError> {
        self.session.find(id).await
    }

    /// A handle to send with, for other tasks.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.session.sender()
    }

    /// The connection's status, and its changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.session.status()
    }

    /// Whether a stream is up at the moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        matches!(*self.status().borrow(), Status::Connected { .. })
    }

    /// Where it leads to.
    #[must_use]
    pub fn endpoint(&self) -> Option<Endpoint> {
        match &*self.status().borrow() {
            Status::Connected { endpoint, .. } => Some(endpoint.clone()),
            _ => None,
        }
    }

    /// Observes what happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<SessionEvent> {
        self.session.events()
    }

    /// Counts so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.session.counters()
    }

    /// Asks others: any request of XMPP (RFC 6120 §8.2.3), and its answer.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.services.requests()
    }

    /// Publishes and subscribes (XEP-0060, XEP-0163).
    #[must_use]
    pub fn pubsub(&self) -> Pubsub {
        self.services.pubsub()
    }

    /// Ends the client properly: what is accepted is durable, what is handled is
    /// acknowledged. Messages without outcome stay in the store for the next start.
    ///
    /// # Errors
    /// [`SessionError`] if the session had failed before.
    pub async fn shutdown(self) -> Result<(), SessionError> {
        self.services.shutdown().await;
        self.session.shutdown().await
    }
}

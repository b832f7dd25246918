//! A running client: a session, the services over it, and nothing more.

use secrecy::SecretString;
use stanchion_connect::Endpoint;
#[cfg(feature = "device")]
use stanchion_device::remote::Things;
#[cfg(feature = "device")]
use stanchion_device::{Devices, ThingHost};
use stanchion_reliability::engine::Counters;
use stanchion_reliability::session::{
    FindError, Outgoing, Protection, SendError, Sender, Sent, Session, SessionError, SessionEvent,
    Status, Tracked,
};
use stanchion_reliability::store::Transactor;
use stanchion_services::archive::Archives;
use stanchion_services::blocking::Blocking;
use stanchion_services::chat::Chat;
use stanchion_services::client_state::Attention;
use stanchion_services::commands::Commands;
use stanchion_services::disco::Discovery;
use stanchion_services::last_activity::Activity;
use stanchion_services::presence::Presences;
use stanchion_services::pubsub::Pubsub;
use stanchion_services::registration::{self, RegistrationError};
use stanchion_services::rooms::Rooms;
use stanchion_services::roster::Roster;
use stanchion_services::{Requests, Standard};
use stanchion_stanza::BareJid;
use tokio::sync::{broadcast, watch};

use crate::ClientBuilder;
use crate::component::ComponentBuilder;

/// A client that keeps itself connected. Dropping it aborts it, as a crash would:
/// nothing that was accepted or acknowledged is lost.
#[derive(Debug)]
pub struct Client {
    // These end before the session does: fields drop in order.
    #[cfg(feature = "device")]
    devices: Devices,
    services: Standard,
    session: Session,
    store: Transactor,
}

impl Client {
    /// Describes a client of that account.
    pub fn builder(account: BareJid) -> ClientBuilder {
        ClientBuilder::new(account)
    }

    /// Describes a client that is a whole domain, attached to its server (XEP-0114), and
    /// speaks as that address: the domain, or one there.
    pub fn component(address: BareJid) -> ComponentBuilder {
        ComponentBuilder::new(address)
    }

    pub(crate) const fn new(
        session: Session,
        services: Standard,
        store: Transactor,
        #[cfg(feature = "device")] devices: Devices,
    ) -> Self {
        Self {
            #[cfg(feature = "device")]
            devices,
            services,
            session,
            store,
        }
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

    /// Runs commands of others, and offers our own (XEP-0050).
    #[must_use]
    pub const fn commands(&self) -> &Commands {
        self.services.commands()
    }

    /// Notes that somebody uses us (XEP-0012).
    #[must_use]
    pub const fn activity(&self) -> &Activity {
        self.services.activity()
    }

    /// Gives our account another password, over a stream that is protected from others and
    /// from an impostor alone. The next login needs the new one: end this client, and start
    /// another with it. See
    /// [`change_password`](stanchion_services::registration::change_password).
    ///
    /// # Errors
    /// [`RegistrationError`]; [`RegistrationError::Unprotected`] without such a stream at
    /// the moment.
    pub async fn change_password(&self, password: &SecretString) -> Result<(), RegistrationError> {
        let account = match &*self.status().borrow() {
            Status::Connected {
                jid, protection, ..
            } if protection.meets(Protection::EncryptedAndAuthenticated) => jid.to_bare(),
            _ => return Err(RegistrationError::Unprotected),
        };
        registration::change_password(&self.requests(), &account, password).await
    }

    /// What others are and can do, and what we are (XEP-0030, XEP-0115).
    #[must_use]
    pub fn discovery(&self) -> Discovery {
        self.services.discovery().clone()
    }

    /// The account's contacts, and who sees whose presence (RFC 6121 §2, §3).
    #[must_use]
    pub fn roster(&self) -> Roster {
        self.services.roster().clone()
    }

    /// How we are, as all are told who may see it, and how others are (RFC 6121 §4).
    #[must_use]
    pub fn presences(&self) -> Presences {
        self.services.presences().clone()
    }

    /// Whom the account hears nothing from (XEP-0191).
    #[must_use]
    pub fn blocking(&self) -> Blocking {
        self.services.blocking().clone()
    }

    /// Whether somebody looks at the client, for a server that wants to know (XEP-0352).
    #[must_use]
    pub fn attention(&self) -> Attention {
        self.services.attention().clone()
    }

    /// Multi-user chat (XEP-0045): rooms that stay entered.
    #[must_use]
    pub const fn rooms(&self) -> &Rooms {
        self.services.rooms()
    }

    /// Conversations: messages that are kept in a history, corrected, displayed.
    #[must_use]
    pub const fn chat(&self) -> &Chat {
        self.services.chat()
    }

    /// The account's archive, and what its other devices do.
    #[must_use]
    pub const fn archive(&self) -> &Archives {
        self.services.archive()
    }

    /// Publishes and subscribes (XEP-0060, XEP-0163).
    #[must_use]
    pub fn pubsub(&self) -> Pubsub {
        self.services.pubsub()
    }

    /// The things of others: read, watched and set (XEP-0323, XEP-0325).
    #[cfg(feature = "device")]
    #[must_use]
    pub const fn things(&self) -> &Things {
        self.devices.things()
    }

    /// Our own things, if [`ClientBuilder::things`] was called.
    #[cfg(feature = "device")]
    #[must_use]
    pub const fn thing_host(&self) -> Option<&ThingHost> {
        self.devices.host()
    }

    /// The store's file, or its stand-in in memory, for an application's own tables beside
    /// the messages: see [`Received::commit_with`](stanchion_reliability::session::Received::commit_with).
    #[must_use]
    pub fn store(&self) -> Transactor {
        self.store.clone()
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

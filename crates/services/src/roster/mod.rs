//! The roster (RFC 6121 §2) and subscriptions (§3): who the account's contacts are, and who
//! sees whose presence. The server has it; what it last said is kept, so that little is
//! asked anew (§2.6).

mod contact;
mod orders;
mod state;

use std::collections::BTreeMap;

use stanchion_stanza::payload::roster::{Item, Roster as Query};
use stanchion_stanza::{BareJid, Jid, Payload as _, Text};
use tokio::sync::broadcast;

pub use contact::{Contact, Policy, RosterEvent};
pub use stanchion_stanza::payload::roster::Subscription;
pub use state::Contacts;

use crate::host::Requests;
use crate::request::{Request, RequestError};
use crate::slot::{Ended, Handle};
use orders::Order;

/// The account's contacts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Roster {
    handle: Handle<Contacts>,
    requests: Requests,
}

impl Roster {
    /// The face of a service that was added to a host, and where it asks.
    #[must_use]
    pub const fn new(handle: Handle<Contacts>, requests: Requests) -> Self {
        Self { handle, requests }
    }

    /// Waits until the contacts are those that the server has in this session.
    ///
    /// # Errors
    /// [`RequestError`]: what became of asking for them.
    pub async fn loaded(&self) -> Result<(), RequestError> {
        let asked = self.handle.ask(|state, _, waiter| state.loaded(waiter));
        asked.await.unwrap_or(Err(RequestError::Closed))
    }

    /// The contacts as far as they are known: before the server has answered, those of the
    /// last time.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn contacts(&self) -> Result<Vec<Contact>, Ended> {
        self.handle.call(|state, _| state.all()).await
    }

    /// A contact, if it is one; likewise.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn contact(&self, jid: &Jid) -> Result<Option<Contact>, Ended> {
        let jid = jid.clone();
        self.handle.call(move |state, _| state.one(&jid)).await
    }

    /// Adds a contact, or changes it, with that name and in these groups and no others
    /// (§2.3, §2.4). Subscriptions stay as they are. It shows here when the server has told
    /// all clients of it.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn set(
        &self,
        contact: BareJid,
        name: Option<Text>,
        groups: impl IntoIterator<Item = Text>,
    ) -> Result<(), RequestError> {
        let mut item = Item::new(contact.into());
        item.name = name;
        item.groups = groups.into_iter().collect();
        self.change(item).await
    }

    /// Puts a contact into a group, whatever others it is in; adds it if need be.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn add_to_group(&self, contact: BareJid, group: Text) -> Result<(), RequestError> {
        let mut item = self.current(contact).await?;
        if !item.groups.contains(&group) {
            item.groups.push(group);
        }
        self.change(item).await
    }

    /// Takes a contact out of a group.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn remove_from_group(
        &self,
        contact: BareJid,
        group: &Text,
    ) -> Result<(), RequestError> {
        let mut item = self.current(contact).await?;
        item.groups.retain(|other| other != group);
        self.change(item).await
    }

    /// Gives a contact another name, or none; adds it if need be.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn rename(&self, contact: BareJid, name: Option<Text>) -> Result<(), RequestError> {
        let mut item = self.current(contact).await?;
        item.name = name;
        self.change(item).await
    }

    /// The name and groups that a change begins with.
    async fn current(&self, contact: BareJid) -> Result<Item, RequestError> {
        self.loaded().await?;
        let contact = Jid::from(contact);
        let known = self.contact(&contact).await;
        let known = known.map_err(|Ended| RequestError::Closed)?;
        let mut item = Item::new(contact);
        if let Some(known) = known {
            (item.name, item.groups) = (known.name, known.groups);
        }
        Ok(item)
    }

    /// Removes a contact, and with it all subscriptions, both ways (§2.5).
    ///
    /// # Errors
    /// [`RequestError`]; whom nobody knows cannot be removed.
    pub async fn remove(&self, contact: BareJid) -> Result<(), RequestError> {
        self.change(Item::removal(contact.into())).await
    }

    async fn change(&self, item: Item) -> Result<(), RequestError> {
        let order = Request::set(None, Query::change(item).to_element());
        self.requests.ask(order).await.map(drop)
    }

    /// Asks to see the presence of `contact` (§3.1). Resolves when our server has it; the
    /// answer comes as an event, in its own time, and the contact's
    /// [`subscription`](Contact::subscription) changes.
    ///
    /// This and the other orders below wait for a stream, and are given again on the next
    /// one, by the next process too, until a server has taken them. Once they resolve, they
    /// are never given again.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn subscribe(&self, contact: BareJid) -> Result<(), RequestError> {
        self.order(Order::Subscribe, contact).await
    }

    /// Does not want to see it any more (§3.3).
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn unsubscribe(&self, contact: BareJid) -> Result<(), RequestError> {
        self.order(Order::Unsubscribe, contact).await
    }

    /// Lets `contact` see our presence, for which it has asked (§3.1.4).
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn approve(&self, contact: BareJid) -> Result<(), RequestError> {
        self.order(Order::Approve, contact).await
    }

    /// Does not let `contact` see our presence, or not any more (§3.2).
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn deny(&self, contact: BareJid) -> Result<(), RequestError> {
        self.order(Order::Deny, contact).await
    }

    /// Lets `contact` see our presence as soon as it asks (§3.4).
    ///
    /// # Errors
    /// [`RequestError`]; [`RequestError::NotOffered`] if the server cannot.
    pub async fn approve_in_advance(&self, contact: BareJid) -> Result<(), RequestError> {
        self.order(Order::ApproveInAdvance, contact).await
    }

    async fn order(&self, order: Order, contact: BareJid) -> Result<(), RequestError> {
        let asked = self
            .handle
            .ask(move |state, _, waiter| state.order(order, contact, Some(waiter)));
        asked.await.unwrap_or(Err(RequestError::Closed))
    }

    /// Who asked to see our presence and has no answer, with what they said.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn requests(&self) -> Result<BTreeMap<BareJid, Option<Text>>, Ended> {
        self.handle.call(|state, _| state.requests().clone()).await
    }

    /// What becomes of those who ask, from now on and of those who wait. Default:
    /// [`Policy::Ask`].
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn set_policy(&self, policy: Policy) -> Result<(), Ended> {
        self.handle
            .call(move |state, _| state.set_policy(policy))
            .await
    }

    /// What happens from now on. Lossy: who is more than 256 events behind misses the
    /// oldest, and should look at [`Roster::contacts`] and [`Roster::requests`].
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<RosterEvent> {
        self.handle.events()
    }
}

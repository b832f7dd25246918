//! Multi-user chat (XEP-0045): rooms that are entered once and stay entered, whatever
//! becomes of the connection. What was said in between is read from the room's archive
//! (XEP-0313), or asked for as history where it has none, so that each message is handed
//! over once and in the room's order; what is said while we are out goes out when we are in
//! again. A room that has been quiet is asked whether we are still there (XEP-0410). One that
//! its service has lost meanwhile is opened to others again if it then is what it was; see
//! [`RoomEvent::Locked`].
//!
//! Rooms are remembered in the store: the next process enters them by itself. Take their
//! messages with [`Rooms::join`], as in the process before, or [leave](Room::leave) them.

mod desk;
mod error;
mod event;
mod invitation;
mod message;
mod options;
mod state;

use std::time::Duration;

use stanchion_reliability::session::{Outgoing, Sender, Sent};
use stanchion_stanza::payload::conference::DirectInvite;
use stanchion_stanza::payload::forms::{Form, FormType};
use stanchion_stanza::payload::muc::{
    Admin, Affiliation, Decline, Destroy, Invite, Item, Owner, Role, RoomConfig, User,
};
use stanchion_stanza::stanza::MessageType;
use stanchion_stanza::{BareJid, Element, Jid, Message, Payload as _, Text, ns};
use tokio::sync::broadcast;
use tokio::time::timeout;

pub use desk::RoomsService;
pub use error::{JoinError, RoomError};
pub use event::{Departure, Occupant, RoomEvent};
pub use invitation::{Invitation, Invitations};
pub use message::{RoomMessage, RoomMessages};
pub use options::{JoinOptions, OnConflict, OnCreation, RoomsConfig};

use crate::host::{HostBuilder, Requests};
use crate::request::{Request, RequestError};
use crate::slot::{Ended, Handle};
use desk::Change;

/// How long a room may take to show a change.
const CHANGE: Duration = Duration::from_secs(30);

/// Adds the service to a host that is put together by hand; [`Rooms::new`] makes its face.
pub fn add(builder: &mut HostBuilder, config: RoomsConfig) -> Handle<RoomsService> {
    builder.add(RoomsService::new(config))
}

/// The rooms of this account. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Rooms {
    handle: Handle<RoomsService>,
    requests: Requests,
    sender: Sender,
}

impl Rooms {
    /// The face of the service that [`add`] added; the rest is of the host and the session
    /// that it runs over.
    #[must_use]
    pub const fn new(handle: Handle<RoomsService>, requests: Requests, sender: Sender) -> Self {
        Self {
            handle,
            requests,
            sender,
        }
    }

    /// Enters a room under that nickname. Resolves once we are in it, with the room and its
    /// messages; waits for a connection if there is none, as long as `options` say. From
    /// then on it is entered again in each new session, and by the next process, until it is
    /// [left](Room::leave) or we are thrown out on purpose.
    ///
    /// A room that we are in already is given at once, whatever the nickname; its messages
    /// then come here and no longer where they went before.
    ///
    /// If the future is dropped, the room is entered all the same.
    ///
    /// # Errors
    /// [`JoinError`].
    pub async fn join(
        &self,
        room: BareJid,
        nick: &str,
        options: JoinOptions,
    ) -> Result<(Room, RoomMessages), JoinError> {
        let address = room.with_resource(nick).map_err(|source| JoinError::Nick {
            nick: nick.to_owned(),
            source,
        })?;
        // As the room will show it (RFC 7622 §3.4).
        let nick = address.resource().to_owned();
        let wanted = room.clone();
        let (messages, joined) = self
            .handle
            .call(move |rooms, now| {
                // Before anything can come.
                let messages = rooms.read(&wanted);
                (messages, rooms.join(now, wanted, nick, options))
            })
            .await?;
        joined.await.unwrap_or(Err(JoinError::Ended(Ended)))?;
        let rooms = self.clone();
        Ok((Room { jid: room, rooms }, RoomMessages::new(messages)))
    }

    /// The rooms that are entered, or entered again as soon as that is possible.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn all(&self) -> Result<Vec<Room>, Ended> {
        let jids = self.handle.call(|rooms, _| rooms.state.rooms()).await?;
        let rooms = jids.into_iter().map(|jid| Room {
            jid,
            rooms: self.clone(),
        });
        Ok(rooms.collect())
    }

    /// What happens in all rooms from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<RoomEvent> {
        self.handle.events()
    }

    /// Takes the invitations that come from now on. Without anybody who takes them, those
    /// that have a text go to the application as messages, and others are passed over.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn invitations(&self) -> Result<Invitations, Ended> {
        let take = self.handle.call(|rooms, _| rooms.take_invitations());
        take.await.map(Invitations::new)
    }

    /// Refuses an invitation that came through a room (XEP-0045 §7.8.2).
    ///
    /// # Errors
    /// [`RoomError::Outside`] if there is no connection.
    pub async fn decline(
        &self,
        invitation: &Invitation,
        reason: Option<Text>,
    ) -> Result<(), RoomError> {
        let (room, by) = (invitation.room.clone(), invitation.from.clone());
        self.decline_of(room, by, reason).await
    }

    /// The same, of an invitation of which only the room and who invites are remembered.
    ///
    /// # Errors
    /// [`RoomError::Outside`] if there is no connection.
    pub async fn decline_of(
        &self,
        room: BareJid,
        by: Option<Jid>,
        reason: Option<Text>,
    ) -> Result<(), RoomError> {
        let decline = Decline {
            from: None,
            to: by,
            reason,
        };
        let user = User {
            decline: Some(decline),
            ..User::default()
        };
        let message = to(room.clone().into(), MessageType::Normal, user.to_element());
        self.transmit_anywhere(room, message).await
    }

    async fn transmit_anywhere(&self, room: BareJid, message: Message) -> Result<(), RoomError> {
        let sent = self
            .handle
            .call(move |rooms, _| rooms.state.transmit_anywhere(message))
            .await?;
        sent.then_some(()).ok_or(RoomError::Outside { room })
    }
}

fn to(to: Jid, kind: MessageType, payload: Element) -> Message {
    let mut message = Message::chat(to).with_payload(payload);
    message.kind = kind;
    message
}

/// A room. Cheap to clone; it stays what it is when it is left and entered again.
#[derive(Debug, Clone)]
pub struct Room {
    jid: BareJid,
    rooms: Rooms,
}

impl Room {
    /// Its address.
    #[must_use]
    pub const fn jid(&self) -> &BareJid {
        &self.jid
    }

    // ---- what it is -----------------------------------------------------------------

    /// Our nickname; none while we are not in it.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn nick(&self) -> Result<Option<String>, Ended> {
        let jid = self.jid.clone();
        let nick = move |rooms: &mut RoomsService, _| rooms.state.nick(&jid).map(str::to_owned);
        self.rooms.handle.call(nick).await
    }

    /// Who is in it, as far as the room shows; 5000 at most. None while we are not.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn occupants(&self) -> Result<Vec<Occupant>, Ended> {
        let jid = self.jid.clone();
        let all = move |rooms: &mut RoomsService, _| rooms.state.occupants(&jid);
        self.rooms.handle.call(all).await
    }

    /// Its subject, if it has said what that is.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn subject(&self) -> Result<Option<Text>, Ended> {
        let jid = self.jid.clone();
        let subject = move |rooms: &mut RoomsService, _| rooms.state.subject(&jid);
        self.rooms.handle.call(subject).await
    }

    /// What happens in all rooms from now on; see [`RoomEvent::room`].
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<RoomEvent> {
        self.rooms.events()
    }

    // ---- what is said ---------------------------------------------------------------

    /// Says something. Resolves once it is durable; it goes out when we are in the room.
    /// See [`Mode::Room`](stanchion_reliability::engine::Mode::Room) for what its outcomes
    /// mean: `Acknowledged` is that the room has shown it.
    ///
    /// # Errors
    /// [`RoomError::Send`].
    pub async fn say(&self, body: impl Into<String>) -> Result<Sent, RoomError> {
        let message =
            Outgoing::room(self.jid.clone(), body).map_err(|e| RoomError::Send(e.into()))?;
        self.send(message).await
    }

    /// The same, of a message that was made by [`Outgoing::room`] for this room, with
    /// whatever else it is to have.
    ///
    /// # Errors
    /// [`RoomError::Send`].
    pub async fn send(&self, message: Outgoing) -> Result<Sent, RoomError> {
        Ok(self.rooms.sender.send(message).await?)
    }

    /// Says something to one occupant alone (XEP-0045 §7.5); tried until their client
    /// acknowledges it.
    ///
    /// # Errors
    /// [`RoomError::Nick`] and [`RoomError::Send`].
    pub async fn whisper(&self, nick: &str, body: impl Into<String>) -> Result<Sent, RoomError> {
        let to = self.occupant(nick)?;
        // The delivery protocol is between accounts, which a room hides.
        let message = Outgoing::text(to, body).map_err(|e| RoomError::Send(e.into()))?;
        let mark = Element::new("x", ns::MUC_USER);
        self.send(message.at_least_once().with_payload(mark)).await
    }

    /// Sets the subject (§8.1); an empty one takes it away. Resolves once the room shows it.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn set_subject(&self, subject: Text) -> Result<(), RoomError> {
        let element = Element::new("subject", ns::CLIENT).with_text(subject.clone());
        let jid = Jid::from(self.jid.clone());
        let message = to(jid, MessageType::Groupchat, element);
        self.change(Change::Subject(subject), move |rooms, room| {
            rooms.state.transmit(room, message)
        })
        .await
    }

    /// Takes another nickname (§7.6). Resolves once the room shows it.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn set_nick(&self, nick: &str) -> Result<(), RoomError> {
        let to = self.occupant(nick)?;
        let nick = to.resource().unwrap_or_default().to_owned();
        self.change(Change::Nick(nick.clone()), move |rooms, room| {
            rooms.state.rename(room, &nick)
        })
        .await
    }

    async fn change(
        &self,
        change: Change,
        ask: impl FnOnce(&mut RoomsService, &BareJid) -> bool + Send + 'static,
    ) -> Result<(), RoomError> {
        let room = self.jid.clone();
        let asked = move |rooms: &mut RoomsService, _| {
            let changed = rooms.wait_for(&room, change);
            ask(rooms, &room).then_some(changed)
        };
        let Some(changed) = self.rooms.handle.call(asked).await? else {
            return Err(self.outside());
        };
        let room = self.jid.clone();
        match timeout(CHANGE, changed).await {
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => Err(RoomError::Refused { room, error }),
            Ok(Err(_)) => Err(RoomError::Ended(Ended)),
            Err(_) => Err(RoomError::TimedOut { room }),
        }
    }

    // ---- whom it lets do what -------------------------------------------------------

    /// Removes an occupant (§8.2); for moderators.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn kick(&self, nick: &str, reason: Option<Text>) -> Result<(), RoomError> {
        self.set_role(nick, Role::None, reason).await
    }

    /// Gives an occupant another role (§8.3, §8.4, §9.6): to be heard
    /// ([`Role::Participant`]), to be silent ([`Role::Visitor`]), to moderate.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn set_role(
        &self,
        nick: &str,
        role: Role,
        reason: Option<Text>,
    ) -> Result<(), RoomError> {
        let nick = self.occupant(nick)?;
        let item = Item {
            nick: nick.resource().and_then(|nick| Text::new(nick).ok()),
            role: Some(role),
            reason,
            ..Item::default()
        };
        self.order(Admin { items: vec![item] }.to_element()).await
    }

    /// Bans an account (§9.1); for admins.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn ban(&self, account: &BareJid, reason: Option<Text>) -> Result<(), RoomError> {
        self.set_affiliation(account, Affiliation::Outcast, reason)
            .await
    }

    /// Makes an account something else to the room (§9.3 to §10.6).
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn set_affiliation(
        &self,
        account: &BareJid,
        affiliation: Affiliation,
        reason: Option<Text>,
    ) -> Result<(), RoomError> {
        let item = Item {
            jid: Some(account.clone().into()),
            affiliation: Some(affiliation),
            reason,
            ..Item::default()
        };
        self.order(Admin { items: vec![item] }.to_element()).await
    }

    /// Who has that affiliation (§9.2, §9.5, §10.5, §10.8).
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn with_affiliation(&self, affiliation: Affiliation) -> Result<Vec<Item>, RoomError> {
        self.list(Item {
            affiliation: Some(affiliation),
            ..Item::default()
        })
        .await
    }

    /// Who in the room has that role (§8.5, §9.8).
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn with_role(&self, role: Role) -> Result<Vec<Item>, RoomError> {
        self.list(Item {
            role: Some(role),
            ..Item::default()
        })
        .await
    }

    async fn list(&self, item: Item) -> Result<Vec<Item>, RoomError> {
        let query = Admin { items: vec![item] }.to_element();
        let request = Request::get(Some(self.jid.clone().into()), query);
        let admin: Admin = self.rooms.requests.ask_for(request).await?;
        Ok(admin.items)
    }

    async fn order(&self, query: Element) -> Result<(), RoomError> {
        let request = Request::set(Some(self.jid.clone().into()), query);
        self.rooms.requests.ask(request).await?;
        Ok(())
    }

    // ---- the room itself ------------------------------------------------------------

    /// Its configuration, to be filled in (§10.2); for owners. [`RoomConfig::from_form`]
    /// reads the usual fields.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn configuration(&self) -> Result<Form, RoomError> {
        let request = Request::get(Some(self.jid.clone().into()), Owner::Ask.to_element());
        match self.rooms.requests.ask_for(request).await? {
            Owner::Configure(form) => Ok(form),
            _ => Err(RequestError::Unreadable("a room without form".to_owned()).into()),
        }
    }

    /// Configures it (§10.2); what is absent stays as it is.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn configure(&self, config: &RoomConfig) -> Result<(), RoomError> {
        self.submit(config.to_form(FormType::Submit)).await
    }

    /// The same, with a form that was filled in by hand.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn submit(&self, form: Form) -> Result<(), RoomError> {
        self.order(Owner::Configure(form).to_element()).await
    }

    /// Ends the room for all (§10.9); for owners.
    ///
    /// # Errors
    /// [`RoomError`].
    pub async fn destroy(&self, destroy: Destroy) -> Result<(), RoomError> {
        self.order(Owner::Destroy(destroy).to_element()).await
    }

    // ---- who else is to come --------------------------------------------------------

    /// Has the room invite somebody (§7.8.2).
    ///
    /// # Errors
    /// [`RoomError::Outside`].
    pub async fn invite(&self, whom: Jid, reason: Option<Text>) -> Result<(), RoomError> {
        let invite = Invite {
            to: Some(whom),
            reason,
            ..Invite::default()
        };
        let user = User {
            invites: vec![invite],
            ..User::default()
        };
        let jid = Jid::from(self.jid.clone());
        let message = to(jid, MessageType::Normal, user.to_element());
        let room = self.jid.clone();
        let sent = self
            .rooms
            .handle
            .call(move |rooms, _| rooms.state.transmit(&room, message))
            .await?;
        sent.then_some(()).ok_or_else(|| self.outside())
    }

    /// Invites somebody without the room (XEP-0249): for a room that lets nobody but
    /// members in, or where the room's own invitations are not let through.
    ///
    /// # Errors
    /// [`RoomError::Outside`] if there is no connection.
    pub async fn invite_directly(&self, whom: Jid, reason: Option<Text>) -> Result<(), RoomError> {
        let invite = DirectInvite {
            reason,
            ..DirectInvite::to(self.jid.clone().into())
        };
        let message = to(whom, MessageType::Normal, invite.to_element());
        self.rooms
            .transmit_anywhere(self.jid.clone(), message)
            .await
    }

    /// Leaves for good: the room is not entered again. What it had said and was not taken
    /// yet can still be taken; what is not committed comes to the application after the next
    /// start.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn leave(self) -> Result<(), Ended> {
        let jid = self.jid;
        let leave = move |rooms: &mut RoomsService, _| rooms.leave(&jid, None);
        self.rooms.handle.call(leave).await
    }

    fn occupant(&self, nick: &str) -> Result<Jid, RoomError> {
        let jid = self.jid.with_resource(nick);
        jid.map(Jid::from).map_err(|source| RoomError::Nick {
            text: nick.to_owned(),
            source,
        })
    }

    fn outside(&self) -> RoomError {
        let room = self.jid.clone();
        RoomError::Outside { room }
    }
}

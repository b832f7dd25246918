//! The router: sessions, and where each stanza goes (RFC 6121 §8). Pure state: no
//! sockets, no clock, no random source, no disk.
//!
//! Feed [`Input`]s with the time to [`Router::handle`], then take [`Output`]s from
//! [`Router::poll_output`] until it says [`Output::Wait`]. Carry them out in order: what
//! is to be persisted comes before the bytes that tell somebody of it.
//!
//! ```text
//! Authenticated --bind--> Bound --close--> gone
//!       |                  |  ^
//!       | resume      lost |  | resume
//!       +---------------> Hibernating --timeout--> gone, messages redirected
//! ```
//!
//! One file for each concern: `session` binds and ends, `nonza` and `management` are XEP-0198,
//! `message`, `presence`, `subscription` and `iq` route, `redirect` finds new places
//! for what a session leaves, `outbound` and `offline` are its queues of `letter`s,
//! `roster` is data, `keeping` what outlives the hub, `account` is its end, and `blocking` stops what an account does not
//! want. `archive` keeps what was said, and `copies` tells an account's other sessions of it.
//! `rooms` and `pubsub` are services of their own, `component` is a program's.
//! Logging in happens before, in [`stream`](crate::stream).

mod account;
mod archive;
mod blocking;
mod component;
mod contacts;
mod copies;
mod iq;
mod keeping;
mod letter;
mod management;
mod message;
mod nonza;
mod offline;
mod outbound;
mod presence;
mod pubsub;
mod redirect;
mod rooms;
mod roster;
mod session;
mod subscription;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};
use stanchion_stanza::stream::{StreamCondition, StreamError};
use stanchion_stanza::{
    BareJid, Element, Encoder, Iq, Jid, Payload as _, Scope, Stanza, Text, codec::EncodeError,
};

use crate::limits::HubLimits;
use archive::Archive;
use component::Component;
pub use keeping::{ArchivedMessage, Keeping, Persist, StoredMessage};
use letter::Letter;
use offline::Offline;
pub use offline::StoredId;
use outbound::Held;
use rooms::{Effects, Rooms};
use roster::Roster;
use session::{Session, Tombstone};

/// Names one connection, for as long as the hub runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(pub u64);

/// Names one session; it may outlive several connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(u64);

/// The time, as the caller's two clocks tell it.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For deadlines; never goes back.
    pub monotonic: Instant,
    /// For the stamps on delayed messages.
    pub wall: SystemTime,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client closed its stream: the session is over (XEP-0198 §5).
    Closed,
    /// It broke: the session may be resumed.
    Lost,
}

/// What happened.
#[derive(Debug)]
pub enum Input {
    /// A client proved to be an account, restarted its stream and got its features.
    Authenticated {
        /// Its connection, not used before.
        connection: ConnectionId,
        /// Localpart of its account, prepared (RFC 7622 §3.3).
        account: String,
        /// Random bytes, for a resource and the id to resume by.
        entropy: [u8; 24],
    },
    /// The component proved that it knows the secret.
    Attached {
        /// Its connection, not used before.
        connection: ConnectionId,
    },
    /// An account was made, before anybody logged in to it.
    Registered {
        /// Its localpart, prepared (RFC 7622 §3.3).
        account: String,
    },
    /// It sent a top-level element.
    Element {
        /// Its connection.
        connection: ConnectionId,
        /// What it sent.
        element: Element,
    },
    /// It sent a request about its account, which was decided outside.
    Account {
        /// Its connection.
        connection: ConnectionId,
        /// What it sent.
        request: Box<Iq>,
        /// What to answer.
        answer: Result<Option<Element>, StanzaError>,
        /// The account, if it is no more.
        ended: Option<String>,
    },
    /// What [`Output::Send`] gave was written.
    Written {
        /// To this connection.
        connection: ConnectionId,
    },
    /// A connection ended, other than by [`Output::Close`].
    Ended {
        /// The connection.
        connection: ConnectionId,
        /// Whether the session goes with it.
        ending: Ending,
    },
    /// A deadline of [`Output::Wait`] may have passed.
    Tick,
    /// The hub goes down: all sessions end, their messages go to offline storage.
    Shutdown,
}

/// What to do.
#[derive(Debug)]
pub enum Output {
    /// Change offline storage, for good, before any later output is carried out.
    Persist(Persist),
    /// Write bytes to a connection, then say [`Input::Written`]. There is never more
    /// than one such order open for a connection.
    Send {
        /// The connection.
        connection: ConnectionId,
        /// Whole elements.
        bytes: Vec<u8>,
    },
    /// Send the error, if any, close the stream, and forget the connection; what it
    /// still sends is not to be fed any more.
    Close {
        /// The connection.
        connection: ConnectionId,
        /// Why.
        error: Option<Box<StreamError>>,
    },
    /// Nothing to do until there is input, or until this time.
    Wait(Option<Instant>),
}

/// What the router is made for.
#[derive(Debug, Clone)]
pub struct RouterConfig {
    /// The domain served.
    pub domain: Jid,
    /// Localparts of the accounts, prepared.
    pub accounts: Vec<String>,
    /// Whether there are requests about accounts (XEP-0077), which are decided outside: they
    /// are told of as a feature of the server.
    pub registers: bool,
    /// The bounds.
    pub limits: HubLimits,
    /// How long a session without connection is kept. 0: there is no resumption.
    pub resume_timeout: Duration,
}

/// The state of all sessions and accounts.
#[derive(Debug)]
pub struct Router {
    domain: Jid,
    limits: HubLimits,
    registers: bool,
    resume_timeout: Duration,
    encoder: Encoder,
    accounts: BTreeMap<String, Account>,
    rooms: Rooms,
    component: Option<Component>,
    sessions: BTreeMap<SessionId, Session>,
    connections: BTreeMap<ConnectionId, Connection>,
    by_resumption: HashMap<Text, SessionId>,
    tombstones: VecDeque<Tombstone>,
    next_session: u64,
    next_stored: u64,
    next_push: u64,
    outputs: VecDeque<Output>,
    /// Connections that may have something to be sent.
    dirty: BTreeSet<ConnectionId>,
    /// Sessions whose queues changed and whose bounds are to be looked at.
    touched: BTreeSet<SessionId>,
    nodes: pubsub::Nodes,
    /// Accounts whose rosters may have changed.
    rosters: BTreeSet<String>,
}

#[derive(Debug, Default)]
struct Account {
    sessions: Vec<SessionId>,
    roster: Roster,
    /// What of it is kept.
    records: contacts::Records,
    /// Whom it does not want to hear from (XEP-0191), and under which name that is kept.
    blocked: BTreeMap<Jid, StoredId>,
    offline: Offline,
    archive: Archive,
}

#[derive(Debug)]
struct Connection {
    account: String,
    stage: Stage,
    /// What goes out ahead of stanzas: elements that no other connection must get.
    control: Vec<u8>,
    /// A `Send` was given out, and is not yet written.
    in_flight: bool,
    /// Stanzas in it that nobody will acknowledge.
    unmanaged: usize,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    Unbound {
        deadline: Instant,
        entropy: [u8; 24],
    },
    Bound(SessionId),
}

/// Where an address leads.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    /// The hub itself.
    Server,
    /// Its publish/subscribe service.
    Pubsub,
    /// An account: localpart.
    Account(String),
    /// A session.
    Session(SessionId),
    /// A full address of an account without such a session.
    Absent(String),
    /// No account of that name.
    Nobody,
    /// A room, or their service.
    Rooms,
    /// The component, which is not attached.
    Detached,
    /// Another domain.
    Elsewhere,
}

/// What became of a message. Every message has exactly one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is in the queue of one or more sessions.
    Delivered,
    /// It is in offline storage.
    Stored,
    /// The sender was told.
    Bounced,
    /// A rule says to drop it.
    Dropped,
}

impl Router {
    /// Bytes of one `Send`, about: enough for a few full segments, little enough to
    /// be written soon.
    const CHUNK: usize = 32 * 1024;
    /// Bytes of answers to elements that are no stanzas that may wait.
    const CONTROL: usize = 16 * 1024;

    /// A router without sessions, with what offline storage holds. Messages for
    /// accounts that are gone are removed.
    #[must_use]
    pub fn new(config: RouterConfig, stored: Vec<StoredMessage>) -> Self {
        let mut router = Self {
            encoder: Encoder::new(Scope::client(), config.limits.outbound()),
            rooms: Rooms::new(&config.domain, config.limits),
            domain: config.domain,
            component: None,
            limits: config.limits,
            registers: config.registers,
            resume_timeout: config.resume_timeout,
            accounts: config
                .accounts
                .into_iter()
                .map(|name| (name, Account::default()))
                .collect(),
            sessions: BTreeMap::new(),
            connections: BTreeMap::new(),
            by_resumption: HashMap::new(),
            tombstones: VecDeque::new(),
            next_session: 0,
            next_stored: 0,
            next_push: 0,
            outputs: VecDeque::new(),
            dirty: BTreeSet::new(),
            touched: BTreeSet::new(),
            nodes: pubsub::Nodes::default(),
            rosters: BTreeSet::new(),
        };
        // What was said needs the room, and an item its node.
        let (rooms, rest): (Vec<_>, Vec<_>) = (stored.into_iter())
            .partition(|stored| matches!(stored.keeping, Keeping::Room | Keeping::Node));
        for message in rooms.into_iter().chain(rest) {
            router.next_stored = router.next_stored.max(message.id.0 + 1);
            if message.keeping == Keeping::Contact {
                router.restore_contact(message);
                continue;
            }
            if message.keeping == Keeping::Blocked {
                router.restore_blocked(&message);
                continue;
            }
            if matches!(message.keeping, Keeping::Node | Keeping::NodePart) {
                router.restore_node(&message);
                continue;
            }
            if message.keeping != Keeping::Offline {
                if let Err(id) = router.rooms.restore(message) {
                    router
                        .outputs
                        .push_back(Output::Persist(Persist::Remove(id)));
                }
                continue;
            }
            match router.accounts.get_mut(&message.account) {
                Some(account) => {
                    let letter = Letter::new(message.stanza);
                    account.offline.push(message.id, letter, message.since);
                }
                None => router
                    .outputs
                    .push_back(Output::Persist(Persist::Remove(message.id))),
            }
        }
        router
    }

    /// Takes one input. What follows from it comes from [`Router::poll_output`].
    pub fn handle(&mut self, now: Now, input: Input) {
        match input {
            Input::Authenticated {
                connection,
                account,
                ..
            } if !self.accounts.contains_key(&account) => {
                // It ended after the login.
                self.outputs.push_back(Output::Close {
                    connection,
                    error: Some(Box::new(account::ended())),
                });
            }
            Input::Authenticated {
                connection,
                account,
                entropy,
            } => {
                let deadline = now.monotonic + self.limits.login_time;
                let stage = Stage::Unbound { deadline, entropy };
                let fresh = Connection {
                    account,
                    stage,
                    control: Vec::new(),
                    in_flight: false,
                    unmanaged: 0,
                };
                self.connections.insert(connection, fresh);
            }
            Input::Attached { connection } => self.attach(now, connection),
            Input::Registered { account } => {
                self.accounts.entry(account).or_default();
            }
            Input::Element {
                connection,
                element,
            } => self.element(now, connection, element),
            Input::Account {
                connection,
                request,
                answer,
                ended,
            } => {
                self.about_account(now, connection, *request, answer);
                if let Some(account) = ended {
                    self.end_account(now, connection, &account);
                }
            }
            Input::Written { connection } => self.written(connection),
            Input::Ended { connection, ending } => self.ended(now, connection, ending),
            Input::Tick => self.tick(now),
            Input::Shutdown => self.shutdown(now),
        }
        self.keep_rosters(now);
        self.keep_nodes(now);
        self.settle(now);
    }

    /// The next thing to do; [`Output::Wait`] if there is none.
    pub fn poll_output(&mut self) -> Output {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        while let Some(connection) = self.dirty.pop_first() {
            if let Some(bytes) = self.chunk(connection) {
                return Output::Send { connection, bytes };
            }
        }
        Output::Wait(self.deadline())
    }

    /// What one client sent.
    fn element(&mut self, now: Now, connection: ConnectionId, element: Element) {
        let Some(state) = self.connections.get(&connection) else {
            return;
        };
        match state.stage {
            Stage::Unbound { .. } => self.unbound_element(now, connection, element),
            Stage::Bound(session) => {
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.heard = now.monotonic;
                    session.probed = false;
                }
                if !Stanza::is_stanza(&element) {
                    return self.nonza(now, connection, session, &element);
                }
                self.stanza(now, session, element);
                if let Some(session) = self.sessions.get_mut(&session) {
                    session.count_inbound();
                }
            }
        }
    }

    /// A stanza of a bound session: checks and stamps the sender, then routes.
    fn stanza(&mut self, now: Now, id: SessionId, mut element: Element) {
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        if session.component {
            return self.component_stanza(now, id, element);
        }
        let own = &session.address;
        // RFC 6120 §8.1.2.1, rule 1.
        if let Some(from) = element.attr("from")
            && !Jid::new(from).is_ok_and(|from| from == **own || from == *own.to_bare())
        {
            let error = StreamError::new(StreamCondition::InvalidFrom);
            return self.close_session(now, id, error);
        }
        element.set_attr("from", &**own);
        let raw = RawHeader::of(&element);
        match Stanza::from_element(element) {
            Ok(stanza) if self.is_blocked(now, id, &stanza) => {}
            Ok(Stanza::Message(message)) => {
                self.sent(now, id, message);
            }
            Ok(Stanza::Presence(presence)) => self.presence(now, id, presence),
            Ok(Stanza::Iq(iq)) => self.iq(now, id, iq),
            Err(_) => self.refuse_malformed(now, id, raw),
        }
    }

    /// RFC 6120 §8.3.3.1 and §8.3.3.8. Errors and results are never answered.
    fn refuse_malformed(&mut self, now: Now, id: SessionId, raw: RawHeader) {
        if matches!(raw.kind.as_deref(), Some("error" | "result")) {
            return;
        }
        let bad_address = raw.to.is_some_and(|to| Jid::new(&to).is_err());
        let condition = if bad_address {
            DefinedCondition::JidMalformed
        } else {
            DefinedCondition::BadRequest
        };
        let Some(session) = self.sessions.get(&id) else {
            return;
        };
        let own = session.address.to_bare();
        let from = match session.component {
            true => &self.domain,
            false => &own,
        };
        let error = Element::new(raw.name, stanchion_stanza::ns::CLIENT)
            .with_attr("from", from)
            .with_attr_opt("to", raw.from)
            .with_attr_opt("id", raw.id)
            .with_attr("type", Text::from_static("error"))
            .with_child(StanzaError::new(ErrorType::Modify, condition).to_element());
        // An answer of fixed size, but for an id that was within the limits.
        let _ = self.enqueue(now, id, &error);
    }

    /// Where `to` leads.
    fn locate(&self, to: &Jid) -> Place {
        if to.domain() != self.domain.domain() {
            if let Some(component) = self.component.as_ref().filter(|c| c.has(to)) {
                return component.session.map_or(Place::Detached, Place::Session);
            }
            if self.rooms.has(to) {
                return Place::Rooms;
            }
            let below = to.domain().strip_suffix(self.domain.domain());
            let label = below.and_then(|label| label.strip_suffix('.'));
            return match (label, to.local()) {
                (Some(pubsub::LABEL), None) => Place::Pubsub,
                _ => Place::Elsewhere,
            };
        }
        let Some(local) = to.local() else {
            return Place::Server;
        };
        let Some(account) = self.accounts.get(local) else {
            return Place::Nobody;
        };
        match to.resource() {
            None => Place::Account(local.to_owned()),
            Some(resource) => {
                let found = account.sessions.iter().find(|id| {
                    self.sessions
                        .get(id)
                        .is_some_and(|s| s.address.resource() == resource)
                });
                match found {
                    Some(id) => Place::Session(*id),
                    None => Place::Absent(local.to_owned()),
                }
            }
        }
    }

    /// To a room, and what follows from it.
    fn tell_rooms(&mut self, now: Now, stanza: impl Into<Stanza>) {
        let next = &mut self.next_stored;
        let effects = self.rooms.take(now.wall, next, stanza.into());
        self.carry_out(now, effects);
    }

    /// A session is gone from all rooms.
    fn gone_from_rooms(&mut self, now: Now, session: &Jid) {
        let effects = self.rooms.gone(now.wall, &mut self.next_stored, session);
        self.carry_out(now, effects);
    }

    fn carry_out(&mut self, now: Now, effects: Effects) {
        let persist = effects.persist.into_iter().map(Output::Persist);
        self.outputs.extend(persist);
        for stanza in effects.stanzas {
            match stanza {
                // To sessions, or by invitation to an account: never back to a room.
                Stanza::Message(message) => {
                    let to = message.header.to.as_ref();
                    if to.is_some_and(|to| !self.rooms.has(to)) {
                        self.message(now, message);
                    }
                }
                Stanza::Presence(presence) => {
                    self.deliver_to(now, &presence.header, &presence.to_element())
                }
                Stanza::Iq(iq) => self.deliver_to(now, &iq.header, &iq.to_element()),
            }
        }
    }

    /// To a session, if it is there.
    fn deliver_to(
        &mut self,
        now: Now,
        header: &stanchion_stanza::stanza::Header,
        element: &Element,
    ) {
        if let Some(Place::Session(id)) = header.to.as_ref().map(|to| self.locate(to)) {
            // What is too large with what a room adds does not arrive.
            let _ = self.enqueue(now, id, element);
        }
    }

    /// The bare address of an account.
    fn bare(&self, local: &str) -> Option<BareJid> {
        Jid::from_parts(Some(local), self.domain.domain(), None)
            .ok()
            .map(|jid| jid.to_bare())
    }

    fn letter(&self, element: &Element) -> Result<Arc<Letter>, EncodeError> {
        self.encoder.to_bytes(element).map(Letter::new)
    }

    /// Puts a stanza into a session's queue.
    fn enqueue(&mut self, now: Now, id: SessionId, element: &Element) -> Result<(), EncodeError> {
        let letter = self.letter(element)?;
        self.enqueue_letter(id, letter, now.wall, None);
        Ok(())
    }

    fn enqueue_letter(
        &mut self,
        id: SessionId,
        letter: Arc<Letter>,
        since: SystemTime,
        stored: Option<StoredId>,
    ) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.outbound.push(Held {
                letter,
                since,
                stored,
                own: false,
            });
            self.touched.insert(id);
        }
    }

    /// The same, with a stanza that is worth nothing to any other session: a copy of a
    /// message that has gone its way, a page of an archive.
    fn enqueue_own(&mut self, id: SessionId, letter: Arc<Letter>, since: SystemTime) {
        if let Some(session) = self.sessions.get_mut(&id) {
            session.outbound.push(Held {
                letter,
                since,
                stored: None,
                own: true,
            });
            self.touched.insert(id);
        }
    }

    /// Looks at the bounds of the queues that grew, and fills those that have room
    /// again. Ends: a session that goes over is gone, and its messages find a place.
    fn settle(&mut self, now: Now) {
        while let Some(id) = self.touched.pop_first() {
            self.check_bounds(now, id);
            self.hand_out_stored(id);
            if let Some(connection) = self.sessions.get(&id).and_then(Session::connection) {
                self.dirty.insert(connection);
            }
        }
    }

    /// The next bytes for a connection that waits for none.
    fn chunk(&mut self, id: ConnectionId) -> Option<Vec<u8>> {
        let connection = self.connections.get_mut(&id)?;
        if connection.in_flight {
            return None;
        }
        let mut bytes = std::mem::take(&mut connection.control);
        if let Stage::Bound(session) = connection.stage
            && let Some(session) = self.sessions.get_mut(&session)
        {
            connection.unmanaged = session.send(&mut bytes, Self::CHUNK, &self.encoder);
        }
        if bytes.is_empty() {
            return None;
        }
        connection.in_flight = true;
        Some(bytes)
    }

    fn written(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        connection.in_flight = false;
        let count = std::mem::take(&mut connection.unmanaged);
        self.dirty.insert(id);
        if let Stage::Bound(session) = connection.stage {
            self.arrived(session, count);
        }
    }

    /// Queues an element that is no stanza, or precedes all stanzas.
    fn control(&mut self, id: ConnectionId, element: &Element) {
        let Some(connection) = self.connections.get_mut(&id) else {
            return;
        };
        // Small and fixed, but for an id that the client chose within the limits; if it
        // does not fit, the client gets no answer.
        let _ = self.encoder.element(element, &mut connection.control);
        self.dirty.insert(id);
        if connection.control.len() > Self::CONTROL {
            let text = Text::from_static("read the answers before you ask for more");
            let error = StreamError::new(StreamCondition::PolicyViolation).with_text(text);
            self.drop_connection(id, Some(error));
        }
    }

    /// Closes a connection; what becomes of its session is the caller's.
    fn drop_connection(&mut self, connection: ConnectionId, error: Option<StreamError>) {
        if self.connections.remove(&connection).is_some() {
            self.outputs.push_back(Output::Close {
                connection,
                error: error.map(Box::new),
            });
        }
    }

    /// How many messages wait for an account, delivered but unacknowledged ones
    /// included.
    #[must_use]
    pub fn stored(&self, account: &str) -> usize {
        self.accounts.get(account).map_or(0, |a| a.offline.len())
    }

    /// Sessions, hibernating ones included.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }
}

/// What an answer to a stanza needs that could not be read.
struct RawHeader {
    name: &'static str,
    kind: Option<String>,
    /// The sender's, as it is stamped on it.
    from: Option<Text>,
    to: Option<String>,
    id: Option<Text>,
}

impl RawHeader {
    fn of(element: &Element) -> Self {
        Self {
            name: match element.name() {
                "presence" => "presence",
                "iq" => "iq",
                _ => "message",
            },
            kind: element.attr("type").map(str::to_owned),
            from: element.attr_value("from").cloned(),
            to: element.attr("to").map(str::to_owned),
            id: element.attr_value("id").cloned(),
        }
    }
}

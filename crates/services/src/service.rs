//! The seam: what a service is made of, without sockets, clock, store or runtime. Two
//! verbs and one law, as everywhere in this house: [`Service::handle`], then
//! [`Service::poll_output`] until it says [`Output::Wait`]. Who feeds it is `host`.

use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_reliability::session::{Received, Up};
use stanchion_stanza::payload::disco::{DiscoInfo, Item};
use stanchion_stanza::{BareJid, Element, Message, Stanza, Text};

use crate::history::Note;
use crate::request::RequestError;

pub use crate::request::{Request, RequestKind};

/// A service over a session: a part of it that keeps a state of its own.
///
/// What merely asks and is answered needs none: see [`Requests`](crate::Requests).
pub trait Service: Send + 'static {
    /// What its rows in the store are named by, and its lines in the log. Fixed for ever.
    const NAME: &'static str;

    /// What it tells observers.
    type Event: Clone + Send + 'static;

    /// What it announces to others in service discovery (XEP-0030). Asked for at the
    /// start, and after [`Output::Announce`]. Default: nothing.
    fn features(&self) -> Vec<Text> {
        Vec::new()
    }

    /// The nodes that it has in service discovery. Asked for when the features are.
    /// Default: none.
    fn nodes(&self) -> Vec<Node> {
        Vec::new()
    }

    /// A row that it kept in an earlier life, before anything is handled. One that cannot
    /// be read is left out; the service does without.
    fn restore(&mut self, key: &str, value: &[u8]) {
        let _ = (key, value);
    }

    /// Takes one thing in. Stanzas are offered to the services in turn until one takes it;
    /// for other inputs the answer means nothing.
    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken;

    /// What is to be done, in this order.
    fn poll_output(&mut self) -> Output<Self::Event>;

    /// Whether a received message that is kept is this service's: then it goes to whoever
    /// got the receiver from
    /// [`HostBuilder::add_claiming`](crate::HostBuilder::add_claiming), or, without one, to
    /// [`deliver`](Self::deliver), in place of the application's receiver. Default: none.
    fn claims(&self, message: &Message) -> bool {
        let _ = message;
        false
    }

    /// Takes a message that it claims, for a service that hands them on to many receivers.
    /// Whoever acts on it in the end says [`Received::begin`] first.
    ///
    /// # Errors
    /// The message, if there is nobody for it: then it is the application's. Default: so.
    // Nothing is lost on the way back, and the host has a place for it.
    #[allow(clippy::result_large_err)]
    fn deliver(&mut self, now: Now, received: Received) -> Result<(), Received> {
        let _ = now;
        Err(received)
    }
}

/// A node of ours in service discovery: something below our address that others can ask
/// about (XEP-0030 §3.2, §4.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Node {
    /// Its name.
    pub name: Text,
    /// What it is; its [`DiscoInfo::node`] is set when it is told.
    pub info: DiscoInfo,
    /// What it has.
    pub items: Vec<Item>,
    /// Whether it is among our own items, under the name of its first identity.
    pub listed: bool,
}

/// Whether a stanza was this service's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// Nobody else needs to see it. A request that was taken is answered by its taker.
    Yes,
    /// It is offered to the next one. A request that nobody takes is answered with
    /// `service-unavailable` (RFC 6120 §8.4).
    No,
}

/// What a service is told.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input<'a> {
    /// What we are in service discovery, all services together: before the first stream,
    /// and when it changed.
    Info(&'a DiscoInfo),
    /// The nodes that we have in service discovery, all services together: likewise.
    Nodes(&'a [Node]),
    /// A stream is up.
    Up(&'a Up),
    /// It is lost.
    Down,
    /// Presence, a request of somebody, or a message that is not kept. Answers to requests
    /// of ours are not among them.
    Stanza(&'a Stanza),
    /// What became of [`Output::Request`].
    Answer {
        /// From there.
        tag: u64,
        /// The result's child, if it has one.
        answer: Result<Option<Element>, RequestError>,
    },
    /// A message that is kept is about to be handed over, whoever it goes to: it is
    /// durable. For a look at it; one may pass by again after a restart. Nobody has
    /// [begun](stanchion_reliability::session::Received::begin) it yet: one that ends the
    /// process here does so again.
    Received(&'a Message),
    /// [`Output::Keep`] is durable.
    Kept {
        /// From there.
        tag: u64,
    },
    /// So many messages of [`Output::Archived`], from the first on, are kept.
    Archived {
        /// From there.
        tag: u64,
        /// The rest is to be given again, after a while: there is no room now.
        taken: usize,
    },
    /// What became of [`Output::EnterRoom`].
    Entered {
        /// From there.
        tag: u64,
        /// If not, the archive is to be read on.
        entered: bool,
    },
    /// A contact that sees our presence lets us see its own now:
    /// [`Output::Mutual`] of another service.
    Mutual(&'a BareJid),
    /// Time has passed.
    Tick,
}

/// What a service wants done.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output<E> {
    /// Send it on the stream that is up; without one it is dropped.
    Transmit(Stanza),
    /// The same with an element that is no stanza (RFC 6120 §4.8.4); the server knows
    /// what it means, and does not answer.
    Nonza(Element),
    /// Ask, and tell the answer. Asked once there is a stream.
    Request {
        /// The service's own name for it.
        tag: u64,
        /// What.
        request: Request,
    },
    /// Change the service's rows, all of these or none. They are durable in the order in
    /// which they are given.
    Keep {
        /// The service's own name for it; none if it need not hear.
        tag: Option<u64>,
        /// What.
        changes: Vec<Change>,
    },
    /// Take these in as if they had been received: see
    /// [`Sender::archived`](stanchion_reliability::session::Sender::archived).
    Archived {
        /// The service's own name for it.
        tag: u64,
        /// In the archive's order.
        messages: Vec<Message>,
    },
    /// A room is about to be entered: see
    /// [`Sender::hold_room`](stanchion_reliability::session::Sender::hold_room).
    HoldRoom {
        /// The room.
        room: BareJid,
        /// Whether its archive is going to be read.
        gather: bool,
    },
    /// A room was entered: see
    /// [`Sender::enter_room`](stanchion_reliability::session::Sender::enter_room).
    EnterRoom {
        /// The service's own name for it.
        tag: u64,
        /// The room.
        room: BareJid,
        /// Whether its archive was read to the end.
        settled: bool,
    },
    /// A room is left for good.
    LeaveRoom(BareJid),
    /// The features, or the nodes, are others now.
    Announce,
    /// Tell all services that a contact, which sees our presence, lets us see its own now.
    Mutual(BareJid),
    /// Tell observers.
    Event(E),
    /// Nothing more; come back at that time (monotonic) if nothing happens before.
    Wait(Option<Duration>),
}

/// A change of one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Make it so.
    Put {
        /// The row.
        key: String,
        /// Its value.
        value: Vec<u8>,
    },
    /// It is gone.
    Delete {
        /// The row.
        key: String,
    },
    /// No row: something for the [history](crate::history), in the same transaction.
    History(Box<Note>),
}

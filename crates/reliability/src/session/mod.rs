//! A reliable session: the handles that an application holds, over a task that owns
//! the engine, the store and the connection (see `driver`).

mod alarm;
mod connecting;
mod control;
mod decisions;
mod driver;
mod link;
mod outgoing;
mod patience;
mod progress;
mod received;
mod recovery;
mod requests;
mod sent;
mod stanzas;
mod token;
mod waiters;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use stanchion_connect::negotiation::LoginReport;
use stanchion_connect::{Connect, ConnectError, Endpoint};
use stanchion_stanza::stream::StreamError;
use stanchion_stanza::{BareJid, Element, FullJid, Jid, Message, Presence, Stanza};
use stanchion_transport::security::TlsInfo;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;

pub use crate::lane::Lane;
pub use crate::protection::Protection;
pub use outgoing::{InvalidMessage, Outgoing};
pub use progress::Stage;
pub use received::{CommitError, Received, Receiver};
pub use sent::{FindError, Sent, Tracked};
pub use stanzas::{Inflow, Stanzas, Up};
pub use token::Token;

use crate::engine::{Counters, EngineConfig, ReconnectReason, Refusal};
use crate::outcome::Outcome;
use crate::store::{Store, StoreError};
use control::{Control, SendCommand};
use driver::Driver;
use sent::Find;
use stanchion_connect::backoff::BackoffPolicy;
use stanzas::Tap;

/// Sends that wait for the driver. As many as wait together share one commit.
const SENDS: usize = 256;
/// Look-ups that wait for the driver.
const FINDS: usize = 16;
/// Events that a slow observer may be behind before it misses some.
const EVENTS: usize = 256;

/// How a session behaves.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Bounds and timers.
    pub engine: EngineConfig,
    /// Waiting times between attempts to connect.
    pub backoff: BackoffPolicy,
    /// Sent on each new session, after stream management is enabled. Default
    /// available, priority 0: without it the server routes no messages here. With it goes
    /// which device this is (`<at/>` of the delivery protocol).
    pub presence: Option<Presence>,
    /// The device's addresses, the primary one first: its accounts on all servers that it
    /// may fail over to. Recipients are told, so that what comes from any of them, or is
    /// answered there, counts as the same device's. At most eight; the rest is left out.
    /// Default none: those that the store remembers, or the address in use.
    pub addresses: Vec<BareJid>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            engine: EngineConfig::default(),
            backoff: BackoffPolicy::default(),
            presence: Some(Presence::available()),
            addresses: Vec::new(),
        }
    }
}

/// Where the connection stands.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Status {
    /// An attempt is under way.
    Connecting,
    /// A stream is up.
    Connected {
        /// Our address on it.
        jid: FullJid,
        /// Where to.
        endpoint: Endpoint,
        /// Whether the session before goes on (XEP-0198 §5): also that of an earlier process,
        /// which may have ended before it had said to the server all that it meant to.
        resumed: bool,
        /// What it offers: messages that ask for more are held back.
        protection: Protection,
        /// How that came about, for people.
        report: Arc<StreamReport>,
    },
    /// No stream; the next attempt follows.
    Waiting {
        /// In how long.
        retry_in: Duration,
        /// Why the last one ended or failed.
        cause: Disconnect,
    },
    /// No stream, and no attempt either: a person must act.
    Refused(Disconnect),
    /// The session has ended.
    Closed,
}

/// How a stream is protected, and how its login went.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamReport {
    /// The TLS session; none in the clear.
    pub tls: Option<TlsInfo>,
    /// The login.
    pub login: LoginReport,
}

/// Why there is no stream.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Disconnect {
    /// None could be made.
    #[error(transparent)]
    Connect(Arc<ConnectError>),
    /// It was lost.
    #[error("the connection was lost: {0}")]
    Lost(String),
    /// The server ended it.
    #[error("the server ended the stream: {0}")]
    Stream(StreamError),
    /// The engine gave it up.
    #[error("the connection was given up: {0}")]
    GivenUp(ReconnectReason),
    /// The store failed. It is opened again and again; there is no connection until it is
    /// back, and nothing is taken or acknowledged.
    #[error("nothing can be kept: {0}")]
    Store(StoreError),
}

/// What happens in a session, for observers. Lossy: an observer that is more than 256
/// events behind misses the oldest.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum SessionEvent {
    /// The connection changed.
    Status(Status),
    /// The server has taken responsibility for a message.
    ServerAccepted {
        /// Its id.
        id: String,
    },
    /// What became of a message; after an `InDoubt`, another may follow.
    Outcome {
        /// Its id.
        id: String,
        /// What.
        outcome: Outcome,
    },
    /// Something that a person should know.
    Warning(Warning),
    /// A stanza that is not kept: presence, an answer, a message without body.
    Transient(Arc<Stanza>),
}

/// Something that a person should know; the session goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// See [`Event::RolledBack`](crate::engine::Event::RolledBack).
    RolledBack {
        /// The sender.
        from: Jid,
    },
    /// See [`Event::ClockSkew`](crate::engine::Event::ClockSkew).
    ClockSkew {
        /// The recipient.
        to: Jid,
        /// How far its clock is ahead.
        ahead: Duration,
    },
    /// See [`Event::Cloned`](crate::engine::Event::Cloned).
    Cloned {
        /// The recipient.
        to: Jid,
        /// The channel.
        channel: String,
    },
    /// See [`Event::Poisoned`](crate::engine::Event::Poisoned).
    Poisoned {
        /// The message's place in the inbox.
        arrival: u64,
        /// The sender.
        from: String,
    },
    /// The store failed: the connection is dropped and every `send` refused until it is
    /// back. Free space, or look after the disk.
    StoreFailed {
        /// What it said.
        reason: String,
    },
    /// The store is back, and the session goes on.
    StoreBack,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RolledBack { from } => write!(
                f,
                "{from} goes on where this store knows of no beginning: was it restored from a \
                 backup?"
            ),
            Self::ClockSkew { to, ahead } => {
                write!(f, "the clock of {to} is {} s ahead", ahead.as_secs())
            }
            Self::Cloned { to, channel } => write!(
                f,
                "nothing more is sent to {to} on channel {channel}: another process lives from a \
                 copy of this store"
            ),
            Self::StoreFailed { reason } => {
                write!(
                    f,
                    "nothing can be kept, and nothing is acknowledged: {reason}"
                )
            }
            Self::StoreBack => f.write_str("the store is back, and the session goes on"),
            Self::Poisoned { arrival, from } => write!(
                f,
                "message {arrival} from {from} ended its consumer three times, and is handed over \
                 no more"
            ),
        }
    }
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// Too many messages wait already; [`Sender::send`] waits instead.
    #[error("the outbox or the queue before it is full; wait for outcomes, or use send")]
    QueueFull,
    /// It could not be kept.
    #[error("the message was not kept: {0}")]
    Refused(Refusal),
    /// The store failed before. The message was not kept; send it again when the store is
    /// back, which [`Warning::StoreBack`] tells.
    #[error("the message was not kept")]
    StoreFailed(#[source] StoreError),
    /// The store failed during the call, so the message is perhaps kept and then sent:
    /// [find](Sender::find) it by its id when the store is back, before it is given again.
    #[error("whether message {id} was kept is unknown: find it by its id once the store is back")]
    PerhapsKept {
        /// Its id.
        id: String,
        /// What the store said.
        source: StoreError,
    },
    /// It cannot be sent by anybody.
    #[error(transparent)]
    Invalid(#[from] InvalidMessage),
    /// The session has ended. Whether the message was kept is unknown if it ended
    /// during the call: look it up by its id after the next start.
    #[error("the session has ended")]
    Closed,
}

/// Why a session did not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The store failed, and was not back when the session was to end; or it cannot be
    /// opened again. Nothing was acknowledged that is not kept.
    #[error("the store failed, and the session with it")]
    Store(#[from] StoreError),
    /// The task panicked: a defect of this crate.
    #[error("the session's task panicked")]
    Panicked,
}

/// A running session. Dropping it aborts it, as a crash would: nothing that was
/// accepted or acknowledged is lost. [`Session::shutdown`] ends it properly.
#[derive(Debug)]
pub struct Session {
    sender: Sender,
    events: broadcast::Sender<SessionEvent>,
    status: watch::Receiver<Status>,
    counters: watch::Receiver<Counters>,
    task: Option<JoinHandle<Result<(), SessionError>>>,
}

/// Gives messages to a session. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Sender {
    sends: mpsc::Sender<SendCommand>,
    controls: mpsc::Sender<Control>,
    finds: mpsc::Sender<Find>,
    events: broadcast::Sender<SessionEvent>,
}

impl Session {
    /// Starts a session over `store`: reads what it kept, and connects until told
    /// otherwise. Must be called inside a tokio runtime.
    ///
    /// # Errors
    /// [`SessionError::Store`] if the store cannot be read.
    pub async fn start(
        connect: Arc<dyn Connect>,
        store: Box<dyn Store>,
        config: SessionConfig,
    ) -> Result<(Self, Receiver), SessionError> {
        Self::begin(connect, store, config, Tap::none()).await
    }

    /// The same, with a reader for all that is not kept: streams that come and go,
    /// presence, requests, answers. Whoever takes it answers each request, as RFC 6120
    /// §8.2.3 demands, disco#info of the delivery protocol included: without one the
    /// session itself answers the few that every client must.
    ///
    /// # Errors
    /// As [`Session::start`].
    pub async fn start_with_stanzas(
        connect: Arc<dyn Connect>,
        store: Box<dyn Store>,
        mut config: SessionConfig,
    ) -> Result<(Self, Receiver, Stanzas), SessionError> {
        config.engine.answer_requests = false;
        let (tap, stanzas) = Tap::new();
        let (session, receiver) = Self::begin(connect, store, config, tap).await?;
        Ok((session, receiver, stanzas))
    }

    async fn begin(
        connect: Arc<dyn Connect>,
        store: Box<dyn Store>,
        config: SessionConfig,
        tap: Tap,
    ) -> Result<(Self, Receiver), SessionError> {
        let (sends, sends_rx) = mpsc::channel(SENDS);
        let (finds, finds_rx) = mpsc::channel(FINDS);
        let (controls, controls_rx) = mpsc::channel(config.engine.hand_over.max(1) * 2);
        let (deliveries, deliveries_rx) = mpsc::channel(config.engine.hand_over.max(1));
        let (events, _) = broadcast::channel(EVENTS);
        let (status_tx, status) = watch::channel(Status::Connecting);
        let (counters_tx, counters) = watch::channel(Counters::default());
        let driver = Driver::start(driver::Parts {
            connect,
            store,
            config,
            sends: sends_rx,
            controls: controls_rx,
            finds: finds_rx,
            deliveries,
            events: events.clone(),
            status: status_tx,
            counters: counters_tx,
            tap,
        })
        .await?;
        let task = tokio::spawn(driver.run());
        let receiver = Receiver {
            next: None,
            deliveries: deliveries_rx,
            controls: controls.clone(),
        };
        Ok((
            Self {
                sender: Sender {
                    sends,
                    controls,
                    finds,
                    events: events.clone(),
                },
                events,
                status,
                counters,
                task: Some(task),
            },
            receiver,
        ))
    }

    /// A handle to send with.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// A message that was given to this session, or to an earlier one on the same store:
    /// what its record says, and a handle to wait with if something can still follow.
    /// `None` if there is no such message: it was never kept, or its outcome is older than
    /// seven days.
    ///
    /// # Errors
    /// [`FindError`].
    pub async fn find(&self, id: &str) -> Result<Option<Tracked>, FindError> {
        self.sender.find(id).await
    }

    /// Observes what happens from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<SessionEvent> {
        self.events.subscribe()
    }

    /// The connection's status, and its changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// Counts so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        *self.counters.borrow()
    }

    /// Ends the session: what is accepted is durable, what is handled is acknowledged,
    /// the stream and the store are closed. Takes 3 s at most for the server's part.
    /// Messages without outcome stay in the store for the next start.
    ///
    /// # Errors
    /// [`SessionError`] if the session had failed before.
    pub async fn shutdown(mut self) -> Result<(), SessionError> {
        // If the channel is closed the task is ending already.
        let _ = self.sender.controls.send(Control::Shutdown).await;
        match &mut self.task {
            // In place: if the caller gives up waiting, the task is aborted with us.
            Some(task) => task.await.unwrap_or(Err(SessionError::Panicked)),
            None => Ok(()),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Sender {
    /// Hands a message over. Resolves once it is durable; waits while the outbox is
    /// full. One that is sent [at most once](Outgoing::at_most_once) is never durable, and
    /// refused if too many wait.
    ///
    /// # Errors
    /// [`SendError`], never `QueueFull`.
    pub async fn send(&self, message: Outgoing) -> Result<Sent, SendError> {
        let (command, given) = SendCommand::new(message)?;
        let sent_off = if command.is_fleeting() {
            let control = Control::Fleeting(command);
            self.controls.send(control).await.is_ok()
        } else {
            self.sends.send(command).await.is_ok()
        };
        if !sent_off {
            return Err(SendError::Closed);
        }
        given.kept().await
    }

    /// As [`Sender::send`], but never waits for room: only for the disk, which keeps the
    /// message before this resolves. Room that an earlier `send` waits for is not taken.
    ///
    /// # Errors
    /// [`SendError`]; [`SendError::QueueFull`] if the outbox or the queue before it is full.
    pub async fn try_send(&self, message: Outgoing) -> Result<Sent, SendError> {
        let (command, given) = SendCommand::new(message)?;
        let tried = self.controls.try_send(Control::TrySend(command));
        tried.map_err(|e| match e {
            mpsc::error::TrySendError::Full(_) => SendError::QueueFull,
            mpsc::error::TrySendError::Closed(_) => SendError::Closed,
        })?;
        given.kept().await
    }

    /// Takes a message back. Its outcome follows by the usual way: `NotDelivered` if it has
    /// not taken effect and never will, `Delivered` if it was too late, or, if the
    /// recipient does not answer, `InDoubt` at its deadline. Not heard while the store has
    /// failed.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn cancel(&self, id: impl Into<String>) -> Result<(), SendError> {
        let id = id.into();
        let control = Control::Cancel { id };
        self.controls
            .send(control)
            .await
            .map_err(|_| SendError::Closed)
    }

    /// Gives a recipient up: what is in doubt there stays so for good, and holds up
    /// nothing any more. For a device that is gone and will not come back.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn forget(&self, to: Jid) -> Result<(), SendError> {
        let control = Control::Forget { to };
        self.controls
            .send(control)
            .await
            .map_err(|_| SendError::Closed)
    }

    /// As [`Session::find`].
    ///
    /// # Errors
    /// [`FindError`].
    pub async fn find(&self, id: &str) -> Result<Option<Tracked>, FindError> {
        sent::find(&self.finds, id).await
    }

    /// As [`Session::events`].
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<SessionEvent> {
        self.events.subscribe()
    }

    /// Takes in what an archive has (XEP-0313), in its order, as if it had just been
    /// received: each is kept once, whatever copies of it came or will come, and handed to
    /// the [`Receiver`]. Resolves once that is durable, with how many were taken, from the
    /// first on: at most [`SLICE`](crate::engine::SLICE), and fewer if the inbox has no room
    /// now or the store has failed. Give the rest again after a while, or they are missed;
    /// nobody is told that there was no room.
    ///
    /// The senders in these messages are believed, so the caller answers for the archive.
    /// What is not worth keeping (no body, and nobody waits for a receipt) is done with here;
    /// no stanza tells of it.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn archived(&self, messages: Vec<Message>) -> Result<usize, SendError> {
        let (answer, taken) = oneshot::channel();
        let control = Control::Archived { messages, answer };
        let sent = self.controls.send(control).await;
        sent.map_err(|_| SendError::Closed)?;
        taken.await.map_err(|_| SendError::Closed)
    }

    /// Says that a room (XEP-0045) is to be entered: what is [said](Outgoing::room) in it
    /// waits until it [is](Self::enter_room), now and in each new session. With `gather`
    /// its archive is going to be read first, and what the room says meanwhile waits, too;
    /// it need not be durable, as the archive has it. To be called before the room is asked
    /// to be entered. At most 1024 rooms.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn hold_room(&self, room: BareJid, gather: bool) -> Result<(), SendError> {
        let control = Control::HoldRoom { room, gather };
        let sent = self.controls.send(control).await;
        sent.map_err(|_| SendError::Closed)
    }

    /// Says that a room was entered, and its archive, if that was to be read, given to
    /// [`archived`](Self::archived) up to its end. What the room said meanwhile follows, and
    /// what waits is said. Gives false if it said more than could wait: the archive is to
    /// be read on, and this to be called again.
    ///
    /// With `settled`, the archive was read to its end after the room was entered: what was
    /// said in an earlier session and was not seen since is then not in the room, and said
    /// again. A server that still has a stanza of that session in its hands can show it
    /// twice; those who receive with this crate see it once.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn enter_room(&self, room: BareJid, settled: bool) -> Result<bool, SendError> {
        let (answer, entered) = oneshot::channel();
        let control = Control::EnterRoom {
            room,
            settled,
            answer,
        };
        let sent = self.controls.send(control).await;
        sent.map_err(|_| SendError::Closed)?;
        entered.await.map_err(|_| SendError::Closed)
    }

    /// Says that a room is left for good: it is as any other recipient.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn leave_room(&self, room: BareJid) -> Result<(), SendError> {
        let sent = self.controls.send(Control::LeaveRoom(room)).await;
        sent.map_err(|_| SendError::Closed)
    }

    /// Sends a stanza that needs no receipt: presence, an iq. It is dropped if there is
    /// no stream.
    ///
    /// # Errors
    /// [`SendError::Closed`].
    pub async fn transmit(&self, stanza: Element) -> Result<(), SendError> {
        self.controls
            .send(Control::Transmit(stanza))
            .await
            .map_err(|_| SendError::Closed)
    }
}

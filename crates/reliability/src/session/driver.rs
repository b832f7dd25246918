//! The task under a session: owns sockets, clock and store, and turns the engine's
//! outputs into I/O. It decides nothing that the engine could decide.

use std::future::{pending, poll_fn};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stanchion_connect::backoff::Backoff;
use stanchion_connect::{Connect, ConnectError, Connection};
use stanchion_stanza::stream::StreamError;
use stanchion_stanza::{Stanza, StreamEvent};
use stanchion_transport::StreamFault;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{broadcast, mpsc, watch};
use tokio::time::{Instant, timeout};

use super::alarm::Alarm;
use super::control::{Control, Decision, SendCommand};
use super::decisions::{self, Decisions, Tickets};
use super::link::{Link, Place};
use super::patience::Patience;
use super::received::Delivery;
use super::requests::Requests;
use super::sent::{Find, Lookup};
use super::stanzas::{Inflow, Tap};
use super::token::Token;
use super::waiters::Waiters;
use super::{Disconnect, SendError, SessionConfig, SessionError, SessionEvent, Status, Warning};
use crate::engine::{Counters, Engine, Event, Input, Now, Output, Submission};
use crate::store::{Store, WallTime};

/// Stanzas and decisions about messages, taken without waiting before the outputs are looked
/// at: larger batches, fewer commits.
const AT_ONCE: usize = 64;
/// The same of sends: half of what the queue before the outbox has room for, so that one half
/// is made durable while the other one sends again.
const SENDS_AT_ONCE: usize = 128;
/// While new messages are being made durable, and fewer than these, the next ones wait and
/// then share a flush: else those who send together fall into two halves that take turns.
/// More of them keep the store busy, and are worked on meanwhile.
const GATHER: usize = 32;
/// How often other tasks go first after a flush, until those who waited for it have sent again:
/// a turn takes far less time than the flush that who comes late waits for.
const TURNS: usize = 4;
/// For who has a place in a queue that is being closed and has not taken it: it does so at once,
/// or nobody looks after it any more.
const LATECOMERS: Duration = Duration::from_millis(100);
/// For the server's part of a clean end.
const FAREWELL: Duration = Duration::from_secs(3);

/// What a driver is made of.
pub(super) struct Parts {
    pub(super) connect: Arc<dyn Connect>,
    pub(super) store: Box<dyn Store>,
    pub(super) config: SessionConfig,
    pub(super) sends: mpsc::Receiver<SendCommand>,
    pub(super) controls: mpsc::Receiver<Control>,
    pub(super) finds: mpsc::Receiver<Find>,
    pub(super) deliveries: mpsc::Sender<Delivery>,
    pub(super) events: broadcast::Sender<SessionEvent>,
    pub(super) status: watch::Sender<Status>,
    pub(super) counters: watch::Sender<Counters>,
    pub(super) tap: Tap,
}

/// Why the loop goes on.
enum Wake {
    Store(Input),
    Send(SendCommand),
    Control(Control),
    Find(Find),
    /// All handles are gone, or the application asked.
    End,
    Stream(Result<StreamEvent, StreamFault>),
    Connected(Box<Result<Connection, ConnectError>>),
    ConnectNow,
    Tick,
}

pub(super) struct Driver {
    pub(super) parts: Parts,
    pub(super) engine: Engine,
    pub(super) requests: Requests,
    pub(super) waiters: Waiters,
    pub(super) decisions: Decisions,
    /// So many messages became durable just now: who sent them may have as many more.
    answered: usize,
    pub(super) archives: Tickets<usize>,
    pub(super) entries: Tickets<bool>,
    /// The application asked for the end.
    pub(super) ending: bool,
    pub(super) link: Link,
    /// For the engine's next wish, and for the next attempt to connect.
    tick_at: Alarm,
    attempt_at: Alarm,
    pub(super) place: Option<Place>,
    pub(super) patience: Patience,
    /// No stream of this engine has carried our presence.
    pub(super) unannounced: bool,
    pub(super) backoff: Backoff,
    /// What the server said before it closed.
    pub(super) last_words: Option<StreamError>,
    pub(super) started: Instant,
}

impl Driver {
    pub(super) async fn start(parts: Parts) -> Result<Self, SessionError> {
        // The engine pages the records themselves; here the counts matter.
        let recovered = parts.store.recover(1).await?;
        let started = Instant::now();
        let mut engine = Engine::new(parts.config.engine, recovered, now(started), random());
        if !parts.config.addresses.is_empty() {
            let addresses = Input::Addresses(parts.config.addresses.clone());
            engine.handle(now(started), addresses);
        }
        Ok(Self {
            backoff: Backoff::new(parts.config.backoff),
            parts,
            engine,
            requests: Requests::default(),
            waiters: Waiters::default(),
            decisions: Decisions::default(),
            answered: 0,
            archives: Tickets::default(),
            entries: Tickets::default(),
            ending: false,
            patience: Patience::default(),
            link: Link::Waiting(started),
            tick_at: Alarm::default(),
            attempt_at: Alarm::default(),
            place: None,
            unannounced: true,
            last_words: None,
            started,
        })
    }

    pub(super) async fn run(mut self) -> Result<(), SessionError> {
        let ended = loop {
            let until = match self.perform_outputs() {
                Ok(until) => until,
                // The store may come back; a closed one, or a refused batch, does not.
                Err(SessionError::Store(error)) if error.needs_reopen() => {
                    match self.outlast(error).await {
                        Ok(()) => continue,
                        Err(error) => break Err(error),
                    }
                }
                Err(error) => break Err(error),
            };
            self.parts.counters.send_if_modified(|c| {
                let news = *c != self.engine.counters();
                *c = self.engine.counters();
                news
            });
            self.let_them_send().await;
            match self.wait(until).await {
                Wake::End => break Ok(()),
                wake => self.handle(wake),
            }
            // What is asked of a failed engine is lost; it is kept for the next one.
            if !self.engine.has_failed() {
                self.take_what_is_there();
            }
            if self.ending {
                break Ok(());
            }
        };
        let ended = match ended {
            Ok(()) => self.farewell().await,
            Err(error) => Err(error),
        };
        self.announce(Status::Closed);
        // Store errors were reported; closing a failed store says nothing new.
        let closed = self.parts.store.close().await;
        ended?;
        Ok(closed?)
    }

    fn now(&self) -> Now {
        now(self.started)
    }

    pub(super) fn tell(&mut self, input: Input) {
        let now = self.now();
        self.engine.handle(now, input);
    }

    /// Does what the engine wants, in its order. Gives the time of its next wish.
    fn perform_outputs(&mut self) -> Result<Option<Instant>, SessionError> {
        while self.requests.has_room() {
            match self.engine.poll_output() {
                Output::Persist(ops) => {
                    self.waiters.decided(&ops);
                    let effects = self.decisions.effects_of(&ops);
                    self.requests.persist(&*self.parts.store, ops, effects);
                }
                Output::Load(load) => self.requests.load(&*self.parts.store, load),
                Output::Transmit(bytes) => {
                    if let Link::Up(stream) = &mut self.link {
                        stream.send_bytes(&bytes);
                    }
                }
                // The engine knows whether it can be resumed.
                Output::Reconnect(reason) => self.lost(Disconnect::GivenUp(reason)),
                Output::Event(Event::StoreFailed(error)) => return Err(error.into()),
                Output::Event(event) => self.report(event),
                Output::Wait(until) => return Ok(until.map(|at| self.started + at)),
            }
        }
        Ok(None)
    }

    fn report(&mut self, event: Event) {
        match event {
            Event::Accepted { id } => self.waiters.kept(&id),
            Event::Refused { id, why } => self.waiters.refused(&id, SendError::Refused(why)),
            Event::Outcome { id, outcome } => {
                // Observers first: they have heard of it when the application has. It may
                // have dropped its handle; they still hear.
                let event = SessionEvent::Outcome {
                    id: id.clone(),
                    outcome: outcome.clone(),
                };
                let _ = self.parts.events.send(event);
                self.waiters.settled(&id, &outcome);
            }
            Event::ServerAccepted { id } => {
                self.waiters.server_accepted(&id);
                let _ = self.parts.events.send(SessionEvent::ServerAccepted { id });
            }
            Event::Message {
                arrival,
                message,
                maybe_redelivered,
            } => {
                let Some(key) = self.engine.key_of(arrival) else {
                    return;
                };
                // The channel holds as many as the engine hands over; if the receiver is
                // gone, the messages stay in the store.
                let delivery = Delivery {
                    arrival,
                    message,
                    token: Token::of(&key),
                    maybe_redelivered,
                };
                if let Err(TrySendError::Full(_)) = self.parts.deliveries.try_send(delivery) {
                    tracing::error!(arrival, "more was handed over than there is room for");
                }
            }
            Event::Archived { ticket, taken } => self.archives.ended(ticket, taken),
            Event::Entered { ticket, entered } => self.entries.ended(ticket, entered),
            Event::Begun { arrival } => self.decisions.begun(arrival),
            Event::Decided { arrival, done } => self.decisions.ended(arrival, done),
            Event::Transient(stanza) => {
                if self.parts.events.receiver_count() > 0 {
                    let seen = SessionEvent::Transient(Arc::new(Stanza::clone(&stanza)));
                    let _ = self.parts.events.send(seen);
                }
                self.parts.tap.put(Inflow::Stanza(stanza));
            }
            Event::RolledBack { from } => self.warn(Warning::RolledBack { from }),
            Event::ClockSkew { to, ahead } => self.warn(Warning::ClockSkew { to, ahead }),
            Event::Cloned { to, channel } => self.warn(Warning::Cloned { to, channel }),
            Event::Poisoned { arrival, from } => self.warn(Warning::Poisoned { arrival, from }),
            // Taken before: it ends the loop.
            Event::StoreFailed(_) => {}
        }
    }

    /// Something that a person should know.
    pub(super) fn warn(&mut self, warning: Warning) {
        tracing::warn!(%warning, "attention");
        let _ = self.parts.events.send(SessionEvent::Warning(warning));
    }

    async fn wait(&mut self, until: Option<Instant>) -> Wake {
        let may_send = self.engine.has_room() && self.requests.has_room() && !self.gathers();
        let parts = &mut self.parts;
        // Then all outputs are done: what was told of a message is on its way to the store,
        // so a record that is read now cannot be behind it.
        let may_look = self.requests.has_room();
        let has_room = parts.tap.has_room();
        let may_read = self.engine.wants_input() && self.requests.has_room() && has_room;
        // What was received on the lost stream must be durable before its count is told.
        let settled = self.engine.is_settled();
        tokio::select! {
            input = self.requests.next(&*parts.store) => Wake::Store(input),
            control = parts.controls.recv() => match control {
                None => Wake::End,
                Some(control) => Wake::Control(control),
            },
            wake = next_of(&mut self.link, &mut self.attempt_at, may_read, settled) => wake,
            Some(command) = parts.sends.recv(), if may_send => Wake::Send(command),
            Some(find) = parts.finds.recv(), if may_look => Wake::Find(find),
            () = parts.tap.room(), if !has_room => Wake::Tick,
            () = self.tick_at.at(until) => Wake::Tick,
        }
    }

    fn handle(&mut self, wake: Wake) {
        match wake {
            Wake::Store(input) => {
                if matches!(input, Input::Persisted(_)) {
                    self.answered = self.requests.kept();
                }
                self.tell(input);
            }
            Wake::Send(command) => self.submit(command),
            Wake::Control(control) => self.control(control),
            Wake::Find(find) => self.find(find),
            Wake::Stream(Ok(event)) => self.stream_event(event),
            Wake::Stream(Err(fault)) => self.stream_fault(fault),
            Wake::Connected(result) => match *result {
                Ok(connection) => self.connected(connection),
                Err(error) => self.not_connected(error),
            },
            Wake::ConnectNow => self.connect(),
            Wake::Tick => self.tell(Input::Tick),
            Wake::End => {}
        }
    }

    fn control(&mut self, control: Control) {
        match control {
            Control::Begin { arrival, answer } => {
                self.decisions.waits_to_begin(arrival, answer);
                self.tell(Input::Begin { arrival });
            }
            Control::Commit { arrival, answer } => {
                if self.decisions.begin(arrival, answer) {
                    self.tell(Input::Commit { arrival });
                }
            }
            Control::CommitWith { answer, .. } if !self.parts.store.runs_effects() => {
                decisions::reply(Some(answer), Decision::NoTransactions);
            }
            Control::CommitWith {
                arrival,
                effect,
                answer,
            } => {
                if self.decisions.begin_with(arrival, effect, Some(answer)) {
                    self.tell(Input::CommitWith { arrival });
                }
            }
            Control::Reject { arrival, answer } => {
                if self.decisions.begin(arrival, Some(answer)) {
                    self.tell(Input::Reject { arrival });
                }
            }
            Control::Cancel { id } => {
                self.submit_waiting();
                self.tell(Input::Cancel { id });
            }
            Control::Forget { to } => {
                self.submit_waiting();
                self.tell(Input::Forget(to));
            }
            Control::Transmit(element) => self.tell(Input::Transmit(element)),
            Control::Archived { messages, answer } => {
                let ticket = self.archives.begin(answer);
                self.tell(Input::Archived { ticket, messages });
            }
            Control::HoldRoom { room, gather } => self.tell(Input::HoldRoom { room, gather }),
            Control::EnterRoom {
                room,
                settled,
                answer,
            } => {
                let ticket = self.entries.begin(answer);
                self.tell(Input::EnterRoom {
                    ticket,
                    room,
                    settled,
                });
            }
            Control::LeaveRoom(room) => self.tell(Input::LeaveRoom(room)),
            Control::Fleeting(command) => self.submit(command),
            Control::TrySend(command) => self.try_submit(command),
            Control::Shutdown => self.ending = true,
        }
    }

    /// Those who waited for the disk go first: what they send now shares a flush.
    async fn let_them_send(&mut self) {
        let room = self.parts.sends.max_capacity();
        let expected = std::mem::take(&mut self.answered).min(room);
        for _ in 0..TURNS {
            if self.parts.sends.len() >= expected {
                break;
            }
            behind_the_others().await;
        }
    }

    /// Whether new messages wait for those that are being made durable.
    fn gathers(&self) -> bool {
        (1..GATHER).contains(&self.requests.keeping())
    }

    /// More of the same, without waiting.
    fn take_what_is_there(&mut self) {
        // Commits that come together share a batch.
        for _ in 0..AT_ONCE {
            if self.ending {
                break;
            }
            match self.parts.controls.try_recv() {
                Ok(control) => self.control(control),
                Err(_) => break,
            }
        }
        for _ in 0..AT_ONCE {
            if !self.engine.wants_input() || !self.parts.tap.has_room() {
                break;
            }
            let Link::Up(stream) = &mut self.link else {
                break;
            };
            match stream.try_next() {
                Ok(Some(event)) => self.stream_event(event),
                Ok(None) => break,
                Err(fault) => self.stream_fault(fault),
            }
        }
        if !self.gathers() && self.answered == 0 {
            self.submit_waiting();
        }
    }

    /// Takes messages that wait, not all of them: the store works on these while the next
    /// ones are taken.
    fn submit_waiting(&mut self) {
        for _ in 0..SENDS_AT_ONCE {
            if !self.engine.has_room() {
                break;
            }
            match self.parts.sends.try_recv() {
                Ok(command) => self.submit(command),
                Err(_) => break,
            }
        }
    }

    /// Now or not at all; what those need who wait for room is not there to be taken.
    fn try_submit(&mut self, command: SendCommand) {
        let taken = self.engine.pending() + self.parts.sends.len();
        if taken < self.parts.config.engine.outbox
            && self.engine.has_room()
            && self.requests.has_room()
        {
            self.submit(command);
        } else {
            command.refuse(SendError::QueueFull);
        }
    }

    fn find(&mut self, find: Find) {
        let Find { id, answer } = find;
        // Before the record is read, so that nothing is missed between the two.
        let progress = self.waiters.watch(id.clone());
        let record = self.parts.store.outbound(&id);
        let _ = answer.send(Lookup { record, progress });
    }

    fn submit(&mut self, command: SendCommand) {
        let SendCommand { prepared, teller } = command;
        let Some(to) = prepared.to else {
            return;
        };
        let deadline = prepared.within.map(|within| {
            let ms = i64::try_from(within.as_millis()).unwrap_or(i64::MAX);
            WallTime::from_unix_ms(self.now().wall.as_unix_ms().saturating_add(ms))
        });
        self.waiters.insert(prepared.id.clone(), teller);
        let submission = Submission {
            id: prepared.id,
            to,
            stanza: prepared.stanza,
            deadline,
            protection: prepared.protection,
            mode: prepared.mode,
        };
        self.tell(match prepared.replaces {
            Some(key) => Input::Replace { submission, key },
            None => Input::Send(submission),
        });
    }

    /// What is accepted becomes durable, what is handled is told, the stream is closed.
    async fn farewell(&mut self) -> Result<(), SessionError> {
        self.parts.sends.close();
        self.parts.controls.close();
        while let Ok(Some(command)) = timeout(LATECOMERS, self.parts.sends.recv()).await {
            command.refuse(SendError::Closed);
        }
        while let Ok(Some(control)) = timeout(LATECOMERS, self.parts.controls.recv()).await {
            // Whoever begins now would not come to an end: it comes again.
            if !matches!(control, Control::Begin { .. }) {
                self.handle(Wake::Control(control));
            }
        }
        self.settle().await?;
        self.tell(Input::Closing);
        self.settle().await?;
        if let Link::Up(stream) = &mut self.link {
            let goodbye = async {
                stream.end();
                // Stanzas that still come are not acknowledged, so none is lost.
                let answered = loop {
                    match stream.next().await {
                        Ok(StreamEvent::Close) => break true,
                        Ok(_) => {}
                        Err(_) => break false,
                    }
                };
                let _ = stream.close().await;
                answered
            };
            if matches!(timeout(FAREWELL, goodbye).await, Ok(true)) {
                // Its session is over; one of a stream that was lost waits for the next
                // process.
                self.tell(Input::Resumable(None));
                self.settle().await?;
            } else {
                tracing::debug!("the server did not close its stream properly");
            }
        }
        Ok(())
    }

    /// All that was asked of the store is answered, and done.
    async fn settle(&mut self) -> Result<(), SessionError> {
        self.perform_outputs()?;
        while !self.requests.is_empty() {
            let input = self.requests.next(&*self.parts.store).await;
            self.tell(input);
            self.perform_outputs()?;
        }
        Ok(())
    }
}

/// The next thing that the connection brings.
async fn next_of(link: &mut Link, attempt_at: &mut Alarm, may_read: bool, settled: bool) -> Wake {
    match link {
        Link::Up(stream) if may_read => Wake::Stream(stream.next().await),
        Link::Up(stream) => match stream.flush().await {
            Ok(()) => pending().await,
            Err(fault) => Wake::Stream(Err(fault)),
        },
        Link::Connecting(attempt) => Wake::Connected(Box::new(attempt.await)),
        Link::Waiting(at) if settled => {
            attempt_at.at(Some(*at)).await;
            Wake::ConnectNow
        }
        Link::Waiting(_) | Link::Refused => pending().await,
    }
}

pub(super) fn now(started: Instant) -> Now {
    let wall = match SystemTime::now().duration_since(UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
        Err(before) => i64::try_from(before.duration().as_millis()).map_or(i64::MIN, |ms| -ms),
    };
    Now {
        monotonic: started.elapsed(),
        wall: WallTime::from_unix_ms(wall),
    }
}

/// For jitter; not secret.
pub(super) fn random() -> u64 {
    getrandom::u64().unwrap_or(0x9E37_79B9_7F4A_7C15)
}

/// An error with its causes, for people.
pub(super) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// Lets the tasks go first that are ready. As tokio's `yield_now`, which looks for I/O, too, and
/// so costs two system calls.
async fn behind_the_others() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

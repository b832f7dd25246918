//! The task under the services: feeds them what the session brings, does what they want,
//! matches answers, keeps their rows. It decides nothing that a service could decide.

use std::collections::VecDeque;
use std::future::{Future, pending};
use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stanchion_reliability::engine::Now;
use stanchion_reliability::session::{Inflow, Received, Receiver, Sender, Stanzas, Up};
use stanchion_reliability::store::{TransactError, Transactor, WallTime};
use stanchion_stanza::payload::delivery::{FEATURE, Place, capability_form};
use stanchion_stanza::payload::disco::{DiscoInfo, Identity};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};
use stanchion_stanza::{Element, Iq, Payload as _, Stanza, Text, ns};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::history::{History, HistoryConfig};
use crate::request::{Outstanding, Request, RequestError};
use crate::service::{Change, Input, Node, Output, Service, Taken};
use crate::shelf;
use crate::slot::{Call, Handle, Slot, Typed};

/// Calls and questions that wait for the host.
const CALLS: usize = 64;
/// Changes that may wait for the store before nothing more is taken in.
const KEEPING: usize = 1024;
/// Between two tries at a store that fails.
const PAUSE: Duration = Duration::from_secs(1);
/// For what is still to be kept at the end.
const FAREWELL: Duration = Duration::from_secs(3);
/// What the engine below speaks, whatever services there are.
const FEATURES: [&str; 3] = [ns::DISCO_INFO, ns::RECEIPTS, ns::SID];

/// Puts services together, before they run.
///
/// ```no_run
/// use stanchion_services::{HostBuilder, ping::Pings};
/// # async fn example(
/// #     session: stanchion_reliability::Session,
/// #     receiver: stanchion_reliability::session::Receiver,
/// #     stanzas: stanchion_reliability::session::Stanzas,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use stanchion_reliability::store::Transactor;
/// let mut builder = HostBuilder::new();
/// builder.add(Pings::default());
/// let store = Transactor::in_memory()?;
/// let (host, mut incoming) = builder.start(session.sender(), receiver, stanzas, store).await?;
/// let requests = host.requests();
/// # Ok(()) }
/// ```
pub struct HostBuilder {
    slots: Vec<Box<dyn Slot>>,
    identity: Identity,
    hand_over: usize,
    history: HistoryConfig,
    calls: (mpsc::Sender<Call>, mpsc::Receiver<Call>),
}

impl Default for HostBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl HostBuilder {
    /// Without services.
    #[must_use]
    pub fn new() -> Self {
        Self {
            slots: Vec::new(),
            identity: Identity {
                category: Text::from_static("client"),
                kind: Text::from_static("bot"),
                name: Some(Text::from_static("Stanchion")),
                lang: None,
            },
            hand_over: 256,
            history: HistoryConfig::default(),
            calls: mpsc::channel(CALLS),
        }
    }

    /// What we are in service discovery (XEP-0030 §3.1). Default: `client/bot`, named
    /// Stanchion.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    /// How many received messages the session hands over at once:
    /// [`EngineConfig::hand_over`](stanchion_reliability::engine::EngineConfig::hand_over).
    /// Default 256.
    #[must_use]
    pub const fn hand_over(mut self, most: usize) -> Self {
        self.hand_over = most;
        self
    }

    /// How much of the [history](crate::history) is kept.
    #[must_use]
    pub const fn history(mut self, config: HistoryConfig) -> Self {
        self.history = config;
        self
    }

    /// Adds a service. Those that come first see stanzas first.
    pub fn add<S: Service>(&mut self, service: S) -> Handle<S> {
        self.put(Typed::new(service))
    }

    /// Adds a service that [claims](Service::claims) messages, and gives what receives
    /// them.
    pub fn add_claiming<S: Service>(&mut self, service: S) -> (Handle<S>, Incoming) {
        let (typed, deliveries) = Typed::new(service).with_deliveries(self.hand_over);
        (self.put(typed), Incoming::new(deliveries))
    }

    fn put<S: Service>(&mut self, typed: Typed<S>) -> Handle<S> {
        let handle = typed.handle_at(self.slots.len(), self.calls.0.clone());
        self.slots.push(Box::new(typed));
        handle
    }

    /// Reads what the services kept, and runs them until the session ends. Their rows are
    /// in the file of that store. Gives the messages that no service claims, too. Must be
    /// called inside a tokio runtime.
    ///
    /// # Errors
    /// [`TransactError`] if the rows cannot be read.
    pub async fn start(
        mut self,
        sender: Sender,
        receiver: Receiver,
        stanzas: Stanzas,
        store: Transactor,
    ) -> Result<(Host, Incoming), TransactError> {
        let history = History::open(store.clone(), self.history).await?;
        for (service, key, value) in shelf::open(&store).await? {
            for slot in &mut self.slots {
                if slot.name() == service {
                    slot.restore(&key, &value);
                }
            }
        }
        let (asks, asks_rx) = mpsc::channel(CALLS);
        let (incoming, incoming_rx) = mpsc::channel(self.hand_over.max(1));
        let (stop, stopped) = oneshot::channel();
        let waits = vec![None; self.slots.len()];
        let task = Task {
            slots: self.slots,
            waits,
            identity: self.identity,
            info: None,
            nodes: Vec::new(),
            place: None,
            sender,
            receiver: Some(receiver),
            stanzas,
            calls: self.calls.1,
            asks: asks_rx,
            incoming,
            outstanding: Outstanding::new(getrandom::u64().unwrap_or_default()),
            up: false,
            store,
            history: history.clone(),
            to_keep: VecDeque::new(),
            keeping: None,
            doing: VecDeque::new(),
            started: Instant::now(),
        };
        let host = Host {
            requests: Requests(asks),
            history,
            stop: Some(stop),
            task: Some(tokio::spawn(task.run(stopped))),
        };
        Ok((host, Incoming::new(incoming_rx)))
    }
}

/// The services of a session, running. Dropping it aborts them.
#[derive(Debug)]
pub struct Host {
    requests: Requests,
    history: History,
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Host {
    /// Asks others, for who needs no service of its own to do so.
    #[must_use]
    pub fn requests(&self) -> Requests {
        self.requests.clone()
    }

    /// What was said, for who keeps it: see [`History::commit`].
    #[must_use]
    pub fn history(&self) -> History {
        self.history.clone()
    }

    /// Ends the services: what they want kept is durable. Call it before the session ends.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        if let Some(task) = &mut self.task {
            // In place: if the caller gives up waiting, the task is aborted with us.
            if task.await.is_err() {
                tracing::error!("the services' task panicked");
            }
        }
        self.task = None;
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Takes the messages that no service claimed, or those that one did, in the order in which
/// they arrived.
#[derive(Debug)]
pub struct Incoming {
    queue: mpsc::Receiver<Received>,
    /// It was taken from the queue, and begins.
    next: Option<Received>,
}

impl Incoming {
    pub(crate) const fn new(queue: mpsc::Receiver<Received>) -> Self {
        Self { queue, next: None }
    }

    /// The next message; `None` once the session has ended. A future that is dropped before
    /// it resolves takes none.
    pub async fn recv(&mut self) -> Option<Received> {
        if self.next.is_none() {
            self.next = self.queue.recv().await;
        }
        let begun = self.next.as_mut()?.begin().await;
        self.next.take().filter(|_| begun.is_ok())
    }
}

/// Asks others and waits for their answers. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Requests(mpsc::Sender<Ask>);

#[derive(Debug)]
struct Ask {
    request: Request,
    answer: Answer,
}

type Answer = oneshot::Sender<Result<Option<Element>, RequestError>>;

impl Requests {
    /// Asks, and gives what the result holds. Waits for a stream if there is none. If the
    /// future is dropped, the request stands all the same.
    ///
    /// # Errors
    /// [`RequestError`].
    pub async fn ask(&self, request: Request) -> Result<Option<Element>, RequestError> {
        let (answer, result) = oneshot::channel();
        let ask = Ask { request, answer };
        let sent = self.0.send(ask).await;
        sent.map_err(|_| RequestError::Closed)?;
        result.await.unwrap_or(Err(RequestError::Closed))
    }

    /// The same, for an answer that is read as `P`.
    ///
    /// # Errors
    /// [`RequestError`]; [`RequestError::Unreadable`] if there is none, or another.
    pub async fn ask_for<P: stanchion_stanza::Payload>(
        &self,
        request: Request,
    ) -> Result<P, RequestError> {
        match self.ask(request).await? {
            Some(element) if P::matches(&element) => {
                P::from_element(&element).map_err(|e| RequestError::Unreadable(e.to_string()))
            }
            Some(element) => Err(RequestError::Unreadable(format!(
                "<{}/> in place of <{}/>",
                element.name(),
                P::NAME
            ))),
            None => Err(RequestError::Unreadable(format!(
                "<{}/> is missing",
                P::NAME
            ))),
        }
    }
}

/// Who waits for an answer.
enum Owner {
    Service { slot: usize, tag: u64 },
    Caller(Answer),
}

type Keeping = Pin<Box<dyn Future<Output = Result<(), TransactError>> + Send>>;

/// A service's changes that are not durable yet.
struct Wanted {
    slot: usize,
    tag: Option<u64>,
    changes: Vec<Change>,
}

struct Task {
    slots: Vec<Box<dyn Slot>>,
    /// When each wants to be told the time.
    waits: Vec<Option<Duration>>,
    identity: Identity,
    info: Option<DiscoInfo>,
    nodes: Vec<Node>,
    place: Option<Place>,
    sender: Sender,
    receiver: Option<Receiver>,
    stanzas: Stanzas,
    calls: mpsc::Receiver<Call>,
    asks: mpsc::Receiver<Ask>,
    incoming: mpsc::Sender<Received>,
    outstanding: Outstanding<Owner>,
    up: bool,
    store: Transactor,
    to_keep: VecDeque<Wanted>,
    /// The first of them are on their way.
    keeping: Option<(usize, Keeping)>,
    history: History,
    /// What was asked of the session, and of whom; one after the other.
    doing: VecDeque<(usize, Doing)>,
    started: Instant,
}

/// Something that the session is doing.
type Doing = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What it did.
enum Done {
    Archived { tag: u64, taken: usize },
    Entered { tag: u64, entered: bool },
}

/// Why the loop goes on.
enum Wake {
    Inflow(Option<Inflow>),
    Received(Option<Received>),
    Call(Call),
    Ask(Ask),
    Kept(usize, Result<(), TransactError>),
    Done(Done),
    Tick,
    End,
}

impl Task {
    async fn run(mut self, mut stopped: oneshot::Receiver<()>) {
        self.inform();
        loop {
            // The session has ended when it takes nothing more.
            if self.perform().await.is_err() {
                break;
            }
            let wake = self.wait(&mut stopped).await;
            let now = self.now();
            match wake {
                Wake::End | Wake::Inflow(None) => break,
                Wake::Inflow(Some(Inflow::Up(up))) => self.up(&up).await,
                Wake::Inflow(Some(Inflow::Down)) => {
                    self.up = false;
                    self.tell_all(|| Input::Down);
                }
                Wake::Inflow(Some(Inflow::Stanza(stanza))) => self.stanza(*stanza).await,
                Wake::Inflow(Some(_)) => {}
                Wake::Received(Some(received)) => self.received(received),
                Wake::Received(None) => self.receiver = None,
                Wake::Call(call) => {
                    if let Some(slot) = self.slots.get_mut(call.slot) {
                        (call.run)(slot.service(), now);
                    }
                }
                Wake::Ask(ask) => self.ask(ask.request, Owner::Caller(ask.answer)).await,
                Wake::Kept(count, result) => self.kept(count, result),
                Wake::Done(done) => self.done(done),
                Wake::Tick => self.tick(now),
            }
        }
        let rest = async {
            while !self.to_keep.is_empty() {
                self.begin_to_keep();
                let Some((count, keeping)) = &mut self.keeping else {
                    break;
                };
                let (count, result) = (*count, keeping.await);
                self.keeping = None;
                if result.is_err() {
                    break;
                }
                self.to_keep.drain(..count.min(self.to_keep.len()));
            }
        };
        if timeout(FAREWELL, rest).await.is_err() || !self.to_keep.is_empty() {
            tracing::warn!("what services wanted kept at the end is perhaps not");
        }
    }

    fn now(&self) -> Now {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall = i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
        Now {
            monotonic: self.started.elapsed(),
            wall: WallTime::from_unix_ms(wall),
        }
    }

    async fn wait(&mut self, stopped: &mut oneshot::Receiver<()>) -> Wake {
        let waits = self.waits.iter().flatten().copied();
        let due = waits.chain(self.outstanding.due()).min();
        let due = due.map(|due| self.started + due);
        let takes = self.to_keep.len() < KEEPING;
        tokio::select! {
            _ = stopped => Wake::End,
            (count, result) = kept(&mut self.keeping) => Wake::Kept(count, result),
            done = next_done(&mut self.doing) => Wake::Done(done),
            Some(call) = self.calls.recv(), if takes => Wake::Call(call),
            Some(ask) = self.asks.recv() => Wake::Ask(ask),
            inflow = self.stanzas.recv(), if takes => Wake::Inflow(inflow),
            received = next_of(&mut self.receiver), if takes => Wake::Received(received),
            () = at(due) => Wake::Tick,
        }
    }

    /// Does what the services want, until all wait.
    async fn perform(&mut self) -> Result<(), Closed> {
        while self.perform_once().await? {
            // Who hears what we are now may want something, in turn.
            self.inform();
        }
        self.begin_to_keep();
        Ok(())
    }

    /// Gives whether somebody's features are others now.
    async fn perform_once(&mut self) -> Result<bool, Closed> {
        let mut announce = false;
        for at in 0..self.slots.len() {
            while let Some(slot) = self.slots.get_mut(at) {
                match slot.poll() {
                    Output::Transmit(stanza) => self.transmit(stanza.to_element()).await?,
                    Output::Nonza(element) => self.transmit(element).await?,
                    Output::Request { tag, request } => {
                        self.ask(request, Owner::Service { slot: at, tag }).await;
                    }
                    Output::Keep { tag, changes } => self.to_keep.push_back(Wanted {
                        slot: at,
                        tag,
                        changes,
                    }),
                    Output::Archived { tag, messages } => {
                        let sender = self.sender.clone();
                        let doing = async move {
                            let taken = sender.archived(messages).await;
                            Done::Archived {
                                tag,
                                taken: taken.unwrap_or(0),
                            }
                        };
                        self.doing.push_back((at, Box::pin(doing)));
                    }
                    Output::EnterRoom { tag, room, settled } => {
                        let sender = self.sender.clone();
                        let doing = async move {
                            let entered = sender.enter_room(room, settled).await;
                            Done::Entered {
                                tag,
                                entered: entered.unwrap_or(false),
                            }
                        };
                        self.doing.push_back((at, Box::pin(doing)));
                    }
                    Output::HoldRoom { room, gather } => {
                        let held = self.sender.hold_room(room, gather).await;
                        held.map_err(|_| Closed)?;
                    }
                    Output::LeaveRoom(room) => {
                        self.sender.leave_room(room).await.map_err(|_| Closed)?;
                    }
                    Output::Announce => announce = true,
                    Output::Mutual(contact) => self.tell_all(|| Input::Mutual(&contact)),
                    // Told by the slot.
                    Output::Event(()) => {}
                    Output::Wait(until) => {
                        self.waits[at] = until;
                        break;
                    }
                }
            }
        }
        Ok(announce)
    }

    async fn transmit(&mut self, stanza: Element) -> Result<(), Closed> {
        if self.up {
            self.sender.transmit(stanza).await.map_err(|_| Closed)?;
        }
        Ok(())
    }

    fn tell(&mut self, slot: usize, input: Input<'_>) -> Taken {
        let now = self.now();
        self.tell_at(now, slot, input)
    }

    fn tell_at(&mut self, now: Now, slot: usize, input: Input<'_>) -> Taken {
        match self.slots.get_mut(slot) {
            Some(slot) => slot.handle(now, input),
            None => Taken::No,
        }
    }

    fn tell_all<'a>(&mut self, input: impl Fn() -> Input<'a>) {
        let now = self.now();
        for slot in 0..self.slots.len() {
            self.tell_at(now, slot, input());
        }
    }

    fn done(&mut self, done: Done) {
        if let Some((slot, _)) = self.doing.pop_front() {
            self.tell(
                slot,
                match done {
                    Done::Archived { tag, taken } => Input::Archived { tag, taken },
                    Done::Entered { tag, entered } => Input::Entered { tag, entered },
                },
            );
        }
    }

    fn tick(&mut self, now: Now) {
        for at in 0..self.slots.len() {
            let due = self.waits.get(at).copied().flatten();
            if due.is_some_and(|due| due <= now.monotonic) {
                self.tell(at, Input::Tick);
            }
        }
        for (owner, error) in self.outstanding.expired(now.monotonic) {
            self.answer(owner, Err(error));
        }
    }

    // ---- the stream -----------------------------------------------------------------

    async fn up(&mut self, up: &Up) {
        self.up = true;
        if self.place != up.place {
            self.place.clone_from(&up.place);
            self.inform();
        }
        let (waiting, lost) = self.outstanding.up(up.jid.to_bare(), up.resumed);
        for owner in lost {
            self.answer(owner, Err(RequestError::Lost));
        }
        self.tell_all(|| Input::Up(up));
        for id in waiting {
            self.transmit_request(&id).await;
        }
    }

    /// What we are in service discovery, for all services.
    fn inform(&mut self) {
        let spoken = self.place.as_ref().map(|_| Text::from_static(FEATURE));
        let mut features: Vec<Text> = FEATURES.map(Text::from_static).into_iter().collect();
        features.extend(spoken);
        for slot in &self.slots {
            features.extend(slot.features());
        }
        features.sort_by(|a, b| a.as_str().cmp(b.as_str()));
        features.dedup();
        let form = self.place.as_ref().map(capability_form);
        let info = DiscoInfo {
            identities: vec![self.identity.clone()],
            features,
            extensions: form.iter().map(|form| form.to_element()).collect(),
            ..DiscoInfo::default()
        };
        if self.info.as_ref() != Some(&info) {
            self.tell_all(|| Input::Info(&info));
            self.info = Some(info);
        }
        let nodes: Vec<Node> = self.slots.iter().flat_map(|slot| slot.nodes()).collect();
        if self.nodes != nodes {
            self.tell_all(|| Input::Nodes(&nodes));
            self.nodes = nodes;
        }
    }

    async fn stanza(&mut self, stanza: Stanza) {
        if let Stanza::Iq(iq) = &stanza
            && !iq.is_request()
        {
            if let Some((owner, answer)) = self.outstanding.answered(iq) {
                self.answer(owner, answer);
            }
            return;
        }
        for slot in 0..self.slots.len() {
            if self.tell(slot, Input::Stanza(&stanza)) == Taken::Yes {
                return;
            }
        }
        if let Stanza::Iq(iq) = &stanza {
            let refusal = unknown(iq);
            // If the session has ended, the loop is about to see it.
            let _ = self.transmit(refusal.to_element()).await;
        }
    }

    fn received(&mut self, received: Received) {
        let now = self.now();
        self.tell_all(|| Input::Received(received.message()));
        let slots = self.slots.iter_mut();
        let claiming = slots.into_iter().find(|s| s.claims(received.message()));
        let left = match claiming {
            Some(slot) => match slot.deliver(now, received) {
                Ok(()) => return,
                Err(received) => received,
            },
            None => received,
        };
        // There is room for all that are handed over at once; if nobody takes them, they
        // stay in the store.
        let _ = self.incoming.try_send(left);
    }

    // ---- requests -------------------------------------------------------------------

    async fn ask(&mut self, request: Request, owner: Owner) {
        let now = self.started.elapsed();
        match self.outstanding.add(now, request, owner) {
            Ok(id) if self.up => self.transmit_request(&id).await,
            Ok(_) => {}
            Err(owner) => self.answer(owner, Err(RequestError::TooMany)),
        }
    }

    async fn transmit_request(&mut self, id: &str) {
        if let Some(iq) = self.outstanding.transmit(id) {
            // If the session has ended, the loop is about to see it.
            let _ = self.transmit(iq.to_element()).await;
        }
    }

    fn answer(&mut self, owner: Owner, answer: Result<Option<Element>, RequestError>) {
        match owner {
            Owner::Service { slot, tag } => {
                self.tell(slot, Input::Answer { tag, answer });
            }
            // Whoever asked may have given up.
            Owner::Caller(caller) => drop(caller.send(answer)),
        }
    }

    // ---- the store ------------------------------------------------------------------

    /// All that waits goes in one transaction.
    fn begin_to_keep(&mut self) {
        if self.keeping.is_some() || self.to_keep.is_empty() {
            return;
        }
        let mut changes = Vec::new();
        for wanted in &self.to_keep {
            let name = self.slots.get(wanted.slot).map_or("", |slot| slot.name());
            changes.extend(wanted.changes.iter().map(|change| (name, change.clone())));
        }
        let (store, history) = (self.store.clone(), self.history.clone());
        let keeping = async move { shelf::change(&store, &history, changes).await };
        self.keeping = Some((self.to_keep.len(), Box::pin(keeping)));
    }

    fn kept(&mut self, count: usize, result: Result<(), TransactError>) {
        match result {
            Ok(()) => {
                self.keeping = None;
                let kept: Vec<_> = self
                    .to_keep
                    .drain(..count.min(self.to_keep.len()))
                    .collect();
                for wanted in kept {
                    if let Some(tag) = wanted.tag {
                        self.tell(wanted.slot, Input::Kept { tag });
                    }
                }
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "what services want kept is tried again"
                );
                // The session reopens the store; nothing is taken for kept before.
                let pause = async move {
                    tokio::time::sleep(PAUSE).await;
                    Ok(())
                };
                self.keeping = Some((0, Box::pin(pause)));
            }
        }
    }
}

/// The session takes nothing more.
struct Closed;

/// What RFC 6120 §8.4 answers to a request that nobody knows.
fn unknown(iq: &Iq) -> Iq {
    iq.refuse(StanzaError::new(
        ErrorType::Cancel,
        DefinedCondition::ServiceUnavailable,
    ))
}

async fn kept(keeping: &mut Option<(usize, Keeping)>) -> (usize, Result<(), TransactError>) {
    match keeping {
        Some((count, keeping)) => (*count, keeping.await),
        None => pending().await,
    }
}

async fn next_done(doing: &mut VecDeque<(usize, Doing)>) -> Done {
    match doing.front_mut() {
        Some((_, doing)) => doing.await,
        None => pending().await,
    }
}

async fn next_of(receiver: &mut Option<Receiver>) -> Option<Received> {
    match receiver {
        Some(receiver) => receiver.recv_for_later().await,
        None => pending().await,
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

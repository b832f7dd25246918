//! The one task under a neighbourhood: it hears the network, keeps the streams, and feeds
//! the desk. Its own tasks, one for each stream and each order, end with it.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stanchion_reliability::engine::Now;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::payload::control::Set;
use stanchion_stanza::payload::disco::DiscoInfo;
use stanchion_stanza::payload::sensordata::{Profile, Profiled as _};
use stanchion_stanza::stanza::{DefinedCondition, IqKind};
use stanchion_stanza::{BareJid, Jid, Message, Stanza};
use stanchion_transport::BoxTransport;
use stanchion_transport::security::Fingerprint;
use stanchion_transport::tcp::{TcpOptions, accepted};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::config::Limits;
use super::connection::{Saying, Times, Told, converse};
use super::desk::{Act, Desk, NOBODY, Speaker};
use super::error::ContactError;
use super::event::{Event, Heard as FromNeighbour, Standing};
use super::mdns::{Heard, Mdns};
use super::name::{Half, OwnName};
use super::opening::{self, Closed, Opened, We};
use super::record::Record;
use super::table::{Change, Seen, Table};
use super::trust::{Trust, Way};
use crate::adapter::{AdapterEvent, Control, OrderError, Stop};
use crate::host::Job;
use crate::host::orders::Controls;

/// Stanzas that wait for one neighbour.
const SAYINGS: usize = 64;
/// What waits for one while there is no stream yet.
const MOST_PENDING: usize = 64;
/// After the system could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For streams to be closed at the end.
const FAREWELL: Duration = Duration::from_secs(3);

/// What the application wants.
pub(super) enum Call {
    /// Something of the desk's.
    Desk(Box<dyn FnOnce(&mut Desk, Now) + Send>),
    /// A stream to that neighbour.
    Contact(BareJid, oneshot::Sender<Result<Contact, ContactError>>),
    /// Say that to it.
    Message(
        Box<Message>,
        BareJid,
        oneshot::Sender<Result<(), ContactError>>,
    ),
    /// Who is there.
    Neighbours(oneshot::Sender<Vec<Seen>>),
    /// An adapter told something.
    Take(AdapterEvent, oneshot::Sender<()>),
    /// Orders to that adapter go there.
    Attach(Control),
    /// It is no more.
    Detach(String),
    /// That name is whoever shows that certificate, or nobody any more.
    Trust(BareJid, Option<Fingerprint>, oneshot::Sender<()>),
    /// We say something else of ourselves.
    Record(Box<Record>),
}

/// A stream to a neighbour, as far as who asks has to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Contact {
    pub(super) reads: Profile,
    pub(super) sets: Profile,
    pub(super) plain: bool,
}

/// What the neighbourhood is made of.
pub(super) struct Parts {
    pub(super) own: OwnName,
    pub(super) we: We,
    pub(super) desk: Desk,
    pub(super) started: Instant,
    pub(super) trust: Trust,
    pub(super) limits: Limits,
    pub(super) mdns: Mdns,
    pub(super) record: Record,
    pub(super) listener: TcpListener,
    pub(super) port: u16,
    pub(super) jobs: mpsc::Receiver<Job>,
    pub(super) calls: mpsc::Receiver<Call>,
    pub(super) events: broadcast::Sender<Event>,
    pub(super) heard: mpsc::Sender<FromNeighbour>,
    pub(super) standing: watch::Sender<Standing>,
}

/// A stream that is open.
struct Stream {
    sayings: mpsc::Sender<Saying>,
    speaker: Speaker,
    /// Whom it leads to: proven, or whom we went to.
    name: Option<BareJid>,
    address: IpAddr,
    info: Option<DiscoInfo>,
}

/// A stream that is being opened by us.
#[derive(Default)]
struct Dialling {
    contacts: Vec<oneshot::Sender<Result<Contact, ContactError>>>,
    sayings: Vec<(Saying, Option<String>)>,
}

/// What one of our tasks came to.
enum Done {
    Accepted(IpAddr, Box<Result<Opened, Closed>>),
    Dialled(BareJid, Box<Result<(Opened, IpAddr), ContactError>>),
    Over(u64),
    Carried(u64, Result<(), OrderError>),
}

/// The task.
pub(super) struct Work {
    parts: Parts,
    table: Table,
    controls: Controls,
    streams: HashMap<u64, Stream>,
    next: u64,
    dialling: HashMap<BareJid, Dialling>,
    /// Handshakes of those who came, by their addresses.
    coming: HashMap<IpAddr, usize>,
    told: (mpsc::Sender<Told>, mpsc::Receiver<Told>),
    tasks: JoinSet<Done>,
    deaf: bool,
}

enum Wake {
    Call(Option<Call>),
    Network(Heard),
    Came(Option<(TcpStream, SocketAddr)>),
    Told(Option<Told>),
    Done(Done),
    Job(Option<Job>),
    Tick,
    Stop,
}

impl Work {
    pub(super) fn new(parts: Parts) -> Self {
        Self {
            parts,
            table: Table::default(),
            controls: Controls::default(),
            streams: HashMap::new(),
            next: 0,
            dialling: HashMap::new(),
            coming: HashMap::new(),
            told: mpsc::channel(SAYINGS),
            tasks: JoinSet::new(),
            deaf: false,
        }
    }

    /// Runs until it is to stop; then everybody is told good-bye.
    pub(super) async fn run(mut self, stop: Stop) {
        loop {
            let due = self.perform();
            let wake = self.wake(due, &stop).await;
            match wake {
                Wake::Stop | Wake::Call(None) => break,
                Wake::Call(Some(call)) => self.call(call),
                Wake::Network(heard) => self.network(heard),
                Wake::Came(Some((socket, from))) => self.came(socket, from.ip()),
                Wake::Told(Some(Told::Stanza(number, stanza))) => self.stanza(number, *stanza),
                Wake::Done(done) => self.done(done),
                Wake::Job(Some(job)) => self.job(job),
                Wake::Tick => {
                    let now = self.now();
                    self.parts.desk.tick(now);
                }
                Wake::Came(None) | Wake::Told(_) | Wake::Job(None) => {}
            }
        }
        self.end().await;
    }

    async fn end(mut self) {
        // The streams close once nobody has anything to say on them.
        self.streams.clear();
        let (tasks, mdns) = (&mut self.tasks, self.parts.mdns);
        drop(self.told);
        let streams = async { while tasks.join_next().await.is_some() {} };
        let streams = timeout(FAREWELL, streams);
        let (streams, ()) = tokio::join!(streams, mdns.end());
        if streams.is_err() {
            self.tasks.shutdown().await;
        }
    }

    fn now(&self) -> Now {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let wall = i64::try_from(since.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
        Now {
            monotonic: self.parts.started.elapsed(),
            wall: WallTime::from_unix_ms(wall),
        }
    }

    async fn wake(&mut self, due: Option<Duration>, stop: &Stop) -> Wake {
        let due = due.map(|due| self.parts.started + due);
        let (parts, deaf) = (&mut self.parts, self.deaf);
        let came = async {
            match parts.listener.accept().await {
                Ok(came) => Some(came),
                Err(error) => {
                    tracing::warn!(%error, "a connection cannot be accepted");
                    sleep(ACCEPT_PAUSE).await;
                    None
                }
            }
        };
        tokio::select! {
            () = stop.wanted() => Wake::Stop,
            call = parts.calls.recv() => Wake::Call(call),
            heard = parts.mdns.heard(), if !deaf => Wake::Network(heard),
            came = came => Wake::Came(came),
            told = self.told.1.recv() => Wake::Told(told),
            Some(done) = self.tasks.join_next() => match done {
                Ok(done) => Wake::Done(done),
                // A task that panicked is a fault of ours, and no stream's.
                Err(error) => {
                    tracing::error!(%error, "a stream's task ended badly");
                    Wake::Told(None)
                }
            },
            job = parts.jobs.recv(), if !parts.jobs.is_closed() => Wake::Job(job),
            () = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            } => Wake::Tick,
        }
    }

    // ---- the network ----------------------------------------------------------------

    fn network(&mut self, heard: Heard) {
        let own = self.parts.we.name.clone();
        let change = match heard {
            Heard::Seen(seen) => self.table.seen(&own, seen),
            Heard::Gone(name) => self.table.gone(&name),
            Heard::Taken(half) => return self.taken(half),
            Heard::Announced => {
                return self.parts.standing.send_modify(|s| s.announced = true);
            }
            Heard::Deaf => {
                self.deaf = true;
                tracing::error!("multicast DNS has ended: neighbours are not seen any more");
                None
            }
        };
        if let Some(change) = change {
            self.event(match change {
                Change::Found(seen) => Event::Found(Box::new(seen)),
                Change::Changed(seen) => Event::Changed(Box::new(seen)),
                Change::Gone(name) => Event::Gone(name),
            });
        }
    }

    /// We take the next name (XEP-0174 §3).
    fn taken(&mut self, half: Half) {
        let next = self.parts.own.next(half);
        let Some((own, name)) = next.and_then(|own| Some((own.clone(), own.jid()?))) else {
            tracing::error!("all names on the local network are taken: nobody sees us");
            return;
        };
        self.parts.own = own;
        self.parts.we.name = name.clone();
        let now = self.now();
        self.parts.desk.named(now, name.clone());
        self.table.gone(&name);
        self.parts.standing.send_modify(|standing| {
            standing.name = name.clone();
            standing.announced = false;
        });
        self.register();
        self.event(Event::Renamed(name));
    }

    fn register(&mut self) {
        let parts = &mut self.parts;
        let done = parts.mdns.register(&parts.own, parts.port, &parts.record);
        if let Err(error) = done {
            let error: &dyn std::error::Error = &error;
            tracing::error!(error, "nobody sees us on the local network");
        }
    }

    fn event(&self, event: Event) {
        // Nobody has to look.
        let _ = self.parts.events.send(event);
    }

    // ---- streams --------------------------------------------------------------------

    fn is_room_for(&self, address: IpAddr) -> bool {
        let limits = &self.parts.limits;
        let open = self.streams.values().filter(|s| s.address == address);
        let coming = self.coming.get(&address).copied().unwrap_or(0);
        let all = self.streams.len() + self.coming.values().sum::<usize>() + self.dialling.len();
        all < limits.streams && open.count() + coming < limits.streams_of_one_address
    }

    fn came(&mut self, socket: TcpStream, from: IpAddr) {
        if !self.is_room_for(from) {
            tracing::debug!(%from, "too many streams: one is not let in");
            return;
        }
        let Ok(pipe) = accepted(socket, TcpOptions::default()) else {
            return;
        };
        *self.coming.entry(from).or_default() += 1;
        let (we, trust, within) = self.to_open();
        self.tasks.spawn(async move {
            let own = we.name.clone();
            let decide = |name: Option<&BareJid>, modern| trust.by(name, &own, modern);
            let opened = timeout(within, opening::accept(pipe, &we, decide)).await;
            let late = |_| Closed::Broken {
                from: None,
                what: format!("no stream within {within:?}"),
            };
            let opened = opened.map_err(late).and_then(|opened| opened);
            Done::Accepted(from, Box::new(opened))
        });
    }

    fn to_open(&self) -> (We, Trust, Duration) {
        let mut we = self.parts.we.clone();
        we.info = Arc::new(self.parts.desk.info());
        (we, self.parts.trust.clone(), self.parts.limits.handshake)
    }

    /// Opens a stream to that neighbour, if there is a way.
    fn dial(&mut self, to: &BareJid) -> Result<(), ContactError> {
        let who = to.clone();
        let way = self.parts.trust.to(to, &self.parts.we.name);
        let way = way.map_err(|why| ContactError::Untrusted { who, why })?;
        let who = to.clone();
        let seen = self.table.get(to).cloned();
        let seen = seen.ok_or(ContactError::NotSeen { who })?;
        let room = seen.addresses.iter().any(|ip| self.is_room_for(*ip));
        if !room {
            return Err(ContactError::Busy { who: to.clone() });
        }
        let (we, _, within) = self.to_open();
        let to = to.clone();
        self.tasks.spawn(async move {
            let opened = timeout(within, reach(&we, &seen, way)).await;
            let late = |_| ContactError::Timeout {
                who: to.clone(),
                within,
            };
            let opened = opened.map_err(late).and_then(|opened| opened);
            Done::Dialled(to, Box::new(opened))
        });
        Ok(())
    }

    fn add(&mut self, opened: Opened, address: IpAddr, dialled: bool) -> Option<u64> {
        let Opened {
            stream,
            name,
            way,
            info,
        } = opened;
        let number = self.next;
        self.next += 1;
        let (name, speaker) = match (way, name) {
            // What was trusted when it began may not be any more.
            (Way::Pinned(pin), Some(name)) => {
                if self.parts.trust.pin_of(&name) != Some(pin) {
                    return None;
                }
                let speaker = Speaker::pinned(&name);
                (Some(name), speaker)
            }
            (Way::Pinned(_), None) => return None,
            (Way::Plain, name) => {
                let name = name.filter(|_| dialled);
                let speaker = Speaker::plain(number, name.as_ref())?;
                (name, speaker)
            }
        };
        let (sayings, receiver) = mpsc::channel(SAYINGS);
        let times = Times {
            idle: self.parts.limits.idle,
            write: self.parts.limits.write,
        };
        let told = self.told.0.clone();
        self.tasks.spawn(async move {
            converse(number, stream, receiver, told, times).await;
            Done::Over(number)
        });
        let stream = Stream {
            sayings,
            speaker,
            name,
            address,
            info,
        };
        self.streams.insert(number, stream);
        Some(number)
    }

    fn done(&mut self, done: Done) {
        match done {
            Done::Accepted(from, opened) => {
                if let Some(coming) = self.coming.get_mut(&from) {
                    *coming -= 1;
                    if *coming == 0 {
                        self.coming.remove(&from);
                    }
                }
                match *opened {
                    Ok(opened) => {
                        self.add(opened, from, false);
                    }
                    Err(Closed::Untrusted { from: name, why }) => {
                        let why = why.to_string();
                        self.event(Event::Refused {
                            name,
                            address: from,
                            why,
                        });
                    }
                    Err(Closed::Broken { from: name, what }) => {
                        self.event(Event::Refused {
                            name,
                            address: from,
                            why: what,
                        });
                    }
                }
            }
            Done::Dialled(to, opened) => self.dialled(&to, *opened),
            Done::Over(number) => {
                let gone = self.streams.remove(&number).and_then(|s| s.name);
                if let Some(name) = gone
                    && self.stream_to(&name).is_none()
                {
                    let now = self.now();
                    self.parts.desk.lost(now, &name);
                }
            }
            Done::Carried(number, outcome) => {
                let now = self.now();
                if let Some(host) = &mut self.parts.desk.host {
                    host.carried_out(now, number, &outcome);
                }
            }
        }
    }

    fn dialled(&mut self, to: &BareJid, opened: Result<(Opened, IpAddr), ContactError>) {
        let waiting = self.dialling.remove(to).unwrap_or_default();
        let opened = opened.and_then(|(opened, address)| {
            let lost = || ContactError::Lost { who: to.clone() };
            self.add(opened, address, true).ok_or_else(lost)
        });
        match opened {
            Ok(number) => {
                let contact = self.streams.get(&number).map(Stream::contact);
                for waiter in waiting.contacts {
                    let lost = || ContactError::Lost { who: to.clone() };
                    // It may have given up.
                    let _ = waiter.send(contact.ok_or_else(lost));
                }
                for (saying, id) in waiting.sayings {
                    self.say_on(number, saying, id.as_deref());
                }
            }
            Err(error) => {
                for waiter in waiting.contacts {
                    let _ = waiter.send(Err(error.clone()));
                }
                // Whoever waits for another saying hears that it was dropped.
                let (now, why) = (self.now(), error.to_string());
                for (_, id) in waiting.sayings {
                    if let Some(id) = id {
                        self.parts.desk.unheard(now, &id, &why);
                    }
                }
            }
        }
    }

    /// The stream to that neighbour: the newest one.
    fn stream_to(&self, name: &BareJid) -> Option<u64> {
        let all = self.streams.iter();
        let to = all.filter(|(_, s)| s.name.as_ref() == Some(name) && !s.sayings.is_closed());
        to.map(|(number, _)| *number).max()
    }

    /// Says something on a stream; a neighbour that does not listen is left.
    fn say_on(&mut self, number: u64, saying: Saying, id: Option<&str>) {
        let Some(stream) = self.streams.get(&number) else {
            return;
        };
        if stream.sayings.try_send(saying).is_err() {
            tracing::debug!(number, "a neighbour does not listen: its stream is closed");
            self.streams.remove(&number);
            if let Some(id) = id {
                let now = self.now();
                self.parts.desk.unheard(now, id, "it takes nothing more");
            }
        }
    }

    fn stanza(&mut self, number: u64, stanza: Stanza) {
        let Some(stream) = self.streams.get(&number) else {
            return;
        };
        let speaker = stream.speaker.clone();
        let now = self.now();
        self.parts.desk.hear(now, &speaker, stanza);
    }

    // ---- the desk -------------------------------------------------------------------

    /// Does all that is to be done; when to come back. While somebody's stream is full,
    /// nothing more is taken from the services: there is room again, or the stream ends.
    fn perform(&mut self) -> Option<Duration> {
        let due = loop {
            let full = |s: &Stream| s.sayings.capacity() == 0 && !s.sayings.is_closed();
            if self.streams.values().any(full) {
                break None;
            }
            let now = self.now();
            match self.parts.desk.poll(now) {
                Ok(act) => self.act(act),
                Err(due) => break due,
            }
        };
        while let Some(event) = self.parts.desk.event() {
            self.event(Event::Things(event));
        }
        due
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Say { to, stanza } => {
                let number = match to.domain() {
                    NOBODY => to.local().and_then(|number| number.parse().ok()),
                    _ => self.stream_to(&to.to_bare()),
                };
                let number = number.filter(|number| {
                    let stream = self.streams.get(number);
                    stream.is_some_and(|stream| stream.speaker.known_as == to)
                });
                if let Some(number) = number {
                    let saying = self.saying(number, stanza, None);
                    self.say_on(number, saying, None);
                }
            }
            Act::Ask { to, id, iq } => {
                let sets = matches!(&iq.kind, IqKind::Set(_));
                let way = self.parts.trust.to(&to, &self.parts.we.name);
                if sets && !matches!(way, Ok(Way::Pinned(_))) {
                    let now = self.now();
                    let why = "nothing is set over a stream without TLS";
                    return self.parts.desk.unheard(now, &id, why);
                }
                if let Err(error) = self.say_to(&to, Stanza::Iq(iq), None, Some(&id)) {
                    let now = self.now();
                    self.parts.desk.unheard(now, &id, &error.to_string());
                }
            }
            Act::Hand { message, plain } => self.hand(message, plain),
        }
    }

    /// Addresses are logical ones (XEP-0174 §7): to whom nobody knows, there is none.
    fn saying(
        &self,
        number: u64,
        mut stanza: Stanza,
        written: Option<oneshot::Sender<()>>,
    ) -> Saying {
        let to = self.streams.get(&number).and_then(|s| s.name.clone());
        let header = match &mut stanza {
            Stanza::Iq(iq) => &mut iq.header,
            Stanza::Message(message) => &mut message.header,
            Stanza::Presence(presence) => &mut presence.header,
        };
        header.from = Some(self.parts.we.name.clone().into());
        header.to = to.map(Jid::from);
        Saying {
            element: stanza.to_element(),
            written,
        }
    }

    /// Says something to a neighbour, over the stream there is, or a new one.
    fn say_to(
        &mut self,
        to: &BareJid,
        stanza: Stanza,
        written: Option<oneshot::Sender<()>>,
        id: Option<&str>,
    ) -> Result<(), ContactError> {
        if let Some(number) = self.stream_to(to) {
            let saying = self.saying(number, stanza, written);
            self.say_on(number, saying, id);
            return Ok(());
        }
        if !self.dialling.contains_key(to) {
            self.dial(to)?;
            self.dialling.insert(to.clone(), Dialling::default());
        }
        let mut stanza = stanza;
        let header = match &mut stanza {
            Stanza::Iq(iq) => &mut iq.header,
            Stanza::Message(message) => &mut message.header,
            Stanza::Presence(presence) => &mut presence.header,
        };
        header.from = Some(self.parts.we.name.clone().into());
        header.to = Some(to.clone().into());
        let element = stanza.to_element();
        let waiting = self.dialling.entry(to.clone()).or_default();
        if waiting.sayings.len() >= MOST_PENDING {
            return Err(ContactError::Busy { who: to.clone() });
        }
        let saying = Saying { element, written };
        waiting.sayings.push((saying, id.map(str::to_owned)));
        Ok(())
    }

    fn hand(&mut self, message: Message, plain: bool) {
        let from = message.header.from.clone();
        let heard = FromNeighbour { message, plain };
        let why = match self.parts.heard.try_send(heard) {
            Ok(()) => return,
            Err(why) => why,
        };
        tracing::debug!(?from, "a message finds nobody who takes it");
        let heard = why.into_inner();
        let why = "nobody takes messages now";
        let condition = DefinedCondition::ResourceConstraint;
        self.parts.desk.bounce(&heard.message, condition, why);
    }

    // ---- the application ------------------------------------------------------------

    fn call(&mut self, call: Call) {
        let now = self.now();
        match call {
            Call::Desk(run) => run(&mut self.parts.desk, now),
            Call::Contact(to, answer) => self.contact(to, answer),
            Call::Message(message, to, answer) => self.message(*message, &to, answer),
            Call::Neighbours(answer) => {
                // Who asked may have given up, here and below.
                let _ = answer.send(self.table.all().cloned().collect());
            }
            Call::Take(event, taken) => {
                if let Some(host) = &mut self.parts.desk.host {
                    // What is told on is the client's own host's business.
                    host.take(now, event);
                    host.take_due(now);
                }
                let _ = taken.send(());
            }
            Call::Attach(control) => {
                self.controls.attach(control);
            }
            Call::Detach(name) => {
                self.controls.detach(&name);
                if let Some(host) = &mut self.parts.desk.host {
                    host.detach(&name);
                }
            }
            Call::Trust(name, pin, done) => {
                match pin {
                    Some(pin) => self.parts.trust.pin(name.clone(), pin),
                    None => {
                        self.parts.trust.forget(&name);
                    }
                }
                // What stands was opened in another trust.
                let theirs = |s: &Stream| s.name.as_ref() == Some(&name);
                self.streams.retain(|_, stream| !theirs(stream));
                self.parts.desk.lost(now, &name);
                let _ = done.send(());
            }
            Call::Record(record) => {
                let fingerprint = self.parts.record.fingerprint;
                self.parts.record = *record;
                self.parts.record.fingerprint = fingerprint;
                self.register();
            }
        }
    }

    fn contact(&mut self, to: BareJid, answer: oneshot::Sender<Result<Contact, ContactError>>) {
        if let Some(number) = self.stream_to(&to)
            && let Some(stream) = self.streams.get(&number)
        {
            let _ = answer.send(Ok(stream.contact()));
            return;
        }
        if !self.dialling.contains_key(&to)
            && let Err(error) = self.dial(&to)
        {
            let _ = answer.send(Err(error));
            return;
        }
        let waiting = self.dialling.entry(to.clone()).or_default();
        match waiting.contacts.len() < MOST_PENDING {
            true => waiting.contacts.push(answer),
            false => {
                let _ = answer.send(Err(ContactError::Busy { who: to }));
            }
        }
    }

    fn message(
        &mut self,
        message: Message,
        to: &BareJid,
        answer: oneshot::Sender<Result<(), ContactError>>,
    ) {
        let plain = !matches!(
            self.parts.trust.to(to, &self.parts.we.name),
            Ok(Way::Pinned(_))
        );
        if plain && !matches!(Set::find_any(&message.payloads), Ok(None)) {
            let (who, why) = (to.clone(), super::trust::No::NotPinned);
            let _ = answer.send(Err(ContactError::Untrusted { who, why }));
            return;
        }
        let (written, is_written) = oneshot::channel();
        match self.say_to(to, Stanza::Message(message), Some(written), None) {
            Err(error) => {
                let _ = answer.send(Err(error));
            }
            Ok(()) => {
                let who = to.clone();
                // Bounded by what may wait for a neighbour, and over when that is.
                self.tasks.spawn(async move {
                    let written = is_written.await.map_err(|_| ContactError::Lost { who });
                    let _ = answer.send(written);
                    Done::Over(u64::MAX)
                });
            }
        }
    }

    // ---- jobs -----------------------------------------------------------------------

    fn job(&mut self, job: Job) {
        match job {
            Job::Set {
                number,
                plan,
                within,
            } => {
                let given = self.controls.give(&plan, Instant::now() + within);
                self.tasks
                    .spawn(async move { Done::Carried(number, given.outcome().await) });
            }
            // What is remembered is the client's own host's; there is none here.
            Job::Look { number, .. } => {
                if let Some(host) = &mut self.parts.desk.host {
                    host.remembered(number, Vec::new(), true);
                }
            }
        }
    }
}

impl Stream {
    fn contact(&self) -> Contact {
        let best = |feature: fn(Profile) -> &'static str| {
            let all = [Profile::Nf, Profile::Nfi, Profile::Ieee, Profile::Legacy];
            let info = self.info.as_ref()?;
            all.into_iter().find(|p| info.has(feature(*p)))
        };
        // Whoever is protected is one of ours, or close to it.
        let otherwise = match self.speaker.plain {
            true => Profile::Legacy,
            false => Profile::Nf,
        };
        let reads = best(Profile::sensor_data).unwrap_or(otherwise);
        Contact {
            reads,
            sets: best(Profile::control).unwrap_or(reads),
            plain: self.speaker.plain,
        }
    }
}

/// A stream to one of the neighbour's addresses, and which.
async fn reach(we: &We, seen: &Seen, way: Way) -> Result<(Opened, IpAddr), ContactError> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "it has no address");
    for address in &seen.addresses {
        let socket = match TcpStream::connect((*address, seen.port)).await {
            Ok(socket) => socket,
            Err(error) => {
                last = error;
                continue;
            }
        };
        let pipe: BoxTransport = match accepted(socket, TcpOptions::default()) {
            Ok(pipe) => pipe,
            Err(error) => {
                last = error;
                continue;
            }
        };
        let opened = opening::open(pipe, we, &seen.name, way).await?;
        return Ok((opened, *address));
    }
    Err(ContactError::Unreachable {
        who: seen.name.clone(),
        source: Arc::new(last),
    })
}

//! The one task under a neighbourhood: it hears the network, keeps the streams, and feeds
//! the desk. Its own tasks, one for each stream and each order, end with it.

mod calls;
mod streams;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use stanchion_reliability::engine::Now;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::stanza::{DefinedCondition, IqKind};
use stanchion_stanza::{BareJid, Message, Stanza};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

pub(super) use calls::Call;
pub(super) use streams::Contact;

use super::config::Limits;
use super::connection::Told;
use super::desk::{Act, Desk, NOBODY};
use super::error::ContactError;
use super::event::{Event, Heard as FromNeighbour, Standing};
use super::mdns::{Heard, Mdns};
use super::name::{Half, OwnName};
use super::opening::{Closed, Opened, We};
use super::record::Record;
use super::table::{Change, Seen, Table};
use super::trust::{Trust, Way};
use crate::adapter::{OrderError, Stop};
use crate::host::orders::Controls;
use crate::host::{HostEvent, Job};
use streams::{Dialling, Stream};

/// Stanzas that wait for one neighbour.
const SAYINGS: usize = 64;
/// After the system could not accept a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// For streams to be closed at the end.
const FAREWELL: Duration = Duration::from_secs(3);

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
    /// Somebody else who goes by our name: a neighbour, once we have another.
    twin: Option<Seen>,
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
            twin: None,
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
            Heard::Seen(seen) => {
                if seen.name == own && seen.port != self.parts.port {
                    self.twin = Some(seen.clone());
                }
                self.table.seen(&own, seen)
            }
            Heard::Gone(name) => {
                self.twin = self.twin.take().filter(|twin| twin.name != name);
                self.table.gone(&name)
            }
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
        if let Some(twin) = self.twin.take() {
            self.network(Heard::Seen(twin));
        }
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
            match event {
                // What is told on is the client's own host's business.
                HostEvent::Due => {
                    let now = self.now();
                    if let Some(host) = &mut self.parts.desk.host {
                        host.take_due(now);
                    }
                }
                event => self.event(Event::Things(event)),
            }
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
                if let Err(error) = self.say_to(&to, Stanza::Iq(iq), &mut None, Some(&id)) {
                    let now = self.now();
                    self.parts.desk.unheard(now, &id, &error.to_string());
                }
            }
            Act::Hand { message, plain } => self.hand(message, plain),
        }
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

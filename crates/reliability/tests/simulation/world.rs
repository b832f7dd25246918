//! The world: time, the server, the links, the faults, and two applications. It moves
//! from event to event until every message has its end.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use stanchion_reliability::engine::{
    EngineConfig, Event as Told, Input, Output, ReconnectReason, Refusal, Stream, Submission,
};
use stanchion_reliability::outcome::Outcome;
use stanchion_reliability::store::{self, StoreError};
use stanchion_stanza::payload::receipts::{Received, Request};
use stanchion_stanza::payload::sid::OriginId;
use stanchion_stanza::payload::sm::{Ack, Resume};
use stanchion_stanza::{
    Element, Encoder, Jid, Limits, Message, Payload as _, Presence, Scope, Stanza, Text,
    codec::parse_element,
};
use stanchion_testkit::server::Connection;
use stanchion_testkit::{
    Behaviour, Direction, Fault, Faults, Link, Login, Random, Schedule, Server, ToClient, ToServer,
    Welcome, plan,
};

use crate::device::{Device, Line, wall};
use crate::ledger::Checked;

/// Things fail and messages are given for so long; then all is well.
const TROUBLE: Duration = Duration::from_secs(90);
/// After so long without trouble every message must have its end.
const PATIENCE: Duration = Duration::from_secs(3600);
/// An outcome is due so long after the deadline: the store's time, and the pause
/// between looks at it.
const SLACK: Duration = Duration::from_secs(2);
const MS: Duration = Duration::from_millis(1);

/// What a run is made of.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// From each device.
    pub(crate) messages: u64,
    pub(crate) engine: EngineConfig,
    pub(crate) latency: Duration,
    /// Per mille of messages that have a deadline.
    pub(crate) deadlines: u32,
    pub(crate) faults: Faults,
    pub(crate) behaviour: Behaviour,
}

/// What happened in runs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    pub(crate) acknowledged: u64,
    pub(crate) not_delivered: u64,
    pub(crate) in_doubt: u64,
    /// In doubt, and acknowledged later.
    pub(crate) settled_late: u64,
    /// Took effect after one that was accepted later.
    pub(crate) overtaken: u64,
    pub(crate) transmitted: u64,
    pub(crate) duplicates: u64,
    pub(crate) resumed: u64,
    pub(crate) crashes: u64,
    pub(crate) store_failures: u64,
    /// Of virtual time.
    pub(crate) seconds: u64,
    pub(crate) events: u64,
}

impl Summary {
    pub(crate) const fn add(&mut self, other: &Self) {
        self.acknowledged += other.acknowledged;
        self.not_delivered += other.not_delivered;
        self.in_doubt += other.in_doubt;
        self.settled_late += other.settled_late;
        self.overtaken += other.overtaken;
        self.transmitted += other.transmitted;
        self.duplicates += other.duplicates;
        self.resumed += other.resumed;
        self.crashes += other.crashes;
        self.store_failures += other.store_failures;
        self.seconds += other.seconds;
        self.events += other.events;
    }
}

/// What happens. `of` is a device, `life` the engine's that it concerns.
#[derive(Debug)]
enum Event {
    ToServer(Connection, ToServer),
    ToClient(Connection, ToClient),
    /// A side learns that a connection broke.
    ServerNotices(Connection),
    ClientNotices(Connection),
    ServerTick,
    ServerStarts,
    Fails(Fault),
    Calm,
    Starts {
        of: usize,
    },
    Submits {
        of: usize,
        number: u64,
    },
    Dials {
        of: usize,
        life: u64,
    },
    Wakes {
        of: usize,
        life: u64,
        at: Duration,
    },
    StoreSteps {
        of: usize,
        life: u64,
    },
    Acts {
        of: usize,
        life: u64,
        arrival: u64,
        id: String,
        warned: bool,
    },
    Due {
        of: usize,
        id: String,
    },
}

pub(crate) struct World {
    setup: Setup,
    random: Random,
    schedule: Schedule<Event>,
    server: Server,
    server_runs: bool,
    server_tick: Option<Duration>,
    links: BTreeMap<Connection, (Link, usize)>,
    next_connection: Connection,
    devices: [Device; 2],
    calm: bool,
    tell: bool,
    summary: Summary,
}

impl World {
    pub(crate) fn new(setup: Setup, mut random: Random, tell: bool) -> Self {
        let server = Server::new(setup.behaviour, Random::new(random.number()));
        let mut schedule = Schedule::default();
        for (at, fault) in plan(setup.faults, 2, TROUBLE, &mut random) {
            schedule.at(at, Event::Fails(fault));
        }
        schedule.at(TROUBLE, Event::Calm);
        for of in 0..2 {
            schedule.at(Duration::ZERO, Event::Starts { of });
            for number in 0..setup.messages {
                // Some in bursts.
                let at = random.time(Duration::ZERO, TROUBLE);
                let at = if random.chance(400) { TROUBLE / 3 } else { at };
                schedule.at(at, Event::Submits { of, number });
            }
        }
        let device = |jid: &str| Device::new(jid.parse().unwrap());
        Self {
            setup,
            random,
            schedule,
            server,
            server_runs: true,
            server_tick: None,
            links: BTreeMap::new(),
            next_connection: 1,
            devices: [device("a@test.example/x"), device("b@test.example/x")],
            calm: false,
            tell,
            summary: Summary::default(),
        }
    }

    /// Until every message has its end, or a law is broken.
    pub(crate) fn run(mut self) -> Result<Summary, String> {
        while let Some(event) = self.schedule.pop() {
            self.summary.events += 1;
            if self.tell {
                println!("{:?} {}", self.now(), story(&event));
            }
            self.happens(event)
                .and_then(|()| self.bounds())
                .map_err(|law| format!("at {:?}: {law}", self.now()))?;
            if self.calm && self.is_done() {
                break;
            }
            if self.now() > TROUBLE + PATIENCE || self.summary.events > 1_000_000 {
                let left = self.unfinished();
                return Err(format!("no end in sight; without outcome: {left:?}"));
            }
        }
        Ok(self.sum_up())
    }

    fn now(&self) -> Duration {
        self.schedule.now()
    }

    fn happens(&mut self, event: Event) -> Checked {
        let now = self.now();
        match event {
            Event::ToServer(on, packet) => {
                let passes = self.links.get(&on).is_some_and(|(link, _)| !link.is_cut());
                if self.server_runs && passes {
                    self.server.receive(now, on, packet);
                    return self.pump_server();
                }
            }
            Event::ToClient(on, packet) => {
                let Some((link, of)) = self.links.get(&on) else {
                    return Ok(());
                };
                let (passes, of) = (!link.is_cut(), *of);
                if passes && self.is_on(of, on) {
                    return self.from_server(of, on, packet);
                }
            }
            Event::ServerNotices(on) => {
                self.server.disconnected(now, on);
                return self.pump_server();
            }
            Event::ClientNotices(on) => {
                if let Some((_, of)) = self.links.get(&on).cloned()
                    && self.is_on(of, on)
                {
                    return self.lost(of);
                }
            }
            Event::ServerTick => {
                self.server_tick = None;
                if self.server_runs {
                    self.server.tick(now);
                }
                return self.pump_server();
            }
            Event::ServerStarts => self.server_runs = true,
            Event::Fails(fault) => return self.fails(fault),
            Event::Calm => {
                self.calm = true;
                let management = self.setup.behaviour.management;
                self.server.set_behaviour(Behaviour {
                    management,
                    ..Behaviour::default()
                });
            }
            Event::Starts { of } => return self.starts(of),
            Event::Submits { of, number } => return self.submits(of, number),
            Event::Dials { of, life } => {
                if self.lives(of, life) {
                    self.dials(of);
                }
            }
            Event::Wakes { of, life, at } => {
                if self.lives(of, life)
                    && let Some(process) = &mut self.devices[of].process
                    && process.wake == Some(at)
                {
                    process.wake = None;
                    process.tell(now, Input::Tick);
                    return self.drain(of);
                }
            }
            Event::StoreSteps { of, life } => {
                if self.lives(of, life) {
                    if let Some(process) = &mut self.devices[of].process {
                        process.stepping = false;
                    }
                    if let Some(input) = self.devices[of].step_store() {
                        return self.tell(of, input);
                    }
                }
            }
            Event::Acts {
                of,
                life,
                arrival,
                id,
                warned,
            } => {
                if self.lives(of, life) {
                    return self.acts(of, arrival, &id, warned);
                }
            }
            Event::Due { of, id } => return self.due(of, id),
        }
        Ok(())
    }

    fn lives(&self, of: usize, life: u64) -> bool {
        self.devices[of].life == life && self.devices[of].process.is_some()
    }

    /// Whether that is the device's connection.
    fn is_on(&self, of: usize, on: Connection) -> bool {
        let process = self.devices[of].process.as_ref();
        process.is_some_and(|p| p.line.connection() == Some(on))
    }

    // ---- the network ------------------------------------------------------------------

    fn pump_server(&mut self) -> Checked {
        let now = self.now();
        while let Some((on, packet)) = self.server.poll() {
            if let Some((link, _)) = self.links.get_mut(&on)
                && let Some(at) = link.send(now, Direction::Down, &mut self.random)
            {
                self.schedule.at(at, Event::ToClient(on, packet));
            }
        }
        if let Some(at) = self.server.next_timeout()
            && self.server_tick.is_none_or(|planned| at < planned)
        {
            self.server_tick = Some(at);
            self.schedule.at(at, Event::ServerTick);
        }
        match self.server.violations().first() {
            Some(violation) => Err(format!("the server saw: {violation}")),
            None => Ok(()),
        }
    }

    fn to_server(&mut self, on: Connection, packet: ToServer) {
        let now = self.schedule.now();
        if let Some((link, _)) = self.links.get_mut(&on)
            && let Some(at) = link.send(now, Direction::Up, &mut self.random)
        {
            self.schedule.at(at, Event::ToServer(on, packet));
        }
    }

    fn dials(&mut self, of: usize) {
        let now = self.now();
        let jid = self.devices[of].jid.clone();
        let life = self.devices[of].life;
        let Some(process) = &mut self.devices[of].process else {
            return;
        };
        process.dialing = false;
        if process.line != Line::Down {
            return;
        }
        // A count that is told must not rise before the stream is back.
        if !self.server_runs || !process.engine.is_settled() {
            process.dialing = true;
            let wait = self.random.time(50 * MS, 1000 * MS);
            return self.schedule.after(wait, Event::Dials { of, life });
        }
        let on = self.next_connection;
        self.next_connection += 1;
        let h = process.engine.handled();
        process.resumed_with = h;
        let resume = process.resumable.clone().map(|previd| Resume { previd, h });
        process.line = Line::LoggingIn {
            on,
            resumes: resume.is_some(),
        };
        self.links.insert(on, (Link::new(self.setup.latency), of));
        self.to_server(
            on,
            ToServer::Login(Login {
                jid,
                manage: true,
                resume,
            }),
        );
        // A login that is not answered in time has failed.
        self.schedule
            .at(now + 15_000 * MS, Event::ClientNotices(on));
    }

    /// The client's side of a connection is over; it tries again soon.
    fn lost(&mut self, of: usize) -> Checked {
        let now = self.now();
        let life = self.devices[of].life;
        let Some(process) = &mut self.devices[of].process else {
            return Ok(());
        };
        match process.line {
            // No answer to `<resume/>` is an answer.
            Line::LoggingIn { resumes: true, .. } => process.resumable = None,
            Line::LoggingIn { .. } | Line::Up(_) | Line::Down => {}
        }
        let was_up = matches!(process.line, Line::Up(_));
        let connection = process.line.connection();
        process.line = Line::Down;
        if !process.dialing {
            process.dialing = true;
            let wait = self.random.time(20 * MS, 3000 * MS);
            self.schedule.after(wait, Event::Dials { of, life });
        }
        self.hangs_up(connection, now);
        if was_up {
            return self.tell(of, Input::Disconnected);
        }
        Ok(())
    }

    /// A client is gone from a connection; the server learns of it sooner or later.
    fn hangs_up(&mut self, connection: Option<Connection>, now: Duration) {
        if let Some(on) = connection
            && let Some((link, _)) = self.links.get_mut(&on)
        {
            link.cut();
            let most = *self.random.pick(&[100 * MS, 60_000 * MS]);
            let wait = self.random.time(MS, most);
            self.schedule.at(now + wait, Event::ServerNotices(on));
        }
    }

    fn from_server(&mut self, of: usize, on: Connection, packet: ToClient) -> Checked {
        let now = self.now();
        let Some(process) = &mut self.devices[of].process else {
            return Ok(());
        };
        match packet {
            ToClient::Close => self.lost(of),
            ToClient::Element(element) => {
                if process.line != Line::Up(on) {
                    return Ok(());
                }
                if Stanza::is_stanza(&element) {
                    process.received.push(must_be_durable(&element));
                }
                self.tell(of, Input::Received(element))
            }
            ToClient::Welcome(welcome) => {
                process.line = Line::Up(on);
                match welcome {
                    Welcome::Resumed { h } => {
                        self.summary.resumed += 1;
                        process.received.truncate(process.resumed_with as usize);
                        self.tell(of, Input::Connected(Stream::Resumed { h }))
                    }
                    Welcome::Bound { managed, failed } => {
                        process.received.clear();
                        let stream = Stream::Bound {
                            managed: managed.is_some(),
                            handled: failed.and_then(|failed| failed.h),
                        };
                        process.resumable = managed;
                        process.tell(now, Input::Connected(stream));
                        let presence = Presence::available().to_element();
                        self.tell(of, Input::Transmit(presence))
                    }
                }
            }
        }
    }

    // ---- what fails -------------------------------------------------------------------

    fn fails(&mut self, fault: Fault) -> Checked {
        let now = self.now();
        match fault {
            Fault::Cut { client, silent } => {
                let line = self.devices[client].process.as_ref().map(|p| p.line);
                if let Some(on) = line.and_then(Line::connection) {
                    if let Some((link, _)) = self.links.get_mut(&on) {
                        link.cut();
                    }
                    // A server learns of silence in the end.
                    let most = if silent { 120_000 * MS } else { 1000 * MS };
                    let wait = self.random.time(most / 2, most);
                    self.schedule.at(now + wait, Event::ServerNotices(on));
                    if !silent {
                        self.schedule.after(MS, Event::ClientNotices(on));
                    }
                }
            }
            Fault::Stall { client, lasts } => {
                for (link, of) in self.links.values_mut() {
                    if *of == client {
                        link.stall(now + lasts);
                    }
                }
            }
            Fault::Crash { client, lasts } => self.crashes(client, lasts),
            Fault::StoreFailure { client, applied } => {
                if let Some(process) = &mut self.devices[client].process
                    && process.fault_applies.is_none()
                {
                    self.summary.store_failures += 1;
                    process.fault_applies = Some(applied);
                    let error = StoreError::Io(Arc::new(io::Error::other("fault")));
                    let fault = store::Fault { error, applied };
                    process.control.fail_commits(1, &fault);
                }
            }
            Fault::SlowStore { client, lasts } => {
                self.devices[client].slow_until = now + lasts;
            }
            Fault::KillServer { lasts } => {
                self.server.kill(now);
                self.server_runs = false;
                self.schedule.after(lasts, Event::ServerStarts);
                for (on, (link, _)) in &mut self.links {
                    if !link.is_cut() {
                        link.cut();
                        if self.random.chance(700) {
                            self.schedule.after(MS, Event::ClientNotices(*on));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn crashes(&mut self, of: usize, lasts: Duration) {
        let now = self.now();
        if self.devices[of].process.is_some() {
            self.summary.crashes += 1;
            self.count(of);
            let connection = self.devices[of].kill();
            self.hangs_up(connection, now);
            self.schedule.after(lasts, Event::Starts { of });
        }
    }

    fn starts(&mut self, of: usize) -> Checked {
        if self.devices[of].process.is_some() {
            return Ok(());
        }
        let (now, entropy) = (self.now(), self.random.number());
        self.devices[of].start(now, self.setup.engine, entropy);
        self.begins(of)
    }

    /// An engine begins its life: it connects, and the application gives again what it
    /// does not know to be kept.
    fn begins(&mut self, of: usize) -> Checked {
        let life = self.devices[of].life;
        if let Some(process) = &mut self.devices[of].process {
            process.dialing = true;
        }
        let wait = self.random.time(MS, 1000 * MS);
        self.schedule.after(wait, Event::Dials { of, life });
        let ledger = &self.devices[of].ledger;
        for (id, sent) in &ledger.sent {
            if sent.submitted && sent.accepted.is_none() {
                let number = number_of(id);
                self.schedule.after(wait, Event::Submits { of, number });
            }
        }
        self.drain(of)
    }

    // ---- the engine -------------------------------------------------------------------

    fn tell(&mut self, of: usize, input: Input) -> Checked {
        let now = self.now();
        if let Some(process) = &mut self.devices[of].process {
            process.tell(now, input);
        }
        self.drain(of)
    }

    /// Does what the engine wants, as a driver would.
    fn drain(&mut self, of: usize) -> Checked {
        let now = self.now();
        let life = self.devices[of].life;
        let mut ticked = false;
        for _ in 0..10_000 {
            let Some(process) = &mut self.devices[of].process else {
                return Ok(());
            };
            match process.engine.poll_output() {
                Output::Persist(ops) => process.persist(ops),
                Output::Load(load) => process.load(load),
                Output::Transmit(bytes) => self.transmits(of, &bytes)?,
                Output::Reconnect(reason) => {
                    if matches!(reason, ReconnectReason::HandledTooHigh(_)) {
                        return Err(format!("blames an honest server: {reason}"));
                    }
                    if !reason.is_resumable() {
                        process.resumable = None;
                    }
                    self.lost(of)?;
                }
                Output::Event(Told::StoreFailed(_)) => return self.reopens(of),
                Output::Event(event) => self.told(of, event)?,
                Output::Wait(until) => {
                    let until = until.map(|at| process.started + at);
                    if until.is_some_and(|at| at <= now) {
                        if ticked {
                            return Err("the engine waits for the past".to_owned());
                        }
                        ticked = true;
                        process.tell(now, Input::Tick);
                        continue;
                    }
                    if let Some(at) = until
                        && process.wake.is_none_or(|planned| planned != at)
                    {
                        process.wake = Some(at);
                        self.schedule.at(at, Event::Wakes { of, life, at });
                    }
                    if !process.jobs.is_empty() && !process.stepping {
                        process.stepping = true;
                        let slow = now < self.devices[of].slow_until;
                        let most = if slow { 1500 * MS } else { 8 * MS };
                        let wait = self.random.time(Duration::ZERO, most);
                        self.schedule.after(wait, Event::StoreSteps { of, life });
                    }
                    return Ok(());
                }
            }
        }
        Err("the engine never waits".to_owned())
    }

    fn reopens(&mut self, of: usize) -> Checked {
        let (now, entropy) = (self.now(), self.random.number());
        self.count(of);
        let connection = self.devices[of].reopen(now, self.setup.engine, entropy);
        self.hangs_up(connection, now);
        self.begins(of)
    }

    fn transmits(&mut self, of: usize, bytes: &[u8]) -> Checked {
        let element = parse_element(bytes, &Scope::client(), &Limits::default())
            .map_err(|error| format!("transmits no element: {error}"))?;
        let Device {
            process, ledger, ..
        } = &mut self.devices[of];
        let Some(process) = process else {
            return Ok(());
        };
        let Line::Up(on) = process.line else {
            return Err("transmits without a stream".to_owned());
        };
        if let Ok(ack) = Ack::from_element(&element)
            && Ack::matches(&element)
        {
            process.acknowledges(ack.h, ledger)?;
        } else if let Some(id) = must_be_durable(&element) {
            let named = element.attr("id").unwrap_or_default();
            ledger.transmits(named, &id)?;
        } else if let Some(receipt) = element.children().find(|c| Received::matches(c)) {
            ledger.confirms(receipt.attr("id").unwrap_or_default())?;
        }
        self.to_server(on, ToServer::Element(element));
        Ok(())
    }

    fn told(&mut self, of: usize, event: Told) -> Checked {
        let life = self.devices[of].life;
        if self.tell && !matches!(event, Told::Transient(_)) {
            println!("    {of} is told {event:?}");
        }
        match event {
            Told::Accepted { id } => self.accepted(of, &id, life),
            Told::Refused {
                id,
                why: Refusal::OutboxFull(_),
            } => {
                self.devices[of]
                    .ledger
                    .sent
                    .entry(id.clone())
                    .or_default()
                    .submitted = false;
                let number = number_of(&id);
                self.schedule
                    .after(1000 * MS, Event::Submits { of, number });
            }
            Told::Refused { id, .. } => {
                // Given again after a crash, and known: it was kept.
                if !self.devices[of].ledger.outbox.contains(&id) {
                    return Err(format!("{id} was refused for no reason"));
                }
                self.accepted(of, &id, 0);
            }
            Told::Outcome { id, outcome } => {
                let [a, b] = &mut self.devices;
                let (sender, receiver) = if of == 0 { (a, b) } else { (b, a) };
                let effected = receiver.ledger.effects.contains(&id);
                sender.ledger.outcome(life, &id, &outcome, effected)?;
                match outcome {
                    Outcome::Acknowledged { .. } => self.summary.acknowledged += 1,
                    Outcome::NotDelivered(_) => self.summary.not_delivered += 1,
                    _ => self.summary.in_doubt += 1,
                }
            }
            Told::Message {
                arrival,
                message,
                maybe_redelivered,
            } => {
                let id = message.body().unwrap_or_default().into_owned();
                let Device {
                    process, ledger, ..
                } = &mut self.devices[of];
                if !ledger.inbox.contains(&id) {
                    return Err(format!("{id} was handed over before it was durable"));
                }
                if process
                    .as_mut()
                    .is_some_and(|p| !p.handed.insert(id.clone()))
                {
                    return Err(format!("{id} was handed over twice in one life"));
                }
                // Some take long.
                let slow = !self.calm && self.random.chance(40);
                let most = if slow { 20_000 * MS } else { 300 * MS };
                let wait = self.random.time(Duration::ZERO, most);
                let warned = maybe_redelivered;
                self.schedule.after(
                    wait,
                    Event::Acts {
                        of,
                        life,
                        arrival,
                        id,
                        warned,
                    },
                );
            }
            _ => {}
        }
        Ok(())
    }

    // ---- the applications -------------------------------------------------------------

    fn submits(&mut self, of: usize, number: u64) -> Checked {
        let now = self.now();
        let id = format!("{of}-{number}");
        let deadline = if self.random.chance(self.setup.deadlines) {
            Some(now + self.random.time(Duration::ZERO, 40_000 * MS))
        } else {
            None
        };
        let to = Jid::from(self.devices[1 - of].jid.clone()).to_bare();
        let Device {
            process, ledger, ..
        } = &mut self.devices[of];
        let Some(process) = process else {
            self.schedule.after(200 * MS, Event::Submits { of, number });
            return Ok(());
        };
        let sent = ledger.sent.entry(id.clone()).or_default();
        if sent.accepted.is_some() {
            return Ok(());
        }
        sent.submitted = true;
        let first = !std::mem::replace(&mut sent.given, true);
        if first {
            sent.deadline = deadline;
        }
        let deadline = sent.deadline.map(wall);
        if let Some(at) = sent.deadline.filter(|_| first) {
            let due = Event::Due { of, id: id.clone() };
            self.schedule.at(at + SLACK, due);
        }
        let text = Text::new(id.clone()).unwrap_or_default();
        let message = Message::chat(to.clone().into())
            .with_id(text.clone())
            .with_body(text.clone())
            .with_payload(OriginId { id: text }.to_element())
            .with_payload(Request.to_element());
        let stanza = Encoder::new(Scope::client(), Limits::default())
            .to_bytes(&message.to_element())
            .map_err(|error| error.to_string())?;
        let submission = Submission {
            id,
            to: to.into(),
            stanza: stanza.into(),
            deadline,
        };
        process.tell(now, Input::Send(submission));
        self.drain(of)
    }

    fn accepted(&mut self, of: usize, id: &str, life: u64) {
        let sent = self.devices[of]
            .ledger
            .sent
            .entry(id.to_owned())
            .or_default();
        sent.accepted.get_or_insert(life);
    }

    /// The application acts on a message and commits it, if it lives so long.
    fn acts(&mut self, of: usize, arrival: u64, id: &str, warned: bool) -> Checked {
        let [a, b] = &mut self.devices;
        let (receiver, sender) = if of == 0 { (a, b) } else { (b, a) };
        receiver.ledger.acts(id, warned)?;
        if sender.ledger.sent.get(id).is_some_and(|sent| sent.decided) {
            return Err(format!("{id} took effect after NotDelivered"));
        }
        if !self.calm && self.setup.faults.crashes > 0 && self.random.chance(30) {
            self.crashes(of, 1000 * MS);
            return Ok(());
        }
        self.tell(of, Input::Commit { arrival })
    }

    /// The time of a message is over: if its sender runs, it knows an outcome.
    fn due(&mut self, of: usize, id: String) -> Checked {
        let now = self.now();
        let Device {
            process, ledger, ..
        } = &self.devices[of];
        let Some(sent) = ledger.sent.get(&id) else {
            return Ok(());
        };
        if sent.has_outcome() || (sent.accepted.is_none() && !sent.submitted) {
            return Ok(());
        }
        // It must have run for a while, with a store that answered.
        let ready = process.as_ref().is_some_and(|p| {
            p.engine_started + SLACK <= now && self.devices[of].slow_until + 10 * SLACK <= now
        });
        if ready && sent.accepted.is_some() {
            return Err(format!("{id} has no outcome at its deadline"));
        }
        self.schedule.after(500 * MS, Event::Due { of, id });
        Ok(())
    }

    // ---- the end ----------------------------------------------------------------------

    /// Nothing grows without bound.
    fn bounds(&self) -> Checked {
        let config = &self.setup.engine;
        for process in self.devices.iter().filter_map(|d| d.process.as_ref()) {
            let held = process.engine.footprint();
            let within = held.window <= config.in_memory
                && held.handed_over <= config.hand_over
                && held.unacknowledged <= 256
                && held.arriving <= 256
                && process.engine.pending() <= config.outbox;
            if !within {
                let pending = process.engine.pending();
                return Err(format!("out of bounds: {held:?}, {pending} pending"));
            }
        }
        Ok(())
    }

    fn unfinished(&self) -> Vec<&String> {
        self.devices
            .iter()
            .flat_map(|d| &d.ledger.sent)
            .filter(|(_, sent)| {
                sent.accepted.is_none()
                    || (sent.deadline.is_none() && !sent.acknowledged)
                    || !sent.has_outcome()
            })
            .map(|(id, _)| id)
            .collect()
    }

    fn is_done(&self) -> bool {
        let given: u64 = self
            .devices
            .iter()
            .map(|d| d.ledger.sent.len() as u64)
            .sum();
        given == 2 * self.setup.messages
            && self.unfinished().is_empty()
            && self.server.undelivered() == 0
            && self.devices.iter().all(|d| d.process.is_some())
    }

    fn count(&mut self, of: usize) {
        if let Some(process) = &self.devices[of].process {
            let counters = process.engine.counters();
            self.summary.transmitted += counters.transmitted;
            self.summary.duplicates += counters.duplicates;
        }
    }

    fn sum_up(mut self) -> Summary {
        for of in 0..2 {
            self.count(of);
            let (one, other) = (&self.devices[of].ledger, &self.devices[1 - of].ledger);
            self.summary.overtaken += one.overtaken(other);
            self.summary.settled_late += one.late;
        }
        self.summary.seconds = self.now().as_secs();
        self.summary
    }
}

/// One line of the story.
fn story(event: &Event) -> String {
    let xml = |element: &Element| {
        let bytes = Encoder::new(Scope::client(), Limits::default()).to_bytes(element);
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    };
    match event {
        Event::ToServer(on, ToServer::Element(element)) => format!("{on} >> {}", xml(element)),
        Event::ToClient(on, ToClient::Element(element)) => format!("{on} << {}", xml(element)),
        other => format!("{other:?}"),
    }
}

/// The id of a message that has to be kept: its body.
fn must_be_durable(element: &Element) -> Option<String> {
    if element.attr("type") == Some("error") {
        return None;
    }
    let body = element.child("body", stanchion_stanza::ns::CLIENT)?;
    Some(body.text().into_owned())
}

fn number_of(id: &str) -> u64 {
    let number = id.split_once('-').map(|(_, number)| number);
    number.and_then(|n| n.parse().ok()).unwrap_or_default()
}

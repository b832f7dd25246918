//! The world: time, the server, the links, the faults, and two applications. It moves
//! from event to event until every message has its end. What happens on the network is in
//! `network`, what happens in the devices in `process`.

mod network;
mod process;

use std::collections::BTreeMap;
use std::time::Duration;

use stanchion_reliability::engine::{EngineConfig, Input};
use stanchion_stanza::{Element, Encoder, Limits, Scope};
use stanchion_testkit::server::Connection;
use stanchion_testkit::{
    Behaviour, Fault, Faults, Link, Random, Schedule, Server, ToClient, ToServer, plan,
};

use crate::device::Device;
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
                    return self.hears(of, on, packet);
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
                    || (sent.deadline.is_none() && !sent.acknowledged && !sent.given_up)
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

//! The world: time, servers, links, devices, and the applications above them. It moves
//! from event to event until every message has its end. What happens on the network is in
//! `network`, what happens in the devices in `drive`, what goes wrong in `faults`, and
//! what a stranger does in `stranger`.

mod drive;
mod faults;
mod network;
mod stranger;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use stanchion_reliability::engine::Input;
use stanchion_stanza::payload::delivery::Bundle;
use stanchion_stanza::{
    BareJid, Element, Encoder, FullJid, Limits, Payload as _, Scope, codec::parse_element,
};
use stanchion_testkit::server::{Connection, POISON};
use stanchion_testkit::{Behaviour, Direction, Link, Random, Schedule, Server, ToClient, ToServer};

use crate::device::{Account, Device};
use crate::law::{Checked, Law, Violation};
use crate::ledger::{Id, LOOSE, Ledger};
use crate::plan::{Fault, plan};
use crate::setup::{MS, Setup, TROUBLE, Weather, stream};
use crate::summary::{Summary, Traffic};
use crate::switch::Switch;

/// After so long without trouble every message must have its end.
const PATIENCE: Duration = Duration::from_secs(3600);
/// An outcome is due so long after the deadline: the store's time, and the pause
/// between looks at it.
const SLACK: Duration = Duration::from_secs(2);
/// Received stanzas that wait for the store at most: with so many, nothing is read.
const ARRIVING: usize = 256;
/// Events of one run at most; far more than any needs.
const EVENTS: u64 = 3_000_000;
/// After copies came days later, devices run for so long.
const AFTERWARDS: Duration = Duration::from_secs(120);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// What happens. `of` is a device, `life` the engine's that it concerns.
#[derive(Debug)]
enum Event {
    ToServer(Connection, ToServer),
    ToClient(Connection, ToClient),
    /// A stanza reaches another domain.
    Federated(usize, Element),
    /// One did not, and the sender's domain learns of it.
    Unreachable(usize, Element),
    /// A side learns that a connection broke.
    ServerNotices(Connection),
    ClientNotices(Connection),
    /// A login that is not answered by then has failed.
    LoginTimeout(Connection),
    ServerTick(usize),
    ServerStarts(usize),
    Fails(Fault),
    Calm,
    /// Copies that were put aside arrive, days later.
    Later,
    /// A client that has no link is gone from a site.
    Leaves {
        site: usize,
        on: Connection,
    },
    Resumes(usize),
    Starts(usize),
    Reopens {
        of: usize,
        life: u64,
    },
    Submits(Id),
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
        id: Option<Id>,
        warned: bool,
        /// It may act: it was not warned, or has said that it begins.
        begun: bool,
    },
    Due(Id),
    /// The application takes a message back.
    TakesBack(Id),
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Trouble,
    Calm,
    /// Days after, since then.
    Later(Duration),
}

/// One domain.
struct Site {
    server: Server,
    domain: String,
    nodes: u8,
    runs: bool,
    tick: Option<Duration>,
    /// Until when other sites cannot be reached from here, and whether that gives errors.
    apart: Vec<(Duration, bool)>,
    /// When the last stanza arrives there.
    last: Vec<Duration>,
}

/// A connection of a device.
#[derive(Clone)]
struct Wire {
    link: Link,
    of: usize,
    site: usize,
    node: u8,
}

/// The world.
pub(crate) struct World {
    setup: Setup,
    random: Random,
    schedule: Schedule<Event>,
    sites: Vec<Site>,
    wires: BTreeMap<Connection, Wire>,
    next_connection: Connection,
    devices: Vec<Device>,
    ledger: Ledger,
    phase: Phase,
    /// The next time at which it is looked whether all is done.
    look_at: Duration,
    stranger: stranger::Stranger,
    story: Option<String>,
    summary: Summary,
}

fn full(user: &str, domain: &str) -> Option<FullJid> {
    format!("{user}@{domain}/x").parse().ok()
}

impl World {
    /// The world of a setup; with `tell`, it keeps its story.
    pub(crate) fn new(setup: Setup, tell: bool) -> Self {
        let mut random = stream(setup.seed, 4);
        let domains: Vec<_> = (0..setup.sites.len())
            .map(|at| format!("{}.example", ["one", "two", "three"][at % 3]))
            .collect();
        let devices: Vec<_> = setup
            .devices
            .iter()
            .enumerate()
            .map(|(of, device)| {
                let account = |site: &usize| {
                    let jid = full(&format!("d{of}"), &domains[*site])?;
                    Some(Account { jid, site: *site })
                };
                let accounts = device.sites.iter().filter_map(account).collect();
                Device::new(of, accounts, device.transactional)
            })
            .collect();
        let bare = |account: &Account| account.jid.to_bare();
        let roster: Vec<BareJid> = devices
            .iter()
            .flat_map(|d| d.accounts.iter().map(bare))
            .collect();
        let sites: Vec<_> = setup
            .sites
            .iter()
            .zip(&domains)
            .map(|(site, domain)| Site {
                server: Server::new(site.behaviour, Random::new(random.number()))
                    .serving(domain.clone())
                    .with_roster(roster.clone()),
                domain: domain.clone(),
                nodes: site.nodes,
                runs: true,
                tick: None,
                apart: vec![(Duration::ZERO, false); domains.len()],
                last: vec![Duration::ZERO; domains.len()],
            })
            .collect();
        let accounts = devices
            .iter()
            .map(|d| {
                d.accounts
                    .iter()
                    .map(|a| a.jid.bare_str().to_owned())
                    .collect()
            })
            .collect();
        let ledger = Ledger::new(&setup.messages, accounts, setup.on.has(Switch::Failover));
        let mut world = Self {
            random,
            schedule: Schedule::default(),
            sites,
            wires: BTreeMap::new(),
            next_connection: 1,
            devices,
            ledger,
            phase: Phase::Trouble,
            look_at: TROUBLE,
            stranger: stranger::Stranger::new(setup.seed),
            story: tell.then(String::new),
            summary: Summary::default(),
            setup,
        };
        world.prepare();
        world
    }

    fn prepare(&mut self) {
        for (at, fault) in plan(&self.setup) {
            self.schedule.at(at, Event::Fails(fault));
        }
        self.schedule.at(TROUBLE, Event::Calm);
        for of in 0..self.devices.len() {
            self.schedule.at(Duration::ZERO, Event::Starts(of));
        }
        let mut random = stream(self.setup.seed, 5);
        let bursts: Vec<_> = (0..4)
            .map(|_| random.time(Duration::ZERO, TROUBLE))
            .collect();
        for id in 0..self.setup.messages.len() {
            // Some in bursts.
            let at = random.time(Duration::ZERO, TROUBLE);
            let at = if random.chance(300) {
                *random.pick(&bursts)
            } else {
                at
            };
            self.schedule.at(at, Event::Submits(id as Id));
        }
        for switch in [Switch::SmallBounds, Switch::SlowApplication] {
            self.summary
                .count(switch, u64::from(self.setup.on.has(switch)));
        }
    }

    /// Until every message has its end, or a law is broken. Gives the story, too.
    pub(crate) fn run(mut self) -> (Result<Summary, Violation>, String) {
        let ended = self.runs_on().map_err(|mut violation| {
            violation.at = self.now();
            violation
        });
        let mut story = self.story.take().unwrap_or_default();
        let ended = ended.map(|()| self.sum_up());
        if let Err(violation) = &ended {
            let _ = writeln!(story, "{violation}");
        }
        (ended, story)
    }

    fn runs_on(&mut self) -> Checked {
        while let Some(event) = self.schedule.pop() {
            self.summary.events += 1;
            if let Some(story) = &mut self.story {
                let _ = writeln!(story, "{:?} {}", self.schedule.now(), tell(&event));
            }
            self.happens(event)?;
            self.read_sockets()?;
            if self.phase != Phase::Trouble && self.now() >= self.look_at {
                self.look_at = self.now() + 1000 * MS;
                if self.is_done() && !self.goes_on() {
                    return Ok(());
                }
            }
            if self.now() > self.patience() || self.summary.events > EVENTS {
                return Err(self.no_end());
            }
        }
        Err(self.no_end())
    }

    fn patience(&self) -> Duration {
        match self.phase {
            Phase::Trouble | Phase::Calm => TROUBLE + PATIENCE,
            Phase::Later(since) => since + PATIENCE,
        }
    }

    fn no_end(&self) -> Violation {
        let left: Vec<_> = self.ledger.unfinished().collect();
        let law = if left.is_empty() {
            Law::Rest
        } else {
            Law::Lost
        };
        let names: Vec<_> = left
            .iter()
            .take(10)
            .map(|(id, _)| crate::ledger::name(*id))
            .collect();
        let kept: usize = self.sites.iter().map(|s| s.server.undelivered()).sum();
        law.broken(format!(
            "no end in sight: {} messages without it, such as {}; {kept} stanzas undelivered",
            left.len(),
            names.join(", ")
        ))
    }

    fn is_done(&self) -> bool {
        if let Phase::Later(since) = self.phase
            && self.now() < since + AFTERWARDS
        {
            return false;
        }
        self.ledger.unfinished().next().is_none()
            // An account that its device does not use keeps what came for it.
            && (self.devices.iter().any(|d| d.accounts.len() > 1)
                || self.sites.iter().all(|s| s.server.undelivered() == 0))
            && self.devices.iter().all(|d| d.process.is_some())
    }

    /// Days later, copies may come. Gives whether there is such a time.
    fn goes_on(&mut self) -> bool {
        if self.phase != Phase::Calm || !self.setup.on.has(Switch::StaleCopies) {
            return false;
        }
        let days = self.random.time(DAY, 6 * DAY);
        let at = self.now() + days;
        for of in 0..self.devices.len() {
            // Switched off; nothing else happens until then.
            self.count(of);
            let killed = self.devices[of].kill(0, &mut self.ledger);
            if let Ok(connection) = killed {
                self.hangs_up(connection);
            }
        }
        self.phase = Phase::Later(at);
        self.schedule.at(at, Event::Later);
        true
    }

    fn now(&self) -> Duration {
        self.schedule.now()
    }

    fn happens(&mut self, event: Event) -> Checked {
        if let Some(of) = self.sleeper(&event) {
            // What concerns a suspended device waits until it resumes.
            let at = self.devices[of].suspended.unwrap_or_default();
            self.schedule.at(at, event);
            return Ok(());
        }
        match event {
            Event::ToServer(on, packet) => {
                if let Some(wire) = self.wires.get(&on)
                    && !wire.link.is_cut(Direction::Up)
                    && self.sites[wire.site].runs
                {
                    let site = wire.site;
                    self.samples(&packet);
                    let now = self.now();
                    self.sites[site].server.receive(now, on, packet);
                    return self.pump(site);
                }
                Ok(())
            }
            Event::ToClient(on, packet) => match self.wires.get(&on) {
                Some(wire) if !wire.link.is_cut(Direction::Down) => {
                    let of = wire.of;
                    if self.is_on(of, on)
                        && let Some(process) = &mut self.devices[of].process
                    {
                        process.arrives(on, packet);
                    }
                    Ok(())
                }
                _ => Ok(()),
            },
            Event::Federated(site, element) => self.arrives(site, element),
            Event::Unreachable(site, element) => self.comes_back(site, element),
            Event::ServerNotices(on) => {
                let Some(site) = self.wires.get(&on).map(|wire| wire.site) else {
                    return Ok(());
                };
                let now = self.now();
                self.sites[site].server.disconnected(now, on);
                self.pump(site)
            }
            Event::ClientNotices(on) => match self.wires.get(&on).map(|wire| wire.of) {
                Some(of) if self.is_on(of, on) => self.lost(of),
                _ => Ok(()),
            },
            Event::LoginTimeout(on) => match self.wires.get(&on).map(|wire| wire.of) {
                Some(of) if self.is_on(of, on) && !self.is_up(of) => self.lost(of),
                _ => Ok(()),
            },
            Event::ServerTick(site) => {
                let now = self.now();
                self.sites[site].tick = None;
                if self.sites[site].runs {
                    self.sites[site].server.tick(now);
                }
                self.pump(site)
            }
            Event::ServerStarts(site) => {
                self.sites[site].runs = true;
                Ok(())
            }
            Event::Fails(fault) => self.fails(fault),
            Event::Calm => self.calms_down(),
            Event::Later => self.days_later(),
            Event::Leaves { site, on } => {
                let now = self.now();
                self.sites[site].server.disconnected(now, on);
                self.pump(site)
            }
            Event::Resumes(of) => self.resumes(of),
            Event::Starts(of) => self.starts(of),
            Event::Reopens { of, life } if self.lives(of, life) => self.reopens(of),
            Event::Submits(id) => self.submits(id),
            Event::Dials { of, life } => {
                if self.lives(of, life) {
                    self.dials(of);
                }
                Ok(())
            }
            Event::Wakes { of, life, at } if self.lives(of, life) => self.wakes(of, at),
            Event::StoreSteps { of, life } if self.lives(of, life) => {
                if let Some(process) = &mut self.devices[of].process {
                    process.stepping = false;
                }
                match self.devices[of].step_store(&mut self.ledger)? {
                    Some(answer) => self.tell(of, answer),
                    None => Ok(()),
                }
            }
            Event::Acts {
                of,
                life,
                arrival,
                id,
                warned,
                begun,
            } if self.lives(of, life) => match begun {
                true => self.acts(of, arrival, id, warned),
                false => self.is_about_to_act(of, arrival, id),
            },
            Event::Due(id) => self.due(id),
            Event::TakesBack(id) => self.takes_back(id),
            Event::Reopens { .. }
            | Event::Wakes { .. }
            | Event::StoreSteps { .. }
            | Event::Acts { .. } => Ok(()),
        }
    }

    /// The suspended device that an event concerns.
    fn sleeper(&self, event: &Event) -> Option<usize> {
        let of = match event {
            Event::ToClient(on, _) | Event::ClientNotices(on) | Event::LoginTimeout(on) => {
                self.wires.get(on)?.of
            }
            Event::Submits(id) | Event::Due(id) | Event::TakesBack(id) => {
                self.ledger.get(*id)?.from
            }
            Event::Starts(of)
            | Event::Dials { of, .. }
            | Event::Reopens { of, .. }
            | Event::Wakes { of, .. }
            | Event::StoreSteps { of, .. }
            | Event::Acts { of, .. } => *of,
            _ => return None,
        };
        self.devices[of].suspended.map(|_| of)
    }

    fn lives(&self, of: usize, life: u64) -> bool {
        self.devices[of].life == life && self.devices[of].process.is_some()
    }

    /// Whether that is the device's connection.
    fn is_on(&self, of: usize, on: Connection) -> bool {
        let process = self.devices[of].process.as_ref();
        process.is_some_and(|p| p.line.connection() == Some(on))
    }

    /// Whether it has a stream.
    fn is_up(&self, of: usize) -> bool {
        let process = self.devices[of].process.as_ref();
        process.is_some_and(|p| matches!(p.line, crate::device::Line::Up { .. }))
    }

    /// All is well from now on.
    fn calms_down(&mut self) -> Checked {
        self.phase = Phase::Calm;
        for site in &mut self.sites {
            site.server.set_behaviour(Behaviour {
                // A full offline storage is more than a hundred stanzas at once.
                queue: 5000,
                ..Behaviour::default()
            });
            site.apart.fill((Duration::ZERO, false));
        }
        for of in 0..self.devices.len() {
            self.sets_clock(of, 0);
            // A stream without TLS, or one of another account, would be kept for ever.
            let away = self.devices[of].account != 0;
            if let Some(process) = &self.devices[of].process
                && let crate::device::Line::Up { on, clear } = process.line
                && (clear || away)
            {
                self.schedule.after(MS, Event::ClientNotices(on));
            }
        }
        Ok(())
    }

    fn days_later(&mut self) -> Checked {
        let now = self.now();
        for site in 0..self.sites.len() {
            self.sites[site].server.release_aside(now);
            self.pump(site)?;
        }
        for of in 0..self.devices.len() {
            self.starts(of)?;
        }
        Ok(())
    }

    /// Nothing grows without bound.
    fn bounds(&mut self, of: usize) -> Checked {
        let config = &self.setup.engine;
        let Some(process) = &self.devices[of].process else {
            return Ok(());
        };
        let held = process.engine.footprint();
        // A lane has one at least.
        let lanes = self.devices.len() * (usize::from(LOOSE) + 1);
        self.summary.holds(held);
        let fits = held.window <= config.in_memory + lanes
            || held.window <= config.in_memory + lanes + self.ledger.in_doubt(of);
        let within = fits
            && held.handed_over <= config.hand_over
            && held.unacknowledged <= 1024 + 256
            && held.arriving < ARRIVING + Bundle::MAX
            && held.doubts <= 1024
            && process.engine.pending() <= config.outbox;
        if within {
            return Ok(());
        }
        let pending = process.engine.pending();
        Err(Law::Bounds.broken(format!(
            "d{of} is out of bounds: {held:?}, {pending} pending"
        )))
    }

    fn count(&mut self, of: usize) {
        if let Some(process) = &self.devices[of].process {
            let counters = process.engine.counters();
            let traffic = match self.setup.weather {
                Weather::Clean => &mut self.summary.clean,
                Weather::Light => &mut self.summary.light,
                Weather::Rough => &mut self.summary.rough,
            };
            *traffic = Traffic {
                accepted: traffic.accepted + counters.accepted,
                transmitted: traffic.transmitted + counters.transmitted,
            };
            self.summary.duplicates += counters.duplicates;
        }
    }

    fn sum_up(mut self) -> Summary {
        for of in 0..self.devices.len() {
            self.count(of);
        }
        for site in &self.sites {
            self.summary.mishaps(site.server.mishaps());
        }
        self.summary.tallies(self.ledger.tally);
        self.summary.runs = 1;
        self.summary.messages = self.ledger.messages.len() as u64;
        self.summary.seconds = self.now().as_secs();
        self.summary
    }

    /// Adds a line to the story.
    fn tells(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            let _ = writeln!(story, "    {}", line());
        }
    }

    fn tell(&mut self, of: usize, input: Input) -> Checked {
        let now = self.now();
        let wall = self.devices[of].wall(now);
        if let Some(process) = &mut self.devices[of].process {
            let clock = process.clock(now, wall);
            process.engine.handle(clock, input);
        }
        self.drain(of)
    }
}

/// One line of the story.
fn tell(event: &Event) -> String {
    let xml = |element: &Element| {
        let bytes = Encoder::new(Scope::client(), Limits::default()).to_bytes(element);
        String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned()
    };
    match event {
        Event::ToServer(on, ToServer::Element(element)) => format!("{on} >> {}", xml(element)),
        Event::ToClient(on, ToClient::Element(element)) => format!("{on} << {}", xml(element)),
        Event::Federated(site, element) => format!("site {site} <- {}", xml(element)),
        Event::Unreachable(site, element) => format!("site {site} -x {}", xml(element)),
        other => format!("{other:?}"),
    }
}

/// The id of a message that has to be kept: its body.
fn kept_body(element: &Element) -> Option<String> {
    if element.name() != "message" || element.attr("type") == Some("error") {
        return None;
    }
    let body = element.child("body", stanchion_stanza::ns::CLIENT)?;
    Some(body.text().into_owned())
}

/// The messages of a bundle, if it is one.
fn bundled(element: &Element) -> Vec<Element> {
    let bundle = element.children().find(|child| Bundle::matches(child));
    let bundle = bundle.and_then(|bundle| Bundle::from_element(bundle).ok());
    let messages = bundle.into_iter().flat_map(|bundle| bundle.messages);
    let parsed = messages.map(|m| parse_element(&m, &Scope::client(), &Limits::default()));
    parsed.filter_map(Result::ok).collect()
}

/// What poisons streams.
fn poison() -> Element {
    Element::new("poison", POISON)
}

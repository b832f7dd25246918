//! One run: starts servers and ends, lets the faults strike, waits until everything has an
//! outcome, ends all processes. What it proves is left to `ledger`.

use super::ends::{End, Follower};
use super::ledger::{Findings, Ledger, Struck};
use super::plan::{Fault, Random, Strike, plan};
use super::plant::{Plant, Server, micros};
use super::relay::{Direction, Flow, Relay};
use crate::failure::{Context, Failure, Outcome};
use crate::program::Interrupt;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// How often the run looks at its processes.
const LOOK: Duration = Duration::from_millis(5);
/// How often the line on the terminal changes.
const SHOW: Duration = Duration::from_millis(250);

/// The least and the most that the sender is ahead of a strike, in messages.
const LEAD: (u64, u64) = (8, 256);

/// What is to be run.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    pub(crate) server: Server,
    pub(crate) messages: u64,
    /// Strikes of each fault.
    pub(crate) kills: u64,
    pub(crate) faults: &'a [Fault],
    pub(crate) seed: u64,
    pub(crate) limit: Duration,
    /// How long every second message has.
    pub(crate) within: Option<Duration>,
    /// How many messages may share a stanza.
    pub(crate) bundle: usize,
    /// The `stanchion` command.
    pub(crate) program: &'a Path,
    /// All files of the run.
    pub(crate) root: &'a Path,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) findings: Findings,
    /// SIGKILLs, and other faults, that were done.
    pub(crate) struck: BTreeMap<&'static str, u64>,
    /// Until everything had an outcome.
    pub(crate) took: Duration,
    /// Why it ended before that.
    pub(crate) cut_short: Option<String>,
}

/// A run that is going on.
struct Run {
    plant: Plant,
    sender: End,
    receiver: End,
    random: Random,
    strikes: VecDeque<Strike>,
    /// Strikes whose number of effects is reached, and when they are due.
    due: Vec<(Instant, Strike)>,
    /// How far the sender may be ahead of a strike that is to come: every strike meets
    /// messages that are on their way.
    lead: u64,
    /// Relays that misbehave, and when that ends.
    bad: Vec<Bad>,
    struck: BTreeMap<&'static str, u64>,
    /// What was done to the ends, in that order.
    log: Vec<Struck>,
    effects: Follower,
    expired: Follower,
    /// Dropped last: the relays' tasks are on it.
    _runtime: Runtime,
}

/// A relay that misbehaves.
struct Bad {
    until: Instant,
    /// Of the receiver, not of the sender.
    receiver: bool,
    node: usize,
    /// What was swallowed is gone: the connection cannot go on.
    reset: bool,
}

/// Carries it out.
///
/// # Errors
/// Something could not be started, or a process ended that nobody had killed.
pub(crate) fn run(order: &Order<'_>, interrupt: &Interrupt) -> Outcome<Report> {
    let mut run = Run::start(order)?;
    let begin = Instant::now();
    let cut_short = run.go(order, interrupt, begin)?;
    let took = begin.elapsed();
    run.conclude(order, took, cut_short)
}

impl Run {
    fn start(order: &Order<'_>) -> Outcome<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .doing("make threads for relays in", order.root)?;
        let plant = Plant::start(order.server, order.program, order.root)?;
        let prepare = |name, homes| {
            let handle = runtime.handle();
            End::prepare(name, order.program, order.root, (&plant, homes), handle)
        };
        let mut sender = prepare("sender", &plant.sender)?;
        let mut receiver = prepare("receiver", &plant.receiver)?;
        let to = plant.receiver.first().map_or("", |home| &home.jid);
        receiver.start(&["receive"])?;
        let lead = (order.messages / 8).clamp(LEAD.0, LEAD.1);
        let mut random = Random::new(order.seed);
        // No strike is due so late that the run could end before it.
        let struck = order.messages.saturating_sub(lead);
        let strikes = plan(order.faults, order.kills, struck, &mut random);
        sender.allow(strikes.front().map_or(order.messages, |s| s.effects + lead));
        let messages = order.messages.to_string();
        let mut words = vec!["send", "--to", to, "--messages", &messages];
        let within = order.within.map(|time| time.as_millis().to_string());
        if let Some(within) = &within {
            words.extend(["--within", within]);
        }
        let bundle = order.bundle.to_string();
        words.extend(["--bundle", &bundle]);
        sender.start(&words)?;
        Ok(Self {
            strikes,
            random,
            lead,
            due: Vec::new(),
            bad: Vec::new(),
            struck: BTreeMap::new(),
            log: Vec::new(),
            effects: Follower::of_effects(receiver.journal()),
            expired: Follower::of_expiries(sender.journal()),
            plant,
            sender,
            receiver,
            _runtime: runtime,
        })
    }

    /// Until the sender has ended. Gives why not, if it has not.
    fn go(
        &mut self,
        order: &Order<'_>,
        interrupt: &Interrupt,
        begin: Instant,
    ) -> Outcome<Option<String>> {
        let mut screen = Screen::new();
        loop {
            if interrupt.seen() {
                return Ok(Some("interrupted".to_owned()));
            }
            if begin.elapsed() > order.limit {
                return Ok(Some(format!("not done within {} s", order.limit.as_secs())));
            }
            self.plant.look()?;
            self.effects.look()?;
            self.expired.look()?;
            self.strike();
            self.shut_relays();
            if self.receiver.look()? {
                return Err(Failure::Red(
                    "the receiver ended before its time".to_owned(),
                ));
            }
            if self.sender.look()? {
                return Ok(None);
            }
            screen.show(|| self.progress(order, begin.elapsed()));
            sleep(LOOK);
        }
    }

    /// Messages that took effect, and those that were too late for it.
    const fn done(&self) -> u64 {
        self.effects.lines + self.expired.lines
    }

    fn progress(&self, order: &Order<'_>, at: Duration) -> String {
        format!(
            "{:.0} s: {} of {} took effect, {} strikes to come; killed: sender {}, receiver {}, server {}",
            at.as_secs_f64(),
            self.effects.lines,
            order.messages,
            self.strikes.len() + self.due.len(),
            self.sender.kills,
            self.receiver.kills,
            self.plant.kills,
        )
    }

    /// Before a node that is down, nothing listens either.
    fn shut_relays(&self) {
        for end in [&self.sender, &self.receiver] {
            for (node, relay) in end.relays.iter().enumerate() {
                relay.shut(!self.plant.is_up(node));
            }
        }
    }

    /// Everything that is due now.
    fn strike(&mut self) {
        let now = Instant::now();
        for bad in std::mem::take(&mut self.bad) {
            if bad.until > now {
                self.bad.push(bad);
            } else if let Some(relay) = self.relay(bad.receiver, bad.node) {
                if bad.reset {
                    relay.reset();
                }
                relay.set(Flow::Open);
            }
        }
        while let Some(next) = self.strikes.front() {
            if next.effects > self.done() {
                break;
            }
            self.due.push((now + next.after, *next));
            self.strikes.pop_front();
        }
        for (at, strike) in std::mem::take(&mut self.due) {
            // What cannot be done now is done as soon as it can be.
            if at > now || !self.carry_out(strike.fault, now) {
                self.due.push((at, strike));
            } else {
                *self.struck.entry(name(strike.fault)).or_default() += 1;
            }
        }
        let to_come = self.due.iter().map(|(_, strike)| strike);
        let first = to_come.chain(self.strikes.front()).map(|s| s.effects).min();
        self.sender
            .allow(first.map_or(u64::MAX, |effects| effects + self.lead));
    }

    fn carry_out(&mut self, fault: Fault, now: Instant) -> bool {
        match fault {
            Fault::KillSender | Fault::KillReceiver => {
                let pause = self.random.millis(0, 200);
                let killed = match fault {
                    Fault::KillSender => self.sender.kill(pause),
                    _ => self.receiver.kill(pause),
                };
                if killed {
                    self.log(name(fault).to_owned(), pause);
                }
                killed
            }
            Fault::KillServer => {
                let whole = self.plant.is_whole();
                if whole {
                    self.plant.kill(&mut self.random);
                }
                whole
            }
            Fault::Cut | Fault::Stall | Fault::OneWay | Fault::Throttle => self.disturb(fault, now),
        }
    }

    /// Troubles one end's line; false while that one is in trouble already.
    fn disturb(&mut self, fault: Fault, now: Instant) -> bool {
        let receiver = self.random.below(2) == 1;
        let nodes = self.plant.addresses().len() as u64;
        let node = usize::try_from(self.random.below(nodes)).unwrap_or(0);
        if self
            .bad
            .iter()
            .any(|b| b.receiver == receiver && b.node == node)
        {
            return false;
        }
        let way = match self.random.below(2) {
            0 => Direction::Up,
            _ => Direction::Down,
        };
        let bytes = self.random.below(20_000);
        let lasts = self.random.millis(200, 2000);
        let rate = u32::try_from(2_000 + self.random.below(30_000)).unwrap_or(2_000);
        let Some(relay) = self.relay(receiver, node) else {
            return true;
        };
        let end = if receiver { "receiver" } else { "sender" };
        let what = match fault {
            Fault::OneWay => format!("one-way ({way:?})"),
            fault => name(fault).to_owned(),
        };
        match fault {
            Fault::Stall => relay.set(Flow::Held),
            Fault::OneWay => relay.set_one(way, Flow::Held),
            Fault::Throttle => relay.set(Flow::Slow(rate)),
            // It is over when it strikes.
            _ => {
                relay.cut_after(bytes);
                self.log(
                    format!("{what} of the {end} at node {node}"),
                    Duration::ZERO,
                );
                return true;
            }
        }
        let ms = lasts.as_millis();
        self.log(
            format!("{what} of the {end} at node {node} for {ms} ms"),
            lasts,
        );
        self.bad.push(Bad {
            until: now + lasts,
            receiver,
            node,
            reset: fault == Fault::OneWay,
        });
        true
    }

    fn log(&mut self, what: String, lasts: Duration) {
        let at = micros();
        let until = at.saturating_add(u64::try_from(lasts.as_micros()).unwrap_or(u64::MAX));
        self.log.push(Struck { at, until, what });
    }

    fn relay(&self, receiver: bool, node: usize) -> Option<&Relay> {
        let end = if receiver {
            &self.receiver
        } else {
            &self.sender
        };
        end.relays.get(node)
    }

    /// Ends everything and judges what was written down.
    fn conclude(
        mut self,
        order: &Order<'_>,
        took: Duration,
        cut_short: Option<String>,
    ) -> Outcome<Report> {
        for relay in self.sender.relays.iter().chain(&self.receiver.relays) {
            relay.set(Flow::Open);
        }
        self.sender.stop();
        self.plant.settle()?;
        self.shut_relays();
        if cut_short.is_some() {
            self.receiver.stop();
        } else {
            self.receiver.end()?;
        }
        let mut ledger = Ledger::new(order.messages);
        ledger.read_outbox(&self.sender.outbox()?)?;
        ledger.read_sender(&journal(&self.sender)?)?;
        ledger.read_receiver(&journal(&self.receiver)?)?;
        ledger.outages(&self.plant.outages);
        ledger.struck(self.log);
        Ok(Report {
            findings: ledger.findings(),
            struck: self.struck,
            took,
            cut_short,
        })
    }
}

/// What an end wrote down; nothing, if it was ended before it could.
fn journal(end: &End) -> Outcome<String> {
    let path = end.journal();
    if path.exists() {
        fs::read_to_string(&path).doing("read", &path)
    } else {
        Ok(String::new())
    }
}

/// As the command line and the result name it.
pub(crate) const fn name(fault: Fault) -> &'static str {
    match fault {
        Fault::KillSender => "kill-sender",
        Fault::KillReceiver => "kill-receiver",
        Fault::KillServer => "kill-server",
        Fault::Cut => "cut",
        Fault::Stall => "stall",
        Fault::OneWay => "one-way",
        Fault::Throttle => "throttle",
    }
}

/// One line on a terminal that changes; nothing elsewhere.
struct Screen {
    terminal: bool,
    next: Instant,
}

impl Screen {
    fn new() -> Self {
        Self {
            terminal: std::io::stderr().is_terminal(),
            next: Instant::now(),
        }
    }

    fn show(&mut self, line: impl FnOnce() -> String) {
        if self.terminal && self.next <= Instant::now() {
            self.next = Instant::now() + SHOW;
            // If the terminal is gone there is nobody to tell.
            let _ = write!(std::io::stderr(), "\r\x1b[K{}", line());
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

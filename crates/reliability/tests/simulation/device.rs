//! One device: a disk that survives, and a process with an engine, a store and a
//! connection, as a driver would hold them. The world decides when things happen.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use stanchion_reliability::engine::{Engine, EngineConfig, Input, Load, Loaded, Now};
use stanchion_reliability::store::{
    Image, InboundQuery, InboundRecord, MemoryControl, MemoryStore, Op, Opening, OutboundQuery,
    OutboundRecord, OutboundState, Pending, Recovered, Seed, Store, StoreId, Ticket, WallTime,
};
use stanchion_stanza::{FullJid, Text};
use stanchion_testkit::server::Connection;

use crate::ledger::Ledger;

/// The wall clock at the world's beginning.
const EPOCH: i64 = 1_700_000_000_000;

pub(crate) fn wall(at: Duration) -> WallTime {
    WallTime::from_unix_ms(EPOCH + i64::try_from(at.as_millis()).unwrap_or(i64::MAX))
}

/// The device, whether it runs or not.
pub(crate) struct Device {
    pub(crate) jid: FullJid,
    pub(crate) ledger: Ledger,
    /// Counts the engines that lived; events of earlier ones are void.
    pub(crate) life: u64,
    pub(crate) disk: Image,
    pub(crate) process: Option<Process>,
    pub(crate) slow_until: Duration,
    /// The id of its store.
    store: [u8; 16],
    /// What the process that was killed last had received on its stream.
    received: Vec<Option<String>>,
}

/// The connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Down,
    LoggingIn { on: Connection, resumes: bool },
    Up(Connection),
}

impl Line {
    pub(crate) const fn connection(self) -> Option<Connection> {
        match self {
            Self::Down => None,
            Self::LoggingIn { on, .. } | Self::Up(on) => Some(on),
        }
    }
}

/// What runs.
pub(crate) struct Process {
    pub(crate) engine: Engine,
    store: MemoryStore,
    pub(crate) control: MemoryControl,
    pub(crate) jobs: VecDeque<Job>,
    pub(crate) stepping: bool,
    /// A commit will fail, and whether it is applied all the same.
    pub(crate) fault_applies: Option<bool>,
    pub(crate) started: Duration,
    pub(crate) engine_started: Duration,
    pub(crate) line: Line,
    pub(crate) dialing: bool,
    pub(crate) wake: Option<Duration>,
    pub(crate) resumable: Option<Text>,
    /// Stanzas received on the stream, with the message's id where one must be durable.
    pub(crate) received: Vec<Option<String>>,
    pub(crate) resumed_with: u32,
    /// It has said that it is available.
    pub(crate) announced: bool,
    /// Handed over in this life.
    pub(crate) handed: BTreeSet<String>,
}

/// A question to the store, and for a batch what it makes durable.
pub(crate) enum Job {
    Persist(Ticket, Vec<Durable>),
    Lane(Pending<Vec<OutboundRecord>>),
    One(Pending<Option<InboundRecord>>),
    Due(Pending<Vec<OutboundRecord>>, Pending<Vec<OutboundRecord>>),
    Inbound(Pending<Vec<InboundRecord>>),
}

/// What an op makes durable.
#[derive(Debug, Clone)]
pub(crate) enum Durable {
    Outbox(String),
    Inbox(String, String),
    Handled(String),
    NotDelivered(String),
}

impl Durable {
    fn of(op: &Op) -> Option<Self> {
        match op {
            Op::PutOutbound(record) => Some(Self::Outbox(record.id.clone())),
            Op::PutInbound(new) => Some(Self::Inbox(new.key.id.clone(), id_of(&new.stanza))),
            Op::MarkHandled { key, .. } => Some(Self::Handled(key.id.clone())),
            Op::SetOutboundState {
                id,
                state: OutboundState::NotDelivered { .. },
                ..
            } => Some(Self::NotDelivered(id.clone())),
            _ => None,
        }
    }

    fn note(self, ledger: &mut Ledger) {
        match self {
            Self::Outbox(id) => {
                if ledger.outbox.insert(id.clone()) {
                    ledger.order.push(id);
                }
            }
            Self::Inbox(key, id) => {
                ledger.inbox.insert(id.clone());
                ledger.keys.insert(key, id);
            }
            Self::Handled(key) => {
                let id = ledger.keys.get(&key).cloned().unwrap_or_default();
                ledger.handled.insert(id);
            }
            Self::NotDelivered(id) => ledger.sent.entry(id).or_default().decided = true,
        }
    }
}

/// The id of a message, from its bytes.
fn id_of(stanza: &[u8]) -> String {
    let text = String::from_utf8_lossy(stanza);
    let after = text.split_once(" id='").map(|(_, after)| after);
    let id = after
        .and_then(|after| after.split_once('\''))
        .map(|(id, _)| id);
    id.unwrap_or_default().to_owned()
}

impl Device {
    pub(crate) fn new(jid: FullJid) -> Self {
        Self {
            store: std::array::from_fn(|n| jid.as_str().as_bytes()[n % jid.as_str().len()]),
            jid,
            ledger: Ledger::default(),
            life: 0,
            disk: Image::default(),
            process: None,
            slow_until: Duration::ZERO,
            received: Vec::new(),
        }
    }

    /// Starts the process over what is on the disk.
    pub(crate) fn start(&mut self, now: Duration, config: EngineConfig, entropy: u64) {
        self.life += 1;
        let seed = Seed {
            store_id: StoreId(self.store),
            boot_token: entropy as u32,
        };
        let disk = std::mem::take(&mut self.disk);
        let store = MemoryStore::open(disk, &Opening::new(seed, wall(now))).unwrap();
        let control = store.control();
        let recovered = recover(&store);
        control.hold();
        let received = std::mem::take(&mut self.received);
        let clock = Now {
            monotonic: Duration::ZERO,
            wall: wall(now),
        };
        let engine = Engine::new(config, recovered, clock, entropy);
        self.process = Some(Process {
            resumable: engine.resumption().map(|token| token.id),
            engine,
            store,
            control,
            jobs: VecDeque::new(),
            stepping: false,
            fault_applies: None,
            started: now,
            engine_started: now,
            line: Line::Down,
            dialing: false,
            wake: None,
            received,
            resumed_with: 0,
            announced: false,
            handed: BTreeSet::new(),
        });
    }

    /// Kills the process; gives the connection that it had.
    pub(crate) fn kill(&mut self) -> Option<Connection> {
        let process = self.process.take()?;
        self.disk = process.control.crash();
        self.received.clone_from(&process.received);
        process.line.connection()
    }

    /// The store has failed closed: it is opened again, under the same identity, and a
    /// new engine starts from it. Gives the connection that the old one had.
    pub(crate) fn reopen(
        &mut self,
        now: Duration,
        config: EngineConfig,
        entropy: u64,
    ) -> Option<Connection> {
        let process = self.process.as_mut()?;
        self.life += 1;
        process.control.resume();
        let reopened = process.store.reopen().try_take();
        assert!(matches!(reopened, Some(Ok(()))));
        let recovered = recover(&process.store);
        process.control.hold();
        let clock = process.clock(now);
        process.engine = Engine::new(config, recovered, clock, entropy);
        process.engine_started = now;
        process.jobs.clear();
        process.stepping = false;
        process.fault_applies = None;
        process.dialing = false;
        process.wake = None;
        process.resumable = process.engine.resumption().map(|token| token.id);
        process.announced = false;
        process.handed.clear();
        let connection = process.line.connection();
        process.line = Line::Down;
        connection
    }

    /// Lets the store do its oldest job; gives the answer for the engine.
    pub(crate) fn step_store(&mut self) -> Option<Input> {
        let process = self.process.as_mut()?;
        let job = process.jobs.pop_front()?;
        process.control.release(match job {
            Job::Due(..) => 2,
            _ => 1,
        });
        Some(match job {
            Job::Persist(mut ticket, durable) => {
                let answer = ticket.try_take().expect("released");
                let kept = answer.is_ok() || process.fault_applies.take() == Some(true);
                if kept {
                    for each in durable {
                        each.note(&mut self.ledger);
                    }
                }
                Input::Persisted(answer)
            }
            Job::Lane(page) => Input::Loaded(Loaded::Lane(taken(page))),
            Job::One(record) => Input::Loaded(Loaded::One(taken(record))),
            Job::Inbound(page) => Input::Loaded(Loaded::Inbound(taken(page))),
            Job::Due(page, next) => Input::Loaded(Loaded::Due {
                records: taken(page),
                next: taken(next).first().and_then(|record| record.deadline),
            }),
        })
    }
}

fn recover(store: &MemoryStore) -> Recovered {
    store.recover(1).try_take().expect("not held").unwrap()
}

fn taken<T>(mut pending: Pending<T>) -> T {
    pending.try_take().expect("released").unwrap()
}

impl Process {
    pub(crate) fn clock(&self, now: Duration) -> Now {
        Now {
            monotonic: now - self.started,
            wall: wall(now),
        }
    }

    pub(crate) fn tell(&mut self, now: Duration, input: Input) {
        let clock = self.clock(now);
        self.engine.handle(clock, input);
    }

    pub(crate) fn persist(&mut self, ops: Vec<Op>) {
        let durable = ops.iter().filter_map(Durable::of).collect();
        let ticket = self.store.submit(ops).expect("the store has room");
        self.jobs.push_back(Job::Persist(ticket, durable));
    }

    pub(crate) fn load(&mut self, load: Load) {
        let store = &self.store;
        self.jobs.push_back(match load {
            Load::Lane {
                to,
                channel,
                after,
                limit,
            } => Job::Lane(store.outbound_page(OutboundQuery {
                to: Some(to),
                channel: Some(channel),
                after,
                limit,
                ..OutboundQuery::default()
            })),
            Load::One(key) => Job::One(store.inbound(&key)),
            Load::Inbound { after, limit } => Job::Inbound(store.inbound_page(InboundQuery {
                after,
                limit,
                ..InboundQuery::default()
            })),
            Load::Due { by, limit } => Job::Due(store.due(by, limit), store.due(WallTime::MAX, 1)),
        });
    }

    /// The process tells the server a count: everything below it must be durable.
    pub(crate) fn acknowledges(&self, h: u32, ledger: &Ledger) -> Result<(), String> {
        let Some(covered) = self.received.get(..h as usize) else {
            let received = self.received.len();
            return Err(format!("acknowledged {h} of {received} stanzas"));
        };
        match covered
            .iter()
            .flatten()
            .find(|id| !ledger.inbox.contains(*id))
        {
            Some(id) => Err(format!("{id} was acknowledged before it was durable")),
            None => Ok(()),
        }
    }
}

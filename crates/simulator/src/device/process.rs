//! What runs on a device: the engine, its store and its connection, as a driver would
//! hold them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use stanchion_reliability::engine::{Engine, Input, Load, Loaded, Now};
use stanchion_reliability::store::{
    Fault, InboundQuery, InboundRecord, MemoryControl, MemoryStore, Op, OutboundQuery,
    OutboundRecord, Pending, Store as _, StoreError, Ticket, WallTime,
};
use stanchion_stanza::{Element, Text};
use stanchion_testkit::ToClient;
use stanchion_testkit::server::Connection;

use crate::law::{Checked, Law, Violation};
use crate::ledger::{Durable, Id, Ledger, name};
use crate::plan::DiskFault;

/// Requests that wait in the store at most, as in a session: until one is answered, the
/// engine is asked for nothing more.
const REQUESTS: usize = 64;

/// The connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    Down,
    LoggingIn { on: Connection, resumes: bool },
    Up { on: Connection, clear: bool },
}

impl Line {
    pub(crate) const fn connection(self) -> Option<Connection> {
        match self {
            Self::Down => None,
            Self::LoggingIn { on, .. } | Self::Up { on, .. } => Some(on),
        }
    }
}

/// What the store answered.
pub(crate) type Answer = Input;

/// What runs.
pub(crate) struct Process {
    pub(crate) engine: Engine,
    pub(crate) store: MemoryStore,
    pub(crate) control: MemoryControl,
    jobs: VecDeque<Job>,
    pub(crate) stepping: bool,
    /// A commit will fail, and how.
    fault: Option<DiskFault>,
    started: Duration,
    /// Time in suspension: the monotonic clock stood.
    pub(crate) slept: Duration,
    /// No earlier did the engine begin to run.
    pub(crate) engine_started: Duration,
    /// Its engine ended with its store, and the next one waits for that.
    pub(crate) store_is_shut: bool,
    pub(crate) line: Line,
    /// What arrived, and was not read.
    socket: VecDeque<(Connection, ToClient)>,
    pub(crate) dialing: bool,
    pub(crate) wake: Option<Duration>,
    pub(crate) resumable: Option<Text>,
    /// The site of the session that can be resumed.
    pub(crate) site: usize,
    /// Stanzas received on the stream, each with the messages in it that must be durable.
    pub(crate) received: Vec<Vec<Id>>,
    pub(crate) resumed_with: u32,
    /// Handed over in this life.
    pub(crate) handed: BTreeSet<u64>,
    /// Messages that its application is about to act on, once that is durable.
    pub(crate) beginning: BTreeMap<u64, Option<Id>>,
    /// Given to the stream, not flushed.
    pub(crate) unflushed: Vec<Element>,
    /// It is killed after so many more outputs, and stays down for so long.
    pub(crate) doom: Option<(u32, Duration)>,
}

/// A question to the store, and for a batch what it makes durable.
enum Job {
    Persist(Ticket, Vec<(usize, Durable)>),
    Lane(Pending<Vec<OutboundRecord>>),
    One(Pending<Option<InboundRecord>>),
    Due(Pending<Vec<OutboundRecord>>, Pending<Vec<OutboundRecord>>),
    Inbound(Pending<Vec<InboundRecord>>),
}

/// The store answers at once what it was let do.
fn taken<T>(mut pending: Pending<T>) -> Result<T, StoreError> {
    pending.try_take().unwrap_or(Err(StoreError::Closed))
}

impl Process {
    pub(crate) fn new(
        store: MemoryStore,
        now: Duration,
        engine: impl FnOnce(&dyn Fn(WallTime) -> Now) -> Engine,
    ) -> Self {
        let control = store.control();
        let clock = |wall| Now {
            monotonic: Duration::ZERO,
            wall,
        };
        Self {
            engine: engine(&clock),
            store,
            control,
            jobs: VecDeque::new(),
            stepping: false,
            fault: None,
            started: now,
            slept: Duration::ZERO,
            engine_started: now,
            store_is_shut: false,
            line: Line::Down,
            socket: VecDeque::new(),
            dialing: false,
            wake: None,
            resumable: None,
            site: 0,
            received: Vec::new(),
            resumed_with: 0,
            handed: BTreeSet::new(),
            beginning: BTreeMap::new(),
            unflushed: Vec::new(),
            doom: None,
        }
    }

    pub(crate) fn clock(&self, now: Duration, wall: WallTime) -> Now {
        Now {
            monotonic: now - self.started - self.slept,
            wall,
        }
    }

    /// When its monotonic clock shows that, on the world's.
    pub(crate) fn world_time(&self, monotonic: Duration) -> Duration {
        self.started + self.slept + monotonic
    }

    pub(crate) fn has_jobs(&self) -> bool {
        !self.jobs.is_empty()
    }

    /// Whether the store may be asked more.
    pub(crate) fn has_room(&self) -> bool {
        self.jobs.len() < REQUESTS
    }

    /// A packet arrives.
    pub(crate) fn arrives(&mut self, on: Connection, packet: ToClient) {
        self.socket.push_back((on, packet));
    }

    /// The next packet, if it is read now: a session leaves in its socket what its engine
    /// does not want yet.
    pub(crate) fn reads(&mut self) -> Option<(Connection, ToClient)> {
        let up = matches!(self.line, Line::Up { .. });
        let wants = !up || (self.has_room() && self.engine.wants_input());
        wants.then(|| self.socket.pop_front())?
    }

    /// Requests that wait in the store.
    pub(crate) fn queued(&self) -> usize {
        self.jobs.len()
    }

    /// Its next commit fails so. Gives whether that is news.
    pub(crate) fn fails(&mut self, fault: DiskFault) -> bool {
        if self.fault.is_some() {
            return false;
        }
        self.fault = Some(fault);
        let error = match fault.full {
            true => StoreError::Full(Arc::new(io::Error::from(io::ErrorKind::StorageFull))),
            false => StoreError::Io(Arc::new(io::Error::other("an injected fault"))),
        };
        self.control.fail_reopens(fault.reopens, &error);
        let applied = fault.applied;
        self.control.fail_commits(1, &Fault { error, applied });
        true
    }

    pub(crate) fn persist(&mut self, of: usize, ops: Vec<Op>, ledger: &mut Ledger) -> Checked {
        let durable = ops
            .iter()
            .enumerate()
            .filter_map(|(at, op)| Some((at, ledger.durable(of, op)?)))
            .collect();
        let Ok(ticket) = self.store.submit(ops) else {
            return Err(Law::Bounds.broken("the store's queue is full"));
        };
        self.jobs.push_back(Job::Persist(ticket, durable));
        Ok(())
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

    /// Lets the store do its oldest job.
    pub(super) fn step_store(
        &mut self,
        ledger: &mut Ledger,
        transactional: bool,
        life: u64,
    ) -> Result<Option<Answer>, Violation> {
        let Some(job) = self.jobs.pop_front() else {
            return Ok(None);
        };
        self.control.release(match job {
            Job::Due(..) => 2,
            _ => 1,
        });
        let loaded = match job {
            Job::Persist(ticket, durable) => {
                let answer = taken(ticket);
                let kept = match &answer {
                    Ok(_) => true,
                    Err(_) => self.fault.take().is_some_and(|fault| fault.applied),
                };
                if kept {
                    let results = answer.as_ref().ok().map(|c| &c.results);
                    for (at, each) in durable {
                        let result = results.and_then(|results| results.get(at));
                        ledger.note(each, result, transactional, life)?;
                    }
                }
                return Ok(Some(Input::Persisted(answer)));
            }
            Job::Lane(page) => taken(page).map(Loaded::Lane),
            Job::One(record) => taken(record).map(Loaded::One),
            Job::Inbound(page) => taken(page).map(Loaded::Inbound),
            Job::Due(page, next) => taken(page).and_then(|records| {
                let next = taken(next)?.first().and_then(|record| record.deadline);
                Ok(Loaded::Due { records, next })
            }),
        };
        // A failed read follows a failed commit: the driver ends on the first of them.
        Ok(Some(match loaded {
            Ok(loaded) => Input::Loaded(loaded),
            Err(error) => Input::Persisted(Err(error)),
        }))
    }

    /// Opens the store again; gives whether that succeeded.
    pub(super) fn reopen_store(&mut self) -> bool {
        self.control.resume();
        self.jobs.clear();
        taken(self.store.reopen()).is_ok()
    }

    /// The store stays closed: no engine runs yet.
    pub(crate) const fn fails_again(&mut self, now: Duration) {
        self.engine_started = now;
        self.store_is_shut = true;
    }

    /// A new engine takes the place of the old one, with nothing of the old one's. Gives
    /// the connection there was.
    pub(super) fn replace_engine(&mut self, now: Duration, engine: Engine) -> Option<Connection> {
        self.engine = engine;
        self.engine_started = now;
        self.store_is_shut = false;
        self.stepping = false;
        self.fault = None;
        self.dialing = false;
        self.wake = None;
        self.resumable = None;
        self.received.clear();
        self.handed.clear();
        self.unflushed.clear();
        let connection = self.line.connection();
        self.line = Line::Down;
        connection
    }

    /// The process tells the server a count: everything below it must be durable.
    pub(super) fn acknowledges(&self, h: u32, ledger: &Ledger) -> Checked {
        let Some(covered) = self.received.get(..h as usize) else {
            let received = self.received.len();
            return Err(Law::Protocol.broken(format!("acknowledged {h} of {received} stanzas")));
        };
        let lacks = |id: &&Id| ledger.must_be_kept(**id);
        match covered.iter().flatten().find(lacks) {
            Some(id) => {
                let id = name(*id);
                Err(Law::Durable.broken(format!(
                    "{id} was acknowledged (h {h}) before it was durable"
                )))
            }
            None => Ok(()),
        }
    }
}

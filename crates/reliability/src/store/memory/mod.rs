//! The in-memory store: deterministic, without threads, with faults on order.
//! It owns the queue, the faults and restarts; `tables` owns what ops do.
//!
//! A lock guards the tables, where the SQLite store has an owner thread: every
//! call must be done when it returns, or a simulation would not be repeatable.

mod tables;

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::error::StoreError;
use super::op::{Committed, Op, check_batch};
use super::pending::{Answer, Busy, Closing, Pending};
use super::record::{
    Identity, InboundKey, InboundRecord, Opaque, Opening, OutboundRecord, WallTime,
};
use super::{Counts, InboundQuery, OutboundQuery, QUEUE, Recovered, Store, Ticket};
use tables::Tables;

/// What survives a crash: the durable content of a [`MemoryStore`]. A clone is
/// a backup; the default is an empty disk.
#[derive(Clone, Debug, Default)]
pub struct Image(Tables);

/// A store in memory, for tests and simulations. Each batch commits when it is
/// submitted, unless its [`MemoryControl`] says otherwise.
pub struct MemoryStore {
    identity: Identity,
    shared: Arc<Mutex<Shared>>,
}

/// A hand on a [`MemoryStore`] that someone else owns.
#[derive(Clone)]
pub struct MemoryControl {
    shared: Arc<Mutex<Shared>>,
}

/// How a commit fails.
#[derive(Clone, Debug)]
pub struct Fault {
    /// What is answered; the store then fails closed, whatever the error.
    pub error: StoreError,
    /// Whether the batch became durable all the same.
    pub applied: bool,
}

#[derive(Default)]
struct Shared {
    tables: Tables,
    queue: VecDeque<Request>,
    held: bool,
    closed: bool,
    failed: Option<StoreError>,
    commit_faults: VecDeque<Fault>,
    reopen_faults: VecDeque<StoreError>,
    commits: u64,
}

type Read = Box<dyn FnOnce(Result<&Tables, StoreError>) + Send>;

enum Request {
    Commit(Vec<Op>, Answer<Committed>),
    Read(Read),
    Reopen(Answer<()>),
}

impl Shared {
    fn enqueue(&mut self, request: Request) {
        self.queue.push_back(request);
        if !self.held {
            self.process(usize::MAX);
        }
    }

    fn process(&mut self, most: usize) -> usize {
        let mut done = 0;
        while done < most
            && let Some(request) = self.queue.pop_front()
        {
            done += 1;
            // A receiver that is gone wanted no answer.
            match request {
                Request::Commit(batch, answer) => drop(answer.send(self.commit(batch))),
                Request::Read(read) => match &self.failed {
                    Some(error) => read(Err(error.clone())),
                    None => read(Ok(&self.tables)),
                },
                Request::Reopen(answer) => drop(answer.send(self.reopen())),
            }
        }
        done
    }

    fn commit(&mut self, batch: Vec<Op>) -> Result<Committed, StoreError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        if let Some(fault) = self.commit_faults.pop_front() {
            if fault.applied {
                self.tables.apply(batch);
            }
            self.failed = Some(fault.error.clone());
            return Err(fault.error);
        }
        self.commits += 1;
        Ok(Committed {
            results: self.tables.apply(batch),
        })
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        if let Some(error) = self.reopen_faults.pop_front() {
            self.failed = Some(error.clone());
            return Err(error);
        }
        self.failed = None;
        Ok(())
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MemoryStore {
    /// Starts a store from what an earlier one left: a new life with a new
    /// boot count.
    ///
    /// # Errors
    /// [`StoreError::OtherDevice`].
    pub fn open(image: Image, opening: &Opening) -> Result<Self, StoreError> {
        let mut tables = image.0;
        let identity = opening.identity(tables.identity.take())?;
        tables.identity = Some(identity.clone());
        Ok(Self {
            identity,
            shared: Arc::new(Mutex::new(Shared {
                tables,
                ..Shared::default()
            })),
        })
    }

    /// A hand on this store that outlives moving it into a driver.
    pub fn control(&self) -> MemoryControl {
        MemoryControl {
            shared: Arc::clone(&self.shared),
        }
    }

    fn read<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Tables) -> T + Send + 'static,
    ) -> Pending<T> {
        let mut shared = lock(&self.shared);
        if let Err(refusal) = admit(&shared) {
            return Pending::ready(Err(refusal));
        }
        let (answer, pending) = Pending::channel();
        shared.enqueue(Request::Read(Box::new(move |tables| {
            drop(answer.send(tables.map(query)));
        })));
        pending
    }
}

fn admit(shared: &Shared) -> Result<(), StoreError> {
    if shared.closed {
        return Err(StoreError::Closed);
    }
    if shared.queue.len() >= QUEUE {
        return Err(StoreError::Busy);
    }
    Ok(())
}

impl MemoryControl {
    /// From now on requests wait in the queue.
    pub fn hold(&self) {
        lock(&self.shared).held = true;
    }

    /// Carries out the next `most` waiting requests, and gives how many there
    /// were. The store stays held.
    pub fn release(&self, most: usize) -> usize {
        lock(&self.shared).process(most)
    }

    /// Carries out all that waits, and holds no more.
    pub fn resume(&self) {
        let mut shared = lock(&self.shared);
        shared.held = false;
        shared.process(usize::MAX);
    }

    /// Requests that wait.
    pub fn queued(&self) -> usize {
        lock(&self.shared).queue.len()
    }

    /// Batches committed in this life.
    pub fn commits(&self) -> u64 {
        lock(&self.shared).commits
    }

    /// The next `times` commits that are tried fail. As the first one fails
    /// the store closed, each takes a `reopen` to come to.
    pub fn fail_commits(&self, times: usize, fault: &Fault) {
        lock(&self.shared)
            .commit_faults
            .extend(std::iter::repeat_n(fault.clone(), times));
    }

    /// The next `times` reopens fail, and the store is failed closed.
    pub fn fail_reopens(&self, times: usize, error: &StoreError) {
        lock(&self.shared)
            .reopen_faults
            .extend(std::iter::repeat_n(error.clone(), times));
    }

    /// A copy of what is durable now: a backup, while the store lives on.
    pub fn snapshot(&self) -> Image {
        Image(lock(&self.shared).tables.clone())
    }

    /// Ends the store as a power cut does: what waits is lost, its tickets and
    /// all later calls answer [`StoreError::Closed`].
    pub fn crash(&self) -> Image {
        let mut shared = lock(&self.shared);
        shared.closed = true;
        shared.queue.clear();
        Image(shared.tables.clone())
    }
}

impl Store for MemoryStore {
    fn identity(&self) -> &Identity {
        &self.identity
    }

    fn submit(&self, batch: Vec<Op>) -> Result<Ticket, Busy> {
        if let Err(misuse) = check_batch(&batch) {
            return Ok(Pending::ready(Err(StoreError::Misuse(misuse))));
        }
        let mut shared = lock(&self.shared);
        match admit(&shared) {
            Ok(()) => {}
            Err(StoreError::Busy) => return Err(Busy(batch)),
            Err(error) => return Ok(Pending::ready(Err(error))),
        }
        let (answer, ticket) = Pending::channel();
        shared.enqueue(Request::Commit(batch, answer));
        Ok(ticket)
    }

    fn recover(&self, limit: usize) -> Pending<Recovered> {
        let identity = self.identity.clone();
        self.read(move |tables| tables.recover(identity, limit))
    }

    fn outbound(&self, id: &str) -> Pending<Option<OutboundRecord>> {
        let id = id.to_owned();
        self.read(move |tables| tables.outbound(&id))
    }

    fn outbound_page(&self, query: OutboundQuery) -> Pending<Vec<OutboundRecord>> {
        self.read(move |tables| tables.outbound_page(&query))
    }

    fn due(&self, by: WallTime, limit: usize) -> Pending<Vec<OutboundRecord>> {
        self.read(move |tables| tables.due(by, limit))
    }

    fn inbound(&self, key: &InboundKey) -> Pending<Option<InboundRecord>> {
        let key = key.clone();
        self.read(move |tables| tables.inbound(&key))
    }

    fn inbound_page(&self, query: InboundQuery) -> Pending<Vec<InboundRecord>> {
        self.read(move |tables| tables.inbound_page(&query))
    }

    fn meta(&self, key: &str) -> Pending<Option<Opaque>> {
        let key = key.to_owned();
        self.read(move |tables| tables.meta(&key))
    }

    fn meta_page(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Pending<Vec<(String, Opaque)>> {
        let prefix = prefix.to_owned();
        let after = after.map(str::to_owned);
        self.read(move |tables| tables.meta_page(&prefix, after.as_deref(), limit))
    }

    fn counts(&self) -> Pending<Counts> {
        self.read(Tables::counts)
    }

    fn reopen(&self) -> Pending<()> {
        let mut shared = lock(&self.shared);
        if let Err(refusal) = admit(&shared) {
            return Pending::ready(Err(refusal));
        }
        let (answer, pending) = Pending::channel();
        shared.enqueue(Request::Reopen(answer));
        pending
    }

    fn close(self: Box<Self>) -> Closing {
        // Dropping it does the work.
        drop(self);
        Closing {
            done: Pending::ready(Ok(())),
            writer: None,
        }
    }
}

impl Drop for MemoryStore {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        shared.process(usize::MAX);
        shared.closed = true;
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for MemoryControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryControl").finish_non_exhaustive()
    }
}

//! The one thread that changes the file (`checkpoint` has another copy the log): takes
//! requests in order, commits the batches that wait together in one transaction,
//! answers once it is durable. It owns group commit and failing closed.

use std::collections::VecDeque;
use std::path::PathBuf;

use rusqlite::{Connection, Transaction, TransactionBehavior};
use tokio::sync::mpsc;

use super::super::effect::Effect;
use super::super::error::StoreError;
use super::super::lock::OwnerLock;
use super::super::op::{Committed, MAX_BATCH, Op, OpResult};
use super::super::pending::Answer;
use super::super::record::{Check, Identity, InboundKey, WallTime};
use super::alertness::Alertness;
use super::apply::{Last, apply, not_committable, put_together};
use super::checkpoint::Checkpoints;
use super::fault::{damage, sqlite_fault};
use super::file::connect;
use super::guard::Guard;
use super::schema::read_identity;

/// A read. Gives back the error it met, if any, so that the writer can fail
/// closed.
pub(super) type Read =
    Box<dyn FnOnce(Result<&Connection, StoreError>) -> Option<StoreError> + Send>;

pub(super) enum Request {
    Commit(Batch, Answer<Committed>),
    Transact(Effect, Answer<()>),
    Read(Read),
    Reopen(Answer<()>),
}

/// A batch, with the effects of its `Op::Apply`s in order.
pub(super) struct Batch {
    pub(super) ops: Vec<Op>,
    pub(super) effects: VecDeque<Effect>,
}

impl Batch {
    pub(super) const fn new(ops: Vec<Op>) -> Self {
        Self {
            ops,
            effects: VecDeque::new(),
        }
    }
}

/// Ops that make a group full. One more batch may carry it past.
const GROUP: usize = MAX_BATCH;

pub(super) struct Writer {
    path: PathBuf,
    identity: Identity,
    // Ended before the file is closed, and that before the lock is dropped: fields drop in
    // order.
    checkpoints: Checkpoints,
    file: Result<Connection, StoreError>,
    guard: Guard,
    /// No one else writes to the file, so what it says of rows stays true.
    last: Last,
    _lock: OwnerLock,
}

type Group = Vec<(Batch, Answer<Committed>)>;

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        identity: Identity,
        mut connection: Connection,
        lock: OwnerLock,
    ) -> Result<Self, StoreError> {
        let mut checkpoints = Checkpoints::of(path.clone());
        checkpoints.watch(&mut connection).map_err(sqlite_fault)?;
        Ok(Self {
            path,
            identity,
            guard: Guard::on(&mut connection).map_err(sqlite_fault)?,
            checkpoints,
            file: Ok(connection),
            last: Last::default(),
            _lock: lock,
        })
    }

    /// Works until every sender is gone and the queue is empty, then closes
    /// the file and releases the lock.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut group = Group::new();
        let mut next = None;
        let mut alertness = Alertness::default();
        while let Some(request) = next.take().or_else(|| alertness.wait_for(&mut requests)) {
            match request {
                Request::Commit(batch, answer) => {
                    let mut ops = batch.ops.len();
                    group.push((batch, answer));
                    while ops < GROUP && group.len() < GROUP {
                        match requests.try_recv() {
                            Ok(Request::Commit(batch, answer)) => {
                                ops += batch.ops.len();
                                group.push((batch, answer));
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    self.commit(&mut group);
                }
                Request::Read(read) => {
                    let met = read(self.file.as_ref().map_err(StoreError::clone));
                    if let Some(error) = met
                        && self.file.is_ok()
                    {
                        self.fail(error);
                    }
                }
                Request::Transact(effect, answer) => {
                    let mut effects = vec![effect];
                    let mut answers = vec![answer];
                    while effects.len() < GROUP {
                        match requests.try_recv() {
                            Ok(Request::Transact(effect, answer)) => {
                                effects.push(effect);
                                answers.push(answer);
                            }
                            Ok(other) => {
                                next = Some(other);
                                break;
                            }
                            Err(_) => break,
                        }
                    }
                    let outcome = self.transact(effects);
                    for answer in answers {
                        // A receiver that is gone wanted no answer.
                        drop(answer.send(outcome.clone()));
                    }
                }
                Request::Reopen(answer) => drop(answer.send(self.reopen())),
            }
        }
    }

    fn commit(&mut self, group: &mut Group) {
        let outcome = match &mut self.file {
            Ok(connection) => {
                commit_group(connection, &self.guard, &mut self.last, group).map_err(sqlite_fault)
            }
            Err(error) => Err(error.clone()),
        };
        match outcome {
            Ok(results) => {
                for ((_, answer), results) in group.drain(..).zip(results) {
                    drop(answer.send(Ok(Committed { results })));
                }
                self.tend_the_log();
            }
            Err(error) => {
                if self.file.is_ok() {
                    self.fail(error.clone());
                }
                for (_, answer) in group.drain(..) {
                    drop(answer.send(Err(error.clone())));
                }
            }
        }
    }

    /// What the effects gave, their makers know; here only the store's part is told.
    fn transact(&mut self, effects: Vec<Effect>) -> Result<(), StoreError> {
        let outcome = match &mut self.file {
            Ok(connection) => transact(connection, &self.guard, effects).map_err(sqlite_fault),
            Err(error) => return Err(error.clone()),
        };
        match &outcome {
            Ok(()) => self.tend_the_log(),
            Err(error) => self.fail(error.clone()),
        }
        outcome
    }

    /// Something was committed.
    fn tend_the_log(&mut self) {
        if let Ok(connection) = &self.file {
            self.checkpoints.after_commit(connection);
        }
    }

    fn fail(&mut self, error: StoreError) {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the store fails closed"
        );
        self.checkpoints.stop();
        self.file = Err(error);
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        // The old connections must be gone first, with all they had cached.
        self.checkpoints.stop();
        self.file = Err(StoreError::Closed);
        self.last = Last::default();
        let opened = connect(&self.path, Check::Always).and_then(|mut connection| {
            let stored = read_identity(&connection).map_err(sqlite_fault)?;
            if stored.as_ref() != Some(&self.identity) {
                return Err(damage(
                    "another store stands in the place of this one".into(),
                ));
            }
            let guard = Guard::on(&mut connection).map_err(sqlite_fault)?;
            self.checkpoints
                .watch(&mut connection)
                .map_err(sqlite_fault)?;
            Ok((connection, guard))
        });
        match opened {
            Ok((connection, guard)) => {
                (self.file, self.guard) = (Ok(connection), guard);
                Ok(())
            }
            Err(error) => {
                self.file = Err(error.clone());
                Err(error)
            }
        }
    }
}

fn commit_group(
    connection: &mut Connection,
    guard: &Guard,
    last: &mut Last,
    group: &mut Group,
) -> Result<Vec<Vec<OpResult>>, rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut results = Vec::with_capacity(group.len());
    for (batch, _) in group {
        let mut answers = Vec::with_capacity(batch.ops.len());
        while let Some(op) = batch.ops.get(answers.len()) {
            let put = put_together(&transaction, last, &batch.ops[answers.len()..])?;
            if put > 0 {
                answers.extend(std::iter::repeat_n(OpResult::Done, put));
                continue;
            }
            answers.push(match op {
                Op::Apply { key, at, .. } => {
                    let effect = batch.effects.pop_front();
                    apply_effect(&transaction, guard, last, key, *at, effect)?
                }
                op => apply(&transaction, last, op)?,
            });
        }
        results.push(answers);
    }
    // As `commit` does, of a statement that is kept.
    transaction.prepare_cached("COMMIT")?.execute([])?;
    Ok(results)
}

/// The effect first: if it fails, the message is as it was.
fn apply_effect(
    transaction: &Transaction<'_>,
    guard: &Guard,
    last: &mut Last,
    key: &InboundKey,
    at: WallTime,
    effect: Option<Effect>,
) -> Result<OpResult, rusqlite::Error> {
    if let Some(refused) = not_committable(transaction, key)? {
        return Ok(refused);
    }
    let Some(effect) = effect else {
        return Ok(OpResult::EffectFailed);
    };
    if !guard.run(transaction, effect)? {
        return Ok(OpResult::EffectFailed);
    }
    let key = key.clone();
    apply(transaction, last, &Op::MarkHandled { key, at })
}

/// Those that wait together share one transaction: each keeps or loses its own changes.
pub(super) fn transact(
    connection: &mut Connection,
    guard: &Guard,
    effects: impl IntoIterator<Item = Effect>,
) -> Result<(), rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    for effect in effects {
        guard.run(&transaction, effect)?;
    }
    transaction.commit()
}

//! The one thread that touches the file: takes requests in order, commits the
//! batches that wait together in one transaction, answers once it is durable.
//! It owns group commit and failing closed.

use std::path::PathBuf;

use rusqlite::{Connection, TransactionBehavior};
use tokio::sync::mpsc;

use super::super::error::StoreError;
use super::super::lock::OwnerLock;
use super::super::op::{Committed, MAX_BATCH, Op, OpResult};
use super::super::pending::Answer;
use super::super::record::{Check, Identity};
use super::apply::apply;
use super::fault::{damage, sqlite_fault};
use super::file::connect;
use super::schema::read_identity;

/// A read. Gives back the error it met, if any, so that the writer can fail
/// closed.
pub(super) type Read =
    Box<dyn FnOnce(Result<&Connection, StoreError>) -> Option<StoreError> + Send>;

pub(super) enum Request {
    Commit(Vec<Op>, Answer<Committed>),
    Read(Read),
    Reopen(Answer<()>),
}

/// Ops that make a group full. One more batch may carry it past.
const GROUP: usize = MAX_BATCH;

pub(super) struct Writer {
    path: PathBuf,
    identity: Identity,
    // Dropped before the lock is: fields drop in order.
    file: Result<Connection, StoreError>,
    _lock: OwnerLock,
}

type Group = Vec<(Vec<Op>, Answer<Committed>)>;

impl Writer {
    pub(super) fn new(
        path: PathBuf,
        identity: Identity,
        connection: Connection,
        lock: OwnerLock,
    ) -> Self {
        Self {
            path,
            identity,
            file: Ok(connection),
            _lock: lock,
        }
    }

    /// Works until every sender is gone and the queue is empty, then closes
    /// the file and releases the lock.
    pub(super) fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        let mut group = Group::new();
        let mut next = None;
        while let Some(request) = next.take().or_else(|| requests.blocking_recv()) {
            match request {
                Request::Commit(batch, answer) => {
                    let mut ops = batch.len();
                    group.push((batch, answer));
                    while ops < GROUP && group.len() < GROUP {
                        match requests.try_recv() {
                            Ok(Request::Commit(batch, answer)) => {
                                ops += batch.len();
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
                // A receiver that is gone wanted no answer.
                Request::Reopen(answer) => drop(answer.send(self.reopen())),
            }
        }
    }

    fn commit(&mut self, group: &mut Group) {
        let outcome = match &mut self.file {
            Ok(connection) => commit_group(connection, group).map_err(sqlite_fault),
            Err(error) => Err(error.clone()),
        };
        match outcome {
            Ok(results) => {
                for ((_, answer), results) in group.drain(..).zip(results) {
                    drop(answer.send(Ok(Committed { results })));
                }
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

    fn fail(&mut self, error: StoreError) {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the store fails closed"
        );
        self.file = Err(error);
    }

    fn reopen(&mut self) -> Result<(), StoreError> {
        // The old connection must be gone first, with all it had cached.
        self.file = Err(StoreError::Closed);
        let opened = connect(&self.path, Check::Always).and_then(|connection| {
            let stored = read_identity(&connection).map_err(sqlite_fault)?;
            if stored.as_ref() != Some(&self.identity) {
                return Err(damage(
                    "another store stands in the place of this one".into(),
                ));
            }
            Ok(connection)
        });
        let answer = opened.as_ref().map(drop).map_err(StoreError::clone);
        self.file = opened;
        answer
    }
}

fn commit_group(
    connection: &mut Connection,
    group: &Group,
) -> Result<Vec<Vec<OpResult>>, rusqlite::Error> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut last = None;
    let results = group
        .iter()
        .map(|(batch, _)| {
            let ops = batch.iter();
            ops.map(|op| apply(&transaction, &mut last, op)).collect()
        })
        .collect::<Result<Vec<_>, _>>()?;
    transaction.commit()?;
    Ok(results)
}

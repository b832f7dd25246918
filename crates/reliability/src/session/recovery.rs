//! A store that fails while the session runs: the session fails closed with it, and goes
//! on when it is back. Owns the time in between. What a failed engine leaves to the next
//! one is `engine::succession`'s, and what a reopened store verifies is the store's.
//!
//! Nothing is acknowledged meanwhile, to nobody: the connection is dropped as if the
//! network had cut it, so that the server keeps for us what is not durable here, and the
//! session is resumed with the count that is. A `send` that was under way is told that
//! its message is perhaps kept, and a new one is refused. Handles to messages that were
//! kept before stay good.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::control::{Control, Decision};
use super::decisions;
use super::driver::{Driver, now, random, with_sources};
use super::link::Link;
use super::requests::Requests;
use super::sent::Lookup;
use super::stanzas::Inflow;
use super::{Disconnect, SendError, SessionError, SessionEvent, Status, Warning};
use crate::engine::{Engine, Input, Legacy};
use crate::outcome::Outcome;
use crate::store::{
    InboundFilter, InboundQuery, InboundRecord, InboundState, Op, OutboundRecord, Recovered, STATE,
    Store, StoreError,
};

/// Bytes that are written to see whether there is room: a disk that is still full is then
/// not told by the first message.
const PROBE: usize = 64 * 1024;

/// What a reopened store says.
struct Reopened {
    recovered: Recovered,
    /// The records of messages that the application holds.
    in_hands: Vec<InboundRecord>,
    /// Those of messages whose outcome somebody waits for.
    watched: Vec<(String, Option<OutboundRecord>)>,
}

impl Driver {
    /// The store has failed. Resolves when it is back and the session can go on.
    ///
    /// # Errors
    /// The store's last one, if the session is to end before.
    pub(super) async fn outlast(&mut self, error: StoreError) -> Result<(), SessionError> {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the store failed: nothing is acknowledged until it is back"
        );
        let mut legacy = self.engine.legacy();
        self.requests = Requests::default();
        self.waiters.perhaps_kept(&error);
        // All of that is to be asked again.
        self.archives.failed();
        self.entries.failed();
        self.decisions.begun_unrecorded();
        self.let_go();
        self.warn(Warning::StoreFailed {
            reason: with_sources(&error),
        });
        let mut last = error;
        let reopened = loop {
            let pause = self.patience.failed();
            if !matches!(self.link, Link::Refused) {
                self.announce(Status::Waiting {
                    retry_in: pause,
                    cause: Disconnect::Store(last.clone()),
                });
            }
            match self.reopen_after(pause, &mut legacy, &last).await {
                None => return Err(last.into()),
                Some(Ok(reopened)) => break reopened,
                Some(Err(error)) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "the store cannot be used again so far"
                    );
                    last = error;
                }
            }
        };
        self.patience.is_back();
        self.go_on(legacy, reopened);
        Ok(())
    }

    /// The connection is dropped without a word: its session waits at the server.
    fn let_go(&mut self) {
        if self.place.take().is_some() {
            self.parts.tap.put(Inflow::Down);
        }
        self.last_words = None;
        if !matches!(self.link, Link::Refused) {
            let retry_in = self.backoff.failed(self.started.elapsed(), random());
            self.link = Link::Waiting(Instant::now() + retry_in);
        }
    }

    /// Waits, and tries to reopen the store; everybody who asks for something meanwhile is
    /// answered. `None` if the session is to end.
    async fn reopen_after(
        &mut self,
        pause: Duration,
        legacy: &mut Legacy,
        why: &StoreError,
    ) -> Option<Result<Reopened, StoreError>> {
        let arrivals: Vec<u64> = legacy.in_hands().collect();
        let watched = self.waiters.ids();
        let parts = &mut self.parts;
        let store = &*parts.store;
        let attempt = async {
            sleep(pause).await;
            reopen(store, arrivals, watched).await
        };
        tokio::pin!(attempt);
        loop {
            tokio::select! {
                result = &mut attempt => return Some(result),
                control = parts.controls.recv() => match control {
                    Some(Control::Shutdown) | None => return None,
                    Some(Control::Begin { answer, .. }) => drop(answer.send(())),
                    Some(Control::Commit { arrival, answer }) => {
                        // It is committed by the next engine.
                        if self.decisions.begin(arrival, answer) && !legacy.committed(arrival) {
                            self.decisions.ended(arrival, false);
                        }
                    }
                    Some(Control::CommitWith { answer, .. } | Control::Reject { answer, .. }) => {
                        decisions::reply(Some(answer), Decision::NotDone);
                    }
                    Some(Control::Fleeting(command) | Control::TrySend(command)) => {
                        command.refuse(SendError::StoreFailed(why.clone()));
                    }
                    Some(Control::Cancel { id }) => {
                        tracing::warn!(id, "not taken back: the store has failed");
                    }
                    Some(Control::Forget { to }) => {
                        tracing::warn!(%to, "not given up: the store has failed");
                    }
                    Some(Control::Archived { answer, .. }) => drop(answer.send(0)),
                    Some(Control::HoldRoom { room, gather }) => legacy.hold_room(room, gather),
                    Some(Control::EnterRoom { answer, .. }) => drop(answer.send(false)),
                    Some(Control::LeaveRoom(room)) => legacy.leave_room(room),
                    // There is no stream.
                    Some(Control::Transmit(_)) => {}
                },
                Some(command) = parts.sends.recv() => {
                    command.refuse(SendError::StoreFailed(why.clone()));
                }
                Some(find) = parts.finds.recv() => {
                    let progress = self.waiters.watch(find.id.clone());
                    let record = store.outbound(&find.id);
                    let _ = find.answer.send(Lookup { record, progress });
                }
            }
        }
    }

    /// The store is back: another engine follows the one that failed with it.
    fn go_on(&mut self, legacy: Legacy, reopened: Reopened) {
        let Reopened {
            recovered,
            in_hands,
            watched,
        } = reopened;
        let config = self.parts.config.engine;
        self.engine = Engine::new(config, recovered, now(self.started), random());
        for arrival in self.decisions.arrivals() {
            let record = in_hands.iter().find(|r| r.arrival == arrival);
            // A message that was refused is gone.
            let done = record.is_none_or(|r| r.state == InboundState::Handled);
            if done || !legacy.is_committed(arrival) {
                self.decisions.ended(arrival, done);
            }
        }
        self.engine.succeed(&legacy, in_hands);
        self.unannounced = true;
        if !self.parts.config.addresses.is_empty() {
            self.tell(Input::Addresses(self.parts.config.addresses.clone()));
        }
        for (id, record) in watched {
            let outcome = record.as_ref().and_then(Outcome::of);
            match (record, outcome) {
                // It was decided in a batch that was thought to be lost.
                (Some(record), Some(outcome)) if record.state.is_final() => {
                    self.waiters.settled(&id, &outcome);
                    let event = SessionEvent::Outcome { id, outcome };
                    let _ = self.parts.events.send(event);
                }
                (Some(_), _) => {}
                // It was never kept, or nobody knows it any more.
                (None, _) => self.waiters.gone(&id),
            }
        }
        tracing::info!("the store is back");
        self.warn(Warning::StoreBack);
    }
}

/// Opens the store again, sees whether it can be written, and reads what is needed to go
/// on.
async fn reopen(
    store: &dyn Store,
    arrivals: Vec<u64>,
    ids: Vec<String>,
) -> Result<Reopened, StoreError> {
    store.reopen().await?;
    let key = || format!("{STATE}probe");
    let value = vec![0x55; PROBE].into();
    let write = Op::PutMeta { key: key(), value };
    for op in [write, Op::DeleteMeta { key: key() }] {
        let ticket = store.submit(vec![op]).map_err(|_| StoreError::Busy)?;
        ticket.await?;
    }
    let recovered = store.recover(1).await?;
    let mut in_hands = Vec::with_capacity(arrivals.len());
    for arrival in arrivals {
        let query = InboundQuery {
            filter: InboundFilter::All,
            after: arrival.saturating_sub(1),
            limit: 1,
            ..InboundQuery::default()
        };
        let page = store.inbound_page(query).await?;
        in_hands.extend(page.into_iter().filter(|r| r.arrival == arrival));
    }
    let mut watched = Vec::with_capacity(ids.len());
    for id in ids {
        let record = store.outbound(&id).await?;
        watched.push((id, record));
    }
    Ok(Reopened {
        recovered,
        in_hands,
        watched,
    })
}

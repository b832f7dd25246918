//! What was asked of the store and not answered: one queue, so that the engine gets
//! the answers in its own order.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use crate::engine::{Input, Load, Loaded};
use crate::store::{
    Effect, InboundQuery, InboundRecord, Op, OutboundQuery, OutboundRecord, Pending, Store,
    StoreError, Ticket, WallTime,
};

/// Requests that may wait at once, far below what the store takes.
const MOST: usize = 64;

#[derive(Debug)]
enum Request {
    /// With how many new messages of the outbox.
    Persist(Ticket, usize),
    Lane(Pending<Vec<OutboundRecord>>),
    One(Pending<Option<InboundRecord>>),
    Inbound(Pending<Vec<InboundRecord>>),
    /// The second read comes after the first, and both are answered together.
    Due(
        Pending<Vec<OutboundRecord>>,
        Pending<Vec<OutboundRecord>>,
        Option<Vec<OutboundRecord>>,
    ),
}

/// The queue.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: VecDeque<Request>,
    /// A batch that the store had no room for.
    held_back: Option<(Vec<Op>, Vec<Effect>)>,
    /// New messages of the outbox, in batches that are not answered.
    keeping: usize,
    /// Those in the batch that was answered last.
    kept: usize,
}

impl Requests {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.held_back.is_none()
    }

    /// Whether one more may be asked.
    pub(super) fn has_room(&self) -> bool {
        self.held_back.is_none() && self.waiting.len() < MOST
    }

    /// New messages that are being made durable.
    pub(super) const fn keeping(&self) -> usize {
        self.keeping
    }

    /// New messages in the batch that was answered last.
    pub(super) const fn kept(&self) -> usize {
        self.kept
    }

    pub(super) fn persist(&mut self, store: &dyn Store, batch: Vec<Op>, effects: Vec<Effect>) {
        let puts = batch.iter().filter(|op| matches!(op, Op::PutOutbound(_)));
        let new = puts.count();
        let submitted = if effects.is_empty() {
            store.submit(batch).map_err(|busy| (busy, effects))
        } else {
            store.submit_with(batch, effects)
        };
        match submitted {
            Ok(ticket) => {
                self.keeping += new;
                self.waiting.push_back(Request::Persist(ticket, new));
            }
            Err((busy, effects)) => self.held_back = Some((busy.0, effects)),
        }
    }

    pub(super) fn load(&mut self, store: &dyn Store, load: Load) {
        self.waiting.push_back(match load {
            Load::Lane {
                to,
                channel,
                after,
                limit,
            } => Request::Lane(store.outbound_page(OutboundQuery {
                to: Some(to),
                channel: Some(channel),
                after,
                limit,
                ..OutboundQuery::default()
            })),
            Load::One(key) => Request::One(store.inbound(&key)),
            Load::Inbound { after, limit } => Request::Inbound(store.inbound_page(InboundQuery {
                after,
                limit,
                ..InboundQuery::default()
            })),
            Load::Due { by, limit } => {
                Request::Due(store.due(by, limit), store.due(WallTime::MAX, 1), None)
            }
        });
    }

    /// The next answer; never, if nothing was asked.
    pub(super) async fn next(&mut self, store: &dyn Store) -> Input {
        poll_fn(|cx| self.poll_next(store, cx)).await
    }

    fn poll_next(&mut self, store: &dyn Store, cx: &mut Context<'_>) -> Poll<Input> {
        let Some(request) = self.waiting.front_mut() else {
            return Poll::Pending;
        };
        let input = match request {
            Request::Persist(ticket, new) => {
                let answer = ready!(Pin::new(ticket).poll(cx));
                self.keeping -= *new;
                self.kept = *new;
                Input::Persisted(answer)
            }
            Request::Lane(page) => loaded(ready!(Pin::new(page).poll(cx)), Loaded::Lane),
            Request::One(record) => loaded(ready!(Pin::new(record).poll(cx)), Loaded::One),
            Request::Inbound(page) => loaded(ready!(Pin::new(page).poll(cx)), Loaded::Inbound),
            Request::Due(due, next, records) => {
                if records.is_none() {
                    match ready!(Pin::new(due).poll(cx)) {
                        Ok(page) => *records = Some(page),
                        Err(error) => {
                            self.waiting.pop_front();
                            return Poll::Ready(Input::Persisted(Err(error)));
                        }
                    }
                }
                let next = ready!(Pin::new(next).poll(cx));
                let records = records.take().unwrap_or_default();
                loaded(next, |next| Loaded::Due {
                    records,
                    next: next.first().and_then(|r| r.deadline),
                })
            }
        };
        self.waiting.pop_front();
        if let Some((batch, effects)) = self.held_back.take() {
            self.persist(store, batch, effects);
        }
        Poll::Ready(input)
    }
}

/// A read that fails is as bad as a write that fails.
fn loaded<T>(answer: Result<T, StoreError>, wrap: impl FnOnce(T) -> Loaded) -> Input {
    match answer {
        Ok(records) => Input::Loaded(wrap(records)),
        Err(error) => Input::Persisted(Err(error)),
    }
}

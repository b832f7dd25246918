//! The tasks of the host: what the state machine wants done outside, values that are due,
//! and what is remembered.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use stanchion_reliability::store::{TransactError, Transactor, WallTime};
use stanchion_services::{Handle, Incoming};
use stanchion_stanza::Text;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::commands::{self, Desk};
use super::orders::Controls;
use super::state::{Job, State};
use super::{HostEvent, Shared};
use crate::adapter::wall_clock;
use crate::history::{History, HistoryConfig};
use crate::model::{Reading, Sample};

/// Readings that one look into the history finds of one thing, the newest; and of all
/// things together.
const MOST_OF_A_THING: u32 = 10_000;
const MOST_FOUND: u32 = 50_000;
/// Looks that may wait.
const LOOKS: usize = 256;
/// Samples that are remembered in one transaction.
const BATCH: usize = 512;
/// How long to wait for more of them.
const GATHER: Duration = Duration::from_millis(250);
/// Between two tries at a store that fails, and how many there are.
const PAUSE: Duration = Duration::from_secs(1);
const TRIES: u32 = 5;

/// Commands that act once, once there is a journal.
pub(super) async fn commands(desk: Desk, messages: Incoming) {
    let store = desk.store.clone();
    if opened(|| commands::open(&store)).await.is_some() {
        commands::run(desk, messages).await;
    }
}

/// Opens something in the store, again and again if it fails. None if it never does.
async fn opened<T, F: Future<Output = Result<T, TransactError>>>(
    open: impl Fn() -> F,
) -> Option<T> {
    for _ in 0..TRIES {
        match open().await {
            Ok(opened) => return Some(opened),
            Err(error) => {
                warn(&error, "a table of things is opened again");
                sleep(PAUSE).await;
            }
        }
    }
    None
}

fn warn(error: &TransactError, what: &str) {
    let error: &dyn std::error::Error = error;
    tracing::warn!(error, "{what}");
}

/// Tells values that were held back once they are due.
pub(super) async fn due(handle: Handle<State>, shared: Arc<Shared>) {
    let mut events = handle.events();
    loop {
        match events.recv().await {
            // Among those that were missed may be one.
            Ok(HostEvent::Due) | Err(RecvError::Lagged(_)) => {}
            Ok(_) => continue,
            Err(RecvError::Closed) => return,
        }
        let order = shared.order.lock().await;
        let Ok(samples) = handle.call(|state, now| state.take_due(now)).await else {
            return;
        };
        shared.tell(samples).await;
        drop(order);
    }
}

/// What is remembered, and how.
#[derive(Debug)]
pub(super) struct Memory {
    store: Transactor,
    config: Option<HistoryConfig>,
    samples: mpsc::Receiver<Sample>,
}

impl Memory {
    pub(super) const fn new(
        store: Transactor,
        config: Option<HistoryConfig>,
        samples: mpsc::Receiver<Sample>,
    ) -> Self {
        Self {
            store,
            config,
            samples,
        }
    }
}

/// Does what the state machine wants done, until there is nobody who wants.
pub(super) async fn jobs(
    handle: Handle<State>,
    controls: Controls,
    memory: Memory,
    mut jobs: mpsc::Receiver<Job>,
) {
    let Memory {
        store,
        config,
        mut samples,
    } = memory;
    let history = match config {
        Some(config) => opened(|| History::open(store.clone(), config, wall_clock())).await,
        None => None,
    };
    if history.is_none() {
        samples.close();
    }
    let mut running = JoinSet::new();
    if let Some(history) = history.clone() {
        running.spawn(remember(history, samples));
    }
    let (looks, to_look) = mpsc::channel(LOOKS);
    running.spawn(look(handle.clone(), history, to_look));
    loop {
        let job = tokio::select! {
            job = jobs.recv() => job,
            Some(_) = running.join_next() => continue,
        };
        match job {
            // The orders leave here, in the order of their requests.
            Some(Job::Set {
                number,
                plan,
                within,
            }) => {
                let given = controls.give(&plan, Instant::now() + within);
                let handle = handle.clone();
                running.spawn(async move {
                    let outcome = given.outcome().await;
                    let tell = move |state: &mut State, now| {
                        state.carried_out(now, number, &outcome);
                    };
                    // The client may have ended.
                    let _ = handle.call(tell).await;
                });
            }
            Some(Job::Look {
                number,
                things,
                from,
                until,
            }) => {
                let look = Look {
                    number,
                    things: things.into(),
                    from,
                    until,
                    left: MOST_FOUND,
                };
                // There is room for all read-outs that there can be.
                let _ = looks.send(look).await;
            }
            None => return,
        }
    }
}

/// Looks things up, one after the other: they are large, and the store has one thread.
async fn look(handle: Handle<State>, history: Option<History>, mut looks: mpsc::Receiver<Look>) {
    let mut under_way = VecDeque::new();
    loop {
        let next = match under_way.pop_front() {
            Some(look) => Some(look),
            None => looks.recv().await,
        };
        let Some(next) = next else { return };
        // They take turns.
        while let Ok(look) = looks.try_recv() {
            under_way.push_back(look);
        }
        under_way.extend(next.run(&handle, history.as_ref()).await);
    }
}

/// A look into the history that is under way.
struct Look {
    number: u64,
    things: VecDeque<Text>,
    from: i64,
    until: i64,
    left: u32,
}

impl Look {
    /// Finds what there is of the next thing. Gives what is left to do.
    async fn run(mut self, handle: &Handle<State>, history: Option<&History>) -> Option<Self> {
        let mut found: Vec<(Text, WallTime, Reading)> = Vec::new();
        if let (Some(history), Some(thing)) = (history, self.things.pop_front()) {
            let most = self.left.min(MOST_OF_A_THING);
            let looked = history.look(thing.clone(), self.from, self.until, most);
            match looked.await {
                Ok(readings) => {
                    let all = readings.into_iter();
                    found.extend(all.map(|(at, reading)| (thing.clone(), at, reading)));
                }
                Err(error) => {
                    warn(&error, "the history cannot be read");
                }
            }
        }
        self.left -= u32::try_from(found.len())
            .unwrap_or(self.left)
            .min(self.left);
        let is_last = history.is_none() || self.things.is_empty() || self.left == 0;
        let number = self.number;
        let tell = move |state: &mut State, _| state.remembered(number, found, is_last);
        // The client may have ended.
        let _ = handle.call(tell).await;
        (!is_last).then_some(self)
    }
}

/// Remembers what is told, many at a time. What cannot be written in a while is left out,
/// for it would hold up what is told.
async fn remember(history: History, mut samples: mpsc::Receiver<Sample>) {
    let mut batch = Vec::with_capacity(BATCH);
    while samples.recv_many(&mut batch, BATCH).await > 0 {
        if batch.len() < BATCH {
            sleep(GATHER).await;
            while batch.len() < BATCH
                && let Ok(sample) = samples.try_recv()
            {
                batch.push(sample);
            }
        }
        let mut tries = TRIES;
        while let Err(error) = history.remember(wall_clock(), batch.clone()).await {
            tries -= 1;
            if tries == 0 {
                warn(&error, "samples are not remembered");
                break;
            }
            sleep(PAUSE).await;
        }
        batch.clear();
    }
}

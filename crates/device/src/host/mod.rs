//! Our things on XMPP: read and set by others (XEP-0323, XEP-0325). This file is the
//! application's face; what is answered to whom is decided in `state`, what there is
//! stands in `table`, and who may do what in `access`.

mod access;
mod commands;
mod config;
mod journal;
pub(crate) mod orders;
mod state;
mod subscriptions;
mod table;
mod wish;
mod work;

use std::sync::{Arc, Mutex, PoisonError};

use stanchion_reliability::session::Sender;
use stanchion_reliability::store::Transactor;
use stanchion_services::{Ended, Handle, HostBuilder, Incoming};
use stanchion_stanza::Text;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::adapter::{AdapterEvent, Control};
use crate::model::{Sample, ThingSpec};

pub use access::{Access, Grant, Names};
pub use config::{HostConfig, HostEvent};
pub use state::{Job, Jobs, Plan, PlannedOrder, Refusal, State};
pub use subscriptions::SubscriptionFigures;
pub use table::{Latest, MOST_FIELDS, MOST_THINGS, TableError};

use commands::Desk;
use orders::Controls;

/// Samples that a listener may be behind before what is taken in waits for it.
const ROOM: usize = 1024;
/// What may wait to be done outside the services' task.
const JOBS: usize = 256;

/// Our things, as others reach them. Cheap to clone; its work ends with the last of them,
/// and with the client.
#[derive(Debug, Clone)]
pub struct ThingHost {
    handle: Handle<State>,
    shared: Arc<Shared>,
    /// Ends them when it is dropped.
    _tasks: Arc<JoinSet<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    controls: Controls,
    /// Held while samples are told, so that they keep their order.
    order: tokio::sync::Mutex<()>,
    told: Mutex<Vec<mpsc::Sender<Sample>>>,
}

/// A host that was added to the services of a session, before they run.
#[derive(Debug)]
pub struct Added {
    handle: Handle<State>,
    commands: Incoming,
    jobs: mpsc::Receiver<Job>,
    config: HostConfig,
}

/// Adds it.
pub fn add(builder: &mut HostBuilder, config: HostConfig) -> Added {
    let (jobs_in, jobs) = mpsc::channel(JOBS);
    let put = Box::new(move |job| jobs_in.try_send(job).map_err(|e| e.into_inner()));
    let (handle, commands) = builder.add_claiming(State::new(config.clone(), put));
    Added {
        handle,
        commands,
        jobs,
        config,
    }
}

impl Added {
    /// Runs it, with what its services were started with. Must be called inside a tokio
    /// runtime.
    #[must_use]
    pub fn start(self, sender: Sender, store: Transactor) -> ThingHost {
        let shared = Arc::<Shared>::default();
        let desk = Desk {
            handle: self.handle.clone(),
            controls: shared.controls.clone(),
            sender,
            store: store.clone(),
            within: self.config.command_within,
            settled: Instant::now() + commands::SETTLES,
        };
        let samples = listen(&shared);
        let mut tasks = JoinSet::new();
        tasks.spawn(work::commands(desk, self.commands));
        tasks.spawn(work::due(self.handle.clone(), Arc::clone(&shared)));
        tasks.spawn(work::jobs(
            self.handle.clone(),
            shared.controls.clone(),
            work::Memory::new(store, self.config.history, samples),
            self.jobs,
        ));
        ThingHost {
            handle: self.handle,
            shared,
            _tasks: Arc::new(tasks),
        }
    }
}

impl ThingHost {
    /// Orders to the things of that adapter go there from now on. What it tells is to be
    /// [given](Self::take) besides.
    pub fn attach(&self, control: Control) {
        self.shared.controls.attach(control);
    }

    /// That adapter is no more: its things are gone.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn detach(&self, name: &str) -> Result<(), Ended> {
        self.shared.controls.detach(name);
        let name = name.to_owned();
        self.handle.call(move |state, _| state.detach(&name)).await
    }

    /// Takes in what an adapter told. Waits for those who hear what is
    /// [told](Self::told), and for nobody else.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn take(&self, event: AdapterEvent) -> Result<(), Ended> {
        let order = self.shared.order.lock().await;
        let told = self.handle.call(move |state, now| state.take(now, event));
        let told = told.await?;
        self.shared.tell(told).await;
        drop(order);
        Ok(())
    }

    /// What is told on from now on: samples that passed their sampling, in order. Whoever
    /// does not take them holds up what is [taken in](Self::take) once it is 1,024 behind:
    /// dropped, it does not.
    #[must_use]
    pub fn told(&self) -> mpsc::Receiver<Sample> {
        listen(&self.shared)
    }

    /// All things, by their ids.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn things(&self) -> Result<Vec<Arc<ThingSpec>>, Ended> {
        let things = |state: &mut State, _| state.table().things().cloned().collect();
        self.handle.call(things).await
    }

    /// The last values of a thing, by the names of its fields; none if there is no such
    /// thing.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn latest(&self, thing: &Text) -> Result<Option<Vec<Latest>>, Ended> {
        let thing = thing.clone();
        let latest = move |state: &mut State, _| state.table().latest(&thing);
        self.handle.call(latest).await
    }

    /// How it stands with those who subscribed to our things.
    ///
    /// # Errors
    /// [`Ended`].
    pub async fn subscriptions(&self) -> Result<SubscriptionFigures, Ended> {
        self.handle.call(|state, _| state.subscriptions()).await
    }

    /// What happens from now on. Lossy: an observer that is more than 256 events behind
    /// misses the oldest.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<HostEvent> {
        self.handle.events()
    }
}

fn listen(shared: &Shared) -> mpsc::Receiver<Sample> {
    let (sender, receiver) = mpsc::channel(ROOM);
    lock(&shared.told).push(sender);
    receiver
}

impl Shared {
    async fn tell(&self, samples: Vec<Sample>) {
        if samples.is_empty() {
            return;
        }
        let listeners = lock(&self.told).clone();
        for listener in listeners {
            for sample in &samples {
                if listener.send(sample.clone()).await.is_err() {
                    lock(&self.told).retain(|l| !l.is_closed());
                    break;
                }
            }
        }
    }
}

/// The lock is held for a look, never over an await.
fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

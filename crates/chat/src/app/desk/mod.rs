//! The driver under the faces: owns the client, tells what happens there as [`Event`]s, and
//! carries [`Order`]s out. One task looks (`watching`), one says what is to be said, in its
//! order (`speaking`), and each thing and each room has one; all end with the desk.

mod doing;
mod invitations;
mod keeping;
mod speaking;
mod telling;
mod things;
mod watching;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use stanchion::device::history::{History as Readings, HistoryConfig as ReadingsConfig};
use stanchion::services::Incoming;
use stanchion::{BareJid, Client};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use self::invitations::Invitations;
use super::event::Event;
use super::order::Order;
use crate::exit::{Failure, one_line};
use crate::kept::now;

/// Orders that may wait.
const ORDERS: usize = 256;
/// Events that a face may be behind; after that nothing new is taken from the session.
const EVENTS: usize = 1024;
/// For the server's part of a clean end.
const FAREWELL: Duration = Duration::from_secs(3);

/// How the desk behaves.
#[derive(Debug, Clone)]
pub(crate) struct DeskConfig {
    /// Whose client it is.
    pub(crate) account: BareJid,
    /// The file that keeps everything.
    pub(crate) store: PathBuf,
    /// By when there must be an outcome of what is said. Default: whenever there is one.
    pub(crate) within: Option<Duration>,
    /// How much is remembered of each thing, for plots.
    pub(crate) readings: ReadingsConfig,
}

impl DeskConfig {
    /// Of that account, on that store.
    pub(crate) fn new(account: BareJid, store: PathBuf) -> Self {
        Self {
            account,
            store,
            within: None,
            readings: ReadingsConfig::default(),
        }
    }
}

/// What all parts of the desk hold.
#[derive(Debug)]
struct Held {
    config: DeskConfig,
    client: Client,
    readings: Readings,
    invitations: Invitations,
    events: mpsc::Sender<Event>,
}

impl Held {
    /// Tells the face; waits while it is behind.
    async fn tell(&self, event: Event) {
        // Without a face nobody needs to know.
        let _ = self.events.send(event).await;
    }

    /// The same, of each.
    async fn tell_all(&self, events: impl IntoIterator<Item = Event>) {
        for event in events {
            self.tell(event).await;
        }
    }

    /// Something that was asked for was not done.
    async fn failed(&self, what: &str, why: &(dyn std::error::Error + Sync)) {
        let text = format!("{what}: {}", one_line(why));
        self.tell(telling::failure(text)).await;
    }
}

/// The desk, at work. Dropping it ends it as a crash would: nothing that was accepted or
/// committed is lost.
#[derive(Debug)]
pub(crate) struct Desk {
    held: Option<Arc<Held>>,
    orders: mpsc::Sender<Order>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Desk {
    /// Takes a client over. What happens comes out of the receiver, at first what was there
    /// before.
    ///
    /// # Errors
    /// The store's.
    pub(crate) async fn start(
        client: Client,
        incoming: Incoming,
        config: DeskConfig,
    ) -> Result<(Self, mpsc::Receiver<Event>), Failure> {
        let failed = |e| Failure::failed(one_line(&e));
        let readings = Readings::open(client.store(), config.readings, now());
        let readings = readings.await.map_err(failed)?;
        let invitations = Invitations::open(client.store()).await.map_err(failed)?;
        let (events, events_rx) = mpsc::channel(EVENTS);
        let (orders, orders_rx) = mpsc::channel(ORDERS);
        let (stop, stopped) = watch::channel(false);
        let held = Arc::new(Held {
            config,
            client,
            readings,
            invitations,
            events,
        });
        let watching = watching::Watching::new(Arc::clone(&held), incoming, orders_rx, stopped);
        let desk = Self {
            held: Some(held),
            orders,
            stop,
            task: tokio::spawn(watching.run()),
        };
        Ok((desk, events_rx))
    }

    /// Where orders go. Cheap to clone.
    pub(crate) fn orders(&self) -> mpsc::Sender<Order> {
        self.orders.clone()
    }

    /// What was told by things, for plots.
    pub(crate) fn readings(&self) -> Option<Readings> {
        self.held.as_ref().map(|held| held.readings.clone())
    }

    /// What was said.
    pub(crate) fn history(&self) -> Option<stanchion::services::history::History> {
        let held = self.held.as_ref();
        held.map(|held| held.client.chat().history().clone())
    }

    /// Whether somebody looks at the client, for a server that wants to know.
    pub(crate) async fn attention(&self, looks: bool) {
        if let Some(held) = &self.held {
            doing::attention(held, looks).await;
        }
    }

    /// Ends it cleanly: what was accepted is durable, what was read is committed.
    ///
    /// # Errors
    /// The session's.
    pub(crate) async fn close(mut self) -> Result<(), Failure> {
        let _ = self.stop.send(true);
        // In place: if the caller gives up waiting, the task is aborted with us.
        if (&mut self.task).await.is_err() {
            return Err(Failure::failed("the desk's task panicked"));
        }
        let Some(client) = self.held.take().and_then(Arc::into_inner) else {
            return Ok(());
        };
        match tokio::time::timeout(FAREWELL, client.client.shutdown()).await {
            Ok(ended) => ended.map_err(|e| Failure::failed(one_line(&e))),
            // The server is told nothing more; nothing is lost by that.
            Err(_) => Ok(()),
        }
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

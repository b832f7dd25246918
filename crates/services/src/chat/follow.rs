//! Follows what becomes of our own messages into the history: from what the session tells,
//! and, where that was missed or happened in an earlier process, from the outbox's records.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use stanchion_reliability::outcome::Outcome;
use stanchion_reliability::session::{FindError, Sender, Sent, SessionEvent, Stage};
use stanchion_reliability::store::{OutboundRecord, OutboundState};
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::history::{History, Note, Progress};

/// Messages that are followed at once by what the session tells; of more, the outcome is
/// noted after the next start.
const FOLLOWED: usize = 16_384;
/// Notes of one transaction.
const AT_ONCE: usize = 64;
/// Between two tries at a store that fails.
const PAUSE: Duration = Duration::from_secs(1);

/// Messages that are in the history and on their way into the outbox.
#[derive(Debug, Clone, Default)]
pub(super) struct Writing(Arc<Mutex<HashSet<String>>>);

/// One of them, for as long as this lives.
pub(super) struct OnItsWay(Writing, String);

impl Writing {
    pub(super) fn begin(&self, id: String) -> OnItsWay {
        self.ids().insert(id.clone());
        OnItsWay(self.clone(), id)
    }

    fn has(&self, id: &str) -> bool {
        self.ids().contains(id)
    }

    fn ids(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        self.0.ids().remove(&self.1);
    }
}

/// The task that follows. Dropping it aborts it; nothing is lost, as the next start looks.
#[derive(Debug)]
pub struct Follower {
    stop: Option<oneshot::Sender<()>>,
    task: Option<JoinHandle<()>>,
}

impl Follower {
    /// Begins. Must be called inside a tokio runtime.
    pub(super) fn start(
        sender: Sender,
        history: History,
        writing: Writing,
        fresh: mpsc::Receiver<Sent>,
    ) -> Self {
        let (stop, stopped) = oneshot::channel();
        let following = Following {
            events: None,
            sender,
            history,
            writing,
            open: HashSet::new(),
            notes: Vec::new(),
        };
        Self {
            stop: Some(stop),
            task: Some(tokio::spawn(following.run(fresh, stopped))),
        }
    }

    /// Ends it: what is known is noted. Call it before the session ends.
    pub async fn shutdown(mut self) {
        drop(self.stop.take());
        if let Some(task) = &mut self.task {
            // In place: if the caller gives up waiting, the task is aborted with us.
            if task.await.is_err() {
                tracing::error!("the task that follows messages panicked");
            }
        }
        self.task = None;
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

struct Following {
    /// While there is something to be told of; the session is spared it otherwise.
    events: Option<broadcast::Receiver<SessionEvent>>,
    sender: Sender,
    history: History,
    writing: Writing,
    /// Messages without a definite outcome.
    open: HashSet<String>,
    notes: Vec<Note>,
}

/// The session has ended, or we are to.
struct Ended;

impl Following {
    async fn run(mut self, mut fresh: mpsc::Receiver<Sent>, mut stopped: oneshot::Receiver<()>) {
        let follow = async {
            // What an earlier process left.
            self.look().await?;
            loop {
                tokio::select! {
                    sent = fresh.recv() => match sent {
                        Some(sent) => self.begin(&sent),
                        None => return Err::<(), _>(Ended),
                    },
                    event = next_of(&mut self.events) => self.event(event).await?,
                }
                while self.notes.len() < AT_ONCE {
                    let Ok(sent) = fresh.try_recv() else { break };
                    self.begin(&sent);
                }
                self.flush().await?;
            }
        };
        tokio::select! {
            _ = &mut stopped => {}
            Err(Ended) = follow => {}
            else => {}
        }
        // What was told by now.
        while let Ok(sent) = fresh.try_recv() {
            self.begin(&sent);
        }
        while let Some(Ok(event)) = self.events.as_mut().map(broadcast::Receiver::try_recv) {
            self.told(event);
        }
        if !self.notes.is_empty() {
            // If the store is gone, the next start looks.
            let _ = self.history.note(std::mem::take(&mut self.notes)).await;
        }
    }

    fn listen(&mut self) {
        self.events.get_or_insert_with(|| self.sender.events());
    }

    /// A message was sent; how far it is by now.
    fn begin(&mut self, sent: &Sent) {
        // First, so that nothing is told in between.
        self.listen();
        if self.open.len() < FOLLOWED {
            self.open.insert(sent.id().to_owned());
        }
        let (progress, why) = match sent.stage() {
            Stage::ServerAccepted => (Progress::ServerAccepted, None),
            Stage::Settled(outcome) => Progress::of(&outcome),
            _ => (Progress::Accepted, None),
        };
        self.note(sent.id().to_owned(), progress, why);
    }

    fn note(&mut self, id: String, progress: Progress, why: Option<String>) {
        if progress.is_final() {
            self.open.remove(&id);
        }
        self.notes.push(Note::Progress { id, progress, why });
    }

    async fn event(&mut self, event: Result<SessionEvent, RecvError>) -> Result<(), Ended> {
        match event {
            Ok(event) => self.told(event),
            // Some were missed.
            Err(RecvError::Lagged(_)) => self.look().await?,
            Err(RecvError::Closed) => return Err(Ended),
        }
        Ok(())
    }

    fn told(&mut self, event: SessionEvent) {
        match event {
            SessionEvent::ServerAccepted { id } if self.open.contains(&id) => {
                self.note(id, Progress::ServerAccepted, None);
            }
            SessionEvent::Outcome { id, outcome } if self.open.contains(&id) => {
                let (progress, why) = Progress::of(&outcome);
                self.note(id, progress, why);
            }
            _ => {}
        }
    }

    /// Looks up all messages without a definite outcome. One that is not in the outbox, nor
    /// on its way there, was never given to it.
    async fn look(&mut self) -> Result<(), Ended> {
        let mut after = 0;
        loop {
            let open = match self.history.open_after(after).await {
                Ok(open) => open,
                Err(error) => {
                    tracing::warn!(%error, "which messages are open cannot be read");
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            let Some((last, _)) = open.last() else {
                return Ok(());
            };
            after = *last;
            self.listen();
            for (_, id) in open {
                self.look_up(id).await?;
            }
            self.flush().await?;
        }
    }

    async fn look_up(&mut self, id: String) -> Result<(), Ended> {
        // Asked first: what is on its way now may be in the outbox a moment later.
        if self.writing.has(&id) {
            return Ok(());
        }
        let found = loop {
            match self.sender.find(&id).await {
                Ok(found) => break found,
                Err(FindError::Closed) => return Err(Ended),
                // The store is opened again and again.
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        };
        match found {
            Some(found) => {
                if self.open.len() < FOLLOWED && !found.record().state.is_final() {
                    self.open.insert(id.clone());
                }
                let (progress, why) = progress_of(found.record());
                self.note(id, progress, why);
            }
            None => self.notes.push(Note::Unsent { id }),
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        if self.open.is_empty() {
            self.events = None;
        }
        while !self.notes.is_empty() {
            match self.history.note(self.notes.clone()).await {
                Ok(()) => self.notes.clear(),
                Err(error) => {
                    tracing::warn!(%error, "what became of messages is noted later");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        Ok(())
    }
}

async fn next_of(
    events: &mut Option<broadcast::Receiver<SessionEvent>>,
) -> Result<SessionEvent, RecvError> {
    match events {
        Some(events) => events.recv().await,
        None => std::future::pending().await,
    }
}

/// In the words of what the session would have told.
fn progress_of(record: &OutboundRecord) -> (Progress, Option<String>) {
    let why = || {
        let told = Outcome::of(record).and_then(|outcome| Progress::of(&outcome).1);
        told.or_else(|| record.state.reason().map(ToString::to_string))
    };
    match &record.state {
        OutboundState::ServerAccepted => (Progress::ServerAccepted, None),
        OutboundState::InDoubt { .. } => (Progress::InDoubt, why()),
        OutboundState::Acknowledged => (Progress::Acknowledged, None),
        OutboundState::Delivered => (Progress::Delivered, None),
        OutboundState::NotDelivered { .. } => (Progress::NotDelivered, why()),
        _ => (Progress::Accepted, None),
    }
}

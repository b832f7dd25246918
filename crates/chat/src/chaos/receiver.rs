//! The receiving end: an application that acts on each message and commits it.
//!
//! Its effect is a line in its journal, synced before the commit, and it trusts the
//! session: a message that is handed over without a warning takes effect whatever the
//! journal says, one that may have been handed over before takes effect if its id is not
//! there yet. So an effect too many is the session's fault, and is seen.
//!
//! A line is `MICROS NUMBER ID FLAGGED EFFECT`, the last two 0 or 1.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::future::ready;
use std::path::Path;

use stanchion::services::Incoming;
use stanchion::session::{Received, SessionEvent, Status};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::block_in_place;

use super::journal::{Journal, micros};
use super::{RETRY, number_in};
use crate::demo::end_of_input;
use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::settings::Settings;

/// Messages that share a sync, at most.
const BATCH: usize = 64;

/// Receives until the standard input ends.
///
/// # Errors
/// What of the configuration or of the store cannot work; a session that ended.
pub(super) async fn run(settings: &Settings, path: &Path) -> Outcome {
    let mut application = Application::open(path)?;
    let (client, mut incoming) = settings
        .start(None, |session| session.backoff.cap = RETRY)
        .await?;
    let mut events = client.events();
    let mut parent = Box::pin(end_of_input());
    loop {
        tokio::select! {
            received = incoming.recv() => {
                let Some(first) = received else {
                    return Err(Failure::failed("the session ended"));
                };
                let batch = gather(first, &mut incoming).await;
                block_in_place(|| application.act(&batch))?;
                for received in batch {
                    received.commit().await.map_err(|e| Failure::failed(one_line(&e)))?;
                }
            }
            event = events.recv() => match event {
                Ok(SessionEvent::Status(Status::Connected { resumed, .. })) => {
                    application.journal.append(&format!("connected {}\n", u8::from(resumed)))?;
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err(Failure::failed("the session ended")),
            },
            () = &mut parent => break,
        }
    }
    let duplicates = client.counters().duplicates;
    application
        .journal
        .append(&format!("copies {duplicates}\n"))?;
    client
        .shutdown()
        .await
        .map_err(|e| Failure::failed(one_line(&e)))?;
    Ok(Exit::Done)
}

/// What is there already goes into the same sync.
async fn gather(first: Received, incoming: &mut Incoming) -> Vec<Received> {
    let mut batch = vec![first];
    while batch.len() < BATCH {
        tokio::select! {
            biased;
            received = incoming.recv() => match received {
                Some(received) => batch.push(received),
                None => break,
            },
            () = ready(()) => break,
        }
    }
    batch
}

/// The application's own state.
struct Application {
    journal: Journal,
    /// Ids of messages that took effect.
    applied: HashSet<String>,
}

impl Application {
    fn open(path: &Path) -> Result<Self, Failure> {
        let mut applied = HashSet::new();
        let journal = Journal::open(path, |line| {
            let mut words = line.split(' ');
            if let (Some(id), Some("1")) = (words.nth(2), words.nth(1)) {
                applied.insert(id.to_owned());
            }
        })?;
        Ok(Self { journal, applied })
    }

    fn act(&mut self, batch: &[Received]) -> Result<(), Failure> {
        let mut lines = String::new();
        for received in batch {
            let message = received.message();
            let number = message.body().and_then(|body| number_in(&body));
            if let (Some(number), Some(id)) = (number, &message.header.id) {
                let flagged = received.maybe_redelivered();
                let effect = self.takes_effect(id, flagged);
                let (at, flagged, effect) = (micros(), u8::from(flagged), u8::from(effect));
                // Writing to a String cannot fail.
                let _ = writeln!(lines, "{at} {number} {id} {flagged} {effect}");
            }
        }
        self.journal.append(&lines)?;
        self.journal.sync()
    }

    /// Whether the application acts on a message. Only a warned one looks.
    fn takes_effect(&mut self, id: &str, flagged: bool) -> bool {
        let new = self.applied.insert(id.to_owned());
        new || !flagged
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_message_with_a_warning_is_looked_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        std::fs::write(&path, "1 1 a 0 1\nconnected 0\n2 2 b 1 0\n").unwrap();
        let mut application = Application::open(&path).unwrap();
        // It took effect in an earlier life.
        assert!(!application.takes_effect("a", true));
        // The session promised that it is new.
        assert!(application.takes_effect("a", false));
        assert!(application.takes_effect("b", true));
        assert!(!application.takes_effect("b", true));
    }
}

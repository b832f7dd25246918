//! The sending end. It may be killed at any moment: which numbers it gave, it learns from
//! its own outbox, and from nothing else. Its journal is for those who check, and is never
//! read here.
//!
//! Lines of the journal: `began MICROS`; `kept NUMBER ID` after `send` returned; `outcome
//! ID WORD MICROS` as the session said it; `connected RESUMED`; `counters TRANSMITTED
//! RETRANSMITTED` since this process began; `done`.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use stanchion::session::{Outgoing, Sender, SessionEvent, Status};
use stanchion::{Client, Jid, Outcome as Delivery};
use tokio::io::{AsyncBufReadExt as _, BufReader, stdin};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::interval;

use super::journal::{Journal, micros};
use super::{RETRY, body_of, outbox};
use crate::exit::{Exit, Failure, Outcome, one_line};
use crate::settings::Settings;

/// Calls of `send` at the same time.
const SENDS: usize = 64;
/// Counters are written so often, if they have changed.
const REPORT: Duration = Duration::from_millis(50);

/// What is to be sent.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) store: PathBuf,
    pub(super) to: Jid,
    pub(super) messages: u64,
    pub(super) allowed: u64,
    pub(super) ahead: usize,
    /// How long every second message has.
    pub(super) within: Option<Duration>,
    /// So many may share a stanza.
    pub(super) bundle: usize,
    pub(super) journal: PathBuf,
}

/// What the outbox knows.
#[derive(Debug, Default)]
struct Known {
    numbers: HashSet<u64>,
    /// Ids without a definite outcome.
    open: HashSet<String>,
}

/// Shared by the tasks of one process; each write is short.
#[derive(Debug, Clone)]
struct Notes(Arc<Mutex<Journal>>);

impl Notes {
    fn write(&self, line: &str) -> Result<(), Failure> {
        let mut journal = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        journal.append(line)
    }

    /// The session says now what became of a message.
    fn outcome(&self, id: &str, outcome: &Delivery) -> Result<(), Failure> {
        self.write(&format!("outcome {id} {} {}\n", word(outcome), micros()))
    }
}

/// Gives what is missing and waits until everything has an outcome, or until the standard
/// input ends.
///
/// # Errors
/// What of the configuration or of the store cannot work; a session that ended; a message
/// that was refused.
pub(super) async fn run(settings: &Settings, plan: Plan) -> Outcome {
    let notes = Notes(Arc::new(Mutex::new(Journal::open(&plan.journal, |_| {})?)));
    notes.write(&format!("began {}\n", micros()))?;
    let (allow, allowed) = watch::channel(plan.allowed);
    let mut parent = Box::pin(hear(allow));
    loop {
        let known = known(&plan).await?;
        if known.open.is_empty() && (1..=plan.messages).all(|n| known.numbers.contains(&n)) {
            notes.write("done\n")?;
            return Ok(Exit::Done);
        }
        let (client, _incoming) = settings
            .start(None, |session| {
                session.backoff.cap = RETRY;
                session.engine.bundle = plan.bundle;
            })
            .await?;
        let over = tokio::select! {
            life = live(&client, &plan, known, allowed.clone(), &notes) => life.map(|()| false),
            () = &mut parent => Ok(true),
        };
        count(&client, &notes)?;
        let ended = client.shutdown().await;
        if over? {
            return Ok(Exit::Done);
        }
        ended.map_err(|e| Failure::failed(one_line(&e)))?;
    }
}

/// Until the standard input ends. What it says is how far to go.
async fn hear(allow: watch::Sender<u64>) {
    let mut lines = BufReader::new(stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Ok(number) = line.parse() {
            allow.send_replace(number);
        }
    }
}

async fn known(plan: &Plan) -> Result<Known, Failure> {
    let mut known = Known::default();
    if plan.store.exists() {
        outbox::read(&plan.store, |record| {
            known.numbers.extend(outbox::number_of(record));
            if !record.state.is_final() {
                known.open.insert(record.id.clone());
            }
        })
        .await?;
    }
    Ok(known)
}

/// One life of a session: until nothing is open any more, or too much was missed to know.
async fn live(
    client: &Client,
    plan: &Plan,
    known: Known,
    mut allowed: watch::Receiver<u64>,
    notes: &Notes,
) -> Result<(), Failure> {
    let mut events = client.events();
    let Known { numbers, mut open } = known;
    let mut missing = (1..=plan.messages).filter(|n| !numbers.contains(n));
    let ahead = Arc::new(Semaphore::new(plan.ahead.max(1)));
    let sends = Arc::new(Semaphore::new(SENDS));
    let mut tasks = JoinSet::new();
    let mut next = missing.next();
    let mut report = interval(REPORT);
    let mut counted = client.counters();
    while next.is_some() || !open.is_empty() || !tasks.is_empty() {
        let may_give = next.is_some_and(|number| number <= *allowed.borrow_and_update());
        tokio::select! {
            // Its end is the parent's, which is noticed elsewhere.
            Ok(()) = allowed.changed() => {}
            room = Arc::clone(&ahead).acquire_owned(), if may_give => {
                if let (Some(number), Ok(room)) = (next, room) {
                    let (sender, to) = (client.sender(), plan.to.clone());
                    let (sends, notes) = (Arc::clone(&sends), notes.clone());
                    let within = plan.within.filter(|_| number % 2 == 0);
                    tasks.spawn(async move {
                        let message = (to, number, within);
                        let done = deliver(sender, message, sends, notes).await;
                        drop(room);
                        done
                    });
                    next = missing.next();
                }
            }
            Some(done) = tasks.join_next() => {
                done.map_err(Failure::failed)??;
            }
            event = events.recv() => match event {
                Ok(SessionEvent::Outcome { id, outcome }) => {
                    // Of its own messages each task hears by itself.
                    if open.contains(&id) {
                        notes.outcome(&id, &outcome)?;
                        if !matches!(outcome, Delivery::InDoubt(_)) {
                            open.remove(&id);
                        }
                    }
                }
                Ok(SessionEvent::Status(Status::Connected { resumed, .. })) => {
                    notes.write(&format!("connected {}\n", u8::from(resumed)))?;
                }
                Ok(_) => {}
                // An outcome may be among what was missed; the outbox knows.
                Err(RecvError::Lagged(_)) if !open.is_empty() => return Ok(()),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return Err(Failure::failed("the session ended")),
            },
            _ = report.tick() => {
                if client.counters() != counted {
                    counted = client.counters();
                    count(client, notes)?;
                }
            }
        }
    }
    Ok(())
}

/// One message, from the outbox to its outcome.
async fn deliver(
    sender: Sender,
    (to, number, within): (Jid, u64, Option<Duration>),
    sends: Arc<Semaphore>,
    notes: Notes,
) -> Result<(), Failure> {
    let failed = |e: &dyn std::error::Error| Failure::failed(format!("{number}: {}", one_line(e)));
    let mut message = Outgoing::text(to, body_of(number)).map_err(|e| failed(&e))?;
    if let Some(time) = within {
        message = message.within(time);
    }
    let sent = {
        let _turn = sends.acquire().await.map_err(|e| failed(&e))?;
        sender.send(message).await.map_err(|e| failed(&e))?
    };
    let id = sent.id().to_owned();
    notes.write(&format!("kept {number} {id}\n"))?;
    let outcome = sent.outcome().await.map_err(|e| failed(&e))?;
    notes.outcome(&id, &outcome)
}

fn count(client: &Client, notes: &Notes) -> Result<(), Failure> {
    let counters = client.counters();
    notes.write(&format!(
        "counters {} {}\n",
        counters.transmitted, counters.retransmitted
    ))
}

/// An outcome in one word.
fn word(outcome: &Delivery) -> String {
    match outcome {
        Delivery::Acknowledged { .. } => "acknowledged".to_owned(),
        Delivery::NotDelivered(_) => "not-delivered".to_owned(),
        Delivery::InDoubt(_) => "in-doubt".to_owned(),
        // Its name, as people see it.
        other => {
            let text = other.to_string();
            text.split(' ').next().unwrap_or("unknown").to_owned()
        }
    }
}

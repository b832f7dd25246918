//! Commands that act once: each message that holds one is looked at, begun in the journal,
//! carried out, and committed together with its outcome. Commands to one thing keep their
//! order; those to different things do not wait for each other.

use std::collections::HashMap;
use std::time::Duration;

use stanchion_reliability::session::{CommitError, Outgoing, Received, Sender};
use stanchion_reliability::store::{TransactError, Transactor};
use stanchion_services::{Ended, Handle, Incoming};
use stanchion_stanza::payload::Payload as _;
use stanchion_stanza::payload::control::{Set, SetResponse};
use stanchion_stanza::payload::sensordata::{Profile, Profiled as _};
use stanchion_stanza::payload::thing_command::{Command, CommandOutcome, CommandResult};
use stanchion_stanza::{Element, Jid, Message, Text};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use super::journal::{self, Before, Key, Outcome, Untold};
use super::orders::Controls;
use super::state::{Plan, Refusal, State, result_of};
use crate::adapter::wall_clock;

/// Commands that may be under way at once.
const MOST: usize = 64;
/// Outcomes that may wait to be told before no more commands are begun.
const UNTOLD: usize = 256;
/// Outcomes of earlier processes that are told after a start; what is more, after the next.
const MOST_UNTOLD: i64 = 10_000;
/// Refusals that strangers are told in a minute; more are refused without a word.
const REFUSALS: u32 = 60;
/// For how long a stranger's refusal is kept.
const REFUSAL: Duration = Duration::from_secs(60);
/// For how long after a start a command waits for a thing of which no adapter has told yet.
pub(super) const SETTLES: Duration = Duration::from_secs(10);
/// Between two tries at a store that fails, and how many there are.
const PAUSE: Duration = Duration::from_secs(1);
const TRIES: u32 = 5;

/// What all commands need.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) handle: Handle<State>,
    pub(super) controls: Controls,
    pub(super) sender: Sender,
    pub(super) store: Transactor,
    pub(super) within: Duration,
    /// When the adapters have had the time to tell of their things.
    pub(super) settled: Instant,
}

/// One command, as it came.
struct Order {
    received: Received,
    key: Key,
    from: Jid,
    profile: Profile,
    /// What it does, to tell it from another one of its id.
    what: String,
    by: Instant,
    /// Whether the sender set the limit.
    is_limited: bool,
    plan: Plan,
}

/// Runs until there are no more messages. The journal is there.
pub(super) async fn run(desk: Desk, mut messages: Incoming) {
    // Before anything more has an outcome, so that none is told twice.
    let untold = desk
        .store
        .transact(|tx| journal::untold(tx, MOST_UNTOLD))
        .await;
    let untold = untold.unwrap_or_else(|error| {
        log(&error);
        Vec::new()
    });
    let (tell, to_tell) = mpsc::channel(UNTOLD);
    let mut teller = JoinSet::new();
    teller.spawn(tell_all(desk.clone(), untold, to_tell));
    let mut running: JoinSet<()> = JoinSet::new();
    let mut last: HashMap<Text, watch::Receiver<()>> = HashMap::new();
    let mut refusals = (Instant::now(), 0);
    while let Some(received) = messages.recv().await {
        while running.try_join_next().is_some() {}
        last.retain(|_, before| before.has_changed().is_ok());
        match desk.look(received, running.len() < MOST).await {
            Looked::Order(order) => {
                let (done, after) = watch::channel(());
                let things = order.plan.things();
                let before: Vec<_> = things.iter().filter_map(|t| last.remove(t)).collect();
                last.extend(things.into_iter().map(|thing| (thing, after.clone())));
                let (desk, tell) = (desk.clone(), tell.clone());
                running.spawn(async move {
                    for mut before in before {
                        // An error says that it is done.
                        while before.changed().await.is_ok() {}
                    }
                    desk.carry_out(*order, &tell).await;
                    drop(done);
                });
            }
            Looked::Ends(ends) => desk.end(*ends, &tell).await,
            Looked::Forbidden(received, from, id) => {
                if refusals.0.elapsed() > Duration::from_secs(60) {
                    refusals = (Instant::now(), 0);
                }
                refusals.1 += 1;
                desk.refuse(received, from, id, refusals.1 <= REFUSALS)
                    .await;
            }
            Looked::Over => {}
        }
    }
}

/// What a message is.
enum Looked {
    Order(Box<Order>),
    /// It is over before it began.
    Ends(Box<Ends>),
    Forbidden(Received, Jid, Text),
    /// There is nothing to do.
    Over,
}

/// An outcome to be committed.
struct Ends {
    received: Received,
    key: Key,
    from: Jid,
    profile: Profile,
    what: String,
    result: CommandResult,
    words: String,
}

impl Desk {
    /// What a command is to do. After a start it may be here before the adapter has told of
    /// the thing that it names: until it has, but no longer than all of them need, it waits.
    async fn plan(
        &self,
        from: &Jid,
        set: Set,
        by: Instant,
    ) -> Result<Result<Plan, Refusal>, Ended> {
        let mut changes = self.handle.events();
        let until = by.min(self.settled);
        loop {
            let is_last = until <= Instant::now();
            let (who, set) = (from.clone(), set.clone());
            let planned = self.handle.call(move |s, _| s.plan(Some(&who), &set)).await;
            match &planned {
                Ok(Err(refusal)) if refusal.is_not_found() && !is_last => {}
                _ => return planned,
            }
            if let Ok(Err(RecvError::Closed)) = timeout_at(until, changes.recv()).await {
                return planned;
            }
        }
    }

    async fn look(&self, received: Received, has_room: bool) -> Looked {
        let message = received.message();
        let (Some(from), Some(id)) = (message.header.from.clone(), message.header.id.clone())
        else {
            // Nobody could be answered, and it could not be known again.
            reject(received, "a command needs a sender and an id").await;
            return Looked::Over;
        };
        let key = Key {
            sender: from.to_bare().to_string(),
            id: id.to_string(),
        };
        let read = read(message);
        let (profile, what) = match &read {
            Ok((profile, set, _)) => (*profile, digest(&format!("{set:?}"))),
            Err(_) => (Profile::default(), String::new()),
        };
        let ends = |received, result, words: String| {
            Looked::Ends(Box::new(Ends {
                received,
                key: key.clone(),
                from: from.clone(),
                profile,
                what: what.clone(),
                result,
                words,
            }))
        };
        let (set, command) = match read {
            Ok((_, set, command)) => (set, command),
            Err(words) => return ends(received, CommandResult::Refused, words),
        };
        // What was begun before is known to the journal; it is asked for the rest too.
        let known = {
            let (key, what) = (key.clone(), what.clone());
            self.store
                .transact(move |tx| journal::look(tx, &key, &what))
                .await
        };
        match known {
            Ok(Before::Ended) => {
                let _ = received.commit().await;
                return Looked::Over;
            }
            Ok(Before::Other) => {
                reject(received, "another command had the same id").await;
                return Looked::Over;
            }
            Ok(Before::New | Before::Begun) => {}
            Err(error) => {
                log(&error);
                return Looked::Over;
            }
        }
        let was_begun = matches!(known, Ok(Before::Begun));
        let left = command
            .by
            .map(|by| by.saturating_sub(wall_clock().as_unix_ms()));
        let within = match left {
            Some(left) => Duration::from_millis(u64::try_from(left).unwrap_or(0)),
            None => self.within,
        };
        // A limit beyond a year is none, and would be no moment.
        let by = Instant::now() + within.min(Duration::from_secs(366 * 24 * 3600));
        let planned = self.plan(&from, set, by).await;
        let plan = match planned {
            Ok(Ok(plan)) => plan,
            Ok(Err(refusal)) if refusal.is_forbidden() && !was_begun => {
                return Looked::Forbidden(received, from, id);
            }
            Ok(Err(refusal)) => {
                let (result, words) = match was_begun {
                    true => (CommandResult::InDoubt, IN_DOUBT.to_owned()),
                    false => (refusal.result(), refusal.text().to_string()),
                };
                return ends(received, result, words);
            }
            // The client has ended; the message comes again.
            Err(_) => return Looked::Over,
        };
        let is_over = by <= Instant::now();
        if was_begun && (!plan.idempotent || is_over) {
            return ends(received, CommandResult::InDoubt, IN_DOUBT.to_owned());
        }
        if is_over {
            return ends(received, CommandResult::Expired, String::new());
        }
        if !has_room {
            let words = "too many commands wait to be carried out".to_owned();
            return ends(received, CommandResult::Unavailable, words);
        }
        Looked::Order(Box::new(Order {
            received,
            key,
            from,
            profile,
            what,
            by,
            is_limited: left.is_some(),
            plan,
        }))
    }

    async fn carry_out(&self, order: Order, tell: &mpsc::Sender<Untold>) {
        let Order {
            received,
            key,
            from,
            profile,
            what,
            by,
            is_limited,
            plan,
        } = order;
        let begin = {
            let (key, what, now) = (key.clone(), what.clone(), wall_clock().as_unix_ms());
            move |tx: &stanchion_reliability::store::rusqlite::Transaction<'_>| {
                journal::begin(tx, &key, &what, now)
            }
        };
        let expired = Instant::now() >= by;
        if !expired && let Err(error) = self.store.transact(begin).await {
            // Nothing has left; the message comes again after the next start.
            log(&error);
            return;
        }
        let outcome = match expired {
            true => Err(crate::OrderError::Expired),
            false => self.controls.give(&plan, by).outcome().await,
        };
        let outcome = match outcome {
            Err(crate::OrderError::Expired) if !is_limited => Err(crate::OrderError::Unavailable(
                "it did not take the command in time".to_owned(),
            )),
            outcome => outcome,
        };
        let result = result_of(&outcome);
        let words = outcome.as_ref().err().map(ToString::to_string);
        let things = plan.things();
        let by = Some(from.clone());
        self.handle
            .post(move |state, _| state.command_ended(by, things, result));
        let words = words.unwrap_or_default();
        let ends = Ends {
            received,
            key,
            from,
            profile,
            what,
            result,
            words,
        };
        self.end(ends, tell).await;
    }

    /// Commits a message with its outcome, and has it told.
    async fn end(&self, ends: Ends, tell: &mpsc::Sender<Untold>) {
        let Ends {
            received,
            key,
            from,
            profile,
            what,
            result,
            words,
        } = ends;
        let profile = Profile::ALL.iter().position(|p| *p == profile);
        let outcome = Outcome {
            id: key.id.clone(),
            to: from.to_string(),
            result,
            words,
            profile: u8::try_from(profile.unwrap_or(0)).unwrap_or(0),
            // No message holds it so far.
            answer: String::new(),
        };
        let number = {
            let (outcome, now) = (outcome.clone(), wall_clock().as_unix_ms());
            move |tx: &stanchion_reliability::store::rusqlite::Transaction<'_>| {
                journal::end(tx, &key, &what, now, &outcome)
            }
        };
        for _ in 0..TRIES {
            let write = number.clone();
            let number = match received.commit_with(number.clone()).await {
                // A store without transactions: first the outcome, then the message.
                Err(CommitError::NoTransactions) => match self.store.transact(write).await {
                    Ok(number) => {
                        let _ = received.commit().await;
                        number
                    }
                    Err(error) => return log(&error),
                },
                Err(CommitError::Effect(error)) => {
                    log(&error);
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
                // The session has ended: the message comes again.
                Err(_) => return,
                Ok(number) => number,
            };
            if let Some(number) = number {
                // If nobody takes it, it is told after the next start.
                let _ = tell.send(Untold { number, outcome }).await;
            }
            return;
        }
    }

    /// Tells somebody who may not; or, if too many are told, nobody.
    async fn refuse(&self, received: Received, from: Jid, id: Text, is_told: bool) {
        if !is_told {
            return reject(received, "the sender may not set anything").await;
        }
        let outcome = CommandOutcome {
            of: id,
            result: CommandResult::Forbidden,
            text: Text::from_static("you may not set that"),
        };
        let answer = Outgoing::payload(from, outcome.to_element()).within(REFUSAL);
        // Told or not, it had no effect.
        if let Err(error) = self.sender.try_send(answer).await {
            tracing::info!(%error, "a refusal is not told");
        }
        let _ = received.commit().await;
    }

    /// Tells an outcome; resolves once it is in the outbox.
    async fn tell(&self, untold: Untold) {
        let Untold { number, outcome } = untold;
        if !outcome.answer.is_empty()
            && let Ok(Some(_)) = self.sender.find(&outcome.answer).await
        {
            return self.told(number).await;
        }
        let Ok(to) = outcome.to.parse::<Jid>() else {
            return self.told(number).await;
        };
        let (message, id) = answer(to, &outcome).with_id();
        let note = self
            .store
            .transact(move |tx| journal::answer(tx, number, &id))
            .await;
        if let Err(error) = note {
            return log(&error);
        }
        match self.sender.send(message).await {
            Ok(_) => self.told(number).await,
            Err(error) => tracing::warn!(%error, "an outcome is told after the next start"),
        }
    }

    async fn told(&self, number: i64) {
        if let Err(error) = self
            .store
            .transact(move |tx| journal::told(tx, number))
            .await
        {
            log(&error);
        }
    }
}

/// Why a command that an earlier process began is not carried out again.
const IN_DOUBT: &str = "it was begun before the device was restarted, and nobody knows how \
                        that ended";

/// Tells what an earlier process did not, then what comes.
async fn tell_all(desk: Desk, untold: Vec<Untold>, mut outcomes: mpsc::Receiver<Untold>) {
    for one in untold {
        desk.tell(one).await;
    }
    while let Some(untold) = outcomes.recv().await {
        desk.tell(untold).await;
    }
}

/// The command of a message, or what is wrong with it.
fn read(message: &Message) -> Result<(Profile, Set, Command), String> {
    let command = message.payload::<Command>().map_err(|e| e.to_string())?;
    let set = Set::find_any(&message.payloads).map_err(|e| e.to_string())?;
    match (set, command) {
        (Some((profile, set)), Some(command)) => Ok((profile, set, command)),
        _ => Err("there is nothing to set in the message".to_owned()),
    }
}

/// What tells two commands of one sender apart (FNV-1a, of 64 bits): no proof against a
/// sender that means to deceive itself.
fn digest(text: &str) -> String {
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
    format!("{}-{hash:016x}", text.len())
}

/// The message that tells an outcome.
fn answer(to: Jid, outcome: &Outcome) -> Outgoing {
    let told = CommandOutcome {
        of: Text::new(outcome.id.clone()).unwrap_or_default(),
        result: outcome.result,
        text: Text::new(outcome.words.clone()).unwrap_or_default(),
    };
    let profile = Profile::ALL.get(usize::from(outcome.profile)).copied();
    let message = Outgoing::payload(to, told.to_element());
    match outcome.result {
        CommandResult::Done => {
            let response: Element = SetResponse::ok().to_element_in(profile.unwrap_or_default());
            message.with_payload(response)
        }
        _ => message,
    }
}

async fn reject(received: Received, why: &str) {
    if let Err(error) = received.reject(why).await {
        tracing::debug!(%error, "a command is not refused");
    }
}

fn log(error: &(dyn std::error::Error + 'static)) {
    tracing::warn!(error, "the journal of commands");
}

/// Makes the journal.
pub(super) async fn open(store: &Transactor) -> Result<(), TransactError> {
    store.transact(journal::make).await
}

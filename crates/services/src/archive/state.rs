//! The state machine: after each session that is not a resumed one it asks for carbons
//! (XEP-0280) and then catches up with the account's archive (XEP-0313), from the last
//! message that is known there, page by page; each page is durable before the next one is
//! asked for. A message may come live, as a copy, from offline storage and from the archive:
//! all these ways lead into the engine, which keeps it once.
//!
//! ```text
//! Idle --up--> Waiting (carbons) --answer--> Asking --page--> Feeding --durable--> Keeping
//!                                              ^                                      |
//!                                              +----------- more to come -------------+--> Done
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use stanchion_reliability::engine::{Now, SLICE};
use stanchion_reliability::session::Up;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::payload::carbons::{Carbon, Enable};
use stanchion_stanza::payload::datetime;
use stanchion_stanza::payload::delivery::Place;
use stanchion_stanza::payload::mam::{Filter, Query};
use stanchion_stanza::payload::receipts;
use stanchion_stanza::payload::rsm::{PageRequest, Position};
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::{BareJid, Element, Jid, Message, Payload as _, Stanza, Text};

use super::query::{ArchivePage, Outcome, Queries, Reply};
use super::reading::{self, Reader, Reading};
use super::{ArchiveConfig, ArchiveEvent, Beginning};
use crate::history::{Direction, Note, archive_id};
use crate::request::{Request, RequestError};
use crate::service::{Change, Input, Output, Service, Taken};

/// What the rows that say how far we have read begin with; the account follows.
const LAST: &str = "last ";
/// Accounts whose rows are remembered: those that a device may have.
const ACCOUNTS: usize = 16;
/// Copies that may be on their way into the engine; what comes beyond is caught up with.
const COPIES: usize = 128;
/// A live message moves the last known one only after this long: until then one that was
/// archived before it may still be on another way to us.
const LAG: Duration = Duration::from_secs(60);
/// What the time of one from the archive may be ahead of the archive's.
const SLACK: Duration = Duration::from_secs(60);
/// What the time of one that came live may be wrong by.
const MARGIN: Duration = Duration::from_secs(3600);
/// Until the engine is offered again what it had no room for.
const PAUSE: Duration = Duration::from_secs(1);
/// Until the next try after an archive did not answer.
const RETRY: Duration = Duration::from_secs(60);
/// Tags of what is asked, fed and kept, beside those of queries.
const CARBONS: u64 = 0;
const COPY: u64 = 0;
const PAGE: u64 = 1;
const NOTE: u64 = 2;

/// Where in the archive we are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Last {
    /// The message's id; none if the archive was empty.
    id: Option<Text>,
    /// When the archive received it, about: see [`stamp_of`].
    at: Option<WallTime>,
}

impl Last {
    fn to_bytes(&self) -> Vec<u8> {
        let at = self
            .at
            .map_or(String::new(), |at| at.as_unix_ms().to_string());
        let id = self.id.as_ref().map_or("", |id| id.as_str());
        format!("{at}\n{id}").into_bytes()
    }

    fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let (at, id) = std::str::from_utf8(bytes).ok()?.split_once('\n')?;
        Some(Self {
            at: at.parse().ok().map(WallTime::from_unix_ms),
            id: Some(id)
                .filter(|id| !id.is_empty())
                .and_then(|id| Text::new(id).ok()),
        })
    }
}

/// How far the catching up of this session is.
#[derive(Debug)]
enum Phase {
    Idle,
    /// Until it is known whether there are carbons, so that nothing falls in between.
    Waiting,
    /// A page is asked for.
    Asking,
    /// It goes into the engine.
    Feeding(Box<Fed>),
    /// That, and how far we are, becomes durable.
    Keeping {
        complete: bool,
    },
    Done,
}

/// A page on its way.
#[derive(Debug)]
struct Fed {
    /// What the engine has not taken yet.
    messages: VecDeque<Message>,
    notes: Vec<Note>,
    last: Option<Last>,
    complete: bool,
}

/// Who asked for a page.
enum Asker {
    /// We, to catch up.
    CatchUp,
    /// We, to know where the archive ends.
    End,
    /// The application.
    Caller(Reply),
}

/// The archive service. See the module's head.
pub struct Archive {
    config: ArchiveConfig,
    account: Option<BareJid>,
    place: Option<Place>,
    last: Option<Last>,
    /// What the row says, where that is less: the archive said that its answers may change,
    /// and is read again in the next session.
    stays: Option<Option<Last>>,
    /// Of the accounts in use before.
    lasts: BTreeMap<String, Last>,
    phase: Phase,
    up: bool,
    /// Another session began meanwhile.
    again: bool,
    retry_at: Option<Duration>,
    /// Carbons are on in this session.
    copies: bool,
    /// Copies on their way into the engine, with their ids in the archive.
    copying: VecDeque<Option<Text>>,
    /// Notes of copies that are not durable yet, and what is told once they are.
    noting: VecDeque<Option<ArchiveEvent>>,
    /// A live message that will be the last known one, since when; and the newest.
    candidate: Option<(Last, Duration)>,
    newest: Option<(Last, Duration)>,
    queries: Queries<Asker>,
    received: u64,
    noted: u64,
    outputs: VecDeque<Output<ArchiveEvent>>,
}

impl Archive {
    /// A service that has read nothing so far. `secret` is random: nobody else can guess the
    /// ids of queries.
    #[must_use]
    pub fn new(config: ArchiveConfig, secret: u64) -> Self {
        Self {
            config,
            account: None,
            place: None,
            last: None,
            stays: None,
            lasts: BTreeMap::new(),
            phase: Phase::Idle,
            up: false,
            again: false,
            retry_at: None,
            copies: false,
            copying: VecDeque::new(),
            noting: VecDeque::new(),
            candidate: None,
            newest: None,
            queries: Queries::new(secret),
            received: 0,
            noted: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Asks an archive for a page: our account's, or another's. What comes is told to
    /// `reply`, once.
    pub fn query(&mut self, of: Option<Jid>, query: Query, reply: Reply) {
        if let Err(Asker::Caller(reply)) = self.ask(of, query, Asker::Caller(reply)) {
            reply(Err(RequestError::TooMany));
        }
    }

    fn ask(&mut self, of: Option<Jid>, query: Query, asker: Asker) -> Result<(), Asker> {
        let (tag, query) = self.queries.begin(of.clone(), query, asker)?;
        self.outputs.push_back(Output::Request {
            tag,
            request: Request::set(of, query),
        });
        Ok(())
    }

    // ---- the session ----------------------------------------------------------------

    fn came_up(&mut self, now: Now, up: &Up) {
        self.up = true;
        self.place.clone_from(&up.place);
        let account = up.jid.to_bare();
        if let Some(stays) = self.stays.take_if(|_| !up.resumed) {
            self.last = stays;
        }
        if self.account.as_ref() != Some(&account) {
            if let (Some(before), Some(last)) = (&self.account, self.last.take()) {
                self.lasts.insert(before.to_string(), last);
            }
            self.last = self.lasts.remove(account.as_str());
            self.account = Some(account);
        }
        if up.resumed {
            // It may have been lost between two pages.
            if matches!(self.phase, Phase::Idle) {
                self.begin(now);
            }
            return;
        }
        self.copies = false;
        (self.candidate, self.newest) = (None, None);
        if self.config.carbons {
            let request = Request::set(None, Enable.to_element());
            self.outputs.push_back(Output::Request {
                tag: CARBONS,
                request,
            });
        }
        match self.phase {
            Phase::Feeding(_) | Phase::Keeping { .. } => self.again = true,
            _ => {
                self.again = false;
                self.phase = Phase::Waiting;
            }
        }
        if !self.config.carbons {
            self.begin(now);
        }
    }

    fn carbons_answered(&mut self, now: Now, answer: &Result<Option<Element>, RequestError>) {
        match answer {
            Ok(_) => self.copies = true,
            // The next session asks again.
            Err(RequestError::Lost) => return,
            Err(error) => {
                let why = error.to_string();
                self.outputs
                    .push_back(Output::Event(ArchiveEvent::NoCarbons { why }));
            }
        }
        self.begin(now);
    }

    // ---- catching up ----------------------------------------------------------------

    /// Asks for the next page, if it is time.
    fn begin(&mut self, now: Now) {
        let waits = matches!(self.phase, Phase::Waiting | Phase::Idle);
        let Some(beginning) = self.config.catch_up.filter(|_| waits && self.up) else {
            return;
        };
        (self.received, self.noted) = (0, 0);
        self.retry_at = None;
        match (&self.last, beginning) {
            (Some(last), _) => {
                let last = last.clone();
                self.ask_after(now, &last);
            }
            (None, Beginning::Now) => {
                let page = PageRequest::of(1, Position::Last);
                self.ask_page(now, Query::of(&Filter::default(), page), Asker::End);
            }
            (None, Beginning::Everything) => self.ask_after(now, &Last::default()),
        }
    }

    fn ask_after(&mut self, now: Now, last: &Last) {
        let position = match &last.id {
            Some(id) => Position::After(id.clone()),
            None => Position::First,
        };
        let start = last.at.filter(|_| last.id.is_none());
        let filter = Filter {
            start: start.map(|at| datetime::utc(at.before(SLACK).as_unix_ms())),
            ..Filter::default()
        };
        let page = PageRequest::of(self.config.page, position);
        self.ask_page(now, Query::of(&filter, page), Asker::CatchUp);
    }

    fn ask_page(&mut self, now: Now, query: Query, asker: Asker) {
        self.phase = Phase::Asking;
        if self.ask(None, query, asker).is_err() {
            // The application has as many questions open as there may be.
            self.phase = Phase::Idle;
            self.retry_at = Some(now.monotonic.saturating_add(RETRY));
        }
    }

    fn answered(&mut self, now: Now, asker: Asker, outcome: Outcome) {
        match asker {
            Asker::Caller(reply) => reply(outcome),
            Asker::End | Asker::CatchUp if !matches!(self.phase, Phase::Asking) => {}
            Asker::End => match outcome {
                Ok(page) => {
                    let last = page.messages.last().map(|archived| Last {
                        id: Some(archived.id.clone()),
                        at: stamp_of(archived.stamp.as_deref(), None),
                    });
                    let last = last.unwrap_or_default();
                    self.keep(vec![], Some(last), true);
                }
                Err(error) => self.failed(now, &error),
            },
            Asker::CatchUp => match outcome {
                Ok(page) => self.page(now, page),
                Err(error) => self.failed(now, &error),
            },
        }
    }

    fn failed(&mut self, now: Now, error: &RequestError) {
        self.phase = Phase::Idle;
        let refused = error.refusal().map(|refusal| refusal.condition);
        if refused == Some(DefinedCondition::ItemNotFound)
            && let Some(last) = self.last.as_mut().filter(|last| last.id.is_some())
        {
            // The archive has lost what we knew; its times still hold.
            last.id = None;
            return self.begin(now);
        }
        match error {
            RequestError::Lost | RequestError::Closed => {}
            RequestError::Refused { .. } => {
                let why = error.to_string();
                self.outputs
                    .push_back(Output::Event(ArchiveEvent::NoArchive { why }));
            }
            _ => {
                tracing::info!(%error, "the archive is asked again later");
                self.retry_at = Some(now.monotonic.saturating_add(RETRY));
            }
        }
    }

    fn page(&mut self, now: Now, page: ArchivePage) {
        let Some(account) = self.account.clone() else {
            return;
        };
        let reader = Reader {
            account: &account,
            place: self.place.as_ref(),
            now: now.wall,
            copy: false,
        };
        if !page.stable && self.stays.is_none() {
            self.stays = Some(self.last.clone());
        }
        let mut latest = self.last.as_ref().and_then(|last| last.at);
        let mut last = None;
        let (mut notes, mut messages) = (Vec::new(), Vec::new());
        for archived in page.messages {
            latest = stamp_of(archived.stamp.as_deref(), latest);
            last = Some(Last {
                id: Some(archived.id.clone()),
                at: latest,
            });
            let Some(mut message) = archived.message else {
                continue;
            };
            reader.stamp(&mut message, &archived.id, latest);
            match reader.read(message) {
                Reading::Deliver(message) => messages.push(*message),
                Reading::Note(note) => notes.push(note),
                Reading::Nothing => {}
            }
        }
        self.received += messages.len() as u64;
        self.noted += notes.len() as u64;
        // A page that leads nowhere is the end, whatever it says, or we would ask for ever.
        let id_of = |last: &Option<Last>| last.as_ref().and_then(|last| last.id.clone());
        let stands = last.is_none() || id_of(&last) == id_of(&self.last);
        let complete = page.complete || stands;
        if messages.is_empty() {
            return self.keep(notes, last, complete);
        }
        self.phase = Phase::Feeding(Box::new(Fed {
            messages: messages.into(),
            notes,
            last,
            complete,
        }));
        self.feed();
    }

    /// Gives the engine what it may take at once.
    fn feed(&mut self) {
        if let Phase::Feeding(fed) = &self.phase {
            let messages = fed.messages.iter().take(SLICE).cloned().collect();
            self.outputs.push_back(Output::Archived {
                tag: PAGE,
                messages,
            });
        }
    }

    /// It has taken so many of them.
    fn fed(&mut self, now: Now, taken: usize) {
        let Phase::Feeding(fed) = &mut self.phase else {
            return;
        };
        fed.messages.drain(..taken.min(fed.messages.len()));
        if fed.messages.is_empty() {
            let (notes, last) = (std::mem::take(&mut fed.notes), fed.last.take());
            let complete = fed.complete;
            self.keep(notes, last, complete);
        } else if taken == 0 {
            // The application is behind; it is not to be made to hurry.
            self.retry_at = Some(now.monotonic.saturating_add(PAUSE));
        } else {
            self.feed();
        }
    }

    fn keep(&mut self, notes: Vec<Note>, last: Option<Last>, complete: bool) {
        let notes = notes
            .into_iter()
            .map(|note| Change::History(Box::new(note)));
        let mut changes: Vec<_> = notes.collect();
        if let Some(last) = last {
            changes.extend(self.put(&last));
            self.last = Some(last);
        }
        self.phase = Phase::Keeping { complete };
        self.outputs.push_back(Output::Keep {
            tag: Some(PAGE),
            changes,
        });
    }

    fn kept(&mut self, now: Now) {
        let Phase::Keeping { complete } = self.phase else {
            return;
        };
        if std::mem::take(&mut self.again) {
            self.phase = Phase::Waiting;
            if self.copies || !self.config.carbons {
                self.begin(now);
            }
            return;
        }
        if complete {
            self.phase = Phase::Done;
            let (received, noted) = (self.received, self.noted);
            self.outputs
                .push_back(Output::Event(ArchiveEvent::CaughtUp { received, noted }));
        } else if self.up {
            let last = self.last.clone().unwrap_or_default();
            self.ask_after(now, &last);
        } else {
            self.phase = Phase::Idle;
        }
    }

    // ---- what comes meanwhile -------------------------------------------------------

    /// A copy of what another device of ours sent or received; believed from our own
    /// account alone (XEP-0280 §11).
    fn copy(&mut self, now: Now, message: &Message) -> Taken {
        let Some(account) = self.account.clone() else {
            return Taken::No;
        };
        let forwarded = match Carbon::of(message, &account) {
            Ok(None) => return Taken::No,
            Ok(Some(carbon)) => carbon.forwarded().stanza(),
            Err(_) => return Taken::Yes,
        };
        let Ok(Some(Stanza::Message(mut message))) = forwarded else {
            return Taken::Yes;
        };
        // The device that has it answers (and a receipt for a copy would be a second one).
        message.payloads.retain(|p| !receipts::Request::matches(p));
        let reader = Reader {
            account: &account,
            place: self.place.as_ref(),
            now: now.wall,
            copy: true,
        };
        let id = archive_id(&message, &account).and_then(|id| Text::new(id).ok());
        match reader.read(message) {
            Reading::Deliver(message) if self.copying.len() < COPIES => {
                self.copying.push_back(id);
                self.outputs.push_back(Output::Archived {
                    tag: COPY,
                    messages: vec![*message],
                });
            }
            Reading::Deliver(_) => self.missed(),
            Reading::Note(note) => {
                self.noting.push_back(match &note {
                    Note::Message(note) => Some(match note.direction {
                        Direction::Out => ArchiveEvent::SentElsewhere(note.clone()),
                        Direction::In => ArchiveEvent::ReceivedElsewhere(note.clone()),
                    }),
                    _ => None,
                });
                self.outputs.push_back(Output::Keep {
                    tag: Some(NOTE),
                    changes: vec![Change::History(Box::new(note))],
                });
                self.lives(now, id);
            }
            Reading::Nothing => self.lives(now, id),
        }
        Taken::Yes
    }

    /// There was no room for a copy: it is caught up with.
    fn missed(&mut self) {
        (self.candidate, self.newest) = (None, None);
        if matches!(self.phase, Phase::Done) {
            self.phase = Phase::Waiting;
        }
        self.again |= !matches!(self.phase, Phase::Waiting | Phase::Idle);
    }

    fn copied(&mut self, now: Now, taken: usize) {
        let id = self.copying.pop_front().flatten();
        match taken {
            0 => self.missed(),
            _ => self.lives(now, id),
        }
        if self.copying.is_empty() && matches!(self.phase, Phase::Waiting) && self.copies {
            self.begin(now);
        }
    }

    /// A message of the archive has come live. While carbons are on, all that is archived
    /// does, so that what came long enough ago need not be read again.
    fn lives(&mut self, now: Now, id: Option<Text>) {
        if !matches!(self.phase, Phase::Done) || !self.copies {
            return;
        }
        if let Some(id) = id {
            let at = now.wall.before(MARGIN);
            let last = Last {
                id: Some(id),
                at: Some(at),
            };
            self.newest = Some((last, now.monotonic));
            if self.candidate.is_none() {
                self.candidate.clone_from(&self.newest);
            }
        }
    }

    fn put(&self, last: &Last) -> Option<Change> {
        if self.stays.is_some() {
            return None;
        }
        Some(Change::Put {
            key: format!("{LAST}{}", self.account.as_ref()?),
            value: last.to_bytes(),
        })
    }

    fn tick(&mut self, now: Now) {
        if self.retry_at.is_some_and(|at| at <= now.monotonic) {
            self.retry_at = None;
            match self.phase {
                Phase::Feeding(_) => self.feed(),
                _ => self.begin(now),
            }
        }
        let ripe = |since: Duration| since.saturating_add(LAG) <= now.monotonic;
        if let Some((last, _)) = self.candidate.take_if(|(_, since)| ripe(*since)) {
            let changes = self.put(&last).into_iter().collect();
            self.outputs.push_back(Output::Keep { tag: None, changes });
            let newer = self.newest.take_if(|(newest, _)| *newest != last);
            self.last = Some(last);
            self.candidate.clone_from(&newer);
            self.newest = newer;
        }
    }
}

/// When a message came, after `latest`: many archives know whole seconds only, and the
/// history orders by time.
fn stamp_of(stamp: Option<&str>, latest: Option<WallTime>) -> Option<WallTime> {
    let next = latest.map(|at| WallTime::from_unix_ms(at.as_unix_ms().saturating_add(1)));
    let at = stamp
        .and_then(datetime::unix_ms)
        .map(WallTime::from_unix_ms);
    at.max(next)
}

impl Service for Archive {
    const NAME: &'static str = "archive";
    type Event = ArchiveEvent;

    fn restore(&mut self, key: &str, value: &[u8]) {
        if let Some(account) = key.strip_prefix(LAST)
            && let Some(last) = Last::of_bytes(value)
            && self.lasts.len() < ACCOUNTS
        {
            self.lasts.insert(account.to_owned(), last);
        }
    }

    fn handle(&mut self, now: Now, input: Input<'_>) -> Taken {
        match input {
            Input::Up(up) => self.came_up(now, up),
            Input::Down => self.up = false,
            Input::Stanza(Stanza::Message(message)) => {
                if self.queries.result(message, self.account.as_ref()) {
                    return Taken::Yes;
                }
                return self.copy(now, message);
            }
            Input::Received(message) => {
                // One that we have from the archive says nothing of what comes live.
                let live = |account: &&BareJid| !reading::is_archived(message, account);
                let account = self.account.as_ref().filter(live);
                let id = account.and_then(|account| archive_id(message, account));
                self.lives(now, id.and_then(|id| Text::new(id).ok()));
            }
            Input::Answer {
                tag: CARBONS,
                answer,
            } => self.carbons_answered(now, &answer),
            Input::Answer { tag, answer } => {
                if let Some((asker, outcome)) = self.queries.answered(tag, answer) {
                    self.answered(now, asker, outcome);
                }
            }
            Input::Archived { tag: COPY, taken } => self.copied(now, taken),
            Input::Archived { taken, .. } => self.fed(now, taken),
            Input::Kept { tag: PAGE } => self.kept(now),
            Input::Kept { tag: NOTE } => {
                let event = self.noting.pop_front().flatten();
                self.outputs.extend(event.map(Output::Event));
            }
            Input::Tick => self.tick(now),
            _ => {}
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<ArchiveEvent> {
        if let Some(output) = self.outputs.pop_front() {
            return output;
        }
        let candidate = self.candidate.as_ref();
        let ripe = candidate.map(|(_, since)| since.saturating_add(LAG));
        Output::Wait(ripe.into_iter().chain(self.retry_at).min())
    }
}

#[cfg(test)]
mod tests;

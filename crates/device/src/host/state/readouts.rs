//! The read-outs under way: those that wait for their time, and those whose answers are
//! being sent. Bounded, for each account and in all.

use std::collections::VecDeque;
use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::payload::Payload as _;
use stanchion_stanza::payload::sensordata::{
    Accepted, Cancelled, Profile, Profiled as _, Rejected, Request, RequestId, Started,
};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, IqKind, StanzaError};
use stanchion_stanza::{BareJid, Element, Iq, Jid, Message, Text};

use super::super::HostConfig;
use super::super::table::Table;
use super::super::wish::{Unreadable, Wish, moment};
use super::reading::{Answering, message};
use super::{Job, Jobs};
use crate::model::Reading;

/// Read-outs that may be under way at once, those that wait for their time included.
pub(super) const MOST_READOUTS: usize = 256;
/// The same, of one account.
pub(super) const MOST_OF_ONE_ACCOUNT: usize = 16;
/// How far ahead one may be ordered.
pub(super) const MOST_WAIT: Duration = Duration::from_secs(24 * 3600);

/// A request, and when it came.
pub(super) struct Ask<'a> {
    pub(super) now: Now,
    pub(super) number: u64,
    pub(super) request: &'a Iq,
    pub(super) profile: Profile,
    pub(super) asked: &'a Request,
}

#[derive(Debug)]
struct Queued {
    due: Duration,
    number: u64,
    wish: Wish,
}

#[derive(Debug, Default)]
pub(super) struct Readouts {
    queued: Vec<Queued>,
    /// The first that is ready is answered next, and then goes to the end.
    answering: VecDeque<Answering>,
}

fn error(kind: ErrorType, condition: DefinedCondition, text: &str) -> StanzaError {
    StanzaError::new(kind, condition).with_text(Text::new(text).unwrap_or_default())
}

impl From<Unreadable> for StanzaError {
    fn from(why: Unreadable) -> Self {
        match why {
            Unreadable::Forbidden => error(
                ErrorType::Cancel,
                DefinedCondition::Forbidden,
                "you may not read that",
            ),
            Unreadable::NotFound => error(
                ErrorType::Cancel,
                DefinedCondition::ItemNotFound,
                "there is no such thing",
            ),
            Unreadable::Time => error(
                ErrorType::Modify,
                DefinedCondition::BadRequest,
                "a time is written as 2026-11-25T22:00:00Z",
            ),
        }
    }
}

/// The refusal of a request. In the legacy profile, beside the error, in the words from
/// before version 0.3: some peers hear nothing else.
pub(super) fn refuse(request: &Iq, profile: Profile, id: &RequestId, error: StanzaError) -> Iq {
    let beside = (profile == Profile::Legacy).then(|| {
        let rejected = Rejected {
            id: Some(id.clone()),
            errors: error.text.iter().cloned().collect(),
        };
        rejected.to_element()
    });
    let mut iq = request.refuse(error);
    if let IqKind::Error(_, child) = &mut iq.kind {
        *child = beside;
    }
    iq
}

impl Readouts {
    fn wishes(&self) -> impl Iterator<Item = &Wish> {
        let queued = self.queued.iter().map(|q| &q.wish);
        queued.chain(self.answering.iter().map(|a| &a.wish))
    }

    /// Takes a request, and gives what says so.
    pub(super) fn ask(
        &mut self,
        ask: Ask<'_>,
        table: &Table,
        config: &HostConfig,
        own: Option<&BareJid>,
        jobs: &mut Jobs,
    ) -> Result<Element, StanzaError> {
        let who = ask.request.header.from.clone();
        let wish = Wish::of(who.clone(), ask.profile, ask.asked)?;
        let things = wish.things(table, &config.access, own)?;
        let account = who.as_ref().map(Jid::to_bare);
        let is_of_account = |w: &&Wish| w.to.as_ref().map(Jid::to_bare) == account;
        if self.wishes().count() >= MOST_READOUTS
            || self.wishes().filter(is_of_account).count() >= MOST_OF_ONE_ACCOUNT
        {
            let text = "too many read-outs are under way; ask again later";
            let condition = DefinedCondition::ResourceConstraint;
            return Err(error(ErrorType::Wait, condition, text));
        }
        if self.wishes().any(|w| w.to == who && w.id == wish.id) {
            let text = "a read-out of that number is under way";
            return Err(error(ErrorType::Modify, DefinedCondition::BadRequest, text));
        }
        let id = wish.id.clone();
        let wait = match &ask.asked.when {
            Some(when) => {
                let when = moment(when).ok_or(Unreadable::Time)?;
                let wait = when.saturating_sub(ask.now.wall.as_unix_ms());
                Duration::from_millis(u64::try_from(wait).unwrap_or(0))
            }
            None => Duration::ZERO,
        };
        if wait > MOST_WAIT {
            let text = "a read-out may be ordered a day ahead at most";
            return Err(error(ErrorType::Modify, DefinedCondition::BadRequest, text));
        }
        let queued = !wait.is_zero();
        if queued {
            self.queued.push(Queued {
                due: ask.now.monotonic + wait,
                number: ask.number,
                wish,
            });
        } else {
            self.begin(ask.number, wish, things, config, jobs);
        }
        Ok(Accepted { id, queued }.to_element_in(ask.profile))
    }

    fn begin(
        &mut self,
        number: u64,
        wish: Wish,
        things: VecDeque<Text>,
        config: &HostConfig,
        jobs: &mut Jobs,
    ) {
        let period = wish.period().filter(|_| config.history.is_some());
        let looks = period.is_some_and(|(from, until)| {
            let things = things.iter().cloned().collect();
            let job = Job::Look {
                number,
                things,
                from,
                until,
            };
            // Without room there is no history: what is now is told all the same.
            jobs(job).is_ok()
        });
        let answering = Answering::new(number, wish, things, looks);
        self.answering.push_back(answering);
    }

    /// Begins those whose time has come, and gives what says so.
    pub(super) fn tick(
        &mut self,
        now: Now,
        table: &Table,
        config: &HostConfig,
        own: Option<&BareJid>,
        jobs: &mut Jobs,
    ) -> Vec<Message> {
        let mut begun = Vec::new();
        while let Some(at) = self.queued.iter().position(|q| q.due <= now.monotonic) {
            let Queued { number, wish, .. } = self.queued.swap_remove(at);
            let id = wish.id.clone();
            let started = Started { id }.to_element_in(wish.profile);
            begun.push(message(&wish.to, started));
            // What there was then may be gone, and so may be the right: then nothing comes
            // but the end.
            let things = wish.things(table, &config.access, own);
            self.begin(number, wish, things.unwrap_or_default(), config, jobs);
        }
        begun
    }

    /// When the first one's time comes.
    pub(super) fn due(&self) -> Option<Duration> {
        self.queued.iter().map(|q| q.due).min()
    }

    /// The next message of an answer. They take turns.
    pub(super) fn next(
        &mut self,
        table: &Table,
        config: &HostConfig,
        own: Option<&BareJid>,
        now: WallTime,
    ) -> Option<Message> {
        loop {
            let at = self.answering.iter().position(Answering::is_ready)?;
            let mut answering = self.answering.remove(at)?;
            let message = answering.next(table, config, own, now);
            if !answering.is_ended() {
                self.answering.push_back(answering);
            }
            if message.is_some() {
                return message;
            }
        }
    }

    /// What was found in the history.
    pub(super) fn remembered(
        &mut self,
        number: u64,
        found: Vec<(Text, WallTime, Reading)>,
        is_last: bool,
        table: &Table,
        config: &HostConfig,
        own: Option<&BareJid>,
    ) {
        let mut answering = self.answering.iter_mut();
        let Some(answering) = answering.find(|a| a.number == number) else {
            return;
        };
        for (thing, at, reading) in found {
            let Some(spec) = table.thing(&thing) else {
                continue;
            };
            let who = answering.wish.to.as_ref();
            if answering.wish.wants_remembered(&reading.field)
                && config.access.may_read(who, own, &thing, &reading.field)
            {
                answering.remember(spec, at, reading);
            }
        }
        answering.waits = !is_last;
    }

    /// The answer to one who wants no more of it.
    pub(super) fn cancel(&mut self, request: &Iq, profile: Profile, id: &RequestId) -> Iq {
        let who = &request.header.from;
        let before = self.queued.len() + self.answering.len();
        let is_it = |w: &Wish| w.to == *who && w.id == *id;
        self.queued.retain(|q| !is_it(&q.wish));
        self.answering.retain(|a| !is_it(&a.wish));
        if self.queued.len() + self.answering.len() == before {
            let text = "no read-out of that number is under way";
            let error = error(ErrorType::Cancel, DefinedCondition::ItemNotFound, text);
            return refuse(request, profile, id, error);
        }
        let cancelled = Cancelled { id: id.clone() };
        // The compact profiles have no word for it.
        request.result((profile == Profile::Legacy).then(|| cancelled.to_element()))
    }
}

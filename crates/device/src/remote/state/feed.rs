//! One read-out or one subscription: what was asked of whom, how far it is, and what came
//! and was not fetched yet.

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use stanchion_services::waiter::Waiter;
use stanchion_stanza::payload::iot_events::Subscribe;
use stanchion_stanza::payload::sensordata::{Profile, Profiled as _, Request, RequestId};
use stanchion_stanza::{Element, Jid, Text};

use crate::remote::readout::{Part, ReadError};

/// What is asked.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    /// To be read once.
    Read(Box<Request>),
    /// To be told from now on.
    Subscribe(Box<Subscribe>),
}

impl Ask {
    pub(super) fn element(&self, id: &RequestId, profile: Profile) -> Element {
        match self {
            Self::Read(request) => {
                let mut request = request.clone();
                request.id = id.clone();
                request.to_element_in(profile)
            }
            Self::Subscribe(subscribe) => {
                let mut subscribe = subscribe.clone();
                subscribe.id = id.clone();
                subscribe.to_element_in(profile)
            }
        }
    }

    pub(super) const fn is_subscription(&self) -> bool {
        matches!(self, Self::Subscribe(_))
    }
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing was heard.
    Asked,
    /// The device will read later, and says when it begins.
    Queued,
    /// It reads, or tells.
    Reading,
}

/// What comes of it, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    /// Data.
    Part(Part),
    /// So many parts were not fetched in time, and are gone. Of subscriptions alone.
    Missed(u64),
    /// So many values were not fetched in time, and newer ones of the same fields took their
    /// place. Of subscriptions alone.
    Coalesced(u64),
    /// A subscription stands.
    Accepted,
    /// There is no more.
    End(Result<(), ReadError>),
}

#[derive(Debug)]
pub(super) struct Feed {
    pub(super) to: Jid,
    pub(super) profile: Profile,
    pub(super) id: RequestId,
    pub(super) ask: Ask,
    pub(super) phase: Phase,
    /// Whether there was a stream to ask on.
    pub(super) asked: bool,
    pub(super) within: Duration,
    /// When its time is over, if it ever is.
    pub(super) due: Option<Duration>,
    pub(super) silence: Duration,
    pub(super) heard: Duration,
    /// Fields that came so far.
    pub(super) got: usize,
    pub(super) parts: VecDeque<Part>,
    /// Fields in `parts`.
    pub(super) held: usize,
    missed: u64,
    coalesced: u64,
    accepted: bool,
    /// Whether that was told.
    said: bool,
    pub(super) end: Option<Result<(), ReadError>>,
    waiter: Option<Waiter<Told>>,
}

impl Feed {
    pub(super) fn new(
        now: Duration,
        to: Jid,
        profile: Profile,
        ask: Ask,
        within: Duration,
        silence: Duration,
    ) -> Self {
        Self {
            to,
            profile,
            id: RequestId::default(),
            due: Some(now.saturating_add(within)),
            ask,
            phase: Phase::Asked,
            asked: false,
            within,
            silence,
            heard: now,
            got: 0,
            parts: VecDeque::new(),
            held: 0,
            missed: 0,
            coalesced: 0,
            accepted: false,
            said: false,
            end: None,
            waiter: None,
        }
    }

    /// When something is to be done about it, if nothing comes.
    pub(super) fn wakes(&self) -> Option<Duration> {
        if self.end.is_some() {
            return None;
        }
        let quiet = match self.phase {
            Phase::Reading => Some(self.heard.saturating_add(self.silence)),
            Phase::Asked | Phase::Queued => None,
        };
        self.due.into_iter().chain(quiet).min()
    }

    /// A sign of life. A subscription that stands has no end of its own.
    pub(super) fn lives(&mut self, now: Duration, phase: Phase) {
        self.heard = now;
        self.phase = phase;
        if self.ask.is_subscription() {
            self.due = None;
            self.accepted = true;
            self.pass_on();
        }
    }

    /// Takes data.
    pub(super) fn take(&mut self, part: Part) {
        self.got = self.got.saturating_add(part.len());
        self.held += part.len();
        self.parts.push_back(part);
        self.pass_on();
    }

    /// Of each field, the newest value stays, and all failures.
    pub(super) fn coalesce(&mut self) {
        let mut newest: HashSet<(Text, Text)> = HashSet::new();
        for part in self.parts.iter_mut().rev() {
            let before = part.values.len();
            let mut values = std::mem::take(&mut part.values);
            values.reverse();
            values.retain(|one| newest.insert((one.thing.id.clone(), one.field.name.clone())));
            values.reverse();
            let gone = before - values.len();
            part.values = values;
            self.held -= gone;
            self.coalesced += gone as u64;
        }
        self.parts.retain(|part| part.len() > 0);
    }

    /// Lets the oldest part go.
    pub(super) fn drop_oldest(&mut self) {
        if let Some(part) = self.parts.pop_front() {
            self.held -= part.len();
            self.missed += 1;
        }
    }

    pub(super) fn finish(&mut self, end: Result<(), ReadError>) {
        self.end.get_or_insert(end);
        self.pass_on();
    }

    pub(super) fn next(&mut self, waiter: Waiter<Told>) {
        self.waiter = Some(waiter);
        self.pass_on();
    }

    /// Gives what there is to who waits. One who has given up takes nothing away.
    fn pass_on(&mut self) {
        let Some(waiter) = self.waiter.take() else {
            return;
        };
        if self.accepted && !self.said {
            self.said = waiter.offer(Told::Accepted).is_ok();
        } else if self.missed > 0 {
            if waiter.offer(Told::Missed(self.missed)).is_ok() {
                self.missed = 0;
            }
        } else if self.coalesced > 0 {
            if waiter.offer(Told::Coalesced(self.coalesced)).is_ok() {
                self.coalesced = 0;
            }
        } else if let Some(part) = self.parts.pop_front() {
            self.held -= part.len();
            if let Err(Told::Part(part)) = waiter.offer(Told::Part(part)) {
                self.held += part.len();
                self.parts.push_front(part);
            }
        } else if let Some(end) = &self.end {
            waiter.answer(Told::End(end.clone()));
        } else {
            self.waiter = Some(waiter);
        }
    }
}

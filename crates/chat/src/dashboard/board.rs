//! The board: one task that owns the model. It applies what happens, gathers what is to be
//! told, writes it once for all pages, and answers what needs a look at the model.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use stanchion::BareJid;
use stanchion::services::history::{Entry, Found};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::changes::{Changes, View, unsettled};
use super::feed::{self, Feed, Need, Page};
use super::wire;
use crate::app::{Event, LinkState, Model};
use crate::kept::now;

/// Pages that may be open.
pub(super) const PAGES: usize = 64;
/// Between two times of telling what comes often.
const OFTEN: Duration = Duration::from_millis(250);
/// Between two times of telling anything.
const SOON: Duration = Duration::from_millis(40);
/// A sign of life.
const BEAT: Duration = Duration::from_secs(15);
/// Events that are taken at a time.
const AT_ONCE: usize = 256;
/// Questions that may wait.
const ASKS: usize = 64;
/// What was told of a part of a conversation while that was on its way is told again after
/// so long: the part was read before.
const SETTLED: Duration = Duration::from_secs(1);
/// Parts that are remembered for that.
const PARTS: usize = 64;

/// What the server's other end asks for.
#[derive(Debug)]
pub(super) enum Ask {
    /// A page opens; none if there are too many.
    Page(oneshot::Sender<Option<Feed>>),
    /// A page looks at a conversation: what is said there is told once that is answered.
    Opened(BareJid, oneshot::Sender<()>),
    /// A part of a conversation as JSON, each message as far as is known here.
    Part {
        with: BareJid,
        entries: Vec<Entry>,
        first: bool,
        answer: oneshot::Sender<Vec<u8>>,
    },
    /// What a search found, as JSON.
    Found {
        words: String,
        found: Vec<Found>,
        answer: oneshot::Sender<Vec<u8>>,
    },
}

/// The task.
#[derive(Debug)]
pub(super) struct Board {
    model: Model,
    link_at: i64,
    changes: Changes,
    pages: Vec<Page>,
    csrf: String,
    tour: Option<watch::Receiver<Arc<Value>>>,
    told: Option<Arc<Value>>,
    /// Whether somebody looks.
    looked_at: watch::Sender<bool>,
    /// When it was told last: anything, and what comes often.
    last: (Instant, Instant),
    /// Parts that are on their way, and when each has certainly arrived.
    parts: Vec<(Instant, BareJid, Vec<stanchion::services::history::Place>)>,
}

impl Board {
    pub(super) fn new(
        account: BareJid,
        csrf: String,
        tour: Option<watch::Receiver<Arc<Value>>>,
        looked_at: watch::Sender<bool>,
    ) -> Self {
        let long_ago = Instant::now();
        Self {
            model: Model::new(account),
            link_at: now().as_unix_ms(),
            changes: Changes::default(),
            pages: Vec::new(),
            csrf,
            told: tour.as_ref().map(|tour| Arc::clone(&tour.borrow())),
            tour,
            looked_at,
            last: (long_ago, long_ago),
            parts: Vec::new(),
        }
    }

    /// Where questions go.
    pub(super) fn asks() -> (mpsc::Sender<Ask>, mpsc::Receiver<Ask>) {
        mpsc::channel(ASKS)
    }

    /// Works until nothing more can happen. From the moment of `stop` on there are no pages,
    /// and what happens is taken all the same, so that who tells it can end.
    pub(super) async fn run(
        mut self,
        mut events: mpsc::Receiver<Event>,
        mut asks: mpsc::Receiver<Ask>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut beats = interval(BEAT);
        beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut some = Vec::with_capacity(AT_ONCE);
        let mut open = true;
        while !*stop.borrow() {
            let due = self.due();
            tokio::select! {
                changed = stop.changed() => if changed.is_err() { break },
                count = events.recv_many(&mut some, AT_ONCE), if open => {
                    if count == 0 {
                        open = false;
                        self.take(Event::Link(LinkState::Closed));
                    }
                    some.drain(..).for_each(|event| self.take(event));
                }
                Some(ask) = asks.recv() => self.answer(ask),
                told = next(&mut self.tour) => {
                    self.told = Some(told);
                    self.changes.tour();
                }
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    self.tell();
                }
                _ = beats.tick() => self.beat(),
            }
        }
        self.pages.clear();
        drop(asks);
        while open && events.recv_many(&mut some, AT_ONCE).await > 0 {
            some.clear();
        }
    }

    fn take(&mut self, event: Event) {
        let now = now().as_unix_ms();
        if matches!(event, Event::Link(_)) {
            self.link_at = now;
        }
        if !self.pages.is_empty() {
            self.changes.note(&self.model, &event);
        }
        self.model.apply(now, event);
    }

    fn answer(&mut self, ask: Ask) {
        match ask {
            Ask::Page(answer) => {
                self.close_gone();
                let feed = match self.pages.len() < PAGES {
                    true => {
                        let (page, feed) = feed::open();
                        if self.pages.is_empty() {
                            self.changes.forget(&self.model);
                        }
                        self.pages.push(page);
                        Some(feed)
                    }
                    false => None,
                };
                // Who does not wait any more has closed its page, too.
                let _ = answer.send(feed);
                self.look();
            }
            Ask::Opened(with, answer) => {
                self.changes.opened(&with);
                let _ = answer.send(());
            }
            Ask::Part {
                with,
                entries,
                first,
                answer,
            } => {
                let talk = self.model.talks.get(&with);
                let known = |entry| talk.and_then(|talk| talk.entry(entry)).cloned();
                let entries: Vec<Entry> = entries
                    .into_iter()
                    .map(|entry| known(entry.place).unwrap_or(entry))
                    .collect();
                let part = wire::Part {
                    entries: entries
                        .iter()
                        .map(|entry| wire::Entry::of(&self.model, entry))
                        .collect(),
                    first,
                };
                let mut json = Vec::new();
                wire::write(&mut json, &part);
                let _ = answer.send(json);
                let places = entries.iter().filter(|e| unsettled(e)).map(|e| e.place);
                let places: Vec<_> = places.collect();
                if !places.is_empty() && self.parts.len() < PARTS {
                    self.parts.push((Instant::now() + SETTLED, with, places));
                }
            }
            Ask::Found {
                words,
                found,
                answer,
            } => {
                let found = found.iter();
                let found = found.map(|one| wire::Entry::found(&self.model, one));
                let told = wire::Found {
                    words: &words,
                    found: found.collect(),
                };
                let mut json = Vec::new();
                wire::write(&mut json, &told);
                let _ = answer.send(json);
            }
        }
    }

    /// When the next thing is to be told.
    fn due(&self) -> Option<Instant> {
        if self.pages.is_empty() {
            return None;
        }
        let changes = self.changes.due();
        let needy = self.pages.iter().any(|page| page.need() == Need::State);
        let soon = changes.soon.then(|| self.last.0 + SOON);
        let often = (changes.later || needy).then(|| self.last.1 + OFTEN);
        let settled = self.parts.first().map(|(at, ..)| *at);
        [soon, often, settled].into_iter().flatten().min()
    }

    /// Tells the pages what is due: once for all of them.
    fn tell(&mut self) {
        self.close_gone();
        if self.pages.is_empty() {
            self.parts.clear();
            return;
        }
        let at = Instant::now();
        while self.parts.first().is_some_and(|(due, ..)| *due <= at) {
            let (_, with, places) = self.parts.remove(0);
            self.changes.again(&with, &places);
        }
        let often = at >= self.last.1 + OFTEN;
        self.last.0 = at;
        if often {
            self.last.1 = at;
        }
        let view = View {
            model: &self.model,
            now: now().as_unix_ms(),
            link_at: self.link_at,
            tour: self.told.as_deref(),
        };
        if self.pages.iter().any(|page| page.need() == Need::Changes) {
            let mut change = Vec::new();
            self.changes.write(&mut change, &view, often);
            if !change.is_empty() {
                let change = Bytes::from(change);
                for page in &mut self.pages {
                    page.change(change.clone());
                }
            }
        } else {
            self.changes.forget(&self.model);
        }
        if often && self.pages.iter().any(Page::wants_state) {
            // What is still to be told is in the state, and is told once more: it is the same.
            let state = self.state();
            for page in &mut self.pages {
                if page.wants_state() {
                    page.state(state.clone());
                }
            }
        }
    }

    fn state(&self) -> Bytes {
        let now = now().as_unix_ms();
        let tour = self.told.as_deref();
        let state = wire::State::of(&self.model, &self.csrf, now, self.link_at, tour);
        let mut written = Vec::new();
        wire::event(&mut written, "state", &state);
        written.into()
    }

    fn beat(&mut self) {
        self.close_gone();
        let beat = Bytes::from_static(b":\n\n");
        self.pages.iter().for_each(|page| page.beat(beat.clone()));
    }

    fn close_gone(&mut self) {
        self.pages.retain(Page::is_open);
        self.look();
    }

    fn look(&self) {
        let looks = !self.pages.is_empty();
        self.looked_at.send_if_modified(|before| {
            let changed = *before != looks;
            *before = looks;
            changed
        });
    }
}

/// What the tour tells next; never, without one.
async fn next(tour: &mut Option<watch::Receiver<Arc<Value>>>) -> Arc<Value> {
    if let Some(tour) = tour
        && tour.changed().await.is_ok()
    {
        return Arc::clone(&tour.borrow_and_update());
    }
    std::future::pending().await
}

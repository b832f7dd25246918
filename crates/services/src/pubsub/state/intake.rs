//! One node's subscriber: live events and what is asked for become one order of items,
//! each once, with gaps where the node no longer holds something. Numbered items go
//! through a `lane` for each stream; those of foreign publishers are told by what they
//! hold. What took effect is in the rows of `cursor`.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use stanchion_stanza::payload::forms::FormType;
use stanchion_stanza::payload::pubsub::{
    Answer, Event, Item, NodeConfig, Request as Ask, SubscriptionState,
};
use stanchion_stanza::stanza::DefinedCondition;
use stanchion_stanza::xml::Node;
use stanchion_stanza::{Element, Jid, Payload as _, Text};

use super::super::error::{Reason, is_transient};
use super::cursor::{Foreign, Print};
use super::handed::{
    Beginning, Handed, Kept, SubscriptionConfig, begun_key, foreign_key, stream_key,
};
use super::lane::{Lane, Step};
use super::outflow::Wake;
use super::place::{Place, StreamId};
use crate::request::{Request, RequestError};
use crate::service::Change;

/// What waits for the application. Numbered items beyond wait at the node.
const QUEUE: usize = 256;

/// Events that wait while items are asked for.
const HELD: usize = 256;

/// Streams at one node that are remembered.
const LANES: usize = 256;

/// Items asked for by id at once.
const CHUNK: usize = 256;

/// Bytes of items asked for at once, about: half of what a client takes in one stanza.
const BYTES: usize = 128 * 1024;

/// Between two tries, at most.
const LONGEST: Duration = Duration::from_secs(60);

/// What an answer belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Errand {
    Subscribe,
    /// The latest items.
    Latest,
    /// The last one, to see in which order the service gives them.
    Last,
    Ids {
        stream: StreamId,
        asked: Vec<u64>,
        probe: bool,
    },
}

#[derive(Debug)]
pub(crate) struct Intake {
    /// None: our own account.
    service: Option<Jid>,
    node: Text,
    name: String,
    config: SubscriptionConfig,
    begun: bool,
    /// Nothing goes out before the rows of the beginning are durable.
    unkept: bool,
    lanes: BTreeMap<StreamId, Lane>,
    uses: u64,
    foreign: Foreign,
    queue: VecDeque<Handed>,
    wake: Wake,
    subscribed: bool,
    /// The latest items are to be asked for.
    latest: bool,
    /// The service gives the newest item first.
    newest_first: Option<bool>,
    /// The latest foreign items, whose order is not known yet.
    stash: Vec<Item>,
    /// Foreign items that came meanwhile.
    held: Vec<Item>,
    /// Nothing can be asked for.
    no_items: bool,
    busy: bool,
    asked_latest: bool,
    failures: u32,
    not_before: Duration,
    /// The node was deleted.
    pauses: bool,
    check_at: Option<Duration>,
    chunk: usize,
    largest: usize,
    /// The refusal that was told, so that it is told once.
    complaint: Option<Reason>,
    /// The wall clock, in Unix seconds.
    pub(crate) wall: i64,
}

impl Intake {
    pub(crate) fn new(
        service: Option<Jid>,
        node: Text,
        name: String,
        config: SubscriptionConfig,
        kept: Kept,
        wake: Wake,
    ) -> Self {
        let mut streams = kept.streams;
        streams.sort_by_key(|(_, cursor)| cursor.touched);
        let mut this = Self {
            service,
            node,
            name,
            config,
            begun: kept.begun,
            unkept: false,
            lanes: BTreeMap::new(),
            uses: 0,
            foreign: kept.foreign,
            queue: VecDeque::new(),
            wake,
            subscribed: false,
            latest: true,
            newest_first: None,
            stash: Vec::new(),
            held: Vec::new(),
            no_items: false,
            busy: false,
            asked_latest: false,
            failures: 0,
            not_before: Duration::ZERO,
            pauses: false,
            check_at: None,
            chunk: CHUNK / 2,
            largest: 1,
            complaint: None,
            wall: 0,
        };
        for (stream, cursor) in streams {
            this.uses += 1;
            let mut lane = Lane::restored(cursor);
            lane.used = this.uses;
            this.lanes.insert(stream, lane);
        }
        this
    }

    pub(crate) fn is_of(&self, service: Option<&Jid>, node: &str) -> bool {
        self.service.as_ref() == service && self.node.as_str() == node
    }

    // ---- the application ------------------------------------------------------------

    /// What is there for it.
    pub(crate) fn take(&mut self, most: usize) -> Vec<Handed> {
        if self.unkept {
            return Vec::new();
        }
        let count = most.min(self.queue.len());
        let taken = self.queue.drain(..count).collect();
        self.advance_all();
        taken
    }

    fn hand(&mut self, handed: Handed) {
        self.queue.push_back(handed);
        if !self.unkept {
            (self.wake.0)();
        }
    }

    /// Told at best effort: who does not take what there is misses it.
    fn tell(&mut self, handed: Handed) {
        if self.queue.len() < 2 * QUEUE {
            self.hand(handed);
        } else {
            tracing::debug!(node = %self.node, "the application is too slow for what changes");
        }
    }

    /// The rows of the beginning are durable.
    pub(crate) fn kept(&mut self) {
        self.unkept = false;
        (self.wake.0)();
    }

    // ---- events ---------------------------------------------------------------------

    pub(crate) fn event(&mut self, event: Event, changes: &mut Vec<Change>) {
        match event {
            Event::Items {
                items, retracted, ..
            } => {
                for item in items {
                    self.live(item, changes);
                }
                if !retracted.is_empty() {
                    self.tell(Handed::Retracted(retracted));
                }
            }
            Event::Purge { .. } => self.tell(Handed::Purged),
            Event::Delete { redirect, .. } => {
                // Not at once: some services would create it anew.
                self.subscribed = false;
                self.latest = true;
                self.pauses = true;
                self.tell(Handed::Deleted(redirect));
            }
            Event::Configuration { form, .. } => {
                let config = form.and_then(|form| NodeConfig::from_form(&form).ok());
                self.tell(Handed::Configured(config.map(Box::new)));
            }
            Event::Subscription(subscription) => match subscription.state {
                Some(SubscriptionState::Subscribed) => self.latest = true,
                Some(SubscriptionState::None) => self.tell(Handed::Unsubscribed),
                _ => {}
            },
            Event::Collection { .. } => {}
        }
    }

    fn live(&mut self, item: Item, changes: &mut Vec<Change>) {
        self.measure(&item);
        match item.id.as_deref().and_then(Place::of) {
            Some(place) => {
                // What comes before it is known where to begin is asked for.
                if self.begun {
                    let payload = item.payload.is_some() || self.no_items;
                    self.numbered(place, payload.then_some(item), changes);
                } else {
                    self.latest = true;
                }
            }
            None if self.is_asking() || !self.begun => self.hold(item),
            None if item.payload.is_none() && !self.no_items => {
                self.latest = true;
                self.hold(item);
            }
            None => self.foreign(item),
        }
    }

    fn is_asking(&self) -> bool {
        self.latest || self.asked_latest || !self.stash.is_empty()
    }

    fn hold(&mut self, item: Item) {
        if self.held.len() < HELD {
            self.held.push(item);
        } else {
            // It is among the latest ones, next time.
            self.latest = true;
        }
    }

    fn measure(&mut self, item: &Item) {
        let size = item.payload.as_ref().map_or(0, |p| size_of(p, 0));
        self.largest = self.largest.max(size);
    }

    fn numbered(&mut self, place: Place, item: Option<Item>, changes: &mut Vec<Change>) {
        let silent = !self.begun;
        let depth = self.config.depth;
        // Without room it stays at the node for now.
        let item = item.filter(|_| self.queue.len() < 2 * QUEUE);
        let no_items = self.no_items;
        let lane = self.lane(&place.stream, silent, changes);
        lane.exists(place.number, depth);
        let late = item.and_then(|item| lane.offer(place.number, item));
        if no_items {
            lane.lacks_all();
        }
        if let Some(step) = late {
            self.hand(handed(&place.stream, step));
        }
        self.advance(&place.stream);
    }

    fn lane(&mut self, stream: &StreamId, silent: bool, changes: &mut Vec<Change>) -> &mut Lane {
        self.uses += 1;
        if !self.lanes.contains_key(stream) && self.lanes.len() >= LANES {
            let oldest = self.lanes.iter().min_by_key(|(_, lane)| lane.used);
            if let Some(oldest) = oldest.map(|(stream, _)| stream.clone()) {
                self.lanes.remove(&oldest);
                changes.push(Change::Delete {
                    key: stream_key(&self.name, &oldest),
                });
            }
        }
        let lane = self.lanes.entry(stream.clone());
        let lane = lane.or_insert_with(|| Lane::new(silent));
        lane.used = self.uses;
        lane
    }

    fn advance(&mut self, stream: &StreamId) {
        while self.queue.len() < QUEUE
            && let Some(lane) = self.lanes.get_mut(stream)
            && let Some(step) = lane.step()
        {
            self.hand(handed(stream, step));
        }
    }

    fn advance_all(&mut self) {
        let streams: Vec<_> = self.lanes.keys().cloned().collect();
        for stream in streams {
            self.advance(&stream);
        }
    }

    /// An item of a foreign publisher, at its turn.
    fn foreign(&mut self, item: Item) {
        let id = item.id.clone().unwrap_or_default();
        let print = Print::of(&id, item.payload.as_ref());
        if self.foreign.knows(print) {
            return;
        }
        if self.queue.len() >= 2 * QUEUE {
            // It is among the latest ones, once there is room.
            self.latest = true;
            return;
        }
        self.foreign.remember(print);
        self.hand(Handed::Foreign { item, print });
    }

    // ---- asking ---------------------------------------------------------------------

    /// A new stream: all is to be seen to again.
    pub(crate) fn restart(&mut self) {
        self.subscribed = false;
        self.latest = true;
        self.busy = false;
        self.asked_latest = false;
        self.stash.clear();
        self.failures = 0;
        self.not_before = Duration::ZERO;
        for lane in self.lanes.values_mut() {
            lane.probe = true;
        }
    }

    /// What is to be asked now, if anything. `own` is our bare address.
    pub(crate) fn next(&mut self, now: Duration, own: &Jid) -> Option<(Errand, Request)> {
        if self.check_at.is_some_and(|at| at <= now) {
            self.check_at = None;
            self.subscribed = false;
            self.latest = true;
            for lane in self.lanes.values_mut() {
                lane.probe = true;
            }
        }
        if std::mem::take(&mut self.pauses) {
            self.not_before = now + LONGEST;
        }
        if self.busy || self.unkept || now < self.not_before {
            return None;
        }
        let (errand, ask) = self.wanted(own)?;
        self.busy = true;
        let to = self.service.clone();
        let request = match errand {
            Errand::Subscribe => Request::set(to, ask.to_element()),
            _ => Request::get(to, ask.to_element()),
        };
        Some((errand, request))
    }

    fn wanted(&mut self, own: &Jid) -> Option<(Errand, Ask)> {
        if !self.subscribed {
            let options = self.config.options.as_ref();
            let options = options.map(|options| options.to_form(FormType::Submit));
            let ask = Ask::Subscribe {
                jid: own.clone(),
                node: Some(self.node.clone()),
                options,
            };
            return Some((Errand::Subscribe, ask));
        }
        if !self.stash.is_empty() {
            return Some((Errand::Last, self.items(Some(1), Vec::new())));
        }
        let room = self.queue.len() < QUEUE / 2;
        if self.latest && room {
            self.latest = false;
            self.asked_latest = true;
            let most = self.back_fill();
            let errand = Errand::Latest;
            return Some((errand, self.items(Some(most), Vec::new())));
        }
        if !room {
            return None;
        }
        let most = self.chunk.min(BYTES / self.largest).clamp(1, CHUNK);
        let missing = self.lanes.iter().find_map(|(stream, lane)| {
            let missing = lane.missing(most);
            (!missing.is_empty()).then(|| (stream.clone(), missing, false))
        });
        let (stream, asked, probe) = missing.or_else(|| {
            let (stream, lane) = self.lanes.iter_mut().find(|(_, lane)| lane.probe)?;
            lane.probe = false;
            Some((stream.clone(), lane.beyond(most), true))
        })?;
        let id = |number: &u64| {
            let stream = stream.clone();
            let number = *number;
            Text::new(Place { stream, number }.to_string()).ok()
        };
        let ids = asked.iter().filter_map(id).collect();
        let errand = Errand::Ids {
            stream: stream.clone(),
            asked,
            probe,
        };
        Some((errand, self.items(None, ids)))
    }

    /// Fewer, if they are large.
    fn back_fill(&self) -> u32 {
        let fit = u32::try_from(BYTES / self.largest).unwrap_or(u32::MAX);
        self.config.back_fill.clamp(1, 1000).min(fit).max(1)
    }

    fn items(&self, max_items: Option<u32>, ids: Vec<Text>) -> Ask {
        Ask::Items {
            node: self.node.clone(),
            max_items,
            subid: None,
            ids,
            page: None,
        }
    }

    /// What was asked is answered. Gives whether the rows in `changes` must be durable
    /// before anything goes out.
    pub(crate) fn answered(
        &mut self,
        now: Duration,
        errand: Errand,
        answer: Result<Option<Element>, RequestError>,
        changes: &mut Vec<Change>,
    ) -> bool {
        self.busy = false;
        if errand == Errand::Latest {
            self.asked_latest = false;
        }
        let answer = match answer.map(|element| element.as_ref().map(Answer::from_element)) {
            Ok(None) => Answer::Empty,
            Ok(Some(Ok(answer))) => answer,
            Ok(Some(Err(error))) => {
                let error = RequestError::Unreadable(error.to_string());
                return self.failed(now, errand, &error, changes);
            }
            Err(error) => return self.failed(now, errand, &error, changes),
        };
        self.failures = 0;
        self.chunk = (self.chunk * 2).min(CHUNK);
        match (errand, answer) {
            (Errand::Subscribe, answer) => {
                self.complaint = None;
                self.subscribed = true;
                if let Answer::Subscribed(subscription) = answer
                    && subscription.state == Some(SubscriptionState::Pending)
                {
                    self.tell(Handed::Pending);
                }
                false
            }
            (Errand::Latest, Answer::Items { items, .. }) => self.latest(now, items, changes),
            (Errand::Last, Answer::Items { items, .. }) => {
                let last = items.first().and_then(|item| item.id.as_ref());
                let is = |item: Option<&Item>| item.and_then(|item| item.id.as_ref()) == last;
                let (first, end) = (is(self.stash.first()), is(self.stash.last()));
                if first != end {
                    self.newest_first = Some(first);
                }
                let stash = std::mem::take(&mut self.stash);
                let beginning = self.begin(changes);
                self.merge(stash, beginning, changes);
                beginning && self.unkept
            }
            (
                Errand::Ids {
                    stream,
                    asked,
                    probe,
                },
                Answer::Items { items, page, .. },
            ) => {
                // Some services give a part (XEP-0059 §2.1): what is not in it may be there.
                let count = page.and_then(|page| page.count).unwrap_or(0);
                let count = usize::try_from(count).unwrap_or(usize::MAX);
                let part = (items.len() + 1..=asked.len()).contains(&count) && !items.is_empty();
                if part {
                    self.chunk = items.len().clamp(1, CHUNK);
                }
                for item in items {
                    self.measure(&item);
                    if let Some(place) = item.id.as_deref().and_then(Place::of)
                        && place.stream == stream
                    {
                        if let Some(lane) = self.lanes.get_mut(&stream) {
                            // There may be more of them.
                            lane.probe |= probe;
                        }
                        self.numbered(place, Some(item), changes);
                    }
                }
                if let Some(lane) = self.lanes.get_mut(&stream).filter(|_| !probe && !part) {
                    lane.lacks(&asked);
                }
                self.advance(&stream);
                false
            }
            // No items: a whole set that is empty (XEP-0059 §2.2).
            (Errand::Latest | Errand::Last, _) => self.latest(now, Vec::new(), changes),
            (
                Errand::Ids {
                    stream,
                    asked,
                    probe,
                },
                _,
            ) => {
                if let Some(lane) = self.lanes.get_mut(&stream).filter(|_| !probe) {
                    lane.lacks(&asked);
                }
                self.advance(&stream);
                false
            }
        }
    }

    fn failed(
        &mut self,
        now: Duration,
        errand: Errand,
        error: &RequestError,
        changes: &mut Vec<Change>,
    ) -> bool {
        let fetches = errand != Errand::Subscribe;
        let too_large = matches!(
            error.refusal().map(|refusal| refusal.condition),
            Some(DefinedCondition::ResourceConstraint | DefinedCondition::PolicyViolation)
        );
        let lost = matches!(error, RequestError::Lost | RequestError::TimedOut { .. });
        if fetches && (lost || too_large) {
            // Perhaps the answer was too large for the stream.
            self.chunk = (self.chunk / 2).max(1);
            self.largest = self.largest.saturating_mul(2).min(BYTES);
        }
        let condition = error.refusal().map(|refusal| refusal.condition);
        let no_node = condition == Some(DefinedCondition::ItemNotFound);
        if fetches && !no_node && !too_large && condition.is_some() && !is_transient(error) {
            // The node keeps no items, or shows none: what is live is all there is.
            tracing::debug!(node = %self.node, %error, "items cannot be asked for");
            self.no_items = true;
            self.stash.clear();
            for lane in self.lanes.values_mut() {
                lane.lacks_all();
                lane.probe = false;
            }
            let unkept = match errand {
                Errand::Latest | Errand::Last => self.latest(now, Vec::new(), changes),
                _ => false,
            };
            self.advance_all();
            return unkept;
        }
        if fetches {
            self.latest = true;
            // The node may be another one by now.
            self.subscribed &= !no_node;
        }
        self.back_off(now);
        if !is_transient(error) {
            let reason = Reason::of(error);
            if self.complaint.as_ref() != Some(&reason) {
                self.complaint = Some(reason.clone());
                self.tell(Handed::Refused(reason));
            }
        }
        false
    }

    fn back_off(&mut self, now: Duration) {
        self.failures = self.failures.saturating_add(1);
        let delay = Duration::from_millis(500 << self.failures.min(8)).min(LONGEST);
        self.not_before = now + delay;
    }

    /// The latest items came.
    fn latest(&mut self, now: Duration, items: Vec<Item>, changes: &mut Vec<Change>) -> bool {
        self.check_at = Some(now + self.config.check_every);
        let mut foreign = Vec::new();
        let beginning = !self.begun;
        let skips = beginning && self.config.beginning == Beginning::New;
        for item in items {
            self.measure(&item);
            match item.id.as_deref().and_then(Place::of) {
                Some(place) if skips => {
                    self.lane(&place.stream, false, changes).skip(place.number);
                }
                Some(place) => self.numbered(place, Some(item), changes),
                None => foreign.push(item),
            }
        }
        if foreign.len() > 1 && self.newest_first.is_none() {
            self.stash = foreign;
            return false;
        }
        let beginning = self.begin(changes);
        self.merge(foreign, beginning, changes);
        beginning && self.unkept
    }

    /// The subscription has begun. Gives whether it had not before.
    fn begin(&mut self, changes: &mut Vec<Change>) -> bool {
        if self.begun {
            return false;
        }
        self.begun = true;
        changes.push(Change::Put {
            key: begun_key(&self.name),
            value: Vec::new(),
        });
        if self.config.beginning == Beginning::New {
            self.unkept = true;
            let touched = self.wall;
            for (stream, lane) in &self.lanes {
                changes.push(Change::Put {
                    key: stream_key(&self.name, stream),
                    value: lane.cursor(touched).to_bytes(),
                });
            }
        }
        true
    }

    /// Foreign items that the node holds, and those that came meanwhile: in the order in
    /// which they were published.
    fn merge(&mut self, mut items: Vec<Item>, beginning: bool, changes: &mut Vec<Change>) {
        if self.newest_first == Some(true) {
            items.reverse();
        }
        let held = std::mem::take(&mut self.held);
        if beginning && self.config.beginning == Beginning::New {
            for item in items.iter().chain(&held) {
                let id = item.id.clone().unwrap_or_default();
                self.foreign.remember(Print::of(&id, item.payload.as_ref()));
            }
            changes.push(Change::Put {
                key: foreign_key(&self.name),
                value: self.foreign.to_bytes(),
            });
            return;
        }
        let print =
            |item: &Item| Print::of(item.id.as_deref().unwrap_or(""), item.payload.as_ref());
        let prints: Vec<_> = items.iter().map(print).collect();
        let news = prints.iter().any(|p| !self.foreign.knows(*p));
        let joins = match self.foreign.last() {
            Some(last) => prints.iter().any(|p| p.id == last),
            None => true,
        };
        if news && !joins {
            self.hand(Handed::ForeignGap);
        }
        // What came by itself is in its place; the node has it with its payload.
        let later: Vec<_> = held.iter().map(print).collect();
        for (item, print) in items.into_iter().zip(&prints) {
            if !later.contains(print) {
                self.foreign(item);
            }
        }
        for item in held {
            let shown =
                |p: &Print| Some(p.id) == item.id.as_deref().map(|id| Print::of(id, None).id);
            if item.payload.is_some() || !prints.iter().any(shown) {
                self.foreign(item);
            }
        }
    }

    /// When there is something to do without an input.
    pub(crate) fn due(&self, now: Duration) -> Option<Duration> {
        let retry = (!self.busy && self.not_before > now).then_some(self.not_before);
        retry.into_iter().chain(self.check_at).min()
    }
}

fn handed(stream: &StreamId, step: Step) -> Handed {
    let stream = stream.clone();
    match step {
        Step::Item {
            from,
            number,
            item,
            late,
        } => Handed::Numbered {
            stream,
            from,
            number,
            item,
            late,
        },
        Step::Gap { first, last } => Handed::Gap {
            stream,
            first,
            last,
        },
    }
}

/// Bytes of an element, about. Elements nest no deeper than the codec allows.
fn size_of(element: &Element, sum: usize) -> usize {
    let attrs = element
        .attrs()
        .map(|a| a.name().len() + a.value().len() + 4);
    let own = 2 * element.name().len() + element.ns().len() + 16 + attrs.sum::<usize>();
    element
        .nodes()
        .iter()
        .fold(sum + own, |sum, node| match node {
            Node::Text(text) => sum + text.len(),
            Node::Element(child) => size_of(child, sum),
        })
}

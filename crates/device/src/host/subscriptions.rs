//! Who subscribed to which of our fields (`urn:nf:iot:events:1.0` and its kin), and which
//! things each is to be told of when. Without I/O: requests, samples, departures and the time
//! come in, and events come out: whom to tell of which things. What these say is the table's,
//! and the messages are `state`'s; so nothing is held here but names, and what a subscriber
//! is told is always the newest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use stanchion_reliability::session::Lane;
use stanchion_stanza::payload::iot_events::{Subscribe, Watched, interval};
use stanchion_stanza::payload::sensordata::{Profile, Request, RequestId};
use stanchion_stanza::{Jid, Text};

use super::table::{Table, Told};
use super::wish::{Unreadable, Wish};
use crate::model::{ThingSpec, Value, as_f64, same};

/// Subscriptions in all.
const MOST: usize = 1024;
/// Subscriptions of one address.
const MOST_OF_ONE: usize = 32;
/// Things and fields that one subscription may name.
const MOST_NAMED: usize = 1024;
/// Things that wait to be told of, of one subscription and of all. Where there are more, it
/// is told of all its things.
const MOST_WAITING: usize = 4096;
const MOST_WAITING_IN_ALL: usize = 65_536;
/// Values that are remembered because changes are measured against them, of all
/// subscriptions. Of further fields every change is told.
const MOST_MARKS: usize = 100_000;
/// Something is told that often at most by itself, whatever is asked for.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);
/// What changes within that time after something was told is told together. An alarm does not
/// wait for it.
pub(super) const GATHER: Duration = Duration::from_millis(100);

/// Why there is no subscription.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(super) enum SubscribeError {
    /// A time that cannot be read, or a change that is no positive number.
    #[error("`{0}` cannot be read")]
    Unreadable(&'static str),
    /// The shortest time is longer than the longest.
    #[error("the least interval is longer than the greatest")]
    Intervals,
    /// It names too much.
    #[error("a subscription names at most {MOST_NAMED} things and fields")]
    TooLarge,
    /// There are too many.
    #[error("there are too many subscriptions; end some")]
    TooMany,
}

/// How it stands with those who subscribed. What is counted begins with the client.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionFigures {
    /// How many there are.
    pub subscriptions: usize,
    /// Values that subscribers were told.
    pub told: u64,
    /// Values that they were not told, for there was a newer one of the field by the time
    /// that they were to be told something: after the least interval that they wish, or
    /// 100 ms.
    pub coalesced: u64,
}

/// Things that somebody is to be told of.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) wish: Wish,
    pub(super) things: VecDeque<Text>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    all: BTreeMap<(Jid, String), Subscription>,
    figures: SubscriptionFigures,
}

#[derive(Debug)]
struct Subscription {
    wish: Wish,
    /// Empty is all.
    things: BTreeSet<Text>,
    watched: Vec<Watched>,
    min: Duration,
    max: Option<Duration>,
    /// When something was told last, or it began.
    told: Duration,
    /// When everything was, likewise.
    all_told: Duration,
    waiting: Waiting,
    /// It is to be told now.
    is_due: bool,
    /// What changes are measured against, by thing and field, where that is not any change.
    marks: BTreeMap<(Text, Text), Value>,
}

/// What there is to tell.
#[derive(Debug)]
enum Waiting {
    /// Of these things, and which fields are news, by their places in the description.
    These(BTreeMap<Text, Places>),
    /// Of all.
    All,
}

/// Places of fields in a thing's description: of 256 at most.
#[derive(Debug, Clone, Copy, Default)]
struct Places([u64; 4]);

impl Places {
    /// Gives whether it was there.
    const fn put(&mut self, place: usize) -> bool {
        let (word, bit) = ((place / 64) % 4, 1 << (place % 64));
        let was = self.0[word] & bit != 0;
        self.0[word] |= bit;
        was
    }
}

impl Waiting {
    const fn none() -> Self {
        Self::These(BTreeMap::new())
    }

    fn is_none(&self) -> bool {
        matches!(self, Self::These(these) if these.is_empty())
    }

    fn len(&self) -> usize {
        match self {
            Self::These(these) => these.len(),
            Self::All => 0,
        }
    }
}

impl Subscriptions {
    /// Takes a subscription in place of an earlier one of that id.
    ///
    /// # Errors
    /// [`SubscribeError`]; an earlier one of that id stands.
    pub(super) fn subscribe(
        &mut self,
        now: Duration,
        who: Jid,
        profile: Profile,
        asked: Subscribe,
        table: &Table,
    ) -> Result<(), SubscribeError> {
        if asked.nodes.len() + asked.fields.len() > MOST_NAMED {
            return Err(SubscribeError::TooLarge);
        }
        let time = |text: &Option<Text>, name| match text {
            Some(text) => interval(text)
                .map(Some)
                .ok_or(SubscribeError::Unreadable(name)),
            None => Ok(None),
        };
        let min = time(&asked.min_interval, "minInt")?.unwrap_or(Duration::ZERO);
        let max = time(&asked.max_interval, "maxInt")?;
        let max = max.map(|max| max.max(LEAST_INTERVAL));
        if max.is_some_and(|max| min > max) {
            return Err(SubscribeError::Intervals);
        }
        let steps = asked.fields.iter().flat_map(|f| [&f.by, &f.up, &f.down]);
        for step in steps.flatten() {
            let step = step.to_f64();
            if !step.is_finite() || step < 0.0 {
                return Err(SubscribeError::Unreadable("by"));
            }
        }
        let key = (who.clone(), asked.id.to_string());
        if !self.all.contains_key(&key) {
            let own = self.all.keys().filter(|(jid, _)| *jid == who).count();
            if own >= MOST_OF_ONE || self.all.len() >= MOST {
                return Err(SubscribeError::TooMany);
            }
        }
        let request = asked_for(&asked);
        let wish = Wish::of(Some(who), profile, &request);
        // It has no times that could not be read.
        let wish = wish.map_err(|_: Unreadable| SubscribeError::Unreadable("time"))?;
        let mut subscription = Subscription {
            wish,
            things: asked.nodes.into_iter().map(|node| node.id).collect(),
            watched: asked.fields,
            min,
            max,
            told: now,
            all_told: now,
            waiting: Waiting::none(),
            is_due: asked.now,
            marks: BTreeMap::new(),
        };
        if asked.now {
            subscription.waiting = Waiting::All;
        }
        self.all.remove(&key);
        let room = MOST_MARKS.saturating_sub(self.marks());
        subscription.begin(table, room);
        self.all.insert(key, subscription);
        Ok(())
    }

    /// Ends one. Gives whether there was any.
    pub(super) fn unsubscribe(&mut self, who: &Jid, id: &RequestId) -> bool {
        let key = (who.clone(), id.to_string());
        self.all.remove(&key).is_some()
    }

    /// That address is not there any more: its subscriptions end. A bare one stands for all
    /// of its account.
    pub(super) fn gone(&mut self, who: &Jid) {
        self.all
            .retain(|(jid, _), _| jid != who && !(who.is_bare() && jid.bare_str() == who.as_str()));
    }

    /// That thing is gone, or does not answer: changes are not measured against what it told.
    pub(super) fn forget(&mut self, thing: &Text) {
        for subscription in self.all.values_mut() {
            subscription.marks.retain(|(of, _), _| of != thing);
            if let Waiting::These(these) = &mut subscription.waiting {
                these.remove(thing);
            }
        }
    }

    /// All end, as with a new session: subscribers see that we were away, and come again.
    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    /// What was told last may not have arrived: everything is told anew.
    pub(super) fn again(&mut self) {
        for subscription in self.all.values_mut() {
            subscription.waiting = Waiting::All;
        }
    }

    /// Whether there are none.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How it stands.
    #[must_use]
    pub(super) fn figures(&self) -> SubscriptionFigures {
        SubscriptionFigures {
            subscriptions: self.all.len(),
            ..self.figures
        }
    }

    fn marks(&self) -> usize {
        self.all.values().map(|one| one.marks.len()).sum()
    }

    /// Takes what a thing told. `may` says who may read which field: it is asked each time,
    /// as that can change.
    pub(super) fn take(
        &mut self,
        now: Duration,
        spec: &ThingSpec,
        told: &Told,
        may: impl Fn(&Jid, &Text) -> bool,
    ) {
        let mut waiting: usize = self.all.values().map(|one| one.waiting.len()).sum();
        for ((who, _), subscription) in &mut self.all {
            if !subscription.is_about(&spec.node.id) {
                continue;
            }
            let before = subscription.waiting.len();
            let mut is_alarm = false;
            for (place, spec_of) in spec.fields.iter().enumerate() {
                let reading = told.sample.readings.iter();
                let Some(reading) = reading.rev().find(|r| r.field == spec_of.name) else {
                    continue;
                };
                let is_news = || told.news.contains(&place);
                if subscription.wish.wants(spec_of)
                    && may(who, &reading.field)
                    && subscription.has_changed(
                        &spec.node.id,
                        &reading.field,
                        &reading.value,
                        is_news,
                    )
                {
                    let full = waiting >= MOST_WAITING_IN_ALL;
                    let replaced = subscription.put(&spec.node.id, place, full);
                    self.figures.coalesced += u64::from(replaced);
                    is_alarm |= spec_of.lane == Lane::Alarm;
                }
            }
            waiting = waiting + subscription.waiting.len() - before.min(waiting);
            let wait = match is_alarm {
                true => subscription.min,
                false => subscription.wait(),
            };
            if !subscription.waiting.is_none() && now >= subscription.told.saturating_add(wait) {
                subscription.is_due = true;
            }
        }
    }

    /// The time is that.
    pub(super) fn tick(&mut self, now: Duration) {
        for subscription in self.all.values_mut() {
            if subscription.refresh().is_some_and(|at| at <= now) {
                subscription.waiting = Waiting::All;
                subscription.is_due = true;
            } else if subscription.held().is_some_and(|at| at <= now) {
                subscription.is_due = true;
            }
        }
    }

    /// When something is due by the time.
    #[must_use]
    pub(super) fn wakes(&self) -> Option<Duration> {
        let waiting = self.all.values().filter(|one| !one.is_due);
        let times = waiting.flat_map(|one| [one.refresh(), one.held()]);
        times.flatten().min()
    }

    /// Whom to tell of what now; none once all are told.
    pub(super) fn next(&mut self, now: Duration, table: &Table) -> Option<Event> {
        let marks = self.marks();
        let subscription = self.all.values_mut().find(|one| one.is_due)?;
        let things = subscription.tell(now, table, MOST_MARKS.saturating_sub(marks));
        let wish = subscription.wish.clone();
        Some(Event { wish, things })
    }

    /// So many values were told.
    pub(super) const fn told(&mut self, values: u64) {
        self.figures.told += values;
    }
}

/// What a subscription asks for, as a read-out.
pub(super) fn asked_for(asked: &Subscribe) -> Request {
    Request {
        id: asked.id.clone(),
        categories: asked.categories,
        all: asked.all || asked.categories.is_empty(),
        nodes: asked.nodes.clone(),
        fields: asked.fields.iter().map(|f| f.name.clone()).collect(),
        ..Request::default()
    }
}

impl Subscription {
    fn is_about(&self, thing: &Text) -> bool {
        self.things.is_empty() || self.things.contains(thing)
    }

    /// Its things that there are.
    fn about<'a>(&'a self, table: &'a Table) -> Box<dyn Iterator<Item = &'a Text> + 'a> {
        match self.things.is_empty() {
            true => Box::new(table.things().map(|thing| &thing.node.id)),
            false => Box::new(self.things.iter().filter(|id| table.thing(id).is_some())),
        }
    }

    /// Changes count from what is now, or from what the subscriber says that it has.
    fn begin(&mut self, table: &Table, mut room: usize) {
        let things: Vec<Text> = match self.watched.iter().any(|w| steps(w) || w.value.is_some()) {
            true => self.about(table).cloned().collect(),
            false => return,
        };
        for watched in self.watched.clone() {
            let said = watched.value.as_ref().and_then(|value| value.parse().ok());
            let said = said.map(|value| Value::Numeric {
                value,
                unit: Text::default(),
            });
            for thing in &things {
                let Some(latest) = table.value(thing, &watched.name).filter(|l| !l.stale) else {
                    continue;
                };
                let (value, spec) = (&latest.reading.value, table.thing(thing));
                let mut fields = spec.iter().flat_map(|spec| &spec.fields);
                if let Some(said) = &said
                    && has_changed(&watched, said, value)
                    && let Some(place) = fields.position(|f| f.name == watched.name)
                {
                    self.put(thing, place, false);
                }
                if steps(&watched) && room > 0 {
                    room -= 1;
                    let mark = said.as_ref().unwrap_or(value).clone();
                    self.marks
                        .insert((thing.clone(), watched.name.clone()), mark);
                }
            }
        }
    }

    /// Whether a field changed enough to be told. `is_news`: whether it changed at all.
    fn has_changed(
        &self,
        thing: &Text,
        field: &Text,
        value: &Value,
        is_news: impl Fn() -> bool,
    ) -> bool {
        let mut watched = self.watched.iter().filter(|w| w.name == *field);
        let Some(watched) = watched.find(|w| steps(w)) else {
            return is_news();
        };
        match self.marks.get(&(thing.clone(), field.clone())) {
            Some(mark) => has_changed(watched, mark, value),
            None => is_news(),
        }
    }

    /// A field is to be told. Gives whether it was already: then an earlier value is not.
    fn put(&mut self, thing: &Text, place: usize, full: bool) -> bool {
        let Waiting::These(these) = &mut self.waiting else {
            return false;
        };
        if let Some(places) = these.get_mut(thing) {
            return places.put(place);
        }
        if full || these.len() >= MOST_WAITING {
            self.waiting = Waiting::All;
            return false;
        }
        these.entry(thing.clone()).or_default().put(place)
    }

    fn wait(&self) -> Duration {
        self.min.max(GATHER)
    }

    fn held(&self) -> Option<Duration> {
        let at = self.told.saturating_add(self.wait());
        (!self.waiting.is_none()).then_some(at)
    }

    fn refresh(&self) -> Option<Duration> {
        let at = self.max.map(|max| self.all_told.saturating_add(max));
        // Not sooner than anything may be.
        at.map(|at| at.max(self.told.saturating_add(self.min)))
    }

    /// It is told of these things.
    fn tell(&mut self, now: Duration, table: &Table, room: usize) -> VecDeque<Text> {
        self.told = now;
        self.is_due = false;
        let things: VecDeque<Text> = match std::mem::replace(&mut self.waiting, Waiting::none()) {
            Waiting::All => self.about(table).cloned().collect(),
            Waiting::These(these) => these.into_keys().collect(),
        };
        let all = match self.things.is_empty() {
            true => table.len(),
            false => self.things.len(),
        };
        if things.len() >= all {
            self.all_told = now;
        }
        self.mark(&things, table, room);
        things
    }

    /// Changes count from what is told.
    fn mark(&mut self, things: &VecDeque<Text>, table: &Table, mut room: usize) {
        for watched in self.watched.iter().filter(|w| steps(w)) {
            for thing in things {
                let Some(latest) = table.value(thing, &watched.name).filter(|l| !l.stale) else {
                    continue;
                };
                let key = (thing.clone(), watched.name.clone());
                let is_new = !self.marks.contains_key(&key);
                if !is_new || room > 0 {
                    room -= usize::from(is_new);
                    self.marks.insert(key, latest.reading.value);
                }
            }
        }
    }
}

/// Whether not every change of it is told.
const fn steps(watched: &Watched) -> bool {
    watched.by.is_some() || watched.up.is_some() || watched.down.is_some()
}

/// Whether a value is far enough from the one that was told, by what the subscriber wants to
/// know; anything else, if it wants nothing in particular.
fn has_changed(watched: &Watched, told: &Value, value: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Boolean(on) => Some(f64::from(u8::from(*on))),
        value => as_f64(value),
    };
    if !steps(watched) {
        return match (number(told), number(value)) {
            // A subscriber says what it has without a unit.
            #[allow(clippy::float_cmp)]
            (Some(told), Some(value)) => told != value,
            _ => !same(told, value),
        };
    }
    let (Some(old), Some(new)) = (number(told), number(value)) else {
        return !same(told, value);
    };
    let beyond = |step: &Option<stanchion_stanza::payload::xs::Double>, change: f64| {
        step.as_ref()
            .is_some_and(|step| change > 0.0 && change >= step.to_f64())
    };
    beyond(&watched.by, (new - old).abs())
        || beyond(&watched.up, new - old)
        || beyond(&watched.down, old - new)
}

#[cfg(test)]
mod tests;

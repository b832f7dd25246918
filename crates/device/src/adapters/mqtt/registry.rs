//! What is known of a broker's things: who announced what, which topic says what of whom,
//! and whether they are there. Sans-IO; times are monotonic, from any one moment on.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{Hash as _, Hasher as _};
use std::time::Duration;

use stanchion_stanza::Text;

use super::config::Config;
use super::discovery::{self, LeftOut};
use super::entity::{Entity, Outlet, Rule, Setter, name};
use super::template::Payload;
use crate::adapter::Misuse;
use crate::model::{Quality, Reading, ThingSpec, Value};

/// Announcements that are remembered, those that are left out as well.
const MAX_ANNOUNCEMENTS: usize = 8192;
const MAX_ENTITIES: usize = 4096;
const MAX_THINGS: usize = 1024;
/// Fields and parameters of one thing.
const MAX_FIELDS: usize = 256;

type Id = u32;

/// One entity of one announcement, or one point.
#[derive(Debug)]
struct Held {
    entity: Entity,
    /// Which of its announcement's.
    part: String,
    /// What each outlet said last.
    last: Vec<Option<Value>>,
    /// Whether it said something over this connection.
    heard: Vec<bool>,
    /// What each topic of availability said last.
    there: Vec<Option<bool>>,
    /// By [`Rule`] and [`Held::there`].
    online: bool,
    expires_at: Option<Duration>,
    expired: bool,
}

impl Held {
    const fn is_available(&self) -> bool {
        self.online && !self.expired
    }
}

#[derive(Debug)]
struct Announcement {
    digest: u64,
    entities: Vec<Id>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route {
    State(Id, usize),
    Availability(Id, usize),
}

impl Route {
    const fn id(self) -> Id {
        match self {
            Self::State(id, _) | Self::Availability(id, _) => id,
        }
    }
}

#[derive(Debug, Default)]
struct Thing {
    label: Option<Text>,
    entities: BTreeSet<Id>,
    stale: bool,
}

/// How old a publication is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    /// It is of now.
    Now,
    /// It waited for us.
    Late,
    /// It is what the broker keeps for whoever comes. One after another value of the same
    /// connection is the older one: it comes with each subscription to its topic.
    Retained,
}

/// What a publication came to.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Outcome {
    /// What is told, for each thing.
    pub(super) readings: BTreeMap<Text, Vec<Reading>>,
    /// Things that are not there any more.
    pub(super) stale: Vec<Text>,
    /// What was read of which outlets, told or not.
    pub(super) read: Vec<(Place, Value)>,
    /// Whether anybody wanted it.
    pub(super) wanted: bool,
}

/// Which outlet of which entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    id: Id,
    outlet: usize,
}

/// What is to be told of things.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) things: Vec<ThingSpec>,
    pub(super) gone: Vec<Text>,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Registry {
    prefix: String,
    leave_out: Vec<String>,
    next: Id,
    entities: BTreeMap<Id, Held>,
    announcements: HashMap<String, Announcement>,
    routes: HashMap<String, Vec<Route>>,
    things: BTreeMap<Text, Thing>,
    touched: BTreeSet<Text>,
    told: BTreeSet<Text>,
    subscribe: BTreeSet<String>,
    unsubscribe: BTreeSet<String>,
    /// Nothing expires before.
    soonest: Option<Duration>,
}

impl Registry {
    /// With the points of a configuration.
    pub(super) fn new(config: &Config) -> Result<Self, Misuse> {
        let mut registry = Self {
            prefix: config.discovery.clone(),
            leave_out: config.leave_out.clone(),
            next: 0,
            entities: BTreeMap::new(),
            announcements: HashMap::new(),
            routes: HashMap::new(),
            things: BTreeMap::new(),
            touched: BTreeSet::new(),
            told: BTreeSet::new(),
            subscribe: BTreeSet::new(),
            unsubscribe: BTreeSet::new(),
            soonest: None,
        };
        for (at, point) in config.points.iter().enumerate() {
            let entity = Entity::of_point(point, at)?;
            let added = registry.add(String::new(), entity);
            added.map_err(|why| Misuse {
                key: format!("points[{at}]"),
                what: why.to_string(),
            })?;
        }
        Ok(registry)
    }

    /// Things that are known from the configuration alone.
    pub(super) fn things(&self) -> Vec<ThingSpec> {
        self.things.keys().filter_map(|id| self.spec(id)).collect()
    }

    /// Whether something is announced there.
    pub(super) fn is_announcement(&self, topic: &str) -> bool {
        discovery::is_announcement(&self.prefix, topic)
    }

    /// An announcement; an empty one takes back what was announced there. Gives what of it
    /// is left out, once.
    pub(super) fn announced(&mut self, topic: &str, payload: &str) -> Vec<(String, LeftOut)> {
        let mut digest = DefaultHasher::new();
        payload.hash(&mut digest);
        let digest = digest.finish();
        let before = self.announcements.remove(topic);
        if let Some(before) = before {
            if before.digest == digest {
                self.announcements.insert(topic.to_owned(), before);
                return Vec::new();
            }
            let found = self.read(topic, payload);
            return self.replace(topic, digest, before.entities, found);
        }
        if payload.is_empty() {
            return Vec::new();
        }
        if self.announcements.len() >= MAX_ANNOUNCEMENTS {
            return vec![(topic.to_owned(), LeftOut::TooMany("announcements"))];
        }
        let found = self.read(topic, payload);
        self.replace(topic, digest, Vec::new(), found)
    }

    fn read(&self, topic: &str, payload: &str) -> discovery::Found {
        match payload.is_empty() {
            true => discovery::Found::default(),
            false => discovery::read(&self.prefix, &self.leave_out, topic, payload),
        }
    }

    fn replace(
        &mut self,
        topic: &str,
        digest: u64,
        mut before: Vec<Id>,
        found: discovery::Found,
    ) -> Vec<(String, LeftOut)> {
        let empty = found.entities.is_empty() && found.left_out.is_empty();
        let mut left_out = found.left_out;
        let mut entities = Vec::new();
        let mut added = Vec::new();
        for (part, entity) in found.entities {
            // What stays the same keeps what is known of it.
            let same = |id: &Id| {
                let held = self.entities.get(id);
                held.is_some_and(|held| held.part == part && held.entity == entity)
            };
            match before.iter().position(same) {
                Some(at) => entities.push(before.swap_remove(at)),
                None => added.push((part, entity)),
            }
        }
        for id in before {
            self.remove(id);
        }
        for (part, entity) in added {
            match self.add(part.clone(), entity) {
                Ok(id) => entities.push(id),
                Err(why) => left_out.push((part, why)),
            }
        }
        if !empty {
            let announcement = Announcement { digest, entities };
            self.announcements.insert(topic.to_owned(), announcement);
        }
        left_out
    }

    fn add(&mut self, part: String, mut entity: Entity) -> Result<Id, LeftOut> {
        if self.entities.len() >= MAX_ENTITIES {
            return Err(LeftOut::TooMany("entities"));
        }
        if self.things.len() >= MAX_THINGS && !self.things.contains_key(&entity.thing) {
            return Err(LeftOut::TooMany("things"));
        }
        let taken: BTreeSet<Text> = self
            .outlets_of(&entity.thing)
            .map(|outlet| outlet.name.clone())
            .collect();
        if taken.len() + entity.outlets.len() > MAX_FIELDS {
            return Err(LeftOut::TooMany("fields of one thing"));
        }
        for outlet in &mut entity.outlets {
            if taken.contains(&outlet.name) {
                let other = name(&part).filter(|other| !taken.contains(other));
                let other = other.ok_or_else(|| LeftOut::NameTaken(outlet.name.clone()))?;
                rename(outlet, &other);
            }
        }
        let id = self.next;
        self.next += 1;
        let states = entity
            .outlets
            .iter()
            .enumerate()
            .filter_map(|(at, outlet)| {
                let source = outlet.source.as_ref()?;
                Some((source.topic.clone(), Route::State(id, at)))
            });
        let there = entity.availability.iter().enumerate();
        let there = there.map(|(at, one)| (one.topic.clone(), Route::Availability(id, at)));
        for (topic, route) in states.chain(there) {
            self.unsubscribe.remove(&topic);
            self.subscribe.insert(topic.clone());
            self.routes.entry(topic).or_default().push(route);
        }
        let thing = self.things.entry(entity.thing.clone()).or_default();
        thing.entities.insert(id);
        if entity.label.is_some() {
            thing.label.clone_from(&entity.label);
        }
        self.touched.insert(entity.thing.clone());
        let held = Held {
            part,
            last: vec![None; entity.outlets.len()],
            heard: vec![false; entity.outlets.len()],
            there: vec![None; entity.availability.len()],
            online: true,
            expires_at: None,
            expired: false,
            entity,
        };
        self.entities.insert(id, held);
        Ok(id)
    }

    fn remove(&mut self, id: Id) {
        let Some(held) = self.entities.remove(&id) else {
            return;
        };
        for topic in held.entity.topics() {
            let Some(routes) = self.routes.get_mut(topic) else {
                continue;
            };
            routes.retain(|route| route.id() != id);
            if routes.is_empty() {
                self.routes.remove(topic);
                self.subscribe.remove(topic);
                self.unsubscribe.insert(topic.to_owned());
            }
        }
        let thing = held.entity.thing;
        if let Some(known) = self.things.get_mut(&thing) {
            known.entities.remove(&id);
            if known.entities.is_empty() {
                self.things.remove(&thing);
            }
        }
        self.touched.insert(thing);
    }

    /// What is to be told of things since the last time.
    pub(super) fn changes(&mut self) -> Changes {
        let mut changes = Changes::default();
        for id in std::mem::take(&mut self.touched) {
            match self.spec(&id) {
                Some(spec) => {
                    self.told.insert(id);
                    changes.things.push(spec);
                }
                None if self.told.remove(&id) => changes.gone.push(id),
                None => {}
            }
        }
        changes
    }

    /// Topics that are to be subscribed to, and those that are not any more.
    pub(super) fn subscriptions(&mut self) -> (Vec<String>, Vec<String>) {
        let subscribe = std::mem::take(&mut self.subscribe);
        let unsubscribe = std::mem::take(&mut self.unsubscribe);
        let unsubscribe = unsubscribe.into_iter().collect();
        (subscribe.into_iter().collect(), unsubscribe)
    }

    /// The connection is new: all topics are to be subscribed to.
    pub(super) fn begin(&mut self) {
        self.subscribe = self.routes.keys().cloned().collect();
        // The values of before are stale already.
        for held in self.entities.values_mut() {
            held.expires_at = None;
            held.heard.fill(false);
        }
        self.soonest = None;
    }

    /// Something was published.
    pub(super) fn published(
        &mut self,
        topic: &str,
        payload: &str,
        age: Age,
        now: Duration,
    ) -> Outcome {
        let mut outcome = Outcome::default();
        let Some(routes) = self.routes.get(topic).cloned() else {
            return outcome;
        };
        outcome.wanted = true;
        let payload = Payload::new(payload);
        for route in routes {
            match route {
                Route::State(id, outlet) => {
                    self.state(id, outlet, &payload, age, now, &mut outcome);
                }
                Route::Availability(id, at) => self.availability(id, at, &payload, &mut outcome),
            }
        }
        outcome
    }

    fn state(
        &mut self,
        id: Id,
        outlet: usize,
        payload: &Payload<'_>,
        age: Age,
        now: Duration,
        outcome: &mut Outcome,
    ) {
        let Some(held) = self.entities.get_mut(&id) else {
            return;
        };
        let source = held.entity.outlets.get(outlet);
        let Some(source) = source.and_then(|outlet| outlet.source.as_ref()) else {
            return;
        };
        let Some(value) = source.value(payload) else {
            return;
        };
        if std::mem::replace(&mut held.heard[outlet], true) && age == Age::Retained {
            return;
        }
        let fresh = age == Age::Now;
        held.last[outlet] = Some(value.clone());
        // One of before is good for no longer than a new one.
        let begins = fresh || (held.expires_at.is_none() && !held.expired);
        if let (true, Some(good_for)) = (begins, held.entity.expires) {
            let at = now + good_for;
            held.expires_at = Some(at);
            held.expired = false;
            self.soonest = Some(self.soonest.map_or(at, |soonest| soonest.min(at)));
        }
        outcome.read.push((Place { id, outlet }, value.clone()));
        if held.is_available() {
            let field = held.entity.outlets[outlet].name.clone();
            let quality = quality(fresh);
            let thing = held.entity.thing.clone();
            if let Some(known) = self.things.get_mut(&thing) {
                known.stale = false;
            }
            let readings = outcome.readings.entry(thing).or_default();
            readings.push(Reading {
                field,
                value,
                quality,
            });
        }
    }

    fn availability(&mut self, id: Id, at: usize, payload: &Payload<'_>, outcome: &mut Outcome) {
        let Some(held) = self.entities.get_mut(&id) else {
            return;
        };
        let Some(one) = held.entity.availability.get(at) else {
            return;
        };
        // `unavailable` is a word here like any other.
        let said = one.template.value(payload);
        let said = said.unwrap_or_else(|| payload.text().trim().to_owned());
        let says = match () {
            () if said == one.online => true,
            () if said == one.offline => false,
            () => return,
        };
        held.there[at] = Some(says);
        let before = held.is_available();
        held.online = match held.entity.rule {
            Rule::Latest => says,
            Rule::All => held.there.iter().all(|there| *there != Some(false)),
            Rule::Any => held.there.contains(&Some(true)) || held.there.iter().all(Option::is_none),
        };
        match (before, held.is_available()) {
            (false, true) => {
                let last = held.last.iter().zip(&held.entity.outlets);
                let readings: Vec<_> = last
                    .filter_map(|(value, outlet)| {
                        Some(Reading {
                            field: outlet.name.clone(),
                            value: value.clone()?,
                            quality: quality(false),
                        })
                    })
                    .collect();
                let thing = held.entity.thing.clone();
                if let Some(known) = self.things.get_mut(&thing) {
                    known.stale = false;
                }
                if !readings.is_empty() {
                    outcome.readings.entry(thing).or_default().extend(readings);
                }
            }
            (true, false) => {
                let thing = held.entity.thing.clone();
                outcome.stale.extend(self.lose(&thing));
            }
            _ => {}
        }
    }

    /// The thing, if all of it is lost now.
    fn lose(&mut self, thing: &Text) -> Option<Text> {
        let known = self.things.get_mut(thing)?;
        let held = known.entities.iter().filter_map(|id| self.entities.get(id));
        let mut with_values = held.filter(|held| {
            let mut outlets = held.entity.outlets.iter();
            outlets.any(|outlet| outlet.source.is_some())
        });
        let lost = with_values.all(|held| !held.is_available());
        (lost && !std::mem::replace(&mut known.stale, true)).then(|| thing.clone())
    }

    /// When to ask [`Registry::expire`] again: no value is bad before.
    pub(super) const fn expires_at(&self) -> Option<Duration> {
        self.soonest
    }

    /// The time is that: things all of whose values are not good any more.
    pub(super) fn expire(&mut self, now: Duration) -> Vec<Text> {
        if self.soonest.is_none_or(|soonest| soonest > now) {
            return Vec::new();
        }
        let mut things = BTreeSet::new();
        for held in self.entities.values_mut() {
            if held.expires_at.is_some_and(|at| at <= now) {
                held.expires_at = None;
                held.expired = true;
                things.insert(held.entity.thing.clone());
            }
        }
        self.soonest = self
            .entities
            .values()
            .filter_map(|held| held.expires_at)
            .min();
        things.iter().filter_map(|thing| self.lose(thing)).collect()
    }

    /// How a parameter is set, and where its value is read, if anywhere.
    pub(super) fn setter(&self, thing: &Text, parameter: &str) -> Option<(Place, &Setter, bool)> {
        let known = self.things.get(thing)?;
        known.entities.iter().find_map(|id| {
            let held = self.entities.get(id)?;
            let outlets = held.entity.outlets.iter();
            let named = outlets
                .enumerate()
                .find(|(_, outlet)| &*outlet.name == parameter);
            let (outlet, found) = named?;
            let place = Place { id: *id, outlet };
            Some((place, found.setter.as_ref()?, found.source.is_some()))
        })
    }

    /// Whether what is there said that it is not.
    pub(super) fn is_offline(&self, place: Place) -> bool {
        let held = self.entities.get(&place.id);
        held.is_some_and(|held| !held.online)
    }

    fn outlets_of(&self, thing: &Text) -> impl Iterator<Item = &Outlet> {
        let ids = self.things.get(thing).into_iter();
        let ids = ids.flat_map(|thing| &thing.entities);
        let held = ids.filter_map(|id| self.entities.get(id));
        held.flat_map(|held| &held.entity.outlets)
    }

    fn spec(&self, thing: &Text) -> Option<ThingSpec> {
        let known = self.things.get(thing)?;
        let mut spec = ThingSpec::new(thing.clone());
        if let Some(label) = &known.label {
            spec.label = label.clone();
        }
        for outlet in self.outlets_of(thing) {
            if let Some(source) = &outlet.source {
                let mut field = source.field.clone();
                field.writable = outlet.setter.is_some();
                spec.fields.push(field);
            }
            if let Some(setter) = &outlet.setter {
                spec.parameters.push(setter.parameter.clone());
            }
        }
        Some(spec)
    }
}

fn quality(fresh: bool) -> Quality {
    match fresh {
        true => Quality::AUTOMATIC_READOUT,
        false => Quality::AUTOMATIC_READOUT | Quality::TIME_OFFSET,
    }
}

fn rename(outlet: &mut Outlet, name: &Text) {
    outlet.name = name.clone();
    if let Some(source) = &mut outlet.source {
        source.field.name = name.clone();
    }
    if let Some(setter) = &mut outlet.setter {
        setter.parameter.name = name.clone();
        setter.parameter.label = name.clone();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::mqtt::config::Broker;

    fn registry() -> Registry {
        Registry::new(&Config::new(Broker::new("localhost", "test"))).unwrap()
    }

    const AT: &str = "homeassistant/sensor/n1/temperature/config";
    const SENSOR: &str = r#"{"stat_t": "n1", "val_tpl": "{{ value_json.t }}", "exp_aft": 60,
        "unit_of_meas": "°C", "avty_t": "n1/there", "dev": {"ids": ["n1"]}}"#;

    fn told(outcome: &Outcome) -> Vec<(&str, bool)> {
        let all = outcome.readings.values().flatten();
        all.map(|reading| {
            let late = reading.quality.contains(Quality::TIME_OFFSET);
            (&*reading.field, late)
        })
        .collect()
    }

    #[test]
    fn a_device_comes_speaks_goes_offline_and_is_taken_back() {
        let mut registry = registry();
        let now = Duration::from_secs(5);
        assert_eq!(registry.announced(AT, SENSOR), []);
        let changes = registry.changes();
        assert_eq!(&*changes.things[0].node.id, "n1");
        let (topics, _) = registry.subscriptions();
        assert_eq!(topics, ["n1", "n1/there"]);

        let old = registry.published("n1", r#"{"t": 20}"#, Age::Retained, now);
        assert_eq!(told(&old), [("temperature", true)]);
        let fresh = registry.published("n1", r#"{"t": 21}"#, Age::Now, now);
        assert_eq!(told(&fresh), [("temperature", false)]);
        assert!(told(&registry.published("n1", "{}", Age::Now, now)).is_empty());
        // With another subscription what is kept comes once more.
        let again = registry.published("n1", r#"{"t": 20}"#, Age::Retained, now);
        assert!(told(&again).is_empty());

        let lost = registry.published("n1/there", "offline", Age::Now, now);
        assert_eq!(lost.stale, ["n1"]);
        let held_back = registry.published("n1", r#"{"t": 22}"#, Age::Now, now);
        assert!(told(&held_back).is_empty());
        let back = registry.published("n1/there", "online", Age::Now, now);
        assert_eq!(told(&back), [("temperature", true)]);

        assert_eq!(registry.announced(AT, ""), []);
        let changes = registry.changes();
        assert_eq!(changes.gone, ["n1"]);
        assert_eq!(registry.subscriptions().1, ["n1", "n1/there"]);
        assert!(
            !registry
                .published("n1", r#"{"t": 22}"#, Age::Now, now)
                .wanted
        );
    }

    #[test]
    fn a_value_that_is_not_renewed_is_stale() {
        let mut registry = registry();
        let now = Duration::from_secs(5);
        registry.announced(AT, SENSOR);
        registry.published("n1", r#"{"t": 21}"#, Age::Now, now);
        let end = registry.expires_at().unwrap();
        assert_eq!(end, now + Duration::from_secs(60));
        assert!(registry.expire(now).is_empty());
        assert_eq!(registry.expire(end), ["n1"]);
        assert!(registry.expire(end).is_empty());
        let fresh = registry.published("n1", r#"{"t": 21}"#, Age::Now, end);
        assert_eq!(told(&fresh), [("temperature", false)]);
    }

    #[test]
    fn what_is_announced_again_unchanged_changes_nothing() {
        let mut registry = registry();
        registry.announced(AT, SENSOR);
        registry.changes();
        registry.announced(AT, SENSOR);
        assert!(registry.changes().things.is_empty());
        let wrong = r#"{"stat_t": "n1", "val_tpl": "{{ now() }}"}"#;
        assert_eq!(registry.announced(AT, wrong).len(), 1);
        assert_eq!(registry.changes().gone, ["n1"]);
        // Told once.
        assert_eq!(registry.announced(AT, wrong), []);
    }

    #[test]
    fn two_fields_of_one_name_are_told_apart_or_one_is_left_out() {
        let mut registry = registry();
        let named = |topic: &str| {
            format!(r#"{{"name": "State", "stat_t": "{topic}", "dev": {{"ids": "d"}}}}"#)
        };
        for object in ["one", "two"] {
            let at = format!("homeassistant/sensor/{object}/config");
            assert_eq!(registry.announced(&at, &named(object)), []);
        }
        let again = registry.announced("homeassistant/sensor/x/two/config", &named("z"));
        assert_eq!(
            again,
            [(
                "two".to_owned(),
                LeftOut::NameTaken(Text::from_static("two"))
            )]
        );
        let names: Vec<_> = registry.things()[0]
            .fields
            .iter()
            .map(|f| f.name.to_string())
            .collect();
        assert_eq!(names, ["State", "two"]);
    }

    #[test]
    fn what_is_announced_is_bounded() {
        let mut registry = registry();
        for at in 0..MAX_ANNOUNCEMENTS + 10 {
            let topic = format!("homeassistant/sensor/o{at}/config");
            let payload = format!(r#"{{"stat_t": "t/{at}"}}"#);
            let left_out = registry.announced(&topic, &payload);
            assert_eq!(left_out.is_empty(), at < MAX_THINGS, "{at}");
        }
        assert_eq!(registry.things().len(), MAX_THINGS);
        assert_eq!(registry.announcements.len(), MAX_ANNOUNCEMENTS);
        for at in 0..MAX_FIELDS + 10 {
            let topic = format!("homeassistant/sensor/o0/f{at}/config");
            let payload = r#"{"stat_t": "t/0", "dev": {"ids": "o0"}}"#;
            registry.announcements.remove(&topic);
            registry
                .announcements
                .remove(&format!("homeassistant/sensor/o{}/config", 2000 + at));
            registry.announced(&topic, payload);
        }
        assert_eq!(
            registry.outlets_of(&Text::from_static("o0")).count(),
            MAX_FIELDS
        );
    }
}

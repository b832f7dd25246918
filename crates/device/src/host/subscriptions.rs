//! Who subscribed to which of our fields (`urn:nf:iot:events:1.0` and its kin), and what each
//! is to be told when. Without I/O: requests, samples, departures and the time come in, and
//! what is due comes out.

use std::collections::BTreeMap;
use std::time::Duration;

use stanchion_stanza::payload::iot_events::{Subscribe, Watched, interval};
use stanchion_stanza::payload::sensordata::{
    Categories, Field, Fields, Node, NodeFields, Profile, RequestId, Timestamp,
};
use stanchion_stanza::{Jid, Text};

use crate::model::{Sample, ThingSpec, Value, as_f64, same};

/// Subscriptions in all.
const MOST: usize = 1024;
/// Subscriptions of one address.
const MOST_OF_ONE: usize = 32;
/// Things and fields that one subscription may name.
const MOST_NAMED: usize = 256;
/// Fields that one subscription remembers; of further ones every value is told.
const MOST_FIELDS: usize = 1024;
/// Something is told that often at most by itself, whatever is asked for.
const LEAST_INTERVAL: Duration = Duration::from_secs(1);

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

/// What is due to a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Due {
    /// Whom to tell.
    pub(super) to: Jid,
    /// In which words.
    pub(super) profile: Profile,
    /// What.
    pub(super) fields: Fields,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    all: BTreeMap<(Jid, String), Subscription>,
}

#[derive(Debug)]
struct Subscription {
    id: RequestId,
    profile: Profile,
    categories: Categories,
    every_category: bool,
    things: Vec<Node>,
    watched: Vec<Watched>,
    min: Duration,
    max: Option<Duration>,
    /// When something was told last, or it began.
    told: Duration,
    /// The last values, by thing and field.
    fields: BTreeMap<(Text, Text), Known>,
    /// Whether something has changed enough to be told.
    triggered: bool,
}

#[derive(Debug)]
struct Known {
    field: Field,
    at: Text,
    /// What changes are measured against.
    told: Option<Value>,
}

impl Subscriptions {
    /// Takes a subscription in place of an earlier one of that id, and gives what the
    /// subscriber is to be told at once, if it wants that. `latest` are the values as they
    /// are, as far as the subscriber may read them.
    ///
    /// # Errors
    /// [`SubscribeError`]; an earlier one of that id stands.
    pub(super) fn subscribe(
        &mut self,
        now: Duration,
        who: Jid,
        profile: Profile,
        asked: Subscribe,
        latest: &[(Node, Text, Field)],
    ) -> Result<Option<Due>, SubscribeError> {
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
        let mut subscription = Subscription {
            id: asked.id,
            profile,
            categories: asked.categories,
            every_category: asked.all || asked.categories.is_empty(),
            things: asked.nodes,
            watched: asked.fields,
            min,
            max,
            told: now,
            fields: BTreeMap::new(),
            triggered: false,
        };
        for (thing, at, field) in latest {
            subscription.begin(thing, at, field);
        }
        let due = asked.now.then(|| subscription.tell(now, &who)).flatten();
        self.all.insert(key, subscription);
        Ok(due)
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

    /// That thing is gone, or does not answer: what it told is not told again.
    pub(super) fn forget(&mut self, thing: &Text) {
        for subscription in self.all.values_mut() {
            subscription.fields.retain(|(of, _), _| of != thing);
        }
    }

    /// All end, as with a new session: subscribers see that we were away, and come again.
    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    /// Whether there are none.
    #[must_use]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Takes what a thing told, and gives what is due to whom. `may` says who may read which
    /// field: it is asked each time, as that can change.
    pub(super) fn sample(
        &mut self,
        now: Duration,
        spec: &ThingSpec,
        sample: &Sample,
        may: impl Fn(&Jid, &Text) -> bool,
    ) -> Vec<Due> {
        let at = stanchion_stanza::payload::datetime::utc(sample.at.as_unix_ms());
        let mut due = Vec::new();
        for ((who, _), subscription) in &mut self.all {
            if !subscription.is_about(&spec.node) {
                continue;
            }
            for reading in &sample.readings {
                if let Some(field) = spec.field(&reading.field)
                    && may(who, &reading.field)
                {
                    let field = Field {
                        categories: field.categories,
                        quality: reading.quality,
                        writable: field.writable.then_some(true),
                        ..Field::momentary(reading.field.clone(), reading.value.clone())
                    };
                    subscription.take(&spec.node, &at, field);
                }
            }
            let open = now >= subscription.told.saturating_add(subscription.min);
            if subscription.triggered && open {
                due.extend(subscription.tell(now, who));
            }
        }
        due
    }

    /// What is due by the time.
    pub(super) fn due(&mut self, now: Duration) -> Vec<Due> {
        let mut due = Vec::new();
        for ((who, _), subscription) in &mut self.all {
            if subscription.wakes().is_some_and(|at| at <= now) {
                due.extend(subscription.tell(now, who));
            }
        }
        due
    }

    /// When something is due by the time.
    #[must_use]
    pub(super) fn wakes(&self) -> Option<Duration> {
        self.all.values().filter_map(Subscription::wakes).min()
    }
}

impl Subscription {
    fn is_about(&self, thing: &Node) -> bool {
        self.things.is_empty() || self.things.iter().any(|n| n.id == thing.id)
    }

    fn wants(&self, field: &Field) -> bool {
        let named = self.watched.is_empty() || self.watched.iter().any(|f| f.name == field.name);
        named && (self.every_category || field.categories.intersects(self.categories))
    }

    /// A value as it is when the subscription begins: changes count from it, or from what the
    /// subscriber says that it has.
    fn begin(&mut self, thing: &Node, at: &Text, field: &Field) {
        if !self.is_about(thing) || !self.wants(field) || self.fields.len() >= MOST_FIELDS {
            return;
        }
        let watched = self.watched.iter().find(|f| f.name == field.name);
        let said = watched.and_then(|f| f.value.as_ref());
        let said = said.and_then(|value| value.parse().ok());
        let told = match said {
            Some(value) => Value::Numeric {
                value,
                unit: Text::default(),
            },
            None => field.value.clone(),
        };
        let known = Known {
            field: field.clone(),
            at: at.clone(),
            told: Some(told),
        };
        self.fields
            .insert((thing.id.clone(), field.name.clone()), known);
    }

    fn take(&mut self, thing: &Node, at: &Text, field: Field) {
        if !self.wants(&field) {
            return;
        }
        let key = (thing.id.clone(), field.name.clone());
        let full = self.fields.len() >= MOST_FIELDS;
        match self.fields.get_mut(&key) {
            Some(known) => {
                let watched = self.watched.iter().find(|f| f.name == field.name);
                let changed = known
                    .told
                    .as_ref()
                    .is_none_or(|told| has_changed(watched, told, &field.value));
                self.triggered |= changed;
                known.field = field;
                known.at = at.clone();
            }
            None if full => {}
            None => {
                self.triggered = true;
                let known = Known {
                    field,
                    at: at.clone(),
                    told: None,
                };
                self.fields.insert(key, known);
            }
        }
    }

    fn wakes(&self) -> Option<Duration> {
        let held = self.triggered.then(|| self.told.saturating_add(self.min));
        let refresh = self.max.filter(|_| !self.fields.is_empty());
        let refresh = refresh.map(|max| self.told.saturating_add(max));
        held.into_iter().chain(refresh).min()
    }

    /// All fields as they are: what an event gives is a read-out.
    fn tell(&mut self, now: Duration, who: &Jid) -> Option<Due> {
        self.told = now;
        self.triggered = false;
        let mut nodes: Vec<NodeFields> = Vec::new();
        for ((thing, _), known) in &mut self.fields {
            known.told = Some(known.field.value.clone());
            if nodes.last().is_none_or(|n| n.node.id != *thing) {
                let node = Node::new(thing.clone());
                let timestamps = Vec::new();
                nodes.push(NodeFields { node, timestamps });
            }
            let Some(node) = nodes.last_mut() else {
                continue;
            };
            match node.timestamps.iter_mut().find(|t| t.at == known.at) {
                Some(timestamp) => timestamp.fields.push(known.field.clone()),
                None => node.timestamps.push(Timestamp {
                    at: known.at.clone(),
                    fields: vec![known.field.clone()],
                }),
            }
        }
        (!nodes.is_empty()).then(|| Due {
            to: who.clone(),
            profile: self.profile,
            fields: Fields {
                id: self.id.clone(),
                done: true,
                nodes,
            },
        })
    }
}

/// Whether a value is far enough from the one that was told, by what the subscriber wants to
/// know; anything else, if it wants nothing in particular.
fn has_changed(watched: Option<&Watched>, told: &Value, value: &Value) -> bool {
    let number = |value: &Value| match value {
        Value::Boolean(on) => Some(f64::from(u8::from(*on))),
        value => as_f64(value),
    };
    let Some(watched) = watched.filter(|w| w.by.is_some() || w.up.is_some() || w.down.is_some())
    else {
        return match (number(told), number(value)) {
            // A subscriber says what it has without a unit.
            #[allow(clippy::float_cmp)]
            (Some(told), Some(value)) => told != value,
            _ => !same(told, value),
        };
    };
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
mod tests {
    use stanchion_reliability::store::WallTime;

    use super::*;
    use crate::model::{FieldSpec, Kind, number};

    fn text(s: &'static str) -> Text {
        Text::from_static(s)
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn phone() -> Jid {
        "phone@home.example/x".parse().unwrap()
    }

    fn hall() -> ThingSpec {
        ThingSpec::new(text("hall"))
            .with_field(FieldSpec::numeric(text("temperature"), text("Cel")))
            .with_field(FieldSpec::new(text("on"), Kind::Boolean))
    }

    fn sample(temperature: f64) -> Sample {
        let value = number(temperature, 1, text("Cel")).unwrap();
        let at = WallTime::from_unix_ms(1_700_000_000_000);
        Sample::one(text("hall"), at, text("temperature"), value)
    }

    fn latest(temperature: f64) -> Vec<(Node, Text, Field)> {
        let value = number(temperature, 1, text("Cel")).unwrap();
        let field = Field::momentary(text("temperature"), value);
        vec![(Node::new(text("hall")), text("2026-01-01T00:00:00Z"), field)]
    }

    fn by(step: f64) -> Subscribe {
        Subscribe {
            id: 7.into(),
            categories: Categories::MOMENTARY,
            fields: vec![Watched {
                by: Some(step.into()),
                ..Watched::new(text("temperature"))
            }],
            ..Subscribe::default()
        }
    }

    struct Rig(Subscriptions);

    impl Rig {
        fn with(asked: Subscribe) -> Self {
            let mut all = Subscriptions::default();
            let latest = latest(20.0);
            let due = all.subscribe(at(0), phone(), Profile::Nf, asked, &latest);
            assert_eq!(due, Ok(None));
            Self(all)
        }

        fn sample(&mut self, seconds: u64, temperature: f64) -> usize {
            let sample = sample(temperature);
            let due = self.0.sample(at(seconds), &hall(), &sample, |_, _| true);
            due.len()
        }
    }

    #[test]
    fn a_change_is_told_once_it_is_as_large_as_was_asked_for() {
        let mut rig = Rig::with(by(1.0));
        assert_eq!(rig.sample(1, 20.9), 0);
        assert_eq!(rig.sample(2, 19.1), 0);
        assert_eq!(rig.sample(3, 21.0), 1);
        assert_eq!(rig.sample(4, 20.5), 0, "counted from what was told");
        assert_eq!(rig.sample(5, 20.0), 1);
        let mut up = by(1.0);
        up.fields[0].up = up.fields[0].by.take();
        let mut rig = Rig::with(up);
        assert_eq!(rig.sample(1, 15.0), 0, "only what rises");
        assert_eq!(rig.sample(2, 21.5), 1);
    }

    #[test]
    fn nothing_is_told_too_soon_and_something_after_the_longest_time() {
        let mut asked = by(1.0);
        asked.min_interval = Some(text("PT10S"));
        asked.max_interval = Some(text("PT1M"));
        let mut rig = Rig::with(asked);
        assert_eq!(rig.sample(5, 30.0), 0);
        assert_eq!(rig.0.wakes(), Some(at(10)));
        assert_eq!(rig.0.due(at(9)).len(), 0);
        let due = rig.0.due(at(10));
        assert_eq!((due.len(), &due[0].to), (1, &phone()));
        assert_eq!(due[0].fields.id, 7.into());
        assert_eq!(due[0].fields.iter().count(), 1);
        assert_eq!(rig.0.wakes(), Some(at(70)));
        assert_eq!(rig.0.due(at(70)).len(), 1, "changed or not");
    }

    #[test]
    fn what_one_may_not_read_is_not_told() {
        let mut rig = Rig::with(by(1.0));
        let due = rig.0.sample(at(1), &hall(), &sample(30.0), |_, field| {
            *field != "temperature"
        });
        assert_eq!(due, []);
    }

    #[test]
    fn a_subscriber_can_say_what_it_has_and_ask_for_it_at_once() {
        let mut asked = by(1.0);
        asked.fields[0].value = Some(text("30"));
        let mut rig = Rig::with(asked);
        assert_eq!(rig.sample(1, 20.0), 1, "far from 30");
        let mut all = Subscriptions::default();
        let mut asked = by(1.0);
        asked.now = true;
        let due = all.subscribe(at(0), phone(), Profile::Nf, asked, &latest(20.0));
        assert_eq!(due.unwrap().unwrap().fields.iter().count(), 1);
    }

    #[test]
    fn who_is_gone_is_told_nothing() {
        let mut rig = Rig::with(by(1.0));
        rig.0.gone(&"phone@home.example/y".parse().unwrap());
        assert_eq!(rig.0.all.len(), 1);
        rig.0.gone(&phone());
        assert!(rig.0.is_empty());
        let mut rig = Rig::with(by(1.0));
        rig.0.gone(&"phone@home.example".parse().unwrap());
        assert!(rig.0.is_empty());
        let mut rig = Rig::with(by(1.0));
        assert!(
            !rig.0
                .unsubscribe(&"x@home.example/x".parse().unwrap(), &7.into())
        );
        assert!(rig.0.unsubscribe(&phone(), &7.into()));
    }

    #[test]
    fn subscriptions_are_bounded_and_one_of_the_same_id_takes_the_place() {
        let mut all = Subscriptions::default();
        for n in 0..100 {
            let asked = Subscribe {
                id: (n % 32).into(),
                ..by(1.0)
            };
            assert!(
                all.subscribe(at(0), phone(), Profile::Nf, asked, &[])
                    .is_ok()
            );
        }
        assert_eq!(all.all.len(), MOST_OF_ONE);
        let more = Subscribe {
            id: 99.into(),
            ..by(1.0)
        };
        let none = all.subscribe(at(0), phone(), Profile::Nf, more, &[]);
        assert_eq!(none, Err(SubscribeError::TooMany));
        let large = Subscribe {
            nodes: vec![Node::new(text("x")); MOST_NAMED + 1],
            ..by(1.0)
        };
        let none = all.subscribe(at(0), phone(), Profile::Nf, large, &[]);
        assert_eq!(none, Err(SubscribeError::TooLarge));
        for (min, max) in [("nonsense", "PT1S"), ("PT2S", "PT1S")] {
            let odd = Subscribe {
                min_interval: Some(text(min)),
                max_interval: Some(text(max)),
                ..by(1.0)
            };
            assert!(
                all.subscribe(at(0), phone(), Profile::Nf, odd, &[])
                    .is_err()
            );
        }
    }
}

//! The laws of subscriptions, on a table that is filled by hand.

use std::sync::Arc;

use stanchion_reliability::store::WallTime;
use stanchion_stanza::payload::sensordata::{Categories, Node};

use super::*;
use crate::model::{FieldSpec, Kind, Sample, Sampling, number};

/// Things of the large account.
const THINGS: usize = 1000;

fn text(s: &'static str) -> Text {
    Text::from_static(s)
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn phone() -> Jid {
    "phone@home.example/x".parse().unwrap()
}

fn temperature(thing: Text, sampling: Sampling) -> ThingSpec {
    let temperature = FieldSpec::numeric(text("temperature"), text("Cel"));
    ThingSpec::new(thing)
        .with_field(temperature.sampled(sampling))
        .with_field(FieldSpec::new(text("smoke"), Kind::Boolean).in_lane(Lane::Alarm))
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

/// Everything, by any change.
fn everything() -> Subscribe {
    Subscribe {
        id: 7.into(),
        ..Subscribe::default()
    }
}

struct Rig {
    table: Table,
    all: Subscriptions,
    adapter: Arc<str>,
}

impl Rig {
    /// With a hall at 20 degrees.
    fn new() -> Self {
        let mut rig = Self::empty();
        rig.thing(text("hall"));
        rig.sample(at(0), text("hall"), 20.0, true);
        rig
    }

    fn empty() -> Self {
        Self {
            table: Table::default(),
            all: Subscriptions::default(),
            adapter: Arc::from("a"),
        }
    }

    fn with(asked: Subscribe) -> Self {
        let mut rig = Self::new();
        rig.subscribe(asked).unwrap();
        assert_eq!(rig.told(at(0)), [""; 0]);
        rig
    }

    fn thing(&mut self, id: Text) {
        let spec = temperature(id, Sampling::ALL);
        self.table.put(&self.adapter, spec).unwrap();
    }

    fn subscribe(&mut self, asked: Subscribe) -> Result<(), SubscribeError> {
        let table = &self.table;
        self.all
            .subscribe(at(0), phone(), Profile::Nf, asked, table)
    }

    fn sample(&mut self, now: Duration, thing: Text, temperature: f64, may: bool) {
        let value = number(temperature, 1, text("Cel")).unwrap();
        self.value(now, thing, text("temperature"), value, may);
    }

    fn value(&mut self, now: Duration, thing: Text, field: Text, value: Value, may: bool) {
        let time = WallTime::from_unix_ms(1_700_000_000_000);
        let sample = Sample::one(thing.clone(), time, field, value);
        if let Some(told) = self.table.sample(now, "a", sample) {
            let spec = Arc::clone(self.table.thing(&thing).unwrap());
            self.all.take(now, &spec, &told, |_, _| may);
        }
    }

    /// Of which things somebody is told now.
    fn told(&mut self, now: Duration) -> Vec<Text> {
        self.all.tick(now);
        let next = || self.all.next(now, &self.table);
        let events = std::iter::from_fn(next);
        events.flat_map(|event| event.things).collect()
    }

    /// How many events there are, once the hall has that temperature.
    fn hall(&mut self, seconds: u64, temperature: f64) -> usize {
        self.sample(at(seconds), text("hall"), temperature, true);
        self.told(at(seconds)).len()
    }
}

#[test]
fn a_change_is_told_once_it_is_as_large_as_was_asked_for() {
    let mut rig = Rig::with(by(1.0));
    assert_eq!(rig.hall(1, 20.9), 0);
    assert_eq!(rig.hall(2, 19.1), 0);
    assert_eq!(rig.hall(3, 21.0), 1);
    assert_eq!(rig.hall(4, 20.5), 0, "counted from what was told");
    assert_eq!(rig.hall(5, 20.0), 1);
    let mut up = by(1.0);
    up.fields[0].up = up.fields[0].by.take();
    let mut rig = Rig::with(up);
    assert_eq!(rig.hall(1, 15.0), 0, "only what rises");
    assert_eq!(rig.hall(2, 21.5), 1);
}

#[test]
fn nothing_is_told_too_soon_and_something_after_the_longest_time() {
    let mut asked = by(1.0);
    asked.min_interval = Some(text("PT10S"));
    asked.max_interval = Some(text("PT1M"));
    let mut rig = Rig::with(asked);
    assert_eq!(rig.hall(5, 30.0), 0);
    assert_eq!(rig.all.wakes(), Some(at(10)));
    assert_eq!(rig.told(at(9)).len(), 0);
    rig.all.tick(at(10));
    let event = rig.all.next(at(10), &rig.table).unwrap();
    assert_eq!((event.wish.to, event.wish.id), (Some(phone()), 7.into()));
    assert_eq!(event.things, [text("hall")]);
    assert_eq!(rig.all.wakes(), Some(at(70)));
    assert_eq!(rig.told(at(70)), ["hall"], "changed or not");
}

#[test]
fn what_one_may_not_read_is_not_told() {
    let mut rig = Rig::with(by(1.0));
    rig.sample(at(1), text("hall"), 30.0, false);
    assert_eq!(rig.told(at(2)), [""; 0]);
}

#[test]
fn a_subscriber_can_say_what_it_has_and_ask_for_it_at_once() {
    let mut asked = by(1.0);
    asked.fields[0].value = Some(text("30"));
    let mut rig = Rig::new();
    rig.subscribe(asked).unwrap();
    assert_eq!(rig.told(GATHER), ["hall"], "20 is far from 30");
    assert_eq!(rig.hall(1, 20.0), 0);
    let mut asked = by(1.0);
    asked.fields[0].value = Some(text("20.5"));
    let mut rig = Rig::with(asked);
    assert_eq!(rig.hall(1, 20.0), 0);
    let mut asked = by(1.0);
    asked.now = true;
    let mut rig = Rig::new();
    rig.subscribe(asked).unwrap();
    assert_eq!(rig.told(at(0)), ["hall"]);
}

#[test]
fn who_is_gone_is_told_nothing() {
    let mut rig = Rig::with(by(1.0));
    rig.all.gone(&"phone@home.example/y".parse().unwrap());
    assert_eq!(rig.all.all.len(), 1);
    rig.all.gone(&phone());
    assert!(rig.all.is_empty());
    let mut rig = Rig::with(by(1.0));
    rig.all.gone(&"phone@home.example".parse().unwrap());
    assert!(rig.all.is_empty());
    let mut rig = Rig::with(by(1.0));
    let other = "x@home.example/x".parse().unwrap();
    assert!(!rig.all.unsubscribe(&other, &7.into()));
    assert!(rig.all.unsubscribe(&phone(), &7.into()));
}

#[test]
fn subscriptions_are_bounded_and_one_of_the_same_id_takes_the_place() {
    let mut rig = Rig::new();
    for n in 0..100 {
        let asked = Subscribe {
            id: (n % 32).into(),
            ..by(1.0)
        };
        assert!(rig.subscribe(asked).is_ok());
    }
    assert_eq!(rig.all.all.len(), MOST_OF_ONE);
    let more = Subscribe {
        id: 99.into(),
        ..by(1.0)
    };
    assert_eq!(rig.subscribe(more), Err(SubscribeError::TooMany));
    let large = Subscribe {
        nodes: vec![Node::new(text("x")); MOST_NAMED + 1],
        ..by(1.0)
    };
    assert_eq!(rig.subscribe(large), Err(SubscribeError::TooLarge));
    for (min, max) in [("nonsense", "PT1S"), ("PT2S", "PT1S")] {
        let odd = Subscribe {
            min_interval: Some(text(min)),
            max_interval: Some(text(max)),
            ..by(1.0)
        };
        assert!(rig.subscribe(odd).is_err());
    }
}

fn id(number: usize) -> Text {
    Text::new(format!("meter-{number}")).unwrap()
}

/// An account with a thousand things and a subscription to all of them.
fn large(asked: Subscribe) -> Rig {
    let mut rig = Rig::empty();
    (0..THINGS).for_each(|n| rig.thing(id(n)));
    rig.subscribe(asked).unwrap();
    rig
}

/// Plays a thousand things of which each measures once a second, at a time of its own, and
/// counts what is told of each.
fn play(rig: &mut Rig, seconds: u64) -> BTreeMap<Text, u64> {
    let mut told: BTreeMap<Text, u64> = BTreeMap::new();
    for second in 0..seconds {
        for n in 0..THINGS {
            let now = at(second) + Duration::from_millis(n as u64);
            #[allow(clippy::cast_precision_loss, reason = "a few seconds")]
            rig.sample(now, id(n), second as f64, true);
            for thing in rig.told(now) {
                *told.entry(thing).or_default() += 1;
            }
        }
    }
    let end = at(seconds) + GATHER;
    for thing in rig.told(end) {
        *told.entry(thing).or_default() += 1;
    }
    told
}

#[test]
fn each_value_of_a_thousand_things_at_one_hertz_is_told_once() {
    let mut rig = large(everything());
    let told = play(&mut rig, 10);
    assert_eq!(told.len(), THINGS);
    let other = told.iter().find(|(_, times)| **times != 10);
    assert_eq!(other, None, "each value once, and nothing twice");
    assert_eq!(rig.all.figures().coalesced, 0);
}

#[test]
fn a_subscriber_that_wants_less_is_told_the_newest_and_the_rest_is_counted() {
    let asked = Subscribe {
        min_interval: Some(text("PT2S")),
        ..everything()
    };
    let mut rig = large(asked);
    let told = play(&mut rig, 10);
    assert_eq!(told.len(), THINGS);
    let all: u64 = told.values().sum();
    let coalesced = rig.all.figures().coalesced;
    let waiting = rig.told(at(60)).len() as u64;
    assert_eq!(all + waiting + coalesced, 10 * THINGS as u64);
    assert!(all <= 5 * THINGS as u64 + THINGS as u64, "{all}");
}

#[test]
fn an_alarm_does_not_wait_for_others() {
    let mut rig = Rig::with(everything());
    assert_eq!(rig.hall(1, 21.0), 1);
    let soon = at(1) + Duration::from_millis(1);
    rig.sample(soon, text("hall"), 22.0, true);
    assert_eq!(rig.told(soon), [""; 0], "told together with what follows");
    let alarm = Value::Boolean(true);
    rig.value(soon, text("hall"), text("smoke"), alarm, true);
    assert_eq!(rig.told(soon), ["hall"]);
}

#[test]
fn what_waits_is_bounded_and_all_is_told_where_it_would_be_more() {
    let mut rig = Rig::empty();
    let all = MOST_WAITING + 10;
    (0..all).for_each(|n| rig.thing(id(n)));
    let asked = Subscribe {
        min_interval: Some(text("PT10S")),
        ..everything()
    };
    rig.subscribe(asked).unwrap();
    for n in 0..all {
        rig.sample(at(1), id(n), 1.0, true);
        let waiting: usize = rig.all.all.values().map(|one| one.waiting.len()).sum();
        assert!(waiting <= MOST_WAITING);
    }
    assert_eq!(rig.told(at(10)).len(), all);
}

#[test]
fn marks_are_bounded_and_without_one_every_change_is_told() {
    let mut rig = Rig::new();
    rig.subscribe(by(10.0)).unwrap();
    let subscription = rig.all.all.values_mut().next().unwrap();
    subscription.marks.clear();
    let things = VecDeque::from([text("hall")]);
    subscription.mark(&things, &rig.table, 0);
    assert!(subscription.marks.is_empty(), "there is no room");
    assert_eq!(rig.hall(1, 20.5), 1);
}

#[test]
fn after_a_gap_all_is_told_anew() {
    let mut rig = large(everything());
    play(&mut rig, 1);
    rig.all.again();
    assert_eq!(rig.told(at(10)).len(), THINGS);
}

//! The state machine, fed by hand: what it asks, and what comes out.

use std::sync::{Arc, Mutex};

use stanchion_reliability::store::WallTime;
use stanchion_stanza::payload::pubsub::{Answer, Item, Request as Ask};
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};
use stanchion_stanza::{Payload as _, Text};

use super::*;
use crate::request::{Request, RequestKind};

const STREAM: &str = "00000000000000aa";

fn text(s: impl Into<String>) -> Text {
    Text::new(s).unwrap()
}

fn value(s: &str) -> Element {
    Element::new("v", "urn:example").with_text(text(s))
}

fn service() -> Jid {
    "pubsub.home.example".parse().unwrap()
}

fn item(id: &str, content: &str) -> Item {
    Item::of(Some(text(id)), value(content))
}

fn numbered(number: u64) -> Item {
    item(&format!("{STREAM}.{number}"), &number.to_string())
}

fn refused(kind: ErrorType, condition: DefinedCondition) -> RequestError {
    RequestError::Refused {
        by: None,
        error: Box::new(StanzaError::new(kind, condition)),
        beside: None,
    }
}

/// The machine, and what it wanted so far.
struct Bench {
    state: State,
    now: Duration,
    asked: VecDeque<(u64, Ask)>,
    kept: Vec<Change>,
    /// Tags of rows that are not durable yet.
    keeping: VecDeque<u64>,
    prompt: bool,
}

impl Bench {
    fn new() -> Self {
        Self {
            state: State::default(),
            now: Duration::from_secs(100),
            asked: VecDeque::new(),
            kept: Vec::new(),
            keeping: VecDeque::new(),
            prompt: true,
        }
    }

    fn up(resumed: bool) -> Self {
        let mut bench = Self::new();
        bench.connect(resumed);
        bench
    }

    fn connect(&mut self, resumed: bool) {
        self.state.up("me@home.example".parse().unwrap(), resumed);
        self.run();
    }

    fn now(&self) -> Now {
        Now {
            monotonic: self.now,
            wall: WallTime::from_unix_ms(1_700_000_000_000),
        }
    }

    fn handle(&mut self, input: Input<'_>) -> Taken {
        let taken = self.state.handle(self.now(), input);
        self.run();
        taken
    }

    fn run(&mut self) {
        loop {
            match self.state.poll_output() {
                Output::Request { tag, request } => self.asked.push_back((tag, read(&request))),
                Output::Keep { tag, changes } => {
                    self.kept.extend(changes);
                    self.keeping.extend(tag);
                }
                Output::Wait(_) => break,
                _ => {}
            }
        }
        while self.prompt
            && let Some(tag) = self.keeping.pop_front()
        {
            self.handle(Input::Kept { tag });
        }
    }

    fn after(&mut self, time: Duration) {
        self.now += time;
        self.handle(Input::Tick);
    }

    fn next(&mut self) -> (u64, Ask) {
        self.asked.pop_front().expect("it asks")
    }

    fn answer(&mut self, tag: u64, answer: Answer) {
        let answer = Ok(Some(answer.to_element()));
        self.handle(Input::Answer { tag, answer });
    }

    fn fail(&mut self, tag: u64, error: RequestError) {
        let answer = Err(error);
        self.handle(Input::Answer { tag, answer });
    }

    fn event(&mut self, from: &str, items: Vec<Item>) -> Taken {
        let event = Event::Items {
            node: text("n"),
            items,
            retracted: Vec::new(),
        };
        let mut message =
            Message::chat("me@home.example".parse().unwrap()).with_payload(event.to_element());
        message.kind = MessageType::Headline;
        message.header.from = Some(from.parse().unwrap());
        self.handle(Input::Stanza(&message.into()))
    }

    // ---- ends -----------------------------------------------------------------------

    fn publisher(&mut self, config: PublisherConfig) -> u64 {
        let at = service();
        let wake = Wake(Box::new(|| {}));
        self.state
            .open_publisher(Some(&at), "n", config, 0xaa, wake)
            .unwrap()
    }

    fn publish(&mut self, publisher: u64, content: &str) -> Arc<Mutex<Vec<Stage>>> {
        let stages = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&stages);
        let publishing = Publishing {
            id: None,
            payload: value(content),
            tell: Box::new(move |stage| told.lock().unwrap().push(stage.clone())),
        };
        let now = self.now();
        self.state
            .publish(now, publisher, vec![publishing])
            .unwrap();
        self.run();
        stages
    }

    /// The contents of what is published now, with the tags of the requests.
    fn published(&mut self) -> Vec<(u64, String)> {
        let asked = std::mem::take(&mut self.asked);
        asked
            .into_iter()
            .map(|(tag, ask)| match ask {
                Ask::Publish { items, .. } => {
                    (tag, items[0].payload.as_ref().unwrap().text().into_owned())
                }
                other => panic!("{other:?}"),
            })
            .collect()
    }

    fn subscribe(&mut self, kept: Kept, config: SubscriptionConfig) -> u64 {
        let (wake, open) = (Wake(Box::new(|| {})), Arc::new(AtomicBool::new(true)));
        let id = self
            .state
            .open_subscription(Some(service()), text("n"), config, kept, wake, open)
            .unwrap();
        self.run();
        id
    }

    /// Subscribed, and the node holds these.
    fn settled(&mut self, id: u64, items: Vec<Item>) -> Vec<String> {
        let (tag, ask) = self.next();
        assert!(matches!(ask, Ask::Subscribe { .. }), "{ask:?}");
        self.answer(tag, Answer::Empty);
        self.latest(items);
        self.taken(id)
    }

    fn latest(&mut self, items: Vec<Item>) {
        let (tag, ask) = self.next();
        assert!(
            matches!(
                ask,
                Ask::Items {
                    max_items: Some(_),
                    ..
                }
            ),
            "{ask:?}"
        );
        self.answer(tag, held(items));
    }

    fn taken(&mut self, id: u64) -> Vec<String> {
        let taken = self.state.take(id, 1000).unwrap();
        self.run();
        taken.iter().map(show).collect()
    }
}

fn held(items: Vec<Item>) -> Answer {
    Answer::Items {
        node: text("n"),
        items,
        page: None,
    }
}

fn show(handed: &Handed) -> String {
    let text = |item: &Item| {
        item.payload
            .as_ref()
            .map_or("-".into(), |p| p.text().into_owned())
    };
    match handed {
        Handed::Numbered { item, late, .. } => {
            format!("{}{}", text(item), if *late { " late" } else { "" })
        }
        Handed::Foreign { item, .. } => text(item),
        Handed::Gap { first, last, .. } => format!("gap {first}-{last}"),
        Handed::ForeignGap => "gap".to_owned(),
        other => format!("{other:?}"),
    }
}

fn read(request: &Request) -> Ask {
    let (RequestKind::Get(what) | RequestKind::Set(what)) = &request.kind;
    Ask::from_element(what).unwrap()
}

fn wait(condition: DefinedCondition) -> RequestError {
    refused(ErrorType::Wait, condition)
}

// ---- publishing ---------------------------------------------------------------------

#[test]
fn what_is_given_up_is_neither_sent_nor_kept_and_its_numbers_are_used_up() {
    let mut bench = Bench::up(false);
    let config = PublisherConfig {
        window: 1,
        ..PublisherConfig::default()
    };
    let publisher = bench.publisher(config);
    let stages = ["1", "2"].map(|content| bench.publish(publisher, content));
    let (tag, content) = bench.published().remove(0);
    assert_eq!(content, "1");
    assert_eq!(bench.state.give_up(publisher), Some(2));
    bench.run();
    for stage in stages {
        assert_eq!(stage.lock().unwrap().last(), Some(&Stage::Dropped));
    }
    let mut rows = std::collections::BTreeMap::new();
    for change in &bench.kept {
        match change {
            Change::Put { key, value } => rows.insert(key.clone(), value.clone()),
            Change::Delete { key } => rows.remove(key),
            Change::History(_) => None,
        };
    }
    assert!(rows.keys().all(|key| key.starts_with('p')), "{rows:?}");
    // The answer to what was under way says nothing of what comes next.
    let next = bench.publish(publisher, "3");
    bench.answer(tag, Answer::Empty);
    assert_eq!(*next.lock().unwrap(), [Stage::Kept]);
    let (tag, content) = bench.published().remove(0);
    assert_eq!(content, "3");
    bench.answer(tag, Answer::Empty);
    assert_eq!(next.lock().unwrap().last(), Some(&Stage::Confirmed));
    assert_eq!(bench.state.taken(publisher), Some(3));
}

#[test]
fn nothing_is_sent_before_it_is_durable() {
    let mut bench = Bench::up(false);
    let publisher = bench.publisher(PublisherConfig::default());
    bench.prompt = false;
    let stages = bench.publish(publisher, "a");
    assert!(bench.asked.is_empty());
    let tag = bench.keeping.pop_front().unwrap();
    bench.handle(Input::Kept { tag });
    let (tag, _) = bench.published()[0];
    bench.answer(tag, Answer::Empty);
    assert_eq!(*stages.lock().unwrap(), [Stage::Kept, Stage::Confirmed]);
}

#[test]
fn after_a_lost_stream_all_without_an_answer_go_again_in_order() {
    let mut bench = Bench::up(false);
    let config = PublisherConfig {
        window: 3,
        ..PublisherConfig::default()
    };
    let publisher = bench.publisher(config);
    for content in ["a", "b", "c", "d"] {
        bench.publish(publisher, content);
    }
    let sent = bench.published();
    let contents: Vec<_> = sent.iter().map(|(_, content)| content.as_str()).collect();
    assert_eq!(contents, ["a", "b", "c"], "a window of three");
    bench.answer(sent[0].0, Answer::Empty);
    assert_eq!(bench.published()[0].1, "d");
    bench.handle(Input::Down);
    for (tag, _) in &sent[1..] {
        bench.fail(*tag, RequestError::Lost);
    }
    bench.connect(false);
    let again: Vec<_> = bench.published().into_iter().map(|(_, c)| c).collect();
    assert_eq!(again, ["b", "c", "d"]);
    // An answer from before says nothing any more.
    bench.answer(sent[2].0, Answer::Empty);
    assert_eq!(bench.state.publisher(publisher).unwrap().2, 3);
}

#[test]
fn what_is_refused_for_good_holds_up_nothing_and_what_passes_keeps_the_order() {
    let mut bench = Bench::up(false);
    let publisher = bench.publisher(PublisherConfig::default());
    let stages: Vec<_> = ["a", "b", "c"].map(|c| bench.publish(publisher, c)).into();
    let sent = bench.published();
    bench.fail(
        sent[0].0,
        refused(ErrorType::Modify, DefinedCondition::NotAcceptable),
    );
    assert!(matches!(stages[0].lock().unwrap()[1], Stage::Refused(_)));
    bench.fail(sent[1].0, wait(DefinedCondition::ResourceConstraint));
    bench.answer(sent[2].0, Answer::Empty);
    assert_eq!(
        stages[2].lock().unwrap().len(),
        1,
        "it goes again, behind the one before it"
    );
    assert!(bench.published().is_empty(), "not at once");
    bench.after(Duration::from_secs(3));
    let again: Vec<_> = bench.published().into_iter().collect();
    assert_eq!(
        again.iter().map(|(_, c)| c.as_str()).collect::<Vec<_>>(),
        ["b", "c"]
    );
    for (tag, _) in again {
        bench.answer(tag, Answer::Empty);
    }
    assert_eq!(bench.state.publisher(publisher).unwrap().2, 0);
}

#[test]
fn without_an_answer_a_publication_is_in_doubt_and_stays() {
    let mut bench = Bench::up(false);
    let publisher = bench.publisher(PublisherConfig::default());
    let stages = bench.publish(publisher, "a");
    bench.after(Duration::from_secs(61));
    assert_eq!(*stages.lock().unwrap(), [Stage::Kept, Stage::InDoubt]);
    let (tag, _) = bench.published()[0];
    bench.answer(tag, Answer::Empty);
    assert_eq!(stages.lock().unwrap().last(), Some(&Stage::Confirmed));
}

#[test]
fn what_an_earlier_life_kept_goes_first_and_no_number_is_used_twice() {
    let mut bench = Bench::up(false);
    let publisher = bench.publisher(PublisherConfig::default());
    for content in ["a", "b", "c"] {
        bench.publish(publisher, content);
    }
    let (tag, _) = bench.published()[0];
    bench.answer(tag, Answer::Empty);
    // The rows as they are, in the order of their keys.
    let mut rows = BTreeMap::new();
    for change in &bench.kept {
        match change {
            Change::Put { key, value } => drop(rows.insert(key.clone(), value.clone())),
            Change::Delete { key } => drop(rows.remove(key)),
            Change::History(_) => panic!("nodes have no history"),
        }
    }
    let mut second = Bench::new();
    for (key, value) in &rows {
        second.state.restore(key, value);
    }
    second.connect(false);
    let sent: Vec<_> = second.published().into_iter().map(|(_, c)| c).collect();
    assert_eq!(sent, ["b", "c"], "before anybody opened it");
    let publisher = second.publisher(PublisherConfig::default());
    assert_eq!(second.state.taken(publisher), Some(3));
    assert_eq!(
        second.state.publisher(publisher).unwrap().1.as_str(),
        STREAM
    );
    // Rubbish among the rows is left out.
    for (key, value) in [
        ("q", &b"x"[..]),
        ("qno\u{1f}ne\u{1f}1", b"x"),
        ("p", b""),
        ("", b""),
    ] {
        second.state.restore(key, value);
    }
}

#[test]
fn a_full_queue_makes_wait_or_the_oldest_unsent_gives_way() {
    let mut bench = Bench::new();
    let mut config = PublisherConfig {
        capacity: 2,
        ..PublisherConfig::default()
    };
    let publisher = bench.publisher(config.clone());
    bench.publish(publisher, "a");
    bench.publish(publisher, "b");
    let publishing = Publishing {
        id: None,
        payload: value("c"),
        tell: Box::new(|_| {}),
    };
    let now = bench.now();
    let taken = bench
        .state
        .publish(now, publisher, vec![publishing])
        .unwrap();
    assert!(taken.is_empty(), "there is no room");
    config.overflow = Overflow::DropOldest;
    bench.publisher(config);
    bench.publish(publisher, "c");
    bench.connect(false);
    let sent: Vec<_> = bench.published().into_iter().map(|(_, c)| c).collect();
    assert_eq!(sent, ["b", "c"]);
    assert_eq!(bench.state.publisher(publisher).unwrap().0.dropped, 1);
}

#[test]
fn alarms_find_room_whatever_else_is_under_way() {
    let mut bench = Bench::up(false);
    let mut config = PublisherConfig {
        window: 64,
        ..PublisherConfig::default()
    };
    let at = service();
    for node in ["1", "2", "3"] {
        let wake = Wake(Box::new(|| {}));
        let publisher = bench
            .state
            .open_publisher(Some(&at), node, config.clone(), 1, wake);
        let publisher = publisher.unwrap();
        for _ in 0..64 {
            bench.publish(publisher, "telemetry");
        }
    }
    assert_eq!(bench.published().len(), UNDER_WAY - ALARMS);
    config.lane = Lane::Alarm;
    let publisher = bench.publisher(config);
    bench.publish(publisher, "alarm");
    assert_eq!(bench.published()[0].1, "alarm");
}

// ---- subscribing --------------------------------------------------------------------

#[test]
fn what_was_missed_is_asked_for_and_comes_before_what_is_new() {
    let mut bench = Bench::up(false);
    let id = bench.subscribe(Kept::default(), SubscriptionConfig::default());
    assert_eq!(bench.settled(id, vec![numbered(1)]), ["1"]);
    bench.event("pubsub.home.example", vec![numbered(4)]);
    assert_eq!(bench.taken(id), [""; 0]);
    let (tag, ask) = bench.next();
    let Ask::Items { ids, .. } = ask else {
        panic!("{ask:?}")
    };
    assert_eq!(ids.len(), 2);
    bench.answer(tag, held(vec![numbered(3)]));
    assert_eq!(bench.taken(id), ["gap 2-2", "3", "4"]);
}

#[test]
fn only_the_service_that_was_subscribed_to_is_believed() {
    let mut bench = Bench::up(false);
    let id = bench.subscribe(Kept::default(), SubscriptionConfig::default());
    bench.settled(id, Vec::new());
    for forger in [
        "mallory@home.example/x",
        "home.example",
        "pubsub.home.example/x",
    ] {
        assert_eq!(
            bench.event(forger, vec![numbered(1)]),
            Taken::No,
            "{forger}"
        );
    }
    assert_eq!(bench.taken(id), [""; 0]);
    assert_eq!(
        bench.event("pubsub.home.example", vec![numbered(1)]),
        Taken::Yes
    );
    assert_eq!(bench.taken(id), ["1"]);
}

#[test]
fn after_a_new_session_what_came_meanwhile_is_found_and_what_is_gone_is_told() {
    let mut bench = Bench::up(false);
    let id = bench.subscribe(Kept::default(), SubscriptionConfig::default());
    assert_eq!(
        bench.settled(id, vec![numbered(1), numbered(2)]),
        ["1", "2"]
    );
    bench.handle(Input::Down);
    bench.connect(true);
    assert!(
        bench
            .asked
            .iter()
            .all(|(_, ask)| !matches!(ask, Ask::Subscribe { .. }))
    );
    bench.asked.clear();
    bench.handle(Input::Down);
    bench.connect(false);
    let now = bench.settled(id, vec![numbered(2), numbered(9)]);
    assert_eq!(now, [""; 0]);
    let (tag, _) = bench.next();
    bench.answer(tag, held((6..=8).map(numbered).collect()));
    assert_eq!(bench.taken(id), ["gap 3-5", "6", "7", "8", "9"]);
}

#[test]
fn foreign_items_come_once_in_the_order_of_their_publication() {
    let mut bench = Bench::up(false);
    let id = bench.subscribe(Kept::default(), SubscriptionConfig::default());
    let (tag, _) = bench.next();
    bench.answer(tag, Answer::Empty);
    // Live while the latest are asked for: on, then off.
    bench.event("pubsub.home.example", vec![item("current", "on")]);
    bench.event("pubsub.home.example", vec![item("current", "off")]);
    bench.latest(vec![item("older", "x"), item("current", "off")]);
    // In which order the service gives them is seen by its last one.
    let (tag, ask) = bench.next();
    assert!(matches!(
        ask,
        Ask::Items {
            max_items: Some(1),
            ..
        }
    ));
    bench.answer(tag, held(vec![item("current", "off")]));
    assert_eq!(bench.taken(id), ["x", "on", "off"]);
    bench.event("pubsub.home.example", vec![item("current", "off")]);
    bench.event("pubsub.home.example", vec![item("current", "on")]);
    assert_eq!(
        bench.taken(id),
        ["on"],
        "the same again is none, the same later is one"
    );
}

#[test]
fn a_foreign_item_that_is_not_among_the_latest_leaves_a_gap() {
    let mut bench = Bench::up(false);
    let id = bench.subscribe(Kept::default(), SubscriptionConfig::default());
    assert_eq!(bench.settled(id, vec![item("a", "1")]), ["1"]);
    bench.handle(Input::Down);
    bench.connect(false);
    bench.settled(id, vec![item("y", "2"), item("z", "3")]);
    let (tag, _) = bench.next();
    bench.answer(tag, held(vec![item("z", "3")]));
    assert_eq!(bench.taken(id), ["gap", "2", "3"]);
}

#[test]
fn who_begins_with_what_is_new_waits_until_that_is_durable() {
    let mut bench = Bench::up(false);
    bench.prompt = false;
    let config = SubscriptionConfig {
        beginning: Beginning::New,
        ..SubscriptionConfig::default()
    };
    let id = bench.subscribe(Kept::default(), config);
    bench.settled(id, vec![numbered(1), numbered(2)]);
    bench.event("pubsub.home.example", vec![numbered(3)]);
    assert_eq!(bench.taken(id), [""; 0]);
    let tag = bench.keeping.pop_front().unwrap();
    bench.handle(Input::Kept { tag });
    assert_eq!(bench.taken(id), ["3"]);
    let row = bench.kept.iter().find_map(|change| match change {
        Change::Put { key, value } if key.starts_with('c') => StreamCursor::parse(value),
        _ => None,
    });
    assert!(row.unwrap().done.contains(2));
}

#[test]
fn a_node_that_shows_no_items_gives_what_is_live_and_tells_the_gaps() {
    let mut bench = Bench::up(false);
    let id = bench.subscribe(Kept::default(), SubscriptionConfig::default());
    let (tag, _) = bench.next();
    bench.answer(tag, Answer::Empty);
    let (tag, _) = bench.next();
    bench.fail(
        tag,
        refused(ErrorType::Cancel, DefinedCondition::FeatureNotImplemented),
    );
    bench.event("pubsub.home.example", vec![numbered(1)]);
    bench.event(
        "pubsub.home.example",
        vec![numbered(3), Item::named(text("x"))],
    );
    assert_eq!(bench.taken(id), ["1", "gap 2-2", "3", "-"]);
}

#[test]
fn a_notification_without_payload_has_its_item_asked_for() {
    let mut bench = Bench::up(false);
    let id = bench.subscribe(Kept::default(), SubscriptionConfig::default());
    bench.settled(id, Vec::new());
    let named = |number: u64| Item::named(text(format!("{STREAM}.{number}")));
    bench.event("pubsub.home.example", vec![named(1)]);
    let (tag, _) = bench.next();
    bench.answer(tag, held(vec![numbered(1)]));
    assert_eq!(bench.taken(id), ["1"]);
    bench.event("pubsub.home.example", vec![Item::named(text("a"))]);
    bench.latest(vec![item("a", "5")]);
    assert_eq!(bench.taken(id), ["5"]);
}

#[test]
fn what_a_node_sends_and_nobody_takes_has_a_bound_and_is_not_lost() {
    let mut bench = Bench::up(false);
    let id = bench.subscribe(Kept::default(), SubscriptionConfig::default());
    bench.settled(id, Vec::new());
    for number in 1..=2000 {
        bench.event("pubsub.home.example", vec![numbered(number)]);
    }
    let mut taken = bench.taken(id);
    assert!(taken.len() <= 512, "{}", taken.len());
    for _ in 0..100 {
        taken.extend(bench.taken(id));
        let Some((tag, ask)) = bench.asked.pop_front() else {
            continue;
        };
        let Ask::Items { ids, .. } = ask else {
            panic!("{ask:?}")
        };
        let items = ids.iter().map(|id| numbered(Place::of(id).unwrap().number));
        bench.answer(tag, held(items.collect()));
    }
    let expected: Vec<_> = (1..=2000).map(|n| n.to_string()).collect();
    assert!(taken == expected, "{} of 2000", taken.len());
}

#[test]
fn a_node_that_is_missing_is_told_once_and_looked_for_again() {
    let mut bench = Bench::up(false);
    let id = bench.subscribe(Kept::default(), SubscriptionConfig::default());
    for _ in 0..3 {
        let (tag, _) = bench.next();
        bench.fail(
            tag,
            refused(ErrorType::Cancel, DefinedCondition::ItemNotFound),
        );
        bench.after(Duration::from_secs(61));
    }
    let taken = bench.taken(id);
    assert_eq!(taken.len(), 1, "{taken:?}");
    assert!(taken[0].starts_with("Refused"), "{taken:?}");
    assert_eq!(
        bench.settled(id, vec![numbered(1)]),
        ["1"],
        "once it is there"
    );
}

#[test]
fn contacts_are_followed_as_long_as_somebody_looks() {
    let mut bench = Bench::up(false);
    let open = Arc::new(AtomicBool::new(true));
    let wake = Wake(Box::new(|| {}));
    let id = bench
        .state
        .follow(text("n"), wake, Arc::clone(&open))
        .unwrap();
    assert_eq!(bench.state.features(), [text("n+notify")]);
    assert_eq!(
        bench.event("friend@home.example", vec![item("a", "1")]),
        Taken::Yes
    );
    for forger in ["friend@home.example/x", "home.example"] {
        assert_eq!(
            bench.event(forger, vec![item("a", "2")]),
            Taken::No,
            "{forger}"
        );
    }
    let (news, missed) = bench.state.take_followed(id).unwrap();
    assert_eq!(news.unwrap().0.as_str(), "friend@home.example");
    for _ in 0..2 * FOLLOWED {
        bench.event("friend@home.example", vec![item("a", "3")]);
    }
    let (_, more) = bench.state.take_followed(id).unwrap();
    assert_eq!((missed, more), (0, FOLLOWED as u64));
    open.store(false, Ordering::Relaxed);
    assert_eq!(bench.state.features(), [] as [Text; 0]);
    bench.run();
    assert!(bench.state.follows.is_empty());
}

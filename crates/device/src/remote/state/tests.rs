//! Laws of read-outs, subscriptions and commands: fed by hand, one input after the other.

#![allow(clippy::unwrap_used, reason = "a test may fail so")]

use stanchion_reliability::session::Up;
use stanchion_reliability::store::WallTime;
use stanchion_services::service::{Change, RequestKind};
use stanchion_stanza::codec::parse_element;
use stanchion_stanza::payload::sensordata as sd;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};
use stanchion_stanza::stream::StreamFeatures;
use stanchion_stanza::{Limits, Scope, Text};
use tokio::sync::oneshot;

use super::*;

const LAMP: &str = "lamp@home.example/x";

fn now(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        wall: WallTime::from_unix_ms(1_700_000_000_000),
    }
}

fn up(resumed: bool) -> Up {
    let me = "me@home.example/here".parse().unwrap();
    Up::new(me, resumed, StreamFeatures::default(), None)
}

fn element(xml: &str) -> Element {
    parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap()
}

/// The service, and what it wants.
struct Rig {
    state: State,
    requests: Vec<(u64, Request)>,
    changes: Vec<Change>,
    wakes: Option<Duration>,
}

impl Rig {
    fn new() -> Self {
        let mut rig = Self {
            state: State::new(14),
            requests: Vec::new(),
            changes: Vec::new(),
            wakes: None,
        };
        rig.tell(0, Input::Up(&up(false)));
        rig
    }

    fn tell(&mut self, seconds: u64, input: Input<'_>) -> Taken {
        let taken = self.state.handle(now(seconds), input);
        self.poll();
        taken
    }

    fn poll(&mut self) {
        loop {
            match self.state.poll_output() {
                Output::Request { tag, request } => self.requests.push((tag, request)),
                Output::Keep { tag, changes } => {
                    self.changes.extend(changes);
                    if let Some(tag) = tag {
                        self.state.handle(now(0), Input::Kept { tag });
                    }
                }
                Output::Wait(wakes) => return self.wakes = wakes,
                other => panic!("{other:?}"),
            }
        }
    }

    fn read(&mut self) -> u64 {
        self.begin(Ask::Read(Box::new(sd::Request::momentary(0))))
    }

    fn begin(&mut self, ask: Ask) -> u64 {
        let of = LAMP.parse().unwrap();
        let (within, silence) = (Duration::from_secs(30), Duration::from_secs(10));
        let begun = self
            .state
            .begin(now(0), of, Profile::Legacy, ask, within, silence);
        self.poll();
        begun.unwrap()
    }

    /// The id of the newest request.
    fn id(&self) -> String {
        let (_, request) = self.requests.last().unwrap();
        let (RequestKind::Get(element) | RequestKind::Set(element)) = &request.kind;
        element.attr("seqnr").unwrap().to_owned()
    }

    fn says_as(&mut self, seconds: u64, from: &str, xml: &str) -> Taken {
        let xml = format!("<message from='{from}'>{xml}</message>");
        let stanza = Stanza::from_element(element(&xml)).unwrap();
        self.tell(seconds, Input::Stanza(&stanza))
    }

    fn says(&mut self, seconds: u64, xml: &str) {
        let xml = xml.replace("ID", &self.id());
        assert_eq!(self.says_as(seconds, LAMP, &xml), Taken::Yes, "{xml}");
    }

    fn answers(&mut self, name: u64, answer: Result<Option<Element>, RequestError>) {
        let tag = name << 1;
        self.tell(1, Input::Answer { tag, answer });
    }

    fn accepts(&mut self, name: u64, queued: bool) {
        let id = self.id();
        let xml =
            format!("<accepted xmlns='urn:xmpp:iot:sensordata' seqnr='{id}' queued='{queued}'/>");
        self.answers(name, Ok(Some(element(&xml))));
    }

    fn next(&mut self, name: u64) -> Option<Told> {
        let (waiter, mut told) = Waiter::new();
        self.state.next(name, waiter);
        told.try_recv().ok()
    }
}

fn fields(values: &[&str], done: bool) -> String {
    let values: String = (values.iter())
        .map(|v| format!("<numeric name='T' momentary='true' value='{v}' unit='C'/>"))
        .collect();
    format!(
        "<fields xmlns='urn:xmpp:iot:sensordata' seqnr='ID' done='{done}'>
         <node nodeId='hall'><timestamp value='2026-01-01T00:00:00'>{values}</timestamp></node></fields>"
    )
    .replace("\n         ", "")
}

const DONE: &str = "<done xmlns='urn:xmpp:iot:sensordata' seqnr='ID'/>";

fn values(told: Option<Told>) -> Vec<String> {
    let Some(Told::Part(part)) = told else {
        panic!("{told:?}")
    };
    let texts = part.values.iter().map(|m| match &m.field.value {
        sd::Value::Numeric { value, .. } => value.as_str().to_owned(),
        other => panic!("{other:?}"),
    });
    texts.collect()
}

#[test]
fn a_read_out_ends_with_its_last_data_or_with_a_word_of_its_own() {
    for separate in [false, true] {
        let mut rig = Rig::new();
        let name = rig.read();
        rig.accepts(name, false);
        rig.says(1, &fields(&["1"], false));
        rig.says(1, &fields(&["2"], !separate));
        if separate {
            rig.says(1, DONE);
        }
        assert_eq!(values(rig.next(name)), ["1"]);
        assert_eq!(values(rig.next(name)), ["2"]);
        assert_eq!(rig.next(name), Some(Told::End(Ok(()))));
        assert_eq!(rig.wakes, None, "nothing more is due");
    }
}

#[test]
fn data_may_come_before_it_is_accepted() {
    let mut rig = Rig::new();
    let name = rig.read();
    rig.says(1, &fields(&["1"], true));
    rig.accepts(name, true);
    assert_eq!(values(rig.next(name)), ["1"]);
    assert_eq!(rig.next(name), Some(Told::End(Ok(()))));
}

#[test]
fn what_is_not_from_whom_was_asked_or_of_another_id_is_ignored() {
    let mut rig = Rig::new();
    let name = rig.read();
    let forged = fields(&["666"], true).replace("ID", &rig.id());
    for from in [
        "mallory@home.example/x",
        "lamp@home.example",
        "lamp@home.example/y",
    ] {
        assert_eq!(rig.says_as(1, from, &forged), Taken::No);
    }
    let other = fields(&["666"], true).replace("ID", "9");
    assert_eq!(rig.says_as(1, LAMP, &other), Taken::No);
    assert_eq!(rig.next(name), None);
    rig.says(1, &fields(&["1"], true));
    assert_eq!(values(rig.next(name)), ["1"]);
}

#[test]
fn a_refusal_without_a_stanza_error_says_why() {
    let mut rig = Rig::new();
    let name = rig.read();
    let beside = element(
        "<rejected xmlns='urn:xmpp:iot:sensordata' seqnr='1'><error>Access denied</error></rejected>",
    );
    rig.answers(
        name,
        Err(RequestError::Refused {
            by: None,
            error: Box::default(),
            beside: Some(Box::new(beside)),
        }),
    );
    let Some(Told::End(Err(error))) = rig.next(name) else {
        panic!("not ended")
    };
    let said = "lamp@home.example/x refused to be read: Access denied";
    assert_eq!(error.to_string(), said);
}

#[test]
fn a_thing_that_is_not_there_is_named_so() {
    let mut rig = Rig::new();
    let name = rig.read();
    let error = StanzaError::new(ErrorType::Cancel, DefinedCondition::ItemNotFound);
    let (by, error, beside) = (None, Box::new(error), None);
    rig.answers(name, Err(RequestError::Refused { by, error, beside }));
    let told = rig.next(name);
    assert!(matches!(
        told,
        Some(Told::End(Err(ReadError::NoSuchThing { .. })))
    ));
}

#[test]
fn silence_ends_a_read_out_and_so_does_its_whole_time() {
    let mut rig = Rig::new();
    let name = rig.read();
    assert_eq!(rig.wakes, Some(Duration::from_secs(30)));
    rig.accepts(name, false);
    rig.says(5, &fields(&["1", "2"], false));
    assert_eq!(rig.wakes, Some(Duration::from_secs(15)));
    rig.tell(14, Input::Tick);
    assert_eq!(rig.wakes, Some(Duration::from_secs(15)), "not yet");
    rig.tell(15, Input::Tick);
    assert_eq!(values(rig.next(name)), ["1", "2"], "what came is there");
    let of = LAMP.parse().unwrap();
    let within = Duration::from_secs(10);
    let timeout = ReadError::Timeout {
        of,
        within,
        after: 2,
    };
    assert_eq!(rig.next(name), Some(Told::End(Err(timeout))));
    let (tag, cancel) = rig.requests.last().unwrap();
    assert_eq!(*tag & 1, 1);
    assert!(matches!(&cancel.kind, RequestKind::Get(e) if e.name() == "cancel"));

    let mut rig = Rig::new();
    let name = rig.read();
    rig.accepts(name, true);
    assert_eq!(
        rig.wakes,
        Some(Duration::from_secs(30)),
        "queued, it may be silent"
    );
    rig.tell(30, Input::Tick);
    let told = rig.next(name);
    assert!(matches!(
        told,
        Some(Told::End(Err(ReadError::Timeout { after: 0, .. })))
    ));
}

#[test]
fn what_cannot_be_read_ends_it_and_says_so() {
    let mut rig = Rig::new();
    let name = rig.read();
    rig.says(1, &fields(&["nonsense"], false));
    let told = rig.next(name);
    assert!(
        matches!(told, Some(Told::End(Err(ReadError::Unreadable { .. })))),
        "{told:?}"
    );
}

#[test]
fn failures_are_told_beside_data() {
    let mut rig = Rig::new();
    let name = rig.read();
    rig.accepts(name, false);
    rig.says(
        1,
        "<failure xmlns='urn:xmpp:iot:sensordata' seqnr='ID'>\
         <error nodeId='cellar' timestamp='2026-01-01T00:00:00'>Timeout</error></failure>",
    );
    rig.says(1, &fields(&["1"], true));
    let Some(Told::Part(part)) = rig.next(name) else {
        panic!("no part")
    };
    assert_eq!(
        (&*part.failures[0].node.id, &*part.failures[0].text),
        ("cellar", "Timeout")
    );
    assert_eq!(values(rig.next(name)), ["1"]);
}

#[test]
fn more_than_is_held_ends_a_read_out_and_the_device_is_told() {
    let mut rig = Rig::new();
    let name = rig.read();
    rig.accepts(name, false);
    let many = fields(&["1"; 1000], false);
    for _ in 0..20 {
        rig.says(1, &many);
    }
    assert_eq!(rig.state.held, 20_000);
    let asked = rig.id();
    rig.says(1, &many);
    assert!(
        matches!(&rig.requests.last().unwrap().1.kind, RequestKind::Get(e) if e.name() == "cancel")
    );
    for _ in 0..20 {
        assert_eq!(values(rig.next(name)).len(), 1000);
    }
    let told = rig.next(name);
    assert!(matches!(
        told,
        Some(Told::End(Err(ReadError::TooMuch { after: 20_000, .. })))
    ));
    assert_eq!(rig.state.held, 0);
    let late = many.replace("ID", &asked);
    assert_eq!(rig.says_as(2, LAMP, &late), Taken::No, "it is over");
}

/// Fields of a number of things, each with that value.
fn fleet(things: std::ops::Range<usize>, value: u32) -> String {
    let nodes: String = things
        .map(|n| {
            format!(
                "<node nodeId='t{n}'><timestamp value='2026-01-01T00:00:00'><numeric name='T' \
                 momentary='true' value='{value}' unit='C'/></timestamp></node>"
            )
        })
        .collect();
    format!("<fields xmlns='urn:xmpp:iot:sensordata' seqnr='ID' done='true'>{nodes}</fields>")
}

fn subscribed() -> (Rig, u64) {
    let mut rig = Rig::new();
    let name = rig.begin(Ask::Subscribe(Box::default()));
    rig.accepts(name, false);
    assert_eq!(rig.next(name), Some(Told::Accepted));
    (rig, name)
}

#[test]
fn a_subscription_that_is_fetched_late_keeps_the_newest_of_each_field_and_counts_the_rest() {
    const THINGS: usize = 1000;
    let (mut rig, name) = subscribed();
    let rounds = MOST_WAITING / THINGS + 2;
    for round in 0..rounds {
        rig.says(1, &fleet(0..THINGS, u32::try_from(round).unwrap()));
    }
    let Some(Told::Coalesced(gone)) = rig.next(name) else {
        panic!("not counted")
    };
    let mut newest = std::collections::BTreeMap::new();
    let mut came = 0;
    while let Some(Told::Part(part)) = rig.next(name) {
        came += part.len();
        for one in part.values {
            newest.insert(one.thing.id.clone(), one.field.value);
        }
    }
    assert_eq!(came + usize::try_from(gone).unwrap(), rounds * THINGS);
    assert_eq!(newest.len(), THINGS, "none is left out");
    let last = (rounds - 1).to_string();
    let is_last =
        |v: &sd::Value| matches!(v, sd::Value::Numeric { value, .. } if value.as_str() == last);
    assert!(newest.values().all(is_last));
}

#[test]
fn a_subscription_to_more_fields_than_may_wait_loses_the_oldest_and_counts_them() {
    const IN_ONE: usize = 1024;
    let (mut rig, name) = subscribed();
    let messages = MOST_WAITING / IN_ONE + 1;
    for n in 0..messages {
        rig.says(1, &fleet(n * IN_ONE..(n + 1) * IN_ONE, 1));
    }
    assert_eq!(rig.next(name), Some(Told::Missed(1)));
    let mut came = 0;
    while let Some(Told::Part(part)) = rig.next(name) {
        came += part.len();
    }
    assert_eq!(came, MOST_WAITING);
    rig.says(1, &fields(&["2"], true));
    assert_eq!(values(rig.next(name)), ["2"], "`done` does not end it");
    assert_eq!(rig.next(name), None);
    rig.state.close(name);
    rig.poll();
    assert!(
        matches!(&rig.requests.last().unwrap().1.kind, RequestKind::Set(e) if e.name() == "unsubscribe")
    );
}

#[test]
fn after_a_new_session_nothing_is_waited_for_that_cannot_come() {
    let mut rig = Rig::new();
    let (unheard, heard) = (rig.read(), rig.read());
    rig.says(1, &fields(&["1"], false));
    rig.tell(2, Input::Down);
    rig.tell(3, Input::Up(&up(true)));
    assert_eq!(rig.requests.len(), 2, "resumed, nothing was lost");
    rig.tell(4, Input::Down);
    rig.tell(5, Input::Up(&up(false)));
    assert_eq!(rig.requests.len(), 3);
    assert_eq!(
        rig.requests[2].0,
        unheard << 1,
        "asked again, under another id"
    );
    rig.says(6, &fields(&["2"], true));
    assert_eq!(values(rig.next(unheard)), ["2"]);
    assert_eq!(values(rig.next(heard)), ["1"]);
    let told = rig.next(heard);
    assert!(matches!(
        told,
        Some(Told::End(Err(ReadError::Lost { after: 1, .. })))
    ));
}

#[test]
fn a_cancelled_read_out_gives_what_had_come() {
    let mut rig = Rig::new();
    let name = rig.read();
    rig.says(1, &fields(&["1"], false));
    rig.state.cancel(name);
    rig.poll();
    assert!(
        matches!(&rig.requests.last().unwrap().1.kind, RequestKind::Get(e) if e.name() == "cancel")
    );
    assert_eq!(values(rig.next(name)), ["1"]);
    let told = rig.next(name);
    assert!(matches!(
        told,
        Some(Told::End(Err(ReadError::Cancelled { .. })))
    ));
}

#[test]
fn more_read_outs_than_the_bound_are_refused() {
    let mut rig = Rig::new();
    for _ in 0..MOST_FEEDS {
        rig.read();
    }
    let ask = Ask::Read(Box::new(sd::Request::momentary(0)));
    let (of, time) = (LAMP.parse().unwrap(), Duration::from_secs(1));
    let begun = rig.state.begin(now(0), of, Profile::Nf, ask, time, time);
    assert_eq!(begun, Err(ReadError::TooMany));
}

#[test]
fn data_in_a_message_that_is_kept_is_claimed_if_it_is_ours() {
    let mut rig = Rig::new();
    let name = rig.read();
    let message = |id: &str| {
        let xml = fields(&["1"], true).replace("ID", id);
        let xml = format!("<message from='{LAMP}'><body>21</body>{xml}</message>");
        Message::from_element(element(&xml)).unwrap()
    };
    let (ours, other) = (message(&rig.id()), message("9"));
    assert!(rig.state.claims(&ours) && !rig.state.claims(&other));
    let (waiter, mut noted) = Waiter::new();
    rig.state.received(now(1), &ours, waiter);
    assert!(noted.try_recv().is_ok());
    assert_eq!(values(rig.next(name)), ["1"]);
}

// ---- commands -----------------------------------------------------------------------

fn entry(at: i64) -> Entry {
    Entry {
        to: "lamp@home.example".to_owned(),
        at,
        by: at + 1000,
        sent: true,
        settled: None,
    }
}

fn outcome(from: &str, key: &str, result: &str) -> Message {
    let xml = format!(
        "<message from='{from}'>\
         <outcome xmlns='urn:stanchion:command:0' of='{key}' result='{result}'>so</outcome></message>"
    );
    Message::from_element(element(&xml)).unwrap()
}

fn give(rig: &mut Rig, key: &str, at: i64) -> bool {
    let (waiter, mut noted) = Waiter::new();
    rig.state.note(key, entry(at), waiter);
    rig.poll();
    noted.try_recv().is_ok()
}

fn hear(rig: &mut Rig, from: &str, key: &str, result: &str) {
    let (waiter, mut noted) = Waiter::new();
    rig.state
        .received(now(1), &outcome(from, key, result), waiter);
    rig.poll();
    assert!(noted.try_recv().is_ok(), "it is safe to forget the message");
}

fn word(rig: &mut Rig, key: &str) -> Option<String> {
    let (waiter, mut said): (_, oneshot::Receiver<Settled>) = Waiter::new();
    rig.state.await_outcome(key, waiter);
    said.try_recv().ok().map(|settled| settled.result)
}

#[test]
fn only_the_device_says_what_became_of_a_command_and_its_definite_word_stands() {
    let mut rig = Rig::new();
    assert!(give(&mut rig, "k", 1));
    hear(&mut rig, "mallory@home.example/x", "k", "done");
    assert_eq!(word(&mut rig, "k"), None);
    hear(&mut rig, LAMP, "k", "in-doubt");
    assert_eq!(word(&mut rig, "k").as_deref(), Some("in-doubt"));
    hear(&mut rig, LAMP, "k", "done");
    hear(&mut rig, LAMP, "k", "refused");
    assert_eq!(word(&mut rig, "k").as_deref(), Some("done"));
    hear(&mut rig, LAMP, "unknown", "done");
}

#[test]
fn the_next_process_knows_what_became_of_a_command() {
    let mut rig = Rig::new();
    assert!(give(&mut rig, "k", 1));
    hear(&mut rig, LAMP, "k", "expired");
    rig.state.know("lamp@home.example", true);
    rig.poll();
    let mut next = Rig::new();
    for change in rig.changes {
        if let Change::Put { key, value } = change {
            next.state.restore(&key, &value);
        }
    }
    assert_eq!(word(&mut next, "k").as_deref(), Some("expired"));
    assert!(next.state.is_known("lamp@home.example"));
    next.state.restore("command x", b"nonsense");
    assert_eq!(next.state.entry("x"), None);
}

#[test]
fn commands_are_bounded_and_the_oldest_that_are_over_go() {
    let mut rig = Rig::new();
    for n in 0..1024 {
        assert!(give(&mut rig, &format!("k{n}"), 1000 + n));
    }
    hear(&mut rig, LAMP, "k7", "done");
    assert!(give(&mut rig, "new", 2000));
    assert_eq!(rig.state.entry("k7"), None);
    assert!(rig.state.entry("k6").is_some());
    assert!(
        !give(&mut rig, "newer", 2000),
        "the others are without outcome"
    );
    let text = Text::from_static("later");
    assert!(give(&mut rig, &text, 1_000_000), "by then they are over");
}

//! A hand on one engine: gives inputs in a few words and keeps what comes out. The
//! store answers at once, unless told to wait.

use std::collections::VecDeque;
use std::time::Duration;

use stanchion_connect::ResumeToken;
use stanchion_reliability::engine::{
    Engine, EngineConfig, Event, Input, Load, Loaded, Mode, Now, Output, ReconnectReason, Stream,
    Submission,
};
use stanchion_reliability::outcome::Outcome;
use stanchion_reliability::protection::Protection;
use stanchion_reliability::store::{
    Image, InboundFilter, InboundQuery, MemoryStore, Op, Opening, OutboundQuery, Pending, Seed,
    Store, StoreId, WallTime,
};
use stanchion_stanza::payload::delivery::{
    Answer, Boot, Cancel, Channel, Deliver, Device, Epoch, IdPrefix, Place, StoreTag, Verdict,
    VerdictState,
};
use stanchion_stanza::{Element, Limits, Message, Payload, Scope, Text, codec::parse_element};

pub(crate) const SECOND: Duration = Duration::from_secs(1);
/// The wall clock at the beginning.
const EPOCH: i64 = 1_700_000_000_000;

/// What the store was asked and has not answered.
enum Ask {
    Persist(Vec<Op>),
    Load(Load),
}

/// The script.
pub(crate) struct Script {
    pub(crate) engine: Engine,
    pub(crate) store: MemoryStore,
    pub(crate) config: EngineConfig,
    /// What the streams to come offer.
    pub(crate) offered: Protection,
    /// How far the wall clock is ahead of the others'.
    pub(crate) ahead: Duration,
    /// Names the store, and thereby the device.
    seed: u8,
    boots: u32,
    now: Duration,
    asks: VecDeque<Ask>,
    store_waits: bool,
    /// Whether the effects of the application succeed; the store in memory has none.
    pub(crate) effects_succeed: bool,
    sent: Vec<String>,
    events: Vec<Event>,
    /// Ops that became durable.
    pub(crate) persisted: Vec<Op>,
    /// How much it was asked at once.
    pub(crate) most_asked: usize,
    /// Batches with the mark of a message that is handed over.
    pub(crate) markings: usize,
    pub(crate) gave_up: Option<ReconnectReason>,
    pub(crate) wait: Option<Duration>,
}

impl Script {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// With other bounds than the default ones.
    pub(crate) fn with(change: impl FnOnce(&mut EngineConfig)) -> Self {
        Self::of(9, change)
    }

    /// The same, of another device.
    pub(crate) fn of(seed: u8, change: impl FnOnce(&mut EngineConfig)) -> Self {
        let mut config = EngineConfig::default();
        change(&mut config);
        let start = (config, Duration::ZERO, Duration::ZERO);
        Self::over(open(Image::default(), seed, 1), start, seed, 1)
    }

    fn over(
        store: MemoryStore,
        start: (EngineConfig, Duration, Duration),
        seed: u8,
        boots: u32,
    ) -> Self {
        Self::over_with(store, start, seed, boots, |_| {})
    }

    fn over_with(
        store: MemoryStore,
        (config, now, ahead): (EngineConfig, Duration, Duration),
        seed: u8,
        boots: u32,
        prepare: impl FnOnce(&mut Engine),
    ) -> Self {
        let recovered = take(store.recover(1));
        let entropy = u64::from(seed) << 32 | u64::from(boots) << 8 | 7;
        let mut engine = Engine::new(config, recovered, clock(now, ahead), entropy);
        prepare(&mut engine);
        let mut script = Self {
            engine,
            store,
            config,
            offered: Protection::default(),
            ahead,
            seed,
            boots,
            now,
            asks: VecDeque::new(),
            store_waits: false,
            effects_succeed: true,
            sent: Vec::new(),
            events: Vec::new(),
            persisted: Vec::new(),
            most_asked: 0,
            markings: 0,
            gave_up: None,
            wait: None,
        };
        script.drain();
        script
    }

    /// The process is killed, and another one starts from what is durable.
    pub(crate) fn crash(self) -> Self {
        let image = self.store.control().crash();
        self.restored(image)
    }

    /// The same, if all that became durable in this life had been written so.
    pub(crate) fn crash_having_written(self, change: impl Fn(&mut Op)) -> Self {
        let start = (self.config, self.now, self.ahead);
        let boots = self.boots + 1;
        let store = open(Image::default(), self.seed, boots);
        let mut ops = self.persisted;
        ops.iter_mut().for_each(change);
        store.submit(ops).unwrap().try_take().unwrap().unwrap();
        Self::over(store, start, self.seed, boots)
    }

    /// What is durable now.
    pub(crate) fn image(&self) -> Image {
        self.store.control().snapshot()
    }

    /// The process is killed, and another one starts from that image.
    pub(crate) fn restored(self, image: Image) -> Self {
        let boots = self.boots + 1;
        self.copied(image, boots)
    }

    /// Another process that starts from that image.
    pub(crate) fn copied(&self, image: Image, boots: u32) -> Self {
        let start = (self.config, self.now, self.ahead);
        let store = open(image, self.seed, boots);
        Self::over(store, start, self.seed, boots)
    }

    /// The device loses its store and gets a new one, under the same name.
    pub(crate) fn reinstalled(self) -> Self {
        let boots = self.boots + 1;
        let start = (self.config, self.now, self.ahead);
        let name = take(self.store.recover(1)).identity.device;
        let seed = Seed {
            store_id: StoreId([self.seed + 100; 16]),
            boot_token: u32::from(self.seed) << 8 | boots,
        };
        let opening = Opening::new(seed, wall(Duration::ZERO)).device(name);
        let store = MemoryStore::open(Image::default(), &opening).unwrap();
        Self::over(store, start, self.seed, boots)
    }

    /// The store was opened again within the process, and has a new engine.
    pub(crate) fn new_engine(self) -> Self {
        let start = (self.config, self.now, self.ahead);
        Self::over(self.store, start, self.seed, self.boots)
    }

    /// The same, but the new one follows the old one: the application lives on, and has
    /// committed `committed` in the meantime.
    pub(crate) fn succeed(self, committed: &[u64]) -> Self {
        let mut legacy = self.engine.legacy();
        for arrival in committed {
            legacy.committed(*arrival);
        }
        take(self.store.reopen());
        let all = InboundQuery {
            filter: InboundFilter::All,
            ..InboundQuery::default()
        };
        let records = take(self.store.inbound_page(all));
        let start = (self.config, self.now, self.ahead);
        Self::over_with(self.store, start, self.seed, self.boots, |engine| {
            engine.succeed(&legacy, records);
        })
    }

    /// A managed stream of a new session, which can be resumed.
    pub(crate) fn connect_resumably(&mut self) {
        self.connect();
        self.give(Input::Resumable(Some(token("lamp@x/1"))));
    }

    /// The count that the next process would resume with, if the store ended now.
    pub(crate) fn on_record(&self) -> Option<u32> {
        let store = open(self.store.control().snapshot(), self.seed, self.boots + 1);
        let recovered = take(store.recover(1));
        let engine = Engine::new(self.config, recovered, clock(self.now, self.ahead), 7);
        engine.resumption().map(|token| token.h)
    }

    /// The next answer of a store that waits.
    pub(crate) fn now(&self) -> stanchion_reliability::engine::Now {
        clock(self.now, self.ahead)
    }

    pub(crate) fn store_answers_once(&mut self) {
        self.answer_one();
        self.drain();
    }

    fn drain(&mut self) {
        for _ in 0..100_000 {
            match self.engine.poll_output() {
                Output::Persist(ops) => self.asks.push_back(Ask::Persist(ops)),
                Output::Load(load) => self.asks.push_back(Ask::Load(load)),
                Output::Transmit(bytes) => {
                    self.sent.push(String::from_utf8(bytes.to_vec()).unwrap());
                }
                Output::Reconnect(reason) => self.gave_up = Some(reason),
                Output::Event(event) => self.events.push(event),
                Output::Wait(until) => {
                    self.wait = until;
                    self.most_asked = self.most_asked.max(self.asks.len());
                    if self.store_waits || self.asks.is_empty() {
                        return;
                    }
                    self.answer_one();
                }
            }
        }
        panic!("the engine never waits");
    }

    fn answer_one(&mut self) {
        let Some(ask) = self.asks.pop_front() else {
            return;
        };
        let input = match ask {
            Ask::Persist(ops) => {
                self.persisted.extend(ops.iter().cloned());
                let marks = ops.iter().any(|op| matches!(op, Op::MarkHanded { .. }));
                self.markings += usize::from(marks);
                let ops = ops.into_iter().map(|op| match op {
                    Op::Apply { key, at, .. } if self.effects_succeed => {
                        Op::MarkHandled { key, at }
                    }
                    op => op,
                });
                let ops = ops.collect();
                let answer = self.store.submit(ops).unwrap().try_take().unwrap();
                Input::Persisted(answer)
            }
            Ask::Load(Load::Lane {
                to,
                channel,
                after,
                limit,
            }) => {
                let query = OutboundQuery {
                    to: Some(to),
                    channel: Some(channel),
                    after,
                    limit,
                    ..OutboundQuery::default()
                };
                Input::Loaded(Loaded::Lane(take(self.store.outbound_page(query))))
            }
            Ask::Load(Load::One(key)) => Input::Loaded(Loaded::One(take(self.store.inbound(&key)))),
            Ask::Load(Load::Inbound { after, limit }) => {
                let query = InboundQuery {
                    after,
                    limit,
                    ..InboundQuery::default()
                };
                Input::Loaded(Loaded::Inbound(take(self.store.inbound_page(query))))
            }
            Ask::Load(Load::Due { by, limit }) => Input::Loaded(Loaded::Due {
                records: take(self.store.due(by, limit)),
                next: take(self.store.due(WallTime::MAX, 1))
                    .first()
                    .and_then(|record| record.deadline),
            }),
        };
        self.engine.handle(clock(self.now, self.ahead), input);
    }

    pub(crate) fn give(&mut self, input: Input) {
        self.engine.handle(clock(self.now, self.ahead), input);
        self.drain();
    }

    /// From now on the store does not answer.
    pub(crate) fn store_waits(&mut self) {
        self.store_waits = true;
    }

    /// The store answers all it was asked, and goes on answering.
    pub(crate) fn store_answers(&mut self) {
        self.store_waits = false;
        self.drain();
    }

    /// Batches and reads that wait for an answer.
    pub(crate) fn asked(&self) -> usize {
        self.asks.len()
    }

    /// Time passes, with a tick whenever the engine wants one.
    pub(crate) fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        let mut ticks = 0;
        while let Some(at) = self.wait.filter(|at| *at <= end) {
            ticks += 1;
            assert!(ticks < 10_000, "the engine waits for the past");
            self.now = self.now.max(at);
            self.give(Input::Tick);
        }
        self.now = end;
        self.give(Input::Tick);
    }

    /// A managed stream of a new session.
    pub(crate) fn connect(&mut self) {
        self.bind(true, None);
    }

    pub(crate) fn bind(&mut self, managed: bool, handled: Option<u32>) {
        self.connected(Stream::Bound { managed, handled });
    }

    pub(crate) fn resume(&mut self, h: u32) {
        self.connected(Stream::Resumed { h });
    }

    fn connected(&mut self, stream: Stream) {
        self.give(Input::Connected {
            stream,
            protection: self.offered,
        });
    }

    pub(crate) fn disconnect(&mut self) {
        self.give(Input::Disconnected);
    }

    /// The application sends a message to `peer@x` without deadline; its body is its id.
    pub(crate) fn send(&mut self, id: &str) {
        self.send_to("peer@x", id, None);
    }

    /// The same, with a deadline from now.
    pub(crate) fn send_within(&mut self, id: &str, time: Duration) {
        self.send_to("peer@x", id, Some(time));
    }

    pub(crate) fn send_to(&mut self, to: &str, id: &str, within: Option<Duration>) {
        self.send_asking(to, id, within, Protection::default());
    }

    pub(crate) fn send_asking(
        &mut self,
        to: &str,
        id: &str,
        within: Option<Duration>,
        protection: Protection,
    ) {
        self.submit(to, id, within, protection, Mode::default());
    }

    /// The same, on a channel.
    pub(crate) fn send_on(&mut self, channel: &str, to: &str, id: &str, within: Option<Duration>) {
        let mode = Mode::ExactlyOnce(Channel::new(channel).unwrap());
        self.submit(to, id, within, Protection::default(), mode);
    }

    pub(crate) fn submit(
        &mut self,
        to: &str,
        id: &str,
        within: Option<Duration>,
        protection: Protection,
        mode: Mode,
    ) {
        let stanza = format!(
            "<message to='{to}' id='{id}' type='chat'><body>{id}</body>\
             <request xmlns='urn:xmpp:receipts'/></message>"
        );
        self.give(Input::Send(Submission {
            id: id.to_owned(),
            to: to.parse().unwrap(),
            stanza: stanza.into(),
            deadline: within.map(|time| wall(self.now + self.ahead + time)),
            protection,
            mode,
        }));
    }

    /// The application sends a message to `peer@x` in that mode; its body is its id.
    pub(crate) fn send_in(&mut self, mode: Mode, id: &str, within: Option<Duration>) {
        let submission = self.submission(mode, id, within);
        self.give(Input::Send(submission));
    }

    /// The same, in the default mode, as the newest value of `key`.
    pub(crate) fn replace(&mut self, id: &str, key: &str) {
        let submission = self.submission(Mode::default(), id, None);
        let key = key.to_owned();
        self.give(Input::Replace { submission, key });
    }

    fn submission(&self, mode: Mode, id: &str, within: Option<Duration>) -> Submission {
        let stanza =
            format!("<message to='peer@x' id='{id}' type='chat'><body>{id}</body></message>");
        Submission {
            id: id.to_owned(),
            to: "peer@x".parse().unwrap(),
            stanza: stanza.into(),
            deadline: within.map(|time| wall(self.now + time)),
            protection: Protection::default(),
            mode,
        }
    }

    /// The same, on any stream.
    pub(crate) fn send_on_any(&mut self, mode: Mode, id: &str) {
        let protection = Protection::Any;
        let submission = self.submission(mode, id, None);
        self.give(Input::Send(Submission {
            protection,
            ..submission
        }));
    }

    /// Why messages were not delivered, since the last look.
    pub(crate) fn reasons(&mut self) -> Vec<String> {
        let events = self.events();
        let reasons = events.into_iter().filter_map(|event| match event {
            Event::Outcome {
                outcome: Outcome::NotDelivered(why),
                ..
            } => Some(why.to_string()),
            _ => None,
        });
        reasons.collect()
    }

    /// What the messages that were sent say of themselves, since the last look.
    pub(crate) fn said(&mut self) -> Vec<Deliver> {
        let sent = self.sent();
        let messages = sent.iter().filter(|xml| xml.contains("<body>"));
        messages.filter_map(|xml| payload(xml)).collect()
    }

    /// The device `D1` at `peer@x/1` gives a verdict on such a message.
    pub(crate) fn verdict(&mut self, on: &Deliver, state: VerdictState) {
        let answer = Answer {
            to: on.from.clone(),
            at: Place {
                device: Device::new("D1").unwrap(),
                store: StoreTag(1),
            },
            epoch: on.epoch,
            channel: on.channel.clone(),
            boot: on.boot,
            clock: clock(self.now, self.ahead).wall.as_unix_ms(),
            knows: 0,
            bundles: 32,
            verdicts: vec![Verdict {
                seq: on.seq,
                id: on.id,
                state,
            }],
            jids: None,
        };
        self.peer_says(None, answer.to_element());
    }

    /// Message `seq` of the device `D1` comes on the channel `c`; its body is its id.
    pub(crate) fn channel_message(&mut self, id: &str, seq: u64) {
        self.channel_message_that(id, seq, |_| {});
    }

    pub(crate) fn channel_message_that(
        &mut self,
        id: &str,
        seq: u64,
        change: impl FnOnce(&mut Deliver),
    ) {
        let mut said = deliver(seq);
        change(&mut said);
        self.peer_says(Some(id), said.to_element());
    }

    /// The same device takes message `seq` back, before it came.
    pub(crate) fn channel_cancel(&mut self, seq: u64, low: u64) {
        let said = Cancel {
            from: Device::new("D1").unwrap(),
            to: None,
            epoch: Epoch {
                index: 1,
                random: 5,
            },
            channel: Channel::new("c").unwrap(),
            seq,
            low,
            id: IdPrefix::from_bits(seq + 100),
            prev: (seq > 1).then(|| IdPrefix::from_bits(seq + 99)),
            boot: Boot(3),
            knows: 0,
            jids: None,
        };
        self.peer_says(None, said.to_element());
    }

    fn peer_says(&mut self, id: Option<&str>, payload: Element) {
        let mut message = Message::chat("lamp@home".parse().unwrap()).with_payload(payload);
        message.header.from = Some("peer@x/1".parse().unwrap());
        if let Some(id) = id {
            message = message
                .with_id(Text::new(id).unwrap())
                .with_body(Text::new(id).unwrap());
        }
        self.give(Input::Received(message.to_element()));
    }

    /// Number and verdict, from what was transmitted since the last look.
    pub(crate) fn verdicts(&mut self) -> Vec<(u64, VerdictState)> {
        let sent = self.sent();
        let answers = sent.iter().filter_map(|xml| payload::<Answer>(xml));
        let verdicts = answers.flat_map(|answer| answer.verdicts);
        verdicts.map(|v| (v.seq, v.state)).collect()
    }

    /// Decisions that were answered since the last look.
    pub(crate) fn decided(&mut self) -> Vec<(u64, bool)> {
        let events = self.events();
        let decided = events.into_iter().filter_map(|event| match event {
            Event::Decided { arrival, done } => Some((arrival, done)),
            _ => None,
        });
        decided.collect()
    }

    /// The application says something in `room@y`.
    pub(crate) fn say_in_room(&mut self, id: &str, within: Option<Duration>) {
        let stanza =
            format!("<message to='room@y' id='{id}' type='groupchat'><body>{id}</body></message>");
        self.give(Input::Send(Submission {
            id: id.to_owned(),
            to: "room@y".parse().unwrap(),
            stanza: stanza.into(),
            deadline: within.map(|time| wall(self.now + time)),
            protection: Protection::default(),
            mode: Mode::Room,
        }));
    }

    /// A room shows a message.
    pub(crate) fn reflect(&mut self, from: &str, id: &str) {
        self.receive(&format!(
            "<message from='{from}' id='{id}' type='groupchat'><body>{id}</body></message>"
        ));
    }

    /// The server sends that.
    pub(crate) fn receive(&mut self, xml: &str) {
        let element = parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap();
        self.give(Input::Received(element));
    }

    /// The server acknowledges so many stanzas.
    pub(crate) fn acked(&mut self, h: u32) {
        self.receive(&format!("<a xmlns='urn:xmpp:sm:3' h='{h}'/>"));
    }

    /// A receipt comes.
    pub(crate) fn receipt(&mut self, from: &str, id: &str) {
        self.receive(&format!(
            "<message from='{from}'><received xmlns='urn:xmpp:receipts' id='{id}'/></message>"
        ));
    }

    /// A message comes from `peer@x/1`; its body is its id.
    pub(crate) fn message(&mut self, id: &str) {
        self.receive(&format!(
            "<message from='peer@x/1' id='{id}' type='chat'><body>{id}</body>\
             <request xmlns='urn:xmpp:receipts'/></message>"
        ));
    }

    /// A message of ours comes back.
    pub(crate) fn bounce(&mut self, from: &str, id: &str, condition: &str) {
        self.receive(&format!(
            "<message from='{from}' id='{id}' type='error'><error type='cancel'>\
             <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
        ));
    }

    /// What was transmitted since the last look.
    pub(crate) fn sent(&mut self) -> Vec<String> {
        std::mem::take(&mut self.sent)
    }

    /// The ids of the messages with a body among that.
    pub(crate) fn messages(&mut self) -> Vec<String> {
        let sent = self.sent();
        let bodies = sent.iter().filter(|xml| xml.contains("<body>"));
        bodies.map(|xml| between(xml, "id='", "'")).collect()
    }

    /// The counts told to the server among that.
    pub(crate) fn counts(&mut self) -> Vec<String> {
        let sent = self.sent();
        let acks = sent.iter().filter(|xml| xml.starts_with("<a "));
        acks.map(|xml| between(xml, "h='", "'")).collect()
    }

    /// The ids of the receipts among that.
    pub(crate) fn receipts(&mut self) -> Vec<String> {
        let sent = self.sent();
        let receipts = sent.iter().filter(|xml| xml.contains("<received "));
        receipts
            .map(|xml| between(&xml[xml.find("<received").unwrap()..], "id='", "'"))
            .collect()
    }

    pub(crate) fn events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Outcomes told since the last look, in a word each.
    pub(crate) fn outcomes(&mut self) -> Vec<(String, &'static str)> {
        let events = self.events();
        let outcomes = events.into_iter().filter_map(|event| match event {
            Event::Outcome { id, outcome } => Some((id, outcome)),
            _ => None,
        });
        outcomes.map(|(id, outcome)| (id, word(&outcome))).collect()
    }

    /// Messages handed over since the last look: arrival, body, and whether with a
    /// warning.
    pub(crate) fn handed(&mut self) -> Vec<(u64, String, bool)> {
        let events = self.events();
        let messages = events.into_iter().filter_map(|event| match event {
            Event::Message {
                arrival,
                message,
                maybe_redelivered,
            } => Some((
                arrival,
                message.body().unwrap_or_default().into_owned(),
                maybe_redelivered,
            )),
            _ => None,
        });
        messages.collect()
    }

    pub(crate) fn commit(&mut self, arrival: u64) {
        self.give(Input::Commit { arrival });
    }
}

pub(crate) fn token(jid: &str) -> ResumeToken {
    ResumeToken {
        jid: jid.parse().unwrap(),
        id: Text::from_static("previous"),
        h: 77,
        max_seconds: Some(300),
        location: None,
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Acknowledged { .. } => "acknowledged",
        Outcome::Delivered { .. } => "delivered",
        Outcome::NotDelivered(_) => "not delivered",
        Outcome::InDoubt(_) => "in doubt",
        Outcome::Transmitted => "transmitted",
        _ => "unknown",
    }
}

pub(crate) fn payload<P: Payload>(xml: &str) -> Option<P> {
    let element = parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).ok()?;
    Message::from_element(element).ok()?.payload().ok()?
}

pub(crate) fn between(text: &str, start: &str, end: &str) -> String {
    let rest = text.split_once(start).map(|(_, rest)| rest);
    let part = rest.and_then(|rest| rest.split_once(end));
    part.map(|(part, _)| part).unwrap_or_default().to_owned()
}

fn open(image: Image, seed: u8, boots: u32) -> MemoryStore {
    let seed = Seed {
        store_id: StoreId([seed; 16]),
        boot_token: u32::from(seed) << 8 | boots,
    };
    MemoryStore::open(image, &Opening::new(seed, wall(Duration::ZERO))).unwrap()
}

fn take<T>(mut pending: Pending<T>) -> T {
    pending.try_take().unwrap().unwrap()
}

pub(crate) fn wall(at: Duration) -> WallTime {
    WallTime::from_unix_ms(EPOCH + i64::try_from(at.as_millis()).unwrap())
}

fn clock(now: Duration, ahead: Duration) -> Now {
    Now {
        monotonic: now,
        wall: wall(now + ahead),
    }
}

/// What message `seq` of the device `D1` says of itself, on the channel `c`.
pub(crate) fn deliver(seq: u64) -> Deliver {
    Deliver {
        from: Device::new("D1").unwrap(),
        to: None,
        epoch: Epoch {
            index: 1,
            random: 5,
        },
        channel: Channel::new("c").unwrap(),
        seq,
        low: 1,
        id: IdPrefix::from_bits(seq + 100),
        prev: None,
        boot: Boot(3),
        deadline: None,
        unordered: false,
        knows: 0,
        jids: None,
    }
}

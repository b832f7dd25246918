//! The laws of catching up and of carbons, by hand-fed inputs.

use super::*;
use stanchion_stanza::payload::mam::Fin;
use stanchion_stanza::payload::rsm::{Page, Range};
use stanchion_stanza::stanza::{ErrorType, StanzaError};
use stanchion_stanza::stream::StreamFeatures;
use stanchion_stanza::{Limits, Scope, codec::parse_element};

use crate::request::RequestKind;

fn at(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        wall: WallTime::from_unix_ms(1_700_000_000_000),
    }
}

fn element(xml: &str) -> Element {
    parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap()
}

fn message(xml: &str) -> Message {
    Message::from_element(element(xml)).unwrap()
}

/// The service and what it asked for, the engine and the store played by hand.
struct Bench {
    archive: Archive,
    now: u64,
    /// The tag of the query under way, and what it asks.
    asked: Option<(u64, Query)>,
    enabled: usize,
    fed: Vec<String>,
    /// How many messages the engine has room for.
    room: usize,
    rows: BTreeMap<String, Vec<u8>>,
    notes: usize,
    events: Vec<ArchiveEvent>,
    /// The store answers.
    durable: bool,
    waiting: Vec<u64>,
    /// What the archive says of its pages.
    stable: bool,
}

impl Bench {
    fn new(carbons: bool) -> Self {
        let config = ArchiveConfig {
            carbons,
            catch_up: Some(Beginning::Now),
            ..ArchiveConfig::default()
        };
        Self::with(config, BTreeMap::new())
    }

    fn with(config: ArchiveConfig, rows: BTreeMap<String, Vec<u8>>) -> Self {
        let mut archive = Archive::new(config, 7);
        for (key, value) in &rows {
            archive.restore(key, value);
        }
        Self {
            archive,
            now: 0,
            asked: None,
            enabled: 0,
            fed: Vec::new(),
            room: usize::MAX,
            rows,
            notes: 0,
            events: Vec::new(),
            durable: true,
            waiting: Vec::new(),
            stable: true,
        }
    }

    fn give(&mut self, input: Input<'_>) -> Taken {
        let taken = self.archive.handle(at(self.now), input);
        self.drain();
        taken
    }

    fn drain(&mut self) {
        loop {
            match self.archive.poll_output() {
                Output::Request { tag: CARBONS, .. } => self.enabled += 1,
                Output::Request { tag, request } => {
                    let RequestKind::Set(query) = request.kind else {
                        panic!("a query is a set");
                    };
                    assert_eq!(request.to, None);
                    self.asked = Some((tag, Query::from_element(&query).unwrap()));
                }
                Output::Archived { tag, messages } => {
                    let taken = messages.len().min(self.room);
                    self.room -= taken;
                    let ids = messages.iter().take(taken);
                    self.fed
                        .extend(ids.map(|m| m.header.id.as_deref().unwrap().to_owned()));
                    self.archive
                        .handle(at(self.now), Input::Archived { tag, taken });
                }
                Output::Keep { tag, changes } => {
                    for change in changes {
                        match change {
                            Change::Put { key, value } => {
                                self.rows.insert(key, value);
                            }
                            Change::Delete { key } => {
                                self.rows.remove(&key);
                            }
                            Change::History(_) => self.notes += 1,
                        }
                    }
                    match tag {
                        Some(tag) if self.durable => {
                            self.archive.handle(at(self.now), Input::Kept { tag });
                        }
                        Some(tag) => self.waiting.push(tag),
                        None => {}
                    }
                }
                Output::Event(event) => self.events.push(event),
                Output::Wait(_) => return,
                other => panic!("{other:?}"),
            }
        }
    }

    fn up(&mut self, resumed: bool) {
        let jid = "me@near.example/x".parse().unwrap();
        let up = Up::new(jid, resumed, StreamFeatures::default(), None);
        self.give(Input::Up(&up));
    }

    fn answer(&mut self, answer: Result<Option<Element>, RequestError>) {
        let (tag, _) = self.asked.take().expect("nothing was asked");
        self.give(Input::Answer { tag, answer });
    }

    /// A page of those messages, from the archive.
    fn page(&mut self, numbers: std::ops::Range<usize>, complete: bool) {
        let (_, query) = self.asked.as_ref().expect("nothing was asked");
        let queryid = query.queryid.clone().unwrap();
        for n in numbers.clone() {
            let result = message(&format!(
                "<message from='me@near.example'><result xmlns='urn:xmpp:mam:2' \
                 queryid='{queryid}' id='a{n}'><forwarded xmlns='urn:xmpp:forward:0'>\
                 <delay xmlns='urn:xmpp:delay' stamp='2023-11-14T22:13:20Z'/>\
                 <message xmlns='jabber:client' from='peer@far.example/y' to='me@near.example' \
                 type='chat' id='m{n}'><body>b</body></message></forwarded></result></message>"
            ));
            assert_eq!(self.give(Input::Stanza(&result.into())), Taken::Yes);
        }
        let text = |n: usize| Text::new(format!("a{n}")).unwrap();
        let range = (!numbers.is_empty()).then(|| Range {
            first: text(numbers.start),
            index: None,
            last: text(numbers.end - 1),
        });
        let page = Page { range, count: None };
        let fin = Fin {
            complete,
            stable: self.stable,
            page,
        };
        self.answer(Ok(Some(fin.to_element())));
    }

    fn position(&self) -> Position {
        let (_, query) = self.asked.as_ref().expect("nothing was asked");
        query.page.clone().unwrap().position
    }

    /// Comes from the end of the archive to that message.
    fn at_end(&mut self) {
        self.up(false);
        if self.archive.config.carbons {
            self.give(Input::Answer {
                tag: CARBONS,
                answer: Ok(None),
            });
        }
        assert_eq!(self.position(), Position::Last);
        self.page(4..5, true);
    }

    fn last(&self) -> String {
        let row = self.rows.get("last me@near.example").unwrap();
        String::from_utf8(row.clone())
            .unwrap()
            .split_once('\n')
            .unwrap()
            .1
            .to_owned()
    }
}

fn after(n: usize) -> Position {
    Position::After(Text::new(format!("a{n}")).unwrap())
}

#[test]
fn a_new_store_begins_at_the_archives_end_and_goes_on_from_there() {
    let mut bench = Bench::new(false);
    bench.at_end();
    assert_eq!((bench.last().as_str(), bench.fed.len()), ("a4", 0));
    bench.give(Input::Down);
    bench.up(false);
    assert_eq!(bench.position(), after(4));
    bench.page(5..8, false);
    assert_eq!(bench.position(), after(7));
    bench.page(8..10, true);
    assert_eq!(bench.fed, ["m5", "m6", "m7", "m8", "m9"]);
    assert_eq!(bench.last(), "a9");
    let caught_up = ArchiveEvent::CaughtUp {
        received: 5,
        noted: 0,
    };
    assert_eq!(bench.events.last(), Some(&caught_up));
}

#[test]
fn the_next_page_is_not_asked_for_before_this_one_is_durable() {
    let mut bench = Bench::new(false);
    bench.at_end();
    bench.up(false);
    bench.room = 1;
    bench.page(5..8, false);
    assert!(bench.asked.is_none(), "the engine has not taken it");
    assert_eq!((bench.fed.len(), bench.last().as_str()), (1, "a4"));
    bench.now = 1;
    bench.give(Input::Tick);
    bench.durable = false;
    bench.room = 10;
    bench.now = 2;
    bench.give(Input::Tick);
    assert_eq!(bench.fed, ["m5", "m6", "m7"]);
    assert!(bench.asked.is_none(), "the row is not durable");
    let tag = bench.waiting.pop().unwrap();
    bench.give(Input::Kept { tag });
    assert_eq!(bench.position(), after(7));
}

#[test]
fn a_process_that_ended_halfway_goes_on_from_the_last_page_that_was_kept() {
    let mut bench = Bench::new(false);
    bench.at_end();
    bench.up(false);
    bench.page(5..8, false);
    let config = bench.archive.config;
    let mut next = Bench::with(config, bench.rows);
    next.up(false);
    assert_eq!(next.position(), after(7));
}

#[test]
fn an_archive_that_lost_what_we_know_is_asked_by_time() {
    let mut bench = Bench::new(false);
    bench.at_end();
    bench.up(false);
    let error = StanzaError::new(ErrorType::Cancel, DefinedCondition::ItemNotFound);
    let error = Box::new(error);
    bench.answer(Err(RequestError::Refused {
        by: None,
        error,
        beside: None,
    }));
    assert_eq!(bench.position(), Position::First);
    let (_, query) = bench.asked.as_ref().unwrap();
    let filter = Filter::from_form(query.form.as_ref().unwrap()).unwrap();
    assert_eq!(filter.start.as_deref(), Some("2023-11-14T22:12:20.000Z"));
    bench.page(2..6, true);
    assert_eq!(bench.last(), "a5");
}

#[test]
fn what_may_change_in_the_archive_is_read_again_in_the_next_session() {
    let mut bench = Bench::new(false);
    bench.at_end();
    bench.up(false);
    bench.stable = false;
    bench.page(5..7, false);
    assert_eq!(bench.position(), after(6), "it goes on all the same");
    bench.stable = true;
    bench.page(7..8, true);
    assert_eq!(bench.last(), "a4");
    bench.up(true);
    bench.up(false);
    assert_eq!(bench.position(), after(4));
    bench.page(5..8, true);
    assert_eq!(bench.last(), "a7");
}

#[test]
fn messages_of_one_second_keep_the_order_of_the_archive() {
    let second = Some("2023-11-14T22:13:20Z");
    let mut latest = None;
    let mut stamps = Vec::new();
    for stamp in [second, second, None, Some("2023-11-14T22:13:21Z"), second] {
        latest = stamp_of(stamp, latest);
        stamps.push(latest.unwrap().as_unix_ms() - 1_700_000_000_000);
    }
    assert_eq!(stamps, [0, 1, 2, 1000, 1001]);
}

#[test]
fn an_archive_that_leads_nowhere_is_not_asked_for_ever() {
    let mut bench = Bench::new(false);
    bench.at_end();
    bench.up(false);
    bench.page(5..6, false);
    bench.page(5..6, false);
    assert!(bench.asked.is_none());
    bench.up(false);
    bench.page(0..0, false);
    assert!(bench.asked.is_none());
}

#[test]
fn a_server_without_an_archive_is_told_of_and_one_that_is_silent_asked_again() {
    let mut bench = Bench::new(false);
    bench.up(false);
    let error = StanzaError::new(ErrorType::Cancel, DefinedCondition::ServiceUnavailable);
    let error = Box::new(error);
    bench.answer(Err(RequestError::Refused {
        by: None,
        error,
        beside: None,
    }));
    assert!(matches!(bench.events[..], [ArchiveEvent::NoArchive { .. }]));
    bench.up(false);
    let within = Request::WITHIN;
    bench.answer(Err(RequestError::TimedOut { to: None, within }));
    assert!(bench.asked.is_none());
    bench.now = RETRY.as_secs();
    bench.give(Input::Tick);
    assert_eq!(bench.position(), Position::Last);
}

#[test]
fn a_resumed_session_is_not_caught_up_with_again_but_goes_on() {
    let mut bench = Bench::new(false);
    bench.at_end();
    bench.give(Input::Down);
    bench.up(true);
    assert!(bench.asked.is_none());
    // Lost between two pages.
    bench.up(false);
    bench.durable = false;
    bench.page(5..8, false);
    bench.give(Input::Down);
    let tag = bench.waiting.pop().unwrap();
    bench.give(Input::Kept { tag });
    assert!(bench.asked.is_none());
    bench.up(true);
    assert_eq!(bench.position(), after(7));
}

#[test]
fn carbons_come_before_the_archive_so_that_nothing_falls_in_between() {
    let mut bench = Bench::new(true);
    bench.up(false);
    assert_eq!((bench.enabled, bench.asked.is_some()), (1, false));
    bench.give(Input::Answer {
        tag: CARBONS,
        answer: Ok(None),
    });
    assert_eq!(bench.position(), Position::Last);
    bench.up(true);
    assert_eq!(bench.enabled, 1, "a resumed session has them");
    bench.up(false);
    assert_eq!(bench.enabled, 2);
}

fn carbon(kind: &str, from: &str, n: usize) -> Message {
    let (inner_from, to) = match kind {
        "sent" => ("me@near.example/other", "peer@far.example"),
        _ => ("peer@far.example/y", "me@near.example/other"),
    };
    message(&format!(
        "<message {from} type='chat'><{kind} xmlns='urn:xmpp:carbons:2'>\
         <forwarded xmlns='urn:xmpp:forward:0'><message xmlns='jabber:client' \
         from='{inner_from}' to='{to}' type='chat' id='c{n}'><body>b</body>\
         <request xmlns='urn:xmpp:receipts'/>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='me@near.example' id='a{n}'/>\
         </message></forwarded></{kind}></message>"
    ))
}

#[test]
fn a_copy_is_believed_from_our_own_account_alone() {
    let mut bench = Bench::new(true);
    bench.at_end();
    for (n, from) in [
        "from='mallory@far.example'",
        "from='me@near.example/x'",
        "from='near.example'",
    ]
    .iter()
    .enumerate()
    {
        for kind in ["sent", "received"] {
            let forged = carbon(kind, from, n).into();
            assert_eq!(bench.give(Input::Stanza(&forged)), Taken::No);
        }
    }
    assert_eq!((bench.fed.len(), bench.notes), (0, 0));
    for from in ["", "from='me@near.example'"] {
        let copy = carbon("received", from, 5).into();
        assert_eq!(bench.give(Input::Stanza(&copy)), Taken::Yes);
    }
    assert_eq!(bench.fed, ["c5", "c5"], "the engine keeps it once");
    bench.give(Input::Stanza(&carbon("sent", "", 6).into()));
    assert_eq!(bench.notes, 1);
    assert!(matches!(
        bench.events.last(),
        Some(ArchiveEvent::SentElsewhere(_))
    ));
}

#[test]
fn what_came_live_long_enough_ago_is_not_read_again() {
    let mut bench = Bench::new(true);
    bench.at_end();
    let live = |n: usize| {
        message(&format!(
            "<message from='peer@far.example/y' to='me@near.example' type='chat'><body>b</body>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='me@near.example' id='a{n}'/></message>"
        ))
    };
    bench.give(Input::Received(&live(5)));
    bench.now = 30;
    bench.give(Input::Received(&live(6)));
    bench.now = 59;
    bench.give(Input::Tick);
    assert_eq!(bench.last(), "a4", "an earlier one may still be on its way");
    bench.now = 60;
    bench.give(Input::Tick);
    assert_eq!(bench.last(), "a5");
    bench.now = 90;
    bench.give(Input::Tick);
    assert_eq!(bench.last(), "a6");
    // What the archive gave is older, whenever the application gets it.
    let mut old = live(2);
    let delay =
        "<delay xmlns='urn:xmpp:delay' from='me@near.example' stamp='2023-11-14T00:00:00Z'/>";
    old.payloads.push(element(delay));
    bench.give(Input::Received(&old));
    bench.now = 1000;
    bench.give(Input::Tick);
    assert_eq!(bench.last(), "a6");
}

#[test]
fn without_carbons_what_comes_live_says_nothing_of_what_went_elsewhere() {
    let mut bench = Bench::new(false);
    bench.at_end();
    let live = message(
        "<message from='peer@far.example/y' to='me@near.example' type='chat'><body>b</body>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='me@near.example' id='a9'/></message>",
    );
    bench.give(Input::Received(&live));
    bench.now = 1000;
    bench.give(Input::Tick);
    assert_eq!(bench.last(), "a4");
}

#[test]
fn a_copy_for_which_there_is_no_room_is_caught_up_with() {
    let mut bench = Bench::new(true);
    bench.at_end();
    bench.room = 0;
    bench.give(Input::Stanza(&carbon("received", "", 5).into()));
    assert_eq!(bench.position(), after(4));
    bench.room = 10;
    bench.page(5..6, true);
    assert_eq!(bench.fed, ["m5"]);
    assert_eq!(bench.last(), "a5");
}

#[test]
fn another_account_has_another_archive() {
    let mut bench = Bench::new(false);
    bench.at_end();
    let elsewhere = "me@other.example/x".parse().unwrap();
    let up = Up::new(elsewhere, false, StreamFeatures::default(), None);
    bench.give(Input::Up(&up));
    assert_eq!(bench.position(), Position::Last, "nothing is known of it");
    bench.up(false);
    assert_eq!(bench.position(), after(4));
}

#[test]
fn a_row_of_rubble_is_as_none() {
    for value in [&b""[..], b"\n", b"x\ny", b"\xff", b"1"] {
        let rows = [("last me@near.example".to_owned(), value.to_vec())];
        let config = ArchiveConfig {
            catch_up: Some(Beginning::Now),
            ..ArchiveConfig::default()
        };
        let mut bench = Bench::with(config, rows.into_iter().collect());
        bench.up(false);
        assert!(bench.asked.is_some(), "{value:?}");
    }
}

/// A small generator of steps, the same for each seed.
struct Steps(u64);

impl Steps {
    fn below(&mut self, most: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % most
    }
}

/// What went by the server: messages in the order of the archive, and those on their way to
/// us, live or as copies, that a broken stream loses.
struct World {
    bench: Bench,
    archived: usize,
    wire: VecDeque<Vec<Message>>,
    /// What the engine has, however it came.
    engine: std::collections::BTreeSet<usize>,
    /// From where on everything must come.
    begin: usize,
    carbons: bool,
}

impl World {
    /// The number in an id such as `m7`.
    fn number(id: &str) -> usize {
        id[1..].parse().unwrap()
    }

    fn learn(&mut self) {
        self.engine
            .extend(self.bench.fed.drain(..).map(|id| Self::number(&id)));
        // The law: what the row passes is in the engine.
        if let Some(row) = self.bench.rows.get("last me@near.example") {
            let row = std::str::from_utf8(row)
                .unwrap()
                .split_once('\n')
                .unwrap()
                .1;
            let last = if row.is_empty() { 0 } else { Self::number(row) };
            for n in self.begin..=last {
                assert!(
                    n < self.begin || self.engine.contains(&n),
                    "{n} is passed: {last}"
                );
            }
        }
    }

    /// A message is archived, and is on its way to us: directly, or as a copy.
    fn comes(&mut self, direct: bool) {
        self.archived += 1;
        let n = self.archived;
        let message = if direct {
            message(&format!(
                "<message from='peer@far.example/y' to='me@near.example' type='chat' id='m{n}'>\
                 <body>b</body>\
                 <stanza-id xmlns='urn:xmpp:sid:0' by='me@near.example' id='a{n}'/></message>"
            ))
        } else {
            let mut copy = carbon("received", "", n);
            let id = Text::new(format!("m{n}")).unwrap();
            let Some(carbon) = copy.payloads.pop() else {
                return;
            };
            let Carbon::Received(mut forwarded) = Carbon::from_element(&carbon).unwrap().unwrap()
            else {
                return;
            };
            if let Some(inner) = forwarded.element.as_mut() {
                inner.set_attr("id", id);
            }
            copy.payloads.push(Carbon::Received(forwarded).to_element());
            copy
        };
        if self.bench.archive.up && (direct || self.carbons) {
            self.wire.push_back(vec![message]);
        }
    }

    /// The next of what is on its way arrives. Two that were archived in a moment may come
    /// the other way round, and the stream may break in between.
    fn arrives(&mut self, breaks: bool) {
        let group = self.wire.pop_front().unwrap_or_default();
        for (at, message) in group.into_iter().enumerate() {
            if at > 0 && breaks {
                self.bench.give(Input::Tick);
                self.lost(false);
                return self.up(false);
            }
            if message.body().is_some() {
                // The engine has it before it is handed over.
                let id = message.header.id.as_deref().unwrap();
                self.engine.insert(Self::number(id));
                self.bench.give(Input::Received(&message));
            } else {
                self.bench.give(Input::Stanza(&message.into()));
            }
            self.learn();
        }
    }

    fn answers(&mut self, most: usize) {
        let Some((_, query)) = &self.bench.asked else {
            return;
        };
        let from = match &query.page.clone().unwrap().position {
            Position::After(id) => Self::number(id) + 1,
            Position::Last => self.archived.max(1),
            _ => 1,
        };
        let to = (from + most).min(self.archived + 1);
        self.bench.page(from.min(to)..to, to > self.archived);
        self.learn();
    }

    fn up(&mut self, resumed: bool) {
        self.bench.up(resumed);
        if !resumed && self.bench.archive.config.carbons {
            let answer = Ok(None);
            self.bench.give(Input::Answer {
                tag: CARBONS,
                answer,
            });
        }
        self.carbons = self.bench.archive.copies;
    }

    fn lost(&mut self, resumed: bool) {
        if !resumed {
            self.wire.clear();
            if let Some((tag, _)) = self.bench.asked.take() {
                let answer = Err(RequestError::Lost);
                self.bench.give(Input::Answer { tag, answer });
            }
        }
        self.bench.give(Input::Down);
    }

    /// The process ends, and another one begins with its rows.
    fn crashes(&mut self) {
        self.wire.clear();
        let rows = std::mem::take(&mut self.bench.rows);
        let (config, now) = (self.bench.archive.config, self.bench.now);
        self.bench = Bench::with(config, rows);
        self.bench.now = now;
    }
}

#[test]
fn whatever_breaks_when_nothing_in_the_archive_is_passed_by() {
    for seed in 1..=100 {
        let mut steps = Steps(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut world = World {
            bench: Bench::new(seed % 3 != 0),
            archived: 4,
            wire: VecDeque::new(),
            engine: std::collections::BTreeSet::new(),
            begin: 5,
            carbons: false,
        };
        world.up(false);
        world.answers(1);
        for _ in 0..120 {
            world.bench.now += steps.below(25);
            world.bench.give(Input::Tick);
            world.learn();
            let page = 1 + steps.below(4) as usize;
            world.bench.room = [0, 1, 3, usize::MAX][steps.below(4) as usize];
            match steps.below(14) {
                0..=2 => world.comes(true),
                3..=5 => world.comes(false),
                6..=8 => world.arrives(steps.below(2) == 0),
                9 | 10 => world.answers(page),
                11 => {
                    // Archived in one order, on their way in the other.
                    world.comes(true);
                    world.comes(false);
                    if world.wire.len() > 1 && world.carbons {
                        let mut last = world.wire.pop_back().unwrap();
                        let before = world.wire.pop_back().unwrap();
                        last.extend(before);
                        world.wire.push_back(last);
                    }
                }
                12 => {
                    let resumed = steps.below(2) == 0;
                    world.lost(resumed);
                    // What comes meanwhile waits for a session that is resumed.
                    if !resumed {
                        world.archived += steps.below(5) as usize;
                    }
                    world.up(resumed);
                }
                _ => {
                    world.crashes();
                    world.archived += steps.below(5) as usize;
                    world.up(false);
                }
            }
            world.learn();
        }
        // In the end there is a session that lasts.
        world.bench.room = usize::MAX;
        world.lost(false);
        world.up(false);
        for _ in 0..200 {
            world.bench.now += 5;
            world.bench.give(Input::Tick);
            world.answers(5);
        }
        let missed: Vec<_> = (5..=world.archived)
            .filter(|n| !world.engine.contains(n))
            .collect();
        assert_eq!(missed, Vec::<usize>::new(), "seed {seed}");
    }
}

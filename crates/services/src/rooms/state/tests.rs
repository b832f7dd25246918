//! The rooms' laws, by hand-fed inputs: what a room says, and what is asked and done.

mod renewal;

use std::time::Duration;

use stanchion_reliability::engine::Now;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::codec::parse_element;
use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};
use stanchion_stanza::{BareJid, Element, Limits, Message, Scope, Stanza, Text};

use super::super::error::JoinError;
use super::super::event::{Departure, RoomEvent};
use super::super::options::{JoinOptions, RoomsConfig};
use super::{ROOMS, State};
use crate::request::{RequestError, RequestKind};
use crate::service::{Input, Output, Taken};

const ROOM: &str = "hall@rooms.example";
const ARCHIVED: &str = "<feature var='urn:xmpp:mam:2'/>";

struct Script {
    state: State,
    now: Duration,
    tag: u64,
    queryid: String,
}

fn room() -> BareJid {
    ROOM.parse().unwrap()
}

fn element(xml: &str) -> Element {
    parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap()
}

impl Script {
    fn new() -> Self {
        Self {
            state: State::new(RoomsConfig::default()),
            now: Duration::from_secs(1000),
            tag: 0,
            queryid: String::new(),
        }
    }

    fn now(&self) -> Now {
        let ms = 1_700_000_000_000 + i64::try_from(self.now.as_millis()).unwrap();
        Now {
            monotonic: self.now,
            wall: WallTime::from_unix_ms(ms),
        }
    }

    /// What it wants, in a word each; requests are remembered.
    fn wants(&mut self) -> Vec<String> {
        let mut wants = Vec::new();
        loop {
            wants.push(match self.state.poll_output() {
                Output::Wait(_) => return wants,
                Output::Nonza(element) => format!("nonza {}", element.name()),
                Output::Transmit(stanza) => {
                    let xml = stanza.to_element();
                    let to = xml.attr("to").unwrap_or_default();
                    let history = xml
                        .child("x", "http://jabber.org/protocol/muc")
                        .and_then(|x| x.children().find(|c| c.name() == "history").cloned());
                    let limits = history.map(|h| {
                        let limit = |a: &stanchion_stanza::xml::Attribute| {
                            format!(" {}={}", a.name(), a.value())
                        };
                        h.attrs().map(limit).collect::<String>()
                    });
                    let kind = xml.attr("type").unwrap_or(xml.name());
                    format!("{kind} {to}{}", limits.unwrap_or_default())
                }
                Output::Request { tag, request } => {
                    self.tag = tag;
                    let (RequestKind::Get(what) | RequestKind::Set(what)) = request.kind;
                    let after = what.children().find(|c| c.name() == "set");
                    let after = after.map(|set| {
                        let inside = set
                            .children()
                            .map(|c| format!(" {} {}", c.name(), c.text()));
                        inside.collect::<String>()
                    });
                    self.queryid = what.attr("queryid").unwrap_or_default().to_owned();
                    let ns = what.ns().rsplit(['/', ':']).next().unwrap().to_owned();
                    let to = request.to.unwrap();
                    let nick = to.resource().map(|r| format!(" {r}")).unwrap_or_default();
                    format!(
                        "ask {} {ns}{nick}{}",
                        what.name(),
                        after.unwrap_or_default()
                    )
                }
                Output::Keep { .. } => continue,
                Output::HoldRoom { gather, .. } => format!("hold {gather}"),
                Output::EnterRoom { tag, settled, .. } => {
                    self.tag = tag;
                    format!("open {settled}")
                }
                Output::Archived { tag, messages } => {
                    self.tag = tag;
                    let bodies: Vec<_> = messages.iter().map(|m| m.body().unwrap()).collect();
                    format!("give {}", bodies.join(" "))
                }
                Output::LeaveRoom(_) => "leave".to_owned(),
                Output::Mutual(_) => panic!("rooms have no subscriptions"),
                Output::Event(event) => {
                    let text = format!("{event:?}");
                    text.split([' ', '{']).next().unwrap().to_owned()
                }
                Output::Announce => "announce".to_owned(),
            });
        }
    }

    fn events(&mut self) -> Vec<RoomEvent> {
        let mut events = Vec::new();
        loop {
            match self.state.poll_output() {
                Output::Wait(_) => return events,
                Output::Event(event) => events.push(event),
                _ => {}
            }
        }
    }

    fn join(&mut self, options: JoinOptions) {
        let now = self.now();
        let joined = self.state.join(now, room(), "me".to_owned(), options);
        assert_eq!(joined, Ok(None));
    }

    fn up(&mut self, resumed: bool) {
        let now = self.now();
        self.state.session_is_up(now, resumed);
    }

    fn answer(&mut self, answer: Result<Option<Element>, RequestError>) {
        let now = self.now();
        let tag = self.tag;
        self.state.handle(now, Input::Answer { tag, answer });
    }

    fn refuse(&mut self, condition: DefinedCondition) {
        let error = StanzaError::new(ErrorType::Cancel, condition);
        self.answer(Err(RequestError::Refused {
            by: None,
            error: Box::new(error),
            beside: None,
        }));
    }

    fn info(&mut self, features: &str) {
        let xml =
            format!("<query xmlns='http://jabber.org/protocol/disco#info'>{features}</query>");
        self.answer(Ok(Some(element(&xml))));
    }

    fn hears(&mut self, xml: &str) -> Taken {
        let stanza = Stanza::from_element(element(xml)).unwrap();
        let now = self.now();
        self.state.handle(now, Input::Stanza(&stanza))
    }

    fn presence(&mut self, nick: &str, kind: &str, inside: &str) -> Taken {
        self.hears(&format!(
            "<presence from='{ROOM}/{nick}'{kind}>\
             <x xmlns='http://jabber.org/protocol/muc#user'>{inside}</x></presence>"
        ))
    }

    /// Our own presence, with codes.
    fn self_presence(&mut self, nick: &str, codes: &[u16]) {
        let codes: String = codes
            .iter()
            .map(|c| format!("<status code='{c}'/>"))
            .collect();
        let item = "<item affiliation='none' role='participant'/>";
        self.presence(nick, "", &format!("{item}{codes}"));
    }

    fn result(&mut self, from: &str, queryid: &str, id: &str, inner: &str) {
        self.hears(&format!(
            "<message from='{from}'><result xmlns='urn:xmpp:mam:2' queryid='{queryid}' id='{id}'>\
             <forwarded xmlns='urn:xmpp:forward:0'>\
             <delay xmlns='urn:xmpp:delay' stamp='2024-01-01T00:00:00Z'/>\
             <message xmlns='jabber:client' from='{inner}' type='groupchat' id='{id}'>\
             <body>{id}</body></message></forwarded></result></message>"
        ));
    }

    fn archived(&mut self, id: &str) {
        let queryid = self.queryid.clone();
        self.result(ROOM, &queryid, id, &format!("{ROOM}/other"));
    }

    fn fin(&mut self, complete: bool, last: Option<&str>) {
        let range = last.map(|last| format!("<first>{last}</first><last>{last}</last>"));
        self.answer(Ok(Some(element(&format!(
            "<fin xmlns='urn:xmpp:mam:2' complete='{complete}'>\
             <set xmlns='http://jabber.org/protocol/rsm'>{}</set></fin>",
            range.unwrap_or_default()
        )))));
    }

    fn taken(&mut self, taken: usize) {
        let (now, tag) = (self.now(), self.tag);
        self.state.handle(now, Input::Archived { tag, taken });
    }

    fn entered(&mut self, entered: bool) {
        let (now, tag) = (self.now(), self.tag);
        self.state.handle(now, Input::Entered { tag, entered });
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        let now = self.now();
        self.state.handle(now, Input::Tick);
    }

    /// In a room with an archive, whose last message was `p`.
    fn inside() -> Self {
        let mut s = Self::new();
        s.up(false);
        s.join(JoinOptions::default());
        s.wants();
        s.info(ARCHIVED);
        s.wants();
        s.self_presence("me", &[110]);
        // The question for the archive's end comes first, and is answered first.
        let wants = s.wants();
        assert!(
            wants.ends_with(&[
                "ask query 2 max 1 before ".to_owned(),
                "open false".to_owned()
            ]),
            "{wants:?}"
        );
        s.entered(true);
        s.tag -= 1;
        s.fin(true, Some("p"));
        s.wants();
        s
    }

    /// The same, after a new session has begun and the room was entered again.
    fn reading() -> Self {
        let mut s = Self::inside();
        s.state.handle(s.now(), Input::Down);
        s.up(false);
        assert_eq!(s.wants(), ["Lost", "hold false", "ask query disco#info"]);
        s.info(ARCHIVED);
        assert_eq!(
            s.wants(),
            ["hold true", "presence hall@rooms.example/me maxstanzas=0"]
        );
        s.self_presence("me", &[110]);
        assert_eq!(
            s.wants(),
            ["Arrived", "Entered", "ask query 2 max 50 after p"]
        );
        s
    }
}

// ---- entering -----------------------------------------------------------------------

#[test]
fn a_room_is_held_before_it_is_asked_to_let_us_in() {
    let mut s = Script::new();
    s.join(JoinOptions::default().without_history());
    assert_eq!(s.wants(), ["hold false"], "without a session nothing more");
    s.up(false);
    assert_eq!(s.wants(), ["ask query disco#info"]);
    s.refuse(DefinedCondition::ItemNotFound);
    assert_eq!(
        s.wants(),
        ["hold false", "presence hall@rooms.example/me maxstanzas=0"]
    );
    assert_eq!(s.state.nick(&room()), None);
    s.presence("other", "", "<item affiliation='owner' role='moderator'/>");
    assert_eq!(s.wants(), ["Arrived"]);
    s.self_presence("me", &[110]);
    assert_eq!(
        s.wants(),
        ["Arrived", "Entered", "ask query disco#info", "open false"]
    );
    assert_eq!(s.state.nick(&room()), Some("me"));
    assert_eq!(s.state.occupants(&room()).len(), 2);
}

#[test]
fn a_room_that_did_not_exist_is_unlocked_before_we_are_in() {
    let mut s = Script::new();
    s.up(false);
    s.join(JoinOptions::default());
    s.wants();
    s.refuse(DefinedCondition::ItemNotFound);
    s.wants();
    s.self_presence("me", &[110, 201]);
    assert_eq!(s.wants(), ["Arrived", "ask query muc#owner"]);
    assert_eq!(s.state.nick(&room()), None);
    s.answer(Ok(None));
    assert_eq!(s.wants(), ["Entered", "ask query disco#info", "open false"]);
    // Or left locked, for whoever configures it.
    let mut s = Script::new();
    s.up(false);
    s.join(JoinOptions::default().reserved());
    s.wants();
    s.refuse(DefinedCondition::ItemNotFound);
    s.wants();
    s.self_presence("me", &[110, 201]);
    assert_eq!(
        s.wants(),
        ["Arrived", "Entered", "ask query disco#info", "open false"]
    );
}

#[test]
fn each_refusal_is_told_by_its_name_and_a_taken_nickname_is_followed_by_another() {
    let mut said = Vec::new();
    for condition in [
        "conflict",
        "forbidden",
        "registration-required",
        "not-authorized",
        "item-not-found",
        "not-allowed",
        "not-acceptable",
        "gone",
    ] {
        let mut s = Script::new();
        s.up(false);
        s.join(JoinOptions::default());
        s.wants();
        s.info("");
        s.wants();
        s.hears(&format!(
            "<presence from='{ROOM}/me' type='error'><error type='auth'>\
             <{condition} xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
        ));
        let events = s.events();
        let [RoomEvent::Refused { error, .. }] = &events[..] else {
            panic!("{condition}: {events:?}");
        };
        let text = format!("{error:?}");
        said.push(text.split(' ').next().unwrap().to_owned());
        assert!(s.state.rooms().is_empty(), "it is not tried again");
    }
    let names = [
        "NickConflict",
        "Banned",
        "MembersOnly",
        "Password",
        "Locked",
        "MayNotCreate",
        "NickReserved",
        "Refused",
    ];
    assert_eq!(said, names);
    let mut s = Script::new();
    s.up(false);
    s.join(JoinOptions::default().or_another_nick(1));
    s.wants();
    s.info("");
    s.wants();
    let conflict = |nick: &str| {
        format!(
            "<presence from='{ROOM}/{nick}' type='error'><error type='cancel'>\
             <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
        )
    };
    s.hears(&conflict("me"));
    assert_eq!(s.wants(), ["hold false", "presence hall@rooms.example/me_"]);
    s.hears(&conflict("me_"));
    assert_eq!(s.wants(), ["Refused", "leave"]);
}

#[test]
fn the_first_entry_has_an_end_and_a_silent_room_is_told_so() {
    let mut s = Script::new();
    s.join(JoinOptions::default().within(Duration::from_secs(20)));
    s.wants();
    s.pass(Duration::from_secs(19));
    assert_eq!(s.wants(), Vec::<String>::new());
    s.pass(Duration::from_secs(1));
    let events = s.events();
    assert!(
        matches!(
            &events[..],
            [RoomEvent::Refused {
                error: JoinError::TimedOut { .. },
                ..
            }]
        ),
        "{events:?}"
    );
}

#[test]
fn more_rooms_than_the_bound_are_refused() {
    let mut s = Script::new();
    let now = s.now();
    for n in 0..ROOMS {
        let jid = format!("r{n}@rooms.example").parse().unwrap();
        assert_eq!(
            s.state.join(now, jid, "me".into(), JoinOptions::default()),
            Ok(None)
        );
    }
    let one_more = s
        .state
        .join(now, room(), "me".into(), JoinOptions::default());
    assert_eq!(one_more, Err(JoinError::TooMany(ROOMS)));
}

// ---- sessions -----------------------------------------------------------------------

#[test]
fn a_resumed_session_needs_nothing_and_is_checked() {
    let mut s = Script::inside();
    s.state.handle(s.now(), Input::Down);
    s.up(true);
    assert_eq!(s.wants(), Vec::<String>::new());
    s.pass(Duration::from_secs(6));
    assert_eq!(s.wants(), ["ask ping ping me"]);
    s.answer(Ok(None));
    assert_eq!(s.wants(), Vec::<String>::new());
}

#[test]
fn a_process_that_resumes_what_an_earlier_one_began_enters_again() {
    let mut s = Script::inside();
    let row = super::row::Row::of(
        "me",
        &JoinOptions::default(),
        Some(Text::from_static("p")),
        5,
        super::row::Nature::default(),
    );
    let mut next = Script::new();
    next.state.restore(ROOM, &row.write().unwrap());
    next.state.restore("not an address @", b"nonsense");
    assert_eq!(next.wants(), ["hold false"]);
    next.up(true);
    assert_eq!(next.wants(), ["ask query disco#info"]);
    next.info(ARCHIVED);
    assert_eq!(
        next.wants(),
        ["hold true", "presence hall@rooms.example/me maxstanzas=0"]
    );
    next.self_presence("me", &[110]);
    assert_eq!(
        next.wants(),
        ["Arrived", "Entered", "ask query 2 max 50 after p"]
    );
    s.wants();
}

#[test]
fn an_answer_of_an_earlier_session_counts_for_nothing() {
    let mut s = Script::reading();
    let late = s.tag;
    s.state.handle(s.now(), Input::Down);
    s.up(false);
    s.wants();
    s.tag = late;
    s.fin(true, None);
    assert_eq!(s.wants(), Vec::<String>::new());
}

#[test]
fn a_room_without_archive_is_asked_for_as_much_history_as_was_missed() {
    let mut s = Script::new();
    s.up(false);
    s.join(JoinOptions::default());
    s.wants();
    s.info("");
    s.wants();
    s.self_presence("me", &[110]);
    s.wants();
    s.entered(true);
    s.pass(Duration::from_secs(100));
    s.state.handle(s.now(), Input::Down);
    s.up(false);
    s.wants();
    s.info("");
    assert_eq!(
        s.wants(),
        ["hold false", "presence hall@rooms.example/me seconds=130"]
    );
}

#[test]
fn who_holds_our_nickname_after_a_new_session_is_waited_out() {
    let mut s = Script::reading();
    s.state.handle(s.now(), Input::Down);
    s.up(false);
    s.wants();
    s.info(ARCHIVED);
    s.wants();
    s.hears(&format!(
        "<presence from='{ROOM}/me' type='error'><error type='cancel'>\
         <conflict xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></presence>"
    ));
    assert_eq!(s.wants(), Vec::<String>::new());
    s.pass(Duration::from_secs(3));
    assert_eq!(s.wants(), ["ask query disco#info"]);
}

// ---- the archive --------------------------------------------------------------------

#[test]
fn what_was_missed_is_read_page_by_page_and_each_page_is_kept_before_the_next() {
    let mut s = Script::reading();
    s.archived("a");
    s.archived("b");
    s.fin(false, Some("b"));
    assert_eq!(s.wants(), ["give a b"]);
    s.taken(2);
    assert_eq!(s.wants(), ["ask query 2 max 50 after b"]);
    s.archived("c");
    s.fin(true, Some("c"));
    assert_eq!(s.wants(), ["give c"]);
    s.taken(1);
    assert_eq!(s.wants(), ["open true"]);
    s.entered(true);
    assert_eq!(s.wants(), ["CaughtUp"]);
}

#[test]
fn a_full_inbox_makes_the_reader_wait_and_loses_nothing() {
    let mut s = Script::reading();
    for id in ["a", "b", "c"] {
        s.archived(id);
    }
    s.fin(true, Some("c"));
    assert_eq!(s.wants(), ["give a b c"]);
    s.taken(1);
    assert_eq!(s.wants(), ["give b c"]);
    s.taken(0);
    assert_eq!(s.wants(), Vec::<String>::new());
    s.pass(Duration::from_secs(1));
    assert_eq!(s.wants(), ["give b c"]);
    s.taken(2);
    assert_eq!(s.wants(), ["open true"]);
}

#[test]
fn what_could_not_wait_is_read_on_from_where_the_archive_was_left() {
    let mut s = Script::reading();
    s.archived("a");
    s.fin(true, Some("a"));
    s.wants();
    s.taken(1);
    assert_eq!(s.wants(), ["open true"]);
    s.entered(false);
    s.pass(Duration::from_secs(1));
    assert_eq!(s.wants(), ["ask query 2 max 50 after a"]);
}

#[test]
fn only_the_room_that_was_asked_answers_and_only_that_query() {
    let mut s = Script::reading();
    let queryid = s.queryid.clone();
    let other = format!("{ROOM}/other");
    s.result(&other, &queryid, "x1", &other);
    s.result("mallory@example", &queryid, "x2", &other);
    s.result(ROOM, "another", "x3", &other);
    // What is in it must be of the room, too.
    s.result(ROOM, &queryid, "x4", "mallory@example/x");
    s.archived("a");
    s.fin(true, Some("a"));
    assert_eq!(s.wants(), ["give a"]);
    // After the end nothing more is taken.
    s.result(ROOM, &queryid, "x5", &other);
    s.taken(1);
    assert_eq!(s.wants(), ["open true"]);
}

#[test]
fn an_archive_that_sends_more_than_was_asked_for_fills_no_memory() {
    let mut s = Script::reading();
    for n in 0..200 {
        s.archived(&format!("m{n}"));
    }
    s.fin(true, Some("m199"));
    let wants = s.wants();
    assert_eq!(wants[0].split(' ').count() - 1, 50, "{wants:?}");
    s.taken(50);
    assert_eq!(s.wants(), ["ask query 2 max 50 after m49"]);
}

#[test]
fn an_archive_that_has_forgotten_the_place_is_read_by_time_and_the_gap_is_told() {
    let mut s = Script::reading();
    s.refuse(DefinedCondition::ItemNotFound);
    assert_eq!(s.wants(), ["Gap", "ask query 2 max 50"]);
    s.refuse(DefinedCondition::Forbidden);
    assert_eq!(s.wants(), ["Gap", "open false"]);
}

#[test]
fn what_an_archive_has_comes_with_its_time_and_the_rooms_id() {
    let mut s = Script::reading();
    s.archived("a");
    s.fin(true, Some("a"));
    let mut given = None;
    while given.is_none() {
        if let Output::Archived { messages, .. } = s.state.poll_output() {
            given = messages.into_iter().next();
        }
    }
    let message: Message = given.unwrap();
    let xml = message.to_element();
    let id = xml.child("stanza-id", "urn:xmpp:sid:0").unwrap();
    assert_eq!((id.attr("id"), id.attr("by")), (Some("a"), Some(ROOM)));
    let delay = xml.child("delay", "urn:xmpp:delay").unwrap();
    assert_eq!(delay.attr("from"), Some(ROOM));
}

// ---- are we still there -------------------------------------------------------------

#[test]
fn a_quiet_room_is_asked_and_entered_again_if_we_are_not_in_it() {
    let mut s = Script::inside();
    s.pass(Duration::from_secs(14 * 60));
    assert_eq!(s.wants(), Vec::<String>::new());
    s.pass(Duration::from_secs(60));
    assert_eq!(s.wants(), ["ask ping ping me"]);
    // Somebody else's answer, or none, says nothing.
    s.refuse(DefinedCondition::ServiceUnavailable);
    s.pass(Duration::from_secs(15 * 60));
    assert_eq!(s.wants(), ["ask ping ping me"]);
    s.refuse(DefinedCondition::NotAcceptable);
    assert_eq!(s.wants(), ["Lost", "hold false", "ask query disco#info"]);
}

#[test]
fn a_room_that_says_that_we_are_not_in_it_is_entered_again() {
    let mut s = Script::inside();
    s.hears(&format!(
        "<message from='{ROOM}' type='error' id='m'><error type='modify'>\
         <not-acceptable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></message>"
    ));
    assert_eq!(s.wants(), ["Lost", "hold false", "ask query disco#info"]);
}

#[test]
fn who_is_kicked_stays_out_and_who_is_removed_by_accident_does_not() {
    let gone = |codes: &str| {
        let mut s = Script::inside();
        s.presence(
            "me",
            " type='unavailable'",
            &format!("<item role='none'/><status code='110'/>{codes}"),
        );
        s
    };
    let mut s = gone("<status code='307'/>");
    let events = s.events();
    assert!(
        matches!(
            &events[..],
            [RoomEvent::Left {
                why: Departure::Kicked { .. },
                ..
            }]
        ),
        "{events:?}"
    );
    assert!(s.state.rooms().is_empty());
    for code in [
        "<status code='332'/>",
        "<status code='333'/>",
        "<status code='307'/><status code='333'/>",
        "",
    ] {
        let mut s = gone(code);
        assert_eq!(s.wants(), ["Lost", "hold false"], "{code}");
        s.pass(Duration::from_secs(2));
        assert_eq!(s.wants(), ["ask query disco#info"]);
    }
}

#[test]
fn what_is_of_no_room_of_ours_is_for_others() {
    let mut s = Script::inside();
    let foreign = "<presence from='friend@example/phone'/>";
    assert_eq!(s.hears(foreign), Taken::No);
    let foreign =
        "<message from='other@rooms.example/a' type='groupchat'><subject>x</subject></message>";
    assert_eq!(s.hears(foreign), Taken::No);
    assert_eq!(s.wants(), Vec::<String>::new());
    // A word of the room in a message that an occupant sent is the occupant's.
    let forged = format!(
        "<message from='{ROOM}/other' type='chat'>\
         <x xmlns='http://jabber.org/protocol/muc#user'><status code='104'/></x></message>"
    );
    assert_eq!(s.hears(&forged), Taken::No);
    assert_eq!(s.wants(), Vec::<String>::new());
}

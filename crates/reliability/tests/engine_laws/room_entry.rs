//! Rooms that are entered and left with the sessions: what is said in them waits, what
//! they say while their archive is read waits, and what tells copies apart.

use stanchion_reliability::engine::{Event, Input};
use stanchion_stanza::{Limits, Message, Scope, codec::parse_element};

use crate::script::Script;

const NOTHING: [&str; 0] = [];

fn hold(s: &mut Script, gather: bool) {
    let room = "room@y".parse().unwrap();
    s.give(Input::HoldRoom { room, gather });
}

fn enter(s: &mut Script, settled: bool) -> bool {
    s.give(Input::EnterRoom {
        ticket: 3,
        room: "room@y".parse().unwrap(),
        settled,
    });
    let mut entered = None;
    let mut rest = Vec::new();
    for event in s.events() {
        match event {
            Event::Entered {
                ticket: 3,
                entered: e,
            } => entered = Some(e),
            event => rest.push(event),
        }
    }
    HANDED.with_borrow_mut(|handed| handed.extend(bodies(rest)));
    entered.expect("an answer")
}

thread_local! {
    /// What was handed over together with an answer.
    static HANDED: std::cell::RefCell<Vec<String>> = const { std::cell::RefCell::new(Vec::new()) };
}

fn bodies(events: Vec<Event>) -> Vec<String> {
    let bodies = events.into_iter().filter_map(|event| match event {
        Event::Message { message, .. } => Some(message.body().unwrap().into_owned()),
        _ => None,
    });
    bodies.collect()
}

/// Bodies handed over since the last look.
fn handed(s: &mut Script) -> Vec<String> {
    let mut all = HANDED.take();
    all.extend(bodies(s.events()));
    all
}

fn said(nick: &str, id: &str, body: &str, more: &str) -> String {
    format!(
        "<message from='room@y/{nick}' id='{id}' type='groupchat'><body>{body}</body>{more}\
         </message>"
    )
}

fn stamped(id: &str) -> String {
    format!("<stanza-id xmlns='urn:xmpp:sid:0' by='room@y' id='{id}'/>")
}

const DELAY: &str = "<delay xmlns='urn:xmpp:delay' from='room@y' stamp='2024-01-01T00:00:00Z'/>";

fn archived(s: &mut Script, stanzas: &[String]) -> usize {
    let read = |xml: &String| {
        let element = parse_element(xml.as_bytes(), &Scope::client(), &Limits::default());
        Message::from_element(element.unwrap()).unwrap()
    };
    let messages = stanzas.iter().map(read).collect();
    s.give(Input::Archived {
        ticket: 5,
        messages,
    });
    let events = s.events();
    let taken = events.iter().find_map(|event| match event {
        Event::Archived { taken, .. } => Some(*taken),
        _ => None,
    });
    HANDED.with_borrow_mut(|handed| handed.extend(bodies(events)));
    taken.unwrap()
}

// ---- going out ----------------------------------------------------------------------

#[test]
fn nothing_is_said_in_a_room_before_it_is_entered_in_each_session() {
    let mut s = Script::new();
    hold(&mut s, false);
    s.connect();
    s.say_in_room("m1", None);
    s.send("elsewhere");
    assert_eq!(s.messages(), ["elsewhere"]);
    assert!(enter(&mut s, false));
    assert_eq!(s.messages(), ["m1"]);
    s.say_in_room("m2", None);
    assert_eq!(s.messages(), ["m2"]);
    s.disconnect();
    s.bind(true, None);
    s.say_in_room("m3", None);
    assert!(!s.messages().contains(&"m3".to_owned()));
    assert!(enter(&mut s, false));
    assert_eq!(s.messages(), ["m3"], "and nothing twice");
}

#[test]
fn a_resumed_session_is_still_in_the_room() {
    let mut s = Script::new();
    hold(&mut s, false);
    s.connect();
    assert!(enter(&mut s, false));
    s.disconnect();
    s.resume(0);
    s.say_in_room("m", None);
    assert_eq!(s.messages(), ["m"]);
}

#[test]
fn what_the_archive_does_not_have_is_said_again_with_the_same_id() {
    let mut s = Script::new();
    hold(&mut s, true);
    s.connect();
    assert!(enter(&mut s, true));
    s.say_in_room("lost", None);
    s.say_in_room("heard", None);
    assert_eq!(s.messages(), ["lost", "heard"]);
    s.acked(2);
    s.disconnect();
    s.bind(true, None);
    hold(&mut s, true);
    assert_eq!(archived(&mut s, &[said("me", "heard", "heard", "")]), 1);
    s.say_in_room("new", None);
    assert_eq!(s.messages(), NOTHING);
    assert!(enter(&mut s, true));
    assert_eq!(s.messages(), ["lost", "new"]);
}

#[test]
fn who_is_not_in_the_room_says_it_again_once_it_is() {
    let mut s = Script::new();
    hold(&mut s, false);
    s.connect();
    assert!(enter(&mut s, false));
    s.say_in_room("m", None);
    assert_eq!(s.messages(), ["m"]);
    s.bounce("room@y", "m", "not-acceptable");
    let told = s.events();
    assert!(
        matches!(&told[..], [Event::Accepted { .. }, Event::Transient(_)]),
        "whoever enters it hears: {told:?}"
    );
    assert_eq!(s.messages(), NOTHING);
    assert!(enter(&mut s, false));
    assert_eq!(s.messages(), ["m"]);
    s.bounce("room@y", "m", "forbidden");
    assert_eq!(s.outcomes(), [("m".to_owned(), "in doubt")]);
}

#[test]
fn a_room_that_is_left_is_as_any_other_recipient() {
    let mut s = Script::new();
    hold(&mut s, true);
    s.connect();
    s.say_in_room("m", None);
    s.give(Input::LeaveRoom("room@y".parse().unwrap()));
    assert_eq!(s.messages(), ["m"]);
    s.receive(&said("a", "1", "hi", ""));
    assert_eq!(handed(&mut s), ["hi"]);
}

// ---- coming in ----------------------------------------------------------------------

#[test]
fn what_is_said_while_the_archive_is_read_follows_what_the_archive_has() {
    let mut s = Script::new();
    s.connect();
    hold(&mut s, true);
    s.receive(&said("a", "4", "four", &stamped("s4")));
    assert_eq!(handed(&mut s), NOTHING);
    assert_eq!(s.engine.handled(), 1, "the archive has it");
    let page = [
        said("a", "2", "two", &stamped("s2")),
        said("a", "3", "three", &stamped("s3")),
        said("a", "4", "four", &stamped("s4")),
    ];
    assert_eq!(archived(&mut s, &page), 3);
    s.receive(&said("a", "5", "five", &stamped("s5")));
    assert!(enter(&mut s, true));
    s.receive(&said("a", "6", "six", &stamped("s6")));
    assert_eq!(handed(&mut s), ["two", "three", "four", "five", "six"]);
}

#[test]
fn a_room_that_says_more_than_can_wait_is_read_on() {
    let mut s = Script::with(|config| config.inbox = 2000);
    s.connect();
    hold(&mut s, true);
    for n in 0..300 {
        s.receive(&said("a", &n.to_string(), "x", ""));
    }
    assert!(!enter(&mut s, true));
    // What comes from now on waits again.
    s.receive(&said("a", "300", "later", ""));
    assert_eq!(handed(&mut s), NOTHING);
    assert!(enter(&mut s, true));
    assert_eq!(handed(&mut s), ["later"]);
}

#[test]
fn a_new_session_forgets_what_waited() {
    let mut s = Script::new();
    s.connect();
    hold(&mut s, true);
    s.receive(&said("a", "1", "one", ""));
    s.disconnect();
    s.bind(true, None);
    assert!(enter(&mut s, true));
    assert_eq!(handed(&mut s), NOTHING);
}

#[test]
fn what_waits_has_no_place_in_a_full_inbox_and_is_read_later() {
    let mut s = Script::with(|config| config.inbox = 2);
    s.connect();
    hold(&mut s, true);
    for n in ["1", "2", "3"] {
        s.receive(&said("a", n, n, ""));
    }
    assert!(!enter(&mut s, true));
    assert_eq!(handed(&mut s), ["1", "2"]);
    s.commit(1);
    assert_eq!(archived(&mut s, &[said("a", "3", "3", "")]), 1);
    assert!(enter(&mut s, true));
    assert_eq!(handed(&mut s), ["3"]);
}

// ---- which are copies ---------------------------------------------------------------

#[test]
fn history_archive_and_reflection_are_copies_of_what_was_said() {
    let mut s = Script::new();
    s.connect();
    let origin = "<origin-id xmlns='urn:xmpp:sid:0' id='u1'/>";
    s.receive(&said("a", "1", "hi", origin));
    s.receive(&said("a", "1", "hi", &format!("{origin}{DELAY}")));
    s.receive(&said("a", "1", "hi", &format!("{origin}{}", stamped("s1"))));
    assert_eq!(
        archived(
            &mut s,
            &[said(
                "a",
                "1",
                "hi",
                &format!("{origin}{DELAY}{}", stamped("s1"))
            )]
        ),
        1
    );
    assert_eq!(handed(&mut s), ["hi"]);
    // Without an id of its sender's own, the room's.
    s.receive(&said("a", "2", "ho", &stamped("s2")));
    archived(
        &mut s,
        &[said("a", "2", "ho", &format!("{}{DELAY}", stamped("s2")))],
    );
    assert_eq!(handed(&mut s), ["ho"]);
    // Without that either, what there is.
    s.receive(&said("a", "3", "hu", ""));
    s.receive(&said("a", "3", "hu", DELAY));
    assert_eq!(handed(&mut s), ["hu"]);
}

#[test]
fn one_plain_id_of_two_people_or_with_two_texts_is_two_messages() {
    let mut s = Script::new();
    s.connect();
    s.receive(&said("a", "1", "hi", ""));
    s.receive(&said("b", "1", "hi", ""));
    s.receive(&said("a", "1", "another", ""));
    assert_eq!(handed(&mut s), ["hi", "hi", "another"]);
    // The room's id tells even what is the same in all else.
    s.receive(&said("a", "2", "again", &stamped("s1")));
    s.receive(&said("a", "2", "again", &stamped("s2")));
    assert_eq!(handed(&mut s), ["again", "again"]);
}

#[test]
fn a_copy_under_another_name_of_its_author_is_a_copy() {
    let mut s = Script::new();
    s.connect();
    s.receive(&said("a", "1", "hi", &stamped("s1")));
    archived(&mut s, &[said("b", "1", "hi", &stamped("s1"))]);
    assert_eq!(handed(&mut s), ["hi"]);
}

#[test]
fn an_id_of_a_room_is_believed_from_that_room_alone_and_once() {
    let mut s = Script::new();
    s.connect();
    // By somebody else, or beside the room's own, it tells nothing.
    let foreign = "<stanza-id xmlns='urn:xmpp:sid:0' by='room@z' id='s1'/>";
    s.receive(&said("a", "1", "one", foreign));
    s.receive(&said("a", "2", "two", foreign));
    let two = format!("{}{}", stamped("s1"), stamped("s2"));
    s.receive(&said("m", "3", "three", &two));
    s.receive(&said("a", "4", "four", &stamped("s1")));
    s.receive(&said("a", "5", "five", &stamped("s2")));
    assert_eq!(handed(&mut s), ["one", "two", "three", "four", "five"]);
    // In a message that is no room's it is nothing at all.
    for id in ["6", "7"] {
        s.receive(&format!(
            "<message from='room@y/a' id='{id}' type='chat'><body>{id}</body>{}</message>",
            stamped("s9")
        ));
    }
    assert_eq!(handed(&mut s), ["6", "7"]);
}

#[test]
fn private_messages_of_two_people_in_a_room_are_two() {
    let mut s = Script::new();
    s.connect();
    for nick in ["a", "b", "a"] {
        s.receive(&format!(
            "<message from='room@y/{nick}' id='1' type='chat'><body>psst</body>\
             <x xmlns='http://jabber.org/protocol/muc#user'/></message>"
        ));
    }
    assert_eq!(handed(&mut s), ["psst", "psst"]);
}

//! Messages to rooms: what a room reflects to its sender decides, and nothing is said
//! twice.

use crate::script::{SECOND, Script};

const NOTHING: [&str; 0] = [];

fn told(id: &str, word: &'static str) -> Vec<(String, &'static str)> {
    vec![(id.to_owned(), word)]
}

#[test]
fn what_the_room_shows_is_acknowledged() {
    let mut s = Script::new();
    s.connect();
    s.say_in_room("m", None);
    assert_eq!(s.messages(), ["m"]);
    s.reflect("other@y/me", "m");
    s.receipt("room@y/other", "m");
    assert_eq!(s.outcomes(), []);
    s.reflect("room@y/me", "m");
    assert_eq!(s.outcomes(), told("m", "acknowledged"));
}

#[test]
fn nothing_is_said_twice_in_a_room() {
    let mut s = Script::new();
    s.connect();
    s.say_in_room("m", None);
    assert_eq!(s.messages(), ["m"]);
    s.acked(1);
    s.pass(7 * SECOND);
    s.disconnect();
    s.bind(true, None);
    assert_eq!(s.messages(), NOTHING);
    // The history that the next join brings tells.
    s.reflect("room@y/me", "m");
    assert_eq!(s.outcomes(), told("m", "acknowledged"));
}

#[test]
fn what_the_server_has_not_handled_is_said_again() {
    let mut s = Script::new();
    s.connect();
    s.say_in_room("m", None);
    assert_eq!(s.messages(), ["m"]);
    s.disconnect();
    s.bind(true, Some(0));
    assert_eq!(s.messages(), ["m"]);
}

#[test]
fn what_an_earlier_process_said_is_in_doubt_until_the_room_shows_it() {
    let mut s = Script::new();
    s.connect();
    s.say_in_room("m", None);
    let mut s = s.crash();
    assert_eq!(s.outcomes(), told("m", "in doubt"));
    s.connect();
    assert_eq!(s.messages(), NOTHING);
    s.reflect("room@y/me", "m");
    assert_eq!(s.outcomes(), told("m", "acknowledged"));
}

#[test]
fn what_the_room_refuses_is_not_delivered() {
    let mut s = Script::new();
    s.connect();
    s.say_in_room("m", None);
    s.bounce("room@y", "m", "not-acceptable");
    assert_eq!(s.outcomes(), told("m", "not delivered"));
}

#[test]
fn without_a_reflection_it_is_in_doubt_at_its_deadline() {
    let mut s = Script::new();
    s.connect();
    s.say_in_room("m", Some(5 * SECOND));
    s.pass(5 * SECOND);
    assert_eq!(s.outcomes(), told("m", "in doubt"));
}

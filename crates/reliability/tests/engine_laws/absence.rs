//! What presence says of a recipient: one that is away is not sent the same again and again,
//! and one that is back gets what waits for it.

use crate::pair::Pair;
use crate::script::{SECOND, Script, between};

const HERE: &str = "<presence from='peer@x/1'/>";
const GONE: &str = "<presence from='peer@x/1' type='unavailable'/>";

/// How many messages were sent since the last look.
fn sent(s: &mut Script) -> usize {
    s.messages().len()
}

/// A stream on which the peer was there and left.
fn left() -> Script {
    let mut s = Script::with(|c| c.probe_after = 1_000_000 * SECOND);
    s.connect();
    s.receive(HERE);
    s.receive(GONE);
    s.pass(SECOND);
    s
}

#[test]
fn a_recipient_that_is_away_is_sent_a_message_once_in_a_long_time() {
    let mut s = left();
    s.send("m");
    assert_eq!(sent(&mut s), 1, "its server may keep it");
    s.acked(1);
    s.pass(899 * SECOND);
    assert_eq!(sent(&mut s), 0);
    s.pass(3600 * SECOND);
    let again = sent(&mut s);
    assert!(again > 0, "presence may be wrong");
    assert_eq!(s.outcomes(), []);
}

#[test]
fn a_recipient_that_leaves_is_not_sent_again_what_it_has_not_answered() {
    let mut s = Script::with(|c| c.probe_after = 1_000_000 * SECOND);
    s.connect();
    s.receive(HERE);
    s.send("m");
    s.acked(1);
    assert_eq!(sent(&mut s), 1);
    s.receive(GONE);
    s.pass(899 * SECOND);
    assert_eq!(sent(&mut s), 0);
}

#[test]
fn what_was_sent_before_the_recipient_left_goes_out_at_once_when_it_is_back() {
    let mut s = Script::with(|c| c.probe_after = 1_000_000 * SECOND);
    s.connect();
    s.receive(HERE);
    s.send("m");
    s.acked(1);
    s.pass(SECOND);
    s.receive(GONE);
    s.pass(100 * SECOND);
    s.sent();
    s.receive(HERE);
    assert_eq!(s.messages(), ["m"]);
    // Once for each absence.
    s.acked(2);
    s.receive(HERE);
    assert_eq!(sent(&mut s), 0);
}

#[test]
fn a_recipient_that_comes_and_goes_is_not_sent_more_than_one_that_stays() {
    let mut s = Script::with(|c| c.probe_after = 1_000_000 * SECOND);
    s.connect();
    s.receive(HERE);
    s.send("m");
    s.acked(1);
    s.sent();
    for _ in 0..100 {
        s.receive(GONE);
        s.receive(HERE);
    }
    assert_eq!(sent(&mut s), 0);
    s.pass(4 * SECOND);
    assert_eq!(sent(&mut s), 1, "the usual time to answer is over");
}

#[test]
fn what_the_server_of_one_who_was_away_keeps_is_sent_again_only_if_no_answer_comes() {
    for answers in [true, false] {
        let mut s = left();
        s.send("m");
        s.acked(1);
        s.sent();
        s.pass(600 * SECOND);
        s.receive(HERE);
        assert_eq!(sent(&mut s), 0);
        if answers {
            s.receipt("peer@x/1", "m");
            assert_eq!(s.outcomes(), [("m".to_owned(), "acknowledged")]);
        }
        s.pass(4 * SECOND);
        assert_eq!(sent(&mut s), usize::from(!answers));
    }
}

#[test]
fn what_came_back_while_the_recipient_was_away_goes_out_at_once_when_it_is_back() {
    let mut s = left();
    s.send("m");
    s.acked(1);
    s.bounce("peer@x", "m", "service-unavailable");
    s.sent();
    s.pass(899 * SECOND);
    assert_eq!(sent(&mut s), 0, "it would only come back again");
    s.receive(HERE);
    assert_eq!(s.messages(), ["m"]);
}

#[test]
fn an_account_of_which_one_resource_is_left_is_there() {
    let mut s = Script::with(|c| c.probe_after = 1_000_000 * SECOND);
    s.connect();
    s.receive(HERE);
    s.receive("<presence from='peer@x/2'/>");
    s.receive(GONE);
    s.send("m");
    s.acked(1);
    s.sent();
    s.pass(4 * SECOND);
    assert_eq!(sent(&mut s), 1);
    // Its own address speaks for all of it.
    s.acked(2);
    s.receive("<presence from='peer@x' type='unavailable'/>");
    s.pass(800 * SECOND);
    assert_eq!(sent(&mut s), 0);
}

#[test]
fn one_who_leaves_a_room_takes_nobody_else_along() {
    let mut s = Script::with(|c| c.probe_after = 1_000_000 * SECOND);
    s.connect();
    let gone = "<presence from='room@x/one' type='unavailable'>\
                <x xmlns='http://jabber.org/protocol/muc#user'/></presence>";
    s.receive(&gone.replace(" type='unavailable'", ""));
    s.receive(gone);
    s.send_to("room@x/two", "m", None);
    s.acked(1);
    s.sent();
    s.pass(4 * SECOND);
    assert_eq!(sent(&mut s), 1);
}

#[test]
fn one_whose_presence_is_not_known_is_sent_to_as_ever() {
    let mut s = left();
    s.send_to("other@x", "m", None);
    s.acked(1);
    s.sent();
    s.pass(4 * SECOND);
    assert_eq!(sent(&mut s), 1);
}

#[test]
fn when_more_is_there_than_is_remembered_nobody_is_taken_to_be_away() {
    let mut s = Script::with(|c| c.probe_after = 1_000_000 * SECOND);
    s.connect();
    s.receive(HERE);
    for n in 0..4096 {
        s.receive(&format!("<presence from='p{n}@x/1'/>"));
    }
    s.receive(GONE);
    s.send("m");
    s.acked(1);
    s.sent();
    s.pass(4 * SECOND);
    assert_eq!(sent(&mut s), 1);
}

#[test]
fn a_device_that_is_away_is_not_made_present_by_another_of_its_account() {
    let mut pair = Pair::acquainted();
    let other =
        "<presence><at xmlns='urn:stanchion:delivery:0' v='another.AAAAAAAAAAA'/></presence>";
    pair.a.take("bob@y/1", "<presence/>");
    pair.a.take("bob@y/2", other);
    pair.a.take("bob@y/1", "<presence type='unavailable'/>");
    pair.send("m");
    assert_eq!(pair.a.out().len(), 1);
    pair.a.s.pass(800 * SECOND);
    assert_eq!(pair.a.out().len(), 0);
    let own = pair.b.s.engine.place().unwrap().to_string();
    let back = format!("<presence><at xmlns='urn:stanchion:delivery:0' v='{own}'/></presence>");
    pair.a.take("bob@y/3", &back);
    pair.a.s.pass(SECOND * 5 / 4);
    assert_eq!(pair.a.out().len(), 1);
}

#[test]
fn who_answers_is_there() {
    let mut pair = Pair::acquainted();
    pair.a.take("bob@y/1", "<presence/>");
    pair.a.take("bob@y/1", "<presence type='unavailable'/>");
    pair.send("m");
    pair.send("n");
    let out = pair.a.out();
    assert_eq!(out.len(), 2);
    pair.reaches_b(&out[0]);
    let answer = pair.b.out().swap_remove(0);
    pair.reaches_a(&answer);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
    pair.a.out();
    pair.a.s.pass(10 * SECOND);
    let again = pair.a.out();
    assert!(again.iter().any(|xml| between(xml, "<body>", "<") == "n"));
}

#[test]
fn one_who_was_away_is_so_on_a_new_session_until_it_is_seen() {
    let mut s = left();
    s.send("m");
    s.acked(1);
    s.sent();
    s.disconnect();
    s.connect();
    assert_eq!(sent(&mut s), 1, "the server may have lost it");
    s.acked(1);
    s.pass(800 * SECOND);
    assert_eq!(sent(&mut s), 0);
    s.receive(HERE);
    s.pass(4 * SECOND);
    assert_eq!(sent(&mut s), 1);
}

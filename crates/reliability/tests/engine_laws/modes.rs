//! Ways of delivery: at most once, and channels without order.

use stanchion_reliability::engine::{Event, Input, Mode, Refusal};
use stanchion_reliability::lane::Lane;
use stanchion_reliability::protection::Protection;
use stanchion_stanza::payload::delivery::Channel;
use stanchion_stanza::payload::delivery::VerdictState::{Delivered, Void};

use crate::script::{SECOND, Script};

const NOTHING: [&str; 0] = [];

fn told(id: &str, word: &'static str) -> Vec<(String, &'static str)> {
    vec![(id.to_owned(), word)]
}

fn unordered() -> Mode {
    Mode::Unordered(Channel::new("u").unwrap())
}

#[test]
fn at_most_once_is_kept_nowhere() {
    let mut s = Script::new();
    s.connect();
    s.persisted.clear();
    s.send_in(Mode::AtMostOnce, "m", None);
    assert_eq!(s.outcomes(), told("m", "transmitted"));
    assert_eq!(s.messages(), ["m"]);
    assert!(s.persisted.is_empty());
    assert_eq!(s.engine.pending(), 0);
}

#[test]
fn at_most_once_is_never_sent_again_to_another_session() {
    let mut s = Script::new();
    s.connect();
    s.send_in(Mode::AtMostOnce, "m", None);
    assert_eq!(s.messages(), ["m"]);
    // Neither by a timer, nor on a new stream.
    s.pass(7 * SECOND);
    s.disconnect();
    s.connect();
    s.pass(7 * SECOND);
    assert_eq!(s.messages(), NOTHING);
}

#[test]
fn at_most_once_goes_again_on_a_resumed_stream_if_the_server_has_not_handled_it() {
    let mut s = Script::new();
    s.connect();
    s.send_in(Mode::AtMostOnce, "m", None);
    s.send_in(Mode::AtMostOnce, "n", None);
    assert_eq!(s.messages(), ["m", "n"]);
    s.disconnect();
    s.resume(1);
    assert_eq!(s.messages(), ["n"]);
}

#[test]
fn at_most_once_does_not_go_again_on_a_resumed_stream_that_offers_too_little() {
    let mut s = Script::new();
    s.connect();
    s.send_in(Mode::AtMostOnce, "strict", None);
    s.send_on_any(Mode::AtMostOnce, "any");
    assert_eq!(s.messages(), ["strict", "any"]);
    s.disconnect();
    s.offered = Protection::Encrypted;
    s.resume(0);
    assert_eq!(s.messages(), ["any"]);
}

#[test]
fn without_a_deadline_at_most_once_waits_for_no_stream() {
    let mut s = Script::new();
    s.send_in(Mode::AtMostOnce, "m", None);
    let reason = "there was no connection, and it was not to wait";
    assert_eq!(s.reasons(), [reason]);
    s.connect();
    assert_eq!(s.messages(), NOTHING);
}

#[test]
fn at_most_once_waits_for_a_stream_until_its_deadline() {
    let mut s = Script::new();
    s.send_in(Mode::AtMostOnce, "m", Some(5 * SECOND));
    s.send_in(Mode::AtMostOnce, "n", Some(9 * SECOND));
    s.pass(4 * SECOND);
    assert_eq!(s.outcomes(), []);
    s.pass(SECOND);
    assert_eq!(s.reasons(), ["its time was over before it took effect"]);
    s.pass(SECOND);
    s.connect();
    assert_eq!(s.outcomes(), told("n", "transmitted"));
    assert_eq!(s.messages(), ["n"]);
}

#[test]
fn at_most_once_goes_on_no_stream_that_offers_too_little() {
    let mut s = Script::new();
    s.offered = Protection::Encrypted;
    s.connect();
    s.send_in(Mode::AtMostOnce, "m", None);
    s.send_in(Mode::AtMostOnce, "n", Some(5 * SECOND));
    s.pass(6 * SECOND);
    let reason = "no stream met its protection in time";
    assert_eq!(s.reasons(), [reason, reason]);
    assert_eq!(s.messages(), NOTHING);
}

#[test]
fn at_most_once_that_waits_can_be_taken_back() {
    let mut s = Script::new();
    s.send_in(Mode::AtMostOnce, "m", Some(5 * SECOND));
    s.give(Input::Cancel { id: "m".into() });
    assert_eq!(s.reasons(), ["it was taken back"]);
    s.connect();
    assert_eq!(s.messages(), NOTHING);
}

#[test]
fn what_waits_at_most_once_is_bounded_and_leaves_the_stream_to_others() {
    let mut s = Script::new();
    let mut refused = 0;
    for n in 0..1000 {
        s.send_in(Mode::AtMostOnce, &format!("m{n}"), Some(60 * SECOND));
        let full = |e: &Event| {
            matches!(
                e,
                Event::Refused {
                    why: Refusal::TooManyFleeting(_),
                    ..
                }
            )
        };
        refused += s.events().iter().filter(|e| full(e)).count();
    }
    assert_eq!(refused, 1000 - 256);
    s.connect();
    s.send("kept");
    let first = s.messages();
    assert!(first.len() < 64, "{}", first.len());
    assert!(first.contains(&"kept".to_owned()));
    // The rest follows as the server takes it, each once.
    let mut all = first;
    for h in 1..20 {
        s.acked(h * 16);
        all.extend(s.messages());
        if all.len() == 257 {
            break;
        }
    }
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 257);
}

#[test]
fn a_channel_without_order_says_so_and_names_no_predecessor() {
    let mut s = Script::new();
    s.connect();
    s.send_in(unordered(), "m1", None);
    s.send_in(unordered(), "m2", None);
    let said = s.said();
    assert!(said.iter().all(|d| d.unordered && d.prev.is_none()));
    assert_eq!((said[0].seq, said[1].seq), (1, 2));
}

#[test]
fn where_order_does_not_count_the_newest_goes_first_and_none_waits_for_another() {
    let mut s = Script::new();
    for n in 1..=9 {
        s.send_in(unordered(), &format!("m{n}"), None);
    }
    s.connect();
    let newest_first: Vec<String> = (1..=9).rev().map(|n| format!("m{n}")).collect();
    assert_eq!(s.messages(), newest_first);

    let mut s = Script::new();
    s.offered = Protection::Encrypted;
    s.connect();
    s.send_in(unordered(), "strict", None);
    s.send_on_any(unordered(), "any");
    assert_eq!(s.messages(), ["any"]);
}

#[test]
fn where_order_does_not_count_what_waited_for_a_stream_goes_before_what_was_on_the_lost_one() {
    let ordered = || Mode::ExactlyOnce(Channel::new("o").unwrap());
    let mut s = Script::new();
    s.connect_resumably();
    s.send_in(unordered(), "taken", None);
    s.send_in(unordered(), "stale", None);
    s.send_in(ordered(), "first", None);
    assert_eq!(s.messages(), ["taken", "stale", "first"]);
    s.disconnect();
    s.send_in(unordered(), "older", None);
    s.send_in(unordered(), "newest", None);
    s.send_in(ordered(), "second", None);
    s.resume(1);
    let sent = s.messages();
    let alike = |channel: &[&str]| -> Vec<String> {
        let of = sent.iter().filter(|id| channel.contains(&id.as_str()));
        of.cloned().collect()
    };
    let order = alike(&["taken", "newest", "older", "stale"]);
    assert_eq!(order, ["newest", "older", "stale"]);
    assert_eq!(alike(&["first", "second"]), ["first", "second"]);
    // The server counts on from what it had, and each is accepted once.
    s.events();
    s.acked(6);
    let accepted = |e: &Event| matches!(e, Event::ServerAccepted { .. });
    assert_eq!(s.events().iter().filter(|e| accepted(e)).count(), 5);
}

#[test]
fn a_long_backlog_without_order_is_delivered_to_the_last() {
    let mut s = Script::new();
    for n in 1..=200 {
        s.send_in(unordered(), &format!("m{n:03}"), None);
    }
    s.connect();
    let (mut delivered, mut h) = (0, 0);
    while delivered < 200 {
        let said = s.said();
        assert!(!said.is_empty(), "stuck after {delivered}");
        h += u32::try_from(said.len()).unwrap();
        s.acked(h);
        for one in said {
            s.verdict(&one, Delivered);
        }
        let outcomes = s.outcomes();
        delivered += outcomes
            .iter()
            .filter(|(_, word)| *word == "delivered")
            .count();
    }
    assert_eq!(s.engine.pending(), 0);
}

#[test]
fn what_a_channel_keeps_is_fixed_by_its_first_message() {
    let ordered = || Mode::ExactlyOnce(Channel::new("u").unwrap());
    let mut s = Script::new();
    s.connect();
    s.send_in(unordered(), "m1", None);
    let said = s.said().remove(0);
    s.verdict(&said, Void);
    s.send_in(ordered(), "m2", None);
    let refused = |e: &Event| {
        matches!(e, Event::Refused { id, why: Refusal::OtherOrder { channel, unordered: true } }
            if id == "m2" && channel == "u")
    };
    assert!(s.events().iter().any(refused));
    // After a restart, too.
    let mut s = s.crash();
    s.send_in(ordered(), "m2", None);
    assert!(s.events().iter().any(refused));
    s.send_in(unordered(), "m3", None);
    s.connect();
    assert_eq!(s.messages(), ["m3"]);
}

#[test]
fn where_order_does_not_count_a_gap_holds_nothing_up() {
    let mut s = Script::new();
    s.connect();
    s.channel_message_that("m3", 3, |said| said.unordered = true);
    s.channel_message_that("m1", 1, |said| said.unordered = true);
    let bodies: Vec<String> = s.handed().into_iter().map(|(_, body, _)| body).collect();
    assert_eq!(bodies, ["m3", "m1"]);
    // In order, it does.
    let mut s = Script::new();
    s.connect();
    s.channel_message("m3", 3);
    assert_eq!(s.handed(), []);
}

#[test]
fn a_newer_message_takes_the_place_of_those_that_were_never_sent() {
    let mut s = Script::new();
    s.replace("t1", "temperature");
    s.replace("h1", "humidity");
    s.replace("t2", "temperature");
    assert_eq!(s.reasons(), ["a newer message took its place"]);
    s.replace("t3", "temperature");
    assert_eq!(s.outcomes(), told("t2", "not delivered"));
    s.connect();
    assert_eq!(s.messages(), ["h1", "t3"]);
    // What was given to a connection is not touched, even if it was lost.
    s.disconnect();
    s.replace("t4", "temperature");
    assert_eq!(s.outcomes(), []);
    s.connect();
    assert_eq!(s.messages(), ["h1", "t3", "t4"]);
}

#[test]
fn what_is_replaced_is_so_for_good_and_in_one_batch_with_its_successor() {
    let mut s = Script::new();
    s.replace("t1", "t");
    s.persisted.clear();
    s.store_waits();
    s.replace("t2", "t");
    assert_eq!(s.asked(), 1);
    assert_eq!(s.outcomes(), []);
    s.store_answers();
    assert_eq!(s.outcomes(), told("t1", "not delivered"));
    let mut s = s.crash();
    s.replace("t3", "t");
    s.connect();
    // An earlier process may have sent the second, whatever its record says.
    assert_eq!(s.messages(), ["t2", "t3"]);
}

#[test]
fn one_value_that_changes_fills_no_outbox() {
    let mut s = Script::with(|c| c.outbox = 10);
    for n in 0..1000 {
        s.replace(&format!("t{n}"), "t");
        assert!(s.engine.pending() <= 2);
    }
    s.connect();
    assert_eq!(s.messages(), ["t999"]);
}

#[test]
fn alarms_go_before_commands_and_those_before_telemetry() {
    let mut s = Script::new();
    for lane in [Lane::Telemetry, Lane::Control, Lane::Alarm] {
        let mode = Mode::ExactlyOnce(lane.channel().unwrap());
        s.send_in(mode, lane.name(), None);
    }
    s.connect();
    assert_eq!(s.messages(), ["a", "c", "t"]);
}

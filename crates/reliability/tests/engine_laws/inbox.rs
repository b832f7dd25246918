//! Receiving: durability, deduplication, hand-over, receipts, hostile peers.

use proptest::prelude::*;
use stanchion_reliability::engine::{Event, Input};
use stanchion_reliability::store::{InboundKey, NewInbound, Op, Store as _};
use stanchion_stanza::payload::delivery::{Deliver, IdPrefix, VerdictState};
use stanchion_stanza::{Element, Text};

use crate::script::{SECOND, Script, wall};

#[test]
fn nothing_is_acknowledged_before_it_is_durable() {
    let mut s = Script::new();
    s.connect();
    s.message("m0");
    s.store_waits();
    s.message("m1");
    s.receive("<presence from='peer@x/1'/>");
    // Asked, it answers at once, and with what is durable.
    s.receive("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(s.counts(), ["1"]);
    assert_eq!(s.engine.handled(), 1);
    // What it owes follows without being asked.
    s.store_answers();
    assert_eq!(s.counts(), ["3"]);
}

#[test]
pub(crate) fn a_copy_on_a_new_stream_is_not_acknowledged_before_the_first_is_durable() {
    let mut s = Script::new();
    s.connect();
    s.store_waits();
    s.channel_message("m", 1);
    // The server gives it away again, as nobody said that it was handled.
    s.disconnect();
    s.connect();
    s.channel_message("m", 1);
    s.receive("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(s.counts(), ["0"]);
    s.store_answers();
    assert_eq!(s.counts(), ["1"]);
}

#[test]
fn the_application_gets_nothing_before_it_is_durable() {
    let mut s = Script::new();
    s.connect();
    s.store_waits();
    s.message("m");
    assert_eq!(s.handed(), []);
    s.store_answers();
    assert_eq!(s.handed(), [(1, "m".to_owned(), false)]);
}

#[test]
fn no_receipt_leaves_before_the_commit_is_durable() {
    let mut s = Script::new();
    s.connect();
    s.message("m");
    assert_eq!(s.receipts(), Vec::<String>::new());
    s.store_waits();
    s.commit(1);
    assert_eq!(s.receipts(), Vec::<String>::new());
    s.store_answers();
    assert_eq!(s.receipts(), ["m"]);
}

#[test]
fn a_copy_is_never_handed_over() {
    let mut s = Script::new();
    s.connect();
    s.message("m");
    s.message("m");
    assert_eq!(s.handed().len(), 1);
    // Not committed: no receipt for either.
    assert_eq!(s.receipts(), Vec::<String>::new());
    s.commit(1);
    assert_eq!(s.receipts(), ["m"]);
    let mut s = s.crash();
    s.connect();
    s.message("m");
    assert_eq!(s.handed(), []);
    // The first receipt may have been lost.
    assert_eq!(s.receipts(), ["m"]);
}

#[test]
fn a_commit_counts_once() {
    let mut s = Script::new();
    s.connect();
    s.message("m");
    s.commit(1);
    s.commit(1);
    s.commit(77);
    assert_eq!(s.receipts(), ["m"]);
}

#[test]
fn what_an_earlier_process_did_not_commit_comes_again_with_a_warning() {
    let mut s = Script::new();
    s.connect();
    s.message("m0");
    s.message("m1");
    s.commit(1);
    let mut s = s.crash();
    s.connect();
    s.message("m2");
    assert_eq!(
        s.handed(),
        [(2, "m1".to_owned(), true), (3, "m2".to_owned(), false)]
    );
    s.commit(2);
    assert_eq!(s.receipts(), ["m1"]);
}

#[test]
fn the_application_holds_no_more_than_it_may_and_gets_the_rest_in_order() {
    let mut s = Script::with(|c| c.hand_over = 3);
    s.connect();
    let ids: Vec<String> = (0..20).map(|n| format!("m{n:02}")).collect();
    for id in &ids {
        s.message(id);
    }
    // All is acknowledged: the store has it.
    assert_eq!(s.engine.handled(), 20);
    let mut handed = s.handed();
    assert_eq!(handed.len(), 3);
    for n in 0..20 {
        s.commit(handed[n].0);
        handed.extend(s.handed());
        assert!(s.engine.footprint().handed_over <= 3);
    }
    let order: Vec<_> = handed.into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(order, ids);
}

#[test]
fn what_comes_again_takes_no_place_of_others() {
    let room = 5;
    let mut s = Script::with(|c| c.hand_over = room);
    s.connect();
    let of_the_channel = |s: &mut Script, n: u64| {
        s.channel_message_that(&format!("a{n}"), n, |said| {
            said.prev = (n > 1).then(|| IdPrefix::from_bits(n + 99));
        });
    };
    s.message("p0");
    of_the_channel(&mut s, 2);
    ["x1", "x2", "x3"].iter().for_each(|id| s.message(id));
    // It takes the last place, and the second waits for another one.
    of_the_channel(&mut s, 1);
    assert_eq!(s.handed().len(), room);
    ["p3", "p4"].iter().for_each(|id| s.message(id));
    let mut s = s.crash();
    s.connect();
    let mut in_hands = Vec::new();
    let mut order = Vec::new();
    let mut take = |s: &mut Script, in_hands: &mut Vec<u64>| {
        for (arrival, body, _) in s.handed() {
            in_hands.push(arrival);
            order.push(body);
        }
        assert!(in_hands.len() <= room, "{order:?}");
    };
    take(&mut s, &mut in_hands);
    while !in_hands.is_empty() {
        // Two at a time, so that the next page is as small as can be.
        for arrival in in_hands.drain(..in_hands.len().min(2)).collect::<Vec<_>>() {
            s.commit(arrival);
        }
        take(&mut s, &mut in_hands);
    }
    order.sort();
    assert_eq!(order, ["a1", "a2", "p0", "p3", "p4", "x1", "x2", "x3"]);
}

#[test]
fn a_full_inbox_sends_back_what_it_cannot_keep() {
    let mut s = Script::with(|c| (c.inbox, c.hand_over) = (5, 2));
    s.connect();
    for n in 0..9 {
        s.message(&format!("m{n}"));
    }
    let refused = s
        .sent()
        .into_iter()
        .filter(|x| x.contains("resource-constraint"))
        .count();
    assert_eq!(refused, 4);
    s.commit(1);
    s.message("m9");
    assert!(!s.sent().iter().any(|x| x.contains("resource-constraint")));
}

#[test]
pub(crate) fn a_full_inbox_takes_the_message_that_those_in_it_wait_for() {
    let mut s = Script::with(|config| config.inbox = 2);
    s.connect();
    let prev = |said: &mut Deliver| said.prev = Some(IdPrefix::from_bits(said.seq + 99));
    for (id, seq) in [("m3", 3), ("m4", 4)] {
        s.channel_message_that(id, seq, prev);
    }
    assert_eq!(s.handed(), []);
    // It is full of what cannot be handed over, and one that brings nothing on is sent back.
    s.sent();
    s.channel_message_that("m5", 5, prev);
    assert!(
        s.sent()
            .iter()
            .any(|xml| xml.contains("resource-constraint"))
    );
    s.channel_message_that("m2", 2, prev);
    assert!(
        s.sent()
            .iter()
            .any(|xml| xml.contains("resource-constraint"))
    );
    s.channel_message("m1", 1);
    let first = s.handed();
    assert_eq!(first.len(), 1);
    s.channel_message_that("m2", 2, prev);
    let rest: Vec<String> = s.handed().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(rest, ["m2", "m3", "m4"]);
}

/// Its inbox is full of messages of the channel's second epoch, whose first one is missing.
fn full_of_what_waits() -> Script {
    let mut s = Script::with(|config| config.inbox = 2);
    s.connect();
    for (id, seq) in [("m2", 2), ("m3", 3)] {
        s.channel_message_that(id, seq, |said| {
            said.prev = Some(IdPrefix::from_bits(seq + 99));
            said.epoch.index = 2;
        });
    }
    assert_eq!(s.handed(), []);
    s.sent();
    s
}

#[test]
fn a_full_inbox_answers_what_it_would_not_keep() {
    let mut s = full_of_what_waits();
    // A sender with a new store has no other way to learn that it is to begin above.
    s.channel_message("new", 1);
    let sent = s.sent();
    assert!(sent.iter().any(|xml| xml.contains("<rotate")), "{sent:?}");
    assert!(!sent.iter().any(|xml| xml.contains("resource-constraint")));
}

#[test]
fn a_full_inbox_takes_what_makes_room_there() {
    let mut s = full_of_what_waits();
    s.channel_message_that("new", 1, |said| said.epoch.index = 3);
    let handed: Vec<String> = s.handed().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(handed, ["new"]);
}

#[test]
fn what_waits_for_ever_leaves_a_full_inbox_for_what_can_be_given() {
    let mut s = full_of_what_waits();
    // The sender of those that wait is not heard of again, and others are.
    s.message("plain");
    assert!(
        !s.sent()
            .iter()
            .any(|xml| xml.contains("resource-constraint"))
    );
    let handed: Vec<String> = s.handed().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(handed, ["plain"]);
    // While the application has something to do, what there is no room for goes back as ever.
    s.message("later");
    assert!(
        s.sent()
            .iter()
            .any(|xml| xml.contains("resource-constraint"))
    );
}

#[test]
pub(crate) fn what_is_late_and_waits_for_its_sender_leaves_a_full_inbox_for_what_can_be_given() {
    let mut s = Script::with(|config| config.inbox = 2);
    s.connect();
    // Nobody says what is to become of these: their sender's store is gone.
    for (id, channel) in [("m1", "a"), ("m2", "b")] {
        s.channel_message_that(id, 1, |said| {
            said.channel = channel.parse().unwrap();
            said.deadline = Some(0);
        });
    }
    assert_eq!(s.handed(), []);
    s.sent();
    s.message("plain");
    let handed: Vec<String> = s.handed().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(handed, ["plain"]);
}

#[test]
pub(crate) fn what_nobody_repeats_is_answered_however_far_the_server_is_behind() {
    let mut s = Script::with(|config| config.inbox = 2);
    s.connect();
    let mut answered = 0;
    for n in 0..1000 {
        s.message(&format!("m{n}"));
        let sent = s.sent();
        answered += sent
            .iter()
            .filter(|xml| xml.contains("resource-constraint"))
            .count();
    }
    assert_eq!(answered, 998);
}

#[test]
fn what_left_a_full_inbox_comes_again_with_its_sender() {
    let mut s = full_of_what_waits();
    s.message("plain");
    for (arrival, ..) in s.handed() {
        s.commit(arrival);
    }
    let of_the_second = |id: &str, seq: u64, s: &mut Script| {
        s.channel_message_that(id, seq, |said| {
            said.prev = (seq > 1).then(|| IdPrefix::from_bits(seq + 99));
            said.epoch.index = 2;
        });
    };
    // The last one left; its sender has no verdict on it, and sends all again.
    let mut seen = Vec::new();
    for (id, seq) in [("m1", 1), ("m2", 2), ("m3", 3)] {
        of_the_second(id, seq, &mut s);
        for (arrival, id, _) in s.handed() {
            s.commit(arrival);
            seen.push(id);
        }
    }
    assert_eq!(seen, ["m1", "m2", "m3"]);
}

#[test]
fn thousands_of_copies_are_answered_in_few_stanzas() {
    let mut s = Script::new();
    s.connect();
    s.channel_message("m1", 1);
    s.message("plain");
    for (arrival, ..) in s.handed() {
        s.commit(arrival);
    }
    let stanzas = |sent: &[String]| {
        let stanzas = sent.iter().filter(|xml| xml.starts_with("<message"));
        u32::try_from(stanzas.count()).unwrap()
    };
    let before = stanzas(&s.sent());
    s.acked(before);
    // As after a long absence; and the server, busy as it is, acknowledges nothing.
    for _ in 0..3000 {
        s.channel_message("m1", 1);
        s.message("plain");
    }
    assert!(s.gave_up.is_none());
    let answers = stanzas(&s.sent());
    assert!((1..=300).contains(&answers), "{answers}");
    assert!(s.wait.is_none_or(|at| at > s.now().monotonic));
    // Once it does, those who still wait hear.
    s.channel_message("m1", 1);
    s.acked(before + answers);
    assert_eq!(s.verdicts(), [(1, VerdictState::Delivered)]);
}

/// What is not promised: the sender had moved the message into a second epoch, then both
/// stores were restored from before that, and it was delivered in the first one.
#[test]
fn a_copy_from_a_history_that_both_ends_have_lost_can_take_effect_again() {
    let mut s = Script::new();
    s.connect();
    s.channel_message("m1", 1);
    s.commit(1);
    s.channel_message_that("m2", 2, |said| {
        said.low = 2;
        said.prev = Some(IdPrefix::from_bits(101));
    });
    s.handed();
    let here = s.engine.place().cloned();
    s.channel_message_that("m1", 13, |said| {
        (said.epoch.index, said.low, said.id) = (2, 13, IdPrefix::from_bits(101));
        said.to = here;
    });
    let events = s.events();
    let again = |event: &Event| matches!(event, Event::Message { .. });
    assert_eq!(events.iter().filter(|event| again(event)).count(), 1);
    let told = |event: &Event| matches!(event, Event::RolledBack { .. });
    assert!(events.iter().any(told));
}

#[test]
fn a_record_that_cannot_be_read_holds_up_no_other() {
    let s = Script::new();
    let put = |id: &str, stanza: &'static str| {
        Op::PutInbound(NewInbound {
            key: InboundKey::new("peer@x", id),
            from_full: "peer@x/1".to_owned(),
            stanza: stanza.into(),
            received_at: wall(SECOND),
            handed: false,
        })
    };
    let good = "<message from='peer@x/1' id='m' type='chat'><body>m</body></message>";
    let batch = vec![
        put("1", "no XML"),
        put("2", "<message from='@@'/>"),
        put("3", good),
    ];
    s.store.submit(batch).unwrap().try_take().unwrap().unwrap();
    let mut s = s.crash();
    let ids: Vec<_> = s.handed().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(ids, ["m"]);
}

#[test]
fn a_message_with_a_receipt_in_it_is_both() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    s.receive(
        "<message from='peer@x/1' id='n' type='chat'><body>also</body>\
         <received xmlns='urn:xmpp:receipts' id='m'/></message>",
    );
    let events = s.events();
    assert!(
        events
            .iter()
            .any(|e| matches!(e, Event::Outcome { id, .. } if id == "m"))
    );
    assert!(events.iter().any(|e| matches!(e, Event::Message { .. })));
}

#[test]
fn people_in_a_room_cannot_suppress_each_others_messages() {
    let mut s = Script::new();
    s.connect();
    for nick in ["a", "b"] {
        s.receive(&format!(
            "<message from='room@x/{nick}' id='1' type='groupchat'><body>hi</body>\
             <origin-id xmlns='urn:xmpp:sid:0' id='1'/></message>"
        ));
    }
    assert_eq!(s.handed().len(), 2);
}

#[test]
fn a_failed_store_ends_everything() {
    use stanchion_reliability::store::{Fault, StoreError};
    let mut s = Script::new();
    s.connect();
    s.send_within("m", 5 * SECOND);
    s.sent();
    let fault = Fault {
        error: StoreError::Closed,
        applied: false,
    };
    s.store.control().fail_commits(1, &fault);
    s.message("n");
    s.receive("<r xmlns='urn:xmpp:sm:3'/>");
    s.send("o");
    s.pass(1000 * SECOND);
    assert_eq!(s.sent(), Vec::<String>::new());
    let failures = s.events().into_iter();
    assert_eq!(
        failures
            .filter(|e| matches!(e, Event::StoreFailed(_)))
            .count(),
        1
    );
    assert_eq!(s.wait, None);
}

fn text() -> impl Strategy<Value = Text> {
    let words = prop_oneof![
        Just("m"),
        Just(""),
        Just("peer@x"),
        Just("peer@x/1"),
        Just("x"),
        Just("@@//"),
        Just("0"),
        Just("1"),
        Just("4294967295"),
        Just("99999999999"),
        Just("chat"),
        Just("error"),
        Just("groupchat"),
        Just("result"),
        Just("get"),
    ];
    words.prop_map(Text::from_static)
}

fn leaf() -> impl Strategy<Value = Element> {
    let names = prop_oneof![
        Just(("body", "jabber:client")),
        Just(("error", "jabber:client")),
        Just(("received", "urn:xmpp:receipts")),
        Just(("request", "urn:xmpp:receipts")),
        Just(("origin-id", "urn:xmpp:sid:0")),
        Just(("ping", "urn:xmpp:ping")),
        Just(("query", "http://jabber.org/protocol/disco#info")),
        Just(("not-acceptable", "urn:ietf:params:xml:ns:xmpp-stanzas")),
    ];
    (
        names,
        proptest::option::of(text()),
        proptest::option::of(text()),
    )
        .prop_map(|((name, ns), id, content)| {
            Element::new(name, ns)
                .with_attr_opt("id", id)
                .with_text(content.unwrap_or_default())
        })
}

fn anything() -> impl Strategy<Value = Element> {
    let names = prop_oneof![
        4 => Just(("message", "jabber:client")),
        1 => Just(("presence", "jabber:client")),
        2 => Just(("iq", "jabber:client")),
        2 => Just(("a", "urn:xmpp:sm:3")),
        1 => Just(("r", "urn:xmpp:sm:3")),
        1 => Just(("resumed", "urn:xmpp:sm:3")),
    ];
    let attributes = proptest::collection::vec(
        (
            prop_oneof![
                Just("id"),
                Just("from"),
                Just("to"),
                Just("type"),
                Just("h")
            ],
            text(),
        ),
        0..5,
    );
    (names, attributes, proptest::collection::vec(leaf(), 0..3)).prop_map(
        |((name, ns), attributes, children)| {
            let mut element = Element::new(name, ns).with_children(children);
            for (name, value) in attributes {
                element.set_attr(name, value);
            }
            element
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nothing_that_a_peer_sends_panics_or_delivers_or_grows(
        elements in proptest::collection::vec(anything(), 1..60),
        managed in any::<bool>(),
    ) {
        let mut s = Script::with(|c| (c.inbox, c.hand_over, c.window) = (8, 2, 1));
        s.bind(managed, None);
        s.send("sent");
        s.send("m");
        for element in elements {
            s.give(Input::Received(element));
            s.pass(SECOND / 10);
        }
        s.disconnect();
        s.connect();
        s.pass(200 * SECOND);
        let held = s.engine.footprint();
        prop_assert!(held.handed_over <= 2 && held.arriving == 0 && held.window <= 2);
        // Nobody gave a receipt for that one.
        prop_assert!(!s.outcomes().iter().any(|(id, _)| id == "sent"));
    }
}

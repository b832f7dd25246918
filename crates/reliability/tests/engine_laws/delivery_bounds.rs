//! Bounds: sizes, floods, strangers and garbage.

use proptest::prelude::*;
use stanchion_reliability::delivery::receiver::SPAN;
use stanchion_reliability::engine::{Event, Input, Mode, Refusal};
use stanchion_reliability::protection::Protection;
use stanchion_reliability::store::{InboundFilter, InboundQuery, Op, OutboundFilter, Store as _};
use stanchion_stanza::payload::delivery::Boot;
use stanchion_stanza::{Element, Text};

use crate::pair::{ON_THEIR_WAY, Pair, says};
use crate::script::{SECOND, Script};

const NS: &str = "urn:stanchion:delivery:0";

/// A message of a device that nobody knows.
fn of_stranger(from: &str, device: &str, channel: &str, seq: u64, body: &str) -> String {
    format!(
        "<message from='{from}' id='{body}' type='chat'><body>{body}</body>\
         <d xmlns='{NS}' d='{device}' e='1.AAAAAA' c='{channel}' n='{seq}' l='1' \
         i='AAAAAAAA' b='AAAAAA'/></message>"
    )
}

fn state(s: &Script, prefix: &str) -> usize {
    let page = s.store.meta_page(prefix, None, 1000);
    { page }.try_take().unwrap().unwrap().len()
}

#[test]
fn the_biggest_message_fits_with_all_that_is_added() {
    let mut pair = Pair::new();
    let jids = ["anna@x".to_owned(), format!("{}@x", "a".repeat(1000))];
    let jids = jids.iter().map(|jid| jid.parse().unwrap()).collect();
    pair.a.s.give(Input::Addresses(jids));
    let most = 256 * 1024 - 8 * 1024;
    let frame = "<message to='bob@y' id='' type='chat'><body></body><request xmlns='urn:xmpp:receipts'/></message>";
    for n in 0..3 {
        // The id is the body, and is there twice.
        let id = format!("{n}{}", "x".repeat(40));
        let room = most - frame.len() - id.len();
        let stanza = frame.replace("id=''", &format!("id='{id}'"));
        let stanza = stanza.replace("<body>", &format!("<body>{}", "y".repeat(room)));
        assert_eq!(stanza.len(), most);
        pair.a
            .s
            .give(Input::Send(stanchion_reliability::engine::Submission {
                id: id.clone(),
                to: "bob@y".parse().unwrap(),
                stanza: stanza.into(),
                deadline: None,
                protection: Default::default(),
                mode: Default::default(),
            }));
        pair.pass_deaf(4 * SECOND);
        // Each is lost once, and none is answered that was not: the back-off grows.
        pair.pass(60 * SECOND);
        assert_eq!(pair.a.outcomes_of(&id), ["delivered"]);
    }
}

#[test]
fn a_message_that_leaves_no_room_is_refused() {
    let mut s = Script::new();
    s.give(Input::Send(stanchion_reliability::engine::Submission {
        id: "big".to_owned(),
        to: "bob@y".parse().unwrap(),
        stanza: vec![b' '; 256 * 1024 - 8 * 1024 + 1].into(),
        deadline: None,
        protection: Default::default(),
        mode: Default::default(),
    }));
    let refused = s.events().into_iter().any(
        |event| matches!(event, Event::Refused { why: Refusal::TooBig(bytes), .. } if bytes > 250_000),
    );
    assert!(refused);
    assert_eq!(s.engine.pending(), 0);
}

#[test]
fn names_of_channels_that_begin_with_an_underscore_are_refused() {
    for name in ["_", "_room", "_x"] {
        let mut s = Script::new();
        s.send_on(name, "bob@y", "m", None);
        let refused = |event: &Event| {
            matches!(
                event,
                Event::Refused {
                    why: Refusal::Reserved(_),
                    ..
                }
            )
        };
        assert!(s.events().iter().any(refused), "{name}");
    }
}

#[test]
fn deadlines_of_many_lanes_at_once_stay_within_what_the_store_takes() {
    let mut s = Script::new();
    for n in 0..1000 {
        s.send_to(
            &format!("peer{}@x", n % 50),
            &format!("m{n}"),
            Some(5 * SECOND),
        );
    }
    s.pass(5 * SECOND);
    let outcomes = s.outcomes();
    assert_eq!(outcomes.len(), 1000);
    assert!(outcomes.iter().all(|(_, word)| *word == "not delivered"));
}

#[test]
fn the_end_of_epochs_in_many_lanes_stays_within_what_the_store_takes() {
    let mut pair = Pair::acquainted();
    pair.a.s.disconnect();
    for n in 0..1200 {
        pair.a
            .s
            .send_on(&format!("lane{}", n % 30), "bob@y", &format!("m{n}"), None);
    }
    // Of an earlier process, so each may have been sent.
    pair.a.becomes(Script::crash);
    pair.b.becomes(Script::reinstalled);
    pair.pass(100 * SECOND);
    let failed = |event: &Event| matches!(event, Event::StoreFailed(_));
    assert!(!pair.a.told.iter().any(failed));
    assert_eq!(pair.a.s.engine.pending(), 0);
    assert_eq!(pair.a.outcomes_of("m0"), ["in doubt peerreset"]);
}

#[test]
fn many_devices_at_once_stay_within_what_the_store_takes() {
    let mut s = Script::new();
    s.connect();
    s.store_waits();
    for n in 0..250 {
        let from = format!("peer{n}@x/1");
        s.receive(&of_stranger(
            &from,
            &format!("device{n}"),
            "c",
            1,
            &format!("m{n}"),
        ));
    }
    s.store_answers();
    let failed = |event: &Event| matches!(event, Event::StoreFailed(_));
    assert!(!s.events().iter().any(failed));
    assert_eq!(state(&s, "delivery/device/"), 250);
}

#[test]
fn strangers_make_no_more_state_than_is_allowed() {
    let mut s = Script::with(|c| c.devices = 20);
    s.connect();
    // Many devices of one account, then of many.
    for n in 0..40 {
        s.receive(&of_stranger("eve@x/1", &format!("device{n}"), "c", 1, "m"));
    }
    assert_eq!(state(&s, "delivery/device/"), 16);
    for n in 0..40 {
        let from = format!("eve{n}@x/1");
        s.receive(&of_stranger(&from, &format!("other{n}"), "c", 1, "m"));
    }
    assert_eq!(state(&s, "delivery/device/"), 20);
    // Many channels of one device.
    for n in 0..100 {
        s.receive(&of_stranger("eve@x/1", "device0", &format!("c{n}"), 1, "m"));
    }
    assert_eq!(state(&s, "delivery/receive/device0/"), 64);
    let refused = s.sent().into_iter();
    let refused = refused.filter(|xml| xml.contains("resource-constraint"));
    assert_eq!(refused.count(), 24 + 36 + 37);
}

#[test]
fn a_flood_of_epochs_and_gaps_stays_within_a_channels_record() {
    let mut s = Script::with(|c| c.inbox = 100_000);
    s.connect();
    for index in 1..200 {
        for seq in (2..SPAN + 20).rev() {
            let xml = of_stranger("eve@x/1", "device", "c", seq, "m");
            s.receive(&xml.replace("e='1.", &format!("e='{index}.")));
        }
    }
    let channel = s.store.meta("delivery/receive/device/c");
    let bytes = { channel }.try_take().unwrap().unwrap().unwrap();
    assert!(bytes.len() < 4 * 1024 + 16, "{} bytes", bytes.len());
    // What was held in epochs that are over is gone.
    let query = InboundQuery {
        filter: InboundFilter::All,
        limit: 1000,
        ..InboundQuery::default()
    };
    let kept = s.store.inbound_page(query);
    assert!({ kept }.try_take().unwrap().unwrap().len() as u64 <= SPAN);
}

#[test]
fn a_full_inbox_still_answers_for_what_it_has() {
    let mut pair = Pair::with(|config| (config.inbox, config.hand_over) = (3, 2));
    pair.get_acquainted();
    pair.send("m");
    let copy = pair.a.out().swap_remove(0);
    pair.reaches_b(&copy);
    pair.b.out();
    pair.commits = false;
    for n in 0..6 {
        pair.b.s.message(&format!("plain{n}"));
    }
    pair.b.out();
    pair.reaches_b(&copy);
    let answers = pair.b.out();
    assert!(
        answers.iter().any(|xml| xml.contains("s='d'")),
        "{answers:?}"
    );
}

#[test]
fn a_channel_that_waited_for_room_goes_on_when_there_is_some() {
    let mut pair = Pair::with(|config| config.hand_over = 2);
    pair.get_acquainted();
    pair.commits = false;
    pair.send("lost");
    pair.send("waits");
    let sent = pair.a.out();
    pair.reaches_b(&sent[1]);
    // Others take all the room there is.
    pair.b.s.message("p0");
    pair.b.s.message("p1");
    pair.b.listen();
    assert_eq!(pair.b.handed.len(), 2);
    pair.a.s.give(Input::Cancel {
        id: "lost".to_owned(),
    });
    for xml in pair.a.out() {
        pair.reaches_b(&xml);
    }
    pair.b.out();
    assert_eq!(pair.b.handed.len(), 2);
    let (arrival, ..) = pair.b.handed.remove(0);
    pair.b.s.commit(arrival);
    pair.b.listen();
    let bodies: Vec<_> = pair
        .b
        .handed
        .iter()
        .map(|(_, body, _)| body.as_str())
        .collect();
    assert_eq!(bodies, ["p1", "waits"]);
}

#[test]
fn a_word_of_a_later_version_hides_no_message() {
    let mut s = Script::new();
    s.connect();
    s.receive(&format!(
        "<message from='peer@x/1' id='m' type='chat'><body>m</body><later xmlns='{NS}'/></message>"
    ));
    assert_eq!(s.handed().len(), 1);
    s.receive(&format!(
        "<message from='peer@x/1' id='n'><later xmlns='{NS}'/></message>"
    ));
    assert_eq!(s.handed().len(), 0);
    // And one beside a word that is known is no obstacle.
    let xml = of_stranger("peer@x/1", "device", "c", 1, "o");
    s.receive(&xml.replace("<body>", &format!("<later xmlns='{NS}'/><body>")));
    assert_eq!(s.handed().len(), 1);
    assert!(s.store.counts().try_take().unwrap().unwrap().handed == 1);
}

#[test]
fn a_message_that_was_cancelled_is_not_sent_again_on_a_resumed_stream() {
    let mut pair = Pair::acquainted();
    pair.a.s.connect();
    pair.send("m");
    pair.a.out();
    pair.a.s.disconnect();
    pair.a.s.give(Input::Cancel { id: "m".to_owned() });
    pair.a.s.resume(0);
    let sent = pair.a.out();
    assert_eq!(sent.len(), 1);
    assert!(says(&sent[0], "cancel"), "{sent:?}");
}

#[test]
fn answers_that_never_come_cost_no_more_than_the_window() {
    let mut pair = Pair::acquainted();
    for n in 0..500 {
        pair.send_within(&format!("m{n}"), 100 * SECOND);
    }
    let mut sent = 0;
    for _ in 0..60 {
        pair.a.s.pass(60 * SECOND);
        sent += pair.a.out().len();
    }
    assert!(
        sent < ON_THEIR_WAY as usize * 70,
        "{sent} stanzas in an hour"
    );
    assert_eq!(pair.a.outcomes.len(), 500);
    let all = stanchion_reliability::store::OutboundQuery {
        filter: OutboundFilter::Pending,
        limit: 1000,
        ..Default::default()
    };
    let open = pair.a.s.store.outbound_page(all);
    let open = { open }.try_take().unwrap().unwrap().len() as u64;
    assert_eq!(open, ON_THEIR_WAY);
}

#[test]
fn cancels_beyond_the_window_wait_for_the_message_before_them_and_take_no_room_from_it() {
    let mut pair = Pair::acquainted();
    pair.a.s.disconnect();
    pair.send("first");
    // A gap wider than what a recipient looks at.
    for n in 0..SPAN + 4 {
        pair.send_within(&format!("gap{n}"), 5 * SECOND);
    }
    pair.a.s.pass(5 * SECOND);
    for n in 0..40 {
        pair.send_within(&format!("late{n}"), 50 * SECOND);
    }
    // Of an earlier process, so each may have been sent.
    pair.a.s = std::mem::replace(&mut pair.a.s, Script::new()).crash();
    pair.pass_deaf(60 * SECOND);
    assert_eq!(pair.a.outcomes_of("late39"), ["in doubt restarted"]);
    pair.a.s.bind(false, None);
    let out = pair.a.out();
    assert!(!out.iter().any(|xml| says(xml, "cancel")), "{out:?}");
    for xml in out {
        pair.reaches_b(&xml);
    }
    pair.pass(10 * SECOND);
    assert_eq!(pair.a.outcomes_of("first"), ["delivered"]);
    for late in ["late0", "late39"] {
        let told = ["in doubt restarted", "not delivered expired"];
        assert_eq!(pair.a.outcomes_of(late), told);
    }
    assert_eq!(pair.effects, ["first"]);
}

fn value() -> impl Strategy<Value = Text> {
    let words = prop_oneof![
        Just("1"),
        Just("2"),
        Just("33"),
        Just("65"),
        Just("9007199254740992"),
        Just("0"),
        Just("-1"),
        Just("device"),
        Just("d02020202"),
        Just("d02020202.AgICAgICAgI"),
        Just("d02020202.AAAAAAAAAAA"),
        Just("1.AAAAAA"),
        Just("2.AAAAAA"),
        Just("4294967295.AAAAAA"),
        Just("AAAAAAAAAAA"),
        Just("BAAAAAAAAAA"),
        Just("AAAAAA"),
        Just("c"),
        Just("h"),
        Just("v"),
        Just("late"),
        Just("z"),
        Just("9223372036854775807"),
    ];
    words.prop_map(Text::from_static)
}

fn word() -> impl Strategy<Value = Element> {
    let names = prop_oneof![
        6 => Just("d"), 3 => Just("a"), 3 => Just("cancel"), 1 => Just("rotate"),
        2 => Just("close"), 1 => Just("closed"), 1 => Just("wrong-store"), 1 => Just("at"),
    ];
    // Mostly what can be read, and one value or other at random.
    let likely: &[(&str, &[&str])] = &[
        ("d", &["device", "d02020202"]),
        ("t", &["d02020202.AgICAgICAgI", "d02020202.AAAAAAAAAAA"]),
        ("at", &["device.AAAAAAAAAAA"]),
        ("e", &["1.AAAAAA", "2.AAAAAA", "3.AAAAAA"]),
        ("c", &["c", "x"]),
        ("n", &["1", "2", "3", "64", "9007199254740992"]),
        ("l", &["1", "2", "9007199254740992"]),
        ("i", &["AAAAAAAAAAA", "BAAAAAAAAAA"]),
        ("b", &["AAAAAA"]),
        ("w", &["0", "9223372036854775807"]),
        ("above", &["0", "4294967295"]),
        ("known", &["0", "1"]),
        ("hi", &["1", "4294967295"]),
        ("v", &["device.AAAAAAAAAAA"]),
    ];
    let attributes: Vec<_> = likely
        .iter()
        .map(|(name, values)| (Just(*name), proptest::sample::select(values.to_vec())))
        .collect();
    let strange = (
        proptest::sample::select(vec!["n", "l", "e", "x", "t", "p", "u", "s", "j"]),
        value(),
    );
    let verdict = proptest::collection::vec((0..4_u8, value()), 0..3);
    (
        names,
        attributes,
        proptest::option::weighted(0.4, strange),
        verdict,
    )
        .prop_map(|(name, attributes, strange, verdicts)| {
            let mut element = Element::new(name, NS);
            for (name, value) in attributes {
                element.set_attr(name, Text::from_static(value));
            }
            if let Some((name, value)) = strange {
                element.set_attr(name, value);
            }
            element.with_children(verdicts.into_iter().map(|(n, state)| {
                Element::new("v", NS)
                    .with_attr("n", Text::new(n.to_string()).unwrap())
                    .with_attr("i", Text::from_static("AAAAAAAAAAA"))
                    .with_attr("s", state)
            }))
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn nothing_said_in_the_protocol_panics_or_delivers_or_grows(
        words in proptest::collection::vec(
            (word(), proptest::sample::select(vec!["bob@y/1", "bob@y", "eve@x/1"]), any::<bool>()),
            1..80,
        ),
    ) {
        let mut s = Script::of(2, |c| (c.inbox, c.hand_over, c.devices) = (40, 4, 3));
        s.connect();
        s.send_to("bob@y", "sent", Some(300 * SECOND));
        for (n, (word, from, body)) in words.into_iter().enumerate() {
            let mut message = Element::new("message", "jabber:client")
                .with_attr("from", Text::from_static(from))
                .with_child(word);
            if body {
                message = message.with_child(Element::new("body", "jabber:client"));
            }
            s.give(Input::Received(message));
            if n % 7 == 0 {
                s.pass(SECOND);
            }
            if n % 20 == 19 {
                s = s.crash();
                s.connect();
            }
        }
        s.pass(SECOND);
        let held = s.engine.footprint();
        prop_assert!(held.handed_over <= 4 && held.arriving == 0);
        prop_assert!(state(&s, "delivery/device/") <= 3);
        // Nobody knows its epoch.
        prop_assert!(!s.outcomes().iter().any(|(id, _)| id == "sent"));
    }
}

#[test]
fn what_is_too_big_for_the_server_is_not_sent() {
    let mut s = Script::new();
    s.give(Input::MostBytes(8_000));
    s.connect();
    let big = "b".repeat(4000);
    s.send(&big);
    s.send("small");
    assert_eq!(s.messages(), ["small"]);
    assert_eq!(s.outcomes(), [(big, "not delivered")]);
    assert_eq!(s.gave_up, None);
}

/// The server takes `taken` stanzas of those that it is sent now, and ends the stream.
fn ends(s: &mut Script, taken: u32) -> Vec<String> {
    s.bind(true, Some(0));
    let sent = s.messages();
    if taken > 0 {
        s.acked(taken);
    }
    s.give(Input::Blamed);
    s.disconnect();
    sent
}

#[test]
fn a_message_that_ends_the_stream_each_time_is_sent_alone_and_then_no_more() {
    let mut s = Script::new();
    for id in ["poison", "m1", "m2"] {
        s.send(id);
    }
    assert_eq!(ends(&mut s, 0), ["poison", "m1", "m2"]);
    assert_eq!(ends(&mut s, 0), ["poison", "m1", "m2"]);
    assert_eq!(ends(&mut s, 0), ["poison"]);
    assert_eq!(s.outcomes(), [("poison".to_owned(), "in doubt")]);
    s.bind(true, Some(0));
    assert_eq!(s.messages(), ["m1", "m2"]);
}

#[test]
fn a_message_that_stood_before_the_one_to_blame_is_acquitted() {
    let mut s = Script::new();
    for id in ["m0", "poison", "m2"] {
        s.send(id);
    }
    assert_eq!(ends(&mut s, 0), ["m0", "poison", "m2"]);
    assert_eq!(ends(&mut s, 0), ["m0", "poison", "m2"]);
    // Alone it is taken, and the others follow.
    s.bind(true, Some(0));
    assert_eq!(s.messages(), ["m0"]);
    s.acked(1);
    assert_eq!(s.messages(), ["poison", "m2"]);
    s.receipt("peer@x/1", "m0");
    s.give(Input::Blamed);
    s.disconnect();
    ends(&mut s, 0);
    assert_eq!(ends(&mut s, 0), ["poison"]);
    let words: Vec<_> = s.outcomes();
    assert_eq!(words.len(), 2, "{words:?}");
    s.bind(true, Some(0));
    assert_eq!(s.messages(), ["m2"]);
}

#[test]
fn messages_in_memory_are_bounded_over_all_lanes() {
    let mut s = Script::with(|config| config.in_memory = 4);
    s.connect();
    for number in 0..40 {
        let to = format!("peer{}@x", number % 5);
        s.send_to(&to, &format!("m{number}"), None);
        // One for each lane, whatever the bound.
        assert!(s.engine.footprint().window <= 4 + 5);
    }
    assert_eq!(s.engine.pending(), 40);
}

#[test]
fn a_year_of_replays_is_refused_after_a_thousand_restarts() {
    const RESTARTS: u64 = 1000;
    const EACH: u64 = 2;
    let mut s = Script::new();
    let (mut seq, mut most) = (0, 0);
    for restart in 0..RESTARTS {
        s.connect();
        for _ in 0..EACH {
            seq += 1;
            s.channel_message_that(&format!("m{seq}"), seq, |said| {
                said.low = seq.saturating_sub(EACH).max(1);
                said.boot = Boot(u32::try_from(restart).unwrap());
            });
            let handed = s.handed();
            assert_eq!(handed.len(), 1, "{handed:?}");
            s.commit(handed[0].0);
        }
        s.disconnect();
        // What is kept of the channel does not grow.
        let kept = s.persisted.iter().filter_map(|op| match op {
            Op::PutMeta { key, value } if key.starts_with("delivery/receive/") => Some(value.len()),
            _ => None,
        });
        most = kept.max().unwrap_or(0).max(most);
        // Almost a year in all, in which the history of the inbox is pruned, too.
        s.pass(8 * 3600 * SECOND);
        s = s.crash();
    }
    s.connect();
    for replay in 1..=seq {
        s.channel_message_that(&format!("m{replay}"), replay, |said| {
            said.low = replay.saturating_sub(EACH).max(1);
            said.boot = Boot(u32::try_from((replay - 1) / EACH).unwrap());
        });
        assert_eq!(s.handed(), []);
    }
    assert!(most > 0 && most < 1024, "{most} bytes");
}

#[test]
fn a_message_outside_of_channels_is_not_passed_for_good_by_those_of_one() {
    let mut pair = Pair::with(|config| config.hand_over = 2);
    pair.get_acquainted();
    pair.commits = false;
    pair.send("m1");
    pair.send("m2");
    pair.a
        .s
        .submit("bob@y", "plain", None, Protection::Any, Mode::AtLeastOnce);
    pair.send("m3");
    pair.carry();
    let first = pair.b.handed.remove(0);
    assert_eq!(first.1, "m1");
    // There is room for one, and it is given to the channel's.
    pair.b.s.commit(first.0);
    pair.commits = true;
    pair.pass(10 * SECOND);
    pair.effects.sort();
    assert_eq!(pair.effects, ["m2", "m3", "plain"]);
}

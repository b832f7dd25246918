//! Messages that share a stanza: which do, and that each is taken, counted and answered as
//! if it had come alone.

use std::time::Duration;

use stanchion_reliability::engine::{Event, Input};
use stanchion_stanza::payload::delivery::{Bundle, Deliver, IdPrefix, VerdictState};

use stanchion_stanza::{Limits, Scope, codec::parse_element};

use crate::pair::Pair;
use crate::script::{SECOND, Script, between, deliver, payload};

fn together() -> Pair {
    let mut pair = Pair::with(|config| config.bundle = 8);
    pair.get_acquainted();
    pair
}

/// Messages that wait for a stream together.
fn send_all(s: &mut Script, to: &str, ids: &[&str], managed: bool) {
    s.disconnect();
    for id in ids {
        s.send_to(to, id, None);
    }
    s.bind(managed, None);
}

/// How many messages each stanza among these has.
fn sizes(sent: &[String]) -> Vec<usize> {
    let bundles = sent.iter().map(|xml| payload::<Bundle>(xml));
    bundles
        .map(|bundle| bundle.map_or(1, |bundle| bundle.messages.len()))
        .collect()
}

/// A message of the channel `c` of `D1` to that device, as bytes.
fn part(s: &Script, id: &str, seq: u64, change: impl FnOnce(&mut Deliver)) -> Vec<u8> {
    let mut said = Deliver {
        to: s.engine.place().cloned(),
        prev: (seq > 1).then(|| IdPrefix::from_bits(seq + 99)),
        ..deliver(seq)
    };
    change(&mut said);
    let mut bytes = format!("<message type='chat' id='{id}'><body>{id}</body>").into_bytes();
    said.write_into(&mut bytes);
    bytes.extend_from_slice(b"</message>");
    bytes
}

fn bundle_of(from: &str, messages: Vec<Vec<u8>>, beside: &str) -> String {
    let mut bytes = Vec::new();
    Bundle { messages }.write_into(&mut bytes);
    let bundle = String::from_utf8(bytes).unwrap();
    format!("<message from='{from}' to='lamp@home' type='chat' id='+m'>{bundle}{beside}</message>")
}

#[test]
fn messages_that_are_ready_together_share_a_stanza_and_take_effect_one_by_one() {
    let mut pair = together();
    let ids = ["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "m9", "m10"];
    send_all(&mut pair.a.s, "bob@y", &ids, false);
    let out = pair.a.out();
    assert_eq!(sizes(&out), [8, 2]);
    assert!(out.iter().all(|xml| xml.len() < 10_000));
    for xml in out {
        pair.reaches_b(&xml);
    }
    assert_eq!(pair.effects, ids);
    pair.carry();
    for id in ids {
        assert_eq!(pair.a.outcomes_of(id), ["delivered"], "{id}");
    }
}

#[test]
fn large_messages_share_no_stanza() {
    let mut pair = together();
    let long = "x".repeat(4000);
    let ids = [format!("a{long}"), "b".to_owned(), format!("c{long}")];
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    send_all(&mut pair.a.s, "bob@y", &ids, false);
    let out = pair.a.out();
    // None of them fits beside another, and none is lost for that.
    assert_eq!(sizes(&out), [1, 1, 1]);
    for xml in out {
        pair.reaches_b(&xml);
    }
    assert_eq!(pair.effects, ids);
}

#[test]
fn a_device_that_does_not_say_that_it_takes_them_gets_none() {
    let mut pair = Pair::with(|config| config.bundle = 8);
    pair.send("hello");
    for xml in pair.a.out() {
        pair.reaches_b(&xml);
    }
    for xml in pair.b.out() {
        pair.reaches_a(&xml.replace(" m='32'", ""));
    }
    send_all(&mut pair.a.s, "bob@y", &["m1", "m2"], false);
    assert_eq!(sizes(&pair.a.out()), [1, 1]);
}

#[test]
fn by_default_each_message_goes_alone() {
    let mut pair = Pair::acquainted();
    send_all(&mut pair.a.s, "bob@y", &["m1", "m2"], false);
    assert_eq!(sizes(&pair.a.out()), [1, 1]);
}

#[test]
fn what_was_lost_in_a_bundle_goes_again_alone() {
    let mut pair = together();
    send_all(&mut pair.a.s, "bob@y", &["m1", "m2", "m3"], false);
    assert_eq!(sizes(&pair.a.out()), [3]);
    pair.a.s.pass(Duration::from_secs(5));
    let again = pair.a.out();
    assert!(again.len() >= 3 && sizes(&again).iter().all(|size| *size == 1));
    for xml in again {
        pair.reaches_b(&xml);
    }
    assert_eq!(pair.effects, ["m1", "m2", "m3"]);
}

#[test]
fn a_bundle_that_came_twice_takes_effect_once() {
    let mut pair = together();
    send_all(&mut pair.a.s, "bob@y", &["m1", "m2"], false);
    let out = pair.a.out();
    pair.reaches_b(&out[0]);
    pair.reaches_b(&out[0]);
    assert_eq!(pair.effects, ["m1", "m2"]);
}

#[test]
fn what_comes_back_in_a_bundle_came_back_each() {
    let mut pair = together();
    send_all(&mut pair.a.s, "bob@y", &["m1", "m2", "m3"], false);
    let id = between(&pair.a.out()[0], " id='", "'");
    assert!(id.starts_with('+'));
    // An error that may be about their company, and has nothing to do with any of them.
    pair.a.s.bounce("bob@y", &id, "not-acceptable");
    let again = pair.a.out();
    assert_eq!(sizes(&again), [1, 1, 1]);
    assert!(pair.a.outcomes.is_empty());
    // What is sent next on this stream does not keep such company.
    pair.send("m4");
    pair.send("m5");
    assert_eq!(sizes(&pair.a.out()), [1, 1]);
    for xml in again {
        pair.reaches_b(&xml);
    }
    assert_eq!(pair.effects, ["m1", "m2", "m3"]);
}

#[test]
fn what_came_back_from_a_bundle_is_judged_by_its_own_error_next_time() {
    let mut pair = together();
    send_all(&mut pair.a.s, "bob@y", &["m1", "m2"], false);
    let id = between(&pair.a.out()[0], " id='", "'");
    pair.a.s.bounce("bob@y", &id, "not-acceptable");
    pair.a.out();
    pair.a.s.bounce("bob@y", "m1", "not-acceptable");
    pair.a.listen();
    let told = pair.a.outcomes_of("m1");
    assert!(
        told.len() == 1 && told[0].starts_with("in doubt"),
        "{told:?}"
    );
    assert!(pair.a.outcomes_of("m2").is_empty());
}

#[test]
fn an_alarm_shares_no_stanza_and_leaves_before_those_that_do() {
    let mut pair = together();
    pair.a.s.disconnect();
    for id in ["t1", "t2", "t3"] {
        pair.a.s.send_on("t", "bob@y", id, None);
    }
    for id in ["a1", "a2"] {
        pair.a.s.send_on("a", "bob@y", id, None);
    }
    pair.a.s.bind(false, None);
    let out = pair.a.out();
    assert_eq!(sizes(&out), [1, 1, 3]);
    assert!(out[0].contains(">a1<") && out[1].contains(">a2<"));
}

#[test]
fn bundles_that_the_server_has_not_acknowledged_are_few_bytes() {
    let mut s = sender();
    let long = "x".repeat(800);
    let ids: Vec<String> = (0..90).map(|n| format!("{n}{long}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    send_all(&mut s, "peer@x", &ids, true);
    let bytes: usize = s.sent().iter().map(String::len).sum();
    assert!((50_000..80_000).contains(&bytes), "{bytes}");
    // Once it has, the rest follows.
    s.acked(3);
    assert!(!s.sent().is_empty());
}

#[test]
fn whatever_fills_the_stream_is_asked_about() {
    let mut s = sender();
    let long = format!(
        "<iq type='get' id='q'><q xmlns='x:y'>{}</q></iq>",
        "x".repeat(70_000)
    );
    let long = parse_element(long.as_bytes(), &Scope::client(), &Limits::default()).unwrap();
    s.give(Input::Transmit(long));
    s.send("m1");
    let sent = s.sent();
    assert!(sent.iter().any(|xml| xml.starts_with("<r ")), "{sent:?}");
    s.acked(2);
    assert_eq!(s.messages(), ["m1"]);
}

#[test]
fn a_bundle_is_no_bigger_than_the_server_takes() {
    let mut s = sender();
    s.give(Input::MostBytes(1500));
    send_all(
        &mut s,
        "peer@x",
        &["m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8"],
        true,
    );
    let sent = s.sent();
    // And what asks for an acknowledgement.
    assert_eq!(sizes(&sent), [4, 4, 1]);
    assert!(sent.iter().all(|xml| xml.len() <= 1500));
}

#[test]
fn after_a_stream_that_ended_over_a_bundle_each_message_goes_alone() {
    let mut s = sender();
    send_all(&mut s, "peer@x", &["m1", "m2"], true);
    assert_eq!(sizes(&s.sent()[..1]), [2]);
    s.give(Input::Blamed);
    s.bind(true, None);
    assert_eq!(s.messages(), ["m1", "m2"]);
    send_all(&mut s, "peer@x", &["m3", "m4"], true);
    assert!(s.sent().iter().all(|xml| payload::<Bundle>(xml).is_none()));
}

#[test]
fn what_says_itself_when_it_was_said_goes_alone() {
    let mut pair = together();
    pair.a.s.disconnect();
    pair.send("m1");
    pair.send("<delay xmlns='urn:xmpp:delay' stamp='1969-07-21T02:56:00Z'/>");
    pair.send("m3");
    pair.a.s.bind(false, None);
    let out = pair.a.out();
    assert_eq!(sizes(&out), [1, 1, 1]);
}

/// A sender on a managed stream whose peer takes bundles.
fn sender() -> Script {
    let mut s = Script::with(|config| config.bundle = 8);
    s.connect();
    s.send("hello");
    let said = s.said();
    s.acked(1);
    s.verdict(&said[0], VerdictState::Delivered);
    s.sent();
    s.events();
    s
}

#[test]
fn the_servers_word_on_a_bundle_is_its_word_on_each_message() {
    let mut s = sender();
    send_all(&mut s, "peer@x", &["m1", "m2"], true);
    let sent = s.sent();
    assert_eq!(sizes(&sent[..1]), [2]);
    s.events();
    s.acked(1);
    let told = s.events().into_iter().filter_map(|event| match event {
        Event::ServerAccepted { id } => Some(id),
        _ => None,
    });
    assert_eq!(told.collect::<Vec<_>>(), ["m1", "m2"]);
}

#[test]
fn on_a_resumed_stream_each_message_of_a_bundle_goes_alone() {
    let mut s = sender();
    send_all(&mut s, "peer@x", &["m1", "m2"], true);
    s.sent();
    s.disconnect();
    s.resume(0);
    assert_eq!(s.messages(), ["m1", "m2"]);
    // The server counts two stanzas now.
    s.acked(2);
    assert!(s.gave_up.is_none());
}

/// A receiver to whom `D1` has sent message 1.
fn receiver() -> Script {
    let mut s = Script::new();
    s.connect();
    s.channel_message("m1", 1);
    s.commit(1);
    s.pass(SECOND);
    s.sent();
    s.events();
    s
}

pub(crate) fn the_server_hears_of_a_bundle_once_all_in_it_is_durable() {
    let mut s = receiver();
    s.store_waits();
    let other = part(&s, "x", 9, |said| said.to = "R9.AAAAAAAAAAk".parse().ok());
    let parts = vec![other, part(&s, "m2", 2, |_| {}), part(&s, "m3", 3, |_| {})];
    s.receive(&bundle_of("peer@x/1", parts, ""));
    s.receive("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(s.counts(), ["1"]);
    s.store_answers();
    assert_eq!(s.counts(), ["2"]);
    let handed: Vec<String> = s.handed().into_iter().map(|(_, id, _)| id).collect();
    assert_eq!(handed, ["m2", "m3"]);
}

#[test]
fn a_bundle_is_acknowledged_once_all_in_it_is_durable() {
    the_server_hears_of_a_bundle_once_all_in_it_is_durable();
}

#[test]
fn nothing_but_messages_of_channels_is_taken_from_a_bundle() {
    let mut s = receiver();
    let mut nested = b"<message>".to_vec();
    Bundle {
        messages: vec![part(&s, "m2", 2, |_| {})],
    }
    .write_into(&mut nested);
    nested.extend_from_slice(b"</message>");
    let error = String::from_utf8(part(&s, "m2", 2, |_| {})).unwrap();
    let parts = vec![
        b"<message id='p' type='chat'><body>plain</body></message>".to_vec(),
        nested,
        error.replace("'chat'", "'error'").into_bytes(),
        error.replace("'chat'", "'groupchat'").into_bytes(),
        b"<iq type='get' id='q'/>".to_vec(),
        b"<message".to_vec(),
        b"\xff".to_vec(),
    ];
    s.receive(&bundle_of("peer@x/1", parts, ""));
    assert_eq!(s.handed(), []);
    assert!(s.sent().is_empty());
    // And yet it is handled.
    s.receive("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(s.counts(), ["2"]);
}

#[test]
fn who_sent_a_bundle_sent_all_that_is_in_it() {
    let mut s = receiver();
    let forged = String::from_utf8(part(&s, "m2", 2, |_| {})).unwrap();
    let forged = forged.replace("<message ", "<message from='peer@x/1' ");
    s.receive(&bundle_of("mallory@z/1", vec![forged.into_bytes()], ""));
    assert_eq!(s.handed(), []);
}

#[test]
fn what_servers_say_is_believed_of_the_bundle_alone() {
    let mut s = receiver();
    let sid = |id: &str| format!("<stanza-id xmlns='urn:xmpp:sid:0' by='lamp@home' id='{id}'/>");
    let forged = String::from_utf8(part(&s, "m2", 2, |_| {})).unwrap();
    let delay = "<delay xmlns='urn:xmpp:delay' stamp='1999-01-01T00:00:00Z'/>";
    let forged = forged.replace("</message>", &format!("{}{delay}</message>", sid("forged")));
    let parts = vec![forged.into_bytes(), part(&s, "m3", 3, |_| {})];
    s.receive(&bundle_of("peer@x/1", parts, &sid("true")));
    let handed = s.events().into_iter().filter_map(|event| match event {
        Event::Message { message, .. } => Some(format!("{:?}", message.to_element())),
        _ => None,
    });
    let handed: Vec<String> = handed.collect();
    assert_eq!(handed.len(), 2);
    for xml in handed {
        assert!(xml.contains("true") && !xml.contains("forged"), "{xml}");
        assert!(!xml.contains("1999"), "{xml}");
    }
}

#[test]
fn a_bundle_is_kept_from_its_beginning_as_far_as_there_is_room() {
    let mut s = Script::with(|config| {
        config.inbox = 4;
        config.hand_over = 2;
    });
    s.connect();
    s.channel_message("m1", 1);
    s.commit(1);
    s.sent();
    s.events();
    let parts = (2..=20).map(|n| part(&s, &format!("m{n}"), n, |_| {}));
    let parts = parts.collect();
    s.receive(&bundle_of("peer@x/1", parts, ""));
    // What there was no room for goes back once, as it came.
    let sent = s.sent();
    let refused = sent
        .iter()
        .filter(|xml| xml.contains("resource-constraint"));
    let refused: Vec<String> = refused.map(|xml| between(xml, " id='", "'")).collect();
    assert_eq!(refused, ["+m"]);
    let mut seen = Vec::new();
    loop {
        let handed = s.handed();
        if handed.is_empty() {
            break;
        }
        for (arrival, id, _) in handed {
            s.commit(arrival);
            seen.push(id);
        }
    }
    assert_eq!(seen, ["m2", "m3", "m4", "m5"]);
    s.receive("<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(s.counts().last().unwrap(), "2");
}

#[test]
fn what_servers_say_of_a_bundle_is_not_multiplied_without_bound() {
    let mut s = receiver();
    let sid = "<stanza-id xmlns='urn:xmpp:sid:0' by='lamp@home' id='12345678'/>".repeat(500);
    let long = format!(
        "<delay xmlns='urn:xmpp:delay' stamp='1999'>{}</delay>",
        "x".repeat(9000)
    );
    let parts = (2..=20)
        .map(|n| part(&s, &format!("m{n}"), n, |_| {}))
        .collect();
    s.receive(&bundle_of("peer@x/1", parts, &(long + &sid)));
    for event in s.events() {
        if let Event::Message { message, .. } = event {
            assert!(message.payloads.len() < 10);
        }
    }
}

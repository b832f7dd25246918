//! Streams between neighbours: who is let in, and what may be said.

use std::time::{Duration, Instant};

use stanchion_device::host::{Access, Grant};
use stanchion_device::model::SettingValue;
use stanchion_device::remote::{Command, ReadError, Readout, SetError};
use stanchion_device::serverless::{ContactError, Event};
use stanchion_services::allowed::Allowed;
use stanchion_stanza::payload::sensordata::Value;
use stanchion_stanza::{Message, Text};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::house::*;

fn on(on: bool) -> Command {
    Command::set(text("on"), SettingValue::Boolean(on))
}

fn note(body: &'static str) -> Message {
    let to = "somebody@somewhere".parse().unwrap();
    Message::chat(to).with_body(Text::from_static(body))
}

#[tokio::test]
async fn two_who_are_paired_write_read_and_set() {
    let folder = tempfile::tempdir().unwrap();
    let net = network();
    let began = Instant::now();
    let lamp = config(folder.path(), "lamp@hall", net);
    let mut lamp = LampHouse::start(lamp, all_to("phone@pocket")).await;
    let phone = config(folder.path(), "phone@pocket", net)
        .trusting(name("lamp@hall"), lamp.here.fingerprint());
    let (phone, mut to_phone) = start(phone).await;
    lamp.here
        .trust(name("phone@pocket"), phone.fingerprint())
        .await;
    seen(&phone, &name("lamp@hall")).await;
    seen(&lamp.here, &name("phone@pocket")).await;
    eprintln!("both seen after {:?}", began.elapsed());
    let hint = phone.neighbours().await[0].record.fingerprint;
    assert_eq!(hint, Some(lamp.here.fingerprint()));

    let to_lamp = phone.neighbour(name("lamp@hall"));
    let asked = Instant::now();
    let readings = to_lamp.read(Readout::momentary()).await.unwrap();
    eprintln!("the first read-out took {:?}", asked.elapsed());
    assert_eq!(readings.field("on").unwrap().value, Value::Boolean(false));
    let asked = Instant::now();
    to_lamp.set(on(true)).await.unwrap();
    eprintln!("a set took {:?}", asked.elapsed());
    assert_eq!(lamp.done(), [true]);
    let readings = to_lamp.read(Readout::momentary()).await.unwrap();
    assert_eq!(readings.field("on").unwrap().value, Value::Boolean(true));

    to_lamp.message(note("good evening")).await.unwrap();
    let heard = timeout(SOON, lamp.messages.recv()).await.unwrap().unwrap();
    assert_eq!(heard.message.body().as_deref(), Some("good evening"));
    assert_eq!(
        heard.message.header.from,
        Some("phone@pocket".parse().unwrap())
    );
    assert!(!heard.plain);
    let back = lamp.here.neighbour(name("phone@pocket"));
    back.message(note("it is bright")).await.unwrap();
    let heard = timeout(SOON, to_phone.recv()).await.unwrap().unwrap();
    assert_eq!(heard.message.body().as_deref(), Some("it is bright"));
    phone.shutdown().await;
    lamp.stop().await;
}

#[tokio::test]
async fn who_may_read_may_not_set() {
    let folder = tempfile::tempdir().unwrap();
    let net = network();
    let reader = Grant::to_read(Allowed::accounts([name("phone@pocket")]));
    let access = Access::nobody().with(reader);
    let lamp = LampHouse::start(config(folder.path(), "lamp@hall", net), access).await;
    let phone = config(folder.path(), "phone@pocket", net)
        .trusting(name("lamp@hall"), lamp.here.fingerprint());
    let (phone, _messages) = start(phone).await;
    lamp.here
        .trust(name("phone@pocket"), phone.fingerprint())
        .await;
    seen(&phone, &name("lamp@hall")).await;
    let to_lamp = phone.neighbour(name("lamp@hall"));
    to_lamp.read(Readout::momentary()).await.unwrap();
    let refused = to_lamp.set(on(true)).await.unwrap_err();
    assert!(matches!(refused, SetError::Forbidden { .. }), "{refused}");
    assert!(lamp.done().is_empty());
    phone.shutdown().await;
    lamp.stop().await;
}

#[tokio::test]
async fn a_neighbour_without_a_pin_is_refused_by_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let net = network();
    let lamp = config(folder.path(), "lamp@hall", net);
    let lamp = LampHouse::start(lamp, all_to("phone@pocket")).await;
    let phone = config(folder.path(), "phone@pocket", net);
    let (phone, _messages) = start(phone).await;
    seen(&phone, &name("lamp@hall")).await;
    let to_lamp = phone.neighbour(name("lamp@hall"));
    let ours = to_lamp.message(note("hello")).await.unwrap_err();
    assert!(matches!(ours, ContactError::Untrusted { .. }), "{ours}");

    // The phone has paired, the lamp has not.
    let mut refused = lamp.here.events();
    phone
        .trust(name("lamp@hall"), lamp.here.fingerprint())
        .await;
    let theirs = to_lamp.message(note("hello")).await.unwrap_err();
    let lost = matches!(
        theirs,
        ContactError::Lost { .. } | ContactError::Refused { .. }
    );
    assert!(lost, "{theirs}");
    let read = to_lamp.read(Readout::momentary()).await.unwrap_err();
    assert!(matches!(read, ReadError::Refused { .. }), "{read}");
    let set = to_lamp.set(on(true)).await.unwrap_err();
    assert!(matches!(set, SetError::Forbidden { .. }), "{set}");
    until(&mut refused, |event| match event {
        Event::Refused { name: who, .. } => (*who == Some(name("phone@pocket"))).then_some(()),
        _ => None,
    })
    .await;
    assert!(lamp.done().is_empty());
    phone.shutdown().await;
    lamp.stop().await;
}

#[tokio::test]
async fn another_certificate_under_a_pinned_name_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let net = network();
    let right = pin(folder.path(), "right@elsewhere").await;
    let lamp = config(folder.path(), "lamp@hall", net);
    let lamp = LampHouse::start(
        lamp.trusting(name("phone@pocket"), right),
        all_to("phone@pocket"),
    )
    .await;
    // It goes by the pinned name, with a certificate of its own.
    let thief = config(folder.path(), "phone@pocket", net)
        .trusting(name("lamp@hall"), lamp.here.fingerprint());
    let (thief, _messages) = start(thief).await;
    seen(&thief, &name("lamp@hall")).await;
    let to_lamp = thief.neighbour(name("lamp@hall"));
    let set = to_lamp.set(on(true)).await.unwrap_err();
    assert!(matches!(set, SetError::Forbidden { .. }), "{set}");
    assert!(lamp.done().is_empty());

    // And the other way round: whom it goes to is not the lamp.
    thief.trust(name("lamp@hall"), right).await;
    let wrong = to_lamp.set(on(true)).await.unwrap_err();
    assert!(matches!(wrong, SetError::Forbidden { .. }), "{wrong}");
    thief.shutdown().await;
    lamp.stop().await;
}

#[tokio::test]
async fn who_is_not_trusted_any_more_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let net = network();
    let lamp = config(folder.path(), "lamp@hall", net);
    let lamp = LampHouse::start(lamp, all_to("phone@pocket")).await;
    let phone = config(folder.path(), "phone@pocket", net)
        .trusting(name("lamp@hall"), lamp.here.fingerprint());
    let (phone, _messages) = start(phone).await;
    lamp.here
        .trust(name("phone@pocket"), phone.fingerprint())
        .await;
    seen(&phone, &name("lamp@hall")).await;
    let to_lamp = phone.neighbour(name("lamp@hall"));
    to_lamp.set(on(true)).await.unwrap();
    lamp.here.distrust(name("phone@pocket")).await;
    let set = to_lamp.set(on(false).within(Duration::from_secs(3))).await;
    assert!(set.is_err());
    assert_eq!(lamp.done(), [true]);
    phone.shutdown().await;
    lamp.stop().await;
}

#[tokio::test]
async fn in_the_clear_there_are_messages_and_what_anybody_may_read_and_no_setting() {
    let folder = tempfile::tempdir().unwrap();
    let net = network();
    // Even if anybody may set it.
    let access = Access::nobody().with(Grant::to_all(Allowed::Anybody));
    let lamp = in_the_clear(config(folder.path(), "lamp@hall", net));
    let mut lamp = LampHouse::start(lamp, access).await;
    let phone = in_the_clear(config(folder.path(), "phone@pocket", net));
    let (phone, _messages) = start(phone).await;
    seen(&phone, &name("lamp@hall")).await;
    let to_lamp = phone.neighbour(name("lamp@hall"));
    to_lamp.message(note("hello")).await.unwrap();
    let heard = timeout(SOON, lamp.messages.recv()).await.unwrap().unwrap();
    assert!(heard.plain);
    let readings = to_lamp.read(Readout::momentary()).await.unwrap();
    assert_eq!(readings.field("on").unwrap().value, Value::Boolean(false));
    let set = to_lamp.set(on(true)).await.unwrap_err();
    assert!(matches!(set, SetError::Forbidden { .. }), "{set}");
    assert!(lamp.done().is_empty());
    phone.shutdown().await;
    lamp.stop().await;
}

/// Says raw bytes, and gives what comes until `until` has come, or the end.
async fn raw(port: u16, says: &[&str], until: &str) -> String {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut got = String::new();
    for say in says {
        socket.write_all(say.as_bytes()).await.unwrap();
    }
    let read = async {
        let mut buffer = [0; 4096];
        while !got.contains(until) {
            let n = socket.read(&mut buffer).await.unwrap_or(0);
            if n == 0 {
                break;
            }
            got.push_str(&String::from_utf8_lossy(&buffer[..n]));
        }
    };
    timeout(SOON, read).await.unwrap();
    got
}

const OLD_HEADER: &str = "<?xml version='1.0'?><stream:stream xmlns='jabber:client' \
    xmlns:stream='http://etherx.jabber.org/streams' from='old@pc' to='lamp@hall'>";
const SET: &str = "<set xmlns='urn:xmpp:iot:control' xml:lang='en'>\
    <boolean name='on' value='true'/></set>";

#[tokio::test]
async fn whoever_knows_no_features_gets_none_and_sets_nothing_in_any_way() {
    let folder = tempfile::tempdir().unwrap();
    let access = Access::nobody().with(Grant::to_all(Allowed::Anybody));
    let lamp = in_the_clear(config(folder.path(), "lamp@hall", network()));
    let mut lamp = LampHouse::start(lamp, access).await;
    let iq = format!("<iq type='set' id='1'>{SET}</iq>");
    let message = format!("<message id='2'>{SET}</message>");
    let from_us = format!("<iq type='set' id='3' from='lamp@hall'>{SET}</iq>");
    let says = [
        OLD_HEADER,
        &iq,
        &message,
        &from_us,
        "<message id='4'><body>hi</body></message>",
    ];
    let got = raw(lamp.here.port(), &says, "id='3'").await;
    assert!(!got.contains("features"), "{got}");
    let header = got.split_once("?>").unwrap().1;
    assert!(!header.contains("version="), "{got}");
    assert_eq!(got.matches("forbidden").count(), 2, "{got}");
    assert!(got.contains("not-allowed"), "the message: {got}");
    let heard = timeout(SOON, lamp.messages.recv()).await.unwrap().unwrap();
    assert_eq!(heard.message.body().as_deref(), Some("hi"));
    assert!(lamp.done().is_empty());
    lamp.stop().await;
}

#[tokio::test]
async fn a_pinned_name_in_the_clear_is_refused_although_others_are_not() {
    let folder = tempfile::tempdir().unwrap();
    let somebody = pin(folder.path(), "somebody@else").await;
    let lamp = in_the_clear(config(folder.path(), "lamp@hall", network()));
    let lamp = lamp.trusting(name("old@pc"), somebody);
    let lamp = LampHouse::start(lamp, all_to("old@pc")).await;
    let iq = format!("<iq type='set' id='1'>{SET}</iq>");
    let got = raw(lamp.here.port(), &[OLD_HEADER, &iq], "</stream:stream>").await;
    assert!(got.contains("not-authorized"), "{got}");
    let modern = OLD_HEADER.replace("to=", "version='1.0' to=");
    let got = raw(lamp.here.port(), &[&modern, &iq], "</stream:stream>").await;
    assert!(
        got.contains("<required/>") && got.contains("policy-violation"),
        "{got}"
    );
    assert!(lamp.done().is_empty());
    lamp.stop().await;
}

#[tokio::test]
async fn what_is_no_xmpp_or_too_large_ends_its_stream_alone() {
    let folder = tempfile::tempdir().unwrap();
    let lamp = in_the_clear(config(folder.path(), "lamp@hall", network()));
    let lamp = LampHouse::start(lamp, Access::nobody()).await;
    let large = format!("<message><body>{}</body></message>", "a".repeat(300_000));
    let got = raw(lamp.here.port(), &[OLD_HEADER, &large], "</stream:stream>").await;
    assert!(got.contains("policy-violation"), "{got}");
    for odd in [
        "GET / HTTP/1.1\r\n\r\n",
        "<a/>",
        "\0\0\0\0",
        "<?xml version='1.0'?><!DOCTYPE a>",
    ] {
        raw(lamp.here.port(), &[odd], "</stream:stream>").await;
    }
    let ping = "<iq type='get' id='p'><ping xmlns='urn:xmpp:ping'/></iq>";
    let got = raw(lamp.here.port(), &[OLD_HEADER, ping], "</iq>").await;
    assert!(got.contains("service-unavailable"), "{got}");
    lamp.stop().await;
}

#[tokio::test]
async fn who_leaves_says_good_bye() {
    let folder = tempfile::tempdir().unwrap();
    let net = network();
    let (one, _to_one) = start(config(folder.path(), "one@hall", net)).await;
    let (two, _to_two) = start(config(folder.path(), "two@yard", net)).await;
    seen(&one, &name("two@yard")).await;
    let mut events = one.events();
    let began = Instant::now();
    two.shutdown().await;
    until(&mut events, |event| {
        (*event == Event::Gone(name("two@yard"))).then_some(())
    })
    .await;
    eprintln!("gone after {:?}", began.elapsed());
    assert!(one.neighbours().await.is_empty());
    one.shutdown().await;
}

#[tokio::test]
async fn of_two_with_one_name_the_second_gets_a_number() {
    let folder = tempfile::tempdir().unwrap();
    let net = network();
    let (first, _to_first) = start(config(folder.path(), "lamp@hall", net)).await;
    let mut standing = first.standing();
    timeout(SOON, standing.wait_for(|s| s.announced))
        .await
        .unwrap()
        .unwrap();
    let (third, _to_third) = start(config(folder.path(), "third@yard", net)).await;
    seen(&third, &name("lamp@hall")).await;
    let mut events = third.events();
    let mut second = config(folder.path(), "lamp@hall", net);
    second.identity = folder.path().join("second.pem");
    let (second, _to_second) = start(second).await;
    let mut standing = second.standing();
    let renamed = standing.wait_for(|s| s.announced && s.name != name("lamp@hall"));
    timeout(SOON, renamed).await.unwrap().unwrap();
    assert_eq!(second.name(), name("lamp-1@hall"));
    seen(&first, &name("lamp-1@hall")).await;
    seen(&second, &name("lamp@hall")).await;
    assert_eq!(first.name(), name("lamp@hall"));
    // Whoever looks on sees the first one all the while.
    until(&mut events, |event| {
        assert_ne!(*event, Event::Gone(name("lamp@hall")));
        match event {
            Event::Found(seen) => (seen.name == name("lamp-1@hall")).then_some(()),
            _ => None,
        }
    })
    .await;
    let there = third.neighbours().await;
    assert!(
        there
            .iter()
            .any(|n| n.name == name("lamp@hall") && n.port == first.port())
    );
    third.shutdown().await;
    second.shutdown().await;
    first.shutdown().await;
}

#[tokio::test]
async fn one_address_has_no_more_streams_than_it_may_and_silence_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let mut lamp = in_the_clear(config(folder.path(), "lamp@hall", network()));
    lamp.limits.streams_of_one_address = 2;
    lamp.limits.handshake = Duration::from_millis(500);
    let lamp = LampHouse::start(lamp, Access::nobody()).await;
    let connect = || TcpStream::connect(("127.0.0.1", lamp.here.port()));
    let (_one, mut two) = (connect().await.unwrap(), connect().await.unwrap());
    let mut three = connect().await.unwrap();
    // Closed at once: by the end, or by a reset.
    let end = timeout(SOON, three.read(&mut [0; 1])).await.unwrap();
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    // Those who say nothing are not waited for.
    let end = timeout(SOON, two.read(&mut [0; 1])).await.unwrap();
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    let got = raw(lamp.here.port(), &[OLD_HEADER], "stream:stream").await;
    assert!(
        got.contains("from='lamp@hall'"),
        "there is room again: {got}"
    );
    lamp.stop().await;
}

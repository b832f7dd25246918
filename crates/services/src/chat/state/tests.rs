//! The laws of chat states and markers, by hand-fed inputs.

use super::*;
use stanchion_reliability::session::Up;
use stanchion_reliability::store::WallTime;
use stanchion_stanza::stream::StreamFeatures;
use stanchion_stanza::{Limits, Scope, codec::parse_element};

fn at(seconds: u64) -> Now {
    Now {
        monotonic: Duration::from_secs(seconds),
        wall: WallTime::from_unix_ms(1_700_000_000_000),
    }
}

fn message(from: &str, inside: &str) -> Message {
    let xml =
        format!("<message from='{from}' to='me@near.example/x' type='chat'>{inside}</message>");
    let element = parse_element(xml.as_bytes(), &Scope::client(), &Limits::default());
    Message::from_element(element.unwrap()).unwrap()
}

fn state(name: &str) -> String {
    format!("<{name} xmlns='http://jabber.org/protocol/chatstates'/>")
}

fn peer() -> BareJid {
    "peer@far.example".parse().unwrap()
}

const PEER: &str = "peer@far.example/y";

fn up(chats: &mut Chats, resumed: bool) {
    let jid = "me@near.example/x".parse().unwrap();
    let up = Up::new(jid, resumed, StreamFeatures::default(), None);
    chats.handle(at(0), Input::Up(&up));
}

fn connected() -> Chats {
    let mut chats = Chats::default();
    up(&mut chats, false);
    chats
}

/// The names of the payloads of what is transmitted, hints left out.
fn sent(chats: &mut Chats) -> Vec<String> {
    let mut sent = Vec::new();
    loop {
        match chats.poll_output() {
            Output::Transmit(Stanza::Message(message)) => {
                assert_eq!(message.header.to, Some(peer().into()));
                let payloads = message.payloads.iter().filter(|p| p.ns() != ns::HINTS);
                sent.extend(payloads.map(|p| p.name().to_owned()));
            }
            Output::Wait(_) => return sent,
            _ => {}
        }
    }
}

fn wait(chats: &mut Chats) -> Option<Duration> {
    match chats.poll_output() {
        Output::Wait(until) => until,
        other => panic!("{other:?}"),
    }
}

#[test]
fn who_never_sent_a_state_is_told_none_alone() {
    let mut chats = connected();
    chats.does(at(1), &peer(), ChatState::Composing);
    assert_eq!(sent(&mut chats), Vec::<String>::new());
    // It goes along with what is said, to find out.
    assert_eq!(chats.sends(at(2), &peer()), Some(ChatState::Active));
    chats.does(at(3), &peer(), ChatState::Composing);
    assert_eq!(sent(&mut chats), Vec::<String>::new());
}

#[test]
fn who_answers_without_a_state_is_told_nothing_more() {
    let mut chats = connected();
    chats.sends(at(1), &peer());
    chats.handle(at(2), Input::Received(&message(PEER, "<body>b</body>")));
    assert_eq!(chats.sends(at(3), &peer()), None);
    let said = format!("<body>b</body>{}", state("active"));
    chats.handle(at(4), Input::Received(&message(PEER, &said)));
    assert_eq!(chats.sends(at(5), &peer()), Some(ChatState::Active));
}

#[test]
fn writing_is_told_once_and_pauses_by_itself() {
    let mut chats = connected();
    let said = format!("<body>b</body>{}", state("active"));
    chats.handle(at(0), Input::Received(&message(PEER, &said)));
    for second in 1..10 {
        chats.does(at(second), &peer(), ChatState::Composing);
    }
    assert_eq!(sent(&mut chats), ["composing"]);
    assert_eq!(wait(&mut chats), Some(Duration::from_secs(9) + PAUSED));
    chats.handle(at(38), Input::Tick);
    assert_eq!(sent(&mut chats), Vec::<String>::new());
    chats.handle(at(39), Input::Tick);
    assert_eq!(sent(&mut chats), ["paused"]);
    chats.handle(at(39 + 120), Input::Tick);
    assert_eq!(sent(&mut chats), ["inactive"]);
    assert_eq!(wait(&mut chats), None);
}

#[test]
fn a_message_ends_what_was_composed() {
    let mut chats = connected();
    chats.handle(
        at(0),
        Input::Stanza(&message(PEER, &state("active")).into()),
    );
    chats.does(at(1), &peer(), ChatState::Composing);
    assert_eq!(sent(&mut chats), ["composing"]);
    chats.sends(at(2), &peer());
    assert_eq!(wait(&mut chats), Some(Duration::from_secs(2) + INACTIVE));
}

#[test]
fn without_a_stream_no_state_is_kept_for_later_and_the_last_marker_is() {
    let mut chats = connected();
    chats.handle(
        at(0),
        Input::Stanza(&message(PEER, &state("active")).into()),
    );
    chats.handle(at(1), Input::Down);
    chats.does(at(2), &peer(), ChatState::Composing);
    for id in ["1", "2"] {
        chats.displayed(&peer(), Text::new(id).unwrap());
    }
    assert_eq!(sent(&mut chats), Vec::<String>::new());
    up(&mut chats, false);
    assert_eq!(sent(&mut chats), ["displayed"]);
}

#[test]
fn what_the_other_side_does_is_told_when_it_changes() {
    let mut chats = connected();
    for name in ["composing", "composing", "paused"] {
        let stanza = message(PEER, &state(name)).into();
        assert_eq!(chats.handle(at(1), Input::Stanza(&stanza)), Taken::Yes);
    }
    let mut told = Vec::new();
    while let Output::Event(event) = chats.poll_output() {
        told.push(event);
    }
    let states = [ChatState::Composing, ChatState::Paused];
    let states = states.map(|state| ChatEvent::State {
        from: peer(),
        state,
    });
    assert_eq!(told, states);
    assert_eq!(chats.state_of(&peer()), Some(ChatState::Paused));
}

#[test]
fn a_marker_is_noted_and_told_and_own_ones_are_left_to_others() {
    let mut chats = connected();
    let marker = "<displayed xmlns='urn:xmpp:chat-markers:0' id='m'/>";
    let own = message("me@near.example/other", marker).into();
    assert_eq!(chats.handle(at(1), Input::Stanza(&own)), Taken::No);
    let stanza = message(PEER, marker).into();
    assert_eq!(chats.handle(at(1), Input::Stanza(&stanza)), Taken::Yes);
    assert!(matches!(chats.poll_output(), Output::Keep { changes, .. } if changes.len() == 1));
    assert!(
        matches!(chats.poll_output(), Output::Wait(_)),
        "nothing is told before it is durable"
    );
    chats.handle(at(2), Input::Kept { tag: MARK });
    let event = ChatEvent::Displayed {
        by: peer(),
        id: "m".into(),
    };
    assert!(matches!(chats.poll_output(), Output::Event(told) if told == event));
}

#[test]
fn strangers_without_end_take_no_memory_without_end() {
    let mut chats = connected();
    for n in 0..TALKS * 3 {
        let stanza = message(&format!("n{n}@far.example/x"), &state("composing")).into();
        chats.handle(at(1), Input::Stanza(&stanza));
    }
    chats.handle(at(2), Input::Down);
    for n in 0..TALKS * 3 {
        let with = format!("n{n}@far.example").parse().unwrap();
        chats.displayed(&with, Text::from_static("m"));
    }
    assert_eq!((chats.talks.len(), chats.markers.len()), (TALKS, TALKS));
}

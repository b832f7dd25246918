//! What an archive has is taken as if it had been received: kept once, answered, and
//! never refused to anybody.

use stanchion_reliability::engine::{Event, Input, SLICE};
use stanchion_stanza::{Limits, Message, Scope, codec::parse_element};

use crate::script::{SECOND, Script};

fn message(xml: &str) -> Message {
    let element = parse_element(xml.as_bytes(), &Scope::client(), &Limits::default()).unwrap();
    Message::from_element(element).unwrap()
}

fn plain(id: &str) -> Message {
    message(&format!(
        "<message from='peer@x/1' id='{id}' type='chat'><body>{id}</body>\
         <request xmlns='urn:xmpp:receipts'/></message>"
    ))
}

fn numbered(from: usize, to: usize) -> Vec<Message> {
    (from..to).map(|n| plain(&format!("m{n}"))).collect()
}

fn archived(s: &mut Script, messages: Vec<Message>) {
    s.give(Input::Archived {
        ticket: 5,
        messages,
    });
}

/// How many were taken, and the bodies handed over.
fn results(s: &mut Script) -> (Option<usize>, Vec<String>) {
    let (mut taken, mut handed) = (None, Vec::new());
    for event in s.events() {
        match event {
            Event::Archived {
                ticket: 5,
                taken: n,
            } => taken = Some(n),
            Event::Message { message, .. } => handed.push(message.body().unwrap().into_owned()),
            _ => {}
        }
    }
    (taken, handed)
}

#[test]
fn what_was_received_before_is_not_taken_again_from_the_archive_nor_the_other_way_round() {
    let mut s = Script::new();
    s.connect();
    s.message("m1");
    assert_eq!(results(&mut s), (None, vec!["m1".to_owned()]));
    archived(&mut s, numbered(0, 3));
    let (taken, handed) = results(&mut s);
    assert_eq!((taken, handed), (Some(3), vec!["m0".into(), "m2".into()]));
    s.message("m2");
    assert_eq!(results(&mut s), (None, vec![]));
    s.commit(1);
    s.commit(2);
    assert_eq!(s.receipts(), ["m1", "m0"], "it is answered as any other");
}

#[test]
fn nothing_is_said_to_be_taken_before_it_is_durable() {
    let mut s = Script::new();
    s.connect();
    s.store_waits();
    archived(&mut s, numbered(0, 2));
    assert_eq!(results(&mut s), (None, vec![]));
    s.store_answers();
    assert_eq!(results(&mut s).0, Some(2));
    let mut s = s.crash();
    assert_eq!(results(&mut s).1, ["m0", "m1"]);
}

#[test]
fn a_full_inbox_says_not_now_and_nobody_gets_an_error() {
    let mut s = Script::with(|config| config.inbox = 3);
    s.connect();
    archived(&mut s, numbered(0, 5));
    let (taken, handed) = results(&mut s);
    assert_eq!((taken, handed.len()), (Some(3), 3));
    assert_eq!(s.receipts(), Vec::<String>::new());
    assert!(!s.sent().iter().any(|xml| xml.contains("error")));
    archived(&mut s, numbered(3, 5));
    assert_eq!(results(&mut s), (Some(0), vec![]));
    s.commit(1);
    archived(&mut s, numbered(3, 5));
    assert_eq!(results(&mut s), (Some(1), vec!["m3".to_owned()]));
    assert_eq!(s.engine.footprint().handed_over, 3);
}

#[test]
fn a_slice_is_bounded_and_waits_for_the_store_together() {
    let mut s = Script::with(|config| config.inbox = SLICE + 10);
    s.connect();
    s.store_waits();
    archived(&mut s, numbered(0, SLICE * 2));
    // What is under way counts, though nothing of it is durable.
    archived(&mut s, numbered(SLICE, SLICE * 2));
    s.store_answers();
    let taken: Vec<_> = s
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Archived { taken, .. } => Some(taken),
            _ => None,
        })
        .collect();
    assert_eq!(taken, [SLICE, 10]);
}

#[test]
fn what_is_not_kept_is_not_told_a_second_time() {
    let mut s = Script::new();
    s.connect();
    let marker = message(
        "<message from='peer@x/1' type='chat'><displayed xmlns='urn:xmpp:chat-markers:0' id='a'/></message>",
    );
    let error = message("<message from='peer@x/1' id='q' type='error'><body>q</body></message>");
    archived(&mut s, vec![marker, error]);
    assert!(matches!(
        s.events()[..],
        [Event::Archived {
            ticket: 5,
            taken: 2
        }]
    ));
}

#[test]
fn a_receipt_in_the_archive_settles_what_waits_for_it() {
    let mut s = Script::new();
    s.connect();
    s.send("q");
    let receipt =
        message("<message from='peer@x/1'><received xmlns='urn:xmpp:receipts' id='q'/></message>");
    archived(&mut s, vec![receipt]);
    assert_eq!(s.outcomes(), [("q".to_owned(), "acknowledged")]);
    s.pass(60 * SECOND);
    assert_eq!(s.outcomes(), []);
}

#[test]
fn without_a_stream_it_is_taken_all_the_same() {
    let mut s = Script::new();
    archived(&mut s, numbered(0, 2));
    assert_eq!(results(&mut s).0, Some(2));
}

//! The laws of our presence and of others', by hand-fed inputs.

use super::super::seen::MOST;
use super::*;
use crate::fixture::{now, stanza, up};
use crate::presence::Availability;
use stanchion_stanza::stanza::Show;

fn wants(present: &mut Present) -> Vec<Output<PresenceEvent>> {
    let mut wants = Vec::new();
    loop {
        match present.poll_output() {
            Output::Wait(_) => return wants,
            output => wants.push(output),
        }
    }
}

fn sent(present: &mut Present) -> Vec<Presence> {
    let sent = wants(present)
        .into_iter()
        .filter_map(|output| match output {
            Output::Transmit(Stanza::Presence(presence)) => Some(presence),
            _ => None,
        });
    sent.collect()
}

fn events(present: &mut Present) -> Vec<PresenceEvent> {
    let events = wants(present)
        .into_iter()
        .filter_map(|output| match output {
            Output::Event(event) => Some(event),
            _ => None,
        });
    events.collect()
}

fn jid(jid: &str) -> Jid {
    jid.parse().unwrap()
}

fn heard(present: &mut Present, presence: &str) {
    present.handle(now(5), Input::Stanza(&stanza(presence)));
}

/// One that is up and has said so.
fn announced() -> Present {
    let mut present = Present::new(PresenceConfig::default());
    present.handle(now(0), Input::Info(&DiscoInfo::default()));
    present.handle(now(1), Input::Up(&up(false, [])));
    let first = sent(&mut present);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].kind, PresenceType::Available);
    present
}

/// That stream is lost, and another one takes its place.
fn another_stream(present: &mut Present, at: u64, resumed: bool) {
    present.handle(now(at), Input::Down);
    present.handle(now(at + 1), Input::Up(&up(resumed, [])));
}

#[test]
fn a_new_session_is_told_how_we_are_with_who_we_are_and_what_we_can() {
    let mut present = Present::new(PresenceConfig {
        status: Status::busy()
            .with_text(Text::from_static("welding"))
            .with_priority(-3),
        keep: false,
    });
    let info = DiscoInfo::default();
    present.handle(now(0), Input::Info(&info));
    present.handle(now(1), Input::Up(&up(false, [])));
    let sent = sent(&mut present).pop().unwrap();
    assert_eq!(sent.show(), Some(Show::Dnd));
    assert_eq!(sent.status().as_deref(), Some("welding"));
    assert_eq!(sent.priority(), -3);
    let at: At = sent.payload().unwrap().unwrap();
    assert_eq!(Some(at.0), up(false, []).place);
    let caps: Caps = sent.payload().unwrap().unwrap();
    assert!(caps.verify(&info));
}

#[test]
fn after_a_resumption_nothing_is_said_unless_it_changed() {
    let mut present = announced();
    another_stream(&mut present, 60, true);
    assert_eq!(sent(&mut present), []);
    present.handle(now(70), Input::Down);
    present.set(now(71), Status::away());
    assert_eq!(sent(&mut present), []);
    present.handle(now(72), Input::Up(&up(true, [])));
    let away = sent(&mut present);
    assert_eq!(away.len(), 1);
    assert_eq!(away[0].show(), Some(Show::Away));
}

#[test]
fn what_was_said_just_before_the_stream_was_lost_is_said_again() {
    let mut present = announced();
    another_stream(&mut present, 5, true);
    let again: Vec<_> = sent(&mut present).iter().map(|p| p.kind).collect();
    assert_eq!(again, [PresenceType::Available]);
}

#[test]
fn a_new_session_is_told_anew() {
    let mut present = announced();
    another_stream(&mut present, 60, false);
    assert_eq!(sent(&mut present).len(), 1);
}

#[test]
fn a_session_of_an_earlier_process_is_told_even_that_we_are_gone() {
    let mut present = Present::new(PresenceConfig {
        status: Status::unavailable(),
        keep: false,
    });
    present.handle(now(0), Input::Up(&up(true, [])));
    let first = sent(&mut present);
    assert_eq!(first.len(), 1);
    assert_eq!(first[0].kind, PresenceType::Unavailable);
    another_stream(&mut present, 60, false);
    assert_eq!(sent(&mut present), [], "a new session begins so");
}

#[test]
fn a_process_that_goes_on_with_a_session_goes_and_comes_to_be_told_who_is_there() {
    let mut present = Present::new(PresenceConfig::default());
    present.handle(now(0), Input::Up(&up(true, [])));
    let kinds: Vec<_> = sent(&mut present).iter().map(|p| p.kind).collect();
    assert_eq!(kinds, [PresenceType::Unavailable, PresenceType::Available]);
    another_stream(&mut present, 60, true);
    assert_eq!(sent(&mut present), []);
}

#[test]
fn the_same_is_said_once() {
    let mut present = announced();
    present.set(now(2), Status::available());
    assert_eq!(sent(&mut present), []);
    present.set(now(3), Status::away());
    present.set(now(3), Status::away());
    assert_eq!(sent(&mut present).len(), 1);
}

#[test]
fn when_we_can_something_else_presence_says_so() {
    let mut present = announced();
    let info = DiscoInfo {
        features: vec![Text::from_static("urn:example:new")],
        ..DiscoInfo::default()
    };
    present.handle(now(2), Input::Info(&info));
    let sent = sent(&mut present).pop().unwrap();
    let caps: Caps = sent.payload().unwrap().unwrap();
    assert!(caps.verify(&info));
}

#[test]
fn a_status_outlives_the_process_only_if_that_is_wanted() {
    let config = |keep| PresenceConfig {
        status: Status::available(),
        keep,
    };
    let mut present = Present::new(config(true));
    let status = Status::away().with_text(Text::from_static("lunch"));
    present.set(now(0), status.clone());
    let Some(Output::Keep { changes, .. }) = wants(&mut present).pop() else {
        panic!("it is not kept")
    };
    let [Change::Put { key, value }] = &changes[..] else {
        panic!("{changes:?}")
    };
    let mut next = Present::new(config(true));
    next.restore(key, value);
    assert_eq!(next.status(), &status);
    let mut other = Present::new(config(false));
    other.restore(key, value);
    assert_eq!(other.status(), &Status::available());
    assert!(
        matches!(&wants(&mut other)[..], [Output::Keep { changes, .. }] if changes[..] == [Change::Delete { key: key.clone() }]),
        "nor does it come back later"
    );
    other.set(now(0), Status::away());
    assert!(wants(&mut other).is_empty());
}

#[test]
fn who_is_shown_presence_alone_is_told_of_changes_and_of_the_end() {
    let mut present = announced();
    let gate = jid("gate@there.example/x");
    let to = |sent: Vec<Presence>| -> Vec<_> {
        assert!(sent.iter().all(|p| p.header.to == Some(gate.clone())));
        sent.into_iter().map(|p| (p.kind, p.show())).collect()
    };
    let show = |present: &mut Present, status| present.show_to(now(2), gate.clone(), status);
    show(&mut present, Status::available()).unwrap();
    assert_eq!(to(sent(&mut present)), [(PresenceType::Available, None)]);
    show(&mut present, Status::available()).unwrap();
    assert_eq!(sent(&mut present), []);
    show(&mut present, Status::busy()).unwrap();
    let busy = (PresenceType::Available, Some(Show::Dnd));
    assert_eq!(to(sent(&mut present)), [busy]);
    // A new session: first all, then whoever sees us alone.
    another_stream(&mut present, 60, false);
    let mut again = sent(&mut present);
    assert_eq!(again.len(), 2);
    assert_eq!(to(again.split_off(1)), [busy]);
    // Said while there is no stream, and on the one that goes on.
    present.handle(now(80), Input::Down);
    present.hide_from(now(81), &gate);
    present.handle(now(82), Input::Up(&up(true, [])));
    let gone = (PresenceType::Unavailable, None);
    assert_eq!(to(sent(&mut present)), [gone]);
    another_stream(&mut present, 200, false);
    assert_eq!(sent(&mut present).len(), 1, "all, and nobody alone");
}

#[test]
fn our_own_end_is_the_end_for_those_who_see_us_alone_unless_they_are_shown_anew() {
    let mut present = announced();
    let gate = jid("gate@there.example/x");
    present
        .show_to(now(2), gate.clone(), Status::available())
        .unwrap();
    sent(&mut present);
    present.set(now(3), Status::unavailable());
    // The server tells all (RFC 6121 §4.6.3); this one is still to see us.
    let sent = sent(&mut present);
    let kinds: Vec<_> = sent.iter().map(|p| (p.header.to.clone(), p.kind)).collect();
    assert_eq!(
        kinds,
        [
            (None, PresenceType::Unavailable),
            (Some(gate), PresenceType::Available)
        ]
    );
}

#[test]
fn those_who_are_shown_presence_alone_are_bounded() {
    let mut present = announced();
    let show = |present: &mut Present, n| {
        let to = jid(&format!("u{n}@x.example"));
        present.show_to(now(2), to, Status::available())
    };
    for n in 0..SHOWN {
        assert_eq!(show(&mut present, n), Ok(()));
    }
    assert_eq!(show(&mut present, SHOWN), Err(ShowError::TooMany));
    present.hide_from(now(3), &jid("u0@x.example"));
    assert_eq!(show(&mut present, SHOWN), Ok(()));
}

#[test]
fn the_best_resource_has_the_highest_priority_and_spoke_last() {
    let mut present = announced();
    let lamp: BareJid = "lamp@x.example".parse().unwrap();
    for (resource, priority) in [("a", 0), ("b", 5), ("c", 5), ("d", -1)] {
        heard(
            &mut present,
            &format!(
                "<presence from='lamp@x.example/{resource}'><show>away</show>\
                 <priority>{priority}</priority></presence>"
            ),
        );
    }
    let order: Vec<_> = present.of(&lamp).into_iter().map(|(j, _)| j).collect();
    let resources: Vec<_> = order.iter().filter_map(|jid| jid.resource()).collect();
    assert_eq!(resources, ["c", "b", "a", "d"]);
    let (_, status) = present.of(&lamp).remove(0);
    assert_eq!(status.availability, Availability::Away);
    heard(
        &mut present,
        "<presence type='unavailable' from='lamp@x.example/c'/>",
    );
    assert_eq!(present.of(&lamp)[0].0, jid("lamp@x.example/b"));
    // Without a resource it is the whole account.
    events(&mut present);
    heard(
        &mut present,
        "<presence type='unavailable' from='lamp@x.example'/>",
    );
    assert_eq!(present.of(&lamp), []);
    assert_eq!(events(&mut present).len(), 3);
}

#[test]
fn a_change_is_told_and_the_same_again_is_none() {
    let mut present = announced();
    let here = "<presence from='lamp@x.example/a'/>";
    heard(&mut present, here);
    let available = PresenceEvent::Available {
        jid: jid("lamp@x.example/a"),
        status: Status::available(),
    };
    assert_eq!(events(&mut present), [available]);
    heard(&mut present, here);
    assert_eq!(events(&mut present), []);
    let gone =
        "<presence type='unavailable' from='lamp@x.example/a'><status>bye</status></presence>";
    heard(&mut present, gone);
    let unavailable = PresenceEvent::Unavailable {
        jid: jid("lamp@x.example/a"),
        text: Some(Text::from_static("bye")),
    };
    assert_eq!(events(&mut present), [unavailable]);
    heard(&mut present, gone);
    assert_eq!(events(&mut present), [], "it was gone");
    heard(&mut present, "<presence from='me@home.example/here'/>");
    assert_eq!(events(&mut present), [], "our own comes back to us");
}

#[test]
fn without_a_connection_nobody_is_known_and_a_resumption_brings_all_back() {
    let mut present = announced();
    let lamp: BareJid = "lamp@x.example".parse().unwrap();
    heard(&mut present, "<presence from='lamp@x.example/a'/>");
    wants(&mut present);
    present.handle(now(60), Input::Down);
    assert_eq!(present.of(&lamp), []);
    present.handle(now(61), Input::Up(&up(true, [])));
    assert_eq!(present.of(&lamp).len(), 1);
    let told = events(&mut present);
    assert_eq!(told, [PresenceEvent::Interrupted, PresenceEvent::Resumed]);
    another_stream(&mut present, 70, false);
    assert_eq!(present.of(&lamp), []);
    let told = events(&mut present);
    assert_eq!(told, [PresenceEvent::Interrupted, PresenceEvent::Reset]);
}

#[test]
fn strangers_of_one_domain_crowd_out_nobody_of_another() {
    let mut present = announced();
    heard(&mut present, "<presence from='lamp@x.example/a'/>");
    for n in 0..2 * MOST {
        heard(
            &mut present,
            &format!("<presence from='u{n}@crowd.example/a'/>"),
        );
    }
    assert_eq!(present.seen.len(), MOST);
    assert_eq!(
        events(&mut present).len(),
        MOST,
        "the others are not told of"
    );
    let there =
        |present: &Present, account: &str| !present.of(&account.parse().unwrap()).is_empty();
    assert!(there(&present, "lamp@x.example"));
    heard(&mut present, "<presence from='door@x.example/a'/>");
    assert!(there(&present, "door@x.example"));
    assert_eq!(present.seen.len(), MOST);
}

#[test]
fn a_long_text_is_remembered_in_part() {
    let mut present = announced();
    let text = "x".repeat(10 * SAID);
    heard(
        &mut present,
        &format!("<presence from='lamp@x.example/a'><status>{text}</status></presence>"),
    );
    let (_, status) = present.of(&"lamp@x.example".parse().unwrap()).remove(0);
    assert_eq!(status.text.map(|text| text.len()), Some(SAID));
}

#[test]
fn a_contact_that_lets_us_see_it_is_told_how_we_are_once_more_unless_it_is_shown_something_else() {
    let mut present = announced();
    let friend: BareJid = "lamp@there.example".parse().unwrap();
    present.handle(now(2), Input::Mutual(&friend));
    let again = sent(&mut present);
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].header.to, Some(Jid::from(friend.clone())));
    assert!(again[0].payloads.iter().any(Caps::matches));

    let other = jid("lamp@there.example/1");
    let status = Status {
        availability: Availability::Away,
        ..Status::default()
    };
    present.show_to(now(3), other, status).unwrap();
    assert_eq!(sent(&mut present).len(), 1);
    present.handle(now(3), Input::Mutual(&friend));
    assert_eq!(sent(&mut present).len(), 0);

    let mut hidden = announced();
    hidden.set(now(4), Status::unavailable());
    assert_eq!(sent(&mut hidden).len(), 1);
    hidden.handle(now(5), Input::Mutual(&friend));
    assert_eq!(sent(&mut hidden).len(), 0, "nobody is told more than that");
}

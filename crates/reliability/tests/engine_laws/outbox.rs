//! Sending: durability, identity, windows, retransmission.

use stanchion_reliability::engine::{Event, Refusal};

use crate::script::{SECOND, Script};

#[test]
fn nothing_is_transmitted_before_it_is_durable() {
    let mut s = Script::new();
    s.connect();
    s.store_waits();
    s.send("m");
    s.pass(120 * SECOND);
    assert_eq!(s.messages(), Vec::<String>::new());
    assert!(
        !s.events()
            .iter()
            .any(|e| matches!(e, Event::Accepted { .. }))
    );
    s.connect();
    s.store_answers();
    assert_eq!(s.messages(), ["m"]);
}

#[test]
fn the_request_for_an_acknowledgement_follows_the_stanza() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    assert!(s.sent()[1].starts_with("<r "));
}

#[test]
fn a_messages_id_and_content_never_change() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    let first = s.sent().swap_remove(0);
    s.pass(5 * SECOND);
    s.connect();
    let again = s.sent().swap_remove(0);
    let (start, rest) = again.split_once("<delay").expect("it says that it is late");
    assert_eq!(
        first,
        format!("{start}{}", rest.split_once("/>").unwrap().1)
    );
    let mut s = s.crash();
    s.connect();
    let inherited = s.sent().swap_remove(0);
    // Only the process that sends it is another one.
    let but_for_boot = |stanza: &str| {
        let (start, rest) = stanza.split_once(" b='").expect("it names its process");
        format!("{start}{}", rest.split_once('\'').unwrap().1)
    };
    assert_eq!(but_for_boot(&inherited), but_for_boot(&again));
}

#[test]
fn what_was_accepted_is_sent_after_a_crash_in_its_order() {
    let mut s = Script::with(|c| c.in_memory = 4);
    let ids: Vec<String> = (0..20).map(|n| format!("m{n:02}")).collect();
    for id in &ids {
        s.send(id);
    }
    let mut s = s.crash();
    s.connect();
    let mut sent = Vec::new();
    for _ in 0..20 {
        let batch = s.messages();
        for id in &batch {
            s.receipt("peer@x/1", id);
        }
        sent.extend(batch);
    }
    assert_eq!(sent, ids);
    assert_eq!(s.engine.pending(), 0);
}

#[test]
fn the_window_to_a_peer_is_kept() {
    let mut s = Script::with(|c| c.window = 3);
    s.connect();
    for n in 0..5 {
        s.send(&format!("m{n}"));
    }
    s.send_to("other@x", "o", None);
    assert_eq!(s.messages(), ["m0", "m1", "m2", "o"]);
    // The server's word opens no window.
    s.acked(4);
    assert_eq!(s.messages(), Vec::<String>::new());
    s.receipt("peer@x/1", "m1");
    assert_eq!(s.messages(), ["m3"]);
}

#[test]
fn a_window_that_waits_for_receipts_does_not_hold_back_what_is_in_the_store() {
    let mut s = Script::with(|c| (c.window, c.in_memory) = (3, 4));
    s.connect();
    for id in ["d0", "d1", "d2"] {
        s.send_to("dead@x", id, None);
    }
    for id in ["m0", "m1", "m2"] {
        s.send(id);
    }
    for id in ["m0", "m1"] {
        s.receipt("peer@x/1", id);
        s.acked(s.engine.counters().transmitted as u32);
    }
    assert!(s.messages().contains(&"m2".to_owned()));
}

#[test]
fn more_than_a_page_of_the_store_is_sent() {
    const MANY: usize = 1100;
    let mut s = Script::with(|c| (c.window, c.in_memory) = (2, 4000));
    for n in 0..MANY {
        s.send(&format!("m{n}"));
    }
    let mut s = s.crash();
    s.connect();
    for n in 0..MANY {
        s.receipt("peer@x/1", &format!("m{n}"));
    }
    assert_eq!(s.engine.pending(), 0);
    assert_eq!(s.engine.counters().acknowledged, MANY as u64);
}

#[test]
fn silence_after_the_servers_acknowledgement_is_met_by_sending_again() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    assert_eq!(s.messages(), ["m"]);
    // Until then the stream's own acknowledgements are enough.
    s.pass(6 * SECOND);
    assert_eq!(s.messages(), Vec::<String>::new());
    s.acked(1);
    s.pass(4 * SECOND);
    assert_eq!(s.messages(), ["m"]);
    s.acked(2);
    // And the pauses grow.
    s.pass(5 * SECOND);
    assert_eq!(s.messages(), Vec::<String>::new());
    s.pass(3 * SECOND);
    assert_eq!(s.messages(), ["m"]);
}

#[test]
fn on_an_unmanaged_stream_the_timer_runs_from_the_transmission() {
    let mut s = Script::new();
    s.bind(false, None);
    s.send("m");
    assert_eq!(s.sent().len(), 1);
    s.pass(4 * SECOND);
    assert_eq!(s.messages(), ["m"]);
}

#[test]
fn what_the_server_does_not_acknowledge_is_bounded() {
    let mut s = Script::new();
    s.connect();
    for n in 0..200 {
        s.send_to(&format!("peer{}@x", n % 20), &format!("m{n}"), None);
    }
    assert_eq!(s.messages().len(), 64);
}

#[test]
fn a_full_outbox_refuses_and_an_outcome_makes_room() {
    let mut s = Script::with(|c| c.outbox = 2);
    s.connect();
    for id in ["m0", "m1", "m2"] {
        s.send(id);
    }
    let refused = |events: Vec<Event>| {
        let refusals = events.into_iter().filter_map(|e| match e {
            Event::Refused { id, why } => Some((id, why)),
            _ => None,
        });
        refusals.collect::<Vec<_>>()
    };
    let events = refused(s.events());
    let [(id, Refusal::OutboxFull { messages: 2, bytes })] = &events[..] else {
        panic!("{events:?}");
    };
    assert!(id == "m2" && *bytes > 100, "{events:?}");
    assert!(!s.engine.has_room());
    s.receipt("peer@x/1", "m0");
    s.send("m2");
    assert_eq!(refused(s.events()), []);
}

#[test]
fn an_outbox_is_full_by_bytes_too_whatever_became_of_its_messages() {
    let mut s = Script::with(|c| c.outbox_bytes = 1);
    s.connect();
    s.send("m0");
    assert!(!s.engine.has_room());
    s.receipt("peer@x/1", "m0");
    // In doubt: it waits no longer for room in the application's sense.
    s.send_within("m1", 10 * SECOND);
    assert!(!s.engine.has_room());
    s.pass(11 * SECOND);
    assert!(s.engine.has_room());
    // Still so for the next process, over the same store.
    let mut s = s.crash();
    assert!(s.engine.has_room());
    s.connect();
    s.receipt("peer@x/1", "m1");
    s.send("m2");
    assert!(!s.engine.has_room());
}

#[test]
fn a_message_too_big_for_the_store_is_refused_and_harms_no_other() {
    let mut s = Script::new();
    s.connect();
    s.store_waits();
    s.send("before");
    s.send(&"x".repeat(5000));
    s.send("after");
    s.store_answers();
    assert_eq!(s.messages(), ["before", "after"]);
    let refused = s.events().into_iter().any(|e| {
        matches!(
            e,
            Event::Refused {
                why: Refusal::Misuse(_),
                ..
            }
        )
    });
    assert!(refused);
    assert_eq!(s.engine.pending(), 2);
}

#[test]
fn an_id_given_twice_is_the_first_messages() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    s.send("m");
    assert_eq!(s.messages(), ["m"]);
    s.receipt("peer@x/1", "m");
    assert_eq!(s.outcomes(), [("m".to_owned(), "acknowledged")]);
    assert_eq!(s.engine.pending(), 0);
}

#[test]
fn a_passing_error_is_followed_by_another_try() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    s.acked(1);
    s.bounce("peer@x", "m", "service-unavailable");
    s.sent();
    s.pass(10 * SECOND);
    assert_eq!(s.messages(), ["m"]);
    assert_eq!(s.outcomes(), []);
}

#[test]
fn a_peer_that_is_back_gets_what_came_back_once() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    s.acked(1);
    s.bounce("peer@x", "m", "recipient-unavailable");
    s.sent();
    s.receive("<presence from='peer@x/1'/>");
    assert_eq!(s.messages(), ["m"]);
    s.acked(2);
    for _ in 0..10 {
        s.receive("<presence from='peer@x/1'/>");
    }
    assert_eq!(s.messages(), Vec::<String>::new());
}

#[test]
fn an_error_that_cannot_pass_stops_sending_and_decides_nothing() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    s.acked(1);
    s.bounce("peer@x", "m", "not-acceptable");
    assert_eq!(s.outcomes(), [("m".to_owned(), "in doubt")]);
    s.sent();
    s.pass(200 * SECOND);
    s.connect();
    assert_eq!(s.messages(), Vec::<String>::new());
    // Another copy may have been on its way.
    s.receipt("peer@x/1", "m");
    assert_eq!(s.outcomes(), [("m".to_owned(), "acknowledged")]);
}

#[test]
fn an_error_from_elsewhere_is_not_believed() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    for from in ["evil@x", "evil.example", "y", "peer@y"] {
        s.bounce(from, "m", "not-acceptable");
    }
    assert_eq!(s.outcomes(), []);
    s.bounce("x", "m", "not-acceptable");
    assert_eq!(s.outcomes().len(), 1);
}

#[test]
fn an_error_for_what_was_never_sent_is_not_believed() {
    let mut s = Script::with(|c| c.window = 1);
    s.connect();
    s.send("m0");
    s.send("m1");
    s.bounce("peer@x", "m1", "not-acceptable");
    assert_eq!(s.outcomes(), []);
}

#[test]
fn a_receipt_after_a_resumption_measures_no_round_trip() {
    let mut s = Script::new();
    s.connect();
    s.send("m");
    s.disconnect();
    s.sent();
    s.pass(300 * SECOND);
    s.resume(0);
    assert_eq!(s.messages(), ["m"]);
    s.acked(1);
    s.receipt("peer@x/1", "m");
    // Had the outage been measured, the next one would wait for a minute.
    s.send("n");
    s.sent();
    s.acked(2);
    s.pass(4 * SECOND);
    assert_eq!(s.messages(), ["n"]);
}

#[test]
fn a_receipt_that_may_be_for_an_earlier_copy_measures_no_round_trip() {
    // The estimate stays at its initial 3 s, and the back-off as it was.
    let waits_for = |s: &mut Script, seconds: u32| {
        s.send("next");
        s.acked(s.engine.counters().transmitted as u32);
        s.sent();
        s.pass((seconds - 1) * SECOND);
        assert_eq!(s.messages(), Vec::<String>::new());
        s.pass(3 * SECOND);
        assert_eq!(s.messages(), ["next"]);
    };
    let mut s = Script::new();
    s.connect();
    s.send("m");
    s.acked(1);
    s.sent();
    while s.messages().is_empty() {
        s.pass(SECOND / 100);
    }
    s.receipt("peer@x/1", "m");
    waits_for(&mut s, 6);
    // The copy that an earlier process sent.
    let mut s = Script::new();
    s.send("m");
    let mut s = s.crash();
    s.connect();
    s.receipt("peer@x/1", "m");
    waits_for(&mut s, 3);
}

#[test]
fn finished_messages_are_removed_as_fast_as_they_come() {
    use stanchion_reliability::store::{OutboundFilter, OutboundQuery, Store as _};
    let mut s = Script::new();
    s.connect();
    for n in 0..4200 {
        let id = format!("m{n}");
        s.send(&id);
        s.acked(s.engine.counters().transmitted as u32);
        s.receipt("peer@x/1", &id);
        s.sent();
    }
    s.disconnect();
    // More than one step of a prune removes, at the first look after a week.
    s.pass((7 * 24 * 3600 + 601) * SECOND);
    let all = OutboundQuery {
        filter: OutboundFilter::All,
        ..OutboundQuery::default()
    };
    let left = s.store.outbound_page(all).try_take().unwrap().unwrap();
    assert_eq!(left.len(), 0);
}

//! Protection: a stream carries no message that asks for more than it offers, and what
//! is held back keeps its place.

use stanchion_reliability::engine::Event;
use stanchion_reliability::outcome::{NotDelivered, Outcome};
use stanchion_reliability::protection::Protection;
use stanchion_reliability::protection::Protection::{
    Any, Encrypted, EncryptedAndAuthenticated as Strictest,
};

use crate::script::{SECOND, Script};

const LEVELS: [Protection; 3] = [Any, Encrypted, Strictest];
const NOTHING: [&str; 0] = [];

/// A script whose streams offer that.
fn on(offered: Protection) -> Script {
    let mut s = Script::new();
    s.offered = offered;
    s
}

/// Loses the stream, and gets a new one that offers that.
fn change(s: &mut Script, offered: Protection) {
    s.disconnect();
    s.offered = offered;
    s.connect();
}

fn outcome(s: &mut Script) -> Option<Outcome> {
    s.events().into_iter().find_map(|event| match event {
        Event::Outcome { outcome, .. } => Some(outcome),
        _ => None,
    })
}

#[test]
fn a_stream_carries_what_asks_for_no_more_than_it_offers() {
    for offered in LEVELS {
        for wanted in LEVELS {
            let mut s = on(offered);
            s.connect();
            s.send_asking("peer@x", "m", None, wanted);
            assert_eq!(
                !s.messages().is_empty(),
                wanted <= offered,
                "{wanted:?} on {offered:?}"
            );
        }
    }
}

#[test]
fn a_message_asks_for_the_strictest_unless_told_otherwise() {
    assert_eq!(Protection::default(), Strictest);
    assert!(LEVELS.into_iter().all(|wanted| Strictest.meets(wanted)));
}

#[test]
fn what_is_held_back_goes_on_the_first_stream_that_meets_it() {
    let mut s = on(Any);
    s.connect();
    s.send("m");
    change(&mut s, Encrypted);
    assert_eq!(s.messages(), NOTHING);
    change(&mut s, Strictest);
    assert_eq!(s.messages(), ["m"]);
    s.acked(1);
    s.receipt("peer@x/1", "m");
    assert_eq!(s.outcomes(), [("m".to_owned(), "acknowledged")]);
}

#[test]
fn what_is_held_back_holds_its_successors_to_the_same_recipient_and_no_others() {
    let mut s = on(Any);
    s.connect();
    s.send_asking("peer@x", "before", None, Any);
    s.send("held");
    s.send_asking("peer@x", "behind", None, Any);
    s.send_asking("other@x", "beside", None, Any);
    assert_eq!(s.messages(), ["before", "beside"]);
    change(&mut s, Strictest);
    let mut sent = s.messages();
    sent.retain(|id| id != "beside");
    assert_eq!(sent, ["before", "held", "behind"]);
}

#[test]
fn what_is_held_back_takes_no_slot_of_the_window() {
    let mut s = Script::with(|c| c.window = 1);
    s.offered = Strictest;
    s.connect();
    s.send("m");
    // It was on a stream, and held the only slot.
    change(&mut s, Any);
    s.sent();
    s.send_asking("peer@x", "behind", None, Any);
    assert_eq!(s.messages(), NOTHING);
    // Its receipt still counts, and what was behind it goes.
    s.receipt("peer@x/1", "m");
    assert_eq!(s.messages(), ["behind"]);
}

#[test]
fn what_no_stream_could_carry_in_time_is_not_delivered_for_that_reason() {
    let mut s = on(Any);
    s.connect();
    s.send_within("m", 5 * SECOND);
    s.disconnect();
    s.pass(5 * SECOND);
    let unprotected = Outcome::NotDelivered(NotDelivered::Unprotected);
    assert_eq!(outcome(&mut s), Some(unprotected));
    // Not even then.
    change(&mut s, Strictest);
    assert_eq!(s.messages(), NOTHING);
}

#[test]
fn what_met_no_stream_at_all_is_not_delivered_for_that_reason() {
    let mut s = on(Any);
    s.send_within("m", 5 * SECOND);
    s.pass(5 * SECOND);
    let expired = Outcome::NotDelivered(NotDelivered::Expired);
    assert_eq!(outcome(&mut s), Some(expired));
}

#[test]
fn what_a_stream_has_carried_is_in_doubt_at_its_deadline_however_it_is_held_back() {
    let mut s = on(Strictest);
    s.connect();
    s.send_within("m", 5 * SECOND);
    change(&mut s, Any);
    s.pass(5 * SECOND);
    assert_eq!(s.outcomes(), [("m".to_owned(), "in doubt")]);
}

#[test]
fn a_retransmission_asks_for_as_much_as_the_first() {
    let mut s = on(Strictest);
    s.connect();
    s.send("m");
    s.acked(1);
    assert_eq!(s.messages(), ["m"]);
    s.disconnect();
    s.offered = Any;
    s.resume(1);
    // Many timers long; a server that answers its probes.
    for _ in 0..30 {
        s.pass(10 * SECOND);
        s.acked(1);
    }
    assert_eq!(s.messages(), NOTHING);
    s.disconnect();
    s.offered = Strictest;
    s.resume(1);
    assert_eq!(s.messages(), ["m"]);
}

#[test]
fn a_resumed_stream_carries_again_only_what_it_may() {
    let mut s = on(Strictest);
    s.connect();
    s.send_asking("peer@x", "free", None, Any);
    s.send("held");
    s.send_asking("peer@x", "behind", None, Any);
    s.send_asking("other@x", "beside", None, Any);
    s.sent();
    s.disconnect();
    s.offered = Any;
    s.resume(0);
    assert_eq!(s.messages(), ["free", "beside"]);
    // The server counts only those two: its word settles nothing of the others.
    s.acked(2);
    assert!(s.gave_up.is_none());
    s.disconnect();
    s.offered = Strictest;
    s.resume(2);
    assert_eq!(s.messages(), ["held", "behind"]);
}

#[test]
fn what_a_message_asks_for_survives_a_crash() {
    let mut s = on(Any);
    s.send("strict");
    s.send_asking("other@x", "free", None, Any);
    let mut s = s.crash();
    s.offered = Any;
    s.connect();
    assert_eq!(s.messages(), ["free"]);
    change(&mut s, Strictest);
    assert_eq!(s.messages(), ["strict", "free"]);
}

#[test]
fn a_receipt_goes_on_the_stream_there_is() {
    let mut s = on(Any);
    s.connect();
    s.message("theirs");
    let handed = s.handed();
    s.commit(handed[0].0);
    assert_eq!(s.receipts(), ["theirs"]);
}

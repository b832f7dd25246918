//! Where a recipient is reached when servers do not talk to each other, and how soon it is
//! tried again once something shows that it can be reached.

use stanchion_reliability::engine::{Input, ReconnectReason};

use crate::pair::Pair;
use crate::script::{SECOND, between};

/// To whom each of these goes.
fn to(sent: &[String]) -> Vec<String> {
    sent.iter().map(|xml| between(xml, "to='", "'")).collect()
}

fn addresses(list: &[&str]) -> Input {
    Input::Addresses(list.iter().map(|jid| jid.parse().unwrap()).collect())
}

/// Both have accounts at `y` and `w`, and know it of each other.
fn at_two_servers() -> Pair {
    let mut pair = Pair::new();
    pair.a.jid = "anna@y/1".to_owned();
    pair.a.s.give(addresses(&["anna@y", "anna@w"]));
    pair.b.s.give(addresses(&["bob@y", "bob@w"]));
    pair.get_acquainted();
    pair
}

/// Nothing was heard for so long that its timers are the longest.
fn sent_in_vain(pair: &mut Pair, id: &str) {
    pair.send(id);
    for _ in 0..200 {
        pair.pass_deaf(SECOND);
    }
}

#[test]
fn many_messages_that_come_back_from_one_address_go_to_one_other() {
    let mut pair = at_two_servers();
    let ids = ["m1", "m2", "m3", "m4"];
    ids.iter().for_each(|id| pair.send(id));
    assert_eq!(to(&pair.a.out()), ["bob@y"; 4]);
    for id in ids {
        pair.a.s.bounce("bob@y", id, "remote-server-not-found");
    }
    let again = pair.a.out();
    assert_eq!(to(&again), ["bob@w"; 4]);
    pair.b.jid = "bob@w/1".to_owned();
    again.iter().for_each(|xml| pair.reaches_b(xml));
    pair.carry();
    assert_eq!(pair.effects, ids);
}

/// What servers say that do not talk to others: Prosody without `s2s`, ejabberd without
/// `s2s_access`, and either if the other one is not found or does not answer.
const BEYOND: [&str; 4] = [
    "not-allowed",
    "forbidden",
    "remote-server-not-found",
    "remote-server-timeout",
];

#[test]
fn a_recipient_that_only_another_of_our_servers_reaches_makes_us_go_there() {
    BEYOND.into_iter().for_each(goes_there_after);
}

fn goes_there_after(condition: &str) {
    let mut pair = at_two_servers();
    pair.send("m");
    // Its server keeps what it gets, and does not talk to the other one.
    for _ in 0..30 {
        pair.a.s.pass(SECOND);
        if to(&pair.a.out()).iter().any(|jid| jid == "bob@w") {
            pair.a.s.bounce("bob@w", "m", condition);
        }
    }
    assert_eq!(
        pair.a.s.gave_up,
        Some(ReconnectReason::Unreachable),
        "{condition}"
    );
    pair.a.jid = "anna@w/1".to_owned();
    pair.b.jid = "bob@w/1".to_owned();
    pair.a.s.give(Input::Disconnected);
    pair.a.s.bind(false, None);
    for _ in 0..20 {
        pair.a.s.pass(SECOND);
        for xml in pair.a.out() {
            match to(std::slice::from_ref(&xml))[0].as_str() {
                "bob@w" => pair.reaches_b(&xml),
                _ => pair.a.s.bounce("bob@y", "m", "not-allowed"),
            }
        }
        for xml in pair.b.out() {
            pair.reaches_a(&xml);
        }
    }
    assert_eq!(pair.effects, ["m"]);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn a_recipient_that_answers_elsewhere_leaves_us_where_we_are() {
    let mut pair = at_two_servers();
    pair.send("m");
    pair.a.out();
    pair.a.s.bounce("bob@y", "m", "remote-server-not-found");
    pair.b.jid = "bob@w/1".to_owned();
    pair.carry();
    pair.pass(30 * SECOND);
    assert_eq!(pair.a.s.gave_up, None);
    assert_eq!(pair.effects, ["m"]);
}

#[test]
fn without_an_account_there_nobody_moves() {
    let mut pair = Pair::new();
    pair.b.s.give(addresses(&["bob@y", "bob@w"]));
    pair.get_acquainted();
    pair.send("m");
    for _ in 0..60 {
        pair.a.out();
        pair.a.s.bounce("bob@y", "m", "remote-server-not-found");
        pair.a.s.bounce("bob@w", "m", "remote-server-not-found");
        pair.a.s.pass(SECOND);
    }
    assert_eq!(pair.a.s.gave_up, None);
}

#[test]
fn a_recipient_that_seems_to_be_away_is_tried_at_each_address_in_turn() {
    let mut pair = at_two_servers();
    for account in ["bob@y", "bob@w"] {
        pair.a.take(&format!("{account}/1"), "<presence/>");
        let gone = "<presence type='unavailable'/>";
        pair.a.take(&format!("{account}/1"), gone);
    }
    // One that may look for its recipient at any time, and one behind it.
    pair.send("first");
    pair.send("m");
    let mut sent = Vec::new();
    for _ in 0..4 {
        let out = pair.a.out().into_iter();
        let copies: Vec<_> = out.filter(|xml| xml.contains(" id='m'")).collect();
        sent.extend(to(&copies));
        pair.a.s.pass(1200 * SECOND);
    }
    assert_eq!(sent, ["bob@y", "bob@w", "bob@y", "bob@w"]);
}

#[test]
fn a_new_session_begins_with_short_timers() {
    let mut pair = Pair::acquainted();
    sent_in_vain(&mut pair, "m");
    pair.a.s.bind(false, None);
    // The first copy on it is lost, too.
    pair.a.out();
    pair.pass(10 * SECOND);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn an_answer_after_a_silence_shortens_the_timers_of_what_waits() {
    let mut pair = Pair::acquainted();
    sent_in_vain(&mut pair, "m");
    pair.a.s.send_on("other", "bob@y", "n", None);
    pair.carry();
    assert_eq!(pair.a.outcomes_of("n"), ["delivered"]);
    pair.pass(10 * SECOND);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn a_later_verdict_shortens_the_timer_of_an_earlier_message() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    for xml in pair.a.out() {
        pair.reaches_b(&xml);
    }
    for _ in 0..200 {
        pair.pass_deaf(SECOND);
    }
    pair.send("n");
    pair.carry();
    assert_eq!(pair.a.outcomes_of("n"), ["delivered"]);
    pair.pass(10 * SECOND);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn what_the_recipients_application_has_is_asked_about_soon_at_first() {
    let mut pair = Pair::acquainted();
    pair.commits = false;
    pair.send("m");
    let sent = pair.a.out();
    pair.reaches_b(&sent[0]);
    pair.reaches_b(&sent[0]);
    for xml in pair.b.out() {
        pair.reaches_a(&xml);
    }
    // The verdict is lost.
    pair.commits = true;
    pair.apply();
    pair.b.out();
    pair.pass(10 * SECOND);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

/// Messages whose first copies are lost, one after the other: the back-off grows, although
/// each is answered in the end.
fn loses_copies(pair: &mut Pair, messages: usize) {
    for n in 0..messages {
        let id = format!("lost{n}");
        pair.send(&id);
        let mut copies = 0;
        while pair.a.outcomes_of(&id).is_empty() {
            copies += pair.a.out().len();
            if copies > 2 {
                pair.pass(90 * SECOND);
            } else {
                pair.a.s.pass(SECOND / 4);
                pair.b.s.pass(SECOND / 4);
            }
        }
    }
}

#[test]
fn a_back_off_does_not_delay_the_search_at_another_address() {
    let mut pair = at_two_servers();
    loses_copies(&mut pair, 4);
    pair.b.jid = "bob@w/1".to_owned();
    let quarters = looks_elsewhere_after(&mut pair, "bob@w");
    assert!(quarters <= 4 * 20, "only after {} s", quarters / 4);
}

#[test]
fn one_that_moves_while_we_have_no_stream_is_looked_for_soon() {
    let mut pair = at_two_servers();
    pair.a.jid = "anna@w/1".to_owned();
    pair.b.jid = "bob@w/1".to_owned();
    // No message was sent once: nothing is known of the path.
    loses_copies(&mut pair, 1);
    pair.a.s.bind(false, None);
    pair.b.jid = "bob@y/1".to_owned();
    let quarters = looks_elsewhere_after(&mut pair, "bob@y");
    assert!(quarters <= 4 * 10, "only after {} s", quarters / 4);
}

/// A message goes to a recipient that is at that address, to which our server does not talk;
/// what goes to the other one is kept. Gives after how many quarters of a second this device
/// goes to another server.
fn looks_elsewhere_after(pair: &mut Pair, there: &str) -> u32 {
    pair.send("m");
    for quarters in 0..4 * 200 {
        if pair.a.s.gave_up == Some(ReconnectReason::Unreachable) {
            return quarters;
        }
        for jid in to(&pair.a.out()) {
            if jid == there {
                pair.a.s.bounce(there, "m", "not-allowed");
            }
        }
        pair.a.s.pass(SECOND / 4);
    }
    panic!("it stays where it is");
}

//! Who may say what, which device is meant, and where it is reached.

use stanchion_reliability::engine::Input;
use stanchion_stanza::payload::delivery::{IdPrefix, place_of};
use stanchion_stanza::payload::disco::DiscoInfo;
use stanchion_stanza::{Limits, Payload as _, Scope, codec::parse_element};

use crate::pair::{Pair, said, says};
use crate::script::{SECOND, Script, between};

/// To whom each of these goes.
fn to(sent: &[String]) -> Vec<String> {
    sent.iter().map(|xml| between(xml, "to='", "'")).collect()
}

fn addresses(list: &[&str]) -> Input {
    Input::Addresses(list.iter().map(|jid| jid.parse().unwrap()).collect())
}

#[test]
fn answers_count_from_a_registered_address_alone() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    for xml in pair.a.out() {
        pair.reaches_b(&xml);
    }
    let answer = pair.b.out().swap_remove(0);
    for liar in ["eve@y/1", "y", "bob@x/1", "anna@x/1"] {
        pair.a.take(liar, &answer);
    }
    assert_eq!(pair.a.outcomes, []);
    pair.reaches_a(&answer);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn an_answer_of_another_device_of_the_account_does_not_count() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    for xml in pair.a.out() {
        pair.reaches_b(&xml);
    }
    let answer = pair.b.out().swap_remove(0);
    let at = said(&answer, "at");
    let (_, store) = at.split_once('.').unwrap();
    pair.reaches_a(&answer.replace(&at, &format!("another.{store}")));
    assert_eq!(pair.a.outcomes, []);
    pair.reaches_a(&answer);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn a_verdict_on_another_id_or_epoch_does_not_count() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    for xml in pair.a.out() {
        pair.reaches_b(&xml);
    }
    let answer = pair.b.out().swap_remove(0);
    let (id, epoch) = (between(&answer, " i='", "'"), said(&answer, "e"));
    pair.reaches_a(&answer.replace(&id, "AAAAAAAAAAA"));
    pair.reaches_a(&answer.replace(&epoch, "1.AAAAAA"));
    assert_eq!(pair.a.outcomes, []);
    pair.reaches_a(&answer);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn a_message_for_another_device_does_nothing() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    let sent = pair.a.out().swap_remove(0);
    let at = said(&sent, "t");
    let (_, store) = at.split_once('.').unwrap();
    pair.reaches_b(&sent.replace(&at, &format!("another.{store}")));
    assert_eq!(pair.b.out(), Vec::<String>::new());
    assert_eq!(pair.effects, Vec::<String>::new());
}

#[test]
fn another_account_cannot_speak_for_a_device() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    let sent = pair.a.out().swap_remove(0);
    pair.b.take("eve@x/1", &sent);
    pair.apply();
    assert_eq!(pair.b.out(), Vec::<String>::new());
    assert_eq!(pair.effects, Vec::<String>::new());
    pair.reaches_b(&sent);
    assert_eq!(pair.effects, ["m"]);
}

#[test]
fn a_device_keeps_its_identity_at_another_of_its_addresses() {
    let mut pair = Pair::new();
    pair.a.s.give(addresses(&["anna@x", "anna@z"]));
    pair.get_acquainted();
    pair.send("m");
    let copy = pair.a.out().swap_remove(0);
    pair.reaches_b(&copy);
    pair.b.out();
    // It fails over, and sends again from there what has no verdict.
    pair.a.jid = "anna@z/2".to_owned();
    pair.a.s.bind(false, None);
    pair.carry();
    pair.reaches_b(&copy);
    pair.carry();
    assert_eq!(pair.effects, ["m"]);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn an_answer_goes_to_the_newest_address_and_to_the_primary_one() {
    let mut pair = Pair::new();
    pair.a.s.give(addresses(&["anna@x", "anna@z"]));
    pair.get_acquainted();
    pair.send("m");
    let first = pair.a.out().swap_remove(0);
    pair.a.jid = "anna@z/2".to_owned();
    pair.send("n");
    for xml in pair.a.out() {
        pair.reaches_b(&xml);
    }
    // An older one that comes later, from elsewhere, changes nothing.
    pair.a.jid = "anna@x/1".to_owned();
    pair.reaches_b(&first);
    let answered = to(&pair.b.out());
    assert!(answered.contains(&"anna@z/2".to_owned()), "{answered:?}");
    assert!(answered.contains(&"anna@x".to_owned()), "{answered:?}");
    assert!(!answered.contains(&"anna@x/1".to_owned()), "{answered:?}");
}

#[test]
fn a_recipient_that_cannot_be_reached_is_tried_at_its_other_address() {
    let mut pair = Pair::new();
    pair.b.s.give(addresses(&["bob@y", "bob@w"]));
    pair.get_acquainted();
    pair.send("m");
    assert_eq!(to(&pair.a.out()), ["bob@y"]);
    pair.a.s.bounce("y", "m", "remote-server-not-found");
    pair.a.s.pass(10 * SECOND);
    let again = pair.a.out();
    assert!(!again.is_empty());
    assert!(to(&again).iter().all(|jid| jid == "bob@w"), "{again:?}");
    pair.b.jid = "bob@w/1".to_owned();
    pair.reaches_b(&again[0]);
    pair.carry();
    assert_eq!(pair.effects, ["m"]);
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn a_redirection_to_an_address_that_is_not_registered_is_not_followed() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    pair.a.out();
    pair.a.s.bounce("bob@y", "m", "gone");
    pair.a.s.pass(70 * SECOND);
    assert!(to(&pair.a.out()).iter().all(|jid| jid == "bob@y"));
}

#[test]
fn a_device_that_is_addressed_by_account_and_by_resource_sees_one_channel() {
    let mut pair = Pair::acquainted();
    for (n, jid) in ["bob@y/1", "bob@y", "bob@y/2", "bob@y/1"]
        .iter()
        .enumerate()
    {
        pair.a.s.send_to(jid, &format!("m{n}"), None);
        pair.carry();
    }
    assert_eq!(pair.effects, ["m0", "m1", "m2", "m3"]);
    assert_eq!(pair.a.s.engine.counters().rotations, 0);
    assert_eq!(pair.a.s.engine.counters().delivered, 5);
}

#[test]
fn a_device_that_is_addressed_by_two_of_its_accounts_sees_one_channel() {
    let mut pair = Pair::new();
    pair.b.s.give(addresses(&["bob@y", "bob@w"]));
    pair.get_acquainted();
    pair.a.s.send_to("bob@w", "m", None);
    pair.a.s.send_to("bob@y", "n", None);
    pair.carry();
    assert_eq!(pair.effects, ["m", "n"]);
    assert_eq!(pair.a.s.engine.counters().rotations, 0);
}

#[test]
fn another_device_at_a_resource_has_channels_of_its_own() {
    let mut pair = Pair::acquainted();
    let mut tv = Script::of(5, |_| {});
    tv.bind(false, None);
    let at = tv.engine.place().unwrap().to_string();
    pair.a.s.receive(&format!(
        "<presence from='bob@y/tv'><at xmlns='urn:stanchion:delivery:0' v='{at}'/></presence>"
    ));
    pair.a.s.send_to("bob@y/tv", "m", None);
    let sent = pair.a.out().swap_remove(0);
    assert_eq!(said(&sent, "t"), at);
    assert_eq!(said(&sent, "n"), "1");
}

#[test]
fn a_device_that_shows_itself_in_presence_is_named_in_the_first_message() {
    let mut pair = Pair::new();
    let at = pair.b.s.engine.place().unwrap().to_string();
    pair.a.s.receive(&format!(
        "<presence from='bob@y/1'><at xmlns='urn:stanchion:delivery:0' v='{at}'/></presence>"
    ));
    pair.send("m");
    let sent = pair.a.out();
    assert_eq!(said(&sent[0], "t"), at);
    // It speaks, so a plain receipt is not enough.
    pair.a.s.receipt("bob@y/1", "m");
    pair.a.listen();
    assert_eq!(pair.a.outcomes, []);
    pair.reaches_b(&sent[0]);
    pair.carry();
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn presence_binds_a_recipient_that_has_not_spoken() {
    let mut pair = Pair::new();
    pair.send("m");
    let first = pair.a.out();
    assert!(!first[0].contains(" t='"));
    let at = pair.b.s.engine.place().unwrap().to_string();
    pair.a.s.receive(&format!(
        "<presence from='bob@y/1'><at xmlns='urn:stanchion:delivery:0' v='{at}'/></presence>"
    ));
    pair.send("n");
    assert_eq!(said(&pair.a.out()[0], "t"), at);
}

#[test]
fn our_own_presence_names_nobody_to_send_to() {
    let mut pair = Pair::new();
    let own = pair.a.s.engine.place().unwrap().to_string();
    pair.a.s.receive(&format!(
        "<presence from='bob@y/2'><at xmlns='urn:stanchion:delivery:0' v='{own}'/></presence>"
    ));
    pair.send("m");
    let first = pair.a.out();
    assert!(!first[0].contains(" t='"), "{first:?}");
}

#[test]
fn a_message_names_a_store_only_once_that_is_durable() {
    let mut pair = Pair::new();
    pair.send("m");
    // On its way without a name, and lost.
    assert_eq!(pair.a.out().len(), 1);
    let shows = |pair: &mut Pair| {
        let at = pair.b.s.engine.place().unwrap().to_string();
        pair.a.s.receive(&format!(
            "<presence from='bob@y/1'><at xmlns='urn:stanchion:delivery:0' v='{at}'/></presence>"
        ));
        at
    };
    let backup = pair.a.s.image();
    pair.a.s.store_waits();
    let first = shows(&mut pair);
    pair.a.s.pass(20 * SECOND);
    assert_eq!(pair.a.out(), Vec::<String>::new());
    pair.a.s.store_answers();
    assert_eq!(said(&pair.a.out()[0], "t"), first);
    // Had it gone before, nobody would know to which store, and it would go to the next one
    // as well.
    pair.a.becomes(|s| s.restored(backup));
    pair.a.out();
    pair.b.becomes(Script::reinstalled);
    let next = shows(&mut pair);
    pair.a.s.pass(20 * SECOND);
    assert_ne!(next, first);
    assert_eq!(said(&pair.a.out()[0], "t"), next);
}

#[test]
fn an_answer_is_durable_before_a_message_names_the_store_that_it_came_from() {
    let mut pair = Pair::new();
    pair.send("m");
    let sent = pair.a.out();
    pair.reaches_b(&sent[0]);
    let answer = pair.b.out().pop().unwrap();
    pair.send("n");
    assert_eq!(pair.a.out().len(), 1);
    pair.a.s.store_waits();
    pair.reaches_a(&answer);
    // Neither is sent again, nor cancelled.
    pair.a.s.give(Input::Cancel { id: "n".to_owned() });
    pair.a.s.pass(20 * SECOND);
    assert_eq!(pair.a.out(), Vec::<String>::new());
    pair.a.s.store_answers();
    let at = pair.b.s.engine.place().unwrap().to_string();
    let cancel = pair.a.out().swap_remove(0);
    assert!(says(&cancel, "cancel"));
    assert_eq!(said(&cancel, "t"), at);
}

#[test]
fn presence_alone_says_nothing_of_a_store() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    let sent = pair.a.out();
    let known = said(&sent[0], "t");
    let (device, _) = known.split_once('.').unwrap();
    pair.a.s.receive(&format!(
        "<presence from='bob@y/1'><at xmlns='urn:stanchion:delivery:0' v='{device}.AAAAAAAAAAA'/></presence>"
    ));
    pair.a.listen();
    assert_eq!(pair.a.outcomes, []);
    pair.send("n");
    assert_eq!(said(&pair.a.out()[0], "t"), known);
    pair.reaches_b(&sent[0]);
    pair.carry();
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn discovery_says_which_device_this_is() {
    let mut s = Script::new();
    s.connect();
    s.receive(
        "<iq from='peer@x/1' id='1' type='get'>\
         <query xmlns='http://jabber.org/protocol/disco#info'/></iq>",
    );
    let answer = s.sent().swap_remove(0);
    let iq = parse_element(answer.as_bytes(), &Scope::client(), &Limits::default()).unwrap();
    let info = iq
        .children()
        .find(|child| DiscoInfo::matches(child))
        .unwrap();
    let info = DiscoInfo::from_element(info).unwrap();
    assert_eq!(place_of(&info).as_ref(), s.engine.place());
    assert!(info.has("urn:xmpp:receipts"));
}

#[test]
fn a_first_message_is_for_whoever_gets_it() {
    let mut pair = Pair::new();
    pair.send("m");
    let sent = pair.a.out();
    assert!(says(&sent[0], "d") && !sent[0].contains(" t='"));
    pair.reaches_b(&sent[0]);
    pair.carry();
    assert_eq!(pair.a.outcomes_of("m"), ["delivered"]);
}

#[test]
fn a_silent_recipient_is_looked_for_at_its_other_address_and_back() {
    let mut pair = Pair::new();
    pair.b.s.give(addresses(&["bob@y", "bob@z"]));
    pair.get_acquainted();
    pair.send("m");
    let mut seen = to(&pair.a.out());
    for _ in 0..40 {
        pair.a.s.pass(5 * SECOND);
        seen.extend(to(&pair.a.out()));
    }
    seen.dedup();
    assert_eq!(seen[..3], ["bob@y", "bob@z", "bob@y"], "{seen:?}");
}

#[test]
fn what_went_into_doubt_before_its_recipient_spoke_is_told_once_and_not_asked_for() {
    let mut pair = Pair::new();
    pair.send_within("m", 2 * SECOND);
    pair.pass_deaf(3 * SECOND);
    assert_eq!(pair.a.outcomes_of("m"), ["in doubt noreceipt"]);
    pair.send("hello");
    pair.carry();
    assert_eq!(pair.a.outcomes_of("hello"), ["delivered"]);
    // Its place is below `low` by now: another engine has nothing to ask about.
    pair.a.becomes(Script::crash);
    pair.pass(120 * SECOND);
    assert_eq!(pair.a.outcomes_of("m"), ["in doubt noreceipt"]);
}

#[test]
fn a_doubt_that_low_has_passed_is_not_open_again_to_the_next_process() {
    let mut pair = Pair::new();
    pair.send_within("m", 2 * SECOND);
    pair.pass_deaf(SECOND);
    // The next process finds it in its store, overdue, and nobody has spoken.
    pair.a.s.store_waits();
    pair.a.s.pass(5 * SECOND);
    pair.a.becomes(Script::crash);
    pair.send("hello");
    pair.carry();
    assert_eq!(pair.a.outcomes_of("hello"), ["delivered"]);
    pair.a.becomes(Script::crash);
    pair.pass(120 * SECOND);
    // No rotation, which would call it rolled back.
    assert_eq!(pair.a.s.engine.counters().rotations, 0);
    assert_eq!(pair.a.outcomes_of("m").len(), 1, "{:?}", pair.a.outcomes);
}

#[test]
fn a_cancel_that_comes_first_tells_the_addresses() {
    let mut pair = Pair::acquainted();
    pair.a.s.give(addresses(&["anna@x", "anna@z"]));
    pair.send("m");
    pair.a.out();
    pair.a.s.give(Input::Cancel { id: "m".to_owned() });
    let cancel = pair.a.out().swap_remove(0);
    assert!(
        says(&cancel, "cancel") && cancel.contains("anna@z"),
        "{cancel}"
    );
    pair.reaches_b(&cancel);
    pair.a.jid = "anna@z/2".to_owned();
    pair.send("n");
    pair.carry();
    assert_eq!(pair.effects, ["n"]);
}

#[test]
fn a_final_doubt_is_durable_before_it_is_told() {
    let mut pair = Pair::acquainted();
    pair.send("m");
    pair.a.out();
    pair.b.becomes(Script::reinstalled);
    pair.a.s.pass(10 * SECOND);
    for xml in pair.a.out() {
        pair.reaches_b(&xml);
    }
    pair.a.s.store_waits();
    for xml in pair.b.out() {
        pair.reaches_a(&xml);
    }
    assert_eq!(pair.a.outcomes_of("m"), [""; 0]);
    pair.a.s.store_answers();
    pair.a.listen();
    assert_eq!(pair.a.outcomes_of("m"), ["in doubt peerreset"]);
}

#[test]
fn what_was_handed_over_comes_again_in_its_order() {
    let mut pair = Pair::acquainted();
    pair.commits = false;
    pair.send("m1");
    pair.send("m2");
    let sent = pair.a.out();
    // They arrive the other way round.
    pair.reaches_b(&sent[1]);
    pair.reaches_b(&sent[0]);
    let bodies = |pair: &Pair| -> Vec<String> {
        let handed = pair.b.handed.iter();
        handed.map(|(_, body, _)| body.clone()).collect()
    };
    assert_eq!(bodies(&pair), ["m1", "m2"]);
    pair.b.becomes(Script::crash);
    pair.send("m3");
    pair.carry();
    assert_eq!(bodies(&pair), ["m1", "m2", "m3"]);
}

/// Message `n` of a channel comes, whose sender is done with all below `low`.
fn comes(s: &mut Script, n: u64, low: u64) {
    s.channel_message_that(&format!("m{n}"), n, |said| {
        said.prev = (n > 1).then(|| IdPrefix::from_bits(n + 99));
        said.low = low;
    });
}

/// The application is given that message alone, and commits it.
fn is_given(s: &mut Script, body: &str) {
    let handed = s.handed();
    let bodies: Vec<&str> = handed.iter().map(|(_, body, _)| body.as_str()).collect();
    assert_eq!(bodies, [body]);
    s.commit(handed[0].0);
}

#[test]
fn what_its_sender_gave_up_comes_again_in_its_order_too() {
    for arrive in [[1, 2], [2, 1]] {
        let mut s = Script::new();
        s.connect();
        arrive.into_iter().for_each(|n| comes(&mut s, n, 1));
        // Twice the process ends, once in the midst of both: each of them is given alone.
        let mut s = s.crash();
        for (arrival, ..) in s.handed() {
            s.give(Input::Begin { arrival });
        }
        let mut s = s.crash();
        s.connect();
        comes(&mut s, 3, 3);
        ["m1", "m2", "m3"].iter().for_each(|m| is_given(&mut s, m));
    }
}

#[test]
fn a_suspect_that_waits_for_an_earlier_message_is_given_alone_too() {
    let mut s = Script::new();
    s.connect();
    // They arrive the other way round.
    comes(&mut s, 2, 1);
    comes(&mut s, 1, 1);
    s.message("other");
    let mut s = s.crash();
    let second = s.handed().into_iter().find(|(_, body, _)| body == "m2");
    s.give(Input::Begin {
        arrival: second.unwrap().0,
    });
    let mut s = s.crash();
    s.connect();
    let mut seen = Vec::new();
    loop {
        let handed = s.handed();
        if handed.is_empty() {
            break;
        }
        let bodies: Vec<String> = handed.iter().map(|(_, body, _)| body.clone()).collect();
        assert!(
            !bodies.contains(&"m2".to_owned()) || bodies.len() == 1,
            "{bodies:?}"
        );
        handed.iter().for_each(|(arrival, ..)| s.commit(*arrival));
        seen.extend(bodies);
    }
    let place = |body: &str| seen.iter().position(|b| b == body).unwrap();
    assert!(place("m1") < place("m2"), "{seen:?}");
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn what_took_effect_before_a_crash_holds_nothing_back() {
    let mut s = Script::new();
    s.connect();
    comes(&mut s, 1, 1);
    s.give(Input::CommitWith { arrival: 1 });
    let mut s = s.crash();
    s.connect();
    // Its sender is done with it, and takes back the next one, which is lost on its way.
    comes(&mut s, 3, 2);
    s.channel_cancel(2, 2);
    is_given(&mut s, "m3");
}

#[test]
fn a_message_that_is_given_again_has_no_outcome_of_its_own() {
    let mut pair = Pair::acquainted();
    pair.send_within("m", 2 * SECOND);
    pair.pass_deaf(3 * SECOND);
    pair.b.becomes(Script::reinstalled);
    pair.a.s.pass(10 * SECOND);
    for xml in pair.a.out() {
        pair.reaches_b(&xml);
    }
    pair.a.s.store_waits();
    pair.send_within("m", SECOND);
    pair.a.s.pass(2 * SECOND);
    for xml in pair.b.out() {
        pair.reaches_a(&xml);
    }
    pair.a.s.store_answers();
    pair.a.listen();
    let told = pair.a.outcomes_of("m");
    assert_eq!(told, ["in doubt noverdict", "in doubt peerreset"]);
}

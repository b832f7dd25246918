//! Requests of an account about itself, and its end (XEP-0077 §3.2).

use stanchion_stanza::stanza::{DefinedCondition, ErrorType, StanzaError};

use super::*;

/// A request of that client's was decided.
fn decided(
    bench: &mut Bench,
    connection: ConnectionId,
    answer: Result<Option<Element>, StanzaError>,
    ended: Option<&str>,
) {
    let request = "<iq type='set' id='r'><query xmlns='jabber:iq:register'/></iq>";
    let Ok(Stanza::Iq(request)) = Stanza::from_element(parse(request)) else {
        panic!("no iq");
    };
    bench.handle(Input::Account {
        connection,
        request: Box::new(request),
        answer,
        ended: ended.map(str::to_owned),
    });
}

fn befriend(bench: &mut Bench, one: (ConnectionId, &str), two: (ConnectionId, &str)) {
    for ((asks, from), (lets, to)) in [(one, two), (two, one)] {
        let ask = format!("<presence type='subscribe' to='{to}@hub.example'/>");
        bench.say(asks, &ask);
        let allow = format!("<presence type='subscribed' to='{from}@hub.example'/>");
        bench.say(lets, &allow);
    }
    bench.hear(one.0);
    bench.hear(two.0);
}

#[test]
fn a_request_that_was_decided_outside_is_answered_and_counts_as_a_stanza() {
    let mut bench = Bench::new();
    let (a, _) = bench.managed("a", "x");
    decided(&mut bench, a, Ok(None), None);
    let answer = bench.one(a);
    assert_eq!(answer.attr("type"), Some("result"));
    assert_eq!(answer.attr("to"), Some("a@hub.example/x"));
    let not_allowed = StanzaError::new(ErrorType::Cancel, DefinedCondition::NotAllowed);
    decided(&mut bench, a, Err(not_allowed.clone()), None);
    assert_eq!(error_of(&bench.one(a)), "not-allowed");
    // Its presence, and these two.
    bench.say(a, "<r xmlns='urn:xmpp:sm:3'/>");
    assert_eq!(bench.one(a).attr("h"), Some("3"));
    // Before a resource is bound, too.
    let fresh = bench.log_in("b");
    decided(&mut bench, fresh, Err(not_allowed), None);
    assert_eq!(error_of(&bench.one(fresh)), "not-allowed");
}

#[test]
fn an_account_that_ends_takes_its_sessions_subscriptions_and_messages_along() {
    let mut bench = Bench::new();
    let (a, s) = (bench.online("a", "x"), bench.online("s", "x"));
    let b = bench.online("b", "x");
    for client in [a, s, b] {
        bench.say(
            client,
            "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
        );
    }
    befriend(&mut bench, (a, "a"), (s, "s"));
    let (other, _) = bench.managed("a", "y");
    bench.lose(other);
    let unbound = bench.log_in("a");
    // It asked, and has no answer.
    bench.say(b, "<presence type='subscribe' to='a@hub.example'/>");
    bench.say(
        a,
        "<iq type='set' id='p'><pubsub xmlns='http://jabber.org/protocol/pubsub'>\
         <publish node='n'><item id='1'><v xmlns='urn:v'/></item></publish></pubsub></iq>",
    );
    bench.say(
        a,
        "<iq type='set' id='o'><block xmlns='urn:xmpp:blocking'>\
         <item jid='far.example'/></block></iq>",
    );
    bench.hear(a);
    bench.hear(s);
    // It waits for the session that hibernates; and one for nobody that takes messages.
    bench.chat(s, "a@hub.example/y", "unacknowledged");
    bench.say(a, "<presence><priority>-1</priority></presence>");
    bench.chat(s, "a@hub.example", "stored");
    bench.hear(a);
    bench.hear(s);

    decided(&mut bench, a, Ok(None), Some("a"));
    assert_eq!(bench.hear(a).last().unwrap().attr("type"), Some("result"));
    for closed in [a, unbound] {
        let condition = bench.condition(closed);
        assert_eq!(condition, Some(StreamCondition::NotAuthorized));
    }
    assert_eq!(bench.router.sessions(), 2, "those of the others");
    assert!(bench.disk.values().all(|kept| kept.account != "a"));
    assert!(bench.archived.iter().all(|message| message.account != "a"));
    assert!(bench.archived.iter().any(|message| message.account == "s"));

    let heard = bench.hear(s);
    let kinds: Vec<_> = heard
        .iter()
        .filter(|e| e.name() == "presence")
        .filter_map(|e| e.attr("type"))
        .collect();
    for kind in ["unavailable", "unsubscribe", "unsubscribed"] {
        assert!(kinds.contains(&kind), "{kinds:?}");
    }
    let mut back: Vec<_> = heard
        .iter()
        .filter(|e| e.name() == "message" && error_of(e) == "service-unavailable")
        .filter_map(|e| e.attr("id"))
        .collect();
    back.sort_unstable();
    assert_eq!(back, ["stored", "unacknowledged"]);
    bench.say(
        s,
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
    );
    let roster = bench.hear(s).pop().unwrap();
    let item = roster.children().next().unwrap().children().next().unwrap();
    assert_eq!(item.attr("subscription"), Some("none"));
    let denied = |e: &Element| e.attr("type") == Some("unsubscribed");
    assert!(bench.hear(b).iter().any(denied));

    // There is nobody of that name any more.
    bench.chat(s, "a@hub.example", "late");
    assert_eq!(error_of(&bench.one(s)), "service-unavailable");
    bench.say(
        s,
        "<iq type='get' id='i' to='a@hub.example'><pubsub \
         xmlns='http://jabber.org/protocol/pubsub'><items node='n'/></pubsub></iq>",
    );
    assert_eq!(error_of(&bench.one(s)), "service-unavailable");
    let late = bench.log_in("a");
    assert_eq!(bench.condition(late), Some(StreamCondition::NotAuthorized));
}

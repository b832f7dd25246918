//! The laws of the roster and of subscriptions, by hand-fed inputs.

use super::*;
use crate::fixture::{element, now, stanza, up};
use crate::waiter::Waiter;

/// What it wants, as far as it goes.
fn wants(contacts: &mut Contacts) -> Vec<Output<RosterEvent>> {
    let mut wants = Vec::new();
    loop {
        match contacts.poll_output() {
            Output::Wait(_) => return wants,
            output => wants.push(output),
        }
    }
}

/// The requests among that, with what they hold.
fn asked(wants: &[Output<RosterEvent>]) -> Vec<(u64, Element)> {
    let asked = wants.iter().filter_map(|output| match output {
        Output::Request { tag, request } => match &request.kind {
            crate::request::RequestKind::Get(what) => Some((*tag, what.clone())),
            crate::request::RequestKind::Set(_) => None,
        },
        _ => None,
    });
    asked.collect()
}

fn events(wants: Vec<Output<RosterEvent>>) -> Vec<RosterEvent> {
    let events = wants.into_iter().filter_map(|output| match output {
        Output::Event(event) => Some(event),
        _ => None,
    });
    events.collect()
}

/// Who is sent presence of which kind.
fn sent(wants: &[Output<RosterEvent>]) -> Vec<(String, PresenceType)> {
    let sent = wants.iter().filter_map(|output| match output {
        Output::Transmit(Stanza::Presence(p)) => {
            Some((p.header.to.as_ref().unwrap().to_string(), p.kind))
        }
        _ => None,
    });
    sent.collect()
}

/// Rows as a store would have them.
fn keep(rows: &mut BTreeMap<String, Vec<u8>>, wants: &[Output<RosterEvent>]) {
    for output in wants {
        if let Output::Keep { changes, .. } = output {
            for change in changes.clone() {
                match change {
                    Change::Put { key, value } => drop(rows.insert(key, value)),
                    Change::Delete { key } => drop(rows.remove(&key)),
                    Change::History(_) => panic!("a roster has no history"),
                }
            }
        }
    }
}

fn answer(contacts: &mut Contacts, tag: u64, query: Option<&str>) {
    let answer = Ok(query.map(element));
    contacts.handle(now(1), Input::Answer { tag, answer });
}

fn versioned() -> [Element; 1] {
    [Element::new("ver", ns::ROSTER_VER)]
}

const TWO: &str = "<query xmlns='jabber:iq:roster' ver='v1'>\
    <item jid='lamp@home.example' name='Lamp' subscription='both'><group>Hall</group></item>\
    <item jid='door@home.example' subscription='to'/></query>";

/// One that knows of a lamp that sees us and of a door that does not.
fn loaded() -> (Contacts, BTreeMap<String, Vec<u8>>) {
    let (mut contacts, mut rows) = (Contacts::default(), BTreeMap::new());
    contacts.handle(now(0), Input::Up(&up(false, versioned())));
    let first = wants(&mut contacts);
    keep(&mut rows, &first);
    let (tag, query) = asked(&first).pop().unwrap();
    assert_eq!(query.attr("ver"), Some(""), "no version is known");
    answer(&mut contacts, tag, Some(TWO));
    let then = wants(&mut contacts);
    keep(&mut rows, &then);
    assert_eq!(events(then).len(), 3, "two contacts, and that they are all");
    (contacts, rows)
}

fn names(contacts: &Contacts) -> Vec<String> {
    contacts.all().iter().map(|c| c.jid.to_string()).collect()
}

fn push(contacts: &mut Contacts, from: &str, item: &str) -> Taken {
    let push = format!(
        "<iq type='set' id='p' {from}><query xmlns='jabber:iq:roster' ver='v2'>{item}</query></iq>"
    );
    contacts.handle(now(2), Input::Stanza(&stanza(&push)))
}

fn presence(contacts: &mut Contacts, kind: &str, from: &str) -> Taken {
    let presence = format!("<presence type='{kind}' from='{from}'><status>hi</status></presence>");
    contacts.handle(now(3), Input::Stanza(&stanza(&presence)))
}

#[test]
fn what_was_kept_is_asked_for_by_its_version_and_stands_if_the_server_says_so() {
    let (_, rows) = loaded();
    let mut again = Contacts::default();
    for (key, value) in &rows {
        again.restore(key, value);
    }
    assert_eq!(names(&again), ["door@home.example", "lamp@home.example"]);
    again.handle(now(0), Input::Up(&up(false, versioned())));
    let (tag, query) = asked(&wants(&mut again)).pop().unwrap();
    assert_eq!(query.attr("ver"), Some("v1"));
    let (waiter, mut ready) = Waiter::new();
    again.loaded(waiter);
    answer(&mut again, tag, None);
    assert_eq!(ready.try_recv().unwrap(), Ok(()));
    assert_eq!(names(&again), ["door@home.example", "lamp@home.example"]);
    let lamp = again.one(&"lamp@home.example".parse().unwrap()).unwrap();
    assert_eq!(lamp.groups, ["Hall"]);
    assert!(lamp.sees_us() && lamp.is_seen());
}

#[test]
fn a_row_that_cannot_be_read_makes_the_whole_be_asked_for() {
    let (_, mut rows) = loaded();
    rows.insert("contact door@home.example".to_owned(), b"<item".to_vec());
    let mut again = Contacts::default();
    for (key, value) in &rows {
        again.restore(key, value);
    }
    again.handle(now(0), Input::Up(&up(false, versioned())));
    let (_, query) = asked(&wants(&mut again)).pop().unwrap();
    assert_eq!(query.attr("ver"), Some(""));
}

#[test]
fn a_server_that_counts_no_versions_is_asked_without() {
    let mut contacts = Contacts::default();
    contacts.handle(now(0), Input::Up(&up(false, [])));
    let (tag, query) = asked(&wants(&mut contacts)).pop().unwrap();
    assert_eq!(query.attr("ver"), None);
    // Nothing is no answer there.
    answer(&mut contacts, tag, None);
    assert!(!contacts.current && contacts.retry.is_some());
}

#[test]
fn what_the_server_does_not_list_is_gone_also_from_the_store() {
    let (mut contacts, mut rows) = loaded();
    contacts.handle(now(2), Input::Up(&up(false, versioned())));
    let (tag, _) = asked(&wants(&mut contacts)).pop().unwrap();
    let one = "<query xmlns='jabber:iq:roster' ver='v3'>\
        <item jid='door@home.example' subscription='to'/></query>";
    answer(&mut contacts, tag, Some(one));
    let wants = wants(&mut contacts);
    keep(&mut rows, &wants);
    let gone = RosterEvent::Removed("lamp@home.example".parse().unwrap());
    assert_eq!(events(wants), [gone, RosterEvent::Loaded]);
    let kept: Vec<_> = rows.keys().map(String::as_str).collect();
    assert_eq!(
        kept,
        ["account", "account version", "contact door@home.example"]
    );
    assert_eq!(rows["account version"], b"v3");
}

#[test]
fn a_roster_of_many_is_told_as_a_whole_and_bounded() {
    let mut contacts = Contacts::default();
    contacts.handle(now(0), Input::Up(&up(false, versioned())));
    let (tag, _) = asked(&wants(&mut contacts)).pop().unwrap();
    let items = (0..=MOST).map(|n| Item::new(format!("u{n}@home.example").parse().unwrap()));
    let many = Query {
        ver: Some(Text::from_static("v1")),
        items: items.collect(),
    };
    let answer = Ok(Some(many.to_element()));
    contacts.handle(now(1), Input::Answer { tag, answer });
    assert_eq!(events(wants(&mut contacts)), [RosterEvent::Loaded]);
    assert_eq!(contacts.all().len(), MOST);
    assert_eq!(contacts.version, None, "not all of them are here");
    push(
        &mut contacts,
        "",
        "<item jid='one@more.example' subscription='none'/>",
    );
    assert_eq!((contacts.all().len(), &contacts.version), (MOST, &None));
    push(
        &mut contacts,
        "",
        "<item jid='u1@home.example' subscription='both'/>",
    );
    assert_eq!(contacts.version, None, "nor are they after a change");
}

#[test]
fn a_push_is_believed_from_our_own_account_alone() {
    let (mut contacts, _) = loaded();
    let remove = "<item jid='lamp@home.example' subscription='remove'/>";
    for from in ["mallory@home.example", "home.example", "me@home.example/x"] {
        let taken = push(&mut contacts, &format!("from='{from}'"), remove);
        assert_eq!(taken, Taken::No, "{from}");
    }
    assert!(wants(&mut contacts).is_empty());
    assert_eq!(names(&contacts).len(), 2);
    for from in ["", "from='me@home.example'"] {
        assert_eq!(push(&mut contacts, from, remove), Taken::Yes);
        assert_eq!(names(&contacts), ["door@home.example"]);
        let answered = wants(&mut contacts);
        assert!(answered.iter().any(|output| matches!(
            output,
            Output::Transmit(Stanza::Iq(iq)) if matches!(iq.kind, IqKind::Result(None))
        )));
    }
}

#[test]
fn a_push_changes_one_contact_and_the_version_in_one_transaction() {
    let (mut contacts, _) = loaded();
    let added = "<item jid='hall@home.example' subscription='none' ask='subscribe'/>";
    push(&mut contacts, "", added);
    let wants = wants(&mut contacts);
    let kept: Vec<_> = wants
        .iter()
        .filter_map(|output| match output {
            Output::Keep { changes, .. } => Some(changes.len()),
            _ => None,
        })
        .collect();
    assert_eq!(kept, [2]);
    let hall = contacts.one(&"hall@home.example".parse().unwrap());
    assert!(hall.is_some_and(|hall| hall.asked && !hall.sees_us()));
    assert_eq!(contacts.version.as_deref(), Some("v2"));
}

#[test]
fn a_push_before_the_answer_does_not_stand_for_what_was_missed() {
    let (mut contacts, _) = loaded();
    contacts.handle(now(2), Input::Up(&up(false, versioned())));
    push(
        &mut contacts,
        "",
        "<item jid='hall@home.example' subscription='none'/>",
    );
    assert_eq!(names(&contacts).len(), 3);
    assert_eq!(contacts.version.as_deref(), Some("v1"));
}

#[test]
fn a_push_of_two_contacts_is_refused_and_changes_nothing() {
    let (mut contacts, _) = loaded();
    let two = "<item jid='a@b' subscription='none'/><item jid='c@b' subscription='none'/>";
    assert_eq!(push(&mut contacts, "", two), Taken::Yes);
    assert_eq!(names(&contacts).len(), 2);
    assert!(matches!(
        &wants(&mut contacts)[..],
        [Output::Transmit(Stanza::Iq(iq))] if matches!(iq.kind, IqKind::Error(..))
    ));
}

#[test]
fn another_account_has_another_roster() {
    let (mut contacts, mut rows) = loaded();
    let mut other = up(false, versioned());
    other.jid = "me@plant.example/here".parse().unwrap();
    contacts.handle(now(2), Input::Up(&other));
    let wants = wants(&mut contacts);
    keep(&mut rows, &wants);
    let (_, query) = asked(&wants).pop().unwrap();
    assert_eq!(query.attr("ver"), Some(""));
    assert_eq!(events(wants), [RosterEvent::Cleared]);
    assert_eq!(rows.keys().collect::<Vec<_>>(), ["account"]);
}

#[test]
fn after_a_resumption_nothing_is_asked_and_a_lost_question_is_asked_again() {
    let (mut contacts, _) = loaded();
    contacts.handle(now(2), Input::Down);
    contacts.handle(now(3), Input::Up(&up(true, [])));
    assert!(wants(&mut contacts).is_empty());

    contacts.handle(now(4), Input::Up(&up(false, [])));
    let (tag, _) = asked(&wants(&mut contacts)).pop().unwrap();
    contacts.handle(now(5), Input::Down);
    let answer = Err(RequestError::Lost);
    contacts.handle(now(6), Input::Answer { tag, answer });
    contacts.handle(now(6), Input::Up(&up(false, [])));
    assert_eq!(asked(&wants(&mut contacts)).len(), 1);
}

#[test]
fn a_roster_that_nobody_wants_is_not_asked_for() {
    let mut contacts = Contacts::default().when_asked();
    contacts.handle(now(0), Input::Up(&up(false, [])));
    assert!(asked(&wants(&mut contacts)).is_empty());
    let (waiter, _ready) = Waiter::new();
    contacts.loaded(waiter);
    assert_eq!(asked(&wants(&mut contacts)).len(), 1);
    contacts.handle(now(1), Input::Up(&up(false, [])));
    assert!(asked(&wants(&mut contacts)).is_empty(), "it is under way");
}

#[test]
fn a_server_that_does_not_answer_is_asked_again_and_whoever_waits_is_told() {
    let mut contacts = Contacts::default();
    contacts.handle(now(0), Input::Up(&up(false, [])));
    let (tag, _) = asked(&wants(&mut contacts)).pop().unwrap();
    let (waiter, mut ready) = Waiter::new();
    contacts.loaded(waiter);
    let error = RequestError::TimedOut {
        to: None,
        within: Request::WITHIN,
    };
    let answer = Err(error.clone());
    contacts.handle(now(30), Input::Answer { tag, answer });
    assert_eq!(ready.try_recv().unwrap(), Err(error));
    let Output::Wait(Some(due)) = contacts.poll_output() else {
        panic!("it does not try again")
    };
    assert_eq!(due, now(30).monotonic + RETRY);
    contacts.handle(now(90), Input::Tick);
    assert_eq!(asked(&wants(&mut contacts)).len(), 1);
}

#[test]
fn an_order_is_given_on_the_next_stream_and_done_when_the_ping_behind_it_is_answered() {
    let mut contacts = Contacts::default();
    let (waiter, mut done) = Waiter::new();
    let lamp: BareJid = "lamp@there.example".parse().unwrap();
    contacts.order(Order::Subscribe, lamp, Some(waiter));
    assert!(sent(&wants(&mut contacts)).is_empty(), "there is no stream");
    contacts.handle(now(1), Input::Up(&up(false, [])));
    let subscribe = [("lamp@there.example".to_owned(), PresenceType::Subscribe)];
    let first = wants(&mut contacts);
    assert_eq!(sent(&first), subscribe);
    let (tag, ping) = asked(&first).pop().unwrap();
    assert!(ping.is("ping", ns::PING), "behind it, and after the roster");

    // The stream is lost, and with it perhaps the order.
    contacts.handle(now(2), Input::Down);
    let answer = Err(RequestError::Lost);
    contacts.handle(now(3), Input::Answer { tag, answer });
    assert!(sent(&wants(&mut contacts)).is_empty());
    contacts.handle(now(3), Input::Up(&up(false, [])));
    let second = wants(&mut contacts);
    assert_eq!(sent(&second), subscribe);
    let (tag, _) = asked(&second).pop().unwrap();
    assert!(done.try_recv().is_err());
    contacts.handle(
        now(4),
        Input::Answer {
            tag,
            answer: Ok(None),
        },
    );
    let last = wants(&mut contacts);
    for output in &last {
        if let Output::Keep { tag: Some(tag), .. } = output {
            contacts.handle(now(4), Input::Kept { tag: *tag });
        }
    }
    assert_eq!(done.try_recv().unwrap(), Ok(()));
    contacts.handle(now(5), Input::Up(&up(false, [])));
    assert!(sent(&wants(&mut contacts)).is_empty(), "it is done");
}

/// The process is killed after each write of the store, and the next one has a session on
/// which the server waits for an answer to a request that came later.
#[test]
fn an_order_that_was_told_to_be_done_is_not_given_by_the_next_process() {
    for durable in 0..=2 {
        let (mut contacts, mut rows) = loaded();
        let (waiter, mut done) = Waiter::new();
        contacts.order(
            Order::Approve,
            "door@home.example".parse().unwrap(),
            Some(waiter),
        );
        let given = wants(&mut contacts);
        let (tag, _) = asked(&given).pop().unwrap();
        answer(&mut contacts, tag, None);
        assert!(done.try_recv().is_err(), "its row may come back");
        let mut keeps = given;
        keeps.extend(wants(&mut contacts));
        keeps.retain(|output| matches!(output, Output::Keep { .. }));
        assert_eq!(keeps.len(), 2, "its row, and that it is gone");
        for output in keeps.into_iter().take(durable) {
            keep(&mut rows, std::slice::from_ref(&output));
            if let Output::Keep { tag: Some(tag), .. } = output {
                contacts.handle(now(2), Input::Kept { tag });
            }
        }
        let told = done.try_recv().is_ok();
        let mut next = Contacts::default();
        for (key, value) in &rows {
            next.restore(key, value);
        }
        next.handle(now(0), Input::Up(&up(true, versioned())));
        let again = !sent(&wants(&mut next)).is_empty();
        assert_eq!(
            (told, again),
            [(false, false), (false, true), (true, false)][durable]
        );
    }
}

#[test]
fn orders_whose_rows_do_not_go_are_bounded() {
    let (mut contacts, _) = loaded();
    let mut waiting = Vec::new();
    for _ in 0..256 {
        let (waiter, done) = Waiter::new();
        waiting.push(done);
        let door = "door@home.example".parse().unwrap();
        contacts.order(Order::Subscribe, door, Some(waiter));
        for (tag, _) in asked(&wants(&mut contacts)) {
            answer(&mut contacts, tag, None);
        }
    }
    assert!(waiting.iter_mut().all(|done| done.try_recv().is_err()));
    let (waiter, mut done) = Waiter::new();
    contacts.order(
        Order::Subscribe,
        "door@home.example".parse().unwrap(),
        Some(waiter),
    );
    assert_eq!(done.try_recv().unwrap(), Err(RequestError::TooMany));
}

#[test]
fn orders_that_no_server_has_taken_are_given_by_the_next_process_in_their_order() {
    let (mut contacts, mut rows) = loaded();
    contacts.handle(now(1), Input::Down);
    let door: BareJid = "door@home.example".parse().unwrap();
    for order in [Order::Unsubscribe, Order::Deny, Order::Subscribe] {
        contacts.order(order, door.clone(), Some(Waiter::new().0));
    }
    // The server asks for an answer to this one by itself.
    contacts.order(Order::Approve, door.clone(), None);
    keep(&mut rows, &wants(&mut contacts));
    let mut next = Contacts::default();
    for (key, value) in &rows {
        next.restore(key, value);
    }
    next.handle(now(0), Input::Up(&up(false, versioned())));
    let given = wants(&mut next);
    let kinds: Vec<_> = sent(&given).into_iter().map(|(_, kind)| kind).collect();
    assert_eq!(
        kinds,
        [
            PresenceType::Unsubscribe,
            PresenceType::Unsubscribed,
            PresenceType::Subscribe
        ]
    );
    // Of one more, the row is a new one.
    next.order(Order::Deny, door, Some(Waiter::new().0));
    keep(&mut rows, &wants(&mut next));
    let orders = |rows: &BTreeMap<String, Vec<u8>>| {
        rows.keys().filter(|key| key.starts_with("order ")).count()
    };
    assert_eq!(orders(&rows), 4);
    for (tag, _) in asked(&given) {
        next.handle(
            now(1),
            Input::Answer {
                tag,
                answer: Ok(None),
            },
        );
    }
    keep(&mut rows, &wants(&mut next));
    assert_eq!(orders(&rows), 1, "three are taken");

    // Another account has given none of them.
    let mut other = up(false, versioned());
    other.jid = "me@plant.example/here".parse().unwrap();
    next.handle(now(2), Input::Up(&other));
    let wants = wants(&mut next);
    assert!(sent(&wants).is_empty());
    keep(&mut rows, &wants);
    assert_eq!(orders(&rows), 0);
}

#[test]
fn approval_in_advance_is_given_only_where_it_is_offered() {
    let mut contacts = Contacts::default();
    contacts.handle(now(0), Input::Up(&up(false, [])));
    let lamp = || "lamp@there.example".parse::<BareJid>().unwrap();
    let (waiter, mut done) = Waiter::new();
    contacts.order(Order::ApproveInAdvance, lamp(), Some(waiter));
    let refused = done.try_recv().unwrap();
    assert!(matches!(refused, Err(RequestError::NotOffered { .. })));
    let offer = [Element::new("sub", ns::PRE_APPROVAL)];
    contacts.handle(now(1), Input::Up(&up(false, offer)));
    wants(&mut contacts);
    contacts.order(Order::ApproveInAdvance, lamp(), None);
    let wants = wants(&mut contacts);
    assert_eq!(
        sent(&wants),
        [("lamp@there.example".to_owned(), PresenceType::Subscribed)]
    );
}

#[test]
fn who_asks_is_decided_on_as_the_policy_says() {
    let approved = |wants: &[Output<RosterEvent>], who: &str| {
        sent(wants) == [(who.to_owned(), PresenceType::Subscribed)]
    };
    let (mut contacts, _) = loaded();
    assert_eq!(
        presence(&mut contacts, "subscribe", "a@x.example"),
        Taken::Yes
    );
    let from: BareJid = "a@x.example".parse().unwrap();
    let text = Some(Text::from_static("hi"));
    let asks = RosterEvent::Requested { from, text };
    assert_eq!(events(wants(&mut contacts)), [asks]);
    assert_eq!(contacts.requests().len(), 1);

    // A domain stands for all accounts at it, and for no other.
    contacts.set_policy(Policy::AcceptFrom(vec![
        "x.example".parse().unwrap(),
        "b@y.example".parse().unwrap(),
    ]));
    assert!(approved(&wants(&mut contacts), "a@x.example"));
    assert!(contacts.requests().is_empty());
    presence(&mut contacts, "subscribe", "b@y.example/resource");
    assert!(approved(&wants(&mut contacts), "b@y.example"));
    presence(&mut contacts, "subscribe", "c@y.example");
    assert!(sent(&wants(&mut contacts)).is_empty());
    contacts.set_policy(Policy::AcceptAll);
    assert!(approved(&wants(&mut contacts), "c@y.example"));
}

#[test]
fn who_sees_us_already_is_approved_again_whatever_the_policy() {
    let (mut contacts, _) = loaded();
    presence(&mut contacts, "subscribe", "lamp@home.example");
    let wants = wants(&mut contacts);
    assert_eq!(sent(&wants).len(), 1);
    assert!(contacts.requests().is_empty() && events(wants).is_empty());
}

#[test]
fn an_approval_that_nobody_asked_for_says_nothing() {
    let (mut contacts, _) = loaded();
    for kind in ["subscribed", "unsubscribed"] {
        assert_eq!(presence(&mut contacts, kind, "x@y.example"), Taken::Yes);
    }
    assert!(wants(&mut contacts).is_empty());
    presence(&mut contacts, "subscribed", "door@home.example");
    assert_eq!(events(wants(&mut contacts)).len(), 1);
}

#[test]
fn requests_are_bounded_and_end_when_they_are_taken_back() {
    let mut contacts = Contacts::default();
    for n in 0..=REQUESTS {
        presence(&mut contacts, "subscribe", &format!("u{n}@x.example"));
    }
    assert_eq!(contacts.requests().len(), REQUESTS);
    presence(&mut contacts, "unsubscribe", "u0@x.example");
    assert_eq!(contacts.requests().len(), REQUESTS - 1);
    presence(&mut contacts, "subscribe", "v@x.example");
    assert_eq!(contacts.requests().len(), REQUESTS);
}

#[test]
fn one_who_asks_without_end_makes_one_order() {
    let mut contacts = Contacts::new(Policy::AcceptAll);
    for _ in 0..1000 {
        presence(&mut contacts, "subscribe", "a@x.example");
    }
    contacts.handle(now(4), Input::Up(&up(false, [])));
    assert_eq!(sent(&wants(&mut contacts)).len(), 1);
}

#[test]
fn a_contact_that_sees_us_and_lets_us_see_it_is_told_of_to_all_services_once() {
    let mutual = |contacts: &mut Contacts, subscription: &str| {
        let item = format!("<item jid='new@x' subscription='{subscription}'/>");
        assert_eq!(push(contacts, "", &item), Taken::Yes);
        let mutual = wants(contacts)
            .into_iter()
            .filter_map(|output| match output {
                Output::Mutual(contact) => Some(contact.to_string()),
                _ => None,
            });
        mutual.collect::<Vec<_>>()
    };
    let (mut contacts, _) = loaded();
    assert_eq!(mutual(&mut contacts, "from"), Vec::<String>::new());
    assert_eq!(mutual(&mut contacts, "both"), ["new@x"]);
    assert_eq!(mutual(&mut contacts, "both"), Vec::<String>::new());
    // Here it is the contact that sees us from now on: its server has our presence anew.
    assert_eq!(mutual(&mut contacts, "to"), Vec::<String>::new());
    assert_eq!(mutual(&mut contacts, "both"), Vec::<String>::new());
}

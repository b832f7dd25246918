//! Where stanzas go: RFC 6121 §8, presence and rosters.

use super::*;

#[test]
fn a_message_to_the_account_goes_to_the_highest_priority_and_never_below_zero() {
    let mut bench = Bench::new();
    let sessions = [("low", 1), ("high", 5), ("also", 5), ("never", -1)].map(|(name, priority)| {
        let session = bench.bind("a", name);
        bench.say(
            session,
            &format!("<presence><priority>{priority}</priority></presence>"),
        );
        session
    });
    let s = bench.bind("s", "x");
    for session in sessions {
        bench.hear(session);
    }
    bench.chat(s, "a@hub.example", "m");
    bench.say(s, "<message type='headline' to='a@hub.example' id='h'/>");
    let got: Vec<_> = sessions.iter().map(|c| bench.ids(*c)).collect();
    assert_eq!(got, [vec!["h"], vec!["m", "h"], vec!["m", "h"], vec![]]);
    bench.chat(s, "a@hub.example/never", "direct");
    assert_eq!(
        bench.ids(sessions[3]),
        ["direct"],
        "a full address is obeyed"
    );
}

#[test]
fn messages_wait_for_an_account_that_is_away_as_their_type_says() {
    let mut bench = Bench::new();
    let s = bench.online("s", "x");
    let negative = bench.bind("a", "negative");
    bench.say(negative, "<presence><priority>-1</priority></presence>");
    let message = |kind: &str, to: &str, inside: &str| {
        format!("<message type='{kind}' to='{to}' id='{kind}'>{inside}</message>")
    };
    let to = "a@hub.example";
    let body = "<body>x</body>";
    for (kind, inside, outcome) in [
        ("chat", body, "stored"),
        ("normal", body, "stored"),
        ("unknown", body, "stored"),
        ("headline", body, "dropped"),
        ("error", body, "dropped"),
        ("groupchat", body, "service-unavailable"),
        (
            "chat",
            "<body>x</body><no-store xmlns='urn:xmpp:hints'/>",
            "service-unavailable",
        ),
        (
            "chat",
            "<paused xmlns='http://jabber.org/protocol/chatstates'/>",
            "dropped",
        ),
    ] {
        bench.say(s, &message(kind, to, inside));
        let heard = bench.hear(s);
        let stored = bench.stored("a");
        bench.disk.clear();
        let seen = match (heard.first(), stored.len()) {
            (Some(answer), 0) => error_of(answer).to_owned(),
            (None, 1) => "stored".into(),
            (None, 0) => "dropped".into(),
            other => panic!("{other:?}"),
        };
        assert_eq!(seen, outcome, "{kind} {inside}");
    }
    // To a resource that is not there.
    for (kind, outcome) in [("normal", Some("service-unavailable")), ("error", None)] {
        bench.say(s, &message(kind, "a@hub.example/gone", body));
        assert_eq!(bench.hear(s).first().map(error_of), outcome);
    }
}

#[test]
fn offline_storage_is_bounded() {
    let limits = HubLimits {
        offline_messages: 2,
        ..HubLimits::default()
    };
    let mut bench = Bench::with(limits, Vec::new());
    let s = bench.online("s", "x");
    for n in 1..=3 {
        bench.chat(s, "a@hub.example", &format!("m{n}"));
    }
    let bounce = bench.one(s);
    assert_eq!(bounce.attr("id"), Some("m3"));
    assert_eq!(bounce.attr("from"), Some("a@hub.example"));
    assert_eq!(error_of(&bounce), "resource-constraint");
}

#[test]
fn what_leads_nowhere_is_answered_with_its_reason() {
    let mut bench = Bench::new();
    let a = bench.bind("a", "one");
    for (xml, condition) in [
        (
            "<message to='nobody@hub.example' id='x'/>",
            "service-unavailable",
        ),
        ("<message to='hub.example' id='x'/>", "service-unavailable"),
        (
            "<message to='b@far.example' id='x'/>",
            "remote-server-not-found",
        ),
        (
            "<iq type='get' to='b@far.example' id='x'><q xmlns='u'/></iq>",
            "remote-server-not-found",
        ),
        (
            "<iq type='get' to='b@hub.example/r' id='x'><q xmlns='u'/></iq>",
            "service-unavailable",
        ),
        (
            "<iq type='get' to='b@hub.example' id='x'><q xmlns='u'/></iq>",
            "service-unavailable",
        ),
        (
            "<iq type='get' to='hub.example' id='x'><q xmlns='u'/></iq>",
            "service-unavailable",
        ),
        (
            "<iq type='get' id='x'><q xmlns='u'/></iq>",
            "service-unavailable",
        ),
        ("<iq type='get' id='x'/>", "bad-request"),
        ("<iq type='huh' id='x'><q xmlns='u'/></iq>", "bad-request"),
        ("<message to='a@b@c' id='x'/>", "jid-malformed"),
        (
            "<presence to='b@far.example' type='subscribe' id='x'/>",
            "remote-server-not-found",
        ),
    ] {
        bench.say(a, xml);
        let answer = bench.one(a);
        assert_eq!(error_of(&answer), condition, "{xml}");
        assert_eq!(answer.attr("id"), Some("x"), "{xml}");
        assert_eq!(answer.name(), parse(xml).name());
    }
    for silent in [
        "<iq type='result' to='b@hub.example/r' id='x'/>",
        "<iq type='error' to='nobody@hub.example' id='x'/>",
        "<message type='error' to='nobody@hub.example' id='x'/>",
        "<message type='error' to='@' id='x'/>",
        "<presence to='b@hub.example/r' id='x'/>",
        "<presence type='probe' to='b@hub.example' id='x'/>",
    ] {
        bench.say(a, silent);
        assert_eq!(bench.hear(a), [], "{silent}");
    }
}

#[test]
fn nobody_speaks_in_the_name_of_another() {
    let mut bench = Bench::new();
    let b = bench.online("b", "two");
    let a = bench.bind("a", "one");
    for own in ["a@hub.example", "a@hub.example/one"] {
        bench.say(
            a,
            &format!("<message from='{own}' to='b@hub.example' id='m'/>"),
        );
        assert_eq!(bench.one(b).attr("from"), Some("a@hub.example/one"));
    }
    bench.say(a, "<message from='c@hub.example/one' to='b@hub.example'/>");
    assert_eq!(bench.condition(a), Some(StreamCondition::InvalidFrom));
    assert!(bench.hear(b).is_empty());
}

#[test]
fn an_iq_goes_to_its_session_and_its_answer_comes_back() {
    let mut bench = Bench::new();
    let (a, b) = (bench.bind("a", "one"), bench.bind("b", "two"));
    bench.say(
        a,
        "<iq type='get' to='b@hub.example/two' id='q'><v xmlns='u'/></iq>",
    );
    let asked = bench.one(b);
    assert_eq!(asked.attr("from"), Some("a@hub.example/one"));
    bench.say(b, "<iq type='result' to='a@hub.example/one' id='q'/>");
    assert_eq!(bench.one(a).attr("from"), Some("b@hub.example/two"));
}

#[test]
fn the_hub_answers_for_itself_and_for_accounts() {
    let mut bench = Bench::new();
    let a = bench.online("a", "one");
    let ask = |bench: &mut Bench, to: &str, query: &str| {
        bench.say(a, &format!("<iq type='get' id='q'{to}>{query}</iq>"));
        bench.one(a)
    };
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let server = ask(&mut bench, " to='hub.example'", info);
    let identity = server.children().next().unwrap().children().next().unwrap();
    assert_eq!(
        (identity.attr("category"), identity.attr("type")),
        (Some("server"), Some("im"))
    );
    for own in ["", " to='a@hub.example'"] {
        let account = ask(&mut bench, own, info);
        let identity = account
            .children()
            .next()
            .unwrap()
            .children()
            .next()
            .unwrap();
        assert_eq!(identity.attr("category"), Some("account"));
    }
    let items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    let sessions = ask(&mut bench, " to='a@hub.example'", items);
    let item = sessions
        .children()
        .next()
        .unwrap()
        .children()
        .next()
        .unwrap();
    assert_eq!(item.attr("jid"), Some("a@hub.example/one"));
    for query in [
        "<ping xmlns='urn:xmpp:ping'/>",
        "<query xmlns='jabber:iq:version'/>",
    ] {
        assert_eq!(
            ask(&mut bench, " to='hub.example'", query).attr("type"),
            Some("result")
        );
    }
    // Those who do not share their presence are as good as not there.
    for to in [" to='b@hub.example'", " to='nobody@hub.example'"] {
        assert_eq!(error_of(&ask(&mut bench, to, info)), "service-unavailable");
    }
}

#[test]
fn the_server_tells_of_requests_about_accounts_where_there_are_any() {
    for registers in [true, false] {
        let config = RouterConfig {
            registers,
            ..config(HubLimits::default())
        };
        let mut bench = Bench::of(config, Vec::new());
        let a = bench.online("a", "one");
        for (of, tells) in [("hub.example", registers), ("a@hub.example", false)] {
            let query = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
            bench.say(a, &format!("<iq type='get' id='q' to='{of}'>{query}</iq>"));
            let answer = bench.one(a);
            let mut features = answer.children().next().unwrap().children();
            let told = features.any(|f| f.attr("var") == Some("jabber:iq:register"));
            assert_eq!(told, tells, "{of}, {registers}");
        }
    }
}

fn roster(bench: &mut Bench, connection: ConnectionId) -> Vec<(String, String)> {
    bench.say(
        connection,
        "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
    );
    let answer = bench.hear(connection).pop().unwrap();
    let query = answer.children().next().unwrap();
    query
        .children()
        .map(|i| {
            let get = |name| i.attr(name).unwrap_or_default().to_owned();
            (get("jid"), get("subscription"))
        })
        .collect()
}

#[test]
fn two_accounts_that_subscribe_see_each_other_come_and_go() {
    let mut bench = Bench::new();
    let (a, b) = (bench.online("a", "one"), bench.online("b", "two"));
    assert_eq!(roster(&mut bench, a), []);
    assert_eq!(roster(&mut bench, b), []);
    bench.say(a, "<presence type='subscribe' to='b@hub.example'/>");
    let push = bench.one(a);
    let item = push.children().next().unwrap().children().next().unwrap();
    assert_eq!(
        (item.attr("subscription"), item.attr("ask")),
        (Some("none"), Some("subscribe"))
    );
    let request = bench.one(b);
    assert_eq!(
        (request.attr("type"), request.attr("from")),
        (Some("subscribe"), Some("a@hub.example"))
    );
    bench.say(b, "<presence type='subscribed' to='a@hub.example'/>");
    let heard = bench.hear(a);
    let kinds: Vec<_> = heard.iter().map(|e| (e.name(), e.attr("type"))).collect();
    assert_eq!(
        kinds,
        [
            ("presence", Some("subscribed")),
            ("iq", Some("set")),
            ("presence", None)
        ]
    );
    assert_eq!(heard[2].attr("from"), Some("b@hub.example/two"));
    bench.say(b, "<presence type='subscribe' to='a@hub.example'/>");
    bench.say(a, "<presence type='subscribed' to='b@hub.example'/>");
    for (connection, other) in [(a, "b@hub.example"), (b, "a@hub.example")] {
        assert_eq!(
            roster(&mut bench, connection),
            [(other.to_owned(), "both".to_owned())]
        );
    }
    bench.close(b);
    let gone = bench.one(a);
    assert_eq!(
        (gone.attr("type"), gone.attr("from")),
        (Some("unavailable"), Some("b@hub.example/two"))
    );
    let b = bench.bind("b", "two");
    bench.say(b, "<presence><show>away</show></presence>");
    let froms: Vec<_> = bench
        .hear(b)
        .iter()
        .map(|e| e.attr("from").unwrap().to_owned())
        .collect();
    assert_eq!(froms, ["b@hub.example/two", "a@hub.example/one"]);
    assert!(
        bench
            .one(a)
            .child("show", stanchion_stanza::ns::CLIENT)
            .is_some()
    );
    // The end of it.
    bench.say(
        a,
        "<iq type='set' id='x'><query xmlns='jabber:iq:roster'>\
        <item jid='b@hub.example' subscription='remove'/></query></iq>",
    );
    bench.hear(a);
    assert_eq!(roster(&mut bench, a), []);
    assert_eq!(
        roster(&mut bench, b),
        [("a@hub.example".to_owned(), "none".to_owned())]
    );
    bench.close(b);
    assert_eq!(bench.hear(a), [], "no longer seen");
}

#[test]
fn a_request_waits_for_its_contact_and_can_be_refused() {
    let mut bench = Bench::new();
    let a = bench.online("a", "one");
    roster(&mut bench, a);
    bench.say(a, "<presence type='subscribe' to='b@hub.example'/>");
    bench.hear(a);
    let b = bench.bind("b", "two");
    bench.say(b, "<presence/>");
    assert_eq!(bench.hear(b)[1].attr("type"), Some("subscribe"));
    bench.say(b, "<presence type='unsubscribed' to='a@hub.example'/>");
    assert_eq!(bench.hear(a)[0].attr("type"), Some("unsubscribed"));
    bench.say(a, "<presence type='subscribe' to='nobody@hub.example'/>");
    let kinds: Vec<_> = bench
        .hear(a)
        .iter()
        .filter_map(|e| e.attr("type").map(String::from))
        .collect();
    assert_eq!(kinds, ["set", "unsubscribed", "set"]);
    // Nobody is made a subscriber who did not ask.
    bench.say(b, "<presence type='subscribed' to='a@hub.example'/>");
    assert_eq!(bench.hear(a), []);
}

#[test]
fn roster_changes_are_pushed_to_all_who_asked_and_checked() {
    let mut bench = Bench::new();
    let (one, two) = (bench.bind("a", "one"), bench.bind("a", "two"));
    roster(&mut bench, one);
    let set = |item: &str| {
        format!("<iq type='set' id='x'><query xmlns='jabber:iq:roster'>{item}</query></iq>")
    };
    bench.say(
        two,
        &set("<item jid='friend@far.example' name='F'><group>G</group></item>"),
    );
    assert_eq!(
        bench.one(two).attr("type"),
        Some("result"),
        "it has not asked for the roster"
    );
    let push = bench.one(one);
    assert_eq!(push.attr("to"), Some("a@hub.example/one"));
    let item = push.children().next().unwrap().children().next().unwrap();
    assert_eq!(
        (item.attr("jid"), item.attr("name")),
        (Some("friend@far.example"), Some("F"))
    );
    for (item, condition) in [
        ("", "bad-request"),
        ("<item/>", "bad-request"),
        ("<item jid='@'/>", "bad-request"),
        ("<item jid='x@y'/><item jid='z@y'/>", "bad-request"),
        (
            "<item jid='x@y'><group>G</group><group>G</group></item>",
            "bad-request",
        ),
        ("<item jid='x@y'><group/></item>", "not-acceptable"),
        ("<item jid='a@hub.example'/>", "not-allowed"),
        ("<item jid='x@y' subscription='remove'/>", "item-not-found"),
    ] {
        bench.say(two, &set(item));
        assert_eq!(error_of(&bench.one(two)), condition, "{item}");
    }
    assert_eq!(bench.hear(one), []);
}

#[test]
fn who_was_shown_presence_directly_is_told_of_its_end() {
    let mut bench = Bench::new();
    let (a, b) = (bench.bind("a", "one"), bench.online("b", "two"));
    bench.say(a, "<presence to='b@hub.example/two'/>");
    assert_eq!(bench.one(b).attr("from"), Some("a@hub.example/one"));
    bench.lose(a);
    assert_eq!(bench.one(b).attr("type"), Some("unavailable"));
}

#[test]
fn a_stanza_that_grows_too_large_on_the_way_is_refused_and_not_sent() {
    let mut bench = Bench::new();
    let (a, b) = (bench.bind("a", "one"), bench.online("b", "two"));
    // Short with a prefix, long with the declaration at each element.
    let name = "u".repeat(1000);
    let many = "<p:x/>".repeat(400);
    bench.say(
        a,
        &format!("<message to='b@hub.example' id='m'><y xmlns:p='{name}'>{many}</y></message>"),
    );
    assert_eq!(error_of(&bench.one(a)), "policy-violation");
    assert_eq!(bench.hear(b), []);
}

#[test]
fn a_roster_that_the_client_has_is_not_sent_again() {
    let mut bench = Bench::new();
    let (one, two) = (bench.bind("a", "one"), bench.bind("a", "two"));
    let get = |bench: &mut Bench, at, ver: &str| {
        let query = format!("<query xmlns='jabber:iq:roster' ver='{ver}'/>");
        bench.say(at, &format!("<iq type='get' id='r'>{query}</iq>"));
        bench.one(at).children().next().cloned()
    };
    let set = |bench: &mut Bench, item: &str| {
        let query = format!("<query xmlns='jabber:iq:roster'>{item}</query>");
        bench.say(two, &format!("<iq type='set' id='s'>{query}</iq>"));
        bench.one(two);
    };
    let version = |query: &Element| query.attr("ver").unwrap().to_owned();
    let empty = version(&get(&mut bench, one, "").unwrap());
    assert_eq!(get(&mut bench, one, &empty), None);
    set(&mut bench, "<item jid='lamp@far.example' name='Lamp'/>");
    let pushed = version(bench.one(one).children().next().unwrap());
    assert_ne!(pushed, empty);
    assert_eq!(get(&mut bench, one, &pushed), None);
    assert_eq!(version(&get(&mut bench, one, &empty).unwrap()), pushed);
    set(&mut bench, "<item jid='lamp@far.example' name='Hall'/>");
    bench.one(one);
    assert_eq!(get(&mut bench, one, &pushed).unwrap().children().count(), 1);
    set(
        &mut bench,
        "<item jid='lamp@far.example' subscription='remove'/>",
    );
    let gone = version(bench.one(one).children().next().unwrap());
    assert_eq!(gone, empty, "it is what it was");
}

/// Two accounts that see each other, each with a session that has heard so.
fn friends(bench: &mut Bench) -> (ConnectionId, ConnectionId) {
    let (a, b) = (bench.online("a", "one"), bench.online("b", "two"));
    roster(bench, a);
    roster(bench, b);
    bench.say(a, "<presence type='subscribe' to='b@hub.example'/>");
    bench.say(b, "<presence type='subscribed' to='a@hub.example'/>");
    bench.say(b, "<presence type='subscribe' to='a@hub.example'/>");
    bench.say(a, "<presence type='subscribed' to='b@hub.example'/>");
    bench.hear(a);
    bench.hear(b);
    (a, b)
}

fn order(bench: &mut Bench, at: ConnectionId, order: &str, items: &str) -> Vec<Element> {
    let order = format!("<{order} xmlns='urn:xmpp:blocking'>{items}</{order}>");
    bench.say(at, &format!("<iq type='set' id='o'>{order}</iq>"));
    bench.hear(at)
}

#[test]
fn who_is_blocked_is_not_heard_and_hears_that_nobody_is_there() {
    let mut bench = Bench::new();
    let (a, b) = friends(&mut bench);
    let item = "<item jid='b@hub.example'/>";
    let answer = order(&mut bench, a, "block", item);
    assert_eq!(answer.len(), 1, "who has not asked gets no push");
    assert_eq!(answer[0].attr("type"), Some("result"));
    let gone = bench.one(b);
    assert_eq!(gone.attr("type"), Some("unavailable"));
    assert_eq!(gone.attr("from"), Some("a@hub.example/one"));

    bench.chat(b, "a@hub.example", "m");
    assert_eq!(error_of(&bench.one(b)), "service-unavailable");
    bench.say(
        b,
        "<iq type='get' id='p' to='a@hub.example/one'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    assert_eq!(error_of(&bench.one(b)), "service-unavailable");
    bench.say(b, "<iq type='result' id='p' to='a@hub.example/one'/>");
    bench.say(b, "<presence to='a@hub.example/one'/>");
    bench.say(b, "<presence><show>away</show></presence>");
    bench.say(b, "<presence type='subscribe' to='a@hub.example'/>");
    assert_eq!(bench.hear(a), []);
    let own = bench.one(b);
    assert_eq!(
        own.attr("from"),
        own.attr("to").map(|_| "b@hub.example/two")
    );

    // Nor does one speak to whom one blocks.
    bench.chat(a, "b@hub.example", "m");
    let error = bench.one(a);
    assert_eq!(error_of(&error), "not-acceptable");
    let error = error.child("error", "jabber:client").unwrap();
    assert!(error.child("blocked", "urn:xmpp:blocking:errors").is_some());
    bench.say(a, "<presence><show>dnd</show></presence>");
    bench.one(a);
    assert_eq!(bench.hear(b), []);

    let answer = order(&mut bench, a, "unblock", item);
    assert_eq!(answer[0].attr("type"), Some("result"));
    let here = bench.one(b);
    assert_eq!(here.attr("type"), None);
    assert_eq!(here.attr("from"), Some("a@hub.example/one"));
    bench.chat(b, "a@hub.example", "m");
    assert_eq!(bench.one(a).attr("id"), Some("m"));
}

#[test]
fn the_blocked_are_listed_and_changes_pushed_to_all_who_asked() {
    let mut bench = Bench::new();
    let (one, two) = (bench.online("a", "one"), bench.bind("a", "two"));
    let list = |bench: &mut Bench| {
        bench.say(
            one,
            "<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>",
        );
        let list = bench.hear(one).pop().unwrap();
        let list = list.children().next().unwrap().clone();
        let jids = list.children().map(|i| i.attr("jid").unwrap().to_owned());
        jids.collect::<Vec<_>>()
    };
    assert_eq!(list(&mut bench), Vec::<String>::new());
    let two_items = "<item jid='b@hub.example'/><item jid='far.example'/>";
    assert_eq!(order(&mut bench, two, "block", two_items).len(), 1);
    let push = bench.one(one);
    let block = push.children().next().unwrap();
    assert_eq!((block.name(), block.children().count()), ("block", 2));
    assert_eq!(list(&mut bench), ["b@hub.example", "far.example"]);
    bench.say(
        one,
        "<message to='lamp@far.example' id='m'><body>x</body></message>",
    );
    assert_eq!(error_of(&bench.one(one)), "not-acceptable");
    // Oneself is heard whatever is blocked.
    order(&mut bench, two, "block", "<item jid='hub.example'/>");
    bench.hear(one);
    bench.say(two, "<message to='a@hub.example/one' id='own'/>");
    assert_eq!(bench.one(one).attr("id"), Some("own"));
    order(&mut bench, two, "unblock", "");
    assert_eq!(bench.one(one).children().next().unwrap().name(), "unblock");
    assert_eq!(list(&mut bench), Vec::<String>::new());
    for (name, items) in [("block", ""), ("block", "<item/>"), ("unblock", "<item/>")] {
        let answer = order(&mut bench, two, name, items);
        assert_eq!(error_of(&answer[0]), "bad-request", "{name} {items}");
    }
}

#[test]
fn who_is_blocked_is_still_blocked_after_a_restart_and_who_no_longer_is_is_not() {
    let restarted = |bench: &Bench| {
        let disk = bench.disk.values().cloned().collect();
        Bench::with(HubLimits::default(), disk)
    };
    let mut bench = Bench::new();
    let (a, _) = friends(&mut bench);
    let contacts = bench.disk.len();
    let items = "<item jid='b@hub.example'/><item jid='far.example'/>";
    order(&mut bench, a, "block", items);
    // Once more is once.
    order(&mut bench, a, "block", items);
    order(&mut bench, a, "unblock", "<item jid='far.example'/>");
    assert_eq!(bench.disk.len(), contacts + 1);

    let mut bench = restarted(&bench);
    let (a, b) = (bench.online("a", "one"), bench.online("b", "two"));
    assert_eq!((bench.hear(a), bench.hear(b)), (vec![], vec![]));
    bench.chat(b, "a@hub.example", "m");
    assert_eq!(error_of(&bench.one(b)), "service-unavailable");
    bench.say(
        a,
        "<iq type='get' id='l'><blocklist xmlns='urn:xmpp:blocking'/></iq>",
    );
    let list = bench.one(a).children().next().unwrap().clone();
    let jids: Vec<_> = list.children().map(|i| i.attr("jid")).collect();
    assert_eq!(jids, [Some("b@hub.example")]);
    order(&mut bench, a, "unblock", "");
    assert_eq!(bench.disk.len(), contacts);
    let mut bench = restarted(&bench);
    let (a, b) = (bench.online("a", "one"), bench.online("b", "two"));
    bench.hear(a);
    bench.chat(b, "a@hub.example", "m");
    assert_eq!(bench.one(a).attr("id"), Some("m"));
}

#[test]
fn a_record_of_whom_nobody_blocks_or_that_is_none_goes() {
    let mut bench = Bench::new();
    let a = bench.online("a", "one");
    order(&mut bench, a, "block", "<item jid='far.example'/>");
    let mut disk: Vec<_> = bench.disk.values().cloned().collect();
    let kept = disk[0].clone();
    disk.push(StoredMessage {
        id: StoredId(100),
        account: "nobody".to_owned(),
        ..kept.clone()
    });
    disk.push(StoredMessage {
        id: StoredId(101),
        stanza: b"<blocked xmlns='urn:x' jid='b@hub.example'/>".to_vec(),
        ..kept.clone()
    });
    // Of two, one is enough.
    disk.push(StoredMessage {
        id: StoredId(102),
        ..kept
    });
    let mut bench = Bench::with(HubLimits::default(), disk);
    bench.handle(Input::Tick);
    let left: Vec<_> = bench.disk.keys().copied().collect();
    assert_eq!(left, [StoredId(102)]);
}

#[test]
fn rosters_and_requests_are_there_after_a_restart_and_what_is_gone_is_gone() {
    fn roster(bench: &mut Bench, who: ConnectionId) -> Vec<(String, String)> {
        bench.hear(who);
        bench.say(
            who,
            "<iq type='get' id='r'><query xmlns='jabber:iq:roster'/></iq>",
        );
        let answer = bench.one(who);
        let query = answer.children().next().unwrap().clone();
        let text = |e: &Element, name| e.attr(name).unwrap_or_default().to_owned();
        let items = query.children().map(|item| {
            let groups: Vec<_> = item.children().map(|g| g.text().into_owned()).collect();
            let (jid, how) = (text(item, "jid"), text(item, "subscription"));
            (format!("{jid} {}", groups.join(",")), how)
        });
        items.collect()
    }
    let mut bench = Bench::new();
    let (a, b) = (bench.online("a", "1"), bench.online("b", "1"));
    bench.say(a, "<presence type='subscribe' to='b@hub.example'/>");
    bench.say(b, "<presence type='subscribed' to='a@hub.example'/>");
    bench.say(a, "<presence type='subscribe' to='c@hub.example'/>");
    bench.say(
        b,
        "<iq type='set' id='s'><query xmlns='jabber:iq:roster'>\
         <item jid='a@hub.example' name='Ann'><group>Friends</group></item></query></iq>",
    );
    bench.say(
        b,
        "<iq type='set' id='t'><query xmlns='jabber:iq:roster'>\
         <item jid='s@hub.example'/></query></iq>",
    );
    bench.say(
        b,
        "<iq type='set' id='u'><query xmlns='jabber:iq:roster'>\
         <item jid='s@hub.example' subscription='remove'/></query></iq>",
    );
    let before = (roster(&mut bench, a), roster(&mut bench, b));
    assert_eq!(before.1, [("a@hub.example Friends".into(), "from".into())]);

    let disk: Vec<_> = bench.disk.values().cloned().collect();
    // Of each contact one record, and one of who asks.
    assert_eq!(disk.len(), 4, "{disk:?}");
    let mut bench = Bench::with(HubLimits::default(), disk);
    let (a, b) = (bench.online("a", "1"), bench.online("b", "1"));
    let after = (roster(&mut bench, a), roster(&mut bench, b));
    assert_eq!(after, before);
    bench.hear(a);
    bench.say(b, "<presence><show>dnd</show></presence>");
    assert_eq!(bench.hear(a).len(), 1, "a sees b as before");
    let c = bench.bind("c", "1");
    bench.say(c, "<presence/>");
    let asks = bench.hear(c);
    let asks = asks.iter().find(|e| e.attr("type") == Some("subscribe"));
    assert_eq!(asks.and_then(|e| e.attr("from")), Some("a@hub.example"));
}

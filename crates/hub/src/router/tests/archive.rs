//! Archives (XEP-0313, XEP-0441) and carbons (XEP-0280).

use super::*;

const MAM: &str = "urn:xmpp:mam:2";

/// The bodies of a page and its end; what was refused.
fn query(bench: &mut Bench, at: ConnectionId, fields: &str, page: &str) -> (Vec<String>, Element) {
    bench.hear(at);
    let form = match fields {
        "" => String::new(),
        fields => format!(
            "<x xmlns='jabber:x:data' type='submit'><field var='FORM_TYPE'>\
             <value>{MAM}</value></field>{fields}</x>"
        ),
    };
    bench.say(
        at,
        &format!(
            "<iq type='set' id='q'><query xmlns='{MAM}' queryid='k'>{form}\
             <set xmlns='http://jabber.org/protocol/rsm'>{page}</set></query></iq>"
        ),
    );
    let mut heard = bench.hear(at);
    let answer = heard.pop().unwrap();
    let bodies = heard.iter().map(|message| {
        let result = message.child("result", MAM).unwrap();
        assert_eq!(result.attr("queryid"), Some("k"));
        let forwarded = result.child("forwarded", "urn:xmpp:forward:0").unwrap();
        assert!(forwarded.child("delay", "urn:xmpp:delay").is_some());
        let inner = forwarded.child("message", "jabber:client").unwrap();
        let body = inner.child("body", "jabber:client").unwrap();
        body.text().into_owned()
    });
    (bodies.collect(), answer)
}

fn ends(answer: &Element) -> (bool, String, String) {
    let fin = answer.child("fin", MAM).unwrap();
    let set = fin.child("set", "http://jabber.org/protocol/rsm").unwrap();
    let text = |name| {
        let end = set.child(name, "http://jabber.org/protocol/rsm");
        end.map(|e| e.text().into_owned()).unwrap_or_default()
    };
    (
        fin.attr("complete") == Some("true"),
        text("first"),
        text("last"),
    )
}

#[test]
fn both_sides_find_in_their_archive_what_was_said_page_by_page() {
    let mut bench = Bench::new();
    let (a, s) = (bench.online("a", "x"), bench.online("s", "x"));
    for n in 0..5 {
        bench.chat(s, "a@hub.example", &format!("m{n}"));
        bench.advance(1);
    }
    bench.chat(a, "s@hub.example/x", "answer");
    bench.chat(a, "nobody@hub.example", "astray");
    let (bodies, answer) = query(&mut bench, s, "", "");
    assert_eq!(bodies, ["m0", "m1", "m2", "m3", "m4", "answer"]);
    assert!(ends(&answer).0);
    let with = "<field var='with'><value>s@hub.example</value></field>";
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = format!("<max>4</max>{after}");
        let (bodies, answer) = query(&mut bench, a, with, &page);
        seen.extend(bodies);
        let (complete, _, last) = ends(&answer);
        if complete {
            break;
        }
        after = format!("<after>{last}</after>");
    }
    assert_eq!(seen, ["m0", "m1", "m2", "m3", "m4", "answer"]);
    let (bodies, answer) = query(&mut bench, a, "", "<max>2</max><before/>");
    assert_eq!(bodies, ["answer", "astray"]);
    let (complete, first, _) = ends(&answer);
    assert!(!complete);
    let (bodies, _) = query(
        &mut bench,
        a,
        "",
        &format!("<max>2</max><before>{first}</before>"),
    );
    assert_eq!(bodies, ["m3", "m4"]);
}

#[test]
fn times_narrow_a_query_and_what_the_archive_does_not_know_is_refused() {
    let mut bench = Bench::new();
    let (a, s) = (bench.online("a", "x"), bench.online("s", "x"));
    for n in 0..5 {
        bench.chat(s, "a@hub.example", &format!("m{n}"));
        bench.advance(10);
    }
    // The bench's clock begins at 2023-11-14T22:13:20Z.
    let between = "<field var='start'><value>2023-11-14T22:13:30Z</value></field>\
                   <field var='end'><value>2023-11-14T22:13:40Z</value></field>";
    assert_eq!(query(&mut bench, a, between, "").0, ["m1", "m2"]);
    for (fields, page, condition) in [
        (
            "<field var='start'><value>yesterday</value></field>",
            "",
            "bad-request",
        ),
        (
            "<field var='mood'><value>x</value></field>",
            "",
            "feature-not-implemented",
        ),
        (
            "<field var='after-id'><value>x</value></field>",
            "",
            "feature-not-implemented",
        ),
        ("", "<after>unknown</after>", "item-not-found"),
        ("", "<before>ff</before>", "item-not-found"),
        ("", "<index>3</index>", "feature-not-implemented"),
    ] {
        let (bodies, answer) = query(&mut bench, a, fields, page);
        assert_eq!(
            (bodies.len(), error_of(&answer)),
            (0, condition),
            "{fields}{page}"
        );
    }
}

#[test]
fn nobody_reads_the_archive_of_another_nor_writes_into_it() {
    let mut bench = Bench::new();
    let (a, s) = (bench.online("a", "x"), bench.online("s", "x"));
    bench.chat(s, "a@hub.example", "secret");
    let foreign = format!("<iq type='set' id='q' to='a@hub.example'><query xmlns='{MAM}'/></iq>");
    bench.say(s, &foreign);
    assert_eq!(error_of(&bench.one(s)), "service-unavailable");
    bench.hear(a);
    bench.say(
        s,
        "<message to='a@hub.example' type='chat' id='f'><body>forged</body>\
         <stanza-id xmlns='urn:xmpp:sid:0' by='a@hub.example' id='1'/></message>",
    );
    let got = bench.one(a);
    let ids: Vec<_> = got.children().filter(|c| c.name() == "stanza-id").collect();
    assert_eq!(ids.len(), 1, "{got:?}");
    let id = ids[0].attr("id").unwrap();
    assert_ne!(id, "1");
    assert_eq!(
        query(&mut bench, a, "", &format!("<after>{id}</after>"))
            .0
            .len(),
        0
    );
    assert_eq!(
        query(&mut bench, a, "", "<max>1</max><before/>").0,
        ["forged"]
    );
}

#[test]
fn what_was_refused_or_is_not_to_be_kept_is_not_in_the_archive() {
    let mut bench = Bench::new();
    let s = bench.online("s", "x");
    let a = bench.bind("a", "x");
    for inside in [
        "<body>b</body><no-store xmlns='urn:xmpp:hints'/>",
        "<body>b</body><no-permanent-store xmlns='urn:xmpp:hints'/>",
        "<composing xmlns='http://jabber.org/protocol/chatstates'/>",
    ] {
        bench.say(
            s,
            &format!("<message to='a@hub.example' type='chat'>{inside}</message>"),
        );
    }
    bench.say(
        s,
        "<message to='a@hub.example' type='headline'><body>b</body></message>",
    );
    assert_eq!(query(&mut bench, a, "", "").0, Vec::<String>::new());
    assert_eq!(query(&mut bench, s, "", "").0, Vec::<String>::new());
}

#[test]
fn an_archive_is_bounded_and_its_oldest_go() {
    let limits = HubLimits {
        archive_messages: 3,
        ..HubLimits::default()
    };
    let mut bench = Bench::with(limits, Vec::new());
    let (a, s) = (bench.online("a", "x"), bench.online("s", "x"));
    for n in 0..10 {
        bench.chat(s, "a@hub.example", &format!("m{n}"));
    }
    assert_eq!(query(&mut bench, a, "", "").0, ["m7", "m8", "m9"]);
}

#[test]
fn an_account_says_whose_messages_are_archived() {
    let mut bench = Bench::new();
    let (a, s) = (bench.online("a", "x"), bench.online("s", "x"));
    let b = bench.online("b", "x");
    let prefs = "<prefs xmlns='urn:xmpp:mam:2' default='never'>\
                 <always><jid>b@hub.example</jid></always><never/></prefs>";
    bench.say(a, &format!("<iq type='set' id='p'>{prefs}</iq>"));
    bench.say(
        a,
        "<iq type='get' id='g'><prefs xmlns='urn:xmpp:mam:2'/></iq>",
    );
    let answers = bench.hear(a);
    for answer in &answers {
        let prefs = answer.child("prefs", MAM).unwrap();
        assert_eq!(prefs.attr("default"), Some("never"));
    }
    assert_eq!(answers.len(), 2);
    bench.chat(s, "a@hub.example", "unwanted");
    bench.chat(b, "a@hub.example", "wanted");
    assert_eq!(query(&mut bench, a, "", "").0, ["wanted"]);
}

fn copies(bench: &mut Bench, at: ConnectionId) -> Vec<(String, String)> {
    let heard = bench.hear(at);
    let copies = heard.iter().map(|message| {
        assert_eq!(message.attr("from"), Some("a@hub.example"), "{message:?}");
        let carbon = message.children().next().unwrap();
        assert_eq!(carbon.ns(), "urn:xmpp:carbons:2", "{message:?}");
        let forwarded = carbon.child("forwarded", "urn:xmpp:forward:0").unwrap();
        let inner = forwarded.child("message", "jabber:client").unwrap();
        (
            carbon.name().to_owned(),
            inner.attr("id").unwrap().to_owned(),
        )
    });
    copies.collect()
}

fn enable(bench: &mut Bench, at: ConnectionId) {
    bench.say(
        at,
        "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>",
    );
    assert_eq!(bench.one(at).attr("type"), Some("result"));
}

#[test]
fn who_wants_copies_gets_one_of_each_message_that_went_past_it() {
    let mut bench = Bench::new();
    let s = bench.online("s", "x");
    let (one, two) = (bench.online("a", "one"), bench.online("a", "two"));
    let never = bench.bind("a", "plain");
    bench.hear(one);
    enable(&mut bench, two);
    bench.chat(s, "a@hub.example/one", "in");
    bench.chat(one, "s@hub.example", "out");
    assert_eq!(bench.ids(one), ["in"]);
    let both = [("received", "in"), ("sent", "out")].map(|(k, i)| (k.to_owned(), i.to_owned()));
    assert_eq!(copies(&mut bench, two), both);
    assert_eq!(bench.ids(never), Vec::<String>::new());
    bench.chat(s, "a@hub.example", "all");
    assert_eq!(bench.ids(one), ["all"]);
    assert_eq!(bench.ids(two), ["all"], "not a copy of what it has");
    for private in [
        "<private xmlns='urn:xmpp:carbons:2'/>",
        "<no-copy xmlns='urn:xmpp:hints'/>",
    ] {
        bench.say(
            s,
            &format!("<message to='a@hub.example/one' type='chat' id='p'><body>b</body>{private}</message>"),
        );
        assert_eq!(bench.ids(one), ["p"]);
        assert_eq!(bench.ids(two), Vec::<String>::new());
    }
    bench.say(
        two,
        "<iq type='set' id='c'><disable xmlns='urn:xmpp:carbons:2'/></iq>",
    );
    bench.hear(two);
    bench.chat(s, "a@hub.example/one", "in2");
    assert_eq!(bench.ids(two), Vec::<String>::new());
}

#[test]
fn a_copy_goes_with_its_session_and_takes_no_other_way() {
    let mut bench = Bench::new();
    let s = bench.online("s", "x");
    let one = bench.online("a", "one");
    let (two, _) = bench.managed("a", "two");
    enable(&mut bench, two);
    bench.lose(two);
    bench.chat(s, "a@hub.example/one", "in");
    bench.hear(one);
    // The old session ends.
    bench.bind("a", "two");
    let messages = bench
        .hear(one)
        .into_iter()
        .filter(|e| e.name() == "message");
    assert_eq!(messages.count(), 0, "the copy came to the other one");
    assert_eq!(bench.stored("a"), Vec::<String>::new());
}

#[test]
fn what_one_says_to_oneself_is_archived_once() {
    let mut bench = Bench::new();
    let (one, two) = (bench.online("a", "one"), bench.online("a", "two"));
    bench.hear(one);
    enable(&mut bench, one);
    enable(&mut bench, two);
    bench.chat(one, "a@hub.example/two", "note");
    assert_eq!(bench.ids(two), ["note"]);
    assert_eq!(copies(&mut bench, one), vec![]);
    assert_eq!(query(&mut bench, one, "", "").0, ["note"]);
}

#[test]
fn an_archive_outlives_the_hub_and_goes_on_with_new_ids() {
    let mut bench = Bench::new();
    let (a, s) = (bench.online("a", "x"), bench.online("s", "x"));
    bench.chat(s, "a@hub.example", "before");
    let (_, answer) = query(&mut bench, a, "", "");
    let (_, _, last) = ends(&answer);
    let archived = std::mem::take(&mut bench.archived);
    assert_eq!(archived.len(), 2, "one for each side");
    let mut bench = Bench::new();
    // The clock was set back meanwhile.
    bench.now.wall -= Duration::from_secs(3600);
    bench.router.restore_archives(archived);
    let (a, s) = (bench.online("a", "x"), bench.online("s", "x"));
    bench.chat(s, "a@hub.example", "after");
    let (bodies, _) = query(&mut bench, a, "", &format!("<after>{last}</after>"));
    assert_eq!(bodies, ["after"]);
    assert_eq!(query(&mut bench, s, "", "").0, ["before", "after"]);
}

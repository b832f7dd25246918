//! The component: XEP-0114, and what it may do at this hub.

use super::*;

const CLOUD: &str = "cloud.example";

impl Bench {
    /// A bench whose hub has a component, which is not attached.
    fn with_component(limits: HubLimits) -> Self {
        let mut bench = Self::with(limits, Vec::new());
        assert!(bench.router.add_component(Jid::new(CLOUD).unwrap()));
        bench
    }

    /// The component attaches itself.
    fn attach(&mut self) -> ConnectionId {
        self.next += 1;
        let connection = ConnectionId(self.next);
        self.handle(Input::Attached { connection });
        connection
    }

    /// The same, and is told that it has.
    fn attached(&mut self) -> ConnectionId {
        let connection = self.attach();
        let answer = self.one(connection);
        assert!(answer.is("handshake", "jabber:component:accept"));
        assert_eq!(answer.text(), "");
        connection
    }
}

#[test]
fn stanzas_go_both_ways_with_any_address_of_the_components_domain() {
    let mut bench = Bench::with_component(HubLimits::default());
    let cloud = bench.attached();
    let a = bench.online("a", "one");
    for to in [CLOUD, "bot@cloud.example", "bot@cloud.example/x"] {
        bench.chat(a, to, "m");
        bench.say(
            a,
            &format!("<iq type='get' id='q' to='{to}'><x xmlns='y'/></iq>"),
        );
        bench.say(a, &format!("<presence id='p' to='{to}'/>"));
        let heard = bench.hear(cloud);
        assert_eq!(heard.len(), 3, "{heard:?}");
        for stanza in heard {
            assert_eq!(stanza.attr("to"), Some(to));
            assert_eq!(stanza.attr("from"), Some("a@hub.example/one"));
        }
        for xml in [
            "<message from='{to}' to='a@hub.example' id='m'><body>x</body></message>",
            "<iq type='result' id='q' from='{to}' to='a@hub.example/one'/>",
            "<presence from='{to}' to='a@hub.example' id='p'/>",
            "<presence from='{to}' to='a@hub.example/one' type='unavailable' id='u'/>",
        ] {
            bench.say(cloud, &xml.replace("{to}", to));
        }
        let heard = bench.hear(a);
        assert_eq!(heard.len(), 4, "{heard:?}");
        assert!(
            heard.iter().all(|e| e.attr("from") == Some(to)),
            "{heard:?}"
        );
    }
    // What it says waits for who is away, and who is not there is told of.
    bench.say(
        cloud,
        "<message from='cloud.example' to='b@hub.example' id='later'><body>x</body></message>",
    );
    assert_eq!(bench.stored("b"), ["later"]);
    for to in [
        "nobody@hub.example",
        "a@hub.example/other",
        "a@else.example",
    ] {
        let xml =
            format!("<iq type='get' id='q' from='x@cloud.example' to='{to}'><x xmlns='y'/></iq>");
        bench.say(cloud, &xml);
        let answer = bench.one(cloud);
        assert_eq!(answer.attr("to"), Some("x@cloud.example"));
        error_of(&answer);
    }
}

#[test]
fn a_sender_of_another_domain_ends_the_stream() {
    let forged = [
        "<message to='a@hub.example' from='b@hub.example' id='m'/>",
        "<message to='a@hub.example' from='a@hub.example' id='m'/>",
        "<message to='a@hub.example' from='hub.example' id='m'/>",
        "<message to='a@hub.example' from='x.cloud.example' id='m'/>",
        "<message to='a@hub.example' from='@' id='m'/>",
        "<message to='a@hub.example' id='m'/>",
        "<presence to='a@hub.example'/>",
    ];
    for xml in forged {
        let mut bench = Bench::with_component(HubLimits::default());
        let a = bench.online("a", "one");
        let cloud = bench.attached();
        bench.say(cloud, xml);
        assert_eq!(bench.condition(cloud), Some(StreamCondition::InvalidFrom));
        assert!(bench.hear(a).is_empty(), "{xml}");
        // Its place is free.
        bench.attached();
    }
}

#[test]
fn what_has_no_recipient_goes_back() {
    let mut bench = Bench::with_component(HubLimits::default());
    let cloud = bench.attached();
    for (name, condition) in [
        ("message", "bad-request"),
        ("presence", "bad-request"),
        ("iq type='get'", "bad-request"),
        ("iq type='get' to='@'", "jid-malformed"),
    ] {
        let xml = format!(
            "<{name} id='1' from='bot@cloud.example'><x xmlns='y'/></{}>",
            name.split(' ').next().unwrap()
        );
        bench.say(cloud, &xml);
        let answer = bench.one(cloud);
        assert_eq!(error_of(&answer), condition);
        assert_eq!(answer.attr("from"), Some("hub.example"));
        assert_eq!(answer.attr("to"), Some("bot@cloud.example"));
    }
}

#[test]
fn a_second_connection_of_the_component_is_a_conflict_and_the_first_one_stays() {
    let mut bench = Bench::with_component(HubLimits::default());
    let first = bench.attached();
    let second = bench.attach();
    assert_eq!(bench.condition(second), Some(StreamCondition::Conflict));
    assert!(bench.hear(second).is_empty());
    let a = bench.online("a", "one");
    bench.chat(a, CLOUD, "m");
    assert_eq!(bench.ids(first), ["m"]);
    bench.lose(first);
    bench.attached();
}

#[test]
fn who_writes_to_a_component_that_is_away_is_told_to_try_again() {
    let mut bench = Bench::with_component(HubLimits::default());
    let a = bench.online("a", "one");
    let ask = |bench: &mut Bench| {
        bench.chat(a, "bot@cloud.example", "m");
        bench.say(
            a,
            "<iq type='get' id='q' to='cloud.example'><x xmlns='y'/></iq>",
        );
        bench.say(a, "<presence id='p' to='cloud.example'/>");
    };
    ask(&mut bench);
    let told = |bench: &mut Bench| {
        let answers = bench.hear(a);
        let ids: Vec<_> = answers.iter().map(|e| e.attr("id").unwrap()).collect();
        assert_eq!(ids, ["m", "q"]);
        for answer in &answers {
            assert_eq!(error_of(answer), "recipient-unavailable");
            let error = answer.children().find(|c| c.name() == "error").unwrap();
            assert_eq!(error.attr("type"), Some("wait"));
        }
    };
    told(&mut bench);
    // And so it is with what it had not taken when it went.
    let cloud = bench.attached();
    bench.prompt = false;
    ask(&mut bench);
    bench.confirm(a);
    bench.prompt = true;
    bench.lose(cloud);
    told(&mut bench);
    assert_eq!(bench.router.sessions(), 1);
    assert!(bench.disk.is_empty());
}

#[test]
fn a_component_is_nobodys_account() {
    let mut bench = Bench::with_component(HubLimits::default());
    let a = bench.online("a", "one");
    let cloud = bench.attached();
    // Its address has the localpart of an account here.
    for (to, child) in [
        ("a@hub.example", "<query xmlns='jabber:iq:roster'/>"),
        ("a@hub.example", "<query xmlns='urn:xmpp:mam:2'/>"),
        (
            "a@hub.example",
            "<block xmlns='urn:xmpp:blocking'><item jid='b@hub.example'/></block>",
        ),
        (
            "a@hub.example",
            "<query xmlns='jabber:iq:roster'><item jid='b@hub.example'/></query>",
        ),
        ("a@hub.example", "<enable xmlns='urn:xmpp:carbons:2'/>"),
        ("a@hub.example", "<ping xmlns='urn:xmpp:ping'/>"),
        (
            "a@hub.example",
            "<pubsub xmlns='http://jabber.org/protocol/pubsub'><create node='n'/></pubsub>",
        ),
        ("nobody@hub.example", "<ping xmlns='urn:xmpp:ping'/>"),
    ] {
        for kind in ["get", "set"] {
            let xml =
                format!("<iq type='{kind}' id='1' from='a@cloud.example' to='{to}'>{child}</iq>");
            bench.say(cloud, &xml);
            let answer = bench.one(cloud);
            assert_eq!(error_of(&answer), "service-unavailable", "{xml}");
            assert_eq!(answer.attr("to"), Some("a@cloud.example"));
        }
    }
    assert!(bench.hear(a).is_empty());
    bench.say(cloud, "<enable xmlns='urn:xmpp:sm:3' resume='true'/>");
    assert_eq!(
        bench.condition(cloud),
        Some(StreamCondition::UnsupportedStanzaType)
    );
}

#[test]
fn what_accounts_and_the_component_say_to_each_other_is_in_the_accounts_archives_alone() {
    let mut bench = Bench::with_component(HubLimits::default());
    let a = bench.online("a", "one");
    let other = bench.online("a", "two");
    bench.hear(a);
    bench.say(
        other,
        "<iq type='set' id='c'><enable xmlns='urn:xmpp:carbons:2'/></iq>",
    );
    bench.hear(other);
    let cloud = bench.attached();
    bench.chat(a, "bot@cloud.example", "up");
    bench.say(
        cloud,
        "<message type='chat' from='bot@cloud.example' to='a@hub.example/one' id='down'><body>x</body></message>",
    );
    bench.say(
        cloud,
        "<message type='chat' from='bot@cloud.example' to='x@cloud.example' id='own'><body>x</body></message>",
    );
    let accounts: Vec<_> = bench.archived.iter().map(|m| m.account.as_str()).collect();
    assert_eq!(accounts, ["a", "a"]);
    assert_eq!(bench.ids(cloud), ["up", "own"]);
    assert_eq!(bench.hear(other).len(), 2, "carbons of both");
    assert_eq!(bench.ids(a), ["down"]);
}

#[test]
fn subscriptions_with_a_component_are_refused_both_ways() {
    let mut bench = Bench::with_component(HubLimits::default());
    let a = bench.online("a", "one");
    let cloud = bench.attached();
    bench.say(a, "<presence type='subscribe' to='cloud.example' id='1'/>");
    assert_eq!(error_of(&bench.one(a)), "feature-not-implemented");
    assert!(bench.hear(cloud).is_empty());
    bench.say(
        cloud,
        "<presence type='subscribe' from='bot@cloud.example' to='a@hub.example' id='1'/>",
    );
    let answer = bench.one(cloud);
    assert_eq!(error_of(&answer), "feature-not-implemented");
    assert_eq!(answer.attr("to"), Some("bot@cloud.example"));
    for kind in ["subscribed", "unsubscribe", "unsubscribed", "probe"] {
        let xml = format!("<presence type='{kind}' from='cloud.example' to='a@hub.example'/>");
        bench.say(cloud, &xml);
    }
    assert!(bench.hear(a).is_empty() && bench.hear(cloud).is_empty());
}

#[test]
fn a_component_hears_that_one_goes_who_told_it_that_it_came() {
    let mut bench = Bench::with_component(HubLimits::default());
    let cloud = bench.attached();
    let a = bench.online("a", "one");
    bench.say(a, "<presence to='bot@cloud.example'/>");
    bench.hear(cloud);
    bench.lose(a);
    let gone = bench.one(cloud);
    assert_eq!(gone.attr("type"), Some("unavailable"));
    assert_eq!(gone.attr("to"), Some("bot@cloud.example"));
}

#[test]
fn a_component_enters_no_room() {
    let mut bench = Bench::with_component(HubLimits::default());
    let cloud = bench.attached();
    for xml in [
        "<presence from='cloud.example' to='r@rooms.hub.example/cloud'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
        "<message type='groupchat' from='cloud.example' to='r@rooms.hub.example'><body>x</body></message>",
        "<iq type='get' id='1' from='cloud.example' to='r@rooms.hub.example'><ping xmlns='urn:xmpp:ping'/></iq>",
    ] {
        bench.say(cloud, xml);
        assert_eq!(error_of(&bench.one(cloud)), "not-allowed");
    }
    assert!(bench.disk.is_empty());
}

#[test]
fn a_blocked_component_is_not_heard() {
    let mut bench = Bench::with_component(HubLimits::default());
    let a = bench.online("a", "one");
    let cloud = bench.attached();
    bench.say(
        a,
        "<iq type='set' id='b'><block xmlns='urn:xmpp:blocking'><item jid='cloud.example'/></block></iq>",
    );
    bench.hear(a);
    bench.say(
        cloud,
        "<message from='bot@cloud.example' to='a@hub.example' id='m'><body>x</body></message>",
    );
    assert!(bench.hear(a).is_empty());
    assert_eq!(error_of(&bench.one(cloud)), "service-unavailable");
}

#[test]
fn a_component_asks_the_hub_and_publishes_and_subscribes_as_its_domain() {
    let mut bench = Bench::with_component(HubLimits::default());
    let a = bench.online("a", "one");
    let cloud = bench.attached();
    bench.say(
        a,
        "<iq type='get' id='1' to='hub.example'><query xmlns='http://jabber.org/protocol/disco#items'/></iq>",
    );
    let items = bench.one(a);
    let items = items.children().flat_map(Element::children);
    assert!(
        items
            .into_iter()
            .any(|item| item.attr("jid") == Some(CLOUD))
    );
    bench.say(
        cloud,
        "<iq type='get' id='1' from='bot@cloud.example' to='hub.example'><ping xmlns='urn:xmpp:ping'/></iq>",
    );
    let answer = bench.one(cloud);
    assert_eq!(answer.attr("type"), Some("result"));
    assert_eq!(answer.attr("to"), Some("bot@cloud.example"));

    let pubsub = |id: &str, inside: &str| {
        format!(
            "<iq type='set' id='{id}' from='cloud.example' to='pubsub.hub.example'>\
             <pubsub xmlns='http://jabber.org/protocol/pubsub'>{inside}</pubsub></iq>"
        )
    };
    bench.say(cloud, &pubsub("1", "<create node='n'/>"));
    bench.say(
        cloud,
        &pubsub("2", "<subscribe node='n' jid='cloud.example'/>"),
    );
    bench.say(
        cloud,
        &pubsub(
            "3",
            "<publish node='n'><item id='i'><x xmlns='y'/></item></publish>",
        ),
    );
    let heard = bench.hear(cloud);
    let told: Vec<_> = heard.iter().map(|e| (e.name(), e.attr("type"))).collect();
    let result = ("iq", Some("result"));
    assert!(told.contains(&("message", Some("headline"))), "{heard:?}");
    assert_eq!(
        told.iter().filter(|t| **t == result).count(),
        3,
        "{heard:?}"
    );
    // Nobody else's.
    bench.say(
        cloud,
        &pubsub("4", "<subscribe node='n' jid='a@hub.example'/>"),
    );
    error_of(&bench.one(cloud));
}

#[test]
fn a_silent_component_is_asked_and_then_given_up() {
    let mut bench = Bench::with_component(HubLimits::default());
    let cloud = bench.attached();
    bench.advance(60);
    let ping = bench.one(cloud);
    assert_eq!(ping.attr("to"), Some(CLOUD));
    bench.say(
        cloud,
        "<iq type='result' id='hub-ping' from='cloud.example' to='hub.example'/>",
    );
    bench.advance(60);
    bench.hear(cloud);
    bench.advance(30);
    assert_eq!(
        bench.condition(cloud),
        Some(StreamCondition::ConnectionTimeout)
    );
    bench.attached();
}

#[test]
fn a_component_that_does_not_read_is_given_up_and_who_wrote_to_it_is_told() {
    let limits = HubLimits {
        outbound_stanzas: 3,
        ..HubLimits::default()
    };
    let mut bench = Bench::with_component(limits);
    let cloud = bench.attached();
    // Two, lest one of them has to read more than that at once.
    let senders = [bench.online("a", "one"), bench.online("b", "one")];
    bench.prompt = false;
    for n in 0..6 {
        bench.chat(senders[n % 2], CLOUD, &format!("m{n}"));
    }
    assert_eq!(
        bench.condition(cloud),
        Some(StreamCondition::ResourceConstraint)
    );
    let told = senders.map(|sender| {
        while bench.confirm(sender) {}
        bench.ids(sender)
    });
    assert_eq!(told, [["m0", "m2", "m4"], ["m1", "m3", "m5"]]);
}

#[test]
fn a_component_has_a_domain_that_is_not_the_hubs() {
    let mut bench = Bench::new();
    for domain in ["hub.example", "rooms.hub.example", "pubsub.hub.example"] {
        assert!(
            !bench.router.add_component(Jid::new(domain).unwrap()),
            "{domain}"
        );
    }
    let a = bench.online("a", "one");
    bench.say(
        a,
        "<iq type='get' id='q' to='cloud.example'><x xmlns='y'/></iq>",
    );
    assert_eq!(error_of(&bench.one(a)), "remote-server-not-found");
    assert!(
        bench
            .router
            .add_component(Jid::new("cloud.hub.example").unwrap())
    );
}

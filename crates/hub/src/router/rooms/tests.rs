//! The rooms' laws, through the router: clients that write XML and read it.

use stanchion_stanza::Element;

use crate::limits::HubLimits;
use crate::router::ConnectionId;
use crate::router::tests::Bench;

const ROOM: &str = "hall@rooms.hub.example";
const USER: &str = "http://jabber.org/protocol/muc#user";

fn codes(presence: &Element) -> Vec<&str> {
    let user = presence.child("x", USER);
    let children = user.into_iter().flat_map(Element::children);
    let statuses = children.filter(|c| c.name() == "status");
    statuses.filter_map(|s| s.attr("code")).collect()
}

impl Bench {
    fn enter(&mut self, client: ConnectionId, nick: &str, inside: &str) -> Vec<Element> {
        self.say(
            client,
            &format!(
                "<presence to='{ROOM}/{nick}'>\
                 <x xmlns='http://jabber.org/protocol/muc'>{inside}</x></presence>"
            ),
        );
        self.hear(client)
    }

    fn ask_room(
        &mut self,
        client: ConnectionId,
        to: &str,
        kind: &str,
        inside: &str,
    ) -> Vec<Element> {
        self.say(
            client,
            &format!("<iq to='{to}' type='{kind}' id='q'>{inside}</iq>"),
        );
        self.hear(client)
    }

    /// A room that is open to all, with its owner in it.
    fn room(&mut self) -> ConnectionId {
        let owner = self.online("a", "x");
        let heard = self.enter(owner, "owner", "");
        assert_eq!(codes(&heard[0]), ["110", "201"]);
        self.ask_room(
            owner,
            ROOM,
            "set",
            "<query xmlns='http://jabber.org/protocol/muc#owner'>\
             <x xmlns='jabber:x:data' type='submit'/></query>",
        );
        owner
    }

    fn says(&mut self, client: ConnectionId, body: &str) {
        self.say(
            client,
            &format!(
                "<message to='{ROOM}' type='groupchat' id='{body}'><body>{body}</body></message>"
            ),
        );
    }

    fn page(&mut self, client: ConnectionId, set: &str) -> Vec<Element> {
        self.ask_room(
            client,
            ROOM,
            "set",
            &format!(
                "<query xmlns='urn:xmpp:mam:2' queryid='f'>\
                 <set xmlns='http://jabber.org/protocol/rsm'>{set}</set></query>"
            ),
        )
    }
}

fn condition(element: &Element) -> String {
    let error = element.children().find(|c| c.name() == "error").unwrap();
    error.children().next().unwrap().name().to_owned()
}

fn archived(heard: &[Element]) -> Vec<(String, String)> {
    let results = heard
        .iter()
        .filter_map(|m| m.child("result", "urn:xmpp:mam:2"));
    let read = |result: &Element| {
        let forwarded = result.child("forwarded", "urn:xmpp:forward:0").unwrap();
        let message = forwarded
            .children()
            .find(|c| c.name() == "message")
            .unwrap();
        let id = result.attr("id").unwrap().to_owned();
        (id, message.attr("id").unwrap().to_owned())
    };
    results.map(read).collect()
}

#[test]
fn a_new_room_is_its_makers_until_it_is_configured() {
    let mut bench = Bench::new();
    let owner = bench.online("a", "x");
    let guest = bench.online("b", "x");
    let entered = bench.enter(owner, "owner", "");
    assert_eq!(codes(&entered[0]), ["110", "201"]);
    assert_eq!(
        condition(&bench.enter(guest, "guest", "")[0]),
        "item-not-found"
    );
    bench.ask_room(
        owner,
        ROOM,
        "set",
        "<query xmlns='http://jabber.org/protocol/muc#owner'><x xmlns='jabber:x:data' type='submit'/></query>",
    );
    let heard = bench.enter(guest, "guest", "");
    let from: Vec<_> = heard
        .iter()
        .map(|e| (e.name(), e.attr("from").unwrap()))
        .collect();
    assert_eq!(
        from,
        [
            ("presence", "hall@rooms.hub.example/owner"),
            ("presence", "hall@rooms.hub.example/guest"),
            ("message", ROOM),
        ],
        "the others, oneself, the subject"
    );
    assert_eq!(codes(&heard[1]), ["110"]);
    // Real addresses are the moderators' affair.
    let item = |e: &Element| {
        e.child("x", USER)
            .unwrap()
            .child("item", USER)
            .unwrap()
            .clone()
    };
    assert_eq!(item(&heard[0]).attr("jid"), None);
    let seen = bench.hear(owner);
    assert_eq!(item(&seen[0]).attr("jid"), Some("b@hub.example/x"));
}

#[test]
fn what_is_said_is_shown_to_all_with_an_id_of_the_room_alone() {
    let mut bench = Bench::new();
    let owner = bench.room();
    let guest = bench.online("b", "x");
    bench.enter(guest, "guest", "");
    bench.hear(owner);
    bench.say(
        guest,
        &format!(
            "<message to='{ROOM}' type='groupchat' id='m'><body>x</body>\
             <stanza-id xmlns='urn:xmpp:sid:0' by='{ROOM}' id='forged'/>\
             <x xmlns='{USER}'><status code='332'/></x></message>"
        ),
    );
    for client in [owner, guest] {
        let heard = bench.hear(client);
        let ids: Vec<_> = heard[0]
            .children()
            .filter(|c| c.name() == "stanza-id")
            .collect();
        assert!(
            ids.len() == 1 && ids[0].attr("id") != Some("forged"),
            "{heard:?}"
        );
        assert!(heard[0].child("x", USER).is_none());
        assert_eq!(heard[0].attr("from"), Some("hall@rooms.hub.example/guest"));
    }
    // Who is not in it cannot.
    let stranger = bench.online("c", "x");
    bench.says(stranger, "hello");
    assert_eq!(condition(&bench.hear(stranger)[0]), "not-acceptable");
}

#[test]
fn a_newcomer_gets_as_much_history_as_it_asks_for() {
    let mut bench = Bench::new();
    let owner = bench.room();
    for n in 0..30 {
        bench.says(owner, &format!("m{n}"));
        bench.advance(1);
    }
    bench.hear(owner);
    let guest = bench.online("b", "x");
    let mut history = |limits: &str| {
        let heard = bench.enter(guest, "guest", limits);
        let said = heard.iter().filter(|e| e.attr("id").is_some());
        let ids: Vec<_> = said
            .filter_map(|e| e.attr("id").map(str::to_owned))
            .collect();
        (ids.len(), ids.first().cloned())
    };
    assert_eq!(history(""), (20, Some("m10".into())));
    assert_eq!(
        history("<history maxstanzas='3'/>"),
        (3, Some("m27".into()))
    );
    assert_eq!(history("<history maxstanzas='0'/>"), (0, None));
    assert_eq!(history("<history seconds='5'/>"), (5, Some("m25".into())));
    assert_eq!(history("<history maxchars='0'/>"), (0, None));
}

#[test]
fn the_archive_is_read_by_pages_and_by_whoever_may_enter() {
    let mut bench = Bench::new();
    let owner = bench.room();
    for n in 0..5 {
        bench.says(owner, &format!("m{n}"));
    }
    bench.hear(owner);
    let first = bench.page(owner, "<max>2</max>");
    let ids = archived(&first);
    assert_eq!(
        ids.iter().map(|(_, m)| m.as_str()).collect::<Vec<_>>(),
        ["m0", "m1"]
    );
    let next = bench.page(owner, &format!("<max>10</max><after>{}</after>", ids[1].0));
    assert_eq!(archived(&next).len(), 3);
    let fin = next.last().unwrap().child("fin", "urn:xmpp:mam:2").unwrap();
    assert_eq!(fin.attr("complete"), Some("true"));
    let last = bench.page(owner, "<max>1</max><before/>");
    assert_eq!(archived(&last)[0].1, "m4");
    let missing = bench.page(owner, "<after>none</after>");
    assert_eq!(condition(&missing[0]), "item-not-found");
    // Banned: nothing to read.
    let guest = bench.online("b", "x");
    assert_eq!(archived(&bench.page(guest, "")).len(), 5);
    bench.ask_room(
        owner,
        ROOM,
        "set",
        "<query xmlns='http://jabber.org/protocol/muc#admin'>\
         <item affiliation='outcast' jid='b@hub.example'/></query>",
    );
    assert_eq!(condition(&bench.page(guest, "")[0]), "forbidden");
    assert_eq!(condition(&bench.enter(guest, "guest", "")[0]), "forbidden");
}

#[test]
fn a_ping_to_oneself_tells_whether_one_is_in_the_room() {
    let mut bench = Bench::new();
    let owner = bench.room();
    let ping = "<ping xmlns='urn:xmpp:ping'/>";
    let to = format!("{ROOM}/owner");
    assert_eq!(
        bench.ask_room(owner, &to, "get", ping)[0].attr("type"),
        Some("result")
    );
    let guest = bench.online("b", "x");
    assert_eq!(
        condition(&bench.ask_room(guest, &to, "get", ping)[0]),
        "not-acceptable"
    );
    let nobody = format!("{ROOM}/nobody");
    assert_eq!(
        condition(&bench.ask_room(owner, &nobody, "get", ping)[0]),
        "item-not-found"
    );
}

#[test]
fn who_ends_its_session_is_out_of_all_rooms_and_a_room_of_nobody_is_gone() {
    let mut bench = Bench::new();
    let owner = bench.room();
    let guest = bench.online("b", "x");
    bench.enter(guest, "guest", "");
    bench.hear(owner);
    bench.handle(crate::router::Input::Ended {
        connection: guest,
        ending: crate::router::Ending::Closed,
    });
    let heard = bench.hear(owner);
    assert_eq!(heard[0].attr("type"), Some("unavailable"));
    // Nothing was said in it, so nothing is left of it.
    bench.say(
        owner,
        &format!("<presence type='unavailable' to='{ROOM}/owner'/>"),
    );
    let again = bench.enter(owner, "owner", "");
    assert!(again.iter().any(|e| codes(e).contains(&"201")));
    assert!(bench.disk.is_empty(), "{:?}", bench.disk);
}

#[test]
fn what_was_said_is_there_after_a_restart_and_no_more_than_the_bound() {
    let limits = HubLimits {
        room_messages: 3,
        ..HubLimits::default()
    };
    let mut bench = Bench::with(limits, Vec::new());
    let owner = bench.room();
    bench.say(
        owner,
        &format!("<message to='{ROOM}' type='groupchat'><subject>light</subject></message>"),
    );
    for n in 0..5 {
        bench.says(owner, &format!("m{n}"));
    }
    let before = archived(&bench.page(owner, ""));
    assert_eq!(
        before.iter().map(|(_, m)| m.as_str()).collect::<Vec<_>>(),
        ["m2", "m3", "m4"]
    );
    let stored: Vec<_> = bench.disk.values().cloned().collect();
    assert_eq!(stored.len(), 4, "three messages and the room");
    let mut bench = Bench::with(limits, stored);
    let owner = bench.online("a", "x");
    let entered = bench.enter(owner, "owner", "");
    assert_eq!(codes(&entered[0]), ["110"], "it is not new");
    assert_eq!(
        entered.last().unwrap().children().next().unwrap().text(),
        "light"
    );
    assert_eq!(
        archived(&bench.page(owner, "")),
        before,
        "with the same ids"
    );
    bench.says(owner, "m5");
    bench.hear(owner);
    let after = archived(&bench.page(owner, &format!("<after>{}</after>", before[2].0)));
    assert_eq!(after[0].1, "m5");
    // Destroyed, nothing of it is kept.
    bench.ask_room(
        owner,
        ROOM,
        "set",
        "<query xmlns='http://jabber.org/protocol/muc#owner'><destroy/></query>",
    );
    assert!(bench.disk.is_empty(), "{:?}", bench.disk);
}

#[test]
fn rooms_and_occupants_are_bounded() {
    let limits = HubLimits {
        rooms: 1,
        room_occupants: 1,
        ..HubLimits::default()
    };
    let mut bench = Bench::with(limits, Vec::new());
    let owner = bench.room();
    let guest = bench.online("b", "x");
    assert_eq!(
        condition(&bench.enter(guest, "guest", "")[0]),
        "service-unavailable"
    );
    bench.say(
        guest,
        "<presence to='other@rooms.hub.example/n'><x xmlns='http://jabber.org/protocol/muc'/></presence>",
    );
    assert_eq!(condition(&bench.hear(guest)[0]), "resource-constraint");
    bench.hear(owner);
}

#[test]
fn another_connection_of_the_account_takes_its_nickname_over() {
    let mut bench = Bench::new();
    let owner = bench.room();
    let guest = bench.online("b", "x");
    bench.enter(guest, "guest", "");
    bench.hear(owner);
    let again = bench.online("b", "y");
    bench.hear(guest);
    let heard = bench.enter(again, "guest", "");
    assert!(heard.iter().any(|e| codes(e) == ["110"]));
    let told = bench.hear(guest);
    assert_eq!(codes(&told[0]), ["110", "307"]);
    assert!(
        bench.hear(owner).iter().all(|e| e.attr("type").is_none()),
        "others see no gap"
    );
    assert_eq!(condition(&bench.enter(owner, "guest", "")[0]), "conflict");
}

#[test]
fn the_hub_says_where_its_rooms_are_and_they_say_what_they_are() {
    let mut bench = Bench::new();
    let owner = bench.room();
    let items = "<query xmlns='http://jabber.org/protocol/disco#items'/>";
    let info = "<query xmlns='http://jabber.org/protocol/disco#info'/>";
    let first = |heard: &[Element]| {
        let query = heard[0].children().next().unwrap();
        query
            .children()
            .next()
            .unwrap()
            .attr("jid")
            .map(str::to_owned)
    };
    let heard = bench.ask_room(owner, "hub.example", "get", items);
    assert_eq!(first(&heard).as_deref(), Some("rooms.hub.example"));
    let heard = bench.ask_room(owner, "rooms.hub.example", "get", items);
    assert_eq!(first(&heard).as_deref(), Some(ROOM));
    let heard = bench.ask_room(owner, ROOM, "get", info);
    let query = heard[0].children().next().unwrap();
    let features: Vec<_> = query.children().filter_map(|c| c.attr("var")).collect();
    assert!(
        features.contains(&"urn:xmpp:mam:2") && features.contains(&"muc_open"),
        "{features:?}"
    );
}

//! The publish/subscribe service, and nodes at accounts.

use stanchion_stanza::payload::forms::FormType;
use stanchion_stanza::payload::pubsub::{
    AccessModel, Affiliation, Answer, Condition, Event, Fault, Item, Limit, NodeConfig, Owner,
    Request,
};
use stanchion_stanza::payload::rsm::{PageRequest, Position};
use stanchion_stanza::stanza::IqKind;
use stanchion_stanza::{Iq, Message, Payload as _};

use super::*;

const SERVICE: &str = "pubsub.hub.example";

fn text(s: impl Into<String>) -> Text {
    Text::new(s).unwrap()
}

fn item(id: &str) -> Item {
    Item::of(Some(text(id)), Element::new("v", "urn:example"))
}

fn publish(node: &str, id: &str) -> Request {
    Request::Publish {
        node: text(node),
        items: vec![item(id)],
        options: None,
    }
}

fn create(node: &str, config: &NodeConfig) -> Request {
    Request::Create {
        node: Some(text(node)),
        configure: Some(config.to_form(FormType::Submit)),
    }
}

fn subscribe(node: &str, jid: &str) -> Request {
    Request::Subscribe {
        jid: jid.parse().unwrap(),
        node: Some(text(node)),
        options: None,
    }
}

fn items(node: &str, max_items: Option<u32>, ids: &[&str], page: Option<PageRequest>) -> Request {
    Request::Items {
        node: text(node),
        max_items,
        subid: None,
        ids: ids.iter().map(|id| text(*id)).collect(),
        page,
    }
}

/// What was answered.
struct Seen {
    answer: Result<Option<Element>, stanchion_stanza::stanza::StanzaError>,
}

impl Bench {
    fn ask(&mut self, who: ConnectionId, to: &str, set: bool, child: &Element) -> Seen {
        let kind = match set {
            true => IqKind::Set(child.clone()),
            false => IqKind::Get(child.clone()),
        };
        let header = stanchion_stanza::stanza::Header {
            to: Some(to.parse().unwrap()),
            id: Some(text("q")),
            ..Default::default()
        };
        let element = Iq { header, kind }.to_element();
        self.handle(Input::Element {
            connection: who,
            element,
        });
        let answers = self
            .heard(who)
            .into_iter()
            .filter_map(|stanza| match stanza {
                Stanza::Iq(iq) => Some(iq),
                _ => None,
            });
        let answer = answers.last().expect("every request is answered");
        assert_eq!(answer.header.from.unwrap().as_str(), to);
        let answer = match answer.kind {
            IqKind::Result(result) => Ok(result),
            IqKind::Error(error, _) => Err(error),
            other => panic!("{other:?}"),
        };
        Seen { answer }
    }

    fn heard(&mut self, who: ConnectionId) -> Vec<Stanza> {
        let heard = self.hear(who).into_iter();
        heard.filter_map(|e| Stanza::from_element(e).ok()).collect()
    }

    fn set(&mut self, who: ConnectionId, request: &Request) -> Seen {
        self.ask(who, SERVICE, true, &request.to_element())
    }

    fn held(&mut self, who: ConnectionId, request: &Request) -> Vec<String> {
        let seen = self.ask(who, SERVICE, false, &request.to_element());
        match Answer::from_element(&seen.answer.unwrap().unwrap()).unwrap() {
            Answer::Items { items, .. } => {
                let ids = items.into_iter().filter_map(|item| item.id);
                ids.map(Text::into_string).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    fn events(&mut self, who: ConnectionId) -> Vec<(Message, Event)> {
        let stanzas = self.heard(who).into_iter();
        let events = stanzas.filter_map(|stanza| match stanza {
            Stanza::Message(message) => {
                let event = message.payload::<Event>().unwrap()?;
                Some((message, event))
            }
            _ => None,
        });
        events.collect()
    }
}

impl Seen {
    fn done(self) {
        self.answer.unwrap();
    }

    fn refused(
        self,
    ) -> (
        stanchion_stanza::stanza::DefinedCondition,
        Option<Condition>,
    ) {
        let error = self.answer.unwrap_err();
        let fault = Fault::of(&error).map(|fault| fault.condition);
        (error.condition, fault)
    }
}

fn config(most: u64) -> NodeConfig {
    NodeConfig {
        max_items: Some(Limit::At(most)),
        ..NodeConfig::default()
    }
}

#[test]
fn a_node_keeps_its_latest_items_and_a_new_one_of_an_id_replaces_the_old() {
    let mut bench = Bench::new();
    let a = bench.online("a", "x");
    bench.set(a, &create("n", &config(3))).done();
    for id in ["1", "2", "3", "1", "4"] {
        bench.set(a, &publish("n", id)).done();
    }
    assert_eq!(bench.held(a, &items("n", None, &[], None)), ["3", "1", "4"]);
    assert_eq!(bench.held(a, &items("n", Some(2), &[], None)), ["1", "4"]);
    let some = items("n", None, &["4", "2", "3"], None);
    assert_eq!(bench.held(a, &some), ["4", "3"], "what is gone is left out");
    let page = |position| items("n", None, &[], Some(PageRequest::of(2, position)));
    assert_eq!(bench.held(a, &page(Position::First)), ["3", "1"]);
    assert_eq!(bench.held(a, &page(Position::After(text("1")))), ["4"]);
    assert_eq!(
        bench.held(a, &page(Position::Before(text("4")))),
        ["3", "1"]
    );
    assert_eq!(bench.held(a, &page(Position::Last)), ["1", "4"]);
    assert_eq!(bench.held(a, &page(Position::Index(2))), ["4"]);
    let again = bench.set(a, &create("n", &config(3))).refused();
    assert_eq!(again.0, DefinedCondition::Conflict);
    let too_much = bench.set(a, &create("m", &config(10_001))).refused();
    assert_eq!(too_much.0, DefinedCondition::NotAcceptable);
}

#[test]
fn subscribers_hear_of_items_in_order_and_nobody_else_does() {
    let mut bench = Bench::new();
    let (a, b, c) = (
        bench.online("a", "x"),
        bench.online("b", "x"),
        bench.online("c", "x"),
    );
    bench.set(a, &create("n", &config(10))).done();
    bench.set(b, &subscribe("n", "b@hub.example")).done();
    let forged = bench.set(c, &subscribe("n", "b@hub.example")).refused();
    assert_eq!(forged.1, Some(Condition::InvalidJid));
    for id in ["1", "2"] {
        bench.set(a, &publish("n", id)).done();
    }
    let retract = Request::Retract {
        node: text("n"),
        ids: vec![text("1")],
        notify: true,
    };
    bench.set(a, &retract).done();
    let heard = bench.events(b);
    let told: Vec<String> = heard
        .iter()
        .map(|(message, event)| {
            assert_eq!(message.header.from.as_ref().unwrap().as_str(), SERVICE);
            assert!(message.body().is_none());
            match event {
                Event::Items {
                    items, retracted, ..
                } => {
                    let ids = items.iter().filter_map(|item| item.id.clone());
                    let gone = retracted.iter().map(|id| text(format!("-{id}")));
                    ids.chain(gone).map(Text::into_string).collect::<String>()
                }
                other => format!("{other:?}"),
            }
        })
        .collect();
    assert_eq!(told, ["1", "2", "-1"]);
    assert!(bench.events(c).is_empty());
    let forbidden = bench.set(b, &publish("n", "3")).refused();
    assert_eq!(
        forbidden.0,
        DefinedCondition::Forbidden,
        "publishers alone publish"
    );
}

#[test]
fn a_whitelist_lets_in_whom_the_owner_lists() {
    let mut bench = Bench::new();
    let (a, b) = (bench.online("a", "x"), bench.online("b", "x"));
    let wish = NodeConfig {
        access_model: Some(AccessModel::Whitelist),
        ..NodeConfig::default()
    };
    bench.set(a, &create("n", &wish)).done();
    bench.set(a, &publish("n", "1")).done();
    let closed = bench.set(b, &subscribe("n", "b@hub.example")).refused();
    assert_eq!(closed.1, Some(Condition::ClosedNode));
    let list = |affiliation| Owner::Affiliations {
        node: text("n"),
        affiliations: vec![("b@hub.example".parse().unwrap(), affiliation)],
    };
    let own = bench.ask(b, SERVICE, true, &list(Affiliation::Owner).to_element());
    assert_eq!(
        own.refused().0,
        DefinedCondition::Forbidden,
        "nobody lists himself"
    );
    let member = list(Affiliation::Member).to_element();
    bench.ask(a, SERVICE, true, &member).done();
    assert_eq!(bench.held(b, &items("n", None, &[], None)), ["1"]);
    bench.set(b, &subscribe("n", "b@hub.example")).done();
}

#[test]
fn nodes_at_an_account_are_its_own_and_made_by_publishing() {
    let mut bench = Bench::new();
    let (a, b) = (bench.online("a", "x"), bench.online("b", "x"));
    let mood = publish("urn:example:mood", "current").to_element();
    bench.ask(a, "a@hub.example", true, &mood).done();
    bench.ask(a, "a@hub.example", true, &mood).done();
    let look = items("urn:example:mood", None, &[], None).to_element();
    let seen = bench
        .ask(a, "a@hub.example", false, &look)
        .answer
        .unwrap()
        .unwrap();
    let Answer::Items { items, .. } = Answer::from_element(&seen).unwrap() else {
        panic!("{seen:?}")
    };
    assert_eq!(items.len(), 1);
    // Who does not see the presence sees no account.
    for child in [&look, &mood] {
        let refused = bench
            .ask(b, "a@hub.example", child == &mood, child)
            .refused();
        assert_eq!(refused.0, DefinedCondition::ServiceUnavailable);
    }
}

#[test]
fn an_owner_empties_and_deletes_a_node_and_nobody_else_can() {
    let mut bench = Bench::new();
    let (a, b) = (bench.online("a", "x"), bench.online("b", "x"));
    bench.set(a, &create("n", &config(10))).done();
    bench.set(a, &publish("n", "1")).done();
    bench.set(b, &subscribe("n", "b@hub.example")).done();
    let purge = Owner::Purge { node: text("n") }.to_element();
    let delete = Owner::Delete {
        node: text("n"),
        redirect: None,
    }
    .to_element();
    for order in [&purge, &delete] {
        let refused = bench.ask(b, SERVICE, true, order).refused();
        assert_eq!(refused.0, DefinedCondition::Forbidden);
    }
    bench.ask(a, SERVICE, true, &purge).done();
    assert!(bench.held(a, &items("n", None, &[], None)).is_empty());
    bench.ask(a, SERVICE, true, &delete).done();
    let heard: Vec<_> = bench
        .events(b)
        .into_iter()
        .map(|(_, event)| event)
        .collect();
    let node = text("n");
    assert_eq!(
        heard,
        [
            Event::Purge { node: node.clone() },
            Event::Delete {
                node,
                redirect: None
            }
        ]
    );
    let gone = bench.set(a, &publish("n", "2")).refused();
    assert_eq!(gone.0, DefinedCondition::ItemNotFound);
}

#[test]
fn nodes_of_one_owner_and_sizes_have_bounds() {
    let mut bench = Bench::new();
    let a = bench.online("a", "x");
    for n in 0..256 {
        bench
            .set(a, &create(&n.to_string(), &config(10_000)))
            .done();
    }
    let more = bench.set(a, &create("more", &config(1))).refused();
    assert_eq!(more.1, Some(Condition::MaxNodesExceeded));
    // An answer holds as many as fit, the latest ones.
    let large = Element::new("v", "urn:example").with_text(text("x".repeat(50_000)));
    for n in 0..5 {
        let publish = Request::Publish {
            node: text("0"),
            items: vec![Item::of(Some(text(n.to_string())), large.clone())],
            options: None,
        };
        bench.set(a, &publish).done();
    }
    assert_eq!(bench.held(a, &items("0", None, &[], None)), ["3", "4"]);
}

// ---- over a restart -----------------------------------------------------------------

/// A hub that has what that one kept.
fn restarted(bench: &Bench) -> Bench {
    let disk = bench.disk.values().cloned().collect();
    Bench::with(HubLimits::default(), disk)
}

#[test]
fn nodes_are_there_after_a_restart_with_their_items_in_order_and_their_people() {
    let mut bench = Bench::new();
    let (a, b) = (bench.online("a", "x"), bench.online("b", "x"));
    let closed = NodeConfig {
        access_model: Some(AccessModel::Whitelist),
        title: Some(text("<Readings> & more")),
        ..config(3)
    };
    bench.set(a, &create("n", &config(10))).done();
    for id in ["z", "1", "y", "2", "z"] {
        bench.set(a, &publish("n", id)).done();
    }
    bench.set(b, &subscribe("n", "b@hub.example")).done();
    let list = |who: &str, affiliation| {
        let affiliations = vec![(who.parse().unwrap(), affiliation)];
        let node = text("n");
        Owner::Affiliations { node, affiliations }.to_element()
    };
    let member = list("b@hub.example", Affiliation::Member);
    bench.ask(a, SERVICE, true, &member).done();
    let configure = Owner::Configure {
        node: text("n"),
        form: Some(closed.to_form(FormType::Submit)),
    };
    bench.ask(a, SERVICE, true, &configure.to_element()).done();
    let mood = publish("mood", "current").to_element();
    bench.ask(a, "a@hub.example", true, &mood).done();
    // Two nodes, four items, a subscription and an affiliation.
    assert_eq!(bench.disk.len(), 8, "{:?}", bench.disk);

    let mut bench = restarted(&restarted(&bench));
    let (a, b, c) = (
        bench.online("a", "x"),
        bench.online("b", "x"),
        bench.online("c", "x"),
    );
    assert_eq!(bench.held(a, &items("n", None, &[], None)), ["y", "2", "z"]);
    let ask = Owner::Configure {
        node: text("n"),
        form: None,
    };
    let seen = bench.ask(a, SERVICE, false, &ask.to_element()).answer;
    let Ok(Owner::Configure { form, .. }) = Owner::from_element(&seen.unwrap().unwrap()) else {
        panic!("no form");
    };
    let is = NodeConfig::from_form(&form.unwrap()).unwrap();
    assert_eq!(is.title, closed.title);
    assert_eq!(is.max_items, closed.max_items);
    let refused = bench.set(c, &subscribe("n", "c@hub.example")).refused();
    assert_eq!(refused.1, Some(Condition::ClosedNode));
    let look = items("mood", None, &[], None).to_element();
    bench.ask(a, "a@hub.example", false, &look).done();
    // Who was subscribed hears of what comes, and the oldest makes room.
    bench.set(a, &publish("n", "3")).done();
    assert_eq!(bench.events(b).len(), 1);
    assert_eq!(bench.held(b, &items("n", None, &[], None)), ["2", "z", "3"]);
    assert_eq!(bench.disk.len(), 8, "{:?}", bench.disk);
}

#[test]
fn what_was_taken_from_a_node_does_not_come_back_with_a_restart() {
    let mut bench = Bench::new();
    let (a, b) = (bench.online("a", "x"), bench.online("b", "x"));
    for node in ["n", "purged", "deleted"] {
        bench.set(a, &create(node, &config(10))).done();
        bench.set(b, &subscribe(node, "b@hub.example")).done();
        bench.set(a, &publish(node, "1")).done();
        bench.set(a, &publish(node, "2")).done();
    }
    let retract = Request::Retract {
        node: text("n"),
        ids: vec![text("1")],
        notify: false,
    };
    bench.set(a, &retract).done();
    let unsubscribe = Request::Unsubscribe {
        jid: "b@hub.example".parse().unwrap(),
        node: Some(text("n")),
        subid: None,
    };
    bench.set(b, &unsubscribe).done();
    let node = text("purged");
    let purge = Owner::Purge { node }.to_element();
    bench.ask(a, SERVICE, true, &purge).done();
    let delete = Owner::Delete {
        node: text("deleted"),
        redirect: None,
    };
    bench.ask(a, SERVICE, true, &delete.to_element()).done();
    // Two nodes, an item of the one, and a subscription to the other.
    assert_eq!(bench.disk.len(), 4, "{:?}", bench.disk);

    let mut bench = restarted(&bench);
    let (a, b) = (bench.online("a", "x"), bench.online("b", "x"));
    assert_eq!(bench.held(a, &items("n", None, &[], None)), ["2"]);
    assert!(bench.held(a, &items("purged", None, &[], None)).is_empty());
    let gone = bench.set(a, &publish("deleted", "3")).refused();
    assert_eq!(gone.0, DefinedCondition::ItemNotFound);
    bench.set(a, &publish("n", "3")).done();
    assert!(bench.events(b).is_empty());
    bench.set(a, &publish("purged", "3")).done();
    assert_eq!(bench.events(b).len(), 1);
}

#[test]
fn a_hub_that_died_halfway_through_a_change_has_the_old_or_the_new() {
    let mut bench = Bench::new();
    let a = bench.online("a", "x");
    bench.set(a, &create("n", &config(2))).done();
    for id in ["1", "2"] {
        bench.set(a, &publish("n", id)).done();
    }
    let before = bench.disk.clone();
    // One takes the place of another, or of one with its id; another configuration.
    let configure = Owner::Configure {
        node: text("n"),
        form: Some(config(1).to_form(FormType::Submit)),
    };
    let changes: [(Element, &[&str], &[&str]); 3] = [
        (publish("n", "3").to_element(), &["1", "2"], &["2", "3"]),
        (publish("n", "1").to_element(), &["1", "2"], &["2", "1"]),
        (configure.to_element(), &["1", "2"], &["2"]),
    ];
    for (change, old, new) in changes {
        let disk = before.values().cloned().collect();
        let mut bench = Bench::with(HubLimits::default(), disk);
        let a = bench.online("a", "x");
        bench.log = Vec::new();
        bench.ask(a, SERVICE, true, &change).done();
        let log = std::mem::take(&mut bench.log);
        assert!(log.len() >= 2, "{log:?}");
        for written in 0..=log.len() {
            let mut disk = before.clone();
            for change in &log[..written] {
                match change {
                    Persist::Store(kept) => drop(disk.insert(kept.id, kept.clone())),
                    Persist::Remove(id) => drop(disk.remove(id)),
                    other => panic!("{other:?}"),
                }
            }
            let disk = disk.into_values().collect();
            let mut bench = Bench::with(HubLimits::default(), disk);
            let a = bench.online("a", "x");
            let held = bench.held(a, &items("n", None, &[], None));
            assert_eq!(held, if written == 0 { old } else { new }, "{written}");
            // And nothing is left of the other.
            assert_eq!(bench.disk.len(), new.len().max(held.len()) + 1);
        }
    }
}

#[test]
fn a_name_that_is_free_again_inherits_no_nodes_and_is_nobody_at_those_of_others() {
    let mut bench = Bench::new();
    let (a, b) = (bench.online("a", "x"), bench.online("b", "x"));
    bench.set(b, &create("theirs", &config(10))).done();
    let mood = publish("mood", "current").to_element();
    bench.ask(b, "b@hub.example", true, &mood).done();
    bench.set(a, &create("ours", &config(10))).done();
    bench.set(b, &subscribe("ours", "b@hub.example")).done();
    let disk = bench.disk.values().cloned().collect();
    let less = RouterConfig {
        accounts: vec!["a".to_owned()],
        ..super::config(HubLimits::default())
    };
    let mut bench = Bench::of(less, disk);
    bench.handle(Input::Registered {
        account: "b".to_owned(),
    });
    assert_eq!(bench.disk.len(), 1, "{:?}", bench.disk);
    let (a, b) = (bench.online("a", "x"), bench.online("b", "x"));
    bench.set(a, &publish("ours", "1")).done();
    assert!(bench.events(b).is_empty());
    let gone = bench.set(b, &publish("theirs", "1")).refused();
    assert_eq!(gone.0, DefinedCondition::ItemNotFound);
}

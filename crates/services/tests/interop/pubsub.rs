//! Publish/subscribe at the servers' components and accounts, slixmpp at the other end.

use std::time::Duration;

use stanchion_reliability::session::SessionConfig;
use stanchion_services::disco::Disco;
use stanchion_services::presence::{PresenceConfig, Present};
use stanchion_services::pubsub::{
    Beginning, Item, NodeEvent, PublisherConfig, Pubsub, State, SubscriptionConfig,
};
use stanchion_services::roster::{Contacts, Policy, Roster, RosterEvent, Subscription};
use stanchion_services::{HostBuilder, Input, Output, Service, Taken};
use stanchion_stanza::payload::caps::Caps;
use stanchion_stanza::payload::disco::DiscoInfo;
use stanchion_stanza::payload::pubsub::{
    AccessModel, Affiliation, Event, Item as WireItem, Limit, NodeConfig, PublishModel,
    SubscriptionState,
};
use stanchion_stanza::payload::rsm::{PageRequest, Position};
use stanchion_stanza::stanza::{IqKind, PresenceType};
use stanchion_stanza::{Element, Jid, Payload as _, Presence, Stanza, Text};
use tokio::sync::broadcast::Receiver;

use crate::foreign::Foreign;
use crate::server::{Device, Real};
use crate::soon;

const NS: &str = "urn:example:foreign";

fn text(s: impl Into<String>) -> Text {
    Text::new(s).unwrap()
}

fn value(s: &str) -> Element {
    Element::new("v", NS).with_text(text(s))
}

fn service_of(server: &Real) -> Jid {
    format!("pubsub.{}", server.domain()).parse().unwrap()
}

fn node(name: &str) -> Text {
    text(format!("{name}-{}", std::process::id()))
}

fn open() -> NodeConfig {
    NodeConfig {
        access_model: Some(AccessModel::Open),
        publish_model: Some(PublishModel::Open),
        persist_items: Some(true),
        max_items: Some(Limit::At(1000)),
        ..NodeConfig::default()
    }
}

/// A device whose publish/subscribe is under test.
async fn device(server: &Real, name: &str) -> (Device, Pubsub) {
    let mut services = HostBuilder::new();
    services.add(Announcer::default());
    services.add(Disco::default());
    let handle = services.add(State::default());
    let device = Device::start(server, name, services).await;
    let pubsub = Pubsub::new(handle, device.host.requests(), device.transactor.clone());
    (device, pubsub)
}

/// The same, with contacts and presence as every client has them: whoever asks may see it.
async fn sociable(server: &Real, name: &str) -> (Device, Pubsub, Roster) {
    let mut services = HostBuilder::new();
    services.add(Disco::default());
    let contacts = services.add(Contacts::new(Policy::AcceptAll));
    services.add(Present::new(PresenceConfig::default()));
    let handle = services.add(State::default());
    let mut config = SessionConfig::default();
    config.presence = None;
    let user = server.add(name);
    let folder = tempfile::tempdir().unwrap();
    let device = Device::login_in(folder, server, &user, services, config).await;
    let requests = device.host.requests();
    let pubsub = Pubsub::new(handle, requests.clone(), device.transactor.clone());
    (device, pubsub, Roster::new(contacts, requests))
}

/// Says in presence what we are, and befriends whoever asks.
#[derive(Default)]
struct Announcer {
    info: DiscoInfo,
    up: bool,
    outputs: std::collections::VecDeque<Stanza>,
}

impl Announcer {
    fn announce(&mut self) {
        if self.up {
            let caps = Caps::of(text("urn:example:test"), &self.info).unwrap();
            let mut presence = Presence::available();
            presence.payloads.push(caps.to_element());
            self.outputs.push_back(presence.into());
        }
    }
}

impl Service for Announcer {
    const NAME: &'static str = "announcer";
    type Event = ();

    fn handle(&mut self, _now: stanchion_reliability::engine::Now, input: Input<'_>) -> Taken {
        match input {
            Input::Info(info) => {
                self.info = info.clone();
                self.announce();
            }
            Input::Up(_) => {
                self.up = true;
                self.announce();
            }
            // Who sees our capabilities asks what they stand for (XEP-0115 §6.2).
            Input::Stanza(Stanza::Iq(iq)) => {
                if let IqKind::Get(query) = &iq.kind
                    && DiscoInfo::matches(query)
                    && query.attr("node").is_some()
                {
                    let info = DiscoInfo {
                        node: query.attr_text("node"),
                        ..self.info.clone()
                    };
                    let answer = iq.result(Some(info.to_element()));
                    self.outputs.push_back(answer.into());
                    return Taken::Yes;
                }
            }
            Input::Stanza(Stanza::Presence(presence))
                if presence.kind == PresenceType::Subscribe =>
            {
                for kind in [PresenceType::Subscribed, PresenceType::Subscribe] {
                    let mut answer = Presence::of(kind);
                    answer.header.to.clone_from(&presence.header.from);
                    self.outputs.push_back(answer.into());
                }
            }
            _ => {}
        }
        Taken::No
    }

    fn poll_output(&mut self) -> Output<()> {
        let next = self.outputs.pop_front();
        next.map_or(Output::Wait(None), Output::Transmit)
    }
}

#[track_caller]
fn items(
    subscription: &mut stanchion_services::pubsub::Subscription,
    count: usize,
) -> impl Future<Output = Vec<Item>> {
    soon(async move { take(subscription, count).await })
}

async fn take(
    subscription: &mut stanchion_services::pubsub::Subscription,
    count: usize,
) -> Vec<Item> {
    let mut items = Vec::new();
    while items.len() < count {
        match subscription.next().await.unwrap() {
            NodeEvent::Item(item) => items.push(item),
            other => panic!("{other:?} after {items:?}"),
        }
    }
    items
}

fn texts(items: &[Item]) -> Vec<String> {
    let text = |item: &Item| item.payload().unwrap().text().into_owned();
    items.iter().map(text).collect()
}

#[tokio::test]
async fn what_slixmpp_publishes_comes_once_and_in_order() {
    for server in Real::both("pubsub-theirs") {
        let (device, pubsub) = device(&server, "phone").await;
        let service = service_of(&server);
        let node = node("theirs");
        let at = pubsub.service(service.clone());
        // ejabberd's default is not to tell.
        let config = NodeConfig {
            notify_delete: Some(true),
            ..open()
        };
        let created = soon(at.create(Some(node.clone()), &config)).await.unwrap();
        assert_eq!(created.config.notify_delete, Some(true), "{created:?}");
        let mut other = Foreign::start("pubsub.py", &server, &server.add("other")).await;
        for id in ["a", "b"] {
            other
                .tell(&format!("publish {service} {node} {id} {id}1"))
                .await;
            other.says("published").await;
        }
        let config = SubscriptionConfig::default();
        let to = Some(service.clone());
        let mut subscription = soon(pubsub.subscribe(to.clone(), node.clone(), config.clone()))
            .await
            .unwrap();
        let first = items(&mut subscription, 2).await;
        assert_eq!(texts(&first), ["a1", "b1"], "{server:?}");
        for (id, text) in [("c", "c1"), ("a", "a2"), ("a", "a2"), ("d", "d1")] {
            other
                .tell(&format!("publish {service} {node} {id} {text}"))
                .await;
            other.says("published").await;
        }
        let more = items(&mut subscription, 3).await;
        assert_eq!(texts(&more), ["c1", "a2", "d1"], "{server:?}");
        for item in first.into_iter().chain(more) {
            soon(item.commit()).await.unwrap();
        }
        // What is committed does not come again, what is not does.
        drop(subscription);
        other.tell(&format!("publish {service} {node} e e1")).await;
        other.says("published").await;
        let again = pubsub.subscribe(to.clone(), node.clone(), config.clone());
        let mut subscription = soon(again).await.unwrap();
        assert_eq!(texts(&items(&mut subscription, 1).await), ["e1"]);
        drop(subscription);
        let again = pubsub.subscribe(to, node.clone(), config);
        let mut subscription = soon(again).await.unwrap();
        assert_eq!(texts(&items(&mut subscription, 1).await), ["e1"]);

        soon(at.retract(node.clone(), vec![text("e")], true))
            .await
            .unwrap();
        let event = soon(subscription.next()).await.unwrap();
        assert!(
            matches!(&event, NodeEvent::Retracted(ids) if ids[0] == "e"),
            "{event:?}"
        );
        soon(at.purge(node.clone())).await.unwrap();
        let mut event = soon(subscription.next()).await.unwrap();
        // Some servers tell of each item.
        while matches!(event, NodeEvent::Retracted(_)) {
            event = soon(subscription.next()).await.unwrap();
        }
        assert!(matches!(event, NodeEvent::Purged), "{event:?}");
        soon(at.delete(node)).await.unwrap();
        let event = soon(subscription.next()).await.unwrap();
        assert!(matches!(event, NodeEvent::Deleted(None)), "{event:?}");
        other.end().await;
        device.stop().await;
    }
}

#[tokio::test]
async fn what_we_publish_reaches_slixmpp_and_a_subscriber_of_ours_by_number() {
    for server in Real::both("pubsub-ours") {
        let (lamp, publishes) = device(&server, "lamp").await;
        let (phone, subscribes) = device(&server, "phone").await;
        let service = service_of(&server);
        let node = node("ours");
        let mut config = PublisherConfig::default();
        config.create = Some(open());
        let publisher = publishes.publisher(Some(service.clone()), node.clone(), config);
        let publisher = soon(publisher).await.unwrap();
        let first = soon(publisher.publish(value("1"))).await.unwrap();
        let stream = soon(publisher.stream()).await.unwrap();
        assert_eq!(
            soon(first.confirmed()).await.unwrap(),
            *format!("{stream}.1")
        );

        let mut other = Foreign::start("pubsub.py", &server, &server.add("other")).await;
        other.tell(&format!("subscribe {service} {node}")).await;
        other.says("subscribed").await;
        let to = Some(service.clone());
        let mut held = subscribes
            .subscribe(to.clone(), node.clone(), SubscriptionConfig::default())
            .await
            .unwrap();
        assert_eq!(texts(&items(&mut held, 1).await), ["1"]);
        let payloads = (2..=200).map(|n| value(&n.to_string()));
        let all = soon(publisher.publish_all(payloads)).await.unwrap();
        for publication in all {
            soon(publication.confirmed()).await.unwrap();
        }
        for n in [2, 3, 200] {
            let line = other.says("event ").await;
            if n < 200 {
                assert!(line.ends_with(&format!("{stream}.{n} {n}")), "{line}");
            }
        }
        let rest = items(&mut held, 199).await;
        let expected: Vec<_> = (2..=200).map(|n| n.to_string()).collect();
        assert_eq!(texts(&rest), expected, "{server:?}");
        let last = rest.last().unwrap();
        assert_eq!(last.place().unwrap().number, 200);
        other.end().await;
        lamp.stop().await;
        phone.stop().await;
    }
}

#[tokio::test]
async fn an_owner_is_told_what_the_service_really_set_and_who_is_there() {
    for server in Real::both("pubsub-owner") {
        let (lamp, pubsub) = device(&server, "lamp").await;
        let at = pubsub.service(service_of(&server));
        let info = soon(at.discover()).await.unwrap();
        let is = |category: &str| info.identities.iter().any(|i| i.category == *category);
        assert!(is("pubsub"), "{info:?}");
        let node = node("owned");
        let wish = NodeConfig {
            title: Some(text("Readings")),
            max_items: Some(Limit::At(1_000_000)),
            ..open()
        };
        // Prosody refuses more than it allows; ejabberd, too.
        let refused = soon(at.create(Some(node.clone()), &wish)).await;
        let created = match refused {
            Ok(created) => created,
            Err(error) => {
                assert!(error.reason().is_some(), "{error}");
                let wish = NodeConfig {
                    title: wish.title,
                    ..open()
                };
                soon(at.create_or_configure(node.clone(), &wish))
                    .await
                    .unwrap()
            }
        };
        assert_eq!(created.config.title, Some(text("Readings")));
        assert_eq!(created.config.access_model, Some(AccessModel::Open));
        println!("{}: {:?}", server.domain(), created.differences);
        let again = soon(at.create(Some(node.clone()), &open()))
            .await
            .unwrap_err();
        assert!(again.to_string().contains("configure it"), "{again}");
        let nodes = soon(at.nodes()).await.unwrap();
        assert!(nodes.iter().any(|(name, _)| *name == node), "{nodes:?}");

        let own: Jid = (*lamp.full().to_bare()).clone();
        let subscribed = at.subscribe_bare(own.clone(), node.clone(), None);
        let subscribed = soon(subscribed).await.unwrap();
        assert_eq!(subscribed.state, Some(SubscriptionState::Subscribed));
        let mine = soon(at.subscriptions(None)).await.unwrap();
        assert!(mine.iter().any(|s| s.jid == own), "{mine:?}");
        let theirs = soon(at.subscribers(node.clone())).await.unwrap();
        assert_eq!(theirs[0].jid, own);
        // Prosody cannot tell.
        if server.is_ejabberd() {
            let affiliations = soon(at.affiliations(None)).await.unwrap();
            let owner = affiliations.iter().find(|(name, _)| *name == node);
            assert_eq!(owner.map(|(_, a)| *a), Some(Affiliation::Owner));
        }
        let friend: Jid = format!("friend@{}", server.domain()).parse().unwrap();
        let set = at.set_affiliate(node.clone(), friend.clone(), Affiliation::Publisher);
        soon(set).await.unwrap();
        let affiliates = soon(at.affiliates(node.clone())).await.unwrap();
        assert!(
            affiliates.contains(&(friend, Affiliation::Publisher)),
            "{affiliates:?}"
        );
        soon(at.unsubscribe(own, node.clone(), subscribed.subid))
            .await
            .unwrap();

        for n in 1..=5 {
            let item = WireItem::of(Some(text(n.to_string())), value(&n.to_string()));
            soon(at.publish_once(node.clone(), item, None))
                .await
                .unwrap();
        }
        let two = soon(at.items(node.clone(), Some(2))).await.unwrap();
        assert_eq!(two.len(), 2);
        let ids = vec![text("2"), text("9"), text("4")];
        let some = soon(at.items_by_id(node.clone(), ids)).await.unwrap();
        assert_eq!(some.len(), 2, "what is not there is left out: {some:?}");
        let page = PageRequest::of(2, Position::First);
        let page = soon(at.items_page(node.clone(), page)).await.unwrap();
        match page.page {
            Some(_) => assert_eq!(page.items.len(), 2),
            None => assert_eq!(page.items.len(), 5, "the service does not page"),
        }
        println!("{}: pages: {}", server.domain(), page.page.is_some());
        soon(at.retract(node.clone(), vec![text("1")], true))
            .await
            .unwrap();
        assert_eq!(soon(at.items(node.clone(), None)).await.unwrap().len(), 4);
        soon(at.delete(node.clone())).await.unwrap();
        let gone = soon(at.items(node, None)).await.unwrap_err();
        assert!(gone.is_not_found(), "{gone}");
        lamp.stop().await;
    }
}

/// Waits until the contact is so.
async fn until_subscribed(
    roster: &Roster,
    events: &mut Receiver<RosterEvent>,
    contact: &Jid,
    wanted: Subscription,
) {
    let known = async || soon(roster.contact(contact)).await.unwrap();
    while known().await.is_none_or(|c| c.subscription != wanted) {
        soon(events.recv()).await.unwrap();
    }
}

#[tokio::test]
async fn contacts_see_what_each_other_publishes_at_their_accounts() {
    for server in Real::both("pubsub-pep") {
        let (lamp, pubsub, roster) = sociable(&server, "lamp").await;
        let name = text("urn:example:mood");
        let mut contacts = soon(pubsub.contacts(name.clone())).await.unwrap();
        let user = server.add("other");
        let mut other = Foreign::start("pubsub.py", &server, &user).await;
        other.tell("notify urn:example:mood").await;
        other.says("interested").await;
        other
            .tell(&format!("befriend {}", lamp.full().to_bare()))
            .await;
        other.says("befriended").await;
        // It sees us first: ejabberd has our capabilities only from what we say then.
        let expected: Jid = format!("{user}@{}", server.domain()).parse().unwrap();
        let mut events = roster.events();
        until_subscribed(&roster, &mut events, &expected, Subscription::From).await;
        soon(roster.subscribe(expected.to_bare())).await.unwrap();
        until_subscribed(&roster, &mut events, &expected, Subscription::Both).await;

        // ejabberd makes none by itself here.
        other.tell("create own urn:example:mood").await;
        other.says("created").await;

        // What we said of us may take a moment to be there: publish until it is.
        let seen = async {
            for n in 0.. {
                other
                    .tell(&format!("publish own urn:example:mood current happy{n}"))
                    .await;
                other.says("published").await;
                let next = tokio::time::timeout(Duration::from_millis(500), contacts.next());
                if let Ok(news) = next.await {
                    return news.unwrap();
                }
            }
            unreachable!()
        };
        let news = soon(seen).await;
        assert_eq!(news.from, expected);
        let Event::Items { items, .. } = news.event else {
            panic!("{news:?}");
        };
        let payload = items[0].payload.as_ref().unwrap();
        assert!(payload.text().starts_with("happy"));

        // Our own account, with who may see it said, and kept until it is confirmed.
        let mut config = PublisherConfig::default();
        config.create = Some(NodeConfig {
            access_model: Some(AccessModel::Presence),
            ..NodeConfig::default()
        });
        let publisher = soon(pubsub.publisher(None, name, config)).await.unwrap();
        let publication = publisher.publish_with_id(text("current"), value("glad"));
        let publication = soon(publication).await.unwrap();
        soon(publication.confirmed()).await.unwrap();
        let own = lamp.full().to_bare();
        let line = other.says(&format!("event {own} current")).await;
        assert!(line.ends_with("glad"), "{line}");
        other.end().await;
        lamp.stop().await;
    }
}

#[tokio::test]
async fn who_begins_with_what_is_new_gets_nothing_older() {
    for server in Real::both("pubsub-new") {
        let (lamp, pubsub) = device(&server, "lamp").await;
        let service = Some(service_of(&server));
        let node = node("new");
        let mut config = PublisherConfig::default();
        config.create = Some(open());
        let publisher = pubsub.publisher(service.clone(), node.clone(), config);
        let publisher = soon(publisher).await.unwrap();
        let old = (1..=100).map(|n| value(&n.to_string()));
        for publication in soon(publisher.publish_all(old)).await.unwrap() {
            soon(publication.confirmed()).await.unwrap();
        }
        let mut config = SubscriptionConfig::default();
        config.beginning = Beginning::New;
        let subscribe = pubsub.subscribe(service.clone(), node.clone(), config.clone());
        let mut subscription = soon(subscribe).await.unwrap();
        // Until it has begun, what is published is not new.
        let mut number = 100;
        let first = loop {
            number += 1;
            let publication = publisher.publish(value(&number.to_string()));
            soon(publication).await.unwrap();
            let next = tokio::time::timeout(Duration::from_secs(1), subscription.next());
            if let Ok(event) = next.await {
                break event.unwrap();
            }
        };
        let NodeEvent::Item(first) = first else {
            panic!("{first:?}");
        };
        assert!(first.place().unwrap().number > 100, "{first:?}");
        soon(first.commit()).await.unwrap();
        drop(subscription);
        let last = soon(publisher.publish(value("last"))).await.unwrap();
        soon(last.confirmed()).await.unwrap();
        let mut subscription = soon(pubsub.subscribe(service, node, config)).await.unwrap();
        let rest = items(&mut subscription, 1).await;
        let rest = rest.last().unwrap();
        assert!(
            rest.place().unwrap().number > 100,
            "nothing old comes later: {rest:?}"
        );
        lamp.stop().await;
    }
}

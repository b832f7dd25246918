//! Publish/subscribe over the embedded hub: what survives a new life, a lost stream, and an
//! application that is slow or fails.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]

mod support;

use std::path::Path;

use stanchion_reliability::store::rusqlite;
use stanchion_services::HostBuilder;
use stanchion_services::pubsub::{
    Item, ItemError, NodeEvent, NotPublished, Overflow, Publisher, PublisherConfig, Pubsub,
    PubsubError, Stage, State, Subscription, SubscriptionConfig,
};
use stanchion_stanza::payload::pubsub::{
    AccessModel, Condition, Item as WireItem, Limit, NodeConfig,
};
use stanchion_stanza::payload::rsm::{PageRequest, Position};
use stanchion_stanza::{Element, Jid, Text};
use support::{Device, Server, soon};

const NS: &str = "urn:example:readings";

fn text(s: impl Into<String>) -> Text {
    Text::new(s).unwrap()
}

fn value(n: u64) -> Element {
    Element::new("v", NS).with_text(text(n.to_string()))
}

fn service() -> Jid {
    "pubsub.home.example".parse().unwrap()
}

async fn device(server: &Server, name: &str, file: &Path) -> (Device, Pubsub) {
    let mut services = HostBuilder::new();
    let handle = services.add(State::default());
    let device = Device::start(server, name, file, services).await;
    let pubsub = Pubsub::new(handle, device.host.requests(), device.store.clone());
    (device, pubsub)
}

async fn publisher(pubsub: &Pubsub, most: u64) -> Publisher {
    let mut config = PublisherConfig::default();
    config.create = Some(NodeConfig {
        access_model: Some(AccessModel::Open),
        max_items: Some(Limit::At(most)),
        ..NodeConfig::default()
    });
    let publisher = pubsub.publisher(Some(service()), text("n"), config);
    soon(publisher).await.unwrap()
}

async fn confirmed(publisher: &Publisher, numbers: impl Iterator<Item = u64>) {
    let published = publisher.publish_all(numbers.map(value));
    for publication in soon(published).await.unwrap() {
        soon(publication.confirmed()).await.unwrap();
    }
}

async fn subscribe(pubsub: &Pubsub) -> Subscription {
    let config = SubscriptionConfig::default();
    let subscription = pubsub.subscribe(Some(service()), text("n"), config);
    soon(subscription).await.unwrap()
}

async fn item(subscription: &mut Subscription) -> Item {
    match soon(subscription.next()).await.unwrap() {
        NodeEvent::Item(item) => item,
        other => panic!("{other:?}"),
    }
}

fn number(item: &Item) -> u64 {
    item.payload().unwrap().text().parse().unwrap()
}

#[tokio::test]
async fn an_effect_and_its_item_are_one() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let (lamp, publishes) = device(&server, "lamp", &folder.path().join("l")).await;
    let file = folder.path().join("p");
    let (phone, subscribes) = device(&server, "phone", &file).await;
    let publisher = publisher(&publishes, 100).await;
    confirmed(&publisher, 1..=3).await;
    let made = phone
        .store
        .transact(|tx| tx.execute_batch("CREATE TABLE app_sum (n INTEGER)"));
    soon(made).await.unwrap();
    let mut subscription = subscribe(&subscribes).await;
    let first = item(&mut subscription).await;
    let insert = |n: u64| {
        move |tx: &rusqlite::Transaction<'_>| {
            tx.execute("INSERT INTO app_sum VALUES (?1)", [n as i64])
        }
    };
    soon(first.commit_with(insert(1))).await.unwrap();
    // One whose effect fails is not done with, and the effect has left nothing.
    let second = item(&mut subscription).await;
    let failing = second.commit_with(|tx| {
        tx.execute("INSERT INTO app_sum VALUES (100)", [])?;
        tx.execute("INSERT INTO app_none VALUES (1)", [])
    });
    let failed = soon(failing).await;
    assert!(matches!(failed, Err(ItemError::Transact(_))), "{failed:?}");
    let third = item(&mut subscription).await;
    soon(third.commit_with(insert(3))).await.unwrap();
    drop((second, subscription));
    phone.stop().await;

    // In the next life it comes again, it alone, and what was published meanwhile.
    confirmed(&publisher, 4..=4).await;
    let (phone, subscribes) = device(&server, "phone", &file).await;
    let mut subscription = subscribe(&subscribes).await;
    let again = item(&mut subscription).await;
    assert_eq!(number(&again), 2);
    let next = item(&mut subscription).await;
    assert_eq!(number(&next), 4);
    let items = [again, next];
    let all = Item::commit_all(&items, |tx| {
        tx.execute("INSERT INTO app_sum VALUES (6)", [])
    });
    soon(all).await.unwrap();
    let sum = phone
        .store
        .transact(|tx| tx.query_row("SELECT sum(n) FROM app_sum", [], |row| row.get::<_, i64>(0)));
    assert_eq!(soon(sum).await.unwrap(), 10_i64);
    lamp.stop().await;
    phone.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn what_the_node_no_longer_holds_is_told_in_its_place_and_once() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let (lamp, publishes) = device(&server, "lamp", &folder.path().join("l")).await;
    let publisher = publisher(&publishes, 100).await;
    confirmed(&publisher, 1..=1).await;
    let file = folder.path().join("p");
    let (phone, subscribes) = device(&server, "phone", &file).await;
    let mut subscription = subscribe(&subscribes).await;
    soon(item(&mut subscription).await.commit()).await.unwrap();
    drop(subscription);
    phone.stop().await;
    confirmed(&publisher, 2..=400).await;
    for life in 0..2 {
        let (phone, subscribes) = device(&server, "phone", &file).await;
        let mut subscription = subscribe(&subscribes).await;
        if life == 0 {
            let NodeEvent::Gap(gap) = soon(subscription.next()).await.unwrap() else {
                panic!("a gap comes first")
            };
            assert_eq!((gap.first(), gap.last()), (2, 300));
            soon(gap.commit()).await.unwrap();
        }
        for n in 301..=400 {
            let item = item(&mut subscription).await;
            assert_eq!(number(&item), n);
        }
        let twice = subscribes.subscribe(Some(service()), text("n"), SubscriptionConfig::default());
        let refused = soon(twice).await.unwrap_err();
        assert!(matches!(refused, PubsubError::AlreadyOpen(_)), "{refused}");
        phone.stop().await;
    }
    lamp.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_published_without_a_connection_goes_out_in_a_later_life() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("l");
    let (lamp, publishes) = device(&server, "lamp", &file).await;
    let first = publisher(&publishes, 100).await;
    confirmed(&first, 1..=1).await;
    // Not given the time to be published.
    let publications = soon(first.publish_all((2..=50).map(value))).await.unwrap();
    let last = publications.last().unwrap().clone();
    assert!(matches!(last.stage(), Stage::Kept | Stage::Confirmed));
    drop(lamp);
    let ended = soon(last.confirmed()).await;
    assert!(
        matches!(ended, Ok(_) | Err(NotPublished::Ended)),
        "{ended:?}"
    );

    let (lamp, publishes) = device(&server, "lamp", &file).await;
    let second = publisher(&publishes, 100).await;
    assert_eq!(soon(second.taken()).await.unwrap(), 50);
    confirmed(&second, 51..=51).await;
    let (phone, subscribes) = device(&server, "phone", &folder.path().join("p")).await;
    let mut subscription = subscribe(&subscribes).await;
    for n in 1..=51 {
        let item = item(&mut subscription).await;
        assert_eq!((number(&item), item.place().unwrap().number), (n, n));
    }
    assert_eq!(soon(second.waiting()).await.unwrap(), 0);
    lamp.stop().await;
    phone.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_node_outlives_the_server_with_its_items_and_who_is_subscribed() {
    let accounts = ["lamp", "phone"];
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("hub");
    let server = Server::start_in(&accounts, Some(&state)).await;
    let address = server.address();
    let (lamp, publishes) = device(&server, "lamp", &folder.path().join("l")).await;
    let (phone, subscribes) = device(&server, "phone", &folder.path().join("p")).await;
    let publisher = publisher(&publishes, 100).await;
    let mut subscription = subscribe(&subscribes).await;
    confirmed(&publisher, 1..=3).await;
    for n in 1..=3 {
        let item = item(&mut subscription).await;
        assert_eq!(number(&item), n);
        soon(item.commit()).await.unwrap();
    }
    server.crash().await;
    let server = Server::start_at(&accounts, Some(state), address).await;
    lamp.connected().await;
    phone.connected().await;
    confirmed(&publisher, 4..=5).await;
    for n in 4..=5 {
        let item = item(&mut subscription).await;
        assert_eq!(
            number(&item),
            n,
            "nothing is missing, and nothing comes twice"
        );
        soon(item.commit()).await.unwrap();
    }
    // Who comes new gets them all.
    let at = subscribes.service(service());
    let held = soon(at.items(text("n"), None)).await.unwrap();
    let ids: Vec<_> = held.iter().filter_map(|item| item.id.clone()).collect();
    assert_eq!(ids.len(), 5, "{ids:?}");
    lamp.stop().await;
    phone.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_full_queue_makes_the_publisher_wait_until_there_is_room() {
    let server = Server::start(&["lamp"]).await;
    let folder = tempfile::tempdir().unwrap();
    let (lamp, pubsub) = device(&server, "lamp", &folder.path().join("l")).await;
    let mut config = PublisherConfig::default();
    config.capacity = 4;
    config.create = Some(NodeConfig::default());
    let publisher = pubsub.publisher(Some(service()), text("n"), config.clone());
    let publisher = soon(publisher).await.unwrap();
    confirmed(&publisher, 1..=100).await;
    let counters = soon(publisher.counters()).await.unwrap();
    assert_eq!((counters.confirmed, counters.dropped), (100, 0));
    // What can never be published is refused at once.
    let huge = Element::new("v", NS).with_text(text("x".repeat(300_000)));
    let error = soon(publisher.publish(huge)).await.unwrap_err();
    assert!(matches!(error, PubsubError::TooBig(_)), "{error}");
    config.overflow = Overflow::DropOldest;
    let telemetry = pubsub.publisher(Some(service()), text("n"), config);
    let telemetry = soon(telemetry).await.unwrap();
    let all = soon(telemetry.publish_all((101..=300).map(value)))
        .await
        .unwrap();
    let newest = all.last().unwrap().clone();
    soon(newest.confirmed()).await.unwrap();
    let counters = soon(telemetry.counters()).await.unwrap();
    assert_eq!(counters.confirmed + counters.dropped, 300);
    lamp.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason_and_holds_up_nothing() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let (lamp, owner) = device(&server, "lamp", &folder.path().join("l")).await;
    let (phone, stranger) = device(&server, "phone", &folder.path().join("p")).await;
    let at = owner.service(service());
    let wish = NodeConfig {
        access_model: Some(AccessModel::Whitelist),
        max_items: Some(Limit::Max),
        ..NodeConfig::default()
    };
    let created = soon(at.create(Some(text("n")), &wish)).await.unwrap();
    assert_eq!(created.differences, []);
    assert_eq!(created.config.max_items, Some(Limit::At(10_000)));
    let config = PublisherConfig::default();
    let publisher = stranger.publisher(Some(service()), text("n"), config);
    let publisher = soon(publisher).await.unwrap();
    let refused = soon(publisher.publish(value(1))).await.unwrap();
    let error = soon(refused.confirmed()).await.unwrap_err();
    let said = error.to_string();
    assert!(
        said.starts_with("refused: forbidden; have the node's owner"),
        "{said}"
    );
    let mut subscription = subscribe(&stranger).await;
    let event = soon(subscription.next()).await.unwrap();
    let NodeEvent::Refused(reason) = event else {
        panic!("{event:?}")
    };
    assert_eq!(reason.fault.unwrap().condition, Condition::ClosedNode);

    for n in 1..=5 {
        let item = WireItem::of(Some(text(n.to_string())), value(n));
        soon(at.publish_once(text("n"), item, None)).await.unwrap();
    }
    let page = PageRequest::of(2, Position::After(text("2")));
    let page = soon(at.items_page(text("n"), page)).await.unwrap();
    let ids: Vec<_> = page.items.into_iter().filter_map(|item| item.id).collect();
    assert_eq!(ids, [text("3"), text("4")]);
    assert_eq!(page.page.unwrap().count, Some(5));
    let wrong = stranger.service("home.example".parse().unwrap());
    let error = soon(wrong.items(text("n"), None)).await.unwrap_err();
    assert!(error.to_string().contains("is not there"), "{error}");
    lamp.stop().await;
    phone.stop().await;
    server.stop().await;
}

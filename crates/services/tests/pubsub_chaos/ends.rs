//! The two ends. Each may be killed at any moment, and learns what it did before from its
//! own store alone. What they say on their standard output is for the orchestrator's
//! patience; what is concluded is read from the subscriber's store.

use std::io::Write as _;

use stanchion_reliability::store::rusqlite;
use stanchion_services::pubsub::{Item, NodeEvent, PublisherConfig, SubscriptionConfig};
use stanchion_stanza::payload::pubsub::{AccessModel, Limit, NodeConfig};
use stanchion_stanza::{Element, Jid, Text};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::sync::watch;

use crate::Options;
use crate::place::Client;

const NS: &str = "urn:example:chaos";
/// Publications given at once, and items committed at once, at most.
const BATCH: u64 = 32;
/// What the node holds.
const HELD: u64 = 10_000;
/// So far the publisher is ahead of the effects: what the node holds no longer is a gap in
/// truth.
const LEAD: u64 = HELD / 2;

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // An orchestrator that is gone needs nothing.
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Ends with the orchestrator, whose lines say how many took effect.
async fn follow(effects: watch::Sender<u64>) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        effects.send_replace(line.parse().unwrap());
    }
}

fn place_of(options: &Options) -> (Option<Jid>, Text) {
    let service = format!("pubsub.{}", options.text("domain").unwrap());
    let node = Text::new(options.text("node").unwrap()).unwrap();
    (Some(service.parse().unwrap()), node)
}

/// Publishes the numbers 1 to N, and says so once the service has them all.
pub(crate) async fn publish(options: &Options) {
    let client = Client::start(options).await;
    let (service, node) = place_of(options);
    let items = options.number("items", 0);
    let mut config = PublisherConfig::default();
    config.window = 16;
    config.create = Some(NodeConfig {
        access_model: Some(AccessModel::Open),
        persist_items: Some(true),
        max_items: Some(Limit::At(HELD)),
        ..NodeConfig::default()
    });
    let publisher = client.pubsub.publisher(service, node, config);
    let publisher = publisher.await.unwrap();
    // The number of a payload is its item's: it goes on where its store says.
    let mut next = publisher.taken().await.unwrap() + 1;
    say(&format!("began {next}"));
    let (effects, mut effective) = watch::channel(0);
    let payload =
        |number: u64| Element::new("n", NS).with_text(Text::new(number.to_string()).unwrap());
    if next == 1 {
        // The node is there before a subscriber comes: some services would make it theirs.
        let first = publisher.publish(payload(1)).await.unwrap();
        first.confirmed().await.unwrap();
        next = 2;
        say("there");
    }
    let work = async {
        while next <= items {
            let last = (next + BATCH - 1).min(items);
            let near = effective.wait_for(|effects| last <= effects + LEAD);
            near.await.unwrap();
            let payloads = (next..=last).map(payload);
            publisher.publish_all(payloads).await.unwrap();
            next = last + 1;
            say(&format!("taken {last}"));
        }
        while publisher.waiting().await.unwrap() > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        say("done");
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = work => {}
        () = follow(effects) => {}
    }
    client.stop().await;
}

/// Writes each item into a table in the transaction that commits it. The table takes
/// everything: what comes twice is there twice.
pub(crate) async fn subscribe(options: &Options) {
    let client = Client::start(options).await;
    let (service, node) = place_of(options);
    let made = client.store.transact(|tx| {
        tx.execute_batch(
            "CREATE TABLE IF NOT EXISTS app_effects (at INTEGER PRIMARY KEY, number INTEGER, late INTEGER);
             CREATE TABLE IF NOT EXISTS app_gaps (first INTEGER, last INTEGER);",
        )?;
        let last = "SELECT coalesce(max(number), 0) FROM app_effects";
        tx.query_row(last, [], |row| row.get::<_, i64>(0))
    });
    // What took effect and was not said before the end of the last life.
    say(&format!("effect {}", made.await.unwrap()));
    let config = SubscriptionConfig::default();
    let subscription = client.pubsub.subscribe(service, node, config);
    let mut subscription = subscription.await.unwrap();
    let work = async {
        loop {
            let mut events = vec![subscription.next().await.unwrap()];
            while (events.len() as u64) < BATCH
                && let Some(event) = subscription.next_now()
            {
                events.push(event);
            }
            let mut items = Vec::new();
            for event in events {
                match event {
                    NodeEvent::Item(item) => items.push(item),
                    NodeEvent::Gap(gap) => {
                        commit(&mut items).await;
                        let (first, last) = (gap.first() as i64, gap.last() as i64);
                        let effect = gap.commit_with(move |tx| {
                            tx.execute("INSERT INTO app_gaps VALUES (?1, ?2)", [first, last])
                        });
                        effect.await.unwrap();
                    }
                    // The publisher creates the node, perhaps later than we ask for it.
                    _ => {}
                }
            }
            commit(&mut items).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = follow(watch::channel(0).0) => {}
    }
    client.stop().await;
}

async fn commit(items: &mut Vec<Item>) {
    let rows: Vec<(i64, bool)> = items
        .iter()
        .map(|item| {
            let number = item.payload().unwrap().text().parse().unwrap();
            (number, item.is_late())
        })
        .collect();
    let last = rows.last().copied();
    let effect = move |tx: &rusqlite::Transaction<'_>| {
        let mut insert =
            tx.prepare_cached("INSERT INTO app_effects (number, late) VALUES (?1, ?2)")?;
        for row in rows {
            insert.execute(row)?;
        }
        Ok::<_, rusqlite::Error>(())
    };
    Item::commit_all(items, effect).await.unwrap();
    items.clear();
    if let Some((last, _)) = last {
        say(&format!("effect {last}"));
    }
}

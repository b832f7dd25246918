//! The programs of the user's guide (docs/guide), run against the embedded hub. Each `rust`
//! block of the book is one of the parts below, between `// guide:` and `// end`; where the
//! book writes the port 5222, the hub has another. What the book shows and what runs here are
//! compared word by word.

#![cfg(feature = "device")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and the book prints"
)]

use std::collections::BTreeSet;
use std::error::Error;
use std::future::Future;
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::json;
use stanchion::device::adapter::{Supervisor, SupervisorConfig, from_adapters};
use stanchion::device::adapters::simulated;
use stanchion::device::remote::{Command, Readout};
use stanchion::device::{HostConfig, model::SettingValue};
use stanchion::services::Incoming;
use stanchion::services::pubsub::{PublisherConfig, SubscriptionConfig};
use stanchion::services::rooms::JoinOptions;
use stanchion::session::{Lane, Outgoing};
use stanchion::stanza::{Element, Text};
use stanchion::{Client, ClientBuilder, Jid, Outcome, Roots};
use stanchion_hub::{Accounts, Hub, HubConfig, HubError};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

type Done = Result<(), Box<dyn Error>>;

/// All of it in time, or it hangs.
async fn soon(what: impl Future<Output = Done>) {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, what)
        .await
        .expect("in time")
        .unwrap();
}

/// The reader's folder: the stores of the book's programs, and the hub's, are in it.
fn folder() {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| tempfile::tempdir().unwrap());
    std::env::set_current_dir(folder.path()).unwrap();
}

/// A hub that serves until it is closed.
struct Serving {
    port: u16,
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<(), HubError>>,
}

impl Serving {
    /// Ends it, and waits for that.
    async fn close(self) {
        drop(self.stop);
        soon(async move { Ok(self.task.await??) }).await;
    }
}

/// A hub as `stanchion hub --state hub` is one.
async fn hub(state: &str) -> Serving {
    folder();
    let users = ["alice", "bob", "carol", "dave", "erin", "gateway"];
    let hub = Hub::bind(HubConfig {
        domain: "localhost".to_owned(),
        starttls: Some("127.0.0.1:0".parse().unwrap()),
        direct_tls: None,
        state: Some(state.into()),
        accounts: Accounts::open_demo(users.map(|user| (user, "secret"))).unwrap(),
        ..HubConfig::default()
    })
    .await
    .unwrap();
    let port = hub.addresses().starttls.unwrap().port();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(hub.run(async move { drop(stopped.await) }));
    Serving { port, stop, task }
}

/// A client of that hub, with a store of its own.
fn at(state: &str, port: u16, name: &str) -> ClientBuilder {
    let certificate = std::fs::read(format!("{state}/cert.pem")).unwrap();
    Client::builder(format!("{name}@localhost").parse().unwrap())
        .password("secret".to_owned().into())
        .server("127.0.0.1", port)
        .trust(Roots::Pem(certificate))
        .store_file(format!("{state}-{name}.sqlite"))
}

/// Somebody who commits all that comes, and gives the texts that did.
fn committing(mut incoming: Incoming, client: Client, count: usize) -> JoinHandle<Vec<String>> {
    tokio::spawn(async move {
        let mut texts = Vec::new();
        while texts.len() < count {
            let message = incoming.recv().await.unwrap();
            let message = message.commit_durably().await.unwrap();
            texts.push(message.body().unwrap_or_default().into_owned());
        }
        client.shutdown().await.unwrap();
        texts
    })
}

#[tokio::test]
async fn the_start_delivers_a_first_message() {
    let hub = hub("hub").await;
    let port = hub.port;
    let alice = async {
        // guide: start.md
        let (client, _incoming) = Client::builder("alice@localhost".parse()?)
            .password("secret".to_owned().into())
            .server("127.0.0.1", port)
            .trust(Roots::Pem(std::fs::read("hub/cert.pem")?))
            .store_file("alice.sqlite")
            .start()
            .await?;

        let reading = Outgoing::text("bob@localhost".parse()?, "21.5")?;
        let outcome = client.send(reading).await?.outcome().await?;
        println!("{outcome}");
        client.shutdown().await?;
        // end
        assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome}");
        Ok(())
    };
    let bob = async {
        // guide: start.md
        let (client, mut incoming) = Client::builder("bob@localhost".parse()?)
            .password("secret".to_owned().into())
            .server("127.0.0.1", port)
            .trust(Roots::Pem(std::fs::read("hub/cert.pem")?))
            .store_file("bob.sqlite")
            .start()
            .await?;

        while let Some(message) = incoming.recv().await {
            println!("{}", message.message().body().unwrap_or_default());
            message.commit().await?; // now, and not before, Alice is told
        }
        client.shutdown().await?;
        // end
        Ok::<_, Box<dyn Error>>(())
    };
    tokio::select! {
        () = soon(alice) => {}
        ended = bob => panic!("{ended:?}"),
    }
    hub.close().await;
}

#[tokio::test]
async fn each_outcome_has_its_answer() {
    let hub = hub("outcomes").await;
    let port = hub.port;
    let (client, _incoming) = at("outcomes", port, "alice").start().await.unwrap();
    let (bob, incoming) = at("outcomes", port, "bob").start().await.unwrap();
    let bob = committing(incoming, bob, 1);
    let again = |why: String| panic!("{why}");
    soon(async {
        // guide: guarantees.md
        let order = Outgoing::text("bob@localhost".parse()?, "close valve 7")?;
        let sent = client.send(order.within(Duration::from_secs(30))).await?;
        match sent.outcome().await? {
            Outcome::Delivered { by } => println!("{by} did it, once"),
            Outcome::Acknowledged { by } => println!("{by} has it, and may see it twice"),
            Outcome::NotDelivered(why) => again(format!("safe to send again: {why}")),
            Outcome::InDoubt(why) if why.is_final() => println!("look at the valve: {why}"),
            Outcome::InDoubt(why) => println!("look at the valve, or wait for more: {why}"),
            _ => {}
        }
        // end
        assert_eq!(bob.await?, ["close valve 7"]);
        Ok(client.shutdown().await?)
    })
    .await;
    hub.close().await;
}

#[tokio::test]
async fn a_message_and_its_effect_are_one_transaction() {
    let hub = hub("once").await;
    let port = hub.port;
    let (alice, _incoming) = at("once", port, "alice").start().await.unwrap();
    let (client, mut incoming) = at("once", port, "bob").start().await.unwrap();
    let send = async |text: &str| {
        let message = Outgoing::text("bob@localhost".parse().unwrap(), text).unwrap();
        alice.send(message).await.unwrap()
    };
    soon(async {
        let first = send("21.5").await;
        let second = send("no number").await;
        let working = async {
            // guide: guarantees.md
            while let Some(message) = incoming.recv().await {
                let text = message.message().body().unwrap_or_default();
                let Ok(celsius) = text.parse::<f64>() else {
                    message.reject("that is no temperature").await?;
                    continue;
                };
                message
                    .commit_with(move |tx| {
                        tx.execute_batch("CREATE TABLE IF NOT EXISTS app_celsius (value REAL)")?;
                        tx.execute("INSERT INTO app_celsius VALUES (?1)", [celsius])
                    })
                    .await?;
            }
            // end
            Ok::<_, Box<dyn Error>>(())
        };
        let outcomes = async { (first.outcome().await, second.outcome().await) };
        let (first, second) = tokio::select! {
            outcomes = outcomes => outcomes,
            ended = working => panic!("{ended:?}"),
        };
        assert!(matches!(first?, Outcome::Delivered { .. }));
        assert_eq!(
            second?,
            Outcome::NotDelivered(stanchion::NotDelivered::Rejected)
        );
        let sum = "SELECT sum(value) FROM app_celsius";
        let store = client.store();
        let sum = store.transact(|tx| tx.query_row(sum, [], |row| row.get::<_, f64>(0)));
        assert_eq!(sum.await?.to_bits(), 21.5_f64.to_bits());
        client.shutdown().await?;
        Ok(())
    })
    .await;
    hub.close().await;
}

#[tokio::test]
async fn what_a_process_left_open_is_found_by_the_next() {
    let hub = hub("found").await;
    let port = hub.port;
    let (before, _incoming) = at("found", port, "alice").start().await.unwrap();
    let message = Outgoing::text("bob@localhost".parse().unwrap(), "22").unwrap();
    let noted = before.send(message).await.unwrap().id().to_owned();
    before.shutdown().await.unwrap();
    let (bob, incoming) = at("found", port, "bob").start().await.unwrap();
    let bob = committing(incoming, bob, 1);
    let (client, _incoming) = at("found", port, "alice").start().await.unwrap();
    soon(async {
        let mut seen = false;
        // guide: guarantees.md
        if let Some(found) = client.find(&noted).await? {
            println!("so far: {}", found.record().state);
            if let Some(sent) = found.into_sent() {
                println!("in the end: {}", sent.outcome().await?);
                seen = true;
            }
        }
        // end
        assert!(seen);
        assert_eq!(bob.await?, ["22"]);
        Ok(client.shutdown().await?)
    })
    .await;
    hub.close().await;
}

#[tokio::test]
async fn a_sender_chooses_what_a_message_is_worth() {
    let hub = hub("modes").await;
    let port = hub.port;
    let (client, _incoming) = at("modes", port, "alice").start().await.unwrap();
    let (bob, incoming) = at("modes", port, "bob").start().await.unwrap();
    let bob = committing(incoming, bob, 4);
    soon(async {
        // What is sent at most once is lost on who is not there yet.
        let first = Outgoing::text("bob@localhost".parse()?, "are you there?")?;
        client.send(first).await?.outcome().await?;
        // guide: concepts.md
        let to: Jid = "bob@localhost".parse()?;
        let alarm = Outgoing::text(to.clone(), "fire")?.lane(Lane::Alarm);
        let level = Outgoing::text(to.clone(), "level 40")?.replaces_older("level");
        let position = Outgoing::text(to, "48.2,16.4")?.at_most_once();
        let position = position.within(Duration::from_secs(10));
        for message in [alarm, level, position] {
            let sent = client.send(message).await?;
            sent.server_accepted().await?;
            println!("{}: {:?}", sent.id(), sent.stage());
        }
        // end
        let texts: BTreeSet<String> = bob.await?.into_iter().collect();
        assert_eq!(
            texts,
            ["48.2,16.4", "are you there?", "fire", "level 40"]
                .map(String::from)
                .into()
        );
        Ok(client.shutdown().await?)
    })
    .await;
    hub.close().await;
}

#[tokio::test]
async fn a_room_and_a_node_are_reached_by_the_same_client() {
    let hub = hub("many").await;
    let port = hub.port;
    let (client, _incoming) = at("many", port, "carol").start().await.unwrap();
    soon(async {
        // guide: concepts.md
        let hall = "hall@rooms.localhost".parse()?;
        let (room, mut said) = client
            .rooms()
            .join(hall, "carol", JoinOptions::default())
            .await?;
        room.say("good morning").await?;
        if let Some(message) = said.recv().await {
            println!("{}: {}", message.nick(), message.body());
            message.commit().await?;
        }
        // end
        // guide: concepts.md
        let (service, node): (Jid, Text) = ("pubsub.localhost".parse()?, "weather".parse()?);
        let mut config = PublisherConfig::default();
        config.create = Some(Default::default());
        let pubsub = client.pubsub();
        let publisher = pubsub
            .publisher(Some(service.clone()), node.clone(), config)
            .await?;
        let rain = Element::new("rain", "urn:example:weather").with_text("3 mm".parse::<Text>()?);
        println!(
            "published as {}",
            publisher.publish(rain).await?.confirmed().await?
        );

        let config = SubscriptionConfig::default();
        let mut weather = pubsub.subscribe(Some(service), node, config).await?;
        let item = weather.next_item().await?;
        println!("{}", item.payload().map(Element::text).unwrap_or_default());
        item.commit().await?; // or commit_with, as for a message
        // end
        Ok(client.shutdown().await?)
    })
    .await;
    hub.close().await;
}

#[tokio::test]
async fn a_thing_is_read_and_set() {
    let hub = hub("things").await;
    let port = hub.port;
    let host = at("things", port, "gateway").things(HostConfig::default());
    let (host, _incoming) = host.start().await.unwrap();
    let things = host.thing_host().unwrap().clone();
    let (reports, mut told) = from_adapters(64);
    let config = json!({ "kind": "lamp", "prefix": "hall", "interval": "100ms" });
    let fleet = simulated::Adapter::new(serde_json::from_value(config).unwrap()).unwrap();
    let lamps = Supervisor::start(
        "hall",
        Box::new(fleet),
        reports,
        SupervisorConfig::default(),
    );
    things.attach(lamps.control());
    let taking = tokio::spawn(async move {
        while let Some(event) = told.recv().await {
            things.take(event).await.unwrap();
        }
    });
    let client = at("things", port, "gateway").store_in_memory();
    let (client, _incoming) = client.start().await.unwrap();
    let mut seen = client.presences().events();
    let account = "gateway@localhost".parse().unwrap();
    soon(async {
        while client.presences().best(&account).await?.is_none() {
            seen.recv().await?;
        }
        // guide: devices.md
        let gateway: Jid = "gateway@localhost".parse()?;
        let things = client.things();
        for value in things.read(&gateway, Readout::momentary()).await?.values {
            println!("{}: {:?}", value.field.name, value.field.value);
        }
        let on = Command::set("on".parse()?, SettingValue::Boolean(true));
        let on = on.of("hall-1".parse()?).within(Duration::from_secs(10));
        match things.set(&gateway, on).await {
            Ok(_) => println!("the lamp is on"),
            Err(error) if error.had_no_effect() => println!("it stays as it was: {error}"),
            Err(error) => println!("read it before you try again: {error}"),
        }
        // end
        let on = Readout::momentary().of("hall-1".parse()?);
        let on = client.things().read(&gateway, on).await?;
        let on = on.values.iter().find(|value| &*value.field.name == "on");
        let on = format!("{:?}", on.map(|value| &value.field.value));
        assert!(on.contains("true"), "{on}");
        client.shutdown().await?;
        lamps.shutdown().await;
        taking.await?;
        Ok(host.shutdown().await?)
    })
    .await;
    hub.close().await;
}

/// The parts of this file that the book shows: the chapter, and the lines without what
/// indents them.
fn parts() -> BTreeSet<(String, String)> {
    let mut parts = BTreeSet::new();
    let mut lines = include_str!("guide.rs").lines();
    while let Some(line) = lines.next() {
        let Some(chapter) = line.trim_start().strip_prefix("// guide: ") else {
            continue;
        };
        let indent = line.len() - line.trim_start().len();
        let inside = lines.by_ref().take_while(|line| line.trim() != "// end");
        let text = inside.map(|line| format!("{}\n", line.get(indent..).unwrap_or_default()));
        parts.insert((chapter.to_owned(), text.collect()));
    }
    parts
}

/// The blocks of the book.
fn blocks() -> BTreeSet<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide");
    let mut blocks = BTreeSet::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let text = std::fs::read_to_string(entry.path()).unwrap();
        let mut lines = text.lines();
        while lines.by_ref().any(|line| line.starts_with("```rust")) {
            let inside = lines.by_ref().take_while(|line| *line != "```");
            let text: String = inside.map(|line| format!("{line}\n")).collect();
            let chapter = entry.file_name().into_string().unwrap();
            blocks.insert((chapter, text.replace("5222", "port")));
        }
    }
    blocks
}

#[test]
fn every_program_of_the_book_runs_here_and_no_other() {
    let (parts, blocks) = (parts(), blocks());
    let here: Vec<_> = parts.difference(&blocks).collect();
    let there: Vec<_> = blocks.difference(&parts).collect();
    assert!(
        here.is_empty() && there.is_empty(),
        "only here: {here:#?}\nonly in the book: {there:#?}"
    );
}

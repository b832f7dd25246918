//! Persons at their desks over the embedded hub, all in one process.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use stanchion::services::history::Direction;
use stanchion::services::presence::Availability;
use stanchion::transport::security::Fingerprint;
use stanchion::{BareJid, Client};
use stanchion_hub::{Accounts, Hub, HubConfig};
use tokio::sync::mpsc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::super::model::Model;
use super::super::order::{Answer, Order};
use super::super::talk::Stage;
use super::{Desk, DeskConfig};
use crate::kept::now;

const DOMAIN: &str = "home.example";

struct Server {
    address: SocketAddr,
    pin: Fingerprint,
    stop: oneshot::Sender<()>,
    running: JoinHandle<Result<(), stanchion_hub::HubError>>,
}

impl Server {
    async fn start(address: SocketAddr, state: &Path) -> Self {
        let names = ["alice", "bob", "lamp"];
        let config = HubConfig {
            domain: DOMAIN.to_owned(),
            starttls: None,
            direct_tls: Some(address),
            state: Some(state.to_owned()),
            accounts: Accounts::open_demo(names.map(|name| (name, name))).unwrap(),
            ..HubConfig::default()
        };
        let hub = Hub::bind(config).await.unwrap();
        let (stop, stopped) = oneshot::channel();
        Self {
            address: hub.addresses().direct_tls.unwrap(),
            pin: hub.fingerprint(),
            stop,
            running: tokio::spawn(hub.run(async { drop(stopped.await) })),
        }
    }

    async fn stop(self) -> SocketAddr {
        drop(self.stop);
        self.running.await.unwrap().unwrap();
        self.address
    }
}

/// Somebody who sees what a face would show.
struct Somebody {
    jid: BareJid,
    desk: Desk,
    events: mpsc::Receiver<super::Event>,
    orders: mpsc::Sender<Order>,
    model: Model,
}

impl Somebody {
    async fn start(server: &Server, name: &str, folder: &Path) -> Self {
        let jid: BareJid = format!("{name}@{DOMAIN}").parse().unwrap();
        let store = folder.join(format!("{name}.sqlite"));
        let (client, incoming) = Client::builder(jid.clone())
            .password(name.to_owned().into())
            .server("127.0.0.1", server.address.port())
            .direct_tls()
            .pin(server.pin)
            .conversations()
            .roster_when_asked()
            .store_file(&store)
            .start()
            .await
            .unwrap();
        let config = DeskConfig::new(jid.clone(), store);
        let (desk, events) = Desk::start(client, incoming, config).await.unwrap();
        Self {
            orders: desk.orders(),
            model: Model::new(jid.clone()),
            jid,
            desk,
            events,
        }
    }

    async fn order(&self, order: Order) {
        self.orders.send(order).await.unwrap();
    }

    async fn say(&self, to: &BareJid, text: &str) {
        let (to, text) = (to.clone(), text.to_owned());
        self.order(Order::Say { to, text }).await;
    }

    /// Looks until it is so.
    async fn sees(&mut self, what: &str, so: impl Fn(&Model) -> bool) {
        let looking = async {
            while !so(&self.model) {
                let event = self.events.recv().await.expect("the desk is there");
                self.model.apply(now().as_unix_ms(), event);
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(30), looking).await;
        assert!(
            seen.is_ok(),
            "{} does not see {what}: {:#?}",
            self.jid,
            self.model
        );
    }

    fn said(model: &Model, with: &BareJid) -> Vec<(Direction, String)> {
        let talk = model.talks.get(with);
        let entries = talk.map(|talk| talk.entries.as_slice()).unwrap_or_default();
        entries
            .iter()
            .map(|e| (e.direction, e.body.clone()))
            .collect()
    }
}

fn stages(model: &Model, with: &BareJid) -> Vec<Stage> {
    let talk = model.talks.get(with);
    let entries = talk.map(|talk| talk.entries.as_slice()).unwrap_or_default();
    entries.iter().filter_map(Stage::of).collect()
}

#[tokio::test]
async fn what_is_said_is_kept_shown_delivered_and_read_also_while_the_server_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(([127, 0, 0, 1], 0).into(), &folder.path().join("hub")).await;
    let mut alice = Somebody::start(&server, "alice", folder.path()).await;
    let mut bob = Somebody::start(&server, "bob", folder.path()).await;
    let (a, b) = (alice.jid.clone(), bob.jid.clone());
    alice.sees("a connection", |m| m.link.is_up()).await;
    bob.sees("a connection", |m| m.link.is_up()).await;
    let super::super::link::LinkState::Up { secured, .. } = &alice.model.link.state else {
        unreachable!()
    };
    assert_eq!(secured.tls.as_deref(), Some("TLS 1.3"));
    assert!(secured.mechanism.ends_with("-PLUS"), "{secured:?}");
    assert_eq!(secured.binding.as_deref(), Some("tls-exporter"));

    alice.say(&b, "are you there?").await;
    bob.sees("a message", |m| !Somebody::said(m, &a).is_empty())
        .await;
    alice
        .sees("its delivery", |m| stages(m, &b) == [Stage::Delivered])
        .await;
    let place = bob.model.talks[&a].entries[0].place;
    assert_eq!(bob.model.unread(), 1);
    let with = a.clone();
    bob.order(Order::Seen { with, place }).await;
    bob.sees("nothing unread", |m| m.unread() == 0).await;
    alice
        .sees("that it was read", |m| stages(m, &b) == [Stage::Read])
        .await;

    let address = server.stop().await;
    alice
        .sees("that the server is gone", |m| !m.link.is_up())
        .await;
    for n in 0..5 {
        alice.say(&b, &format!("kept {n}")).await;
    }
    alice
        .sees("that all is kept", |m| stages(m, &b).len() == 6)
        .await;
    assert_eq!(stages(&alice.model, &b)[1..], [Stage::Kept; 5]);
    let server = Server::start(address, &folder.path().join("hub")).await;
    alice
        .sees("their delivery", |m| {
            stages(m, &b)[1..] == [Stage::Delivered; 5]
        })
        .await;
    bob.sees("all of them", |m| Somebody::said(m, &a).len() == 6)
        .await;
    let bodies: Vec<_> = Somebody::said(&bob.model, &a)
        .into_iter()
        .map(|(_, b)| b)
        .collect();
    let wanted = [
        "are you there?",
        "kept 0",
        "kept 1",
        "kept 2",
        "kept 3",
        "kept 4",
    ];
    assert_eq!(bodies, wanted);

    // After a restart it is all there.
    alice.desk.close().await.unwrap();
    let mut alice = Somebody::start(&server, "alice", folder.path()).await;
    alice.order(Order::Open(b.clone())).await;
    alice
        .sees("the history", |m| stages(m, &b).len() == 6)
        .await;
    assert_eq!(alice.model.talks[&b].preview, "kept 4");
    alice.desk.close().await.unwrap();
    bob.desk.close().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn contacts_show_how_they_are_once_they_have_agreed() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(([127, 0, 0, 1], 0).into(), &folder.path().join("hub")).await;
    let mut alice = Somebody::start(&server, "alice", folder.path()).await;
    let mut bob = Somebody::start(&server, "bob", folder.path()).await;
    let (a, b) = (alice.jid.clone(), bob.jid.clone());
    alice.sees("a connection", |m| m.link.is_up()).await;
    bob.sees("a connection", |m| m.link.is_up()).await;
    let name = None;
    let who = b.clone();
    alice.order(Order::Add { who, name }).await;
    bob.sees("who asks", |m| m.asked.contains_key(&a)).await;
    let (to, answer) = (a.clone(), Answer::Accept);
    bob.order(Order::Answer { to, answer }).await;
    bob.sees("that it is answered", |m| m.asked.is_empty())
        .await;
    alice
        .sees("who asks back", |m| m.asked.contains_key(&b))
        .await;
    let (to, answer) = (b.clone(), Answer::Accept);
    alice.order(Order::Answer { to, answer }).await;
    let how = |m: &Model, who: &BareJid| m.persons.get(who).and_then(|p| p.availability());
    alice
        .sees("bob", |m| how(m, &b) == Some(Availability::Available))
        .await;
    let (availability, text) = (Availability::Busy, "on a ladder".to_owned());
    bob.order(Order::Status { availability, text }).await;
    alice
        .sees("busy", |m| how(m, &b) == Some(Availability::Busy))
        .await;
    assert_eq!(alice.model.persons[&b].status(), "on a ladder");
    bob.desk.close().await.unwrap();
    alice
        .sees("gone", |m| how(m, &b) == Some(Availability::Unavailable))
        .await;
    alice.desk.close().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn what_is_said_in_a_room_is_there_once_and_the_room_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(([127, 0, 0, 1], 0).into(), &folder.path().join("hub")).await;
    let mut alice = Somebody::start(&server, "alice", folder.path()).await;
    let mut bob = Somebody::start(&server, "bob", folder.path()).await;
    let room: BareJid = format!("tea@rooms.{DOMAIN}").parse().unwrap();
    let join = Order::Join {
        room: room.clone(),
        nick: None,
        password: None,
    };
    let inside = |m: &Model| m.rooms.get(&room).is_some_and(|room| room.entered);
    alice.order(join.clone()).await;
    alice.sees("the room", inside).await;
    bob.order(join).await;
    bob.sees("the room", inside).await;
    alice
        .sees("bob in it", |m| m.rooms[&room].members.contains_key("bob"))
        .await;
    alice.say(&room, "tea?").await;
    bob.sees("the question", |m| Somebody::said(m, &room).len() == 1)
        .await;
    bob.say(&room, "yes").await;
    alice
        .sees("both", |m| {
            Somebody::said(m, &room).len() == 2 && stages(m, &room) == [Stage::Received]
        })
        .await;
    let wanted = [
        (Direction::Out, "tea?".to_owned()),
        (Direction::In, "yes".to_owned()),
    ];
    assert_eq!(Somebody::said(&alice.model, &room), wanted);
    alice.desk.close().await.unwrap();
    let mut alice = Somebody::start(&server, "alice", folder.path()).await;
    alice.sees("the room again", inside).await;
    alice.order(Order::Open(room.clone())).await;
    alice
        .sees("what was said", |m| Somebody::said(m, &room) == wanted)
        .await;
    let leave = Order::Leave(room.clone());
    alice.order(leave).await;
    alice.sees("no room", |m| m.rooms.is_empty()).await;
    alice.desk.close().await.unwrap();
    bob.desk.close().await.unwrap();
    server.stop().await;
}

#[tokio::test]
async fn an_invitation_waits_for_its_answer_also_after_a_restart_and_is_gone_once_it_has_one() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(([127, 0, 0, 1], 0).into(), &folder.path().join("hub")).await;
    let mut alice = Somebody::start(&server, "alice", folder.path()).await;
    let mut bob = Somebody::start(&server, "bob", folder.path()).await;
    let (a, b) = (alice.jid.clone(), bob.jid.clone());
    let room: BareJid = format!("tea@rooms.{DOMAIN}").parse().unwrap();
    let join = |room: &BareJid| Order::Join {
        room: room.clone(),
        nick: None,
        password: None,
    };
    let is_inside = |m: &Model, of: &BareJid| m.rooms.get(of).is_some_and(|room| room.entered);
    let inside = |m: &Model| is_inside(m, &room);
    let is_invited = |m: &Model, to: &BareJid| {
        let by = m.invited.get(to).and_then(|(by, _)| by.clone());
        by.is_some_and(|by| by.starts_with(a.as_str()))
    };
    let invited = |m: &Model| is_invited(m, &room);
    let invite = |room: &BareJid| Order::Invite {
        room: room.clone(),
        whom: b.clone(),
    };
    alice.order(join(&room)).await;
    alice.sees("the room", inside).await;
    bob.sees("a connection", |m| m.link.is_up()).await;
    alice.order(invite(&room)).await;
    bob.sees("an invitation", invited).await;

    bob.desk.close().await.unwrap();
    let mut bob = Somebody::start(&server, "bob", folder.path()).await;
    bob.sees("the invitation again", invited).await;
    bob.sees("a connection", |m| m.link.is_up()).await;

    // Who invited cannot be told at the moment: it waits on.
    let address = server.stop().await;
    bob.sees("that the server is gone", |m| !m.link.is_up())
        .await;
    bob.order(Order::Decline(room.clone())).await;
    bob.sees("that it is not declined", |m| {
        m.notices.iter().any(|n| n.text.contains("not declined"))
    })
    .await;
    assert!(invited(&bob.model));
    let server = Server::start(address, &folder.path().join("hub")).await;
    alice.say(&room, "tea again").await;
    alice
        .sees("the room again", |m| stages(m, &room) == [Stage::Received])
        .await;
    bob.sees("the server", |m| m.link.is_up()).await;
    bob.order(Order::Decline(room.clone())).await;
    bob.sees("no invitation", |m| m.invited.is_empty()).await;
    alice
        .sees("that bob does not come", |m| {
            m.notices.iter().any(|n| n.text.contains("does not come"))
        })
        .await;

    bob.desk.close().await.unwrap();
    let mut bob = Somebody::start(&server, "bob", folder.path()).await;
    // What waits is told before any order is taken.
    bob.order(Order::Open(a.clone())).await;
    let opened = |m: &Model| m.talks.get(&a).is_some_and(|talk| talk.loaded);
    bob.sees("a conversation", opened).await;
    assert!(bob.model.invited.is_empty());

    bob.sees("a connection", |m| m.link.is_up()).await;
    let other: BareJid = format!("cake@rooms.{DOMAIN}").parse().unwrap();
    alice.order(join(&other)).await;
    alice.sees("another room", |m| is_inside(m, &other)).await;
    alice.order(invite(&other)).await;
    bob.sees("another invitation", |m| is_invited(m, &other))
        .await;
    bob.order(join(&other)).await;
    bob.sees("the other room", |m| is_inside(m, &other)).await;
    assert!(bob.model.invited.is_empty());
    bob.order(Order::Leave(other.clone())).await;
    bob.sees("no room", |m| m.rooms.is_empty()).await;
    bob.desk.close().await.unwrap();
    let mut bob = Somebody::start(&server, "bob", folder.path()).await;
    bob.order(Order::Open(a.clone())).await;
    bob.sees("a conversation", opened).await;
    assert!(bob.model.invited.is_empty());
    alice.desk.close().await.unwrap();
    bob.desk.close().await.unwrap();
    server.stop().await;
}

/// A lamp on the account `lamp`, which alice may read and set.
#[cfg(feature = "gateway")]
#[tokio::test]
async fn a_thing_that_is_watched_tells_what_it_is_and_is_set_once() {
    use stanchion::device::adapter::{Supervisor, SupervisorConfig, from_adapters};
    use stanchion::device::adapters::simulated::{Adapter, Config};
    use stanchion::device::host::{Access, Grant, HostConfig};
    use stanchion::device::model::Value;
    use stanchion::services::allowed::Allowed;
    use stanchion::services::roster::Policy;
    use stanchion::stanza::Text;

    use super::super::thing::{ControlKind, ThingKey};

    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(([127, 0, 0, 1], 0).into(), &folder.path().join("hub")).await;
    let mut alice = Somebody::start(&server, "alice", folder.path()).await;
    let a = alice.jid.clone();
    let mut things = HostConfig::default();
    things.access = Access::default().with(Grant::to_all(Allowed::accounts([a.clone()])));
    let (lamp, _incoming) = Client::builder(format!("lamp@{DOMAIN}").parse().unwrap())
        .password("lamp".to_owned().into())
        .server("127.0.0.1", server.address.port())
        .direct_tls()
        .pin(server.pin)
        .things(things)
        .subscriptions(Policy::AcceptFrom(vec![a]))
        .store_file(folder.path().join("lamp.sqlite"))
        .start()
        .await
        .unwrap();
    let config: Config = toml::from_str("kind = 'lamp'\ninterval = '100ms'").unwrap();
    let (reports, mut told) = from_adapters(64);
    let adapter = Box::new(Adapter::new(config).unwrap());
    let supervisor = Supervisor::start("lamps", adapter, reports, SupervisorConfig::default());
    let host = lamp.thing_host().unwrap().clone();
    host.attach(supervisor.control());
    let reporting = tokio::spawn(async move {
        while let Some(event) = told.recv().await {
            if host.take(event).await.is_err() {
                return;
            }
        }
    });

    let of = ThingKey {
        account: format!("lamp@{DOMAIN}").parse().unwrap(),
        thing: Text::from_static("lamp-1"),
    };
    let on = |model: &Model| {
        let field = model
            .things
            .get(&of)?
            .fields
            .get(&Text::from_static("on"))?;
        Some(field.value == Value::Boolean(true))
    };
    alice.sees("a connection", |m| m.link.is_up()).await;
    alice.order(Order::Watch(of.account.clone().into())).await;
    alice.sees("the lamp", |m| on(m) == Some(false)).await;
    alice.order(Order::Controls(of.clone())).await;
    alice
        .sees("what can be set", |m| m.things[&of].controls.is_some())
        .await;
    let controls = alice.model.things[&of].controls.clone().unwrap();
    let named = |name: &str| controls.iter().find(|c| &*c.name == name).unwrap();
    assert_eq!(named("on").kind, ControlKind::Switch);
    assert!(matches!(named("level").kind, ControlKind::Number { .. }));

    let set = |parameter, value: &str| Order::Set {
        of: of.clone(),
        parameter: Text::from_static(parameter),
        value: value.to_owned(),
    };
    let outcome = |model: &Model| model.things[&of].command.clone().and_then(|c| c.1);
    alice.order(set("on", "true")).await;
    alice.sees("light", |m| on(m) == Some(true)).await;
    alice
        .sees("that it was done", |m| {
            outcome(m).is_some_and(|o| o.is_ok())
        })
        .await;
    alice.order(set("level", "7000")).await;
    alice
        .sees("a refusal", |m| outcome(m).is_some_and(|o| o.is_err()))
        .await;
    let readings = alice.desk.readings().unwrap();
    let name = Text::new(of.to_string()).unwrap();
    let kept = readings.look(name, 0, i64::MAX, 1000).await.unwrap();
    assert!(kept.iter().any(|(_, r)| r.value == Value::Boolean(true)));

    supervisor.shutdown().await;
    reporting.abort();
    alice.desk.close().await.unwrap();
    lamp.shutdown().await.unwrap();
    server.stop().await;
}

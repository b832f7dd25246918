//! Contacts, presence, capabilities and blocking, over the embedded hub: two devices that
//! get to know each other.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]

mod support;

use std::path::Path;

use stanchion_connect::Connector;
use stanchion_reliability::session::SessionConfig;
use stanchion_services::blocking::{Blocking, BlockingEvent, Blocks};
use stanchion_services::disco::{Disco, Discovery, NODE, Node};
use stanchion_services::ping::{Pings, ping};
use stanchion_services::presence::{
    Availability, PresenceConfig, PresenceEvent, Presences, Present, Status,
};
use stanchion_services::roster::{Contacts, Policy, Roster, RosterEvent, Subscription};
use stanchion_services::{HostBuilder, RequestError};
use stanchion_stanza::payload::delivery::place_of;
use stanchion_stanza::payload::disco::{DiscoInfo, Identity};
use stanchion_stanza::{BareJid, Jid, Text, ns};
use support::{Device, Server, soon};
use tokio::sync::broadcast::Receiver;

struct Peer {
    device: Device,
    roster: Roster,
    presences: Presences,
    discovery: Discovery,
    blocking: Blocking,
}

impl Peer {
    async fn start(server: &Server, name: &str, file: &Path) -> Self {
        Self::start_as(server, name, file, Policy::Ask, PresenceConfig::default()).await
    }

    async fn start_as(
        server: &Server,
        name: &str,
        file: &Path,
        policy: Policy,
        presence: PresenceConfig,
    ) -> Self {
        let connector = server.connector(name);
        Self::connect(connector, file, policy, presence).await
    }

    async fn start_through(server: &Server, name: &str, file: &Path, line: &Line) -> Self {
        let connector = server.connector_at(name, line.place);
        Self::connect(connector, file, Policy::Ask, PresenceConfig::default()).await
    }

    async fn connect(
        connector: Connector,
        file: &Path,
        policy: Policy,
        presence: PresenceConfig,
    ) -> Self {
        let mut services = HostBuilder::new();
        let disco = services.add(Disco::default());
        services.add(Pings::default());
        let blocks = services.add(Blocks::default());
        let contacts = services.add(Contacts::new(policy));
        let present = services.add(Present::new(presence));
        let mut config = SessionConfig::default();
        config.presence = None;
        let device = Device::begin_by(connector, file, services, config).await;
        device.connected().await;
        let requests = device.host.requests();
        Self {
            roster: Roster::new(contacts, requests.clone()),
            presences: Presences::new(present),
            discovery: Discovery::new(disco, requests.clone()),
            blocking: Blocking::new(blocks, requests),
            device,
        }
    }

    fn account(&self) -> BareJid {
        self.device.jid().to_bare()
    }

    /// Waits until the contact is so.
    async fn until(&self, contact: &BareJid, subscription: Subscription) {
        let mut events = self.roster.events();
        let jid = Jid::from(contact.clone());
        loop {
            let known = soon(self.roster.contact(&jid)).await.unwrap();
            if known.is_some_and(|c| c.subscription == subscription) {
                return;
            }
            soon(events.recv()).await.unwrap();
        }
    }

    /// Lets the other see us, and sees it.
    async fn befriend(&self, other: &Self) {
        for (one, two) in [(self, other), (other, self)] {
            let mut asked = two.roster.events();
            soon(one.roster.subscribe(two.account())).await.unwrap();
            let from = one.account();
            until(
                &mut asked,
                |e| matches!(e, RosterEvent::Requested { from: f, .. } if *f == from),
            )
            .await;
            soon(two.roster.approve(from)).await.unwrap();
        }
        self.until(&other.account(), Subscription::Both).await;
        other.until(&self.account(), Subscription::Both).await;
    }
}

/// The next event like that.
async fn until<E: Clone>(events: &mut Receiver<E>, wanted: impl Fn(&E) -> bool) -> E {
    loop {
        let event = soon(events.recv()).await.unwrap();
        if wanted(&event) {
            return event;
        }
    }
}

async fn available(events: &mut Receiver<PresenceEvent>, who: &BareJid) -> (Jid, Status) {
    let here = |e: &PresenceEvent| matches!(e, PresenceEvent::Available { jid, .. } if jid.to_bare() == *who);
    match until(events, here).await {
        PresenceEvent::Available { jid, status } => (jid, status),
        other => panic!("{other:?}"),
    }
}

async fn gone(events: &mut Receiver<PresenceEvent>, who: &BareJid) {
    until(
        events,
        |e| matches!(e, PresenceEvent::Unavailable { jid, .. } if jid.to_bare() == *who),
    )
    .await;
}

#[tokio::test]
async fn two_devices_become_contacts_and_see_each_other_come_change_and_go() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let lamp = Peer::start(&server, "lamp", &folder.path().join("l")).await;
    let phone = Peer::start(&server, "phone", &folder.path().join("p")).await;
    let who = lamp.account();
    let mut seen = phone.presences.events();
    lamp.befriend(&phone).await;
    let (jid, status) = available(&mut seen, &who).await;
    assert_eq!((jid, status), (lamp.device.jid(), Status::available()));

    let busy = Status::busy()
        .with_text(Text::from_static("warming up"))
        .with_priority(7);
    soon(lamp.presences.set(busy.clone())).await.unwrap();
    assert_eq!(available(&mut seen, &who).await.1, busy);
    let best = soon(phone.presences.best(&who)).await.unwrap();
    assert_eq!(best, Some((lamp.device.jid(), busy)));

    // Connected, and seen by nobody.
    soon(lamp.presences.set(Status::unavailable()))
        .await
        .unwrap();
    gone(&mut seen, &who).await;
    assert_eq!(soon(phone.presences.best(&who)).await.unwrap(), None);
    soon(ping(&lamp.device.host.requests(), None))
        .await
        .unwrap();

    soon(lamp.presences.set(Status::away())).await.unwrap();
    let (_, status) = available(&mut seen, &who).await;
    assert_eq!(status.availability, Availability::Away);
    lamp.device.stop().await;
    gone(&mut seen, &who).await;
    phone.device.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_subscription_can_be_denied_cancelled_and_removed() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let lamp = Peer::start(&server, "lamp", &folder.path().join("l")).await;
    let phone = Peer::start(&server, "phone", &folder.path().join("p")).await;
    let (mut at_lamp, mut at_phone) = (lamp.roster.events(), phone.roster.events());
    for (who, roster) in [(&lamp, &lamp.roster), (&phone, &phone.roster)] {
        soon(roster.loaded()).await.unwrap();
        assert_eq!(soon(roster.contacts()).await.unwrap(), []);
        assert_eq!(soon(who.roster.requests()).await.unwrap().len(), 0);
    }

    soon(phone.roster.subscribe(lamp.account())).await.unwrap();
    until(&mut at_lamp, |e| matches!(e, RosterEvent::Requested { .. })).await;
    let waiting = soon(lamp.roster.requests()).await.unwrap();
    assert!(waiting.contains_key(&phone.account()));
    soon(lamp.roster.deny(phone.account())).await.unwrap();
    until(&mut at_phone, |e| matches!(e, RosterEvent::Denied { .. })).await;
    assert!(soon(lamp.roster.requests()).await.unwrap().is_empty());

    lamp.befriend(&phone).await;
    soon(phone.roster.unsubscribe(lamp.account()))
        .await
        .unwrap();
    until(&mut at_lamp, |e| matches!(e, RosterEvent::Left { .. })).await;
    lamp.until(&phone.account(), Subscription::To).await;
    soon(phone.roster.deny(lamp.account())).await.unwrap();
    lamp.until(&phone.account(), Subscription::None).await;

    soon(phone.roster.remove(lamp.account())).await.unwrap();
    let removed = RosterEvent::Removed(lamp.account().into());
    until(&mut at_phone, |e| *e == removed).await;
    let again = soon(phone.roster.remove(lamp.account())).await;
    assert!(matches!(again, Err(RequestError::Refused { .. })));
    // The hub does not offer it.
    let refused = soon(lamp.roster.approve_in_advance(phone.account())).await;
    assert!(matches!(refused, Err(RequestError::NotOffered { .. })));
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn what_the_policy_says_is_done_without_the_application() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let friends = Policy::AcceptFrom(vec!["home.example".parse().unwrap()]);
    let config = PresenceConfig::default();
    let file = folder.path().join("l");
    let lamp = Peer::start_as(&server, "lamp", &file, friends, config).await;
    let phone = Peer::start(&server, "phone", &folder.path().join("p")).await;
    let (mut at_lamp, mut seen) = (lamp.roster.events(), phone.presences.events());
    soon(phone.roster.subscribe(lamp.account())).await.unwrap();
    until(&mut at_lamp, |e| matches!(e, RosterEvent::Accepted { .. })).await;
    available(&mut seen, &lamp.account()).await;
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn contacts_have_names_and_groups_which_are_known_without_a_connection() {
    let server = Server::start(&["phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("p");
    let phone = Peer::start(&server, "phone", &file).await;
    let lamp: BareJid = "lamp@home.example".parse().unwrap();
    let text = Text::from_static;
    let roster = &phone.roster;
    let mut events = roster.events();
    soon(roster.set(lamp.clone(), Some(text("Lamp")), [text("Hall")]))
        .await
        .unwrap();
    until(&mut events, |e| matches!(e, RosterEvent::Changed(_))).await;
    soon(roster.add_to_group(lamp.clone(), text("Lamps")))
        .await
        .unwrap();
    until(
        &mut events,
        |e| matches!(e, RosterEvent::Changed(c) if c.groups.len() == 2),
    )
    .await;
    soon(roster.rename(lamp.clone(), Some(text("Hall lamp"))))
        .await
        .unwrap();
    until(
        &mut events,
        |e| matches!(e, RosterEvent::Changed(c) if c.name.as_deref() == Some("Hall lamp")),
    )
    .await;
    soon(roster.remove_from_group(lamp.clone(), &text("Hall")))
        .await
        .unwrap();
    until(
        &mut events,
        |e| matches!(e, RosterEvent::Changed(c) if c.groups == ["Lamps"]),
    )
    .await;
    phone.device.stop().await;

    // The same hub: what is kept is what it has, and it says so with nothing.
    let phone = Peer::start(&server, "phone", &file).await;
    soon(phone.roster.loaded()).await.unwrap();
    let known = soon(phone.roster.contacts()).await.unwrap();
    assert_eq!(known.len(), 1);
    phone.device.stop().await;

    let mut services = HostBuilder::new();
    let contacts = services.add(Contacts::default());
    let elsewhere = Server::start(&["phone"]).await;
    let unreachable = elsewhere.connector("phone");
    elsewhere.stop().await;
    let offline = Device::begin_by(unreachable, &file, services, SessionConfig::default()).await;
    let roster = Roster::new(contacts, offline.host.requests());
    let known = soon(roster.contact(&lamp.into())).await.unwrap().unwrap();
    assert_eq!(known.name.as_deref(), Some("Hall lamp"));
    assert_eq!(known.groups, ["Lamps"]);
    offline.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn what_a_contact_can_is_known_by_its_capabilities() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let lamp = Peer::start(&server, "lamp", &folder.path().join("l")).await;
    let phone = Peer::start(&server, "phone", &folder.path().join("p")).await;
    let mut seen = phone.presences.events();
    lamp.befriend(&phone).await;
    available(&mut seen, &lamp.account()).await;
    let jid = lamp.device.jid();
    let can = soon(phone.discovery.features_of(jid.clone()))
        .await
        .unwrap();
    assert!(can.has(ns::PING) && can.has(ns::CAPS), "{can:?}");
    assert!(place_of(&can).is_some(), "the hash covers who it is");
    assert!(
        soon(phone.discovery.supports(jid.clone(), ns::PING))
            .await
            .unwrap()
    );

    let claimed = soon(phone.discovery.claimed_by(&jid)).await.unwrap();
    assert!(claimed.is_some_and(|(caps, verified)| verified && caps.verify(&can)));
    let of = |jid: &Jid| phone.discovery.features_of(jid.clone());
    assert_eq!(soon(of(&jid)).await.unwrap(), can);

    // A node of its own, and the one that its capabilities name.
    let node = Node {
        name: Text::from_static("shelf"),
        info: DiscoInfo {
            identities: vec![Identity {
                category: Text::from_static("hierarchy"),
                kind: Text::from_static("leaf"),
                name: Some(Text::from_static("Shelf")),
                lang: None,
            }],
            ..DiscoInfo::default()
        },
        items: Vec::new(),
        listed: true,
    };
    soon(lamp.discovery.put_node(node)).await.unwrap();
    let items = soon(phone.discovery.items(jid.clone(), None))
        .await
        .unwrap();
    assert_eq!(items.items.len(), 1);
    assert_eq!(items.items[0].name.as_deref(), Some("Shelf"));
    let shelf = Some(Text::from_static("shelf"));
    let shelf = soon(phone.discovery.info(jid.clone(), shelf))
        .await
        .unwrap();
    assert_eq!(shelf.identities.len(), 1);
    let unknown = Text::new(format!("{NODE}#unknown")).unwrap();
    let refused = soon(phone.discovery.info(jid, Some(unknown))).await;
    assert!(matches!(refused, Err(RequestError::Refused { .. })));

    let of_server = soon(of(&"home.example".parse().unwrap())).await.unwrap();
    assert!(of_server.has(ns::BLOCKING));
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn presence_shown_to_one_alone_ends_with_a_goodbye() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let unseen = PresenceConfig::default();
    let file = folder.path().join("l");
    let lamp = Peer::start_as(&server, "lamp", &file, Policy::Ask, unseen).await;
    let phone = Peer::start(&server, "phone", &folder.path().join("p")).await;
    let mut seen = phone.presences.events();
    let away = Status::away().with_text(Text::from_static("for you"));
    let to = phone.device.jid();
    soon(lamp.presences.show_to(to.clone(), away.clone()))
        .await
        .unwrap();
    assert_eq!(
        available(&mut seen, &lamp.account()).await,
        (lamp.device.jid(), away)
    );
    soon(lamp.presences.hide_from(to)).await.unwrap();
    gone(&mut seen, &lamp.account()).await;
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_status_that_is_kept_is_announced_by_the_next_process() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let phone = Peer::start(&server, "phone", &folder.path().join("p")).await;
    let file = folder.path().join("l");
    let mut config = PresenceConfig::default();
    config.keep = true;
    let lamp = Peer::start_as(&server, "lamp", &file, Policy::Ask, config.clone()).await;
    let who = lamp.account();
    lamp.befriend(&phone).await;
    soon(lamp.presences.set(Status::busy())).await.unwrap();
    lamp.device.stop().await;
    let mut seen = phone.presences.events();
    let lamp = Peer::start_as(&server, "lamp", &file, Policy::Ask, config).await;
    assert_eq!(available(&mut seen, &who).await.1, Status::busy());
    lamp.device.stop().await;
    // Another application on the same store does not want it.
    let mut seen = phone.presences.events();
    let lamp = Peer::start(&server, "lamp", &file).await;
    assert_eq!(available(&mut seen, &who).await.1, Status::available());
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn who_is_blocked_sees_us_go_and_is_not_heard() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let lamp = Peer::start(&server, "lamp", &folder.path().join("l")).await;
    let phone = Peer::start(&server, "phone", &folder.path().join("p")).await;
    lamp.befriend(&phone).await;
    let mut seen = phone.presences.events();
    let mut changes = lamp.blocking.events();
    let who = Jid::from(phone.account());
    soon(lamp.blocking.block([who.clone()])).await.unwrap();
    let blocked = BlockingEvent::Blocked(vec![who.clone()]);
    assert_eq!(soon(changes.recv()).await.unwrap(), blocked);
    assert!(
        soon(lamp.blocking.is_blocked(&phone.device.jid()))
            .await
            .unwrap()
    );
    gone(&mut seen, &lamp.account()).await;
    let requests = phone.device.host.requests();
    let unheard = ping(&requests, Some(lamp.device.jid()));
    assert!(matches!(
        soon(unheard).await,
        Err(RequestError::Refused { .. })
    ));

    soon(lamp.blocking.unblock([who])).await.unwrap();
    available(&mut seen, &lamp.account()).await;
    soon(ping(&phone.device.host.requests(), Some(lamp.device.jid())))
        .await
        .unwrap();
    assert!(soon(lamp.blocking.list()).await.unwrap().is_empty());
    soon(lamp.blocking.block(["far.example".parse().unwrap()]))
        .await
        .unwrap();
    soon(lamp.blocking.unblock_all()).await.unwrap();
    until(&mut changes, |e| *e == BlockingEvent::UnblockedAll).await;
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn who_is_blocked_is_still_blocked_when_the_server_was_killed() {
    let accounts = ["lamp", "phone"];
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("hub");
    let server = Server::start_in(&accounts, Some(&state)).await;
    let (here, there) = (folder.path().join("l"), folder.path().join("p"));
    let lamp = Peer::start(&server, "lamp", &here).await;
    let phone = Peer::start(&server, "phone", &there).await;
    lamp.befriend(&phone).await;
    let who = Jid::from(phone.account());
    let far: Jid = "far.example".parse().unwrap();
    let both = [who.clone(), far.clone()];
    soon(lamp.blocking.block(both)).await.unwrap();
    soon(lamp.blocking.unblock([far])).await.unwrap();
    server.crash().await;
    lamp.device.stop().await;
    phone.device.stop().await;

    let server = Server::start_in(&accounts, Some(&state)).await;
    let lamp = Peer::start(&server, "lamp", &here).await;
    let phone = Peer::start(&server, "phone", &there).await;
    let blocked: Vec<Jid> = soon(lamp.blocking.list())
        .await
        .unwrap()
        .into_iter()
        .collect();
    assert_eq!(blocked, [who]);
    let requests = phone.device.host.requests();
    let unheard = ping(&requests, Some(lamp.device.jid()));
    assert!(matches!(
        soon(unheard).await,
        Err(RequestError::Refused { .. })
    ));
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

/// What a client and its server say goes through here, until it is cut.
struct Line {
    place: std::net::SocketAddr,
    cut: tokio::sync::watch::Sender<u32>,
    task: tokio::task::JoinHandle<()>,
}

impl Line {
    async fn to(server: std::net::SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let place = listener.local_addr().unwrap();
        let (cut, watch) = tokio::sync::watch::channel(0);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                let mut cut = watch.clone();
                cut.mark_unchanged();
                connections.spawn(async move {
                    let mut far = tokio::net::TcpStream::connect(server).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { place, cut, task }
    }

    fn cut(&self) {
        self.cut.send_modify(|n| *n += 1);
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_and_resumed_changes_nothing_that_contacts_see() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let line = Line::to(server.address()).await;
    let lamp = Peer::start_through(&server, "lamp", &folder.path().join("l"), &line).await;
    let phone = Peer::start(&server, "phone", &folder.path().join("p")).await;
    lamp.befriend(&phone).await;
    let (mut at_lamp, mut at_phone) = (lamp.presences.events(), phone.presences.events());
    let jid = lamp.device.jid();

    line.cut();
    until(&mut at_lamp, |e| *e == PresenceEvent::Interrupted).await;
    // Said while there is no stream, perhaps, and on the next one.
    soon(lamp.presences.set(Status::busy())).await.unwrap();
    until(&mut at_lamp, |e| *e == PresenceEvent::Resumed).await;
    let best = soon(lamp.presences.best(&phone.account())).await.unwrap();
    assert_eq!(best.map(|(jid, _)| jid), Some(phone.device.jid()));
    let next = until(&mut at_phone, |e| match e {
        PresenceEvent::Unavailable { jid: gone, .. } => *gone == jid,
        PresenceEvent::Available { status, .. } => *status == Status::busy(),
        _ => false,
    })
    .await;
    let status = Status::busy();
    assert_eq!(
        next,
        PresenceEvent::Available {
            jid: jid.clone(),
            status
        }
    );
    assert_eq!(lamp.device.jid(), jid);
    lamp.device.stop().await;
    phone.device.stop().await;
    line.task.abort();
    server.stop().await;
}

#[tokio::test]
async fn a_process_that_goes_on_with_the_session_of_one_that_was_killed_knows_who_is_there() {
    let server = Server::start(&["lamp", "phone"]).await;
    let folder = tempfile::tempdir().unwrap();
    let phone = Peer::start(&server, "phone", &folder.path().join("p")).await;
    let file = folder.path().join("l");
    let lamp = Peer::start(&server, "lamp", &file).await;
    let jid = lamp.device.jid();
    lamp.befriend(&phone).await;
    // One who waits for an answer when the process is killed.
    let mut asked = lamp.roster.events();
    soon(lamp.roster.remove(phone.account())).await.unwrap();
    soon(phone.roster.subscribe(lamp.account())).await.unwrap();
    until(&mut asked, |e| matches!(e, RosterEvent::Requested { .. })).await;
    soon(lamp.roster.subscribe(phone.account())).await.unwrap();
    soon(phone.roster.approve(lamp.account())).await.unwrap();
    lamp.until(&phone.account(), Subscription::To).await;
    drop(lamp);

    let lamp = Peer::start(&server, "lamp", &file).await;
    assert_eq!(lamp.device.jid(), jid, "the session goes on");
    let mut seen = lamp.presences.events();
    let who = phone.account();
    while soon(lamp.presences.best(&who)).await.unwrap().is_none() {
        soon(seen.recv()).await.unwrap();
    }
    let mut asked = lamp.roster.events();
    while soon(lamp.roster.requests()).await.unwrap().is_empty() {
        soon(asked.recv()).await.unwrap();
    }
    lamp.device.stop().await;
    phone.device.stop().await;
    server.stop().await;
}

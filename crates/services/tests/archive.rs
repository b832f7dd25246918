//! Catching up with an account's archive, and carbons, over the embedded hub: what another
//! device took while this one was away comes once, in order, whatever ends when.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]

mod support;

use std::path::Path;

use stanchion_reliability::outcome::Outcome;
use stanchion_reliability::session::Outgoing;
use stanchion_services::HostBuilder;
use stanchion_services::archive::{Archive, ArchiveConfig, ArchiveEvent, Archives, Beginning};
use stanchion_services::disco::Disco;
use stanchion_services::history::{Direction, Page, Progress};
use stanchion_stanza::payload::mam::{DefaultPolicy, Filter, Prefs};
use stanchion_stanza::payload::rsm::{PageRequest, Position};
use stanchion_stanza::{BareJid, Jid, Message, Text};
use support::{Device, Server, soon};
use tokio::sync::broadcast;

fn bare(name: &str) -> BareJid {
    format!("{name}@home.example").parse().unwrap()
}

/// A device with an archive service, and its events from the start.
struct Archiving {
    device: Device,
    archives: Archives,
    events: broadcast::Receiver<ArchiveEvent>,
}

impl Archiving {
    async fn start(server: &Server, name: &str, file: &Path, config: ArchiveConfig) -> Self {
        let mut services = HostBuilder::new();
        services.add(Disco::default());
        let handle = services.add(Archive::new(config, 7));
        let events = handle.events();
        let device = Device::start(server, name, file, services).await;
        let archives = Archives::new(handle, device.host.requests());
        Self {
            device,
            archives,
            events,
        }
    }

    async fn caught_up(&mut self) -> (u64, u64) {
        loop {
            match soon(self.events.recv()).await.unwrap() {
                ArchiveEvent::CaughtUp { received, noted } => return (received, noted),
                other => assert!(matches!(other, ArchiveEvent::SentElsewhere(_)), "{other:?}"),
            }
        }
    }

    /// The next message's text, committed into the history.
    async fn next(&mut self) -> String {
        let received = soon(self.device.incoming.recv()).await.unwrap();
        let message = self.device.host.history().commit(received).await.unwrap();
        message.body().unwrap().into_owned()
    }

    async fn bodies(&self, with: &BareJid) -> Vec<String> {
        let history = self.device.host.history();
        let entries = history.page(with, Page::Latest, 500).await.unwrap();
        entries.into_iter().map(|entry| entry.body).collect()
    }
}

/// What comes while this device is away; copies of what happens meanwhile if `carbons`.
fn config(carbons: bool) -> ArchiveConfig {
    let mut config = ArchiveConfig::default();
    config.carbons = carbons;
    config.catch_up = Some(Beginning::Now);
    config
}

/// As a client of another make says it: no delivery protocol, no receipt.
async fn say(device: &Device, to: &Jid, body: &str) {
    let id = Text::new(format!("id-{body}")).unwrap();
    let message = Message::chat(to.clone()).with_id(id);
    let message = message.with_body(Text::new(body).unwrap());
    let sender = device.session.sender();
    sender.transmit(message.to_element()).await.unwrap();
}

async fn plain(server: &Server, name: &str, file: &Path) -> Device {
    let mut services = HostBuilder::new();
    services.add(Disco::default());
    Device::start(server, name, file, services).await
}

async fn take(device: &mut Device) -> String {
    let received = soon(device.incoming.recv()).await.unwrap();
    let body = received.message().body().unwrap().into_owned();
    received.commit().await.unwrap();
    body
}

#[tokio::test]
async fn what_another_device_took_while_this_one_was_away_comes_once_and_in_order() {
    let server = Server::start(&["me", "peer"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("me");
    let mut first = Archiving::start(&server, "me", &file, config(false)).await;
    assert_eq!(first.caught_up().await, (0, 0));
    first.device.stop().await;

    let mut other = plain(&server, "me", &folder.path().join("other")).await;
    let peer = plain(&server, "peer", &folder.path().join("peer")).await;
    let me = bare("me").into();
    for n in 0..300 {
        say(&peer, &me, &format!("m{n}")).await;
        assert_eq!(take(&mut other).await, format!("m{n}"));
    }
    other.stop().await;

    let mut again = Archiving::start(&server, "me", &file, config(false)).await;
    let expected: Vec<_> = (0..300).map(|n| format!("m{n}")).collect();
    for expected in &expected {
        assert_eq!(again.next().await, *expected);
    }
    assert_eq!(again.caught_up().await, (300, 0));
    assert_eq!(again.bodies(&bare("peer")).await, expected);
    // Three pages of a hundred and no more.
    let (counters, live) = (again.device.session.counters(), "live".to_owned());
    assert_eq!(counters.duplicates, 0, "{counters:?}");
    say(&peer, &me, &live).await;
    assert_eq!(again.next().await, live);
    again.device.stop().await;

    let mut last = Archiving::start(&server, "me", &file, config(false)).await;
    assert_eq!(
        last.caught_up().await,
        (1, 0),
        "the live one, which is there"
    );
    say(&peer, &me, "after").await;
    assert_eq!(last.next().await, "after", "nothing came a second time");
    last.device.stop().await;
    peer.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_process_that_dies_while_it_catches_up_misses_nothing_and_sees_nothing_twice() {
    let server = Server::start(&["me", "peer"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("me");
    let mut first = Archiving::start(&server, "me", &file, config(false)).await;
    first.caught_up().await;
    first.device.stop().await;
    let mut other = plain(&server, "me", &folder.path().join("other")).await;
    let peer = plain(&server, "peer", &folder.path().join("peer")).await;
    for n in 0..120 {
        say(&peer, &bare("me").into(), &format!("m{n}")).await;
        take(&mut other).await;
    }
    other.stop().await;
    let mut config = config(false);
    config.page = 20;
    let mut seen = Vec::new();
    // Each life takes a little more, and is dropped as a crash would.
    for most in [1, 15, 40, 30] {
        let mut life = Archiving::start(&server, "me", &file, config).await;
        for _ in 0..most {
            seen.push(life.next().await);
        }
        life.device.crash(&file).await;
    }
    let mut last = Archiving::start(&server, "me", &file, config).await;
    while seen.len() < 120 {
        seen.push(last.next().await);
    }
    last.caught_up().await;
    let expected: Vec<_> = (0..120).map(|n| format!("m{n}")).collect();
    assert_eq!(seen, expected);
    assert_eq!(last.bodies(&bare("peer")).await, expected);
    last.device.stop().await;
    peer.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn what_offline_storage_and_the_archive_both_have_is_seen_once() {
    let server = Server::start(&["me", "peer"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("me");
    let mut first = Archiving::start(&server, "me", &file, config(true)).await;
    first.caught_up().await;
    first.device.stop().await;
    let peer = plain(&server, "peer", &folder.path().join("peer")).await;
    for n in 0..20 {
        say(&peer, &bare("me").into(), &format!("m{n}")).await;
    }
    // Answered in order: by then the hub has them.
    let me = Some(bare("me").into());
    let _ = soon(stanchion_services::ping::ping(&peer.host.requests(), me)).await;
    let mut again = Archiving::start(&server, "me", &file, config(true)).await;
    for n in 0..20 {
        assert_eq!(again.next().await, format!("m{n}"));
    }
    assert_eq!(again.caught_up().await, (20, 0));
    let duplicates = again.device.session.counters().duplicates;
    assert_eq!(duplicates, 20, "each came by both ways");
    again.device.stop().await;
    peer.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn copies_of_what_another_device_does_come_in_and_are_noted() {
    let server = Server::start(&["me", "peer"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("me");
    let mut me = Archiving::start(&server, "me", &file, config(true)).await;
    me.caught_up().await;
    let mut other = plain(&server, "me", &folder.path().join("other")).await;
    let mut peer = plain(&server, "peer", &folder.path().join("peer")).await;
    say(&peer, &other.jid(), "to the other").await;
    assert_eq!(take(&mut other).await, "to the other");
    assert_eq!(me.next().await, "to the other");
    say(&other, &bare("peer").into(), "by the other").await;
    assert_eq!(take(&mut peer).await, "by the other");
    let told = soon(me.events.recv()).await.unwrap();
    let ArchiveEvent::SentElsewhere(note) = told else {
        panic!("{told:?}");
    };
    assert_eq!(note.body, "by the other");
    // To both at once: a message is not also copied to who has it.
    say(&peer, &bare("me").into(), "to both").await;
    assert_eq!(take(&mut other).await, "to both");
    assert_eq!(me.next().await, "to both");
    let history = me.device.host.history();
    let entries = history.page(&bare("peer"), Page::Latest, 10).await.unwrap();
    let entries: Vec<_> = (entries.iter())
        .map(|e| (e.body.as_str(), e.direction, e.progress))
        .collect();
    assert_eq!(
        entries,
        [
            ("to the other", Direction::In, None),
            ("by the other", Direction::Out, Some(Progress::Elsewhere)),
            ("to both", Direction::In, None),
        ]
    );
    me.device.stop().await;
    // The archive has all of it again: nothing is seen twice.
    let mut again = Archiving::start(&server, "me", &file, config(true)).await;
    assert_eq!(again.caught_up().await, (2, 1));
    assert_eq!(again.bodies(&bare("peer")).await.len(), 3);
    say(&peer, &bare("me").into(), "new").await;
    assert_eq!(again.next().await, "new");
    again.device.stop().await;
    other.stop().await;
    peer.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_was_started_again_still_has_what_went_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let (file, state) = (folder.path().join("me"), folder.path().join("hub"));
    let accounts = ["me", "peer"];
    let server = Server::start_in(&accounts, Some(&state)).await;
    let mut first = Archiving::start(&server, "me", &file, config(true)).await;
    first.caught_up().await;
    first.device.stop().await;
    let mut other = plain(&server, "me", &folder.path().join("other")).await;
    let peer = plain(&server, "peer", &folder.path().join("peer")).await;
    for n in 0..10 {
        say(&peer, &bare("me").into(), &format!("m{n}")).await;
        take(&mut other).await;
    }
    other.stop().await;
    peer.stop().await;
    server.stop().await;

    let server = Server::start_in(&accounts, Some(&state)).await;
    let mut me = Archiving::start(&server, "me", &file, config(true)).await;
    for n in 0..10 {
        assert_eq!(me.next().await, format!("m{n}"));
    }
    assert_eq!(me.caught_up().await, (10, 0));
    me.device.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn an_archive_that_is_lost_costs_nothing_that_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("me");
    let server = Server::start(&["me", "peer"]).await;
    let mut first = Archiving::start(&server, "me", &file, config(true)).await;
    let peer = plain(&server, "peer", &folder.path().join("peer")).await;
    first.caught_up().await;
    say(&peer, &bare("me").into(), "before").await;
    assert_eq!(first.next().await, "before");
    first.device.stop().await;
    let mut again = Archiving::start(&server, "me", &file, config(true)).await;
    assert_eq!(again.caught_up().await, (1, 0));
    again.device.stop().await;
    peer.stop().await;
    server.stop().await;

    // Another hub, which knows nothing of the messages of the first.
    let server = Server::start(&["me", "peer"]).await;
    let mut other = plain(&server, "me", &folder.path().join("other")).await;
    let peer = plain(&server, "peer", &folder.path().join("peer")).await;
    say(&peer, &bare("me").into(), "meanwhile").await;
    assert_eq!(take(&mut other).await, "meanwhile");
    other.stop().await;
    let mut me = Archiving::start(&server, "me", &file, config(true)).await;
    assert_eq!(me.next().await, "meanwhile");
    assert_eq!(me.caught_up().await, (1, 0));
    me.device.stop().await;
    peer.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn what_is_for_another_device_by_name_is_read_here_and_acted_on_there() {
    let server = Server::start(&["me", "peer"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("me");
    let mut other = plain(&server, "me", &folder.path().join("other")).await;
    let peer = plain(&server, "peer", &folder.path().join("peer")).await;
    let sender = peer.session.sender();
    let command = |body: &str| Outgoing::text(other.jid(), body).unwrap();
    // From here on the other device is known by its name.
    let sent = sender.send(command("first")).await.unwrap();
    assert_eq!(take(&mut other).await, "first");
    soon(sent.outcome()).await.unwrap();
    let mut me = Archiving::start(&server, "me", &file, config(true)).await;
    me.caught_up().await;
    for body in ["live", "while away"] {
        let sent = sender.send(Outgoing::text(other.jid(), body).unwrap());
        let sent = sent.await.unwrap();
        assert_eq!(take(&mut other).await, body);
        let outcome = soon(sent.outcome()).await.unwrap();
        assert!(matches!(outcome, Outcome::Delivered { .. }), "{outcome:?}");
        if body == "live" {
            let told = soon(me.events.recv()).await.unwrap();
            assert!(
                matches!(told, ArchiveEvent::ReceivedElsewhere(_)),
                "{told:?}"
            );
            assert_eq!(me.bodies(&bare("peer")).await, ["live"]);
            me.device.stop().await;
            // Another process of the same store, when all is over.
            me = Archiving::start(&server, "me", &file, ArchiveConfig::default()).await;
        }
    }
    me.device.stop().await;
    let mut me = Archiving::start(&server, "me", &file, config(true)).await;
    assert_eq!(me.caught_up().await, (0, 2));
    assert_eq!(me.bodies(&bare("peer")).await, ["live", "while away"]);
    say(&peer, &bare("me").into(), "to all").await;
    assert_eq!(me.next().await, "to all", "nothing else was handed over");
    me.device.stop().await;
    other.stop().await;
    peer.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn an_archive_is_read_in_pages_and_by_conditions_and_configured() {
    let server = Server::start(&["me", "peer", "third"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("me");
    let me = Archiving::start(&server, "me", &file, ArchiveConfig::default()).await;
    let mut peer = plain(&server, "peer", &folder.path().join("peer")).await;
    let third = plain(&server, "third", &folder.path().join("third")).await;
    for n in 0..7 {
        say(&me.device, &bare("peer").into(), &format!("m{n}")).await;
        take(&mut peer).await;
    }
    say(&third, &bare("me").into(), "third").await;
    let mut me = me;
    me.next().await;
    let filter = Filter {
        with: Some(bare("peer").into()),
        ..Filter::default()
    };
    let mut seen = Vec::new();
    let mut position = Position::First;
    loop {
        let page = PageRequest::of(3, position);
        let page = soon(me.archives.page(&filter, page)).await.unwrap();
        assert!(page.messages.len() <= 3);
        for archived in &page.messages {
            let message = archived.message.as_ref().unwrap();
            seen.push(message.body().unwrap().into_owned());
        }
        if page.complete {
            break;
        }
        position = Position::After(page.page.range.unwrap().last);
    }
    assert_eq!(seen, ["m0", "m1", "m2", "m3", "m4", "m5", "m6"]);
    let page = PageRequest::of(10, Position::After(Text::from_static("unknown")));
    let refused = soon(me.archives.page(&filter, page)).await.unwrap_err();
    assert_eq!(refused.to_string(), "the server refused: item-not-found");
    let page = PageRequest::default();
    let refused = soon(me.archives.page_of(bare("peer").into(), &filter, page)).await;
    assert!(refused.is_err(), "another's archive");
    let prefs = soon(me.archives.prefs()).await.unwrap();
    assert_eq!(prefs.default, Some(DefaultPolicy::Always));
    let wanted = Prefs {
        default: Some(DefaultPolicy::Never),
        always: vec![bare("third").into()],
        never: vec![],
    };
    assert_eq!(soon(me.archives.set_prefs(&wanted)).await.unwrap(), wanted);
    assert_eq!(soon(me.archives.prefs()).await.unwrap(), wanted);
    me.device.stop().await;
    peer.stop().await;
    third.stop().await;
    server.stop().await;
}

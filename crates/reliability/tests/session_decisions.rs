//! What an application decides about received messages, in a session over a real file: a
//! server that is played by hand sends messages of a channel and hears the verdicts.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails"
)]

mod peer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use peer::{Peer, US, opening};
use stanchion_connect::memory::{MemoryConnect, MemoryServer};
use stanchion_reliability::outcome::{NotDelivered, Outcome};
use stanchion_reliability::session::{
    CommitError, Outgoing, Receiver, Session, SessionConfig, Token,
};
use stanchion_reliability::store::rusqlite::{Connection, Error, Transaction};
use stanchion_reliability::store::{Image, MemoryStore, SqliteStore};
use stanchion_stanza::payload::delivery::VerdictState::{Delivered, Void};
use stanchion_stanza::payload::hints::Hint;

struct World {
    _session: Session,
    received: Receiver,
    server: MemoryServer,
}

async fn world(path: &Path) -> World {
    let store = SqliteStore::open(path, &opening()).unwrap();
    let make =
        |tx: &Transaction<'_>| tx.execute_batch("CREATE TABLE IF NOT EXISTS app_seen (body TEXT)");
    store.transact(make).await.unwrap();
    let (connect, server) = MemoryConnect::new();
    let config = SessionConfig::default();
    let started = Session::start(Arc::new(connect), Box::new(store), config).await;
    let (session, received) = started.unwrap();
    World {
        _session: session,
        received,
        server,
    }
}

/// Ends the session as a crash does.
async fn crash(w: World) {
    drop(w);
    // Its task goes when the runtime looks next, and with it the store.
    tokio::task::yield_now().await;
}

fn seen(path: &Path) -> Vec<String> {
    let file = Connection::open(path).unwrap();
    let mut rows = file.prepare("SELECT body FROM app_seen").unwrap();
    let bodies = rows.query_map([], |row| row.get(0)).unwrap();
    bodies.collect::<Result<_, _>>().unwrap()
}

fn insert(body: &str) -> impl FnOnce(&Transaction<'_>) -> Result<i64, Error> + Send + 'static {
    let body = body.to_owned();
    move |tx| {
        tx.execute("INSERT INTO app_seen VALUES (?1)", [body])?;
        Ok(tx.last_insert_rowid())
    }
}

#[tokio::test]
async fn an_effect_is_durable_when_its_commit_returns_and_only_then_is_its_sender_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let mut w = world(&path).await;
    let mut peer = Peer::accept(&mut w.server).await;
    peer.send("m1", 1).await;
    let received = w.received.recv().await.unwrap();
    assert_eq!(received.id(), Some("m1"));
    assert_eq!(received.commit_with(insert("m1")).await.unwrap(), 1);
    assert_eq!(seen(&path), ["m1"]);
    assert_eq!(peer.verdict(1).await, Delivered);

    // It is decided: nothing more happens.
    let again = received.commit_with(insert("again")).await;
    assert!(matches!(again, Err(CommitError::Decided)), "{again:?}");
    let again = received.commit_durably().await;
    assert!(matches!(again, Err(CommitError::Decided)), "{again:?}");
    assert_eq!(seen(&path), ["m1"]);
}

#[tokio::test]
async fn an_effect_that_fails_is_told_and_may_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let mut w = world(&path).await;
    let mut peer = Peer::accept(&mut w.server).await;
    peer.send("m1", 1).await;
    peer.send("m2", 2).await;
    let first = w.received.recv().await.unwrap();
    let second = w.received.recv().await.unwrap();

    let failed = first
        .commit_with(|tx| {
            tx.execute("INSERT INTO app_seen VALUES ('half')", [])?;
            tx.execute("INSERT INTO app_no_such_table VALUES (1)", [])
        })
        .await;
    let Err(CommitError::Effect(why)) = failed else {
        panic!("{failed:?}");
    };
    assert!(format!("{why:?}").contains("no such table"), "{why:?}");
    let panicked = first
        .commit_with(|_| -> Result<(), Error> { panic!("a defect") })
        .await;
    let Err(CommitError::Effect(why)) = panicked else {
        panic!("{panicked:?}");
    };
    assert!(why.to_string().contains("a defect"), "{why}");

    // The others go on, and so does this one.
    second.commit_with(insert("m2")).await.unwrap();
    first.commit_with(insert("m1")).await.unwrap();
    assert_eq!(seen(&path), ["m2", "m1"]);
    assert_eq!(peer.verdict(2).await, Delivered);
    assert_eq!(peer.verdict(1).await, Delivered);
}

#[tokio::test]
async fn an_effect_whose_commit_is_given_up_halfway_is_done_all_the_same_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let mut w = world(&path).await;
    let mut peer = Peer::accept(&mut w.server).await;
    peer.send("m1", 1).await;
    let received = w.received.recv().await.unwrap();
    let (entered, inside) = std::sync::mpsc::channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let slow = received.commit_with(move |tx| {
        entered.send(()).unwrap();
        let _ = held.recv();
        insert("slow")(tx)
    });
    let other = tokio::task::spawn_blocking(move || inside.recv().unwrap());
    tokio::select! {
        biased;
        done = slow => panic!("it waits: {done:?}"),
        entered = other => entered.unwrap(),
    }
    let meanwhile = received.commit_with(insert("meanwhile")).await;
    assert!(
        matches!(meanwhile, Err(CommitError::Decided)),
        "{meanwhile:?}"
    );
    drop(release);
    assert_eq!(peer.verdict(1).await, Delivered);
    assert_eq!(seen(&path), ["slow"]);
}

#[tokio::test]
async fn a_token_is_the_same_at_each_hand_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let mut w = world(&path).await;
    let mut peer = Peer::accept(&mut w.server).await;
    peer.send("m1", 1).await;
    peer.say_plainly("plain").await;
    let mut tokens: Vec<Token> = Vec::new();
    for _ in 0..2 {
        let received = w.received.recv().await.unwrap();
        assert!(!received.maybe_redelivered());
        tokens.push(received.token().clone());
    }
    assert_ne!(tokens[0], tokens[1]);
    crash(w).await;

    let mut w = world(&path).await;
    for _ in 0..2 {
        let received = w.received.recv().await.unwrap();
        assert!(received.maybe_redelivered());
        let known = tokens.iter().position(|token| token == received.token());
        tokens.remove(known.expect("another token"));
        received.commit_durably().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_committed_durably_never_comes_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let mut w = world(&path).await;
    let mut peer = Peer::accept(&mut w.server).await;
    peer.send("m1", 1).await;
    let received = w.received.recv().await.unwrap();
    received.commit_durably().await.unwrap();
    crash(w).await;
    let mut w = world(&path).await;
    let mut peer = Peer::accept(&mut w.server).await;
    peer.send("m1", 1).await;
    assert_eq!(peer.verdict(1).await, Delivered);
    peer.send("m2", 2).await;
    assert_eq!(w.received.recv().await.unwrap().id(), Some("m2"));
}

#[tokio::test]
async fn a_refused_message_is_void_at_its_sender() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let mut w = world(&path).await;
    let mut peer = Peer::accept(&mut w.server).await;
    peer.send("m1", 1).await;
    let received = w.received.recv().await.unwrap();
    received.reject("not a number").await.unwrap();
    assert_eq!(peer.verdict(1).await, Void);
    peer.send("m1", 1).await;
    assert_eq!(peer.verdict(1).await, Void);
}

#[tokio::test]
async fn many_plain_commits_are_all_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.db");
    let mut w = world(&path).await;
    let mut peer = Peer::accept(&mut w.server).await;
    for seq in 1..=60 {
        peer.send(&format!("m{seq}"), seq).await;
    }
    for _ in 0..60 {
        w.received.recv().await.unwrap().commit().await.unwrap();
    }
    for seq in 1..=60 {
        assert_eq!(peer.verdict(seq).await, Delivered);
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_without_transactions_refuses_effects_and_nothing_else() {
    let store = MemoryStore::open(Image::default(), &opening()).unwrap();
    let (connect, mut server) = MemoryConnect::new();
    let config = SessionConfig::default();
    let started = Session::start(Arc::new(connect), Box::new(store), config).await;
    let (session, mut received) = started.unwrap();
    let mut peer = Peer::accept(&mut server).await;
    peer.send("m1", 1).await;
    let received = received.recv().await.unwrap();
    let refused = received.commit_with(insert("m1")).await;
    assert!(
        matches!(refused, Err(CommitError::NoTransactions)),
        "{refused:?}"
    );
    received.commit_durably().await.unwrap();
    assert_eq!(peer.verdict(1).await, Delivered);
    session.shutdown().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn commits_that_come_together_share_a_sync() {
    let store = MemoryStore::open(Image::default(), &opening()).unwrap();
    let control = store.control();
    let (connect, mut server) = MemoryConnect::new();
    let config = SessionConfig::default();
    let started = Session::start(Arc::new(connect), Box::new(store), config).await;
    let (_session, mut received) = started.unwrap();
    let mut peer = Peer::accept(&mut server).await;
    let mut held = Vec::new();
    for seq in 1..=60 {
        peer.send(&format!("m{seq}"), seq).await;
        held.push(received.recv().await.unwrap());
    }
    // Until the session has nothing more to do.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let before = control.commits();
    for received in held {
        received.commit().await.unwrap();
    }
    for seq in 1..=60 {
        assert_eq!(peer.verdict(seq).await, Delivered);
    }
    let batches = control.commits() - before;
    assert!(batches <= 2, "{batches} batches for 60 commits");
}

#[tokio::test(start_paused = true)]
async fn at_most_once_is_sent_now_or_by_its_deadline_or_never() {
    let store = MemoryStore::open(Image::default(), &opening()).unwrap();
    let (connect, mut server) = MemoryConnect::new();
    let config = SessionConfig::default();
    let started = Session::start(Arc::new(connect), Box::new(store), config).await;
    let (session, _received) = started.unwrap();
    let once = |body: &str| {
        let to = "cloud@home.example".parse().unwrap();
        Outgoing::text(to, body).unwrap().at_most_once()
    };
    let sender = session.sender();
    let now = sender.send(once("now")).await.unwrap();
    let no_stream = Outcome::NotDelivered(NotDelivered::NoStream);
    assert_eq!(now.outcome().await.unwrap(), no_stream);

    let soon = once("soon").within(Duration::from_secs(60));
    let soon = sender.send(soon).await.unwrap();
    assert!(session.find(soon.id()).await.unwrap().is_none());
    let mut peer = Peer::accept(&mut server).await;
    assert_eq!(soon.outcome().await.unwrap(), Outcome::Transmitted);
    let got = peer.message().await;
    assert_eq!(got.body().as_deref(), Some("soon"));
    // Nobody is asked to keep or to confirm it.
    let names: Vec<&str> = got.payloads.iter().map(|p| p.name()).collect();
    assert!(names.contains(&Hint::NoStore.as_str()), "{names:?}");
    for name in ["request", "d", "store"] {
        assert!(!names.contains(&name), "{names:?}");
    }
    assert_ne!(got.header.to.unwrap().to_string(), US);
    session.shutdown().await.unwrap();
}

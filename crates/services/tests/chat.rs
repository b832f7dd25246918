//! Conversations over the embedded hub: what is said, corrected, displayed, and what becomes
//! of it, in the histories of both sides.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may fail so"
)]

mod support;

use std::path::Path;
use std::time::Duration;

use stanchion_reliability::store::{SqliteStore, TransactError};
use stanchion_services::HostBuilder;
use stanchion_services::chat::{Chat, ChatError, ChatEvent, Chats, Draft, Follower};
use stanchion_services::disco::Disco;
use stanchion_services::history::{Entry, Page, Progress};
use stanchion_stanza::BareJid;
use stanchion_stanza::payload::chat_states::ChatState;
use support::{Device, Server, soon};

fn bare(name: &str) -> BareJid {
    format!("{name}@home.example").parse().unwrap()
}

struct Talking {
    device: Device,
    chat: Chat,
    follower: Follower,
}

impl Talking {
    async fn start(server: &Server, name: &str, file: &Path) -> Self {
        let this = Self::begin(server, name, file).await;
        this.device.connected().await;
        this
    }

    async fn begin(server: &Server, name: &str, file: &Path) -> Self {
        let mut services = HostBuilder::new();
        services.add(Disco::default());
        let handle = services.add(Chats::announced());
        let device = Device::begin(server, name, file, services).await;
        let sender = device.session.sender();
        let (chat, follower) = Chat::start(handle, sender, device.host.history());
        Self {
            device,
            chat,
            follower,
        }
    }

    async fn next(&mut self) -> String {
        let received = soon(self.device.incoming.recv()).await.unwrap();
        let message = self.chat.commit(received).await.unwrap();
        message.body().unwrap().into_owned()
    }

    async fn page(&self, with: &str) -> Vec<Entry> {
        let with = bare(with);
        let page = self.chat.history().page(&with, Page::Latest, 100);
        page.await.unwrap()
    }

    /// The last entry, once it is as it should be.
    async fn until(&self, with: &str, holds: impl Fn(&Entry) -> bool) -> Entry {
        let look = async {
            loop {
                if let Some(entry) = self.page(with).await.pop().filter(&holds) {
                    return entry;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon(look).await
    }

    async fn stop(self) {
        self.follower.shutdown().await;
        self.device.stop().await;
    }
}

#[tokio::test]
async fn what_is_said_is_in_both_histories_with_its_outcome_and_corrections() {
    let server = Server::start(&["ann", "bob"]).await;
    let folder = tempfile::tempdir().unwrap();
    let mut ann = Talking::start(&server, "ann", &folder.path().join("a")).await;
    let mut bob = Talking::start(&server, "bob", &folder.path().join("b")).await;
    let draft = Draft::new(bare("bob").into(), "helo").unwrap();
    let draft = draft.in_thread("t1").unwrap().markable();
    let said = ann.chat.say(draft).await.unwrap();
    assert_eq!(bob.next().await, "helo");
    let mine = ann
        .until("bob", |e| e.progress == Some(Progress::Delivered))
        .await;
    assert_eq!(
        (mine.place, mine.thread.as_deref()),
        (said.place, Some("t1"))
    );
    ann.chat.correct(&mine, "hello").await.unwrap();
    assert_eq!(bob.next().await, "hello");
    let theirs = bob.page("ann").await;
    assert_eq!(theirs.len(), 1);
    assert_eq!((theirs[0].body.as_str(), theirs[0].edits), ("hello", 1));
    assert_eq!(ann.page("bob").await[0].body, "hello");
    assert_eq!(
        bob.chat.history().conversations(0, 5).await.unwrap()[0].unread,
        1
    );
    let mut events = ann.chat.events();
    bob.chat.displayed(&theirs[0]).await.unwrap();
    assert_eq!(
        bob.chat.history().conversations(0, 5).await.unwrap()[0].unread,
        0
    );
    let seen = async {
        loop {
            if let ChatEvent::Displayed { by, id } = events.recv().await.unwrap() {
                return (by, id);
            }
        }
    };
    assert_eq!(soon(seen).await, (bare("bob"), mine.id.clone().unwrap()));
    ann.until("bob", |e| e.displayed).await;
    let reply = Draft::new(bare("ann").into(), "hi")
        .unwrap()
        .answering(&theirs[0]);
    bob.chat.say(reply).await.unwrap();
    assert_eq!(ann.next().await, "hi");
    let reply = ann.page("bob").await.pop().unwrap();
    assert_eq!(
        (reply.reply_to, reply.thread),
        (mine.id.clone(), mine.thread.clone())
    );
    let late = ann.chat.send(bare("bob").into(), "later").await.unwrap();
    let refused = ann.chat.correct(&mine, "no").await.unwrap_err();
    assert!(matches!(refused, ChatError::NotTheLast(_)), "{refused}");
    drop(late);
    ann.stop().await;
    bob.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn states_go_to_who_sends_some() {
    let server = Server::start(&["ann", "bob"]).await;
    let folder = tempfile::tempdir().unwrap();
    let ann = Talking::start(&server, "ann", &folder.path().join("a")).await;
    let mut bob = Talking::start(&server, "bob", &folder.path().join("b")).await;
    let mut events = ann.chat.events();
    // Nobody knows whether the other one wants them.
    bob.chat.writing(&bare("ann")).await.unwrap();
    ann.chat.send(bare("bob").into(), "hello").await.unwrap();
    assert_eq!(bob.next().await, "hello");
    bob.chat.writing(&bare("ann")).await.unwrap();
    let told = soon(events.recv()).await.unwrap();
    let (from, state) = (bare("bob"), ChatState::Composing);
    assert_eq!(told, ChatEvent::State { from, state });
    assert_eq!(
        ann.chat.state_of(&bare("bob")).await,
        Ok(Some(ChatState::Composing))
    );
    ann.stop().await;
    bob.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn what_became_of_a_message_while_nobody_looked_is_noted_at_the_next_start() {
    let server = Server::start(&["ann", "bob"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a");
    let ann = Talking::start(&server, "ann", &file).await;
    let sent = ann
        .chat
        .send(bare("bob").into(), "while away")
        .await
        .unwrap();
    // As a crash: nothing is noted any more.
    drop((sent, ann.follower));
    ann.device.crash(&file).await;
    let mut bob = Talking::start(&server, "bob", &folder.path().join("b")).await;
    let mut services = HostBuilder::new();
    services.add(Disco::default());
    // The verdict comes to a process that keeps no history.
    let other = Device::start(&server, "ann", &file, services).await;
    assert_eq!(bob.next().await, "while away");
    let id = {
        let history = other.host.history();
        let entry = history
            .page(&bare("bob"), Page::Latest, 1)
            .await
            .unwrap()
            .remove(0);
        assert_ne!(entry.progress, Some(Progress::Delivered));
        entry.id.unwrap()
    };
    let outcome = soon(async {
        loop {
            let found = other.session.find(&id).await.unwrap().unwrap();
            if found.record().state.is_final() {
                return found.record().state.to_string();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert_eq!(outcome.await, "delivered: the recipient committed it");
    other.stop().await;
    let ann = Talking::begin(&server, "ann", &file).await;
    ann.until("bob", |e| e.progress == Some(Progress::Delivered))
        .await;
    ann.stop().await;
    bob.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_was_noted_and_never_given_to_the_outbox_is_taken_out() {
    let server = Server::start(&["ann", "bob"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a");
    let ann = Talking::start(&server, "ann", &file).await;
    ann.chat.send(bare("bob").into(), "sent").await.unwrap();
    ann.stop().await;
    // What a crash between the two leaves.
    let opening = stanchion_reliability::store::Opening::new(
        stanchion_reliability::store::Seed::from_os().unwrap(),
        stanchion_reliability::store::WallTime::from_unix_ms(0),
    );
    let store = SqliteStore::open(&file, &opening).unwrap();
    let left: Result<_, TransactError> = store
        .transact(|tx| {
            tx.execute(
                "INSERT INTO app_stanchion_history
                     (conversation, direction, key, message_id, body, at, stage, markable)
                 VALUES ('bob@home.example', 1, 'o  x', 'x', 'not sent', 0, 'writing', 0)",
                [],
            )
        })
        .await;
    left.unwrap();
    drop(store);
    let ann = Talking::begin(&server, "ann", &file).await;
    soon(async {
        while ann.page("bob").await.len() != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert_eq!(ann.page("bob").await[0].body, "sent");
    ann.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_commit_and_the_history_are_one_transaction() {
    let server = Server::start(&["ann", "bob"]).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("b");
    let ann = Talking::start(&server, "ann", &folder.path().join("a")).await;
    let mut bob = Talking::start(&server, "bob", &file).await;
    ann.chat.send(bare("bob").into(), "once").await.unwrap();
    let received = soon(bob.device.incoming.recv()).await.unwrap();
    let history = bob.chat.history().clone();
    let failed = history
        .commit_with(&received, |_, recorded| {
            assert!(recorded.is_some());
            Err::<(), _>(std::io::Error::other("the disk of the application is full"))
        })
        .await;
    assert!(failed.is_err());
    assert_eq!(bob.page("ann").await, vec![], "nothing of it is there");
    // It comes again after the next start, and is there once.
    drop((received, bob.follower));
    bob.device.crash(&file).await;
    let mut bob = Talking::start(&server, "bob", &file).await;
    assert_eq!(bob.next().await, "once");
    assert_eq!(bob.page("ann").await.len(), 1);
    ann.until("bob", |e| e.progress == Some(Progress::Delivered))
        .await;
    ann.stop().await;
    bob.stop().await;
    server.stop().await;
}

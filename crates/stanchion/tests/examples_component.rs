//! The example of a component, as a process that is killed and started again, with this
//! test in the server's place (XEP-0114). Real servers are the services' interop tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdout, Command};

async fn soon<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, what).await.expect("in time")
}

/// `cargo test -p stanchion` builds the examples beside the tests.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let target = test.parent().and_then(|deps| deps.parent()).unwrap();
    let mut path = target.join("examples").join(name);
    path.set_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "build the examples: {}", path.display());
    path
}

/// The component's process, attached.
struct Attached {
    child: Child,
    said: Lines<BufReader<ChildStdout>>,
    stream: TcpStream,
    heard: String,
}

impl Attached {
    async fn start(listener: &TcpListener, store: &Path) -> Self {
        let place = listener.local_addr().unwrap().to_string();
        let mut child = Command::new(example("component"))
            .args(["cloud.home.example", &place])
            .arg(store)
            .env("STANCHION_SECRET", "secret")
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap()).lines();
        let (stream, _) = soon(listener.accept()).await.unwrap();
        let mut this = Self {
            child,
            said,
            stream,
            heard: String::new(),
        };
        this.until("to='cloud.home.example'").await;
        this.tell(
            "<stream:stream xmlns='jabber:component:accept' id='3BF96D32' \
             xmlns:stream='http://etherx.jabber.org/streams' from='cloud.home.example'>",
        )
        .await;
        // SHA-1 of `3BF96D32secret`.
        this.until("<handshake>b09ea9b3b7f586be8a08d0a3dd7466f110aeb136</handshake>")
            .await;
        this.tell("<handshake/>").await;
        this
    }

    async fn tell(&mut self, xml: &str) {
        self.stream.write_all(xml.as_bytes()).await.unwrap();
    }

    /// Reads up to that, and forgets it and what was before.
    async fn until(&mut self, end: &str) {
        let read = async {
            loop {
                if let Some(at) = self.heard.find(end) {
                    self.heard.drain(..at + end.len());
                    return;
                }
                let mut bytes = [0; 4096];
                let n = self.stream.read(&mut bytes).await.unwrap();
                assert!(n > 0, "no {end} in {}", self.heard);
                let text = std::str::from_utf8(&bytes[..n]).unwrap();
                self.heard.push_str(text);
            }
        };
        soon(read).await;
    }

    async fn says(&mut self) -> String {
        soon(self.said.next_line()).await.unwrap().unwrap()
    }
}

/// A message that asks for a receipt.
fn message(id: &str) -> String {
    format!(
        "<message from='lamp@home.example/a' to='cloud.home.example' type='chat' id='{id}'>\
         <body>21.5</body><request xmlns='urn:xmpp:receipts'/></message>"
    )
}

fn receipt(id: &str) -> String {
    format!("<received xmlns='urn:xmpp:receipts' id='{id}'/>")
}

#[tokio::test]
async fn the_example_counts_each_message_once_though_it_is_killed() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let store = folder.path().join("cloud.sqlite");
    let mut cloud = Attached::start(&listener, &store).await;
    cloud.tell(&message("m1")).await;
    assert_eq!(cloud.says().await, "started");
    assert_eq!(cloud.says().await, "1 of lamp@home.example/a");
    cloud.until("<message from='cloud.home.example' ").await;
    cloud.until(&receipt("m1")).await;
    cloud.child.kill().await.unwrap();

    let mut cloud = Attached::start(&listener, &store).await;
    // The receipt was lost, its sender thinks; and there is another message.
    cloud.tell(&message("m1")).await;
    cloud.tell(&message("m2")).await;
    assert_eq!(cloud.says().await, "started");
    assert_eq!(cloud.says().await, "2 of lamp@home.example/a");
    cloud.until(&receipt("m1")).await;
    cloud.until(&receipt("m2")).await;
    cloud.child.kill().await.unwrap();
}

//! The example `chat`, as a process of its own on the embedded hub, in conversation with a
//! client of the facade; and that client's history in memory.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use stanchion::services::history::{Page, Progress};
use stanchion::{BareJid, Client};
use stanchion_hub::{Accounts, Hub, HubConfig};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

async fn soon<T>(what: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(30);
    tokio::time::timeout(limit, what).await.expect("in time")
}

/// `cargo test -p stanchion` builds the examples beside the tests.
fn example(name: &str) -> PathBuf {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    path.push("examples");
    path.push(name);
    path.set_extension(std::env::consts::EXE_EXTENSION);
    assert!(path.exists(), "build the examples: {}", path.display());
    path
}

struct Terminal {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Terminal {
    fn start(place: &str, folder: &Path) -> Self {
        let mut child = Command::new(example("chat"))
            .args(["ann@example.org", place])
            .arg(folder.join("ca.pem"))
            .arg(folder.join("ann.sqlite"))
            .arg("bob@example.org")
            .env("STANCHION_PASSWORD", "secret")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        }
    }

    async fn types(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
        self.input.flush().await.unwrap();
    }

    async fn shows(&mut self) -> String {
        soon(self.output.next_line()).await.unwrap().unwrap()
    }

    /// What it shows once it shows that line.
    async fn until(&mut self, asks: &str, wanted: &str) {
        let shown = async {
            loop {
                self.types(asks).await;
                if self.shows().await == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        soon(shown).await;
    }
}

#[tokio::test]
async fn two_people_talk_and_one_of_them_is_killed() {
    let hub = Hub::bind(HubConfig {
        domain: "example.org".to_owned(),
        starttls: Some(([127, 0, 0, 1], 0).into()),
        direct_tls: None,
        accounts: Accounts::open_demo([("ann", "secret"), ("bob", "other")]).unwrap(),
        ..HubConfig::default()
    })
    .await
    .unwrap();
    let place = hub.addresses().starttls.unwrap();
    let fingerprint = hub.fingerprint();
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("ca.pem"), hub.certificate_pem()).unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(hub.run(async { drop(stopped.await) }));

    let account: BareJid = "bob@example.org".parse().unwrap();
    let ann: BareJid = "ann@example.org".parse().unwrap();
    let (bob, mut incoming) = Client::builder(account)
        .password("other".to_owned().into())
        .server("127.0.0.1", place.port())
        .pin(fingerprint)
        .store_in_memory()
        .conversations()
        .start()
        .await
        .unwrap();

    let mut terminal = Terminal::start(&place.to_string(), folder.path());
    terminal.types("helo").await;
    let received = soon(incoming.recv()).await.unwrap();
    let message = bob.chat().commit(received).await.unwrap();
    assert_eq!(message.body().as_deref(), Some("helo"));
    terminal.until("/last 1", "> helo [Delivered]").await;
    terminal.types("/fix hello").await;
    let received = soon(incoming.recv()).await.unwrap();
    bob.chat().commit(received).await.unwrap();
    terminal
        .until("/last 1", "> hello (corrected) [Delivered]")
        .await;
    let history = bob.chat().history();
    let page = history.page(&ann, Page::Latest, 10).await.unwrap();
    assert_eq!((page.len(), page[0].body.as_str()), (1, "hello"));
    bob.chat()
        .send(ann.clone().into(), "hi there")
        .await
        .unwrap();
    assert_eq!(terminal.shows().await, "< hi there");
    terminal.types("/find ther").await;
    assert_eq!(terminal.shows().await, "? hi *there*");
    terminal.child.kill().await.unwrap();

    let said = bob.chat().send(ann.clone().into(), "still there?").await;
    let mut terminal = Terminal::start(&place.to_string(), folder.path());
    assert_eq!(terminal.shows().await, "< still there?");
    soon(said.unwrap().sent.outcome()).await.unwrap();
    terminal.types("/last 10").await;
    for shown in [
        "> hello (corrected) [Delivered]",
        "< hi there",
        "< still there?",
    ] {
        assert_eq!(terminal.shows().await, shown);
    }
    let noted = async {
        loop {
            let page = history.page(&ann, Page::Latest, 1).await.unwrap();
            if page[0].progress == Some(Progress::Delivered) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(noted).await;
    drop(terminal.input);
    assert!(soon(terminal.child.wait()).await.unwrap().success());
    bob.shutdown().await.unwrap();
    drop(stop);
    running.await.unwrap().unwrap();
}

//! The example `room`, as a process of its own, at a hub in this one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use stanchion_hub::{Accounts, Hub, HubConfig};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Where cargo puts the examples, beside this test's own folder. It builds them before it
/// runs all tests, but not before it runs one.
fn example(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let built = own.parent().and_then(Path::parent).unwrap();
    let path = built.join("examples").join(name);
    if !path.exists() {
        let mut cargo = std::process::Command::new(env!("CARGO"));
        let build = cargo.args(["build", "--quiet", "--package", "stanchion", "--example"]);
        assert!(build.arg(name).status().unwrap().success());
    }
    path
}

struct Talker {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl Talker {
    async fn start(name: &str, port: u16, folder: &Path) -> Self {
        let mut child = Command::new(example("room"))
            .arg(format!("{name}@home.example"))
            .arg(format!("127.0.0.1:{port}"))
            .arg(folder.join("ca.pem"))
            .arg(folder.join(name))
            .args(["hall@rooms.home.example", name])
            .env("STANCHION_PASSWORD", name)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("cargo builds examples before tests");
        let mut this = Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
        };
        this.prints(&format!("* in hall@rooms.home.example as Some(\"{name}\")"))
            .await;
        this
    }

    async fn prints(&mut self, expected: &str) {
        let line = timeout(Duration::from_secs(30), self.output.next_line()).await;
        assert_eq!(line.expect("in time").unwrap().as_deref(), Some(expected));
    }

    async fn says(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
    }

    async fn ends(mut self) {
        drop(self.input);
        let status = timeout(Duration::from_secs(30), self.child.wait()).await;
        assert!(status.expect("in time").unwrap().success());
    }
}

#[tokio::test]
async fn two_talk_and_the_one_that_was_away_misses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hub = Hub::bind(HubConfig {
        domain: "home.example".to_owned(),
        starttls: Some(([127, 0, 0, 1], 0).into()),
        direct_tls: None,
        accounts: Accounts::open_demo([("lamp", "lamp"), ("phone", "phone")]).unwrap(),
        ..HubConfig::default()
    })
    .await
    .unwrap();
    let port = hub.addresses().starttls.unwrap().port();
    std::fs::write(folder.path().join("ca.pem"), hub.certificate_pem()).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let running = tokio::spawn(hub.run(async { drop(stopped.await) }));

    let mut lamp = Talker::start("lamp", port, folder.path()).await;
    let mut phone = Talker::start("phone", port, folder.path()).await;
    lamp.says("good day").await;
    lamp.prints("lamp: good day").await;
    phone.prints("lamp: good day").await;
    phone.ends().await;
    lamp.says("anybody?").await;
    lamp.prints("lamp: anybody?").await;
    let mut phone = Talker::start("phone", port, folder.path()).await;
    phone.prints("lamp: anybody?").await;
    phone.says("yes").await;
    lamp.prints("phone: yes").await;
    lamp.ends().await;
    phone.ends().await;
    drop(stop);
    running.await.unwrap().unwrap();
}

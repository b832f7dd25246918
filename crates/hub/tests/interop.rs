//! Other projects' clients against the hub: slixmpp and libstrophe, with the certificate
//! verified. They must be installed: a missing one fails the test.
#![allow(clippy::unwrap_used, reason = "a test may fail so")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use stanchion_hub::HubConfig;
use stanchion_stanza::payload::receipts;
use stanchion_stanza::{Message, Payload as _, Text};
use support::{Client, PATIENCE, Running, patient};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// The interpreter that Debian's python3-slixmpp belongs to.
const PYTHON: &str = "/usr/bin/python3";

fn clients() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// A client program that says line by line what it saw.
struct Program {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Program {
    fn spawn(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
            seen: Vec::new(),
        }
    }

    /// The next line that begins like that; the others are passed over.
    async fn says(&mut self, beginning: &str) -> String {
        let found = async {
            loop {
                let line = self.output.next_line().await.unwrap()?;
                self.seen.push(line.clone());
                if line.starts_with(beginning) {
                    return Some(line);
                }
            }
        };
        match timeout(PATIENCE, found).await {
            Ok(Some(line)) => line,
            _ => panic!("no {beginning:?} among {:#?}", self.seen),
        }
    }

    async fn tell(&mut self, line: &str) {
        self.input
            .write_all(format!("{line}\n").as_bytes())
            .await
            .unwrap();
        self.input.flush().await.unwrap();
    }

    async fn ends(mut self) {
        let status = patient(self.child.wait()).await.unwrap();
        assert!(status.success(), "{status}: {:#?}", self.seen);
    }
}

/// A hub with its certificate in a file, as for any client.
struct Scene {
    hub: Running,
    folder: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        // slixmpp knows no binding of TLS 1.3, and cannot log in where -PLUS is offered.
        Self::with_binding(false).await
    }

    async fn with_binding(channel_binding: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let hub = Running::start(HubConfig {
            state: Some(folder.path().to_owned()),
            channel_binding,
            ..HubConfig::default()
        })
        .await;
        Self { hub, folder }
    }

    fn endpoint(&self, mode: &str) -> [String; 4] {
        let addresses = self.hub.addresses;
        let address = match mode {
            "direct" => addresses.direct_tls,
            _ => addresses.starttls,
        };
        let certificate = self.folder.path().join("cert.pem");
        [
            "127.0.0.1".into(),
            address.unwrap().port().to_string(),
            mode.into(),
            certificate.to_str().unwrap().into(),
        ]
    }

    /// Logged in and available.
    async fn slixmpp(&self, jid: &str, mode: &str) -> Program {
        let check = Command::new(PYTHON)
            .args(["-c", "import slixmpp"])
            .output()
            .await;
        assert!(
            check.is_ok_and(|output| output.status.success()),
            "slixmpp is missing: install python3-slixmpp"
        );
        let mut command = Command::new(PYTHON);
        command
            .arg(clients().join("slix.py"))
            .args([jid, "secret"])
            .args(self.endpoint(mode));
        let mut program = Program::spawn(&mut command);
        program.says("online").await;
        program
    }

    async fn strophe(&self, jid: &str, mode: &str, to: &str, body: &str) -> Program {
        let binary = self.folder.path().join("strophe");
        let compiled = Command::new("cc")
            .arg("-o")
            .arg(&binary)
            .arg(clients().join("strophe.c"))
            .arg("-lstrophe")
            .output()
            .await
            .unwrap_or_else(|error| panic!("no C compiler: install one ({error})"));
        assert!(
            compiled.status.success(),
            "libstrophe is missing: install libstrophe-dev\n{}",
            String::from_utf8_lossy(&compiled.stderr)
        );
        let mut command = Command::new(binary);
        command
            .args([jid, "secret"])
            .args(self.endpoint(mode))
            .args([to, body]);
        Program::spawn(&mut command)
    }

    async fn clear(self) {
        self.hub.stop().await;
    }
}

#[tokio::test]
async fn slixmpp_talks_to_slixmpp_with_receipts_both_ways() {
    let scene = Scene::set().await;
    let mut a = scene.slixmpp("a@hub.example/one", "starttls").await;
    let mut b = scene.slixmpp("b@hub.example/two", "direct").await;
    a.says("settled").await;
    b.says("settled").await;
    a.tell("send b@hub.example hello there").await;
    let message = b.says("message").await;
    assert_eq!(message, "message a@hub.example/one fresh hello there");
    a.says("receipt").await;
    b.tell("send a@hub.example/one hello back").await;
    let message = a.says("message").await;
    assert_eq!(message, "message b@hub.example/two fresh hello back");
    b.says("receipt").await;
    for mut client in [a, b] {
        client.tell("quit").await;
        client.ends().await;
    }
    scene.clear().await;
}

#[tokio::test]
async fn slixmpp_resumes_after_its_connection_was_cut() {
    let scene = Scene::set().await;
    let mut a = scene.slixmpp("a@hub.example/one", "starttls").await;
    assert!(a.seen.contains(&"enabled".to_owned()), "{:?}", a.seen);
    let mut b = scene.slixmpp("b@hub.example/two", "starttls").await;
    b.tell("send a@hub.example before").await;
    a.says("message").await;
    a.tell("cut").await;
    a.says("disconnected").await;
    b.tell("send a@hub.example/one meanwhile").await;
    a.says("resumed").await;
    let message = a.says("message").await;
    assert_eq!(message, "message b@hub.example/two fresh meanwhile");
    a.tell("send b@hub.example/two after").await;
    assert_eq!(
        b.says("message").await,
        "message a@hub.example/one fresh after"
    );
    scene.clear().await;
}

#[tokio::test]
async fn slixmpp_gets_what_came_while_it_was_away() {
    let scene = Scene::set().await;
    let mut b = scene.slixmpp("b@hub.example/two", "starttls").await;
    b.tell("send a@hub.example first").await;
    b.tell("send a@hub.example second").await;
    let mut a = scene.slixmpp("a@hub.example/one", "direct").await;
    for body in ["first", "second"] {
        let message = a.says("message").await;
        assert_eq!(message, format!("message b@hub.example/two delayed {body}"));
    }
    scene.clear().await;
}

#[tokio::test]
async fn libstrophe_talks_to_slixmpp_with_receipts_both_ways() {
    let scene = Scene::set().await;
    let mut b = scene.slixmpp("b@hub.example/two", "starttls").await;
    b.says("settled").await;
    let mut a = scene
        .strophe(
            "a@hub.example/one",
            "starttls",
            "b@hub.example/two",
            "from strophe",
        )
        .await;
    assert_eq!(a.says("online").await, "online a@hub.example/one secured");
    let message = b.says("message").await;
    assert_eq!(message, "message a@hub.example/one fresh from strophe");
    assert_eq!(a.says("receipt").await, "receipt m1");
    b.tell("send a@hub.example/one to strophe").await;
    assert_eq!(
        a.says("message").await,
        "message b@hub.example/two to strophe"
    );
    b.says("receipt").await;
    a.says("disconnected").await;
    a.ends().await;
    scene.clear().await;
}

/// libstrophe with the hub's defaults, where SCRAM is bound to TLS.
async fn bound_strophe(mode: &str) {
    let scene = Scene::with_binding(true).await;
    let mut b = Client::available(&scene.hub, "b", "two").await;
    let mut a = scene
        .strophe(
            "a@hub.example/one",
            mode,
            "b@hub.example/two",
            "from strophe",
        )
        .await;
    a.says("online").await;
    let message = b.message().await;
    assert_eq!(message.body().as_deref(), Some("from strophe"));
    assert!(message.payload::<receipts::Request>().unwrap().is_some());
    let id = message.header.id.unwrap();
    let receipt = Message::chat("a@hub.example/one".parse().unwrap())
        .with_payload(receipts::Received { id }.to_element());
    b.send(&receipt.to_element());
    let asking = Message::chat("a@hub.example/one".parse().unwrap())
        .with_id(Text::from_static("m2"))
        .with_body(Text::from_static("to strophe"))
        .with_payload(receipts::Request.to_element());
    b.send(&asking.to_element());
    b.flush().await;
    assert_eq!(a.says("receipt").await, "receipt m1");
    a.says("message").await;
    let received = b
        .message()
        .await
        .payload::<receipts::Received>()
        .unwrap()
        .unwrap();
    assert_eq!(received.id, "m2");
    a.ends().await;
    scene.clear().await;
}

#[tokio::test]
async fn libstrophe_logs_in_bound_over_starttls() {
    bound_strophe("starttls").await;
}

#[tokio::test]
async fn libstrophe_logs_in_bound_over_direct_tls() {
    bound_strophe("direct").await;
}

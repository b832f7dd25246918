//! Our things, read and set by slixmpp with its plugins for XEP-0323 and XEP-0325, through
//! Prosody and ejabberd.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::Value as Json;
use stanchion_connect::{Account, ConnectConfig, Connector, Endpoint, Endpoints};
use stanchion_device::HostConfig;
use stanchion_device::host::{Access, Grant};
use stanchion_services::allowed::Allowed;
use stanchion_stanza::BareJid;
use stanchion_transport::TlsMode;
use stanchion_transport::tls::Roots;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::peer::python;
use crate::support::{Lamp, LampHost, Mood, soon};

/// A real server, and accounts that no other test has.
struct Server {
    about: Json,
}

fn given(name: &str) -> PathBuf {
    std::env::var_os(name)
        .expect("run `cargo xtask test --only interop`")
        .into()
}

impl Server {
    fn both() -> Vec<Self> {
        let text = std::fs::read_to_string(given("STANCHION_TEST_SERVERS")).unwrap();
        let mut all: Json = serde_json::from_str(&text).unwrap();
        let kinds = ["prosody", "ejabberd"].into_iter();
        let of = |kind: &str| Self {
            about: all[kind].take(),
        };
        kinds.map(of).collect()
    }

    fn domain(&self) -> &str {
        self.about["domain"].as_str().unwrap()
    }

    fn port(&self) -> u16 {
        u16::try_from(self.about["ports"]["starttls"].as_u64().unwrap()).unwrap()
    }

    fn ca(&self) -> &Path {
        Path::new(self.about["ca"].as_str().unwrap())
    }

    /// An account of that name, of this test alone; its password is its name.
    fn add(&self, name: &str) -> String {
        let user = format!("host-{}-{name}", std::process::id());
        let output = std::process::Command::new(given("STANCHION_XTASK"))
            .args(["servers", "adduser", &user, &user, "--dir"])
            .arg(self.about["dir"].as_str().unwrap())
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{user}: {complaint}");
        user
    }

    fn jid(&self, user: &str) -> BareJid {
        format!("{user}@{}", self.domain()).parse().unwrap()
    }

    fn connector(&self, user: &str) -> Connector {
        let mut config = ConnectConfig::default();
        config.tls.roots = vec![Roots::Pem(std::fs::read(self.ca()).unwrap())];
        let address = ([127, 0, 0, 1], self.port()).into();
        let endpoint = Endpoint::at(address, TlsMode::StartTls);
        config.endpoints = Endpoints::Explicit(vec![endpoint]);
        Connector::new(Account::with_password(self.jid(user), user), config).unwrap()
    }
}

/// slixmpp, told by lines what to do.
struct Reader {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    seen: Vec<String>,
}

impl Reader {
    async fn start(server: &Server, user: &str) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/peers");
        let mut child = Command::new(python())
            .arg(script.join("host_reader.py"))
            .arg(format!("{}/reader", server.jid(user)))
            .args([user, "127.0.0.1"])
            .arg(server.port().to_string())
            .arg(server.ca())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut this = Self {
            input: child.stdin.take().unwrap(),
            output: BufReader::new(child.stdout.take().unwrap()).lines(),
            child,
            seen: Vec::new(),
        };
        this.says("online ").await;
        this
    }

    /// The next line that begins like that; the others are passed over.
    async fn says(&mut self, beginning: &str) -> String {
        let found = async {
            while let Some(line) = self.output.next_line().await.unwrap() {
                self.seen.push(line.clone());
                if line.starts_with(beginning) {
                    return Some(line);
                }
            }
            None
        };
        match tokio::time::timeout(Duration::from_secs(30), found).await {
            Ok(Some(line)) => line,
            _ => panic!("no {beginning:?} among {:#?}", self.seen),
        }
    }

    async fn tell(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.input.write_all(line.as_bytes()).await.unwrap();
        self.input.flush().await.unwrap();
    }

    /// Begins a read-out, and gives its number.
    async fn read(&mut self, line: &str) -> String {
        self.tell(&format!("read {line}")).await;
        let line = self.says("read ").await;
        line["read ".len()..].to_owned()
    }

    async fn end(mut self) {
        drop(self.input);
        let ended = soon(self.child.wait()).await.unwrap();
        assert!(ended.success(), "{:#?}", self.seen);
    }
}

struct Home {
    server: Server,
    _folder: tempfile::TempDir,
    host: LampHost,
    lamp: Lamp,
    device: String,
    friend: Reader,
}

impl Home {
    /// A lamp in that mood, and a friend that may read and set it.
    async fn start(server: Server, name: &str, mood: Mood) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let user = server.add(&format!("{name}-lamp"));
        let friend = server.add(&format!("{name}-friend"));
        let mut config = HostConfig::default();
        let grant = Grant::to_all(Allowed::accounts([server.jid(&friend)]));
        config.access = Access::default().with(grant);
        config.simple_types = true;
        config.set_within = Duration::from_millis(500);
        let file = folder.path().join("host.sqlite");
        let (lamp, _) = Lamp::new(mood);
        let connector = server.connector(&user);
        let host = LampHost::start_by(connector, &file, config, lamp.clone()).await;
        let friend = Reader::start(&server, &friend).await;
        Self {
            device: host.peer.jid().to_string(),
            server,
            _folder: folder,
            host,
            lamp,
            friend,
        }
    }

    async fn stop(self) {
        self.friend.end().await;
        self.host.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slixmpp_reads_our_things_and_hears_the_end() {
    for server in Server::both() {
        let mut home = Home::start(server, "read", Mood::Obeys).await;
        let began = Instant::now();
        for _ in 0..50 {
            let number = home
                .friend
                .read(&format!("{} momentary=true", home.device))
                .await;
            home.friend.says(&format!("said {number} accepted")).await;
            let fields = home.friend.says(&format!("said {number} fields")).await;
            assert!(
                fields.contains("lamp") && fields.contains("numeric:level=40"),
                "{fields}"
            );
            home.friend.says(&format!("said {number} done")).await;
        }
        println!(
            "50 read-outs on {} in {:?}",
            home.server.domain(),
            began.elapsed()
        );
        home.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slixmpp_orders_a_read_out_for_later_and_cancels_it() {
    for server in Server::both() {
        let mut home = Home::start(server, "cancel", Mood::Obeys).await;
        let device = home.device.clone();
        let number = home
            .friend
            .read(&format!("{device} momentary=true when=2999-01-01T00:00:00"))
            .await;
        // Farther ahead than we remember: refused in the words that it hears.
        home.friend.says(&format!("said {number} rejected")).await;
        let now = stanchion_device::adapter::wall_clock().as_unix_ms();
        let soon = stanchion_stanza::payload::datetime::utc(now + 60_000);
        let number = home
            .friend
            .read(&format!("{device} momentary=true when={soon}"))
            .await;
        home.friend.says(&format!("said {number} queued")).await;
        home.friend.tell(&format!("cancel {number}")).await;
        home.friend.says(&format!("said {number} cancelled")).await;
        let at = stanchion_stanza::payload::datetime::utc(now + 2_000);
        let number = home
            .friend
            .read(&format!("{device} momentary=true when={at}"))
            .await;
        for word in ["started", "fields", "done"] {
            home.friend.says(&format!("said {number} {word}")).await;
        }
        home.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slixmpp_sets_a_lamp_and_is_told_what_became_of_it() {
    for server in Server::both() {
        let mut home = Home::start(server, "set", Mood::Obeys).await;
        let device = home.device.clone();
        home.friend.tell(&format!("set {device} level int 7")).await;
        let answer = home.friend.says("answered ").await;
        assert!(answer.starts_with("answered OK"), "{answer}");
        assert_eq!(home.lamp.count(), 1);
        home.friend
            .tell(&format!("set {device} level int 700"))
            .await;
        let answer = home.friend.says("answered ").await;
        assert!(answer.starts_with("answered FormError"), "{answer}");
        assert_eq!(home.lamp.count(), 1);
        home.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slixmpp_is_told_when_a_thing_does_not_answer_in_time() {
    for server in Server::both() {
        let mut home = Home::start(server, "hang", Mood::Hangs).await;
        let device = home.device.clone();
        home.friend.tell(&format!("set {device} level int 7")).await;
        let answer = home.friend.says("answered ").await;
        assert!(answer.starts_with("answered OtherError"), "{answer}");
        home.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slixmpp_on_an_account_that_we_do_not_know_is_refused() {
    for server in Server::both() {
        let home = Home::start(server, "refuse", Mood::Obeys).await;
        let stranger = home.server.add("refuse-stranger");
        let mut stranger = Reader::start(&home.server, &stranger).await;
        let number = stranger
            .read(&format!("{} momentary=true", home.device))
            .await;
        stranger.says(&format!("said {number} rejected")).await;
        stranger
            .tell(&format!("set {} level int 7", home.device))
            .await;
        let answer = stranger.says("answered ").await;
        assert!(answer.contains("InsufficientPrivileges"), "{answer}");
        assert_eq!(home.lamp.count(), 0);
        stranger.end().await;
        home.stop().await;
    }
}

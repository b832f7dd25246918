//! The command against Prosody and ejabberd, with itself and with slixmpp at the other
//! end. What needs no real server is in `hub.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "the guide's own test uses the rest")]
#[path = "guide/book.rs"]
mod book;
mod common;
#[path = "guide/servers.rs"]
mod guide;

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

use common::{Home, Running, run, word};
use serde_json::Value;

/// From the environment, as docs/testing.md says.
fn given(variable: &str) -> OsString {
    std::env::var_os(variable)
        .unwrap_or_else(|| panic!("{variable} is not set: run cargo xtask test --only interop"))
}

/// One of the shared servers, or one of the test's own, with accounts of the test's own.
struct Server {
    about: Value,
    home: Home,
    /// To be ended with this value.
    own: bool,
}

impl Server {
    /// A shared one, with accounts that nobody else has, nor had in an earlier run.
    fn shared(kind: &str, test: &str) -> Self {
        let all = std::fs::read_to_string(given("STANCHION_TEST_SERVERS")).unwrap();
        let mut all: Value = serde_json::from_str(&all).unwrap();
        let mut server = Self {
            about: all[kind].take(),
            home: Home::new(),
            own: false,
        };
        let test = format!("chat-{test}-{}-", std::process::id());
        for user in ["alice", "bob"] {
            server.xtask(&["adduser", &format!("{test}{user}"), "secret"]);
        }
        server.about["test"] = test.into();
        server
    }

    /// One that may be killed and frozen.
    fn own(kind: &str) -> Self {
        let home = Home::new();
        let about = serde_json::json!({ "dir": word(&home.path("server")), "test": "" });
        let mut server = Self {
            about,
            home,
            own: true,
        };
        let users = ["--user", "alice:secret", "--user", "bob:secret", "--json"];
        let started = server.xtask(&[&["start", kind][..], &users].concat());
        server.about = serde_json::from_slice(&started.stdout).unwrap();
        server.about["test"] = "".into();
        server
    }

    fn xtask(&self, words: &[&str]) -> Output {
        let output = Command::new(given("STANCHION_XTASK"))
            .arg("servers")
            .args(words)
            .args(["--dir", self.get("dir")])
            .output()
            .unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{words:?}: {complaint}");
        output
    }

    fn get(&self, key: &str) -> &str {
        self.about[key].as_str().unwrap()
    }

    fn user(&self, name: &str) -> String {
        format!("{}{name}", self.get("test"))
    }

    fn jid(&self, name: &str) -> String {
        format!("{}@{}", self.user(name), self.get("domain"))
    }

    /// A command of an account, over STARTTLS or direct TLS.
    fn command(&self, mode: &str, verb: &str, user: &str, rest: &[&str]) -> Command {
        let (jid, store) = (self.jid(user), format!("{user}.sqlite"));
        let port = format!("{}:{}", self.get("host"), self.about["ports"][mode]);
        let mut all = vec![verb, "--jid", &jid, "--store", &store, "--connect", &port];
        all.extend(["--ca", self.get("ca")]);
        if mode == "direct_tls" {
            all.push("--direct-tls");
        }
        all.extend(rest);
        self.home.command("secret", &all)
    }

    fn foreign(&self, words: &[&str]) -> Running {
        let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_client.py");
        let mut command = Command::new(given("STANCHION_PYTHON"));
        command
            .arg(script)
            .arg(PathBuf::from(self.get("dir")).join("server.json"))
            .args(words);
        Running::start(command)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.own {
            let _ = Command::new(given("STANCHION_XTASK"))
                .args(["servers", "kill", "--dir", self.get("dir")])
                .output();
        }
    }
}

fn value(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

fn a_message_is_delivered_and_acknowledged(kind: &str, mode: &str) {
    let server = Server::shared(kind, &format!("deliver-{}", mode.replace('_', "-")));
    let mut listener =
        Running::start(server.command(mode, "listen", "bob", &["--json", "--count", "1"]));
    let sent = run(server.command(
        mode,
        "send",
        "alice",
        &["--to", &server.jid("bob"), "--json", "21.5"],
    ));
    assert_eq!(sent.code, 0, "{sent:?}");
    let message = value(&listener.line());
    assert_eq!(message["body"], "21.5");
    assert_eq!(message["id"], sent.json()[0]["id"]);
    assert_eq!(listener.end().code, 0);
}

#[test]
fn prosody_delivers_over_starttls() {
    a_message_is_delivered_and_acknowledged("prosody", "starttls");
}

#[test]
fn prosody_delivers_over_direct_tls() {
    a_message_is_delivered_and_acknowledged("prosody", "direct_tls");
}

#[test]
fn ejabberd_delivers_over_starttls() {
    a_message_is_delivered_and_acknowledged("ejabberd", "starttls");
}

#[test]
fn ejabberd_delivers_over_direct_tls() {
    a_message_is_delivered_and_acknowledged("ejabberd", "direct_tls");
}

/// The only server's report of `doctor --json`.
fn doctor(server: &Server, mode: &str) -> Value {
    let looked = run(server.command(mode, "doctor", "alice", &["--json"]));
    assert_eq!((looked.code, &*looked.stderr), (0, ""), "{looked:?}");
    let [report] = &looked.json()[..] else {
        panic!("{looked:?}")
    };
    assert_eq!(report["established"], true);
    let report = report["servers"][0].clone();
    assert_eq!(report["login"]["server_proved"], true);
    assert!(report["resumption_seconds"].as_u64() >= Some(1), "{report}");
    assert!(
        report["jid"]
            .as_str()
            .unwrap()
            .starts_with(&server.jid("alice"))
    );
    report
}

#[test]
fn prosody_binds_the_login_to_the_tls_connection() {
    let server = Server::shared("prosody", "doctor");
    for mode in ["starttls", "direct_tls"] {
        let report = doctor(&server, mode);
        assert_eq!(report["login"]["mechanism"], "SCRAM-SHA-256-PLUS");
        assert_eq!(report["login"]["binding"], "tls-exporter");
    }
}

#[test]
fn ejabberd_refuses_its_own_offer_to_bind_and_the_login_succeeds_without() {
    let server = Server::shared("ejabberd", "doctor");
    for mode in ["starttls", "direct_tls"] {
        let report = doctor(&server, mode);
        assert_eq!(report["login"]["mechanism"], "SCRAM-SHA-512");
        assert_eq!(report["login"]["binding"], "refused-by-server");
    }
}

fn a_foreign_client_acknowledges_what_we_send(kind: &str) {
    let server = Server::shared(kind, "foreign-receiver");
    let mut foreign = server.foreign(&["receive", &server.user("bob")]);
    let ready = value(&foreign.line());
    let sent = run(server.command(
        "starttls",
        "send",
        "alice",
        &["--to", &server.jid("bob"), "--json", "hello"],
    ));
    assert_eq!(sent.code, 0, "{sent:?}");
    let [outcome] = &sent.json()[..] else {
        panic!("{sent:?}")
    };
    let by = format!("acknowledged by {}", ready["ready"].as_str().unwrap());
    assert_eq!(outcome["detail"], by);
    let received = value(&foreign.line());
    assert_eq!(received["body"], "hello");
    assert_eq!(received["id"], outcome["id"]);
    assert_eq!(foreign.end().code, 0);
}

#[test]
fn slixmpp_acknowledges_what_we_send_over_prosody() {
    a_foreign_client_acknowledges_what_we_send("prosody");
}

#[test]
fn slixmpp_acknowledges_what_we_send_over_ejabberd() {
    a_foreign_client_acknowledges_what_we_send("ejabberd");
}

fn a_foreign_client_gets_a_receipt_for_what_we_print(kind: &str) {
    let server = Server::shared(kind, "foreign-sender");
    let count = ["--json", "--count", "2"];
    let mut listener = Running::start(server.command("starttls", "listen", "alice", &count));
    // slixmpp sends once only, so the listener must be there before.
    let first = ["--to", &server.jid("alice"), "first"];
    let first = run(server.command("starttls", "send", "bob", &first));
    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(value(&listener.line())["body"], "first");
    let mut foreign = server.foreign(&["send", &server.user("bob"), &server.jid("alice"), "hello"]);
    let sent = value(&foreign.line());
    let message = value(&listener.line());
    assert_eq!(message["body"], "hello");
    assert_eq!(message["id"], sent["sent"]);
    let receipt = value(&foreign.line());
    assert_eq!(receipt["receipt"], sent["sent"]);
    assert!(
        receipt["from"]
            .as_str()
            .unwrap()
            .starts_with(&server.jid("alice"))
    );
    assert_eq!(foreign.end().code, 0);
    assert_eq!(listener.end().code, 0);
}

#[test]
fn slixmpp_gets_a_receipt_for_what_we_print_over_prosody() {
    a_foreign_client_gets_a_receipt_for_what_we_print("prosody");
}

#[test]
fn slixmpp_gets_a_receipt_for_what_we_print_over_ejabberd() {
    a_foreign_client_gets_a_receipt_for_what_we_print("ejabberd");
}

/// Each line once, although the server is killed in mid-stream.
fn lines_arrive_once_over_a_killed_server(kind: &str) {
    const LINES: usize = 200;
    let server = Server::own(kind);
    let mut listener = Running::start(server.command("starttls", "listen", "bob", &["--json"]));
    let all = [
        "--to",
        &server.jid("bob"),
        "--json",
        "--timeout",
        "60s",
        "-",
    ];
    let mut sender = Running::start(server.command("starttls", "send", "alice", &all));
    for line in 0..LINES / 2 {
        sender.write(&format!("{line}\n"));
    }
    // Some are acknowledged, others under way.
    sender.line();
    server.xtask(&["kill"]);
    for line in LINES / 2..LINES {
        sender.write(&format!("{line}\n"));
    }
    server.xtask(&["start"]);
    let sent = sender.end();
    assert_eq!(sent.code, 0, "{}", sent.stderr);
    assert_eq!(sent.json().len(), LINES);
    let mut bodies = BTreeSet::new();
    while bodies.len() < LINES {
        let body = value(&listener.line())["body"].as_str().unwrap().to_owned();
        assert!(bodies.insert(body.clone()), "{body} came twice");
    }
}

#[test]
fn lines_arrive_once_although_prosody_is_killed_in_mid_stream() {
    lines_arrive_once_over_a_killed_server("prosody");
}

#[test]
fn lines_arrive_once_although_ejabberd_is_killed_in_mid_stream() {
    lines_arrive_once_over_a_killed_server("ejabberd");
}

/// What Prosody queued while the listener was dead comes on the resumed stream.
#[test]
fn a_killed_listener_resumes_its_session_at_prosody_and_gets_what_was_queued() {
    const LINES: usize = 60;
    let server = Server::shared("prosody", "restart");
    let listen = || {
        let mut command = server.command("starttls", "listen", "bob", &["--json"]);
        command.env("STANCHION_LOG", "info");
        Running::start(command)
    };
    let mut first = listen();
    let all = [
        "--to",
        &server.jid("bob"),
        "--json",
        "--timeout",
        "60s",
        "-",
    ];
    let mut sender = Running::start(server.command("starttls", "send", "alice", &all));
    for line in 0..LINES {
        sender.write(&format!("{line}\n"));
    }
    for _ in 0..LINES / 4 {
        first.line();
    }
    first.signal("KILL");
    let body = |message: &Value| message["body"].as_str().unwrap().to_owned();
    let before: Vec<String> = first.end().json().iter().map(body).collect();

    let mut second = listen();
    let mut printed = before.clone();
    while printed.len() < LINES {
        let message = value(&second.line());
        if before.contains(&body(&message)) {
            assert_eq!(message["maybe_redelivered"], true, "{message}");
        } else {
            printed.push(body(&message));
        }
    }
    let expected: Vec<String> = (0..LINES).map(|line| line.to_string()).collect();
    assert_eq!(printed, expected);
    assert_eq!(sender.end().code, 0);
    second.signal("INT");
    let ended = second.end();
    assert!(ended.stderr.contains("resumed=true"), "{}", ended.stderr);
}

#[test]
fn a_server_that_hangs_or_has_expired_is_told_from_one_that_refuses() {
    let server = Server::own("prosody");
    let to = server.jid("bob");
    let send = |mode: &str, rest: &[&str]| {
        let all = [&["--to", &*to], rest, &["x"]].concat();
        run(server.command(mode, "send", "alice", &all))
    };

    let mut hanging = Running::start(server.command(
        "starttls",
        "send",
        "alice",
        &["--to", &server.jid("bob"), "--json", "--timeout", "2s", "-"],
    ));
    hanging.write("before\n");
    // It is connected: nobody receives, so this has its outcome after its time.
    hanging.line();
    server.xtask(&["pause"]);
    hanging.write("into the ice\n");
    let lost = hanging.end();
    assert_eq!(lost.code, 11, "{lost:?}");
    assert!(lost.took < Duration::from_secs(15), "{lost:?}");

    let silent = send("starttls", &["--timeout", "1s"]);
    assert_eq!(silent.code, 12, "{silent:?}");
    assert!(silent.took < Duration::from_secs(4), "{silent:?}");
    server.xtask(&["unpause"]);

    let mut wrong = server.command("starttls", "send", "alice", &["--to", "a@b.test", "x"]);
    wrong.env("STANCHION_PASSWORD", "wrong");
    let wrong = run(wrong);
    assert_eq!(wrong.code, 13, "{wrong:?}");
    assert!(wrong.one_line().contains("password"));

    server.xtask(&["servercert", "--expired"]);
    server.xtask(&["stop"]);
    server.xtask(&["start"]);
    for mode in ["starttls", "direct_tls"] {
        let expired = send(mode, &[]);
        assert_eq!(expired.code, 13, "{expired:?}");
        assert!(expired.one_line().contains("expired"), "{expired:?}");
        assert!(expired.took < Duration::from_secs(10), "{expired:?}");
    }
}

//! The servers that `cargo xtask servers` starts, as a client of another make
//! sees them. What they are configured to do is checked here; what our own
//! crates make of them is left to those crates' tests.
#![allow(clippy::unwrap_used, reason = "in a test a panic is the finding")]

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A server in a folder of its own, ended with the value.
struct Server {
    folder: TempDir,
}

impl Server {
    fn start(kind: &str, options: &[&str]) -> Self {
        let server = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        let mut words = vec![
            "start",
            kind,
            "--user",
            "alice:secret",
            "--user",
            "bob:secret",
        ];
        words.extend(options);
        server.must(&words);
        server
    }

    fn xtask(&self, words: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .arg("servers")
            .args(words)
            .arg("--dir")
            .arg(self.folder.path())
            .output()
            .unwrap()
    }

    fn must(&self, words: &[&str]) {
        let output = self.xtask(words);
        assert!(
            output.status.success(),
            "{words:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn status(&self) -> Value {
        serde_json::from_slice(&self.xtask(&["status", "--json"]).stdout).unwrap()
    }

    /// Runs the foreign client; its answer is one JSON document.
    fn client(&self, words: &[&str]) -> Value {
        let python =
            std::env::var_os("STANCHION_PYTHON").unwrap_or_else(|| "/usr/bin/python3".into());
        let output = Command::new(python)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign_client.py"))
            .arg(self.folder.path().join("server.json"))
            .args(words)
            .output()
            .unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| {
            panic!(
                "{words:?}: {e}\n{}",
                String::from_utf8_lossy(&output.stderr)
            )
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.xtask(&["kill"]);
    }
}

fn a_foreign_client_gets_what_it_needs(kind: &str) {
    let server = Server::start(kind, &[]);
    for transport in ["starttls", "direct_tls"] {
        let seen = server.client(&["visit", "alice", "bob", transport]);
        assert_eq!(seen["message"], "hello", "{kind} {transport}: {seen}");
        assert_eq!(seen["stream_management"], true, "{kind} {transport}");
        assert_eq!(seen["pubsub"], true, "{kind} {transport}");
        assert_eq!(seen["room"], true, "{kind} {transport}");
        assert!(
            seen["archived"].as_u64() >= Some(1),
            "{kind} {transport}: {seen}"
        );
    }
    assert_eq!(server.client(&["login", "alice", "wrong"])["login"], false);
}

fn a_killed_server_comes_back_with_ports_and_accounts(kind: &str) {
    let server = Server::start(kind, &[]);
    server.must(&["adduser", "carol", "late"]);
    let before = server.status();
    server.must(&["kill"]);
    assert!(!server.xtask(&["status"]).status.success());
    assert_eq!(server.status()["running"], false);

    server.must(&["start"]);
    let after = server.status();
    assert_eq!(after["ports"], before["ports"]);
    assert_ne!(after["pid"], before["pid"]);
    assert_eq!(server.client(&["login", "carol", "late"])["login"], true);
}

#[test]
fn prosody_gives_a_foreign_client_what_it_needs() {
    a_foreign_client_gets_what_it_needs("prosody");
}

#[test]
fn ejabberd_gives_a_foreign_client_what_it_needs() {
    a_foreign_client_gets_what_it_needs("ejabberd");
}

#[test]
fn a_killed_prosody_comes_back_with_ports_and_accounts() {
    a_killed_server_comes_back_with_ports_and_accounts("prosody");
}

#[test]
fn a_killed_ejabberd_comes_back_with_ports_and_accounts() {
    a_killed_server_comes_back_with_ports_and_accounts("ejabberd");
}

#[test]
fn a_paused_server_keeps_its_port_and_says_nothing() {
    let server = Server::start("prosody", &[]);
    server.must(&["pause"]);
    assert_eq!(server.client(&["greet", "1"])["answered"], false);
    server.must(&["unpause"]);
    assert_eq!(server.client(&["greet", "10"])["answered"], true);
}

#[test]
fn prosody_offers_channel_binding_on_tls_1_3_unless_it_is_stock() {
    let features = |options: &[&str]| {
        let server = Server::start("prosody", options);
        server.client(&["features"])["features"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let ours = features(&["--tls-protocol", "tlsv1_3"]);
    for part in ["SCRAM-SHA-256-PLUS", "urn:xmpp:sasl-cb:0", "tls-exporter"] {
        assert!(ours.contains(part), "{part} is missing: {ours}");
    }
    let stock = features(&["--stock"]);
    assert!(
        stock.contains("SCRAM-SHA-256") && !stock.contains("PLUS"),
        "{stock}"
    );
}

#[test]
fn prosody_with_sasl2_logs_in_and_resumes_in_one_round() {
    let server = Server::start("prosody", &["--sasl2"]);
    let features = server.client(&["features"]);
    let features = features["features"].as_str().unwrap();
    for part in ["urn:xmpp:sasl:2", "urn:xmpp:bind:0", "HT-SHA-256-EXPR"] {
        assert!(features.contains(part), "{part} is missing: {features}");
    }
    let seen = server.client(&["sasl2", "alice", "secret"]);
    assert_eq!(seen["bound"], true, "{seen}");
    assert_eq!(seen["token"], true, "{seen}");
    assert_eq!(seen["resumed"], true, "{seen}");
    assert_eq!(seen["resent"], 1, "{seen}");
}

#[test]
fn a_flawed_certificate_is_served_after_a_restart() {
    let server = Server::start("prosody", &[]);
    assert_eq!(server.client(&["trusted"])["trusted"], true);
    for flaw in ["--expired", "--self-signed"] {
        server.must(&["servercert", flaw]);
        server.must(&["stop"]);
        server.must(&["start"]);
        assert_eq!(server.client(&["trusted"])["trusted"], false, "{flaw}");
    }
    server.must(&["servercert"]);
    server.must(&["stop"]);
    server.must(&["start"]);
    assert_eq!(server.client(&["trusted"])["trusted"], true);
}

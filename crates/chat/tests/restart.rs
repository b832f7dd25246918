//! `stanchion listen`, killed and started again, and on a disk that takes nothing: what was
//! queued for it comes, in order, and nothing twice. The hub is the server; real servers
//! are in `interop.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test fails by panicking"
)]

mod common;

use std::process::Command;

use common::house::House;
use common::{Ended, Running, eventually};
use serde_json::Value;

const LINES: usize = 60;

/// A hub with the accounts `alice` and `bob`.
struct Hub {
    house: House,
}

impl Hub {
    fn start() -> Self {
        let house = House::start(&["alice", "bob"]);
        Self { house }
    }

    fn command(&self, user: &str, verb: &str, rest: &[&str]) -> Command {
        let mut command = self.house.command(user, verb, rest);
        command.env("STANCHION_LOG", "info");
        command
    }

    fn listen(&self) -> Command {
        self.command("bob", "listen", &["--json"])
    }

    /// Gives lines to be sent, one message each.
    fn sender(&self) -> Running {
        let rest = ["--to", "bob@hub.test", "--json", "--timeout", "60s", "-"];
        Running::start(self.command("alice", "send", &rest))
    }
}

/// The body, and whether it may have come before.
fn printed(line: &str) -> (String, bool) {
    let message: Value = serde_json::from_str(line).unwrap();
    let body = message["body"].as_str().unwrap().to_owned();
    (body, message["maybe_redelivered"].as_bool().unwrap())
}

fn bodies(ended: &Ended) -> Vec<String> {
    ended.stdout.lines().map(|line| printed(line).0).collect()
}

#[test]
fn a_killed_listener_resumes_its_session_and_gets_what_was_queued_once_and_in_order() {
    let hub = Hub::start();
    let mut first = Running::start(hub.listen());
    let mut sender = hub.sender();
    for line in 0..LINES {
        sender.write(&format!("{line}\n"));
    }
    // In mid-stream: some are committed, others under way.
    for _ in 0..LINES / 4 {
        first.line();
    }
    first.signal("KILL");
    let before = bodies(&first.end());

    let mut second = Running::start(hub.listen());
    let mut all = before.clone();
    while all.len() < LINES {
        let (body, maybe_again) = printed(&second.line());
        if before.contains(&body) {
            // Printed, and the process ended before it had committed that.
            assert!(maybe_again, "{body} came twice, and nobody says so");
        } else {
            all.push(body);
        }
    }
    let expected: Vec<String> = (0..LINES).map(|line| line.to_string()).collect();
    assert_eq!(all, expected);
    let sent = sender.end();
    assert_eq!(sent.code, 0, "{sent:?}");
    second.signal("INT");
    let ended = second.end();
    assert!(ended.stderr.contains("resumed=true"), "{}", ended.stderr);
    // With its id, the session could be taken over.
    assert!(!ended.stderr.contains("previd"), "{}", ended.stderr);
}

#[test]
fn a_listener_that_was_ended_properly_begins_a_new_session() {
    let hub = Hub::start();
    for round in 0..2 {
        let mut listener = Running::start(hub.listen());
        let mut sender = hub.sender();
        sender.write("hello\n");
        listener.line();
        assert_eq!(sender.end().code, 0);
        listener.signal("INT");
        let ended = listener.end();
        assert_eq!(ended.code, 0, "{ended:?}");
        assert!(ended.stderr.contains("resumed=false"), "round {round}");
        assert!(!ended.stderr.contains("resumed=true"), "round {round}");
    }
}

/// The same command, in which a file that grows too large is an error and not the end.
fn without_the_signal_of_a_full_file(command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell.current_dir(command.get_current_dir().unwrap());
    shell
}

fn limit_files(of: &Running, bytes: &str) {
    let pid = of.pid().to_string();
    let limit = format!("--fsize={bytes}:unlimited");
    let set = Command::new("prlimit")
        .args(["--pid", &pid, &limit])
        .status();
    assert!(set.unwrap().success());
}

fn sockets(of: &Running) -> usize {
    let open = std::fs::read_dir(format!("/proc/{}/fd", of.pid())).unwrap();
    let targets = open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    targets
        .filter(|to| to.to_string_lossy().starts_with("socket:"))
        .count()
}

#[test]
fn a_listener_whose_disk_is_full_acknowledges_nothing_and_goes_on_when_there_is_room() {
    let hub = Hub::start();
    let mut listener = Running::start(without_the_signal_of_a_full_file(&hub.listen()));
    let mut sender = hub.sender();
    sender.write("0\n");
    assert_eq!(printed(&listener.line()), ("0".to_owned(), false));
    sender.line();
    let connected = sockets(&listener);
    // From now on no file grows, nor is written beyond its first page.
    limit_files(&listener, "4096");
    for line in 1..LINES {
        sender.write(&format!("{line}\n"));
    }
    eventually("the connection is dropped", || {
        sockets(&listener) < connected
    });
    limit_files(&listener, "unlimited");
    for line in 1..LINES {
        assert_eq!(printed(&listener.line()), (line.to_string(), false));
    }
    let sent = sender.end();
    assert_eq!(sent.code, 0, "{sent:?}");
    listener.signal("INT");
    let ended = listener.end();
    assert_eq!(ended.code, 0, "{ended:?}");
    for said in ["the store failed", "the store is back", "resumed=true"] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.stderr);
    }
}

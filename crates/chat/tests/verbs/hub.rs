//! A hub in a process of its own, with the accounts `alice`, `bob` and `carol`.

use std::process::Command;

use serde_json::Value;

use crate::common::{Ended, Home, Running, run, words};

pub(crate) const PASSWORD: &str = "correct-horse";

pub(crate) struct Hub {
    pub(crate) home: Home,
    _process: Running,
    ready: Value,
}

impl Hub {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(rest: &[&str]) -> Self {
        let home = Home::new();
        let mut hub = words("hub --json --domain hub.test --starttls 127.0.0.1:0");
        let users = ["alice", "bob", "carol"].map(|u| format!("{u}:{PASSWORD}"));
        for user in &users {
            hub.extend(["--user", user]);
        }
        hub.extend(rest);
        let mut process = Running::start(home.command("", &hub));
        let ready = serde_json::from_str(&process.line()).unwrap();
        Self {
            home,
            _process: process,
            ready,
        }
    }

    pub(crate) fn address(&self) -> &str {
        self.ready["starttls"].as_str().unwrap()
    }

    pub(crate) fn fingerprint(&self) -> &str {
        self.ready["fingerprint"].as_str().unwrap()
    }

    /// A verb with its words, for an account that has a store of its own.
    pub(crate) fn command(&self, user: &str, line: &str, rest: &[&str]) -> Command {
        let jid = format!("{user}@hub.test");
        let store = format!("{user}.sqlite");
        let mut all = words(line);
        all.extend(rest);
        all.extend(["--jid", &jid, "--store", &store, "--connect"]);
        all.extend([self.address(), "--pin", self.fingerprint()]);
        self.home.command(PASSWORD, &all)
    }

    /// Runs such a command to its end.
    pub(crate) fn run(&self, user: &str, line: &str, rest: &[&str]) -> Ended {
        run(self.command(user, line, rest))
    }

    /// A listener that is connected; its first message has been received.
    pub(crate) fn listener(&self, user: &str, rest: &[&str]) -> Running {
        let mut listener = Running::start(self.command(user, "listen", rest));
        let to = format!("{user}@hub.test");
        let first = self.run("carol", "send --to", &[&to, "first"]);
        assert_eq!(first.code, 0, "{first:?}");
        assert!(listener.line().contains("first"));
        listener
    }
}

//! A hub in a process of its own, and commands of the accounts on it.

use std::process::Command;

use serde_json::Value;

use super::{Ended, Home, Running, run, words};

/// Of every account.
pub(crate) const PASSWORD: &str = "correct-horse";

/// The hub of `hub.test`, and the folder in which everything is.
pub(crate) struct House {
    pub(crate) home: Home,
    hub: Option<Running>,
    /// What it is started with, its address left out.
    words: Vec<String>,
    ready: Value,
}

impl House {
    /// With these accounts.
    pub(crate) fn start(users: &[&str]) -> Self {
        Self::start_with(users, &[])
    }

    /// And with these words more.
    pub(crate) fn start_with(users: &[&str], more: &[&str]) -> Self {
        let mut hub = words("hub --json --domain hub.test --state hub");
        let users: Vec<_> = users.iter().map(|u| format!("{u}:{PASSWORD}")).collect();
        for user in &users {
            hub.extend(["--user", user]);
        }
        hub.extend(more);
        let mut house = Self {
            home: Home::new(),
            hub: None,
            words: hub.into_iter().map(str::to_owned).collect(),
            ready: Value::Null,
        };
        house.open("127.0.0.1:0");
        house
    }

    fn open(&mut self, starttls: &str) {
        let mut hub: Vec<_> = self.words.iter().map(String::as_str).collect();
        hub.extend(["--starttls", starttls]);
        let mut process = Running::start(self.home.command("", &hub));
        self.ready = serde_json::from_str(&process.line()).unwrap();
        self.hub = Some(process);
    }

    /// The hub crashes.
    pub(crate) fn kill_hub(&mut self) {
        let mut hub = self.hub.take().unwrap();
        hub.signal("KILL");
        hub.end_with_open_input();
    }

    /// It is there again, at the same place.
    pub(crate) fn start_hub(&mut self) {
        let starttls = self.address().to_owned();
        self.open(&starttls);
    }

    /// What the hub said of itself when it was ready.
    pub(crate) fn told(&self, what: &str) -> &str {
        self.ready[what].as_str().unwrap()
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> &str {
        self.told("starttls")
    }

    /// Its certificate's fingerprint.
    pub(crate) fn pin(&self) -> &str {
        self.told("fingerprint")
    }

    /// A verb with its words, for an account that has a store of its own.
    pub(crate) fn command(&self, user: &str, line: &str, rest: &[&str]) -> Command {
        let jid = format!("{user}@hub.test");
        let store = format!("{user}.sqlite");
        let mut all = words(line);
        all.extend(rest);
        all.extend(["--jid", &jid, "--store", &store, "--connect"]);
        all.extend([self.address(), "--pin", self.pin()]);
        self.home.command(PASSWORD, &all)
    }

    /// Runs such a command to its end.
    pub(crate) fn run(&self, user: &str, line: &str, rest: &[&str]) -> Ended {
        run(self.command(user, line, rest))
    }

    /// Writes a file of the folder.
    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.home.path(name), text).unwrap();
    }
}

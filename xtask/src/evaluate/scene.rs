//! What a case works with: two servers of one make, a folder, accounts that no other case
//! has, and commands on them. What is done with it is left to the cases.

use super::patience::Patience;
use super::process::{Ended, Running, run};
use super::report::Figures;
use super::server::{PASSWORD, Server};
use crate::failure::{Context, Failure, Outcome};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;
use tempfile::TempDir;

/// The programs that are run.
#[derive(Debug)]
pub(super) struct Programs {
    /// The command, as it is built.
    pub(super) stanchion: PathBuf,
    /// The facade's example `device`.
    pub(super) device: PathBuf,
    /// A Python that has slixmpp.
    pub(super) python: PathBuf,
}

/// Whose command it is, and how it reaches its server.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) jid: String,
    pub(super) place: String,
    pub(super) ca: PathBuf,
    pub(super) password: &'static str,
}

impl Account {
    /// The same by way of a port of 127.0.0.1: a relay's, for one.
    pub(super) fn by(&self, port: u16) -> Self {
        Self {
            place: format!("127.0.0.1:{port}"),
            ..self.clone()
        }
    }
}

/// A case on a make of server.
pub(super) struct Scene<'a> {
    /// The primary one.
    pub(super) first: &'a mut Server,
    /// One of another domain. The hub offers no channel binding here: see `foreign`.
    pub(super) second: &'a mut Server,
    pub(super) programs: &'a Programs,
    pub(super) patience: Patience,
    pub(super) figures: Figures,
    folder: TempDir,
    /// Tells the accounts of a case from those of the others.
    number: usize,
}

impl<'a> Scene<'a> {
    pub(super) fn new(
        servers: &'a mut [Server; 2],
        programs: &'a Programs,
        patience: Patience,
        number: usize,
    ) -> Outcome<Self> {
        let temp = std::env::temp_dir();
        let [first, second] = servers;
        Ok(Self {
            first,
            second,
            programs,
            patience,
            figures: Figures::default(),
            folder: tempfile::tempdir().doing("create a folder in", &temp)?,
            number,
        })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The sender's account at the primary server.
    pub(super) fn sensor(&self) -> Account {
        self.account("sensor", self.first)
    }

    /// The recipient's account at the primary server.
    pub(super) fn app(&self) -> Account {
        self.account("app", self.first)
    }

    pub(super) fn account(&self, user: &str, server: &Server) -> Account {
        Account {
            jid: format!("{}@{}", user_name(user, self.number), server.domain()),
            place: server.place(),
            ca: server.ca(),
            password: PASSWORD,
        }
    }

    /// A command of nobody in particular, apart from the user's own settings and files.
    pub(super) fn bare(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STANCHION_") {
                command.env_remove(name);
            }
        }
        let folder = self.folder();
        command
            .env("HOME", folder)
            .env("XDG_CONFIG_HOME", folder.join("config"))
            .env("XDG_DATA_HOME", folder.join("data"))
            .current_dir(folder);
        command
    }

    /// `stanchion VERB` without an account: by the registered servers.
    pub(super) fn registered(&self, verb: &str, rest: &[&str]) -> Command {
        let mut command = self.bare(&self.programs.stanchion);
        command.arg(verb).args(rest);
        command
    }

    /// `stanchion VERB` of an account, with a store of its own.
    pub(super) fn stanchion(&self, account: &Account, verb: &str, rest: &[&str]) -> Command {
        let mut command = self.bare(&self.programs.stanchion);
        command
            .args([verb, "--jid", &account.jid, "--connect", &account.place])
            .arg("--ca")
            .arg(&account.ca)
            .args(["--store", &format!("{}.sqlite", account.jid)])
            .args(rest)
            .env("STANCHION_PASSWORD", account.password);
        command
    }

    /// `stanchion listen --json`.
    pub(super) fn listen(&self, account: &Account) -> Outcome<Running> {
        let command = self.stanchion(account, "listen", &["--json"]);
        Running::start(command, &self.patience)
    }

    /// `stanchion send --json`, to its end.
    pub(super) fn send(&self, from: &Account, to: &Account, rest: &[&str]) -> Outcome<Ended> {
        let words = [&["--to", &to.jid, "--json"], rest].concat();
        self.run(self.stanchion(from, "send", &words))
    }

    /// `stanchion send --json -`, which takes lines.
    pub(super) fn send_lines(&self, from: &Account, to: &Account, time: &str) -> Outcome<Running> {
        let words = ["--to", &to.jid, "--json", "--timeout", time, "-"];
        Running::start(self.stanchion(from, "send", &words), &self.patience)
    }

    /// The facade's example, as a device of this account that sends to another.
    pub(super) fn device(&self, account: &Account, to: &Account) -> Outcome<Running> {
        let mut command = self.bare(&self.programs.device);
        command
            .args([&account.jid, &account.place])
            .arg(&account.ca)
            .args([&format!("{}.sqlite", account.jid), &to.jid])
            .env("STANCHION_PASSWORD", account.password);
        Running::start(command, &self.patience)
    }

    pub(super) fn run(&self, command: Command) -> Outcome<Ended> {
        run(command, &self.patience)
    }

    /// Registers the servers of a device, the first to be tried first.
    pub(super) fn register(&self, accounts: &[Account]) -> Outcome {
        for (priority, account) in accounts.iter().enumerate() {
            let mut command = self.registered("server", &["add", &account.jid]);
            command
                .args(["--endpoint", &account.place, "--ca"])
                .arg(&account.ca)
                .args(["--priority", &priority.to_string()])
                .env("STANCHION_PASSWORD", account.password);
            self.run(command)?.must_be("stanchion server add", 0)?;
        }
        Ok(())
    }
}

/// The name of a user of a case.
pub(super) fn user_name(user: &str, number: usize) -> String {
    format!("{user}{number}")
}

/// Fails a case unless something holds.
pub(super) fn must(holds: bool, why: impl FnOnce() -> String) -> Outcome {
    if holds {
        return Ok(());
    }
    Err(Failure::Red(why()))
}

/// Whether an outcome of `send --json` is the recipient's word that it has the message.
pub(super) fn is_success(outcome: &Value) -> bool {
    matches!(
        outcome["outcome"].as_str(),
        Some("acknowledged" | "delivered")
    )
}

/// A `send` that must have ended with the recipient's word; and how long that took.
pub(super) fn acknowledged(sent: &Ended) -> Outcome<Duration> {
    sent.must_be("stanchion send", 0)?;
    let outcome = sent.json()?;
    must(is_success(&outcome), || format!("the outcome is {outcome}"))?;
    time(&outcome)
}

/// How long it took to an outcome.
pub(super) fn time(outcome: &Value) -> Outcome<Duration> {
    let ms = outcome["ms"].as_u64().map(Duration::from_millis);
    ms.ok_or_else(|| Failure::Malformed {
        what: format!("the outcome {outcome}"),
        why: "it has no time".to_owned(),
    })
}

/// A listener's line must be this text, marked as possibly handed over before or not.
pub(super) fn is_message(line: &Value, body: &str, again: bool) -> Outcome {
    let same = line["body"] == body && line["maybe_redelivered"] == again;
    must(same, || {
        let (line, wanted) = (short(&line.to_string()), short(body));
        format!("received {line}, and not {wanted:?} with maybe_redelivered {again}")
    })
}

/// The beginning of a text that may be long.
fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

//! The sender and the receiver of a run: their files, their registered servers behind
//! relays, and their processes, which are killed and started again.

use super::plant::{Home, PASSWORD, Plant};
use super::process::Process;
use super::relay::Relay;
use crate::failure::{Context, Failure, Outcome};
use crate::program;
use crate::servers::ports;
use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// The outcome of a message that was too late, as the sender's journal has it.
const EXPIRED: &[u8] = b"not-delivered";
/// How long an end may take to end politely: a server may be away.
const PATIENCE: Duration = Duration::from_secs(20);

/// One end.
#[derive(Debug)]
pub(crate) struct End {
    name: &'static str,
    program: PathBuf,
    folder: PathBuf,
    arguments: Vec<String>,
    /// How far the sender may go.
    allowed: Option<u64>,
    process: Option<Process>,
    /// When it is started again.
    again: Option<Instant>,
    /// One for each node, in their order.
    pub(crate) relays: Vec<Relay>,
    pub(crate) kills: u64,
}

impl End {
    /// Prepares it in a folder of its own: a relay before each node, and the servers of
    /// `homes` in its registry, the first of them preferred.
    pub(crate) fn prepare(
        name: &'static str,
        program: &Path,
        root: &Path,
        (plant, homes): (&Plant, &[Home]),
        runtime: &Handle,
    ) -> Outcome<Self> {
        let folder = root.join(name);
        fs::create_dir_all(&folder).doing("create", &folder)?;
        let config = folder.join("config.toml");
        fs::write(&config, "").doing("write", &config)?;
        let mut relays = Vec::new();
        for address in plant.addresses() {
            let [port] = ports::take()?;
            relays.push(Relay::start(runtime, port, *address).doing("listen for", &folder)?);
        }
        let end = Self {
            name,
            program: program.to_owned(),
            folder,
            arguments: Vec::new(),
            allowed: None,
            process: None,
            again: None,
            relays,
            kills: 0,
        };
        for (place, home) in homes.iter().enumerate() {
            let mut add = end.command(&["server", "add", &home.jid, "--resource", name]);
            add.args(["--priority", &(place * 10).to_string(), home.trust.0]);
            add.arg(&home.trust.1);
            for relay in home.nodes.iter().filter_map(|node| end.relays.get(*node)) {
                add.args(["--endpoint", &relay.address().to_string()]);
            }
            add.arg("--store").arg(end.store());
            program::read(&mut add)?;
        }
        Ok(end)
    }

    /// Starts it for the first time, with arguments that stay.
    pub(crate) fn start(&mut self, verb: &[&str]) -> Outcome {
        self.arguments = verb.iter().map(|word| (*word).to_owned()).collect();
        self.spawn()
    }

    /// Lets the sender give messages up to this number, now and after each start.
    pub(crate) fn allow(&mut self, number: u64) {
        if self.allowed.replace(number) != Some(number)
            && let Some(process) = &mut self.process
        {
            process.tell(&number.to_string());
        }
    }

    fn spawn(&mut self) -> Outcome {
        let words: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let mut command = self.command(&["chaos-end"]);
        command.args(words).arg("--store").arg(self.store());
        command.arg("--journal").arg(self.journal());
        if let Some(number) = self.allowed {
            command.args(["--allowed", &number.to_string()]);
        }
        self.process = Some(Process::start(
            self.name,
            command,
            &self.folder.join("log"),
        )?);
        self.again = None;
        Ok(())
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words)
            // Nothing of whoever runs this counts.
            .env_remove("STANCHION_JID")
            .env("STANCHION_CONFIG", self.folder.join("config.toml"))
            .env("STANCHION_PASSWORD", PASSWORD);
        command
    }

    fn store(&self) -> PathBuf {
        self.folder.join("store.sqlite")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }

    /// Kills it, and has it started again after `down`. False while it is down already.
    pub(crate) fn kill(&mut self, down: Duration) -> bool {
        let Some(mut process) = self.process.take() else {
            return false;
        };
        process.kill();
        self.kills += 1;
        self.again = Some(Instant::now() + down);
        true
    }

    /// Starts it again when it is time. Tells whether it has ended, well and by itself.
    ///
    /// # Errors
    /// It ended otherwise.
    pub(crate) fn look(&mut self) -> Outcome<bool> {
        if self.again.is_some_and(|at| at <= Instant::now()) {
            self.spawn()?;
        }
        let Some(process) = &mut self.process else {
            return Ok(false);
        };
        match process.ended()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => Err(process.failure(status)),
        }
    }

    /// Ends it politely. A receiver that is down is started once more, to say goodbye.
    ///
    /// # Errors
    /// It did not end well.
    pub(crate) fn end(&mut self) -> Outcome {
        if self.process.is_none() {
            self.spawn()?;
        }
        let well = self
            .process
            .as_mut()
            .is_none_or(|process| process.end(PATIENCE));
        self.stop();
        if well {
            return Ok(());
        }
        Err(Failure::Red(format!(
            "the {} did not end as it should: see {}",
            self.name,
            self.folder.join("log").display()
        )))
    }

    /// Ends it at once, for good.
    pub(crate) fn stop(&mut self) {
        self.process = None;
        self.again = None;
    }

    /// The outbox, a line a message; the end must have ended.
    pub(crate) fn outbox(&self) -> Outcome<String> {
        let mut list = self.command(&["chaos-end", "outbox", "--store"]);
        program::read(list.arg(self.store()))
    }
}

/// Follows a journal that another process writes.
#[derive(Debug)]
pub(crate) struct Follower {
    path: PathBuf,
    seen: u64,
    counts: fn(&[u8]) -> bool,
    /// Lines that count, so far.
    pub(crate) lines: u64,
}

impl Follower {
    /// Counts the effects in a receiver's.
    pub(crate) const fn of_effects(path: PathBuf) -> Self {
        Self::new(path, |line| {
            line.ends_with(b" 1") && !line.starts_with(b"c")
        })
    }

    /// Counts the messages in a sender's that were too late.
    pub(crate) const fn of_expiries(path: PathBuf) -> Self {
        Self::new(path, |line| {
            line.starts_with(b"outcome ") && line.split(|b| *b == b' ').nth(2) == Some(EXPIRED)
        })
    }

    const fn new(path: PathBuf, counts: fn(&[u8]) -> bool) -> Self {
        Self {
            path,
            seen: 0,
            counts,
            lines: 0,
        }
    }

    /// Counts what is new. A line that is written by halves counts when it is whole.
    pub(crate) fn look(&mut self) -> Outcome {
        let Ok(mut file) = File::open(&self.path) else {
            // Nobody has written yet.
            return Ok(());
        };
        let mut text = Vec::new();
        file.seek(SeekFrom::Start(self.seen))
            .and_then(|_| file.read_to_end(&mut text))
            .doing("read", &self.path)?;
        let whole = text
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        self.seen += whole as u64;
        let lines = text[..whole].split(|byte| *byte == b'\n');
        self.lines += lines.filter(|line| (self.counts)(line)).count() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_follower_counts_effects_and_each_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut follower = Follower::of_effects(path.clone());
        follower.look().unwrap();
        fs::write(&path, "connected 1\n5 1 a 0 1\n6 2 b 1 0\n7 3 c").unwrap();
        follower.look().unwrap();
        assert_eq!(follower.lines, 1);
        fs::write(&path, "connected 1\n5 1 a 0 1\n6 2 b 1 0\n7 3 c 0 1\n").unwrap();
        follower.look().unwrap();
        follower.look().unwrap();
        assert_eq!(follower.lines, 2);
    }

    #[test]
    fn a_follower_counts_what_was_too_late() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let mut follower = Follower::of_expiries(path.clone());
        fs::write(
            &path,
            "kept 1 a\noutcome a delivered 9\noutcome b not-delivered 9\n",
        )
        .unwrap();
        follower.look().unwrap();
        assert_eq!(follower.lines, 1);
    }
}

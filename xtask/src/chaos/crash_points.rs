//! Crash points: a sender fills its outbox, without a server, and is killed at a random
//! moment, over and over. After each kill the outbox must hold every message whose `send`
//! had returned, and no number twice.

use super::plan::Random;
use super::plant::PASSWORD;
use super::process::Process;
use crate::failure::{Context, Failure, Outcome};
use crate::program::{self, Interrupt};
use serde::Serialize;
use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Kills that one store lives through. An outbox has a bound, and nothing leaves this one.
const LIVES: u64 = 10;
/// Three kills of four wait until the process has accepted a message, but not longer than
/// this; the fourth may strike while the process still opens its store.
const PATIENCE: Duration = Duration::from_secs(5);
/// The latest moment of a kill after that, or after the start, in milliseconds.
const LATEST: u64 = 60;

/// What is to be done.
#[derive(Debug)]
pub(super) struct Order<'a> {
    pub(super) points: u64,
    pub(super) seed: u64,
    pub(super) limit: Duration,
    pub(super) program: &'a Path,
    pub(super) root: &'a Path,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Report {
    seed: u64,
    /// Kills so far.
    crash_points: u64,
    /// Kills of a process that had accepted messages in this life.
    while_sending: u64,
    /// Messages whose `send` returned, over all stores.
    accepted: u64,
    /// Messages in the outboxes: those, and some whose `send` had not returned.
    kept: u64,
    /// Of the accepted ones, those that the outbox did not have.
    forgotten: u64,
    /// Numbers that were there more than once.
    given_twice: u64,
    seconds: f64,
    cut_short: Option<String>,
}

impl Report {
    fn passed(&self) -> bool {
        self.forgotten == 0 && self.given_twice == 0 && self.cut_short.is_none()
    }

    pub(super) fn tell(&self, json: bool) -> Outcome {
        if json {
            let mut object = serde_json::json!(self);
            object["passed"] = self.passed().into();
            println!("{object}");
        } else {
            println!(
                "{} kills in {:.1} s, {} of them while messages were accepted, seed {}",
                self.crash_points, self.seconds, self.while_sending, self.seed
            );
            println!(
                "accepted {}, in the outbox {}, forgotten {}, given twice {}",
                self.accepted, self.kept, self.forgotten, self.given_twice
            );
        }
        match &self.cut_short {
            _ if self.passed() => Ok(()),
            Some(why) => Err(Failure::Red(format!("{why}: the run was cut short"))),
            None => Err(Failure::Red("a promise was broken".to_owned())),
        }
    }
}

/// One store and its journal.
struct Store<'a> {
    program: &'a Path,
    folder: PathBuf,
}

/// Carries it out.
///
/// # Errors
/// The sender could not be started, or ended by itself.
pub(super) fn run(order: &Order<'_>, interrupt: &Interrupt) -> Outcome<Report> {
    let begin = Instant::now();
    let mut random = Random::new(order.seed);
    let mut result = Report {
        seed: order.seed,
        ..Report::default()
    };
    let mut store = None;
    for point in 0..order.points {
        result.seconds = begin.elapsed().as_secs_f64();
        if interrupt.seen() {
            result.cut_short = Some("interrupted".to_owned());
            break;
        }
        if begin.elapsed() > order.limit {
            result.cut_short = Some(format!("not done within {} s", order.limit.as_secs()));
            break;
        }
        let current = match store.take() {
            Some(store) if !point.is_multiple_of(LIVES) => store,
            old => {
                if let Some(old) = old {
                    Store::remove(old)?;
                }
                Store::make(order, point / LIVES)?
            }
        };
        let before = current.accepted()?.len();
        current.crash(random.below(4) > 0, random.millis(0, LATEST))?;
        let accepted = current.accepted()?;
        current.check(&accepted, &mut result)?;
        result.crash_points += 1;
        result.while_sending += u64::from(accepted.len() > before);
        if !result.passed() {
            break;
        }
        if (point + 1).is_multiple_of(LIVES) || point + 1 == order.points {
            result.accepted += accepted.len() as u64;
            result.kept += current.outbox()?.lines().count() as u64;
        }
        store = Some(current);
    }
    result.seconds = begin.elapsed().as_secs_f64();
    Ok(result)
}

impl<'a> Store<'a> {
    fn make(order: &Order<'a>, number: u64) -> Outcome<Self> {
        let folder = order.root.join(format!("store-{number}"));
        fs::create_dir_all(&folder).doing("create", &folder)?;
        let config = folder.join("config.toml");
        fs::write(&config, "").doing("write", &config)?;
        let store = Self {
            program: order.program,
            folder,
        };
        // Nothing can listen at port 1 without being asked to.
        let mut add = store.command(&["server", "add", "sender@chaos.test"]);
        add.args(["--endpoint", "127.0.0.1:1", "--store"]);
        program::read(add.arg(store.file()))?;
        Ok(store)
    }

    fn remove(self) -> Outcome {
        fs::remove_dir_all(&self.folder).doing("remove", &self.folder)
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(self.program);
        command
            .args(words)
            .env_remove("STANCHION_JID")
            .env("STANCHION_CONFIG", self.folder.join("config.toml"))
            .env("STANCHION_PASSWORD", PASSWORD);
        command
    }

    fn file(&self) -> PathBuf {
        self.folder.join("store.sqlite")
    }

    fn journal(&self) -> PathBuf {
        self.folder.join("journal")
    }

    /// Starts a sender, perhaps waits until it has accepted a message, and kills it after
    /// `time`.
    fn crash(&self, sending: bool, time: Duration) -> Outcome {
        let before = self.accepted()?.len();
        let mut command = self.command(&["chaos-end", "send", "--to", "receiver@chaos.test"]);
        // More than can be accepted in these lives.
        command.args(["--messages", "1000000", "--ahead", "1000000", "--store"]);
        command
            .arg(self.file())
            .arg("--journal")
            .arg(self.journal());
        let mut sender = Process::start("sender", command, &self.folder.join("log"))?;
        let begin = Instant::now();
        while sending && self.accepted()?.len() == before && begin.elapsed() < PATIENCE {
            sleep(Duration::from_millis(2));
        }
        sleep(time);
        if let Some(status) = sender.ended()? {
            return Err(sender.failure(status));
        }
        sender.kill();
        Ok(())
    }

    /// Ids of the messages whose `send` returned, in all lives.
    fn accepted(&self) -> Outcome<HashSet<String>> {
        let path = self.journal();
        if !path.exists() {
            return Ok(HashSet::new());
        }
        let text = fs::read_to_string(&path).doing("read", &path)?;
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        Ok(whole
            .lines()
            .filter_map(|line| line.strip_prefix("kept "))
            .filter_map(|line| line.split(' ').nth(1))
            .map(str::to_owned)
            .collect())
    }

    fn outbox(&self) -> Outcome<String> {
        program::read(
            self.command(&["chaos-end", "outbox", "--store"])
                .arg(self.file()),
        )
    }

    fn check(&self, accepted: &HashSet<String>, result: &mut Report) -> Outcome {
        let outbox = self.outbox()?;
        let mut there = HashSet::new();
        let mut numbers: HashMap<&str, u64> = HashMap::new();
        for line in outbox.lines() {
            let mut words = line.split(' ').skip(1);
            if let (Some(id), Some(number)) = (words.next(), words.next()) {
                there.insert(id);
                *numbers.entry(number).or_default() += 1;
            }
        }
        result.forgotten += accepted.iter().filter(|id| !there.contains(&***id)).count() as u64;
        result.given_twice += numbers.values().map(|times| times - 1).sum::<u64>();
        Ok(())
    }
}

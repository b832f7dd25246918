//! The built command as a person or a script runs it: started, read, ended, and cleaned up
//! after. What it should do is in the tests.

#![allow(
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "each test file uses a part of it, and a test fails by panicking"
)]

pub(crate) mod house;

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Nothing here takes so long, unless it hangs.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);

/// A folder in which commands run: stores, configuration and temporary files of theirs
/// are in it, and nowhere else.
pub(crate) struct Home {
    folder: TempDir,
}

impl Home {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("tmp")).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A command; `password` goes by the environment.
    pub(crate) fn command(&self, password: &str, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stanchion"));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("STANCHION_") {
                command.env_remove(name);
            }
        }
        command
            .args(words)
            .env("STANCHION_PASSWORD", password)
            .env("HOME", self.folder.path())
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("XDG_DATA_HOME", self.path("data"))
            .env("TMPDIR", self.path("tmp"))
            .env("COLUMNS", "80")
            .current_dir(self.folder.path());
        command
    }

    /// Temporary folders that commands have left.
    pub(crate) fn leftovers(&self) -> usize {
        std::fs::read_dir(self.path("tmp")).unwrap().count()
    }

    /// Processes that run on this folder.
    pub(crate) fn processes(&self) -> Vec<String> {
        let folder = self.folder.path().to_str().unwrap().to_owned();
        let own = |entry: std::fs::DirEntry| {
            let words = std::fs::read(entry.path().join("cmdline")).ok()?;
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            words.contains(&folder).then_some(words)
        };
        let all = std::fs::read_dir("/proc").unwrap();
        all.filter_map(|entry| own(entry.ok()?)).collect()
    }
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Ended {
    /// The one line of the failure.
    #[track_caller]
    pub(crate) fn one_line(&self) -> &str {
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        let line = self.stderr.trim_end();
        assert!(line.starts_with("stanchion: "), "{self:?}");
        line
    }

    /// Each line of the output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        let parse = |line: &str| serde_json::from_str(line).unwrap();
        self.stdout.lines().map(parse).collect()
    }
}

/// A command that runs. Killed when it is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) input: Option<ChildStdin>,
    lines: Receiver<String>,
    seen: Vec<String>,
    stderr: Option<JoinHandle<String>>,
    started: Instant,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> Self {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        let (line, lines) = channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        // Ends with the pipe, or when nobody listens.
        std::thread::spawn(move || {
            let mut all = stdout.lines().map_while(Result::ok);
            all.try_for_each(|l| line.send(l))
        });
        let mut stderr = child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = Vec::new();
            let _ = stderr.read_to_end(&mut text);
            String::from_utf8_lossy(&text).into_owned()
        });
        Self {
            input: child.stdin.take(),
            child,
            lines,
            seen: Vec::new(),
            stderr: Some(stderr),
            started,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line of its output.
    #[track_caller]
    pub(crate) fn line(&mut self) -> String {
        match self.lines.recv_timeout(LIMIT) {
            Ok(line) => {
                self.seen.push(line.clone());
                line
            }
            Err(_) => {
                let _ = self.child.kill();
                let stderr = self.stderr.take().unwrap().join().unwrap();
                panic!("no line after {:?}; {stderr}", self.seen)
            }
        }
    }

    pub(crate) fn write(&mut self, text: &str) {
        let input = self.input.as_mut().unwrap();
        input.write_all(text.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for its end, its input closed.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        drop(self.input.take());
        self.end_with_open_input()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end_with_open_input(&mut self) -> Ended {
        let status = self.wait();
        let took = self.started.elapsed();
        let mut stdout = String::new();
        let rest: Vec<String> = self.lines.iter().collect();
        for line in self.seen.drain(..).chain(rest) {
            let _ = writeln!(stdout, "{line}");
        }
        Ended {
            code: status.code().unwrap_or(-1),
            stdout,
            stderr: self.stderr.take().unwrap().join().unwrap(),
            took,
        }
    }

    #[track_caller]
    fn wait(&mut self) -> ExitStatus {
        let mut ended = None;
        let child = &mut self.child;
        eventually("the command ends", || {
            ended = child.try_wait().unwrap();
            ended.is_some()
        });
        ended.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a command to its end, without input.
#[track_caller]
pub(crate) fn run(command: Command) -> Ended {
    Running::start(command).end()
}

pub(crate) fn signal(pid: u32, name: &str) {
    let kill = Command::new("kill")
        .args(["-s", name, &pid.to_string()])
        .status();
    assert!(kill.unwrap().success());
}

/// Waits for a condition that nothing announces.
#[track_caller]
pub(crate) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let over = Instant::now() + LIMIT;
    while !holds() {
        assert!(Instant::now() < over, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Words with blanks between, as in a shell without quotes.
pub(crate) fn words(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// A path as a word.
pub(crate) fn word(path: &Path) -> &str {
    path.to_str().unwrap()
}

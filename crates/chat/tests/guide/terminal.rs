//! The reader's machine: a folder, and shells that work in it. A port of 127.0.0.1 in the book
//! is another, free one here, and what is printed is told in the book's ports.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::book::fits;

/// Nothing in the book takes so long, unless it hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// What a shell prints behind each command, with its exit code.
const ENDED: &str = "-- the command of the guide ended with ";

/// The folder and the ports of a chapter.
#[derive(Debug)]
pub(crate) struct Desk {
    folder: TempDir,
    ports: BTreeMap<String, String>,
}

/// Where `stanchion` is found first.
pub(crate) fn path() -> OsString {
    let program = Path::new(env!("CARGO_BIN_EXE_stanchion"));
    let mut path = program.parent().unwrap().as_os_str().to_owned();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    path
}

impl Desk {
    pub(crate) fn new(text: &str) -> Self {
        let mut ports = BTreeMap::new();
        // Held until all are chosen, so that no two are the same.
        let mut held = Vec::new();
        for rest in text.split("127.0.0.1:").skip(1) {
            let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
            if !digits.is_empty() && !ports.contains_key(&format!("127.0.0.1:{digits}")) {
                let listener = TcpListener::bind("127.0.0.1:0").unwrap();
                let free = listener.local_addr().unwrap().to_string();
                ports.insert(format!("127.0.0.1:{digits}"), free);
                held.push(listener);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".tmp")).unwrap();
        Self { folder, ports }
    }

    /// The book's words, with the ports of here. Longer ports first, or a part of one would
    /// be taken for another.
    fn here(&self, text: &str) -> String {
        let mut pairs: Vec<_> = self.ports.iter().collect();
        pairs.sort_by_key(|(book, _)| std::cmp::Reverse(book.len()));
        pairs
            .into_iter()
            .fold(text.to_owned(), |text, (book, here)| {
                text.replace(book, here)
            })
    }

    /// What is printed here, in the book's ports.
    fn told(&self, text: &str) -> String {
        self.ports
            .iter()
            .fold(text.to_owned(), |text, (book, here)| {
                text.replace(here, book)
            })
    }

    pub(crate) fn write(&self, file: &str, text: &str, add: bool) {
        let mut options = OpenOptions::new();
        options.create(true).write(true).append(add).truncate(!add);
        let mut file = options.open(self.folder.path().join(file)).unwrap();
        file.write_all(self.here(text).as_bytes()).unwrap();
    }
}

/// A shell. It ends, with all that it started, when it is dropped.
#[derive(Debug)]
pub(crate) struct Terminal {
    shell: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    /// Whether there is a command whose end was not seen yet.
    running: bool,
}

impl Terminal {
    pub(crate) fn open(desk: &Desk) -> Self {
        let mut command = Command::new("sh");
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if text.starts_with("STANCHION_") || text.starts_with("XDG_") {
                command.env_remove(name);
            }
        }
        let mut shell = command
            .env("PATH", path())
            .env("HOME", desk.folder.path())
            .env("TMPDIR", desk.folder.path().join(".tmp"))
            .env("COLUMNS", "80")
            .current_dir(desk.folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            // A signal reaches the shell and what runs in it, and nobody else.
            .process_group(0)
            .spawn()
            .unwrap();
        let mut input = shell.stdin.take().unwrap();
        // An interrupt is for the command that runs.
        writeln!(input, "trap : INT").unwrap();
        let output = BufReader::new(shell.stdout.take().unwrap());
        let (line, lines) = channel();
        // Ends with the pipe, or when nobody listens.
        std::thread::spawn(move || {
            let mut all = output.lines().map_while(Result::ok);
            all.try_for_each(|l| line.send(l))
        });
        Self {
            shell,
            input,
            lines,
            running: false,
        }
    }

    /// Types a command, once the one before has ended.
    pub(crate) fn start(&mut self, at: &str, command: &str, desk: &Desk) {
        if self.running {
            self.rest(at, desk);
        }
        self.running = true;
        let command = desk.here(command);
        let typed = writeln!(
            self.input,
            "{{ {command}\n}} </dev/null 2>&1; guide=$?; echo; echo \"{ENDED}$guide\"; (exit $guide)"
        );
        typed.and_then(|()| self.input.flush()).expect(at);
    }

    /// Carries a command out, to its end. Gives its exit code.
    pub(crate) fn run(&mut self, at: &str, command: &str, expected: &[String], desk: &Desk) -> i32 {
        self.start(at, command, desk);
        let (lines, status) = self.rest(at, desk);
        assert!(
            fits(expected, &lines),
            "{at}: `{command}` printed {lines:#?}"
        );
        status
    }

    /// Waits until what the command that runs prints is what is expected.
    pub(crate) fn expect(&self, at: &str, expected: &[String], desk: &Desk) {
        let over = Instant::now() + LIMIT;
        let mut lines = Vec::new();
        while !fits(expected, &lines) {
            let left = over.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) if !line.starts_with(ENDED) => lines.push(desk.told(&line)),
                _ => panic!("{at}: {expected:#?} is not what was printed: {lines:#?}"),
            }
        }
    }

    /// Ends the command that runs, as Ctrl-C does.
    pub(crate) fn interrupt(&mut self, at: &str, expected: &[String], desk: &Desk) {
        let group = format!("-{}", self.shell.id());
        let sent = Command::new("kill")
            .args(["-s", "INT", "--", &group])
            .status();
        assert!(sent.unwrap().success(), "{at}");
        let (lines, _) = self.rest(at, desk);
        // What is left of before is there, too.
        let told = expected.is_empty() || fits(expected, &lines);
        assert!(told, "{at}: ^C: {lines:#?}");
    }

    /// What is printed until the command ends, and its exit code.
    fn rest(&mut self, at: &str, desk: &Desk) -> (Vec<String>, i32) {
        let over = Instant::now() + LIMIT;
        let mut lines = Vec::new();
        loop {
            let left = over.saturating_duration_since(Instant::now());
            let Ok(line) = self.lines.recv_timeout(left) else {
                panic!("{at}: no end after {lines:#?}");
            };
            if let Some(status) = line.strip_prefix(ENDED) {
                self.running = false;
                // The one that was put before it.
                if lines.last().is_some_and(String::is_empty) {
                    lines.pop();
                }
                return (lines, status.parse().unwrap());
            }
            lines.push(desk.told(&line));
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let group = format!("-{}", self.shell.id());
        let _ = Command::new("kill")
            .args(["-s", "KILL", "--", &group])
            .status();
        let _ = self.shell.wait();
    }
}

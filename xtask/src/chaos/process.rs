//! A process of a run: started with its input open and its output in a file, killed by its
//! own handle. It ends with its input, and so with this program, even if this is killed.

use crate::failure::{Context, Failure, Outcome};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// A process that was started, and not waited for yet.
#[derive(Debug)]
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    input: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// Starts it; what it prints is appended to `log`.
    pub(crate) fn start(name: &'static str, mut command: Command, log: &Path) -> Outcome<Self> {
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .doing("open", log)?;
        let err = out.try_clone().doing("open", log)?;
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            // Ctrl-C is for this program alone, which then ends its processes in order.
            .process_group(0)
            .spawn()
            .map_err(|source| Failure::Spawn {
                program: command.get_program().to_string_lossy().into_owned(),
                source,
            })?;
        Ok(Self {
            name,
            input: child.stdin.take(),
            child,
            log: log.to_owned(),
        })
    }

    /// Writes a line to its input. One that has ended hears nothing.
    pub(crate) fn tell(&mut self, line: &str) {
        if let Some(input) = &mut self.input {
            let _ = writeln!(input, "{line}");
        }
    }

    /// How it ended, if it has.
    pub(crate) fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        self.child.try_wait().doing("wait for", &self.log)
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(&mut self) {
        // An error says that it has ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends it politely, by the end of its input; after `limit` by SIGKILL. Tells whether
    /// it ended well and by itself.
    pub(crate) fn end(&mut self, limit: Duration) -> bool {
        drop(self.input.take());
        let begin = Instant::now();
        while begin.elapsed() < limit {
            match self.child.try_wait() {
                Ok(Some(status)) => return status.success(),
                Ok(None) => sleep(Duration::from_millis(5)),
                Err(_) => break,
            }
        }
        self.kill();
        false
    }

    /// Why it ended before its time.
    pub(crate) fn failure(&self, status: ExitStatus) -> Failure {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let last = text.lines().last().unwrap_or("it did not say why");
        Failure::Red(format!(
            "the {} ended before its time ({status}): {last}",
            self.name
        ))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_ends_with_its_input_or_by_force() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut cat = Process::start("reader", Command::new("cat"), &log).unwrap();
        assert!(cat.ended().unwrap().is_none());
        assert!(cat.end(Duration::from_secs(20)));

        let mut command = Command::new("sleep");
        command.arg("60");
        let mut deaf = Process::start("sleeper", command, &log).unwrap();
        assert!(!deaf.end(Duration::from_millis(20)));
        assert!(deaf.ended().unwrap().is_some());
    }

    #[test]
    fn the_last_words_of_a_process_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "echo the store is broken >&2; exit 3"]);
        let mut process = Process::start("sender", command, &log).unwrap();
        let status = loop {
            if let Some(status) = process.ended().unwrap() {
                break status;
            }
            sleep(Duration::from_millis(5));
        };
        let told = process.failure(status).to_string();
        assert!(told.contains("the sender ended") && told.ends_with("the store is broken"));
    }
}

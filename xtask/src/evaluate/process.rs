//! The commands of an evaluation, as a person or a script runs them: started, read,
//! written to, ended. Which commands, and what they should say, is left to the cases.

use super::patience::Patience;
use crate::failure::{Failure, Outcome};
use crate::program;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Lines of output that wait to be looked at; more make the command wait.
const LINES: usize = 10_000;
/// Bytes of its error output that are kept.
const ERRORS: u64 = 64 * 1024;

/// How a command ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    /// The lines of its output that nobody had taken.
    pub(super) lines: Vec<String>,
    pub(super) errors: String,
    pub(super) took: Duration,
}

impl Ended {
    /// The exit status must be this one.
    pub(super) fn must_be(&self, what: &str, code: i32) -> Outcome {
        if self.code == Some(code) {
            return Ok(());
        }
        Err(Failure::Red(format!(
            "{what} ended with {}, not with {code}: {}",
            self.code.map_or("a signal".to_owned(), |c| c.to_string()),
            self.told()
        )))
    }

    /// What it said of its end.
    pub(super) fn told(&self) -> &str {
        let text = self.errors.trim();
        text.strip_prefix("stanchion: ").unwrap_or(text)
    }

    /// Its last line of output as JSON.
    pub(super) fn json(&self) -> Outcome<Value> {
        let line = self.lines.last().map_or("", String::as_str);
        program::json(line, "the command's last line")
    }
}

/// A command that runs. Killed when it is dropped.
#[derive(Debug)]
pub(super) struct Running {
    name: String,
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Lines that were looked at before their time.
    early: VecDeque<String>,
    /// Holds the pipe of a command that is not read to its end.
    output: Option<JoinHandle<ChildStdout>>,
    errors: Option<JoinHandle<String>>,
    started: Instant,
    patience: Patience,
}

impl Running {
    /// Starts a command; its lines are read as they come.
    pub(super) fn start(command: Command, patience: &Patience) -> Outcome<Self> {
        Self::spawn(command, patience, |output, line| {
            let mut reader = BufReader::new(output);
            let all = reader.by_ref().lines().map_while(Result::ok);
            for text in all {
                if line.send(text).is_err() {
                    break;
                }
            }
            reader.into_inner()
        })
    }

    /// Starts a command of whose output one byte is read and no more, so that its pipe
    /// fills. The byte counts as a line.
    pub(super) fn start_unread(command: Command, patience: &Patience) -> Outcome<Self> {
        Self::spawn(command, patience, |mut output, line| {
            let mut byte = [0];
            if output.read_exact(&mut byte).is_ok() {
                let _ = line.send(String::from_utf8_lossy(&byte).into_owned());
            }
            output
        })
    }

    fn spawn(
        mut command: Command,
        patience: &Patience,
        read: impl FnOnce(ChildStdout, SyncSender<String>) -> ChildStdout + Send + 'static,
    ) -> Outcome<Self> {
        let name = program::line(&command);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // With what it starts itself: that holds its pipes, too.
            .process_group(0);
        let started = Instant::now();
        let mut child = command.spawn().map_err(|source| Failure::Spawn {
            program: name.clone(),
            source,
        })?;
        let (line, lines) = sync_channel(LINES);
        // Both threads end with the pipes, which end with the command.
        let output = child
            .stdout
            .take()
            .map(|output| std::thread::spawn(move || read(output, line)));
        let errors = child.stderr.take().map(|mut errors| {
            std::thread::spawn(move || {
                let mut text = Vec::new();
                let _ = errors.by_ref().take(ERRORS).read_to_end(&mut text);
                let _ = std::io::copy(&mut errors, &mut std::io::sink());
                String::from_utf8_lossy(&text).into_owned()
            })
        });
        Ok(Self {
            name,
            input: child.stdin.take(),
            child,
            lines,
            early: VecDeque::new(),
            output,
            errors,
            started,
            patience: patience.clone(),
        })
    }

    /// The next line of its output.
    pub(super) fn line(&mut self) -> Outcome<String> {
        if let Some(line) = self.early.pop_front() {
            return Ok(line);
        }
        let (patience, what) = (self.patience.clone(), format!("a line of `{}`", self.name));
        let line = patience.wait_for(&what, || match self.lines.try_recv() {
            Ok(line) => Ok(Some(Some(line))),
            Err(TryRecvError::Empty) => Ok(None),
            Err(TryRecvError::Disconnected) => Ok(Some(None)),
        });
        let why = match line {
            Ok(Some(line)) => return Ok(line),
            Ok(None) => format!("`{}` ended, and a line of it was awaited", self.name),
            Err(failure) => failure.to_string(),
        };
        let errors = self.kill();
        Err(Failure::Red(
            format!("{why}. {errors}").trim_end().to_owned(),
        ))
    }

    /// The next line of its output, which is JSON.
    pub(super) fn json(&mut self) -> Outcome<Value> {
        let line = self.line()?;
        program::json(&line, &format!("the line {line:?} of `{}`", self.name))
    }

    /// The next of its JSON lines that has this key.
    pub(super) fn json_with(&mut self, key: &str) -> Outcome<Value> {
        loop {
            let value = self.json()?;
            if !value[key].is_null() {
                return Ok(value);
            }
        }
    }

    /// Writes to its input.
    pub(super) fn write(&mut self, text: &str) -> Outcome {
        let input = self.input.as_mut();
        let written = input.map(|i| i.write_all(text.as_bytes()).and_then(|()| i.flush()));
        match written {
            Some(Ok(())) => Ok(()),
            _ => {
                let errors = self.kill();
                Err(Failure::Red(format!(
                    "`{}` takes no more input. {errors}",
                    self.name
                )))
            }
        }
    }

    /// Whether it has said nothing that was not taken.
    pub(super) fn is_quiet(&mut self) -> bool {
        if let Ok(line) = self.lines.try_recv() {
            self.early.push_back(line);
        }
        self.early.is_empty()
    }

    /// A signal, to this process only.
    pub(super) fn signal(&self, signal: Signal) -> Outcome {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let sent = pid.is_some_and(|pid| kill_process(pid, signal).is_ok());
        if sent {
            return Ok(());
        }
        Err(Failure::Red(format!("`{}` has ended", self.name)))
    }

    /// Ends it with SIGTERM, and returns the lines that were not taken.
    pub(super) fn stop(self) -> Outcome<Vec<String>> {
        self.signal(Signal::TERM)?;
        Ok(self.end()?.lines)
    }

    /// Closes its input and waits for its end.
    pub(super) fn end(mut self) -> Outcome<Ended> {
        drop(self.input.take());
        let (patience, what) = (self.patience.clone(), format!("the end of `{}`", self.name));
        let mut status = None;
        let mut lines: Vec<String> = self.early.drain(..).collect();
        patience.wait_for(&what, || {
            lines.extend(self.lines.try_iter());
            status = self.child.try_wait().map_err(|source| Failure::Spawn {
                program: self.name.clone(),
                source,
            })?;
            Ok(status.map(|_| ()))
        })?;
        let took = self.started.elapsed();
        // The thread ends with the pipe; what it still sends has room.
        lines.extend(self.lines.iter());
        Ok(Ended {
            code: status.and_then(|s| s.code()),
            lines,
            errors: self.kill(),
            took,
        })
    }

    /// Ends it at once, as a crash would, and returns what it had said of errors.
    pub(super) fn kill(&mut self) -> String {
        let running = matches!(self.child.try_wait(), Ok(None));
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group.filter(|_| running) {
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
        // Nothing waits for room any more.
        self.lines = sync_channel(1).1;
        if let Some(output) = self.output.take() {
            let _ = output.join();
        }
        let errors = self.errors.take().and_then(|errors| errors.join().ok());
        errors.unwrap_or_default().trim().to_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs a command to its end, without input.
pub(super) fn run(command: Command, patience: &Patience) -> Outcome<Ended> {
    Running::start(command, patience)?.end()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::program::Interrupt;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn patience(seconds: u64) -> Patience {
        Patience::new(Duration::from_secs(seconds), &Interrupt::watch().unwrap())
    }

    #[test]
    fn a_command_is_read_and_written_line_by_line_and_its_end_is_told() {
        let script = "read x; echo \"{\\\"got\\\": $x}\"; echo more; echo why >&2; exit 13";
        let mut running = Running::start(shell(script), &patience(30)).unwrap();
        running.write("7\n").unwrap();
        assert_eq!(running.json_with("got").unwrap()["got"], 7);
        let ended = running.end().unwrap();
        assert_eq!(
            (ended.code, &*ended.lines, &*ended.errors),
            (Some(13), &["more".to_owned()][..], "why")
        );
        let wrong = ended.must_be("it", 0).unwrap_err().to_string();
        assert!(wrong.contains("13") && wrong.contains("why"), "{wrong}");
    }

    #[test]
    fn a_command_that_says_nothing_fails_the_case_at_its_limit() {
        let mut running = Running::start(shell("sleep 60"), &patience(0)).unwrap();
        assert!(running.line().is_err());
    }

    #[test]
    fn a_command_that_is_not_read_waits_for_its_reader() {
        let script = "while :; do echo 0123456789012345678901234567890123456789; done";
        let mut running = Running::start_unread(shell(script), &patience(30)).unwrap();
        assert_eq!(running.line().unwrap(), "0");
        assert!(running.child.try_wait().unwrap().is_none());
    }
}

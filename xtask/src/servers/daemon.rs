//! Server processes: started in the background, ended by pid.
//!
//! A pid alone may have been reused, so the kernel's start time is kept beside
//! it: a signal goes only to a process that this tool started. What the
//! processes are is left to `prosody` and `ejabberd`.

use crate::failure::{Context, Failure, Outcome};
use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long a server may take to end after SIGTERM before it gets SIGKILL.
const PATIENCE: Duration = Duration::from_secs(10);

/// One process that this tool started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Daemon {
    pub(crate) pid: i32,
    /// Start time in clock ticks since boot, from `/proc/PID/stat`.
    pub(crate) started: u64,
}

/// What became of a process that was asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Ending {
    NotRunning,
    Ended,
    /// It did not end within 10 s of SIGTERM.
    KilledAfterWaiting,
}

impl Daemon {
    /// Starts `command` with no stdin and with its output appended to `log`.
    pub(crate) fn spawn(mut command: Command, log: &Path) -> Outcome<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let out = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .doing("open", log)?;
        let err = out.try_clone().doing("open", log)?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            // Ctrl-C in the terminal ends this tool, not the server.
            .process_group(0)
            .spawn()
            .map_err(|source| Failure::Spawn {
                program: program.clone(),
                source,
            })?;
        let pid = i32::try_from(child.id()).unwrap_or(0);
        let Some(started) = start_time(pid) else {
            let status = child
                .wait()
                .map_or_else(|e| e.to_string(), |s| s.to_string());
            return Err(Failure::Program {
                line: program,
                status,
                output: String::new(),
            });
        };
        // Reaps the child when it ends while this tool still runs; a thread
        // that dies with the tool leaves the server to init.
        std::thread::spawn(move || child.wait());
        Ok(Self { pid, started })
    }

    /// Whether this very process still runs (a zombie does not).
    pub(crate) fn alive(self) -> bool {
        start_time(self.pid) == Some(self.started)
    }

    /// Sends `signal`; false when the process is no more.
    pub(crate) fn signal(self, signal: Signal) -> bool {
        self.alive() && Pid::from_raw(self.pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
    }

    /// Sends `signal` (SIGTERM or SIGKILL) and waits until the process is gone.
    pub(crate) fn end(self, signal: Signal) -> Ending {
        if !self.signal(signal) {
            return Ending::NotRunning;
        }
        // A stopped process takes SIGTERM only when it goes on.
        self.signal(Signal::CONT);
        if self.gone_within(PATIENCE) {
            return Ending::Ended;
        }
        self.signal(Signal::KILL);
        self.gone_within(PATIENCE);
        Ending::KilledAfterWaiting
    }

    fn gone_within(self, limit: Duration) -> bool {
        let begin = Instant::now();
        while self.alive() {
            if begin.elapsed() > limit {
                return false;
            }
            sleep(Duration::from_millis(5));
        }
        true
    }
}

/// Start time of a process in clock ticks since boot; none for a zombie.
fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything, also spaces and ")".
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    if fields.next()? == "Z" {
        return None;
    }
    // Field 22 of proc(5); the state was field 3.
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("60");
        let daemon = Daemon::spawn(command, &dir.path().join("log")).unwrap();
        assert!(daemon.alive());
        assert_eq!(daemon.end(Signal::TERM), Ending::Ended);
        assert_eq!(daemon.end(Signal::TERM), Ending::NotRunning);
    }

    #[test]
    fn a_reused_pid_gets_no_signal() {
        let mine = i32::try_from(std::process::id()).unwrap();
        let stranger = Daemon {
            pid: mine,
            started: start_time(mine).unwrap() + 1,
        };
        assert!(!stranger.alive());
        assert_eq!(stranger.end(Signal::KILL), Ending::NotRunning);
    }

    #[test]
    fn a_stopped_process_ends_too() {
        let dir = tempfile::tempdir().unwrap();
        let mut command = Command::new("sleep");
        command.arg("60");
        let daemon = Daemon::spawn(command, &dir.path().join("log")).unwrap();
        assert!(daemon.signal(Signal::STOP));
        assert_eq!(daemon.end(Signal::TERM), Ending::Ended);
    }
}

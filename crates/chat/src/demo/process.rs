//! One end of the demo as a process: started, heard, ended. What it does is in `ends`.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::Access;
use super::tally::{End, Report};
use crate::exit::Failure;

/// How long an end may take to end by itself.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// An end's process; killed with this value, if it has not ended.
pub(super) struct EndProcess {
    name: &'static str,
    child: Child,
    reports: Lines<BufReader<ChildStdout>>,
    /// What it complains of, unless that goes to our own standard error.
    complaint: Option<ChildStderr>,
    /// Open as long as the end shall live.
    input: Option<ChildStdin>,
}

impl EndProcess {
    /// Starts it. A `quiet` one says nothing on the terminal.
    pub(super) fn start(
        end: End,
        access: &Access,
        folder: &Path,
        quiet: bool,
        extra: &[String],
    ) -> Result<Self, Failure> {
        let (name, jid) = match end {
            End::Sensor => ("sensor", &access.sensor),
            End::Phone => ("phone", &access.phone),
        };
        let broken = |e| Failure::failed(format!("the {name} could not be started: {e}"));
        let mut command = Command::new(std::env::current_exe().map_err(broken)?);
        command
            .args(["demo-end", name, "--jid", jid, "--store"])
            .arg(folder.join(format!("{name}.sqlite")))
            .args(&access.arguments)
            .args(extra)
            .env("STANCHION_PASSWORD", &access.password)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if quiet {
            command.stderr(Stdio::piped()).env_remove("STANCHION_LOG");
        }
        let mut child = apart(&mut command).spawn().map_err(broken)?;
        let output = child
            .stdout
            .take()
            .ok_or_else(|| Failure::failed(format!("the {name} has no output")))?;
        Ok(Self {
            name,
            reports: BufReader::new(output).lines(),
            complaint: child.stderr.take(),
            input: child.stdin.take(),
            child,
        })
    }

    /// The next report; `None` once it has ended. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Report> {
        loop {
            let line = self.reports.next_line().await.ok()??;
            if let Ok(report) = serde_json::from_str(&line) {
                return Some(report);
            }
        }
    }

    /// Why it ended before its time.
    pub(super) async fn died(&mut self) -> Failure {
        let mut said = String::new();
        if let Some(complaint) = &mut self.complaint {
            let mut complaint = complaint.take(4096);
            let reading = complaint.read_to_string(&mut said);
            let _ = tokio::time::timeout(PATIENCE, reading).await;
        }
        let said = said.trim().lines().last().unwrap_or("it did not say why");
        Failure::failed(format!(
            "the {}'s process ended before its time: {said}",
            self.name
        ))
    }

    /// Lets it end by itself.
    pub(super) fn let_go(&mut self) {
        drop(self.input.take());
    }

    /// Lets it end by itself for a while, then ends it.
    pub(super) async fn end(&mut self) {
        self.let_go();
        if tokio::time::timeout(PATIENCE, self.child.wait())
            .await
            .is_err()
        {
            self.kill().await;
        }
    }

    /// Ends it at once.
    pub(super) async fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill().await;
    }
}

/// A child that dies with us, and not before: Ctrl-C is for us alone, so that we can
/// end our children in order.
pub(super) fn apart(command: &mut Command) -> &mut Command {
    #[cfg(unix)]
    command.process_group(0);
    command.kill_on_drop(true)
}

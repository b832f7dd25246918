//! Any program that speaks lines of JSON: what it writes are things and samples, what it
//! reads are orders. One object a line, UTF-8.
//!
//! Out of the program:
//! - `{"things":[{"id":"a","label":"A","fields":[{"name":"t","kind":"numeric","unit":"Cel"}],
//!   "parameters":[{"name":"on","kind":"boolean"}]}]}`: it has these things. Kinds of fields
//!   are those of sensor data (`boolean`, `int`, `long`, `numeric`, `string`, `date-time`);
//!   kinds of parameters are `boolean`, `double`, `int`, `long`, `string`, the numbers with
//!   `min` and `max`;
//! - `{"sample":{"thing":"a","at":"2030-01-01T00:00:00Z","fields":{"t":{"value":21.5,
//!   "unit":"Cel"},"on":true}}}`: one of them measured that; without `at`, just now;
//! - `{"gone":["a"]}`: these things are gone for good;
//! - `{"done":1}`, `{"failed":1,"why":"…"}`: how an order went.
//!
//! Into the program:
//! - `{"set":{"id":1,"thing":"a","parameters":{"on":true},"within_ms":500}}`: set these, in
//!   this time, and answer. Orders come one at a time.
//!
//! A closed standard input says to stop. What it writes to standard error is logged. It is
//! killed when it does not stop, and is always waited for. Of the environment it has `PATH`
//! and what the configuration names.
//!
//! ```toml
//! [[adapter]]
//! name = "pump"
//! type = "exec"
//! program = "pump-driver"
//! arguments = ["--port", "3"]
//! environment = { PUMP_MODE = "slow" }
//! ```

mod line;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use stanchion_stanza::Text;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{Instant, timeout};

use crate::adapter::{AdapterError, Link, Order, OrderError, Report, Stop, wall_clock};
use crate::model::ThingSpec;

use line::Said;

/// The most things that a program may have.
pub const MOST_THINGS: usize = 10_000;
/// The most fields, and the most parameters, of one thing.
pub const MOST_FIELDS: usize = 256;

/// How long a program may leave an order unread that finds no room in its pipe.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// How a program is run.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// The program: a path, or a name that is looked for in `PATH`.
    pub program: String,
    /// Its arguments. Default none.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// What of the environment it has beside `PATH`. Default nothing.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// Its working directory. Default ours.
    #[serde(default)]
    pub directory: Option<std::path::PathBuf>,
    /// The longest line, in bytes, from 64 on. Default 64 KiB.
    #[serde(default = "defaults::longest_line")]
    pub longest_line: usize,
    /// How many bad lines in one run are left out; one more ends it. Default 3.
    #[serde(default = "defaults::bad_lines")]
    pub bad_lines: u32,
    /// How long it has to stop by itself. Default 2 s.
    #[serde(default = "defaults::farewell", with = "crate::model::sampling::time")]
    pub stop_within: Duration,
}

mod defaults {
    use std::time::Duration;

    pub(super) const fn longest_line() -> usize {
        64 * 1024
    }
    pub(super) const fn bad_lines() -> u32 {
        3
    }
    pub(super) const fn farewell() -> Duration {
        Duration::from_secs(2)
    }
}

/// One program.
#[derive(Debug)]
pub struct Adapter {
    config: Config,
    things: BTreeMap<Text, ThingSpec>,
}

/// What a run has of its program.
struct Running {
    stdin: Option<ChildStdin>,
    order: Option<(u64, Order)>,
    next_id: u64,
    line: u64,
    bad: u32,
}

impl Adapter {
    /// A program that is run so.
    ///
    /// # Errors
    /// [`AdapterError::Misuse`] names what cannot be right.
    pub fn new(config: Config) -> Result<Self, AdapterError> {
        let misuse = |what: &str| Err(AdapterError::Misuse(format!("exec: {what}")));
        if config.program.is_empty() {
            return misuse("`program` is to name one");
        }
        if config.longest_line < 64 {
            return misuse("`longest_line` is to be 64 bytes at least");
        }
        let wrong = |name: &String| name.is_empty() || name.contains(['=', '\0']);
        if config.environment.keys().any(wrong) {
            return misuse("a name in `environment` is empty, or holds `=`");
        }
        Ok(Self {
            config,
            things: BTreeMap::new(),
        })
    }

    fn start(&self) -> Result<Child, AdapterError> {
        let config = &self.config;
        let mut command = Command::new(&config.program);
        command.args(&config.arguments).env_clear();
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        command.envs(&config.environment);
        if let Some(directory) = &config.directory {
            command.current_dir(directory);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(Stdio::piped()).kill_on_drop(true);
        let what = || format!("the program {} cannot be started", config.program);
        command
            .spawn()
            .map_err(|e| AdapterError::connection(what(), e))
    }

    fn misbehaved(&self, line: u64, what: &str) -> AdapterError {
        AdapterError::PeerMisbehaved {
            peer: format!("the program {}", self.config.program),
            what: format!("line {line}: {what}"),
        }
    }

    fn lost(&self, source: std::io::Error) -> AdapterError {
        AdapterError::connection(format!("the program {}", self.config.program), source)
    }

    /// What a line says, carried out.
    async fn heard(
        &mut self,
        running: &mut Running,
        bytes: &[u8],
        link: &mut Link,
    ) -> Result<(), AdapterError> {
        running.line += 1;
        let said = line::read(bytes, &self.things, wall_clock());
        let said = match said {
            Ok(said) => said,
            Err(why) => {
                let wrong = self.misbehaved(running.line, &why);
                running.bad += 1;
                if running.bad > self.config.bad_lines {
                    return Err(wrong);
                }
                tracing::warn!(error = %wrong, "a line is left out");
                return Ok(());
            }
        };
        match said {
            Said::Things(things) => {
                let new = things
                    .iter()
                    .filter(|t| !self.things.contains_key(&t.node.id));
                if self.things.len() + new.count() > MOST_THINGS {
                    let what = format!("more than {MOST_THINGS} things");
                    return Err(self.misbehaved(running.line, &what));
                }
                for thing in &things {
                    self.things.insert(thing.node.id.clone(), thing.clone());
                }
                link.report(Report::Things(things)).await?;
            }
            Said::Sample(sample) => link.sample(sample).await?,
            Said::Gone(things) => {
                for thing in &things {
                    self.things.remove(thing);
                }
                link.report(Report::Gone(things)).await?;
            }
            Said::Answer(id, outcome) => match running.order.take_if(|(asked, _)| *asked == id) {
                Some((_, order)) => order.answer(outcome.map_err(OrderError::Refused)),
                None => tracing::warn!(
                    program = self.config.program,
                    line = running.line,
                    "it answers the order {id}, which does not wait"
                ),
            },
        }
        Ok(())
    }

    /// Hands an order over.
    async fn hand_over(&self, running: &mut Running, order: Order) -> Result<(), AdapterError> {
        let refused = match self.things.get(order.thing()) {
            None => Some(format!("there is no thing `{}`", order.thing())),
            Some(spec) => {
                let mut wrong = order.settings().iter().filter_map(|s| spec.check(s).err());
                wrong.next().map(|wrong| wrong.to_string())
            }
        };
        if let Some(why) = refused {
            order.failed(OrderError::Refused(why));
            return Ok(());
        }
        let Some(stdin) = &mut running.stdin else {
            order.failed(OrderError::Unavailable("it was told to stop".to_owned()));
            return Ok(());
        };
        running.next_id += 1;
        let within = order.by().saturating_duration_since(Instant::now());
        let bytes = line::set(running.next_id, &order, within);
        if order.is_expired() {
            order.failed(OrderError::Expired);
            return Ok(());
        }
        // Bytes that left may be obeyed.
        let written = timeout(within.min(READ_WITHIN), stdin.write_all(&bytes)).await;
        running.order = Some((running.next_id, order));
        match written {
            Ok(written) => written.map_err(|e| self.lost(e)),
            Err(_) => Err(self.lost(std::io::ErrorKind::TimedOut.into())),
        }
    }

    async fn speak(
        &mut self,
        child: &mut Child,
        link: &mut Link,
        stop: &Stop,
    ) -> Result<(), AdapterError> {
        let gone = || std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        let stdout = child.stdout.take().ok_or_else(|| self.lost(gone()))?;
        let stderr = child.stderr.take().ok_or_else(|| self.lost(gone()))?;
        let mut out = Lines::new(stdout, self.config.longest_line);
        let mut log = Lines::new(stderr, self.config.longest_line);
        let mut logs = true;
        let mut running = Running {
            stdin: child.stdin.take(),
            order: None,
            next_id: 0,
            line: 0,
            bad: 0,
        };
        link.connected().await?;
        loop {
            let by = running.order.as_ref().map(|(_, order)| order.by());
            // Not biased: whoever talks all the time holds up none of the others.
            tokio::select! {
                () = stop.wanted() => return Ok(()),
                order = link.order(), if running.order.is_none() => {
                    self.hand_over(&mut running, order).await?;
                }
                line = out.next() => match line.map_err(|e| self.lost(e))? {
                    Line::Whole(bytes) => self.heard(&mut running, &bytes, link).await?,
                    Line::TooLong => {
                        let most = self.config.longest_line;
                        let what = format!("it is longer than {most} bytes");
                        return Err(self.misbehaved(running.line + 1, &what));
                    }
                    Line::End => {
                        let ended = timeout(self.config.stop_within, child.wait()).await;
                        let status = match ended {
                            Ok(Ok(status)) => status.to_string(),
                            _ => "it goes on, and writes no more".to_owned(),
                        };
                        let what = format!("the program {} ended: {status}", self.config.program);
                        return Err(AdapterError::connection(what, gone()));
                    }
                },
                line = log.next(), if logs => match line {
                    Ok(Line::Whole(bytes)) => {
                        let said = String::from_utf8_lossy(&bytes);
                        tracing::info!(program = self.config.program, "{said}");
                    }
                    Ok(Line::TooLong | Line::End) | Err(_) => logs = false,
                },
                () = tokio::time::sleep_until(by.unwrap_or_else(Instant::now)), if by.is_some() => {
                    if let Some((id, order)) = running.order.take() {
                        let why = format!("{} did not answer order {id} in time", self.config.program);
                        order.failed(OrderError::InDoubt(why));
                    }
                }
            }
        }
    }
}

#[async_trait]
impl crate::Adapter for Adapter {
    async fn run(&mut self, link: &mut Link, stop: &Stop) -> Result<(), AdapterError> {
        let mut child = self.start()?;
        // Both ends of its pipes are closed at the end of this: it is told to stop.
        let outcome = self.speak(&mut child, link, stop).await;
        let farewell = timeout(self.config.stop_within, child.wait()).await;
        if farewell.is_err()
            && let Err(error) = child.kill().await
        {
            tracing::warn!(program = self.config.program, %error, "it cannot be ended");
        }
        outcome
    }
}

/// Lines of a length that is bounded.
struct Lines<R> {
    from: BufReader<R>,
    line: Vec<u8>,
    longest: usize,
}

enum Line {
    Whole(Vec<u8>),
    TooLong,
    End,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    fn new(from: R, longest: usize) -> Self {
        Self {
            from: BufReader::new(from),
            line: Vec::new(),
            longest,
        }
    }

    /// The next line, without its end. Cancel-safe. A last line without an end does not
    /// count.
    async fn next(&mut self) -> std::io::Result<Line> {
        loop {
            let bytes = self.from.fill_buf().await?;
            if bytes.is_empty() {
                return Ok(Line::End);
            }
            let end = bytes.iter().position(|byte| *byte == b'\n');
            let part = bytes.get(..end.unwrap_or(bytes.len())).unwrap_or_default();
            if self.line.len() + part.len() > self.longest {
                return Ok(Line::TooLong);
            }
            self.line.extend_from_slice(part);
            let used = part.len() + usize::from(end.is_some());
            self.from.consume(used);
            if end.is_some() {
                return Ok(Line::Whole(std::mem::take(&mut self.line)));
            }
        }
    }
}

/// The ids of things, for what must not be doubled in one line.
fn distinct<'a>(ids: impl Iterator<Item = &'a Text>) -> bool {
    let mut seen = BTreeSet::new();
    ids.into_iter().all(|id| seen.insert(id))
}
